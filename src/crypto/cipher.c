/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "crypto/cipher.h"

#include <string.h>

#include "base/secret.h"
#include "crypto/fetched.h"

static const struct shape {
    enum kl_aes aes;
    size_t iv_len;
    size_t block;
} shapes[KL_CIPHER_MODES] = {
    [KL_CIPHER_ECB] = { .aes = KL_AES_ECB, .iv_len = 0, .block = KL_AES_BLOCK },
    [KL_CIPHER_CBC] = { .aes = KL_AES_CBC, .iv_len = KL_AES_BLOCK, .block = KL_AES_BLOCK },
    [KL_CIPHER_CTR] = { .aes = KL_AES_CTR, .iv_len = KL_AES_BLOCK, .block = 1 },
};

/* Lies in the arena; EVP keeps the expanded key on the heap. */
struct kl_cipher {
    const struct shape *shape;
    const EVP_CIPHER *evp;
    EVP_CIPHER_CTX *ctx; /* NULL after a failure, until the next message */
    bool encrypts;
    bool running;
    uint8_t key[32];
};

static bool ctx_key(const struct kl_cipher *cipher, EVP_CIPHER_CTX *ctx)
{
    return EVP_CipherInit_ex2(ctx, cipher->evp, cipher->key, NULL, cipher->encrypts, NULL) == 1 && EVP_CIPHER_CTX_set_padding(ctx, 0) == 1;
}

static enum kl_rc ctx_make(struct kl_cipher *cipher)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

    if (ctx == NULL) return kl_fail(KL_MEMORY, "no room for a cipher context");
    if (!ctx_key(cipher, ctx)) {
        EVP_CIPHER_CTX_free(ctx);
        return kl_crypto_failed("take a key");
    }
    cipher->ctx = ctx;
    return KL_OK;
}

static enum kl_rc keyed(struct kl_cipher *cipher)
{
    enum kl_rc rc;

    kl_crypto_enter();
    rc = ctx_make(cipher);
    kl_crypto_leave();
    return rc;
}

/* After a failure nobody knows what the context holds: the next message makes a new one. */
static enum kl_rc give_up(struct kl_cipher *cipher, const char *what)
{
    enum kl_rc rc = kl_crypto_failed(what);

    EVP_CIPHER_CTX_free(cipher->ctx);
    cipher->ctx = NULL;
    return rc;
}

enum kl_rc kl_cipher_new(enum kl_cipher_mode mode, struct kl_view key, bool encrypts, struct kl_cipher **out)
{
    const EVP_CIPHER *evp;
    struct kl_cipher *cipher;
    enum kl_rc rc;

    KL_CHECK(key.len == 16 || key.len == 24 || key.len == 32, KL_KEY_SIZE);
    evp = kl_crypto_aes(shapes[mode].aes, key.len);
    if (evp == NULL) return KL_CRYPTO;
    cipher = kl_arena_new(sizeof *cipher);
    if (cipher == NULL) return kl_fail(KL_MEMORY, "no room for a key");
    cipher->shape = &shapes[mode];
    cipher->evp = evp;
    cipher->encrypts = encrypts;
    memcpy(cipher->key, key.data, key.len);
    rc = keyed(cipher);
    if (rc != KL_OK) {
        kl_cipher_free(cipher);
        return rc;
    }
    *out = cipher;
    return KL_OK;
}

void kl_cipher_free(struct kl_cipher *cipher)
{
    if (cipher == NULL) return;
    EVP_CIPHER_CTX_free(cipher->ctx);
    kl_arena_free(cipher, sizeof *cipher);
}

enum kl_rc kl_cipher_start(struct kl_cipher *cipher, struct kl_view iv)
{
    cipher->running = false;
    KL_CHECK(iv.len == cipher->shape->iv_len, KL_PARAMETER);
    if (cipher->ctx == NULL) KL_TRY(keyed(cipher));
    if (EVP_CipherInit_ex2(cipher->ctx, NULL, NULL, iv.len > 0 ? iv.data : NULL, -1, NULL) != 1) return give_up(cipher, "set an IV");
    cipher->running = true;
    return KL_OK;
}

enum kl_rc kl_cipher_update(struct kl_cipher *cipher, struct kl_view in, uint8_t *out)
{
    KL_CHECK(cipher->running, KL_ARG);
    if (in.len == 0) return KL_OK;
    cipher->running = false;
    KL_CHECK(in.data != NULL && out != NULL && !kl_view_overlaps(in, kl_view_of(out, in.len)), KL_ARG);
    KL_CHECK(in.len % cipher->shape->block == 0, KL_DATA_LENGTH);
    if (!kl_crypto_feed(cipher->ctx, in, out)) {
        kl_wipe(out, in.len);
        return give_up(cipher, cipher->encrypts ? "encrypt" : "decrypt");
    }
    cipher->running = true;
    return KL_OK;
}
