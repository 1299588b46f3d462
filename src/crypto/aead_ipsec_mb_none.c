/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* In the place of aead_ipsec_mb.c where the module is built without libipsec-mb: engines that have nothing. */
#include "crypto/aead.h"

static bool has_nothing(enum kl_aead_algorithm algorithm, size_t key_len, size_t iv_len)
{
    (void)algorithm;
    (void)key_len;
    (void)iv_len;
    return false;
}

const struct kl_aead_engine kl_aead_ipsec_mb_gcm = { .name = "ipsec-mb", .engine = KL_ENGINE_IPSEC_MB, .has = has_nothing };
const struct kl_aead_engine kl_aead_ipsec_mb_chacha = { .name = "ipsec-mb", .engine = KL_ENGINE_IPSEC_MB, .has = has_nothing };
