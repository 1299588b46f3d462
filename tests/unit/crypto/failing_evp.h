/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * OpenSSL, SHA-2 and the arena, counted and made to fail, for tests that link with
 * failing_evp_ldflags. A call that may push an error when it really fails does so here too.
 */
#ifndef KL_TESTS_UNIT_CRYPTO_FAILING_EVP_H
#define KL_TESTS_UNIT_CRYPTO_FAILING_EVP_H

#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/secret.h"
#include "crypto/sha2.h"
#include "support.h"

static atomic_int live; /* contexts of OpenSSL, SHA-2 states and rooms of the arena that were not given back */
static size_t updates;  /* of ciphers */
static size_t longest;  /* cipher update so far */
static bool pretends;   /* cipher updates only count */
static unsigned loaded; /* fetches */

static inline bool fails_with_an_error(void)
{
    if (!fails_now()) return false;
    ERR_raise(ERR_LIB_USER, 300);
    return true;
}

/* Gives its result also on to whoever counts. */
#define WRAP(type, name, parameters) \
    type __real_##name parameters;   \
    type __wrap_##name parameters;   \
    type __wrap_##name parameters

WRAP(EVP_CIPHER *, EVP_CIPHER_fetch, (OSSL_LIB_CTX * lib, const char *name, const char *properties))
{
    loaded++;
    return fails_with_an_error() ? NULL : __real_EVP_CIPHER_fetch(lib, name, properties);
}

WRAP(EVP_CIPHER_CTX *, EVP_CIPHER_CTX_new, (void))
{
    if (fails_with_an_error()) return NULL;
    live++;
    return __real_EVP_CIPHER_CTX_new();
}

WRAP(void, EVP_CIPHER_CTX_free, (EVP_CIPHER_CTX * ctx))
{
    if (ctx != NULL) live--;
    __real_EVP_CIPHER_CTX_free(ctx);
}

WRAP(int, EVP_CipherInit_ex2,
     (EVP_CIPHER_CTX * ctx, const EVP_CIPHER *cipher, const unsigned char *key, const unsigned char *iv, int enc,
      const OSSL_PARAM params[]))
{
    if (key != NULL ? fails_with_an_error() : fails_now()) return 0;
    return __real_EVP_CipherInit_ex2(ctx, cipher, key, iv, enc, params);
}

WRAP(int, EVP_CIPHER_CTX_set_padding, (EVP_CIPHER_CTX * ctx, int pad))
{
    return fails_with_an_error() ? 0 : __real_EVP_CIPHER_CTX_set_padding(ctx, pad);
}

WRAP(int, EVP_CIPHER_CTX_ctrl, (EVP_CIPHER_CTX * ctx, int type, int arg, void *ptr))
{
    return fails_now() ? 0 : __real_EVP_CIPHER_CTX_ctrl(ctx, type, arg, ptr);
}

WRAP(int, EVP_CipherUpdate, (EVP_CIPHER_CTX * ctx, unsigned char *out, int *done, const unsigned char *in, int len))
{
    updates++;
    if ((size_t)len > longest) longest = (size_t)len;
    if (pretends) {
        *done = len;
        return len > 0;
    }
    return fails_now() ? 0 : __real_EVP_CipherUpdate(ctx, out, done, in, len);
}

WRAP(int, EVP_CipherFinal_ex, (EVP_CIPHER_CTX * ctx, unsigned char *out, int *done))
{
    return fails_now() ? 0 : __real_EVP_CipherFinal_ex(ctx, out, done);
}

/* A state that has been begun is to be dropped; a test may want to know of it. */
static void (*on_state)(const struct kl_sha2 *state);

static inline void note_state(const struct kl_sha2 *state)
{
    if (state->ops != NULL) return;
    live++;
    if (on_state != NULL) on_state(state);
}

WRAP(enum kl_rc, kl_sha2_begin, (struct kl_sha2 * state, enum kl_hash hash))
{
    if (fails_now()) return kl_fail(KL_CRYPTO, "as the test wants it");
    note_state(state);
    return __real_kl_sha2_begin(state, hash);
}

WRAP(enum kl_rc, kl_sha2_update, (struct kl_sha2 * state, struct kl_view in))
{
    return fails_now() ? kl_fail(KL_CRYPTO, "as the test wants it") : __real_kl_sha2_update(state, in);
}

WRAP(enum kl_rc, kl_sha2_finish, (struct kl_sha2 * state, uint8_t *out))
{
    return fails_now() ? kl_fail(KL_CRYPTO, "as the test wants it") : __real_kl_sha2_finish(state, out);
}

WRAP(enum kl_rc, kl_sha2_copy, (struct kl_sha2 * to, const struct kl_sha2 *from))
{
    if (fails_now()) return kl_fail(KL_CRYPTO, "as the test wants it");
    note_state(to);
    return __real_kl_sha2_copy(to, from);
}

WRAP(void, kl_sha2_drop, (struct kl_sha2 * state))
{
    if (state->ops != NULL) live--;
    __real_kl_sha2_drop(state);
}

WRAP(void *, kl_arena_new, (size_t size))
{
    if (fails_now()) return NULL;
    live++;
    return __real_kl_arena_new(size);
}

WRAP(void, kl_arena_free, (void *room, size_t size))
{
    if (room != NULL) live--;
    __real_kl_arena_free(room, size);
}

WRAP(void *, calloc, (size_t count, size_t size))
{
    return fails_now() ? NULL : __real_calloc(count, size);
}

/* The host's queue: errors_push before, errors_are_as_found after, which empties it. */
static inline void errors_push(void)
{
    ERR_clear_error();
    ERR_raise(ERR_LIB_USER, 100);
    ERR_raise(ERR_LIB_USER, 101);
}

static inline bool errors_are_as_found(void)
{
    return ERR_GET_REASON(ERR_get_error()) == 100 && ERR_GET_REASON(ERR_get_error()) == 101 && ERR_get_error() == 0;
}

/* `whole` makes, uses and gives back everything, whatever fails; it makes at least `least` calls that may. */
static inline void each_call_fails_in_turn(enum kl_rc (*whole)(void), int least)
{
    bool has = true;

    for (int n = 1; has; n++) {
        int before = live;
        enum kl_rc rc;

        errors_push();
        fail_the(n);
        rc = whole();
        has = has_failed();
        fail_the(0);
        CU_ASSERT(has || n > least);
        CU_ASSERT(has ? rc == KL_MEMORY || rc == KL_CRYPTO : rc == KL_OK);
        CU_ASSERT(!has || kl_fail_words()[0] != '\0');
        SAME(live, before);
        CU_ASSERT(errors_are_as_found());
    }
}

#endif
