/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The allocator behind secret.h, for secret.c alone; everybody else's way in is secret.h. */
#ifndef KL_BASE_ARENA_H
#define KL_BASE_ARENA_H

#include <stddef.h>

#include "base/rc.h"

/* Zeroed room, 16-byte aligned. KL_ARG (0 or more than KL_SECRET_MAX), KL_MEMORY, KL_LOCKED_MEMORY. */
KL_MUST_USE enum kl_rc kl_arena_take(size_t size, void **out);
/* Wipes and takes back the whole room, however long it was asked for. Room of an arena that was abandoned is left alone. */
void kl_arena_give(void *room);

#endif
