/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/cipher_op.h"

#include <string.h>

#include "base/secret.h"
#include "token/iv_ring.h"

#define CHUNK 1024                                                /* bytes that go through `room` at once; whole blocks */
#define MOST ((size_t)SIZE_MAX / 2 / KL_AES_BLOCK * KL_AES_BLOCK) /* bytes in one call: no sum below overflows */

/* Kept by an operation slot for the next use of the same key; in the arena, since parts of plaintext wait in it. */
struct state {
    struct kl_cipher *cipher;
    uint64_t left; /* bytes that the counter has blocks for */
    uint8_t iv[KL_AES_BLOCK];
    struct kl_iv_seen seen; /* of an encryption in CTR mode */
    bool is_used;           /* of a counter: the ring of IVs has it */
    size_t held_len;
    uint8_t held[KL_AES_BLOCK]; /* input that is no whole block yet, or may be the last one */
    uint8_t room[CHUNK + KL_AES_BLOCK];
};

static size_t whole_blocks(size_t len)
{
    return len / KL_AES_BLOCK * KL_AES_BLOCK;
}

/* --- begin --- */

static enum kl_cipher_mode mode_of(const struct kl_op *op)
{
    static const enum kl_cipher_mode modes[] = {
        [KL_FAMILY_CBC] = KL_CIPHER_CBC,
        [KL_FAMILY_CTR] = KL_CIPHER_CTR,
        [KL_FAMILY_ECB] = KL_CIPHER_ECB,
    };

    return modes[op->mech->family];
}

static enum kl_rc make_cipher(const struct kl_op *op, bool encrypts, struct kl_cipher **out)
{
    KL_AUTO(kl_secret) key = { 0 };

    KL_TRY(kl_key_for_mechanism(op->key, op->mech->type, kl_key_len(op->key), &key));
    return kl_cipher_new(mode_of(op), kl_secret_view(&key), encrypts, out);
}

static enum kl_rc make_state(struct kl_op *op, bool encrypts)
{
    struct state *state = kl_arena_new(sizeof *state);
    enum kl_rc rc;

    KL_CHECK(state, KL_MEMORY);
    rc = make_cipher(op, encrypts, &state->cipher);
    if (rc == KL_OK)
        op->state = state;
    else
        kl_arena_free(state, sizeof *state);
    return rc;
}

/* Two plaintexts under one key stream give each other away. */
static enum kl_rc check_counter(struct kl_op *op, enum kl_op_kind kind, struct state *state)
{
    state->is_used = mode_of(op) != KL_CIPHER_CTR || kind != KL_OP_ENCRYPT;
    return state->is_used ? KL_OK : kl_iv_ring_check(op->session, op->row, kl_view_of(state->iv, sizeof state->iv), false, &state->seen);
}

enum kl_rc kl_cipher_op_begin(struct kl_op *op, enum kl_op_kind kind, struct kl_view iv, uint64_t most)
{
    struct state *state;

    if (!op->state) KL_TRY(make_state(op, kind == KL_OP_ENCRYPT));
    state = op->state;
    state->left = most;
    state->held_len = 0;
    if (iv.len == sizeof state->iv) memcpy(state->iv, iv.data, iv.len);
    KL_TRY(check_counter(op, kind, state));
    return kl_cipher_start(state->cipher, iv);
}

/* --- blocks --- */

static void hold(struct state *state, struct kl_view rest)
{
    memcpy(state->held + state->held_len, rest.data, rest.len);
    state->held_len += rest.len;
}

/* What is held comes first, and so the output runs ahead of the input: in place, each chunk is read before the next is overwritten. */
static enum kl_rc chunk(struct state *state, struct kl_view in, size_t len, uint8_t *out)
{
    size_t before = state->held_len;
    size_t taken = in.len < len ? in.len : len;

    memcpy(state->room, state->held, before);
    memcpy(state->room + before, in.data, taken);
    KL_TRY(kl_cipher_update(state->cipher, kl_view_of(state->room, len), out));
    state->held_len = before + taken - len;
    memcpy(state->held, state->room + len, state->held_len);
    return KL_OK;
}

/* The first `len` bytes of what is held and `in`, whole blocks; the rest is held then. */
static enum kl_rc run(struct state *state, struct kl_view in, size_t len, uint8_t *out)
{
    size_t at = 0;

    if (state->held_len == 0 && len > 0) {
        KL_TRY(kl_cipher_update(state->cipher, kl_view_of(in.data, len), out));
        at = len;
    }
    while (at < len) {
        size_t step = len - at < CHUNK ? len - at : CHUNK;

        KL_TRY(chunk(state, kl_view_of(in.data + at, in.len - at), step, out + at));
        at += step;
    }
    if (at < in.len) hold(state, kl_view_of(in.data + at, in.len - at));
    return KL_OK;
}

static enum kl_rc blocks_len(const struct kl_op *op, size_t in_len, size_t *out_len)
{
    const struct state *state = op->state;

    KL_CHECK(in_len <= MOST, KL_DATA_LENGTH);
    *out_len = whole_blocks(state->held_len + in_len);
    return KL_OK;
}

static enum kl_rc blocks(struct kl_op *op, struct kl_view in, struct kl_out *out)
{
    struct state *state = op->state;

    /* not reached: op.c has asked for the length. */
    KL_TRY(blocks_len(op, in.len, &out->len));
    return run(state, in, out->len, out->data);
}

static enum kl_rc whole_len(size_t in_len, enum kl_rc otherwise, size_t *out_len)
{
    KL_CHECK(in_len <= MOST && in_len % KL_AES_BLOCK == 0, otherwise);
    *out_len = in_len;
    return KL_OK;
}

static enum kl_rc encrypted_len(const struct kl_op *op, size_t in_len, size_t *out_len)
{
    (void)op;
    return whole_len(in_len, KL_DATA_LENGTH, out_len);
}

static enum kl_rc decrypted_len(const struct kl_op *op, size_t in_len, size_t *out_len)
{
    (void)op;
    return whole_len(in_len, KL_CIPHERTEXT_LENGTH, out_len);
}

static enum kl_rc none_left_to_encrypt(const struct kl_op *op, size_t *out_len)
{
    const struct state *state = op->state;

    *out_len = 0;
    KL_CHECK(state->held_len == 0, KL_DATA_LENGTH);
    return KL_OK;
}

static enum kl_rc none_left_to_decrypt(const struct kl_op *op, size_t *out_len)
{
    const struct state *state = op->state;

    *out_len = 0;
    KL_CHECK(state->held_len == 0, KL_CIPHERTEXT_LENGTH);
    return KL_OK;
}

static enum kl_rc nothing(struct kl_op *op, struct kl_out *out)
{
    (void)op;
    out->len = 0;
    return KL_OK;
}

/* --- padding --- */

size_t kl_padding_of(const uint8_t block[KL_AES_BLOCK])
{
    uint32_t len = block[KL_AES_BLOCK - 1];
    uint32_t bad = (len - 1) >> 4;
    uint32_t good;

    for (uint32_t i = 0; i < KL_AES_BLOCK; i++) {
        uint32_t is_padding = (i - len) >> 31;

        bad |= (0 - is_padding) & (block[KL_AES_BLOCK - 1 - i] ^ len);
    }
    good = ((bad | (0 - bad)) >> 31) ^ 1;
    return len & (0 - good);
}

static enum kl_rc padded_len(const struct kl_op *op, size_t in_len, size_t *out_len)
{
    (void)op;
    KL_CHECK(in_len <= MOST, KL_DATA_LENGTH);
    *out_len = whole_blocks(in_len) + KL_AES_BLOCK;
    return KL_OK;
}

static enum kl_rc last_block_len(const struct kl_op *op, size_t *out_len)
{
    (void)op;
    *out_len = KL_AES_BLOCK;
    return KL_OK;
}

static enum kl_rc pad(struct kl_op *op, struct kl_out *out)
{
    struct state *state = op->state;
    size_t len = KL_AES_BLOCK - state->held_len;

    memset(state->held + state->held_len, (int)len, len);
    KL_TRY(kl_cipher_update(state->cipher, kl_view_of(state->held, sizeof state->held), out->data));
    out->len = KL_AES_BLOCK;
    return KL_OK;
}

static enum kl_rc encrypt_padded(struct kl_op *op, struct kl_view in, struct kl_out *out)
{
    struct kl_out last = { 0 };

    KL_TRY(blocks(op, in, out));
    last.data = out->data + out->len;
    KL_TRY(pad(op, &last));
    out->len += last.len;
    return KL_OK;
}

/* A last block has one byte of padding at least: what is in it besides is known when it has been decrypted. */
static enum kl_rc unpadded_len(const struct kl_op *op, size_t in_len, size_t *out_len)
{
    (void)op;
    KL_CHECK(in_len > 0 && in_len <= MOST && in_len % KL_AES_BLOCK == 0, KL_CIPHERTEXT_LENGTH);
    *out_len = in_len - 1;
    return KL_OK;
}

/* Any block may be the last, so that one is always kept back. */
static enum kl_rc decrypt_update_len(const struct kl_op *op, size_t in_len, size_t *out_len)
{
    const struct state *state = op->state;

    KL_CHECK(in_len <= MOST, KL_CIPHERTEXT_LENGTH);
    *out_len = state->held_len + in_len > 0 ? whole_blocks(state->held_len + in_len - 1) : 0;
    return KL_OK;
}

static enum kl_rc decrypt_update(struct kl_op *op, struct kl_view in, struct kl_out *out)
{
    struct state *state = op->state;

    /* not reached: op.c has asked for the length. */
    KL_TRY(decrypt_update_len(op, in.len, &out->len));
    return run(state, in, out->len, out->data);
}

static enum kl_rc unpad_len(const struct kl_op *op, size_t *out_len)
{
    const struct state *state = op->state;

    *out_len = KL_AES_BLOCK - 1;
    KL_CHECK(state->held_len == KL_AES_BLOCK, KL_CIPHERTEXT_LENGTH);
    return KL_OK;
}

/* One code for whatever is wrong with it. */
static enum kl_rc unpad(struct kl_op *op, struct kl_out *out)
{
    struct state *state = op->state;
    size_t len;

    KL_TRY(kl_cipher_update(state->cipher, kl_view_of(state->held, sizeof state->held), state->room));
    len = kl_padding_of(state->room);
    KL_CHECK(len > 0, KL_CIPHERTEXT);
    out->len = KL_AES_BLOCK - len;
    memcpy(out->data, state->room, out->len);
    return KL_OK;
}

static enum kl_rc decrypt_padded(struct kl_op *op, struct kl_view in, struct kl_out *out)
{
    struct kl_out last = { 0 };
    enum kl_rc rc;

    KL_TRY(decrypt_update(op, in, out));
    last.data = out->data + out->len;
    rc = unpad(op, &last);
    if (rc != KL_OK) kl_wipe(out->data, out->len);
    out->len += last.len;
    return rc;
}

/* --- a stream --- */

/* v3.1 6.11.3: the counter's bits must not come round. */
static enum kl_rc stream_len(const struct kl_op *op, size_t in_len, size_t *out_len)
{
    const struct state *state = op->state;

    KL_CHECK(in_len <= MOST && in_len <= state->left, KL_DATA_LENGTH);
    *out_len = in_len;
    return KL_OK;
}

static enum kl_rc stream(struct kl_op *op, struct kl_view in, struct kl_out *out)
{
    struct state *state = op->state;

    out->len = in.len;
    if (in.len == 0) return KL_OK;
    /* not reached: or seldom, when another operation of the session has used it since the Init. */
    if (!state->is_used) KL_TRY(kl_iv_ring_use(op->session, op->row, &state->seen));
    state->is_used = true;
    state->left -= in.len;
    return kl_cipher_update(state->cipher, in, out->data);
}

static enum kl_rc no_len(const struct kl_op *op, size_t *out_len)
{
    (void)op;
    *out_len = 0;
    return KL_OK;
}

/* --- end --- */

void kl_cipher_op_end(struct kl_op *op)
{
    struct state *state = op->state;

    kl_wipe(state->held, sizeof state->held);
    kl_wipe(state->room, sizeof state->room);
    state->held_len = 0;
}

void kl_cipher_op_clear(struct kl_op *op)
{
    struct state *state = op->state;

    kl_cipher_free(state->cipher);
    kl_arena_free(state, sizeof *state);
    op->state = NULL;
}

const struct kl_steps kl_cipher_blocks_encrypt = {
    .once_len = encrypted_len,
    .once = blocks,
    .update_len = blocks_len,
    .update = blocks,
    .final_len = none_left_to_encrypt,
    .final = nothing,
};

const struct kl_steps kl_cipher_blocks_decrypt = {
    .once_len = decrypted_len,
    .once = blocks,
    .update_len = blocks_len,
    .update = blocks,
    .final_len = none_left_to_decrypt,
    .final = nothing,
};

const struct kl_steps kl_cipher_padded_encrypt = {
    .once_len = padded_len,
    .once = encrypt_padded,
    .update_len = blocks_len,
    .update = blocks,
    .final_len = last_block_len,
    .final = pad,
};

const struct kl_steps kl_cipher_padded_decrypt = {
    .once_len = unpadded_len,
    .once = decrypt_padded,
    .update_len = decrypt_update_len,
    .update = decrypt_update,
    .final_len = unpad_len,
    .final = unpad,
};

const struct kl_steps kl_cipher_stream = {
    .once_len = stream_len,
    .once = stream,
    .update_len = stream_len,
    .update = stream,
    .final_len = no_len,
    .final = nothing,
};
