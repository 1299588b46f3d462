/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The functions that this token does not offer: each says so, and nothing else. */
#include "keyladder/pkcs11.h"
#include "p11/call.h"

/* The parameters are there for the prototype. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

#define KL_FN(name, since, chapter, family, kind)
#define KL_FN_ABSENT(name, since, chapter, family, kind, answer, parameters) \
    CK_RV name parameters                                                    \
    {                                                                        \
        return kl_call_refuse(KL_FN_##name, KL_##answer);                    \
    }
#include "p11/function.def"
