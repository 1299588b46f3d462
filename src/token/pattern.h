/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A template that is itself an attribute: CKA_WRAP_TEMPLATE, CKA_UNWRAP_TEMPLATE, CKA_DERIVE_TEMPLATE (doc/format.md, "Rows"). */
#ifndef KL_TOKEN_PATTERN_H
#define KL_TOKEN_PATTERN_H

#include "base/bytes.h"
#include "base/rc.h"
#include "keyladder/pkcs11.h"
#include "token/asked.h"

#define KL_PATTERN_MAX 4096 /* bytes of a stored one */

/* One that has been read; `asked` points into `bytes`. */
struct kl_pattern {
    struct kl_asked asked;
    uint8_t bytes[KL_PATTERN_MAX];
};

/*
 * From a caller's array of CK_ATTRIBUTEs to the form that is stored. `how`: each attribute must be one that such a template (KL_ON_…)
 * may name, 0 one that can be compared; and have its form. KL_ATTR_VALUE for one that has not, for a template in it, and for too
 * many bytes; KL_TEMPLATE for one attribute twice.
 */
KL_MUST_USE enum kl_rc kl_pattern_write(struct kl_view array, unsigned how, struct kl_writer *writer);
/* The attributes in their own form; none where there is no template (data == NULL). KL_INTEGRITY. */
KL_MUST_USE enum kl_rc kl_pattern_read(struct kl_view stored, struct kl_pattern *out);
/* v3.1 5.7.5 on arrays of attributes: lengths, types and values of the elements. KL_BUFFER. */
KL_MUST_USE enum kl_rc kl_pattern_give(struct kl_view stored, CK_ATTRIBUTE *attribute);

#endif
