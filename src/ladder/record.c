/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "ladder/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first byte of a row's metadata (doc/format.md, "Rows"). */
#define METADATA_FORMAT 1
#define KNOWN_FLAGS ((KL_FLAG_GENERATED << 1) - 1)

/* Hands out pieces of one block; with base == NULL it only counts. */
struct block {
    uint8_t *base;
    size_t used;
};

static struct kl_view keep(struct block *block, struct kl_view bytes)
{
    struct kl_view kept = { NULL, bytes.len };

    if (block->base && (bytes.data || bytes.len)) {
        kept.data = block->base + block->used;
        if (bytes.data && bytes.len) memcpy(block->base + block->used, bytes.data, bytes.len);
    }
    block->used += bytes.len;
    return kept;
}

/* Sets the views of `record` to copies in the block, in the order extras, label, id, sealed. */
static void keep_views(struct block *block, struct kl_record *record, const struct kl_record *from)
{
    struct kl_extra *extras = block->base ? (struct kl_extra *)(void *)block->base : NULL;

    block->used = from->extra_count * sizeof(struct kl_extra);
    for (size_t i = 0; i < from->extra_count; i++) {
        struct kl_view value = keep(block, from->extras[i].value);

        if (!extras) continue;
        extras[i].type = from->extras[i].type;
        extras[i].value = value;
        /* An empty value is there all the same: its data must not be NULL. */
        if (!value.data) extras[i].value.data = block->base;
    }
    record->extras = extras;
    record->label = keep(block, from->label);
    record->key_id = keep(block, from->key_id);
    record->sealed = keep(block, from->sealed);
}

enum kl_rc kl_record_dup(struct kl_record *copy, const struct kl_record *from)
{
    struct kl_record made = *from;
    struct block block = { NULL, 0 };

    keep_views(&block, &made, from);
    block.base = calloc(1, block.used ? block.used : 1);
    KL_CHECK(block.base, KL_MEMORY);
    keep_views(&block, &made, from);
    made.memory = block.base;
    *copy = made;
    return KL_OK;
}

/* The fixed part of the metadata and its extras, whose views stay in the row. */
static enum kl_rc read_metadata(struct kl_view metadata, struct kl_record *record, struct kl_extra extras[KL_EXTRAS_MAX])
{
    struct kl_reader reader = kl_reader_of(metadata);
    uint8_t format = kl_read_u8(&reader);
    uint64_t flags, last = 0;

    record->class = kl_read_u64(&reader);
    record->key_type = kl_read_u64(&reader);
    record->value_len = kl_read_u32(&reader);
    flags = kl_read_u64(&reader);
    record->mechanism = kl_read_u64(&reader);
    kl_read_raw(&reader, record->start_date, sizeof(record->start_date));
    kl_read_raw(&reader, record->end_date, sizeof(record->end_date));
    record->extra_count = kl_read_u32(&reader);
    KL_CHECK(!reader.bad && format == METADATA_FORMAT, KL_INTEGRITY);
    KL_CHECK(!(flags & ~(uint64_t)KNOWN_FLAGS) && record->extra_count <= KL_EXTRAS_MAX, KL_INTEGRITY);
    record->flags = (uint32_t)flags;
    for (size_t i = 0; i < record->extra_count; i++) {
        extras[i].type = kl_read_u64(&reader);
        extras[i].value = kl_read_bytes(&reader);
        KL_CHECK(i == 0 || extras[i].type > last, KL_INTEGRITY);
        last = extras[i].type;
    }
    KL_CHECK(kl_reader_is_done(&reader), KL_INTEGRITY);
    record->extras = extras;
    return KL_OK;
}

enum kl_rc kl_record_read(struct kl_record *record, const struct kl_row *row)
{
    struct kl_extra extras[KL_EXTRAS_MAX];
    struct kl_record read = {
        .generation = row->generation,
        .state = (enum kl_state)row->state,
        .version = row->rotation_count + 1,
        .is_active = row->is_active,
        .created_at = row->created_at,
        .expires_at = row->expires_at,
        .label = row->label,
        .key_id = row->key_id,
        .sealed = row->encrypted_key,
    };

    memcpy(read.id, row->id, sizeof(read.id));
    memcpy(read.parent, row->parent, sizeof(read.parent));
    KL_CHECK(kl_level_from_name(row->key_type, &read.level) && kl_state_is_valid(row->state), KL_INTEGRITY);
    KL_CHECK(row->key_hash.len == 0 || row->key_hash.len == KL_COMMITMENT_LEN, KL_INTEGRITY);
    read.has_commitment = row->key_hash.len > 0;
    if (read.has_commitment) memcpy(read.commitment, row->key_hash.data, KL_COMMITMENT_LEN);
    KL_TRY(read_metadata(row->metadata, &read, extras));
    KL_CHECK(row->is_public == !(read.flags & KL_FLAG_PRIVATE), KL_INTEGRITY);
    KL_CHECK((read.level == KL_LEVEL_DATA) == (read.class == KL_CLASS_DATA), KL_INTEGRITY);
    return kl_record_dup(record, &read);
}

void kl_record_clear(struct kl_record *record)
{
    free(record->memory);
    memset(record, 0, sizeof(*record));
}

void kl_record_take(struct kl_record *to, struct kl_record *from)
{
    *to = *from;
    memset(from, 0, sizeof(*from));
}

struct kl_view kl_record_extra(const struct kl_record *record, uint64_t type)
{
    for (size_t i = 0; i < record->extra_count; i++) {
        if (record->extras[i].type == type) return record->extras[i].value;
    }
    return (struct kl_view){ NULL, 0 };
}

static void write_metadata(const struct kl_record *record, struct kl_writer *writer)
{
    kl_write_u8(writer, METADATA_FORMAT);
    kl_write_u64(writer, record->class);
    kl_write_u64(writer, record->key_type);
    kl_write_u32(writer, record->value_len);
    kl_write_u64(writer, record->flags);
    kl_write_u64(writer, record->mechanism);
    kl_write_raw(writer, kl_view_of(record->start_date, sizeof(record->start_date)));
    kl_write_raw(writer, kl_view_of(record->end_date, sizeof(record->end_date)));
    kl_write_u32(writer, (uint32_t)record->extra_count);
    for (size_t i = 0; i < record->extra_count; i++) {
        kl_write_u64(writer, record->extras[i].type);
        kl_write_bytes(writer, record->extras[i].value);
    }
}

/* For people who look into the table; the numbers that count are in the metadata. */
static void write_algorithm(const struct kl_record *record, char *out, size_t cap)
{
    const char *name = "key";

    if (record->class == KL_CLASS_DATA)
        name = "data";
    else if (record->key_type == KL_TYPE_AES)
        name = "AES";
    else if (record->key_type == KL_TYPE_GENERIC)
        name = "generic";
    else if (record->key_type == KL_TYPE_CHACHA20)
        name = "ChaCha20";
    else if (record->key_type == KL_TYPE_HKDF)
        name = "HKDF";
    if (record->class == KL_CLASS_DATA)
        snprintf(out, cap, "%s", name);
    else
        snprintf(out, cap, "%s-%u", name, (unsigned)record->value_len * 8);
}

enum kl_rc kl_record_write(const struct kl_record *record, struct kl_row_room *room, struct kl_row *row)
{
    struct kl_writer writer = { NULL, 0, 0 };

    KL_CHECK(record->extra_count <= KL_EXTRAS_MAX, KL_ATTR_VALUE);
    write_metadata(record, &writer);
    KL_CHECK(writer.len <= KL_ROW_METADATA_MAX, KL_ATTR_VALUE);
    room->metadata = malloc(writer.len);
    KL_CHECK(room->metadata, KL_MEMORY);
    writer = (struct kl_writer){ room->metadata, writer.len, 0 };
    write_metadata(record, &writer);
    write_algorithm(record, room->algorithm, sizeof(room->algorithm));
    *row = (struct kl_row){
        .generation = record->generation,
        .key_type = kl_view_text(kl_level_name(record->level)),
        .key_id = record->key_id,
        .encrypted_key = record->sealed,
        .key_hash = { record->commitment, record->has_commitment ? KL_COMMITMENT_LEN : 0 },
        .algorithm = kl_view_text(room->algorithm),
        .created_at = record->created_at,
        .expires_at = record->expires_at,
        .is_active = record->is_active,
        .rotation_count = record->version - 1,
        .state = (uint32_t)record->state,
        .is_public = !(record->flags & KL_FLAG_PRIVATE),
        .label = record->label,
        .metadata = { room->metadata, writer.len },
    };
    memcpy(row->id, record->id, sizeof(row->id));
    memcpy(row->parent, record->parent, sizeof(row->parent));
    return KL_OK;
}

void kl_row_room_clear(struct kl_row_room *room)
{
    free(room->metadata);
    room->metadata = NULL;
}
