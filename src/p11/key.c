/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* PKCS#11 v3.1 5.18: key management functions. */
#include "keyladder/pkcs11.h"
#include "p11/buffer.h"
#include "p11/call.h"
#include "token/object.h"
#include "token/wrap.h"

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

/* The four functions below differ in what they take, not in what they do. */

/* `mine` has the caller's mechanism, and our copy of it afterwards. */
static enum kl_rc read_wrap_call(struct kl_wrap_call *mine, CK_MECHANISM *how)
{
    KL_TRY(kl_caller_read(how, mine->mechanism, sizeof *how));
    KL_CHECK(mine->aad.data != NULL || mine->aad.len == 0, KL_ARG);
    mine->mechanism = how;
    return KL_OK;
}

static CK_RV wrap(enum kl_fn fn, CK_SESSION_HANDLE session, struct kl_wrap_call mine, CK_OBJECT_HANDLE key, CK_BYTE *wrapped,
                  CK_ULONG *wrapped_len)
{
    struct kl_call call;
    CK_MECHANISM how;
    struct kl_out room = kl_out_from(wrapped, wrapped_len);
    enum kl_rc rc = kl_call_enter(&call, fn, session, KL_NEED_SESSION);

    if (rc == KL_OK && wrapped_len == NULL) rc = KL_ARG;
    if (rc == KL_OK) rc = read_wrap_call(&mine, &how);
    if (rc == KL_OK) rc = kl_object_wrap(call.session, &mine, key, &room);
    return kl_call_leave(&call, kl_out_report(&room, wrapped_len, rc));
}

/* What an unwrapping makes: a template, and the place for the handle. */
struct making {
    CK_ATTRIBUTE *template;
    CK_ULONG count;
    CK_OBJECT_HANDLE *key;
};

static CK_RV unwrap(enum kl_fn fn, CK_SESSION_HANDLE session, struct kl_wrap_call mine, struct kl_view wrapped, struct making making)
{
    struct kl_call call;
    struct kl_template template;
    CK_MECHANISM how;
    CK_OBJECT_HANDLE handle;
    enum kl_rc rc = kl_call_enter(&call, fn, session, KL_NEED_SESSION);

    if (rc == KL_OK && making.key == NULL) rc = KL_ARG;
    if (rc == KL_OK) rc = read_wrap_call(&mine, &how);
    if (rc == KL_OK) rc = kl_template_read(&template, making.template, making.count);
    if (rc == KL_OK) rc = kl_object_unwrap(call.session, &mine, wrapped, template.items, template.count, &handle);
    if (rc == KL_OK) rc = kl_caller_write(making.key, &handle, sizeof handle);
    return kl_call_leave(&call, rc);
}

CK_RV C_WrapKey(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE wrapping_key, CK_OBJECT_HANDLE key, CK_BYTE *wrapped,
                CK_ULONG *wrapped_len)
{
    struct kl_wrap_call mine = { .mechanism = mechanism, .key = wrapping_key };

    return wrap(KL_FN_C_WrapKey, session, mine, key, wrapped, wrapped_len);
}

CK_RV C_WrapKeyAuthenticated(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE wrapping_key, CK_OBJECT_HANDLE key,
                             CK_BYTE *aad, CK_ULONG aad_len, CK_BYTE *wrapped, CK_ULONG *wrapped_len)
{
    struct kl_wrap_call mine = { .mechanism = mechanism, .key = wrapping_key, .is_authenticated = true, .aad = { aad, aad_len } };

    return wrap(KL_FN_C_WrapKeyAuthenticated, session, mine, key, wrapped, wrapped_len);
}

CK_RV C_UnwrapKey(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE unwrapping_key, CK_BYTE *wrapped,
                  CK_ULONG wrapped_len, CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *key)
{
    struct kl_wrap_call mine = { .mechanism = mechanism, .key = unwrapping_key };

    return unwrap(KL_FN_C_UnwrapKey, session, mine, kl_view_of(wrapped, wrapped_len), (struct making){ template, count, key });
}

CK_RV C_UnwrapKeyAuthenticated(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE unwrapping_key, CK_BYTE *wrapped,
                               CK_ULONG wrapped_len, CK_ATTRIBUTE *template, CK_ULONG count, CK_BYTE *aad, CK_ULONG aad_len,
                               CK_OBJECT_HANDLE *key)
{
    struct kl_wrap_call mine = { .mechanism = mechanism, .key = unwrapping_key, .is_authenticated = true, .aad = { aad, aad_len } };

    return unwrap(KL_FN_C_UnwrapKeyAuthenticated, session, mine, kl_view_of(wrapped, wrapped_len), (struct making){ template, count, key });
}
