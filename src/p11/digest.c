/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* PKCS#11 v3.1 5.12: message digesting functions. */
#include "keyladder/pkcs11.h"
#include "p11/buffer.h"
#include "p11/call.h"
#include "p11/operate.h"
#include "token/op.h"

CK_RV C_DigestInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism)
{
    struct kl_call call;
    CK_MECHANISM mine;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_DigestInit, session, KL_NEED_SESSION);

    /* v3.0: no mechanism ends the operation that is active. */
    if (rc == KL_OK && mechanism != NULL) rc = kl_caller_read(&mine, mechanism, sizeof mine);
    if (rc == KL_OK) rc = kl_op_digest_init(call.session, mechanism != NULL ? &mine : NULL);
    return kl_call_leave(&call, rc);
}

CK_RV C_Digest(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *out, CK_ULONG *out_len)
{
    return kl_operate_once(KL_FN_C_Digest, KL_OP_DIGEST, session, (struct kl_view){ data, data_len }, out, out_len);
}

CK_RV C_DigestUpdate(CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG part_len)
{
    return kl_operate_absorb(KL_FN_C_DigestUpdate, KL_OP_DIGEST, session, kl_view_of(part, part_len));
}

CK_RV C_DigestKey(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_DigestKey, session, KL_NEED_SESSION);

    if (rc == KL_OK) rc = kl_op_digest_key(call.session, key);
    return kl_call_leave(&call, rc);
}

CK_RV C_DigestFinal(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *out_len)
{
    return kl_operate_final(KL_FN_C_DigestFinal, KL_OP_DIGEST, session, out, out_len);
}
