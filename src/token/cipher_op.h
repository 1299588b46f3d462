/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What AES in ECB, CBC and CTR mode have in common as operations. Which of them it is follows from the mechanism's family.
 * Nothing is authenticated, so plaintext leaves as it comes (DESIGN section 7: whoever needs more takes an AEAD).
 */
#ifndef KL_TOKEN_CIPHER_OP_H
#define KL_TOKEN_CIPHER_OP_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/rc.h"
#include "crypto/cipher.h"
#include "token/mech.h"
#include "token/op.h"

/* For kl_mech.init, when the parameter has been read: `iv` as kl_cipher_start; `most`: bytes that the counter has blocks for. KL_MEMORY. */
KL_MUST_USE enum kl_rc kl_cipher_op_begin(struct kl_op *op, enum kl_op_kind kind, struct kl_view iv, uint64_t most);
/* For kl_mech.steps: whole blocks; blocks with PKCS #7 padding; any length. */
extern const struct kl_steps kl_cipher_blocks_encrypt, kl_cipher_blocks_decrypt;
extern const struct kl_steps kl_cipher_padded_encrypt, kl_cipher_padded_decrypt;
extern const struct kl_steps kl_cipher_stream;
/* For kl_mech.end and .clear. */
void kl_cipher_op_end(struct kl_op *op);
void kl_cipher_op_clear(struct kl_op *op);

/* Bytes of PKCS #7 padding in the last block, 1 to 16; 0: that is none. In time that tells nothing. */
size_t kl_padding_of(const uint8_t block[KL_AES_BLOCK]);

#endif
