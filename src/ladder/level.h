/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The levels of the ladder and the states of a version. */
#ifndef KL_LADDER_LEVEL_H
#define KL_LADDER_LEVEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum kl_level {
    KL_LEVEL_MASTER,
    KL_LEVEL_DEK,  /* one per table */
    KL_LEVEL_FEK,  /* one per field */
    KL_LEVEL_REK,  /* one per record; never stored */
    KL_LEVEL_FREE, /* keys outside the ladder */
    KL_LEVEL_DATA, /* CKO_DATA */
    KL_LEVELS
};

/* NIST SP 800-57 part 1, 7; the numbers are stored. */
enum kl_state {
    KL_STATE_PRE_ACTIVE = 1,
    KL_STATE_ACTIVE = 2,
    KL_STATE_RETIRING = 3,
    KL_STATE_DEACTIVATED = 4,
    KL_STATE_COMPROMISED = 5,
    KL_STATE_PENDING_DELETION = 6,
    KL_STATE_DESTROYED = 7
};

/* "master", "dek", "fek", "rek", "free", "data": the text of the store's key_type. */
const char *kl_level_name(enum kl_level level);
/* "DEK" and "one per table", for people. */
const char *kl_level_title(enum kl_level level);
/* False when the text names none. */
bool kl_level_from_name(struct kl_view name, enum kl_level *out);
bool kl_level_is_ladder(enum kl_level level);
/* What a child of `parent` is; KL_LEVELS when it can have none. Session keys: any child is derived for use only. */
enum kl_level kl_level_below(enum kl_level parent);
/* A key of this level may be a token object made by derivation. */
bool kl_level_is_stored(enum kl_level level);

const char *kl_state_name(enum kl_state state);
bool kl_state_is_valid(uint32_t state);
/* May a version in this state encrypt; decrypt; derive at all? */
bool kl_state_can_encrypt(enum kl_state state);
bool kl_state_can_decrypt(enum kl_state state);

#endif
