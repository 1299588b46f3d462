/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "ladder/key.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "crypto/random.h"
#include "ladder/internal.h"

#define SUBKEY_LEN 32

/* Small: a process may hold 100,000 of them. */
struct kl_key {
    _Atomic uint32_t references;
    uint8_t level;
    bool has_commitment;
    bool has_envelope_id;
    uint64_t key_type;
    struct kl_secret value;
    _Atomic uint64_t iv_count;
    _Atomic uint32_t iv_life; /* the process's life that iv_count belongs to; 0: it has not begun */
    uint8_t commitment[KL_COMMITMENT_LEN];
    uint8_t envelope_id[KL_COMMITMENT_LEN];
    _Atomic(struct derive *) derive; /* NULL before the first child */
};

/* What every child of a ladder key is derived from, in the arena. */
struct derive {
    uint8_t subkey[SUBKEY_LEN];
    uint8_t prk[KL_SHA256_LEN]; /* extracted from it with no salt, as for most record keys */
};

/* One more in every forked child that goes on with its parent's keys. */
static _Atomic uint32_t life = 1;

struct kl_key *kl_key_get(struct kl_key *key)
{
    atomic_fetch_add_explicit(&key->references, 1, memory_order_relaxed);
    return key;
}

void kl_key_put(struct kl_key *key)
{
    if (!key || !kl_drop_reference(&key->references)) return;
    kl_secret_clear(&key->value);
    kl_arena_free(atomic_load_explicit(&key->derive, memory_order_relaxed), sizeof(struct derive));
    free(key);
}

enum kl_rc kl_expand(const struct kl_secret *key, const char *label, uint8_t *out, size_t len)
{
    struct kl_view info = kl_view_text(label);

    return kl_hkdf_expand(KL_SHA256, kl_secret_view(key), &info, 1, out, len);
}

enum kl_rc kl_key_make(struct kl_secret *value, enum kl_level level, uint64_t key_type, bool commit, struct kl_key **out)
{
    struct kl_key *key = malloc(sizeof(*key));

    KL_CHECK(key, KL_MEMORY);
    *key = (struct kl_key){ .references = 1, .level = (uint8_t)level, .key_type = key_type };
    if (commit) {
        enum kl_rc rc = kl_expand(value, "keyladder/1/commit", key->commitment, KL_COMMITMENT_LEN);

        if (rc != KL_OK) {
            free(key);
            return rc;
        }
        key->has_commitment = true;
        key->has_envelope_id = true;
        memcpy(key->envelope_id, key->commitment, KL_COMMITMENT_LEN);
    }
    kl_secret_take(&key->value, value);
    *out = key;
    return KL_OK;
}

enum kl_rc kl_key_new(struct kl_secret *value, uint64_t key_type, bool generated, struct kl_key **out)
{
    KL_CHECK(value->len > 0, KL_ATTR_VALUE);
    return kl_key_make(value, KL_LEVEL_FREE, key_type, generated, out);
}

enum kl_level kl_key_level(const struct kl_key *key)
{
    return (enum kl_level)key->level;
}

uint64_t kl_key_type(const struct kl_key *key)
{
    return key->key_type;
}

size_t kl_key_len(const struct kl_key *key)
{
    return key->value.len;
}

struct kl_view kl_key_commitment(const struct kl_key *key)
{
    return kl_view_of(key->commitment, key->has_commitment ? KL_COMMITMENT_LEN : 0);
}

struct kl_view kl_key_envelope_id(const struct kl_key *key)
{
    return kl_view_of(key->envelope_id, key->has_envelope_id ? KL_COMMITMENT_LEN : 0);
}

struct kl_view kl_key_bytes(const struct kl_key *key)
{
    if (kl_level_is_ladder(kl_key_level(key))) return (struct kl_view){ NULL, 0 };
    return kl_secret_view(&key->value);
}

/* CKM_KL_ENVELOPE, or what kl_envelope_number makes of it. */
static bool is_envelope(uint64_t mechanism)
{
    return (uint32_t)mechanism == KL_ENVELOPE_MECHANISM;
}

/* Envelopes have subkeys of their own under free keys too: the same bytes never serve two formats. */
static bool uses_subkey(const struct kl_key *key, uint64_t mechanism)
{
    return kl_level_is_ladder(kl_key_level(key)) || is_envelope(mechanism);
}

enum kl_rc kl_key_for_mechanism(const struct kl_key *key, uint64_t mechanism, size_t len, struct kl_secret *out)
{
    uint8_t number[8];
    struct kl_writer writer = { number, sizeof(number), 0 };
    struct kl_view info[2] = { kl_view_text("keyladder/1/api/"), { number, sizeof(number) } };
    KL_AUTO(kl_secret) made = { 0 };

    if (!uses_subkey(key, mechanism)) {
        KL_CHECK(key->value.len == len, KL_KEY_SIZE);
        return kl_secret_dup(out, &key->value);
    }
    kl_write_u64(&writer, mechanism);
    KL_TRY(kl_secret_new(&made, len));
    KL_TRY(kl_hkdf_expand(KL_SHA256, kl_secret_view(&key->value), info, 2, made.data, len));
    kl_secret_take(out, &made);
    return KL_OK;
}

enum kl_rc kl_key_aead(const struct kl_key *key, uint64_t mechanism, enum kl_engine engine, enum kl_aead_algorithm algorithm,
                       struct kl_aead **out)
{
    KL_AUTO(kl_secret) subkey = { 0 };
    size_t len = is_envelope(mechanism) ? SUBKEY_LEN : key->value.len;

    KL_TRY(kl_key_for_mechanism(key, mechanism, len, &subkey));
    return kl_aead_new_with(engine, algorithm, kl_secret_view(&subkey), out);
}

void kl_key_forked(void)
{
    atomic_fetch_add(&life, 1);
}

static enum kl_rc begin_count(struct kl_key *key, uint32_t now)
{
    uint32_t was = atomic_load(&key->iv_life);
    uint64_t first = 0;

    if (was == now) return KL_OK;
    KL_TRY(kl_random_fill(&first, sizeof(first)));
    /* Added, so that whoever of several threads comes last does no harm. */
    atomic_fetch_add(&key->iv_count, first);
    atomic_compare_exchange_strong(&key->iv_life, &was, now);
    return KL_OK;
}

enum kl_rc kl_key_count_ivs(struct kl_key *key, uint32_t count, uint64_t *first)
{
    KL_TRY(begin_count(key, atomic_load(&life)));
    *first = atomic_fetch_add(&key->iv_count, count);
    return KL_OK;
}

static enum kl_rc expand_subkey(const struct kl_key *key, const char *use, uint8_t out[SUBKEY_LEN])
{
    struct kl_view info[2] = { kl_view_text("keyladder/1/"), kl_view_text(use) };

    return kl_hkdf_expand(KL_SHA256, kl_secret_view(&key->value), info, 2, out, SUBKEY_LEN);
}

enum kl_rc kl_key_subkey(const struct kl_key *key, const char *use, struct kl_secret *out)
{
    KL_AUTO(kl_secret) made = { 0 };

    KL_TRY(kl_secret_new(&made, SUBKEY_LEN));
    KL_TRY(expand_subkey(key, use, made.data));
    kl_secret_take(out, &made);
    return KL_OK;
}

static enum kl_rc derive_fill(const struct kl_key *key, struct derive *derive)
{
    KL_TRY(expand_subkey(key, "derive", derive->subkey));
    return kl_hkdf_extract(KL_SHA256, kl_view_of(NULL, 0), kl_view_of(derive->subkey, SUBKEY_LEN), derive->prk);
}

static enum kl_rc derive_make(struct kl_key *key, const struct derive **out)
{
    struct derive *mine = kl_arena_new(sizeof(*mine));
    struct derive *theirs = NULL;
    enum kl_rc rc;

    KL_CHECK(mine, KL_MEMORY);
    rc = derive_fill(key, mine);
    if (rc == KL_OK && atomic_compare_exchange_strong(&key->derive, &theirs, mine)) {
        *out = mine;
        return KL_OK;
    }
    /* Another thread was quicker, or it failed. */
    kl_arena_free(mine, sizeof(*mine));
    *out = theirs;
    return rc;
}

/* Stays with the key. */
static enum kl_rc derive_of(struct kl_key *key, const struct derive **out)
{
    *out = atomic_load_explicit(&key->derive, memory_order_acquire);
    return *out ? KL_OK : derive_make(key, out);
}

/* Which types and lengths a ladder key may have; token keys have children and so 256 bits (doc/format.md, "Derivation"). */
static bool is_length_fit(const struct kl_request *request)
{
    uint32_t length = request->length;

    if (request->is_token && length != KL_LADDER_KEY_LEN) return false;
    if (request->key_type == KL_TYPE_AES) return length == 16 || length == 24 || length == 32;
    if (request->key_type == KL_TYPE_CHACHA20) return length == 32;
    return length >= 16 && length <= 64;
}

static void write_info(struct kl_writer *writer, enum kl_level level, const struct kl_request *request)
{
    kl_write_raw(writer, kl_view_text("keyladder/1/info"));
    kl_write_u8(writer, (uint8_t)level);
    kl_write_u64(writer, KL_CLASS_SECRET_KEY);
    kl_write_u64(writer, request->key_type);
    kl_write_u32(writer, request->length);
    kl_write_u8(writer, request->is_token);
    if (request->is_token) kl_write_bytes(writer, request->label);
    kl_write_u64(writer, request->has_salt ? KL_SALT_DATA : KL_SALT_NULL);
    kl_write_bytes(writer, request->salt);
    kl_write_bytes(writer, request->info);
}

/* HKDF with an input that is the same for all of a parent's children. */
static enum kl_rc derive_run(const struct derive *derive, struct kl_view salt, struct kl_view info, struct kl_secret *out)
{
    if (salt.len == 0) return kl_hkdf_expand(KL_SHA256, kl_view_of(derive->prk, sizeof(derive->prk)), &info, 1, out->data, out->len);
    return kl_hkdf(KL_SHA256, salt, kl_view_of(derive->subkey, SUBKEY_LEN), info, out->data, out->len);
}

enum kl_rc kl_derive_value(struct kl_key *parent, const struct kl_request *request, struct kl_secret *out)
{
    uint8_t info[KL_LADDER_INFO_MAX + KL_LADDER_LABEL_MAX + KL_LADDER_SALT_MAX + 128];
    struct kl_writer writer = { info, sizeof(info), 0 };
    const struct derive *derive = NULL;
    KL_AUTO(kl_secret) value = { 0 };
    enum kl_level level = kl_level_below(kl_key_level(parent));

    KL_CHECK(level != KL_LEVELS, KL_KEY_FUNCTION);
    KL_CHECK(request->info.len >= 1 && request->info.len <= KL_LADDER_INFO_MAX, KL_PARAMETER);
    KL_CHECK(request->salt.len <= KL_LADDER_SALT_MAX && (request->has_salt || request->salt.len == 0), KL_PARAMETER);
    KL_CHECK(request->key_type == KL_TYPE_AES || request->key_type == KL_TYPE_CHACHA20 || request->key_type == KL_TYPE_GENERIC,
             KL_TEMPLATE);
    KL_CHECK(is_length_fit(request), KL_KEY_SIZE);
    write_info(&writer, level, request);
    KL_CHECK(kl_writer_is_whole(&writer), KL_PARAMETER);
    KL_TRY(derive_of(parent, &derive));
    KL_TRY(kl_secret_new(&value, request->length));
    KL_TRY(derive_run(derive, request->salt, kl_view_of(info, writer.len), &value));
    kl_secret_take(out, &value);
    return KL_OK;
}

enum kl_rc kl_key_derive(struct kl_key *parent, const struct kl_request *request, struct kl_key **out)
{
    KL_AUTO(kl_secret) value = { 0 };
    struct kl_key *key = NULL;

    KL_CHECK(!request->is_token, KL_ARG);
    KL_TRY(kl_derive_value(parent, request, &value));
    KL_TRY(kl_key_make(&value, KL_LEVEL_REK, request->key_type, false, &key));
    /* An envelope under a record key names the stored version it comes from. */
    key->has_envelope_id = parent->has_envelope_id;
    memcpy(key->envelope_id, parent->envelope_id, KL_COMMITMENT_LEN);
    *out = key;
    return KL_OK;
}
