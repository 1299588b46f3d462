/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* SHA-2 in parts. A context serves one message at a time and any number in turn. */
#ifndef KL_CRYPTO_DIGEST_H
#define KL_CRYPTO_DIGEST_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/rc.h"
#include "crypto/hash.h"

struct kl_digest;

/* KL_MEMORY, KL_CRYPTO. */
KL_MUST_USE enum kl_rc kl_digest_new(enum kl_hash hash, struct kl_digest **out);
/* NULL is allowed. */
void kl_digest_free(struct kl_digest *digest);
/* Begins a message; at any time, also after a failure or in the middle. KL_CRYPTO. */
KL_MUST_USE enum kl_rc kl_digest_start(struct kl_digest *digest);
/* Any length. Every failure ends the message (KL_ARG from the call after it). KL_CRYPTO. */
KL_MUST_USE enum kl_rc kl_digest_update(struct kl_digest *digest, struct kl_view in);
/* kl_hash_len bytes to out, zeroed on KL_CRYPTO; ends the message. */
KL_MUST_USE enum kl_rc kl_digest_finish(struct kl_digest *digest, uint8_t *out);

#endif
