/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Changing rows: each change is sealed first and then written in one transaction. */
#include "ladder/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/random.h"

/* A record on its way into the store. */
struct change {
    struct kl_record record; /* borrows */
    uint8_t *sealed;
    struct kl_row_room room;
    struct kl_row row;
    uint8_t key_id[KL_ROW_ID_LEN];
    struct kl_extra extras[KL_EXTRAS_MAX];
    uint8_t salt_type[8];
    uint8_t salt[KL_SALT_LEN];
};

static void change_clear(struct change *change)
{
    free(change->sealed);
    kl_row_room_clear(&change->room);
}

static enum kl_rc seal_change(struct kl_ladder *ladder, const struct kl_key *parent, struct kl_view value, struct change *change)
{
    KL_TRY(kl_seal_value(kl_ladder_serial(ladder), parent, &change->record, value, &change->sealed));
    return kl_record_write(&change->record, &change->room, &change->row);
}

/* What must be so inside the transaction, looked at before it writes. */
struct conditions {
    bool (*taken_by)(const struct kl_record *); /* who may not have the label already; NULL: anybody may */
    const struct kl_record *parent;             /* must be as it was; NULL: the master, which its row's seal names */
};

static enum kl_rc check_conditions(struct kl_ladder *ladder, const struct change *change, const struct conditions *conditions)
{
    KL_AUTO(kl_record) parent = { 0 };

    if (conditions->taken_by) KL_TRY(kl_check_label_free(ladder, change->record.label, conditions->taken_by));
    if (!conditions->parent) return KL_OK;
    KL_TRY(kl_ladder_get(ladder, conditions->parent->id, conditions->parent->label, &parent));
    KL_CHECK(parent.state == KL_STATE_ACTIVE, KL_KEY_FUNCTION);
    return KL_OK;
}

/* The caller's copy is made before the commit: after it nothing may fail any more. */
static enum kl_rc write_change(struct kl_ladder *ladder, const struct change *change, const struct conditions *conditions,
                               struct kl_record *out, struct kl_commit *commit)
{
    KL_AUTO(kl_record) copy = { 0 };
    struct kl_store *store = NULL;
    struct kl_txn *txn = NULL;
    enum kl_rc rc;

    KL_TRY(kl_record_dup(&copy, &change->record));
    KL_TRY(kl_ladder_store(ladder, KL_STORE_EXISTING, &store));
    KL_TRY(kl_store_begin(store, &txn));
    rc = check_conditions(ladder, change, conditions);
    if (rc == KL_OK) rc = change->record.generation == 1 ? kl_txn_add(txn, &change->row) : kl_txn_change(txn, &change->row);
    if (rc != KL_OK) {
        kl_txn_abort(txn);
        return rc;
    }
    KL_TRY(kl_txn_commit(txn, commit));
    kl_record_take(out, &copy);
    return KL_OK;
}

/* Extras of a derived key: the caller's, and what it was derived with, so that it can be derived again. Ours have the higher numbers. */
static void add_extras(const struct kl_request *request, struct change *change)
{
    struct kl_writer writer = { change->salt_type, sizeof(change->salt_type), 0 };
    size_t count = request->extra_count;

    if (count) memcpy(change->extras, request->extras, count * sizeof(*change->extras));
    kl_write_u64(&writer, KL_SALT_DATA);
    change->extras[count++] = (struct kl_extra){ KL_EXTRA_SALT_TYPE, { change->salt_type, sizeof(change->salt_type) } };
    change->extras[count++] = (struct kl_extra){ KL_EXTRA_SALT, request->salt };
    change->extras[count++] = (struct kl_extra){ KL_EXTRA_INFO, request->info };
    change->record.extras = change->extras;
    change->record.extra_count = count;
}

static enum kl_rc draft_derived(const struct kl_record *parent, const struct kl_request *request, struct change *change)
{
    change->record = (struct kl_record){
        .generation = 1,
        .level = kl_level_below(parent->level),
        .state = KL_STATE_ACTIVE,
        .version = 1,
        .is_active = true,
        .has_commitment = true,
        .class = KL_CLASS_SECRET_KEY,
        .key_type = request->key_type,
        .value_len = request->length,
        .flags = request->flags | KL_FLAG_GENERATED,
        .mechanism = KL_NO_MECHANISM,
        .created_at = kl_clock->wall(),
        .label = request->label,
        .key_id = request->key_id,
    };
    memcpy(change->record.parent, parent->id, KL_ROW_ID_LEN);
    memcpy(change->record.start_date, request->start_date, sizeof(request->start_date));
    memcpy(change->record.end_date, request->end_date, sizeof(request->end_date));
    KL_TRY(kl_random_uuid(change->record.id));
    if (request->key_id.data) return KL_OK;
    KL_TRY(kl_random_fill(change->key_id, sizeof(change->key_id)));
    change->record.key_id = kl_view_of(change->key_id, sizeof(change->key_id));
    return KL_OK;
}

static enum kl_rc check_request(const struct kl_record *parent, const struct kl_request *request)
{
    enum kl_level level = kl_level_below(parent->level);

    KL_CHECK(request->is_token, KL_ARG);
    KL_CHECK(level != KL_LEVELS, KL_KEY_FUNCTION);
    if (!kl_level_is_stored(level)) return kl_fail(KL_TEMPLATE, "below a field key there are record keys only, which are session objects");
    if (request->label.len == 0) return kl_fail(KL_TEMPLATE_INCOMPLETE, "a ladder key needs a label");
    if (request->label.len > KL_LADDER_LABEL_MAX || !kl_view_is_utf8(request->label) ||
        memchr(request->label.data, '#', request->label.len)) {
        return kl_fail(KL_ATTR_VALUE, "a ladder key's label is 1 to %d bytes of UTF-8 without '#'", KL_LADDER_LABEL_MAX);
    }
    KL_CHECK(request->key_id.len <= KL_ROW_KEY_ID_MAX && request->extra_count <= KL_EXTRAS_MAX - 3, KL_ATTR_VALUE);
    return KL_OK;
}

/* Derives and seals; `request` has its salt. */
static enum kl_rc derive_sealed(struct kl_ladder *ladder, struct kl_key *parent, const struct kl_request *request, struct change *change,
                                struct kl_key **key)
{
    KL_AUTO(kl_secret) value = { 0 };
    KL_AUTO(kl_secret) copy = { 0 };
    enum kl_rc rc;

    KL_TRY(kl_derive_value(parent, request, &value));
    KL_TRY(kl_secret_dup(&copy, &value));
    KL_TRY(kl_key_make(&copy, change->record.level, request->key_type, true, key));
    memcpy(change->record.commitment, kl_key_commitment(*key).data, KL_COMMITMENT_LEN);
    rc = seal_change(ladder, parent, kl_secret_view(&value), change);
    if (rc != KL_OK) {
        kl_key_put(*key);
        *key = NULL;
    }
    return rc;
}

enum kl_rc kl_ladder_derive(struct kl_ladder *ladder, const struct kl_record *parent, const struct kl_request *request,
                            struct kl_record *out, struct kl_key **key, struct kl_commit *commit)
{
    __attribute__((cleanup(change_clear))) struct change change = { 0 };
    struct conditions conditions = { .taken_by = kl_is_secret_key, .parent = parent };
    struct kl_request salted = *request;
    uint64_t login = ladder->login;
    struct kl_key *parent_key = NULL, *made = NULL;
    enum kl_rc rc;

    KL_TRY(check_request(parent, request));
    if (!request->has_salt) {
        KL_TRY(kl_random_fill(change.salt, sizeof(change.salt)));
        salted.salt = kl_view_of(change.salt, sizeof(change.salt));
        salted.has_salt = true;
    }
    KL_TRY(draft_derived(parent, request, &change));
    add_extras(&salted, &change);
    KL_TRY(kl_ladder_open_key(ladder, parent, &parent_key));
    rc = derive_sealed(ladder, parent_key, &salted, &change, &made);
    kl_key_put(parent_key);
    if (rc == KL_OK) rc = write_change(ladder, &change, &conditions, out, commit);
    if (rc == KL_OK) kl_hold(ladder, change.record.id, made, login);
    if (rc == KL_OK && key)
        *key = made;
    else
        kl_key_put(made);
    return rc;
}

static enum kl_rc check_draft(const struct kl_record *draft, const struct kl_secret *value)
{
    size_t max = draft->class == KL_CLASS_DATA ? KL_DATA_MAX : KL_VALUE_MAX;

    KL_CHECK(draft->level == KL_LEVEL_FREE || draft->level == KL_LEVEL_DATA, KL_TEMPLATE);
    KL_CHECK(draft->label.len <= KL_ROW_LABEL_MAX && draft->key_id.len <= KL_ROW_KEY_ID_MAX, KL_ATTR_VALUE);
    KL_CHECK(value->len <= max && (draft->class == KL_CLASS_DATA || value->len > 0), KL_ATTR_VALUE);
    return KL_OK;
}

/* Which keys may not have the label of a free key: ladder keys; data objects may be called as they like. */
static struct conditions conditions_for(const struct kl_record *record)
{
    return (struct conditions){ .taken_by = record->class == KL_CLASS_SECRET_KEY ? kl_is_ladder_key : NULL };
}

enum kl_rc kl_ladder_add(struct kl_ladder *ladder, const struct kl_record *draft, const struct kl_secret *value, struct kl_record *out,
                         struct kl_commit *commit)
{
    __attribute__((cleanup(change_clear))) struct change change = { .record = *draft };
    struct conditions conditions = conditions_for(draft);
    KL_AUTO(kl_record) master = { 0 };
    struct kl_record *record = &change.record;
    struct kl_key *parent = NULL;
    enum kl_rc rc;

    KL_CHECK(ladder->role != KL_ROLE_NONE, KL_NOT_LOGGED_IN);
    KL_TRY(check_draft(draft, value));
    KL_TRY(kl_current_master(ladder, &master));
    KL_TRY(kl_random_uuid(record->id));
    memcpy(record->parent, master.id, KL_ROW_ID_LEN);
    record->generation = 1;
    record->version = 1;
    record->state = KL_STATE_ACTIVE;
    record->is_active = true;
    record->created_at = kl_clock->wall();
    record->has_commitment = (draft->flags & KL_FLAG_GENERATED) != 0;
    if (record->has_commitment) KL_TRY(kl_expand(value, "keyladder/1/commit", record->commitment, KL_COMMITMENT_LEN));
    KL_TRY(kl_open_any(ladder, &master, &parent));
    rc = seal_change(ladder, parent, kl_secret_view(value), &change);
    kl_key_put(parent);
    KL_TRY(rc);
    return write_change(ladder, &change, &conditions, out, commit);
}

/* `fresh` is what it holds from now on; NULL: what it held. */
static enum kl_rc change_row(struct kl_ladder *ladder, const struct kl_record *changed, const struct kl_secret *fresh,
                             struct kl_record *out, struct kl_commit *commit)
{
    __attribute__((cleanup(change_clear))) struct change change = { .record = *changed };
    struct conditions conditions = conditions_for(changed);
    KL_AUTO(kl_secret) value = { 0 };
    KL_AUTO(kl_record) before = { 0 };
    struct kl_key *parent = NULL;
    enum kl_rc rc;

    KL_CHECK(ladder->role != KL_ROLE_NONE, KL_NOT_LOGGED_IN);
    /* As it lies in the store: the value is sealed with those columns. */
    KL_TRY(kl_ladder_get(ladder, changed->id, (struct kl_view){ NULL, 0 }, &before));
    KL_CHECK(before.generation == changed->generation, KL_CONFLICT);
    if (kl_level_is_ladder(changed->level) || kl_view_is(before.label, changed->label)) conditions.taken_by = NULL;
    KL_CHECK(!kl_level_is_ladder(changed->level) || kl_view_is(before.label, changed->label), KL_ATTR_READ_ONLY);
    KL_CHECK(changed->level != KL_LEVEL_MASTER, KL_PROHIBITED);
    change.record.generation++;
    KL_TRY(kl_open_parent(ladder, &before, &parent));
    rc = kl_open_value(kl_ladder_serial(ladder), parent, &before, &value);
    if (rc == KL_OK) rc = seal_change(ladder, parent, kl_secret_view(fresh ? fresh : &value), &change);
    kl_key_put(parent);
    KL_TRY(rc);
    return write_change(ladder, &change, &conditions, out, commit);
}

enum kl_rc kl_ladder_change(struct kl_ladder *ladder, const struct kl_record *changed, struct kl_record *out, struct kl_commit *commit)
{
    return change_row(ladder, changed, NULL, out, commit);
}

enum kl_rc kl_ladder_change_data(struct kl_ladder *ladder, const struct kl_record *changed, const struct kl_secret *value,
                                 struct kl_record *out, struct kl_commit *commit)
{
    KL_CHECK(changed->class == KL_CLASS_DATA && value->len <= KL_DATA_MAX, KL_ATTR_VALUE);
    return change_row(ladder, changed, value, out, commit);
}

enum kl_rc kl_ladder_remove(struct kl_ladder *ladder, const struct kl_record *record, struct kl_commit *commit)
{
    struct kl_store *store = NULL;
    struct kl_txn *txn = NULL;
    enum kl_rc rc;

    KL_CHECK(ladder->role != KL_ROLE_NONE, KL_NOT_LOGGED_IN);
    KL_CHECK(!kl_level_is_ladder(record->level), KL_PROHIBITED);
    KL_TRY(kl_ladder_store(ladder, KL_STORE_EXISTING, &store));
    KL_TRY(kl_store_begin(store, &txn));
    rc = kl_txn_remove(txn, record->id, record->generation);
    if (rc != KL_OK) {
        kl_txn_abort(txn);
        return rc;
    }
    return kl_txn_commit(txn, commit);
}
