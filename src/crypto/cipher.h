/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * AES without authentication, in parts. A keyed context makes one key expansion,
 * goes one way, and serves one message at a time.
 */
#ifndef KL_CRYPTO_CIPHER_H
#define KL_CRYPTO_CIPHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/rc.h"

enum kl_cipher_mode { KL_CIPHER_ECB, KL_CIPHER_CBC, KL_CIPHER_CTR, KL_CIPHER_MODES };
#define KL_AES_BLOCK 16

struct kl_cipher;

/* Keyed context; key of 16, 24 or 32 bytes. KL_KEY_SIZE, KL_MEMORY, KL_CRYPTO. */
KL_MUST_USE enum kl_rc kl_cipher_new(enum kl_cipher_mode mode, struct kl_view key, bool encrypts, struct kl_cipher **out);
/* NULL is allowed. */
void kl_cipher_free(struct kl_cipher *cipher);
/*
 * Begins a message; at any time, also after a failure or in the middle. `iv`: 16 bytes,
 * not kept; of CTR the first counter block, all of which counts and wraps; of ECB empty. KL_PARAMETER, KL_CRYPTO.
 */
KL_MUST_USE enum kl_rc kl_cipher_start(struct kl_cipher *cipher, struct kl_view iv);
/*
 * As many bytes out as in. ECB, CBC: whole blocks (KL_DATA_LENGTH); CTR: any length,
 * going on where the last call stopped. `out` may be in.data (in place); any other
 * overlap is KL_ARG. KL_CRYPTO: `out` is zeroed. Every failure ends the message (KL_ARG
 * from the update after it). There is no padding here.
 */
KL_MUST_USE enum kl_rc kl_cipher_update(struct kl_cipher *cipher, struct kl_view in, uint8_t *out);

#endif
