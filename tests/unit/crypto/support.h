/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the unit tests of crypto and root share. */
#ifndef KL_TESTS_UNIT_CRYPTO_SUPPORT_H
#define KL_TESTS_UNIT_CRYPTO_SUPPORT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../unit.h"
#include "base/bytes.h"
#include "crypto/hash.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define SAME(is, ought) CU_ASSERT_EQUAL(is, ought)

/* The tests twice: with SHA-2 by OpenSSL's functions for it where it has them, and by its providers (crypto/sha2.h). */
static inline int unit_run_both_ways(const char *suite, const CU_TestInfo *tests, size_t count)
{
    int failed = unit_run(suite, tests, count);

    kl_hash_use_providers(true);
    return unit_run(suite, tests, count) | failed;
}

#define UNIT_MAIN_BOTH_WAYS(suite, ...)                                          \
    int main(void)                                                               \
    {                                                                            \
        static const CU_TestInfo tests[] = { __VA_ARGS__ };                      \
        return unit_run_both_ways((suite), tests, sizeof tests / sizeof *tests); \
    }

/* Runs `body` in a child, so that what it leaves behind in the process is gone; true if it said so. */
static inline bool in_child(bool (*body)(void))
{
    int status = -1;
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child == 0) _exit(body() ? 0 : 1);
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The n-th of the wrapped calls from now fails; 0: none. */
static atomic_int fail_at;
static atomic_int calls;

static inline bool fails_now(void)
{
    calls++;
    return fail_at > 0 && calls == fail_at;
}

static inline void fail_the(int number)
{
    calls = 0;
    fail_at = number;
}

/* The failure asked for was reached, that is: there may be a later one to try. */
static inline bool has_failed(void)
{
    return fail_at > 0 && calls >= fail_at;
}

static inline bool is_zero(const void *data, size_t len)
{
    const uint8_t *bytes = data;
    uint8_t any = 0;

    for (size_t i = 0; i < len; i++) any |= bytes[i];
    return any == 0;
}

/* Numbers that look random and are the same in every run. */
static uint64_t support_seed = 20261122;

static inline uint32_t number(uint32_t below)
{
    support_seed = support_seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((support_seed >> 32) % below);
}

static inline void scatter(void *out, size_t len)
{
    uint8_t *bytes = out;

    for (size_t i = 0; i < len; i++) bytes[i] = (uint8_t)number(256);
}

/* An address for inputs that are refused, or handed to a stand-in, by their length alone. */
static inline uint8_t *nowhere(void)
{
    static volatile uintptr_t address = UINT64_C(1) << 44;

    return (uint8_t *)address;
}

/* Hexadecimal text to at most `cap` bytes; the length. */
static inline size_t from_hex(const char *text, uint8_t *out, size_t cap)
{
    size_t len = 0;

    for (; text[0] != '\0' && text[1] != '\0' && len < cap; text += 2) {
        char two[3] = { text[0], text[1], '\0' };

        out[len++] = (uint8_t)strtoul(two, NULL, 16);
    }
    return len;
}

#endif
