/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Makes one call in turn fail. A test that links failing.c also links with
 * FAILING_LDFLAGS of tests/Makefile.inc, which leads these calls through it:
 * malloc, calloc, realloc, reallocarray, strdup; mmap, mprotect, madvise, mlock.
 */
#ifndef KL_TESTS_FAILING_H
#define KL_TESTS_FAILING_H

#include <stdbool.h>

/* The count-th call of the kind from now on fails, 1 being the next; 0: none. */
void failing_memory(unsigned count);
void failing_system(unsigned count);
/* Whether the call that was to fail has been made. */
bool failing_has_failed(void);

#endif
