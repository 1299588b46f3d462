/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* SIGINT, SIGTERM and SIGHUP are noted once, so that work can end cleanly; a second one ends the process at once. */
#ifndef KL_TOOLS_INTERRUPT_H
#define KL_TOOLS_INTERRUPT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rc.h"

/* Those that were ignored (nohup) stay so. */
void kl_interrupt_catch(void);
bool kl_interrupt_is_pending(void);
/* KL_INTERRUPTED when one is pending. */
KL_MUST_USE enum kl_rc kl_interrupt_check(void);
/* Waits until `fd` has something to read, or its end. KL_INTERRUPTED also for a signal that comes just before. */
KL_MUST_USE enum kl_rc kl_interrupt_wait(int fd);
/* The same for `nanoseconds` at the most; *ready tells which it was. */
KL_MUST_USE enum kl_rc kl_interrupt_wait_for(int fd, int64_t nanoseconds, bool *ready);
/* Ends the process by the signal that was noted, so that a shell sees why; comes back when there was none. */
void kl_interrupt_pass_on(void);

#endif
