/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Searching: by name, by row id, and by walking over everything. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "token/shelf_inner.h"

void kl_handles_clear(struct kl_handles *handles)
{
    free(handles->items);
    *handles = (struct kl_handles){ NULL, 0, 0 };
}

static enum kl_rc handles_add(struct kl_handles *handles, CK_OBJECT_HANDLE handle)
{
    if (handles->count == handles->cap) {
        size_t cap = handles->cap ? handles->cap * 2 : 8;
        CK_OBJECT_HANDLE *items = realloc(handles->items, cap * sizeof *items);

        KL_CHECK(items, KL_MEMORY);
        handles->items = items;
        handles->cap = cap;
    }
    handles->items[handles->count++] = handle;
    return KL_OK;
}

/* --- what a searcher wants --- */

static bool consider(const struct kl_object *object, const struct kl_filter *filter)
{
    struct kl_extra extras[KL_EXTRAS_MAX];
    struct kl_record record;
    struct kl_subject subject = { .record = &record, .is_token = kl_object_is_token(object) };

    if (object->is_private && !filter->sees_private) return false;
    kl_snapshot_record(object->shot, &record, extras);
    return filter->wants(filter->user, &subject);
}

static enum kl_rc offer(const struct kl_object *object, const struct kl_filter *filter, struct kl_handles *out)
{
    return consider(object, filter) ? handles_add(out, kl_slot_handle(object)) : KL_OK;
}

/* --- reading --- */

/* A page of rows that the filter's searcher may see. */
static enum kl_rc adopt_page(struct kl_shelf *shelf, const struct kl_records *page, struct kl_reading reading,
                             const struct kl_filter *filter, struct kl_handles *out)
{
    bool is_proved = kl_ladder_role(shelf->token->ladder) != KL_ROLE_NONE;
    bool holds;
    enum kl_rc rc = KL_OK;

    pthread_mutex_lock(&shelf->lock);
    holds = is_proved && kl_reading_holds(shelf, reading);
    for (size_t i = 0; rc == KL_OK && i < page->count; i++) {
        struct kl_object *object = NULL;

        if (!filter->sees_private && (page->items[i].flags & KL_FLAG_PRIVATE)) continue;
        rc = kl_shelf_adopt(shelf, &page->items[i], is_proved, &object);
        if (rc != KL_OK) break;
        if (holds) atomic_store(&object->era, reading.era);
        rc = offer(object, filter, out);
    }
    pthread_mutex_unlock(&shelf->lock);
    return rc;
}

static enum kl_rc read_pages(struct kl_shelf *shelf, const struct kl_query *query, struct kl_reading reading,
                             const struct kl_filter *filter, struct kl_handles *out)
{
    struct kl_cursor cursor = { 0 };

    while (!cursor.done) {
        KL_AUTO(kl_records) page = { 0 };

        KL_TRY(kl_ladder_read(shelf->token->ladder, query, &cursor, &page));
        KL_TRY(adopt_page(shelf, &page, reading, filter, out));
    }
    return KL_OK;
}

/* --- by name and by id --- */

/* Objects of one name that are in the index: session objects, or both kinds. */
static enum kl_rc offer_names(struct kl_shelf *shelf, enum kl_chain chain, struct kl_view value, bool with_rows,
                              const struct kl_filter *filter, struct kl_handles *out)
{
    const struct kl_index *index = kl_names_index(shelf, chain);

    for (struct kl_object *object = kl_index_first(index, value); object; object = kl_index_next(index, object, value)) {
        if (object->owner || with_rows) KL_TRY(offer(object, filter, out));
    }
    return KL_OK;
}

static enum kl_rc look_names(struct kl_shelf *shelf, enum kl_chain chain, const struct kl_query *query, const struct kl_filter *filter,
                             struct kl_handles *out)
{
    struct kl_reading reading = kl_reading_begin(shelf);
    bool known;
    enum kl_rc rc = KL_OK;

    pthread_mutex_lock(&shelf->lock);
    known = reading.era == kl_shelf_era(shelf) && kl_mark_is_steady(reading.mark) && kl_names_are_known(shelf, chain, query->value);
    if (known) rc = offer_names(shelf, chain, query->value, true, filter, out);
    pthread_mutex_unlock(&shelf->lock);
    if (known) return rc;
    KL_TRY(read_pages(shelf, query, reading, filter, out));
    pthread_mutex_lock(&shelf->lock);
    /* A searcher who was not given the private rows has not learnt what there is. */
    if (filter->sees_private && kl_reading_holds(shelf, reading)) kl_names_note_known(shelf, chain, query->value);
    rc = offer_names(shelf, chain, query->value, false, filter, out);
    pthread_mutex_unlock(&shelf->lock);
    return rc;
}

struct collecting {
    const struct kl_filter *filter;
    struct kl_handles *out;
    enum kl_rc rc;
};

static void collect(void *user, struct kl_object *object)
{
    struct collecting *collecting = user;

    if (collecting->rc == KL_OK) collecting->rc = offer(object, collecting->filter, collecting->out);
}

/* Session objects have ids as well; `filter` knows which one is wanted. */
static enum kl_rc look_row(struct kl_shelf *shelf, struct kl_view id, const struct kl_filter *filter, struct kl_handles *out)
{
    struct kl_query query = { .by = KL_BY_ROW, .value = id };
    struct kl_reading reading = kl_reading_begin(shelf);
    struct collecting collecting = { filter, out, KL_OK };
    struct kl_object *object;
    bool is_current;

    /* not reached: a text that is no id is looked for by nobody. */
    KL_CHECK(id.len == KL_ROW_ID_LEN, KL_ARG);
    pthread_mutex_lock(&shelf->lock);
    kl_index_each(&shelf->owners, collect, &collecting);
    object = kl_shelf_find_row(shelf, id.data);
    is_current = object && atomic_load(&object->era) == reading.era && kl_reading_holds(shelf, reading);
    if (is_current) collect(&collecting, object);
    pthread_mutex_unlock(&shelf->lock);
    return is_current || collecting.rc != KL_OK ? collecting.rc : read_pages(shelf, &query, reading, filter, out);
}

enum kl_rc kl_shelf_look(struct kl_shelf *shelf, enum kl_query_by by, struct kl_view value, const struct kl_filter *filter,
                         struct kl_handles *out)
{
    struct kl_query query = { .by = by, .value = value };

    if (by == KL_BY_ROW) return look_row(shelf, value, filter, out);
    return look_names(shelf, by == KL_BY_LABEL ? KL_CHAIN_LABEL : KL_CHAIN_KEY_ID, &query, filter, out);
}

/* --- walking over everything --- */

static void drop_stale(void *user, struct kl_object *object)
{
    struct kl_shelf *shelf = user;

    if (atomic_load(&object->era) != kl_shelf_era(shelf)) kl_shelf_drop(shelf, object);
}

static struct kl_reading walk_reading(const struct kl_walk *walk)
{
    return (struct kl_reading){ .mark = walk->mark, .era = walk->era };
}

static void walk_begin(struct kl_shelf *shelf, struct kl_walk *walk)
{
    struct kl_reading reading = kl_reading_begin(shelf);

    walk->is_begun = true;
    walk->mark = reading.mark;
    walk->era = reading.era;
    pthread_mutex_lock(&shelf->lock);
    walk->reads_store = walk->query == KL_BY_PUBLIC || shelf->all_era != kl_shelf_era(shelf) || !kl_reading_holds(shelf, reading);
    if (walk->skips_store) walk->reads_store = false;
    pthread_mutex_unlock(&shelf->lock);
}

static enum kl_rc walk_page(struct kl_shelf *shelf, struct kl_walk *walk, const struct kl_filter *filter, struct kl_handles *out)
{
    struct kl_query query = { .by = walk->query };
    KL_AUTO(kl_records) page = { 0 };
    uint32_t hurt = walk->cursor.hurt;

    KL_TRY(kl_ladder_read(shelf->token->ladder, &query, &walk->cursor, &page));
    if (walk->cursor.hurt > hurt) {
        kl_log(KL_LOG_ERROR,
               "token %s: keys of %u buckets are left out of a listing: the store has been tampered with; run keyladder verify",
               kl_ladder_name(shelf->token->ladder), walk->cursor.hurt);
    }
    return adopt_page(shelf, &page, walk_reading(walk), filter, out);
}

/* What is in memory: session objects, and the token's too if nothing had to be read. */
static enum kl_rc walk_rest(struct kl_shelf *shelf, struct kl_walk *walk, const struct kl_filter *filter, struct kl_handles *out)
{
    struct collecting collecting = { filter, out, KL_OK };

    pthread_mutex_lock(&shelf->lock);
    if (walk->skips_store) {
        /* The session objects below are all that is wanted. */
    } else if (!walk->reads_store) {
        kl_index_each(&shelf->rows, collect, &collecting);
    } else if (walk->query == KL_BY_ALL && filter->sees_private && walk->cursor.hurt == 0 && kl_reading_holds(shelf, walk_reading(walk))) {
        kl_index_each(&shelf->rows, drop_stale, shelf);
        shelf->all_era = kl_shelf_era(shelf);
    }
    kl_index_each(&shelf->owners, collect, &collecting);
    pthread_mutex_unlock(&shelf->lock);
    walk->is_done = true;
    return collecting.rc;
}

enum kl_rc kl_shelf_walk(struct kl_shelf *shelf, struct kl_walk *walk, const struct kl_filter *filter, struct kl_handles *out)
{
    if (!walk->is_begun) walk_begin(shelf, walk);
    if (walk->reads_store && !walk->cursor.done) return walk_page(shelf, walk, filter, out);
    return walk_rest(shelf, walk, filter, out);
}

/* --- one row --- */

static bool is_row(const void *user, const struct kl_subject *subject)
{
    return memcmp(subject->record->id, user, KL_ROW_ID_LEN) == 0;
}

enum kl_rc kl_shelf_state(struct kl_shelf *shelf, const uint8_t id[KL_ROW_ID_LEN], enum kl_state *out)
{
    const struct kl_filter that_row = { .wants = is_row, .user = id, .sees_private = true };
    struct kl_handles found = { 0 };
    struct kl_object *object = NULL;
    enum kl_rc rc = KL_OK;

    pthread_mutex_lock(&shelf->lock);
    object = kl_shelf_find_row(shelf, id);
    if (object) kl_slot_hold(object);
    pthread_mutex_unlock(&shelf->lock);
    if (!object) {
        rc = look_row(shelf, kl_view_of(id, KL_ROW_ID_LEN), &that_row, &found);
        if (rc == KL_OK && found.count) object = kl_slot_get(found.items[0]);
        kl_handles_clear(&found);
    }
    if (rc == KL_OK) rc = object ? kl_shelf_check(shelf, object) : KL_OBJECT;
    if (rc == KL_OK) {
        struct kl_snapshot *shot = kl_shelf_shot(shelf, object);

        *out = (enum kl_state)shot->state;
        kl_snapshot_put(shot);
    }
    kl_slot_put(object);
    return rc;
}
