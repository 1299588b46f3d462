/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* PKCS#11 v3.1 5.18: key management functions. */
#include "keyladder/pkcs11.h"
#include "p11/buffer.h"
#include "p11/call.h"
#include "token/object.h"

CK_RV C_GenerateKey(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *key)
{
    struct kl_call call;
    struct kl_template mine;
    CK_MECHANISM how;
    CK_OBJECT_HANDLE handle;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_GenerateKey, session, KL_NEED_SESSION);

    if (rc == KL_OK && key == NULL) rc = KL_ARG;
    if (rc == KL_OK) rc = kl_caller_read(&how, mechanism, sizeof how);
    if (rc == KL_OK) rc = kl_template_read(&mine, template, count);
    if (rc == KL_OK) rc = kl_object_generate(call.session, &how, mine.items, mine.count, &handle);
    if (rc == KL_OK) rc = kl_caller_write(key, &handle, sizeof handle);
    return kl_call_leave(&call, rc);
}

CK_RV C_DeriveKey(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE base, CK_ATTRIBUTE *template, CK_ULONG count,
                  CK_OBJECT_HANDLE *key)
{
    struct kl_call call;
    struct kl_template mine;
    CK_MECHANISM how;
    CK_OBJECT_HANDLE handle;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_DeriveKey, session, KL_NEED_SESSION);

    if (rc == KL_OK && key == NULL) rc = KL_ARG;
    if (rc == KL_OK) rc = kl_caller_read(&how, mechanism, sizeof how);
    if (rc == KL_OK) rc = kl_template_read(&mine, template, count);
    if (rc == KL_OK) rc = kl_object_derive(call.session, &how, base, mine.items, mine.count, &handle);
    if (rc == KL_OK) rc = kl_caller_write(key, &handle, sizeof handle);
    return kl_call_leave(&call, rc);
}
