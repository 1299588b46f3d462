/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Parameters of every mechanism: missing, of every length, with missing and impossibly long things in them. */
#include "malformed.h"

static const CK_ULONG huge[] = { 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x8000000000000000, CK_UNAVAILABLE_INFORMATION };
static uint64_t rng = 0x706172616d;

enum verdict { TAKEN, REFUSED, EITHER };

/* ---- a mechanism put to one of its uses, and at once taken out of it ---- */

static const struct use {
    CK_FLAGS flag;
    const char *function, *key_flags;
} uses[] = {
    { CKF_ENCRYPT, "C_EncryptInit", "edS" }, { CKF_DECRYPT, "C_DecryptInit", "edS" }, { CKF_SIGN, "C_SignInit", "svS" },
    { CKF_VERIFY, "C_VerifyInit", "svS" },   { CKF_DIGEST, "C_DigestInit", "" },      { CKF_GENERATE, "C_GenerateKey", "" },
    { CKF_DERIVE, "C_DeriveKey", "DS" },     { CKF_WRAP, "C_WrapKey", "wuS" },        { CKF_UNWRAP, "C_UnwrapKey", "wuS" },
};

static CK_RV make_key(CK_MECHANISM *mechanism, CK_MECHANISM_TYPE type, CK_OBJECT_HANDLE base)
{
    CK_ATTRIBUTE length[] = { A_ULONG(CKA_VALUE_LEN, 32) },
                 derived[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES), A_ULONG(CKA_VALUE_LEN, 32) },
                 data[] = { A_ULONG(CKA_CLASS, CKO_DATA), A_ULONG(CKA_VALUE_LEN, 32) };
    CK_ULONG count = type == 0x1225 /* CHACHA20_KEY_GEN */ ? 0 : 1;
    bool is_data = type == CKM_HKDF_DATA;
    CK_OBJECT_HANDLE key = 0;
    CK_RV rv = base ? p11->C_DeriveKey(world.session, mechanism, base, is_data ? data : derived, is_data ? 2 : 3, &key)
                    : p11->C_GenerateKey(world.session, mechanism, length, count, &key);

    if (rv == CKR_OK) NEED(p11->C_DestroyObject(world.session, key));
    return rv;
}

static CK_RV unwrap(CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key, bool with_data)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES) };
    CK_BYTE blob[48] = { 1 };
    CK_OBJECT_HANDLE made = 0;
    CK_RV rv = with_data ? p32->C_UnwrapKeyAuthenticated(world.session, mechanism, key, blob, sizeof blob, template, COUNT(template), NULL,
                                                         0, &made)
                         : p11->C_UnwrapKey(world.session, mechanism, key, blob, sizeof blob, template, COUNT(template), &made);

    if (rv == CKR_OK) NEED(p11->C_DestroyObject(world.session, made));
    /* The parameter was well: it is the blob that is none. */
    return rv == CKR_WRAPPED_KEY_INVALID || rv == CKR_WRAPPED_KEY_LEN_RANGE ? CKR_OK : rv;
}

static CK_RV put_to_use(const struct use *use, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key, bool with_data)
{
    CK_SESSION_HANDLE session = world.session;
    CK_BYTE out[128];
    CK_ULONG len = sizeof out, args[4] = { (CK_ULONG)(uintptr_t)mechanism };
    CK_MECHANISM copy;
    CK_RV rv = CKR_FUNCTION_NOT_SUPPORTED;

    memcpy(&copy, mechanism, sizeof copy);
    args[1] = copy.mechanism;
    args[2] = (CK_ULONG)(uintptr_t)copy.pParameter;
    args[3] = copy.ulParameterLen;
    doing_is(use->function, way_of(copy.mechanism)->name, args, 4);
    if (use->flag == CKF_ENCRYPT) rv = p11->C_EncryptInit(session, mechanism, key);
    if (use->flag == CKF_DECRYPT) rv = p11->C_DecryptInit(session, mechanism, key);
    if (use->flag == CKF_SIGN) rv = p11->C_SignInit(session, mechanism, key);
    if (use->flag == CKF_VERIFY) rv = p11->C_VerifyInit(session, mechanism, key);
    if (use->flag == CKF_DIGEST) rv = p11->C_DigestInit(session, mechanism);
    if (use->flag == CKF_GENERATE) rv = make_key(mechanism, copy.mechanism, 0);
    if (use->flag == CKF_DERIVE) rv = make_key(mechanism, copy.mechanism, key);
    if (use->flag == CKF_WRAP && with_data)
        rv = p32->C_WrapKeyAuthenticated(session, mechanism, key, world.keys[PLAIN], NULL, 0, out, &len);
    if (use->flag == CKF_WRAP && !with_data) rv = p11->C_WrapKey(session, mechanism, key, world.keys[PLAIN], out, &len);
    if (use->flag == CKF_UNWRAP) rv = unwrap(mechanism, key, with_data);
    if (note(rv) == CKR_OK) cancel_all(session);
    return rv;
}

static void judge(const struct use *use, const struct way *way, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key, enum verdict verdict)
{
    CK_RV rv = put_to_use(use, mechanism, key, way->shape == GCM_WRAP);
    bool is_refusal = rv == CKR_MECHANISM_PARAM_INVALID || rv == CKR_ARGUMENTS_BAD;

    if (rv == CKR_OK ? verdict == REFUSED : verdict == TAKEN || !is_refusal) complain(rv);
}

/* ---- lengths ---- */

static bool has_iv_of(const struct way *way, CK_ULONG len)
{
    /* RFC 3394 and 5649 let the initial value be chosen, and so do some modules. */
    return (way->type == 0x2109 && len == 8) || ((way->type == 0x210a || way->type == 0x210b) && (len == 4 || len == 8));
}

static enum verdict verdict_on(const struct way *way, const struct parameter *right, CK_ULONG len, int filling)
{
    if (way->shape == ANY_BYTES) return TAKEN;
    if (way->shape == GMAC) return len == right->mech.ulParameterLen ? TAKEN : EITHER;
    if (has_iv_of(way, len)) return EITHER;
    if (way->shape == GCM && len == sizeof(struct t_gcm40)) return REFUSED;
    if (len != right->mech.ulParameterLen) return REFUSED;
    if (way->shape == BARE || way->shape == IV_BLOCK || filling == 2) return TAKEN;
    return way->shape == LENGTH ? EITHER : REFUSED;
}

/* Filled with zeros, with ones, and with the beginning of a right one. */
static void of_every_length(const struct use *use, const struct way *way, CK_OBJECT_HANDLE key)
{
    struct parameter right;

    parameter_make(&right, way, &rng);
    for (CK_ULONG len = 0; len <= right.mech.ulParameterLen + 64; len++) {
        for (int filling = 0; filling < 3; filling++) {
            CK_BYTE *memory = tail(0, len, false);
            CK_MECHANISM mechanism = { way->type, memory, len };
            CK_ULONG prefix = len < right.mech.ulParameterLen ? len : right.mech.ulParameterLen;

            parameter_make(&right, way, &rng);
            memset(memory, filling == 1 ? 0xff : 0, len);
            if (filling == 2 && prefix) memcpy(memory, right.mech.pParameter, prefix);
            judge(use, way, &mechanism, key, verdict_on(way, &right, len, filling));
        }
    }
}

static void that_is_missing(const struct use *use, const struct way *way, CK_OBJECT_HANDLE key)
{
    static const CK_ULONG lengths[] = { 1, 8, 12, 16, 24, 40, 48, sizeof(struct t_hkdf) };
    bool needs_none = way->shape == BARE || way->shape == ANY_BYTES;
    CK_MECHANISM mechanism = { way->type, NULL, 0 };

    judge(use, way, &mechanism, key, needs_none ? TAKEN : way->shape == GMAC ? EITHER : REFUSED);
    for (size_t i = 0; i < COUNT(lengths) + COUNT(huge); i++) {
        mechanism.ulParameterLen = i < COUNT(lengths) ? lengths[i] : huge[i - COUNT(lengths)];
        judge(use, way, &mechanism, key, REFUSED);
    }
    for (size_t i = 0; i < COUNT(huge); i++) {
        mechanism = (CK_MECHANISM){ way->type, tail(0, 0, false), huge[i] };
        judge(use, way, &mechanism, key, REFUSED);
    }
}

/* ---- what a parameter points to ---- */

static void put(void *body, size_t at, CK_ULONG value)
{
    memcpy((CK_BYTE *)body + at, &value, sizeof value);
}

static void with_bad_pointers(const struct use *use, const struct way *way, CK_OBJECT_HANDLE key)
{
    static const CK_ULONG some[] = { 1, 12, 16, 64 };

    for (const struct pointer *pointer = shape_pointers[way->shape]; pointer->len_at; pointer++) {
        struct parameter bad;

        for (size_t i = 0; i < COUNT(some) + COUNT(huge); i++) {
            parameter_make(&bad, way, &rng);
            put(bad.mech.pParameter, pointer->at, 0);
            put(bad.mech.pParameter, pointer->len_at, i < COUNT(some) ? some[i] : huge[i - COUNT(some)]);
            judge(use, way, &bad.mech, key, REFUSED);
        }
        for (size_t i = 0; i < COUNT(huge); i++) {
            parameter_make(&bad, way, &rng);
            put(bad.mech.pParameter, pointer->at, (CK_ULONG)(uintptr_t)tail(1, 0, false));
            put(bad.mech.pParameter, pointer->len_at, huge[i]);
            judge(use, way, &bad.mech, key, REFUSED);
        }
    }
}

/* The mechanism, its parameter and all that it points to at odd addresses. */
static void at_odd_addresses(const struct use *use, const struct way *way, CK_OBJECT_HANDLE key)
{
    struct parameter right;
    CK_MECHANISM *mechanism = tail(0, sizeof *mechanism, true);
    CK_MECHANISM copy;
    CK_BYTE *body;

    parameter_make(&right, way, &rng);
    copy = right.mech;
    body = tail(1, copy.ulParameterLen, true);
    if (copy.pParameter) {
        if (copy.ulParameterLen) memcpy(body, copy.pParameter, copy.ulParameterLen);
        copy.pParameter = body;
    }
    if (way->shape == KDF) {
        CK_BYTE *data = tail(2, sizeof right.data, true), *format = tail(3, sizeof right.format, true);

        right.data[0].value = memcpy(format, &right.format, sizeof right.format);
        memcpy(data, right.data, sizeof right.data);
        put(body, offsetof(struct t_kdf, data), (CK_ULONG)(uintptr_t)data);
    }
    memcpy((void *)mechanism, &copy, sizeof copy);
    judge(use, way, mechanism, key, TAKEN);
}

/* ---- messages ---- */

/* C_EncryptMessage on a parameter that differs from a right one in one number. */
static CK_RV message_with(const struct way *way, size_t at, CK_ULONG value, CK_ULONG generator)
{
    struct parameter storage;
    CK_BYTE body[64], data[16] = { 0 }, out[32];
    CK_ULONG len = message_make(&storage, body, way, generator, &rng), out_len = sizeof out, args[2] = { at, value };

    if (at < len) put(body, at, value);
    doing_is("C_EncryptMessage", way->name, args, 2);
    return note(p32->C_EncryptMessage(world.session, body, len, NULL, 0, data, sizeof data, out, &out_len));
}

static void messages(const struct way *way, CK_OBJECT_HANDLE key)
{
    static const size_t gcm[] = { offsetof(struct t_gcm_message, iv), offsetof(struct t_gcm_message, tag) },
                        chacha[] = { offsetof(struct t_chacha_message, nonce), offsetof(struct t_chacha_message, tag) };
    const size_t *pointers = way->shape == GCM ? gcm : chacha;
    CK_MECHANISM mechanism = { way->type, NULL, 0 };
    CK_RV rv;

    NEED(p32->C_MessageEncryptInit(world.session, &mechanism, key));
    if ((rv = message_with(way, 99, 0, 0)) != CKR_OK) complain(rv);
    for (size_t i = 0; i < 2; i++)
        if ((rv = message_with(way, pointers[i], 0, 0)) != CKR_MECHANISM_PARAM_INVALID && rv != CKR_ARGUMENTS_BAD) complain(rv);
    for (size_t i = 0; i < COUNT(huge); i++) {
        rv = message_with(way, offsetof(struct t_gcm_message, iv_len), huge[i], 0);
        if (rv != CKR_MECHANISM_PARAM_INVALID && rv != CKR_ARGUMENTS_BAD) complain(rv);
        if (way->shape != GCM) continue;
        rv = message_with(way, offsetof(struct t_gcm_message, generator), huge[i], 0);
        if (rv != CKR_MECHANISM_PARAM_INVALID && rv != CKR_ARGUMENTS_BAD) complain(rv);
        rv = message_with(way, offsetof(struct t_gcm_message, tag_bits), huge[i], 0);
        if (rv != CKR_MECHANISM_PARAM_INVALID && rv != CKR_ARGUMENTS_BAD) complain(rv);
        rv = message_with(way, offsetof(struct t_gcm_message, fixed_bits), huge[i], 2);
        if (rv != CKR_MECHANISM_PARAM_INVALID && rv != CKR_ARGUMENTS_BAD) complain(rv);
    }
    /* A refused message leaves the operation as it was. */
    if ((rv = message_with(way, 99, 0, 0)) != CKR_OK) complain(rv);
    cancel_all(world.session);
}

/* ---- all of them ---- */

static void way_in_use(const struct way *way, const struct use *use)
{
    /* Data that can be read does not come of a sensitive key. */
    const char *flags = way->type == CKM_HKDF_DATA ? "D" : use->key_flags;
    CK_OBJECT_HANDLE key = flags[0] ? way_key(world.session, way, flags) : 0;

    if (flags[0] && !key) die_at(__FILE__, __LINE__, "no key for %s", way->name);
    of_every_length(use, way, key);
    that_is_missing(use, way, key);
    with_bad_pointers(use, way, key);
    at_odd_addresses(use, way, key);
    if (key) NEED(p11->C_DestroyObject(world.session, key));
}

static bool is_of_keys(const struct way *way, const struct use *use)
{
    return way->type == CKM_AES_GCM && use->flag & (CKF_WRAP | CKF_UNWRAP);
}

void mechanism_parameters(void)
{
    CK_MECHANISM_TYPE types[256];
    CK_ULONG count = COUNT(types);

    start();
    world_open(USER);
    NEED(p11->C_GetMechanismList(world.slot, types, &count));
    for (CK_ULONG i = 0; i < count; i++) {
        const struct way *way = way_of(types[i]);
        CK_FLAGS flags = way_flags(world.slot, types[i]);

        if (!way) {
            /* On the master alone, and with a provider behind it. */
            if (types[i] != CKM_KL_ROOT_WRAP) fail_at(__FILE__, __LINE__, "nobody knows how to use mechanism 0x%lx", types[i]);
            continue;
        }
        for (size_t u = 0; u < COUNT(uses); u++)
            if (flags & uses[u].flag) way_in_use(is_of_keys(way, &uses[u]) ? &gcm_wrap_way : way, &uses[u]);
        if (flags & CKF_MESSAGE_ENCRYPT) messages(way, way_key(world.session, way, "edS"));
    }
    world_open(NO_SESSION);
    stop();
}
