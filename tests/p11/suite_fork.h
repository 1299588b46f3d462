/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the tests of both rules share: a token, a key, a session before the fork, and a parent that is busy. */
#ifndef SUITE_FORK_H
#define SUITE_FORK_H

#include "suite.h"

#include <stdatomic.h>
#include <sys/types.h>

typedef pid_t (*forker)(void);

struct before {
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;
    CK_BYTE sealed[64];
    size_t len;
};

/* The user logged in, a token key labelled "forked", and "hello" sealed under it. */
struct before prepare(void);
void works(const struct before *before);
/* Waits; a child that hangs is killed and told. */
void child_went_well(pid_t pid);
/* In a child: nothing of the parent's is there, until C_Initialize. */
void begin_anew(const struct before *before);
void fork_once(forker how, bool in_operation);

/* A thread each that uses the module until it is enough. */
enum { BUSY = 4 };
extern atomic_bool enough;
extern unsigned long rounds[BUSY];
void *busy(void *number);

#endif
