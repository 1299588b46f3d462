/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Input and output of whole commands: an output file appears whole or not at all. */
#ifndef KL_TOOLS_FILE_H
#define KL_TOOLS_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/rc.h"
#include "base/secret.h"

struct kl_input {
    int fd;
    const char *name; /* for messages */
    uint64_t size;    /* 0 where nobody knows */
    bool waits;       /* what it reads may be long in coming */
    uint64_t done;    /* bytes read */
};

/* path NULL or "-": standard input. */
KL_MUST_USE enum kl_rc kl_input_open(const char *path, struct kl_input *out);
void kl_input_close(struct kl_input *input);
/* Reads until cap bytes or the end: *len < cap is the end. KL_IO, KL_INTERRUPTED. */
KL_MUST_USE enum kl_rc kl_input_read(struct kl_input *input, uint8_t *out, size_t cap, size_t *len);

/*
 * An output file is written without a name, or under one of its own beside its place, and takes its place in
 * kl_output_commit, synced. What is replaced gives its mode and owner; a new file is 0600, whatever the umask.
 * Standard output, devices and pipes are written as they come.
 */
struct kl_output {
    int fd;
    int folder;           /* -1 where nothing is to be renamed */
    char name[256];       /* the file's own name in `folder` */
    char temporary[300];  /* "" while the file has no name */
    const char *words;    /* for messages */
    struct stat replaced; /* st_mode is 0 when there is none */
    uint64_t done;        /* bytes written */
};

/* path NULL or "-": standard output. */
KL_MUST_USE enum kl_rc kl_output_open(const char *path, struct kl_output *out);
KL_MUST_USE enum kl_rc kl_output_write(struct kl_output *output, struct kl_view bytes);
/* Makes it durable and gives it its name. After a failure kl_output_discard is still due. */
KL_MUST_USE enum kl_rc kl_output_commit(struct kl_output *output);
/* Leaves nothing; does nothing after a commit that succeeded. */
void kl_output_discard(struct kl_output *output);
bool kl_output_is_terminal(const struct kl_output *output);

/* A secret and a newline into a new file of mode 0600, synced. KL_CONFLICT where there is a file of that name: it may hold a PIN that is in use. */
KL_MUST_USE enum kl_rc kl_file_write_secret(const char *path, const struct kl_secret *secret);

#endif
