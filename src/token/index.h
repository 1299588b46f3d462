/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A hash table of objects, chained through the objects themselves; it never fails to take one. Its owner's lock is held. */
#ifndef KL_TOKEN_INDEX_H
#define KL_TOKEN_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/rc.h"
#include "token/slot.h"

struct kl_index {
    enum kl_chain chain;                             /* the link that it uses */
    struct kl_view (*key)(const struct kl_object *); /* what an object stands under */
    uint64_t seed;                                   /* so that nobody can choose labels that collide */
    uint32_t *heads;                                 /* slot numbers + 1 */
    uint32_t mask;
    uint32_t count;
};

/* KL_MEMORY. */
KL_MUST_USE enum kl_rc kl_index_init(struct kl_index *index, enum kl_chain chain, struct kl_view (*key)(const struct kl_object *),
                                     uint64_t seed);
void kl_index_clear(struct kl_index *index);
/* Grows when it can; where it cannot, chains get longer. */
void kl_index_add(struct kl_index *index, struct kl_object *object);
void kl_index_remove(struct kl_index *index, struct kl_object *object);
/* The first and the next object that stands under `key`; NULL at the end. */
struct kl_object *kl_index_first(const struct kl_index *index, struct kl_view key);
struct kl_object *kl_index_next(const struct kl_index *index, const struct kl_object *object, struct kl_view key);
/* Calls back for every object; an object may be removed in its own call. */
void kl_index_each(struct kl_index *index, void (*each)(void *user, struct kl_object *object), void *user);
uint64_t kl_index_hash(uint64_t seed, struct kl_view key);

#endif
