/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* PKCS#11 v3.1 5.15: functions for verifying signatures and MACs. */
#include "keyladder/pkcs11.h"
#include "p11/call.h"
#include "p11/operate.h"
#include "token/op.h"

CK_RV C_VerifyInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    return kl_operate_init(KL_FN_C_VerifyInit, KL_OP_VERIFY, session, mechanism, key);
}

CK_RV C_Verify(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *signature, CK_ULONG signature_len)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_Verify, session, KL_NEED_SESSION);

    if (rc == KL_OK) rc = kl_op_verify(call.session, kl_view_of(data, data_len), kl_view_of(signature, signature_len));
    return kl_call_leave(&call, rc);
}

CK_RV C_VerifyUpdate(CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG part_len)
{
    return kl_operate_absorb(KL_FN_C_VerifyUpdate, KL_OP_VERIFY, session, kl_view_of(part, part_len));
}

CK_RV C_VerifyFinal(CK_SESSION_HANDLE session, CK_BYTE *signature, CK_ULONG signature_len)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_VerifyFinal, session, KL_NEED_SESSION);

    if (rc == KL_OK) rc = kl_op_verify_final(call.session, kl_view_of(signature, signature_len));
    return kl_call_leave(&call, rc);
}
