/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A module that is wrong on purpose: BROKEN_MODULE's, but for the one fault that
 * BROKEN names. tests/integration/t_interop asks whether each of them is found.
 */
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static CK_FUNCTION_LIST *good, broken;

/* ---- "tag": a tampered ciphertext decrypts ---- */
static CK_RV decrypt_anything(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG len, CK_BYTE *out, CK_ULONG *out_len)
{
    CK_RV rv = good->C_Decrypt(session, data, len, out, out_len);

    if (rv != CKR_ENCRYPTED_DATA_INVALID || len < 16 || !out || *out_len < len - 16) return rv;
    memset(out, 0, len - 16);
    *out_len = len - 16;
    return CKR_OK;
}

/* ---- "crash" ---- */
static CK_RV encrypt_and_die(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG len, CK_BYTE *out, CK_ULONG *out_len)
{
    (void)session, (void)data, (void)len, (void)out, (void)out_len;
    raise(SIGSEGV);
    return CKR_OK;
}

/* ---- "hang" ---- */
static CK_RV random_never(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG len)
{
    (void)session, (void)out, (void)len;
    for (;;) pause();
}

/* ---- "constant": random numbers that are none ---- */
static CK_RV random_constant(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG len)
{
    (void)session;
    memset(out, 4, len);
    return CKR_OK;
}

/* ---- "overrun": a short buffer is written over its end ---- */
static CK_RV encrypt_over(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG len, CK_BYTE *out, CK_ULONG *out_len)
{
    CK_RV rv = good->C_Encrypt(session, data, len, out, out_len);

    if (rv == CKR_BUFFER_TOO_SMALL && out) memset(out, 0, *out_len);
    return rv;
}

/* ---- "sensitive": the value of a key that does not show it ---- */
static CK_RV get_anything(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *attrs, CK_ULONG count)
{
    CK_RV rv = good->C_GetAttributeValue(session, object, attrs, count);

    if (rv != CKR_ATTRIBUTE_SENSITIVE || attrs->type != CKA_VALUE || !attrs->pValue) return rv;
    memset(attrs->pValue, 0x5e, 32);
    attrs->ulValueLen = 32;
    return CKR_OK;
}

/* ---- "leak": the right code, and the bytes all the same ---- */
static CK_RV get_and_refuse(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *attrs, CK_ULONG count)
{
    CK_RV rv = good->C_GetAttributeValue(session, object, attrs, count);

    if (rv == CKR_ATTRIBUTE_SENSITIVE && attrs->pValue) memset(attrs->pValue, 0x5e, 16);
    return rv;
}

/* ---- "result": one bit of every ciphertext is another ---- */
static CK_RV encrypt_wrongly(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG len, CK_BYTE *out, CK_ULONG *out_len)
{
    CK_RV rv = good->C_Encrypt(session, data, len, out, out_len);

    if (rv == CKR_OK && out && *out_len > 0) out[0] ^= 1;
    return rv;
}

/* ---- "iv": another IV than the caller's ---- */
static CK_RV encrypt_init_other_iv(CK_SESSION_HANDLE session, CK_MECHANISM *mech, CK_OBJECT_HANDLE key)
{
    if (mech && mech->mechanism == CKM_AES_GCM && mech->pParameter) (*(CK_BYTE **)mech->pParameter)[0] ^= 0x80;
    return good->C_EncryptInit(session, mech, key);
}

/* ---- "pin": whatever PIN ---- */
static CK_RV login_anyhow(CK_SESSION_HANDLE session, CK_USER_TYPE who, CK_UTF8CHAR *pin, CK_ULONG len)
{
    CK_RV rv = good->C_Login(session, who, pin, len);

    return rv == CKR_PIN_INCORRECT ? CKR_OK : rv;
}

/* ---- "code": a wrong PIN is something else ---- */
static CK_RV login_other_code(CK_SESSION_HANDLE session, CK_USER_TYPE who, CK_UTF8CHAR *pin, CK_ULONG len)
{
    CK_RV rv = good->C_Login(session, who, pin, len);

    return rv == CKR_PIN_INCORRECT ? CKR_GENERAL_ERROR : rv;
}

/* ---- "mac": every MAC is right ---- */
static CK_RV verify_anything(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG len, CK_BYTE *mac, CK_ULONG mac_len)
{
    CK_RV rv = good->C_Verify(session, data, len, mac, mac_len);

    return rv == CKR_SIGNATURE_INVALID ? CKR_OK : rv;
}

/* ---- "listed": a mechanism that the list has, and C_EncryptInit has not ---- */
static CK_RV encrypt_init_none(CK_SESSION_HANDLE session, CK_MECHANISM *mech, CK_OBJECT_HANDLE key)
{
    (void)session, (void)mech, (void)key;
    return CKR_MECHANISM_INVALID;
}

/* ---- "absent": the same, said of the whole function ---- */
static CK_RV encrypt_init_absent(CK_SESSION_HANDLE session, CK_MECHANISM *mech, CK_OBJECT_HANDLE key)
{
    (void)session, (void)mech, (void)key;
    return CKR_FUNCTION_NOT_SUPPORTED;
}

/* ---- "keeps": nothing is destroyed ---- */
static CK_RV destroy_nothing(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
    (void)session, (void)object;
    return CKR_OK;
}

static void break_it(const char *fault)
{
    if (strcmp(fault, "tag") == 0) broken.C_Decrypt = decrypt_anything;
    if (strcmp(fault, "crash") == 0) broken.C_Encrypt = encrypt_and_die;
    if (strcmp(fault, "hang") == 0) broken.C_GenerateRandom = random_never;
    if (strcmp(fault, "constant") == 0) broken.C_GenerateRandom = random_constant;
    if (strcmp(fault, "overrun") == 0) broken.C_Encrypt = encrypt_over;
    if (strcmp(fault, "sensitive") == 0) broken.C_GetAttributeValue = get_anything;
    if (strcmp(fault, "leak") == 0) broken.C_GetAttributeValue = get_and_refuse;
    if (strcmp(fault, "result") == 0) broken.C_Encrypt = encrypt_wrongly;
    if (strcmp(fault, "iv") == 0) broken.C_EncryptInit = encrypt_init_other_iv;
    if (strcmp(fault, "pin") == 0) broken.C_Login = login_anyhow;
    if (strcmp(fault, "code") == 0) broken.C_Login = login_other_code;
    if (strcmp(fault, "mac") == 0) broken.C_Verify = verify_anything;
    if (strcmp(fault, "listed") == 0) broken.C_EncryptInit = encrypt_init_none;
    if (strcmp(fault, "absent") == 0) broken.C_EncryptInit = encrypt_init_absent;
    if (strcmp(fault, "keeps") == 0) broken.C_DestroyObject = destroy_nothing;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
    void *module = dlopen(getenv("BROKEN_MODULE"), RTLD_NOW | RTLD_LOCAL);
    CK_RV (*get)(CK_FUNCTION_LIST **);

    if (!module) return CKR_GENERAL_ERROR;
    *(void **)&get = dlsym(module, "C_GetFunctionList");
    if (!get || get(&good) != CKR_OK) return CKR_GENERAL_ERROR;
    broken = *good;
    break_it(getenv("BROKEN"));
    *list = &broken;
    return CKR_OK;
}
