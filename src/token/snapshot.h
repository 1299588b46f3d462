/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What a process knows of one object at one time: a record in one small block,
 * immutable but for the opened key that it comes to hold. A process may hold a
 * million of them, so they are packed.
 */
#ifndef KL_TOKEN_SNAPSHOT_H
#define KL_TOKEN_SNAPSHOT_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/rc.h"
#include "ladder/key.h"
#include "ladder/record.h"

struct kl_snapshot {
    _Atomic uint32_t references;
    uint32_t flags;
    _Atomic(struct kl_key *) key; /* NULL until somebody has opened it */
    uint64_t generation;
    uint64_t mechanism;
    int64_t created_at;
    int64_t expires_at;
    uint8_t id[KL_ROW_ID_LEN];
    uint8_t parent[KL_ROW_ID_LEN];
    uint8_t commitment[KL_COMMITMENT_LEN];
    uint32_t version;
    uint32_t value_len;
    uint32_t key_type;
    uint32_t sealed_len;
    uint16_t label_len;
    uint16_t key_id_len;
    uint8_t class;
    uint8_t level;
    uint8_t state;
    uint8_t extra_count;
    bool is_active;
    bool has_commitment;
    bool has_dates;
    uint8_t tail[]; /* label, key id, sealed, [dates], extras as u64 type, u32 length, value */
};

/*
 * Room for the snapshot of an object that is about to be made durable, so that nothing can fail afterwards: enough
 * for `draft` once sealed, with `more` bytes to spare. NULL: no memory. Given back with free() if unused.
 */
struct kl_snapshot *kl_snapshot_room(const struct kl_record *draft, size_t more, size_t *cap);
/* Fills the room and gives back what it did not need; the snapshot has one reference. KL_MEMORY if it is too small. */
KL_MUST_USE enum kl_rc kl_snapshot_fill(struct kl_snapshot **room, size_t cap, const struct kl_record *record);
/* Both, to measure. KL_MEMORY. */
KL_MUST_USE enum kl_rc kl_snapshot_new(const struct kl_record *record, struct kl_snapshot **out);
struct kl_snapshot *kl_snapshot_get(struct kl_snapshot *shot);
/* NULL is allowed. */
void kl_snapshot_put(struct kl_snapshot *shot);

struct kl_view kl_snapshot_label(const struct kl_snapshot *shot);
struct kl_view kl_snapshot_key_id(const struct kl_snapshot *shot);
/* The record, borrowing from the snapshot and `extras`. */
void kl_snapshot_record(const struct kl_snapshot *shot, struct kl_record *record, struct kl_extra extras[KL_EXTRAS_MAX]);

/* The key of a snapshot that nobody else has seen yet; takes the caller's reference. NULL is allowed. */
void kl_snapshot_give_key(struct kl_snapshot *shot, struct kl_key *key);
/* A counted reference to the opened key, or NULL. */
struct kl_key *kl_snapshot_key(struct kl_snapshot *shot);
/* Keeps a reference of its own, unless another thread was quicker. */
void kl_snapshot_keep_key(struct kl_snapshot *shot, struct kl_key *key);

#endif
