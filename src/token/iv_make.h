/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* IVs: those that the token makes, and those that it lets a caller choose (DESIGN section 7). */
#ifndef KL_TOKEN_IV_MAKE_H
#define KL_TOKEN_IV_MAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rc.h"
#include "ladder/key.h"
#include "token/mech.h"
#include "token/op.h"

/* May it encrypt? *makes: its bytes are zero, and the token is to make it and to give it back by the way it came. KL_PARAMETER. */
KL_MUST_USE enum kl_rc kl_iv_judge(const struct kl_op *op, bool is_aead, struct kl_view iv, bool *makes);
/* The same for an IV that may be random in every bit; `iv` and the caller's `theirs` have what the token makes. KL_PARAMETER, KL_NO_RANDOM. */
KL_MUST_USE enum kl_rc kl_iv_choose(struct kl_op *op, bool is_aead, uint8_t *iv, size_t len, void *theirs);
/*
 * An IV by one of the generators (v3.0 6.13.4, SP 800-38D 8.2): fills `iv`, which has what the caller sent, behind its fixed bits. Not in the
 * caller's memory, where somebody else could write meanwhile. KL_PARAMETER.
 */
KL_MUST_USE enum kl_rc kl_iv_generate(struct kl_op *op, const struct kl_message *message, uint8_t *iv);

#endif
