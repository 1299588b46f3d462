/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Features of the other ciphers, MACs and digests. */
#include "interop.h"

/* ---- modes: NIST SP 800-38A, appendix F, with AES-256 ---- */

#define SP38A_KEY "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"
#define SP38A_PLAIN \
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"

/* F.2.5 */
void cbc_vector(void)
{
    CK_SESSION_HANDLE session = ready();
    struct bytes iv = from_hex("000102030405060708090a0b0c0d0e0f");
    CK_MECHANISM mech = { CKM_AES_CBC, iv.data, iv.len };

    OFFERS(CKM_AES_CBC, CKF_ENCRYPT | CKF_DECRYPT);
    vector(
        session, &mech, import_hex(session, CKK_AES, SP38A_KEY, "ed"), SP38A_PLAIN,
        "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b");
    finalize();
}

/* F.5.5 */
void ctr_vector(void)
{
    CK_SESSION_HANDLE session = ready();
    struct bytes block = from_hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
    struct t_ctr params = { .bits = 128 };
    CK_MECHANISM mech = { CKM_AES_CTR, &params, sizeof params };

    memcpy(params.block, block.data, sizeof params.block);
    OFFERS(CKM_AES_CTR, CKF_ENCRYPT | CKF_DECRYPT);
    vector(
        session, &mech, import_hex(session, CKK_AES, SP38A_KEY, "ed"), SP38A_PLAIN,
        "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c52b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6");
    finalize();
}

/* F.1.5 */
void ecb_vector(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_MECHANISM mech = { CKM_AES_ECB, NULL, 0 };

    OFFERS(CKM_AES_ECB, CKF_ENCRYPT | CKF_DECRYPT);
    vector(
        session, &mech, import_hex(session, CKK_AES, SP38A_KEY, "ed"), SP38A_PLAIN,
        "f3eed1bdb5d2a03c064b5a7e3db181f8591ccb10d410ed26dc5ba74a31362870b6ed21b99ca6f4f9f153e7b1beafed1d23304b7a39f9f3ff067d8d8f9e24ecc7");
    finalize();
}

void cbc_wants_blocks(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_MECHANISM mech = { CKM_AES_CBC, (CK_BYTE[16]){ 1 }, 16 };
    CK_BYTE data[17] = { 0 }, out[64];
    CK_ULONG len = sizeof out;

    OFFERS(CKM_AES_CBC, CKF_ENCRYPT | CKF_DECRYPT);
    MUST(C_EncryptInit, session, &mech, aes_key(session, 32, "ed"));
    MUST_BE("C_Encrypt of 17 bytes", CALL(C_Encrypt, session, data, sizeof data, out, &len), CKR_DATA_LEN_RANGE);
    finalize();
}

void cbc_pad(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_BYTE iv[16] = { 1 };
    CK_MECHANISM mech = { CKM_AES_CBC_PAD, iv, 16 };
    struct bytes plain, cipher, out;
    CK_OBJECT_HANDLE key;

    OFFERS(CKM_AES_CBC_PAD, CKF_ENCRYPT | CKF_DECRYPT);
    key = aes_key(session, 32, "ed");
    for (plain.len = 0; plain.len <= 33; plain.len += 11) {
        memset(plain.data, 'x', sizeof plain.data);
        iv[1] = (CK_BYTE)plain.len;
        cipher = encrypted(session, &mech, key, &plain);
        if (cipher.len != plain.len / 16 * 16 + 16) say_wrong("C_Encrypt: %lu bytes of %lu", cipher.len, plain.len);
        must_decrypt(session, &mech, key, &cipher, &plain);
    }
    cipher.len -= 5;
    MUST_BE("C_Decrypt of a part of a block", decrypt_try(session, &mech, key, &cipher, &out), CKR_ENCRYPTED_DATA_LEN_RANGE,
            CKR_ENCRYPTED_DATA_INVALID);
    finalize();
}

/* The last block, with 5 as its last byte, is no padding. */
void cbc_bad_padding(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_MECHANISM plain_cbc = { CKM_AES_CBC, (CK_BYTE[16]){ 2 }, 16 }, mech = { CKM_AES_CBC_PAD, (CK_BYTE[16]){ 2 }, 16 };
    struct bytes plain = { .len = 32 }, cipher, out;
    CK_OBJECT_HANDLE key;
    CK_RV rv;

    OFFERS(CKM_AES_CBC, CKF_ENCRYPT);
    OFFERS(CKM_AES_CBC_PAD, CKF_DECRYPT);
    key = aes_key(session, 32, "ed");
    memset(plain.data, 9, plain.len);
    plain.data[31] = 5;
    cipher = encrypted(session, &plain_cbc, key, &plain);
    rv = decrypt_try(session, &mech, key, &cipher, &out);
    if (rv == CKR_OK) say_wrong("bad padding accepted");
    MUST_BE("C_Decrypt", rv, CKR_ENCRYPTED_DATA_INVALID, CKR_ENCRYPTED_DATA_LEN_RANGE);
    finalize();
}

void cbc_in_parts(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_MECHANISM mech = { CKM_AES_CBC_PAD, (CK_BYTE[16]){ 4 }, 16 };
    struct bytes plain = { .len = 90 }, cipher = { .len = 0 };
    CK_OBJECT_HANDLE key;
    CK_ULONG len;

    OFFERS(CKM_AES_CBC_PAD, CKF_ENCRYPT | CKF_DECRYPT);
    memset(plain.data, 'q', plain.len);
    key = aes_key(session, 32, "ed");
    MUST(C_EncryptInit, session, &mech, key);
    for (CK_ULONG at = 0; at < plain.len; at += 18) {
        len = sizeof cipher.data - cipher.len;
        MUST(C_EncryptUpdate, session, plain.data + at, 18, cipher.data + cipher.len, &len);
        cipher.len += len;
    }
    len = sizeof cipher.data - cipher.len;
    MUST(C_EncryptFinal, session, cipher.data + cipher.len, &len);
    cipher.len += len;
    must_decrypt(session, &mech, key, &cipher, &plain);
    finalize();
}

/* ---- ChaCha20-Poly1305: RFC 8439, 2.8.2 ---- */

void chacha_vector(void)
{
    CK_SESSION_HANDLE session = ready();
    struct bytes nonce = from_hex("070000004041424344454647"), aad = from_hex("50515253c0c1c2c3c4c5c6c7"), cipher, out;
    struct t_chacha params = { nonce.data, 12, aad.data, aad.len };
    CK_MECHANISM mech = { CKM_CHACHA20_POLY1305, &params, sizeof params };
    struct bytes plain = { .len = 114 };
    CK_OBJECT_HANDLE key;

    memcpy(plain.data, "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
           114);
    OFFERS(CKM_CHACHA20_POLY1305, CKF_ENCRYPT | CKF_DECRYPT);
    key = import_hex(session, CKK_CHACHA20, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", "ed");
    cipher = encrypted(session, &mech, key, &plain);
    must_equal_hex(
        "C_Encrypt", cipher.data, cipher.len,
        "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67e"
        "cd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a"
        "7e902ecbd0600691");
    must_decrypt(session, &mech, key, &cipher, &plain);
    cipher.data[cipher.len - 1] ^= 1;
    must_fail("tampered tag", decrypt_try(session, &mech, key, &cipher, &out));
    finalize();
}

/* ---- MACs ---- */

static void mac_vector(CK_MECHANISM *mech, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, const struct bytes *data, const char *want)
{
    struct bytes mac = { .len = sizeof mac.data };
    CK_RV rv;

    MUST(C_SignInit, session, mech, key);
    MUST(C_Sign, session, (CK_BYTE *)(uintptr_t)data->data, data->len, mac.data, &mac.len);
    must_equal_hex("C_Sign", mac.data, mac.len, want);
    MUST(C_SignInit, session, mech, key);
    MUST(C_SignUpdate, session, (CK_BYTE *)(uintptr_t)data->data, 3);
    MUST(C_SignUpdate, session, (CK_BYTE *)(uintptr_t)data->data + 3, data->len - 3);
    mac.len = sizeof mac.data;
    MUST(C_SignFinal, session, mac.data, &mac.len);
    must_equal_hex("C_SignFinal", mac.data, mac.len, want);
    MUST(C_VerifyInit, session, mech, key);
    MUST(C_Verify, session, (CK_BYTE *)(uintptr_t)data->data, data->len, mac.data, mac.len);
    mac.data[mac.len - 1] ^= 1;
    MUST(C_VerifyInit, session, mech, key);
    rv = CALL(C_Verify, session, (CK_BYTE *)(uintptr_t)data->data, data->len, mac.data, mac.len);
    if (rv == CKR_OK) say_wrong("tampered MAC accepted");
    MUST_BE("C_Verify", rv, CKR_SIGNATURE_INVALID);
    MUST(C_VerifyInit, session, mech, key);
    rv = CALL(C_Verify, session, (CK_BYTE *)(uintptr_t)data->data, data->len, mac.data, mac.len - 1);
    if (rv == CKR_OK) say_wrong("truncated MAC accepted");
    MUST_BE("C_Verify of a truncated MAC", rv, CKR_SIGNATURE_LEN_RANGE, CKR_SIGNATURE_INVALID);
}

/* RFC 2202 and RFC 4231, test case 6 of each: the keys are long enough for every module. */
static void hmac_vector(CK_MECHANISM_TYPE type, const char *name, CK_ULONG key_len, const char *want)
{
    static const char text[] = "Test Using Larger Than Block-Size Key - Hash Key First";
    char hex[2 * 131 + 1];
    CK_SESSION_HANDLE session = ready();
    CK_MECHANISM mech = { type, NULL, 0 };
    struct bytes data = { .len = strlen(text) };

    memcpy(data.data, text, data.len);
    memset(hex, 'a', 2 * key_len);
    hex[2 * key_len] = 0;
    offers(type, name, CKF_SIGN | CKF_VERIFY);
    mac_vector(&mech, session, import_hex(session, CKK_GENERIC_SECRET, hex, "sv"), &data, want);
    finalize();
}

void hmac_sha1(void)
{
    hmac_vector(CKM_SHA_1_HMAC, "CKM_SHA_1_HMAC", 80, "aa4ae5e15272d00e95705637ce8a3b55ed402112");
}

void hmac_sha256(void)
{
    hmac_vector(CKM_SHA256_HMAC, "CKM_SHA256_HMAC", 131, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

void hmac_sha384(void)
{
    hmac_vector(CKM_SHA384_HMAC, "CKM_SHA384_HMAC", 131,
                "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952");
}

void hmac_sha512(void)
{
    hmac_vector(
        CKM_SHA512_HMAC, "CKM_SHA512_HMAC", 131,
        "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598");
}

/* NIST SP 800-38B, D.3, example 10. */
void cmac_vector(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_MECHANISM mech = { CKM_AES_CMAC, NULL, 0 };
    struct bytes data = from_hex("6bc1bee22e409f96e93d7e117393172a");

    OFFERS(CKM_AES_CMAC, CKF_SIGN | CKF_VERIFY);
    mac_vector(&mech, session, import_hex(session, CKK_AES, SP38A_KEY, "sv"), &data, "28a7023f452e8f82bd4bf28d8c37c35c");
    finalize();
}

/* ---- digests: FIPS 180-4, "abc" ---- */

static void digest(CK_MECHANISM_TYPE type, const char *name, const char *want)
{
    CK_SESSION_HANDLE session = ready();
    CK_MECHANISM mech = { type, NULL, 0 };
    CK_BYTE abc[] = "abc";
    struct bytes out = { .len = sizeof out.data };
    CK_ULONG len = 0;

    offers(type, name, CKF_DIGEST);
    MUST(C_DigestInit, session, &mech);
    MUST(C_Digest, session, abc, 3, NULL, &len);
    MUST(C_Digest, session, abc, 3, out.data, &out.len);
    must_equal_hex("C_Digest", out.data, out.len, want);
    if (len != out.len) say_wrong("C_Digest(NULL): %lu bytes, %lu come", len, out.len);
    MUST(C_DigestInit, session, &mech);
    MUST(C_DigestUpdate, session, abc, 1);
    MUST(C_DigestUpdate, session, abc + 1, 2);
    out.len = sizeof out.data;
    MUST(C_DigestFinal, session, out.data, &out.len);
    must_equal_hex("C_DigestFinal", out.data, out.len, want);
    finalize();
}

void digest_sha1(void)
{
    digest(CKM_SHA_1, "CKM_SHA_1", "a9993e364706816aba3e25717850c26c9cd0d89d");
}

void digest_sha256(void)
{
    digest(CKM_SHA256, "CKM_SHA256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

void digest_sha384(void)
{
    digest(CKM_SHA384, "CKM_SHA384", "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7");
}

void digest_sha512(void)
{
    digest(
        CKM_SHA512, "CKM_SHA512",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}
