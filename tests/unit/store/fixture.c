/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void need(bool is_so, const char *what)
{
    if (is_so) return;
    fprintf(stderr, "the fixture failed: %s: %s (%s)\n", what, kl_fail_words(), strerror(errno));
    exit(1);
}

/* --- stores --- */

static void make_key(struct fixture *fixture)
{
    memset(&fixture->key, 0, sizeof fixture->key);
    need(kl_secret_new(&fixture->key, 32) == KL_OK, "a key");
    memset(fixture->key.data, 0x5a, fixture->key.len);
}

void fixture_begin_closed(struct fixture *fixture)
{
    const char *temporary = getenv("TMPDIR");

    memset(fixture, 0, sizeof *fixture);
    /* In memory, where there is such a place: what is synced is counted, not waited for. */
    if (temporary == NULL || strlen(temporary) > 30) temporary = access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(fixture->directory, sizeof fixture->directory, "%s/keyladder-store-XXXXXX", temporary);
    need(mkdtemp(fixture->directory) != NULL, "mkdtemp");
    snprintf(fixture->path, sizeof fixture->path, "%s/s.db", fixture->directory);
    snprintf(fixture->uri, sizeof fixture->uri, "sqlite:%s", fixture->path);
    kl_arena_allow_unlocked(true);
    make_key(fixture);
}

void fixture_abandon(struct fixture *fixture)
{
    kl_arena_abandon();
    if (fixture->store != NULL) kl_store_abandon(fixture->store);
    fixture->store = NULL;
    make_key(fixture);
}

void fixture_begin(struct fixture *fixture)
{
    fixture_begin_closed(fixture);
    need(kl_store_open(fixture->uri, KL_STORE_CREATE, FIXTURE_TIMEOUT, &fixture->store) == KL_OK, "a store");
    need(kl_store_unlock(fixture->store, &fixture->key, kl_view_text(FIXTURE_SERIAL)) == KL_OK, "unlocking it");
    need(fixture_record(fixture->store, "token", "first") == KL_OK, "a record");
}

void fixture_end(struct fixture *fixture)
{
    DIR *directory = opendir(fixture->directory);
    struct dirent *entry;

    fixture_close(fixture);
    kl_secret_clear(&fixture->key);
    while (directory != NULL && (entry = readdir(directory)) != NULL) unlinkat(dirfd(directory), entry->d_name, 0);
    if (directory != NULL) closedir(directory);
    rmdir(fixture->directory);
}

enum kl_rc fixture_open(struct fixture *fixture)
{
    enum kl_rc rc = kl_store_open(fixture->uri, KL_STORE_EXISTING, FIXTURE_TIMEOUT, &fixture->store);

    if (rc != KL_OK) return rc;
    rc = kl_store_unlock(fixture->store, &fixture->key, kl_view_text(FIXTURE_SERIAL));
    if (rc != KL_OK) fixture_close(fixture);
    return rc;
}

void fixture_close(struct fixture *fixture)
{
    kl_store_close(fixture->store);
    fixture->store = NULL;
}

const char *fixture_path(const struct fixture *fixture, const char *suffix)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof paths[0], "%s%s", fixture->path, suffix);
    return path;
}

/* --- rows --- */

struct kl_row fixture_row_named(unsigned number, const char *label, const char *key_id)
{
    static const uint8_t sealed[60] = "nonce and ciphertext and tag";
    static const uint8_t metadata[150] = "metadata";
    struct kl_row row = { .generation = 1, .created_at = 1700000000, .is_active = true, .state = 1 };
    uint64_t mixed = (number + 1) * UINT64_C(0x9e3779b97f4a7c15);

    memcpy(row.id, &mixed, sizeof mixed);
    memcpy(row.id + 8, &number, sizeof number);
    row.parent[0] = 7;
    row.key_type = kl_view_text("free");
    row.key_id = kl_view_text(key_id);
    row.encrypted_key = kl_view_of(sealed, sizeof sealed);
    row.key_hash = kl_view_of(sealed, 16);
    row.algorithm = kl_view_text("AES-256");
    row.label = kl_view_text(label);
    row.metadata = kl_view_of(metadata, sizeof metadata);
    return row;
}

/* Names are kept for so many rows of a thread, then used again. */
enum { KEPT = 2048 };

struct kl_row fixture_row(unsigned number)
{
    static _Thread_local char labels[KEPT][24];
    static _Thread_local char ids[KEPT][24];
    static _Thread_local unsigned next;
    unsigned at = next++ % KEPT;

    snprintf(labels[at], sizeof labels[at], "label-%u", number);
    snprintf(ids[at], sizeof ids[at], "id-%u", number);
    return fixture_row_named(number, labels[at], ids[at]);
}

typedef enum kl_rc change_fn(struct kl_txn *txn, const struct kl_row *row);

static enum kl_rc one(struct kl_store *store, change_fn *change, const struct kl_row *row)
{
    struct kl_txn *txn = NULL;
    enum kl_rc rc = kl_store_begin(store, &txn);

    if (rc != KL_OK) return rc;
    rc = change(txn, row);
    if (rc == KL_OK) return kl_txn_commit(txn, NULL);
    kl_txn_abort(txn);
    return rc;
}

static enum kl_rc add(struct kl_txn *txn, const struct kl_row *row)
{
    return kl_txn_add(txn, row);
}

static enum kl_rc change(struct kl_txn *txn, const struct kl_row *row)
{
    return kl_txn_change(txn, row);
}

static enum kl_rc drop(struct kl_txn *txn, const struct kl_row *row)
{
    return kl_txn_remove(txn, row->id, row->generation);
}

enum kl_rc fixture_add(struct kl_store *store, const struct kl_row *row)
{
    return one(store, add, row);
}

enum kl_rc fixture_change(struct kl_store *store, const struct kl_row *row)
{
    return one(store, change, row);
}

enum kl_rc fixture_remove(struct kl_store *store, const struct kl_row *row)
{
    return one(store, drop, row);
}

enum kl_rc fixture_add_many(struct kl_store *store, unsigned first, unsigned count)
{
    struct kl_txn *txn = NULL;
    enum kl_rc rc = kl_store_begin(store, &txn);

    if (rc != KL_OK) return rc;
    for (unsigned i = 0; i < count && rc == KL_OK; i++) {
        struct kl_row row = fixture_row(first + i);

        rc = kl_txn_add(txn, &row);
    }
    if (rc == KL_OK) return kl_txn_commit(txn, NULL);
    kl_txn_abort(txn);
    return rc;
}

enum kl_rc fixture_record(struct kl_store *store, const char *name, const char *value)
{
    struct kl_txn *txn = NULL;
    enum kl_rc rc = kl_store_begin(store, &txn);

    if (rc != KL_OK) return rc;
    rc = kl_txn_record(txn, name, value == NULL ? (struct kl_view){ NULL, 0 } : kl_view_text(value));
    if (rc == KL_OK) return kl_txn_commit(txn, NULL);
    kl_txn_abort(txn);
    return rc;
}

/* --- looking --- */

enum kl_rc fixture_count(struct kl_store *store, enum kl_query_by by, const void *value, size_t len, size_t *count)
{
    struct kl_query query = { .by = by, .value = kl_view_of(value, len) };
    struct kl_cursor cursor = { 0 };
    struct kl_page page = { 0 };
    enum kl_rc rc = KL_OK;

    *count = 0;
    while (rc == KL_OK && !cursor.done) {
        rc = kl_store_read(store, &query, &cursor, &page);
        if (rc == KL_OK) *count += page.count;
    }
    kl_page_clear(&page);
    return rc;
}

enum kl_rc fixture_find(struct kl_store *store, const char *label, size_t *count)
{
    return fixture_count(store, KL_BY_LABEL, label, strlen(label), count);
}

bool fixture_has(struct kl_store *store, const struct kl_row *row)
{
    struct kl_query query = { .by = KL_BY_ROW, .value = kl_view_of(row->id, sizeof row->id), .label = row->label };
    struct kl_cursor cursor = { 0 };
    struct kl_page page = { 0 };
    bool has = kl_store_read(store, &query, &cursor, &page) == KL_OK && page.count == 1 && page.rows[0].generation == row->generation &&
               kl_view_is(page.rows[0].label, row->label);

    kl_page_clear(&page);
    return has;
}

static void tell(void *user, const char *words)
{
    (void)user;
    if (getenv("VERBOSE") != NULL) fprintf(stderr, "  %s\n", words);
}

int64_t fixture_check(struct kl_store *store, uint64_t *rows)
{
    struct kl_store_report report;

    if (kl_store_check(store, tell, NULL, &report) != KL_OK) return -1;
    if (rows != NULL) *rows = report.rows;
    return (int64_t)report.hurt;
}

/* --- from outside --- */

static int run_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    char *words = NULL;
    int code = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix");

    sqlite3_busy_timeout(db, 10000);
    if (code == SQLITE_OK) code = sqlite3_exec(db, sql, NULL, NULL, &words);
    if (code != SQLITE_OK) fprintf(stderr, "%s: %s\n", sql, words == NULL ? "not opened" : words);
    sqlite3_free(words);
    if (sqlite3_close(db) != SQLITE_OK) code = SQLITE_MISUSE;
    return code == SQLITE_OK ? 0 : 1;
}

bool fixture_meddle(const struct fixture *fixture, const char *sql)
{
    pid_t child;
    int status = 1;

    fflush(NULL);
    child = fork();
    if (child == 0) _exit(run_sql(fixture->path, sql));
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

bool fixture_copy_out(const struct fixture *fixture, const char *to)
{
    char sql[256];

    snprintf(sql, sizeof sql, "VACUUM INTO '%s'", to);
    return fixture_meddle(fixture, sql);
}

void fixture_write_file(const char *path, const void *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    need(fd >= 0 && write(fd, data, len) == (ssize_t)len, path);
    close(fd);
}

/* --- a disk that fails --- */

struct fixture_fault fixture_fault;

static bool concerns(int fd)
{
    char link[32];
    char path[256];
    ssize_t len;
    size_t end;

    if (fixture_fault.suffix == NULL) return true;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    len = readlink(link, path, sizeof path);
    end = strlen(fixture_fault.suffix);
    return len > (ssize_t)end && memcmp(path + len - end, fixture_fault.suffix, end) == 0;
}

/* True: the call is to fail, errno says how. */
static bool strikes(int fd)
{
    unsigned number;

    if (fd >= 0 && !concerns(fd)) return false;
    number = __atomic_add_fetch(&fixture_fault.count, 1, __ATOMIC_RELAXED);
    if (fixture_fault.fail_at == 0 || number < fixture_fault.fail_at) return false;
    if (number > fixture_fault.fail_at && !fixture_fault.goes_on) return false;
    errno = fixture_fault.error;
    return true;
}

static void die_if_due(void)
{
    if (fixture_fault.die_at != 0 && fixture_fault.count >= fixture_fault.die_at) raise(SIGKILL);
}

static int fault_open(const char *path, int flags, mode_t mode)
{
    if ((flags & O_CREAT) != 0) {
        if (strikes(-1)) return -1;
        die_if_due();
    }
    return kl_disk_system.open(path, flags, mode);
}

static ssize_t fault_read(int fd, void *data, size_t len, off_t at)
{
    if (fixture_fault.reads_too && strikes(fd)) return -1;
    return kl_disk_system.read(fd, data, len, at);
}

static ssize_t fault_write(int fd, const void *data, size_t len, off_t at)
{
    if (strikes(fd)) return -1;
    if (fixture_fault.torn && fixture_fault.die_at != 0 && fixture_fault.count >= fixture_fault.die_at) {
        kl_disk_system.write(fd, data, len / 2, at);
    }
    die_if_due();
    return kl_disk_system.write(fd, data, len, at);
}

static int fault_truncate(int fd, off_t len)
{
    if (strikes(fd)) return -1;
    die_if_due();
    return kl_disk_system.truncate(fd, len);
}

static int fault_sync(int fd)
{
    if (strikes(fd)) return -1;
    die_if_due();
    return kl_disk_system.sync(fd);
}

static int fault_unlink(const char *path)
{
    /* A disk that is full, or that fails for good, still lets names go. */
    if (strikes(-1) && !fixture_fault.goes_on && fixture_fault.error == EIO) return -1;
    die_if_due();
    return kl_disk_system.unlink(path);
}

static int plain_stat(int fd, struct stat *status)
{
    return kl_disk_system.stat(fd, status);
}

static int plain_lock(int fd, int command, struct flock *lock)
{
    return kl_disk_system.lock(fd, command, lock);
}

static void *plain_map(int fd, size_t len, off_t at, bool write)
{
    return kl_disk_system.map(fd, len, at, write);
}

static const struct kl_disk faulty = {
    .open = fault_open,
    .stat = plain_stat,
    .read = fault_read,
    .write = fault_write,
    .truncate = fault_truncate,
    .sync = fault_sync,
    .unlink = fault_unlink,
    .lock = plain_lock,
    .map = plain_map,
};

void fixture_fault_on(void)
{
    fixture_fault.count = 0;
    kl_disk = &faulty;
}

void fixture_fault_off(void)
{
    kl_disk = &kl_disk_system;
    memset(&fixture_fault, 0, sizeof fixture_fault);
}
