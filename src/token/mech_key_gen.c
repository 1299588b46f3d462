/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Keys of random bytes; src/token/make.c draws them. */
#include "token/mech.h"

const struct kl_mech kl_mech_aes_key_gen = {
    .type = CKM_AES_KEY_GEN,
    .name = "AES key generation",
    .min_key = 16,
    .max_key = 32,
    .generates = true,
    .makes = CKK_AES,
};

const struct kl_mech kl_mech_generic_key_gen = {
    .type = CKM_GENERIC_SECRET_KEY_GEN,
    .name = "generic secret generation",
    .min_key = 1,
    .max_key = KL_VALUE_MAX,
    .generates = true,
    .makes = CKK_GENERIC_SECRET,
};

const struct kl_mech kl_mech_chacha20_key_gen = {
    .type = CKM_CHACHA20_KEY_GEN,
    .name = "ChaCha20 key generation",
    .min_key = 32,
    .max_key = 32,
    .generates = true,
    .makes = CKK_CHACHA20,
};

const struct kl_mech kl_mech_hkdf_key_gen = {
    .type = CKM_HKDF_KEY_GEN,
    .name = "HKDF key generation",
    .min_key = 1,
    .max_key = KL_VALUE_MAX,
    .generates = true,
    .makes = CKK_HKDF,
};
