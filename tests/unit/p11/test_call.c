/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What stands around every C_ function. kl_random_fill and kl_object_size are ours here, so that something can happen inside a call. */
#include "p11/call.h"

#include <errno.h>

#include "../token/sandbox.h"
#include "../unit.h"
#include "crypto/random.h"
#include "token/object.h"

/* What a call finds inside: a caller that comes back, or a result. */
static bool calls_back;
static CK_RV inner_get_info, inner_session_info, inner_initialize, inner_finalize;
static enum kl_rc inner_rc;
static CK_SESSION_HANDLE session;

enum kl_rc __real_kl_random_fill(void *out, size_t len);
enum kl_rc __wrap_kl_random_fill(void *out, size_t len);
enum kl_rc __wrap_kl_object_size(struct kl_session *of, CK_OBJECT_HANDLE handle, CK_ULONG *size);

enum kl_rc __wrap_kl_random_fill(void *out, size_t len)
{
    CK_INFO info;
    CK_SESSION_INFO session_info;

    if (!calls_back) return __real_kl_random_fill(out, len);
    inner_get_info = C_GetInfo(&info);
    inner_session_info = C_GetSessionInfo(session, &session_info);
    inner_initialize = C_Initialize(NULL);
    inner_finalize = C_Finalize(NULL);
    return KL_OK;
}

enum kl_rc __wrap_kl_object_size(struct kl_session *of, CK_OBJECT_HANDLE handle, CK_ULONG *size)
{
    (void)of;
    (void)handle;
    (void)size;
    errno = EDOM;
    return inner_rc == KL_STORE ? kl_fail(KL_STORE, "the disk is on fire") : inner_rc;
}

static void begin(void)
{
    token_begin();
    CU_ASSERT_EQUAL_FATAL(C_OpenSession(0, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session), CKR_OK);
}

static CK_RV size_of_an_object(enum kl_rc rc)
{
    CK_ULONG size;

    inner_rc = rc;
    return C_GetObjectSize(session, 1, &size);
}

static CK_ULONG device_error(void)
{
    CK_SESSION_INFO info = { .ulDeviceError = 99 };

    CU_ASSERT_EQUAL(C_GetSessionInfo(session, &info), CKR_OK);
    return info.ulDeviceError;
}

static unsigned lines_with(const char *words)
{
    char command[256];
    unsigned count = 99;
    FILE *pipe;

    snprintf(command, sizeof command, "grep -c '%s' %s/log", words, sandbox.folder);
    pipe = popen(command, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(pipe);
    CU_ASSERT_EQUAL(fscanf(pipe, "%u", &count), 1);
    pclose(pipe);
    return count;
}

/* --- entering ---------------------------------------------------------- */

static void nothing_works_before_initialize_and_after_finalize(void)
{
    CK_INFO info;
    CK_SESSION_INFO session_info;
    CK_BYTE byte;

    for (size_t round = 0; round < 2; round++) {
        CU_ASSERT_EQUAL(C_GetInfo(&info), CKR_CRYPTOKI_NOT_INITIALIZED);
        CU_ASSERT_EQUAL(C_GetSessionInfo(session, &session_info), CKR_CRYPTOKI_NOT_INITIALIZED);
        CU_ASSERT_EQUAL(C_GenerateRandom(session, &byte, 1), CKR_CRYPTOKI_NOT_INITIALIZED);
        CU_ASSERT_EQUAL(C_CloseSession(session), CKR_CRYPTOKI_NOT_INITIALIZED);
        CU_ASSERT_EQUAL(C_Login(session, CKU_USER, &byte, 1), CKR_CRYPTOKI_NOT_INITIALIZED);
        CU_ASSERT_EQUAL(C_DigestInit(session, NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
        CU_ASSERT_EQUAL(C_GetFunctionStatus(session), CKR_CRYPTOKI_NOT_INITIALIZED);
        CU_ASSERT_EQUAL(C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
        begin();
        token_end();
    }
}

static void a_library_that_calls_back_is_refused_and_does_not_hang(void)
{
    CK_BYTE byte;

    begin();
    calls_back = true;
    CU_ASSERT_EQUAL(C_GenerateRandom(session, &byte, 1), CKR_OK);
    calls_back = false;
    CU_ASSERT_EQUAL(inner_get_info, CKR_FUNCTION_FAILED);
    CU_ASSERT_EQUAL(inner_session_info, CKR_FUNCTION_FAILED);
    CU_ASSERT_EQUAL(inner_initialize, CKR_FUNCTION_FAILED);
    CU_ASSERT_EQUAL(inner_finalize, CKR_FUNCTION_FAILED);
    /* The guard is the outer call's and goes with it. */
    CU_ASSERT_EQUAL(C_GenerateRandom(session, &byte, 1), CKR_OK);
    token_end();
}

static void a_session_that_is_not_there_is_refused(void)
{
    CK_BYTE byte;

    begin();
    CU_ASSERT_EQUAL(C_GenerateRandom(session + 1, &byte, 1), CKR_SESSION_HANDLE_INVALID);
    CU_ASSERT_EQUAL(C_Login(session + 1, CKU_USER, &byte, 1), CKR_SESSION_HANDLE_INVALID);
    CU_ASSERT_EQUAL(C_CloseSession(0), CKR_SESSION_HANDLE_INVALID);
    CU_ASSERT_EQUAL(C_GenerateRandom(session, &byte, 1), CKR_OK);
    token_end();
}

/* --- leaving ----------------------------------------------------------- */

static void a_failure_lets_go_of_the_session(void)
{
    begin();
    for (size_t i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(size_of_an_object(KL_OBJECT), CKR_OBJECT_HANDLE_INVALID);
        CU_ASSERT_EQUAL(size_of_an_object(KL_STORE), CKR_DEVICE_ERROR);
    }
    CU_ASSERT_EQUAL(C_CloseSession(session), CKR_OK);
    token_end();
}

static void errno_is_left_as_it_was(void)
{
    CK_INFO info;

    begin();
    errno = ERANGE;
    CU_ASSERT_EQUAL(size_of_an_object(KL_STORE), CKR_DEVICE_ERROR);
    CU_ASSERT_EQUAL(errno, ERANGE);
    CU_ASSERT_EQUAL(C_GetInfo(&info), CKR_OK);
    CU_ASSERT_EQUAL(errno, ERANGE);
    token_end();
}

static void a_mishap_has_the_name_that_its_function_knows(void)
{
    CU_ASSERT_EQUAL(kl_call_answer(KL_FN_C_GetAttributeValue, KL_OBJECT), CKR_OBJECT_HANDLE_INVALID);
    CU_ASSERT_EQUAL(kl_call_answer(KL_FN_C_EncryptInit, KL_OBJECT), CKR_KEY_HANDLE_INVALID);
    CU_ASSERT_EQUAL(kl_call_answer(KL_FN_C_DeriveKey, KL_OBJECT), CKR_KEY_HANDLE_INVALID);
    CU_ASSERT_EQUAL(kl_call_answer(KL_FN_C_Decrypt, KL_CIPHERTEXT), CKR_ENCRYPTED_DATA_INVALID);
    CU_ASSERT_EQUAL(kl_call_answer(KL_FN_C_DecryptMessage, KL_CIPHERTEXT), CKR_AEAD_DECRYPT_FAILED);
    CU_ASSERT_EQUAL(kl_call_answer(KL_FN_C_Encrypt, KL_ROOT_REFUSED), CKR_DEVICE_REMOVED);
    CU_ASSERT_EQUAL(kl_call_answer(KL_FN_C_GetTokenInfo, KL_ROOT_REFUSED), CKR_TOKEN_NOT_PRESENT);
    for (size_t rc = 1; rc < KL_RC_COUNT; rc++) CU_ASSERT_NOT_EQUAL(kl_call_answer(KL_FN_C_Encrypt, (enum kl_rc)rc), CKR_OK);
}

static void tampering_shows_in_the_session_and_nothing_else_does(void)
{
    begin();
    CU_ASSERT_EQUAL(size_of_an_object(KL_STORE), CKR_DEVICE_ERROR);
    CU_ASSERT_EQUAL(device_error(), 0);
    CU_ASSERT_EQUAL(size_of_an_object(KL_INTEGRITY), CKR_DEVICE_ERROR);
    CU_ASSERT_EQUAL(device_error(), KL_DEVICE_ERROR_INTEGRITY);
    token_end();
}

static void a_failure_of_the_store_is_one_line_with_its_words(void)
{
    begin();
    CU_ASSERT_EQUAL(size_of_an_object(KL_STORE), CKR_DEVICE_ERROR);
    CU_ASSERT_EQUAL(lines_with("error .*C_GetObjectSize on token \"demo\": STORE: the disk is on fire"), 1);
    CU_ASSERT_EQUAL(size_of_an_object(KL_INTEGRITY), CKR_DEVICE_ERROR);
    /* Of the call before no word is left. */
    CU_ASSERT_EQUAL(lines_with("on fire"), 1);
    CU_ASSERT_EQUAL(lines_with("error .*INTEGRITY"), 1);
    token_end();
}

static void a_callers_mistake_is_for_the_debug_log(void)
{
    begin();
    CU_ASSERT_EQUAL(size_of_an_object(KL_OBJECT), CKR_OBJECT_HANDLE_INVALID);
    CU_ASSERT_EQUAL(lines_with("debug .*C_GetObjectSize.*OBJECT"), 1);
    CU_ASSERT_EQUAL(lines_with(" error "), 0);
    CU_ASSERT_EQUAL(lines_with(" warning "), 0);
    token_end();
}

UNIT_MAIN("p11/call", UNIT(nothing_works_before_initialize_and_after_finalize),
          UNIT(a_library_that_calls_back_is_refused_and_does_not_hang), UNIT(a_session_that_is_not_there_is_refused),
          UNIT(a_failure_lets_go_of_the_session), UNIT(errno_is_left_as_it_was), UNIT(a_mishap_has_the_name_that_its_function_knows),
          UNIT(tampering_shows_in_the_session_and_nothing_else_does), UNIT(a_failure_of_the_store_is_one_line_with_its_words),
          UNIT(a_callers_mistake_is_for_the_debug_log))
