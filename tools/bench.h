/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What `keyladder bench` measures, with whom, and how its parts fit: a table of works, contenders in processes of their own, readings. */
#ifndef KL_TOOLS_BENCH_H
#define KL_TOOLS_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/rc.h"
#include "base/secret.h"
#include "cli.h"

/* --- what is measured: bench_case.c --- */

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
    KL_BENCH_CASES_MAX = 48,
    KL_BENCH_CONTENDERS_MAX = 8,
    KL_BENCH_ROUNDS_MAX = 99
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

/* --- doing it: bench_p11.c, bench_evp.c, timed by bench_time.c, all within a contender's process --- */

/* One thread's part, ready to run. */
struct kl_bench_job {
    unsigned long (*run)(void *state, unsigned long times); /* 0, or the CK_RV that refused */
    void *state;
    double per_run; /* operations in one */
};

/* What went wrong in the contender's process, for its column. */
#define KL_BENCH_WORDS 256

/* A way of doing all works. `prepare` answers 0 or a CK_RV; KL_BENCH_ABSENT where the work has no counterpart here. */
struct kl_bench_side {
    unsigned long (*prepare)(const struct kl_bench_case *work, struct kl_bench_job *job);
    void (*done)(struct kl_bench_job *job);
};
#define KL_BENCH_ABSENT 0xfffffff0UL /* no CK_RV */
#define KL_BENCH_WRONG 0xfffffff1UL  /* it said CKR_OK, and the result is not right */
#define KL_BENCH_FAILED 0xfffffff2UL /* not for a reason that PKCS #11 knows: no memory, no thread */
extern const struct kl_bench_side kl_bench_evp;
extern const struct kl_bench_side kl_bench_p11;

struct kl_bench_contender;
/* Loads the module, finds its token, logs in. What went wrong is in `words`. */
KL_MUST_USE bool kl_bench_p11_open(const struct kl_bench_contender *contender, const struct kl_secret *pin, const struct kl_secret *so_pin,
                                   char words[KL_BENCH_WORDS]);
/* Tells the parent which call is under way, should it be the last; "" for none. Static text. */
void kl_bench_stage(const char *call);
/* "CKR_MECHANISM_INVALID", or "0x…" for one that is not in the standard. Returns out. */
const char *kl_bench_rv_text(unsigned long rv, char out[48]);

/* How long to run, and by which clock. */
struct kl_bench_span {
    double slice;      /* about so many nanoseconds */
    bool of_processor; /* the time that the thread has had a processor; several threads are always timed by the clock */
};
/* Runs several times in that span; the median time of one operation. 0 or a CK_RV. */
unsigned long kl_bench_time(const struct kl_bench_side *side, const struct kl_bench_case *work, const struct kl_bench_span *span,
                            double *ns);

/* --- contenders, each a process of its own: bench_contender.c --- */

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

/* --- a token that is thrown away: bench_token.c --- */

struct kl_bench_token {
    char folder[256]; /* "" when there is none */
    char conf[300];
    struct kl_secret pin, so_pin;
};
/* A new folder of mode 0700 below $TMPDIR with a configuration and what it names. */
KL_MUST_USE enum kl_rc kl_bench_token_make(struct kl_bench_token *token);
/* Leaves nothing. */
void kl_bench_token_clear(struct kl_bench_token *token);

/* --- what came out: bench_result.c, shown by bench_table.c, bench_json.c and bench_svg.c --- */

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
