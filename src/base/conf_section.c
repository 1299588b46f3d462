/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Sections of a configuration: how they are titled, what they must have, what they are asked. */
#include "base/conf_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    bool is_named;
} kinds[KL_CONF_KINDS] = {
    [KL_CONF_MODULE] = { "module", false },
    [KL_CONF_TOKEN] = { "token", true },
    [KL_CONF_ROOT] = { "root", true },
    [KL_CONF_LOG] = { "log", false },
};

/* Default, or an error if there is none and one is needed. */
static enum kl_rc fill_one(const struct kl_conf *conf, struct kl_conf_section *section, enum kl_setting setting)
{
    const struct kl_conf_row *row = kl_conf_row(setting);
    struct kl_conf_value *value = &section->values[setting];
    const char *type = section->values[KL_SET_TYPE].text;
    char title[KL_CONF_TITLE_CAP];

    if (row->words.kind != section->kind) return KL_OK;
    if (row->type != NULL && (type == NULL || strcmp(type, row->type) != 0)) {
        if (value->text == NULL) return KL_OK;
        return kl_fail(KL_CONFIG, "%s:%u: `%s` is for roots of type %s", conf->file, value->line, row->words.name, row->type);
    }
    if (value->text != NULL) return KL_OK;
    if (row->words.fallback == NULL) {
        return kl_fail(KL_CONFIG, "%s:%u: %s lacks `%s`; write %s = %s", conf->file, section->line, kl_conf_title(section, title),
                       row->words.name, row->words.name,
                       row->form == KL_FORM_SOURCE  ? "file:/PATH"
                       : row->form == KL_FORM_NAMES ? "the name of a [root \"name\"] section"
                                                    : row->words.form);
    }
    return row->words.fallback[0] == '\0' ? KL_OK : kl_conf_value_read(row, row->words.fallback, value);
}

/* Past slashes and "/." that change nothing, to the last slash of a run. */
static const char *skip_slashes(const char *at)
{
    while (at[0] == '/' && (at[1] == '/' || (at[1] == '.' && at[2] == '/'))) at += at[1] == '/' ? 1 : 2;
    return at;
}

/* "sqlite:/a//b/./c" and "sqlite:/a/b/c" are one file. */
static bool is_same_path(const char *a, const char *b)
{
    for (;; a++, b++) {
        a = skip_slashes(a);
        b = skip_slashes(b);
        if (*a != *b) return false;
        if (*a == '\0') return true;
    }
}

static enum kl_rc check_roots(const struct kl_conf *conf, const struct kl_conf_section *token)
{
    const char *name;

    for (size_t i = 0; (name = kl_conf_item(token, KL_SET_ROOTS, i)) != NULL; i++) {
        if (kl_conf_find(conf, KL_CONF_ROOT, name) == NULL) {
            return kl_fail(KL_CONFIG, "%s:%u: there is no section [root \"%s\"]; write one, or another name", conf->file,
                           token->values[KL_SET_ROOTS].line, name);
        }
    }
    return KL_OK;
}

/* No token further up has the store of this one. */
static enum kl_rc check_store(const struct kl_conf *conf, const struct kl_conf_section *token)
{
    const struct kl_conf_value *store = &token->values[KL_SET_STORE];

    for (size_t i = 0; conf->sections[i] != token; i++) {
        const struct kl_conf_section *other = conf->sections[i];

        if (other->kind == KL_CONF_TOKEN && is_same_path(store->text, other->values[KL_SET_STORE].text)) {
            return kl_fail(KL_CONFIG, "%s:%u: [token \"%s\"] has this store already; give each token its own", conf->file, store->line,
                           other->name);
        }
    }
    return KL_OK;
}

enum kl_rc kl_conf_section_add(struct kl_conf *conf, enum kl_conf_kind kind, struct kl_view name, unsigned line)
{
    struct kl_conf_section *section;

    if (conf->count >= KL_CONF_SECTIONS_MAX)
        return kl_fail(KL_CONFIG, "%s:%u: more than %d sections", conf->file, line, KL_CONF_SECTIONS_MAX);
    section = calloc(1, sizeof *section);
    if (section == NULL) return kl_fail(KL_MEMORY, "no memory for %s", conf->file);
    section->kind = kind;
    section->line = line;
    if (name.len > 0) memcpy(section->name, name.data, name.len);
    conf->sections[conf->count++] = section;
    return KL_OK;
}

const char *kl_conf_title(const struct kl_conf_section *section, char out[KL_CONF_TITLE_CAP])
{
    bool is_named = kinds[section->kind].is_named;

    snprintf(out, KL_CONF_TITLE_CAP, "[%s%s%s%s]", kinds[section->kind].name, is_named ? " \"" : "", section->name, is_named ? "\"" : "");
    return out;
}

const struct kl_conf_section *kl_conf_section_find(const struct kl_conf *conf, enum kl_conf_kind kind, struct kl_view name)
{
    for (size_t i = 0; i < conf->count; i++) {
        const struct kl_conf_section *section = conf->sections[i];

        if (section->kind == kind && kl_view_is(kl_view_text(section->name), name)) return section;
    }
    return NULL;
}

bool kl_conf_title_read(struct kl_view title, enum kl_conf_kind *kind, struct kl_view *name)
{
    size_t word = 0;

    while (word < title.len && title.data[word] != ' ') word++;
    for (*kind = 0; *kind < KL_CONF_KINDS && !kl_view_is(kl_view_of(title.data, word), kl_view_text(kinds[*kind].name)); (*kind)++)
        continue;
    if (*kind == KL_CONF_KINDS) return false;
    *name = kl_view_of(title.data + word, 0);
    if (!kinds[*kind].is_named) return word == title.len;
    /* One space, a quotation mark at both ends. */
    if (title.len < word + 3 || title.data[word + 1] != '"' || title.data[title.len - 1] != '"') return false;
    *name = kl_view_of(title.data + word + 2, title.len - word - 3);
    return kl_conf_is_name(*name);
}

enum kl_rc kl_conf_finish(struct kl_conf *conf)
{
    for (enum kl_conf_kind kind = 0; kind < KL_CONF_KINDS; kind++) {
        if (!kinds[kind].is_named && kl_conf_count(conf, kind) == 0) KL_TRY(kl_conf_section_add(conf, kind, kl_view_of(NULL, 0), 0));
    }
    for (size_t i = 0; i < conf->count; i++) {
        /* TYPE comes first in its table, so it is there when others ask for it. */
        for (enum kl_setting setting = 0; setting < KL_SETTINGS; setting++) KL_TRY(fill_one(conf, conf->sections[i], setting));
    }
    for (size_t i = 0; i < conf->count; i++) {
        if (conf->sections[i]->kind != KL_CONF_TOKEN) continue;
        KL_TRY(check_roots(conf, conf->sections[i]));
        KL_TRY(check_store(conf, conf->sections[i]));
    }
    return KL_OK;
}

const char *kl_conf_file(const struct kl_conf *conf)
{
    return conf->file;
}

size_t kl_conf_count(const struct kl_conf *conf, enum kl_conf_kind kind)
{
    size_t count = 0;

    for (size_t i = 0; i < conf->count; i++) count += conf->sections[i]->kind == kind;
    return count;
}

const struct kl_conf_section *kl_conf_at(const struct kl_conf *conf, enum kl_conf_kind kind, size_t index)
{
    for (size_t i = 0; i < conf->count; i++) {
        if (conf->sections[i]->kind == kind && index-- == 0) return conf->sections[i];
    }
    return NULL;
}

const struct kl_conf_section *kl_conf_find(const struct kl_conf *conf, enum kl_conf_kind kind, const char *name)
{
    return kl_conf_section_find(conf, kind, kl_view_text(name));
}

const char *kl_conf_name(const struct kl_conf_section *section)
{
    return section->name;
}

const char *kl_conf_text(const struct kl_conf_section *section, enum kl_setting setting)
{
    const struct kl_conf_row *row = kl_conf_row(setting);

    if (row->words.kind != section->kind) return NULL;
    if (section->values[setting].text != NULL) return section->values[setting].text;
    return row->form == KL_FORM_TEXT ? row->words.fallback : NULL;
}

bool kl_conf_is(const struct kl_conf_section *section, enum kl_setting setting)
{
    return kl_conf_number(section, setting) != 0;
}

int64_t kl_conf_number(const struct kl_conf_section *section, enum kl_setting setting)
{
    return section->values[setting].number;
}

const char *kl_conf_item(const struct kl_conf_section *section, enum kl_setting setting, size_t index)
{
    const char *name = section->values[setting].names;

    if (name == NULL) return NULL;
    for (; *name != '\0' && index > 0; index--) name += strlen(name) + 1;
    return *name == '\0' ? NULL : name;
}
