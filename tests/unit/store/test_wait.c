/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "store/wait.h"

#include "../unit.h"

#include <stdatomic.h>

#include "base/clock.h"

enum { MILLISECOND = 1000000 };

static void waiting_ends_at_the_deadline(void)
{
    int64_t begun = kl_clock->steady();
    struct kl_wait wait = kl_wait_from(20 * MILLISECOND);
    unsigned rounds = 0;

    while (kl_wait_again(&wait)) rounds++;
    CU_ASSERT(kl_clock->steady() - begun >= 20 * MILLISECOND);
    CU_ASSERT(kl_clock->steady() - begun < INT64_C(5000) * MILLISECOND);
    CU_ASSERT(rounds >= 1);
    CU_ASSERT_FALSE(kl_wait_again(&wait));
}

static void without_time_nothing_is_waited_for(void)
{
    struct kl_wait wait = kl_wait_from(0);

    CU_ASSERT_FALSE(kl_wait_again(&wait));
}

static void a_gate_that_is_taken_is_given_up_at_the_deadline(void)
{
    struct kl_gate gate;
    struct kl_wait brief = kl_wait_from(10 * MILLISECOND);
    struct kl_wait none = kl_wait_from(0);

    CU_ASSERT_EQUAL(kl_gate_init(&gate), KL_OK);
    CU_ASSERT(kl_gate_enter(&gate, &none));
    CU_ASSERT_FALSE(kl_gate_enter(&gate, &none));
    CU_ASSERT_FALSE(kl_gate_enter(&gate, &brief));
    kl_gate_leave(&gate);
    CU_ASSERT(kl_gate_enter(&gate, &none));
    kl_gate_leave(&gate);
    kl_gate_clear(&gate);
}

enum { THREADS = 6, TURNS = 3000 };

static struct kl_gate shared;
static unsigned inside;
static unsigned turns;
static atomic_uint failures;

static void *take_turns(void *user)
{
    (void)user;
    for (unsigned i = 0; i < TURNS; i++) {
        struct kl_wait wait = kl_wait_from(INT64_C(60000) * MILLISECOND);

        if (!kl_gate_enter(&shared, &wait)) {
            atomic_fetch_add(&failures, 1);
            continue;
        }
        if (++inside != 1) atomic_fetch_add(&failures, 1);
        turns++;
        inside--;
        kl_gate_leave(&shared);
    }
    return NULL;
}

static void one_thread_at_a_time_is_in_a_gate(void)
{
    pthread_t threads[THREADS];

    CU_ASSERT_EQUAL(kl_gate_init(&shared), KL_OK);
    for (size_t i = 0; i < THREADS; i++) CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, take_turns, NULL), 0);
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CU_ASSERT_EQUAL(atomic_load(&failures), 0);
    CU_ASSERT_EQUAL(turns, THREADS * TURNS);
    kl_gate_clear(&shared);
}

UNIT_MAIN("store/wait", UNIT(waiting_ends_at_the_deadline), UNIT(without_time_nothing_is_waited_for),
          UNIT(a_gate_that_is_taken_is_given_up_at_the_deadline), UNIT(one_thread_at_a_time_is_in_a_gate))
