/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Where secrets come from. No words here may show what was read, or what was written where a source should stand: it may be the secret. */
#include "base/conf_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECRET_LEN_MAX = 4096, LINKS_MAX = 8, PATIENCE_MS = 10000 };

struct source {
    const char *scheme;   /* with its colon, if something follows it */
    const char *argument; /* for words */
    bool (*check)(const char *argument);
    enum kl_rc (*read)(const char *source, const char *argument, struct kl_secret *out);
};

/* --- reading a descriptor ------------------------------------------------ */

/* Waits for a pipe or terminal a while, not for ever: a database may be waiting for us. */
static ssize_t read_some(int fd, off_t at, uint8_t *to, size_t len)
{
    struct pollfd wait = { .fd = fd, .events = POLLIN };
    ssize_t got;

    do {
        got = pread(fd, to, len, at);
        if (got < 0 && errno == ESPIPE) {
            int ready = poll(&wait, 1, PATIENCE_MS);

            if (ready == 0) errno = ETIMEDOUT;
            if (ready > 0) got = read(fd, to, len);
        }
    } while (got < 0 && errno == EINTR);
    return got;
}

/* All there is, from the beginning where the descriptor can be read again. */
static enum kl_rc read_all(const char *source, int fd, struct kl_secret *out)
{
    KL_AUTO(kl_secret) secret = { 0 };
    size_t len = 0;
    ssize_t got;

    /* One byte for the newline and one to see that there is more. */
    KL_TRY(kl_secret_new(&secret, SECRET_LEN_MAX + 2));
    do {
        got = read_some(fd, (off_t)len, secret.data + len, secret.len - len);
        if (got < 0) return kl_fail(KL_CONFIG, "%s cannot be read: %m", source);
        len += (size_t)got;
    } while (got > 0 && len < secret.len);
    if (len > 0 && secret.data[len - 1] == '\n') len--;
    if (len == 0) return kl_fail(KL_CONFIG, "%s is empty", source);
    if (len > SECRET_LEN_MAX) return kl_fail(KL_CONFIG, "%s is longer than %d bytes", source, SECRET_LEN_MAX);
    kl_secret_cut(&secret, len);
    kl_secret_take(out, &secret);
    return KL_OK;
}

/* --- walking to a file --------------------------------------------------- */

/* A path on its way: the directory reached and what is still to go. */
struct walk {
    const char *source;
    int dir;
    unsigned links;
    char rest[PATH_MAX];
};

static bool is_trusted(uid_t owner)
{
    return owner == 0 || owner == geteuid();
}

static enum kl_rc walk_failed(const struct walk *walk)
{
    if (errno == ENOENT || errno == ENOTDIR) return kl_fail(KL_NOT_FOUND, "%s does not exist", walk->source);
    return kl_fail(errno == EACCES ? KL_PERMISSION : KL_CONFIG, "%s cannot be opened: %m", walk->source);
}

static enum kl_rc walk_to(struct walk *walk, int dir)
{
    if (dir < 0) return walk_failed(walk);
    if (walk->dir >= 0) close(walk->dir);
    walk->dir = dir;
    return KL_OK;
}

/* Takes the next component off `rest`; false at the end. */
static bool walk_next(struct walk *walk, char name[NAME_MAX + 1])
{
    size_t skip = strspn(walk->rest, "/");
    size_t len = strcspn(walk->rest + skip, "/");

    /* A longer name is cut, and not found. */
    snprintf(name, NAME_MAX + 1, "%.*s", (int)len, walk->rest + skip);
    memmove(walk->rest, walk->rest + skip + len, strlen(walk->rest + skip + len) + 1);
    return len > 0;
}

static enum kl_rc walk_link(struct walk *walk, const struct stat *dir, const char *name)
{
    char target[PATH_MAX], joined[PATH_MAX];
    ssize_t len = readlinkat(walk->dir, name, target, sizeof target - 1);
    int wanted;

    if (len < 0) return walk_failed(walk);
    if (!is_trusted(dir->st_uid) || (dir->st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return kl_fail(KL_PERMISSION, "%s leads through the symbolic link %s, in a directory that others than root and us may write to",
                       walk->source, name);
    }
    if (++walk->links > LINKS_MAX) return kl_fail(KL_CONFIG, "%s leads through more than %d symbolic links", walk->source, LINKS_MAX);
    target[len] = '\0';
    wanted = snprintf(joined, sizeof joined, "%s%s", target, walk->rest);
    if (wanted < 0 || (size_t)wanted >= sizeof joined)
        return kl_fail(KL_CONFIG, "%s leads through symbolic links that are too long", walk->source);
    memcpy(walk->rest, joined, (size_t)wanted + 1);
    return target[0] == '/' ? walk_to(walk, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)) : KL_OK;
}

/* -1 if something else has taken the place of what was looked at. */
static int open_same(const struct walk *walk, const char *name, const struct stat *what, int flags)
{
    struct stat opened;
    int fd = openat(walk->dir, name, flags | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0) return -1;
    if (fstat(fd, &opened) == 0 && opened.st_dev == what->st_dev && opened.st_ino == what->st_ino) return fd;
    close(fd);
    errno = EAGAIN;
    return -1;
}

/* Goes one component on: into a directory, to where a link points, or to the file, which is opened into *file. */
static enum kl_rc walk_step(struct walk *walk, const char *name, int *file)
{
    struct stat dir, what;

    if (fstat(walk->dir, &dir) != 0 || fstatat(walk->dir, name, &what, AT_SYMLINK_NOFOLLOW) != 0) return walk_failed(walk);
    if (S_ISLNK(what.st_mode)) return walk_link(walk, &dir, name);
    /* In a directory such as /tmp anybody may have put it there. */
    if ((dir.st_mode & S_IWOTH) != 0 && !is_trusted(what.st_uid)) {
        return kl_fail(KL_PERMISSION,
                       "%s leads through a directory that anybody may write to and %s in it, which is neither root's nor ours",
                       walk->source, name);
    }
    if (S_ISDIR(what.st_mode)) return walk_to(walk, open_same(walk, name, &what, O_PATH | O_DIRECTORY));
    if (walk->rest[0] != '\0') return kl_fail(KL_NOT_FOUND, "%s does not exist", walk->source);
    *file = open_same(walk, name, &what, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    return *file < 0 ? walk_failed(walk) : KL_OK;
}

static enum kl_rc walk_open(const char *source, const char *path, int *file)
{
    struct walk walk = { .source = source, .dir = -1 };
    char name[NAME_MAX + 1];
    enum kl_rc rc;

    *file = -1;
    if (strlen(path) >= sizeof walk.rest) return kl_fail(KL_CONFIG, "%s is too long a path", source);
    memcpy(walk.rest, path, strlen(path) + 1);
    rc = walk_to(&walk, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    while (rc == KL_OK && *file < 0 && walk_next(&walk, name)) rc = walk_step(&walk, name, file);
    if (rc == KL_OK && *file < 0) rc = kl_fail(KL_CONFIG, "%s is a directory", source);
    if (walk.dir >= 0) close(walk.dir);
    return rc;
}

static enum kl_rc check_file(const char *source, int fd)
{
    struct stat what;

    if (fstat(fd, &what) != 0) return kl_fail(KL_CONFIG, "%s cannot be looked at: %m", source);
    if (!S_ISREG(what.st_mode)) return kl_fail(KL_CONFIG, "%s is not a file", source);
    if ((what.st_mode & (S_IRWXO | S_IWGRP)) != 0) {
        return kl_fail(KL_PERMISSION, "%s has permissions %04o; only its owner and, for reading, its group may have any: chmod %04o",
                       source, (unsigned)what.st_mode & 07777, (unsigned)what.st_mode & 0640);
    }
    return KL_OK;
}

static enum kl_rc read_path(const char *source, const char *path, struct kl_secret *out)
{
    int fd;
    enum kl_rc rc;

    KL_TRY(walk_open(source, path, &fd));
    rc = check_file(source, fd);
    if (rc == KL_OK) rc = read_all(source, fd, out);
    close(fd);
    return rc;
}

/* --- sources ------------------------------------------------------------- */

static bool check_path(const char *path)
{
    return path[0] == '/';
}

static bool check_variable(const char *name)
{
    return name[0] != '\0' && strchr(name, '=') == NULL;
}

static enum kl_rc read_variable(const char *source, const char *name, struct kl_secret *out)
{
    const char *value = secure_getenv(name);

    if (value == NULL) return kl_fail(KL_NOT_FOUND, "%s is not set in the environment", source);
    if (value[0] == '\0') return kl_fail(KL_CONFIG, "%s is empty", source);
    if (strlen(value) > SECRET_LEN_MAX) return kl_fail(KL_CONFIG, "%s is longer than %d bytes", source, SECRET_LEN_MAX);
    return kl_secret_from(out, kl_view_text(value));
}

static bool check_credential(const char *name)
{
    return name[0] != '\0' && strlen(name) <= NAME_MAX && strchr(name, '/') == NULL && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static enum kl_rc read_credential(const char *source, const char *name, struct kl_secret *out)
{
    const char *dir = secure_getenv("CREDENTIALS_DIRECTORY");
    char path[PATH_MAX];
    int len;

    if (dir == NULL || dir[0] != '/')
        return kl_fail(KL_NOT_FOUND, "%s: this process was given no credentials (LoadCredential= of its service)", source);
    len = snprintf(path, sizeof path, "%s/%s", dir, name);
    if (len < 0 || (size_t)len >= sizeof path) return kl_fail(KL_CONFIG, "%s is too long a path", source);
    return read_path(source, path, out);
}

static bool check_descriptor(const char *number)
{
    size_t len = strspn(number, "0123456789");

    return len > 0 && len <= 6 && number[len] == '\0';
}

static enum kl_rc read_descriptor(const char *source, const char *number, struct kl_secret *out)
{
    int fd = atoi(number);

    if (fcntl(fd, F_GETFD) < 0) return kl_fail(KL_NOT_FOUND, "%s is not open", source);
    return read_all(source, fd, out);
}

static bool check_nothing(const char *argument)
{
    return argument[0] == '\0';
}

static enum kl_rc read_prompt(const char *source, const char *argument, struct kl_secret *out)
{
    (void)argument;
    (void)out;
    return kl_fail(KL_NOT_SUPPORTED, "%s: nobody can be asked here", source);
}

static const struct source sources[] = {
    { "file:", "/PATH", check_path, read_path },
    { "env:", "NAME", check_variable, read_variable },
    { "cred:", "NAME", check_credential, read_credential },
    { "fd:", "N", check_descriptor, read_descriptor },
    { "prompt", "", check_nothing, read_prompt },
};

/* NULL, with words, if the text names no source as one must be written. */
static const struct source *source_find(const char *text)
{
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        size_t len = strlen(sources[i].scheme);

        if (strncmp(text, sources[i].scheme, len) != 0) continue;
        if (sources[i].check(text + len)) return &sources[i];
        kl_fail(KL_CONFIG, "write %s%s", sources[i].scheme, sources[i].argument);
        return NULL;
    }
    kl_fail(KL_CONFIG, "write where the secret is, never the secret itself: file:/PATH, env:NAME, cred:NAME, fd:N or prompt");
    return NULL;
}

enum kl_rc kl_conf_source_check(const char *source)
{
    return source_find(source) != NULL ? KL_OK : KL_CONFIG;
}

enum kl_rc kl_conf_secret(const char *source, struct kl_secret *out)
{
    const struct source *found;
    char shown[300];

    KL_CHECK(source != NULL && out->data == NULL, KL_ARG);
    found = source_find(source);
    if (found == NULL) return KL_CONFIG;
    /* Words have room for more than a path. */
    snprintf(shown, sizeof shown, "%s", source);
    return found->read(shown, source + strlen(found->scheme), out);
}
