/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/index.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE 64u

uint64_t kl_index_hash(uint64_t seed, struct kl_view key)
{
    uint64_t hash = seed ^ (key.len * UINT64_C(0x9E3779B97F4A7C15));
    size_t at = 0;

    while (at < key.len) {
        uint64_t word = 0;
        size_t step = key.len - at < sizeof word ? key.len - at : sizeof word;

        memcpy(&word, key.data + at, step);
        hash = (hash ^ word) * UINT64_C(0xD6E8FEB86659FD93);
        hash ^= hash >> 32;
        at += step;
    }
    hash *= UINT64_C(0xD6E8FEB86659FD93);
    return hash ^ (hash >> 32);
}

enum kl_rc kl_index_init(struct kl_index *index, enum kl_chain chain, struct kl_view (*key)(const struct kl_object *), uint64_t seed)
{
    *index = (struct kl_index){ .chain = chain, .key = key, .seed = seed, .mask = FIRST_SIZE - 1 };
    index->heads = calloc(FIRST_SIZE, sizeof *index->heads);
    KL_CHECK(index->heads, KL_MEMORY);
    return KL_OK;
}

void kl_index_clear(struct kl_index *index)
{
    free(index->heads);
    index->heads = NULL;
    index->count = 0;
}

static uint32_t *head(const struct kl_index *index, struct kl_view key)
{
    return &index->heads[kl_index_hash(index->seed, key) & index->mask];
}

static struct kl_object *object_of(uint32_t reference)
{
    return reference ? kl_slot_at(reference - 1) : NULL;
}

static void push(const struct kl_index *index, struct kl_object *object)
{
    uint32_t *first = head(index, index->key(object));
    struct kl_object *next = object_of(*first);

    object->links[index->chain] = (struct kl_link){ .previous = 0, .next = *first };
    if (next) next->links[index->chain].previous = object->number + 1;
    *first = object->number + 1;
}

static void grow(struct kl_index *index)
{
    size_t size = (size_t)index->mask + 1;
    uint32_t *heads = calloc(size * 2, sizeof *heads);
    uint32_t *before = index->heads;

    if (!heads) return;
    index->heads = heads;
    index->mask = index->mask * 2 + 1;
    for (size_t i = 0; i < size; i++) {
        struct kl_object *object = object_of(before[i]);

        while (object) {
            struct kl_object *next = object_of(object->links[index->chain].next);

            push(index, object);
            object = next;
        }
    }
    free(before);
}

void kl_index_add(struct kl_index *index, struct kl_object *object)
{
    if (index->count > index->mask && index->mask < UINT32_MAX / 4) grow(index);
    push(index, object);
    index->count++;
}

void kl_index_remove(struct kl_index *index, struct kl_object *object)
{
    struct kl_link *link = &object->links[index->chain];
    struct kl_object *previous = object_of(link->previous);
    struct kl_object *next = object_of(link->next);

    if (previous)
        previous->links[index->chain].next = link->next;
    else
        *head(index, index->key(object)) = link->next;
    if (next) next->links[index->chain].previous = link->previous;
    *link = (struct kl_link){ 0, 0 };
    index->count--;
}

static struct kl_object *matching(const struct kl_index *index, struct kl_object *object, struct kl_view key)
{
    while (object && !kl_view_is(index->key(object), key)) object = object_of(object->links[index->chain].next);
    return object;
}

struct kl_object *kl_index_first(const struct kl_index *index, struct kl_view key)
{
    return matching(index, object_of(*head(index, key)), key);
}

struct kl_object *kl_index_next(const struct kl_index *index, const struct kl_object *object, struct kl_view key)
{
    return matching(index, object_of(object->links[index->chain].next), key);
}

void kl_index_each(struct kl_index *index, void (*each)(void *user, struct kl_object *object), void *user)
{
    for (size_t i = 0; i <= index->mask; i++) {
        struct kl_object *object = object_of(index->heads[i]);

        while (object) {
            struct kl_object *next = object_of(object->links[index->chain].next);

            each(user, object);
            object = next;
        }
    }
}
