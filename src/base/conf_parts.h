/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the conf*.c files share; everybody else includes conf.h. */
#ifndef KL_BASE_CONF_PARTS_H
#define KL_BASE_CONF_PARTS_H

#include <stdint.h>

#include "base/conf.h"

#define KL_CONF_NAME_MAX 40

enum kl_conf_form {
    KL_FORM_TEXT,   /* 1 to 64 characters */
    KL_FORM_CHOICE, /* one of the alternatives that words.form lists; "x:/PATH" stands for any text that begins "x:/" */
    KL_FORM_NAMES,  /* names of [root] sections, separated by commas */
    KL_FORM_BOOL,
    KL_FORM_DURATION,
    KL_FORM_SIZE,
    KL_FORM_SOURCE, /* where a secret is; never quoted in an error, it may be the secret itself */
};

/* One row of settings[]. */
struct kl_conf_row {
    struct kl_setting_words words;
    enum kl_conf_form form;
    int64_t least, most; /* of durations in seconds, of sizes in bytes */
    const char *type;    /* belongs to [root] sections of this type alone; NULL: to all */
};

struct kl_conf_value {
    unsigned line; /* 0: a default */
    char *text;    /* as written; NULL: none */
    char *names;   /* of KL_FORM_NAMES: each ends with NUL, an empty one is the last */
    int64_t number;
};

/* Never NULL. */
const struct kl_conf_row *kl_conf_row(enum kl_setting setting);
/* KL_SETTINGS if the kind has no such setting. */
enum kl_setting kl_conf_row_find(enum kl_conf_kind kind, const char *name);

/* Reads a value by its row into an empty `out`; KL_CONFIG with words that begin after "FILE:LINE: ". */
KL_MUST_USE enum kl_rc kl_conf_value_read(const struct kl_conf_row *row, const char *text, struct kl_conf_value *out);
void kl_conf_value_clear(struct kl_conf_value *value);
/* Letters, digits, '.', '_' and '-', 1 to KL_CONF_NAME_MAX of them: what sections are called. */
bool kl_conf_is_name(struct kl_view name);

/* The source is written as one must be; KL_CONFIG with words. Whether there is a secret is seen when it is read. */
KL_MUST_USE enum kl_rc kl_conf_source_check(const char *source);

/* --- sections, conf_section.c --- */

struct kl_conf_section {
    enum kl_conf_kind kind;
    unsigned line; /* 0: not in the file */
    char name[KL_CONF_NAME_MAX + 1];
    struct kl_conf_value values[KL_SETTINGS];
};

#define KL_CONF_SECTIONS_MAX 1000

struct kl_conf {
    char *file;
    struct kl_conf_section *sections[KL_CONF_SECTIONS_MAX];
    size_t count;
};

enum { KL_CONF_TITLE_CAP = KL_CONF_NAME_MAX + 16 };

/* "[token "prod"]" or "[log]", as one would write it; returns out. */
const char *kl_conf_title(const struct kl_conf_section *section, char out[KL_CONF_TITLE_CAP]);
/* What stands between the brackets, taken apart; false if it is no section's title. */
bool kl_conf_title_read(struct kl_view title, enum kl_conf_kind *kind, struct kl_view *name);
const struct kl_conf_section *kl_conf_section_find(const struct kl_conf *conf, enum kl_conf_kind kind, struct kl_view name);
/* Adds a section at the end; KL_MEMORY, KL_CONFIG if there are too many. */
KL_MUST_USE enum kl_rc kl_conf_section_add(struct kl_conf *conf, enum kl_conf_kind kind, struct kl_view name, unsigned line);
/* Fills in defaults and checks what concerns more than one line. */
KL_MUST_USE enum kl_rc kl_conf_finish(struct kl_conf *conf);

#endif
