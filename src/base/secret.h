/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The one place where plaintext key bytes, PINs and tokens live: an arena with
 * guard pages, locked (mlock), left out of core dumps (MADV_DONTDUMP) and, under
 * `fork = reset`, empty in a forked child (MADV_WIPEONFORK).
 */
#ifndef KL_BASE_SECRET_H
#define KL_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/fork.h"
#include "base/rc.h"

#define KL_SECRET_MAX 65536 /* bytes in one secret */

/* Owned secret bytes; { 0 } is empty. Wiped and given back by kl_secret_clear. */
struct kl_secret {
    uint8_t *data;
    size_t len;
};

/* Gives `len` zero bytes (1 to KL_SECRET_MAX). The old content of `secret` must be empty. KL_MEMORY, KL_LOCKED_MEMORY. */
KL_MUST_USE enum kl_rc kl_secret_new(struct kl_secret *secret, size_t len);
/* A copy of the bytes; an empty view gives an empty secret. The source is the caller's to wipe. */
KL_MUST_USE enum kl_rc kl_secret_from(struct kl_secret *secret, struct kl_view bytes);
KL_MUST_USE enum kl_rc kl_secret_dup(struct kl_secret *copy, const struct kl_secret *secret);
/* Moves: *to must be empty, *from is empty afterwards. */
void kl_secret_take(struct kl_secret *to, struct kl_secret *from);
/* Shortens to `len` bytes, wiping the rest. */
void kl_secret_cut(struct kl_secret *secret, size_t len);
void kl_secret_clear(struct kl_secret *secret);
struct kl_view kl_secret_view(const struct kl_secret *secret);
bool kl_secret_equal(const struct kl_secret *a, const struct kl_secret *b);

/*
 * Zeroed room in the arena, 64-byte aligned, of 1 to KL_SECRET_MAX bytes, for
 * things that hold keys (expanded cipher keys). NULL when there is none, with
 * kl_fail_words(). Like all of this page it may be called by any thread, and
 * what one thread took another may give back.
 */
void *kl_arena_new(size_t size);
/* Wipes and gives back what kl_arena_new gave; NULL is allowed. `size` as asked for. */
void kl_arena_free(void *room, size_t size);
/* Wipes memory outside the arena in a way that the compiler keeps. */
void kl_wipe(void *data, size_t len);

/* What happens to the arena at fork; before the first secret is made. */
enum kl_fork_rule { KL_FORK_RESET, KL_FORK_INHERIT };
void kl_arena_set_fork(enum kl_fork_rule rule);
/*
 * In a forked child: forgets the parent's arena (its bytes are gone, its locks
 * may be held by threads that do not exist) and begins an empty one. Secrets
 * from before must not be cleared or used any more.
 */
void kl_arena_abandon(void);
/*
 * In a forked child that goes on with its parent's secrets (KL_FORK_INHERIT): locks their memory again, since the kernel
 * does not hand that down. KL_LOCKED_MEMORY.
 */
KL_MUST_USE enum kl_rc kl_arena_inherit(void);
/* The arena's locks, for who forks (base/fork.h). */
bool kl_arena_show_locks(kl_lock_fn *each, void *user);

struct kl_arena_stats {
    size_t mapped; /* bytes in the arena */
    size_t used;   /* bytes handed out */
    size_t locked; /* bytes that mlock took */
    bool all_locked;
};
struct kl_arena_stats kl_arena_stats(void);

/*
 * Makes a test or `doctor` see whether keys may be held in memory that could not
 * be locked: refused (KL_LOCKED_MEMORY) unless allowed. Setting `lock_memory`
 * of [module]: required (default) | try.
 */
void kl_arena_allow_unlocked(bool allowed);

#endif
