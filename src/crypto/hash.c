/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "crypto/hash.h"

#include <string.h>

#include "base/secret.h"
#include "crypto/hmac.h"
#include "crypto/sha2.h"

/* The message is `first`, then the parts, then `last`. */
struct message {
    struct kl_view first;
    const struct kl_view *parts;
    size_t count;
    struct kl_view last;
};

static enum kl_rc feed(struct kl_sha2 *state, const struct message *message)
{
    KL_TRY(kl_sha2_update(state, message->first));
    for (size_t i = 0; i < message->count; i++) KL_TRY(kl_sha2_update(state, message->parts[i]));
    return kl_sha2_update(state, message->last);
}

/* What a call has on its stack of keys and of what is made with them: wiped at one time, in the end. */
struct work {
    struct kl_hmac hmac;
    uint8_t prk[KL_HASH_MAX];
    uint8_t block[KL_HASH_MAX]; /* T(i) of RFC 5869 2.3 */
};

static void work_begin(struct work *work)
{
    kl_hmac_blank(&work->hmac);
}

/* What every public function below ends with. */
static enum kl_rc work_end(struct work *work, enum kl_rc rc, uint8_t *out, size_t out_len)
{
    kl_hmac_drop(&work->hmac);
    kl_wipe(work, sizeof *work);
    if (rc != KL_OK) kl_wipe(out, out_len);
    return rc;
}

static enum kl_rc hmac_run(struct kl_hmac *hmac, const struct message *message, uint8_t *out)
{
    KL_TRY(feed(&hmac->inner, message));
    return kl_hmac_finish(hmac, out);
}

/* Leaves `keyed` as it is, for the next message. */
static enum kl_rc hmac_run_copy(const struct kl_hmac *keyed, const struct message *message, uint8_t *out)
{
    struct kl_hmac running;
    enum kl_rc rc;

    kl_hmac_blank(&running);
    rc = kl_hmac_copy(&running, keyed);
    if (rc == KL_OK) rc = hmac_run(&running, message, out);
    kl_hmac_drop(&running);
    kl_wipe(&running, sizeof running);
    return rc;
}

static enum kl_rc hmac(struct work *work, enum kl_hash hash, struct kl_view key, const struct message *message, uint8_t *out)
{
    KL_TRY(kl_hmac_begin(&work->hmac, hash, key));
    return hmac_run(&work->hmac, message, out);
}

/* RFC 5869 2.3: the key is taken in once for all blocks, and used up by the last. */
static enum kl_rc expand(struct work *work, enum kl_hash hash, struct kl_view prk, const struct message *info, struct kl_out *room)
{
    size_t hash_len = kl_hash_len(hash);
    uint8_t counter = 0;
    struct message message = { .parts = info->parts, .count = info->count, .last = { &counter, 1 } };

    KL_TRY(kl_hmac_begin(&work->hmac, hash, prk));
    while (room->len < room->cap) {
        size_t left = room->cap - room->len;
        size_t take = left < hash_len ? left : hash_len;

        counter++;
        KL_TRY(left <= hash_len ? hmac_run(&work->hmac, &message, work->block) : hmac_run_copy(&work->hmac, &message, work->block));
        memcpy(room->data + room->len, work->block, take);
        room->len += take;
        message.first = kl_view_of(work->block, hash_len);
    }
    return KL_OK;
}

size_t kl_hash_len(enum kl_hash hash)
{
    static const uint8_t lens[KL_HASHES] = { [KL_SHA256] = KL_SHA256_LEN, [KL_SHA384] = 48, [KL_SHA512] = 64 };

    return lens[hash];
}

enum kl_rc kl_hash_parts(enum kl_hash hash, const struct kl_view *parts, size_t count, uint8_t *out)
{
    struct message message = { .parts = parts, .count = count };
    struct kl_sha2 state;
    enum kl_rc rc;

    kl_sha2_blank(&state);
    rc = kl_sha2_begin(&state, hash);
    if (rc == KL_OK) rc = feed(&state, &message);
    if (rc == KL_OK) rc = kl_sha2_finish(&state, out);
    kl_sha2_drop(&state);
    kl_wipe(&state, sizeof state);
    if (rc != KL_OK) kl_wipe(out, kl_hash_len(hash));
    return rc;
}

enum kl_rc kl_hmac_parts(enum kl_hash hash, struct kl_view key, const struct kl_view *parts, size_t count, uint8_t *out)
{
    struct message message = { .parts = parts, .count = count };
    struct work work;

    work_begin(&work);
    return work_end(&work, hmac(&work, hash, key, &message, out), out, kl_hash_len(hash));
}

enum kl_rc kl_hkdf_extract(enum kl_hash hash, struct kl_view salt, struct kl_view ikm, uint8_t *prk)
{
    /* HMAC pads its key with zeroes, so an empty salt is the hash's length of them already. */
    return kl_hmac_parts(hash, salt, &ikm, 1, prk);
}

enum kl_rc kl_hkdf_expand(enum kl_hash hash, struct kl_view prk, const struct kl_view *info, size_t count, uint8_t *out, size_t out_len)
{
    struct message message = { .parts = info, .count = count };
    struct kl_out room = { .data = out, .cap = out_len };
    struct work work;

    KL_CHECK(out_len <= 255 * kl_hash_len(hash), KL_ARG);
    work_begin(&work);
    return work_end(&work, expand(&work, hash, prk, &message, &room), out, out_len);
}

enum kl_rc kl_hkdf(enum kl_hash hash, struct kl_view salt, struct kl_view ikm, struct kl_view info, uint8_t *out, size_t out_len)
{
    struct message extract = { .parts = &ikm, .count = 1 };
    struct message message = { .parts = &info, .count = 1 };
    struct kl_out room = { .data = out, .cap = out_len };
    struct work work;
    enum kl_rc rc;

    KL_CHECK(out_len <= 255 * kl_hash_len(hash), KL_ARG);
    work_begin(&work);
    rc = hmac(&work, hash, salt, &extract, work.prk);
    if (rc == KL_OK) rc = expand(&work, hash, kl_view_of(work.prk, kl_hash_len(hash)), &message, &room);
    return work_end(&work, rc, out, out_len);
}
