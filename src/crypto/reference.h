/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What OpenSSL takes for the same work with nothing around it: the floor that `keyladder bench` measures against. Contexts are
 * keyed once and used again, as a program would that calls EVP itself and cares for speed. Linked into the tool alone.
 * The keys are constants and the output goes nowhere: nothing here protects anything.
 */
#ifndef KL_CRYPTO_REFERENCE_H
#define KL_CRYPTO_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/rc.h"

enum kl_reference_work {
    KL_REFERENCE_GCM_SEAL, /* AES-256, a new 12-byte IV each time, 16 bytes of associated data, a tag of 16 bytes */
    KL_REFERENCE_GCM_OPEN,
    KL_REFERENCE_CHACHA_SEAL, /* ChaCha20-Poly1305, the same */
    KL_REFERENCE_CHACHA_OPEN,
    KL_REFERENCE_HMAC, /* HMAC-SHA256 through EVP_MAC */
    KL_REFERENCE_HKDF, /* HKDF-SHA256, salt 32 bytes, info 16, to 32 bytes, through EVP_KDF */
    KL_REFERENCE_WORKS
};

struct kl_reference;

/* Ready to do `work` on `size` bytes at a time (1 to 2^30; HKDF has its own lengths). KL_MEMORY, KL_CRYPTO. */
KL_MUST_USE enum kl_rc kl_reference_new(enum kl_reference_work work, size_t size, struct kl_reference **out);
/* Does it `times` times; false when OpenSSL refuses. Several may run at once, each in a thread of its own. */
bool kl_reference_run(struct kl_reference *reference, unsigned long times);
/* What the last time gave: ciphertext and tag, plaintext, MAC or key. Borrowed. */
struct kl_view kl_reference_result(const struct kl_reference *reference);
/* NULL is allowed. */
void kl_reference_free(struct kl_reference *reference);

/* "OpenSSL 3.0.15 3 Sep 2024": the library that runs, not the headers it was built with. */
const char *kl_reference_version(void);

#endif
