/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* All objects of a token at once, in an order that people like. */
#ifndef KL_TOOLS_CENSUS_H
#define KL_TOOLS_CENSUS_H

#include <stddef.h>

#include "base/rc.h"
#include "cli.h"
#include "ladder/ladder.h"

/* { 0 } is empty; kl_census_clear gives back. */
struct kl_census {
    struct kl_record *items; /* by level, then label, then newest version first */
    size_t count;
    size_t room;
    uint32_t hurt; /* buckets of the store that do not fit and were left out */
};

/* A user must be logged in to see more than public objects. KL_INTERRUPTED. */
KL_MUST_USE enum kl_rc kl_census_read(struct kl_ladder *ladder, struct kl_census *out);
void kl_census_clear(struct kl_census *census);
/* NULL for none. */
const struct kl_record *kl_census_find(const struct kl_census *census, const uint8_t id[KL_ROW_ID_LEN]);

/* Says on stderr that parts of the store were left out, if so, and that this deserves attention. */
void kl_census_report(struct kl_cli *cli, const struct kl_census *census);

/* A label without the "#N" of a superseded version. */
struct kl_view kl_census_name(struct kl_view label);

#endif
