/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* PKCS#11 v3.1 5.6: session management functions. */
#include "token/session.h"
#include "keyladder/pkcs11.h"
#include "p11/buffer.h"
#include "p11/call.h"
#include "token/object.h"
#include "token/op.h"
#include "token/token.h"

CK_RV C_OpenSession(CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify, CK_SESSION_HANDLE *session)
{
    struct kl_call call;
    CK_SESSION_HANDLE handle;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_OpenSession, CK_INVALID_HANDLE, KL_NEED_MODULE);

    (void)application; /* nobody is ever notified: there are no callbacks without surrender (v3.1 5.21) */
    (void)notify;
    if (rc == KL_OK) rc = kl_call_find_slot(&call, slot);
    if (rc == KL_OK && session == NULL) rc = KL_ARG;
    if (rc == KL_OK && (flags & CKF_ASYNC_SESSION) != 0) rc = KL_SESSION_ASYNC;
    if (rc == KL_OK) rc = kl_session_open(call.token, flags, &handle);
    if (rc == KL_OK) rc = kl_caller_write(session, &handle, sizeof handle);
    return kl_call_leave(&call, rc);
}

CK_RV C_CloseSession(CK_SESSION_HANDLE session)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_CloseSession, CK_INVALID_HANDLE, KL_NEED_MODULE);

    if (rc == KL_OK) rc = kl_session_close(session);
    return kl_call_leave(&call, rc);
}

CK_RV C_CloseAllSessions(CK_SLOT_ID slot)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_CloseAllSessions, CK_INVALID_HANDLE, KL_NEED_MODULE);

    if (rc == KL_OK) rc = kl_call_find_slot(&call, slot);
    if (rc == KL_OK) rc = kl_session_close_all(call.token);
    return kl_call_leave(&call, rc);
}

CK_RV C_GetSessionInfo(CK_SESSION_HANDLE session, CK_SESSION_INFO *info)
{
    struct kl_call call;
    CK_SESSION_INFO mine;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_GetSessionInfo, session, KL_NEED_SESSION);

    if (rc == KL_OK) rc = kl_session_info(call.session, &mine);
    if (rc == KL_OK) rc = kl_caller_write(info, &mine, sizeof mine);
    return kl_call_leave(&call, rc);
}

/* v3.0 5.6.13: the flags of the operations to be ended; all of them end, and none being active is no mistake. */
static void cancel(struct kl_session *session, CK_FLAGS flags)
{
    static const struct {
        CK_FLAGS flag;
        enum kl_op_kind kind;
    } operations[] = {
        { CKF_ENCRYPT, KL_OP_ENCRYPT },
        { CKF_DECRYPT, KL_OP_DECRYPT },
        { CKF_MESSAGE_ENCRYPT, KL_OP_MESSAGE_ENCRYPT },
        { CKF_MESSAGE_DECRYPT, KL_OP_MESSAGE_DECRYPT },
        { CKF_SIGN, KL_OP_SIGN },
        { CKF_VERIFY, KL_OP_VERIFY },
        { CKF_DIGEST, KL_OP_DIGEST },
        { CKF_FIND_OBJECTS, KL_OP_FIND },
    };

    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        if ((flags & operations[i].flag) != 0) kl_op_clear(session, operations[i].kind);
}

CK_RV C_SessionCancel(CK_SESSION_HANDLE session, CK_FLAGS flags)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_SessionCancel, session, KL_NEED_SESSION);

    if (rc == KL_OK) cancel(call.session, flags);
    return kl_call_leave(&call, rc);
}

CK_RV C_Login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG pin_len)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_Login, session, KL_NEED_TOKEN);

    if (rc == KL_OK && pin == NULL) rc = KL_ARG;
    if (rc == KL_OK) rc = kl_token_login(call.token, user, kl_view_of(pin, pin_len));
    return kl_call_leave(&call, rc);
}

/* v3.0 5.6.9. The roles have no names; operators with names and rights of their own are not there yet, so that none is known. */
CK_RV C_LoginUser(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG pin_len, CK_UTF8CHAR *name, CK_ULONG name_len)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_LoginUser, session, KL_NEED_TOKEN);

    if (rc == KL_OK && (pin == NULL || (name == NULL && name_len > 0))) rc = KL_ARG;
    if (rc == KL_OK && name_len > 0) rc = kl_fail(KL_PIN_WRONG, "the token has no operator of this name");
    if (rc == KL_OK) rc = kl_token_login(call.token, user, kl_view_of(pin, pin_len));
    return kl_call_leave(&call, rc);
}

/* v3.2 5.6.12: nothing here has been validated by anybody, and nothing says so. */
CK_RV C_GetSessionValidationFlags(CK_SESSION_HANDLE session, CK_SESSION_VALIDATION_FLAGS_TYPE type, CK_FLAGS *flags)
{
    struct kl_call call;
    CK_FLAGS none = 0;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_GetSessionValidationFlags, session, KL_NEED_SESSION);

    if (rc == KL_OK && type != CKS_LAST_VALIDATION_OK) rc = KL_ARG;
    if (rc == KL_OK) rc = kl_caller_write(flags, &none, sizeof none);
    return kl_call_leave(&call, rc);
}

CK_RV C_Logout(CK_SESSION_HANDLE session)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_Logout, session, KL_NEED_TOKEN);

    if (rc == KL_OK) rc = kl_token_logout(call.token);
    return kl_call_leave(&call, rc);
}
