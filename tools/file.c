/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/random.h"
#include "interrupt.h"

/* --- input --- */

enum kl_rc kl_input_open(const char *path, struct kl_input *out)
{
    struct stat facts;

    *out = (struct kl_input){ .fd = STDIN_FILENO, .name = "standard input" };
    if (path != NULL && strcmp(path, "-") != 0) {
        out->name = path;
        out->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (out->fd < 0) return kl_fail(errno == ENOENT ? KL_NOT_FOUND : KL_IO, "%s cannot be read: %m", path);
    }
    if (fstat(out->fd, &facts) != 0) return kl_fail(KL_IO, "%s cannot be read: %m", out->name);
    if (S_ISDIR(facts.st_mode)) return kl_fail(KL_IO, "%s is a directory", out->name);
    out->waits = !S_ISREG(facts.st_mode);
    if (!out->waits) out->size = (uint64_t)facts.st_size;
    return KL_OK;
}

void kl_input_close(struct kl_input *input)
{
    if (input->fd > STDERR_FILENO) close(input->fd);
    input->fd = -1;
}

enum kl_rc kl_input_read(struct kl_input *input, uint8_t *out, size_t cap, size_t *len)
{
    *len = 0;
    while (*len < cap) {
        ssize_t got;

        KL_TRY(input->waits ? kl_interrupt_wait(input->fd) : kl_interrupt_check());
        got = read(input->fd, out + *len, cap - *len);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return kl_fail(KL_IO, "%s cannot be read: %m", input->name);
        if (got == 0) break;
        *len += (size_t)got;
    }
    input->done += *len;
    return KL_OK;
}

/* --- output --- */

static enum kl_rc cannot_write(const struct kl_output *output, const char *what)
{
    return kl_fail(KL_IO, "%s cannot be %s: %m", output->words, what);
}

/* The folder's descriptor and the name in it, symbolic links followed to the file that is meant. */
static enum kl_rc find_place(const char *path, struct kl_output *output)
{
    char place[PATH_MAX];
    char *slash;

    if (output->replaced.st_mode == 0) {
        if (snprintf(place, sizeof place, "%s", path) >= (int)sizeof place) return kl_fail(KL_IO, "%s is too long a name", path);
    } else if (realpath(path, place) == NULL) {
        return cannot_write(output, "written");
    }
    slash = strrchr(place, '/');
    if (snprintf(output->name, sizeof output->name, "%s", slash == NULL ? place : slash + 1) >= (int)sizeof output->name) {
        return kl_fail(KL_IO, "%s is too long a name", path);
    }
    if (output->name[0] == '\0') return kl_fail(KL_IO, "%s is no name for a file", path);
    if (slash == place) slash++;
    if (slash != NULL) *slash = '\0';
    output->folder = open(slash == NULL ? "." : place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return output->folder < 0 ? cannot_write(output, "written") : KL_OK;
}

static enum kl_rc name_temporary(struct kl_output *output)
{
    unsigned char random[8];

    KL_TRY(kl_random_fill(random, sizeof random));
    snprintf(output->temporary, sizeof output->temporary, ".%.200s.%02x%02x%02x%02x%02x%02x%02x%02x", output->name, random[0], random[1],
             random[2], random[3], random[4], random[5], random[6], random[7]);
    return KL_OK;
}

/* A file without a name leaves nothing behind even when the process is killed; some file systems have none, and it wants /proc to be named later. */
static enum kl_rc open_temporary(struct kl_output *output)
{
    output->fd = access("/proc/self/fd", X_OK) == 0 ? openat(output->folder, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600) : -1;
    if (output->fd < 0) {
        KL_TRY(name_temporary(output));
        output->fd = openat(output->folder, output->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    }
    if (output->fd < 0) {
        output->temporary[0] = '\0';
        return cannot_write(output, "written");
    }
    return fchmod(output->fd, 0600) == 0 ? KL_OK : cannot_write(output, "written");
}

enum kl_rc kl_output_open(const char *path, struct kl_output *out)
{
    *out = (struct kl_output){ .fd = STDOUT_FILENO, .folder = -1, .words = "standard output" };
    if (path == NULL || strcmp(path, "-") == 0) return KL_OK;
    out->fd = -1;
    out->words = path;
    if (stat(path, &out->replaced) != 0) {
        out->replaced.st_mode = 0;
        if (errno != ENOENT) return cannot_write(out, "written");
        if (lstat(path, &out->replaced) == 0) return kl_fail(KL_IO, "%s is a symbolic link that leads nowhere", path);
        out->replaced.st_mode = 0;
    } else if (S_ISDIR(out->replaced.st_mode)) {
        return kl_fail(KL_IO, "%s is a directory", path);
    } else if (!S_ISREG(out->replaced.st_mode)) {
        out->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        return out->fd < 0 ? cannot_write(out, "written") : KL_OK;
    }
    KL_TRY(find_place(path, out));
    return open_temporary(out);
}

enum kl_rc kl_output_write(struct kl_output *output, struct kl_view bytes)
{
    while (bytes.len > 0) {
        ssize_t put = write(output->fd, bytes.data, bytes.len);

        if (put < 0 && errno == EINTR) {
            KL_TRY(kl_interrupt_check());
            continue;
        }
        if (put < 0 && errno == EPIPE) return kl_fail(KL_IO, "whoever reads %s went away", output->words);
        if (put < 0) return cannot_write(output, "written");
        bytes = kl_view_of(bytes.data + put, bytes.len - (size_t)put);
        output->done += (uint64_t)put;
    }
    return KL_OK;
}

/* The nameless file gets a name: its own, or where that is taken one to rename from. */
static enum kl_rc give_name(struct kl_output *output)
{
    char link[40];

    snprintf(link, sizeof link, "/proc/self/fd/%d", output->fd);
    if (linkat(AT_FDCWD, link, output->folder, output->name, AT_SYMLINK_FOLLOW) == 0) return KL_OK;
    if (errno != EEXIST) return cannot_write(output, "put in its place");
    KL_TRY(name_temporary(output));
    if (linkat(AT_FDCWD, link, output->folder, output->temporary, AT_SYMLINK_FOLLOW) == 0) return KL_OK;
    output->temporary[0] = '\0';
    return cannot_write(output, "put in its place");
}

static enum kl_rc take_place(struct kl_output *output)
{
    if (output->replaced.st_mode != 0 && fchown(output->fd, output->replaced.st_uid, output->replaced.st_gid) == 0 &&
        fchmod(output->fd, output->replaced.st_mode & 0777) != 0) {
        return cannot_write(output, "given its mode");
    }
    if (fsync(output->fd) != 0) return cannot_write(output, "written");
    if (output->temporary[0] == '\0') KL_TRY(give_name(output));
    if (output->temporary[0] != '\0') {
        if (renameat(output->folder, output->temporary, output->folder, output->name) != 0) return cannot_write(output, "put in its place");
        output->temporary[0] = '\0';
    }
    return fsync(output->folder) == 0 ? KL_OK : cannot_write(output, "put in its place");
}

enum kl_rc kl_output_commit(struct kl_output *output)
{
    int fd = output->fd;

    KL_TRY(kl_interrupt_check());
    if (output->folder >= 0) KL_TRY(take_place(output));
    /* Standard output stays open: main looks whether all of it could be written. */
    if (fd != STDOUT_FILENO) {
        output->fd = -1;
        if (close(fd) != 0) return cannot_write(output, "written");
    }
    kl_output_discard(output);
    return KL_OK;
}

void kl_output_discard(struct kl_output *output)
{
    if (output->temporary[0] != '\0') unlinkat(output->folder, output->temporary, 0);
    output->temporary[0] = '\0';
    if (output->fd > STDERR_FILENO) close(output->fd);
    output->fd = -1;
    if (output->folder >= 0) close(output->folder);
    output->folder = -1;
}

bool kl_output_is_terminal(const struct kl_output *output)
{
    return isatty(output->fd) == 1;
}

/* --- secrets --- */

static enum kl_rc fill(struct kl_output *file, const struct kl_secret *secret)
{
    if (fchmod(file->fd, 0600) != 0) return cannot_write(file, "written");
    KL_TRY(kl_output_write(file, kl_secret_view(secret)));
    KL_TRY(kl_output_write(file, kl_view_text("\n")));
    return fsync(file->fd) == 0 && fsync(file->folder) == 0 ? KL_OK : cannot_write(file, "written");
}

enum kl_rc kl_file_write_secret(const char *path, const struct kl_secret *secret)
{
    struct kl_output file = { .fd = -1, .folder = -1, .words = path };
    enum kl_rc rc;

    KL_TRY(find_place(path, &file));
    file.fd = openat(file.folder, file.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file.fd < 0 && errno == EEXIST) {
        rc = kl_fail(KL_CONFLICT, "%s exists already; it may hold a secret that is in use", path);
    } else if (file.fd < 0) {
        rc = cannot_write(&file, "made");
    } else {
        rc = fill(&file, secret);
        if (rc != KL_OK) unlinkat(file.folder, file.name, 0);
    }
    kl_output_discard(&file);
    return rc;
}
