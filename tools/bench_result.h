/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What `keyladder bench` has measured, and how it is shown. */
#ifndef KL_TOOLS_BENCH_RESULT_H
#define KL_TOOLS_BENCH_RESULT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/rc.h"
#include "bench_contender.h"
#include "cli.h"

enum { KL_BENCH_ROUNDS_MAX = 99 };

struct kl_bench_cell {
    double ns[KL_BENCH_ROUNDS_MAX]; /* of each round; 0 where there is none */
    unsigned long rv;               /* why there is none at all; 0 */
};

struct kl_bench_result {
    struct kl_bench_contender *contenders;
    size_t contender_count, rounds;
    bool of_processor;           /* which clock */
    const char *only;            /* the list of groups; NULL: all */
    struct kl_bench_cell *cells; /* [case * contender_count + contender] */
    char conditions[512];        /* processor, kernel, libraries, date: one line */
    char processor[128], kernel[128], openssl[64], engine[32], date[21];
};

/* KL_MEMORY. */
KL_MUST_USE enum kl_rc kl_bench_result_new(struct kl_bench_result *result, struct kl_bench_contender *contenders, size_t contender_count,
                                           size_t rounds);
void kl_bench_result_clear(struct kl_bench_result *result);
struct kl_bench_cell *kl_bench_cell_at(const struct kl_bench_result *result, size_t work, size_t contender);
/* The median over the rounds; 0 where nothing was measured. */
double kl_bench_median(const struct kl_bench_cell *cell, size_t rounds);
/* The median of what one took against the other in the same round; 0 where there is none. */
double kl_bench_ratio(const struct kl_bench_cell *cell, const struct kl_bench_cell *against, size_t rounds);
/* Which contender is OpenSSL alone; contender_count for none. */
size_t kl_bench_floor(const struct kl_bench_result *result);
/* The case of this name and size that was measured, or kl_bench_case_count(). */
size_t kl_bench_case_find(const struct kl_bench_result *result, const char *name, size_t size);
/* "61 ns", "5.84 us". Returns out. */
const char *kl_bench_time_text(double ns, char out[24]);

void kl_bench_print_table(const struct kl_bench_result *result);
KL_MUST_USE enum kl_rc kl_bench_print_json(struct kl_cli *cli, const struct kl_bench_result *result);
/* A picture that stands alone; heap text, NULL when memory is short. */
char *kl_bench_draw(const struct kl_bench_result *result);

#endif
