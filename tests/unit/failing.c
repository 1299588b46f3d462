/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "failing.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/types.h>

/* What the linker makes of --wrap: the real ones, and ours in their place. */
/* NOLINTBEGIN(bugprone-reserved-identifier) */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__real_realloc(void *room, size_t size);
void *__real_reallocarray(void *room, size_t count, size_t size);
char *__real_strdup(const char *text);
void *__real_mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset);
int __real_mprotect(void *at, size_t len, int protection);
int __real_madvise(void *at, size_t len, int advice);
int __real_mlock(const void *at, size_t len);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__wrap_realloc(void *room, size_t size);
void *__wrap_reallocarray(void *room, size_t count, size_t size);
char *__wrap_strdup(const char *text);
void *__wrap_mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset);
int __wrap_mprotect(void *at, size_t len, int protection);
int __wrap_madvise(void *at, size_t len, int advice);
int __wrap_mlock(const void *at, size_t len);

static unsigned memory_left, system_left;
static bool has_failed;

void failing_memory(unsigned count)
{
    memory_left = count;
    has_failed = false;
}

void failing_system(unsigned count)
{
    system_left = count;
    has_failed = false;
}

bool failing_has_failed(void)
{
    return has_failed;
}

static bool is_due(unsigned *left)
{
    if (*left == 0 || --*left > 0) return false;
    has_failed = true;
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return is_due(&memory_left) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return is_due(&memory_left) ? NULL : __real_calloc(count, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return is_due(&memory_left) ? NULL : __real_aligned_alloc(alignment, size);
}

void *__wrap_realloc(void *room, size_t size)
{
    return is_due(&memory_left) ? NULL : __real_realloc(room, size);
}

void *__wrap_reallocarray(void *room, size_t count, size_t size)
{
    return is_due(&memory_left) ? NULL : __real_reallocarray(room, count, size);
}

char *__wrap_strdup(const char *text)
{
    return is_due(&memory_left) ? NULL : __real_strdup(text);
}

void *__wrap_mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset)
{
    return is_due(&system_left) ? MAP_FAILED : __real_mmap(at, len, protection, flags, fd, offset);
}

int __wrap_mprotect(void *at, size_t len, int protection)
{
    return is_due(&system_left) ? -1 : __real_mprotect(at, len, protection);
}

int __wrap_madvise(void *at, size_t len, int advice)
{
    return is_due(&system_left) ? -1 : __real_madvise(at, len, advice);
}

int __wrap_mlock(const void *at, size_t len)
{
    return is_due(&system_left) ? -1 : __real_mlock(at, len);
}
/* NOLINTEND(bugprone-reserved-identifier) */
