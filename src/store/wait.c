/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "store/wait.h"

#include <time.h>

#include "base/clock.h"

enum { SHORTEST = 50 * 1000, LONGEST = 1000 * 1000, SECOND = 1000 * 1000 * 1000 };

struct kl_wait kl_wait_from(int64_t timeout)
{
    int64_t now = kl_clock->steady();

    return (struct kl_wait){ .deadline = now + timeout, .seed = (uint64_t)now ^ ((uint64_t)(uintptr_t)&now << 20) };
}

bool kl_wait_again(struct kl_wait *wait)
{
    struct timespec pause = { 0 };
    int64_t left = wait->deadline - kl_clock->steady();

    if (left <= 0) return false;
    /* splitmix64; only so that waiters differ. */
    wait->seed += 0x9e3779b97f4a7c15;
    pause.tv_nsec = SHORTEST + (long)((wait->seed ^ (wait->seed >> 31)) * 0xbf58476d1ce4e5b9 >> 33) % (LONGEST - SHORTEST);
    if (pause.tv_nsec > left) pause.tv_nsec = (long)left;
    nanosleep(&pause, NULL);
    return true;
}

/* --- the gate --- */

enum kl_rc kl_gate_init(struct kl_gate *gate)
{
    pthread_condattr_t attributes;
    int failed = pthread_condattr_init(&attributes);

    *gate = (struct kl_gate){ .guard = PTHREAD_MUTEX_INITIALIZER };
    if (failed == 0) {
        failed = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        if (failed == 0) failed = pthread_cond_init(&gate->freed, &attributes);
        pthread_condattr_destroy(&attributes);
    }
    return failed == 0 ? KL_OK : kl_fail(KL_MEMORY, "no lock is to be had: error %d", failed);
}

void kl_gate_clear(struct kl_gate *gate)
{
    pthread_cond_destroy(&gate->freed);
    pthread_mutex_destroy(&gate->guard);
}

static struct timespec moment_of(const struct kl_wait *wait)
{
    int64_t left = wait->deadline - kl_clock->steady();
    struct timespec until;

    if (left < 0) left = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(left / SECOND);
    until.tv_nsec += (long)(left % SECOND);
    if (until.tv_nsec >= SECOND) {
        until.tv_sec++;
        until.tv_nsec -= SECOND;
    }
    return until;
}

bool kl_gate_enter(struct kl_gate *gate, const struct kl_wait *wait)
{
    bool entered;

    /* Behind every gate there are files. */
    kl_thread_hold();
    pthread_mutex_lock(&gate->guard);
    if (gate->taken) {
        const struct timespec until = moment_of(wait);
        int failed = 0;

        gate->waiting++;
        while (gate->taken && failed == 0) failed = pthread_cond_timedwait(&gate->freed, &gate->guard, &until);
        gate->waiting--;
    }
    entered = !gate->taken;
    gate->taken = true;
    pthread_mutex_unlock(&gate->guard);
    return entered;
}

void kl_gate_leave(struct kl_gate *gate)
{
    pthread_mutex_lock(&gate->guard);
    gate->taken = false;
    if (gate->waiting > 0) pthread_cond_signal(&gate->freed);
    pthread_mutex_unlock(&gate->guard);
}
