/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What every sub-command has at hand: its command line, the configuration, the token it works on, and how to answer. */
#ifndef KL_TOOLS_CLI_H
#define KL_TOOLS_CLI_H

#include <stdbool.h>

#include "base/conf.h"
#include "base/json.h"
#include "base/rc.h"
#include "command.h"
#include "ladder/ladder.h"
#include "option.h"

struct kl_cli {
    const struct kl_command *command;
    struct kl_arguments args;
    enum kl_exit status; /* what a command that did not fail ends with; KL_EXIT_USAGE turns a failure into a usage error */
    const char *advice;  /* what to do about a failure, for kl_cli_fail; static text */
    struct kl_conf *conf;
    const struct kl_conf_section *section; /* the [token] */
    struct kl_ladder *ladder;
};

bool kl_cli_has(const struct kl_cli *cli, enum kl_opt option);
/* NULL where not given. */
const char *kl_cli_option(const struct kl_cli *cli, enum kl_opt option);
bool kl_cli_is_json(const struct kl_cli *cli);

/* KL_ARG with these words: whoever typed the command line got it wrong. */
KL_MUST_USE enum kl_rc kl_cli_misuse(struct kl_cli *cli, const char *format, ...) KL_PRINTF(2, 3);
/* Adds what to do to a failure that is handed up; static text. */
enum kl_rc kl_cli_advise(struct kl_cli *cli, enum kl_rc rc, const char *advice);
/* Something worth knowing that is no failure, to stderr. */
void kl_cli_note(const char *format, ...) KL_PRINTF(1, 2);
/* Tells a failure on stderr, in words or in JSON. Returns what to end with. */
enum kl_exit kl_cli_fail(struct kl_cli *cli, enum kl_rc rc);

/* Reads the configuration. KL_NOT_FOUND's words hold the smallest configuration to write. */
KL_MUST_USE enum kl_rc kl_cli_configure(struct kl_cli *cli);
/* That, and the token: --token, or the only one there is. Its store may not exist yet. */
KL_MUST_USE enum kl_rc kl_cli_open(struct kl_cli *cli);
/* That, and the PIN from --pin or --so-pin, the `pin` setting (user only) or the terminal. Refuses a token that does not exist yet: KL_TOKEN_UNSET. */
KL_MUST_USE enum kl_rc kl_cli_login(struct kl_cli *cli, enum kl_role role);
/* What kl_cli_login logs in with, for who does so in another process. */
KL_MUST_USE enum kl_rc kl_cli_pin(struct kl_cli *cli, enum kl_role role, struct kl_secret *pin);
void kl_cli_close(struct kl_cli *cli);

/* Writes JSON to stdout and frees it. KL_MEMORY. */
KL_MUST_USE enum kl_rc kl_cli_answer(struct kl_json *json);
/* A new object with the token's name in it, what every answer in JSON begins with. */
struct kl_json *kl_cli_object(const struct kl_cli *cli);

#endif
