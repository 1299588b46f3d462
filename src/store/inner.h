/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A store from inside this room: its state, its lock, its snapshots. */
#ifndef KL_STORE_INNER_H
#define KL_STORE_INNER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/secret.h"
#include "store/ops.h"
#include "store/store.h"
#include "store/tree.h"
#include "store/wait.h"

#define KL_SERIAL_MAX 64

struct kl_serial {
    uint8_t text[KL_SERIAL_MAX];
    size_t len;
};

struct kl_store {
    const struct kl_store_ops *ops;
    struct kl_backend *backend;
    int64_t timeout;
    struct kl_gate turn;     /* who of this process is next to ask for the write lock; taken before `lock` */
    struct kl_gate lock;     /* everything below, and every call of ops */
    _Atomic uintptr_t owner; /* the thread whose transaction is open, 0 if none is */
    struct kl_txn *txn;
    bool unlocked;
    struct kl_secret key;
    struct kl_serial serial;
    struct kl_root root;               /* as of the last snapshot; checked if unlocked */
    bool root_checked;                 /* `root` was found right under `key` */
    uint64_t seen_epoch;               /* the greatest that was ever right, under any key */
    struct kl_budget_root budget_root; /* as it was found right or made last, under `key` */
    struct kl_store *abandoned_before;
    bool is_abandoned;
};

struct kl_view kl_serial_view(const struct kl_serial *serial);

/* A snapshot, or this thread's own transaction. */
struct kl_look {
    struct kl_store *store;
    bool inside; /* of a transaction of this thread */
};
/* Locks the store, takes a snapshot, loads the root and, if unlocked, checks it. KL_ARG in a transaction that has written. */
KL_MUST_USE enum kl_rc kl_look_begin(struct kl_look *look, struct kl_store *store);
void kl_look_end(struct kl_look *look);

/* Locks the store and begins a write transaction; no root is looked at. Waits for others until the store's timeout, or for `timeout` ns. */
KL_MUST_USE enum kl_rc kl_write_begin(struct kl_store *store);
/* The same for counts alone (KL_BEGIN_COUNT). */
KL_MUST_USE enum kl_rc kl_count_begin(struct kl_store *store, int64_t timeout);
/* The caller has committed or rolled back. */
void kl_write_end(struct kl_store *store);
bool kl_store_is_mine(struct kl_store *store);
/* KL_ARG once it has written: then the rows do not fit the tree until it commits. */
KL_MUST_USE enum kl_rc kl_txn_may_read(const struct kl_txn *txn);

/* In a snapshot: the root into store->root, checked when a key is known. */
KL_MUST_USE enum kl_rc kl_store_load_root(struct kl_store *store);
/* In a snapshot: a group of bucket MACs, found right. */
KL_MUST_USE enum kl_rc kl_store_load_group(struct kl_store *store, uint32_t group, uint8_t macs[KL_GROUP_LEN]);
/* All records one after the other, B(name) and B(value), on the heap; their SHA-256, for an unlocked store compared with the root. */
struct kl_heap {
    uint8_t *data;
    size_t len;
    size_t cap;
};
void kl_heap_clear(struct kl_heap *heap);
KL_MUST_USE enum kl_rc kl_store_load_records(struct kl_store *store, struct kl_heap *heap, uint8_t digest[KL_MAC_LEN]);
KL_MUST_USE enum kl_rc kl_store_check_records(struct kl_store *store, struct kl_heap *heap);
/* The same, and does a record of this name exist? */
KL_MUST_USE enum kl_rc kl_store_has_record(struct kl_store *store, const char *name, bool *has);
/* In a transaction of rows: the count of a row that is removed goes with it. */
KL_MUST_USE enum kl_rc kl_store_drop_budget(struct kl_store *store, const uint8_t id[KL_ROW_ID_LEN]);
/* In a snapshot: every count against its root, calling `note` for what does not fit; what that gives but KL_OK is handed up. */
typedef enum kl_rc kl_note_fn(void *user, enum kl_rc rc) KL_MUST_USE;
KL_MUST_USE enum kl_rc kl_store_check_budgets(struct kl_store *store, kl_note_fn *note, void *user);
/* In a snapshot without a root: nothing else is there either. */
KL_MUST_USE enum kl_rc kl_store_check_blank(struct kl_store *store);

enum kl_walk_rows { KL_WALK_ENTRIES, KL_WALK_LABEL_ROWS };
/* Whatever it gives but KL_OK ends the walk and is handed up. */
typedef enum kl_rc kl_walk_row_fn(void *user, const struct kl_found *found) KL_MUST_USE;

/* Bucket by bucket through both lists at once; the label's with whole rows, if asked for. */
struct kl_walk_side {
    enum kl_scan scan;
    struct kl_found found;
    bool more;
};
struct kl_walk {
    struct kl_store *store;
    struct kl_walk_side label;
    struct kl_walk_side key_id;
    struct kl_entries by_label; /* of the bucket that kl_walk_bucket was called for last */
    struct kl_entries by_key_id;
    bool bad; /* it has a row that is none */
};

/* kl_walk_clear in any case. */
KL_MUST_USE enum kl_rc kl_walk_begin(struct kl_walk *walk, struct kl_store *store, enum kl_walk_rows rows, uint32_t first, uint32_t last);
/* Buckets in ascending order. `each`, if not NULL, is called for every whole row of it. */
KL_MUST_USE enum kl_rc kl_walk_bucket(struct kl_walk *walk, uint32_t bucket, kl_walk_row_fn *each, void *user);
/* KL_INTEGRITY unless the bucket walked last has this MAC. */
KL_MUST_USE enum kl_rc kl_walk_compare(const struct kl_walk *walk, uint32_t bucket, const uint8_t group[KL_GROUP_LEN]);
void kl_walk_clear(struct kl_walk *walk);

/* Is the row what its entry says? KL_INTEGRITY if not. */
KL_MUST_USE enum kl_rc kl_store_check_row(struct kl_store *store, const struct kl_found *found);

#endif
