/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* One role a key, sticky attributes, copies that stay as strict: policy `standard`. */
#include "suite.h"

#include <time.h>

static const CK_BYTE value32[32] = "0123456789abcdef0123456789ABCDEF";

static CK_RV set_bool(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, CK_ATTRIBUTE_TYPE type, CK_BBOOL value)
{
    CK_ATTRIBUTE attr[] = { A_BOOL(type, value) };

    return p11->C_SetAttributeValue(session, key, attr, 1);
}

static CK_RV copy_with(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, CK_ATTRIBUTE_TYPE type, CK_BBOOL value)
{
    CK_ATTRIBUTE attr[] = { A_BOOL(type, value) };
    CK_OBJECT_HANDLE copy = 0;

    return p11->C_CopyObject(session, key, attr, 1, &copy);
}

TEST(two_roles_on_one_key_are_refused_at_birth)
{
    static const char *const pairs[] = { "wd", "we", "ue", "ud", "wD", "uD", "eD",   "dD",   "es",
                                         "ev", "ds", "sD", "vD", "ws", "us", "edwu", "edsv", "edD" };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = 0;
    char flags[16];

    for (size_t i = 0; i < COUNT(pairs); i++) {
        for (int token = 0; token < 2; token++) {
            snprintf(flags, sizeof flags, "%sS%s", pairs[i], token ? "T" : "");
            if (!EXPECT(key_try(session, flags, &key), CKR_TEMPLATE_INCONSISTENT)) printf("      generated with %s\n", flags);
            if (!EXPECT(import_try(session, CKK_AES, value32, 32, flags, &key), CKR_TEMPLATE_INCONSISTENT))
                printf("      imported with %s\n", flags);
        }
    }
    CHECK(find_count(session, (CK_ATTRIBUTE[]){ A_ULONG(CKA_KEY_TYPE, CKK_AES) }, 1) == 0);
}

TEST(both_halves_of_one_role_go_together)
{
    static const char *const roles[] = { "ed", "e", "d", "wu", "w", "u", "sv", "s", "v", "D", "" };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = 0;

    for (size_t i = 0; i < COUNT(roles); i++)
        if (!EXPECT(key_try(session, roles[i], &key), CKR_OK)) printf("      with \"%s\"\n", roles[i]);
}

TEST(a_role_cannot_be_acquired_later)
{
    static const struct {
        const char *have;
        CK_ATTRIBUTE_TYPE want;
    } cases[] = { { "wS", CKA_DECRYPT }, { "wS", CKA_ENCRYPT }, { "uS", CKA_DECRYPT }, { "dS", CKA_WRAP },    { "eS", CKA_UNWRAP },
                  { "DS", CKA_WRAP },    { "eS", CKA_DECRYPT }, { "S", CKA_ENCRYPT },  { "svS", CKA_DERIVE }, { "edS", CKA_DERIVE } };
    CK_SESSION_HANDLE session = user_session();
    char flags[16];

    for (size_t i = 0; i < COUNT(cases); i++) {
        for (int token = 0; token < 2; token++) {
            CK_OBJECT_HANDLE key;

            snprintf(flags, sizeof flags, "%s%s", cases[i].have, token ? "T" : "");
            key = key_make(session, flags);
            if (!EXPECT(set_bool(session, key, cases[i].want, CK_TRUE), CKR_ATTRIBUTE_READ_ONLY))
                printf("      %s, then 0x%lx\n", flags, cases[i].want);
            CHECK(get_bool(session, key, cases[i].want) == CK_FALSE);
            EXPECT(copy_with(session, key, cases[i].want, CK_TRUE), CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT);
        }
    }
}

TEST(a_role_that_was_dropped_makes_no_room_for_another)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "wST");
    CK_ATTRIBUTE label[] = { A_TEXT(CKA_LABEL, "wrapper") };

    NEED(p11->C_SetAttributeValue(session, key, label, 1));
    EXPECT(set_bool(session, key, CKA_WRAP, CK_FALSE), CKR_OK, CKR_ATTRIBUTE_READ_ONLY);
    EXPECT(set_bool(session, key, CKA_DECRYPT, CK_TRUE), CKR_ATTRIBUTE_READ_ONLY);
    EXPECT(copy_with(session, key, CKA_DECRYPT, CK_TRUE), CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT);
    stop();
    session = user_session();
    key = find_one(session, "wrapper");
    EXPECT(set_bool(session, key, CKA_DECRYPT, CK_TRUE), CKR_ATTRIBUTE_READ_ONLY);
    EXPECT(set_bool(session, key, CKA_WRAP, CK_TRUE), CKR_ATTRIBUTE_READ_ONLY, CKR_OK);
}

TEST(sensitive_only_goes_up_and_extractable_only_down)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE strict = key_make(session, "edS"), loose = key_make(session, "edX");

    EXPECT(set_bool(session, strict, CKA_SENSITIVE, CK_FALSE), CKR_ATTRIBUTE_READ_ONLY);
    EXPECT(set_bool(session, strict, CKA_EXTRACTABLE, CK_TRUE), CKR_ATTRIBUTE_READ_ONLY);
    CHECK(get_bool(session, strict, CKA_SENSITIVE) == CK_TRUE && get_bool(session, strict, CKA_EXTRACTABLE) == CK_FALSE);
    EXPECT(set_bool(session, loose, CKA_SENSITIVE, CK_TRUE), CKR_OK);
    EXPECT(set_bool(session, loose, CKA_SENSITIVE, CK_FALSE), CKR_ATTRIBUTE_READ_ONLY);
    EXPECT(set_bool(session, loose, CKA_EXTRACTABLE, CK_FALSE), CKR_OK);
    EXPECT(set_bool(session, loose, CKA_EXTRACTABLE, CK_TRUE), CKR_ATTRIBUTE_READ_ONLY);
    CHECK(get_bool(session, loose, CKA_ALWAYS_SENSITIVE) == CK_FALSE && get_bool(session, loose, CKA_NEVER_EXTRACTABLE) == CK_FALSE);
}

TEST(wrap_with_trusted_only_goes_up)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edSX");

    EXPECT(set_bool(session, key, CKA_WRAP_WITH_TRUSTED, CK_TRUE), CKR_OK, CKR_ATTRIBUTE_READ_ONLY);
    if (get_bool(session, key, CKA_WRAP_WITH_TRUSTED))
        EXPECT(set_bool(session, key, CKA_WRAP_WITH_TRUSTED, CK_FALSE), CKR_ATTRIBUTE_READ_ONLY);
}

TEST(a_user_makes_no_key_trusted)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "wST"), other = 0;
    CK_MECHANISM mech = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_TRUSTED, CK_TRUE) };

    EXPECT(set_bool(session, key, CKA_TRUSTED, CK_TRUE), CKR_ATTRIBUTE_READ_ONLY);
    EXPECT(copy_with(session, key, CKA_TRUSTED, CK_TRUE), CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT);
    EXPECT(p11->C_GenerateKey(session, &mech, template, 2, &other), CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT);
    CHECK(get_bool(session, key, CKA_TRUSTED) == CK_FALSE);
}

TEST(the_so_makes_a_public_wrapping_key_trusted)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "wuSTP");

    NEED(p11->C_SetAttributeValue(session, key, (CK_ATTRIBUTE[]){ A_TEXT(CKA_LABEL, "open") }, 1));
    NEED(p11->C_Logout(session));
    NEED(login(session, CKU_SO, SO_PIN));
    key = find_one(session, "open");
    CHECK(key != 0);
    EXPECT(set_bool(session, key, CKA_TRUSTED, CK_TRUE), CKR_OK);
    stop();
    session = user_session();
    key = find_one(session, "open");
    CHECK(get_bool(session, key, CKA_TRUSTED) == CK_TRUE);
}

TEST(a_copy_never_relaxes)
{
    CK_SESSION_HANDLE session = user_session();
    static const char *const kinds[] = { "edS", "edST" };

    for (size_t i = 0; i < COUNT(kinds); i++) {
        CK_OBJECT_HANDLE key = key_make(session, kinds[i]), copy = 0;
        CK_ATTRIBUTE both[] = { A_BOOL(CKA_SENSITIVE, CK_FALSE), A_BOOL(CKA_EXTRACTABLE, CK_TRUE) };

        EXPECT(copy_with(session, key, CKA_SENSITIVE, CK_FALSE), CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_READ_ONLY);
        EXPECT(copy_with(session, key, CKA_EXTRACTABLE, CK_TRUE), CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_READ_ONLY);
        EXPECT(p11->C_CopyObject(session, key, both, 2, &copy), CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_READ_ONLY);
        NEED(p11->C_CopyObject(session, key, NULL, 0, &copy));
        CHECK(get_bool(session, copy, CKA_SENSITIVE) == CK_TRUE && get_bool(session, copy, CKA_EXTRACTABLE) == CK_FALSE);
    }
}

TEST(an_uncopyable_key_is_not_copied_and_stays_so)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edSTc"), copy = 0;

    EXPECT(p11->C_CopyObject(session, key, NULL, 0, &copy), CKR_ACTION_PROHIBITED);
    EXPECT(set_bool(session, key, CKA_COPYABLE, CK_TRUE), CKR_ATTRIBUTE_READ_ONLY, CKR_ACTION_PROHIBITED);
    CHECK(get_bool(session, key, CKA_COPYABLE) == CK_FALSE);
}

TEST(an_undestroyable_key_is_not_destroyed_and_stays_so)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edSTy");

    EXPECT(p11->C_DestroyObject(session, key), CKR_ACTION_PROHIBITED);
    EXPECT(set_bool(session, key, CKA_DESTROYABLE, CK_TRUE), CKR_ATTRIBUTE_READ_ONLY, CKR_ACTION_PROHIBITED);
    CHECK(get_bool(session, key, CKA_DESTROYABLE) == CK_FALSE);
}

TEST(an_unmodifiable_key_is_not_modified_and_stays_so)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edSTm");

    EXPECT(p11->C_SetAttributeValue(session, key, (CK_ATTRIBUTE[]){ A_TEXT(CKA_LABEL, "x") }, 1), CKR_ACTION_PROHIBITED);
    EXPECT(set_bool(session, key, CKA_MODIFIABLE, CK_TRUE), CKR_ATTRIBUTE_READ_ONLY, CKR_ACTION_PROHIBITED);
    CHECK(get_bool(session, key, CKA_MODIFIABLE) == CK_FALSE);
}

TEST(usage_flags_are_obeyed)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE child = 0;
    CK_ATTRIBUTE len[] = { A_ULONG(CKA_VALUE_LEN, 32) };

    EXPECT(gcm_init(session, true, key_make(session, "dS"), value32, 12, NULL, 0, 128), CKR_KEY_FUNCTION_NOT_PERMITTED);
    EXPECT(gcm_init(session, false, key_make(session, "eS"), value32, 12, NULL, 0, 128), CKR_KEY_FUNCTION_NOT_PERMITTED);
    EXPECT(gcm_init(session, true, key_make(session, "wuS"), value32, 12, NULL, 0, 128), CKR_KEY_FUNCTION_NOT_PERMITTED);
    EXPECT(hkdf_try(session, secret_make(session, "svS"), NULL, 0, "x", 1, len, 1, &child), CKR_KEY_FUNCTION_NOT_PERMITTED);
    EXPECT(hkdf_try(session, key_make(session, "edS"), NULL, 0, "x", 1, len, 1, &child), CKR_KEY_FUNCTION_NOT_PERMITTED,
           CKR_KEY_TYPE_INCONSISTENT);
}

TEST(usage_flags_go_down_for_good)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edST");

    NEED(set_bool(session, key, CKA_ENCRYPT, CK_FALSE));
    EXPECT(gcm_init(session, true, key, value32, 12, NULL, 0, 128), CKR_KEY_FUNCTION_NOT_PERMITTED);
    EXPECT(set_bool(session, key, CKA_ENCRYPT, CK_TRUE), CKR_ATTRIBUTE_READ_ONLY);
}

TEST(a_key_fixed_to_one_mechanism_is_used_with_no_other)
{
    CK_SESSION_HANDLE session = user_session();
    CK_MECHANISM mech = { CKM_AES_KEY_GEN, NULL, 0 }, ecb = { CKM_AES_ECB, NULL, 0 };
    CK_MECHANISM_TYPE only = CKM_AES_GCM, cbc = CKM_AES_CBC;
    CK_ATTRIBUTE gcm_only[] = { A_ULONG(CKA_VALUE_LEN, 32), A_BYTES(CKA_ALLOWED_MECHANISMS, &only, sizeof only) },
                 cbc_only[] = { A_ULONG(CKA_VALUE_LEN, 32), A_BYTES(CKA_ALLOWED_MECHANISMS, &cbc, sizeof cbc) };
    CK_OBJECT_HANDLE key = 0;

    NEED(p11->C_GenerateKey(session, &mech, gcm_only, 2, &key));
    EXPECT(p11->C_EncryptInit(session, &ecb, key), CKR_MECHANISM_INVALID, CKR_KEY_FUNCTION_NOT_PERMITTED);
    EXPECT(gcm_init(session, true, key, value32, 12, NULL, 0, 128), CKR_OK);
    NEED(p11->C_GenerateKey(session, &mech, cbc_only, 2, &key));
    EXPECT(gcm_init(session, false, key, value32, 12, NULL, 0, 128), CKR_MECHANISM_INVALID, CKR_KEY_FUNCTION_NOT_PERMITTED);
}

TEST(no_check_value_tells_the_authentication_key)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edS");
    CK_BYTE value[8];
    CK_ATTRIBUTE attr[] = { A_BYTES(CKA_CHECK_VALUE, value, sizeof value) };

    if (EXPECT(p11->C_GetAttributeValue(session, key, attr, 1), CKR_ATTRIBUTE_TYPE_INVALID, CKR_OK))
        CHECK(attr[0].ulValueLen == CK_UNAVAILABLE_INFORMATION || attr[0].ulValueLen == 0);
}

static CK_RV dated_key(CK_SESSION_HANDLE session, CK_ATTRIBUTE_TYPE type, int days, CK_OBJECT_HANDLE *key)
{
    CK_MECHANISM mech = { CKM_AES_KEY_GEN, NULL, 0 };
    time_t when = time(NULL) + days * 86400L;
    CK_DATE date;
    char text[16];
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_TOKEN, CK_TRUE), A_BYTES(type, &date, sizeof date) };

    strftime(text, sizeof text, "%Y%m%d", gmtime(&when));
    memcpy(&date, text, 8);
    return p11->C_GenerateKey(session, &mech, template, COUNT(template), key);
}

TEST(a_free_key_outside_its_dates_only_decrypts)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = 0;

    NEED(dated_key(session, CKA_END_DATE, -3, &key));
    EXPECT(gcm_init(session, true, key, value32, 12, NULL, 0, 128), CKR_KEY_FUNCTION_NOT_PERMITTED);
    EXPECT(gcm_init(session, false, key, value32, 12, NULL, 0, 128), CKR_OK);
    NEED(dated_key(session, CKA_START_DATE, 3, &key));
    EXPECT(gcm_init(session, true, key, value32, 12, NULL, 0, 128), CKR_KEY_FUNCTION_NOT_PERMITTED);
    NEED(dated_key(session, CKA_END_DATE, 3, &key));
    EXPECT(gcm_init(session, true, key, value32, 12, NULL, 0, 128), CKR_OK);
}

TEST(an_end_date_is_not_moved_forward)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = 0;
    CK_ATTRIBUTE later[] = { A_BYTES(CKA_END_DATE, "20991231", 8) }, never[] = { A_BYTES(CKA_END_DATE, "", 0) };

    NEED(dated_key(session, CKA_END_DATE, -3, &key));
    EXPECT(p11->C_SetAttributeValue(session, key, later, 1), CKR_ATTRIBUTE_READ_ONLY);
    EXPECT(p11->C_SetAttributeValue(session, key, never, 1), CKR_ATTRIBUTE_READ_ONLY);
    EXPECT(gcm_init(session, true, key, value32, 12, NULL, 0, 128), CKR_KEY_FUNCTION_NOT_PERMITTED);
}

TEST(a_date_is_a_date)
{
    static const char *const bad[] = { "20240230", "2024", "20241301", "abcdefgh", "00000000" };
    CK_SESSION_HANDLE session = user_session();
    CK_MECHANISM mech = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_OBJECT_HANDLE key = 0;

    for (size_t i = 0; i < COUNT(bad); i++) {
        CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, 32), A_TEXT(CKA_END_DATE, bad[i]) };

        if (!EXPECT(p11->C_GenerateKey(session, &mech, template, 2, &key), CKR_ATTRIBUTE_VALUE_INVALID)) printf("      %s\n", bad[i]);
    }
}

TEST(a_failed_call_changes_nothing)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edST"), other = 0;
    CK_ATTRIBUTE mixed[] = { A_TEXT(CKA_LABEL, "changed"), A_BOOL(CKA_SENSITIVE, CK_FALSE) };
    size_t before = find_count(session, NULL, 0);

    EXPECT(p11->C_SetAttributeValue(session, key, mixed, 2), CKR_ATTRIBUTE_READ_ONLY);
    CHECK(find_one(session, "changed") == 0);
    EXPECT(p11->C_CopyObject(session, key, mixed, 2, &other), CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT);
    EXPECT(key_try(session, "wdST", &other), CKR_TEMPLATE_INCONSISTENT);
    CHECK(find_count(session, NULL, 0) == before);
    stop();
    session = user_session();
    CHECK(find_count(session, NULL, 0) == before);
}

const struct test policy_tests[] = {
    T(two_roles_on_one_key_are_refused_at_birth, OURS),
    T(both_halves_of_one_role_go_together, ANY),
    T(a_role_cannot_be_acquired_later, OURS),
    T(a_role_that_was_dropped_makes_no_room_for_another, OURS),
    T(sensitive_only_goes_up_and_extractable_only_down, ANY),
    T(wrap_with_trusted_only_goes_up, OURS),
    T(a_user_makes_no_key_trusted, OURS),
    T(the_so_makes_a_public_wrapping_key_trusted, OURS),
    T(a_copy_never_relaxes, OURS),
    T(an_uncopyable_key_is_not_copied_and_stays_so, OURS),
    T(an_undestroyable_key_is_not_destroyed_and_stays_so, OURS),
    T(an_unmodifiable_key_is_not_modified_and_stays_so, OURS),
    T(usage_flags_are_obeyed, OURS),
    T(usage_flags_go_down_for_good, OURS),
    T(a_key_fixed_to_one_mechanism_is_used_with_no_other, OURS),
    T(no_check_value_tells_the_authentication_key, OURS),
    T(a_free_key_outside_its_dates_only_decrypts, OURS),
    T(an_end_date_is_not_moved_forward, OURS),
    T(a_date_is_a_date, OURS),
    T(a_failed_call_changes_nothing, OURS),
    { NULL, NULL, 0 },
};
