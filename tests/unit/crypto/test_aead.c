/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "crypto/aead.h"

#include <openssl/evp.h>

#include "base/secret.h"
#include "support.h"
#include "vectors.h"

#define ROOM 1500
#define GUARD 0x5A

static const struct kind {
    enum kl_aead_algorithm algorithm;
    size_t key_len;
    const char *name;
} kinds[] = {
    { KL_AEAD_AES_GCM, 16, "AES-128-GCM" },
    { KL_AEAD_AES_GCM, 24, "AES-192-GCM" },
    { KL_AEAD_AES_GCM, 32, "AES-256-GCM" },
    { KL_AEAD_CHACHA20_POLY1305, 32, "ChaCha20-Poly1305" },
};

static uint8_t key[32], iv[128], aad[300], plain[ROOM];

/* A keyed context, and parameters of the usual lengths, over bytes that change with every test. */
static struct kl_aead *begin(const struct kind *kind, struct kl_aead_params *params)
{
    struct kl_aead *aead = NULL;

    scatter(key, sizeof key);
    scatter(iv, sizeof iv);
    scatter(aad, sizeof aad);
    scatter(plain, sizeof plain);
    *params = (struct kl_aead_params){ .iv = { iv, 12 }, .aad = { aad, 16 }, .tag_len = 16 };
    SAME(kl_aead_new(kind->algorithm, (struct kl_view){ key, kind->key_len }, &aead), KL_OK);
    return aead;
}

/* The same by OpenSSL's own means, with a context made for the purpose. */
static bool openssl_seal(const struct kind *kind, const struct kl_aead_params *params, struct kl_view in, uint8_t *out, uint8_t *tag)
{
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, kind->name, NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int len;
    bool good = EVP_EncryptInit_ex2(ctx, cipher, NULL, NULL, NULL) == 1 &&
                EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, (int)params->iv.len, NULL) == 1 &&
                EVP_EncryptInit_ex2(ctx, NULL, key, params->iv.data, NULL) == 1;

    if (params->aad.len > 0) good = good && EVP_EncryptUpdate(ctx, NULL, &len, params->aad.data, (int)params->aad.len) == 1;
    if (in.len > 0) good = good && EVP_EncryptUpdate(ctx, out, &len, in.data, (int)in.len) == 1;
    good =
        good && EVP_EncryptFinal_ex(ctx, out, &len) == 1 && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, (int)params->tag_len, tag) == 1;
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(cipher);
    return good;
}

static bool aead_vector(enum kl_aead_algorithm algorithm, const json_t *test)
{
    struct kl_view vector_key = vector_bytes(test, "key", 0);
    struct kl_view msg = vector_bytes(test, "msg", 3);
    struct kl_view ct = vector_bytes(test, "ct", 4);
    struct kl_view tag = vector_bytes(test, "tag", 5);
    struct kl_aead_params params = { .iv = vector_bytes(test, "iv", 1), .aad = vector_bytes(test, "aad", 2), .tag_len = tag.len };
    bool is_valid = vector_is_valid(test);
    static uint8_t out[FIELD_MAX];
    uint8_t made[16];
    struct kl_aead *aead = NULL;
    bool takes_iv = params.iv.len == 12 || (algorithm == KL_AEAD_AES_GCM && params.iv.len >= 1 && params.iv.len <= 128);
    enum kl_rc rc = kl_aead_new(algorithm, vector_key, &aead);
    bool good;

    if (rc != KL_OK) return rc == KL_KEY_SIZE && !is_valid;
    rc = kl_aead_open(aead, &params, ct, tag.data, out);
    if (takes_iv && tag.len == 16) {
        good = rc == (is_valid ? KL_OK : KL_CIPHERTEXT);
        if (rc == KL_OK) good = good && memcmp(out, msg.data, msg.len) == 0;
        if (rc != KL_OK) good = good && is_zero(out, ct.len);
        good = good && kl_aead_seal(aead, &params, msg, out, made) == KL_OK;
        good = good && (memcmp(out, ct.data, ct.len) == 0 && memcmp(made, tag.data, 16) == 0) == is_valid;
    } else {
        good = rc == KL_PARAMETER;
    }
    kl_aead_free(aead);
    return good;
}

static bool gcm_vector(const json_t *group, const json_t *test)
{
    (void)group;
    return aead_vector(KL_AEAD_AES_GCM, test);
}

static bool chacha_vector(const json_t *group, const json_t *test)
{
    (void)group;
    return aead_vector(KL_AEAD_CHACHA20_POLY1305, test);
}

/* ---- tests: what is right ---- */

static void wycheproof_agrees_on_aes_gcm(void)
{
    vectors_run("aes_gcm_test.json", gcm_vector);
}

static void wycheproof_agrees_on_chacha20_poly1305(void)
{
    vectors_run("chacha20_poly1305_test.json", chacha_vector);
}

static void every_length_is_what_openssl_makes_of_it_and_opens_again(void)
{
    uint8_t ours[ROOM + 1], theirs[ROOM + 32], back[ROOM + 1], tag[16], tag2[16];
    struct kl_aead_params params;

    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct kl_aead *aead = begin(&kinds[k], &params);

        for (size_t len = 0; len <= 1100; len++) {
            struct kl_view in = { plain, len };

            iv[0]++;
            iv[len % 12]++;
            params.aad.len = len % 258;
            ours[len] = back[len] = GUARD;
            SAME(kl_aead_seal(aead, &params, in, ours, tag), KL_OK);
            CU_ASSERT(openssl_seal(&kinds[k], &params, in, theirs, tag2));
            CU_ASSERT(memcmp(ours, theirs, len) == 0 && memcmp(tag, tag2, 16) == 0);
            SAME(kl_aead_open(aead, &params, (struct kl_view){ ours, len }, tag, back), KL_OK);
            CU_ASSERT(memcmp(back, plain, len) == 0);
            SAME(ours[len] & back[len], GUARD);
        }
        kl_aead_free(aead);
    }
}

static void every_iv_length_from_1_to_128_in_any_order_is_what_openssl_makes_of_it(void)
{
    uint8_t ours[64], theirs[96], tag[16], tag2[16];
    struct kl_aead_params params;

    for (size_t k = 0; k < 3; k++) {
        struct kl_aead *aead = begin(&kinds[k], &params);

        for (int round = 0; round < 400; round++) {
            params.iv.len = round < 128 ? (size_t)round + 1 : 1 + number(128);
            if (round % 5 == 4) params.iv.len = 12;
            iv[0]++;
            SAME(kl_aead_seal(aead, &params, (struct kl_view){ plain, 64 }, ours, tag), KL_OK);
            CU_ASSERT(openssl_seal(&kinds[k], &params, (struct kl_view){ plain, 64 }, theirs, tag2));
            CU_ASSERT(memcmp(ours, theirs, 64) == 0 && memcmp(tag, tag2, 16) == 0);
            SAME(kl_aead_open(aead, &params, (struct kl_view){ ours, 64 }, tag, ours), KL_OK);
            CU_ASSERT(memcmp(ours, plain, 64) == 0);
        }
        kl_aead_free(aead);
    }
}

static void a_short_tag_is_the_beginning_of_a_long_one(void)
{
    uint8_t out[32], whole[16], tag[17], back[32];
    struct kl_aead_params params;
    struct kl_aead *aead = begin(&kinds[2], &params);

    SAME(kl_aead_seal(aead, &params, (struct kl_view){ plain, 32 }, out, whole), KL_OK);
    for (params.tag_len = 4; params.tag_len <= 16; params.tag_len++) {
        memset(tag, GUARD, sizeof tag);
        SAME(kl_aead_seal(aead, &params, (struct kl_view){ plain, 32 }, out, tag), KL_OK);
        CU_ASSERT(memcmp(tag, whole, params.tag_len) == 0);
        SAME(tag[params.tag_len], GUARD);
        SAME(kl_aead_open(aead, &params, (struct kl_view){ out, 32 }, tag, back), KL_OK);
        tag[params.tag_len - 1] ^= 0x80;
        SAME(kl_aead_open(aead, &params, (struct kl_view){ out, 32 }, tag, back), KL_CIPHERTEXT);
    }
    kl_aead_free(aead);
}

/* `in` in `pieces` random pieces, some of them empty. */
static enum kl_rc seal_in_parts(struct kl_aead *aead, const struct kl_aead_params *params, struct kl_view in, uint8_t *out, uint8_t *tag)
{
    KL_TRY(kl_aead_start(aead, params));
    while (in.len > 0) {
        size_t take = number(8) == 0 ? 0 : 1 + number((uint32_t)(in.len < 200 ? in.len : 200));

        KL_TRY(kl_aead_update(aead, (struct kl_view){ take > 0 ? in.data : NULL, take }, take > 0 ? out : NULL));
        in = (struct kl_view){ in.data + take, in.len - take };
        out += take;
    }
    return kl_aead_finish(aead, tag, params->tag_len);
}

static void any_cut_into_parts_gives_what_one_call_gives(void)
{
    uint8_t whole[ROOM], parted[ROOM], tag[16], tag2[16];
    struct kl_aead_params params;

    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct kl_aead *aead = begin(&kinds[k], &params);

        for (int round = 0; round < 500; round++) {
            struct kl_view in = { plain, number(ROOM + 1) };

            iv[0]++;
            iv[1] = (uint8_t)(round >> 6);
            params.aad.len = number(sizeof aad + 1);
            SAME(kl_aead_seal(aead, &params, in, whole, tag), KL_OK);
            SAME(seal_in_parts(aead, &params, in, parted, tag2), KL_OK);
            CU_ASSERT(memcmp(whole, parted, in.len) == 0 && memcmp(tag, tag2, 16) == 0);
            memcpy(parted, plain, in.len);
            SAME(seal_in_parts(aead, &params, (struct kl_view){ parted, in.len }, parted, tag2), KL_OK);
            CU_ASSERT(memcmp(whole, parted, in.len) == 0 && memcmp(tag, tag2, 16) == 0);
        }
        kl_aead_free(aead);
    }
}

static void bytes_that_lie_askew_and_in_place_are_the_same(void)
{
    _Alignas(64) uint8_t from[ROOM + 64], to[ROOM + 64];
    uint8_t ought[ROOM], tag[16], room[32];
    struct kl_aead_params params;

    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct kl_aead *aead = begin(&kinds[k], &params);

        SAME(kl_aead_seal(aead, &params, (struct kl_view){ plain, 1000 }, ought, tag), KL_OK);
        for (size_t askew = 0; askew < 64; askew++) {
            size_t other = (askew * 29) % 64;
            uint8_t *their_tag = room + askew % 16;

            memcpy(from + askew, plain, 1000);
            SAME(kl_aead_seal(aead, &params, (struct kl_view){ from + askew, 1000 }, to + other, their_tag), KL_OK);
            CU_ASSERT(memcmp(to + other, ought, 1000) == 0 && memcmp(their_tag, tag, 16) == 0);
            SAME(kl_aead_open(aead, &params, (struct kl_view){ to + other, 1000 }, their_tag, to + other), KL_OK);
            CU_ASSERT(memcmp(to + other, plain, 1000) == 0);
            SAME(kl_aead_seal(aead, &params, (struct kl_view){ from + askew, 1000 }, from + askew, their_tag), KL_OK);
            CU_ASSERT(memcmp(from + askew, ought, 1000) == 0);
        }
        kl_aead_free(aead);
    }
}

static void nothing_and_null_are_an_empty_input_and_no_associated_data(void)
{
    uint8_t tag[16], tag2[16];
    struct kl_aead_params params;

    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct kl_aead *aead = begin(&kinds[k], &params);

        params.aad = (struct kl_view){ NULL, 0 };
        SAME(kl_aead_seal(aead, &params, (struct kl_view){ NULL, 0 }, NULL, tag), KL_OK);
        CU_ASSERT(openssl_seal(&kinds[k], &params, (struct kl_view){ plain, 0 }, plain, tag2));
        CU_ASSERT(memcmp(tag, tag2, 16) == 0);
        SAME(kl_aead_open(aead, &params, (struct kl_view){ NULL, 0 }, tag, NULL), KL_OK);
        tag[0] ^= 1;
        SAME(kl_aead_open(aead, &params, (struct kl_view){ NULL, 0 }, tag, NULL), KL_CIPHERTEXT);
        SAME(kl_aead_start(aead, &params), KL_OK);
        SAME(kl_aead_update(aead, (struct kl_view){ NULL, 0 }, NULL), KL_OK);
        SAME(kl_aead_finish(aead, tag, 16), KL_OK);
        CU_ASSERT(memcmp(tag, tag2, 16) == 0);
        kl_aead_free(aead);
    }
}

static void sealing_and_opening_by_turns_do_not_disturb_each_other(void)
{
    uint8_t out[200], back[200], tag[16];
    struct kl_aead_params params;

    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct kl_aead *aead = begin(&kinds[k], &params);

        for (int round = 0; round < 300; round++) {
            struct kl_view in = { plain + number(100), number(201) };

            iv[1] = (uint8_t)number(256);
            if (kinds[k].algorithm == KL_AEAD_AES_GCM) params.iv.len = 1 + number(16);
            params.aad.len = number(sizeof aad + 1);
            SAME(kl_aead_seal(aead, &params, in, out, tag), KL_OK);
            if (round % 3 == 0) {
                tag[5] ^= 4;
                SAME(kl_aead_open(aead, &params, (struct kl_view){ out, in.len }, tag, back), KL_CIPHERTEXT);
                tag[5] ^= 4;
            }
            SAME(kl_aead_open(aead, &params, (struct kl_view){ out, in.len }, tag, back), KL_OK);
            CU_ASSERT(memcmp(back, in.data, in.len) == 0);
        }
        kl_aead_free(aead);
    }
}

static void the_key_handed_in_may_go_away(void)
{
    uint8_t out[64], ought[96], tag[16], tag2[16];
    struct kl_aead_params params;
    struct kl_aead *aead = begin(&kinds[2], &params);

    CU_ASSERT(openssl_seal(&kinds[2], &params, (struct kl_view){ plain, 64 }, ought, tag2));
    memset(key, 0, sizeof key);
    SAME(kl_aead_seal(aead, &params, (struct kl_view){ plain, 64 }, out, tag), KL_OK);
    CU_ASSERT(memcmp(out, ought, 64) == 0 && memcmp(tag, tag2, 16) == 0);
    kl_aead_free(aead);
}

static void an_engine_has_a_name(void)
{
    CU_ASSERT_STRING_EQUAL(kl_aead_engine_name(KL_ENGINE_OPENSSL), "openssl");
}

/* ---- tests: what is refused ---- */

/* Opening what `flip` has changed must fail and leave zeroes, elsewhere and in place. */
static void must_not_open(struct kl_aead *aead, const struct kl_aead_params *params, struct kl_view in, const uint8_t *tag)
{
    uint8_t out[ROOM], place[ROOM];

    memset(out, GUARD, in.len);
    memcpy(place, in.data, in.len);
    SAME(kl_aead_open(aead, params, in, tag, out), KL_CIPHERTEXT);
    CU_ASSERT(is_zero(out, in.len));
    SAME(kl_aead_open(aead, params, (struct kl_view){ place, in.len }, tag, place), KL_CIPHERTEXT);
    CU_ASSERT(is_zero(place, in.len));
}

static void a_bit_changed_anywhere_is_noticed_and_nothing_is_released(void)
{
    uint8_t out[64], tag[16];
    struct kl_aead_params params;

    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct kl_aead *aead = begin(&kinds[k], &params);
        const struct {
            uint8_t *bytes;
            size_t len;
        } places[] = { { tag, 16 }, { out, 64 }, { iv, 12 }, { aad, 16 } };

        SAME(kl_aead_seal(aead, &params, (struct kl_view){ plain, 64 }, out, tag), KL_OK);
        for (size_t p = 0; p < COUNT(places); p++) {
            for (size_t bit = 0; bit < 8 * places[p].len; bit++) {
                places[p].bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
                must_not_open(aead, &params, (struct kl_view){ out, 64 }, tag);
                places[p].bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
            }
        }
        SAME(kl_aead_open(aead, &params, (struct kl_view){ out, 64 }, tag, out), KL_OK);
        kl_aead_free(aead);
    }
}

static void more_or_fewer_bytes_than_were_sealed_do_not_open(void)
{
    uint8_t out[66], tag[16];
    struct kl_aead_params params;

    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct kl_aead *aead = begin(&kinds[k], &params);

        SAME(kl_aead_seal(aead, &params, (struct kl_view){ plain, 65 }, out, tag), KL_OK);
        for (size_t len = 0; len < 65; len++) must_not_open(aead, &params, (struct kl_view){ out, len }, tag);
        out[65] = 0;
        must_not_open(aead, &params, (struct kl_view){ out, 66 }, tag);
        for (params.aad.len = 0; params.aad.len < 20; params.aad.len++)
            if (params.aad.len != 16) must_not_open(aead, &params, (struct kl_view){ out, 65 }, tag);
        kl_aead_free(aead);
    }
}

static void another_key_does_not_open_it(void)
{
    uint8_t out[64], tag[16];
    struct kl_aead_params params;

    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct kl_aead *aead = begin(&kinds[k], &params);
        struct kl_aead *other = NULL;

        SAME(kl_aead_seal(aead, &params, (struct kl_view){ plain, 64 }, out, tag), KL_OK);
        key[kinds[k].key_len - 1] ^= 1;
        SAME(kl_aead_new(kinds[k].algorithm, (struct kl_view){ key, kinds[k].key_len }, &other), KL_OK);
        must_not_open(other, &params, (struct kl_view){ out, 64 }, tag);
        kl_aead_free(other);
        kl_aead_free(aead);
    }
}

static void keys_of_other_lengths_are_refused(void)
{
    struct kl_aead *aead = NULL;
    uint8_t long_key[64] = { 0 };

    for (size_t len = 0; len <= sizeof long_key; len++) {
        if (len != 16 && len != 24 && len != 32) SAME(kl_aead_new(KL_AEAD_AES_GCM, (struct kl_view){ long_key, len }, &aead), KL_KEY_SIZE);
        if (len != 32) SAME(kl_aead_new(KL_AEAD_CHACHA20_POLY1305, (struct kl_view){ long_key, len }, &aead), KL_KEY_SIZE);
    }
    CU_ASSERT_PTR_NULL(aead);
    kl_aead_free(NULL);
}

/* With these parameters nothing happens at all. */
static void must_refuse(struct kl_aead *aead, const struct kl_aead_params *params)
{
    uint8_t out[32], tag[32];

    memset(out, GUARD, sizeof out);
    memset(tag, GUARD, sizeof tag);
    SAME(kl_aead_seal(aead, params, (struct kl_view){ plain, 32 }, out, tag), KL_PARAMETER);
    SAME(kl_aead_open(aead, params, (struct kl_view){ plain, 32 }, tag, out), KL_PARAMETER);
    for (size_t i = 0; i < 32; i++) SAME(out[i] & tag[i], GUARD);
}

static void ivs_and_tags_of_other_lengths_are_refused(void)
{
    static const size_t lens[] = { 0, 1, 3, 4, 8, 11, 13, 15, 17, 32, 129, 256, 1 << 20, SIZE_MAX };
    struct kl_aead_params params;

    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct kl_aead *aead = begin(&kinds[k], &params);
        bool is_gcm = kinds[k].algorithm == KL_AEAD_AES_GCM;

        for (size_t i = 0; i < COUNT(lens); i++) {
            params.iv.len = lens[i];
            if (!is_gcm || lens[i] == 0 || lens[i] > 128) {
                must_refuse(aead, &params);
                SAME(kl_aead_start(aead, &params), KL_PARAMETER);
            }
            params.iv.len = 12;
            params.tag_len = lens[i];
            if (lens[i] > 16 || (is_gcm ? lens[i] < 4 : lens[i] < 16)) must_refuse(aead, &params);
            params.tag_len = 16;
        }
        kl_aead_free(aead);
    }
}

static void what_overlaps_without_being_in_place_is_refused_untouched(void)
{
    uint8_t room[96], before[96], tag[16] = { 0 };
    struct kl_aead_params params;
    struct kl_aead *aead = begin(&kinds[2], &params);

    scatter(room, sizeof room);
    memcpy(before, room, sizeof room);
    for (size_t by = 1; by < 32; by += 5) {
        SAME(kl_aead_seal(aead, &params, (struct kl_view){ room, 32 }, room + by, tag), KL_ARG);
        SAME(kl_aead_seal(aead, &params, (struct kl_view){ room + by, 32 }, room, tag), KL_ARG);
        SAME(kl_aead_open(aead, &params, (struct kl_view){ room, 32 }, tag, room + by), KL_ARG);
        SAME(kl_aead_start(aead, &params), KL_OK);
        SAME(kl_aead_update(aead, (struct kl_view){ room, 32 }, room + by), KL_ARG);
    }
    CU_ASSERT(memcmp(room, before, sizeof room) == 0);
    SAME(kl_aead_seal(aead, &params, (struct kl_view){ room, 32 }, room + 32, tag), KL_OK);
    SAME(kl_aead_seal(aead, &params, (struct kl_view){ room + 32, 32 }, room, tag), KL_OK);
    kl_aead_free(aead);
}

static void bytes_without_a_place_are_refused(void)
{
    uint8_t out[32], tag[16] = { 0 };
    struct kl_aead_params params;
    struct kl_aead *aead = begin(&kinds[2], &params);

    SAME(kl_aead_seal(aead, &params, (struct kl_view){ NULL, 32 }, out, tag), KL_ARG);
    SAME(kl_aead_seal(aead, &params, (struct kl_view){ plain, 32 }, NULL, tag), KL_ARG);
    SAME(kl_aead_open(aead, &params, (struct kl_view){ plain, 32 }, tag, NULL), KL_ARG);
    SAME(kl_aead_start(aead, &params), KL_OK);
    SAME(kl_aead_update(aead, (struct kl_view){ plain, 32 }, NULL), KL_ARG);
    kl_aead_free(aead);
}

static void more_than_gcm_allows_under_one_iv_is_refused_before_it_is_read(void)
{
    uint8_t out[16], tag[16] = { 0 };
    struct kl_aead_params params;
    struct kl_aead *aead = begin(&kinds[2], &params);
    const uint8_t *far = nowhere();

    SAME(kl_aead_seal(aead, &params, (struct kl_view){ far, KL_GCM_DATA_MAX + 1 }, out, tag), KL_DATA_LENGTH);
    SAME(kl_aead_open(aead, &params, (struct kl_view){ far, KL_GCM_DATA_MAX + 1 }, tag, out), KL_DATA_LENGTH);
    SAME(kl_aead_start(aead, &params), KL_OK);
    SAME(kl_aead_update(aead, (struct kl_view){ far, KL_GCM_DATA_MAX + 1 }, out), KL_DATA_LENGTH);
    SAME(kl_aead_finish(aead, tag, 16), KL_ARG);
    kl_aead_free(aead);
}

static void parts_without_a_beginning_are_refused(void)
{
    uint8_t out[32], tag[16];
    struct kl_aead_params params;

    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct kl_aead *aead = begin(&kinds[k], &params);
        struct kl_view in = { plain, 32 };

        SAME(kl_aead_update(aead, in, out), KL_ARG);
        SAME(kl_aead_update(aead, (struct kl_view){ NULL, 0 }, NULL), KL_ARG);
        SAME(kl_aead_finish(aead, tag, 16), KL_ARG);
        SAME(kl_aead_start(aead, &params), KL_OK);
        SAME(kl_aead_finish(aead, tag, 16), KL_OK);
        SAME(kl_aead_update(aead, in, out), KL_ARG);
        SAME(kl_aead_finish(aead, tag, 16), KL_ARG);
        kl_aead_free(aead);
    }
}

static void a_whole_operation_in_between_ends_what_was_begun(void)
{
    uint8_t out[32], tag[16];
    struct kl_aead_params params;
    struct kl_aead *aead = begin(&kinds[2], &params);
    struct kl_view in = { plain, 32 };

    SAME(kl_aead_start(aead, &params), KL_OK);
    SAME(kl_aead_update(aead, in, out), KL_OK);
    SAME(kl_aead_seal(aead, &params, in, out, tag), KL_OK);
    SAME(kl_aead_update(aead, in, out), KL_ARG);
    SAME(kl_aead_start(aead, &params), KL_OK);
    SAME(kl_aead_open(aead, &params, (struct kl_view){ out, 32 }, tag, out), KL_OK);
    SAME(kl_aead_finish(aead, tag, 16), KL_ARG);
    kl_aead_free(aead);
}

static void a_tag_of_a_wrong_length_ends_what_was_begun(void)
{
    uint8_t out[32], tag[20];
    struct kl_aead_params params;
    struct kl_aead *aead = begin(&kinds[3], &params);

    SAME(kl_aead_start(aead, &params), KL_OK);
    SAME(kl_aead_update(aead, (struct kl_view){ plain, 32 }, out), KL_OK);
    SAME(kl_aead_finish(aead, tag, 12), KL_PARAMETER);
    SAME(kl_aead_finish(aead, tag, 16), KL_ARG);
    kl_aead_free(aead);
}

UNIT_MAIN("crypto/aead", UNIT(wycheproof_agrees_on_aes_gcm), UNIT(wycheproof_agrees_on_chacha20_poly1305),
          UNIT(every_length_is_what_openssl_makes_of_it_and_opens_again),
          UNIT(every_iv_length_from_1_to_128_in_any_order_is_what_openssl_makes_of_it), UNIT(a_short_tag_is_the_beginning_of_a_long_one),
          UNIT(any_cut_into_parts_gives_what_one_call_gives), UNIT(bytes_that_lie_askew_and_in_place_are_the_same),
          UNIT(nothing_and_null_are_an_empty_input_and_no_associated_data), UNIT(sealing_and_opening_by_turns_do_not_disturb_each_other),
          UNIT(the_key_handed_in_may_go_away), UNIT(an_engine_has_a_name), UNIT(a_bit_changed_anywhere_is_noticed_and_nothing_is_released),
          UNIT(more_or_fewer_bytes_than_were_sealed_do_not_open), UNIT(another_key_does_not_open_it),
          UNIT(keys_of_other_lengths_are_refused), UNIT(ivs_and_tags_of_other_lengths_are_refused),
          UNIT(what_overlaps_without_being_in_place_is_refused_untouched), UNIT(bytes_without_a_place_are_refused),
          UNIT(more_than_gcm_allows_under_one_iv_is_refused_before_it_is_read), UNIT(parts_without_a_beginning_are_refused),
          UNIT(a_whole_operation_in_between_ends_what_was_begun), UNIT(a_tag_of_a_wrong_length_ends_what_was_begun))
