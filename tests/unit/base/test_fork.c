/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "base/fork.h"

#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>

#include "../failing.h"
#include "../unit.h"

static int is_unmarked_here(void)
{
    UNIT_NEED(!kl_fork_is_marked());
    UNIT_NEED(kl_fork_has_past());
    return 0;
}

static int can_be_marked_here(void)
{
    UNIT_NEED(!kl_fork_is_marked());
    UNIT_NEED(kl_fork_mark() == KL_OK);
    UNIT_NEED(kl_fork_is_marked());
    UNIT_NEED(unit_in_child(is_unmarked_here) == 0);
    UNIT_NEED(kl_fork_is_marked());
    return 0;
}

static void a_process_is_unmarked_at_first(void)
{
    CU_ASSERT_FALSE(kl_fork_is_marked());
    CU_ASSERT_FALSE(kl_fork_has_past());
}

static void a_mark_that_cannot_be_made_is_refused_and_leaves_nothing(void)
{
    /* mmap, the advice that must be refused, the advice that counts */
    static const unsigned fails[] = { 1, 3 };

    for (size_t i = 0; i < sizeof fails / sizeof *fails; i++) {
        failing_system(fails[i]);
        CU_ASSERT_EQUAL(kl_fork_mark(), KL_MEMORY);
        CU_ASSERT_TRUE(failing_has_failed());
        CU_ASSERT_TRUE(strlen(kl_fail_words()) > 10);
        CU_ASSERT_FALSE(kl_fork_is_marked());
        CU_ASSERT_FALSE(kl_fork_has_past());
    }
    failing_system(0);
}

static void a_marked_process_is_marked_and_may_be_again(void)
{
    CU_ASSERT_EQUAL(kl_fork_mark(), KL_OK);
    CU_ASSERT_TRUE(kl_fork_is_marked());
    CU_ASSERT_EQUAL(kl_fork_mark(), KL_OK);
    CU_ASSERT_TRUE(kl_fork_is_marked());
    CU_ASSERT_TRUE(kl_fork_has_past());
}

static void a_child_is_not_marked_but_has_a_past(void)
{
    CU_ASSERT_EQUAL(unit_in_child(is_unmarked_here), 0);
    CU_ASSERT_TRUE(kl_fork_is_marked());
}

static void a_child_may_be_marked_without_its_parent_or_children_noticing(void)
{
    CU_ASSERT_EQUAL(unit_in_child(can_be_marked_here), 0);
    CU_ASSERT_TRUE(kl_fork_is_marked());
}

static void a_child_made_behind_the_c_librarys_back_is_not_marked(void)
{
    int status = -1;
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

    if (child == 0) syscall(SYS_exit_group, kl_fork_is_marked() || !kl_fork_has_past());
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(status, 0);
}

UNIT_MAIN("base/fork", UNIT(a_process_is_unmarked_at_first), UNIT(a_mark_that_cannot_be_made_is_refused_and_leaves_nothing),
          UNIT(a_marked_process_is_marked_and_may_be_again), UNIT(a_child_is_not_marked_but_has_a_past),
          UNIT(a_child_may_be_marked_without_its_parent_or_children_noticing), UNIT(a_child_made_behind_the_c_librarys_back_is_not_marked))
