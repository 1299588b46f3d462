/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "store/store.h"

#include "../unit.h"

#include <pthread.h>
#include <sys/stat.h>

#include "fixture.h"
#include "store/tree.h"

static bool is_one_spot; /* every name falls into one bucket, under one tag */

enum kl_rc __real_kl_tree_place(struct kl_view key, enum kl_place kind, struct kl_view value, const uint8_t id[KL_ROW_ID_LEN],
                                struct kl_spot *spot);
enum kl_rc __wrap_kl_tree_place(struct kl_view key, enum kl_place kind, struct kl_view value, const uint8_t id[KL_ROW_ID_LEN],
                                struct kl_spot *spot);
enum kl_rc __wrap_kl_tree_place(struct kl_view key, enum kl_place kind, struct kl_view value, const uint8_t id[KL_ROW_ID_LEN],
                                struct kl_spot *spot)
{
    if (!is_one_spot) return __real_kl_tree_place(key, kind, value, id, spot);
    *spot = (struct kl_spot){ .bucket = 7, .tag = { 1, 2, 3, 4 } };
    return KL_OK;
}

/* --- opening --- */

static void an_uri_of_no_kind_is_a_configuration_error(void)
{
    static const char *const wrong[] = { "",         "sqlite",       "sqlite:",       "sqlite:relative.db",
                                         "sqlite:/", "sqlite:/tmp/", "oracle:/tmp/x", "/tmp/x" };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct kl_store *store = NULL;

        CU_ASSERT_EQUAL(kl_store_check_uri(wrong[i]), KL_CONFIG);
        CU_ASSERT_EQUAL(kl_store_open(wrong[i], KL_STORE_EXISTING, 0, &store), KL_CONFIG);
        CU_ASSERT_PTR_NULL(store);
        CU_ASSERT(strlen(kl_fail_words()) > 10);
    }
    CU_ASSERT_EQUAL(kl_store_check_uri("sqlite:/var/lib/a b/\xc3\xbc.db"), KL_OK);
}

static void a_store_that_is_not_there_is_not_made_by_looking(void)
{
    struct fixture f;
    struct stat status;

    fixture_begin_closed(&f);
    CU_ASSERT_EQUAL(kl_store_open(f.uri, KL_STORE_EXISTING, FIXTURE_TIMEOUT, &f.store), KL_NOT_FOUND);
    CU_ASSERT_PTR_NULL(f.store);
    CU_ASSERT_NOT_EQUAL(stat(f.path, &status), 0);
    CU_ASSERT_NOT_EQUAL(stat(fixture_path(&f, "-epoch"), &status), 0);
    fixture_end(&f);
}

static void a_missing_directory_is_named(void)
{
    struct kl_store *store = NULL;

    CU_ASSERT_EQUAL(kl_store_open("sqlite:/nonexistent/dir/s.db", KL_STORE_CREATE, 0, &store), KL_NOT_FOUND);
    CU_ASSERT_PTR_NOT_NULL(strstr(kl_fail_words(), "/nonexistent/dir"));
}

static void a_new_store_is_empty_and_whole(void)
{
    struct fixture f;
    uint64_t rows = 1;
    uint32_t used = 9;
    size_t count = 9;

    fixture_begin_closed(&f);
    CU_ASSERT_EQUAL(kl_store_open(f.uri, KL_STORE_CREATE, FIXTURE_TIMEOUT, &f.store), KL_OK);
    CU_ASSERT_EQUAL(fixture_count(f.store, KL_BY_PUBLIC, NULL, 0, &count), KL_OK);
    CU_ASSERT_EQUAL(count, 0);
    CU_ASSERT_EQUAL(kl_store_tries(f.store, "pin/user", &used), KL_OK);
    CU_ASSERT_EQUAL(used, 0);
    CU_ASSERT_EQUAL(kl_store_unlock(f.store, &f.key, kl_view_text(FIXTURE_SERIAL)), KL_OK);
    CU_ASSERT_EQUAL(fixture_count(f.store, KL_BY_ALL, NULL, 0, &count), KL_OK);
    CU_ASSERT_EQUAL(count, 0);
    CU_ASSERT_EQUAL(fixture_check(f.store, &rows), 0);
    CU_ASSERT_EQUAL(rows, 0);
    CU_ASSERT_STRING_EQUAL(kl_store_path(f.store), f.path);
    fixture_end(&f);
}

static void a_store_opens_once_in_a_process(void)
{
    struct fixture f;
    struct kl_store *second = NULL;

    fixture_begin(&f);
    CU_ASSERT_EQUAL(kl_store_open(f.uri, KL_STORE_EXISTING, FIXTURE_TIMEOUT, &second), KL_STORE);
    CU_ASSERT_PTR_NOT_NULL(strstr(kl_fail_words(), "already in this process"));
    CU_ASSERT_EQUAL(fixture_add_many(f.store, 0, 3), KL_OK);
    fixture_close(&f);
    CU_ASSERT_EQUAL(fixture_open(&f), KL_OK);
    fixture_end(&f);
}

static void an_open_that_failed_leaves_the_way_free(void)
{
    struct fixture f;

    fixture_begin(&f);
    fixture_close(&f);
    CU_ASSERT_EQUAL(chmod(f.path, 0644), 0);
    CU_ASSERT_EQUAL(fixture_open(&f), KL_PERMISSION);
    CU_ASSERT_EQUAL(chmod(f.path, 0600), 0);
    CU_ASSERT_EQUAL(fixture_open(&f), KL_OK);
    fixture_end(&f);
}

/* --- keys --- */

static void another_key_or_serial_does_not_unlock(void)
{
    struct fixture f;
    size_t count;

    fixture_begin(&f);
    CU_ASSERT_EQUAL(fixture_add_many(f.store, 0, 10), KL_OK);
    f.key.data[31] ^= 1;
    CU_ASSERT_EQUAL(kl_store_unlock(f.store, &f.key, kl_view_text(FIXTURE_SERIAL)), KL_INTEGRITY);
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-1", &count), KL_ARG);
    f.key.data[31] ^= 1;
    /* The serial is not in the root but in every row. */
    CU_ASSERT_EQUAL(kl_store_unlock(f.store, &f.key, kl_view_text("fedcba9876543210")), KL_OK);
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-1", &count), KL_INTEGRITY);
    CU_ASSERT_EQUAL(kl_store_unlock(f.store, &f.key, kl_view_text(FIXTURE_SERIAL)), KL_OK);
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-1", &count), KL_OK);
    CU_ASSERT_EQUAL(count, 1);
    fixture_end(&f);
}

static void a_locked_store_gives_public_rows_alone_and_takes_none(void)
{
    struct fixture f;
    struct kl_row row = fixture_row(1);
    struct kl_txn *txn = NULL;
    size_t count;

    fixture_begin(&f);
    CU_ASSERT_EQUAL(fixture_add(f.store, &row), KL_OK);
    row = fixture_row(2);
    row.is_public = true;
    CU_ASSERT_EQUAL(fixture_add(f.store, &row), KL_OK);
    kl_store_lock(f.store);
    CU_ASSERT_EQUAL(fixture_count(f.store, KL_BY_PUBLIC, NULL, 0, &count), KL_OK);
    CU_ASSERT_EQUAL(count, 1);
    CU_ASSERT_EQUAL(fixture_count(f.store, KL_BY_ALL, NULL, 0, &count), KL_ARG);
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-1", &count), KL_ARG);
    CU_ASSERT_EQUAL(kl_store_begin(f.store, &txn), KL_ARG);
    CU_ASSERT_PTR_NULL(txn);
    fixture_end(&f);
}

/* --- records --- */

struct listed {
    unsigned count;
    char last[64];
    enum kl_rc answer;
};

static enum kl_rc list(void *user, const char *name, struct kl_view value)
{
    struct listed *listed = user;

    CU_ASSERT(strcmp(listed->last, name) < 0);
    CU_ASSERT(value.len > 0);
    snprintf(listed->last, sizeof listed->last, "%s", name);
    listed->count++;
    return listed->answer;
}

static void records_are_kept_listed_in_order_and_removed(void)
{
    struct fixture f;
    struct listed listed = { 0 };
    uint8_t room[16];
    struct kl_out out = { room, sizeof room, 0 };

    fixture_begin(&f);
    CU_ASSERT_EQUAL(fixture_record(f.store, "master/00000002/b", "two"), KL_OK);
    CU_ASSERT_EQUAL(fixture_record(f.store, "master/00000001/a", "one"), KL_OK);
    CU_ASSERT_EQUAL(fixture_record(f.store, "mast", "no"), KL_OK);
    CU_ASSERT_EQUAL(kl_store_records(f.store, "master/", list, &listed), KL_OK);
    CU_ASSERT_EQUAL(listed.count, 2);
    CU_ASSERT_EQUAL(kl_store_record(f.store, "master/00000002/b", &out), KL_OK);
    CU_ASSERT(out.len == 3 && memcmp(room, "two", 3) == 0);
    CU_ASSERT_EQUAL(fixture_record(f.store, "master/00000002/b", "newer"), KL_OK);
    CU_ASSERT_EQUAL(kl_store_record(f.store, "master/00000002/b", &out), KL_OK);
    CU_ASSERT(out.len == 5 && memcmp(room, "newer", 5) == 0);
    CU_ASSERT_EQUAL(fixture_record(f.store, "master/00000002/b", NULL), KL_OK);
    CU_ASSERT_EQUAL(kl_store_record(f.store, "master/00000002/b", &out), KL_NOT_FOUND);
    fixture_close(&f);
    CU_ASSERT_EQUAL(fixture_open(&f), KL_OK);
    CU_ASSERT_EQUAL(kl_store_record(f.store, "master/00000001/a", &out), KL_OK);
    fixture_end(&f);
}

static void a_callback_that_refuses_ends_the_list(void)
{
    struct fixture f;
    struct listed listed = { .answer = KL_CRYPTO };

    fixture_begin(&f);
    CU_ASSERT_EQUAL(fixture_record(f.store, "another", "x"), KL_OK);
    CU_ASSERT_EQUAL(kl_store_records(f.store, "", list, &listed), KL_CRYPTO);
    CU_ASSERT_EQUAL(listed.count, 1);
    fixture_end(&f);
}

static void a_short_buffer_is_told_the_length_of_a_record(void)
{
    struct fixture f;
    uint8_t room[4];
    struct kl_out out = { room, sizeof room, 0 };
    struct kl_out ask = { NULL, 0, 0 };

    fixture_begin(&f);
    CU_ASSERT_EQUAL(kl_store_record(f.store, "token", &out), KL_BUFFER);
    CU_ASSERT_EQUAL(out.len, 5);
    CU_ASSERT_EQUAL(kl_store_record(f.store, "token", &ask), KL_BUFFER);
    CU_ASSERT_EQUAL(ask.len, 5);
    fixture_end(&f);
}

static void a_record_without_a_name_or_too_long_is_refused(void)
{
    struct fixture f;
    char name[KL_STORE_RECORD_NAME_MAX + 2];

    fixture_begin(&f);
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    CU_ASSERT_EQUAL(fixture_record(f.store, "", "x"), KL_ARG);
    CU_ASSERT_EQUAL(fixture_record(f.store, name, "x"), KL_ARG);
    name[KL_STORE_RECORD_NAME_MAX] = '\0';
    CU_ASSERT_EQUAL(fixture_record(f.store, name, "x"), KL_OK);
    fixture_end(&f);
}

/* --- rows --- */

static bool is_same_row(const struct kl_row *a, const struct kl_row *b)
{
    return memcmp(a->id, b->id, sizeof a->id) == 0 && memcmp(a->parent, b->parent, sizeof a->parent) == 0 &&
           a->generation == b->generation && kl_view_is(a->key_type, b->key_type) && kl_view_is(a->key_id, b->key_id) &&
           kl_view_is(a->encrypted_key, b->encrypted_key) && kl_view_is(a->key_hash, b->key_hash) &&
           kl_view_is(a->algorithm, b->algorithm) && a->created_at == b->created_at && a->expires_at == b->expires_at &&
           a->is_active == b->is_active && a->rotation_count == b->rotation_count && a->state == b->state && a->is_public == b->is_public &&
           kl_view_is(a->label, b->label) && kl_view_is(a->metadata, b->metadata);
}

static void find_the_one(struct fixture *f, enum kl_query_by by, struct kl_view value, const struct kl_row *row)
{
    struct kl_query query = { .by = by, .value = value };
    struct kl_cursor cursor = { 0 };
    struct kl_page page = { 0 };

    CU_ASSERT_EQUAL(kl_store_read(f->store, &query, &cursor, &page), KL_OK);
    CU_ASSERT_EQUAL_FATAL(page.count, 1);
    CU_ASSERT(cursor.done);
    CU_ASSERT(is_same_row(&page.rows[0], row));
    kl_page_clear(&page);
}

static void a_row_comes_back_as_it_was_written_by_every_way(void)
{
    static const uint8_t odd[] = { 'a', 0, '\'', '"', ';', 0xff, '%', '\n' };
    struct fixture f;
    struct kl_row row = fixture_row(1);

    row.label = kl_view_of(odd, sizeof odd);
    row.key_id = kl_view_of(odd + 1, sizeof odd - 1);
    row.is_active = false;
    row.is_public = true;
    row.rotation_count = UINT32_MAX;
    row.state = UINT32_MAX;
    row.created_at = INT64_MIN;
    row.expires_at = INT64_MAX;
    row.key_hash = kl_view_of(NULL, 0);
    fixture_begin(&f);
    CU_ASSERT_EQUAL(fixture_add_many(f.store, 10, 300), KL_OK);
    row.parent[3] = 9;
    CU_ASSERT_EQUAL(fixture_add(f.store, &row), KL_OK);
    for (int round = 0; round < 2; round++) {
        find_the_one(&f, KL_BY_LABEL, row.label, &row);
        find_the_one(&f, KL_BY_KEY_ID, row.key_id, &row);
        find_the_one(&f, KL_BY_ROW, kl_view_of(row.id, sizeof row.id), &row);
        find_the_one(&f, KL_BY_PARENT, kl_view_of(row.parent, sizeof row.parent), &row);
        find_the_one(&f, KL_BY_PUBLIC, kl_view_of(NULL, 0), &row);
        fixture_close(&f);
        CU_ASSERT_EQUAL(fixture_open(&f), KL_OK);
    }
    CU_ASSERT_EQUAL(fixture_check(f.store, NULL), 0);
    fixture_end(&f);
}

static void rows_without_label_and_id_are_kept_and_found_by_their_row(void)
{
    struct fixture f;
    struct kl_row row = fixture_row_named(1, "", "");
    struct kl_row second = fixture_row_named(2, "", "");
    size_t count;

    fixture_begin(&f);
    CU_ASSERT_EQUAL(fixture_add(f.store, &row), KL_OK);
    CU_ASSERT_EQUAL(fixture_add(f.store, &second), KL_OK);
    CU_ASSERT(fixture_has(f.store, &row));
    CU_ASSERT(fixture_has(f.store, &second));
    CU_ASSERT_EQUAL(fixture_count(f.store, KL_BY_ALL, NULL, 0, &count), KL_OK);
    CU_ASSERT_EQUAL(count, 2);
    CU_ASSERT_EQUAL(fixture_remove(f.store, &row), KL_OK);
    CU_ASSERT_FALSE(fixture_has(f.store, &row));
    CU_ASSERT_EQUAL(fixture_check(f.store, NULL), 0);
    fixture_end(&f);
}

static void what_is_not_there_is_an_empty_page(void)
{
    struct fixture f;
    struct kl_row absent = fixture_row(77);
    size_t count = 1;

    fixture_begin(&f);
    CU_ASSERT_EQUAL(fixture_add_many(f.store, 0, 10), KL_OK);
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-77", &count), KL_OK);
    CU_ASSERT_EQUAL(count, 0);
    CU_ASSERT_FALSE(fixture_has(f.store, &absent));
    CU_ASSERT_EQUAL(fixture_count(f.store, KL_BY_ROW, absent.id, sizeof absent.id, &count), KL_OK);
    CU_ASSERT_EQUAL(count, 0);
    CU_ASSERT_EQUAL(fixture_count(f.store, KL_BY_PARENT, absent.id, sizeof absent.id, &count), KL_OK);
    CU_ASSERT_EQUAL(count, 0);
    CU_ASSERT_EQUAL(fixture_count(f.store, KL_BY_KEY_ID, "x", 1, &count), KL_OK);
    CU_ASSERT_EQUAL(count, 0);
    fixture_end(&f);
}

static void a_query_without_a_value_is_refused(void)
{
    struct fixture f;
    size_t count;

    fixture_begin(&f);
    CU_ASSERT_EQUAL(fixture_count(f.store, KL_BY_LABEL, NULL, 0, &count), KL_ARG);
    CU_ASSERT_EQUAL(fixture_count(f.store, KL_BY_KEY_ID, NULL, 0, &count), KL_ARG);
    CU_ASSERT_EQUAL(fixture_count(f.store, KL_BY_PARENT, NULL, 0, &count), KL_ARG);
    CU_ASSERT_EQUAL(fixture_count(f.store, KL_BY_ROW, "short", 5, &count), KL_ARG);
    fixture_end(&f);
}

static void pages_give_every_row_once(void)
{
    enum { ROWS = 3000 };
    static const enum kl_query_by ways[] = { KL_BY_ALL, KL_BY_PARENT, KL_BY_PUBLIC };
    struct fixture f;
    struct kl_txn *txn = NULL;
    const struct kl_row any = fixture_row(0);

    fixture_begin(&f);
    CU_ASSERT_EQUAL(kl_store_begin(f.store, &txn), KL_OK);
    for (unsigned i = 0; i < ROWS; i++) {
        struct kl_row row = fixture_row(i);

        row.is_public = true;
        CU_ASSERT_EQUAL(kl_txn_add(txn, &row), KL_OK);
    }
    CU_ASSERT_EQUAL(kl_txn_commit(txn, NULL), KL_OK);
    for (size_t way = 0; way < 3; way++) {
        struct kl_query query = { .by = ways[way], .value = kl_view_of(any.parent, ways[way] == KL_BY_PARENT ? sizeof any.parent : 0) };
        struct kl_cursor cursor = { 0 };
        struct kl_page page = { 0 };
        static bool seen[ROWS];
        size_t pages = 0;

        memset(seen, 0, sizeof seen);
        while (!cursor.done) {
            CU_ASSERT_EQUAL_FATAL(kl_store_read(f.store, &query, &cursor, &page), KL_OK);
            CU_ASSERT(page.count < 600);
            pages++;
            for (size_t i = 0; i < page.count; i++) {
                unsigned number;

                memcpy(&number, page.rows[i].id + 8, sizeof number);
                CU_ASSERT_FATAL(number < ROWS);
                CU_ASSERT_FALSE(seen[number]);
                seen[number] = true;
            }
        }
        for (size_t i = 0; i < ROWS; i++) CU_ASSERT(seen[i]);
        CU_ASSERT(pages > 5);
        CU_ASSERT_EQUAL(cursor.hurt, 0);
        kl_page_clear(&page);
    }
    fixture_end(&f);
}

static void a_thousand_rows_of_one_label_are_paged_too(void)
{
    struct fixture f;
    struct kl_txn *txn = NULL;
    char id[16];
    size_t count = 0;

    fixture_begin(&f);
    CU_ASSERT_EQUAL(kl_store_begin(f.store, &txn), KL_OK);
    for (unsigned i = 0; i < 1000; i++) {
        struct kl_row row;

        snprintf(id, sizeof id, "%u", i);
        row = fixture_row_named(i, "shared", id);
        CU_ASSERT_EQUAL(kl_txn_add(txn, &row), KL_OK);
    }
    CU_ASSERT_EQUAL(kl_txn_commit(txn, NULL), KL_OK);
    CU_ASSERT_EQUAL(fixture_find(f.store, "shared", &count), KL_OK);
    CU_ASSERT_EQUAL(count, 1000);
    CU_ASSERT_EQUAL(fixture_count(f.store, KL_BY_ALL, NULL, 0, &count), KL_OK);
    CU_ASSERT_EQUAL(count, 1000);
    fixture_end(&f);
}

static void the_longest_row_fits_and_a_longer_one_is_refused(void)
{
    struct fixture f;
    struct kl_row row = fixture_row(1);
    uint8_t *room = malloc(KL_ROW_METADATA_MAX + 1);

    CU_ASSERT_PTR_NOT_NULL_FATAL(room);
    if (room == NULL) return;
    memset(room, 'x', KL_ROW_METADATA_MAX + 1);
    fixture_begin(&f);
    row.label = kl_view_of(room, KL_ROW_LABEL_MAX);
    row.key_id = kl_view_of(room, KL_ROW_KEY_ID_MAX);
    row.metadata = kl_view_of(room, KL_ROW_METADATA_MAX);
    row.encrypted_key = kl_view_of(room, KL_ROW_SEALED_MAX);
    CU_ASSERT_EQUAL(fixture_add(f.store, &row), KL_OK);
    find_the_one(&f, KL_BY_LABEL, row.label, &row);
    row = fixture_row(2);
    row.label = kl_view_of(room, KL_ROW_LABEL_MAX + 1);
    CU_ASSERT_EQUAL(fixture_add(f.store, &row), KL_ARG);
    row = fixture_row(2);
    row.metadata = kl_view_of(room, KL_ROW_METADATA_MAX + 1);
    CU_ASSERT_EQUAL(fixture_add(f.store, &row), KL_ARG);
    row = fixture_row(2);
    row.encrypted_key = kl_view_of(room, KL_ROW_SEALED_MAX + 1);
    CU_ASSERT_EQUAL(fixture_add(f.store, &row), KL_ARG);
    CU_ASSERT_EQUAL(fixture_check(f.store, NULL), 0);
    free(room);
    fixture_end(&f);
}

/* --- transactions --- */

static void a_second_row_of_one_id_is_a_conflict(void)
{
    struct fixture f;
    struct kl_row row = fixture_row(1);

    fixture_begin(&f);
    CU_ASSERT_EQUAL(fixture_add(f.store, &row), KL_OK);
    row.label = kl_view_text("another");
    CU_ASSERT_EQUAL(fixture_add(f.store, &row), KL_CONFLICT);
    row.generation = 2;
    CU_ASSERT_EQUAL(fixture_add(f.store, &row), KL_ARG);
    CU_ASSERT_EQUAL(fixture_check(f.store, NULL), 0);
    fixture_end(&f);
}

static void a_change_needs_the_generation_before_it(void)
{
    struct fixture f;
    struct kl_row row = fixture_row(1);
    size_t count;

    fixture_begin(&f);
    row.generation = 2;
    CU_ASSERT_EQUAL(fixture_change(f.store, &row), KL_CONFLICT);
    row.generation = 1;
    CU_ASSERT_EQUAL(fixture_change(f.store, &row), KL_ARG);
    CU_ASSERT_EQUAL(fixture_add(f.store, &row), KL_OK);
    row.generation = 3;
    CU_ASSERT_EQUAL(fixture_change(f.store, &row), KL_CONFLICT);
    row.generation = 2;
    row.label = kl_view_text("renamed");
    row.key_id = kl_view_text("elsewhere");
    CU_ASSERT_EQUAL(fixture_change(f.store, &row), KL_OK);
    CU_ASSERT_EQUAL(fixture_change(f.store, &row), KL_CONFLICT);
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-1", &count), KL_OK);
    CU_ASSERT_EQUAL(count, 0);
    find_the_one(&f, KL_BY_LABEL, row.label, &row);
    find_the_one(&f, KL_BY_KEY_ID, row.key_id, &row);
    CU_ASSERT_EQUAL(fixture_check(f.store, NULL), 0);
    fixture_end(&f);
}

static void a_removal_needs_the_very_generation(void)
{
    struct fixture f;
    struct kl_row row = fixture_row(1);

    fixture_begin(&f);
    CU_ASSERT_EQUAL(fixture_remove(f.store, &row), KL_CONFLICT);
    CU_ASSERT_EQUAL(fixture_add(f.store, &row), KL_OK);
    row.generation = 2;
    CU_ASSERT_EQUAL(fixture_remove(f.store, &row), KL_CONFLICT);
    row.generation = 1;
    CU_ASSERT_EQUAL(fixture_remove(f.store, &row), KL_OK);
    CU_ASSERT_EQUAL(fixture_remove(f.store, &row), KL_CONFLICT);
    CU_ASSERT_EQUAL(fixture_add(f.store, &row), KL_OK);
    CU_ASSERT_EQUAL(fixture_check(f.store, NULL), 0);
    fixture_end(&f);
}

static void one_transaction_may_do_everything_to_a_row(void)
{
    struct fixture f;
    struct kl_txn *txn = NULL;
    struct kl_row kept = fixture_row(1);
    struct kl_row fleeting = fixture_row(2);
    struct kl_row old = fixture_row(3);
    uint64_t rows = 0;

    fixture_begin(&f);
    CU_ASSERT_EQUAL(fixture_add(f.store, &old), KL_OK);
    CU_ASSERT_EQUAL(kl_store_begin(f.store, &txn), KL_OK);
    CU_ASSERT_EQUAL(kl_txn_add(txn, &kept), KL_OK);
    for (kept.generation = 2; kept.generation < 6; kept.generation++) {
        kept.label = kl_view_text((kept.generation & 1) != 0 ? "odd" : "even");
        CU_ASSERT_EQUAL(kl_txn_change(txn, &kept), KL_OK);
    }
    kept.generation--;
    CU_ASSERT_EQUAL(kl_txn_add(txn, &fleeting), KL_OK);
    CU_ASSERT_EQUAL(kl_txn_remove(txn, fleeting.id, 1), KL_OK);
    CU_ASSERT_EQUAL(kl_txn_remove(txn, old.id, 1), KL_OK);
    old.label = kl_view_text("again");
    CU_ASSERT_EQUAL(kl_txn_add(txn, &old), KL_OK);
    CU_ASSERT_EQUAL(kl_txn_remove(txn, old.id, 2), KL_CONFLICT);
    CU_ASSERT_EQUAL(kl_txn_commit(txn, NULL), KL_OK);
    CU_ASSERT(fixture_has(f.store, &kept));
    CU_ASSERT(fixture_has(f.store, &old));
    CU_ASSERT_FALSE(fixture_has(f.store, &fleeting));
    CU_ASSERT_EQUAL(fixture_check(f.store, &rows), 0);
    CU_ASSERT_EQUAL(rows, 2);
    fixture_end(&f);
}

static void an_aborted_transaction_leaves_nothing(void)
{
    struct fixture f;
    struct kl_txn *txn = NULL;
    struct kl_row row = fixture_row(1);
    uint64_t rows = 9;
    uint8_t room[8];
    struct kl_out out = { room, sizeof room, 0 };

    fixture_begin(&f);
    CU_ASSERT_EQUAL(kl_store_begin(f.store, &txn), KL_OK);
    CU_ASSERT_EQUAL(kl_txn_add(txn, &row), KL_OK);
    CU_ASSERT_EQUAL(kl_txn_record(txn, "r", kl_view_text("v")), KL_OK);
    kl_txn_abort(txn);
    kl_txn_abort(NULL);
    CU_ASSERT_EQUAL(kl_store_record(f.store, "r", &out), KL_NOT_FOUND);
    CU_ASSERT_EQUAL(fixture_check(f.store, &rows), 0);
    CU_ASSERT_EQUAL(rows, 0);
    fixture_end(&f);
}

static void reads_in_a_transaction_come_before_its_writes(void)
{
    struct fixture f;
    struct kl_txn *txn = NULL;
    struct kl_row row = fixture_row(1);
    struct kl_row next = fixture_row(2);
    uint32_t used;
    size_t count;

    fixture_begin(&f);
    CU_ASSERT_EQUAL(fixture_add(f.store, &row), KL_OK);
    CU_ASSERT_EQUAL(kl_store_begin(f.store, &txn), KL_OK);
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-1", &count), KL_OK);
    CU_ASSERT_EQUAL(count, 1);
    CU_ASSERT_EQUAL(kl_txn_add(txn, &next), KL_OK);
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-1", &count), KL_ARG);
    CU_ASSERT_EQUAL(kl_store_tries_take(f.store, "pin/so", 3, &used), KL_ARG);
    CU_ASSERT_EQUAL(kl_txn_commit(txn, NULL), KL_OK);
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-2", &count), KL_OK);
    CU_ASSERT_EQUAL(count, 1);
    fixture_end(&f);
}

static void a_random_history_keeps_the_tree_right(void)
{
    enum { ROWS = 200, ROUNDS = 150 };
    struct fixture f;
    uint64_t generations[ROWS] = { 0 };
    unsigned random = 12345;

    fixture_begin(&f);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct kl_txn *txn = NULL;

        CU_ASSERT_EQUAL_FATAL(kl_store_begin(f.store, &txn), KL_OK);
        for (unsigned step = 0; step < round % 17; step++) {
            unsigned at = (random = random * 1103515245 + 12345) >> 16 & 0x7fff;
            struct kl_row row = fixture_row_named(at % ROWS, (at & 1) != 0 ? "a" : (at & 2) != 0 ? "b" : "", (at & 4) != 0 ? "i" : "");

            at %= ROWS;
            row.generation = ++generations[at];
            if (row.generation == 1) {
                CU_ASSERT_EQUAL(kl_txn_add(txn, &row), KL_OK);
            } else if (row.generation % 5 == 0) {
                CU_ASSERT_EQUAL(kl_txn_remove(txn, row.id, row.generation - 1), KL_OK);
                generations[at] = 0;
            } else {
                CU_ASSERT_EQUAL(kl_txn_change(txn, &row), KL_OK);
            }
        }
        CU_ASSERT_EQUAL_FATAL(kl_txn_commit(txn, NULL), KL_OK);
    }
    CU_ASSERT_EQUAL(fixture_check(f.store, NULL), 0);
    fixture_end(&f);
}

/* --- beginning anew --- */

static void emptied_and_rekeyed_it_goes_on_under_the_new_key(void)
{
    struct fixture f;
    struct kl_txn *txn = NULL;
    struct kl_row row;
    struct kl_secret key = { 0 };
    uint64_t rows = 9;
    uint32_t used = 0;
    size_t count;

    fixture_begin(&f);
    CU_ASSERT_EQUAL(fixture_add_many(f.store, 0, 500), KL_OK);
    row = fixture_row(1);
    CU_ASSERT_EQUAL(kl_store_tries_take(f.store, "pin/user", 10, &used), KL_OK);
    CU_ASSERT_EQUAL(kl_secret_new(&key, 32), KL_OK);
    CU_ASSERT_EQUAL(kl_store_begin(f.store, &txn), KL_OK);
    CU_ASSERT_EQUAL(kl_txn_rekey(txn, &key, kl_view_text("1111111111111111")), KL_ARG);
    CU_ASSERT_EQUAL(kl_txn_empty(txn), KL_OK);
    CU_ASSERT_EQUAL(kl_txn_add(txn, &row), KL_ARG);
    CU_ASSERT_EQUAL(kl_txn_rekey(txn, &key, kl_view_text("1111111111111111")), KL_OK);
    CU_ASSERT_EQUAL(kl_txn_add(txn, &row), KL_OK);
    CU_ASSERT_EQUAL(kl_txn_record(txn, "token", kl_view_text("second")), KL_OK);
    CU_ASSERT_EQUAL(kl_txn_commit(txn, NULL), KL_OK);
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-1", &count), KL_OK);
    CU_ASSERT_EQUAL(count, 1);
    CU_ASSERT_EQUAL(fixture_check(f.store, &rows), 0);
    CU_ASSERT_EQUAL(rows, 1);
    CU_ASSERT_EQUAL(kl_store_tries(f.store, "pin/user", &used), KL_OK);
    CU_ASSERT_EQUAL(used, 0);
    CU_ASSERT_EQUAL(kl_store_unlock(f.store, &f.key, kl_view_text(FIXTURE_SERIAL)), KL_INTEGRITY);
    CU_ASSERT_EQUAL(kl_store_unlock(f.store, &key, kl_view_text("1111111111111111")), KL_OK);
    kl_secret_clear(&key);
    fixture_end(&f);
}

static void an_aborted_rekey_changes_nothing(void)
{
    struct fixture f;
    struct kl_txn *txn = NULL;
    struct kl_secret key = { 0 };
    uint64_t rows = 9;

    fixture_begin(&f);
    CU_ASSERT_EQUAL(fixture_add_many(f.store, 0, 50), KL_OK);
    CU_ASSERT_EQUAL(kl_secret_new(&key, 32), KL_OK);
    CU_ASSERT_EQUAL(kl_store_begin(f.store, &txn), KL_OK);
    CU_ASSERT_EQUAL(kl_txn_empty(txn), KL_OK);
    CU_ASSERT_EQUAL(kl_txn_rekey(txn, &key, kl_view_text("1111111111111111")), KL_OK);
    kl_txn_abort(txn);
    CU_ASSERT_EQUAL(fixture_check(f.store, &rows), 0);
    CU_ASSERT_EQUAL(rows, 50);
    CU_ASSERT_EQUAL(kl_store_begin(f.store, &txn), KL_OK);
    CU_ASSERT_EQUAL(kl_txn_empty(txn), KL_OK);
    CU_ASSERT_EQUAL(kl_txn_commit(txn, NULL), KL_ARG);
    CU_ASSERT_EQUAL(fixture_check(f.store, &rows), 0);
    CU_ASSERT_EQUAL(rows, 50);
    kl_secret_clear(&key);
    fixture_end(&f);
}

static void a_copy_set_aside_is_a_whole_store_of_its_own(void)
{
    struct fixture f;
    struct kl_store *copy = NULL;
    char path[256];
    char again[256];
    char uri[300];
    struct stat status;
    uint64_t rows = 0;

    fixture_begin(&f);
    CU_ASSERT_EQUAL(fixture_add_many(f.store, 0, 200), KL_OK);
    CU_ASSERT_EQUAL(kl_store_set_aside(f.store, path, 10), KL_BUFFER);
    CU_ASSERT_EQUAL_FATAL(kl_store_set_aside(f.store, path, sizeof path), KL_OK);
    CU_ASSERT_EQUAL_FATAL(kl_store_set_aside(f.store, again, sizeof again), KL_OK);
    CU_ASSERT(strcmp(path, again) != 0);
    CU_ASSERT(strncmp(path, f.path, strlen(f.path)) == 0 && strstr(path, ".set-aside-") != NULL);
    CU_ASSERT_EQUAL(stat(path, &status), 0);
    CU_ASSERT_EQUAL(status.st_mode & 07777, 0600);
    CU_ASSERT_EQUAL(fixture_add_many(f.store, 200, 5), KL_OK);
    snprintf(uri, sizeof uri, "sqlite:%s", path);
    CU_ASSERT_EQUAL_FATAL(kl_store_open(uri, KL_STORE_EXISTING, FIXTURE_TIMEOUT, &copy), KL_OK);
    CU_ASSERT_EQUAL(kl_store_unlock(copy, &f.key, kl_view_text(FIXTURE_SERIAL)), KL_OK);
    CU_ASSERT_EQUAL(fixture_check(copy, &rows), 0);
    CU_ASSERT_EQUAL(rows, 200);
    CU_ASSERT_EQUAL(fixture_add_many(copy, 300, 5), KL_OK);
    kl_store_close(copy);
    CU_ASSERT_EQUAL(fixture_check(f.store, &rows), 0);
    CU_ASSERT_EQUAL(rows, 205);
    fixture_end(&f);
}

/* --- attempts --- */

static void attempts_are_counted_up_to_the_limit_and_forgotten_on_reset(void)
{
    struct fixture f;
    uint32_t used = 0;

    fixture_begin(&f);
    kl_store_lock(f.store);
    for (uint32_t i = 1; i <= 3; i++) {
        CU_ASSERT_EQUAL(kl_store_tries_take(f.store, "pin/user", 3, &used), KL_OK);
        CU_ASSERT_EQUAL(used, i);
    }
    used = 0;
    CU_ASSERT_EQUAL(kl_store_tries_take(f.store, "pin/user", 3, &used), KL_PIN_LOCKED);
    CU_ASSERT_EQUAL(used, 3);
    CU_ASSERT_EQUAL(kl_store_tries_take(f.store, "pin/so", 3, &used), KL_OK);
    CU_ASSERT_EQUAL(used, 1);
    fixture_close(&f);
    CU_ASSERT_EQUAL(fixture_open(&f), KL_OK);
    CU_ASSERT_EQUAL(kl_store_tries(f.store, "pin/user", &used), KL_OK);
    CU_ASSERT_EQUAL(used, 3);
    CU_ASSERT_EQUAL(kl_store_tries_reset(f.store, "pin/user"), KL_OK);
    CU_ASSERT_EQUAL(kl_store_tries(f.store, "pin/user", &used), KL_OK);
    CU_ASSERT_EQUAL(used, 0);
    CU_ASSERT_EQUAL(fixture_check(f.store, NULL), 0);
    fixture_end(&f);
}

/* --- the mark --- */

static void the_mark_moves_with_every_commit_and_with_nothing_else(void)
{
    struct fixture f;
    struct kl_txn *txn = NULL;
    struct kl_commit commit = { 0, 0 };
    struct kl_row row = fixture_row(1);
    uint64_t mark;
    size_t count;

    fixture_begin(&f);
    mark = kl_store_mark(f.store);
    CU_ASSERT_EQUAL(mark % 2, 0);
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-1", &count), KL_OK);
    CU_ASSERT_EQUAL(kl_store_begin(f.store, &txn), KL_OK);
    CU_ASSERT_EQUAL(kl_txn_add(txn, &row), KL_OK);
    kl_txn_abort(txn);
    CU_ASSERT_EQUAL(kl_store_mark(f.store), mark);
    CU_ASSERT_EQUAL(kl_store_begin(f.store, &txn), KL_OK);
    CU_ASSERT_EQUAL(kl_txn_commit(txn, &commit), KL_OK);
    CU_ASSERT(commit.before == mark && commit.after == mark);
    CU_ASSERT_EQUAL(kl_store_begin(f.store, &txn), KL_OK);
    CU_ASSERT_EQUAL(kl_txn_add(txn, &row), KL_OK);
    CU_ASSERT_EQUAL(kl_txn_commit(txn, &commit), KL_OK);
    CU_ASSERT_EQUAL(commit.before, mark);
    CU_ASSERT_EQUAL(commit.after, kl_store_mark(f.store));
    CU_ASSERT(commit.after > mark && commit.after % 2 == 0);
    fixture_close(&f);
    CU_ASSERT_EQUAL(fixture_open(&f), KL_OK);
    CU_ASSERT_EQUAL(kl_store_mark(f.store), commit.after);
    fixture_end(&f);
}

static void a_mark_left_odd_is_mended_by_the_next_writer_or_reader(void)
{
    static const uint64_t odd = 7;
    struct fixture f;
    struct kl_txn *txn = NULL;
    struct kl_commit commit = { 0, 0 };
    struct kl_row row = fixture_row(1);
    uint8_t bytes[16] = "KLEPOCH1";
    size_t count;

    fixture_begin(&f);
    memcpy(bytes + 8, &odd, sizeof odd);
    fixture_close(&f);
    fixture_write_file(fixture_path(&f, "-epoch"), bytes, sizeof bytes);
    CU_ASSERT_EQUAL(fixture_open(&f), KL_OK);
    CU_ASSERT_EQUAL(kl_store_begin(f.store, &txn), KL_OK);
    CU_ASSERT_EQUAL(kl_txn_add(txn, &row), KL_OK);
    CU_ASSERT_EQUAL(kl_txn_commit(txn, &commit), KL_OK);
    CU_ASSERT(kl_store_mark(f.store) % 2 == 0 && kl_store_mark(f.store) > odd);
    CU_ASSERT_EQUAL(commit.after, kl_store_mark(f.store));
    fixture_close(&f);
    fixture_write_file(fixture_path(&f, "-epoch"), bytes, sizeof bytes);
    CU_ASSERT_EQUAL(fixture_open(&f), KL_OK);
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-1", &count), KL_OK);
    CU_ASSERT(kl_store_mark(f.store) % 2 == 0 && kl_store_mark(f.store) > odd);
    fixture_end(&f);
}

/* --- threads --- */

enum { THREADS = 8, EACH = 40 };

static void *add_and_find(void *user)
{
    static _Atomic unsigned next;
    struct fixture *f = user;
    size_t count;

    for (unsigned i = 0; i < EACH; i++) {
        struct kl_row row = fixture_row(next++);

        if (fixture_add(f->store, &row) != KL_OK || !fixture_has(f->store, &row)) return f;
        if (fixture_count(f->store, KL_BY_KEY_ID, row.key_id.data, row.key_id.len, &count) != KL_OK || count != 1) return f;
    }
    return NULL;
}

static void threads_share_a_store(void)
{
    struct fixture f;
    pthread_t threads[THREADS];
    uint64_t rows = 0;

    fixture_begin(&f);
    for (size_t i = 0; i < THREADS; i++) CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, add_and_find, &f), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *failed = NULL;

        pthread_join(threads[i], &failed);
        CU_ASSERT_PTR_NULL(failed);
    }
    CU_ASSERT_EQUAL(fixture_check(f.store, &rows), 0);
    CU_ASSERT_EQUAL(rows, THREADS * EACH);
    fixture_end(&f);
}

/* --- tags --- */

static void a_row_of_another_name_under_the_same_tag_is_not_taken_for_it(void)
{
    struct fixture f;
    size_t count = 0;

    fixture_begin(&f);
    is_one_spot = true;
    CU_ASSERT_EQUAL(fixture_add_many(f.store, 0, 600), KL_OK);
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-599", &count), KL_OK);
    CU_ASSERT_EQUAL(count, 1);
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-600", &count), KL_OK);
    CU_ASSERT_EQUAL(count, 0);
    CU_ASSERT_EQUAL(fixture_count(f.store, KL_BY_KEY_ID, "id-3", 4, &count), KL_OK);
    CU_ASSERT_EQUAL(count, 1);
    CU_ASSERT_EQUAL(fixture_check(f.store, NULL), 0);
    is_one_spot = false;
    /* Written under tags that are not its own, a row cannot be looked up; the check of the whole says so. */
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-599", &count), KL_OK);
    CU_ASSERT_EQUAL(count, 0);
    CU_ASSERT(fixture_check(f.store, NULL) >= 600);
    fixture_end(&f);
}

UNIT_MAIN("store/store", UNIT(a_row_of_another_name_under_the_same_tag_is_not_taken_for_it),
          UNIT(an_uri_of_no_kind_is_a_configuration_error), UNIT(a_store_that_is_not_there_is_not_made_by_looking),
          UNIT(a_missing_directory_is_named), UNIT(a_new_store_is_empty_and_whole), UNIT(a_store_opens_once_in_a_process),
          UNIT(an_open_that_failed_leaves_the_way_free), UNIT(another_key_or_serial_does_not_unlock),
          UNIT(a_locked_store_gives_public_rows_alone_and_takes_none), UNIT(records_are_kept_listed_in_order_and_removed),
          UNIT(a_callback_that_refuses_ends_the_list), UNIT(a_short_buffer_is_told_the_length_of_a_record),
          UNIT(a_record_without_a_name_or_too_long_is_refused), UNIT(a_row_comes_back_as_it_was_written_by_every_way),
          UNIT(rows_without_label_and_id_are_kept_and_found_by_their_row), UNIT(what_is_not_there_is_an_empty_page),
          UNIT(a_query_without_a_value_is_refused), UNIT(pages_give_every_row_once), UNIT(a_thousand_rows_of_one_label_are_paged_too),
          UNIT(the_longest_row_fits_and_a_longer_one_is_refused), UNIT(a_second_row_of_one_id_is_a_conflict),
          UNIT(a_change_needs_the_generation_before_it), UNIT(a_removal_needs_the_very_generation),
          UNIT(one_transaction_may_do_everything_to_a_row), UNIT(an_aborted_transaction_leaves_nothing),
          UNIT(reads_in_a_transaction_come_before_its_writes), UNIT(a_random_history_keeps_the_tree_right),
          UNIT(emptied_and_rekeyed_it_goes_on_under_the_new_key), UNIT(an_aborted_rekey_changes_nothing),
          UNIT(a_copy_set_aside_is_a_whole_store_of_its_own), UNIT(attempts_are_counted_up_to_the_limit_and_forgotten_on_reset),
          UNIT(the_mark_moves_with_every_commit_and_with_nothing_else), UNIT(a_mark_left_odd_is_mended_by_the_next_writer_or_reader),
          UNIT(threads_share_a_store))
