/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What a thread does beside computing, seen from within its process: memory that it asks for, system calls, and every cache line
 * that it writes but for its stack, its thread-local memory and this program's own. For x86-64 and Linux 5.11.
 *
 * A system call is caught before it happens (syscall user dispatch), and made by the handler. For stores, every page that can be
 * written is made one that can only be read; a store that faults is let through alone, by the trap flag.
 */
#ifndef WATCH_H
#define WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In how many of the repeats something was done, and once more what it was. */
struct watched {
    unsigned allocations;
    unsigned calls;
    long last_call; /* its number */
};

/* `times` times, by a thread with a stack of its own; `step` false ends it, and makes the answer false. */
typedef bool (*watch_step)(void *arg);

/* False: the machine cannot do it. Once, before the threads. */
bool watch_begin(void);

/* Threads 0 and 1 stay; only one of them ever runs. */
enum { WATCH_THREADS = 2 };
bool watch_run(size_t thread, watch_step step, void *arg, unsigned times);
bool watch_costs(size_t thread, watch_step step, void *arg, unsigned times, struct watched *out);
/* Notes the lines that the thread writes, in the place of what was noted of it. */
bool watch_stores(size_t thread, watch_step step, void *arg, unsigned times);

/* Lines that both threads wrote in at least `often` of their repeats, none of them in a file whose name has `but` in it; says which. */
size_t watch_common_lines(unsigned often, const char *but);
/* All that a thread wrote. */
size_t watch_lines(size_t thread);

#endif
