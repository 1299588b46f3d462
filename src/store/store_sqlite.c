/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "store/disk.h"
#include "store/file.h"
#include "store/ops.h"
#include "store/sqlite.h"
#include "store/vfs.h"

#define ENTRY_COLUMNS(bucket) bucket ", id, generation, digest"
#define ROW_COLUMNS                                                                                                             \
    "id, generation, digest, parent, key_type, key_id, encrypted_key, key_hash, algorithm, created_at, expires_at, is_active, " \
    "rotation_count, state, is_public, label, metadata"

static const char *const texts[KL_SQLS] = {
    [KL_SQL_BEGIN] = "BEGIN",
    [KL_SQL_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [KL_SQL_COMMIT] = "COMMIT",
    [KL_SQL_ROLLBACK] = "ROLLBACK",
    [KL_SQL_SCHEMA_VERSION] = "PRAGMA schema_version",
    [KL_SQL_DATA_VERSION] = "PRAGMA data_version",
    [KL_SQL_SCAN + KL_SCAN_LABEL_ENTRIES] = ("SELECT " ENTRY_COLUMNS(
        "label_bucket") " FROM encryption_keys INDEXED BY keys_by_label WHERE label_bucket BETWEEN ?1 AND ?2 ORDER BY label_bucket, id"),
    [KL_SQL_SCAN + KL_SCAN_KEY_ID_ENTRIES] = ("SELECT " ENTRY_COLUMNS(
        "id_bucket") " FROM encryption_keys INDEXED BY keys_by_id WHERE id_bucket BETWEEN ?1 AND ?2 ORDER BY id_bucket, id"),
    [KL_SQL_SCAN + KL_SCAN_LABEL_ROWS] =
        ("SELECT label_bucket, " ROW_COLUMNS ", id_bucket"
         " FROM encryption_keys INDEXED BY keys_by_label WHERE label_bucket BETWEEN ?1 AND ?2 ORDER BY label_bucket, id"),
    [KL_SQL_SCAN + KL_SCAN_PUBLIC] = ("SELECT label_bucket, " ROW_COLUMNS ", id_bucket"
                                      " FROM encryption_keys INDEXED BY keys_public WHERE is_public = 1 AND id > ?4 ORDER BY id"),
    [KL_SQL_SCAN + KL_SCAN_PARENT] = ("SELECT label_bucket, " ROW_COLUMNS ", id_bucket"
                                      " FROM encryption_keys INDEXED BY keys_by_parent WHERE parent = ?3 AND id > ?4 ORDER BY id"),
    [KL_SQL_SCAN + KL_SCAN_ROW] = ("SELECT label_bucket, " ROW_COLUMNS ", id_bucket FROM encryption_keys NOT INDEXED WHERE id = ?3"),
    [KL_SQL_SCAN + KL_SCAN_EVERY] = ("SELECT label_bucket, " ROW_COLUMNS ", id_bucket FROM encryption_keys NOT INDEXED ORDER BY id"),
    [KL_SQL_ADD] = ("INSERT INTO encryption_keys(id, generation, digest, parent, key_type, key_id, encrypted_key, key_hash, algorithm, "
                    "created_at, expires_at, is_active, rotation_count, state, is_public, label, metadata, label_bucket, id_bucket) "
                    "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)"),
    [KL_SQL_CHANGE] = ("UPDATE encryption_keys SET generation = ?2, digest = ?3, parent = ?4, key_type = ?5, key_id = ?6, "
                       "encrypted_key = ?7, key_hash = ?8, algorithm = ?9, created_at = ?10, expires_at = ?11, is_active = ?12, "
                       "rotation_count = ?13, state = ?14, is_public = ?15, label = ?16, metadata = ?17, label_bucket = ?18, "
                       "id_bucket = ?19 WHERE id = ?1"),
    [KL_SQL_REMOVE] = "DELETE FROM encryption_keys WHERE id = ?1",
    [KL_SQL_HEAD] = "SELECT label_bucket, id, generation, digest, id_bucket FROM encryption_keys NOT INDEXED WHERE id = ?1",
    [KL_SQL_GROUP_GET] = "SELECT macs FROM bucket_groups WHERE number = ?1",
    [KL_SQL_GROUP_SET] = "INSERT INTO bucket_groups(number, macs) VALUES(?1, ?2) ON CONFLICT(number) DO UPDATE SET macs = ?2",
    [KL_SQL_ROOT_GET] = "SELECT epoch, row_count, records, groups, mac FROM store_root WHERE number = 1",
    [KL_SQL_ROOT_SET] = ("INSERT INTO store_root(number, epoch, row_count, records, groups, mac) VALUES(1, ?1, ?2, ?3, ?4, ?5) "
                         "ON CONFLICT(number) DO UPDATE SET epoch = ?1, row_count = ?2, records = ?3, groups = ?4, mac = ?5"),
    [KL_SQL_RECORDS] = "SELECT name, value FROM token_records ORDER BY name",
    [KL_SQL_RECORD_SET] = "INSERT INTO token_records(name, value) VALUES(?1, ?2) ON CONFLICT(name) DO UPDATE SET value = ?2",
    [KL_SQL_RECORD_REMOVE] = "DELETE FROM token_records WHERE name = ?1",
    [KL_SQL_TRIES_GET] = "SELECT used FROM pin_tries WHERE name = ?1",
    [KL_SQL_TRIES_SET] = "INSERT INTO pin_tries(name, used) VALUES(?1, ?2) ON CONFLICT(name) DO UPDATE SET used = ?2",
    [KL_SQL_BUDGET_ROOT_GET] = "SELECT epoch, buckets, mac FROM budget_root WHERE number = 1",
    [KL_SQL_BUDGET_ROOT_SET] = ("INSERT INTO budget_root(number, epoch, buckets, mac) VALUES(1, ?1, ?2, ?3) "
                                "ON CONFLICT(number) DO UPDATE SET epoch = ?1, buckets = ?2, mac = ?3"),
    [KL_SQL_BUDGETS] = "SELECT id, used FROM key_budgets WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
    [KL_SQL_BUDGET_SET] = "INSERT INTO key_budgets(id, used) VALUES(?1, ?2) ON CONFLICT(id) DO UPDATE SET used = ?2",
    [KL_SQL_BUDGET_REMOVE] = "DELETE FROM key_budgets WHERE id = ?1",
};

static struct kl_sqlite *of(struct kl_backend *backend)
{
    return (struct kl_sqlite *)backend;
}

/* --- statements --- */

static enum kl_rc ready(struct kl_sqlite *sqlite, enum kl_sql sql, sqlite3_stmt **out)
{
    if (sqlite->statements[sql] == NULL) {
        int code = sqlite3_prepare_v3(sqlite->db, texts[sql], -1, SQLITE_PREPARE_PERSISTENT, &sqlite->statements[sql], NULL);

        KL_TRY(kl_sqlite_rc(sqlite, code, "prepare a statement"));
    }
    *out = sqlite->statements[sql];
    return KL_OK;
}

static void done(sqlite3_stmt *statement)
{
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
}

/* Empty bytes are bound as an empty BLOB, not as NULL. */
static int bind_bytes(sqlite3_stmt *statement, int at, struct kl_view bytes)
{
    return sqlite3_bind_blob64(statement, at, bytes.len == 0 ? (const void *)"" : bytes.data, bytes.len, SQLITE_STATIC);
}

static int bind_text(sqlite3_stmt *statement, int at, struct kl_view text)
{
    return sqlite3_bind_text64(statement, at, text.len == 0 ? "" : (const char *)text.data, text.len, SQLITE_STATIC, SQLITE_UTF8);
}

/* Steps a statement that gives no rows. */
static enum kl_rc finish(struct kl_sqlite *sqlite, sqlite3_stmt *statement, int bound, const char *doing)
{
    int code = bound == SQLITE_OK ? sqlite3_step(statement) : bound;
    enum kl_rc rc = kl_sqlite_rc(sqlite, code, doing);

    done(statement);
    return rc;
}

static enum kl_rc run(struct kl_sqlite *sqlite, enum kl_sql sql, const char *doing)
{
    sqlite3_stmt *statement = NULL;

    KL_TRY(ready(sqlite, sql, &statement));
    return finish(sqlite, statement, SQLITE_OK, doing);
}

/*
 * Columns are read as values: a look-up reads two thousand of them, and sqlite3_column_ asks after each whether memory ran
 * out. A connection without a mutex, as ours, may.
 */
static struct kl_view column(sqlite3_stmt *statement, int at, int type, size_t most, bool *bad)
{
    sqlite3_value *value = sqlite3_column_value(statement, at);
    struct kl_view bytes = { NULL, 0 };

    if (sqlite3_value_type(value) != type) {
        *bad = true;
        return bytes;
    }
    bytes.data = sqlite3_value_blob(value);
    bytes.len = (size_t)sqlite3_value_bytes(value);
    if (bytes.len > most || (bytes.len > 0 && bytes.data == NULL)) {
        *bad = true;
        bytes.len = 0;
    }
    return bytes;
}

static void fixed(sqlite3_stmt *statement, int at, uint8_t *out, size_t len, bool *bad)
{
    struct kl_view bytes = column(statement, at, SQLITE_BLOB, len, bad);

    if (bytes.len == len) {
        memcpy(out, bytes.data, len);
    } else {
        *bad = true;
    }
}

static int64_t number(sqlite3_stmt *statement, int at, int64_t least, int64_t most, bool *bad)
{
    sqlite3_value *found = sqlite3_column_value(statement, at);
    int64_t value = sqlite3_value_int64(found);

    if (sqlite3_value_type(found) == SQLITE_INTEGER && value >= least && value <= most) return value;
    *bad = true;
    return least;
}

/* --- opening --- */

static enum kl_rc check_uri(const char *rest)
{
    if (rest[0] != '/')
        return kl_fail(KL_CONFIG, "store = sqlite:%s: the path must be absolute, as in sqlite:/var/lib/keyladder/prod.db", rest);
    if (strlen(rest) >= KL_SQLITE_PATH_MAX) return kl_fail(KL_CONFIG, "store = sqlite:…: the path is too long");
    if (rest[strlen(rest) - 1] == '/') return kl_fail(KL_CONFIG, "store = sqlite:%s names a directory, not a file", rest);
    return KL_OK;
}

static void disconnect(struct kl_sqlite *sqlite)
{
    for (size_t i = 0; i < KL_SQLS; i++) sqlite3_finalize(sqlite->statements[i]);
    memset(sqlite->statements, 0, sizeof sqlite->statements);
    if (sqlite3_close(sqlite->db) != SQLITE_OK) kl_log(KL_LOG_ERROR, "%s: not closed cleanly", sqlite->path);
    sqlite->db = NULL;
}

static void sqlite_close(struct kl_backend *backend)
{
    struct kl_sqlite *sqlite = of(backend);

    disconnect(sqlite);
    kl_mark_close(&sqlite->mark);
    kl_process_release(&sqlite->claim);
    free(sqlite);
}

/* What ends a transaction must not need memory when there is none. */
static enum kl_rc prepare_endings(struct kl_sqlite *sqlite)
{
    sqlite3_stmt *statement = NULL;

    KL_TRY(ready(sqlite, KL_SQL_ROLLBACK, &statement));
    return ready(sqlite, KL_SQL_COMMIT, &statement);
}

static enum kl_rc sqlite_open(const char *rest, enum kl_store_mode mode, int64_t timeout, struct kl_backend **out)
{
    struct kl_sqlite *sqlite;
    enum kl_rc rc;

    KL_TRY(check_uri(rest));
    sqlite = calloc(1, sizeof *sqlite);
    if (sqlite == NULL) return kl_fail(KL_MEMORY, "no memory to open %s", rest);
    snprintf(sqlite->path, sizeof sqlite->path, "%s", rest);
    snprintf(sqlite->epoch_path, sizeof sqlite->epoch_path, "%s-epoch", rest);
    kl_mark_init(&sqlite->mark);
    rc = kl_sqlite_open(sqlite, mode, timeout);
    if (rc != KL_OK) {
        free(sqlite);
        return rc;
    }
    sqlite->is_shared = true;
    rc = prepare_endings(sqlite);
    if (rc != KL_OK) {
        sqlite_close((struct kl_backend *)sqlite);
        return rc;
    }
    *out = (struct kl_backend *)sqlite;
    return KL_OK;
}

/*
 * A program that makes itself a daemon may close every descriptor, ours too, and the numbers are those of its own files then. What is
 * lost is opened anew.
 */
static enum kl_rc reconnect(struct kl_sqlite *sqlite)
{
    enum kl_rc rc;

    if (kl_vfs_is_whole(sqlite->db) && !kl_mark_is_lost(&sqlite->mark)) return KL_OK;
    if (sqlite->db != NULL)
        kl_log(KL_LOG_WARNING, "%s: the program has closed descriptors that are ours; the store is opened anew", sqlite->path);
    disconnect(sqlite);
    kl_mark_forget(&sqlite->mark);
    rc = kl_sqlite_open(sqlite, KL_STORE_EXISTING, 0);
    if (rc == KL_OK) return prepare_endings(sqlite);
    if (rc == KL_STORE_BUSY) return rc;
    return kl_fail(rc == KL_NOT_FOUND ? KL_STORE : rc, "the program has closed descriptors that are ours; %s", kl_fail_words());
}

static bool is_ours(const struct kl_backend *backend)
{
    return kl_process_owns(&((const struct kl_sqlite *)backend)->claim);
}

static const char *path(const struct kl_backend *backend)
{
    return ((const struct kl_sqlite *)backend)->path;
}

static bool is_read_only(const struct kl_backend *backend)
{
    return ((const struct kl_sqlite *)backend)->read_only;
}

static uint64_t mark(const struct kl_backend *backend)
{
    return kl_mark_value(&((const struct kl_sqlite *)backend)->mark);
}

/* --- transactions --- */

static enum kl_rc queue(struct kl_backend *backend, bool enter)
{
    return kl_mark_queue(&of(backend)->mark, enter) ? KL_OK : KL_STORE_BUSY;
}

/* The first read of a transaction takes its snapshot; it shows whether the schema is still the one that was compared. */
static enum kl_rc take_snapshot(struct kl_sqlite *sqlite)
{
    sqlite3_stmt *statement = NULL;
    int64_t version = 0;
    enum kl_rc rc;
    int code;

    KL_TRY(ready(sqlite, KL_SQL_SCHEMA_VERSION, &statement));
    code = sqlite3_step(statement);
    rc = kl_sqlite_rc(sqlite, code, "read");
    if (rc == KL_OK) version = sqlite3_column_int64(statement, 0);
    done(statement);
    if (rc == KL_OK && version != sqlite->schema_version) rc = kl_sqlite_check_schema(sqlite);
    return rc;
}

static void follow_data_version(struct kl_sqlite *sqlite)
{
    uint64_t connection = (uint64_t)sqlite->connections << 32;
    sqlite3_stmt *statement = NULL;

    if (sqlite->mark.descriptor.fd >= 0 || ready(sqlite, KL_SQL_DATA_VERSION, &statement) != KL_OK) return;
    if (sqlite3_step(statement) == SQLITE_ROW)
        kl_mark_set_own(&sqlite->mark, 2 * (connection + (uint32_t)sqlite3_column_int64(statement, 0)));
    done(statement);
}

/* SQLite has rolled back by itself after some failures. What fails here is tried again at the next beginning. */
static void end_transaction(struct kl_sqlite *sqlite)
{
    for (unsigned tries = 0; tries < 3 && sqlite3_get_autocommit(sqlite->db) == 0; tries++) {
        if (run(sqlite, KL_SQL_ROLLBACK, "roll back") != KL_OK) kl_log(KL_LOG_ERROR, "%s", kl_fail_words());
    }
}

static void sqlite_rollback(struct kl_backend *backend)
{
    struct kl_sqlite *sqlite = of(backend);

    /* Without its locks this process does not know whose commit an odd mark is. */
    if (sqlite->writing && kl_vfs_is_whole(sqlite->db)) kl_mark_mend(&sqlite->mark);
    sqlite->writing = false;
    end_transaction(sqlite);
}

/* An odd mark is a commit on its way, or one that died; who gets the write lock knows that it is the latter. */
static void mend_mark(struct kl_sqlite *sqlite)
{
    if ((kl_mark_value(&sqlite->mark) & 1) == 0 || sqlite->mark.descriptor.fd < 0) return;
    if (run(sqlite, KL_SQL_BEGIN_WRITE, "mend the mark") != KL_OK) return;
    sqlite->writing = true;
    sqlite_rollback((struct kl_backend *)sqlite);
}

static enum kl_rc sqlite_begin(struct kl_backend *backend, enum kl_begin kind)
{
    struct kl_sqlite *sqlite = of(backend);
    enum kl_rc rc;

    KL_TRY(kl_sqlite_check_place(sqlite));
    KL_TRY(reconnect(sqlite));
    end_transaction(sqlite);
    if (kind == KL_BEGIN_READ) mend_mark(sqlite);
    if (kind != KL_BEGIN_READ && sqlite->read_only) return kl_fail(KL_STORE_READ_ONLY, "%s cannot be written", sqlite->path);
    KL_TRY(run(sqlite, kind == KL_BEGIN_READ ? KL_SQL_BEGIN : KL_SQL_BEGIN_WRITE, "begin a transaction"));
    sqlite->writing = kind != KL_BEGIN_READ;
    sqlite->is_counting = kind == KL_BEGIN_COUNT;
    kl_mark_follow(&sqlite->mark, sqlite->epoch_path);
    rc = take_snapshot(sqlite);
    if (rc != KL_OK) {
        sqlite_rollback(backend);
        return rc;
    }
    follow_data_version(sqlite);
    return KL_OK;
}

static enum kl_rc sqlite_commit(struct kl_backend *backend, struct kl_commit *commit)
{
    struct kl_sqlite *sqlite = of(backend);
    struct kl_commit made = { 0, 0 };
    enum kl_rc rc;

    if (!sqlite->writing) return run(sqlite, KL_SQL_COMMIT, "end a transaction");
    if (commit == NULL) {
        kl_mark_mend(&sqlite->mark);
        kl_vfs_set_hasty(sqlite->db, sqlite->is_counting);
        rc = run(sqlite, KL_SQL_COMMIT, "commit");
        kl_vfs_set_hasty(sqlite->db, false);
        if (rc == KL_OK) sqlite->writing = false;
        return rc;
    }
    made.before = kl_mark_raise(&sqlite->mark);
    rc = run(sqlite, KL_SQL_COMMIT, "commit");
    if (rc != KL_OK) return rc;
    sqlite->writing = false;
    made.after = kl_mark_settle(&sqlite->mark, made.before);
    *commit = made;
    return KL_OK;
}

/* --- walking over rows --- */

static bool has_rows(enum kl_scan scan)
{
    return scan != KL_SCAN_LABEL_ENTRIES && scan != KL_SCAN_KEY_ID_ENTRIES;
}

static enum kl_rc scan_start(struct kl_backend *backend, enum kl_scan scan, const struct kl_range *range)
{
    struct kl_sqlite *sqlite = of(backend);
    sqlite3_stmt *statement = NULL;
    int count;
    int code = SQLITE_OK;

    KL_TRY(ready(sqlite, (enum kl_sql)(KL_SQL_SCAN + (int)scan), &statement));
    done(statement);
    count = sqlite3_bind_parameter_count(statement);
    if (count == 2) {
        code = sqlite3_bind_int64(statement, 1, range->first);
        if (code == SQLITE_OK) code = sqlite3_bind_int64(statement, 2, range->last);
    }
    if (count >= 3 && code == SQLITE_OK) code = bind_bytes(statement, 3, range->value);
    if (count >= 4 && code == SQLITE_OK) code = bind_bytes(statement, 4, range->after);
    return kl_sqlite_rc(sqlite, code, "bind");
}

static void read_entry(sqlite3_stmt *statement, struct kl_found *found)
{
    found->bucket = (uint32_t)number(statement, 0, 0, KL_STORE_BUCKETS - 1, &found->bad);
    fixed(statement, 1, found->entry.id, sizeof found->entry.id, &found->bad);
    found->entry.generation = (uint64_t)number(statement, 2, 1, INT64_MAX, &found->bad);
    fixed(statement, 3, found->entry.digest, sizeof found->entry.digest, &found->bad);
}

static void read_row(sqlite3_stmt *statement, struct kl_found *found)
{
    struct kl_row *row = &found->row;
    bool *bad = &found->bad;

    memcpy(row->id, found->entry.id, sizeof row->id);
    row->generation = found->entry.generation;
    fixed(statement, 4, row->parent, sizeof row->parent, bad);
    row->key_type = column(statement, 5, SQLITE_TEXT, KL_ROW_LABEL_MAX, bad);
    row->key_id = column(statement, 6, SQLITE_BLOB, KL_ROW_KEY_ID_MAX, bad);
    row->encrypted_key = column(statement, 7, SQLITE_BLOB, KL_ROW_SEALED_MAX, bad);
    row->key_hash = column(statement, 8, SQLITE_BLOB, KL_ROW_LABEL_MAX, bad);
    row->algorithm = column(statement, 9, SQLITE_TEXT, KL_ROW_LABEL_MAX, bad);
    row->created_at = number(statement, 10, INT64_MIN, INT64_MAX, bad);
    row->expires_at = number(statement, 11, INT64_MIN, INT64_MAX, bad);
    row->is_active = number(statement, 12, 0, 1, bad) != 0;
    row->rotation_count = (uint32_t)number(statement, 13, 0, UINT32_MAX, bad);
    row->state = (uint32_t)number(statement, 14, 0, UINT32_MAX, bad);
    row->is_public = number(statement, 15, 0, 1, bad) != 0;
    row->label = column(statement, 16, SQLITE_BLOB, KL_ROW_LABEL_MAX, bad);
    row->metadata = column(statement, 17, SQLITE_BLOB, KL_ROW_METADATA_MAX, bad);
    found->other = (uint32_t)number(statement, 18, 0, KL_STORE_BUCKETS - 1, bad);
}

static enum kl_rc scan_next(struct kl_backend *backend, enum kl_scan scan, struct kl_found *found, bool *more)
{
    struct kl_sqlite *sqlite = of(backend);
    sqlite3_stmt *statement = sqlite->statements[KL_SQL_SCAN + (int)scan];
    int code = sqlite3_step(statement);

    *more = false;
    KL_TRY(kl_sqlite_rc(sqlite, code, "read"));
    if (code != SQLITE_ROW) return KL_OK;
    found->bad = false;
    read_entry(statement, found);
    if (has_rows(scan)) read_row(statement, found);
    *more = true;
    return KL_OK;
}

static void scan_stop(struct kl_backend *backend, enum kl_scan scan)
{
    sqlite3_stmt *statement = of(backend)->statements[KL_SQL_SCAN + (int)scan];

    if (statement != NULL) done(statement);
}

/* --- rows --- */

static int bind_row(sqlite3_stmt *statement, const struct kl_placed *placed)
{
    const struct kl_row *row = placed->row;
    const int codes[] = {
        sqlite3_bind_blob(statement, 1, row->id, sizeof row->id, SQLITE_STATIC),
        sqlite3_bind_int64(statement, 2, (int64_t)row->generation),
        sqlite3_bind_blob(statement, 3, placed->digest, KL_ENTRY_DIGEST_LEN, SQLITE_STATIC),
        sqlite3_bind_blob(statement, 4, row->parent, sizeof row->parent, SQLITE_STATIC),
        bind_text(statement, 5, row->key_type),
        bind_bytes(statement, 6, row->key_id),
        bind_bytes(statement, 7, row->encrypted_key),
        bind_bytes(statement, 8, row->key_hash),
        bind_text(statement, 9, row->algorithm),
        sqlite3_bind_int64(statement, 10, row->created_at),
        sqlite3_bind_int64(statement, 11, row->expires_at),
        sqlite3_bind_int(statement, 12, row->is_active),
        sqlite3_bind_int64(statement, 13, row->rotation_count),
        sqlite3_bind_int64(statement, 14, row->state),
        sqlite3_bind_int(statement, 15, row->is_public),
        bind_bytes(statement, 16, row->label),
        bind_bytes(statement, 17, row->metadata),
        sqlite3_bind_int64(statement, 18, placed->label_bucket),
        sqlite3_bind_int64(statement, 19, placed->key_id_bucket),
    };

    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i] != SQLITE_OK) return codes[i];
    }
    return SQLITE_OK;
}

static enum kl_rc put(struct kl_sqlite *sqlite, enum kl_sql sql, const struct kl_placed *placed, const char *doing)
{
    sqlite3_stmt *statement = NULL;

    KL_TRY(ready(sqlite, sql, &statement));
    return finish(sqlite, statement, bind_row(statement, placed), doing);
}

static enum kl_rc add(struct kl_backend *backend, const struct kl_placed *placed)
{
    return put(of(backend), KL_SQL_ADD, placed, "add a row");
}

static enum kl_rc change(struct kl_backend *backend, const struct kl_placed *placed)
{
    return put(of(backend), KL_SQL_CHANGE, placed, "change a row");
}

static enum kl_rc sqlite_remove(struct kl_backend *backend, const uint8_t id[KL_ROW_ID_LEN])
{
    sqlite3_stmt *statement = NULL;

    KL_TRY(ready(of(backend), KL_SQL_REMOVE, &statement));
    return finish(of(backend), statement, bind_bytes(statement, 1, kl_view_of(id, KL_ROW_ID_LEN)), "remove a row");
}

static enum kl_rc head(struct kl_backend *backend, const uint8_t id[KL_ROW_ID_LEN], struct kl_found *found)
{
    struct kl_sqlite *sqlite = of(backend);
    sqlite3_stmt *statement = NULL;
    enum kl_rc rc;
    int code;

    KL_TRY(ready(sqlite, KL_SQL_HEAD, &statement));
    code = bind_bytes(statement, 1, kl_view_of(id, KL_ROW_ID_LEN));
    if (code == SQLITE_OK) code = sqlite3_step(statement);
    rc = kl_sqlite_rc(sqlite, code, "read a row");
    if (rc == KL_OK && code == SQLITE_DONE) rc = KL_NOT_FOUND;
    if (rc == KL_OK) {
        found->bad = false;
        read_entry(statement, found);
        found->other = (uint32_t)number(statement, 4, 0, KL_STORE_BUCKETS - 1, &found->bad);
    }
    done(statement);
    return rc;
}

/* --- tree --- */

static enum kl_rc group_get(struct kl_backend *backend, uint32_t group, uint8_t macs[KL_GROUP_LEN])
{
    struct kl_sqlite *sqlite = of(backend);
    sqlite3_stmt *statement = NULL;
    bool bad = false;
    enum kl_rc rc;
    int code;

    KL_TRY(ready(sqlite, KL_SQL_GROUP_GET, &statement));
    memset(macs, 0, KL_GROUP_LEN);
    code = sqlite3_bind_int64(statement, 1, group);
    if (code == SQLITE_OK) code = sqlite3_step(statement);
    rc = kl_sqlite_rc(sqlite, code, "read a group of buckets");
    if (rc == KL_OK && code == SQLITE_ROW) fixed(statement, 0, macs, KL_GROUP_LEN, &bad);
    done(statement);
    return rc == KL_OK && bad ? kl_fail(KL_INTEGRITY, "%s: group %u of buckets has the wrong length", sqlite->path, group) : rc;
}

static enum kl_rc group_set(struct kl_backend *backend, uint32_t group, const uint8_t macs[KL_GROUP_LEN])
{
    sqlite3_stmt *statement = NULL;
    int code;

    KL_TRY(ready(of(backend), KL_SQL_GROUP_SET, &statement));
    code = sqlite3_bind_int64(statement, 1, group);
    if (code == SQLITE_OK) code = bind_bytes(statement, 2, kl_view_of(macs, KL_GROUP_LEN));
    return finish(of(backend), statement, code, "write a group of buckets");
}

static enum kl_rc root_get(struct kl_backend *backend, struct kl_root *root)
{
    struct kl_sqlite *sqlite = of(backend);
    sqlite3_stmt *statement = NULL;
    bool bad = false;
    enum kl_rc rc;
    int code;

    KL_TRY(ready(sqlite, KL_SQL_ROOT_GET, &statement));
    memset(root, 0, sizeof *root);
    code = sqlite3_step(statement);
    rc = kl_sqlite_rc(sqlite, code, "read the store root");
    if (rc == KL_OK && code == SQLITE_ROW) {
        root->exists = true;
        root->epoch = (uint64_t)number(statement, 0, 1, INT64_MAX, &bad);
        root->row_count = (uint64_t)number(statement, 1, 0, INT64_MAX, &bad);
        fixed(statement, 2, root->records, sizeof root->records, &bad);
        fixed(statement, 3, root->groups[0], sizeof root->groups, &bad);
        fixed(statement, 4, root->mac, sizeof root->mac, &bad);
    }
    done(statement);
    return rc == KL_OK && bad ? kl_fail(KL_INTEGRITY, "%s: the store root is malformed", sqlite->path) : rc;
}

static enum kl_rc root_set(struct kl_backend *backend, const struct kl_root *root)
{
    sqlite3_stmt *statement = NULL;
    int code;

    KL_TRY(ready(of(backend), KL_SQL_ROOT_SET, &statement));
    code = sqlite3_bind_int64(statement, 1, (int64_t)root->epoch);
    if (code == SQLITE_OK) code = sqlite3_bind_int64(statement, 2, (int64_t)root->row_count);
    if (code == SQLITE_OK) code = bind_bytes(statement, 3, kl_view_of(root->records, sizeof root->records));
    if (code == SQLITE_OK) code = bind_bytes(statement, 4, kl_view_of(root->groups, sizeof root->groups));
    if (code == SQLITE_OK) code = bind_bytes(statement, 5, kl_view_of(root->mac, sizeof root->mac));
    return finish(of(backend), statement, code, "write the store root");
}

/* --- records and counters --- */

static enum kl_rc give_record(struct kl_sqlite *sqlite, sqlite3_stmt *statement, kl_store_record_fn *each, void *user)
{
    bool bad = false;
    struct kl_view name = column(statement, 0, SQLITE_TEXT, KL_STORE_RECORD_NAME_MAX, &bad);
    struct kl_view value = column(statement, 1, SQLITE_BLOB, KL_STORE_RECORD_MAX, &bad);
    char text[KL_STORE_RECORD_NAME_MAX + 1];

    if (bad || name.len == 0 || memchr(name.data, '\0', name.len) != NULL)
        return kl_fail(KL_INTEGRITY, "%s: a token record is malformed", sqlite->path);
    memcpy(text, name.data, name.len);
    text[name.len] = '\0';
    return each(user, text, value);
}

static enum kl_rc records(struct kl_backend *backend, kl_store_record_fn *each, void *user)
{
    struct kl_sqlite *sqlite = of(backend);
    sqlite3_stmt *statement = NULL;
    enum kl_rc rc;

    KL_TRY(ready(sqlite, KL_SQL_RECORDS, &statement));
    do {
        int code = sqlite3_step(statement);

        rc = kl_sqlite_rc(sqlite, code, "read the token records");
        if (code == SQLITE_DONE) break;
        if (rc == KL_OK) rc = give_record(sqlite, statement, each, user);
    } while (rc == KL_OK);
    done(statement);
    return rc;
}

static enum kl_rc record_set(struct kl_backend *backend, const char *name, struct kl_view value)
{
    sqlite3_stmt *statement = NULL;
    int code;

    KL_TRY(ready(of(backend), value.data == NULL ? KL_SQL_RECORD_REMOVE : KL_SQL_RECORD_SET, &statement));
    code = bind_text(statement, 1, kl_view_text(name));
    if (code == SQLITE_OK && value.data != NULL) code = bind_bytes(statement, 2, value);
    return finish(of(backend), statement, code, "write a token record");
}

static enum kl_rc tries_get(struct kl_backend *backend, const char *name, uint32_t *used)
{
    struct kl_sqlite *sqlite = of(backend);
    sqlite3_stmt *statement = NULL;
    bool bad = false;
    enum kl_rc rc;
    int code;

    KL_TRY(ready(sqlite, KL_SQL_TRIES_GET, &statement));
    code = bind_text(statement, 1, kl_view_text(name));
    if (code == SQLITE_OK) code = sqlite3_step(statement);
    rc = kl_sqlite_rc(sqlite, code, "read the count of wrong PINs");
    if (rc == KL_OK) *used = code == SQLITE_ROW ? (uint32_t)number(statement, 0, 0, UINT32_MAX, &bad) : 0;
    done(statement);
    return rc == KL_OK && bad ? kl_fail(KL_INTEGRITY, "%s: the count of wrong PINs is malformed", sqlite->path) : rc;
}

static enum kl_rc tries_set(struct kl_backend *backend, const char *name, uint32_t used)
{
    sqlite3_stmt *statement = NULL;
    int code;

    KL_TRY(ready(of(backend), KL_SQL_TRIES_SET, &statement));
    code = bind_text(statement, 1, kl_view_text(name));
    if (code == SQLITE_OK) code = sqlite3_bind_int64(statement, 2, used);
    return finish(of(backend), statement, code, "count a PIN");
}

/* --- counts of encryptions --- */

static enum kl_rc budget_root_get(struct kl_backend *backend, struct kl_budget_root *root)
{
    struct kl_sqlite *sqlite = of(backend);
    sqlite3_stmt *statement = NULL;
    bool bad = false;
    enum kl_rc rc;
    int code;

    memset(root, 0, sizeof *root);
    if (!sqlite->has_budgets) return KL_OK;
    KL_TRY(ready(sqlite, KL_SQL_BUDGET_ROOT_GET, &statement));
    code = sqlite3_step(statement);
    rc = kl_sqlite_rc(sqlite, code, "read the root of the counts of encryptions");
    if (rc == KL_OK && code == SQLITE_ROW) {
        root->exists = true;
        root->epoch = (uint64_t)number(statement, 0, 0, INT64_MAX, &bad);
        fixed(statement, 1, root->buckets[0], sizeof root->buckets, &bad);
        fixed(statement, 2, root->mac, sizeof root->mac, &bad);
    }
    done(statement);
    return rc == KL_OK && bad ? kl_fail(KL_INTEGRITY, "%s: the root of the counts of encryptions is malformed", sqlite->path) : rc;
}

static enum kl_rc budget_root_set(struct kl_backend *backend, const struct kl_budget_root *root)
{
    sqlite3_stmt *statement = NULL;
    int code;

    KL_TRY(ready(of(backend), KL_SQL_BUDGET_ROOT_SET, &statement));
    code = sqlite3_bind_int64(statement, 1, (int64_t)root->epoch);
    if (code == SQLITE_OK) code = bind_bytes(statement, 2, kl_view_of(root->buckets, sizeof root->buckets));
    if (code == SQLITE_OK) code = bind_bytes(statement, 3, kl_view_of(root->mac, sizeof root->mac));
    return finish(of(backend), statement, code, "write the root of the counts of encryptions");
}

static enum kl_rc give_budget(struct kl_sqlite *sqlite, sqlite3_stmt *statement, kl_store_budget_fn *each, void *user)
{
    uint8_t id[KL_ROW_ID_LEN];
    bool bad = false;
    uint64_t used = (uint64_t)number(statement, 1, 0, INT64_MAX, &bad);

    fixed(statement, 0, id, sizeof id, &bad);
    if (bad) return kl_fail(KL_INTEGRITY, "%s: a count of encryptions is malformed", sqlite->path);
    return each(user, id, used);
}

static enum kl_rc budgets(struct kl_backend *backend, uint32_t bucket, kl_store_budget_fn *each, void *user)
{
    struct kl_sqlite *sqlite = of(backend);
    uint8_t first[KL_ROW_ID_LEN] = { (uint8_t)(bucket << 2) }, last[KL_ROW_ID_LEN];
    sqlite3_stmt *statement = NULL;
    enum kl_rc rc;
    int code;

    memset(last, 0xFF, sizeof last);
    last[0] = (uint8_t)(bucket << 2 | 3);
    KL_TRY(ready(sqlite, KL_SQL_BUDGETS, &statement));
    code = bind_bytes(statement, 1, kl_view_of(first, sizeof first));
    if (code == SQLITE_OK) code = bind_bytes(statement, 2, kl_view_of(last, sizeof last));
    rc = kl_sqlite_rc(sqlite, code, "bind");
    while (rc == KL_OK) {
        code = sqlite3_step(statement);
        rc = kl_sqlite_rc(sqlite, code, "read the counts of encryptions");
        if (code == SQLITE_DONE) break;
        if (rc == KL_OK) rc = give_budget(sqlite, statement, each, user);
    }
    done(statement);
    return rc;
}

static enum kl_rc budget_set(struct kl_backend *backend, const uint8_t id[KL_ROW_ID_LEN], const uint64_t *used)
{
    sqlite3_stmt *statement = NULL;
    int code;

    KL_TRY(ready(of(backend), used == NULL ? KL_SQL_BUDGET_REMOVE : KL_SQL_BUDGET_SET, &statement));
    code = bind_bytes(statement, 1, kl_view_of(id, KL_ROW_ID_LEN));
    if (code == SQLITE_OK && used != NULL) code = sqlite3_bind_int64(statement, 2, (int64_t)*used);
    return finish(of(backend), statement, code, "count encryptions");
}

/* --- the whole --- */

static enum kl_rc sqlite_empty(struct kl_backend *backend)
{
    return kl_sqlite_run(of(backend),
                         "DELETE FROM encryption_keys; DELETE FROM token_records; DELETE FROM bucket_groups; DELETE FROM store_root;"
                         "DELETE FROM pin_tries; DELETE FROM key_budgets; DELETE FROM budget_root",
                         "empty the store");
}

static enum kl_rc sqlite_check(struct kl_backend *backend, void (*say)(void *user, const char *words), void *user, uint64_t *hurt)
{
    struct kl_sqlite *sqlite = of(backend);
    sqlite3_stmt *statement = NULL;
    enum kl_rc rc = kl_sqlite_rc(sqlite, sqlite3_prepare_v2(sqlite->db, "PRAGMA integrity_check", -1, &statement, NULL), "check the file");

    while (rc == KL_OK) {
        int code = sqlite3_step(statement);
        const unsigned char *words;

        rc = kl_sqlite_rc(sqlite, code, "check the file");
        if (rc != KL_OK || code == SQLITE_DONE) break;
        words = sqlite3_column_text(statement, 0);
        if (words == NULL || strcmp((const char *)words, "ok") == 0) continue;
        (*hurt)++;
        say(user, (const char *)words);
    }
    sqlite3_finalize(statement);
    return rc;
}

static enum kl_rc copy_into(struct kl_sqlite *sqlite, const char *to)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(sqlite->db, "VACUUM INTO ?1", -1, &statement, NULL);
    enum kl_rc rc;

    if (code == SQLITE_OK) code = bind_text(statement, 1, kl_view_text(to));
    if (code == SQLITE_OK) code = sqlite3_step(statement);
    rc = kl_sqlite_rc(sqlite, code, "copy the store");
    sqlite3_finalize(statement);
    return rc;
}

static enum kl_rc copy(struct kl_backend *backend, const char *to)
{
    struct kl_sqlite *sqlite = of(backend);
    struct kl_descriptor made;
    enum kl_rc rc;
    int fd = -1;

    KL_TRY(kl_sqlite_check_place(sqlite));
    KL_TRY(reconnect(sqlite));
    KL_TRY(kl_file_open(to, KL_FILE_WRITE | KL_FILE_CREATE | KL_FILE_EXCLUSIVE, &fd));
    if (!kl_descriptor_take(&made, fd)) return kl_fail(KL_STORE, "%s: %s", to, strerror(errno));
    rc = copy_into(sqlite, to);
    /* SQLite itself does not sync what it copies. */
    if (rc == KL_OK && kl_disk->sync(kl_descriptor_fd(&made)) != 0) rc = kl_fail(KL_STORE, "%s cannot be synced: %s", to, strerror(errno));
    if (rc != KL_OK) kl_disk->unlink(to);
    kl_descriptor_close(&made);
    return rc;
}

const struct kl_store_ops kl_store_sqlite = {
    .scheme = "sqlite:",
    .check_uri = check_uri,
    .open = sqlite_open,
    .close = sqlite_close,
    .is_ours = is_ours,
    .path = path,
    .is_read_only = is_read_only,
    .mark = mark,
    .queue = queue,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .scan = scan_start,
    .next = scan_next,
    .stop = scan_stop,
    .add = add,
    .change = change,
    .remove = sqlite_remove,
    .head = head,
    .group_get = group_get,
    .group_set = group_set,
    .root_get = root_get,
    .root_set = root_set,
    .records = records,
    .record_set = record_set,
    .tries_get = tries_get,
    .tries_set = tries_set,
    .budget_root_get = budget_root_get,
    .budget_root_set = budget_root_set,
    .budgets = budgets,
    .budget_set = budget_set,
    .empty = sqlite_empty,
    .check = sqlite_check,
    .copy = copy,
};
