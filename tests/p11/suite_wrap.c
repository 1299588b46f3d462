/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Keys that leave and enter under other keys: wrapping, unwrapping, templates, and two consumers' ways. */
#include "suite.h"

static CK_BYTE iv16[16] = "sixteen bytes..";

static const struct row {
    CK_MECHANISM_TYPE type;
    void *parameter;
    CK_ULONG parameter_len;
} rows[] = {
    { CKM_AES_KEY_WRAP, NULL, 0 },
    { CKM_AES_KEY_WRAP_PAD, NULL, 0 },
    { CKM_AES_KEY_WRAP_KWP, NULL, 0 },
};

static CK_RV wrap_with(CK_SESSION_HANDLE session, const struct row *row, CK_OBJECT_HANDLE kek, CK_OBJECT_HANDLE key, CK_BYTE *out,
                       CK_ULONG *len)
{
    CK_MECHANISM mech = { row->type, row->parameter, row->parameter_len };

    return p11->C_WrapKey(session, &mech, kek, key, out, len);
}

static CK_RV unwrap_with(CK_SESSION_HANDLE session, const struct row *row, CK_OBJECT_HANDLE kek, const void *wrapped, CK_ULONG len,
                         CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *key)
{
    CK_MECHANISM mech = { row->type, row->parameter, row->parameter_len };

    return p11->C_UnwrapKey(session, &mech, kek, (CK_BYTE *)(uintptr_t)wrapped, len, template, count, key);
}

static CK_RV wrap(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE kek, CK_OBJECT_HANDLE key, CK_BYTE *out, CK_ULONG *len)
{
    return wrap_with(session, &rows[0], kek, key, out, len);
}

static CK_RV unwrap(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE kek, const void *wrapped, CK_ULONG len, CK_ATTRIBUTE *template,
                    CK_ULONG count, CK_OBJECT_HANDLE *key)
{
    return unwrap_with(session, &rows[0], kek, wrapped, len, template, count, key);
}

/* A key that wraps and unwraps, with a template among its attributes. */
static CK_RV kek_with(CK_SESSION_HANDLE session, CK_ATTRIBUTE_TYPE type, CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *kek)
{
    CK_MECHANISM mech = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_ATTRIBUTE all[] = {
        A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_WRAP, CK_TRUE), A_BOOL(CKA_UNWRAP, CK_TRUE), { type, template, count * sizeof *template }
    };

    return p11->C_GenerateKey(session, &mech, all, COUNT(all), kek);
}

/* ---- two consumers ---- */

/* pg_vault_tde: a principal key that wraps the data keys which it makes itself. */
TEST(pg_vault_tde_keeps_its_data_keys)
{
    CK_SESSION_HANDLE session = user_session();
    CK_MECHANISM generation = { CKM_AES_KEY_GEN, NULL, 0 }, mech = { CKM_AES_KEY_WRAP, NULL, 0 };
    CK_ATTRIBUTE principal[] = { A_BOOL(CKA_TOKEN, CK_TRUE),        A_BOOL(CKA_PRIVATE, CK_TRUE), A_BOOL(CKA_SENSITIVE, CK_TRUE),
                                 A_BOOL(CKA_EXTRACTABLE, CK_FALSE), A_BOOL(CKA_WRAP, CK_TRUE),    A_BOOL(CKA_UNWRAP, CK_TRUE),
                                 A_ULONG(CKA_VALUE_LEN, 32),        A_TEXT(CKA_LABEL, "base.v1") };
    CK_BYTE value[32] = "thirty-two bytes of a data key.", wrapped[64], read[64];
    CK_ATTRIBUTE data_key[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES),   A_BOOL(CKA_TOKEN, CK_FALSE),
                                A_BOOL(CKA_SENSITIVE, CK_FALSE),    A_BOOL(CKA_EXTRACTABLE, CK_TRUE), A_BYTES(CKA_VALUE, value, 32) };
    CK_ATTRIBUTE value_attr = { CKA_VALUE, read, sizeof read };
    CK_OBJECT_HANDLE kek = 0, key = 0, back = 0;
    CK_ULONG len = sizeof wrapped;

    NEED(p11->C_GenerateKey(session, &generation, principal, COUNT(principal), &kek));
    NEED(p11->C_CreateObject(session, data_key, COUNT(data_key), &key));
    NEED(p11->C_WrapKey(session, &mech, kek, key, wrapped, &len));
    CHECK(len == 40);
    NEED(p11->C_DestroyObject(session, key));
    stop();
    session = user_session();
    kek = find_one(session, "base.v1");
    NEED(p11->C_UnwrapKey(session, &mech, kek, wrapped, len, data_key, COUNT(data_key) - 1, &back));
    NEED(p11->C_GetAttributeValue(session, back, &value_attr, 1));
    CHECK(value_attr.ulValueLen == 32 && memcmp(read, value, 32) == 0);
    NEED(p11->C_DestroyObject(session, back));
}

/* Barbican's MKEK and HMAC key; the calls of CONSUMERS in their order. */
static CK_OBJECT_HANDLE barbican_key(CK_SESSION_HANDLE session, const char *label)
{
    CK_MECHANISM generation = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES), A_ULONG(CKA_VALUE_LEN, 32),
                                A_BOOL(CKA_TOKEN, CK_TRUE),         A_BOOL(CKA_PRIVATE, CK_TRUE),   A_BOOL(CKA_SENSITIVE, CK_TRUE),
                                A_BOOL(CKA_ENCRYPT, CK_TRUE),       A_BOOL(CKA_DECRYPT, CK_TRUE),   A_BOOL(CKA_SIGN, CK_TRUE),
                                A_BOOL(CKA_VERIFY, CK_TRUE),        A_BOOL(CKA_WRAP, CK_TRUE),      A_BOOL(CKA_UNWRAP, CK_TRUE),
                                A_BOOL(CKA_EXTRACTABLE, CK_FALSE),  A_TEXT(CKA_LABEL, label) };
    CK_OBJECT_HANDLE key = 0;

    NEED(p11->C_GenerateKey(session, &generation, template, COUNT(template), &key));
    return key;
}

static CK_OBJECT_HANDLE project_key(CK_SESSION_HANDLE session, CK_MECHANISM *mech, CK_OBJECT_HANDLE kek, CK_BYTE *wrapped, CK_ULONG len)
{
    CK_MECHANISM generation = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES),   A_BOOL(CKA_TOKEN, CK_FALSE),
                                A_BOOL(CKA_PRIVATE, CK_TRUE),       A_BOOL(CKA_SENSITIVE, CK_TRUE),   A_BOOL(CKA_ENCRYPT, CK_TRUE),
                                A_BOOL(CKA_DECRYPT, CK_TRUE),       A_BOOL(CKA_EXTRACTABLE, CK_TRUE), A_ULONG(CKA_VALUE_LEN, 32) };
    CK_OBJECT_HANDLE key = 0;

    if (wrapped)
        NEED(p11->C_UnwrapKey(session, mech, kek, wrapped, len, template, COUNT(template) - 1, &key));
    else
        NEED(p11->C_GenerateKey(session, &generation, template, COUNT(template), &key));
    return key;
}

TEST(barbican_wraps_signs_and_unwraps_under_compatible)
{
    CK_MECHANISM cbc = { CKM_AES_CBC_PAD, iv16, sizeof iv16 }, hmac = { CKM_SHA256_HMAC, NULL, 0 };
    CK_BYTE wrapped[64], mac[32], sealed[64], out[64], joined[80];
    CK_OBJECT_HANDLE mkek, signer, project;
    CK_ULONG len = 0, mac_len = sizeof mac, out_len = sizeof out;
    CK_SESSION_HANDLE session;
    size_t sealed_len;

    sandbox_setting("policy = compatible");
    session = user_session();
    mkek = barbican_key(session, "mkek");
    signer = barbican_key(session, "hmac");
    project = project_key(session, NULL, 0, NULL, 0);
    sealed_len = seal(session, project, "a secret", 8, NULL, sealed);
    NEED(p11->C_WrapKey(session, &cbc, mkek, project, NULL, &len));
    CHECK(len == 48);
    NEED(p11->C_WrapKey(session, &cbc, mkek, project, wrapped, &len));
    memcpy(joined, iv16, 16);
    memcpy(joined + 16, wrapped, len);
    NEED(p11->C_SignInit(session, &hmac, signer));
    NEED(p11->C_Sign(session, joined, 16 + len, mac, &mac_len));
    NEED(p11->C_DestroyObject(session, project));
    stop();
    session = user_session();
    NEED(p11->C_VerifyInit(session, &hmac, find_one(session, "hmac")));
    NEED(p11->C_Verify(session, joined, 16 + len, mac, mac_len));
    project = project_key(session, &cbc, find_one(session, "mkek"), wrapped, len);
    NEED(unseal(session, project, sealed, sealed_len, NULL, out, &out_len));
    CHECK(out_len == 8 && memcmp(out, "a secret", 8) == 0);
}

TEST(barbican_is_refused_under_standard)
{
    CK_SESSION_HANDLE session = user_session();
    CK_MECHANISM cbc = { CKM_AES_CBC_PAD, iv16, sizeof iv16 };
    CK_BYTE wrapped[64];
    CK_ULONG len = sizeof wrapped;
    CK_OBJECT_HANDLE key = 0;

    EXPECT(p11->C_WrapKey(session, &cbc, key_make(session, "wuS"), key_make(session, "edX"), wrapped, &len), CKR_MECHANISM_INVALID);
    EXPECT(key_try(session, "edsvwuS", &key), CKR_TEMPLATE_INCONSISTENT);
}

/* ---- what comes back ---- */

/* A-W15. */
TEST(an_unwrapped_key_has_the_history_of_a_stranger)
{
    CK_SESSION_HANDLE session = user_session();
    static const char *const kinds[] = { "wuS", "wuST" };

    for (size_t k = 0; k < COUNT(kinds); k++) {
        CK_OBJECT_HANDLE kek = key_make(session, kinds[k]), key = key_make(session, "edX");

        for (size_t i = 0; i < COUNT(rows); i++) {
            for (CK_BBOOL token = 0; token < 2; token++) {
                CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES), A_BOOL(CKA_TOKEN, token) };
                CK_OBJECT_HANDLE back = 0;
                CK_BYTE wrapped[64];
                CK_ULONG len = sizeof wrapped;

                NEED(wrap_with(session, &rows[i], kek, key, wrapped, &len));
                CHECK(len == 40);
                NEED(unwrap_with(session, &rows[i], kek, wrapped, len, template, COUNT(template), &back));
                CHECK(get_bool(session, back, CKA_LOCAL) == CK_FALSE);
                CHECK(get_bool(session, back, CKA_ALWAYS_SENSITIVE) == CK_FALSE);
                CHECK(get_bool(session, back, CKA_NEVER_EXTRACTABLE) == CK_FALSE);
                CHECK(get_bool(session, back, CKA_SENSITIVE) == CK_TRUE && get_bool(session, back, CKA_EXTRACTABLE) == CK_FALSE);
                CHECK(get_ulong(session, back, CKA_KEY_GEN_MECHANISM) == CK_UNAVAILABLE_INFORMATION);
                CHECK(get_ulong(session, back, CKA_VALUE_LEN) == 32);
            }
        }
    }
}

TEST(history_value_and_class_cannot_be_asked_for)
{
    static CK_BBOOL yes = CK_TRUE;
    static CK_BYTE value[32] = "chosen";
    static CK_ULONG mechanism = CKM_AES_KEY_GEN, data = CKO_DATA, certificate = CKO_CERTIFICATE, public = CKO_PUBLIC_KEY;
    static const CK_ATTRIBUTE bad[] = {
        { CKA_LOCAL, &yes, 1 },
        { CKA_ALWAYS_SENSITIVE, &yes, 1 },
        { CKA_NEVER_EXTRACTABLE, &yes, 1 },
        { CKA_KEY_GEN_MECHANISM, &mechanism, sizeof mechanism },
        { CKA_VALUE, value, sizeof value },
        { CKA_CLASS, &data, sizeof data },
        { CKA_CLASS, &certificate, sizeof certificate },
        { CKA_CLASS, &public, sizeof public },
        { CKA_TRUSTED, &yes, 1 },
    };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE kek = key_make(session, "wuS"), back = 0;
    CK_BYTE wrapped[64];
    CK_ULONG len = sizeof wrapped;
    size_t before = 0;

    NEED(wrap(session, kek, key_make(session, "edX"), wrapped, &len));
    before = find_count(session, NULL, 0);
    for (size_t i = 0; i < COUNT(bad); i++) {
        CK_ATTRIBUTE template[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES), bad[i] };

        if (!EXPECT(unwrap(session, kek, wrapped, len, template, 2, &back), CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT,
                    CKR_ATTRIBUTE_VALUE_INVALID))
            printf("      with 0x%lx\n", bad[i].type);
    }
    CHECK(back == 0 && find_count(session, NULL, 0) == before);
}

/* A-W18 */
TEST(lengths_that_no_wrapped_key_has_are_refused_unread)
{
    static const CK_ULONG lens[] = { 0, 1, 7, 1UL << 31, CK_UNAVAILABLE_INFORMATION };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE kek = key_make(session, "wuS"), back = 0;
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES) };
    CK_BYTE small[8] = { 0 };

    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t l = 0; l < COUNT(lens); l++)
            EXPECT(unwrap_with(session, &rows[i], kek, small, lens[l], template, 2, &back), CKR_WRAPPED_KEY_LEN_RANGE);
    EXPECT(unwrap(session, kek, NULL, 40, template, 2, &back), CKR_ARGUMENTS_BAD);
    CHECK(back == 0);
}

TEST(what_was_changed_does_not_unwrap)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE kek = key_make(session, "wuS"), key = key_make(session, "edX"), back = 0;
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES) };

    for (size_t i = 0; i < COUNT(rows); i++) {
        CK_BYTE wrapped[64];
        CK_ULONG len = sizeof wrapped;

        NEED(wrap_with(session, &rows[i], kek, key, wrapped, &len));
        for (CK_ULONG byte = 0; byte < len; byte++) {
            wrapped[byte] ^= 4;
            EXPECT(unwrap_with(session, &rows[i], kek, wrapped, len, template, 1, &back), CKR_WRAPPED_KEY_INVALID);
            wrapped[byte] ^= 4;
        }
        EXPECT(unwrap_with(session, &rows[i], key_make(session, "uS"), wrapped, len, template, 1, &back), CKR_WRAPPED_KEY_INVALID);
    }
    CHECK(back == 0);
}

/* ---- what may leave ---- */

TEST(what_may_not_leave_does_not_and_tells_no_length)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE kek = key_make(session, "wuS"), record = 0, self = 0;
    CK_ATTRIBUTE no_token[] = { A_BOOL(CKA_TOKEN, CK_FALSE) };
    CK_BYTE out[64];
    CK_ULONG len = 7777;

    NEED(import_try(session, CKK_AES, "0123456789abcdef0123456789ABCDEF", 32, "wX", &self));
    NEED(hkdf_try(session, find_one(session, "master"), NULL, 0, "x", 1, no_token, 1, &record));
    for (size_t i = 0; i < COUNT(rows); i++) {
        EXPECT(wrap_with(session, &rows[i], kek, key_make(session, "edS"), NULL, &len), CKR_KEY_UNEXTRACTABLE);
        EXPECT(wrap_with(session, &rows[i], kek, find_one(session, "master"), out, &len), CKR_KEY_UNEXTRACTABLE);
        EXPECT(wrap_with(session, &rows[i], kek, record, out, &len), CKR_KEY_UNEXTRACTABLE);
        EXPECT(wrap_with(session, &rows[i], kek, key_make(session, "edSX"), out, &len), CKR_KEY_NOT_WRAPPABLE);
        EXPECT(wrap_with(session, &rows[i], self, self, out, &len), CKR_KEY_NOT_WRAPPABLE);
        CHECK(len == 7777);
    }
}

/* A-W11 */
TEST(no_other_mechanism_wraps)
{
    static const CK_MECHANISM_TYPE never[] = {
        CKM_AES_ECB, CKM_AES_CBC, CKM_AES_CBC_PAD, CKM_AES_CTR, CKM_AES_GCM, CKM_AES_CMAC, CKM_SHA256
    };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE kek = key_make(session, "wuS"), key = key_make(session, "edX"), back = 0;
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES) };
    CK_BYTE out[64] = { 0 };

    for (size_t i = 0; i < COUNT(never); i++) {
        const struct row row = { never[i], iv16, sizeof iv16 };
        CK_ULONG len = sizeof out;

        EXPECT(wrap_with(session, &row, kek, key, out, &len), CKR_MECHANISM_INVALID);
        EXPECT(unwrap_with(session, &row, kek, out, 48, template, 1, &back), CKR_MECHANISM_INVALID);
    }
}

TEST(a_weak_key_wraps_no_strong_one)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE weak = 0, strong = key_make(session, "edX"), equal = 0;
    CK_BYTE out[64];
    CK_ULONG len = sizeof out;

    NEED(import_try(session, CKK_AES, "0123456789abcdef", 16, "wS", &weak));
    NEED(import_try(session, CKK_AES, "fedcba9876543210", 16, "edX", &equal));
    EXPECT(wrap(session, weak, strong, out, &len), CKR_WRAPPING_KEY_SIZE_RANGE);
    EXPECT(wrap(session, weak, equal, out, &len), CKR_OK);
}

/* ---- templates ---- */

/* A-W8 and A-W9 */
TEST(an_unwrap_template_binds_whoever_unwraps)
{
    CK_SESSION_HANDLE session = user_session();
    CK_ATTRIBUTE imposed[] = { A_BOOL(CKA_SENSITIVE, CK_TRUE), A_BOOL(CKA_EXTRACTABLE, CK_FALSE), A_BOOL(CKA_DECRYPT, CK_FALSE) };
    CK_ATTRIBUTE weaker[] = { A_BOOL(CKA_SENSITIVE, CK_FALSE) };
    CK_ATTRIBUTE replace[] = { { CKA_UNWRAP_TEMPLATE, weaker, sizeof weaker } }, remove[] = { { CKA_UNWRAP_TEMPLATE, NULL, 0 } };
    CK_ATTRIBUTE open[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES), A_BOOL(CKA_EXTRACTABLE, CK_TRUE) },
                 silent[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES) }, same[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES), A_BOOL(CKA_SENSITIVE, CK_TRUE) };
    CK_OBJECT_HANDLE kek = 0, back = 0;
    CK_BYTE wrapped[64];
    CK_ULONG len = sizeof wrapped;

    NEED(kek_with(session, CKA_UNWRAP_TEMPLATE, imposed, COUNT(imposed), &kek));
    NEED(wrap(session, kek, key_make(session, "edX"), wrapped, &len));
    EXPECT(unwrap(session, kek, wrapped, len, open, 2, &back), CKR_TEMPLATE_INCONSISTENT);
    NEED(unwrap(session, kek, wrapped, len, same, 2, &back));
    NEED(unwrap(session, kek, wrapped, len, silent, 1, &back));
    CHECK(get_bool(session, back, CKA_SENSITIVE) == CK_TRUE && get_bool(session, back, CKA_EXTRACTABLE) == CK_FALSE);
    CHECK(get_bool(session, back, CKA_DECRYPT) == CK_FALSE);
    EXPECT(p11->C_SetAttributeValue(session, kek, replace, 1), CKR_ATTRIBUTE_READ_ONLY);
    EXPECT(p11->C_SetAttributeValue(session, kek, remove, 1), CKR_ATTRIBUTE_READ_ONLY);
}

/* A-W19 */
TEST(a_wrap_template_says_what_may_leave)
{
    CK_SESSION_HANDLE session = user_session();
    CK_ATTRIBUTE wanted[] = { A_TEXT(CKA_LABEL, "backup") };
    CK_OBJECT_HANDLE kek = 0, key = key_make(session, "edX");
    CK_BYTE out[64];
    CK_ULONG len = sizeof out;

    NEED(kek_with(session, CKA_WRAP_TEMPLATE, wanted, 1, &kek));
    EXPECT(wrap(session, kek, key, out, &len), CKR_KEY_HANDLE_INVALID);
    NEED(p11->C_SetAttributeValue(session, key, (CK_ATTRIBUTE[]){ A_TEXT(CKA_LABEL, "backup") }, 1));
    EXPECT(wrap(session, kek, key, out, &len), CKR_OK);
}

static CK_RV derive(CK_SESSION_HANDLE session, CK_MECHANISM_TYPE type, CK_OBJECT_HANDLE base, CK_ATTRIBUTE *template, CK_ULONG count,
                    CK_OBJECT_HANDLE *key)
{
    struct {
        CK_BBOOL little;
        CK_ULONG bits;
    } counter = { CK_FALSE, 32 };
    struct {
        CK_ULONG type;
        void *value;
        CK_ULONG len;
    } params[] = { { 1, &counter, sizeof counter }, { 4, iv16, 5 } };
    struct {
        CK_MECHANISM_TYPE prf;
        CK_ULONG count;
        void *params;
        CK_ULONG more;
        void *keys;
    } kdf = { CKM_SHA256_HMAC, 2, params, 0, NULL };
    CK_MECHANISM mech = { CKM_SP800_108_COUNTER_KDF, &kdf, sizeof kdf };

    if (type == CKM_HKDF_DERIVE) return hkdf_try(session, base, NULL, 0, "x", 1, template, count, key);
    return p11->C_DeriveKey(session, &mech, base, template, count, key);
}

/* A-D11 */
TEST(a_derive_template_binds_whoever_derives)
{
    static const CK_MECHANISM_TYPE types[] = { CKM_HKDF_DERIVE, CKM_SP800_108_COUNTER_KDF };
    CK_SESSION_HANDLE session = user_session();
    CK_MECHANISM generation = { CKM_GENERIC_SECRET_KEY_GEN, NULL, 0 };
    CK_ATTRIBUTE imposed[] = { A_BOOL(CKA_SENSITIVE, CK_TRUE), A_BOOL(CKA_EXTRACTABLE, CK_FALSE) };
    CK_ATTRIBUTE base_template[] = { A_ULONG(CKA_VALUE_LEN, 32),
                                     A_BOOL(CKA_DERIVE, CK_TRUE),
                                     A_BOOL(CKA_SENSITIVE, CK_FALSE),
                                     { CKA_DERIVE_TEMPLATE, imposed, sizeof imposed } };
    CK_ATTRIBUTE open[] = { A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_SENSITIVE, CK_FALSE) }, silent[] = { A_ULONG(CKA_VALUE_LEN, 32) };
    CK_OBJECT_HANDLE base = 0, child = 0;

    NEED(p11->C_GenerateKey(session, &generation, base_template, COUNT(base_template), &base));
    for (size_t i = 0; i < COUNT(types); i++) {
        EXPECT(derive(session, types[i], base, open, 2, &child), CKR_TEMPLATE_INCONSISTENT);
        NEED(derive(session, types[i], base, silent, 1, &child));
        CHECK(get_bool(session, child, CKA_SENSITIVE) == CK_TRUE && get_bool(session, child, CKA_EXTRACTABLE) == CK_FALSE);
        CHECK(get_bool(session, child, CKA_LOCAL) == CK_FALSE && get_bool(session, child, CKA_ALWAYS_SENSITIVE) == CK_FALSE);
    }
}

TEST(sp800_108_is_not_for_ladder_keys_nor_for_strangers)
{
    CK_SESSION_HANDLE session = user_session();
    CK_ATTRIBUTE silent[] = { A_ULONG(CKA_VALUE_LEN, 32) };
    CK_OBJECT_HANDLE stranger = 0, child = 0;

    NEED(import_try(session, CKK_GENERIC_SECRET, "0123456789abcdef0123456789ABCDEF", 32, "DS", &stranger));
    EXPECT(derive(session, CKM_SP800_108_COUNTER_KDF, find_one(session, "master"), silent, 1, &child), CKR_KEY_FUNCTION_NOT_PERMITTED);
    EXPECT(derive(session, CKM_SP800_108_COUNTER_KDF, stranger, silent, 1, &child), CKR_KEY_FUNCTION_NOT_PERMITTED);
    EXPECT(derive(session, CKM_SP800_108_COUNTER_KDF, secret_make(session, "svS"), silent, 1, &child), CKR_KEY_FUNCTION_NOT_PERMITTED);
    EXPECT(derive(session, CKM_SP800_108_COUNTER_KDF, secret_make(session, "DS"), silent, 1, &child), CKR_OK);
}

/* ---- authenticated (v3.2 5.18.6) ---- */

typedef CK_RV (*t_wrap)(CK_SESSION_HANDLE, CK_MECHANISM *, CK_OBJECT_HANDLE, CK_OBJECT_HANDLE, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG *);
typedef CK_RV (*t_unwrap)(CK_SESSION_HANDLE, CK_MECHANISM *, CK_OBJECT_HANDLE, CK_BYTE *, CK_ULONG, CK_ATTRIBUTE *, CK_ULONG, CK_BYTE *,
                          CK_ULONG, CK_OBJECT_HANDLE *);

TEST(gcm_wraps_with_associated_data_under_ivs_of_the_token)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE kek = key_make(session, "wuS"), key = key_make(session, "edX"), back = 0;
    CK_BYTE iv[12] = { 0 }, wrapped[64], again[64], first[12], *aad = iv16;
    struct t_gcm_wrap params = { iv, 12, 0, CKG_GENERATE, NULL, 0, 128 };
    CK_MECHANISM mech = { CKM_AES_GCM, &params, sizeof params }, kw = { CKM_AES_KEY_WRAP, NULL, 0 };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES) };
    CK_ULONG len = 0;
    t_wrap seal_key;
    t_unwrap open_key;

    *(void **)&seal_key = p11_sym("C_WrapKeyAuthenticated");
    *(void **)&open_key = p11_sym("C_UnwrapKeyAuthenticated");
    NEED(seal_key(session, &mech, kek, key, aad, 16, NULL, &len));
    CHECK(len == 48);
    NEED(seal_key(session, &mech, kek, key, aad, 16, wrapped, &len));
    memcpy(first, iv, 12);
    NEED(seal_key(session, &mech, kek, key, aad, 16, again, &len));
    CHECK(memcmp(first, iv, 12) != 0 && memcmp(wrapped, again, len) != 0);
    memcpy(iv, first, 12);
    NEED(open_key(session, &mech, kek, wrapped, len, template, 1, aad, 16, &back));
    CHECK(get_ulong(session, back, CKA_VALUE_LEN) == 32);
    EXPECT(open_key(session, &mech, kek, wrapped, len, template, 1, aad, 15, &back), CKR_WRAPPED_KEY_INVALID);
    wrapped[0] ^= 1;
    EXPECT(open_key(session, &mech, kek, wrapped, len, template, 1, aad, 16, &back), CKR_WRAPPED_KEY_INVALID);
    params.generator = CKG_NO_GENERATE;
    EXPECT(seal_key(session, &mech, kek, key, aad, 16, again, &len), CKR_MECHANISM_PARAM_INVALID);
    EXPECT(seal_key(session, &kw, kek, key, aad, 16, again, &len), CKR_MECHANISM_INVALID);
}

const struct test wrap_tests[] = {
    T(pg_vault_tde_keeps_its_data_keys, ANY),
    T(barbican_wraps_signs_and_unwraps_under_compatible, OURS),
    T(barbican_is_refused_under_standard, OURS),
    T(an_unwrapped_key_has_the_history_of_a_stranger, OURS),
    T(history_value_and_class_cannot_be_asked_for, OURS),
    T(lengths_that_no_wrapped_key_has_are_refused_unread, OURS),
    T(what_was_changed_does_not_unwrap, OURS),
    T(what_may_not_leave_does_not_and_tells_no_length, OURS),
    T(no_other_mechanism_wraps, OURS),
    T(a_weak_key_wraps_no_strong_one, OURS),
    T(an_unwrap_template_binds_whoever_unwraps, OURS),
    T(a_wrap_template_says_what_may_leave, OURS),
    T(a_derive_template_binds_whoever_derives, OURS),
    T(sp800_108_is_not_for_ladder_keys_nor_for_strangers, OURS),
    T(gcm_wraps_with_associated_data_under_ivs_of_the_token, OURS),
    { NULL, NULL, 0 },
};
