/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Tests whose names are sentences; each runs in a process and a token of its own. */
#ifndef SUITE_H
#define SUITE_H

#include "p11.h"

enum {
    ANY = 0,   /* any vendor's module */
    OURS = 1,  /* promised by DESIGN, not by the standard */
    BLANK = 2, /* starts with uninitialised tokens */
    SLOW = 4   /* may take minutes under a sanitizer */
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

extern const struct test general_tests[], login_tests[], object_tests[], policy_tests[], gcm_tests[], message_tests[], cipher_tests[],
    mac_tests[], wrap_tests[], ladder_tests[], fork_tests[], vendor_tests[], inherit_tests[];

/* ---- the table of functions.def ---- */
enum answer { HERE, NEVER, PARALLEL };
struct function {
    const char *name;
    int version;
    const char *args;
    enum answer answer;
};
extern const struct function functions[];
extern const size_t function_count;

/* Runs another process and ends the test when it hurts: the other process loads and initialises the module afresh. */
int in_other_process(void (*run)(void *), void *arg);

#endif
