/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* For the files of this room alone. */
#ifndef KL_CRYPTO_OVERLAP_H
#define KL_CRYPTO_OVERLAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

/* In place is fine; EVP gives up half-way where one begins inside the other. */
static inline bool kl_overlaps(struct kl_view in, const uint8_t *out)
{
    uintptr_t a = (uintptr_t)in.data;
    uintptr_t b = (uintptr_t)out;

    return a != b && (a < b ? b - a : a - b) < in.len;
}

#endif
