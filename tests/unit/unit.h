/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What unit tests share: main() in one line, and things done in a forked child. */
#ifndef KL_TESTS_UNIT_H
#define KL_TESTS_UNIT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CUnit/Basic.h>

/* By the address or the thread sanitizer. They make mlock do nothing, and want terabytes of address space. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { IS_WATCHED = 1 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { IS_WATCHED = 1 };
#else
enum { IS_WATCHED = 0 };
#endif
#else
enum { IS_WATCHED = 0 };
#endif

/* A row of the list of tests; the function's name is the sentence. */
#define UNIT(name)  \
    {               \
#name, name \
    }

/* As main() should end: 0 if every test passed. */
static inline int unit_run(const char *suite, const CU_TestInfo *tests, size_t count)
{
    CU_pSuite found;
    unsigned failures;

    if (CU_initialize_registry() != CUE_SUCCESS) return 1;
    found = CU_add_suite(suite, NULL, NULL);
    for (size_t i = 0; found != NULL && i < count; i++) {
        if (CU_add_test(found, tests[i].pName, tests[i].pTestFunc) == NULL) return 1;
    }
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return found == NULL || failures > 0;
}

#define UNIT_MAIN(suite, ...)                                          \
    int main(void)                                                     \
    {                                                                  \
        static const CU_TestInfo tests[] = { __VA_ARGS__ };            \
        return unit_run((suite), tests, sizeof tests / sizeof *tests); \
    }

/* What `body` returned in a forked child: 0 to 255; 256 + signal if one ended it. */
static inline int unit_in_child(int (*body)(void))
{
    /* Not by its name: gcov has a fork of its own, which forgets what handlers have counted in the child. */
    pid_t (*volatile plain_fork)(void) = fork;
    int status = 0;
    pid_t child;

    fflush(NULL);
    child = plain_fork();
    if (child == 0) _exit(body());
    if (child < 0 || waitpid(child, &status, 0) != child) return -1;
    return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* For bodies run in a child, where CUnit's own counting is lost: ends with the line as status. */
#define UNIT_NEED(condition)                                                        \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            return 1;                                                               \
        }                                                                           \
    } while (0)

#endif
