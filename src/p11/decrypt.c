/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* PKCS#11 v3.1 5.10: decryption functions. */
#include "keyladder/pkcs11.h"
#include "p11/buffer.h"
#include "p11/call.h"
#include "token/op.h"

CK_RV C_DecryptInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    struct kl_call call;
    CK_MECHANISM mine;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_DecryptInit, session, KL_NEED_SESSION);

    /* v3.0: no mechanism ends the operation that is active. */
    if (rc == KL_OK && mechanism != NULL) rc = kl_caller_read(&mine, mechanism, sizeof mine);
    if (rc == KL_OK) rc = kl_op_init(call.session, KL_OP_DECRYPT, mechanism != NULL ? &mine : NULL, key);
    return kl_call_leave(&call, rc);
}

CK_RV C_Decrypt(CK_SESSION_HANDLE session, CK_BYTE *sealed, CK_ULONG sealed_len, CK_BYTE *out, CK_ULONG *out_len)
{
    struct kl_call call;
    struct kl_view in = { sealed, sealed_len };
    struct kl_out room = kl_out_from(out, out_len);
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_Decrypt, session, KL_NEED_SESSION);

    if (rc == KL_OK) rc = kl_out_check(call.session, KL_OP_DECRYPT, out_len);
    if (rc == KL_OK) rc = kl_op_once(call.session, KL_OP_DECRYPT, in, &room);
    return kl_call_leave(&call, kl_out_report(&room, out_len, rc));
}

CK_RV C_DecryptUpdate(CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG part_len, CK_BYTE *out, CK_ULONG *out_len)
{
    struct kl_call call;
    struct kl_view in = { part, part_len };
    struct kl_out room = kl_out_from(out, out_len);
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_DecryptUpdate, session, KL_NEED_SESSION);

    if (rc == KL_OK) rc = kl_out_check(call.session, KL_OP_DECRYPT, out_len);
    if (rc == KL_OK) rc = kl_op_update(call.session, KL_OP_DECRYPT, in, &room);
    return kl_call_leave(&call, kl_out_report(&room, out_len, rc));
}

CK_RV C_DecryptFinal(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *out_len)
{
    struct kl_call call;
    struct kl_out room = kl_out_from(out, out_len);
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_DecryptFinal, session, KL_NEED_SESSION);

    if (rc == KL_OK) rc = kl_out_check(call.session, KL_OP_DECRYPT, out_len);
    if (rc == KL_OK) rc = kl_op_final(call.session, KL_OP_DECRYPT, &room);
    return kl_call_leave(&call, kl_out_report(&room, out_len, rc));
}
