/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/session.h"

#include <pthread.h>
#include <stdatomic.h>

#include "../unit.h"
#include "sandbox.h"

enum { RO = CKF_SERIAL_SESSION, RW = CKF_SERIAL_SESSION | CKF_RW_SESSION, THREADS = 8 };

/* CUnit counts without a lock: other threads count here. */
static _Atomic int wrong, stop;

static void expect(bool right)
{
    if (!right) atomic_fetch_add(&wrong, 1);
}

static CK_SESSION_HANDLE open_one(struct kl_token *token, CK_FLAGS flags)
{
    CK_SESSION_HANDLE handle = 0;

    CU_ASSERT_EQUAL_FATAL(kl_session_open(token, flags, &handle), KL_OK);
    return handle;
}

static bool is_there(CK_SESSION_HANDLE handle)
{
    struct kl_session *session;

    if (kl_session_enter(handle, &session) != KL_OK) return false;
    kl_session_leave(session);
    return true;
}

static CK_STATE state_of(CK_SESSION_HANDLE handle)
{
    CK_SESSION_INFO info = { .state = 99 };
    struct kl_session *session;

    CU_ASSERT_EQUAL_FATAL(kl_session_enter(handle, &session), KL_OK);
    CU_ASSERT_EQUAL(kl_session_info(session, &info), KL_OK);
    kl_session_leave(session);
    return info.state;
}

static void counts_are(struct kl_token *token, CK_ULONG all, CK_ULONG rw)
{
    CK_TOKEN_INFO info;

    CU_ASSERT_EQUAL_FATAL(kl_token_info(token, &info), KL_OK);
    CU_ASSERT_EQUAL(info.ulSessionCount, all);
    CU_ASSERT_EQUAL(info.ulRwSessionCount, rw);
}

/* --- what comes in between --------------------------------------------- */

int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

static _Thread_local struct {
    pthread_mutex_t *lock;
    CK_SESSION_HANDLE session;
} awaited[2];
static bool has_no_memory;

/* Before the first of the awaited locks is taken, another closes the session that it is of. */
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    for (size_t i = 0; i < 2; i++) {
        if (mutex != awaited[i].lock) continue;
        awaited[0].lock = awaited[1].lock = NULL;
        expect(kl_session_close(awaited[i].session) == KL_OK);
    }
    return __real_pthread_mutex_lock(mutex);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return has_no_memory ? NULL : __real_aligned_alloc(alignment, size);
}

/* --- handles ----------------------------------------------------------- */

static void a_handle_is_never_0_and_never_used_again(void)
{
    struct kl_token *token = token_begin();
    static CK_SESSION_HANDLE seen[2000];

    for (size_t i = 0; i < 2000; i++) {
        seen[i] = open_one(token, i % 2 ? RW : RO);
        CU_ASSERT_NOT_EQUAL(seen[i], CK_INVALID_HANDLE);
        CU_ASSERT_EQUAL(kl_session_close(seen[i]), KL_OK);
        for (size_t before = 0; before < i; before += 7) CU_ASSERT_NOT_EQUAL(seen[i], seen[before]);
    }
    CU_ASSERT_EQUAL(kl_module_close(), KL_OK);
    CU_ASSERT_EQUAL_FATAL(kl_module_open(), KL_OK);
    open_one(kl_token_at(0), RO);
    for (size_t i = 0; i < 2000; i++) CU_ASSERT_FALSE(is_there(seen[i]));
    token_end();
}

static void a_handle_that_never_was_is_refused(void)
{
    static const CK_SESSION_HANDLE guesses[] = {
        0, 1 << 24, 0xffffff, 0x1000000, 2, 1000, 1000001, (CK_SESSION_HANDLE)-1, (CK_SESSION_HANDLE)1 << 63, 0xffffffff,
    };
    struct kl_token *token = token_begin();
    CK_SESSION_HANDLE real = open_one(token, RO);

    for (size_t i = 0; i < sizeof guesses / sizeof *guesses; i++) {
        CU_ASSERT_FALSE(is_there(guesses[i]) && guesses[i] != real);
        if (guesses[i] != real) CU_ASSERT_EQUAL(kl_session_close(guesses[i]), KL_SESSION);
    }
    for (unsigned bit = 0; bit < 64; bit++) CU_ASSERT_FALSE(is_there(real ^ ((CK_SESSION_HANDLE)1 << bit)));
    CU_ASSERT_TRUE(is_there(real));
    token_end();
}

static void a_closed_session_is_gone_and_no_other(void)
{
    struct kl_token *token = token_begin();
    CK_SESSION_HANDLE one = open_one(token, RO), other = open_one(token, RW);

    counts_are(token, 2, 1);
    CU_ASSERT_EQUAL(kl_session_close(one), KL_OK);
    CU_ASSERT_EQUAL(kl_session_close(one), KL_SESSION);
    CU_ASSERT_FALSE(is_there(one));
    CU_ASSERT_TRUE(is_there(other));
    counts_are(token, 1, 1);
    token_end();
}

static void thousands_are_open_at_a_time(void)
{
    enum { MANY = 3000 };
    static CK_SESSION_HANDLE handles[MANY];
    struct kl_token *token = token_begin();

    for (size_t i = 0; i < MANY; i++) handles[i] = open_one(token, RW);
    counts_are(token, MANY, MANY);
    for (size_t i = 0; i < MANY; i++) CU_ASSERT_TRUE(is_there(handles[i]));
    for (size_t i = 0; i < MANY; i += 2) CU_ASSERT_EQUAL(kl_session_close(handles[i]), KL_OK);
    for (size_t i = 0; i < MANY; i++) CU_ASSERT_EQUAL(is_there(handles[i]), i % 2 == 1);
    CU_ASSERT_EQUAL(kl_session_close_all(token), KL_OK);
    for (size_t i = 0; i < MANY; i++) CU_ASSERT_FALSE(is_there(handles[i]));
    counts_are(token, 0, 0);
    token_end();
}

/* --- rules ------------------------------------------------------------- */

static void a_session_is_serial(void)
{
    struct kl_token *token = token_begin();
    CK_SESSION_HANDLE handle = 77;

    CU_ASSERT_EQUAL(kl_session_open(token, 0, &handle), KL_SESSION_SERIAL);
    CU_ASSERT_EQUAL(kl_session_open(token, CKF_RW_SESSION, &handle), KL_SESSION_SERIAL);
    CU_ASSERT_EQUAL(handle, 77);
    counts_are(token, 0, 0);
    token_end();
}

static void a_token_that_was_not_initialised_has_no_sessions(void)
{
    CK_SESSION_HANDLE handle;

    token_begin();
    CU_ASSERT_EQUAL(kl_session_open(kl_token_at(1), RO, &handle), KL_TOKEN_UNSET);
    counts_are(kl_token_at(1), 0, 0);
    token_end();
}

static void a_sessions_state_follows_the_login(void)
{
    struct kl_token *token = token_begin();
    CK_SESSION_HANDLE ro = open_one(token, RO), rw = open_one(token, RW);

    CU_ASSERT_EQUAL(state_of(ro), CKS_RO_PUBLIC_SESSION);
    CU_ASSERT_EQUAL(state_of(rw), CKS_RW_PUBLIC_SESSION);
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_USER, user_pin()), KL_OK);
    CU_ASSERT_EQUAL(state_of(ro), CKS_RO_USER_FUNCTIONS);
    CU_ASSERT_EQUAL(state_of(rw), CKS_RW_USER_FUNCTIONS);
    CU_ASSERT_EQUAL(kl_token_logout(token), KL_OK);
    CU_ASSERT_EQUAL(state_of(ro), CKS_RO_PUBLIC_SESSION);
    CU_ASSERT_EQUAL(kl_session_close(ro), KL_OK);
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_SO, so_pin()), KL_OK);
    CU_ASSERT_EQUAL(state_of(rw), CKS_RW_SO_FUNCTIONS);
    token_end();
}

static void the_so_and_a_read_only_session_exclude_each_other(void)
{
    struct kl_token *token = token_begin();
    CK_SESSION_HANDLE ro = open_one(token, RO), rw = open_one(token, RW), more;

    CU_ASSERT_EQUAL(kl_token_login(token, CKU_SO, so_pin()), KL_SESSION_RO_EXISTS);
    CU_ASSERT_EQUAL(kl_session_close(ro), KL_OK);
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_SO, so_pin()), KL_OK);
    CU_ASSERT_EQUAL(kl_session_open(token, RO, &more), KL_SESSION_SO_EXISTS);
    counts_are(token, 1, 1);
    CU_ASSERT_EQUAL(kl_session_open(token, RW, &more), KL_OK);
    CU_ASSERT_EQUAL(kl_session_close(rw), KL_OK);
    CU_ASSERT_EQUAL(state_of(more), CKS_RW_SO_FUNCTIONS);
    token_end();
}

static void the_login_ends_with_the_last_session_and_not_before(void)
{
    struct kl_token *token = token_begin();
    CK_SESSION_HANDLE one = open_one(token, RO), other = open_one(token, RW);

    CU_ASSERT_EQUAL(kl_token_login(token, CKU_USER, user_pin()), KL_OK);
    CU_ASSERT_EQUAL(kl_session_close(one), KL_OK);
    CU_ASSERT_EQUAL(state_of(other), CKS_RW_USER_FUNCTIONS);
    CU_ASSERT_EQUAL(kl_session_close(other), KL_OK);
    CU_ASSERT_EQUAL(kl_ladder_role(token->ladder), KL_ROLE_NONE);
    CU_ASSERT_EQUAL(state_of(open_one(token, RW)), CKS_RW_PUBLIC_SESSION);
    token_end();
}

static void closing_all_of_a_token_ends_its_login_and_no_other_tokens(void)
{
    struct kl_token *token = token_begin(), *other = kl_token_at(1);
    CK_SESSION_HANDLE mine = open_one(token, RW), theirs;

    CU_ASSERT_EQUAL_FATAL(kl_token_init(other, so_pin(), kl_view_text("other                           ")), KL_OK);
    theirs = open_one(other, RW);
    CU_ASSERT_EQUAL(kl_token_login(other, CKU_SO, so_pin()), KL_OK);
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_USER, user_pin()), KL_OK);
    CU_ASSERT_EQUAL(kl_session_close_all(token), KL_OK);
    CU_ASSERT_FALSE(is_there(mine));
    CU_ASSERT_EQUAL(kl_ladder_role(token->ladder), KL_ROLE_NONE);
    CU_ASSERT_EQUAL(state_of(theirs), CKS_RW_SO_FUNCTIONS);
    CU_ASSERT_EQUAL(kl_session_close_all(token), KL_OK);
    token_end();
}

/* --- threads ----------------------------------------------------------- */

static void *use_one_session(void *handle)
{
    struct kl_session *session;

    while (kl_session_enter(*(CK_SESSION_HANDLE *)handle, &session) == KL_OK) {
        /* Whoever is in has it alone. */
        session->device_error++;
        kl_session_leave(session);
        atomic_fetch_add(&stop, 1);
    }
    return NULL;
}

static void threads_take_turns_in_a_session_until_it_is_closed(void)
{
    struct kl_token *token = token_begin();
    CK_SESSION_HANDLE handle = open_one(token, RW);
    pthread_t threads[THREADS];

    atomic_store(&stop, 0);
    for (size_t i = 0; i < THREADS; i++) CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, use_one_session, &handle), 0);
    while (atomic_load(&stop) < 10000) continue;
    CU_ASSERT_EQUAL(kl_session_close_all(token), KL_OK);
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    counts_are(token, 0, 0);
    token_end();
}

/* One visitor's day: what it may find is bounded by the rules, whatever the others do. */
static void *visit(void *of)
{
    struct kl_token *token = of;

    for (size_t i = 0; i < 300; i++) {
        CK_SESSION_HANDLE handle;
        struct kl_session *session;
        enum kl_rc rc = kl_session_open(token, i % 3 ? RO : RW, &handle);

        expect(rc == KL_OK);
        if (rc != KL_OK) continue;
        rc = kl_token_login(token, CKU_USER, user_pin());
        expect(rc == KL_OK || rc == KL_LOGGED_IN);
        rc = kl_session_enter(handle, &session);
        expect(rc == KL_OK);
        if (rc == KL_OK) {
            /* Our session is open and nobody logs out: the login holds. */
            expect(kl_ladder_role(token->ladder) == KL_ROLE_USER);
            kl_session_leave(session);
        }
        expect(kl_session_close(handle) == KL_OK);
    }
    return NULL;
}

static void a_login_holds_while_a_session_is_open_and_ends_with_the_last(void)
{
    struct kl_token *token = token_begin();
    pthread_t threads[THREADS];

    atomic_store(&wrong, 0);
    for (size_t i = 0; i < THREADS; i++) CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, visit, token), 0);
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CU_ASSERT_EQUAL(atomic_load(&wrong), 0);
    CU_ASSERT_EQUAL(kl_ladder_role(token->ladder), KL_ROLE_NONE);
    counts_are(token, 0, 0);
    token_end();
}

static void *open_and_close(void *of)
{
    struct kl_token *token = of;

    while (atomic_load(&stop) == 0) {
        CK_SESSION_HANDLE handle;
        enum kl_rc rc = kl_session_open(token, RW, &handle);

        expect(rc == KL_OK);
        if (rc == KL_OK) rc = kl_session_close(handle);
        expect(rc == KL_OK || rc == KL_SESSION);
        rc = kl_token_login(token, CKU_USER, user_pin());
        expect(rc == KL_OK || rc == KL_LOGGED_IN || rc == KL_SESSION);
    }
    return NULL;
}

static void closing_all_among_opening_threads_loses_no_count(void)
{
    struct kl_token *token = token_begin();
    pthread_t threads[THREADS];

    atomic_store(&wrong, 0);
    atomic_store(&stop, 0);
    for (size_t i = 0; i < THREADS; i++) CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, open_and_close, token), 0);
    for (size_t i = 0; i < 200; i++) CU_ASSERT_EQUAL(kl_session_close_all(token), KL_OK);
    atomic_store(&stop, 1);
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CU_ASSERT_EQUAL(atomic_load(&wrong), 0);
    counts_are(token, 0, 0);
    CU_ASSERT_EQUAL(kl_ladder_role(token->ladder), KL_ROLE_NONE);
    token_end();
}

static void await(size_t which, CK_SESSION_HANDLE handle)
{
    struct kl_session *session;

    CU_ASSERT_EQUAL_FATAL(kl_session_enter(handle, &session), KL_OK);
    kl_session_leave(session);
    awaited[which].session = handle;
    awaited[which].lock = &session->lock;
}

static void a_session_that_is_closed_while_one_waits_for_it_is_gone(void)
{
    struct kl_token *token = token_begin();
    CK_SESSION_HANDLE handle = open_one(token, RW), other = open_one(token, RO);
    struct kl_session *session;

    await(0, handle);
    CU_ASSERT_EQUAL(kl_session_enter(handle, &session), KL_SESSION);
    CU_ASSERT_TRUE(is_there(other));
    CU_ASSERT_EQUAL(kl_session_close(other), KL_OK);
    token_end();
}

static void a_session_that_is_closed_while_all_are_is_closed_once(void)
{
    struct kl_token *token = token_begin();

    for (size_t i = 0; i < 2; i++) await(i, open_one(token, RW));
    CU_ASSERT_EQUAL(kl_session_close_all(token), KL_OK);
    CU_ASSERT_PTR_NULL(awaited[0].lock);
    counts_are(token, 0, 0);
    CU_ASSERT_EQUAL(wrong, 0);
    token_end();
}

/* As many as there is room for already; the next is refused, and counted by nothing. */
static void without_memory_there_is_no_session_and_the_next_try_gets_one(void)
{
    struct kl_token *token = token_begin();
    CK_SESSION_HANDLE handle = 0;
    CK_ULONG count = 0;
    enum kl_rc rc = KL_OK;

    has_no_memory = true;
    while (rc == KL_OK && count < 100000) {
        rc = kl_session_open(token, RW, &handle);
        if (rc == KL_OK) count++;
    }
    has_no_memory = false;
    CU_ASSERT_EQUAL(rc, KL_MEMORY);
    counts_are(token, count, count);
    open_one(token, RW);
    counts_are(token, count + 1, count + 1);
    CU_ASSERT_EQUAL(kl_session_close_all(token), KL_OK);
    token_end();
}

UNIT_MAIN("token/session", UNIT(a_handle_is_never_0_and_never_used_again), UNIT(a_handle_that_never_was_is_refused),
          UNIT(a_closed_session_is_gone_and_no_other), UNIT(thousands_are_open_at_a_time), UNIT(a_session_is_serial),
          UNIT(a_token_that_was_not_initialised_has_no_sessions), UNIT(a_sessions_state_follows_the_login),
          UNIT(the_so_and_a_read_only_session_exclude_each_other), UNIT(the_login_ends_with_the_last_session_and_not_before),
          UNIT(closing_all_of_a_token_ends_its_login_and_no_other_tokens), UNIT(threads_take_turns_in_a_session_until_it_is_closed),
          UNIT(a_login_holds_while_a_session_is_open_and_ends_with_the_last), UNIT(closing_all_among_opening_threads_loses_no_count),
          UNIT(a_session_that_is_closed_while_one_waits_for_it_is_gone), UNIT(a_session_that_is_closed_while_all_are_is_closed_once),
          UNIT(without_memory_there_is_no_session_and_the_next_try_gets_one))
