/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Living together with others: in a process with other modules, p11-kit, an
 * OpenSSL that is configured to load us, and a host that changes everything
 * about itself. The right functions are found, nothing hangs or crashes, and
 * what is the host's stays as it was.
 */
#include "coexist.h"

int main(int argc, char **argv)
{
    static const struct test *const files[] = { module_tests, openssl_tests, file_tests, state_tests, thread_tests, unload_tests, NULL };
    static const struct way ways[] = { { NULL, NULL, false, false }, { NULL, NULL, false, false } };

    return run_all(files, ways, argc, argv);
}
