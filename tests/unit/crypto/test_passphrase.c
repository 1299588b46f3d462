/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "crypto/passphrase.h"

#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <pthread.h>
#include <sodium.h>

#include "crypto/random.h"
#include "crypto/sha2.h"
#include "support.h"

/* The vectors of doc/format.md, made by Python's hashlib and cryptography. */
#define PIN "kl1_aaaqeayeaudaocajbifqydiob626lqip" /* of the random bytes 00 to 0f */
#define MADE_UP "correct horse battery staple"
#define BY_HKDF "b49725a5975e30101455efc7cfd3f53ad79c1287ab6592048b48968bd251f933"
#define BY_ARGON2ID "f80ac21b527155e5f30009c685333978c5246d9dfda67f10391d2913bf5a8a0d"
#define BY_PBKDF2 "7b858d0abfa6153e49f39535c445b62a70d61c55cdcdc33e4bdc9dedecf47d6d"

static const struct kl_kdf_params hkdf = { .kdf = KL_KDF_HKDF, .salt = { 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31 } };
static const struct kl_kdf_params argon2id = {
    .kdf = KL_KDF_ARGON2ID, .passes = 3, .memory = 8192, .salt = { 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31 }
};
static const struct kl_kdf_params pbkdf2 = { .kdf = KL_KDF_PBKDF2,
                                             .passes = 100000,
                                             .salt = { 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31 } };

/* ---- libraries, as they may also be ---- */

static atomic_size_t work; /* how often a derivation was begun */

int __real_crypto_pwhash(unsigned char *out, unsigned long long out_len, const char *text, unsigned long long len,
                         const unsigned char *salt, unsigned long long passes, size_t memory, int algorithm);
int __wrap_crypto_pwhash(unsigned char *out, unsigned long long out_len, const char *text, unsigned long long len,
                         const unsigned char *salt, unsigned long long passes, size_t memory, int algorithm);
int __real_sodium_init(void);
int __wrap_sodium_init(void);
EVP_KDF_CTX *__real_EVP_KDF_CTX_new(EVP_KDF *kdf);
EVP_KDF_CTX *__wrap_EVP_KDF_CTX_new(EVP_KDF *kdf);
int __real_EVP_KDF_derive(EVP_KDF_CTX *ctx, unsigned char *key, size_t len, const OSSL_PARAM params[]);
int __wrap_EVP_KDF_derive(EVP_KDF_CTX *ctx, unsigned char *key, size_t len, const OSSL_PARAM params[]);
enum kl_rc __real_kl_sha2_finish(struct kl_sha2 *state, uint8_t *out);
enum kl_rc __wrap_kl_sha2_finish(struct kl_sha2 *state, uint8_t *out);
enum kl_rc __real_kl_secret_new(struct kl_secret *secret, size_t len);
enum kl_rc __wrap_kl_secret_new(struct kl_secret *secret, size_t len);

int __wrap_crypto_pwhash(unsigned char *out, unsigned long long out_len, const char *text, unsigned long long len,
                         const unsigned char *salt, unsigned long long passes, size_t memory, int algorithm)
{
    work++;
    return fails_now() ? -1 : __real_crypto_pwhash(out, out_len, text, len, salt, passes, memory, algorithm);
}

int __wrap_sodium_init(void)
{
    return fails_now() ? -1 : __real_sodium_init();
}

EVP_KDF_CTX *__wrap_EVP_KDF_CTX_new(EVP_KDF *kdf)
{
    work++;
    return fails_now() ? NULL : __real_EVP_KDF_CTX_new(kdf);
}

int __wrap_EVP_KDF_derive(EVP_KDF_CTX *ctx, unsigned char *key, size_t len, const OSSL_PARAM params[])
{
    return fails_now() ? 0 : __real_EVP_KDF_derive(ctx, key, len, params);
}

enum kl_rc __wrap_kl_sha2_finish(struct kl_sha2 *state, uint8_t *out)
{
    return fails_now() ? kl_fail(KL_CRYPTO, "as the test wants it") : __real_kl_sha2_finish(state, out);
}

enum kl_rc __wrap_kl_secret_new(struct kl_secret *secret, size_t len)
{
    return fails_now() ? KL_MEMORY : __real_kl_secret_new(secret, len);
}

static enum kl_rc of_counting(void *out, size_t len)
{
    for (size_t i = 0; i < len; i++) ((uint8_t *)out)[i] = (uint8_t)i;
    return KL_OK;
}

static enum kl_rc of_nothing(void *out, size_t len)
{
    memset(out, 0, len);
    return KL_NO_RANDOM;
}

/* ---- helpers ---- */

static bool derives(const struct kl_kdf_params *params, struct kl_view passphrase, const char *hex)
{
    KL_AUTO(kl_secret) key = { 0 };
    uint8_t ought[32];

    from_hex(hex, ought, 32);
    return kl_kdf_derive(params, passphrase, &key) == KL_OK && key.len == 32 && memcmp(key.data, ought, 32) == 0;
}

/* Refused with this code, no key, and before any work. */
static bool refuses(struct kl_kdf_params params, const char *passphrase, enum kl_rc code)
{
    KL_AUTO(kl_secret) key = { 0 };

    work = 0;
    kl_fail_forget();
    return kl_kdf_derive(&params, kl_view_text(passphrase), &key) == code && key.data == NULL && work == 0 && kl_fail_words()[0] != '\0';
}

/* ---- tests ---- */

static void each_derivation_gives_the_key_of_the_format_page(void)
{
    CU_ASSERT(derives(&hkdf, kl_view_text(PIN), BY_HKDF));
    CU_ASSERT(derives(&argon2id, kl_view_text(MADE_UP), BY_ARGON2ID));
    CU_ASSERT(derives(&pbkdf2, kl_view_text(MADE_UP), BY_PBKDF2));
}

static void another_passphrase_or_salt_gives_another_key(void)
{
    struct kl_kdf_params salted = hkdf;

    CU_ASSERT_FALSE(derives(&argon2id, kl_view_text(MADE_UP "."), BY_ARGON2ID));
    CU_ASSERT_FALSE(derives(&pbkdf2, kl_view_text("Correct horse battery staple"), BY_PBKDF2));
    salted.salt[15] ^= 1;
    CU_ASSERT_FALSE(derives(&salted, kl_view_text(PIN), BY_HKDF));
}

static void an_empty_passphrase_and_one_with_any_bytes_have_keys_too(void)
{
    static const uint8_t bytes[] = { 0, 'a', 0, 0xFF, 0 };
    KL_AUTO(kl_secret) a = { 0 };
    KL_AUTO(kl_secret) b = { 0 };
    KL_AUTO(kl_secret) c = { 0 };

    SAME(kl_kdf_derive(&argon2id, (struct kl_view){ NULL, 0 }, &a), KL_OK);
    SAME(kl_kdf_derive(&pbkdf2, (struct kl_view){ NULL, 0 }, &b), KL_OK);
    SAME(kl_kdf_derive(&argon2id, (struct kl_view){ bytes, 5 }, &c), KL_OK);
    CU_ASSERT_FALSE(kl_secret_equal(&a, &b));
    CU_ASSERT_FALSE(kl_secret_equal(&a, &c));
}

static void parameters_below_the_floor_or_above_the_cap_are_refused_before_any_work(void)
{
    static const uint32_t argon2id_passes[] = { 0, 17, UINT32_MAX };
    static const uint32_t argon2id_memory[] = { 0, 8191, (4U << 20) + 1, UINT32_MAX };
    static const uint32_t pbkdf2_passes[] = { 0, 1, 99999, 10000001, UINT32_MAX };

    for (size_t i = 0; i < COUNT(argon2id_passes); i++) {
        struct kl_kdf_params params = argon2id;

        params.passes = argon2id_passes[i];
        CU_ASSERT(refuses(params, MADE_UP, KL_INTEGRITY));
    }
    for (size_t i = 0; i < COUNT(argon2id_memory); i++) {
        struct kl_kdf_params params = argon2id;

        params.memory = argon2id_memory[i];
        CU_ASSERT(refuses(params, MADE_UP, KL_INTEGRITY));
    }
    for (size_t i = 0; i < COUNT(pbkdf2_passes); i++) {
        struct kl_kdf_params params = pbkdf2;

        params.passes = pbkdf2_passes[i];
        CU_ASSERT(refuses(params, MADE_UP, KL_INTEGRITY));
    }
}

static void what_a_derivation_does_not_use_must_be_zero(void)
{
    struct kl_kdf_params params = hkdf;

    params.passes = 1;
    CU_ASSERT(refuses(params, PIN, KL_INTEGRITY));
    params = hkdf;
    params.memory = 8192;
    CU_ASSERT(refuses(params, PIN, KL_INTEGRITY));
    params = pbkdf2;
    params.memory = 1;
    CU_ASSERT(refuses(params, MADE_UP, KL_INTEGRITY));
}

static void a_derivation_that_there_is_not_is_refused(void)
{
    struct kl_kdf_params params = hkdf;

    for (unsigned kdf = 0; kdf < 300; kdf++) {
        if (kdf >= KL_KDF_HKDF && kdf <= KL_KDF_PBKDF2) continue;
        params.kdf = (enum kl_kdf)kdf;
        CU_ASSERT(refuses(params, PIN, KL_INTEGRITY));
    }
}

static void what_a_person_made_up_never_gets_by_without_the_work(void)
{
    CU_ASSERT(refuses(hkdf, MADE_UP, KL_INTEGRITY));
    CU_ASSERT(refuses(hkdf, "", KL_INTEGRITY));
    CU_ASSERT(refuses(hkdf, "kl1_", KL_INTEGRITY));
    CU_ASSERT(refuses(hkdf, "kl1_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", KL_INTEGRITY));
}

static void fresh_parameters_fit_the_passphrase_and_have_a_salt_of_their_own(void)
{
    struct kl_kdf_params a;
    struct kl_kdf_params b;

    SAME(kl_kdf_params_for(kl_view_text(MADE_UP), 64 << 20, &a), KL_OK);
    SAME(a.kdf, KL_KDF_ARGON2ID);
    SAME(a.passes, 3);
    SAME(a.memory, 65536);
    SAME(kl_kdf_params_for(kl_view_text(MADE_UP), 64 << 20, &b), KL_OK);
    CU_ASSERT_NOT_EQUAL(memcmp(a.salt, b.salt, 16), 0);
    SAME(kl_kdf_params_for(kl_view_text(PIN), 64 << 20, &b), KL_OK);
    SAME(b.kdf, KL_KDF_HKDF);
    SAME(b.passes, 0);
    SAME(b.memory, 0);
    CU_ASSERT_FALSE(is_zero(b.salt, 16));
}

static void memory_out_of_range_is_refused_for_what_a_person_made_up(void)
{
    static const uint64_t sizes[] = {
        0, 1, (8 << 20) - 1, (UINT64_C(4) << 30) + 1024, (UINT64_C(8) << 20) + (UINT64_C(1) << 42), UINT64_MAX
    };
    struct kl_kdf_params params = { .kdf = KL_KDF_HKDF };

    for (size_t i = 0; i < COUNT(sizes); i++) {
        SAME(kl_kdf_params_for(kl_view_text(MADE_UP), sizes[i], &params), KL_ARG);
        SAME(kl_kdf_params_for(kl_view_text(PIN), sizes[i], &params), KL_OK);
    }
    SAME(kl_kdf_params_for(kl_view_text(MADE_UP), 8 << 20, &params), KL_OK);
    SAME(kl_kdf_params_for(kl_view_text(MADE_UP), UINT64_C(4) << 30, &params), KL_OK);
}

static void a_generated_pin_is_the_prefix_and_base32_of_random_bytes_and_checksum(void)
{
    enum kl_rc (*kernels)(void *, size_t) = kl_random_source;
    KL_AUTO(kl_secret) pin = { 0 };

    kl_random_source = of_counting;
    SAME(kl_pin_generate(&pin), KL_OK);
    kl_random_source = kernels;
    SAME(pin.len, KL_GENERATED_LEN);
    SAME(memcmp(pin.data, PIN, KL_GENERATED_LEN), 0);
}

static bool is_generated(struct kl_view pin)
{
    bool is = false;

    CU_ASSERT(kl_pin_recognize(pin, &is) == KL_OK);
    return is;
}

static void generated_pins_differ_and_are_recognized(void)
{
    uint8_t before[KL_GENERATED_LEN] = { 0 };

    for (int i = 0; i < 1000; i++) {
        KL_AUTO(kl_secret) pin = { 0 };

        SAME(kl_pin_generate(&pin), KL_OK);
        CU_ASSERT(is_generated(kl_secret_view(&pin)));
        CU_ASSERT_NOT_EQUAL(memcmp(pin.data, before, KL_GENERATED_LEN), 0);
        for (size_t c = 4; c < KL_GENERATED_LEN; c++)
            CU_ASSERT((pin.data[c] >= 'a' && pin.data[c] <= 'z') || (pin.data[c] >= '2' && pin.data[c] <= '7'));
        memcpy(before, pin.data, KL_GENERATED_LEN);
    }
}

static void no_other_character_anywhere_is_recognized(void)
{
    uint8_t pin[KL_GENERATED_LEN];

    memcpy(pin, PIN, sizeof pin);
    CU_ASSERT(is_generated((struct kl_view){ pin, sizeof pin }));
    for (size_t at = 0; at < sizeof pin; at++) {
        uint8_t right = pin[at];

        for (unsigned c = 0; c < 256; c++) {
            pin[at] = (uint8_t)c;
            SAME(is_generated((struct kl_view){ pin, sizeof pin }), c == right);
        }
        pin[at] = right;
    }
}

static void two_characters_changed_places_and_other_lengths_are_not_recognized(void)
{
    uint8_t pin[KL_GENERATED_LEN + 1] = PIN;

    for (size_t at = 4; at + 1 < KL_GENERATED_LEN; at++) {
        uint8_t one = pin[at];

        if (one == pin[at + 1]) continue;
        pin[at] = pin[at + 1];
        pin[at + 1] = one;
        CU_ASSERT_FALSE(is_generated((struct kl_view){ pin, KL_GENERATED_LEN }));
        pin[at + 1] = pin[at];
        pin[at] = one;
    }
    for (size_t len = 0; len <= sizeof pin; len++) SAME(is_generated((struct kl_view){ pin, len }), len == KL_GENERATED_LEN);
    CU_ASSERT_FALSE(is_generated((struct kl_view){ NULL, 0 }));
}

/* ---- failures ---- */

static struct kl_secret made;

static enum kl_rc do_hkdf(void)
{
    return kl_kdf_derive(&hkdf, kl_view_text(PIN), &made);
}

static enum kl_rc do_argon2id(void)
{
    return kl_kdf_derive(&argon2id, kl_view_text(MADE_UP), &made);
}

static enum kl_rc do_pbkdf2(void)
{
    return kl_kdf_derive(&pbkdf2, kl_view_text(MADE_UP), &made);
}

static enum kl_rc do_generate(void)
{
    return kl_pin_generate(&made);
}

static enum kl_rc do_params(void)
{
    struct kl_kdf_params params;

    return kl_kdf_params_for(kl_view_text(PIN), 0, &params);
}

static void any_call_that_fails_gives_an_error_and_no_key(void)
{
    bool recognized;
    static enum kl_rc (*const doings[])(void) = { do_hkdf, do_argon2id, do_pbkdf2, do_generate, do_params };

    for (size_t i = 0; i < COUNT(doings); i++) {
        int all;

        fail_the(0);
        SAME(doings[i](), KL_OK);
        kl_secret_clear(&made);
        all = calls;
        CU_ASSERT(all >= 1);
        for (int n = 1; n <= all; n++) {
            enum kl_rc rc;

            fail_the(n);
            rc = doings[i]();
            CU_ASSERT(rc == KL_MEMORY || rc == KL_CRYPTO);
            CU_ASSERT_PTR_NULL(made.data);
        }
    }
    fail_the(1);
    recognized = true;
    CU_ASSERT(kl_pin_recognize(kl_view_text(PIN), &recognized) != KL_OK && !recognized);
    fail_the(0);
}

static bool sodium_fails_for_good(void)
{
    fail_the(2); /* after the secret */
    return do_argon2id() == KL_CRYPTO && made.data == NULL && do_argon2id() == KL_CRYPTO && do_pbkdf2() == KL_OK;
}

static void a_libsodium_that_does_not_start_is_an_error_and_no_weaker_key(void)
{
    CU_ASSERT(in_child(sodium_fails_for_good));
}

static void without_random_numbers_there_is_no_pin_and_no_salt(void)
{
    enum kl_rc (*kernels)(void *, size_t) = kl_random_source;
    struct kl_kdf_params params = argon2id;

    kl_random_source = of_nothing;
    SAME(do_generate(), KL_NO_RANDOM);
    CU_ASSERT_PTR_NULL(made.data);
    SAME(kl_kdf_params_for(kl_view_text(PIN), 0, &params), KL_NO_RANDOM);
    SAME(memcmp(&params, &argon2id, sizeof params), 0);
    kl_random_source = kernels;
}

#define THREADS 8

static void *derive_all(void *wrong)
{
    *(bool *)wrong = !derives(&hkdf, kl_view_text(PIN), BY_HKDF) || !derives(&argon2id, kl_view_text(MADE_UP), BY_ARGON2ID) ||
                     !derives(&pbkdf2, kl_view_text(MADE_UP), BY_PBKDF2);
    return NULL;
}

/* In a child, where libsodium has not been started yet; without the counting, which is one thread's. */
static bool threads_agree(void)
{
    pthread_t threads[THREADS];
    bool wrong[THREADS];
    bool good = true;

    for (size_t i = 0; i < THREADS; i++) good = pthread_create(&threads[i], NULL, derive_all, &wrong[i]) == 0 && good;
    for (size_t i = 0; good && i < THREADS; i++) good = pthread_join(threads[i], NULL) == 0 && !wrong[i];
    return good;
}

static void threads_that_derive_for_the_first_time_at_once_all_get_their_keys(void)
{
    CU_ASSERT(in_child(threads_agree));
}

UNIT_MAIN("crypto/passphrase", UNIT(a_libsodium_that_does_not_start_is_an_error_and_no_weaker_key),
          UNIT(threads_that_derive_for_the_first_time_at_once_all_get_their_keys), UNIT(each_derivation_gives_the_key_of_the_format_page),
          UNIT(another_passphrase_or_salt_gives_another_key), UNIT(an_empty_passphrase_and_one_with_any_bytes_have_keys_too),
          UNIT(parameters_below_the_floor_or_above_the_cap_are_refused_before_any_work), UNIT(what_a_derivation_does_not_use_must_be_zero),
          UNIT(a_derivation_that_there_is_not_is_refused), UNIT(what_a_person_made_up_never_gets_by_without_the_work),
          UNIT(fresh_parameters_fit_the_passphrase_and_have_a_salt_of_their_own),
          UNIT(memory_out_of_range_is_refused_for_what_a_person_made_up),
          UNIT(a_generated_pin_is_the_prefix_and_base32_of_random_bytes_and_checksum), UNIT(generated_pins_differ_and_are_recognized),
          UNIT(no_other_character_anywhere_is_recognized), UNIT(two_characters_changed_places_and_other_lengths_are_not_recognized),
          UNIT(any_call_that_fails_gives_an_error_and_no_key), UNIT(without_random_numbers_there_is_no_pin_and_no_salt))
