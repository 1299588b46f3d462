/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The interface "Vendor keyladder", and profile objects. */
#include "suite.h"

#include <pthread.h>

#define ITEMS 1000

static const KL_FUNCTION_LIST *vendor(void)
{
    t_get_interface get = (t_get_interface)(uintptr_t)p11_sym("C_GetInterface");
    struct t_interface *found = NULL;

    NEED(get((CK_CHAR *)(uintptr_t) "Vendor keyladder", NULL, &found, 0));
    return found->list;
}

/* users.email, and a session with the user logged in. */
static CK_OBJECT_HANDLE field(CK_SESSION_HANDLE session)
{
    CK_OBJECT_HANDLE table = 0, key = 0;
    CK_ATTRIBUTE users[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, "users") };
    CK_ATTRIBUTE email[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, "users.email") };

    NEED(hkdf_try(session, find_one(session, "master"), NULL, 0, "users", 5, users, COUNT(users), &table));
    NEED(hkdf_try(session, table, NULL, 0, "email", 5, email, COUNT(email), &key));
    return key;
}

struct value {
    CK_BYTE aad[8], clear[64], sealed[128], opened[64];
    CK_ULONG len;
};
static struct value values[ITEMS];
static KL_BATCH_ITEM items[ITEMS];

static void fill(void)
{
    uint64_t state = 7;

    for (size_t i = 0; i < ITEMS; i++) {
        values[i].len = i % 65;
        rng_fill(&state, values[i].clear, sizeof values[i].clear);
        snprintf((char *)values[i].aad, sizeof values[i].aad, "%zu", i);
    }
}

static void lay_out(bool encrypts)
{
    for (size_t i = 0; i < ITEMS; i++) {
        struct value *value = &values[i];

        items[i] = (KL_BATCH_ITEM){ value->aad,
                                    strlen((char *)value->aad),
                                    encrypts ? value->clear : value->sealed,
                                    encrypts ? value->len : value->len + 48,
                                    encrypts ? value->sealed : value->opened,
                                    encrypts ? sizeof value->sealed : sizeof value->opened,
                                    CKR_CANCEL };
    }
}

static CK_MECHANISM envelope = { CKM_KL_ENVELOPE, NULL, 0 };

TEST(a_batch_encrypts_what_single_calls_decrypt_and_the_other_way_round)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = field(session);
    CK_MECHANISM one = { CKM_KL_ENVELOPE, values[5].aad, 1 };
    CK_BYTE clear[64];
    CK_ULONG len = sizeof clear;

    fill();
    lay_out(true);
    NEED(vendor()->EncryptBatch(session, &envelope, key, items, ITEMS));
    for (size_t i = 0; i < ITEMS; i++) CHECK(items[i].rv == CKR_OK && items[i].ulOutLen == values[i].len + 48);
    NEED(p11->C_DecryptInit(session, &one, key));
    NEED(p11->C_Decrypt(session, values[5].sealed, 5 + 48, clear, &len));
    CHECK(len == 5 && memcmp(clear, values[5].clear, 5) == 0);
    one.pParameter = values[6].aad;
    len = sizeof values[6].sealed;
    NEED(p11->C_EncryptInit(session, &one, key));
    NEED(p11->C_Encrypt(session, values[6].clear, 6, values[6].sealed, &len));
    lay_out(false);
    NEED(vendor()->DecryptBatch(session, &envelope, key, items, ITEMS));
    for (size_t i = 0; i < ITEMS; i++) {
        CHECK(items[i].rv == CKR_OK && items[i].ulOutLen == values[i].len);
        CHECK(memcmp(values[i].opened, values[i].clear, values[i].len) == 0);
    }
}

/* A-H11 */
TEST(each_item_of_a_batch_has_its_own_verdict)
{
    static const size_t bad[] = { 0, 500, 999 };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = field(session);
    size_t failed = 0;

    fill();
    lay_out(true);
    NEED(vendor()->EncryptBatch(session, &envelope, key, items, ITEMS));
    lay_out(false);
    for (size_t i = 0; i < COUNT(bad); i++) values[bad[i]].sealed[40] ^= 1;
    EXPECT(vendor()->DecryptBatch(session, &envelope, key, items, ITEMS), CKR_ENCRYPTED_DATA_INVALID);
    for (size_t i = 0; i < ITEMS; i++) failed += items[i].rv != CKR_OK;
    CHECK(failed == COUNT(bad));
    for (size_t i = 0; i < COUNT(bad); i++) CHECK(items[bad[i]].rv == CKR_ENCRYPTED_DATA_INVALID);
    CHECK(memcmp(values[501].opened, values[501].clear, values[501].len) == 0);
}

TEST(a_batch_item_asks_for_its_length_and_is_told_when_it_is_too_short)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = field(session);

    fill();
    lay_out(true);
    items[0].pOut = NULL;
    items[1].ulOutLen = 10;
    items[2].pIn = NULL;
    items[2].ulInLen = 3;
    items[3].pAAD = NULL;
    items[3].ulAADLen = 9;
    EXPECT(vendor()->EncryptBatch(session, &envelope, key, items, 5), CKR_BUFFER_TOO_SMALL);
    CHECK(items[0].rv == CKR_OK && items[0].ulOutLen == 48);
    CHECK(items[1].rv == CKR_BUFFER_TOO_SMALL && items[1].ulOutLen == 49);
    CHECK(items[2].rv == CKR_ARGUMENTS_BAD);
    CHECK(items[3].rv == CKR_MECHANISM_PARAM_INVALID);
    CHECK(items[4].rv == CKR_OK && items[4].ulOutLen == 52);
}

TEST(a_batch_that_may_not_begin_touches_no_item)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = field(session);
    CK_MECHANISM gcm = { CKM_AES_GCM, NULL, 0 }, with_aad = { CKM_KL_ENVELOPE, values, 4 };

    fill();
    lay_out(true);
    EXPECT(vendor()->EncryptBatch(session, &gcm, key, items, ITEMS), CKR_MECHANISM_INVALID);
    EXPECT(vendor()->EncryptBatch(session, &with_aad, key, items, ITEMS), CKR_MECHANISM_PARAM_INVALID);
    EXPECT(vendor()->EncryptBatch(session, &envelope, 4711, items, ITEMS), CKR_KEY_HANDLE_INVALID);
    EXPECT(vendor()->EncryptBatch(session, &envelope, find_one(session, "master"), items, ITEMS), CKR_KEY_FUNCTION_NOT_PERMITTED);
    EXPECT(vendor()->EncryptBatch(session, NULL, key, items, ITEMS), CKR_ARGUMENTS_BAD);
    EXPECT(vendor()->EncryptBatch(session, &envelope, key, NULL, ITEMS), CKR_ARGUMENTS_BAD);
    NEED(p11->C_EncryptInit(session, &envelope, key));
    EXPECT(vendor()->EncryptBatch(session, &envelope, key, items, ITEMS), CKR_OPERATION_ACTIVE);
    NEED(p11->C_EncryptInit(session, NULL, 0));
    CHECK(items[0].rv == CKR_CANCEL && items[ITEMS - 1].rv == CKR_CANCEL);
    EXPECT(vendor()->EncryptBatch(session, &envelope, key, NULL, 0), CKR_OK);
    NEED(p11->C_Logout(session));
    EXPECT(vendor()->EncryptBatch(session, &envelope, key, items, ITEMS), CKR_KEY_HANDLE_INVALID, CKR_USER_NOT_LOGGED_IN);
    EXPECT(vendor()->EncryptBatch(session + 1000, &envelope, key, items, ITEMS), CKR_SESSION_HANDLE_INVALID);
    stop();
    EXPECT(vendor()->EncryptBatch(session, &envelope, key, items, ITEMS), CKR_CRYPTOKI_NOT_INITIALIZED);
}

TEST(an_evicted_key_is_opened_anew_and_what_used_it_has_ended)
{
    CK_SESSION_HANDLE session = user_session(), other = open_session(CKF_RW_SESSION);
    CK_OBJECT_HANDLE key = field(session), record = 0;
    CK_BYTE out[64];
    CK_ULONG len = sizeof out;
    CK_ATTRIBUTE none[] = { A_BOOL(CKA_TOKEN, CK_FALSE) };

    NEED(hkdf_try(session, key, NULL, 0, "4711", 4, none, 1, &record));
    NEED(p11->C_EncryptInit(other, &envelope, key));
    NEED(vendor()->Evict(session, key));
    EXPECT(p11->C_Encrypt(other, out, 5, out + 6, &len), CKR_OPERATION_NOT_INITIALIZED);
    NEED(p11->C_EncryptInit(other, &envelope, key));
    NEED(vendor()->Evict(session, CK_INVALID_HANDLE));
    EXPECT(p11->C_EncryptFinal(other, out, &len), CKR_OPERATION_NOT_INITIALIZED);
    NEED(p11->C_EncryptInit(other, &envelope, key));
    EXPECT(vendor()->Evict(session, record), CKR_ACTION_PROHIBITED);
    EXPECT(vendor()->Evict(session, 4711), CKR_OBJECT_HANDLE_INVALID);
    NEED(vendor()->Evict(session, find_one(session, "master")));
    NEED(p11->C_EncryptInit(session, &envelope, record));
    NEED(p11->C_Logout(session));
    EXPECT(vendor()->Evict(session, CK_INVALID_HANDLE), CKR_USER_NOT_LOGGED_IN);
}

static void error_is(const char *want)
{
    CK_UTF8CHAR words[512] = "";
    CK_ULONG len = 0;

    NEED(vendor()->GetError(NULL, &len));
    CHECK(len == 0 || len < sizeof words);
    len = sizeof words - 1;
    NEED(vendor()->GetError(words, &len));
    words[len] = '\0';
    if (*want ? !strstr((char *)words, want) : len != 0) fail_at(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", (char *)words, want);
}

static void *elsewhere(void *unused)
{
    error_is("");
    return unused;
}

TEST(the_last_error_of_a_thread_is_told_in_words)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = 0;
    CK_UTF8CHAR small[4];
    pthread_t thread;
    CK_ULONG len = sizeof small;

    error_is("");
    EXPECT(key_try(session, "wd", &key), CKR_TEMPLATE_INCONSISTENT);
    error_is("C_GenerateKey: a key has one role");
    error_is("C_GenerateKey: a key has one role");
    EXPECT(vendor()->GetError(small, &len), CKR_BUFFER_TOO_SMALL);
    CHECK(len > 4);
    EXPECT(vendor()->GetError(small, NULL), CKR_ARGUMENTS_BAD);
    NEED((CK_RV)pthread_create(&thread, NULL, elsewhere, NULL));
    pthread_join(thread, NULL);
    NEED(p11->C_GenerateRandom(session, small, sizeof small));
    error_is("");
    EXPECT(p11->C_GenerateRandom(session + 77, small, sizeof small), CKR_SESSION_HANDLE_INVALID);
    error_is("C_GenerateRandom: no such session");
    stop();
    EXPECT(p11->C_GenerateRandom(session, small, sizeof small), CKR_CRYPTOKI_NOT_INITIALIZED);
    error_is("C_GenerateRandom: C_Initialize has not been called");
}

TEST(everybody_sees_which_profiles_the_token_keeps_to)
{
    CK_SESSION_HANDLE session;
    CK_ATTRIBUTE profiles[] = { A_ULONG(CKA_CLASS, CKO_PROFILE) };
    CK_OBJECT_HANDLE found[8], copy = 0;
    CK_ULONG count = 0;
    unsigned seen = 0;

    start();
    session = open_session(0);
    NEED(p11->C_FindObjectsInit(session, profiles, 1));
    NEED(p11->C_FindObjects(session, found, COUNT(found), &count));
    NEED(p11->C_FindObjectsFinal(session));
    CHECK(count == 3);
    for (CK_ULONG i = 0; i < count; i++) {
        seen |= 1u << get_ulong(session, found[i], CKA_PROFILE_ID);
        CHECK(get_bool(session, found[i], CKA_TOKEN) == CK_TRUE && get_bool(session, found[i], CKA_PRIVATE) == CK_FALSE);
        CHECK(get_bool(session, found[i], CKA_MODIFIABLE) == CK_FALSE && get_bool(session, found[i], CKA_DESTROYABLE) == CK_FALSE);
    }
    CHECK(seen == (1u << CKP_BASELINE_PROVIDER | 1u << CKP_EXTENDED_PROVIDER | 1u << CKP_HKDF_TLS_TOKEN));
    NEED(p11->C_CloseSession(session));
    session = open_session(CKF_RW_SESSION);
    NEED(login(session, CKU_USER, USER_PIN));
    EXPECT(p11->C_DestroyObject(session, found[0]), CKR_ACTION_PROHIBITED);
    EXPECT(p11->C_CopyObject(session, found[0], NULL, 0, &copy), CKR_ACTION_PROHIBITED);
    EXPECT(p11->C_SetAttributeValue(session, found[0], (CK_ATTRIBUTE[]){ A_TEXT(CKA_LABEL, "x") }, 1), CKR_ACTION_PROHIBITED);
    EXPECT(p11->C_CreateObject(session, profiles, 1, &copy), CKR_ATTRIBUTE_VALUE_INVALID);
    CHECK(find_count(session, profiles, 1) == 3);
    NEED(p11->C_Logout(session));
    NEED(p11->C_CloseSession(session));
    token_make(slot_at(0), TOKEN_LABEL);
    session = open_session(0);
    CHECK(find_count(session, profiles, 1) == 3);
}

const struct test vendor_tests[] = {
    T(a_batch_encrypts_what_single_calls_decrypt_and_the_other_way_round, OURS),
    T(each_item_of_a_batch_has_its_own_verdict, OURS),
    T(a_batch_item_asks_for_its_length_and_is_told_when_it_is_too_short, OURS),
    T(a_batch_that_may_not_begin_touches_no_item, OURS),
    T(an_evicted_key_is_opened_anew_and_what_used_it_has_ended, OURS),
    T(the_last_error_of_a_thread_is_told_in_words, OURS),
    T(everybody_sees_which_profiles_the_token_keeps_to, OURS),
    { NULL, NULL, 0 },
};
