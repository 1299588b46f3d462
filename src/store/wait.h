/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Short sleeps of random length until a deadline, so that no two wait in step. */
#ifndef KL_STORE_WAIT_H
#define KL_STORE_WAIT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/rc.h"

struct kl_wait {
    int64_t deadline; /* kl_clock->steady */
    uint64_t seed;
};

struct kl_wait kl_wait_from(int64_t timeout);
/* Sleeps a little; false, without sleeping, when the deadline has passed. */
bool kl_wait_again(struct kl_wait *wait);
/*
 * A lock that is waited for until a deadline on the steady clock. (Made of a
 * mutex and a condition: pthread_mutex_clocklock is unknown to the tools that
 * look for races.)
 */
struct kl_gate {
    pthread_mutex_t guard;
    pthread_cond_t freed;
    unsigned waiting;
    bool taken;
};

KL_MUST_USE enum kl_rc kl_gate_init(struct kl_gate *gate);
void kl_gate_clear(struct kl_gate *gate);
/* False when the deadline has passed. */
bool kl_gate_enter(struct kl_gate *gate, const struct kl_wait *wait);
void kl_gate_leave(struct kl_gate *gate);

#endif
