/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "crypto/aead.h"

#include <stdatomic.h>
#include <string.h>

#include "base/secret.h"

/* The first that has what is asked for does it. */
static const struct kl_aead_engine *const engines[] = {
    &kl_aead_ipsec_mb_gcm,
    &kl_aead_ipsec_mb_chacha,
    &kl_aead_openssl,
    &kl_aead_xaes,
};
#define ENGINES (sizeof engines / sizeof engines[0])

static const struct rules {
    size_t iv_usual; /* length of nearly every IV; all engines of the algorithm take it */
    size_t tag_min;
} rules[KL_AEAD_ALGORITHMS] = {
    [KL_AEAD_AES_GCM] = { .iv_usual = 12, .tag_min = 4 },
    [KL_AEAD_CHACHA20_POLY1305] = { .iv_usual = 12, .tag_min = 16 },
    [KL_AEAD_XAES_256_GCM] = { .iv_usual = 24, .tag_min = 16 },
};

/* Lies in the arena. An engine's context is made when an operation first needs it. */
struct kl_aead {
    const struct kl_aead_engine *usual; /* for IVs of the usual length */
    void *usual_context;
    void *contexts[ENGINES];
    enum kl_aead_algorithm algorithm;
    enum kl_engine engine;
    /* encryption in parts */
    const struct kl_aead_engine *running; /* NULL: none */
    void *running_context;
    uint64_t left; /* bytes it may still take */
    size_t key_len;
    uint8_t key[32];
};

/* Input and output of `seal`, `open` and `update`. */
static enum kl_rc data_check(struct kl_view in, const uint8_t *out, uint64_t most)
{
    KL_CHECK(in.len == 0 || (in.data != NULL && out != NULL), KL_ARG);
    KL_CHECK(!kl_view_overlaps(in, kl_view_of(out, in.len)), KL_ARG);
    KL_CHECK(in.len <= most, KL_DATA_LENGTH);
    return KL_OK;
}

static _Atomic enum kl_engine own_engine = KL_ENGINE_AUTO;

/* SIZE_MAX: none. Nothing but OpenSSL is asked where OpenSSL is wanted, so that nothing else is loaded. */
static size_t engine_index(enum kl_engine wanted, enum kl_aead_algorithm algorithm, size_t key_len, size_t iv_len)
{
    for (size_t i = 0; i < ENGINES; i++) {
        if (wanted == KL_ENGINE_OPENSSL && engines[i]->engine == KL_ENGINE_IPSEC_MB) continue;
        if (engines[i]->has(algorithm, key_len, iv_len)) return i;
    }
    return SIZE_MAX;
}

static KL_COLD enum kl_rc context_make(struct kl_aead *aead, size_t index)
{
    const struct kl_aead_engine *engine = engines[index];
    void *context = kl_arena_new(engine->context_size);
    enum kl_rc rc;

    if (context == NULL) return kl_fail(KL_MEMORY, "no room for an expanded key");
    rc = engine->init(context, aead->algorithm, kl_view_of(aead->key, aead->key_len));
    if (rc != KL_OK) {
        engine->clear(context);
        kl_arena_free(context, engine->context_size);
        return rc;
    }
    aead->contexts[index] = context;
    return KL_OK;
}

/* The engine for this operation, and its keyed context. */
static enum kl_rc engine_for(struct kl_aead *aead, size_t iv_len, const struct kl_aead_engine **engine, void **context)
{
    size_t index;

    *engine = aead->usual;
    *context = aead->usual_context;
    if (iv_len == rules[aead->algorithm].iv_usual) return KL_OK;
    index = engine_index(aead->engine, aead->algorithm, aead->key_len, iv_len);
    KL_CHECK(index < ENGINES, KL_PARAMETER);
    if (aead->contexts[index] == NULL) KL_TRY(context_make(aead, index));
    *engine = engines[index];
    *context = aead->contexts[index];
    return KL_OK;
}

static bool tag_len_is_allowed(const struct kl_aead *aead, size_t tag_len)
{
    return tag_len >= rules[aead->algorithm].tag_min && tag_len <= KL_AEAD_TAG_MAX;
}

enum kl_rc kl_aead_new_with(enum kl_engine engine, enum kl_aead_algorithm algorithm, struct kl_view key, struct kl_aead **out)
{
    size_t index = engine_index(engine, algorithm, key.len, rules[algorithm].iv_usual);
    struct kl_aead *aead;
    enum kl_rc rc;

    KL_CHECK(index < ENGINES && key.len <= sizeof aead->key, KL_KEY_SIZE);
    aead = kl_arena_new(sizeof *aead);
    if (aead == NULL) return kl_fail(KL_MEMORY, "no room for a key");
    aead->algorithm = algorithm;
    aead->engine = engine;
    aead->key_len = key.len;
    memcpy(aead->key, key.data, key.len);
    rc = context_make(aead, index);
    if (rc != KL_OK) {
        kl_aead_free(aead);
        return rc;
    }
    aead->usual = engines[index];
    aead->usual_context = aead->contexts[index];
    *out = aead;
    return KL_OK;
}

enum kl_rc kl_aead_new(enum kl_aead_algorithm algorithm, struct kl_view key, struct kl_aead **out)
{
    return kl_aead_new_with(atomic_load_explicit(&own_engine, memory_order_relaxed), algorithm, key, out);
}

void kl_aead_set_engine(enum kl_engine engine)
{
    atomic_store(&own_engine, engine);
}

void kl_aead_free(struct kl_aead *aead)
{
    if (aead == NULL) return;
    for (size_t i = 0; i < ENGINES; i++) {
        if (aead->contexts[i] == NULL) continue;
        engines[i]->clear(aead->contexts[i]);
        kl_arena_free(aead->contexts[i], engines[i]->context_size);
    }
    kl_arena_free(aead, sizeof *aead);
}

void kl_aead_rekey(struct kl_aead *aead, struct kl_view key)
{
    aead->running = NULL;
    memcpy(aead->key, key.data, aead->key_len);
    for (size_t i = 0; i < ENGINES; i++)
        if (aead->contexts[i] != NULL) engines[i]->rekey(aead->contexts[i]);
}

const char *kl_aead_engine_name(enum kl_engine engine)
{
    size_t index = engine_index(engine, KL_AEAD_AES_GCM, 32, rules[KL_AEAD_AES_GCM].iv_usual);

    return index < ENGINES ? engines[index]->name : "none";
}

enum kl_rc kl_aead_seal(struct kl_aead *aead, const struct kl_aead_params *params, struct kl_view in, uint8_t *out, uint8_t *tag)
{
    const struct kl_aead_engine *engine;
    void *context;
    enum kl_rc rc;

    aead->running = NULL;
    KL_TRY(data_check(in, out, KL_GCM_DATA_MAX));
    KL_CHECK(tag_len_is_allowed(aead, params->tag_len), KL_PARAMETER);
    KL_TRY(engine_for(aead, params->iv.len, &engine, &context));
    rc = engine->seal(context, params, in, out, tag);
    if (rc != KL_OK) {
        if (in.len > 0) kl_wipe(out, in.len);
        kl_wipe(tag, params->tag_len);
    }
    return rc;
}

enum kl_rc kl_aead_open(struct kl_aead *aead, const struct kl_aead_params *params, struct kl_view in, const uint8_t *tag, uint8_t *out)
{
    const struct kl_aead_engine *engine;
    void *context;
    enum kl_rc rc;

    aead->running = NULL;
    KL_TRY(data_check(in, out, KL_GCM_DATA_MAX));
    KL_CHECK(tag_len_is_allowed(aead, params->tag_len), KL_PARAMETER);
    KL_TRY(engine_for(aead, params->iv.len, &engine, &context));
    rc = engine->open(context, params, in, tag, out);
    if (rc != KL_OK && in.len > 0) kl_wipe(out, in.len);
    return rc;
}

enum kl_rc kl_aead_start(struct kl_aead *aead, const struct kl_aead_params *params)
{
    const struct kl_aead_engine *engine;
    void *context;

    aead->running = NULL;
    KL_TRY(engine_for(aead, params->iv.len, &engine, &context));
    KL_TRY(engine->start(context, params, true));
    aead->running = engine;
    aead->running_context = context;
    aead->left = KL_GCM_DATA_MAX;
    return KL_OK;
}

enum kl_rc kl_aead_update(struct kl_aead *aead, struct kl_view in, uint8_t *out)
{
    const struct kl_aead_engine *engine = aead->running;
    enum kl_rc rc;

    KL_CHECK(engine != NULL, KL_ARG);
    if (in.len == 0) return KL_OK;
    aead->running = NULL;
    KL_TRY(data_check(in, out, aead->left));
    rc = engine->update(aead->running_context, in, out);
    if (rc != KL_OK) {
        kl_wipe(out, in.len);
        return rc;
    }
    aead->left -= in.len;
    aead->running = engine;
    return KL_OK;
}

enum kl_rc kl_aead_finish(struct kl_aead *aead, uint8_t *tag, size_t tag_len)
{
    const struct kl_aead_engine *engine = aead->running;
    enum kl_rc rc;

    aead->running = NULL;
    KL_CHECK(engine != NULL, KL_ARG);
    KL_CHECK(tag_len_is_allowed(aead, tag_len), KL_PARAMETER);
    rc = engine->finish(aead->running_context, tag, tag_len);
    if (rc != KL_OK) kl_wipe(tag, tag_len);
    return rc;
}
