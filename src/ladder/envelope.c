/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "ladder/envelope.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/random.h"

/* Header: magic (2), format, algorithm, id. */
#define FORMAT_AT 2
#define ALGORITHM_AT 3
#define ID_AT 4
#define NONCE_AT KL_ENVELOPE_HEADER_LEN

static const uint8_t magic[2] = { 0x4B, 0x4C };

/* By the number in the header; 0 is none. */
static const struct algorithm {
    enum kl_aead_algorithm aead;
    size_t nonce_len;
} algorithms[] = {
    [KL_ENVELOPE_AES_256_GCM] = { KL_AEAD_AES_GCM, 12 },
    [KL_ENVELOPE_CHACHA20_POLY1305] = { KL_AEAD_CHACHA20_POLY1305, 12 },
    [KL_ENVELOPE_XAES_256_GCM] = { KL_AEAD_XAES_256_GCM, 24 },
};
#define ALGORITHMS (sizeof(algorithms) / sizeof(algorithms[0]))

struct kl_envelope {
    struct kl_key *key;
    enum kl_engine engine;
    struct kl_iv_run *ivs;
    enum kl_envelope_algorithm seals_with;
    struct kl_aead *aeads[ALGORITHMS]; /* each made when first needed */
};

uint64_t kl_envelope_number(enum kl_envelope_algorithm algorithm)
{
    return ((uint64_t)algorithm - 1) << 32 | KL_ENVELOPE_MECHANISM;
}

enum kl_rc kl_envelope_new(struct kl_key *key, const struct kl_envelope_how *how, struct kl_envelope **out)
{
    bool is_chacha = kl_key_type(key) == KL_TYPE_CHACHA20;
    struct kl_envelope *envelope;

    if (kl_key_envelope_id(key).len == 0)
        return kl_fail(KL_KEY_FUNCTION, "an imported or derived free key has no id that an envelope could name");
    envelope = calloc(1, sizeof(*envelope));
    KL_CHECK(envelope, KL_MEMORY);
    envelope->key = kl_key_get(key);
    envelope->engine = how->engine;
    envelope->ivs = how->ivs;
    envelope->seals_with = is_chacha ? KL_ENVELOPE_CHACHA20_POLY1305 : how->algorithm;
    *out = envelope;
    return KL_OK;
}

void kl_envelope_free(struct kl_envelope *envelope)
{
    if (!envelope) return;
    for (size_t i = 0; i < ALGORITHMS; i++) kl_aead_free(envelope->aeads[i]);
    kl_key_put(envelope->key);
    free(envelope);
}

size_t kl_envelope_overhead(const struct kl_envelope *envelope)
{
    return KL_ENVELOPE_HEADER_LEN + algorithms[envelope->seals_with].nonce_len + KL_ENVELOPE_TAG_LEN;
}

bool kl_envelope_is_counted(const struct kl_envelope *envelope)
{
    return envelope->seals_with != KL_ENVELOPE_XAES_256_GCM;
}

static enum kl_rc aead_of(struct kl_envelope *envelope, unsigned algorithm, struct kl_aead **out)
{
    uint64_t number = kl_envelope_number((enum kl_envelope_algorithm)algorithm);

    if (!envelope->aeads[algorithm])
        KL_TRY(kl_key_aead(envelope->key, number, envelope->engine, algorithms[algorithm].aead, &envelope->aeads[algorithm]));
    *out = envelope->aeads[algorithm];
    return KL_OK;
}

enum kl_rc kl_envelope_name(struct kl_view beginning, struct kl_named *out)
{
    unsigned most = KL_ENVELOPE_XAES_256_GCM;

    if (beginning.len < KL_ENVELOPE_HEADER_LEN || memcmp(beginning.data, magic, sizeof(magic)) != 0)
        return kl_fail(KL_CIPHERTEXT, "this is not a keyladder ciphertext");
    out->format = beginning.data[FORMAT_AT];
    out->algorithm = beginning.data[ALGORITHM_AT];
    if (out->format != 1 && out->format != 2) return kl_fail(KL_CIPHERTEXT, "a keyladder ciphertext of the unknown format %u", out->format);
    if (out->format == 2) most = KL_ENVELOPE_AES_256_GCM;
    if (out->algorithm == 0 || out->algorithm > most)
        return kl_fail(KL_CIPHERTEXT, "a keyladder ciphertext of the unknown algorithm %u", out->algorithm);
    memcpy(out->id, beginning.data + ID_AT, KL_COMMITMENT_LEN);
    return KL_OK;
}

/* Associated data: the envelope's header and nonce, and the caller's. On the heap only when they are many. */
struct bound {
    uint8_t few[256];
    uint8_t *many;
    struct kl_view bytes;
};

static enum kl_rc bind_aad(struct bound *bound, struct kl_view beginning, struct kl_view aad)
{
    size_t len = beginning.len + aad.len;
    uint8_t *to = bound->few;

    bound->many = NULL;
    KL_CHECK(aad.len <= KL_ENVELOPE_AAD_MAX, KL_PARAMETER);
    if (len > sizeof(bound->few)) {
        to = bound->many = malloc(len);
        KL_CHECK(to, KL_MEMORY);
    }
    memcpy(to, beginning.data, beginning.len);
    if (aad.len) memcpy(to + beginning.len, aad.data, aad.len);
    bound->bytes = kl_view_of(to, len);
    return KL_OK;
}

static enum kl_rc write_beginning(const struct kl_envelope *envelope, uint8_t *out)
{
    size_t nonce_len = algorithms[envelope->seals_with].nonce_len;
    struct kl_view id = kl_key_envelope_id(envelope->key);

    memcpy(out, magic, sizeof(magic));
    out[FORMAT_AT] = 1;
    out[ALGORITHM_AT] = (uint8_t)envelope->seals_with;
    memcpy(out + ID_AT, id.data, id.len);
    if (envelope->ivs && nonce_len == 12) return kl_iv_run_next(envelope->ivs, out + NONCE_AT);
    return kl_random_fill(out + NONCE_AT, nonce_len);
}

enum kl_rc kl_envelope_seal(struct kl_envelope *envelope, struct kl_view aad, struct kl_view in, struct kl_out *out)
{
    size_t nonce_len = algorithms[envelope->seals_with].nonce_len;
    struct kl_view beginning = kl_view_of(out->data, NONCE_AT + nonce_len);
    struct kl_aead_params params = { .iv = { out->data + NONCE_AT, nonce_len }, .tag_len = KL_ENVELOPE_TAG_LEN };
    uint8_t *body = out->data + beginning.len;
    struct bound bound;
    struct kl_aead *aead = NULL;
    enum kl_rc rc;

    KL_CHECK(in.len <= KL_GCM_DATA_MAX, KL_DATA_LENGTH);
    out->len = in.len + kl_envelope_overhead(envelope);
    KL_CHECK(out->cap >= out->len, KL_BUFFER);
    KL_TRY(aead_of(envelope, envelope->seals_with, &aead));
    KL_TRY(write_beginning(envelope, out->data));
    KL_TRY(bind_aad(&bound, beginning, aad));
    params.aad = bound.bytes;
    rc = kl_aead_seal(aead, &params, in, body, body + in.len);
    free(bound.many);
    return rc;
}

/* What the header says, if this key can have written it. */
static enum kl_rc read_header(const struct kl_envelope *envelope, struct kl_view in, struct kl_named *named)
{
    KL_CHECK(in.len >= KL_ENVELOPE_OVERHEAD, KL_CIPHERTEXT_LENGTH);
    KL_TRY(kl_envelope_name(in, named));
    if (named->format != 1) return kl_fail(KL_CIPHERTEXT, "this is a stream (format 2), not an envelope");
    if (!kl_view_is(kl_view_of(named->id, sizeof(named->id)), kl_key_envelope_id(envelope->key)))
        return kl_fail(KL_CIPHERTEXT, "the envelope names another key or version");
    return KL_OK;
}

static enum kl_rc open_sealed(struct kl_envelope *envelope, struct kl_view aad, struct kl_view in, struct kl_out *out)
{
    struct kl_aead_params params = { .tag_len = KL_ENVELOPE_TAG_LEN };
    struct bound bound;
    struct kl_named named = { 0 };
    struct kl_aead *aead = NULL;
    struct kl_view body;
    size_t body_at;
    enum kl_rc rc;

    KL_TRY(read_header(envelope, in, &named));
    params.iv = kl_view_of(in.data + NONCE_AT, algorithms[named.algorithm].nonce_len);
    body_at = NONCE_AT + params.iv.len;
    if (in.len < body_at + KL_ENVELOPE_TAG_LEN) return kl_fail(KL_CIPHERTEXT, "the envelope was cut off, or its algorithm was changed");
    body = kl_view_of(in.data + body_at, in.len - body_at - KL_ENVELOPE_TAG_LEN);
    KL_CHECK(body.len <= KL_GCM_DATA_MAX, KL_CIPHERTEXT_LENGTH);
    out->len = body.len;
    KL_CHECK(out->cap >= body.len, KL_BUFFER);
    KL_TRY(aead_of(envelope, named.algorithm, &aead));
    KL_TRY(bind_aad(&bound, kl_view_of(in.data, body_at), aad));
    params.aad = bound.bytes;
    rc = kl_aead_open(aead, &params, body, body.data + body.len, out->data);
    free(bound.many);
    if (rc == KL_CIPHERTEXT) return kl_fail(rc, "the envelope was changed, or its associated data is not what it was made with");
    return rc;
}

enum kl_rc kl_envelope_open(struct kl_envelope *envelope, struct kl_view aad, struct kl_view in, struct kl_out *out)
{
    size_t most = in.len < KL_ENVELOPE_OVERHEAD ? 0 : in.len - KL_ENVELOPE_OVERHEAD;
    enum kl_rc rc = open_sealed(envelope, aad, in, out);

    if (rc != KL_OK && rc != KL_BUFFER && most > 0) memset(out->data, 0, most < out->cap ? most : out->cap);
    return rc;
}
