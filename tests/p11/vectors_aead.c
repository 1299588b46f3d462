/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* AES-GCM and ChaCha20-Poly1305: what each vector must come to. */
#include "vectors_aead.h"

enum { TAG_MIN = 96 / 8, IV_MAX = 128, CHACHA_NONCE = 12, CHACHA_TAG = 16 };
enum { SEALING = 1, OPENING = 2 };

const struct aead aead_gcm = { "AES-GCM", CKM_AES_GCM, CKK_AES };
const struct aead aead_chacha = { "ChaCha20-Poly1305", CKM_CHACHA20_POLY1305, CKK_CHACHA20 };

static const struct {
    const char *seal, *open, *bad;
} steps[WAYS] = {
    [ONCE] = { "sealing", "opening", "opening under a bad tag" },
    [IN_BITS] = { "sealing by bits", "opening by bits", "opening by bits under a bad tag" },
    [IN_PARTS] = { "sealing in parts", "opening in parts", "opening in parts under a bad tag" },
    [A_MESSAGE] = { "sealing a message", "opening a message", "opening a message under a bad tag" },
    [MESSAGE_IN_PARTS] = { "sealing a message in parts", "opening a message in parts", "opening a message in parts under a bad tag" },
};

/* ---- what must be refused before any key is used ---- */

/* Why the token must refuse these parameters, or NULL. */
static const char *refusal(const struct aead *aead, const struct aead_case *c)
{
    if (aead->mech == CKM_CHACHA20_POLY1305) return c->iv.len == CHACHA_NONCE ? NULL : "a nonce of another length than 12";
    if (c->iv.len == 0) return "no IV";
    if (c->iv.len > IV_MAX) return "IV over 128 bytes";
    if (c->tag.len < TAG_MIN) return "tag under 96 bits";
    return NULL;
}

/* True if the answer is the end of it. Of GCM's parameters others than ours may have another opinion. */
static bool is_refused(const struct aead *aead, const struct aead_case *c, CK_RV rv)
{
    const char *why = refusal(aead, c);

    if (!why) return false;
    if (aead->mech == CKM_AES_GCM && p11_kind != KEYLADDER && rv != CKR_MECHANISM_PARAM_INVALID && !is_known(why, rv)) return false;
    if (ANSWERS(why, rv, CKR_MECHANISM_PARAM_INVALID)) vector_is(REFUSED, "%s", why);
    return true;
}

/* ---- one way, one direction ---- */

static void check_seal(const struct aead *aead, struct aead_case *c, enum way way, const struct bytes *sealed)
{
    static struct bytes out;
    CK_RV rv = CKR_OK;

    if (!aead_seal(aead, c, way, &out, &rv) || is_refused(aead, c, rv)) return;
    if (!ANSWERS(steps[way].seal, rv, CKR_OK)) return;
    if (c->valid)
        SAME(refusal(aead, c) ? refusal(aead, c) : steps[way].seal, &out, sealed);
    else if (bytes_equal(&out, sealed))
        ANSWERS("sealing gives an invalid vector", WRONG_BYTES, CKR_OK);
}

static bool has_leaked(const struct aead_case *c, const struct bytes *out)
{
    for (size_t i = 0; i < c->ct.len; i++)
        if (out->data[i] != 0xa5 && out->data[i] != 0) return true;
    return false;
}

static void check_bad(const struct aead_case *c, enum way way, const struct bytes *out, CK_RV rv)
{
    if (ANSWERS(steps[way].bad, rv, way < A_MESSAGE ? CKR_ENCRYPTED_DATA_INVALID : CKR_AEAD_DECRYPT_FAILED) && has_leaked(c, out))
        ANSWERS("bytes came out under a bad tag", WRONG_BYTES, CKR_OK);
}

static void check_open(const struct aead *aead, struct aead_case *c, enum way way)
{
    static struct bytes out;
    CK_RV rv = CKR_OK;

    memset(out.data, 0xa5, c->ct.len + c->tag.len);
    if (!aead_open(aead, c, way, &out, &rv) || is_refused(aead, c, rv)) return;
    if (c->early) ANSWERS("bytes came out before the tag was checked", WRONG_BYTES, CKR_OK);
    if (!c->valid)
        check_bad(c, way, &out, rv);
    else if (ANSWERS(steps[way].open, rv, CKR_OK))
        SAME(steps[way].open, &out, &c->msg);
}

/* ---- one vector ---- */

/* The ways that this module has. */
static unsigned ways;

static void find_ways(const struct aead *aead)
{
    static const struct aead *known;

    if (aead == known) return;
    known = aead;
    ways = 0;
    for (enum way way = ONCE; way < WAYS; way++)
        if (aead_has_way(aead, way)) ways |= 1U << way;
}

static void check(const struct aead *aead, struct aead_case *c, int directions)
{
    static struct bytes sealed;

    sealed.len = c->ct.len + c->tag.len;
    memcpy(sealed.data, c->ct.data, c->ct.len);
    memcpy(sealed.data + c->ct.len, c->tag.data, c->tag.len);
    for (enum way way = ONCE; way < WAYS; way++) {
        if (!(ways & 1U << way) || (way == IN_BITS && refusal(aead, c))) continue;
        if (directions & SEALING) check_seal(aead, c, way, &sealed);
        if (directions & OPENING) check_open(aead, c, way);
    }
    vector_is(PASSED, c->valid ? "sealed and opened" : "bad tag refused");
}

/* ---- files ---- */

static void gcm_record(const struct family *family, const struct rsp *rsp)
{
    static struct aead_case c;

    rsp_bytes(rsp, "Key", &c.key);
    rsp_bytes(rsp, "IV", &c.iv);
    rsp_bytes(rsp, "AAD", &c.aad);
    rsp_bytes(rsp, "PT", &c.msg);
    rsp_bytes(rsp, "CT", &c.ct);
    rsp_bytes(rsp, "Tag", &c.tag);
    c.valid = !rsp_text(rsp, "FAIL");
    check(family->detail, &c, c.valid ? SEALING | OPENING : OPENING);
}

void gcm_nist(const struct family *family)
{
    find_ways(family->detail);
    rsp_each(family, gcm_record);
}

static void aead_test(const struct family *family, json_t *test)
{
    static struct aead_case c;
    const struct aead *aead = family->detail;

    json_bytes(test, "key", &c.key);
    json_bytes(test, "iv", &c.iv);
    json_bytes(test, "aad", &c.aad);
    json_bytes(test, "msg", &c.msg);
    json_bytes(test, "ct", &c.ct);
    json_bytes(test, "tag", &c.tag);
    c.valid = is_valid(test);
    /* A nonce of a wrong length comes with no tag. */
    if (aead->mech == CKM_CHACHA20_POLY1305 && refusal(aead, &c)) c.tag.len = CHACHA_TAG;
    check(aead, &c, SEALING | OPENING);
}

void aead_wycheproof(const struct family *family)
{
    find_ways(family->detail);
    wycheproof_each(family, aead_test);
}

/* ---- any chunking equals one call ---- */

static void random_bytes(struct bytes *out, size_t len)
{
    out->len = len;
    rng_fill(&rng, out->data, len);
}

static void random_case(const struct aead *aead, struct aead_case *c)
{
    bool gcm = aead->mech == CKM_AES_GCM;

    random_bytes(&c->key, gcm ? 16 + 8 * (rng_next(&rng) % 3) : 32);
    random_bytes(&c->iv, 12);
    random_bytes(&c->aad, rng_next(&rng) % 100);
    random_bytes(&c->msg, rng_next(&rng) % (rng_next(&rng) % 4 ? 200 : 8000));
    c->tag.len = gcm ? 12 + rng_next(&rng) % 5 : CHACHA_TAG;
    c->valid = true;
}

static void chunks_round(const struct aead *aead, struct aead_case *c)
{
    static struct bytes sealed;
    CK_RV rv = CKR_OK;

    if (!aead_seal(aead, c, ONCE, &sealed, &rv) || !ANSWERS("sealing", rv, CKR_OK)) return;
    c->ct.len = c->msg.len;
    memcpy(c->ct.data, sealed.data, c->ct.len);
    memcpy(c->tag.data, sealed.data + c->ct.len, c->tag.len);
    check(aead, c, SEALING | OPENING);
}

void aead_chunks(const struct family *family)
{
    static struct aead_case c;

    find_ways(family->detail);
    for (unsigned i = 0; i < family->vectors; i++) {
        vector_begin("round %u", i);
        random_case(family->detail, &c);
        chunks_round(family->detail, &c);
        vector_end();
    }
}
