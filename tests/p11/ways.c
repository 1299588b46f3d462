/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* See ways.h. */
#include "ways.h"

CK_FUNCTION_LIST_3_2 *p32;

struct any_function any_functions[] = {
#define F(name, version, args, answer) { #name, version, args, answer, NULL },
#include "functions.def"
#undef F
};
const size_t any_function_count = COUNT(any_functions);

void p32_load(void)
{
    t_get_interface get = (t_get_interface)(uintptr_t)p11_sym("C_GetInterface");
    CK_VERSION version = { 3, 2 };
    struct t_interface *found = NULL;

    if (!get) die_at(__FILE__, __LINE__, "the module has no C_GetInterface");
    NEED(get((CK_CHAR *)(uintptr_t) "PKCS 11", &version, &found, 0));
    p32 = found->list;
    for (size_t i = 0; i < any_function_count; i++) {
        void *address = p11_sym(any_functions[i].name);

        if (!address) die_at(__FILE__, __LINE__, "%s is not exported", any_functions[i].name);
        memcpy(&any_functions[i].call, &address, sizeof address);
    }
}

void cancel_all(CK_SESSION_HANDLE session)
{
    p32->C_SessionCancel(session, CKF_ENCRYPT | CKF_DECRYPT | CKF_DIGEST | CKF_SIGN | CKF_VERIFY | CKF_MESSAGE_ENCRYPT |
                                      CKF_MESSAGE_DECRYPT | CKF_FIND_OBJECTS);
}

#define NO_KEY CK_UNAVAILABLE_INFORMATION

const struct way ways[] = {
    /* type                      name                  key                 shape      block */
    { CKM_AES_GCM, "AES-GCM", CKK_AES, GCM, 1 },
    { CKM_CHACHA20_POLY1305, "ChaCha20-Poly1305", CKK_CHACHA20, CHACHA, 1 },
    { CKM_AES_CBC, "AES-CBC", CKK_AES, IV_BLOCK, 16 },
    { CKM_AES_CBC_PAD, "AES-CBC-PAD", CKK_AES, IV_BLOCK, 1 },
    { CKM_AES_CTR, "AES-CTR", CKK_AES, CTR, 1 },
    { CKM_AES_ECB, "AES-ECB", CKK_AES, BARE, 16 },
    { 0x2109 /* AES_KEY_WRAP */, "AES-KW", CKK_AES, BARE, 8 },
    { 0x210a /* AES_KEY_WRAP_PAD */, "AES-KW-PAD", CKK_AES, BARE, 1 },
    { 0x210b /* AES_KEY_WRAP_KWP */, "AES-KWP", CKK_AES, BARE, 1 },
    { CKM_SHA256_HMAC, "HMAC-SHA256", CKK_GENERIC_SECRET, BARE, 1 },
    { CKM_SHA384_HMAC, "HMAC-SHA384", CKK_GENERIC_SECRET, BARE, 1 },
    { CKM_SHA512_HMAC, "HMAC-SHA512", CKK_GENERIC_SECRET, BARE, 1 },
    { CKM_SHA256_HMAC_GENERAL, "HMAC-SHA256/16", CKK_GENERIC_SECRET, LENGTH, 1 },
    { CKM_SHA384_HMAC_GENERAL, "HMAC-SHA384/16", CKK_GENERIC_SECRET, LENGTH, 1 },
    { CKM_SHA512_HMAC_GENERAL, "HMAC-SHA512/16", CKK_GENERIC_SECRET, LENGTH, 1 },
    { CKM_AES_CMAC, "AES-CMAC", CKK_AES, BARE, 1 },
    { CKM_AES_CMAC_GENERAL, "AES-CMAC/16", CKK_AES, LENGTH, 1 },
    { CKM_AES_GMAC, "AES-GMAC", CKK_AES, GMAC, 1 },
    { CKM_SHA256, "SHA256", NO_KEY, BARE, 1 },
    { CKM_SHA384, "SHA384", NO_KEY, BARE, 1 },
    { CKM_SHA512, "SHA512", NO_KEY, BARE, 1 },
    { CKM_HKDF_DERIVE, "HKDF", CKK_GENERIC_SECRET, HKDF, 1 },
    { CKM_HKDF_DATA, "HKDF-data", CKK_GENERIC_SECRET, HKDF, 1 },
    { 0x3ac /* SP800_108_COUNTER_KDF */, "SP800-108", CKK_GENERIC_SECRET, KDF, 1 },
    { CKM_AES_KEY_GEN, "AES key generation", NO_KEY, BARE, 1 },
    { CKM_GENERIC_SECRET_KEY_GEN, "generic secret generation", NO_KEY, BARE, 1 },
    { 0x1225 /* CHACHA20_KEY_GEN */, "ChaCha20 key generation", NO_KEY, BARE, 1 },
    { CKM_HKDF_KEY_GEN, "HKDF key generation", NO_KEY, BARE, 1 },
    { CKM_KL_ENVELOPE, "envelope", CKK_AES, ANY_BYTES, 1 },
};
const size_t way_count = COUNT(ways);
const struct way gcm_wrap_way = { CKM_AES_GCM, "AES-GCM of keys", CKK_AES, GCM_WRAP, 1 };

#define POINTER(type, pointer, length)                  \
    {                                                   \
        offsetof(type, pointer), offsetof(type, length) \
    }
static const struct pointer none[] = { { 0, 0 } };
static const struct pointer in_gcm[] = { POINTER(struct t_gcm, iv, iv_len), POINTER(struct t_gcm, aad, aad_len), { 0, 0 } };
static const struct pointer in_gcm_wrap[] = { POINTER(struct t_gcm_wrap, iv, iv_len), POINTER(struct t_gcm_wrap, aad, aad_len), { 0, 0 } };
static const struct pointer in_chacha[] = { POINTER(struct t_chacha, nonce, nonce_len), POINTER(struct t_chacha, aad, aad_len), { 0, 0 } };
static const struct pointer in_hkdf[] = { POINTER(struct t_hkdf, salt, salt_len), POINTER(struct t_hkdf, info, info_len), { 0, 0 } };
static const struct pointer in_kdf[] = { POINTER(struct t_kdf, data, data_count), POINTER(struct t_kdf, more, more_count), { 0, 0 } };
const struct pointer *const shape_pointers[SHAPES] = {
    [BARE] = none,   [GCM] = in_gcm, [GCM_WRAP] = in_gcm_wrap, [CHACHA] = in_chacha, [IV_BLOCK] = none,  [CTR] = none,
    [LENGTH] = none, [GMAC] = none,  [HKDF] = in_hkdf,         [KDF] = in_kdf,       [ANY_BYTES] = none,
};

const struct way *way_of(CK_MECHANISM_TYPE type)
{
    for (size_t i = 0; i < way_count; i++)
        if (ways[i].type == type) return &ways[i];
    return NULL;
}

CK_FLAGS way_flags(CK_SLOT_ID slot, CK_MECHANISM_TYPE type)
{
    CK_MECHANISM_INFO info;

    return p11->C_GetMechanismInfo(slot, type, &info) == CKR_OK ? info.flags : 0;
}

static void set(struct parameter *parameter, const void *body, CK_ULONG len)
{
    parameter->mech.pParameter = (void *)(uintptr_t)body;
    parameter->mech.ulParameterLen = len;
}

static void make_kdf(struct parameter *parameter)
{
    parameter->format = (struct t_counter_format){ CK_FALSE, 32 };
    parameter->data[0] = (struct t_prf_data){ 1 /* ITERATION_VARIABLE */, &parameter->format, sizeof parameter->format };
    parameter->data[1] = (struct t_prf_data){ 4 /* BYTE_ARRAY */, parameter->aad, sizeof parameter->aad };
    parameter->body.kdf = (struct t_kdf){ CKM_SHA256_HMAC, 2, parameter->data, 0, NULL };
    set(parameter, &parameter->body, sizeof parameter->body.kdf);
}

void parameter_make(struct parameter *parameter, const struct way *way, uint64_t *rng)
{
    memset(parameter, 0, sizeof *parameter);
    rng_fill(rng, parameter->iv, sizeof parameter->iv);
    memset(parameter->aad, 'a', sizeof parameter->aad);
    parameter->mech.mechanism = way->type;
    switch (way->shape) {
    case GCM:
        parameter->body.gcm = (struct t_gcm){ parameter->iv, 12, 96, parameter->aad, sizeof parameter->aad, 128 };
        set(parameter, &parameter->body, sizeof parameter->body.gcm);
        break;
    case GCM_WRAP:
        /* The token makes the IV. */
        memset(parameter->iv, 0, sizeof parameter->iv);
        parameter->body.gcm_wrap = (struct t_gcm_wrap){ parameter->iv, 12, 0, CKG_GENERATE, parameter->aad, sizeof parameter->aad, 128 };
        set(parameter, &parameter->body, sizeof parameter->body.gcm_wrap);
        break;
    case CHACHA:
        parameter->body.chacha = (struct t_chacha){ parameter->iv, 12, parameter->aad, sizeof parameter->aad };
        set(parameter, &parameter->body, sizeof parameter->body.chacha);
        break;
    case IV_BLOCK:
        set(parameter, parameter->iv, 16);
        break;
    case GMAC:
        set(parameter, parameter->iv, 12);
        break;
    case CTR:
        parameter->body.ctr.bits = 64;
        memcpy(parameter->body.ctr.block, parameter->iv, 12);
        set(parameter, &parameter->body, sizeof parameter->body.ctr);
        break;
    case LENGTH:
        parameter->body.length = 16;
        set(parameter, &parameter->body, sizeof parameter->body.length);
        break;
    case HKDF:
        parameter->body.hkdf = (struct t_hkdf){ CK_TRUE, CK_TRUE, CKM_SHA256,     CKF_HKDF_SALT_DATA,   parameter->iv,
                                                16,      0,       parameter->aad, sizeof parameter->aad };
        set(parameter, &parameter->body, sizeof parameter->body.hkdf);
        break;
    case KDF:
        make_kdf(parameter);
        break;
    case ANY_BYTES:
        set(parameter, parameter->aad, sizeof parameter->aad);
        break;
    case BARE:
    case SHAPES:
    default:
        break;
    }
}

CK_ULONG message_make(struct parameter *parameter, void *body, const struct way *way, CK_ULONG generator, uint64_t *rng)
{
    struct t_gcm_message gcm = { parameter->iv, 12, 0, generator, parameter->tag, 128 };
    struct t_chacha_message chacha = { parameter->iv, 12, parameter->tag };

    parameter_make(parameter, way, rng);
    if (generator) memset(parameter->iv, 0, sizeof parameter->iv);
    if (way->shape == GCM) {
        memcpy(body, &gcm, sizeof gcm);
        return sizeof gcm;
    }
    if (way->shape == CHACHA) {
        memcpy(body, &chacha, sizeof chacha);
        return sizeof chacha;
    }
    return 0;
}

CK_OBJECT_HANDLE way_key(CK_SESSION_HANDLE session, const struct way *way, const char *flags)
{
    CK_MECHANISM aes = { CKM_AES_KEY_GEN, NULL, 0 }, generic = { CKM_GENERIC_SECRET_KEY_GEN, NULL, 0 },
                 chacha = { 0x1225 /* CHACHA20_KEY_GEN */, NULL, 0 };
    CK_MECHANISM *mech = way->key == CKK_AES ? &aes : way->key == CKK_CHACHA20 ? &chacha : &generic;
    CK_ATTRIBUTE template[24] = { A_ULONG(CKA_VALUE_LEN, 32) };
    CK_ULONG count = way->key == CKK_CHACHA20 ? 0 : 1;
    CK_OBJECT_HANDLE key = 0;

    count += flags_template(flags, template + count);
    return p11->C_GenerateKey(session, mech, template, count, &key) == CKR_OK ? key : 0;
}
