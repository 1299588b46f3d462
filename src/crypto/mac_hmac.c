/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* HMAC from two digests that have taken in the key already: a message costs two copies of them instead of two blocks. */
#include "crypto/mac.h"
#include "crypto/hmac.h"

struct context {
    struct kl_hmac keyed;   /* what every message begins with */
    struct kl_hmac running; /* this message's */
};

static enum kl_rc init(void *room, enum kl_mac_algorithm algorithm, struct kl_view key)
{
    static const enum kl_hash hashes[KL_MAC_ALGORITHMS] = {
        [KL_MAC_HMAC_SHA256] = KL_SHA256,
        [KL_MAC_HMAC_SHA384] = KL_SHA384,
        [KL_MAC_HMAC_SHA512] = KL_SHA512,
    };
    struct context *context = room;

    return kl_hmac_begin(&context->keyed, hashes[algorithm], key);
}

static enum kl_rc start(void *room, struct kl_view iv)
{
    struct context *context = room;

    (void)iv;
    return kl_hmac_copy(&context->running, &context->keyed);
}

static enum kl_rc update(void *room, struct kl_view in)
{
    struct context *context = room;

    return kl_sha2_update(&context->running.inner, in);
}

static enum kl_rc finish(void *room, uint8_t *out)
{
    struct context *context = room;

    return kl_hmac_finish(&context->running, out);
}

/* The arena wipes. */
static void clear(void *room)
{
    struct context *context = room;

    kl_hmac_drop(&context->keyed);
    kl_hmac_drop(&context->running);
}

const struct kl_mac_ops kl_mac_hmac = {
    .context_size = sizeof(struct context),
    .init = init,
    .start = start,
    .update = update,
    .finish = finish,
    .clear = clear,
};
