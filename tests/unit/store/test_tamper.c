/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What somebody who can write the file may do to it, and that it is found when it is looked up. */
#include "store/store.h"

#include "../unit.h"

#include <sys/stat.h>

#include "fixture.h"

enum { ROWS = 300 };

static void begin(struct fixture *f)
{
    fixture_begin(f);
    CU_ASSERT_EQUAL_FATAL(fixture_add_many(f->store, 0, ROWS), KL_OK);
}

/* SQL in which @1 is the id of row 1 as a literal, @2 that of row 2. */
static bool meddle(const struct fixture *f, const char *pattern)
{
    char sql[1024];
    size_t len = 0;

    for (const char *at = pattern; *at != '\0' && len < sizeof sql - 64; at++) {
        struct kl_row row;

        if (*at != '@') {
            sql[len++] = *at;
            continue;
        }
        at++;
        row = fixture_row((unsigned)(*at - '0'));
        len += (size_t)snprintf(sql + len, sizeof sql - len, "x'");
        for (size_t i = 0; i < sizeof row.id; i++) len += (size_t)snprintf(sql + len, sizeof sql - len, "%02x", row.id[i]);
        sql[len++] = '\'';
    }
    sql[len] = '\0';
    return fixture_meddle(f, sql);
}

/* Every other row can be found, unless it shares the bucket. */
static unsigned others_lost(struct fixture *f)
{
    unsigned lost = 0;
    char label[24];
    size_t count;

    for (unsigned i = 3; i < ROWS; i++) {
        snprintf(label, sizeof label, "label-%u", i);
        if (fixture_find(f->store, label, &count) != KL_OK || count != 1) lost++;
    }
    return lost;
}

static void every_column_changed_is_found(void)
{
    static const char *const changes[] = {
        "parent = randomblob(16)",
        "generation = generation + 1",
        "generation = 0",
        "key_type = 'dek'",
        "key_type = ''",
        "key_type = NULL",
        "key_id = x'00'",
        "key_id = NULL",
        "encrypted_key = zeroblob(60)",
        "encrypted_key = substr(encrypted_key, 2)",
        "encrypted_key = NULL",
        "key_hash = x''",
        "algorithm = 'AES-128'",
        "created_at = created_at + 1",
        "created_at = NULL",
        "expires_at = 1",
        "is_active = 0",
        "is_active = 2",
        "is_active = NULL",
        "rotation_count = 1",
        "rotation_count = -1",
        "rotation_count = 4294967296",
        "state = 2",
        "state = 4294967297",
        "is_public = 1",
        "is_public = 2",
        "label = CAST('label-x' AS BLOB)",
        "label = x''",
        "label = CAST('label-1' || char(0) AS BLOB)",
        "metadata = x''",
        "metadata = zeroblob(150)",
        "digest = randomblob(40)",
        "digest = randomblob(32)",
        "digest = CAST(randomblob(4) || substr(digest, 5) AS BLOB)",
        "digest = CAST(substr(digest, 1, 4) || randomblob(4) || substr(digest, 9) AS BLOB)",
        "digest = CAST(substr(digest, 1, 8) || randomblob(32) AS BLOB)",
        "digest = x'00'",
        "digest = NULL",
        "label_bucket = (label_bucket + 1) % 4096",
        "label_bucket = 5000",
        "label_bucket = NULL",
        "id = randomblob(16)",
        "id = x'00'",
    };

    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct fixture f;
        struct kl_row row = fixture_row(1);
        struct kl_query query = { .by = KL_BY_ROW, .value = kl_view_of(row.id, sizeof row.id), .label = row.label };
        struct kl_cursor cursor = { 0 };
        struct kl_page page = { 0 };
        char sql[256];
        size_t count;

        begin(&f);
        fixture_close(&f);
        snprintf(sql, sizeof sql, "UPDATE encryption_keys SET %s WHERE id = @1", changes[i]);
        CU_ASSERT(meddle(&f, sql));
        CU_ASSERT_EQUAL_FATAL(fixture_open(&f), KL_OK);
        if (fixture_find(f.store, "label-1", &count) != KL_INTEGRITY) CU_FAIL(changes[i]);
        if (kl_store_read(f.store, &query, &cursor, &page) != KL_INTEGRITY) CU_FAIL(changes[i]);
        CU_ASSERT_PTR_NOT_NULL(strstr(kl_fail_words(), f.path));
        if (fixture_check(f.store, NULL) < 1) CU_FAIL(changes[i]);
        CU_ASSERT(others_lost(&f) < 5);
        fixture_end(&f);
    }
}

static void the_id_bucket_changed_is_found_by_the_id(void)
{
    struct fixture f;
    size_t count;

    begin(&f);
    fixture_close(&f);
    CU_ASSERT(meddle(&f, "UPDATE encryption_keys SET id_bucket = (id_bucket + 1) % 4096 WHERE id = @1"));
    CU_ASSERT_EQUAL_FATAL(fixture_open(&f), KL_OK);
    CU_ASSERT_EQUAL(fixture_count(f.store, KL_BY_KEY_ID, "id-1", 4, &count), KL_INTEGRITY);
    CU_ASSERT(fixture_check(f.store, NULL) > 0);
    fixture_end(&f);
}

static void a_row_that_was_deleted_is_missed(void)
{
    struct fixture f;
    struct kl_row row = fixture_row(1);
    struct kl_query query = { .by = KL_BY_ROW, .value = kl_view_of(row.id, sizeof row.id), .label = row.label };
    struct kl_cursor cursor = { 0 };
    struct kl_page page = { 0 };
    size_t count;

    begin(&f);
    CU_ASSERT(meddle(&f, "DELETE FROM encryption_keys WHERE id = @1"));
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-1", &count), KL_INTEGRITY);
    CU_ASSERT_EQUAL(fixture_count(f.store, KL_BY_KEY_ID, "id-1", 4, &count), KL_INTEGRITY);
    CU_ASSERT_EQUAL(kl_store_read(f.store, &query, &cursor, &page), KL_INTEGRITY);
    CU_ASSERT(others_lost(&f) < 5);
    CU_ASSERT(fixture_check(f.store, NULL) > 0);
    fixture_end(&f);
}

static void a_row_that_was_added_is_refused(void)
{
    struct fixture f;
    size_t count;

    begin(&f);
    /* Under a label of its own choice, where a look-up would find it. */
    CU_ASSERT(meddle(&f,
                     "INSERT INTO encryption_keys SELECT randomblob(16), key_type, key_id, encrypted_key, key_hash, algorithm, created_at, "
                     "expires_at, is_active, rotation_count, metadata, label, parent, state, generation, is_public, digest, label_bucket, "
                     "id_bucket FROM encryption_keys WHERE id = @1"));
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-1", &count), KL_INTEGRITY);
    CU_ASSERT_EQUAL(fixture_count(f.store, KL_BY_KEY_ID, "id-1", 4, &count), KL_INTEGRITY);
    CU_ASSERT(others_lost(&f) < 5);
    CU_ASSERT(fixture_check(f.store, NULL) > 0);
    fixture_end(&f);
}

static void a_row_copied_over_another_is_refused(void)
{
    struct fixture f;
    size_t count;

    begin(&f);
    CU_ASSERT(meddle(
        &f, "UPDATE encryption_keys SET encrypted_key = randomblob(60) WHERE id = @2;"
            "UPDATE encryption_keys SET (key_type, key_id, encrypted_key, key_hash, algorithm, metadata, label, digest, label_bucket, "
            "id_bucket) = (SELECT key_type, key_id, encrypted_key, key_hash, algorithm, metadata, label, digest, label_bucket, "
            "id_bucket FROM encryption_keys WHERE id = @2) WHERE id = @1"));
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-1", &count), KL_INTEGRITY);
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-2", &count), KL_INTEGRITY);
    CU_ASSERT(others_lost(&f) < 8);
    fixture_end(&f);
}

static void sealed_keys_swapped_are_refused(void)
{
    struct fixture f;
    size_t count;

    begin(&f);
    CU_ASSERT(meddle(&f, "UPDATE encryption_keys SET encrypted_key = x'01' WHERE id = @1"));
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-1", &count), KL_INTEGRITY);
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-2", &count), KL_OK);
    fixture_end(&f);
}

static void a_row_of_another_token_is_refused(void)
{
    struct fixture f;
    struct fixture other;
    char sql[256];
    struct kl_row row = fixture_row(900);
    size_t count;

    begin(&f);
    /* The same key, which no two tokens have, and another serial. */
    fixture_begin_closed(&other);
    CU_ASSERT_EQUAL(kl_store_open(other.uri, KL_STORE_CREATE, FIXTURE_TIMEOUT, &other.store), KL_OK);
    CU_ASSERT_EQUAL(kl_store_unlock(other.store, &other.key, kl_view_text("ffffffffffffffff")), KL_OK);
    CU_ASSERT_EQUAL(fixture_add(other.store, &row), KL_OK);
    fixture_close(&other);
    fixture_close(&f);
    snprintf(sql, sizeof sql, "ATTACH '%s' AS other; INSERT INTO main.encryption_keys SELECT * FROM other.encryption_keys", other.path);
    CU_ASSERT(fixture_meddle(&f, sql));
    CU_ASSERT_EQUAL_FATAL(fixture_open(&f), KL_OK);
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-900", &count), KL_INTEGRITY);
    CU_ASSERT(others_lost(&f) < 5);
    fixture_end(&other);
    fixture_end(&f);
}

/* An older copy of a row together with the bucket, group and root that went with it. */
static void an_old_row_is_refused_with_and_without_its_buckets(void)
{
    static const char *const replays[] = {
        "DELETE FROM encryption_keys WHERE id = @1; INSERT INTO encryption_keys SELECT * FROM old.encryption_keys WHERE id = @1",
        ("DELETE FROM encryption_keys WHERE id = @1; INSERT INTO encryption_keys SELECT * FROM old.encryption_keys WHERE id = @1;"
         "DELETE FROM bucket_groups; INSERT INTO bucket_groups SELECT * FROM old.bucket_groups"),
        "DELETE FROM bucket_groups; INSERT INTO bucket_groups SELECT * FROM old.bucket_groups",
    };

    for (size_t i = 0; i < sizeof replays / sizeof *replays; i++) {
        struct fixture f;
        struct kl_row row = fixture_row(1);
        char sql[1024];
        size_t count;

        begin(&f);
        CU_ASSERT(fixture_copy_out(&f, fixture_path(&f, "-old")));
        row.generation = 2;
        row.state = 5;
        CU_ASSERT_EQUAL(fixture_change(f.store, &row), KL_OK);
        snprintf(sql, sizeof sql, "ATTACH '%s' AS old; %s", fixture_path(&f, "-old"), replays[i]);
        CU_ASSERT(meddle(&f, sql));
        CU_ASSERT_EQUAL(fixture_find(f.store, "label-1", &count), KL_INTEGRITY);
        CU_ASSERT(fixture_check(f.store, NULL) > 0);
        fixture_end(&f);
    }
}

static void a_whole_older_store_is_noticed_by_who_saw_the_newer(void)
{
    struct fixture f;
    struct kl_row row = fixture_row(1);
    char sql[1024];
    size_t count;

    begin(&f);
    CU_ASSERT(fixture_copy_out(&f, fixture_path(&f, "-old")));
    row.generation = 2;
    CU_ASSERT_EQUAL(fixture_change(f.store, &row), KL_OK);
    snprintf(sql, sizeof sql,
             "ATTACH '%s' AS old; DELETE FROM encryption_keys; INSERT INTO encryption_keys SELECT * FROM old.encryption_keys;"
             "DELETE FROM bucket_groups; INSERT INTO bucket_groups SELECT * FROM old.bucket_groups;"
             "DELETE FROM store_root; INSERT INTO store_root SELECT * FROM old.store_root",
             fixture_path(&f, "-old"));
    CU_ASSERT(fixture_meddle(&f, sql));
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-1", &count), KL_INTEGRITY);
    CU_ASSERT_PTR_NOT_NULL(strstr(kl_fail_words(), "rolled back"));
    row.generation = 2;
    CU_ASSERT_EQUAL(fixture_change(f.store, &row), KL_INTEGRITY);
    fixture_end(&f);
}

static void two_stores_of_one_epoch_are_noticed(void)
{
    struct fixture f;
    struct kl_store *copy = NULL;
    struct kl_row row = fixture_row(1);
    char uri[256];
    char sql[1024];
    size_t count;

    begin(&f);
    CU_ASSERT(fixture_copy_out(&f, fixture_path(&f, "-old")));
    snprintf(uri, sizeof uri, "sqlite:%s", fixture_path(&f, "-old"));
    CU_ASSERT_EQUAL(chmod(fixture_path(&f, "-old"), 0600), 0);
    CU_ASSERT_EQUAL_FATAL(kl_store_open(uri, KL_STORE_EXISTING, FIXTURE_TIMEOUT, &copy), KL_OK);
    CU_ASSERT_EQUAL(kl_store_unlock(copy, &f.key, kl_view_text(FIXTURE_SERIAL)), KL_OK);
    row.generation = 2;
    CU_ASSERT_EQUAL(fixture_change(f.store, &row), KL_OK);
    row.label = kl_view_text("forked");
    CU_ASSERT_EQUAL(fixture_change(copy, &row), KL_OK);
    kl_store_close(copy);
    snprintf(sql, sizeof sql,
             "ATTACH '%s' AS old; DELETE FROM encryption_keys; INSERT INTO encryption_keys SELECT * FROM old.encryption_keys;"
             "DELETE FROM bucket_groups; INSERT INTO bucket_groups SELECT * FROM old.bucket_groups;"
             "DELETE FROM store_root; INSERT INTO store_root SELECT * FROM old.store_root",
             fixture_path(&f, "-old"));
    CU_ASSERT(fixture_meddle(&f, sql));
    CU_ASSERT_EQUAL(fixture_find(f.store, "forked", &count), KL_INTEGRITY);
    fixture_end(&f);
}

static void the_root_changed_is_refused_by_everything(void)
{
    static const char *const changes[] = {
        "UPDATE store_root SET mac = randomblob(32)",
        "UPDATE store_root SET mac = x'00'",
        "UPDATE store_root SET epoch = epoch + 1",
        "UPDATE store_root SET epoch = -1",
        "UPDATE store_root SET row_count = row_count - 1",
        "UPDATE store_root SET records = randomblob(32)",
        "UPDATE store_root SET groups = zeroblob(2048)",
        "UPDATE store_root SET groups = x''",
        "UPDATE store_root SET groups = NULL",
        "DELETE FROM store_root",
    };

    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct fixture f;
        struct kl_row row = fixture_row(ROWS + 1);
        size_t count;

        begin(&f);
        CU_ASSERT(meddle(&f, changes[i]));
        if (fixture_find(f.store, "label-1", &count) != KL_INTEGRITY) CU_FAIL(changes[i]);
        if (fixture_add(f.store, &row) != KL_INTEGRITY) CU_FAIL(changes[i]);
        if (fixture_count(f.store, KL_BY_ALL, NULL, 0, &count) != KL_INTEGRITY) CU_FAIL(changes[i]);
        if (fixture_check(f.store, NULL) < 1) CU_FAIL(changes[i]);
        fixture_close(&f);
        if (fixture_open(&f) != KL_INTEGRITY) CU_FAIL(changes[i]);
        fixture_end(&f);
    }
}

static void a_store_without_root_and_rows_but_with_records_is_refused(void)
{
    struct fixture f;

    begin(&f);
    fixture_close(&f);
    CU_ASSERT(fixture_meddle(&f, "DELETE FROM store_root; DELETE FROM encryption_keys; DELETE FROM bucket_groups"));
    CU_ASSERT_EQUAL(fixture_open(&f), KL_INTEGRITY);
    fixture_end(&f);
}

static void groups_swapped_or_removed_are_refused(void)
{
    static const char *const changes[] = {
        "UPDATE bucket_groups SET number = number + 100; UPDATE bucket_groups SET number = (number + 1) % 64",
        "DELETE FROM bucket_groups",
        "UPDATE bucket_groups SET macs = zeroblob(2048)",
        "UPDATE bucket_groups SET macs = x'01'",
    };

    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct fixture f;
        struct kl_row row = fixture_row(1);
        size_t count;

        begin(&f);
        CU_ASSERT(meddle(&f, changes[i]));
        if (fixture_find(f.store, "label-1", &count) != KL_INTEGRITY) CU_FAIL(changes[i]);
        if (fixture_find(f.store, "nowhere", &count) != KL_INTEGRITY) CU_FAIL(changes[i]);
        row.generation = 2;
        if (fixture_change(f.store, &row) != KL_INTEGRITY) CU_FAIL(changes[i]);
        if (fixture_check(f.store, NULL) < 1) CU_FAIL(changes[i]);
        fixture_end(&f);
    }
}

static void a_record_changed_added_or_removed_is_refused(void)
{
    static const char *const changes[] = {
        "UPDATE token_records SET value = CAST('other' AS BLOB) WHERE name = 'token'",
        "UPDATE token_records SET value = NULL WHERE name = 'token'",
        "UPDATE token_records SET name = 'tokem'",
        "UPDATE token_records SET name = CAST(x'746f6b656e00' AS TEXT)",
        "INSERT INTO token_records VALUES('master/00000001/x', x'01')",
        "DELETE FROM token_records",
    };

    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct fixture f;
        uint8_t room[64];
        struct kl_out out = { room, sizeof room, 0 };

        begin(&f);
        CU_ASSERT(meddle(&f, changes[i]));
        if (kl_store_record(f.store, "token", &out) != KL_INTEGRITY) CU_FAIL(changes[i]);
        /* A write would make it good. */
        if (fixture_record(f.store, "more", "x") != KL_INTEGRITY) CU_FAIL(changes[i]);
        if (fixture_check(f.store, NULL) < 1) CU_FAIL(changes[i]);
        fixture_end(&f);
    }
}

/* A write to the same bucket must not take what was tampered with into the new MAC. */
static void a_write_does_not_make_good_what_was_tampered_with(void)
{
    static const char *const changes[] = {
        "UPDATE encryption_keys SET digest = randomblob(40) WHERE id = @1",
        "DELETE FROM encryption_keys WHERE id = @1",
        "UPDATE encryption_keys SET generation = 4 WHERE id = @1",
    };

    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct fixture f;
        struct kl_row same_label = fixture_row_named(ROWS + 5, "label-1", "new");
        struct kl_row row = fixture_row(1);

        begin(&f);
        CU_ASSERT(meddle(&f, changes[i]));
        if (fixture_add(f.store, &same_label) != KL_INTEGRITY) CU_FAIL(changes[i]);
        if (fixture_remove(f.store, &row) == KL_OK) CU_FAIL(changes[i]);
        row.generation = 5;
        if (fixture_change(f.store, &row) == KL_OK) CU_FAIL(changes[i]);
        /* Elsewhere it goes on. */
        row = fixture_row(ROWS + 6);
        CU_ASSERT_EQUAL(fixture_add(f.store, &row), KL_OK);
        CU_ASSERT(fixture_check(f.store, NULL) > 0);
        fixture_end(&f);
    }
}

static void reading_all_leaves_out_what_is_hurt_and_counts_it(void)
{
    struct fixture f;
    struct kl_query query = { .by = KL_BY_ALL };
    struct kl_cursor cursor = { 0 };
    struct kl_page page = { 0 };
    size_t count = 0;

    begin(&f);
    CU_ASSERT(meddle(&f, "UPDATE encryption_keys SET state = 9 WHERE id = @1; DELETE FROM encryption_keys WHERE id = @2"));
    while (!cursor.done) {
        CU_ASSERT_EQUAL_FATAL(kl_store_read(f.store, &query, &cursor, &page), KL_OK);
        count += page.count;
        for (size_t i = 0; i < page.count; i++) CU_ASSERT_EQUAL(page.rows[i].state, 1);
    }
    CU_ASSERT(count <= ROWS - 2 && count >= ROWS - 6);
    /* Row 1 itself; the two buckets in which row 2 stood. */
    CU_ASSERT_EQUAL(cursor.hurt, 3);
    kl_page_clear(&page);
    fixture_end(&f);
}

static void a_hurt_public_row_is_left_out_after_unlock(void)
{
    struct fixture f;
    struct kl_query query = { .by = KL_BY_PUBLIC };
    struct kl_cursor cursor = { 0 };
    struct kl_page page = { 0 };

    begin(&f);
    /* Private rows made public from outside, so that everybody sees them. */
    CU_ASSERT(meddle(&f, "UPDATE encryption_keys SET is_public = 1 WHERE id IN (@1, @2)"));
    CU_ASSERT_EQUAL(kl_store_read(f.store, &query, &cursor, &page), KL_OK);
    CU_ASSERT_EQUAL(page.count, 0);
    CU_ASSERT_EQUAL(cursor.hurt, 2);
    kl_page_clear(&page);
    fixture_end(&f);
}

static void an_index_that_was_tampered_with_is_found(void)
{
    struct fixture f;
    size_t count = 0;

    begin(&f);
    fixture_close(&f);
    /* The label's index is made to look like that of the ids: entries are there that no row has, and others are missing. */
    CU_ASSERT(fixture_meddle(&f, "PRAGMA writable_schema = ON;"
                                 "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'keys_by_id') "
                                 "WHERE name = 'keys_by_label'"));
    if (fixture_open(&f) == KL_OK) {
        CU_ASSERT_EQUAL(fixture_find(f.store, "label-1", &count), KL_INTEGRITY);
        CU_ASSERT(fixture_check(f.store, NULL) > 0);
    }
    fixture_end(&f);
}

/* Any byte of the file: nothing crashes, and no row comes back other than it was written. */
static void a_changed_byte_anywhere_gives_the_right_row_or_none(void)
{
    struct fixture f;
    uint8_t *whole;
    size_t len;
    FILE *file;
    unsigned found = 0, refused = 0, unopened = 0;

    fixture_begin(&f);
    CU_ASSERT_EQUAL(fixture_add_many(f.store, 0, 6), KL_OK);
    fixture_close(&f);
    file = fopen(f.path, "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    whole = malloc(1 << 20);
    CU_ASSERT_PTR_NOT_NULL_FATAL(whole);
    len = fread(whole, 1, 1 << 20, file);
    fclose(file);
    for (size_t at = 0; at < len; at += at < 4096 ? 3 : 41) {
        whole[at] ^= 0x11;
        fixture_write_file(f.path, whole, len);
        whole[at] ^= 0x11;
        if (fixture_open(&f) != KL_OK) {
            unopened++;
            fixture_close(&f);
            continue;
        }
        for (unsigned i = 0; i < 6; i++) {
            struct kl_row row = fixture_row(i);
            struct kl_query query = { .by = KL_BY_LABEL, .value = row.label };
            struct kl_cursor cursor = { 0 };
            struct kl_page page = { 0 };
            enum kl_rc rc = kl_store_read(f.store, &query, &cursor, &page);

            if (rc == KL_OK) {
                CU_ASSERT_FATAL(page.count == 1);
                CU_ASSERT(kl_view_is(page.rows[0].metadata, row.metadata) && kl_view_is(page.rows[0].encrypted_key, row.encrypted_key));
                CU_ASSERT(memcmp(page.rows[0].id, row.id, sizeof row.id) == 0 && page.rows[0].state == row.state);
                found++;
            } else {
                refused++;
            }
            kl_page_clear(&page);
        }
        fixture_close(&f);
    }
    printf("\n    %u rows right, %u refused, %u stores not opened ", found, refused, unopened);
    CU_ASSERT(found > 100 && refused > 10 && unopened > 10);
    free(whole);
    fixture_end(&f);
}

UNIT_MAIN("store/tamper", UNIT(every_column_changed_is_found), UNIT(the_id_bucket_changed_is_found_by_the_id),
          UNIT(a_row_that_was_deleted_is_missed), UNIT(a_row_that_was_added_is_refused), UNIT(a_row_copied_over_another_is_refused),
          UNIT(sealed_keys_swapped_are_refused), UNIT(a_row_of_another_token_is_refused),
          UNIT(an_old_row_is_refused_with_and_without_its_buckets), UNIT(a_whole_older_store_is_noticed_by_who_saw_the_newer),
          UNIT(two_stores_of_one_epoch_are_noticed), UNIT(the_root_changed_is_refused_by_everything),
          UNIT(a_store_without_root_and_rows_but_with_records_is_refused), UNIT(groups_swapped_or_removed_are_refused),
          UNIT(a_record_changed_added_or_removed_is_refused), UNIT(a_write_does_not_make_good_what_was_tampered_with),
          UNIT(reading_all_leaves_out_what_is_hurt_and_counts_it), UNIT(a_hurt_public_row_is_left_out_after_unlock),
          UNIT(an_index_that_was_tampered_with_is_found), UNIT(a_changed_byte_anywhere_gives_the_right_row_or_none))
