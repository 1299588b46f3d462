/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What counts against the budget of a stored key: each encryption under an IV of 96 bits, in whatever way, and nothing else. */
#include "suite.h"

#include <sys/wait.h>
#include <unistd.h>

#define TEXT ((CK_BYTE *)(uintptr_t) "text")

static CK_OBJECT_HANDLE make(CK_SESSION_HANDLE session, const char *label, const char *flags)
{
    CK_OBJECT_HANDLE key = key_make(session, flags);
    CK_ATTRIBUTE name = A_TEXT(CKA_LABEL, label);

    NEED(p11->C_SetAttributeValue(session, key, &name, 1));
    return key;
}

static CK_OBJECT_HANDLE table(CK_SESSION_HANDLE session, CK_KEY_TYPE type)
{
    CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, "users"), { CKA_KEY_TYPE, &type, sizeof type } };
    CK_OBJECT_HANDLE key = 0;

    NEED(hkdf_try(session, find_one(session, "master"), NULL, 0, "users", 5, template, COUNT(template), &key));
    return key;
}

static void encrypt(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, unsigned times)
{
    CK_BYTE out[64];

    for (unsigned i = 0; i < times; i++) seal(session, key, "text", 4, NULL, out);
}

static void envelope(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
    CK_MECHANISM mech = { CKM_KL_ENVELOPE, NULL, 0 };
    CK_BYTE out[128], back[128];
    CK_ULONG len = sizeof out, back_len = sizeof back;

    NEED(p11->C_EncryptInit(session, &mech, key));
    NEED(p11->C_Encrypt(session, TEXT, 4, out, &len));
    NEED(p11->C_DecryptInit(session, &mech, key));
    NEED(p11->C_Decrypt(session, out, len, back, &back_len));
}

/* What is counted once the library is closed and has given back the rest. */
static unsigned long long counted_at_the_end(const char *label)
{
    stop();
    return counted(label, 0);
}

TEST(each_encryption_of_a_token_key_is_counted_once)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = make(session, "K", "edST");

    encrypt(session, key, 100);
    CHECK(counted_at_the_end("K") == 100);
    session = user_session();
    encrypt(session, find_one(session, "K"), 1);
    CHECK(counted("K", 0) == 100 + 64);
    CHECK(counted_at_the_end("K") == 101);
}

TEST(so_is_each_of_a_ladder_key)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = table(session, CKK_AES);

    encrypt(session, key, 3);
    envelope(session, key);
    CHECK(counted_at_the_end("users") == 4);
}

TEST(in_parts_it_is_one_and_questions_are_none)
{
    static CK_BYTE iv[12] = "in parts....", other[12] = "never used..";
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = make(session, "K", "edST");
    CK_BYTE out[64];
    CK_ULONG len = 0;

    NEED(gcm_init(session, true, key, iv, 12, NULL, 0, 128));
    EXPECT(p11->C_EncryptUpdate(session, TEXT, 4, NULL, &len), CKR_OK);
    CHECK(counted("K", 0) == 0);
    for (unsigned i = 0; i < 10; i++) {
        len = sizeof out;
        NEED(p11->C_EncryptUpdate(session, TEXT, 4, out, &len));
    }
    len = 0;
    EXPECT(p11->C_EncryptFinal(session, out, &len), CKR_BUFFER_TOO_SMALL);
    len = sizeof out;
    NEED(p11->C_EncryptFinal(session, out, &len));
    /* Begun, asked for its length, too short, and given up. */
    NEED(gcm_init(session, true, key, other, 12, NULL, 0, 128));
    EXPECT(p11->C_Encrypt(session, TEXT, 4, NULL, &len), CKR_OK);
    len = 3;
    EXPECT(p11->C_Encrypt(session, TEXT, 4, out, &len), CKR_BUFFER_TOO_SMALL);
    EXPECT(p11->C_EncryptInit(session, NULL, 0), CKR_OK);
    CHECK(counted_at_the_end("K") == 1);
}

TEST(decryption_and_refused_ivs_count_nothing)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = make(session, "K", "edST");
    CK_BYTE sealed[64], out[64];
    CK_ULONG len;
    size_t sealed_len = seal(session, key, "text", 4, NULL, sealed);

    for (unsigned i = 0; i < 100; i++) {
        len = sizeof out;
        NEED(unseal(session, key, sealed, sealed_len, NULL, out, &len));
        EXPECT(gcm_init(session, true, key, sealed, 12, NULL, 0, 128), CKR_MECHANISM_PARAM_INVALID);
    }
    CHECK(counted_at_the_end("K") == 1);
}

TEST(session_keys_and_record_keys_have_no_count)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE users = table(session, CKK_AES), record = 0;
    CK_ATTRIBUTE template = A_BOOL(CKA_TOKEN, CK_FALSE);

    NEED(hkdf_try(session, users, NULL, 0, "4711", 4, &template, 1, &record));
    encrypt(session, record, 200);
    envelope(session, record);
    encrypt(session, key_make(session, "edS"), 200);
    CHECK(counted_at_the_end("users") == 0);
}

TEST(envelopes_with_long_nonces_use_nothing_up)
{
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;

    sandbox_setting("envelope = xaes-256-gcm");
    session = user_session();
    key = table(session, CKK_AES);
    for (unsigned i = 0; i < 5; i++) envelope(session, key);
    CHECK(counted_at_the_end("users") == 0);
}

TEST(a_chacha20_keys_envelopes_have_short_ones)
{
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;

    sandbox_setting("envelope = xaes-256-gcm");
    session = user_session();
    key = table(session, CKK_CHACHA20);
    for (unsigned i = 0; i < 5; i++) envelope(session, key);
    CHECK(counted_at_the_end("users") == 5);
}

static const KL_FUNCTION_LIST *vendor(void)
{
    t_get_interface get = (t_get_interface)(uintptr_t)p11_sym("C_GetInterface");
    struct t_interface *found = NULL;

    NEED(get((CK_CHAR *)(uintptr_t) "Vendor keyladder", NULL, &found, 0));
    return found->list;
}

TEST(each_item_of_a_batch_is_one)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = table(session, CKK_AES);
    CK_MECHANISM mech = { CKM_KL_ENVELOPE, NULL, 0 };
    static KL_BATCH_ITEM items[70];
    static CK_BYTE out[70][64];

    for (size_t i = 0; i < COUNT(items); i++) items[i] = (KL_BATCH_ITEM){ NULL, 0, TEXT, 4, out[i], sizeof out[i], CKR_CANCEL };
    /* One of them has no room. */
    items[5].ulOutLen = 3;
    EXPECT(vendor()->EncryptBatch(session, &mech, key, items, COUNT(items)), CKR_BUFFER_TOO_SMALL);
    CHECK(items[4].rv == CKR_OK && items[5].rv == CKR_BUFFER_TOO_SMALL && items[69].rv == CKR_OK);
    CHECK(counted_at_the_end("users") == 69);
}

TEST(nor_does_an_item_whose_aad_is_too_long_end_the_batch)
{
    static CK_BYTE aad[(1 << 16) + 1], out[3][64];
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = table(session, CKK_AES);
    CK_MECHANISM mech = { CKM_KL_ENVELOPE, NULL, 0 };
    KL_BATCH_ITEM items[3];

    for (size_t i = 0; i < COUNT(items); i++)
        items[i] = (KL_BATCH_ITEM){ aad, i == 1 ? sizeof aad : 1, TEXT, 4, out[i], sizeof out[i], CKR_CANCEL };
    EXPECT(vendor()->EncryptBatch(session, &mech, key, items, COUNT(items)), CKR_MECHANISM_PARAM_INVALID);
    CHECK(items[0].rv == CKR_OK && items[1].rv == CKR_MECHANISM_PARAM_INVALID && items[2].rv == CKR_OK);
    CHECK(counted_at_the_end("users") == 2);
}

typedef CK_RV (*t_init)(CK_SESSION_HANDLE, CK_MECHANISM *, CK_OBJECT_HANDLE);
typedef CK_RV (*t_message)(CK_SESSION_HANDLE, void *, CK_ULONG, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG *);

TEST(each_message_is_one)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = make(session, "K", "edST");
    t_init init = (t_init)(uintptr_t)p11_sym("C_MessageEncryptInit");
    t_message message = (t_message)(uintptr_t)p11_sym("C_EncryptMessage");
    CK_MECHANISM mech = { CKM_AES_GCM, NULL, 0 };

    NEED(init(session, &mech, key));
    CHECK(counted("K", 0) == 0);
    for (unsigned i = 0; i < 30; i++) {
        CK_BYTE iv[12] = { 0 }, tag[16], out[4];
        struct t_gcm_message parameter = { iv, 12, 0, i % 2 ? 1 : 2, tag, 128 };
        CK_ULONG len = sizeof out;

        NEED(message(session, &parameter, sizeof parameter, NULL, 0, TEXT, 4, out, &len));
    }
    CHECK(counted_at_the_end("K") == 30);
}

TEST(a_session_that_closes_leaves_its_share_to_the_others)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = make(session, "K", "edST");

    for (unsigned i = 0; i < 60; i++) {
        CK_SESSION_HANDLE brief = open_session(0);

        encrypt(brief, key, 1);
        NEED(p11->C_CloseSession(brief));
    }
    CHECK(counted("K", 0) == 64);
    CHECK(counted_at_the_end("K") == 60);
}

TEST(a_logout_gives_back_what_sessions_hold)
{
    CK_SESSION_HANDLE session = user_session(), other = open_session(0);
    CK_OBJECT_HANDLE key = make(session, "K", "edST");

    encrypt(session, key, 2);
    encrypt(other, key, 3);
    CHECK(counted("K", 0) == 64);
    NEED(p11->C_Logout(session));
    CHECK(counted("K", 0) == 5);
}

TEST(so_does_eviction)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = make(session, "K", "edST"), users = table(session, CKK_AES);

    encrypt(session, key, 2);
    encrypt(session, users, 3);
    NEED(vendor()->Evict(session, key));
    CHECK(counted("K", 0) == 2 && counted("users", 0) == 64);
    encrypt(session, key, 1);
    NEED(vendor()->Evict(session, CK_INVALID_HANDLE));
    CHECK(counted("K", 0) == 3 && counted("users", 0) == 3);
}

TEST(a_key_that_is_destroyed_takes_its_count_with_it)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = make(session, "K", "edST");

    encrypt(session, key, 10);
    NEED(p11->C_DestroyObject(session, key));
    encrypt(session, make(session, "K", "edST"), 1);
    CHECK(counted_at_the_end("K") == 1);
}

static void encrypt_elsewhere(void *arg)
{
    CK_SESSION_HANDLE session = user_session();

    (void)arg;
    encrypt(session, find_one(session, "K"), 5);
    stop();
}

TEST(processes_count_together)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = make(session, "K", "edST");

    in_other_process(encrypt_elsewhere, NULL);
    encrypt(session, key, 3);
    in_other_process(encrypt_elsewhere, NULL);
    CHECK(counted_at_the_end("K") == 13);
}

TEST(under_inherit_a_child_counts_for_itself)
{
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;
    int status = 1;
    pid_t pid;

    sandbox_add("[module]\nfork = inherit\n");
    session = user_session();
    key = make(session, "K", "edST");
    encrypt(session, key, 2);
    CHECK(counted("K", 0) == 64);
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        failures = 0;
        encrypt(session, key, 3);
        CHECK(counted("K", 0) == 128);
        NEED(p11->C_Logout(session));
        CHECK(counted("K", 0) == 64 + 3);
        fflush(stdout);
        _exit(failures != 0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    encrypt(session, key, 1);
    CHECK(counted_at_the_end("K") == 6);
}

TEST(a_used_up_key_still_serves_where_that_is_asked_for)
{
    CK_SESSION_HANDLE session;

    sandbox_setting("on_expiry = serve");
    session = user_session();
    make(session, "K", "edST");
    stop();
    CHECK(counted("K", (1ULL << 32) - 2) == (1ULL << 32) - 2);
    session = user_session();
    encrypt(session, find_one(session, "K"), 10);
    CHECK(counted_at_the_end("K") == (1ULL << 32) + 8);
}

const struct test budget_tests[] = {
    T(each_encryption_of_a_token_key_is_counted_once, OURS),
    T(so_is_each_of_a_ladder_key, OURS),
    T(in_parts_it_is_one_and_questions_are_none, OURS),
    T(decryption_and_refused_ivs_count_nothing, OURS),
    T(session_keys_and_record_keys_have_no_count, OURS),
    T(envelopes_with_long_nonces_use_nothing_up, OURS),
    T(a_chacha20_keys_envelopes_have_short_ones, OURS),
    T(each_item_of_a_batch_is_one, OURS),
    T(nor_does_an_item_whose_aad_is_too_long_end_the_batch, OURS),
    T(each_message_is_one, OURS),
    T(a_session_that_closes_leaves_its_share_to_the_others, OURS),
    T(a_logout_gives_back_what_sessions_hold, OURS),
    T(so_does_eviction, OURS),
    T(a_key_that_is_destroyed_takes_its_count_with_it, OURS),
    T(processes_count_together, OURS),
    T(under_inherit_a_child_counts_for_itself, OURS),
    T(a_used_up_key_still_serves_where_that_is_asked_for, OURS),
    { NULL, NULL, 0 },
};
