/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "census.h"

#include <stdlib.h>
#include <string.h>

#include "interrupt.h"

struct kl_view kl_census_name(struct kl_view label)
{
    const uint8_t *hash = label.len == 0 ? NULL : memchr(label.data, '#', label.len);

    return hash == NULL ? label : kl_view_of(label.data, (size_t)(hash - label.data));
}

static int compare_views(struct kl_view a, struct kl_view b)
{
    size_t shared = a.len < b.len ? a.len : b.len;
    int order = shared == 0 ? 0 : memcmp(a.data, b.data, shared);

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare(const void *left, const void *right)
{
    const struct kl_record *a = left, *b = right;
    int order = (a->level > b->level) - (a->level < b->level);

    if (order == 0) order = compare_views(kl_census_name(a->label), kl_census_name(b->label));
    if (order == 0) order = (a->version < b->version) - (a->version > b->version);
    return order != 0 ? order : memcmp(a->id, b->id, sizeof a->id);
}

static enum kl_rc take(struct kl_census *census, struct kl_records *page)
{
    if (census->count + page->count > census->room) {
        size_t room = 2 * census->room + page->count;
        struct kl_record *items = reallocarray(census->items, room, sizeof *items);

        if (items == NULL) return kl_fail(KL_MEMORY, "out of memory");
        census->items = items;
        census->room = room;
    }
    for (size_t i = 0; i < page->count; i++) {
        struct kl_record *item = &census->items[census->count++];

        memset(item, 0, sizeof *item);
        kl_record_take(item, &page->items[i]);
    }
    return KL_OK;
}

enum kl_rc kl_census_read(struct kl_ladder *ladder, struct kl_census *out)
{
    bool is_user = kl_ladder_role(ladder) == KL_ROLE_USER;
    struct kl_query all = { .by = is_user ? KL_BY_ALL : KL_BY_PUBLIC };
    struct kl_cursor cursor = { 0 };
    enum kl_rc rc = KL_OK;

    while (rc == KL_OK && !cursor.done) {
        struct kl_records page = { 0 };

        rc = kl_ladder_read(ladder, &all, &cursor, &page);
        if (rc == KL_OK) rc = take(out, &page);
        if (rc == KL_OK) rc = kl_interrupt_check();
        kl_records_clear(&page);
    }
    if (rc != KL_OK) {
        kl_census_clear(out);
        return rc;
    }
    out->hurt = cursor.hurt;
    if (out->count > 0) qsort(out->items, out->count, sizeof *out->items, compare);
    return KL_OK;
}

void kl_census_clear(struct kl_census *census)
{
    for (size_t i = 0; i < census->count; i++) kl_record_clear(&census->items[i]);
    free(census->items);
    *census = (struct kl_census){ 0 };
}

const struct kl_record *kl_census_find(const struct kl_census *census, const uint8_t id[KL_ROW_ID_LEN])
{
    for (size_t i = 0; i < census->count; i++) {
        if (memcmp(census->items[i].id, id, KL_ROW_ID_LEN) == 0) return &census->items[i];
    }
    return NULL;
}

void kl_census_report(struct kl_cli *cli, const struct kl_census *census)
{
    if (census->hurt == 0) return;
    kl_cli_note("%u parts of the store have been tampered with and were left out; see what is hurt with: keyladder doctor", census->hurt);
    cli->status = KL_EXIT_ATTENTION;
}
