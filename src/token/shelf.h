/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The objects of one token that this process has seen, and how current its
 * knowledge is. The store's mark changes with every commit of any process; the
 * shelf's *era* begins anew whenever a commit of somebody else (or a login or logout)
 * is noticed, and what was learnt in an earlier era is asked for again when it is
 * needed. Our own commits move the mark on without ending the era.
 */
#ifndef KL_TOKEN_SHELF_H
#define KL_TOKEN_SHELF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/rc.h"
#include "keyladder/pkcs11.h"
#include "ladder/ladder.h"
#include "token/attr.h"
#include "token/object.h"
#include "token/slot.h"
#include "token/token.h"

/* Handles found; { 0 } to begin with. */
struct kl_handles {
    CK_OBJECT_HANDLE *items;
    size_t count;
    size_t cap;
};
void kl_handles_clear(struct kl_handles *handles);

/* Which objects a search is after. `wants` runs under the shelf's lock: it computes, nothing else. */
struct kl_filter {
    bool (*wants)(const void *user, const struct kl_subject *subject);
    const void *user;
    bool sees_private;
};

/*
 * Objects with this label (not empty), this CKA_ID (not empty), or this row id: from memory where everything that has it is known
 * to be there, from the store otherwise. Somebody is logged in. KL_INTEGRITY for what was tampered with.
 */
KL_MUST_USE enum kl_rc kl_shelf_look(struct kl_shelf *shelf, enum kl_query_by by, struct kl_view value, const struct kl_filter *filter,
                                     struct kl_handles *out);

/* A walk over everything; { .query = KL_BY_ALL or KL_BY_PUBLIC } to begin with. */
struct kl_walk {
    enum kl_query_by query;
    struct kl_cursor cursor;
    uint32_t era; /* in which it began; 0: nothing that it sees may be taken for complete */
    uint64_t mark;
    bool skips_store; /* session objects alone are wanted */
    bool is_begun;
    bool reads_store;
    bool is_done;
};
/* The next objects. walk->is_done tells the end. */
KL_MUST_USE enum kl_rc kl_shelf_walk(struct kl_shelf *shelf, struct kl_walk *walk, const struct kl_filter *filter, struct kl_handles *out);

/* Is the object as its snapshot says, as far as one knows who looked within this second? KL_OBJECT when it is gone; may replace its snapshot. */
KL_MUST_USE enum kl_rc kl_shelf_check(struct kl_shelf *shelf, struct kl_object *object);
/* The same, asking the store whatever is known. */
KL_MUST_USE enum kl_rc kl_shelf_renew(struct kl_shelf *shelf, struct kl_object *object);
/* The second in which the store's mark was last looked at: as long as it is the present one, nothing need be checked. */
int64_t kl_shelf_second(void);
/* The snapshot, counted. */
struct kl_snapshot *kl_shelf_shot(struct kl_shelf *shelf, struct kl_object *object);
/* The state of a row, by the object that stands for it or from the store. KL_OBJECT. */
KL_MUST_USE enum kl_rc kl_shelf_state(struct kl_shelf *shelf, const uint8_t id[KL_ROW_ID_LEN], enum kl_state *out);

/* Room for an object, before it is made durable, so that nothing can fail afterwards. */
struct kl_place {
    struct kl_object *object;
    struct kl_snapshot *room;
    size_t cap;
};
/* As kl_snapshot_room. KL_MEMORY. */
KL_MUST_USE enum kl_rc kl_place_new(const struct kl_record *draft, size_t more, struct kl_place *out);
/* Room for a new snapshot of an object that has its slot. */
KL_MUST_USE enum kl_rc kl_place_room(const struct kl_record *draft, size_t more, struct kl_place *out);
void kl_place_clear(struct kl_place *place);

/* What has come of a draft, and of a token object's commit. `key` may be NULL. */
struct kl_arrival {
    const struct kl_record *record;
    struct kl_key *key;
    bool is_key_new; /* of a change: `key` takes the place of the one there was, even if it is NULL */
    struct kl_commit commit;
};
/* A token object. Uses up the place. `arrival` stays the caller's. */
KL_MUST_USE enum kl_rc kl_shelf_add(struct kl_shelf *shelf, struct kl_place *place, const struct kl_arrival *arrival,
                                    CK_OBJECT_HANDLE *out);
/* What is not stored, under its owner (token/slot.h); takes `key` (NULL: it has none) when it is there. KL_MEMORY. */
KL_MUST_USE enum kl_rc kl_shelf_add_made(struct kl_shelf *shelf, const struct kl_record *record, struct kl_key *key,
                                         CK_SESSION_HANDLE owner, CK_OBJECT_HANDLE *out);
/* Whether an object may go. Runs under the shelf's lock: it computes, nothing else. */
struct kl_verdict {
    enum kl_rc (*of)(const void *user, const struct kl_snapshot *shot);
    const void *user;
};
/* Ends a session object if it may go. Gives up the caller's reference. KL_OBJECT: it was gone already. */
KL_MUST_USE enum kl_rc kl_shelf_remove_made(struct kl_shelf *shelf, struct kl_object *object, const struct kl_verdict *verdict);
/*
 * An object's attributes have changed from those in `from`. Its key stays unless arrival->is_key_new. Uses up place->room.
 * KL_CONFLICT: another thread was quicker with a session object, which no store arbitrates.
 */
KL_MUST_USE enum kl_rc kl_shelf_change(struct kl_shelf *shelf, struct kl_object *object, const struct kl_snapshot *from,
                                       struct kl_place *place, const struct kl_arrival *arrival);
/* A token object is gone. */
void kl_shelf_remove(struct kl_shelf *shelf, struct kl_object *object, struct kl_commit commit);

/* Lets go of the opened key that a token object keeps, NULL: that every one keeps. KL_MEMORY, and then some may have it still. */
KL_MUST_USE enum kl_rc kl_shelf_evict(struct kl_shelf *shelf, struct kl_object *object);

/* See object.h. */
void kl_shelf_end_session(struct kl_shelf *shelf, CK_SESSION_HANDLE session);
void kl_shelf_end_private(struct kl_shelf *shelf);
void kl_shelf_end_all(struct kl_shelf *shelf);
void kl_shelf_end_orphans(struct kl_shelf *shelf);
/* For who forks (base/fork.h). */
pthread_mutex_t *kl_shelf_lock(struct kl_shelf *shelf);

#endif
