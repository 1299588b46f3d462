/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What AES-GCM and ChaCha20-Poly1305 have in common as operations: IVs, tags, parts, messages, and plaintext that waits for its tag. */
#ifndef KL_TOKEN_AEAD_OP_H
#define KL_TOKEN_AEAD_OP_H

#include "base/bytes.h"
#include "base/rc.h"
#include "crypto/aead.h"
#include "token/mech.h"
#include "token/op.h"

#define KL_AEAD_AAD_MAX (1 << 20)
#define KL_AEAD_IV_MAX 128 /* what the engines take */

/* The parameter of an Init, read; the pointers are the caller's. */
struct kl_aead_fields {
    uint8_t *iv; /* filled in where the token makes it */
    size_t iv_len;
    struct kl_view aad;
    size_t tag_len;
};

/* A CK_GCM_PARAMS, of five fields or six; the tag is 96 bits or more. KL_PARAMETER. */
KL_MUST_USE enum kl_rc kl_gcm_read_parameter(struct kl_view parameter, struct kl_aead_fields *out);

/* For kl_mech.init. `fields` NULL: messages follow, with parameters of their own. KL_PARAMETER, KL_MEMORY. */
KL_MUST_USE enum kl_rc kl_aead_op_init(struct kl_op *op, enum kl_op_kind kind, enum kl_aead_algorithm algorithm,
                                       const struct kl_aead_fields *fields);
/* For kl_mech.steps, .end and .clear. */
extern const struct kl_steps kl_aead_encrypt_steps, kl_aead_decrypt_steps;
void kl_aead_op_end(struct kl_op *op);
void kl_aead_op_clear(struct kl_op *op);

/*
 * One message of C_EncryptMessage and C_DecryptMessage, or a part of it. `in` and `out` have been looked at by the caller; a decryption
 * gives everything with the last part and nothing before. KL_CIPHERTEXT, KL_PARAMETER, KL_DATA_LENGTH.
 */
KL_MUST_USE enum kl_rc kl_aead_message_begin(struct kl_op *op, enum kl_op_kind kind, const struct kl_message *message, struct kl_view aad);
struct kl_aead_text {
    struct kl_view aad;
    struct kl_view in;
};
KL_MUST_USE enum kl_rc kl_aead_message_once(struct kl_op *op, enum kl_op_kind kind, const struct kl_message *message,
                                            const struct kl_aead_text *text, struct kl_out *out);
KL_MUST_USE enum kl_rc kl_aead_message_next_len(const struct kl_op *op, enum kl_op_kind kind, size_t in_len, bool is_last, size_t *out_len);
KL_MUST_USE enum kl_rc kl_aead_message_next(struct kl_op *op, enum kl_op_kind kind, const struct kl_message *message, struct kl_view in,
                                            bool is_last, struct kl_out *out);

#endif
