/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "p11/operate.h"

#include "p11/buffer.h"
#include "token/op.h"

KL_HOT CK_RV kl_operate_init(enum kl_fn fn, enum kl_op_kind kind, CK_SESSION_HANDLE session, const CK_MECHANISM *mechanism,
                             CK_OBJECT_HANDLE key)
{
    struct kl_call call;
    CK_MECHANISM mine;
    enum kl_rc rc = kl_call_enter(&call, fn, session, KL_NEED_SESSION);

    if (rc == KL_OK && mechanism != NULL) rc = kl_caller_read(&mine, mechanism, sizeof mine);
    if (rc == KL_OK) rc = kl_op_init(call.session, kind, mechanism != NULL ? &mine : NULL, key);
    return kl_call_leave(&call, rc);
}

KL_HOT CK_RV kl_operate_once(enum kl_fn fn, enum kl_op_kind kind, CK_SESSION_HANDLE session, struct kl_view in, CK_BYTE *out,
                             CK_ULONG *out_len)
{
    struct kl_call call;
    struct kl_out room = kl_out_from(out, out_len);
    enum kl_rc rc = kl_call_enter(&call, fn, session, KL_NEED_SESSION);

    if (rc == KL_OK) rc = kl_out_check(call.session, kind, out_len);
    if (rc == KL_OK) rc = kl_op_once(call.session, kind, in, &room);
    return kl_call_leave(&call, kl_out_report(&room, out_len, rc));
}

CK_RV kl_operate_update(enum kl_fn fn, enum kl_op_kind kind, CK_SESSION_HANDLE session, struct kl_view in, CK_BYTE *out, CK_ULONG *out_len)
{
    struct kl_call call;
    struct kl_out room = kl_out_from(out, out_len);
    enum kl_rc rc = kl_call_enter(&call, fn, session, KL_NEED_SESSION);

    if (rc == KL_OK) rc = kl_out_check(call.session, kind, out_len);
    if (rc == KL_OK) rc = kl_op_update(call.session, kind, in, &room);
    return kl_call_leave(&call, kl_out_report(&room, out_len, rc));
}

CK_RV kl_operate_absorb(enum kl_fn fn, enum kl_op_kind kind, CK_SESSION_HANDLE session, struct kl_view in)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, fn, session, KL_NEED_SESSION);

    if (rc == KL_OK) rc = kl_op_absorb(call.session, kind, in);
    return kl_call_leave(&call, rc);
}

CK_RV kl_operate_final(enum kl_fn fn, enum kl_op_kind kind, CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *out_len)
{
    struct kl_call call;
    struct kl_out room = kl_out_from(out, out_len);
    enum kl_rc rc = kl_call_enter(&call, fn, session, KL_NEED_SESSION);

    if (rc == KL_OK) rc = kl_out_check(call.session, kind, out_len);
    if (rc == KL_OK) rc = kl_op_final(call.session, kind, &room);
    return kl_call_leave(&call, kl_out_report(&room, out_len, rc));
}
