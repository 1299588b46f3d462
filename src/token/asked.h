/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A caller's template, read once and safely, and the draft of the object that it describes. */
#ifndef KL_TOKEN_ASKED_H
#define KL_TOKEN_ASKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/rc.h"
#include "keyladder/pkcs11.h"
#include "token/attr.h"

#define KL_ASKED_MAX 64

/* One attribute; the value is still the caller's memory. */
struct kl_attr {
    CK_ATTRIBUTE_TYPE type;
    struct kl_view value;
};

struct kl_asked {
    struct kl_attr items[KL_ASKED_MAX];
    size_t count;
};

/*
 * Copies the array, which may be misaligned, and looks at nothing else. KL_ARG (NULL with a count; more attributes than
 * a template can have), KL_ATTR_VALUE (NULL with a length, CK_UNAVAILABLE_INFORMATION), KL_TEMPLATE (one
 * attribute twice with different values).
 */
KL_MUST_USE enum kl_rc kl_asked_read(const CK_ATTRIBUTE *attributes, CK_ULONG count, struct kl_asked *out);
/* NULL if it is not there. */
const struct kl_attr *kl_asked_find(const struct kl_asked *asked, CK_ATTRIBUTE_TYPE type);
/* The number or flag of that type, or `fallback` when it is not there. KL_ATTR_VALUE. */
KL_MUST_USE enum kl_rc kl_asked_number(const struct kl_asked *asked, CK_ATTRIBUTE_TYPE type, CK_ULONG fallback, CK_ULONG *out);
KL_MUST_USE enum kl_rc kl_asked_bool(const struct kl_asked *asked, CK_ATTRIBUTE_TYPE type, bool fallback, bool *out);

#endif
