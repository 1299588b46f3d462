/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* CKM_KL_ENVELOPE: ciphertexts that name their key (DESIGN 4.5). The parameter is the associated data. */
#include <stdlib.h>

#include "crypto/aead.h"
#include "ladder/envelope.h"
#include "token/bulk.h"
#include "token/mech.h"
#include "token/session.h"

_Static_assert(CKM_KL_ENVELOPE == KL_ENVELOPE_MECHANISM, "one number");

struct state {
    struct kl_envelope *envelope;
    struct kl_bulk aad;
};

static enum kl_rc make_state(struct kl_op *op)
{
    const struct kl_token *token = op->session->token;
    struct kl_envelope_how how = kl_ladder_envelope(token->ladder);
    struct state *state = kl_lines_new(sizeof *state);
    enum kl_rc rc;

    KL_CHECK(state, KL_MEMORY);
    how.ivs = &op->ivs;
    rc = kl_envelope_new(op->key, &how, &state->envelope);
    if (rc == KL_OK)
        op->state = state;
    else
        free(state);
    return rc;
}

static enum kl_rc init(struct kl_op *op, enum kl_op_kind kind, struct kl_view parameter)
{
    struct state *state;

    (void)kind;
    KL_CHECK(parameter.len <= KL_ENVELOPE_AAD_MAX && (parameter.data || parameter.len == 0), KL_PARAMETER);
    if (!op->state) KL_TRY(make_state(op));
    state = op->state;
    return kl_bulk_set(&state->aad, parameter);
}

static enum kl_rc sealed_len(const struct kl_op *op, size_t in_len, size_t *out_len)
{
    const struct state *state = op->state;

    KL_CHECK(in_len <= KL_GCM_DATA_MAX, KL_DATA_LENGTH);
    *out_len = in_len + kl_envelope_overhead(state->envelope);
    return KL_OK;
}

/* At most: with which algorithm it was sealed stands in the envelope, which is not looked at here. */
static enum kl_rc opened_len(const struct kl_op *op, size_t in_len, size_t *out_len)
{
    (void)op;
    KL_CHECK(in_len >= KL_ENVELOPE_OVERHEAD && in_len <= KL_GCM_DATA_MAX + KL_ENVELOPE_OVERHEAD_MAX, KL_CIPHERTEXT_LENGTH);
    *out_len = in_len - KL_ENVELOPE_OVERHEAD;
    return KL_OK;
}

static enum kl_rc encrypt(struct kl_op *op, struct kl_view in, struct kl_out *out)
{
    struct state *state = op->state;

    /* A header comes before the data: there is no room for that in place. */
    KL_CHECK(in.len == 0 || in.data != out->data, KL_ARG);
    if (kl_envelope_is_counted(state->envelope)) KL_TRY(kl_op_spend(op));
    return kl_envelope_seal(state->envelope, kl_bulk_view(&state->aad), in, out);
}

static enum kl_rc decrypt(struct kl_op *op, struct kl_view in, struct kl_out *out)
{
    struct state *state = op->state;

    KL_CHECK(in.data != out->data, KL_ARG);
    return kl_envelope_open(state->envelope, kl_bulk_view(&state->aad), in, out);
}

static void end(struct kl_op *op)
{
    struct state *state = op->state;

    kl_bulk_empty(&state->aad, KL_ENVELOPE_AAD_MAX);
}

static void clear(struct kl_op *op)
{
    struct state *state = op->state;

    kl_envelope_free(state->envelope);
    kl_bulk_empty(&state->aad, 0);
    free(state);
    op->state = NULL;
}

static const struct kl_steps encrypt_steps = { .once_len = sealed_len, .once = encrypt };
static const struct kl_steps decrypt_steps = { .once_len = opened_len, .once = decrypt };

const struct kl_mech kl_mech_envelope = {
    .type = CKM_KL_ENVELOPE,
    .name = "keyladder envelope",
    .key_types = { CKK_AES, CKK_CHACHA20, CKK_GENERIC_SECRET },
    .key_type_count = 3,
    .min_key = 16,
    .max_key = 64,
    .family = KL_FAMILY_ENVELOPE,
    .on_ladder = true,
    .parameter_is_aad = true,
    .steps = { [KL_OP_ENCRYPT] = &encrypt_steps, [KL_OP_DECRYPT] = &decrypt_steps },
    .init = init,
    .end = end,
    .clear = clear,
};
