/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* O and the first of P: login, sessions, visibility, PINs. */
#include "attacks.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CKO_PROFILE
#define CKO_PROFILE 9UL
#endif

/* Objects found; the token's profiles, which everybody may see, are not counted. */
static size_t visible(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG count)
{
    CK_ATTRIBUTE profiles[] = { A_ULONG(CKA_CLASS, CKO_PROFILE) };
    size_t all = find_count(session, template, count);

    return count == 0 ? all - find_count(session, profiles, 1) : all;
}

/* K, a ladder, a private data object; what tells them apart is asked for while logged in. */
static CK_SESSION_HANDLE private_things(CK_BYTE *unique_id, CK_ULONG *unique_len)
{
    CK_SESSION_HANDLE session = user_session();
    CK_ATTRIBUTE id[] = { { CKA_UNIQUE_ID, unique_id, *unique_len } };
    CK_ATTRIBUTE data[] = { A_ULONG(CKA_CLASS, CKO_DATA), A_BOOL(CKA_TOKEN, way->token), A_BOOL(CKA_PRIVATE, CK_TRUE),
                            A_TEXT(CKA_LABEL, "note"), A_TEXT(CKA_VALUE, "a plaintext secret") };
    CK_OBJECT_HANDLE note = 0;

    make(session, "K", "edS");
    ladder_grow(session);
    NEED(p11->C_CreateObject(session, data, COUNT(data), &note));
    session = settle(session);
    NEED(p11->C_GetAttributeValue(session, named(session, "K"), id, 1));
    *unique_len = id[0].ulValueLen;
    return session;
}

/* By no template does a private object show. */
static void none_visible(CK_SESSION_HANDLE session, CK_BYTE *unique_id, CK_ULONG unique_len)
{
    CK_ATTRIBUTE templates[][1] = { { A_TEXT(CKA_LABEL, "K") },       { A_TEXT(CKA_LABEL, "master") },
                                    { A_TEXT(CKA_LABEL, "note") },    { { CKA_UNIQUE_ID, unique_id, unique_len } },
                                    { A_BOOL(CKA_PRIVATE, CK_TRUE) }, { A_ULONG(CKA_CLASS, CKO_SECRET_KEY) },
                                    { A_ULONG(CKA_CLASS, CKO_DATA) }, { A_ULONG(CKA_KL_LEVEL, 1) } };

    CHECK(visible(session, NULL, 0) == 0);
    for (size_t i = 0; i < COUNT(templates); i++)
        if (visible(session, templates[i], 1)) fail_at(__FILE__, __LINE__, "template %zu finds a private object", i);
}

CASE(A_O1_private_objects_before_login)
{
    CK_BYTE id[64];
    CK_ULONG len = sizeof id;
    CK_SESSION_HANDLE session = private_things(id, &len);

    NEED(p11->C_Logout(session));
    none_visible(session, id, len);
    if (way->token) {
        stop();
        start();
        none_visible(open_session(0), id, len);
    }
}

CASE(A_O2_the_so_sees_no_user_keys)
{
    CK_BYTE id[64], iv[12];
    CK_ULONG len = sizeof id;
    CK_SESSION_HANDLE session = private_things(id, &len);
    CK_OBJECT_HANDLE keys[2] = { named(session, "K"), named(session, "users") };

    NEED(p11->C_Logout(session));
    NEED(login(session, CKU_SO, SO_PIN));
    none_visible(session, id, len);
    for (size_t i = 0; i < 2; i++) {
        CK_OBJECT_HANDLE key = 0;

        fresh_iv(iv);
        REFUSED(session, gcm_init(session, true, keys[i], iv, 12, NULL, 0, 128), CKR_USER_NOT_LOGGED_IN, CKR_KEY_HANDLE_INVALID);
        REFUSED(session, gcm_init(session, false, keys[i], iv, 12, NULL, 0, 128), CKR_USER_NOT_LOGGED_IN, CKR_KEY_HANDLE_INVALID);
        REFUSED(session, hkdf_try(session, keys[i], NULL, 0, "x", 1, NULL, 0, &key), CKR_USER_NOT_LOGGED_IN, CKR_KEY_HANDLE_INVALID);
        REFUSED(session, set_bool(session, keys[i], CKA_ENCRYPT, CK_FALSE), CKR_OBJECT_HANDLE_INVALID);
    }
    /* Nor does the SO make keys to use. */
    REFUSED(session, make_try(session, "own", "edS", NULL, 0), CKR_USER_NOT_LOGGED_IN);
}

/* CKR_OBJECT_HANDLE_INVALID for whatever is not there or not for everybody. */
static CK_RV guess(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle)
{
    CK_OBJECT_CLASS class = 0;
    CK_ATTRIBUTE attr[] = { { CKA_CLASS, &class, sizeof class } };
    CK_RV rv = p11->C_GetAttributeValue(session, handle, attr, 1);

    return rv == CKR_OK && class == CKO_PROFILE ? CKR_OBJECT_HANDLE_INVALID : rv;
}

CASE(A_O3_guessed_handles)
{
    CK_BYTE id[64];
    CK_ULONG len = sizeof id;
    CK_SESSION_HANDLE session = private_things(id, &len);
    CK_OBJECT_HANDLE known[] = { named(session, "K"), named(session, "master"), named(session, "users"), named(session, "note") };
    uint64_t state = 3;
    CK_RV rv = CKR_OBJECT_HANDLE_INVALID;

    NEED(p11->C_Logout(session));
    for (size_t i = 0; i < COUNT(known); i++) EXPECT(guess(session, known[i]), CKR_OBJECT_HANDLE_INVALID);
    for (CK_OBJECT_HANDLE handle = 0; handle <= 100000 && rv == CKR_OBJECT_HANDLE_INVALID; handle++) rv = guess(session, handle);
    EXPECT(rv, CKR_OBJECT_HANDLE_INVALID);
    for (size_t i = 0; i < 100000 && rv == CKR_OBJECT_HANDLE_INVALID; i++)
        rv = guess(session, i & 1 ? rng_next(&state) : known[i % COUNT(known)] ^ rng_next(&state) % 4096);
    EXPECT(rv, CKR_OBJECT_HANDLE_INVALID);
}

CASE(A_O4_sign_after_logout)
{
    CK_MECHANISM mech = { CKM_SHA256_HMAC, NULL, 0 };
    CK_SESSION_HANDLE session = user_session();
    CK_BYTE out[32];
    CK_ULONG len = sizeof out;

    NEED(make_by(CKM_GENERIC_SECRET_KEY_GEN, session, "K", "svS", NULL, 0));
    session = settle(session);
    NEED(p11->C_SignInit(session, &mech, named(session, "K")));
    NEED(p11->C_Logout(session));
    EXPECT(p11->C_Sign(session, (CK_BYTE *)(uintptr_t) "message", 7, out, &len), CKR_OPERATION_NOT_INITIALIZED, CKR_USER_NOT_LOGGED_IN);
    NEED(login(session, CKU_USER, USER_PIN));
    EXPECT(p11->C_Sign(session, (CK_BYTE *)(uintptr_t) "message", 7, out, &len), CKR_OPERATION_NOT_INITIALIZED);
}

CASE(A_O5_private_session_objects_end_at_logout)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key, stays;
    CK_BYTE iv[12];

    make(session, "stays", "edS");
    session = settle(session);
    key = key_make(session, "edS");
    stays = named(session, "stays");
    NEED(set_bytes(session, key, CKA_LABEL, "goes", 4));
    NEED(p11->C_Logout(session));
    NEED(login(session, CKU_USER, USER_PIN));
    fresh_iv(iv);
    REFUSED(session, gcm_init(session, true, key, iv, 12, NULL, 0, 128), CKR_KEY_HANDLE_INVALID);
    CHECK(find_one(session, "goes") == 0);
    if (way->token)
        CHECK(find_one(session, "stays") != 0);
    else
        REFUSED(session, gcm_init(session, true, stays, iv, 12, NULL, 0, 128), CKR_KEY_HANDLE_INVALID);
}

CASE(A_O6_a_read_only_session_under_the_so)
{
    CK_SESSION_HANDLE ro, rw, other = 0;
    CK_SLOT_ID slot;

    start();
    slot = slot_labelled(TOKEN_LABEL);
    rw = open_on(slot, CKF_RW_SESSION);
    ro = open_on(slot, 0);
    EXPECT(login(rw, CKU_SO, SO_PIN), CKR_SESSION_READ_ONLY_EXISTS);
    NEED(p11->C_CloseSession(ro));
    NEED(login(rw, CKU_SO, SO_PIN));
    EXPECT(p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &other), CKR_SESSION_READ_WRITE_SO_EXISTS);
}

CASE(A_O7_always_authenticate)
{
    const CK_ATTRIBUTE always[] = { A_BOOL(CKA_ALWAYS_AUTHENTICATE, CK_TRUE) };
    CK_SESSION_HANDLE session = user_session();
    CK_BYTE iv[12], out[64];
    CK_ULONG len = sizeof out;
    CK_RV rv = make_try(session, "K", "edS", always, 1);

    /* The standard has the attribute for private keys; where no secret key can have it, none is used as if it had. */
    if (rv != CKR_OK) {
        EXPECT(rv, CKR_ATTRIBUTE_TYPE_INVALID);
        CHECK(find_one(session, "K") == 0);
        return;
    }
    session = settle(session);
    for (int use = 0; use < 2; use++) {
        fresh_iv(iv);
        NEED(gcm_init(session, true, named(session, "K"), iv, 12, NULL, 0, 128));
        if (use == 0) NEED(login(session, CKU_CONTEXT_SPECIFIC, USER_PIN));
        EXPECT(p11->C_Encrypt(session, iv, 12, out, &len), use ? CKR_USER_NOT_LOGGED_IN : CKR_OK);
    }
}

CASE(A_O8_a_foreign_slot)
{
    CK_SESSION_HANDLE session = user_session(), other;
    CK_OBJECT_HANDLE keys[2], key = 0, wrapper;
    CK_BYTE iv[12];

    make(session, "K", "edS");
    ladder_grow(session);
    session = settle(session);
    keys[0] = named(session, "K");
    keys[1] = named(session, "users");
    other = open_on(slot_labelled("other"), CKF_RW_SESSION);
    NEED(login(other, CKU_USER, USER_PIN));
    wrapper = key_make(other, "wS");
    for (size_t i = 0; i < 2; i++) {
        CK_BBOOL token;
        CK_ATTRIBUTE attr[] = { { CKA_TOKEN, &token, 1 } };
        struct blob blob;

        fresh_iv(iv);
        REFUSED(other, p11->C_GetAttributeValue(other, keys[i], attr, 1), CKR_OBJECT_HANDLE_INVALID);
        REFUSED(other, set_bytes(other, keys[i], CKA_LABEL, "mine", 4), CKR_OBJECT_HANDLE_INVALID);
        REFUSED(other, copy_with(other, keys[i], NULL, 0), CKR_OBJECT_HANDLE_INVALID);
        REFUSED(other, p11->C_DestroyObject(other, keys[i]), CKR_OBJECT_HANDLE_INVALID);
        REFUSED(other, gcm_init(other, true, keys[i], iv, 12, NULL, 0, 128), CKR_KEY_HANDLE_INVALID, CKR_OBJECT_HANDLE_INVALID);
        REFUSED(other, hkdf_try(other, keys[i], NULL, 0, "x", 1, NULL, 0, &key), CKR_KEY_HANDLE_INVALID, CKR_OBJECT_HANDLE_INVALID);
        REFUSED(other, wrap_try(other, &wrappings[0], wrapper, keys[i], &blob), CKR_KEY_HANDLE_INVALID, CKR_OBJECT_HANDLE_INVALID);
    }
}

struct closing {
    CK_SESSION_HANDLE session;
    const char *label;
    atomic_ulong rounds;
    CK_RV last;
};

static void *until_closed(void *arg)
{
    struct closing *closing = arg;
    /* A session key of another's session would end with that one, and be no key a moment before this is no session. */
    CK_OBJECT_HANDLE key = way->token ? named(closing->session, closing->label) : key_make(closing->session, "edS");
    CK_BYTE iv[12] = { 0 }, out[64];

    for (uint32_t i = 1; closing->last == CKR_OK; i++) {
        CK_ULONG len = sizeof out;

        memset(iv, 0, 12);
        if (!token_makes_ivs) memcpy(iv, &closing->session, 8);
        if (!token_makes_ivs) memcpy(iv + 8, &i, 4);
        closing->last = gcm_init(closing->session, true, key, iv, 12, NULL, 0, 128);
        if (closing->last == CKR_OK) closing->last = p11->C_Encrypt(closing->session, out, 16, out, &len);
        closing->rounds++;
    }
    return NULL;
}

CASE(A_O9_close_all)
{
    enum { THREADS = 8 };
    CK_SESSION_HANDLE session = user_session();
    struct closing closing[THREADS];
    pthread_t threads[THREADS];
    CK_SESSION_INFO info;

    make(session, "K", "edS");
    session = settle(session);
    for (size_t i = 0; i < THREADS; i++) {
        closing[i] = (struct closing){ .session = open_session(0), .label = "K" };
        pthread_create(&threads[i], NULL, until_closed, &closing[i]);
    }
    for (size_t i = 0; i < THREADS; i++)
        while (closing[i].rounds < 10) usleep(100);
    NEED(p11->C_CloseAllSessions(slot_labelled(TOKEN_LABEL)));
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        EXPECT(closing[i].last, CKR_SESSION_HANDLE_INVALID, CKR_SESSION_CLOSED);
    }
    NEED(p11->C_GetSessionInfo(open_session(0), &info));
    CHECK(info.state == CKS_RO_PUBLIC_SESSION);
}

/* ---- PINs ---- */

static CK_FLAGS pin_flags(void)
{
    CK_TOKEN_INFO info;

    NEED(p11->C_GetTokenInfo(slot_labelled(TOKEN_LABEL), &info));
    return info.flags & (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED);
}

static void is_locked(void *unused)
{
    (void)unused;
    p11->C_Finalize(NULL);
    start();
    EXPECT(login(open_session(CKF_RW_SESSION), CKU_USER, USER_PIN), CKR_PIN_LOCKED);
    CHECK(pin_flags() & CKF_USER_PIN_LOCKED);
}

CASE(A_P1_lockout)
{
    CK_SESSION_HANDLE session;

    start();
    session = open_session(CKF_RW_SESSION);
    CHECK(pin_flags() == 0);
    for (int i = 0; i < 9; i++) {
        EXPECT(login(session, CKU_USER, WRONG_PIN), CKR_PIN_INCORRECT);
        CHECK(pin_flags() & CKF_USER_PIN_COUNT_LOW);
        CHECK(!(pin_flags() & CKF_USER_PIN_FINAL_TRY) == (i < 8));
    }
    EXPECT(login(session, CKU_USER, WRONG_PIN), CKR_PIN_INCORRECT, CKR_PIN_LOCKED);
    EXPECT(login(session, CKU_USER, WRONG_PIN), CKR_PIN_LOCKED);
    EXPECT(login(session, CKU_USER, USER_PIN), CKR_PIN_LOCKED);
    CHECK(pin_flags() & CKF_USER_PIN_LOCKED);
    in_other_process(is_locked, NULL);
    stop();
    start();
    is_locked(NULL);
}

CASE(A_P2_parallel_guessing)
{
    enum { PROCESSES = 16, GUESSES = 3, MOST = 10 };
    int answers[2];
    unsigned char answered;
    unsigned total = 0;

    if (pipe(answers)) die_at(__FILE__, __LINE__, "pipe");
    for (int i = 0; i < PROCESSES; i++) {
        if (fork() == 0) {
            CK_SESSION_HANDLE session;

            answered = 0;
            start();
            session = open_session(CKF_RW_SESSION);
            for (int j = 0; j < GUESSES; j++)
                if (login(session, CKU_USER, WRONG_PIN) == CKR_PIN_INCORRECT) answered++;
            if (write(answers[1], &answered, 1) != 1) _exit(1);
            _exit(0);
        }
    }
    close(answers[1]);
    while (read(answers[0], &answered, 1) == 1) total += answered;
    while (wait(NULL) > 0) continue;
    if (total > MOST || total < MOST - 1) fail_at(__FILE__, __LINE__, "%u guesses were answered", total);
    start();
    is_locked(NULL);
}

struct times {
    double sum, squares;
    unsigned count;
};

static void time_login(CK_SESSION_HANDLE session, const char *pin, struct times *times)
{
    double took = now_seconds();

    EXPECT(login(session, CKU_USER, pin), CKR_PIN_INCORRECT);
    took = now_seconds() - took;
    times->sum += took;
    times->squares += took * took;
    times->count++;
}

static void print_welch(const char *what, const struct times *a, const struct times *b)
{
    double mean_a = a->sum / a->count, mean_b = b->sum / b->count;
    double spread = (a->squares / a->count - mean_a * mean_a) / a->count + (b->squares / b->count - mean_b * mean_b) / b->count;

    printf("    %s: %.3f ms against %.3f ms, Welch t %.2f\n", what, mean_a * 1e3, mean_b * 1e3, (mean_a - mean_b) / sqrt(spread));
}

/* Prints the times and judges none; what it can fail on is that wrong PINs are told apart by their codes. */
CASE(A_P3_pin_timing)
{
    CK_SESSION_HANDLE session;
    struct times none = { 0 }, all = { 0 }, length = { 0 };

    start();
    session = open_session(CKF_RW_SESSION);
    for (int i = 0; i < 12; i++) {
        time_login(session, "xser-pin-1111", &none);
        time_login(session, "user-pin-1112", &all);
        time_login(session, "user-pin-11111111111111", &length);
        NEED(login(session, CKU_USER, USER_PIN));
        NEED(p11->C_Logout(session));
    }
    print_welch("no byte right against all but the last", &none, &all);
    print_welch("all but the last against another length", &all, &length);
}

static CK_RV set_pin(CK_SESSION_HANDLE session, const char *old, const char *fresh)
{
    return p11->C_SetPIN(session, (CK_BYTE *)(uintptr_t)old, strlen(old), (CK_BYTE *)(uintptr_t)fresh, strlen(fresh));
}

/* Exactly one of the two opens the token; says which. */
static const char *the_one_pin(const char *one, const char *two)
{
    CK_SESSION_HANDLE session = open_session(CKF_RW_SESSION);
    CK_RV first = login(session, CKU_USER, one), second;

    if (first == CKR_OK) NEED(p11->C_Logout(session));
    second = login(session, CKU_USER, two);
    if (second == CKR_OK) NEED(p11->C_Logout(session));
    if ((first == CKR_OK) == (second == CKR_OK)) die_at(__FILE__, __LINE__, "%s and %s", rv_name(first), rv_name(second));
    /* The right one last: the wrong guess is not to count. */
    NEED(login(session, CKU_USER, first == CKR_OK ? one : two));
    NEED(p11->C_CloseSession(session));
    return first == CKR_OK ? one : two;
}

static void crash_in_the_middle(int rounds)
{
    const char *now = USER_PIN;
    uint64_t state = 4;

    for (int i = 0; i < rounds; i++) {
        const char *next = strcmp(now, USER_PIN) ? USER_PIN : NEXT_PIN;
        pid_t pid = fork();

        if (pid == 0) {
            start();
            set_pin(open_session(CKF_RW_SESSION), now, next);
            pause();
        }
        usleep((useconds_t)(rng_next(&state) % 60000));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        start();
        now = the_one_pin(now, next);
        stop();
    }
}

CASE(A_P4_pin_change)
{
    CK_SESSION_HANDLE session;
    CK_TOKEN_INFO info;
    char pin[70000];

    start();
    session = open_session(CKF_RW_SESSION);
    EXPECT(set_pin(session, WRONG_PIN, NEXT_PIN), CKR_PIN_INCORRECT);
    CHECK(pin_flags() & CKF_USER_PIN_COUNT_LOW);
    NEED(p11->C_GetTokenInfo(slot_labelled(TOKEN_LABEL), &info));
    memset(pin, 'p', sizeof pin);
    pin[info.ulMaxPinLen + 1] = 0;
    EXPECT(set_pin(session, USER_PIN, pin), CKR_PIN_LEN_RANGE);
    pin[info.ulMinPinLen - 1] = 0;
    EXPECT(set_pin(session, USER_PIN, pin), CKR_PIN_LEN_RANGE);
    EXPECT(set_pin(session, USER_PIN, ""), CKR_PIN_LEN_RANGE);
    /* The same again is a change like any other, or none. */
    EXPECT(set_pin(session, USER_PIN, USER_PIN), CKR_OK, CKR_PIN_INVALID);
    EXPECT(login(session, CKU_USER, USER_PIN), CKR_OK);
    stop();
    crash_in_the_middle(way->token ? 2 : 12);
}

const struct test login_cases[] = {
    T(A_O1_private_objects_before_login, OURS),
    T(A_O2_the_so_sees_no_user_keys, OURS),
    T(A_O3_guessed_handles, OURS),
    T(A_O4_sign_after_logout, OURS),
    T(A_O5_private_session_objects_end_at_logout, OURS),
    T(A_O6_a_read_only_session_under_the_so, OURS),
    T(A_O7_always_authenticate, OURS),
    T(A_O8_a_foreign_slot, OURS),
    T(A_O9_close_all, OURS),
    T(A_P1_lockout, OURS),
    T(A_P2_parallel_guessing, OURS),
    T(A_P3_pin_timing, OURS | ONCE),
    T(A_P4_pin_change, OURS | SLOW),
    { NULL, NULL, 0 },
};
