/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Notices that the process has been forked, by fork, vfork-less clone or _Fork alike: a page that the kernel wipes in the child.
 * And takes locks before a fork, so that what they guard is whole in the child.
 */
#ifndef KL_BASE_FORK_H
#define KL_BASE_FORK_H

#include <pthread.h>
#include <stdbool.h>

#include "base/rc.h"

/* Marks this process. Called again in a child it marks the child. KL_MEMORY where the kernel has no MADV_WIPEONFORK. */
KL_MUST_USE enum kl_rc kl_fork_mark(void);
/* This process, and none of its ancestors alone, was marked. Two loads, no system call. False before the first mark. */
bool kl_fork_is_marked(void);
/*
 * Another number in every process of a line that is marked, 0 where it is not: what was made under another number was the
 * parent's. Two loads.
 */
unsigned kl_fork_life(void);
/* Some ancestor or this process was marked, i.e. memory holds state made under a mark. */
bool kl_fork_has_past(void);

/*
 * The process has no thread but this one, as far as is known: nobody else holds a lock at a fork. What it holds itself, in
 * a signal handler, it comes back to in the child too. A load.
 */
bool kl_fork_is_alone(void);

/* Is given one lock after the other, in the order in which they are taken, until it says false; so does who gives them. */
typedef bool kl_lock_fn(void *user, pthread_mutex_t *lock);
typedef bool kl_show_locks_fn(kl_lock_fn *each, void *user);
/* One attempt at all that `show` shows; each is given the time that a few steps under it take. False: none is held. Who is alone takes none. */
bool kl_fork_take_locks(kl_show_locks_fn *show);
/* Half a millisecond between two attempts. The thread is not cancelled in it: it may hold what other handlers took. */
void kl_fork_pause(void);
/* What this thread took so last, in the parent or in the child. */
void kl_fork_leave_locks(kl_show_locks_fn *show);

#endif
