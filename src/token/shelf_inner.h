/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the files of the shelf share: shelf.c keeps objects, shelf_names.c knows which are all of a name, shelf_look.c searches. */
#ifndef KL_TOKEN_SHELF_INNER_H
#define KL_TOKEN_SHELF_INNER_H

#include <pthread.h>
#include <stdatomic.h>

#include "token/index.h"
#include "token/shelf.h"

#define KL_ABSENT_COUNT 256u
#define KL_ABSENT_TEXT 40

/* A label or CKA_ID that nothing on the token had. */
struct kl_absent {
    uint32_t era;
    uint8_t chain;
    uint8_t len;
    uint8_t text[KL_ABSENT_TEXT];
};

struct kl_shelf {
    struct kl_token *token;
    pthread_mutex_t lock;   /* everything below, and the snapshots and links of the objects */
    _Atomic uint32_t era;   /* never 0 */
    _Atomic int64_t second; /* in which the mark was last looked at */
    uint64_t mark;          /* the store's, for which the era's knowledge holds */
    _Atomic CK_ULONG login_epoch;
    uint32_t all_era; /* in which everything on the token was in the index */
    uint64_t seed;
    struct kl_index rows;   /* token objects by row id */
    struct kl_index owners; /* session objects by session */
    struct kl_index labels;
    struct kl_index key_ids;
    struct kl_absent absent[KL_ABSENT_COUNT];
};

static inline uint32_t kl_shelf_era(const struct kl_shelf *shelf)
{
    return atomic_load_explicit(&shelf->era, memory_order_acquire);
}

/* --- shelf.c; the lock is held by the caller but where it says otherwise --- */

/* Odd: a commit is on its way. 0: the store is not open. Nothing learnt then can be kept. */
static inline bool kl_mark_is_steady(uint64_t mark)
{
    return mark != 0 && mark % 2 == 0;
}

/* A reading of the store: whether what it gives may be taken for what is there. */
struct kl_reading {
    uint64_t mark;
    uint32_t era;
};
/* Takes the lock itself. */
struct kl_reading kl_reading_begin(struct kl_shelf *shelf);
bool kl_reading_holds(struct kl_shelf *shelf, struct kl_reading reading);

/* The handle is dead afterwards. Does nothing to an object that another thread has dropped already. */
void kl_shelf_drop(struct kl_shelf *shelf, struct kl_object *object);
/* A token object; NULL. */
struct kl_object *kl_shelf_find_row(struct kl_shelf *shelf, const uint8_t id[KL_ROW_ID_LEN]);
/* A row as the store gave it becomes an object, or renews the one there is. `is_proved`: it was read authenticated. */
KL_MUST_USE enum kl_rc kl_shelf_adopt(struct kl_shelf *shelf, const struct kl_record *record, bool is_proved, struct kl_object **out);

/* --- shelf_names.c; the lock is held --- */

struct kl_index *kl_names_index(struct kl_shelf *shelf, enum kl_chain chain);
/* Is every token object of that label or CKA_ID in the index? */
bool kl_names_are_known(struct kl_shelf *shelf, enum kl_chain chain, struct kl_view value);
/* After a complete reading in this era: what it did not give is gone. */
void kl_names_note_known(struct kl_shelf *shelf, enum kl_chain chain, struct kl_view value);
/* A token object has come to stand under its names, and is not in the indexes yet: where the others were all known, it makes the set whole. */
void kl_names_join(struct kl_shelf *shelf, struct kl_object *object);

#endif
