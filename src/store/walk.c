/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Walking through buckets. */
#include <string.h>

#include "store/inner.h"

static enum kl_rc advance(struct kl_walk *walk, struct kl_walk_side *side)
{
    return walk->store->ops->next(walk->store->backend, side->scan, &side->found, &side->more);
}

enum kl_rc kl_walk_begin(struct kl_walk *walk, struct kl_store *store, enum kl_walk_rows rows, uint32_t first, uint32_t last)
{
    const struct kl_range range = { .first = first, .last = last };

    memset(walk, 0, sizeof *walk);
    walk->label.scan = rows == KL_WALK_LABEL_ROWS ? KL_SCAN_LABEL_ROWS : KL_SCAN_LABEL_ENTRIES;
    walk->key_id.scan = KL_SCAN_KEY_ID_ENTRIES;
    walk->store = store;
    KL_TRY(store->ops->scan(store->backend, walk->label.scan, &range));
    KL_TRY(store->ops->scan(store->backend, walk->key_id.scan, &range));
    KL_TRY(advance(walk, &walk->label));
    return advance(walk, &walk->key_id);
}

static enum kl_rc gather(struct kl_walk *walk, struct kl_walk_side *side, uint32_t bucket, kl_walk_row_fn *each, void *user)
{
    struct kl_entries *entries = side == &walk->label ? &walk->by_label : &walk->by_key_id;

    if (side->scan != KL_SCAN_LABEL_ROWS) each = NULL;
    kl_entries_empty(entries);
    while (side->more && side->found.bucket == bucket) {
        if (side->found.bad) walk->bad = true;
        KL_TRY(kl_entries_add(entries, &side->found.entry));
        if (each != NULL && !side->found.bad) KL_TRY(each(user, &side->found));
        KL_TRY(advance(walk, side));
    }
    return KL_OK;
}

enum kl_rc kl_walk_bucket(struct kl_walk *walk, uint32_t bucket, kl_walk_row_fn *each, void *user)
{
    walk->bad = false;
    KL_TRY(gather(walk, &walk->label, bucket, each, user));
    return gather(walk, &walk->key_id, bucket, each, user);
}

enum kl_rc kl_walk_compare(const struct kl_walk *walk, uint32_t bucket, const uint8_t group[KL_GROUP_LEN])
{
    const struct kl_store *store = walk->store;
    uint8_t mac[KL_MAC_LEN];

    KL_TRY(kl_tree_bucket(kl_secret_view(&store->key), bucket, &walk->by_label, &walk->by_key_id, mac));
    if (!walk->bad && kl_bytes_equal(mac, group + (size_t)(bucket % KL_GROUP_BUCKETS) * KL_MAC_LEN, sizeof mac)) return KL_OK;
    return kl_fail(KL_INTEGRITY, "%s: bucket %u does not fit its MAC: a row was changed, added, removed or replayed from outside",
                   store->ops->path(store->backend), bucket);
}

void kl_walk_clear(struct kl_walk *walk)
{
    if (walk->store == NULL) return;
    walk->store->ops->stop(walk->store->backend, walk->label.scan);
    walk->store->ops->stop(walk->store->backend, walk->key_id.scan);
    kl_entries_clear(&walk->by_label);
    kl_entries_clear(&walk->by_key_id);
    walk->store = NULL;
}
