/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Write transactions, and how they keep bucket MACs, groups and root right. */
#include <stdlib.h>
#include <string.h>

#include "store/inner.h"

enum { DELTAS_AT_FIRST = 16 };

/* How a row stands in the tree, before or after. */
struct side {
    bool there;
    uint32_t bucket[2]; /* by enum kl_place */
    struct kl_entry entry;
};

struct delta {
    struct side was;
    struct side is;
    size_t number; /* in the order of the calls */
};

/* What is to happen in one list of one bucket. */
struct edit {
    uint32_t bucket;
    const struct kl_entry *was; /* NULL: not in this list before */
    const struct kl_entry *is;
};

struct kl_txn {
    struct kl_store *store;
    struct delta *deltas;
    size_t count;
    size_t cap;
    bool records_changed;
    bool emptied;
    bool rekeyed;
    struct kl_secret key;
    struct kl_serial serial;
    enum kl_rc broken; /* a write failed: nothing can be committed any more */
    uint8_t *groups[KL_STORE_GROUPS];
    struct kl_root root;
};

/* --- beginning and ending --- */

enum kl_rc kl_store_begin(struct kl_store *store, struct kl_txn **out)
{
    struct kl_txn *txn = calloc(1, sizeof *txn);
    enum kl_rc rc;

    if (txn == NULL) return kl_fail(KL_MEMORY, "no memory for a transaction");
    txn->store = store;
    rc = kl_write_begin(store);
    if (rc != KL_OK) {
        free(txn);
        return rc;
    }
    store->txn = txn;
    rc = kl_store_load_root(store);
    if (rc == KL_OK && !store->unlocked && store->root.exists) rc = kl_fail(KL_ARG, "%s was not unlocked", kl_store_path(store));
    if (rc != KL_OK) {
        kl_txn_abort(txn);
        return rc;
    }
    *out = txn;
    return KL_OK;
}

static void end(struct kl_txn *txn)
{
    struct kl_store *store = txn->store;

    store->txn = NULL;
    kl_write_end(store);
    kl_secret_clear(&txn->key);
    for (size_t i = 0; i < KL_STORE_GROUPS; i++) free(txn->groups[i]);
    free(txn->deltas);
    free(txn);
}

void kl_txn_abort(struct kl_txn *txn)
{
    if (txn == NULL) return;
    txn->store->ops->rollback(txn->store->backend);
    end(txn);
}

enum kl_rc kl_txn_may_read(const struct kl_txn *txn)
{
    KL_CHECK(txn->count == 0 && !txn->records_changed && !txn->emptied, KL_ARG);
    return KL_OK;
}

static struct kl_view key_of(const struct kl_txn *txn)
{
    return kl_secret_view(txn->rekeyed ? &txn->key : &txn->store->key);
}

static struct kl_view serial_of(const struct kl_txn *txn)
{
    return kl_serial_view(txn->rekeyed ? &txn->serial : &txn->store->serial);
}

static bool has_key(const struct kl_txn *txn)
{
    return txn->rekeyed || (txn->store->unlocked && !txn->emptied);
}

/* --- writing rows --- */

static enum kl_rc new_delta(struct kl_txn *txn, struct delta **out)
{
    if (txn->count == txn->cap) {
        size_t cap = txn->cap == 0 ? DELTAS_AT_FIRST : txn->cap * 2;
        struct delta *deltas = realloc(txn->deltas, cap * sizeof *deltas);

        if (deltas == NULL) return kl_fail(KL_MEMORY, "no memory for a transaction of %zu rows", txn->count);
        txn->deltas = deltas;
        txn->cap = cap;
    }
    *out = &txn->deltas[txn->count];
    memset(*out, 0, sizeof **out);
    (*out)->number = txn->count;
    return KL_OK;
}

static enum kl_rc find_before(struct kl_txn *txn, const uint8_t id[KL_ROW_ID_LEN], struct side *was)
{
    struct kl_store *store = txn->store;
    struct kl_found found = { 0 };
    enum kl_rc rc = store->ops->head(store->backend, id, &found);

    was->there = false;
    if (rc == KL_NOT_FOUND) return KL_OK;
    KL_TRY(rc);
    if (found.bad) return kl_fail(KL_INTEGRITY, "%s: a row was changed from outside", kl_store_path(store));
    *was = (struct side){ .there = true, .bucket = { found.bucket, found.other }, .entry = found.entry };
    return KL_OK;
}

static enum kl_rc place(const struct kl_txn *txn, const struct kl_row *row, struct side *is)
{
    struct kl_spot spots[2];

    is->there = true;
    memcpy(is->entry.id, row->id, sizeof row->id);
    is->entry.generation = row->generation;
    KL_TRY(kl_tree_place(key_of(txn), KL_PLACE_LABEL, row->label, row->id, &spots[KL_PLACE_LABEL]));
    KL_TRY(kl_tree_place(key_of(txn), KL_PLACE_KEY_ID, row->key_id, row->id, &spots[KL_PLACE_KEY_ID]));
    for (size_t i = 0; i < 2; i++) {
        is->bucket[i] = spots[i].bucket;
        memcpy(is->entry.digest + i * KL_TAG_LEN, spots[i].tag, KL_TAG_LEN);
    }
    return kl_row_digest(row, serial_of(txn), is->entry.digest + KL_TAGS_LEN);
}

static enum kl_rc check_limits(const struct kl_row *row)
{
    KL_CHECK(row->generation >= 1 && row->generation < INT64_MAX, KL_ARG);
    KL_CHECK(row->label.len <= KL_ROW_LABEL_MAX && row->key_id.len <= KL_ROW_KEY_ID_MAX, KL_ARG);
    KL_CHECK(row->encrypted_key.len <= KL_ROW_SEALED_MAX && row->metadata.len <= KL_ROW_METADATA_MAX, KL_ARG);
    KL_CHECK(row->key_type.len <= KL_ROW_LABEL_MAX && row->algorithm.len <= KL_ROW_LABEL_MAX, KL_ARG);
    KL_CHECK(row->key_hash.len <= KL_ROW_LABEL_MAX, KL_ARG);
    return KL_OK;
}

static enum kl_rc conflict(const struct kl_txn *txn, const char *words)
{
    return kl_fail(KL_CONFLICT, "%s: %s", kl_store_path(txn->store), words);
}

static enum kl_rc write_row(struct kl_txn *txn, const struct kl_row *row, bool add)
{
    struct kl_store *store = txn->store;
    struct delta *delta = NULL;
    struct kl_placed placed;

    KL_TRY(txn->broken);
    KL_CHECK(has_key(txn), KL_ARG);
    KL_TRY(check_limits(row));
    KL_TRY(new_delta(txn, &delta));
    KL_TRY(find_before(txn, row->id, &delta->was));
    if (add && delta->was.there) return conflict(txn, "a row of this id exists already");
    if (!add && !delta->was.there) return conflict(txn, "the row was removed by another process");
    if (!add && delta->was.entry.generation != row->generation - 1) return conflict(txn, "the row was changed by another process");
    KL_TRY(place(txn, row, &delta->is));
    placed = (struct kl_placed){ row, delta->is.bucket[KL_PLACE_LABEL], delta->is.bucket[KL_PLACE_KEY_ID], delta->is.entry.digest };
    txn->count++;
    txn->broken = add ? store->ops->add(store->backend, &placed) : store->ops->change(store->backend, &placed);
    return txn->broken;
}

enum kl_rc kl_txn_add(struct kl_txn *txn, const struct kl_row *row)
{
    KL_CHECK(row->generation == 1, KL_ARG);
    return write_row(txn, row, true);
}

enum kl_rc kl_txn_change(struct kl_txn *txn, const struct kl_row *row)
{
    KL_CHECK(row->generation > 1, KL_ARG);
    return write_row(txn, row, false);
}

enum kl_rc kl_txn_remove(struct kl_txn *txn, const uint8_t id[KL_ROW_ID_LEN], uint64_t generation)
{
    struct kl_store *store = txn->store;
    struct delta *delta = NULL;

    KL_TRY(txn->broken);
    KL_CHECK(has_key(txn), KL_ARG);
    KL_TRY(new_delta(txn, &delta));
    KL_TRY(find_before(txn, id, &delta->was));
    if (!delta->was.there) return conflict(txn, "the row was removed by another process");
    if (delta->was.entry.generation != generation) return conflict(txn, "the row was changed by another process");
    txn->count++;
    txn->broken = store->ops->remove(store->backend, id);
    if (txn->broken == KL_OK && !txn->emptied && store->root.exists) txn->broken = kl_store_drop_budget(store, id);
    return txn->broken;
}

/* --- records and beginning anew --- */

/* What is replaced must have been right, or the new root would make good what an attacker wrote. */
static enum kl_rc check_old_records(struct kl_txn *txn)
{
    struct kl_heap heap = { 0 };
    enum kl_rc rc = KL_OK;

    if (!txn->records_changed && !txn->emptied) rc = kl_store_check_records(txn->store, &heap);
    kl_heap_clear(&heap);
    return rc;
}

enum kl_rc kl_txn_record(struct kl_txn *txn, const char *name, struct kl_view value)
{
    struct kl_store *store = txn->store;

    KL_TRY(txn->broken);
    KL_CHECK(name[0] != '\0' && strlen(name) <= KL_STORE_RECORD_NAME_MAX && value.len <= KL_STORE_RECORD_MAX, KL_ARG);
    KL_TRY(check_old_records(txn));
    txn->records_changed = true;
    txn->broken = store->ops->record_set(store->backend, name, value);
    return txn->broken;
}

enum kl_rc kl_txn_empty(struct kl_txn *txn)
{
    KL_TRY(txn->broken);
    KL_CHECK(txn->count == 0 && !txn->rekeyed, KL_ARG);
    txn->emptied = true;
    txn->records_changed = true;
    txn->broken = txn->store->ops->empty(txn->store->backend);
    return txn->broken;
}

enum kl_rc kl_txn_rekey(struct kl_txn *txn, const struct kl_secret *key, struct kl_view serial)
{
    KL_TRY(txn->broken);
    KL_CHECK(!txn->rekeyed && txn->count == 0, KL_ARG);
    KL_CHECK(txn->emptied || !txn->store->root.exists, KL_ARG);
    KL_CHECK(key->len > 0 && serial.len > 0 && serial.len <= KL_SERIAL_MAX, KL_ARG);
    KL_TRY(kl_secret_dup(&txn->key, key));
    memcpy(txn->serial.text, serial.data, serial.len);
    txn->serial.len = serial.len;
    txn->rekeyed = true;
    return KL_OK;
}

/* --- the tree, at the end --- */

static int by_id(const void *a, const void *b)
{
    const struct delta *left = a;
    const struct delta *right = b;
    const struct side *one = left->was.there ? &left->was : &left->is;
    const struct side *other = right->was.there ? &right->was : &right->is;
    int order = memcmp(one->entry.id, other->entry.id, KL_ROW_ID_LEN);

    if (order != 0) return order;
    return left->number < right->number ? -1 : 1;
}

static const uint8_t *id_of(const struct delta *delta)
{
    return delta->was.there ? delta->was.entry.id : delta->is.entry.id;
}

/* Several changes of one row become one: from what it was first to what it is last. */
static void merge_deltas(struct kl_txn *txn)
{
    size_t kept = 0;

    if (txn->count > 1) qsort(txn->deltas, txn->count, sizeof txn->deltas[0], by_id);
    for (size_t i = 0; i < txn->count; i++) {
        struct delta *last = kept > 0 ? &txn->deltas[kept - 1] : NULL;

        if (last != NULL && memcmp(id_of(last), id_of(&txn->deltas[i]), KL_ROW_ID_LEN) == 0) {
            last->is = txn->deltas[i].is;
            /* Added and removed again: keep the id where it is looked for. */
            if (!last->was.there && !last->is.there) memcpy(last->is.entry.id, txn->deltas[i].was.entry.id, KL_ROW_ID_LEN);
        } else {
            txn->deltas[kept++] = txn->deltas[i];
        }
    }
    txn->count = kept;
}

static int by_bucket(const void *a, const void *b)
{
    const struct edit *left = a;
    const struct edit *right = b;

    if (left->bucket != right->bucket) return left->bucket < right->bucket ? -1 : 1;
    return memcmp((left->was != NULL ? left->was : left->is)->id, (right->was != NULL ? right->was : right->is)->id, KL_ROW_ID_LEN);
}

struct edits {
    struct edit *list;
    size_t count;
    size_t at;
};

static void add_edits(struct edits *edits, const struct delta *delta, enum kl_place kind)
{
    bool same = delta->was.there && delta->is.there && delta->was.bucket[kind] == delta->is.bucket[kind];

    if (same) {
        edits->list[edits->count++] = (struct edit){ delta->was.bucket[kind], &delta->was.entry, &delta->is.entry };
        return;
    }
    if (delta->was.there) edits->list[edits->count++] = (struct edit){ delta->was.bucket[kind], &delta->was.entry, NULL };
    if (delta->is.there) edits->list[edits->count++] = (struct edit){ delta->is.bucket[kind], NULL, &delta->is.entry };
}

static enum kl_rc edits_of(const struct kl_txn *txn, enum kl_place kind, struct edits *edits)
{
    edits->list = malloc((txn->count * 2 + 1) * sizeof edits->list[0]);
    if (edits->list == NULL) return kl_fail(KL_MEMORY, "no memory for a transaction of %zu rows", txn->count);
    for (size_t i = 0; i < txn->count; i++) add_edits(edits, &txn->deltas[i], kind);
    if (edits->count > 1) qsort(edits->list, edits->count, sizeof edits->list[0], by_bucket);
    return KL_OK;
}

static enum kl_rc not_ours(struct kl_txn *txn)
{
    return kl_fail(KL_INTEGRITY, "%s: an index does not hold what was written: the file was changed from outside",
                   kl_store_path(txn->store));
}

/* The next edit of this bucket, NULL if there is none. */
static const struct edit *edit_of(const struct edits *edits, uint32_t bucket)
{
    if (edits->at == edits->count || edits->list[edits->at].bucket != bucket) return NULL;
    return &edits->list[edits->at];
}

/* entry: what stands in the list now, NULL if there is nothing of this id. */
static enum kl_rc undo_edit(struct kl_txn *txn, const struct edit *edit, const uint8_t *entry, struct kl_entries *before)
{
    if ((entry != NULL) != (edit->is != NULL)) return not_ours(txn);
    if (entry != NULL && !kl_entry_is(entry, edit->is)) return not_ours(txn);
    return edit->was != NULL ? kl_entries_add(before, edit->was) : KL_OK;
}

/* The list as it was before this transaction, worked out from what it is now and from what was done. */
static enum kl_rc undo(struct kl_txn *txn, struct edits *edits, uint32_t bucket, const struct kl_entries *now, struct kl_entries *before)
{
    size_t at = 0;

    kl_entries_empty(before);
    for (const struct edit *edit; (edit = edit_of(edits, bucket)) != NULL; edits->at++) {
        const uint8_t *id = (edit->was != NULL ? edit->was : edit->is)->id;
        int order = 1;

        for (; at < now->len; at += KL_ENTRY_LEN) {
            order = memcmp(id, now->data + at, KL_ROW_ID_LEN);
            if (order <= 0) break;
            KL_TRY(kl_entries_copy(before, now->data + at));
        }
        KL_TRY(undo_edit(txn, edit, order == 0 ? now->data + at : NULL, before));
        if (order == 0) at += KL_ENTRY_LEN;
    }
    for (; at < now->len; at += KL_ENTRY_LEN) KL_TRY(kl_entries_copy(before, now->data + at));
    return KL_OK;
}

/* The bucket MACs of a group, checked when they are first needed. */
static enum kl_rc group_of(struct kl_txn *txn, uint32_t bucket, uint8_t **macs)
{
    uint32_t group = bucket / KL_GROUP_BUCKETS;
    uint8_t *room = txn->groups[group];
    enum kl_rc rc = KL_OK;

    if (room == NULL) {
        room = calloc(1, KL_GROUP_LEN);
        if (room == NULL) return kl_fail(KL_MEMORY, "no memory for a group of buckets");
        if (!txn->emptied && txn->store->root.exists) rc = kl_store_load_group(txn->store, group, room);
        if (rc != KL_OK) {
            free(room);
            return rc;
        }
        txn->groups[group] = room;
    }
    *macs = room + (size_t)(bucket % KL_GROUP_BUCKETS) * KL_MAC_LEN;
    return KL_OK;
}

struct rebuilding {
    struct kl_txn *txn;
    struct kl_walk walk;
    struct edits label;
    struct edits key_id;
    struct kl_entries label_before;
    struct kl_entries key_id_before;
};

static enum kl_rc rebuild_bucket(struct rebuilding *rebuilding, uint32_t bucket)
{
    struct kl_txn *txn = rebuilding->txn;
    struct kl_walk *walk = &rebuilding->walk;
    uint8_t mac[KL_MAC_LEN];
    uint8_t *kept = NULL;

    KL_TRY(group_of(txn, bucket, &kept));
    KL_TRY(kl_walk_bucket(walk, bucket, NULL, NULL));
    if (walk->bad) return not_ours(txn);
    KL_TRY(undo(txn, &rebuilding->label, bucket, &walk->by_label, &rebuilding->label_before));
    KL_TRY(undo(txn, &rebuilding->key_id, bucket, &walk->by_key_id, &rebuilding->key_id_before));
    KL_TRY(kl_tree_bucket(key_of(txn), bucket, &rebuilding->label_before, &rebuilding->key_id_before, mac));
    if (!kl_bytes_equal(mac, kept, sizeof mac)) {
        return kl_fail(KL_INTEGRITY, "%s: bucket %u did not fit its MAC before this transaction: a row was changed from outside",
                       kl_store_path(txn->store), bucket);
    }
    return kl_tree_bucket(key_of(txn), bucket, &walk->by_label, &walk->by_key_id, kept);
}

static uint32_t next_bucket(const struct rebuilding *rebuilding)
{
    const struct edits *label = &rebuilding->label;
    const struct edits *key_id = &rebuilding->key_id;
    uint32_t next = KL_STORE_BUCKETS;

    if (label->at < label->count) next = label->list[label->at].bucket;
    if (key_id->at < key_id->count && key_id->list[key_id->at].bucket < next) next = key_id->list[key_id->at].bucket;
    return next;
}

/* Touched buckets that follow each other are walked in one go. */
static uint32_t last_of_run(const struct rebuilding *rebuilding, uint32_t first)
{
    struct rebuilding ahead = *rebuilding;
    uint32_t last = first;

    for (;;) {
        while (ahead.label.at < ahead.label.count && ahead.label.list[ahead.label.at].bucket <= last) ahead.label.at++;
        while (ahead.key_id.at < ahead.key_id.count && ahead.key_id.list[ahead.key_id.at].bucket <= last) ahead.key_id.at++;
        if (last + 1 == KL_STORE_BUCKETS || next_bucket(&ahead) != last + 1) return last;
        last++;
    }
}

static enum kl_rc rebuild_run(struct rebuilding *rebuilding, uint32_t first, uint32_t last)
{
    enum kl_rc rc = kl_walk_begin(&rebuilding->walk, rebuilding->txn->store, KL_WALK_ENTRIES, first, last);

    for (uint32_t bucket = first; rc == KL_OK && bucket <= last; bucket++) rc = rebuild_bucket(rebuilding, bucket);
    kl_walk_clear(&rebuilding->walk);
    return rc;
}

static enum kl_rc rebuild_buckets(struct kl_txn *txn)
{
    struct rebuilding rebuilding = { .txn = txn };
    enum kl_rc rc;

    merge_deltas(txn);
    rc = edits_of(txn, KL_PLACE_LABEL, &rebuilding.label);
    if (rc == KL_OK) rc = edits_of(txn, KL_PLACE_KEY_ID, &rebuilding.key_id);
    while (rc == KL_OK) {
        uint32_t first = next_bucket(&rebuilding);

        if (first == KL_STORE_BUCKETS) break;
        rc = rebuild_run(&rebuilding, first, last_of_run(&rebuilding, first));
    }
    kl_entries_clear(&rebuilding.label_before);
    kl_entries_clear(&rebuilding.key_id_before);
    free(rebuilding.label.list);
    free(rebuilding.key_id.list);
    return rc;
}

static enum kl_rc rebuild_groups(struct kl_txn *txn)
{
    struct kl_store *store = txn->store;

    for (uint32_t group = 0; group < KL_STORE_GROUPS; group++) {
        if (txn->groups[group] == NULL) continue;
        KL_TRY(kl_tree_group(key_of(txn), group, txn->groups[group], txn->root.groups[group]));
        KL_TRY(store->ops->group_set(store->backend, group, txn->groups[group]));
    }
    return KL_OK;
}

static enum kl_rc rebuild_root(struct kl_txn *txn)
{
    struct kl_store *store = txn->store;
    struct kl_heap heap = { 0 };

    if (store->root.exists && !txn->emptied) {
        txn->root = store->root;
    } else {
        KL_TRY(kl_tree_empty(key_of(txn), &txn->root));
    }
    KL_TRY(rebuild_buckets(txn));
    KL_TRY(rebuild_groups(txn));
    if (txn->records_changed) {
        enum kl_rc rc = kl_store_load_records(store, &heap, txn->root.records);

        kl_heap_clear(&heap);
        KL_TRY(rc);
    }
    for (size_t i = 0; i < txn->count; i++) {
        if (txn->deltas[i].is.there) txn->root.row_count++;
        if (txn->deltas[i].was.there) txn->root.row_count--;
    }
    txn->root.exists = true;
    txn->root.epoch = (store->root.exists ? store->root.epoch : 0) + 1;
    KL_TRY(kl_tree_root(key_of(txn), &txn->root, txn->root.mac));
    return store->ops->root_set(store->backend, &txn->root);
}

static void take_over(struct kl_txn *txn)
{
    struct kl_store *store = txn->store;

    store->root = txn->root;
    store->root_checked = true;
    store->seen_epoch = txn->root.epoch;
    if (txn->emptied) store->budget_root.exists = false;
    if (!txn->rekeyed) return;
    kl_secret_clear(&store->key);
    kl_secret_take(&store->key, &txn->key);
    store->serial = txn->serial;
    store->unlocked = true;
}

enum kl_rc kl_txn_commit(struct kl_txn *txn, struct kl_commit *commit)
{
    struct kl_store *store = txn->store;
    bool nothing = txn->count == 0 && !txn->records_changed && !txn->emptied && !txn->rekeyed;
    struct kl_commit made = { kl_store_mark(store), kl_store_mark(store) };
    enum kl_rc rc = txn->broken;

    if (rc == KL_OK && !nothing && !has_key(txn)) rc = kl_refuse(KL_ARG, __func__, "has_key");
    if (rc == KL_OK && !nothing) rc = rebuild_root(txn);
    if (rc == KL_OK && !nothing) rc = store->ops->commit(store->backend, &made);
    if (rc != KL_OK || nothing) {
        kl_txn_abort(txn);
    } else {
        take_over(txn);
        end(txn);
    }
    if (rc == KL_OK && commit != NULL) *commit = made;
    return rc;
}
