/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* SQLite's own way to its files, in another process, and ours: they exclude each other and read what the other wrote. */
#include "store/vfs.h"

#include "../unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "fixture.h"

/* --- another process that does as it is told, with SQLite's own files --- */

struct other {
    pid_t pid;
    int commands;
    int answers;
};

static int answer_to(sqlite3 *db, const char *command)
{
    char *words = NULL;
    int code;

    if (command[0] == '?') {
        sqlite3_stmt *statement = NULL;

        code = sqlite3_prepare_v2(db, command + 1, -1, &statement, NULL);
        if (code == SQLITE_OK) code = sqlite3_step(statement);
        if (code == SQLITE_ROW) code = 1000 + sqlite3_column_int(statement, 0);
        sqlite3_finalize(statement);
        return code;
    }
    code = sqlite3_exec(db, command, NULL, NULL, &words);
    sqlite3_free(words);
    return code;
}

static void obey(const char *path, int commands, int answers)
{
    sqlite3 *db = NULL;
    char command[512];

    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "unix") != SQLITE_OK) _exit(1);
    while (read(commands, command, sizeof command) == sizeof command) {
        int code = answer_to(db, command);

        if (write(answers, &code, sizeof code) != sizeof code) _exit(2);
    }
    sqlite3_close(db);
    _exit(0);
}

static struct other other_begin(const struct fixture *f)
{
    struct other other = { 0 };
    int down[2] = { -1, -1 };
    int up[2] = { -1, -1 };

    fflush(NULL);
    CU_ASSERT_FATAL(pipe2(down, O_CLOEXEC) == 0 && pipe2(up, O_CLOEXEC) == 0);
    other.pid = fork();
    if (other.pid == 0) {
        close(down[1]);
        close(up[0]);
        obey(f->path, down[0], up[1]);
    }
    close(down[0]);
    close(up[1]);
    other.commands = down[1];
    other.answers = up[0];
    return other;
}

/* SQLite's code for it, or for one that begins with a question mark 1000 + the number it gave. */
static int tell(struct other *other, const char *command)
{
    char whole[512] = { 0 };
    int code = -1;

    snprintf(whole, sizeof whole, "%s", command);
    if (write(other->commands, whole, sizeof whole) != sizeof whole || read(other->answers, &code, sizeof code) != sizeof code) return -1;
    return code;
}

static void other_end(struct other *other)
{
    close(other->commands);
    close(other->answers);
    waitpid(other->pid, NULL, 0);
}

static enum kl_rc begin_within(struct fixture *f, int64_t timeout)
{
    struct kl_txn *txn = NULL;
    struct kl_store *store = NULL;
    enum kl_rc rc;

    fixture_close(f);
    rc = kl_store_open(f->uri, KL_STORE_EXISTING, timeout, &store);
    if (rc != KL_OK) return rc;
    rc = kl_store_unlock(store, &f->key, kl_view_text(FIXTURE_SERIAL));
    if (rc == KL_OK) rc = kl_store_begin(store, &txn);
    kl_txn_abort(txn);
    kl_store_close(store);
    return rc;
}

/* --- tests --- */

static void while_we_write_sqlite_may_not(void)
{
    struct fixture f;
    struct other other;
    struct kl_txn *txn = NULL;

    fixture_begin(&f);
    other = other_begin(&f);
    CU_ASSERT_EQUAL(kl_store_begin(f.store, &txn), KL_OK);
    CU_ASSERT_EQUAL(tell(&other, "BEGIN IMMEDIATE"), SQLITE_BUSY);
    CU_ASSERT_EQUAL(tell(&other, "?SELECT count(*) FROM token_records"), 1001);
    kl_txn_abort(txn);
    CU_ASSERT_EQUAL(tell(&other, "BEGIN IMMEDIATE; ROLLBACK"), SQLITE_OK);
    other_end(&other);
    fixture_end(&f);
}

static void while_sqlite_writes_we_wait_and_then_say_so(void)
{
    struct fixture f;
    struct other other;
    size_t count;

    fixture_begin(&f);
    CU_ASSERT_EQUAL(fixture_add_many(f.store, 0, 5), KL_OK);
    other = other_begin(&f);
    CU_ASSERT_EQUAL(tell(&other, "BEGIN IMMEDIATE"), SQLITE_OK);
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-1", &count), KL_OK);
    CU_ASSERT_EQUAL(begin_within(&f, INT64_C(100000000)), KL_STORE_BUSY);
    CU_ASSERT_PTR_NOT_NULL(strstr(kl_fail_words(), "100 ms"));
    CU_ASSERT_EQUAL(tell(&other, "COMMIT"), SQLITE_OK);
    CU_ASSERT_EQUAL(begin_within(&f, INT64_C(100000000)), KL_OK);
    other_end(&other);
    fixture_end(&f);
}

static void each_reads_what_the_other_has_in_its_log(void)
{
    struct fixture f;
    struct other other;
    struct stat status;
    uint32_t used = 0;

    fixture_begin(&f);
    other = other_begin(&f);
    CU_ASSERT_EQUAL(tell(&other, "?SELECT count(*) FROM encryption_keys"), 1000);
    CU_ASSERT_EQUAL(fixture_add_many(f.store, 0, 7), KL_OK);
    CU_ASSERT_EQUAL(tell(&other, "?SELECT count(*) FROM encryption_keys"), 1007);
    CU_ASSERT_EQUAL(tell(&other, "INSERT INTO pin_tries VALUES('pin/user', 5)"), SQLITE_OK);
    CU_ASSERT_EQUAL(kl_store_tries(f.store, "pin/user", &used), KL_OK);
    CU_ASSERT_EQUAL(used, 5);
    CU_ASSERT(stat(fixture_path(&f, "-wal"), &status) == 0 && status.st_size > 0);
    for (int i = 0; i < 30; i++) {
        char sql[64];

        CU_ASSERT_EQUAL(fixture_add_many(f.store, 100U * (unsigned)i + 100, 3), KL_OK);
        snprintf(sql, sizeof sql, "UPDATE pin_tries SET used = %d", i);
        CU_ASSERT_EQUAL(tell(&other, sql), SQLITE_OK);
        CU_ASSERT(kl_store_tries(f.store, "pin/user", &used) == KL_OK && used == (uint32_t)i);
        CU_ASSERT_EQUAL(tell(&other, "?SELECT count(*) FROM encryption_keys"), 1010 + 3 * i);
        if (i % 7 == 0) CU_ASSERT_EQUAL(tell(&other, "?PRAGMA wal_checkpoint(TRUNCATE)"), 1000);
    }
    CU_ASSERT_EQUAL(fixture_check(f.store, NULL), 0);
    other_end(&other);
    fixture_end(&f);
}

static void a_snapshot_that_sqlite_reads_from_stays_while_we_write(void)
{
    struct fixture f;
    struct other other;

    fixture_begin(&f);
    other = other_begin(&f);
    CU_ASSERT_EQUAL(tell(&other, "BEGIN"), SQLITE_OK);
    CU_ASSERT_EQUAL(tell(&other, "?SELECT count(*) FROM encryption_keys"), 1000);
    /* Enough to have the log written back, which must stop short of what is still read. */
    for (unsigned i = 0; i < 150; i++) CU_ASSERT_EQUAL(fixture_add_many(f.store, i * 10, 10), KL_OK);
    CU_ASSERT_EQUAL(tell(&other, "?SELECT count(*) FROM encryption_keys"), 1000);
    CU_ASSERT_EQUAL(tell(&other, "?PRAGMA integrity_check"), 1000);
    CU_ASSERT_EQUAL(tell(&other, "COMMIT"), SQLITE_OK);
    CU_ASSERT_EQUAL(tell(&other, "?SELECT count(*) FROM encryption_keys"), 2500);
    other_end(&other);
    fixture_end(&f);
}

static void sqlite_cannot_take_the_whole_file_while_we_have_it_open(void)
{
    struct fixture f;
    struct other other;

    fixture_begin(&f);
    other = other_begin(&f);
    CU_ASSERT_EQUAL(tell(&other, "PRAGMA journal_mode = DELETE"), SQLITE_BUSY);
    fixture_close(&f);
    CU_ASSERT_EQUAL(tell(&other, "PRAGMA journal_mode = DELETE"), SQLITE_OK);
    CU_ASSERT_EQUAL(tell(&other, "BEGIN EXCLUSIVE"), SQLITE_OK);
    CU_ASSERT_EQUAL(begin_within(&f, INT64_C(100000000)), KL_STORE_BUSY);
    CU_ASSERT_EQUAL(tell(&other, "COMMIT"), SQLITE_OK);
    /* And it becomes a write-ahead log again. */
    CU_ASSERT_EQUAL(fixture_open(&f), KL_OK);
    CU_ASSERT_EQUAL(fixture_add_many(f.store, 0, 5), KL_OK);
    CU_ASSERT_EQUAL(tell(&other, "?SELECT count(*) FROM encryption_keys"), 1005);
    other_end(&other);
    fixture_end(&f);
}

static void we_closing_leave_sqlite_its_log(void)
{
    struct fixture f;
    struct other other;

    fixture_begin(&f);
    other = other_begin(&f);
    CU_ASSERT_EQUAL(tell(&other, "?SELECT count(*) FROM encryption_keys"), 1000);
    CU_ASSERT_EQUAL(fixture_add_many(f.store, 0, 5), KL_OK);
    fixture_close(&f);
    CU_ASSERT_EQUAL(access(fixture_path(&f, "-wal"), F_OK), 0);
    CU_ASSERT_EQUAL(access(fixture_path(&f, "-shm"), F_OK), 0);
    CU_ASSERT_EQUAL(tell(&other, "?SELECT count(*) FROM encryption_keys"), 1005);
    CU_ASSERT_EQUAL(fixture_open(&f), KL_OK);
    other_end(&other);
    CU_ASSERT_EQUAL(access(fixture_path(&f, "-wal"), F_OK), 0);
    CU_ASSERT_EQUAL(fixture_add_many(f.store, 5, 5), KL_OK);
    fixture_close(&f);
    CU_ASSERT_NOT_EQUAL(access(fixture_path(&f, "-wal"), F_OK), 0);
    CU_ASSERT_NOT_EQUAL(access(fixture_path(&f, "-shm"), F_OK), 0);
    fixture_end(&f);
}

static void a_transaction_that_sqlite_died_in_is_rolled_back_by_us(void)
{
    struct fixture f;
    struct other other;
    uint64_t rows = 0;

    fixture_begin(&f);
    CU_ASSERT_EQUAL(fixture_add_many(f.store, 0, 2000), KL_OK);
    fixture_close(&f);
    other = other_begin(&f);
    CU_ASSERT_EQUAL(tell(&other, "PRAGMA journal_mode = DELETE"), SQLITE_OK);
    /* A cache too small for it, so that pages are in the file already, and their old content in a journal. */
    CU_ASSERT_EQUAL(tell(&other, "PRAGMA cache_size = 5; BEGIN; UPDATE encryption_keys SET state = 9, metadata = randomblob(300)"),
                    SQLITE_OK);
    CU_ASSERT_EQUAL(access(fixture_path(&f, "-journal"), F_OK), 0);
    kill(other.pid, SIGKILL);
    other_end(&other);
    CU_ASSERT_EQUAL(chmod(fixture_path(&f, "-journal"), 0600), 0);
    CU_ASSERT_EQUAL(fixture_open(&f), KL_OK);
    CU_ASSERT_EQUAL(fixture_check(f.store, &rows), 0);
    CU_ASSERT_EQUAL(rows, 2000);
    CU_ASSERT_NOT_EQUAL(access(fixture_path(&f, "-journal"), F_OK), 0);
    fixture_end(&f);
}

static void a_log_that_sqlite_died_with_is_recovered_by_us(void)
{
    struct fixture f;
    struct other other;
    uint32_t used = 0;

    fixture_begin(&f);
    fixture_close(&f);
    other = other_begin(&f);
    CU_ASSERT_EQUAL(tell(&other, "INSERT INTO pin_tries VALUES('pin/user', 5)"), SQLITE_OK);
    kill(other.pid, SIGKILL);
    other_end(&other);
    CU_ASSERT_EQUAL(access(fixture_path(&f, "-wal"), F_OK), 0);
    CU_ASSERT_EQUAL(fixture_open(&f), KL_OK);
    CU_ASSERT(kl_store_tries(f.store, "pin/user", &used) == KL_OK && used == 5);
    fixture_end(&f);
}

static void a_log_that_we_died_with_is_recovered_by_sqlite(void)
{
    struct fixture f;
    struct other other;
    pid_t child;

    fixture_begin(&f);
    fixture_close(&f);
    fflush(NULL);
    child = fork();
    if (child == 0) {
        fixture_abandon(&f);
        if (fixture_open(&f) != KL_OK || fixture_add_many(f.store, 0, 50) != KL_OK) _exit(1);
        raise(SIGKILL);
    }
    CU_ASSERT_EQUAL(waitpid(child, NULL, 0), child);
    CU_ASSERT_EQUAL(access(fixture_path(&f, "-wal"), F_OK), 0);
    other = other_begin(&f);
    CU_ASSERT_EQUAL(tell(&other, "?SELECT count(*) FROM encryption_keys"), 1050);
    other_end(&other);
    CU_ASSERT_EQUAL(fixture_open(&f), KL_OK);
    CU_ASSERT_EQUAL(fixture_check(f.store, NULL), 0);
    fixture_end(&f);
}

static unsigned directories_synced, files_synced;

static int count_sync(int fd)
{
    struct stat status;

    if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
        directories_synced++;
    } else {
        files_synced++;
    }
    return kl_disk_system.sync(fd);
}

/* A new log must be found after a loss of power as soon as something lies in it, and not before. */
static void reading_waits_for_no_disk_and_the_first_commit_makes_the_log_durable(void)
{
    struct kl_disk counting = kl_disk_system;
    struct fixture f;
    struct kl_row row = fixture_row(1), other = fixture_row(2);
    size_t count = 0;

    fixture_begin(&f);
    CU_ASSERT_EQUAL(fixture_add(f.store, &row), KL_OK);
    fixture_close(&f);
    CU_ASSERT_NOT_EQUAL(access(fixture_path(&f, "-wal"), F_OK), 0);
    counting.sync = count_sync;
    kl_disk = &counting;
    CU_ASSERT_EQUAL_FATAL(fixture_open(&f), KL_OK);
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-1", &count), KL_OK);
    CU_ASSERT_EQUAL(access(fixture_path(&f, "-wal"), F_OK), 0);
    CU_ASSERT(directories_synced == 0 && files_synced == 0);
    CU_ASSERT_EQUAL(fixture_add(f.store, &other), KL_OK);
    CU_ASSERT(directories_synced == 1 && files_synced > 0);
    files_synced = 0;
    CU_ASSERT_EQUAL(fixture_remove(f.store, &other), KL_OK);
    CU_ASSERT(directories_synced == 1 && files_synced > 0);
    kl_disk = &kl_disk_system;
    fixture_end(&f);
}

static void take_one(struct fixture *f, const struct kl_row *row)
{
    uint64_t got = 0, used = 0;

    CU_ASSERT_EQUAL(kl_store_budget_take(f->store, row->id, 1, INT64_MAX, &got, &used), KL_OK);
}

/* A count is written and not waited for; a change of keys is, and so is the log that a checkpoint copies from. */
static void counting_waits_for_no_disk_but_checkpoints_and_changes_do(void)
{
    struct kl_disk counting = kl_disk_system;
    struct fixture f;
    struct kl_row row = fixture_row(1), other = fixture_row(2);
    uint64_t used = 0;
    unsigned takes = 0;

    fixture_begin(&f);
    CU_ASSERT_EQUAL(fixture_add(f.store, &row), KL_OK);
    take_one(&f, &row);
    counting.sync = count_sync;
    kl_disk = &counting;
    files_synced = directories_synced = 0;
    for (; takes < 20; takes++) take_one(&f, &row);
    CU_ASSERT(files_synced == 0 && directories_synced == 0);
    CU_ASSERT_EQUAL(fixture_add(f.store, &other), KL_OK);
    CU_ASSERT(files_synced > 0);
    files_synced = 0;
    while (files_synced == 0 && takes < 2000) {
        take_one(&f, &row);
        takes++;
    }
    /* The log and the database. */
    CU_ASSERT(files_synced >= 2 && takes > 100);
    kl_disk = &kl_disk_system;
    CU_ASSERT_EQUAL(kl_store_budget(f.store, row.id, &used), KL_OK);
    CU_ASSERT_EQUAL(used, takes + 1);
    CU_ASSERT_EQUAL(fixture_check(f.store, NULL), 0);
    fixture_end(&f);
}

static void a_file_that_sqlite_wants_for_a_while_is_refused(void)
{
    sqlite3 *db = NULL;
    struct fixture f;

    fixture_begin_closed(&f);
    fixture_write_file(f.path, "", 0);
    CU_ASSERT_EQUAL_FATAL(sqlite3_open_v2(f.path, &db, SQLITE_OPEN_READWRITE, kl_vfs_name()), SQLITE_OK);
    /* Temporary files would lie somewhere with what is in the store. */
    CU_ASSERT_NOT_EQUAL(sqlite3_exec(db,
                                     "PRAGMA temp_store = FILE; PRAGMA cache_size = 1; CREATE TEMP TABLE t AS WITH RECURSIVE "
                                     "c(x) AS (VALUES(1) UNION ALL SELECT x + 1 FROM c WHERE x < 20000) SELECT x, randomblob(200) FROM c",
                                     NULL, NULL, NULL),
                        SQLITE_OK);
    sqlite3_close(db);
    CU_ASSERT_NOT_EQUAL(sqlite3_open_v2("relative.db", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, kl_vfs_name()), SQLITE_OK);
    sqlite3_close(db);
    fixture_end(&f);
}

UNIT_MAIN("store/vfs", UNIT(while_we_write_sqlite_may_not), UNIT(while_sqlite_writes_we_wait_and_then_say_so),
          UNIT(each_reads_what_the_other_has_in_its_log), UNIT(a_snapshot_that_sqlite_reads_from_stays_while_we_write),
          UNIT(sqlite_cannot_take_the_whole_file_while_we_have_it_open), UNIT(we_closing_leave_sqlite_its_log),
          UNIT(a_transaction_that_sqlite_died_in_is_rolled_back_by_us), UNIT(a_log_that_sqlite_died_with_is_recovered_by_us),
          UNIT(a_log_that_we_died_with_is_recovered_by_sqlite), UNIT(a_file_that_sqlite_wants_for_a_while_is_refused),
          UNIT(reading_waits_for_no_disk_and_the_first_commit_makes_the_log_durable),
          UNIT(counting_waits_for_no_disk_but_checkpoints_and_changes_do))
