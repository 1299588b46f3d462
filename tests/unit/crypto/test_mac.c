/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "crypto/mac.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "crypto/aead.h"
#include "crypto/hash.h"
#include "failing_evp.h"

#define ROOM 700
#define GUARD 0x5A

static const struct kind {
    enum kl_mac_algorithm algorithm;
    size_t key_len, iv_len;
    const char *name, *parameter, *value; /* to OpenSSL; GMAC: gcm_tag() */
} kinds[] = {
    { KL_MAC_HMAC_SHA256, 32, 0, "HMAC", OSSL_MAC_PARAM_DIGEST, "SHA256" },
    { KL_MAC_HMAC_SHA384, 48, 0, "HMAC", OSSL_MAC_PARAM_DIGEST, "SHA384" },
    { KL_MAC_HMAC_SHA512, 200, 0, "HMAC", OSSL_MAC_PARAM_DIGEST, "SHA512" },
    { KL_MAC_CMAC_AES, 16, 0, "CMAC", OSSL_MAC_PARAM_CIPHER, "AES-128-CBC" },
    { KL_MAC_CMAC_AES, 24, 0, "CMAC", OSSL_MAC_PARAM_CIPHER, "AES-192-CBC" },
    { KL_MAC_CMAC_AES, 32, 0, "CMAC", OSSL_MAC_PARAM_CIPHER, "AES-256-CBC" },
    { KL_MAC_GMAC_AES, 16, 12, NULL, NULL, NULL },
    { KL_MAC_GMAC_AES, 24, 16, NULL, NULL, NULL },
    { KL_MAC_GMAC_AES, 32, 128, NULL, NULL, NULL },
    { KL_MAC_GMAC_AES, 32, 1, NULL, NULL, NULL },
};

static uint8_t key[256], iv[128], text[ROOM];

static struct kl_mac *made(const struct kind *kind)
{
    struct kl_mac *mac = NULL;

    scatter(key, sizeof key);
    scatter(iv, sizeof iv);
    scatter(text, sizeof text);
    SAME(kl_mac_new(kind->algorithm, (struct kl_view){ key, kind->key_len }, &mac), KL_OK);
    return mac;
}

/* A message in parts of `step` bytes. */
static enum kl_rc run(struct kl_mac *mac, size_t iv_len, struct kl_view in, size_t step, uint8_t *out)
{
    KL_TRY(kl_mac_start(mac, (struct kl_view){ iv, iv_len }));
    while (in.len > 0) {
        size_t len = in.len < step ? in.len : step;

        KL_TRY(kl_mac_update(mac, (struct kl_view){ in.data, len }));
        in = (struct kl_view){ in.data + len, in.len - len };
    }
    return kl_mac_finish(mac, out);
}

/* SP 800-38D 3: GCM of nothing. Not by OpenSSL's GMAC, whose every sixteenth length valgrind calls uninitialised. */
static size_t gcm_tag(const struct kind *kind, struct kl_view in, uint8_t *out)
{
    struct kl_aead_params params = { .iv = { iv, kind->iv_len }, .aad = in, .tag_len = 16 };
    struct kl_aead *aead = NULL;
    bool good = kl_aead_new(KL_AEAD_AES_GCM, (struct kl_view){ key, kind->key_len }, &aead) == KL_OK &&
                kl_aead_seal(aead, &params, (struct kl_view){ 0 }, NULL, out) == KL_OK;

    kl_aead_free(aead);
    return good ? 16 : 0;
}

/* The same by other means: OpenSSL's own. */
static size_t reference(const struct kind *kind, struct kl_view in, uint8_t *out)
{
    char value[16] = { 0 };
    OSSL_PARAM params[2] = { OSSL_PARAM_construct_end(), OSSL_PARAM_construct_end() };
    EVP_MAC *mac;
    EVP_MAC_CTX *ctx;
    size_t len = 0;
    bool good;

    if (kind->algorithm == KL_MAC_GMAC_AES) return gcm_tag(kind, in, out);
    snprintf(value, sizeof value, "%s", kind->value);
    params[0] = OSSL_PARAM_construct_utf8_string(kind->parameter, value, 0);
    mac = EVP_MAC_fetch(NULL, kind->name, NULL);
    ctx = EVP_MAC_CTX_new(mac);
    good = EVP_MAC_init(ctx, key, kind->key_len, params) == 1 && (in.len == 0 || EVP_MAC_update(ctx, in.data, in.len) == 1) &&
           EVP_MAC_final(ctx, out, &len, KL_MAC_MAX) == 1;
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
    return good ? len : 0;
}

/* ---- tests: what is right ---- */

#define LONG_KEY                                                                                           \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* HMAC: RFC 4231 cases 1, 2 and 6. CMAC: SP 800-38B's examples. GMAC: Wycheproof's, with IVs of 96 and 128 bits. */
static const struct {
    enum kl_mac_algorithm algorithm;
    const char *key, *iv, *text, *mac;
} answers[] = {
    { KL_MAC_HMAC_SHA256, "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "4869205468657265",
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
    { KL_MAC_HMAC_SHA384, "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "4869205468657265",
      "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6" },
    { KL_MAC_HMAC_SHA512, "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "4869205468657265",
      "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854" },
    { KL_MAC_HMAC_SHA256, "4a656665", "", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
    { KL_MAC_HMAC_SHA384, "4a656665", "", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
      "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649" },
    { KL_MAC_HMAC_SHA512, "4a656665", "", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
      "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737" },
    { KL_MAC_HMAC_SHA256, LONG_KEY, "",
      "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b6579204669727374",
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
    { KL_MAC_HMAC_SHA384, LONG_KEY, "",
      "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b6579204669727374",
      "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952" },
    { KL_MAC_HMAC_SHA512, LONG_KEY, "",
      "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b6579204669727374",
      "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598" },
    { KL_MAC_CMAC_AES, "2b7e151628aed2a6abf7158809cf4f3c", "", "", "bb1d6929e95937287fa37d129b756746" },
    { KL_MAC_CMAC_AES, "2b7e151628aed2a6abf7158809cf4f3c", "", "6bc1bee22e409f96e93d7e117393172a", "070a16b46b4d4144f79bdd9dd04a287c" },
    { KL_MAC_CMAC_AES, "2b7e151628aed2a6abf7158809cf4f3c", "",
      "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411", "dfa66747de9ae63030ca32611497c827" },
    { KL_MAC_CMAC_AES, "2b7e151628aed2a6abf7158809cf4f3c", "",
      "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
      "51f0bebf7e3b9d92fc49741779363cfe" },
    { KL_MAC_CMAC_AES, "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", "", "", "d17ddf46adaacde531cac483de7a9367" },
    { KL_MAC_CMAC_AES, "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", "", "6bc1bee22e409f96e93d7e117393172a",
      "9e99a7bf31e710900662f65e617c5184" },
    { KL_MAC_CMAC_AES, "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", "",
      "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411", "8a1de5be2eb31aad089a82e6ee908b0e" },
    { KL_MAC_CMAC_AES, "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", "",
      "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
      "a1d5df0eed790f794d77589659f39a11" },
    { KL_MAC_CMAC_AES, "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", "", "", "028962f61b7bf89efc6b551f4667d983" },
    { KL_MAC_CMAC_AES, "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", "", "6bc1bee22e409f96e93d7e117393172a",
      "28a7023f452e8f82bd4bf28d8c37c35c" },
    { KL_MAC_CMAC_AES, "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", "",
      "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411", "aaf3d8f1de5640c232f5b169b9c911e6" },
    { KL_MAC_CMAC_AES, "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", "",
      "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
      "e1992190549f6ed5696a2c056c315410" },
    { KL_MAC_GMAC_AES, "1d4a92394c7356a6f528cfb3adb8f253", "02194ece3bc50c51c52bdd83", "19b69d4178d49c20b4ee5846cb440c99",
      "3790b32d5cda9f8ef72b643d701077d3" },
    { KL_MAC_GMAC_AES, "47ff15a9a9f565df93255774a1296b11", "ebffd41f0f5b3bdc647da8036be5e4dd", "f35df7b338717e4ec9974548b99f21",
      "4608ea9a7e40a729d26259a9c62bc586" },
    { KL_MAC_GMAC_AES, "6031b3a177b43045ae587ffb0d228b0414ff26b7206c30f5", "8af8ef74bd2521f6e711950b", "dc89f1dd15f3258b7e921173650eb9ba",
      "68a1249d6487f46c107bdb8417271e26" },
    { KL_MAC_GMAC_AES, "8cf2666223060e2adece28969a8d889ece7fe32c0ae3b9c6", "cf0bd9d8767a3eae6215af33b7210f99",
      "fbfd573c9f1214f7c650bcf5e72bac", "bd53a4c7daa8d08ee101cac5861c7ff9" },
    { KL_MAC_GMAC_AES, "b5ca16877137e3595d056001b182eb1651e4ae6af080ce7ee0a0c5651a094603", "1fc2128cf247fecb746859fc",
      "ea94e062b10e5dfd2ea993cb6a103d98", "21439fb407247ac0a98a302d6cff4b0f" },
    { KL_MAC_GMAC_AES, "e6d5913e00cd10f2d1168dc66f45af511d1611cc1731c0c5389a99af8ad7c406", "04f449b5f094c721d9aa2f9702fe74b2",
      "abb1bd62140a6eebff9a1862bc37d1", "c479cfd3c34150943976ecdd5394d492" },
};

static void the_standards_examples_come_out(void)
{
    for (size_t i = 0; i < COUNT(answers); i++) {
        struct kl_view given = { key, from_hex(answers[i].key, key, sizeof key) };
        size_t iv_len = from_hex(answers[i].iv, iv, sizeof iv);
        struct kl_view in = { text, from_hex(answers[i].text, text, sizeof text) };
        uint8_t out[KL_MAC_MAX], ought[KL_MAC_MAX];
        struct kl_mac *mac = NULL;

        SAME(from_hex(answers[i].mac, ought, sizeof ought), kl_mac_len(answers[i].algorithm));
        SAME(kl_mac_new(answers[i].algorithm, given, &mac), KL_OK);
        SAME(run(mac, iv_len, in, 7, out), KL_OK);
        CU_ASSERT(memcmp(out, ought, kl_mac_len(answers[i].algorithm)) == 0);
        kl_mac_free(mac);
    }
}

static void every_length_in_every_cut_is_what_others_make_of_it(void)
{
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct kl_mac *mac = made(&kinds[k]);
        size_t mac_len = kl_mac_len(kinds[k].algorithm);
        size_t block = mac_len == 16 ? 16 : mac_len == 32 ? 64 : 128;

        for (size_t len = 0; len <= 3 * block; len++) {
            uint8_t out[KL_MAC_MAX + 1], ought[KL_MAC_MAX] = { 0 };

            out[mac_len] = GUARD;
            SAME(reference(&kinds[k], (struct kl_view){ text, len }, ought), mac_len);
            for (size_t step = 1; step <= len || step == 1; step += block == 16 ? 1 : 1 + step / 2) {
                SAME(run(mac, kinds[k].iv_len, (struct kl_view){ text, len }, step, out), KL_OK);
                CU_ASSERT(memcmp(out, ought, mac_len) == 0);
            }
            SAME(out[mac_len], GUARD);
        }
        kl_mac_free(mac);
    }
}

static void long_messages_and_empty_parts_make_no_difference(void)
{
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct kl_mac *mac = made(&kinds[k]);
        size_t mac_len = kl_mac_len(kinds[k].algorithm);

        for (size_t cut = 0; cut <= ROOM; cut += 50) {
            uint8_t out[KL_MAC_MAX], ought[KL_MAC_MAX] = { 0 };

            SAME(reference(&kinds[k], (struct kl_view){ text, ROOM }, ought), mac_len);
            SAME(kl_mac_start(mac, (struct kl_view){ iv, kinds[k].iv_len }), KL_OK);
            SAME(kl_mac_update(mac, (struct kl_view){ text, cut }), KL_OK);
            SAME(kl_mac_update(mac, (struct kl_view){ NULL, 0 }), KL_OK);
            SAME(kl_mac_update(mac, (struct kl_view){ text + cut, ROOM - cut }), KL_OK);
            SAME(kl_mac_finish(mac, out), KL_OK);
            CU_ASSERT(memcmp(out, ought, mac_len) == 0);
        }
        kl_mac_free(mac);
    }
}

static void hmac_takes_keys_of_any_length(void)
{
    for (enum kl_mac_algorithm algorithm = KL_MAC_HMAC_SHA256; algorithm <= KL_MAC_HMAC_SHA512; algorithm++) {
        for (size_t len = 0; len <= sizeof key; len++) {
            struct kl_view in = { text, 100 };
            uint8_t out[KL_MAC_MAX], ought[KL_MAC_MAX];
            struct kl_mac *mac = NULL;

            SAME(kl_mac_new(algorithm, (struct kl_view){ len > 0 ? key : NULL, len }, &mac), KL_OK);
            SAME(run(mac, 0, in, 100, out), KL_OK);
            SAME(kl_hmac_parts(KL_SHA256 + (algorithm - KL_MAC_HMAC_SHA256), (struct kl_view){ key, len }, &in, 1, ought), KL_OK);
            CU_ASSERT(memcmp(out, ought, kl_mac_len(algorithm)) == 0);
            kl_mac_free(mac);
        }
    }
}

static void gmac_takes_ivs_of_1_to_128_bytes_in_any_order(void)
{
    struct kind kind = kinds[8];
    struct kl_mac *mac = made(&kind);

    for (int round = 0; round < 300; round++) {
        uint8_t out[16], ought[KL_MAC_MAX] = { 0 };

        kind.iv_len = round < 128 ? (size_t)round + 1 : 1 + number(128);
        SAME(reference(&kind, (struct kl_view){ text, 40 }, ought), 16);
        SAME(run(mac, kind.iv_len, (struct kl_view){ text, 40 }, 40, out), KL_OK);
        CU_ASSERT(memcmp(out, ought, 16) == 0);
    }
    kl_mac_free(mac);
}

static void a_message_begun_in_the_middle_of_another_is_whole(void)
{
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct kl_mac *mac = made(&kinds[k]);
        size_t mac_len = kl_mac_len(kinds[k].algorithm);
        uint8_t out[KL_MAC_MAX], ought[KL_MAC_MAX] = { 0 };

        SAME(reference(&kinds[k], (struct kl_view){ text, 130 }, ought), mac_len);
        SAME(kl_mac_start(mac, (struct kl_view){ iv, kinds[k].iv_len }), KL_OK);
        SAME(kl_mac_update(mac, (struct kl_view){ text, 77 }), KL_OK);
        SAME(run(mac, kinds[k].iv_len, (struct kl_view){ text, 130 }, 130, out), KL_OK);
        CU_ASSERT(memcmp(out, ought, mac_len) == 0);
        kl_mac_free(mac);
    }
}

static void two_contexts_of_one_key_do_not_meet(void)
{
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct kl_mac *one = made(&kinds[k]);
        struct kl_mac *other = NULL;
        size_t mac_len = kl_mac_len(kinds[k].algorithm);
        uint8_t out[KL_MAC_MAX], ought[KL_MAC_MAX] = { 0 };

        SAME(kl_mac_new(kinds[k].algorithm, (struct kl_view){ key, kinds[k].key_len }, &other), KL_OK);
        SAME(reference(&kinds[k], (struct kl_view){ text, 60 }, ought), mac_len);
        SAME(kl_mac_start(one, (struct kl_view){ iv, kinds[k].iv_len }), KL_OK);
        SAME(kl_mac_update(one, (struct kl_view){ text, 30 }), KL_OK);
        SAME(run(other, kinds[k].iv_len, (struct kl_view){ text, 60 }, 60, out), KL_OK);
        CU_ASSERT(memcmp(out, ought, mac_len) == 0);
        kl_mac_free(other);
        SAME(kl_mac_update(one, (struct kl_view){ text + 30, 30 }), KL_OK);
        SAME(kl_mac_finish(one, out), KL_OK);
        CU_ASSERT(memcmp(out, ought, mac_len) == 0);
        kl_mac_free(one);
    }
}

static void a_context_is_keyed_once_and_nothing_is_fetched_again(void)
{
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct kl_mac *mac = made(&kinds[k]);
        uint8_t out[KL_MAC_MAX];
        unsigned fetches;
        int before;

        SAME(run(mac, kinds[k].iv_len, (struct kl_view){ text, 60 }, 60, out), KL_OK);
        fetches = loaded;
        before = live;
        for (int i = 0; i < 50; i++) SAME(run(mac, kinds[k].iv_len, (struct kl_view){ text, 60 }, 17, out), KL_OK);
        SAME(live, before);
        SAME(loaded, fetches);
        kl_mac_free(mac);
    }
}

/* ---- tests: what is wrong ---- */

static void a_key_that_is_none_of_aes_is_refused(void)
{
    static const size_t lens[] = { 0, 1, 8, 15, 17, 20, 23, 25, 31, 33, 64 };

    for (enum kl_mac_algorithm algorithm = KL_MAC_CMAC_AES; algorithm < KL_MAC_ALGORITHMS; algorithm++) {
        for (size_t i = 0; i < COUNT(lens); i++) {
            struct kl_mac *mac = NULL;

            SAME(kl_mac_new(algorithm, (struct kl_view){ key, lens[i] }, &mac), KL_KEY_SIZE);
            CU_ASSERT_PTR_NULL(mac);
        }
    }
    kl_mac_free(NULL);
}

static void an_iv_that_the_algorithm_does_not_take_is_refused_and_begins_nothing(void)
{
    static const size_t lens[] = { 0, 1, 12, 16, 128, 129, 200 };
    uint8_t out[KL_MAC_MAX];

    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct kl_mac *mac = made(&kinds[k]);
        bool is_gmac = kinds[k].algorithm == KL_MAC_GMAC_AES;

        for (size_t i = 0; i < COUNT(lens); i++) {
            if (is_gmac ? lens[i] >= 1 && lens[i] <= 128 : lens[i] == 0) continue;
            SAME(kl_mac_start(mac, (struct kl_view){ iv, kinds[k].iv_len }), KL_OK);
            SAME(kl_mac_start(mac, (struct kl_view){ text, lens[i] }), KL_PARAMETER);
            SAME(kl_mac_finish(mac, out), KL_ARG);
        }
        kl_mac_free(mac);
    }
}

static void nothing_is_made_before_a_start_or_after_the_end(void)
{
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct kl_mac *mac = made(&kinds[k]);
        uint8_t out[KL_MAC_MAX];

        SAME(kl_mac_update(mac, (struct kl_view){ text, 1 }), KL_ARG);
        SAME(kl_mac_finish(mac, out), KL_ARG);
        SAME(run(mac, kinds[k].iv_len, (struct kl_view){ text, 20 }, 20, out), KL_OK);
        SAME(kl_mac_finish(mac, out), KL_ARG);
        SAME(kl_mac_update(mac, (struct kl_view){ text, 1 }), KL_ARG);
        SAME(kl_mac_update(mac, (struct kl_view){ NULL, 0 }), KL_ARG);
        kl_mac_free(mac);
    }
}

/* ---- tests: what fails ---- */

static const struct kind *kind_now;
static uint8_t right[KL_MAC_MAX];

static enum kl_rc parts(struct kl_mac *mac, uint8_t *out)
{
    KL_TRY(kl_mac_start(mac, (struct kl_view){ iv, kind_now->iv_len }));
    KL_TRY(kl_mac_update(mac, (struct kl_view){ text, 70 }));
    KL_TRY(kl_mac_update(mac, (struct kl_view){ text + 70, 130 }));
    memset(out, GUARD, KL_MAC_MAX);
    return kl_mac_finish(mac, out);
}

static enum kl_rc whole_message(void)
{
    size_t len = kl_mac_len(kind_now->algorithm);
    uint8_t out[KL_MAC_MAX] = { 0 };
    struct kl_mac *mac = NULL;
    enum kl_rc rc = kl_mac_new(kind_now->algorithm, (struct kl_view){ key, kind_now->key_len }, &mac);

    if (rc != KL_OK) {
        CU_ASSERT_PTR_NULL(mac);
        return rc;
    }
    rc = parts(mac, out);
    if (rc != KL_OK) {
        CU_ASSERT(is_zero(out, len));
        SAME(kl_mac_finish(mac, out), KL_ARG);
        SAME(parts(mac, out), KL_OK);
    }
    CU_ASSERT(memcmp(out, right, len) == 0);
    kl_mac_free(mac);
    return rc;
}

static void a_message_of_which_any_call_fails_ends_and_works_again(void)
{
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct kl_mac *mac = made(&kinds[k]);

        kind_now = &kinds[k];
        SAME(parts(mac, right), KL_OK);
        kl_mac_free(mac);
        each_call_fails_in_turn(whole_message, 7);
    }
}

static void a_long_key_that_cannot_be_hashed_makes_nothing(void)
{
    struct kl_mac *mac = made(&kinds[0]);

    kl_mac_free(mac);
    mac = NULL;
    errors_push();
    fail_the(2); /* the first is the room in the arena */
    SAME(kl_mac_new(KL_MAC_HMAC_SHA256, (struct kl_view){ key, 65 }, &mac), KL_CRYPTO);
    fail_the(0);
    CU_ASSERT_PTR_NULL(mac);
    CU_ASSERT(errors_are_as_found());
    SAME(kl_mac_new(KL_MAC_HMAC_SHA256, (struct kl_view){ key, 65 }, &mac), KL_OK);
    kl_mac_free(mac);
}

UNIT_MAIN_BOTH_WAYS("crypto/mac", UNIT(the_standards_examples_come_out), UNIT(every_length_in_every_cut_is_what_others_make_of_it),
                    UNIT(long_messages_and_empty_parts_make_no_difference), UNIT(hmac_takes_keys_of_any_length),
                    UNIT(gmac_takes_ivs_of_1_to_128_bytes_in_any_order), UNIT(a_message_begun_in_the_middle_of_another_is_whole),
                    UNIT(two_contexts_of_one_key_do_not_meet), UNIT(a_context_is_keyed_once_and_nothing_is_fetched_again),
                    UNIT(a_key_that_is_none_of_aes_is_refused), UNIT(an_iv_that_the_algorithm_does_not_take_is_refused_and_begins_nothing),
                    UNIT(nothing_is_made_before_a_start_or_after_the_end), UNIT(a_message_of_which_any_call_fails_ends_and_works_again),
                    UNIT(a_long_key_that_cannot_be_hashed_makes_nothing))
