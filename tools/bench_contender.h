/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Who takes part in `keyladder bench`: OpenSSL and modules, each in a process of its own. */
#ifndef KL_TOOLS_BENCH_CONTENDER_H
#define KL_TOOLS_BENCH_CONTENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/rc.h"
#include "base/secret.h"
#include "bench_side.h"

/* What went wrong in the contender's process, for its column. */
#define KL_BENCH_WORDS 256

enum { KL_BENCH_CONTENDERS_MAX = 8 };

struct kl_bench_contender {
    const char *name;
    const char *path;   /* of the module; NULL: OpenSSL alone */
    const char *token;  /* its label; NULL: the first token there is */
    const char *serial; /* where labels may be the same; NULL: any */
    const char *pin_source;
    const char *init_args; /* pReserved of C_Initialize, for NSS; NULL: none */
    const char *conf;      /* KEYLADDER_CONF for its process; NULL: as it is */
    bool makes_token;      /* the token is to be initialised first */
    bool is_ours;
    /* while it runs */
    pid_t pid;
    int channel;
    char *stage;                  /* shared with it: the call that is under way */
    char failure[KL_BENCH_WORDS]; /* why it does not run (any more); "" while it does */
};

/*
 * Starts it and waits until it is ready, `deadline` nanoseconds at the most. The PINs (the SO's only for a token that is to be made;
 * both empty where there is none) go through its channel, so that no process has those of another. What the contender itself does
 * wrong is in contender->failure; a result is for ourselves. KL_INTERRUPTED, KL_IO.
 */
KL_MUST_USE enum kl_rc kl_bench_start(struct kl_bench_contender *contender, const struct kl_secret *pin, const struct kl_secret *so_pin,
                                      int64_t deadline);
bool kl_bench_runs(const struct kl_bench_contender *contender);
/* One reading; the same deadline. *rv is 0 and *ns the time, or it is why there is none. */
KL_MUST_USE enum kl_rc kl_bench_ask(struct kl_bench_contender *contender, size_t work, const struct kl_bench_span *span, int64_t deadline,
                                    unsigned long *rv, double *ns);
void kl_bench_stop(struct kl_bench_contender *contender);

/* Tells the parent which call is under way, should it be the last; "" for none. Static text. */
void kl_bench_stage(const char *call);

#endif
