/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "store/row.h"

#include <stdlib.h>

#include "crypto/hash.h"

enum { ENCODE_ON_STACK = 2048 };

void kl_row_encode(const struct kl_row *row, struct kl_view serial, struct kl_writer *writer)
{
    kl_write_raw(writer, kl_view_text("keyladder/1/row"));
    kl_write_bytes(writer, serial);
    kl_write_raw(writer, kl_view_of(row->id, sizeof row->id));
    kl_write_raw(writer, kl_view_of(row->parent, sizeof row->parent));
    kl_write_u64(writer, row->generation);
    kl_write_bytes(writer, row->key_type);
    kl_write_bytes(writer, row->key_id);
    kl_write_bytes(writer, row->key_hash);
    kl_write_bytes(writer, row->algorithm);
    kl_write_u64(writer, (uint64_t)row->created_at);
    kl_write_u64(writer, (uint64_t)row->expires_at);
    kl_write_u8(writer, row->is_active);
    kl_write_u32(writer, row->rotation_count);
    kl_write_u32(writer, row->state);
    kl_write_u8(writer, row->is_public);
    kl_write_bytes(writer, row->label);
    kl_write_bytes(writer, row->metadata);
}

static enum kl_rc digest_in(const struct kl_row *row, struct kl_view serial, struct kl_view room, uint8_t *digest)
{
    uint8_t length[4];
    struct kl_writer before = { length, sizeof length, 0 };
    struct kl_writer writer = { (uint8_t *)(uintptr_t)room.data, room.len, 0 };
    struct kl_view parts[3];

    kl_row_encode(row, serial, &writer);
    KL_CHECK(kl_writer_is_whole(&writer), KL_ARG);
    kl_write_u32(&before, (uint32_t)row->encrypted_key.len);
    parts[0] = kl_view_of(writer.data, writer.len);
    parts[1] = kl_view_of(length, sizeof length);
    parts[2] = row->encrypted_key;
    return kl_hash_parts(KL_SHA256, parts, 3, digest);
}

enum kl_rc kl_row_digest(const struct kl_row *row, struct kl_view serial, uint8_t digest[KL_ROW_DIGEST_LEN])
{
    uint8_t stack[ENCODE_ON_STACK];
    struct kl_writer count = { NULL, 0, 0 };
    uint8_t *heap;
    enum kl_rc rc;

    KL_CHECK(row->encrypted_key.len <= KL_ROW_SEALED_MAX, KL_ARG);
    kl_row_encode(row, serial, &count);
    if (count.len <= sizeof stack) return digest_in(row, serial, kl_view_of(stack, sizeof stack), digest);
    heap = malloc(count.len);
    if (heap == NULL) return kl_fail(KL_MEMORY, "no memory for a row of %zu bytes", count.len);
    rc = digest_in(row, serial, kl_view_of(heap, count.len), digest);
    free(heap);
    return rc;
}
