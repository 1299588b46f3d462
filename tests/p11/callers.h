/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The calls of databases and services that cannot be had here, in the order and the form in which they make them. */
#ifndef CALLERS_H
#define CALLERS_H

#include "runner.h"

#include <sys/types.h>

extern const struct test pg_vault_tde_tests[], openbao_tests[], database_tests[];

/* A refusal: ours says which; another vendor's module may have a code of its own. */
#define REFUSED(call, ...) \
    refused_at(__FILE__, __LINE__, #call, (call), (const CK_RV[]){ __VA_ARGS__ }, COUNT(((const CK_RV[]){ __VA_ARGS__ })))
void refused_at(const char *file, int line, const char *what, CK_RV got, const CK_RV *want, size_t count);

/* C_Initialize with the flags 0x2 alone, as often as is asked for; a read-write session; the PIN of the environment's PIN. */
CK_RV caller_connect(CK_SESSION_HANDLE *session);
/* The same, and ends the process if it fails. */
CK_SESSION_HANDLE caller_session(void);

/* How many are found, of which `found` has the first two. */
CK_ULONG find_two(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE found[2]);

/* Memory that processes forked later share. */
void *shared_new(size_t len);
/* Runs `run` in up to 16 processes at once, each with its number; ends when all have, and tells of those that failed. */
void processes_run(unsigned count, void (*run)(unsigned number));

#endif
