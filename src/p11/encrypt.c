/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* PKCS#11 v3.1 5.8: encryption functions. */
#include "keyladder/pkcs11.h"
#include "p11/buffer.h"
#include "p11/call.h"
#include "token/op.h"

CK_RV C_EncryptInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    struct kl_call call;
    CK_MECHANISM mine;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_EncryptInit, session, KL_NEED_SESSION);

    /* v3.0: no mechanism ends the operation that is active. */
    if (rc == KL_OK && mechanism != NULL) rc = kl_caller_read(&mine, mechanism, sizeof mine);
    if (rc == KL_OK) rc = kl_op_init(call.session, KL_OP_ENCRYPT, mechanism != NULL ? &mine : NULL, key);
    return kl_call_leave(&call, rc);
}

CK_RV C_Encrypt(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *out, CK_ULONG *out_len)
{
    struct kl_call call;
    struct kl_view in = { data, data_len };
    struct kl_out room = kl_out_from(out, out_len);
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_Encrypt, session, KL_NEED_SESSION);

    if (rc == KL_OK) rc = kl_out_check(call.session, KL_OP_ENCRYPT, out_len);
    if (rc == KL_OK) rc = kl_op_once(call.session, KL_OP_ENCRYPT, in, &room);
    return kl_call_leave(&call, kl_out_report(&room, out_len, rc));
}

CK_RV C_EncryptUpdate(CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG part_len, CK_BYTE *out, CK_ULONG *out_len)
{
    struct kl_call call;
    struct kl_view in = { part, part_len };
    struct kl_out room = kl_out_from(out, out_len);
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_EncryptUpdate, session, KL_NEED_SESSION);

    if (rc == KL_OK) rc = kl_out_check(call.session, KL_OP_ENCRYPT, out_len);
    if (rc == KL_OK) rc = kl_op_update(call.session, KL_OP_ENCRYPT, in, &room);
    return kl_call_leave(&call, kl_out_report(&room, out_len, rc));
}

CK_RV C_EncryptFinal(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *out_len)
{
    struct kl_call call;
    struct kl_out room = kl_out_from(out, out_len);
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_EncryptFinal, session, KL_NEED_SESSION);

    if (rc == KL_OK) rc = kl_out_check(call.session, KL_OP_ENCRYPT, out_len);
    if (rc == KL_OK) rc = kl_op_final(call.session, KL_OP_ENCRYPT, &room);
    return kl_call_leave(&call, kl_out_report(&room, out_len, rc));
}
