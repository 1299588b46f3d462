/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Mechanisms: one file and one row of mechs[] each. */
#ifndef KL_TOKEN_MECH_H
#define KL_TOKEN_MECH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/rc.h"
#include "base/secret.h"
#include "keyladder/pkcs11.h"
#include "ladder/key.h"
#include "token/draft.h"
#include "token/hold.h"
#include "token/op.h"

#define KL_MECH_KEY_TYPES 4
#define KL_SECRET_KEY_MAX (255 * 64) /* bytes of a session key: as many as HKDF can make; token keys have KL_VALUE_MAX */

/*
 * The steps of one kind of operation. The `…_len` functions say how much the
 * step will write at most, exactly where that can be known; op.c has then seen to
 * it that there is room, and that `in` and `out` are one or do not touch. A step that finds the
 * room too small all the same sets out->len and answers KL_BUFFER before it has changed anything.
 * NULL: not offered (`once` stands for the whole kind; update and final come together).
 */
struct kl_steps {
    enum kl_rc (*once_len)(const struct kl_op *op, size_t in_len, size_t *out_len);
    enum kl_rc (*once)(struct kl_op *op, struct kl_view in, struct kl_out *out);
    enum kl_rc (*update_len)(const struct kl_op *op, size_t in_len, size_t *out_len);
    enum kl_rc (*update)(struct kl_op *op, struct kl_view in, struct kl_out *out);
    enum kl_rc (*final_len)(const struct kl_op *op, size_t *out_len);
    enum kl_rc (*final)(struct kl_op *op, struct kl_out *out);
};

/* A derivation in free keys: RFC bytes from base key bytes. */
struct kl_derivation {
    struct kl_session *session;
    struct kl_view parameter;
    struct kl_hold *base;
    struct kl_key *base_key;
    struct kl_draft *draft; /* key type, and the length that the template names */
};

struct kl_mech {
    CK_MECHANISM_TYPE type;
    const char *name;
    CK_KEY_TYPE key_types[KL_MECH_KEY_TYPES];
    size_t key_type_count;
    size_t min_key, max_key; /* bytes */
    bool on_ladder;          /* ladder keys may be used with it, under a subkey of its own */

    struct kl_steps steps[KL_OP_FIND];
    /*
     * Begins an operation: op has its key, and its state from the last operation with
     * the same key, or NULL. Reads the parameter, all of it.
     */
    enum kl_rc (*init)(struct kl_op *op, enum kl_op_kind kind, struct kl_view parameter);
    /* The operation is over: gives back what the next one does not need. */
    void (*end)(struct kl_op *op);
    /* Gives back op->state. */
    void (*clear)(struct kl_op *op);

    /* C_GenerateKey: type of the keys that it makes. */
    bool generates;
    CK_KEY_TYPE makes;

    /* C_DeriveKey from a free key: the child's bytes. */
    enum kl_rc (*derive)(const struct kl_derivation *derivation, struct kl_secret *out);
    /* From a ladder key: reads the parameter into salt and info. */
    enum kl_rc (*derive_ladder)(struct kl_view parameter, struct kl_request *request);
};

/* NULL if there is none. */
const struct kl_mech *kl_mech_find(CK_MECHANISM_TYPE type);
/*
 * May the session use this key with this mechanism for `usage` (a flag)? KL_NOT_LOGGED_IN, KL_KEY_HANDLE, KL_KEY_FUNCTION,
 * KL_MECHANISM (CKA_ALLOWED_MECHANISMS), KL_KEY_TYPE, KL_KEY_SIZE.
 */
KL_MUST_USE enum kl_rc kl_mech_may_use(const struct kl_session *session, const struct kl_mech *mech, const struct kl_hold *hold,
                                       uint32_t usage);
/* Lengths that keys of a type may have. */
bool kl_key_type_takes(uint64_t key_type, size_t len);
/* 0 where it has to be asked for. */
size_t kl_key_type_fixed_len(uint64_t key_type);
bool kl_key_type_is_known(uint64_t key_type);

extern const struct kl_mech kl_mech_aes_gcm;
extern const struct kl_mech kl_mech_aes_key_gen;
extern const struct kl_mech kl_mech_envelope;
extern const struct kl_mech kl_mech_generic_key_gen;
extern const struct kl_mech kl_mech_hkdf_derive;

#endif
