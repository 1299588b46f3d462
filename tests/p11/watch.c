/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* See watch.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "watch.h"

#ifdef __x86_64__

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif
#define TRAP_FLAG 0x100
#define FOR_ALL __attribute__((visibility("default"))) /* in the place of libc's, for every library */
#define PAGE ((uintptr_t)4096)
#define LINE ((uintptr_t)64)

/* ---- memory that is asked for ---- */

static volatile bool is_counting;
static volatile unsigned asked;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

FOR_ALL void *malloc(size_t size)
{
    asked += is_counting;
    return __libc_malloc(size);
}

FOR_ALL void *calloc(size_t count, size_t size)
{
    asked += is_counting;
    return __libc_calloc(count, size);
}

FOR_ALL void *realloc(void *block, size_t size)
{
    asked += is_counting;
    return __libc_realloc(block, size);
}

FOR_ALL void *memalign(size_t alignment, size_t size)
{
    asked += is_counting;
    return __libc_memalign(alignment, size);
}

FOR_ALL void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

FOR_ALL int posix_memalign(void **out, size_t alignment, size_t size)
{
    *out = memalign(alignment, size);
    return *out ? 0 : ENOMEM;
}

FOR_ALL void free(void *block)
{
    asked += is_counting && block;
    __libc_free(block);
}

/* ---- the coarse clock: it stands while stores are watched, which takes so long that every step would be in another second ---- */

static bool is_frozen;
static struct timespec frozen;
static int (*real_clock)(clockid_t clock, struct timespec *now);

FOR_ALL int clock_gettime(clockid_t clock, struct timespec *now)
{
    if (!is_frozen || clock != CLOCK_MONOTONIC_COARSE) return real_clock(clock, now);
    *now = frozen;
    return 0;
}

static bool freeze(void)
{
    is_frozen = real_clock(CLOCK_MONOTONIC_COARSE, &frozen) == 0;
    return is_frozen;
}

/* ---- pages ---- */

static struct region {
    uintptr_t from, to;
    char name[128];
} regions[1024];
static size_t region_count;
static bool is_guarding;
static uintptr_t main_thread; /* where libc keeps it */
static uintptr_t open_pages[8];
static size_t open_count;

static uint8_t stacks[WATCH_THREADS][512 * 1024] __attribute__((aligned(4096)));
static uint8_t signal_stacks[WATCH_THREADS][64 * 1024] __attribute__((aligned(4096)));

static const struct region *region_of(uintptr_t at)
{
    for (size_t i = 0; i < region_count; i++)
        if (at >= regions[i].from && at < regions[i].to) return &regions[i];
    return NULL;
}

static bool guard(bool on)
{
    bool good = true;

    for (size_t i = 0; i < region_count; i++)
        good = mprotect((void *)regions[i].from, regions[i].to - regions[i].from, on ? PROT_READ : PROT_READ | PROT_WRITE) == 0 && good;
    is_guarding = on && good;
    return good;
}

/* Of this program itself, whose pages hold what the handlers write; its main thread waits meanwhile. */
static bool is_own(const char *name)
{
    static char path[128];

    if (*path == '\0' && readlink("/proc/self/exe", path, sizeof path - 1) < 0) return true;
    return strcmp(name, path) == 0 || strcmp(name, "[stack]") == 0;
}

/* Zeroed data of a library has no name of its own; it lies behind the rest. */
static void region_add(uintptr_t from, uintptr_t to, const char *name, const char *before, uintptr_t before_to)
{
    struct region *region = &regions[region_count];

    if (*name == '\0' && from == before_to) name = before;
    if (from == to || is_own(name) || region_count == sizeof regions / sizeof *regions) return;
    *region = (struct region){ .from = from, .to = to };
    snprintf(region->name, sizeof region->name, "%s", name);
    region_count++;
}

/* Without the pages that the kernel writes when the main thread has waited (rseq). */
static void region_split(uintptr_t from, uintptr_t to, const char *name, const char *before, uintptr_t before_to)
{
    uintptr_t self = main_thread / PAGE * PAGE, end = (main_thread + PAGE + PAGE - 1) / PAGE * PAGE;

    if (self < from || self >= to) {
        region_add(from, to, name, before, before_to);
        return;
    }
    region_add(from, self, name, before, before_to);
    if (end < to) region_add(end, to, name, before, before_to);
}

static bool regions_read(void)
{
    static char line[8192];
    char before[128] = "";
    uintptr_t before_to = 0;
    FILE *maps = fopen("/proc/self/maps", "re");

    if (!maps) return false;
    region_count = 0;
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        char prot[8] = "", name[128] = "";

        if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %127[^\n]", &from, &to, prot, name) < 3) continue;
        if (prot[0] == 'r' && prot[1] == 'w') region_split(from, to, name, before, before_to);
        if (*name == '\0' && from == before_to) snprintf(name, sizeof name, "%s", before);
        snprintf(before, sizeof before, "%s", name);
        before_to = to;
    }
    fclose(maps);
    return region_count > 0;
}

/* ---- lines ---- */

enum { LINES = 1 << 14 };
static struct written {
    uintptr_t line, by; /* the instruction that wrote it last */
    unsigned repeats, last;
} written[WATCH_THREADS][LINES];
static size_t now_thread;
static unsigned now_repeat; /* from 1 */
/* Of the line behind the one that is being written: a wide store may reach into it. */
static struct {
    uintptr_t line;
    uint8_t was[LINE];
} next_line;

static struct written *written_at(size_t thread, uintptr_t line)
{
    size_t at = (size_t)((line / LINE * UINT64_C(0x9E3779B97F4A7C15)) >> 50) % LINES;

    while (written[thread][at].line != 0 && written[thread][at].line != line) at = (at + 1) % LINES;
    return &written[thread][at];
}

static void note(uintptr_t address, uintptr_t by)
{
    struct written *entry = written_at(now_thread, address / LINE * LINE);

    entry->line = address / LINE * LINE;
    entry->by = by;
    if (entry->last != now_repeat) entry->repeats++;
    entry->last = now_repeat;
}

/* ---- handlers ---- */

static volatile char selector; /* 1: system calls are caught */
static volatile unsigned called;
static volatile long last_called;

/* Returns from a handler by itself, where system calls are always allowed. */
void watch_restorer(void);
extern const char watch_restorer_end[];
__asm__(
    ".text\n.globl watch_restorer\nwatch_restorer:\n\tmov $15, %eax\n\tsyscall\n.globl watch_restorer_end\nwatch_restorer_end:\n\tnop\n");

static void on_call(int number, siginfo_t *info, void *context)
{
    ucontext_t *user = context;
    greg_t *r = user->uc_mcontext.gregs;
    bool was_guarding = is_guarding;
    long result;

    (void)number, (void)info;
    selector = 0;
    called++;
    last_called = (long)r[REG_RAX];
    if (was_guarding) guard(false);
    result = syscall((long)r[REG_RAX], r[REG_RDI], r[REG_RSI], r[REG_RDX], r[REG_R10], r[REG_R8], r[REG_R9]);
    r[REG_RAX] = result == -1 ? -errno : result;
    if (was_guarding) guard(true);
    selector = 1;
}

static void on_store(int number, siginfo_t *info, void *context)
{
    ucontext_t *user = context;
    uintptr_t at = (uintptr_t)info->si_addr;
    char was = selector;

    selector = 0;
    if (!is_guarding || !region_of(at) || open_count == sizeof open_pages / sizeof *open_pages) {
        signal(number, SIG_DFL);
        return;
    }
    note(at, (uintptr_t)user->uc_mcontext.gregs[REG_RIP]);
    next_line.line = region_of(at / LINE * LINE + LINE) ? at / LINE * LINE + LINE : 0;
    if (next_line.line != 0) memcpy(next_line.was, (const void *)next_line.line, LINE);
    open_pages[open_count] = at / PAGE * PAGE;
    mprotect((void *)open_pages[open_count++], PAGE, PROT_READ | PROT_WRITE);
    user->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
    selector = was;
}

static void on_step(int number, siginfo_t *info, void *context)
{
    ucontext_t *user = context;
    char was = selector;

    (void)number, (void)info;
    selector = 0;
    if (next_line.line != 0 && memcmp(next_line.was, (const void *)next_line.line, LINE) != 0)
        note(next_line.line, (uintptr_t)user->uc_mcontext.gregs[REG_RIP]);
    next_line.line = 0;
    while (open_count > 0) mprotect((void *)open_pages[--open_count], PAGE, PROT_READ);
    user->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
    selector = was;
}

/* As the kernel has it: libc would put a restorer of its own. */
static bool handle(int number, void (*handler)(int, siginfo_t *, void *))
{
    const struct {
        void (*handler)(int, siginfo_t *, void *);
        unsigned long flags;
        void (*restorer)(void);
        uint64_t mask;
    } action = { handler, SA_SIGINFO | SA_ONSTACK | SA_NODEFER | 0x04000000 /* SA_RESTORER */, watch_restorer, 0 };

    return syscall(SYS_rt_sigaction, number, &action, NULL, sizeof action.mask) == 0;
}

static bool catch_calls(bool on)
{
    uintptr_t from = (uintptr_t)watch_restorer;

    if (!on) return prctl(PR_SET_SYSCALL_USER_DISPATCH, 0, 0, 0, 0) == 0;
    return prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, from, (uintptr_t)watch_restorer_end - from + 1, &selector) == 0;
}

/* ---- threads ---- */

enum mode { PLAIN, COSTS, STORES };
static struct {
    sem_t begin;
    atomic_bool is_done;
    pthread_t thread;
} threads[WATCH_THREADS];
static struct {
    enum mode mode;
    watch_step step;
    void *arg;
    unsigned times;
    struct watched *out;
    bool good;
} job;

static bool one_step(void)
{
    unsigned calls_before = called, asked_before = asked;
    bool good;

    is_counting = job.mode == COSTS;
    if (job.mode != PLAIN) selector = 1;
    good = job.step(job.arg);
    selector = 0;
    is_counting = false;
    if (job.out) {
        job.out->allocations += asked != asked_before;
        job.out->calls += called != calls_before;
        if (called != calls_before) job.out->last_call = last_called;
    }
    return good;
}

static bool do_job(void)
{
    bool good = job.mode == PLAIN || catch_calls(true);

    if (job.mode == STORES) good = good && freeze() && guard(true);
    for (now_repeat = 1; good && now_repeat <= job.times; now_repeat++) good = one_step();
    if (job.mode == STORES) good = guard(false) && good;
    is_frozen = false;
    return (job.mode == PLAIN || catch_calls(false)) && good;
}

static void *serve(void *arg)
{
    size_t mine = (size_t)(uintptr_t)arg;
    stack_t alternative = { .ss_sp = signal_stacks[mine], .ss_size = sizeof signal_stacks[mine] };

    sigaltstack(&alternative, NULL);
    for (;;) {
        sem_wait(&threads[mine].begin);
        job.good = do_job();
        atomic_store(&threads[mine].is_done, true);
    }
    return NULL;
}

static bool give(size_t thread)
{
    now_thread = thread;
    atomic_store(&threads[thread].is_done, false);
    sem_post(&threads[thread].begin);
    /* Whatever else waits may write to this thread's own memory, whose pages are guarded. */
    while (!atomic_load(&threads[thread].is_done)) sched_yield();
    return job.good;
}

bool watch_begin(void)
{
    void *found = dlsym(RTLD_NEXT, "clock_gettime");

    if (!found) return false;
    memcpy(&real_clock, &found, sizeof found);
    main_thread = (uintptr_t)pthread_self();
    if (!catch_calls(true) || !catch_calls(false)) return false;
    if (!handle(SIGSYS, on_call) || !handle(SIGSEGV, on_store) || !handle(SIGTRAP, on_step)) return false;
    for (size_t i = 0; i < WATCH_THREADS; i++) {
        pthread_attr_t attributes;

        sem_init(&threads[i].begin, 0, 0);
        pthread_attr_init(&attributes);
        /* Thread-local memory lies in it as well. */
        if (pthread_attr_setstack(&attributes, stacks[i], sizeof stacks[i]) != 0) return false;
        if (pthread_create(&threads[i].thread, &attributes, serve, (void *)(uintptr_t)i) != 0) return false;
        pthread_attr_destroy(&attributes);
    }
    return true;
}

bool watch_run(size_t thread, watch_step step, void *arg, unsigned times)
{
    job.mode = PLAIN;
    job.step = step;
    job.arg = arg;
    job.times = times;
    job.out = NULL;
    return give(thread);
}

bool watch_costs(size_t thread, watch_step step, void *arg, unsigned times, struct watched *out)
{
    *out = (struct watched){ 0 };
    job.mode = COSTS;
    job.step = step;
    job.arg = arg;
    job.times = times;
    job.out = out;
    return give(thread);
}

bool watch_stores(size_t thread, watch_step step, void *arg, unsigned times)
{
    if (!regions_read()) return false;
    memset(written[thread], 0, sizeof written[thread]);
    job.mode = STORES;
    job.step = step;
    job.arg = arg;
    job.times = times;
    job.out = NULL;
    return give(thread);
}

/* ---- answers ---- */

static void say_who(uintptr_t by)
{
    Dl_info info;

    if (dladdr((void *)by, &info) && info.dli_fname)
        printf(" %s+0x%lx (%s)", info.dli_fname, (unsigned long)(by - (uintptr_t)info.dli_fbase), info.dli_sname ? info.dli_sname : "?");
    else
        printf(" 0x%lx", (unsigned long)by);
}

size_t watch_common_lines(unsigned often, const char *but)
{
    size_t count = 0;

    for (size_t i = 0; i < LINES; i++) {
        const struct written *one = &written[0][i], *other;
        const struct region *region;

        if (one->line == 0 || one->repeats < often) continue;
        other = written_at(1, one->line);
        if (other->line == 0 || other->repeats < often) continue;
        region = region_of(one->line);
        if (region && strstr(region->name, but)) continue;
        printf("    line 0x%lx of %s, by", (unsigned long)one->line, region && *region->name ? region->name : "memory that was asked for");
        say_who(one->by);
        printf(" and");
        say_who(other->by);
        printf("\n");
        count++;
    }
    return count;
}

size_t watch_lines(size_t thread)
{
    size_t count = 0;

    for (size_t i = 0; i < LINES; i++) count += written[thread][i].line != 0;
    return count;
}

#else

bool watch_begin(void)
{
    return false;
}

bool watch_run(size_t thread, watch_step step, void *arg, unsigned times)
{
    (void)thread, (void)step, (void)arg, (void)times;
    return false;
}

bool watch_costs(size_t thread, watch_step step, void *arg, unsigned times, struct watched *out)
{
    (void)out;
    return watch_run(thread, step, arg, times);
}

bool watch_stores(size_t thread, watch_step step, void *arg, unsigned times)
{
    return watch_run(thread, step, arg, times);
}

size_t watch_common_lines(unsigned often, const char *but)
{
    (void)often, (void)but;
    return 0;
}

size_t watch_lines(size_t thread)
{
    (void)thread;
    return 0;
}

#endif
