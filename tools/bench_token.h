/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A token for `keyladder bench` alone, which is thrown away. */
#ifndef KL_TOOLS_BENCH_TOKEN_H
#define KL_TOOLS_BENCH_TOKEN_H

#include "base/rc.h"
#include "base/secret.h"

struct kl_bench_token {
    char folder[256]; /* "" when there is none */
    char conf[300];
    struct kl_secret pin, so_pin;
};
/* A new folder of mode 0700 below $TMPDIR with a configuration and what it names. */
KL_MUST_USE enum kl_rc kl_bench_token_make(struct kl_bench_token *token);
/* Leaves nothing. */
void kl_bench_token_clear(struct kl_bench_token *token);

#endif
