/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Time is a table entry, so that tests bring their own. */
#ifndef KL_BASE_CLOCK_H
#define KL_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

struct kl_clock {
    int64_t (*wall)(void);   /* seconds since 1970, for dates that people read */
    int64_t (*steady)(void); /* nanoseconds, never jumps, for TTLs and deadlines (CLOCK_BOOTTIME) */
    int64_t (*coarse)(void); /* the same kind, some ms coarse, without a system call (CLOCK_MONOTONIC_COARSE) */
};

extern const struct kl_clock kl_clock_system;
/* The one in use; tests may point it elsewhere. */
extern const struct kl_clock *kl_clock;

/* "2026-11-22T19:43:29Z" into out[21]. */
void kl_clock_text(int64_t wall, char out[21]);

#endif
