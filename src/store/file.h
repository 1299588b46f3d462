/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Opening files that nobody but their owner may touch. */
#ifndef KL_STORE_FILE_H
#define KL_STORE_FILE_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/rc.h"

enum kl_file_flag {
    KL_FILE_WRITE = 1,     /* for reading and writing, else for reading */
    KL_FILE_CREATE = 2,    /* made with 0600 whatever the umask, if it is not there */
    KL_FILE_EXCLUSIVE = 4, /* with CREATE: must not be there (KL_CONFLICT) */
    KL_FILE_VOLATILE = 8,  /* with CREATE: need not survive a loss of power, or the caller syncs its directory */
};

/*
 * Opens a regular file with one link that belongs to us or to root and that
 * nobody else may touch; symbolic links are not followed. KL_NOT_FOUND,
 * KL_PERMISSION, KL_STORE_READ_ONLY (WRITE on a file or file system that cannot
 * be written), KL_STORE_FULL, KL_CONFLICT, KL_STORE.
 */
KL_MUST_USE enum kl_rc kl_file_open(const char *path, unsigned flags, int *fd);
/* The checks alone. */
KL_MUST_USE enum kl_rc kl_file_check(const struct stat *status, const char *path);
/* The directory of `path`: ours or root's, and others may write it only under the sticky bit. KL_PERMISSION, KL_NOT_FOUND. */
KL_MUST_USE enum kl_rc kl_file_check_directory(const char *path);
/* Makes the name of `path` durable. */
KL_MUST_USE enum kl_rc kl_file_sync_directory(const char *path);

#endif
