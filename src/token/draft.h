/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The object that a template describes, in the making. */
#ifndef KL_TOKEN_DRAFT_H
#define KL_TOKEN_DRAFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/rc.h"
#include "keyladder/pkcs11.h"
#include "ladder/record.h"
#include "token/asked.h"
#include "token/attr.h"
#include "token/pattern.h"
#include "token/policy.h"

/* CKA_WRAP_TEMPLATE, CKA_UNWRAP_TEMPLATE, CKA_DERIVE_TEMPLATE. */
enum { KL_WRAP_PATTERN, KL_UNWRAP_PATTERN, KL_DERIVE_PATTERN, KL_PATTERNS };

/* Who applies a template, and in which of its places. */
struct kl_applying {
    unsigned how; /* one of KL_ON_…, KL_MODIFY */
    enum kl_policy policy;
    bool is_so;
};

/* An object in the making or being changed: a record with borrowed views, and what does not fit into one. */
struct kl_draft {
    struct kl_record record;
    bool is_token;
    struct kl_applying applying; /* the template being applied */
    bool has_key_type;
    uint32_t named; /* flags that the template named */
    bool has_value;
    struct kl_view value; /* CKA_VALUE, the caller's memory */
    bool has_value_len;
    CK_ULONG value_len;
    /* From here on nothing is cleared at first, since it is much: */
    struct kl_extra extras[KL_EXTRAS_MAX]; /* record.extras points here */
    /* lists and templates as they are stored. */
    uint8_t list[KL_MECHANISMS_MAX * 8]; /* CKA_ALLOWED_MECHANISMS */
    uint8_t patterns[KL_PATTERNS][KL_PATTERN_MAX];
};

/* Everything of a draft that is no one else's memory. */
struct kl_draft_head {
    _Alignas(struct kl_draft) uint8_t bytes[offsetof(struct kl_draft, extras)];
};
/* False: there is more to it, a label, an id, or an extra attribute. */
bool kl_draft_save(const struct kl_draft *draft, struct kl_draft_head *head);
void kl_draft_restore(struct kl_draft *draft, const struct kl_draft_head *head);

/* A new object of a class, with the defaults of DESIGN section 7: nothing that a template leaves out makes it weaker. */
void kl_draft_begin(struct kl_draft *draft, CK_OBJECT_CLASS class);
/* The draft of a change to `record`, which it borrows from. */
void kl_draft_from(struct kl_draft *draft, const struct kl_record *record, bool is_token);
/*
 * Applies each attribute by its row. KL_ATTR_TYPE, KL_ATTR_VALUE, KL_ATTR_READ_ONLY, KL_PROHIBITED, KL_TEMPLATE;
 * the draft is of no use after a failure.
 */
KL_MUST_USE enum kl_rc kl_draft_apply(struct kl_draft *draft, const struct kl_asked *asked, struct kl_applying applying);
/*
 * Applies the token's own wishes for what a key makes, its CKA_UNWRAP_TEMPLATE or CKA_DERIVE_TEMPLATE, after the caller's: KL_TEMPLATE
 * where they contradict each other. `pattern` must outlive the draft.
 */
KL_MUST_USE enum kl_rc kl_draft_impose(struct kl_draft *draft, const struct kl_asked *asked, const struct kl_pattern *pattern);
/* Sets or replaces an extra attribute, ascending by type. KL_TEMPLATE when there is no room. */
KL_MUST_USE enum kl_rc kl_draft_extra(struct kl_draft *draft, uint64_t type, struct kl_view value);
void kl_draft_drop_extra(struct kl_draft *draft, uint64_t type);

#endif
