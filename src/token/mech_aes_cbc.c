/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* CKM_AES_CBC and CKM_AES_CBC_PAD (v3.1 6.10.5, 6.10.6); under policy `compatible` the latter wraps keys, too. */
#include <string.h>

#include "token/cipher_op.h"
#include "token/iv_make.h"

#define WRAPPED_MAX 8192 /* bytes */

/* The parameter is the IV, and where the token makes it, it goes back there. */
static enum kl_rc read_iv(struct kl_view parameter, uint8_t iv[KL_AES_BLOCK])
{
    KL_CHECK(parameter.data && parameter.len == KL_AES_BLOCK, KL_PARAMETER);
    memcpy(iv, parameter.data, KL_AES_BLOCK);
    return KL_OK;
}

static enum kl_rc init(struct kl_op *op, enum kl_op_kind kind, struct kl_view parameter)
{
    uint8_t iv[KL_AES_BLOCK];

    KL_TRY(read_iv(parameter, iv));
    if (kind == KL_OP_ENCRYPT) KL_TRY(kl_iv_choose(op, false, iv, sizeof iv, (void *)(uintptr_t)parameter.data));
    return kl_cipher_op_begin(op, kind, kl_view_of(iv, sizeof iv), UINT64_MAX);
}

/* --- wrapping --- */

/* One message of whole blocks; `out` may be in.data. */
static enum kl_rc crypt(const struct kl_wrapping *wrapping, bool encrypts, struct kl_view in, uint8_t *out)
{
    struct kl_cipher *cipher = NULL;
    enum kl_rc rc;

    KL_TRY(kl_cipher_new(KL_CIPHER_CBC, kl_key_bytes(wrapping->key), encrypts, &cipher));
    rc = kl_cipher_start(cipher, wrapping->parameter);
    if (rc == KL_OK) rc = kl_cipher_update(cipher, in, out);
    kl_cipher_free(cipher);
    return rc;
}

static enum kl_rc wrap_len(const struct kl_wrapping *wrapping, size_t value_len, size_t *out_len)
{
    uint8_t iv[KL_AES_BLOCK];

    KL_TRY(read_iv(wrapping->parameter, iv));
    KL_CHECK(value_len < WRAPPED_MAX, KL_KEY_SIZE);
    *out_len = value_len / KL_AES_BLOCK * KL_AES_BLOCK + KL_AES_BLOCK;
    return KL_OK;
}

static enum kl_rc wrap(const struct kl_wrapping *wrapping, struct kl_view value, struct kl_out *out)
{
    KL_AUTO(kl_secret) padded = { 0 };
    size_t len = 0;

    /* not reached: wrap.c has asked for the length. */
    KL_TRY(wrap_len(wrapping, value.len, &len));
    KL_TRY(kl_secret_new(&padded, len));
    memset(padded.data, (int)(len - value.len), len);
    memcpy(padded.data, value.data, value.len);
    KL_TRY(crypt(wrapping, true, kl_secret_view(&padded), out->data));
    out->len = len;
    return KL_OK;
}

static enum kl_rc unwrap(const struct kl_wrapping *wrapping, struct kl_view wrapped, struct kl_secret *value)
{
    uint8_t iv[KL_AES_BLOCK];
    size_t padding;

    KL_TRY(read_iv(wrapping->parameter, iv));
    KL_CHECK(wrapped.len > 0 && wrapped.len <= WRAPPED_MAX && wrapped.len % KL_AES_BLOCK == 0, KL_WRAPPED_LENGTH);
    KL_TRY(kl_secret_new(value, wrapped.len));
    KL_TRY(crypt(wrapping, false, wrapped, value->data));
    padding = kl_padding_of(value->data + value->len - KL_AES_BLOCK);
    KL_CHECK(padding > 0 && padding < value->len, KL_WRAPPED);
    kl_secret_cut(value, value->len - padding);
    return KL_OK;
}

const struct kl_mech kl_mech_aes_cbc = {
    .type = CKM_AES_CBC,
    .name = "AES-CBC",
    .key_types = { CKK_AES },
    .key_type_count = 1,
    .min_key = 16,
    .max_key = 32,
    .family = KL_FAMILY_CBC,
    .steps = { [KL_OP_ENCRYPT] = &kl_cipher_blocks_encrypt, [KL_OP_DECRYPT] = &kl_cipher_blocks_decrypt },
    .init = init,
    .end = kl_cipher_op_end,
    .clear = kl_cipher_op_clear,
};

const struct kl_mech kl_mech_aes_cbc_pad = {
    .type = CKM_AES_CBC_PAD,
    .name = "AES-CBC, padded",
    .key_types = { CKK_AES },
    .key_type_count = 1,
    .min_key = 16,
    .max_key = 32,
    .family = KL_FAMILY_CBC,
    .wraps_if_compatible = true,
    .steps = { [KL_OP_ENCRYPT] = &kl_cipher_padded_encrypt, [KL_OP_DECRYPT] = &kl_cipher_padded_decrypt },
    .init = init,
    .end = kl_cipher_op_end,
    .clear = kl_cipher_op_clear,
    .wrap_len = wrap_len,
    .wrap = wrap,
    .unwrap = unwrap,
};
