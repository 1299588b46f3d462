/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Keys under keys: AES key wrap of SP 800-38F, which are RFC 3394 (KW) and RFC 5649 (KWP). */
#ifndef KL_CRYPTO_KEYWRAP_H
#define KL_CRYPTO_KEYWRAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/rc.h"
#include "base/secret.h"

enum kl_keywrap { KL_KEYWRAP_KW, KL_KEYWRAP_KWP };
#define KL_KEYWRAP_MAX 8192 /* bytes in */

/*
 * Bytes that wrapping `len` gives; 0 where the format does not take that length (KW:
 * multiples of 8 from 16, since SP 800-38F wants two semiblocks; KWP: from 1; both up to KL_KEYWRAP_MAX).
 */
size_t kl_keywrap_len(enum kl_keywrap format, size_t len);
/*
 * kek of 16, 24 or 32 bytes. iv: empty for the standard's own, else 8 bytes (KW) or 4
 * (KWP): KL_PARAMETER. out: kl_keywrap_len bytes, not overlapping, zeroed on KL_CRYPTO.
 * KL_KEY_SIZE, KL_DATA_LENGTH, KL_MEMORY, KL_CRYPTO.
 */
KL_MUST_USE enum kl_rc kl_keywrap_seal(enum kl_keywrap format, struct kl_view kek, struct kl_view iv, struct kl_view in, uint8_t *out);
/*
 * Likewise back, to `out`, which must be empty. KL_WRAPPED_LENGTH for a length that no
 * wrapping has, KL_WRAPPED for anything that does not unwrap (one code, no oracle).
 */
KL_MUST_USE enum kl_rc kl_keywrap_open(enum kl_keywrap format, struct kl_view kek, struct kl_view iv, struct kl_view in,
                                       struct kl_secret *out);

#endif
