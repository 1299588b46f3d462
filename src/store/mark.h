/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The word in PATH-epoch that says whether anything was committed since one
 * last looked (doc/format.md): odd while a commit is under way, even and
 * greater after it. And the queue of those who want to write next.
 */
#ifndef KL_STORE_MARK_H
#define KL_STORE_MARK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/descriptor.h"
#include "base/rc.h"

struct kl_mark {
    pthread_mutex_t lock;            /* of the descriptor, which who queues uses beside who has the store */
    struct kl_descriptor descriptor; /* none when the file cannot be written */
    _Atomic(_Atomic uint64_t *) word;
    /* What is mapped, whether it is `word` or not; it holds the claim on the store even when the descriptor is lost. */
    _Atomic uint64_t *mapped;
    _Atomic uint64_t own; /* what `word` points to when there is no descriptor */
};

/* Nothing mapped yet. */
void kl_mark_init(struct kl_mark *mark);
/*
 * Maps the file, which is made if it may be; where it cannot be written it is done without. KL_NOT_FOUND
 * (not there, and not to be made); KL_STORE: the store is open in this process, by another copy of this code.
 */
KL_MUST_USE enum kl_rc kl_mark_open(struct kl_mark *mark, const char *path, bool create);
void kl_mark_close(struct kl_mark *mark);
/* The program has closed its descriptor. */
bool kl_mark_is_lost(const struct kl_mark *mark);
/* Does without its descriptor. What is mapped stays, for threads that are reading it, and with it the claim. */
void kl_mark_forget(struct kl_mark *mark);
/* Maps the file anew when another lies at its path, so that all processes look at one word. */
void kl_mark_follow(struct kl_mark *mark, const char *path);

uint64_t kl_mark_value(const struct kl_mark *mark);
/* The caller holds the write lock of the store. Makes the word odd; gives what it was. */
uint64_t kl_mark_raise(struct kl_mark *mark);
/* Makes it even again, if it is still what kl_mark_raise left. Gives the even value that belongs to this commit. */
uint64_t kl_mark_settle(struct kl_mark *mark, uint64_t before);
/* The caller holds the write lock and commits nothing: a word left odd by a process that died is made even. */
void kl_mark_mend(struct kl_mark *mark);
/* Without a file: the word follows a number that the database itself gives. */
void kl_mark_set_own(struct kl_mark *mark, uint64_t value);

/* Only one process at a time stands first in the queue. False: somebody else does. */
bool kl_mark_queue(struct kl_mark *mark, bool enter);

#endif
