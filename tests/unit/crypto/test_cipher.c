/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "crypto/cipher.h"

#include "crypto/lib.h"
#include "failing_evp.h"

#define ROOM 112
#define GUARD 0x5A

static const size_t key_lens[] = { 16, 24, 32 };
static uint8_t key[32], iv[16], plain[ROOM];

static void prepare(void)
{
    scatter(key, sizeof key);
    scatter(iv, sizeof iv);
    scatter(plain, sizeof plain);
}

static struct kl_view iv_of(enum kl_cipher_mode mode)
{
    return (struct kl_view){ iv, mode == KL_CIPHER_ECB ? 0 : 16 };
}

static struct kl_cipher *made(enum kl_cipher_mode mode, size_t key_len, bool encrypts)
{
    struct kl_cipher *cipher = NULL;

    SAME(kl_cipher_new(mode, (struct kl_view){ key, key_len }, encrypts, &cipher), KL_OK);
    return cipher;
}

/* A message in parts of `step` bytes. */
static enum kl_rc run(struct kl_cipher *cipher, struct kl_view start, struct kl_view in, size_t step, uint8_t *out)
{
    KL_TRY(kl_cipher_start(cipher, start));
    while (in.len > 0) {
        size_t len = in.len < step ? in.len : step;

        KL_TRY(kl_cipher_update(cipher, (struct kl_view){ in.data, len }, out));
        in = (struct kl_view){ in.data + len, in.len - len };
        out += len;
    }
    return KL_OK;
}

/* ---- tests: what is right ---- */

/* SP 800-38A appendix F: the first two blocks of each example. */
static const struct {
    enum kl_cipher_mode mode;
    const char *key, *iv, *out;
} answers[] = {
    { KL_CIPHER_ECB, "2b7e151628aed2a6abf7158809cf4f3c", "", "3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf" },
    { KL_CIPHER_ECB, "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", "",
      "bd334f1d6e45f25ff712a214571fa5cc974104846d0ad3ad7734ecb3ecee4eef" },
    { KL_CIPHER_ECB, "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", "",
      "f3eed1bdb5d2a03c064b5a7e3db181f8591ccb10d410ed26dc5ba74a31362870" },
    { KL_CIPHER_CBC, "2b7e151628aed2a6abf7158809cf4f3c", "000102030405060708090a0b0c0d0e0f",
      "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2" },
    { KL_CIPHER_CBC, "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", "000102030405060708090a0b0c0d0e0f",
      "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a" },
    { KL_CIPHER_CBC, "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", "000102030405060708090a0b0c0d0e0f",
      "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d" },
    { KL_CIPHER_CTR, "2b7e151628aed2a6abf7158809cf4f3c", "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
      "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff" },
    { KL_CIPHER_CTR, "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
      "1abc932417521ca24f2b0459fe7e6e0b090339ec0aa6faefd5ccc2c6f4ce8e94" },
    { KL_CIPHER_CTR, "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
      "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5" },
};

static void nist_s_examples_come_out_both_ways(void)
{
    uint8_t text[32], ought[32], out[32];

    from_hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51", text, 32);
    for (size_t i = 0; i < COUNT(answers); i++) {
        size_t key_len = from_hex(answers[i].key, key, 32);
        struct kl_view start = { iv, from_hex(answers[i].iv, iv, 16) };
        struct kl_cipher *encrypt = made(answers[i].mode, key_len, true);
        struct kl_cipher *decrypt = made(answers[i].mode, key_len, false);

        from_hex(answers[i].out, ought, 32);
        SAME(run(encrypt, start, (struct kl_view){ text, 32 }, 32, out), KL_OK);
        CU_ASSERT(memcmp(out, ought, 32) == 0);
        SAME(run(decrypt, start, (struct kl_view){ ought, 32 }, 32, out), KL_OK);
        CU_ASSERT(memcmp(out, text, 32) == 0);
        kl_cipher_free(encrypt);
        kl_cipher_free(decrypt);
    }
}

/* Whole, in parts of every size, in place; there and back. */
static void every_way(enum kl_cipher_mode mode, struct kl_cipher *encrypt, struct kl_cipher *decrypt, size_t len)
{
    size_t unit = mode == KL_CIPHER_CTR ? 1 : KL_AES_BLOCK;
    uint8_t whole[ROOM + 1], out[ROOM + 1];

    whole[len] = out[len] = GUARD;
    SAME(run(encrypt, iv_of(mode), (struct kl_view){ plain, len }, ROOM, whole), KL_OK);
    for (size_t step = unit; step <= len; step += unit) {
        SAME(run(encrypt, iv_of(mode), (struct kl_view){ plain, len }, step, out), KL_OK);
        CU_ASSERT(memcmp(out, whole, len) == 0);
        SAME(run(decrypt, iv_of(mode), (struct kl_view){ out, len }, step, out), KL_OK);
        CU_ASSERT(memcmp(out, plain, len) == 0);
        SAME(run(encrypt, iv_of(mode), (struct kl_view){ out, len }, step, out), KL_OK);
        CU_ASSERT(memcmp(out, whole, len) == 0);
    }
    SAME(whole[len] & out[len], GUARD);
}

static void any_cut_into_parts_and_in_place_gives_what_one_call_gives(void)
{
    prepare();
    for (enum kl_cipher_mode mode = KL_CIPHER_ECB; mode < KL_CIPHER_MODES; mode++) {
        for (size_t k = 0; k < COUNT(key_lens); k++) {
            struct kl_cipher *encrypt = made(mode, key_lens[k], true);
            struct kl_cipher *decrypt = made(mode, key_lens[k], false);

            for (size_t len = 0; len <= 48; len += mode == KL_CIPHER_CTR ? 1 : KL_AES_BLOCK) every_way(mode, encrypt, decrypt, len);
            kl_cipher_free(encrypt);
            kl_cipher_free(decrypt);
        }
    }
}

static void uneven_parts_of_a_counter_stream_meet(void)
{
    static const size_t cuts[] = { 3, 13, 0, 1, 31, 16, 17, 5 };
    uint8_t whole[ROOM], out[ROOM];
    struct kl_cipher *cipher;
    size_t at = 0;

    prepare();
    cipher = made(KL_CIPHER_CTR, 32, true);
    SAME(run(cipher, iv_of(KL_CIPHER_CTR), (struct kl_view){ plain, ROOM }, ROOM, whole), KL_OK);
    SAME(kl_cipher_start(cipher, iv_of(KL_CIPHER_CTR)), KL_OK);
    for (size_t i = 0; i < COUNT(cuts); at += cuts[i++])
        SAME(kl_cipher_update(cipher, (struct kl_view){ plain + at, cuts[i] }, out + at), KL_OK);
    CU_ASSERT(memcmp(out, whole, at) == 0);
    kl_cipher_free(cipher);
}

static void the_counter_is_the_whole_block_and_wraps(void)
{
    uint8_t out[32], zero[32] = { 0 }, ought[16];
    struct kl_cipher *counter;
    struct kl_cipher *single;

    prepare();
    memset(iv, 0xFF, 16);
    counter = made(KL_CIPHER_CTR, 16, true);
    single = made(KL_CIPHER_ECB, 16, true);
    SAME(run(counter, iv_of(KL_CIPHER_CTR), (struct kl_view){ zero, 32 }, 32, out), KL_OK);
    SAME(run(single, (struct kl_view){ 0 }, (struct kl_view){ zero, 16 }, 16, ought), KL_OK);
    CU_ASSERT(memcmp(out + 16, ought, 16) == 0);
    kl_cipher_free(counter);
    kl_cipher_free(single);
}

static void a_message_begun_in_the_middle_of_another_is_whole(void)
{
    uint8_t whole[ROOM], out[ROOM];

    prepare();
    for (enum kl_cipher_mode mode = KL_CIPHER_ECB; mode < KL_CIPHER_MODES; mode++) {
        struct kl_cipher *cipher = made(mode, 32, true);

        SAME(run(cipher, iv_of(mode), (struct kl_view){ plain, 48 }, 48, whole), KL_OK);
        SAME(run(cipher, iv_of(mode), (struct kl_view){ plain + 16, mode == KL_CIPHER_CTR ? 21 : 32 }, 48, out), KL_OK);
        SAME(run(cipher, iv_of(mode), (struct kl_view){ plain, 48 }, 48, out), KL_OK);
        CU_ASSERT(memcmp(out, whole, 48) == 0);
        kl_cipher_free(cipher);
    }
}

static void the_key_is_expanded_once_and_nothing_is_fetched_again(void)
{
    uint8_t out[48];
    struct kl_cipher *first;
    struct kl_cipher *cipher;
    unsigned before;

    prepare();
    first = made(KL_CIPHER_CBC, 32, true);
    before = loaded;
    cipher = made(KL_CIPHER_CBC, 32, true);
    SAME(live, 4);
    for (int i = 0; i < 50; i++) SAME(run(cipher, iv_of(KL_CIPHER_CBC), (struct kl_view){ plain, 48 }, 16, out), KL_OK);
    SAME(live, 4);
    SAME(loaded, before);
    kl_cipher_free(first);
    kl_cipher_free(cipher);
    SAME(live, 0);
}

static void more_than_an_int_can_count_goes_in_pieces(void)
{
    const size_t len = ((size_t)3 << 30) + 16;
    struct kl_cipher *cipher;

    prepare();
    cipher = made(KL_CIPHER_CTR, 32, true);
    SAME(kl_cipher_start(cipher, iv_of(KL_CIPHER_CTR)), KL_OK);
    pretends = true;
    longest = updates = 0;
    SAME(kl_cipher_update(cipher, (struct kl_view){ nowhere(), len }, nowhere()), KL_OK);
    SAME(updates, 4);
    CU_ASSERT(longest <= 1 << 30);
    pretends = false;
    kl_cipher_free(cipher);
}

/* ---- tests: what is wrong ---- */

static void a_key_of_another_length_is_refused(void)
{
    static const size_t lens[] = { 0, 1, 8, 15, 17, 20, 23, 25, 31, 33, 64 };
    uint8_t long_key[64] = { 0 };

    for (enum kl_cipher_mode mode = KL_CIPHER_ECB; mode < KL_CIPHER_MODES; mode++) {
        for (size_t i = 0; i < COUNT(lens); i++) {
            struct kl_cipher *cipher = NULL;

            SAME(kl_cipher_new(mode, (struct kl_view){ long_key, lens[i] }, true, &cipher), KL_KEY_SIZE);
            CU_ASSERT_PTR_NULL(cipher);
        }
    }
    kl_cipher_free(NULL);
}

static void an_iv_of_another_length_is_refused_and_begins_nothing(void)
{
    uint8_t long_iv[17] = { 0 }, out[16];

    prepare();
    for (enum kl_cipher_mode mode = KL_CIPHER_ECB; mode < KL_CIPHER_MODES; mode++) {
        struct kl_cipher *cipher = made(mode, 16, true);

        for (size_t len = 0; len <= 17; len++) {
            if (len == iv_of(mode).len) continue;
            SAME(kl_cipher_start(cipher, iv_of(mode)), KL_OK);
            SAME(kl_cipher_start(cipher, (struct kl_view){ long_iv, len }), KL_PARAMETER);
            SAME(kl_cipher_update(cipher, (struct kl_view){ plain, 16 }, out), KL_ARG);
        }
        kl_cipher_free(cipher);
    }
}

static void a_part_of_a_block_is_refused_and_ends_the_message(void)
{
    uint8_t out[ROOM];

    prepare();
    for (enum kl_cipher_mode mode = KL_CIPHER_ECB; mode <= KL_CIPHER_CBC; mode++) {
        struct kl_cipher *cipher = made(mode, 16, false);

        for (size_t len = 1; len <= 33; len++) {
            if (len % KL_AES_BLOCK == 0) continue;
            SAME(kl_cipher_start(cipher, iv_of(mode)), KL_OK);
            SAME(kl_cipher_update(cipher, (struct kl_view){ plain, len }, out), KL_DATA_LENGTH);
            SAME(kl_cipher_update(cipher, (struct kl_view){ plain, 16 }, out), KL_ARG);
        }
        kl_cipher_free(cipher);
    }
}

static void nothing_is_encrypted_before_a_start(void)
{
    uint8_t out[16];
    struct kl_cipher *cipher;

    prepare();
    cipher = made(KL_CIPHER_CTR, 16, true);
    SAME(kl_cipher_update(cipher, (struct kl_view){ plain, 16 }, out), KL_ARG);
    SAME(kl_cipher_update(cipher, (struct kl_view){ NULL, 0 }, NULL), KL_ARG);
    SAME(kl_cipher_start(cipher, iv_of(KL_CIPHER_CTR)), KL_OK);
    SAME(kl_cipher_update(cipher, (struct kl_view){ NULL, 0 }, NULL), KL_OK);
    SAME(kl_cipher_update(cipher, (struct kl_view){ NULL, 16 }, out), KL_ARG);
    kl_cipher_free(cipher);
}

static void an_output_that_begins_inside_the_input_is_refused(void)
{
    uint8_t room[96] = { 0 };

    prepare();
    for (enum kl_cipher_mode mode = KL_CIPHER_ECB; mode < KL_CIPHER_MODES; mode++) {
        struct kl_cipher *cipher = made(mode, 16, true);

        for (size_t by = 1; by < 32; by++) {
            SAME(kl_cipher_start(cipher, iv_of(mode)), KL_OK);
            SAME(kl_cipher_update(cipher, (struct kl_view){ room, 32 }, room + by), KL_ARG);
            SAME(kl_cipher_start(cipher, iv_of(mode)), KL_OK);
            SAME(kl_cipher_update(cipher, (struct kl_view){ room + by, 32 }, room), KL_ARG);
        }
        SAME(kl_cipher_start(cipher, iv_of(mode)), KL_OK);
        SAME(kl_cipher_update(cipher, (struct kl_view){ room, 32 }, room + 32), KL_OK);
        kl_cipher_free(cipher);
    }
    CU_ASSERT(!is_zero(room + 32, 32) && is_zero(room, 32) && is_zero(room + 64, 32));
}

/* ---- tests: what fails ---- */

static enum kl_cipher_mode mode_now;
static uint8_t right[48];

static enum kl_rc whole_message(void)
{
    struct kl_cipher *cipher = NULL;
    struct kl_view in = { plain, 48 };
    uint8_t out[48];
    enum kl_rc rc = kl_cipher_new(mode_now, (struct kl_view){ key, 32 }, true, &cipher);

    if (rc != KL_OK) {
        CU_ASSERT_PTR_NULL(cipher);
        return rc;
    }
    rc = kl_cipher_start(cipher, iv_of(mode_now));
    memset(out, GUARD, 48);
    if (rc == KL_OK) {
        rc = kl_cipher_update(cipher, in, out);
        CU_ASSERT(rc == KL_OK || is_zero(out, 48));
    }
    if (rc != KL_OK) {
        SAME(kl_cipher_update(cipher, in, out), KL_ARG);
        SAME(run(cipher, iv_of(mode_now), in, 16, out), KL_OK);
    }
    CU_ASSERT(memcmp(out, right, 48) == 0);
    kl_cipher_free(cipher);
    return rc;
}

static void a_message_of_which_any_call_fails_ends_and_works_again(void)
{
    for (mode_now = KL_CIPHER_ECB; mode_now < KL_CIPHER_MODES; mode_now++) {
        struct kl_cipher *cipher;

        prepare();
        cipher = made(mode_now, 32, true);
        SAME(run(cipher, iv_of(mode_now), (struct kl_view){ plain, 48 }, 48, right), KL_OK);
        kl_cipher_free(cipher);
        each_call_fails_in_turn(whole_message, 6);
    }
}

static bool fetches_fail(void)
{
    bool good = kl_crypto_open() == KL_OK;

    for (enum kl_cipher_mode mode = KL_CIPHER_ECB; mode < KL_CIPHER_MODES; mode++) {
        for (size_t k = 0; k < COUNT(key_lens); k++) {
            struct kl_view view = { key, key_lens[k] };
            struct kl_cipher *cipher = NULL;

            errors_push();
            loaded = 0;
            fail_the(1);
            good = good && kl_cipher_new(mode, view, true, &cipher) == KL_CRYPTO && cipher == NULL && loaded == 1;
            fail_the(0);
            good = good && kl_cipher_new(mode, view, true, &cipher) == KL_OK && loaded == 2 && errors_are_as_found();
            kl_cipher_free(cipher);
        }
    }
    return good && live == 0;
}

static void a_fetch_that_fails_is_tried_again(void)
{
    CU_ASSERT(in_child(fetches_fail));
}

/* The first wants a process in which no AES has been fetched yet. */
UNIT_MAIN("crypto/cipher", UNIT(a_fetch_that_fails_is_tried_again), UNIT(nist_s_examples_come_out_both_ways),
          UNIT(any_cut_into_parts_and_in_place_gives_what_one_call_gives), UNIT(uneven_parts_of_a_counter_stream_meet),
          UNIT(the_counter_is_the_whole_block_and_wraps), UNIT(a_message_begun_in_the_middle_of_another_is_whole),
          UNIT(the_key_is_expanded_once_and_nothing_is_fetched_again), UNIT(more_than_an_int_can_count_goes_in_pieces),
          UNIT(a_key_of_another_length_is_refused), UNIT(an_iv_of_another_length_is_refused_and_begins_nothing),
          UNIT(a_part_of_a_block_is_refused_and_ends_the_message), UNIT(nothing_is_encrypted_before_a_start),
          UNIT(an_output_that_begins_inside_the_input_is_refused), UNIT(a_message_of_which_any_call_fails_ends_and_works_again))
