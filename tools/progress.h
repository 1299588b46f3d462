/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* How far long work has come, on a terminal only. */
#ifndef KL_TOOLS_PROGRESS_H
#define KL_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct kl_progress {
    const char *verb; /* "encrypting" */
    bool is_shown;
    int64_t began; /* kl_clock->steady() */
    int64_t next;  /* when to write again */
};

/* Nothing is shown where stderr is no terminal, or in the first second. */
void kl_progress_begin(struct kl_progress *progress, const char *verb);
/* total 0: nobody knows. */
void kl_progress_tell(struct kl_progress *progress, uint64_t done, uint64_t total);
/* The same for what is counted: "measuring: 12 of 168, find by label". */
void kl_progress_count(struct kl_progress *progress, uint64_t done, uint64_t total, const char *what);
void kl_progress_end(struct kl_progress *progress);

#endif
