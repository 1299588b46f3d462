/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* PKCS#11 v3.0 5.9 and 5.11: message-based encryption and decryption, which differ in their direction alone. */
#include "keyladder/pkcs11.h"
#include "p11/buffer.h"
#include "p11/call.h"
#include "p11/operate.h"
#include "token/aead_op.h"
#include "token/op.h"

/* Which function it is, in which session. */
struct which {
    enum kl_fn fn;
    enum kl_op_kind kind;
    CK_SESSION_HANDLE session;
};

static KL_HOT CK_RV once(struct which which, struct kl_view parameter, struct kl_aead_text text, CK_BYTE *out, CK_ULONG *out_len)
{
    struct kl_call call;
    struct kl_out room = kl_out_from(out, out_len);
    enum kl_rc rc = kl_call_enter(&call, which.fn, which.session, KL_NEED_SESSION);

    if (rc == KL_OK && out_len == NULL) rc = KL_ARG;
    if (rc == KL_OK) rc = kl_message_once(call.session, which.kind, parameter, &text, &room);
    return kl_call_leave(&call, kl_out_report(&room, out_len, rc));
}

static CK_RV begin(struct which which, struct kl_view parameter, struct kl_view aad)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, which.fn, which.session, KL_NEED_SESSION);

    if (rc == KL_OK) rc = kl_message_begin(call.session, which.kind, parameter, aad);
    return kl_call_leave(&call, rc);
}

static CK_RV next(struct which which, struct kl_view parameter, struct kl_view in, CK_BYTE *out, CK_ULONG *out_len, CK_FLAGS flags)
{
    struct kl_call call;
    struct kl_out room = kl_out_from(out, out_len);
    bool is_last = (flags & CKF_END_OF_MESSAGE) != 0;
    enum kl_rc rc = kl_call_enter(&call, which.fn, which.session, KL_NEED_SESSION);

    if (rc == KL_OK && (out_len == NULL || (flags & ~CKF_END_OF_MESSAGE) != 0)) rc = KL_ARG;
    if (rc == KL_OK) rc = kl_message_next(call.session, which.kind, parameter, in, is_last, &room);
    return kl_call_leave(&call, kl_out_report(&room, out_len, rc));
}

static CK_RV final(struct which which)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, which.fn, which.session, KL_NEED_SESSION);

    if (rc == KL_OK) rc = kl_message_final(call.session, which.kind);
    return kl_call_leave(&call, rc);
}

#define WHICH(name, direction)                           \
    (struct which)                                       \
    {                                                    \
        KL_FN_##name, KL_OP_MESSAGE_##direction, session \
    }

CK_RV C_MessageEncryptInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    return kl_operate_init(KL_FN_C_MessageEncryptInit, KL_OP_MESSAGE_ENCRYPT, session, mechanism, key);
}

CK_RV C_EncryptMessage(CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *aad, CK_ULONG aad_len, CK_BYTE *data,
                       CK_ULONG data_len, CK_BYTE *out, CK_ULONG *out_len)
{
    return once(WHICH(C_EncryptMessage, ENCRYPT), kl_view_of(parameter, parameter_len),
                (struct kl_aead_text){ kl_view_of(aad, aad_len), kl_view_of(data, data_len) }, out, out_len);
}

CK_RV C_EncryptMessageBegin(CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *aad, CK_ULONG aad_len)
{
    return begin(WHICH(C_EncryptMessageBegin, ENCRYPT), kl_view_of(parameter, parameter_len), kl_view_of(aad, aad_len));
}

CK_RV C_EncryptMessageNext(CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *part, CK_ULONG part_len,
                           CK_BYTE *out, CK_ULONG *out_len, CK_FLAGS flags)
{
    return next(WHICH(C_EncryptMessageNext, ENCRYPT), kl_view_of(parameter, parameter_len), kl_view_of(part, part_len), out, out_len,
                flags);
}

CK_RV C_MessageEncryptFinal(CK_SESSION_HANDLE session)
{
    return final(WHICH(C_MessageEncryptFinal, ENCRYPT));
}

CK_RV C_MessageDecryptInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    return kl_operate_init(KL_FN_C_MessageDecryptInit, KL_OP_MESSAGE_DECRYPT, session, mechanism, key);
}

CK_RV C_DecryptMessage(CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *aad, CK_ULONG aad_len, CK_BYTE *data,
                       CK_ULONG data_len, CK_BYTE *out, CK_ULONG *out_len)
{
    return once(WHICH(C_DecryptMessage, DECRYPT), kl_view_of(parameter, parameter_len),
                (struct kl_aead_text){ kl_view_of(aad, aad_len), kl_view_of(data, data_len) }, out, out_len);
}

CK_RV C_DecryptMessageBegin(CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *aad, CK_ULONG aad_len)
{
    return begin(WHICH(C_DecryptMessageBegin, DECRYPT), kl_view_of(parameter, parameter_len), kl_view_of(aad, aad_len));
}

CK_RV C_DecryptMessageNext(CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *part, CK_ULONG part_len,
                           CK_BYTE *out, CK_ULONG *out_len, CK_FLAGS flags)
{
    return next(WHICH(C_DecryptMessageNext, DECRYPT), kl_view_of(parameter, parameter_len), kl_view_of(part, part_len), out, out_len,
                flags);
}

CK_RV C_MessageDecryptFinal(CK_SESSION_HANDLE session)
{
    return final(WHICH(C_MessageDecryptFinal, DECRYPT));
}
