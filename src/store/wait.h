/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Short sleeps of random length until a deadline, so that no two wait in step. */
#ifndef KL_STORE_WAIT_H
#define KL_STORE_WAIT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct kl_wait {
    int64_t deadline; /* kl_clock->steady */
    uint64_t seed;
};

struct kl_wait kl_wait_from(int64_t timeout);
/* Sleeps a little; false, without sleeping, when the deadline has passed. */
bool kl_wait_again(struct kl_wait *wait);
/* Locks until the deadline at most. */
bool kl_wait_lock(const struct kl_wait *wait, pthread_mutex_t *lock);

#endif
