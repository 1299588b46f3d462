/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What authenticates a store: buckets, groups and the root (doc/format.md,
 * "Authenticated look-ups"). Pure computation; where the bytes lie is known
 * to the kind of store alone.
 */
#ifndef KL_STORE_TREE_H
#define KL_STORE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/rc.h"
#include "store/row.h"
#include "store/store.h"

#define KL_MAC_LEN 32
#define KL_GROUP_BUCKETS (KL_STORE_BUCKETS / KL_STORE_GROUPS)
#define KL_GROUP_LEN (KL_GROUP_BUCKETS * KL_MAC_LEN)
enum kl_place { KL_PLACE_LABEL, KL_PLACE_KEY_ID };

#define KL_TAG_LEN 4
#define KL_TAGS_LEN (2 * KL_TAG_LEN)
#define KL_ENTRY_DIGEST_LEN (KL_TAGS_LEN + KL_ROW_DIGEST_LEN)
#define KL_ENTRY_LEN (KL_ROW_ID_LEN + 8 + KL_ENTRY_DIGEST_LEN)

/*
 * A row as the tree sees it. The tags, one of its label and one of its CKA_ID by enum kl_place, tell who looks for a name
 * which rows of a bucket to read; what follows them is the row's own digest.
 */
struct kl_entry {
    uint8_t id[KL_ROW_ID_LEN];
    uint64_t generation;
    uint8_t digest[KL_ENTRY_DIGEST_LEN];
};
void kl_entry_read(const uint8_t encoded[KL_ENTRY_LEN], struct kl_entry *entry);

/* Entries of one bucket by ascending id, encoded; { 0 } is empty. */
struct kl_entries {
    uint8_t *data;
    size_t len;
    size_t cap;
};
KL_MUST_USE enum kl_rc kl_entries_add(struct kl_entries *entries, const struct kl_entry *entry);
/* Adds one that is encoded already. */
KL_MUST_USE enum kl_rc kl_entries_copy(struct kl_entries *entries, const uint8_t encoded[KL_ENTRY_LEN]);
/* NULL when it is not there. The entry's generation and digest come behind the id. */
const uint8_t *kl_entries_find(const struct kl_entries *entries, const uint8_t id[KL_ROW_ID_LEN]);
/* Whether an encoded entry says what the other does. */
bool kl_entry_is(const uint8_t *encoded, const struct kl_entry *entry);
void kl_entries_empty(struct kl_entries *entries);
void kl_entries_clear(struct kl_entries *entries);

struct kl_root {
    bool exists;
    uint64_t epoch;
    uint64_t row_count;
    uint8_t records[KL_MAC_LEN];
    uint8_t groups[KL_STORE_GROUPS][KL_MAC_LEN];
    uint8_t mac[KL_MAC_LEN];
};

/*
 * Counts of encryptions by key version, with a root of their own: it changes far more often than keys do, and nobody has to read a
 * key again because of it. A count's bucket is in the first six bits of its row's id, which are random.
 */
#define KL_BUDGET_BUCKETS 64
#define KL_BUDGET_ENTRY_LEN (KL_ROW_ID_LEN + 8)

struct kl_budget_root {
    bool exists;
    uint64_t epoch;
    uint8_t buckets[KL_BUDGET_BUCKETS][KL_MAC_LEN];
    uint8_t mac[KL_MAC_LEN];
};

/* The bucket and the tag of a label or CKA_ID; an empty one goes by the row's id. */
struct kl_spot {
    uint32_t bucket;
    uint8_t tag[KL_TAG_LEN];
};
KL_MUST_USE enum kl_rc kl_tree_place(struct kl_view key, enum kl_place kind, struct kl_view value, const uint8_t id[KL_ROW_ID_LEN],
                                     struct kl_spot *spot);
KL_MUST_USE enum kl_rc kl_tree_bucket(struct kl_view key, uint32_t bucket, const struct kl_entries *by_label,
                                      const struct kl_entries *by_key_id, uint8_t mac[KL_MAC_LEN]);
KL_MUST_USE enum kl_rc kl_tree_group(struct kl_view key, uint32_t group, const uint8_t macs[KL_GROUP_LEN], uint8_t mac[KL_MAC_LEN]);
/* Of everything in the root but its own mac. */
KL_MUST_USE enum kl_rc kl_tree_root(struct kl_view key, const struct kl_root *root, uint8_t mac[KL_MAC_LEN]);
/* `entries`: id and u64 count, by ascending id. */
KL_MUST_USE enum kl_rc kl_tree_budget_bucket(struct kl_view key, uint32_t bucket, struct kl_view entries, uint8_t mac[KL_MAC_LEN]);
/* Of everything in it but its own mac. */
KL_MUST_USE enum kl_rc kl_tree_budget_root(struct kl_view key, struct kl_view serial, const struct kl_budget_root *root,
                                           uint8_t mac[KL_MAC_LEN]);
/* The root of a store without rows, records as given; its mac is not made yet. */
KL_MUST_USE enum kl_rc kl_tree_empty(struct kl_view key, struct kl_root *root);

#endif
