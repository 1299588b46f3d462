/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* PKCS#11 v3.1 5.13: signing and MACing functions. */
#include "keyladder/pkcs11.h"
#include "p11/operate.h"

CK_RV C_SignInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    return kl_operate_init(KL_FN_C_SignInit, KL_OP_SIGN, session, mechanism, key);
}

CK_RV C_Sign(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *signature, CK_ULONG *signature_len)
{
    return kl_operate_once(KL_FN_C_Sign, KL_OP_SIGN, session, (struct kl_view){ data, data_len }, signature, signature_len);
}

CK_RV C_SignUpdate(CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG part_len)
{
    return kl_operate_absorb(KL_FN_C_SignUpdate, KL_OP_SIGN, session, kl_view_of(part, part_len));
}

CK_RV C_SignFinal(CK_SESSION_HANDLE session, CK_BYTE *signature, CK_ULONG *signature_len)
{
    return kl_operate_final(KL_FN_C_SignFinal, KL_OP_SIGN, session, signature, signature_len);
}
