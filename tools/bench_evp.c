/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The works of `keyladder bench` by OpenSSL alone. */
#include "bench_side.h"
#include "crypto/reference.h"

/* What stands against each; KL_REFERENCE_WORKS: a library has no such thing. */
static const enum kl_reference_work counterparts[KL_BENCH_WORKS] = {
    [KL_BENCH_GCM_ENCRYPT] = KL_REFERENCE_GCM_SEAL,
    [KL_BENCH_GCM_DECRYPT] = KL_REFERENCE_GCM_OPEN,
    [KL_BENCH_MESSAGE_ENCRYPT] = KL_REFERENCE_GCM_SEAL,
    [KL_BENCH_MESSAGE_DECRYPT] = KL_REFERENCE_GCM_OPEN,
    [KL_BENCH_BATCH_ENCRYPT] = KL_REFERENCE_GCM_SEAL,
    [KL_BENCH_BATCH_DECRYPT] = KL_REFERENCE_GCM_OPEN,
    [KL_BENCH_CHACHA_ENCRYPT] = KL_REFERENCE_CHACHA_SEAL,
    [KL_BENCH_CHACHA_DECRYPT] = KL_REFERENCE_CHACHA_OPEN,
    [KL_BENCH_HMAC] = KL_REFERENCE_HMAC,
    [KL_BENCH_HKDF] = KL_REFERENCE_HKDF,
    [KL_BENCH_SESSION] = KL_REFERENCE_WORKS,
    [KL_BENCH_FIND] = KL_REFERENCE_WORKS,
};

static unsigned long run(void *state, unsigned long times)
{
    return kl_reference_run(state, times) ? 0 : KL_BENCH_FAILED;
}

static unsigned long prepare(const struct kl_bench_case *work, struct kl_bench_job *job)
{
    struct kl_reference *reference = NULL;

    if (counterparts[work->work] == KL_REFERENCE_WORKS) return KL_BENCH_ABSENT;
    if (kl_reference_new(counterparts[work->work], work->size == 0 ? 1 : work->size, &reference) != KL_OK) return KL_BENCH_FAILED;
    *job = (struct kl_bench_job){ .run = run, .state = reference, .per_run = 1 };
    return 0;
}

static void done(struct kl_bench_job *job)
{
    kl_reference_free(job->state);
}

const struct kl_bench_side kl_bench_evp = { .prepare = prepare, .done = done };
