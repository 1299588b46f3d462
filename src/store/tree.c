/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "store/tree.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"

enum { ENTRIES_AT_FIRST = 64 * KL_ENTRY_LEN };

static enum kl_rc make_room(struct kl_entries *entries)
{
    size_t cap = entries->cap == 0 ? ENTRIES_AT_FIRST : entries->cap * 2;
    uint8_t *data;

    if (entries->cap - entries->len >= KL_ENTRY_LEN) return KL_OK;
    data = realloc(entries->data, cap);
    if (data == NULL) return kl_fail(KL_MEMORY, "no memory for the rows of a bucket");
    entries->data = data;
    entries->cap = cap;
    return KL_OK;
}

enum kl_rc kl_entries_add(struct kl_entries *entries, const struct kl_entry *entry)
{
    struct kl_writer writer;

    KL_TRY(make_room(entries));
    writer = (struct kl_writer){ entries->data + entries->len, KL_ENTRY_LEN, 0 };
    kl_write_raw(&writer, kl_view_of(entry->id, sizeof entry->id));
    kl_write_u64(&writer, entry->generation);
    kl_write_raw(&writer, kl_view_of(entry->digest, sizeof entry->digest));
    entries->len += KL_ENTRY_LEN;
    return KL_OK;
}

enum kl_rc kl_entries_copy(struct kl_entries *entries, const uint8_t encoded[KL_ENTRY_LEN])
{
    KL_TRY(make_room(entries));
    memcpy(entries->data + entries->len, encoded, KL_ENTRY_LEN);
    entries->len += KL_ENTRY_LEN;
    return KL_OK;
}

const uint8_t *kl_entries_find(const struct kl_entries *entries, const uint8_t id[KL_ROW_ID_LEN])
{
    size_t low = 0;
    size_t high = entries->len / KL_ENTRY_LEN;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const uint8_t *entry = entries->data + middle * KL_ENTRY_LEN;
        int order = memcmp(id, entry, KL_ROW_ID_LEN);

        if (order == 0) return entry;
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

void kl_entry_read(const uint8_t encoded[KL_ENTRY_LEN], struct kl_entry *entry)
{
    struct kl_reader reader = kl_reader_of(kl_view_of(encoded, KL_ENTRY_LEN));

    kl_read_raw(&reader, entry->id, sizeof entry->id);
    entry->generation = kl_read_u64(&reader);
    kl_read_raw(&reader, entry->digest, sizeof entry->digest);
}

bool kl_entry_is(const uint8_t *encoded, const struct kl_entry *entry)
{
    struct kl_entry read;

    kl_entry_read(encoded, &read);
    return read.generation == entry->generation && memcmp(read.id, entry->id, sizeof read.id) == 0 &&
           memcmp(read.digest, entry->digest, sizeof read.digest) == 0;
}

void kl_entries_empty(struct kl_entries *entries)
{
    entries->len = 0;
}

void kl_entries_clear(struct kl_entries *entries)
{
    free(entries->data);
    memset(entries, 0, sizeof *entries);
}

static enum kl_rc place(struct kl_view key, uint8_t kind, struct kl_view value, struct kl_spot *spot)
{
    uint8_t head[64];
    uint8_t mac[KL_MAC_LEN];
    struct kl_writer writer = { head, sizeof head, 0 };
    struct kl_view parts[2];

    kl_write_bytes(&writer, kl_view_text("place"));
    kl_write_u8(&writer, kind);
    kl_write_u32(&writer, (uint32_t)value.len);
    parts[0] = kl_view_of(head, writer.len);
    parts[1] = value;
    KL_TRY(kl_hmac_parts(KL_SHA256, key, parts, 2, mac));
    spot->bucket = ((uint32_t)mac[0] << 4) | (mac[1] >> 4);
    memcpy(spot->tag, mac + 2, sizeof spot->tag);
    return KL_OK;
}

enum kl_rc kl_tree_place(struct kl_view key, enum kl_place kind, struct kl_view value, const uint8_t id[KL_ROW_ID_LEN],
                         struct kl_spot *spot)
{
    uint8_t number = kind == KL_PLACE_LABEL ? 0 : 1;

    if (value.len > 0) return place(key, number, value, spot);
    return place(key, (uint8_t)(number + 2), kl_view_of(id, KL_ROW_ID_LEN), spot);
}

enum kl_rc kl_tree_bucket(struct kl_view key, uint32_t bucket, const struct kl_entries *by_label, const struct kl_entries *by_key_id,
                          uint8_t mac[KL_MAC_LEN])
{
    uint8_t head[32];
    uint8_t middle[4];
    struct kl_writer first = { head, sizeof head, 0 };
    struct kl_writer second = { middle, sizeof middle, 0 };
    struct kl_view parts[4];

    if (by_label->len == 0 && by_key_id->len == 0) {
        memset(mac, 0, KL_MAC_LEN);
        return KL_OK;
    }
    kl_write_bytes(&first, kl_view_text("bucket"));
    kl_write_u32(&first, bucket);
    kl_write_u32(&first, (uint32_t)(by_label->len / KL_ENTRY_LEN));
    kl_write_u32(&second, (uint32_t)(by_key_id->len / KL_ENTRY_LEN));
    parts[0] = kl_view_of(head, first.len);
    parts[1] = kl_view_of(by_label->data, by_label->len);
    parts[2] = kl_view_of(middle, second.len);
    parts[3] = kl_view_of(by_key_id->data, by_key_id->len);
    return kl_hmac_parts(KL_SHA256, key, parts, 4, mac);
}

enum kl_rc kl_tree_group(struct kl_view key, uint32_t group, const uint8_t macs[KL_GROUP_LEN], uint8_t mac[KL_MAC_LEN])
{
    uint8_t head[32];
    struct kl_writer writer = { head, sizeof head, 0 };
    struct kl_view parts[2];

    kl_write_bytes(&writer, kl_view_text("group"));
    kl_write_u32(&writer, group);
    parts[0] = kl_view_of(head, writer.len);
    parts[1] = kl_view_of(macs, KL_GROUP_LEN);
    return kl_hmac_parts(KL_SHA256, key, parts, 2, mac);
}

enum kl_rc kl_tree_root(struct kl_view key, const struct kl_root *root, uint8_t mac[KL_MAC_LEN])
{
    uint8_t head[64];
    struct kl_writer writer = { head, sizeof head, 0 };
    struct kl_view parts[2];

    kl_write_bytes(&writer, kl_view_text("root"));
    kl_write_u64(&writer, root->epoch);
    kl_write_u64(&writer, root->row_count);
    kl_write_raw(&writer, kl_view_of(root->records, sizeof root->records));
    parts[0] = kl_view_of(head, writer.len);
    parts[1] = kl_view_of(root->groups, sizeof root->groups);
    return kl_hmac_parts(KL_SHA256, key, parts, 2, mac);
}

enum kl_rc kl_tree_budget_bucket(struct kl_view key, uint32_t bucket, struct kl_view entries, uint8_t mac[KL_MAC_LEN])
{
    uint8_t head[32];
    struct kl_writer writer = { head, sizeof head, 0 };
    struct kl_view parts[2];

    if (entries.len == 0) {
        memset(mac, 0, KL_MAC_LEN);
        return KL_OK;
    }
    kl_write_bytes(&writer, kl_view_text("budget bucket"));
    kl_write_u32(&writer, bucket);
    kl_write_u32(&writer, (uint32_t)(entries.len / KL_BUDGET_ENTRY_LEN));
    parts[0] = kl_view_of(head, writer.len);
    parts[1] = entries;
    return kl_hmac_parts(KL_SHA256, key, parts, 2, mac);
}

enum kl_rc kl_tree_budget_root(struct kl_view key, struct kl_view serial, const struct kl_budget_root *root, uint8_t mac[KL_MAC_LEN])
{
    uint8_t head[128];
    struct kl_writer writer = { head, sizeof head, 0 };
    struct kl_view parts[2];

    kl_write_bytes(&writer, kl_view_text("budget root"));
    kl_write_bytes(&writer, serial);
    kl_write_u64(&writer, root->epoch);
    KL_CHECK(kl_writer_is_whole(&writer), KL_ARG);
    parts[0] = kl_view_of(head, writer.len);
    parts[1] = kl_view_of(root->buckets, sizeof root->buckets);
    return kl_hmac_parts(KL_SHA256, key, parts, 2, mac);
}

enum kl_rc kl_tree_empty(struct kl_view key, struct kl_root *root)
{
    static const uint8_t nothing[KL_GROUP_LEN];

    memset(root, 0, sizeof *root);
    KL_TRY(kl_hash_parts(KL_SHA256, NULL, 0, root->records));
    for (uint32_t group = 0; group < KL_STORE_GROUPS; group++) KL_TRY(kl_tree_group(key, group, nothing, root->groups[group]));
    return KL_OK;
}
