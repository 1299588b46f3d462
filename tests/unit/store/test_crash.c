/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A process that ends, without warning, at every operation on its files in turn. */
#include "store/store.h"

#include "../unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>

#include "fixture.h"

enum { STEPS = 18, BASE_ROWS = 40, COUNTED_ROW = 30, RESERVED = 64 };

/* Shared with the child that dies: how far it got. */
static struct progress {
    unsigned begun;
    unsigned done;
    unsigned operations;
} * progress;

static struct fixture f;

/* Step number n: what is there afterwards is known from the number alone. */
static enum kl_rc step(struct kl_store *store, unsigned number)
{
    struct kl_row row = fixture_row(BASE_ROWS + number);
    struct kl_txn *txn = NULL;
    char value[16];
    uint64_t got, count;
    enum kl_rc rc;
    uint32_t used;

    switch (number % 6) {
    case 0:
        return fixture_add(store, &row);
    case 1:
        row = fixture_row(number);
        row.generation = 2;
        return fixture_change(store, &row);
    case 2:
        row = fixture_row(number);
        return fixture_remove(store, &row);
    case 3:
        return kl_store_tries_take(store, "pin/user", 100, &used);
    case 4:
        row = fixture_row(COUNTED_ROW);
        return kl_store_budget_take(store, row.id, RESERVED, INT64_MAX, &got, &count);
    default:
        break;
    }
    rc = kl_store_begin(store, &txn);
    if (rc != KL_OK) return rc;
    snprintf(value, sizeof value, "%u", number);
    rc = kl_txn_record(txn, "progress", kl_view_text(value));
    for (unsigned i = 0; i < 30 && rc == KL_OK; i++) {
        row = fixture_row(1000 + number * 100 + i);
        rc = kl_txn_add(txn, &row);
    }
    if (rc == KL_OK) return kl_txn_commit(txn, NULL);
    kl_txn_abort(txn);
    return rc;
}

static bool is_done(struct kl_store *store, unsigned number)
{
    struct kl_row row = fixture_row(BASE_ROWS + number);
    uint64_t count = 0;
    uint32_t used = 0;

    switch (number % 6) {
    case 0:
        return fixture_has(store, &row);
    case 1:
        row = fixture_row(number);
        row.generation = 2;
        return fixture_has(store, &row);
    case 2:
        row = fixture_row(number);
        return !fixture_has(store, &row);
    case 3:
        return kl_store_tries(store, "pin/user", &used) == KL_OK && used >= (number + 3) / 6;
    case 4:
        row = fixture_row(COUNTED_ROW);
        return kl_store_budget(store, row.id, &count) == KL_OK && count >= RESERVED * (uint64_t)((number + 2) / 6);
    default:
        break;
    }
    for (unsigned i = 0; i < 30; i++) {
        row = fixture_row(1000 + number * 100 + i);
        if (!fixture_has(store, &row)) return false;
    }
    return true;
}

static void work(void)
{
    if (fixture_open(&f) != KL_OK) _exit(2);
    for (unsigned i = 0; i < STEPS; i++) {
        progress->begun = i + 1;
        if (step(f.store, i) != KL_OK) _exit(3);
        progress->done = i + 1;
        progress->operations = fixture_fault.count;
    }
    fixture_close(&f);
    progress->operations = fixture_fault.count;
}

/* True when the child came to its end. */
static bool run_until(unsigned operation, bool torn)
{
    pid_t child;
    int status = 0;

    memset(progress, 0, sizeof *progress);
    fflush(NULL);
    child = fork();
    if (child == 0) {
        fixture_abandon(&f);
        fixture_fault.die_at = operation;
        fixture_fault.torn = torn;
        fixture_fault_on();
        work();
        _exit(0);
    }
    CU_ASSERT_FATAL(child > 0 && waitpid(child, &status, 0) == child);
    CU_ASSERT(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
    return !WIFSIGNALED(status);
}

/* A reservation that nobody was told of may be lost, but none that was handed out is there to be handed out again. */
static void check_count(void)
{
    struct kl_row row = fixture_row(COUNTED_ROW), next = fixture_row(2);
    uint64_t said = RESERVED * (uint64_t)((progress->done + 1) / 6), begun = RESERVED * (uint64_t)((progress->begun + 1) / 6);
    uint64_t count = 1;

    CU_ASSERT_EQUAL(kl_store_budget(f.store, row.id, &count), KL_OK);
    CU_ASSERT(count == said || count == begun);
    /* The count of the key that was removed went with it, or neither did. */
    CU_ASSERT_EQUAL(kl_store_budget(f.store, next.id, &count), KL_OK);
    CU_ASSERT_EQUAL(count, fixture_has(f.store, &next) ? RESERVED : 0);
}

static void check_afterwards(unsigned operation)
{
    uint64_t rows = 0;
    unsigned at;

    if (fixture_open(&f) != KL_OK) {
        CU_FAIL_FATAL("the store does not open any more");
    }
    for (at = 0; at < STEPS && is_done(f.store, at); at++) {}
    /* What was said to be done is, and of what was not said there is all or nothing. */
    if (at != progress->done && at != progress->begun) {
        fprintf(stderr, "at operation %u: %u begun, %u done, %u found\n", operation, progress->begun, progress->done, at);
        CU_FAIL("something was lost");
    }
    for (unsigned i = at + 1; i < STEPS; i++) CU_ASSERT_FALSE(i % 6 == 0 && is_done(f.store, i));
    CU_ASSERT_EQUAL(fixture_check(f.store, &rows), 0);
    check_count();
    {
        struct kl_row row = fixture_row(5000);

        CU_ASSERT_EQUAL(fixture_add(f.store, &row), KL_OK);
        CU_ASSERT_EQUAL(kl_store_mark(f.store) % 2, 0);
    }
    fixture_close(&f);
}

static void prepare(void)
{
    struct kl_row row = fixture_row(2);
    uint64_t got, used;

    fixture_begin(&f);
    CU_ASSERT_EQUAL_FATAL(fixture_add_many(f.store, 0, BASE_ROWS), KL_OK);
    CU_ASSERT_EQUAL_FATAL(kl_store_budget_take(f.store, row.id, RESERVED, INT64_MAX, &got, &used), KL_OK);
    fixture_close(&f);
}

static void die_everywhere(bool torn)
{
    unsigned operation = 1;

    progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(progress != MAP_FAILED);
    for (;; operation++) {
        bool ended;

        prepare();
        ended = run_until(operation, torn);
        check_afterwards(operation);
        fixture_end(&f);
        if (ended) break;
    }
    printf("(%u points) ", operation - 1);
    CU_ASSERT(operation > 100);
    munmap(progress, sizeof *progress);
}

static void dying_at_any_operation_leaves_the_old_state_or_the_new(void)
{
    die_everywhere(false);
}

static void dying_in_the_middle_of_any_write_does_too(void)
{
    die_everywhere(true);
}

/* While a store is made there is none, or one without tables, or a whole one. */
static void dying_while_the_store_is_made_leaves_none_or_one_that_can_be_made(void)
{
    unsigned operation = 1;
    bool ended = false;

    for (; !ended; operation++) {
        pid_t child;
        int status = 0;
        enum kl_rc rc;

        fixture_begin_closed(&f);
        fflush(NULL);
        child = fork();
        if (child == 0) {
            fixture_abandon(&f);
            fixture_fault.die_at = operation;
            fixture_fault_on();
            if (kl_store_open(f.uri, KL_STORE_CREATE, FIXTURE_TIMEOUT, &f.store) != KL_OK) _exit(2);
            if (kl_store_unlock(f.store, &f.key, kl_view_text(FIXTURE_SERIAL)) != KL_OK) _exit(3);
            _exit(fixture_record(f.store, "token", "first") == KL_OK ? 0 : 4);
        }
        CU_ASSERT_FATAL(child > 0 && waitpid(child, &status, 0) == child);
        ended = !WIFSIGNALED(status);
        CU_ASSERT(!ended || WEXITSTATUS(status) == 0);
        rc = kl_store_open(f.uri, KL_STORE_EXISTING, FIXTURE_TIMEOUT, &f.store);
        CU_ASSERT(rc == KL_OK || rc == KL_NOT_FOUND);
        if (rc == KL_NOT_FOUND) {
            CU_ASSERT_FALSE(ended);
            CU_ASSERT_EQUAL_FATAL(kl_store_open(f.uri, KL_STORE_CREATE, FIXTURE_TIMEOUT, &f.store), KL_OK);
        }
        CU_ASSERT_EQUAL(kl_store_unlock(f.store, &f.key, kl_view_text(FIXTURE_SERIAL)), KL_OK);
        CU_ASSERT_EQUAL(fixture_add_many(f.store, 0, 3), KL_OK);
        CU_ASSERT_EQUAL(fixture_check(f.store, NULL), 0);
        fixture_end(&f);
    }
    printf("(%u points) ", operation - 2);
    CU_ASSERT(operation > 20);
}

/* Two processes at work, one of them killed at random, again and again. */
enum { KILLS = 60 };

static void work_for_ever(unsigned who)
{
    fixture_abandon(&f);
    if (fixture_open(&f) != KL_OK) _exit(2);
    for (unsigned i = 0;; i++) {
        struct kl_row row = fixture_row(100000 * who + i);

        if (fixture_add(f.store, &row) != KL_OK) _exit(3);
        progress[who].done = i + 1;
    }
}

static void a_process_killed_at_random_takes_nothing_with_it(void)
{
    pid_t lasting;
    uint64_t rows = 0;
    unsigned random = 99;

    progress = mmap(NULL, (KILLS + 2) * sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(progress != MAP_FAILED);
    prepare();
    fflush(NULL);
    lasting = fork();
    if (lasting == 0) work_for_ever(1);
    for (unsigned who = 2; who < KILLS + 2; who++) {
        pid_t child = fork();
        int status = 0;

        if (child == 0) work_for_ever(who);
        usleep((random = random * 1103515245 + 12345) >> 16 & 0x7fff);
        kill(child, SIGKILL);
        CU_ASSERT(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    }
    kill(lasting, SIGKILL);
    waitpid(lasting, NULL, 0);
    CU_ASSERT_EQUAL_FATAL(fixture_open(&f), KL_OK);
    CU_ASSERT_EQUAL(fixture_check(f.store, &rows), 0);
    for (unsigned who = 1; who < KILLS + 2; who++) {
        for (unsigned i = 0; i < progress[who].done; i++) {
            struct kl_row row = fixture_row(100000 * who + i);

            CU_ASSERT(fixture_has(f.store, &row));
        }
    }
    CU_ASSERT(progress[1].done > 20);
    munmap(progress, (KILLS + 2) * sizeof *progress);
    fixture_end(&f);
}

UNIT_MAIN("store/crash", UNIT(dying_at_any_operation_leaves_the_old_state_or_the_new), UNIT(dying_in_the_middle_of_any_write_does_too),
          UNIT(dying_while_the_store_is_made_leaves_none_or_one_that_can_be_made), UNIT(a_process_killed_at_random_takes_nothing_with_it))
