/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* How often the store is asked, and that what is answered without asking is right. */
#include "token/shelf.h"

#include <sys/wait.h>

#include "base/clock.h"
#include "fixture.h"
#include "token/shelf_inner.h"

/* --- the store, counted --- */

enum kl_rc __real_kl_ladder_read(struct kl_ladder *ladder, const struct kl_query *query, struct kl_cursor *cursor, struct kl_records *out);
enum kl_rc __wrap_kl_ladder_read(struct kl_ladder *ladder, const struct kl_query *query, struct kl_cursor *cursor, struct kl_records *out);
enum kl_rc __real_kl_ladder_get(struct kl_ladder *ladder, const uint8_t id[KL_ROW_ID_LEN], struct kl_view label, struct kl_record *out);
enum kl_rc __wrap_kl_ladder_get(struct kl_ladder *ladder, const uint8_t id[KL_ROW_ID_LEN], struct kl_view label, struct kl_record *out);
uint64_t __real_kl_ladder_mark(struct kl_ladder *ladder);
uint64_t __wrap_kl_ladder_mark(struct kl_ladder *ladder);

static unsigned reads, gets, marks;
static enum kl_rc read_rc, get_rc, write_rc;
static uint32_t hurt;    /* buckets that a reading leaves out */
static uint64_t mark_is; /* 0: as it is */

enum kl_rc __wrap_kl_ladder_read(struct kl_ladder *ladder, const struct kl_query *query, struct kl_cursor *cursor, struct kl_records *out)
{
    reads++;
    cursor->hurt += hurt;
    return read_rc != KL_OK ? read_rc : __real_kl_ladder_read(ladder, query, cursor, out);
}

enum kl_rc __wrap_kl_ladder_get(struct kl_ladder *ladder, const uint8_t id[KL_ROW_ID_LEN], struct kl_view label, struct kl_record *out)
{
    gets++;
    return get_rc != KL_OK ? get_rc : __real_kl_ladder_get(ladder, id, label, out);
}

uint64_t __wrap_kl_ladder_mark(struct kl_ladder *ladder)
{
    marks++;
    return mark_is ? mark_is : __real_kl_ladder_mark(ladder);
}

/* --- what comes in between --- */

enum kl_rc __real_kl_ladder_change(struct kl_ladder *ladder, const struct kl_record *changed, struct kl_record *out,
                                   struct kl_commit *commit);
enum kl_rc __wrap_kl_ladder_change(struct kl_ladder *ladder, const struct kl_record *changed, struct kl_record *out,
                                   struct kl_commit *commit);
enum kl_rc __real_kl_ladder_remove(struct kl_ladder *ladder, const struct kl_record *record, struct kl_commit *commit);
enum kl_rc __wrap_kl_ladder_remove(struct kl_ladder *ladder, const struct kl_record *record, struct kl_commit *commit);
enum kl_rc __real_kl_place_room(const struct kl_record *draft, size_t more, struct kl_place *out);
enum kl_rc __wrap_kl_place_room(const struct kl_record *draft, size_t more, struct kl_place *out);
enum kl_rc __real_kl_slot_new(struct kl_object **out);
enum kl_rc __wrap_kl_slot_new(struct kl_object **out);

enum kl_rc __real_kl_ladder_add(struct kl_ladder *ladder, const struct kl_record *draft, const struct kl_secret *value,
                                struct kl_record *out, struct kl_commit *commit);
enum kl_rc __wrap_kl_ladder_add(struct kl_ladder *ladder, const struct kl_record *draft, const struct kl_secret *value,
                                struct kl_record *out, struct kl_commit *commit);

static void (*between)(void), (*after_commit)(void);
static bool has_no_slot;

enum kl_rc __wrap_kl_ladder_change(struct kl_ladder *ladder, const struct kl_record *changed, struct kl_record *out,
                                   struct kl_commit *commit)
{
    return write_rc != KL_OK ? write_rc : __real_kl_ladder_change(ladder, changed, out, commit);
}

enum kl_rc __wrap_kl_ladder_remove(struct kl_ladder *ladder, const struct kl_record *record, struct kl_commit *commit)
{
    return write_rc != KL_OK ? write_rc : __real_kl_ladder_remove(ladder, record, commit);
}

/* The row is in the store, and not yet on the shelf. */
enum kl_rc __wrap_kl_ladder_add(struct kl_ladder *ladder, const struct kl_record *draft, const struct kl_secret *value,
                                struct kl_record *out, struct kl_commit *commit)
{
    enum kl_rc rc = __real_kl_ladder_add(ladder, draft, value, out, commit);
    void (*once)(void) = after_commit;

    after_commit = NULL;
    if (once) once();
    return rc;
}

/* A change has been drafted and is not made yet. */
enum kl_rc __wrap_kl_place_room(const struct kl_record *draft, size_t more, struct kl_place *out)
{
    void (*once)(void) = between;

    between = NULL;
    if (once) once();
    return __real_kl_place_room(draft, more, out);
}

enum kl_rc __wrap_kl_slot_new(struct kl_object **out)
{
    return has_no_slot ? KL_MEMORY : __real_kl_slot_new(out);
}

static unsigned asked(void)
{
    unsigned count = reads + gets;

    reads = gets = 0;
    return count;
}

static struct kl_session *session;

static void begin(void)
{
    kl_clock = &clock_standing;
    mark_is = 0;
    read_rc = get_rc = write_rc = KL_OK;
    hurt = 0;
    fixture_begin();
    session = session_new(CKF_RW_SESSION);
    log_in();
    asked();
}

static void end(void)
{
    session_end(session);
    fixture_end();
    kl_clock = &kl_clock_system;
}

/* Somebody else commits: another process, with the same token. */
static int commit_elsewhere(void)
{
    struct kl_session *theirs = NULL;
    CK_SESSION_HANDLE handle;
    struct kl_token *token;

    UNIT_NEED(kl_module_open() == KL_OK);
    token = kl_token_at(0);
    UNIT_NEED(token != NULL);
    UNIT_NEED(kl_session_open(token, CKF_SERIAL_SESSION | CKF_RW_SESSION, &handle) == KL_OK);
    UNIT_NEED(kl_token_login(token, CKU_USER, user_pin()) == KL_OK);
    UNIT_NEED(kl_session_enter(handle, &theirs) == KL_OK);
    kl_session_leave(theirs);
    if (find_label(theirs, "doomed")) UNIT_NEED(kl_object_destroy(theirs, find_label(theirs, "doomed")) == KL_OK);
    if (find_label(theirs, "renamed")) {
        CK_ATTRIBUTE label[] = { A_TEXT(CKA_LABEL, "after") };

        UNIT_NEED(kl_object_write(theirs, find_label(theirs, "renamed"), label, 1) == KL_OK);
    }
    UNIT_NEED(aes_key(theirs, true, "elsewhere") != 0);
    return 0;
}

static void somebody_commits(void)
{
    CU_ASSERT_EQUAL(unit_in_child(commit_elsewhere), 0);
}

/* --- what is known --- */

static void a_label_is_asked_for_once(void)
{
    begin();
    CU_ASSERT(find_label(session, "master") != 0);
    CU_ASSERT(asked() > 0);
    CU_ASSERT(find_label(session, "master") != 0);
    CU_ASSERT_EQUAL(asked(), 0);
    end();
}

static void a_label_that_nothing_has_is_asked_for_once(void)
{
    begin();
    CU_ASSERT_EQUAL(find_label(session, "nobody"), 0);
    CU_ASSERT(asked() > 0);
    CU_ASSERT_EQUAL(find_label(session, "nobody"), 0);
    CU_ASSERT_EQUAL(asked(), 0);
    end();
}

static void a_label_too_long_to_remember_is_found_absent_all_the_same(void)
{
    char label[KL_ROW_LABEL_MAX + 2];

    begin();
    memset(label, 'x', sizeof label);
    label[KL_ROW_LABEL_MAX] = '\0';
    CU_ASSERT_EQUAL(find_label(session, label), 0);
    CU_ASSERT_EQUAL(find_label(session, label), 0);
    label[KL_ROW_LABEL_MAX] = 'x';
    label[KL_ROW_LABEL_MAX + 1] = '\0';
    CU_ASSERT_EQUAL(find_label(session, label), 0);
    end();
}

static void our_own_commit_costs_nothing_that_was_known(void)
{
    CK_OBJECT_HANDLE key;

    begin();
    CU_ASSERT(find_label(session, "master") != 0);
    CU_ASSERT_EQUAL(find_label(session, "mine"), 0);
    key = aes_key(session, true, "mine");
    asked();
    CU_ASSERT_EQUAL(find_label(session, "mine"), key);
    CU_ASSERT(find_label(session, "master") != 0);
    CU_ASSERT_EQUAL(asked(), 0);
    CU_ASSERT_EQUAL(kl_object_destroy(session, key), KL_OK);
    asked();
    CU_ASSERT(find_label(session, "master") != 0);
    CU_ASSERT_EQUAL(asked(), 0);
    CU_ASSERT_EQUAL(find_label(session, "mine"), 0);
    end();
}

static void a_new_key_is_not_taken_for_the_only_one_of_its_label(void)
{
    CK_ATTRIBUTE label[] = { A_TEXT(CKA_LABEL, "twin") };

    begin();
    CU_ASSERT(aes_key(session, true, "twin") != 0);
    CU_ASSERT_EQUAL(kl_token_logout(demo), KL_OK);
    log_in();
    /* Of the first nothing is known any more. */
    CU_ASSERT(aes_key(session, true, "twin") != 0);
    CU_ASSERT_EQUAL(find(session, label, 1, NULL), 2);
    asked();
    CU_ASSERT_EQUAL(find(session, label, 1, NULL), 2);
    CU_ASSERT_EQUAL(asked(), 0);
    end();
}

static void a_changed_label_is_found_and_the_old_one_is_not(void)
{
    CK_ATTRIBUTE label[] = { A_TEXT(CKA_LABEL, "new") };
    CK_OBJECT_HANDLE key;

    begin();
    key = aes_key(session, true, "old");
    CU_ASSERT_EQUAL(find_label(session, "old"), key);
    CU_ASSERT_EQUAL(find_label(session, "new"), 0);
    CU_ASSERT_EQUAL(kl_object_write(session, key, label, 1), KL_OK);
    CU_ASSERT_EQUAL(find_label(session, "new"), key);
    CU_ASSERT_EQUAL(find_label(session, "old"), 0);
    end();
}

static void a_whole_listing_answers_every_later_question(void)
{
    begin();
    for (char name[] = "key-a"; name[4] <= 'e'; name[4]++) CU_ASSERT(aes_key(session, true, name) != 0);
    CU_ASSERT_EQUAL(find(session, NULL, 0, NULL), 6 + PROFILES);
    asked();
    CU_ASSERT_EQUAL(find(session, NULL, 0, NULL), 6 + PROFILES);
    CU_ASSERT(find_label(session, "key-c") != 0);
    CU_ASSERT_EQUAL(find_label(session, "key-x"), 0);
    CU_ASSERT_EQUAL(asked(), 0);
    end();
}

static void session_objects_are_found_without_asking(void)
{
    CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_FALSE) };
    CK_OBJECT_HANDLE key, found = 0;

    begin();
    key = aes_key(session, false, NULL);
    asked();
    CU_ASSERT_EQUAL(find(session, template, 1, &found), 1);
    CU_ASSERT_EQUAL(found, key);
    CU_ASSERT_EQUAL(asked(), 0);
    end();
}

/* --- what others do --- */

static void a_foreign_commit_is_seen_by_the_next_search(void)
{
    begin();
    CU_ASSERT_EQUAL(find_label(session, "elsewhere"), 0);
    CU_ASSERT(find_label(session, "master") != 0);
    somebody_commits();
    CU_ASSERT(find_label(session, "elsewhere") != 0);
    asked();
    CU_ASSERT(find_label(session, "master") != 0);
    CU_ASSERT(asked() > 0);
    end();
}

static void the_same_version_keeps_its_handle(void)
{
    CK_OBJECT_HANDLE key;

    begin();
    key = aes_key(session, true, "lasting");
    somebody_commits();
    CU_ASSERT_EQUAL(find_label(session, "lasting"), key);
    CU_ASSERT_EQUAL(find(session, NULL, 0, NULL), 3 + PROFILES);
    CU_ASSERT_EQUAL(find_label(session, "lasting"), key);
    end();
}

static void what_another_destroyed_is_gone_within_a_second(void)
{
    CK_OBJECT_HANDLE key;
    CK_ULONG size;

    begin();
    key = aes_key(session, true, "doomed");
    CU_ASSERT_EQUAL(kl_object_size(session, key, &size), KL_OK);
    somebody_commits();
    /* Within the second nobody looks. */
    asked();
    CU_ASSERT_EQUAL(kl_object_size(session, key, &size), KL_OK);
    CU_ASSERT_EQUAL(asked(), 0);
    clock_second++;
    CU_ASSERT_EQUAL(kl_object_size(session, key, &size), KL_OBJECT);
    CU_ASSERT_EQUAL(kl_object_size(session, key, &size), KL_OBJECT);
    end();
}

static void what_another_destroyed_is_not_in_the_next_listing(void)
{
    begin();
    CU_ASSERT(aes_key(session, true, "doomed") != 0);
    CU_ASSERT_EQUAL(find(session, NULL, 0, NULL), 2 + PROFILES);
    somebody_commits();
    CU_ASSERT_EQUAL(find(session, NULL, 0, NULL), 2 + PROFILES);
    CU_ASSERT(find_label(session, "elsewhere") != 0);
    CU_ASSERT_EQUAL(find_label(session, "doomed"), 0);
    end();
}

static void what_another_changed_is_read_as_it_is_now(void)
{
    char label[16] = "";
    CK_ATTRIBUTE ask[] = { { CKA_LABEL, label, sizeof label } };
    CK_OBJECT_HANDLE key;

    begin();
    key = aes_key(session, true, "renamed");
    CU_ASSERT_EQUAL(find_label(session, "renamed"), key);
    somebody_commits();
    clock_second++;
    CU_ASSERT_EQUAL(kl_object_read(session, key, ask, 1), KL_OK);
    CU_ASSERT(ask[0].ulValueLen == 5 && memcmp(label, "after", 5) == 0);
    CU_ASSERT_EQUAL(find_label(session, "after"), key);
    CU_ASSERT_EQUAL(find_label(session, "renamed"), 0);
    end();
}

static void a_change_over_anothers_change_keeps_both(void)
{
    CK_ATTRIBUTE id[] = { A_TEXT(CKA_ID, "mine") };
    CK_OBJECT_HANDLE key;

    begin();
    key = aes_key(session, true, "renamed");
    somebody_commits();
    CU_ASSERT_EQUAL(kl_object_write(session, key, id, 1), KL_OK);
    CU_ASSERT_EQUAL(find_label(session, "after"), key);
    CU_ASSERT_EQUAL(find(session, id, 1, NULL), 1);
    end();
}

static void destroying_what_another_destroyed_says_so(void)
{
    CK_OBJECT_HANDLE key;

    begin();
    key = aes_key(session, true, "doomed");
    somebody_commits();
    CU_ASSERT_EQUAL(kl_object_destroy(session, key), KL_OBJECT);
    end();
}

/* --- when nothing may be kept --- */

static void nothing_is_kept_while_a_commit_is_under_way(void)
{
    begin();
    CU_ASSERT(find_label(session, "master") != 0);
    mark_is = 12345;
    CU_ASSERT(find_label(session, "master") != 0);
    asked();
    CU_ASSERT(find_label(session, "master") != 0);
    CU_ASSERT(asked() > 0);
    CU_ASSERT_EQUAL(find_label(session, "nobody"), 0);
    asked();
    CU_ASSERT_EQUAL(find_label(session, "nobody"), 0);
    CU_ASSERT(asked() > 0);
    end();
}

static void the_mark_is_looked_at_once_a_second(void)
{
    CK_OBJECT_HANDLE key;
    CK_ULONG size;

    begin();
    key = aes_key(session, true, "often");
    CU_ASSERT_EQUAL(kl_object_size(session, key, &size), KL_OK);
    marks = 0;
    for (int i = 0; i < 100; i++) CU_ASSERT_EQUAL(kl_object_size(session, key, &size), KL_OK);
    CU_ASSERT_EQUAL(marks, 0);
    clock_second++;
    for (int i = 0; i < 100; i++) CU_ASSERT_EQUAL(kl_object_size(session, key, &size), KL_OK);
    CU_ASSERT_EQUAL(marks, 1);
    end();
}

static void a_failing_store_fails_the_search_and_is_asked_again(void)
{
    CK_ATTRIBUTE label[] = { A_TEXT(CKA_LABEL, "master") };

    begin();
    read_rc = KL_INTEGRITY;
    CU_ASSERT_EQUAL(kl_find_init(session, label, 1), KL_INTEGRITY);
    read_rc = KL_OK;
    CU_ASSERT_EQUAL(find(session, label, 1, NULL), 1);
    read_rc = KL_STORE;
    clock_second++;
    CU_ASSERT_EQUAL(find(session, label, 1, NULL), 1);
    CU_ASSERT_EQUAL(find(session, NULL, 0, NULL), 0);
    CU_ASSERT_EQUAL(last_rc, KL_STORE);
    read_rc = KL_OK;
    CU_ASSERT_EQUAL(find(session, NULL, 0, NULL), 1 + PROFILES);
    end();
}

/* --- login --- */

static void handles_of_private_objects_end_with_the_login(void)
{
    CK_OBJECT_HANDLE key;
    CK_ULONG size;

    begin();
    key = aes_key(session, true, "private");
    CU_ASSERT_EQUAL(kl_token_logout(demo), KL_OK);
    CU_ASSERT_EQUAL(kl_object_size(session, key, &size), KL_OBJECT);
    CU_ASSERT_EQUAL(find_label(session, "private"), 0);
    log_in();
    CU_ASSERT_EQUAL(kl_object_size(session, key, &size), KL_OBJECT);
    CU_ASSERT(find_label(session, "private") != 0);
    CU_ASSERT(find_label(session, "private") != key);
    end();
}

static void a_public_object_is_seen_before_login_and_proved_after_it(void)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_DATA), A_BOOL(CKA_TOKEN, CK_TRUE), A_BOOL(CKA_PRIVATE, CK_FALSE),
                                A_TEXT(CKA_LABEL, "notice") };
    CK_OBJECT_HANDLE data = 0, seen;
    CK_ULONG size;

    begin();
    CU_ASSERT_EQUAL(kl_object_create(session, template, COUNT(template), &data), KL_OK);
    CU_ASSERT_EQUAL(kl_token_logout(demo), KL_OK);
    seen = find_label(session, "notice");
    CU_ASSERT_EQUAL(seen, data);
    CU_ASSERT_EQUAL(kl_object_size(session, seen, &size), KL_OK);
    log_in();
    asked();
    CU_ASSERT_EQUAL(find_label(session, "notice"), data);
    CU_ASSERT(asked() > 0);
    CU_ASSERT_EQUAL(kl_object_size(session, data, &size), KL_OK);
    end();
}

static void the_security_officer_sees_public_objects_alone(void)
{
    begin();
    CU_ASSERT(aes_key(session, true, "private") != 0);
    CU_ASSERT_EQUAL(kl_token_logout(demo), KL_OK);
    CU_ASSERT_EQUAL(kl_token_login(demo, CKU_SO, so_pin()), KL_OK);
    CU_ASSERT_EQUAL(find_label(session, "private"), 0);
    CU_ASSERT_EQUAL(find_label(session, "master"), 0);
    CU_ASSERT_EQUAL(find(session, NULL, 0, NULL), 0 + PROFILES);
    end();
}

static void a_record_key_finds_the_version_it_comes_from_even_when_that_was_forgotten(void)
{
    uint8_t iv[12] = { 1 };
    CK_GCM_PARAMS gcm = { iv, sizeof iv, 0, NULL, 0, 128 };
    CK_MECHANISM mechanism = { CKM_AES_GCM, &gcm, sizeof gcm };
    CK_OBJECT_HANDLE users, record;
    struct kl_object *object;

    begin();
    users = derive(session, find_label(session, "master"), "users", "users");
    CU_ASSERT(aes_key(session, false, NULL) != 0);
    record = derive(session, users, "4711", NULL);
    CU_ASSERT_FATAL(users != 0 && record != 0);
    object = kl_slot_get(users);
    CU_ASSERT_PTR_NOT_NULL_FATAL(object);
    pthread_mutex_lock(&demo->shelf->lock);
    kl_shelf_drop(demo->shelf, object);
    pthread_mutex_unlock(&demo->shelf->lock);
    asked();
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, &mechanism, record), KL_OK);
    CU_ASSERT(asked() > 0);
    CU_ASSERT_PTR_NOT_NULL(kl_shelf_find_row(demo->shelf, object->shot->id));
    kl_slot_put(object);
    end();
}

static void a_closed_session_takes_its_objects_along(void)
{
    struct kl_session *other;
    CK_OBJECT_HANDLE kept, lost;
    CK_ULONG size;

    begin();
    other = session_new(0);
    kept = aes_key(session, false, NULL);
    lost = aes_key(other, false, NULL);
    CU_ASSERT_EQUAL(kl_object_size(session, lost, &size), KL_OK);
    session_end(other);
    CU_ASSERT_EQUAL(kl_object_size(session, lost, &size), KL_OBJECT);
    CU_ASSERT_EQUAL(kl_object_size(session, kept, &size), KL_OK);
    end();
}

/* --- others in between --- */

static CK_OBJECT_HANDLE contested;

static void change_it(void)
{
    CK_ATTRIBUTE label[] = { A_TEXT(CKA_LABEL, "theirs") };

    CU_ASSERT_EQUAL(kl_object_write(session, contested, label, 1), KL_OK);
}

static void destroy_it(void)
{
    CU_ASSERT_EQUAL(kl_object_destroy(session, contested), KL_OK);
}

static void a_session_object_that_was_changed_meanwhile_keeps_both_changes(void)
{
    CK_ATTRIBUTE id[] = { A_TEXT(CKA_ID, "mine") }, both[] = { A_TEXT(CKA_ID, "mine"), A_TEXT(CKA_LABEL, "theirs") };

    begin();
    contested = aes_key(session, false, NULL);
    between = change_it;
    CU_ASSERT_EQUAL(kl_object_write(session, contested, id, 1), KL_OK);
    CU_ASSERT_EQUAL(find(session, both, 2, NULL), 1);
    end();
}

static void a_session_object_that_was_destroyed_meanwhile_is_gone(void)
{
    CK_ATTRIBUTE id[] = { A_TEXT(CKA_ID, "mine") };

    begin();
    contested = aes_key(session, false, NULL);
    between = destroy_it;
    CU_ASSERT_EQUAL(kl_object_write(session, contested, id, 1), KL_OBJECT);
    CU_ASSERT_EQUAL(find(session, id, 1, NULL), 0);
    end();
}

static void a_conflict_that_does_not_end_is_told(void)
{
    CK_ATTRIBUTE id[] = { A_TEXT(CKA_ID, "mine") };
    CK_OBJECT_HANDLE key;

    begin();
    key = aes_key(session, true, "key");
    write_rc = KL_CONFLICT;
    CU_ASSERT_EQUAL(kl_object_write(session, key, id, 1), KL_CONFLICT);
    CU_ASSERT_EQUAL(kl_object_destroy(session, key), KL_CONFLICT);
    get_rc = KL_STORE;
    CU_ASSERT_EQUAL(kl_object_write(session, key, id, 1), KL_STORE);
    CU_ASSERT_EQUAL(kl_object_destroy(session, key), KL_STORE);
    write_rc = get_rc = KL_OK;
    CU_ASSERT_EQUAL(kl_object_write(session, key, id, 1), KL_OK);
    CU_ASSERT_EQUAL(kl_object_destroy(session, key), KL_OK);
    end();
}

/* Under strict the first use binds a key to what it is used for, and that is written down before anything is encrypted. */
static void a_key_that_cannot_be_bound_is_not_used(void)
{
    uint8_t iv[12] = { 0 };
    CK_GCM_PARAMS gcm = { iv, sizeof iv, 0, NULL, 0, 128 };
    CK_MECHANISM mechanism = { CKM_AES_GCM, &gcm, sizeof gcm };
    CK_OBJECT_HANDLE key;

    begin();
    demo->policy = KL_POLICY_STRICT;
    key = aes_key(session, true, "key");
    write_rc = KL_CONFLICT;
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, &mechanism, key), KL_CONFLICT);
    /* The token has made an IV by then; another try asks for one again. */
    memset(iv, 0, sizeof iv);
    get_rc = KL_STORE;
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, &mechanism, key), KL_STORE);
    write_rc = get_rc = KL_OK;
    memset(iv, 0, sizeof iv);
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, &mechanism, key), KL_OK);
    end();
}

static void rows_that_find_no_slot_fail_the_search(void)
{
    CK_ATTRIBUTE label[] = { A_TEXT(CKA_LABEL, "elsewhere") };

    begin();
    somebody_commits();
    has_no_slot = true;
    CU_ASSERT_EQUAL(kl_find_init(session, label, 1), KL_MEMORY);
    has_no_slot = false;
    CU_ASSERT_EQUAL(find(session, label, 1, NULL), 1);
    end();
}

/* They are listed without what was tampered with, and nobody takes the listing for the whole. */
static void a_listing_with_holes_is_not_kept(void)
{
    begin();
    hurt = 1;
    CU_ASSERT_EQUAL(find(session, NULL, 0, NULL), 1 + PROFILES);
    CU_ASSERT_EQUAL(last_rc, KL_OK);
    asked();
    hurt = 0;
    find(session, NULL, 0, NULL);
    CU_ASSERT(asked() > 0);
    find(session, NULL, 0, NULL);
    CU_ASSERT_EQUAL(asked(), 0);
    end();
}

static CK_OBJECT_HANDLE met;

static void meet_it(void)
{
    met = find_label(session, "new");
    CU_ASSERT_NOT_EQUAL(met, 0);
}

static void a_new_key_that_a_search_has_met_already_is_one_object(void)
{
    CK_OBJECT_HANDLE key;

    begin();
    after_commit = meet_it;
    key = aes_key(session, true, "new");
    CU_ASSERT_EQUAL(key, met);
    CU_ASSERT_EQUAL(find_label(session, "new"), key);
    end();
}

UNIT_MAIN("token/shelf", UNIT(a_label_is_asked_for_once), UNIT(a_label_that_nothing_has_is_asked_for_once),
          UNIT(a_label_too_long_to_remember_is_found_absent_all_the_same), UNIT(our_own_commit_costs_nothing_that_was_known),
          UNIT(a_new_key_is_not_taken_for_the_only_one_of_its_label), UNIT(a_changed_label_is_found_and_the_old_one_is_not),
          UNIT(a_whole_listing_answers_every_later_question), UNIT(session_objects_are_found_without_asking),
          UNIT(a_foreign_commit_is_seen_by_the_next_search), UNIT(the_same_version_keeps_its_handle),
          UNIT(what_another_destroyed_is_gone_within_a_second), UNIT(what_another_destroyed_is_not_in_the_next_listing),
          UNIT(what_another_changed_is_read_as_it_is_now), UNIT(a_change_over_anothers_change_keeps_both),
          UNIT(destroying_what_another_destroyed_says_so), UNIT(nothing_is_kept_while_a_commit_is_under_way),
          UNIT(the_mark_is_looked_at_once_a_second), UNIT(a_failing_store_fails_the_search_and_is_asked_again),
          UNIT(handles_of_private_objects_end_with_the_login), UNIT(a_public_object_is_seen_before_login_and_proved_after_it),
          UNIT(the_security_officer_sees_public_objects_alone),
          UNIT(a_record_key_finds_the_version_it_comes_from_even_when_that_was_forgotten), UNIT(a_closed_session_takes_its_objects_along),
          UNIT(a_session_object_that_was_changed_meanwhile_keeps_both_changes), UNIT(a_session_object_that_was_destroyed_meanwhile_is_gone),
          UNIT(a_conflict_that_does_not_end_is_told), UNIT(a_key_that_cannot_be_bound_is_not_used),
          UNIT(rows_that_find_no_slot_fail_the_search), UNIT(a_listing_with_holes_is_not_kept),
          UNIT(a_new_key_that_a_search_has_met_already_is_one_object))
