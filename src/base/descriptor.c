/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "base/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIRST_FREE = 3 };

int kl_descriptor_lift(int fd)
{
    int lifted, saved;

    if (fd < 0 || fd >= FIRST_FREE) return fd;
    lifted = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FREE);
    saved = errno;
    close(fd);
    errno = saved;
    return lifted;
}

bool kl_descriptor_take(struct kl_descriptor *descriptor, int fd)
{
    struct stat what;

    *descriptor = KL_NO_DESCRIPTOR;
    if (fd < 0) return false;
    if (fstat(fd, &what) != 0) {
        int saved = errno;

        close(fd);
        errno = saved;
        return false;
    }
    *descriptor = (struct kl_descriptor){ .fd = fd, .device = what.st_dev, .inode = what.st_ino };
    return true;
}

bool kl_descriptor_is_ours(const struct kl_descriptor *descriptor)
{
    struct stat what;

    return descriptor->fd >= 0 && fstat(descriptor->fd, &what) == 0 && what.st_dev == descriptor->device &&
           what.st_ino == descriptor->inode;
}

int kl_descriptor_fd(const struct kl_descriptor *descriptor)
{
    if (kl_descriptor_is_ours(descriptor)) return descriptor->fd;
    errno = EBADF;
    return -1;
}

void kl_descriptor_close(struct kl_descriptor *descriptor)
{
    if (kl_descriptor_is_ours(descriptor)) close(descriptor->fd);
    descriptor->fd = -1;
}
