/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What encrypt and decrypt share: the key they use and the bytes they move. */
#ifndef KL_TOOLS_CIPHER_H
#define KL_TOOLS_CIPHER_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/rc.h"
#include "cli.h"
#include "file.h"
#include "ladder/envelope.h"
#include "progress.h"

/* Of one envelope (format 1), which is held in memory as a whole. */
#define KL_CIPHER_ENVELOPE_MAX ((size_t)16 << 20)

/* One run of encrypt or decrypt; { 0 } but for `cli` to begin with, kl_cipher_clear at the end. */
struct kl_cipher {
    struct kl_cli *cli;
    struct kl_input input;
    struct kl_output output;
    struct kl_record record; /* of the stored key */
    struct kl_key *key;      /* it, or the record's own key derived from it */
    struct kl_view aad;
    struct kl_progress progress;
    uint8_t *room; /* for plaintext and ciphertext */
    size_t room_len;
    struct kl_envelope *envelope;
    struct kl_stream *stream;
    bool is_open; /* input and output are */
};

/* Looks at the options, before anything is opened. */
KL_MUST_USE enum kl_rc kl_cipher_check(struct kl_cipher *cipher);
/* Opens input and output. */
KL_MUST_USE enum kl_rc kl_cipher_open(struct kl_cipher *cipher, const char *verb);
/* Opens the key of cipher->record, which must be allowed to do this; with --record the key below it. */
KL_MUST_USE enum kl_rc kl_cipher_key(struct kl_cipher *cipher, bool to_encrypt);
/* `len` bytes of room, wiped by kl_cipher_clear. */
KL_MUST_USE enum kl_rc kl_cipher_room(struct kl_cipher *cipher, size_t len);
/* Puts the output in its place and, with --json, says what was done. */
KL_MUST_USE enum kl_rc kl_cipher_finish(struct kl_cipher *cipher, unsigned format);
void kl_cipher_clear(struct kl_cipher *cipher);

#endif
