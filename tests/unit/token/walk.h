/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A small world in which the policy is tried out (test_policy_walk.c): a few keys, what their bytes are in symbols, and an attacker.
 * Attributes, templates and judgements are those of src/token; store, sessions and cryptography are left out.
 *
 * The attacker is logged in as the user and may use every key. The security officer is honest, but sets CKA_TRUSTED on any public key
 * that he is asked for: more than that nobody can be talked into. The attacker reads the store as well, where commitments lie in clear.
 */
#ifndef KL_TESTS_WALK_H
#define KL_TESTS_WALK_H

#include "token/draft.h"
#include "token/mech.h"
#include "token/policy.h"

#define WALK_KEYS 4 /* at a time, at most */
#define WALK_BLOBS 40
#define WALK_COUNT(array) (sizeof(array) / sizeof *(array))

/* --- values (walk_value.c): what the bytes of a key are, by number --- */

enum walk_kind {
    WALK_KNOWN, /* bytes that the attacker knows; a = enum walk_known */
    WALK_DRAWN, /* random; a = the template that it was drawn for, b = which of them */
    WALK_HMAC,  /* of b under a: extraction, expansion, a signature */
    WALK_CMAC,  /* likewise */
    WALK_CHILD, /* a ladder key's; a = its parent */
    WALK_SUBKEY /* of ladder key a for mechanism b */
};
enum walk_known { WALK_INFO, WALK_BYTES, WALK_COMMIT };

unsigned walk_value(enum walk_kind kind, unsigned a, unsigned b);
enum walk_kind walk_kind_of(unsigned value, unsigned *a, unsigned *b);
/* Did nobody outside know it when it was made, and was every key sensitive that it comes from? */
bool walk_is_secret(unsigned value);
/* Does it come from keys that may leave? */
bool walk_may_leave(unsigned value);
/* In words; valid until the third call from now. */
const char *walk_value_words(unsigned value);

/* --- templates (walk_template.c) --- */

/* CKA_UNWRAP_TEMPLATE and CKA_DERIVE_TEMPLATE of a key. */
enum walk_pattern { WALK_NO_PATTERN, WALK_FOR_CIPHERS, WALK_FOR_DERIVING, WALK_SENSITIVE_ONLY, WALK_WEAK, WALK_PATTERNS };

struct walk_template {
    const char *words;
    uint32_t on, off; /* flags named */
    enum walk_pattern unwrap, derive;
    CK_KEY_TYPE type; /* 0, CKK_RSA: not named */
    CK_ULONG len;     /* 0: not named */
};
extern const struct walk_template walk_generated[], walk_imported[], walk_derived[], walk_unwrapped[], walk_changes[], walk_grown[];
extern const size_t walk_generated_count, walk_imported_count, walk_derived_count, walk_unwrapped_count, walk_changes_count,
    walk_grown_count;

/* Makes what the functions below need. */
void walk_templates_begin(void);
const struct kl_asked *walk_asked(const struct walk_template *template);
/* As a record's extra; data == NULL for WALK_NO_PATTERN. And back. */
struct kl_view walk_pattern_stored(enum walk_pattern pattern);
enum walk_pattern walk_pattern_of(struct kl_view stored);

/* --- states --- */

/* Compared as bytes: no padding. */
struct walk_key {
    uint32_t flags;
    uint16_t value;
    uint16_t len;
    uint8_t type, level;
    uint8_t unwrap, derive; /* enum walk_pattern */
    uint8_t is_marked;      /* the officer made it, or what it is a copy of, CKA_TRUSTED */
    uint8_t spare[3];
};

/* What the attacker holds: `value` under the key `under`. */
struct walk_blob {
    uint16_t under, value;
    uint16_t len; /* of the key */
    uint8_t mech; /* enum walk_mech */
    uint8_t spare;
};

/* How many keys there are at a time. */
extern size_t walk_room;

struct walk_state {
    struct walk_key keys[WALK_KEYS];
    struct walk_blob blobs[WALK_BLOBS];
    uint8_t key_count, blob_count;
    uint8_t strayed; /* a key has left that may not, or under whom it may not */
    uint8_t spare[5];
};

enum walk_mech {
    WALK_GCM,
    WALK_CBC,
    WALK_KEY_WRAP,
    WALK_CBC_PAD,
    WALK_MAC,
    WALK_CMAC_MECH,
    WALK_HKDF,
    WALK_HKDF_DATA,
    WALK_SP800_108,
    WALK_MECHS
};
const struct kl_mech *walk_mech(enum walk_mech mech);

/* A key as the policy sees it; `slot` is its place in the state. */
struct walk_seen {
    struct kl_record record;
    struct kl_extra extras[2];
};
void walk_see(const struct walk_key *key, size_t slot, struct walk_seen *out);
const char *walk_key_words(const struct walk_key *key);
/* The value that is the key of a mechanism: that of a ladder key is a subkey. */
unsigned walk_key_for(const struct walk_key *key, enum walk_mech mech);

/* --- deeds (walk_deed.c) --- */

enum walk_what {
    WALK_GENERATE,
    WALK_IMPORT,
    WALK_COPY,
    WALK_SET,
    WALK_TRUST,
    WALK_DERIVE,
    WALK_UNWRAP,
    WALK_DESTROY,
    WALK_GROW,
    WALK_WHATS
};
struct walk_deed {
    uint8_t what;
    uint8_t key;    /* whose, where it is one's */
    uint8_t other;  /* a salt; which blob */
    uint8_t choice; /* which template, which way */
};

/* All deeds there are in a state; how many. */
#define WALK_DEEDS_MAX 1024
size_t walk_deeds(const struct walk_state *state, struct walk_deed deeds[WALK_DEEDS_MAX]);
/* The state after a deed, with everything wrapped that may be; or why not. KL_MEMORY: the world is full. */
enum kl_rc walk_do(enum kl_policy policy, const struct walk_state *from, const struct walk_deed *deed, struct walk_state *to);
void walk_say(const struct walk_state *from, const struct walk_deed *deed);
void walk_add(struct walk_state *state, const struct walk_key *key);
/* In the one order that states are kept in. */
void walk_sort(struct walk_state *state);

/* What has been tried and refused so far, wrappings and uses among it. */
extern unsigned long walk_tried, walk_refused;
enum kl_rc walk_judge(enum kl_policy policy, const struct kl_deed *deed);

/* --- the attacker (walk_know.c) --- */

bool walk_may_use(enum kl_policy policy, const struct walk_key *key, enum walk_mech mech, uint32_t usage);
/* A value that nobody should know, and the attacker can work out; 0: none. `ladder_only`: among those of the ladder. */
unsigned walk_leak(enum kl_policy policy, const struct walk_state *state, bool ladder_only);

#endif
