/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/rc.h"

int fuzz_stderr = 2;
static int silent_stdout = -1;

void fuzz_broken(const char *file, int line, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    dprintf(fuzz_stderr, "BROKEN %s:%d: ", file, line);
    vdprintf(fuzz_stderr, format, values);
    dprintf(fuzz_stderr, "\n");
    va_end(values);
    abort();
}

const char *fuzz_words(void)
{
    return kl_fail_words();
}

const char *fuzz_temporary(void)
{
    const char *own = getenv("TMPDIR");

    /* A setting's line has an end. */
    if (own != NULL && strlen(own) < 100) return own;
    return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

/* --- the input --- */

static struct kl_view input;

size_t left(void)
{
    return input.len;
}

uint8_t byte(void)
{
    if (input.len == 0) return 0;
    input.data++;
    input.len--;
    return input.data[-1];
}

size_t choice(size_t sides)
{
    return byte() % sides;
}

CK_ULONG number(void)
{
    static const CK_ULONG edges[] = {
        ~0UL,
        ~0UL - 1,
        1UL << 63,
        (1UL << 63) - 1,
        1UL << 32,
        (1UL << 32) - 1,
        1UL << 31,
        (1UL << 31) - 1,
        ~0UL - 15,
        ~0UL - 7,
        1UL << 61,
        (1UL << 61) + 2,
        1UL << 60,
        65536,
        65535,
        65537,
        4096,
        4097,
        16384,
        1UL << 30,
        255,
        256,
        257,
        1024,
        1025,
        128,
        96,
        512,
        ~0UL - 31,
        1UL << 36,
        (1UL << 36) - 31,
        (1UL << 36) - 32,
        0x40000000,
        ~0UL / 8,
        ~0UL / 24,
    };
    uint8_t first = byte();
    CK_ULONG out = 0;

    if (first < 200) return first;
    if (first < 200 + COUNT(edges)) return edges[first - 200];
    if (first < 250) return (CK_ULONG)byte() << 8 | byte();
    for (size_t i = 0; i < 8; i++) out = out << 8 | byte();
    return out;
}

/* A length of up to 199 is one byte, more are two. */
struct kl_view bytes(size_t most)
{
    size_t len = byte();

    if (len >= 200) len = (len - 200) << 8 | byte();
    if (len > most) len = most;
    if (len > input.len) len = input.len;
    input.data += len;
    input.len -= len;
    return kl_view_of(lend_copy(input.data - len, len), len);
}

struct kl_view rest(void)
{
    struct kl_view all = input;

    input.data += input.len;
    input.len = 0;
    return kl_view_of(lend_copy(all.data, all.len), all.len);
}

/* One change; `text` has `cap` bytes of room. */
static size_t mutate(uint8_t *text, size_t len, size_t cap)
{
    size_t at = len == 0 ? 0 : ((size_t)byte() << 8 | byte()) % len, count;

    switch (choice(5)) {
    case 0:
        if (len > 0) text[at] ^= byte();
        return len;
    case 1: /* shorter, at the end or the beginning */
        return at;
    case 2:
        memmove(text, text + at, len - at);
        return len - at;
    case 3: /* longer */
        count = choice(40);
        if (count > cap - len) count = cap - len;
        memset(text + len, byte(), count);
        return len + count;
    default: /* a piece of it in another place */
        count = choice(32);
        if (at + count > len) count = len - at;
        memmove(text, text + at, count);
        return len;
    }
}

struct kl_view mutated(struct kl_view in)
{
    size_t cap = in.len + 128, len = in.len;
    uint8_t *text = lend(cap);

    if (len > 0) memcpy(text, in.data, len);
    for (size_t i = choice(4); i > 0; i--) len = mutate(text, len, cap);
    return kl_view_of(lend_copy(text, len), len);
}

/* --- memory --- */

enum { LENT_MAX = 4096, CANARY = 32, CANARY_BYTE = 0xC5 };
static struct {
    void *memory;
    size_t len; /* of a room; SIZE_MAX: none */
} lent[LENT_MAX];
static size_t lent_count;

static void *keep(void *memory, size_t len)
{
    if (memory == NULL || lent_count == LENT_MAX) BROKEN("the harness is out of memory");
    lent[lent_count].memory = memory;
    lent[lent_count++].len = len;
    return memory;
}

void *lend(size_t len)
{
    return keep(calloc(1, len), SIZE_MAX);
}

void *lend_copy(const void *from, size_t len)
{
    void *copy = lend(len);

    if (len > 0) memcpy(copy, from, len);
    return copy;
}

uint8_t *room(size_t len)
{
    uint8_t *memory = keep(malloc(len + 2 * CANARY), len);

    memset(memory, CANARY_BYTE, len + 2 * CANARY);
    return memory + CANARY;
}

void fuzz_check_rooms(void)
{
    for (size_t i = 0; i < lent_count; i++) {
        const uint8_t *memory = lent[i].memory;

        if (lent[i].len == SIZE_MAX) continue;
        for (size_t j = 0; j < CANARY; j++) {
            if (memory[j] != CANARY_BYTE) BROKEN("byte %zu before a room of %zu was written", CANARY - j, lent[i].len);
            if (memory[CANARY + lent[i].len + j] != CANARY_BYTE) BROKEN("byte %zu behind a room of %zu was written", j, lent[i].len);
        }
    }
}

static void give_back(void)
{
    fuzz_check_rooms();
    for (size_t i = 0; i < lent_count; i++) free(lent[i].memory);
    lent_count = 0;
}

/* --- what calls the target --- */

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count;
    (void)arguments;
    fuzz_stderr = dup(2);
    /* Nobody else writes to standard output: what is written there is ours. */
    silent_stdout = memfd_create("stdout", MFD_CLOEXEC);
    if (fuzz_stderr < 0 || silent_stdout < 0 || dup2(silent_stdout, 1) < 0) abort();
    fuzz_begin();
    give_back();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct stat written;

    input = kl_view_of(data, len);
    fuzz_one();
    give_back();
    if (fstat(silent_stdout, &written) != 0 || written.st_size > 0) BROKEN("something was written to standard output");
    return 0;
}
