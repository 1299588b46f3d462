/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Ladder keys that this process has opened: a hash table by row id, open addressing, never more than half full. */
#include "ladder/internal.h"

#include <stdlib.h>
#include <string.h>

struct kl_held {
    uint8_t id[KL_ROW_ID_LEN];
    struct kl_key *key;
};

#define FIRST_ROOM 64

/* Row ids are random, so their own bytes are the hash. */
static size_t place(const struct kl_held *held, size_t room, const uint8_t id[KL_ROW_ID_LEN])
{
    size_t at;

    memcpy(&at, id, sizeof(at));
    for (at &= room - 1; held[at].key && memcmp(held[at].id, id, KL_ROW_ID_LEN) != 0; at = (at + 1) & (room - 1)) continue;
    return at;
}

struct kl_key *kl_held_find(struct kl_ladder *ladder, const uint8_t id[KL_ROW_ID_LEN])
{
    struct kl_key *key;

    if (!ladder->held_room) return NULL;
    key = ladder->held[place(ladder->held, ladder->held_room, id)].key;
    return key ? kl_key_get(key) : NULL;
}

static bool grow(struct kl_ladder *ladder)
{
    size_t room = ladder->held_room ? ladder->held_room * 2 : FIRST_ROOM;
    struct kl_held *held = calloc(room, sizeof(*held));

    if (!held) return false;
    for (size_t i = 0; i < ladder->held_room; i++) {
        if (ladder->held[i].key) held[place(held, room, ladder->held[i].id)] = ladder->held[i];
    }
    free(ladder->held);
    ladder->held = held;
    ladder->held_room = room;
    return true;
}

void kl_held_add(struct kl_ladder *ladder, const uint8_t id[KL_ROW_ID_LEN], struct kl_key *key)
{
    struct kl_held *entry;

    if ((ladder->held_count + 1) * 2 > ladder->held_room && !grow(ladder)) return;
    entry = &ladder->held[place(ladder->held, ladder->held_room, id)];
    if (entry->key)
        kl_key_put(entry->key);
    else
        ladder->held_count++;
    memcpy(entry->id, id, KL_ROW_ID_LEN);
    entry->key = kl_key_get(key);
}

void kl_held_drop(struct kl_ladder *ladder, const uint8_t id[KL_ROW_ID_LEN])
{
    size_t mask = ladder->held_room - 1;
    size_t at;

    if (!ladder->held_room) return;
    at = place(ladder->held, ladder->held_room, id);
    if (!ladder->held[at].key) return;
    kl_key_put(ladder->held[at].key);
    ladder->held[at].key = NULL;
    ladder->held_count--;
    /* What stands behind it may have been looking for its place. */
    for (at = (at + 1) & mask; ladder->held[at].key; at = (at + 1) & mask) {
        struct kl_held moved = ladder->held[at];

        ladder->held[at].key = NULL;
        ladder->held[place(ladder->held, ladder->held_room, moved.id)] = moved;
    }
}

void kl_held_drop_all(struct kl_ladder *ladder)
{
    for (size_t i = 0; i < ladder->held_room; i++) kl_key_put(ladder->held[i].key);
    free(ladder->held);
    ladder->held = NULL;
    ladder->held_count = 0;
    ladder->held_room = 0;
}
