/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Counts of encryptions: seen by every process before they are handed out, quiet, and not to be changed, taken out or put back from outside. */
#include "store/store.h"

#include "../unit.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "fixture.h"

enum { ROWS = 300 };
#define NO_LIMIT INT64_MAX

static void begin(struct fixture *f)
{
    fixture_begin(f);
    CU_ASSERT_EQUAL_FATAL(fixture_add_many(f->store, 0, ROWS), KL_OK);
}

static void reopen(struct fixture *f)
{
    fixture_close(f);
    CU_ASSERT_EQUAL_FATAL(fixture_open(f), KL_OK);
}

static enum kl_rc take(struct fixture *f, unsigned number, uint64_t want, uint64_t *used)
{
    struct kl_row row = fixture_row(number);
    uint64_t got = 0;
    enum kl_rc rc = kl_store_budget_take(f->store, row.id, want, NO_LIMIT, &got, used);

    CU_ASSERT(rc != KL_OK || got == want);
    return rc;
}

static uint64_t count_of(struct fixture *f, unsigned number)
{
    struct kl_row row = fixture_row(number);
    uint64_t used = 99999999;

    CU_ASSERT_EQUAL(kl_store_budget(f->store, row.id, &used), KL_OK);
    return used;
}

static enum kl_rc give(struct fixture *f, unsigned number, uint64_t count)
{
    struct kl_row row = fixture_row(number);
    struct kl_unspent unspent = { .count = count };

    memcpy(unspent.id, row.id, sizeof row.id);
    return kl_store_budget_return(f->store, &unspent, 1);
}

/* Some rows of one bucket and of several are counted. */
static void spend(struct fixture *f)
{
    uint64_t used;

    for (unsigned i = 0; i < 100; i++) CU_ASSERT_EQUAL(take(f, i, 64 + i, &used), KL_OK);
}

/* --- counting --- */

static void what_was_taken_is_counted_and_stays_so(void)
{
    struct fixture f;
    uint64_t used = 9;

    begin(&f);
    CU_ASSERT_EQUAL(count_of(&f, 1), 0);
    CU_ASSERT_EQUAL(take(&f, 1, 64, &used), KL_OK);
    CU_ASSERT_EQUAL(used, 64);
    CU_ASSERT_EQUAL(take(&f, 1, 128, &used), KL_OK);
    CU_ASSERT_EQUAL(used, 192);
    CU_ASSERT_EQUAL(take(&f, 2, 1, &used), KL_OK);
    CU_ASSERT_EQUAL(used, 1);
    reopen(&f);
    CU_ASSERT_EQUAL(count_of(&f, 1), 192);
    CU_ASSERT_EQUAL(count_of(&f, 2), 1);
    CU_ASSERT_EQUAL(count_of(&f, 3), 0);
    CU_ASSERT_EQUAL(take(&f, 1, 64, &used), KL_OK);
    CU_ASSERT_EQUAL(used, 256);
    CU_ASSERT_EQUAL(fixture_check(f.store, NULL), 0);
    fixture_end(&f);
}

static void no_more_is_given_than_is_left_below_the_limit(void)
{
    const uint64_t limit = UINT64_C(1) << 32;
    struct kl_row row = fixture_row(1);
    uint64_t got = 9, used = 9;
    struct fixture f;

    begin(&f);
    CU_ASSERT_EQUAL(kl_store_budget_take(f.store, row.id, limit - 100, limit, &got, &used), KL_OK);
    CU_ASSERT(got == limit - 100 && used == limit - 100);
    CU_ASSERT_EQUAL(kl_store_budget_take(f.store, row.id, 65536, limit, &got, &used), KL_OK);
    CU_ASSERT(got == 100 && used == limit);
    CU_ASSERT_EQUAL(kl_store_budget_take(f.store, row.id, 65536, limit, &got, &used), KL_OK);
    CU_ASSERT(got == 0 && used == limit);
    /* Whom the limit does not bind goes on, and is counted. */
    CU_ASSERT_EQUAL(kl_store_budget_take(f.store, row.id, 50, NO_LIMIT, &got, &used), KL_OK);
    CU_ASSERT(got == 50 && used == limit + 50);
    CU_ASSERT_EQUAL(kl_store_budget_take(f.store, row.id, 1, limit, &got, &used), KL_OK);
    CU_ASSERT(got == 0 && used == limit + 50);
    CU_ASSERT_EQUAL(kl_store_budget_take(f.store, row.id, 1, UINT64_C(1) << 63, &got, &used), KL_ARG);
    CU_ASSERT_EQUAL(kl_store_budget_take(f.store, row.id, UINT64_MAX, NO_LIMIT, &got, &used), KL_OK);
    CU_ASSERT(used == INT64_MAX);
    reopen(&f);
    CU_ASSERT_EQUAL(count_of(&f, 1), INT64_MAX);
    fixture_end(&f);
}

static void what_was_not_used_is_taken_off_again(void)
{
    struct fixture f;
    struct kl_unspent list[100];
    uint64_t used;

    begin(&f);
    spend(&f);
    for (unsigned i = 0; i < 100; i++) {
        struct kl_row row = fixture_row(99 - i);

        memcpy(list[i].id, row.id, sizeof row.id);
        list[i].count = 64;
    }
    CU_ASSERT_EQUAL(kl_store_budget_return(f.store, list, 100), KL_OK);
    CU_ASSERT_EQUAL(kl_store_budget_return(f.store, list, 0), KL_OK);
    reopen(&f);
    for (unsigned i = 0; i < 100; i++) CU_ASSERT_EQUAL(count_of(&f, i), i);
    CU_ASSERT_EQUAL(fixture_check(f.store, NULL), 0);
    CU_ASSERT_EQUAL(take(&f, 0, 1, &used), KL_OK);
    CU_ASSERT_EQUAL(used, 1);
    fixture_end(&f);
}

static void more_than_was_counted_is_not_taken_off(void)
{
    struct fixture f;
    uint64_t used;

    begin(&f);
    CU_ASSERT_EQUAL(give(&f, 1, 1), KL_ARG);
    CU_ASSERT_EQUAL(take(&f, 1, 64, &used), KL_OK);
    CU_ASSERT_EQUAL(give(&f, 1, 65), KL_ARG);
    CU_ASSERT_EQUAL(count_of(&f, 1), 64);
    CU_ASSERT_EQUAL(give(&f, 1, 64), KL_OK);
    CU_ASSERT_EQUAL(give(&f, 1, 1), KL_ARG);
    CU_ASSERT_EQUAL(count_of(&f, 1), 0);
    fixture_end(&f);
}

static enum kl_rc add_up(void *user, const uint8_t id[KL_ROW_ID_LEN], uint64_t used)
{
    uint64_t *sum = user;

    (void)id;
    *sum += used;
    return KL_OK;
}

static enum kl_rc stop(void *user, const uint8_t id[KL_ROW_ID_LEN], uint64_t used)
{
    unsigned *calls = user;

    (void)id;
    (void)used;
    return ++*calls == 3 ? KL_INTERRUPTED : KL_OK;
}

static void all_counts_are_shown(void)
{
    struct fixture f;
    uint64_t sum = 0;
    unsigned calls = 0;

    begin(&f);
    CU_ASSERT_EQUAL(kl_store_budgets(f.store, add_up, &sum), KL_OK);
    CU_ASSERT_EQUAL(sum, 0);
    spend(&f);
    CU_ASSERT_EQUAL(kl_store_budgets(f.store, add_up, &sum), KL_OK);
    CU_ASSERT_EQUAL(sum, 100 * 64 + 99 * 100 / 2);
    CU_ASSERT_EQUAL(kl_store_budgets(f.store, stop, &calls), KL_INTERRUPTED);
    CU_ASSERT_EQUAL(calls, 3);
    fixture_end(&f);
}

static void nobody_has_to_look_again_because_something_was_counted(void)
{
    struct fixture f;
    struct kl_store_report before, after;
    uint64_t mark, used;

    begin(&f);
    /* The first count of a token's life says, under the store root, that there are counts. */
    CU_ASSERT_EQUAL(take(&f, 1, 64, &used), KL_OK);
    CU_ASSERT_EQUAL(kl_store_check(f.store, NULL, NULL, &before), KL_OK);
    mark = kl_store_mark(f.store);
    spend(&f);
    CU_ASSERT_EQUAL(give(&f, 1, 64), KL_OK);
    CU_ASSERT_EQUAL(kl_store_mark(f.store), mark);
    CU_ASSERT_EQUAL(kl_store_check(f.store, NULL, NULL, &after), KL_OK);
    CU_ASSERT_EQUAL(after.epoch, before.epoch);
    fixture_end(&f);
}

static void a_commit_that_died_is_mended_by_who_counts(void)
{
    struct fixture f;
    uint64_t mark, used;
    int fd;

    begin(&f);
    CU_ASSERT_EQUAL(take(&f, 1, 64, &used), KL_OK);
    mark = kl_store_mark(f.store) + 1;
    fd = open(fixture_path(&f, "-epoch"), O_WRONLY | O_CLOEXEC);
    CU_ASSERT(fd >= 0 && pwrite(fd, &mark, sizeof mark, 8) == sizeof mark);
    CU_ASSERT_EQUAL(kl_store_mark(f.store), mark);
    CU_ASSERT_EQUAL(take(&f, 1, 64, &used), KL_OK);
    CU_ASSERT_EQUAL(kl_store_mark(f.store), mark + 1);
    if (fd >= 0) close(fd);
    fixture_end(&f);
}

/* --- keys that go --- */

static void a_count_goes_with_its_key(void)
{
    struct fixture f;
    struct kl_row row = fixture_row(1);
    uint64_t used;

    begin(&f);
    spend(&f);
    CU_ASSERT_EQUAL(fixture_remove(f.store, &row), KL_OK);
    CU_ASSERT_EQUAL(count_of(&f, 1), 0);
    CU_ASSERT_EQUAL(take(&f, 1, 64, &used), KL_NOT_FOUND);
    CU_ASSERT_EQUAL(count_of(&f, 1), 0);
    /* Another process gives back what it held of it: there is nothing to give it back to. */
    CU_ASSERT_EQUAL(give(&f, 1, 64), KL_OK);
    CU_ASSERT_EQUAL(count_of(&f, 1), 0);
    CU_ASSERT_EQUAL(count_of(&f, 2), 66);
    CU_ASSERT_EQUAL(fixture_check(f.store, NULL), 0);
    reopen(&f);
    CU_ASSERT_EQUAL(fixture_check(f.store, NULL), 0);
    fixture_end(&f);
}

static void many_that_go_at_once_take_their_counts_with_them_or_not_at_all(void)
{
    struct fixture f;
    struct kl_txn *txn = NULL;

    begin(&f);
    spend(&f);
    for (unsigned round = 0; round < 2; round++) {
        CU_ASSERT_EQUAL_FATAL(kl_store_begin(f.store, &txn), KL_OK);
        for (unsigned i = 0; i < 100; i += 2) {
            struct kl_row row = fixture_row(i);

            CU_ASSERT_EQUAL(kl_txn_remove(txn, row.id, 1), KL_OK);
        }
        if (round == 1) break;
        kl_txn_abort(txn);
        for (unsigned i = 0; i < 100; i++) CU_ASSERT_EQUAL(count_of(&f, i), 64 + i);
    }
    CU_ASSERT_EQUAL(kl_txn_commit(txn, NULL), KL_OK);
    for (unsigned i = 0; i < 100; i++) CU_ASSERT_EQUAL(count_of(&f, i), i % 2 == 0 ? 0 : 64 + i);
    CU_ASSERT_EQUAL(fixture_check(f.store, NULL), 0);
    fixture_end(&f);
}

static void a_token_that_begins_anew_counts_from_nothing(void)
{
    struct fixture f;
    struct kl_secret key = { 0 };
    struct kl_txn *txn = NULL;
    struct kl_row row = fixture_row(1);
    uint64_t used = 9;

    begin(&f);
    spend(&f);
    CU_ASSERT_EQUAL(kl_secret_from(&key, kl_view_text("another key of the store's, 32 b")), KL_OK);
    CU_ASSERT_EQUAL_FATAL(kl_store_begin(f.store, &txn), KL_OK);
    CU_ASSERT_EQUAL(kl_txn_empty(txn), KL_OK);
    CU_ASSERT_EQUAL(kl_txn_rekey(txn, &key, kl_view_text("1111111111111111")), KL_OK);
    CU_ASSERT_EQUAL(kl_txn_add(txn, &row), KL_OK);
    CU_ASSERT_EQUAL(kl_txn_commit(txn, NULL), KL_OK);
    CU_ASSERT_EQUAL(count_of(&f, 1), 0);
    CU_ASSERT_EQUAL(take(&f, 1, 64, &used), KL_OK);
    CU_ASSERT_EQUAL(used, 64);
    CU_ASSERT_EQUAL(fixture_check(f.store, NULL), 0);
    kl_secret_clear(&key);
    fixture_end(&f);
}

/* --- who may not count --- */

static void a_locked_store_counts_nothing(void)
{
    struct fixture f;
    struct kl_row row = fixture_row(1);
    uint64_t used = 0, got = 0;

    begin(&f);
    CU_ASSERT_EQUAL(take(&f, 1, 64, &used), KL_OK);
    kl_store_lock(f.store);
    CU_ASSERT_EQUAL(kl_store_budget_take(f.store, row.id, 64, NO_LIMIT, &got, &used), KL_ARG);
    CU_ASSERT_EQUAL(kl_store_budget(f.store, row.id, &used), KL_ARG);
    CU_ASSERT_EQUAL(give(&f, 1, 64), KL_ARG);
    CU_ASSERT_EQUAL(kl_store_unlock(f.store, &f.key, kl_view_text(FIXTURE_SERIAL)), KL_OK);
    CU_ASSERT_EQUAL(count_of(&f, 1), 64);
    fixture_end(&f);
}

static void who_holds_the_transaction_cannot_count_within_it(void)
{
    struct fixture f;
    struct kl_txn *txn = NULL;
    uint64_t used = 0;

    begin(&f);
    CU_ASSERT_EQUAL(take(&f, 1, 64, &used), KL_OK);
    CU_ASSERT_EQUAL_FATAL(kl_store_begin(f.store, &txn), KL_OK);
    CU_ASSERT_EQUAL(take(&f, 1, 64, &used), KL_ARG);
    CU_ASSERT_EQUAL(give(&f, 1, 64), KL_ARG);
    kl_txn_abort(txn);
    CU_ASSERT_EQUAL(count_of(&f, 1), 64);
    fixture_end(&f);
}

/* The file, and what lies beside it, can only be read; root can write all the same. */
static int count_read_only(const char *before)
{
    struct fixture f;
    struct kl_row row = fixture_row(1);
    uint64_t used = 0, got = 0;

    fixture_begin(&f);
    UNIT_NEED(fixture_add_many(f.store, 0, 10) == KL_OK);
    if (before == NULL) UNIT_NEED(kl_store_budget_take(f.store, row.id, 64, NO_LIMIT, &got, &used) == KL_OK);
    fixture_close(&f);
    if (before != NULL) UNIT_NEED(fixture_meddle(&f, before));
    UNIT_NEED(chmod(f.path, 0400) == 0 && chmod(f.directory, 0500) == 0);
    if (geteuid() == 0) UNIT_NEED(chown(f.path, 1, 1) == 0 && chown(f.directory, 1, 1) == 0);
    if (geteuid() == 0) UNIT_NEED(setegid(1) == 0 && seteuid(1) == 0);
    UNIT_NEED(fixture_open(&f) == KL_OK && kl_store_is_read_only(f.store));
    used = 9;
    UNIT_NEED(kl_store_budget(f.store, row.id, &used) == KL_OK && used == (before == NULL ? 64 : 0));
    UNIT_NEED(kl_store_budget_take(f.store, row.id, 64, NO_LIMIT, &got, &used) == KL_STORE_READ_ONLY);
    UNIT_NEED(fixture_check(f.store, NULL) == 0);
    UNIT_NEED(chmod(f.directory, 0700) == 0);
    fixture_end(&f);
    return 0;
}

static const char before_there_were_counts[] = "DROP TABLE key_budgets; DROP TABLE budget_root; PRAGMA journal_mode = DELETE";

static int count_in_what_can_only_be_read(void)
{
    return count_read_only(NULL);
}

static int count_in_an_old_one_that_can_only_be_read(void)
{
    return count_read_only(before_there_were_counts);
}

static void a_read_only_store_tells_its_counts_and_takes_none(void)
{
    CU_ASSERT_EQUAL(unit_in_child(count_in_what_can_only_be_read), 0);
    CU_ASSERT_EQUAL(unit_in_child(count_in_an_old_one_that_can_only_be_read), 0);
}

static void a_store_from_before_there_were_counts_is_given_them(void)
{
    struct fixture f;
    uint64_t used = 0;

    begin(&f);
    fixture_close(&f);
    CU_ASSERT(fixture_meddle(&f, before_there_were_counts));
    CU_ASSERT_EQUAL_FATAL(fixture_open(&f), KL_OK);
    CU_ASSERT_EQUAL(fixture_check(f.store, NULL), 0);
    CU_ASSERT_EQUAL(count_of(&f, 1), 0);
    CU_ASSERT_EQUAL(take(&f, 1, 64, &used), KL_OK);
    reopen(&f);
    CU_ASSERT_EQUAL(count_of(&f, 1), 64);
    CU_ASSERT_EQUAL(fixture_check(f.store, NULL), 0);
    fixture_end(&f);
}

static void half_of_the_tables_is_no_store(void)
{
    static const char *const halves[] = {
        "DROP TABLE key_budgets",
        "DROP TABLE budget_root",
        "DROP TABLE key_budgets; CREATE TABLE key_budgets(id BLOB PRIMARY KEY, used INTEGER)",
        "DROP TABLE budget_root; CREATE TABLE budget_root(number INTEGER PRIMARY KEY, epoch INTEGER, buckets BLOB, mac BLOB) STRICT",
    };

    for (size_t i = 0; i < sizeof halves / sizeof *halves; i++) {
        struct fixture f;

        begin(&f);
        fixture_close(&f);
        CU_ASSERT(fixture_meddle(&f, halves[i]));
        if (fixture_open(&f) != KL_INTEGRITY) CU_FAIL(halves[i]);
        fixture_end(&f);
    }
}

/* --- somebody who writes the file --- */

/* SQL in which @N@ is the id of the N-th row as a literal. */
static bool meddle(const struct fixture *f, const char *pattern)
{
    char sql[2048];
    size_t len = 0;

    for (const char *at = pattern; *at != '\0' && len < sizeof sql - 64; at++) {
        struct kl_row row;
        char *end;

        if (*at != '@') {
            sql[len++] = *at;
            continue;
        }
        row = fixture_row((unsigned)strtoul(at + 1, &end, 10));
        at = end;
        len += (size_t)snprintf(sql + len, sizeof sql - len, "x'");
        for (size_t i = 0; i < sizeof row.id; i++) len += (size_t)snprintf(sql + len, sizeof sql - len, "%02x", row.id[i]);
        sql[len++] = '\'';
    }
    sql[len] = '\0';
    return fixture_meddle(f, sql);
}

static const char *const tampering[] = {
    "UPDATE key_budgets SET used = 0 WHERE id = @1@",
    "UPDATE key_budgets SET used = used - 1 WHERE id = @1@",
    "UPDATE key_budgets SET used = -1 WHERE id = @1@",
    "UPDATE key_budgets SET used = NULL WHERE id = @1@",
    "DELETE FROM key_budgets WHERE id = @1@",
    "DELETE FROM key_budgets",
    "UPDATE key_budgets SET id = randomblob(16) WHERE id = @1@",
    "UPDATE key_budgets SET used = (SELECT used FROM key_budgets WHERE id = @2@) WHERE id = @1@",
    "UPDATE budget_root SET buckets = zeroblob(2048)",
    "UPDATE budget_root SET buckets = zeroblob(2048); DELETE FROM key_budgets",
    "UPDATE budget_root SET buckets = x''",
    "UPDATE budget_root SET epoch = epoch + 1",
    "UPDATE budget_root SET epoch = NULL",
    "UPDATE budget_root SET mac = zeroblob(32)",
    "UPDATE budget_root SET mac = NULL",
    "DELETE FROM budget_root",
    "DELETE FROM budget_root; DELETE FROM key_budgets",
    "DROP TABLE key_budgets; DROP TABLE budget_root",
    "DELETE FROM budget_root; DELETE FROM key_budgets; DELETE FROM token_records WHERE name = 'budgets'",
};

static void not_found(const char *what)
{
    fprintf(stderr, "not found: %s\n", what);
    CU_FAIL("tampering was not found");
}

static void expect_found(struct fixture *f, const char *what)
{
    struct kl_row row = fixture_row(1);
    uint64_t used = 0, got = 0;

    if (kl_store_budget_take(f->store, row.id, 64, NO_LIMIT, &got, &used) != KL_INTEGRITY) not_found(what);
    CU_ASSERT_PTR_NOT_NULL(strstr(kl_fail_words(), f->path));
    if (kl_store_budget(f->store, row.id, &used) != KL_INTEGRITY) not_found(what);
    if (give(f, 1, 1) != KL_INTEGRITY) not_found(what);
    if (fixture_check(f->store, NULL) < 1) not_found(what);
}

static void a_count_changed_moved_or_taken_out_is_found(void)
{
    for (size_t i = 0; i < sizeof tampering / sizeof *tampering; i++) {
        struct fixture f;

        begin(&f);
        spend(&f);
        fixture_close(&f);
        CU_ASSERT(meddle(&f, tampering[i]));
        CU_ASSERT_EQUAL_FATAL(fixture_open(&f), KL_OK);
        expect_found(&f, tampering[i]);
        fixture_end(&f);
    }
}

static void it_is_found_while_the_store_is_open_too(void)
{
    for (size_t i = 0; i < sizeof tampering / sizeof *tampering; i++) {
        struct fixture f;

        begin(&f);
        spend(&f);
        CU_ASSERT(meddle(&f, tampering[i]));
        expect_found(&f, tampering[i]);
        fixture_end(&f);
    }
}

static void a_key_that_goes_does_not_make_good_what_was_changed(void)
{
    struct fixture f;
    struct kl_row row = fixture_row(1), other = fixture_row(250);

    begin(&f);
    spend(&f);
    CU_ASSERT(meddle(&f, "UPDATE key_budgets SET used = 0 WHERE id = @1@"));
    CU_ASSERT_EQUAL(fixture_remove(f.store, &row), KL_INTEGRITY);
    CU_ASSERT(fixture_has(f.store, &row));
    CU_ASSERT(fixture_check(f.store, NULL) > 0);
    /* The rest of the token goes on. */
    CU_ASSERT(other.id[0] >> 2 != row.id[0] >> 2);
    CU_ASSERT_EQUAL(fixture_remove(f.store, &other), KL_OK);
    fixture_end(&f);
}

static void a_count_put_back_as_it_was_is_found(void)
{
    struct fixture f;
    uint64_t used;

    begin(&f);
    spend(&f);
    CU_ASSERT_EQUAL(take(&f, 1, 1000, &used), KL_OK);
    fixture_close(&f);
    CU_ASSERT(meddle(&f, "UPDATE key_budgets SET used = 65 WHERE id = @1@"));
    CU_ASSERT_EQUAL_FATAL(fixture_open(&f), KL_OK);
    expect_found(&f, "one count");
    fixture_end(&f);
}

/* All of them together are found by whom has seen them newer; whoever comes after needs something outside that remembers. */
static void all_counts_put_back_are_found_by_who_has_seen_them(void)
{
    struct fixture f;
    struct kl_row row = fixture_row(1);
    uint64_t used = 0, got = 0;
    char sql[512];

    begin(&f);
    spend(&f);
    CU_ASSERT(fixture_copy_out(&f, fixture_path(&f, "-old")));
    CU_ASSERT_EQUAL(take(&f, 1, 1000, &used), KL_OK);
    snprintf(sql, sizeof sql,
             "ATTACH '%s' AS old; DELETE FROM main.key_budgets; INSERT INTO main.key_budgets SELECT * FROM old.key_budgets;"
             "DELETE FROM main.budget_root; INSERT INTO main.budget_root SELECT * FROM old.budget_root",
             fixture_path(&f, "-old"));
    CU_ASSERT(fixture_meddle(&f, sql));
    CU_ASSERT_EQUAL(kl_store_budget_take(f.store, row.id, 64, NO_LIMIT, &got, &used), KL_INTEGRITY);
    CU_ASSERT_EQUAL(kl_store_budget(f.store, row.id, &used), KL_INTEGRITY);
    /* Nor does a logout make the process forget. */
    kl_store_lock(f.store);
    CU_ASSERT_EQUAL(kl_store_unlock(f.store, &f.key, kl_view_text(FIXTURE_SERIAL)), KL_OK);
    CU_ASSERT_EQUAL(kl_store_budget_take(f.store, row.id, 64, NO_LIMIT, &got, &used), KL_INTEGRITY);
    fixture_end(&f);
}

static void counts_of_another_token_are_none(void)
{
    struct fixture f;
    uint64_t used = 0;

    begin(&f);
    spend(&f);
    fixture_close(&f);
    CU_ASSERT_EQUAL_FATAL(kl_store_open(f.uri, KL_STORE_EXISTING, FIXTURE_TIMEOUT, &f.store), KL_OK);
    CU_ASSERT_EQUAL(kl_store_unlock(f.store, &f.key, kl_view_text("1111111111111111")), KL_OK);
    CU_ASSERT_EQUAL(kl_store_budget(f.store, fixture_row(1).id, &used), KL_INTEGRITY);
    fixture_end(&f);
}

/* --- many processes --- */

enum { CHILDREN = 4, TAKES = 40 };

static void what_several_processes_take_adds_up(void)
{
    struct fixture f;
    pid_t children[CHILDREN];

    begin(&f);
    fixture_close(&f);
    fflush(NULL);
    for (unsigned i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        if (children[i] != 0) continue;
        fixture_abandon(&f);
        if (fixture_open(&f) != KL_OK) _exit(1);
        for (unsigned j = 0; j < TAKES; j++) {
            struct kl_row row = fixture_row(1), own = fixture_row(10 + i);
            uint64_t got = 0, used = 0;

            if (kl_store_budget_take(f.store, row.id, 64, NO_LIMIT, &got, &used) != KL_OK || got != 64) _exit(2);
            if (kl_store_budget_take(f.store, own.id, 1, NO_LIMIT, &got, &used) != KL_OK || used != j + 1) _exit(3);
        }
        _exit(give(&f, 1, 10) == KL_OK ? 0 : 4);
    }
    for (unsigned i = 0; i < CHILDREN; i++) {
        int status = 1;

        CU_ASSERT(children[i] > 0 && waitpid(children[i], &status, 0) == children[i] && status == 0);
    }
    CU_ASSERT_EQUAL_FATAL(fixture_open(&f), KL_OK);
    CU_ASSERT_EQUAL(count_of(&f, 1), CHILDREN * (TAKES * 64 - 10));
    for (unsigned i = 0; i < CHILDREN; i++) CU_ASSERT_EQUAL(count_of(&f, 10 + i), TAKES);
    CU_ASSERT_EQUAL(fixture_check(f.store, NULL), 0);
    fixture_end(&f);
}

UNIT_MAIN("store/budget", UNIT(what_was_taken_is_counted_and_stays_so), UNIT(no_more_is_given_than_is_left_below_the_limit),
          UNIT(what_was_not_used_is_taken_off_again), UNIT(more_than_was_counted_is_not_taken_off), UNIT(all_counts_are_shown),
          UNIT(nobody_has_to_look_again_because_something_was_counted), UNIT(a_commit_that_died_is_mended_by_who_counts),
          UNIT(a_count_goes_with_its_key), UNIT(many_that_go_at_once_take_their_counts_with_them_or_not_at_all),
          UNIT(a_token_that_begins_anew_counts_from_nothing), UNIT(a_locked_store_counts_nothing),
          UNIT(who_holds_the_transaction_cannot_count_within_it), UNIT(a_read_only_store_tells_its_counts_and_takes_none),
          UNIT(a_store_from_before_there_were_counts_is_given_them), UNIT(half_of_the_tables_is_no_store),
          UNIT(a_count_changed_moved_or_taken_out_is_found), UNIT(it_is_found_while_the_store_is_open_too),
          UNIT(a_key_that_goes_does_not_make_good_what_was_changed), UNIT(a_count_put_back_as_it_was_is_found),
          UNIT(all_counts_put_back_are_found_by_who_has_seen_them), UNIT(counts_of_another_token_are_none),
          UNIT(what_several_processes_take_adds_up))
