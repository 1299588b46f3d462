/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What --help shows, made from the tables. */
#ifndef KL_TOOLS_HELP_H
#define KL_TOOLS_HELP_H

#include "command.h"

void kl_help_all(void);
void kl_help_command(const struct kl_command *command);

#endif
