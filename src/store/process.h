/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What of a store belongs to the process: one connection to each file, and a SQLite that can still be used after a fork. */
#ifndef KL_STORE_PROCESS_H
#define KL_STORE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/rc.h"

/* A file that this process has open; belongs to whoever claims it. */
struct kl_claim {
    struct kl_claim *next;
    uint64_t device;
    uint64_t inode;
};

/*
 * Closing any descriptor of a file drops all locks that a process has on it, so
 * a file must not even be looked into while it is open elsewhere in the process.
 * Between begin and end no other thread opens a store; begin gives KL_STORE when
 * the file at `path` is claimed already, by another than `mine`. A forked child begins without claims.
 */
KL_MUST_USE enum kl_rc kl_process_begin(const char *path, const struct kl_claim *mine);
/* claim == NULL: nothing was opened. One that stands already, stands. */
void kl_process_end(struct kl_claim *claim);
/* Does nothing with a claim of a parent's. */
void kl_process_release(const struct kl_claim *claim);
/* False for a claim of a process that this one was forked from. */
bool kl_process_owns(const struct kl_claim *claim);

/* A number that no other process on this machine has, nor will have before the next boot; 0 if it is not to be had. */
uint64_t kl_process_number(void);

#endif
