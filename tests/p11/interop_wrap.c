/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Features of wrapping and deriving keys. */
#include "interop.h"

#define KW_PAD CKM_AES_KEY_WRAP_PAD

static CK_MECHANISM bare(CK_MECHANISM_TYPE type)
{
    return (CK_MECHANISM){ type, NULL, 0 };
}

/* A key that may be seen, as pg_vault_tde has them unwrapped. */
static CK_RV unwrap_try(CK_SESSION_HANDLE session, CK_MECHANISM *mech, CK_OBJECT_HANDLE with, const struct bytes *wrapped, CK_KEY_TYPE type,
                        CK_OBJECT_HANDLE *key)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY),
                                { CKA_KEY_TYPE, &type, sizeof type },
                                A_BOOL(CKA_TOKEN, CK_FALSE),
                                A_BOOL(CKA_SENSITIVE, CK_FALSE),
                                A_BOOL(CKA_EXTRACTABLE, CK_TRUE) };

    return CALL(C_UnwrapKey, session, mech, with, (CK_BYTE *)(uintptr_t)wrapped->data, wrapped->len, template, COUNT(template), key);
}

static void must_have_value(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, const char *hex)
{
    struct bytes value = { .len = sizeof value.data };
    CK_ATTRIBUTE attr = { CKA_VALUE, value.data, value.len };

    MUST(C_GetAttributeValue, session, key, &attr, 1);
    must_equal_hex("the unwrapped key", value.data, attr.ulValueLen, hex);
}

static struct bytes wrapped_by(CK_SESSION_HANDLE session, CK_MECHANISM *mech, CK_OBJECT_HANDLE with, CK_OBJECT_HANDLE key)
{
    struct bytes out = { .len = sizeof out.data };
    CK_ULONG len = 0;

    may_refuse("C_WrapKey(NULL)", CALL(C_WrapKey, session, mech, with, key, NULL, &len));
    may_refuse("C_WrapKey", CALL(C_WrapKey, session, mech, with, key, out.data, &out.len));
    if (len < out.len) say_wrong("C_WrapKey(NULL): %lu bytes, %lu come", len, out.len);
    return out;
}

/* A known answer, or NULL; there and back, and not with a bit changed. */
static void wraps(CK_MECHANISM *mech, const char *kek, CK_KEY_TYPE type, const char *value, const char *want)
{
    CK_SESSION_HANDLE session = ready();
    CK_OBJECT_HANDLE with, key, back;
    struct bytes wrapped;
    CK_RV rv;

    offers(mech->mechanism, "it", CKF_WRAP | CKF_UNWRAP);
    with = import_hex(session, CKK_AES, kek, "wu");
    key = import_hex(session, type, value, "NX");
    wrapped = wrapped_by(session, mech, with, key);
    if (want != NULL) must_equal_hex("C_WrapKey", wrapped.data, wrapped.len, want);
    may_refuse("C_UnwrapKey", unwrap_try(session, mech, with, &wrapped, type, &back));
    must_have_value(session, back, value);
    wrapped.data[wrapped.len - 1] ^= 1;
    rv = unwrap_try(session, mech, with, &wrapped, type, &back);
    /* CBC has no integrity: what comes out may look like a key. */
    if (mech->mechanism == CKM_AES_CBC_PAD) return;
    if (rv == CKR_OK) say_wrong("tampered wrapped key accepted");
    MUST_BE("C_UnwrapKey of a tampered key", rv, CKR_WRAPPED_KEY_INVALID, CKR_WRAPPED_KEY_LEN_RANGE, CKR_ENCRYPTED_DATA_INVALID);
    finalize();
}

#define RFC3394_KEK "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define RFC3394_KEY "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f"

/* RFC 3394, 4.6 */
void wrap_kw(void)
{
    CK_MECHANISM mech = bare(CKM_AES_KEY_WRAP);

    wraps(&mech, RFC3394_KEK, CKK_AES, RFC3394_KEY, "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21");
}

/* Two readings of the standard: RFC 5649, or PKCS #7 and then RFC 3394. */
void wrap_kw_pad(void)
{
    CK_MECHANISM mech = bare(KW_PAD);

    wraps(&mech, RFC3394_KEK, CKK_GENERIC_SECRET, "c37b7e6492584340bed12207808941155068f738", NULL);
}

/* RFC 5649, section 6 */
void wrap_kwp(void)
{
    CK_MECHANISM mech = bare(CKM_AES_KEY_WRAP_KWP);

    wraps(&mech, "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8", CKK_GENERIC_SECRET, "c37b7e6492584340bed12207808941155068f738",
          "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a");
}

void wrap_cbc_pad(void)
{
    CK_MECHANISM mech = { CKM_AES_CBC_PAD, (CK_BYTE[16]){ 6 }, 16 };

    wraps(&mech, RFC3394_KEK, CKK_AES, RFC3394_KEY, NULL);
    finalize();
}

void wraps_no_unextractable(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_MECHANISM mech = bare(CKM_AES_KEY_WRAP);
    CK_OBJECT_HANDLE with, key;
    struct bytes out = { .len = sizeof out.data };
    CK_RV rv;

    OFFERS(CKM_AES_KEY_WRAP, CKF_WRAP);
    with = aes_key(session, 32, "wu");
    key = aes_key(session, 32, "edx");
    rv = CALL(C_WrapKey, session, &mech, with, key, out.data, &out.len);
    if (rv == CKR_OK) say_wrong("C_WrapKey: an unextractable key");
    MUST_BE("C_WrapKey of an unextractable key", rv, CKR_KEY_UNEXTRACTABLE, CKR_KEY_NOT_WRAPPABLE, CKR_KEY_FUNCTION_NOT_PERMITTED);
    finalize();
}

/* Out in the clear by way of a key that wraps and decrypts: what every policy of keys is there to prevent. */
void wrap_then_decrypt(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_MECHANISM gen = bare(CKM_AES_KEY_GEN), mech = { CKM_AES_CBC_PAD, (CK_BYTE[16]){ 8 }, 16 };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_TOKEN, CK_FALSE), A_BOOL(CKA_WRAP, CK_TRUE),
                                A_BOOL(CKA_DECRYPT, CK_TRUE) };
    struct bytes wrapped = { .len = sizeof wrapped.data }, out;
    CK_OBJECT_HANDLE with;
    CK_RV rv;

    OFFERS(CKM_AES_KEY_GEN, CKF_GENERATE);
    rv = CALL(C_GenerateKey, session, &gen, template, COUNT(template), &with);
    if (rv == CKR_FUNCTION_NOT_SUPPORTED) say_untried("C_GenerateKey: %s", code(rv));
    if (rv != CKR_OK) return;
    if (!is_listed(CKM_AES_CBC_PAD, CKF_WRAP | CKF_DECRYPT)) return;
    rv = CALL(C_WrapKey, session, &mech, with, aes_key(session, 32, "edX"), wrapped.data, &wrapped.len);
    if (rv == CKR_OK && decrypt_try(session, &mech, with, &wrapped, &out) == CKR_OK && out.len == 32)
        say_no("a sensitive key comes out by C_WrapKey and C_Decrypt");
    finalize();
}

void wrap_authenticated(void)
{
    CK_FUNCTION_LIST_3_2 *list = interface_of(3, 2);
    CK_SESSION_HANDLE session = ready();
    CK_BYTE iv[12] = { 0 }, aad[] = "context";
    struct t_gcm_wrap params = { iv, sizeof iv, 0, CKG_GENERATE, NULL, 0, 128 };
    CK_MECHANISM mech = { CKM_AES_GCM, &params, sizeof params };
    struct bytes wrapped = { .len = sizeof wrapped.data };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES), A_BOOL(CKA_TOKEN, CK_FALSE),
                                A_BOOL(CKA_SENSITIVE, CK_FALSE), A_BOOL(CKA_EXTRACTABLE, CK_TRUE) };
    CK_OBJECT_HANDLE with, key, back;
    CK_RV rv;

    OFFERS(CKM_AES_GCM, CKF_WRAP | CKF_UNWRAP);
    with = aes_key(session, 32, "wu");
    key = import_hex(session, CKK_AES, RFC3394_KEY, "NX");
    stage("C_WrapKeyAuthenticated");
    rv = list->C_WrapKeyAuthenticated(session, &mech, with, key, aad, 7, wrapped.data, &wrapped.len);
    must_ok("C_WrapKeyAuthenticated", rv);
    params.generator = CKG_NO_GENERATE;
    stage("C_UnwrapKeyAuthenticated");
    rv = list->C_UnwrapKeyAuthenticated(session, &mech, with, wrapped.data, wrapped.len, template, COUNT(template), aad, 7, &back);
    must_ok("C_UnwrapKeyAuthenticated", rv);
    must_have_value(session, back, RFC3394_KEY);
    aad[0] ^= 1;
    rv = list->C_UnwrapKeyAuthenticated(session, &mech, with, wrapped.data, wrapped.len, template, COUNT(template), aad, 7, &back);
    if (rv == CKR_OK) say_wrong("other AAD accepted");
    finalize();
}

/* ---- derivation ---- */

static CK_OBJECT_HANDLE derived(CK_SESSION_HANDLE session, CK_MECHANISM *mech, CK_OBJECT_HANDLE base, CK_KEY_TYPE type, CK_ULONG len)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY),  { CKA_KEY_TYPE, &type, sizeof type },
                                { CKA_VALUE_LEN, &len, sizeof len }, A_BOOL(CKA_TOKEN, CK_FALSE),
                                A_BOOL(CKA_SENSITIVE, CK_FALSE),     A_BOOL(CKA_EXTRACTABLE, CK_TRUE) };
    CK_OBJECT_HANDLE key = 0;

    MUST(C_DeriveKey, session, mech, base, template, COUNT(template), &key);
    return key;
}

/* RFC 5869, A.1 */
void derive_hkdf(void)
{
    CK_SESSION_HANDLE session = ready();
    struct bytes salt = from_hex("000102030405060708090a0b0c"), info = from_hex("f0f1f2f3f4f5f6f7f8f9");
    struct t_hkdf params = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_DATA, salt.data, salt.len, 0, info.data, info.len };
    CK_MECHANISM mech = { CKM_HKDF_DERIVE, &params, sizeof params };
    CK_OBJECT_HANDLE base;

    OFFERS(CKM_HKDF_DERIVE, CKF_DERIVE);
    base = import_hex(session, CKK_GENERIC_SECRET, "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "DNX");
    must_have_value(session, derived(session, &mech, base, CKK_GENERIC_SECRET, 42),
                    "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    must_have_value(session, derived(session, &mech, base, CKK_AES, 32),
                    "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
    finalize();
}

/* A key of the vendor's own making: each information gives another key, the same one the same. */
void derive_record_keys(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_BYTE info[] = "record 4711", iv[16] = { 1 };
    struct t_hkdf params = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, info, sizeof info };
    CK_MECHANISM mech = { CKM_HKDF_DERIVE, &params, sizeof params }, gen = bare(CKM_GENERIC_SECRET_KEY_GEN),
                 cbc = { CKM_AES_CBC_PAD, iv, 16 };
    CK_ATTRIBUTE base_template[] = { A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_TOKEN, CK_FALSE), A_BOOL(CKA_DERIVE, CK_TRUE) };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES), A_ULONG(CKA_VALUE_LEN, 32),
                                A_BOOL(CKA_TOKEN, CK_FALSE),        A_BOOL(CKA_ENCRYPT, CK_TRUE),   A_BOOL(CKA_DECRYPT, CK_TRUE) };
    CK_OBJECT_HANDLE base, key[3];
    struct bytes plain = { .len = 20 }, cipher[3];

    OFFERS(CKM_HKDF_DERIVE, CKF_DERIVE);
    OFFERS(CKM_AES_CBC_PAD, CKF_ENCRYPT | CKF_DECRYPT);
    if (CALL(C_GenerateKey, session, &gen, base_template, COUNT(base_template), &base) != CKR_OK) say_untried("no key to derive from");
    memset(plain.data, 'r', plain.len);
    for (int i = 0; i < 3; i++) {
        info[10] = i == 2 ? '2' : '1';
        MUST(C_DeriveKey, session, &mech, base, template, COUNT(template), &key[i]);
        cipher[i] = encrypted(session, &cbc, key[i], &plain);
    }
    must_equal("the same key derived again", cipher[1].data, cipher[1].len, cipher[0].data, cipher[0].len);
    if (memcmp(cipher[0].data, cipher[2].data, cipher[0].len) == 0) say_wrong("C_DeriveKey: one key for two informations");
    finalize();
}

/* NIST CAVP, KDFCTR_gen: HMAC-SHA256, counter of 32 bits before the fixed data, count 0. */
void derive_sp800_108(void)
{
    struct format {
        CK_BBOOL little;
        CK_ULONG bits;
    } format = { CK_FALSE, 32 };
    struct data {
        CK_ULONG type;
        void *value;
        CK_ULONG len;
    } data[2];
    struct {
        CK_MECHANISM_TYPE prf;
        CK_ULONG count;
        struct data *data;
        CK_ULONG more_count;
        void *more;
    } params = { CKM_SHA256_HMAC, 2, data, 0, NULL };
    CK_MECHANISM mech = { CKM_SP800_108_COUNTER_KDF, &params, sizeof params };
    struct bytes fixed =
        from_hex("01322b96b30acd197979444e468e1c5c6859bf1b1cf951b7e725303e237e46b864a145fab25e517b08f8683d0315bb2911d80a0e8aba17f3"
                 "b413faac");
    CK_SESSION_HANDLE session = ready();
    CK_OBJECT_HANDLE base;

    data[0] = (struct data){ 1 /* CK_SP800_108_ITERATION_VARIABLE */, &format, sizeof format };
    data[1] = (struct data){ 4 /* CK_SP800_108_BYTE_ARRAY */, fixed.data, fixed.len };
    OFFERS(CKM_SP800_108_COUNTER_KDF, CKF_DERIVE);
    base = import_hex(session, CKK_GENERIC_SECRET, "dd1d91b7d90b2bd3138533ce92b272fbf8a369316aefe242e659cc0ae238afe0", "DNX");
    must_have_value(session, derived(session, &mech, base, CKK_GENERIC_SECRET, 16), "10621342bfb0fd40046c0e29f2cfdbf0");
    finalize();
}

void derive_is_not_sensitive_blind(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_BYTE info[] = "out";
    struct t_hkdf params = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, info, 3 };
    CK_MECHANISM mech = { CKM_HKDF_DERIVE, &params, sizeof params };
    CK_BYTE never = 2;
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES), A_ULONG(CKA_VALUE_LEN, 32),
                                A_BOOL(CKA_TOKEN, CK_FALSE) };
    CK_ATTRIBUTE attrs[] = { { CKA_ALWAYS_SENSITIVE, &never, 1 } };
    CK_OBJECT_HANDLE base, key;

    OFFERS(CKM_HKDF_DERIVE, CKF_DERIVE);
    base = import_hex(session, CKK_GENERIC_SECRET, RFC3394_KEY, "DNX");
    MUST(C_DeriveKey, session, &mech, base, template, COUNT(template), &key);
    MUST(C_GetAttributeValue, session, key, attrs, 1);
    if (never) say_wrong("ALWAYS_SENSITIVE of a key that was derived from one that was not");
    finalize();
}
