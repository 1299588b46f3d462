/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "store/row.h"

#include "../unit.h"

static const char serial[] = "0123456789abcdef";

static struct kl_row example(void)
{
    static const uint8_t key_id[] = { 1, 2 };
    static uint8_t hash[16];
    static uint8_t sealed[60];
    struct kl_row row = {
        .generation = 7, .created_at = 1700000000, .expires_at = 1800000000, .is_active = true, .rotation_count = 3, .state = 2
    };

    for (uint8_t i = 0; i < 16; i++) {
        row.id[i] = i;
        row.parent[i] = (uint8_t)(16 + i);
    }
    memset(hash, 0xaa, sizeof hash);
    memset(sealed, 0x55, sizeof sealed);
    row.key_type = kl_view_text("fek");
    row.key_id = kl_view_of(key_id, sizeof key_id);
    row.key_hash = kl_view_of(hash, sizeof hash);
    row.encrypted_key = kl_view_of(sealed, sizeof sealed);
    row.algorithm = kl_view_text("AES-256");
    row.label = kl_view_text("users.email");
    row.metadata = kl_view_text("meta");
    return row;
}

static void digest_of(const struct kl_row *row, const char *of, char text[65])
{
    uint8_t digest[KL_ROW_DIGEST_LEN];

    CU_ASSERT_EQUAL(kl_row_digest(row, kl_view_text(of), digest), KL_OK);
    for (size_t i = 0; i < sizeof digest; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
}

static void the_digest_is_that_of_the_format_page(void)
{
    struct kl_row row = example();
    char text[65];

    /* Computed with Python's hashlib from doc/format.md. */
    digest_of(&row, serial, text);
    CU_ASSERT_STRING_EQUAL(text, "55080e1c0ca37a4f4eac2fe8895435b354d286561c59f8c31221fcb386048404");
}

static void the_encoding_can_be_counted_first(void)
{
    struct kl_row row = example();
    struct kl_writer count = { NULL, 0, 0 };
    uint8_t room[168];
    struct kl_writer writer = { room, sizeof room, 0 };

    kl_row_encode(&row, kl_view_text(serial), &count);
    CU_ASSERT_EQUAL(count.len, 168);
    kl_row_encode(&row, kl_view_text(serial), &writer);
    CU_ASSERT(kl_writer_is_whole(&writer));
    CU_ASSERT_EQUAL(writer.len, 168);
}

/* One change each; no two of these rows may have one digest. */
static void change(struct kl_row *row, unsigned number)
{
    switch (number) {
    case 0:
        row->id[15] ^= 1;
        break;
    case 1:
        row->parent[0] ^= 1;
        break;
    case 2:
        row->generation++;
        break;
    case 3:
        row->key_type = kl_view_text("dek");
        break;
    case 4:
        row->key_id.len--;
        break;
    case 5:
        row->encrypted_key.len--;
        break;
    case 6:
        row->key_hash.len--;
        break;
    case 7:
        row->algorithm = kl_view_text("AES-128");
        break;
    case 8:
        row->created_at--;
        break;
    case 9:
        row->expires_at = 0;
        break;
    case 10:
        row->is_active = false;
        break;
    case 11:
        row->rotation_count++;
        break;
    case 12:
        row->state++;
        break;
    case 13:
        row->is_public = true;
        break;
    case 14:
        row->label = kl_view_text("users.emai");
        break;
    case 15:
        row->metadata = kl_view_text("metb");
        break;
    /* Bytes that move from one column to its neighbour. */
    case 16:
        row->label = kl_view_text("users.emailm");
        row->metadata = kl_view_text("eta");
        break;
    case 17:
        row->key_type = kl_view_text("fekA");
        row->algorithm = kl_view_text("ES-256");
        break;
    case 18:
        row->label = kl_view_text("");
        row->metadata = kl_view_text("users.emailmeta");
        break;
    default:
        break;
    }
}

static void every_column_changes_the_digest(void)
{
    enum { CHANGES = 20 };
    char texts[CHANGES][65];

    for (unsigned i = 0; i < CHANGES; i++) {
        struct kl_row row = example();

        change(&row, i);
        digest_of(&row, serial, texts[i]);
        for (unsigned other = 0; other < i; other++) CU_ASSERT_STRING_NOT_EQUAL(texts[i], texts[other]);
    }
}

static void another_tokens_row_has_another_digest(void)
{
    struct kl_row row = example();
    char ours[65];
    char theirs[65];

    digest_of(&row, serial, ours);
    digest_of(&row, "0123456789abcdee", theirs);
    CU_ASSERT_STRING_NOT_EQUAL(ours, theirs);
}

static void long_rows_have_digests_and_too_long_ones_have_none(void)
{
    struct kl_row row = example();
    uint8_t digest[KL_ROW_DIGEST_LEN];
    uint8_t *room = calloc(1, KL_ROW_METADATA_MAX + KL_ROW_SEALED_MAX + 1);

    CU_ASSERT_PTR_NOT_NULL_FATAL(room);
    row.metadata = kl_view_of(room, KL_ROW_METADATA_MAX);
    row.encrypted_key = kl_view_of(room, KL_ROW_SEALED_MAX);
    CU_ASSERT_EQUAL(kl_row_digest(&row, kl_view_text(serial), digest), KL_OK);
    row.encrypted_key.len++;
    CU_ASSERT_EQUAL(kl_row_digest(&row, kl_view_text(serial), digest), KL_ARG);
    free(room);
}

UNIT_MAIN("store/row", UNIT(the_digest_is_that_of_the_format_page), UNIT(the_encoding_can_be_counted_first),
          UNIT(every_column_changes_the_digest), UNIT(another_tokens_row_has_another_digest),
          UNIT(long_rows_have_digests_and_too_long_ones_have_none))
