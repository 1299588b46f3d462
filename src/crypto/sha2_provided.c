/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* SHA-2 by EVP, which is by a provider. The context lies on the heap, and OpenSSL wipes it when it frees it. */
#include <stdbool.h>

#include "crypto/fetched.h"
#include "crypto/sha2.h"

/* Between kl_crypto_enter and kl_crypto_leave, since it asks for memory. */
static enum kl_rc context_make(struct kl_sha2 *state, const EVP_MD *md)
{
    state->room.context = EVP_MD_CTX_new();
    if (state->room.context == NULL || (md != NULL && EVP_DigestInit_ex2(state->room.context, md, NULL) != 1)) {
        EVP_MD_CTX_free(state->room.context);
        state->room.context = NULL;
        return kl_crypto_failed("hash");
    }
    return KL_OK;
}

/* A context's first message asks for memory, later ones do not. */
static enum kl_rc begin(struct kl_sha2 *state)
{
    const EVP_MD *md;
    enum kl_rc rc;

    if (state->room.context != NULL) return EVP_DigestInit_ex2(state->room.context, NULL, NULL) == 1 ? KL_OK : kl_crypto_failed("hash");
    md = kl_crypto_md(state->hash);
    if (md == NULL) return KL_CRYPTO;
    kl_crypto_enter();
    rc = context_make(state, md);
    kl_crypto_leave();
    return rc;
}

static enum kl_rc update(struct kl_sha2 *state, struct kl_view in)
{
    return EVP_DigestUpdate(state->room.context, in.data, in.len) == 1 ? KL_OK : kl_crypto_failed("hash");
}

static enum kl_rc finish(struct kl_sha2 *state, uint8_t *out)
{
    unsigned len = 0;
    bool good = EVP_DigestFinal_ex(state->room.context, out, &len) == 1 && len == kl_hash_len(state->hash);

    return good ? KL_OK : kl_crypto_failed("hash");
}

static enum kl_rc copy(struct kl_sha2 *to, const struct kl_sha2 *from)
{
    enum kl_rc rc = KL_OK;

    kl_crypto_enter();
    if (to->room.context == NULL) rc = context_make(to, NULL);
    if (rc == KL_OK && EVP_MD_CTX_copy_ex(to->room.context, from->room.context) != 1) rc = kl_crypto_failed("hash");
    kl_crypto_leave();
    return rc;
}

static void drop(struct kl_sha2 *state)
{
    EVP_MD_CTX_free(state->room.context);
}

const struct kl_sha2_ops kl_sha2_provided = {
    .begin = begin,
    .update = update,
    .finish = finish,
    .copy = copy,
    .drop = drop,
};
