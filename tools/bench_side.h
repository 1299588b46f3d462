/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A way of doing the works of `keyladder bench`, and the clock. All of it runs within a contender's process. */
#ifndef KL_TOOLS_BENCH_SIDE_H
#define KL_TOOLS_BENCH_SIDE_H

#include <stdbool.h>

#include "bench_case.h"

/* One thread's part, ready to run. */
struct kl_bench_job {
    unsigned long (*run)(void *state, unsigned long times); /* 0, or the CK_RV that refused */
    void *state;
    double per_run; /* operations in one */
};

/* A way of doing all works. `prepare` answers 0 or a CK_RV; KL_BENCH_ABSENT where the work has no counterpart here. */
struct kl_bench_side {
    unsigned long (*prepare)(const struct kl_bench_case *work, struct kl_bench_job *job);
    void (*done)(struct kl_bench_job *job);
};
#define KL_BENCH_ABSENT 0xfffffff0UL /* no CK_RV */
#define KL_BENCH_WRONG 0xfffffff1UL  /* it said CKR_OK, and the result is not right */
#define KL_BENCH_FAILED 0xfffffff2UL /* not for a reason that PKCS #11 knows: no memory, no thread */
/* "CKR_MECHANISM_INVALID", or "0x…" for one that is not in the standard. Returns out. */
const char *kl_bench_rv_text(unsigned long rv, char out[48]);

extern const struct kl_bench_side kl_bench_evp; /* OpenSSL alone */
extern const struct kl_bench_side kl_bench_p11; /* the module that kl_bench_p11_open has loaded */

/* How long to run, and by which clock. */
struct kl_bench_span {
    double slice;      /* about so many nanoseconds */
    bool of_processor; /* the time that the thread has had a processor; several threads are always timed by the clock */
};
/* Runs several times in that span; the median time of one operation. 0 or a CK_RV. */
unsigned long kl_bench_time(const struct kl_bench_side *side, const struct kl_bench_case *work, const struct kl_bench_span *span,
                            double *ns);

#endif
