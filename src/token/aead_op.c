/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/aead_op.h"

#include <stdlib.h>
#include <string.h>

#include "token/bulk.h"
#include "token/iv_make.h"
#include "token/iv_ring.h"

#define AAD_KEPT 65536                  /* memory that stays for the next operation */
#define WITHHELD_MAX ((size_t)64 << 20) /* of a decryption in parts: nothing is released before its tag is known to be right */

/* Kept by an operation slot for the next use of the same key. */
struct state {
    struct kl_aead *aead;
    uint8_t iv[KL_AEAD_IV_MAX];
    size_t iv_len;
    size_t tag_len;
    struct kl_iv_seen seen; /* of an encryption */
    bool is_started;
    uint64_t done;
    struct kl_bulk aad;
    struct kl_bulk withheld;
};

static bool encrypts(enum kl_op_kind kind)
{
    return kind == KL_OP_ENCRYPT || kind == KL_OP_MESSAGE_ENCRYPT;
}

/* --- begin --- */

static KL_COLD enum kl_rc make_state(struct kl_op *op, enum kl_aead_algorithm algorithm)
{
    struct state *state = kl_lines_new(sizeof *state);
    enum kl_rc rc;

    KL_CHECK(state, KL_MEMORY);
    rc = kl_key_aead(op->key, op->mech->type, op->session->token->engine, algorithm, &state->aead);
    if (rc == KL_OK)
        op->state = state;
    else
        free(state);
    return rc;
}

static enum kl_rc check_aad(struct kl_view aad)
{
    KL_CHECK(aad.len <= KL_AEAD_AAD_MAX && (aad.data || aad.len == 0), KL_PARAMETER);
    return KL_OK;
}

/* IV and tag of what follows. The IV has been chosen. */
static enum kl_rc take_iv(struct state *state, const uint8_t *iv, size_t iv_len, size_t tag_len)
{
    KL_CHECK(iv && iv_len >= 1 && iv_len <= sizeof state->iv, KL_PARAMETER);
    state->is_started = false;
    state->done = 0;
    state->tag_len = tag_len;
    state->iv_len = iv_len;
    if (iv_len == KL_IV_USUAL)
        memcpy(state->iv, iv, KL_IV_USUAL);
    else
        memcpy(state->iv, iv, iv_len);
    return KL_OK;
}

static struct kl_view iv_of(const struct state *state)
{
    return kl_view_of(state->iv, state->iv_len);
}

static enum kl_rc choose_iv(struct kl_op *op, struct state *state, uint8_t *theirs, bool has_aad)
{
    KL_TRY(kl_iv_choose(op, true, state->iv, state->iv_len, theirs));
    return kl_iv_ring_check(op->session, op->row, iv_of(state), has_aad, &state->seen);
}

static enum kl_rc check_iv_to_open(const struct kl_op *op, const struct state *state)
{
    KL_CHECK(state->iv_len == KL_IV_USUAL || !op->is_ladder, KL_PARAMETER);
    return KL_OK;
}

enum kl_rc kl_aead_op_init(struct kl_op *op, enum kl_op_kind kind, enum kl_aead_algorithm algorithm, const struct kl_aead_fields *fields)
{
    struct state *state;

    if (!op->state) KL_TRY(make_state(op, algorithm));
    state = op->state;
    if (!fields) return KL_OK;
    KL_TRY(take_iv(state, fields->iv, fields->iv_len, fields->tag_len));
    KL_TRY(check_aad(fields->aad));
    KL_TRY(kl_bulk_set(&state->aad, fields->aad));
    return encrypts(kind) ? choose_iv(op, state, fields->iv, fields->aad.len > 0) : check_iv_to_open(op, state);
}

static struct kl_aead_params params_of(const struct state *state)
{
    return (struct kl_aead_params){ iv_of(state), kl_bulk_view(&state->aad), state->tag_len };
}

/* Before the first ciphertext under it leaves. */
static enum kl_rc use_iv(struct kl_op *op, const struct state *state)
{
    /* In this order: an IV counts as used only when nothing stands between it and its ciphertext, and may be tried again otherwise. */
    KL_TRY(kl_op_spend(op));
    return kl_iv_ring_use(op->session, op->row, &state->seen);
}

/* The same for all of an encryption at once. */
static enum kl_rc use_iv_for(struct kl_op *op, const struct state *state, struct kl_view in)
{
    if (in.len > 0 || state->aad.len > 0) return use_iv(op, state);
    KL_TRY(kl_op_spend(op));
    return kl_iv_ring_use_for_nothing(op->session, op->row, &state->seen);
}

/* --- encryption --- */

static enum kl_rc sealed_len(const struct kl_op *op, size_t in_len, size_t *out_len)
{
    const struct state *state = op->state;

    KL_CHECK(in_len <= KL_GCM_DATA_MAX, KL_DATA_LENGTH);
    *out_len = in_len + state->tag_len;
    return KL_OK;
}

static KL_HOT enum kl_rc encrypt(struct kl_op *op, struct kl_view in, struct kl_out *out)
{
    struct state *state = op->state;
    struct kl_aead_params params = params_of(state);

    KL_TRY(use_iv_for(op, state, in));
    KL_TRY(kl_aead_seal(state->aead, &params, in, out->data, out->data + in.len));
    out->len = in.len + state->tag_len;
    return KL_OK;
}

static enum kl_rc start(struct kl_op *op, struct state *state)
{
    struct kl_aead_params params = params_of(state);

    if (state->is_started) return KL_OK;
    KL_TRY(use_iv(op, state));
    KL_TRY(kl_aead_start(state->aead, &params));
    state->is_started = true;
    return KL_OK;
}

static enum kl_rc encrypt_update_len(const struct kl_op *op, size_t in_len, size_t *out_len)
{
    const struct state *state = op->state;

    KL_CHECK(in_len <= KL_GCM_DATA_MAX - state->done, KL_DATA_LENGTH);
    *out_len = in_len;
    return KL_OK;
}

static enum kl_rc encrypt_update(struct kl_op *op, struct kl_view in, struct kl_out *out)
{
    struct state *state = op->state;

    if (in.len == 0) return KL_OK;
    KL_TRY(start(op, state));
    KL_TRY(kl_aead_update(state->aead, in, out->data));
    state->done += in.len;
    out->len = in.len;
    return KL_OK;
}

static enum kl_rc tag_len(const struct kl_op *op, size_t *out_len)
{
    const struct state *state = op->state;

    *out_len = state->tag_len;
    return KL_OK;
}

static enum kl_rc encrypt_final(struct kl_op *op, struct kl_out *out)
{
    struct state *state = op->state;

    KL_TRY(start(op, state));
    KL_TRY(kl_aead_finish(state->aead, out->data, state->tag_len));
    out->len = state->tag_len;
    return KL_OK;
}

/* --- decryption --- */

static enum kl_rc opened_len(const struct kl_op *op, size_t in_len, size_t *out_len)
{
    const struct state *state = op->state;

    KL_CHECK(in_len >= state->tag_len && in_len - state->tag_len <= KL_GCM_DATA_MAX, KL_CIPHERTEXT_LENGTH);
    *out_len = in_len - state->tag_len;
    return KL_OK;
}

static KL_HOT enum kl_rc decrypt(struct kl_op *op, struct kl_view in, struct kl_out *out)
{
    struct state *state = op->state;
    struct kl_aead_params params = params_of(state);
    size_t len = in.len - state->tag_len;

    KL_TRY(kl_aead_open(state->aead, &params, kl_view_of(in.data, len), in.data + len, out->data));
    out->len = len;
    return KL_OK;
}

static enum kl_rc withhold(struct state *state, struct kl_view in, size_t most)
{
    /* not reached: more than `most` is never withheld. */
    KL_CHECK(state->withheld.len <= most && in.len <= most - state->withheld.len, KL_DATA_LENGTH);
    return kl_bulk_add(&state->withheld, in);
}

static enum kl_rc decrypt_update_len(const struct kl_op *op, size_t in_len, size_t *out_len)
{
    (void)op;
    (void)in_len;
    *out_len = 0;
    return KL_OK;
}

static enum kl_rc decrypt_update(struct kl_op *op, struct kl_view in, struct kl_out *out)
{
    struct state *state = op->state;

    out->len = 0;
    return withhold(state, in, WITHHELD_MAX + state->tag_len);
}

static enum kl_rc decrypt_final_len(const struct kl_op *op, size_t *out_len)
{
    const struct state *state = op->state;

    return opened_len(op, state->withheld.len, out_len);
}

static enum kl_rc decrypt_final(struct kl_op *op, struct kl_out *out)
{
    const struct state *state = op->state;

    return decrypt(op, kl_bulk_view(&state->withheld), out);
}

/* --- messages --- */

/* A generator's IV is the token's own, and so judged as one of zero bytes; a caller's is judged as in an Init. */
static enum kl_rc choose_message_iv(struct kl_op *op, struct state *state, const struct kl_message *message)
{
    static const uint8_t zero[KL_AEAD_IV_MAX];
    bool makes = false;

    if (message->generator == CKG_NO_GENERATE) return choose_iv(op, state, message->iv, false);
    KL_TRY(kl_iv_judge(op, true, kl_view_of(zero, message->iv_len), &makes));
    KL_TRY(kl_iv_generate(op, message, state->iv));
    memcpy(message->iv, state->iv, message->iv_len);
    return kl_iv_ring_check(op->session, op->row, iv_of(state), false, &state->seen);
}

static enum kl_rc begin_message(struct kl_op *op, enum kl_op_kind kind, const struct kl_message *message, struct kl_view aad)
{
    struct state *state = op->state;

    KL_TRY(take_iv(state, message->iv, message->iv_len, message->tag_len));
    KL_TRY(check_aad(aad));
    return encrypts(kind) ? choose_message_iv(op, state, message) : check_iv_to_open(op, state);
}

enum kl_rc kl_aead_message_begin(struct kl_op *op, enum kl_op_kind kind, const struct kl_message *message, struct kl_view aad)
{
    struct state *state = op->state;

    KL_TRY(begin_message(op, kind, message, aad));
    return kl_bulk_set(&state->aad, aad);
}

enum kl_rc kl_aead_message_once(struct kl_op *op, enum kl_op_kind kind, const struct kl_message *message, const struct kl_aead_text *text,
                                struct kl_out *out)
{
    struct state *state = op->state;
    struct kl_aead_params params;

    KL_TRY(begin_message(op, kind, message, text->aad));
    params = (struct kl_aead_params){ iv_of(state), text->aad, state->tag_len };
    if (encrypts(kind)) {
        KL_TRY(use_iv(op, state));
        KL_TRY(kl_aead_seal(state->aead, &params, text->in, out->data, message->tag));
    } else {
        KL_TRY(kl_aead_open(state->aead, &params, text->in, message->tag, out->data));
    }
    out->len = text->in.len;
    return KL_OK;
}

enum kl_rc kl_aead_message_next_len(const struct kl_op *op, enum kl_op_kind kind, size_t in_len, bool is_last, size_t *out_len)
{
    const struct state *state = op->state;

    if (encrypts(kind)) return encrypt_update_len(op, in_len, out_len);
    KL_CHECK(in_len <= WITHHELD_MAX - state->withheld.len, KL_DATA_LENGTH);
    *out_len = is_last ? state->withheld.len + in_len : 0;
    return KL_OK;
}

static enum kl_rc encrypt_next(struct kl_op *op, const struct kl_message *message, struct kl_view in, bool is_last, struct kl_out *out)
{
    struct state *state = op->state;

    KL_TRY(encrypt_update(op, in, out));
    if (!is_last) return KL_OK;
    KL_TRY(start(op, state));
    return kl_aead_finish(state->aead, message->tag, state->tag_len);
}

static enum kl_rc decrypt_next(struct kl_op *op, const struct kl_message *message, struct kl_view in, bool is_last, struct kl_out *out)
{
    struct state *state = op->state;
    struct kl_aead_params params = params_of(state);

    KL_TRY(withhold(state, in, WITHHELD_MAX));
    out->len = 0;
    if (!is_last) return KL_OK;
    KL_TRY(kl_aead_open(state->aead, &params, kl_bulk_view(&state->withheld), message->tag, out->data));
    out->len = state->withheld.len;
    return KL_OK;
}

enum kl_rc kl_aead_message_next(struct kl_op *op, enum kl_op_kind kind, const struct kl_message *message, struct kl_view in, bool is_last,
                                struct kl_out *out)
{
    const struct state *state = op->state;

    /* As long as what was asked for at the beginning, so is the room for it. */
    KL_CHECK(message->tag_len == state->tag_len, KL_PARAMETER);
    return encrypts(kind) ? encrypt_next(op, message, in, is_last, out) : decrypt_next(op, message, in, is_last, out);
}

/* --- end --- */

void kl_aead_op_end(struct kl_op *op)
{
    struct state *state = op->state;

    kl_bulk_empty(&state->withheld, 0);
    kl_bulk_empty(&state->aad, AAD_KEPT);
}

void kl_aead_op_clear(struct kl_op *op)
{
    struct state *state = op->state;

    kl_aead_free(state->aead);
    kl_bulk_empty(&state->aad, 0);
    kl_bulk_empty(&state->withheld, 0);
    free(state);
    op->state = NULL;
}

const struct kl_steps kl_aead_encrypt_steps = {
    .once_len = sealed_len,
    .once = encrypt,
    .update_len = encrypt_update_len,
    .update = encrypt_update,
    .final_len = tag_len,
    .final = encrypt_final,
};

const struct kl_steps kl_aead_decrypt_steps = {
    .once_len = opened_len,
    .once = decrypt,
    .update_len = decrypt_update_len,
    .update = decrypt_update,
    .final_len = decrypt_final_len,
    .final = decrypt_final,
};
