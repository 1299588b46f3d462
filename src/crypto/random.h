/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Random bytes from the kernel, which a fork, a snapshot of memory or a host's own generator cannot repeat. */
#ifndef KL_CRYPTO_RANDOM_H
#define KL_CRYPTO_RANDOM_H

#include <stddef.h>

#include "base/rc.h"
#include "base/secret.h"

/* getrandom(2) whole or KL_NO_RANDOM, never fewer bytes. Tests may replace the source. */
KL_MUST_USE enum kl_rc kl_random_fill(void *out, size_t len);
KL_MUST_USE enum kl_rc kl_random_secret(struct kl_secret *out, size_t len);
/* RFC 4122 version 4. */
KL_MUST_USE enum kl_rc kl_random_uuid(unsigned char out[16]);
/*
 * For what lives and dies with this process: a thread draws one, and each after it is the next number. Begins anew in a forked
 * child. Not for what is stored: a process that was put back to an earlier moment, with the machine that it runs on, repeats it.
 */
KL_MUST_USE enum kl_rc kl_random_uuid_next(unsigned char out[16]);
extern enum kl_rc (*kl_random_source)(void *out, size_t len);

/*
 * IVs of 96 bits for one key by SP 800-38D 8.2.2: a random one, then each the one before plus one, so that there is one system call for
 * many. Not for modes whose IVs nobody may foresee (CBC). { 0 } begins anew, which its owner does in a forked child.
 */
#define KL_IV_RUN 256 /* IVs of one random beginning */
struct kl_iv_run {
    uint64_t low;
    uint32_t high;
    uint32_t left;
};
KL_MUST_USE enum kl_rc kl_iv_run_next(struct kl_iv_run *run, uint8_t iv[12]);

#endif
