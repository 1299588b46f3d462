/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Where wrapped keys lie. One table of kinds (sqlite now, PostgreSQL later), and
 * above it the authentication that every kind shares: bucket MACs, groups and
 * the store root (doc/format.md, "Authenticated look-ups").
 *
 * A store may be used by any thread; it has one lock of its own, held for one
 * call or, by kl_store_begin, until the transaction's end. It knows no key
 * until kl_store_unlock: before that, reads are not authenticated (public
 * objects before login, token records), and rows cannot be written.
 */
#ifndef KL_STORE_STORE_H
#define KL_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/rc.h"
#include "base/secret.h"
#include "store/row.h"

#define KL_STORE_BUCKETS 4096
#define KL_STORE_GROUPS 64
#define KL_STORE_RECORD_MAX 65536
#define KL_STORE_RECORD_NAME_MAX 128
#define KL_STORE_FORMAT 2

struct kl_store;
struct kl_txn;

enum kl_store_mode {
    KL_STORE_EXISTING, /* KL_NOT_FOUND when there is no file; it is not created */
    KL_STORE_CREATE,   /* makes an empty one, 0600, when there is none; the directory must exist */
};

/*
 * Opens `uri` ("sqlite:/absolute/path"). No network, no key. timeout: ns that a call may wait
 * for another process's transaction. KL_NOT_FOUND; KL_PERMISSION (file or directory that others
 * can write, a symbolic or hard link, another owner); KL_STORE_OTHER; KL_INTEGRITY (not a
 * keyladder store, schema changed); KL_STORE, KL_STORE_BUSY, KL_CONFIG (uri).
 * A file system that is read-only is opened for reading; writes then give KL_STORE_READ_ONLY.
 * A process opens a store once at a time (KL_STORE), and leaves its files to this: closing any descriptor
 * of them drops the process's locks. A forked child opens it anew.
 */
KL_MUST_USE enum kl_rc kl_store_open(const char *uri, enum kl_store_mode mode, int64_t timeout, struct kl_store **out);
/* NULL is allowed. No transaction may be open. */
void kl_store_close(struct kl_store *store);
/*
 * In a forked child, instead of close: frees nothing that the parent's threads may have held, closes nothing. kl_store_mark
 * goes on working; nothing else does.
 */
void kl_store_abandon(struct kl_store *store);
/* Checks `uri` without opening: KL_CONFIG with words. */
KL_MUST_USE enum kl_rc kl_store_check_uri(const char *uri);

/*
 * Gives the store the token's key for its MACs (S of doc/format.md) and the token's serial, and checks the store root:
 * KL_INTEGRITY when it does not fit; the store is locked then. On a store without a root (a new one) this only sets them.
 * kl_store_lock forgets both.
 */
KL_MUST_USE enum kl_rc kl_store_unlock(struct kl_store *store, const struct kl_secret *key, struct kl_view serial);
void kl_store_lock(struct kl_store *store);

/*
 * A number that changes with every commit of any process: equal even values, read before and after, mean that
 * nothing was committed between. Odd: a commit is on its way, or a process died in one (the next write mends it).
 * One load from a mapped file; no lock, no system call.
 */
uint64_t kl_store_mark(const struct kl_store *store);

/* --- token records: named values covered by the store root --- */

/* Copies the value into `out` (cap bytes of room). KL_NOT_FOUND, KL_BUFFER. Authenticated when unlocked. */
KL_MUST_USE enum kl_rc kl_store_record(struct kl_store *store, const char *name, struct kl_out *out);
/* Calls back for every record whose name begins with `prefix`, in order of names; a result other than KL_OK stops and is handed up. */
typedef enum kl_rc kl_store_record_fn(void *user, const char *name, struct kl_view value);
KL_MUST_USE enum kl_rc kl_store_records(struct kl_store *store, const char *prefix, kl_store_record_fn *each, void *user);

/* --- rows --- */

enum kl_query_by { KL_BY_ALL, KL_BY_PUBLIC, KL_BY_LABEL, KL_BY_KEY_ID, KL_BY_PARENT, KL_BY_ROW };

struct kl_query {
    enum kl_query_by by;
    struct kl_view value; /* label, CKA_ID, parent's id, row's id; must not be empty except for ALL and PUBLIC */
    struct kl_view label; /* BY_ROW: the label that the row had when last seen, so that its absence can be proved; NULL data if unknown */
};

/* Where a paged read stands; { 0 } is the beginning. */
struct kl_cursor {
    uint32_t bucket;
    uint8_t after[KL_ROW_ID_LEN];
    uint32_t hurt; /* rows or buckets left out so far, KL_BY_ALL and KL_BY_PUBLIC only */
    bool started;
    bool done;
};

/* Rows and the memory that their views point into; { 0 } to begin with, kl_page_clear after use. */
struct kl_page {
    struct kl_row *rows;
    size_t count;
    struct kl_row_memory *memory;
};
void kl_page_clear(struct kl_page *page);

/*
 * Reads the next page (some 256 rows; no order is promised) from where `cursor` stands; cursor->done tells the end.
 * Unlocked, every row, and for ALL, LABEL, KEY_ID (and ROW with a label) also that none is missing, is checked
 * against bucket, group and root in one snapshot: KL_INTEGRITY, with words that say what was found.
 * For ALL and PUBLIC, a row or bucket that does not fit is left out and logged, and the rest goes on; cursor->hurt counts them.
 * KL_NOT_FOUND is never given; an empty page is. Locked, PUBLIC and ROW alone are answered, unchecked; KL_ARG for the others.
 * Inside a transaction of the same thread reads come before the first write, else KL_ARG.
 */
KL_MUST_USE enum kl_rc kl_store_read(struct kl_store *store, const struct kl_query *query, struct kl_cursor *cursor, struct kl_page *page);

/* --- transactions --- */

/* What a commit did to the mark: nothing else was committed between `before` and `after`. */
struct kl_commit {
    uint64_t before;
    uint64_t after;
};

/* Begins the one write transaction; waits for others up to the timeout (KL_STORE_BUSY). Needs unlock. Checks the store root. */
KL_MUST_USE enum kl_rc kl_store_begin(struct kl_store *store, struct kl_txn **out);
/* A new row, generation 1. KL_CONFLICT if its id exists. */
KL_MUST_USE enum kl_rc kl_txn_add(struct kl_txn *txn, const struct kl_row *row);
/* Replaces a row whose generation is row->generation - 1 now, else KL_CONFLICT. */
KL_MUST_USE enum kl_rc kl_txn_change(struct kl_txn *txn, const struct kl_row *row);
/* Removes a row of exactly this generation, else KL_CONFLICT; freed pages are overwritten (secure_delete). */
KL_MUST_USE enum kl_rc kl_txn_remove(struct kl_txn *txn, const uint8_t id[KL_ROW_ID_LEN], uint64_t generation);
/* Sets a record; an empty value with data == NULL removes it. */
KL_MUST_USE enum kl_rc kl_txn_record(struct kl_txn *txn, const char *name, struct kl_view value);
/* Removes every row, record, bucket and counter: what C_InitToken begins with. The key and serial given next must be set by kl_txn_rekey. */
KL_MUST_USE enum kl_rc kl_txn_empty(struct kl_txn *txn);
/* The key and serial under which this transaction's MACs are made and the store goes on after the commit; only in an empty store. */
KL_MUST_USE enum kl_rc kl_txn_rekey(struct kl_txn *txn, const struct kl_secret *key, struct kl_view serial);
/* Durable when it returns KL_OK; ends the transaction in any case. */
KL_MUST_USE enum kl_rc kl_txn_commit(struct kl_txn *txn, struct kl_commit *commit);
/* NULL is allowed. */
void kl_txn_abort(struct kl_txn *txn);

/* --- attempts at a PIN: counted outside the MACs, before any key is known --- */

/* Counts one attempt, durably, unless `limit` are used already: KL_PIN_LOCKED. `used` is the count afterwards. */
KL_MUST_USE enum kl_rc kl_store_tries_take(struct kl_store *store, const char *name, uint32_t limit, uint32_t *used);
KL_MUST_USE enum kl_rc kl_store_tries(struct kl_store *store, const char *name, uint32_t *used);
KL_MUST_USE enum kl_rc kl_store_tries_reset(struct kl_store *store, const char *name);

/* --- how often each version of a key has encrypted: counted under MACs, but outside the epoch and the mark --- */

/*
 * Counts up to `want` more encryptions under the key of a row, durably: `got` is as many of them as are left below `limit` (at
 * most INT64_MAX), which may be none, and `used` the count afterwards. Needs unlock. KL_NOT_FOUND: there is no such row any more.
 * KL_INTEGRITY: a count was changed, taken out or put back from outside.
 */
KL_MUST_USE enum kl_rc kl_store_budget_take(struct kl_store *store, const uint8_t id[KL_ROW_ID_LEN], uint64_t want, uint64_t limit,
                                            uint64_t *got, uint64_t *used);
/* What was taken and not used; each row once. Its order is changed. What has gone with its row is passed over. Waits for other processes for a second at most. */
struct kl_unspent {
    uint8_t id[KL_ROW_ID_LEN];
    uint64_t count;
};
KL_MUST_USE enum kl_rc kl_store_budget_return(struct kl_store *store, struct kl_unspent *list, size_t count);
/* 0 for a row under whose key nothing was encrypted. */
KL_MUST_USE enum kl_rc kl_store_budget(struct kl_store *store, const uint8_t id[KL_ROW_ID_LEN], uint64_t *used);
/* Calls back for every count there is; a result other than KL_OK stops and is handed up. */
typedef enum kl_rc kl_store_budget_fn(void *user, const uint8_t id[KL_ROW_ID_LEN], uint64_t used) KL_MUST_USE;
KL_MUST_USE enum kl_rc kl_store_budgets(struct kl_store *store, kl_store_budget_fn *each, void *user);

/* --- the whole --- */

/* What kl_store_check found. */
struct kl_store_report {
    uint64_t rows;
    uint64_t epoch;
    uint64_t hurt; /* rows or buckets that do not fit */
};
/* Checks every row, bucket, group, the root, the counts and the file itself (PRAGMA integrity_check). Calls `say` for each thing found wrong. */
KL_MUST_USE enum kl_rc kl_store_check(struct kl_store *store, void (*say)(void *user, const char *words), void *user,
                                      struct kl_store_report *report);

/* Writes a whole, consistent copy beside the store, "PATH.set-aside-YYYYMMDDTHHMMSSZ" (0600, synced), and its path to `path`. Before C_InitToken begins anew. */
KL_MUST_USE enum kl_rc kl_store_set_aside(struct kl_store *store, char *path, size_t cap);

/* Nothing can be written: the file system or the file is read-only. */
bool kl_store_is_read_only(const struct kl_store *store);

/* The file's path, for messages. */
const char *kl_store_path(const struct kl_store *store);

#endif
