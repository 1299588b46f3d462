/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The engine that is always there: OpenSSL's EVP, keyed once, given only an IV per operation. */
#include "crypto/aead.h"

#include "crypto/fetched.h"

#define IV_LEN 12 /* of a context that was told nothing else */
#define GCM_IV_MAX 128

/* EVP keeps the expanded key on the heap, wherever this lies. */
struct direction {
    EVP_CIPHER_CTX *ctx; /* NULL until first needed */
    bool is_stale;       /* it has a key from before a change */
    size_t iv_len;
};

struct context {
    const EVP_CIPHER *cipher;
    struct kl_view key;
    struct direction encrypt, decrypt;
    struct direction *running;
};

static bool has(enum kl_aead_algorithm algorithm, size_t key_len, size_t iv_len)
{
    if (algorithm == KL_AEAD_CHACHA20_POLY1305) return key_len == 32 && iv_len == IV_LEN;
    if (algorithm != KL_AEAD_AES_GCM) return false;
    return (key_len == 16 || key_len == 24 || key_len == 32) && iv_len >= 1 && iv_len <= GCM_IV_MAX;
}

static enum kl_rc init(void *room, enum kl_aead_algorithm algorithm, struct kl_view key)
{
    struct context *context = room;

    context->cipher = algorithm == KL_AEAD_AES_GCM ? kl_crypto_aes(KL_AES_GCM, key.len) : kl_crypto_chacha20_poly1305();
    if (context->cipher == NULL) return KL_CRYPTO;
    context->key = key;
    return KL_OK;
}

static void rekey(void *room)
{
    struct context *context = room;

    context->encrypt.is_stale = context->decrypt.is_stale = true;
}

static enum kl_rc ctx_make(const struct context *context, bool encrypt, EVP_CIPHER_CTX **out)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

    if (ctx == NULL) return kl_fail(KL_MEMORY, "no room for a cipher context");
    if (EVP_CipherInit_ex2(ctx, context->cipher, context->key.data, NULL, encrypt, NULL) != 1) {
        EVP_CIPHER_CTX_free(ctx);
        return kl_crypto_failed("take a key");
    }
    *out = ctx;
    return KL_OK;
}

static KL_COLD enum kl_rc direction_make(const struct context *context, struct direction *direction, bool encrypt)
{
    enum kl_rc rc;

    kl_crypto_enter();
    rc = ctx_make(context, encrypt, &direction->ctx);
    kl_crypto_leave();
    direction->iv_len = IV_LEN;
    direction->is_stale = false;
    return rc;
}

/* After a failure nobody knows what the context holds: the next operation makes a new one. */
static KL_COLD enum kl_rc give_up(struct direction *direction, const char *what)
{
    enum kl_rc rc = kl_crypto_failed(what);

    EVP_CIPHER_CTX_free(direction->ctx);
    direction->ctx = NULL;
    return rc;
}

/* Sets IV and AAD, and a key that has changed: its expansion asks for no memory. */
static enum kl_rc begin(struct context *context, const struct kl_aead_params *params, bool encrypt)
{
    struct direction *direction = encrypt ? &context->encrypt : &context->decrypt;
    const uint8_t *key;

    if (direction->ctx == NULL) KL_TRY(direction_make(context, direction, encrypt));
    if (direction->iv_len != params->iv.len) {
        direction->iv_len = params->iv.len;
        if (EVP_CIPHER_CTX_ctrl(direction->ctx, EVP_CTRL_AEAD_SET_IVLEN, (int)params->iv.len, NULL) != 1)
            return give_up(direction, "set the length of an IV");
    }
    key = direction->is_stale ? context->key.data : NULL;
    if (EVP_CipherInit_ex2(direction->ctx, NULL, key, params->iv.data, -1, NULL) != 1) return give_up(direction, "set an IV");
    direction->is_stale = false;
    if (!kl_crypto_feed(direction->ctx, params->aad, NULL)) return give_up(direction, "take associated data");
    return KL_OK;
}

static enum kl_rc tag_make(struct direction *direction, uint8_t *tag, size_t tag_len)
{
    uint8_t none[KL_AEAD_TAG_MAX];
    int len = 0;

    if (EVP_CipherFinal_ex(direction->ctx, none, &len) != 1 || len != 0) return give_up(direction, "end an encryption");
    if (EVP_CIPHER_CTX_ctrl(direction->ctx, EVP_CTRL_AEAD_GET_TAG, (int)tag_len, tag) != 1) return give_up(direction, "make a tag");
    return KL_OK;
}

static enum kl_rc tag_check(struct direction *direction, const uint8_t *tag, size_t tag_len)
{
    union { /* the control knows no const, and only reads */
        const uint8_t *tag;
        void *any;
    } given = { tag };
    uint8_t none[KL_AEAD_TAG_MAX];
    int len = 0;

    if (EVP_CIPHER_CTX_ctrl(direction->ctx, EVP_CTRL_AEAD_SET_TAG, (int)tag_len, given.any) != 1) return give_up(direction, "take a tag");
    return EVP_CipherFinal_ex(direction->ctx, none, &len) == 1 ? KL_OK : KL_CIPHERTEXT;
}

static KL_HOT enum kl_rc seal(void *room, const struct kl_aead_params *params, struct kl_view in, uint8_t *out, uint8_t *tag)
{
    struct context *context = room;

    KL_TRY(begin(context, params, true));
    if (!kl_crypto_feed(context->encrypt.ctx, in, out)) return give_up(&context->encrypt, "encrypt");
    return tag_make(&context->encrypt, tag, params->tag_len);
}

static KL_HOT enum kl_rc open(void *room, const struct kl_aead_params *params, struct kl_view in, const uint8_t *tag, uint8_t *out)
{
    struct context *context = room;

    KL_TRY(begin(context, params, false));
    if (!kl_crypto_feed(context->decrypt.ctx, in, out)) return give_up(&context->decrypt, "decrypt");
    return tag_check(&context->decrypt, tag, params->tag_len);
}

static enum kl_rc start(void *room, const struct kl_aead_params *params, bool encrypt)
{
    struct context *context = room;

    KL_TRY(begin(context, params, encrypt));
    context->running = encrypt ? &context->encrypt : &context->decrypt;
    return KL_OK;
}

/* Associated data in parts as well, where `out` is NULL (mac_gmac.c). */
static enum kl_rc update(void *room, struct kl_view in, uint8_t *out)
{
    struct context *context = room;

    if (!kl_crypto_feed(context->running->ctx, in, out)) return give_up(context->running, "go on with a stream");
    return KL_OK;
}

static enum kl_rc finish(void *room, uint8_t *tag, size_t tag_len)
{
    struct context *context = room;

    if (context->running == &context->encrypt) return tag_make(context->running, tag, tag_len);
    return tag_check(context->running, tag, tag_len);
}

static void clear(void *room)
{
    struct context *context = room;

    EVP_CIPHER_CTX_free(context->encrypt.ctx);
    EVP_CIPHER_CTX_free(context->decrypt.ctx);
}

const struct kl_aead_engine kl_aead_openssl = {
    .name = "openssl",
    .engine = KL_ENGINE_OPENSSL,
    .context_size = sizeof(struct context),
    .has = has,
    .init = init,
    .rekey = rekey,
    .seal = seal,
    .open = open,
    .start = start,
    .update = update,
    .finish = finish,
    .clear = clear,
};
