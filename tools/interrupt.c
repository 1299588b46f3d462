/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "interrupt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define SECOND INT64_C(1000000000)

static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
static volatile sig_atomic_t pending;

static void note(int number)
{
    pending = number;
}

void kl_interrupt_catch(void)
{
    struct sigaction before, action = { .sa_handler = note, .sa_flags = (int)SA_RESETHAND };

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN) sigaction(numbers[i], &action, NULL);
    }
    /* A reader that goes away shows as EPIPE. */
    action.sa_handler = SIG_IGN;
    action.sa_flags = 0;
    sigaction(SIGPIPE, &action, NULL);
}

bool kl_interrupt_is_pending(void)
{
    return pending != 0;
}

enum kl_rc kl_interrupt_check(void)
{
    return pending == 0 ? KL_OK : kl_fail(KL_INTERRUPTED, "interrupted");
}

/* Until `fd` is ready, or `end` of the steady clock; 0: however long it takes. */
static enum kl_rc wait_until(int fd, int64_t end, bool *is_ready)
{
    struct pollfd waiting = { .fd = fd, .events = POLLIN };
    sigset_t ours, before;
    int ready = -1;

    sigemptyset(&ours);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) sigaddset(&ours, numbers[i]);
    sigprocmask(SIG_BLOCK, &ours, &before);
    /* Between this look and the wait no signal gets lost: ppoll lets them in. */
    while (pending == 0 && ready < 0) {
        int64_t now = kl_clock->steady(), left = end > now ? end - now : 0;
        struct timespec most = { .tv_sec = (time_t)(left / SECOND), .tv_nsec = (long)(left % SECOND) };

        ready = ppoll(&waiting, 1, end == 0 ? NULL : &most, &before);
        if (ready < 0 && errno != EINTR) break;
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    KL_TRY(kl_interrupt_check());
    *is_ready = ready > 0;
    return ready < 0 ? kl_fail(KL_IO, "cannot wait for input: %m") : KL_OK;
}

enum kl_rc kl_interrupt_wait(int fd)
{
    bool ready;

    return wait_until(fd, 0, &ready);
}

enum kl_rc kl_interrupt_wait_for(int fd, int64_t nanoseconds, bool *ready)
{
    return wait_until(fd, kl_clock->steady() + nanoseconds, ready);
}

void kl_interrupt_pass_on(void)
{
    struct sigaction action = { .sa_handler = SIG_DFL };

    if (pending == 0) return;
    sigaction(pending, &action, NULL);
    kill(getpid(), pending);
}
