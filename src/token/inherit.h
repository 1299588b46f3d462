/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * `fork = inherit` of [module]: a forked child goes on with its own copy of sessions, logins and keys (doc/architecture.md,
 * "Fork and threads").
 */
#ifndef KL_TOKEN_INHERIT_H
#define KL_TOKEN_INHERIT_H

#include <stdbool.h>

#include "base/conf.h"
#include "base/rc.h"
#include "base/secret.h"

enum kl_fork_rule kl_inherit_rule(const struct kl_conf *conf);
/* The rule from now on: C_Initialize's own reading of the configuration decides. Under kl_module_lock. KL_MEMORY. */
KL_MUST_USE enum kl_rc kl_inherit_set(enum kl_fork_rule rule);
/*
 * Whether CKF_INTERFACE_FORK_SAFE is true: by the rule of the last C_Initialize, and before the first by what the
 * configuration says, which is read once for this, without a word; one that cannot be read means `reset`.
 */
bool kl_inherit_is_promised(void);

#endif
