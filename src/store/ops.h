/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What a kind of store must be able to do: keep the tables of doc/format.md and
 * run transactions over them. It checks types and lengths of what it reads, and
 * authenticates nothing; that is done above it, the same for every kind.
 * No two calls run at once on one backend.
 */
#ifndef KL_STORE_OPS_H
#define KL_STORE_OPS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/rc.h"
#include "store/row.h"
#include "store/store.h"
#include "store/tree.h"

struct kl_backend;

/*
 * KL_BEGIN_COUNT writes what a power failure may take away again, so it does not wait for the disk; a killed process takes
 * nothing away.
 */
enum kl_begin { KL_BEGIN_READ, KL_BEGIN_WRITE, KL_BEGIN_COUNT };

/* Ways to walk over rows, each by ascending bucket (where it has one) and id. */
enum kl_scan {
    KL_SCAN_LABEL_ENTRIES, /* buckets first to last, by label: bucket and entry alone */
    KL_SCAN_KEY_ID_ENTRIES,
    KL_SCAN_LABEL_ROWS, /* by label with whole rows */
    KL_SCAN_PUBLIC,     /* rows with is_public after `after` */
    KL_SCAN_PARENT,     /* rows of the parent `value` after `after` */
    KL_SCAN_ROW,        /* the row with the id `value` */
    KL_SCAN_EVERY,      /* all rows */
    KL_SCANS
};

struct kl_range {
    uint32_t first;
    uint32_t last;
    struct kl_view value;
    struct kl_view after;
};

/* One step of a scan. Views last until the next step. */
struct kl_found {
    bool bad;        /* a column has a type, length or value that no row has */
    uint32_t bucket; /* of the list that is walked; for a scan without buckets the label's */
    uint32_t other;  /* the row's bucket in the other list; whole rows only */
    struct kl_entry entry;
    struct kl_row row; /* whole rows only */
};

/* A row to be written, with what the tree needs beside its columns. */
struct kl_placed {
    const struct kl_row *row;
    uint32_t label_bucket;
    uint32_t key_id_bucket;
    const uint8_t *digest; /* KL_ENTRY_DIGEST_LEN bytes */
};

struct kl_store_ops {
    const char *scheme; /* "sqlite:" */

    KL_MUST_USE enum kl_rc (*check_uri)(const char *rest);
    KL_MUST_USE enum kl_rc (*open)(const char *rest, enum kl_store_mode mode, int64_t timeout, struct kl_backend **out);
    void (*close)(struct kl_backend *backend);
    /* False in a child of the process that opened it. */
    bool (*is_ours)(const struct kl_backend *backend);
    const char *(*path)(const struct kl_backend *backend);
    bool (*is_read_only)(const struct kl_backend *backend);
    uint64_t (*mark)(const struct kl_backend *backend);

    /* One attempt to be the next writer in the queue, or to leave it; KL_STORE_BUSY: try again. */
    KL_MUST_USE enum kl_rc (*queue)(struct kl_backend *backend, bool enter);
    /* One attempt. KL_STORE_BUSY: try again. A snapshot is taken at once. */
    KL_MUST_USE enum kl_rc (*begin)(struct kl_backend *backend, enum kl_begin kind);
    /* `commit` NULL: what was written is a count, which mark does not tell of. */
    KL_MUST_USE enum kl_rc (*commit)(struct kl_backend *backend, struct kl_commit *commit);
    void (*rollback)(struct kl_backend *backend);

    KL_MUST_USE enum kl_rc (*scan)(struct kl_backend *backend, enum kl_scan scan, const struct kl_range *range);
    KL_MUST_USE enum kl_rc (*next)(struct kl_backend *backend, enum kl_scan scan, struct kl_found *found, bool *more);
    void (*stop)(struct kl_backend *backend, enum kl_scan scan);

    KL_MUST_USE enum kl_rc (*add)(struct kl_backend *backend, const struct kl_placed *placed);
    KL_MUST_USE enum kl_rc (*change)(struct kl_backend *backend, const struct kl_placed *placed);
    KL_MUST_USE enum kl_rc (*remove)(struct kl_backend *backend, const uint8_t id[KL_ROW_ID_LEN]);
    /* The row's entry and both its buckets, nothing else. KL_NOT_FOUND. */
    KL_MUST_USE enum kl_rc (*head)(struct kl_backend *backend, const uint8_t id[KL_ROW_ID_LEN], struct kl_found *found);

    /* A missing group is all zeros, a missing root has exists == false. */
    KL_MUST_USE enum kl_rc (*group_get)(struct kl_backend *backend, uint32_t group, uint8_t macs[KL_GROUP_LEN]);
    KL_MUST_USE enum kl_rc (*group_set)(struct kl_backend *backend, uint32_t group, const uint8_t macs[KL_GROUP_LEN]);
    KL_MUST_USE enum kl_rc (*root_get)(struct kl_backend *backend, struct kl_root *root);
    KL_MUST_USE enum kl_rc (*root_set)(struct kl_backend *backend, const struct kl_root *root);

    KL_MUST_USE enum kl_rc (*records)(struct kl_backend *backend, kl_store_record_fn *each, void *user);
    /* data == NULL removes. */
    KL_MUST_USE enum kl_rc (*record_set)(struct kl_backend *backend, const char *name, struct kl_view value);

    KL_MUST_USE enum kl_rc (*tries_get)(struct kl_backend *backend, const char *name, uint32_t *used);
    KL_MUST_USE enum kl_rc (*tries_set)(struct kl_backend *backend, const char *name, uint32_t used);

    /* A missing root has exists == false. */
    KL_MUST_USE enum kl_rc (*budget_root_get)(struct kl_backend *backend, struct kl_budget_root *root);
    KL_MUST_USE enum kl_rc (*budget_root_set)(struct kl_backend *backend, const struct kl_budget_root *root);
    /* Every count of a bucket, by ascending id. */
    KL_MUST_USE enum kl_rc (*budgets)(struct kl_backend *backend, uint32_t bucket, kl_store_budget_fn *each, void *user);
    /* `used` NULL removes. */
    KL_MUST_USE enum kl_rc (*budget_set)(struct kl_backend *backend, const uint8_t id[KL_ROW_ID_LEN], const uint64_t *used);

    /* Everything but the schema. */
    KL_MUST_USE enum kl_rc (*empty)(struct kl_backend *backend);
    /* The file itself, without keys; in a read transaction. */
    KL_MUST_USE enum kl_rc (*check)(struct kl_backend *backend, void (*say)(void *user, const char *words), void *user, uint64_t *hurt);
    /* Outside a transaction. KL_CONFLICT when there is something at `path`. */
    KL_MUST_USE enum kl_rc (*copy)(struct kl_backend *backend, const char *path);
};

extern const struct kl_store_ops kl_store_sqlite;

#endif
