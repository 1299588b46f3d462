/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Both ways to SHA-2 by themselves; that their results are right, test_hash.c shows by the vectors of others. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypto/sha2.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "config.h"
#include "crypto/fetched.h"
#include "support.h"

#define ROOM 400

static uint8_t text[ROOM];

/* ---- OpenSSL, as it may also be ---- */

#define WRAP(type, name, parameters) \
    type __real_##name parameters;   \
    type __wrap_##name parameters;   \
    type __wrap_##name parameters

static int contexts; /* that were not given back */
static int opened;   /* how often OpenSSL had to be open */

static bool fails_with_an_error(void)
{
    if (!fails_now()) return false;
    ERR_raise(ERR_LIB_USER, 300);
    return true;
}

WRAP(const EVP_MD *, kl_crypto_md, (enum kl_hash hash))
{
    opened++;
    if (!fails_now()) return __real_kl_crypto_md(hash);
    kl_fail(KL_CRYPTO, "as the test wants it");
    return NULL;
}

WRAP(EVP_MD_CTX *, EVP_MD_CTX_new, (void))
{
    if (fails_with_an_error()) return NULL;
    contexts++;
    return __real_EVP_MD_CTX_new();
}

WRAP(void, EVP_MD_CTX_free, (EVP_MD_CTX * ctx))
{
    if (ctx != NULL) contexts--;
    __real_EVP_MD_CTX_free(ctx);
}

WRAP(int, EVP_MD_CTX_copy_ex, (EVP_MD_CTX * out, const EVP_MD_CTX *in))
{
    return fails_with_an_error() ? 0 : __real_EVP_MD_CTX_copy_ex(out, in);
}

/* Pushes an error only where it asks for memory. */
WRAP(int, EVP_DigestInit_ex2, (EVP_MD_CTX * ctx, const EVP_MD *md, const OSSL_PARAM params[]))
{
    if (md != NULL ? fails_with_an_error() : fails_now()) return 0;
    return __real_EVP_DigestInit_ex2(ctx, md, params);
}

WRAP(int, EVP_DigestUpdate, (EVP_MD_CTX * ctx, const void *in, size_t len))
{
    return fails_now() ? 0 : __real_EVP_DigestUpdate(ctx, in, len);
}

WRAP(int, EVP_DigestFinal_ex, (EVP_MD_CTX * ctx, unsigned char *out, unsigned *len))
{
    return fails_now() ? 0 : __real_EVP_DigestFinal_ex(ctx, out, len);
}

#ifdef HAVE_DIRECT_SHA2

#define WRAP_SHA2(bits, type)                                                 \
    WRAP(int, SHA##bits##_Init, (type * state))                               \
    {                                                                         \
        return fails_now() ? 0 : __real_SHA##bits##_Init(state);              \
    }                                                                         \
    WRAP(int, SHA##bits##_Update, (type * state, const void *in, size_t len)) \
    {                                                                         \
        return fails_now() ? 0 : __real_SHA##bits##_Update(state, in, len);   \
    }                                                                         \
    WRAP(int, SHA##bits##_Final, (unsigned char *out, type *state))           \
    {                                                                         \
        return fails_now() ? 0 : __real_SHA##bits##_Final(out, state);        \
    }
WRAP_SHA2(256, SHA256_CTX)
WRAP_SHA2(384, SHA512_CTX)
WRAP_SHA2(512, SHA512_CTX)

#endif

/* ---- helpers ---- */

/* Runs the body by each way that this build has. */
static void by_each_way(void (*body)(enum kl_hash hash))
{
    for (enum kl_hash hash = KL_SHA256; hash < KL_HASHES; hash++) {
        kl_hash_use_providers(true);
        body(hash);
        kl_hash_use_providers(false);
        body(hash);
    }
}

static void begin(struct kl_sha2 *state, enum kl_hash hash)
{
    kl_sha2_blank(state);
    SAME(kl_sha2_begin(state, hash), KL_OK);
}

static bool finishes_as(struct kl_sha2 *state, enum kl_hash hash, size_t len)
{
    struct kl_view in = { text, len };
    uint8_t out[KL_HASH_MAX + 1], ought[KL_HASH_MAX];

    out[kl_hash_len(hash)] = 0x5A;
    SAME(kl_hash_parts(hash, &in, 1, ought), KL_OK);
    SAME(kl_sha2_finish(state, out), KL_OK);
    SAME(out[kl_hash_len(hash)], 0x5A);
    return memcmp(out, ought, kl_hash_len(hash)) == 0;
}

static void feed(struct kl_sha2 *state, size_t from, size_t to)
{
    SAME(kl_sha2_update(state, kl_view_of(text + from, to - from)), KL_OK);
}

/* ---- tests ---- */

static bool ways_agree_on(enum kl_hash hash, size_t len)
{
    uint8_t direct[KL_HASH_MAX], provided[KL_HASH_MAX];
    struct kl_view parts[2] = { { text, len / 3 }, { text + len / 3, len - len / 3 } };

    SAME(kl_hash_parts(hash, parts, 2, direct), KL_OK);
    kl_hash_use_providers(true);
    SAME(kl_hash_parts(hash, parts, 2, provided), KL_OK);
    kl_hash_use_providers(false);
    return memcmp(direct, provided, kl_hash_len(hash)) == 0;
}

static void both_ways_agree_on_every_length(void)
{
    for (enum kl_hash hash = KL_SHA256; hash < KL_HASHES; hash++)
        for (size_t len = 0; len <= ROOM; len++) CU_ASSERT(ways_agree_on(hash, len));
}

static void what_is_cut_at_any_place_is_the_whole(enum kl_hash hash)
{
    struct kl_sha2 state;

    begin(&state, hash);
    for (size_t cut = 0; cut <= 300; cut++) {
        SAME(kl_sha2_begin(&state, hash), KL_OK);
        feed(&state, 0, cut);
        feed(&state, cut, 300);
        CU_ASSERT(finishes_as(&state, hash, 300));
    }
    kl_sha2_drop(&state);
}

static void a_message_in_parts_is_what_it_is_whole(void)
{
    by_each_way(what_is_cut_at_any_place_is_the_whole);
}

static void copies_are_alone(enum kl_hash hash)
{
    struct kl_sha2 state, copy;

    begin(&state, hash);
    kl_sha2_blank(&copy);
    feed(&state, 0, 77);
    for (int i = 0; i < 3; i++) {
        SAME(kl_sha2_copy(&copy, &state), KL_OK);
        feed(&copy, 77, 200);
        CU_ASSERT(finishes_as(&copy, hash, 200));
    }
    CU_ASSERT(finishes_as(&state, hash, 77));
    kl_sha2_drop(&state);
    SAME(kl_sha2_begin(&copy, hash), KL_OK);
    CU_ASSERT(finishes_as(&copy, hash, 0));
    kl_sha2_drop(&copy);
    SAME(contexts, 0);
}

static void a_copy_goes_on_without_its_original(void)
{
    by_each_way(copies_are_alone);
}

static void beginnings_are_new(enum kl_hash hash)
{
    struct kl_sha2 state;

    begin(&state, hash);
    feed(&state, 0, 300);
    SAME(kl_sha2_begin(&state, hash), KL_OK);
    feed(&state, 0, 5);
    CU_ASSERT(finishes_as(&state, hash, 5));
    kl_sha2_drop(&state);
    SAME(contexts, 0);
}

static void a_message_begun_in_the_middle_of_another_is_whole(void)
{
    by_each_way(beginnings_are_new);
}

static void over_its_input(enum kl_hash hash)
{
    struct kl_sha2 state;
    uint8_t mine[KL_HASH_MAX], ought[KL_HASH_MAX];
    struct kl_view in = { mine, sizeof mine };

    memcpy(mine, text, sizeof mine);
    SAME(kl_hash_parts(hash, &in, 1, ought), KL_OK);
    begin(&state, hash);
    SAME(kl_sha2_update(&state, in), KL_OK);
    SAME(kl_sha2_finish(&state, mine), KL_OK);
    CU_ASSERT(memcmp(mine, ought, kl_hash_len(hash)) == 0);
    kl_sha2_drop(&state);
}

static void the_output_may_lie_over_the_input(void)
{
    by_each_way(over_its_input);
}

static void dropping_gives_back(enum kl_hash hash)
{
    struct kl_sha2 state;

    begin(&state, hash);
    feed(&state, 0, 100);
    SAME(contexts, state.ops == &kl_sha2_provided ? 1 : 0);
    kl_sha2_drop(&state);
    CU_ASSERT_PTR_NULL(state.ops);
    SAME(contexts, 0);
    kl_sha2_drop(&state);
    SAME(contexts, 0);
}

static void a_dropped_state_is_blank_and_may_be_dropped_again(void)
{
    by_each_way(dropping_gives_back);
}

static void the_way_is_chosen_when_a_state_begins(void)
{
    struct kl_sha2 state, copy;

    kl_hash_use_providers(true);
    begin(&state, KL_SHA256);
    CU_ASSERT_PTR_EQUAL(state.ops, &kl_sha2_provided);
    kl_hash_use_providers(false);
    SAME(kl_sha2_begin(&state, KL_SHA256), KL_OK);
    CU_ASSERT_PTR_EQUAL(state.ops, &kl_sha2_provided);
    kl_sha2_blank(&copy);
    SAME(kl_sha2_copy(&copy, &state), KL_OK);
    CU_ASSERT_PTR_EQUAL(copy.ops, &kl_sha2_provided);
    kl_sha2_drop(&copy);
    kl_sha2_drop(&state);
    begin(&state, KL_SHA256);
    CU_ASSERT_PTR_EQUAL(state.ops, kl_sha2_direct(KL_SHA256) != NULL ? kl_sha2_direct(KL_SHA256) : &kl_sha2_provided);
    kl_sha2_drop(&state);
}

/* A process that only hashes is to load no provider. */
static void openssl_is_opened_for_a_provider_alone(void)
{
    struct kl_view in = { text, 200 };
    uint8_t out[KL_HASH_MAX];

    opened = 0;
    SAME(kl_hkdf(KL_SHA256, in, in, in, out, sizeof out), KL_OK);
    CU_ASSERT(kl_sha2_direct(KL_SHA256) != NULL ? opened == 0 : opened > 0);
    kl_hash_use_providers(true);
    SAME(kl_hkdf(KL_SHA256, in, in, in, out, sizeof out), KL_OK);
    kl_hash_use_providers(false);
    CU_ASSERT(opened > 0);
}

/* ---- what fails ---- */

static enum kl_rc use(struct kl_sha2 *state, struct kl_sha2 *copy, enum kl_hash hash)
{
    uint8_t out[KL_HASH_MAX];

    KL_TRY(kl_sha2_begin(state, hash));
    KL_TRY(kl_sha2_update(state, kl_view_of(text, 100)));
    KL_TRY(kl_sha2_copy(copy, state));
    KL_TRY(kl_sha2_finish(copy, out));
    KL_TRY(kl_sha2_finish(state, out));
    return kl_sha2_begin(state, hash);
}

static void each_call_fails(enum kl_hash hash)
{
    bool has = true;

    for (int n = 1; has; n++) {
        struct kl_sha2 state, copy;
        enum kl_rc rc;

        kl_sha2_blank(&state);
        kl_sha2_blank(&copy);
        ERR_clear_error();
        ERR_raise(ERR_LIB_USER, 100);
        kl_fail_forget();
        fail_the(n);
        rc = use(&state, &copy, hash);
        has = has_failed();
        fail_the(0);
        CU_ASSERT(has || n > 5);
        SAME(rc, has ? KL_CRYPTO : KL_OK);
        CU_ASSERT(!has || kl_fail_words()[0] != '\0');
        SAME(ERR_GET_REASON(ERR_get_error()), 100);
        SAME(ERR_get_error(), 0);
        SAME(use(&state, &copy, hash), KL_OK);
        kl_sha2_drop(&copy);
        kl_sha2_drop(&state);
        SAME(contexts, 0);
    }
}

static void any_call_that_fails_is_said_and_the_state_can_be_used_again(void)
{
    by_each_way(each_call_fails);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        UNIT(openssl_is_opened_for_a_provider_alone),
        UNIT(both_ways_agree_on_every_length),
        UNIT(a_message_in_parts_is_what_it_is_whole),
        UNIT(a_copy_goes_on_without_its_original),
        UNIT(a_message_begun_in_the_middle_of_another_is_whole),
        UNIT(the_output_may_lie_over_the_input),
        UNIT(a_dropped_state_is_blank_and_may_be_dropped_again),
        UNIT(the_way_is_chosen_when_a_state_begins),
        UNIT(any_call_that_fails_is_said_and_the_state_can_be_used_again),
    };

    scatter(text, sizeof text);
    return unit_run("crypto/sha2", tests, COUNT(tests));
}
