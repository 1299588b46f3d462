/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Secrets from where the command line, the configuration or a person at the terminal keeps them. */
#ifndef KL_TOOLS_ASK_H
#define KL_TOOLS_ASK_H

#include "base/rc.h"
#include "base/secret.h"
#include "cli.h"

/*
 * The secret that `source` names; "prompt" asks for `what` ("PIN of token demo") on the terminal.
 * Without a terminal KL_NOT_FOUND with words that name `option` and what else would do. KL_INTERRUPTED.
 */
KL_MUST_USE enum kl_rc kl_ask_secret(struct kl_cli *cli, enum kl_opt option, const char *source, const char *what, struct kl_secret *out);
/* The same for one that is new: a person types it twice. KL_ARG when the two differ. */
KL_MUST_USE enum kl_rc kl_ask_new_secret(struct kl_cli *cli, enum kl_opt option, const char *source, const char *what,
                                         struct kl_secret *out);

#endif
