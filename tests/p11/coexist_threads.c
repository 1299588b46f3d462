/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Threads of the host's that are cancelled, end early, or have little stack. */
#include "coexist.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- cancelled ---- */

static atomic_uint rounds;

static void *work_until_cancelled(void *use)
{
    CK_SESSION_HANDLE session = open_on(((struct use *)use)->slot, CKF_RW_SESSION);

    for (;;) {
        CK_OBJECT_HANDLE shared = find_one(session, "kept"), key = key_make(session, rounds++ % 4 ? "edS" : "edST");
        CK_BYTE sealed[64], out[64];
        CK_ULONG len = sizeof out;
        size_t sealed_len = seal(session, shared, "cancel", 6, NULL, sealed);

        EXPECT(unseal(session, shared, sealed, sealed_len, NULL, out, &len), CKR_OK);
        NEED(p11->C_DestroyObject(session, key));
        pthread_testcancel();
    }
}

TEST(a_thread_that_is_cancelled_in_a_call_leaves_no_lock_held)
{
    struct use use = use_begin();
    uint64_t random = 42;
    char label[32];

    for (unsigned round = 0; round < 100 && !failures; round++) {
        pthread_t threads[2];
        unsigned before = rounds;

        for (size_t i = 0; i < COUNT(threads); i++) pthread_create(&threads[i], NULL, work_until_cancelled, &use);
        while (rounds < before + 2) sched_yield();
        usleep((useconds_t)(rng_next(&random) % 4000));
        for (size_t i = 0; i < COUNT(threads); i++) pthread_cancel(threads[i]);
        for (size_t i = 0; i < COUNT(threads); i++) {
            void *how = NULL;

            pthread_join(threads[i], &how);
            CHECK(how == PTHREAD_CANCELED);
        }
        snprintf(label, sizeof label, "round %u", round);
        if (round % 10 == 0) use_on(&use, label);
    }
    CHECK(rounds > 100);
    NEED(p11->C_CloseAllSessions(use.slot));
    stop();
    use_again(&use, "round 90");
}

static void *cancel_itself(void *use)
{
    CK_SESSION_HANDLE session = ((struct use *)use)->session;
    int state = -1;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    CHECK(state == PTHREAD_CANCEL_ENABLE);
    use_on(use, "disabled");
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
    CHECK(state == PTHREAD_CANCEL_DISABLE);
    /* It is on its way when the call begins: the call is not cut short, and ends like any other. */
    pthread_cancel(pthread_self());
    key_make(session, "edST");
    rounds = 7;
    pthread_testcancel();
    return NULL;
}

TEST(a_call_puts_cancelling_off_and_leaves_the_threads_setting_as_it_was)
{
    struct use use = use_begin();
    pthread_t thread;
    void *how = NULL;

    pthread_create(&thread, NULL, cancel_itself, &use);
    pthread_join(thread, &how);
    CHECK(how == PTHREAD_CANCELED && rounds == 7);
    use_on(&use, "after");
}

/* ---- gone ---- */

static void *leave_a_session(void *use)
{
    CK_SESSION_HANDLE session = open_on(((struct use *)use)->slot, CKF_RW_SESSION);
    CK_BYTE iv[12] = "left behind.";

    NEED(gcm_init(session, true, find_one(session, "kept"), iv, 12, NULL, 0, 128));
    return NULL;
}

TEST(threads_that_end_with_sessions_open_leave_them_to_be_closed)
{
    struct use use = use_begin();
    CK_TOKEN_INFO info;

    for (unsigned i = 0; i < 300; i++) {
        pthread_t thread;

        if (pthread_create(&thread, NULL, leave_a_session, &use) != 0) die_at(__FILE__, __LINE__, "no thread");
        pthread_join(thread, NULL);
    }
    NEED(p11->C_GetTokenInfo(use.slot, &info));
    CHECK(info.ulSessionCount == 301);
    use_on(&use, "after");
    NEED(p11->C_CloseAllSessions(use.slot));
    NEED(p11->C_GetTokenInfo(use.slot, &info));
    CHECK(info.ulSessionCount == 0);
    stop();
    use_again(&use, "after");
}

/* ---- with little stack ---- */

enum { PAINT = 0xA5, DOCUMENTED = 128 * 1024, ROOMY = 8 << 20 };

static void *make_and_exercise(void *unused)
{
    (void)unused;
    start();
    token_make(slot_blank(), TOKEN_LABEL);
    stop();
    exercise("stack");
    return NULL;
}

/* Runs it on a stack of that size, which may not be left; how much of it was used. */
static size_t stack_used_by(void *(*run)(void *), size_t size)
{
    long page = sysconf(_SC_PAGESIZE);
    CK_BYTE *stack = mmap(NULL, size + 2 * (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_attr_t attributes;
    pthread_t thread;
    size_t untouched = 0;

    if (stack == MAP_FAILED || mprotect(stack, (size_t)page, PROT_NONE)) die_at(__FILE__, __LINE__, "mmap: %s", strerror(errno));
    stack += page;
    memset(stack, PAINT, size);
    pthread_attr_init(&attributes);
    if (pthread_attr_setstack(&attributes, stack, size) || pthread_create(&thread, &attributes, run, NULL))
        die_at(__FILE__, __LINE__, "no thread with a stack of %zu bytes", size);
    pthread_join(thread, NULL);
    while (untouched < size && stack[untouched] == PAINT) untouched++;
    return size - untouched;
}

static void *use_64_kib(void *unused)
{
    volatile CK_BYTE room[64 * 1024];

    room[0] = room[sizeof room - 1] = 1;
    return unused;
}

TEST(a_thread_needs_no_more_stack_than_the_manual_says)
{
    size_t used;

    if (is_sanitized()) skip("a sanitizer's frames are larger");
    /* The measure measures. */
    CHECK(stack_used_by(use_64_kib, ROOMY) > 64 * 1024);
    used = stack_used_by(make_and_exercise, ROOMY);
    printf("    %zu bytes of stack were used\n", used);
    CHECK(used > 4096 && used <= DOCUMENTED);
}

static void *exercise_in_little(void *unused)
{
    exercise("little");
    return unused;
}

TEST(a_thread_with_that_much_stack_does_everything)
{
    if (is_sanitized()) skip("a sanitizer's frames are larger");
    stack_used_by(exercise_in_little, DOCUMENTED);
}

const struct test thread_tests[] = {
    T(a_thread_that_is_cancelled_in_a_call_leaves_no_lock_held, OURS | SLOW),
    T(a_call_puts_cancelling_off_and_leaves_the_threads_setting_as_it_was, OURS),
    T(threads_that_end_with_sessions_open_leave_them_to_be_closed, OURS),
    T(a_thread_needs_no_more_stack_than_the_manual_says, OURS | BLANK),
    T(a_thread_with_that_much_stack_does_everything, OURS),
    { NULL, NULL, 0 },
};
