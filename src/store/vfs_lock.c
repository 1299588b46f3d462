/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Locks on the database file: sqlite3's os_unix.c for a process with a single
 * connection. The locks are those of fcntl that belong to a process: a forked
 * child has none of them, and they go when the process goes.
 */
#include <errno.h>

#include "store/disk.h"
#include "store/vfs.h"

enum { PENDING = 0x40000000, RESERVED = PENDING + 1, SHARED_FIRST = PENDING + 2, SHARED_COUNT = 510 };

bool kl_vfs_lock_bytes(const struct kl_descriptor *descriptor, short type, off_t first, off_t count)
{
    struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = first, .l_len = count };
    int fd = kl_descriptor_fd(descriptor);

    /* Closed, it took its locks along. */
    if (fd < 0) return type == F_UNLCK;
    return kl_disk->lock(fd, F_SETLK, &lock) == 0;
}

int kl_vfs_lock_result(int error)
{
    switch (error) {
    case EACCES:
    case EAGAIN:
    case EINTR:
    case EBUSY:
    case ENOLCK:
        return SQLITE_BUSY;
    case EPERM:
        return SQLITE_PERM;
    default:
        return SQLITE_IOERR_LOCK;
    }
}

static int lock_shared(struct kl_vfs_file *file)
{
    int error;

    /* Whoever waits to write holds PENDING, and no new reader comes past it. */
    if (!kl_vfs_lock_bytes(&file->descriptor, F_RDLCK, PENDING, 1)) return kl_vfs_lock_result(errno);
    error = kl_vfs_lock_bytes(&file->descriptor, F_RDLCK, SHARED_FIRST, SHARED_COUNT) ? 0 : errno;
    if (!kl_vfs_lock_bytes(&file->descriptor, F_UNLCK, PENDING, 1)) return SQLITE_IOERR_UNLOCK;
    if (error != 0) return kl_vfs_lock_result(error);
    file->level = SQLITE_LOCK_SHARED;
    return SQLITE_OK;
}

static int lock_exclusive(struct kl_vfs_file *file)
{
    if (file->level < SQLITE_LOCK_PENDING) {
        if (!kl_vfs_lock_bytes(&file->descriptor, F_WRLCK, PENDING, 1)) return kl_vfs_lock_result(errno);
        file->level = SQLITE_LOCK_PENDING;
    }
    if (!kl_vfs_lock_bytes(&file->descriptor, F_WRLCK, SHARED_FIRST, SHARED_COUNT)) return kl_vfs_lock_result(errno);
    file->level = SQLITE_LOCK_EXCLUSIVE;
    return SQLITE_OK;
}

int kl_vfs_lock(sqlite3_file *base, int level)
{
    struct kl_vfs_file *file = (struct kl_vfs_file *)base;

    if (file->level >= level) return SQLITE_OK;
    if (!kl_vfs_file_is_whole(file)) return SQLITE_IOERR_LOCK;
    if (file->level == SQLITE_LOCK_NONE) {
        int code = lock_shared(file);

        if (code != SQLITE_OK || level == SQLITE_LOCK_SHARED) return code;
    }
    if (level == SQLITE_LOCK_EXCLUSIVE) return lock_exclusive(file);
    if (!kl_vfs_lock_bytes(&file->descriptor, F_WRLCK, RESERVED, 1)) return kl_vfs_lock_result(errno);
    file->level = SQLITE_LOCK_RESERVED;
    return SQLITE_OK;
}

int kl_vfs_unlock(sqlite3_file *base, int level)
{
    struct kl_vfs_file *file = (struct kl_vfs_file *)base;

    if (file->level <= level) return SQLITE_OK;
    if (level == SQLITE_LOCK_SHARED) {
        if (file->level == SQLITE_LOCK_EXCLUSIVE && !kl_vfs_lock_bytes(&file->descriptor, F_RDLCK, SHARED_FIRST, SHARED_COUNT)) {
            return SQLITE_IOERR_RDLOCK;
        }
        if (!kl_vfs_lock_bytes(&file->descriptor, F_UNLCK, PENDING, 2)) return SQLITE_IOERR_UNLOCK;
    } else if (!kl_vfs_lock_bytes(&file->descriptor, F_UNLCK, 0, 0)) {
        return SQLITE_IOERR_UNLOCK;
    }
    file->level = level;
    return SQLITE_OK;
}

int kl_vfs_check_reserved(sqlite3_file *base, int *held)
{
    struct kl_vfs_file *file = (struct kl_vfs_file *)base;
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = RESERVED, .l_len = 1 };

    *held = file->level > SQLITE_LOCK_SHARED;
    if (*held) return SQLITE_OK;
    if (kl_disk->lock(kl_descriptor_fd(&file->descriptor), F_GETLK, &lock) != 0) return SQLITE_IOERR_CHECKRESERVEDLOCK;
    *held = lock.l_type != F_UNLCK;
    return SQLITE_OK;
}
