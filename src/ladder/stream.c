/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Streams of any size: format 2 of doc/format.md, chunks that can be neither reordered, dropped, repeated nor cut off. */
#include "ladder/envelope.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "crypto/random.h"
#include "ladder/internal.h"

#define HEADER_LEN KL_ENVELOPE_HEADER_LEN
#define SALT_LEN 32
#define TAG_LEN 16
#define NONCE_LEN 12

struct kl_stream {
    struct kl_aead *aead;
    bool encrypts;
    bool is_done;
    bool has_begun;
    uint64_t counter; /* of the 88 bits in the nonce these are enough: 2^64 chunks are 2^80 bytes */
};

static enum kl_rc file_key(const struct kl_key *key, struct kl_view aad, const uint8_t header[KL_STREAM_HEADER_LEN], struct kl_secret *out)
{
    static const char label[] = "keyladder/1/stream";
    uint8_t info[sizeof(label) - 1 + HEADER_LEN + KL_SHA256_LEN];
    struct kl_writer writer = { info, sizeof(info), 0 };
    uint8_t digest[KL_SHA256_LEN];
    KL_AUTO(kl_secret) subkey = { 0 };
    KL_AUTO(kl_secret) made = { 0 };

    KL_TRY(kl_hash_parts(KL_SHA256, &aad, 1, digest));
    kl_write_raw(&writer, kl_view_text(label));
    kl_write_raw(&writer, kl_view_of(header, HEADER_LEN));
    kl_write_raw(&writer, kl_view_of(digest, sizeof(digest)));
    KL_TRY(kl_key_subkey(key, "stream", &subkey));
    KL_TRY(kl_secret_new(&made, 32));
    KL_TRY(kl_hkdf(KL_SHA256, kl_view_of(header + HEADER_LEN, SALT_LEN), kl_secret_view(&subkey), kl_view_of(info, writer.len), made.data,
                   made.len));
    kl_secret_take(out, &made);
    return KL_OK;
}

static enum kl_rc open_stream(const struct kl_key *key, struct kl_view aad, const uint8_t header[KL_STREAM_HEADER_LEN], bool encrypts,
                              struct kl_stream **out)
{
    KL_AUTO(kl_secret) file = { 0 };
    struct kl_stream *stream;
    enum kl_rc rc;

    KL_TRY(file_key(key, aad, header, &file));
    stream = calloc(1, sizeof(*stream));
    KL_CHECK(stream, KL_MEMORY);
    stream->encrypts = encrypts;
    rc = kl_aead_new(KL_AEAD_AES_GCM, kl_secret_view(&file), &stream->aead);
    if (rc != KL_OK) {
        free(stream);
        return rc;
    }
    *out = stream;
    return KL_OK;
}

/* Whose id a stream under this key carries; only keys that make envelopes make streams. */
static enum kl_rc stream_id(const struct kl_key *key, struct kl_view *id)
{
    *id = kl_key_envelope_id(key);
    if (id->len) return KL_OK;
    return kl_fail(KL_KEY_FUNCTION, "an imported key has no commitment and makes no streams");
}

enum kl_rc kl_stream_encrypt(const struct kl_key *key, struct kl_view aad, uint8_t header[KL_STREAM_HEADER_LEN], struct kl_stream **out)
{
    static const uint8_t head[4] = { 0x4B, 0x4C, 2, 1 };
    struct kl_view id;

    KL_TRY(stream_id(key, &id));
    memcpy(header, head, sizeof(head));
    memcpy(header + sizeof(head), id.data, id.len);
    KL_TRY(kl_random_fill(header + HEADER_LEN, SALT_LEN));
    return open_stream(key, aad, header, true, out);
}

enum kl_rc kl_stream_decrypt(const struct kl_key *key, struct kl_view aad, const uint8_t header[KL_STREAM_HEADER_LEN],
                             struct kl_stream **out)
{
    struct kl_named named;
    struct kl_view id;

    KL_TRY(stream_id(key, &id));
    KL_TRY(kl_envelope_name(kl_view_of(header, KL_STREAM_HEADER_LEN), &named));
    if (named.format != 2) return kl_fail(KL_CIPHERTEXT, "this is an envelope (format 1), not a stream");
    if (!kl_view_is(kl_view_of(named.id, sizeof(named.id)), id)) return kl_fail(KL_CIPHERTEXT, "the stream names another key or version");
    return open_stream(key, aad, header, false, out);
}

void kl_stream_free(struct kl_stream *stream)
{
    if (!stream) return;
    kl_aead_free(stream->aead);
    free(stream);
}

static void make_nonce(const struct kl_stream *stream, bool last, uint8_t nonce[NONCE_LEN])
{
    memset(nonce, 0, NONCE_LEN);
    for (int i = 0; i < 8; i++) nonce[3 + i] = (uint8_t)(stream->counter >> (8 * (7 - i)));
    nonce[NONCE_LEN - 1] = last;
}

/* Only the last chunk may be short, and it is empty only where the whole stream is. */
static bool is_fit(const struct kl_stream *stream, size_t plain_len, bool last)
{
    if (plain_len > KL_STREAM_CHUNK) return false;
    if (!last) return plain_len == KL_STREAM_CHUNK;
    return plain_len > 0 || !stream->has_begun;
}

enum kl_rc kl_stream_chunk(struct kl_stream *stream, struct kl_view in, bool last, uint8_t *out)
{
    uint8_t nonce[NONCE_LEN];
    struct kl_aead_params params = { .iv = { nonce, NONCE_LEN }, .tag_len = TAG_LEN };
    size_t overhead = stream->encrypts ? 0 : TAG_LEN;
    size_t plain_len = in.len - overhead;
    enum kl_rc rc;

    KL_CHECK(!stream->is_done, KL_NO_OPERATION);
    if (in.len < overhead || !is_fit(stream, plain_len, last)) {
        return stream->encrypts ? KL_DATA_LENGTH : kl_fail(KL_CIPHERTEXT, "the stream was cut off or has a chunk of the wrong size");
    }
    make_nonce(stream, last, nonce);
    if (stream->encrypts)
        rc = kl_aead_seal(stream->aead, &params, in, out, out + in.len);
    else
        rc = kl_aead_open(stream->aead, &params, kl_view_of(in.data, plain_len), in.data + plain_len, out);
    stream->counter++;
    stream->has_begun = true;
    stream->is_done = last || rc != KL_OK;
    if (rc == KL_CIPHERTEXT) {
        return kl_fail(
            rc,
            "chunk %llu of the stream does not open: it was changed, moved or cut off, or the associated data is not what it was made with",
            (unsigned long long)stream->counter);
    }
    return rc;
}
