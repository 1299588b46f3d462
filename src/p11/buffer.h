/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A caller's memory. It may be misaligned (packed structures, LESSONS L23), so
 * it is copied, never read or written in place, and counts are believed only up to a bound.
 */
#ifndef KL_P11_BUFFER_H
#define KL_P11_BUFFER_H

#include "base/bytes.h"
#include "base/rc.h"
#include "keyladder/pkcs11.h"
#include "p11/call.h"

#define KL_TEMPLATE_MAX 256 /* attributes in a template */

/* Copies one structure or number to or from the caller; untyped, so that no alignment is assumed. KL_ARG for NULL. */
KL_MUST_USE enum kl_rc kl_caller_read(void *mine, const void *theirs, size_t len);
KL_MUST_USE enum kl_rc kl_caller_write(void *theirs, const void *mine, size_t len);

/* Room for an answer, PKCS#11's way: `out` NULL asks for the length. Where `out_len` is missing, kl_out_check says so. */
struct kl_out kl_out_from(CK_BYTE *out, const CK_ULONG *out_len);
/* There is a place for the length, else KL_ARG, which ends the operation: v3.1 5.8 lets only a length query or a short buffer keep it. */
KL_MUST_USE enum kl_rc kl_out_check(struct kl_session *session, enum kl_op_kind kind, const CK_ULONG *out_len);
/* Tells the caller the length after KL_OK and KL_BUFFER; hands the result on. */
enum kl_rc kl_out_report(const struct kl_out *room, CK_ULONG *out_len, enum kl_rc rc);

/*
 * A list of `count` items for a caller who lent room for *room of them: *room becomes the count. v3.1 5.2: NULL asks (KL_OK, and
 * nothing is to be written), too little room is KL_BUFFER.
 */
KL_MUST_USE enum kl_rc kl_list_room(const void *theirs, CK_ULONG *room, CK_ULONG count);
/* The index-th number of a list; nothing when the caller only asks. */
void kl_list_set(CK_ULONG *theirs, CK_ULONG index, CK_ULONG number);

/* A caller's template, copied (the values stay the caller's). */
struct kl_template {
    CK_ULONG count;
    CK_ATTRIBUTE items[KL_TEMPLATE_MAX];
};
/* KL_ARG: no memory behind a count, or more than KL_TEMPLATE_MAX. */
KL_MUST_USE enum kl_rc kl_template_read(struct kl_template *template, const void *theirs, CK_ULONG count);
/* Gives the lengths back, which is all that C_GetAttributeValue changes in the array itself. */
void kl_template_return(const struct kl_template *template, void *theirs);

#endif
