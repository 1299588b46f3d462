/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* HMAC (RFC 2104) by two SHA-2 states that have taken in the key. For the files of this room alone. */
#ifndef KL_CRYPTO_HMAC_H
#define KL_CRYPTO_HMAC_H

#include "crypto/sha2.h"

/*
 * The size in which a processor with instructions for SHA-2 loads a block. What was just stored in smaller pieces it would have
 * to wait for, which for a key of a block took a quarter of a compression.
 */
typedef uint8_t kl_hmac_piece __attribute__((vector_size(16)));

/* All that has to do with the key lies here, to be wiped at one time. */
struct kl_hmac {
    struct kl_sha2 inner, outer;
    kl_hmac_piece block[KL_SHA2_BLOCK_MAX / sizeof(kl_hmac_piece)]; /* the key and a pad */
    uint8_t digest[KL_HASH_MAX];                                    /* the inner one */
};

/* Of memory with anything in it. What is zero is blank. */
static inline void kl_hmac_blank(struct kl_hmac *hmac)
{
    kl_sha2_blank(&hmac->inner);
    kl_sha2_blank(&hmac->outer);
}

/* Takes in a key of any length, also 0; at any time, with the one hash. KL_CRYPTO. */
KL_MUST_USE enum kl_rc kl_hmac_begin(struct kl_hmac *hmac, enum kl_hash hash, struct kl_view key);
/* `to` goes on as `from` would; it is blank, or had a copy from such a one before. KL_CRYPTO. */
KL_MUST_USE enum kl_rc kl_hmac_copy(struct kl_hmac *to, const struct kl_hmac *from);
/* Once the message has gone to `inner`: kl_hash_len bytes. Both states are used up. KL_CRYPTO. */
KL_MUST_USE enum kl_rc kl_hmac_finish(struct kl_hmac *hmac, uint8_t *out);
/* As kl_sha2_drop: the memory is the caller's to wipe. */
void kl_hmac_drop(struct kl_hmac *hmac);

#endif
