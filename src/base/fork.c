/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "base/fork.h"

#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* glibc's word for it; where there is none, every process may have threads. */
#if defined(__has_include)
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define is_single_threaded (__libc_single_threaded != 0)
#endif
#endif
#ifndef is_single_threaded
#define is_single_threaded false
#endif

typedef _Atomic unsigned mark_word;

/* What `mark` points to before the first mark, so that looking needs no test for NULL. */
static mark_word never;
static _Atomic(mark_word *) mark = &never;
static mark_word lives; /* marked in this process and its ancestors: here the child goes on where its parent was */

/* A page that is zero in every child. */
static enum kl_rc page_new(mark_word **out)
{
    size_t len = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED) return kl_fail(KL_MEMORY, "no memory for the page that notices a fork: %m");
    /* Emulators that answer "done" to every advice, even to one that does not exist, do nothing. */
    if (madvise(page, len, -1) == 0 || madvise(page, len, MADV_WIPEONFORK) != 0) {
        munmap(page, len);
        return kl_fail(KL_MEMORY, "this kernel has no MADV_WIPEONFORK, without which a fork goes unnoticed: Linux 4.14 or newer is needed");
    }
    *out = page;
    return KL_OK;
}

enum kl_rc kl_fork_mark(void)
{
    mark_word *page = atomic_load(&mark);
    unsigned none = 0;

    /* No lock: a thread of the parent might have held it at the fork. */
    if (page == &never) {
        mark_word *mine = NULL;

        KL_TRY(page_new(&mine));
        if (atomic_compare_exchange_strong(&mark, &page, mine))
            page = mine;
        else
            munmap(mine, (size_t)sysconf(_SC_PAGESIZE));
    }
    /* As it is, where it is marked already. */
    atomic_compare_exchange_strong(page, &none, atomic_fetch_add(&lives, 1) + 1);
    return KL_OK;
}

unsigned kl_fork_life(void)
{
    return atomic_load_explicit(atomic_load_explicit(&mark, memory_order_acquire), memory_order_relaxed);
}

bool kl_fork_is_marked(void)
{
    return kl_fork_life() != 0;
}

bool kl_fork_has_past(void)
{
    return atomic_load(&mark) != &never;
}

/* --- locks --------------------------------------------------------------- */

enum { SPINS = 2000 };

/* A child copies every page that it writes to, and a lock's is one; a server that forks a child a client seldom has threads. */
static _Thread_local bool took_none;

/* A signal handler may fork in the middle of a call of ours, and with locks that its own thread holds. */
bool kl_fork_is_alone(void)
{
    return is_single_threaded && !kl_thread()->is_inside;
}

static bool take(void *user, pthread_mutex_t *lock)
{
    size_t *taken = user;

    for (unsigned spins = 0; pthread_mutex_trylock(lock) != 0; sched_yield())
        if (++spins == SPINS) return false;
    ++*taken;
    return true;
}

static bool leave(void *user, pthread_mutex_t *lock)
{
    size_t *taken = user;

    if (*taken == 0) return false;
    --*taken;
    pthread_mutex_unlock(lock);
    return true;
}

bool kl_fork_take_locks(kl_show_locks_fn *show)
{
    size_t taken = 0;

    took_none = kl_fork_is_alone();
    if (took_none || show(take, &taken)) return true;
    show(leave, &taken);
    return false;
}

void kl_fork_pause(void)
{
    int before, ignored;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    usleep(500);
    pthread_setcancelstate(before, &ignored);
}

void kl_fork_leave_locks(kl_show_locks_fn *show)
{
    size_t taken = SIZE_MAX;

    if (!took_none) show(leave, &taken);
}
