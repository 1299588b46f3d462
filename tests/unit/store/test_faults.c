/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Every call of SQLite's, every allocation, ours and SQLite's, and every
 * operation on the files is made to fail in turn while a store is opened, read
 * and written: what answered KL_OK is there, what did not is not, and the next
 * try works, in the same process.
 */
#include "store/store.h"

#include "../failing.h"
#include "../unit.h"

#include <errno.h>
#include <sqlite3.h>

#include "fixture.h"

/* --- the calls --- */

static struct {
    bool is_armed;
    unsigned left; /* the call that fails, 1 being the next */
    bool has_struck;
} call, allocation;

static bool strikes(void)
{
    if (!call.is_armed || --call.left > 0) return false;
    call.is_armed = false;
    call.has_struck = true;
    return true;
}

#define WRAP(type, name, parameters, arguments, failure) \
    type __real_##name parameters;                       \
    type __wrap_##name parameters;                       \
    type __wrap_##name parameters                        \
    {                                                    \
        if (strikes()) return failure;                   \
        return __real_##name arguments;                  \
    }
#include "wraps.def"
#undef WRAP

/* SQLite's own allocations, by its own hook. */
static sqlite3_mem_methods memory;

static bool is_out_of_memory(void)
{
    if (!allocation.is_armed || --allocation.left > 0) return false;
    allocation.is_armed = false;
    allocation.has_struck = true;
    return true;
}

static void *sqlite_malloc(int size)
{
    return is_out_of_memory() ? NULL : memory.xMalloc(size);
}

static void *sqlite_realloc(void *room, int size)
{
    return is_out_of_memory() ? NULL : memory.xRealloc(room, size);
}

static bool hook_memory(void)
{
    sqlite3_mem_methods own;

    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory) != SQLITE_OK) return false;
    own = memory;
    own.xMalloc = sqlite_malloc;
    own.xRealloc = sqlite_realloc;
    return sqlite3_config(SQLITE_CONFIG_MALLOC, &own) == SQLITE_OK;
}

/* --- kinds of fault --- */

struct kind {
    const char *name;
    void (*arm)(unsigned n);
    bool (*disarm)(void); /* whether it struck */
};

static void arm_call(unsigned n)
{
    call.left = n;
    call.has_struck = false;
    call.is_armed = true;
}

static bool disarm_call(void)
{
    call.is_armed = false;
    return call.has_struck;
}

static void arm_allocation(unsigned n)
{
    allocation.left = n;
    allocation.has_struck = false;
    allocation.is_armed = true;
}

static bool disarm_allocation(void)
{
    allocation.is_armed = false;
    return allocation.has_struck;
}

static bool disarm_memory(void)
{
    bool struck = failing_has_failed();

    failing_memory(0);
    return struck;
}

static void arm_disk(unsigned n, int error, bool goes_on, bool reads_too)
{
    memset(&fixture_fault, 0, sizeof fixture_fault);
    fixture_fault.fail_at = n;
    fixture_fault.error = error;
    fixture_fault.goes_on = goes_on;
    fixture_fault.reads_too = reads_too;
    fixture_fault_on();
}

static void arm_io_error(unsigned n)
{
    arm_disk(n, EIO, false, true);
}

static void arm_lasting_io_error(unsigned n)
{
    arm_disk(n, EIO, true, true);
}

static void arm_full(unsigned n)
{
    arm_disk(n, ENOSPC, false, false);
}

static void arm_lasting_full(unsigned n)
{
    arm_disk(n, ENOSPC, true, false);
}

static bool disarm_disk(void)
{
    bool struck = fixture_fault.count >= fixture_fault.fail_at;

    fixture_fault_off();
    return struck;
}

static const struct kind kinds[] = {
    { "SQLite call", arm_call, disarm_call },
    { "allocation", failing_memory, disarm_memory },
    { "allocation by SQLite", arm_allocation, disarm_allocation },
    { "input/output error", arm_io_error, disarm_disk },
    { "lasting input/output error", arm_lasting_io_error, disarm_disk },
    { "full disk", arm_full, disarm_disk },
    { "lasting full disk", arm_lasting_full, disarm_disk },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* --- what is done under a fault --- */

struct results {
    enum kl_rc open, add, change, removed, record, tries, taken, given, find, look, all, aside, check;
    size_t found, seen;
    uint32_t used;
    uint64_t counted;
    char copy[256];
};

static const struct results untried = { KL_STORE, KL_STORE, KL_STORE, KL_STORE, KL_STORE, KL_STORE, KL_STORE, KL_STORE, KL_STORE,
                                        KL_STORE, KL_STORE, KL_STORE, KL_STORE, 0,        0,        0,        0,        "" };

static void ignore(void *user, const char *words)
{
    (void)user;
    (void)words;
}

static void do_everything(struct fixture *f, struct results *results)
{
    struct kl_row added = fixture_row(100);
    struct kl_row changed = fixture_row(1);
    struct kl_row removed = fixture_row(2);
    struct kl_unspent unspent = { .count = 10 };
    struct kl_store_report report;
    uint64_t got;
    uint8_t room[64];
    struct kl_out out = { room, sizeof room, 0 };

    *results = untried;
    memcpy(unspent.id, changed.id, sizeof unspent.id);
    changed.generation = 2;
    results->open = fixture_open(f);
    if (results->open != KL_OK) return;
    results->find = fixture_find(f->store, "label-3", &results->found);
    results->add = fixture_add(f->store, &added);
    results->change = fixture_change(f->store, &changed);
    results->removed = fixture_remove(f->store, &removed);
    results->record = fixture_record(f->store, "extra", "value");
    results->look = kl_store_record(f->store, "token", &out);
    results->all = fixture_count(f->store, KL_BY_ALL, NULL, 0, &results->seen);
    results->tries = kl_store_tries_take(f->store, "pin/user", 5, &results->used);
    results->taken = kl_store_budget_take(f->store, unspent.id, 64, INT64_MAX, &got, &results->counted);
    results->given = kl_store_budget_return(f->store, &unspent, 1);
    results->aside = kl_store_set_aside(f->store, results->copy, sizeof results->copy);
    results->check = kl_store_check(f->store, ignore, NULL, &report);
}

static bool is_honest(enum kl_rc rc)
{
    return rc == KL_OK || rc == KL_STORE || rc == KL_STORE_FULL || rc == KL_MEMORY || rc == KL_LOCKED_MEMORY || rc == KL_STORE_READ_ONLY;
}

/* Each effect is there exactly when it was said to be. */
static bool is_true(struct fixture *f, const struct results *results)
{
    struct kl_row added = fixture_row(100);
    struct kl_row changed = fixture_row(1);
    struct kl_row removed = fixture_row(2);
    uint8_t room[64];
    struct kl_out out = { room, sizeof room, 0 };
    uint64_t count = 100, counted = 0;
    uint32_t used = 9;

    changed.generation = 2;
    if (fixture_has(f->store, &added) != (results->add == KL_OK)) return false;
    if (fixture_has(f->store, &changed) != (results->change == KL_OK)) return false;
    if (fixture_has(f->store, &removed) != (results->removed != KL_OK)) return false;
    if ((kl_store_record(f->store, "extra", &out) == KL_OK) != (results->record == KL_OK)) return false;
    if (kl_store_tries(f->store, "pin/user", &used) != KL_OK || (used == 1) != (results->tries == KL_OK)) return false;
    if (results->find == KL_OK && results->found != 1) return false;
    if (results->taken == KL_OK) count += 64;
    if (results->given == KL_OK) count -= 10;
    if (kl_store_budget(f->store, changed.id, &counted) != KL_OK || counted != count) return false;
    if (results->taken == KL_OK && results->counted != 164) return false;
    return (access(results->copy, F_OK) == 0) == (results->aside == KL_OK);
}

static void complain(const struct kind *kind, unsigned n, const struct results *r, const char *what)
{
    fprintf(stderr,
            "%s %u: %s (open %s, find %s, add %s, change %s, remove %s, record %s, tries %s, take %s, give %s, aside %s, check %s)\n",
            kind->name, n, what, kl_rc_name(r->open), kl_rc_name(r->find), kl_rc_name(r->add), kl_rc_name(r->change),
            kl_rc_name(r->removed), kl_rc_name(r->record), kl_rc_name(r->tries), kl_rc_name(r->taken), kl_rc_name(r->given),
            kl_rc_name(r->aside), kl_rc_name(r->check));
    CU_FAIL("a fault was not borne");
}

/* True while the fault strikes. */
static bool try_fault(const struct kind *kind, unsigned n)
{
    struct results results;
    struct fixture f;
    struct kl_row row = fixture_row(200), counted = fixture_row(1);
    uint64_t got, used;
    bool struck;

    fixture_begin(&f);
    CU_ASSERT_EQUAL_FATAL(fixture_add_many(f.store, 0, 20), KL_OK);
    CU_ASSERT_EQUAL_FATAL(kl_store_budget_take(f.store, counted.id, 100, INT64_MAX, &got, &used), KL_OK);
    fixture_close(&f);
    kind->arm(n);
    do_everything(&f, &results);
    struck = kind->disarm();
    if (!is_honest(results.open) || !is_honest(results.find) || !is_honest(results.add) || !is_honest(results.change) ||
        !is_honest(results.removed) || !is_honest(results.record) || !is_honest(results.tries) || !is_honest(results.aside) ||
        !is_honest(results.taken) || !is_honest(results.given) || !is_honest(results.all) || !is_honest(results.look) ||
        !is_honest(results.check)) {
        complain(kind, n, &results, "a result that says something else");
    }
    if (f.store == NULL && fixture_open(&f) != KL_OK) {
        complain(kind, n, &results, "it does not open afterwards");
    } else {
        if (!is_true(&f, &results)) complain(kind, n, &results, "what was said is not so");
        if (fixture_check(f.store, NULL) != 0) complain(kind, n, &results, "the store is hurt");
        if (fixture_add(f.store, &row) != KL_OK) complain(kind, n, &results, "it does not go on");
        if (kl_store_mark(f.store) % 2 != 0) complain(kind, n, &results, "the mark stayed odd");
        fixture_close(&f);
        if (fixture_open(&f) != KL_OK || !fixture_has(f.store, &row)) complain(kind, n, &results, "it was not durable");
    }
    fixture_end(&f);
    return struck;
}

/* SQLite's allocations are many, and valgrind is slow: everything only when there is time. */
static unsigned stride_of(size_t kind)
{
    const char *preload = getenv("LD_PRELOAD");
    unsigned stride = preload != NULL && strstr(preload, "vgpreload") != NULL ? 7 : 1;

    if (getenv("KEYLADDER_STRESS") != NULL) return 1;
    return kinds[kind].arm == arm_allocation ? 29 * stride : stride;
}

static void go_through(size_t kind)
{
    unsigned n = 1;

    while (try_fault(&kinds[kind], n)) n += stride_of(kind);
    printf("(%u) ", n - 1);
    CU_ASSERT(n > 20);
}

static void every_call_of_sqlites_may_fail(void)
{
    go_through(0);
}

static void every_allocation_may_fail(void)
{
    go_through(1);
}

static void every_allocation_of_sqlites_may_fail(void)
{
    go_through(2);
}

static void every_operation_on_the_disk_may_fail_once(void)
{
    go_through(3);
}

static void the_disk_may_fail_from_any_operation_on(void)
{
    go_through(4);
}

static void the_disk_may_be_full_once(void)
{
    go_through(5);
}

static void the_disk_may_be_full_from_any_operation_on(void)
{
    go_through(6);
}

static void making_a_store_may_fail_everywhere(void)
{
    for (size_t kind = 0; kind < KINDS; kind++) {
        bool struck = true;
        unsigned n;

        for (n = 1; struck; n += stride_of(kind)) {
            struct fixture f;
            enum kl_rc rc;

            fixture_begin_closed(&f);
            kinds[kind].arm(n);
            rc = kl_store_open(f.uri, KL_STORE_CREATE, FIXTURE_TIMEOUT, &f.store);
            struck = kinds[kind].disarm();
            if (!is_honest(rc)) complain(&kinds[kind], n, &untried, kl_rc_name(rc));
            if (rc != KL_OK) rc = kl_store_open(f.uri, KL_STORE_CREATE, FIXTURE_TIMEOUT, &f.store);
            if (rc != KL_OK) complain(&kinds[kind], n, &untried, "it cannot be made afterwards");
            if (rc == KL_OK) {
                CU_ASSERT_EQUAL(kl_store_unlock(f.store, &f.key, kl_view_text(FIXTURE_SERIAL)), KL_OK);
                CU_ASSERT_EQUAL(fixture_add_many(f.store, 0, 3), KL_OK);
                CU_ASSERT_EQUAL(fixture_check(f.store, NULL), 0);
            }
            fixture_end(&f);
        }
        printf("(%u) ", n - 2);
        CU_ASSERT(n > 1);
    }
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        UNIT(every_call_of_sqlites_may_fail),
        UNIT(every_allocation_may_fail),
        UNIT(every_allocation_of_sqlites_may_fail),
        UNIT(every_operation_on_the_disk_may_fail_once),
        UNIT(the_disk_may_fail_from_any_operation_on),
        UNIT(the_disk_may_be_full_once),
        UNIT(the_disk_may_be_full_from_any_operation_on),
        UNIT(making_a_store_may_fail_everywhere),
    };

    if (!hook_memory()) return 1;
    return unit_run("store/faults", tests, sizeof tests / sizeof *tests);
}
