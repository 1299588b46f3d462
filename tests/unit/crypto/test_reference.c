/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The floor of `keyladder bench` does the whole work: what it gives is what the rest of this room gives. */
#include "crypto/reference.h"

#include "crypto/aead.h"
#include "crypto/hash.h"
#include "failing_evp.h"

enum { TEXT = 100, TAG = 16 };

static const uint8_t zeros[TEXT + TAG];

static struct kl_view zero(size_t len)
{
    return kl_view_of(zeros, len);
}

static struct kl_reference *made(enum kl_reference_work work, size_t size)
{
    struct kl_reference *reference = NULL;

    SAME(kl_reference_new(work, size, &reference), KL_OK);
    return reference;
}

/* Zeros under a key of zeros with the IV of the n-th time. */
static void sealed(enum kl_aead_algorithm algorithm, uint64_t nth, uint8_t out[TEXT + TAG])
{
    uint8_t iv[12] = { 0 };
    struct kl_aead_params params = { .iv = kl_view_of(iv, sizeof iv), .aad = zero(16), .tag_len = TAG };
    struct kl_aead *aead = NULL;

    memcpy(iv + 4, &nth, sizeof nth);
    SAME(kl_aead_new(algorithm, zero(32), &aead), KL_OK);
    SAME(kl_aead_seal(aead, &params, zero(TEXT), out, out + TEXT), KL_OK);
    kl_aead_free(aead);
}

static void check_seal(enum kl_reference_work work, enum kl_aead_algorithm algorithm)
{
    struct kl_reference *reference = made(work, TEXT);
    uint8_t expected[TEXT + TAG];

    for (uint64_t nth = 1; nth <= 5; nth += 2) {
        sealed(algorithm, nth, expected);
        CU_ASSERT_TRUE(kl_reference_run(reference, nth == 1 ? 1 : 2));
        CU_ASSERT_TRUE(kl_view_is(kl_reference_result(reference), kl_view_of(expected, sizeof expected)));
    }
    kl_reference_free(reference);
}

static void sealing_takes_a_new_iv_each_time_and_gives_ciphertext_and_tag(void)
{
    check_seal(KL_REFERENCE_GCM_SEAL, KL_AEAD_AES_GCM);
    check_seal(KL_REFERENCE_CHACHA_SEAL, KL_AEAD_CHACHA20_POLY1305);
}

static void opening_gives_the_plaintext_back(void)
{
    for (int i = 0; i < 2; i++) {
        struct kl_reference *reference = made(i == 0 ? KL_REFERENCE_GCM_OPEN : KL_REFERENCE_CHACHA_OPEN, TEXT);

        CU_ASSERT_TRUE(kl_reference_run(reference, 3));
        CU_ASSERT_TRUE(kl_view_is(kl_reference_result(reference), zero(TEXT)));
        kl_reference_free(reference);
    }
}

static void a_mac_is_the_mac_each_time(void)
{
    struct kl_reference *reference = made(KL_REFERENCE_HMAC, 1);
    struct kl_view text = zero(1);
    uint8_t expected[KL_HASH_MAX];

    SAME(kl_hmac_parts(KL_SHA256, zero(32), &text, 1, expected), KL_OK);
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_TRUE(kl_reference_run(reference, 2));
        CU_ASSERT_TRUE(kl_view_is(kl_reference_result(reference), kl_view_of(expected, 32)));
    }
    kl_reference_free(reference);
}

static void a_derived_key_has_a_new_salt_each_time(void)
{
    struct kl_reference *reference = made(KL_REFERENCE_HKDF, 32);
    uint8_t salt[32] = { 0 }, expected[32];

    for (int i = 0; i < 3; i++) {
        salt[0]++;
        SAME(kl_hkdf(KL_SHA256, kl_view_of(salt, sizeof salt), zero(32), zero(16), expected, sizeof expected), KL_OK);
        CU_ASSERT_TRUE(kl_reference_run(reference, 1));
        CU_ASSERT_TRUE(kl_view_is(kl_reference_result(reference), kl_view_of(expected, 32)));
    }
    kl_reference_free(reference);
}

static void what_it_cannot_do_is_refused(void)
{
    struct kl_reference *reference = NULL;

    SAME(kl_reference_new(KL_REFERENCE_WORKS, 64, &reference), KL_ARG);
    SAME(kl_reference_new(KL_REFERENCE_GCM_SEAL, 0, &reference), KL_ARG);
    SAME(kl_reference_new(KL_REFERENCE_GCM_SEAL, ((size_t)1 << 30) + 1, &reference), KL_ARG);
    CU_ASSERT_PTR_NULL(reference);
    kl_reference_free(NULL);
}

static void every_call_that_fails_while_it_is_made_is_told(void)
{
    for (enum kl_reference_work work = 0; work < KL_REFERENCE_WORKS; work++) {
        int failures = 0;

        for (int at = 1;; at++) {
            struct kl_reference *reference = NULL;
            enum kl_rc rc;

            fail_the(at);
            rc = kl_reference_new(work, TEXT, &reference);
            if (!has_failed()) {
                fail_the(0);
                SAME(rc, KL_OK);
                kl_reference_free(reference);
                break;
            }
            fail_the(0);
            failures++;
            CU_ASSERT_TRUE(rc == KL_MEMORY || rc == KL_CRYPTO);
            CU_ASSERT_PTR_NULL(reference);
        }
        /* Three rooms at the least: itself, and what goes in and comes out. */
        CU_ASSERT_TRUE(failures >= 3);
    }
}

static void a_run_that_fails_says_so(void)
{
    for (enum kl_reference_work work = KL_REFERENCE_GCM_SEAL; work <= KL_REFERENCE_CHACHA_OPEN; work++) {
        struct kl_reference *reference = made(work, TEXT);
        int at = 1;

        for (;; at++) {
            bool done;

            fail_the(at);
            done = kl_reference_run(reference, 1);
            if (!has_failed()) {
                fail_the(0);
                CU_ASSERT_TRUE(done);
                break;
            }
            fail_the(0);
            CU_ASSERT_FALSE(done);
        }
        /* IV, associated data, text, end and tag can each fail. */
        CU_ASSERT_TRUE(at > 5);
        kl_reference_free(reference);
    }
}

static void the_version_is_that_of_the_library(void)
{
    CU_ASSERT_EQUAL(strncmp(kl_reference_version(), "OpenSSL ", 8), 0);
}

UNIT_MAIN("crypto/reference", UNIT(sealing_takes_a_new_iv_each_time_and_gives_ciphertext_and_tag), UNIT(opening_gives_the_plaintext_back),
          UNIT(a_mac_is_the_mac_each_time), UNIT(a_derived_key_has_a_new_salt_each_time), UNIT(what_it_cannot_do_is_refused),
          UNIT(every_call_that_fails_while_it_is_made_is_told), UNIT(a_run_that_fails_says_so), UNIT(the_version_is_that_of_the_library))
