/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* keyladder/pkcs11.h against the numbers, sizes and orders of the standard. */
#include "keyladder/pkcs11.h"

#include <stddef.h>
#include <stdio.h>

#include <CUnit/Basic.h>

struct number {
    const char *name;
    unsigned long is;
    unsigned long ought;
};

#define N(name, ought)     \
    {                      \
#name, name, ought \
    }

/* PKCS #11 3.2, its header pkcs11t.h. */
static const struct number numbers[] = {
    /* what older headers have as well, as a sample */
    N(CKR_OK, 0x0),
    N(CKR_ARGUMENTS_BAD, 0x7),
    N(CKR_ENCRYPTED_DATA_INVALID, 0x40),
    N(CKR_BUFFER_TOO_SMALL, 0x150),
    N(CKR_CRYPTOKI_NOT_INITIALIZED, 0x190),
    N(CKM_AES_KEY_GEN, 0x1080),
    N(CKM_AES_GCM, 0x1087),
    N(CKM_AES_KEY_WRAP, 0x2109),
    N(CKM_SHA256_HMAC, 0x251),
    N(CKA_VALUE_LEN, 0x161),
    N(CKA_UNWRAP_TEMPLATE, 0x40000212),
    N(CKK_AES, 0x1f),
    N(CKO_SECRET_KEY, 0x4),
    /* what came with 3.0 to 3.2 */
    N(CKF_INTERFACE_FORK_SAFE, 0x1),
    N(CKF_END_OF_MESSAGE, 0x1),
    N(CKF_MESSAGE_ENCRYPT, 0x2),
    N(CKF_MESSAGE_DECRYPT, 0x4),
    N(CKF_MESSAGE_SIGN, 0x8),
    N(CKF_MESSAGE_VERIFY, 0x10),
    N(CKF_MULTI_MESSAGE, 0x20),
    N(CKF_FIND_OBJECTS, 0x40),
    N(CKF_EC_CURVENAME, 0x4000000),
    N(CKF_ENCAPSULATE, 0x10000000),
    N(CKF_DECAPSULATE, 0x20000000),
    N(CKF_ERROR_STATE, 0x1000000),
    N(CKF_SEED_RANDOM_REQUIRED, 0x2000000),
    N(CKF_ASYNC_SESSION_SUPPORTED, 0x4000000),
    N(CKF_ASYNC_SESSION, 0x8),
    N(CKO_PROFILE, 0x9),
    N(CKO_VALIDATION, 0xa),
    N(CKO_TRUST, 0xb),
    N(CKP_INVALID_ID, 0x0),
    N(CKP_BASELINE_PROVIDER, 0x1),
    N(CKP_EXTENDED_PROVIDER, 0x2),
    N(CKP_AUTHENTICATION_TOKEN, 0x3),
    N(CKP_PUBLIC_CERTIFICATES_TOKEN, 0x4),
    N(CKP_COMPLETE_PROVIDER, 0x5),
    N(CKP_HKDF_TLS_TOKEN, 0x6),
    N(CKP_VENDOR_DEFINED, 0x80000000),
    N(CKK_CHACHA20, 0x33),
    N(CKK_POLY1305, 0x34),
    N(CKK_AES_XTS, 0x35),
    N(CKK_SHA3_224_HMAC, 0x36),
    N(CKK_SHA3_256_HMAC, 0x37),
    N(CKK_SHA3_384_HMAC, 0x38),
    N(CKK_SHA3_512_HMAC, 0x39),
    N(CKK_SALSA20, 0x3e),
    N(CKK_EC_EDWARDS, 0x40),
    N(CKK_EC_MONTGOMERY, 0x41),
    N(CKK_HKDF, 0x42),
    N(CKK_SHA512_224_HMAC, 0x43),
    N(CKK_SHA512_256_HMAC, 0x44),
    N(CKK_SHA512_T_HMAC, 0x45),
    N(CKK_HSS, 0x46),
    N(CKK_XMSS, 0x47),
    N(CKK_XMSSMT, 0x48),
    N(CKK_ML_KEM, 0x49),
    N(CKK_ML_DSA, 0x4a),
    N(CKK_SLH_DSA, 0x4b),
    N(CKA_UNIQUE_ID, 0x4),
    N(CKA_PROFILE_ID, 0x601),
    N(CKA_PARAMETER_SET, 0x61d),
    N(CKA_OBJECT_VALIDATION_FLAGS, 0x61e),
    N(CKA_VALIDATION_TYPE, 0x61f),
    N(CKA_VALIDATION_VERSION, 0x620),
    N(CKA_VALIDATION_LEVEL, 0x621),
    N(CKA_VALIDATION_MODULE_ID, 0x622),
    N(CKA_VALIDATION_FLAG, 0x623),
    N(CKA_VALIDATION_AUTHORITY_TYPE, 0x624),
    N(CKA_VALIDATION_COUNTRY, 0x625),
    N(CKA_VALIDATION_CERTIFICATE_IDENTIFIER, 0x626),
    N(CKA_VALIDATION_CERTIFICATE_URI, 0x627),
    N(CKA_VALIDATION_VENDOR_URI, 0x628),
    N(CKA_VALIDATION_PROFILE, 0x629),
    N(CKA_ENCAPSULATE_TEMPLATE, 0x4000062a),
    N(CKA_DECAPSULATE_TEMPLATE, 0x4000062b),
    N(CKA_ENCAPSULATE, 0x633),
    N(CKA_DECAPSULATE, 0x634),
    N(CKA_HASH_OF_CERTIFICATE, 0x635),
    N(CKA_PUBLIC_CRC64_VALUE, 0x636),
    N(CKA_SEED, 0x637),
    N(CKM_SP800_108_COUNTER_KDF, 0x3ac),
    N(CKM_SP800_108_FEEDBACK_KDF, 0x3ad),
    N(CKM_SP800_108_DOUBLE_PIPELINE_KDF, 0x3ae),
    N(CKM_AES_XTS, 0x1071),
    N(CKM_AES_XTS_KEY_GEN, 0x1072),
    N(CKM_CHACHA20_KEY_GEN, 0x1225),
    N(CKM_CHACHA20, 0x1226),
    N(CKM_POLY1305_KEY_GEN, 0x1227),
    N(CKM_POLY1305, 0x1228),
    N(CKM_AES_KEY_WRAP_KWP, 0x210b),
    N(CKM_AES_KEY_WRAP_PKCS7, 0x210c),
    N(CKM_SHA_1_KEY_GEN, 0x4003),
    N(CKM_SHA224_KEY_GEN, 0x4004),
    N(CKM_SHA256_KEY_GEN, 0x4005),
    N(CKM_SHA384_KEY_GEN, 0x4006),
    N(CKM_SHA512_KEY_GEN, 0x4007),
    N(CKM_SHA512_224_KEY_GEN, 0x4008),
    N(CKM_SHA512_256_KEY_GEN, 0x4009),
    N(CKM_NULL, 0x400b),
    N(CKM_SALSA20, 0x4020),
    N(CKM_CHACHA20_POLY1305, 0x4021),
    N(CKM_SALSA20_POLY1305, 0x4022),
    N(CKM_HKDF_DERIVE, 0x402a),
    N(CKM_HKDF_DATA, 0x402b),
    N(CKM_HKDF_KEY_GEN, 0x402c),
    N(CKM_SALSA20_KEY_GEN, 0x402d),
    N(CKM_PUB_KEY_FROM_PRIV_KEY, 0x403a),
    N(CKM_ML_KEM_KEY_PAIR_GEN, 0xf),
    N(CKM_ML_KEM, 0x17),
    N(CKM_ML_DSA_KEY_PAIR_GEN, 0x1c),
    N(CKM_ML_DSA, 0x1d),
    N(CKM_SLH_DSA_KEY_PAIR_GEN, 0x2d),
    N(CKM_SLH_DSA, 0x2e),
    N(CKR_AEAD_DECRYPT_FAILED, 0x42),
    N(CKR_TOKEN_RESOURCE_EXCEEDED, 0x201),
    N(CKR_OPERATION_CANCEL_FAILED, 0x202),
    N(CKR_KEY_EXHAUSTED, 0x203),
    N(CKR_PENDING, 0x204),
    N(CKR_SESSION_ASYNC_NOT_SUPPORTED, 0x205),
    N(CKR_SEED_RANDOM_REQUIRED, 0x206),
    N(CKR_OPERATION_NOT_VALIDATED, 0x207),
    N(CKR_TOKEN_NOT_INITIALIZED, 0x208),
    N(CKR_PARAMETER_SET_NOT_SUPPORTED, 0x209),
    N(CKR_EXCEEDED_MAX_ITERATIONS, 0x1b5),
    N(CKR_FIPS_SELF_TEST_FAILED, 0x1b6),
    N(CKR_LIBRARY_LOAD_FAILED, 0x1b7),
    N(CKR_PIN_TOO_WEAK, 0x1b8),
    N(CKR_PUBLIC_KEY_INVALID, 0x1b9),
    N(CKG_NO_GENERATE, 0x0),
    N(CKG_GENERATE, 0x1),
    N(CKG_GENERATE_COUNTER, 0x2),
    N(CKG_GENERATE_RANDOM, 0x3),
    N(CKG_GENERATE_COUNTER_XOR, 0x4),
    N(CKF_HKDF_SALT_NULL, 0x1),
    N(CKF_HKDF_SALT_DATA, 0x2),
    N(CKF_HKDF_SALT_KEY, 0x4),
    N(CK_SP800_108_ITERATION_VARIABLE, 0x1),
    N(CK_SP800_108_COUNTER, 0x2),
    N(CK_SP800_108_DKM_LENGTH, 0x3),
    N(CK_SP800_108_BYTE_ARRAY, 0x4),
    N(CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS, 0x1),
    N(CK_SP800_108_DKM_LENGTH_SUM_OF_SEGMENTS, 0x2),
    N(CK_SP800_108_KEY_HANDLE, 0x5),
    N(CKS_LAST_VALIDATION_OK, 0x1),
    /* keyladder's own */
    N(CKM_KL_ENVELOPE, 0xcb4c0001),
    N(CKM_KL_ROOT_WRAP, 0xcb4c0002),
    N(CKA_KL_LEVEL, 0xcb4c0001),
    N(CKA_KL_VERSION, 0xcb4c0002),
    N(CKA_KL_STATE, 0xcb4c0003),
    N(CKA_KL_PARENT, 0xcb4c0004),
    N(CKA_KL_ROOT, 0xcb4c0005),
    N(CKA_KL_NEXT_ROTATION, 0xcb4c0006),
    N(KL_DEVICE_ERROR_INTEGRITY, 0x4b4c0001),
};

/* On a 64-bit Unix: 8 bytes a CK_ULONG or pointer, nothing packed. */
static const struct number sizes[] = {
    N(sizeof(CK_ULONG), 8),
    N(sizeof(CK_GCM_PARAMS), 48),
    N(sizeof(CK_GCM_MESSAGE_PARAMS), 48),
    N(sizeof(CK_GCM_WRAP_PARAMS), 56),
    N(sizeof(CK_SALSA20_CHACHA20_POLY1305_PARAMS), 32),
    N(sizeof(CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS), 24),
    N(sizeof(CK_HKDF_PARAMS), 64),
    N(offsetof(CK_HKDF_PARAMS, bExpand), 1),
    N(offsetof(CK_HKDF_PARAMS, prfHashMechanism), 8),
    N(offsetof(CK_HKDF_PARAMS, hSaltKey), 40),
    N(offsetof(CK_HKDF_PARAMS, ulInfoLen), 56),
    N(sizeof(CK_PRF_DATA_PARAM), 24),
    N(sizeof(CK_SP800_108_COUNTER_FORMAT), 16),
    N(sizeof(CK_SP800_108_DKM_LENGTH_FORMAT), 24),
    N(sizeof(CK_SP800_108_KDF_PARAMS), 40),
    N(sizeof(CK_SP800_108_FEEDBACK_KDF_PARAMS), 56),
    N(sizeof(CK_INTERFACE), 24),
    N(sizeof(CK_ASYNC_DATA), 40),
};

/* The version, then 68 functions of 2.40, 24 of 3.0, 12 of 3.2. */
static const struct number lists[] = {
    N(sizeof(CK_FUNCTION_LIST), (1 + 68) * 8),
    N(sizeof(CK_FUNCTION_LIST_3_0), (1 + 68 + 24) * 8),
    N(sizeof(CK_FUNCTION_LIST_3_2), (1 + 68 + 24 + 12) * 8),
    N(offsetof(CK_FUNCTION_LIST_3_2, C_Initialize), 8),
    N(offsetof(CK_FUNCTION_LIST_3_2, C_WaitForSlotEvent), 68 * 8),
    N(offsetof(CK_FUNCTION_LIST_3_2, C_GetInterfaceList), 69 * 8),
    N(offsetof(CK_FUNCTION_LIST_3_2, C_LoginUser), 71 * 8),
    N(offsetof(CK_FUNCTION_LIST_3_2, C_SessionCancel), 72 * 8),
    N(offsetof(CK_FUNCTION_LIST_3_2, C_MessageEncryptInit), 73 * 8),
    N(offsetof(CK_FUNCTION_LIST_3_2, C_DecryptMessage), 79 * 8),
    N(offsetof(CK_FUNCTION_LIST_3_2, C_MessageSignInit), 83 * 8),
    N(offsetof(CK_FUNCTION_LIST_3_2, C_MessageVerifyFinal), 92 * 8),
    N(offsetof(CK_FUNCTION_LIST_3_2, C_EncapsulateKey), 93 * 8),
    N(offsetof(CK_FUNCTION_LIST_3_2, C_VerifySignatureInit), 95 * 8),
    N(offsetof(CK_FUNCTION_LIST_3_2, C_AsyncComplete), 100 * 8),
    N(offsetof(CK_FUNCTION_LIST_3_2, C_WrapKeyAuthenticated), 103 * 8),
    N(offsetof(CK_FUNCTION_LIST_3_2, C_UnwrapKeyAuthenticated), 104 * 8),
};

static void compare(const struct number *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i].is != rows[i].ought) printf("\n    %s is %#lx, not %#lx", rows[i].name, rows[i].is, rows[i].ought);
        CU_ASSERT_EQUAL(rows[i].is, rows[i].ought);
    }
}

static void every_constant_has_the_number_of_the_standard(void)
{
    compare(numbers, sizeof(numbers) / sizeof(numbers[0]));
}

static void parameters_lie_in_memory_as_other_compilers_lay_them(void)
{
    compare(sizes, sizeof(sizes) / sizeof(sizes[0]));
}

static void function_lists_have_the_members_in_the_order_of_the_standard(void)
{
    compare(lists, sizeof(lists) / sizeof(lists[0]));
}

#define COUNT(name) +1
#define OFFSET(name) offsetof(CK_FUNCTION_LIST_3_2, name),

static void the_rows_of_functions_name_every_member_once_and_in_order(void)
{
    static const size_t offsets[] = { KL_PKCS11_FUNCTIONS_2_40(OFFSET) KL_PKCS11_FUNCTIONS_3_0(OFFSET) KL_PKCS11_FUNCTIONS_3_2(OFFSET) };

    CU_ASSERT_EQUAL(0 KL_PKCS11_FUNCTIONS_2_40(COUNT), 68);
    CU_ASSERT_EQUAL(0 KL_PKCS11_FUNCTIONS_3_0(COUNT), 24);
    CU_ASSERT_EQUAL(0 KL_PKCS11_FUNCTIONS_3_2(COUNT), 12);
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) CU_ASSERT_EQUAL(offsets[i], (i + 1) * 8);
}

int main(void)
{
    CU_TestInfo tests[] = {
        { "every constant has the number of the standard", every_constant_has_the_number_of_the_standard },
        { "parameters lie in memory as other compilers lay them", parameters_lie_in_memory_as_other_compilers_lay_them },
        { "function lists have the members in the order of the standard", function_lists_have_the_members_in_the_order_of_the_standard },
        { "the rows of functions name every member once and in order", the_rows_of_functions_name_every_member_once_and_in_order },
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = { { "keyladder/pkcs11.h", NULL, NULL, NULL, NULL, tests }, CU_SUITE_INFO_NULL };

    if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS) return 1;
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures == 0 ? 0 : 1;
}
