/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* CKM_AES_GCM (v3.1 6.13.3; DESIGN section 7 on IVs and tags): operations, messages, and authenticated wrapping (v3.2 5.18.6). */
#include <stddef.h>
#include <string.h>

#include "crypto/aead.h"
#include "crypto/random.h"
#include "token/aead_op.h"
#include "token/mech.h"

#define TAG_BITS_MIN 96
#define TAG_BITS_MAX 128
#define DRAWS_MAX 4 /* of an IV, one in 2^28 of which will not do */

/* CK_GCM_PARAMS has five fields in the text of 2.40 and six in every header; ulIvBits is in the way, never of use. */
#define FIELD sizeof(CK_ULONG)
_Static_assert(sizeof(CK_GCM_PARAMS) == 6 * FIELD && sizeof(CK_BYTE_PTR) == FIELD, "five fields, or six");

/* One by one, as callers write them: a processor waits for what is read in larger pieces than it was written in. */
static CK_ULONG number_at(const uint8_t *field)
{
    CK_ULONG number;

    memcpy(&number, field, sizeof number);
    return number;
}

static CK_BYTE *pointer_at(const uint8_t *field)
{
    CK_BYTE *pointer;

    memcpy(&pointer, field, sizeof pointer);
    return pointer;
}

static enum kl_rc check_tag(CK_ULONG bits)
{
    KL_CHECK(bits >= TAG_BITS_MIN && bits <= TAG_BITS_MAX && bits % 8 == 0, KL_PARAMETER);
    return KL_OK;
}

enum kl_rc kl_gcm_read_parameter(struct kl_view parameter, struct kl_aead_fields *out)
{
    const uint8_t *iv = parameter.data;
    const uint8_t *aad;
    CK_ULONG tag_bits;

    KL_CHECK(iv && (parameter.len == 5 * FIELD || parameter.len == 6 * FIELD), KL_PARAMETER);
    aad = iv + (parameter.len == 6 * FIELD ? 3 : 2) * FIELD;
    tag_bits = number_at(aad + 2 * FIELD);
    KL_TRY(check_tag(tag_bits));
    out->iv = pointer_at(iv);
    out->iv_len = number_at(iv + FIELD);
    out->aad = kl_view_of(pointer_at(aad), number_at(aad + FIELD));
    out->tag_len = tag_bits / 8;
    return KL_OK;
}

static KL_HOT enum kl_rc init(struct kl_op *op, enum kl_op_kind kind, struct kl_view parameter)
{
    struct kl_aead_fields fields = { 0 };

    if (kind == KL_OP_MESSAGE_ENCRYPT || kind == KL_OP_MESSAGE_DECRYPT) {
        /* v3.0 6.13.4: the parameters of a message come with it; what stands here is not looked at. */
        KL_CHECK(parameter.len == 0 || parameter.len == sizeof(CK_GCM_MESSAGE_PARAMS), KL_PARAMETER);
        return kl_aead_op_init(op, kind, KL_AEAD_AES_GCM, NULL);
    }
    KL_TRY(kl_gcm_read_parameter(parameter, &fields));
    return kl_aead_op_init(op, kind, KL_AEAD_AES_GCM, &fields);
}

#define AT(field) (parameter.data + offsetof(CK_GCM_MESSAGE_PARAMS, field))

static enum kl_rc read_message(struct kl_view parameter, struct kl_message *out)
{
    CK_ULONG tag_bits;

    KL_CHECK(parameter.data && parameter.len == sizeof(CK_GCM_MESSAGE_PARAMS), KL_PARAMETER);
    tag_bits = number_at(AT(ulTagBits));
    KL_TRY(check_tag(tag_bits));
    *out = (struct kl_message){
        .iv = pointer_at(AT(pIv)),
        .iv_len = number_at(AT(ulIvLen)),
        .fixed_bits = number_at(AT(ulIvFixedBits)),
        .generator = number_at(AT(ivGenerator)),
        .tag = pointer_at(AT(pTag)),
        .tag_len = tag_bits / 8,
    };
    KL_CHECK(out->iv && out->tag, KL_PARAMETER);
    return KL_OK;
}

/* --- wrapping: ciphertext and tag; the IV goes back by the parameter --- */

struct wrap_fields {
    struct kl_message message;
    struct kl_view aad;
};

/* v3.2 has the associated data in the call and, in some headers, in the parameter as well. */
static enum kl_rc read_wrapping(const struct kl_wrapping *wrapping, struct wrap_fields *out)
{
    CK_GCM_WRAP_PARAMS params;
    struct kl_view aad;

    KL_CHECK(wrapping->parameter.data && wrapping->parameter.len == sizeof params, KL_PARAMETER);
    memcpy(&params, wrapping->parameter.data, sizeof params);
    KL_TRY(check_tag(params.ulTagBits));
    KL_CHECK(params.pIv && params.ulIvLen == KL_IV_USUAL, KL_PARAMETER);
    aad = kl_view_of(params.pAAD, params.ulAADLen);
    KL_CHECK(aad.len <= KL_AEAD_AAD_MAX && (aad.data || aad.len == 0), KL_PARAMETER);
    KL_CHECK(aad.len == 0 || wrapping->aad.len == 0 || kl_view_is(aad, wrapping->aad), KL_PARAMETER);
    out->aad = aad.len ? aad : wrapping->aad;
    KL_CHECK(out->aad.len <= KL_AEAD_AAD_MAX, KL_PARAMETER);
    out->message = (struct kl_message){
        .iv = params.pIv,
        .iv_len = params.ulIvLen,
        .fixed_bits = params.ulIvFixedBits,
        .generator = params.ivGenerator,
        .tag_len = params.ulTagBits / 8,
    };
    return KL_OK;
}

static enum kl_rc wrap_len(const struct kl_wrapping *wrapping, size_t value_len, size_t *out_len)
{
    struct wrap_fields fields;

    KL_TRY(read_wrapping(wrapping, &fields));
    *out_len = value_len + fields.message.tag_len;
    return KL_OK;
}

/*
 * KWP enciphers a key of 8 bytes or fewer as one block (RFC 5649 4.1): 4 bytes, the key's length in 4 more, and the key, all of
 * them the caller's. A counter block of GCM that is such a one, under the same key, tells what it covers.
 */
static bool is_block_of_kwp(const uint8_t iv[KL_IV_USUAL])
{
    return (iv[4] | iv[5] | iv[6]) == 0 && iv[7] <= 8;
}

/*
 * The IV is the token's: a caller who could choose it would wrap a key of his own under that of a sensitive one, and learn
 * the difference of their bytes. And it is drawn whole: a counter begins anew with every copy and every eviction of the
 * key, so that he could make two of them meet. Nor is it read from where he could write it meanwhile.
 */
static enum kl_rc make_iv(const struct kl_message *message, uint8_t iv[KL_IV_USUAL])
{
    if ((message->generator != CKG_GENERATE && message->generator != CKG_GENERATE_RANDOM) || message->fixed_bits > 0)
        return kl_fail(KL_PARAMETER, "the token draws the IVs of wrapped keys: CKG_GENERATE or CKG_GENERATE_RANDOM, and no fixed bits");
    for (int tries = 0; tries < DRAWS_MAX; tries++) {
        KL_TRY(kl_random_fill(iv, KL_IV_USUAL));
        if (!is_block_of_kwp(iv)) return KL_OK;
    }
    return kl_fail(KL_NO_RANDOM, "every IV drawn could be a block of CKM_AES_KEY_WRAP_KWP: the random numbers are not");
}

static enum kl_rc wrap(const struct kl_wrapping *wrapping, struct kl_view value, struct kl_out *out)
{
    struct kl_aead *aead = NULL;
    uint8_t iv[KL_IV_USUAL];
    struct wrap_fields fields;
    struct kl_aead_params params;
    enum kl_rc rc;

    /* not reached: wrap.c has asked for the length. */
    KL_TRY(read_wrapping(wrapping, &fields));
    params = (struct kl_aead_params){ kl_view_of(iv, sizeof iv), fields.aad, fields.message.tag_len };
    KL_CHECK(!kl_view_touches(kl_view_of(fields.message.iv, sizeof iv), kl_view_of(out->data, value.len + params.tag_len)), KL_ARG);
    KL_TRY(make_iv(&fields.message, iv));
    KL_TRY(kl_key_aead(wrapping->key, CKM_AES_GCM, wrapping->session->token->engine, KL_AEAD_AES_GCM, &aead));
    rc = kl_aead_seal(aead, &params, value, out->data, out->data + value.len);
    kl_aead_free(aead);
    memcpy(fields.message.iv, iv, sizeof iv);
    out->len = value.len + params.tag_len;
    return rc;
}

static enum kl_rc unwrap(const struct kl_wrapping *wrapping, struct kl_view wrapped, struct kl_secret *value)
{
    struct kl_aead *aead = NULL;
    struct wrap_fields fields;
    struct kl_aead_params params;
    size_t len;
    enum kl_rc rc;

    KL_TRY(read_wrapping(wrapping, &fields));
    KL_CHECK(wrapped.len > fields.message.tag_len && wrapped.len - fields.message.tag_len <= KL_VALUE_MAX, KL_WRAPPED_LENGTH);
    len = wrapped.len - fields.message.tag_len;
    params = (struct kl_aead_params){ kl_view_of(fields.message.iv, fields.message.iv_len), fields.aad, fields.message.tag_len };
    KL_TRY(kl_secret_new(value, len));
    KL_TRY(kl_key_aead(wrapping->key, CKM_AES_GCM, wrapping->session->token->engine, KL_AEAD_AES_GCM, &aead));
    rc = kl_aead_open(aead, &params, kl_view_of(wrapped.data, len), wrapped.data + len, value->data);
    kl_aead_free(aead);
    return rc == KL_CIPHERTEXT ? KL_WRAPPED : rc;
}

const struct kl_mech kl_mech_aes_gcm = {
    .type = CKM_AES_GCM,
    .name = "AES-GCM",
    .key_types = { CKK_AES },
    .key_type_count = 1,
    .min_key = 16,
    .max_key = 32,
    .family = KL_FAMILY_GCM,
    .on_ladder = true,
    .free_wraps_only = true,
    .steps = { [KL_OP_ENCRYPT] = &kl_aead_encrypt_steps, [KL_OP_DECRYPT] = &kl_aead_decrypt_steps },
    .init = init,
    .end = kl_aead_op_end,
    .clear = kl_aead_op_clear,
    .message = read_message,
    .wraps_authenticated = true,
    .wrap_len = wrap_len,
    .wrap = wrap,
    .unwrap = unwrap,
};
