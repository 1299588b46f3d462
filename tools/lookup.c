/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "lookup.h"

#include <stdio.h>
#include <string.h>

#include "words.h"

void kl_found_clear(struct kl_found *found)
{
    for (size_t i = 0; i < found->count; i++) kl_record_clear(&found->items[i]);
    found->count = 0;
}

static enum kl_rc add_all(struct kl_cli *cli, const struct kl_query *query, struct kl_found *found)
{
    struct kl_cursor cursor = { 0 };
    enum kl_rc rc = KL_OK;

    while (rc == KL_OK && !cursor.done) {
        struct kl_records page = { 0 };

        rc = kl_ladder_read(cli->ladder, query, &cursor, &page);
        for (size_t i = 0; rc == KL_OK && i < page.count; i++) {
            if (found->count == sizeof found->items / sizeof *found->items) {
                found->more = true;
                break;
            }
            memset(&found->items[found->count], 0, sizeof *found->items);
            kl_record_take(&found->items[found->count++], &page.items[i]);
        }
        kl_records_clear(&page);
    }
    return rc;
}

/* The superseded versions of a ladder key: "users.email#1" and so on. */
static enum kl_rc add_versions(struct kl_cli *cli, struct kl_found *found)
{
    const struct kl_record current = found->items[0];
    char label[KL_LADDER_LABEL_MAX + 16];

    for (uint32_t version = current.version - 1; version > 0; version--) {
        struct kl_query query = { .by = KL_BY_LABEL };
        int len = snprintf(label, sizeof label, "%.*s#%u", (int)current.label.len, (const char *)current.label.data, version);

        query.value = kl_view_of(label, (size_t)len);
        KL_TRY(add_all(cli, &query, found));
    }
    return KL_OK;
}

/* By path or label, else by CKA_ID or the id of a version. */
static enum kl_rc look(struct kl_cli *cli, const char *name, struct kl_found *found)
{
    struct kl_query query = { .by = KL_BY_LABEL, .value = kl_view_text(name) };
    uint8_t bytes[KL_ROW_ID_LEN], key_id[KL_ROW_KEY_ID_MAX];
    enum kl_rc rc = kl_ladder_find(cli->ladder, kl_view_text(name), &found->items[0]);

    if (rc == KL_OK) {
        found->count = 1;
        return add_versions(cli, found);
    }
    if (rc != KL_NOT_FOUND) return rc;
    KL_TRY(add_all(cli, &query, found));
    if (found->count > 0) return KL_OK;
    if (kl_words_hex_read(name, key_id, sizeof key_id, &query.value.len)) {
        query = (struct kl_query){ .by = KL_BY_KEY_ID, .value = kl_view_of(key_id, query.value.len) };
        KL_TRY(add_all(cli, &query, found));
    }
    if (found->count == 0 && kl_words_uuid_read(name, bytes)) {
        query = (struct kl_query){ .by = KL_BY_ROW, .value = kl_view_of(bytes, sizeof bytes) };
        KL_TRY(add_all(cli, &query, found));
    }
    return KL_OK;
}

enum kl_rc kl_lookup(struct kl_cli *cli, const char *name, struct kl_found *out)
{
    enum kl_rc rc = look(cli, name, out);

    if (rc == KL_OK && out->count > 0) return KL_OK;
    kl_found_clear(out);
    KL_TRY(rc);
    return kl_cli_advise(cli, kl_fail(KL_NOT_FOUND, "token %s has nothing called %s", kl_ladder_name(cli->ladder), name),
                         "See what there is with: keyladder list");
}

static bool fits(const struct kl_record *record, const uint8_t *id)
{
    return record->has_commitment && memcmp(record->commitment, id, KL_COMMITMENT_LEN) == 0;
}

enum kl_rc kl_lookup_commitment(struct kl_cli *cli, const uint8_t *id, struct kl_record *out)
{
    struct kl_query all = { .by = KL_BY_ALL };
    struct kl_cursor cursor = { 0 };
    char hex[2 * KL_COMMITMENT_LEN + 1];

    while (!cursor.done) {
        KL_AUTO(kl_records) page = { 0 };

        KL_TRY(kl_ladder_read(cli->ladder, &all, &cursor, &page));
        for (size_t i = 0; i < page.count; i++) {
            if (!fits(&page.items[i], id)) continue;
            kl_record_take(out, &page.items[i]);
            return KL_OK;
        }
    }
    return kl_fail(KL_NOT_FOUND, "token %s has no key %s, which the ciphertext names", kl_ladder_name(cli->ladder),
                   kl_words_hex(kl_view_of(id, KL_COMMITMENT_LEN), hex, sizeof hex));
}
