/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* PKCS#11 v3.1 5.5: slot and token management functions. */
#include "keyladder/pkcs11.h"
#include "p11/buffer.h"
#include "p11/call.h"
#include "token/token.h"

#include <string.h>

enum { LABEL_LEN = 32 }; /* of C_InitToken: padded with blanks, without a NUL; PyKCS11 hands on a string as it is */

CK_RV C_GetSlotList(CK_BBOOL token_present, CK_SLOT_ID *slots, CK_ULONG *count)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_GetSlotList, CK_INVALID_HANDLE, KL_NEED_MODULE);

    (void)token_present; /* there is a token in every slot, and be it one to be initialised */
    if (rc == KL_OK) rc = kl_list_room(slots, count, kl_token_count());
    for (CK_ULONG i = 0; rc == KL_OK && slots != NULL && i < kl_token_count(); i++) kl_list_set(slots, i, i);
    return kl_call_leave(&call, rc);
}

CK_RV C_GetSlotInfo(CK_SLOT_ID slot, CK_SLOT_INFO *info)
{
    struct kl_call call;
    CK_SLOT_INFO mine;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_GetSlotInfo, CK_INVALID_HANDLE, KL_NEED_MODULE);

    if (rc == KL_OK) rc = kl_call_find_slot(&call, slot);
    if (rc == KL_OK && info == NULL) rc = KL_ARG;
    if (rc == KL_OK) rc = kl_token_slot_info(call.token, &mine);
    if (rc == KL_OK) rc = kl_caller_write(info, &mine, sizeof mine);
    return kl_call_leave(&call, rc);
}

CK_RV C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
    struct kl_call call;
    CK_TOKEN_INFO mine;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_GetTokenInfo, CK_INVALID_HANDLE, KL_NEED_MODULE);

    if (rc == KL_OK) rc = kl_call_find_slot(&call, slot);
    if (rc == KL_OK && info == NULL) rc = KL_ARG;
    if (rc == KL_OK) rc = kl_token_info(call.token, &mine);
    if (rc == KL_OK) rc = kl_caller_write(info, &mine, sizeof mine);
    return kl_call_leave(&call, rc);
}

CK_RV C_WaitForSlotEvent(CK_FLAGS flags, CK_SLOT_ID *slot, void *reserved)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_WaitForSlotEvent, CK_INVALID_HANDLE, KL_NEED_MODULE);

    if (rc == KL_OK && (slot == NULL || reserved != NULL)) rc = KL_ARG;
    /* Slots come from the configuration: nothing ever happens to one, and nobody is left waiting for it. */
    if (rc == KL_OK) rc = (flags & CKF_DONT_BLOCK) != 0 ? KL_NO_EVENT : KL_NOT_SUPPORTED;
    return kl_call_leave(&call, rc);
}

CK_RV C_GetMechanismList(CK_SLOT_ID slot, CK_MECHANISM_TYPE *mechanisms, CK_ULONG *count)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_GetMechanismList, CK_INVALID_HANDLE, KL_NEED_MODULE);

    if (rc == KL_OK) rc = kl_call_find_slot(&call, slot);
    if (rc == KL_OK) rc = kl_list_room(mechanisms, count, kl_mech_count(call.token));
    for (CK_ULONG i = 0; rc == KL_OK && mechanisms != NULL && i < kl_mech_count(call.token); i++)
        kl_list_set(mechanisms, i, kl_mech_type_at(call.token, i));
    return kl_call_leave(&call, rc);
}

CK_RV C_GetMechanismInfo(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info)
{
    struct kl_call call;
    CK_MECHANISM_INFO mine;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_GetMechanismInfo, CK_INVALID_HANDLE, KL_NEED_MODULE);

    if (rc == KL_OK) rc = kl_call_find_slot(&call, slot);
    if (rc == KL_OK && info == NULL) rc = KL_ARG;
    if (rc == KL_OK) rc = kl_mech_info(call.token, type, &mine);
    if (rc == KL_OK) rc = kl_caller_write(info, &mine, sizeof mine);
    return kl_call_leave(&call, rc);
}

CK_RV C_InitToken(CK_SLOT_ID slot, CK_UTF8CHAR *pin, CK_ULONG pin_len, CK_UTF8CHAR *label)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_InitToken, CK_INVALID_HANDLE, KL_NEED_MODULE);

    if (rc == KL_OK) rc = kl_call_find_slot(&call, slot);
    /* A NULL PIN means a protected authentication path, and there is none. */
    if (rc == KL_OK && (pin == NULL || label == NULL)) rc = KL_ARG;
    /* What is behind a NUL is no part of the caller's string, and need not be readable. */
    if (rc == KL_OK) rc = kl_token_init(call.token, kl_view_of(pin, pin_len), kl_view_of(label, strnlen((const char *)label, LABEL_LEN)));
    return kl_call_leave(&call, rc);
}

CK_RV C_InitPIN(CK_SESSION_HANDLE session, CK_UTF8CHAR *pin, CK_ULONG pin_len)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_InitPIN, session, KL_NEED_TOKEN);

    if (rc == KL_OK && pin == NULL) rc = KL_ARG;
    if (rc == KL_OK) rc = kl_token_init_pin(call.token, call.session_is_rw, kl_view_of(pin, pin_len));
    return kl_call_leave(&call, rc);
}

CK_RV C_SetPIN(CK_SESSION_HANDLE session, CK_UTF8CHAR *old_pin, CK_ULONG old_len, CK_UTF8CHAR *new_pin, CK_ULONG new_len)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_SetPIN, session, KL_NEED_TOKEN);

    if (rc == KL_OK && (old_pin == NULL || new_pin == NULL)) rc = KL_ARG;
    if (rc == KL_OK) rc = kl_token_set_pin(call.token, call.session_is_rw, kl_view_of(old_pin, old_len), kl_view_of(new_pin, new_len));
    return kl_call_leave(&call, rc);
}
