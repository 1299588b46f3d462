/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/batch.h"

#include "token/mech.h"
#include "token/op_inner.h"
#include "token/session.h"

static enum kl_rc init(const struct kl_batch *batch, struct kl_view aad)
{
    union { /* the structure knows no const; the mechanism only reads */
        const void *given;
        void *any;
    } parameter = { aad.data };
    CK_MECHANISM mechanism = { batch->mechanism->mechanism, parameter.any, aad.len };

    return kl_op_init(batch->session, batch->kind, &mechanism, batch->key);
}

enum kl_rc kl_batch_begin(const struct kl_batch *batch)
{
    const struct kl_mech *mech = kl_mech_find(batch->mechanism->mechanism);

    KL_CHECK(mech && mech->parameter_is_aad, KL_MECHANISM);
    KL_CHECK(batch->mechanism->ulParameterLen == 0, KL_PARAMETER);
    KL_TRY(init(batch, kl_view_of(NULL, 0)));
    kl_op_end(&batch->session->ops[batch->kind]);
    return KL_OK;
}

enum kl_rc kl_batch_item(const struct kl_batch *batch, struct kl_view aad, struct kl_view in, struct kl_out *out)
{
    struct kl_op *op = &batch->session->ops[batch->kind];
    enum kl_rc rc;

    /* The session has been locked since kl_batch_begin: the key is that one's, and what has happened to it since is noticed below. */
    KL_TRY(op->state ? op->mech->init(op, batch->kind, aad) : init(batch, aad));
    op->is_multi_part = false;
    op->is_active = true;
    rc = kl_op_once(batch->session, batch->kind, in, out);
    if (op->is_active) kl_op_end(op);
    return rc;
}
