/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Keys leave and enter under other keys: C_WrapKey, C_UnwrapKey and their authenticated kin of v3.2. */
#ifndef KL_TOKEN_WRAP_H
#define KL_TOKEN_WRAP_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/rc.h"
#include "keyladder/pkcs11.h"
#include "ladder/key.h"

struct kl_session;

/* A wrapping or unwrapping, as its mechanism sees it. */
struct kl_wrapping {
    struct kl_session *session;
    struct kl_key *key; /* the key that wraps */
    struct kl_view parameter;
    struct kl_view aad; /* of the authenticated functions */
};

/*
 * What stands in a call: mechanism, the key that wraps or unwraps, and associated data where the function is one of those that
 * take it (is_authenticated).
 */
struct kl_wrap_call {
    const CK_MECHANISM *mechanism;
    CK_OBJECT_HANDLE key;
    bool is_authenticated;
    struct kl_view aad;
};

/* out->data NULL asks for the length. */
KL_MUST_USE enum kl_rc kl_object_wrap(struct kl_session *session, const struct kl_wrap_call *call, CK_OBJECT_HANDLE object,
                                      struct kl_out *out);
KL_MUST_USE enum kl_rc kl_object_unwrap(struct kl_session *session, const struct kl_wrap_call *call, struct kl_view wrapped,
                                        const CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *out);

#endif
