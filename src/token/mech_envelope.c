/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* CKM_KL_ENVELOPE: ciphertexts that name their key (DESIGN 4.5). The parameter is the associated data. */
#include <stdlib.h>

#include "crypto/aead.h"
#include "ladder/envelope.h"
#include "token/bulk.h"
#include "token/mech.h"

_Static_assert(CKM_KL_ENVELOPE == KL_ENVELOPE_MECHANISM, "one number");

struct envelope {
    struct kl_aead *aead;
    struct kl_bulk aad;
};

static enum kl_rc make_state(struct kl_op *op)
{
    struct envelope *envelope = calloc(1, sizeof *envelope);
    enum kl_rc rc;

    KL_CHECK(envelope, KL_MEMORY);
    rc = kl_key_aead(op->key, CKM_KL_ENVELOPE, KL_AEAD_AES_GCM, &envelope->aead);
    if (rc == KL_OK)
        op->state = envelope;
    else
        free(envelope);
    return rc;
}

static enum kl_rc init(struct kl_op *op, enum kl_op_kind kind, struct kl_view parameter)
{
    struct envelope *envelope;

    (void)kind;
    KL_CHECK(parameter.len <= KL_ENVELOPE_AAD_MAX && (parameter.data || parameter.len == 0), KL_PARAMETER);
    if (kl_key_envelope_id(op->key).len == 0) {
        return kl_fail(KL_KEY_FUNCTION, "an imported or derived free key has no id that an envelope could name");
    }
    if (!op->state) KL_TRY(make_state(op));
    envelope = op->state;
    return kl_bulk_set(&envelope->aad, parameter);
}

static enum kl_rc sealed_len(const struct kl_op *op, size_t in_len, size_t *out_len)
{
    (void)op;
    KL_CHECK(in_len <= KL_GCM_DATA_MAX, KL_DATA_LENGTH);
    *out_len = in_len + KL_ENVELOPE_OVERHEAD;
    return KL_OK;
}

static enum kl_rc opened_len(const struct kl_op *op, size_t in_len, size_t *out_len)
{
    (void)op;
    KL_CHECK(in_len >= KL_ENVELOPE_OVERHEAD && in_len - KL_ENVELOPE_OVERHEAD <= KL_GCM_DATA_MAX, KL_CIPHERTEXT_LENGTH);
    *out_len = in_len - KL_ENVELOPE_OVERHEAD;
    return KL_OK;
}

static enum kl_rc encrypt(struct kl_op *op, struct kl_view in, struct kl_out *out)
{
    struct envelope *envelope = op->state;

    /* A header comes before the data: there is no room for that in place. */
    KL_CHECK(in.len == 0 || in.data != out->data, KL_ARG);
    KL_TRY(kl_envelope_seal(envelope->aead, op->key, kl_bulk_view(&envelope->aad), in, out->data));
    out->len = in.len + KL_ENVELOPE_OVERHEAD;
    return KL_OK;
}

static enum kl_rc decrypt(struct kl_op *op, struct kl_view in, struct kl_out *out)
{
    struct envelope *envelope = op->state;

    KL_CHECK(in.data != out->data, KL_ARG);
    KL_TRY(kl_envelope_open(envelope->aead, op->key, kl_bulk_view(&envelope->aad), in, out->data));
    out->len = in.len - KL_ENVELOPE_OVERHEAD;
    return KL_OK;
}

static void end(struct kl_op *op)
{
    struct envelope *envelope = op->state;

    kl_bulk_empty(&envelope->aad, KL_ENVELOPE_AAD_MAX);
}

static void clear(struct kl_op *op)
{
    struct envelope *envelope = op->state;

    kl_aead_free(envelope->aead);
    kl_bulk_empty(&envelope->aad, 0);
    free(envelope);
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
