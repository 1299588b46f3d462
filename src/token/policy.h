/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What may be done with a key (DESIGN section 7): one pure function over a deed
 * and the attributes of the keys in it. Nothing here looks at objects, sessions
 * or the store, so that a test can walk every sequence of deeds.
 */
#ifndef KL_TOKEN_POLICY_H
#define KL_TOKEN_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rc.h"
#include "ladder/record.h"

struct kl_mech;

/* Setting `policy` of [token]. */
enum kl_policy { KL_POLICY_STANDARD, KL_POLICY_STRICT, KL_POLICY_COMPATIBLE };

#define KL_USAGE_FLAGS (KL_FLAG_ENCRYPT | KL_FLAG_DECRYPT | KL_FLAG_SIGN | KL_FLAG_VERIFY | KL_FLAG_WRAP | KL_FLAG_UNWRAP | KL_FLAG_DERIVE)
#define KL_KEY_BITS_SAFE 128 /* what a key must have that comes from a sensitive one, so that nobody can try them all */

enum kl_deed_kind {
    KL_DEED_MAKE,    /* a key outside the ladder comes to be, by whatever function */
    KL_DEED_GROW,    /* a ladder key is derived */
    KL_DEED_FLAG,    /* a template sets or clears a flag */
    KL_DEED_DATE,    /* a template moves a date of a key that exists */
    KL_DEED_CHANGE,  /* C_SetAttributeValue at all */
    KL_DEED_COPY,    /* C_CopyObject at all; what comes of it is a KL_DEED_MAKE as well */
    KL_DEED_DESTROY, /* C_DestroyObject */
    KL_DEED_READ,    /* the value leaves in clear */
    KL_DEED_DIGEST,  /* C_DigestKey */
    KL_DEED_TELL,    /* a derivation gives its result as data */
    KL_DEED_PRF,     /* a derivation takes the key's bytes as the key of a pseudo-random function, not as its input */
    KL_DEED_PRK,     /* an extraction without expansion makes `key` of `other`: what HKDF derives everything else from */
    KL_DEED_SALT,    /* an extraction from `other` takes the key's bytes as its salt */
    KL_DEED_USE,     /* an operation begins */
    KL_DEED_WRAP,    /* `other` leaves under `key`, whose use has been judged already */
    KL_DEEDS
};

/* A deed; only what its kind speaks of need be set. */
struct kl_deed {
    enum kl_deed_kind kind;
    const struct kl_record *key;   /* the key at work; for MAKE, GROW and PRK, what it is going to be */
    const struct kl_record *other; /* MAKE, PRK, SALT: a key that it comes from; WRAP: the key that is to leave */
    bool is_token;                 /* `key` is or becomes a token object */
    uint32_t named;                /* MAKE, GROW: flags that the template named */
    struct kl_view value;          /* MAKE: bytes that a caller brought */
    /* FLAG, DATE */
    unsigned rules;   /* the attribute's, enum kl_rule */
    bool is_there;    /* the object exists already: it is changed or copied */
    bool is_so;       /* by the security officer */
    bool from, to;    /* FLAG */
    bool is_end_date; /* DATE, with 8 digits or zero bytes each */
    const uint8_t *date_from, *date_to;
    /* USE, WRAP */
    const struct kl_mech *mech;
    uint32_t usage;       /* one of KL_USAGE_FLAGS */
    enum kl_state parent; /* the state of the version that a REK comes from, its own elsewhere */
    const uint8_t *today; /* YYYYMMDD; looked at where the key has dates */
};

/*
 * KL_OK, or the code that the first rule broken gives, with words. The rules are in policy.c, in the order in which they are
 * judged; each is there for a reason that a test shows by leaving it out, or tells (tests/unit/token/test_policy_walk.c).
 */
KL_MUST_USE enum kl_rc kl_policy_judge(enum kl_policy policy, const struct kl_deed *deed);

/* For that test and for the documentation: the rules by number, and a judgement that overlooks one of them. */
size_t kl_policy_rule_count(void);
const char *kl_policy_rule_name(size_t rule);
bool kl_policy_has_rule(enum kl_policy policy, size_t rule);
KL_MUST_USE enum kl_rc kl_policy_judge_without(enum kl_policy policy, const struct kl_deed *deed, size_t rule);

/* The IV of an encryption, apart from the table because every encryption asks. */
/* Does every IV of 96 bits do that is not zero? Then kl_policy_iv need not be asked about such a one. */
static inline bool kl_policy_takes_usual_iv(enum kl_policy policy)
{
    return policy != KL_POLICY_STRICT;
}

struct kl_iv_deed {
    bool is_aead;
    bool is_ladder; /* the key is */
    bool is_token;
    bool is_zero; /* the caller left it to the token */
    size_t len;
};
/* KL_PARAMETER; *makes: the token is to make it, and to give it back by the way it came. */
KL_MUST_USE enum kl_rc kl_policy_iv(enum kl_policy policy, const struct kl_iv_deed *deed, bool *makes);

/* --- what attributes become; nothing is refused here --- */

/* What a key may do when its template names no usage. */
uint32_t kl_policy_default_usage(enum kl_level level, uint64_t key_type);
/* A key derived from one with the flags `base`: sensitivity where nothing was said, and history. */
uint32_t kl_policy_inherited(uint32_t base, uint32_t named, uint32_t flags);
/*
 * History of a key whose `len` bytes were drawn here, and of one that came from outside. A key that derives is not KL_FLAG_GENERATED: its
 * commitment, which everybody may see, is what an expansion of its bytes gives.
 */
uint32_t kl_policy_history_generated(uint32_t flags, size_t len);
uint32_t kl_policy_history_imported(uint32_t flags);
/* What a child of the ladder is, whatever its template leaves out. */
uint32_t kl_policy_ladder_flags(uint32_t flags, bool is_token);

#endif
