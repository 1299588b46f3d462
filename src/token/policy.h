/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What may be done with a key: pure functions over its attributes and the
 * operation (DESIGN section 7, policy `standard`). Nothing here looks at
 * objects, sessions or the store, so that a test can walk every sequence.
 */
#ifndef KL_TOKEN_POLICY_H
#define KL_TOKEN_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rc.h"
#include "ladder/record.h"
#include "token/draft.h"

#define KL_USAGE_FLAGS (KL_FLAG_ENCRYPT | KL_FLAG_DECRYPT | KL_FLAG_SIGN | KL_FLAG_VERIFY | KL_FLAG_WRAP | KL_FLAG_UNWRAP | KL_FLAG_DERIVE)

/* At most one of encrypt/decrypt, sign/verify, wrap/unwrap, derive. */
bool kl_policy_is_one_role(uint32_t flags);
/* What a key may do when its template names no usage. */
uint32_t kl_policy_default_usage(enum kl_level level, uint64_t key_type);

/* A flag in a template: KL_ATTR_READ_ONLY or KL_PROHIBITED when it may not go there. `rules` are the attribute's. */
KL_MUST_USE enum kl_rc kl_policy_flag(unsigned rules, struct kl_applying applying, bool from, bool to);
/* A date of a key that exists; 8 digits or zero bytes. Only ever narrows the time: KL_ATTR_READ_ONLY. */
KL_MUST_USE enum kl_rc kl_policy_date(bool is_end, const uint8_t from[8], const uint8_t to[8]);

/* A new key outside the ladder. KL_TEMPLATE. */
KL_MUST_USE enum kl_rc kl_policy_new_free(uint32_t flags);
/* A new ladder key: `named` are the flags that its template set or cleared by name. KL_TEMPLATE. */
KL_MUST_USE enum kl_rc kl_policy_new_ladder(enum kl_level level, bool is_token, uint32_t flags, uint32_t named);
/* The flags of a key derived from a free key with the flags `base`: sensitivity and history are inherited. KL_TEMPLATE. */
KL_MUST_USE enum kl_rc kl_policy_inherit(uint32_t base, uint32_t named, uint32_t *flags);
/* History of a key whose bytes were drawn here, and of one that came from outside. */
uint32_t kl_policy_history_generated(uint32_t flags);
uint32_t kl_policy_history_imported(uint32_t flags);

/* May the bytes be read by the user? */
bool kl_policy_is_readable(uint32_t flags);
/*
 * May a key be used, `usage` being one of KL_USAGE_FLAGS? `today` is YYYYMMDD; `parent` the state of the version
 * that a REK comes from, its own state elsewhere. KL_KEY_FUNCTION.
 */
KL_MUST_USE enum kl_rc kl_policy_use(const struct kl_record *record, enum kl_state parent, uint32_t usage, const uint8_t today[8]);

#endif
