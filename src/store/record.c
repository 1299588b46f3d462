/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Token records, and the count of attempts at a PIN. */
#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "store/inner.h"

void kl_heap_clear(struct kl_heap *heap)
{
    free(heap->data);
    memset(heap, 0, sizeof *heap);
}

static enum kl_rc gather(void *user, const char *name, struct kl_view value)
{
    struct kl_heap *heap = user;
    size_t need = heap->len + 8 + strlen(name) + value.len;
    struct kl_writer writer;

    if (need > heap->cap) {
        size_t cap = need * 2;
        uint8_t *data = realloc(heap->data, cap);

        if (data == NULL) return kl_fail(KL_MEMORY, "no memory for the token records");
        heap->data = data;
        heap->cap = cap;
    }
    writer = (struct kl_writer){ heap->data, heap->cap, heap->len };
    kl_write_bytes(&writer, kl_view_text(name));
    kl_write_bytes(&writer, value);
    heap->len = writer.len;
    return KL_OK;
}

enum kl_rc kl_store_load_records(struct kl_store *store, struct kl_heap *heap, uint8_t digest[KL_MAC_LEN])
{
    struct kl_view all;

    KL_TRY(store->ops->records(store->backend, gather, heap));
    all = kl_view_of(heap->data, heap->len);
    return kl_hash_parts(KL_SHA256, &all, 1, digest);
}

enum kl_rc kl_store_check_records(struct kl_store *store, struct kl_heap *heap)
{
    uint8_t digest[KL_MAC_LEN];

    KL_TRY(kl_store_load_records(store, heap, digest));
    if (!store->unlocked || !store->root.exists || kl_bytes_equal(digest, store->root.records, sizeof digest)) return KL_OK;
    return kl_fail(KL_INTEGRITY, "%s: the token records do not fit the store root", kl_store_path(store));
}

enum kl_rc kl_store_has_record(struct kl_store *store, const char *name, bool *has)
{
    struct kl_heap heap = { 0 };
    enum kl_rc rc = kl_store_check_records(store, &heap);
    struct kl_reader reader = kl_reader_of(kl_view_of(heap.data, heap.len));

    *has = false;
    while (rc == KL_OK && reader.len > 0) {
        struct kl_view found = kl_read_bytes(&reader);
        struct kl_view value = kl_read_bytes(&reader);

        (void)value;
        if (kl_view_is(found, kl_view_text(name))) *has = true;
    }
    kl_heap_clear(&heap);
    return rc;
}

static enum kl_rc look_at_records(struct kl_store *store, struct kl_heap *heap)
{
    struct kl_look look;
    enum kl_rc rc;

    KL_TRY(kl_look_begin(&look, store));
    rc = kl_store_check_records(store, heap);
    kl_look_end(&look);
    return rc;
}

enum kl_rc kl_store_record(struct kl_store *store, const char *name, struct kl_out *out)
{
    struct kl_heap heap = { 0 };
    enum kl_rc rc = look_at_records(store, &heap);
    struct kl_reader reader = kl_reader_of(kl_view_of(heap.data, heap.len));
    bool there = false;

    while (rc == KL_OK && reader.len > 0 && !there) {
        struct kl_view found = kl_read_bytes(&reader);
        struct kl_view value = kl_read_bytes(&reader);

        if (!kl_view_is(found, kl_view_text(name))) continue;
        there = true;
        out->len = value.len;
        if (value.len > out->cap || out->data == NULL) {
            rc = KL_BUFFER;
        } else {
            memcpy(out->data, value.data, value.len);
        }
    }
    kl_heap_clear(&heap);
    return rc == KL_OK && !there ? kl_fail(KL_NOT_FOUND, "%s has no record %s", kl_store_path(store), name) : rc;
}

enum kl_rc kl_store_records(struct kl_store *store, const char *prefix, kl_store_record_fn *each, void *user)
{
    struct kl_heap heap = { 0 };
    enum kl_rc rc = look_at_records(store, &heap);
    struct kl_reader reader = kl_reader_of(kl_view_of(heap.data, heap.len));

    while (rc == KL_OK && reader.len > 0) {
        struct kl_view name = kl_read_bytes(&reader);
        struct kl_view value = kl_read_bytes(&reader);
        char text[KL_STORE_RECORD_NAME_MAX + 1];

        if (name.len < strlen(prefix) || memcmp(name.data, prefix, strlen(prefix)) != 0) continue;
        memcpy(text, name.data, name.len);
        text[name.len] = '\0';
        rc = each(user, text, value);
    }
    kl_heap_clear(&heap);
    return rc;
}

/* --- attempts at a PIN --- */

static enum kl_rc write_tries(struct kl_store *store, const char *name, uint32_t used)
{
    enum kl_rc rc = store->ops->tries_set(store->backend, name, used);

    if (rc == KL_OK) rc = store->ops->commit(store->backend, NULL);
    return rc;
}

enum kl_rc kl_store_tries_take(struct kl_store *store, const char *name, uint32_t limit, uint32_t *used)
{
    uint32_t now = 0;
    enum kl_rc rc;

    KL_TRY(kl_write_begin(store));
    rc = store->ops->tries_get(store->backend, name, &now);
    if (rc == KL_OK && now >= limit) rc = kl_fail(KL_PIN_LOCKED, "%s: %u wrong PINs in a row", name, now);
    if (rc == KL_OK) rc = write_tries(store, name, now + 1);
    if (rc != KL_OK) store->ops->rollback(store->backend);
    kl_write_end(store);
    if (rc == KL_OK) *used = now + 1;
    if (rc == KL_PIN_LOCKED) *used = now;
    return rc;
}

enum kl_rc kl_store_tries(struct kl_store *store, const char *name, uint32_t *used)
{
    struct kl_look look;
    enum kl_rc rc;

    KL_TRY(kl_look_begin(&look, store));
    rc = store->ops->tries_get(store->backend, name, used);
    kl_look_end(&look);
    return rc;
}

enum kl_rc kl_store_tries_reset(struct kl_store *store, const char *name)
{
    enum kl_rc rc;

    KL_TRY(kl_write_begin(store));
    rc = write_tries(store, name, 0);
    if (rc != KL_OK) store->ops->rollback(store->backend);
    kl_write_end(store);
    return rc;
}
