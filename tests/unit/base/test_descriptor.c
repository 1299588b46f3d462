/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "base/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "../unit.h"

static int null_open(void)
{
    return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static void what_was_taken_is_ours_until_it_is_closed(void)
{
    struct kl_descriptor mine;
    int fd = null_open();

    CU_ASSERT(kl_descriptor_take(&mine, fd) && kl_descriptor_is_ours(&mine) && kl_descriptor_fd(&mine) == fd);
    kl_descriptor_close(&mine);
    CU_ASSERT(fcntl(fd, F_GETFD) == -1 && !kl_descriptor_is_ours(&mine));
    kl_descriptor_close(&mine);
}

static void a_number_that_leads_elsewhere_is_neither_used_nor_closed(void)
{
    struct kl_descriptor mine;
    int fd = null_open();
    int theirs = open("/dev/zero", O_RDONLY | O_CLOEXEC);

    CU_ASSERT(kl_descriptor_take(&mine, fd));
    CU_ASSERT(dup2(theirs, fd) == fd);
    errno = 0;
    CU_ASSERT(!kl_descriptor_is_ours(&mine) && kl_descriptor_fd(&mine) == -1 && errno == EBADF);
    kl_descriptor_close(&mine);
    CU_ASSERT(fcntl(fd, F_GETFD) != -1);
    close(fd);
    close(theirs);
}

static void nothing_is_taken_of_what_is_not_open(void)
{
    struct kl_descriptor mine = { .fd = 7 };

    errno = ENOENT;
    CU_ASSERT(!kl_descriptor_take(&mine, -1) && mine.fd == -1 && errno == ENOENT);
    CU_ASSERT(!kl_descriptor_take(&mine, 9999) && mine.fd == -1 && errno == EBADF);
    CU_ASSERT(kl_descriptor_lift(-1) == -1 && errno == EBADF);
}

static void a_file_never_stands_for_standard_input_output_or_error(void)
{
    int saved = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);
    int fd, high;

    close(STDIN_FILENO);
    fd = null_open();
    CU_ASSERT(fd == STDIN_FILENO);
    high = kl_descriptor_lift(fd);
    CU_ASSERT(high > STDERR_FILENO && (fcntl(high, F_GETFD) & FD_CLOEXEC) != 0);
    CU_ASSERT(fcntl(STDIN_FILENO, F_GETFD) == -1);
    CU_ASSERT(kl_descriptor_lift(high) == high);
    close(high);
    dup2(saved, STDIN_FILENO);
    close(saved);
}

UNIT_MAIN("base/descriptor", UNIT(what_was_taken_is_ours_until_it_is_closed),
          UNIT(a_number_that_leads_elsewhere_is_neither_used_nor_closed), UNIT(nothing_is_taken_of_what_is_not_open),
          UNIT(a_file_never_stands_for_standard_input_output_or_error))
