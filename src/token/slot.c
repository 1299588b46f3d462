/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/slot.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENT 1024u
#define SEGMENTS ((1u << KL_SLOT_BITS) / SEGMENT)
#define SLOTS (SEGMENT * SEGMENTS - 1) /* slot + 1 has to fit */
#define GENERATION_MAX ((UINT64_C(1) << 40) - 4)

_Static_assert(sizeof(CK_OBJECT_HANDLE) == sizeof(uint64_t), "a handle has 64 bits");

static _Atomic(struct kl_object *) segments[SEGMENTS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t used;             /* slots that have ever been handed out */
static uint32_t first_free;       /* number + 1, chained by links[0].next */
static uint64_t first_generation; /* of slots that are new */

/* The last slot that was given back, so that objects that come and go take no lock; NULL: it is in use again. */
static _Atomic(struct kl_object *) spare;
/* No slot that was used has a higher generation. Raised by many at a time, since it is all the slots' own. */
static _Atomic uint64_t highest_generation;
#define RAISE 4096

static struct kl_object *slot_at(uint32_t number)
{
    struct kl_object *segment = atomic_load_explicit(&segments[number / SEGMENT], memory_order_acquire);

    return segment ? &segment[number % SEGMENT] : NULL;
}

struct kl_object *kl_slot_at(uint32_t number)
{
    return slot_at(number);
}

static enum kl_rc add_segment(uint32_t number)
{
    struct kl_object *segment = calloc(SEGMENT, sizeof *segment);

    KL_CHECK(segment, KL_MEMORY);
    for (uint32_t i = 0; i < SEGMENT; i++) {
        /* Odd: nothing lives here. */
        atomic_init(&segment[i].word, (first_generation + 1) << KL_SLOT_BITS);
        segment[i].number = number + i;
    }
    atomic_store_explicit(&segments[number / SEGMENT], segment, memory_order_release);
    return KL_OK;
}

static enum kl_rc take_slot(struct kl_object **out)
{
    struct kl_object *object = first_free ? slot_at(first_free - 1) : NULL;

    if (object) {
        first_free = object->links[0].next;
        *out = object;
        return KL_OK;
    }
    /* not reached: no test makes 16 million objects. */
    KL_CHECK(used < SLOTS, KL_MEMORY);
    if (used % SEGMENT == 0) KL_TRY(add_segment(used));
    *out = slot_at(used++);
    return KL_OK;
}

static uint64_t generation_of(const struct kl_object *object)
{
    return atomic_load_explicit(&object->word, memory_order_relaxed) >> KL_SLOT_BITS;
}

static void clear(struct kl_object *object)
{
    object->token = NULL;
    object->owner = 0;
    atomic_store_explicit(&object->shot, NULL, memory_order_relaxed);
    atomic_store_explicit(&object->era, 0, memory_order_relaxed);
    object->label_era = 0;
    object->key_id_era = 0;
    atomic_store_explicit(&object->is_private, false, memory_order_relaxed);
    object->is_proved = false;
    object->is_linked = false;
    memset(object->links, 0, sizeof object->links);
}

static struct kl_object *take_spare(void)
{
    if (!atomic_load_explicit(&spare, memory_order_relaxed)) return NULL;
    return atomic_exchange_explicit(&spare, NULL, memory_order_acquire);
}

static bool keep_as_spare(struct kl_object *object)
{
    struct kl_object *none = NULL;

    if (atomic_load_explicit(&spare, memory_order_relaxed)) return false;
    return atomic_compare_exchange_strong_explicit(&spare, &none, object, memory_order_release, memory_order_relaxed);
}

static void give_slot(struct kl_object *object)
{
    if (keep_as_spare(object)) return;
    pthread_mutex_lock(&lock);
    object->links[0].next = first_free;
    first_free = object->number + 1;
    pthread_mutex_unlock(&lock);
}

enum kl_rc kl_slot_new(struct kl_object **out)
{
    struct kl_object *object = take_spare();
    enum kl_rc rc = KL_OK;

    if (!object) {
        pthread_mutex_lock(&lock);
        rc = take_slot(&object);
        pthread_mutex_unlock(&lock);
    }
    if (!object) return rc;
    clear(object);
    *out = object;
    return KL_OK;
}

void kl_slot_drop(struct kl_object *object)
{
    uint64_t highest = atomic_load_explicit(&highest_generation, memory_order_relaxed);
    uint64_t generation;

    if (!object) return;
    generation = generation_of(object);
    kl_snapshot_put(atomic_load_explicit(&object->shot, memory_order_relaxed));
    atomic_store_explicit(&object->shot, NULL, memory_order_relaxed);
    object->token = NULL;
    while (generation > highest)
        if (atomic_compare_exchange_weak(&highest_generation, &highest, generation + RAISE)) break;
    /* A slot whose generations are used up is never handed out again. */
    if (generation < GENERATION_MAX) give_slot(object);
}

CK_OBJECT_HANDLE kl_slot_publish(struct kl_object *object)
{
    uint64_t generation = generation_of(object) + 1;

    atomic_store_explicit(&object->word, generation << KL_SLOT_BITS | 1, memory_order_release);
    return generation << KL_SLOT_BITS | (object->number + 1);
}

CK_OBJECT_HANDLE kl_slot_handle(const struct kl_object *object)
{
    return generation_of(object) << KL_SLOT_BITS | (object->number + 1);
}

void kl_slot_kill(struct kl_object *object)
{
    uint64_t step = UINT64_C(1) << KL_SLOT_BITS;
    uint64_t before = atomic_fetch_add_explicit(&object->word, step - 1, memory_order_acq_rel);

    if ((before & KL_SLOT_MASK) == 1) kl_slot_drop(object);
}

void kl_slot_kill_held(struct kl_object *object)
{
    uint64_t step = UINT64_C(1) << KL_SLOT_BITS;
    uint64_t before = atomic_fetch_add_explicit(&object->word, step - 2, memory_order_acq_rel);

    if ((before & KL_SLOT_MASK) == 2) kl_slot_drop(object);
}

struct kl_object *kl_slot_get(CK_OBJECT_HANDLE handle)
{
    uint32_t number = (uint32_t)(handle & KL_SLOT_MASK);
    struct kl_object *object = number ? slot_at(number - 1) : NULL;
    uint64_t generation = handle >> KL_SLOT_BITS;
    uint64_t word;

    /* Odd generations are between two objects. */
    if (!object || generation % 2) return NULL;
    word = atomic_load_explicit(&object->word, memory_order_relaxed);
    do {
        if (word >> KL_SLOT_BITS != generation || (word & KL_SLOT_MASK) == 0 || (word & KL_SLOT_MASK) == KL_SLOT_MASK) return NULL;
    } while (!atomic_compare_exchange_weak_explicit(&object->word, &word, word + 1, memory_order_acq_rel, memory_order_relaxed));
    return object;
}

void kl_slot_hold(struct kl_object *object)
{
    atomic_fetch_add_explicit(&object->word, 1, memory_order_relaxed);
}

void kl_slot_put(struct kl_object *object)
{
    uint64_t before;

    if (!object) return;
    before = atomic_fetch_sub_explicit(&object->word, 1, memory_order_acq_rel);
    if ((before & KL_SLOT_MASK) == 1) kl_slot_drop(object);
}

pthread_mutex_t *kl_slot_lock(void)
{
    return &lock;
}

void kl_slot_abandon(void)
{
    pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
    uint64_t noted = atomic_load(&highest_generation);
    uint64_t highest = noted > first_generation ? noted : first_generation + 1;

    /* What lives in the parent is at most one generation beyond the highest that lay unused. */
    first_generation = highest + 1;
    for (uint32_t i = 0; i < SEGMENTS; i++) {
        if (!atomic_load(&segments[i])) break;
        atomic_store(&segments[i], NULL);
    }
    used = 0;
    first_free = 0;
    atomic_store(&spare, NULL);
    memcpy(&lock, &fresh, sizeof lock);
}
