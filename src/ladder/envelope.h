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
#include "ladder/key.h"

#define KL_ENVELOPE_MECHANISM UINT64_C(0xCB4C0001) /* CKM_KL_ENVELOPE */
#define KL_ENVELOPE_HEADER_LEN 20
#define KL_ENVELOPE_NONCE_LEN 12
#define KL_ENVELOPE_TAG_LEN 16
#define KL_ENVELOPE_OVERHEAD (KL_ENVELOPE_HEADER_LEN + KL_ENVELOPE_NONCE_LEN + KL_ENVELOPE_TAG_LEN)
#define KL_ENVELOPE_AAD_MAX 65536

/*
 * Format 1. `aead` is kl_key_aead(key, KL_ENVELOPE_MECHANISM, …). out: in.len + KL_ENVELOPE_OVERHEAD bytes, not
 * overlapping `in`. KL_KEY_FUNCTION where the key makes no envelopes; KL_PARAMETER (AAD too long).
 */
KL_MUST_USE enum kl_rc kl_envelope_seal(struct kl_aead *aead, const struct kl_key *key, struct kl_view aad, struct kl_view in,
                                        uint8_t *out);
/*
 * KL_CIPHERTEXT for a wrong tag, a header that is not one, or the id of another key (kl_fail_words() has which);
 * KL_CIPHERTEXT_LENGTH when shorter than an envelope can be. out: in.len - KL_ENVELOPE_OVERHEAD bytes, zeroed on failure.
 */
KL_MUST_USE enum kl_rc kl_envelope_open(struct kl_aead *aead, const struct kl_key *key, struct kl_view aad, struct kl_view in,
                                        uint8_t *out);

/* Format 2, streams in constant memory. */
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
