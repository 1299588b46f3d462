/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Objects by the names that people give. */
#ifndef KL_TOOLS_LOOKUP_H
#define KL_TOOLS_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/rc.h"
#include "cli.h"
#include "ladder/record.h"

/* { 0 } is empty; kl_found_clear gives back. */
struct kl_found {
    struct kl_record items[64]; /* of a ladder key the current version first */
    size_t count;
    bool more; /* there were more than that */
};

/*
 * By path or label, else by CKA_ID or the id of one version: a ladder key with its superseded versions, or all
 * objects of that name. KL_NOT_FOUND with words when there is none.
 */
KL_MUST_USE enum kl_rc kl_lookup(struct kl_cli *cli, const char *name, struct kl_found *out);
/* The key whose envelopes carry `id` (KL_COMMITMENT_LEN bytes). KL_NOT_FOUND with words. */
KL_MUST_USE enum kl_rc kl_lookup_commitment(struct kl_cli *cli, const uint8_t *id, struct kl_record *out);
void kl_found_clear(struct kl_found *found);

#endif
