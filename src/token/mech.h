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
#include "crypto/hash.h"
#include "keyladder/pkcs11.h"
#include "ladder/key.h"
#include "token/draft.h"
#include "token/hold.h"
#include "token/op.h"
#include "token/wrap.h"

#define KL_MECH_KEY_TYPES 5
#define KL_SECRET_KEY_MAX (255 * 64) /* bytes of a session key: as many as HKDF can make; token keys have KL_VALUE_MAX */
#define KL_IV_USUAL 12               /* bytes: 96 bits, SP 800-38D 5.2.1.1 */

/* Kinds of mechanisms whose use of the same bytes is the same: `policy = strict` binds a key to one. Stored: numbers stay. */
enum kl_family {
    KL_FAMILY_NONE,
    KL_FAMILY_GCM,
    KL_FAMILY_CHACHA20,
    KL_FAMILY_CBC,
    KL_FAMILY_CTR,
    KL_FAMILY_ECB,
    KL_FAMILY_KEY_WRAP,
    KL_FAMILY_HMAC_SHA256,
    KL_FAMILY_HMAC_SHA384,
    KL_FAMILY_HMAC_SHA512,
    KL_FAMILY_CMAC,
    KL_FAMILY_GMAC,
    KL_FAMILY_HKDF,
    KL_FAMILY_SP800_108,
    KL_FAMILY_ENVELOPE,
    KL_FAMILY_ROOT
};

/*
 * The steps of one kind of operation. The `…_len` functions say how much the
 * step will write at most, exactly where that can be known; op.c has then seen to
 * it that there is room, and that `in` and `out` are one or do not touch. A step that finds the
 * room too small all the same sets out->len and answers KL_BUFFER before it has changed anything.
 * update or absorb, and final, come together, or are NULL: not offered.
 * A MAC's steps serve KL_OP_SIGN and KL_OP_VERIFY alike: they compute it, op.c compares.
 */
struct kl_steps {
    enum kl_rc (*once_len)(const struct kl_op *op, size_t in_len, size_t *out_len);
    enum kl_rc (*once)(struct kl_op *op, struct kl_view in, struct kl_out *out);
    enum kl_rc (*update_len)(const struct kl_op *op, size_t in_len, size_t *out_len);
    enum kl_rc (*update)(struct kl_op *op, struct kl_view in, struct kl_out *out);
    enum kl_rc (*absorb)(struct kl_op *op, struct kl_view in); /* MACs and digests: an update that writes nothing */
    enum kl_rc (*final_len)(const struct kl_op *op, size_t *out_len);
    enum kl_rc (*final)(struct kl_op *op, struct kl_out *out);
};

/* The parameter of one message (v3.0 6.13.4), read; the pointers are the caller's, and what the token makes goes to them. */
struct kl_message {
    uint8_t *iv;
    size_t iv_len;
    size_t fixed_bits; /* of the IV, from its first bit: what a generator leaves alone */
    CK_GENERATOR_FUNCTION generator;
    uint8_t *tag;
    size_t tag_len;
};

/* A derivation in free keys: RFC bytes from base key bytes. */
struct kl_derivation {
    struct kl_session *session;
    struct kl_view parameter;
    CK_OBJECT_HANDLE handle; /* the base's */
    struct kl_hold *base;
    struct kl_key *base_key;
    struct kl_draft *draft; /* key type, and the length that the template names; for data, its own */
};

struct kl_mech {
    CK_MECHANISM_TYPE type;
    const char *name;
    CK_KEY_TYPE key_types[KL_MECH_KEY_TYPES];
    size_t key_type_count;
    size_t min_key, max_key; /* bytes; of the keys that it makes where it generates */
    enum kl_family family;
    bool on_ladder;           /* ladder keys may be used with it, under a subkey of its own */
    bool any_ladder_type;     /* whatever their CKA_KEY_TYPE */
    bool free_wraps_only;     /* ladder keys wrap nothing with it: they encrypt with the same subkey */
    bool parameter_is_aad;    /* so that a batch can have one for each value */
    bool of_root;             /* for the master, done by its root provider */
    bool aes_if_compatible;   /* `policy = compatible` takes CKK_AES as well */
    bool is_compatible_only;  /* offered under `policy = compatible` */
    bool wraps_if_compatible; /* wrapping with it is */

    const struct kl_steps *steps[KL_OP_FIND]; /* NULL: not offered. Those of messages are `message` below */
    /*
     * Begins an operation: op has its key, and its state from the last operation with
     * the same key, or NULL. Reads the parameter, all of it.
     */
    enum kl_rc (*init)(struct kl_op *op, enum kl_op_kind kind, struct kl_view parameter);
    /* The operation is over: gives back what the next one does not need. Neither is called where there is no state. */
    void (*end)(struct kl_op *op);
    /* Gives back op->state. */
    void (*clear)(struct kl_op *op);

    /* Message-based encryption and decryption, on a state that aead_op.h makes: reads a message's parameter. KL_PARAMETER. */
    enum kl_rc (*message)(struct kl_view parameter, struct kl_message *out);

    /* C_GenerateKey: type of the keys that it makes. */
    bool generates;
    CK_KEY_TYPE makes;

    /* C_WrapKey and C_UnwrapKey, or their authenticated kind. `wrap_len` as kl_steps.once_len; `unwrap` gives the bytes of a key. */
    bool wraps_authenticated;
    enum kl_rc (*wrap_len)(const struct kl_wrapping *wrapping, size_t value_len, size_t *out_len);
    enum kl_rc (*wrap)(const struct kl_wrapping *wrapping, struct kl_view value, struct kl_out *out);
    enum kl_rc (*unwrap)(const struct kl_wrapping *wrapping, struct kl_view wrapped, struct kl_secret *value);

    /* C_DeriveKey from a free key: the child's bytes. */
    enum kl_rc (*derive)(const struct kl_derivation *derivation, struct kl_secret *out);
    CK_OBJECT_CLASS derives; /* CKO_SECRET_KEY, or CKO_DATA */
    /* From a ladder key: reads the parameter into salt and info. */
    enum kl_rc (*derive_ladder)(struct kl_view parameter, struct kl_request *request);
};

/* NULL if there is none. */
const struct kl_mech *kl_mech_find(CK_MECHANISM_TYPE type);
/* Is the use of a mechanism for a usage (a flag) offered under `policy = compatible` alone? */
bool kl_mech_is_compatible_only(const struct kl_mech *mech, uint32_t usage);
/*
 * May the session use this key with this mechanism for `usage` (a flag)? KL_NOT_LOGGED_IN, KL_KEY_HANDLE, KL_KEY_FUNCTION,
 * KL_MECHANISM (CKA_ALLOWED_MECHANISMS), KL_KEY_TYPE, KL_KEY_SIZE.
 */
KL_MUST_USE enum kl_rc kl_mech_may_use(struct kl_session *session, const struct kl_mech *mech, const struct kl_hold *hold, uint32_t usage);
/*
 * The use has begun well: under `policy = strict` the first one of a free key binds it to the mechanism's family. KL_KEY_FUNCTION:
 * another was quicker, and of another mind.
 */
KL_MUST_USE enum kl_rc kl_mech_bind(struct kl_session *session, const struct kl_mech *mech, CK_OBJECT_HANDLE handle);
/* Lengths that keys of a type may have. */
bool kl_key_type_takes(uint64_t key_type, size_t len);
/* 0 where it has to be asked for. */
size_t kl_key_type_fixed_len(uint64_t key_type);
bool kl_key_type_is_known(uint64_t key_type);
/* The bytes that a mechanism works with: a free key's own; of a ladder key 32 of the mechanism's subkey, whatever the key's own length. */
KL_MUST_USE enum kl_rc kl_mech_key_bytes(const struct kl_mech *mech, const struct kl_key *key, struct kl_secret *out);
/* The hash that a digest mechanism names. KL_PARAMETER. */
KL_MUST_USE enum kl_rc kl_mech_hash(CK_MECHANISM_TYPE type, enum kl_hash *out);
/* Takes a mechanism that has no parameter at its word. KL_PARAMETER. */
KL_MUST_USE enum kl_rc kl_mech_no_parameter(struct kl_view parameter);

extern const struct kl_mech kl_mech_aes_cbc;
extern const struct kl_mech kl_mech_aes_cbc_pad;
extern const struct kl_mech kl_mech_aes_cmac;
extern const struct kl_mech kl_mech_aes_cmac_general;
extern const struct kl_mech kl_mech_aes_ctr;
extern const struct kl_mech kl_mech_aes_ecb;
extern const struct kl_mech kl_mech_aes_gcm;
extern const struct kl_mech kl_mech_aes_gmac;
extern const struct kl_mech kl_mech_aes_key_gen;
extern const struct kl_mech kl_mech_aes_key_wrap;
extern const struct kl_mech kl_mech_aes_key_wrap_kwp;
extern const struct kl_mech kl_mech_aes_key_wrap_pad;
extern const struct kl_mech kl_mech_chacha20_key_gen;
extern const struct kl_mech kl_mech_chacha20_poly1305;
extern const struct kl_mech kl_mech_envelope;
extern const struct kl_mech kl_mech_generic_key_gen;
extern const struct kl_mech kl_mech_hkdf_data;
extern const struct kl_mech kl_mech_hkdf_derive;
extern const struct kl_mech kl_mech_hkdf_key_gen;
extern const struct kl_mech kl_mech_root_wrap;
extern const struct kl_mech kl_mech_sha256;
extern const struct kl_mech kl_mech_sha256_hmac;
extern const struct kl_mech kl_mech_sha256_hmac_general;
extern const struct kl_mech kl_mech_sha384;
extern const struct kl_mech kl_mech_sha384_hmac;
extern const struct kl_mech kl_mech_sha384_hmac_general;
extern const struct kl_mech kl_mech_sha512;
extern const struct kl_mech kl_mech_sha512_hmac;
extern const struct kl_mech kl_mech_sha512_hmac_general;
extern const struct kl_mech kl_mech_sp800_108_counter_kdf;

#endif
