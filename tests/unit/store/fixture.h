/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A store in a directory of its own, rows to put into it, and ways to meddle with its file. */
#ifndef KL_TESTS_STORE_FIXTURE_H
#define KL_TESTS_STORE_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/secret.h"
#include "store/disk.h"
#include "store/store.h"

#define FIXTURE_SERIAL "0123456789abcdef"
#define FIXTURE_TIMEOUT INT64_C(20000000000)

struct fixture {
    char directory[64];
    char path[80];
    char uri[96];
    struct kl_secret key;
    struct kl_store *store;
};

/* A new directory and, unless `closed`, an empty store in it, unlocked. Ends the program when it cannot. */
void fixture_begin(struct fixture *fixture);
void fixture_begin_closed(struct fixture *fixture);
void fixture_end(struct fixture *fixture);
enum kl_rc fixture_open(struct fixture *fixture); /* and unlock */
void fixture_close(struct fixture *fixture);
/* In a forked child: abandons the parent's store and arena, and makes the key again. */
void fixture_abandon(struct fixture *fixture);
/* Path of the store with something behind it; good for four calls. */
const char *fixture_path(const struct fixture *fixture, const char *suffix);

/* The number-th row: id, label "label-N", CKA_ID "id-N" follow from the number. */
struct kl_row fixture_row(unsigned number);
/* The same with a label and a CKA_ID. */
struct kl_row fixture_row_named(unsigned number, const char *label, const char *key_id);
enum kl_rc fixture_add(struct kl_store *store, const struct kl_row *row);
enum kl_rc fixture_add_many(struct kl_store *store, unsigned first, unsigned count);
enum kl_rc fixture_change(struct kl_store *store, const struct kl_row *row);
enum kl_rc fixture_remove(struct kl_store *store, const struct kl_row *row);
enum kl_rc fixture_record(struct kl_store *store, const char *name, const char *value);

/* How many rows there are; what the reading gave last. */
enum kl_rc fixture_count(struct kl_store *store, enum kl_query_by by, const void *value, size_t len, size_t *count);
enum kl_rc fixture_find(struct kl_store *store, const char *label, size_t *count);
/* Is the row there with this generation, by its id and label? */
bool fixture_has(struct kl_store *store, const struct kl_row *row);
/* Rows and damage that kl_store_check sees; -1: the check itself failed. */
int64_t fixture_check(struct kl_store *store, uint64_t *rows);

/* Runs SQL on the file in a child process with SQLite's own files, as somebody from outside would. False: SQL refused. */
bool fixture_meddle(const struct fixture *fixture, const char *sql);
/* A copy of the database file (with what its log holds) at `path`, made from outside. */
bool fixture_copy_out(const struct fixture *fixture, const char *to);
void fixture_write_file(const char *path, const void *data, size_t len);

/* The disk: counts every call that changes something, and lets the n-th one fail or end the process. */
struct fixture_fault {
    unsigned count;   /* calls so far */
    unsigned fail_at; /* this call fails with `error`; 0: none */
    int error;
    bool goes_on;       /* and all calls after it */
    unsigned die_at;    /* the process ends before this call */
    bool torn;          /* and what it would have written is written by half */
    bool reads_too;     /* reading counts as well */
    const char *suffix; /* only files whose path ends so; NULL: all */
};
extern struct fixture_fault fixture_fault;
void fixture_fault_on(void);
void fixture_fault_off(void);

#endif
