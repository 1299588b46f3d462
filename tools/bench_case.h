/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What `keyladder bench` measures: a table of works. */
#ifndef KL_TOOLS_BENCH_CASE_H
#define KL_TOOLS_BENCH_CASE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/rc.h"
#include "cli.h"

enum kl_bench_work {
    KL_BENCH_GCM_ENCRYPT,
    KL_BENCH_GCM_DECRYPT,
    KL_BENCH_MESSAGE_ENCRYPT,
    KL_BENCH_MESSAGE_DECRYPT,
    KL_BENCH_BATCH_ENCRYPT,
    KL_BENCH_BATCH_DECRYPT,
    KL_BENCH_CHACHA_ENCRYPT,
    KL_BENCH_CHACHA_DECRYPT,
    KL_BENCH_HMAC,
    KL_BENCH_HKDF,
    KL_BENCH_SESSION,
    KL_BENCH_FIND,
    KL_BENCH_WORKS
};

enum {
    KL_BENCH_FIELDS = 100, /* in one batch */
    KL_BENCH_FOUND = 100,  /* session keys among which one is found */
    KL_BENCH_AAD = 16,     /* bytes of associated data */
    KL_BENCH_CASES_MAX = 48
};

struct kl_bench_case {
    const char *group; /* what --only calls it */
    const char *name;  /* in JSON */
    const char *title;
    enum kl_bench_work work;
    size_t size;      /* bytes of one operation; 0 where there are none */
    unsigned threads; /* each with a session of its own */
};
/* Up to a row without a name. */
extern const struct kl_bench_case kl_bench_cases[];
size_t kl_bench_case_count(void);
/* "64 B", "16 KiB", or "" for none. Returns out. */
const char *kl_bench_size_text(size_t size, char out[32]);
/* Whether `list`, "gcm,hkdf", has this group; NULL has all. */
bool kl_bench_list_has(const char *list, const char *group);
/* KL_ARG (usage) for a word in `list` that is no group. */
KL_MUST_USE enum kl_rc kl_bench_list_check(struct kl_cli *cli, const char *list);

#endif
