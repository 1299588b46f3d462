/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "crypto/sha2.h"

#include <stdatomic.h>

static atomic_bool uses_providers;

void kl_hash_use_providers(bool wanted)
{
    atomic_store(&uses_providers, wanted);
}

static const struct kl_sha2_ops *choose(enum kl_hash hash)
{
    const struct kl_sha2_ops *direct = kl_sha2_direct(hash);

    return direct == NULL || atomic_load_explicit(&uses_providers, memory_order_relaxed) ? &kl_sha2_provided : direct;
}

size_t kl_sha2_block(enum kl_hash hash)
{
    return hash == KL_SHA256 ? 64 : KL_SHA2_BLOCK_MAX;
}

enum kl_rc kl_sha2_begin(struct kl_sha2 *state, enum kl_hash hash)
{
    if (state->ops == NULL) state->ops = choose(hash);
    state->hash = hash;
    return state->ops->begin(state);
}

enum kl_rc kl_sha2_update(struct kl_sha2 *state, struct kl_view in)
{
    return in.len == 0 ? KL_OK : state->ops->update(state, in);
}

enum kl_rc kl_sha2_finish(struct kl_sha2 *state, uint8_t *out)
{
    return state->ops->finish(state, out);
}

enum kl_rc kl_sha2_copy(struct kl_sha2 *to, const struct kl_sha2 *from)
{
    to->ops = from->ops;
    to->hash = from->hash;
    return from->ops->copy(to, from);
}

void kl_sha2_drop(struct kl_sha2 *state)
{
    if (state->ops != NULL && state->ops->drop != NULL) state->ops->drop(state);
    kl_sha2_blank(state);
}
