/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/op.h"

#include <string.h>

#include "base/secret.h"
#include "crypto/mac.h"
#include "ladder/budget.h"
#include "token/find.h"
#include "token/hold.h"
#include "token/mech.h"
#include "token/op_inner.h"
#include "token/policy.h"
#include "token/shelf.h"
#include "token/source.h"

/* The usage attribute that permits a kind of operation. */
static const uint32_t usages[KL_OP_FIND] = {
    [KL_OP_ENCRYPT] = KL_FLAG_ENCRYPT,         [KL_OP_DECRYPT] = KL_FLAG_DECRYPT, [KL_OP_MESSAGE_ENCRYPT] = KL_FLAG_ENCRYPT,
    [KL_OP_MESSAGE_DECRYPT] = KL_FLAG_DECRYPT, [KL_OP_SIGN] = KL_FLAG_SIGN,       [KL_OP_VERIFY] = KL_FLAG_VERIFY,
};

/* --- the life of an operation --- */

static CK_ULONG epoch_of(const struct kl_session *session)
{
    const struct kl_token *token = session->token;

    return atomic_load_explicit(&token->login_epoch, memory_order_acquire);
}

/* Operations that hold a key and what was made of it. Written when one takes another key, never when it goes on with its own. */
static _Atomic size_t keyed;

size_t kl_op_keyed(void)
{
    return atomic_load_explicit(&keyed, memory_order_relaxed);
}

void kl_op_count_keyed(size_t count)
{
    atomic_store(&keyed, count);
}

/* --- the budget of its key --- */

#define TAKEN_AT_ONCE 64 /* so that sessions do not meet at the process's reservation at every encryption */

KL_COLD enum kl_rc kl_op_refill(struct kl_op *op)
{
    const struct kl_token *token = op->session->token;

    if (op->is_token) return kl_budget_take(token->ladder, op->row, TAKEN_AT_ONCE, &op->budget_left);
    /* A session key ends with its process, long before it has encrypted too often. */
    op->budget_left = UINT32_MAX;
    return KL_OK;
}

static KL_COLD void give_back(const struct kl_op *op)
{
    const struct kl_token *token = op->session->token;

    kl_budget_return(token->ladder, op->row, op->budget_left);
}

/* Lets go of key, object and state. */
static KL_COLD void let_go(struct kl_op *op)
{
    if (op->is_token && op->budget_left > 0) give_back(op);
    if (op->key) atomic_fetch_sub_explicit(&keyed, 1, memory_order_relaxed);
    if (op->state) op->mech->clear(op);
    kl_key_put(op->key);
    kl_snapshot_put(op->shot);
    kl_slot_put(op->object);
    memset(op, 0, sizeof *op);
}

void kl_op_end(struct kl_op *op)
{
    op->is_active = false;
    op->is_multi_part = false;
    op->is_in_message = false;
    if (op->state) op->mech->end(op);
}

KL_COLD void kl_op_clear(struct kl_session *session, enum kl_op_kind kind)
{
    struct kl_op *op = &session->ops[kind];

    if (kind == KL_OP_FIND)
        kl_find_clear(op);
    else if (op->mech)
        let_go(op);
}

void kl_op_clear_all(struct kl_session *session)
{
    for (size_t kind = 0; kind < KL_OPS; kind++) kl_op_clear(session, (enum kl_op_kind)kind);
    kl_source_forget(session, CK_INVALID_HANDLE);
}

void kl_op_forget(struct kl_session *session, CK_OBJECT_HANDLE handle)
{
    for (size_t kind = 0; kind < KL_OP_FIND; kind++) {
        struct kl_op *op = &session->ops[kind];

        if (op->object && (handle == CK_INVALID_HANDLE || op->handle == handle)) let_go(op);
    }
    kl_source_forget(session, handle);
}

size_t kl_op_forget_idle(struct kl_session *session, int64_t before)
{
    size_t count = 0;

    for (size_t kind = 0; kind < KL_OP_FIND; kind++) {
        struct kl_op *op = &session->ops[kind];

        if (op->is_active || !op->key || op->second >= before) continue;
        let_go(op);
        count++;
    }
    return count;
}

size_t kl_op_count_keys(const struct kl_session *session)
{
    size_t count = 0;

    for (size_t kind = 0; kind < KL_OP_FIND; kind++) count += session->ops[kind].key != NULL;
    return count;
}

/* Two processes that both end it would use one IV for two messages. */
static bool is_about_an_iv(const struct kl_op *op, enum kl_op_kind kind)
{
    if (kind == KL_OP_ENCRYPT || kind == KL_OP_MESSAGE_ENCRYPT) return true;
    return kind == KL_OP_SIGN && op->mech->family == KL_FAMILY_GMAC;
}

void kl_op_inherit(struct kl_session *session)
{
    for (size_t kind = 0; kind < KL_OP_FIND; kind++) {
        struct kl_op *op = &session->ops[kind];

        op->ivs.left = op->iv_numbers_left = 0;
        op->budget_left = 0; /* the parent's */
        if (!op->is_active || !op->mech || !is_about_an_iv(op, (enum kl_op_kind)kind)) continue;
        op->is_active = op->is_in_message = false;
        /* Of no login that ever was: the next Init lets go of the state, and makes another. */
        op->login_epoch = (CK_ULONG)-1;
    }
}

/* Logout and the key's destruction end what is under way; a digest has no key. */
static bool is_alive(const struct kl_session *session, const struct kl_op *op)
{
    if (!op->is_active) return false;
    return !op->object || (op->login_epoch == epoch_of(session) && kl_slot_is_alive(op->object, op->handle));
}

/* --- Init --- */

/* The same key with the same mechanism, looked at within this second: there is nothing to look up and nothing to check. */
static bool is_warm(const struct kl_session *session, const struct kl_op *op, const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE handle)
{
    if (!op->state || !op->object || op->handle != handle || op->mech->type != mechanism->mechanism) return false;
    if (op->login_epoch != epoch_of(session) || op->second != kl_shelf_second()) return false;
    if (!kl_slot_is_alive(op->object, handle)) return false;
    return atomic_load_explicit(&op->object->shot, memory_order_acquire) == op->shot;
}

static enum kl_rc attach(struct kl_session *session, struct kl_op *op, const struct kl_mech *mech, CK_OBJECT_HANDLE handle,
                         struct kl_hold *hold)
{
    struct kl_key *key = NULL;
    bool is_same = op->mech == mech && op->object == hold->object && op->shot == hold->shot && op->login_epoch == epoch_of(session);

    if (!is_same) {
        CK_ULONG epoch = epoch_of(session);

        if (op->mech) let_go(op);
        if (kl_op_keyed() >= KL_KEYED_MAX) kl_session_forget_idle(session);
        KL_TRY(kl_hold_key(hold, &key));
        atomic_fetch_add_explicit(&keyed, 1, memory_order_relaxed);
        op->mech = mech;
        op->key = key;
        op->object = hold->object;
        op->shot = hold->shot;
        op->handle = handle;
        op->login_epoch = epoch;
        op->is_ladder = kl_level_is_ladder(hold->record.level);
        op->is_token = hold->is_token;
        op->session = session;
        memcpy(op->row, hold->record.id, sizeof op->row);
        hold->object = NULL;
        hold->shot = NULL;
    }
    op->second = kl_shelf_second();
    op->ivs.left = 0; /* as in iv_make.c, for envelopes */
    return KL_OK;
}

static bool is_offered(const struct kl_mech *mech, enum kl_op_kind kind)
{
    bool is_message = kind == KL_OP_MESSAGE_ENCRYPT || kind == KL_OP_MESSAGE_DECRYPT;

    return is_message ? mech->message != NULL : mech->steps[kind] != NULL;
}

static enum kl_rc look_up(struct kl_session *session, enum kl_op_kind kind, const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE handle)
{
    const struct kl_mech *mech = kl_mech_find(mechanism->mechanism);
    KL_AUTO(kl_hold) hold = { 0 };

    KL_CHECK(mech && is_offered(mech, kind), KL_MECHANISM);
    KL_TRY(kl_hold_take(session, handle, &hold));
    KL_TRY(kl_mech_may_use(session, mech, &hold, usages[kind]));
    return attach(session, &session->ops[kind], mech, handle, &hold);
}

/* Before anything begins: is something of the kind under way, and is that to be ended? */
static enum kl_rc make_way(struct kl_session *session, enum kl_op_kind kind, const CK_MECHANISM *mechanism)
{
    struct kl_op *op = &session->ops[kind];

    if (op->is_active && !is_alive(session, op)) kl_op_clear(session, kind);
    if (mechanism) {
        KL_CHECK(!op->is_active, KL_OPERATION_ACTIVE);
        return KL_OK;
    }
    /* v3.0 5.8.1: NULL ends the operation that is active. */
    KL_CHECK(op->is_active, KL_ARG);
    kl_op_end(op);
    return KL_OK;
}

static enum kl_rc begin(struct kl_op *op, enum kl_op_kind kind, const CK_MECHANISM *mechanism)
{
    return op->mech->init(op, kind, kl_view_of(mechanism->pParameter, mechanism->ulParameterLen));
}

/* A beginning that fails leaves nothing that the next could take for a key that has begun well. */
static KL_COLD enum kl_rc begin_cold(struct kl_session *session, enum kl_op_kind kind, const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    struct kl_op *op = &session->ops[kind];
    enum kl_rc rc;

    KL_TRY(look_up(session, kind, mechanism, key));
    rc = begin(op, kind, mechanism);
    if (rc == KL_OK) rc = kl_mech_bind(session, op->mech, key);
    if (rc != KL_OK) kl_op_clear(session, kind);
    return rc;
}

enum kl_rc kl_op_init(struct kl_session *session, enum kl_op_kind kind, const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    struct kl_op *op = &session->ops[kind];

    KL_CHECK(kind < KL_OP_FIND, KL_ARG);
    KL_TRY(make_way(session, kind, mechanism));
    if (!mechanism) return KL_OK;
    KL_TRY(is_warm(session, op, mechanism, key) ? begin(op, kind, mechanism) : begin_cold(session, kind, mechanism, key));
    op->is_multi_part = false;
    op->is_active = true;
    return KL_OK;
}

/* A digest needs no key and nobody who is logged in. */
enum kl_rc kl_op_digest_init(struct kl_session *session, const CK_MECHANISM *mechanism)
{
    struct kl_op *op = &session->ops[KL_OP_DIGEST];
    const struct kl_mech *mech;

    KL_TRY(make_way(session, KL_OP_DIGEST, mechanism));
    if (!mechanism) return KL_OK;
    mech = kl_mech_find(mechanism->mechanism);
    KL_CHECK(mech && is_offered(mech, KL_OP_DIGEST), KL_MECHANISM);
    if (op->mech && op->mech != mech) let_go(op);
    op->mech = mech;
    op->session = session;
    KL_TRY(mech->init(op, KL_OP_DIGEST, kl_view_of(mechanism->pParameter, mechanism->ulParameterLen)));
    op->is_active = true;
    return KL_OK;
}

/* --- steps --- */

enum kl_rc kl_op_enter(struct kl_session *session, enum kl_op_kind kind)
{
    struct kl_op *op = &session->ops[kind];

    if (!op->is_active) return KL_NO_OPERATION;
    if (is_alive(session, op)) return KL_OK;
    kl_op_clear(session, kind);
    return KL_NO_OPERATION;
}

static enum kl_rc enter(struct kl_session *session, enum kl_op_kind kind, const struct kl_steps **steps)
{
    KL_TRY(kl_op_enter(session, kind));
    *steps = session->ops[kind].mech->steps[kind];
    return KL_OK;
}

enum kl_rc kl_op_look_at_room(size_t need, struct kl_view in, struct kl_out *out, enum kl_answer *answer)
{
    *answer = KL_ANSWERED;
    out->len = need;
    if (!out->data) return KL_OK;
    if (out->cap < need) return KL_BUFFER;
    *answer = KL_GO_ON;
    out->len = 0;
    KL_CHECK(in.data || in.len == 0, KL_ARG);
    KL_CHECK(!kl_view_overlaps(in, kl_view_of(out->data, need)), KL_ARG);
    return KL_OK;
}

enum kl_rc kl_op_once(struct kl_session *session, enum kl_op_kind kind, struct kl_view in, struct kl_out *out)
{
    struct kl_op *op = &session->ops[kind];
    const struct kl_steps *steps;
    enum kl_answer answer = KL_GO_ON;
    size_t need = 0;
    enum kl_rc rc;

    KL_TRY(enter(session, kind, &steps));
    rc = op->is_multi_part ? KL_OPERATION_ACTIVE : steps->once_len(op, in.len, &need);
    if (rc == KL_OK) rc = kl_op_look_at_room(need, in, out, &answer);
    if (answer == KL_ANSWERED) return rc;
    if (rc == KL_OK) rc = steps->once(op, in, out);
    if (rc != KL_BUFFER) kl_op_end(op);
    return rc;
}

enum kl_rc kl_op_update(struct kl_session *session, enum kl_op_kind kind, struct kl_view in, struct kl_out *out)
{
    struct kl_op *op = &session->ops[kind];
    const struct kl_steps *steps;
    enum kl_answer answer = KL_GO_ON;
    size_t need = 0;
    enum kl_rc rc;

    KL_TRY(enter(session, kind, &steps));
    rc = steps->update ? steps->update_len(op, in.len, &need) : KL_NOT_SUPPORTED;
    if (rc == KL_OK) rc = kl_op_look_at_room(need, in, out, &answer);
    if (answer == KL_ANSWERED) return rc;
    if (rc == KL_OK) op->is_multi_part = true;
    if (rc == KL_OK) rc = steps->update(op, in, out);
    if (rc != KL_OK && rc != KL_BUFFER) kl_op_end(op);
    return rc;
}

enum kl_rc kl_op_final(struct kl_session *session, enum kl_op_kind kind, struct kl_out *out)
{
    static const struct kl_view nothing = { NULL, 0 };
    struct kl_op *op = &session->ops[kind];
    const struct kl_steps *steps;
    enum kl_answer answer = KL_GO_ON;
    size_t need = 0;
    enum kl_rc rc;

    KL_TRY(enter(session, kind, &steps));
    rc = steps->final ? steps->final_len(op, &need) : KL_NOT_SUPPORTED;
    if (rc == KL_OK) rc = kl_op_look_at_room(need, nothing, out, &answer);
    if (answer == KL_ANSWERED) return rc;
    if (rc == KL_OK) rc = steps->final(op, out);
    if (rc != KL_BUFFER) kl_op_end(op);
    return rc;
}

/* --- MACs and digests --- */

enum kl_rc kl_op_absorb(struct kl_session *session, enum kl_op_kind kind, struct kl_view in)
{
    struct kl_op *op = &session->ops[kind];
    const struct kl_steps *steps;
    enum kl_rc rc = KL_OK;

    KL_TRY(enter(session, kind, &steps));
    if (!in.data && in.len > 0) rc = KL_ARG;
    if (rc == KL_OK) rc = steps->absorb(op, in);
    op->is_multi_part = true;
    if (rc != KL_OK) kl_op_end(op);
    return rc;
}

enum kl_rc kl_op_digest_key(struct kl_session *session, CK_OBJECT_HANDLE handle)
{
    struct kl_op *op = &session->ops[KL_OP_DIGEST];
    const struct kl_token *token = session->token;
    KL_AUTO(kl_hold) hold = { 0 };
    struct kl_deed deed = { .kind = KL_DEED_DIGEST, .key = &hold.record };
    struct kl_key *key = NULL;
    const struct kl_steps *steps;
    enum kl_rc rc;

    KL_TRY(enter(session, KL_OP_DIGEST, &steps));
    rc = kl_hold_take(session, handle, &hold);
    if (rc == KL_OK && hold.record.class != CKO_SECRET_KEY) rc = KL_KEY_HANDLE;
    if (rc == KL_OK && !kl_session_is_user(session)) rc = KL_NOT_LOGGED_IN;
    if (rc == KL_OK) rc = kl_policy_judge(token->policy, &deed);
    if (rc == KL_OK) rc = kl_hold_key(&hold, &key);
    if (rc == KL_OK) rc = steps->absorb(op, kl_key_bytes(key));
    kl_key_put(key);
    op->is_multi_part = true;
    if (rc != KL_OK) kl_op_end(op);
    return rc;
}

/* Compares what a step computed with what the caller brought, in time that tells nothing. */
static enum kl_rc compare(const struct kl_out *made, struct kl_view signature)
{
    /* not reached: the step makes as much as it said. */
    KL_CHECK(signature.len == made->len, KL_SIGNATURE_LENGTH);
    KL_CHECK(kl_bytes_equal(made->data, signature.data, made->len), KL_SIGNATURE);
    return KL_OK;
}

static enum kl_rc check_signature(struct kl_view signature, size_t need)
{
    KL_CHECK(signature.data, KL_ARG);
    /* not reached: no MAC is longer than KL_MAC_MAX. */
    KL_CHECK(signature.len == need && need <= KL_MAC_MAX, KL_SIGNATURE_LENGTH);
    return KL_OK;
}

/* v3.1 5.15: C_Verify and C_VerifyFinal (`in` NULL) end the operation, whatever comes of it. */
static enum kl_rc verify(struct kl_session *session, const struct kl_view *in, struct kl_view signature)
{
    struct kl_op *op = &session->ops[KL_OP_VERIFY];
    uint8_t mac[KL_MAC_MAX];
    struct kl_out made = { mac, sizeof mac, 0 };
    const struct kl_steps *steps;
    size_t need = 0;
    enum kl_rc rc;

    KL_TRY(enter(session, KL_OP_VERIFY, &steps));
    if (in && op->is_multi_part)
        rc = KL_OPERATION_ACTIVE;
    else
        rc = in ? steps->once_len(op, in->len, &need) : steps->final_len(op, &need);
    if (rc == KL_OK && in && !in->data && in->len > 0) rc = KL_ARG;
    if (rc == KL_OK) rc = check_signature(signature, need);
    if (rc == KL_OK) rc = in ? steps->once(op, *in, &made) : steps->final(op, &made);
    if (rc == KL_OK) rc = compare(&made, signature);
    kl_op_end(op);
    kl_wipe(mac, sizeof mac);
    return rc;
}

enum kl_rc kl_op_verify(struct kl_session *session, struct kl_view in, struct kl_view signature)
{
    return verify(session, &in, signature);
}

enum kl_rc kl_op_verify_final(struct kl_session *session, struct kl_view signature)
{
    return verify(session, NULL, signature);
}
