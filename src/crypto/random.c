/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "crypto/random.h"

#include <endian.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#include "base/fork.h"

static enum kl_rc from_kernel(void *out, size_t len)
{
    uint8_t *next = out;

    kl_thread_hold();
    while (len > 0) {
        ssize_t got = getrandom(next, len, 0);

        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return kl_fail(KL_NO_RANDOM, "getrandom: %s", got < 0 ? strerror(errno) : "nothing came");
        next += got;
        len -= (size_t)got;
    }
    return KL_OK;
}

enum kl_rc (*kl_random_source)(void *out, size_t len) = from_kernel;

enum kl_rc kl_random_fill(void *out, size_t len)
{
    enum kl_rc rc;

    if (len == 0) return KL_OK;
    rc = kl_random_source(out, len);
    if (rc != KL_OK) kl_wipe(out, len);
    return rc;
}

static KL_COLD enum kl_rc run_begin(struct kl_iv_run *run)
{
    KL_TRY(kl_random_fill(&run->low, sizeof run->low));
    KL_TRY(kl_random_fill(&run->high, sizeof run->high));
    run->left = KL_IV_RUN;
    return KL_OK;
}

enum kl_rc kl_iv_run_next(struct kl_iv_run *run, uint8_t iv[12])
{
    uint32_t high;
    uint64_t low;

    if (run->left == 0) KL_TRY(run_begin(run));
    run->left--;
    if (++run->low == 0) run->high++;
    high = htobe32(run->high);
    low = htobe64(run->low);
    memcpy(iv, &high, sizeof high);
    memcpy(iv + sizeof high, &low, sizeof low);
    return KL_OK;
}

enum kl_rc kl_random_secret(struct kl_secret *out, size_t len)
{
    KL_AUTO(kl_secret) fresh = { 0 };

    KL_TRY(kl_secret_new(&fresh, len));
    KL_TRY(kl_random_fill(fresh.data, len));
    kl_secret_take(out, &fresh);
    return KL_OK;
}

static void put_version(unsigned char uuid[16])
{
    uuid[6] = (unsigned char)((uuid[6] & 0x0F) | 0x40);
    uuid[8] = (unsigned char)((uuid[8] & 0x3F) | 0x80);
}

enum kl_rc kl_random_uuid(unsigned char out[16])
{
    KL_TRY(kl_random_fill(out, 16));
    put_version(out);
    return KL_OK;
}

enum kl_rc kl_random_uuid_next(unsigned char out[16])
{
    static _Thread_local struct {
        uint64_t first, count;
        unsigned life; /* that it was drawn in */
    } series;
    unsigned life = kl_fork_life();
    uint64_t words[2];

    /* Without a mark a child would not notice that it is one. */
    if (life == 0) return kl_random_uuid(out);
    if (life != series.life) {
        KL_TRY(kl_random_fill(words, sizeof words));
        series.first = words[0];
        series.count = words[1];
        series.life = life;
    }
    words[0] = series.first;
    words[1] = htobe64(series.count++);
    memcpy(out, words, sizeof words);
    put_version(out);
    return KL_OK;
}
