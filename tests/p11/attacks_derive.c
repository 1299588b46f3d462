/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* D: derivation. */
#include "attacks.h"

#define INFO(text) (CK_BYTE *)(uintptr_t)(text), sizeof(text) - 1

static CK_RV derive(CK_SESSION_HANDLE session, CK_MECHANISM *mech, CK_OBJECT_HANDLE base)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_GENERIC_SECRET), A_ULONG(CKA_VALUE_LEN, 16),
                                A_BOOL(CKA_SENSITIVE, CK_FALSE), A_BOOL(CKA_EXTRACTABLE, CK_TRUE) };
    CK_OBJECT_HANDLE key = 0;

    return p11->C_DeriveKey(session, mech, base, template, COUNT(template), &key);
}

/* An AES and a generic key that derive, and ladder keys: none knows the mechanism. */
static void nowhere(const CK_MECHANISM *const *mechs, size_t count)
{
    CK_SESSION_HANDLE session = user_session();
    struct ladder ladder;

    make(session, "aes", "DS");
    NEED(make_by(CKM_GENERIC_SECRET_KEY_GEN, session, "generic", "DS", NULL, 0));
    ladder_grow(session);
    session = settle(session);
    ladder = ladder_find(session);
    for (size_t i = 0; i < count; i++) {
        CK_MECHANISM mech = *mechs[i];
        const CK_OBJECT_HANDLE bases[] = { named(session, "aes"), named(session, "generic"), ladder.master, ladder.dek, ladder.fek };

        for (size_t j = 0; j < COUNT(bases); j++) {
            REFUSED(session, derive(session, &mech, bases[j]), CKR_MECHANISM_INVALID);
            UNSUPPORTED(mech.mechanism, CKF_DERIVE, derive(session, &mech, bases[j]));
        }
    }
}

struct string_data {
    const CK_BYTE *data;
    CK_ULONG len;
};

CASE(A_D1_xor_with_known_data)
{
    static struct string_data data[2] = { { (const CK_BYTE *)"one known block.", 16 }, { (const CK_BYTE *)"and yet another.", 16 } };
    static const CK_MECHANISM one = { CKM_XOR_BASE_AND_DATA, &data[0], sizeof data[0] },
                              two = { CKM_XOR_BASE_AND_DATA, &data[1], sizeof data[1] };

    nowhere((const CK_MECHANISM *const[]){ &one, &two }, 2);
}

CASE(A_D2_extract_and_concatenate)
{
    static CK_ULONG bit = 8;
    static CK_OBJECT_HANDLE other = 1;
    static struct string_data data = { (const CK_BYTE *)"one known block.", 16 };
    static const CK_MECHANISM extract = { CKM_EXTRACT_KEY_FROM_KEY, &bit, sizeof bit },
                              key = { CKM_CONCATENATE_BASE_AND_KEY, &other, sizeof other },
                              after = { CKM_CONCATENATE_BASE_AND_DATA, &data, sizeof data },
                              before = { CKM_CONCATENATE_DATA_AND_BASE, &data, sizeof data };

    nowhere((const CK_MECHANISM *const[]){ &extract, &key, &after, &before }, 4);
}

CASE(A_D3_derivation_by_encrypting_data)
{
    static struct {
        CK_BYTE iv[16];
        const CK_BYTE *data;
        CK_ULONG len;
    } cbc = { { 0 }, (const CK_BYTE *)"one known block.", 16 };
    static struct string_data ecb = { (const CK_BYTE *)"one known block.", 16 };
    static const CK_MECHANISM by_cbc = { CKM_AES_CBC_ENCRYPT_DATA, &cbc, sizeof cbc },
                              by_ecb = { CKM_AES_ECB_ENCRYPT_DATA, &ecb, sizeof ecb };

    nowhere((const CK_MECHANISM *const[]){ &by_cbc, &by_ecb }, 2);
}

/* ---- HKDF's own parameters ---- */

static CK_RV derive_hkdf(CK_SESSION_HANDLE session, const struct t_hkdf *param, CK_OBJECT_HANDLE base, bool token)
{
    struct t_hkdf copy = *param;
    CK_MECHANISM mech = { CKM_HKDF_DERIVE, &copy, sizeof copy };
    CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, token), A_TEXT(CKA_LABEL, "derived"), A_ULONG(CKA_KEY_TYPE, CKK_AES),
                                A_ULONG(CKA_VALUE_LEN, 32) };
    CK_OBJECT_HANDLE key = 0;

    return p11->C_DeriveKey(session, &mech, base, template, COUNT(template), &key);
}

CASE(A_D4_expand_only_and_extract_only)
{
    static const struct t_hkdf bad[] = {
        { CK_TRUE, CK_FALSE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, INFO("info") },
        { CK_FALSE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, INFO("info") },
        { CK_TRUE, CK_FALSE, CKM_SHA256, CKF_HKDF_SALT_DATA, INFO("salt"), 0, NULL, 0 },
    };
    CK_SESSION_HANDLE session = user_session();
    struct ladder ladder;

    ladder_grow(session);
    session = settle(session);
    ladder = ladder_find(session);
    for (size_t i = 0; i < COUNT(bad); i++) {
        const CK_OBJECT_HANDLE parents[] = { ladder.master, ladder.dek, ladder.fek };

        for (size_t j = 0; j < COUNT(parents); j++) {
            REFUSED(session, derive_hkdf(session, &bad[i], parents[j], false), CKR_MECHANISM_PARAM_INVALID);
            if (j < 2) REFUSED(session, derive_hkdf(session, &bad[i], parents[j], true), CKR_MECHANISM_PARAM_INVALID);
        }
    }
}

CASE(A_D5_neither_half_unknown_hash_unknown_salt_type)
{
    static const struct t_hkdf bad[] = {
        { CK_FALSE, CK_FALSE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, INFO("info") },
        { CK_TRUE, CK_TRUE, 0x7777, CKF_HKDF_SALT_NULL, NULL, 0, 0, INFO("info") },
        { CK_TRUE, CK_TRUE, CKM_MD5, CKF_HKDF_SALT_NULL, NULL, 0, 0, INFO("info") },
        { CK_TRUE, CK_TRUE, CKM_SHA256, 0, NULL, 0, 0, INFO("info") },
        { CK_TRUE, CK_TRUE, CKM_SHA256, 3, INFO("salt"), 0, INFO("info") },
        { CK_TRUE, CK_TRUE, CKM_SHA256, 8, INFO("salt"), 0, INFO("info") },
        { CK_TRUE, CK_TRUE, CKM_SHA256, CK_UNAVAILABLE_INFORMATION, INFO("salt"), 0, INFO("info") },
    };
    CK_SESSION_HANDLE session = user_session();
    struct ladder ladder;

    NEED(make_by(CKM_GENERIC_SECRET_KEY_GEN, session, "free", "DS", NULL, 0));
    ladder_grow(session);
    session = settle(session);
    ladder = ladder_find(session);
    for (size_t i = 0; i < COUNT(bad); i++) {
        const CK_OBJECT_HANDLE parents[] = { named(session, "free"), ladder.master, ladder.dek, ladder.fek };

        for (size_t j = 0; j < COUNT(parents); j++)
            REFUSED(session, derive_hkdf(session, &bad[i], parents[j], false), CKR_MECHANISM_PARAM_INVALID);
    }
}

CASE(A_D6_salt_by_key_handle)
{
    CK_SESSION_HANDLE session = user_session(), other;
    CK_ATTRIBUTE data[] = { A_ULONG(CKA_CLASS, CKO_DATA), A_BOOL(CKA_PRIVATE, CK_FALSE), A_BYTES(CKA_VALUE, "public salt bytes", 17) };
    CK_OBJECT_HANDLE public = 0, gone, foreign;

    NEED(make_by(CKM_GENERIC_SECRET_KEY_GEN, session, "base", "DS", NULL, 0));
    NEED(make_by(CKM_GENERIC_SECRET_KEY_GEN, session, "no derive", "svS", NULL, 0));
    NEED(make_by(CKM_GENERIC_SECRET_KEY_GEN, session, "gone", "DS", NULL, 0));
    session = settle(session);
    other = open_on(slot_labelled("other"), CKF_RW_SESSION);
    NEED(login(other, CKU_USER, USER_PIN));
    foreign = secret_make(other, "DS");
    gone = named(session, "gone");
    NEED(p11->C_DestroyObject(session, gone));
    NEED(p11->C_CreateObject(session, data, COUNT(data), &public));
    {
        const CK_OBJECT_HANDLE bad[] = { public, gone, foreign, named(session, "no derive"), 0, CK_UNAVAILABLE_INFORMATION };

        for (size_t i = 0; i < COUNT(bad); i++) {
            const struct t_hkdf param = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_KEY, NULL, 0, bad[i], INFO("info") };

            REFUSED(session, derive_hkdf(session, &param, named(session, "base"), false), CKR_KEY_HANDLE_INVALID,
                    CKR_KEY_FUNCTION_NOT_PERMITTED);
        }
    }
}

/* ---- levels ---- */

CASE(A_D7_level_skipping)
{
    CK_SESSION_HANDLE session = user_session();
    struct ladder ladder;
    CK_OBJECT_HANDLE key = 0;

    NEED(make_by(CKM_GENERIC_SECRET_KEY_GEN, session, "free", "DS", NULL, 0));
    ladder_grow(session);
    session = settle(session);
    ladder = ladder_find(session);
    for (CK_ULONG level = 0; level < 5; level++) {
        CK_ATTRIBUTE asked[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, "skipped"), A_ULONG(CKA_KL_LEVEL, level) },
                     record[] = { A_BOOL(CKA_TOKEN, CK_FALSE), asked[2] },
                     child[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES), A_ULONG(CKA_VALUE_LEN, 32), asked[2] };

        REFUSED(session, hkdf_try(session, ladder.master, NULL, 0, "x", 1, asked, 3, &key), CKR_ATTRIBUTE_READ_ONLY);
        REFUSED(session, hkdf_try(session, ladder.fek, NULL, 0, "x", 1, record, 2, &key), CKR_ATTRIBUTE_READ_ONLY);
        REFUSED(session, hkdf_try(session, named(session, "free"), NULL, 0, "x", 1, child, 3, &key), CKR_ATTRIBUTE_READ_ONLY);
    }
    /* Below a record key, and below a field key, nothing lives on the token. */
    REFUSED(session, grow_try(session, ladder.rek, "below", &key), CKR_TEMPLATE_INCONSISTENT, CKR_KEY_FUNCTION_NOT_PERMITTED);
    REFUSED(session, grow_try(session, ladder.fek, "below", &key), CKR_TEMPLATE_INCONSISTENT);
    /* A key from itself, by its own name. */
    REFUSED(session, grow_try(session, ladder.dek, "users", &key), CKR_TEMPLATE_INCONSISTENT);
    REFUSED(session, grow_try(session, ladder.master, "master", &key), CKR_TEMPLATE_INCONSISTENT);
    CHECK(get_ulong(session, ladder.dek, CKA_KL_LEVEL) == 1 && get_ulong(session, ladder.fek, CKA_KL_LEVEL) == 2);
}

/* ---- one name, one key ---- */

static void all_different(CK_SESSION_HANDLE session, const CK_OBJECT_HANDLE *keys, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            bool same = same_key(session, keys[i], keys[j]);

            if (same != (i == j)) fail_at(__FILE__, __LINE__, "requests %zu and %zu give %s key", i, j, same ? "one" : "not the same");
        }
    }
}

CASE(A_D8_ambiguous_names)
{
    static const struct {
        const char *table, *field;
    } names[] = { { "ab", "c" }, { "a", "bc" }, { "a/b", "c" }, { "a:b", "c" }, { "abc", "" } };
    static const struct {
        const char *info;
        CK_ULONG len;
    } records[] = { { "abc", 3 }, { "ab", 2 }, { "ab\0c", 4 }, { "ab/c", 4 }, { "ab:c", 4 }, { "abc\0", 4 }, { "\0abc", 4 } };
    CK_OBJECT_HANDLE keys[COUNT(names) * 2 + COUNT(records)], key = 0, fek;
    char label[64];
    size_t n = 0;
    CK_SESSION_HANDLE session = user_session();

    for (size_t i = 0; i < COUNT(names); i++) {
        CK_OBJECT_HANDLE table = grow(session, named(session, "master"), names[i].table);

        snprintf(label, sizeof label, "%s.%s", names[i].table, *names[i].field ? names[i].field : "x");
        grow(session, table, label);
    }
    session = settle(session);
    for (size_t i = 0; i < COUNT(names); i++) {
        keys[n++] = named(session, names[i].table);
        snprintf(label, sizeof label, "%s.%s", names[i].table, *names[i].field ? names[i].field : "x");
        keys[n++] = named(session, label);
    }
    fek = named(session, "ab.c");
    for (size_t i = 0; i < COUNT(records); i++) keys[n++] = record_key(session, fek, records[i].info, records[i].len);
    all_different(session, keys, n);
    {
        CK_ATTRIBUTE no_label[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, "") },
                     nul_label[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_BYTES(CKA_LABEL, "a\0b", 3) },
                     record[] = { A_BOOL(CKA_TOKEN, CK_FALSE) };
        CK_RV rv;

        REFUSED(session, hkdf_try(session, named(session, "master"), NULL, 0, "info", 4, no_label, 2, &key), CKR_ATTRIBUTE_VALUE_INVALID,
                CKR_TEMPLATE_INCONSISTENT, CKR_TEMPLATE_INCOMPLETE);
        REFUSED(session, hkdf_try(session, fek, NULL, 0, "", 0, record, 1, &key), CKR_MECHANISM_PARAM_INVALID);
        /* A label with a NUL in it is refused, or is another label than the part before. */
        rv = hkdf_try(session, named(session, "master"), NULL, 0, "a", 1, nul_label, 2, &key);
        if (rv != CKR_OK) EXPECT(rv, CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT);
        if (rv == CKR_OK) CHECK(!same_key(session, key, named(session, "a")));
    }
}

/*
 * That level, type and length are in the KDF's input is shown with parents of
 * equal bytes by tests/unit/ladder/test_key; from outside no two have them.
 */
CASE(A_D9_the_same_info_on_another_level)
{
    CK_SESSION_HANDLE session = user_session();
    CK_ATTRIBUTE dek[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, "one") },
                 fek[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, "two") }, record[] = { A_BOOL(CKA_TOKEN, CK_FALSE) };
    CK_OBJECT_HANDLE keys[5] = { 0 };

    NEED(hkdf_try(session, named(session, "master"), "salt", 4, "users", 5, dek, 2, &keys[0]));
    NEED(hkdf_try(session, keys[0], "salt", 4, "users", 5, fek, 2, &keys[1]));
    session = settle(session);
    keys[0] = named(session, "one");
    keys[1] = named(session, "two");
    for (int i = 0; i < 2; i++) NEED(hkdf_try(session, keys[i], "salt", 4, "users", 5, record, 1, &keys[2 + i]));
    NEED(hkdf_try(session, named(session, "master"), "salt", 4, "users", 5, record, 1, &keys[4]));
    all_different(session, keys, COUNT(keys));
}

static CK_RV mac(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, CK_BYTE out[32])
{
    CK_MECHANISM mech = { CKM_SHA256_HMAC, NULL, 0 };
    CK_ULONG len = 32;
    CK_RV rv = p11->C_SignInit(session, &mech, key);

    return rv == CKR_OK ? p11->C_Sign(session, (CK_BYTE *)(uintptr_t) "message", 7, out, &len) : rv;
}

CASE(A_D10_the_same_info_for_another_algorithm)
{
    static const struct {
        CK_KEY_TYPE type;
        CK_ULONG len;
    } kinds[] = { { CKK_GENERIC_SECRET, 32 }, { CKK_SHA256_HMAC, 32 }, { CKK_GENERIC_SECRET, 48 }, { CKK_GENERIC_SECRET, 64 } };
    CK_BYTE macs[COUNT(kinds)][32];
    bool have[COUNT(kinds)] = { false };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE fek, key = 0;

    ladder_grow(session);
    session = settle(session);
    fek = named(session, "users.email");
    /* HMAC takes what HMAC keys there are: equal bytes would show as equal MACs. */
    for (size_t i = 0; i < COUNT(kinds); i++) {
        CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_FALSE), A_ULONG(CKA_KEY_TYPE, kinds[i].type), A_ULONG(CKA_VALUE_LEN, kinds[i].len),
                                    A_BOOL(CKA_SIGN, CK_TRUE) };
        CK_RV rv = hkdf_try(session, fek, NULL, 0, "4711", 4, template, COUNT(template), &key);

        if (i && rv != CKR_OK) {
            EXPECT(rv, CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_VALUE_INVALID, CKR_KEY_SIZE_RANGE);
            continue;
        }
        NEED(rv);
        NEED(mac(session, key, macs[i]));
        have[i] = true;
        for (size_t j = 0; j < i; j++) CHECK(!have[j] || memcmp(macs[i], macs[j], 32) != 0);
    }
    /* AES and ChaCha20 children are made from one info, and neither opens what the other sealed. */
    {
        CK_ATTRIBUTE chacha[] = { A_BOOL(CKA_TOKEN, CK_FALSE), A_ULONG(CKA_KEY_TYPE, CKK_CHACHA20) };
        CK_OBJECT_HANDLE aes = record_key(session, fek, "4711", 4);
        CK_BYTE sealed[100], out[100];
        CK_ULONG len = sizeof sealed, out_len = sizeof out;

        NEED(hkdf_try(session, fek, NULL, 0, "4711", 4, chacha, 2, &key));
        NEED(envelope(session, true, aes, NULL, "value", 5, sealed, &len));
        CHECK(envelope(session, false, key, NULL, sealed, len, out, &out_len) != CKR_OK);
    }
}

/* ---- templates and history of children ---- */

CASE(A_D11_a_derive_template)
{
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_ATTRIBUTE inner[] = { { CKA_SENSITIVE, &yes, 1 }, { CKA_EXTRACTABLE, &no, 1 }, A_TEXT(CKA_LABEL, "child") };
    const CK_ATTRIBUTE template[] = { A_BYTES(CKA_DERIVE_TEMPLATE, inner, sizeof inner) };
    CK_ATTRIBUTE aes[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES), A_ULONG(CKA_VALUE_LEN, 32) },
                 open[] = { aes[0], aes[1], A_BOOL(CKA_SENSITIVE, CK_FALSE) },
                 extractable[] = { aes[0], aes[1], A_BOOL(CKA_EXTRACTABLE, CK_TRUE) },
                 other[] = { aes[0], aes[1], A_TEXT(CKA_LABEL, "other") };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE base, key = 0;

    NEED(make_by(CKM_GENERIC_SECRET_KEY_GEN, session, "base", "DX", template, 1));
    session = settle(session);
    base = named(session, "base");
    REFUSED(session, hkdf_try(session, base, NULL, 0, "x", 1, open, 3, &key), CKR_TEMPLATE_INCONSISTENT);
    REFUSED(session, hkdf_try(session, base, NULL, 0, "x", 1, extractable, 3, &key), CKR_TEMPLATE_INCONSISTENT);
    REFUSED(session, hkdf_try(session, base, NULL, 0, "x", 1, other, 3, &key), CKR_TEMPLATE_INCONSISTENT);
    NEED(hkdf_try(session, base, NULL, 0, "x", 1, aes, 2, &key));
    CHECK(get_bool(session, key, CKA_SENSITIVE) == CK_TRUE && get_bool(session, key, CKA_EXTRACTABLE) == CK_FALSE);
    CHECK(named(session, "child") == key);
    REFUSED(session, set_bytes(session, base, CKA_DERIVE_TEMPLATE, NULL, 0), CKR_ATTRIBUTE_READ_ONLY);
}

CASE(A_D12_history_is_inherited)
{
    static const struct {
        const char *label, *flags;
        CK_BBOOL sensitive, extractable_never;
    } bases[] = { { "strict", "DS", CK_TRUE, CK_TRUE }, { "leaves", "DSX", CK_TRUE, CK_FALSE } };
    CK_ATTRIBUTE aes[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES), A_ULONG(CKA_VALUE_LEN, 32) };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = 0;

    for (size_t i = 0; i < COUNT(bases); i++) NEED(make_by(CKM_GENERIC_SECRET_KEY_GEN, session, bases[i].label, bases[i].flags, NULL, 0));
    NEED(import_as(CKK_GENERIC_SECRET, session, "imported", "DS", (const CK_BYTE *)"32 bytes that came from outside.", 32));
    /* Sensitive from now on, but not always. */
    key = secret_make(session, "D");
    NEED(set_bool(session, key, CKA_SENSITIVE, CK_TRUE));
    NEED(hkdf_try(session, key, NULL, 0, "x", 1, aes, 2, &key));
    CHECK(get_bool(session, key, CKA_ALWAYS_SENSITIVE) == CK_FALSE && get_bool(session, key, CKA_LOCAL) == CK_FALSE);
    session = settle(session);
    for (size_t i = 0; i < COUNT(bases); i++) {
        NEED(hkdf_try(session, named(session, bases[i].label), NULL, 0, "x", 1, aes, 2, &key));
        CHECK(get_bool(session, key, CKA_ALWAYS_SENSITIVE) == bases[i].sensitive);
        CHECK(get_bool(session, key, CKA_NEVER_EXTRACTABLE) == bases[i].extractable_never);
        CHECK(get_bool(session, key, CKA_LOCAL) == CK_FALSE);
    }
    NEED(hkdf_try(session, named(session, "imported"), NULL, 0, "x", 1, aes, 2, &key));
    CHECK(get_bool(session, key, CKA_ALWAYS_SENSITIVE) == CK_FALSE && get_bool(session, key, CKA_NEVER_EXTRACTABLE) == CK_FALSE);
    CHECK(get_bool(session, key, CKA_LOCAL) == CK_FALSE);
}

CASE(A_D13_a_token_key_without_the_right_to_write)
{
    CK_SESSION_HANDLE session = user_session(), ro;
    CK_ATTRIBUTE child[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES), A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_TOKEN, CK_TRUE) };
    CK_OBJECT_HANDLE key = 0;

    NEED(make_by(CKM_GENERIC_SECRET_KEY_GEN, session, "base", "DS", NULL, 0));
    ladder_grow(session);
    session = settle(session);
    ro = open_session(0);
    REFUSED(ro, hkdf_try(ro, named(ro, "base"), NULL, 0, "x", 1, child, 3, &key), CKR_SESSION_READ_ONLY);
    REFUSED(ro, grow_try(ro, named(ro, "master"), "orders", &key), CKR_SESSION_READ_ONLY);
    REFUSED(ro, grow_try(ro, named(ro, "users"), "users.name", &key), CKR_SESSION_READ_ONLY);
    EXPECT(hkdf_try(ro, named(ro, "base"), NULL, 0, "x", 1, child, 2, &key), CKR_OK);
    EXPECT(hkdf_try(session, named(ro, "base"), NULL, 0, "x", 1, child, 3, &key), CKR_OK);
}

CASE(A_D14_the_derive_flag)
{
    CK_ATTRIBUTE child[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES), A_ULONG(CKA_VALUE_LEN, 32) };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = 0, rek;
    static const char *const labels[] = { "generic", "aes", "dropped" };

    NEED(make_by(CKM_GENERIC_SECRET_KEY_GEN, session, "generic", "svS", NULL, 0));
    NEED(make_by(CKM_GENERIC_SECRET_KEY_GEN, session, "dropped", "DS", NULL, 0));
    NEED(set_bool(session, named(session, "dropped"), CKA_DERIVE, CK_FALSE));
    make(session, "aes", "edS");
    ladder_grow(session);
    session = settle(session);
    for (size_t i = 0; i < COUNT(labels); i++)
        REFUSED(session, hkdf_try(session, named(session, labels[i]), NULL, 0, "x", 1, child, 2, &key), CKR_KEY_FUNCTION_NOT_PERMITTED);
    rek = ladder_find(session).rek;
    REFUSED(session, hkdf_try(session, rek, NULL, 0, "x", 1, child, 2, &key), CKR_KEY_FUNCTION_NOT_PERMITTED);
}

CASE(A_D15_record_identifiers)
{
    static CK_BYTE info[65536] = "1";
    CK_ATTRIBUTE record[] = { A_BOOL(CKA_TOKEN, CK_FALSE) };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE keys[6], fek, key = 0;
    static const CK_ULONG lengths[] = { 1, 2, 3, 1023, 1024 };

    ladder_grow(session);
    session = settle(session);
    fek = named(session, "users.email");
    REFUSED(session, hkdf_try(session, fek, NULL, 0, info, 0, record, 1, &key), CKR_MECHANISM_PARAM_INVALID);
    REFUSED(session, hkdf_try(session, fek, NULL, 0, info, 1025, record, 1, &key), CKR_MECHANISM_PARAM_INVALID);
    REFUSED(session, hkdf_try(session, fek, NULL, 0, info, sizeof info, record, 1, &key), CKR_MECHANISM_PARAM_INVALID);
    /* One byte, and the same with ever more zero bytes behind it. */
    for (size_t i = 0; i < COUNT(lengths); i++) keys[i] = record_key(session, fek, info, lengths[i]);
    keys[5] = record_key(session, fek, "2", 1);
    all_different(session, keys, COUNT(keys));
}

const struct test derive_cases[] = {
    T(A_D1_xor_with_known_data, OURS),
    T(A_D2_extract_and_concatenate, OURS),
    T(A_D3_derivation_by_encrypting_data, OURS),
    T(A_D4_expand_only_and_extract_only, OURS),
    T(A_D5_neither_half_unknown_hash_unknown_salt_type, OURS),
    T(A_D6_salt_by_key_handle, OURS),
    T(A_D7_level_skipping, OURS),
    T(A_D8_ambiguous_names, OURS),
    T(A_D9_the_same_info_on_another_level, OURS),
    T(A_D10_the_same_info_for_another_algorithm, OURS),
    T(A_D11_a_derive_template, OURS),
    T(A_D12_history_is_inherited, OURS),
    T(A_D13_a_token_key_without_the_right_to_write, OURS),
    T(A_D14_the_derive_flag, OURS),
    T(A_D15_record_identifiers, OURS),
    { NULL, NULL, 0 },
};
