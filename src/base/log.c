/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptor.h"

enum { LINE_CAP = 1000, QUIET = -1 };

struct target;
struct target_ops {
    const char *name;                              /* "file:" takes a path */
    int (*open)(const struct target *target);      /* a descriptor or -1 */
    bool (*is_stale)(const struct target *target); /* its name leads elsewhere now */
    size_t (*begin)(enum kl_log_level level, char *line, size_t cap);
    bool (*write)(int fd, const char *line, size_t len);
};

struct target {
    const struct target_ops *ops;
    char path[PATH_MAX];
    struct kl_descriptor to;
};

static const struct {
    const char *name;
    int priority;
} levels[] = {
    [KL_LOG_ERROR] = { "error", LOG_ERR }, [KL_LOG_WARNING] = { "warning", LOG_WARNING }, [KL_LOG_NOTICE] = { "notice", LOG_NOTICE },
    [KL_LOG_INFO] = { "info", LOG_INFO },  [KL_LOG_DEBUG] = { "debug", LOG_DEBUG },
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct target target = { .to = { .fd = -1 } };
/* The least level kept, so that what is not kept costs one load. */
static _Atomic int least_level = QUIET;

/* --- syslog ------------------------------------------------------------- */

static int syslog_open(const struct target *unused)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    (void)unused;
    if (fd < 0) return -1;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    close(fd);
    return -1;
}

/* RFC 3164 4.3.2: the daemon stamps what comes without a time; local time would take the C library's time zone lock. */
static size_t syslog_begin(enum kl_log_level level, char *line, size_t cap)
{
    int len = snprintf(line, cap, "<%d>keyladder[%d]: ", LOG_AUTHPRIV | levels[level].priority, (int)getpid());

    return len < 0 ? 0 : (size_t)len;
}

static bool syslog_write(int fd, const char *line, size_t len)
{
    /* Without the newline: a datagram is a line. A daemon that does not keep up loses some; one that was started anew wants a new connection. */
    return send(fd, line, len - 1, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 || errno == EAGAIN || errno == EWOULDBLOCK;
}

/* --- file --------------------------------------------------------------- */

static int file_open(const struct target *file)
{
    struct stat what;
    int fd = open(file->path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);

    if (fd < 0) return -1;
    /* A host's umask may have taken away what 0600 gives; the next process could not open the file. */
    if (fstat(fd, &what) == 0 && S_ISREG(what.st_mode) && ((what.st_mode & S_IWUSR) != 0 || fchmod(fd, 0600) == 0)) return fd;
    close(fd);
    return -1;
}

/* Moved away, as logrotate does. */
static bool file_is_stale(const struct target *file)
{
    struct stat what;

    return lstat(file->path, &what) != 0 || what.st_dev != file->to.device || what.st_ino != file->to.inode;
}

static size_t file_begin(enum kl_log_level level, char *line, size_t cap)
{
    char time[21];
    int len;

    kl_clock_text(kl_clock->wall(), time);
    len = snprintf(line, cap, "%s %s %d: ", time, levels[level].name, (int)getpid());
    return len < 0 ? 0 : (size_t)len;
}

static bool file_write(int fd, const char *line, size_t len)
{
    /* One call, never a second for the rest: O_APPEND keeps lines of several processes apart. */
    return write(fd, line, len) >= 0;
}

/* ------------------------------------------------------------------------ */

static const struct target_ops targets[] = {
    { .name = "none" },
    { .name = "syslog", .open = syslog_open, .begin = syslog_begin, .write = syslog_write },
    { .name = "file:", .open = file_open, .is_stale = file_is_stale, .begin = file_begin, .write = file_write },
};

static void target_open(struct target *t)
{
    struct kl_descriptor fresh;

    if (t->ops->open == NULL || !kl_descriptor_take(&fresh, kl_descriptor_lift(t->ops->open(t)))) return;
    kl_descriptor_close(&t->to);
    t->to = fresh;
}

/* Whether there is a descriptor that may be written to. */
static bool target_is_ready(struct target *t)
{
    if (!kl_descriptor_is_ours(&t->to)) t->to.fd = -1;
    /* A file moved away is written to as long as no new one can be made. */
    if (t->to.fd < 0 || (t->ops->is_stale != NULL && t->ops->is_stale(t))) target_open(t);
    return t->to.fd >= 0;
}

static void target_write(struct target *t, const char *line, size_t len)
{
    if (!target_is_ready(t) || t->ops->write(t->to.fd, line, len)) return;
    kl_descriptor_close(&t->to);
    /* Once more on a new descriptor; what fails then is dropped, and the next line tries again. */
    if (target_is_ready(t) && !t->ops->write(t->to.fd, line, len)) kl_descriptor_close(&t->to);
}

/* The row for a target as one would write it, and its path if it has one. */
static const struct target_ops *ops_find(const char *text, const char **path)
{
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        size_t len = strlen(targets[i].name);
        bool has_path = targets[i].name[len - 1] == ':';

        if (strncmp(text, targets[i].name, len) != 0) continue;
        *path = has_path ? text + len : "";
        if (has_path ? text[len] == '/' && strlen(*path) < PATH_MAX : text[len] == '\0') return &targets[i];
    }
    return NULL;
}

enum kl_rc kl_log_open(const char *where, enum kl_log_level least)
{
    const char *path = "";
    const struct target_ops *ops = where == NULL ? NULL : ops_find(where, &path);
    int saved = errno;

    if (ops == NULL)
        return kl_fail(KL_CONFIG, "the log goes to syslog, none or file:/absolute/path, not to \"%s\"", where == NULL ? "" : where);
    KL_CHECK((unsigned)least <= KL_LOG_DEBUG, KL_ARG);
    pthread_mutex_lock(&lock);
    if (target.ops != NULL) kl_descriptor_close(&target.to);
    target.ops = ops;
    snprintf(target.path, sizeof target.path, "%s", path);
    /* Now, while the host has not yet given up root or changed its root directory; a failure shows at `doctor`, and every line tries again. */
    target_open(&target);
    atomic_store(&least_level, ops->write == NULL ? QUIET : (int)least);
    pthread_mutex_unlock(&lock);
    errno = saved;
    return KL_OK;
}

void kl_log_abandon(void)
{
    /* Its holder, if it had one, did not come along. */
    lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    target.to.fd = -1;
}

pthread_mutex_t *kl_log_lock(void)
{
    return &lock;
}

void kl_log_close(void)
{
    int saved = errno;

    pthread_mutex_lock(&lock);
    atomic_store(&least_level, QUIET);
    if (target.ops != NULL) kl_descriptor_close(&target.to);
    target.ops = NULL;
    pthread_mutex_unlock(&lock);
    errno = saved;
}

void kl_log(enum kl_log_level level, const char *format, ...)
{
    int saved = errno;
    va_list values;
    char line[LINE_CAP + 1];
    size_t len = 0;

    if ((unsigned)level > KL_LOG_DEBUG || (int)level > atomic_load_explicit(&least_level, memory_order_relaxed)) return;
    kl_thread_hold();
    pthread_mutex_lock(&lock);
    if (target.ops != NULL && target.ops->begin != NULL) {
        len = target.ops->begin(level, line, LINE_CAP);
        va_start(values, format);
        errno = saved;
        kl_log_format(line + len, LINE_CAP - len, format, values);
        va_end(values);
        len += strlen(line + len);
        line[len++] = '\n';
        target_write(&target, line, len);
    }
    pthread_mutex_unlock(&lock);
    errno = saved;
}

/* --- escaping ----------------------------------------------------------- */

/* What a terminal or a reader may be fooled by: C0, DEL, C1, line and paragraph separator, and what turns the direction of writing. */
static bool is_harmless(const uint8_t *character, size_t len)
{
    if (len == 1) return character[0] >= 0x20 && character[0] != 0x7F;
    if (len == 2) return !(character[0] == 0xC2 && character[1] < 0xA0);
    if (len == 3 && character[0] == 0xE2 && character[1] == 0x80)
        return character[2] < 0x8E || (character[2] > 0x8F && character[2] < 0xA8) || character[2] > 0xAE;
    if (len == 3 && character[0] == 0xE2 && character[1] == 0x81) return character[2] < 0xA6 || character[2] > 0xA9;
    return true;
}

const char *kl_log_escape(struct kl_view bytes, char *out, size_t cap)
{
    static const char hex[] = "0123456789abcdef";
    size_t used = 0;

    for (size_t at = 0, step; at < bytes.len; at += step) {
        const uint8_t *from = bytes.data + at;
        size_t len = kl_utf8_step(kl_view_of(from, bytes.len - at));
        bool plain = len > 0 && is_harmless(from, len);

        step = len == 0 ? 1 : len;
        if ((plain ? step : 4 * step) >= cap - used) break;
        for (size_t i = 0; i < step; i++) {
            if (plain) {
                out[used++] = (char)from[i];
                continue;
            }
            memcpy(out + used, "\\x", 2);
            out[used + 2] = hex[from[i] >> 4];
            out[used + 3] = hex[from[i] & 15];
            used += 4;
        }
    }
    out[used] = '\0';
    return out;
}

void kl_log_format(char *out, size_t cap, const char *format, va_list values)
{
    int saved = errno;
    char text[LINE_CAP];
    int wanted = vsnprintf(text, sizeof text, format, values); /* NOLINT(clang-analyzer-valist.Uninitialized): every caller starts it */
    size_t len = wanted < 0 ? 0 : (size_t)wanted < sizeof text ? (size_t)wanted : sizeof text - 1;

    /* A character that the cut went through is left out: its bytes would come out escaped. */
    for (size_t back = 1; (size_t)wanted >= sizeof text && wanted > 0 && back <= 3; back++) {
        if ((text[len - back] & 0xC0) != 0xC0) continue;
        if (kl_utf8_step(kl_view_of(text + len - back, back)) == 0) len -= back;
        break;
    }
    kl_log_escape(kl_view_of(text, len), out, cap);
    errno = saved;
}
