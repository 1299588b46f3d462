/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* CKM_AES_CTR (v3.1 6.11). */
#include <string.h>

#include "crypto/random.h"
#include "token/cipher_op.h"
#include "token/iv_make.h"

#define CLEAR_BITS 32 /* of a counter that the token makes: it begins at zero in these, and has 96 random bits before them */

/* Blocks that there are after the first before the counter, the last `bits` of the block, comes round; 2^64 - 1 for as many or more. */
static uint64_t blocks_after_first(const uint8_t block[KL_AES_BLOCK], size_t bits)
{
    uint64_t count = 0;

    for (size_t bit = bits; bit-- > 0;) {
        uint64_t is_clear = (uint64_t)(~block[KL_AES_BLOCK - 1 - bit / 8] >> bit % 8) & 1;

        if (count >> 63) return UINT64_MAX;
        count = count << 1 | is_clear;
    }
    return count;
}

static uint64_t room_of(const uint8_t block[KL_AES_BLOCK], size_t bits)
{
    uint64_t count = blocks_after_first(block, bits);

    return count >= UINT64_MAX / KL_AES_BLOCK ? UINT64_MAX : (count + 1) * KL_AES_BLOCK;
}

static void clear_low_bits(uint8_t block[KL_AES_BLOCK], size_t bits)
{
    for (size_t bit = 0; bit < bits && bit < CLEAR_BITS; bit++) block[KL_AES_BLOCK - 1 - bit / 8] &= (uint8_t) ~(1u << bit % 8);
}

/* The block goes back where it came from. */
static enum kl_rc choose_block(const struct kl_op *op, CK_AES_CTR_PARAMS *params, struct kl_view parameter)
{
    uint8_t *theirs = (uint8_t *)(uintptr_t)parameter.data + offsetof(CK_AES_CTR_PARAMS, cb);
    bool makes = false;

    KL_TRY(kl_iv_judge(op, false, kl_view_of(params->cb, sizeof params->cb), &makes));
    if (!makes) return KL_OK;
    KL_TRY(kl_random_fill(params->cb, sizeof params->cb));
    clear_low_bits(params->cb, params->ulCounterBits);
    memcpy(theirs, params->cb, sizeof params->cb);
    return KL_OK;
}

static enum kl_rc init(struct kl_op *op, enum kl_op_kind kind, struct kl_view parameter)
{
    CK_AES_CTR_PARAMS params;

    KL_CHECK(parameter.data && parameter.len == sizeof params, KL_PARAMETER);
    memcpy(&params, parameter.data, sizeof params);
    KL_CHECK(params.ulCounterBits >= 1 && params.ulCounterBits <= 8 * KL_AES_BLOCK, KL_PARAMETER);
    if (kind == KL_OP_ENCRYPT) KL_TRY(choose_block(op, &params, parameter));
    return kl_cipher_op_begin(op, kind, kl_view_of(params.cb, sizeof params.cb), room_of(params.cb, params.ulCounterBits));
}

const struct kl_mech kl_mech_aes_ctr = {
    .type = CKM_AES_CTR,
    .name = "AES-CTR",
    .key_types = { CKK_AES },
    .key_type_count = 1,
    .min_key = 16,
    .max_key = 32,
    .family = KL_FAMILY_CTR,
    .on_ladder = true,
    .steps = { [KL_OP_ENCRYPT] = &kl_cipher_stream, [KL_OP_DECRYPT] = &kl_cipher_stream },
    .init = init,
    .end = kl_cipher_op_end,
    .clear = kl_cipher_op_clear,
};
