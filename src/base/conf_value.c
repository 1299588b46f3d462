/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What may stand to the right of the equals sign. */
#include "base/conf_parts.h"

#include <stdlib.h>
#include <string.h>

struct unit {
    const char *name;
    int64_t worth;
};

static const struct unit durations[] = { { "s", 1 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 }, { NULL, 0 } };
static const struct unit byte_sizes[] = { { "KiB", 1 << 10 }, { "MiB", 1 << 20 }, { "GiB", 1 << 30 }, { NULL, 0 } };

static enum kl_rc read_text(const struct kl_conf_row *row, const char *text, struct kl_conf_value *out)
{
    (void)out;
    if (strlen(text) > 64) return kl_fail(KL_CONFIG, "`%s` is longer than 64 characters", row->words.name);
    return KL_OK;
}

/* Whether `text` is the alternative of len characters, or begins as it does if that ends in PATH. */
static bool is_alternative(const char *text, const char *alternative, size_t len)
{
    bool is_path = len > 4 && strncmp(alternative + len - 4, "PATH", 4) == 0;

    if (is_path) return strncmp(text, alternative, len - 4) == 0 && text[len - 4] != '\0';
    return strlen(text) == len && strncmp(text, alternative, len) == 0;
}

static enum kl_rc read_choice(const struct kl_conf_row *row, const char *text, struct kl_conf_value *out)
{
    const char *form = row->words.form;

    (void)out;
    for (size_t len; *form != '\0'; form += len + strspn(form + len, " |")) {
        len = strcspn(form, " ");
        if (is_alternative(text, form, len)) return KL_OK;
    }
    return kl_fail(KL_CONFIG, "`%s` cannot be \"%s\"; write %s = %s", row->words.name, text, row->words.name, row->words.form);
}

static enum kl_rc read_bool(const struct kl_conf_row *row, const char *text, struct kl_conf_value *out)
{
    KL_TRY(read_choice(row, text, out));
    out->number = strcmp(text, "yes") == 0;
    return KL_OK;
}

/* A number and a unit without a space between. */
static bool read_units(const char *text, const struct unit *unit, int64_t *out)
{
    const char *rest = text + strspn(text, "0123456789");
    int64_t number = 0;

    if (rest == text || rest - text > 12) return false;
    for (; text < rest; text++) number = number * 10 + (*text - '0');
    while (unit->name != NULL && strcmp(unit->name, rest) != 0) unit++;
    return unit->name != NULL && !__builtin_mul_overflow(number, unit->worth, out);
}

/* 7200 as "2h", in the largest unit that divides it. */
static struct unit in_units(int64_t number, const struct unit *units)
{
    const struct unit *best = units;

    for (const struct unit *unit = units; unit->name != NULL; unit++) {
        if (number % unit->worth == 0) best = unit;
    }
    return (struct unit){ best->name, number / best->worth };
}

static enum kl_rc read_number(const struct kl_conf_row *row, const char *text, struct kl_conf_value *out)
{
    bool is_size = row->form == KL_FORM_SIZE;
    const struct unit *units = is_size ? byte_sizes : durations;
    struct unit least = in_units(row->least, units), most = in_units(row->most, units);

    if (!read_units(text, units, &out->number)) {
        return kl_fail(KL_CONFIG, "`%s` cannot be \"%s\"; write a %s such as %s", row->words.name, text, row->words.form,
                       is_size ? "64MiB or 1GiB" : "30s, 5m, 1h or 90d");
    }
    if (out->number < row->least || out->number > row->most) {
        return kl_fail(KL_CONFIG, "`%s` cannot be %s; write a %s from %lld%s to %lld%s", row->words.name, text, row->words.form,
                       (long long)least.worth, least.name, (long long)most.worth, most.name);
    }
    return KL_OK;
}

bool kl_conf_is_name(struct kl_view name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] == '\0' || strchr(allowed, name.data[i]) == NULL) return false;
    }
    return name.len > 0 && name.len <= KL_CONF_NAME_MAX;
}

/* Whether the list, "a\0b\0\0", has the name. */
static bool has_name(const char *names, struct kl_view name)
{
    for (; *names != '\0'; names += strlen(names) + 1) {
        if (kl_view_is(kl_view_text(names), name)) return true;
    }
    return false;
}

/* "a, b" into "a\0b\0\0", which is at most one byte longer. */
static enum kl_rc read_names(const struct kl_conf_row *row, const char *text, struct kl_conf_value *out)
{
    const char *from = text, *end;
    char *to = calloc(1, strlen(text) + 2);

    if (to == NULL) return kl_fail(KL_MEMORY, "no memory for the configuration");
    out->names = to;
    do {
        struct kl_view name = kl_view_of(from, strcspn(from, ", \t"));

        end = from + name.len + strspn(from + name.len, " \t");
        if (!kl_conf_is_name(name) || (*end != ',' && *end != '\0')) {
            return kl_fail(KL_CONFIG, "`%s` cannot be \"%s\"; write %s = first, second", row->words.name, text, row->words.name);
        }
        if (has_name(out->names, name)) return kl_fail(KL_CONFIG, "`%s` names %.*s twice", row->words.name, (int)name.len, from);
        memcpy(to, name.data, name.len);
        to += name.len + 1;
        from = end + 1 + (*end == ',' ? strspn(end + 1, " \t") : 0);
    } while (*end == ',');
    return KL_OK;
}

static enum kl_rc read_source(const struct kl_conf_row *row, const char *text, struct kl_conf_value *out)
{
    (void)out;
    if (kl_conf_source_check(text) == KL_OK) return KL_OK;
    return kl_fail(KL_CONFIG, "`%s`: %s", row->words.name, kl_fail_words());
}

/* Mistakes that would otherwise become part of the value. */
static enum kl_rc check_text(const struct kl_conf_row *row, const char *text)
{
    if (text[0] == '\0') return kl_fail(KL_CONFIG, "`%s` has no value; write one, or leave the line out", row->words.name);
    if (text[0] == '"' || text[0] == '\'') return kl_fail(KL_CONFIG, "`%s`: write the value without quotation marks", row->words.name);
    for (const char *at = text; *at != '\0'; at++) {
        if ((*at == ' ' || *at == '\t') && (at[1] == ';' || at[1] == '#'))
            return kl_fail(KL_CONFIG, "`%s`: write the comment on a line of its own", row->words.name);
    }
    return KL_OK;
}

enum kl_rc kl_conf_value_read(const struct kl_conf_row *row, const char *text, struct kl_conf_value *out)
{
    static enum kl_rc (*const read[])(const struct kl_conf_row *, const char *, struct kl_conf_value *) = {
        [KL_FORM_TEXT] = read_text,       [KL_FORM_CHOICE] = read_choice, [KL_FORM_NAMES] = read_names,   [KL_FORM_BOOL] = read_bool,
        [KL_FORM_DURATION] = read_number, [KL_FORM_SIZE] = read_number,   [KL_FORM_SOURCE] = read_source,
    };

    KL_TRY(check_text(row, text));
    KL_TRY(read[row->form](row, text, out));
    out->text = strdup(text);
    return out->text != NULL ? KL_OK : kl_fail(KL_MEMORY, "no memory for the configuration");
}

void kl_conf_value_clear(struct kl_conf_value *value)
{
    free(value->text);
    free(value->names);
    *value = (struct kl_conf_value){ 0 };
}
