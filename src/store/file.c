/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "store/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/descriptor.h"
#include "store/disk.h"

static enum kl_rc refused(const char *path, unsigned flags)
{
    int error = errno;

    switch (error) {
    case ENOENT:
        return kl_fail(KL_NOT_FOUND, "%s does not exist", path);
    case ELOOP:
        return kl_fail(KL_PERMISSION, "%s is a symbolic link; name the file itself", path);
    case EEXIST:
        return kl_fail(KL_CONFLICT, "%s exists already", path);
    case EROFS:
        return kl_fail(KL_STORE_READ_ONLY, "%s lies on a read-only file system", path);
    case ENOSPC:
    case EDQUOT:
        return kl_fail(KL_STORE_FULL, "no room left for %s", path);
    case EACCES:
    case EPERM:
        if ((flags & KL_FILE_WRITE) != 0) return kl_fail(KL_STORE_READ_ONLY, "%s may not be written by this user", path);
        return kl_fail(KL_PERMISSION, "%s may not be opened by this user", path);
    default:
        return kl_fail(KL_STORE, "%s: %s", path, strerror(error));
    }
}

enum kl_rc kl_file_check(const struct stat *status, const char *path)
{
    if (!S_ISREG(status->st_mode)) return kl_fail(KL_PERMISSION, "%s is not a regular file", path);
    if (status->st_nlink > 1)
        return kl_fail(KL_PERMISSION, "%s has %lu hard links; it must have one", path, (unsigned long)status->st_nlink);
    if (status->st_uid != geteuid() && status->st_uid != 0) {
        return kl_fail(KL_PERMISSION, "%s belongs to user %lu and we are %lu; run this as its owner", path, (unsigned long)status->st_uid,
                       (unsigned long)geteuid());
    }
    if ((status->st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return kl_fail(KL_PERMISSION, "%s has mode %03o: group or others may use it; chmod 600", path, (unsigned)status->st_mode & 0777U);
    }
    return KL_OK;
}

/* New and still empty: whatever the umask made of the mode is put right before anything is written. */
static enum kl_rc settle(int fd, const char *path, bool created, unsigned flags)
{
    struct stat status;

    if (created && fchmod(fd, S_IRUSR | S_IWUSR) != 0) return kl_fail(KL_STORE, "chmod %s: %s", path, strerror(errno));
    if (kl_disk->stat(fd, &status) != 0) return kl_fail(KL_STORE, "%s: %s", path, strerror(errno));
    KL_TRY(kl_file_check(&status, path));
    return created && (flags & KL_FILE_VOLATILE) == 0 ? kl_file_sync_directory(path) : KL_OK;
}

static int open_or_create(const char *path, unsigned flags, bool *created)
{
    int mode = ((flags & KL_FILE_WRITE) != 0 ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

    for (unsigned tries = 0; tries < 10; tries++) {
        int fd = -1;

        *created = false;
        if ((flags & KL_FILE_EXCLUSIVE) == 0) fd = kl_disk->open(path, mode, 0);
        if (fd >= 0 || (flags & KL_FILE_CREATE) == 0) return fd;
        if ((flags & KL_FILE_EXCLUSIVE) == 0 && errno != ENOENT) return fd;
        fd = kl_disk->open(path, mode | O_CREAT | O_EXCL, S_IRUSR | S_IWUSR);
        *created = fd >= 0;
        if (fd >= 0 || errno != EEXIST || (flags & KL_FILE_EXCLUSIVE) != 0) return fd;
    }
    return -1;
}

enum kl_rc kl_file_open(const char *path, unsigned flags, int *fd)
{
    bool created = false;
    int opened = kl_descriptor_lift(open_or_create(path, flags, &created));
    enum kl_rc rc;

    if (opened < 0) return refused(path, flags);
    rc = settle(opened, path, created, flags);
    if (rc != KL_OK) {
        if (created) kl_disk->unlink(path);
        close(opened);
        return rc;
    }
    *fd = opened;
    return KL_OK;
}

static enum kl_rc directory_of(const char *path, char directory[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - path);

    KL_CHECK(slash != NULL && len < PATH_MAX - 1, KL_ARG);
    memcpy(directory, path, len);
    if (len == 0) directory[len++] = '/';
    directory[len] = '\0';
    return KL_OK;
}

enum kl_rc kl_file_check_directory(const char *path)
{
    char directory[PATH_MAX];
    struct stat status;

    KL_TRY(directory_of(path, directory));
    if (stat(directory, &status) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) return kl_fail(KL_NOT_FOUND, "the directory %s does not exist; make it", directory);
        return kl_fail(KL_PERMISSION, "the directory %s cannot be looked at: %s", directory, strerror(errno));
    }
    if (!S_ISDIR(status.st_mode)) return kl_fail(KL_NOT_FOUND, "%s is not a directory", directory);
    if (status.st_uid != geteuid() && status.st_uid != 0) {
        return kl_fail(KL_PERMISSION, "the directory %s belongs to user %lu, neither to us nor to root", directory,
                       (unsigned long)status.st_uid);
    }
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (status.st_mode & S_ISVTX) == 0) {
        return kl_fail(KL_PERMISSION, "the directory %s has mode %03o: others may replace files in it; chmod go-w", directory,
                       (unsigned)status.st_mode & 0777U);
    }
    return KL_OK;
}

enum kl_rc kl_file_sync_directory(const char *path)
{
    char directory[PATH_MAX];
    int fd;
    int failed;

    KL_TRY(directory_of(path, directory));
    fd = kl_disk->open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    /* Write and search alone are enough to make a file; then there is nothing to sync through. */
    if (fd < 0 && errno == EACCES) return KL_OK;
    if (fd < 0) return kl_fail(KL_STORE, "%s: %s", directory, strerror(errno));
    failed = kl_disk->sync(fd);
    if (failed != 0 && errno == EINVAL) failed = 0;
    if (failed != 0) {
        enum kl_rc rc = kl_fail(KL_STORE, "%s cannot be synced: %s", directory, strerror(errno));

        close(fd);
        return rc;
    }
    close(fd);
    return KL_OK;
}
