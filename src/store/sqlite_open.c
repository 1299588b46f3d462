/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Opening an SQLite store: is the file safe, is it ours, does it have our schema and nothing else. */
#include "store/sqlite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/file.h"
#include "store/vfs.h"
#include "store/wait.h"

/* STRICT tables came with 3.37. */
enum { OLDEST_SQLITE = 3037000 };
enum { HEADER_LEN = 100, VERSION_AT = 60, APPLICATION_AT = 68 };

static const char *const schema[][3] = {
    /* type, name, text as sqlite_schema has it, by ascending name */
    { "table", "bucket_groups", "CREATE TABLE bucket_groups(number INTEGER PRIMARY KEY, macs BLOB) STRICT" },
    { "table", "budget_root",
      "CREATE TABLE budget_root(number INTEGER PRIMARY KEY CHECK (number = 1), epoch INTEGER, buckets BLOB, mac BLOB) STRICT" },
    { "table", "encryption_keys",
      "CREATE TABLE encryption_keys(id BLOB PRIMARY KEY, key_type TEXT, key_id BLOB, encrypted_key BLOB, key_hash BLOB, algorithm TEXT, "
      "created_at INTEGER, expires_at INTEGER, is_active INTEGER, rotation_count INTEGER, metadata BLOB, label BLOB, parent BLOB, "
      "state INTEGER, generation INTEGER, is_public INTEGER, digest BLOB, label_bucket INTEGER, id_bucket INTEGER) STRICT, WITHOUT ROWID" },
    { "table", "key_budgets", "CREATE TABLE key_budgets(id BLOB PRIMARY KEY, used INTEGER) STRICT, WITHOUT ROWID" },
    { "index", "keys_by_id", "CREATE INDEX keys_by_id ON encryption_keys(id_bucket, id, generation, digest)" },
    { "index", "keys_by_label", "CREATE INDEX keys_by_label ON encryption_keys(label_bucket, id, generation, digest)" },
    { "index", "keys_by_parent", "CREATE INDEX keys_by_parent ON encryption_keys(parent, id)" },
    { "index", "keys_public", "CREATE INDEX keys_public ON encryption_keys(id) WHERE is_public = 1" },
    { "table", "pin_tries", "CREATE TABLE pin_tries(name TEXT PRIMARY KEY, used INTEGER) STRICT, WITHOUT ROWID" },
    { "table", "store_root",
      "CREATE TABLE store_root(number INTEGER PRIMARY KEY CHECK (number = 1), epoch INTEGER, row_count INTEGER, records BLOB, groups BLOB, "
      "mac BLOB) STRICT" },
    { "table", "token_records", "CREATE TABLE token_records(name TEXT PRIMARY KEY, value BLOB) STRICT, WITHOUT ROWID" },
};
enum { SCHEMA_COUNT = sizeof schema / sizeof schema[0] };

/* Tables before their indexes. */
static const int creation[SCHEMA_COUNT] = { 0, 1, 2, 3, 8, 9, 10, 4, 5, 6, 7 };

/* What stores from before there were counts of encryptions lack, and are given when they are opened for writing. */
static const int added[] = { 1, 3 };
enum { ADDED_COUNT = sizeof added / sizeof added[0] };

static bool is_added(size_t at)
{
    for (size_t i = 0; i < ADDED_COUNT; i++) {
        if ((size_t)added[i] == at) return true;
    }
    return false;
}

/* --- the file, before SQLite sees it --- */

static uint32_t number_at(const uint8_t *header, size_t at)
{
    struct kl_reader reader = kl_reader_of(kl_view_of(header + at, 4));

    return kl_read_u32(&reader);
}

static enum kl_rc check_version(const char *path, uint32_t application, int64_t version)
{
    if (application != KL_SQLITE_APPLICATION) return kl_fail(KL_INTEGRITY, "%s is a database of something else, not of keyladder", path);
    if (version > KL_STORE_FORMAT) {
        return kl_fail(KL_STORE_OTHER, "%s has format %lld, this keyladder knows up to %d; it was not touched", path, (long long)version,
                       KL_STORE_FORMAT);
    }
    if (version == 1) {
        return kl_fail(
            KL_STORE_OTHER,
            "%s has format 1, of a keyladder before its first release; this one has format %d and cannot read it; it was not touched", path,
            KL_STORE_FORMAT);
    }
    if (version < 1) return kl_fail(KL_INTEGRITY, "%s says that it has format %lld, which never was", path, (long long)version);
    return KL_OK;
}

/* Whatever is no store is refused before SQLite might write to it. */
static enum kl_rc check_header(int fd, const char *path)
{
    uint8_t header[HEADER_LEN];
    ssize_t got = pread(fd, header, sizeof header, 0);

    if (got < 0) return kl_fail(KL_STORE, "%s cannot be read: %s", path, strerror(errno));
    if (got == 0) return KL_OK;
    if (got < HEADER_LEN || memcmp(header, "SQLite format 3", 16) != 0) return kl_fail(KL_INTEGRITY, "%s is not an SQLite database", path);
    /* A database whose making was cut short has neither yet; what its log holds is looked at later. */
    if (number_at(header, APPLICATION_AT) == 0 && number_at(header, VERSION_AT) == 0) return KL_OK;
    return check_version(path, number_at(header, APPLICATION_AT), (int32_t)number_at(header, VERSION_AT));
}

static enum kl_rc check_empty(const char *path, enum kl_store_mode mode)
{
    char log[KL_SQLITE_PATH_MAX + 8];
    struct stat status;

    if (mode == KL_STORE_EXISTING) return kl_fail(KL_NOT_FOUND, "%s is empty", path);
    snprintf(log, sizeof log, "%s-wal", path);
    if (stat(log, &status) == 0 && status.st_size > 0) {
        return kl_fail(KL_INTEGRITY, "%s is empty but %s is not: the store was cut off; bring it back from a backup", path, log);
    }
    return KL_OK;
}

static enum kl_rc check_file(struct kl_sqlite *sqlite, int fd, enum kl_store_mode mode)
{
    struct stat status;

    if (fstat(fd, &status) != 0) return kl_fail(KL_STORE, "%s: %s", sqlite->path, strerror(errno));
    sqlite->claim.device = status.st_dev;
    sqlite->claim.inode = status.st_ino;
    if (status.st_size == 0) KL_TRY(check_empty(sqlite->path, mode));
    return check_header(fd, sqlite->path);
}

static enum kl_rc look_at_file(struct kl_sqlite *sqlite, enum kl_store_mode mode)
{
    unsigned flags = KL_FILE_WRITE | (mode == KL_STORE_CREATE ? (unsigned)KL_FILE_CREATE : 0U);
    enum kl_rc rc;
    int fd = -1;

    sqlite->read_only = false; /* what it was before it was lost does not matter */
    rc = kl_file_open(sqlite->path, flags, &fd);
    if (rc == KL_STORE_READ_ONLY) {
        sqlite->read_only = true;
        rc = kl_file_open(sqlite->path, 0, &fd);
        if (rc == KL_NOT_FOUND && mode == KL_STORE_CREATE) {
            rc = kl_fail(KL_STORE_READ_ONLY, "%s does not exist and cannot be made there", sqlite->path);
        }
    }
    if (rc != KL_OK) return rc;
    rc = check_file(sqlite, fd, mode);
    close(fd);
    return rc;
}

static void drop_mark(struct kl_sqlite *sqlite)
{
    if (sqlite->is_shared)
        kl_mark_forget(&sqlite->mark);
    else
        kl_mark_close(&sqlite->mark);
}

/* Before the file is so much as looked into: is it open in this process already? */
static enum kl_rc claim_file(struct kl_sqlite *sqlite, enum kl_store_mode mode)
{
    enum kl_rc rc;

    KL_TRY(kl_file_check_directory(sqlite->path));
    KL_TRY(kl_process_begin(sqlite->path, &sqlite->claim));
    rc = kl_mark_open(&sqlite->mark, sqlite->epoch_path, false);
    if (rc == KL_OK || rc == KL_NOT_FOUND) rc = look_at_file(sqlite, mode);
    kl_process_end(rc == KL_OK ? &sqlite->claim : NULL);
    if (rc != KL_OK) drop_mark(sqlite);
    return rc;
}

enum kl_rc kl_sqlite_check_place(const struct kl_sqlite *sqlite)
{
    struct stat status;

    if (stat(sqlite->path, &status) != 0) return kl_fail(KL_STORE, "%s is gone: %s", sqlite->path, strerror(errno));
    if (status.st_dev != sqlite->claim.device || status.st_ino != sqlite->claim.inode) {
        return kl_fail(KL_STORE, "%s was replaced by another file while it was open", sqlite->path);
    }
    return KL_OK;
}

/* --- settings of the connection --- */

/* What SQLite has opened is what was looked at. */
static enum kl_rc check_opened(struct kl_sqlite *sqlite)
{
    sqlite3_file *base = NULL;
    struct kl_descriptor opened;

    KL_TRY(kl_sqlite_rc(sqlite, sqlite3_file_control(sqlite->db, "main", SQLITE_FCNTL_FILE_POINTER, &base), "open"));
    if (base == NULL) return kl_fail(KL_STORE, "%s was not opened", sqlite->path);
    opened = ((struct kl_vfs_file *)base)->descriptor;
    if (opened.device == sqlite->claim.device && opened.inode == sqlite->claim.inode) return KL_OK;
    return kl_fail(KL_STORE, "%s was replaced by another file while it was opened", sqlite->path);
}

static enum kl_rc connect(struct kl_sqlite *sqlite)
{
    int flags = (sqlite->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    const char *vfs = kl_vfs_name();
    int code;

    if (vfs == NULL) return kl_fail(KL_STORE, "this SQLite has no files of its own to build on");
    if (sqlite3_libversion_number() < OLDEST_SQLITE) return kl_fail(KL_STORE, "SQLite %s is too old; 3.37 is needed", sqlite3_libversion());
    code = sqlite3_open_v2(sqlite->path, &sqlite->db, flags, vfs);
    if (sqlite->db == NULL) return kl_fail(KL_MEMORY, "no memory to open %s", sqlite->path);
    KL_TRY(kl_sqlite_rc(sqlite, code, "open"));
    return check_opened(sqlite);
}

static const struct {
    int limit;
    int value;
} limits[] = {
    { SQLITE_LIMIT_LENGTH, 4 << 20 },     { SQLITE_LIMIT_SQL_LENGTH, 8192 },   { SQLITE_LIMIT_COLUMN, 32 },
    { SQLITE_LIMIT_EXPR_DEPTH, 20 },      { SQLITE_LIMIT_COMPOUND_SELECT, 3 }, { SQLITE_LIMIT_VDBE_OP, 25000 },
    { SQLITE_LIMIT_FUNCTION_ARG, 8 },     { SQLITE_LIMIT_ATTACHED, 1 },        { SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 64 },
    { SQLITE_LIMIT_VARIABLE_NUMBER, 32 }, { SQLITE_LIMIT_TRIGGER_DEPTH, 1 },   { SQLITE_LIMIT_WORKER_THREADS, 0 },
};

static const struct {
    int option;
    int value;
} options[] = {
    { SQLITE_DBCONFIG_DEFENSIVE, 1 },
    { SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 },
    { SQLITE_DBCONFIG_ENABLE_TRIGGER, 0 },
    { SQLITE_DBCONFIG_ENABLE_VIEW, 0 },
    { SQLITE_DBCONFIG_DQS_DDL, 0 },
    { SQLITE_DBCONFIG_DQS_DML, 0 },
    { SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0 },
};

static enum kl_rc configure(struct kl_sqlite *sqlite)
{
    sqlite3_extended_result_codes(sqlite->db, 1);
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) sqlite3_limit(sqlite->db, limits[i].limit, limits[i].value);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        KL_TRY(kl_sqlite_rc(sqlite, sqlite3_db_config(sqlite->db, options[i].option, options[i].value, NULL), "configure"));
    }
    return kl_sqlite_run(sqlite,
                         "PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0; PRAGMA cell_size_check = ON; PRAGMA synchronous = FULL;"
                         "PRAGMA secure_delete = ON; PRAGMA journal_size_limit = 16777216; PRAGMA cache_size = -4000",
                         "configure");
}

static enum kl_rc use_log(struct kl_sqlite *sqlite)
{
    sqlite3_stmt *statement = NULL;
    enum kl_rc rc;

    if (sqlite->read_only) return KL_OK;
    rc = kl_sqlite_rc(sqlite, sqlite3_prepare_v2(sqlite->db, "PRAGMA journal_mode = WAL", -1, &statement, NULL), "set WAL");
    if (rc == KL_OK) {
        int code = sqlite3_step(statement);
        const unsigned char *mode = code == SQLITE_ROW ? sqlite3_column_text(statement, 0) : NULL;

        if (code != SQLITE_ROW) {
            rc = kl_sqlite_rc(sqlite, code, "set WAL");
        } else if (mode == NULL || strcmp((const char *)mode, "wal") != 0) {
            rc = kl_vfs_refusal();
            if (rc == KL_OK) rc = kl_fail(KL_STORE, "%s cannot be given a write-ahead log", sqlite->path);
        }
    }
    sqlite3_finalize(statement);
    return rc;
}

/* --- the schema --- */

static bool is_text(sqlite3_stmt *statement, int column, const char *text)
{
    const unsigned char *found = sqlite3_column_text(statement, column);

    return found != NULL && strcmp((const char *)found, text) == 0;
}

static bool is_row(sqlite3_stmt *statement, size_t at)
{
    return is_text(statement, 0, schema[at][0]) && is_text(statement, 1, schema[at][1]) && is_text(statement, 2, schema[at][2]);
}

static enum kl_rc compare_schema(struct kl_sqlite *sqlite, sqlite3_stmt *statement)
{
    size_t count = 0, missing = 0;
    int code;

    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        for (; count < SCHEMA_COUNT && is_added(count) && !is_row(statement, count); count++) missing++;
        if (count == SCHEMA_COUNT || !is_row(statement, count)) {
            const unsigned char *name = sqlite3_column_text(statement, 1);

            return kl_fail(KL_INTEGRITY, "the schema of %s is not that of a store: see \"%s\"", sqlite->path,
                           name == NULL ? "" : (const char *)name);
        }
        count++;
    }
    if (code != SQLITE_DONE) return kl_sqlite_rc(sqlite, code, "read the schema");
    if (count != SCHEMA_COUNT || (missing != 0 && missing != ADDED_COUNT))
        return kl_fail(KL_INTEGRITY, "the schema of %s lacks something of a store's", sqlite->path);
    sqlite->has_budgets = missing == 0;
    return KL_OK;
}

enum kl_rc kl_sqlite_check_schema(struct kl_sqlite *sqlite)
{
    sqlite3_stmt *statement = NULL;
    enum kl_rc rc = kl_sqlite_rc(
        sqlite, sqlite3_prepare_v2(sqlite->db, "SELECT type, name, sql FROM sqlite_schema ORDER BY name", -1, &statement, NULL),
        "read the schema");

    if (rc == KL_OK) rc = compare_schema(sqlite, statement);
    sqlite3_finalize(statement);
    if (rc == KL_OK) rc = kl_sqlite_number(sqlite, "PRAGMA schema_version", &sqlite->schema_version);
    return rc;
}

static enum kl_rc check_numbers(struct kl_sqlite *sqlite)
{
    int64_t application = 0;
    int64_t version = 0;
    int64_t page = 0;

    KL_TRY(kl_sqlite_number(sqlite, "PRAGMA application_id", &application));
    KL_TRY(kl_sqlite_number(sqlite, "PRAGMA user_version", &version));
    KL_TRY(check_version(sqlite->path, (uint32_t)application, version));
    KL_TRY(kl_sqlite_number(sqlite, "PRAGMA page_size", &page));
    if (page != KL_SQLITE_PAGE)
        return kl_fail(KL_INTEGRITY, "%s has pages of %lld bytes, a store's have 4096", sqlite->path, (long long)page);
    return KL_OK;
}

static enum kl_rc create_schema(struct kl_sqlite *sqlite)
{
    char numbers[96];

    for (size_t i = 0; i < SCHEMA_COUNT; i++) KL_TRY(kl_sqlite_run(sqlite, schema[creation[i]][2], "make the tables"));
    snprintf(numbers, sizeof numbers, "PRAGMA application_id = %d; PRAGMA user_version = %d", KL_SQLITE_APPLICATION, KL_STORE_FORMAT);
    return kl_sqlite_run(sqlite, numbers, "make the tables");
}

static enum kl_rc is_blank(struct kl_sqlite *sqlite, bool *blank)
{
    int64_t things = 0;
    int64_t application = 0;
    int64_t version = 0;

    KL_TRY(kl_sqlite_number(sqlite, "SELECT count(*) FROM sqlite_schema", &things));
    KL_TRY(kl_sqlite_number(sqlite, "PRAGMA application_id", &application));
    KL_TRY(kl_sqlite_number(sqlite, "PRAGMA user_version", &version));
    *blank = things == 0 && application == 0 && version == 0;
    return KL_OK;
}

/* Unless another process was quicker. */
static enum kl_rc make_all(struct kl_sqlite *sqlite)
{
    bool blank = false;

    KL_TRY(is_blank(sqlite, &blank));
    return blank ? create_schema(sqlite) : KL_OK;
}

static enum kl_rc make_added(struct kl_sqlite *sqlite)
{
    KL_TRY(kl_sqlite_check_schema(sqlite));
    if (sqlite->has_budgets) return KL_OK;
    for (size_t i = 0; i < ADDED_COUNT; i++) KL_TRY(kl_sqlite_run(sqlite, schema[added[i]][2], "make the tables"));
    return KL_OK;
}

/* One transaction, so that all of it is there or nothing. */
static enum kl_rc make_tables(struct kl_sqlite *sqlite, enum kl_rc (*make)(struct kl_sqlite *sqlite))
{
    enum kl_rc rc;

    KL_TRY(kl_sqlite_run(sqlite, "BEGIN IMMEDIATE", "make the tables"));
    rc = make(sqlite);
    if (rc == KL_OK) return kl_sqlite_run(sqlite, "COMMIT", "make the tables");
    if (sqlite3_get_autocommit(sqlite->db) == 0) {
        enum kl_rc ignored = kl_sqlite_run(sqlite, "ROLLBACK", "make the tables");

        (void)ignored; /* the first failure is the one to tell */
    }
    return rc;
}

static enum kl_rc look_inside(struct kl_sqlite *sqlite)
{
    enum kl_rc rc = kl_sqlite_run(sqlite, "BEGIN", "read");

    if (rc != KL_OK) return rc;
    rc = check_numbers(sqlite);
    if (rc == KL_OK) rc = kl_sqlite_check_schema(sqlite);
    if (sqlite3_get_autocommit(sqlite->db) == 0) {
        enum kl_rc ended = kl_sqlite_run(sqlite, "COMMIT", "read");

        if (rc == KL_OK) rc = ended;
    }
    return rc;
}

static enum kl_rc settle(struct kl_sqlite *sqlite, enum kl_store_mode mode)
{
    bool blank = false;

    KL_TRY(is_blank(sqlite, &blank));
    if (blank && mode == KL_STORE_EXISTING) return kl_fail(KL_NOT_FOUND, "%s has no tables yet", sqlite->path);
    if (blank && sqlite->read_only) return kl_fail(KL_STORE_READ_ONLY, "%s has no tables and cannot be written", sqlite->path);
    if (!blank) KL_TRY(check_numbers(sqlite));
    KL_TRY(use_log(sqlite));
    if (blank) KL_TRY(make_tables(sqlite, make_all));
    KL_TRY(look_inside(sqlite));
    if (sqlite->has_budgets || sqlite->read_only) return KL_OK;
    KL_TRY(make_tables(sqlite, make_added));
    return look_inside(sqlite);
}

static void disconnect(struct kl_sqlite *sqlite)
{
    sqlite3_close(sqlite->db);
    sqlite->db = NULL;
}

enum kl_rc kl_sqlite_open(struct kl_sqlite *sqlite, enum kl_store_mode mode, int64_t timeout)
{
    struct kl_wait wait = kl_wait_from(timeout);
    enum kl_rc rc;

    KL_TRY(claim_file(sqlite, mode));
    do {
        rc = connect(sqlite);
        if (rc == KL_OK) rc = configure(sqlite);
        if (rc == KL_OK) rc = settle(sqlite, mode);
        if (rc != KL_OK) disconnect(sqlite);
    } while (rc == KL_STORE_BUSY && kl_wait_again(&wait));
    if (rc == KL_OK && sqlite->mark.descriptor.fd < 0 && !sqlite->read_only) rc = kl_mark_open(&sqlite->mark, sqlite->epoch_path, true);
    if (rc == KL_OK) {
        sqlite->connections++;
        return KL_OK;
    }
    disconnect(sqlite);
    drop_mark(sqlite);
    /* It is this process's all the same, and the next call tries again. */
    if (!sqlite->is_shared) kl_process_release(&sqlite->claim);
    return rc;
}
