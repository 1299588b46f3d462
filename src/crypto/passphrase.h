/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* From a PIN or passphrase to a key: Argon2id for what people make up, HKDF for generated ones of the form kl1_…. */
#ifndef KL_CRYPTO_PASSPHRASE_H
#define KL_CRYPTO_PASSPHRASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/rc.h"
#include "base/secret.h"

enum kl_kdf { KL_KDF_HKDF = 1, KL_KDF_ARGON2ID = 2, KL_KDF_PBKDF2 = 3 };

#define KL_KDF_SALT_LEN 16
/*
 * Characters of a generated PIN: "kl1_" and 32 of RFC 4648 base32, lower case,
 * without padding: 16 random bytes and the first 4 of SHA-256("keyladder/1/pin" and them).
 */
#define KL_GENERATED_LEN 36

/* How a key is made from a passphrase; all of it is stored in clear and authenticated (doc/format.md, "Passphrases"). */
struct kl_kdf_params {
    enum kl_kdf kdf;
    uint32_t passes; /* Argon2id: time cost; PBKDF2: iterations; HKDF: 0 */
    uint32_t memory; /* Argon2id: KiB; else 0 */
    uint8_t salt[KL_KDF_SALT_LEN];
};

/* Fresh parameters for a passphrase: HKDF if it is a generated one, else Argon2id with `memory` bytes, 3 passes. Fills the salt. */
KL_MUST_USE enum kl_rc kl_kdf_params_for(struct kl_view passphrase, uint64_t memory, struct kl_kdf_params *out);
/*
 * 32 bytes. Refuses, before it works, parameters below the floor (8 MiB and 1
 * pass; 100,000 iterations) or above the cap (4 GiB, 16 passes; 10,000,000
 * iterations), and HKDF for a passphrase that is not a generated one: KL_INTEGRITY. KL_MEMORY, KL_CRYPTO.
 */
KL_MUST_USE enum kl_rc kl_kdf_derive(const struct kl_kdf_params *params, struct kl_view passphrase, struct kl_secret *out);

/* Whether form and checksum are those of a generated PIN. KL_CRYPTO when the checksum cannot be worked out. */
KL_MUST_USE enum kl_rc kl_pin_recognize(struct kl_view pin, bool *is_generated);
/* A new one, KL_GENERATED_LEN characters, not terminated. */
KL_MUST_USE enum kl_rc kl_pin_generate(struct kl_secret *out);

#endif
