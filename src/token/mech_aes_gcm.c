/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* CKM_AES_GCM (v3.1 6.13.3; DESIGN section 7 on IVs and tags). */
#include <stdlib.h>
#include <string.h>

#include "crypto/aead.h"
#include "crypto/random.h"
#include "token/bulk.h"
#include "token/iv_ring.h"
#include "token/mech.h"

#define IV_USUAL 12
#define IV_MAX 128 /* what the engines take */
#define AAD_MAX (1 << 20)
#define AAD_KEPT 65536                  /* memory that stays for the next operation */
#define WITHHELD_MAX ((size_t)64 << 20) /* of a decryption in parts: nothing is released before its tag is known to be right */

/* Kept by an operation slot for the next use of the same key. */
struct gcm {
    struct kl_aead *aead;
    uint8_t iv[IV_MAX];
    size_t iv_len;
    size_t tag_len;
    bool is_started;
    uint64_t done;
    struct kl_bulk aad;
    struct kl_bulk withheld;
};

/* CK_GCM_PARAMS has five fields in the text of 2.40 and six in every header; ulIvBits is in the way, never of use. */
struct fields {
    CK_BYTE *iv;
    CK_ULONG iv_len;
    CK_BYTE *aad;
    CK_ULONG aad_len;
    CK_ULONG tag_bits;
};
#define FIELD sizeof(CK_ULONG)
_Static_assert(sizeof(struct fields) == 5 * FIELD && sizeof(CK_GCM_PARAMS) == 6 * FIELD, "five fields, or six");

static enum kl_rc read_parameter(struct kl_view parameter, struct fields *out)
{
    size_t bits = parameter.len == 6 * FIELD ? FIELD : 0;

    if (!parameter.data || (parameter.len != 5 * FIELD && parameter.len != 6 * FIELD)) return KL_PARAMETER;
    memcpy(out, parameter.data, 2 * FIELD);
    memcpy(&out->aad, parameter.data + 2 * FIELD + bits, 3 * FIELD);
    if (!out->iv || out->iv_len < 1 || out->iv_len > IV_MAX) return KL_PARAMETER;
    KL_CHECK(out->aad_len <= AAD_MAX && (out->aad || out->aad_len == 0), KL_PARAMETER);
    KL_CHECK(out->tag_bits >= 96 && out->tag_bits <= 128 && out->tag_bits % 8 == 0, KL_PARAMETER);
    return KL_OK;
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    uint8_t any = 0;

    for (size_t i = 0; i < len; i++) any |= bytes[i];
    return any == 0;
}

/* Under a ladder key a zeroed IV is a request for one; it goes back by the way it came. */
static enum kl_rc choose_iv(struct kl_op *op, struct gcm *gcm, const struct fields *fields)
{
    KL_CHECK(gcm->iv_len == IV_USUAL || (!op->is_ladder && !op->is_token), KL_PARAMETER);
    if (op->is_ladder && is_zero(gcm->iv, gcm->iv_len)) {
        KL_TRY(kl_random_fill(gcm->iv, gcm->iv_len));
        memcpy(fields->iv, gcm->iv, gcm->iv_len);
    }
    return kl_iv_ring_check(op->session, op->row, kl_view_of(gcm->iv, gcm->iv_len));
}

static enum kl_rc make_state(struct kl_op *op)
{
    struct gcm *gcm = calloc(1, sizeof *gcm);
    enum kl_rc rc;

    KL_CHECK(gcm, KL_MEMORY);
    rc = kl_key_aead(op->key, CKM_AES_GCM, KL_AEAD_AES_GCM, &gcm->aead);
    if (rc == KL_OK)
        op->state = gcm;
    else
        free(gcm);
    return rc;
}

static enum kl_rc init(struct kl_op *op, enum kl_op_kind kind, struct kl_view parameter)
{
    struct fields fields = { 0 };
    struct gcm *gcm;

    KL_TRY(read_parameter(parameter, &fields));
    if (!op->state) KL_TRY(make_state(op));
    gcm = op->state;
    KL_CHECK(gcm, KL_MEMORY);
    gcm->is_started = false;
    gcm->done = 0;
    gcm->tag_len = fields.tag_bits / 8;
    gcm->iv_len = fields.iv_len;
    memcpy(gcm->iv, fields.iv, fields.iv_len);
    KL_TRY(kl_bulk_set(&gcm->aad, kl_view_of(fields.aad, fields.aad_len)));
    if (kind == KL_OP_ENCRYPT) return choose_iv(op, gcm, &fields);
    KL_CHECK(gcm->iv_len == IV_USUAL || !op->is_ladder, KL_PARAMETER);
    return KL_OK;
}

static struct kl_aead_params params_of(const struct gcm *gcm)
{
    return (struct kl_aead_params){ kl_view_of(gcm->iv, gcm->iv_len), kl_bulk_view(&gcm->aad), gcm->tag_len };
}

static void note_iv(struct kl_op *op, const struct gcm *gcm)
{
    kl_iv_ring_note(op->session, op->row, kl_view_of(gcm->iv, gcm->iv_len));
}

/* --- encryption --- */

static enum kl_rc sealed_len(const struct kl_op *op, size_t in_len, size_t *out_len)
{
    const struct gcm *gcm = op->state;

    KL_CHECK(in_len <= KL_GCM_DATA_MAX, KL_DATA_LENGTH);
    *out_len = in_len + gcm->tag_len;
    return KL_OK;
}

static enum kl_rc encrypt(struct kl_op *op, struct kl_view in, struct kl_out *out)
{
    struct gcm *gcm = op->state;
    struct kl_aead_params params = params_of(gcm);

    KL_TRY(kl_aead_seal(gcm->aead, &params, in, out->data, out->data + in.len));
    note_iv(op, gcm);
    out->len = in.len + gcm->tag_len;
    return KL_OK;
}

static enum kl_rc start(struct kl_op *op, struct gcm *gcm)
{
    struct kl_aead_params params = params_of(gcm);

    if (gcm->is_started) return KL_OK;
    KL_TRY(kl_aead_start(gcm->aead, &params));
    gcm->is_started = true;
    /* From here on ciphertext may have left under this IV. */
    note_iv(op, gcm);
    return KL_OK;
}

static enum kl_rc encrypt_update_len(const struct kl_op *op, size_t in_len, size_t *out_len)
{
    const struct gcm *gcm = op->state;

    KL_CHECK(in_len <= KL_GCM_DATA_MAX - gcm->done, KL_DATA_LENGTH);
    *out_len = in_len;
    return KL_OK;
}

static enum kl_rc encrypt_update(struct kl_op *op, struct kl_view in, struct kl_out *out)
{
    struct gcm *gcm = op->state;

    if (in.len == 0) return KL_OK;
    KL_TRY(start(op, gcm));
    KL_TRY(kl_aead_update(gcm->aead, in, out->data));
    gcm->done += in.len;
    out->len = in.len;
    return KL_OK;
}

static enum kl_rc tag_len(const struct kl_op *op, size_t *out_len)
{
    const struct gcm *gcm = op->state;

    *out_len = gcm->tag_len;
    return KL_OK;
}

static enum kl_rc encrypt_final(struct kl_op *op, struct kl_out *out)
{
    struct gcm *gcm = op->state;

    KL_TRY(start(op, gcm));
    KL_TRY(kl_aead_finish(gcm->aead, out->data, gcm->tag_len));
    out->len = gcm->tag_len;
    return KL_OK;
}

/* --- decryption --- */

static enum kl_rc opened_len(const struct kl_op *op, size_t in_len, size_t *out_len)
{
    const struct gcm *gcm = op->state;

    KL_CHECK(in_len >= gcm->tag_len && in_len - gcm->tag_len <= KL_GCM_DATA_MAX, KL_CIPHERTEXT_LENGTH);
    *out_len = in_len - gcm->tag_len;
    return KL_OK;
}

static enum kl_rc decrypt(struct kl_op *op, struct kl_view in, struct kl_out *out)
{
    struct gcm *gcm = op->state;
    struct kl_aead_params params = params_of(gcm);
    size_t len = in.len - gcm->tag_len;

    KL_TRY(kl_aead_open(gcm->aead, &params, kl_view_of(in.data, len), in.data + len, out->data));
    out->len = len;
    return KL_OK;
}

static enum kl_rc decrypt_update_len(const struct kl_op *op, size_t in_len, size_t *out_len)
{
    const struct gcm *gcm = op->state;
    size_t most = WITHHELD_MAX + gcm->tag_len;

    KL_CHECK(gcm->withheld.len <= most && in_len <= most - gcm->withheld.len, KL_DATA_LENGTH);
    *out_len = 0;
    return KL_OK;
}

static enum kl_rc decrypt_update(struct kl_op *op, struct kl_view in, struct kl_out *out)
{
    struct gcm *gcm = op->state;

    KL_TRY(kl_bulk_add(&gcm->withheld, in));
    out->len = 0;
    return KL_OK;
}

static enum kl_rc decrypt_final_len(const struct kl_op *op, size_t *out_len)
{
    const struct gcm *gcm = op->state;

    return opened_len(op, gcm->withheld.len, out_len);
}

static enum kl_rc decrypt_final(struct kl_op *op, struct kl_out *out)
{
    const struct gcm *gcm = op->state;

    return decrypt(op, kl_bulk_view(&gcm->withheld), out);
}

/* --- end --- */

static void end(struct kl_op *op)
{
    struct gcm *gcm = op->state;

    kl_bulk_empty(&gcm->withheld, 0);
    kl_bulk_empty(&gcm->aad, AAD_KEPT);
}

static void clear(struct kl_op *op)
{
    struct gcm *gcm = op->state;

    kl_aead_free(gcm->aead);
    kl_bulk_empty(&gcm->aad, 0);
    kl_bulk_empty(&gcm->withheld, 0);
    free(gcm);
    op->state = NULL;
}

const struct kl_mech kl_mech_aes_gcm = {
    .type = CKM_AES_GCM,
    .name = "AES-GCM",
    .key_types = { CKK_AES },
    .key_type_count = 1,
    .min_key = 16,
    .max_key = 32,
    .on_ladder = true,
    .steps = {
        [KL_OP_ENCRYPT] = { sealed_len, encrypt, encrypt_update_len, encrypt_update, tag_len, encrypt_final },
        [KL_OP_DECRYPT] = { opened_len, decrypt, decrypt_update_len, decrypt_update, decrypt_final_len, decrypt_final },
    },
    .init = init,
    .end = end,
    .clear = clear,
};
