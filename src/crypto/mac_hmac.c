/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* HMAC from two digests that have taken in the key already: a message costs two copies of them instead of two blocks. */
#include <stdbool.h>
#include <string.h>

#include "base/secret.h"
#include "crypto/fetched.h"
#include "crypto/hash.h"
#include "crypto/mac.h"

#define BLOCK_MAX 128

static const struct shape {
    enum kl_hash hash;
    size_t block;
} shapes[KL_MAC_ALGORITHMS] = {
    [KL_MAC_HMAC_SHA256] = { KL_SHA256, 64 },
    [KL_MAC_HMAC_SHA384] = { KL_SHA384, 128 },
    [KL_MAC_HMAC_SHA512] = { KL_SHA512, 128 },
};

/* EVP keeps the states on the heap and wipes them when it frees them. */
enum { INNER, OUTER, STATES };
struct context {
    const struct shape *shape;
    EVP_MD_CTX *keyed[STATES];   /* what every message begins with */
    EVP_MD_CTX *running[STATES]; /* this message's */
    uint8_t block[BLOCK_MAX];    /* the key, while it is taken in; the inner digest, at the end */
};

static bool key_as_block(struct context *context, struct kl_view key)
{
    if (key.len > context->shape->block) return kl_hash_parts(context->shape->hash, &key, 1, context->block) == KL_OK;
    if (key.len > 0) memcpy(context->block, key.data, key.len);
    return true;
}

/* RFC 2104: the key as one block, exclusive-ored with `pad`, which this undoes. */
static bool take_key(struct context *context, EVP_MD_CTX *ctx, uint8_t pad)
{
    bool good;

    for (size_t i = 0; i < BLOCK_MAX; i++) context->block[i] ^= pad;
    good = EVP_DigestUpdate(ctx, context->block, context->shape->block) == 1;
    for (size_t i = 0; i < BLOCK_MAX; i++) context->block[i] ^= pad;
    return good;
}

static bool states_make(struct context *context, const EVP_MD *md)
{
    static const uint8_t pads[STATES] = { [INNER] = 0x36, [OUTER] = 0x5C };

    for (size_t i = 0; i < STATES; i++) {
        context->keyed[i] = EVP_MD_CTX_new();
        context->running[i] = EVP_MD_CTX_new();
        if (context->keyed[i] == NULL || context->running[i] == NULL) return false;
        if (EVP_DigestInit_ex2(context->keyed[i], md, NULL) != 1) return false;
        if (!take_key(context, context->keyed[i], pads[i])) return false;
    }
    return true;
}

static enum kl_rc init(void *room, enum kl_mac_algorithm algorithm, struct kl_view key)
{
    struct context *context = room;
    const EVP_MD *md = kl_crypto_md(shapes[algorithm].hash);
    enum kl_rc rc = KL_OK;

    if (md == NULL) return KL_CRYPTO;
    context->shape = &shapes[algorithm];
    kl_crypto_enter();
    if (!key_as_block(context, key) || !states_make(context, md)) rc = kl_crypto_failed("take a key");
    kl_crypto_leave();
    kl_wipe(context->block, BLOCK_MAX);
    return rc;
}

/* Copying asks for memory, so all of it is done here, between one pair of marks. */
static enum kl_rc start(void *room, struct kl_view iv)
{
    struct context *context = room;
    enum kl_rc rc = KL_OK;

    (void)iv;
    kl_crypto_enter();
    for (size_t i = 0; i < STATES && rc == KL_OK; i++)
        if (EVP_MD_CTX_copy_ex(context->running[i], context->keyed[i]) != 1) rc = kl_crypto_failed("begin a MAC");
    kl_crypto_leave();
    return rc;
}

static enum kl_rc update(void *room, struct kl_view in)
{
    struct context *context = room;

    if (EVP_DigestUpdate(context->running[INNER], in.data, in.len) != 1) return kl_crypto_failed("make a MAC");
    return KL_OK;
}

static enum kl_rc finish(void *room, uint8_t *out)
{
    struct context *context = room;
    EVP_MD_CTX *const *states = context->running;
    unsigned len = 0;
    bool good = EVP_DigestFinal_ex(states[INNER], context->block, &len) == 1 && EVP_DigestUpdate(states[OUTER], context->block, len) == 1 &&
                EVP_DigestFinal_ex(states[OUTER], out, &len) == 1;

    kl_wipe(context->block, KL_HASH_MAX);
    return good ? KL_OK : kl_crypto_failed("make a MAC");
}

static void clear(void *room)
{
    struct context *context = room;

    for (size_t i = 0; i < STATES; i++) {
        EVP_MD_CTX_free(context->keyed[i]);
        EVP_MD_CTX_free(context->running[i]);
    }
}

const struct kl_mac_ops kl_mac_hmac = {
    .context_size = sizeof(struct context),
    .init = init,
    .start = start,
    .update = update,
    .finish = finish,
    .clear = clear,
};
