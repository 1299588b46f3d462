/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* CKM_KL_ROOT_WRAP: up to 64 bytes go to the master's root provider and come back wrapped (DESIGN 4.2). */
#include <string.h>

#include "ladder/ladder.h"
#include "token/mech.h"
#include "token/session.h"

static struct kl_ladder *ladder_of(const struct kl_session *session)
{
    const struct kl_token *token = session->token;

    return token->ladder;
}

static enum kl_rc init(struct kl_op *op, enum kl_op_kind kind, struct kl_view parameter)
{
    (void)op;
    (void)kind;
    return kl_mech_no_parameter(parameter);
}

static enum kl_rc check_plain(size_t len)
{
    KL_CHECK(len >= 8 && len <= KL_ROOT_WRAP_MAX && len % 8 == 0, KL_DATA_LENGTH);
    return KL_OK;
}

static enum kl_rc encrypt_len(const struct kl_op *op, size_t in_len, size_t *out_len)
{
    KL_TRY(check_plain(in_len));
    *out_len = kl_ladder_root_room(ladder_of(op->session));
    return KL_OK;
}

static enum kl_rc encrypt(struct kl_op *op, struct kl_view in, struct kl_out *out)
{
    return kl_ladder_root_wrap(ladder_of(op->session), in, out);
}

static enum kl_rc decrypt_len(const struct kl_op *op, size_t in_len, size_t *out_len)
{
    KL_CHECK(in_len <= kl_ladder_root_room(ladder_of(op->session)), KL_CIPHERTEXT_LENGTH);
    *out_len = KL_ROOT_WRAP_MAX;
    return KL_OK;
}

static enum kl_rc decrypt(struct kl_op *op, struct kl_view in, struct kl_out *out)
{
    KL_AUTO(kl_secret) plain = { 0 };

    KL_TRY(kl_ladder_root_unwrap(ladder_of(op->session), in, &plain));
    memcpy(out->data, plain.data, plain.len);
    out->len = plain.len;
    return KL_OK;
}

/* --- keys --- */

static enum kl_rc wrap_len(const struct kl_wrapping *wrapping, size_t value_len, size_t *out_len)
{
    KL_TRY(kl_mech_no_parameter(wrapping->parameter));
    KL_CHECK(check_plain(value_len) == KL_OK, KL_KEY_SIZE);
    *out_len = kl_ladder_root_room(ladder_of(wrapping->session));
    return KL_OK;
}

static enum kl_rc wrap(const struct kl_wrapping *wrapping, struct kl_view value, struct kl_out *out)
{
    return kl_ladder_root_wrap(ladder_of(wrapping->session), value, out);
}

static enum kl_rc unwrap(const struct kl_wrapping *wrapping, struct kl_view wrapped, struct kl_secret *value)
{
    struct kl_ladder *ladder = ladder_of(wrapping->session);
    enum kl_rc rc;

    KL_TRY(kl_mech_no_parameter(wrapping->parameter));
    KL_CHECK(wrapped.len > 0 && wrapped.len <= kl_ladder_root_room(ladder), KL_WRAPPED_LENGTH);
    rc = kl_ladder_root_unwrap(ladder, wrapped, value);
    return rc == KL_CIPHERTEXT ? KL_WRAPPED : rc;
}

static const struct kl_steps encrypt_steps = { .once_len = encrypt_len, .once = encrypt };
static const struct kl_steps decrypt_steps = { .once_len = decrypt_len, .once = decrypt };

const struct kl_mech kl_mech_root_wrap = {
    .type = CKM_KL_ROOT_WRAP,
    .name = "root provider's own wrapping",
    .key_types = { CKK_HKDF },
    .key_type_count = 1,
    .min_key = KL_LADDER_KEY_LEN,
    .max_key = KL_LADDER_KEY_LEN,
    .family = KL_FAMILY_ROOT,
    .on_ladder = true,
    .of_root = true,
    .steps = { [KL_OP_ENCRYPT] = &encrypt_steps, [KL_OP_DECRYPT] = &decrypt_steps },
    .init = init,
    .wrap_len = wrap_len,
    .wrap = wrap,
    .unwrap = unwrap,
};
