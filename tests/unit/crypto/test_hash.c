/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "crypto/hash.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>

#include "failing_evp.h"
#include "vectors.h"

static const enum kl_hash hashes[] = { KL_SHA256, KL_SHA384, KL_SHA512 };

/* ---- another's results ---- */

static const EVP_MD *openssl_hash(enum kl_hash hash)
{
    if (hash == KL_SHA256) return EVP_sha256();
    return hash == KL_SHA384 ? EVP_sha384() : EVP_sha512();
}

static bool digest_is_openssls(enum kl_hash hash, struct kl_view in, const uint8_t *out)
{
    uint8_t ought[KL_HASH_MAX];
    unsigned len = 0;

    return EVP_Digest(in.data, in.len, ought, &len, openssl_hash(hash), NULL) == 1 && len == kl_hash_len(hash) &&
           memcmp(ought, out, len) == 0;
}

static bool hmac_is_openssls(enum kl_hash hash, struct kl_view key, struct kl_view in, const uint8_t *out)
{
    uint8_t ought[KL_HASH_MAX];
    unsigned len = 0;

    return HMAC(openssl_hash(hash), key.data, (int)key.len, in.data, in.len, ought, &len) != NULL && len == kl_hash_len(hash) &&
           memcmp(ought, out, len) == 0;
}

/* Cuts `in` into `count` parts of chance lengths, empty ones too. */
static void cut(struct kl_view in, struct kl_view *parts, size_t count)
{
    size_t at = 0;

    for (size_t i = 0; i < count; i++) {
        size_t take = i + 1 == count ? in.len - at : number((uint32_t)(in.len - at + 1));

        parts[i] = (struct kl_view){ take > 0 ? in.data + at : NULL, take };
        at += take;
    }
}

static bool hmac_vector(enum kl_hash hash, const json_t *group, const json_t *test)
{
    struct kl_view key = vector_bytes(test, "key", 0);
    struct kl_view msg = vector_bytes(test, "msg", 1);
    struct kl_view tag = vector_bytes(test, "tag", 2);
    size_t tag_len = (size_t)json_integer_value(json_object_get(group, "tagSize")) / 8;
    uint8_t out[KL_HASH_MAX];

    if (kl_hmac_parts(hash, key, &msg, 1, out) != KL_OK) return false;
    return (tag.len == tag_len && memcmp(out, tag.data, tag_len) == 0) == vector_is_valid(test);
}

static bool hkdf_vector(enum kl_hash hash, const json_t *test)
{
    static uint8_t out[255 * KL_HASH_MAX + 1];
    struct kl_view okm = vector_bytes(test, "okm", 3);
    size_t size = (size_t)json_integer_value(json_object_get(test, "size"));
    enum kl_rc rc;

    if (size > sizeof out) size = sizeof out;
    rc = kl_hkdf(hash, vector_bytes(test, "salt", 0), vector_bytes(test, "ikm", 1), vector_bytes(test, "info", 2), out, size);
    if (!vector_is_valid(test)) return rc == KL_ARG;
    return rc == KL_OK && okm.len == size && memcmp(out, okm.data, size) == 0;
}

#define VECTORS(bits)                                                \
    static bool hmac_##bits(const json_t *group, const json_t *test) \
    {                                                                \
        return hmac_vector(KL_SHA##bits, group, test);               \
    }                                                                \
    static bool hkdf_##bits(const json_t *group, const json_t *test) \
    {                                                                \
        (void)group;                                                 \
        return hkdf_vector(KL_SHA##bits, test);                      \
    }
VECTORS(256)
VECTORS(384)
VECTORS(512)

/* ---- tests ---- */

static void wycheproof_agrees_on_hmac(void)
{
    vectors_run("hmac_sha256_test.json", hmac_256);
    vectors_run("hmac_sha384_test.json", hmac_384);
    vectors_run("hmac_sha512_test.json", hmac_512);
}

static void wycheproof_agrees_on_hkdf(void)
{
    vectors_run("hkdf_sha256_test.json", hkdf_256);
    vectors_run("hkdf_sha384_test.json", hkdf_384);
    vectors_run("hkdf_sha512_test.json", hkdf_512);
}

/* Appendix A, test cases 1 to 3. */
static void rfc_5869_agrees(void)
{
    static const struct {
        const char *ikm, *salt, *info, *prk, *okm;
    } rows[] = {
        { "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9",
          "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
          "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865" },
        { "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f4041"
          "42434445464748494a4b4c4d4e4f",
          "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1"
          "a2a3a4a5a6a7a8a9aaabacadaeaf",
          "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1"
          "f2f3f4f5f6f7f8f9fafbfcfdfeff",
          "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
          "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30"
          "c58179ec3e87c14c01d5c1f3434f1d87" },
        { "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "", "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
          "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        uint8_t ikm[80], salt[80], info[80], prk[32], okm[82], ought[82], is[82];
        struct kl_view ikm_view = { ikm, from_hex(rows[i].ikm, ikm, 80) };
        struct kl_view salt_view = { salt, from_hex(rows[i].salt, salt, 80) };
        struct kl_view info_view = { info, from_hex(rows[i].info, info, 80) };
        size_t len = from_hex(rows[i].okm, okm, 82);

        from_hex(rows[i].prk, ought, 32);
        SAME(kl_hkdf_extract(KL_SHA256, salt_view, ikm_view, prk), KL_OK);
        SAME(memcmp(prk, ought, 32), 0);
        SAME(kl_hkdf_expand(KL_SHA256, (struct kl_view){ prk, 32 }, &info_view, 1, is, len), KL_OK);
        SAME(memcmp(is, okm, len), 0);
        SAME(kl_hkdf(KL_SHA256, salt_view, ikm_view, info_view, is, len), KL_OK);
        SAME(memcmp(is, okm, len), 0);
    }
}

static void digests_and_macs_of_every_short_length_are_openssls_own(void)
{
    uint8_t key[300], in[300], out[KL_HASH_MAX];

    scatter(key, sizeof key);
    scatter(in, sizeof in);
    for (size_t h = 0; h < COUNT(hashes); h++) {
        for (size_t len = 0; len <= sizeof in; len++) {
            struct kl_view view = { in, len };
            struct kl_view key_view = { key, (len * 7) % sizeof key };

            SAME(kl_hash_parts(hashes[h], &view, 1, out), KL_OK);
            CU_ASSERT(digest_is_openssls(hashes[h], view, out));
            SAME(kl_hmac_parts(hashes[h], key_view, &view, 1, out), KL_OK);
            CU_ASSERT(hmac_is_openssls(hashes[h], key_view, view, out));
        }
    }
}

static void a_key_of_every_length_around_the_block_is_openssls_own(void)
{
    uint8_t key[260], in[20], out[KL_HASH_MAX];
    struct kl_view view = { in, sizeof in };

    scatter(key, sizeof key);
    scatter(in, sizeof in);
    for (size_t h = 0; h < COUNT(hashes); h++) {
        for (size_t len = 0; len <= sizeof key; len++) {
            SAME(kl_hmac_parts(hashes[h], (struct kl_view){ key, len }, &view, 1, out), KL_OK);
            CU_ASSERT(hmac_is_openssls(hashes[h], (struct kl_view){ key, len }, view, out));
        }
    }
}

static void bytes_cut_into_parts_give_what_they_give_whole(void)
{
    uint8_t in[500], whole[KL_HASH_MAX], parted[KL_HASH_MAX];
    struct kl_view parts[7];

    scatter(in, sizeof in);
    for (int round = 0; round < 600; round++) {
        enum kl_hash hash = hashes[round % 3];
        struct kl_view view = { in, number(sizeof in + 1) };
        struct kl_view key = { in, number(200) };
        size_t len = kl_hash_len(hash);

        cut(view, parts, COUNT(parts));
        SAME(kl_hash_parts(hash, &view, 1, whole), KL_OK);
        SAME(kl_hash_parts(hash, parts, COUNT(parts), parted), KL_OK);
        SAME(memcmp(whole, parted, len), 0);
        SAME(kl_hmac_parts(hash, key, &view, 1, whole), KL_OK);
        SAME(kl_hmac_parts(hash, key, parts, COUNT(parts), parted), KL_OK);
        SAME(memcmp(whole, parted, len), 0);
        SAME(kl_hkdf_expand(hash, key, &view, 1, whole, len), KL_OK);
        SAME(kl_hkdf_expand(hash, key, parts, COUNT(parts), parted, len), KL_OK);
        SAME(memcmp(whole, parted, len), 0);
    }
}

static void a_shorter_expansion_is_the_beginning_of_a_longer_one(void)
{
    static uint8_t whole[255 * KL_HASH_MAX], part[255 * KL_HASH_MAX];
    uint8_t prk[32];
    struct kl_view info = { prk, 5 };

    scatter(prk, sizeof prk);
    for (size_t h = 0; h < COUNT(hashes); h++) {
        size_t most = 255 * kl_hash_len(hashes[h]);

        SAME(kl_hkdf_expand(hashes[h], (struct kl_view){ prk, 32 }, &info, 1, whole, most), KL_OK);
        for (size_t len = 0; len <= most; len += 1 + len / 3) {
            memset(part, 0x55, sizeof part);
            SAME(kl_hkdf_expand(hashes[h], (struct kl_view){ prk, 32 }, &info, 1, part, len), KL_OK);
            SAME(memcmp(whole, part, len), 0);
            if (len < most) SAME(part[len], 0x55);
        }
    }
}

static void more_than_255_blocks_are_refused_before_anything_is_written(void)
{
    static uint8_t out[255 * KL_HASH_MAX + 1];
    struct kl_view key = { (const uint8_t *)"key", 3 };

    for (size_t h = 0; h < COUNT(hashes); h++) {
        size_t most = 255 * kl_hash_len(hashes[h]);

        memset(out, 0x55, sizeof out);
        SAME(kl_hkdf_expand(hashes[h], key, NULL, 0, out, most + 1), KL_ARG);
        SAME(kl_hkdf(hashes[h], key, key, key, out, most + 1), KL_ARG);
        SAME(out[0] & out[most], 0x55);
        SAME(kl_hkdf_expand(hashes[h], key, NULL, 0, out, SIZE_MAX), KL_ARG);
    }
}

static void nothing_and_null_are_an_empty_message_key_salt_and_info(void)
{
    uint8_t a[KL_HASH_MAX], b[KL_HASH_MAX];
    struct kl_view none = { NULL, 0 };
    struct kl_view empty = { (const uint8_t *)"", 0 };
    const uint8_t zeroes[KL_HASH_MAX] = { 0 };

    for (size_t h = 0; h < COUNT(hashes); h++) {
        size_t len = kl_hash_len(hashes[h]);

        SAME(kl_hash_parts(hashes[h], NULL, 0, a), KL_OK);
        SAME(kl_hash_parts(hashes[h], &none, 1, b), KL_OK);
        SAME(memcmp(a, b, len), 0);
        CU_ASSERT(digest_is_openssls(hashes[h], empty, a));
        SAME(kl_hmac_parts(hashes[h], none, NULL, 0, a), KL_OK);
        CU_ASSERT(hmac_is_openssls(hashes[h], empty, empty, a));
        SAME(kl_hkdf(hashes[h], none, none, none, a, len), KL_OK);
        SAME(kl_hkdf(hashes[h], (struct kl_view){ zeroes, len }, empty, empty, b, len), KL_OK);
        SAME(memcmp(a, b, len), 0);
        SAME(kl_hkdf(hashes[h], none, none, none, NULL, 0), KL_OK);
    }
}

static void the_output_may_lie_over_the_input(void)
{
    uint8_t a[64], b[64];
    struct kl_view in = { a, 64 };
    struct kl_view key = { (const uint8_t *)"key", 3 };

    scatter(a, 64);
    SAME(kl_hmac_parts(KL_SHA512, key, &in, 1, b), KL_OK);
    SAME(kl_hmac_parts(KL_SHA512, key, &in, 1, a), KL_OK);
    SAME(memcmp(a, b, 64), 0);
}

/* ---- failures ---- */

#define OUT_LEN 100 /* two blocks of SHA-512, four of SHA-256 */
static uint8_t room[OUT_LEN];
static uint8_t long_key[200];

static enum kl_rc do_digest(enum kl_hash hash)
{
    struct kl_view parts[2] = { { long_key, 100 }, { long_key, 3 } };

    return kl_hash_parts(hash, parts, 2, room);
}

static enum kl_rc do_hmac(enum kl_hash hash)
{
    struct kl_view part = { long_key, 100 };

    return kl_hmac_parts(hash, (struct kl_view){ long_key, sizeof long_key }, &part, 1, room);
}

static enum kl_rc do_extract(enum kl_hash hash)
{
    return kl_hkdf_extract(hash, (struct kl_view){ long_key, 16 }, (struct kl_view){ long_key, 32 }, room);
}

static enum kl_rc do_expand(enum kl_hash hash)
{
    struct kl_view info = { long_key, 16 };

    return kl_hkdf_expand(hash, (struct kl_view){ long_key, 32 }, &info, 1, room, OUT_LEN);
}

static enum kl_rc do_hkdf(enum kl_hash hash)
{
    struct kl_view view = { long_key, 16 };

    return kl_hkdf(hash, view, view, view, room, OUT_LEN);
}

static enum kl_rc (*const doings[])(enum kl_hash) = { do_digest, do_hmac, do_extract, do_expand, do_hkdf };

static size_t written_by(size_t doing, enum kl_hash hash)
{
    return doing < 3 ? kl_hash_len(hash) : OUT_LEN;
}

static bool each_call_fails_cleanly(size_t doing, enum kl_hash hash)
{
    uint8_t ought[OUT_LEN];
    bool good = true, has = true;

    memset(room, 0, OUT_LEN);
    good = doings[doing](hash) == KL_OK;
    memcpy(ought, room, OUT_LEN);
    for (int n = 1; good && has; n++) {
        enum kl_rc rc;

        memset(room, 0x55, OUT_LEN);
        fail_the(n);
        rc = doings[doing](hash);
        has = has_failed();
        fail_the(0);
        if (!has) return n > 3;
        good = rc == KL_CRYPTO && is_zero(room, written_by(doing, hash)) && kl_fail_words()[0] != '\0';
        good = good && live == 0;
        good = good && doings[doing](hash) == KL_OK && memcmp(room, ought, written_by(doing, hash)) == 0;
    }
    return false;
}

static void any_call_that_fails_leaves_zeroes_and_the_next_one_works(void)
{
    scatter(long_key, sizeof long_key);
    for (size_t h = 0; h < COUNT(hashes); h++)
        for (size_t i = 0; i < COUNT(doings); i++) CU_ASSERT(each_call_fails_cleanly(i, hashes[h]));
}

static const struct kl_sha2 *states[16];
static size_t state_count;

static void note(const struct kl_sha2 *state)
{
    if (state_count < COUNT(states)) states[state_count++] = state;
}

void __real_kl_wipe(void *data, size_t len);
void __wrap_kl_wipe(void *data, size_t len);

/* Ticks off what is wiped whole. */
void __wrap_kl_wipe(void *data, size_t len)
{
    size_t left = 0;

    if (on_state != NULL) {
        for (size_t i = 0; i < state_count; i++) {
            uintptr_t from = (uintptr_t)states[i], to = from + sizeof *states[i];

            if (from < (uintptr_t)data || to > (uintptr_t)data + len) states[left++] = states[i];
        }
        state_count = left;
    }
    __real_kl_wipe(data, len);
}

static void no_keyed_state_outlasts_the_call(void)
{
    on_state = note;
    for (size_t i = 0; i < COUNT(doings); i++) {
        fail_the(0);
        SAME(doings[i](KL_SHA256), KL_OK);
        CU_ASSERT(calls > 0);
        SAME(live, 0);
        SAME(state_count, 0);
        fail_the(calls);
        SAME(doings[i](KL_SHA256), KL_CRYPTO);
        SAME(live, 0);
        SAME(state_count, 0);
    }
    fail_the(0);
    on_state = NULL;
}

/* By the calls: what one more block costs does not begin a hash. */
static void an_expansion_takes_in_its_key_once(void)
{
    static uint8_t out[255 * 32];
    struct kl_view prk = { long_key, 32 };
    int by_one;

    fail_the(0);
    SAME(kl_hkdf_expand(KL_SHA256, prk, NULL, 0, out, 32), KL_OK);
    by_one = calls;
    fail_the(0);
    SAME(kl_hkdf_expand(KL_SHA256, prk, NULL, 0, out, 64), KL_OK);
    SAME(calls, by_one + 7); /* two copies; the block before, the counter and the inner digest go in; two ends */
}

#define THREADS 40 /* more than processors */

static void *hash_for_a_while(void *wrong)
{
    uint8_t in[200], out[KL_HASH_MAX];

    for (size_t i = 0; i < 400; i++) {
        struct kl_view view = { in, i % sizeof in };

        memset(in, (int)i, sizeof in);
        if (kl_hmac_parts(hashes[i % 3], view, &view, 1, out) != KL_OK || !hmac_is_openssls(hashes[i % 3], view, view, out))
            *(bool *)wrong = true;
    }
    return NULL;
}

static void many_threads_at_once_each_get_their_own_result(void)
{
    pthread_t threads[THREADS];
    bool wrong[THREADS] = { false };

    for (size_t i = 0; i < THREADS; i++) SAME(pthread_create(&threads[i], NULL, hash_for_a_while, &wrong[i]), 0);
    for (size_t i = 0; i < THREADS; i++) {
        SAME(pthread_join(threads[i], NULL), 0);
        CU_ASSERT_FALSE(wrong[i]);
    }
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        UNIT(wycheproof_agrees_on_hmac),
        UNIT(wycheproof_agrees_on_hkdf),
        UNIT(rfc_5869_agrees),
        UNIT(digests_and_macs_of_every_short_length_are_openssls_own),
        UNIT(a_key_of_every_length_around_the_block_is_openssls_own),
        UNIT(bytes_cut_into_parts_give_what_they_give_whole),
        UNIT(a_shorter_expansion_is_the_beginning_of_a_longer_one),
        UNIT(more_than_255_blocks_are_refused_before_anything_is_written),
        UNIT(nothing_and_null_are_an_empty_message_key_salt_and_info),
        UNIT(the_output_may_lie_over_the_input),
        UNIT(any_call_that_fails_leaves_zeroes_and_the_next_one_works),
        UNIT(no_keyed_state_outlasts_the_call),
        UNIT(an_expansion_takes_in_its_key_once),
        UNIT(many_threads_at_once_each_get_their_own_result),
    };

    return unit_run_both_ways("crypto/hash", tests, COUNT(tests));
}
