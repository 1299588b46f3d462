/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "crypto/hash.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "crypto/fetched.h"
#include "crypto/lib.h"

#define BLOCK_MAX 128

static const struct shape {
    size_t len, block;
} shapes[KL_HASHES] = {
    [KL_SHA256] = { 32, 64 },
    [KL_SHA384] = { 48, 128 },
    [KL_SHA512] = { 64, 128 },
};

/*
 * One digest context per hash, made when first needed and kept in a few slots
 * for the life of the process: making one costs more than a short digest. A
 * thread begins its search at a slot of its own, so threads rarely meet.
 */
struct hasher {
    EVP_MD_CTX *ctx[KL_HASHES];
    bool begun[KL_HASHES]; /* holds the state of an empty message */
};

#define SLOTS 16 /* a power of two */
static struct slot {
    _Alignas(64) _Atomic(struct hasher *) idle;
} slots[SLOTS];

static size_t slot_first(void)
{
    return (size_t)(((uint64_t)pthread_self() >> 6) * UINT64_C(0x9E3779B97F4A7C15) >> 60);
}

static enum kl_rc hasher_make(struct hasher **out)
{
    KL_TRY(kl_crypto_open());
    *out = calloc(1, sizeof **out);
    if (*out == NULL) {
        kl_fail(KL_MEMORY, "no room for a digest");
        return KL_MEMORY;
    }
    return KL_OK;
}

static enum kl_rc hasher_take(struct hasher **out)
{
    size_t first = slot_first();

    for (size_t i = 0; i < SLOTS; i++) {
        struct slot *slot = &slots[(first + i) % SLOTS];

        if (atomic_load_explicit(&slot->idle, memory_order_relaxed) == NULL) continue;
        *out = atomic_exchange_explicit(&slot->idle, NULL, memory_order_acquire);
        if (*out != NULL) return KL_OK;
    }
    return hasher_make(out);
}

static void hasher_give(struct hasher *hasher)
{
    size_t first = slot_first();

    for (size_t i = 0; i < SLOTS; i++) {
        struct hasher *none = NULL;

        if (atomic_compare_exchange_strong_explicit(&slots[(first + i) % SLOTS].idle, &none, hasher, memory_order_release,
                                                    memory_order_relaxed))
            return;
    }
    for (size_t i = 0; i < KL_HASHES; i++) EVP_MD_CTX_free(hasher->ctx[i]);
    free(hasher);
}

/* A digest's first use of a context asks for memory; later ones do not. */
static bool ctx_make(struct hasher *hasher, enum kl_hash hash)
{
    const EVP_MD *md = kl_crypto_md(hash);
    EVP_MD_CTX *ctx = md == NULL ? NULL : EVP_MD_CTX_new();

    if (ctx == NULL || EVP_DigestInit_ex2(ctx, md, NULL) != 1) {
        EVP_MD_CTX_free(ctx);
        return false;
    }
    hasher->ctx[hash] = ctx;
    hasher->begun[hash] = true;
    return true;
}

static bool begin(struct hasher *hasher, enum kl_hash hash)
{
    if (hasher->ctx[hash] == NULL) {
        bool good;

        kl_crypto_enter();
        good = ctx_make(hasher, hash);
        kl_crypto_leave();
        if (!good) return false;
    }
    if (hasher->begun[hash]) {
        hasher->begun[hash] = false;
        return true;
    }
    return EVP_DigestInit_ex2(hasher->ctx[hash], NULL, NULL) == 1;
}

/* A keyed state is as good as the key: beginning anew overwrites it, freeing wipes it. */
static void hasher_forget(struct hasher *hasher, enum kl_hash hash)
{
    if (hasher->ctx[hash] == NULL || hasher->begun[hash]) return;
    hasher->begun[hash] = EVP_DigestInit_ex2(hasher->ctx[hash], NULL, NULL) == 1;
    if (hasher->begun[hash]) return;
    EVP_MD_CTX_free(hasher->ctx[hash]);
    hasher->ctx[hash] = NULL;
}

static bool feed(struct hasher *hasher, enum kl_hash hash, const struct kl_view *parts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (parts[i].len > 0 && EVP_DigestUpdate(hasher->ctx[hash], parts[i].data, parts[i].len) != 1) return false;
    return true;
}

static bool end(struct hasher *hasher, enum kl_hash hash, uint8_t *out)
{
    unsigned len = 0;

    return EVP_DigestFinal_ex(hasher->ctx[hash], out, &len) == 1 && len == shapes[hash].len;
}

static bool digest(struct hasher *hasher, enum kl_hash hash, const struct kl_view *parts, size_t count, uint8_t *out)
{
    return begin(hasher, hash) && feed(hasher, hash, parts, count) && end(hasher, hash, out);
}

/* RFC 2104: the key as one block, exclusive-ored with `pad`. */
static bool keyed(struct hasher *hasher, enum kl_hash hash, struct kl_view key, uint8_t pad, uint8_t block[BLOCK_MAX])
{
    bool good = true;

    memset(block, 0, BLOCK_MAX);
    if (key.len > shapes[hash].block) {
        good = digest(hasher, hash, &key, 1, block);
    } else if (key.len > 0) {
        memcpy(block, key.data, key.len);
    }
    for (size_t i = 0; i < BLOCK_MAX; i++) block[i] ^= pad;
    return good;
}

/* The message is `first`, then the parts, then `last`. */
struct message {
    struct kl_view first;
    const struct kl_view *parts;
    size_t count;
    struct kl_view last;
};

static bool hmac(struct hasher *hasher, enum kl_hash hash, struct kl_view key, const struct message *message, uint8_t *out)
{
    uint8_t block[BLOCK_MAX];
    uint8_t inner[KL_HASH_MAX];
    struct kl_view pad = { block, shapes[hash].block };
    struct kl_view rest[2] = { pad, { inner, shapes[hash].len } };
    bool good = keyed(hasher, hash, key, 0x36, block) && begin(hasher, hash) && feed(hasher, hash, &pad, 1) &&
                feed(hasher, hash, &message->first, 1) && feed(hasher, hash, message->parts, message->count) &&
                feed(hasher, hash, &message->last, 1) && end(hasher, hash, inner);

    for (size_t i = 0; i < BLOCK_MAX; i++) block[i] ^= 0x36 ^ 0x5C;
    good = good && digest(hasher, hash, rest, 2, out);
    kl_wipe(block, sizeof block);
    kl_wipe(inner, sizeof inner);
    return good;
}

static bool expand(struct hasher *hasher, enum kl_hash hash, struct kl_view prk, const struct message *info, struct kl_out *room)
{
    size_t hash_len = shapes[hash].len;
    uint8_t block[KL_HASH_MAX];
    uint8_t counter = 0;
    struct message message = { .parts = info->parts, .count = info->count, .last = { &counter, 1 } };
    bool good = true;

    while (good && room->len < room->cap) {
        size_t left = room->cap - room->len;
        size_t take = left < hash_len ? left : hash_len;

        counter++;
        good = hmac(hasher, hash, prk, &message, block);
        if (good) memcpy(room->data + room->len, block, take);
        room->len += take;
        message.first = (struct kl_view){ block, hash_len };
    }
    kl_wipe(block, sizeof block);
    return good;
}

/* What every public function ends with. */
static enum kl_rc leave(struct hasher *hasher, enum kl_hash hash, bool good, uint8_t *out, size_t out_len)
{
    enum kl_rc rc = good ? KL_OK : kl_crypto_failed("hash");

    hasher_forget(hasher, hash);
    hasher_give(hasher);
    if (rc != KL_OK && out_len > 0) kl_wipe(out, out_len);
    return rc;
}

size_t kl_hash_len(enum kl_hash hash)
{
    return shapes[hash].len;
}

enum kl_rc kl_hash_parts(enum kl_hash hash, const struct kl_view *parts, size_t count, uint8_t *out)
{
    struct hasher *hasher;

    KL_TRY(hasher_take(&hasher));
    return leave(hasher, hash, digest(hasher, hash, parts, count, out), out, shapes[hash].len);
}

enum kl_rc kl_hmac_parts(enum kl_hash hash, struct kl_view key, const struct kl_view *parts, size_t count, uint8_t *out)
{
    struct message message = { .parts = parts, .count = count };
    struct hasher *hasher;

    KL_TRY(hasher_take(&hasher));
    return leave(hasher, hash, hmac(hasher, hash, key, &message, out), out, shapes[hash].len);
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
    struct hasher *hasher;

    KL_CHECK(out_len <= 255 * shapes[hash].len, KL_ARG);
    KL_TRY(hasher_take(&hasher));
    return leave(hasher, hash, expand(hasher, hash, prk, &message, &room), out, out_len);
}

enum kl_rc kl_hkdf(enum kl_hash hash, struct kl_view salt, struct kl_view ikm, struct kl_view info, uint8_t *out, size_t out_len)
{
    struct message extract = { .parts = &ikm, .count = 1 };
    struct message message = { .parts = &info, .count = 1 };
    struct kl_out room = { .data = out, .cap = out_len };
    uint8_t prk[KL_HASH_MAX];
    struct hasher *hasher;
    bool good;

    KL_CHECK(out_len <= 255 * shapes[hash].len, KL_ARG);
    KL_TRY(hasher_take(&hasher));
    good = hmac(hasher, hash, salt, &extract, prk) && expand(hasher, hash, (struct kl_view){ prk, shapes[hash].len }, &message, &room);
    kl_wipe(prk, sizeof prk);
    return leave(hasher, hash, good, out, out_len);
}
