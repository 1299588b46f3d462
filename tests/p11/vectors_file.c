/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Reads the published files: Wycheproof's JSON, NIST's responses and RFC 5869's cases. */
#include "vectors.h"

#include <dirent.h>
#include <strings.h>

enum { FIELDS_MAX = 12 };

struct fields {
    size_t count;
    struct {
        char name[24], value[4200];
    } at[FIELDS_MAX];
};
struct rsp {
    struct fields brackets, record;
};

static const char *folder(void)
{
    const char *dir = getenv("KEYLADDER_VECTORS");

    return dir ? dir : "../shared/vectors";
}

static bool is_packed(const char *name)
{
    size_t len = strlen(name);

    return len > 3 && strcmp(name + len - 3, ".gz") == 0;
}

static FILE *vectors_open(const char *name)
{
    char path[4096];
    FILE *file;

    snprintf(path, sizeof path, is_packed(name) ? "gzip -dc '%s/%s'" : "%s/%s", folder(), name);
    file = is_packed(name) ? popen(path, "r") : fopen(path, "r");
    if (!file) die_at(__FILE__, __LINE__, "%s cannot be read; KEYLADDER_VECTORS names the folder", name);
    return file;
}

/* ---- the folders ---- */

static const struct family *row_of(const struct family *families, size_t count, const char *file)
{
    for (size_t i = 0; i < count; i++)
        if (families[i].file && strcmp(families[i].file, file) == 0) return &families[i];
    return NULL;
}

static void check_file(const struct family *families, size_t count, const char *file)
{
    const struct family *row = row_of(families, count, file);

    if (!row)
        fail_at(__FILE__, __LINE__, "%s: no row of the families says what it is for", file);
    else if (!row->mech_name)
        printf("%s: no mechanism of this token\n", file);
}

static bool is_about_vectors(const char *name)
{
    return name[0] == '.' || strcmp(name, "LICENSE") == 0 || strcmp(name, "README.md") == 0;
}

void check_folders(const struct family *families, size_t count)
{
    static const char *const folders[] = { "nist", "rfc5869", "wycheproof" };

    for (size_t i = 0; i < COUNT(folders); i++) {
        char path[4096];
        struct dirent **entries = NULL;
        int found;

        snprintf(path, sizeof path, "%s/%s", folder(), folders[i]);
        found = scandir(path, &entries, NULL, alphasort);
        if (found < 0) die_at(__FILE__, __LINE__, "%s cannot be read; KEYLADDER_VECTORS names the folder above", path);
        for (int k = 0; k < found; k++) {
            snprintf(path, sizeof path, "%s/%s", folders[i], entries[k]->d_name);
            if (!is_about_vectors(entries[k]->d_name)) check_file(families, count, path);
            free(entries[k]);
        }
        free(entries);
    }
}

/* ---- Wycheproof ---- */

static const char *json_text(json_t *object, const char *member)
{
    const char *value = json_string_value(json_object_get(object, member));

    if (!value) die_at(__FILE__, __LINE__, "a vector lacks %s", member);
    return value;
}

void json_bytes(json_t *test, const char *member, struct bytes *out)
{
    const char *value = json_text(test, member);

    if (strlen(value) / 2 > sizeof out->data) die_at(__FILE__, __LINE__, "%s is too long", member);
    out->len = unhex(value, out->data);
}

bool is_valid(json_t *test)
{
    return strcmp(json_text(test, "result"), "valid") == 0;
}

bool is_acceptable(json_t *test)
{
    return strcmp(json_text(test, "result"), "acceptable") == 0;
}

void wycheproof_each(const struct family *family, void (*one)(const struct family *family, json_t *test))
{
    FILE *file = vectors_open(family->file);
    json_error_t error;
    json_t *root = json_loadf(file, 0, &error), *group, *test;
    unsigned taken = 0;
    size_t g, t;

    fclose(file);
    if (!root) die_at(__FILE__, __LINE__, "%s:%d: %s", family->file, error.line, error.text);
    json_array_foreach(json_object_get(root, "testGroups"), g, group)
    {
        json_array_foreach(json_object_get(group, "tests"), t, test)
        {
            vector_begin("test %lld", (long long)json_integer_value(json_object_get(test, "tcId")));
            one(family, test);
            vector_end();
            taken++;
        }
    }
    if (taken == 0 || taken != json_integer_value(json_object_get(root, "numberOfTests")))
        fail_at(__FILE__, __LINE__, "%s: %u tests were found", family->file, taken);
    json_decref(root);
}

/* ---- responses ---- */

static size_t field_index(const struct fields *fields, const char *name, size_t len)
{
    size_t i = 0;

    while (i < fields->count && (strlen(fields->at[i].name) != len || strncasecmp(fields->at[i].name, name, len))) i++;
    return i;
}

/* NAME = value, [NAME = value] or NAME alone. */
static void field_set(struct fields *fields, const char *line)
{
    const char *value = strchr(line, '='), *name = line + (line[0] == '[');
    size_t len = strcspn(name, " =]"), at = field_index(fields, name, len);

    if (at == FIELDS_MAX) die_at(__FILE__, __LINE__, "a record of too many lines");
    if (at == fields->count) fields->count++;
    snprintf(fields->at[at].name, sizeof fields->at[at].name, "%.*s", (int)len, name);
    snprintf(fields->at[at].value, sizeof fields->at[at].value, "%s", value ? value + 1 + strspn(value + 1, " ") : "");
}

const char *rsp_text(const struct rsp *rsp, const char *name)
{
    const struct fields *const lists[] = { &rsp->record, &rsp->brackets };

    for (size_t i = 0; i < COUNT(lists); i++) {
        size_t at = field_index(lists[i], name, strlen(name));

        if (at < lists[i]->count) return lists[i]->at[at].value;
    }
    return NULL;
}

void rsp_bytes(const struct rsp *rsp, const char *name, struct bytes *out)
{
    const char *value = rsp_text(rsp, name);

    out->len = value ? unhex(value, out->data) : 0;
}

static void record_end(const struct family *family, struct rsp *rsp, void (*one)(const struct family *, const struct rsp *))
{
    const char *number = rsp_text(rsp, "Count");

    if (number) {
        vector_begin("count %s after [%s]", number, rsp->brackets.count ? rsp->brackets.at[rsp->brackets.count - 1].value : "");
        one(family, rsp);
        vector_end();
    }
    rsp->record.count = 0;
}

void rsp_each(const struct family *family, void (*one)(const struct family *family, const struct rsp *rsp))
{
    static struct rsp rsp;
    char line[8192];
    FILE *file = vectors_open(family->file);

    memset(&rsp, 0, sizeof rsp);
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\r\n")] = 0;
        if (line[0] == '[' || strncasecmp(line, "COUNT", 5) == 0) record_end(family, &rsp, one);
        if (line[0] && line[0] != '#') field_set(line[0] == '[' ? &rsp.brackets : &rsp.record, line);
    }
    record_end(family, &rsp, one);
    if (is_packed(family->file))
        pclose(file);
    else
        fclose(file);
}
