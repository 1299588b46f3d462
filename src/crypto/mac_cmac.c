/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* CMAC (SP 800-38B) over AES-CBC: the chaining value after the last block, which has a subkey mixed in. */
#include <string.h>

#include "base/secret.h"
#include "crypto/cipher.h"
#include "crypto/mac.h"

#define PIECE (16 * (size_t)KL_AES_BLOCK)

struct context {
    struct kl_cipher *cbc;
    uint8_t subkeys[2][KL_AES_BLOCK]; /* K1: for a whole last block; K2: for a padded one */
    uint8_t held[KL_AES_BLOCK];       /* the end of the message so far, since it may be the last block */
    size_t held_len;
    uint8_t chain[PIECE]; /* chaining values, of which only the last ever matters */
};

static const uint8_t zeroes[KL_AES_BLOCK];

/* SP 800-38B 6.1: the block times x in GF(2^128). Without branches on its bits: it is as good as a key. */
static void doubled(const uint8_t *block, uint8_t *out)
{
    unsigned carry = (unsigned)block[0] >> 7;

    for (size_t i = 0; i + 1 < KL_AES_BLOCK; i++) out[i] = (uint8_t)(block[i] << 1 | block[i + 1] >> 7);
    out[KL_AES_BLOCK - 1] = (uint8_t)((unsigned)block[KL_AES_BLOCK - 1] << 1 ^ carry * 0x87);
}

static enum kl_rc start(void *room, struct kl_view iv)
{
    struct context *context = room;

    (void)iv;
    context->held_len = 0;
    return kl_cipher_start(context->cbc, (struct kl_view){ zeroes, KL_AES_BLOCK });
}

static enum kl_rc init(void *room, enum kl_mac_algorithm algorithm, struct kl_view key)
{
    struct context *context = room;

    (void)algorithm;
    KL_TRY(kl_cipher_new(KL_CIPHER_CBC, key, true, &context->cbc));
    KL_TRY(start(context, (struct kl_view){ 0 }));
    KL_TRY(kl_cipher_update(context->cbc, (struct kl_view){ zeroes, KL_AES_BLOCK }, context->chain));
    doubled(context->chain, context->subkeys[0]);
    doubled(context->subkeys[0], context->subkeys[1]);
    return KL_OK;
}

/* Whole blocks, none of them the last of the message. */
static enum kl_rc chain(struct context *context, struct kl_view in)
{
    while (in.len > 0) {
        size_t len = in.len < PIECE ? in.len : PIECE;

        KL_TRY(kl_cipher_update(context->cbc, (struct kl_view){ in.data, len }, context->chain));
        in = (struct kl_view){ in.data + len, in.len - len };
    }
    return KL_OK;
}

/* Fills the held block; what is left of `in`. */
static struct kl_view hold(struct context *context, struct kl_view in)
{
    size_t room = KL_AES_BLOCK - context->held_len;
    size_t len = in.len < room ? in.len : room;

    memcpy(context->held + context->held_len, in.data, len);
    context->held_len += len;
    return (struct kl_view){ in.data + len, in.len - len };
}

static enum kl_rc update(void *room, struct kl_view in)
{
    struct context *context = room;
    size_t whole;

    in = hold(context, in);
    if (in.len == 0) return KL_OK;
    KL_TRY(chain(context, (struct kl_view){ context->held, KL_AES_BLOCK }));
    context->held_len = 0;
    whole = (in.len - 1) / KL_AES_BLOCK * KL_AES_BLOCK;
    KL_TRY(chain(context, (struct kl_view){ in.data, whole }));
    hold(context, (struct kl_view){ in.data + whole, in.len - whole });
    return KL_OK;
}

static enum kl_rc finish(void *room, uint8_t *out)
{
    struct context *context = room;
    size_t len = context->held_len;
    const uint8_t *subkey = context->subkeys[len < KL_AES_BLOCK];

    if (len < KL_AES_BLOCK) {
        memset(context->held + len, 0, KL_AES_BLOCK - len);
        context->held[len] = 0x80;
    }
    for (size_t i = 0; i < KL_AES_BLOCK; i++) context->held[i] ^= subkey[i];
    return kl_cipher_update(context->cbc, (struct kl_view){ context->held, KL_AES_BLOCK }, out);
}

static void clear(void *room)
{
    struct context *context = room;

    kl_cipher_free(context->cbc);
}

const struct kl_mac_ops kl_mac_cmac = {
    .context_size = sizeof(struct context),
    .init = init,
    .start = start,
    .update = update,
    .finish = finish,
    .clear = clear,
};
