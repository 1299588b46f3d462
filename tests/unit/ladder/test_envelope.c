/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "../unit.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/lib.h"
#include "ladder/internal.h"

static struct kl_key *make_key(uint8_t fill)
{
    struct kl_secret value = { 0 };
    struct kl_key *key = NULL;

    CU_ASSERT_FATAL(kl_secret_new(&value, 32) == KL_OK);
    memset(value.data, fill, 32);
    CU_ASSERT_FATAL(kl_key_make(&value, KL_LEVEL_FEK, KL_TYPE_AES, true, &key) == KL_OK);
    return key;
}

static struct kl_aead *make_aead(const struct kl_key *key)
{
    struct kl_aead *aead = NULL;

    CU_ASSERT_FATAL(kl_key_aead(key, KL_ENVELOPE_MECHANISM, KL_AEAD_AES_GCM, &aead) == KL_OK);
    return aead;
}

#define PLAIN_LEN 21
static const uint8_t plain[PLAIN_LEN] = "alice@example.com....";

static void an_envelope_comes_back_whole_and_names_its_key(void)
{
    struct kl_key *key = make_key(1);
    struct kl_aead *aead = make_aead(key);
    uint8_t sealed[PLAIN_LEN + KL_ENVELOPE_OVERHEAD], opened[PLAIN_LEN];
    struct kl_named named;

    CU_ASSERT(kl_envelope_seal(aead, key, kl_view_text("users.email/1"), kl_view_of(plain, PLAIN_LEN), sealed) == KL_OK);
    CU_ASSERT(kl_envelope_open(aead, key, kl_view_text("users.email/1"), kl_view_of(sealed, sizeof(sealed)), opened) == KL_OK);
    CU_ASSERT(memcmp(opened, plain, PLAIN_LEN) == 0);
    CU_ASSERT(kl_envelope_name(kl_view_of(sealed, sizeof(sealed)), &named) == KL_OK);
    CU_ASSERT(named.format == 1 && memcmp(named.id, kl_key_commitment(key).data, 16) == 0);
    kl_aead_free(aead);
    kl_key_put(key);
}

static void an_empty_value_has_an_envelope_too(void)
{
    struct kl_key *key = make_key(1);
    struct kl_aead *aead = make_aead(key);
    uint8_t sealed[KL_ENVELOPE_OVERHEAD], none;

    CU_ASSERT(kl_envelope_seal(aead, key, kl_view_of(NULL, 0), kl_view_of(NULL, 0), sealed) == KL_OK);
    CU_ASSERT(kl_envelope_open(aead, key, kl_view_of(NULL, 0), kl_view_of(sealed, sizeof(sealed)), &none) == KL_OK);
    sealed[KL_ENVELOPE_OVERHEAD - 1] ^= 1;
    CU_ASSERT(kl_envelope_open(aead, key, kl_view_of(NULL, 0), kl_view_of(sealed, sizeof(sealed)), &none) == KL_CIPHERTEXT);
    kl_aead_free(aead);
    kl_key_put(key);
}

static void no_changed_bit_is_let_through_and_no_plaintext_comes_out(void)
{
    struct kl_key *key = make_key(1);
    struct kl_aead *aead = make_aead(key);
    uint8_t sealed[PLAIN_LEN + KL_ENVELOPE_OVERHEAD], opened[PLAIN_LEN];
    static const uint8_t zeroes[PLAIN_LEN];

    CU_ASSERT_FATAL(kl_envelope_seal(aead, key, kl_view_text("aad"), kl_view_of(plain, PLAIN_LEN), sealed) == KL_OK);
    for (size_t bit = 0; bit < sizeof(sealed) * 8; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        memset(opened, 0xAA, sizeof(opened));
        CU_ASSERT(kl_envelope_open(aead, key, kl_view_text("aad"), kl_view_of(sealed, sizeof(sealed)), opened) == KL_CIPHERTEXT);
        CU_ASSERT(memcmp(opened, zeroes, sizeof(opened)) == 0);
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    kl_aead_free(aead);
    kl_key_put(key);
}

static void another_key_or_other_associated_data_opens_nothing(void)
{
    struct kl_key *key = make_key(1), *other = make_key(2);
    struct kl_aead *aead = make_aead(key), *other_aead = make_aead(other);
    uint8_t sealed[PLAIN_LEN + KL_ENVELOPE_OVERHEAD], opened[PLAIN_LEN];
    struct kl_view envelope = kl_view_of(sealed, sizeof(sealed));

    CU_ASSERT_FATAL(kl_envelope_seal(aead, key, kl_view_text("aad"), kl_view_of(plain, PLAIN_LEN), sealed) == KL_OK);
    CU_ASSERT(kl_envelope_open(other_aead, other, kl_view_text("aad"), envelope, opened) == KL_CIPHERTEXT);
    /* The id of the other key written over: it names the key, it does not open it. */
    memcpy(sealed + 4, kl_key_commitment(other).data, 16);
    CU_ASSERT(kl_envelope_open(other_aead, other, kl_view_text("aad"), envelope, opened) == KL_CIPHERTEXT);
    memcpy(sealed + 4, kl_key_commitment(key).data, 16);
    CU_ASSERT(kl_envelope_open(aead, key, kl_view_text("aae"), envelope, opened) == KL_CIPHERTEXT);
    CU_ASSERT(kl_envelope_open(aead, key, kl_view_text("aa"), envelope, opened) == KL_CIPHERTEXT);
    CU_ASSERT(kl_envelope_open(aead, key, kl_view_of(NULL, 0), envelope, opened) == KL_CIPHERTEXT);
    CU_ASSERT(kl_envelope_open(aead, key, kl_view_text("aad"), kl_view_of(sealed, KL_ENVELOPE_OVERHEAD - 1), opened) ==
              KL_CIPHERTEXT_LENGTH);
    CU_ASSERT(kl_envelope_open(aead, key, kl_view_text("aad"), kl_view_of(sealed, sizeof(sealed) - 1), opened) == KL_CIPHERTEXT);
    kl_aead_free(aead);
    kl_aead_free(other_aead);
    kl_key_put(key);
    kl_key_put(other);
}

static void a_long_aad_is_bound_whole_and_a_longer_one_refused(void)
{
    struct kl_key *key = make_key(1);
    struct kl_aead *aead = make_aead(key);
    uint8_t *aad = calloc(1, KL_ENVELOPE_AAD_MAX + 1);
    uint8_t sealed[PLAIN_LEN + KL_ENVELOPE_OVERHEAD], opened[PLAIN_LEN];
    struct kl_view envelope = kl_view_of(sealed, sizeof(sealed));

    CU_ASSERT_FATAL(aad != NULL);
    CU_ASSERT(kl_envelope_seal(aead, key, kl_view_of(aad, KL_ENVELOPE_AAD_MAX), kl_view_of(plain, PLAIN_LEN), sealed) == KL_OK);
    CU_ASSERT(kl_envelope_open(aead, key, kl_view_of(aad, KL_ENVELOPE_AAD_MAX), envelope, opened) == KL_OK);
    aad[KL_ENVELOPE_AAD_MAX - 1] = 1;
    CU_ASSERT(kl_envelope_open(aead, key, kl_view_of(aad, KL_ENVELOPE_AAD_MAX), envelope, opened) == KL_CIPHERTEXT);
    CU_ASSERT(kl_envelope_seal(aead, key, kl_view_of(aad, KL_ENVELOPE_AAD_MAX + 1), kl_view_of(plain, PLAIN_LEN), sealed) == KL_PARAMETER);
    free(aad);
    kl_aead_free(aead);
    kl_key_put(key);
}

static void an_imported_key_makes_no_envelope(void)
{
    struct kl_secret value = { 0 };
    struct kl_key *key = NULL;
    struct kl_stream *stream = NULL;
    uint8_t sealed[PLAIN_LEN + KL_ENVELOPE_OVERHEAD], header[KL_STREAM_HEADER_LEN];
    struct kl_aead *aead;

    CU_ASSERT_FATAL(kl_secret_new(&value, 32) == KL_OK && kl_key_new(&value, KL_TYPE_AES, false, &key) == KL_OK);
    aead = make_aead(key);
    CU_ASSERT(kl_envelope_seal(aead, key, kl_view_text("aad"), kl_view_of(plain, PLAIN_LEN), sealed) == KL_KEY_FUNCTION);
    CU_ASSERT(kl_stream_encrypt(key, kl_view_text("aad"), header, &stream) == KL_KEY_FUNCTION);
    kl_aead_free(aead);
    kl_key_put(key);
}

static void an_envelope_under_a_record_key_names_its_field_version(void)
{
    struct kl_key *field = make_key(1), *record = NULL, *other = NULL;
    struct kl_request request = { .key_type = KL_TYPE_AES, .length = 32, .info = kl_view_text("4711") };
    uint8_t sealed[PLAIN_LEN + KL_ENVELOPE_OVERHEAD], opened[PLAIN_LEN];
    struct kl_aead *aead, *other_aead;

    CU_ASSERT_FATAL(kl_key_derive(field, &request, &record) == KL_OK);
    request.info = kl_view_text("4712");
    CU_ASSERT_FATAL(kl_key_derive(field, &request, &other) == KL_OK);
    aead = make_aead(record);
    other_aead = make_aead(other);
    CU_ASSERT(kl_envelope_seal(aead, record, kl_view_of(NULL, 0), kl_view_of(plain, PLAIN_LEN), sealed) == KL_OK);
    CU_ASSERT(memcmp(sealed + 4, kl_key_commitment(field).data, 16) == 0);
    CU_ASSERT(kl_envelope_open(aead, record, kl_view_of(NULL, 0), kl_view_of(sealed, sizeof(sealed)), opened) == KL_OK);
    CU_ASSERT(kl_envelope_open(other_aead, other, kl_view_of(NULL, 0), kl_view_of(sealed, sizeof(sealed)), opened) == KL_CIPHERTEXT);
    kl_aead_free(aead);
    kl_aead_free(other_aead);
    kl_key_put(record);
    kl_key_put(other);
    kl_key_put(field);
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
                                         UNIT(an_empty_value_has_an_envelope_too),
                                         UNIT(no_changed_bit_is_let_through_and_no_plaintext_comes_out),
                                         UNIT(another_key_or_other_associated_data_opens_nothing),
                                         UNIT(a_long_aad_is_bound_whole_and_a_longer_one_refused),
                                         UNIT(an_imported_key_makes_no_envelope),
                                         UNIT(an_envelope_under_a_record_key_names_its_field_version),
                                         UNIT(streams_of_every_length_around_a_chunk_come_back),
                                         UNIT(a_stream_that_was_cut_extended_reordered_or_spliced_is_refused),
                                         UNIT(after_the_last_chunk_nothing_follows) };

    kl_arena_allow_unlocked(true);
    return kl_crypto_open() != KL_OK || unit_run("ladder/envelope", tests, sizeof tests / sizeof *tests);
}
