/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Handles. Objects lie in the slots of a table whose memory is never given
 * back while the process lives, so that any number a caller brings can be
 * looked at safely. A slot's one word holds a generation (40 bits, even while
 * the object lives, odd when it is gone) and the references to it (24 bits); a handle is
 * generation << 24 | slot + 1: never 0, never used again.
 */
#ifndef KL_TOKEN_SLOT_H
#define KL_TOKEN_SLOT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/rc.h"
#include "keyladder/pkcs11.h"
#include "token/snapshot.h"

struct kl_token;

/* A place in a chain of an index: slot numbers + 1, 0 is none. */
struct kl_link {
    uint32_t previous;
    uint32_t next;
};
enum kl_chain { KL_CHAIN_ROW, KL_CHAIN_LABEL, KL_CHAIN_KEY_ID, KL_CHAINS };

/* The owner of what stands on every token, without being stored there: no session has this handle. */
#define KL_OWNER_TOKEN ((CK_SESSION_HANDLE)-1)

struct kl_object {
    _Atomic uint64_t word;
    struct kl_token *token;
    CK_SESSION_HANDLE owner;            /* the session that it dies with; 0: a stored object; or KL_OWNER_TOKEN */
    _Atomic(struct kl_snapshot *) shot; /* changes under the shelf's lock */
    _Atomic uint32_t era;               /* of the shelf, in which the row was last known to be as in `shot` */
    uint32_t label_era;                 /* in which every object of this label was in the index */
    uint32_t key_id_era;
    uint32_t number;
    _Atomic bool is_private;
    bool is_proved; /* its row was read authenticated */
    bool is_linked;
    struct kl_link links[KL_CHAINS];
};

#define KL_SLOT_BITS 24
#define KL_SLOT_MASK ((UINT64_C(1) << KL_SLOT_BITS) - 1)

/* A slot that no handle names yet. KL_MEMORY. kl_slot_drop gives it back unused. */
KL_MUST_USE enum kl_rc kl_slot_new(struct kl_object **out);
void kl_slot_drop(struct kl_object *object);
/* From now on its handle finds it; the table holds one reference. */
CK_OBJECT_HANDLE kl_slot_publish(struct kl_object *object);
CK_OBJECT_HANDLE kl_slot_handle(const struct kl_object *object);
/* The handle is dead at once; the memory goes back with the last reference. */
void kl_slot_kill(struct kl_object *object);
/* The same, and gives up a reference of the caller's. */
void kl_slot_kill_held(struct kl_object *object);

/* Counted, or NULL. */
struct kl_object *kl_slot_get(CK_OBJECT_HANDLE handle);
void kl_slot_hold(struct kl_object *object);
void kl_slot_put(struct kl_object *object);
/* For the indexes: `number` is one that a link holds. */
struct kl_object *kl_slot_at(uint32_t number);
/* In a forked child: leaves the parent's table alone and begins another. */
void kl_slot_abandon(void);
/* For who forks (base/fork.h). */
pthread_mutex_t *kl_slot_lock(void);

/* CKA_TOKEN. */
static inline bool kl_object_is_token(const struct kl_object *object)
{
    return object->owner == 0 || object->owner == KL_OWNER_TOKEN;
}

/* One load. */
static inline bool kl_slot_is_alive(const struct kl_object *object, CK_OBJECT_HANDLE handle)
{
    return atomic_load_explicit(&object->word, memory_order_acquire) >> KL_SLOT_BITS == handle >> KL_SLOT_BITS;
}

#endif
