/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The engines when OpenSSL fails, and `openssl` with more bytes than its int can count. */
#include <openssl/evp.h>

#include "base/secret.h"
#include "crypto/aead.h"
#include "support.h"

/* ---- OpenSSL and the arena, counted and made to fail ---- */

static int live;       /* cipher contexts */
static size_t rooms;   /* of the arena */
static bool pretends;  /* updates only count */
static size_t longest; /* update so far */
static size_t updates;

EVP_CIPHER_CTX *__real_EVP_CIPHER_CTX_new(void);
void __real_EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *ctx);
int __real_EVP_CipherInit_ex2(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher, const unsigned char *key, const unsigned char *iv, int enc,
                              const OSSL_PARAM params[]);
int __real_EVP_CipherUpdate(EVP_CIPHER_CTX *ctx, unsigned char *out, int *done, const unsigned char *in, int len);
int __real_EVP_CipherFinal_ex(EVP_CIPHER_CTX *ctx, unsigned char *out, int *done);
int __real_EVP_CIPHER_CTX_ctrl(EVP_CIPHER_CTX *ctx, int type, int arg, void *ptr);
void *__real_kl_arena_new(size_t size);
void __real_kl_arena_free(void *room, size_t size);
EVP_CIPHER_CTX *__wrap_EVP_CIPHER_CTX_new(void);
void __wrap_EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *ctx);
int __wrap_EVP_CipherInit_ex2(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher, const unsigned char *key, const unsigned char *iv, int enc,
                              const OSSL_PARAM params[]);
int __wrap_EVP_CipherUpdate(EVP_CIPHER_CTX *ctx, unsigned char *out, int *done, const unsigned char *in, int len);
int __wrap_EVP_CipherFinal_ex(EVP_CIPHER_CTX *ctx, unsigned char *out, int *done);
int __wrap_EVP_CIPHER_CTX_ctrl(EVP_CIPHER_CTX *ctx, int type, int arg, void *ptr);
void *__wrap_kl_arena_new(size_t size);
void __wrap_kl_arena_free(void *room, size_t size);

EVP_CIPHER_CTX *__wrap_EVP_CIPHER_CTX_new(void)
{
    if (fails_now()) return NULL;
    live++;
    return __real_EVP_CIPHER_CTX_new();
}

void __wrap_EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *ctx)
{
    if (ctx != NULL) live--;
    __real_EVP_CIPHER_CTX_free(ctx);
}

int __wrap_EVP_CipherInit_ex2(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher, const unsigned char *key, const unsigned char *iv, int enc,
                              const OSSL_PARAM params[])
{
    return fails_now() ? 0 : __real_EVP_CipherInit_ex2(ctx, cipher, key, iv, enc, params);
}

int __wrap_EVP_CipherUpdate(EVP_CIPHER_CTX *ctx, unsigned char *out, int *done, const unsigned char *in, int len)
{
    updates++;
    if ((size_t)len > longest) longest = (size_t)len;
    if (pretends) {
        *done = len;
        return len > 0;
    }
    return fails_now() ? 0 : __real_EVP_CipherUpdate(ctx, out, done, in, len);
}

int __wrap_EVP_CipherFinal_ex(EVP_CIPHER_CTX *ctx, unsigned char *out, int *done)
{
    return fails_now() ? 0 : __real_EVP_CipherFinal_ex(ctx, out, done);
}

int __wrap_EVP_CIPHER_CTX_ctrl(EVP_CIPHER_CTX *ctx, int type, int arg, void *ptr)
{
    return fails_now() ? 0 : __real_EVP_CIPHER_CTX_ctrl(ctx, type, arg, ptr);
}

void *__wrap_kl_arena_new(size_t size)
{
    if (fails_now()) return NULL;
    rooms++;
    return __real_kl_arena_new(size);
}

void __wrap_kl_arena_free(void *room, size_t size)
{
    if (room != NULL) rooms--;
    __real_kl_arena_free(room, size);
}

/* ---- one piece of work, of which each call fails in turn ---- */

#define LEN 100

static const uint8_t key[32] = { 1 }, iv[40] = { 2 }, aad[20] = { 3 }, plain[LEN] = { 4 };
static uint8_t out[LEN], tag[16], right[LEN], right_tag[16];
static enum kl_aead_algorithm algorithm;
static struct kl_aead_params params;
static struct kl_aead *aead;

static enum kl_rc do_new(void)
{
    return kl_aead_new_with(KL_ENGINE_OPENSSL, algorithm, (struct kl_view){ key, 32 }, &aead);
}

static enum kl_rc do_seal(void)
{
    return kl_aead_seal(aead, &params, (struct kl_view){ plain, LEN }, out, tag);
}

static enum kl_rc do_open(void)
{
    memcpy(tag, right_tag, 16);
    return kl_aead_open(aead, &params, (struct kl_view){ right, LEN }, tag, out);
}

static enum kl_rc do_parts(void)
{
    KL_TRY(kl_aead_start(aead, &params));
    memset(out, 0, LEN); /* what a failed start leaves is the caller's own */
    memset(tag, 0, 16);
    KL_TRY(kl_aead_update(aead, (struct kl_view){ plain, LEN }, out));
    return kl_aead_finish(aead, tag, 16);
}

static bool prepare(enum kl_aead_algorithm which, size_t iv_len)
{
    fail_the(0);
    algorithm = which;
    params = (struct kl_aead_params){ .iv = { iv, iv_len }, .aad = { aad, 20 }, .tag_len = 16 };
    if (do_new() != KL_OK || do_seal() != KL_OK) return false;
    memcpy(right, out, LEN);
    memcpy(right_tag, tag, 16);
    kl_aead_free(aead);
    return live == 0 && rooms == 0;
}

/* From nothing to the end of the operation; what a failure left behind; then the same operation again, on the same context. */
static bool one_failure(enum kl_rc (*operation)(void), const uint8_t *ought, int number_of_call)
{
    enum kl_rc rc;
    bool good;

    aead = NULL;
    memset(out, 0x55, LEN);
    memset(tag, 0x55, 16);
    fail_the(number_of_call);
    rc = do_new();
    if (rc != KL_OK) return aead == NULL && live == 0 && rooms == 0 && (rc == KL_MEMORY || rc == KL_CRYPTO);
    rc = operation();
    good = rc == KL_MEMORY || rc == KL_CRYPTO || (operation == do_open && rc == KL_CIPHERTEXT);
    if (operation != do_parts) good = good && is_zero(out, LEN) && (operation == do_open || is_zero(tag, 16));
    fail_the(0);
    good = good && operation() == KL_OK && memcmp(out, ought, LEN) == 0 && memcmp(tag, right_tag, 16) == 0;
    kl_aead_free(aead);
    return good && live == 0 && rooms == 0;
}

/* How many calls there are when all goes well. */
static int calls_of(enum kl_rc (*operation)(void))
{
    int all;

    fail_the(0);
    if (do_new() != KL_OK || operation() != KL_OK) return 0;
    all = calls;
    kl_aead_free(aead);
    return all;
}

static void each_fails_in_turn(enum kl_rc (*operation)(void), const uint8_t *ought)
{
    static const struct {
        enum kl_aead_algorithm algorithm;
        size_t iv_len;
    } cases[] = { { KL_AEAD_AES_GCM, 12 }, { KL_AEAD_AES_GCM, 40 }, { KL_AEAD_CHACHA20_POLY1305, 12 }, { KL_AEAD_XAES_256_GCM, 24 } };

    for (size_t i = 0; i < COUNT(cases); i++) {
        int all;

        CU_ASSERT(prepare(cases[i].algorithm, cases[i].iv_len));
        all = calls_of(operation);
        CU_ASSERT(all >= 8);
        for (int n = 1; n <= all; n++) CU_ASSERT(one_failure(operation, ought, n));
    }
}

/* ---- tests ---- */

static void a_seal_of_which_any_call_fails_leaves_zeroes_and_works_again(void)
{
    each_fails_in_turn(do_seal, right);
}

static void an_open_of_which_any_call_fails_leaves_zeroes_and_works_again(void)
{
    each_fails_in_turn(do_open, plain);
}

static void a_stream_of_which_any_call_fails_ends_and_works_again(void)
{
    each_fails_in_turn(do_parts, right);
}

static void a_part_that_fails_is_zeroed_and_ends_the_stream(void)
{
    CU_ASSERT(prepare(KL_AEAD_AES_GCM, 12));
    SAME(do_new(), KL_OK);
    SAME(kl_aead_start(aead, &params), KL_OK);
    memset(out, 0x55, LEN);
    fail_the(1);
    SAME(kl_aead_update(aead, (struct kl_view){ plain, LEN }, out), KL_CRYPTO);
    fail_the(0);
    CU_ASSERT(is_zero(out, LEN));
    SAME(kl_aead_update(aead, (struct kl_view){ plain, LEN }, out), KL_ARG);
    SAME(kl_aead_finish(aead, tag, 16), KL_ARG);
    kl_aead_free(aead);
}

static void a_key_is_expanded_once_for_each_direction(void)
{
    CU_ASSERT(prepare(KL_AEAD_AES_GCM, 12));
    SAME(do_new(), KL_OK);
    SAME(live, 0);
    for (int i = 0; i < 50; i++) SAME(do_seal(), KL_OK);
    SAME(live, 1);
    for (int i = 0; i < 50; i++) SAME(do_open(), KL_OK);
    SAME(live, 2);
    kl_aead_free(aead);
    SAME(live, 0);
    SAME(rooms, 0);
}

static void more_than_an_int_can_count_goes_in_pieces(void)
{
    const size_t len = ((size_t)3 << 30) + 17;
    uint8_t *far = nowhere();

    CU_ASSERT(prepare(KL_AEAD_AES_GCM, 12));
    SAME(do_new(), KL_OK);
    params.aad = (struct kl_view){ far, len };
    pretends = true;
    longest = updates = 0;
    SAME(kl_aead_seal(aead, &params, (struct kl_view){ far, len }, far, tag), KL_OK);
    SAME(updates, 8);
    CU_ASSERT(longest <= 1 << 30);
    pretends = false;
    kl_aead_free(aead);
}

static void a_stream_ends_where_gcm_ends(void)
{
    const size_t part = (size_t)1 << 33;
    uint8_t *far = nowhere();
    size_t left = KL_GCM_DATA_MAX;

    CU_ASSERT(prepare(KL_AEAD_AES_GCM, 12));
    SAME(do_new(), KL_OK);
    SAME(kl_aead_start(aead, &params), KL_OK);
    pretends = true;
    for (; left > part; left -= part) SAME(kl_aead_update(aead, (struct kl_view){ far, part }, far), KL_OK);
    SAME(kl_aead_update(aead, (struct kl_view){ far, left - 1 }, far), KL_OK);
    SAME(kl_aead_update(aead, (struct kl_view){ far, 1 }, far), KL_OK);
    SAME(kl_aead_update(aead, (struct kl_view){ far, 1 }, far), KL_DATA_LENGTH);
    pretends = false;
    SAME(kl_aead_finish(aead, tag, 16), KL_ARG);
    kl_aead_free(aead);
}

UNIT_MAIN("crypto/aead_openssl", UNIT(a_seal_of_which_any_call_fails_leaves_zeroes_and_works_again),
          UNIT(an_open_of_which_any_call_fails_leaves_zeroes_and_works_again), UNIT(a_stream_of_which_any_call_fails_ends_and_works_again),
          UNIT(a_part_that_fails_is_zeroed_and_ends_the_stream), UNIT(a_key_is_expanded_once_for_each_direction),
          UNIT(more_than_an_int_can_count_goes_in_pieces), UNIT(a_stream_ends_where_gcm_ends))
