/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "crypto/digest.h"

#include <stdbool.h>

#include "base/secret.h"
#include "crypto/sha2.h"

/* In the arena: what is hashed may be a key (C_DigestKey), and its last bytes lie in the state as they are. */
struct kl_digest {
    enum kl_hash hash;
    bool running;
    struct kl_sha2 state;
};

enum kl_rc kl_digest_new(enum kl_hash hash, struct kl_digest **out)
{
    struct kl_digest *digest = kl_arena_new(sizeof *digest);
    enum kl_rc rc;

    if (digest == NULL) return kl_fail(KL_MEMORY, "no room for a digest");
    digest->hash = hash;
    rc = kl_sha2_begin(&digest->state, hash);
    if (rc != KL_OK) {
        kl_digest_free(digest);
        return rc;
    }
    *out = digest;
    return KL_OK;
}

void kl_digest_free(struct kl_digest *digest)
{
    if (digest == NULL) return;
    kl_sha2_drop(&digest->state); /* the arena wipes */
    kl_arena_free(digest, sizeof *digest);
}

enum kl_rc kl_digest_start(struct kl_digest *digest)
{
    digest->running = false;
    KL_TRY(kl_sha2_begin(&digest->state, digest->hash));
    digest->running = true;
    return KL_OK;
}

enum kl_rc kl_digest_update(struct kl_digest *digest, struct kl_view in)
{
    KL_CHECK(digest->running, KL_ARG);
    digest->running = false;
    KL_TRY(kl_sha2_update(&digest->state, in));
    digest->running = true;
    return KL_OK;
}

enum kl_rc kl_digest_finish(struct kl_digest *digest, uint8_t *out)
{
    enum kl_rc rc;

    KL_CHECK(digest->running, KL_ARG);
    digest->running = false;
    rc = kl_sha2_finish(&digest->state, out);
    if (rc != KL_OK) kl_wipe(out, kl_hash_len(digest->hash));
    return rc;
}
