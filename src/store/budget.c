/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * How often each version of a key has encrypted (doc/format.md, "Counts of encryptions"). A count changes with every reservation of
 * every process, so it has a root of its own: neither the store's epoch nor its mark move, and nobody reads a key again
 * because of it. That there are counts at all is said by a token record, which the store root vouches for.
 */
#include <stdlib.h>
#include <string.h>

#include "store/inner.h"

enum { ENTRY = KL_BUDGET_ENTRY_LEN, ENTRIES_AT_FIRST = 32 * ENTRY };

#define RECORD "budgets"
#define RETURN_TIMEOUT INT64_C(1000000000)

/* The counts of one bucket as they are authenticated: id and u64, by ascending id. */
struct counts {
    uint8_t *data;
    size_t len;
    size_t cap;
};

static void counts_clear(struct counts *counts)
{
    free(counts->data);
    memset(counts, 0, sizeof *counts);
}

static uint32_t bucket_of(const uint8_t id[KL_ROW_ID_LEN])
{
    return id[0] >> 2;
}

static enum kl_rc make_room(struct counts *counts)
{
    size_t cap = counts->cap == 0 ? ENTRIES_AT_FIRST : counts->cap * 2;
    uint8_t *data;

    if (counts->cap - counts->len >= ENTRY) return KL_OK;
    data = realloc(counts->data, cap);
    if (data == NULL) return kl_fail(KL_MEMORY, "no memory for counts of encryptions");
    counts->data = data;
    counts->cap = cap;
    return KL_OK;
}

static void write_entry(uint8_t *at, const uint8_t id[KL_ROW_ID_LEN], uint64_t used)
{
    struct kl_writer writer = { at, ENTRY, 0 };

    kl_write_raw(&writer, kl_view_of(id, KL_ROW_ID_LEN));
    kl_write_u64(&writer, used);
}

static uint64_t used_at(const uint8_t *entry)
{
    struct kl_reader reader = kl_reader_of(kl_view_of(entry + KL_ROW_ID_LEN, 8));

    return kl_read_u64(&reader);
}

static enum kl_rc gather(void *user, const uint8_t id[KL_ROW_ID_LEN], uint64_t used)
{
    struct counts *counts = user;

    KL_TRY(make_room(counts));
    write_entry(counts->data + counts->len, id, used);
    counts->len += ENTRY;
    return KL_OK;
}

/* Where the id stands, or where it would stand; is it there? */
static size_t find(const struct counts *counts, const uint8_t id[KL_ROW_ID_LEN], bool *there)
{
    size_t low = 0;
    size_t high = counts->len / ENTRY;

    *there = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = memcmp(id, counts->data + middle * ENTRY, KL_ROW_ID_LEN);

        if (order == 0) {
            *there = true;
            return middle * ENTRY;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low * ENTRY;
}

static enum kl_rc set(struct counts *counts, const uint8_t id[KL_ROW_ID_LEN], uint64_t used)
{
    bool there;
    size_t at = find(counts, id, &there);

    if (!there) {
        KL_TRY(make_room(counts));
        memmove(counts->data + at + ENTRY, counts->data + at, counts->len - at);
        counts->len += ENTRY;
    }
    write_entry(counts->data + at, id, used);
    return KL_OK;
}

/* --- reading, in a snapshot or a write transaction --- */

static enum kl_rc changed(const struct kl_store *store, const char *what)
{
    return kl_fail(KL_INTEGRITY, "%s: %s: changed from outside", kl_store_path(store), what);
}

static enum kl_rc check_root(const struct kl_store *store, const struct kl_budget_root *root)
{
    const struct kl_budget_root *seen = &store->budget_root;
    uint8_t mac[KL_MAC_LEN];

    KL_TRY(kl_tree_budget_root(kl_secret_view(&store->key), kl_serial_view(&store->serial), root, mac));
    if (!kl_bytes_equal(mac, root->mac, sizeof mac)) return changed(store, "the root of the counts of encryptions does not fit its MAC");
    if (!seen->exists || root->epoch > seen->epoch) return KL_OK;
    if (root->epoch == seen->epoch && memcmp(root->mac, seen->mac, sizeof mac) == 0) return KL_OK;
    return changed(store, "the counts of encryptions are older than this process has seen them");
}

/* root->exists is false only where nothing was ever counted. */
static enum kl_rc load_root(struct kl_store *store, struct kl_budget_root *root)
{
    bool has = false;

    KL_CHECK(store->unlocked && store->root.exists, KL_ARG);
    KL_TRY(store->ops->budget_root_get(store->backend, root));
    if (root->exists) {
        KL_TRY(check_root(store, root));
        store->budget_root = *root;
        return KL_OK;
    }
    KL_TRY(kl_store_has_record(store, RECORD, &has));
    return has ? changed(store, "the counts of encryptions are gone") : KL_OK;
}

static enum kl_rc load_bucket(struct kl_store *store, const struct kl_budget_root *root, uint32_t bucket, struct counts *counts)
{
    uint8_t mac[KL_MAC_LEN];

    counts->len = 0;
    KL_TRY(store->ops->budgets(store->backend, bucket, gather, counts));
    KL_TRY(kl_tree_budget_bucket(kl_secret_view(&store->key), bucket, kl_view_of(counts->data, counts->len), mac));
    if (kl_bytes_equal(mac, root->buckets[bucket], sizeof mac)) return KL_OK;
    return changed(store, "a count of encryptions is not what their root says");
}

static enum kl_rc read_one(struct kl_store *store, const uint8_t id[KL_ROW_ID_LEN], uint64_t *used)
{
    struct counts counts = { 0 };
    struct kl_budget_root root;
    bool there = false;
    size_t at = 0;
    enum kl_rc rc;

    KL_TRY(load_root(store, &root));
    *used = 0;
    if (!root.exists) return KL_OK;
    rc = load_bucket(store, &root, bucket_of(id), &counts);
    if (rc == KL_OK) at = find(&counts, id, &there);
    if (there) *used = used_at(counts.data + at);
    counts_clear(&counts);
    return rc;
}

enum kl_rc kl_store_budget(struct kl_store *store, const uint8_t id[KL_ROW_ID_LEN], uint64_t *used)
{
    struct kl_look look;
    enum kl_rc rc;

    KL_TRY(kl_look_begin(&look, store));
    rc = read_one(store, id, used);
    kl_look_end(&look);
    return rc;
}

static enum kl_rc show(const struct counts *counts, kl_store_budget_fn *each, void *user)
{
    for (size_t at = 0; at < counts->len; at += ENTRY) KL_TRY(each(user, counts->data + at, used_at(counts->data + at)));
    return KL_OK;
}

static enum kl_rc read_all(struct kl_store *store, kl_store_budget_fn *each, void *user)
{
    struct counts counts = { 0 };
    struct kl_budget_root root;
    enum kl_rc rc = load_root(store, &root);

    for (uint32_t bucket = 0; rc == KL_OK && root.exists && bucket < KL_BUDGET_BUCKETS; bucket++) {
        rc = load_bucket(store, &root, bucket, &counts);
        if (rc == KL_OK) rc = show(&counts, each, user);
    }
    counts_clear(&counts);
    return rc;
}

enum kl_rc kl_store_budgets(struct kl_store *store, kl_store_budget_fn *each, void *user)
{
    struct kl_look look;
    enum kl_rc rc;

    KL_TRY(kl_look_begin(&look, store));
    rc = read_all(store, each, user);
    kl_look_end(&look);
    return rc;
}

enum kl_rc kl_store_check_budgets(struct kl_store *store, kl_note_fn *note, void *user)
{
    struct counts counts = { 0 };
    struct kl_budget_root root = { 0 };
    enum kl_rc rc = load_root(store, &root);

    if (rc != KL_OK) return note(user, rc);
    for (uint32_t bucket = 0; rc == KL_OK && root.exists && bucket < KL_BUDGET_BUCKETS; bucket++) {
        rc = load_bucket(store, &root, bucket, &counts);
        if (rc != KL_OK) rc = note(user, rc);
    }
    counts_clear(&counts);
    return rc;
}

/* --- writing --- */

/* A root for counts that are to come, and the record that says so, in one transaction. */
static enum kl_rc begin_counting(struct kl_store *store)
{
    static const uint8_t format[1] = { 1 };
    struct kl_budget_root root;
    struct kl_txn *txn = NULL;
    enum kl_rc rc;

    KL_TRY(kl_store_begin(store, &txn));
    rc = load_root(store, &root);
    if (rc == KL_OK && root.exists) {
        /* Another process was quicker. */
        kl_txn_abort(txn);
        return KL_OK;
    }
    memset(&root, 0, sizeof root);
    if (rc == KL_OK) rc = kl_tree_budget_root(kl_secret_view(&store->key), kl_serial_view(&store->serial), &root, root.mac);
    if (rc == KL_OK) rc = store->ops->budget_root_set(store->backend, &root);
    if (rc == KL_OK) rc = kl_txn_record(txn, RECORD, kl_view_of(format, sizeof format));
    if (rc == KL_OK) return kl_txn_commit(txn, NULL);
    kl_txn_abort(txn);
    return rc;
}

static enum kl_rc seal_bucket(struct kl_store *store, struct kl_budget_root *root, uint32_t bucket, const struct counts *counts)
{
    return kl_tree_budget_bucket(kl_secret_view(&store->key), bucket, kl_view_of(counts->data, counts->len), root->buckets[bucket]);
}

static enum kl_rc seal_root(struct kl_store *store, struct kl_budget_root *root)
{
    root->epoch++;
    KL_TRY(kl_tree_budget_root(kl_secret_view(&store->key), kl_serial_view(&store->serial), root, root->mac));
    return store->ops->budget_root_set(store->backend, root);
}

/* The caller has begun a write transaction, which ends here; a commit leaves `root` as what was seen last. */
static enum kl_rc finish(struct kl_store *store, struct kl_budget_root *root, enum kl_rc rc)
{
    if (rc == KL_OK) rc = seal_root(store, root);
    if (rc == KL_OK) rc = store->ops->commit(store->backend, NULL);
    if (rc == KL_OK) {
        store->budget_root = *root;
    } else {
        store->ops->rollback(store->backend);
    }
    kl_write_end(store);
    return rc;
}

struct taking {
    const uint8_t *id;
    uint64_t want;
    uint64_t limit;
    uint64_t got;
    uint64_t used;
};

static enum kl_rc count(struct kl_store *store, struct kl_budget_root *root, struct counts *counts, struct taking *taking)
{
    uint32_t bucket = bucket_of(taking->id);
    struct kl_found found = { 0 };
    bool there = false;
    size_t at;

    KL_TRY(store->ops->head(store->backend, taking->id, &found));
    KL_TRY(load_bucket(store, root, bucket, counts));
    at = find(counts, taking->id, &there);
    taking->used = there ? used_at(counts->data + at) : 0;
    taking->got = taking->used >= taking->limit ? 0 : taking->limit - taking->used;
    if (taking->got > taking->want) taking->got = taking->want;
    taking->used += taking->got;
    KL_TRY(set(counts, taking->id, taking->used));
    KL_TRY(store->ops->budget_set(store->backend, taking->id, &taking->used));
    return seal_bucket(store, root, bucket, counts);
}

/* `missing`: nothing was ever counted in this store; nothing was done. */
static enum kl_rc take(struct kl_store *store, struct taking *taking, bool *missing)
{
    struct counts counts = { 0 };
    struct kl_budget_root root = { 0 };
    enum kl_rc rc;

    KL_TRY(kl_count_begin(store, store->timeout));
    rc = kl_store_load_root(store);
    if (rc == KL_OK) rc = load_root(store, &root);
    *missing = rc == KL_OK && !root.exists;
    if (rc == KL_OK && root.exists) rc = count(store, &root, &counts, taking);
    counts_clear(&counts);
    if (rc == KL_OK && root.exists && taking->got > 0) return finish(store, &root, rc);
    store->ops->rollback(store->backend);
    kl_write_end(store);
    return rc;
}

enum kl_rc kl_store_budget_take(struct kl_store *store, const uint8_t id[KL_ROW_ID_LEN], uint64_t want, uint64_t limit, uint64_t *got,
                                uint64_t *used)
{
    struct taking taking = { .id = id, .want = want, .limit = limit };
    bool missing = false;

    KL_CHECK(limit <= INT64_MAX, KL_ARG);
    KL_TRY(take(store, &taking, &missing));
    if (missing) {
        KL_TRY(begin_counting(store));
        KL_TRY(take(store, &taking, &missing));
        KL_CHECK(!missing, KL_INTEGRITY);
    }
    *got = taking.got;
    *used = taking.used;
    return KL_OK;
}

static int by_id(const void *a, const void *b)
{
    const struct kl_unspent *left = a;
    const struct kl_unspent *right = b;

    return memcmp(left->id, right->id, KL_ROW_ID_LEN);
}

static enum kl_rc uncount(struct kl_store *store, struct counts *counts, const struct kl_unspent *unspent)
{
    bool there = false;
    size_t at = find(counts, unspent->id, &there);
    uint64_t used;

    /* The key was destroyed meanwhile, and its count with it. */
    if (!there) return KL_OK;
    used = used_at(counts->data + at);
    KL_CHECK(unspent->count <= used, KL_ARG);
    used -= unspent->count;
    write_entry(counts->data + at, unspent->id, used);
    return store->ops->budget_set(store->backend, unspent->id, &used);
}

/* As many of the list as are in the bucket of the first. */
static enum kl_rc uncount_bucket(struct kl_store *store, struct kl_budget_root *root, const struct kl_unspent *list, size_t count,
                                 size_t *done)
{
    uint32_t bucket = bucket_of(list[0].id);
    struct counts counts = { 0 };
    enum kl_rc rc = load_bucket(store, root, bucket, &counts);
    size_t i = 0;

    for (; rc == KL_OK && i < count && bucket_of(list[i].id) == bucket; i++) rc = uncount(store, &counts, &list[i]);
    if (rc == KL_OK) rc = seal_bucket(store, root, bucket, &counts);
    counts_clear(&counts);
    *done = i;
    return rc;
}

enum kl_rc kl_store_budget_return(struct kl_store *store, struct kl_unspent *list, size_t count)
{
    struct kl_budget_root root = { 0 };
    size_t done = 0;
    enum kl_rc rc;

    if (count == 0) return KL_OK;
    qsort(list, count, sizeof *list, by_id);
    KL_TRY(kl_count_begin(store, RETURN_TIMEOUT));
    rc = kl_store_load_root(store);
    if (rc == KL_OK) rc = load_root(store, &root);
    if (rc == KL_OK && !root.exists) rc = kl_refuse(KL_ARG, __func__, "root.exists");
    for (size_t i = 0; rc == KL_OK && i < count; i += done) rc = uncount_bucket(store, &root, list + i, count - i, &done);
    return finish(store, &root, rc);
}

enum kl_rc kl_store_drop_budget(struct kl_store *store, const uint8_t id[KL_ROW_ID_LEN])
{
    uint32_t bucket = bucket_of(id);
    struct counts counts = { 0 };
    struct kl_budget_root root;
    bool there = false;
    size_t at = 0;
    enum kl_rc rc;

    /* What this transaction has made of the root itself may yet be rolled back: it is checked, and not remembered as seen. */
    KL_TRY(store->ops->budget_root_get(store->backend, &root));
    if (!root.exists) return KL_OK;
    KL_TRY(check_root(store, &root));
    rc = load_bucket(store, &root, bucket, &counts);
    if (rc == KL_OK) at = find(&counts, id, &there);
    if (rc == KL_OK && there) {
        counts.len -= ENTRY;
        memmove(counts.data + at, counts.data + at + ENTRY, counts.len - at);
        rc = store->ops->budget_set(store->backend, id, NULL);
        if (rc == KL_OK) rc = seal_bucket(store, &root, bucket, &counts);
        if (rc == KL_OK) rc = seal_root(store, &root);
    }
    counts_clear(&counts);
    return rc;
}
