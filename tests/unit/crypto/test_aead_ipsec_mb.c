/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The fast engines against `openssl`: the same bytes, each opens what the other sealed, and their assembler touches nothing
 * but what it was given. Where they are not to be had, that the others do their work.
 */
#include "crypto/aead.h"

#include <dlfcn.h>
#include <sys/mman.h>

#include "base/secret.h"
#include "support.h"

#define LONGEST ((1 << 20) + 1)
#define EVERY 1100 /* each length up to here, and these beyond */
#define GUARD 0x5A
#define GUARDED 64 /* bytes that must stay as they are behind what is written */

static const size_t longer[] = { 4095, 4096, 4097, 16383, 16384, 16385, 65535, 65536, 65537, LONGEST - 2, LONGEST - 1, LONGEST };

static const struct kind {
    enum kl_aead_algorithm algorithm;
    size_t key_len;
    const struct kl_aead_engine *engine;
    size_t tag_min;
} kinds[] = {
    { KL_AEAD_AES_GCM, 16, &kl_aead_ipsec_mb_gcm, 4 },
    { KL_AEAD_AES_GCM, 24, &kl_aead_ipsec_mb_gcm, 4 },
    { KL_AEAD_AES_GCM, 32, &kl_aead_ipsec_mb_gcm, 4 },
    { KL_AEAD_CHACHA20_POLY1305, 32, &kl_aead_ipsec_mb_chacha, 16 },
};

static uint8_t key[32], iv[12], aad[300], plain[LONGEST + 64], made[LONGEST + GUARDED], other[LONGEST + GUARDED];

/* The same key with both. */
struct pair {
    struct kl_aead *fast, *slow;
};

static struct pair begin(const struct kind *kind, struct kl_aead_params *params)
{
    struct pair pair = { NULL, NULL };
    struct kl_view with = { key, kind->key_len };

    scatter(key, sizeof key);
    scatter(iv, sizeof iv);
    scatter(aad, sizeof aad);
    scatter(plain, sizeof plain);
    *params = (struct kl_aead_params){ .iv = { iv, sizeof iv }, .aad = { aad, 16 }, .tag_len = 16 };
    SAME(kl_aead_new_with(KL_ENGINE_IPSEC_MB, kind->algorithm, with, &pair.fast), KL_OK);
    SAME(kl_aead_new_with(KL_ENGINE_OPENSSL, kind->algorithm, with, &pair.slow), KL_OK);
    return pair;
}

static void end(struct pair pair)
{
    kl_aead_free(pair.fast);
    kl_aead_free(pair.slow);
}

static size_t nth_length(size_t n)
{
    return n <= EVERY ? n : longer[n - EVERY - 1];
}

static bool is_guarded(const uint8_t *end_of_output, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (end_of_output[i] != GUARD) return false;
    return true;
}

static bool seals_alike(struct pair pair, const struct kl_aead_params *params, struct kl_view in)
{
    uint8_t tag[32], tag2[32];

    memset(tag, GUARD, sizeof tag);
    memset(tag2, GUARD, sizeof tag2);
    memset(made, GUARD, in.len + GUARDED);
    if (kl_aead_seal(pair.fast, params, in, made, tag) != KL_OK) return false;
    if (kl_aead_seal(pair.slow, params, in, other, tag2) != KL_OK) return false;
    return memcmp(made, other, in.len) == 0 && memcmp(tag, tag2, sizeof tag) == 0 && is_guarded(made + in.len, GUARDED);
}

/* Sealed by the one, opened by the other, in place. */
static bool opens(struct kl_aead *sealer, struct kl_aead *opener, const struct kl_aead_params *params, struct kl_view in)
{
    uint8_t tag[16];

    memcpy(made, in.data, in.len);
    memset(made + in.len, GUARD, GUARDED);
    if (kl_aead_seal(sealer, params, kl_view_of(made, in.len), made, tag) != KL_OK) return false;
    if (kl_aead_open(opener, params, kl_view_of(made, in.len), tag, made) != KL_OK) return false;
    return memcmp(made, in.data, in.len) == 0 && is_guarded(made + in.len, GUARDED);
}

/* ---- tests: what is right ---- */

static void every_length_is_the_same_and_opens_by_the_other(void)
{
    struct kl_aead_params params;

    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct pair pair = begin(&kinds[k], &params);

        for (size_t n = 0; n <= EVERY + COUNT(longer); n++) {
            struct kl_view in = { plain, nth_length(n) };

            iv[0]++;
            iv[n % 12]++;
            params.aad.len = n % 21;
            CU_ASSERT(seals_alike(pair, &params, in));
            CU_ASSERT(opens(pair.fast, pair.slow, &params, in));
            CU_ASSERT(opens(pair.slow, pair.fast, &params, in));
        }
        end(pair);
    }
}

static void associated_data_of_every_length_is_the_same(void)
{
    static const size_t lengths[] = { 0, 1, 15, 16, 64, 257 };
    struct kl_aead_params params;

    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct pair pair = begin(&kinds[k], &params);

        for (params.aad.len = 0; params.aad.len <= 257; params.aad.len++)
            for (size_t i = 0; i < COUNT(lengths); i++) {
                CU_ASSERT(seals_alike(pair, &params, kl_view_of(plain, lengths[i])));
                CU_ASSERT(opens(pair.slow, pair.fast, &params, kl_view_of(plain, lengths[i])));
            }
        end(pair);
    }
}

static void bytes_that_lie_askew_are_the_same(void)
{
    static const size_t lengths[] = { 1, 16, 63, 64, 65, 300, 1000 };
    struct kl_aead_params params;
    uint8_t tag[16], room[48];

    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct pair pair = begin(&kinds[k], &params);

        for (size_t askew = 0; askew < 64; askew++)
            for (size_t i = 0; i < COUNT(lengths); i++) {
                size_t len = lengths[i];
                struct kl_view in = { plain + askew, len };
                uint8_t *out = made + (askew * 29 + i) % 64;
                uint8_t *their_tag = room + (askew + i) % 32;

                params.aad = kl_view_of(aad + askew % 37, len % 31);
                SAME(kl_aead_seal(pair.slow, &params, in, other, tag), KL_OK);
                SAME(kl_aead_seal(pair.fast, &params, in, out, their_tag), KL_OK);
                CU_ASSERT(memcmp(out, other, len) == 0 && memcmp(their_tag, tag, 16) == 0);
                SAME(kl_aead_open(pair.fast, &params, kl_view_of(out, len), their_tag, out), KL_OK);
                CU_ASSERT(memcmp(out, in.data, len) == 0);
            }
        end(pair);
    }
}

static void every_tag_length_is_the_same_and_no_byte_follows_it(void)
{
    struct kl_aead_params params;

    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct pair pair = begin(&kinds[k], &params);

        for (params.tag_len = kinds[k].tag_min; params.tag_len <= 16; params.tag_len++)
            for (size_t len = 0; len < 100; len += 33) {
                CU_ASSERT(seals_alike(pair, &params, kl_view_of(plain, len)));
                CU_ASSERT(opens(pair.fast, pair.slow, &params, kl_view_of(plain, len)));
                CU_ASSERT(opens(pair.slow, pair.fast, &params, kl_view_of(plain, len)));
            }
        end(pair);
    }
}

static void nothing_and_null_are_an_empty_input_and_no_associated_data(void)
{
    uint8_t tag[16], tag2[16];
    struct kl_aead_params params;

    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct pair pair = begin(&kinds[k], &params);
        struct kl_view nothing = { NULL, 0 };

        params.aad = nothing;
        SAME(kl_aead_seal(pair.fast, &params, nothing, NULL, tag), KL_OK);
        SAME(kl_aead_seal(pair.slow, &params, nothing, NULL, tag2), KL_OK);
        CU_ASSERT(memcmp(tag, tag2, 16) == 0);
        SAME(kl_aead_open(pair.fast, &params, nothing, tag2, NULL), KL_OK);
        tag[15] ^= 1;
        SAME(kl_aead_open(pair.fast, &params, nothing, tag, NULL), KL_CIPHERTEXT);
        SAME(kl_aead_start(pair.fast, &params), KL_OK);
        SAME(kl_aead_update(pair.fast, nothing, NULL), KL_OK);
        SAME(kl_aead_finish(pair.fast, tag, 16), KL_OK);
        CU_ASSERT(memcmp(tag, tag2, 16) == 0);
        end(pair);
    }
}

/* ---- in parts ---- */

/* An engine by itself: it decrypts in parts too. */
struct alone {
    const struct kl_aead_engine *engine;
    void *room;
};

static struct alone alone_begin(const struct kind *kind)
{
    struct alone alone = { kind->engine, kl_arena_new(kind->engine->context_size) };

    CU_ASSERT_PTR_NOT_NULL_FATAL(alone.room);
    SAME(alone.engine->init(alone.room, kind->algorithm, kl_view_of(key, kind->key_len)), KL_OK);
    return alone;
}

static void alone_end(struct alone alone)
{
    alone.engine->clear(alone.room);
    kl_arena_free(alone.room, alone.engine->context_size);
}

/* Pieces of one byte, of about a block, or of some hundred: what a run leaves over is added to by the next in every way. */
static size_t piece(size_t left, int manner)
{
    static const uint32_t most[] = { 1, 15, 16, 17, 64, 300, 1000 };
    size_t take = 1 + number(most[(size_t)manner % COUNT(most)]);

    return take < left ? take : left;
}

static enum kl_rc in_parts(struct alone alone, const struct kl_aead_params *params, bool encrypt, struct kl_view in, uint8_t *out,
                           uint8_t *tag, int manner)
{
    KL_TRY(alone.engine->start(alone.room, params, encrypt));
    while (in.len > 0) {
        size_t take = piece(in.len, manner);

        KL_TRY(alone.engine->update(alone.room, kl_view_of(in.data, take), out));
        in = kl_view_of(in.data + take, in.len - take);
        out += take;
    }
    return alone.engine->finish(alone.room, tag, params->tag_len);
}

static void any_cut_into_parts_gives_what_one_call_gives_both_ways(void)
{
    uint8_t tag[16], tag2[16];
    struct kl_aead_params params;

    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct pair pair = begin(&kinds[k], &params);
        struct alone alone = alone_begin(&kinds[k]);

        for (int round = 0; round < 1400; round++) {
            size_t len = number(3000);

            iv[0]++;
            iv[1] = (uint8_t)(round >> 6);
            params.aad.len = number(sizeof aad + 1);
            SAME(kl_aead_seal(pair.slow, &params, kl_view_of(plain, len), other, tag), KL_OK);
            SAME(in_parts(alone, &params, true, kl_view_of(plain, len), made, tag2, round), KL_OK);
            CU_ASSERT(memcmp(made, other, len) == 0 && memcmp(tag, tag2, 16) == 0);
            SAME(in_parts(alone, &params, false, kl_view_of(made, len), made, tag, round + 3), KL_OK);
            CU_ASSERT(memcmp(made, plain, len) == 0);
            tag[number(16)] ^= (uint8_t)(1 << number(8));
            SAME(in_parts(alone, &params, false, kl_view_of(other, len), made, tag, round + 5), KL_CIPHERTEXT);
        }
        alone_end(alone);
        end(pair);
    }
}

/* The library is one for all: streams under several keys, a part of each in turn, do not meet in it. */
static void streams_of_several_keys_by_turns_do_not_disturb_each_other(void)
{
    enum { LEN = 1000, STEP = 37 };
    static uint8_t outs[COUNT(kinds)][LEN], oughts[COUNT(kinds)][LEN];
    uint8_t tags[COUNT(kinds)][16], tag[16];
    struct pair pairs[COUNT(kinds)];
    struct kl_aead_params params;

    for (size_t k = 0; k < COUNT(kinds); k++) pairs[k] = begin(&kinds[k], &params);
    for (size_t k = 0; k < COUNT(kinds); k++) {
        SAME(kl_aead_seal(pairs[k].slow, &params, kl_view_of(plain, LEN), oughts[k], tags[k]), KL_OK);
        SAME(kl_aead_start(pairs[k].fast, &params), KL_OK);
    }
    for (size_t at = 0; at < LEN; at += STEP)
        for (size_t k = 0; k < COUNT(kinds); k++) {
            size_t take = LEN - at < STEP ? LEN - at : STEP;

            SAME(kl_aead_update(pairs[k].fast, kl_view_of(plain + at, take), outs[k] + at), KL_OK);
        }
    for (size_t k = 0; k < COUNT(kinds); k++) {
        SAME(kl_aead_finish(pairs[k].fast, tag, 16), KL_OK);
        CU_ASSERT(memcmp(outs[k], oughts[k], LEN) == 0 && memcmp(tag, tags[k], 16) == 0);
        end(pairs[k]);
    }
}

static void a_whole_operation_in_between_ends_what_was_begun(void)
{
    uint8_t out[32], tag[16], tag2[16];
    struct kl_aead_params params;

    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct pair pair = begin(&kinds[k], &params);
        struct kl_view in = { plain, 32 };

        SAME(kl_aead_start(pair.fast, &params), KL_OK);
        SAME(kl_aead_update(pair.fast, in, out), KL_OK);
        SAME(kl_aead_seal(pair.fast, &params, in, out, tag), KL_OK);
        SAME(kl_aead_update(pair.fast, in, out), KL_ARG);
        SAME(kl_aead_start(pair.fast, &params), KL_OK);
        SAME(kl_aead_open(pair.fast, &params, kl_view_of(out, 32), tag, out), KL_OK);
        SAME(kl_aead_finish(pair.fast, tag2, 16), KL_ARG);
        SAME(kl_aead_start(pair.fast, &params), KL_OK);
        SAME(kl_aead_update(pair.fast, in, out), KL_OK);
        SAME(kl_aead_start(pair.fast, &params), KL_OK);
        SAME(kl_aead_update(pair.fast, in, out), KL_OK);
        SAME(kl_aead_finish(pair.fast, tag2, 16), KL_OK);
        CU_ASSERT(memcmp(tag, tag2, 16) == 0);
        end(pair);
    }
}

/* ---- keys, IVs ---- */

static void another_key_is_taken_and_ends_what_was_begun(void)
{
    uint8_t tag[16];
    struct kl_aead_params params;

    for (size_t k = 0; k < 3; k++) {
        struct pair pair = begin(&kinds[k], &params);

        CU_ASSERT(seals_alike(pair, &params, kl_view_of(plain, 200)));
        SAME(kl_aead_start(pair.fast, &params), KL_OK);
        scatter(key, sizeof key);
        kl_aead_rekey(pair.fast, kl_view_of(key, kinds[k].key_len));
        SAME(kl_aead_finish(pair.fast, tag, 16), KL_ARG);
        SAME(kl_aead_seal(pair.fast, &params, kl_view_of(plain, 200), made, tag), KL_OK);
        SAME(kl_aead_open(pair.slow, &params, kl_view_of(made, 200), tag, other), KL_CIPHERTEXT);
        kl_aead_rekey(pair.slow, kl_view_of(key, kinds[k].key_len));
        CU_ASSERT(seals_alike(pair, &params, kl_view_of(plain, 200)));
        CU_ASSERT(opens(pair.slow, pair.fast, &params, kl_view_of(plain, 200)));
        end(pair);
    }
}

static void ivs_of_other_lengths_are_openssls(void)
{
    struct kl_aead_params params;
    struct kl_aead *any = NULL;
    uint8_t long_iv[128], tag[16], tag2[16];

    scatter(long_iv, sizeof long_iv);
    for (size_t k = 0; k < 3; k++) {
        struct pair pair = begin(&kinds[k], &params);

        SAME(kl_aead_new_with(KL_ENGINE_AUTO, KL_AEAD_AES_GCM, kl_view_of(key, kinds[k].key_len), &any), KL_OK);
        for (size_t len = 1; len <= sizeof long_iv; len++) {
            SAME(kl_aead_ipsec_mb_gcm.has(KL_AEAD_AES_GCM, kinds[k].key_len, len), len == 12);
            params.iv = kl_view_of(long_iv, len);
            CU_ASSERT(seals_alike(pair, &params, kl_view_of(plain, 100)));
            SAME(kl_aead_seal(pair.slow, &params, kl_view_of(plain, 100), other, tag), KL_OK);
            SAME(kl_aead_seal(any, &params, kl_view_of(plain, 100), made, tag2), KL_OK);
            CU_ASSERT(memcmp(made, other, 100) == 0 && memcmp(tag, tag2, 16) == 0);
            params.iv = kl_view_of(iv, sizeof iv);
            CU_ASSERT(seals_alike(pair, &params, kl_view_of(plain, 70)));
        }
        kl_aead_free(any);
        end(pair);
    }
}

static void xaes_is_the_same_over_both(void)
{
    struct kl_aead *over[2] = { NULL, NULL };
    uint8_t nonce[24], tags[2][16];
    struct kl_aead_params params = { .iv = { nonce, sizeof nonce }, .aad = { aad, 100 }, .tag_len = 16 };

    scatter(key, sizeof key);
    scatter(plain, sizeof plain);
    SAME(kl_aead_new_with(KL_ENGINE_IPSEC_MB, KL_AEAD_XAES_256_GCM, kl_view_of(key, 32), &over[0]), KL_OK);
    SAME(kl_aead_new_with(KL_ENGINE_OPENSSL, KL_AEAD_XAES_256_GCM, kl_view_of(key, 32), &over[1]), KL_OK);
    for (size_t len = 0; len < 600; len++) {
        scatter(nonce, sizeof nonce);
        SAME(kl_aead_seal(over[0], &params, kl_view_of(plain, len), made, tags[0]), KL_OK);
        SAME(kl_aead_seal(over[1], &params, kl_view_of(plain, len), other, tags[1]), KL_OK);
        CU_ASSERT(memcmp(made, other, len) == 0 && memcmp(tags[0], tags[1], 16) == 0);
        SAME(kl_aead_open(over[0], &params, kl_view_of(other, len), tags[1], other), KL_OK);
        CU_ASSERT(memcmp(other, plain, len) == 0);
        tags[0][3] ^= 1;
        SAME(kl_aead_open(over[0], &params, kl_view_of(made, len), tags[0], other), KL_CIPHERTEXT);
        CU_ASSERT(is_zero(other, len));
    }
    kl_aead_free(over[0]);
    kl_aead_free(over[1]);
}

/* ---- tests: what is refused ---- */

/* Elsewhere and in place; behind the output lies what lay there. */
static bool gives_nothing_away(struct kl_aead *aead, const struct kl_aead_params *params, struct kl_view in, const uint8_t *tag)
{
    static uint8_t out[5000 + GUARDED], place[5000 + GUARDED];

    memset(out, GUARD, sizeof out);
    memset(place, GUARD, sizeof place);
    memcpy(place, in.data, in.len);
    if (kl_aead_open(aead, params, in, tag, out) != KL_CIPHERTEXT) return false;
    if (kl_aead_open(aead, params, kl_view_of(place, in.len), tag, place) != KL_CIPHERTEXT) return false;
    return is_zero(out, in.len) && is_zero(place, in.len) && is_guarded(out + in.len, GUARDED) && is_guarded(place + in.len, GUARDED);
}

/* `in` is sealed; of `len` bytes at `bytes` one bit is changed, and back. */
static void each_is_noticed(struct kl_aead *aead, const struct kl_aead_params *params, struct kl_view in, const uint8_t *tag,
                            uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i<len; i += len> 100 ? 41 : 1) {
        uint8_t was = bytes[i];

        bytes[i] ^= (uint8_t)(1 << number(8));
        CU_ASSERT(gives_nothing_away(aead, params, in, tag));
        bytes[i] = was;
    }
}

static void a_bit_changed_anywhere_is_noticed_and_nothing_is_released(void)
{
    static const size_t lengths[] = { 1, 15, 16, 17, 64, 100, 257, 1024, 5000 };
    struct kl_aead_params params;
    uint8_t tag[16];

    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct pair pair = begin(&kinds[k], &params);

        for (size_t i = 0; i < COUNT(lengths); i++) {
            struct kl_view sealed = { other, lengths[i] };

            for (params.tag_len = kinds[k].tag_min; params.tag_len <= 16; params.tag_len += 6) {
                SAME(kl_aead_seal(pair.fast, &params, kl_view_of(plain, lengths[i]), other, tag), KL_OK);
                each_is_noticed(pair.fast, &params, sealed, tag, iv, sizeof iv);
                each_is_noticed(pair.fast, &params, sealed, tag, aad, params.aad.len);
                each_is_noticed(pair.fast, &params, sealed, tag, other, lengths[i]);
                each_is_noticed(pair.fast, &params, sealed, tag, tag, params.tag_len);
                SAME(kl_aead_open(pair.fast, &params, sealed, tag, made), KL_OK);
                CU_ASSERT(memcmp(made, plain, lengths[i]) == 0);
            }
            params.tag_len = 16;
        }
        end(pair);
    }
}

static void more_or_fewer_bytes_than_were_sealed_do_not_open(void)
{
    struct kl_aead_params params;
    uint8_t tag[16];

    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct pair pair = begin(&kinds[k], &params);

        memset(other, 0, 400);
        SAME(kl_aead_seal(pair.fast, &params, kl_view_of(plain, 200), other, tag), KL_OK);
        for (size_t len = 1; len < 400; len++)
            if (len != 200) CU_ASSERT(gives_nothing_away(pair.fast, &params, kl_view_of(other, len), tag));
        SAME(kl_aead_open(pair.fast, &params, kl_view_of(NULL, 0), tag, NULL), KL_CIPHERTEXT);
        for (params.aad.len = 0; params.aad.len < 40; params.aad.len++)
            if (params.aad.len != 16) CU_ASSERT(gives_nothing_away(pair.fast, &params, kl_view_of(other, 200), tag));
        end(pair);
    }
}

static void what_no_engine_takes_is_refused(void)
{
    struct kl_aead_params params;
    uint8_t tag[16], out[32];

    for (size_t len = 0; len <= 33; len++) {
        bool is_aes = len == 16 || len == 24 || len == 32;
        struct kl_aead *aead = NULL;

        SAME(kl_aead_ipsec_mb_gcm.has(KL_AEAD_AES_GCM, len, 12), is_aes);
        SAME(kl_aead_ipsec_mb_chacha.has(KL_AEAD_CHACHA20_POLY1305, len, 12), len == 32);
        CU_ASSERT_FALSE(kl_aead_ipsec_mb_gcm.has(KL_AEAD_CHACHA20_POLY1305, len, 12));
        CU_ASSERT_FALSE(kl_aead_ipsec_mb_chacha.has(KL_AEAD_AES_GCM, len, 12));
        CU_ASSERT_FALSE(kl_aead_ipsec_mb_gcm.has(KL_AEAD_XAES_256_GCM, len, 24));
        if (!is_aes) SAME(kl_aead_new_with(KL_ENGINE_IPSEC_MB, KL_AEAD_AES_GCM, kl_view_of(plain, len), &aead), KL_KEY_SIZE);
        CU_ASSERT_PTR_NULL(aead);
    }
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct pair pair = begin(&kinds[k], &params);

        params.tag_len = kinds[k].tag_min - 1;
        SAME(kl_aead_seal(pair.fast, &params, kl_view_of(plain, 32), out, tag), KL_PARAMETER);
        params.tag_len = 17;
        SAME(kl_aead_open(pair.fast, &params, kl_view_of(plain, 32), tag, out), KL_PARAMETER);
        params.tag_len = 16;
        params.iv.len = kinds[k].algorithm == KL_AEAD_AES_GCM ? 0 : 13;
        SAME(kl_aead_seal(pair.fast, &params, kl_view_of(plain, 32), out, tag), KL_PARAMETER);
        end(pair);
    }
}

/* ---- nothing is touched beside what was handed in: pages that cannot be read lie right behind it, or right before ---- */

enum { EDGES = 8, EDGE_ROOM = 8192, PAGE = 4096 };
static uint8_t *edges[EDGES];
static bool at_front;

static bool edges_make(void)
{
    for (size_t i = 0; i < EDGES; i++) {
        uint8_t *all = mmap(NULL, EDGE_ROOM + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (all == MAP_FAILED) return false;
        edges[i] = all + PAGE;
        if (mprotect(edges[i], EDGE_ROOM, PROT_READ | PROT_WRITE) != 0) return false;
    }
    return true;
}

static void edges_free(void)
{
    for (size_t i = 0; i < EDGES; i++)
        if (edges[i] != NULL) munmap(edges[i] - PAGE, EDGE_ROOM + 2 * PAGE);
}

/* The n-th room, of `len` bytes up to its end or from its front. */
static uint8_t *edge(size_t n, size_t len)
{
    return at_front ? edges[n] : edges[n] + EDGE_ROOM - len;
}

static struct kl_view edge_with(size_t n, const uint8_t *bytes, size_t len)
{
    if (len > 0) memcpy(edge(n, len), bytes, len);
    return kl_view_of(edge(n, len), len);
}

/* All that an engine is handed lies at an edge, its context too as far as its alignment lets it. */
static struct alone alone_at_an_edge(const struct kind *kind)
{
    size_t size = (kind->engine->context_size + 63) & ~(size_t)63;
    struct alone alone = { kind->engine, edge(0, size) };

    memset(alone.room, 0, kind->engine->context_size);
    SAME(alone.engine->init(alone.room, kind->algorithm, edge_with(1, key, kind->key_len)), KL_OK);
    return alone;
}

static bool whole_at_edges(struct alone alone, const struct kl_aead_params *params, struct kl_view in)
{
    struct kl_aead_params at = { edge_with(2, params->iv.data, params->iv.len), edge_with(3, params->aad.data, params->aad.len),
                                 params->tag_len };
    struct kl_view from = edge_with(4, in.data, in.len);
    uint8_t *tag = edge(5, at.tag_len), *out = edge(6, in.len), *back = edge(7, in.len);

    if (alone.engine->seal(alone.room, &at, from, out, tag) != KL_OK) return false;
    if (alone.engine->open(alone.room, &at, kl_view_of(out, in.len), tag, back) != KL_OK) return false;
    if (memcmp(back, in.data, in.len) != 0) return false;
    tag[at.tag_len - 1] ^= 0x10;
    return alone.engine->open(alone.room, &at, kl_view_of(out, in.len), tag, out) == KL_CIPHERTEXT;
}

/* Each part at an edge of its own. */
static bool parts_at_edges(struct alone alone, const struct kl_aead_params *params, struct kl_view in, int manner)
{
    struct kl_aead_params at = { edge_with(2, params->iv.data, params->iv.len), edge_with(3, params->aad.data, params->aad.len),
                                 params->tag_len };
    uint8_t *tag = edge(5, at.tag_len);

    if (alone.engine->start(alone.room, &at, true) != KL_OK) return false;
    for (size_t done = 0, take; done < in.len; done += take) {
        take = piece(in.len - done, manner);
        if (alone.engine->update(alone.room, edge_with(4, in.data + done, take), edge(6, take)) != KL_OK) return false;
        memcpy(made + done, edge(6, take), take);
    }
    if (alone.engine->finish(alone.room, tag, at.tag_len) != KL_OK) return false;
    if (alone.engine->start(alone.room, &at, false) != KL_OK) return false;
    for (size_t done = 0, take; done < in.len; done += take) {
        take = piece(in.len - done, manner + 2);
        if (alone.engine->update(alone.room, edge_with(4, made + done, take), edge(6, take)) != KL_OK) return false;
        if (memcmp(edge(6, take), in.data + done, take) != 0) return false;
    }
    return alone.engine->finish(alone.room, tag, at.tag_len) == KL_OK;
}

static void one_side(const struct kind *kind)
{
    struct kl_aead_params params;
    struct pair pair = begin(kind, &params);
    struct alone alone = alone_at_an_edge(kind);

    for (size_t len = 0; len <= EVERY; len++) {
        params.aad.len = len % 19;
        params.tag_len = len % 5 > 0 ? 16 : kind->tag_min + len % (17 - kind->tag_min);
        CU_ASSERT(whole_at_edges(alone, &params, kl_view_of(plain, len)));
    }
    for (size_t len = EVERY; len <= EDGE_ROOM; len += 227) CU_ASSERT(whole_at_edges(alone, &params, kl_view_of(plain, len)));
    for (params.aad.len = 0; params.aad.len <= 257; params.aad.len++)
        CU_ASSERT(whole_at_edges(alone, &params, kl_view_of(plain, params.aad.len % 70)));
    for (int round = 0; round < 700; round++) {
        params.aad.len = number(100);
        CU_ASSERT(parts_at_edges(alone, &params, kl_view_of(plain, number(1500)), round));
    }
    alone.engine->clear(alone.room);
    end(pair);
}

/* In a child: what would fault must not end the other tests. */
static int touches_nothing_else(void)
{
    if (!edges_make()) return 2;
    for (size_t k = 0; k < COUNT(kinds); k++) one_side(&kinds[k]);
    edges_free();
    return CU_get_number_of_failures() > 0;
}

static void nothing_is_touched_behind_what_was_handed_in(void)
{
    at_front = false;
    SAME(unit_in_child(touches_nothing_else), 0);
}

static void nothing_is_touched_before_what_was_handed_in(void)
{
    at_front = true;
    SAME(unit_in_child(touches_nothing_else), 0);
}

/* ---- which is taken ---- */

static void auto_takes_it(void)
{
    CU_ASSERT_STRING_EQUAL(kl_aead_engine_name(KL_ENGINE_AUTO), "ipsec-mb");
    CU_ASSERT_STRING_EQUAL(kl_aead_engine_name(KL_ENGINE_IPSEC_MB), "ipsec-mb");
    CU_ASSERT_STRING_EQUAL(kl_aead_engine_name(KL_ENGINE_OPENSSL), "openssl");
}

static void where_it_is_not_openssl_does_its_work(void)
{
    uint8_t tag[16], tag2[16];
    struct kl_aead_params params;

    CU_ASSERT_STRING_EQUAL(kl_aead_engine_name(KL_ENGINE_AUTO), "openssl");
    CU_ASSERT_STRING_EQUAL(kl_aead_engine_name(KL_ENGINE_OPENSSL), "openssl");
    CU_ASSERT_STRING_NOT_EQUAL(kl_aead_engine_name(KL_ENGINE_IPSEC_MB), "ipsec-mb");
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct pair pair = begin(&kinds[k], &params);
        struct kl_aead *any = NULL;

        CU_ASSERT_FALSE(kinds[k].engine->has(kinds[k].algorithm, kinds[k].key_len, 12));
        SAME(kl_aead_new_with(KL_ENGINE_AUTO, kinds[k].algorithm, kl_view_of(key, kinds[k].key_len), &any), KL_OK);
        SAME(kl_aead_seal(any, &params, kl_view_of(plain, 500), made, tag), KL_OK);
        SAME(kl_aead_seal(pair.slow, &params, kl_view_of(plain, 500), other, tag2), KL_OK);
        CU_ASSERT(memcmp(made, other, 500) == 0 && memcmp(tag, tag2, 16) == 0);
        kl_aead_free(any);
        end(pair);
    }
}

/* Found out without asking the engine: whether the build has it, the library is there and the processor has the instructions. */
static const char *why_not(void)
{
    if (!BUILT_WITH_IPSEC_MB) return "this build is without libipsec-mb";
    if (dlopen("libIPSec_MB.so.1", RTLD_NOW | RTLD_LOCAL) == NULL) return "libIPSec_MB.so.1 is not there";
    if (!__builtin_cpu_supports("aes") || !__builtin_cpu_supports("pclmul")) return "this processor has no AES instructions";
    return NULL;
}

int main(void)
{
    static const CU_TestInfo here[] = {
        UNIT(auto_takes_it),
        UNIT(every_length_is_the_same_and_opens_by_the_other),
        UNIT(associated_data_of_every_length_is_the_same),
        UNIT(bytes_that_lie_askew_are_the_same),
        UNIT(every_tag_length_is_the_same_and_no_byte_follows_it),
        UNIT(nothing_and_null_are_an_empty_input_and_no_associated_data),
        UNIT(any_cut_into_parts_gives_what_one_call_gives_both_ways),
        UNIT(streams_of_several_keys_by_turns_do_not_disturb_each_other),
        UNIT(a_whole_operation_in_between_ends_what_was_begun),
        UNIT(another_key_is_taken_and_ends_what_was_begun),
        UNIT(ivs_of_other_lengths_are_openssls),
        UNIT(xaes_is_the_same_over_both),
        UNIT(a_bit_changed_anywhere_is_noticed_and_nothing_is_released),
        UNIT(more_or_fewer_bytes_than_were_sealed_do_not_open),
        UNIT(what_no_engine_takes_is_refused),
        UNIT(nothing_is_touched_behind_what_was_handed_in),
        UNIT(nothing_is_touched_before_what_was_handed_in),
    };
    static const CU_TestInfo absent[] = { UNIT(where_it_is_not_openssl_does_its_work) };
    const char *reason = why_not();

    if (reason == NULL) return unit_run("crypto/aead_ipsec_mb", here, COUNT(here));
    printf("the engines of ipsec-mb are not tested, since %s\n", reason);
    return unit_run("crypto/aead_ipsec_mb (not here)", absent, COUNT(absent));
}
