/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The clock of `keyladder bench`: how long one operation takes, in one thread or in several at once. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "bench_side.h"

enum { PARTS = 5, THREADS_MAX = 8, STEP = 16 };

/* Nanoseconds: on the clock, or that this thread has had a processor. */
static double read_clock(bool of_processor)
{
    struct timespec at;

    if (!of_processor || clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at) != 0) return (double)kl_clock->steady();
    return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

/* --- one thread --- */

/* How often to run for a part of the slice: tenfold, until the clock can tell. */
static unsigned long find_times(struct kl_bench_job *job, double part, unsigned long *times)
{
    for (*times = 1;; *times *= 10) {
        int64_t began = kl_clock->steady();
        unsigned long rv = job->run(job->state, *times);
        double took = (double)(kl_clock->steady() - began);

        if (rv != 0) return rv;
        if (took < part / 10) continue;
        if (took < part) *times = (unsigned long)((double)*times * part / took) + 1;
        return 0;
    }
}

static unsigned long time_one(struct kl_bench_job *job, const struct kl_bench_span *span, double *ns)
{
    double took[PARTS];
    unsigned long times, rv = find_times(job, span->slice / PARTS, &times);

    for (int i = 0; i < PARTS && rv == 0; i++) {
        double began = read_clock(span->of_processor);

        rv = job->run(job->state, times);
        took[i] = (read_clock(span->of_processor) - began) / (double)times / job->per_run;
    }
    if (rv != 0) return rv;
    qsort(took, PARTS, sizeof *took, by_size);
    *ns = took[PARTS / 2];
    return 0;
}

/* --- several --- */

struct crew {
    pthread_barrier_t start;
    atomic_bool stop;
};

struct hand {
    pthread_t thread;
    struct crew *crew;
    struct kl_bench_job job;
    unsigned long done, rv;
};

static void *work_on(void *user)
{
    struct hand *hand = user;

    pthread_barrier_wait(&hand->crew->start);
    while (hand->rv == 0 && !atomic_load_explicit(&hand->crew->stop, memory_order_relaxed)) {
        hand->rv = hand->job.run(hand->job.state, STEP);
        if (hand->rv == 0) hand->done += STEP;
    }
    return NULL;
}

static void sleep_until(int64_t end)
{
    for (int64_t now = kl_clock->steady(); now < end; now = kl_clock->steady()) {
        struct timespec left = { .tv_sec = (time_t)((end - now) / 1000000000), .tv_nsec = (long)((end - now) % 1000000000) };

        nanosleep(&left, NULL);
    }
}

/* All hands are there: lets them go, and counts what they did. */
static unsigned long time_crew(struct crew *crew, struct hand *hands, unsigned count, double slice, double *ns)
{
    unsigned long rv = 0;
    double done = 0;
    int64_t began;

    pthread_barrier_wait(&crew->start);
    began = kl_clock->steady();
    sleep_until(began + (int64_t)slice);
    atomic_store(&crew->stop, true);
    for (unsigned i = 0; i < count; i++) {
        pthread_join(hands[i].thread, NULL);
        done += (double)hands[i].done * hands[i].job.per_run;
        if (rv == 0) rv = hands[i].rv;
    }
    *ns = (double)(kl_clock->steady() - began) / (done > 0 ? done : 1);
    return rv;
}

static unsigned long time_several(const struct kl_bench_side *side, const struct kl_bench_case *work, double slice, double *ns)
{
    struct crew crew = { .stop = false };
    struct hand hands[THREADS_MAX] = { { .crew = NULL } };
    unsigned long rv = 0;
    unsigned count;

    for (count = 0; count < work->threads && rv == 0; count++) {
        hands[count].crew = &crew;
        rv = side->prepare(work, &hands[count].job);
        if (rv != 0) break;
    }
    /* A thread that cannot be had ends the process: those that wait at the barrier would wait for ever. */
    if (rv == 0) {
        pthread_barrier_init(&crew.start, NULL, work->threads + 1);
        for (unsigned i = 0; i < count; i++) {
            if (pthread_create(&hands[i].thread, NULL, work_on, &hands[i]) != 0) _Exit(1);
        }
        rv = time_crew(&crew, hands, count, slice, ns);
        pthread_barrier_destroy(&crew.start);
    }
    while (count > 0) side->done(&hands[--count].job);
    return rv;
}

unsigned long kl_bench_time(const struct kl_bench_side *side, const struct kl_bench_case *work, const struct kl_bench_span *span,
                            double *ns)
{
    struct kl_bench_job job;
    unsigned long rv;

    if (work->threads > 1) return time_several(side, work, span->slice, ns);
    rv = side->prepare(work, &job);
    if (rv != 0) return rv;
    rv = time_one(&job, span, ns);
    side->done(&job);
    return rv;
}
