/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* PKCS#11 v3.1 5.10: decryption functions. */
#include "keyladder/pkcs11.h"
#include "p11/operate.h"

CK_RV C_DecryptInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    return kl_operate_init(KL_FN_C_DecryptInit, KL_OP_DECRYPT, session, mechanism, key);
}

CK_RV C_Decrypt(CK_SESSION_HANDLE session, CK_BYTE *sealed, CK_ULONG sealed_len, CK_BYTE *out, CK_ULONG *out_len)
{
    return kl_operate_once(KL_FN_C_Decrypt, KL_OP_DECRYPT, session, (struct kl_view){ sealed, sealed_len }, out, out_len);
}

CK_RV C_DecryptUpdate(CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG part_len, CK_BYTE *out, CK_ULONG *out_len)
{
    return kl_operate_update(KL_FN_C_DecryptUpdate, KL_OP_DECRYPT, session, (struct kl_view){ part, part_len }, out, out_len);
}

CK_RV C_DecryptFinal(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *out_len)
{
    return kl_operate_final(KL_FN_C_DecryptFinal, KL_OP_DECRYPT, session, out, out_len);
}
