/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "make.h"

CK_OBJECT_HANDLE salt_key;

/* A pointer and the length that goes with it: honest, or without a pointer, or nothing. */
static CK_BYTE *pointer(size_t most, CK_ULONG *len)
{
    uint8_t how = byte();
    struct kl_view text;

    if (how >= 250) {
        *len = number();
        return NULL;
    }
    if (how >= 240) {
        *len = 0;
        return how >= 245 ? NULL : lend(0);
    }
    text = bytes(most);
    /* Of any bytes do: fuzzers need not write what nobody looks at. */
    if (how % 2 == 1) text = kl_view_of(lend(how % 32), how % 32);
    *len = text.len;
    return (CK_BYTE *)(uintptr_t)text.data;
}

/* What may be written to has canaries around it. */
static CK_BYTE *writable(CK_BYTE *pointer, CK_ULONG len)
{
    CK_BYTE *copy;

    if (pointer == NULL) return NULL;
    copy = room(len);
    if (len > 0) memcpy(copy, pointer, len);
    return copy;
}

/* The usual value, or any. */
static CK_ULONG usually(CK_ULONG value)
{
    uint8_t how = byte();

    return how < 200 ? value : number();
}

static void take(CK_MECHANISM *mechanism, const void *body, size_t len)
{
    mechanism->pParameter = lend_copy(body, len);
    mechanism->ulParameterLen = len;
}

/* --- the parameters --- */

static void bare(CK_MECHANISM *mechanism)
{
    struct kl_view text;

    if (byte() < 200) return;
    text = bytes(40);
    take(mechanism, text.data, text.len);
}

static void any_bytes(CK_MECHANISM *mechanism)
{
    struct kl_view text = bytes(300);

    take(mechanism, text.data, text.len);
}

static void block(CK_MECHANISM *mechanism)
{
    uint8_t iv[24] = { 0 };

    memset(iv, byte(), sizeof iv);
    take(mechanism, iv, byte() < 220 ? 16 : choice(25));
}

static void gmac(CK_MECHANISM *mechanism)
{
    uint8_t iv[24] = { 0 };

    memset(iv, byte(), sizeof iv);
    take(mechanism, iv, byte() < 220 ? 12 : choice(25));
}

static void wrap_iv(CK_MECHANISM *mechanism)
{
    static const size_t lengths[] = { 0, 0, 0, 8, 4, 16 };
    uint8_t iv[16];

    memset(iv, byte(), sizeof iv);
    take(mechanism, iv, lengths[choice(COUNT(lengths))]);
    if (mechanism->ulParameterLen == 0) mechanism->pParameter = NULL;
}

static void counter(CK_MECHANISM *mechanism)
{
    CK_AES_CTR_PARAMS ctr = { .ulCounterBits = usually(128) };

    memset(ctr.cb, byte(), sizeof ctr.cb);
    take(mechanism, &ctr, sizeof ctr);
}

static void length(CK_MECHANISM *mechanism)
{
    CK_ULONG len = number();

    take(mechanism, &len, sizeof len);
}

static void gcm(CK_MECHANISM *mechanism)
{
    CK_GCM_PARAMS params = { 0 };
    CK_ULONG five[5];
    CK_BYTE *iv = pointer(300, &params.ulIvLen);

    params.pIv = writable(iv, params.ulIvLen);
    params.pAAD = pointer(300, &params.ulAADLen);
    params.ulIvBits = usually(96);
    params.ulTagBits = usually(128);
    take(mechanism, &params, sizeof params);
    if (byte() < 200) return;
    five[0] = (CK_ULONG)(uintptr_t)params.pIv;
    five[1] = params.ulIvLen;
    five[2] = (CK_ULONG)(uintptr_t)params.pAAD;
    five[3] = params.ulAADLen;
    five[4] = params.ulTagBits;
    take(mechanism, five, sizeof five);
}

void gcm_wrap_parameter(CK_MECHANISM *mechanism)
{
    CK_GCM_WRAP_PARAMS params = { 0 };
    CK_BYTE *iv = pointer(40, &params.ulIvLen);

    if (byte() < 200 && iv != NULL) {
        params.ulIvLen = 12;
        iv = lend(12);
    }
    params.pIv = writable(iv, params.ulIvLen);
    params.ulIvFixedBits = byte() < 200 ? 0 : number();
    params.ivGenerator = usually(CKG_GENERATE);
    params.pAAD = pointer(60, &params.ulAADLen);
    params.ulTagBits = usually(128);
    take(mechanism, &params, sizeof params);
}

/* In bytes for one reader of the standard, in bits for another: both are honest about 12 bytes. */
static void chacha(CK_MECHANISM *mechanism)
{
    CK_SALSA20_CHACHA20_POLY1305_PARAMS params = { 0 };

    params.pNonce = pointer(24, &params.ulNonceLen);
    if (byte() < 200 && params.pNonce != NULL) {
        params.ulNonceLen = choice(2) ? 12 : 96;
        params.pNonce = memset(lend(12), byte(), 12);
    } else if (params.ulNonceLen == 96 || (params.pNonce != NULL && params.ulNonceLen == 12)) {
        params.ulNonceLen = 11;
    }
    params.pNonce = writable(params.pNonce, params.ulNonceLen == 96 ? 12 : params.ulNonceLen);
    params.pAAD = pointer(300, &params.ulAADLen);
    take(mechanism, &params, sizeof params);
}

static void hkdf(CK_MECHANISM *mechanism)
{
    static const CK_ULONG hashes[] = { CKM_SHA256, CKM_SHA384, CKM_SHA512, CKM_SHA_1 };
    static const CK_ULONG salts[] = { CKF_HKDF_SALT_NULL, CKF_HKDF_SALT_DATA, CKF_HKDF_SALT_KEY, 0 };
    CK_HKDF_PARAMS params = { 0 };
    uint8_t steps = byte();

    params.bExtract = steps < 240 ? steps % 4 != 1 : steps;
    params.bExpand = steps < 240 ? steps % 4 != 2 : steps;
    params.prfHashMechanism = hashes[choice(COUNT(hashes))];
    params.ulSaltType = byte() < 240 ? salts[choice(COUNT(salts))] : number();
    params.pSalt = pointer(300, &params.ulSaltLen);
    params.hSaltKey = byte() < 200 ? salt_key : number();
    params.pInfo = pointer(1200, &params.ulInfoLen);
    take(mechanism, &params, sizeof params);
}

static void kdf_field(CK_PRF_DATA_PARAM *field)
{
    CK_SP800_108_COUNTER_FORMAT counter_format = { byte() & 1, usually(32) };
    CK_SP800_108_DKM_LENGTH_FORMAT length_format = { usually(CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS), byte() & 1, usually(32) };

    field->type = byte() < 240 ? 1 + choice(5) : number();
    if (field->type == CK_SP800_108_ITERATION_VARIABLE) {
        field->ulValueLen = sizeof counter_format;
        field->pValue = lend_copy(&counter_format, sizeof counter_format);
    } else if (field->type == CK_SP800_108_DKM_LENGTH) {
        field->ulValueLen = sizeof length_format;
        field->pValue = lend_copy(&length_format, sizeof length_format);
    } else {
        field->pValue = pointer(300, &field->ulValueLen);
    }
    if (byte() >= 250) {
        field->pValue = NULL;
        field->ulValueLen = number();
    }
}

static void kdf(CK_MECHANISM *mechanism)
{
    static const CK_ULONG prfs[] = { CKM_SHA256_HMAC, CKM_SHA384_HMAC, CKM_SHA512_HMAC, CKM_AES_CMAC, CKM_SHA_1_HMAC };
    CK_SP800_108_KDF_PARAMS params = { .prfType = prfs[choice(COUNT(prfs))] };
    CK_DERIVED_KEY more = { 0 };
    uint8_t fields = byte();

    params.ulNumberOfDataParams = fields < 240 ? fields % 36 : 0;
    params.pDataParams = lend(params.ulNumberOfDataParams * sizeof *params.pDataParams);
    for (CK_ULONG i = 0; i < params.ulNumberOfDataParams; i++) kdf_field(&params.pDataParams[i]);
    if (fields >= 250) {
        params.ulNumberOfDataParams = number();
        params.pDataParams = NULL;
    }
    if (byte() >= 240) {
        more.phKey = lend(sizeof *more.phKey);
        params.ulAdditionalDerivedKeys = 1;
        params.pAdditionalDerivedKeys = lend_copy(&more, sizeof more);
    }
    take(mechanism, &params, sizeof params);
}

#define NO_KEY CK_UNAVAILABLE_INFORMATION

const struct way ways[] = {
    { CKM_AES_GCM, CKK_AES, gcm },
    { CKM_CHACHA20_POLY1305, CKK_CHACHA20, chacha },
    { CKM_KL_ENVELOPE, CKK_AES, any_bytes },
    { CKM_AES_CBC, CKK_AES, block },
    { CKM_AES_CBC_PAD, CKK_AES, block },
    { CKM_AES_CTR, CKK_AES, counter },
    { CKM_AES_ECB, CKK_AES, bare },
    { CKM_SHA256_HMAC, CKK_GENERIC_SECRET, bare },
    { CKM_SHA384_HMAC, CKK_GENERIC_SECRET, bare },
    { CKM_SHA512_HMAC, CKK_GENERIC_SECRET, bare },
    { CKM_SHA256_HMAC_GENERAL, CKK_GENERIC_SECRET, length },
    { CKM_SHA384_HMAC_GENERAL, CKK_GENERIC_SECRET, length },
    { CKM_SHA512_HMAC_GENERAL, CKK_GENERIC_SECRET, length },
    { CKM_AES_CMAC, CKK_AES, bare },
    { CKM_AES_CMAC_GENERAL, CKK_AES, length },
    { CKM_AES_GMAC, CKK_AES, gmac },
    { CKM_SHA256, NO_KEY, bare },
    { CKM_SHA384, NO_KEY, bare },
    { CKM_SHA512, NO_KEY, bare },
    { CKM_AES_KEY_WRAP, CKK_AES, wrap_iv },
    { CKM_AES_KEY_WRAP_PAD, CKK_AES, wrap_iv },
    { CKM_AES_KEY_WRAP_KWP, CKK_AES, wrap_iv },
    { CKM_HKDF_DERIVE, CKK_GENERIC_SECRET, hkdf },
    { CKM_HKDF_DATA, CKK_GENERIC_SECRET, hkdf },
    { CKM_SP800_108_COUNTER_KDF, CKK_GENERIC_SECRET, kdf },
    { CKM_AES_KEY_GEN, NO_KEY, bare },
    { CKM_GENERIC_SECRET_KEY_GEN, NO_KEY, bare },
    { CKM_CHACHA20_KEY_GEN, NO_KEY, bare },
    { CKM_HKDF_KEY_GEN, NO_KEY, bare },
    { CKM_KL_ROOT_WRAP, CKK_HKDF, bare },
};
const size_t way_count = COUNT(ways);

const struct way *way_of(CK_MECHANISM_TYPE type)
{
    for (size_t i = 0; i < way_count; i++)
        if (ways[i].type == type) return &ways[i];
    return NULL;
}

/*
 * Of another length; but not of 40 and 48 bytes, each of which is a right one for GCM that would be read otherwise than it was
 * written.
 */
static void cut(CK_MECHANISM *mechanism)
{
    size_t len = choice(64), had = mechanism->ulParameterLen;
    uint8_t *copy;

    if (len == 40 || len == 48) len--;
    copy = lend(len);
    if (had > 0) memcpy(copy, mechanism->pParameter, had < len ? had : len);
    mechanism->pParameter = copy;
    mechanism->ulParameterLen = len;
}

CK_MECHANISM any_mechanism(void)
{
    uint8_t which = byte(), how;
    const struct way *way = &ways[which % way_count];
    CK_MECHANISM mechanism = { way->type, NULL, 0 };

    way->parameter(&mechanism);
    how = byte();
    if (how >= 250) mechanism = (CK_MECHANISM){ mechanism.mechanism, NULL, number() };
    if (how >= 240 && how < 250) cut(&mechanism);
    if (how >= 235 && how < 240) mechanism = (CK_MECHANISM){ number(), NULL, 0 };
    return mechanism;
}

/* --- messages --- */

void *message_parameter(CK_MECHANISM_TYPE type, CK_ULONG *len)
{
    CK_GCM_MESSAGE_PARAMS gcm_params = { 0 };
    CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS chacha_params = { 0 };
    CK_BYTE *iv = pointer(40, &gcm_params.ulIvLen);
    uint8_t how = byte();

    if (how < 200) {
        gcm_params.ulIvLen = 12;
        iv = memset(lend(12), how % 16, 12);
    }
    gcm_params.pIv = writable(iv, gcm_params.ulIvLen);
    gcm_params.ulIvFixedBits = byte() < 128 ? 0 : number();
    gcm_params.ivGenerator = byte() < 230 ? choice(5) : number();
    gcm_params.ulTagBits = usually(128);
    /* As many bytes as there are bits for, where there may be: no tag has more than 16. */
    gcm_params.pTag = room(gcm_params.ulTagBits <= 128 ? (gcm_params.ulTagBits + 7) / 8 : 16);
    if (byte() >= 250) gcm_params.pTag = NULL;
    if (type != CKM_CHACHA20_POLY1305) {
        *len = how == 255 ? choice(sizeof gcm_params) : sizeof gcm_params;
        return lend_copy(&gcm_params, *len);
    }
    chacha_params.pNonce = gcm_params.pIv;
    chacha_params.ulNonceLen = gcm_params.ulIvLen == 96 ? 95 : gcm_params.ulIvLen;
    chacha_params.pTag = room(16);
    *len = how == 255 ? choice(sizeof chacha_params) : sizeof chacha_params;
    return lend_copy(&chacha_params, *len);
}
