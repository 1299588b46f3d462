/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Authenticated encryption behind one table of engines. A keyed context holds
 * the expanded key, costs a key expansion to make and little to use, and serves
 * one operation at a time (its owner's session mutex sees to that).
 */
#ifndef KL_CRYPTO_AEAD_H
#define KL_CRYPTO_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/rc.h"

/* Who does the work: the fastest that is there, or one by name. An IV length that `ipsec-mb` does not take is OpenSSL's under it too. */
enum kl_engine { KL_ENGINE_AUTO, KL_ENGINE_OPENSSL, KL_ENGINE_IPSEC_MB };

enum kl_aead_algorithm { KL_AEAD_AES_GCM, KL_AEAD_CHACHA20_POLY1305, KL_AEAD_XAES_256_GCM, KL_AEAD_ALGORITHMS };

#define KL_AEAD_TAG_MAX 16
#define KL_GCM_DATA_MAX ((UINT64_C(1) << 36) - 32) /* bytes under one IV, SP 800-38D 5.2.1.1 */

struct kl_aead;

/* The IV and the associated data of one encryption, and how long its tag is (4 to 16 bytes). */
struct kl_aead_params {
    struct kl_view iv;
    struct kl_view aad;
    size_t tag_len;
};

/*
 * One engine: a way of doing these algorithms; aead.c has checked the arguments
 * and wipes the output of what fails. The context lies in the arena, 64-byte
 * aligned, zeroed, `context_size` bytes; `key` outlives it; `clear` gives back
 * what the engine keeps elsewhere, also after an `init` that failed. `open`
 * answers KL_CIPHERTEXT to a wrong tag. start/update/finish is one encryption or
 * decryption in parts, `finish` gives the tag of the one and checks that of the
 * other; on decryption `update` may give plaintext before the tag is known, so
 * only seal/open and streams that hold the output back are for callers. `rekey`
 * says that the bytes of `key` have changed; NULL where no other engine builds on this one.
 * `has` is asked before anything is made, also of engines that then are not used.
 */
struct kl_aead_engine {
    const char *name;
    enum kl_engine engine; /* KL_ENGINE_AUTO: whatever its caller asks for */
    size_t context_size;
    bool (*has)(enum kl_aead_algorithm algorithm, size_t key_len, size_t iv_len);
    enum kl_rc (*init)(void *context, enum kl_aead_algorithm algorithm, struct kl_view key);
    void (*rekey)(void *context);
    enum kl_rc (*seal)(void *context, const struct kl_aead_params *params, struct kl_view in, uint8_t *out, uint8_t *tag);
    enum kl_rc (*open)(void *context, const struct kl_aead_params *params, struct kl_view in, const uint8_t *tag, uint8_t *out);
    enum kl_rc (*start)(void *context, const struct kl_aead_params *params, bool encrypt);
    enum kl_rc (*update)(void *context, struct kl_view in, uint8_t *out);
    enum kl_rc (*finish)(void *context, uint8_t *tag, size_t tag_len);
    void (*clear)(void *context);
};

/* Keyed context; key of 16, 24 or 32 bytes for AES, 32 for ChaCha20 and XAES. KL_KEY_SIZE, KL_MEMORY, KL_CRYPTO. */
KL_MUST_USE enum kl_rc kl_aead_new_with(enum kl_engine engine, enum kl_aead_algorithm algorithm, struct kl_view key, struct kl_aead **out);
/* The same with the process's own engine, for what belongs to no token's data. */
KL_MUST_USE enum kl_rc kl_aead_new(enum kl_aead_algorithm algorithm, struct kl_view key, struct kl_aead **out);
/* The process's own engine, KL_ENGINE_AUTO until it is set. */
void kl_aead_set_engine(enum kl_engine engine);
/* NULL is allowed. */
void kl_aead_free(struct kl_aead *aead);
/* Another key, of the same length, for a context of AES-GCM; ends what was begun. What XAES does for every message. */
void kl_aead_rekey(struct kl_aead *aead, struct kl_view key);
/* Who does AES-256-GCM where `engine` is asked for, for `doctor` and the token's model; loads what it names. */
const char *kl_aead_engine_name(enum kl_engine engine);

/*
 * Encrypts at once: in.len bytes to `out` and params->tag_len bytes to `tag`. `out` may
 * be in.data (in place); any other overlap is KL_ARG. KL_PARAMETER for an IV or tag
 * length that no engine takes (IVs: GCM 1 to 128 bytes, ChaCha20 12, XAES 24; tags:
 * GCM 4 to 16 bytes, the others 16), KL_DATA_LENGTH beyond KL_GCM_DATA_MAX, KL_CRYPTO.
 * After a failure `out` and `tag` are zeroed.
 */
KL_MUST_USE enum kl_rc kl_aead_seal(struct kl_aead *aead, const struct kl_aead_params *params, struct kl_view in, uint8_t *out,
                                    uint8_t *tag);
/* Decrypts at once. KL_CIPHERTEXT when the tag is wrong: `out` is zeroed, in place too. */
KL_MUST_USE enum kl_rc kl_aead_open(struct kl_aead *aead, const struct kl_aead_params *params, struct kl_view in, const uint8_t *tag,
                                    uint8_t *out);

/*
 * Encryption in parts: each update gives as many bytes as it takes. `params` is
 * not kept. A start, seal or open in between ends what was begun (KL_ARG from the
 * update after it), and so does every failure.
 */
KL_MUST_USE enum kl_rc kl_aead_start(struct kl_aead *aead, const struct kl_aead_params *params);
KL_MUST_USE enum kl_rc kl_aead_update(struct kl_aead *aead, struct kl_view in, uint8_t *out);
KL_MUST_USE enum kl_rc kl_aead_finish(struct kl_aead *aead, uint8_t *tag, size_t tag_len);

extern const struct kl_aead_engine kl_aead_ipsec_mb_gcm, kl_aead_ipsec_mb_chacha, kl_aead_openssl, kl_aead_xaes;

#endif
