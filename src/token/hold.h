/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* An object in the hands of one call: it stays as it was read, whoever changes or destroys it meanwhile. */
#ifndef KL_TOKEN_HOLD_H
#define KL_TOKEN_HOLD_H

#include "base/rc.h"
#include "base/secret.h"
#include "keyladder/pkcs11.h"
#include "ladder/key.h"
#include "token/attr.h"
#include "token/object.h"
#include "token/session.h"
#include "token/slot.h"

struct kl_hold {
    struct kl_object *object;
    struct kl_snapshot *shot;
    struct kl_token *token;
    struct kl_record record; /* borrows from shot and extras */
    struct kl_extra extras[KL_EXTRAS_MAX];
    bool is_token;
};

/* KL_OBJECT as kl_object_get; KL_INTEGRITY and the like when the store had to be asked. */
KL_MUST_USE enum kl_rc kl_hold_take(struct kl_session *session, CK_OBJECT_HANDLE handle, struct kl_hold *hold);
void kl_hold_clear(struct kl_hold *hold);
/* Looks again after another process's change: the row as it is in the store now. KL_OBJECT. */
KL_MUST_USE enum kl_rc kl_hold_renew(struct kl_hold *hold);

/* The key, counted; opened at the first need and then kept. */
KL_MUST_USE enum kl_rc kl_hold_key(struct kl_hold *hold, struct kl_key **key);
/* The value of a data object, copied; empty when it is. */
KL_MUST_USE enum kl_rc kl_hold_data(struct kl_hold *hold, struct kl_secret *value);

bool kl_session_is_user(const struct kl_session *session);
bool kl_session_is_so(const struct kl_session *session);

#endif
