/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Templates and mechanisms as the input says: wrong in every way that a caller's memory can be wrong and still be the caller's. */
#ifndef KL_TEST_FUZZ_MAKE_H
#define KL_TEST_FUZZ_MAKE_H

#include "fuzz.h"

enum { TEMPLATE_MAX = 24 };
struct asked {
    CK_ATTRIBUTE *attributes; /* may be NULL, and then any count */
    CK_ULONG count;
    size_t readable; /* attributes there are in memory */
};
struct asked any_template(void);
/* One to ask with (C_GetAttributeValue): rooms of any length. */
struct asked any_question(void);
const CK_ATTRIBUTE *asked_for(const struct asked *asked, CK_ATTRIBUTE_TYPE type);

/* What is done with a mechanism; says which key it wants. */
struct way {
    CK_MECHANISM_TYPE type;
    CK_KEY_TYPE key;
    void (*parameter)(CK_MECHANISM *mechanism);
};
extern const struct way ways[];
extern const size_t way_count;
/* NULL: none of ways[]. */
const struct way *way_of(CK_MECHANISM_TYPE type);
/* Any of ways[], or any number, with a parameter that is its own, a little wrong, or another's. */
CK_MECHANISM any_mechanism(void);
/* CK_GCM_WRAP_PARAMS, for the authenticated functions. */
void gcm_wrap_parameter(CK_MECHANISM *mechanism);
/* For C_EncryptMessage and C_DecryptMessage: what `type` takes, or nearly. */
void *message_parameter(CK_MECHANISM_TYPE type, CK_ULONG *len);
/* The handles that parameters may name as a salt. */
extern CK_OBJECT_HANDLE salt_key;

#endif
