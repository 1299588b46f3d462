/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "store/vfs.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/disk.h"
#include "store/file.h"
#include "store/sqlite.h"

enum { SECTOR = 4096, GATHERED_MOST = 128 * 1024, SET_HASTY = 0x4B4C0001 /* an operation of vfs_control */ };

static sqlite3_vfs *system_vfs; /* SQLite's own, for its clock, its sleep and its random numbers */
static _Thread_local enum kl_rc refused;
static char name[32];

int kl_vfs_refuse(enum kl_rc rc)
{
    refused = rc;
    if (rc == KL_OK) return SQLITE_OK;
    return rc == KL_STORE_FULL ? SQLITE_FULL : SQLITE_CANTOPEN;
}

static struct kl_vfs_file *of(sqlite3_file *base)
{
    return (struct kl_vfs_file *)base;
}

/* --- reading and writing --- */

static int vfs_close(sqlite3_file *base)
{
    struct kl_vfs_file *file = of(base);

    /* What is gathered still was never said to be in the log. */
    free(file->gather.data);
    if (file->database != NULL) file->database->log = NULL;
    if (file->log != NULL) file->log->database = NULL;
    kl_descriptor_close(&file->descriptor);
    base->pMethods = NULL;
    return SQLITE_OK;
}

static int no_room(int error, int otherwise)
{
    return error == ENOSPC || error == EDQUOT || error == EFBIG ? SQLITE_FULL : otherwise;
}

/*
 * Nothing is written once a descriptor of the connection is lost, the locks with it: between the beginning of a transaction and its
 * commit SQLite asks for no lock, and would not notice.
 */
static int write_all(struct kl_vfs_file *file, const void *data, size_t len, sqlite3_int64 at)
{
    size_t done = 0;

    if (!kl_vfs_file_is_whole(file->database != NULL ? file->database : file)) return SQLITE_IOERR_WRITE;
    while (done < len) {
        ssize_t put = kl_disk->write(kl_descriptor_fd(&file->descriptor), (const char *)data + done, len - done, (off_t)at + (off_t)done);

        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return no_room(errno, SQLITE_IOERR_WRITE);
        if (put == 0) return SQLITE_FULL;
        done += (size_t)put;
    }
    return SQLITE_OK;
}

static int write_gathered(struct kl_vfs_file *file)
{
    struct kl_vfs_gather *gather = &file->gather;
    size_t len = gather->len;

    gather->len = 0;
    return len == 0 ? SQLITE_OK : write_all(file, gather->data, len, gather->at);
}

void kl_vfs_write_log(struct kl_vfs_file *database)
{
    struct kl_vfs_file *log = database->log;
    int code;

    if (log == NULL || log->gather.len == 0) return;
    code = write_gathered(log);
    if (code != SQLITE_OK) log->gather.failed = code;
}

/* False: it does not go behind what is there. */
static bool gather(struct kl_vfs_file *file, const void *data, size_t len, sqlite3_int64 at)
{
    struct kl_vfs_gather *gathered = &file->gather;

    if (file->database == NULL || len > GATHERED_MOST - gathered->len) return false;
    if (gathered->len > 0 && at != gathered->at + (sqlite3_int64)gathered->len) return false;
    if (gathered->data == NULL) gathered->data = malloc(GATHERED_MOST);
    if (gathered->data == NULL) return false;
    if (gathered->len == 0) gathered->at = at;
    memcpy(gathered->data + gathered->len, data, len);
    gathered->len += len;
    return true;
}

static int vfs_write(sqlite3_file *base, const void *data, int len, sqlite3_int64 at)
{
    struct kl_vfs_file *file = of(base);
    int code;

    if (file->descriptor.fd < 0) return SQLITE_READONLY;
    if (gather(file, data, (size_t)len, at)) return SQLITE_OK;
    code = write_gathered(file);
    if (code != SQLITE_OK || gather(file, data, (size_t)len, at)) return code;
    return write_all(file, data, (size_t)len, at);
}

static int vfs_read(sqlite3_file *base, void *data, int len, sqlite3_int64 at)
{
    struct kl_vfs_file *file = of(base);
    size_t done = 0;
    int code = write_gathered(file);

    if (code != SQLITE_OK) return code;
    while (file->descriptor.fd >= 0 && done < (size_t)len) {
        ssize_t got = kl_disk->read(kl_descriptor_fd(&file->descriptor), (char *)data + done, (size_t)len - done, (off_t)at + (off_t)done);

        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return SQLITE_IOERR_READ;
        if (got == 0) break;
        done += (size_t)got;
    }
    if (done == (size_t)len) return SQLITE_OK;
    memset((char *)data + done, 0, (size_t)len - done);
    return SQLITE_IOERR_SHORT_READ;
}

static int vfs_truncate(sqlite3_file *base, sqlite3_int64 len)
{
    int code;

    if (of(base)->descriptor.fd < 0) return SQLITE_READONLY;
    code = write_gathered(of(base));
    if (code != SQLITE_OK) return code;
    do {
        code = kl_disk->truncate(kl_descriptor_fd(&of(base)->descriptor), (off_t)len);
    } while (code != 0 && errno == EINTR);
    return code == 0 ? SQLITE_OK : no_room(errno, SQLITE_IOERR_TRUNCATE);
}

/* Whoever made the log: another process may have, and not have written to it. */
static int name_file(struct kl_vfs_file *file)
{
    if (file->is_named) return SQLITE_OK;
    if (kl_file_sync_directory(file->path) != KL_OK) return SQLITE_IOERR_DIR_FSYNC;
    file->is_named = true;
    return SQLITE_OK;
}

/*
 * A commit that is hasty has been written, where every process sees it, and the disk takes it when it likes, with the next commit
 * that waits at the latest. A commit's frames have just been gathered, behind the log's header; where there are none, it is a
 * checkpoint that asks, and what begins the log is its header: those two wait, whoever asks.
 */
static int vfs_sync(sqlite3_file *base, int flags)
{
    struct kl_vfs_file *file = of(base);
    bool is_commit = file->gather.len > 0 && file->gather.at > 0;
    int code = file->gather.failed;

    (void)flags;
    file->gather.failed = SQLITE_OK;
    if (file->descriptor.fd < 0 || code != SQLITE_OK) return code;
    code = write_gathered(file);
    if (code != SQLITE_OK) return code;
    if (file->is_hasty && is_commit) return SQLITE_OK;
    if (kl_disk->sync(kl_descriptor_fd(&file->descriptor)) != 0) return no_room(errno, SQLITE_IOERR_FSYNC);
    return name_file(file);
}

static int vfs_size(sqlite3_file *base, sqlite3_int64 *len)
{
    struct stat status;
    int code = write_gathered(of(base));

    *len = 0;
    if (of(base)->descriptor.fd < 0 || code != SQLITE_OK) return code;
    if (kl_disk->stat(kl_descriptor_fd(&of(base)->descriptor), &status) != 0) return SQLITE_IOERR_FSTAT;
    *len = status.st_size;
    return SQLITE_OK;
}

static int has_moved(const struct kl_vfs_file *file)
{
    struct stat now;

    return !kl_descriptor_is_ours(&file->descriptor) || stat(file->path, &now) != 0 || now.st_ino != file->descriptor.inode ||
           now.st_dev != file->descriptor.device;
}

static int vfs_control(sqlite3_file *base, int operation, void *argument)
{
    if (operation == SET_HASTY) {
        if (of(base)->log != NULL) of(base)->log->is_hasty = *(bool *)argument;
        return SQLITE_OK;
    }
    if (operation == SQLITE_FCNTL_LOCKSTATE) {
        *(int *)argument = of(base)->level;
        return SQLITE_OK;
    }
    if (operation == SQLITE_FCNTL_HAS_MOVED) {
        *(int *)argument = has_moved(of(base));
        return SQLITE_OK;
    }
    return SQLITE_NOTFOUND;
}

static int vfs_sector(sqlite3_file *base)
{
    (void)base;
    return SECTOR;
}

static int vfs_characteristics(sqlite3_file *base)
{
    (void)base;
    /* What sqlite3 assumes of every disk: a write that power loss cuts short harms no byte beside it. */
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = vfs_close,
    .xRead = vfs_read,
    .xWrite = vfs_write,
    .xTruncate = vfs_truncate,
    .xSync = vfs_sync,
    .xFileSize = vfs_size,
    .xLock = kl_vfs_lock,
    .xUnlock = kl_vfs_unlock,
    .xCheckReservedLock = kl_vfs_check_reserved,
    .xFileControl = vfs_control,
    .xSectorSize = vfs_sector,
    .xDeviceCharacteristics = vfs_characteristics,
    .xShmMap = kl_vfs_shm_map,
    .xShmLock = kl_vfs_shm_lock,
    .xShmBarrier = kl_vfs_shm_barrier,
    .xShmUnmap = kl_vfs_shm_unmap,
};

/* --- files by name --- */

static enum kl_rc open_file(struct kl_vfs_file *file, int flags)
{
    unsigned wanted = (flags & SQLITE_OPEN_READWRITE) != 0 ? (unsigned)KL_FILE_WRITE : 0U;
    enum kl_rc rc;
    int fd = -1;

    if ((flags & SQLITE_OPEN_CREATE) != 0) wanted |= KL_FILE_CREATE;
    /* The first sync sees to its directory: who only reads, as most that begin do, waits for no disk. */
    if ((flags & SQLITE_OPEN_WAL) != 0) wanted |= KL_FILE_VOLATILE;
    rc = kl_file_open(file->path, wanted, &fd);
    if (rc == KL_STORE_READ_ONLY) {
        file->read_only = true;
        rc = kl_file_open(file->path, 0, &fd);
        /* No log and none can be made: nothing is in it. */
        if (rc == KL_NOT_FOUND && (flags & SQLITE_OPEN_WAL) != 0) return KL_OK;
    }
    if (rc == KL_OK && !kl_descriptor_take(&file->descriptor, fd)) rc = kl_fail(KL_STORE, "%s: %s", file->path, strerror(errno));
    return rc;
}

/* A log and its database know each other. */
static void join(struct kl_vfs_file *log)
{
    struct kl_vfs_file *database = of(sqlite3_database_file_object(log->path));

    if (database->base.pMethods != &methods || database->log != NULL) return;
    database->log = log;
    log->database = database;
}

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *base, int flags, int *out_flags)
{
    struct kl_vfs_file *file = of(base);
    int code;

    (void)vfs;
    memset(file, 0, sizeof *file);
    /* Everything temporary is kept in memory. */
    if (path == NULL || (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL)) == 0) return SQLITE_CANTOPEN;
    file->path = path;
    file->descriptor = KL_NO_DESCRIPTOR;
    file->read_only = (flags & SQLITE_OPEN_READONLY) != 0;
    file->is_named = (flags & SQLITE_OPEN_WAL) == 0;
    code = kl_vfs_refuse(open_file(file, flags));
    if (code != SQLITE_OK) return code;
    base->pMethods = &methods;
    if ((flags & SQLITE_OPEN_WAL) != 0) join(file);
    if (out_flags == NULL) return SQLITE_OK;
    *out_flags = flags;
    if (file->read_only) *out_flags = (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) | SQLITE_OPEN_READONLY;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
    (void)vfs;
    if (kl_disk->unlink(path) != 0) return errno == ENOENT ? SQLITE_IOERR_DELETE_NOENT : SQLITE_IOERR_DELETE;
    return sync != 0 && kl_file_sync_directory(path) != KL_OK ? SQLITE_IOERR_DIR_FSYNC : SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *result)
{
    struct stat status;

    (void)vfs;
    if (flags == SQLITE_ACCESS_EXISTS) {
        *result = lstat(path, &status) == 0 && (!S_ISREG(status.st_mode) || status.st_size > 0);
    } else {
        *result = access(path, W_OK | R_OK) == 0;
    }
    return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *path, int cap, char *out)
{
    int len = snprintf(out, (size_t)cap, "%s", path);

    (void)vfs;
    return path[0] == '/' && len < cap ? SQLITE_OK : SQLITE_CANTOPEN;
}

/* --- what the system's own does --- */

static int vfs_random(sqlite3_vfs *vfs, int len, char *out)
{
    (void)vfs;
    return system_vfs->xRandomness(system_vfs, len, out);
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds)
{
    (void)vfs;
    return system_vfs->xSleep(system_vfs, microseconds);
}

static int vfs_time(sqlite3_vfs *vfs, double *now)
{
    (void)vfs;
    return system_vfs->xCurrentTime(system_vfs, now);
}

static int vfs_error(sqlite3_vfs *vfs, int cap, char *out)
{
    (void)vfs;
    if (cap > 0) out[0] = '\0';
    return errno;
}

static sqlite3_vfs own = {
    .iVersion = 1,
    .szOsFile = sizeof(struct kl_vfs_file),
    .mxPathname = KL_SQLITE_PATH_MAX + 32,
    .zName = name,
    .xOpen = vfs_open,
    .xDelete = vfs_delete,
    .xAccess = vfs_access,
    .xFullPathname = vfs_full_path,
    .xRandomness = vfs_random,
    .xSleep = vfs_sleep,
    .xCurrentTime = vfs_time,
    .xGetLastError = vfs_error,
};

static void enrol(void)
{
    system_vfs = sqlite3_vfs_find("unix-none");
    if (system_vfs == NULL) return;
    /* Two copies of this code in a process share SQLite, and its list of names. */
    snprintf(name, sizeof name, "keyladder-%p", (void *)&own);
    if (sqlite3_vfs_register(&own, 0) != SQLITE_OK) system_vfs = NULL;
}

const char *kl_vfs_name(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, enrol);
    return system_vfs == NULL ? NULL : name;
}

void kl_vfs_set_hasty(sqlite3 *db, bool is_hasty)
{
    int code = sqlite3_file_control(db, "main", SET_HASTY, &is_hasty);

    (void)code; /* a database of ours is told, and there is no other */
}

bool kl_vfs_file_is_whole(const struct kl_vfs_file *database)
{
    const struct kl_vfs_file *log = database->log;

    if (!kl_descriptor_is_ours(&database->descriptor)) return false;
    if (log != NULL && log->descriptor.fd >= 0 && !kl_descriptor_is_ours(&log->descriptor)) return false;
    return !database->shm.open || kl_descriptor_is_ours(&database->shm.descriptor);
}

bool kl_vfs_is_whole(sqlite3 *db)
{
    sqlite3_file *base = NULL;

    return db != NULL && sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &base) == SQLITE_OK && base != NULL &&
           base->pMethods == &methods && kl_vfs_file_is_whole(of(base));
}

enum kl_rc kl_vfs_refusal(void)
{
    enum kl_rc rc = refused;

    refused = KL_OK;
    return rc;
}
