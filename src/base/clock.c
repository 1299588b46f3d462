/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

enum { DAY = 86400 };
#define FIRST_SECOND (-62167219200) /* 0000-01-01T00:00:00Z */
#define LAST_SECOND 253402300799    /* 9999-12-31T23:59:59Z */

static int64_t read_clock(clockid_t id, int64_t unit)
{
    struct timespec now = { 0 };

    /* Cannot fail: the three clocks below exist wherever the module can be built. */
    clock_gettime(id, &now);
    return unit == 1 ? (int64_t)now.tv_sec : (int64_t)now.tv_sec * unit + (int64_t)now.tv_nsec;
}

static int64_t wall(void)
{
    return read_clock(CLOCK_REALTIME, 1);
}

static int64_t steady(void)
{
    return read_clock(CLOCK_BOOTTIME, 1000000000);
}

static int64_t coarse(void)
{
    return read_clock(CLOCK_MONOTONIC_COARSE, 1000000000);
}

const struct kl_clock kl_clock_system = { .wall = wall, .steady = steady, .coarse = coarse };
const struct kl_clock *kl_clock = &kl_clock_system;

struct date {
    int64_t year, month, day;
};

/*
 * Not gmtime_r: it takes the C library's time zone lock, which a thread of the
 * parent may have held at fork. Years begin in March here, so that the leap day
 * comes last; 400 years have 146,097 days.
 */
static struct date date_of(int64_t days_since_1970)
{
    int64_t days = days_since_1970 + 719468; /* since 0000-03-01; not negative after the clamp but for January and February of year 0 */
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153; /* 0 is March */
    struct date date = { .day = day_of_year - (153 * month + 2) / 5 + 1, .month = month < 10 ? month + 3 : month - 9 };

    date.year = era * 400 + year_of_era + (date.month <= 2 ? 1 : 0);
    return date;
}

void kl_clock_text(int64_t wall_time, char out[21])
{
    int64_t time = wall_time < FIRST_SECOND ? FIRST_SECOND : wall_time > LAST_SECOND ? LAST_SECOND : wall_time;
    int64_t second = (time % DAY + DAY) % DAY;
    struct date date = date_of((time - second) / DAY);
    char text[128]; /* as long as the compiler thinks that six numbers may get */

    snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02dZ", (int)date.year, (int)date.month, (int)date.day, (int)(second / 3600),
             (int)(second / 60 % 60), (int)(second % 60));
    snprintf(out, 21, "%.20s", text);
}
