/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Message-based encryption and decryption: one Init, any number of messages, each with parameters of its own (v3.0 5.9, 5.11). */
#include "token/aead_op.h"
#include "token/mech.h"
#include "token/op_inner.h"
#include "token/session.h"

/* Between messages, or within one? */
static enum kl_rc enter(struct kl_session *session, enum kl_op_kind kind, bool is_in_message, struct kl_op **op)
{
    KL_TRY(kl_op_enter(session, kind));
    *op = &session->ops[kind];
    if ((*op)->is_in_message == is_in_message) return KL_OK;
    return is_in_message ? kl_fail(KL_NO_OPERATION, "no message has been begun")
                         : kl_fail(KL_OPERATION_ACTIVE, "a message has been begun and not ended");
}

/* v3.0 5.9.2: a message that fails leaves the operation for the next one. */
static void leave_message(struct kl_op *op)
{
    op->is_in_message = false;
    op->mech->end(op);
}

/*
 * What an encryption writes, ciphertext, tag and the IV that the token makes, lies apart from each other and from what it reads: a tag
 * written into the ciphertext would leave something that nobody can open.
 */
static enum kl_rc check_places(enum kl_op_kind kind, const struct kl_message *message, struct kl_view in, struct kl_view out)
{
    struct kl_view iv = kl_view_of(message->iv, message->iv_len);
    struct kl_view tag = kl_view_of(message->tag, message->tag_len);

    if (kind != KL_OP_MESSAGE_ENCRYPT) return KL_OK;
    KL_CHECK(!kl_view_touches(tag, out) && !kl_view_touches(tag, in) && !kl_view_touches(tag, iv), KL_ARG);
    KL_CHECK(!kl_view_touches(iv, out) && !kl_view_touches(iv, in), KL_ARG);
    return KL_OK;
}

enum kl_rc kl_message_once(struct kl_session *session, enum kl_op_kind kind, struct kl_view parameter, const struct kl_aead_text *text,
                           struct kl_out *out)
{
    enum kl_answer answer = KL_GO_ON;
    struct kl_message message;
    struct kl_op *op = NULL;
    enum kl_rc rc;

    KL_TRY(enter(session, kind, false, &op));
    KL_CHECK(text->in.len <= KL_GCM_DATA_MAX, KL_DATA_LENGTH);
    KL_TRY(op->mech->message(parameter, &message));
    rc = kl_op_look_at_room(text->in.len, text->in, out, &answer);
    if (answer == KL_ANSWERED || rc != KL_OK) return rc;
    KL_TRY(check_places(kind, &message, text->in, kl_view_of(out->data, text->in.len)));
    rc = kl_aead_message_once(op, kind, &message, text, out);
    leave_message(op);
    return rc;
}

enum kl_rc kl_message_begin(struct kl_session *session, enum kl_op_kind kind, struct kl_view parameter, struct kl_view aad)
{
    struct kl_message message;
    struct kl_op *op = NULL;
    enum kl_rc rc;

    KL_TRY(enter(session, kind, false, &op));
    KL_TRY(op->mech->message(parameter, &message));
    rc = kl_aead_message_begin(op, kind, &message, aad);
    op->is_in_message = rc == KL_OK;
    if (rc != KL_OK) leave_message(op);
    return rc;
}

enum kl_rc kl_message_next(struct kl_session *session, enum kl_op_kind kind, struct kl_view parameter, struct kl_view in, bool is_last,
                           struct kl_out *out)
{
    enum kl_answer answer = KL_GO_ON;
    struct kl_message message = { 0 };
    struct kl_op *op = NULL;
    size_t need = 0;
    enum kl_rc rc;

    KL_TRY(enter(session, kind, true, &op));
    rc = op->mech->message(parameter, &message);
    if (rc == KL_OK) rc = kl_aead_message_next_len(op, kind, in.len, is_last, &need);
    if (rc == KL_OK) rc = kl_op_look_at_room(need, in, out, &answer);
    if (answer == KL_ANSWERED) return rc;
    if (rc == KL_OK) rc = check_places(kind, &message, in, kl_view_of(out->data, need));
    if (rc == KL_OK) rc = kl_aead_message_next(op, kind, &message, in, is_last, out);
    if (rc != KL_OK || is_last) leave_message(op);
    return rc;
}

enum kl_rc kl_message_final(struct kl_session *session, enum kl_op_kind kind)
{
    KL_TRY(kl_op_enter(session, kind));
    kl_op_end(&session->ops[kind]);
    return KL_OK;
}
