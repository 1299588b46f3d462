/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/wrap.h"

#include "ladder/budget.h"
#include "token/hold.h"
#include "token/make.h"
#include "token/mech.h"
#include "token/op_inner.h"
#include "token/policy.h"

/* What is wrong with the key that wraps has names of its own: v3.1 5.18.3 and 5.18.4. */
static enum kl_rc of_wrapping_key(enum kl_rc rc, bool wraps)
{
    static const struct {
        enum kl_rc of_key, wrapping, unwrapping;
    } names[] = {
        { KL_OBJECT, KL_WRAPPING_KEY, KL_UNWRAPPING_KEY },
        { KL_KEY_HANDLE, KL_WRAPPING_KEY, KL_UNWRAPPING_KEY },
        { KL_KEY_TYPE, KL_WRAPPING_TYPE, KL_UNWRAPPING_TYPE },
        { KL_KEY_SIZE, KL_WRAPPING_SIZE, KL_UNWRAPPING_SIZE },
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].of_key == rc) return wraps ? names[i].wrapping : names[i].unwrapping;
    }
    return rc;
}

/* The key that wraps or unwraps, and its mechanism. */
static enum kl_rc find(struct kl_session *session, const struct kl_wrap_call *call, bool wraps, const struct kl_mech **mech,
                       struct kl_hold *hold)
{
    enum kl_rc rc;

    *mech = kl_mech_find(call->mechanism->mechanism);
    KL_CHECK(*mech && (*mech)->wrap && (*mech)->wraps_authenticated == call->is_authenticated, KL_MECHANISM);
    rc = kl_hold_take(session, call->key, hold);
    if (rc == KL_OK) rc = kl_mech_may_use(session, *mech, hold, wraps ? KL_FLAG_WRAP : KL_FLAG_UNWRAP);
    return of_wrapping_key(rc, wraps);
}

static struct kl_wrapping wrapping_of(struct kl_session *session, const struct kl_wrap_call *call)
{
    return (struct kl_wrapping){
        .session = session,
        .parameter = kl_view_of(call->mechanism->pParameter, call->mechanism->ulParameterLen),
        .aad = call->aad,
    };
}

/* May `leaving` leave under `hold`? */
static enum kl_rc judge(const struct kl_session *session, const struct kl_hold *hold, const struct kl_hold *leaving)
{
    const struct kl_token *token = session->token;
    struct kl_deed deed = { .kind = KL_DEED_WRAP, .key = &hold->record, .other = &leaving->record, .is_token = leaving->is_token };

    KL_CHECK(leaving->record.class == CKO_SECRET_KEY, KL_KEY_HANDLE);
    return kl_policy_judge(token->policy, &deed);
}

/* Wrapping with an IV is one encryption of the key's budget. */
static enum kl_rc count(const struct kl_hold *hold)
{
    uint32_t got;

    return kl_budget_take(hold->token->ladder, hold->record.id, 1, &got);
}

static enum kl_rc seal(struct kl_wrapping *wrapping, struct kl_hold *hold, struct kl_hold *leaving, struct kl_out *out)
{
    struct kl_key *key = NULL;
    enum kl_rc rc = kl_hold_key(hold, &wrapping->key);

    if (rc == KL_OK) rc = kl_hold_key(leaving, &key);
    if (rc == KL_OK && hold->is_token && wrapping->mech->wraps_authenticated) rc = count(hold);
    if (rc == KL_OK) rc = wrapping->mech->wrap(wrapping, kl_key_bytes(key), out);
    kl_key_put(key);
    kl_key_put(wrapping->key);
    return rc;
}

enum kl_rc kl_object_wrap(struct kl_session *session, const struct kl_wrap_call *call, CK_OBJECT_HANDLE object, struct kl_out *out)
{
    static const struct kl_view nothing = { NULL, 0 };
    struct kl_wrapping wrapping = wrapping_of(session, call);
    enum kl_answer answer = KL_GO_ON;
    KL_AUTO(kl_hold) hold = { 0 };
    KL_AUTO(kl_hold) leaving = { 0 };
    size_t need = 0;
    enum kl_rc rc;

    KL_TRY(find(session, call, true, &wrapping.mech, &hold));
    KL_TRY(kl_hold_take(session, object, &leaving));
    KL_TRY(judge(session, &hold, &leaving));
    KL_TRY(wrapping.mech->wrap_len(&wrapping, leaving.record.value_len, &need));
    KL_TRY(kl_op_look_at_room(need, nothing, out, &answer));
    if (answer == KL_ANSWERED) return KL_OK;
    rc = seal(&wrapping, &hold, &leaving, out);
    if (rc == KL_OK) rc = kl_mech_bind(session, wrapping.mech, call->key);
    if (rc != KL_OK) kl_wipe(out->data, need);
    return rc;
}

enum kl_rc kl_object_unwrap(struct kl_session *session, const struct kl_wrap_call *call, struct kl_view wrapped,
                            const CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *out)
{
    struct kl_wrapping wrapping = wrapping_of(session, call);
    struct kl_unwrapped unwrapped;
    KL_AUTO(kl_hold) hold = { 0 };
    KL_AUTO(kl_secret) value = { 0 };
    enum kl_rc rc;

    KL_CHECK(wrapped.data || wrapped.len == 0, KL_ARG);
    KL_TRY(find(session, call, false, &wrapping.mech, &hold));
    KL_TRY(kl_make_unwrapped_draft(session, &hold, template, count, &unwrapped));
    KL_TRY(kl_hold_key(&hold, &wrapping.key));
    rc = wrapping.mech->unwrap(&wrapping, wrapped, &value);
    kl_key_put(wrapping.key);
    KL_TRY(rc);
    KL_TRY(kl_mech_bind(session, wrapping.mech, call->key));
    return kl_make_unwrapped(session, &unwrapped, &value, out);
}
