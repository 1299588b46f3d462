/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Handles (token/slot.c), what lies behind them (token/snapshot.c) and their indexes (token/index.c). */
#include "token/slot.h"

#include <pthread.h>
#include <stdatomic.h>

#include "../failing.h"
#include "../unit.h"
#include "token/index.h"

enum { MANY = 3000, THREADS = 4, ROUNDS = 20000 };

static struct kl_object *live(CK_OBJECT_HANDLE *handle)
{
    struct kl_object *object = NULL;

    CU_ASSERT_EQUAL_FATAL(kl_slot_new(&object), KL_OK);
    *handle = kl_slot_publish(object);
    return object;
}

/* --- handles --- */

static void a_handle_finds_its_object_and_no_other(void)
{
    CK_OBJECT_HANDLE first, second;
    struct kl_object *a = live(&first), *b = live(&second);

    CU_ASSERT(first != 0 && second != 0 && first != second);
    CU_ASSERT_PTR_EQUAL(kl_slot_get(first), a);
    CU_ASSERT_PTR_EQUAL(kl_slot_get(second), b);
    kl_slot_put(a);
    kl_slot_put(b);
    kl_slot_kill(a);
    kl_slot_kill(b);
}

static void a_handle_is_never_0_and_never_used_again(void)
{
    static CK_OBJECT_HANDLE seen[MANY];

    for (size_t i = 0; i < MANY; i++) {
        struct kl_object *object = live(&seen[i]);

        for (size_t k = i > 40 ? i - 40 : 0; k < i; k++) CU_ASSERT(seen[k] != seen[i]);
        kl_slot_kill(object);
        CU_ASSERT_PTR_NULL(kl_slot_get(seen[i]));
    }
    CU_ASSERT_PTR_NULL(kl_slot_get(0));
    for (size_t i = 0; i < MANY; i++) CU_ASSERT_PTR_NULL(kl_slot_get(seen[i]));
}

static void a_killed_object_stays_for_those_who_hold_it(void)
{
    CK_OBJECT_HANDLE handle, other;
    struct kl_object *object = live(&handle);
    struct kl_object *held = kl_slot_get(handle), *next;

    kl_slot_kill(object);
    CU_ASSERT_FALSE(kl_slot_is_alive(held, handle));
    CU_ASSERT_PTR_NULL(kl_slot_get(handle));
    next = live(&other);
    CU_ASSERT_PTR_NOT_EQUAL(next, held);
    kl_slot_put(held);
    kl_slot_kill(next);
}

static void a_guessed_handle_does_not_find_what_is_on_its_way_out(void)
{
    CK_OBJECT_HANDLE handle;
    struct kl_object *object = live(&handle);
    CK_OBJECT_HANDLE dying = handle + (UINT64_C(1) << KL_SLOT_BITS);

    CU_ASSERT_PTR_NULL(kl_slot_get(dying));
    kl_slot_hold(object);
    kl_slot_kill(object);
    /* The word has that generation now, and a reference. */
    CU_ASSERT_PTR_NULL(kl_slot_get(dying));
    kl_slot_put(object);
}

static void any_number_may_be_looked_at(void)
{
    uint64_t number = 88172645463325252u;

    for (CK_OBJECT_HANDLE handle = 0; handle < 200000; handle++) CU_ASSERT(kl_slot_get(handle) == NULL);
    for (size_t i = 0; i < 200000; i++) {
        number ^= number << 13;
        number ^= number >> 7;
        number ^= number << 17;
        CU_ASSERT(kl_slot_get(number) == NULL);
    }
    CU_ASSERT_PTR_NULL(kl_slot_get((CK_OBJECT_HANDLE)-1));
}

static void a_slot_that_was_not_needed_is_used_for_the_next(void)
{
    struct kl_object *first = NULL, *second = NULL;

    CU_ASSERT_EQUAL_FATAL(kl_slot_new(&first), KL_OK);
    kl_slot_drop(first);
    CU_ASSERT_EQUAL_FATAL(kl_slot_new(&second), KL_OK);
    CU_ASSERT_PTR_EQUAL(first, second);
    kl_slot_drop(second);
    kl_slot_drop(NULL);
}

static void a_slot_that_is_killed_and_given_up_in_one_step_is_gone_and_used_again(void)
{
    CK_OBJECT_HANDLE handle, next;
    struct kl_object *object = live(&handle), *other;

    CU_ASSERT_PTR_EQUAL(kl_slot_get(handle), object);
    kl_slot_kill_held(object);
    CU_ASSERT_PTR_NULL(kl_slot_get(handle));
    other = live(&next);
    CU_ASSERT_PTR_EQUAL(other, object);
    CU_ASSERT_NOT_EQUAL(next, handle);
    /* But not while somebody else has it. */
    kl_slot_hold(other);
    kl_slot_hold(other);
    kl_slot_kill_held(other);
    CU_ASSERT_PTR_NULL(kl_slot_get(next));
    object = live(&handle);
    CU_ASSERT_PTR_NOT_EQUAL(object, other);
    kl_slot_put(other);
    kl_slot_kill(object);
}

static _Atomic CK_OBJECT_HANDLE shared_handle;
static _Atomic bool stop;
static _Atomic int wrong;

static void *look(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        CK_OBJECT_HANDLE handle = atomic_load(&shared_handle);
        struct kl_object *object = kl_slot_get(handle);

        if (!object) continue;
        /* Whatever happens meanwhile, it is the object of that handle. */
        if (object->owner != handle) atomic_fetch_add(&wrong, 1);
        kl_slot_put(object);
    }
    return NULL;
}

static void readers_never_get_the_next_tenant(void)
{
    pthread_t threads[THREADS];

    for (size_t i = 0; i < THREADS; i++) CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, look, NULL), 0);
    for (size_t i = 0; i < ROUNDS; i++) {
        struct kl_object *object = NULL;
        CK_OBJECT_HANDLE handle;

        CU_ASSERT_EQUAL_FATAL(kl_slot_new(&object), KL_OK);
        object->owner = kl_slot_handle(object) + (UINT64_C(1) << KL_SLOT_BITS);
        handle = kl_slot_publish(object);
        if (object->owner != handle) atomic_fetch_add(&wrong, 1);
        atomic_store(&shared_handle, handle);
        kl_slot_kill(object);
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CU_ASSERT_EQUAL(atomic_load(&wrong), 0);
}

static CK_OBJECT_HANDLE parents[64];

static int in_child(void)
{
    kl_slot_abandon();
    for (size_t i = 0; i < 64; i++) UNIT_NEED(kl_slot_get(parents[i]) == NULL);
    for (size_t i = 0; i < 64; i++) {
        struct kl_object *object = NULL;
        CK_OBJECT_HANDLE handle;

        UNIT_NEED(kl_slot_new(&object) == KL_OK);
        handle = kl_slot_publish(object);
        for (size_t k = 0; k < 64; k++) UNIT_NEED(handle != parents[k]);
    }
    for (size_t i = 0; i < 64; i++) UNIT_NEED(kl_slot_get(parents[i]) == NULL);
    return 0;
}

static void a_child_finds_nothing_by_its_parents_handles(void)
{
    struct kl_object *objects[64];

    /* One slot has had many tenants by then, all by the short way. */
    for (size_t i = 0; i < ROUNDS; i++) {
        CK_OBJECT_HANDLE handle;

        kl_slot_kill(live(&handle));
    }
    for (size_t i = 0; i < 64; i++) objects[i] = live(&parents[i]);
    CU_ASSERT_EQUAL(unit_in_child(in_child), 0);
    for (size_t i = 0; i < 64; i++) {
        CU_ASSERT_PTR_EQUAL(kl_slot_get(parents[i]), objects[i]);
        kl_slot_put(objects[i]);
        kl_slot_kill(objects[i]);
    }
}

/* --- snapshots --- */

static struct kl_record full_record(struct kl_extra extras[2])
{
    struct kl_record record = {
        .generation = 7,
        .level = KL_LEVEL_FREE,
        .state = KL_STATE_RETIRING,
        .version = 9,
        .is_active = true,
        .has_commitment = true,
        .class = KL_CLASS_SECRET_KEY,
        .key_type = KL_TYPE_AES,
        .value_len = 32,
        .flags = KL_FLAG_PRIVATE | KL_FLAG_TRUSTED,
        .mechanism = KL_NO_MECHANISM,
        .created_at = -5,
        .expires_at = INT64_C(1) << 40,
        .label = kl_view_text("label"),
        .key_id = kl_view_text("id"),
        .sealed = kl_view_text("sealed bytes"),
        .extras = extras,
        .extra_count = 2,
    };

    memset(record.id, 1, sizeof record.id);
    memset(record.parent, 2, sizeof record.parent);
    memset(record.commitment, 3, sizeof record.commitment);
    memcpy(record.end_date, "20300101", 8);
    extras[0] = (struct kl_extra){ CKA_APPLICATION, kl_view_text("") };
    extras[1] = (struct kl_extra){ KL_EXTRA_INFO, kl_view_text("info") };
    return record;
}

static void a_snapshot_gives_back_the_record_it_was_made_of(void)
{
    struct kl_extra extras[2], back_extras[KL_EXTRAS_MAX];
    struct kl_record record = full_record(extras), back;
    struct kl_snapshot *shot = NULL;

    CU_ASSERT_EQUAL_FATAL(kl_snapshot_new(&record, &shot), KL_OK);
    kl_snapshot_record(shot, &back, back_extras);
    CU_ASSERT(memcmp(back.id, record.id, 16) == 0 && memcmp(back.parent, record.parent, 16) == 0);
    CU_ASSERT(back.generation == 7 && back.version == 9 && back.level == KL_LEVEL_FREE && back.state == KL_STATE_RETIRING);
    CU_ASSERT(back.is_active && back.has_commitment && memcmp(back.commitment, record.commitment, 16) == 0);
    CU_ASSERT(back.class == record.class && back.key_type == record.key_type && back.value_len == 32 && back.flags == record.flags);
    CU_ASSERT(back.mechanism == KL_NO_MECHANISM && back.created_at == -5 && back.expires_at == record.expires_at);
    CU_ASSERT(memcmp(back.end_date, "20300101", 8) == 0 && back.start_date[0] == 0);
    CU_ASSERT(kl_view_is(back.label, record.label) && kl_view_is(back.key_id, record.key_id) && kl_view_is(back.sealed, record.sealed));
    CU_ASSERT_EQUAL(back.extra_count, 2);
    CU_ASSERT(kl_view_is(kl_record_extra(&back, KL_EXTRA_INFO), kl_view_text("info")));
    CU_ASSERT(kl_record_extra(&back, CKA_APPLICATION).data != NULL && kl_record_extra(&back, CKA_APPLICATION).len == 0);
    kl_snapshot_put(shot);
}

static void room_that_is_too_small_is_not_overrun(void)
{
    struct kl_extra extras[2];
    struct kl_record record = full_record(extras);
    size_t cap = 0;
    struct kl_snapshot *room = kl_snapshot_room(&record, 0, &cap);

    CU_ASSERT_PTR_NOT_NULL_FATAL(room);
    record.label = kl_view_text("a longer label than there was room for");
    CU_ASSERT_EQUAL(kl_snapshot_fill(&room, cap, &record), KL_MEMORY);
    record.label = kl_view_text("label");
    record.sealed.len = (size_t)UINT32_MAX + 1;
    CU_ASSERT_EQUAL(kl_snapshot_fill(&room, cap, &record), KL_MEMORY);
    free(room);
}

static void a_snapshot_keeps_the_first_key_it_is_given(void)
{
    struct kl_extra extras[2];
    struct kl_record record = full_record(extras);
    struct kl_snapshot *shot = NULL;
    struct kl_secret values[2] = { { 0 }, { 0 } };
    struct kl_key *keys[2] = { NULL, NULL }, *got;

    for (size_t i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL_FATAL(kl_secret_new(&values[i], 32), KL_OK);
        CU_ASSERT_EQUAL_FATAL(kl_key_new(&values[i], KL_TYPE_AES, false, &keys[i]), KL_OK);
    }
    CU_ASSERT_EQUAL_FATAL(kl_snapshot_new(&record, &shot), KL_OK);
    CU_ASSERT_PTR_NULL(kl_snapshot_key(shot));
    kl_snapshot_keep_key(shot, NULL);
    kl_snapshot_keep_key(shot, keys[0]);
    kl_snapshot_keep_key(shot, keys[1]);
    got = kl_snapshot_key(shot);
    CU_ASSERT_PTR_EQUAL(got, keys[0]);
    kl_key_put(got);
    kl_key_put(keys[0]);
    kl_key_put(keys[1]);
    kl_snapshot_put(shot);
}

/* --- indexes --- */

static struct kl_view by_owner(const struct kl_object *object)
{
    return kl_view_of(&object->owner, sizeof object->owner);
}

static size_t count_of(const struct kl_index *index, CK_SESSION_HANDLE owner)
{
    struct kl_view key = kl_view_of(&owner, sizeof owner);
    size_t count = 0;

    for (struct kl_object *object = kl_index_first(index, key); object; object = kl_index_next(index, object, key)) {
        CU_ASSERT_EQUAL(object->owner, owner);
        count++;
    }
    return count;
}

static void drop_odd(void *user, struct kl_object *object)
{
    if (object->owner % 2) kl_index_remove(user, object);
}

static void an_index_finds_all_under_a_key_while_it_grows_and_shrinks(void)
{
    static struct kl_object *objects[MANY];
    struct kl_index index;

    CU_ASSERT_EQUAL_FATAL(kl_index_init(&index, KL_CHAIN_ROW, by_owner, 12345), KL_OK);
    for (size_t i = 0; i < MANY; i++) {
        CU_ASSERT_EQUAL_FATAL(kl_slot_new(&objects[i]), KL_OK);
        objects[i]->owner = i / 3;
        kl_index_add(&index, objects[i]);
    }
    CU_ASSERT(index.mask + 1 >= MANY / 2);
    for (CK_SESSION_HANDLE owner = 0; owner < MANY / 3; owner++) CU_ASSERT_EQUAL(count_of(&index, owner), 3);
    CU_ASSERT_EQUAL(count_of(&index, MANY), 0);
    for (size_t i = 0; i < MANY; i += 3) kl_index_remove(&index, objects[i]);
    for (CK_SESSION_HANDLE owner = 0; owner < MANY / 3; owner++) CU_ASSERT_EQUAL(count_of(&index, owner), 2);
    kl_index_each(&index, drop_odd, &index);
    for (CK_SESSION_HANDLE owner = 0; owner < MANY / 3; owner++) CU_ASSERT_EQUAL(count_of(&index, owner), owner % 2 ? 0 : 2);
    kl_index_clear(&index);
    for (size_t i = 0; i < MANY; i++) kl_slot_drop(objects[i]);
}

static void keys_that_differ_in_length_or_last_byte_lie_apart(void)
{
    CU_ASSERT(kl_index_hash(1, kl_view_text("users")) != kl_index_hash(1, kl_view_text("user")));
    CU_ASSERT(kl_index_hash(1, kl_view_text("users")) != kl_index_hash(2, kl_view_text("users")));
    CU_ASSERT(kl_index_hash(1, kl_view_of("a\0", 2)) != kl_index_hash(1, kl_view_of("a", 1)));
    CU_ASSERT(kl_index_hash(1, kl_view_of("12345678a", 9)) != kl_index_hash(1, kl_view_of("12345678b", 9)));
}

static void a_record_that_fits_no_snapshot_is_refused(void)
{
    static const uint8_t bytes[KL_ROW_LABEL_MAX + 1];
    struct kl_extra extras[2];
    struct kl_record records[4];
    struct kl_snapshot *shot = NULL;

    for (size_t i = 0; i < 4; i++) records[i] = full_record(extras);
    records[0].label = kl_view_of(bytes, sizeof bytes);
    records[1].key_id = kl_view_of(bytes, KL_ROW_KEY_ID_MAX + 1);
    records[2].key_type = UINT64_C(1) << 32;
    for (size_t i = 0; i < 3; i++) CU_ASSERT_EQUAL(kl_snapshot_new(&records[i], &shot), KL_MEMORY);
    CU_ASSERT_PTR_NULL(shot);
    CU_ASSERT_EQUAL(kl_snapshot_new(&records[3], &shot), KL_OK);
    kl_snapshot_put(shot);
}

/* Slots come by the thousand; the memory for the next thousand is not to be had. */
static void without_memory_there_is_no_slot_and_the_next_try_gets_it(void)
{
    static struct kl_object *objects[MANY + 2048];
    size_t count = 0;
    enum kl_rc rc = KL_OK;

    for (; rc == KL_OK && count < MANY + 2048; count++) {
        failing_memory(1);
        rc = kl_slot_new(&objects[count]);
        failing_memory(0);
    }
    CU_ASSERT_EQUAL(rc, KL_MEMORY);
    CU_ASSERT_EQUAL_FATAL(kl_slot_new(&objects[count - 1]), KL_OK);
    while (count > 0) kl_slot_drop(objects[--count]);
}

UNIT_MAIN("token/slot", UNIT(any_number_may_be_looked_at), UNIT(a_handle_finds_its_object_and_no_other),
          UNIT(a_handle_is_never_0_and_never_used_again), UNIT(a_killed_object_stays_for_those_who_hold_it),
          UNIT(a_guessed_handle_does_not_find_what_is_on_its_way_out), UNIT(a_slot_that_was_not_needed_is_used_for_the_next),
          UNIT(a_slot_that_is_killed_and_given_up_in_one_step_is_gone_and_used_again), UNIT(readers_never_get_the_next_tenant),
          UNIT(a_child_finds_nothing_by_its_parents_handles), UNIT(a_snapshot_gives_back_the_record_it_was_made_of),
          UNIT(room_that_is_too_small_is_not_overrun), UNIT(a_snapshot_keeps_the_first_key_it_is_given),
          UNIT(an_index_finds_all_under_a_key_while_it_grows_and_shrinks), UNIT(keys_that_differ_in_length_or_last_byte_lie_apart),
          UNIT(a_record_that_fits_no_snapshot_is_refused), UNIT(without_memory_there_is_no_slot_and_the_next_try_gets_it))
