/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* CKM_SP800_108_COUNTER_KDF (v3.1 6.42.7; SP 800-108 section 4.1): one key by counter mode, its input put together by the caller. */
#include <string.h>

#include "crypto/mac.h"
#include "token/make.h"
#include "token/mech.h"

#define FIELDS_MAX 32
#define INPUT_MAX 65536 /* bytes that a caller brings */

/* One part of the function's input: bytes of the caller's, or a number written in so many of them. */
struct field {
    CK_PRF_DATA_TYPE type;
    struct kl_view bytes;
    bool is_little_endian;
    size_t width; /* bytes */
    CK_SP800_108_DKM_LENGTH_METHOD method;
};

struct kdf {
    enum kl_mac_algorithm algorithm;
    size_t count;
    struct field fields[FIELDS_MAX];
};

/* --- the parameter --- */

static const struct prf {
    CK_MECHANISM_TYPE type;
    enum kl_mac_algorithm algorithm;
    CK_KEY_TYPE key_type; /* its own */
} prfs[] = {
    { CKM_SHA256_HMAC, KL_MAC_HMAC_SHA256, CKK_SHA256_HMAC },
    { CKM_SHA384_HMAC, KL_MAC_HMAC_SHA384, CKK_SHA384_HMAC },
    { CKM_SHA512_HMAC, KL_MAC_HMAC_SHA512, CKK_SHA512_HMAC },
    { CKM_AES_CMAC, KL_MAC_CMAC_AES, CKK_AES },
};

static bool fits(const struct prf *prf, uint64_t key_type)
{
    if (key_type == prf->key_type) return true;
    return prf->algorithm != KL_MAC_CMAC_AES && (key_type == CKK_GENERIC_SECRET || key_type == CKK_AES);
}

static enum kl_rc read_prf(CK_SP800_108_PRF_TYPE type, uint64_t key_type, enum kl_mac_algorithm *out)
{
    for (size_t i = 0; i < sizeof prfs / sizeof *prfs; i++) {
        if (prfs[i].type != type) continue;
        KL_CHECK(fits(&prfs[i], key_type), KL_KEY_TYPE);
        *out = prfs[i].algorithm;
        return KL_OK;
    }
    return kl_fail(KL_PARAMETER, "the pseudo-random function is an HMAC of SHA-2, or CMAC");
}

static enum kl_rc read_width(CK_BBOOL is_little_endian, CK_ULONG bits, CK_ULONG most, struct field *out)
{
    KL_CHECK(is_little_endian == CK_TRUE || is_little_endian == CK_FALSE, KL_PARAMETER);
    KL_CHECK(bits >= 8 && bits <= most && bits % 8 == 0, KL_PARAMETER);
    out->is_little_endian = is_little_endian;
    out->width = bits / 8;
    return KL_OK;
}

static enum kl_rc read_counter(const CK_PRF_DATA_PARAM *param, struct field *out)
{
    CK_SP800_108_COUNTER_FORMAT format;

    KL_CHECK(param->pValue && param->ulValueLen == sizeof format, KL_PARAMETER);
    memcpy(&format, param->pValue, sizeof format);
    return read_width(format.bLittleEndian, format.ulWidthInBits, 32, out);
}

static enum kl_rc read_length(const CK_PRF_DATA_PARAM *param, struct field *out)
{
    CK_SP800_108_DKM_LENGTH_FORMAT format;

    KL_CHECK(param->pValue && param->ulValueLen == sizeof format, KL_PARAMETER);
    memcpy(&format, param->pValue, sizeof format);
    out->method = format.dkmLengthMethod;
    KL_CHECK(out->method == CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS || out->method == CK_SP800_108_DKM_LENGTH_SUM_OF_SEGMENTS, KL_PARAMETER);
    return read_width(format.bLittleEndian, format.ulWidthInBits, 64, out);
}

static enum kl_rc read_bytes(const CK_PRF_DATA_PARAM *param, struct field *out)
{
    KL_CHECK(param->pValue && param->ulValueLen >= 1 && param->ulValueLen <= INPUT_MAX, KL_PARAMETER);
    out->bytes = kl_view_of(param->pValue, param->ulValueLen);
    return KL_OK;
}

/* A second counter makes no sense here, and keys as input (v3.2) are left out. */
static enum kl_rc read_field(const CK_PRF_DATA_PARAM *param, struct field *out)
{
    *out = (struct field){ .type = param->type };
    switch (param->type) {
    case CK_SP800_108_ITERATION_VARIABLE:
        return read_counter(param, out);
    case CK_SP800_108_DKM_LENGTH:
        return read_length(param, out);
    case CK_SP800_108_BYTE_ARRAY:
        return read_bytes(param, out);
    default:
        return KL_PARAMETER;
    }
}

static size_t count_of(const struct kdf *kdf, CK_PRF_DATA_TYPE type)
{
    size_t count = 0;

    for (size_t i = 0; i < kdf->count; i++) count += kdf->fields[i].type == type;
    return count;
}

static enum kl_rc check_fields(const struct kdf *kdf)
{
    size_t len = 0;

    for (size_t i = 0; i < kdf->count; i++) len += kdf->fields[i].bytes.len;
    KL_CHECK(len <= INPUT_MAX, KL_PARAMETER);
    KL_CHECK(count_of(kdf, CK_SP800_108_ITERATION_VARIABLE) == 1, KL_PARAMETER);
    KL_CHECK(count_of(kdf, CK_SP800_108_DKM_LENGTH) <= 1, KL_PARAMETER);
    return KL_OK;
}

static enum kl_rc read_parameter(struct kl_view parameter, uint64_t key_type, struct kdf *out)
{
    CK_SP800_108_KDF_PARAMS params;
    CK_PRF_DATA_PARAM param;

    KL_CHECK(parameter.data && parameter.len == sizeof params, KL_PARAMETER);
    memcpy(&params, parameter.data, sizeof params);
    if (params.ulAdditionalDerivedKeys != 0) return kl_fail(KL_PARAMETER, "one key is derived at a time");
    KL_TRY(read_prf(params.prfType, key_type, &out->algorithm));
    KL_CHECK(params.pDataParams && params.ulNumberOfDataParams <= FIELDS_MAX, KL_PARAMETER);
    out->count = params.ulNumberOfDataParams;
    for (size_t i = 0; i < out->count; i++) {
        /* Wherever the caller's array lies. */
        memcpy(&param, (const uint8_t *)params.pDataParams + i * sizeof param, sizeof param);
        KL_TRY(read_field(&param, &out->fields[i]));
    }
    return check_fields(out);
}

/* --- the derivation --- */

/* v3.1 6.42.7: a counter of r bits makes 2^r - 1 blocks. */
static size_t most_bytes(const struct kdf *kdf)
{
    uint64_t blocks = 0;
    uint64_t most;

    for (size_t i = 0; i < kdf->count; i++) {
        if (kdf->fields[i].type == CK_SP800_108_ITERATION_VARIABLE) blocks = (UINT64_C(1) << (8 * kdf->fields[i].width)) - 1;
    }
    most = blocks * kl_mac_len(kdf->algorithm);
    return most < KL_SECRET_KEY_MAX ? most : KL_SECRET_KEY_MAX;
}

static enum kl_rc put_number(struct kl_mac *mac, const struct field *field, uint64_t number)
{
    uint8_t bytes[8];

    KL_CHECK(field->width == sizeof bytes || number >> (8 * field->width) == 0, KL_PARAMETER);
    for (size_t i = 0; i < field->width; i++) {
        bytes[field->is_little_endian ? i : field->width - 1 - i] = (uint8_t)(number >> (8 * i));
    }
    return kl_mac_update(mac, kl_view_of(bytes, field->width));
}

static enum kl_rc put_field(struct kl_mac *mac, const struct kdf *kdf, const struct field *field, uint64_t counter, size_t len)
{
    size_t step = kl_mac_len(kdf->algorithm);
    size_t segments = (len + step - 1) / step * step;

    if (field->type == CK_SP800_108_BYTE_ARRAY) return kl_mac_update(mac, field->bytes);
    if (field->type == CK_SP800_108_ITERATION_VARIABLE) return put_number(mac, field, counter);
    return put_number(mac, field, 8 * (field->method == CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS ? len : segments));
}

static enum kl_rc make_block(struct kl_mac *mac, const struct kdf *kdf, uint64_t counter, size_t len, uint8_t *out)
{
    static const struct kl_view no_iv = { NULL, 0 };

    KL_TRY(kl_mac_start(mac, no_iv));
    for (size_t i = 0; i < kdf->count; i++) KL_TRY(put_field(mac, kdf, &kdf->fields[i], counter, len));
    return kl_mac_finish(mac, out);
}

static enum kl_rc fill(struct kl_mac *mac, const struct kdf *kdf, struct kl_secret *out)
{
    size_t step = kl_mac_len(kdf->algorithm);
    KL_AUTO(kl_secret) block = { 0 };

    KL_TRY(kl_secret_new(&block, step));
    for (size_t at = 0; at < out->len; at += step) {
        KL_TRY(make_block(mac, kdf, at / step + 1, out->len, block.data));
        memcpy(out->data + at, block.data, out->len - at < step ? out->len - at : step);
    }
    return KL_OK;
}

static enum kl_rc derive(const struct kl_derivation *derivation, struct kl_secret *out)
{
    struct kl_mac *mac = NULL;
    struct kdf kdf = { 0 };
    size_t len = 0;
    enum kl_rc rc;

    KL_TRY(read_parameter(derivation->parameter, derivation->base->record.key_type, &kdf));
    KL_TRY(kl_make_derived_len(derivation->draft, 0, most_bytes(&kdf), &len));
    KL_TRY(kl_make_may_be_prf_key(derivation->session, derivation->base));
    KL_TRY(kl_secret_new(out, len));
    KL_TRY(kl_mac_new(kdf.algorithm, kl_key_bytes(derivation->base_key), &mac));
    rc = fill(mac, &kdf, out);
    kl_mac_free(mac);
    return rc;
}

const struct kl_mech kl_mech_sp800_108_counter_kdf = {
    .type = CKM_SP800_108_COUNTER_KDF,
    .name = "SP 800-108, counter mode",
    .key_types = { CKK_GENERIC_SECRET, CKK_AES, CKK_SHA256_HMAC, CKK_SHA384_HMAC, CKK_SHA512_HMAC },
    .key_type_count = 5,
    .min_key = 1,
    .max_key = KL_SECRET_KEY_MAX,
    .family = KL_FAMILY_SP800_108,
    .derive = derive,
    .derives = CKO_SECRET_KEY,
};
