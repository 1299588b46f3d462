/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Profile objects: which of the OASIS profiles a token keeps to (PKCS #11 Profiles v3.2). */
#ifndef KL_TOKEN_PROFILE_H
#define KL_TOKEN_PROFILE_H

#include "base/rc.h"
#include "token/shelf.h"

/* Public, unchangeable, on every token, and nowhere stored. KL_MEMORY. */
KL_MUST_USE enum kl_rc kl_profiles_add(struct kl_shelf *shelf);

#endif
