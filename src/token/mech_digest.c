/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* CKM_SHA256, CKM_SHA384, CKM_SHA512 (v3.1 6.22 to 6.24): digests, which need no key and no login. */
#include "crypto/digest.h"
#include "token/mech.h"

static enum kl_rc make_state(struct kl_op *op)
{
    struct kl_digest *digest = NULL;
    enum kl_hash hash = KL_SHA256;

    /* not reached: each row below has its hash. */
    KL_TRY(kl_mech_hash(op->mech->type, &hash));
    KL_TRY(kl_digest_new(hash, &digest));
    op->state = digest;
    return KL_OK;
}

static enum kl_rc init(struct kl_op *op, enum kl_op_kind kind, struct kl_view parameter)
{
    (void)kind;
    KL_TRY(kl_mech_no_parameter(parameter));
    if (!op->state) KL_TRY(make_state(op));
    return kl_digest_start(op->state);
}

static enum kl_rc final_len(const struct kl_op *op, size_t *out_len)
{
    enum kl_hash hash = KL_SHA256;

    /* not reached: each row below has its hash. */
    KL_TRY(kl_mech_hash(op->mech->type, &hash));
    *out_len = kl_hash_len(hash);
    return KL_OK;
}

static enum kl_rc final(struct kl_op *op, struct kl_out *out)
{
    KL_TRY(kl_digest_finish(op->state, out->data));
    return final_len(op, &out->len);
}

static enum kl_rc absorb(struct kl_op *op, struct kl_view in)
{
    return kl_digest_update(op->state, in);
}

static enum kl_rc once_len(const struct kl_op *op, size_t in_len, size_t *out_len)
{
    (void)in_len;
    return final_len(op, out_len);
}

static enum kl_rc once(struct kl_op *op, struct kl_view in, struct kl_out *out)
{
    KL_TRY(absorb(op, in));
    return final(op, out);
}

/* The context stays for the next digest, which starts it afresh. */
static void end(struct kl_op *op)
{
    (void)op;
}

static void clear(struct kl_op *op)
{
    kl_digest_free(op->state);
    op->state = NULL;
}

static const struct kl_steps steps = {
    .once_len = once_len,
    .once = once,
    .absorb = absorb,
    .final_len = final_len,
    .final = final,
};

/* clang-format off */
#define DIGEST(number, words)                 \
    {                                         \
        .type = (number),                     \
        .name = (words),                      \
        .steps = { [KL_OP_DIGEST] = &steps }, \
        .init = init,                         \
        .end = end,                           \
        .clear = clear,                       \
    }
/* clang-format on */

const struct kl_mech kl_mech_sha256 = DIGEST(CKM_SHA256, "SHA-256");
const struct kl_mech kl_mech_sha384 = DIGEST(CKM_SHA384, "SHA-384");
const struct kl_mech kl_mech_sha512 = DIGEST(CKM_SHA512, "SHA-512");
