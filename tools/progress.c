/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

#define SECOND INT64_C(1000000000)
#define MIB (1024 * 1024)

void kl_progress_begin(struct kl_progress *progress, const char *verb)
{
    int64_t now = kl_clock->steady();

    *progress = (struct kl_progress){ .verb = verb, .began = now, .next = isatty(STDERR_FILENO) == 1 ? now + SECOND : INT64_MAX };
}

/* It is time to write again. */
static bool is_due(struct kl_progress *progress, int64_t *now)
{
    if (progress->next == INT64_MAX) return false;
    *now = kl_clock->steady();
    if (*now < progress->next) return false;
    progress->next = *now + SECOND / 5;
    progress->is_shown = true;
    return true;
}

void kl_progress_tell(struct kl_progress *progress, uint64_t done, uint64_t total)
{
    int64_t now;
    double speed;

    if (!is_due(progress, &now)) return;
    speed = (double)done / MIB / ((double)(now - progress->began) / (double)SECOND);
    if (total > 0) {
        fprintf(stderr, "\r%s: %ju of %ju MiB, %.0f MiB/s ", progress->verb, (uintmax_t)(done / MIB), (uintmax_t)(total / MIB), speed);
    } else {
        fprintf(stderr, "\r%s: %ju MiB, %.0f MiB/s ", progress->verb, (uintmax_t)(done / MIB), speed);
    }
    fflush(stderr);
}

void kl_progress_count(struct kl_progress *progress, uint64_t done, uint64_t total, const char *what)
{
    int64_t now;

    if (!is_due(progress, &now)) return;
    fprintf(stderr, "\r\033[K%s: %ju of %ju, %s ", progress->verb, (uintmax_t)done, (uintmax_t)total, what);
    fflush(stderr);
}

void kl_progress_end(struct kl_progress *progress)
{
    if (progress->is_shown) fputs("\r\033[K", stderr);
    progress->is_shown = false;
}
