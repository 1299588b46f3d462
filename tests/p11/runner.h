/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Tests whose names are sentences; each runs in a process and a token of its own. */
#ifndef RUNNER_H
#define RUNNER_H

#include "p11.h"

enum {
    ANY = 0,      /* any vendor's module */
    OURS = 1,     /* promised by DESIGN, not by the standard */
    BLANK = 2,    /* starts with uninitialised tokens */
    SLOW = 4,     /* may take minutes under a sanitizer */
    ONCE = 8,     /* the ways make no difference: only the first is run */
    UNLOADED = 16 /* begins before the module is loaded: p11_load() is the test's to call */
};

struct test {
    const char *name;
    void (*run)(void);
    unsigned needs;
};
#define T(name, needs)       \
    {                        \
#name, name, (needs) \
    }
#define TEST(name) static void name(void)

/* Every test is run in each way there is; the name, which a program of one way has no need of, follows the test's. */
struct way {
    const char *name;
    const char *settings; /* of the token, in its configuration */
    bool strict, token;   /* policy `strict`; keys are token objects and meet a restart of the library */
};
/* Of the test that runs. */
extern const struct way *way;

/* Ends with NULL; the ways end with one that has no name, behind the first. Returns the exit status. */
int run_all(const struct test *const *files, const struct way *ways, int argc, char **argv);

/* Ends the test, which the machine lacks something for. What it may lack is listed in tests/unavailable. */
void skip(const char *reason) __attribute__((noreturn));
/* Runs another process and ends the test when it hurts: the other process loads and initialises the module afresh. */
int in_other_process(void (*run)(void *), void *arg);

#endif
