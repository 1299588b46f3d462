/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What HMAC, CMAC and GMAC have in common as operations. Which of them it is follows from the mechanism's family. */
#ifndef KL_TOKEN_MAC_OP_H
#define KL_TOKEN_MAC_OP_H

#include "base/bytes.h"
#include "base/rc.h"
#include "token/mech.h"
#include "token/op.h"

#define KL_MAC_TAG_MIN 12 /* bytes: DESIGN section 7 */
#define KL_MAC_IV_MAX 128

/* For kl_mech.init: the whole MAC, no parameter. KL_PARAMETER, KL_MEMORY. */
KL_MUST_USE enum kl_rc kl_mac_op_init(struct kl_op *op, enum kl_op_kind kind, struct kl_view parameter);
/* The same with CK_MAC_GENERAL_PARAMS: the first so many bytes of it. */
KL_MUST_USE enum kl_rc kl_mac_op_init_general(struct kl_op *op, enum kl_op_kind kind, struct kl_view parameter);
/* What they have in common: `iv` of GMAC, else empty; where it signs it is remembered, and refused when it has signed. KL_PARAMETER, KL_MEMORY. */
KL_MUST_USE enum kl_rc kl_mac_op_begin(struct kl_op *op, enum kl_op_kind kind, size_t tag_len, struct kl_view iv);

/* For kl_mech.steps of signing and of verifying, .end and .clear. */
extern const struct kl_steps kl_mac_steps;
void kl_mac_op_end(struct kl_op *op);
void kl_mac_op_clear(struct kl_op *op);

#endif
