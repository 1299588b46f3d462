/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Many values under one key, looked up and checked once: KL_EncryptBatch and KL_DecryptBatch. */
#ifndef KL_TOKEN_BATCH_H
#define KL_TOKEN_BATCH_H

#include "base/bytes.h"
#include "base/rc.h"
#include "keyladder/pkcs11.h"
#include "token/op.h"

struct kl_batch {
    struct kl_session *session;
    enum kl_op_kind kind;
    const CK_MECHANISM *mechanism;
    CK_OBJECT_HANDLE key;
};

/* May it begin at all? KL_MECHANISM for one whose parameter is not the associated data, KL_OPERATION_ACTIVE, and what an Init says. */
KL_MUST_USE enum kl_rc kl_batch_begin(const struct kl_batch *batch);
/* One value; as C_Encrypt or C_Decrypt, but that nothing stays active. */
KL_MUST_USE enum kl_rc kl_batch_item(const struct kl_batch *batch, struct kl_view aad, struct kl_view in, struct kl_out *out);

#endif
