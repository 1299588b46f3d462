/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Features of sessions: states, logins, PINs, random numbers. */
#include "interop.h"

#include <pthread.h>

static CK_STATE state_of(CK_SESSION_HANDLE session)
{
    CK_SESSION_INFO info;

    MUST(C_GetSessionInfo, session, &info);
    if (info.slotID != token_slot) say_wrong("C_GetSessionInfo: slot %lu, not %lu", info.slotID, token_slot);
    return info.state;
}

void session_states(void)
{
    CK_SESSION_HANDLE rw, ro;

    initialize();
    rw = session_new(CKF_RW_SESSION);
    ro = session_new(0);
    if (state_of(rw) != CKS_RW_PUBLIC_SESSION || state_of(ro) != CKS_RO_PUBLIC_SESSION) say_wrong("C_GetSessionInfo: not public at first");
    other_pin();
    log_in(rw);
    if (state_of(rw) != CKS_RW_USER_FUNCTIONS || state_of(ro) != CKS_RO_USER_FUNCTIONS)
        say_wrong("C_GetSessionInfo: a login is not every session's");
    MUST(C_Logout, ro);
    if (state_of(rw) != CKS_RW_PUBLIC_SESSION) say_wrong("C_GetSessionInfo: a logout is not every session's");
    finalize();
}

void parallel_is_refused(void)
{
    CK_SESSION_HANDLE session;

    initialize();
    MUST_BE("C_OpenSession without CKF_SERIAL_SESSION", CALL(C_OpenSession, token_slot, CKF_RW_SESSION, NULL, NULL, &session),
            CKR_SESSION_PARALLEL_NOT_SUPPORTED);
    finalize();
}

void closed_session(void)
{
    CK_SESSION_HANDLE session = ready(), other = session_new(0);
    CK_BYTE random[8];

    MUST(C_CloseSession, other);
    MUST_BE("C_GenerateRandom of a closed session", CALL(C_GenerateRandom, other, random, sizeof random), CKR_SESSION_HANDLE_INVALID,
            CKR_SESSION_CLOSED);
    MUST(C_GenerateRandom, session, random, sizeof random);
    MUST(C_CloseAllSessions, token_slot);
    MUST_BE("C_GenerateRandom after C_CloseAllSessions", CALL(C_GenerateRandom, session, random, sizeof random), CKR_SESSION_HANDLE_INVALID,
            CKR_SESSION_CLOSED);
    finalize();
}

void last_session_logs_out(void)
{
    CK_SESSION_HANDLE session = ready();

    other_pin();
    MUST(C_CloseSession, session);
    session = session_new(CKF_RW_SESSION);
    if (state_of(session) != CKS_RW_PUBLIC_SESSION) say_wrong("still logged in, with no session in between");
    finalize();
}

void read_only_session(void)
{
    CK_MECHANISM mech = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_TOKEN, CK_TRUE),
                                A_TEXT(CKA_LABEL, MARK) };
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;

    initialize();
    OFFERS(CKM_AES_KEY_GEN, CKF_GENERATE);
    session = session_new(0);
    log_in(session);
    report->made = true;
    MUST_BE("C_GenerateKey of a token key", CALL(C_GenerateKey, session, &mech, template, COUNT(template), &key), CKR_SESSION_READ_ONLY);
    finalize();
}

/* ---- logins ---- */

void second_login(void)
{
    CK_SESSION_HANDLE session = ready();

    other_pin();
    MUST_BE("C_Login again", log_in_as(session, target.pin), CKR_USER_ALREADY_LOGGED_IN);
    MUST_BE("C_Login in another session", log_in_as(session_new(0), target.pin), CKR_USER_ALREADY_LOGGED_IN);
    finalize();
}

void wrong_pin(void)
{
    CK_SESSION_HANDLE session;
    CK_RV rv;

    initialize();
    session = session_new(CKF_RW_SESSION);
    rv = log_in_as(session, other_pin());
    if (rv == CKR_OK) say_wrong("C_Login: a wrong PIN was accepted");
    /* The right one first: it sets the token's count of failures back. */
    must_ok("C_Login after a wrong PIN", log_in_as(session, target.pin));
    MUST_BE("C_Login with a wrong PIN", rv, CKR_PIN_INCORRECT);
    finalize();
}

static pthread_barrier_t barrier;

static void log_in_at_once(unsigned number)
{
    CK_SESSION_HANDLE session = session_new(number % 2 ? CKF_RW_SESSION : 0);
    CK_BYTE random[16];

    pthread_barrier_wait(&barrier);
    log_in(session);
    MUST(C_GenerateRandom, session, random, sizeof random);
}

void threads_log_in(void)
{
    initialize();
    other_pin();
    pthread_barrier_init(&barrier, NULL, 4);
    in_threads(4, log_in_at_once);
    finalize();
}

void logout_hides(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_OBJECT_HANDLE key;
    CK_BBOOL value;
    CK_ATTRIBUTE attr = { CKA_TOKEN, &value, sizeof value }, label = A_TEXT(CKA_LABEL, MARK " hidden");

    other_pin();
    key = labelled_key(session, "edTp", MARK " hidden");
    if (count_found(session, &label, 1) != 1) say_wrong("C_FindObjects: the key that was made is not there");
    MUST(C_Logout, session);
    if (count_found(session, &label, 1) != 0) say_wrong("C_FindObjects: a private key is shown without a login");
    must_fail("C_GetAttributeValue of a private key without a login", CALL(C_GetAttributeValue, session, key, &attr, 1));
    log_in(session);
    if (count_found(session, &label, 1) != 1) say_wrong("C_FindObjects: the key is not there after the next login");
    MUST(C_DestroyObject, session, find_labelled(session, MARK " hidden"));
    finalize();
}

void needs_login(void)
{
    CK_MECHANISM mech = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_TOKEN, CK_TRUE),
                                A_BOOL(CKA_PRIVATE, CK_TRUE), A_TEXT(CKA_LABEL, MARK) };
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;

    initialize();
    other_pin();
    OFFERS(CKM_AES_KEY_GEN, CKF_GENERATE);
    session = session_new(CKF_RW_SESSION);
    report->made = true;
    MUST_BE("C_GenerateKey of a private key without a login", CALL(C_GenerateKey, session, &mech, template, COUNT(template), &key),
            CKR_USER_NOT_LOGGED_IN);
    finalize();
}

static CK_RV set_pin(CK_SESSION_HANDLE session, const char *from, const char *to)
{
    return CALL(C_SetPIN, session, (CK_UTF8CHAR *)(uintptr_t)from, strlen(from), (CK_UTF8CHAR *)(uintptr_t)to, strlen(to));
}

/* Whatever goes wrong here, sweep() gives the token its PIN back. */
void changes_pin(void)
{
    CK_SESSION_HANDLE session = ready();
    const char *other = other_pin();

    report->made = true;
    MUST_BE("C_SetPIN with a wrong PIN", set_pin(session, other, target.pin), CKR_PIN_INCORRECT);
    must_ok("C_SetPIN", set_pin(session, target.pin, other));
    MUST(C_Logout, session);
    MUST_BE("C_Login with the PIN of before", log_in_as(session, target.pin), CKR_PIN_INCORRECT);
    must_ok("C_Login with the new PIN", log_in_as(session, other));
    must_ok("C_SetPIN back", set_pin(session, other, target.pin));
    MUST(C_Logout, session);
    must_ok("C_Login", log_in_as(session, target.pin));
    finalize();
}

void officer_sets_pin(void)
{
    CK_SESSION_HANDLE session;

    if (target.so_pin == NULL) say_untried("it needs so-pin=");
    initialize();
    other_pin();
    session = session_new(CKF_RW_SESSION);
    must_ok("C_Login of the SO", CALL(C_Login, session, CKU_SO, (CK_UTF8CHAR *)(uintptr_t)target.so_pin, strlen(target.so_pin)));
    if (state_of(session) != CKS_RW_SO_FUNCTIONS) say_wrong("C_GetSessionInfo: not CKS_RW_SO_FUNCTIONS");
    MUST(C_InitPIN, session, (CK_UTF8CHAR *)(uintptr_t)target.pin, strlen(target.pin));
    MUST_BE("C_Login of the user beside the SO", log_in_as(session, target.pin), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
    MUST(C_Logout, session);
    must_ok("C_Login", log_in_as(session, target.pin));
    finalize();
}

void cancels_by_init(void)
{
    CK_MECHANISM mech = { CKM_AES_CBC_PAD, (CK_BYTE[16]){ 1 }, 16 };
    struct t_list30 *list = interface_of(3, 0);
    CK_SESSION_HANDLE session = ready();
    CK_OBJECT_HANDLE key;

    (void)list;
    OFFERS(CKM_AES_CBC_PAD, CKF_ENCRYPT | CKF_DECRYPT);
    key = aes_key(session, 32, "ed");
    MUST(C_EncryptInit, session, &mech, key);
    MUST_BE("C_EncryptInit again", CALL(C_EncryptInit, session, &mech, key), CKR_OPERATION_ACTIVE);
    must_ok("C_EncryptInit(NULL)", CALL(C_EncryptInit, session, NULL, 0));
    MUST(C_EncryptInit, session, &mech, key);
    finalize();
}

void operation_is_one(void)
{
    CK_MECHANISM mech = { CKM_AES_CBC_PAD, (CK_BYTE[16]){ 1 }, 16 };
    CK_SESSION_HANDLE session = ready();
    CK_BYTE out[64];
    CK_ULONG len = sizeof out;
    CK_OBJECT_HANDLE key;

    OFFERS(CKM_AES_CBC_PAD, CKF_ENCRYPT | CKF_DECRYPT);
    key = aes_key(session, 32, "ed");
    MUST_BE("C_Encrypt without C_EncryptInit", CALL(C_Encrypt, session, out, 16, out, &len), CKR_OPERATION_NOT_INITIALIZED);
    MUST(C_EncryptInit, session, &mech, key);
    MUST_BE("C_EncryptInit again", CALL(C_EncryptInit, session, &mech, key), CKR_OPERATION_ACTIVE);
    finalize();
}

/* ---- random numbers ---- */

void random_bytes(void)
{
    CK_SESSION_HANDLE session = ready();
    static CK_BYTE first[65536], second[65536];
    struct guarded room;

    for (CK_ULONG len = 1; len <= 100; len += 33) {
        guarded_init(&room, len);
        MUST(C_GenerateRandom, session, room.data, len);
        guarded_check(&room, "C_GenerateRandom");
    }
    MUST(C_GenerateRandom, session, first, sizeof first);
    MUST(C_GenerateRandom, session, second, sizeof second);
    for (size_t i = 0; i + 16 <= sizeof first; i += 16)
        if (memcmp(first + i, second + i, 16) == 0) say_wrong("C_GenerateRandom: the same bytes twice");
    finalize();
}

void seeds_random(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_BYTE seed[32] = "whatever a caller has gathered";
    CK_RV rv = CALL(C_SeedRandom, session, seed, sizeof seed);

    if (rv == CKR_RANDOM_SEED_NOT_SUPPORTED) say_no("C_SeedRandom: %s", code(rv));
    must_ok("C_SeedRandom", rv);
    finalize();
}
