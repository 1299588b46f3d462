/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/shelf.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/random.h"
#include "token/profile.h"
#include "token/session.h"
#include "token/shelf_inner.h"

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
    if (rc == KL_OK) rc = kl_profiles_add(shelf);
    if (rc == KL_OK)
        *out = shelf;
    else
        kl_shelf_free(shelf);
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

static void unlink_object(struct kl_shelf *shelf, struct kl_object *object)
{
    object->is_linked = false;
    unlink_names(shelf, object);
    kl_index_remove(home_of(shelf, object), object);
}

/* The handle is dead afterwards. Does nothing to an object that another thread has dropped already. */
void kl_shelf_drop(struct kl_shelf *shelf, struct kl_object *object)
{
    if (!object->is_linked) return;
    unlink_object(shelf, object);
    kl_slot_kill(object);
}

static void drop_each(void *user, struct kl_object *object)
{
    kl_shelf_drop(user, object);
}

static void drop_made(void *user, struct kl_object *object)
{
    if (object->owner != KL_OWNER_TOKEN) kl_shelf_drop(user, object);
}

static void drop_private(void *user, struct kl_object *object)
{
    if (object->is_private) kl_shelf_drop(user, object);
}

static void drop_orphan(void *user, struct kl_object *object)
{
    if (object->owner != KL_OWNER_TOKEN && !kl_session_is_open(object->owner)) kl_shelf_drop(user, object);
}

pthread_mutex_t *kl_shelf_lock(struct kl_shelf *shelf)
{
    return &shelf->lock;
}

void kl_shelf_end_orphans(struct kl_shelf *shelf)
{
    pthread_mutex_lock(&shelf->lock);
    kl_index_each(&shelf->owners, drop_orphan, shelf);
    pthread_mutex_unlock(&shelf->lock);
}

void kl_shelf_end_all(struct kl_shelf *shelf)
{
    pthread_mutex_lock(&shelf->lock);
    kl_index_each(&shelf->rows, drop_made, shelf);
    kl_index_each(&shelf->owners, drop_made, shelf);
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

        kl_shelf_drop(shelf, object);
        object = next;
    }
    pthread_mutex_unlock(&shelf->lock);
}

void kl_shelf_free(struct kl_shelf *shelf)
{
    if (!shelf) return;
    if (shelf->rows.heads) kl_index_each(&shelf->rows, drop_each, shelf);
    if (shelf->owners.heads) kl_index_each(&shelf->owners, drop_each, shelf);
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

static void end_era(struct kl_shelf *shelf)
{
    uint32_t era = atomic_load_explicit(&shelf->era, memory_order_relaxed) + 1;

    atomic_store_explicit(&shelf->era, era ? era : 1, memory_order_release);
}

/* Notes what the store's mark is now. The lock is held. */
static void notice(struct kl_shelf *shelf, uint64_t mark)
{
    CK_ULONG epoch = atomic_load(&shelf->token->login_epoch);

    if (mark == shelf->mark && kl_mark_is_steady(mark) && epoch == atomic_load(&shelf->login_epoch)) return;
    end_era(shelf);
    shelf->mark = mark;
    atomic_store(&shelf->login_epoch, epoch);
}

struct kl_reading kl_reading_begin(struct kl_shelf *shelf)
{
    struct kl_reading reading = { .mark = kl_ladder_mark(shelf->token->ladder) };

    pthread_mutex_lock(&shelf->lock);
    notice(shelf, reading.mark);
    reading.era = kl_shelf_era(shelf);
    pthread_mutex_unlock(&shelf->lock);
    return reading;
}

/* The lock is held. */
bool kl_reading_holds(struct kl_shelf *shelf, struct kl_reading reading)
{
    return kl_mark_is_steady(reading.mark) && reading.era == kl_shelf_era(shelf) && kl_ladder_mark(shelf->token->ladder) == reading.mark;
}

/* Our own commit. Whoever committed in between ends the era. */
static void notice_own(struct kl_shelf *shelf, struct kl_commit commit)
{
    if (commit.before != shelf->mark && commit.after != shelf->mark) end_era(shelf);
    shelf->mark = commit.after;
}

/* --- objects --- */

static void set_shot(struct kl_object *object, struct kl_snapshot *shot)
{
    kl_snapshot_put(atomic_load_explicit(&object->shot, memory_order_relaxed));
    atomic_store_explicit(&object->shot, shot, memory_order_release);
    atomic_store_explicit(&object->is_private, (shot->flags & KL_FLAG_PRIVATE) != 0, memory_order_relaxed);
}

static bool is_as_known(const struct kl_object *object, const struct kl_record *record, bool is_proved)
{
    if (object->shot->generation != record->generation) return false;
    return object->is_proved || !is_proved;
}

struct kl_object *kl_shelf_find_row(struct kl_shelf *shelf, const uint8_t id[KL_ROW_ID_LEN])
{
    return kl_index_first(&shelf->rows, kl_view_of(id, KL_ROW_ID_LEN));
}

/* A row as the store gave it becomes an object, or renews the one there is. The lock is held. */
enum kl_rc kl_shelf_adopt(struct kl_shelf *shelf, const struct kl_record *record, bool is_proved, struct kl_object **out)
{
    struct kl_object *object = kl_shelf_find_row(shelf, record->id);
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

static enum kl_rc settle(struct kl_shelf *shelf, struct kl_object *object, const struct kl_record *record, struct kl_reading reading)
{
    struct kl_object *same = NULL;
    enum kl_rc rc = KL_OBJECT;

    pthread_mutex_lock(&shelf->lock);
    if (!record) {
        kl_shelf_drop(shelf, object);
    } else if (object->is_linked) {
        rc = kl_shelf_adopt(shelf, record, true, &same);
        if (rc == KL_OK && kl_reading_holds(shelf, reading)) atomic_store(&object->era, reading.era);
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
    struct kl_reading reading = kl_reading_begin(shelf);
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
    if (atomic_load_explicit(&object->era, memory_order_acquire) == kl_shelf_era(shelf)) return KL_OK;
    return ask_store(shelf, object);
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

enum kl_rc kl_shelf_add(struct kl_shelf *shelf, struct kl_place *place, const struct kl_arrival *arrival, CK_OBJECT_HANDLE *out)
{
    struct kl_object *object = place->object;
    struct kl_object *other;

    /* not reached: there is room for the record that was drafted. */
    KL_TRY(kl_snapshot_fill(&place->room, place->cap, arrival->record));
    kl_snapshot_keep_key(place->room, arrival->key);
    pthread_mutex_lock(&shelf->lock);
    notice_own(shelf, arrival->commit);
    /* Another thread's search may have met the row already. */
    other = kl_shelf_find_row(shelf, arrival->record->id);
    if (other) {
        kl_snapshot_keep_key(other->shot, arrival->key);
        kl_snapshot_put(place->room);
        place->room = NULL;
        *out = kl_slot_handle(other);
    } else {
        object->is_proved = true;
        set_shot(object, place->room);
        place->room = NULL;
        place->object = NULL;
        kl_names_join(shelf, object);
        atomic_store(&object->era, kl_shelf_era(shelf));
        link_object(shelf, object);
        *out = kl_slot_publish(object);
    }
    pthread_mutex_unlock(&shelf->lock);
    return KL_OK;
}

enum kl_rc kl_shelf_add_made(struct kl_shelf *shelf, const struct kl_record *record, struct kl_key *key, CK_SESSION_HANDLE owner,
                             CK_OBJECT_HANDLE *out)
{
    struct kl_snapshot *shot = NULL;
    struct kl_object *object = NULL;
    enum kl_rc rc;

    KL_TRY(kl_snapshot_new(record, &shot));
    rc = kl_slot_new(&object);
    if (rc != KL_OK) {
        kl_snapshot_put(shot);
        return rc;
    }
    kl_snapshot_give_key(shot, key);
    object->owner = owner;
    object->is_proved = true;
    set_shot(object, shot);
    pthread_mutex_lock(&shelf->lock);
    link_object(shelf, object);
    *out = kl_slot_publish(object);
    pthread_mutex_unlock(&shelf->lock);
    return KL_OK;
}

enum kl_rc kl_shelf_remove_made(struct kl_shelf *shelf, struct kl_object *object, const struct kl_verdict *verdict)
{
    enum kl_rc rc = KL_OBJECT;

    pthread_mutex_lock(&shelf->lock);
    if (object->is_linked) rc = verdict->of(verdict->user, atomic_load_explicit(&object->shot, memory_order_relaxed));
    if (rc == KL_OK) unlink_object(shelf, object);
    pthread_mutex_unlock(&shelf->lock);
    /* Out of the index nobody finds it any more, and who found it before has it. */
    if (rc == KL_OK)
        kl_slot_kill_held(object);
    else
        kl_slot_put(object);
    return rc;
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
    if (!object->owner) kl_names_join(shelf, object);
    atomic_store(&object->era, kl_shelf_era(shelf));
    link_names(shelf, object);
}

enum kl_rc kl_shelf_change(struct kl_shelf *shelf, struct kl_object *object, const struct kl_snapshot *from, struct kl_place *place,
                           const struct kl_arrival *arrival)
{
    enum kl_rc rc = KL_OK;

    /* not reached: there is room for the record that was drafted. */
    KL_TRY(kl_snapshot_fill(&place->room, place->cap, arrival->record));
    pthread_mutex_lock(&shelf->lock);
    if (!object->owner) notice_own(shelf, arrival->commit);
    if (object->owner && !object->is_linked)
        rc = KL_OBJECT;
    else if (object->owner && object->shot != from)
        rc = KL_CONFLICT;
    /* A search may have met a later state of the row already. */
    else if (object->is_linked && object->shot->generation <= arrival->record->generation)
        put_change(shelf, object, place, arrival);
    pthread_mutex_unlock(&shelf->lock);
    return rc;
}

void kl_shelf_remove(struct kl_shelf *shelf, struct kl_object *object, struct kl_commit commit)
{
    pthread_mutex_lock(&shelf->lock);
    notice_own(shelf, commit);
    kl_shelf_drop(shelf, object);
    pthread_mutex_unlock(&shelf->lock);
}

/* --- eviction --- */

struct evicting {
    struct kl_shelf *shelf;
    enum kl_rc rc;
};

/* Others hold the snapshot and read its key without a lock, so it is replaced, not changed. */
static void evict(void *user, struct kl_object *object)
{
    struct evicting *evicting = user;
    struct kl_extra extras[KL_EXTRAS_MAX];
    struct kl_snapshot *shot = NULL;
    struct kl_record record;

    if (evicting->rc != KL_OK || !object->is_linked || !atomic_load(&object->shot->key)) return;
    kl_snapshot_record(object->shot, &record, extras);
    evicting->rc = kl_snapshot_new(&record, &shot);
    if (evicting->rc != KL_OK) return;
    unlink_names(evicting->shelf, object);
    set_shot(object, shot);
    link_names(evicting->shelf, object);
}

enum kl_rc kl_shelf_evict(struct kl_shelf *shelf, struct kl_object *object)
{
    struct evicting evicting = { shelf, KL_OK };

    pthread_mutex_lock(&shelf->lock);
    if (object)
        evict(&evicting, object);
    else
        kl_index_each(&shelf->rows, evict, &evicting);
    pthread_mutex_unlock(&shelf->lock);
    return evicting.rc;
}
