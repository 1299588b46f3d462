/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The private OSSL_LIB_CTX: default provider only, no openssl.cnf, nothing of
 * the host's touched, its error queue included, no atexit. It lives as long as
 * the process, over C_Finalize and in forked children.
 */
#ifndef KL_CRYPTO_LIB_H
#define KL_CRYPTO_LIB_H

#include <pthread.h>

#include "base/rc.h"

/*
 * Makes the context; one load when it was done before. The functions of this room do it themselves when they must; called
 * early it tells a broken OpenSSL apart. Thread-safe. KL_CRYPTO.
 */
KL_MUST_USE enum kl_rc kl_crypto_open(void);
/*
 * Before a fork: makes what OpenSSL keeps for this thread. The child's thread would make it under a lock of OpenSSL's
 * that another thread of the parent may have held.
 */
void kl_crypto_before_fork(void);
/* Held while the context is made or an algorithm looked up in it. */
pthread_mutex_t *kl_crypto_lock(void);
/*
 * In a forked child: lets go of a context that a thread of the parent was making, or had locks of. Nothing else is lost; what was
 * keyed goes on.
 */
void kl_crypto_abandon(void);

#endif
