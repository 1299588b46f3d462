/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Making objects: create, generate, derive, copy (declared in object.h), and what changing them shares with that. */
#ifndef KL_TOKEN_MAKE_H
#define KL_TOKEN_MAKE_H

#include "base/rc.h"
#include "ladder/key.h"
#include "token/draft.h"
#include "token/session.h"

/* What a row gains when it becomes durable: nonce and tag, a CKA_ID of its own, what a key was derived with. */
#define KL_PLACE_SPARE 256

/* A key outside the ladder may not be called like one of the ladder's. KL_LABEL_TAKEN. */
KL_MUST_USE enum kl_rc kl_make_check_label(struct kl_session *session, const struct kl_draft *draft);
/* The value of a private data object that lives in this process only: in the arena, as keys are. *key stays NULL for an empty one. */
KL_MUST_USE enum kl_rc kl_make_value_key(struct kl_view value, struct kl_key **key);

#endif
