/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Master, DEK, FEK, REK; envelopes; HKDF on free keys. */
#include "suite.h"

#include <unistd.h>

#ifndef CKA_KL_LEVEL
#define CKA_KL_LEVEL 0xcb4c0001UL
#define CKA_KL_VERSION 0xcb4c0002UL
#endif

static CK_OBJECT_HANDLE master_of(CK_SESSION_HANDLE session)
{
    CK_OBJECT_HANDLE master = find_one(session, "master");

    if (!master) die_at(__FILE__, __LINE__, "no key is labelled master");
    return master;
}

static CK_RV grow_try(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE parent, const char *label, CK_OBJECT_HANDLE *key)
{
    CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, label) };

    return hkdf_try(session, parent, NULL, 0, label, strlen(label), template, 2, key);
}

static CK_OBJECT_HANDLE grow(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE parent, const char *label)
{
    CK_OBJECT_HANDLE key = 0;
    CK_RV rv = grow_try(session, parent, label, &key);

    if (rv != CKR_OK) die_at(__FILE__, __LINE__, "%s does not grow: %s", label, rv_name(rv));
    return key;
}

static CK_RV rek_try(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE parent, const void *salt, CK_ULONG salt_len, const void *info,
                     CK_ULONG info_len, CK_OBJECT_HANDLE *key)
{
    CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_FALSE) };

    return hkdf_try(session, parent, salt, salt_len, info, info_len, template, 1, key);
}

static CK_OBJECT_HANDLE rek(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE parent, const char *info)
{
    CK_OBJECT_HANDLE key = 0;
    CK_RV rv = rek_try(session, parent, NULL, 0, info, strlen(info), &key);

    if (rv != CKR_OK) die_at(__FILE__, __LINE__, "no record key for %s: %s", info, rv_name(rv));
    return key;
}

/* master → users → users.email */
static CK_OBJECT_HANDLE a_field(CK_SESSION_HANDLE session)
{
    return grow(session, grow(session, master_of(session), "users"), "users.email");
}

static bool same_key(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE one, CK_OBJECT_HANDLE two)
{
    CK_BYTE sealed[80], out[64];
    CK_ULONG out_len = sizeof out;
    size_t len = seal(session, one, "value", 5, "record", sealed);
    CK_RV rv = unseal(session, two, sealed, len, "record", out, &out_len);

    EXPECT(rv, CKR_OK, CKR_ENCRYPTED_DATA_INVALID);
    return rv == CKR_OK;
}

/* ---- the master ---- */

TEST(the_master_is_there_after_login_and_only_then)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE master = master_of(session);

    CHECK(get_ulong(session, master, CKA_CLASS) == CKO_SECRET_KEY);
    CHECK(get_ulong(session, master, CKA_KEY_TYPE) == CKK_HKDF);
    CHECK(get_bool(session, master, CKA_TOKEN) == CK_TRUE && get_bool(session, master, CKA_PRIVATE) == CK_TRUE);
    CHECK(get_bool(session, master, CKA_DERIVE) == CK_TRUE && get_bool(session, master, CKA_ENCRYPT) == CK_FALSE);
    CHECK(get_bool(session, master, CKA_SENSITIVE) == CK_TRUE && get_bool(session, master, CKA_EXTRACTABLE) == CK_FALSE);
    CHECK(get_bool(session, master, CKA_COPYABLE) == CK_FALSE && get_bool(session, master, CKA_DESTROYABLE) == CK_FALSE);
    CHECK(get_ulong(session, master, CKA_KL_LEVEL) == 0);
    CHECK(find_count(session, NULL, 0) == 1 + profile_count());
    NEED(p11->C_Logout(session));
    CHECK(find_one(session, "master") == 0);
    NEED(login(session, CKU_SO, SO_PIN));
    CHECK(find_one(session, "master") == 0);
}

TEST(the_master_derives_and_does_nothing_else)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE master = master_of(session), copy = 0;
    CK_MECHANISM envelope = { CKM_KL_ENVELOPE, NULL, 0 };
    CK_BYTE value[64];
    CK_ATTRIBUTE attr[] = { A_BYTES(CKA_VALUE, value, sizeof value) }, label[] = { A_TEXT(CKA_LABEL, "mine") };

    EXPECT(gcm_init(session, true, master, "twelve bytes", 12, NULL, 0, 128), CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_KEY_TYPE_INCONSISTENT);
    EXPECT(p11->C_EncryptInit(session, &envelope, master), CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_KEY_TYPE_INCONSISTENT);
    EXPECT(p11->C_GetAttributeValue(session, master, attr, 1), CKR_ATTRIBUTE_SENSITIVE);
    EXPECT(p11->C_CopyObject(session, master, NULL, 0, &copy), CKR_ACTION_PROHIBITED);
    EXPECT(p11->C_DestroyObject(session, master), CKR_ACTION_PROHIBITED);
    EXPECT(p11->C_SetAttributeValue(session, master, label, 1), CKR_ATTRIBUTE_READ_ONLY, CKR_ACTION_PROHIBITED);
    CHECK(master_of(session) == master);
}

/* ---- growing ---- */

TEST(a_ladder_grows_with_standard_calls_and_is_there_after_a_restart)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE dek = grow(session, master_of(session), "users"), fek = grow(session, dek, "users.email"),
                     record = rek(session, fek, "4711");
    CK_BYTE under_dek[80], under_fek[80], under_rek[80], out[64];
    CK_ULONG out_len = sizeof out;
    size_t dek_len = seal(session, dek, "one", 3, NULL, under_dek), fek_len = seal(session, fek, "two", 3, NULL, under_fek),
           rek_len = seal(session, record, "three", 5, NULL, under_rek);

    CHECK(get_ulong(session, dek, CKA_KL_LEVEL) == 1 && get_ulong(session, fek, CKA_KL_LEVEL) == 2 &&
          get_ulong(session, record, CKA_KL_LEVEL) == 3);
    CHECK(get_ulong(session, dek, CKA_KL_VERSION) == 1);
    CHECK(get_bool(session, record, CKA_TOKEN) == CK_FALSE && get_bool(session, fek, CKA_TOKEN) == CK_TRUE);
    stop();
    session = user_session();
    dek = find_one(session, "users");
    fek = find_one(session, "users.email");
    NEED(unseal(session, dek, under_dek, dek_len, NULL, out, &out_len));
    CHECK(out_len == 3 && memcmp(out, "one", 3) == 0);
    out_len = sizeof out;
    NEED(unseal(session, fek, under_fek, fek_len, NULL, out, &out_len));
    CHECK(out_len == 3 && memcmp(out, "two", 3) == 0);
    out_len = sizeof out;
    NEED(unseal(session, rek(session, fek, "4711"), under_rek, rek_len, NULL, out, &out_len));
    CHECK(out_len == 5 && memcmp(out, "three", 5) == 0);
}

TEST(ladder_keys_have_the_attributes_promised)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE keys[3] = { grow(session, master_of(session), "users") };
    CK_BYTE id[64];
    CK_ATTRIBUTE attr[] = { A_BYTES(CKA_ID, id, sizeof id) };

    keys[1] = grow(session, keys[0], "users.email");
    keys[2] = rek(session, keys[1], "1");
    for (size_t i = 0; i < 3; i++) {
        CHECK(get_ulong(session, keys[i], CKA_CLASS) == CKO_SECRET_KEY && get_ulong(session, keys[i], CKA_KEY_TYPE) == CKK_AES);
        CHECK(get_ulong(session, keys[i], CKA_VALUE_LEN) == 32);
        CHECK(get_bool(session, keys[i], CKA_PRIVATE) == CK_TRUE && get_bool(session, keys[i], CKA_SENSITIVE) == CK_TRUE);
        CHECK(get_bool(session, keys[i], CKA_EXTRACTABLE) == CK_FALSE && get_bool(session, keys[i], CKA_COPYABLE) == CK_FALSE);
        CHECK(get_bool(session, keys[i], CKA_ENCRYPT) == CK_TRUE && get_bool(session, keys[i], CKA_DECRYPT) == CK_TRUE);
        CHECK(get_bool(session, keys[i], CKA_DERIVE) == (i < 2));
        CHECK(get_bool(session, keys[i], CKA_WRAP) == CK_FALSE && get_bool(session, keys[i], CKA_UNWRAP) == CK_FALSE);
        CHECK(get_bool(session, keys[i], CKA_LOCAL) == CK_FALSE);
        if (i < 2) CHECK(get_bool(session, keys[i], CKA_DESTROYABLE) == CK_FALSE);
        attr[0].ulValueLen = sizeof id;
        NEED(p11->C_GetAttributeValue(session, keys[i], attr, 1));
        if (i < 2) CHECK(attr[0].ulValueLen == 16);
    }
}

TEST(a_callers_id_finds_its_ladder_key)
{
    CK_SESSION_HANDLE session = user_session();
    CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, "users"), A_BYTES(CKA_ID, "\x01\x02", 2) },
                 by_id[] = { A_BYTES(CKA_ID, "\x01\x02", 2) };
    CK_OBJECT_HANDLE key = 0;

    NEED(hkdf_try(session, master_of(session), NULL, 0, "users", 5, template, 3, &key));
    CHECK(find_count(session, by_id, 1) == 1);
}

TEST(key_types_and_lengths_can_be_asked_for)
{
    static const CK_ULONG lengths[] = { 16, 24, 32 }, bad[] = { 0, 8, 33, 64 };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE fek = a_field(session), key = 0;

    for (size_t i = 0; i < COUNT(lengths); i++) {
        CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_FALSE), A_ULONG(CKA_VALUE_LEN, lengths[i]) };

        NEED(hkdf_try(session, fek, NULL, 0, "1", 1, template, 2, &key));
        CHECK(get_ulong(session, key, CKA_VALUE_LEN) == lengths[i]);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_FALSE), A_ULONG(CKA_VALUE_LEN, bad[i]) };

        EXPECT(hkdf_try(session, fek, NULL, 0, "1", 1, template, 2, &key), CKR_ATTRIBUTE_VALUE_INVALID, CKR_KEY_SIZE_RANGE,
               CKR_TEMPLATE_INCONSISTENT);
    }
    {
        CK_ATTRIBUTE generic[] = { A_BOOL(CKA_TOKEN, CK_FALSE), A_ULONG(CKA_KEY_TYPE, CKK_GENERIC_SECRET), A_ULONG(CKA_VALUE_LEN, 32) },
                     des[] = { A_BOOL(CKA_TOKEN, CK_FALSE), A_ULONG(CKA_KEY_TYPE, CKK_DES3) },
                     data[] = { A_BOOL(CKA_TOKEN, CK_FALSE), A_ULONG(CKA_CLASS, CKO_DATA) };

        EXPECT(hkdf_try(session, fek, NULL, 0, "1", 1, generic, 3, &key), CKR_OK);
        EXPECT(hkdf_try(session, fek, NULL, 0, "1", 1, des, 2, &key), CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_VALUE_INVALID);
        EXPECT(hkdf_try(session, fek, NULL, 0, "1", 1, data, 2, &key), CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_VALUE_INVALID);
    }
}

/* ---- refusals ---- */

TEST(extract_only_expand_only_and_odd_salts_are_refused_on_the_ladder)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE dek = grow(session, master_of(session), "users"),
                     parents[] = { master_of(session), dek, grow(session, dek, "users.email") };
    CK_OBJECT_HANDLE salt_key = secret_make(session, "DS"), key = 0;
    const struct {
        const char *what;
        struct t_hkdf param;
    } bad[] = {
#define INFO (CK_BYTE *)(uintptr_t) "info", 4
        { "extract only", { CK_TRUE, CK_FALSE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, INFO } },
        { "expand only", { CK_FALSE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, INFO } },
        { "neither", { CK_FALSE, CK_FALSE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, INFO } },
        { "boolean 2", { 2, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, INFO } },
        { "unknown hash", { CK_TRUE, CK_TRUE, 0x7777, CKF_HKDF_SALT_NULL, NULL, 0, 0, INFO } },
        { "MD5", { CK_TRUE, CK_TRUE, 0x210, CKF_HKDF_SALT_NULL, NULL, 0, 0, INFO } },
        { "salt type 0", { CK_TRUE, CK_TRUE, CKM_SHA256, 0, NULL, 0, 0, INFO } },
        { "salt type 3", { CK_TRUE, CK_TRUE, CKM_SHA256, 3, NULL, 0, 0, INFO } },
        { "salt type 8", { CK_TRUE, CK_TRUE, CKM_SHA256, 8, NULL, 0, 0, INFO } },
        { "salt without bytes", { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_DATA, NULL, 5, 0, INFO } },
        { "info without bytes", { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, NULL, 4 } },
#undef INFO
    };
    CK_ATTRIBUTE session_key[] = { A_BOOL(CKA_TOKEN, CK_FALSE) },
                 token_key[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, "refused") };

    for (size_t p = 0; p < COUNT(parents); p++) {
        for (size_t i = 0; i < COUNT(bad); i++) {
            struct t_hkdf param = bad[i].param;
            CK_MECHANISM mech = { CKM_HKDF_DERIVE, &param, sizeof param };

            if (!EXPECT(p11->C_DeriveKey(session, &mech, parents[p], session_key, 1, &key), CKR_MECHANISM_PARAM_INVALID))
                printf("      %s, parent %zu\n", bad[i].what, p);
            /* Below a field key nothing lives on the token, whatever the parameter. */
            if (!EXPECT(p11->C_DeriveKey(session, &mech, parents[p], token_key, 2, &key), CKR_MECHANISM_PARAM_INVALID,
                        p == 2 ? CKR_TEMPLATE_INCONSISTENT : CKR_MECHANISM_PARAM_INVALID))
                printf("      %s, parent %zu, token\n", bad[i].what, p);
        }
        struct t_hkdf by_key = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_KEY, NULL, 0, salt_key, (CK_BYTE *)(uintptr_t) "info", 4 };
        CK_MECHANISM mech = { CKM_HKDF_DERIVE, &by_key, sizeof by_key };

        EXPECT(p11->C_DeriveKey(session, &mech, parents[p], session_key, 1, &key), CKR_MECHANISM_PARAM_INVALID,
               CKR_KEY_FUNCTION_NOT_PERMITTED);
        for (CK_ULONG len = 0; len < sizeof by_key; len += 9) {
            mech.ulParameterLen = len;
            EXPECT(p11->C_DeriveKey(session, &mech, parents[p], session_key, 1, &key), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
        }
    }
    CHECK(find_one(session, "refused") == 0);
}

TEST(info_of_a_record_key_has_1_to_1024_bytes)
{
    static CK_BYTE info[65536];
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE fek = a_field(session), key = 0;

    EXPECT(rek_try(session, fek, NULL, 0, info, 0, &key), CKR_MECHANISM_PARAM_INVALID);
    EXPECT(rek_try(session, fek, NULL, 0, NULL, 0, &key), CKR_MECHANISM_PARAM_INVALID);
    EXPECT(rek_try(session, fek, NULL, 0, info, 1, &key), CKR_OK);
    EXPECT(rek_try(session, fek, NULL, 0, info, 1024, &key), CKR_OK);
    EXPECT(rek_try(session, fek, NULL, 0, info, 1025, &key), CKR_MECHANISM_PARAM_INVALID);
    EXPECT(rek_try(session, fek, NULL, 0, info, sizeof info, &key), CKR_MECHANISM_PARAM_INVALID);
    EXPECT(rek_try(session, fek, NULL, 0, info, CK_UNAVAILABLE_INFORMATION, &key), CKR_MECHANISM_PARAM_INVALID);
}

TEST(templates_that_weaken_a_ladder_key_are_refused)
{
    static const struct {
        CK_ATTRIBUTE_TYPE type;
        CK_BBOOL value;
    } bad[] = { { CKA_EXTRACTABLE, CK_TRUE }, { CKA_SENSITIVE, CK_FALSE }, { CKA_PRIVATE, CK_FALSE }, { CKA_COPYABLE, CK_TRUE } };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE master = master_of(session), fek = a_field(session), key = 0;

    for (size_t i = 0; i < COUNT(bad); i++) {
        CK_ATTRIBUTE token[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, "weak"), A_BOOL(bad[i].type, bad[i].value) },
                     record[] = { A_BOOL(CKA_TOKEN, CK_FALSE), A_BOOL(bad[i].type, bad[i].value) };

        if (!EXPECT(hkdf_try(session, master, NULL, 0, "weak", 4, token, 3, &key), CKR_TEMPLATE_INCONSISTENT))
            printf("      0x%lx\n", bad[i].type);
        if (!EXPECT(hkdf_try(session, fek, NULL, 0, "weak", 4, record, 2, &key), CKR_TEMPLATE_INCONSISTENT))
            printf("      0x%lx\n", bad[i].type);
    }
    {
        CK_ATTRIBUTE level[] = { A_BOOL(CKA_TOKEN, CK_FALSE), A_ULONG(CKA_KL_LEVEL, 1) },
                     value[] = { A_BOOL(CKA_TOKEN, CK_FALSE), A_BYTES(CKA_VALUE, "0123456789abcdef", 16) };

        EXPECT(hkdf_try(session, fek, NULL, 0, "x", 1, level, 2, &key), CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT);
        EXPECT(hkdf_try(session, fek, NULL, 0, "x", 1, value, 2, &key), CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT);
    }
    CHECK(find_one(session, "weak") == 0);
}

TEST(ladder_keys_are_neither_copied_nor_destroyed_nor_weakened)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE dek = grow(session, master_of(session), "users"), fek = grow(session, dek, "users.email"),
                     record = rek(session, fek, "1"), copy = 0;
    CK_OBJECT_HANDLE keys[] = { dek, fek, record };
    CK_ATTRIBUTE to_session[] = { A_BOOL(CKA_TOKEN, CK_FALSE) }, not_sensitive[] = { A_BOOL(CKA_SENSITIVE, CK_FALSE) },
                 extractable[] = { A_BOOL(CKA_EXTRACTABLE, CK_TRUE) }, destroyable[] = { A_BOOL(CKA_DESTROYABLE, CK_TRUE) },
                 copyable[] = { A_BOOL(CKA_COPYABLE, CK_TRUE) };

    for (size_t i = 0; i < 3; i++) {
        CK_BYTE value[64];
        CK_ATTRIBUTE read[] = { A_BYTES(CKA_VALUE, value, sizeof value) };

        EXPECT(p11->C_CopyObject(session, keys[i], to_session, 1, &copy), CKR_ACTION_PROHIBITED);
        EXPECT(p11->C_CopyObject(session, keys[i], NULL, 0, &copy), CKR_ACTION_PROHIBITED);
        EXPECT(p11->C_SetAttributeValue(session, keys[i], not_sensitive, 1), CKR_ATTRIBUTE_READ_ONLY);
        EXPECT(p11->C_SetAttributeValue(session, keys[i], extractable, 1), CKR_ATTRIBUTE_READ_ONLY);
        EXPECT(p11->C_SetAttributeValue(session, keys[i], copyable, 1), CKR_ATTRIBUTE_READ_ONLY, CKR_ACTION_PROHIBITED);
        EXPECT(p11->C_GetAttributeValue(session, keys[i], read, 1), CKR_ATTRIBUTE_SENSITIVE);
        if (i == 2) continue;
        EXPECT(p11->C_SetAttributeValue(session, keys[i], destroyable, 1), CKR_ATTRIBUTE_READ_ONLY, CKR_ACTION_PROHIBITED);
        EXPECT(p11->C_DestroyObject(session, keys[i]), CKR_ACTION_PROHIBITED);
    }
    EXPECT(p11->C_DestroyObject(session, record), CKR_OK);
    CHECK(find_one(session, "users") == dek && find_one(session, "users.email") == fek);
}

TEST(a_ladder_label_is_taken_for_good)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE master = master_of(session), dek = grow(session, master, "users"), key = 0, free_key = key_make(session, "edST");
    CK_ATTRIBUTE label[] = { A_TEXT(CKA_LABEL, "users") }, other[] = { A_TEXT(CKA_LABEL, "other") },
                 generate[] = { A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_TOKEN, CK_TRUE), label[0] },
                 import[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES), A_BOOL(CKA_TOKEN, CK_TRUE),
                              A_BYTES(CKA_VALUE, "0123456789abcdef", 16), label[0] };
    CK_MECHANISM mech = { CKM_AES_KEY_GEN, NULL, 0 };

    EXPECT(grow_try(session, master, "users", &key), CKR_TEMPLATE_INCONSISTENT);
    EXPECT(grow_try(session, dek, "users", &key), CKR_TEMPLATE_INCONSISTENT);
    EXPECT(grow_try(session, master, "master", &key), CKR_TEMPLATE_INCONSISTENT);
    EXPECT(p11->C_GenerateKey(session, &mech, generate, 3, &key), CKR_TEMPLATE_INCONSISTENT);
    EXPECT(p11->C_CreateObject(session, import, 5, &key), CKR_TEMPLATE_INCONSISTENT);
    EXPECT(p11->C_SetAttributeValue(session, free_key, label, 1), CKR_TEMPLATE_INCONSISTENT);
    EXPECT(p11->C_CopyObject(session, free_key, label, 1, &key), CKR_TEMPLATE_INCONSISTENT);
    EXPECT(p11->C_SetAttributeValue(session, dek, other, 1), CKR_ATTRIBUTE_READ_ONLY, CKR_ACTION_PROHIBITED);
    NEED(p11->C_SetAttributeValue(session, free_key, other, 1));
    EXPECT(grow_try(session, master, "other", &key), CKR_TEMPLATE_INCONSISTENT);
    NEED(p11->C_DestroyObject(session, free_key));
    EXPECT(grow_try(session, master, "other", &key), CKR_OK);
    CHECK(find_one(session, "users") == dek);
}

TEST(a_ladder_label_is_1_to_255_bytes_of_utf8_without_a_hash)
{
    static const char *const bad[] = { "", "users#1", "#", "a#", "\xff\xfe", "caf\xc3", "\xc0\xaf", "\xed\xa0\x80" };
    static const char *const good[] = { "a", "users/email", "kek.v1", "\303\274ser", "a b" };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE master = master_of(session), key = 0;
    char longest[257];
    CK_ATTRIBUTE none[] = { A_BOOL(CKA_TOKEN, CK_TRUE) };

    for (size_t i = 0; i < COUNT(bad); i++) {
        CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, bad[i]) };

        if (!EXPECT(hkdf_try(session, master, NULL, 0, "info", 4, template, 2, &key), CKR_ATTRIBUTE_VALUE_INVALID,
                    CKR_TEMPLATE_INCONSISTENT, CKR_TEMPLATE_INCOMPLETE))
            printf("      \"%s\"\n", bad[i]);
    }
    for (size_t i = 0; i < COUNT(good); i++) EXPECT(grow_try(session, master, good[i], &key), CKR_OK);
    EXPECT(hkdf_try(session, master, NULL, 0, "info", 4, none, 1, &key), CKR_TEMPLATE_INCOMPLETE, CKR_TEMPLATE_INCONSISTENT);
    memset(longest, 'x', 256);
    longest[256] = 0;
    EXPECT(grow_try(session, master, longest, &key), CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT);
    longest[255] = 0;
    EXPECT(grow_try(session, master, longest, &key), CKR_OK);
}

TEST(a_record_key_grows_no_token_key)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE record = rek(session, a_field(session), "1"), key = 0;

    EXPECT(grow_try(session, record, "below", &key), CKR_TEMPLATE_INCONSISTENT, CKR_KEY_FUNCTION_NOT_PERMITTED);
    CHECK(find_one(session, "below") == 0);
}

TEST(a_read_only_session_grows_no_token_key_but_record_keys)
{
    CK_SESSION_HANDLE session = user_session(), ro = open_session(0);
    CK_OBJECT_HANDLE fek = a_field(session), key = 0;

    EXPECT(grow_try(ro, master_of(ro), "orders", &key), CKR_SESSION_READ_ONLY);
    EXPECT(rek_try(ro, fek, NULL, 0, "1", 1, &key), CKR_OK);
}

TEST(other_mechanisms_are_refused_on_ladder_keys)
{
    static const CK_MECHANISM_TYPE never[] = { CKM_AES_CBC, CKM_AES_CBC_PAD, CKM_AES_ECB, CKM_AES_CMAC, CKM_AES_OFB };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE dek = grow(session, master_of(session), "users"), key = 0;
    CK_BYTE iv[16] = { 1 };
    CK_ATTRIBUTE len[] = { A_ULONG(CKA_VALUE_LEN, 32) };

    for (size_t i = 0; i < COUNT(never); i++) {
        CK_MECHANISM mech = { never[i], iv, 16 };

        EXPECT(p11->C_EncryptInit(session, &mech, dek), CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_MECHANISM_INVALID);
    }
    struct t_hkdf param = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, iv, 1 };
    CK_MECHANISM data = { CKM_HKDF_DATA, &param, sizeof param }, xor = { 0x364, iv, 16 }, ecb = { CKM_AES_ECB_ENCRYPT_DATA, iv, 16 };

    EXPECT(p11->C_DeriveKey(session, &data, dek, len, 1, &key), CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_MECHANISM_INVALID);
    EXPECT(p11->C_DeriveKey(session, &xor, dek, len, 1, &key), CKR_MECHANISM_INVALID);
    EXPECT(p11->C_DeriveKey(session, &ecb, dek, len, 1, &key), CKR_MECHANISM_INVALID);
}

/* ---- the same request, the same key; any other, another ---- */

struct proof {
    CK_BYTE sealed[80];
    size_t len;
};

static void opens_record(void *arg)
{
    struct proof *proof = arg;
    CK_SESSION_HANDLE session;
    CK_BYTE out[64];
    CK_ULONG out_len = sizeof out;

    p11->C_Finalize(NULL);
    session = user_session();
    EXPECT(unseal(session, rek(session, find_one(session, "users.email"), "record 4711"), proof->sealed, proof->len, "aad", out, &out_len),
           CKR_OK);
    CHECK(out_len == 5 && memcmp(out, "value", 5) == 0);
}

TEST(the_same_record_key_comes_in_every_process_and_after_a_restart)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE fek = a_field(session);
    struct proof proof;

    proof.len = seal(session, rek(session, fek, "record 4711"), "value", 5, "aad", proof.sealed);
    CHECK(same_key(session, rek(session, fek, "record 4711"), rek(session, fek, "record 4711")));
    in_other_process(opens_record, &proof);
    stop();
    opens_record(&proof);
}

TEST(no_two_different_requests_give_the_same_key)
{
    static const struct {
        const char *salt;
        CK_ULONG salt_len;
        const char *info;
        CK_ULONG info_len;
    } requests[] = {
        { NULL, 0, "a", 1 },     { NULL, 0, "ab", 2 },  { NULL, 0, "b", 1 },   { NULL, 0, "abc", 3 },  { NULL, 0, "a\0", 2 },
        { NULL, 0, "a\0\0", 3 }, { NULL, 0, "\0a", 2 }, { NULL, 0, "\0", 1 },  { NULL, 0, "\0\0", 2 }, { NULL, 0, "a\0b", 3 },
        { NULL, 0, "a/b", 3 },   { NULL, 0, "a:b", 3 }, { NULL, 0, "a.b", 3 }, { "a", 1, "bc", 2 },    { "ab", 2, "c", 1 },
        { "abc", 3, "a", 1 },    { "a", 1, "a", 1 },    { "a\0", 2, "a", 1 },  { "\0a", 2, "a", 1 },   { "\0", 1, "a", 1 },
        { "\0\0", 2, "a", 1 },   { "a", 1, "\0a", 2 },  { "a", 1, "ab", 2 },   { "aa", 2, "b", 1 },    { NULL, 0, "A", 1 },
        { NULL, 0, "a ", 2 },    { NULL, 0, " a", 2 },  { NULL, 0, "1", 1 },   { NULL, 0, "01", 2 },   { NULL, 0, "\0\0\0\0\0\0\0\1a", 9 },
    };
    enum { N = COUNT(requests) };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE fek = a_field(session), dek = find_one(session, "users"), other = grow(session, dek, "users.name"),
                     keys[N + 3] = { 0 };

    for (size_t i = 0; i < N; i++)
        NEED(rek_try(session, fek, requests[i].salt, requests[i].salt_len, requests[i].info, requests[i].info_len, &keys[i]));
    /* The same request of another field, of the table itself, and of the master. */
    keys[N] = rek(session, other, "a");
    keys[N + 1] = rek(session, dek, "a");
    NEED(rek_try(session, fek, "a field of another table", 24, "a", 1, &keys[N + 2]));
    for (size_t i = 0; i < COUNT(keys); i++) {
        for (size_t j = 0; j < COUNT(keys); j++) {
            bool same = same_key(session, keys[i], keys[j]);

            if (same != (i == j)) fail_at(__FILE__, __LINE__, "requests %zu and %zu give %s key", i, j, same ? "one" : "not the same");
        }
    }
}

TEST(zero_padding_of_a_salt_makes_another_key)
{
    /* HMAC pads its key with zeroes, so plain HKDF would not tell these apart. */
    static const CK_BYTE zeroes[64] = { 0 };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE fek = a_field(session), none = 0, one = 0, all = 0;

    NEED(rek_try(session, fek, NULL, 0, "a", 1, &none));
    NEED(rek_try(session, fek, zeroes, 1, "a", 1, &one));
    NEED(rek_try(session, fek, zeroes, 64, "a", 1, &all));
    CHECK(!same_key(session, none, one));
    CHECK(!same_key(session, one, all));
    CHECK(!same_key(session, none, all));
}

TEST(tables_and_fields_are_told_apart)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE master = master_of(session), ab = grow(session, master, "ab"), a = grow(session, master, "a"),
                     ab_c = grow(session, ab, "ab.c"), a_bc = grow(session, a, "a.bc");

    CHECK(!same_key(session, ab, a));
    CHECK(!same_key(session, ab_c, a_bc));
    CHECK(!same_key(session, ab, ab_c));
    CHECK(!same_key(session, rek(session, ab_c, "x"), rek(session, a_bc, "x")));
}

TEST(a_ladder_key_of_the_same_name_and_salt_differs_between_tokens)
{
    CK_SESSION_HANDLE one = user_session(), two = open_on(slot_labelled("other"), CKF_RW_SESSION);
    CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, "users") };
    CK_OBJECT_HANDLE first = 0, second = 0;
    CK_BYTE sealed[80], out[64];
    CK_ULONG out_len = sizeof out;
    size_t len;

    NEED(login(two, CKU_USER, USER_PIN));
    NEED(hkdf_try(one, master_of(one), "salt", 4, "users", 5, template, 2, &first));
    NEED(hkdf_try(two, master_of(two), "salt", 4, "users", 5, template, 2, &second));
    len = seal(one, first, "x", 1, NULL, sealed);
    EXPECT(unseal(two, second, sealed, len, NULL, out, &out_len), CKR_ENCRYPTED_DATA_INVALID);
}

static void grows_the_same(void *fds)
{
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key = 0;
    CK_RV rv;
    char byte;

    session = user_session();
    if (read(((int *)fds)[0], &byte, 1) != 1) _exit(1);
    rv = grow_try(session, master_of(session), "contested", &key);
    if (rv == CKR_OK && write(((int *)fds)[3], "+", 1) != 1) _exit(1);
    if (rv != CKR_OK && rv != CKR_TEMPLATE_INCONSISTENT) fail_at(__FILE__, __LINE__, "%s", rv_name(rv));
}

TEST(of_eight_processes_that_grow_one_label_exactly_one_does)
{
    int fds[4];
    char won[16];
    CK_SESSION_HANDLE session;

    if (pipe(fds) || pipe(fds + 2)) die_at(__FILE__, __LINE__, "pipe");
    for (int i = 0; i < 8; i++) {
        if (fork() == 0) {
            grows_the_same(fds);
            _exit(failures != 0);
        }
    }
    if (write(fds[1], "xxxxxxxx", 8) != 8) die_at(__FILE__, __LINE__, "pipe");
    close(fds[3]);
    size_t winners = 0;
    for (ssize_t got; (got = read(fds[2], won, sizeof won)) > 0;) winners += (size_t)got;
    CHECK(winners == 1);
    session = user_session();
    CHECK(find_one(session, "contested") != 0);
}

/* ---- GCM on ladder keys ---- */

TEST(a_zeroed_iv_is_filled_in_on_ladder_keys)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE fek = a_field(session);
    CK_BYTE ivs[2][12] = { { 0 }, { 0 } }, zero[12] = { 0 }, sealed[64], out[64];

    for (int i = 0; i < 2; i++) {
        CK_ULONG len = sizeof sealed, out_len = sizeof out;

        NEED(gcm_init(session, true, fek, ivs[i], 12, NULL, 0, 128));
        NEED(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "hello", 5, sealed, &len));
        CHECK(memcmp(ivs[i], zero, 12) != 0);
        NEED(gcm_init(session, false, fek, ivs[i], 12, NULL, 0, 128));
        NEED(p11->C_Decrypt(session, sealed, len, out, &out_len));
        CHECK(out_len == 5);
    }
    CHECK(memcmp(ivs[0], ivs[1], 12) != 0);
}

TEST(ladder_keys_take_ivs_of_96_bits_only)
{
    static const CK_ULONG bad[] = { 1, 8, 11, 13, 16, 128 };
    static CK_BYTE iv[256] = { 1 };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE keys[] = { a_field(session), 0 };

    keys[1] = rek(session, keys[0], "1");
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < COUNT(bad); i++) {
            EXPECT(gcm_init(session, true, keys[k], iv, bad[i], NULL, 0, 128), CKR_MECHANISM_PARAM_INVALID);
            EXPECT(gcm_init(session, false, keys[k], iv, bad[i], NULL, 0, 128), CKR_MECHANISM_PARAM_INVALID);
        }
    }
}

TEST(a_value_of_another_field_or_record_does_not_open)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE email = a_field(session), name = grow(session, find_one(session, "users"), "users.name"),
                     orders = grow(session, grow(session, master_of(session), "orders"), "orders.email");
    CK_BYTE sealed[80], out[64];
    CK_ULONG out_len = sizeof out;
    size_t len = seal(session, email, "value", 5, "users.email/1", sealed);

    EXPECT(unseal(session, name, sealed, len, "users.email/1", out, &out_len), CKR_ENCRYPTED_DATA_INVALID);
    out_len = sizeof out;
    EXPECT(unseal(session, orders, sealed, len, "users.email/1", out, &out_len), CKR_ENCRYPTED_DATA_INVALID);
    out_len = sizeof out;
    EXPECT(unseal(session, email, sealed, len, "users.email/2", out, &out_len), CKR_ENCRYPTED_DATA_INVALID);
    len = seal(session, rek(session, email, "1"), "value", 5, NULL, sealed);
    out_len = sizeof out;
    EXPECT(unseal(session, rek(session, email, "2"), sealed, len, NULL, out, &out_len), CKR_ENCRYPTED_DATA_INVALID);
}

/* ---- envelopes ---- */

enum { ENVELOPE_MORE = 48, XAES_MORE = 60 };

static CK_RV envelope(CK_SESSION_HANDLE session, bool encrypt, CK_OBJECT_HANDLE key, const char *aad, const void *in, CK_ULONG in_len,
                      CK_BYTE *out, CK_ULONG *out_len)
{
    CK_MECHANISM mech = { CKM_KL_ENVELOPE, (void *)(uintptr_t)aad, aad ? strlen(aad) : 0 };
    CK_RV rv = encrypt ? p11->C_EncryptInit(session, &mech, key) : p11->C_DecryptInit(session, &mech, key);

    if (rv != CKR_OK) return rv;
    return encrypt ? p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t)in, in_len, out, out_len)
                   : p11->C_Decrypt(session, (CK_BYTE *)(uintptr_t)in, in_len, out, out_len);
}

struct letter {
    CK_BYTE bytes[200];
    CK_ULONG len;
    const char *label, *record;
};

static void opens_letter(void *arg)
{
    struct letter *letter = arg;
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;
    CK_BYTE out[200];
    CK_ULONG out_len = sizeof out;

    p11->C_Finalize(NULL);
    session = user_session();
    key = find_one(session, letter->label);
    if (letter->record) key = rek(session, key, letter->record);
    EXPECT(envelope(session, false, key, "users.email/4711", letter->bytes, letter->len, out, &out_len), CKR_OK);
    CHECK(out_len == 5 && memcmp(out, "value", 5) == 0);
}

TEST(an_envelope_goes_there_and_back_with_every_kind_of_key)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE fek = a_field(session), dek = find_one(session, "users"), free_key = key_make(session, "edST");
    CK_OBJECT_HANDLE keys[] = { dek, fek, rek(session, fek, "4711"), free_key };
    struct letter letters[4] = {
        { .label = "users" }, { .label = "users.email" }, { .label = "users.email", .record = "4711" }, { .label = "free" }
    };

    NEED(p11->C_SetAttributeValue(session, free_key, (CK_ATTRIBUTE[]){ A_TEXT(CKA_LABEL, "free") }, 1));
    for (size_t i = 0; i < 4; i++) {
        CK_BYTE out[200];
        CK_ULONG out_len = sizeof out;

        letters[i].len = sizeof letters[i].bytes;
        NEED(envelope(session, true, keys[i], "users.email/4711", "value", 5, letters[i].bytes, &letters[i].len));
        CHECK(letters[i].len == 5 + ENVELOPE_MORE);
        CHECK(memcmp(letters[i].bytes, "KL\1\1", 4) == 0);
        NEED(envelope(session, false, keys[i], "users.email/4711", letters[i].bytes, letters[i].len, out, &out_len));
        CHECK(out_len == 5 && memcmp(out, "value", 5) == 0);
        in_other_process(opens_letter, &letters[i]);
    }
    /* A record's envelope names its field's version, so that it can be re-derived. */
    CHECK(memcmp(letters[1].bytes + 4, letters[2].bytes + 4, 16) == 0);
    CHECK(memcmp(letters[0].bytes + 4, letters[1].bytes + 4, 16) != 0);
    stop();
    for (size_t i = 0; i < 4; i++) {
        opens_letter(&letters[i]);
        stop();
    }
}

TEST(envelopes_of_one_value_differ_and_may_be_empty)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE fek = a_field(session);
    CK_BYTE one[100], two[100], out[8];
    CK_ULONG one_len = sizeof one, two_len = sizeof two, out_len = sizeof out;

    NEED(envelope(session, true, fek, NULL, "value", 5, one, &one_len));
    NEED(envelope(session, true, fek, NULL, "value", 5, two, &two_len));
    CHECK(memcmp(one, two, 20) == 0 && memcmp(one + 20, two + 20, 12) != 0 && memcmp(one + 32, two + 32, 21) != 0);
    one_len = sizeof one;
    NEED(envelope(session, true, fek, NULL, NULL, 0, one, &one_len));
    CHECK(one_len == ENVELOPE_MORE);
    NEED(envelope(session, false, fek, NULL, one, one_len, out, &out_len));
    CHECK(out_len == 0);
}

TEST(the_length_of_an_envelope_is_told_exactly)
{
    CK_SESSION_HANDLE session = user_session();
    CK_MECHANISM mech = { CKM_KL_ENVELOPE, NULL, 0 };
    CK_OBJECT_HANDLE fek = a_field(session);
    CK_BYTE sealed[100], out[8];
    CK_ULONG len = 0;

    NEED(p11->C_EncryptInit(session, &mech, fek));
    NEED(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "value", 5, NULL, &len));
    CHECK(len == 5 + ENVELOPE_MORE);
    len--;
    EXPECT(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "value", 5, sealed, &len), CKR_BUFFER_TOO_SMALL);
    CHECK(len == 5 + ENVELOPE_MORE);
    EXPECT(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "value", 5, sealed, &len), CKR_OK);
    NEED(p11->C_DecryptInit(session, &mech, fek));
    len = 0;
    NEED(p11->C_Decrypt(session, sealed, 5 + ENVELOPE_MORE, NULL, &len));
    CHECK(len == 5);
    len = 4;
    EXPECT(p11->C_Decrypt(session, sealed, 5 + ENVELOPE_MORE, out, &len), CKR_BUFFER_TOO_SMALL);
    EXPECT(p11->C_Decrypt(session, sealed, 5 + ENVELOPE_MORE, out, &len), CKR_OK);
}

/* The same tokens in a new sandbox, and one more setting for "demo"; nobody has them open. */
static void set_token(const char *setting)
{
    char from[sizeof sandbox_dir];

    strcpy(from, sandbox_dir);
    setenv("P11_TOKEN_SETTINGS", setting, 1);
    sandbox_copy(from);
    sandbox_remove(from);
}

/* What comes of opening it with the field's key. */
static void opens_as_value(CK_SESSION_HANDLE session, CK_BYTE *sealed, CK_ULONG len)
{
    CK_BYTE out[100];
    CK_ULONG out_len = sizeof out;

    EXPECT(envelope(session, false, find_one(session, "users.email"), "aad", sealed, len, out, &out_len), CKR_OK);
    CHECK(out_len == 5 && memcmp(out, "value", 5) == 0);
}

TEST(a_token_set_to_xaes_seals_with_it_and_opens_what_was_sealed_before)
{
    CK_BYTE old[100], new[100];
    CK_ULONG old_len = sizeof old, new_len = sizeof new;
    CK_SESSION_HANDLE session = user_session();

    NEED(envelope(session, true, a_field(session), "aad", "value", 5, old, &old_len));
    stop();
    set_token("envelope = xaes-256-gcm");
    session = user_session();
    NEED(envelope(session, true, find_one(session, "users.email"), "aad", "value", 5, new, &new_len));
    CHECK(memcmp(old, "KL\1\1", 4) == 0 && old_len == 5 + ENVELOPE_MORE);
    CHECK(memcmp(new, "KL\1\3", 4) == 0 && new_len == 5 + XAES_MORE && memcmp(old + 4, new + 4, 16) == 0);
    opens_as_value(session, old, old_len);
    opens_as_value(session, new, new_len);
    stop();
    set_token("envelope = aes-256-gcm");
    session = user_session();
    opens_as_value(session, old, old_len);
    opens_as_value(session, new, new_len);
}

TEST(the_length_of_a_xaes_envelope_is_told_exactly_and_that_of_its_content_at_most)
{
    CK_MECHANISM mech = { CKM_KL_ENVELOPE, NULL, 0 };
    CK_BYTE sealed[100], out[100];
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE fek;
    CK_ULONG len = 0;

    set_token("envelope = xaes-256-gcm");
    session = user_session();
    fek = a_field(session);
    NEED(p11->C_EncryptInit(session, &mech, fek));
    NEED(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "value", 5, NULL, &len));
    CHECK(len == 5 + XAES_MORE);
    len--;
    EXPECT(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "value", 5, sealed, &len), CKR_BUFFER_TOO_SMALL);
    CHECK(len == 5 + XAES_MORE);
    EXPECT(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "value", 5, sealed, &len), CKR_OK);
    NEED(p11->C_DecryptInit(session, &mech, fek));
    len = 0;
    NEED(p11->C_Decrypt(session, sealed, 5 + XAES_MORE, NULL, &len));
    CHECK(len >= 5 && len <= 5 + XAES_MORE - ENVELOPE_MORE);
    memset(out, 0x5a, sizeof out);
    EXPECT(p11->C_Decrypt(session, sealed, 5 + XAES_MORE, out, &len), CKR_OK);
    CHECK(len == 5 && memcmp(out, "value", 5) == 0 && out[5] == 0x5a);
}

TEST(a_chacha20_key_makes_chacha20_envelopes_whatever_is_set)
{
    CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_FALSE), A_ULONG(CKA_KEY_TYPE, CKK_CHACHA20) };
    CK_BYTE sealed[2][100], out[100];
    CK_ULONG len[2] = { 100, 100 }, out_len = sizeof out;
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = 0;

    NEED(hkdf_try(session, a_field(session), NULL, 0, "1", 1, template, 2, &key));
    NEED(envelope(session, true, key, "aad", "value", 5, sealed[0], &len[0]));
    stop();
    set_token("envelope = xaes-256-gcm");
    session = user_session();
    NEED(hkdf_try(session, find_one(session, "users.email"), NULL, 0, "1", 1, template, 2, &key));
    NEED(envelope(session, true, key, "aad", "value", 5, sealed[1], &len[1]));
    for (size_t i = 0; i < 2; i++) {
        CHECK(memcmp(sealed[i], "KL\1\2", 4) == 0 && len[i] == 5 + ENVELOPE_MORE);
        out_len = sizeof out;
        EXPECT(envelope(session, false, key, "aad", sealed[i], len[i], out, &out_len), CKR_OK);
        sealed[i][3] = 1;
        EXPECT(envelope(session, false, key, "aad", sealed[i], len[i], out, &out_len), CKR_ENCRYPTED_DATA_INVALID);
    }
}

TEST(any_changed_bit_of_an_envelope_is_found)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE fek = a_field(session), keys[] = { fek, rek(session, fek, "1") };

    for (size_t k = 0; k < 2; k++) {
        CK_BYTE sealed[100], out[64];
        CK_ULONG len = sizeof sealed, out_len;

        NEED(envelope(session, true, keys[k], "aad", "value", 5, sealed, &len));
        for (size_t bit = 0; bit < len * 8; bit++) {
            sealed[bit / 8] ^= (CK_BYTE)(1 << bit % 8);
            memset(out, 0x5a, sizeof out);
            out_len = sizeof out;
            if (!EXPECT(envelope(session, false, keys[k], "aad", sealed, len, out, &out_len), CKR_ENCRYPTED_DATA_INVALID))
                printf("      byte %zu bit %zu\n", bit / 8, bit % 8);
            for (size_t i = 0; i < sizeof out; i++) CHECK(out[i] == 0x5a || out[i] == 0);
            sealed[bit / 8] ^= (CK_BYTE)(1 << bit % 8);
        }
        for (CK_ULONG cut = 0; cut < len; cut++) {
            out_len = sizeof out;
            EXPECT(envelope(session, false, keys[k], "aad", sealed, cut, out, &out_len), CKR_ENCRYPTED_DATA_INVALID,
                   CKR_ENCRYPTED_DATA_LEN_RANGE);
        }
        sealed[len] = 0;
        out_len = sizeof out;
        EXPECT(envelope(session, false, keys[k], "aad", sealed, len + 1, out, &out_len), CKR_ENCRYPTED_DATA_INVALID);
        out_len = sizeof out;
        EXPECT(envelope(session, false, keys[k], "aad", sealed, len, out, &out_len), CKR_OK);
    }
}

TEST(an_envelope_opens_only_with_its_key_and_its_associated_data)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE email = a_field(session), dek = find_one(session, "users"), name = grow(session, dek, "users.name"),
                     free_key = key_make(session, "edS"), record = rek(session, email, "1");
    CK_OBJECT_HANDLE others[] = { dek, name, free_key, record };
    CK_BYTE sealed[100], out[64];
    CK_ULONG len = sizeof sealed, out_len = sizeof out;

    NEED(envelope(session, true, email, "users.email/1", "value", 5, sealed, &len));
    for (size_t i = 0; i < COUNT(others); i++) {
        out_len = sizeof out;
        EXPECT(envelope(session, false, others[i], "users.email/1", sealed, len, out, &out_len), CKR_ENCRYPTED_DATA_INVALID);
    }
    out_len = sizeof out;
    EXPECT(envelope(session, false, email, "users.email/2", sealed, len, out, &out_len), CKR_ENCRYPTED_DATA_INVALID);
    out_len = sizeof out;
    EXPECT(envelope(session, false, email, NULL, sealed, len, out, &out_len), CKR_ENCRYPTED_DATA_INVALID);
    len = sizeof sealed;
    NEED(envelope(session, true, record, "users.email/1", "value", 5, sealed, &len));
    out_len = sizeof out;
    EXPECT(envelope(session, false, email, "users.email/1", sealed, len, out, &out_len), CKR_ENCRYPTED_DATA_INVALID);
    out_len = sizeof out;
    EXPECT(envelope(session, false, rek(session, email, "2"), "users.email/1", sealed, len, out, &out_len), CKR_ENCRYPTED_DATA_INVALID);
}

TEST(an_envelope_is_no_gcm_ciphertext_of_the_same_key)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE keys[] = { a_field(session), key_make(session, "edS") };

    for (size_t i = 0; i < 2; i++) {
        CK_BYTE sealed[100], out[64];
        CK_ULONG len = sizeof sealed, out_len = sizeof out;

        NEED(envelope(session, true, keys[i], NULL, "value", 5, sealed, &len));
        NEED(gcm_init(session, false, keys[i], sealed + 20, 12, sealed, 32, 128));
        EXPECT(p11->C_Decrypt(session, sealed + 32, len - 32, out, &out_len), CKR_ENCRYPTED_DATA_INVALID);
    }
}

TEST(imported_keys_make_no_envelopes)
{
    CK_SESSION_HANDLE session = user_session();
    CK_MECHANISM mech = { CKM_KL_ENVELOPE, NULL, 0 };
    CK_OBJECT_HANDLE key = 0;

    NEED(import_try(session, CKK_AES, "0123456789abcdef0123456789abcdef", 32, "edS", &key));
    EXPECT(p11->C_EncryptInit(session, &mech, key), CKR_KEY_FUNCTION_NOT_PERMITTED);
    EXPECT(p11->C_DecryptInit(session, &mech, key), CKR_KEY_FUNCTION_NOT_PERMITTED);
}

TEST(the_parameter_of_an_envelope_is_bytes_or_nothing)
{
    CK_SESSION_HANDLE session = user_session();
    CK_MECHANISM no_bytes = { CKM_KL_ENVELOPE, NULL, 5 };

    EXPECT(p11->C_EncryptInit(session, &no_bytes, a_field(session)), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
}

/* ---- HKDF on free keys ---- */

TEST(a_child_of_a_free_key_inherits_its_history)
{
    CK_SESSION_HANDLE session = user_session();
    CK_ATTRIBUTE len[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES), A_ULONG(CKA_VALUE_LEN, 32) },
                 open_child[] = { len[0], len[1], A_BOOL(CKA_SENSITIVE, CK_FALSE) },
                 extractable[] = { len[0], len[1], A_BOOL(CKA_EXTRACTABLE, CK_TRUE) };
    CK_OBJECT_HANDLE generated = secret_make(session, "DS"), imported = 0, child = 0;

    NEED(import_try(session, CKK_GENERIC_SECRET, "0123456789abcdef", 16, "DS", &imported));
    NEED(hkdf_try(session, generated, NULL, 0, "x", 1, len, 2, &child));
    CHECK(get_bool(session, child, CKA_SENSITIVE) == CK_TRUE && get_bool(session, child, CKA_EXTRACTABLE) == CK_FALSE);
    CHECK(get_bool(session, child, CKA_ALWAYS_SENSITIVE) == CK_TRUE && get_bool(session, child, CKA_NEVER_EXTRACTABLE) == CK_TRUE);
    CHECK(get_bool(session, child, CKA_LOCAL) == CK_FALSE);
    NEED(hkdf_try(session, imported, NULL, 0, "x", 1, len, 2, &child));
    CHECK(get_bool(session, child, CKA_SENSITIVE) == CK_TRUE);
    CHECK(get_bool(session, child, CKA_ALWAYS_SENSITIVE) == CK_FALSE && get_bool(session, child, CKA_NEVER_EXTRACTABLE) == CK_FALSE);
    EXPECT(hkdf_try(session, generated, NULL, 0, "x", 1, open_child, 3, &child), CKR_TEMPLATE_INCONSISTENT);
    EXPECT(hkdf_try(session, generated, NULL, 0, "x", 1, extractable, 3, &child), CKR_TEMPLATE_INCONSISTENT);
}

TEST(a_free_child_may_live_on_the_token)
{
    CK_SESSION_HANDLE session = user_session();
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES), A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_TOKEN, CK_TRUE),
                                A_TEXT(CKA_LABEL, "child") },
                 again[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES), A_ULONG(CKA_VALUE_LEN, 32) };
    CK_OBJECT_HANDLE base = 0, child = 0, same = 0;

    NEED(import_try(session, CKK_GENERIC_SECRET, "0123456789abcdef", 16, "DS", &base));
    NEED(hkdf_try(session, base, "salt", 4, "info", 4, template, 4, &child));
    stop();
    session = user_session();
    child = find_one(session, "child");
    NEED(import_try(session, CKK_GENERIC_SECRET, "0123456789abcdef", 16, "DS", &base));
    NEED(hkdf_try(session, base, "salt", 4, "info", 4, again, 2, &same));
    CHECK(same_key(session, child, same));
    NEED(p11->C_DestroyObject(session, child));
}

TEST(a_salt_key_must_be_a_key_that_derives)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE base = secret_make(session, "DS"), gone = secret_make(session, "DS"), no_derive = secret_make(session, "svS"),
                     child = 0, public = 0;
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES), A_ULONG(CKA_VALUE_LEN, 32) },
                 data[] = { A_ULONG(CKA_CLASS, CKO_DATA), A_BYTES(CKA_VALUE, "x", 1) };
    CK_OBJECT_HANDLE bad[4] = { 0, gone, no_derive, 0 };

    NEED(p11->C_CreateObject(session, data, 2, &public));
    NEED(p11->C_DestroyObject(session, gone));
    bad[3] = public;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct t_hkdf param = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_KEY, NULL, 0, bad[i], NULL, 0 };
        CK_MECHANISM mech = { CKM_HKDF_DERIVE, &param, sizeof param };

        EXPECT(p11->C_DeriveKey(session, &mech, base, template, 2, &child), CKR_KEY_HANDLE_INVALID, CKR_KEY_FUNCTION_NOT_PERMITTED,
               CKR_MECHANISM_PARAM_INVALID);
    }
}

static CK_RV salted_try(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE base, CK_OBJECT_HANDLE salt)
{
    struct t_hkdf param = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_KEY, NULL, 0, salt, NULL, 0 };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES), A_ULONG(CKA_VALUE_LEN, 32) };
    CK_MECHANISM mech = { CKM_HKDF_DERIVE, &param, sizeof param };
    CK_OBJECT_HANDLE child = 0;

    return p11->C_DeriveKey(session, &mech, base, template, 2, &child);
}

/* HMAC(salt, base) can be had by expansion of the salt where the base is known. */
TEST(a_sensitive_salt_wants_a_base_that_nobody_knows)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE own = secret_make(session, "DS"), salt = secret_make(session, "DS"), brought = 0;

    NEED(import_try(session, CKK_GENERIC_SECRET, "0123456789abcdef", 16, "DS", &brought));
    NEED(salted_try(session, own, salt));
    EXPECT(salted_try(session, brought, salt), CKR_KEY_FUNCTION_NOT_PERMITTED);
}

/* Its signatures would be the bytes of every child of the whole HKDF. */
TEST(what_is_extracted_from_a_sensitive_key_does_not_sign)
{
    CK_SESSION_HANDLE session = user_session();
    struct t_hkdf param = { CK_TRUE, CK_FALSE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, NULL, 0 };
    CK_MECHANISM mech = { CKM_HKDF_DERIVE, &param, sizeof param };
    CK_ATTRIBUTE signs[] = { A_ULONG(CKA_KEY_TYPE, CKK_GENERIC_SECRET), A_BOOL(CKA_SIGN, CK_TRUE) },
                 verifies[] = { A_ULONG(CKA_KEY_TYPE, CKK_GENERIC_SECRET), A_BOOL(CKA_VERIFY, CK_TRUE) },
                 derives[] = { A_ULONG(CKA_KEY_TYPE, CKK_GENERIC_SECRET), A_BOOL(CKA_DERIVE, CK_TRUE) },
                 silent[] = { A_ULONG(CKA_KEY_TYPE, CKK_GENERIC_SECRET) };
    CK_OBJECT_HANDLE base = secret_make(session, "DS"), child = 0;

    EXPECT(p11->C_DeriveKey(session, &mech, base, signs, 2, &child), CKR_TEMPLATE_INCONSISTENT);
    EXPECT(p11->C_DeriveKey(session, &mech, base, verifies, 2, &child), CKR_TEMPLATE_INCONSISTENT);
    /* Generic secrets sign where nothing is said. */
    EXPECT(p11->C_DeriveKey(session, &mech, base, silent, 1, &child), CKR_TEMPLATE_INCONSISTENT);
    NEED(p11->C_DeriveKey(session, &mech, base, derives, 2, &child));
}

TEST(a_free_key_derives_no_ladder_key)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE base = secret_make(session, "DST"), child = 0;
    CK_ATTRIBUTE level[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES), A_ULONG(CKA_VALUE_LEN, 32), A_ULONG(CKA_KL_LEVEL, 1) };

    EXPECT(hkdf_try(session, base, NULL, 0, "users", 5, level, 3, &child), CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT);
    a_field(session);
    CK_ATTRIBUTE spoof[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES), A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_TOKEN, CK_TRUE),
                             A_TEXT(CKA_LABEL, "users") };
    EXPECT(hkdf_try(session, base, NULL, 0, "users", 5, spoof, 4, &child), CKR_TEMPLATE_INCONSISTENT);
}

const struct test ladder_tests[] = {
    T(the_master_is_there_after_login_and_only_then, OURS),
    T(the_master_derives_and_does_nothing_else, OURS),
    T(a_ladder_grows_with_standard_calls_and_is_there_after_a_restart, OURS),
    T(ladder_keys_have_the_attributes_promised, OURS),
    T(a_callers_id_finds_its_ladder_key, OURS),
    T(key_types_and_lengths_can_be_asked_for, OURS),
    T(extract_only_expand_only_and_odd_salts_are_refused_on_the_ladder, OURS),
    T(info_of_a_record_key_has_1_to_1024_bytes, OURS),
    T(templates_that_weaken_a_ladder_key_are_refused, OURS),
    T(ladder_keys_are_neither_copied_nor_destroyed_nor_weakened, OURS),
    T(a_ladder_label_is_taken_for_good, OURS),
    T(a_ladder_label_is_1_to_255_bytes_of_utf8_without_a_hash, OURS),
    T(a_record_key_grows_no_token_key, OURS),
    T(a_read_only_session_grows_no_token_key_but_record_keys, OURS),
    T(other_mechanisms_are_refused_on_ladder_keys, OURS),
    T(the_same_record_key_comes_in_every_process_and_after_a_restart, OURS),
    T(no_two_different_requests_give_the_same_key, OURS),
    T(zero_padding_of_a_salt_makes_another_key, OURS),
    T(tables_and_fields_are_told_apart, OURS),
    T(a_ladder_key_of_the_same_name_and_salt_differs_between_tokens, OURS),
    T(of_eight_processes_that_grow_one_label_exactly_one_does, OURS),
    T(a_zeroed_iv_is_filled_in_on_ladder_keys, OURS),
    T(ladder_keys_take_ivs_of_96_bits_only, OURS),
    T(a_value_of_another_field_or_record_does_not_open, OURS),
    T(an_envelope_goes_there_and_back_with_every_kind_of_key, OURS),
    T(envelopes_of_one_value_differ_and_may_be_empty, OURS),
    T(the_length_of_an_envelope_is_told_exactly, OURS),
    T(a_token_set_to_xaes_seals_with_it_and_opens_what_was_sealed_before, OURS),
    T(the_length_of_a_xaes_envelope_is_told_exactly_and_that_of_its_content_at_most, OURS),
    T(a_chacha20_key_makes_chacha20_envelopes_whatever_is_set, OURS),
    T(any_changed_bit_of_an_envelope_is_found, OURS),
    T(an_envelope_opens_only_with_its_key_and_its_associated_data, OURS),
    T(an_envelope_is_no_gcm_ciphertext_of_the_same_key, OURS),
    T(imported_keys_make_no_envelopes, OURS),
    T(the_parameter_of_an_envelope_is_bytes_or_nothing, OURS),
    T(a_child_of_a_free_key_inherits_its_history, OURS),
    T(a_free_child_may_live_on_the_token, OURS),
    T(a_salt_key_must_be_a_key_that_derives, OURS),
    T(a_sensitive_salt_wants_a_base_that_nobody_knows, OURS),
    T(what_is_extracted_from_a_sensitive_key_does_not_sign, OURS),
    T(a_free_key_derives_no_ladder_key, OURS),
    { NULL, NULL, 0 },
};
