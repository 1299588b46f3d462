/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* PKCS#11 v3.1 5.19: random number generation functions. */
#include "crypto/random.h"
#include "keyladder/pkcs11.h"
#include "p11/buffer.h"
#include "p11/call.h"

CK_RV C_SeedRandom(CK_SESSION_HANDLE session, CK_BYTE *seed, CK_ULONG seed_len)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_SeedRandom, session, KL_NEED_SESSION);

    if (rc == KL_OK && seed == NULL && seed_len > 0) rc = KL_ARG;
    if (rc == KL_OK) rc = KL_NO_SEED;
    return kl_call_leave(&call, rc);
}

CK_RV C_GenerateRandom(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG len)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_GenerateRandom, session, KL_NEED_SESSION);

    if (rc == KL_OK && out == NULL && len > 0) rc = KL_ARG;
    if (rc == KL_OK) rc = kl_random_fill(out, len);
    return kl_call_leave(&call, rc);
}
