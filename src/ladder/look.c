/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Looking at rows and opening their keys. */
#include "ladder/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define DEPTH_MAX 4 /* row, FEK, DEK, master */

void kl_records_clear(struct kl_records *records)
{
    for (size_t i = 0; i < records->count; i++) kl_record_clear(&records->items[i]);
    free(records->items);
    records->items = NULL;
    records->count = 0;
}

static enum kl_rc take_page(const struct kl_page *page, struct kl_records *out)
{
    if (page->count == 0) return KL_OK;
    out->items = calloc(page->count, sizeof(*out->items));
    KL_CHECK(out->items, KL_MEMORY);
    for (size_t i = 0; i < page->count; i++) {
        enum kl_rc rc = kl_record_read(&out->items[i], &page->rows[i]);

        if (rc != KL_OK) {
            kl_records_clear(out);
            return rc;
        }
        out->count = i + 1;
    }
    return KL_OK;
}

enum kl_rc kl_ladder_read(struct kl_ladder *ladder, const struct kl_query *query, struct kl_cursor *cursor, struct kl_records *out)
{
    KL_AUTO(kl_page) page = { 0 };
    struct kl_store *store = NULL;
    uint64_t login = ladder->login;

    KL_CHECK(ladder->role != KL_ROLE_NONE || query->by == KL_BY_PUBLIC, KL_NOT_LOGGED_IN);
    KL_TRY(kl_ladder_store(ladder, KL_STORE_EXISTING, &store));
    KL_TRY(kl_store_read(store, query, cursor, &page));
    /* A logout meanwhile took the store's key away: the page may not have been checked. */
    KL_CHECK(login == ladder->login, KL_NOT_LOGGED_IN);
    return take_page(&page, out);
}

enum kl_rc kl_ladder_get(struct kl_ladder *ladder, const uint8_t id[KL_ROW_ID_LEN], struct kl_view label, struct kl_record *out)
{
    struct kl_query query = { .by = KL_BY_ROW, .value = { id, KL_ROW_ID_LEN }, .label = label };
    struct kl_cursor cursor = { 0 };
    KL_AUTO(kl_records) found = { 0 };

    KL_TRY(kl_ladder_read(ladder, &query, &cursor, &found));
    if (found.count == 0) return KL_NOT_FOUND;
    kl_record_take(out, &found.items[0]);
    return KL_OK;
}

/* The first record of a label that `fits`. The transaction's thread may call it before its first write. */
static enum kl_rc find_label(struct kl_ladder *ladder, struct kl_view label, bool (*fits)(const struct kl_record *), struct kl_record *out)
{
    struct kl_query query = { .by = KL_BY_LABEL, .value = label };
    struct kl_cursor cursor = { 0 };

    while (!cursor.done) {
        KL_AUTO(kl_records) found = { 0 };

        KL_TRY(kl_ladder_read(ladder, &query, &cursor, &found));
        for (size_t i = 0; i < found.count; i++) {
            if (!fits(&found.items[i])) continue;
            kl_record_take(out, &found.items[i]);
            return KL_OK;
        }
    }
    return KL_NOT_FOUND;
}

static bool is_current_ladder_key(const struct kl_record *record)
{
    return kl_level_is_ladder(record->level) && record->is_active;
}

bool kl_is_ladder_key(const struct kl_record *record)
{
    return kl_level_is_ladder(record->level);
}

bool kl_is_secret_key(const struct kl_record *record)
{
    return record->class == KL_CLASS_SECRET_KEY;
}

enum kl_rc kl_ladder_find(struct kl_ladder *ladder, struct kl_view label, struct kl_record *out)
{
    char path[KL_LADDER_LABEL_MAX + 1];
    enum kl_rc rc;

    if (label.len == 0 || label.len > KL_LADDER_LABEL_MAX) return kl_fail(KL_NOT_FOUND, "no ladder key has a name of %zu bytes", label.len);
    rc = find_label(ladder, label, is_current_ladder_key, out);
    if (rc != KL_NOT_FOUND || !memchr(label.data, '/', label.len)) return rc;
    for (size_t i = 0; i < label.len; i++) path[i] = label.data[i] == '/' ? '.' : (char)label.data[i];
    return find_label(ladder, kl_view_of(path, label.len), is_current_ladder_key, out);
}

/* The current master's record; kept as long as nothing was committed. */
enum kl_rc kl_current_master(struct kl_ladder *ladder, struct kl_record *out)
{
    KL_AUTO(kl_record) found = { 0 };
    KL_AUTO(kl_record) copy = { 0 };
    uint64_t mark = kl_ladder_mark(ladder);
    uint64_t login = ladder->login;
    enum kl_rc rc = KL_NOT_FOUND;

    pthread_mutex_lock(&ladder->lock);
    if (ladder->master.memory && ladder->master_mark == mark && mark % 2 == 0) rc = kl_record_dup(out, &ladder->master);
    pthread_mutex_unlock(&ladder->lock);
    if (rc != KL_NOT_FOUND) return rc;
    rc = find_label(ladder, kl_view_text("master"), is_current_ladder_key, &found);
    if (rc == KL_NOT_FOUND) return kl_fail(KL_INTEGRITY, "the token has no master key");
    KL_TRY(rc);
    KL_TRY(kl_record_dup(&copy, &found));
    pthread_mutex_lock(&ladder->lock);
    if (login == ladder->login) {
        kl_record_clear(&ladder->master);
        kl_record_take(&ladder->master, &copy);
        ladder->master_mark = mark;
    }
    pthread_mutex_unlock(&ladder->lock);
    kl_record_take(out, &found);
    return KL_OK;
}

enum kl_rc kl_check_label_free(struct kl_ladder *ladder, struct kl_view label, bool (*fits)(const struct kl_record *))
{
    KL_AUTO(kl_record) other = { 0 };
    char escaped[KL_LADDER_LABEL_MAX + 1];
    enum kl_rc rc;

    if (label.len == 0 || label.len > KL_LADDER_LABEL_MAX) return KL_OK;
    rc = find_label(ladder, label, fits, &other);
    if (rc == KL_NOT_FOUND) return KL_OK;
    KL_TRY(rc);
    return kl_fail(KL_LABEL_TAKEN, "the label %s is taken by a %s", kl_log_escape(label, escaped, sizeof(escaped)),
                   kl_level_title(other.level));
}

enum kl_rc kl_ladder_check_label(struct kl_ladder *ladder, struct kl_view label)
{
    return kl_check_label_free(ladder, label, kl_is_ladder_key);
}

/* --- opening --- */

/* The record's key with its parent in hand. */
static enum kl_rc open_under(struct kl_ladder *ladder, const struct kl_key *parent, const struct kl_record *record, struct kl_key **out)
{
    KL_AUTO(kl_secret) value = { 0 };
    struct kl_key *key = NULL;

    KL_TRY(kl_open_value(kl_ladder_serial(ladder), parent, record, &value));
    KL_CHECK(value.len > 0 && value.len == record->value_len, KL_INTEGRITY);
    KL_TRY(kl_key_make(&value, record->level, record->key_type, record->has_commitment, &key));
    if (record->has_commitment && !kl_view_is(kl_key_commitment(key), kl_view_of(record->commitment, KL_COMMITMENT_LEN))) {
        kl_key_put(key);
        return kl_fail(KL_INTEGRITY, "a key's commitment does not fit its bytes");
    }
    *out = key;
    return KL_OK;
}

static struct kl_key *held(struct kl_ladder *ladder, const uint8_t id[KL_ROW_ID_LEN])
{
    struct kl_key *key;

    pthread_mutex_lock(&ladder->lock);
    key = kl_held_find(ladder, id);
    pthread_mutex_unlock(&ladder->lock);
    return key;
}

void kl_hold(struct kl_ladder *ladder, const uint8_t id[KL_ROW_ID_LEN], struct kl_key *key, uint64_t login)
{
    pthread_mutex_lock(&ladder->lock);
    if (login == ladder->login) kl_held_add(ladder, id, key);
    pthread_mutex_unlock(&ladder->lock);
}

/* Opens the parent whose id stands in `record`: up to the first that is held, or the master, and down again. */
enum kl_rc kl_open_parent(struct kl_ladder *ladder, const struct kl_record *record, struct kl_key **out)
{
    struct kl_record chain[DEPTH_MAX] = { 0 };
    uint64_t login = ladder->login;
    const uint8_t *id = record->parent;
    struct kl_key *key = NULL;
    int depth = 0;
    enum kl_rc rc = KL_OK;

    while (rc == KL_OK && !(key = held(ladder, id))) {
        if (depth == DEPTH_MAX)
            rc = kl_fail(KL_INTEGRITY, "a key has more parents than the ladder has levels");
        else
            rc = kl_ladder_get(ladder, id, (struct kl_view){ NULL, 0 }, &chain[depth]);
        if (rc == KL_NOT_FOUND) rc = kl_fail(KL_INTEGRITY, "the key that another is sealed under is missing");
        if (rc != KL_OK) break;
        id = chain[depth++].parent;
        if (chain[depth - 1].level != KL_LEVEL_MASTER) continue;
        rc = kl_master_open(ladder, &chain[--depth], &key);
        break;
    }
    while (rc == KL_OK && depth > 0) {
        struct kl_key *child = NULL;

        rc = open_under(ladder, key, &chain[--depth], &child);
        if (rc == KL_OK) kl_hold(ladder, chain[depth].id, child, login);
        kl_key_put(key);
        key = child;
    }
    for (int i = 0; i < DEPTH_MAX; i++) kl_record_clear(&chain[i]);
    if (rc != KL_OK) return rc;
    *out = key;
    return KL_OK;
}

/* As kl_ladder_open_key, for whoever is logged in: the ladder itself needs parents' keys under the SO too. */
enum kl_rc kl_open_any(struct kl_ladder *ladder, const struct kl_record *record, struct kl_key **out)
{
    struct kl_key *parent = NULL;
    uint64_t login = ladder->login;
    enum kl_rc rc;

    KL_CHECK(ladder->role != KL_ROLE_NONE, KL_NOT_LOGGED_IN);
    KL_CHECK(record->class == KL_CLASS_SECRET_KEY, KL_KEY_HANDLE);
    if (record->level == KL_LEVEL_MASTER) return kl_master_open(ladder, record, out);
    if (kl_level_is_ladder(record->level) && (*out = held(ladder, record->id)) != NULL) return KL_OK;
    KL_TRY(kl_open_parent(ladder, record, &parent));
    rc = open_under(ladder, parent, record, out);
    kl_key_put(parent);
    if (rc == KL_OK && kl_level_is_ladder(record->level)) kl_hold(ladder, record->id, *out, login);
    return rc;
}

void kl_ladder_evict(struct kl_ladder *ladder, const uint8_t *id)
{
    pthread_mutex_lock(&ladder->lock);
    if (id) {
        kl_held_drop(ladder, id);
    } else {
        kl_held_drop_all(ladder);
        ladder->opened_by = NULL;
    }
    pthread_mutex_unlock(&ladder->lock);
}

enum kl_rc kl_ladder_open_key(struct kl_ladder *ladder, const struct kl_record *record, struct kl_key **out)
{
    KL_CHECK(ladder->role == KL_ROLE_USER, KL_NOT_LOGGED_IN);
    return kl_open_any(ladder, record, out);
}

/* The bytes of a free key or of data, for the user to read or for a change to seal again. */
static enum kl_rc open_bytes(struct kl_ladder *ladder, const struct kl_record *record, struct kl_secret *out)
{
    struct kl_key *parent = NULL;
    enum kl_rc rc;

    KL_TRY(kl_open_parent(ladder, record, &parent));
    rc = kl_open_value(kl_ladder_serial(ladder), parent, record, out);
    kl_key_put(parent);
    return rc;
}

enum kl_rc kl_ladder_open_data(struct kl_ladder *ladder, const struct kl_record *record, struct kl_secret *out)
{
    KL_CHECK(ladder->role == KL_ROLE_USER, KL_NOT_LOGGED_IN);
    KL_CHECK(record->class == KL_CLASS_DATA, KL_KEY_HANDLE);
    return open_bytes(ladder, record, out);
}
