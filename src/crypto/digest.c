/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "crypto/digest.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/secret.h"
#include "crypto/fetched.h"

struct kl_digest {
    enum kl_hash hash;
    EVP_MD_CTX *ctx;
    bool running;
};

/* The first use of a context asks for memory; later ones do not. */
static enum kl_rc ctx_make(const EVP_MD *md, EVP_MD_CTX **out)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    if (ctx == NULL) return kl_fail(KL_MEMORY, "no room for a digest");
    if (EVP_DigestInit_ex2(ctx, md, NULL) != 1) {
        EVP_MD_CTX_free(ctx);
        return kl_crypto_failed("begin a digest");
    }
    *out = ctx;
    return KL_OK;
}

enum kl_rc kl_digest_new(enum kl_hash hash, struct kl_digest **out)
{
    const EVP_MD *md = kl_crypto_md(hash);
    struct kl_digest *digest;
    enum kl_rc rc;

    if (md == NULL) return KL_CRYPTO;
    digest = calloc(1, sizeof *digest);
    if (digest == NULL) return kl_fail(KL_MEMORY, "no room for a digest");
    digest->hash = hash;
    kl_crypto_enter();
    rc = ctx_make(md, &digest->ctx);
    kl_crypto_leave();
    if (rc != KL_OK) {
        free(digest);
        return rc;
    }
    *out = digest;
    return KL_OK;
}

void kl_digest_free(struct kl_digest *digest)
{
    if (digest == NULL) return;
    EVP_MD_CTX_free(digest->ctx);
    free(digest);
}

enum kl_rc kl_digest_start(struct kl_digest *digest)
{
    digest->running = EVP_DigestInit_ex2(digest->ctx, NULL, NULL) == 1;
    return digest->running ? KL_OK : kl_crypto_failed("begin a digest");
}

enum kl_rc kl_digest_update(struct kl_digest *digest, struct kl_view in)
{
    KL_CHECK(digest->running, KL_ARG);
    if (in.len == 0) return KL_OK;
    digest->running = EVP_DigestUpdate(digest->ctx, in.data, in.len) == 1;
    return digest->running ? KL_OK : kl_crypto_failed("hash");
}

enum kl_rc kl_digest_finish(struct kl_digest *digest, uint8_t *out)
{
    unsigned len = 0;

    KL_CHECK(digest->running, KL_ARG);
    digest->running = false;
    if (EVP_DigestFinal_ex(digest->ctx, out, &len) == 1) return KL_OK;
    kl_wipe(out, kl_hash_len(digest->hash));
    return kl_crypto_failed("hash");
}
