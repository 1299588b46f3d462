/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Ciphertexts that name their key (DESIGN 4.5; doc/format.md, "Envelopes"). */
#ifndef KL_LADDER_ENVELOPE_H
#define KL_LADDER_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/rc.h"
#include "crypto/aead.h"
#include "crypto/random.h"
#include "ladder/key.h"

#define KL_ENVELOPE_MECHANISM UINT64_C(0xCB4C0001) /* CKM_KL_ENVELOPE */
#define KL_ENVELOPE_HEADER_LEN 20
#define KL_ENVELOPE_TAG_LEN 16
#define KL_ENVELOPE_OVERHEAD 48     /* bytes that an envelope is longer than what is in it, at least */
#define KL_ENVELOPE_OVERHEAD_MAX 60 /* with XAES's nonce */
#define KL_ENVELOPE_AAD_MAX 65536

/* --- format 1 --- */

enum kl_envelope_algorithm { KL_ENVELOPE_AES_256_GCM = 1, KL_ENVELOPE_CHACHA20_POLY1305, KL_ENVELOPE_XAES_256_GCM };

/* The number that an algorithm's API subkey is derived with, so that no two share one; the first has the mechanism's own. */
uint64_t kl_envelope_number(enum kl_envelope_algorithm algorithm);

/* How a token's envelopes are made (kl_ladder_envelope). */
struct kl_envelope_how {
    enum kl_envelope_algorithm algorithm; /* to seal with, but keys of ChaCha20's type seal with ChaCha20-Poly1305 */
    enum kl_engine engine;
    struct kl_iv_run *ivs; /* for nonces of 12 bytes; NULL: each is random. The owner's, who keeps it as long as the envelope */
};

/*
 * Envelopes of one key. Keyed contexts are made when first needed; one operation at a time. What is opened says itself how it was
 * sealed. Keeps a reference to the key. KL_KEY_FUNCTION where the key makes no envelopes.
 */
struct kl_envelope;
KL_MUST_USE enum kl_rc kl_envelope_new(struct kl_key *key, const struct kl_envelope_how *how, struct kl_envelope **out);
/* NULL is allowed. */
void kl_envelope_free(struct kl_envelope *envelope);
/* How much longer than its content a sealed envelope will be. */
size_t kl_envelope_overhead(const struct kl_envelope *envelope);
/* Does sealing use up the budget of the key's version? A nonce of 24 bytes does not. */
bool kl_envelope_is_counted(const struct kl_envelope *envelope);
/*
 * `out` must not overlap `in`; out->len is what was written, or is needed (KL_BUFFER: nothing was written). KL_PARAMETER (AAD
 * too long), KL_DATA_LENGTH.
 */
KL_MUST_USE enum kl_rc kl_envelope_seal(struct kl_envelope *envelope, struct kl_view aad, struct kl_view in, struct kl_out *out);
/*
 * KL_CIPHERTEXT for a wrong tag, a header that is not one, or the id of another key (kl_fail_words() has which);
 * KL_CIPHERTEXT_LENGTH when shorter than an envelope can be. in.len - KL_ENVELOPE_OVERHEAD bytes are enough for `out`; zeroed on
 * failure, but for KL_BUFFER.
 */
KL_MUST_USE enum kl_rc kl_envelope_open(struct kl_envelope *envelope, struct kl_view aad, struct kl_view in, struct kl_out *out);

/* --- format 2: streams in constant memory, AES-256-GCM alone --- */

#define KL_STREAM_CHUNK 65536
#define KL_STREAM_HEADER_LEN 52 /* header, id, salt */
struct kl_stream;

/* The key version that the beginning of a file names: 1 envelope, 2 stream; KL_CIPHERTEXT when it is neither. */
struct kl_named {
    unsigned format;
    unsigned algorithm;
    uint8_t id[KL_COMMITMENT_LEN];
};
KL_MUST_USE enum kl_rc kl_envelope_name(struct kl_view beginning, struct kl_named *out);

/* Begins a stream: for encryption writes KL_STREAM_HEADER_LEN bytes to header, for decryption reads them from it (KL_CIPHERTEXT). */
KL_MUST_USE enum kl_rc kl_stream_encrypt(const struct kl_key *key, struct kl_view aad, uint8_t header[KL_STREAM_HEADER_LEN],
                                         struct kl_stream **out);
KL_MUST_USE enum kl_rc kl_stream_decrypt(const struct kl_key *key, struct kl_view aad, const uint8_t header[KL_STREAM_HEADER_LEN],
                                         struct kl_stream **out);
/* NULL is allowed. */
void kl_stream_free(struct kl_stream *stream);
/*
 * One chunk: encryption of up to KL_STREAM_CHUNK bytes (fewer only when `last`) to in.len + 16; decryption of a chunk and its
 * tag to in.len - 16. After the last chunk every call is KL_NO_OPERATION.
 */
KL_MUST_USE enum kl_rc kl_stream_chunk(struct kl_stream *stream, struct kl_view in, bool last, uint8_t *out);

#endif
