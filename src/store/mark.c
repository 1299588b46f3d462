/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "store/mark.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/disk.h"
#include "store/file.h"
#include "store/process.h"

enum { FILE_LEN = 16, WORD_AT = 8, MAKE_BYTE = 64, QUEUE_BYTE = 65 };

static const char magic[8] = { 'K', 'L', 'E', 'P', 'O', 'C', 'H', '1' };

static bool lock_byte(int fd, short type, off_t byte)
{
    struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

    return kl_disk->lock(fd, F_SETLK, &lock) == 0;
}

/*
 * A second copy of this code in one process, a module loaded twice from two
 * paths, does not see our claims, and the kernel does not set a process against
 * itself: two connections would undo each other's locks. Locks that belong to
 * the open file do conflict within a process, so each opening takes one, on a
 * byte that stands for the process. A forked child shares it with its parent,
 * so it is given up by name, not by closing.
 */
static bool claim_process(int fd, short type)
{
    uint64_t number = kl_process_number();
    struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)number, .l_len = 1 };

    if (number <= QUEUE_BYTE) return true;
    return kl_disk->lock(fd, F_OFD_SETLK, &lock) == 0 || (errno != EAGAIN && errno != EACCES);
}

/* The first to come writes the 16 bytes; whoever comes meanwhile looks again. */
static enum kl_rc fill(int fd, const char *path)
{
    uint8_t bytes[FILE_LEN] = { 0 };

    for (unsigned tries = 0; tries < 1000; tries++) {
        if (kl_disk->read(fd, bytes, sizeof bytes, 0) == FILE_LEN && memcmp(bytes, magic, sizeof magic) == 0) return KL_OK;
        if (lock_byte(fd, F_WRLCK, MAKE_BYTE)) {
            memset(bytes, 0, sizeof bytes);
            memcpy(bytes, magic, sizeof magic);
            if (kl_disk->write(fd, bytes, sizeof bytes, 0) != FILE_LEN) {
                return errno == ENOSPC || errno == EDQUOT ? kl_fail(KL_STORE_FULL, "no room left for %s", path)
                                                          : kl_fail(KL_STORE, "%s cannot be written: %s", path, strerror(errno));
            }
            lock_byte(fd, F_UNLCK, MAKE_BYTE);
        } else {
            usleep(1000);
        }
    }
    return kl_fail(KL_STORE, "%s is locked by another process", path);
}

/* The page of another descriptor of this very file, which was lost, is mapped still, and holds the claim with it. */
static bool is_renewed(const struct kl_mark *mark, const struct kl_descriptor *taken)
{
    return mark->mapped != NULL && mark->descriptor.device == taken->device && mark->descriptor.inode == taken->inode;
}

/* In the place of the old page, which other threads may be reading. */
static enum kl_rc renew(struct kl_mark *mark, int fd, uint8_t *page, const char *path)
{
    bool is_claimed;

    if (mremap(page, FILE_LEN, FILE_LEN, MREMAP_MAYMOVE | MREMAP_FIXED, (uint8_t *)(uintptr_t)mark->mapped - WORD_AT) == MAP_FAILED) {
        /* Whether the old page is there still is not known. */
        atomic_store(&mark->word, &mark->own);
        mark->mapped = NULL;
        munmap(page, FILE_LEN);
        return kl_fail(KL_STORE, "%s cannot be mapped: %s", path, strerror(errno));
    }
    atomic_store(&mark->word, mark->mapped);
    is_claimed = claim_process(fd, F_WRLCK);
    (void)is_claimed; /* it is ours all the same: only a forked child, which has the old page too, stands in the way */
    return KL_OK;
}

static enum kl_rc map(struct kl_mark *mark, const struct kl_descriptor *taken, const char *path)
{
    bool is_again = is_renewed(mark, taken);
    uint8_t *page;

    KL_TRY(fill(taken->fd, path));
    if (!is_again && !claim_process(taken->fd, F_WRLCK))
        return kl_fail(KL_STORE, "the store of %s is open already in this process, by another copy of keyladder", path);
    page = kl_disk->map(taken->fd, FILE_LEN, 0, true);
    if (page == MAP_FAILED) return kl_fail(KL_STORE, "%s cannot be mapped: %s", path, strerror(errno));
    if (is_again) return renew(mark, taken->fd, page, path);
    mark->mapped = (_Atomic uint64_t *)(void *)(page + WORD_AT);
    atomic_store(&mark->word, mark->mapped);
    return KL_OK;
}

static void set_descriptor(struct kl_mark *mark, struct kl_descriptor descriptor)
{
    pthread_mutex_lock(&mark->lock);
    mark->descriptor = descriptor;
    pthread_mutex_unlock(&mark->lock);
}

/* Takes `fd`, on failure too. */
static enum kl_rc take(struct kl_mark *mark, int fd, const char *path)
{
    struct kl_descriptor taken;
    enum kl_rc rc;

    if (!kl_descriptor_take(&taken, fd)) return kl_fail(KL_STORE, "%s: %s", path, strerror(errno));
    rc = map(mark, &taken, path);
    if (rc == KL_OK) {
        set_descriptor(mark, taken);
    } else {
        kl_descriptor_close(&taken);
    }
    return rc;
}

void kl_mark_init(struct kl_mark *mark)
{
    pthread_mutex_init(&mark->lock, NULL);
    mark->descriptor = KL_NO_DESCRIPTOR;
    mark->mapped = NULL;
    atomic_store(&mark->own, 0);
    atomic_store(&mark->word, &mark->own);
}

enum kl_rc kl_mark_open(struct kl_mark *mark, const char *path, bool create)
{
    int fd = -1;
    enum kl_rc rc = kl_file_open(path, KL_FILE_WRITE | KL_FILE_VOLATILE | (create ? (unsigned)KL_FILE_CREATE : 0U), &fd);

    if (rc == KL_STORE_READ_ONLY) return KL_OK;
    return rc == KL_OK ? take(mark, fd, path) : rc;
}

bool kl_mark_is_lost(const struct kl_mark *mark)
{
    return mark->descriptor.fd >= 0 && !kl_descriptor_is_ours(&mark->descriptor);
}

void kl_mark_forget(struct kl_mark *mark)
{
    pthread_mutex_lock(&mark->lock);
    kl_descriptor_close(&mark->descriptor);
    pthread_mutex_unlock(&mark->lock);
}

void kl_mark_close(struct kl_mark *mark)
{
    atomic_store(&mark->word, &mark->own);
    if (kl_descriptor_is_ours(&mark->descriptor)) claim_process(mark->descriptor.fd, F_UNLCK);
    if (mark->mapped != NULL) munmap((uint8_t *)(uintptr_t)mark->mapped - WORD_AT, FILE_LEN);
    mark->mapped = NULL;
    kl_mark_forget(mark);
}

void kl_mark_follow(struct kl_mark *mark, const char *path)
{
    struct stat status;
    int fd = -1;
    struct kl_descriptor old = mark->descriptor;

    if (old.fd < 0) return;
    if (stat(path, &status) == 0 && status.st_dev == old.device && status.st_ino == old.inode) return;
    if (kl_file_open(path, KL_FILE_WRITE | KL_FILE_CREATE | KL_FILE_VOLATILE, &fd) != KL_OK) return;
    /* The old page stays mapped: another thread may be reading it. */
    if (take(mark, fd, path) == KL_OK) kl_descriptor_close(&old);
}

uint64_t kl_mark_value(const struct kl_mark *mark)
{
    return atomic_load(atomic_load(&mark->word));
}

uint64_t kl_mark_raise(struct kl_mark *mark)
{
    _Atomic uint64_t *word = atomic_load(&mark->word);
    uint64_t before = atomic_load(word);

    while (!atomic_compare_exchange_weak(word, &before, before + 1 + (before & 1))) {}
    return before;
}

uint64_t kl_mark_settle(struct kl_mark *mark, uint64_t before)
{
    uint64_t odd = before + 1 + (before & 1);
    uint64_t expected = odd;

    /* Fails when the next writer has raised it already. */
    atomic_compare_exchange_strong(atomic_load(&mark->word), &expected, odd + 1);
    return odd + 1;
}

void kl_mark_mend(struct kl_mark *mark)
{
    _Atomic uint64_t *word = atomic_load(&mark->word);
    uint64_t value = atomic_load(word);

    if ((value & 1) != 0) atomic_compare_exchange_strong(word, &value, value + 1);
}

void kl_mark_set_own(struct kl_mark *mark, uint64_t value)
{
    if (mark->descriptor.fd >= 0) return;
    atomic_store(&mark->own, value);
    atomic_store(&mark->word, &mark->own);
}

bool kl_mark_queue(struct kl_mark *mark, bool enter)
{
    bool is_done;
    int fd;

    pthread_mutex_lock(&mark->lock);
    fd = kl_descriptor_fd(&mark->descriptor);
    /* Who has lost his place in the queue goes on to the lock itself, where a lost store is found out. */
    is_done = fd < 0 || lock_byte(fd, enter ? F_WRLCK : F_UNLCK, QUEUE_BYTE);
    pthread_mutex_unlock(&mark->lock);
    return is_done;
}
