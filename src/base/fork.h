/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Notices that the process has been forked, by fork, vfork-less clone or _Fork alike: a page that the kernel wipes in the child. */
#ifndef KL_BASE_FORK_H
#define KL_BASE_FORK_H

#include <stdbool.h>

#include "base/rc.h"

/* Marks this process. Called again in a child it marks the child. KL_MEMORY where the kernel has no MADV_WIPEONFORK. */
KL_MUST_USE enum kl_rc kl_fork_mark(void);
/* This process, and none of its ancestors alone, was marked. Two loads, no system call. False before the first mark. */
bool kl_fork_is_marked(void);
/* Some ancestor or this process was marked, i.e. memory holds state made under a mark. */
bool kl_fork_has_past(void);

#endif
