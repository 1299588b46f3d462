/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "crypto/lib.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "crypto/fetched.h"

#define PIECE ((size_t)1 << 30) /* EVP counts in int */

/* Written once, by the first thread that has made one whole: a lock here could be found taken in a forked child. */
static _Atomic(struct kl_fetched *) fetched;

static void fetched_free(struct kl_fetched *it)
{
    if (it == NULL) return;
    for (size_t i = 0; i < 3; i++) EVP_CIPHER_free(it->aes_gcm[i]);
    EVP_CIPHER_free(it->chacha20_poly1305);
    for (size_t i = 0; i < KL_HASHES; i++) EVP_MD_free(it->hash[i]);
    EVP_KDF_free(it->pbkdf2);
    if (it->provider != NULL) OSSL_PROVIDER_unload(it->provider);
    OSSL_LIB_CTX_free(it->lib);
    free(it);
}

static bool fetch_ciphers(struct kl_fetched *it)
{
    static const char *const aes_gcm[3] = { "AES-128-GCM", "AES-192-GCM", "AES-256-GCM" };

    for (size_t i = 0; i < 3; i++) {
        it->aes_gcm[i] = EVP_CIPHER_fetch(it->lib, aes_gcm[i], NULL);
        if (it->aes_gcm[i] == NULL) return false;
    }
    it->chacha20_poly1305 = EVP_CIPHER_fetch(it->lib, "ChaCha20-Poly1305", NULL);
    return it->chacha20_poly1305 != NULL;
}

static bool fetch_hashes(struct kl_fetched *it)
{
    static const char *const names[KL_HASHES] = { [KL_SHA256] = "SHA2-256", [KL_SHA384] = "SHA2-384", [KL_SHA512] = "SHA2-512" };

    for (size_t i = 0; i < KL_HASHES; i++) {
        it->hash[i] = EVP_MD_fetch(it->lib, names[i], NULL);
        if (it->hash[i] == NULL) return false;
    }
    it->pbkdf2 = EVP_KDF_fetch(it->lib, "PBKDF2", NULL);
    return it->pbkdf2 != NULL;
}

static bool fetch(struct kl_fetched *it)
{
    it->lib = OSSL_LIB_CTX_new();
    if (it->lib == NULL) return false;
    it->provider = OSSL_PROVIDER_load(it->lib, "default");
    if (it->provider == NULL) return false;
    return fetch_ciphers(it) && fetch_hashes(it);
}

static enum kl_rc fetched_make(struct kl_fetched **out)
{
    struct kl_fetched *it = calloc(1, sizeof *it);

    if (it == NULL) return kl_fail(KL_MEMORY, "no room for the algorithms of OpenSSL");
    if (!fetch(it)) {
        fetched_free(it);
        return kl_crypto_failed("start");
    }
    *out = it;
    return KL_OK;
}

static const struct kl_fetched *fetch_first(void)
{
    struct kl_fetched *theirs = NULL;
    struct kl_fetched *mine = NULL;
    enum kl_rc rc;

    /*
     * Where we are the first in the process to reach OpenSSL: no clean-up at exit
     * on our account, since the host's own destructors may call us after it. It
     * comes before everything, for the error queue too would order one.
     * OPENSSL_INIT_NO_LOAD_CONFIG must not stand here: it would keep the *host*
     * from ever loading its openssl.cnf, and a context of our own loads none anyway.
     */
    if (OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL) != 1) {
        kl_fail(KL_CRYPTO, "OpenSSL does not start, or was shut down by the program");
        return NULL;
    }
    kl_crypto_enter();
    rc = fetched_make(&mine);
    kl_crypto_leave();
    if (rc != KL_OK) return NULL;
    if (atomic_compare_exchange_strong(&fetched, &theirs, mine)) return mine;
    fetched_free(mine);
    return theirs;
}

const struct kl_fetched *kl_crypto_fetched(void)
{
    const struct kl_fetched *it = atomic_load_explicit(&fetched, memory_order_acquire);

    return it != NULL ? it : fetch_first();
}

static const EVP_CIPHER *aes_fetch(_Atomic(EVP_CIPHER *) *slot, const char *name)
{
    const struct kl_fetched *it = kl_crypto_fetched();
    EVP_CIPHER *theirs = NULL;
    EVP_CIPHER *mine;
    enum kl_rc rc = KL_OK;

    if (it == NULL) return NULL;
    kl_crypto_enter();
    mine = EVP_CIPHER_fetch(it->lib, name, NULL);
    if (mine == NULL) rc = kl_crypto_failed("find a cipher");
    kl_crypto_leave();
    if (rc != KL_OK || atomic_compare_exchange_strong(slot, &theirs, mine)) return mine;
    EVP_CIPHER_free(mine);
    return theirs;
}

const EVP_CIPHER *kl_crypto_aes(enum kl_aes mode, size_t key_len)
{
    static const char *const names[KL_AES_MODES][3] = {
        [KL_AES_ECB] = { "AES-128-ECB", "AES-192-ECB", "AES-256-ECB" },
        [KL_AES_CBC] = { "AES-128-CBC", "AES-192-CBC", "AES-256-CBC" },
        [KL_AES_CTR] = { "AES-128-CTR", "AES-192-CTR", "AES-256-CTR" },
        [KL_AES_KW] = { "AES-128-WRAP", "AES-192-WRAP", "AES-256-WRAP" },
        [KL_AES_KWP] = { "AES-128-WRAP-PAD", "AES-192-WRAP-PAD", "AES-256-WRAP-PAD" },
    };
    static _Atomic(EVP_CIPHER *) slots[KL_AES_MODES][3];
    size_t size = (key_len - 16) / 8;
    const EVP_CIPHER *it = atomic_load_explicit(&slots[mode][size], memory_order_acquire);

    return it != NULL ? it : aes_fetch(&slots[mode][size], names[mode][size]);
}

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
    return kl_crypto_fetched() != NULL ? KL_OK : KL_CRYPTO;
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
    kl_crypto_enter();
    kl_crypto_leave();
}
