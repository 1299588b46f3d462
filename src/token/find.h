/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef KL_TOKEN_FIND_H
#define KL_TOKEN_FIND_H

#include "token/op.h"

/* Ends a search; its state is the operation's. */
void kl_find_clear(struct kl_op *op);

#endif
