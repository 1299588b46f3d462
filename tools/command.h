/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The table of sub-commands: one file and one row each. */
#ifndef KL_TOOLS_COMMAND_H
#define KL_TOOLS_COMMAND_H

#include <stddef.h>

#include "base/rc.h"
#include "option.h"

/* What the tool ends with. */
enum kl_exit { KL_EXIT_DONE = 0, KL_EXIT_FAILED = 1, KL_EXIT_USAGE = 2, KL_EXIT_ATTENTION = 3 };

struct kl_cli;

struct kl_command {
    const char *name;
    const char *operands;       /* as --help writes them; "" for none */
    size_t least, most;         /* how many operands there may be */
    const char *summary;        /* one line */
    const char *details;        /* what --help says further */
    const enum kl_opt *options; /* up to KL_OPT_NONE; those of every command are left out */
    /* A failure is told by main from kl_fail_words(); what only deserves attention is set in cli->status. */
    enum kl_rc (*run)(struct kl_cli *cli);
};

/* In the order of --help, up to NULL. */
extern const struct kl_command *const kl_commands[];
/* NULL for none of that name. */
const struct kl_command *kl_command_find(const char *name);

extern const struct kl_command kl_command_bench;
extern const struct kl_command kl_command_create;
extern const struct kl_command kl_command_decrypt;
extern const struct kl_command kl_command_doctor;
extern const struct kl_command kl_command_encrypt;
extern const struct kl_command kl_command_help;
extern const struct kl_command kl_command_init;
extern const struct kl_command kl_command_list;
extern const struct kl_command kl_command_pin;
extern const struct kl_command kl_command_show;
extern const struct kl_command kl_command_status;
extern const struct kl_command kl_command_tree;

#endif
