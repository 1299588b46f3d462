/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A key whose bytes are in memory: counted, immutable, its bytes in the arena. */
#ifndef KL_LADDER_KEY_H
#define KL_LADDER_KEY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/rc.h"
#include "base/secret.h"
#include "crypto/aead.h"
#include "ladder/level.h"
#include "ladder/record.h"

struct kl_key;

/*
 * Gives up one of the references that an object counts; true: it was the last. Who finds that there is but one is its
 * holder, from whom alone others could get theirs, and so has nobody to tell.
 */
static inline bool kl_drop_reference(_Atomic uint32_t *references)
{
    if (atomic_load_explicit(references, memory_order_acquire) == 1) return true;
    return atomic_fetch_sub_explicit(references, 1, memory_order_acq_rel) == 1;
}

struct kl_key *kl_key_get(struct kl_key *key);
/* NULL is allowed. Wipes with the last reference. */
void kl_key_put(struct kl_key *key);

/*
 * A key outside the ladder made of `value` (taken). `generated` says that its bytes were drawn by us, so that it
 * gets a commitment. Used for session keys as they are, and by kl_ladder_add.
 */
KL_MUST_USE enum kl_rc kl_key_new(struct kl_secret *value, uint64_t key_type, bool generated, struct kl_key **out);

enum kl_level kl_key_level(const struct kl_key *key);
uint64_t kl_key_type(const struct kl_key *key);
size_t kl_key_len(const struct kl_key *key);
/* 16 bytes, or an empty view where the key has none. For a REK: its own. */
struct kl_view kl_key_commitment(const struct kl_key *key);
/* What an envelope made with the key carries: its commitment, or for a REK that of the version it was derived from. Empty: the key makes no envelopes. */
struct kl_view kl_key_envelope_id(const struct kl_key *key);

/* The bytes of a free key (never of a ladder key: an empty view). */
struct kl_view kl_key_bytes(const struct kl_key *key);
/*
 * The key to use for a mechanism: a free key's own bytes, or the subkey of a ladder key for exactly
 * this mechanism number (DESIGN 4.3), `len` bytes (a free key must have that length: KL_KEY_SIZE).
 */
KL_MUST_USE enum kl_rc kl_key_for_mechanism(const struct kl_key *key, uint64_t mechanism, size_t len, struct kl_secret *out);
/* The same, straight into a keyed context. */
KL_MUST_USE enum kl_rc kl_key_aead(const struct kl_key *key, uint64_t mechanism, enum kl_engine engine, enum kl_aead_algorithm algorithm,
                                   struct kl_aead **out);
/*
 * The next `count` numbers, from *first on, of a counter that the key has in this process: it begins at a random one, so that processes do
 * not meet (DESIGN 4.4). Another process's copy, in a forked child, begins anew. KL_NO_RANDOM.
 */
KL_MUST_USE enum kl_rc kl_key_count_ivs(struct kl_key *key, uint32_t count, uint64_t *first);
/* In a forked child that goes on with its parent's keys: no counter goes on. */
void kl_key_forked(void);
/* Internal subkeys, "record" and the like: not for mechanisms. */
KL_MUST_USE enum kl_rc kl_key_subkey(const struct kl_key *key, const char *use, struct kl_secret *out);

/* What a derivation asks for. */
struct kl_request {
    uint64_t key_type;
    uint32_t length; /* bytes */
    uint32_t flags;  /* enum kl_flag, complete: usage and the rest */
    bool is_token;
    struct kl_view label;
    struct kl_view key_id; /* data == NULL: token keys get 16 random bytes */
    bool has_salt;
    struct kl_view salt;
    struct kl_view info; /* 1 to 1024 bytes */
    uint8_t start_date[8];
    uint8_t end_date[8];
    const struct kl_extra *extras;
    size_t extra_count;
};

/*
 * A session key (REK) under `parent`: no I/O, the same for the same request for ever. KL_KEY_FUNCTION when the
 * parent cannot have children, KL_PARAMETER (info), KL_KEY_SIZE.
 */
KL_MUST_USE enum kl_rc kl_key_derive(struct kl_key *parent, const struct kl_request *request, struct kl_key **out);

#endif
