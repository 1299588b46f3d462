/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Digests and MACs: what is offered, lengths, parts, what must not verify. */
#include "suite.h"

static CK_BYTE data[1000];
static CK_ULONG twelve = 12;
static CK_BYTE gmac_iv[12];

static const struct row {
    CK_MECHANISM_TYPE type;
    CK_KEY_TYPE key_type;
    void *parameter;
    CK_ULONG parameter_len, mac_len;
    unsigned needs; /* OURS: SoftHSM 2.6 has it not */
} rows[] = {
    { CKM_SHA256_HMAC, CKK_GENERIC_SECRET, NULL, 0, 32, ANY },
    { CKM_SHA384_HMAC, CKK_GENERIC_SECRET, NULL, 0, 48, ANY },
    { CKM_SHA512_HMAC, CKK_GENERIC_SECRET, NULL, 0, 64, ANY },
    { CKM_SHA256_HMAC_GENERAL, CKK_GENERIC_SECRET, &twelve, sizeof twelve, 12, OURS },
    { CKM_SHA384_HMAC_GENERAL, CKK_GENERIC_SECRET, &twelve, sizeof twelve, 12, OURS },
    { CKM_SHA512_HMAC_GENERAL, CKK_GENERIC_SECRET, &twelve, sizeof twelve, 12, OURS },
    { CKM_AES_CMAC, CKK_AES, NULL, 0, 16, ANY },
    { CKM_AES_CMAC_GENERAL, CKK_AES, &twelve, sizeof twelve, 12, OURS },
    { CKM_AES_GMAC, CKK_AES, gmac_iv, sizeof gmac_iv, 16, OURS },
};

static bool is_there(const struct row *row)
{
    return p11_kind == KEYLADDER || row->needs == ANY;
}

static void fill(void)
{
    uint64_t rng = 77;

    rng_fill(&rng, data, sizeof data);
}

static CK_OBJECT_HANDLE key_for(CK_SESSION_HANDLE session, const struct row *row, const char *flags)
{
    CK_OBJECT_HANDLE key = 0;

    NEED(import_try(session, row->key_type, "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789ABCDEF",
                    row->key_type == CKK_AES ? 32 : 64, flags, &key));
    return key;
}

static CK_RV sign_init(CK_SESSION_HANDLE session, const struct row *row, CK_OBJECT_HANDLE key)
{
    CK_MECHANISM mech = { row->type, row->parameter, row->parameter_len };

    return p11->C_SignInit(session, &mech, key);
}

static CK_RV verify_init(CK_SESSION_HANDLE session, const struct row *row, CK_OBJECT_HANDLE key)
{
    CK_MECHANISM mech = { row->type, row->parameter, row->parameter_len };

    return p11->C_VerifyInit(session, &mech, key);
}

static void next_iv(void)
{
    for (int i = 11; i >= 0 && ++gmac_iv[i] == 0; i--) continue;
}

TEST(the_macs_say_what_they_do)
{
    user_session();
    for (size_t i = 0; i < COUNT(rows); i++) {
        CK_MECHANISM_INFO info = { 0 };

        NEED(p11->C_GetMechanismInfo(slot_labelled(TOKEN_LABEL), rows[i].type, &info));
        CHECK(info.flags == (CKF_SIGN | CKF_VERIFY));
        CHECK(rows[i].key_type != CKK_AES || (info.ulMinKeySize == 16 && info.ulMaxKeySize == 32));
    }
    for (CK_MECHANISM_TYPE type = CKM_SHA256; type <= CKM_SHA512; type += CKM_SHA384 - CKM_SHA256) {
        CK_MECHANISM_INFO info = { 0 };

        NEED(p11->C_GetMechanismInfo(slot_labelled(TOKEN_LABEL), type, &info));
        CHECK(info.flags == CKF_DIGEST);
    }
}

TEST(a_sign_asks_tells_and_ends)
{
    CK_SESSION_HANDLE session = user_session();

    fill();
    for (size_t i = 0; i < COUNT(rows); i++) {
        CK_OBJECT_HANDLE key = 0;
        CK_BYTE mac[80];
        CK_ULONG len = 7777;

        if (!is_there(&rows[i])) continue;
        key = key_for(session, &rows[i], "sv");
        next_iv();
        NEED(sign_init(session, &rows[i], key));
        EXPECT(sign_init(session, &rows[i], key), CKR_OPERATION_ACTIVE);
        NEED(p11->C_Sign(session, data, 100, NULL, &len));
        CHECK(len == rows[i].mac_len);
        len--;
        EXPECT(p11->C_Sign(session, data, 100, mac, &len), CKR_BUFFER_TOO_SMALL);
        CHECK(len == rows[i].mac_len);
        NEED(p11->C_Sign(session, data, 100, mac, &len));
        EXPECT(p11->C_Sign(session, data, 100, mac, &len), CKR_OPERATION_NOT_INITIALIZED);
        next_iv();
        NEED(sign_init(session, &rows[i], key));
        NEED(p11->C_SignUpdate(session, data, 100));
        len = sizeof mac;
        EXPECT(p11->C_Sign(session, data, 100, mac, &len), CKR_OPERATION_ACTIVE);
        if (p11_kind != KEYLADDER) continue;
        EXPECT(p11->C_SignFinal(session, mac, &len), CKR_OPERATION_NOT_INITIALIZED);
        next_iv();
        NEED(sign_init(session, &rows[i], key));
        EXPECT(p11->C_SignUpdate(session, NULL, 1), CKR_ARGUMENTS_BAD);
        EXPECT(p11->C_SignUpdate(session, data, 1), CKR_OPERATION_NOT_INITIALIZED);
        next_iv();
        NEED(sign_init(session, &rows[i], key));
        EXPECT(p11->C_Sign(session, data, 1, mac, NULL), CKR_ARGUMENTS_BAD);
        EXPECT(p11->C_SignUpdate(session, data, 1), CKR_OPERATION_NOT_INITIALIZED);
    }
}

TEST(a_final_asks_tells_and_ends)
{
    CK_SESSION_HANDLE session = user_session();

    fill();
    for (size_t i = 0; i < COUNT(rows); i++) {
        CK_BYTE mac[80];
        CK_ULONG len = 7777;

        if (!is_there(&rows[i])) continue;
        next_iv();
        NEED(sign_init(session, &rows[i], key_for(session, &rows[i], "sv")));
        NEED(p11->C_SignUpdate(session, data, 33));
        NEED(p11->C_SignFinal(session, NULL, &len));
        CHECK(len == rows[i].mac_len);
        len = 0;
        EXPECT(p11->C_SignFinal(session, mac, &len), CKR_BUFFER_TOO_SMALL);
        CHECK(len == rows[i].mac_len);
        NEED(p11->C_SignFinal(session, mac, &len));
        EXPECT(p11->C_SignFinal(session, mac, &len), CKR_OPERATION_NOT_INITIALIZED);
        EXPECT(p11->C_SignUpdate(session, data, 1), CKR_OPERATION_NOT_INITIALIZED);
    }
}

TEST(any_parts_of_what_is_signed_are_the_whole)
{
    CK_SESSION_HANDLE session = user_session();
    uint64_t rng = 4711;

    fill();
    for (size_t i = 0; i < COUNT(rows); i++) {
        CK_OBJECT_HANDLE key = 0;

        if (!is_there(&rows[i])) continue;
        key = key_for(session, &rows[i], "sv");
        for (int round = 0; round < 20; round++) {
            CK_ULONG total = rng_next(&rng) % (sizeof data + 1), mac_len = 80, step;
            CK_BYTE mac[80];

            next_iv();
            NEED(sign_init(session, &rows[i], key));
            NEED(p11->C_Sign(session, data, total, mac, &mac_len));
            NEED(verify_init(session, &rows[i], key));
            for (CK_ULONG at = 0; at < total; at += step) {
                step = rng_next(&rng) % 130;
                if (step > total - at) step = total - at;
                NEED(p11->C_VerifyUpdate(session, data + at, step));
            }
            EXPECT(p11->C_VerifyFinal(session, mac, mac_len), CKR_OK);
        }
    }
}

TEST(a_changed_or_cut_mac_is_refused)
{
    CK_SESSION_HANDLE session = user_session();

    fill();
    for (size_t i = 0; i < COUNT(rows); i++) {
        CK_OBJECT_HANDLE key = 0;
        CK_BYTE mac[81] = { 0 };
        CK_ULONG len = sizeof mac;

        if (!is_there(&rows[i])) continue;
        key = key_for(session, &rows[i], "sv");
        next_iv();
        NEED(sign_init(session, &rows[i], key));
        NEED(p11->C_Sign(session, data, 100, mac, &len));
        for (CK_ULONG byte = 0; byte < len; byte++) {
            mac[byte] ^= 0x80;
            NEED(verify_init(session, &rows[i], key));
            EXPECT(p11->C_Verify(session, data, 100, mac, len), CKR_SIGNATURE_INVALID);
            EXPECT(p11->C_Verify(session, data, 100, mac, len), CKR_OPERATION_NOT_INITIALIZED);
            NEED(verify_init(session, &rows[i], key));
            NEED(p11->C_VerifyUpdate(session, data, 100));
            EXPECT(p11->C_VerifyFinal(session, mac, len), CKR_SIGNATURE_INVALID);
            mac[byte] ^= 0x80;
        }
        for (CK_ULONG cut = 0; cut <= len + 1; cut++) {
            NEED(verify_init(session, &rows[i], key));
            EXPECT(p11->C_Verify(session, data, 100, mac, cut), cut == len ? CKR_OK : CKR_SIGNATURE_LEN_RANGE);
        }
        NEED(verify_init(session, &rows[i], key));
        EXPECT(p11->C_Verify(session, data, 99, mac, len), CKR_SIGNATURE_INVALID);
        NEED(verify_init(session, &rows[i], key));
        EXPECT(p11->C_Verify(session, data, 100, mac, CK_UNAVAILABLE_INFORMATION), CKR_SIGNATURE_LEN_RANGE);
    }
}

TEST(short_macs_are_refused_at_init)
{
    CK_SESSION_HANDLE session = user_session();

    for (size_t i = 0; i < COUNT(rows); i++) {
        CK_OBJECT_HANDLE key = 0;

        if (rows[i].parameter != &twelve) continue;
        key = key_for(session, &rows[i], "sv");
        for (CK_ULONG len = 0; len < 100; len++) {
            CK_ULONG most = rows[i].type == CKM_AES_CMAC_GENERAL      ? 16
                            : rows[i].type == CKM_SHA256_HMAC_GENERAL ? 32
                            : rows[i].type == CKM_SHA384_HMAC_GENERAL ? 48
                                                                      : 64;
            CK_MECHANISM mech = { rows[i].type, &len, sizeof len };
            CK_RV want = len >= 12 && len <= most ? CKR_OK : CKR_MECHANISM_PARAM_INVALID;

            if (EXPECT(p11->C_VerifyInit(session, &mech, key), want) && want == CKR_OK)
                EXPECT(p11->C_Verify(session, data, 1, data, len), CKR_SIGNATURE_INVALID);
            EXPECT(p11->C_SignInit(session, &mech, key), want);
            if (want == CKR_OK) NEED(p11->C_Sign(session, data, 1, (CK_BYTE[64]){ 0 }, &(CK_ULONG){ 64 }));
        }
    }
}

/* As the JDK does it: a key that names no usage, and one update after the other. */
TEST(a_generic_secret_signs_unasked)
{
    CK_SESSION_HANDLE session = user_session();
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
                                A_BYTES(CKA_VALUE, "Jefe", 4) };
    CK_MECHANISM mech = { CKM_SHA256_HMAC, NULL, 0 };
    CK_BYTE mac[32], want[32];
    CK_OBJECT_HANDLE key = 0;
    CK_ULONG len = sizeof mac;

    unhex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", want);
    NEED(p11->C_CreateObject(session, template, COUNT(template), &key));
    NEED(p11->C_SignInit(session, &mech, key));
    NEED(p11->C_SignUpdate(session, (CK_BYTE *)(uintptr_t) "what do ya want ", 16));
    NEED(p11->C_SignUpdate(session, (CK_BYTE *)(uintptr_t) "for nothing?", 12));
    NEED(p11->C_SignFinal(session, mac, &len));
    CHECK(len == 32 && memcmp(mac, want, 32) == 0);
}

TEST(a_stored_key_verifies_after_a_restart)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = secret_make(session, "svST");
    CK_MECHANISM mech = { CKM_SHA256_HMAC, NULL, 0 };
    CK_BYTE mac[32];
    CK_ULONG len = sizeof mac;

    fill();
    NEED(p11->C_SetAttributeValue(session, key, (CK_ATTRIBUTE[]){ A_TEXT(CKA_LABEL, "signer") }, 1));
    NEED(p11->C_SignInit(session, &mech, key));
    NEED(p11->C_Sign(session, data, sizeof data, mac, &len));
    stop();
    session = user_session();
    NEED(p11->C_VerifyInit(session, &mech, find_one(session, "signer")));
    EXPECT(p11->C_Verify(session, data, sizeof data, mac, len), CKR_OK);
}

TEST(roles_and_types_are_obeyed)
{
    CK_SESSION_HANDLE session = user_session();
    CK_MECHANISM hmac = { CKM_SHA256_HMAC, NULL, 0 }, cmac = { CKM_AES_CMAC, NULL, 0 };

    EXPECT(p11->C_SignInit(session, &hmac, secret_make(session, "vS")), CKR_KEY_FUNCTION_NOT_PERMITTED);
    EXPECT(p11->C_VerifyInit(session, &hmac, secret_make(session, "sS")), CKR_KEY_FUNCTION_NOT_PERMITTED);
    EXPECT(p11->C_SignInit(session, &cmac, key_make(session, "edS")), CKR_KEY_FUNCTION_NOT_PERMITTED);
    EXPECT(p11->C_SignInit(session, &hmac, key_make(session, "svS")), CKR_KEY_TYPE_INCONSISTENT);
    EXPECT(p11->C_SignInit(session, &cmac, secret_make(session, "svS")), CKR_KEY_TYPE_INCONSISTENT);
    EXPECT(p11->C_SignInit(session, &cmac, 0), CKR_KEY_HANDLE_INVALID);
}

TEST(logout_ends_a_signature)
{
    CK_SESSION_HANDLE session = user_session();
    CK_MECHANISM hmac = { CKM_SHA256_HMAC, NULL, 0 };
    CK_BYTE mac[32];
    CK_ULONG len = sizeof mac;

    NEED(p11->C_SignInit(session, &hmac, secret_make(session, "svS")));
    NEED(p11->C_Logout(session));
    EXPECT(p11->C_SignUpdate(session, data, 1), CKR_OPERATION_NOT_INITIALIZED);
    EXPECT(p11->C_SignFinal(session, mac, &len), CKR_OPERATION_NOT_INITIALIZED);
}

TEST(ladder_keys_make_hmacs_and_no_other_mac)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE master = find_one(session, "master"), record = 0;
    CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_FALSE), A_BOOL(CKA_SIGN, CK_TRUE), A_BOOL(CKA_VERIFY, CK_TRUE) };

    NEED(hkdf_try(session, master, NULL, 0, "x", 1, template, COUNT(template), &record));
    for (size_t i = 0; i < COUNT(rows); i++) {
        bool is_hmac = rows[i].key_type == CKK_GENERIC_SECRET;
        CK_BYTE mac[80];
        CK_ULONG len = sizeof mac;

        EXPECT(sign_init(session, &rows[i], record), is_hmac ? CKR_OK : CKR_KEY_FUNCTION_NOT_PERMITTED);
        if (!is_hmac) continue;
        NEED(p11->C_Sign(session, data, 10, mac, &len));
        NEED(verify_init(session, &rows[i], record));
        EXPECT(p11->C_Verify(session, data, 10, mac, len), CKR_OK);
    }
}

TEST(an_iv_of_gmac_signs_once)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "svS");
    struct t_gcm gcm = { gmac_iv, 12, 96, NULL, 0, 128 };
    CK_MECHANISM mech = { CKM_AES_GMAC, &gcm, sizeof gcm };
    CK_BYTE mac[16];
    CK_ULONG len = sizeof mac;

    next_iv();
    NEED(p11->C_SignInit(session, &mech, key));
    NEED(p11->C_Sign(session, data, 10, mac, &len));
    EXPECT(p11->C_SignInit(session, &mech, key), CKR_MECHANISM_PARAM_INVALID);
    NEED(p11->C_VerifyInit(session, &mech, key));
    EXPECT(p11->C_Verify(session, data, 10, mac, len), CKR_OK);
}

/* ---- digests ---- */

TEST(a_digest_asks_tells_and_ends_without_login)
{
    static const struct {
        CK_MECHANISM_TYPE type;
        CK_ULONG len;
        const char *abc;
    } known[] = { { CKM_SHA256, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
                  { CKM_SHA384, 48, "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7" },
                  { CKM_SHA512, 64,
                    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9a"
                    "c94fa54ca49f" } };
    CK_SESSION_HANDLE session;

    start();
    session = open_session(0);
    for (size_t i = 0; i < COUNT(known); i++) {
        CK_MECHANISM mech = { known[i].type, NULL, 0 };
        CK_BYTE out[64], want[64];
        CK_ULONG len = 0;

        unhex(known[i].abc, want);
        NEED(p11->C_DigestInit(session, &mech));
        EXPECT(p11->C_DigestInit(session, &mech), CKR_OPERATION_ACTIVE);
        NEED(p11->C_Digest(session, (CK_BYTE *)(uintptr_t) "abc", 3, NULL, &len));
        CHECK(len == known[i].len);
        len--;
        EXPECT(p11->C_Digest(session, (CK_BYTE *)(uintptr_t) "abc", 3, out, &len), CKR_BUFFER_TOO_SMALL);
        CHECK(len == known[i].len);
        NEED(p11->C_Digest(session, (CK_BYTE *)(uintptr_t) "abc", 3, out, &len));
        CHECK(memcmp(out, want, len) == 0);
        EXPECT(p11->C_DigestUpdate(session, data, 1), CKR_OPERATION_NOT_INITIALIZED);
        NEED(p11->C_DigestInit(session, &mech));
        NEED(p11->C_DigestUpdate(session, (CK_BYTE *)(uintptr_t) "a", 1));
        NEED(p11->C_DigestUpdate(session, (CK_BYTE *)(uintptr_t) "bc", 2));
        NEED(p11->C_DigestFinal(session, NULL, &len));
        NEED(p11->C_DigestFinal(session, out, &len));
        CHECK(memcmp(out, want, len) == 0);
    }
}

TEST(only_a_readable_key_is_digested)
{
    CK_SESSION_HANDLE session = user_session();
    CK_MECHANISM mech = { CKM_SHA256, NULL, 0 };

    NEED(p11->C_DigestInit(session, &mech));
    EXPECT(p11->C_DigestKey(session, secret_make(session, "svX")), CKR_OK);
    EXPECT(p11->C_DigestKey(session, secret_make(session, "svS")), CKR_KEY_INDIGESTIBLE);
    NEED(p11->C_DigestInit(session, &mech));
    EXPECT(p11->C_DigestKey(session, find_one(session, "master")), CKR_KEY_INDIGESTIBLE);
}

const struct test mac_tests[] = {
    T(the_macs_say_what_they_do, OURS),
    T(a_sign_asks_tells_and_ends, OURS),
    T(a_final_asks_tells_and_ends, ANY),
    T(any_parts_of_what_is_signed_are_the_whole, ANY),
    T(a_changed_or_cut_mac_is_refused, OURS),
    T(short_macs_are_refused_at_init, OURS),
    T(a_generic_secret_signs_unasked, OURS),
    T(a_stored_key_verifies_after_a_restart, ANY),
    T(roles_and_types_are_obeyed, OURS),
    T(logout_ends_a_signature, OURS),
    T(ladder_keys_make_hmacs_and_no_other_mac, OURS),
    T(an_iv_of_gmac_signs_once, OURS),
    T(a_digest_asks_tells_and_ends_without_login, ANY),
    T(only_a_readable_key_is_digested, OURS),
    { NULL, NULL, 0 },
};
