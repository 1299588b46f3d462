/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* GMAC is GCM of nothing: the message is the associated data, which the engine `openssl` takes in parts. */
#include <string.h>

#include "base/secret.h"
#include "crypto/aead.h"
#include "crypto/mac.h"

#define TAG_LEN 16

struct context {
    void *gcm;
    uint8_t key[32]; /* the engine's to look at as long as it lives */
};

static enum kl_rc init(void *room, enum kl_mac_algorithm algorithm, struct kl_view key)
{
    struct context *context = room;

    (void)algorithm;
    context->gcm = kl_arena_new(kl_aead_openssl.context_size);
    if (context->gcm == NULL) return kl_fail(KL_MEMORY, "no room for an expanded key");
    memcpy(context->key, key.data, key.len);
    return kl_aead_openssl.init(context->gcm, KL_AEAD_AES_GCM, (struct kl_view){ context->key, key.len });
}

static enum kl_rc start(void *room, struct kl_view iv)
{
    const struct context *context = room;
    struct kl_aead_params params = { .iv = iv, .tag_len = TAG_LEN };

    return kl_aead_openssl.start(context->gcm, &params, true);
}

static enum kl_rc update(void *room, struct kl_view in)
{
    const struct context *context = room;

    return kl_aead_openssl.update(context->gcm, in, NULL);
}

static enum kl_rc finish(void *room, uint8_t *out)
{
    const struct context *context = room;

    return kl_aead_openssl.finish(context->gcm, out, TAG_LEN);
}

static void clear(void *room)
{
    const struct context *context = room;

    if (context->gcm == NULL) return;
    kl_aead_openssl.clear(context->gcm);
    kl_arena_free(context->gcm, kl_aead_openssl.context_size);
}

const struct kl_mac_ops kl_mac_gmac = {
    .context_size = sizeof(struct context),
    .init = init,
    .start = start,
    .update = update,
    .finish = finish,
    .clear = clear,
};
