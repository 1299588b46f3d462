/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The works that `keyladder bench` measures, in the order of its table. */
#include "bench_case.h"

#include <stdio.h>
#include <string.h>

#define KIB 1024

#define GCM(bytes)                                                                     \
    { "gcm", "gcm_encrypt", "AES-256-GCM encrypt", KL_BENCH_GCM_ENCRYPT, (bytes), 1 }, \
    {                                                                                  \
        "gcm", "gcm_decrypt", "AES-256-GCM decrypt", KL_BENCH_GCM_DECRYPT, (bytes), 1  \
    }

const struct kl_bench_case kl_bench_cases[] = {
    GCM(16),
    GCM(64),
    GCM(256),
    GCM(1 * KIB),
    GCM(4 * KIB),
    GCM(16 * KIB),
    GCM(64 * KIB),
    GCM(1024 * KIB),
    { "message", "message_encrypt", "GCM message encrypt", KL_BENCH_MESSAGE_ENCRYPT, 64, 1 },
    { "message", "message_decrypt", "GCM message decrypt", KL_BENCH_MESSAGE_DECRYPT, 64, 1 },
    { "message", "message_encrypt", "GCM message encrypt", KL_BENCH_MESSAGE_ENCRYPT, 16 * KIB, 1 },
    { "message", "message_decrypt", "GCM message decrypt", KL_BENCH_MESSAGE_DECRYPT, 16 * KIB, 1 },
    { "batch", "batch_encrypt", "batch of 100, encrypt", KL_BENCH_BATCH_ENCRYPT, 64, 1 },
    { "batch", "batch_decrypt", "batch of 100, decrypt", KL_BENCH_BATCH_DECRYPT, 64, 1 },
    { "chacha", "chacha_encrypt", "ChaCha20-Poly1305 encrypt", KL_BENCH_CHACHA_ENCRYPT, 64, 1 },
    { "chacha", "chacha_decrypt", "ChaCha20-Poly1305 decrypt", KL_BENCH_CHACHA_DECRYPT, 64, 1 },
    { "chacha", "chacha_encrypt", "ChaCha20-Poly1305 encrypt", KL_BENCH_CHACHA_ENCRYPT, 16 * KIB, 1 },
    { "chacha", "chacha_decrypt", "ChaCha20-Poly1305 decrypt", KL_BENCH_CHACHA_DECRYPT, 16 * KIB, 1 },
    { "hmac", "hmac_sha256", "HMAC-SHA256", KL_BENCH_HMAC, 64, 1 },
    { "hkdf", "hkdf_derive", "HKDF derive + destroy", KL_BENCH_HKDF, 0, 1 },
    { "session", "session", "session open + close", KL_BENCH_SESSION, 0, 1 },
    { "threads", "one_thread", "GCM encrypt, one thread", KL_BENCH_GCM_ENCRYPT, 64, 1 },
    { "threads", "two_threads", "GCM encrypt, two threads", KL_BENCH_GCM_ENCRYPT, 64, 2 },
    { "find", "find", "find by label", KL_BENCH_FIND, 0, 1 },
    { NULL, NULL, NULL, KL_BENCH_WORKS, 0, 0 },
};
_Static_assert(sizeof kl_bench_cases / sizeof *kl_bench_cases <= KL_BENCH_CASES_MAX, "there are more works than that");

size_t kl_bench_case_count(void)
{
    return sizeof kl_bench_cases / sizeof *kl_bench_cases - 1;
}

const char *kl_bench_size_text(size_t size, char out[32])
{
    if (size == 0)
        out[0] = '\0';
    else if (size < KIB)
        snprintf(out, 32, "%zu B", size);
    else if (size < (size_t)KIB * KIB)
        snprintf(out, 32, "%zu KiB", size / KIB);
    else
        snprintf(out, 32, "%zu MiB", size / KIB / KIB);
    return out;
}

bool kl_bench_list_has(const char *list, const char *group)
{
    size_t len = strlen(group);

    while (list != NULL && *list != '\0') {
        size_t word = strcspn(list, ",");

        if (word == len && memcmp(list, group, len) == 0) return true;
        list += word + (list[word] == ',');
    }
    return list == NULL;
}

static bool is_group(const char *word, size_t len)
{
    for (const struct kl_bench_case *work = kl_bench_cases; work->name != NULL; work++) {
        if (strlen(work->group) == len && memcmp(work->group, word, len) == 0) return true;
    }
    return false;
}

/* "gcm, message, batch": each once, as the table has them. */
static const char *groups(char *out, size_t cap)
{
    const char *last = "";
    size_t len = 0;

    for (const struct kl_bench_case *work = kl_bench_cases; work->name != NULL && len < cap; work++) {
        if (strcmp(work->group, last) == 0) continue;
        len += (size_t)snprintf(out + len, cap - len, "%s%s", len == 0 ? "" : ", ", work->group);
        last = work->group;
    }
    return out;
}

enum kl_rc kl_bench_list_check(struct kl_cli *cli, const char *list)
{
    char all[200] = "";

    while (list != NULL) {
        size_t len = strcspn(list, ",");

        if (!is_group(list, len))
            return kl_cli_misuse(cli, "\"%.*s\" is nothing to measure; there is %s", (int)(len < 40 ? len : 40), list,
                                 groups(all, sizeof all));
        list = list[len] == '\0' ? NULL : list + len + 1;
    }
    return KL_OK;
}
