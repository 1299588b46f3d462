/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "crypto/digest.h"

#include "failing_evp.h"

#define ROOM 400

static uint8_t text[ROOM];

static struct kl_digest *made(enum kl_hash hash)
{
    struct kl_digest *digest = NULL;

    SAME(kl_digest_new(hash, &digest), KL_OK);
    return digest;
}

/* A message in parts of `step` bytes. */
static enum kl_rc run(struct kl_digest *digest, struct kl_view in, size_t step, uint8_t *out)
{
    KL_TRY(kl_digest_start(digest));
    while (in.len > 0) {
        size_t len = in.len < step ? in.len : step;

        KL_TRY(kl_digest_update(digest, (struct kl_view){ in.data, len }));
        in = (struct kl_view){ in.data + len, in.len - len };
    }
    return kl_digest_finish(digest, out);
}

/* FIPS 180-4's "abc". */
static void abc_has_the_digests_that_everybody_knows(void)
{
    static const char *const ought[KL_HASHES] = {
        [KL_SHA256] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        [KL_SHA384] = "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
        [KL_SHA512] = ("ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd"
                       "454d4423643ce80e2a9ac94fa54ca49f"),
    };

    for (enum kl_hash hash = KL_SHA256; hash < KL_HASHES; hash++) {
        uint8_t out[KL_HASH_MAX], known[KL_HASH_MAX];
        struct kl_digest *digest = made(hash);

        SAME(from_hex(ought[hash], known, sizeof known), kl_hash_len(hash));
        SAME(run(digest, kl_view_text("abc"), 2, out), KL_OK);
        CU_ASSERT(memcmp(out, known, kl_hash_len(hash)) == 0);
        kl_digest_free(digest);
    }
}

static void any_cut_into_parts_gives_what_one_call_gives(void)
{
    scatter(text, sizeof text);
    for (enum kl_hash hash = KL_SHA256; hash < KL_HASHES; hash++) {
        struct kl_digest *digest = made(hash);

        for (size_t len = 0; len <= ROOM; len += len < 260 ? 1 : 28) {
            struct kl_view in = { text, len };
            uint8_t whole[KL_HASH_MAX], out[KL_HASH_MAX + 1];

            out[kl_hash_len(hash)] = 0x5A;
            SAME(kl_hash_parts(hash, &in, 1, whole), KL_OK);
            for (size_t step = 1; step <= len || step == 1; step += 1 + step / 3) {
                SAME(run(digest, in, step, out), KL_OK);
                CU_ASSERT(memcmp(out, whole, kl_hash_len(hash)) == 0);
            }
            SAME(out[kl_hash_len(hash)], 0x5A);
        }
        kl_digest_free(digest);
    }
}

static void a_message_begun_in_the_middle_of_another_is_whole(void)
{
    struct kl_digest *digest = made(KL_SHA384);
    struct kl_view in = { text, 100 };
    uint8_t out[KL_HASH_MAX], whole[KL_HASH_MAX];

    SAME(kl_hash_parts(KL_SHA384, &in, 1, whole), KL_OK);
    SAME(kl_digest_start(digest), KL_OK);
    SAME(kl_digest_update(digest, (struct kl_view){ text, 77 }), KL_OK);
    SAME(run(digest, in, 100, out), KL_OK);
    CU_ASSERT(memcmp(out, whole, 48) == 0);
    kl_digest_free(digest);
}

static void a_context_is_made_once(void)
{
    struct kl_digest *digest = made(KL_SHA256);
    uint8_t out[KL_HASH_MAX];
    int before = live;

    for (int i = 0; i < 50; i++) SAME(run(digest, (struct kl_view){ text, 100 }, 64, out), KL_OK);
    SAME(live, before);
    kl_digest_free(digest);
    SAME(live, before - 2); /* its room, and the state in it */
}

static void nothing_is_hashed_before_a_start_or_after_the_end(void)
{
    struct kl_digest *digest = made(KL_SHA256);
    uint8_t out[KL_HASH_MAX];

    SAME(kl_digest_update(digest, (struct kl_view){ text, 1 }), KL_ARG);
    SAME(kl_digest_finish(digest, out), KL_ARG);
    SAME(kl_digest_start(digest), KL_OK);
    SAME(kl_digest_update(digest, (struct kl_view){ NULL, 0 }), KL_OK);
    SAME(kl_digest_finish(digest, out), KL_OK);
    SAME(kl_digest_finish(digest, out), KL_ARG);
    SAME(kl_digest_update(digest, (struct kl_view){ text, 1 }), KL_ARG);
    SAME(kl_digest_update(digest, (struct kl_view){ NULL, 0 }), KL_ARG);
    kl_digest_free(digest);
    kl_digest_free(NULL);
}

static uint8_t right[KL_HASH_MAX];

static enum kl_rc parts(struct kl_digest *digest, uint8_t *out)
{
    KL_TRY(kl_digest_start(digest));
    KL_TRY(kl_digest_update(digest, (struct kl_view){ text, 70 }));
    KL_TRY(kl_digest_update(digest, (struct kl_view){ text + 70, 130 }));
    memset(out, 0x5A, KL_HASH_MAX);
    return kl_digest_finish(digest, out);
}

static enum kl_rc whole_message(void)
{
    struct kl_digest *digest = NULL;
    uint8_t out[KL_HASH_MAX] = { 0 };
    enum kl_rc rc = kl_digest_new(KL_SHA512, &digest);

    if (rc != KL_OK) {
        CU_ASSERT_PTR_NULL(digest);
        return rc;
    }
    rc = parts(digest, out);
    if (rc != KL_OK) {
        CU_ASSERT(is_zero(out, sizeof out));
        SAME(kl_digest_finish(digest, out), KL_ARG);
        SAME(parts(digest, out), KL_OK);
    }
    CU_ASSERT(memcmp(out, right, sizeof out) == 0);
    kl_digest_free(digest);
    return rc;
}

static void a_message_of_which_any_call_fails_ends_and_works_again(void)
{
    struct kl_view in = { text, 200 };

    SAME(kl_hash_parts(KL_SHA512, &in, 1, right), KL_OK);
    each_call_fails_in_turn(whole_message, 6);
}

UNIT_MAIN_BOTH_WAYS("crypto/digest", UNIT(abc_has_the_digests_that_everybody_knows), UNIT(any_cut_into_parts_gives_what_one_call_gives),
                    UNIT(a_message_begun_in_the_middle_of_another_is_whole), UNIT(a_context_is_made_once),
                    UNIT(nothing_is_hashed_before_a_start_or_after_the_end), UNIT(a_message_of_which_any_call_fails_ends_and_works_again))
