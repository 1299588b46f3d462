/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* C_FindObjects: by an index where the template names a label, a CKA_ID or a CKA_UNIQUE_ID, page by page where it does not. */
#include "token/find.h"

#include <stdlib.h>
#include <string.h>

#include "token/asked.h"
#include "token/hold.h"
#include "token/object.h"
#include "token/shelf.h"

struct search {
    struct kl_asked asked; /* its values point into `bytes` */
    bool hides_master;
    bool wants_token;
    bool wants_session;
    struct kl_walk walk;
    struct kl_handles found;
    size_t given;
    uint8_t bytes[];
};

/* --- what matches --- */

static bool matches_one(const struct kl_attr_table *table, const struct kl_subject *subject, const struct kl_attr *attr)
{
    const struct kl_attr_spec *spec = kl_attr_find(table, attr->type);
    struct kl_scratch scratch;
    struct kl_view value;

    /* A search must not tell whether a guess at a hidden value was right. */
    if (!spec || (spec->rules & KL_HIDDEN)) return false;
    value = kl_attr_get(spec, subject, &scratch);
    return value.data && kl_view_is(value, attr->value);
}

static bool wants(const void *user, const struct kl_subject *subject)
{
    const struct search *search = user;
    const struct kl_attr_table *table = kl_attr_table_of(subject->record->class);

    if (!table || !(subject->is_token ? search->wants_token : search->wants_session)) return false;
    if (search->hides_master && subject->record->level == KL_LEVEL_MASTER) return false;
    for (size_t i = 0; i < search->asked.count; i++) {
        if (!matches_one(table, subject, &search->asked.items[i])) return false;
    }
    return true;
}

/* --- how it is looked for --- */

static const struct kl_attr *named(const struct search *search, CK_ATTRIBUTE_TYPE type)
{
    const struct kl_attr *attr = kl_asked_find(&search->asked, type);

    return attr && attr->value.len > 0 ? attr : NULL;
}

/* Can nothing on this token match, whatever is on it? */
static bool is_hopeless(const struct search *search)
{
    const struct kl_attr *class = kl_asked_find(&search->asked, CKA_CLASS);

    return class && (class->value.len != sizeof(CK_ULONG) || !kl_attr_table_of(kl_attr_number(class->value)));
}

static enum kl_rc look(struct kl_session *session, struct search *search, const struct kl_filter *filter)
{
    struct kl_token *token = session->token;
    const struct kl_attr *unique_id = named(search, CKA_UNIQUE_ID);
    const struct kl_attr *label = named(search, CKA_LABEL);
    const struct kl_attr *key_id = named(search, CKA_ID);
    uint8_t id[KL_ROW_ID_LEN];

    search->walk.is_done = true;
    if (unique_id) {
        if (!kl_uuid_from(unique_id->value, id)) return KL_OK;
        return kl_shelf_look(token->shelf, KL_BY_ROW, kl_view_of(id, sizeof id), filter, &search->found);
    }
    if (label && label->value.len > KL_ROW_LABEL_MAX) return KL_OK;
    if (label) return kl_shelf_look(token->shelf, KL_BY_LABEL, label->value, filter, &search->found);
    if (!key_id || key_id->value.len > KL_ROW_KEY_ID_MAX) return KL_OK;
    return kl_shelf_look(token->shelf, KL_BY_KEY_ID, key_id->value, filter, &search->found);
}

static struct kl_filter filter_of(const struct kl_session *session, const struct search *search)
{
    return (struct kl_filter){ wants, search, kl_session_is_user(session) };
}

static enum kl_rc begin(struct kl_session *session, struct search *search)
{
    struct kl_token *token = session->token;
    struct kl_filter filter = filter_of(session, search);
    bool is_named = named(search, CKA_UNIQUE_ID) || named(search, CKA_LABEL) || named(search, CKA_ID);
    bool logged_in = kl_ladder_role(token->ladder) != KL_ROLE_NONE;

    /* `list_master = no` is for callers that take what they find; who names it, wants it. */
    search->hides_master = !is_named && !kl_ladder_lists_master(token->ladder);
    if (is_hopeless(search)) {
        search->walk.is_done = true;
        return KL_OK;
    }
    if (is_named && logged_in) return look(session, search, &filter);
    search->walk.query = logged_in ? KL_BY_ALL : KL_BY_PUBLIC;
    search->walk.skips_store = !search->wants_token;
    return KL_OK;
}

/* Only token objects, only session objects, or both. */
static enum kl_rc read_places(struct search *search)
{
    bool token = false;

    search->wants_token = search->wants_session = true;
    if (!kl_asked_find(&search->asked, CKA_TOKEN)) return KL_OK;
    KL_TRY(kl_asked_bool(&search->asked, CKA_TOKEN, false, &token));
    search->wants_token = token;
    search->wants_session = !token;
    return KL_OK;
}

/* Nothing that an object has is longer. */
static enum kl_rc check_lengths(const struct kl_asked *asked)
{
    for (size_t i = 0; i < asked->count; i++) KL_CHECK(asked->items[i].value.len <= KL_DATA_MAX, KL_ATTR_VALUE);
    return KL_OK;
}

/* NULL: no memory. */
static struct search *search_new(const struct kl_asked *asked)
{
    struct search *search;
    size_t len = 0;

    for (size_t i = 0; i < asked->count; i++) len += asked->items[i].value.len;
    search = calloc(1, sizeof *search + len);
    if (!search) return NULL;
    search->asked = *asked;
    len = 0;
    for (size_t i = 0; i < asked->count; i++) {
        struct kl_view *value = &search->asked.items[i].value;

        if (value->len) memcpy(search->bytes + len, value->data, value->len);
        value->data = search->bytes + len;
        len += value->len;
    }
    return search;
}

static void search_free(struct search *search)
{
    if (!search) return;
    kl_handles_clear(&search->found);
    free(search);
}

/* --- the functions --- */

void kl_find_clear(struct kl_op *op)
{
    search_free(op->state);
    op->state = NULL;
    op->is_active = false;
}

static bool is_alive(const struct kl_session *session, const struct kl_op *op)
{
    const struct kl_token *token = session->token;

    return op->is_active && op->login_epoch == atomic_load(&token->login_epoch);
}

enum kl_rc kl_find_init(struct kl_session *session, const CK_ATTRIBUTE *template, CK_ULONG count)
{
    struct kl_op *op = &session->ops[KL_OP_FIND];
    struct kl_token *token = session->token;
    struct search *search;
    struct kl_asked asked;
    enum kl_rc rc;

    if (op->is_active && !is_alive(session, op)) kl_find_clear(op);
    KL_CHECK(!op->is_active, KL_OPERATION_ACTIVE);
    KL_TRY(kl_asked_read(template, count, &asked));
    KL_TRY(check_lengths(&asked));
    search = search_new(&asked);
    KL_CHECK(search, KL_MEMORY);
    op->login_epoch = atomic_load(&token->login_epoch);
    rc = read_places(search);
    if (rc == KL_OK) rc = begin(session, search);
    if (rc != KL_OK) {
        search_free(search);
        return rc;
    }
    op->state = search;
    op->is_active = true;
    return KL_OK;
}

static CK_ULONG give(struct search *search, CK_OBJECT_HANDLE *handles, CK_ULONG room)
{
    size_t left = search->found.count - search->given;
    size_t count = left < room ? left : room;

    if (count) memcpy(handles, search->found.items + search->given, count * sizeof *handles);
    search->given += count;
    if (search->given == search->found.count) search->given = search->found.count = 0;
    return count;
}

enum kl_rc kl_find_next(struct kl_session *session, CK_OBJECT_HANDLE *handles, CK_ULONG room, CK_ULONG *count)
{
    struct kl_op *op = &session->ops[KL_OP_FIND];
    struct kl_token *token = session->token;
    struct search *search = op->state;
    struct kl_filter filter;

    *count = 0;
    if (op->is_active && !is_alive(session, op)) kl_find_clear(op);
    if (!op->is_active) return KL_NO_OPERATION;
    filter = filter_of(session, search);
    *count = give(search, handles, room);
    while (*count < room && !search->walk.is_done) {
        enum kl_rc rc = kl_shelf_walk(token->shelf, &search->walk, &filter, &search->found);

        if (rc != KL_OK) {
            kl_find_clear(op);
            return rc;
        }
        *count += give(search, handles + *count, room - *count);
    }
    return KL_OK;
}

enum kl_rc kl_find_final(struct kl_session *session)
{
    struct kl_op *op = &session->ops[KL_OP_FIND];
    bool was_active = op->is_active;

    kl_find_clear(op);
    return was_active ? KL_OK : KL_NO_OPERATION;
}
