/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* CKM_CHACHA20_POLY1305 (v3.1 6.59; RFC 8439): operations and messages. */
#include <string.h>

#include "crypto/aead.h"
#include "token/aead_op.h"
#include "token/mech.h"

#define NONCE_LEN 12
#define NONCE_BITS 96
#define TAG_LEN 16

/* One text of the standard counts the nonce in bytes, another in bits; both can only mean the same. */
static enum kl_rc check_nonce(const void *nonce, CK_ULONG len)
{
    KL_CHECK(nonce && (len == NONCE_LEN || len == NONCE_BITS), KL_PARAMETER);
    return KL_OK;
}

static enum kl_rc init(struct kl_op *op, enum kl_op_kind kind, struct kl_view parameter)
{
    CK_SALSA20_CHACHA20_POLY1305_PARAMS params;
    struct kl_aead_fields fields;

    if (kind == KL_OP_MESSAGE_ENCRYPT || kind == KL_OP_MESSAGE_DECRYPT) {
        KL_CHECK(parameter.len == 0 || parameter.len == sizeof(CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS), KL_PARAMETER);
        return kl_aead_op_init(op, kind, KL_AEAD_CHACHA20_POLY1305, NULL);
    }
    KL_CHECK(parameter.data && parameter.len == sizeof params, KL_PARAMETER);
    memcpy(&params, parameter.data, sizeof params);
    KL_TRY(check_nonce(params.pNonce, params.ulNonceLen));
    fields = (struct kl_aead_fields){ params.pNonce, NONCE_LEN, kl_view_of(params.pAAD, params.ulAADLen), TAG_LEN };
    return kl_aead_op_init(op, kind, KL_AEAD_CHACHA20_POLY1305, &fields);
}

/* The standard's parameter names no generator. Of zero bytes the nonce is the token's to make, as in an Init. */
static enum kl_rc read_message(struct kl_view parameter, struct kl_message *out)
{
    CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS params;

    KL_CHECK(parameter.data && parameter.len == sizeof params, KL_PARAMETER);
    memcpy(&params, parameter.data, sizeof params);
    KL_TRY(check_nonce(params.pNonce, params.ulNonceLen));
    KL_CHECK(params.pTag, KL_PARAMETER);
    *out = (struct kl_message){
        .iv = params.pNonce,
        .iv_len = NONCE_LEN,
        .generator = CKG_NO_GENERATE,
        .tag = params.pTag,
        .tag_len = TAG_LEN,
    };
    return KL_OK;
}

const struct kl_mech kl_mech_chacha20_poly1305 = {
    .type = CKM_CHACHA20_POLY1305,
    .name = "ChaCha20-Poly1305",
    .key_types = { CKK_CHACHA20 },
    .key_type_count = 1,
    .min_key = 32,
    .max_key = 32,
    .family = KL_FAMILY_CHACHA20,
    .on_ladder = true,
    .steps = { [KL_OP_ENCRYPT] = &kl_aead_encrypt_steps, [KL_OP_DECRYPT] = &kl_aead_decrypt_steps },
    .init = init,
    .end = kl_aead_op_end,
    .clear = kl_aead_op_clear,
    .message = read_message,
};
