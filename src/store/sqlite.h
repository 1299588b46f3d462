/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The SQLite kind of store, as its own files see it. */
#ifndef KL_STORE_SQLITE_H
#define KL_STORE_SQLITE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/rc.h"
#include "store/mark.h"
#include "store/process.h"
#include "store/store.h"

#define KL_SQLITE_APPLICATION 0x4B4C4144
#define KL_SQLITE_PAGE 4096
#define KL_SQLITE_PATH_MAX 3072 /* leaves room for what is put behind it */

/* Cached statements; the texts are in store_sqlite.c. */
enum kl_sql {
    KL_SQL_BEGIN,
    KL_SQL_BEGIN_WRITE,
    KL_SQL_COMMIT,
    KL_SQL_ROLLBACK,
    KL_SQL_SCHEMA_VERSION,
    KL_SQL_DATA_VERSION,
    KL_SQL_SCAN, /* and one for each enum kl_scan */
    KL_SQL_SCAN_LAST = KL_SQL_SCAN + 7,
    KL_SQL_ADD,
    KL_SQL_CHANGE,
    KL_SQL_REMOVE,
    KL_SQL_HEAD,
    KL_SQL_GROUP_GET,
    KL_SQL_GROUP_SET,
    KL_SQL_ROOT_GET,
    KL_SQL_ROOT_SET,
    KL_SQL_RECORDS,
    KL_SQL_RECORD_SET,
    KL_SQL_RECORD_REMOVE,
    KL_SQL_TRIES_GET,
    KL_SQL_TRIES_SET,
    KL_SQL_BUDGET_ROOT_GET,
    KL_SQL_BUDGET_ROOT_SET,
    KL_SQL_BUDGETS,
    KL_SQL_BUDGET_SET,
    KL_SQL_BUDGET_REMOVE,
    KL_SQLS
};

struct kl_sqlite {
    sqlite3 *db;
    sqlite3_stmt *statements[KL_SQLS];
    char path[KL_SQLITE_PATH_MAX];
    char epoch_path[KL_SQLITE_PATH_MAX + 8];
    struct kl_claim claim;  /* which file it is */
    int64_t schema_version; /* when the schema was last compared */
    bool read_only;
    uint32_t connections; /* that there have been: a data version means something within one */
    bool is_shared;       /* it was open once, so other threads may be reading the mark */
    bool has_budgets;     /* tables for counts of encryptions; a store from before there were any may be read-only */
    bool writing;         /* in a write transaction */
    bool is_counting;     /* in one that need not wait for the disk (KL_BEGIN_COUNT) */
    struct kl_mark mark;
};

/* The result for an SQLite code, with words: what was tried, what SQLite says. SQLITE_OK gives KL_OK. */
KL_MUST_USE enum kl_rc kl_sqlite_rc(struct kl_sqlite *sqlite, int code, const char *doing);
/* Runs text without results; for setting up, not for data. */
KL_MUST_USE enum kl_rc kl_sqlite_run(struct kl_sqlite *sqlite, const char *text, const char *doing);
/* The first column of the first row of a query, as a number. */
KL_MUST_USE enum kl_rc kl_sqlite_number(struct kl_sqlite *sqlite, const char *text, int64_t *number);

/* Opens the file at sqlite->path, with sqlite->mark without a descriptor, and makes sure that it is a store: sqlite_open.c. */
KL_MUST_USE enum kl_rc kl_sqlite_open(struct kl_sqlite *sqlite, enum kl_store_mode mode, int64_t timeout);
/* Compares what the database holds with the schema of this format, exactly. */
KL_MUST_USE enum kl_rc kl_sqlite_check_schema(struct kl_sqlite *sqlite);
/* The file at `path` is still the one that is open. */
KL_MUST_USE enum kl_rc kl_sqlite_check_place(const struct kl_sqlite *sqlite);

#endif
