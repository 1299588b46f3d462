/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * XAES-256-GCM (C2SP, https://c2sp.org/XAES-256-GCM): AES-256-GCM under a key of its own for every message, derived from
 * the key and the first half of a 24-byte nonce; the second half is the IV. Whichever engine has AES-GCM does the rest.
 */
#include "crypto/aead.h"

#include <string.h>

#include "base/secret.h"
#include "crypto/fetched.h"

#define NONCE_LEN 24
#define HALF 12
#define KEY_LEN 32
#define BLOCK 16

/* Lies in the arena, as does what `gcm` holds. */
struct context {
    struct kl_view key;
    EVP_CIPHER_CTX *blocks; /* AES-256 under `key`; NULL after a failure, until next needed */
    struct kl_aead *gcm;    /* under the key of the message at hand */
    uint8_t mask[BLOCK];    /* K1 of CMAC, the same for every message */
    uint8_t derived[KEY_LEN];
};

static bool has(enum kl_aead_algorithm algorithm, size_t key_len, size_t iv_len)
{
    return algorithm == KL_AEAD_XAES_256_GCM && key_len == KEY_LEN && iv_len == NONCE_LEN;
}

/* --- AES-256 of whole blocks, in place --- */

static enum kl_rc blocks_make(struct context *context)
{
    const EVP_CIPHER *cipher = kl_crypto_aes(KL_AES_ECB, KEY_LEN);
    EVP_CIPHER_CTX *ctx;

    if (cipher == NULL) return KL_CRYPTO;
    ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) return kl_fail(KL_MEMORY, "no room for a cipher context");
    if (EVP_CipherInit_ex2(ctx, cipher, context->key.data, NULL, 1, NULL) != 1) {
        EVP_CIPHER_CTX_free(ctx);
        return kl_crypto_failed("take a key");
    }
    context->blocks = ctx;
    return KL_OK;
}

static enum kl_rc blocks_ready(struct context *context)
{
    enum kl_rc rc;

    if (context->blocks != NULL) return KL_OK;
    kl_crypto_enter();
    rc = blocks_make(context);
    kl_crypto_leave();
    return rc;
}

static enum kl_rc blocks_encrypt(struct context *context, uint8_t *blocks, size_t len)
{
    enum kl_rc rc;
    int done = 0;

    KL_TRY(blocks_ready(context));
    if (EVP_CipherUpdate(context->blocks, blocks, &done, blocks, (int)len) == 1 && (size_t)done == len) return KL_OK;
    rc = kl_crypto_failed("derive the key of a message");
    EVP_CIPHER_CTX_free(context->blocks);
    context->blocks = NULL;
    return rc;
}

/* --- keys --- */

/* SP 800-38B 6.1: a zero block encrypted, then doubled in GF(2^128). */
static enum kl_rc mask_make(struct context *context)
{
    uint8_t *mask = context->mask;
    uint8_t carry;

    KL_TRY(blocks_encrypt(context, mask, BLOCK));
    carry = mask[0] >> 7;
    for (size_t i = 0; i + 1 < BLOCK; i++) mask[i] = (uint8_t)(mask[i] << 1 | mask[i + 1] >> 7);
    mask[BLOCK - 1] = (uint8_t)(mask[BLOCK - 1] << 1 ^ 0x87 * carry);
    return KL_OK;
}

static enum kl_rc init(void *room, enum kl_aead_algorithm algorithm, struct kl_view key)
{
    struct context *context = room;

    (void)algorithm;
    context->key = key;
    KL_TRY(mask_make(context));
    /* Under no key yet: every message brings its own. */
    return kl_aead_new(KL_AEAD_AES_GCM, kl_view_of(context->derived, KEY_LEN), &context->gcm);
}

/* SP 800-108 4.1 in counter mode over CMAC: 16-bit counter, label "X", a zero byte, context. One block each, so each MAC is one AES. */
static enum kl_rc begin(struct context *context, const struct kl_aead_params *params, struct kl_aead_params *inner)
{
    uint8_t *derived = context->derived;
    enum kl_rc rc;

    for (uint8_t counter = 1; counter <= KEY_LEN / BLOCK; counter++) {
        uint8_t *block = derived + (size_t)(counter - 1) * BLOCK;
        const uint8_t lead[BLOCK - HALF] = { 0, counter, 'X', 0 };

        memcpy(block, lead, sizeof lead);
        memcpy(block + sizeof lead, params->iv.data, HALF);
        for (size_t i = 0; i < BLOCK; i++) block[i] ^= context->mask[i];
    }
    rc = blocks_encrypt(context, derived, KEY_LEN);
    if (rc == KL_OK) kl_aead_rekey(context->gcm, kl_view_of(derived, KEY_LEN));
    kl_wipe(derived, KEY_LEN);
    *inner = *params;
    inner->iv = kl_view_of(params->iv.data + HALF, NONCE_LEN - HALF);
    return rc;
}

/* --- messages --- */

static enum kl_rc seal(void *room, const struct kl_aead_params *params, struct kl_view in, uint8_t *out, uint8_t *tag)
{
    struct context *context = room;
    struct kl_aead_params inner;

    KL_TRY(begin(context, params, &inner));
    return kl_aead_seal(context->gcm, &inner, in, out, tag);
}

static enum kl_rc open(void *room, const struct kl_aead_params *params, struct kl_view in, const uint8_t *tag, uint8_t *out)
{
    struct context *context = room;
    struct kl_aead_params inner;

    KL_TRY(begin(context, params, &inner));
    return kl_aead_open(context->gcm, &inner, in, tag, out);
}

/* In one direction alone: decryption in parts is for engines whose callers hold the output back, and has none here. */
static enum kl_rc start(void *room, const struct kl_aead_params *params, bool encrypt)
{
    struct context *context = room;
    struct kl_aead_params inner;

    KL_CHECK(encrypt, KL_NOT_SUPPORTED);
    KL_TRY(begin(context, params, &inner));
    return kl_aead_start(context->gcm, &inner);
}

static enum kl_rc update(void *room, struct kl_view in, uint8_t *out)
{
    struct context *context = room;

    return kl_aead_update(context->gcm, in, out);
}

static enum kl_rc finish(void *room, uint8_t *tag, size_t tag_len)
{
    struct context *context = room;

    return kl_aead_finish(context->gcm, tag, tag_len);
}

static void clear(void *room)
{
    struct context *context = room;

    EVP_CIPHER_CTX_free(context->blocks);
    kl_aead_free(context->gcm);
}

const struct kl_aead_engine kl_aead_xaes = {
    .name = "xaes",
    .context_size = sizeof(struct context),
    .has = has,
    .init = init,
    .seal = seal,
    .open = open,
    .start = start,
    .update = update,
    .finish = finish,
    .clear = clear,
};
