/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* One AEAD vector through each of the ways that PKCS#11 has for it. */
#ifndef VECTORS_AEAD_H
#define VECTORS_AEAD_H

#include "vectors.h"

/* IN_BITS: one call, the nonce's length said in bits. */
enum way { ONCE, IN_BITS, IN_PARTS, A_MESSAGE, MESSAGE_IN_PARTS, WAYS };

struct aead {
    const char *name;
    CK_MECHANISM_TYPE mech;
    CK_KEY_TYPE key_type;
};

struct aead_case {
    struct bytes key, iv, aad, msg, ct, tag;
    bool valid;   /* opening gives msg */
    size_t early; /* what came out of the last opening before its tag had been seen */
};

/* Whether this module has the way; a vendor's lack is named, once. */
bool aead_has_way(const struct aead *aead, enum way way);
/* out: ciphertext and tag, or what was opened. False: the key could not be imported. */
bool aead_seal(const struct aead *aead, struct aead_case *c, enum way way, struct bytes *out, CK_RV *rv);
bool aead_open(const struct aead *aead, struct aead_case *c, enum way way, struct bytes *out, CK_RV *rv);

#endif
