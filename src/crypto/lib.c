/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "crypto/lib.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/fetched.h"

#define PIECE ((size_t)1 << 30) /* EVP counts in int */

/* --- the context --- */

/* Written once each, under the lock, by whoever has made one whole; then they stay. */
static _Atomic(OSSL_LIB_CTX *) context;
static OSSL_PROVIDER *provider;
/* Around what takes locks of the context's and of OpenSSL's own: making it and looking algorithms up, but not using them. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/*
 * Where we are the first in the process to reach OpenSSL: no clean-up at exit
 * on our account, since the host's own destructors may call us after it. It
 * comes before everything, for the error queue too would order one.
 * OPENSSL_INIT_NO_LOAD_CONFIG must not stand here: it would keep the *host*
 * from ever loading its openssl.cnf, and a context of our own loads none anyway.
 */
static enum kl_rc begin(void)
{
    if (OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL) == 1) return KL_OK;
    return kl_fail(KL_CRYPTO, "OpenSSL does not start, or was shut down by the program");
}

static enum kl_rc context_load(void)
{
    OSSL_LIB_CTX *mine = OSSL_LIB_CTX_new();

    if (mine != NULL) provider = OSSL_PROVIDER_load(mine, "default");
    if (provider == NULL) {
        enum kl_rc rc = kl_crypto_failed("start");

        OSSL_LIB_CTX_free(mine);
        return rc;
    }
    atomic_store(&context, mine);
    return KL_OK;
}

/* The lock is held. */
static enum kl_rc context_make(void)
{
    enum kl_rc rc;

    if (atomic_load(&context) != NULL) return KL_OK;
    KL_TRY(begin());
    kl_crypto_enter();
    rc = context_load();
    kl_crypto_leave();
    return rc;
}

/* --- algorithms --- */

typedef void *fetch_fn(OSSL_LIB_CTX *from, const char *name);

static void *cipher_fetch(OSSL_LIB_CTX *from, const char *name)
{
    return EVP_CIPHER_fetch(from, name, NULL);
}

static void *md_fetch(OSSL_LIB_CTX *from, const char *name)
{
    return EVP_MD_fetch(from, name, NULL);
}

static void *kdf_fetch(OSSL_LIB_CTX *from, const char *name)
{
    return EVP_KDF_fetch(from, name, NULL);
}

enum { AES_SIZES = 3, CHACHA20_POLY1305 = AES_SIZES * KL_AES_MODES, HASHES, PBKDF2 = HASHES + KL_HASHES, ALGORITHMS };
#define AES(mode, size) (AES_SIZES * (mode) + ((size)-16) / 8)

static const struct algorithm {
    fetch_fn *fetch;
    const char *name;
} algorithms[ALGORITHMS] = {
    [AES(KL_AES_GCM, 16)] = { cipher_fetch, "AES-128-GCM" },
    [AES(KL_AES_GCM, 24)] = { cipher_fetch, "AES-192-GCM" },
    [AES(KL_AES_GCM, 32)] = { cipher_fetch, "AES-256-GCM" },
    [AES(KL_AES_ECB, 16)] = { cipher_fetch, "AES-128-ECB" },
    [AES(KL_AES_ECB, 24)] = { cipher_fetch, "AES-192-ECB" },
    [AES(KL_AES_ECB, 32)] = { cipher_fetch, "AES-256-ECB" },
    [AES(KL_AES_CBC, 16)] = { cipher_fetch, "AES-128-CBC" },
    [AES(KL_AES_CBC, 24)] = { cipher_fetch, "AES-192-CBC" },
    [AES(KL_AES_CBC, 32)] = { cipher_fetch, "AES-256-CBC" },
    [AES(KL_AES_CTR, 16)] = { cipher_fetch, "AES-128-CTR" },
    [AES(KL_AES_CTR, 24)] = { cipher_fetch, "AES-192-CTR" },
    [AES(KL_AES_CTR, 32)] = { cipher_fetch, "AES-256-CTR" },
    [AES(KL_AES_KW, 16)] = { cipher_fetch, "AES-128-WRAP" },
    [AES(KL_AES_KW, 24)] = { cipher_fetch, "AES-192-WRAP" },
    [AES(KL_AES_KW, 32)] = { cipher_fetch, "AES-256-WRAP" },
    [AES(KL_AES_KWP, 16)] = { cipher_fetch, "AES-128-WRAP-PAD" },
    [AES(KL_AES_KWP, 24)] = { cipher_fetch, "AES-192-WRAP-PAD" },
    [AES(KL_AES_KWP, 32)] = { cipher_fetch, "AES-256-WRAP-PAD" },
    [CHACHA20_POLY1305] = { cipher_fetch, "ChaCha20-Poly1305" },
    [HASHES + KL_SHA256] = { md_fetch, "SHA2-256" },
    [HASHES + KL_SHA384] = { md_fetch, "SHA2-384" },
    [HASHES + KL_SHA512] = { md_fetch, "SHA2-512" },
    [PBKDF2] = { kdf_fetch, "PBKDF2" },
};
static _Atomic(void *) fetched[ALGORITHMS];

/* The lock is held. */
static enum kl_rc fetch(size_t index)
{
    enum kl_rc rc = KL_OK;
    char doing[48];
    void *it;

    /* Another thread was quicker. */
    if (atomic_load(&fetched[index]) != NULL) return KL_OK;
    KL_TRY(context_make());
    snprintf(doing, sizeof doing, "find %s", algorithms[index].name);
    kl_crypto_enter();
    it = algorithms[index].fetch(atomic_load(&context), algorithms[index].name);
    if (it == NULL) rc = kl_crypto_failed(doing);
    kl_crypto_leave();
    atomic_store(&fetched[index], it);
    return rc;
}

static void *fetch_first(size_t index)
{
    enum kl_rc rc;

    pthread_mutex_lock(&lock);
    rc = fetch(index);
    pthread_mutex_unlock(&lock);
    return rc == KL_OK ? atomic_load(&fetched[index]) : NULL;
}

static void *algorithm(size_t index)
{
    void *it = atomic_load_explicit(&fetched[index], memory_order_acquire);

    return it != NULL ? it : fetch_first(index);
}

const EVP_CIPHER *kl_crypto_aes(enum kl_aes mode, size_t key_len)
{
    return algorithm(AES((size_t)mode, key_len));
}

const EVP_CIPHER *kl_crypto_chacha20_poly1305(void)
{
    return algorithm(CHACHA20_POLY1305);
}

const EVP_MD *kl_crypto_md(enum kl_hash hash)
{
    return algorithm(HASHES + (size_t)hash);
}

EVP_KDF *kl_crypto_pbkdf2(void)
{
    return algorithm(PBKDF2);
}

/* --- for the files of this room --- */

bool kl_crypto_feed(EVP_CIPHER_CTX *ctx, struct kl_view in, uint8_t *out)
{
    while (in.len > 0) {
        int len = (int)(in.len < PIECE ? in.len : PIECE);
        int done = 0;

        if (EVP_CipherUpdate(ctx, out, &done, in.data, len) != 1 || done != len) return false;
        in.data += len;
        in.len -= (size_t)len;
        if (out != NULL) out += len;
    }
    return true;
}

enum kl_rc kl_crypto_failed(const char *what)
{
    unsigned long error = ERR_peek_last_error();
    char words[160] = "no reason given";

    if (error != 0) ERR_error_string_n(error, words, sizeof words);
    return kl_fail(KL_CRYPTO, "OpenSSL could not %s (%s)", what, words);
}

enum kl_rc kl_crypto_open(void)
{
    enum kl_rc rc;

    if (atomic_load_explicit(&context, memory_order_acquire) != NULL) return KL_OK;
    pthread_mutex_lock(&lock);
    rc = context_make();
    pthread_mutex_unlock(&lock);
    return rc;
}

void kl_crypto_enter(void)
{
    int marked = ERR_set_mark();

    (void)marked; /* 0: the queue is empty, and popping to no mark empties it again */
}

void kl_crypto_leave(void)
{
    int popped = ERR_pop_to_mark();

    (void)popped;
}

void kl_crypto_before_fork(void)
{
    if (begin() != KL_OK) return;
    kl_crypto_enter();
    kl_crypto_leave();
}

pthread_mutex_t *kl_crypto_lock(void)
{
    return &lock;
}

void kl_crypto_abandon(void)
{
    if (pthread_mutex_trylock(&lock) == 0) {
        pthread_mutex_unlock(&lock);
        return;
    }
    /* Its holder did not come along, and left the context as it was at that moment. */
    lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    atomic_store(&context, NULL);
    provider = NULL;
    for (size_t i = 0; i < ALGORITHMS; i++) atomic_store(&fetched[i], NULL);
}
