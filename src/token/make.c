/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/make.h"

#include <string.h>

#include "crypto/random.h"
#include "token/asked.h"
#include "token/hold.h"
#include "token/mech.h"
#include "token/object.h"
#include "token/policy.h"
#include "token/shelf.h"
#include "token/source.h"

/* --- what all ways have in common --- */

static struct kl_token *token_of(const struct kl_session *session)
{
    return session->token;
}

struct kl_applying kl_applying_of(const struct kl_session *session, unsigned how)
{
    const struct kl_token *token = session->token;

    return (struct kl_applying){ how, token->policy, kl_session_is_so(session) };
}

/* Who may make what: v3.1 5.7, and DESIGN 4.6 for keys. */
static enum kl_rc may_make(const struct kl_session *session, const struct kl_draft *draft)
{
    enum kl_role role = kl_ladder_role(token_of(session)->ladder);
    bool is_private = kl_record_has(&draft->record, KL_FLAG_PRIVATE);

    KL_CHECK(!draft->is_token || session->is_rw, KL_SESSION_READ_ONLY);
    KL_CHECK(role == KL_ROLE_USER || (!is_private && draft->record.class != CKO_SECRET_KEY), KL_NOT_LOGGED_IN);
    KL_CHECK(role != KL_ROLE_NONE || !draft->is_token, KL_NOT_LOGGED_IN);
    return KL_OK;
}

static bool is_ladder_key(const void *user, const struct kl_subject *subject)
{
    (void)user;
    return kl_level_is_ladder(subject->record->level) && subject->is_token;
}

enum kl_rc kl_make_check_label(struct kl_session *session, const struct kl_draft *draft)
{
    static const struct kl_filter ladder_keys = { .wants = is_ladder_key, .sees_private = true };
    struct kl_view label = draft->record.label;
    struct kl_handles found = { 0 };
    size_t count;
    enum kl_rc rc;

    if (label.len == 0 || label.len > KL_LADDER_LABEL_MAX || draft->record.class != CKO_SECRET_KEY) return KL_OK;
    rc = kl_shelf_look(token_of(session)->shelf, KL_BY_LABEL, label, &ladder_keys, &found);
    count = found.count;
    kl_handles_clear(&found);
    KL_TRY(rc);
    if (count > 0) return kl_fail(KL_LABEL_TAKEN, "a key of the ladder has this label");
    return KL_OK;
}

/* Usages that the caller said nothing about, as far as nothing was imposed on them. */
static void add_default_usage(struct kl_draft *draft, enum kl_level level, uint32_t named)
{
    if (!(named & KL_USAGE_FLAGS)) draft->record.flags |= kl_policy_default_usage(level, draft->record.key_type) & ~draft->named;
}

/* What a caller's template says, and what the key that makes this one imposes on it; *named: flags that the caller named. */
static enum kl_rc apply(struct kl_draft *draft, const struct kl_asked *asked, struct kl_applying applying, const struct kl_pattern *imposed,
                        uint32_t *named)
{
    KL_TRY(kl_draft_apply(draft, asked, applying));
    *named = draft->named;
    return kl_draft_impose(draft, asked, imposed);
}

enum kl_rc kl_make_judge(const struct kl_session *session, const struct kl_draft *draft, const struct kl_record *from)
{
    const struct kl_token *token = session->token;
    struct kl_deed deed = {
        .kind = KL_DEED_MAKE,
        .key = &draft->record,
        .other = from,
        .is_token = draft->is_token,
        .named = draft->named,
        .value = draft->has_value ? draft->value : kl_view_of(NULL, 0),
    };

    return kl_policy_judge(token->policy, &deed);
}

static enum kl_rc add_token(struct kl_session *session, const struct kl_draft *draft, const struct kl_secret *value, CK_OBJECT_HANDLE *out)
{
    struct kl_token *token = token_of(session);
    struct kl_place place = { NULL, NULL, 0 };
    KL_AUTO(kl_record) record = { 0 };
    struct kl_arrival arrival = { .record = &record };
    enum kl_rc rc = kl_place_new(&draft->record, value->len + KL_PLACE_SPARE, &place);

    if (rc == KL_OK) rc = kl_ladder_add(token->ladder, &draft->record, value, &record, &arrival.commit);
    if (rc == KL_OK) rc = kl_shelf_add(token->shelf, &place, &arrival, out);
    kl_place_clear(&place);
    return rc;
}

/* Takes `key`, whatever comes of it; NULL: a data object. */
static enum kl_rc add_session(struct kl_session *session, struct kl_draft *draft, struct kl_key *key, CK_OBJECT_HANDLE *out)
{
    CK_SESSION_HANDLE owner = atomic_load_explicit(&session->handle, memory_order_relaxed);
    enum kl_rc rc = kl_random_uuid_next(draft->record.id);

    draft->record.generation = 1;
    if (rc == KL_OK) rc = kl_shelf_add_made(token_of(session)->shelf, &draft->record, key, owner, out);
    if (rc != KL_OK) kl_key_put(key);
    return rc;
}

enum kl_rc kl_make_value_key(struct kl_view value, struct kl_key **key)
{
    KL_AUTO(kl_secret) secret = { 0 };

    if (value.len == 0) return KL_OK;
    KL_TRY(kl_secret_from(&secret, value));
    return kl_key_new(&secret, CKK_GENERIC_SECRET, false, key);
}

/* A key outside the ladder that has been judged; takes `value`. */
static enum kl_rc add_judged_key(struct kl_session *session, struct kl_draft *draft, struct kl_secret *value, CK_OBJECT_HANDLE *out)
{
    struct kl_key *key = NULL;

    if (draft->is_token) return add_token(session, draft, value, out);
    KL_TRY(kl_make_check_label(session, draft));
    KL_TRY(kl_key_new(value, draft->record.key_type, kl_record_has(&draft->record, KL_FLAG_GENERATED), &key));
    return add_session(session, draft, key, out);
}

static enum kl_rc add_free_key(struct kl_session *session, struct kl_draft *draft, struct kl_secret *value, CK_OBJECT_HANDLE *out)
{
    draft->record.value_len = (uint32_t)value->len;
    KL_TRY(kl_make_judge(session, draft, NULL));
    return add_judged_key(session, draft, value, out);
}

static enum kl_rc add_data(struct kl_session *session, struct kl_draft *draft, struct kl_view bytes, CK_OBJECT_HANDLE *out)
{
    bool is_private = kl_record_has(&draft->record, KL_FLAG_PRIVATE);
    KL_AUTO(kl_secret) value = { 0 };
    struct kl_key *key = NULL;

    /* not reached: the attribute has that bound, and no derivation makes so much. */
    KL_CHECK(bytes.len <= KL_DATA_MAX, KL_ATTR_VALUE);
    draft->record.value_len = (uint32_t)bytes.len;
    if (!is_private) KL_TRY(kl_draft_extra(draft, CKA_VALUE, bytes));
    if (draft->is_token) {
        if (is_private) KL_TRY(kl_secret_from(&value, bytes));
        return add_token(session, draft, &value, out);
    }
    if (is_private) KL_TRY(kl_make_value_key(bytes, &key));
    return add_session(session, draft, key, out);
}

/* --- C_CreateObject --- */

static enum kl_rc check_value(const struct kl_draft *draft)
{
    if (!draft->has_key_type || !draft->has_value) return kl_fail(KL_TEMPLATE_INCOMPLETE, "a key needs CKA_KEY_TYPE and CKA_VALUE");
    KL_CHECK(kl_key_type_is_known(draft->record.key_type), KL_ATTR_VALUE);
    KL_CHECK(kl_key_type_takes(draft->record.key_type, draft->value.len), KL_ATTR_VALUE);
    KL_CHECK(!draft->has_value_len || draft->value_len == draft->value.len, KL_TEMPLATE);
    return KL_OK;
}

static enum kl_rc create_key(struct kl_session *session, struct kl_draft *draft, CK_OBJECT_HANDLE *out)
{
    KL_AUTO(kl_secret) value = { 0 };

    KL_TRY(check_value(draft));
    add_default_usage(draft, KL_LEVEL_FREE, draft->named);
    draft->record.flags = kl_policy_history_imported(draft->record.flags);
    KL_TRY(kl_secret_from(&value, draft->value));
    return add_free_key(session, draft, &value, out);
}

enum kl_rc kl_object_create(struct kl_session *session, const CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *out)
{
    struct kl_applying applying = kl_applying_of(session, KL_ON_CREATE);
    CK_ULONG class = CK_UNAVAILABLE_INFORMATION;
    struct kl_asked asked;
    struct kl_draft draft;

    KL_TRY(kl_asked_read(template, count, &asked));
    KL_CHECK(kl_asked_find(&asked, CKA_CLASS), KL_TEMPLATE_INCOMPLETE);
    KL_TRY(kl_asked_number(&asked, CKA_CLASS, class, &class));
    KL_CHECK(class == CKO_SECRET_KEY || class == CKO_DATA, KL_ATTR_VALUE);
    kl_draft_begin(&draft, class);
    KL_TRY(kl_draft_apply(&draft, &asked, applying));
    KL_TRY(may_make(session, &draft));
    return class == CKO_DATA ? add_data(session, &draft, draft.value, out) : create_key(session, &draft, out);
}

/* --- C_GenerateKey --- */

static enum kl_rc wanted_len(const struct kl_mech *mech, const struct kl_draft *draft, size_t *out)
{
    size_t fixed = kl_key_type_fixed_len(draft->record.key_type);

    KL_CHECK(fixed || draft->has_value_len, KL_TEMPLATE_INCOMPLETE);
    *out = draft->has_value_len ? draft->value_len : fixed;
    KL_CHECK(kl_key_type_takes(draft->record.key_type, *out) && *out <= mech->max_key, KL_ATTR_VALUE);
    return KL_OK;
}

enum kl_rc kl_object_generate(struct kl_session *session, const CK_MECHANISM *mechanism, const CK_ATTRIBUTE *template, CK_ULONG count,
                              CK_OBJECT_HANDLE *out)
{
    const struct kl_mech *mech = kl_mech_find(mechanism->mechanism);
    struct kl_applying applying = kl_applying_of(session, KL_ON_GENERATE);
    KL_AUTO(kl_secret) value = { 0 };
    struct kl_asked asked;
    struct kl_draft draft;
    size_t len = 0;

    KL_CHECK(mech && mech->generates, KL_MECHANISM);
    KL_CHECK(mechanism->ulParameterLen == 0, KL_PARAMETER);
    KL_TRY(kl_asked_read(template, count, &asked));
    kl_draft_begin(&draft, CKO_SECRET_KEY);
    draft.record.key_type = mech->makes;
    KL_TRY(kl_draft_apply(&draft, &asked, applying));
    KL_CHECK(draft.record.key_type == mech->makes, KL_TEMPLATE);
    KL_TRY(may_make(session, &draft));
    KL_TRY(wanted_len(mech, &draft, &len));
    add_default_usage(&draft, KL_LEVEL_FREE, draft.named);
    draft.record.mechanism = mech->type;
    draft.record.flags = kl_policy_history_generated(draft.record.flags, len);
    draft.record.value_len = (uint32_t)len;
    KL_TRY(kl_make_judge(session, &draft, NULL));
    KL_TRY(kl_random_secret(&value, len));
    return add_free_key(session, &draft, &value, out);
}

/* --- C_DeriveKey --- */

enum kl_rc kl_make_derived_len(struct kl_draft *draft, size_t usual, size_t most, size_t *out)
{
    bool is_data = draft->record.class == CKO_DATA;
    size_t fixed = is_data ? 0 : kl_key_type_fixed_len(draft->record.key_type);

    *out = fixed ? fixed : usual;
    if (draft->has_value_len) *out = draft->value_len;
    KL_CHECK(*out != 0 || draft->has_value_len, KL_TEMPLATE_INCOMPLETE);
    KL_CHECK(!fixed || *out == fixed, KL_TEMPLATE);
    KL_CHECK(*out >= 1 && *out <= most && (is_data || kl_key_type_takes(draft->record.key_type, *out)), KL_ATTR_VALUE);
    draft->record.value_len = (uint32_t)*out;
    return KL_OK;
}

enum kl_rc kl_make_may_be_prf_key(const struct kl_session *session, const struct kl_hold *hold)
{
    const struct kl_token *token = session->token;
    struct kl_deed deed = { .kind = KL_DEED_PRF, .key = &hold->record };

    return kl_policy_judge(token->policy, &deed);
}

/* Bytes first, then whether there may be such a key: what it comes from, and a salt that is a key, have been judged by then. */
static enum kl_rc derive_free_key(struct kl_session *session, const struct kl_mech *mech, struct kl_derivation *derivation, uint32_t named,
                                  CK_OBJECT_HANDLE *out)
{
    struct kl_draft *draft = derivation->draft;
    const struct kl_record *base = &derivation->base->record;
    KL_AUTO(kl_secret) value = { 0 };

    if (!draft->has_key_type) draft->record.key_type = CKK_GENERIC_SECRET;
    KL_CHECK(kl_key_type_is_known(draft->record.key_type), KL_ATTR_VALUE);
    add_default_usage(draft, KL_LEVEL_FREE, named);
    draft->record.flags = kl_policy_inherited(base->flags, draft->named, draft->record.flags);
    KL_TRY(mech->derive(derivation, &value));
    draft->record.value_len = (uint32_t)value.len;
    KL_TRY(kl_make_judge(session, draft, base));
    KL_TRY(kl_mech_bind(session, mech, derivation->handle));
    return add_judged_key(session, draft, &value, out);
}

/* CKM_HKDF_DATA and its like: the result is an object that can be read. */
static enum kl_rc derive_data(struct kl_session *session, const struct kl_mech *mech, struct kl_derivation *derivation,
                              CK_OBJECT_HANDLE *out)
{
    const struct kl_token *token = session->token;
    struct kl_deed deed = { .kind = KL_DEED_TELL, .key = &derivation->base->record };
    KL_AUTO(kl_secret) value = { 0 };

    KL_TRY(kl_policy_judge(token->policy, &deed));
    KL_TRY(mech->derive(derivation, &value));
    KL_TRY(kl_mech_bind(session, mech, derivation->handle));
    return add_data(session, derivation->draft, kl_secret_view(&value), out);
}

static enum kl_rc derive_free(struct kl_session *session, const struct kl_mech *mech, struct kl_derivation *derivation, uint32_t named,
                              CK_OBJECT_HANDLE *out)
{
    KL_CHECK(mech->derive, KL_KEY_FUNCTION); /* not reached: what derives on the ladder derives free keys as well */
    KL_TRY(kl_source_key(session->source, &derivation->base_key));
    return mech->derives == CKO_DATA ? derive_data(session, mech, derivation, out) : derive_free_key(session, mech, derivation, named, out);
}

static void fill_request(const struct kl_draft *draft, struct kl_request *request)
{
    const struct kl_record *record = &draft->record;

    request->key_type = record->key_type;
    request->length = draft->has_value_len ? (uint32_t)draft->value_len : KL_LADDER_KEY_LEN;
    request->flags = record->flags;
    request->is_token = draft->is_token;
    request->label = record->label;
    request->key_id = record->key_id;
    memcpy(request->start_date, record->start_date, sizeof request->start_date);
    memcpy(request->end_date, record->end_date, sizeof request->end_date);
    request->extras = record->extras;
    request->extra_count = record->extra_count;
}

static enum kl_rc add_ladder_token(struct kl_session *session, struct kl_hold *base, const struct kl_request *request,
                                   const struct kl_draft *draft, CK_OBJECT_HANDLE *out)
{
    struct kl_token *token = token_of(session);
    struct kl_place place = { NULL, NULL, 0 };
    KL_AUTO(kl_record) record = { 0 };
    struct kl_arrival arrival = { .record = &record };
    enum kl_rc rc = kl_place_new(&draft->record, request->length + request->salt.len + request->info.len + KL_PLACE_SPARE, &place);

    if (rc == KL_OK) rc = kl_ladder_derive(token->ladder, &base->record, request, &record, &arrival.key, &arrival.commit);
    if (rc == KL_OK) rc = kl_shelf_add(token->shelf, &place, &arrival, out);
    kl_place_clear(&place);
    kl_key_put(arrival.key);
    return rc;
}

static enum kl_rc add_ladder_session(struct kl_session *session, struct kl_hold *base, const struct kl_request *request,
                                     struct kl_draft *draft, CK_OBJECT_HANDLE *out)
{
    struct kl_key *parent = NULL;
    struct kl_key *key = NULL;
    enum kl_rc rc;

    KL_TRY(kl_make_check_label(session, draft));
    KL_TRY(kl_source_key(session->source, &parent));
    KL_TRY(kl_key_derive(parent, request, &key));
    draft->record.level = KL_LEVEL_REK;
    draft->record.value_len = request->length;
    draft->record.version = base->record.version;
    memcpy(draft->record.parent, base->record.id, sizeof draft->record.parent);
    /* What it was derived with: an envelope of another version of the parent is opened by deriving again. */
    rc = kl_draft_extra(draft, KL_EXTRA_SALT, request->salt);
    if (rc == KL_OK) rc = kl_draft_extra(draft, KL_EXTRA_INFO, request->info);
    if (rc == KL_OK) return add_session(session, draft, key, out);
    kl_key_put(key);
    return rc;
}

/* DESIGN 4.4: what comes from a version that is past its time undoes, and protects nothing new. */
static enum kl_rc fit_to_state(const struct kl_hold *base, struct kl_draft *draft)
{
    uint32_t protecting = KL_FLAG_ENCRYPT | KL_FLAG_SIGN | KL_FLAG_WRAP;

    if (kl_state_can_encrypt(base->record.state)) return KL_OK;
    KL_CHECK(!(draft->record.flags & draft->named & protecting) && !draft->is_token, KL_TEMPLATE);
    draft->record.flags &= ~protecting;
    return KL_OK;
}

static enum kl_rc judge_ladder(const struct kl_session *session, const struct kl_draft *draft)
{
    const struct kl_token *token = session->token;
    struct kl_deed deed = { .kind = KL_DEED_GROW, .key = &draft->record, .is_token = draft->is_token, .named = draft->named };

    return kl_policy_judge(token->policy, &deed);
}

static enum kl_rc derive_ladder(struct kl_session *session, const struct kl_mech *mech, const struct kl_derivation *derivation,
                                uint32_t named, CK_OBJECT_HANDLE *out)
{
    struct kl_draft *draft = derivation->draft;
    struct kl_hold *base = derivation->base;
    enum kl_level level = draft->is_token ? kl_level_below(base->record.level) : KL_LEVEL_REK;
    struct kl_request request = { 0 };

    KL_CHECK(mech->derive_ladder, KL_KEY_FUNCTION); /* not reached: the policy has refused a mechanism that is not for the ladder */
    KL_CHECK(level != KL_LEVELS, KL_KEY_FUNCTION);  /* not reached: and a record key that would derive */
    KL_TRY(mech->derive_ladder(derivation->parameter, &request));
    if (draft->is_token && !kl_level_is_stored(level)) {
        return kl_fail(KL_TEMPLATE, "below a field key there are record keys only, which are session objects");
    }
    if (!draft->has_key_type) draft->record.key_type = CKK_AES;
    KL_CHECK(draft->record.key_type != CKK_HKDF && kl_key_type_is_known(draft->record.key_type), KL_TEMPLATE);
    KL_CHECK(!draft->has_value_len || kl_key_type_takes(draft->record.key_type, draft->value_len), KL_ATTR_VALUE);
    add_default_usage(draft, level, named);
    draft->record.level = level;
    KL_TRY(judge_ladder(session, draft));
    draft->record.flags = kl_policy_ladder_flags(draft->record.flags, draft->is_token);
    KL_TRY(fit_to_state(base, draft));
    fill_request(draft, &request);
    return draft->is_token ? add_ladder_token(session, base, &request, draft, out)
                           : add_ladder_session(session, base, &request, draft, out);
}

/* The caller's template, and what the source's own imposes on it; `imposed` is room for that. */
static enum kl_rc read_template(struct kl_session *session, const CK_ATTRIBUTE *template, CK_ULONG count, struct kl_pattern *imposed,
                                struct kl_draft *draft, uint32_t *named)
{
    struct kl_source *source = session->source;
    struct kl_asked asked;

    if (kl_source_recall(source, template, count, draft, named)) return KL_OK;
    KL_TRY(kl_asked_read(template, count, &asked));
    KL_TRY(kl_pattern_read(kl_record_extra(&source->hold.record, CKA_DERIVE_TEMPLATE), imposed));
    kl_draft_begin(draft, source->mech->derives == CKO_DATA ? CKO_DATA : CKO_SECRET_KEY);
    KL_TRY(apply(draft, &asked, kl_applying_of(session, KL_ON_DERIVE), imposed, named));
    KL_TRY(may_make(session, draft));
    kl_source_keep(source, template, count, draft, *named);
    return KL_OK;
}

enum kl_rc kl_object_derive(struct kl_session *session, const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE base, const CK_ATTRIBUTE *template,
                            CK_ULONG count, CK_OBJECT_HANDLE *out)
{
    const struct kl_mech *mech = kl_mech_find(mechanism->mechanism);
    struct kl_derivation derivation = {
        .session = session,
        .parameter = { mechanism->pParameter, mechanism->ulParameterLen },
        .handle = base,
    };
    struct kl_pattern imposed;
    struct kl_draft draft;
    uint32_t named = 0;

    /* not reached: what derives on the ladder derives free keys as well. */
    KL_CHECK(mech && (mech->derive || mech->derive_ladder), KL_MECHANISM);
    KL_TRY(kl_source_take(session, mech, base));
    KL_TRY(read_template(session, template, count, &imposed, &draft, &named));
    derivation.base = &session->source->hold;
    derivation.draft = &draft;
    if (kl_level_is_ladder(derivation.base->record.level)) return derive_ladder(session, mech, &derivation, named, out);
    return derive_free(session, mech, &derivation, named, out);
}

/* --- C_UnwrapKey: wrap.c has opened what was wrapped --- */

/*
 * Where no length was asked for it is what came out. All that depends on the bytes is one code: under a format that authenticates
 * nothing, a code of its own would tell whoever asks often enough what is in them.
 */
static enum kl_rc check_unwrapped(const struct kl_draft *draft, const struct kl_secret *value)
{
    if (!draft->has_key_type) return kl_fail(KL_TEMPLATE_INCOMPLETE, "an unwrapped key needs CKA_KEY_TYPE");
    KL_CHECK(kl_key_type_is_known(draft->record.key_type), KL_ATTR_VALUE);
    KL_CHECK(!draft->has_value_len || draft->value_len == value->len, KL_WRAPPED);
    KL_CHECK(!draft->is_token || value->len <= KL_VALUE_MAX, KL_WRAPPED);
    KL_CHECK(kl_key_type_takes(draft->record.key_type, value->len), KL_WRAPPED);
    return KL_OK;
}

enum kl_rc kl_make_unwrapped_draft(struct kl_session *session, const struct kl_hold *unwrapping, const CK_ATTRIBUTE *template,
                                   CK_ULONG count, struct kl_unwrapped *out)
{
    struct kl_asked asked;

    KL_TRY(kl_asked_read(template, count, &asked));
    KL_TRY(kl_pattern_read(kl_record_extra(&unwrapping->record, CKA_UNWRAP_TEMPLATE), &out->imposed));
    kl_draft_begin(&out->draft, CKO_SECRET_KEY);
    KL_TRY(apply(&out->draft, &asked, kl_applying_of(session, KL_ON_UNWRAP), &out->imposed, &out->named));
    return may_make(session, &out->draft);
}

enum kl_rc kl_make_unwrapped(struct kl_session *session, struct kl_unwrapped *unwrapped, struct kl_secret *value, CK_OBJECT_HANDLE *out)
{
    struct kl_draft *draft = &unwrapped->draft;

    KL_TRY(check_unwrapped(draft, value));
    add_default_usage(draft, KL_LEVEL_FREE, unwrapped->named);
    draft->record.flags = kl_policy_history_imported(draft->record.flags);
    draft->has_value = true;
    draft->value = kl_secret_view(value);
    return add_free_key(session, draft, value, out);
}

/* --- C_CopyObject --- */

static enum kl_rc copy_key(struct kl_session *session, struct kl_hold *hold, struct kl_draft *draft, CK_OBJECT_HANDLE *out)
{
    KL_AUTO(kl_secret) value = { 0 };
    struct kl_key *key = NULL;
    enum kl_rc rc;

    KL_TRY(kl_hold_key(hold, &key));
    rc = kl_secret_from(&value, kl_key_bytes(key));
    kl_key_put(key);
    KL_TRY(rc);
    return add_free_key(session, draft, &value, out);
}

static enum kl_rc copy_data(struct kl_session *session, struct kl_hold *hold, struct kl_draft *draft, CK_OBJECT_HANDLE *out)
{
    KL_AUTO(kl_secret) value = { 0 };
    struct kl_view bytes = draft->value;

    if (!draft->has_value) {
        KL_TRY(kl_hold_data(hold, &value));
        bytes = kl_secret_view(&value);
    }
    /* A public object's value lies among its extras; a private copy has it elsewhere. */
    if (kl_record_has(&draft->record, KL_FLAG_PRIVATE)) kl_draft_drop_extra(draft, CKA_VALUE);
    return add_data(session, draft, bytes, out);
}

enum kl_rc kl_object_copy(struct kl_session *session, CK_OBJECT_HANDLE handle, const CK_ATTRIBUTE *template, CK_ULONG count,
                          CK_OBJECT_HANDLE *out)
{
    struct kl_applying applying = kl_applying_of(session, KL_ON_COPY);
    KL_AUTO(kl_hold) hold = { 0 };
    struct kl_deed deed = { .kind = KL_DEED_COPY, .key = &hold.record };
    struct kl_asked asked;
    struct kl_draft draft;

    KL_TRY(kl_hold_take(session, handle, &hold));
    KL_TRY(kl_asked_read(template, count, &asked));
    KL_TRY(kl_policy_judge(applying.policy, &deed));
    kl_draft_from(&draft, &hold.record, hold.is_token);
    draft.record.sealed = kl_view_of(NULL, 0);
    /* Trust is the SO's, of one object: a copy, which may be private, is out of the SO's sight. */
    draft.record.flags &= ~(uint32_t)KL_FLAG_TRUSTED;
    KL_TRY(kl_draft_apply(&draft, &asked, applying));
    KL_TRY(may_make(session, &draft));
    return hold.record.class == CKO_DATA ? copy_data(session, &hold, &draft, out) : copy_key(session, &hold, &draft, out);
}
