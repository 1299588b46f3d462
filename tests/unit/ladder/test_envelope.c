/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <openssl/evp.h>

#include "../crypto/support.h"
#include "crypto/lib.h"
#include "crypto/random.h"
#include "crypto/sha2.h"
#include "ladder/internal.h"
#include "page.h"

/* ---- what is made to fail: memory, the arena, OpenSSL, random bytes ---- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_kl_arena_new(size_t size);
enum kl_rc __real_kl_sha2_finish(struct kl_sha2 *state, uint8_t *out);
EVP_CIPHER_CTX *__real_EVP_CIPHER_CTX_new(void);
int __real_EVP_CipherInit_ex2(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher, const unsigned char *key, const unsigned char *iv, int enc,
                              const OSSL_PARAM params[]);
int __real_EVP_CipherUpdate(EVP_CIPHER_CTX *ctx, unsigned char *out, int *done, const unsigned char *in, int len);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_kl_arena_new(size_t size);
enum kl_rc __wrap_kl_sha2_finish(struct kl_sha2 *state, uint8_t *out);
EVP_CIPHER_CTX *__wrap_EVP_CIPHER_CTX_new(void);
int __wrap_EVP_CipherInit_ex2(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher, const unsigned char *key, const unsigned char *iv, int enc,
                              const OSSL_PARAM params[]);
int __wrap_EVP_CipherUpdate(EVP_CIPHER_CTX *ctx, unsigned char *out, int *done, const unsigned char *in, int len);

void *__wrap_malloc(size_t size)
{
    return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_kl_arena_new(size_t size)
{
    return fails_now() ? NULL : __real_kl_arena_new(size);
}

enum kl_rc __wrap_kl_sha2_finish(struct kl_sha2 *state, uint8_t *out)
{
    return fails_now() ? KL_CRYPTO : __real_kl_sha2_finish(state, out);
}

EVP_CIPHER_CTX *__wrap_EVP_CIPHER_CTX_new(void)
{
    return fails_now() ? NULL : __real_EVP_CIPHER_CTX_new();
}

int __wrap_EVP_CipherInit_ex2(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher, const unsigned char *key, const unsigned char *iv, int enc,
                              const OSSL_PARAM params[])
{
    return fails_now() ? 0 : __real_EVP_CipherInit_ex2(ctx, cipher, key, iv, enc, params);
}

int __wrap_EVP_CipherUpdate(EVP_CIPHER_CTX *ctx, unsigned char *out, int *done, const unsigned char *in, int len)
{
    return fails_now() ? 0 : __real_EVP_CipherUpdate(ctx, out, done, in, len);
}

/* 40 41 42 … */
static enum kl_rc counting(void *out, size_t len)
{
    uint8_t *bytes = out;

    if (fails_now()) return KL_NO_RANDOM;
    for (size_t i = 0; i < len; i++) bytes[i] = (uint8_t)(0x40 + i);
    return KL_OK;
}

/* ---- envelopes ---- */

#define PLAIN_LEN 21
#define ROOM (PLAIN_LEN + KL_ENVELOPE_OVERHEAD_MAX)
static const uint8_t plain[PLAIN_LEN] = "alice@example.com....";
static const uint8_t zeroes[ROOM];

/* Each algorithm, and how one comes to it. */
static const struct kind {
    enum kl_envelope_algorithm algorithm;
    enum kl_envelope_algorithm wanted;
    uint64_t key_type;
    size_t nonce_len;
} kinds[] = {
    { KL_ENVELOPE_AES_256_GCM, KL_ENVELOPE_AES_256_GCM, KL_TYPE_AES, 12 },
    { KL_ENVELOPE_CHACHA20_POLY1305, KL_ENVELOPE_AES_256_GCM, KL_TYPE_CHACHA20, 12 },
    { KL_ENVELOPE_XAES_256_GCM, KL_ENVELOPE_XAES_256_GCM, KL_TYPE_AES, 24 },
};
#define KINDS COUNT(kinds)

static struct kl_key *make_typed_key(uint8_t fill, uint64_t key_type)
{
    struct kl_secret value = { 0 };
    struct kl_key *key = NULL;

    CU_ASSERT_FATAL(kl_secret_new(&value, 32) == KL_OK);
    memset(value.data, fill, 32);
    CU_ASSERT_FATAL(kl_key_make(&value, KL_LEVEL_FEK, key_type, true, &key) == KL_OK);
    return key;
}

static struct kl_key *make_key(uint8_t fill)
{
    return make_typed_key(fill, KL_TYPE_AES);
}

/* The key's reference is the envelope's. */
static struct kl_envelope *make_envelope(struct kl_key *key, enum kl_envelope_algorithm wanted)
{
    struct kl_envelope *envelope = NULL;

    CU_ASSERT_FATAL(kl_envelope_new(key, &(struct kl_envelope_how){ .algorithm = wanted }, &envelope) == KL_OK);
    kl_key_put(key);
    return envelope;
}

static struct kl_envelope *of_kind(const struct kind *kind, uint8_t fill)
{
    return make_envelope(make_typed_key(fill, kind->key_type), kind->wanted);
}

static struct kl_view seal(struct kl_envelope *envelope, const char *aad, uint8_t sealed[ROOM])
{
    struct kl_out out = { .data = sealed, .cap = ROOM };

    CU_ASSERT_FATAL(kl_envelope_seal(envelope, kl_view_text(aad), kl_view_of(plain, PLAIN_LEN), &out) == KL_OK);
    return kl_view_of(sealed, out.len);
}

/* Also looks whether what came out is the plaintext, or nothing. */
static enum kl_rc unseal(struct kl_envelope *envelope, const char *aad, struct kl_view sealed)
{
    uint8_t opened[ROOM];
    struct kl_out out = { .data = opened, .cap = sizeof(opened) };
    size_t most = sealed.len < KL_ENVELOPE_OVERHEAD ? 0 : sealed.len - KL_ENVELOPE_OVERHEAD;
    enum kl_rc rc;

    memset(opened, 0xAA, sizeof(opened));
    rc = kl_envelope_open(envelope, kl_view_text(aad), sealed, &out);
    CU_ASSERT(rc == KL_OK ? out.len == PLAIN_LEN && memcmp(opened, plain, PLAIN_LEN) == 0 : memcmp(opened, zeroes, most) == 0);
    return rc;
}

static void an_envelope_comes_back_whole_and_names_its_key(void)
{
    for (size_t k = 0; k < KINDS; k++) {
        struct kl_key *key = make_typed_key(1, kinds[k].key_type);
        struct kl_envelope *envelope = make_envelope(kl_key_get(key), kinds[k].wanted);
        uint8_t room[ROOM];
        struct kl_view sealed = seal(envelope, "users.email/1", room);
        struct kl_named named = { 0 };

        CU_ASSERT(sealed.len == PLAIN_LEN + 20 + kinds[k].nonce_len + 16 && kl_envelope_overhead(envelope) == sealed.len - PLAIN_LEN);
        CU_ASSERT(unseal(envelope, "users.email/1", sealed) == KL_OK);
        CU_ASSERT(kl_envelope_name(sealed, &named) == KL_OK);
        CU_ASSERT(named.format == 1 && named.algorithm == kinds[k].algorithm);
        CU_ASSERT(memcmp(named.id, kl_key_commitment(key).data, 16) == 0);
        kl_envelope_free(envelope);
        kl_key_put(key);
    }
    kl_envelope_free(NULL);
}

static void a_chacha20_key_seals_with_chacha20_whatever_is_wanted(void)
{
    static const enum kl_envelope_algorithm wanted[] = { KL_ENVELOPE_AES_256_GCM, KL_ENVELOPE_XAES_256_GCM };

    for (size_t i = 0; i < COUNT(wanted); i++) {
        struct kl_envelope *envelope = make_envelope(make_typed_key(1, KL_TYPE_CHACHA20), wanted[i]);
        uint8_t room[ROOM];

        CU_ASSERT(seal(envelope, "aad", room).data[3] == KL_ENVELOPE_CHACHA20_POLY1305);
        kl_envelope_free(envelope);
    }
}

static void what_is_wanted_now_does_not_matter_to_what_was_sealed(void)
{
    for (size_t k = 0; k < KINDS; k++) {
        struct kl_envelope *from = of_kind(&kinds[k], 1);
        uint8_t room[ROOM], other_room[ROOM];
        struct kl_view sealed = seal(from, "aad", room);

        /* The same bytes as a key of the other type too: before there was algorithm 2, a ChaCha20 key sealed with 1. */
        for (size_t i = 0; i < KINDS; i++) {
            struct kl_envelope *to = of_kind(&kinds[i], 1);

            CU_ASSERT(unseal(to, "aad", sealed) == KL_OK);
            CU_ASSERT(unseal(to, "aad", seal(to, "aad", other_room)) == KL_OK);
            CU_ASSERT(unseal(to, "aad", sealed) == KL_OK);
            kl_envelope_free(to);
        }
        kl_envelope_free(from);
    }
}

static void an_empty_value_has_an_envelope_too(void)
{
    for (size_t k = 0; k < KINDS; k++) {
        struct kl_envelope *envelope = of_kind(&kinds[k], 1);
        uint8_t sealed[KL_ENVELOPE_OVERHEAD_MAX], opened[12];
        struct kl_view nothing = { NULL, 0 };
        struct kl_out out = { .data = sealed, .cap = sizeof(sealed) }, back = { .data = opened, .cap = 0 };

        CU_ASSERT(kl_envelope_seal(envelope, nothing, nothing, &out) == KL_OK && out.len == kl_envelope_overhead(envelope));
        CU_ASSERT(kl_envelope_open(envelope, nothing, kl_view_of(sealed, out.len), &back) == KL_OK && back.len == 0);
        sealed[out.len - 1] ^= 1;
        CU_ASSERT(kl_envelope_open(envelope, nothing, kl_view_of(sealed, out.len), &back) == KL_CIPHERTEXT);
        kl_envelope_free(envelope);
    }
}

static void room_that_is_too_small_is_told_the_length_and_stays_as_it_was(void)
{
    for (size_t k = 0; k < KINDS; k++) {
        struct kl_envelope *envelope = of_kind(&kinds[k], 1);
        uint8_t room[ROOM], small[ROOM];
        struct kl_view sealed = seal(envelope, "aad", room);
        struct kl_out out = { .data = small, .cap = sealed.len - 1 };

        memset(small, 0xAA, sizeof(small));
        CU_ASSERT(kl_envelope_seal(envelope, kl_view_text("aad"), kl_view_of(plain, PLAIN_LEN), &out) == KL_BUFFER);
        CU_ASSERT(out.len == sealed.len);
        out.cap = PLAIN_LEN - 1;
        CU_ASSERT(kl_envelope_open(envelope, kl_view_text("aad"), sealed, &out) == KL_BUFFER && out.len == PLAIN_LEN);
        for (size_t i = 0; i < sizeof(small); i++) CU_ASSERT(small[i] == 0xAA);
        out.cap = PLAIN_LEN;
        CU_ASSERT(kl_envelope_open(envelope, kl_view_text("aad"), sealed, &out) == KL_OK && out.len == PLAIN_LEN);
        CU_ASSERT(small[PLAIN_LEN] == 0xAA);
        kl_envelope_free(envelope);
    }
}

static void no_changed_bit_is_let_through_and_no_plaintext_comes_out(void)
{
    for (size_t k = 0; k < KINDS; k++) {
        struct kl_envelope *envelope = of_kind(&kinds[k], 1);
        uint8_t room[ROOM];
        struct kl_view sealed = seal(envelope, "aad", room);

        for (size_t bit = 0; bit < sealed.len * 8; bit++) {
            room[bit / 8] ^= (uint8_t)(1 << bit % 8);
            CU_ASSERT(unseal(envelope, "aad", sealed) == KL_CIPHERTEXT);
            room[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        CU_ASSERT(unseal(envelope, "aad", sealed) == KL_OK);
        kl_envelope_free(envelope);
    }
}

static void every_other_algorithm_in_the_header_is_refused(void)
{
    for (size_t k = 0; k < KINDS; k++) {
        struct kl_envelope *envelope = of_kind(&kinds[k], 1);
        uint8_t room[ROOM];
        struct kl_view sealed = seal(envelope, "aad", room);

        for (unsigned algorithm = 0; algorithm < 256; algorithm++) {
            room[3] = (uint8_t)algorithm;
            CU_ASSERT(unseal(envelope, "aad", sealed) == (algorithm == kinds[k].algorithm ? KL_OK : KL_CIPHERTEXT));
            CU_ASSERT(algorithm == kinds[k].algorithm || (strstr(kl_fail_words(), "unknown algorithm") == NULL) == (algorithm - 1 < KINDS));
        }
        kl_envelope_free(envelope);
    }
}

static void an_envelope_opens_cut_at_no_length(void)
{
    for (size_t k = 0; k < KINDS; k++) {
        struct kl_envelope *envelope = of_kind(&kinds[k], 1);
        uint8_t room[ROOM];
        struct kl_view sealed = seal(envelope, "aad", room);

        for (size_t len = 0; len < sealed.len; len++) {
            enum kl_rc rc = unseal(envelope, "aad", kl_view_of(room, len));

            /* Shorter than any is known by its length; what is too short for its own nonce, by its header. */
            CU_ASSERT(rc == (len < KL_ENVELOPE_OVERHEAD ? KL_CIPHERTEXT_LENGTH : KL_CIPHERTEXT));
        }
        kl_envelope_free(envelope);
    }
}

static void another_key_or_other_associated_data_opens_nothing(void)
{
    for (size_t k = 0; k < KINDS; k++) {
        struct kl_envelope *envelope = of_kind(&kinds[k], 1), *other = of_kind(&kinds[k], 2);
        uint8_t room[ROOM], other_room[ROOM];
        struct kl_view sealed = seal(envelope, "aad", room), others = seal(other, "aad", other_room);

        CU_ASSERT(unseal(other, "aad", sealed) == KL_CIPHERTEXT);
        CU_ASSERT(unseal(envelope, "aae", sealed) == KL_CIPHERTEXT);
        CU_ASSERT(unseal(envelope, "aa", sealed) == KL_CIPHERTEXT);
        CU_ASSERT(unseal(envelope, "", sealed) == KL_CIPHERTEXT);
        /* The id of the other key written over: it names the key, it does not open it. */
        memcpy(room + 4, others.data + 4, 16);
        CU_ASSERT(unseal(other, "aad", sealed) == KL_CIPHERTEXT);
        kl_envelope_free(envelope);
        kl_envelope_free(other);
    }
}

static void a_long_aad_is_bound_whole_and_a_longer_one_refused(void)
{
    struct kl_envelope *envelope = of_kind(&kinds[0], 1);
    uint8_t *aad = calloc(1, KL_ENVELOPE_AAD_MAX + 1);
    uint8_t sealed[ROOM], opened[ROOM];
    struct kl_view whole = kl_view_of(aad, KL_ENVELOPE_AAD_MAX), in = kl_view_of(plain, PLAIN_LEN);
    struct kl_out out = { .data = sealed, .cap = ROOM }, back = { .data = opened, .cap = ROOM };

    CU_ASSERT_FATAL(aad != NULL);
    CU_ASSERT(kl_envelope_seal(envelope, whole, in, &out) == KL_OK);
    CU_ASSERT(kl_envelope_open(envelope, whole, kl_view_of(sealed, out.len), &back) == KL_OK);
    aad[KL_ENVELOPE_AAD_MAX - 1] = 1;
    CU_ASSERT(kl_envelope_open(envelope, whole, kl_view_of(sealed, out.len), &back) == KL_CIPHERTEXT);
    whole.len++;
    CU_ASSERT(kl_envelope_seal(envelope, whole, in, &out) == KL_PARAMETER);
    CU_ASSERT(kl_envelope_open(envelope, whole, kl_view_of(sealed, out.len), &back) == KL_PARAMETER);
    free(aad);
    kl_envelope_free(envelope);
}

static void more_than_one_nonce_takes_is_refused_before_it_is_read(void)
{
    struct kl_envelope *envelope = of_kind(&kinds[2], 1);
    uint8_t room[ROOM];
    struct kl_out out = { .data = room, .cap = SIZE_MAX };
    struct kl_view aad = { NULL, 0 };

    CU_ASSERT(kl_envelope_seal(envelope, aad, kl_view_of(nowhere(), KL_GCM_DATA_MAX + 1), &out) == KL_DATA_LENGTH);
    CU_ASSERT(kl_envelope_seal(envelope, aad, kl_view_of(nowhere(), SIZE_MAX), &out) == KL_DATA_LENGTH);
    kl_envelope_free(envelope);
}

static void an_imported_key_makes_no_envelope(void)
{
    struct kl_secret value = { 0 };
    struct kl_key *key = NULL;
    struct kl_stream *stream = NULL;
    struct kl_envelope *envelope = NULL;
    uint8_t header[KL_STREAM_HEADER_LEN];

    CU_ASSERT_FATAL(kl_secret_new(&value, 32) == KL_OK && kl_key_new(&value, KL_TYPE_AES, false, &key) == KL_OK);
    CU_ASSERT(kl_envelope_new(key, &(struct kl_envelope_how){ .algorithm = KL_ENVELOPE_AES_256_GCM }, &envelope) == KL_KEY_FUNCTION &&
              envelope == NULL);
    CU_ASSERT(kl_stream_encrypt(key, kl_view_text("aad"), header, &stream) == KL_KEY_FUNCTION);
    kl_key_put(key);
}

static void an_envelope_under_a_record_key_names_its_field_version(void)
{
    for (size_t k = 0; k < KINDS; k++) {
        struct kl_key *field = make_key(1), *record = NULL, *other = NULL;
        struct kl_request request = { .key_type = kinds[k].key_type, .length = 32, .info = kl_view_text("4711") };
        struct kl_envelope *envelope, *others;
        uint8_t room[ROOM];
        struct kl_view sealed;

        CU_ASSERT_FATAL(kl_key_derive(field, &request, &record) == KL_OK);
        request.info = kl_view_text("4712");
        CU_ASSERT_FATAL(kl_key_derive(field, &request, &other) == KL_OK);
        envelope = make_envelope(record, kinds[k].wanted);
        others = make_envelope(other, kinds[k].wanted);
        sealed = seal(envelope, "", room);
        CU_ASSERT(memcmp(room + 4, kl_key_commitment(field).data, 16) == 0);
        CU_ASSERT(unseal(envelope, "", sealed) == KL_OK);
        CU_ASSERT(unseal(others, "", sealed) == KL_CIPHERTEXT);
        kl_envelope_free(envelope);
        kl_envelope_free(others);
        kl_key_put(field);
    }
}

static void envelopes_are_those_of_the_published_vectors(void)
{
    static const char content[] = "alice@example.org";
    enum kl_rc (*source)(void *out, size_t len) = kl_random_source;

    fail_the(0);
    kl_random_source = counting;
    for (size_t k = 0; k < KINDS; k++) {
        struct kl_envelope *envelope = of_kind(&kinds[k], 0x42);
        uint8_t room[ROOM];
        struct kl_out out = { .data = room, .cap = sizeof(room) };
        char name[64];

        CU_ASSERT(kl_envelope_seal(envelope, kl_view_text("users.email/4711"), kl_view_text(content), &out) == KL_OK);
        snprintf(name, sizeof(name), "envelope of algorithm %d", (int)kinds[k].algorithm);
        CU_ASSERT(page_has(name, kl_view_of(room, out.len)));
        room[0] ^= 1;
        CU_ASSERT(!page_has(name, kl_view_of(room, out.len)));
        kl_envelope_free(envelope);
    }
    kl_random_source = source;
}

/* --- each call fails in turn --- */

/* Makes envelopes of the key and seals the plaintext, or opens what was sealed. */
struct attempt {
    const struct kind *kind;
    struct kl_key *key;
    struct kl_view sealed; /* empty: seal */
};

static enum kl_rc attempt(const struct attempt *it, struct kl_out *out)
{
    static const uint8_t many[300]; /* more associated data than go on the stack */
    struct kl_view aad = kl_view_of(many, sizeof(many));
    struct kl_envelope *envelope = NULL;
    enum kl_rc rc = kl_envelope_new(it->key, &(struct kl_envelope_how){ .algorithm = it->kind->wanted }, &envelope);

    if (rc == KL_OK) {
        rc = it->sealed.len > 0 ? kl_envelope_open(envelope, aad, it->sealed, out)
                                : kl_envelope_seal(envelope, aad, kl_view_of(plain, PLAIN_LEN), out);
    }
    kl_envelope_free(envelope);
    return rc;
}

/* Each call fails in turn until none is left to fail; what the last try gave is in `out`. */
static void fail_each(const struct attempt *it, struct kl_out *out)
{
    for (int n = 1; n < 100; n++) {
        enum kl_rc rc;

        memset(out->data, 0xAA, out->cap);
        fail_the(n);
        rc = attempt(it, out);
        if (!has_failed()) {
            CU_ASSERT(rc == KL_OK && n > 5);
            fail_the(0);
            return;
        }
        CU_ASSERT(rc == KL_MEMORY || rc == KL_CRYPTO || rc == KL_NO_RANDOM);
        for (size_t i = 0; i + 4 <= out->cap; i++) CU_ASSERT(memcmp(out->data + i, plain, 4) != 0);
    }
    CU_FAIL("it goes on failing");
}

static void whatever_fails_no_plaintext_is_left_and_the_next_try_works(void)
{
    enum kl_rc (*source)(void *out, size_t len) = kl_random_source;

    kl_random_source = counting;
    for (size_t k = 0; k < KINDS; k++) {
        struct attempt it = { .kind = &kinds[k], .key = make_typed_key(1, kinds[k].key_type) };
        uint8_t sealed[ROOM], opened[ROOM];
        struct kl_out out = { .data = sealed, .cap = ROOM }, back = { .data = opened, .cap = ROOM };

        fail_each(&it, &out);
        it.sealed = kl_view_of(sealed, out.len);
        fail_each(&it, &back);
        CU_ASSERT(back.len == PLAIN_LEN && memcmp(opened, plain, PLAIN_LEN) == 0);
        kl_key_put(it.key);
    }
    kl_random_source = source;
}

/* --- streams --- */

#define CHUNK (KL_STREAM_CHUNK + 16)

/* Encrypts `len` bytes of a pattern; the whole stream, header first, to be freed. */
static uint8_t *make_stream(const struct kl_key *key, size_t len, size_t *out_len)
{
    uint8_t *in = malloc(len + 1), *out = malloc(KL_STREAM_HEADER_LEN + len + 16 * (len / KL_STREAM_CHUNK + 2));
    struct kl_stream *stream = NULL;
    size_t at = 0, to = KL_STREAM_HEADER_LEN;

    CU_ASSERT_FATAL(in && out);
    for (size_t i = 0; i < len; i++) in[i] = (uint8_t)(i * 7 + i / 256);
    CU_ASSERT_FATAL(kl_stream_encrypt(key, kl_view_text("aad"), out, &stream) == KL_OK);
    do {
        size_t take = len - at > KL_STREAM_CHUNK ? KL_STREAM_CHUNK : len - at;

        CU_ASSERT_FATAL(kl_stream_chunk(stream, kl_view_of(in + at, take), at + take == len, out + to) == KL_OK);
        at += take;
        to += take + 16;
    } while (at < len);
    kl_stream_free(stream);
    free(in);
    *out_len = to;
    return out;
}

/* Reads a stream as the tool does; the plaintext's length, or -1. */
static long read_stream(const struct kl_key *key, const char *aad, const uint8_t *in, size_t len)
{
    struct kl_stream *stream = NULL;
    static uint8_t out[KL_STREAM_CHUNK];
    size_t at = KL_STREAM_HEADER_LEN;
    long total = 0;
    enum kl_rc rc;

    if (len < KL_STREAM_HEADER_LEN) return -1;
    rc = kl_stream_decrypt(key, kl_view_text(aad), in, &stream);
    while (rc == KL_OK) {
        size_t take = len - at > CHUNK ? CHUNK : len - at;

        rc = kl_stream_chunk(stream, kl_view_of(in + at, take), at + take == len, out);
        if (rc != KL_OK) break;
        for (size_t i = 0; i < take - 16; i++, total++) {
            if (out[i] != (uint8_t)((size_t)total * 7 + (size_t)total / 256)) rc = KL_CRYPTO;
        }
        at += take;
        if (at == len) break;
    }
    kl_stream_free(stream);
    return rc == KL_OK ? total : -1;
}

static void streams_of_every_length_around_a_chunk_come_back(void)
{
    static const size_t lengths[] = { 0, 1, 15, 16, 65535, 65536, 65537, 131072, 200000 };
    struct kl_key *key = make_key(5);

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        size_t len;
        uint8_t *stream = make_stream(key, lengths[i], &len);

        CU_ASSERT(read_stream(key, "aad", stream, len) == (long)lengths[i]);
        CU_ASSERT(read_stream(key, "other", stream, len) == -1);
        free(stream);
    }
    kl_key_put(key);
}

static void a_stream_that_was_cut_extended_reordered_or_spliced_is_refused(void)
{
    struct kl_key *key = make_key(5), *other_key = make_key(6);
    size_t len, other_len;
    uint8_t *whole = make_stream(key, 200000, &len), *other = make_stream(key, 200000, &other_len), *work = malloc(len + CHUNK);
    const size_t first = KL_STREAM_HEADER_LEN, second = first + CHUNK, third = second + CHUNK;

    CU_ASSERT_FATAL(work != NULL);
    CU_ASSERT(read_stream(key, "aad", whole, len - 1) == -1);
    CU_ASSERT(read_stream(key, "aad", whole, third) == -1);
    CU_ASSERT(read_stream(key, "aad", whole, second) == -1);
    CU_ASSERT(read_stream(key, "aad", whole, first) == -1);
    memcpy(work, whole, len);
    memset(work + len, 0, CHUNK);
    CU_ASSERT(read_stream(key, "aad", work, len + 1) == -1);
    CU_ASSERT(read_stream(key, "aad", work, len + CHUNK) == -1);
    memcpy(work + first, whole + second, CHUNK);
    memcpy(work + second, whole + first, CHUNK);
    CU_ASSERT(read_stream(key, "aad", work, len) == -1);
    memcpy(work, whole, len);
    memcpy(work + second, whole + first, CHUNK);
    CU_ASSERT(read_stream(key, "aad", work, len) == -1);
    memcpy(work, whole, len);
    memcpy(work + second, other + second, CHUNK);
    CU_ASSERT(read_stream(key, "aad", work, len) == -1);
    memcpy(work, whole, len);
    memmove(work + second, whole + third, len - third);
    CU_ASSERT(read_stream(key, "aad", work, len - CHUNK) == -1);
    for (size_t at = 0; at < KL_STREAM_HEADER_LEN; at++) {
        memcpy(work, whole, len);
        work[at] ^= 0x10;
        CU_ASSERT(read_stream(key, "aad", work, len) == -1);
    }
    CU_ASSERT(read_stream(other_key, "aad", whole, len) == -1);
    free(whole);
    free(other);
    free(work);
    kl_key_put(key);
    kl_key_put(other_key);
}

static void a_stream_is_of_the_first_algorithm_and_of_no_other(void)
{
    struct kl_key *key = make_key(5);
    struct kl_stream *stream = NULL;
    uint8_t header[KL_STREAM_HEADER_LEN];

    CU_ASSERT_FATAL(kl_stream_encrypt(key, kl_view_of(NULL, 0), header, &stream) == KL_OK);
    kl_stream_free(stream);
    for (unsigned algorithm = 0; algorithm < 256; algorithm++) {
        header[3] = (uint8_t)algorithm;
        if (algorithm != 1) CU_ASSERT(kl_stream_decrypt(key, kl_view_of(NULL, 0), header, &stream) == KL_CIPHERTEXT);
    }
    kl_key_put(key);
}

static void after_the_last_chunk_nothing_follows(void)
{
    struct kl_key *key = make_key(5);
    struct kl_stream *stream = NULL;
    uint8_t header[KL_STREAM_HEADER_LEN], out[64];

    CU_ASSERT_FATAL(kl_stream_encrypt(key, kl_view_of(NULL, 0), header, &stream) == KL_OK);
    CU_ASSERT(kl_stream_chunk(stream, kl_view_of("x", 1), false, out) == KL_DATA_LENGTH);
    CU_ASSERT(kl_stream_chunk(stream, kl_view_of("x", 1), true, out) == KL_OK);
    CU_ASSERT(kl_stream_chunk(stream, kl_view_of("y", 1), true, out) == KL_NO_OPERATION);
    kl_stream_free(stream);
    kl_key_put(key);
}

int main(void)
{
    static const CU_TestInfo tests[] = { UNIT(an_envelope_comes_back_whole_and_names_its_key),
                                         UNIT(a_chacha20_key_seals_with_chacha20_whatever_is_wanted),
                                         UNIT(what_is_wanted_now_does_not_matter_to_what_was_sealed),
                                         UNIT(an_empty_value_has_an_envelope_too),
                                         UNIT(room_that_is_too_small_is_told_the_length_and_stays_as_it_was),
                                         UNIT(no_changed_bit_is_let_through_and_no_plaintext_comes_out),
                                         UNIT(every_other_algorithm_in_the_header_is_refused),
                                         UNIT(an_envelope_opens_cut_at_no_length),
                                         UNIT(another_key_or_other_associated_data_opens_nothing),
                                         UNIT(a_long_aad_is_bound_whole_and_a_longer_one_refused),
                                         UNIT(more_than_one_nonce_takes_is_refused_before_it_is_read),
                                         UNIT(an_imported_key_makes_no_envelope),
                                         UNIT(an_envelope_under_a_record_key_names_its_field_version),
                                         UNIT(envelopes_are_those_of_the_published_vectors),
                                         UNIT(whatever_fails_no_plaintext_is_left_and_the_next_try_works),
                                         UNIT(streams_of_every_length_around_a_chunk_come_back),
                                         UNIT(a_stream_that_was_cut_extended_reordered_or_spliced_is_refused),
                                         UNIT(a_stream_is_of_the_first_algorithm_and_of_no_other),
                                         UNIT(after_the_last_chunk_nothing_follows) };

    kl_arena_allow_unlocked(true);
    return kl_crypto_open() != KL_OK || unit_run("ladder/envelope", tests, sizeof tests / sizeof *tests);
}
