/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/secret.h"
#include "crypto/aead.h"
#include "support.h"
#include "vectors.h"

#define VECTORS "../c2sp/xaes_256_gcm.json"
#define ITERATIONS 10000
#define EACH_MAX (32 + 24 + 2 * 256) /* bytes that one iteration takes at most */
#define ROOM 600

static uint8_t key[32], nonce[24], aad[300], plain[ROOM];

/* A keyed context, and parameters of the usual lengths, over bytes that change with every test. */
static struct kl_aead *begin(struct kl_aead_params *params)
{
    struct kl_aead *aead = NULL;

    scatter(key, sizeof key);
    scatter(nonce, sizeof nonce);
    scatter(aad, sizeof aad);
    scatter(plain, sizeof plain);
    *params = (struct kl_aead_params){ .iv = { nonce, 24 }, .aad = { aad, 16 }, .tag_len = 16 };
    SAME(kl_aead_new(KL_AEAD_XAES_256_GCM, kl_view_of(key, 32), &aead), KL_OK);
    return aead;
}

/* ---- the vectors of the specification ---- */

static bool vector(const json_t *group, const json_t *test)
{
    struct kl_view msg = vector_bytes(test, "msg", 0), ct = vector_bytes(test, "ct", 1), tag = vector_bytes(test, "tag", 2);
    struct kl_aead_params params = { .iv = vector_bytes(test, "iv", 3), .aad = vector_bytes(test, "aad", 4), .tag_len = 16 };
    struct kl_view derived = vector_bytes(test, "derived", 5);
    struct kl_aead_params inner = { .iv = { params.iv.data + 12, 12 }, .aad = params.aad, .tag_len = 16 };
    struct kl_aead *aead = NULL, *gcm = NULL;
    uint8_t out[64], made[16];
    bool good = kl_aead_new(KL_AEAD_XAES_256_GCM, vector_bytes(test, "key", 6), &aead) == KL_OK;

    (void)group;
    good = good && kl_aead_seal(aead, &params, msg, out, made) == KL_OK;
    good = good && kl_view_is(kl_view_of(out, msg.len), ct) && kl_view_is(kl_view_of(made, 16), tag);
    good = good && kl_aead_open(aead, &params, ct, tag.data, out) == KL_OK && kl_view_is(kl_view_of(out, ct.len), msg);
    /* The key of the message, which the specification gives too, is what it says. */
    good = good && kl_aead_new(KL_AEAD_AES_GCM, derived, &gcm) == KL_OK;
    good = good && kl_aead_open(gcm, &inner, ct, tag.data, out) == KL_OK && kl_view_is(kl_view_of(out, ct.len), msg);
    kl_aead_free(aead);
    kl_aead_free(gcm);
    return good;
}

static void the_vectors_of_the_specification_agree(void)
{
    vectors_run(VECTORS, vector);
}

/* What SHAKE-128 of nothing gives, as much as may be needed; to be freed. */
static uint8_t *shake_of_nothing(size_t len)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t *out = malloc(len);

    CU_ASSERT_FATAL(ctx != NULL && out != NULL);
    CU_ASSERT_FATAL(EVP_DigestInit_ex(ctx, EVP_shake128(), NULL) == 1 && EVP_DigestFinalXOF(ctx, out, len) == 1);
    EVP_MD_CTX_free(ctx);
    return out;
}

static struct kl_view take(const uint8_t **stream, size_t len)
{
    struct kl_view taken = { *stream, len };

    *stream += len;
    return taken;
}

static struct kl_view take_counted(const uint8_t **stream)
{
    size_t len = take(stream, 1).data[0];

    return take(stream, len);
}

/* One key, nonce, plaintext and associated data from the stream; there and back. */
static bool iteration(const uint8_t **stream, EVP_MD_CTX *digest)
{
    struct kl_view its_key = take(stream, 32);
    struct kl_aead_params params = { .iv = take(stream, 24), .tag_len = 16 };
    struct kl_view msg = take_counted(stream);
    struct kl_aead *aead = NULL;
    uint8_t out[255 + 16], back[255];
    bool good = kl_aead_new(KL_AEAD_XAES_256_GCM, its_key, &aead) == KL_OK;

    params.aad = take_counted(stream);
    good = good && kl_aead_seal(aead, &params, msg, out, out + msg.len) == KL_OK;
    good = good && kl_aead_open(aead, &params, kl_view_of(out, msg.len), out + msg.len, back) == KL_OK;
    good = good && memcmp(back, msg.data, msg.len) == 0 && EVP_DigestUpdate(digest, out, msg.len + 16) == 1;
    kl_aead_free(aead);
    return good;
}

static bool digest_is_right(const uint8_t made[32])
{
    json_t *root = vectors_load(VECTORS);
    const json_t *accumulated = json_object_get(root, "accumulated"), *each;
    bool good = false;
    size_t i;

    json_array_foreach(accumulated, i, each)
    {
        if (json_integer_value(json_object_get(each, "iterations")) != ITERATIONS) continue;
        good = kl_view_is(vector_bytes(each, "digest", 0), kl_view_of(made, 32));
    }
    json_decref(root);
    return good;
}

static void ten_thousand_messages_under_as_many_keys_have_the_specifications_digest(void)
{
    uint8_t *bytes = shake_of_nothing((size_t)ITERATIONS * EACH_MAX);
    const uint8_t *stream = bytes;
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    uint8_t made[32];
    bool good = EVP_DigestInit_ex(digest, EVP_shake128(), NULL) == 1;

    for (int i = 0; good && i < ITERATIONS; i++) good = iteration(&stream, digest);
    CU_ASSERT(good && EVP_DigestFinalXOF(digest, made, sizeof made) == 1);
    CU_ASSERT(digest_is_right(made));
    EVP_MD_CTX_free(digest);
    free(bytes);
}

/* ---- what CMAC and AES-GCM make of it ---- */

static bool cmac(const uint8_t *in, size_t len, uint8_t out[16])
{
    OSSL_PARAM params[] = { OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_CIPHER, (char[]){ "AES-256-CBC" }, 11), OSSL_PARAM_END };
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "CMAC", NULL);
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
    size_t made = 0;
    bool good = EVP_MAC_init(ctx, key, 32, params) == 1 && EVP_MAC_update(ctx, in, len) == 1 && EVP_MAC_final(ctx, out, &made, 16) == 1;

    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
    return good && made == 16;
}

/* The same message by the text of SP 800-108 and with a context for its key alone. */
static bool reference_seal(const struct kl_aead_params *params, struct kl_view in, uint8_t *out, uint8_t *tag)
{
    struct kl_aead_params inner = { .iv = { nonce + 12, 12 }, .aad = params->aad, .tag_len = 16 };
    uint8_t block[16] = { 0, 1, 'X', 0 }, derived[32];
    struct kl_aead *gcm = NULL;
    bool good;

    memcpy(block + 4, nonce, 12);
    good = cmac(block, 16, derived);
    block[1] = 2;
    good = good && cmac(block, 16, derived + 16) && kl_aead_new(KL_AEAD_AES_GCM, kl_view_of(derived, 32), &gcm) == KL_OK;
    good = good && kl_aead_seal(gcm, &inner, in, out, tag) == KL_OK;
    kl_aead_free(gcm);
    return good;
}

static void every_message_is_what_cmac_and_aes_gcm_make_of_it(void)
{
    uint8_t ours[ROOM], theirs[ROOM], back[ROOM], tag[16], tag2[16];
    struct kl_aead_params params;

    for (int keys = 0; keys < 30; keys++) {
        struct kl_aead *aead = begin(&params);

        for (int round = 0; round < 30; round++) {
            struct kl_view in = { plain, number(ROOM + 1) };

            scatter(nonce, sizeof nonce);
            params.aad.len = number(sizeof aad + 1);
            SAME(kl_aead_seal(aead, &params, in, ours, tag), KL_OK);
            CU_ASSERT(reference_seal(&params, in, theirs, tag2));
            CU_ASSERT(memcmp(ours, theirs, in.len) == 0 && memcmp(tag, tag2, 16) == 0);
            SAME(kl_aead_open(aead, &params, kl_view_of(ours, in.len), tag, back), KL_OK);
            CU_ASSERT(memcmp(back, plain, in.len) == 0);
        }
        kl_aead_free(aead);
    }
}

static void messages_in_any_order_do_not_disturb_each_other(void)
{
    enum { MESSAGES = 8 };
    uint8_t nonces[MESSAGES][24], sealed[MESSAGES][100], tags[MESSAGES][16], back[100];
    struct kl_aead_params params;
    struct kl_aead *aead = begin(&params);

    scatter(nonces, sizeof nonces);
    /* Two share the half that the key is derived of, two the half that is the IV. */
    memcpy(nonces[1], nonces[0], 12);
    memcpy(nonces[3] + 12, nonces[2] + 12, 12);
    for (size_t i = 0; i < MESSAGES; i++) {
        params.iv.data = nonces[i];
        SAME(kl_aead_seal(aead, &params, kl_view_of(plain + i, 100), sealed[i], tags[i]), KL_OK);
    }
    for (int round = 0; round < 100; round++) {
        size_t i = number(MESSAGES);
        uint8_t again[100], tag[16];

        params.iv.data = nonces[i];
        SAME(kl_aead_open(aead, &params, kl_view_of(sealed[i], 100), tags[i], back), KL_OK);
        CU_ASSERT(memcmp(back, plain + i, 100) == 0);
        params.iv.data = nonces[(i + 1) % MESSAGES];
        SAME(kl_aead_open(aead, &params, kl_view_of(sealed[i], 100), tags[i], back), KL_CIPHERTEXT);
        params.iv.data = nonces[i];
        SAME(kl_aead_seal(aead, &params, kl_view_of(plain + i, 100), again, tag), KL_OK);
        CU_ASSERT(memcmp(again, sealed[i], 100) == 0 && memcmp(tag, tags[i], 16) == 0);
    }
    kl_aead_free(aead);
}

static void a_message_in_parts_is_the_same(void)
{
    uint8_t whole[200], parted[200], tag[16], tag2[16];
    struct kl_aead_params params;
    struct kl_aead *aead = begin(&params);

    for (size_t cut = 0; cut <= 200; cut += 25) {
        SAME(kl_aead_seal(aead, &params, kl_view_of(plain, 200), whole, tag), KL_OK);
        SAME(kl_aead_start(aead, &params), KL_OK);
        SAME(kl_aead_update(aead, kl_view_of(plain, cut), parted), KL_OK);
        SAME(kl_aead_update(aead, kl_view_of(plain + cut, 200 - cut), parted + cut), KL_OK);
        SAME(kl_aead_finish(aead, tag2, 16), KL_OK);
        CU_ASSERT(memcmp(whole, parted, 200) == 0 && memcmp(tag, tag2, 16) == 0);
        nonce[cut % 24]++;
    }
    SAME(kl_aead_xaes.start(NULL, &params, false), KL_NOT_SUPPORTED);
    kl_aead_free(aead);
}

static void the_key_handed_in_may_go_away(void)
{
    uint8_t ours[64], theirs[64], tag[16], tag2[16];
    struct kl_aead_params params;
    struct kl_aead *aead = begin(&params);

    CU_ASSERT(reference_seal(&params, kl_view_of(plain, 64), theirs, tag2));
    memset(key, 0, sizeof key);
    SAME(kl_aead_seal(aead, &params, kl_view_of(plain, 64), ours, tag), KL_OK);
    CU_ASSERT(memcmp(ours, theirs, 64) == 0 && memcmp(tag, tag2, 16) == 0);
    kl_aead_free(aead);
}

/* ---- what is refused ---- */

static void a_bit_changed_anywhere_is_noticed_and_nothing_is_released(void)
{
    uint8_t out[64], tag[16], back[64];
    struct kl_aead_params params;
    struct kl_aead *aead = begin(&params);
    const struct {
        uint8_t *bytes;
        size_t len;
    } places[] = { { tag, 16 }, { out, 64 }, { nonce, 24 }, { aad, 16 } };

    SAME(kl_aead_seal(aead, &params, kl_view_of(plain, 64), out, tag), KL_OK);
    for (size_t p = 0; p < COUNT(places); p++) {
        for (size_t bit = 0; bit < 8 * places[p].len; bit++) {
            places[p].bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
            memset(back, 0x5A, sizeof back);
            SAME(kl_aead_open(aead, &params, kl_view_of(out, 64), tag, back), KL_CIPHERTEXT);
            CU_ASSERT(is_zero(back, 64));
            places[p].bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        }
    }
    SAME(kl_aead_open(aead, &params, kl_view_of(out, 64), tag, back), KL_OK);
    kl_aead_free(aead);
}

static void it_is_no_aes_gcm_under_the_key_itself(void)
{
    uint8_t out[64], tag[16];
    struct kl_aead_params params;
    struct kl_aead *aead = begin(&params), *gcm = NULL;

    SAME(kl_aead_seal(aead, &params, kl_view_of(plain, 64), out, tag), KL_OK);
    SAME(kl_aead_new(KL_AEAD_AES_GCM, kl_view_of(key, 32), &gcm), KL_OK);
    SAME(kl_aead_open(gcm, &params, kl_view_of(out, 64), tag, out), KL_CIPHERTEXT);
    kl_aead_free(gcm);
    kl_aead_free(aead);
}

static void keys_nonces_and_tags_of_other_lengths_are_refused(void)
{
    static const size_t lens[] = { 0, 1, 4, 11, 12, 13, 16, 23, 25, 32, 48, SIZE_MAX };
    uint8_t long_key[64] = { 0 }, out[16], tag[16] = { 0 };
    struct kl_aead_params params;
    struct kl_aead *aead = NULL;

    for (size_t len = 0; len <= sizeof long_key; len++)
        if (len != 32) SAME(kl_aead_new(KL_AEAD_XAES_256_GCM, kl_view_of(long_key, len), &aead), KL_KEY_SIZE);
    CU_ASSERT_PTR_NULL(aead);
    aead = begin(&params);
    for (size_t i = 0; i < COUNT(lens); i++) {
        params.iv.len = lens[i];
        SAME(kl_aead_seal(aead, &params, kl_view_of(plain, 16), out, tag), KL_PARAMETER);
        SAME(kl_aead_open(aead, &params, kl_view_of(plain, 16), tag, out), KL_PARAMETER);
        SAME(kl_aead_start(aead, &params), KL_PARAMETER);
        params.iv.len = 24;
        params.tag_len = lens[i];
        if (lens[i] != 16) SAME(kl_aead_seal(aead, &params, kl_view_of(plain, 16), out, tag), KL_PARAMETER);
        params.tag_len = 16;
    }
    kl_aead_free(aead);
}

/* ---- changing the key of AES-GCM ---- */

static void a_changed_key_is_the_one_that_counts_in_both_directions(void)
{
    struct kl_aead_params params = { .iv = { nonce, 12 }, .aad = { aad, 20 }, .tag_len = 16 };
    uint8_t ours[64], theirs[64], tag[16], tag2[16];
    struct kl_aead *aead = NULL, *other;

    SAME(kl_aead_new(KL_AEAD_AES_GCM, kl_view_of(key, 32), &aead), KL_OK);
    for (int round = 0; round < 50; round++) {
        scatter(key, sizeof key);
        params.iv.len = round % 3 == 0 ? 16 : 12;
        kl_aead_rekey(aead, kl_view_of(key, 32));
        SAME(kl_aead_new(KL_AEAD_AES_GCM, kl_view_of(key, 32), &other), KL_OK);
        SAME(kl_aead_seal(other, &params, kl_view_of(plain, 64), theirs, tag2), KL_OK);
        if (round % 2 == 0) SAME(kl_aead_open(aead, &params, kl_view_of(theirs, 64), tag2, ours), KL_OK);
        SAME(kl_aead_seal(aead, &params, kl_view_of(plain, 64), ours, tag), KL_OK);
        CU_ASSERT(memcmp(ours, theirs, 64) == 0 && memcmp(tag, tag2, 16) == 0);
        SAME(kl_aead_open(aead, &params, kl_view_of(theirs, 64), tag2, ours), KL_OK);
        kl_aead_free(other);
    }
    kl_aead_free(aead);
}

static void a_changed_key_ends_what_was_begun(void)
{
    struct kl_aead_params params = { .iv = { nonce, 12 }, .tag_len = 16 };
    struct kl_aead *aead = NULL;
    uint8_t out[16], tag[16];

    SAME(kl_aead_new(KL_AEAD_AES_GCM, kl_view_of(key, 32), &aead), KL_OK);
    SAME(kl_aead_start(aead, &params), KL_OK);
    kl_aead_rekey(aead, kl_view_of(plain, 32));
    SAME(kl_aead_update(aead, kl_view_of(plain, 16), out), KL_ARG);
    SAME(kl_aead_finish(aead, tag, 16), KL_ARG);
    kl_aead_free(aead);
}

UNIT_MAIN("crypto/aead_xaes", UNIT(the_vectors_of_the_specification_agree),
          UNIT(ten_thousand_messages_under_as_many_keys_have_the_specifications_digest),
          UNIT(every_message_is_what_cmac_and_aes_gcm_make_of_it), UNIT(messages_in_any_order_do_not_disturb_each_other),
          UNIT(a_message_in_parts_is_the_same), UNIT(the_key_handed_in_may_go_away),
          UNIT(a_bit_changed_anywhere_is_noticed_and_nothing_is_released), UNIT(it_is_no_aes_gcm_under_the_key_itself),
          UNIT(keys_nonces_and_tags_of_other_lengths_are_refused), UNIT(a_changed_key_is_the_one_that_counts_in_both_directions),
          UNIT(a_changed_key_ends_what_was_begun))
