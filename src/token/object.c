/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Reading, changing and destroying objects; src/token/make.c makes them. */
#include "token/object.h"

#include <string.h>

#include "ladder/budget.h"
#include "token/draft.h"
#include "token/hold.h"
#include "token/make.h"
#include "token/op.h"
#include "token/pattern.h"
#include "token/policy.h"
#include "token/shelf.h"

#define CONFLICTS_MAX 16 /* another process may be quicker this often in a row */

static enum kl_policy policy_of(const struct kl_session *session)
{
    const struct kl_token *token = session->token;

    return token->policy;
}

/* --- reading --- */

/* A value that lies sealed, or in the arena. */
static enum kl_rc open_value(const struct kl_session *session, struct kl_hold *hold, struct kl_secret *value)
{
    struct kl_deed deed = { .kind = KL_DEED_READ, .key = &hold->record };
    struct kl_key *key = NULL;
    enum kl_rc rc;

    if (hold->record.class == CKO_DATA) return kl_hold_data(hold, value);
    KL_TRY(kl_policy_judge(policy_of(session), &deed));
    KL_CHECK(kl_session_is_user(session), KL_ATTR_SENSITIVE);
    KL_TRY(kl_hold_key(hold, &key));
    rc = kl_secret_from(value, kl_key_bytes(key));
    kl_key_put(key);
    return rc;
}

static enum kl_rc read_one(const struct kl_session *session, struct kl_hold *hold, const struct kl_attr_table *table,
                           CK_ATTRIBUTE *attribute)
{
    const struct kl_attr_spec *spec = kl_attr_find(table, attribute->type);
    struct kl_subject subject = { &hold->record, hold->is_token };
    struct kl_scratch scratch;
    struct kl_view value;
    enum kl_rc rc;

    if (spec && (spec->rules & KL_HIDDEN)) {
        KL_AUTO(kl_secret) secret = { 0 };

        rc = open_value(session, hold, &secret);
        if (rc == KL_OK) return kl_attr_give(attribute, kl_secret_view(&secret));
        attribute->ulValueLen = CK_UNAVAILABLE_INFORMATION;
        return rc;
    }
    if (spec && spec->form == KL_PATTERN) return kl_pattern_give(kl_record_extra(&hold->record, spec->type), attribute);
    value = spec ? kl_attr_get(spec, &subject, &scratch) : kl_view_of(NULL, 0);
    if (value.data) return kl_attr_give(attribute, value);
    attribute->ulValueLen = CK_UNAVAILABLE_INFORMATION;
    return KL_ATTR_TYPE;
}

/* v3.1 5.7.5: each attribute has its own failure; the call reports one of them. */
static enum kl_rc worse(enum kl_rc a, enum kl_rc b)
{
    static const enum kl_rc order[] = { KL_ATTR_SENSITIVE, KL_ATTR_TYPE, KL_BUFFER };

    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        if (a == order[i] || b == order[i]) return order[i];
    }
    return a;
}

static bool is_of_one_attribute(enum kl_rc rc)
{
    return rc == KL_OK || rc == KL_ATTR_SENSITIVE || rc == KL_ATTR_TYPE || rc == KL_BUFFER;
}

enum kl_rc kl_object_read(struct kl_session *session, CK_OBJECT_HANDLE handle, CK_ATTRIBUTE *template, CK_ULONG count)
{
    KL_AUTO(kl_hold) hold = { 0 };
    const struct kl_attr_table *table;
    enum kl_rc worst = KL_OK;

    KL_TRY(kl_hold_take(session, handle, &hold));
    KL_CHECK(template && count > 0, KL_ARG);
    table = kl_attr_table_of(hold.record.class);
    /* not reached: no other class is stored. */
    KL_CHECK(table, KL_INTEGRITY);
    for (CK_ULONG i = 0; i < count; i++) {
        enum kl_rc rc = read_one(session, &hold, table, &template[i]);

        if (!is_of_one_attribute(rc)) return rc;
        worst = worse(worst, rc);
    }
    return worst;
}

enum kl_rc kl_object_size(struct kl_session *session, CK_OBJECT_HANDLE handle, CK_ULONG *size)
{
    KL_AUTO(kl_hold) hold = { 0 };

    KL_TRY(kl_hold_take(session, handle, &hold));
    *size = sizeof(struct kl_snapshot) + hold.record.label.len + hold.record.key_id.len + hold.record.value_len;
    for (size_t i = 0; i < hold.record.extra_count; i++) *size += sizeof(uint64_t) + hold.record.extras[i].value.len;
    return KL_OK;
}

/* --- changing --- */

static enum kl_rc may_change(const struct kl_session *session, const struct kl_hold *hold)
{
    struct kl_deed deed = { .kind = KL_DEED_CHANGE, .key = &hold->record };

    KL_CHECK(!hold->is_token || session->is_rw, KL_SESSION_READ_ONLY);
    KL_TRY(kl_policy_judge(policy_of(session), &deed));
    KL_CHECK(hold->record.class != CKO_SECRET_KEY || kl_session_is_user(session) || kl_session_is_so(session), KL_NOT_LOGGED_IN);
    return KL_OK;
}

/* What a data object is to hold from now on: among its extras, as a key's bytes, or sealed by the ladder. */
static enum kl_rc draft_value(const struct kl_hold *hold, struct kl_draft *draft, struct kl_key **key)
{
    if (!draft->has_value) return KL_OK;
    draft->record.value_len = (uint32_t)draft->value.len;
    if (!kl_record_has(&draft->record, KL_FLAG_PRIVATE)) return kl_draft_extra(draft, CKA_VALUE, draft->value);
    return hold->is_token ? KL_OK : kl_make_value_key(draft->value, key);
}

static enum kl_rc store_token(struct kl_hold *hold, const struct kl_draft *draft, struct kl_record *out, struct kl_commit *commit)
{
    struct kl_ladder *ladder = hold->token->ladder;
    KL_AUTO(kl_secret) value = { 0 };

    if (!draft->has_value) return kl_ladder_change(ladder, &draft->record, out, commit);
    if (kl_record_has(&draft->record, KL_FLAG_PRIVATE)) KL_TRY(kl_secret_from(&value, draft->value));
    return kl_ladder_change_data(ladder, &draft->record, &value, out, commit);
}

static enum kl_rc store_change(struct kl_hold *hold, const struct kl_draft *draft, struct kl_key *key)
{
    struct kl_arrival arrival = { .record = &draft->record, .key = key, .is_key_new = draft->has_value };
    KL_AUTO(kl_record) changed = { 0 };
    struct kl_place place = { NULL, NULL, 0 };
    enum kl_rc rc = kl_place_room(&draft->record, draft->value.len + KL_PLACE_SPARE, &place);

    if (rc == KL_OK && hold->is_token) {
        rc = store_token(hold, draft, &changed, &arrival.commit);
        arrival.record = &changed;
    }
    if (rc == KL_OK) rc = kl_shelf_change(hold->token->shelf, hold->object, hold->shot, &place, &arrival);
    kl_place_clear(&place);
    return rc;
}

static bool is_label_new(const struct kl_hold *hold, const struct kl_draft *draft)
{
    return !hold->is_token && !kl_view_is(hold->record.label, draft->record.label);
}

static enum kl_rc change(struct kl_session *session, struct kl_hold *hold, const struct kl_asked *asked)
{
    struct kl_applying applying = kl_applying_of(session, KL_MODIFY);
    struct kl_draft draft;
    struct kl_key *key = NULL;
    enum kl_rc rc;

    KL_TRY(may_change(session, hold));
    kl_draft_from(&draft, &hold->record, hold->is_token);
    KL_TRY(kl_draft_apply(&draft, asked, applying));
    if (is_label_new(hold, &draft)) KL_TRY(kl_make_check_label(session, &draft));
    rc = draft_value(hold, &draft, &key);
    if (rc == KL_OK) rc = store_change(hold, &draft, key);
    kl_key_put(key);
    return rc;
}

enum kl_rc kl_object_write(struct kl_session *session, CK_OBJECT_HANDLE handle, const CK_ATTRIBUTE *template, CK_ULONG count)
{
    KL_AUTO(kl_hold) hold = { 0 };
    struct kl_asked asked;
    enum kl_rc rc = KL_CONFLICT;

    KL_TRY(kl_hold_take(session, handle, &hold));
    KL_CHECK(count > 0, KL_ARG);
    KL_TRY(kl_asked_read(template, count, &asked));
    for (int tries = 0; rc == KL_CONFLICT && tries < CONFLICTS_MAX; tries++) {
        if (tries > 0) KL_TRY(kl_hold_renew(&hold));
        rc = change(session, &hold, &asked);
    }
    return rc;
}

static enum kl_rc bind_family(struct kl_hold *hold, uint8_t family)
{
    struct kl_draft draft;

    kl_draft_from(&draft, &hold->record, hold->is_token);
    KL_TRY(kl_draft_extra(&draft, KL_EXTRA_FAMILY, kl_view_of(&family, 1)));
    return store_change(hold, &draft, NULL);
}

enum kl_rc kl_object_bind_family(struct kl_hold *hold, uint8_t family)
{
    enum kl_rc rc = KL_CONFLICT;

    for (int tries = 0; rc == KL_CONFLICT && tries < CONFLICTS_MAX; tries++) {
        struct kl_view bound;

        if (tries > 0) KL_TRY(kl_hold_renew(hold));
        /* Bound before, or by a session that was quicker, and perhaps of another mind. */
        bound = kl_record_extra(&hold->record, KL_EXTRA_FAMILY);
        if (bound.len == 1) return bound.data[0] == family ? KL_OK : KL_KEY_FUNCTION;
        rc = bind_family(hold, family);
    }
    return rc;
}

/* --- destroying --- */

static enum kl_rc may_destroy(const struct kl_session *session, const struct kl_hold *hold)
{
    struct kl_deed deed = { .kind = KL_DEED_DESTROY, .key = &hold->record, .is_token = true };

    KL_CHECK(session->is_rw, KL_SESSION_READ_ONLY);
    return kl_policy_judge(policy_of(session), &deed);
}

/* Durable first, then memory: what has answered CKR_OK is gone for good. */
static enum kl_rc destroy(struct kl_session *session, struct kl_hold *hold)
{
    struct kl_shelf *shelf = hold->token->shelf;
    struct kl_commit commit = { 0, 0 };

    KL_TRY(may_destroy(session, hold));
    KL_TRY(kl_ladder_remove(hold->token->ladder, &hold->record, &commit));
    kl_shelf_remove(shelf, hold->object, commit);
    return KL_OK;
}

static enum kl_rc destroy_token(struct kl_session *session, CK_OBJECT_HANDLE handle)
{
    KL_AUTO(kl_hold) hold = { 0 };
    enum kl_rc rc = KL_CONFLICT;

    KL_TRY(kl_hold_take(session, handle, &hold));
    for (int tries = 0; rc == KL_CONFLICT && tries < CONFLICTS_MAX; tries++) {
        if (tries > 0) KL_TRY(kl_hold_renew(&hold));
        rc = destroy(session, &hold);
    }
    return rc;
}

/* What the rules of destruction ask of a session object. */
static enum kl_rc may_go(const void *session, const struct kl_snapshot *shot)
{
    struct kl_record record = { .flags = shot->flags, .level = (enum kl_level)shot->level };
    struct kl_deed deed = { .kind = KL_DEED_DESTROY, .key = &record };

    return kl_policy_judge(policy_of(session), &deed);
}

/* Record keys are made and destroyed one after the other: what has no row is judged and ended in one step. */
enum kl_rc kl_object_destroy(struct kl_session *session, CK_OBJECT_HANDLE handle)
{
    const struct kl_token *token = session->token;
    struct kl_verdict verdict = { may_go, session };
    struct kl_object *object = NULL;

    KL_TRY(kl_object_get(session, handle, &object));
    if (kl_object_is_token(object)) {
        kl_slot_put(object);
        KL_TRY(destroy_token(session, handle));
    } else {
        KL_TRY(kl_shelf_remove_made(token->shelf, object, &verdict));
    }
    kl_op_forget(session, handle);
    return KL_OK;
}

/* --- forgetting --- */

static enum kl_rc evict(struct kl_token *token, struct kl_object *object, CK_OBJECT_HANDLE handle)
{
    struct kl_snapshot *shot = kl_shelf_shot(token->shelf, object);
    enum kl_rc rc = KL_OK;

    if (shot->class != CKO_SECRET_KEY) rc = KL_KEY_HANDLE;
    if (rc == KL_OK && object->owner) rc = kl_fail(KL_PROHIBITED, "a session key lies nowhere else: destroy it");
    if (rc == KL_OK) {
        kl_ladder_evict(token->ladder, shot->id);
        rc = kl_shelf_evict(token->shelf, object);
        kl_session_forget_key(token, handle);
        kl_budget_settle(token->ladder, shot->id);
    }
    kl_snapshot_put(shot);
    return rc;
}

enum kl_rc kl_object_evict(struct kl_token *token, CK_OBJECT_HANDLE handle)
{
    struct kl_object *object;
    enum kl_rc rc;

    KL_CHECK(kl_ladder_role(token->ladder) == KL_ROLE_USER, KL_NOT_LOGGED_IN);
    if (handle == CK_INVALID_HANDLE) {
        kl_ladder_evict(token->ladder, NULL);
        rc = kl_shelf_evict(token->shelf, NULL);
        kl_session_forget_key(token, handle);
        kl_budget_settle(token->ladder, NULL);
        return rc;
    }
    object = kl_slot_get(handle);
    if (!object) return KL_OBJECT;
    rc = object->token == token ? evict(token, object, handle) : KL_OBJECT;
    kl_slot_put(object);
    return rc;
}

/* --- what ends with something else --- */

void kl_object_end_session(struct kl_token *token, CK_SESSION_HANDLE session)
{
    kl_shelf_end_session(token->shelf, session);
}

void kl_object_end_private(struct kl_token *token)
{
    kl_shelf_end_private(token->shelf);
}

void kl_object_end_all(struct kl_token *token)
{
    kl_shelf_end_all(token->shelf);
}

void kl_object_end_orphans(struct kl_token *token)
{
    kl_shelf_end_orphans(token->shelf);
}

void kl_object_abandon_all(void)
{
    kl_slot_abandon();
}
