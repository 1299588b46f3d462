/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "crypto/keywrap.h"

#include <stdbool.h>

#include "crypto/fetched.h"

#define SEMIBLOCK 8

static const struct shape {
    enum kl_aes aes;
    size_t iv_len;
    size_t min; /* bytes in */
    size_t unit;
} shapes[] = {
    [KL_KEYWRAP_KW] = { .aes = KL_AES_KW, .iv_len = 8, .min = 16, .unit = SEMIBLOCK },
    [KL_KEYWRAP_KWP] = { .aes = KL_AES_KWP, .iv_len = 4, .min = 1, .unit = 1 },
};

static enum kl_rc ctx_make(const EVP_CIPHER *evp, const uint8_t *kek, const uint8_t *iv, bool encrypt, EVP_CIPHER_CTX **out)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

    if (ctx == NULL) return kl_fail(KL_MEMORY, "no room for a cipher context");
    EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    if (EVP_CipherInit_ex2(ctx, evp, kek, iv, encrypt, NULL) != 1) {
        EVP_CIPHER_CTX_free(ctx);
        return kl_crypto_failed("take a key");
    }
    *out = ctx;
    return KL_OK;
}

/* A context for one wrapping or unwrapping, everything but the input checked. */
static enum kl_rc begin(const struct shape *shape, struct kl_view kek, struct kl_view iv, bool encrypt, EVP_CIPHER_CTX **out)
{
    const EVP_CIPHER *evp;
    enum kl_rc rc;

    KL_CHECK(kek.len == 16 || kek.len == 24 || kek.len == 32, KL_KEY_SIZE);
    KL_CHECK(iv.len == 0 || iv.len == shape->iv_len, KL_PARAMETER);
    evp = kl_crypto_aes(shape->aes, kek.len);
    if (evp == NULL) return KL_CRYPTO;
    kl_crypto_enter();
    rc = ctx_make(evp, kek.data, iv.len > 0 ? iv.data : NULL, encrypt, out);
    kl_crypto_leave();
    return rc;
}

static bool is_wrapped_len(const struct shape *shape, size_t len)
{
    return len % SEMIBLOCK == 0 && len >= (shape->unit == 1 ? 16 : shape->min + SEMIBLOCK) && len <= KL_KEYWRAP_MAX + SEMIBLOCK;
}

size_t kl_keywrap_len(enum kl_keywrap format, size_t len)
{
    const struct shape *shape = &shapes[format];

    if (len < shape->min || len > KL_KEYWRAP_MAX || len % shape->unit != 0) return 0;
    return (len + SEMIBLOCK - 1) / SEMIBLOCK * SEMIBLOCK + SEMIBLOCK;
}

enum kl_rc kl_keywrap_seal(enum kl_keywrap format, struct kl_view kek, struct kl_view iv, struct kl_view in, uint8_t *out)
{
    size_t len = kl_keywrap_len(format, in.len);
    EVP_CIPHER_CTX *ctx = NULL;
    int done = 0;
    enum kl_rc rc = KL_OK;

    KL_CHECK(len > 0, KL_DATA_LENGTH);
    KL_TRY(begin(&shapes[format], kek, iv, true, &ctx));
    kl_crypto_enter();
    if (EVP_CipherUpdate(ctx, out, &done, in.data, (int)in.len) != 1 || (size_t)done != len) rc = kl_crypto_failed("wrap a key");
    kl_crypto_leave();
    EVP_CIPHER_CTX_free(ctx);
    if (rc != KL_OK) kl_wipe(out, len);
    return rc;
}

enum kl_rc kl_keywrap_open(enum kl_keywrap format, struct kl_view kek, struct kl_view iv, struct kl_view in, struct kl_secret *out)
{
    KL_AUTO(kl_secret) opened = { 0 };
    EVP_CIPHER_CTX *ctx = NULL;
    int done = 0;
    bool good;

    KL_CHECK(is_wrapped_len(&shapes[format], in.len), KL_WRAPPED_LENGTH);
    KL_TRY(kl_secret_new(&opened, in.len));
    KL_TRY(begin(&shapes[format], kek, iv, false, &ctx));
    kl_crypto_enter();
    /* It says no more than that it failed, and neither does OpenSSL: a wrong key looks like a changed byte. */
    good = EVP_CipherUpdate(ctx, opened.data, &done, in.data, (int)in.len) == 1 && done > 0;
    kl_crypto_leave();
    EVP_CIPHER_CTX_free(ctx);
    KL_CHECK(good, KL_WRAPPED);
    kl_secret_cut(&opened, (size_t)done);
    kl_secret_take(out, &opened);
    return KL_OK;
}
