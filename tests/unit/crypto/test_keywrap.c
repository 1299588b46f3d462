/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "crypto/keywrap.h"

#include "failing_evp.h"
#include "vectors.h"

#define ROOM 80
#define GUARD 0x5A

static const size_t key_lens[] = { 16, 24, 32 };
static uint8_t kek[32], iv[8], plain[ROOM];

static void prepare(void)
{
    scatter(kek, sizeof kek);
    scatter(iv, sizeof iv);
    scatter(plain, sizeof plain);
}

static struct kl_view iv_of(enum kl_keywrap format)
{
    return (struct kl_view){ iv, format == KL_KEYWRAP_KW ? 8 : 4 };
}

static enum kl_rc seal(enum kl_keywrap format, struct kl_view start, struct kl_view in, uint8_t *out)
{
    return kl_keywrap_seal(format, (struct kl_view){ kek, 32 }, start, in, out);
}

static enum kl_rc open(enum kl_keywrap format, struct kl_view start, struct kl_view in, struct kl_secret *out)
{
    return kl_keywrap_open(format, (struct kl_view){ kek, 32 }, start, in, out);
}

static bool opens_to(enum kl_keywrap format, struct kl_view start, struct kl_view in, struct kl_view ought)
{
    KL_AUTO(kl_secret) out = { 0 };

    return open(format, start, in, &out) == KL_OK && kl_view_is(kl_secret_view(&out), ought);
}

static enum kl_rc opened(enum kl_keywrap format, struct kl_view start, struct kl_view in)
{
    KL_AUTO(kl_secret) out = { 0 };
    enum kl_rc rc = open(format, start, in, &out);

    CU_ASSERT(rc == KL_OK || (out.data == NULL && out.len == 0));
    return rc;
}

/* ---- tests: what is right ---- */

/* RFC 3394 section 4, RFC 5649 section 6, and NIST's first wrapping of one byte. */
static const struct {
    enum kl_keywrap format;
    const char *kek, *in, *out;
} answers[] = {
    { KL_KEYWRAP_KW, "000102030405060708090a0b0c0d0e0f", "00112233445566778899aabbccddeeff",
      "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5" },
    { KL_KEYWRAP_KW, "000102030405060708090a0b0c0d0e0f1011121314151617", "00112233445566778899aabbccddeeff",
      "96778b25ae6ca435f92b5b97c050aed2468ab8a17ad84e5d" },
    { KL_KEYWRAP_KW, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
      "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f",
      "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21" },
    { KL_KEYWRAP_KWP, "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8", "c37b7e6492584340bed12207808941155068f738",
      "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a" },
    { KL_KEYWRAP_KWP, "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8", "466f7250617369", "afbeb0f07dfbf5419200f2ccb50bb24f" },
    { KL_KEYWRAP_KWP, "95da2700ca6fd9a52554ee2a8df1386f5b94a1a60ed8a4aef60a8d61ab5f225a", "d1", "06ba7ae6f3248cfdcf267507fa001bc4" },
};

static void the_standards_examples_come_out_both_ways(void)
{
    for (size_t i = 0; i < COUNT(answers); i++) {
        struct kl_view key = { kek, from_hex(answers[i].kek, kek, sizeof kek) };
        struct kl_view in = { plain, from_hex(answers[i].in, plain, sizeof plain) };
        uint8_t out[ROOM], ought[ROOM];
        size_t len = from_hex(answers[i].out, ought, sizeof ought);
        KL_AUTO(kl_secret) back = { 0 };

        SAME(kl_keywrap_len(answers[i].format, in.len), len);
        SAME(kl_keywrap_seal(answers[i].format, key, (struct kl_view){ 0 }, in, out), KL_OK);
        CU_ASSERT(memcmp(out, ought, len) == 0);
        SAME(kl_keywrap_open(answers[i].format, key, (struct kl_view){ 0 }, (struct kl_view){ ought, len }, &back), KL_OK);
        CU_ASSERT(kl_view_is(kl_secret_view(&back), in));
    }
}

/* What SP 800-38F does not take, Wycheproof calls acceptable or invalid. */
static bool vector(enum kl_keywrap format, const json_t *test)
{
    struct kl_view key = vector_bytes(test, "key", 0);
    struct kl_view msg = vector_bytes(test, "msg", 1);
    struct kl_view ct = vector_bytes(test, "ct", 2);
    bool is_valid = vector_is_valid(test) && kl_keywrap_len(format, msg.len) > 0;
    uint8_t out[FIELD_MAX];
    KL_AUTO(kl_secret) back = { 0 };
    enum kl_rc rc = kl_keywrap_open(format, key, (struct kl_view){ 0 }, ct, &back);

    if (!is_valid) return rc == KL_WRAPPED || rc == KL_WRAPPED_LENGTH;
    return rc == KL_OK && kl_view_is(kl_secret_view(&back), msg) &&
           kl_keywrap_seal(format, key, (struct kl_view){ 0 }, msg, out) == KL_OK && kl_keywrap_len(format, msg.len) == ct.len &&
           memcmp(out, ct.data, ct.len) == 0;
}

static bool kw_vector(const json_t *group, const json_t *test)
{
    (void)group;
    return vector(KL_KEYWRAP_KW, test);
}

static bool kwp_vector(const json_t *group, const json_t *test)
{
    (void)group;
    return vector(KL_KEYWRAP_KWP, test);
}

static void wycheproof_agrees_on_both_formats(void)
{
    vectors_run("aes_wrap_test.json", kw_vector);
    vectors_run("aes_kwp_test.json", kwp_vector);
}

static void every_length_opens_again_with_either_iv(void)
{
    for (enum kl_keywrap format = KL_KEYWRAP_KW; format <= KL_KEYWRAP_KWP; format++) {
        struct kl_view none = { 0 };

        prepare();
        for (size_t len = 1; len <= 64; len++) {
            struct kl_view in = { plain, len };
            size_t sealed = kl_keywrap_len(format, len);
            uint8_t out[ROOM], other[ROOM];

            SAME(sealed > 0, format == KL_KEYWRAP_KWP || (len % 8 == 0 && len >= 16));
            if (sealed == 0) continue;
            out[sealed] = other[sealed] = GUARD;
            SAME(seal(format, none, in, out), KL_OK);
            SAME(seal(format, iv_of(format), in, other), KL_OK);
            CU_ASSERT(memcmp(out, other, sealed) != 0);
            CU_ASSERT(opens_to(format, none, (struct kl_view){ out, sealed }, in));
            CU_ASSERT(opens_to(format, iv_of(format), (struct kl_view){ other, sealed }, in));
            SAME(opened(format, none, (struct kl_view){ other, sealed }), KL_WRAPPED);
            SAME(opened(format, iv_of(format), (struct kl_view){ out, sealed }), KL_WRAPPED);
            SAME(out[sealed] & other[sealed], GUARD);
        }
    }
}

static void the_standard_s_iv_may_be_given_too(void)
{
    static const uint8_t kw[8] = { 0xA6, 0xA6, 0xA6, 0xA6, 0xA6, 0xA6, 0xA6, 0xA6 }, kwp[4] = { 0xA6, 0x59, 0x59, 0xA6 };
    uint8_t out[24], other[24];

    prepare();
    SAME(seal(KL_KEYWRAP_KW, (struct kl_view){ 0 }, (struct kl_view){ plain, 16 }, out), KL_OK);
    SAME(seal(KL_KEYWRAP_KW, (struct kl_view){ kw, 8 }, (struct kl_view){ plain, 16 }, other), KL_OK);
    CU_ASSERT(memcmp(out, other, 24) == 0);
    SAME(seal(KL_KEYWRAP_KWP, (struct kl_view){ 0 }, (struct kl_view){ plain, 13 }, out), KL_OK);
    SAME(seal(KL_KEYWRAP_KWP, (struct kl_view){ kwp, 4 }, (struct kl_view){ plain, 13 }, other), KL_OK);
    CU_ASSERT(memcmp(out, other, 24) == 0);
}

static void the_longest_goes_through_and_one_more_is_refused(void)
{
    static uint8_t in[KL_KEYWRAP_MAX + 16], out[KL_KEYWRAP_MAX + 24];

    prepare();
    for (enum kl_keywrap format = KL_KEYWRAP_KW; format <= KL_KEYWRAP_KWP; format++) {
        struct kl_view none = { 0 };

        SAME(kl_keywrap_len(format, KL_KEYWRAP_MAX), KL_KEYWRAP_MAX + 8);
        SAME(seal(format, none, (struct kl_view){ in, KL_KEYWRAP_MAX }, out), KL_OK);
        CU_ASSERT(opens_to(format, none, (struct kl_view){ out, KL_KEYWRAP_MAX + 8 }, (struct kl_view){ in, KL_KEYWRAP_MAX }));
        SAME(kl_keywrap_len(format, KL_KEYWRAP_MAX + 1), 0);
        SAME(kl_keywrap_len(format, KL_KEYWRAP_MAX + 8), 0);
        SAME(kl_keywrap_len(format, SIZE_MAX), 0);
        SAME(kl_keywrap_len(format, SIZE_MAX - 7), 0);
        SAME(seal(format, none, (struct kl_view){ in, KL_KEYWRAP_MAX + 8 }, out), KL_DATA_LENGTH);
        SAME(opened(format, none, (struct kl_view){ out, KL_KEYWRAP_MAX + 16 }), KL_WRAPPED_LENGTH);
        SAME(opened(format, none, (struct kl_view){ nowhere(), SIZE_MAX - 7 }), KL_WRAPPED_LENGTH);
    }
}

/* ---- tests: what is wrong ---- */

static void a_length_that_the_format_does_not_take_is_refused(void)
{
    uint8_t out[ROOM] = { GUARD };

    prepare();
    for (size_t len = 0; len <= 40; len++) {
        if (len % 8 == 0 && len >= 16) continue;
        SAME(seal(KL_KEYWRAP_KW, (struct kl_view){ 0 }, (struct kl_view){ plain, len }, out), KL_DATA_LENGTH);
    }
    SAME(seal(KL_KEYWRAP_KWP, (struct kl_view){ 0 }, (struct kl_view){ NULL, 0 }, out), KL_DATA_LENGTH);
    SAME(out[0], GUARD);
}

static void a_length_that_no_wrapping_has_is_told_apart(void)
{
    prepare();
    for (size_t len = 0; len <= 48; len++) {
        enum kl_rc padded = len % 8 == 0 && len >= 16 ? KL_WRAPPED : KL_WRAPPED_LENGTH;
        enum kl_rc exact = len % 8 == 0 && len >= 24 ? KL_WRAPPED : KL_WRAPPED_LENGTH;

        SAME(opened(KL_KEYWRAP_KWP, (struct kl_view){ 0 }, (struct kl_view){ plain, len }), padded);
        SAME(opened(KL_KEYWRAP_KW, (struct kl_view){ 0 }, (struct kl_view){ plain, len }), exact);
    }
}

/* Wycheproof has the tag of 8 bytes under KW, which OpenSSL and SP 800-38F refuse. */
static void eight_bytes_are_too_few_for_kw(void)
{
    uint8_t wrapped[16], out[16];

    from_hex("574957151fc2afe0fa3dc7a9a7da6495", kek, 16);
    from_hex("6f0b501f1f2f59e3ae605aa679ce43a6", wrapped, 16);
    SAME(kl_keywrap_len(KL_KEYWRAP_KW, 8), 0);
    SAME(opened(KL_KEYWRAP_KW, (struct kl_view){ 0 }, (struct kl_view){ wrapped, 16 }), KL_WRAPPED_LENGTH);
    SAME(seal(KL_KEYWRAP_KW, (struct kl_view){ 0 }, (struct kl_view){ plain, 8 }, out), KL_DATA_LENGTH);
}

static void one_changed_bit_or_the_other_format_or_key_does_not_unwrap(void)
{
    prepare();
    for (enum kl_keywrap format = KL_KEYWRAP_KW; format <= KL_KEYWRAP_KWP; format++) {
        struct kl_view wrapped = { NULL, 32 };
        uint8_t out[32];

        wrapped.data = out;
        SAME(seal(format, (struct kl_view){ 0 }, (struct kl_view){ plain, 24 }, out), KL_OK);
        for (size_t bit = 0; bit < 256; bit++) {
            out[bit / 8] ^= (uint8_t)(1U << bit % 8);
            SAME(opened(format, (struct kl_view){ 0 }, wrapped), KL_WRAPPED);
            out[bit / 8] ^= (uint8_t)(1U << bit % 8);
        }
        SAME(opened(KL_KEYWRAP_KW + KL_KEYWRAP_KWP - format, (struct kl_view){ 0 }, wrapped), KL_WRAPPED);
        kek[31] ^= 1;
        SAME(opened(format, (struct kl_view){ 0 }, wrapped), KL_WRAPPED);
        kek[31] ^= 1;
        SAME(opened(format, (struct kl_view){ 0 }, wrapped), KL_OK);
    }
}

static void keys_and_ivs_of_another_length_are_refused(void)
{
    uint8_t key[40] = { 0 }, out[32] = { 0 };

    for (enum kl_keywrap format = KL_KEYWRAP_KW; format <= KL_KEYWRAP_KWP; format++) {
        for (size_t len = 0; len <= 40; len++) {
            bool is_key = len == 16 || len == 24 || len == 32;
            bool is_iv = len == 0 || len == iv_of(format).len;
            struct kl_view any = { key, len }, good = { key, 32 }, in = { plain, 16 }, none = { 0 };
            KL_AUTO(kl_secret) back = { 0 };

            SAME(kl_keywrap_seal(format, any, none, in, out), is_key ? KL_OK : KL_KEY_SIZE);
            SAME(kl_keywrap_seal(format, good, any, in, out), is_iv ? KL_OK : KL_PARAMETER);
            SAME(kl_keywrap_open(format, any, none, (struct kl_view){ plain, 24 }, &back), is_key ? KL_WRAPPED : KL_KEY_SIZE);
            SAME(kl_keywrap_open(format, good, any, (struct kl_view){ plain, 24 }, &back), is_iv ? KL_WRAPPED : KL_PARAMETER);
        }
    }
}

static void a_wrapping_that_does_not_open_leaves_the_hosts_errors_as_found(void)
{
    prepare();
    errors_push();
    SAME(opened(KL_KEYWRAP_KW, (struct kl_view){ 0 }, (struct kl_view){ plain, 24 }), KL_WRAPPED);
    SAME(opened(KL_KEYWRAP_KWP, (struct kl_view){ 0 }, (struct kl_view){ plain, 16 }), KL_WRAPPED);
    SAME(opened(KL_KEYWRAP_KWP, (struct kl_view){ 0 }, (struct kl_view){ plain, 64 }), KL_WRAPPED);
    CU_ASSERT(errors_are_as_found());
    SAME(live, 0);
}

/* ---- tests: what fails ---- */

static enum kl_keywrap format_now;
static size_t key_len_now;
static uint8_t right[32];

static enum kl_rc whole_seal(void)
{
    uint8_t out[32];
    enum kl_rc rc;

    memset(out, GUARD, 32);
    rc = kl_keywrap_seal(format_now, (struct kl_view){ kek, key_len_now }, (struct kl_view){ 0 }, (struct kl_view){ plain, 24 }, out);
    if (rc == KL_OK) CU_ASSERT(memcmp(out, right, 32) == 0);
    if (rc != KL_OK) CU_ASSERT(is_zero(out, 32) || (out[0] == GUARD && memcmp(out, out + 1, 31) == 0));
    return rc;
}

static enum kl_rc whole_open(void)
{
    KL_AUTO(kl_secret) back = { 0 };
    enum kl_rc rc =
        kl_keywrap_open(format_now, (struct kl_view){ kek, key_len_now }, (struct kl_view){ 0 }, (struct kl_view){ right, 32 }, &back);

    CU_ASSERT(rc == KL_OK ? kl_view_is(kl_secret_view(&back), (struct kl_view){ plain, 24 }) : back.data == NULL);
    return rc;
}

static void any_call_that_fails_leaves_nothing(void)
{
    for (format_now = KL_KEYWRAP_KW; format_now <= KL_KEYWRAP_KWP; format_now++) {
        for (size_t k = 0; k < COUNT(key_lens); k++) {
            struct kl_view view = { kek, key_lens[k] };

            prepare();
            key_len_now = key_lens[k];
            SAME(kl_keywrap_seal(format_now, view, (struct kl_view){ 0 }, (struct kl_view){ plain, 24 }, right), KL_OK);
            each_call_fails_in_turn(whole_seal, 3);
        }
    }
}

/* What fails in unwrapping itself is KL_WRAPPED, so it is not among those that fail in turn. */
static void an_unwrapping_that_cannot_begin_says_why(void)
{
    static const struct {
        int call;
        enum kl_rc rc;
    } cases[] = { { 1, KL_MEMORY }, { 2, KL_CRYPTO }, { 3, KL_WRAPPED }, { 0, KL_OK } };

    prepare();
    format_now = KL_KEYWRAP_KWP;
    key_len_now = 16;
    SAME(kl_keywrap_seal(format_now, (struct kl_view){ kek, 16 }, (struct kl_view){ 0 }, (struct kl_view){ plain, 24 }, right), KL_OK);
    for (size_t i = 0; i < COUNT(cases); i++) {
        errors_push();
        fail_the(cases[i].call);
        SAME(whole_open(), cases[i].rc);
        fail_the(0);
        CU_ASSERT(errors_are_as_found());
        SAME(live, 0);
    }
}

UNIT_MAIN("crypto/keywrap", UNIT(the_standards_examples_come_out_both_ways), UNIT(wycheproof_agrees_on_both_formats),
          UNIT(every_length_opens_again_with_either_iv), UNIT(the_standard_s_iv_may_be_given_too),
          UNIT(the_longest_goes_through_and_one_more_is_refused), UNIT(a_length_that_the_format_does_not_take_is_refused),
          UNIT(a_length_that_no_wrapping_has_is_told_apart), UNIT(eight_bytes_are_too_few_for_kw),
          UNIT(one_changed_bit_or_the_other_format_or_key_does_not_unwrap), UNIT(keys_and_ivs_of_another_length_are_refused),
          UNIT(a_wrapping_that_does_not_open_leaves_the_hosts_errors_as_found), UNIT(any_call_that_fails_leaves_nothing),
          UNIT(an_unwrapping_that_cannot_begin_says_why))
