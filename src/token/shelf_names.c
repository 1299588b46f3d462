/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Of which labels and CKA_IDs the shelf has every object, and which nothing has. */
#include <string.h>

#include "token/shelf_inner.h"

static struct kl_absent *absent_at(struct kl_shelf *shelf, enum kl_chain chain, struct kl_view value)
{
    return &shelf->absent[kl_index_hash(shelf->seed + chain, value) % KL_ABSENT_COUNT];
}

static bool is_absent(struct kl_shelf *shelf, enum kl_chain chain, struct kl_view value)
{
    const struct kl_absent *entry = absent_at(shelf, chain, value);

    return entry->era == kl_shelf_era(shelf) && entry->chain == chain && kl_view_is(kl_view_of(entry->text, entry->len), value);
}

static void note_absent(struct kl_shelf *shelf, enum kl_chain chain, struct kl_view value)
{
    struct kl_absent *entry = absent_at(shelf, chain, value);

    if (value.len > KL_ABSENT_TEXT) return;
    entry->era = kl_shelf_era(shelf);
    entry->chain = (uint8_t)chain;
    entry->len = (uint8_t)value.len;
    memcpy(entry->text, value.data, value.len);
}

/* --- sets of objects under one label or CKA_ID --- */

struct kl_index *kl_names_index(struct kl_shelf *shelf, enum kl_chain chain)
{
    return chain == KL_CHAIN_LABEL ? &shelf->labels : &shelf->key_ids;
}

static uint32_t *set_era(struct kl_object *object, enum kl_chain chain)
{
    return chain == KL_CHAIN_LABEL ? &object->label_era : &object->key_id_era;
}

bool kl_names_are_known(struct kl_shelf *shelf, enum kl_chain chain, struct kl_view value)
{
    const struct kl_index *index = kl_names_index(shelf, chain);
    uint32_t era = kl_shelf_era(shelf);
    struct kl_object *object = kl_index_first(index, value);

    if (shelf->all_era == era || is_absent(shelf, chain, value)) return true;
    while (object) {
        if (!object->owner && *set_era(object, chain) == era) return true;
        object = kl_index_next(index, object, value);
    }
    return false;
}

void kl_names_note_known(struct kl_shelf *shelf, enum kl_chain chain, struct kl_view value)
{
    const struct kl_index *index = kl_names_index(shelf, chain);
    struct kl_object *object = kl_index_first(index, value);
    uint32_t era = kl_shelf_era(shelf);
    bool is_there = false;

    while (object) {
        struct kl_object *next = kl_index_next(index, object, value);

        if (!object->owner && atomic_load(&object->era) != era) {
            kl_shelf_drop(shelf, object);
        } else if (!object->owner) {
            *set_era(object, chain) = era;
            is_there = true;
        }
        object = next;
    }
    if (!is_there) note_absent(shelf, chain, value);
}

static void join_set(struct kl_shelf *shelf, enum kl_chain chain, struct kl_object *object, struct kl_view value)
{
    if (value.len == 0) return;
    *set_era(object, chain) = kl_names_are_known(shelf, chain, value) ? kl_shelf_era(shelf) : 0;
    if (is_absent(shelf, chain, value)) absent_at(shelf, chain, value)->era = 0;
}

void kl_names_join(struct kl_shelf *shelf, struct kl_object *object)
{
    join_set(shelf, KL_CHAIN_LABEL, object, kl_snapshot_label(object->shot));
    join_set(shelf, KL_CHAIN_KEY_ID, object, kl_snapshot_key_id(object->shot));
}
