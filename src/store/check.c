/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Checking a whole store. */
#include <stdio.h>
#include <string.h>

#include "store/inner.h"

struct checking {
    struct kl_store *store;
    void (*say)(void *user, const char *words);
    void *user;
    struct kl_store_report *report;
    uint64_t rows;
};

/* Whatever does not fit is told and counted, and the check goes on. */
static enum kl_rc note(struct checking *checking, enum kl_rc rc)
{
    if (rc != KL_INTEGRITY) return rc;
    checking->report->hurt++;
    checking->say(checking->user, kl_fail_words());
    return KL_OK;
}

static enum kl_rc note_any(void *user, enum kl_rc rc)
{
    return note(user, rc);
}

static enum kl_rc check_row(void *user, const struct kl_found *found)
{
    struct checking *checking = user;
    struct kl_store *store = checking->store;
    const uint8_t *tags = found->entry.digest;
    struct kl_spot by_label;
    struct kl_spot by_key_id;

    checking->rows++;
    KL_TRY(kl_tree_place(kl_secret_view(&store->key), KL_PLACE_LABEL, found->row.label, found->row.id, &by_label));
    KL_TRY(kl_tree_place(kl_secret_view(&store->key), KL_PLACE_KEY_ID, found->row.key_id, found->row.id, &by_key_id));
    if (by_label.bucket != found->bucket || by_key_id.bucket != found->other ||
        memcmp(by_label.tag, tags + KL_PLACE_LABEL * KL_TAG_LEN, KL_TAG_LEN) != 0 ||
        memcmp(by_key_id.tag, tags + KL_PLACE_KEY_ID * KL_TAG_LEN, KL_TAG_LEN) != 0) {
        KL_TRY(note(checking,
                    kl_fail(KL_INTEGRITY, "%s: a row stands in a bucket, or under a tag, that is not its own", kl_store_path(store))));
    }
    return note(checking, kl_store_check_row(store, found));
}

static enum kl_rc check_group(struct checking *checking, uint32_t group)
{
    uint8_t macs[KL_GROUP_LEN];
    uint32_t first = group * KL_GROUP_BUCKETS;
    struct kl_walk walk = { 0 };
    enum kl_rc rc = note(checking, kl_store_load_group(checking->store, group, macs));

    if (rc == KL_OK) rc = kl_walk_begin(&walk, checking->store, KL_WALK_LABEL_ROWS, first, first + KL_GROUP_BUCKETS - 1);
    for (uint32_t bucket = first; rc == KL_OK && bucket < first + KL_GROUP_BUCKETS; bucket++) {
        rc = kl_walk_bucket(&walk, bucket, check_row, checking);
        if (rc == KL_OK) rc = note(checking, kl_walk_compare(&walk, bucket, macs));
    }
    kl_walk_clear(&walk);
    return rc;
}

/* Rows that no bucket leads to are found by walking over the table itself. */
static enum kl_rc count_rows(struct checking *checking, uint64_t *count)
{
    struct kl_store *store = checking->store;
    const struct kl_range range = { 0 };
    struct kl_found found = { 0 };
    bool more = false;
    enum kl_rc rc = store->ops->scan(store->backend, KL_SCAN_EVERY, &range);

    *count = 0;
    if (rc == KL_OK) rc = store->ops->next(store->backend, KL_SCAN_EVERY, &found, &more);
    while (rc == KL_OK && more) {
        (*count)++;
        if (found.bad) rc = note(checking, kl_fail(KL_INTEGRITY, "%s: a row is malformed", kl_store_path(store)));
        if (rc == KL_OK) rc = store->ops->next(store->backend, KL_SCAN_EVERY, &found, &more);
    }
    store->ops->stop(store->backend, KL_SCAN_EVERY);
    return rc;
}

static enum kl_rc check_counts(struct checking *checking)
{
    struct kl_store *store = checking->store;
    uint64_t count = 0;

    KL_TRY(count_rows(checking, &count));
    checking->report->rows = count;
    if (count == store->root.row_count && checking->rows == count) return KL_OK;
    return note(checking,
                kl_fail(KL_INTEGRITY, "%s has %llu rows, %llu of them in their buckets; the store root says %llu", kl_store_path(store),
                        (unsigned long long)count, (unsigned long long)checking->rows, (unsigned long long)store->root.row_count));
}

static enum kl_rc check_all(struct checking *checking)
{
    struct kl_store *store = checking->store;
    struct kl_heap heap = { 0 };
    enum kl_rc rc;

    KL_TRY(store->ops->check(store->backend, checking->say, checking->user, &checking->report->hurt));
    checking->report->epoch = store->root.epoch;
    if (!store->unlocked || !store->root.exists) return count_rows(checking, &checking->report->rows);
    rc = note(checking, kl_store_check_records(store, &heap));
    kl_heap_clear(&heap);
    for (uint32_t group = 0; rc == KL_OK && group < KL_STORE_GROUPS; group++) rc = check_group(checking, group);
    if (rc == KL_OK) rc = check_counts(checking);
    if (rc == KL_OK) rc = kl_store_check_budgets(store, note_any, checking);
    return rc;
}

enum kl_rc kl_store_check(struct kl_store *store, void (*say)(void *user, const char *words), void *user, struct kl_store_report *report)
{
    struct checking checking = { .store = store, .say = say, .user = user, .report = report };
    struct kl_look look;
    enum kl_rc rc;

    memset(report, 0, sizeof *report);
    rc = kl_look_begin(&look, store);
    if (rc == KL_INTEGRITY) return note(&checking, rc);
    KL_TRY(rc);
    rc = check_all(&checking);
    kl_look_end(&look);
    return note(&checking, rc);
}
