/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Operations of a session, and PKCS#11's rules on lengths, written once: NULL asks, a short buffer keeps the
 * operation, everything else ends it (v3.1 5.2).
 */
#ifndef KL_TOKEN_OP_H
#define KL_TOKEN_OP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/rc.h"
#include "crypto/random.h"
#include "keyladder/pkcs11.h"

struct kl_session;
struct kl_object;
struct kl_key;
struct kl_mech;
struct kl_snapshot;
struct kl_token;

enum kl_op_kind {
    KL_OP_ENCRYPT,
    KL_OP_DECRYPT,
    KL_OP_MESSAGE_ENCRYPT,
    KL_OP_MESSAGE_DECRYPT,
    KL_OP_SIGN,
    KL_OP_VERIFY,
    KL_OP_DIGEST,
    KL_OP_FIND,
    KL_OPS
};

/*
 * One operation. `state` is the mechanism's own (or the search's). After the operation's end everything but is_active may
 * stay, so that the next Init with the same key finds its keyed context and only has to set the IV.
 */
struct kl_op {
    bool is_active;
    bool is_multi_part; /* an update has been made: one-shot calls are refused */
    bool is_in_message; /* a message has been begun and not ended */
    bool is_ladder;     /* the key is one of the ladder */
    bool is_token;      /* the key is a token object */
    const struct kl_mech *mech;
    uint32_t budget_left;    /* encryptions that need not be asked for */
    CK_OBJECT_HANDLE handle; /* of the key */
    struct kl_object *object;
    struct kl_snapshot *shot; /* the object's, as it was when it was last looked at */
    struct kl_key *key;
    CK_ULONG login_epoch; /* kl_token.login_epoch at Init */
    int64_t second;       /* kl_shelf_second() when object and policy were last looked at */
    uint8_t row[16];      /* the key's row id */
    struct kl_iv_run ivs; /* that the token makes */
    int64_t ivs_second;   /* in which they were drawn */
    uint64_t iv_number;   /* the next of those that it has of the key's counter */
    uint32_t iv_numbers_left;
    struct kl_session *session;
    void *state;
};

/* C_EncryptInit, C_DecryptInit: key found, checked and unwrapped here, never per call. `mechanism` NULL cancels (v3.0); KL_ARG when there is nothing to cancel. */
KL_MUST_USE enum kl_rc kl_op_init(struct kl_session *session, enum kl_op_kind kind, const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key);
/* C_Encrypt, C_Decrypt. out->data NULL asks for the length. */
KL_MUST_USE enum kl_rc kl_op_once(struct kl_session *session, enum kl_op_kind kind, struct kl_view in, struct kl_out *out);
/* C_EncryptUpdate, C_DecryptUpdate. */
KL_MUST_USE enum kl_rc kl_op_update(struct kl_session *session, enum kl_op_kind kind, struct kl_view in, struct kl_out *out);
/* C_EncryptFinal, C_DecryptFinal. */
KL_MUST_USE enum kl_rc kl_op_final(struct kl_session *session, enum kl_op_kind kind, struct kl_out *out);
/* C_DigestInit; NULL as above. */
KL_MUST_USE enum kl_rc kl_op_digest_init(struct kl_session *session, const CK_MECHANISM *mechanism);
/* C_DigestKey. KL_INDIGESTIBLE for a key that cannot be read anyway. */
KL_MUST_USE enum kl_rc kl_op_digest_key(struct kl_session *session, CK_OBJECT_HANDLE handle);
/* C_SignUpdate, C_VerifyUpdate, C_DigestUpdate: parts that give nothing yet. */
KL_MUST_USE enum kl_rc kl_op_absorb(struct kl_session *session, enum kl_op_kind kind, struct kl_view in);
/* C_Verify and C_VerifyFinal. KL_SIGNATURE, KL_SIGNATURE_LENGTH. */
KL_MUST_USE enum kl_rc kl_op_verify(struct kl_session *session, struct kl_view in, struct kl_view signature);
KL_MUST_USE enum kl_rc kl_op_verify_final(struct kl_session *session, struct kl_view signature);

/* --- messages (v3.0 5.9, 5.11), in message.c; `kind` is one of KL_OP_MESSAGE_… --- */

/* C_EncryptMessage, C_DecryptMessage. out->data NULL asks for the length. */
struct kl_aead_text;
KL_MUST_USE enum kl_rc kl_message_once(struct kl_session *session, enum kl_op_kind kind, struct kl_view parameter,
                                       const struct kl_aead_text *text, struct kl_out *out);
/* C_EncryptMessageBegin, C_DecryptMessageBegin. */
KL_MUST_USE enum kl_rc kl_message_begin(struct kl_session *session, enum kl_op_kind kind, struct kl_view parameter, struct kl_view aad);
/* C_EncryptMessageNext, C_DecryptMessageNext; `is_last`: CKF_END_OF_MESSAGE. */
KL_MUST_USE enum kl_rc kl_message_next(struct kl_session *session, enum kl_op_kind kind, struct kl_view parameter, struct kl_view in,
                                       bool is_last, struct kl_out *out);
/* C_MessageEncryptFinal, C_MessageDecryptFinal. */
KL_MUST_USE enum kl_rc kl_message_final(struct kl_session *session, enum kl_op_kind kind);

/*
 * One more encryption under an IV of 96 bits, before its ciphertext leaves: counted against the budget of a stored key's version. A
 * session takes some at a time from what its process has reserved. Those of kl_budget_take.
 */
KL_MUST_USE enum kl_rc kl_op_refill(struct kl_op *op);
KL_MUST_USE static inline enum kl_rc kl_op_spend(struct kl_op *op)
{
    if (op->budget_left == 0) KL_TRY(kl_op_refill(op));
    op->budget_left--;
    return KL_OK;
}

/* Ends an operation and lets go of its key, object and state. */
void kl_op_clear(struct kl_session *session, enum kl_op_kind kind);
void kl_op_clear_all(struct kl_session *session);
/*
 * In a forked child that inherits the session: ends every operation that is about to use an IV or has begun to, which are
 * the parent's, and drops whatever nonces or counters a mechanism keeps for it. Frees nothing.
 */
void kl_op_inherit(struct kl_session *session);
/* Ends operations under a key and lets go of what idle ones, and derivations, keep of it; CK_INVALID_HANDLE: under any key. */
void kl_op_forget(struct kl_session *session, CK_OBJECT_HANDLE handle);

/*
 * Operations keep their key's expanded form for the next Init; in a process with many sessions that is much locked memory. From
 * this many on, whoever needs one more first takes those away that have lain unused longest, as far as that can be told.
 */
#define KL_KEYED_MAX 1024
size_t kl_op_keyed(void);
void kl_op_count_keyed(size_t count);
/* Lets go of what ended operations of a locked session keep that no Init has looked at since the second `before`; how many. */
size_t kl_op_forget_idle(struct kl_session *session, int64_t before);
size_t kl_op_count_keys(const struct kl_session *session);

/* C_GetMechanismList, C_GetMechanismInfo, from the table in mech.c: what the token's policy offers. */
CK_ULONG kl_mech_count(const struct kl_token *token);
CK_MECHANISM_TYPE kl_mech_type_at(const struct kl_token *token, CK_ULONG index);
/* KL_MECHANISM. */
KL_MUST_USE enum kl_rc kl_mech_info(const struct kl_token *token, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info);

#endif
