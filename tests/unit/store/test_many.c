/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Many processes with many threads at one store, and somebody with SQLite's own
 * files who writes the log back meanwhile: every commit that was said to be
 * there is there, nothing else is, and nobody is told that the store is busy.
 * KEYLADDER_STRESS=seconds makes it longer.
 */
#include "store/store.h"

#include "../unit.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>

#include "fixture.h"

enum { PROCESSES = 8, THREADS = 4, ROWS_EACH = 64, NAMED = PROCESSES * THREADS };

/* What each thread knows of its own rows; shared with the process that checks it all. */
struct thread {
    uint64_t generations[ROWS_EACH]; /* 0: not there */
    uint64_t commits;
    uint64_t reads;
    int64_t longest; /* that one transaction took, ns */
    unsigned failures;
    char words[256];
};

static struct thread *threads;
static struct fixture f;
static int64_t end;

static int64_t now(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * INT64_C(1000000000) + at.tv_nsec;
}

static void fail(struct thread *self, const char *doing)
{
    if (self->failures++ == 0) snprintf(self->words, sizeof self->words, "%s: %s", doing, kl_fail_words());
}

static unsigned number_of(size_t who, unsigned at)
{
    return (unsigned)who * 1000 + at;
}

static void write_some(struct thread *self, size_t who, unsigned *random)
{
    struct kl_txn *txn = NULL;
    unsigned steps = 1 + ((*random = *random * 1103515245 + 12345) >> 16) % 4;
    unsigned first = ((*random = *random * 1103515245 + 12345) >> 16) % ROWS_EACH;
    uint64_t planned[4];
    int64_t begun = now();
    enum kl_rc rc = kl_store_begin(f.store, &txn);

    if (rc != KL_OK) {
        fail(self, "begin");
        return;
    }
    for (unsigned i = 0; i < steps && rc == KL_OK; i++) {
        unsigned at = (first + i) % ROWS_EACH;
        struct kl_row row = fixture_row(number_of(who, at));

        row.generation = planned[i] = self->generations[at] + 1;
        if (row.generation == 1) {
            rc = kl_txn_add(txn, &row);
        } else if (row.generation % 4 == 0) {
            rc = kl_txn_remove(txn, row.id, row.generation - 1);
            planned[i] = 0;
        } else {
            rc = kl_txn_change(txn, &row);
        }
    }
    if (rc != KL_OK) {
        fail(self, "write");
        kl_txn_abort(txn);
        return;
    }
    rc = kl_txn_commit(txn, NULL);
    if (rc != KL_OK) {
        fail(self, "commit");
        return;
    }
    for (unsigned i = 0; i < steps; i++) self->generations[(first + i) % ROWS_EACH] = planned[i];
    self->commits++;
    if (now() - begun > self->longest) self->longest = now() - begun;
}

static void read_some(struct thread *self, size_t who, unsigned *random)
{
    unsigned at = ((*random = *random * 1103515245 + 12345) >> 16) % ROWS_EACH;
    struct kl_row row = fixture_row(number_of(who, at));
    struct kl_query query = { .by = KL_BY_LABEL, .value = row.label };
    struct kl_cursor cursor = { 0 };
    struct kl_page page = { 0 };

    if (kl_store_read(f.store, &query, &cursor, &page) != KL_OK) {
        fail(self, "read");
    } else if (page.count != (self->generations[at] != 0) || (page.count == 1 && page.rows[0].generation != self->generations[at])) {
        fail(self, "a row is not as it was left");
    }
    self->reads++;
    kl_page_clear(&page);
}

static void *work(void *user)
{
    size_t who = (size_t)((struct thread *)user - threads);
    unsigned random = (unsigned)who * 7919 + 1;

    /* On a machine so slow that the time is over before it came to run, once. */
    do {
        write_some(user, who, &random);
        for (int i = 0; i < 3; i++) read_some(user, who, &random);
    } while (now() < end);
    return NULL;
}

static void run_process(size_t process)
{
    pthread_t running[THREADS];

    alarm(600);
    fixture_abandon(&f);
    if (fixture_open(&f) != KL_OK) {
        fprintf(stderr, "not opened: %s\n", kl_fail_words());
        _exit(1);
    }
    for (size_t i = 0; i < THREADS; i++) {
        if (pthread_create(&running[i], NULL, work, &threads[process * THREADS + i]) != 0) _exit(2);
    }
    for (size_t i = 0; i < THREADS; i++) pthread_join(running[i], NULL);
    fixture_close(&f);
    _exit(0);
}

/* Somebody from outside: looks, writes the log back, comes and goes; each at least once, however slow the machine. */
static void run_outsider(void)
{
    unsigned rounds = 0;

    alarm(600);
    while (now() < end || rounds < 2) {
        sqlite3 *db = NULL;
        char *words = NULL;

        if (sqlite3_open_v2(f.path, &db, SQLITE_OPEN_READWRITE, "unix") != SQLITE_OK) _exit(1);
        sqlite3_busy_timeout(db, 10000);
        if (sqlite3_exec(db,
                         rounds % 2 == 0 ? "PRAGMA wal_checkpoint(TRUNCATE)"
                                         : "BEGIN; SELECT count(*), sum(length(metadata)) FROM encryption_keys; COMMIT",
                         NULL, NULL, &words) != SQLITE_OK) {
            fprintf(stderr, "outside: %s\n", words);
            _exit(2);
        }
        if (sqlite3_close(db) != SQLITE_OK) _exit(3);
        rounds++;
        usleep(20000);
    }
    _exit(0);
}

/* Opens and closes, so that the log is sometimes without anybody. */
static void run_visitor(void)
{
    alarm(600);
    fixture_abandon(&f);
    while (now() < end) {
        if (fixture_open(&f) != KL_OK) {
            fprintf(stderr, "visitor: %s\n", kl_fail_words());
            _exit(1);
        }
        fixture_close(&f);
        usleep(3000);
    }
    _exit(0);
}

static void check_all(void)
{
    uint64_t rows = 0;
    uint64_t expected = 0;
    uint64_t commits = 0;
    uint64_t reads = 0;
    uint64_t fewest = UINT64_MAX;
    int64_t longest = 0;

    CU_ASSERT_EQUAL_FATAL(fixture_open(&f), KL_OK);
    for (size_t who = 0; who < NAMED; who++) {
        const struct thread *thread = &threads[who];

        if (thread->failures > 0) {
            fprintf(stderr, "thread %zu, %u failures, first %s\n", who, thread->failures, thread->words);
            CU_FAIL("a call failed");
        }
        for (unsigned at = 0; at < ROWS_EACH; at++) {
            struct kl_row row = fixture_row(number_of(who, at));

            row.generation = thread->generations[at];
            CU_ASSERT_EQUAL(fixture_has(f.store, &row), row.generation != 0);
            if (row.generation != 0) expected++;
        }
        commits += thread->commits;
        reads += thread->reads;
        if (thread->commits < fewest) fewest = thread->commits;
        if (thread->longest > longest) longest = thread->longest;
    }
    CU_ASSERT_EQUAL(fixture_check(f.store, &rows), 0);
    CU_ASSERT_EQUAL(rows, expected);
    CU_ASSERT(fewest > 0);
    printf("\n    %llu commits, %llu reads by %d threads in %d processes; fewest by one thread %llu, longest %.0f ms ",
           (unsigned long long)commits, (unsigned long long)reads, NAMED, PROCESSES, (unsigned long long)fewest, (double)longest / 1e6);
}

static void every_commit_of_many_processes_is_there(void)
{
    const char *seconds = getenv("KEYLADDER_STRESS");
    pid_t children[PROCESSES + 2];

    threads = mmap(NULL, NAMED * sizeof *threads, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(threads != MAP_FAILED);
    fixture_begin(&f);
    fixture_close(&f);
    end = now() + (seconds != NULL && atoi(seconds) > 0 ? atoi(seconds) : 3) * INT64_C(1000000000);
    fflush(NULL);
    for (size_t i = 0; i < PROCESSES + 2; i++) {
        children[i] = fork();
        if (children[i] == 0 && i < PROCESSES) run_process(i);
        if (children[i] == 0 && i == PROCESSES) run_outsider();
        if (children[i] == 0) run_visitor();
    }
    for (size_t i = 0; i < PROCESSES + 2; i++) {
        int status = 1;

        CU_ASSERT(waitpid(children[i], &status, 0) == children[i] && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    check_all();
    munmap(threads, NAMED * sizeof *threads);
    fixture_end(&f);
}

/* Eight attempts in all, whoever makes them. */
static void attempts_of_many_processes_are_all_counted(void)
{
    enum { LIMIT = 40, CHILDREN = 6 };
    pid_t children[CHILDREN];
    uint32_t used = 0;
    unsigned granted = 0;

    fixture_begin(&f);
    fixture_close(&f);
    fflush(NULL);
    for (size_t i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            int own = 0;

            fixture_abandon(&f);
            if (fixture_open(&f) != KL_OK) _exit(255);
            while (kl_store_tries_take(f.store, "pin/user", LIMIT, &used) == KL_OK) own++;
            _exit(own);
        }
    }
    for (size_t i = 0; i < CHILDREN; i++) {
        int status = 1;

        CU_ASSERT(waitpid(children[i], &status, 0) == children[i] && WIFEXITED(status));
        granted += (unsigned)WEXITSTATUS(status);
    }
    CU_ASSERT_EQUAL(granted, LIMIT);
    CU_ASSERT_EQUAL(fixture_open(&f), KL_OK);
    CU_ASSERT(kl_store_tries(f.store, "pin/user", &used) == KL_OK && used == LIMIT);
    fixture_end(&f);
}

/* Many come at once to a store that is not there yet: it is made once. */
static void many_that_make_a_store_make_one(void)
{
    enum { CHILDREN = 12, ROUNDS = 8 };

    for (int round = 0; round < ROUNDS; round++) {
        pid_t children[CHILDREN];
        uint64_t rows = 0;

        fixture_begin_closed(&f);
        fflush(NULL);
        for (unsigned i = 0; i < CHILDREN; i++) {
            children[i] = fork();
            if (children[i] == 0) {
                struct kl_row row = fixture_row(i);

                alarm(120);
                fixture_abandon(&f);
                if (kl_store_open(f.uri, KL_STORE_CREATE, FIXTURE_TIMEOUT, &f.store) != KL_OK ||
                    kl_store_unlock(f.store, &f.key, kl_view_text(FIXTURE_SERIAL)) != KL_OK || fixture_add(f.store, &row) != KL_OK) {
                    fprintf(stderr, "%s\n", kl_fail_words());
                    _exit(1);
                }
                kl_store_close(f.store);
                _exit(0);
            }
        }
        for (size_t i = 0; i < CHILDREN; i++) {
            int status = 1;

            CU_ASSERT(waitpid(children[i], &status, 0) == children[i] && WIFEXITED(status) && WEXITSTATUS(status) == 0);
        }
        CU_ASSERT_EQUAL_FATAL(fixture_open(&f), KL_OK);
        CU_ASSERT_EQUAL(fixture_check(f.store, &rows), 0);
        CU_ASSERT_EQUAL(rows, CHILDREN);
        fixture_end(&f);
    }
}

UNIT_MAIN("store/many", UNIT(every_commit_of_many_processes_is_there), UNIT(attempts_of_many_processes_are_all_counted),
          UNIT(many_that_make_a_store_make_one))
