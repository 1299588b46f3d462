/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* PKCS#11 v3.1 5.8: encryption functions. */
#include "keyladder/pkcs11.h"
#include "p11/operate.h"

CK_RV C_EncryptInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    return kl_operate_init(KL_FN_C_EncryptInit, KL_OP_ENCRYPT, session, mechanism, key);
}

CK_RV C_Encrypt(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *out, CK_ULONG *out_len)
{
    return kl_operate_once(KL_FN_C_Encrypt, KL_OP_ENCRYPT, session, (struct kl_view){ data, data_len }, out, out_len);
}

CK_RV C_EncryptUpdate(CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG part_len, CK_BYTE *out, CK_ULONG *out_len)
{
    return kl_operate_update(KL_FN_C_EncryptUpdate, KL_OP_ENCRYPT, session, (struct kl_view){ part, part_len }, out, out_len);
}

CK_RV C_EncryptFinal(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *out_len)
{
    return kl_operate_final(KL_FN_C_EncryptFinal, KL_OP_ENCRYPT, session, out, out_len);
}
