/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>

#include "../unit.h"
#include "crypto/lib.h"
#include "sandbox.h"
#include "token/session.h"
#include "token/token.h"

/* AddressSanitizer's allocator is itself not safe across a fork among threads: its own lock hangs the child. */
#if defined(__SANITIZE_ADDRESS__)
enum { FORKS_AMONG_THREADS = 0 };
#else
enum { FORKS_AMONG_THREADS = 200 };
#endif

/* CUnit counts without a lock: other threads count here. */
static _Atomic int wrong;

static void expect(bool right)
{
    if (!right) atomic_fetch_add(&wrong, 1);
}

static void pause_a_moment(void)
{
    nanosleep(&(struct timespec){ .tv_nsec = 20 * 1000 * 1000 }, NULL);
}

/* --- what the system refuses ------------------------------------------- */

int __real_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));
int __wrap_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));
enum kl_rc __real_kl_fork_mark(void);
enum kl_rc __wrap_kl_fork_mark(void);

void *__real_mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset);
int __real_madvise(void *at, size_t len, int advice);
int __wrap_madvise(void *at, size_t len, int advice);

static bool has_no_handlers, has_no_mark, has_no_page, has_no_wipe;

void *__wrap_mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset)
{
    return has_no_page ? MAP_FAILED : __real_mmap(at, len, protection, flags, fd, offset);
}

int __wrap_madvise(void *at, size_t len, int advice)
{
    return has_no_wipe ? -1 : __real_madvise(at, len, advice);
}

int __wrap_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    return has_no_handlers ? ENOMEM : __real_pthread_atfork(prepare, parent, child);
}

enum kl_rc __wrap_kl_fork_mark(void)
{
    return has_no_mark ? KL_MEMORY : __real_kl_fork_mark();
}

static int contexts; /* of OpenSSL's that were asked for */
OSSL_LIB_CTX *__real_OSSL_LIB_CTX_new(void);
OSSL_LIB_CTX *__wrap_OSSL_LIB_CTX_new(void);
OSSL_LIB_CTX *__wrap_OSSL_LIB_CTX_new(void)
{
    contexts++;
    return __real_OSSL_LIB_CTX_new();
}

static int opens_without_openssl(void)
{
    /* Lets go of the context that the sandbox has made PINs with. */
    pthread_mutex_lock(kl_crypto_lock());
    kl_crypto_abandon();
    contexts = 0;
    UNIT_NEED(kl_module_open() == KL_OK && kl_module_close() == KL_OK && contexts == 0);
    UNIT_NEED(kl_crypto_open() == KL_OK && contexts == 1);
    UNIT_NEED(kl_module_open() == KL_OK && kl_module_close() == KL_OK);
    UNIT_NEED(kl_crypto_open() == KL_OK && contexts == 1);
    return 0;
}

/* A millisecond that a program without a use for keys need not pay. */
static void opening_starts_no_openssl_and_closing_stops_none(void)
{
    sandbox_begin();
    CU_ASSERT_EQUAL(unit_in_child(opens_without_openssl), 0);
    sandbox_end();
}

/* The first of all: what is made once is not there yet. */
static void without_what_it_needs_it_does_not_open(void)
{
    sandbox_begin();
    has_no_page = true;
    CU_ASSERT_EQUAL(kl_module_open(), KL_MEMORY);
    has_no_page = false;
    has_no_wipe = true;
    CU_ASSERT_EQUAL(kl_module_open(), KL_MEMORY);
    has_no_wipe = false;
    has_no_mark = true;
    CU_ASSERT_EQUAL(kl_module_open(), KL_MEMORY);
    has_no_mark = false;
    CU_ASSERT_FALSE(kl_module_is_open());
    CU_ASSERT_EQUAL(kl_module_open(), KL_OK);
    CU_ASSERT_EQUAL(kl_module_close(), KL_OK);
    sandbox_end();
}

static void without_handlers_it_does_not_promise_to_inherit(void)
{
    sandbox_begin();
    sandbox_configure("[module]\nfork = inherit\n");
    has_no_handlers = true;
    CU_ASSERT_EQUAL(kl_module_open(), KL_MEMORY);
    CU_ASSERT_FALSE(kl_module_is_open());
    has_no_handlers = false;
    CU_ASSERT_EQUAL(kl_module_open(), KL_OK);
    CU_ASSERT_EQUAL(kl_module_close(), KL_OK);
    sandbox_end();
}

/* --- open and close ---------------------------------------------------- */

static void nothing_is_open_before_the_first_open(void)
{
    CU_ASSERT_FALSE(kl_module_is_open());
    CU_ASSERT_FALSE(kl_module_enter());
    CU_ASSERT_EQUAL(kl_module_close(), KL_NOT_INITIALIZED);
    CU_ASSERT_EQUAL(kl_token_count(), 0);
}

static void it_opens_once_and_closes_once(void)
{
    sandbox_begin();
    CU_ASSERT_EQUAL(kl_module_open(), KL_OK);
    CU_ASSERT_TRUE(kl_module_is_open());
    CU_ASSERT_EQUAL(kl_module_open(), KL_INITIALIZED);
    CU_ASSERT_EQUAL(kl_module_close(), KL_OK);
    CU_ASSERT_FALSE(kl_module_is_open());
    CU_ASSERT_EQUAL(kl_module_close(), KL_NOT_INITIALIZED);
    CU_ASSERT_EQUAL(kl_module_open(), KL_OK);
    CU_ASSERT_EQUAL(kl_module_close(), KL_OK);
    sandbox_end();
}

static void slots_come_in_the_order_of_the_configuration(void)
{
    CK_SLOT_INFO info;

    sandbox_begin();
    CU_ASSERT_EQUAL_FATAL(kl_module_open(), KL_OK);
    CU_ASSERT_EQUAL_FATAL(kl_token_count(), 2);
    CU_ASSERT_PTR_NULL(kl_token_at(2));
    CU_ASSERT_PTR_NULL(kl_token_at((CK_SLOT_ID)-1));
    CU_ASSERT_EQUAL(kl_token_slot_info(kl_token_at(0), &info), KL_OK);
    CU_ASSERT_EQUAL(memcmp(info.slotDescription, "keyladder token demo                                            ", 64), 0);
    CU_ASSERT_EQUAL(info.flags, CKF_TOKEN_PRESENT);
    CU_ASSERT_EQUAL(kl_token_slot_info(kl_token_at(1), &info), KL_OK);
    CU_ASSERT_EQUAL(memcmp(info.slotDescription, "keyladder token other ", 22), 0);
    CU_ASSERT_EQUAL(kl_module_close(), KL_OK);
    CU_ASSERT_EQUAL(kl_token_count(), 0);
    sandbox_end();
}

static void without_a_usable_configuration_it_opens_and_has_no_slot(void)
{
    static const char *const broken[] = {
        "[token \"demo\"]\nstore = nonsense\nroots = local\n",
        "[token \"demo\"]\nroots = nobody\n",
        "no section at all\n",
        "[log]\ntarget = file:relative\n",
        "[module]\nfork = sometimes\n",
    };
    char nowhere[] = "/nonexistent/keyladder.conf";

    sandbox_begin();
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        sandbox_configure(broken[i]);
        CU_ASSERT_EQUAL(kl_module_open(), KL_OK);
        CU_ASSERT_EQUAL(kl_token_count(), 0);
        CU_ASSERT_PTR_NULL(kl_token_at(0));
        CU_ASSERT_EQUAL(kl_module_close(), KL_OK);
    }
    setenv("KEYLADDER_CONF", nowhere, 1);
    CU_ASSERT_EQUAL(kl_module_open(), KL_OK);
    CU_ASSERT_EQUAL(kl_token_count(), 0);
    CU_ASSERT_EQUAL(kl_module_close(), KL_OK);
    sandbox_end();
}

/* --- calls that are inside --------------------------------------------- */

static _Atomic int step;

static void *close_it(void *unused)
{
    (void)unused;
    expect(kl_module_close() == KL_OK);
    atomic_store(&step, 1);
    return NULL;
}

static void closing_waits_for_who_is_inside_and_lets_nobody_in(void)
{
    pthread_t closer;

    sandbox_begin();
    atomic_store(&step, 0);
    CU_ASSERT_EQUAL_FATAL(kl_module_open(), KL_OK);
    CU_ASSERT_TRUE_FATAL(kl_module_enter());
    CU_ASSERT_EQUAL_FATAL(pthread_create(&closer, NULL, close_it, NULL), 0);
    while (kl_module_is_open()) pause_a_moment();
    CU_ASSERT_FALSE(kl_module_enter());
    pause_a_moment();
    CU_ASSERT_EQUAL(atomic_load(&step), 0);
    CU_ASSERT_EQUAL(kl_token_count(), 2);
    kl_module_leave();
    pthread_join(closer, NULL);
    CU_ASSERT_EQUAL(atomic_load(&wrong), 0);
    CU_ASSERT_EQUAL(atomic_load(&step), 1);
    CU_ASSERT_EQUAL(kl_token_count(), 0);
    sandbox_end();
}

static void *open_it(void *unused)
{
    (void)unused;
    expect(kl_module_open() == KL_OK);
    return NULL;
}

static void opening_waits_for_a_closing_that_waits(void)
{
    pthread_t closer, opener;

    sandbox_begin();
    CU_ASSERT_EQUAL_FATAL(kl_module_open(), KL_OK);
    CU_ASSERT_TRUE_FATAL(kl_module_enter());
    CU_ASSERT_EQUAL_FATAL(pthread_create(&closer, NULL, close_it, NULL), 0);
    while (kl_module_is_open()) pause_a_moment();
    CU_ASSERT_EQUAL_FATAL(pthread_create(&opener, NULL, open_it, NULL), 0);
    pause_a_moment();
    CU_ASSERT_FALSE(kl_module_is_open());
    kl_module_leave();
    pthread_join(closer, NULL);
    pthread_join(opener, NULL);
    CU_ASSERT_EQUAL(atomic_load(&wrong), 0);
    CU_ASSERT_TRUE(kl_module_is_open());
    CU_ASSERT_EQUAL(kl_token_count(), 2);
    CU_ASSERT_EQUAL(kl_module_close(), KL_OK);
    sandbox_end();
}

static void closing_waits_for_a_sessions_call(void)
{
    struct kl_token *token = token_begin();
    CK_SESSION_HANDLE handle;
    struct kl_session *session;
    pthread_t closer;

    atomic_store(&step, 0);
    CU_ASSERT_EQUAL_FATAL(kl_session_open(token, CKF_SERIAL_SESSION, &handle), KL_OK);
    CU_ASSERT_EQUAL_FATAL(kl_session_enter(handle, &session), KL_OK);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&closer, NULL, close_it, NULL), 0);
    while (kl_module_is_open()) pause_a_moment();
    pause_a_moment();
    CU_ASSERT_EQUAL(atomic_load(&step), 0);
    CU_ASSERT_PTR_EQUAL(session->token, token);
    kl_session_leave(session);
    pthread_join(closer, NULL);
    CU_ASSERT_EQUAL(atomic_load(&wrong), 0);
    CU_ASSERT_EQUAL(kl_session_enter(handle, &session), KL_SESSION);
    sandbox_end();
}

enum { THREADS = 8, ROUNDS = 200 };

static void *come_and_go(void *unused)
{
    (void)unused;
    while (atomic_load(&step) == 0) {
        if (!kl_module_enter()) continue;
        /* What is inside finds the slots, whatever others do. */
        expect(kl_token_count() == 2 && kl_token_at(1) != NULL);
        kl_module_leave();
    }
    return NULL;
}

static void it_opens_and_closes_under_calls(void)
{
    pthread_t threads[THREADS];

    sandbox_begin();
    atomic_store(&step, 0);
    for (size_t i = 0; i < THREADS; i++) CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, come_and_go, NULL), 0);
    for (size_t i = 0; i < ROUNDS; i++) {
        CU_ASSERT_EQUAL_FATAL(kl_module_open(), KL_OK);
        CU_ASSERT_EQUAL_FATAL(kl_module_close(), KL_OK);
    }
    atomic_store(&step, 1);
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CU_ASSERT_EQUAL(atomic_load(&wrong), 0);
    sandbox_end();
}

/* --- forked children --------------------------------------------------- */

static CK_SESSION_HANDLE parents_handle;

static int begins_anew(void)
{
    struct kl_session *session;
    CK_SESSION_HANDLE handle;

    UNIT_NEED(!kl_module_is_open());
    UNIT_NEED(!kl_module_enter());
    UNIT_NEED(kl_module_close() == KL_NOT_INITIALIZED);
    UNIT_NEED(kl_module_open() == KL_OK);
    UNIT_NEED(kl_module_open() == KL_INITIALIZED);
    UNIT_NEED(kl_session_enter(parents_handle, &session) == KL_SESSION);
    UNIT_NEED(kl_session_open(kl_token_at(0), CKF_SERIAL_SESSION, &handle) == KL_OK);
    UNIT_NEED(handle != parents_handle);
    UNIT_NEED(kl_ladder_role(kl_token_at(0)->ladder) == KL_ROLE_NONE);
    UNIT_NEED(kl_token_login(kl_token_at(0), CKU_USER, user_pin()) == KL_OK);
    UNIT_NEED(kl_module_close() == KL_OK);
    return 0;
}

static int in_a_grandchild(void)
{
    UNIT_NEED(kl_module_open() == KL_OK);
    UNIT_NEED(kl_session_open(kl_token_at(0), CKF_SERIAL_SESSION, &parents_handle) == KL_OK);
    return unit_in_child(begins_anew);
}

static void a_child_begins_anew_and_the_parent_goes_on(void)
{
    struct kl_token *token = token_begin();
    struct kl_session *session;

    CU_ASSERT_EQUAL_FATAL(kl_session_open(token, CKF_SERIAL_SESSION, &parents_handle), KL_OK);
    CU_ASSERT_EQUAL_FATAL(kl_token_login(token, CKU_USER, user_pin()), KL_OK);
    CU_ASSERT_EQUAL(unit_in_child(begins_anew), 0);
    CU_ASSERT_EQUAL(unit_in_child(in_a_grandchild), 0);
    CU_ASSERT_TRUE(kl_module_is_open());
    CU_ASSERT_EQUAL(kl_ladder_role(token->ladder), KL_ROLE_USER);
    CU_ASSERT_EQUAL_FATAL(kl_session_enter(parents_handle, &session), KL_OK);
    kl_session_leave(session);
    token_end();
}

/* Takes every lock that a call may hold, and keeps them until told. */
static void *hold_everything(void *of)
{
    struct kl_token *token = of;
    struct kl_session *session;

    expect(kl_module_enter());
    expect(kl_session_enter(parents_handle, &session) == KL_OK);
    kl_token_begin_change(token);
    pthread_mutex_lock(&token->lock);
    atomic_store(&step, 1);
    while (atomic_load(&step) == 1) pause_a_moment();
    pthread_mutex_unlock(&token->lock);
    kl_token_end_change(token);
    kl_session_leave(session);
    kl_module_leave();
    return NULL;
}

static void a_child_begins_anew_whatever_is_locked_in_the_parent(void)
{
    struct kl_token *token = token_begin();
    pthread_t holder;

    CU_ASSERT_EQUAL_FATAL(kl_session_open(token, CKF_SERIAL_SESSION, &parents_handle), KL_OK);
    atomic_store(&step, 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&holder, NULL, hold_everything, token), 0);
    while (atomic_load(&step) == 0) pause_a_moment();
    CU_ASSERT_EQUAL(unit_in_child(begins_anew), 0);
    atomic_store(&step, 2);
    pthread_join(holder, NULL);
    CU_ASSERT_EQUAL(atomic_load(&wrong), 0);
    token_end();
}

static _Atomic int opened, refused;

static void *race(void *unused)
{
    enum kl_rc rc = kl_module_open();

    (void)unused;
    if (rc == KL_OK) atomic_fetch_add(&opened, 1);
    if (rc == KL_INITIALIZED) atomic_fetch_add(&refused, 1);
    return NULL;
}

static int race_in_a_child(void)
{
    pthread_t threads[THREADS];

    for (size_t i = 0; i < THREADS; i++) UNIT_NEED(pthread_create(&threads[i], NULL, race, NULL) == 0);
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    UNIT_NEED(atomic_load(&opened) == 1 && atomic_load(&refused) == THREADS - 1);
    UNIT_NEED(kl_token_count() == 2);
    return 0;
}

static void of_a_childs_threads_exactly_one_opens(void)
{
    token_begin();
    for (size_t i = 0; i < 20; i++) CU_ASSERT_EQUAL(unit_in_child(race_in_a_child), 0);
    token_end();
}

static void *open_and_close(void *unused)
{
    (void)unused;
    while (atomic_load(&step) == 0) {
        expect(kl_module_open() == KL_OK);
        expect(kl_module_close() == KL_OK);
    }
    return NULL;
}

static int opens_in_time(void)
{
    /* SIGALRM ends a child that hangs. */
    alarm(20);
    UNIT_NEED(!kl_module_is_open());
    UNIT_NEED(kl_module_open() == KL_OK);
    UNIT_NEED(kl_token_count() == 2);
    UNIT_NEED(kl_module_close() == KL_OK);
    /* Nobody is to look for leaks here: what the parent's other thread was holding is lost to its child. */
    raise(SIGKILL);
    return 1;
}

static void a_fork_in_the_middle_of_opening_or_closing_does_no_harm(void)
{
    pthread_t opener;

    sandbox_begin();
    atomic_store(&step, 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&opener, NULL, open_and_close, NULL), 0);
    for (int i = 0; i < FORKS_AMONG_THREADS; i++) CU_ASSERT_EQUAL(unit_in_child(opens_in_time), 256 + SIGKILL);
    atomic_store(&step, 1);
    pthread_join(opener, NULL);
    CU_ASSERT_EQUAL(atomic_load(&wrong), 0);
    sandbox_end();
}

/* --- texts ------------------------------------------------------------- */

static void a_text_is_padded_with_blanks(void)
{
    char out[8];

    memset(out, 'x', sizeof out);
    kl_text_pad(out, 7, "abc");
    CU_ASSERT_EQUAL(memcmp(out, "abc    x", 8), 0);
    kl_text_pad(out, 7, "");
    CU_ASSERT_EQUAL(memcmp(out, "       x", 8), 0);
    kl_text_pad(out, 7, "abcdefg");
    CU_ASSERT_EQUAL(memcmp(out, "abcdefgx", 8), 0);
}

static void a_text_that_is_too_long_is_cut_between_characters(void)
{
    char out[8];

    memset(out, 'x', sizeof out);
    kl_text_pad(out, 5, "abcdefgh");
    CU_ASSERT_EQUAL(memcmp(out, "abcdexxx", 8), 0);
    kl_text_pad(out, 5, "abcd\xc3\xa9");
    CU_ASSERT_EQUAL(memcmp(out, "abcd xxx", 8), 0);
}

UNIT_MAIN("token/module", UNIT(without_what_it_needs_it_does_not_open), UNIT(opening_starts_no_openssl_and_closing_stops_none),
          UNIT(nothing_is_open_before_the_first_open), UNIT(it_opens_once_and_closes_once),
          UNIT(slots_come_in_the_order_of_the_configuration), UNIT(without_a_usable_configuration_it_opens_and_has_no_slot),
          UNIT(closing_waits_for_who_is_inside_and_lets_nobody_in), UNIT(closing_waits_for_a_sessions_call),
          UNIT(opening_waits_for_a_closing_that_waits), UNIT(it_opens_and_closes_under_calls),
          UNIT(a_child_begins_anew_and_the_parent_goes_on), UNIT(a_child_begins_anew_whatever_is_locked_in_the_parent),
          UNIT(of_a_childs_threads_exactly_one_opens), UNIT(a_fork_in_the_middle_of_opening_or_closing_does_no_harm),
          UNIT(a_text_is_padded_with_blanks), UNIT(a_text_that_is_too_long_is_cut_between_characters),
          UNIT(without_handlers_it_does_not_promise_to_inherit))
