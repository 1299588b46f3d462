/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/iv_ring.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"

#define IV_KEPT 16 /* longer ones by their digest */

struct ring {
    uint8_t key[KL_ROW_ID_LEN];
    uint32_t marks[KL_IV_RING]; /* of the IVs, 0: none; compared first, all at once */
    uint8_t ivs[KL_IV_RING][IV_KEPT + 1];
    unsigned next;
};

/* Belongs to the session's slot and stays with it, for its next tenant. */
struct kl_iv_ring {
    CK_SESSION_HANDLE session;
    struct ring *rings[KL_IV_RING_KEYS]; /* the one used last first */
};

struct iv {
    uint8_t bytes[IV_KEPT + 1]; /* length or 255 for a digest, then the bytes */
    uint32_t mark;
};

static enum kl_rc shorten(struct kl_view iv, struct iv *out)
{
    uint8_t digest[KL_HASH_MAX];
    uint64_t word = 0;
    uint32_t half = 0;

    memset(out, 0, sizeof *out);
    out->bytes[0] = (uint8_t)(iv.len > IV_KEPT ? 255 : iv.len);
    if (iv.len > IV_KEPT) {
        KL_TRY(kl_hash_parts(KL_SHA256, &iv, 1, digest));
        memcpy(out->bytes + 1, digest, IV_KEPT);
    } else {
        memcpy(out->bytes + 1, iv.data, iv.len);
    }
    memcpy(&word, out->bytes + 1, sizeof word);
    memcpy(&half, out->bytes + 1 + sizeof word, sizeof half);
    word = (word ^ ((uint64_t)half << 17)) * UINT64_C(0x9E3779B97F4A7C15);
    out->mark = (uint32_t)(word >> 32) | 1;
    return KL_OK;
}

static void empty(struct kl_iv_ring *ivs, CK_SESSION_HANDLE session)
{
    ivs->session = session;
    for (size_t i = 0; i < KL_IV_RING_KEYS; i++) {
        if (ivs->rings[i]) memset(ivs->rings[i], 0, sizeof *ivs->rings[i]);
    }
}

static bool is_of(const struct ring *ring, const uint8_t key[KL_ROW_ID_LEN])
{
    return ring && memcmp(ring->key, key, KL_ROW_ID_LEN) == 0;
}

static void to_front(struct kl_iv_ring *ivs, size_t at)
{
    struct ring *ring = ivs->rings[at];

    memmove(&ivs->rings[1], &ivs->rings[0], at * sizeof ivs->rings[0]);
    ivs->rings[0] = ring;
}

/* The key's ring, now the first; or a fresh one in the place of the one that lay unused longest. */
static struct ring *ring_for(struct kl_iv_ring *ivs, const uint8_t key[KL_ROW_ID_LEN])
{
    struct ring *ring;
    size_t at = 0;

    while (at < KL_IV_RING_KEYS - 1 && ivs->rings[at] && !is_of(ivs->rings[at], key)) at++;
    ring = ivs->rings[at] ? ivs->rings[at] : calloc(1, sizeof *ring);
    if (!ring) return NULL;
    if (!is_of(ring, key)) {
        memset(ring, 0, sizeof *ring);
        memcpy(ring->key, key, KL_ROW_ID_LEN);
    }
    ivs->rings[at] = ring;
    if (at > 0) to_front(ivs, at);
    return ring;
}

static struct ring *find_ring(struct kl_session *session, const uint8_t key[KL_ROW_ID_LEN])
{
    CK_SESSION_HANDLE handle = atomic_load_explicit(&session->handle, memory_order_relaxed);

    if (!session->ivs) session->ivs = calloc(1, sizeof *session->ivs);
    if (!session->ivs) return NULL;
    if (session->ivs->session != handle) empty(session->ivs, handle);
    return is_of(session->ivs->rings[0], key) ? session->ivs->rings[0] : ring_for(session->ivs, key);
}

/* Looks at all of them, so that the compiler can look at several at once. */
static bool has_mark(const struct ring *ring, uint32_t mark)
{
    uint32_t found = 0;

    for (size_t i = 0; i < KL_IV_RING; i++) found |= ring->marks[i] == mark ? 1u : 0u;
    return found != 0;
}

static bool has_iv(const struct ring *ring, const struct iv *iv)
{
    for (size_t i = 0; i < KL_IV_RING; i++) {
        if (ring->marks[i] == iv->mark && memcmp(ring->ivs[i], iv->bytes, sizeof iv->bytes) == 0) return true;
    }
    return false;
}

static enum kl_rc refuse_used(const struct ring *ring, const struct iv *iv)
{
    if (has_mark(ring, iv->mark) && has_iv(ring, iv))
        return kl_fail(KL_PARAMETER, "this IV has been used under this key: a second time would give the plaintexts away");
    return KL_OK;
}

enum kl_rc kl_iv_ring_check(struct kl_session *session, const uint8_t key[KL_ROW_ID_LEN], struct kl_view iv)
{
    const struct ring *ring = find_ring(session, key);
    struct iv is;

    KL_CHECK(ring, KL_MEMORY);
    KL_TRY(shorten(iv, &is));
    return refuse_used(ring, &is);
}

enum kl_rc kl_iv_ring_use(struct kl_session *session, const uint8_t key[KL_ROW_ID_LEN], struct kl_view iv)
{
    struct ring *ring = find_ring(session, key);
    struct iv is;

    KL_CHECK(ring, KL_MEMORY);
    KL_TRY(shorten(iv, &is));
    KL_TRY(refuse_used(ring, &is));
    ring->marks[ring->next] = is.mark;
    memcpy(ring->ivs[ring->next], is.bytes, sizeof is.bytes);
    ring->next = (ring->next + 1) % KL_IV_RING;
    return KL_OK;
}
