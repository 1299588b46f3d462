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

bool kl_wait_lock(const struct kl_wait *wait, pthread_mutex_t *lock)
{
    int64_t left = wait->deadline - kl_clock->steady();
    struct timespec until;

    if (pthread_mutex_trylock(lock) == 0) return true;
    if (left <= 0) return false;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(left / SECOND);
    until.tv_nsec += (long)(left % SECOND);
    if (until.tv_nsec >= SECOND) {
        until.tv_sec++;
        until.tv_nsec -= SECOND;
    }
    return pthread_mutex_clocklock(lock, CLOCK_MONOTONIC, &until) == 0;
}
