/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The names of PKCS #11's results, for modules that have no words of their own. */
#include <keyladder/pkcs11.h>
#include <stdio.h>

#include "bench_side.h"

#define ROW(name)   \
    {               \
        name, #name \
    }

static const struct {
    CK_RV rv;
    const char *name;
} rows[] = {
    ROW(CKR_HOST_MEMORY),
    ROW(CKR_SLOT_ID_INVALID),
    ROW(CKR_GENERAL_ERROR),
    ROW(CKR_FUNCTION_FAILED),
    ROW(CKR_ARGUMENTS_BAD),
    ROW(CKR_NEED_TO_CREATE_THREADS),
    ROW(CKR_CANT_LOCK),
    ROW(CKR_ATTRIBUTE_TYPE_INVALID),
    ROW(CKR_ATTRIBUTE_VALUE_INVALID),
    ROW(CKR_DATA_INVALID),
    ROW(CKR_DATA_LEN_RANGE),
    ROW(CKR_DEVICE_ERROR),
    ROW(CKR_DEVICE_MEMORY),
    ROW(CKR_DEVICE_REMOVED),
    ROW(CKR_ENCRYPTED_DATA_INVALID),
    ROW(CKR_AEAD_DECRYPT_FAILED),
    ROW(CKR_FUNCTION_NOT_SUPPORTED),
    ROW(CKR_KEY_HANDLE_INVALID),
    ROW(CKR_KEY_SIZE_RANGE),
    ROW(CKR_KEY_TYPE_INCONSISTENT),
    ROW(CKR_KEY_FUNCTION_NOT_PERMITTED),
    ROW(CKR_KEY_EXHAUSTED),
    ROW(CKR_MECHANISM_INVALID),
    ROW(CKR_MECHANISM_PARAM_INVALID),
    ROW(CKR_OBJECT_HANDLE_INVALID),
    ROW(CKR_OPERATION_ACTIVE),
    ROW(CKR_OPERATION_NOT_INITIALIZED),
    ROW(CKR_PIN_INCORRECT),
    ROW(CKR_PIN_INVALID),
    ROW(CKR_PIN_LEN_RANGE),
    ROW(CKR_PIN_EXPIRED),
    ROW(CKR_PIN_LOCKED),
    ROW(CKR_SESSION_COUNT),
    ROW(CKR_SESSION_HANDLE_INVALID),
    ROW(CKR_SESSION_READ_ONLY),
    ROW(CKR_TEMPLATE_INCOMPLETE),
    ROW(CKR_TEMPLATE_INCONSISTENT),
    ROW(CKR_TOKEN_NOT_PRESENT),
    ROW(CKR_TOKEN_NOT_RECOGNIZED),
    ROW(CKR_TOKEN_WRITE_PROTECTED),
    ROW(CKR_USER_ALREADY_LOGGED_IN),
    ROW(CKR_USER_NOT_LOGGED_IN),
    ROW(CKR_USER_PIN_NOT_INITIALIZED),
    ROW(CKR_USER_TYPE_INVALID),
    ROW(CKR_BUFFER_TOO_SMALL),
    ROW(CKR_CRYPTOKI_NOT_INITIALIZED),
    ROW(CKR_CRYPTOKI_ALREADY_INITIALIZED),
    { KL_BENCH_WRONG, "wrong result" },
    { KL_BENCH_FAILED, "failed" },
};

const char *kl_bench_rv_text(unsigned long rv, char out[48])
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].rv != rv) continue;
        snprintf(out, 48, "%s", rows[i].name);
        return out;
    }
    snprintf(out, 48, "0x%08lx", rv);
    return out;
}
