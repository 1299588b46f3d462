/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * How often one version of a key may encrypt under IVs of 96 bits: 2^32 times (SP 800-38D 8.3), counted over all processes.
 * A process counts in the store ahead of time, in reservations that begin small and double, and uses them up in memory.
 */
#ifndef KL_LADDER_BUDGET_H
#define KL_LADDER_BUDGET_H

#include <stdint.h>

#include "base/rc.h"
#include "store/row.h"

#define KL_BUDGET_FIRST 64   /* a process's first reservation under a version */
#define KL_BUDGET_MOST 65536 /* and its largest */
#define KL_BUDGET_DUE (UINT64_C(1) << 31)
#define KL_BUDGET_LIMIT (UINT64_C(1) << 32)

struct kl_ladder;

/*
 * Leave for 1 to `most` encryptions under the version `id` of a stored key: what the process has reserved, or of a new
 * reservation, which every process sees before this returns (the disk takes it later: a power failure may undo it). What is not used comes back by kl_budget_return. Under `on_expiry = serve` a
 * used-up budget, and a store that cannot be written, are told to the log and go on. KL_BUDGET: used up. KL_KEY_HANDLE: the version was
 * destroyed. KL_NOT_LOGGED_IN, KL_INTEGRITY, KL_STORE….
 */
KL_MUST_USE enum kl_rc kl_budget_take(struct kl_ladder *ladder, const uint8_t id[KL_ROW_ID_LEN], uint32_t most, uint32_t *got);
/* Into memory, for the next who takes. After the end of the login it is lost. */
void kl_budget_return(struct kl_ladder *ladder, const uint8_t id[KL_ROW_ID_LEN], uint32_t count);
/* Gives back to the store what the process has reserved under one version, NULL: under all. What cannot be given back is lost. */
void kl_budget_settle(struct kl_ladder *ladder, const uint8_t *id);

/* Encryptions counted, reservations of running processes included. */
KL_MUST_USE enum kl_rc kl_budget_used(struct kl_ladder *ladder, const uint8_t id[KL_ROW_ID_LEN], uint64_t *used);
/* Calls back for every version that has encrypted or was reserved for; a result other than KL_OK stops and is handed up. */
typedef enum kl_rc kl_budget_fn(void *user, const uint8_t id[KL_ROW_ID_LEN], uint64_t used) KL_MUST_USE;
KL_MUST_USE enum kl_rc kl_budget_each(struct kl_ladder *ladder, kl_budget_fn *each, void *user);

#endif
