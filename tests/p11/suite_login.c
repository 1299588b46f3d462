/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Login, PINs, lockout, C_InitToken. */
#include "suite.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static CK_RV set_pin(CK_SESSION_HANDLE session, const char *old, const char *fresh)
{
    return p11->C_SetPIN(session, (CK_BYTE *)(uintptr_t)old, strlen(old), (CK_BYTE *)(uintptr_t)fresh, strlen(fresh));
}

static CK_RV init_pin(CK_SESSION_HANDLE session, const char *pin)
{
    return p11->C_InitPIN(session, (CK_BYTE *)(uintptr_t)pin, strlen(pin));
}

static CK_RV init_token(CK_SLOT_ID slot, const char *pin, const char *label)
{
    CK_UTF8CHAR padded[32];

    memset(padded, ' ', sizeof padded);
    memcpy(padded, label, strlen(label));
    return p11->C_InitToken(slot, (CK_BYTE *)(uintptr_t)pin, strlen(pin), padded);
}

static CK_FLAGS token_flags(void)
{
    CK_TOKEN_INFO info;

    NEED(p11->C_GetTokenInfo(slot_labelled(TOKEN_LABEL), &info));
    return info.flags;
}

TEST(login_is_for_all_sessions_and_only_once)
{
    CK_SESSION_HANDLE one = user_session(), two = open_session(0);

    EXPECT(login(one, CKU_USER, USER_PIN), CKR_USER_ALREADY_LOGGED_IN);
    EXPECT(login(two, CKU_USER, USER_PIN), CKR_USER_ALREADY_LOGGED_IN);
    NEED(p11->C_Logout(two));
    EXPECT(p11->C_Logout(one), CKR_USER_NOT_LOGGED_IN);
    EXPECT(login(two, CKU_USER, USER_PIN), CKR_OK);
}

TEST(another_user_must_wait)
{
    CK_SESSION_HANDLE session = user_session();

    EXPECT(login(session, CKU_SO, SO_PIN), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
    NEED(p11->C_Logout(session));
    NEED(login(session, CKU_SO, SO_PIN));
    EXPECT(login(session, CKU_USER, USER_PIN), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
    EXPECT(login(session, CKU_SO, SO_PIN), CKR_USER_ALREADY_LOGGED_IN);
}

TEST(only_known_kinds_of_users_log_in)
{
    CK_SESSION_HANDLE session;

    start();
    session = open_session(CKF_RW_SESSION);
    EXPECT(login(session, 3, USER_PIN), CKR_USER_TYPE_INVALID);
    EXPECT(login(session, 17, USER_PIN), CKR_USER_TYPE_INVALID);
    EXPECT(login(session, CK_UNAVAILABLE_INFORMATION, USER_PIN), CKR_USER_TYPE_INVALID);
    EXPECT(login(session, CKU_CONTEXT_SPECIFIC, USER_PIN), CKR_OPERATION_NOT_INITIALIZED, CKR_USER_NOT_LOGGED_IN);
}

TEST(a_wrong_pin_is_incorrect_and_logs_nobody_in)
{
    static const char *const wrong[] = { "user-pin-1112", "user-pin-111", "user-pin-11111", "USER-PIN-1111", SO_PIN };
    CK_SESSION_HANDLE session;
    CK_SESSION_INFO info;

    start();
    session = open_session(CKF_RW_SESSION);
    for (size_t i = 0; i < COUNT(wrong); i++) EXPECT(login(session, CKU_USER, wrong[i]), CKR_PIN_INCORRECT);
    EXPECT(login(session, CKU_SO, USER_PIN), CKR_PIN_INCORRECT);
    NEED(p11->C_GetSessionInfo(session, &info));
    CHECK(info.state == CKS_RW_PUBLIC_SESSION);
    EXPECT(login(session, CKU_USER, USER_PIN), CKR_OK);
}

TEST(an_empty_missing_or_endless_pin_is_no_pin)
{
    CK_SESSION_HANDLE session;
    static CK_BYTE endless[100000];

    memset(endless, 'x', sizeof endless);
    start();
    session = open_session(CKF_RW_SESSION);
    EXPECT(login(session, CKU_USER, ""), CKR_PIN_INCORRECT, CKR_PIN_LEN_RANGE);
    EXPECT(p11->C_Login(session, CKU_USER, NULL, 0), CKR_ARGUMENTS_BAD, CKR_PIN_INCORRECT, CKR_PIN_LEN_RANGE);
    EXPECT(p11->C_Login(session, CKU_USER, endless, sizeof endless), CKR_PIN_INCORRECT, CKR_PIN_LEN_RANGE);
    EXPECT(p11->C_Login(session, CKU_SO, NULL, 0), CKR_ARGUMENTS_BAD, CKR_PIN_INCORRECT, CKR_PIN_LEN_RANGE);
}

TEST(the_so_needs_a_world_without_read_only_sessions)
{
    CK_SESSION_HANDLE ro, rw, third = 0;
    CK_SLOT_ID slot;

    start();
    slot = slot_labelled(TOKEN_LABEL);
    rw = open_on(slot, CKF_RW_SESSION);
    ro = open_on(slot, 0);
    EXPECT(login(rw, CKU_SO, SO_PIN), CKR_SESSION_READ_ONLY_EXISTS);
    NEED(p11->C_CloseSession(ro));
    NEED(login(rw, CKU_SO, SO_PIN));
    EXPECT(p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &third), CKR_SESSION_READ_WRITE_SO_EXISTS);
    NEED(p11->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &third));
    NEED(p11->C_Logout(rw));
    NEED(p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &ro));
}

static void *thread_login(void *arg)
{
    CK_SESSION_HANDLE session = open_session(0);
    CK_RV rv = login(session, CKU_USER, USER_PIN);

    (void)arg;
    return (void *)rv;
}

TEST(many_threads_log_in_at_once_and_all_may_go_on)
{
    pthread_t threads[16];
    unsigned first = 0, later = 0;

    start();
    for (size_t i = 0; i < COUNT(threads); i++) pthread_create(&threads[i], NULL, thread_login, NULL);
    for (size_t i = 0; i < COUNT(threads); i++) {
        void *rv;

        pthread_join(threads[i], &rv);
        first += (CK_RV)rv == CKR_OK;
        later += (CK_RV)rv == CKR_USER_ALREADY_LOGGED_IN;
    }
    CHECK(first == 1);
    CHECK(later == 15);
}

/* ---- setting PINs ---- */

TEST(a_user_changes_the_own_pin)
{
    CK_SESSION_HANDLE session = user_session();

    NEED(set_pin(session, USER_PIN, "another-pin-9"));
    NEED(p11->C_Logout(session));
    EXPECT(login(session, CKU_USER, USER_PIN), CKR_PIN_INCORRECT);
    EXPECT(login(session, CKU_USER, "another-pin-9"), CKR_OK);
}

TEST(a_changed_pin_opens_what_the_old_one_sealed)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edST");
    CK_BYTE sealed[64], out[64];
    CK_ULONG out_len = sizeof out;
    size_t len = seal(session, key, "hello", 5, NULL, sealed);

    NEED(set_pin(session, USER_PIN, "another-pin-9"));
    stop();
    start();
    session = open_session(CKF_RW_SESSION);
    NEED(login(session, CKU_USER, "another-pin-9"));
    NEED(p11->C_FindObjectsInit(session, NULL, 0));
    NEED(p11->C_FindObjectsFinal(session));
    {
        CK_ATTRIBUTE template[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES), A_BOOL(CKA_ENCRYPT, CK_TRUE) };
        CK_ULONG got = 0;

        NEED(p11->C_FindObjectsInit(session, template, COUNT(template)));
        NEED(p11->C_FindObjects(session, &key, 1, &got));
        NEED(p11->C_FindObjectsFinal(session));
        CHECK(got == 1);
    }
    NEED(unseal(session, key, sealed, len, NULL, out, &out_len));
    CHECK(out_len == 5 && memcmp(out, "hello", 5) == 0);
}

TEST(without_login_set_pin_changes_the_user_pin)
{
    CK_SESSION_HANDLE session;

    start();
    session = open_session(CKF_RW_SESSION);
    NEED(set_pin(session, USER_PIN, "another-pin-9"));
    EXPECT(login(session, CKU_USER, "another-pin-9"), CKR_OK);
}

TEST(the_so_changes_the_own_pin_and_not_the_users)
{
    CK_SESSION_HANDLE session;

    start();
    session = open_session(CKF_RW_SESSION);
    NEED(login(session, CKU_SO, SO_PIN));
    NEED(set_pin(session, SO_PIN, "new-so-pin-77"));
    NEED(p11->C_Logout(session));
    EXPECT(login(session, CKU_SO, SO_PIN), CKR_PIN_INCORRECT);
    NEED(login(session, CKU_SO, "new-so-pin-77"));
    NEED(p11->C_Logout(session));
    EXPECT(login(session, CKU_USER, USER_PIN), CKR_OK);
}

TEST(a_wrong_old_pin_changes_nothing_and_counts)
{
    CK_SESSION_HANDLE session = user_session();

    EXPECT(set_pin(session, "wrong-pin-000", "another-pin-9"), CKR_PIN_INCORRECT);
    if (p11_kind == KEYLADDER) CHECK(token_flags() & CKF_USER_PIN_COUNT_LOW);
    NEED(p11->C_Logout(session));
    EXPECT(login(session, CKU_USER, USER_PIN), CKR_OK);
}

TEST(pins_of_a_bad_length_are_refused)
{
    CK_SESSION_HANDLE session = user_session();
    CK_TOKEN_INFO info;
    char pin[70000];

    NEED(p11->C_GetTokenInfo(slot_labelled(TOKEN_LABEL), &info));
    CHECK(info.ulMaxPinLen < sizeof pin - 2);
    memset(pin, 'p', sizeof pin);
    pin[info.ulMaxPinLen + 1] = 0;
    EXPECT(set_pin(session, USER_PIN, pin), CKR_PIN_LEN_RANGE);
    pin[info.ulMinPinLen - 1] = 0;
    EXPECT(set_pin(session, USER_PIN, pin), CKR_PIN_LEN_RANGE);
    EXPECT(set_pin(session, USER_PIN, ""), CKR_PIN_LEN_RANGE);
    NEED(p11->C_Logout(session));
    NEED(login(session, CKU_SO, SO_PIN));
    EXPECT(init_pin(session, ""), CKR_PIN_LEN_RANGE);
    EXPECT(init_pin(session, pin), CKR_PIN_LEN_RANGE);
    NEED(p11->C_Logout(session));
    EXPECT(login(session, CKU_USER, USER_PIN), CKR_OK);
    memset(pin, 'q', info.ulMaxPinLen);
    pin[info.ulMaxPinLen] = 0;
    EXPECT(set_pin(session, USER_PIN, pin), CKR_OK);
    EXPECT(set_pin(session, pin, USER_PIN), CKR_OK);
}

TEST(a_read_only_session_sets_no_pin)
{
    CK_SESSION_HANDLE session;

    start();
    session = open_session(0);
    EXPECT(set_pin(session, USER_PIN, "another-pin-9"), CKR_SESSION_READ_ONLY);
    NEED(login(session, CKU_USER, USER_PIN));
    EXPECT(set_pin(session, USER_PIN, "another-pin-9"), CKR_SESSION_READ_ONLY);
}

TEST(only_the_so_initialises_the_user_pin)
{
    CK_SESSION_HANDLE session = user_session();

    EXPECT(init_pin(session, "another-pin-9"), CKR_USER_NOT_LOGGED_IN);
    NEED(p11->C_Logout(session));
    EXPECT(init_pin(session, "another-pin-9"), CKR_USER_NOT_LOGGED_IN);
    NEED(login(session, CKU_SO, SO_PIN));
    EXPECT(init_pin(session, "another-pin-9"), CKR_OK);
    NEED(p11->C_Logout(session));
    EXPECT(login(session, CKU_USER, USER_PIN), CKR_PIN_INCORRECT);
    EXPECT(login(session, CKU_USER, "another-pin-9"), CKR_OK);
}

TEST(a_pin_the_so_sets_anew_opens_the_old_keys)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edST");
    CK_ATTRIBUTE name[] = { A_TEXT(CKA_LABEL, "old") };
    CK_BYTE sealed[64], out[64];
    CK_ULONG out_len = sizeof out;
    size_t len = seal(session, key, "hello", 5, NULL, sealed);

    NEED(p11->C_SetAttributeValue(session, key, name, 1));
    NEED(p11->C_Logout(session));
    NEED(login(session, CKU_SO, SO_PIN));
    NEED(init_pin(session, "another-pin-9"));
    NEED(p11->C_Logout(session));
    NEED(login(session, CKU_USER, "another-pin-9"));
    key = find_one(session, "old");
    CHECK(key != 0);
    NEED(unseal(session, key, sealed, len, NULL, out, &out_len));
    CHECK(out_len == 5);
}

/* ---- lockout ---- */

static void guess(void *times)
{
    CK_SESSION_HANDLE session;

    p11->C_Finalize(NULL);
    start();
    session = open_session(CKF_RW_SESSION);
    for (int i = 0; i < *(int *)times; i++) EXPECT(login(session, CKU_USER, "wrong-pin-000"), CKR_PIN_INCORRECT);
    /* Ends without C_Finalize, as a killed process does. */
}

static void locked_here(void *unused)
{
    CK_SESSION_HANDLE session;

    (void)unused;
    p11->C_Finalize(NULL);
    start();
    session = open_session(CKF_RW_SESSION);
    EXPECT(login(session, CKU_USER, USER_PIN), CKR_PIN_LOCKED);
    CHECK(token_flags() & CKF_USER_PIN_LOCKED);
}

TEST(ten_wrong_pins_lock_the_user_in_every_process_until_the_so_unlocks)
{
    const CK_FLAGS all = CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED;
    CK_SESSION_HANDLE session;
    int one = 1, seven = 7;

    start();
    session = open_session(CKF_RW_SESSION);
    CHECK((token_flags() & all) == 0);
    in_other_process(guess, &one);
    CHECK((token_flags() & all) == CKF_USER_PIN_COUNT_LOW);
    in_other_process(guess, &seven);
    CHECK((token_flags() & all) == CKF_USER_PIN_COUNT_LOW);
    EXPECT(login(session, CKU_USER, "wrong-pin-000"), CKR_PIN_INCORRECT);
    CHECK((token_flags() & CKF_USER_PIN_FINAL_TRY) && !(token_flags() & CKF_USER_PIN_LOCKED));
    EXPECT(login(session, CKU_USER, "wrong-pin-000"), CKR_PIN_INCORRECT, CKR_PIN_LOCKED);
    CHECK(token_flags() & CKF_USER_PIN_LOCKED);
    EXPECT(login(session, CKU_USER, USER_PIN), CKR_PIN_LOCKED);
    EXPECT(set_pin(session, USER_PIN, "another-pin-9"), CKR_PIN_LOCKED);
    in_other_process(locked_here, NULL);
    stop();
    start();
    session = open_session(CKF_RW_SESSION);
    EXPECT(login(session, CKU_USER, USER_PIN), CKR_PIN_LOCKED);
    NEED(login(session, CKU_SO, SO_PIN));
    NEED(init_pin(session, "another-pin-9"));
    CHECK((token_flags() & all) == 0);
    NEED(p11->C_Logout(session));
    EXPECT(login(session, CKU_USER, "another-pin-9"), CKR_OK);
}

TEST(a_right_pin_sets_the_count_back)
{
    CK_SESSION_HANDLE session;

    start();
    session = open_session(CKF_RW_SESSION);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 9; i++) EXPECT(login(session, CKU_USER, "wrong-pin-000"), CKR_PIN_INCORRECT);
        CHECK(token_flags() & CKF_USER_PIN_FINAL_TRY);
        NEED(login(session, CKU_USER, USER_PIN));
        CHECK(!(token_flags() & (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY)));
        NEED(p11->C_Logout(session));
    }
}

TEST(the_so_locks_too)
{
    CK_SESSION_HANDLE session;

    start();
    session = open_session(CKF_RW_SESSION);
    for (int i = 0; i < 9; i++) EXPECT(login(session, CKU_SO, "wrong-pin-000"), CKR_PIN_INCORRECT);
    CHECK((token_flags() & CKF_SO_PIN_FINAL_TRY) && (token_flags() & CKF_SO_PIN_COUNT_LOW));
    EXPECT(login(session, CKU_SO, "wrong-pin-000"), CKR_PIN_INCORRECT, CKR_PIN_LOCKED);
    CHECK(token_flags() & CKF_SO_PIN_LOCKED);
    EXPECT(login(session, CKU_SO, SO_PIN), CKR_PIN_LOCKED);
    EXPECT(login(session, CKU_USER, USER_PIN), CKR_OK);
    NEED(p11->C_CloseAllSessions(slot_labelled(TOKEN_LABEL)));
    EXPECT(init_token(slot_labelled(TOKEN_LABEL), SO_PIN, TOKEN_LABEL), CKR_PIN_LOCKED);
}

TEST(sixteen_processes_guess_at_once_and_get_ten_answers)
{
    int answers[2];
    unsigned char count[64];
    ssize_t got;
    unsigned total = 0;

    if (pipe(answers)) die_at(__FILE__, __LINE__, "pipe");
    for (int i = 0; i < 16; i++) {
        if (fork() == 0) {
            CK_SESSION_HANDLE session;
            unsigned char answered = 0;

            start();
            session = open_session(CKF_RW_SESSION);
            for (int j = 0; j < 4; j++) {
                CK_RV rv = login(session, CKU_USER, "wrong-pin-000");

                if (rv == CKR_PIN_INCORRECT)
                    answered++;
                else if (rv != CKR_PIN_LOCKED)
                    answered = 100;
            }
            if (write(answers[1], &answered, 1) != 1) _exit(1);
            _exit(0);
        }
    }
    close(answers[1]);
    while ((got = read(answers[0], count, sizeof count)) > 0)
        for (ssize_t i = 0; i < got; i++) total += count[i];
    while (wait(NULL) > 0) continue;
    if (total != 10 && total != 9) fail_at(__FILE__, __LINE__, "%u guesses were answered", total);
    locked_here(NULL);
}

/* ---- C_InitToken ---- */

TEST(a_blank_token_is_made_through_standard_calls)
{
    CK_TOKEN_INFO info;
    CK_SESSION_HANDLE session;
    CK_SLOT_ID slot;

    start();
    slot = slot_blank();
    NEED(p11->C_GetTokenInfo(slot, &info));
    CHECK(!(info.flags & CKF_TOKEN_INITIALIZED) && !(info.flags & CKF_USER_PIN_INITIALIZED));
    NEED(init_token(slot, SO_PIN, "Schlüssel"));
    NEED(p11->C_GetTokenInfo(slot_labelled("Schlüssel"), &info));
    slot = slot_labelled("Schlüssel");
    CHECK((info.flags & CKF_TOKEN_INITIALIZED) && !(info.flags & CKF_USER_PIN_INITIALIZED));
    session = open_on(slot, CKF_RW_SESSION);
    EXPECT(login(session, CKU_USER, USER_PIN), CKR_USER_PIN_NOT_INITIALIZED);
    NEED(login(session, CKU_SO, SO_PIN));
    NEED(init_pin(session, USER_PIN));
    NEED(p11->C_Logout(session));
    NEED(login(session, CKU_USER, USER_PIN));
    NEED(p11->C_GetTokenInfo(slot, &info));
    CHECK(info.flags & CKF_USER_PIN_INITIALIZED);
}

TEST(nobody_logs_in_to_a_blank_token)
{
    CK_SESSION_HANDLE session = 0;
    CK_RV rv;

    start();
    rv = p11->C_OpenSession(slot_blank(), CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session);
    if (rv == CKR_OK) {
        EXPECT(login(session, CKU_USER, USER_PIN), CKR_USER_PIN_NOT_INITIALIZED);
        EXPECT(login(session, CKU_SO, SO_PIN), CKR_TOKEN_NOT_RECOGNIZED, CKR_PIN_INCORRECT);
    } else {
        EXPECT(rv, CKR_TOKEN_NOT_RECOGNIZED);
    }
}

TEST(a_short_or_missing_so_pin_makes_no_token)
{
    CK_UTF8CHAR label[32] = "x                               ";
    CK_TOKEN_INFO info;
    CK_SLOT_ID slot;

    start();
    slot = slot_blank();
    EXPECT(init_token(slot, "", "x"), CKR_PIN_LEN_RANGE);
    EXPECT(init_token(slot, "abc", "x"), CKR_PIN_LEN_RANGE);
    EXPECT(p11->C_InitToken(slot, NULL, 0, label), CKR_PIN_LEN_RANGE, CKR_ARGUMENTS_BAD);
    EXPECT(p11->C_InitToken(slot, (CK_BYTE *)(uintptr_t)SO_PIN, strlen(SO_PIN), NULL), CKR_ARGUMENTS_BAD);
    NEED(p11->C_GetTokenInfo(slot_blank(), &info));
    CHECK(!(info.flags & CKF_TOKEN_INITIALIZED));
}

/* PyKCS11's initToken hands on its argument, a string with a NUL and whatever comes behind. */
TEST(a_label_that_ends_with_a_nul_ends_there)
{
    CK_UTF8CHAR label[32];
    CK_SLOT_ID slot;

    start();
    slot = slot_blank();
    memset(label, 0xff, sizeof label);
    label[0] = '\0';
    EXPECT(p11->C_InitToken(slot, (CK_BYTE *)(uintptr_t)SO_PIN, strlen(SO_PIN), label), CKR_ARGUMENTS_BAD);
    memcpy(label, "by PyKCS11", sizeof "by PyKCS11");
    NEED(p11->C_InitToken(slot, (CK_BYTE *)(uintptr_t)SO_PIN, strlen(SO_PIN), label));
    (void)slot_labelled("by PyKCS11");
}

TEST(a_token_with_open_sessions_is_not_made_anew)
{
    CK_SESSION_HANDLE session;

    start();
    session = open_session(0);
    EXPECT(init_token(slot_labelled(TOKEN_LABEL), SO_PIN, "new"), CKR_SESSION_EXISTS);
    NEED(p11->C_CloseSession(session));
    EXPECT(init_token(slot_labelled(TOKEN_LABEL), SO_PIN, "new"), CKR_OK);
}

TEST(a_token_is_made_anew_only_with_its_so_pin_and_is_empty_then)
{
    CK_SESSION_HANDLE session = user_session();
    CK_TOKEN_INFO before, after;
    CK_SLOT_ID slot = slot_labelled(TOKEN_LABEL);

    key_make(session, "edST");
    NEED(p11->C_GetTokenInfo(slot, &before));
    NEED(p11->C_CloseAllSessions(slot));
    EXPECT(init_token(slot, "wrong-pin-000", "new"), CKR_PIN_INCORRECT);
    EXPECT(init_token(slot, USER_PIN, "new"), CKR_PIN_INCORRECT);
    session = open_on(slot, CKF_RW_SESSION);
    EXPECT(login(session, CKU_USER, USER_PIN), CKR_OK);
    NEED(p11->C_CloseAllSessions(slot));
    NEED(init_token(slot, SO_PIN, "new"));
    NEED(p11->C_GetTokenInfo(slot_labelled("new"), &after));
    CHECK(!(after.flags & CKF_USER_PIN_INITIALIZED));
    if (p11_kind == KEYLADDER) CHECK(memcmp(before.serialNumber, after.serialNumber, 16) != 0);
    session = open_on(slot_labelled("new"), CKF_RW_SESSION);
    EXPECT(login(session, CKU_USER, USER_PIN), CKR_USER_PIN_NOT_INITIALIZED);
    NEED(login(session, CKU_SO, SO_PIN));
    NEED(init_pin(session, USER_PIN));
    NEED(p11->C_Logout(session));
    NEED(login(session, CKU_USER, USER_PIN));
    {
        CK_ATTRIBUTE aes[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES) };

        CHECK(find_count(session, aes, 1) == 0);
    }
}

static void hold_session(void *fds)
{
    int *pipes = fds;
    char byte;

    p11->C_Finalize(NULL);
    start();
    login(open_session(CKF_RW_SESSION), CKU_USER, USER_PIN);
    if (write(pipes[1], "x", 1) != 1 || read(pipes[2], &byte, 1) != 1) fail_at(__FILE__, __LINE__, "pipe");
}

TEST(login_in_one_process_is_no_login_in_another)
{
    int pipes[4];
    CK_SESSION_INFO info;
    char byte;
    pid_t pid;
    int status;

    if (pipe(pipes) || pipe(pipes + 2)) die_at(__FILE__, __LINE__, "pipe");
    pid = fork();
    if (pid == 0) {
        hold_session(pipes);
        _exit(failures != 0);
    }
    if (read(pipes[0], &byte, 1) != 1) die_at(__FILE__, __LINE__, "pipe");
    start();
    NEED(p11->C_GetSessionInfo(open_session(0), &info));
    CHECK(info.state == CKS_RO_PUBLIC_SESSION);
    if (write(pipes[3], "x", 1) != 1) die_at(__FILE__, __LINE__, "pipe");
    waitpid(pid, &status, 0);
    CHECK(status == 0);
}

/* ---- 3.0 and 3.2 ---- */

typedef CK_RV (*t_login_user)(CK_SESSION_HANDLE, CK_USER_TYPE, CK_CHAR *, CK_ULONG, CK_CHAR *, CK_ULONG);
typedef CK_RV (*t_validation_flags)(CK_SESSION_HANDLE, CK_ULONG, CK_FLAGS *);

TEST(the_roles_log_in_by_login_user_as_well_and_nobody_else_is_known)
{
    t_login_user login_user = (t_login_user)(uintptr_t)p11_sym("C_LoginUser");
    CK_CHAR *user = (CK_CHAR *)(uintptr_t)USER_PIN, *so = (CK_CHAR *)(uintptr_t)SO_PIN, *name = (CK_CHAR *)(uintptr_t) "rotator";
    CK_SESSION_HANDLE session;
    CK_SESSION_INFO info;

    start();
    session = open_session(CKF_RW_SESSION);
    EXPECT(login_user(session, CKU_USER, user, strlen(USER_PIN), name, 7), CKR_PIN_INCORRECT);
    EXPECT(login_user(session, CKU_USER, user, strlen(USER_PIN), NULL, 7), CKR_ARGUMENTS_BAD);
    EXPECT(login_user(session, CKU_USER, NULL, 0, NULL, 0), CKR_ARGUMENTS_BAD);
    EXPECT(login_user(session, CKU_CONTEXT_SPECIFIC, user, strlen(USER_PIN), NULL, 0), CKR_OPERATION_NOT_INITIALIZED);
    EXPECT(login_user(session, 17, user, strlen(USER_PIN), NULL, 0), CKR_USER_TYPE_INVALID);
    NEED(p11->C_GetSessionInfo(session, &info));
    CHECK(info.state == CKS_RW_PUBLIC_SESSION);
    NEED(login_user(session, CKU_USER, user, strlen(USER_PIN), NULL, 0));
    EXPECT(login_user(session, CKU_USER, user, strlen(USER_PIN), NULL, 0), CKR_USER_ALREADY_LOGGED_IN);
    NEED(p11->C_GetSessionInfo(session, &info));
    CHECK(info.state == CKS_RW_USER_FUNCTIONS);
    NEED(p11->C_Logout(session));
    NEED(login_user(session, CKU_SO, so, strlen(SO_PIN), name, 0));
    NEED(p11->C_GetSessionInfo(session, &info));
    CHECK(info.state == CKS_RW_SO_FUNCTIONS);
}

TEST(an_unknown_operator_counts_as_no_try_of_the_users_pin)
{
    t_login_user login_user = (t_login_user)(uintptr_t)p11_sym("C_LoginUser");
    CK_CHAR *wrong = (CK_CHAR *)(uintptr_t) "wrong-pin-0", *name = (CK_CHAR *)(uintptr_t) "rotator";
    CK_SESSION_HANDLE session;

    start();
    session = open_session(CKF_RW_SESSION);
    for (int i = 0; i < 20; i++) EXPECT(login_user(session, CKU_USER, wrong, 11, name, 7), CKR_PIN_INCORRECT);
    NEED(login(session, CKU_USER, USER_PIN));
}

TEST(no_session_claims_to_be_validated)
{
    t_validation_flags validation = (t_validation_flags)(uintptr_t)p11_sym("C_GetSessionValidationFlags");
    CK_SESSION_HANDLE session;
    CK_FLAGS flags = 77;

    start();
    session = open_session(0);
    NEED(validation(session, 1, &flags));
    CHECK(flags == 0);
    EXPECT(validation(session, 2, &flags), CKR_ARGUMENTS_BAD);
    EXPECT(validation(session, 1, NULL), CKR_ARGUMENTS_BAD);
    EXPECT(validation(session + 1000, 1, &flags), CKR_SESSION_HANDLE_INVALID);
}

const struct test login_tests[] = {
    T(login_is_for_all_sessions_and_only_once, OURS),
    T(another_user_must_wait, ANY),
    T(only_known_kinds_of_users_log_in, ANY),
    T(a_wrong_pin_is_incorrect_and_logs_nobody_in, ANY),
    T(an_empty_missing_or_endless_pin_is_no_pin, ANY),
    T(the_so_needs_a_world_without_read_only_sessions, ANY),
    T(many_threads_log_in_at_once_and_all_may_go_on, OURS),
    T(a_user_changes_the_own_pin, ANY),
    T(a_changed_pin_opens_what_the_old_one_sealed, ANY),
    T(without_login_set_pin_changes_the_user_pin, ANY),
    T(the_so_changes_the_own_pin_and_not_the_users, ANY),
    T(a_wrong_old_pin_changes_nothing_and_counts, ANY),
    T(pins_of_a_bad_length_are_refused, ANY),
    T(a_read_only_session_sets_no_pin, ANY),
    T(only_the_so_initialises_the_user_pin, ANY),
    T(a_pin_the_so_sets_anew_opens_the_old_keys, ANY),
    T(ten_wrong_pins_lock_the_user_in_every_process_until_the_so_unlocks, OURS),
    T(a_right_pin_sets_the_count_back, OURS),
    T(the_so_locks_too, OURS),
    T(sixteen_processes_guess_at_once_and_get_ten_answers, OURS),
    T(a_blank_token_is_made_through_standard_calls, BLANK),
    T(nobody_logs_in_to_a_blank_token, OURS | BLANK),
    T(a_short_or_missing_so_pin_makes_no_token, OURS | BLANK),
    T(a_label_that_ends_with_a_nul_ends_there, OURS | BLANK),
    T(a_token_with_open_sessions_is_not_made_anew, ANY),
    T(a_token_is_made_anew_only_with_its_so_pin_and_is_empty_then, ANY),
    T(login_in_one_process_is_no_login_in_another, ANY),
    T(the_roles_log_in_by_login_user_as_well_and_nobody_else_is_known, OURS),
    T(an_unknown_operator_counts_as_no_try_of_the_users_pin, OURS),
    T(no_session_claims_to_be_validated, OURS),
    { NULL, NULL, 0 },
};
