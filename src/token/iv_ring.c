/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/iv_ring.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "token/mech.h"

#define SIEVE 256                       /* a power of two */
#define FOR_NOTHING (UINT64_C(1) << 32) /* in the length: no IV has as much */

struct kl_key_ring {
    uint8_t key[KL_ROW_ID_LEN];
    uint64_t used; /* IVs taken in, and keys that the ring has been given to */
    struct kl_iv ivs[KL_IV_RING];
    uint8_t holes[KL_IV_RING]; /* where each fell through the sieve */
    uint8_t sieve[SIEVE];      /* how many of them fall through each hole: where none does, none need be looked at */
    unsigned next;
    unsigned count;
};

/* Belongs to the session's slot and stays with it, for its next tenant. */
struct kl_iv_ring {
    CK_SESSION_HANDLE session;
    struct kl_key_ring *rings[KL_IV_RING_KEYS]; /* the one used last first */
};

static KL_COLD enum kl_rc digest_long(struct kl_view iv, struct kl_iv *out)
{
    uint8_t digest[KL_HASH_MAX];

    KL_TRY(kl_hash_parts(KL_SHA256, &iv, 1, digest));
    memcpy(out->words, digest, sizeof out->words);
    out->len = UINT64_MAX;
    return KL_OK;
}

/* By way of registers: words that are read at once after they were written in pieces make the processor wait. */
static void take_usual(const uint8_t *iv, struct kl_iv *out)
{
    uint64_t first;
    uint32_t second;

    memcpy(&first, iv, sizeof first);
    memcpy(&second, iv + sizeof first, sizeof second);
    *out = (struct kl_iv){ { first, second }, KL_IV_USUAL };
}
_Static_assert(KL_IV_USUAL == sizeof(uint64_t) + sizeof(uint32_t), "two words");

static enum kl_rc shorten(struct kl_view iv, struct kl_iv *out)
{
    if (iv.len > sizeof out->words) return digest_long(iv, out);
    if (iv.len == KL_IV_USUAL) {
        take_usual(iv.data, out);
        return KL_OK;
    }
    *out = (struct kl_iv){ .len = iv.len };
    memcpy(out->words, iv.data, iv.len);
    return KL_OK;
}

static uint8_t hole_of(const struct kl_iv *iv)
{
    return (uint8_t)(((iv->words[0] ^ iv->words[1] << 17) * UINT64_C(0x9E3779B97F4A7C15)) >> 56);
}
_Static_assert(SIEVE == UINT8_MAX + 1, "the highest byte of a hash");

/* Under a key that it has seen nothing of. */
static void ring_clear(struct kl_key_ring *ring)
{
    uint64_t used = ring->used;

    memset(ring, 0, sizeof *ring);
    ring->used = used + 1;
}

static KL_COLD void empty(struct kl_iv_ring *ivs, CK_SESSION_HANDLE session)
{
    ivs->session = session;
    for (size_t i = 0; i < KL_IV_RING_KEYS; i++) {
        if (ivs->rings[i]) ring_clear(ivs->rings[i]);
    }
}

static bool is_of(const struct kl_key_ring *ring, const uint8_t key[KL_ROW_ID_LEN])
{
    return ring && memcmp(ring->key, key, KL_ROW_ID_LEN) == 0;
}

static void to_front(struct kl_iv_ring *ivs, size_t at)
{
    struct kl_key_ring *ring = ivs->rings[at];

    memmove(&ivs->rings[1], &ivs->rings[0], at * sizeof ivs->rings[0]);
    ivs->rings[0] = ring;
}

/* The key's ring, now the first; or a fresh one in the place of the one that lay unused longest. */
static KL_COLD struct kl_key_ring *ring_for(struct kl_iv_ring *ivs, const uint8_t key[KL_ROW_ID_LEN])
{
    struct kl_key_ring *ring;
    size_t at = 0;

    while (at < KL_IV_RING_KEYS - 1 && ivs->rings[at] && !is_of(ivs->rings[at], key)) at++;
    ring = ivs->rings[at] ? ivs->rings[at] : kl_lines_new(sizeof *ring);
    if (!ring) return NULL;
    if (!is_of(ring, key)) {
        ring_clear(ring);
        memcpy(ring->key, key, KL_ROW_ID_LEN);
    }
    ivs->rings[at] = ring;
    if (at > 0) to_front(ivs, at);
    return ring;
}

static struct kl_key_ring *find_ring(struct kl_session *session, const uint8_t key[KL_ROW_ID_LEN])
{
    CK_SESSION_HANDLE handle = atomic_load_explicit(&session->handle, memory_order_relaxed);

    if (!session->ivs) session->ivs = kl_lines_new(sizeof *session->ivs);
    if (!session->ivs) return NULL;
    if (session->ivs->session != handle) empty(session->ivs, handle);
    return is_of(session->ivs->rings[0], key) ? session->ivs->rings[0] : ring_for(session->ivs, key);
}

static bool is_newest(const struct kl_key_ring *ring, size_t at)
{
    return (at + 1) % KL_IV_RING == ring->next;
}

/* What was for nothing is forgiven at once or never: the encryption with AAD must be the next under the key. */
static bool has_iv(const struct kl_key_ring *ring, const struct kl_iv *iv, bool has_aad)
{
    for (size_t i = 0; i < ring->count; i++) {
        const struct kl_iv *was = &ring->ivs[i];

        if (was->words[0] != iv->words[0] || was->words[1] != iv->words[1]) continue;
        if (was->len == iv->len) return true;
        if (was->len == (iv->len ^ FOR_NOTHING) && !(has_aad && is_newest(ring, i))) return true;
    }
    return false;
}

static enum kl_rc refuse_used(const struct kl_key_ring *ring, const struct kl_iv *iv, bool has_aad)
{
    if (ring->sieve[hole_of(iv)] != 0 && has_iv(ring, iv, has_aad))
        return kl_fail(KL_PARAMETER, "this IV has been used under this key: a second time would give the plaintexts away");
    return KL_OK;
}

static void take_in(struct kl_key_ring *ring, const struct kl_iv *iv)
{
    struct kl_iv *place = &ring->ivs[ring->next];

    if (ring->count == KL_IV_RING)
        ring->sieve[ring->holes[ring->next]]--;
    else
        ring->count++;
    *place = *iv;
    ring->holes[ring->next] = hole_of(iv);
    ring->sieve[hole_of(iv)]++;
    ring->next = (ring->next + 1) % KL_IV_RING;
    ring->used++;
}

enum kl_rc kl_iv_ring_check(struct kl_session *session, const uint8_t key[KL_ROW_ID_LEN], struct kl_view iv, bool has_aad,
                            struct kl_iv_seen *seen)
{
    struct kl_key_ring *ring = find_ring(session, key);

    KL_CHECK(ring, KL_MEMORY);
    KL_TRY(shorten(iv, &seen->iv));
    KL_TRY(refuse_used(ring, &seen->iv, has_aad));
    seen->has_aad = has_aad;
    seen->ring = ring;
    seen->used = ring->used;
    return KL_OK;
}

/* The ring that *seen is to go into, where it still may. */
static enum kl_rc ring_to_use(struct kl_session *session, const uint8_t key[KL_ROW_ID_LEN], const struct kl_iv_seen *seen,
                              struct kl_key_ring **out)
{
    struct kl_key_ring *ring = seen->ring;

    /* A ring is never given back, and that of another session or key has moved on. */
    if (ring->used != seen->used || session->ivs->rings[0] != ring) {
        ring = find_ring(session, key);
        /* not reached: the check has made one, or there are as many as there can be. */
        KL_CHECK(ring, KL_MEMORY);
        KL_TRY(refuse_used(ring, &seen->iv, seen->has_aad));
    }
    *out = ring;
    return KL_OK;
}

enum kl_rc kl_iv_ring_use(struct kl_session *session, const uint8_t key[KL_ROW_ID_LEN], const struct kl_iv_seen *seen)
{
    struct kl_key_ring *ring;

    KL_TRY(ring_to_use(session, key, seen, &ring));
    take_in(ring, &seen->iv);
    return KL_OK;
}

enum kl_rc kl_iv_ring_use_for_nothing(struct kl_session *session, const uint8_t key[KL_ROW_ID_LEN], const struct kl_iv_seen *seen)
{
    struct kl_iv iv = seen->iv;
    struct kl_key_ring *ring;

    KL_TRY(ring_to_use(session, key, seen, &ring));
    iv.len ^= FOR_NOTHING;
    take_in(ring, &iv);
    return KL_OK;
}
