/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* PKCS#11 v3.0 5.9 and 5.11: message-based encryption and decryption. */
#include "keyladder/pkcs11.h"
#include "p11/buffer.h"
#include "p11/call.h"
#include "token/op.h"

CK_RV C_MessageEncryptInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    struct kl_call call;
    CK_MECHANISM mine;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_MessageEncryptInit, session, KL_NEED_SESSION);

    /* v3.0: no mechanism ends the operation that is active. */
    if (rc == KL_OK && mechanism != NULL) rc = kl_caller_read(&mine, mechanism, sizeof mine);
    if (rc == KL_OK) rc = kl_op_init(call.session, KL_OP_MESSAGE_ENCRYPT, mechanism != NULL ? &mine : NULL, key);
    return kl_call_leave(&call, rc);
}

CK_RV C_EncryptMessage(CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *aad, CK_ULONG aad_len, CK_BYTE *data,
                       CK_ULONG data_len, CK_BYTE *out, CK_ULONG *out_len)
{
    struct kl_call call;
    struct kl_view in = { data, data_len };
    struct kl_out room = kl_out_from(out, out_len);
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_EncryptMessage, session, KL_NEED_SESSION);

    if (rc == KL_OK && out_len == NULL) rc = KL_ARG;
    if (rc == KL_OK)
        rc =
            kl_message_once(call.session, KL_OP_MESSAGE_ENCRYPT, kl_view_of(parameter, parameter_len), kl_view_of(aad, aad_len), in, &room);
    return kl_call_leave(&call, kl_out_report(&room, out_len, rc));
}

CK_RV C_EncryptMessageBegin(CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *aad, CK_ULONG aad_len)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_EncryptMessageBegin, session, KL_NEED_SESSION);

    if (rc == KL_OK)
        rc = kl_message_begin(call.session, KL_OP_MESSAGE_ENCRYPT, kl_view_of(parameter, parameter_len), kl_view_of(aad, aad_len));
    return kl_call_leave(&call, rc);
}

CK_RV C_EncryptMessageNext(CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *part, CK_ULONG part_len,
                           CK_BYTE *out, CK_ULONG *out_len, CK_FLAGS flags)
{
    struct kl_call call;
    struct kl_view in = { part, part_len };
    struct kl_out room = kl_out_from(out, out_len);
    bool is_last = (flags & CKF_END_OF_MESSAGE) != 0;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_EncryptMessageNext, session, KL_NEED_SESSION);

    if (rc == KL_OK && (out_len == NULL || (flags & ~CKF_END_OF_MESSAGE) != 0)) rc = KL_ARG;
    if (rc == KL_OK) rc = kl_message_next(call.session, KL_OP_MESSAGE_ENCRYPT, kl_view_of(parameter, parameter_len), in, is_last, &room);
    return kl_call_leave(&call, kl_out_report(&room, out_len, rc));
}

CK_RV C_MessageEncryptFinal(CK_SESSION_HANDLE session)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_MessageEncryptFinal, session, KL_NEED_SESSION);

    if (rc == KL_OK) rc = kl_message_final(call.session, KL_OP_MESSAGE_ENCRYPT);
    return kl_call_leave(&call, rc);
}

CK_RV C_MessageDecryptInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    struct kl_call call;
    CK_MECHANISM mine;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_MessageDecryptInit, session, KL_NEED_SESSION);

    /* v3.0: no mechanism ends the operation that is active. */
    if (rc == KL_OK && mechanism != NULL) rc = kl_caller_read(&mine, mechanism, sizeof mine);
    if (rc == KL_OK) rc = kl_op_init(call.session, KL_OP_MESSAGE_DECRYPT, mechanism != NULL ? &mine : NULL, key);
    return kl_call_leave(&call, rc);
}

CK_RV C_DecryptMessage(CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *aad, CK_ULONG aad_len, CK_BYTE *data,
                       CK_ULONG data_len, CK_BYTE *out, CK_ULONG *out_len)
{
    struct kl_call call;
    struct kl_view in = { data, data_len };
    struct kl_out room = kl_out_from(out, out_len);
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_DecryptMessage, session, KL_NEED_SESSION);

    if (rc == KL_OK && out_len == NULL) rc = KL_ARG;
    if (rc == KL_OK)
        rc =
            kl_message_once(call.session, KL_OP_MESSAGE_DECRYPT, kl_view_of(parameter, parameter_len), kl_view_of(aad, aad_len), in, &room);
    return kl_call_leave(&call, kl_out_report(&room, out_len, rc));
}

CK_RV C_DecryptMessageBegin(CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *aad, CK_ULONG aad_len)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_DecryptMessageBegin, session, KL_NEED_SESSION);

    if (rc == KL_OK)
        rc = kl_message_begin(call.session, KL_OP_MESSAGE_DECRYPT, kl_view_of(parameter, parameter_len), kl_view_of(aad, aad_len));
    return kl_call_leave(&call, rc);
}

CK_RV C_DecryptMessageNext(CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *part, CK_ULONG part_len,
                           CK_BYTE *out, CK_ULONG *out_len, CK_FLAGS flags)
{
    struct kl_call call;
    struct kl_view in = { part, part_len };
    struct kl_out room = kl_out_from(out, out_len);
    bool is_last = (flags & CKF_END_OF_MESSAGE) != 0;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_DecryptMessageNext, session, KL_NEED_SESSION);

    if (rc == KL_OK && (out_len == NULL || (flags & ~CKF_END_OF_MESSAGE) != 0)) rc = KL_ARG;
    if (rc == KL_OK) rc = kl_message_next(call.session, KL_OP_MESSAGE_DECRYPT, kl_view_of(parameter, parameter_len), in, is_last, &room);
    return kl_call_leave(&call, kl_out_report(&room, out_len, rc));
}

CK_RV C_MessageDecryptFinal(CK_SESSION_HANDLE session)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_MessageDecryptFinal, session, KL_NEED_SESSION);

    if (rc == KL_OK) rc = kl_message_final(call.session, KL_OP_MESSAGE_DECRYPT);
    return kl_call_leave(&call, rc);
}
