/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "store/disk.h"

#include <sys/mman.h>
#include <unistd.h>

static int disk_open(const char *path, int flags, mode_t mode)
{
    return open(path, flags, mode);
}

static int disk_stat(int fd, struct stat *status)
{
    return fstat(fd, status);
}

static ssize_t disk_read(int fd, void *data, size_t len, off_t at)
{
    return pread(fd, data, len, at);
}

static ssize_t disk_write(int fd, const void *data, size_t len, off_t at)
{
    return pwrite(fd, data, len, at);
}

static int disk_truncate(int fd, off_t len)
{
    return ftruncate(fd, len);
}

static int disk_sync(int fd)
{
    return fdatasync(fd);
}

static int disk_unlink(const char *path)
{
    return unlink(path);
}

static int disk_lock(int fd, int command, struct flock *lock)
{
    return fcntl(fd, command, lock);
}

static void *disk_map(int fd, size_t len, off_t at, bool write)
{
    return mmap(NULL, len, write ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, at);
}

const struct kl_disk kl_disk_system = {
    .open = disk_open,
    .stat = disk_stat,
    .read = disk_read,
    .write = disk_write,
    .truncate = disk_truncate,
    .sync = disk_sync,
    .unlink = disk_unlink,
    .lock = disk_lock,
    .map = disk_map,
};

const struct kl_disk *kl_disk = &kl_disk_system;
