/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Ciphertexts that name their key: what was sealed opens to the same, and nothing else opens. */
#include "base/secret.h"
#include "fuzz.h"
#include "ladder/envelope.h"
#include "ladder/key.h"

enum { KEYS = 3, SEALED_CHUNK = KL_STREAM_CHUNK + KL_ENVELOPE_TAG_LEN };

static struct kl_key *keys[KEYS];

void fuzz_begin(void)
{
    static const uint64_t types[KEYS] = { KL_TYPE_AES, KL_TYPE_CHACHA20, KL_TYPE_GENERIC };

    world_begin();
    for (size_t i = 0; i < KEYS; i++) {
        struct kl_secret value = { 0 };

        MUST(kl_random_secret(&value, 32) == KL_OK && kl_key_new(&value, types[i], true, &keys[i]) == KL_OK);
    }
}

/* --- envelopes, from inside --- */

static struct kl_envelope *envelope_of(struct kl_key *key)
{
    static const enum kl_envelope_algorithm ways[] = { KL_ENVELOPE_AES_256_GCM, KL_ENVELOPE_XAES_256_GCM };
    static const enum kl_engine engines[] = { KL_ENGINE_AUTO, KL_ENGINE_OPENSSL };
    struct kl_envelope_how how = { .algorithm = ways[choice(2)], .engine = engines[choice(2)] };
    struct kl_envelope *envelope = NULL;

    MUST(kl_envelope_new(key, &how, &envelope) == KL_OK);
    return envelope;
}

/* Room as it is asked for: too little, just enough, or more. */
static struct kl_out room_for(size_t need)
{
    size_t cap = need;

    if (choice(4) == 1) cap = need > 0 ? need - 1 : 0;
    if (choice(4) == 1) cap = need + 17;
    return (struct kl_out){ room(cap), cap, 0 };
}

static void open_one(struct kl_envelope *envelope, struct kl_view aad, struct kl_view in, const struct kl_view *is)
{
    struct kl_out out = room_for(in.len < KL_ENVELOPE_OVERHEAD ? 0 : in.len - KL_ENVELOPE_OVERHEAD);
    enum kl_rc rc = kl_envelope_open(envelope, aad, in, &out);

    if (rc == KL_BUFFER) {
        MUST(out.len > out.cap && out.len < in.len);
        return;
    }
    MUST((rc == KL_OK) == (is != NULL));
    MUST(rc == KL_OK || rc == KL_CIPHERTEXT || rc == KL_CIPHERTEXT_LENGTH);
    if (rc == KL_OK) MUST(kl_view_is(kl_view_of(out.data, out.len), *is));
    if (rc != KL_OK)
        for (size_t i = 0; i + KL_ENVELOPE_OVERHEAD < in.len && i < out.cap; i++) MUST(out.data[i] == 0);
}

static void seal_and_open(void)
{
    struct kl_envelope *envelope = envelope_of(keys[choice(KEYS)]);
    struct kl_view aad = bytes(600), plain = bytes(3000), sealed, changed, other;
    struct kl_out out = { .cap = plain.len + kl_envelope_overhead(envelope) };

    out.data = room(out.cap);
    MUST(kl_envelope_seal(envelope, aad, plain, &out) == KL_OK && out.len == out.cap);
    sealed = kl_view_of(lend_copy(out.data, out.len), out.len);
    changed = mutated(sealed);
    other = mutated(aad);
    open_one(envelope, other, changed, kl_view_is(changed, sealed) && kl_view_is(aad, other) ? &plain : NULL);
    kl_envelope_free(envelope);
}

/* Any bytes with the key's own id: only the tag is in the way. */
static void open_forged(void)
{
    struct kl_key *key = keys[choice(KEYS)];
    struct kl_envelope *envelope = envelope_of(key);
    bool has_id = choice(4) != 1;
    struct kl_view aad = bytes(20), in = rest(), id = kl_key_envelope_id(key);
    uint8_t *text = lend_copy(in.data, in.len);
    struct kl_named named;

    if (has_id && in.len >= 4 + id.len) memcpy(text + 4, id.data, id.len);
    if (kl_envelope_name(kl_view_of(text, in.len), &named) == KL_OK)
        MUST(in.len >= KL_ENVELOPE_HEADER_LEN && named.format >= 1 && named.format <= 2 && named.algorithm >= 1 && named.algorithm <= 3);
    open_one(envelope, aad, kl_view_of(text, in.len), NULL);
    kl_envelope_free(envelope);
}

/* --- streams, as keyladder decrypt reads them --- */

/* True: all of it opened, to *out. */
static bool open_stream(struct kl_key *key, struct kl_view aad, struct kl_view in, struct kl_view *out)
{
    struct kl_stream *stream = NULL;
    uint8_t *plain = room(in.len), *to = plain;
    bool last = false;
    enum kl_rc rc;

    if (in.len < KL_STREAM_HEADER_LEN) return false;
    rc = kl_stream_decrypt(key, aad, in.data, &stream);
    in = kl_view_of(in.data + KL_STREAM_HEADER_LEN, in.len - KL_STREAM_HEADER_LEN);
    while (rc == KL_OK && !last) {
        size_t len = in.len < SEALED_CHUNK ? in.len : SEALED_CHUNK;
        struct kl_view chunk = kl_view_of(lend_copy(in.data, len), len);

        last = in.len <= SEALED_CHUNK;
        rc = kl_stream_chunk(stream, chunk, last, to);
        if (rc == KL_OK) to += len - KL_ENVELOPE_TAG_LEN;
        in = kl_view_of(in.data + len, in.len - len);
    }
    MUST(rc == KL_OK || rc == KL_CIPHERTEXT);
    if (stream != NULL) MUST(kl_stream_chunk(stream, in, true, to) == KL_NO_OPERATION || rc == KL_CIPHERTEXT);
    kl_stream_free(stream);
    *out = kl_view_of(plain, (size_t)(to - plain));
    return rc == KL_OK;
}

static struct kl_view seal_stream(struct kl_key *key, struct kl_view aad, struct kl_view plain)
{
    size_t chunks = plain.len == 0 ? 1 : (plain.len + KL_STREAM_CHUNK - 1) / KL_STREAM_CHUNK;
    size_t len = KL_STREAM_HEADER_LEN + plain.len + chunks * KL_ENVELOPE_TAG_LEN;
    uint8_t *sealed = room(len), *to = sealed + KL_STREAM_HEADER_LEN;
    struct kl_stream *stream = NULL;

    MUST(kl_stream_encrypt(key, aad, sealed, &stream) == KL_OK);
    for (size_t i = 0; i < chunks; i++) {
        size_t part = plain.len < KL_STREAM_CHUNK ? plain.len : KL_STREAM_CHUNK;

        MUST(kl_stream_chunk(stream, kl_view_of(plain.data, part), i + 1 == chunks, to) == KL_OK);
        to += part + KL_ENVELOPE_TAG_LEN;
        plain = kl_view_of(plain.data + part, plain.len - part);
    }
    kl_stream_free(stream);
    return kl_view_of(sealed, len);
}

/* Chunks left out, twice there, or the other way round. */
static struct kl_view shuffled(struct kl_view in)
{
    size_t chunks = (in.len - KL_STREAM_HEADER_LEN + SEALED_CHUNK - 1) / SEALED_CHUNK, len = KL_STREAM_HEADER_LEN;
    uint8_t *out = lend(in.len + 2 * SEALED_CHUNK);

    memcpy(out, in.data, len);
    for (size_t i = choice(chunks + 2); i > 0; i--) {
        size_t at = KL_STREAM_HEADER_LEN + choice(chunks) * SEALED_CHUNK, part = in.len - at;

        if (part > SEALED_CHUNK) part = SEALED_CHUNK;
        if (len + part > in.len + 2 * SEALED_CHUNK) break;
        memcpy(out + len, in.data + at, part);
        len += part;
    }
    return kl_view_of(lend_copy(out, len), len);
}

static void seal_and_open_stream(void)
{
    static const size_t lengths[] = { KL_STREAM_CHUNK, KL_STREAM_CHUNK - 1, KL_STREAM_CHUNK + 1, 2 * KL_STREAM_CHUNK,
                                      2 * KL_STREAM_CHUNK + 7 };
    struct kl_key *key = keys[choice(KEYS)];
    size_t pick = byte();
    struct kl_view aad = bytes(40), plain = bytes(600), sealed, changed, other, out = { 0 };
    bool opened;

    if (pick < COUNT(lengths)) plain = kl_view_of(lend(lengths[pick]), lengths[pick]);
    sealed = seal_stream(key, aad, plain);
    changed = choice(2) ? mutated(sealed) : shuffled(sealed);
    other = mutated(aad);
    opened = open_stream(key, other, changed, &out);
    MUST(opened == (kl_view_is(changed, sealed) && kl_view_is(other, aad)));
    if (opened) MUST(kl_view_is(out, plain));
}

static void open_forged_stream(void)
{
    struct kl_key *key = keys[choice(KEYS)];
    struct kl_view in = rest(), id = kl_key_envelope_id(key), out = { 0 };
    uint8_t *text = lend_copy(in.data, in.len);

    if (in.len >= 4 + id.len) memcpy(text + 4, id.data, id.len);
    MUST(!open_stream(key, kl_view_of(NULL, 0), kl_view_of(text, in.len), &out));
}

/* --- as a client has them --- */

static CK_OBJECT_HANDLE any_key(CK_SESSION_HANDLE session, size_t token)
{
    CK_HKDF_PARAMS hkdf = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, (CK_BYTE *)(uintptr_t) "4711", 4 };
    CK_MECHANISM mechanism = { CKM_HKDF_DERIVE, &hkdf, sizeof hkdf };
    CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_FALSE), A_ULONG(CKA_KEY_TYPE, choice(2) ? CKK_AES : CKK_CHACHA20) };
    CK_OBJECT_HANDLE key = 0;

    switch (choice(4)) {
    case 0:
        return world.deks[token];
    case 1:
        return world.feks[token];
    case 2:
        return world.frees[token];
    default:
        NEED(C_DeriveKey(session, &mechanism, world.feks[token], template, COUNT(template), &key));
        return key;
    }
}

static struct kl_view encrypted(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, struct kl_view aad, struct kl_view plain)
{
    CK_MECHANISM mechanism = { CKM_KL_ENVELOPE, (void *)(uintptr_t)aad.data, aad.len };
    CK_ULONG len = 0;
    uint8_t *out;

    NEED(C_EncryptInit(session, &mechanism, key));
    NEED(C_Encrypt(session, (CK_BYTE *)(uintptr_t)plain.data, plain.len, NULL, &len));
    out = room(len);
    NEED(C_Encrypt(session, (CK_BYTE *)(uintptr_t)plain.data, plain.len, out, &len));
    return kl_view_of(out, len);
}

static void by_client(void)
{
    size_t token = choice(TOKENS);
    CK_SESSION_HANDLE session = session_on(token);
    CK_OBJECT_HANDLE key = any_key(session, token);
    struct kl_view aad = bytes(300), plain = bytes(500), sealed = encrypted(session, key, aad, plain), changed = mutated(sealed);
    struct kl_view other = mutated(aad);
    bool same = kl_view_is(changed, sealed) && kl_view_is(other, aad);
    CK_MECHANISM mechanism = { CKM_KL_ENVELOPE, (void *)(uintptr_t)other.data, other.len };
    CK_ULONG len = changed.len < KL_ENVELOPE_OVERHEAD ? 0 : changed.len - KL_ENVELOPE_OVERHEAD, cap;
    uint8_t *out;
    CK_RV rv;

    if (choice(3) == 1 && len > 0) len--;
    cap = len;
    out = room(cap);
    NEED(C_DecryptInit(session, &mechanism, key));
    rv = C_Decrypt(session, (CK_BYTE *)(uintptr_t)changed.data, changed.len, out, &len);
    if (rv == CKR_BUFFER_TOO_SMALL) {
        MUST(len > cap && len < changed.len);
        cap = len;
        out = room(cap);
        rv = C_Decrypt(session, (CK_BYTE *)(uintptr_t)changed.data, changed.len, out, &len);
    }
    MUST((rv == CKR_OK) == same);
    if (rv == CKR_OK) MUST(kl_view_is(kl_view_of(out, len), plain));
    if (rv != CKR_OK) MUST(C_Decrypt(session, (CK_BYTE *)(uintptr_t)sealed.data, sealed.len, out, &len) == CKR_OPERATION_NOT_INITIALIZED);
}

void fuzz_one(void)
{
    static void (*const ways[])(void) = { seal_and_open, open_forged, seal_and_open_stream, open_forged_stream, by_client };

    ways[choice(COUNT(ways))]();
    world_reset();
}
