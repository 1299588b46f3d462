/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "base/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf_parts.h"

enum { FILE_MAX = 1 << 20, LINE_MAX_LEN = 1000 };

/* --- the file ------------------------------------------------------------ */

static enum kl_rc check_file(const char *path, int fd)
{
    struct stat what;

    if (fstat(fd, &what) != 0) return kl_fail(KL_CONFIG, "%s cannot be looked at: %m", path);
    if (!S_ISREG(what.st_mode)) return kl_fail(KL_CONFIG, "%s is not a file", path);
    if (what.st_uid != 0 && what.st_uid != geteuid()) {
        return kl_fail(KL_PERMISSION, "%s belongs to user %u, neither to root nor to us: chown it", path, (unsigned)what.st_uid);
    }
    if ((what.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return kl_fail(KL_PERMISSION, "%s may be written to by others than its owner: chmod %04o", path, (unsigned)what.st_mode & 0755);
    }
    return KL_OK;
}

static enum kl_rc read_whole(const char *path, int fd, struct kl_view *out)
{
    uint8_t *text = malloc(FILE_MAX + 1);
    size_t len = 0;
    ssize_t got;

    if (text == NULL) return kl_fail(KL_MEMORY, "no memory for %s", path);
    do {
        got = read(fd, text + len, FILE_MAX + 1 - len);
        if (got > 0) len += (size_t)got;
    } while ((got > 0 && len <= FILE_MAX) || (got < 0 && errno == EINTR));
    if (got < 0 || len > FILE_MAX) {
        enum kl_rc rc = got < 0 ? kl_fail(KL_CONFIG, "%s cannot be read: %m", path) : kl_fail(KL_CONFIG, "%s is larger than 1 MiB", path);

        free(text);
        return rc;
    }
    *out = kl_view_of(text, len);
    return KL_OK;
}

/* Heap bytes, the caller's to free. */
static enum kl_rc read_file(const char *path, struct kl_view *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    enum kl_rc rc;

    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) return kl_fail(KL_NOT_FOUND, "there is no file %s", path);
    if (fd < 0) return kl_fail(errno == EACCES ? KL_PERMISSION : KL_CONFIG, "%s cannot be opened: %m", path);
    rc = check_file(path, fd);
    if (rc == KL_OK) rc = read_whole(path, fd, out);
    close(fd);
    return rc;
}

/* --- lines: what inih is given, and what it gives back ------------------- */

/* Debian's inih cuts lines at 200 bytes and values at " ;", and lets every library of the process change both. So
 * it sees only short lines that were checked here, and a value stays here, to be picked up when inih names its setting. */
struct parse {
    struct kl_conf *conf;
    struct kl_view rest;
    unsigned line;
    struct kl_conf_section *section;
    char value[LINE_MAX_LEN + 1];
    enum kl_rc rc;
};

static void fail_at(struct parse *parse, unsigned line, const char *words)
{
    if (parse->rc == KL_OK) parse->rc = kl_fail(KL_CONFIG, "%s:%u: %s", parse->conf->file, line, words);
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

static struct kl_view trim(struct kl_view text)
{
    while (text.len > 0 && is_space(text.data[0])) {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && is_space(text.data[text.len - 1])) text.len--;
    return text;
}

/* What no line of any kind may have. NULL if there is nothing. */
static const char *line_mistake(struct kl_view line)
{
    if (line.len > LINE_MAX_LEN) return "the line is longer than 1000 bytes";
    if (memchr(line.data, '\0', line.len) != NULL) return "the line has a NUL byte";
    if (memchr(line.data, '\r', line.len) != NULL) return "the line ends as in DOS (CR LF): end lines with LF alone";
    if (!kl_view_is_utf8(line)) return "the line is not UTF-8";
    if (line.len >= 3 && memcmp(line.data, "\xEF\xBB\xBF", 3) == 0) return "the file begins with a byte order mark: save it without";
    for (size_t i = 0; i < line.len; i++) {
        if ((line.data[i] < 0x20 && line.data[i] != '\t') || line.data[i] == 0x7F) return "the line has a control character";
    }
    return NULL;
}

/* The next line, trimmed; false at the end and after a mistake. */
static bool line_next(struct parse *parse, struct kl_view *out)
{
    const uint8_t *end;
    const char *mistake;

    if (parse->rc != KL_OK || parse->rest.len == 0) return false;
    end = memchr(parse->rest.data, '\n', parse->rest.len);
    *out = kl_view_of(parse->rest.data, end == NULL ? parse->rest.len : (size_t)(end - parse->rest.data));
    parse->rest.data += out->len + (end != NULL);
    parse->rest.len -= out->len + (end != NULL);
    parse->line++;
    mistake = line_mistake(*out);
    if (mistake != NULL) fail_at(parse, parse->line, mistake);
    *out = trim(*out);
    return mistake == NULL;
}

static void read_section(struct parse *parse, struct kl_view line)
{
    const struct kl_conf_section *other;
    enum kl_conf_kind kind;
    struct kl_view name;
    char title[KL_CONF_TITLE_CAP], words[128];

    if (line.data[line.len - 1] != ']' || !kl_conf_title_read(kl_view_of(line.data + 1, line.len - 2), &kind, &name)) {
        fail_at(
            parse, parse->line,
            "there is no such section; write [module], [token \"name\"], [root \"name\"] or [log], the name of letters, digits, '.', '_' and '-', at most 40");
        return;
    }
    other = kl_conf_section_find(parse->conf, kind, name);
    if (other != NULL) {
        snprintf(words, sizeof words, "%s is there already, in line %u", kl_conf_title(other, title), other->line);
        fail_at(parse, parse->line, words);
        return;
    }
    parse->rc = kl_conf_section_add(parse->conf, kind, name, parse->line);
    if (parse->rc == KL_OK) parse->section = parse->conf->sections[parse->conf->count - 1];
}

/* Puts "name=" into the line for inih and the rest into parse->value. */
static void read_setting(struct parse *parse, struct kl_view line, char *out, size_t cap)
{
    const uint8_t *equals = memchr(line.data, '=', line.len);
    struct kl_view name = trim(kl_view_of(line.data, equals == NULL ? 0 : (size_t)(equals - line.data)));
    struct kl_view value;

    if (!kl_conf_is_name(name) || name.len + 3 > cap) {
        fail_at(parse, parse->line, "this is no setting; write name = value, and comments on lines of their own that begin with ; or #");
        return;
    }
    if (parse->section == NULL) {
        fail_at(parse, parse->line, "a setting before the first section; begin with [module], [token \"name\"], [root \"name\"] or [log]");
        return;
    }
    value = trim(kl_view_of(equals + 1, line.len - (size_t)(equals + 1 - line.data)));
    memcpy(parse->value, value.data, value.len);
    parse->value[value.len] = '\0';
    snprintf(out, cap, "%.*s=\n", (int)name.len, (const char *)name.data);
}

/* ini_reader: like fgets, NULL at the end. Sections and comments are none of inih's business. */
static char *reader(char *out, int cap, void *stream)
{
    struct parse *parse = stream;
    struct kl_view line;

    if (cap < 2 || !line_next(parse, &line)) return NULL;
    snprintf(out, (size_t)cap, "\n");
    if (line.len == 0 || line.data[0] == ';' || line.data[0] == '#') return out;
    if (line.data[0] == '[') {
        read_section(parse, line);
    } else {
        read_setting(parse, line, out, (size_t)cap);
    }
    return parse->rc == KL_OK ? out : NULL;
}

/* ini_handler: nonzero goes on. */
static int handler(void *user, const char *section, const char *name, const char *unused)
{
    struct parse *parse = user;
    enum kl_setting setting = kl_conf_row_find(parse->section->kind, name);
    struct kl_conf_value *value;
    char title[KL_CONF_TITLE_CAP], words[192];

    (void)section;
    (void)unused;
    if (setting == KL_SETTINGS) {
        snprintf(words, sizeof words, "%s has no setting `%s`; keyladder.conf(5) lists them", kl_conf_title(parse->section, title), name);
        fail_at(parse, parse->line, words);
        return 0;
    }
    value = &parse->section->values[setting];
    if (value->text != NULL) {
        snprintf(words, sizeof words, "`%s` is set already, in line %u", name, value->line);
        fail_at(parse, parse->line, words);
        return 0;
    }
    parse->rc = kl_conf_value_read(kl_conf_row(setting), parse->value, value);
    value->line = parse->line;
    if (parse->rc == KL_CONFIG) parse->rc = kl_fail(KL_CONFIG, "%s:%u: %s", parse->conf->file, parse->line, kl_fail_words());
    return parse->rc == KL_OK;
}

/* --- the whole ----------------------------------------------------------- */

static enum kl_rc parse_text(struct kl_conf *conf, struct kl_view text)
{
    struct parse parse = { .conf = conf, .rest = text, .rc = KL_OK };
    int result = ini_parse_stream(reader, &parse, handler, &parse);

    KL_TRY(parse.rc);
    if (result == -2) return kl_fail(KL_MEMORY, "no memory for %s", conf->file);
    /* Nothing that passed the checks above can trip inih, unless the host shrank its lines to nothing. */
    if (result != 0 || parse.rest.len > 0) return kl_fail(KL_CONFIG, "%s:%u: cannot be read", conf->file, parse.line);
    return KL_OK;
}

static enum kl_rc load(struct kl_conf *conf, const char *path)
{
    struct kl_view text = { 0 };
    enum kl_rc rc;

    KL_TRY(read_file(path, &text));
    rc = parse_text(conf, text);
    free((void *)(uintptr_t)text.data);
    KL_TRY(rc);
    return kl_conf_finish(conf);
}

enum kl_rc kl_conf_load(const char *path, struct kl_conf **out)
{
    struct kl_conf *conf;
    enum kl_rc rc;

    if (path[0] != '/') return kl_fail(KL_CONFIG, "the configuration file %s: write the whole path, beginning with /", path);
    conf = calloc(1, sizeof *conf);
    if (conf != NULL) conf->file = strdup(path);
    rc = conf == NULL || conf->file == NULL ? kl_fail(KL_MEMORY, "no memory for %s", path) : load(conf, path);
    if (rc == KL_OK) {
        *out = conf;
    } else {
        kl_conf_free(conf);
    }
    return rc;
}

void kl_conf_free(struct kl_conf *conf)
{
    if (conf == NULL) return;
    for (size_t i = 0; i < conf->count; i++) {
        for (size_t j = 0; j < KL_SETTINGS; j++) kl_conf_value_clear(&conf->sections[i]->values[j]);
        free(conf->sections[i]);
    }
    free(conf->file);
    free(conf);
}
