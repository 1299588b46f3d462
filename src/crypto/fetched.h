/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What this room has fetched from its private OSSL_LIB_CTX. For the files of this room alone. */
#ifndef KL_CRYPTO_FETCHED_H
#define KL_CRYPTO_FETCHED_H

#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/rc.h"
#include "crypto/hash.h"

/*
 * Each is made when first asked for, then kept: the context takes OpenSSL 1 ms, an algorithm 36 us, and most programs use
 * few. Then one load. NULL, with words, when OpenSSL fails.
 */
enum kl_aes { KL_AES_GCM, KL_AES_ECB, KL_AES_CBC, KL_AES_CTR, KL_AES_KW, KL_AES_KWP, KL_AES_MODES };
/* For keys of 16, 24 or 32 bytes. */
const EVP_CIPHER *kl_crypto_aes(enum kl_aes mode, size_t key_len);
const EVP_CIPHER *kl_crypto_chacha20_poly1305(void);
const EVP_MD *kl_crypto_md(enum kl_hash hash);
EVP_KDF *kl_crypto_pbkdf2(void);

/* As many bytes out as in, through a keyed context; without an output they are associated data. */
bool kl_crypto_feed(EVP_CIPHER_CTX *ctx, struct kl_view in, uint8_t *out);

/*
 * Around OpenSSL calls that may push an error: the host's queue of this thread is
 * left as found. A pair costs 35 ns, a fifth of a short encryption, so none stands
 * around what the data path calls on a keyed context: that pushes nothing, a wrong
 * tag included, as long as its arguments are good and no memory is asked for
 * (test_lib.c). Pairs may nest.
 */
void kl_crypto_enter(void);
void kl_crypto_leave(void);
/* KL_CRYPTO, with OpenSSL's newest error of this thread in words. `what` could not be done: "encrypt". */
KL_MUST_USE enum kl_rc kl_crypto_failed(const char *what);

#endif
