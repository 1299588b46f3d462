/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* CKM_AES_CMAC and CKM_AES_CMAC_GENERAL (v3.1 6.14; SP 800-38B). */
#include "token/mac_op.h"

const struct kl_mech kl_mech_aes_cmac = {
    .type = CKM_AES_CMAC,
    .name = "AES-CMAC",
    .key_types = { CKK_AES },
    .key_type_count = 1,
    .min_key = 16,
    .max_key = 32,
    .family = KL_FAMILY_CMAC,
    .steps = { [KL_OP_SIGN] = &kl_mac_steps, [KL_OP_VERIFY] = &kl_mac_steps },
    .init = kl_mac_op_init,
    .end = kl_mac_op_end,
    .clear = kl_mac_op_clear,
};

const struct kl_mech kl_mech_aes_cmac_general = {
    .type = CKM_AES_CMAC_GENERAL,
    .name = "AES-CMAC, short",
    .key_types = { CKK_AES },
    .key_type_count = 1,
    .min_key = 16,
    .max_key = 32,
    .family = KL_FAMILY_CMAC,
    .steps = { [KL_OP_SIGN] = &kl_mac_steps, [KL_OP_VERIFY] = &kl_mac_steps },
    .init = kl_mac_op_init_general,
    .end = kl_mac_op_end,
    .clear = kl_mac_op_clear,
};
