/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The index of the write-ahead log, PATH-shm: mapped, with locks on bytes of its own. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/disk.h"
#include "store/file.h"
#include "store/sqlite.h"
#include "store/vfs.h"

enum { LOCK_BASE = 120, LOCK_ATTACHED = LOCK_BASE + SQLITE_SHM_NLOCK, EMPTIED_LEN = 3, FILE_PAGE = 4096 };

static enum kl_rc open_file(struct kl_vfs_file *file)
{
    struct kl_vfs_shm *shm = &file->shm;
    char path[KL_SQLITE_PATH_MAX + 64];
    enum kl_rc rc = KL_STORE_READ_ONLY;
    int fd = -1;
    int len = snprintf(path, sizeof path, "%s-shm", file->path);

    KL_CHECK(len > 0 && (size_t)len < sizeof path, KL_ARG);
    if (!file->read_only) rc = kl_file_open(path, KL_FILE_WRITE | KL_FILE_CREATE | KL_FILE_VOLATILE, &fd);
    shm->read_only = rc == KL_STORE_READ_ONLY;
    if (shm->read_only) rc = kl_file_open(path, 0, &fd);
    if (rc == KL_OK && !kl_descriptor_take(&shm->descriptor, fd)) rc = kl_fail(KL_STORE, "%s: %s", path, strerror(errno));
    shm->open = rc == KL_OK;
    return rc;
}

/* A descriptor that the program has closed will never be locked; SQLite would try for ten seconds. */
static int not_locked(void)
{
    return errno == EBADF ? SQLITE_IOERR_SHMLOCK : SQLITE_BUSY;
}

/*
 * Who finds nobody else using the index empties it, since a crash may have left
 * anything in it, and says by a lock that it is used now. (As sqlite3 does:
 * asking first, instead of trying the shared lock, leaves no moment in which
 * one could use what another was about to empty.)
 */
static int attach(struct kl_vfs_shm *shm)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_ATTACHED, .l_len = 1 };

    if (kl_disk->lock(kl_descriptor_fd(&shm->descriptor), F_GETLK, &lock) != 0) return SQLITE_IOERR_LOCK;
    if (lock.l_type == F_WRLCK) return SQLITE_BUSY;
    if (lock.l_type == F_UNLCK) {
        if (shm->read_only) return SQLITE_READONLY_CANTINIT;
        if (!kl_vfs_lock_bytes(&shm->descriptor, F_WRLCK, LOCK_ATTACHED, 1)) return not_locked();
        if (kl_disk->truncate(kl_descriptor_fd(&shm->descriptor), EMPTIED_LEN) != 0) return SQLITE_IOERR_SHMOPEN;
    }
    if (!kl_vfs_lock_bytes(&shm->descriptor, F_RDLCK, LOCK_ATTACHED, 1)) return not_locked();
    shm->attached = true;
    return SQLITE_OK;
}

static void close_shm(struct kl_vfs_shm *shm)
{
    if (shm->open) kl_descriptor_close(&shm->descriptor);
    memset(shm, 0, sizeof *shm);
}

static int open_shm(struct kl_vfs_file *file)
{
    enum kl_rc rc = open_file(file);
    int code;

    /* Read-only and nobody made an index yet: SQLite then reads the log itself, and asks again each time. */
    if (rc == KL_NOT_FOUND && file->shm.read_only) return SQLITE_READONLY_CANTINIT;
    code = kl_vfs_refuse(rc);
    if (code != SQLITE_OK) return code;
    code = attach(&file->shm);
    if (code != SQLITE_OK && code != SQLITE_READONLY_CANTINIT) close_shm(&file->shm);
    return code;
}

/* A hole would give SIGBUS when the file system is full, so every page is written once. */
static int extend_file(struct kl_vfs_shm *shm, off_t from, off_t to)
{
    for (off_t page = from / FILE_PAGE; page < to / FILE_PAGE; page++) {
        if (kl_disk->write(kl_descriptor_fd(&shm->descriptor), "", 1, page * FILE_PAGE + FILE_PAGE - 1) != 1) {
            return errno == ENOSPC || errno == EDQUOT ? SQLITE_FULL : SQLITE_IOERR_SHMSIZE;
        }
    }
    return SQLITE_OK;
}

/* Regions that one page of memory holds, where pages are that large. */
static int regions_a_map(int size)
{
    long page = sysconf(_SC_PAGESIZE);

    return page > size ? (int)(page / size) : 1;
}

static int map_more(struct kl_vfs_shm *shm, int size, int count)
{
    int step = regions_a_map(size);
    char **regions = realloc(shm->regions, (size_t)count * sizeof *regions);

    if (regions == NULL) return SQLITE_IOERR_NOMEM;
    shm->regions = regions;
    while (shm->count < count) {
        char *room =
            kl_disk->map(kl_descriptor_fd(&shm->descriptor), (size_t)size * (size_t)step, (off_t)size * shm->count, !shm->read_only);

        if (room == MAP_FAILED) return SQLITE_IOERR_SHMMAP;
        for (int i = 0; i < step; i++) regions[shm->count + i] = room + (ptrdiff_t)i * size;
        shm->count += step;
    }
    return SQLITE_OK;
}

static int grow(struct kl_vfs_shm *shm, int region, int size, int extend)
{
    int step = regions_a_map(size);
    int count = (region + step) / step * step;
    struct stat status;

    if (shm->count >= count) return SQLITE_OK;
    if (kl_disk->stat(kl_descriptor_fd(&shm->descriptor), &status) != 0) return SQLITE_IOERR_SHMSIZE;
    if (status.st_size < (off_t)count * size) {
        int code;

        if (extend == 0) return SQLITE_OK;
        code = extend_file(shm, status.st_size, (off_t)count * size);
        if (code != SQLITE_OK) return code;
    }
    return map_more(shm, size, count);
}

int kl_vfs_shm_map(sqlite3_file *base, int region, int size, int extend, void volatile **out)
{
    struct kl_vfs_file *file = (struct kl_vfs_file *)base;
    struct kl_vfs_shm *shm = &file->shm;
    int code = SQLITE_OK;

    *out = NULL;
    if (!shm->open) {
        code = open_shm(file);
    } else if (!shm->attached) {
        code = attach(shm);
    }
    if (code == SQLITE_OK) code = grow(shm, region, size, extend);
    if (code != SQLITE_OK) return code;
    if (region < shm->count) *out = shm->regions[region];
    return shm->read_only ? SQLITE_READONLY : SQLITE_OK;
}

int kl_vfs_shm_lock(sqlite3_file *base, int first, int count, int flags)
{
    struct kl_vfs_file *file = (struct kl_vfs_file *)base;
    struct kl_vfs_shm *shm = &file->shm;
    unsigned mask = ((1U << (first + count)) - 1) & ~((1U << first) - 1);
    bool exclusive = (flags & SQLITE_SHM_EXCLUSIVE) != 0;

    if (!shm->open) return (flags & SQLITE_SHM_UNLOCK) != 0 || !exclusive ? SQLITE_OK : SQLITE_BUSY;
    if ((flags & SQLITE_SHM_UNLOCK) != 0) {
        kl_vfs_write_log(file);
        if (((shm->shared | shm->exclusive) & mask) == 0) return SQLITE_OK;
        if (!kl_vfs_lock_bytes(&shm->descriptor, F_UNLCK, LOCK_BASE + first, count)) return SQLITE_IOERR_UNLOCK;
        shm->shared &= ~mask;
        shm->exclusive &= ~mask;
        return SQLITE_OK;
    }
    /* The kernel would let us turn a lock of our own into another. */
    if (((shm->exclusive | (exclusive ? shm->shared : 0U)) & mask) != 0) return SQLITE_BUSY;
    if (!kl_vfs_lock_bytes(&shm->descriptor, exclusive ? F_WRLCK : F_RDLCK, LOCK_BASE + first, count)) return not_locked();
    *(exclusive ? &shm->exclusive : &shm->shared) |= mask;
    return SQLITE_OK;
}

void kl_vfs_shm_barrier(sqlite3_file *base)
{
    kl_vfs_write_log((struct kl_vfs_file *)base);
    atomic_thread_fence(memory_order_seq_cst);
}

int kl_vfs_shm_unmap(sqlite3_file *base, int remove)
{
    struct kl_vfs_file *file = (struct kl_vfs_file *)base;
    struct kl_vfs_shm *shm = &file->shm;
    int step = regions_a_map(32768);
    char path[KL_SQLITE_PATH_MAX + 64];

    for (int i = 0; i < shm->count; i += step) munmap(shm->regions[i], (size_t)32768 * (size_t)step);
    free(shm->regions);
    if (remove != 0 && shm->open) {
        snprintf(path, sizeof path, "%s-shm", file->path);
        kl_disk->unlink(path);
    }
    close_shm(shm);
    return SQLITE_OK;
}
