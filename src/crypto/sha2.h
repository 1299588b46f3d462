/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A SHA-2 message under way, in the caller's memory. For the files of this room alone.
 *
 * It is made in one of two ways. `direct` calls the code that OpenSSL's default provider itself runs, by the functions that
 * OpenSSL has for it since before there were providers: the state has no pointer in it, so that it may lie in the arena and
 * is copied as bytes; it cannot fail, asks for no memory, and opens no library context. What is passed by is the choice
 * among providers, and that choice is ours: the room's private context has the default provider and no other. Where SHA-2
 * has to be that of a validated module (`fips = yes`) EVP alone leads to it: that is `provided`, which also serves where
 * OpenSSL was built without the other.
 */
#ifndef KL_CRYPTO_SHA2_H
#define KL_CRYPTO_SHA2_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/rc.h"
#include "crypto/hash.h"

#define KL_SHA2_BLOCK_MAX 128
#define KL_SHA2_ROOM 216

struct kl_sha2_ops;

struct kl_sha2 {
    const struct kl_sha2_ops *ops; /* NULL: blank */
    enum kl_hash hash;
    union {
        _Alignas(16) uint8_t bytes[KL_SHA2_ROOM];
        void *context;
    } room;
};

/* Failures are said. What has failed can be begun anew, or dropped. */
struct kl_sha2_ops {
    /* With or without a message before; its hash is known. */
    enum kl_rc (*begin)(struct kl_sha2 *state);
    enum kl_rc (*update)(struct kl_sha2 *state, struct kl_view in);
    enum kl_rc (*finish)(struct kl_sha2 *state, uint8_t *out);
    /* `to` is of the same ops and hash, with or without a message. */
    enum kl_rc (*copy)(struct kl_sha2 *to, const struct kl_sha2 *from);
    /* Gives back what lies elsewhere, wiped. NULL: nothing does. */
    void (*drop)(struct kl_sha2 *state);
};

/* NULL where OpenSSL was built without it. */
const struct kl_sha2_ops *kl_sha2_direct(enum kl_hash hash);
extern const struct kl_sha2_ops kl_sha2_provided;

/* Bytes that a hash takes in at a time, the B of RFC 2104. */
size_t kl_sha2_block(enum kl_hash hash);

/* Of memory with anything in it. What is zero is blank. */
static inline void kl_sha2_blank(struct kl_sha2 *state)
{
    state->ops = NULL;
    state->room.context = NULL;
}

/* Begins a message; at any time, with the state's one hash. KL_CRYPTO. */
KL_MUST_USE enum kl_rc kl_sha2_begin(struct kl_sha2 *state, enum kl_hash hash);
KL_MUST_USE enum kl_rc kl_sha2_update(struct kl_sha2 *state, struct kl_view in);
/* kl_hash_len bytes; the message is over. The output may lie over what was hashed. */
KL_MUST_USE enum kl_rc kl_sha2_finish(struct kl_sha2 *state, uint8_t *out);
/* `to` goes on as `from` would; it is blank, or had a copy from such a state before. KL_CRYPTO. */
KL_MUST_USE enum kl_rc kl_sha2_copy(struct kl_sha2 *to, const struct kl_sha2 *from);
/* Gives back, wiped, what lies elsewhere: it is blank. The memory that it lies in its owner wipes, at one time with all that is there. */
void kl_sha2_drop(struct kl_sha2 *state);

#endif
