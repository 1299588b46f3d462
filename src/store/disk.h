/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the store asks of the file system is a table, so that a test can make any of it fail, or die in it. */
#ifndef KL_STORE_DISK_H
#define KL_STORE_DISK_H

#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

struct kl_disk {
    /* As the system calls of these names: -1 and errno. */
    int (*open)(const char *path, int flags, mode_t mode);
    int (*stat)(int fd, struct stat *status);
    ssize_t (*read)(int fd, void *data, size_t len, off_t at);
    ssize_t (*write)(int fd, const void *data, size_t len, off_t at);
    int (*truncate)(int fd, off_t len);
    int (*sync)(int fd);
    int (*unlink)(const char *path);
    int (*lock)(int fd, int command, struct flock *lock);
    void *(*map)(int fd, size_t len, off_t at, bool write); /* shared; MAP_FAILED */
};

extern const struct kl_disk kl_disk_system;
/* The one in use; tests may point it elsewhere. */
extern const struct kl_disk *kl_disk;

#endif
