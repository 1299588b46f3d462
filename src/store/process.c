/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "store/process.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fork.h"

/* Zero in a forked child, locks included: unlocked, and nothing claimed. */
struct page {
    pthread_mutex_t opening; /* from kl_process_begin to kl_process_end */
    pthread_mutex_t lock;    /* the list */
    struct kl_claim *first;
    bool known;   /* this process has been here */
    bool handled; /* the fork that made it went through the handlers below */
};

static struct page *page;
static bool has_past; /* some process before this one, or this one, has been here */

/* --- SQLite's own locks --- */

/*
 * SQLite's static mutexes guard its allocator, its random numbers and its lists.
 * A child forked while another thread, be it of the host's own use of SQLite,
 * holds one would wait for it for ever. So a fork waits until none is held,
 * which is a matter of microseconds, and no longer than FORK_WAIT.
 * In the order in which SQLite takes them inside each other.
 */
static const int static_mutexes[] = {
    SQLITE_MUTEX_STATIC_MAIN, SQLITE_MUTEX_STATIC_VFS1, SQLITE_MUTEX_STATIC_VFS2, SQLITE_MUTEX_STATIC_VFS3, SQLITE_MUTEX_STATIC_OPEN,
    SQLITE_MUTEX_STATIC_LRU,  SQLITE_MUTEX_STATIC_PMEM, SQLITE_MUTEX_STATIC_PRNG, SQLITE_MUTEX_STATIC_MEM,
};
enum { MUTEXES = sizeof static_mutexes / sizeof static_mutexes[0], SPINS = 2000 };

static const int64_t fork_wait = 5 * INT64_C(1000000000);
static const int64_t stuck_after = 200 * INT64_C(1000000);
static sqlite3_mutex *mutexes[MUTEXES];
static _Thread_local unsigned held; /* a bit for each that this thread took before its fork */
static _Thread_local bool was_alone;

static void leave_all(void)
{
    if (held == 0) return;
    for (unsigned i = MUTEXES; i-- > 0;) {
        if ((held & (1U << i)) != 0) sqlite3_mutex_leave(mutexes[i]);
    }
    held = 0;
}

static bool try_all(void)
{
    for (unsigned i = 0; i < MUTEXES; i++) {
        unsigned spins = 0;

        while (sqlite3_mutex_try(mutexes[i]) != SQLITE_OK) {
            if (++spins == SPINS) {
                leave_all();
                return false;
            }
            sched_yield();
        }
        held |= 1U << i;
    }
    return true;
}

static void before_fork(void)
{
    int64_t deadline;

    was_alone = kl_fork_is_alone();
    if (was_alone) return;
    deadline = kl_clock_system.steady() + fork_wait;
    while (!try_all() && kl_clock_system.steady() < deadline) kl_fork_pause();
}

static void after_fork_in_parent(void)
{
    leave_all();
}

static void after_fork_in_child(void)
{
    bool is_clean = was_alone || held == (1U << MUTEXES) - 1;

    leave_all();
    page->handled = is_clean;
}

/* A child of _Fork, which calls no handlers: what a thread of the parent held, nobody will ever leave. */
static void free_stuck_mutexes(void)
{
    for (unsigned i = 0; i < MUTEXES; i++) {
        int64_t deadline = kl_clock_system.steady() + stuck_after;

        while (sqlite3_mutex_try(mutexes[i]) != SQLITE_OK && kl_clock_system.steady() < deadline) sched_yield();
        sqlite3_mutex_leave(mutexes[i]);
    }
}

/* --- claims --- */

static void begin_once(void)
{
    size_t len = (size_t)sysconf(_SC_PAGESIZE);
    void *room = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (room == MAP_FAILED || sqlite3_initialize() != SQLITE_OK) return;
    for (size_t i = 0; i < MUTEXES; i++) {
        mutexes[i] = sqlite3_mutex_alloc(static_mutexes[i]);
        if (mutexes[i] == NULL) return;
    }
    if (madvise(room, len, MADV_WIPEONFORK) != 0) return;
    if (pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) != 0) return;
    page = room;
}

static void arrive(void)
{
    if (page->known) return;
    if (has_past) {
        if (!page->handled) free_stuck_mutexes();
        /* Or parent and child would draw the same numbers. */
        sqlite3_randomness(0, NULL);
    }
    page->known = true;
    has_past = true;
}

static bool is_claimed(uint64_t device, uint64_t inode, const struct kl_claim *mine)
{
    const struct kl_claim *at;
    bool claimed;

    pthread_mutex_lock(&page->lock);
    for (at = page->first; at != NULL && (at == mine || at->device != device || at->inode != inode);) at = at->next;
    claimed = at != NULL;
    pthread_mutex_unlock(&page->lock);
    return claimed;
}

enum kl_rc kl_process_begin(const char *path, const struct kl_claim *mine)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct stat status;

    pthread_once(&once, begin_once);
    if (page == NULL) return kl_fail(KL_STORE, "SQLite cannot be used: no memory, or a kernel without MADV_WIPEONFORK");
    pthread_mutex_lock(&page->opening);
    arrive();
    if (stat(path, &status) != 0 || !is_claimed(status.st_dev, status.st_ino, mine)) return KL_OK;
    pthread_mutex_unlock(&page->opening);
    return kl_fail(KL_STORE, "%s is open already in this process; two [token] sections cannot share a store", path);
}

void kl_process_end(struct kl_claim *claim)
{
    if (claim != NULL && !kl_process_owns(claim)) {
        pthread_mutex_lock(&page->lock);
        claim->next = page->first;
        page->first = claim;
        pthread_mutex_unlock(&page->lock);
    }
    pthread_mutex_unlock(&page->opening);
}

void kl_process_release(const struct kl_claim *claim)
{
    pthread_mutex_lock(&page->lock);
    for (struct kl_claim **at = &page->first; *at != NULL; at = &(*at)->next) {
        if (*at == claim) {
            *at = claim->next;
            break;
        }
    }
    pthread_mutex_unlock(&page->lock);
}

bool kl_process_owns(const struct kl_claim *claim)
{
    bool owns = false;

    pthread_mutex_lock(&page->lock);
    for (const struct kl_claim *at = page->first; at != NULL && !owns; at = at->next) owns = at == claim;
    pthread_mutex_unlock(&page->lock);
    return owns;
}

/* --- who we are --- */

uint64_t kl_process_number(void)
{
    struct stat namespace;
    char text[512];
    const char *at;
    ssize_t len;
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);

    if (fd < 0) return 0;
    len = read(fd, text, sizeof text - 1);
    close(fd);
    if (len <= 0) return 0;
    text[len] = '\0';
    /* The name, in parentheses, may hold anything; 19 fields after it comes the time of the start. */
    at = strrchr(text, ')');
    for (unsigned field = 0; at != NULL && field < 20; field++) at = strchr(at + 1, ' ');
    if (at == NULL) return 0;
    /* The first processes of two containers that begin together have all of that in common, and not their namespace. */
    if (stat("/proc/self/ns/pid", &namespace) != 0) namespace.st_ino = 0;
    return (((uint64_t)strtoull(at, NULL, 10) << 22 | (uint64_t)getpid()) ^ (uint64_t) namespace.st_ino * UINT64_C(0x9e3779b97f4a7c15)) &
           INT64_MAX;
}
