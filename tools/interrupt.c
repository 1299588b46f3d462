/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "interrupt.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t pending;

static void note(int number)
{
    pending = number;
}

void kl_interrupt_catch(void)
{
    static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
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

void kl_interrupt_pass_on(void)
{
    struct sigaction action = { .sa_handler = SIG_DFL };

    if (pending == 0) return;
    sigaction(pending, &action, NULL);
    kill(getpid(), pending);
}
