/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "crypto/hmac.h"

#include <string.h>

enum { INNER_PAD = 0x36, OUTER_PAD = 0x5C };

/* `outer` takes in a key of more than a block, before it takes in what comes of that. */
static enum kl_rc shorten(struct kl_hmac *hmac, enum kl_hash hash, struct kl_view key)
{
    KL_TRY(kl_sha2_begin(&hmac->outer, hash));
    KL_TRY(kl_sha2_update(&hmac->outer, key));
    return kl_sha2_finish(&hmac->outer, (uint8_t *)hmac->block);
}

static enum kl_rc key_as_block(struct kl_hmac *hmac, enum kl_hash hash, struct kl_view key)
{
    size_t len = kl_sha2_block(hash);

    for (size_t i = 0; i < len / sizeof hmac->block[0]; i++) hmac->block[i] = (kl_hmac_piece){ 0 };
    if (key.len > len) return shorten(hmac, hash, key);
    if (key.len > 0) memcpy(hmac->block, key.data, key.len);
    return KL_OK;
}

static enum kl_rc take_in(struct kl_hmac *hmac, struct kl_sha2 *state, enum kl_hash hash, uint8_t pad)
{
    size_t len = kl_sha2_block(hash);

    for (size_t i = 0; i < len / sizeof hmac->block[0]; i++) hmac->block[i] ^= pad;
    KL_TRY(kl_sha2_begin(state, hash));
    return kl_sha2_update(state, kl_view_of(hmac->block, len));
}

enum kl_rc kl_hmac_begin(struct kl_hmac *hmac, enum kl_hash hash, struct kl_view key)
{
    KL_TRY(key_as_block(hmac, hash, key));
    /* One right after the other: neither waits for what comes of the other, so that a processor does both at a time. */
    KL_TRY(take_in(hmac, &hmac->inner, hash, INNER_PAD));
    return take_in(hmac, &hmac->outer, hash, INNER_PAD ^ OUTER_PAD);
}

enum kl_rc kl_hmac_copy(struct kl_hmac *to, const struct kl_hmac *from)
{
    KL_TRY(kl_sha2_copy(&to->inner, &from->inner));
    return kl_sha2_copy(&to->outer, &from->outer);
}

enum kl_rc kl_hmac_finish(struct kl_hmac *hmac, uint8_t *out)
{
    KL_TRY(kl_sha2_finish(&hmac->inner, hmac->digest));
    KL_TRY(kl_sha2_update(&hmac->outer, kl_view_of(hmac->digest, kl_hash_len(hmac->outer.hash))));
    return kl_sha2_finish(&hmac->outer, out);
}

void kl_hmac_drop(struct kl_hmac *hmac)
{
    kl_sha2_drop(&hmac->inner);
    kl_sha2_drop(&hmac->outer);
}
