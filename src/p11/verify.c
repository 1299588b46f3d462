/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* PKCS#11 v3.1 5.15: functions for verifying signatures and MACs. */
#include "keyladder/pkcs11.h"
#include "p11/buffer.h"
#include "p11/call.h"
#include "token/op.h"

CK_RV C_VerifyInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    struct kl_call call;
    CK_MECHANISM mine;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_VerifyInit, session, KL_NEED_SESSION);

    /* v3.0: no mechanism ends the operation that is active. */
    if (rc == KL_OK && mechanism != NULL) rc = kl_caller_read(&mine, mechanism, sizeof mine);
    if (rc == KL_OK) rc = kl_op_init(call.session, KL_OP_VERIFY, mechanism != NULL ? &mine : NULL, key);
    return kl_call_leave(&call, rc);
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
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_VerifyUpdate, session, KL_NEED_SESSION);

    if (rc == KL_OK) rc = kl_op_absorb(call.session, KL_OP_VERIFY, kl_view_of(part, part_len));
    return kl_call_leave(&call, rc);
}

CK_RV C_VerifyFinal(CK_SESSION_HANDLE session, CK_BYTE *signature, CK_ULONG signature_len)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_VerifyFinal, session, KL_NEED_SESSION);

    if (rc == KL_OK) rc = kl_op_verify_final(call.session, kl_view_of(signature, signature_len));
    return kl_call_leave(&call, rc);
}
