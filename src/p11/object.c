/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* PKCS#11 v3.1 5.7: object management functions. */
#include "token/object.h"
#include "keyladder/pkcs11.h"
#include "p11/buffer.h"
#include "p11/call.h"

CK_RV C_CreateObject(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *object)
{
    struct kl_call call;
    struct kl_template mine;
    CK_OBJECT_HANDLE handle;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_CreateObject, session, KL_NEED_SESSION);

    if (rc == KL_OK && object == NULL) rc = KL_ARG;
    if (rc == KL_OK) rc = kl_template_read(&mine, template, count);
    if (rc == KL_OK) rc = kl_object_create(call.session, mine.items, mine.count, &handle);
    if (rc == KL_OK) rc = kl_caller_write(object, &handle, sizeof handle);
    return kl_call_leave(&call, rc);
}

CK_RV C_CopyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *copy)
{
    struct kl_call call;
    struct kl_template mine;
    CK_OBJECT_HANDLE handle;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_CopyObject, session, KL_NEED_SESSION);

    if (rc == KL_OK && copy == NULL) rc = KL_ARG;
    if (rc == KL_OK) rc = kl_template_read(&mine, template, count);
    if (rc == KL_OK) rc = kl_object_copy(call.session, object, mine.items, mine.count, &handle);
    if (rc == KL_OK) rc = kl_caller_write(copy, &handle, sizeof handle);
    return kl_call_leave(&call, rc);
}

CK_RV C_DestroyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_DestroyObject, session, KL_NEED_SESSION);

    if (rc == KL_OK) rc = kl_object_destroy(call.session, object);
    return kl_call_leave(&call, rc);
}

CK_RV C_GetObjectSize(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ULONG *size)
{
    struct kl_call call;
    CK_ULONG mine;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_GetObjectSize, session, KL_NEED_SESSION);

    if (rc == KL_OK && size == NULL) rc = KL_ARG;
    if (rc == KL_OK) rc = kl_object_size(call.session, object, &mine);
    if (rc == KL_OK) rc = kl_caller_write(size, &mine, sizeof mine);
    return kl_call_leave(&call, rc);
}

CK_RV C_GetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *template, CK_ULONG count)
{
    struct kl_call call;
    struct kl_template mine;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_GetAttributeValue, session, KL_NEED_SESSION);

    mine.count = 0;
    if (rc == KL_OK && count == 0) rc = KL_ARG; /* asks for nothing */
    if (rc == KL_OK) rc = kl_template_read(&mine, template, count);
    if (rc == KL_OK) rc = kl_object_read(call.session, object, mine.items, mine.count);
    /* v3.1 5.7.5: one attribute's failure does not keep the others' lengths from the caller. */
    kl_template_return(&mine, template);
    return kl_call_leave(&call, rc);
}

CK_RV C_SetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *template, CK_ULONG count)
{
    struct kl_call call;
    struct kl_template mine;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_SetAttributeValue, session, KL_NEED_SESSION);

    if (rc == KL_OK && count == 0) rc = KL_ARG;
    if (rc == KL_OK) rc = kl_template_read(&mine, template, count);
    if (rc == KL_OK) rc = kl_object_write(call.session, object, mine.items, mine.count);
    return kl_call_leave(&call, rc);
}

CK_RV C_FindObjectsInit(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG count)
{
    struct kl_call call;
    struct kl_template mine;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_FindObjectsInit, session, KL_NEED_SESSION);

    if (rc == KL_OK) rc = kl_template_read(&mine, template, count);
    if (rc == KL_OK) rc = kl_find_init(call.session, mine.items, mine.count);
    return kl_call_leave(&call, rc);
}

/* In pieces, since the caller's array may be misaligned and `room` any number. */
static enum kl_rc find(struct kl_session *session, CK_OBJECT_HANDLE *objects, CK_ULONG room, CK_ULONG *total)
{
    CK_OBJECT_HANDLE piece[64];
    CK_ULONG got = 0, wanted;

    *total = 0;
    do {
        wanted = room - *total < sizeof piece / sizeof *piece ? room - *total : sizeof piece / sizeof *piece;
        KL_TRY(kl_find_next(session, piece, wanted, &got));
        for (CK_ULONG i = 0; i < got; i++) kl_list_set(objects, *total + i, piece[i]);
        *total += got;
    } while (got == wanted && *total < room);
    return KL_OK;
}

CK_RV C_FindObjects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *objects, CK_ULONG room, CK_ULONG *count)
{
    struct kl_call call;
    CK_ULONG total;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_FindObjects, session, KL_NEED_SESSION);

    if (rc == KL_OK && (count == NULL || (objects == NULL && room > 0))) rc = KL_ARG;
    if (rc == KL_OK) rc = find(call.session, objects, room, &total);
    if (rc == KL_OK) rc = kl_caller_write(count, &total, sizeof total);
    return kl_call_leave(&call, rc);
}

CK_RV C_FindObjectsFinal(CK_SESSION_HANDLE session)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_FindObjectsFinal, session, KL_NEED_SESSION);

    if (rc == KL_OK) rc = kl_find_final(call.session);
    return kl_call_leave(&call, rc);
}
