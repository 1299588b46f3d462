/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the clients' programs have in common: a check says what must be, and the last line how many there were. */
#ifndef KL_CLIENT_CHECKS_H
#define KL_CLIENT_CHECKS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static int checked, failed;

static inline bool check(const char *what, bool good)
{
    checked++;
    if (!good) failed++;
    printf("%s - %s\n", good ? "ok" : "FAIL", what);
    return good;
}

/* Without this nothing that follows makes sense. */
static inline void need(const char *what, bool good)
{
    if (check(what, good)) return;
    printf("%d checks, %d failed\n", checked, failed);
    exit(1);
}

static inline const char *given(const char *name)
{
    const char *value = getenv(name);

    if (!value) fprintf(stderr, "%s is not set\n", name);
    if (!value) exit(2);
    return value;
}

static inline int checks_end(void)
{
    printf("%d checks, %d failed\n", checked, failed);
    return checked == 0 || failed != 0;
}

#endif
