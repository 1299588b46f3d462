/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "crypto/passphrase.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>

#include "crypto/fetched.h"
#include "crypto/hash.h"
#include "crypto/random.h"

#define KEY_LEN 32
#define PIN_INFO "keyladder/1/pin"
#define PREFIX "kl1_"
#define PREFIX_LEN (sizeof PREFIX - 1)
#define RANDOM_LEN 16
#define CHECKSUM_LEN 4
#define RAW_LEN (RANDOM_LEN + CHECKSUM_LEN)
#define ARGON2ID_PASSES 3

struct range {
    uint32_t least, most;
};

static enum kl_rc by_hkdf(const struct kl_kdf_params *params, struct kl_view passphrase, uint8_t *key);
static enum kl_rc by_argon2id(const struct kl_kdf_params *params, struct kl_view passphrase, uint8_t *key);
static enum kl_rc by_pbkdf2(const struct kl_kdf_params *params, struct kl_view passphrase, uint8_t *key);

/* What a stored record may ask for: neither a weak key nor a denial of service. */
static const struct kdf {
    struct range passes, memory;
    enum kl_rc (*derive)(const struct kl_kdf_params *params, struct kl_view passphrase, uint8_t *key);
} kdfs[] = {
    [KL_KDF_HKDF] = { { 0, 0 }, { 0, 0 }, by_hkdf },
    [KL_KDF_ARGON2ID] = { { 1, 16 }, { 8 << 10, 4 << 20 }, by_argon2id },
    [KL_KDF_PBKDF2] = { { 100000, 10000000 }, { 0, 0 }, by_pbkdf2 },
};

static pthread_once_t sodium_once = PTHREAD_ONCE_INIT;
static bool sodium_works;

static void sodium_begin(void)
{
    sodium_works = sodium_init() >= 0;
}

static bool is_within(uint32_t value, struct range range)
{
    return value >= range.least && value <= range.most;
}

/* The five bits of a character, or at least 32 for one that is none; without a table or branch, which would tell of the PIN through the cache. */
static unsigned bits_of(unsigned char c)
{
    unsigned letter = (unsigned)c - 'a';
    unsigned digit = (unsigned)c - '2';
    unsigned is_letter = ((letter - 26U) >> 31) & ~(letter >> 31) & 1U;
    unsigned is_digit = ((digit - 6U) >> 31) & ~(digit >> 31) & 1U;

    return (is_letter * letter) | (is_digit * (digit + 26U)) | ((1U ^ (is_letter | is_digit)) << 5);
}

static uint8_t character_of(unsigned bits)
{
    unsigned is_digit = ((25U - bits) >> 31) & 1U;

    return (uint8_t)('a' + bits - is_digit * ('a' + 26U - '2'));
}

/* RFC 4648 base32, 32 characters to 20 bytes. */
static bool decode(const uint8_t *text, uint8_t raw[RAW_LEN])
{
    unsigned bad = 0;

    for (size_t group = 0; group < RAW_LEN / 5; group++) {
        uint64_t bits = 0;

        for (size_t i = 0; i < 8; i++) {
            unsigned five = bits_of(text[group * 8 + i]);

            bad |= five >> 5;
            bits = bits << 5 | (five & 31U);
        }
        for (size_t i = 0; i < 5; i++) raw[group * 5 + i] = (uint8_t)(bits >> (32 - 8 * i));
    }
    return bad == 0;
}

static void encode(const uint8_t raw[RAW_LEN], uint8_t *text)
{
    for (size_t group = 0; group < RAW_LEN / 5; group++) {
        uint64_t bits = 0;

        for (size_t i = 0; i < 5; i++) bits = bits << 8 | raw[group * 5 + i];
        for (size_t i = 0; i < 8; i++) text[group * 8 + i] = character_of((unsigned)(bits >> (35 - 5 * i)) & 31U);
    }
}

/* The first bytes of SHA-256("keyladder/1/pin" and the random part). */
static enum kl_rc checksum(const uint8_t random[RANDOM_LEN], uint8_t out[CHECKSUM_LEN])
{
    const struct kl_view parts[2] = { kl_view_text(PIN_INFO), { random, RANDOM_LEN } };
    uint8_t digest[KL_SHA256_LEN];

    KL_TRY(kl_hash_parts(KL_SHA256, parts, 2, digest));
    memcpy(out, digest, CHECKSUM_LEN);
    kl_wipe(digest, sizeof digest);
    return KL_OK;
}

enum kl_rc kl_pin_recognize(struct kl_view pin, bool *is_generated)
{
    uint8_t raw[RAW_LEN];
    uint8_t sum[CHECKSUM_LEN] = { 0 };
    enum kl_rc rc = KL_OK;

    *is_generated = false;
    if (pin.len != KL_GENERATED_LEN || memcmp(pin.data, PREFIX, PREFIX_LEN) != 0) return KL_OK;
    if (decode(pin.data + PREFIX_LEN, raw)) {
        rc = checksum(raw, sum);
        *is_generated = rc == KL_OK && kl_bytes_equal(raw + RANDOM_LEN, sum, CHECKSUM_LEN);
    }
    kl_wipe(raw, sizeof raw);
    kl_wipe(sum, sizeof sum);
    return rc;
}

static enum kl_rc by_hkdf(const struct kl_kdf_params *params, struct kl_view passphrase, uint8_t *key)
{
    bool is_generated;

    KL_TRY(kl_pin_recognize(passphrase, &is_generated));
    /* What a person made up must not get by without the work. */
    if (!is_generated) return kl_fail(KL_INTEGRITY, "this was made for a generated PIN, and the PIN given is none");
    return kl_hkdf(KL_SHA256, kl_view_of(params->salt, sizeof params->salt), passphrase, kl_view_text(PIN_INFO), key, KEY_LEN);
}

static enum kl_rc by_argon2id(const struct kl_kdf_params *params, struct kl_view passphrase, uint8_t *key)
{
    size_t memory = (size_t)params->memory * 1024;

    if (pthread_once(&sodium_once, sodium_begin) != 0 || !sodium_works) return kl_fail(KL_CRYPTO, "libsodium does not start");
    if (crypto_pwhash(key, KEY_LEN, (const char *)passphrase.data, passphrase.len, params->salt, params->passes, memory,
                      crypto_pwhash_ALG_ARGON2ID13) != 0)
        return kl_fail(KL_MEMORY, "no %u MiB of memory for Argon2id", params->memory / 1024);
    return KL_OK;
}

/* OSSL_PARAM knows no const; a derivation only reads. */
static OSSL_PARAM octets(const char *name, struct kl_view bytes)
{
    union {
        const uint8_t *bytes;
        void *any;
    } given = { bytes.data };

    return OSSL_PARAM_construct_octet_string(name, given.any, bytes.len);
}

static enum kl_rc pbkdf2(EVP_KDF_CTX *ctx, const struct kl_kdf_params *params, struct kl_view passphrase, uint8_t *key)
{
    unsigned iterations = params->passes;
    char digest[] = "SHA2-512";
    OSSL_PARAM args[] = {
        octets(OSSL_KDF_PARAM_PASSWORD, passphrase),
        octets(OSSL_KDF_PARAM_SALT, kl_view_of(params->salt, sizeof params->salt)),
        OSSL_PARAM_construct_uint(OSSL_KDF_PARAM_ITER, &iterations),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };

    if (ctx == NULL || EVP_KDF_derive(ctx, key, KEY_LEN, args) != 1) return kl_crypto_failed("do PBKDF2");
    return KL_OK;
}

static enum kl_rc by_pbkdf2(const struct kl_kdf_params *params, struct kl_view passphrase, uint8_t *key)
{
    EVP_KDF *kdf = kl_crypto_pbkdf2();
    EVP_KDF_CTX *ctx;
    enum kl_rc rc;

    if (kdf == NULL) return KL_CRYPTO;
    kl_crypto_enter();
    ctx = EVP_KDF_CTX_new(kdf);
    rc = pbkdf2(ctx, params, passphrase, key);
    EVP_KDF_CTX_free(ctx);
    kl_crypto_leave();
    return rc;
}

enum kl_rc kl_kdf_params_for(struct kl_view passphrase, uint64_t memory, struct kl_kdf_params *out)
{
    struct kl_kdf_params params = { .kdf = KL_KDF_HKDF };
    bool is_generated;

    KL_TRY(kl_pin_recognize(passphrase, &is_generated));
    if (!is_generated) {
        KL_CHECK(memory / 1024 <= UINT32_MAX && is_within((uint32_t)(memory / 1024), kdfs[KL_KDF_ARGON2ID].memory), KL_ARG);
        params.kdf = KL_KDF_ARGON2ID;
        params.passes = ARGON2ID_PASSES;
        params.memory = (uint32_t)(memory / 1024);
    }
    KL_TRY(kl_random_fill(params.salt, sizeof params.salt));
    *out = params;
    return KL_OK;
}

enum kl_rc kl_kdf_derive(const struct kl_kdf_params *params, struct kl_view passphrase, struct kl_secret *out)
{
    KL_AUTO(kl_secret) key = { 0 };
    const uint8_t none = 0;
    const struct kdf *kdf;

    if (params->kdf < KL_KDF_HKDF || params->kdf > KL_KDF_PBKDF2)
        return kl_fail(KL_INTEGRITY, "no such key derivation: %u", (unsigned)params->kdf);
    kdf = &kdfs[params->kdf];
    if (!is_within(params->passes, kdf->passes) || !is_within(params->memory, kdf->memory))
        return kl_fail(KL_INTEGRITY, "no key is derived with %u passes and %u KiB", params->passes, params->memory);
    if (passphrase.len == 0) passphrase.data = &none;
    KL_TRY(kl_secret_new(&key, KEY_LEN));
    KL_TRY(kdf->derive(params, passphrase, key.data));
    kl_secret_take(out, &key);
    return KL_OK;
}

enum kl_rc kl_pin_generate(struct kl_secret *out)
{
    KL_AUTO(kl_secret) raw = { 0 };
    KL_AUTO(kl_secret) pin = { 0 };

    KL_TRY(kl_secret_new(&raw, RAW_LEN));
    KL_TRY(kl_secret_new(&pin, KL_GENERATED_LEN));
    KL_TRY(kl_random_fill(raw.data, RANDOM_LEN));
    KL_TRY(checksum(raw.data, raw.data + RANDOM_LEN));
    memcpy(pin.data, PREFIX, PREFIX_LEN);
    encode(raw.data, pin.data + PREFIX_LEN);
    kl_secret_take(out, &pin);
    return KL_OK;
}
