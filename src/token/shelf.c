/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/shelf.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "crypto/random.h"
#include "token/index.h"

#define ABSENT_COUNT 256u
#define ABSENT_TEXT 40

/* A label or CKA_ID that nothing on the token had. */
struct absent {
    uint32_t era;
    uint8_t chain;
    uint8_t len;
    uint8_t text[ABSENT_TEXT];
};

struct kl_shelf {
    struct kl_token *token;
    pthread_mutex_t lock;         /* everything below, and the snapshots and links of the objects */
    _Atomic uint32_t era;         /* never 0 */
    _Atomic int64_t second;       /* in which the mark was last looked at */
    uint64_t mark;                /* the store's, for which the era's knowledge holds */
    _Atomic CK_ULONG login_epoch;
    uint32_t all_era;             /* in which everything on the token was in the index */
    uint64_t seed;
    struct kl_index rows;         /* token objects by row id */
    struct kl_index owners;       /* session objects by session */
    struct kl_index labels;
    struct kl_index key_ids;
    struct absent absent[ABSENT_COUNT];
};

/* --- handles --- */

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

/* --- what objects stand under --- */

static struct kl_view row_of(const struct kl_object *object)
{
    return kl_view_of(object->shot->id, KL_ROW_ID_LEN);
}

static struct kl_view owner_of(const struct kl_object *object)
{
    return kl_view_of(&object->owner, sizeof object->owner);
}

static struct kl_view label_of(const struct kl_object *object)
{
    return kl_snapshot_label(object->shot);
}

static struct kl_view key_id_of(const struct kl_object *object)
{
    return kl_snapshot_key_id(object->shot);
}

/* --- life --- */

enum kl_rc kl_shelf_new(struct kl_token *token, struct kl_shelf **out)
{
    struct kl_shelf *shelf = calloc(1, sizeof *shelf);
    enum kl_rc rc;

    KL_CHECK(shelf, KL_MEMORY);
    shelf->token = token;
    atomic_init(&shelf->era, 1);
    atomic_init(&shelf->second, -1);
    pthread_mutex_init(&shelf->lock, NULL);
    rc = kl_random_fill(&shelf->seed, sizeof shelf->seed);
    if (rc == KL_OK) rc = kl_index_init(&shelf->rows, KL_CHAIN_ROW, row_of, shelf->seed);
    if (rc == KL_OK) rc = kl_index_init(&shelf->owners, KL_CHAIN_ROW, owner_of, shelf->seed + 1);
    if (rc == KL_OK) rc = kl_index_init(&shelf->labels, KL_CHAIN_LABEL, label_of, shelf->seed + 2);
    if (rc == KL_OK) rc = kl_index_init(&shelf->key_ids, KL_CHAIN_KEY_ID, key_id_of, shelf->seed + 3);
    if (rc == KL_OK) *out = shelf;
    else kl_shelf_free(shelf);
    return rc;
}

static void link_names(struct kl_shelf *shelf, struct kl_object *object)
{
    if (object->shot->label_len) kl_index_add(&shelf->labels, object);
    if (object->shot->key_id_len) kl_index_add(&shelf->key_ids, object);
}

static void unlink_names(struct kl_shelf *shelf, struct kl_object *object)
{
    if (object->shot->label_len) kl_index_remove(&shelf->labels, object);
    if (object->shot->key_id_len) kl_index_remove(&shelf->key_ids, object);
}

static struct kl_index *home_of(struct kl_shelf *shelf, const struct kl_object *object)
{
    return object->owner ? &shelf->owners : &shelf->rows;
}

static void link_object(struct kl_shelf *shelf, struct kl_object *object)
{
    object->token = shelf->token;
    kl_index_add(home_of(shelf, object), object);
    link_names(shelf, object);
    object->is_linked = true;
}

/* The handle is dead afterwards. Does nothing to an object that another thread has dropped already. */
static void drop(struct kl_shelf *shelf, struct kl_object *object)
{
    if (!object->is_linked) return;
    object->is_linked = false;
    unlink_names(shelf, object);
    kl_index_remove(home_of(shelf, object), object);
    kl_slot_kill(object);
}

static void drop_each(void *user, struct kl_object *object)
{
    drop(user, object);
}

static void drop_private(void *user, struct kl_object *object)
{
    if (object->is_private) drop(user, object);
}

void kl_shelf_end_all(struct kl_shelf *shelf)
{
    pthread_mutex_lock(&shelf->lock);
    kl_index_each(&shelf->rows, drop_each, shelf);
    kl_index_each(&shelf->owners, drop_each, shelf);
    pthread_mutex_unlock(&shelf->lock);
}

void kl_shelf_end_private(struct kl_shelf *shelf)
{
    pthread_mutex_lock(&shelf->lock);
    kl_index_each(&shelf->rows, drop_private, shelf);
    kl_index_each(&shelf->owners, drop_private, shelf);
    pthread_mutex_unlock(&shelf->lock);
}

void kl_shelf_end_session(struct kl_shelf *shelf, CK_SESSION_HANDLE session)
{
    struct kl_view key = kl_view_of(&session, sizeof session);
    struct kl_object *object;

    pthread_mutex_lock(&shelf->lock);
    object = kl_index_first(&shelf->owners, key);
    while (object) {
        struct kl_object *next = kl_index_next(&shelf->owners, object, key);

        drop(shelf, object);
        object = next;
    }
    pthread_mutex_unlock(&shelf->lock);
}

void kl_shelf_free(struct kl_shelf *shelf)
{
    if (!shelf) return;
    if (shelf->rows.heads && shelf->owners.heads) kl_shelf_end_all(shelf);
    kl_index_clear(&shelf->rows);
    kl_index_clear(&shelf->owners);
    kl_index_clear(&shelf->labels);
    kl_index_clear(&shelf->key_ids);
    pthread_mutex_destroy(&shelf->lock);
    free(shelf);
}

/* --- how current the shelf is --- */

int64_t kl_shelf_second(void)
{
    return kl_clock->coarse() / 1000000000;
}

/* Odd: a commit is on its way. 0: the store is not open. Nothing learnt then can be kept. */
static bool is_steady(uint64_t mark)
{
    return mark != 0 && mark % 2 == 0;
}

static void end_era(struct kl_shelf *shelf)
{
    uint32_t era = atomic_load_explicit(&shelf->era, memory_order_relaxed) + 1;

    atomic_store_explicit(&shelf->era, era ? era : 1, memory_order_release);
}

static uint32_t era_of(const struct kl_shelf *shelf)
{
    return atomic_load_explicit(&shelf->era, memory_order_acquire);
}

/* Notes what the store's mark is now. The lock is held. */
static void notice(struct kl_shelf *shelf, uint64_t mark)
{
    CK_ULONG epoch = atomic_load(&shelf->token->login_epoch);

    if (mark == shelf->mark && is_steady(mark) && epoch == atomic_load(&shelf->login_epoch)) return;
    end_era(shelf);
    shelf->mark = mark;
    atomic_store(&shelf->login_epoch, epoch);
}

/* A reading of the store: whether what it gives may be taken for what is there. */
struct reading {
    uint64_t mark;
    uint32_t era;
};

static struct reading reading_begin(struct kl_shelf *shelf)
{
    struct reading reading = { .mark = kl_ladder_mark(shelf->token->ladder) };

    pthread_mutex_lock(&shelf->lock);
    notice(shelf, reading.mark);
    reading.era = era_of(shelf);
    pthread_mutex_unlock(&shelf->lock);
    return reading;
}

/* The lock is held. */
static bool reading_holds(struct kl_shelf *shelf, struct reading reading)
{
    return is_steady(reading.mark) && reading.era == era_of(shelf) && kl_ladder_mark(shelf->token->ladder) == reading.mark;
}

/* Our own commit. Whoever committed in between ends the era. */
static void notice_own(struct kl_shelf *shelf, struct kl_commit commit)
{
    if (commit.before != shelf->mark && commit.after != shelf->mark) end_era(shelf);
    shelf->mark = commit.after;
}

/* --- absence --- */

static struct absent *absent_at(struct kl_shelf *shelf, enum kl_chain chain, struct kl_view value)
{
    return &shelf->absent[kl_index_hash(shelf->seed + chain, value) % ABSENT_COUNT];
}

static bool is_absent(struct kl_shelf *shelf, enum kl_chain chain, struct kl_view value)
{
    const struct absent *entry = absent_at(shelf, chain, value);

    return entry->era == era_of(shelf) && entry->chain == chain && kl_view_is(kl_view_of(entry->text, entry->len), value);
}

static void note_absent(struct kl_shelf *shelf, enum kl_chain chain, struct kl_view value)
{
    struct absent *entry = absent_at(shelf, chain, value);

    if (value.len > ABSENT_TEXT) return;
    entry->era = era_of(shelf);
    entry->chain = (uint8_t)chain;
    entry->len = (uint8_t)value.len;
    memcpy(entry->text, value.data, value.len);
}

/* --- sets of objects under one label or CKA_ID --- */

static struct kl_index *names_of(struct kl_shelf *shelf, enum kl_chain chain)
{
    return chain == KL_CHAIN_LABEL ? &shelf->labels : &shelf->key_ids;
}

static uint32_t *set_era(struct kl_object *object, enum kl_chain chain)
{
    return chain == KL_CHAIN_LABEL ? &object->label_era : &object->key_id_era;
}

/* Is every token object of that name in the index? */
static bool is_known(struct kl_shelf *shelf, enum kl_chain chain, struct kl_view value)
{
    const struct kl_index *index = names_of(shelf, chain);
    uint32_t era = era_of(shelf);
    struct kl_object *object = kl_index_first(index, value);

    if (shelf->all_era == era || is_absent(shelf, chain, value)) return true;
    while (object) {
        if (!object->owner && *set_era(object, chain) == era) return true;
        object = kl_index_next(index, object, value);
    }
    return false;
}

/* After a complete reading: what it did not give is gone. */
static void note_known(struct kl_shelf *shelf, enum kl_chain chain, struct kl_view value)
{
    const struct kl_index *index = names_of(shelf, chain);
    struct kl_object *object = kl_index_first(index, value);
    uint32_t era = era_of(shelf);
    bool is_there = false;

    while (object) {
        struct kl_object *next = kl_index_next(index, object, value);

        if (!object->owner && atomic_load(&object->era) != era) {
            drop(shelf, object);
        } else if (!object->owner) {
            *set_era(object, chain) = era;
            is_there = true;
        }
        object = next;
    }
    if (!is_there) note_absent(shelf, chain, value);
}

/* A token object has come to stand under a name: if the others were all known, it makes the set whole. */
static void join_set(struct kl_shelf *shelf, enum kl_chain chain, struct kl_object *object, struct kl_view value)
{
    if (value.len == 0) return;
    *set_era(object, chain) = is_known(shelf, chain, value) ? era_of(shelf) : 0;
    if (is_absent(shelf, chain, value)) absent_at(shelf, chain, value)->era = 0;
}

/* --- objects --- */

static bool consider(const struct kl_object *object, const struct kl_filter *filter)
{
    struct kl_extra extras[KL_EXTRAS_MAX];
    struct kl_record record;
    struct kl_subject subject = { .record = &record, .is_token = object->owner == 0 };

    if (object->is_private && !filter->sees_private) return false;
    kl_snapshot_record(object->shot, &record, extras);
    return filter->wants(filter->user, &subject);
}

static enum kl_rc offer(const struct kl_object *object, const struct kl_filter *filter, struct kl_handles *out)
{
    return consider(object, filter) ? handles_add(out, kl_slot_handle(object)) : KL_OK;
}

static void set_shot(struct kl_object *object, struct kl_snapshot *shot)
{
    kl_snapshot_put(object->shot);
    object->shot = shot;
    object->is_private = (shot->flags & KL_FLAG_PRIVATE) != 0;
}

static bool is_as_known(const struct kl_object *object, const struct kl_record *record, bool is_proved)
{
    if (object->shot->generation != record->generation) return false;
    return object->is_proved || !is_proved;
}

static struct kl_object *find_row(struct kl_shelf *shelf, const uint8_t id[KL_ROW_ID_LEN])
{
    return kl_index_first(&shelf->rows, kl_view_of(id, KL_ROW_ID_LEN));
}

/* A row as the store gave it becomes an object, or renews the one there is. The lock is held. */
static enum kl_rc adopt(struct kl_shelf *shelf, const struct kl_record *record, bool is_proved, struct kl_object **out)
{
    struct kl_object *object = find_row(shelf, record->id);
    struct kl_snapshot *shot = NULL;
    enum kl_rc rc;

    *out = object;
    if (object && is_as_known(object, record, is_proved)) return KL_OK;
    KL_TRY(kl_snapshot_new(record, &shot));
    if (object) {
        unlink_names(shelf, object);
        set_shot(object, shot);
        link_names(shelf, object);
        object->label_era = object->key_id_era = 0;
        object->is_proved |= is_proved;
        return KL_OK;
    }
    rc = kl_slot_new(&object);
    if (rc != KL_OK) {
        kl_snapshot_put(shot);
        return rc;
    }
    set_shot(object, shot);
    object->is_proved = is_proved;
    link_object(shelf, object);
    kl_slot_publish(object);
    *out = object;
    return KL_OK;
}

/* A page of rows that the filter's searcher may see. */
static enum kl_rc adopt_page(struct kl_shelf *shelf, const struct kl_records *page, struct reading reading, const struct kl_filter *filter,
                             struct kl_handles *out)
{
    bool is_proved = kl_ladder_role(shelf->token->ladder) != KL_ROLE_NONE;
    bool holds;
    enum kl_rc rc = KL_OK;

    pthread_mutex_lock(&shelf->lock);
    holds = is_proved && reading_holds(shelf, reading);
    for (size_t i = 0; rc == KL_OK && i < page->count; i++) {
        struct kl_object *object = NULL;

        if (!filter->sees_private && (page->items[i].flags & KL_FLAG_PRIVATE)) continue;
        rc = adopt(shelf, &page->items[i], is_proved, &object);
        if (rc != KL_OK) break;
        if (holds) atomic_store(&object->era, reading.era);
        rc = offer(object, filter, out);
    }
    pthread_mutex_unlock(&shelf->lock);
    return rc;
}

static enum kl_rc read_pages(struct kl_shelf *shelf, const struct kl_query *query, struct reading reading, const struct kl_filter *filter,
                             struct kl_handles *out)
{
    struct kl_cursor cursor = { 0 };

    while (!cursor.done) {
        KL_AUTO(kl_records) page = { 0 };

        KL_TRY(kl_ladder_read(shelf->token->ladder, query, &cursor, &page));
        KL_TRY(adopt_page(shelf, &page, reading, filter, out));
    }
    return KL_OK;
}

/* Objects of one name that are in the index: session objects, or both kinds. */
static enum kl_rc offer_names(struct kl_shelf *shelf, enum kl_chain chain, struct kl_view value, bool with_rows,
                              const struct kl_filter *filter, struct kl_handles *out)
{
    const struct kl_index *index = names_of(shelf, chain);

    for (struct kl_object *object = kl_index_first(index, value); object; object = kl_index_next(index, object, value)) {
        if (object->owner || with_rows) KL_TRY(offer(object, filter, out));
    }
    return KL_OK;
}

static enum kl_rc look_names(struct kl_shelf *shelf, enum kl_chain chain, const struct kl_query *query, const struct kl_filter *filter,
                             struct kl_handles *out)
{
    struct reading reading = reading_begin(shelf);
    bool known;
    enum kl_rc rc = KL_OK;

    pthread_mutex_lock(&shelf->lock);
    known = reading.era == era_of(shelf) && is_steady(reading.mark) && is_known(shelf, chain, query->value);
    if (known) rc = offer_names(shelf, chain, query->value, true, filter, out);
    pthread_mutex_unlock(&shelf->lock);
    if (known) return rc;
    KL_TRY(read_pages(shelf, query, reading, filter, out));
    pthread_mutex_lock(&shelf->lock);
    /* A searcher who was not given the private rows has not learnt what there is. */
    if (filter->sees_private && reading_holds(shelf, reading)) note_known(shelf, chain, query->value);
    rc = offer_names(shelf, chain, query->value, false, filter, out);
    pthread_mutex_unlock(&shelf->lock);
    return rc;
}

static bool wants_all(const void *user, const struct kl_subject *subject)
{
    (void)user;
    (void)subject;
    return true;
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
    struct reading reading = reading_begin(shelf);
    struct collecting collecting = { filter, out, KL_OK };
    struct kl_object *object;
    bool is_current;

    KL_CHECK(id.len == KL_ROW_ID_LEN, KL_ARG);
    pthread_mutex_lock(&shelf->lock);
    kl_index_each(&shelf->owners, collect, &collecting);
    object = find_row(shelf, id.data);
    is_current = object && atomic_load(&object->era) == reading.era && reading_holds(shelf, reading);
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

    if (atomic_load(&object->era) != era_of(shelf)) drop(shelf, object);
}

static struct reading walk_reading(const struct kl_walk *walk)
{
    return (struct reading){ .mark = walk->mark, .era = walk->era };
}

static void walk_begin(struct kl_shelf *shelf, struct kl_walk *walk)
{
    struct reading reading = reading_begin(shelf);

    walk->is_begun = true;
    walk->mark = reading.mark;
    walk->era = reading.era;
    pthread_mutex_lock(&shelf->lock);
    walk->reads_store = walk->query == KL_BY_PUBLIC || shelf->all_era != era_of(shelf) || !reading_holds(shelf, reading);
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
        kl_log(KL_LOG_ERROR, "token %s: keys of %u buckets are left out of a listing: the store has been tampered with; run keyladder verify",
               kl_ladder_name(shelf->token->ladder), walk->cursor.hurt);
    }
    return adopt_page(shelf, &page, walk_reading(walk), filter, out);
}

/* What is in memory: session objects, and the token's too if nothing had to be read. */
static enum kl_rc walk_rest(struct kl_shelf *shelf, struct kl_walk *walk, const struct kl_filter *filter, struct kl_handles *out)
{
    struct collecting collecting = { filter, out, KL_OK };

    pthread_mutex_lock(&shelf->lock);
    if (!walk->reads_store) {
        kl_index_each(&shelf->rows, collect, &collecting);
    } else if (walk->query == KL_BY_ALL && filter->sees_private && walk->cursor.hurt == 0 && reading_holds(shelf, walk_reading(walk))) {
        kl_index_each(&shelf->rows, drop_stale, shelf);
        shelf->all_era = era_of(shelf);
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

/* --- one object --- */

struct kl_snapshot *kl_shelf_shot(struct kl_shelf *shelf, struct kl_object *object)
{
    struct kl_snapshot *shot;

    pthread_mutex_lock(&shelf->lock);
    shot = kl_snapshot_get(object->shot);
    pthread_mutex_unlock(&shelf->lock);
    return shot;
}

/* Looks at the store's mark once a second. */
static void look_at_mark(struct kl_shelf *shelf)
{
    int64_t now = kl_shelf_second();

    if (atomic_load_explicit(&shelf->second, memory_order_relaxed) == now &&
        atomic_load_explicit(&shelf->token->login_epoch, memory_order_relaxed) ==
            atomic_load_explicit(&shelf->login_epoch, memory_order_relaxed)) {
        return;
    }
    pthread_mutex_lock(&shelf->lock);
    notice(shelf, kl_ladder_mark(shelf->token->ladder));
    pthread_mutex_unlock(&shelf->lock);
    atomic_store_explicit(&shelf->second, now, memory_order_relaxed);
}

static enum kl_rc settle(struct kl_shelf *shelf, struct kl_object *object, const struct kl_record *record, struct reading reading)
{
    struct kl_object *same = NULL;
    enum kl_rc rc = KL_OBJECT;

    pthread_mutex_lock(&shelf->lock);
    if (!record) {
        drop(shelf, object);
    } else if (object->is_linked) {
        rc = adopt(shelf, record, true, &same);
        if (rc == KL_OK && reading_holds(shelf, reading)) atomic_store(&object->era, reading.era);
    }
    pthread_mutex_unlock(&shelf->lock);
    return rc;
}

/* A session object is as it is, as long as it is there. */
static enum kl_rc check_session_object(struct kl_shelf *shelf, const struct kl_object *object)
{
    bool is_there;

    pthread_mutex_lock(&shelf->lock);
    is_there = object->is_linked;
    pthread_mutex_unlock(&shelf->lock);
    return is_there ? KL_OK : KL_OBJECT;
}

static enum kl_rc ask_store(struct kl_shelf *shelf, struct kl_object *object)
{
    struct reading reading = reading_begin(shelf);
    struct kl_snapshot *shot = kl_shelf_shot(shelf, object);
    KL_AUTO(kl_record) record = { 0 };
    enum kl_rc rc = kl_ladder_get(shelf->token->ladder, shot->id, kl_snapshot_label(shot), &record);

    /* Not under the label that it had: gone, or called otherwise by now. */
    if (rc == KL_NOT_FOUND) rc = kl_ladder_get(shelf->token->ladder, shot->id, kl_view_of(NULL, 0), &record);
    kl_snapshot_put(shot);
    if (rc == KL_NOT_FOUND) return settle(shelf, object, NULL, reading);
    /* A public object before login: what the search showed is all there is to know. */
    if (rc == KL_NOT_LOGGED_IN) return KL_OK;
    KL_TRY(rc);
    return settle(shelf, object, &record, reading);
}

enum kl_rc kl_shelf_renew(struct kl_shelf *shelf, struct kl_object *object)
{
    return object->owner ? check_session_object(shelf, object) : ask_store(shelf, object);
}

enum kl_rc kl_shelf_check(struct kl_shelf *shelf, struct kl_object *object)
{
    if (object->owner) return KL_OK;
    look_at_mark(shelf);
    if (atomic_load_explicit(&object->era, memory_order_acquire) == era_of(shelf)) return KL_OK;
    return ask_store(shelf, object);
}

enum kl_rc kl_shelf_state(struct kl_shelf *shelf, const uint8_t id[KL_ROW_ID_LEN], enum kl_state *out)
{
    static const struct kl_filter all = { .wants = wants_all, .sees_private = true };
    struct kl_handles found = { 0 };
    struct kl_object *object = NULL;
    enum kl_rc rc = KL_OK;

    pthread_mutex_lock(&shelf->lock);
    object = find_row(shelf, id);
    if (object) kl_slot_hold(object);
    pthread_mutex_unlock(&shelf->lock);
    if (!object) {
        rc = look_row(shelf, kl_view_of(id, KL_ROW_ID_LEN), &all, &found);
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

/* --- our own changes --- */

enum kl_rc kl_place_room(const struct kl_record *draft, size_t more, struct kl_place *out)
{
    out->room = kl_snapshot_room(draft, more, &out->cap);
    KL_CHECK(out->room, KL_MEMORY);
    return KL_OK;
}

enum kl_rc kl_place_new(const struct kl_record *draft, size_t more, struct kl_place *out)
{
    KL_TRY(kl_place_room(draft, more, out));
    return kl_slot_new(&out->object);
}

void kl_place_clear(struct kl_place *place)
{
    free(place->room);
    kl_slot_drop(place->object);
    *place = (struct kl_place){ NULL, NULL, 0 };
}

static void join_sets(struct kl_shelf *shelf, struct kl_object *object)
{
    join_set(shelf, KL_CHAIN_LABEL, object, label_of(object));
    join_set(shelf, KL_CHAIN_KEY_ID, object, key_id_of(object));
}

enum kl_rc kl_shelf_add(struct kl_shelf *shelf, struct kl_place *place, const struct kl_arrival *arrival, CK_OBJECT_HANDLE *out)
{
    struct kl_object *object = place->object;
    struct kl_object *other;

    KL_TRY(kl_snapshot_fill(place->room, place->cap, arrival->record));
    kl_snapshot_keep_key(place->room, arrival->key);
    pthread_mutex_lock(&shelf->lock);
    if (!arrival->owner) notice_own(shelf, arrival->commit);
    /* Another thread's search may have met the row already. */
    other = arrival->owner ? NULL : find_row(shelf, arrival->record->id);
    if (other) {
        kl_snapshot_keep_key(other->shot, arrival->key);
        kl_snapshot_put(place->room);
        place->room = NULL;
        *out = kl_slot_handle(other);
    } else {
        object->owner = arrival->owner;
        object->is_proved = true;
        set_shot(object, place->room);
        place->room = NULL;
        place->object = NULL;
        if (!object->owner) join_sets(shelf, object);
        atomic_store(&object->era, era_of(shelf));
        link_object(shelf, object);
        *out = kl_slot_publish(object);
    }
    pthread_mutex_unlock(&shelf->lock);
    return KL_OK;
}

/* The lock is held. */
static void put_change(struct kl_shelf *shelf, struct kl_object *object, struct kl_place *place, const struct kl_arrival *arrival)
{
    struct kl_key *kept = arrival->is_key_new ? NULL : kl_snapshot_key(object->shot);

    kl_snapshot_keep_key(place->room, arrival->is_key_new ? arrival->key : kept);
    kl_key_put(kept);
    unlink_names(shelf, object);
    set_shot(object, place->room);
    place->room = NULL;
    if (!object->owner) join_sets(shelf, object);
    atomic_store(&object->era, era_of(shelf));
    link_names(shelf, object);
}

enum kl_rc kl_shelf_change(struct kl_shelf *shelf, struct kl_object *object, const struct kl_snapshot *from, struct kl_place *place,
                           const struct kl_arrival *arrival)
{
    enum kl_rc rc = KL_OK;

    KL_TRY(kl_snapshot_fill(place->room, place->cap, arrival->record));
    pthread_mutex_lock(&shelf->lock);
    if (!object->owner) notice_own(shelf, arrival->commit);
    if (object->owner && !object->is_linked) rc = KL_OBJECT;
    else if (object->owner && object->shot != from) rc = KL_CONFLICT;
    /* A search may have met a later state of the row already. */
    else if (object->is_linked && object->shot->generation <= arrival->record->generation) put_change(shelf, object, place, arrival);
    pthread_mutex_unlock(&shelf->lock);
    return rc;
}

bool kl_shelf_remove(struct kl_shelf *shelf, struct kl_object *object, const struct kl_commit *commit)
{
    bool was_there;

    pthread_mutex_lock(&shelf->lock);
    if (commit) notice_own(shelf, *commit);
    was_there = object->is_linked;
    drop(shelf, object);
    pthread_mutex_unlock(&shelf->lock);
    return was_there;
}
