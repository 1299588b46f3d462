/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "crypto/random.h"

#include <errno.h>
#include <sys/random.h>

#include "base/fork.h"
#include "support.h"

/* ---- the kernel, as it may also be ---- */

ssize_t __real_getrandom(void *out, size_t len, unsigned flags);
ssize_t __wrap_getrandom(void *out, size_t len, unsigned flags);

static enum how { WELL, INTERRUPTED, MISERLY, MISSING, EMPTY, STOPS } kernel;

ssize_t __wrap_getrandom(void *out, size_t len, unsigned flags)
{
    calls++;
    switch (kernel) {
    case INTERRUPTED:
        if (calls % 2 == 1) {
            errno = EINTR;
            return -1;
        }
        break;
    case MISERLY:
        len = len > 3 ? 3 : len;
        break;
    case MISSING:
        errno = ENOSYS;
        return -1;
    case EMPTY:
        return 0;
    case STOPS:
        if (calls > 1) {
            errno = EIO;
            return -1;
        }
        len = 5;
        break;
    case WELL:
        break;
    }
    return __real_getrandom(out, len, flags);
}

static void with(enum how how)
{
    kernel = how;
    fail_the(0);
    kl_fail_forget();
}

static enum kl_rc of_ones(void *out, size_t len)
{
    memset(out, 0xFF, len);
    return KL_OK;
}

static enum kl_rc of_nothing(void *out, size_t len)
{
    memset(out, 0xAA, len);
    return KL_NO_RANDOM;
}

/* ---- tests ---- */

static void the_whole_length_is_filled(void)
{
    static uint8_t big[(32 << 20) + 4096]; /* more than some kernels give at once */
    uint8_t few[8] = { 0 };

    with(WELL);
    SAME(kl_random_fill(few, 7), KL_OK);
    SAME(few[7], 0);
    CU_ASSERT_FALSE(is_zero(few, 7));
    SAME(kl_random_fill(big, sizeof big), KL_OK);
    CU_ASSERT_FALSE(is_zero(big + sizeof big - 16, 16));
}

static void two_fills_differ(void)
{
    uint8_t a[32];
    uint8_t b[32];

    with(WELL);
    SAME(kl_random_fill(a, 32), KL_OK);
    SAME(kl_random_fill(b, 32), KL_OK);
    CU_ASSERT_NOT_EQUAL(memcmp(a, b, 32), 0);
}

static void an_interrupted_call_is_made_again(void)
{
    uint8_t out[64] = { 0 };

    with(INTERRUPTED);
    SAME(kl_random_fill(out, 64), KL_OK);
    CU_ASSERT_FALSE(is_zero(out, 64));
}

static void a_kernel_that_gives_three_bytes_at_a_time_is_asked_until_all_are_there(void)
{
    uint8_t out[64] = { 0 };

    with(MISERLY);
    SAME(kl_random_fill(out, 64), KL_OK);
    SAME(calls, 22);
    for (size_t i = 0; i + 8 <= 64; i += 8) CU_ASSERT_FALSE(is_zero(out + i, 8));
}

static void nothing_at_all_is_asked_for_no_bytes(void)
{
    with(MISSING);
    SAME(kl_random_fill(NULL, 0), KL_OK);
    SAME(calls, 0);
}

static void without_random_numbers_there_are_zeroes_and_an_error(void)
{
    uint8_t out[64];

    for (enum how how = MISSING; how <= STOPS; how++) {
        memset(out, 7, 64);
        with(how);
        SAME(kl_random_fill(out, 64), KL_NO_RANDOM);
        CU_ASSERT(is_zero(out, 64));
        CU_ASSERT_NOT_EQUAL(kl_fail_words()[0], '\0');
    }
}

static void a_secret_has_the_length_asked_for(void)
{
    KL_AUTO(kl_secret) secret = { 0 };

    with(WELL);
    SAME(kl_random_secret(&secret, 48), KL_OK);
    SAME(secret.len, 48);
    CU_ASSERT_FALSE(is_zero(secret.data, 48));
}

static void a_secret_that_could_not_be_filled_stays_empty(void)
{
    KL_AUTO(kl_secret) secret = { 0 };

    with(MISSING);
    SAME(kl_random_secret(&secret, 48), KL_NO_RANDOM);
    CU_ASSERT_PTR_NULL(secret.data);
    with(WELL);
    CU_ASSERT_NOT_EQUAL(kl_random_secret(&secret, 0), KL_OK);
    CU_ASSERT_NOT_EQUAL(kl_random_secret(&secret, KL_SECRET_MAX + 1), KL_OK);
    CU_ASSERT_PTR_NULL(secret.data);
}

static void a_uuid_is_of_version_4_and_the_rest_of_it_random(void)
{
    enum kl_rc (*kernels)(void *, size_t) = kl_random_source;
    uint8_t uuid[16];

    with(WELL);
    for (int i = 0; i < 200; i++) {
        SAME(kl_random_uuid(uuid), KL_OK);
        SAME(uuid[6] >> 4, 4);
        SAME(uuid[8] >> 6, 2);
    }
    kl_random_source = of_ones;
    SAME(kl_random_uuid(uuid), KL_OK);
    SAME(uuid[6], 0x4F);
    SAME(uuid[8], 0xBF);
    SAME(uuid[0] & uuid[5] & uuid[7] & uuid[9] & uuid[15], 0xFF);
    kl_random_source = kernels;
}

enum { SERIES = 1000 };

/* What is between the variant's two bits and the end. */
static uint64_t count_of(const uint8_t uuid[16])
{
    uint64_t count = 0;

    for (size_t i = 8; i < 16; i++) count = count << 8 | uuid[i];
    return count & (UINT64_MAX >> 2);
}

static void where_a_fork_goes_unnoticed_each_uuid_is_drawn(void)
{
    uint8_t uuid[16];

    with(WELL);
    SAME(kl_fork_life(), 0);
    for (int i = 0; i < 5; i++) SAME(kl_random_uuid_next(uuid), KL_OK);
    SAME(calls, 5);
}

static void without_random_numbers_no_series_begins(void)
{
    uint8_t uuid[16];

    SAME(kl_fork_mark(), KL_OK);
    with(MISSING);
    SAME(kl_random_uuid_next(uuid), KL_NO_RANDOM);
    with(WELL);
    SAME(kl_random_uuid_next(uuid), KL_OK);
}

static void a_series_draws_once_and_counts(void)
{
    uint8_t first[16], uuid[16];

    SAME(kl_fork_mark(), KL_OK);
    SAME(kl_random_uuid_next(first), KL_OK);
    with(MISSING);
    for (uint64_t i = 1; i < SERIES; i++) {
        SAME(kl_random_uuid_next(uuid), KL_OK);
        SAME(uuid[6] >> 4, 4);
        SAME(uuid[8] >> 6, 2);
        SAME(memcmp(uuid, first, 8), 0);
        SAME(count_of(uuid), (count_of(first) + i) & (UINT64_MAX >> 2));
    }
    SAME(calls, 0);
}

static uint8_t parents[16];

static bool begins_anew(void)
{
    uint8_t uuid[16];

    with(WELL);
    /* Drawn before the child is marked, and for its own series after. */
    if (kl_random_uuid_next(uuid) != KL_OK || calls != 1 || memcmp(uuid, parents, 8) == 0) return false;
    if (kl_fork_mark() != KL_OK || kl_random_uuid_next(uuid) != KL_OK || calls != 2 || memcmp(uuid, parents, 8) == 0) return false;
    return kl_random_uuid_next(uuid) == KL_OK && calls == 2;
}

static void a_forked_child_has_a_series_of_its_own(void)
{
    SAME(kl_fork_mark(), KL_OK);
    SAME(kl_random_uuid_next(parents), KL_OK);
    CU_ASSERT(in_child(begins_anew));
}

static void a_test_may_bring_its_own_source_and_its_failure_is_kept(void)
{
    enum kl_rc (*kernels)(void *, size_t) = kl_random_source;
    uint8_t out[16];

    kl_random_source = of_nothing;
    SAME(kl_random_fill(out, 16), KL_NO_RANDOM);
    CU_ASSERT(is_zero(out, 16));
    SAME(kl_random_uuid(out), KL_NO_RANDOM);
    kl_random_source = kernels;
}

UNIT_MAIN("crypto/random", UNIT(the_whole_length_is_filled), UNIT(two_fills_differ), UNIT(an_interrupted_call_is_made_again),
          UNIT(a_kernel_that_gives_three_bytes_at_a_time_is_asked_until_all_are_there), UNIT(nothing_at_all_is_asked_for_no_bytes),
          UNIT(without_random_numbers_there_are_zeroes_and_an_error), UNIT(a_secret_has_the_length_asked_for),
          UNIT(a_secret_that_could_not_be_filled_stays_empty), UNIT(a_uuid_is_of_version_4_and_the_rest_of_it_random),
          UNIT(a_test_may_bring_its_own_source_and_its_failure_is_kept), UNIT(where_a_fork_goes_unnoticed_each_uuid_is_drawn),
          UNIT(without_random_numbers_no_series_begins), UNIT(a_series_draws_once_and_counts), UNIT(a_forked_child_has_a_series_of_its_own))
