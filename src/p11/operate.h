/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * PKCS#11 v3.1 5.8 to 5.15: whole calls of the operations that a session begins, feeds and ends, alike for every kind of them. `fn` is
 * the function that was called, the rest are its arguments.
 */
#ifndef KL_P11_OPERATE_H
#define KL_P11_OPERATE_H

#include "base/bytes.h"
#include "keyladder/pkcs11.h"
#include "p11/call.h"

/* Begins one; v3.0: without a mechanism, ends the one that is active. */
CK_RV kl_operate_init(enum kl_fn fn, enum kl_op_kind kind, CK_SESSION_HANDLE session, const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key);
/* All of it at once. */
CK_RV kl_operate_once(enum kl_fn fn, enum kl_op_kind kind, CK_SESSION_HANDLE session, struct kl_view in, CK_BYTE *out, CK_ULONG *out_len);
/* A part in, and what comes of it out. */
CK_RV kl_operate_update(enum kl_fn fn, enum kl_op_kind kind, CK_SESSION_HANDLE session, struct kl_view in, CK_BYTE *out, CK_ULONG *out_len);
/* A part in, where nothing comes out before the end. */
CK_RV kl_operate_absorb(enum kl_fn fn, enum kl_op_kind kind, CK_SESSION_HANDLE session, struct kl_view in);
CK_RV kl_operate_final(enum kl_fn fn, enum kl_op_kind kind, CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *out_len);

#endif
