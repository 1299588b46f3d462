/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Our own way for SQLite to its files. The one that SQLite brings keeps, for the
 * whole process, which locks it holds; a forked child inherits that belief but
 * not the locks, and would write where it must not. Here all such state belongs
 * to the one connection that a process has with a store, so a child that leaves
 * its parent's connection alone begins with nothing.
 *
 * On disk and between processes it is SQLite's own protocol to the byte: the
 * sqlite3 program and we exclude each other. Files are opened by kl_file_open,
 * so SQLite never touches one that others could have put there.
 */
#ifndef KL_STORE_VFS_H
#define KL_STORE_VFS_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/descriptor.h"
#include "base/rc.h"

/* Registers it if need be; its name, for sqlite3_open_v2. NULL when SQLite was built without its own unix files. */
const char *kl_vfs_name(void);
/* Why the last file was not opened in this thread, KL_OK if it was; kl_fail_words() has the words. Asking forgets. */
KL_MUST_USE enum kl_rc kl_vfs_refusal(void);
/* Whether the commits to come are only written and not waited for (vfs.c, vfs_sync). Cannot fail. */
void kl_vfs_set_hasty(sqlite3 *db, bool is_hasty);
/* False once the program that we are part of has closed a descriptor of ours: the connection, which has lost its locks, is only good to be closed. */
bool kl_vfs_is_whole(sqlite3 *db);

/* The index of the write-ahead log, shared by all processes. */
struct kl_vfs_shm {
    bool open;
    bool read_only;
    bool attached; /* our lock says that we use it */
    struct kl_descriptor descriptor;
    unsigned shared; /* locks that we hold, a bit each */
    unsigned exclusive;
    char **regions;
    int count;
};

/*
 * What is about to be written to the log, in one piece: SQLite writes each page
 * with its header by itself, a dozen pages a commit. Nobody reads a log beyond
 * what the index says is in it; so it is written before it is synced, before
 * the index says so (a barrier), and before others may write (the lock).
 */
struct kl_vfs_gather {
    uint8_t *data;
    size_t len;
    sqlite3_int64 at;
    int failed; /* a code for the next sync: it could not be written when it had to be */
};

struct kl_vfs_file {
    sqlite3_file base;
    const char *path; /* SQLite's, as long as the file is open */
    /* None: a log that is not there and cannot be made; it reads as empty. */
    struct kl_descriptor descriptor;
    int level; /* SQLITE_LOCK_… */
    bool read_only;
    bool is_hasty;                /* of a log: kl_vfs_set_hasty */
    bool is_named;                /* in its directory, for good; a log is not until it is first synced */
    struct kl_vfs_shm shm;        /* of a database */
    struct kl_vfs_file *log;      /* of a database: its log, if it is open */
    struct kl_vfs_file *database; /* of a log */
    struct kl_vfs_gather gather;  /* of a log */
};

/* Of vfs_lock.c and vfs_shm.c, for the table of methods in vfs.c. */
int kl_vfs_lock(sqlite3_file *base, int level);
int kl_vfs_unlock(sqlite3_file *base, int level);
int kl_vfs_check_reserved(sqlite3_file *base, int *held);
int kl_vfs_shm_map(sqlite3_file *base, int region, int size, int extend, void volatile **out);
int kl_vfs_shm_lock(sqlite3_file *base, int first, int count, int flags);
void kl_vfs_shm_barrier(sqlite3_file *base);
int kl_vfs_shm_unmap(sqlite3_file *base, int remove);

/* Writes what was gathered for the log of this database. */
void kl_vfs_write_log(struct kl_vfs_file *database);

/* One lock on a range of bytes, tried once. type: F_RDLCK, F_WRLCK, F_UNLCK; to unlock what the program has closed needs nothing. */
bool kl_vfs_lock_bytes(const struct kl_descriptor *descriptor, short type, off_t first, off_t count);
/* Of a database: its descriptors, its log's and its index's are ours still. */
bool kl_vfs_file_is_whole(const struct kl_vfs_file *database);
/* SQLITE_BUSY if somebody else holds it, else an error. */
int kl_vfs_lock_result(int error);
/* SQLite's code for a result of kl_file_open, which is kept for kl_vfs_refusal. */
int kl_vfs_refuse(enum kl_rc rc);

#endif
