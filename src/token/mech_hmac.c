/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* CKM_SHA256_HMAC and its like (v3.1 6.22 to 6.24), whole and cut short. */
#include "token/mac_op.h"

/* Every ladder key may sign, whatever its type: what signs is a subkey of 32 bytes, another one for each mechanism. */
/* clang-format off */
#define HMAC(number, words, own_type, same, begin)                                 \
    {                                                                              \
        .type = (number),                                                          \
        .name = (words),                                                           \
        .key_types = { CKK_GENERIC_SECRET, (own_type) },                           \
        .key_type_count = 2,                                                       \
        .min_key = 1,                                                              \
        .max_key = KL_SECRET_KEY_MAX,                                              \
        .family = (same),                                                          \
        .on_ladder = true,                                                         \
        .any_ladder_type = true,                                                   \
        .aes_if_compatible = true,                                                 \
        .steps = { [KL_OP_SIGN] = &kl_mac_steps, [KL_OP_VERIFY] = &kl_mac_steps }, \
        .init = (begin),                                                           \
        .end = kl_mac_op_end,                                                      \
        .clear = kl_mac_op_clear,                                                  \
    }
/* clang-format on */

const struct kl_mech kl_mech_sha256_hmac = HMAC(CKM_SHA256_HMAC, "HMAC-SHA-256", CKK_SHA256_HMAC, KL_FAMILY_HMAC_SHA256, kl_mac_op_init);
const struct kl_mech kl_mech_sha256_hmac_general =
    HMAC(CKM_SHA256_HMAC_GENERAL, "HMAC-SHA-256, short", CKK_SHA256_HMAC, KL_FAMILY_HMAC_SHA256, kl_mac_op_init_general);
const struct kl_mech kl_mech_sha384_hmac = HMAC(CKM_SHA384_HMAC, "HMAC-SHA-384", CKK_SHA384_HMAC, KL_FAMILY_HMAC_SHA384, kl_mac_op_init);
const struct kl_mech kl_mech_sha384_hmac_general =
    HMAC(CKM_SHA384_HMAC_GENERAL, "HMAC-SHA-384, short", CKK_SHA384_HMAC, KL_FAMILY_HMAC_SHA384, kl_mac_op_init_general);
const struct kl_mech kl_mech_sha512_hmac = HMAC(CKM_SHA512_HMAC, "HMAC-SHA-512", CKK_SHA512_HMAC, KL_FAMILY_HMAC_SHA512, kl_mac_op_init);
const struct kl_mech kl_mech_sha512_hmac_general =
    HMAC(CKM_SHA512_HMAC_GENERAL, "HMAC-SHA-512, short", CKK_SHA512_HMAC, KL_FAMILY_HMAC_SHA512, kl_mac_op_init_general);
