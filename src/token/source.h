/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What a session last derived from, and with which template. Record keys come by the thousand, one like the other: the key is
 * looked up and judged, and the template read, once for all that are made within a second.
 */
#ifndef KL_TOKEN_SOURCE_H
#define KL_TOKEN_SOURCE_H

#include <stdint.h>

#include "base/rc.h"
#include "keyladder/pkcs11.h"
#include "ladder/key.h"
#include "token/draft.h"
#include "token/hold.h"

struct kl_mech;

#define KL_SOURCE_ATTRS 16 /* in a template that is kept */

struct kl_source {
    CK_OBJECT_HANDLE handle;
    const struct kl_mech *mech;
    CK_ULONG login_epoch; /* kl_token.login_epoch when it was judged */
    int64_t second;       /* kl_shelf_second() then */
    struct kl_hold hold;
    struct kl_key *key; /* counted; NULL before the first need */

    /* The template, and what came of it. Of values with more bytes than a number none is kept. */
    bool has_template;
    size_t attr_count;
    struct {
        CK_ATTRIBUTE_TYPE type;
        CK_ULONG len;
        uint8_t value[sizeof(CK_ULONG)];
    } attrs[KL_SOURCE_ATTRS];
    struct kl_draft_head head;
    uint32_t named;
};

/*
 * Makes a key that the session may derive from with `mech` its source, until it derives from another; it goes when operations do
 * (token/op.h). Codes of kl_hold_take and kl_mech_may_use.
 */
KL_MUST_USE enum kl_rc kl_source_take(struct kl_session *session, const struct kl_mech *mech, CK_OBJECT_HANDLE handle);
/* The key, borrowed from the source; opened at the first need. */
KL_MUST_USE enum kl_rc kl_source_key(struct kl_source *source, struct kl_key **key);
/* Lets go of it; CK_INVALID_HANDLE: whichever it is. */
void kl_source_forget(struct kl_session *session, CK_OBJECT_HANDLE handle);

/* What came of this template when it was last read, if it was the last: draft, and flags that the caller named. */
bool kl_source_recall(const struct kl_source *source, const CK_ATTRIBUTE *template, CK_ULONG count, struct kl_draft *draft,
                      uint32_t *named);
/* Keeps it if it is small and nothing in the draft is borrowed. */
void kl_source_keep(struct kl_source *source, const CK_ATTRIBUTE *template, CK_ULONG count, const struct kl_draft *draft, uint32_t named);

#endif
