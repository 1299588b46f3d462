/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What a store costs: a commit against a bare SQLite commit of the same row,
 * look-ups, ten thousand changes at once. Not a test: prints, "NAME: figure,
 * budget, verdict" where there is a budget, and fails only when something does
 * not work. Usage: bench_store DIRECTORY [ROWS]
 */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/secret.h"
#include "store/store.h"

enum { COMMITS = 300, LOOKS = 2000, CHANGES = 10000, CHILDREN = 100000 };

static void tell(const char *name, double figure, double budget, const char *unit)
{
    printf("%s: %.2f %s, %.2f %s, %s\n", name, figure, unit, budget, unit, figure <= budget ? "met" : "MISSED");
}

static void need(enum kl_rc rc, const char *doing)
{
    if (rc == KL_OK) return;
    fprintf(stderr, "%s: %s: %s\n", doing, kl_rc_name(rc), kl_fail_words());
    exit(1);
}

static double now(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static struct kl_row row_of(unsigned number, char label[32], char key_id[32])
{
    static uint8_t bytes[200];
    struct kl_row row = { .generation = 1, .created_at = 1700000000, .is_active = true, .state = 1 };
    uint64_t mixed = (number + 1) * UINT64_C(0x9e3779b97f4a7c15);

    for (size_t i = 0; i < sizeof row.id; i++) row.id[i] = (uint8_t)((mixed * (i + 1)) >> 40);
    memcpy(row.id + 12, &number, sizeof number);
    snprintf(label, 32, "table%u.column%u", number % 100, number);
    snprintf(key_id, 32, "key id %u", number);
    row.parent[0] = 1;
    row.key_type = kl_view_text("fek");
    row.algorithm = kl_view_text("AES-256");
    row.label = kl_view_text(label);
    row.key_id = kl_view_text(key_id);
    row.encrypted_key = kl_view_of(bytes, 60);
    row.key_hash = kl_view_of(bytes, 16);
    row.metadata = kl_view_of(bytes, 180);
    return row;
}

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;

    return left < right ? -1 : left > right;
}

static double median(double *times, size_t count)
{
    qsort(times, count, sizeof *times, by_size);
    return times[count / 2];
}

/* --- bare SQLite --- */

static void run(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK) return;
    fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
    exit(1);
}

static sqlite3 *bare_open(const char *directory, unsigned rows)
{
    char path[512];
    char sql[256];
    sqlite3 *db = NULL;

    snprintf(path, sizeof path, "%s/bare.db", directory);
    if (sqlite3_open(path, &db) != SQLITE_OK) exit(1);
    run(db,
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t(id BLOB PRIMARY KEY, label TEXT, value BLOB) WITHOUT ROWID;"
        "CREATE INDEX by_label ON t(label)");
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE c(x) AS (VALUES(1) UNION ALL SELECT x + 1 FROM c WHERE x < %u) "
             "INSERT INTO t SELECT randomblob(16), 'label' || x, randomblob(350) FROM c",
             rows);
    run(db, sql);
    return db;
}

static double bare_commit(sqlite3 *db, sqlite3_stmt *statements[3])
{
    double begun = now();

    for (int i = 0; i < 3; i++) {
        if (sqlite3_step(statements[i]) != SQLITE_DONE) {
            fprintf(stderr, "%s\n", sqlite3_errmsg(db));
            exit(1);
        }
        sqlite3_reset(statements[i]);
    }
    return now() - begun;
}

/* --- both --- */

static double our_commit(struct kl_store *store, unsigned number)
{
    char label[32];
    char key_id[32];
    struct kl_row row = row_of(number, label, key_id);
    struct kl_txn *txn = NULL;
    double begun = now();

    need(kl_store_begin(store, &txn), "begin");
    need(kl_txn_add(txn, &row), "add");
    need(kl_txn_commit(txn, NULL), "commit");
    return now() - begun;
}

static double sync_alone(const char *directory)
{
    char path[512];
    char page[4096] = { 1 };
    double times[COMMITS];
    int fd;

    snprintf(path, sizeof path, "%s/sync", directory);
    fd = open(path, O_RDWR | O_CREAT, 0600);
    for (unsigned i = 0; i < COMMITS; i++) {
        double begun = now();

        if (pwrite(fd, page, sizeof page, (off_t)i * 4096) != sizeof page || fdatasync(fd) != 0) exit(1);
        times[i] = now() - begun;
    }
    close(fd);
    unlink(path);
    return median(times, COMMITS);
}

/* Turn by turn, so that whatever else the machine does hits both. */
static void compare_commits(struct kl_store *store, const char *directory, unsigned rows)
{
    static const char *const texts[3] = { "BEGIN IMMEDIATE", "INSERT INTO t VALUES(randomblob(16), 'label' || random(), randomblob(350))",
                                          "COMMIT" };
    sqlite3 *db = bare_open(directory, rows);
    sqlite3_stmt *statements[3];
    double bare[COMMITS];
    double ours[COMMITS];
    double sync = sync_alone(directory);

    for (int i = 0; i < 3; i++) sqlite3_prepare_v2(db, texts[i], -1, &statements[i], NULL);
    for (unsigned i = 0; i < COMMITS; i++) {
        bare[i] = bare_commit(db, statements);
        ours[i] = our_commit(store, rows + 1000 + i);
    }
    for (int i = 0; i < 3; i++) sqlite3_finalize(statements[i]);
    sqlite3_close(db);
    printf("one page written and synced    %8.1f us\n", sync * 1e6);
    printf("bare SQLite commit             %8.1f us\n", median(bare, COMMITS) * 1e6);
    printf("a row added and committed      %8.1f us\n", median(ours, COMMITS) * 1e6);
    tell("a row added and committed", median(ours, COMMITS) / median(bare, COMMITS), 2, "bare commits");
}

static void time_reads(struct kl_store *store, const char *words, enum kl_query_by by, unsigned rows)
{
    static double times[LOOKS];
    struct kl_page page = { 0 };

    for (unsigned i = 0; i < LOOKS; i++) {
        char label[32];
        char key_id[32];
        struct kl_row row = row_of((i * 7919U) % rows, label, key_id);
        struct kl_query query = { .by = by, .label = row.label };
        struct kl_cursor cursor = { 0 };
        double begun = now();

        query.value = by == KL_BY_LABEL ? row.label : by == KL_BY_KEY_ID ? row.key_id : kl_view_of(row.id, sizeof row.id);
        need(kl_store_read(store, &query, &cursor, &page), words);
        times[i] = now() - begun;
        if (page.count != 1) exit(2);
    }
    kl_page_clear(&page);
    tell(words, median(times, LOOKS) * 1e6, 200, "us");
}

static void time_all(struct kl_store *store, const char *words, enum kl_query_by by)
{
    static const uint8_t parent[KL_ROW_ID_LEN] = { 1 };
    struct kl_query query = { .by = by, .value = kl_view_of(parent, by == KL_BY_PARENT ? sizeof parent : 0) };
    struct kl_cursor cursor = { 0 };
    struct kl_page page = { 0 };
    double begun = now();
    size_t count = 0;

    while (!cursor.done) {
        need(kl_store_read(store, &query, &cursor, &page), words);
        count += page.count;
    }
    kl_page_clear(&page);
    printf("%-30s %8.1f ms   %zu rows\n", words, (now() - begun) * 1e3, count);
}

static void time_changes(struct kl_store *store, unsigned rows)
{
    struct kl_txn *txn = NULL;
    double begun = now();
    double written;

    need(kl_store_begin(store, &txn), "begin");
    for (unsigned i = 0; i < CHANGES && i < rows; i++) {
        char label[32];
        char key_id[32];
        struct kl_row row = row_of(i, label, key_id);

        row.generation = 2;
        row.state = 2;
        need(kl_txn_change(txn, &row), "change");
    }
    written = now();
    need(kl_txn_commit(txn, NULL), "commit");
    printf("10,000 rows changed            %8.1f ms   of it the commit %.1f ms\n", (now() - begun) * 1e3, (now() - written) * 1e3);
}

static void fill(struct kl_store *store, unsigned rows)
{
    struct kl_txn *txn = NULL;
    double begun = now();

    need(kl_store_begin(store, &txn), "begin");
    need(kl_txn_record(txn, "token", kl_view_text("bench")), "record");
    for (unsigned i = 0; i < rows; i++) {
        char label[32];
        char key_id[32];
        struct kl_row row = row_of(i, label, key_id);

        need(kl_txn_add(txn, &row), "add");
    }
    need(kl_txn_commit(txn, NULL), "commit");
    printf("%u rows added              %8.1f ms\n", rows, (now() - begun) * 1e3);
}

static struct kl_store *open_store(const char *uri, const struct kl_secret *key)
{
    struct kl_store *store = NULL;
    double begun = now();

    need(kl_store_open(uri, KL_STORE_CREATE, INT64_C(5000000000), &store), "open");
    need(kl_store_unlock(store, key, kl_view_text("0123456789abcdef")), "unlock");
    printf("opened and unlocked            %8.1f us\n", (now() - begun) * 1e6);
    return store;
}

int main(int count, char **arguments)
{
    unsigned rows = count > 2 ? (unsigned)atoi(arguments[2]) : 100000;
    struct kl_secret key = { 0 };
    struct kl_store *store;
    char uri[512];

    if (count < 2 || rows == 0) {
        fprintf(stderr, "usage: bench_store DIRECTORY [ROWS]    (an empty directory, 0700)\n");
        return 2;
    }
    kl_arena_allow_unlocked(true);
    need(kl_secret_new(&key, 32), "key");
    snprintf(uri, sizeof uri, "sqlite:%s/bench.db", arguments[1]);
    store = open_store(uri, &key);
    fill(store, rows);
    kl_store_close(store);
    store = open_store(uri, &key);
    time_reads(store, "by label, as it comes", KL_BY_LABEL, rows);
    time_reads(store, "by label, again", KL_BY_LABEL, rows);
    time_reads(store, "by CKA_ID", KL_BY_KEY_ID, rows);
    time_reads(store, "by row", KL_BY_ROW, rows);
    time_all(store, "all", KL_BY_ALL);
    /* Each child's bucket is checked: of a million it takes minutes. */
    if (rows <= CHILDREN) time_all(store, "by parent", KL_BY_PARENT);
    compare_commits(store, arguments[1], rows);
    time_changes(store, rows);
    kl_store_close(store);
    kl_secret_clear(&key);
    return 0;
}
