/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * PKCS #11 2.40 to 3.2 for the callers of keyladder: p11-kit's header, then
 * what an older one lacks, then keyladder's own extensions. Whatever the
 * p11-kit at hand declares is left as it declares it.
 */
#ifndef KEYLADDER_PKCS11_H
#define KEYLADDER_PKCS11_H

#ifndef KL_PKCS11_BASE_HEADER
#define KL_PKCS11_BASE_HEADER <p11-kit/pkcs11.h>
#endif

/* A program built with -fvisibility=hidden can still define C_ functions. */
#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

#include KL_PKCS11_BASE_HEADER

#ifdef __cplusplus
extern "C" {
#endif

/* p11-kit came to 3.0, and later to 3.2, with everything of that version. */
#if CRYPTOKI_VERSION_MAJOR > 3 || (CRYPTOKI_VERSION_MAJOR == 3 && CRYPTOKI_VERSION_MINOR >= 2)
#define KL_PKCS11_BASE_HAS_3_0 1
#define KL_PKCS11_BASE_HAS_3_2 1
#elif CRYPTOKI_VERSION_MAJOR == 3
#define KL_PKCS11_BASE_HAS_3_0 1
#define KL_PKCS11_BASE_HAS_3_2 0
#else
#define KL_PKCS11_BASE_HAS_3_0 0
#define KL_PKCS11_BASE_HAS_3_2 0
#endif

/*
 * ---------------------------------------------------------------- numbers
 */

/* Flags of interfaces, messages, mechanisms, tokens and sessions. */
#ifndef CKF_INTERFACE_FORK_SAFE
#define CKF_INTERFACE_FORK_SAFE 0x00000001UL
#endif
#ifndef CKF_END_OF_MESSAGE
#define CKF_END_OF_MESSAGE 0x00000001UL
#endif
#ifndef CKF_MESSAGE_ENCRYPT
#define CKF_MESSAGE_ENCRYPT 0x00000002UL
#endif
#ifndef CKF_MESSAGE_DECRYPT
#define CKF_MESSAGE_DECRYPT 0x00000004UL
#endif
#ifndef CKF_MESSAGE_SIGN
#define CKF_MESSAGE_SIGN 0x00000008UL
#endif
#ifndef CKF_MESSAGE_VERIFY
#define CKF_MESSAGE_VERIFY 0x00000010UL
#endif
#ifndef CKF_MULTI_MESSAGE
#define CKF_MULTI_MESSAGE 0x00000020UL
#endif
#ifndef CKF_FIND_OBJECTS
#define CKF_FIND_OBJECTS 0x00000040UL
#endif
#ifndef CKF_EC_CURVENAME
#define CKF_EC_CURVENAME 0x04000000UL
#endif
#ifndef CKF_ENCAPSULATE
#define CKF_ENCAPSULATE 0x10000000UL
#endif
#ifndef CKF_DECAPSULATE
#define CKF_DECAPSULATE 0x20000000UL
#endif
#ifndef CKF_ERROR_STATE
#define CKF_ERROR_STATE 0x01000000UL
#endif
#ifndef CKF_SEED_RANDOM_REQUIRED
#define CKF_SEED_RANDOM_REQUIRED 0x02000000UL
#endif
#ifndef CKF_ASYNC_SESSION_SUPPORTED
#define CKF_ASYNC_SESSION_SUPPORTED 0x04000000UL
#endif
#ifndef CKF_ASYNC_SESSION
#define CKF_ASYNC_SESSION 0x00000008UL
#endif

/* Object classes and profiles. */
#ifndef CKO_PROFILE
#define CKO_PROFILE 0x00000009UL
#endif
#ifndef CKO_VALIDATION
#define CKO_VALIDATION 0x0000000aUL
#endif
#ifndef CKO_TRUST
#define CKO_TRUST 0x0000000bUL
#endif
#ifndef CKP_INVALID_ID
#define CKP_INVALID_ID 0x00000000UL
#endif
#ifndef CKP_BASELINE_PROVIDER
#define CKP_BASELINE_PROVIDER 0x00000001UL
#endif
#ifndef CKP_EXTENDED_PROVIDER
#define CKP_EXTENDED_PROVIDER 0x00000002UL
#endif
#ifndef CKP_AUTHENTICATION_TOKEN
#define CKP_AUTHENTICATION_TOKEN 0x00000003UL
#endif
#ifndef CKP_PUBLIC_CERTIFICATES_TOKEN
#define CKP_PUBLIC_CERTIFICATES_TOKEN 0x00000004UL
#endif
#ifndef CKP_COMPLETE_PROVIDER
#define CKP_COMPLETE_PROVIDER 0x00000005UL
#endif
#ifndef CKP_HKDF_TLS_TOKEN
#define CKP_HKDF_TLS_TOKEN 0x00000006UL
#endif
#ifndef CKP_VENDOR_DEFINED
#define CKP_VENDOR_DEFINED 0x80000000UL
#endif

/* Key types. */
#ifndef CKK_CHACHA20
#define CKK_CHACHA20 0x00000033UL
#endif
#ifndef CKK_POLY1305
#define CKK_POLY1305 0x00000034UL
#endif
#ifndef CKK_AES_XTS
#define CKK_AES_XTS 0x00000035UL
#endif
#ifndef CKK_SHA3_224_HMAC
#define CKK_SHA3_224_HMAC 0x00000036UL
#endif
#ifndef CKK_SHA3_256_HMAC
#define CKK_SHA3_256_HMAC 0x00000037UL
#endif
#ifndef CKK_SHA3_384_HMAC
#define CKK_SHA3_384_HMAC 0x00000038UL
#endif
#ifndef CKK_SHA3_512_HMAC
#define CKK_SHA3_512_HMAC 0x00000039UL
#endif
#ifndef CKK_SALSA20
#define CKK_SALSA20 0x0000003eUL
#endif
#ifndef CKK_EC_EDWARDS
#define CKK_EC_EDWARDS 0x00000040UL
#endif
#ifndef CKK_EC_MONTGOMERY
#define CKK_EC_MONTGOMERY 0x00000041UL
#endif
#ifndef CKK_HKDF
#define CKK_HKDF 0x00000042UL
#endif
#ifndef CKK_SHA512_224_HMAC
#define CKK_SHA512_224_HMAC 0x00000043UL
#endif
#ifndef CKK_SHA512_256_HMAC
#define CKK_SHA512_256_HMAC 0x00000044UL
#endif
#ifndef CKK_SHA512_T_HMAC
#define CKK_SHA512_T_HMAC 0x00000045UL
#endif
#ifndef CKK_HSS
#define CKK_HSS 0x00000046UL
#endif
#ifndef CKK_XMSS
#define CKK_XMSS 0x00000047UL
#endif
#ifndef CKK_XMSSMT
#define CKK_XMSSMT 0x00000048UL
#endif
#ifndef CKK_ML_KEM
#define CKK_ML_KEM 0x00000049UL
#endif
#ifndef CKK_ML_DSA
#define CKK_ML_DSA 0x0000004aUL
#endif
#ifndef CKK_SLH_DSA
#define CKK_SLH_DSA 0x0000004bUL
#endif

/* Attributes. */
#ifndef CKA_UNIQUE_ID
#define CKA_UNIQUE_ID 0x00000004UL
#endif
#ifndef CKA_PROFILE_ID
#define CKA_PROFILE_ID 0x00000601UL
#endif
#ifndef CKA_PARAMETER_SET
#define CKA_PARAMETER_SET 0x0000061dUL
#endif
#ifndef CKA_OBJECT_VALIDATION_FLAGS
#define CKA_OBJECT_VALIDATION_FLAGS 0x0000061eUL
#endif
#ifndef CKA_VALIDATION_TYPE
#define CKA_VALIDATION_TYPE 0x0000061fUL
#endif
#ifndef CKA_VALIDATION_VERSION
#define CKA_VALIDATION_VERSION 0x00000620UL
#endif
#ifndef CKA_VALIDATION_LEVEL
#define CKA_VALIDATION_LEVEL 0x00000621UL
#endif
#ifndef CKA_VALIDATION_MODULE_ID
#define CKA_VALIDATION_MODULE_ID 0x00000622UL
#endif
#ifndef CKA_VALIDATION_FLAG
#define CKA_VALIDATION_FLAG 0x00000623UL
#endif
#ifndef CKA_VALIDATION_AUTHORITY_TYPE
#define CKA_VALIDATION_AUTHORITY_TYPE 0x00000624UL
#endif
#ifndef CKA_VALIDATION_COUNTRY
#define CKA_VALIDATION_COUNTRY 0x00000625UL
#endif
#ifndef CKA_VALIDATION_CERTIFICATE_IDENTIFIER
#define CKA_VALIDATION_CERTIFICATE_IDENTIFIER 0x00000626UL
#endif
#ifndef CKA_VALIDATION_CERTIFICATE_URI
#define CKA_VALIDATION_CERTIFICATE_URI 0x00000627UL
#endif
#ifndef CKA_VALIDATION_VENDOR_URI
#define CKA_VALIDATION_VENDOR_URI 0x00000628UL
#endif
#ifndef CKA_VALIDATION_PROFILE
#define CKA_VALIDATION_PROFILE 0x00000629UL
#endif
#ifndef CKA_ENCAPSULATE_TEMPLATE
#define CKA_ENCAPSULATE_TEMPLATE (CKF_ARRAY_ATTRIBUTE | 0x0000062aUL)
#endif
#ifndef CKA_DECAPSULATE_TEMPLATE
#define CKA_DECAPSULATE_TEMPLATE (CKF_ARRAY_ATTRIBUTE | 0x0000062bUL)
#endif
#ifndef CKA_ENCAPSULATE
#define CKA_ENCAPSULATE 0x00000633UL
#endif
#ifndef CKA_DECAPSULATE
#define CKA_DECAPSULATE 0x00000634UL
#endif
#ifndef CKA_HASH_OF_CERTIFICATE
#define CKA_HASH_OF_CERTIFICATE 0x00000635UL
#endif
#ifndef CKA_PUBLIC_CRC64_VALUE
#define CKA_PUBLIC_CRC64_VALUE 0x00000636UL
#endif
#ifndef CKA_SEED
#define CKA_SEED 0x00000637UL
#endif

/* Mechanisms. */
#ifndef CKM_SP800_108_COUNTER_KDF
#define CKM_SP800_108_COUNTER_KDF 0x000003acUL
#endif
#ifndef CKM_SP800_108_FEEDBACK_KDF
#define CKM_SP800_108_FEEDBACK_KDF 0x000003adUL
#endif
#ifndef CKM_SP800_108_DOUBLE_PIPELINE_KDF
#define CKM_SP800_108_DOUBLE_PIPELINE_KDF 0x000003aeUL
#endif
#ifndef CKM_AES_XTS
#define CKM_AES_XTS 0x00001071UL
#endif
#ifndef CKM_AES_XTS_KEY_GEN
#define CKM_AES_XTS_KEY_GEN 0x00001072UL
#endif
#ifndef CKM_CHACHA20_KEY_GEN
#define CKM_CHACHA20_KEY_GEN 0x00001225UL
#endif
#ifndef CKM_CHACHA20
#define CKM_CHACHA20 0x00001226UL
#endif
#ifndef CKM_POLY1305_KEY_GEN
#define CKM_POLY1305_KEY_GEN 0x00001227UL
#endif
#ifndef CKM_POLY1305
#define CKM_POLY1305 0x00001228UL
#endif
#ifndef CKM_AES_KEY_WRAP_KWP
#define CKM_AES_KEY_WRAP_KWP 0x0000210bUL
#endif
#ifndef CKM_AES_KEY_WRAP_PKCS7
#define CKM_AES_KEY_WRAP_PKCS7 0x0000210cUL
#endif
#ifndef CKM_SHA_1_KEY_GEN
#define CKM_SHA_1_KEY_GEN 0x00004003UL
#endif
#ifndef CKM_SHA224_KEY_GEN
#define CKM_SHA224_KEY_GEN 0x00004004UL
#endif
#ifndef CKM_SHA256_KEY_GEN
#define CKM_SHA256_KEY_GEN 0x00004005UL
#endif
#ifndef CKM_SHA384_KEY_GEN
#define CKM_SHA384_KEY_GEN 0x00004006UL
#endif
#ifndef CKM_SHA512_KEY_GEN
#define CKM_SHA512_KEY_GEN 0x00004007UL
#endif
#ifndef CKM_SHA512_224_KEY_GEN
#define CKM_SHA512_224_KEY_GEN 0x00004008UL
#endif
#ifndef CKM_SHA512_256_KEY_GEN
#define CKM_SHA512_256_KEY_GEN 0x00004009UL
#endif
#ifndef CKM_NULL
#define CKM_NULL 0x0000400bUL
#endif
#ifndef CKM_SALSA20
#define CKM_SALSA20 0x00004020UL
#endif
#ifndef CKM_CHACHA20_POLY1305
#define CKM_CHACHA20_POLY1305 0x00004021UL
#endif
#ifndef CKM_SALSA20_POLY1305
#define CKM_SALSA20_POLY1305 0x00004022UL
#endif
#ifndef CKM_HKDF_DERIVE
#define CKM_HKDF_DERIVE 0x0000402aUL
#endif
#ifndef CKM_HKDF_DATA
#define CKM_HKDF_DATA 0x0000402bUL
#endif
#ifndef CKM_HKDF_KEY_GEN
#define CKM_HKDF_KEY_GEN 0x0000402cUL
#endif
#ifndef CKM_SALSA20_KEY_GEN
#define CKM_SALSA20_KEY_GEN 0x0000402dUL
#endif
#ifndef CKM_PUB_KEY_FROM_PRIV_KEY
#define CKM_PUB_KEY_FROM_PRIV_KEY 0x0000403aUL
#endif
#ifndef CKM_ML_KEM_KEY_PAIR_GEN
#define CKM_ML_KEM_KEY_PAIR_GEN 0x0000000fUL
#endif
#ifndef CKM_ML_KEM
#define CKM_ML_KEM 0x00000017UL
#endif
#ifndef CKM_ML_DSA_KEY_PAIR_GEN
#define CKM_ML_DSA_KEY_PAIR_GEN 0x0000001cUL
#endif
#ifndef CKM_ML_DSA
#define CKM_ML_DSA 0x0000001dUL
#endif
#ifndef CKM_SLH_DSA_KEY_PAIR_GEN
#define CKM_SLH_DSA_KEY_PAIR_GEN 0x0000002dUL
#endif
#ifndef CKM_SLH_DSA
#define CKM_SLH_DSA 0x0000002eUL
#endif

/* Results. */
#ifndef CKR_AEAD_DECRYPT_FAILED
#define CKR_AEAD_DECRYPT_FAILED 0x00000042UL
#endif
#ifndef CKR_TOKEN_RESOURCE_EXCEEDED
#define CKR_TOKEN_RESOURCE_EXCEEDED 0x00000201UL
#endif
#ifndef CKR_OPERATION_CANCEL_FAILED
#define CKR_OPERATION_CANCEL_FAILED 0x00000202UL
#endif
#ifndef CKR_KEY_EXHAUSTED
#define CKR_KEY_EXHAUSTED 0x00000203UL
#endif
#ifndef CKR_PENDING
#define CKR_PENDING 0x00000204UL
#endif
#ifndef CKR_SESSION_ASYNC_NOT_SUPPORTED
#define CKR_SESSION_ASYNC_NOT_SUPPORTED 0x00000205UL
#endif
#ifndef CKR_SEED_RANDOM_REQUIRED
#define CKR_SEED_RANDOM_REQUIRED 0x00000206UL
#endif
#ifndef CKR_OPERATION_NOT_VALIDATED
#define CKR_OPERATION_NOT_VALIDATED 0x00000207UL
#endif
#ifndef CKR_TOKEN_NOT_INITIALIZED
#define CKR_TOKEN_NOT_INITIALIZED 0x00000208UL
#endif
#ifndef CKR_PARAMETER_SET_NOT_SUPPORTED
#define CKR_PARAMETER_SET_NOT_SUPPORTED 0x00000209UL
#endif

/* p11-kit 0.24 and older number these five otherwise than the standard does. */
#undef CKR_EXCEEDED_MAX_ITERATIONS
#undef CKR_FIPS_SELF_TEST_FAILED
#undef CKR_LIBRARY_LOAD_FAILED
#undef CKR_PIN_TOO_WEAK
#undef CKR_PUBLIC_KEY_INVALID
#define CKR_EXCEEDED_MAX_ITERATIONS 0x000001b5UL
#define CKR_FIPS_SELF_TEST_FAILED 0x000001b6UL
#define CKR_LIBRARY_LOAD_FAILED 0x000001b7UL
#define CKR_PIN_TOO_WEAK 0x000001b8UL
#define CKR_PUBLIC_KEY_INVALID 0x000001b9UL

/*
 * ------------------------------------------- parameters of mechanisms (3.0)
 */

#ifndef CKG_NO_GENERATE
#define CKG_NO_GENERATE 0x00000000UL
#endif
#ifndef CKG_GENERATE
#define CKG_GENERATE 0x00000001UL
#endif
#ifndef CKG_GENERATE_COUNTER
#define CKG_GENERATE_COUNTER 0x00000002UL
#endif
#ifndef CKG_GENERATE_RANDOM
#define CKG_GENERATE_RANDOM 0x00000003UL
#endif
#ifndef CKG_GENERATE_COUNTER_XOR
#define CKG_GENERATE_COUNTER_XOR 0x00000004UL
#endif
#ifndef CKF_HKDF_SALT_NULL
#define CKF_HKDF_SALT_NULL 0x00000001UL
#endif
#ifndef CKF_HKDF_SALT_DATA
#define CKF_HKDF_SALT_DATA 0x00000002UL
#endif
#ifndef CKF_HKDF_SALT_KEY
#define CKF_HKDF_SALT_KEY 0x00000004UL
#endif
#ifndef CK_SP800_108_ITERATION_VARIABLE
#define CK_SP800_108_ITERATION_VARIABLE 0x00000001UL
#endif
#ifndef CK_SP800_108_COUNTER
#define CK_SP800_108_COUNTER 0x00000002UL
#endif
#ifndef CK_SP800_108_DKM_LENGTH
#define CK_SP800_108_DKM_LENGTH 0x00000003UL
#endif
#ifndef CK_SP800_108_BYTE_ARRAY
#define CK_SP800_108_BYTE_ARRAY 0x00000004UL
#endif
#ifndef CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS
#define CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS 0x00000001UL
#endif
#ifndef CK_SP800_108_DKM_LENGTH_SUM_OF_SEGMENTS
#define CK_SP800_108_DKM_LENGTH_SUM_OF_SEGMENTS 0x00000002UL
#endif
#ifndef CK_SP800_108_KEY_HANDLE
#define CK_SP800_108_KEY_HANDLE 0x00000005UL
#endif

typedef CK_ULONG CK_GENERATOR_FUNCTION;
typedef CK_ULONG CK_PRF_DATA_TYPE;
typedef CK_MECHANISM_TYPE CK_SP800_108_PRF_TYPE;
typedef CK_ULONG CK_SP800_108_DKM_LENGTH_METHOD;

/*
 * Between 2.40 and 3.2 p11-kit took up these structures one release after the
 * other, with nothing a preprocessor could ask for. There, ours stand beside
 * theirs: the layout is the same, and calls take them through void pointers.
 */
#if KL_PKCS11_BASE_HAS_3_0 && !KL_PKCS11_BASE_HAS_3_2
#define CK_GCM_MESSAGE_PARAMS KL_CK_GCM_MESSAGE_PARAMS
#define CK_GCM_MESSAGE_PARAMS_PTR KL_CK_GCM_MESSAGE_PARAMS_PTR
#define CK_GCM_WRAP_PARAMS KL_CK_GCM_WRAP_PARAMS
#define CK_GCM_WRAP_PARAMS_PTR KL_CK_GCM_WRAP_PARAMS_PTR
#define CK_SALSA20_CHACHA20_POLY1305_PARAMS KL_CK_SALSA20_CHACHA20_POLY1305_PARAMS
#define CK_SALSA20_CHACHA20_POLY1305_PARAMS_PTR KL_CK_SALSA20_CHACHA20_POLY1305_PARAMS_PTR
#define CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS KL_CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS
#define CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS_PTR KL_CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS_PTR
#define CK_HKDF_PARAMS KL_CK_HKDF_PARAMS
#define CK_HKDF_PARAMS_PTR KL_CK_HKDF_PARAMS_PTR
#define CK_PRF_DATA_PARAM KL_CK_PRF_DATA_PARAM
#define CK_PRF_DATA_PARAM_PTR KL_CK_PRF_DATA_PARAM_PTR
#define CK_SP800_108_COUNTER_FORMAT KL_CK_SP800_108_COUNTER_FORMAT
#define CK_SP800_108_COUNTER_FORMAT_PTR KL_CK_SP800_108_COUNTER_FORMAT_PTR
#define CK_SP800_108_DKM_LENGTH_FORMAT KL_CK_SP800_108_DKM_LENGTH_FORMAT
#define CK_SP800_108_DKM_LENGTH_FORMAT_PTR KL_CK_SP800_108_DKM_LENGTH_FORMAT_PTR
#define CK_DERIVED_KEY KL_CK_DERIVED_KEY
#define CK_DERIVED_KEY_PTR KL_CK_DERIVED_KEY_PTR
#define CK_SP800_108_KDF_PARAMS KL_CK_SP800_108_KDF_PARAMS
#define CK_SP800_108_KDF_PARAMS_PTR KL_CK_SP800_108_KDF_PARAMS_PTR
#define CK_SP800_108_FEEDBACK_KDF_PARAMS KL_CK_SP800_108_FEEDBACK_KDF_PARAMS
#define CK_SP800_108_FEEDBACK_KDF_PARAMS_PTR KL_CK_SP800_108_FEEDBACK_KDF_PARAMS_PTR
#endif

#if !KL_PKCS11_BASE_HAS_3_2
typedef struct CK_GCM_MESSAGE_PARAMS {
    CK_BYTE_PTR pIv;
    CK_ULONG ulIvLen;
    CK_ULONG ulIvFixedBits;
    CK_GENERATOR_FUNCTION ivGenerator;
    CK_BYTE_PTR pTag;
    CK_ULONG ulTagBits;
} CK_GCM_MESSAGE_PARAMS;
typedef CK_GCM_MESSAGE_PARAMS *CK_GCM_MESSAGE_PARAMS_PTR;

/* For C_WrapKeyAuthenticated and C_UnwrapKeyAuthenticated. */
typedef struct CK_GCM_WRAP_PARAMS {
    CK_BYTE_PTR pIv;
    CK_ULONG ulIvLen;
    CK_ULONG ulIvFixedBits;
    CK_GENERATOR_FUNCTION ivGenerator;
    CK_BYTE_PTR pAAD;
    CK_ULONG ulAADLen;
    CK_ULONG ulTagBits;
} CK_GCM_WRAP_PARAMS;
typedef CK_GCM_WRAP_PARAMS *CK_GCM_WRAP_PARAMS_PTR;

typedef struct CK_SALSA20_CHACHA20_POLY1305_PARAMS {
    CK_BYTE_PTR pNonce;
    CK_ULONG ulNonceLen;
    CK_BYTE_PTR pAAD;
    CK_ULONG ulAADLen;
} CK_SALSA20_CHACHA20_POLY1305_PARAMS;
typedef CK_SALSA20_CHACHA20_POLY1305_PARAMS *CK_SALSA20_CHACHA20_POLY1305_PARAMS_PTR;

typedef struct CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS {
    CK_BYTE_PTR pNonce;
    CK_ULONG ulNonceLen;
    CK_BYTE_PTR pTag;
} CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS;
typedef CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS *CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS_PTR;

typedef struct CK_HKDF_PARAMS {
    CK_BBOOL bExtract;
    CK_BBOOL bExpand;
    CK_MECHANISM_TYPE prfHashMechanism;
    CK_ULONG ulSaltType;
    CK_BYTE_PTR pSalt;
    CK_ULONG ulSaltLen;
    CK_OBJECT_HANDLE hSaltKey;
    CK_BYTE_PTR pInfo;
    CK_ULONG ulInfoLen;
} CK_HKDF_PARAMS;
typedef CK_HKDF_PARAMS *CK_HKDF_PARAMS_PTR;

typedef struct CK_PRF_DATA_PARAM {
    CK_PRF_DATA_TYPE type;
    CK_VOID_PTR pValue;
    CK_ULONG ulValueLen;
} CK_PRF_DATA_PARAM;
typedef CK_PRF_DATA_PARAM *CK_PRF_DATA_PARAM_PTR;

typedef struct CK_SP800_108_COUNTER_FORMAT {
    CK_BBOOL bLittleEndian;
    CK_ULONG ulWidthInBits;
} CK_SP800_108_COUNTER_FORMAT;
typedef CK_SP800_108_COUNTER_FORMAT *CK_SP800_108_COUNTER_FORMAT_PTR;

typedef struct CK_SP800_108_DKM_LENGTH_FORMAT {
    CK_SP800_108_DKM_LENGTH_METHOD dkmLengthMethod;
    CK_BBOOL bLittleEndian;
    CK_ULONG ulWidthInBits;
} CK_SP800_108_DKM_LENGTH_FORMAT;
typedef CK_SP800_108_DKM_LENGTH_FORMAT *CK_SP800_108_DKM_LENGTH_FORMAT_PTR;

typedef struct CK_DERIVED_KEY {
    CK_ATTRIBUTE_PTR pTemplate;
    CK_ULONG ulAttributeCount;
    CK_OBJECT_HANDLE_PTR phKey;
} CK_DERIVED_KEY;
typedef CK_DERIVED_KEY *CK_DERIVED_KEY_PTR;

typedef struct CK_SP800_108_KDF_PARAMS {
    CK_SP800_108_PRF_TYPE prfType;
    CK_ULONG ulNumberOfDataParams;
    CK_PRF_DATA_PARAM_PTR pDataParams;
    CK_ULONG ulAdditionalDerivedKeys;
    CK_DERIVED_KEY_PTR pAdditionalDerivedKeys;
} CK_SP800_108_KDF_PARAMS;
typedef CK_SP800_108_KDF_PARAMS *CK_SP800_108_KDF_PARAMS_PTR;

typedef struct CK_SP800_108_FEEDBACK_KDF_PARAMS {
    CK_SP800_108_PRF_TYPE prfType;
    CK_ULONG ulNumberOfDataParams;
    CK_PRF_DATA_PARAM_PTR pDataParams;
    CK_ULONG ulIVLen;
    CK_BYTE_PTR pIV;
    CK_ULONG ulAdditionalDerivedKeys;
    CK_DERIVED_KEY_PTR pAdditionalDerivedKeys;
} CK_SP800_108_FEEDBACK_KDF_PARAMS;
typedef CK_SP800_108_FEEDBACK_KDF_PARAMS *CK_SP800_108_FEEDBACK_KDF_PARAMS_PTR;
#endif

/*
 * ---------------------------------------------- functions and lists of 3.0
 */

typedef CK_FLAGS *CK_FLAGS_PTR;
typedef CK_ULONG CK_PROFILE_ID;
typedef CK_PROFILE_ID *CK_PROFILE_ID_PTR;

#define KL_PKCS11_DECLARE(name, args) \
    typedef CK_RV(*CK_##name) args;   \
    CK_RV CK_SPEC name args

#if !KL_PKCS11_BASE_HAS_3_0
typedef struct CK_INTERFACE {
    CK_UTF8CHAR_PTR pInterfaceName;
    CK_VOID_PTR pFunctionList;
    CK_FLAGS flags;
} CK_INTERFACE;
typedef CK_INTERFACE *CK_INTERFACE_PTR;
typedef CK_INTERFACE_PTR *CK_INTERFACE_PTR_PTR;

KL_PKCS11_DECLARE(C_GetInterfaceList, (CK_INTERFACE * interfaces, CK_ULONG *count));
KL_PKCS11_DECLARE(C_GetInterface, (CK_UTF8CHAR * name, CK_VERSION *version, CK_INTERFACE **interface, CK_FLAGS flags));
KL_PKCS11_DECLARE(C_LoginUser, (CK_SESSION_HANDLE session, CK_USER_TYPE user_type, CK_UTF8CHAR *pin, CK_ULONG pin_len,
                                CK_UTF8CHAR *username, CK_ULONG username_len));
KL_PKCS11_DECLARE(C_SessionCancel, (CK_SESSION_HANDLE session, CK_FLAGS flags));

KL_PKCS11_DECLARE(C_MessageEncryptInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key));
KL_PKCS11_DECLARE(C_EncryptMessage, (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *aad, CK_ULONG aad_len,
                                     CK_BYTE *plaintext, CK_ULONG plaintext_len, CK_BYTE *ciphertext, CK_ULONG *ciphertext_len));
KL_PKCS11_DECLARE(C_EncryptMessageBegin,
                  (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *aad, CK_ULONG aad_len));
KL_PKCS11_DECLARE(C_EncryptMessageNext, (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *plaintext,
                                         CK_ULONG plaintext_len, CK_BYTE *ciphertext, CK_ULONG *ciphertext_len, CK_FLAGS flags));
KL_PKCS11_DECLARE(C_MessageEncryptFinal, (CK_SESSION_HANDLE session));

KL_PKCS11_DECLARE(C_MessageDecryptInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key));
KL_PKCS11_DECLARE(C_DecryptMessage, (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *aad, CK_ULONG aad_len,
                                     CK_BYTE *ciphertext, CK_ULONG ciphertext_len, CK_BYTE *plaintext, CK_ULONG *plaintext_len));
KL_PKCS11_DECLARE(C_DecryptMessageBegin,
                  (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *aad, CK_ULONG aad_len));
KL_PKCS11_DECLARE(C_DecryptMessageNext, (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *ciphertext,
                                         CK_ULONG ciphertext_len, CK_BYTE *plaintext, CK_ULONG *plaintext_len, CK_FLAGS flags));
KL_PKCS11_DECLARE(C_MessageDecryptFinal, (CK_SESSION_HANDLE session));

KL_PKCS11_DECLARE(C_MessageSignInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key));
KL_PKCS11_DECLARE(C_SignMessage, (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *data, CK_ULONG data_len,
                                  CK_BYTE *signature, CK_ULONG *signature_len));
KL_PKCS11_DECLARE(C_SignMessageBegin, (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len));
KL_PKCS11_DECLARE(C_SignMessageNext, (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *data, CK_ULONG data_len,
                                      CK_BYTE *signature, CK_ULONG *signature_len));
KL_PKCS11_DECLARE(C_MessageSignFinal, (CK_SESSION_HANDLE session));

KL_PKCS11_DECLARE(C_MessageVerifyInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key));
KL_PKCS11_DECLARE(C_VerifyMessage, (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *data, CK_ULONG data_len,
                                    CK_BYTE *signature, CK_ULONG signature_len));
KL_PKCS11_DECLARE(C_VerifyMessageBegin, (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len));
KL_PKCS11_DECLARE(C_VerifyMessageNext, (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *data,
                                        CK_ULONG data_len, CK_BYTE *signature, CK_ULONG signature_len));
KL_PKCS11_DECLARE(C_MessageVerifyFinal, (CK_SESSION_HANDLE session));
#endif

/*
 * ---------------------------------------------- functions and lists of 3.2
 */

#ifndef CKS_LAST_VALIDATION_OK
#define CKS_LAST_VALIDATION_OK 0x00000001UL
#endif

typedef CK_ULONG CK_SESSION_VALIDATION_FLAGS_TYPE;
typedef CK_ULONG CK_VALIDATION_TYPE;
typedef CK_VALIDATION_TYPE *CK_VALIDATION_TYPE_PTR;
typedef CK_ULONG CK_VALIDATION_AUTHORITY_TYPE;
typedef CK_VALIDATION_AUTHORITY_TYPE *CK_VALIDATION_AUTHORITY_TYPE_PTR;

#if !KL_PKCS11_BASE_HAS_3_2
typedef struct CK_ASYNC_DATA {
    CK_ULONG ulVersion;
    CK_BYTE_PTR pValue;
    CK_ULONG ulValue;
    CK_OBJECT_HANDLE hObject;
    CK_OBJECT_HANDLE hAdditionalObject;
} CK_ASYNC_DATA;
typedef CK_ASYNC_DATA *CK_ASYNC_DATA_PTR;

KL_PKCS11_DECLARE(C_EncapsulateKey,
                  (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE public_key, CK_ATTRIBUTE *template_, CK_ULONG count,
                   CK_BYTE *ciphertext, CK_ULONG *ciphertext_len, CK_OBJECT_HANDLE *key));
KL_PKCS11_DECLARE(C_DecapsulateKey,
                  (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE private_key, CK_ATTRIBUTE *template_,
                   CK_ULONG count, CK_BYTE *ciphertext, CK_ULONG ciphertext_len, CK_OBJECT_HANDLE *key));
KL_PKCS11_DECLARE(C_VerifySignatureInit,
                  (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key, CK_BYTE *signature, CK_ULONG signature_len));
KL_PKCS11_DECLARE(C_VerifySignature, (CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG data_len));
KL_PKCS11_DECLARE(C_VerifySignatureUpdate, (CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG part_len));
KL_PKCS11_DECLARE(C_VerifySignatureFinal, (CK_SESSION_HANDLE session));
KL_PKCS11_DECLARE(C_GetSessionValidationFlags, (CK_SESSION_HANDLE session, CK_SESSION_VALIDATION_FLAGS_TYPE type, CK_FLAGS *flags));
KL_PKCS11_DECLARE(C_AsyncComplete, (CK_SESSION_HANDLE session, CK_UTF8CHAR *function_name, CK_ASYNC_DATA *result));
KL_PKCS11_DECLARE(C_AsyncGetID, (CK_SESSION_HANDLE session, CK_UTF8CHAR *function_name, CK_ULONG *id));
KL_PKCS11_DECLARE(C_AsyncJoin, (CK_SESSION_HANDLE session, CK_UTF8CHAR *function_name, CK_ULONG id, CK_BYTE *data, CK_ULONG data_len));
KL_PKCS11_DECLARE(C_WrapKeyAuthenticated, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE wrapping_key,
                                           CK_OBJECT_HANDLE key, CK_BYTE *aad, CK_ULONG aad_len, CK_BYTE *wrapped, CK_ULONG *wrapped_len));
KL_PKCS11_DECLARE(C_UnwrapKeyAuthenticated,
                  (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE unwrapping_key, CK_BYTE *wrapped,
                   CK_ULONG wrapped_len, CK_ATTRIBUTE *template_, CK_ULONG count, CK_BYTE *aad, CK_ULONG aad_len, CK_OBJECT_HANDLE *key));
#endif

/*
 * The order of the members is the standard's. FUNCTIONS(row) names each function
 * once, for whoever needs one row a function.
 */
#define KL_PKCS11_FUNCTIONS_2_40(row)                                                                                                      \
    row(C_Initialize) row(C_Finalize) row(C_GetInfo) row(C_GetFunctionList) row(C_GetSlotList) row(C_GetSlotInfo) row(C_GetTokenInfo)      \
        row(C_GetMechanismList) row(C_GetMechanismInfo) row(C_InitToken) row(C_InitPIN) row(C_SetPIN) row(C_OpenSession)                   \
            row(C_CloseSession) row(C_CloseAllSessions) row(C_GetSessionInfo) row(C_GetOperationState) row(C_SetOperationState)            \
                row(C_Login) row(C_Logout) row(C_CreateObject) row(C_CopyObject) row(C_DestroyObject) row(C_GetObjectSize)                 \
                    row(C_GetAttributeValue) row(C_SetAttributeValue) row(C_FindObjectsInit) row(C_FindObjects) row(C_FindObjectsFinal)    \
                        row(C_EncryptInit) row(C_Encrypt) row(C_EncryptUpdate) row(C_EncryptFinal) row(C_DecryptInit) row(C_Decrypt)       \
                            row(C_DecryptUpdate) row(C_DecryptFinal) row(C_DigestInit) row(C_Digest) row(C_DigestUpdate) row(C_DigestKey)  \
                                row(C_DigestFinal) row(C_SignInit) row(C_Sign) row(C_SignUpdate) row(C_SignFinal) row(C_SignRecoverInit)   \
                                    row(C_SignRecover) row(C_VerifyInit) row(C_Verify) row(C_VerifyUpdate) row(C_VerifyFinal)              \
                                        row(C_VerifyRecoverInit) row(C_VerifyRecover) row(C_DigestEncryptUpdate)                           \
                                            row(C_DecryptDigestUpdate) row(C_SignEncryptUpdate) row(C_DecryptVerifyUpdate)                 \
                                                row(C_GenerateKey) row(C_GenerateKeyPair) row(C_WrapKey) row(C_UnwrapKey) row(C_DeriveKey) \
                                                    row(C_SeedRandom) row(C_GenerateRandom) row(C_GetFunctionStatus) row(C_CancelFunction) \
                                                        row(C_WaitForSlotEvent)

#define KL_PKCS11_FUNCTIONS_3_0(row)                                                                                                    \
    row(C_GetInterfaceList) row(C_GetInterface) row(C_LoginUser) row(C_SessionCancel) row(C_MessageEncryptInit) row(C_EncryptMessage)   \
        row(C_EncryptMessageBegin) row(C_EncryptMessageNext) row(C_MessageEncryptFinal) row(C_MessageDecryptInit) row(C_DecryptMessage) \
            row(C_DecryptMessageBegin) row(C_DecryptMessageNext) row(C_MessageDecryptFinal) row(C_MessageSignInit) row(C_SignMessage)   \
                row(C_SignMessageBegin) row(C_SignMessageNext) row(C_MessageSignFinal) row(C_MessageVerifyInit) row(C_VerifyMessage)    \
                    row(C_VerifyMessageBegin) row(C_VerifyMessageNext) row(C_MessageVerifyFinal)

#define KL_PKCS11_FUNCTIONS_3_2(row)                                                                                           \
    row(C_EncapsulateKey) row(C_DecapsulateKey) row(C_VerifySignatureInit) row(C_VerifySignature) row(C_VerifySignatureUpdate) \
        row(C_VerifySignatureFinal) row(C_GetSessionValidationFlags) row(C_AsyncComplete) row(C_AsyncGetID) row(C_AsyncJoin)   \
            row(C_WrapKeyAuthenticated) row(C_UnwrapKeyAuthenticated)

#define KL_PKCS11_MEMBER(name) CK_##name name;

#if !KL_PKCS11_BASE_HAS_3_0
/* 3.0 and 3.1 share this layout. */
typedef struct CK_FUNCTION_LIST_3_0 {
    CK_VERSION version;
    KL_PKCS11_FUNCTIONS_2_40(KL_PKCS11_MEMBER)
    KL_PKCS11_FUNCTIONS_3_0(KL_PKCS11_MEMBER)
} CK_FUNCTION_LIST_3_0;
typedef CK_FUNCTION_LIST_3_0 *CK_FUNCTION_LIST_3_0_PTR;
typedef CK_FUNCTION_LIST_3_0_PTR *CK_FUNCTION_LIST_3_0_PTR_PTR;
#endif

#if !KL_PKCS11_BASE_HAS_3_2
typedef struct CK_FUNCTION_LIST_3_2 {
    CK_VERSION version;
    KL_PKCS11_FUNCTIONS_2_40(KL_PKCS11_MEMBER)
    KL_PKCS11_FUNCTIONS_3_0(KL_PKCS11_MEMBER)
    KL_PKCS11_FUNCTIONS_3_2(KL_PKCS11_MEMBER)
} CK_FUNCTION_LIST_3_2;
typedef CK_FUNCTION_LIST_3_2 *CK_FUNCTION_LIST_3_2_PTR;
typedef CK_FUNCTION_LIST_3_2_PTR *CK_FUNCTION_LIST_3_2_PTR_PTR;
#endif

/*
 * ------------------------------------------------- keyladder's extensions
 */

#define KL_VENDOR_BASE (0x80000000UL + 0x4b4c0000UL)

/* A ciphertext that names its key; the parameter is the associated data. */
#define CKM_KL_ENVELOPE (KL_VENDOR_BASE + 1UL)
/* On the master key: a direct call to the root provider. */
#define CKM_KL_ROOT_WRAP (KL_VENDOR_BASE + 2UL)

/* Read-only: what the ladder knows of a key. */
#define CKA_KL_LEVEL (KL_VENDOR_BASE + 1UL)
#define CKA_KL_VERSION (KL_VENDOR_BASE + 2UL)
#define CKA_KL_STATE (KL_VENDOR_BASE + 3UL)
#define CKA_KL_PARENT (KL_VENDOR_BASE + 4UL)
#define CKA_KL_ROOT (KL_VENDOR_BASE + 5UL)
#define CKA_KL_NEXT_ROTATION (KL_VENDOR_BASE + 6UL)

/* CK_SESSION_INFO.ulDeviceError: a stored key is not what was stored. */
#define KL_DEVICE_ERROR_INTEGRITY 0x4b4c0001UL

/*
 * The interface that C_GetInterface gives by this name. Its functions may be
 * called whenever those of PKCS #11 may.
 */
#define KL_INTERFACE_NAME "Vendor keyladder"

/* One value of a batch. */
typedef struct KL_BATCH_ITEM {
    CK_BYTE_PTR pAAD; /* associated data; NULL with length 0: none */
    CK_ULONG ulAADLen;
    CK_BYTE_PTR pIn;
    CK_ULONG ulInLen;
    CK_BYTE_PTR pOut;  /* NULL asks for the length. Must touch neither pIn nor another item's memory */
    CK_ULONG ulOutLen; /* going in: room at pOut; coming back: what was written, or is needed (CKR_BUFFER_TOO_SMALL) */
    CK_RV rv;          /* this item's own result */
} KL_BATCH_ITEM;
typedef KL_BATCH_ITEM *KL_BATCH_ITEM_PTR;

/*
 * Encrypts or decrypts `count` values under one key, which is looked up and
 * checked once. `mechanism` is CKM_KL_ENVELOPE without a parameter: the
 * associated data comes with each item. Where the key or the mechanism is
 * refused no item is touched. Otherwise every item is tried and has its own
 * result in `rv`, and the call answers CKR_OK if all of them do, else the
 * result of the first that failed. An operation of the session's that is
 * active (C_EncryptInit, C_DecryptInit) is in the way: CKR_OPERATION_ACTIVE.
 */
typedef CK_RV (*KL_EncryptBatch)(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key, KL_BATCH_ITEM *items,
                                 CK_ULONG count);
typedef CK_RV (*KL_DecryptBatch)(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key, KL_BATCH_ITEM *items,
                                 CK_ULONG count);
/*
 * Forgets the bytes of a token key, in this process: operations under it end,
 * and its next use opens it anew, asking the root provider if it must.
 * CK_INVALID_HANDLE for `key`: of all keys of the token, the master included.
 * Session keys lie nowhere else: CKR_ACTION_PROHIBITED (destroy them).
 */
typedef CK_RV (*KL_Evict)(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key);
/*
 * The failure of the last function that this thread has called, in words, not
 * terminated; none (length 0) where it did not fail. NULL asks for the length.
 * May be called at any time; it is no such function itself.
 */
typedef CK_RV (*KL_GetError)(CK_UTF8CHAR *words, CK_ULONG *words_len);

typedef struct KL_FUNCTION_LIST {
    CK_VERSION version; /* 1.0 */
    KL_EncryptBatch EncryptBatch;
    KL_DecryptBatch DecryptBatch;
    KL_Evict Evict;
    KL_GetError GetError;
} KL_FUNCTION_LIST;
typedef KL_FUNCTION_LIST *KL_FUNCTION_LIST_PTR;

#ifdef __cplusplus
}
#endif

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
