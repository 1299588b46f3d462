/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The files of the conformance suite. */
#ifndef SUITE_H
#define SUITE_H

#include "runner.h"

extern const struct test general_tests[], login_tests[], object_tests[], policy_tests[], gcm_tests[], message_tests[], cipher_tests[],
    mac_tests[], wrap_tests[], ladder_tests[], fork_tests[], vendor_tests[], inherit_tests[], budget_tests[];

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

#endif
