/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Looking rows up, page by page, each page authenticated in one snapshot. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/inner.h"

enum { PAGE_ROWS = 256, PAGE_BYTES = 4 << 20, FIRST_ROWS = 8, FIRST_CHUNK = 4096, MOST_CHUNK = 256 * 1024 };

struct kl_row_memory {
    struct kl_row_memory *next;
    size_t total; /* in this chunk and those behind it */
    size_t cap;
    size_t len;
    size_t rows_cap; /* of page->rows; in the first chunk only */
    uint8_t data[];
};

/* --- pages --- */

void kl_page_clear(struct kl_page *page)
{
    struct kl_row_memory *chunk = page->memory;

    while (chunk != NULL) {
        struct kl_row_memory *next = chunk->next;

        free(chunk);
        chunk = next;
    }
    free(page->rows);
    memset(page, 0, sizeof *page);
}

static enum kl_rc keep_room(struct kl_page *page, size_t len)
{
    struct kl_row_memory *top = page->memory;
    size_t cap = top == NULL ? FIRST_CHUNK : top->cap * 2;
    struct kl_row_memory *chunk;

    if (top != NULL && top->cap - top->len >= len) return KL_OK;
    if (cap > MOST_CHUNK) cap = MOST_CHUNK;
    if (cap < len) cap = len;
    chunk = malloc(sizeof *chunk + cap);
    if (chunk == NULL) return kl_fail(KL_MEMORY, "no memory for rows of the store");
    *chunk = (struct kl_row_memory){ .next = top, .cap = cap, .total = (top == NULL ? 0 : top->total) + cap };
    if (top != NULL) chunk->rows_cap = top->rows_cap;
    page->memory = chunk;
    return KL_OK;
}

static struct kl_view keep(struct kl_page *page, struct kl_view bytes)
{
    struct kl_row_memory *top = page->memory;
    uint8_t *room = top->data + top->len;

    if (bytes.len > 0) memcpy(room, bytes.data, bytes.len);
    top->len += bytes.len;
    return kl_view_of(room, bytes.len);
}

static enum kl_rc grow_rows(struct kl_page *page)
{
    size_t cap = page->memory->rows_cap == 0 ? FIRST_ROWS : page->memory->rows_cap * 2;
    struct kl_row *rows;

    if (page->count < page->memory->rows_cap) return KL_OK;
    rows = realloc(page->rows, cap * sizeof *rows);
    if (rows == NULL) return kl_fail(KL_MEMORY, "no memory for rows of the store");
    page->rows = rows;
    page->memory->rows_cap = cap;
    return KL_OK;
}

static enum kl_rc page_add(struct kl_page *page, const struct kl_row *row)
{
    struct kl_row *copy;

    KL_TRY(keep_room(page, row->key_type.len + row->key_id.len + row->encrypted_key.len + row->key_hash.len + row->algorithm.len +
                               row->label.len + row->metadata.len));
    KL_TRY(grow_rows(page));
    copy = &page->rows[page->count++];
    *copy = *row;
    copy->key_type = keep(page, row->key_type);
    copy->key_id = keep(page, row->key_id);
    copy->encrypted_key = keep(page, row->encrypted_key);
    copy->key_hash = keep(page, row->key_hash);
    copy->algorithm = keep(page, row->algorithm);
    copy->label = keep(page, row->label);
    copy->metadata = keep(page, row->metadata);
    return KL_OK;
}

static bool page_is_full(const struct kl_page *page)
{
    return page->count >= PAGE_ROWS || (page->memory != NULL && page->memory->total >= PAGE_BYTES);
}

/* --- one read --- */

struct reading {
    struct kl_store *store;
    const struct kl_query *query;
    struct kl_cursor *cursor;
    struct kl_page *page;
    bool cut; /* a row was left for the next page */
};

static bool is_wanted(const struct kl_query *query, const struct kl_row *row)
{
    switch (query->by) {
    case KL_BY_LABEL:
        return kl_view_is(query->value, row->label);
    case KL_BY_KEY_ID:
        return kl_view_is(query->value, row->key_id);
    case KL_BY_PARENT:
        return kl_view_is(query->value, kl_view_of(row->parent, sizeof row->parent));
    case KL_BY_ROW:
        return kl_view_is(query->value, kl_view_of(row->id, sizeof row->id));
    case KL_BY_PUBLIC:
        return row->is_public;
    case KL_BY_ALL:
        return true;
    default:
        return false;
    }
}

static enum kl_rc check_walked(struct kl_walk *walk, uint32_t bucket)
{
    uint8_t group[KL_GROUP_LEN];

    KL_TRY(kl_store_load_group(walk->store, bucket / KL_GROUP_BUCKETS, group));
    return kl_walk_compare(walk, bucket, group);
}

/* --- rows and their entries in a bucket --- */

static enum kl_rc changed(struct kl_store *store)
{
    return kl_fail(KL_INTEGRITY, "%s: a row is not what its bucket says: it was changed, or replayed from an older copy, from outside",
                   store->ops->path(store->backend));
}

/* Is a row with this digest in the label's list of the bucket? KL_NOT_FOUND: no row of that id is. */
static enum kl_rc look_in_bucket(struct kl_store *store, uint32_t bucket, const uint8_t id[KL_ROW_ID_LEN], struct kl_entry *entry)
{
    struct kl_walk walk = { 0 };
    enum kl_rc rc = kl_walk_begin(&walk, store, KL_WALK_ENTRIES, bucket, bucket);

    if (rc == KL_OK) rc = kl_walk_bucket(&walk, bucket, NULL, NULL);
    if (rc == KL_OK) rc = check_walked(&walk, bucket);
    if (rc == KL_OK) {
        const uint8_t *encoded = kl_entries_find(&walk.by_label, id);

        if (encoded != NULL) {
            kl_entry_read(encoded, entry);
        } else {
            rc = KL_NOT_FOUND;
        }
    }
    kl_walk_clear(&walk);
    return rc;
}

/* The scan is the caller's to stop, when it is done with what was found. */
static enum kl_rc fetch_row(struct kl_store *store, struct kl_view id, struct kl_found *found, bool *there)
{
    const struct kl_range range = { .value = id };
    enum kl_rc rc = store->ops->scan(store->backend, KL_SCAN_ROW, &range);

    if (rc == KL_OK) rc = store->ops->next(store->backend, KL_SCAN_ROW, found, there);
    return rc;
}

/* A row of another label can have the same tag. */
static enum kl_rc take_row(struct reading *reading, const struct kl_found *found, const struct kl_entry *entry)
{
    struct kl_store *store = reading->store;

    if (found->bad || found->entry.generation != entry->generation ||
        memcmp(found->entry.digest, entry->digest, sizeof entry->digest) != 0) {
        return changed(store);
    }
    KL_TRY(kl_store_check_row(store, found));
    return is_wanted(reading->query, &found->row) ? page_add(reading->page, &found->row) : KL_OK;
}

/* --- by label or CKA_ID --- */

static enum kl_rc take_entry(struct reading *reading, const struct kl_entry *entry)
{
    struct kl_store *store = reading->store;
    struct kl_found found = { 0 };
    bool there = false;
    enum kl_rc rc = fetch_row(store, kl_view_of(entry->id, sizeof entry->id), &found, &there);

    if (rc == KL_OK) rc = there ? take_row(reading, &found, entry) : changed(store);
    store->ops->stop(store->backend, KL_SCAN_ROW);
    return rc;
}

/* Those of the bucket that may have the name: what an outsider did to a row, its label even, does not take it out of this list. */
static enum kl_rc take_tagged(struct reading *reading, const struct kl_entries *entries, const uint8_t *tag, enum kl_place kind)
{
    const struct kl_cursor *cursor = reading->cursor;

    for (size_t at = 0; at < entries->len; at += KL_ENTRY_LEN) {
        struct kl_entry entry;

        kl_entry_read(entries->data + at, &entry);
        if (memcmp(entry.digest + kind * KL_TAG_LEN, tag, KL_TAG_LEN) != 0) continue;
        if (cursor->started && memcmp(entry.id, cursor->after, KL_ROW_ID_LEN) <= 0) continue;
        if (page_is_full(reading->page)) {
            reading->cut = true;
            return KL_OK;
        }
        KL_TRY(take_entry(reading, &entry));
    }
    return KL_OK;
}

static void move_cursor(struct reading *reading)
{
    struct kl_page *page = reading->page;

    reading->cursor->done = !reading->cut;
    reading->cursor->started = true;
    if (reading->cut) memcpy(reading->cursor->after, page->rows[page->count - 1].id, KL_ROW_ID_LEN);
}

static enum kl_rc read_place(struct reading *reading)
{
    struct kl_store *store = reading->store;
    enum kl_place kind = reading->query->by == KL_BY_LABEL ? KL_PLACE_LABEL : KL_PLACE_KEY_ID;
    struct kl_walk walk = { 0 };
    struct kl_spot spot;
    enum kl_rc rc;

    KL_TRY(kl_tree_place(kl_secret_view(&store->key), kind, reading->query->value, NULL, &spot));
    rc = kl_walk_begin(&walk, store, KL_WALK_ENTRIES, spot.bucket, spot.bucket);
    if (rc == KL_OK) rc = kl_walk_bucket(&walk, spot.bucket, NULL, NULL);
    if (rc == KL_OK) rc = check_walked(&walk, spot.bucket);
    if (rc == KL_OK) rc = take_tagged(reading, kind == KL_PLACE_LABEL ? &walk.by_label : &walk.by_key_id, spot.tag, kind);
    kl_walk_clear(&walk);
    if (rc == KL_OK) move_cursor(reading);
    return rc;
}

/* --- rows found by other ways, then looked for in their bucket --- */

static enum kl_rc read_row_unlocked(struct reading *reading)
{
    struct kl_store *store = reading->store;
    struct kl_view label = reading->query->label;
    struct kl_found found = { 0 };
    struct kl_entry entry = { 0 };
    struct kl_spot spot;
    bool there = false;
    enum kl_rc rc;

    KL_TRY(fetch_row(store, reading->query->value, &found, &there));
    if (label.data == NULL) {
        if (!there) return KL_OK;
        if (found.bad) return changed(store);
        label = found.row.label;
    }
    KL_TRY(kl_tree_place(kl_secret_view(&store->key), KL_PLACE_LABEL, label, reading->query->value.data, &spot));
    rc = look_in_bucket(store, spot.bucket, reading->query->value.data, &entry);
    if (rc == KL_NOT_FOUND && (!there || reading->query->label.data != NULL)) return KL_OK;
    if (rc == KL_NOT_FOUND || (rc == KL_OK && !there)) return changed(store);
    KL_TRY(rc);
    return take_row(reading, &found, &entry);
}

static enum kl_rc read_row(struct reading *reading)
{
    struct kl_store *store = reading->store;
    struct kl_found found = { 0 };
    bool there = false;
    enum kl_rc rc;

    KL_CHECK(reading->query->value.len == KL_ROW_ID_LEN, KL_ARG);
    if (store->unlocked && store->root.exists) {
        rc = read_row_unlocked(reading);
    } else {
        rc = fetch_row(store, reading->query->value, &found, &there);
        if (rc == KL_OK && there && !found.bad) rc = page_add(reading->page, &found.row);
    }
    store->ops->stop(store->backend, KL_SCAN_ROW);
    reading->cursor->done = true;
    reading->cursor->started = true;
    return rc;
}

static enum kl_rc check_found(struct kl_store *store, const struct kl_found *found)
{
    struct kl_entry entry = { 0 };
    enum kl_rc rc;

    if (found->bad) return changed(store);
    rc = look_in_bucket(store, found->bucket, found->entry.id, &entry);
    if (rc == KL_NOT_FOUND) return changed(store);
    KL_TRY(rc);
    if (entry.generation != found->entry.generation || memcmp(entry.digest, found->entry.digest, sizeof entry.digest) != 0) {
        return changed(store);
    }
    return kl_store_check_row(store, found);
}

/* Public rows, or a parent's. Before unlock there is nothing to check them with. */
static enum kl_rc read_list(struct reading *reading, enum kl_scan scan)
{
    struct kl_store *store = reading->store;
    struct kl_cursor *cursor = reading->cursor;
    const struct kl_range range = { .value = reading->query->value,
                                    .after = kl_view_of(cursor->after, cursor->started ? KL_ROW_ID_LEN : 0) };
    struct kl_found found = { 0 };
    bool more = false;
    enum kl_rc rc = store->ops->scan(store->backend, scan, &range);

    while (rc == KL_OK && !page_is_full(reading->page)) {
        rc = store->ops->next(store->backend, scan, &found, &more);
        if (rc != KL_OK || !more) break;
        cursor->started = true;
        if (!found.bad) memcpy(cursor->after, found.entry.id, KL_ROW_ID_LEN);
        if (store->unlocked && store->root.exists) rc = check_found(store, &found);
        if (rc == KL_INTEGRITY && reading->query->by == KL_BY_PUBLIC) {
            kl_log(KL_LOG_ERROR, "%s; left out", kl_fail_words());
            cursor->hurt++;
            rc = KL_OK;
            continue;
        }
        if (rc == KL_OK && !found.bad) rc = page_add(reading->page, &found.row);
    }
    store->ops->stop(store->backend, scan);
    cursor->done = !more;
    return rc;
}

/* --- everything --- */

struct all {
    struct reading *reading;
    uint8_t group[KL_GROUP_LEN];
    bool group_fits;
    uint32_t hurt;
};

static enum kl_rc take_any(void *user, const struct kl_found *found)
{
    struct all *all = user;
    enum kl_rc rc = kl_store_check_row(all->reading->store, found);

    if (rc == KL_OK) return page_add(all->reading->page, &found->row);
    if (rc != KL_INTEGRITY) return rc;
    kl_log(KL_LOG_ERROR, "%s; left out", kl_fail_words());
    all->hurt++;
    return KL_OK;
}

/* Where a group does not fit, none of its buckets does, and one line in the log is enough. */
static enum kl_rc load_group(struct all *all, uint32_t bucket)
{
    enum kl_rc rc = kl_store_load_group(all->reading->store, bucket / KL_GROUP_BUCKETS, all->group);

    all->group_fits = rc == KL_OK;
    if (rc != KL_INTEGRITY) return rc;
    kl_log(KL_LOG_ERROR, "%s; left out", kl_fail_words());
    return KL_OK;
}

static enum kl_rc compare(const struct all *all, const struct kl_walk *walk, uint32_t bucket)
{
    enum kl_rc rc;

    if (!all->group_fits) return KL_INTEGRITY;
    rc = kl_walk_compare(walk, bucket, all->group);
    if (rc == KL_INTEGRITY) kl_log(KL_LOG_ERROR, "%s; left out", kl_fail_words());
    return rc;
}

/* A bucket that does not fit is left out, the rest goes on. */
static enum kl_rc take_bucket(struct all *all, struct kl_walk *walk, uint32_t bucket)
{
    struct reading *reading = all->reading;
    size_t before = reading->page->count;
    enum kl_rc rc = KL_OK;

    all->hurt = 0;
    if (bucket % KL_GROUP_BUCKETS == 0 || bucket == reading->cursor->bucket) rc = load_group(all, bucket);
    if (rc == KL_OK) rc = kl_walk_bucket(walk, bucket, take_any, all);
    if (rc == KL_OK) rc = compare(all, walk, bucket);
    if (rc == KL_INTEGRITY) {
        reading->page->count = before;
        all->hurt = 1;
        rc = KL_OK;
    }
    reading->cursor->hurt += all->hurt;
    return rc;
}

static enum kl_rc read_all(struct reading *reading)
{
    struct kl_cursor *cursor = reading->cursor;
    struct all all = { .reading = reading };
    struct kl_walk walk = { 0 };
    uint32_t bucket = cursor->bucket;
    enum kl_rc rc = kl_walk_begin(&walk, reading->store, KL_WALK_LABEL_ROWS, bucket, KL_STORE_BUCKETS - 1);

    while (rc == KL_OK && bucket < KL_STORE_BUCKETS && !page_is_full(reading->page)) {
        rc = take_bucket(&all, &walk, bucket);
        bucket++;
    }
    kl_walk_clear(&walk);
    cursor->bucket = bucket;
    cursor->started = true;
    cursor->done = bucket == KL_STORE_BUCKETS;
    return rc;
}

/* --- all of it --- */

static enum kl_rc read_page(struct reading *reading)
{
    const struct kl_store *store = reading->store;
    const struct kl_query *query = reading->query;

    if (query->by == KL_BY_PUBLIC) return read_list(reading, KL_SCAN_PUBLIC);
    if (query->by != KL_BY_ALL) KL_CHECK(query->value.len > 0, KL_ARG);
    if (query->by == KL_BY_ROW) return read_row(reading);
    KL_CHECK(store->unlocked, KL_ARG);
    if (!store->root.exists) {
        reading->cursor->done = true;
        return KL_OK;
    }
    if (query->by == KL_BY_ALL) return read_all(reading);
    if (query->by == KL_BY_PARENT) return read_list(reading, KL_SCAN_PARENT);
    return read_place(reading);
}

enum kl_rc kl_store_read(struct kl_store *store, const struct kl_query *query, struct kl_cursor *cursor, struct kl_page *page)
{
    struct kl_cursor moved = *cursor;
    struct reading reading = { .store = store, .query = query, .cursor = &moved, .page = page };
    struct kl_look look;
    enum kl_rc rc;

    kl_page_clear(page);
    if (cursor->done) return KL_OK;
    KL_TRY(kl_look_begin(&look, store));
    rc = read_page(&reading);
    kl_look_end(&look);
    if (rc != KL_OK) {
        kl_page_clear(page);
        return rc;
    }
    *cursor = moved;
    return KL_OK;
}
