/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* PKCS#11 v3.1 5.13: signing and MACing functions. */
#include "keyladder/pkcs11.h"
#include "p11/buffer.h"
#include "p11/call.h"
#include "token/op.h"

CK_RV C_SignInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    struct kl_call call;
    CK_MECHANISM mine;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_SignInit, session, KL_NEED_SESSION);

    /* v3.0: no mechanism ends the operation that is active. */
    if (rc == KL_OK && mechanism != NULL) rc = kl_caller_read(&mine, mechanism, sizeof mine);
    if (rc == KL_OK) rc = kl_op_init(call.session, KL_OP_SIGN, mechanism != NULL ? &mine : NULL, key);
    return kl_call_leave(&call, rc);
}

CK_RV C_Sign(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *signature, CK_ULONG *signature_len)
{
    struct kl_call call;
    struct kl_view in = { data, data_len };
    struct kl_out room = kl_out_from(signature, signature_len);
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_Sign, session, KL_NEED_SESSION);

    if (rc == KL_OK) rc = kl_out_check(call.session, KL_OP_SIGN, signature_len);
    if (rc == KL_OK) rc = kl_op_once(call.session, KL_OP_SIGN, in, &room);
    return kl_call_leave(&call, kl_out_report(&room, signature_len, rc));
}

CK_RV C_SignUpdate(CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG part_len)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_SignUpdate, session, KL_NEED_SESSION);

    if (rc == KL_OK) rc = kl_op_absorb(call.session, KL_OP_SIGN, kl_view_of(part, part_len));
    return kl_call_leave(&call, rc);
}

CK_RV C_SignFinal(CK_SESSION_HANDLE session, CK_BYTE *signature, CK_ULONG *signature_len)
{
    struct kl_call call;
    struct kl_out room = kl_out_from(signature, signature_len);
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_SignFinal, session, KL_NEED_SESSION);

    if (rc == KL_OK) rc = kl_out_check(call.session, KL_OP_SIGN, signature_len);
    if (rc == KL_OK) rc = kl_op_final(call.session, KL_OP_SIGN, &room);
    return kl_call_leave(&call, kl_out_report(&room, signature_len, rc));
}
