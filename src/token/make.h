/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Making objects: create, generate, derive, copy (declared in object.h), and what changing them shares with that. */
#ifndef KL_TOKEN_MAKE_H
#define KL_TOKEN_MAKE_H

#include "base/rc.h"
#include "ladder/key.h"
#include "token/draft.h"
#include "token/hold.h"
#include "token/pattern.h"
#include "token/session.h"

/* What a row gains when it becomes durable: nonce and tag, a CKA_ID of its own, what a key was derived with. */
#define KL_PLACE_SPARE 256

/* A key outside the ladder may not be called like one of the ladder's. KL_LABEL_TAKEN. */
KL_MUST_USE enum kl_rc kl_make_check_label(struct kl_session *session, const struct kl_draft *draft);
/* A template for that place, as whoever is logged in may apply it. */
struct kl_applying kl_applying_of(const struct kl_session *session, unsigned how);
/* May there be such a free key, made `from` another or from none (NULL)? Its length is set. */
KL_MUST_USE enum kl_rc kl_make_judge(const struct kl_session *session, const struct kl_draft *draft, const struct kl_record *from);

/*
 * Bytes of a derived key, or of data: what its type or its template says, else `usual` (0: it has to be said); `most` at most. The draft
 * has it then. KL_TEMPLATE_INCOMPLETE, KL_TEMPLATE, KL_ATTR_VALUE.
 */
KL_MUST_USE enum kl_rc kl_make_derived_len(struct kl_draft *draft, size_t usual, size_t most, size_t *out);
/* May the key's bytes be the key of a pseudo-random function that makes other keys? KL_KEY_FUNCTION. */
KL_MUST_USE enum kl_rc kl_make_may_be_prf_key(const struct kl_session *session, const struct kl_hold *hold);

/* A key that is about to be unwrapped; lies still, since the draft points into it. */
struct kl_unwrapped {
    struct kl_draft draft;
    struct kl_pattern imposed;
    uint32_t named; /* flags that the caller's template named */
};
/* What the caller's template and the unwrapping key's make of it, before anything is opened. */
KL_MUST_USE enum kl_rc kl_make_unwrapped_draft(struct kl_session *session, const struct kl_hold *unwrapping, const CK_ATTRIBUTE *template,
                                               CK_ULONG count, struct kl_unwrapped *out);
/* Takes `value`. KL_WRAPPED for bytes that no key of the type asked for has. */
KL_MUST_USE enum kl_rc kl_make_unwrapped(struct kl_session *session, struct kl_unwrapped *unwrapped, struct kl_secret *value,
                                         CK_OBJECT_HANDLE *out);

/* Binds a free key to a family of mechanisms, durably for a token key. KL_KEY_FUNCTION: it is bound to another. */
KL_MUST_USE enum kl_rc kl_object_bind_family(struct kl_hold *hold, uint8_t family);

/* The value of a private data object that lives in this process only: in the arena, as keys are. *key stays NULL for an empty one. */
KL_MUST_USE enum kl_rc kl_make_value_key(struct kl_view value, struct kl_key **key);

#endif
