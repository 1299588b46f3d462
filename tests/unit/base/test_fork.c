/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "base/fork.h"

#include <errno.h>
#include <pthread.h>
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
    CU_ASSERT_EQUAL(kl_fork_life(), 0);
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

static unsigned life_of_parent;

static int lives_of_its_own_here(void)
{
    UNIT_NEED(kl_fork_life() == 0);
    UNIT_NEED(kl_fork_mark() == KL_OK);
    UNIT_NEED(kl_fork_life() != 0 && kl_fork_life() != life_of_parent);
    if (life_of_parent != 1) return 0;
    /* And its child. */
    life_of_parent = kl_fork_life();
    return unit_in_child(lives_of_its_own_here);
}

static void each_process_of_a_line_has_a_life_of_its_own(void)
{
    CU_ASSERT_EQUAL(kl_fork_mark(), KL_OK);
    life_of_parent = kl_fork_life();
    CU_ASSERT_EQUAL(life_of_parent, 1);
    CU_ASSERT_EQUAL(kl_fork_mark(), KL_OK);
    CU_ASSERT_EQUAL(kl_fork_life(), life_of_parent);
    CU_ASSERT_EQUAL(unit_in_child(lives_of_its_own_here), 0);
    CU_ASSERT_EQUAL(kl_fork_life(), life_of_parent);
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

/* --- locks --------------------------------------------------------------- */

static pthread_mutex_t some[3] = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER };

static bool show_some(kl_lock_fn *each, void *user)
{
    return each(user, &some[0]) && each(user, &some[1]) && each(user, &some[2]);
}

static void *count_free(void *count)
{
    for (size_t i = 0; i < 3; i++) {
        if (pthread_mutex_trylock(&some[i]) != 0) continue;
        ++*(size_t *)count;
        pthread_mutex_unlock(&some[i]);
    }
    return NULL;
}

/* As another thread finds them. */
static size_t free_locks(void)
{
    pthread_t thread;
    size_t count = 0;

    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, count_free, &count), 0);
    pthread_join(thread, NULL);
    return count;
}

/* Where the C library does not say so, nobody is ever alone. */
static void who_is_alone_takes_no_lock_and_leaves_none(void)
{
    if (!kl_fork_is_alone()) return;
    CU_ASSERT_TRUE(kl_fork_take_locks(show_some));
    /* Held, another could not take it. */
    CU_ASSERT_EQUAL(pthread_mutex_trylock(&some[1]), 0);
    kl_fork_leave_locks(show_some);
    CU_ASSERT_EQUAL(pthread_mutex_trylock(&some[1]), EBUSY);
    pthread_mutex_unlock(&some[1]);
    CU_ASSERT_EQUAL(free_locks(), 3);
    CU_ASSERT_FALSE(kl_fork_is_alone());
}

static void locks_are_taken_and_left_all_of_them(void)
{
    CU_ASSERT_EQUAL(free_locks(), 3); /* by a second thread, which makes this process one that has had threads */
    CU_ASSERT_TRUE(kl_fork_take_locks(show_some));
    CU_ASSERT_EQUAL(free_locks(), 0);
    kl_fork_leave_locks(show_some);
    CU_ASSERT_EQUAL(free_locks(), 3);
}

static void *take_all_but_one(void *took)
{
    *(bool *)took = kl_fork_take_locks(show_some);
    return NULL;
}

static void where_one_is_not_to_be_had_none_is_kept(void)
{
    for (size_t i = 0; i < 3; i++) {
        pthread_t thread;
        bool took = true;

        pthread_mutex_lock(&some[i]);
        CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, take_all_but_one, &took), 0);
        pthread_join(thread, NULL);
        CU_ASSERT_FALSE(took);
        CU_ASSERT_EQUAL(free_locks(), 2);
        pthread_mutex_unlock(&some[i]);
    }
    CU_ASSERT_TRUE(kl_fork_take_locks(show_some));
    kl_fork_leave_locks(show_some);
}

static int takes_them_here(void)
{
    kl_fork_leave_locks(show_some);
    UNIT_NEED(kl_fork_take_locks(show_some));
    kl_fork_leave_locks(show_some);
    return 0;
}

static void what_was_taken_before_a_fork_is_left_on_both_sides(void)
{
    CU_ASSERT_TRUE(kl_fork_take_locks(show_some));
    CU_ASSERT_EQUAL(unit_in_child(takes_them_here), 0);
    CU_ASSERT_EQUAL(free_locks(), 0);
    kl_fork_leave_locks(show_some);
    CU_ASSERT_EQUAL(free_locks(), 3);
}

UNIT_MAIN("base/fork", UNIT(a_process_is_unmarked_at_first), UNIT(a_mark_that_cannot_be_made_is_refused_and_leaves_nothing),
          UNIT(each_process_of_a_line_has_a_life_of_its_own), UNIT(a_marked_process_is_marked_and_may_be_again),
          UNIT(a_child_is_not_marked_but_has_a_past), UNIT(a_child_may_be_marked_without_its_parent_or_children_noticing),
          UNIT(a_child_made_behind_the_c_librarys_back_is_not_marked), UNIT(who_is_alone_takes_no_lock_and_leaves_none),
          UNIT(locks_are_taken_and_left_all_of_them), UNIT(where_one_is_not_to_be_had_none_is_kept),
          UNIT(what_was_taken_before_a_fork_is_left_on_both_sides))
