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
#define BODY_AT (NONCE_AT + KL_ENVELOPE_NONCE_LEN)
#define AES_256_GCM 1

static const uint8_t magic[2] = { 0x4B, 0x4C };

enum kl_rc kl_envelope_name(struct kl_view beginning, struct kl_named *out)
{
    if (beginning.len < KL_ENVELOPE_HEADER_LEN || memcmp(beginning.data, magic, sizeof(magic)) != 0)
        return kl_fail(KL_CIPHERTEXT, "this is not a keyladder ciphertext");
    out->format = beginning.data[FORMAT_AT];
    out->algorithm = beginning.data[ALGORITHM_AT];
    if (out->format != 1 && out->format != 2) return kl_fail(KL_CIPHERTEXT, "a keyladder ciphertext of the unknown format %u", out->format);
    if (out->algorithm != AES_256_GCM) return kl_fail(KL_CIPHERTEXT, "a keyladder ciphertext of the unknown algorithm %u", out->algorithm);
    memcpy(out->id, beginning.data + ID_AT, KL_COMMITMENT_LEN);
    return KL_OK;
}

/* Associated data: the first `lead` bytes of the envelope and the caller's. On the heap only when they are many. */
struct bound {
    uint8_t few[256];
    uint8_t *many;
    struct kl_view bytes;
};

static enum kl_rc bind_aad(struct bound *bound, const uint8_t *envelope, struct kl_view aad)
{
    size_t len = BODY_AT + aad.len;
    uint8_t *to = bound->few;

    KL_CHECK(aad.len <= KL_ENVELOPE_AAD_MAX, KL_PARAMETER);
    if (len > sizeof(bound->few)) {
        to = bound->many = malloc(len);
        KL_CHECK(to, KL_MEMORY);
    }
    memcpy(to, envelope, BODY_AT);
    if (aad.len) memcpy(to + BODY_AT, aad.data, aad.len);
    bound->bytes = kl_view_of(to, len);
    return KL_OK;
}

enum kl_rc kl_envelope_seal(struct kl_aead *aead, const struct kl_key *key, struct kl_view aad, struct kl_view in, uint8_t *out)
{
    struct kl_aead_params params = { .iv = { out + NONCE_AT, KL_ENVELOPE_NONCE_LEN }, .tag_len = KL_ENVELOPE_TAG_LEN };
    struct bound bound = { .many = NULL };
    struct kl_view id = kl_key_envelope_id(key);
    enum kl_rc rc;

    if (id.len == 0) return kl_fail(KL_KEY_FUNCTION, "an imported key has no commitment and makes no envelopes");
    memcpy(out, magic, sizeof(magic));
    out[FORMAT_AT] = 1;
    out[ALGORITHM_AT] = AES_256_GCM;
    memcpy(out + ID_AT, id.data, id.len);
    KL_TRY(kl_random_fill(out + NONCE_AT, KL_ENVELOPE_NONCE_LEN));
    KL_TRY(bind_aad(&bound, out, aad));
    params.aad = bound.bytes;
    rc = kl_aead_seal(aead, &params, in, out + BODY_AT, out + BODY_AT + in.len);
    free(bound.many);
    return rc;
}

enum kl_rc kl_envelope_open(struct kl_aead *aead, const struct kl_key *key, struct kl_view aad, struct kl_view in, uint8_t *out)
{
    struct kl_aead_params params = { .tag_len = KL_ENVELOPE_TAG_LEN };
    struct bound bound = { .many = NULL };
    struct kl_named named;
    struct kl_view id = kl_key_envelope_id(key);
    struct kl_view body;
    enum kl_rc rc;

    KL_CHECK(in.len >= KL_ENVELOPE_OVERHEAD, KL_CIPHERTEXT_LENGTH);
    body = kl_view_of(in.data + BODY_AT, in.len - KL_ENVELOPE_OVERHEAD);
    memset(out, 0, body.len);
    if (id.len == 0) return kl_fail(KL_KEY_FUNCTION, "an imported key has no commitment and makes no envelopes");
    KL_TRY(kl_envelope_name(in, &named));
    if (named.format != 1) return kl_fail(KL_CIPHERTEXT, "this is a stream (format 2), not an envelope");
    if (!kl_view_is(kl_view_of(named.id, sizeof(named.id)), id)) return kl_fail(KL_CIPHERTEXT, "the envelope names another key or version");
    params.iv = kl_view_of(in.data + NONCE_AT, KL_ENVELOPE_NONCE_LEN);
    KL_TRY(bind_aad(&bound, in.data, aad));
    params.aad = bound.bytes;
    rc = kl_aead_open(aead, &params, body, body.data + body.len, out);
    free(bound.many);
    if (rc == KL_CIPHERTEXT) return kl_fail(rc, "the envelope was changed, or its associated data is not what it was made with");
    return rc;
}
