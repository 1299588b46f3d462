/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "base/rc.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

#include "../unit.h"

static void every_result_has_a_name_and_words_of_its_own(void)
{
    for (int i = 0; i < KL_RC_COUNT; i++) {
        CU_ASSERT_TRUE(strlen(kl_rc_name((enum kl_rc)i)) > 1);
        CU_ASSERT_TRUE(strlen(kl_rc_words((enum kl_rc)i)) > 3);
        for (int j = 0; j < i; j++) {
            CU_ASSERT_STRING_NOT_EQUAL(kl_rc_name((enum kl_rc)i), kl_rc_name((enum kl_rc)j));
            CU_ASSERT_STRING_NOT_EQUAL(kl_rc_words((enum kl_rc)i), kl_rc_words((enum kl_rc)j));
        }
    }
    CU_ASSERT_STRING_EQUAL(kl_rc_name(KL_PIN_WRONG), "PIN_WRONG");
    CU_ASSERT_STRING_EQUAL(kl_rc_words(KL_PIN_WRONG), "wrong PIN");
}

static void a_number_that_is_no_result_is_named_all_the_same(void)
{
    CU_ASSERT_STRING_EQUAL(kl_rc_name(KL_RC_COUNT), "UNKNOWN");
    CU_ASSERT_STRING_EQUAL(kl_rc_words((enum kl_rc) - 1), "unknown result");
}

static void a_failure_keeps_its_words_until_the_next(void)
{
    CU_ASSERT_EQUAL(kl_fail(KL_STORE, "disk %d is %s", 3, "gone"), KL_STORE);
    CU_ASSERT_STRING_EQUAL(kl_fail_words(), "disk 3 is gone");
    CU_ASSERT_EQUAL(kl_fail(KL_ARG, "other"), KL_ARG);
    CU_ASSERT_STRING_EQUAL(kl_fail_words(), "other");
    kl_fail_forget();
    CU_ASSERT_STRING_EQUAL(kl_fail_words(), "");
}

static void words_may_be_made_of_the_words_before(void)
{
    kl_fail(KL_STORE, "inner");
    kl_fail(KL_STORE, "outer: %s", kl_fail_words());
    CU_ASSERT_STRING_EQUAL(kl_fail_words(), "outer: inner");
}

static void words_are_escaped_and_fit(void)
{
    char longer[3000];

    kl_fail(KL_ARG, "a\nb\033[2Jc");
    CU_ASSERT_STRING_EQUAL(kl_fail_words(), "a\\x0ab\\x1b[2Jc");
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    kl_fail(KL_ARG, "%s", longer);
    CU_ASSERT_EQUAL(strlen(kl_fail_words()), 511);
}

static void failing_keeps_errno_and_may_name_it(void)
{
    errno = ENOSPC;
    kl_fail(KL_STORE_FULL, "cannot write: %m");
    CU_ASSERT_EQUAL(errno, ENOSPC);
    CU_ASSERT_STRING_EQUAL(kl_fail_words(), "cannot write: No space left on device");
}

static enum kl_rc wants_even(int number)
{
    KL_CHECK(number % 2 == 0, KL_DATA_LENGTH);
    return KL_OK;
}

static enum kl_rc hands_up(int number)
{
    KL_TRY(wants_even(number));
    return KL_OK;
}

static void a_refusal_has_the_results_words_unless_better_ones_stand(void)
{
    kl_fail_forget();
    CU_ASSERT_EQUAL(hands_up(2), KL_OK);
    CU_ASSERT_STRING_EQUAL(kl_fail_words(), "");
    CU_ASSERT_EQUAL(hands_up(3), KL_DATA_LENGTH);
    CU_ASSERT_STRING_EQUAL(kl_fail_words(), kl_rc_words(KL_DATA_LENGTH));
    kl_fail(KL_ARG, "better");
    CU_ASSERT_EQUAL(hands_up(3), KL_DATA_LENGTH);
    CU_ASSERT_STRING_EQUAL(kl_fail_words(), "better");
}

static void *fail_elsewhere(void *unused)
{
    bool was_empty = kl_fail_words()[0] == '\0';

    (void)unused;
    kl_fail(KL_ARG, "elsewhere");
    return was_empty ? fail_elsewhere : NULL;
}

static void threads_do_not_see_each_others_words(void)
{
    pthread_t thread;
    void *was_empty = NULL;

    kl_fail(KL_ARG, "here");
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, fail_elsewhere, NULL), 0);
    pthread_join(thread, &was_empty);
    CU_ASSERT_PTR_NOT_NULL(was_empty);
    CU_ASSERT_STRING_EQUAL(kl_fail_words(), "here");
}

UNIT_MAIN("base/rc", UNIT(every_result_has_a_name_and_words_of_its_own), UNIT(a_number_that_is_no_result_is_named_all_the_same),
          UNIT(a_failure_keeps_its_words_until_the_next), UNIT(words_may_be_made_of_the_words_before), UNIT(words_are_escaped_and_fit),
          UNIT(failing_keeps_errno_and_may_name_it), UNIT(a_refusal_has_the_results_words_unless_better_ones_stand),
          UNIT(threads_do_not_see_each_others_words))
