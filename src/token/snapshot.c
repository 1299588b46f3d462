/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/snapshot.h"

#include <stdlib.h>
#include <string.h>

#define DATES_LEN 16
#define EXTRA_HEAD 12

static bool has_dates(const struct kl_record *record)
{
    return record->start_date[0] || record->end_date[0];
}

static size_t tail_len(const struct kl_record *record, size_t sealed_len)
{
    size_t len = record->label.len + record->key_id.len + sealed_len + (has_dates(record) ? DATES_LEN : 0);

    for (size_t i = 0; i < record->extra_count; i++) len += EXTRA_HEAD + record->extras[i].value.len;
    return len;
}

struct kl_snapshot *kl_snapshot_room(const struct kl_record *draft, size_t more, size_t *cap)
{
    *cap = tail_len(draft, draft->sealed.len) + more;
    return malloc(sizeof(struct kl_snapshot) + *cap);
}

static void write_tail(struct kl_writer *writer, const struct kl_record *record)
{
    kl_write_raw(writer, record->label);
    kl_write_raw(writer, record->key_id);
    kl_write_raw(writer, record->sealed);
    if (has_dates(record)) {
        kl_write_raw(writer, kl_view_of(record->start_date, sizeof record->start_date));
        kl_write_raw(writer, kl_view_of(record->end_date, sizeof record->end_date));
    }
    for (size_t i = 0; i < record->extra_count; i++) {
        kl_write_u64(writer, record->extras[i].type);
        kl_write_bytes(writer, record->extras[i].value);
    }
}

enum kl_rc kl_snapshot_fill(struct kl_snapshot **out, size_t cap, const struct kl_record *record)
{
    struct kl_snapshot *room = *out, *fitting;
    struct kl_writer writer = { room->tail, cap, 0 };

    KL_CHECK(record->label.len <= KL_ROW_LABEL_MAX && record->key_id.len <= KL_ROW_KEY_ID_MAX, KL_MEMORY);
    KL_CHECK(record->key_type <= UINT32_MAX && record->sealed.len <= UINT32_MAX, KL_MEMORY);
    memset(room, 0, sizeof *room);
    atomic_store_explicit(&room->references, 1, memory_order_relaxed);
    room->flags = record->flags;
    room->generation = record->generation;
    room->mechanism = record->mechanism;
    room->created_at = record->created_at;
    room->expires_at = record->expires_at;
    memcpy(room->id, record->id, sizeof room->id);
    memcpy(room->parent, record->parent, sizeof room->parent);
    memcpy(room->commitment, record->commitment, sizeof room->commitment);
    room->version = record->version;
    room->value_len = record->value_len;
    room->key_type = (uint32_t)record->key_type;
    room->sealed_len = (uint32_t)record->sealed.len;
    room->label_len = (uint16_t)record->label.len;
    room->key_id_len = (uint16_t)record->key_id.len;
    room->class = (uint8_t)record->class;
    room->level = (uint8_t)record->level;
    room->state = (uint8_t)record->state;
    room->extra_count = (uint8_t)record->extra_count;
    room->is_active = record->is_active;
    room->has_commitment = record->has_commitment;
    room->has_dates = has_dates(record);
    write_tail(&writer, record);
    KL_CHECK(kl_writer_is_whole(&writer), KL_MEMORY);
    if (writer.len == cap) return KL_OK;
    /* Where nothing can be given back it stays too large. */
    fitting = realloc(room, sizeof *room + writer.len);
    if (fitting) *out = fitting;
    return KL_OK;
}

enum kl_rc kl_snapshot_new(const struct kl_record *record, struct kl_snapshot **out)
{
    size_t cap = 0;
    struct kl_snapshot *room = kl_snapshot_room(record, 0, &cap);
    enum kl_rc rc;

    KL_CHECK(room, KL_MEMORY);
    rc = kl_snapshot_fill(&room, cap, record);
    if (rc == KL_OK)
        *out = room;
    else
        free(room);
    return rc;
}

struct kl_snapshot *kl_snapshot_get(struct kl_snapshot *shot)
{
    atomic_fetch_add_explicit(&shot->references, 1, memory_order_relaxed);
    return shot;
}

void kl_snapshot_put(struct kl_snapshot *shot)
{
    if (!shot || !kl_drop_reference(&shot->references)) return;
    kl_key_put(atomic_load_explicit(&shot->key, memory_order_acquire));
    free(shot);
}

void kl_snapshot_give_key(struct kl_snapshot *shot, struct kl_key *key)
{
    atomic_store_explicit(&shot->key, key, memory_order_relaxed);
}

struct kl_view kl_snapshot_label(const struct kl_snapshot *shot)
{
    return kl_view_of(shot->tail, shot->label_len);
}

struct kl_view kl_snapshot_key_id(const struct kl_snapshot *shot)
{
    return kl_view_of(shot->tail + shot->label_len, shot->key_id_len);
}

static void read_extras(const struct kl_snapshot *shot, size_t at, struct kl_extra *extras)
{
    struct kl_reader reader = kl_reader_of(kl_view_of(shot->tail + at, SIZE_MAX / 2));

    for (size_t i = 0; i < shot->extra_count; i++) {
        extras[i].type = kl_read_u64(&reader);
        extras[i].value = kl_read_bytes(&reader);
    }
}

void kl_snapshot_record(const struct kl_snapshot *shot, struct kl_record *record, struct kl_extra extras[KL_EXTRAS_MAX])
{
    size_t at = (size_t)shot->label_len + shot->key_id_len;

    memset(record, 0, sizeof *record);
    record->flags = shot->flags;
    record->generation = shot->generation;
    record->mechanism = shot->mechanism;
    record->created_at = shot->created_at;
    record->expires_at = shot->expires_at;
    memcpy(record->id, shot->id, sizeof record->id);
    memcpy(record->parent, shot->parent, sizeof record->parent);
    memcpy(record->commitment, shot->commitment, sizeof record->commitment);
    record->version = shot->version;
    record->value_len = shot->value_len;
    record->key_type = shot->key_type;
    record->class = shot->class;
    record->level = (enum kl_level)shot->level;
    record->state = (enum kl_state)shot->state;
    record->is_active = shot->is_active;
    record->has_commitment = shot->has_commitment;
    record->label = kl_snapshot_label(shot);
    record->key_id = kl_snapshot_key_id(shot);
    record->sealed = kl_view_of(shot->tail + at, shot->sealed_len);
    at += shot->sealed_len;
    if (shot->has_dates) {
        memcpy(record->start_date, shot->tail + at, 8);
        memcpy(record->end_date, shot->tail + at + 8, 8);
        at += DATES_LEN;
    }
    read_extras(shot, at, extras);
    record->extras = extras;
    record->extra_count = shot->extra_count;
}

struct kl_key *kl_snapshot_key(struct kl_snapshot *shot)
{
    struct kl_key *key = atomic_load_explicit(&shot->key, memory_order_acquire);

    return key ? kl_key_get(key) : NULL;
}

void kl_snapshot_keep_key(struct kl_snapshot *shot, struct kl_key *key)
{
    struct kl_key *none = NULL;

    if (!key) return;
    kl_key_get(key);
    if (!atomic_compare_exchange_strong(&shot->key, &none, key)) kl_key_put(key);
}
