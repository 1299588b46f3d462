/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "base/clock.h"

#include <time.h>

#include "../unit.h"

static const char *text_of(int64_t wall)
{
    static char text[21];

    memset(text, 'x', sizeof text);
    kl_clock_text(wall, text);
    return text;
}

static void dates_read_as_dates(void)
{
    CU_ASSERT_STRING_EQUAL(text_of(0), "1970-01-01T00:00:00Z");
    CU_ASSERT_STRING_EQUAL(text_of(-1), "1969-12-31T23:59:59Z");
    CU_ASSERT_STRING_EQUAL(text_of(951782399), "2000-02-28T23:59:59Z");
    CU_ASSERT_STRING_EQUAL(text_of(951782400), "2000-02-29T00:00:00Z");
    CU_ASSERT_STRING_EQUAL(text_of(4107542400), "2100-03-01T00:00:00Z");
    CU_ASSERT_STRING_EQUAL(text_of(1795376609), "2026-11-22T19:43:29Z");
}

/* The calendar repeats itself every 400 years, which are 146,097 days: all of them, then one in 97 of ten thousand years. */
static void days_of_ten_thousand_years_are_as_the_c_library_says(void)
{
    unsigned wrong = 0;

    for (int64_t day = -719528; day <= 2932896; day += day < -719528 + 146097 ? 1 : 97) {
        time_t when = (time_t)(day * 86400 + 45296);
        struct tm parts;
        char ought[80];

        gmtime_r(&when, &parts);
        snprintf(ought, sizeof ought, "%04d-%02d-%02dT12:34:56Z", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
        if (strcmp(text_of(when), ought) != 0) wrong++;
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static void times_beyond_four_digits_of_years_stop_at_the_end(void)
{
    CU_ASSERT_STRING_EQUAL(text_of(253402300799), "9999-12-31T23:59:59Z");
    CU_ASSERT_STRING_EQUAL(text_of(253402300800), "9999-12-31T23:59:59Z");
    CU_ASSERT_STRING_EQUAL(text_of(INT64_MAX), "9999-12-31T23:59:59Z");
    CU_ASSERT_STRING_EQUAL(text_of(-62167219200), "0000-01-01T00:00:00Z");
    CU_ASSERT_STRING_EQUAL(text_of(INT64_MIN), "0000-01-01T00:00:00Z");
}

static void the_systems_clocks_go_forward_and_agree(void)
{
    int64_t steady = kl_clock->steady(), coarse = kl_clock->coarse();

    CU_ASSERT_TRUE(kl_clock->wall() > 1700000000);
    CU_ASSERT_TRUE(kl_clock->wall() - (int64_t)time(NULL) <= 1);
    CU_ASSERT_TRUE(steady > 0 && kl_clock->steady() >= steady);
    CU_ASSERT_TRUE(coarse > 0 && kl_clock->coarse() >= coarse);
}

static int64_t noon(void)
{
    return 43200;
}

static void a_test_may_bring_its_own_clock(void)
{
    static const struct kl_clock fake = { noon, noon, noon };

    kl_clock = &fake;
    CU_ASSERT_EQUAL(kl_clock->wall(), 43200);
    kl_clock = &kl_clock_system;
}

UNIT_MAIN("base/clock", UNIT(dates_read_as_dates), UNIT(days_of_ten_thousand_years_are_as_the_c_library_says),
          UNIT(times_beyond_four_digits_of_years_stop_at_the_end), UNIT(the_systems_clocks_go_forward_and_agree),
          UNIT(a_test_may_bring_its_own_clock))
