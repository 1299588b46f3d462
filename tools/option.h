/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Options: one table for all commands, so that a name means the same everywhere; one that takes another value in one command has two rows. */
#ifndef KL_TOOLS_OPTION_H
#define KL_TOOLS_OPTION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/rc.h"

enum kl_opt {
    KL_OPT_NONE, /* ends a list */
    /* understood by every command */
    KL_OPT_CONF,
    KL_OPT_HELP,
    KL_OPT_JSON,
    KL_OPT_TOKEN,
    KL_OPT_VERSION,
    /* PINs */
    KL_OPT_GENERATE_PINS,
    KL_OPT_NEW_PIN,
    KL_OPT_PIN,
    KL_OPT_PIN_OUT,
    KL_OPT_SO,
    KL_OPT_SO_PIN,
    KL_OPT_SO_PIN_OUT,
    /* one command or two */
    KL_OPT_AAD,
    KL_OPT_CHECK,
    KL_OPT_CPU,
    KL_OPT_DOT,
    KL_OPT_ENVELOPE,
    KL_OPT_ID,
    KL_OPT_INPUT,
    KL_OPT_KEY,
    KL_OPT_LABEL,
    KL_OPT_LEVEL,
    KL_OPT_MODULE,
    KL_OPT_MODULES,
    KL_OPT_ONLY,
    KL_OPT_OUTPUT,
    KL_OPT_PARENTS,
    KL_OPT_QUICK,
    KL_OPT_RECORD,
    KL_OPT_REPLACE,
    KL_OPT_ROUNDS,
    KL_OPT_SVG,
    KL_OPT_SVG_FILE,
    KL_OPT_TYPE,
    KL_OPT_WORDS,
    KL_OPTS
};

#define KL_OPT_REPEATED_MAX 16

struct kl_option {
    const char *name;  /* without the dashes */
    char letter;       /* 0: none */
    const char *value; /* what --help calls it; NULL for a flag */
    const char *words;
    bool is_source; /* names where a secret is kept, and must never be the secret */
    bool repeats;   /* may stand there several times */
};
extern const struct kl_option kl_options[KL_OPTS];
/* Those of every command. */
extern const enum kl_opt kl_options_common[];

/* What a command line says. */
struct kl_arguments {
    const char *option[KL_OPTS]; /* NULL where not given; "" for a flag */
    char **operands;
    size_t count;
    char *repeated[KL_OPT_REPEATED_MAX]; /* every value of the option that may repeat: a command has one at the most */
    size_t repeated_count;
};

/*
 * Reads argv (up to its NULL) into `out`; options out of `allowed` and the common ones are known.
 * `*rest` NULL: operands may stand between options; out->operands is put together in argv itself.
 * Else it stops at the first operand and sets *rest to it (to the NULL when there is none).
 * KL_ARG with words for whoever typed it; a secret in a place for its source is wiped from argv and not repeated.
 */
KL_MUST_USE enum kl_rc kl_options_read(const enum kl_opt *allowed, char **argv, struct kl_arguments *out, char ***rest);

/* Whether it is "file:…" and the like; a PIN itself has no business on a command line, where every process can read it. */
bool kl_option_names_source(const char *value);
/* The name in `names` (up to NULL) that `word` was probably meant to be, or NULL. */
const char *kl_option_nearest(const char *word, const char *const *names);

#endif
