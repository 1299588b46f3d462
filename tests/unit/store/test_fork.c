/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Forks, in the middle of whatever the threads of the parent are doing. */
#include "store/store.h"

#include "../unit.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>

#include "fixture.h"

enum { THREADS = 4, FORKS = 120 };

static struct fixture f;
static atomic_bool stop;
static atomic_uint next;
static atomic_uint failures;

static void *write_and_read(void *user)
{
    (void)user;
    while (!atomic_load(&stop)) {
        struct kl_row row = fixture_row(atomic_fetch_add(&next, 1));

        if (fixture_add(f.store, &row) != KL_OK || !fixture_has(f.store, &row)) {
            atomic_fetch_add(&failures, 1);
            fprintf(stderr, "in the parent: %s\n", kl_fail_words());
        }
    }
    return NULL;
}

static unsigned child_number;

/* As a module that was loaded before the fork and is initialised again after it. */
static int open_anew_and_write(void)
{
    static struct fixture own;
    struct kl_row row = fixture_row(1000000 + child_number);

    /* A child that hangs is a failure, not a test without an end. */
    alarm(60);
    own = f;
    fixture_abandon(&own);
    UNIT_NEED(fixture_open(&own) == KL_OK);
    UNIT_NEED(fixture_add(own.store, &row) == KL_OK);
    UNIT_NEED(fixture_has(own.store, &row));
    if (child_number % 2 == 0) fixture_close(&own);
    /* So that nobody looks for what threads of the parent held, and takes it for lost. */
    raise(SIGKILL);
    return 0;
}

static int in_child_made_by_underscore_fork(int (*body)(void))
{
    int status = 0;
    pid_t child = _Fork();

    if (child == 0) _exit(body());
    if (child < 0 || waitpid(child, &status, 0) != child) return -1;
    return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void fork_again_and_again(int (*make)(int (*)(void)))
{
    /* The allocator of the address sanitizer, and all of the race finder, do not come whole through a fork among threads. */
    const size_t running = IS_WATCHED ? 0 : THREADS;
    pthread_t threads[THREADS];
    uint64_t rows = 0;

    fixture_begin(&f);
    atomic_store(&stop, false);
    atomic_store(&next, 0);
    atomic_store(&failures, 0);
    for (size_t i = 0; i < running; i++) CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, write_and_read, NULL), 0);
    for (child_number = 0; child_number < FORKS; child_number++) CU_ASSERT_EQUAL(make(open_anew_and_write), 256 + SIGKILL);
    atomic_store(&stop, true);
    for (size_t i = 0; i < running; i++) pthread_join(threads[i], NULL);
    CU_ASSERT_EQUAL(atomic_load(&failures), 0);
    CU_ASSERT_EQUAL(fixture_check(f.store, &rows), 0);
    CU_ASSERT_EQUAL(rows, atomic_load(&next) + FORKS);
    for (unsigned i = 0; i < FORKS; i++) {
        struct kl_row row = fixture_row(1000000 + i);

        CU_ASSERT(fixture_has(f.store, &row));
    }
    printf("(%u rows by the parent meanwhile) ", atomic_load(&next));
    fixture_end(&f);
}

static void children_of_a_busy_parent_open_the_store_and_nothing_is_lost(void)
{
    fork_again_and_again(unit_in_child);
}

static void children_made_without_any_handler_do_too(void)
{
    fork_again_and_again(in_child_made_by_underscore_fork);
}

/* --- what a child must not do --- */

static int use_the_parents_store(void)
{
    struct kl_txn *txn = NULL;
    uint32_t used;
    size_t count;

    UNIT_NEED(kl_store_begin(f.store, &txn) == KL_STORE);
    UNIT_NEED(fixture_find(f.store, "label-1", &count) == KL_STORE);
    UNIT_NEED(kl_store_tries_take(f.store, "pin/so", 3, &used) == KL_STORE);
    kl_store_close(f.store);
    return 0;
}

static void a_store_of_the_parents_is_refused_in_the_child_and_left_alone(void)
{
    size_t count = 0;

    fixture_begin(&f);
    CU_ASSERT_EQUAL(fixture_add_many(f.store, 0, 10), KL_OK);
    CU_ASSERT_EQUAL(unit_in_child(use_the_parents_store), 0);
    CU_ASSERT_EQUAL(in_child_made_by_underscore_fork(use_the_parents_store), 0);
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-1", &count), KL_OK);
    CU_ASSERT_EQUAL(count, 1);
    CU_ASSERT_EQUAL(fixture_add_many(f.store, 10, 10), KL_OK);
    fixture_end(&f);
}

static uint64_t mark_before;
static int tell[2], hear[2];

static int look_at_the_mark(void)
{
    char byte;

    kl_store_abandon(f.store);
    kl_store_abandon(f.store);
    UNIT_NEED(kl_store_mark(f.store) == mark_before);
    UNIT_NEED(write(tell[1], "x", 1) == 1 && read(hear[0], &byte, 1) == 1);
    UNIT_NEED(kl_store_mark(f.store) > mark_before);
    return 0;
}

static void *commit_when_told(void *user)
{
    char byte;

    if (read(tell[0], &byte, 1) != 1 || fixture_add_many(f.store, 10, 1) != KL_OK || write(hear[1], "x", 1) != 1) return NULL;
    return user;
}

static void an_abandoned_stores_mark_still_tells_of_commits(void)
{
    pthread_t thread;
    void *done = NULL;

    fixture_begin(&f);
    CU_ASSERT_EQUAL(fixture_add_many(f.store, 0, 10), KL_OK);
    mark_before = kl_store_mark(f.store);
    CU_ASSERT_EQUAL_FATAL(pipe(tell), 0);
    CU_ASSERT_EQUAL_FATAL(pipe(hear), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, commit_when_told, &f), 0);
    CU_ASSERT_EQUAL(unit_in_child(look_at_the_mark), 0);
    pthread_join(thread, &done);
    CU_ASSERT_PTR_EQUAL(done, &f);
    fixture_end(&f);
}

/* The parent holds the write lock: a child that believed to have inherited it would write at the same time. */
static int wait_for_the_parent(void)
{
    struct fixture own = f;
    struct kl_txn *txn = NULL;

    fixture_abandon(&own);
    UNIT_NEED(kl_store_open(own.uri, KL_STORE_EXISTING, INT64_C(300000000), &own.store) == KL_OK);
    UNIT_NEED(kl_store_unlock(own.store, &own.key, kl_view_text(FIXTURE_SERIAL)) == KL_OK);
    UNIT_NEED(kl_store_begin(own.store, &txn) == KL_STORE_BUSY);
    UNIT_NEED(txn == NULL);
    kl_store_close(own.store);
    return 0;
}

static void a_child_inherits_no_lock_of_its_parents_transaction(void)
{
    struct kl_txn *txn = NULL;
    struct kl_row row = fixture_row(77);
    struct kl_row old = fixture_row(1);

    fixture_begin(&f);
    CU_ASSERT_EQUAL(fixture_add_many(f.store, 0, 10), KL_OK);
    CU_ASSERT_EQUAL(kl_store_begin(f.store, &txn), KL_OK);
    CU_ASSERT_EQUAL(kl_txn_add(txn, &row), KL_OK);
    /* From the thread whose transaction it is: nothing may hang. */
    CU_ASSERT_EQUAL(unit_in_child(wait_for_the_parent), 0);
    CU_ASSERT_EQUAL(kl_txn_remove(txn, old.id, 1), KL_OK);
    CU_ASSERT_EQUAL(in_child_made_by_underscore_fork(wait_for_the_parent), 0);
    CU_ASSERT_EQUAL(kl_txn_commit(txn, NULL), KL_OK);
    CU_ASSERT(fixture_has(f.store, &row));
    CU_ASSERT_EQUAL(fixture_check(f.store, NULL), 0);
    fixture_end(&f);
}

/* The child's own opening and closing must not free what the parent holds. */
static int open_and_close(void)
{
    struct fixture own = f;

    fixture_abandon(&own);
    UNIT_NEED(fixture_open(&own) == KL_OK);
    fixture_close(&own);
    return 0;
}

static int write_while_the_parent_reads(void)
{
    struct fixture own = f;

    fixture_abandon(&own);
    UNIT_NEED(fixture_open(&own) == KL_OK);
    UNIT_NEED(fixture_add_many(own.store, 5000, 400) == KL_OK);
    fixture_close(&own);
    return 0;
}

static void a_child_that_closes_its_own_leaves_the_parents_locks(void)
{
    struct kl_txn *txn = NULL;
    struct kl_row row = fixture_row(77);

    fixture_begin(&f);
    CU_ASSERT_EQUAL(kl_store_begin(f.store, &txn), KL_OK);
    CU_ASSERT_EQUAL(kl_txn_add(txn, &row), KL_OK);
    CU_ASSERT_EQUAL(unit_in_child(open_and_close), 0);
    CU_ASSERT_EQUAL(unit_in_child(wait_for_the_parent), 0);
    CU_ASSERT_EQUAL(kl_txn_commit(txn, NULL), KL_OK);
    CU_ASSERT_EQUAL(unit_in_child(write_while_the_parent_reads), 0);
    CU_ASSERT(fixture_has(f.store, &row));
    row = fixture_row(5000);
    CU_ASSERT(fixture_has(f.store, &row));
    CU_ASSERT_EQUAL(fixture_check(f.store, NULL), 0);
    fixture_end(&f);
}

static int grandchild(void)
{
    static struct fixture parents;

    parents = f;
    UNIT_NEED(parents.store != NULL);
    fixture_abandon(&f);
    UNIT_NEED(fixture_open(&f) == KL_OK);
    UNIT_NEED(unit_in_child(open_and_close) == 0);
    UNIT_NEED(fixture_add_many(f.store, 100, 3) == KL_OK);
    fixture_close(&f);
    return 0;
}

static void children_of_children_are_children_too(void)
{
    uint64_t rows = 0;

    fixture_begin(&f);
    CU_ASSERT_EQUAL(unit_in_child(grandchild), 0);
    CU_ASSERT_EQUAL(fixture_check(f.store, &rows), 0);
    CU_ASSERT_EQUAL(rows, 3);
    fixture_end(&f);
}

static void the_parent_may_close_and_open_again_while_a_child_lives(void)
{
    pid_t child;

    fixture_begin(&f);
    fflush(NULL);
    child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    fixture_close(&f);
    CU_ASSERT_EQUAL(fixture_open(&f), KL_OK);
    CU_ASSERT_EQUAL(fixture_add_many(f.store, 0, 3), KL_OK);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    fixture_end(&f);
}

static int64_t now(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * INT64_C(1000000000) + at.tv_nsec;
}

static int nothing(void)
{
    raise(SIGKILL);
    return 0;
}

/* A transaction that stays open, or a writer of another process that is waited for, must not hold up a fork. */
static void a_fork_does_not_wait_for_transactions(void)
{
    struct kl_txn *txn = NULL;
    pthread_t waiting;
    int64_t begun;

    fixture_begin(&f);
    atomic_store(&stop, true);
    CU_ASSERT_EQUAL(kl_store_begin(f.store, &txn), KL_OK);
    atomic_store(&stop, false);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&waiting, NULL, write_and_read, NULL), 0);
    usleep(20000);
    begun = now();
    CU_ASSERT_EQUAL(unit_in_child(nothing), 256 + SIGKILL);
    CU_ASSERT(now() - begun < INT64_C(3000000000));
    kl_txn_abort(txn);
    atomic_store(&stop, true);
    pthread_join(waiting, NULL);
    fixture_end(&f);
}

UNIT_MAIN("store/fork", UNIT(children_of_a_busy_parent_open_the_store_and_nothing_is_lost), UNIT(children_made_without_any_handler_do_too),
          UNIT(a_store_of_the_parents_is_refused_in_the_child_and_left_alone), UNIT(an_abandoned_stores_mark_still_tells_of_commits),
          UNIT(a_child_inherits_no_lock_of_its_parents_transaction), UNIT(a_child_that_closes_its_own_leaves_the_parents_locks),
          UNIT(children_of_children_are_children_too), UNIT(the_parent_may_close_and_open_again_while_a_child_lives),
          UNIT(a_fork_does_not_wait_for_transactions))
