/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "crypto/reference.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/fetched.h"

enum { KEY_LEN = 32, IV_LEN = 12, AAD_LEN = 16, TAG_LEN = 16, SALT_LEN = 32, INFO_LEN = 16, SIZE_MOST = 1 << 30 };

struct kl_reference {
    bool (*once)(struct kl_reference *reference);
    EVP_CIPHER_CTX *cipher;
    EVP_MAC *mac;
    EVP_MAC_CTX *mac_ctx;
    EVP_KDF *kdf;
    size_t size;
    uint8_t *in, *out; /* each `size` and a tag */
    size_t out_len;
    uint8_t key[KEY_LEN], iv[IV_LEN], aad[AAD_LEN], salt[SALT_LEN];
};

/* --- one operation --- */

static void next_iv(struct kl_reference *reference)
{
    uint64_t number;

    memcpy(&number, reference->iv + IV_LEN - sizeof number, sizeof number);
    number++;
    memcpy(reference->iv + IV_LEN - sizeof number, &number, sizeof number);
}

/* IV, associated data and text; the tag stands on either side of this. */
static bool run_cipher(struct kl_reference *reference, bool encrypt)
{
    EVP_CIPHER_CTX *ctx = reference->cipher;
    int len;

    return EVP_CipherInit_ex2(ctx, NULL, NULL, reference->iv, encrypt, NULL) == 1 &&
           EVP_CipherUpdate(ctx, NULL, &len, reference->aad, AAD_LEN) == 1 &&
           EVP_CipherUpdate(ctx, reference->out, &len, reference->in, (int)reference->size) == 1;
}

static bool seal(struct kl_reference *reference)
{
    uint8_t *tag = reference->out + reference->size;
    int len;

    next_iv(reference);
    return run_cipher(reference, true) && EVP_CipherFinal_ex(reference->cipher, tag, &len) == 1 &&
           EVP_CIPHER_CTX_ctrl(reference->cipher, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, tag) == 1;
}

static bool unseal(struct kl_reference *reference)
{
    int len;

    return run_cipher(reference, false) &&
           EVP_CIPHER_CTX_ctrl(reference->cipher, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, reference->in + reference->size) == 1 &&
           EVP_CipherFinal_ex(reference->cipher, reference->out + reference->size, &len) == 1;
}

static bool authenticate(struct kl_reference *reference)
{
    size_t len;

    /* Without a key it begins again with the one it has. */
    return EVP_MAC_init(reference->mac_ctx, NULL, 0, NULL) == 1 &&
           EVP_MAC_update(reference->mac_ctx, reference->in, reference->size) == 1 &&
           EVP_MAC_final(reference->mac_ctx, reference->out, &len, reference->out_len) == 1;
}

/* EVP_KDF keeps nothing that could be used again: every derivation is a context with all its parameters. */
static bool derive(struct kl_reference *reference)
{
    char hash[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, hash, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, reference->key, KEY_LEN),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, reference->salt, SALT_LEN),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, reference->aad, INFO_LEN),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(reference->kdf);
    bool done;

    reference->salt[0]++;
    done = ctx != NULL && EVP_KDF_derive(ctx, reference->out, reference->out_len, params) == 1;
    EVP_KDF_CTX_free(ctx);
    return done;
}

/* --- making one ready --- */

static bool key_cipher(struct kl_reference *reference, const EVP_CIPHER *cipher, bool encrypt)
{
    reference->cipher = EVP_CIPHER_CTX_new();
    reference->out_len = reference->size + (encrypt ? TAG_LEN : 0);
    return reference->cipher != NULL && EVP_CipherInit_ex2(reference->cipher, cipher, reference->key, reference->iv, true, NULL) == 1;
}

/* What is to be decrypted is encrypted first, and the context turned round. */
static bool make_open(struct kl_reference *reference, const EVP_CIPHER *cipher)
{
    uint8_t *sealed;

    if (!key_cipher(reference, cipher, false) || !seal(reference)) return false;
    sealed = reference->out;
    reference->out = reference->in;
    reference->in = sealed;
    reference->once = unseal;
    return EVP_CipherInit_ex2(reference->cipher, cipher, reference->key, reference->iv, false, NULL) == 1;
}

static bool make_seal(struct kl_reference *reference, const EVP_CIPHER *cipher)
{
    reference->once = seal;
    return key_cipher(reference, cipher, true);
}

static bool make_hmac(struct kl_reference *reference)
{
    char hash[] = "SHA256";
    OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, hash, 0), OSSL_PARAM_construct_end() };

    reference->once = authenticate;
    reference->out_len = 32;
    reference->mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    if (reference->mac != NULL) reference->mac_ctx = EVP_MAC_CTX_new(reference->mac);
    return reference->mac_ctx != NULL && EVP_MAC_init(reference->mac_ctx, reference->key, KEY_LEN, params) == 1;
}

static bool make_hkdf(struct kl_reference *reference)
{
    reference->once = derive;
    reference->out_len = 32;
    reference->kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    return reference->kdf != NULL;
}

static bool make(struct kl_reference *reference, enum kl_reference_work work)
{
    switch (work) {
    case KL_REFERENCE_GCM_SEAL:
        return make_seal(reference, kl_crypto_aes(KL_AES_GCM, KEY_LEN));
    case KL_REFERENCE_GCM_OPEN:
        return make_open(reference, kl_crypto_aes(KL_AES_GCM, KEY_LEN));
    case KL_REFERENCE_CHACHA_SEAL:
        return make_seal(reference, kl_crypto_chacha20_poly1305());
    case KL_REFERENCE_CHACHA_OPEN:
        return make_open(reference, kl_crypto_chacha20_poly1305());
    case KL_REFERENCE_HMAC:
        return make_hmac(reference);
    case KL_REFERENCE_HKDF:
        return make_hkdf(reference);
    case KL_REFERENCE_WORKS:
        break;
    }
    return false;
}

enum kl_rc kl_reference_new(enum kl_reference_work work, size_t size, struct kl_reference **out)
{
    struct kl_reference *reference;
    enum kl_rc rc;

    KL_CHECK(work < KL_REFERENCE_WORKS && size >= 1 && size <= SIZE_MOST, KL_ARG);
    reference = calloc(1, sizeof *reference);
    if (reference == NULL) return kl_fail(KL_MEMORY, "out of memory");
    reference->size = size;
    /* A MAC and a derived key are longer than the shortest text. */
    reference->in = calloc(1, size + 2 * TAG_LEN);
    reference->out = calloc(1, size + 2 * TAG_LEN);
    if (reference->in == NULL || reference->out == NULL) {
        kl_reference_free(reference);
        return kl_fail(KL_MEMORY, "out of memory");
    }
    kl_crypto_enter();
    rc = make(reference, work) ? KL_OK : kl_crypto_failed("make the reference ready");
    kl_crypto_leave();
    if (rc == KL_OK)
        *out = reference;
    else
        kl_reference_free(reference);
    return rc;
}

bool kl_reference_run(struct kl_reference *reference, unsigned long times)
{
    while (times-- > 0) {
        if (!reference->once(reference)) return false;
    }
    return true;
}

struct kl_view kl_reference_result(const struct kl_reference *reference)
{
    return kl_view_of(reference->out, reference->out_len);
}

void kl_reference_free(struct kl_reference *reference)
{
    if (reference == NULL) return;
    EVP_CIPHER_CTX_free(reference->cipher);
    EVP_MAC_CTX_free(reference->mac_ctx);
    EVP_MAC_free(reference->mac);
    EVP_KDF_free(reference->kdf);
    free(reference->in);
    free(reference->out);
    free(reference);
}

const char *kl_reference_version(void)
{
    return OpenSSL_version(OPENSSL_VERSION);
}
