/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What op.c lends to message.c. */
#ifndef KL_TOKEN_OP_INNER_H
#define KL_TOKEN_OP_INNER_H

#include "token/op.h"

/* KL_NO_OPERATION when none of the kind is active, or its key or login has gone meanwhile. */
KL_MUST_USE enum kl_rc kl_op_enter(struct kl_session *session, enum kl_op_kind kind);
/* The operation is over; what the next one with the same key can use stays. */
void kl_op_end(struct kl_op *op);

/*
 * What PKCS#11 asks before a step writes `need` bytes: is it a question for the length, is there room? Where it is KL_ANSWERED the
 * result is the call's, and nothing has changed.
 */
enum kl_answer { KL_GO_ON, KL_ANSWERED };
KL_MUST_USE enum kl_rc kl_op_look_at_room(size_t need, struct kl_view in, struct kl_out *out, enum kl_answer *answer);

#endif
