/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* CKM_AES_ECB (v3.1 6.10.4): whole blocks, and equal ones show; policy `compatible` only. */
#include "token/cipher_op.h"

static enum kl_rc init(struct kl_op *op, enum kl_op_kind kind, struct kl_view parameter)
{
    KL_TRY(kl_mech_no_parameter(parameter));
    return kl_cipher_op_begin(op, kind, kl_view_of(NULL, 0), UINT64_MAX);
}

const struct kl_mech kl_mech_aes_ecb = {
    .type = CKM_AES_ECB,
    .name = "AES-ECB",
    .key_types = { CKK_AES },
    .key_type_count = 1,
    .min_key = 16,
    .max_key = 32,
    .family = KL_FAMILY_ECB,
    .is_compatible_only = true,
    .steps = { [KL_OP_ENCRYPT] = &kl_cipher_blocks_encrypt, [KL_OP_DECRYPT] = &kl_cipher_blocks_decrypt },
    .init = init,
    .end = kl_cipher_op_end,
    .clear = kl_cipher_op_clear,
};
