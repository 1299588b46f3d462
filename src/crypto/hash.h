/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* SHA-2, HMAC and HKDF (RFC 5869), one-shot over scattered bytes. */
#ifndef KL_CRYPTO_HASH_H
#define KL_CRYPTO_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/rc.h"

enum kl_hash { KL_SHA256, KL_SHA384, KL_SHA512, KL_HASHES };
#define KL_HASH_MAX 64
#define KL_SHA256_LEN 32

size_t kl_hash_len(enum kl_hash hash);

/*
 * SHA-2 by a provider of OpenSSL's and never by its functions of old (crypto/sha2.h), as a validated module wants it. For
 * what is begun from now on, digests and MACs too; false at first.
 */
void kl_hash_use_providers(bool wanted);

/* Digest of `count` parts one after the other, kl_hash_len bytes to out. KL_CRYPTO. */
KL_MUST_USE enum kl_rc kl_hash_parts(enum kl_hash hash, const struct kl_view *parts, size_t count, uint8_t *out);
/* HMAC likewise; any key length, also 0. */
KL_MUST_USE enum kl_rc kl_hmac_parts(enum kl_hash hash, struct kl_view key, const struct kl_view *parts, size_t count, uint8_t *out);

/* RFC 5869 2.2: PRK, kl_hash_len bytes; an empty salt is that many zero bytes. */
KL_MUST_USE enum kl_rc kl_hkdf_extract(enum kl_hash hash, struct kl_view salt, struct kl_view ikm, uint8_t *prk);
/* RFC 5869 2.3: out_len bytes, at most 255 times the hash's length (else KL_ARG). `info` is the parts one after the other. */
KL_MUST_USE enum kl_rc kl_hkdf_expand(enum kl_hash hash, struct kl_view prk, const struct kl_view *info, size_t count, uint8_t *out,
                                      size_t out_len);
/* Both. */
KL_MUST_USE enum kl_rc kl_hkdf(enum kl_hash hash, struct kl_view salt, struct kl_view ikm, struct kl_view info, uint8_t *out,
                               size_t out_len);

#endif
