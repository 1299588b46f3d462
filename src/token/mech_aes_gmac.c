/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* CKM_AES_GMAC (SP 800-38D): GCM with nothing to encrypt; the data is what GCM calls associated. */
#include <string.h>

#include "token/aead_op.h"
#include "token/iv_make.h"
#include "token/mac_op.h"

#define TAG_LEN 16

/* v3.1 6.13.6 takes IV and length of the tag from CK_GCM_PARAMS; 2.40 has the IV alone, of 12 bytes, and a whole tag. */
static enum kl_rc read_parameter(struct kl_view parameter, struct kl_aead_fields *out)
{
    if (parameter.data && parameter.len == KL_IV_USUAL) {
        *out = (struct kl_aead_fields){ .iv = (uint8_t *)(uintptr_t)parameter.data, .iv_len = KL_IV_USUAL, .tag_len = TAG_LEN };
        return KL_OK;
    }
    KL_TRY(kl_gcm_read_parameter(parameter, out));
    KL_CHECK(out->iv && out->iv_len >= 1 && out->iv_len <= KL_MAC_IV_MAX, KL_PARAMETER);
    if (out->aad.len > 0) return kl_fail(KL_PARAMETER, "the data to sign comes with C_Sign, not in the parameter");
    return KL_OK;
}

static enum kl_rc init(struct kl_op *op, enum kl_op_kind kind, struct kl_view parameter)
{
    struct kl_aead_fields fields = { 0 };
    uint8_t iv[KL_MAC_IV_MAX];

    KL_TRY(read_parameter(parameter, &fields));
    memcpy(iv, fields.iv, fields.iv_len);
    if (kind == KL_OP_SIGN) KL_TRY(kl_iv_choose(op, true, iv, fields.iv_len, fields.iv));
    return kl_mac_op_begin(op, kind, fields.tag_len, kl_view_of(iv, fields.iv_len));
}

const struct kl_mech kl_mech_aes_gmac = {
    .type = CKM_AES_GMAC,
    .name = "AES-GMAC",
    .key_types = { CKK_AES },
    .key_type_count = 1,
    .min_key = 16,
    .max_key = 32,
    .family = KL_FAMILY_GMAC,
    .steps = { [KL_OP_SIGN] = &kl_mac_steps, [KL_OP_VERIFY] = &kl_mac_steps },
    .init = init,
    .end = kl_mac_op_end,
    .clear = kl_mac_op_clear,
};
