/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "../unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "fixture.h"
#include "ladder/internal.h"

static struct fixture at;

#define BEGIN() CU_ASSERT_FATAL(fixture_begin_logged_in(&at))
#define END() fixture_end(&at)

static enum kl_rc login(enum kl_role role, const char *pin)
{
    return kl_ladder_login(at.ladder, role, kl_view_text(pin));
}

static void a_token_that_does_not_exist_yet_is_not_initialised(void)
{
    struct kl_token_facts facts;
    struct kl_record record = { 0 };

    CU_ASSERT_FATAL(fixture_begin(&at));
    CU_ASSERT(kl_ladder_facts(at.ladder, &facts) == KL_OK && !facts.is_initialised);
    CU_ASSERT(login(KL_ROLE_USER, FIXTURE_USER_PIN) == KL_TOKEN_UNSET);
    CU_ASSERT(access(at.store_path, F_OK) != 0);
    CU_ASSERT(kl_ladder_find(at.ladder, kl_view_text("master"), &record) == KL_NOT_LOGGED_IN);
    END();
}

static void a_new_token_has_a_label_a_serial_and_no_user_pin(void)
{
    struct kl_token_facts facts;

    CU_ASSERT_FATAL(fixture_begin(&at));
    CU_ASSERT(kl_ladder_create(at.ladder, kl_view_text("payroll   "), kl_view_text("so-pin-1")) == KL_OK);
    CU_ASSERT(kl_ladder_facts(at.ladder, &facts) == KL_OK);
    CU_ASSERT(facts.is_initialised && !facts.user_pin_is_set);
    CU_ASSERT_STRING_EQUAL(facts.label, "payroll");
    CU_ASSERT(strlen(facts.serial) == KL_SERIAL_LEN);
    CU_ASSERT(login(KL_ROLE_USER, "anything") == KL_PIN_UNSET);
    END();
}

static void a_bad_label_or_pin_makes_no_token(void)
{
    static const char *const labels[] = { "", "    ", "123456789012345678901234567890123", "bad \xff bytes" };
    struct kl_token_facts facts;

    CU_ASSERT_FATAL(fixture_begin(&at));
    for (size_t i = 0; i < 4; i++) CU_ASSERT(kl_ladder_create(at.ladder, kl_view_text(labels[i]), kl_view_text("so-pin-1")) == KL_ARG);
    CU_ASSERT(kl_ladder_create(at.ladder, kl_view_text("t"), kl_view_text("abc")) == KL_PIN_LENGTH);
    CU_ASSERT(kl_ladder_create(at.ladder, kl_view_text("t"), kl_view_text("")) == KL_PIN_LENGTH);
    CU_ASSERT(kl_ladder_facts(at.ladder, &facts) == KL_OK && !facts.is_initialised);
    END();
}

static void only_the_right_pin_of_the_right_role_opens(void)
{
    BEGIN();
    CU_ASSERT(login(KL_ROLE_USER, FIXTURE_USER_PIN) == KL_LOGGED_IN);
    CU_ASSERT(login(KL_ROLE_SO, FIXTURE_SO_PIN) == KL_OTHER_LOGGED_IN);
    CU_ASSERT(kl_ladder_logout(at.ladder) == KL_OK);
    CU_ASSERT(kl_ladder_logout(at.ladder) == KL_NOT_LOGGED_IN);
    CU_ASSERT(login(KL_ROLE_USER, FIXTURE_SO_PIN) == KL_PIN_WRONG);
    CU_ASSERT(login(KL_ROLE_USER, "") == KL_PIN_WRONG);
    CU_ASSERT(login(KL_ROLE_SO, FIXTURE_USER_PIN) == KL_PIN_WRONG);
    CU_ASSERT(login(KL_ROLE_NONE, FIXTURE_USER_PIN) == KL_USER_TYPE);
    CU_ASSERT(login(KL_ROLE_SO, FIXTURE_SO_PIN) == KL_OK);
    END();
}

static void ten_wrong_pins_lock_and_the_security_officer_unlocks(void)
{
    struct kl_token_facts facts;

    BEGIN();
    CU_ASSERT(kl_ladder_logout(at.ladder) == KL_OK);
    for (int i = 0; i < KL_PIN_TRIES; i++) CU_ASSERT(login(KL_ROLE_USER, "wrong") == KL_PIN_WRONG);
    CU_ASSERT(login(KL_ROLE_USER, "wrong") == KL_PIN_LOCKED);
    CU_ASSERT(login(KL_ROLE_USER, FIXTURE_USER_PIN) == KL_PIN_LOCKED);
    CU_ASSERT(kl_ladder_facts(at.ladder, &facts) == KL_OK && facts.user_tries == KL_PIN_TRIES);
    CU_ASSERT(login(KL_ROLE_SO, FIXTURE_SO_PIN) == KL_OK);
    CU_ASSERT(kl_ladder_pin_init(at.ladder, kl_view_text("a new one")) == KL_OK);
    CU_ASSERT(kl_ladder_logout(at.ladder) == KL_OK);
    CU_ASSERT(login(KL_ROLE_USER, FIXTURE_USER_PIN) == KL_PIN_WRONG);
    CU_ASSERT(login(KL_ROLE_USER, "a new one") == KL_OK);
    END();
}

static bool is_crypto_broken;
enum kl_rc __real_kl_crypto_open(void);
enum kl_rc __wrap_kl_crypto_open(void);
enum kl_rc __wrap_kl_crypto_open(void)
{
    return is_crypto_broken ? KL_CRYPTO : __real_kl_crypto_open();
}

static void a_broken_openssl_uses_no_attempt_up(void)
{
    struct kl_token_facts facts;

    BEGIN();
    CU_ASSERT(kl_ladder_logout(at.ladder) == KL_OK);
    CU_ASSERT(login(KL_ROLE_USER, "wrong") == KL_PIN_WRONG);
    is_crypto_broken = true;
    CU_ASSERT(login(KL_ROLE_USER, FIXTURE_USER_PIN) == KL_CRYPTO);
    CU_ASSERT(login(KL_ROLE_USER, "wrong") == KL_CRYPTO);
    is_crypto_broken = false;
    CU_ASSERT(kl_ladder_facts(at.ladder, &facts) == KL_OK && facts.user_tries == 1);
    CU_ASSERT(login(KL_ROLE_USER, FIXTURE_USER_PIN) == KL_OK);
    END();
}

static void a_right_pin_forgets_the_wrong_ones(void)
{
    struct kl_token_facts facts;

    BEGIN();
    CU_ASSERT(kl_ladder_logout(at.ladder) == KL_OK);
    for (int i = 0; i < KL_PIN_TRIES - 1; i++) CU_ASSERT(login(KL_ROLE_USER, "wrong") == KL_PIN_WRONG);
    CU_ASSERT(login(KL_ROLE_USER, FIXTURE_USER_PIN) == KL_OK);
    CU_ASSERT(kl_ladder_facts(at.ladder, &facts) == KL_OK && facts.user_tries == 0);
    END();
}

static void a_pin_is_changed_with_the_old_one_only(void)
{
    BEGIN();
    CU_ASSERT(kl_ladder_pin_change(at.ladder, KL_ROLE_USER, kl_view_text("wrong"), kl_view_text("new-pin")) == KL_PIN_WRONG);
    CU_ASSERT(kl_ladder_pin_change(at.ladder, KL_ROLE_USER, kl_view_text(FIXTURE_USER_PIN), kl_view_text("abc")) == KL_PIN_LENGTH);
    CU_ASSERT(kl_ladder_pin_change(at.ladder, KL_ROLE_USER, kl_view_text(FIXTURE_USER_PIN), kl_view_text("new-pin")) == KL_OK);
    CU_ASSERT(kl_ladder_logout(at.ladder) == KL_OK);
    CU_ASSERT(login(KL_ROLE_USER, FIXTURE_USER_PIN) == KL_PIN_WRONG);
    CU_ASSERT(login(KL_ROLE_USER, "new-pin") == KL_OK);
    CU_ASSERT(kl_ladder_pin_init(at.ladder, kl_view_text("whatever")) == KL_NOT_LOGGED_IN);
    END();
}

static void keys_grow_and_are_the_same_after_a_restart(void)
{
    struct kl_record dek = { 0 }, fek = { 0 }, again = { 0 };
    struct kl_key *key = NULL, *reopened = NULL;

    BEGIN();
    CU_ASSERT(fixture_derive(&at, "master", "users", &dek, NULL) == KL_OK);
    CU_ASSERT(fixture_derive(&at, "users", "users.email", &fek, &key) == KL_OK);
    CU_ASSERT(dek.level == KL_LEVEL_DEK && fek.level == KL_LEVEL_FEK && fek.version == 1 && fek.state == KL_STATE_ACTIVE);
    CU_ASSERT(memcmp(fek.parent, dek.id, KL_ROW_ID_LEN) == 0 && fek.key_id.len == 16);
    CU_ASSERT_FATAL(fixture_reopen(&at));
    CU_ASSERT(kl_ladder_find(at.ladder, kl_view_text("users/email"), &again) == KL_OK);
    CU_ASSERT(kl_ladder_open_key(at.ladder, &again, &reopened) == KL_OK);
    CU_ASSERT(kl_view_is(kl_key_commitment(key), kl_key_commitment(reopened)));
    kl_key_put(key);
    kl_key_put(reopened);
    kl_record_clear(&dek);
    kl_record_clear(&fek);
    kl_record_clear(&again);
    END();
}

static void a_ladder_label_is_taken_once_and_for_free_keys_too(void)
{
    struct kl_record record = { 0 }, draft = {
        .level = KL_LEVEL_FREE, .class = KL_CLASS_SECRET_KEY, .key_type = KL_TYPE_AES, .value_len = 32, .flags = KL_FLAG_PRIVATE
    };
    KL_AUTO(kl_secret) value = { 0 };
    struct kl_commit commit;

    BEGIN();
    CU_ASSERT_FATAL(kl_secret_new(&value, 32) == KL_OK);
    CU_ASSERT(fixture_derive(&at, "master", "users", &record, NULL) == KL_OK);
    kl_record_clear(&record);
    CU_ASSERT(fixture_derive(&at, "master", "users", &record, NULL) == KL_LABEL_TAKEN);
    CU_ASSERT(fixture_derive(&at, "users", "users", &record, NULL) == KL_LABEL_TAKEN);
    CU_ASSERT(fixture_derive(&at, "users", "master", &record, NULL) == KL_LABEL_TAKEN);
    draft.label = kl_view_text("users");
    CU_ASSERT(kl_ladder_add(at.ladder, &draft, &value, &record, &commit) == KL_LABEL_TAKEN);
    draft.label = kl_view_text("orders");
    CU_ASSERT(kl_ladder_add(at.ladder, &draft, &value, &record, &commit) == KL_OK);
    CU_ASSERT(fixture_derive(&at, "master", "orders", &draft, NULL) == KL_LABEL_TAKEN);
    kl_record_clear(&record);
    CU_ASSERT(kl_ladder_add(at.ladder,
                            &(struct kl_record){ .level = KL_LEVEL_FREE,
                                                 .class = KL_CLASS_SECRET_KEY,
                                                 .key_type = KL_TYPE_AES,
                                                 .value_len = 32,
                                                 .flags = KL_FLAG_PRIVATE,
                                                 .label = kl_view_text("orders") },
                            &value, &record, &commit) == KL_OK);
    kl_record_clear(&record);
    END();
}

static void a_bad_ladder_label_is_refused(void)
{
    static const char *const labels[] = { "users#1", "#", "\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\x80" };
    char longest[257];
    struct kl_record record = { 0 };

    BEGIN();
    for (size_t i = 0; i < 7; i++) CU_ASSERT(fixture_derive(&at, "master", labels[i], &record, NULL) == KL_ATTR_VALUE);
    memset(longest, 'x', 256);
    longest[256] = '\0';
    CU_ASSERT(fixture_derive(&at, "master", longest, &record, NULL) == KL_ATTR_VALUE);
    longest[255] = '\0';
    CU_ASSERT(fixture_derive(&at, "master", longest, &record, NULL) == KL_OK);
    kl_record_clear(&record);
    CU_ASSERT(fixture_derive(&at, "master", "Kunden/Größe: ∑", &record, NULL) == KL_OK);
    kl_record_clear(&record);
    END();
}

static void nothing_stored_grows_below_a_field_key(void)
{
    struct kl_record record = { 0 };

    BEGIN();
    CU_ASSERT(fixture_derive(&at, "master", "users", &record, NULL) == KL_OK);
    kl_record_clear(&record);
    CU_ASSERT(fixture_derive(&at, "users", "users.email", &record, NULL) == KL_OK);
    kl_record_clear(&record);
    CU_ASSERT(fixture_derive(&at, "users.email", "users.email.domain", &record, NULL) == KL_TEMPLATE);
    END();
}

static void ladder_keys_are_not_removed_and_free_keys_are(void)
{
    struct kl_record dek = { 0 }, record = { 0 },
                     draft = { .level = KL_LEVEL_FREE,
                               .class = KL_CLASS_SECRET_KEY,
                               .key_type = KL_TYPE_AES,
                               .value_len = 32,
                               .flags = KL_FLAG_PRIVATE | KL_FLAG_GENERATED,
                               .label = kl_view_text("k") };
    KL_AUTO(kl_secret) value = { 0 };
    struct kl_commit commit;

    BEGIN();
    CU_ASSERT_FATAL(kl_secret_new(&value, 32) == KL_OK);
    CU_ASSERT(fixture_derive(&at, "master", "users", &dek, NULL) == KL_OK);
    CU_ASSERT(kl_ladder_remove(at.ladder, &dek, &commit) == KL_PROHIBITED);
    CU_ASSERT(kl_ladder_add(at.ladder, &draft, &value, &record, &commit) == KL_OK);
    CU_ASSERT(kl_ladder_remove(at.ladder, &record, &commit) == KL_OK);
    CU_ASSERT(kl_ladder_remove(at.ladder, &record, &commit) == KL_CONFLICT);
    kl_record_clear(&record);
    kl_record_clear(&dek);
    END();
}

static void a_change_is_sealed_anew_and_an_old_copy_of_the_record_is_refused(void)
{
    struct kl_record first = { 0 }, second = { 0 }, third = { 0 },
                     draft = { .level = KL_LEVEL_FREE,
                               .class = KL_CLASS_SECRET_KEY,
                               .key_type = KL_TYPE_AES,
                               .value_len = 32,
                               .flags = KL_FLAG_PRIVATE | KL_FLAG_GENERATED,
                               .label = kl_view_text("k") };
    struct kl_record changed;
    KL_AUTO(kl_secret) value = { 0 };
    struct kl_key *key = NULL;
    struct kl_commit commit;

    BEGIN();
    CU_ASSERT_FATAL(kl_secret_new(&value, 32) == KL_OK);
    CU_ASSERT(kl_ladder_add(at.ladder, &draft, &value, &first, &commit) == KL_OK);
    changed = first;
    changed.label = kl_view_text("another name");
    CU_ASSERT(kl_ladder_change(at.ladder, &changed, &second, &commit) == KL_OK);
    CU_ASSERT(second.generation == 2);
    CU_ASSERT(kl_ladder_change(at.ladder, &changed, &third, &commit) == KL_CONFLICT);
    CU_ASSERT_FATAL(fixture_reopen(&at));
    CU_ASSERT(kl_ladder_get(at.ladder, second.id, second.label, &third) == KL_OK);
    CU_ASSERT(kl_ladder_open_key(at.ladder, &third, &key) == KL_OK);
    CU_ASSERT(kl_key_bytes(key).len == 32 && memcmp(kl_key_bytes(key).data, value.data, 32) == 0);
    kl_key_put(key);
    kl_record_clear(&first);
    kl_record_clear(&second);
    kl_record_clear(&third);
    END();
}

static void the_security_officer_opens_no_key(void)
{
    struct kl_record dek = { 0 };
    struct kl_key *key = NULL;

    BEGIN();
    CU_ASSERT(fixture_derive(&at, "master", "users", &dek, NULL) == KL_OK);
    CU_ASSERT(kl_ladder_logout(at.ladder) == KL_OK);
    CU_ASSERT(kl_ladder_open_key(at.ladder, &dek, &key) == KL_NOT_LOGGED_IN);
    CU_ASSERT(login(KL_ROLE_SO, FIXTURE_SO_PIN) == KL_OK);
    CU_ASSERT(kl_ladder_open_key(at.ladder, &dek, &key) == KL_NOT_LOGGED_IN);
    kl_record_clear(&dek);
    END();
}

static void private_data_comes_back_and_is_nowhere_in_the_file(void)
{
    static const char marker[] = "the-secret-marker-4711-of-this-test";
    struct kl_record record = { 0 },
                     draft = { .level = KL_LEVEL_DATA, .class = KL_CLASS_DATA, .flags = KL_FLAG_PRIVATE, .label = kl_view_text("d") };
    KL_AUTO(kl_secret) value = { 0 };
    KL_AUTO(kl_secret) back = { 0 };
    struct kl_commit commit;
    char command[256];

    BEGIN();
    CU_ASSERT_FATAL(kl_secret_from(&value, kl_view_text(marker)) == KL_OK);
    CU_ASSERT(kl_ladder_add(at.ladder, &draft, &value, &record, &commit) == KL_OK);
    CU_ASSERT(kl_ladder_open_data(at.ladder, &record, &back) == KL_OK);
    CU_ASSERT(kl_secret_equal(&value, &back));
    snprintf(command, sizeof(command), "grep -q -a '%s' %s*", marker, at.store_path);
    CU_ASSERT(system(command) != 0);
    kl_record_clear(&record);
    END();
}

static void a_wrong_passphrase_opens_no_key_and_says_so(void)
{
    struct kl_record dek = { 0 };
    struct kl_key *key = NULL;
    int fd;

    BEGIN();
    CU_ASSERT(fixture_derive(&at, "master", "users", &dek, NULL) == KL_OK);
    fd = open(at.passphrase_path, O_WRONLY | O_TRUNC);
    CU_ASSERT_FATAL(fd >= 0 && write(fd, "another passphrase", 18) == 18);
    close(fd);
    CU_ASSERT_FATAL(fixture_reopen(&at));
    CU_ASSERT(kl_ladder_open_key(at.ladder, &dek, &key) == KL_ROOT_DENIED);
    CU_ASSERT(strstr(kl_fail_words(), "passphrase") != NULL);
    kl_record_clear(&dek);
    END();
}

static int64_t skipped;

static int64_t later(void)
{
    return kl_clock_system.steady() + skipped;
}

static void the_root_is_asked_again_when_its_time_is_over(void)
{
    struct kl_clock clock = kl_clock_system;
    struct kl_record master = { 0 };
    struct kl_key *key = NULL;

    BEGIN();
    clock.steady = later;
    kl_clock = &clock;
    skipped = 0;
    CU_ASSERT(kl_ladder_find(at.ladder, kl_view_text("master"), &master) == KL_OK);
    CU_ASSERT(kl_ladder_open_key(at.ladder, &master, &key) == KL_OK);
    kl_key_put(key);
    CU_ASSERT(unlink(at.passphrase_path) == 0);
    CU_ASSERT(kl_ladder_open_key(at.ladder, &master, &key) == KL_OK);
    kl_key_put(key);
    skipped = INT64_C(3601) * 1000000000;
    CU_ASSERT(kl_ladder_open_key(at.ladder, &master, &key) != KL_OK);
    kl_clock = &kl_clock_system;
    kl_record_clear(&master);
    END();
}

static void a_token_of_another_environment_is_refused(void)
{
    char command[512];

    BEGIN();
    snprintf(command, sizeof(command), "sed -i 's/^roots = local/roots = local\\nenvironment = staging/' %s", at.conf_path);
    CU_ASSERT_FATAL(system(command) == 0);
    CU_ASSERT(!fixture_reopen(&at));
    CU_ASSERT(login(KL_ROLE_USER, FIXTURE_USER_PIN) == KL_CONFIG);
    CU_ASSERT(strstr(kl_fail_words(), "environment") != NULL);
    END();
}

static void envelopes_are_to_be_sealed_with_what_is_set(void)
{
    char command[512];

    BEGIN();
    CU_ASSERT(kl_ladder_envelope(at.ladder).algorithm == KL_ENVELOPE_AES_256_GCM);
    snprintf(command, sizeof(command), "sed -i 's/^roots = local/roots = local\\nenvelope = xaes-256-gcm/' %s", at.conf_path);
    CU_ASSERT_FATAL(system(command) == 0);
    CU_ASSERT(fixture_reopen(&at));
    CU_ASSERT(kl_ladder_envelope(at.ladder).algorithm == KL_ENVELOPE_XAES_256_GCM);
    END();
}

static void a_token_made_anew_is_set_aside_first_and_wants_the_right_pin(void)
{
    struct kl_record record = { 0 };
    char command[256];

    BEGIN();
    CU_ASSERT(fixture_derive(&at, "master", "users", &record, NULL) == KL_OK);
    CU_ASSERT(kl_ladder_create(at.ladder, kl_view_text("again"), kl_view_text(FIXTURE_SO_PIN)) == KL_SESSION_EXISTS);
    CU_ASSERT(kl_ladder_logout(at.ladder) == KL_OK);
    CU_ASSERT(kl_ladder_create(at.ladder, kl_view_text("again"), kl_view_text("wrong")) == KL_PIN_WRONG);
    CU_ASSERT(login(KL_ROLE_USER, FIXTURE_USER_PIN) == KL_OK);
    CU_ASSERT(kl_ladder_logout(at.ladder) == KL_OK);
    CU_ASSERT(kl_ladder_create(at.ladder, kl_view_text("again"), kl_view_text(FIXTURE_SO_PIN)) == KL_OK);
    CU_ASSERT(login(KL_ROLE_USER, FIXTURE_USER_PIN) == KL_PIN_UNSET);
    snprintf(command, sizeof(command), "ls %s.set-aside-* > /dev/null", at.store_path);
    CU_ASSERT(system(command) == 0);
    kl_record_clear(&record);
    END();
}

static void count_words(void *user, const char *words)
{
    (*(int *)user)++;
    fprintf(stderr, "  said: %s\n", words);
}

static void a_whole_token_verifies_and_a_changed_one_does_not(void)
{
    struct kl_store_report report = { 0 };
    struct kl_record record = { 0 };
    char command[512];
    int said = 0;

    BEGIN();
    CU_ASSERT(fixture_derive(&at, "master", "users", &record, NULL) == KL_OK);
    CU_ASSERT(kl_ladder_verify(at.ladder, count_words, &said, &report) == KL_OK);
    CU_ASSERT(report.hurt == 0 && report.rows == 2 && said == 0);
    snprintf(command, sizeof(command), "sqlite3 %s \"update encryption_keys set created_at = created_at + 1 where key_type = 'dek'\"",
             at.store_path);
    CU_ASSERT_FATAL(system(command) == 0);
    CU_ASSERT(kl_ladder_verify(at.ladder, count_words, &said, &report) == KL_OK);
    CU_ASSERT(report.hurt > 0 && said > 0);
    kl_record_clear(&record);
    END();
}

static void a_token_whose_first_record_was_removed_is_not_taken_for_a_new_one(void)
{
    struct kl_token_facts facts;
    char command[256];

    BEGIN();
    CU_ASSERT(kl_ladder_logout(at.ladder) == KL_OK);
    snprintf(command, sizeof(command), "sqlite3 %s \"delete from token_records where name = 'token'\"", at.store_path);
    CU_ASSERT_FATAL(system(command) == 0);
    CU_ASSERT(kl_ladder_facts(at.ladder, &facts) == KL_INTEGRITY);
    CU_ASSERT(login(KL_ROLE_USER, FIXTURE_USER_PIN) == KL_INTEGRITY);
    CU_ASSERT(kl_ladder_create(at.ladder, kl_view_text("mine now"), kl_view_text("so-pin-1")) == KL_INTEGRITY);
    END();
}

UNIT_MAIN("ladder/ladder", UNIT(a_token_whose_first_record_was_removed_is_not_taken_for_a_new_one),
          UNIT(a_token_that_does_not_exist_yet_is_not_initialised), UNIT(a_new_token_has_a_label_a_serial_and_no_user_pin),
          UNIT(a_bad_label_or_pin_makes_no_token), UNIT(only_the_right_pin_of_the_right_role_opens),
          UNIT(ten_wrong_pins_lock_and_the_security_officer_unlocks), UNIT(a_right_pin_forgets_the_wrong_ones),
          UNIT(a_broken_openssl_uses_no_attempt_up), UNIT(a_pin_is_changed_with_the_old_one_only),
          UNIT(keys_grow_and_are_the_same_after_a_restart), UNIT(a_ladder_label_is_taken_once_and_for_free_keys_too),
          UNIT(a_bad_ladder_label_is_refused), UNIT(nothing_stored_grows_below_a_field_key),
          UNIT(ladder_keys_are_not_removed_and_free_keys_are), UNIT(a_change_is_sealed_anew_and_an_old_copy_of_the_record_is_refused),
          UNIT(the_security_officer_opens_no_key), UNIT(private_data_comes_back_and_is_nowhere_in_the_file),
          UNIT(a_wrong_passphrase_opens_no_key_and_says_so), UNIT(the_root_is_asked_again_when_its_time_is_over),
          UNIT(a_token_of_another_environment_is_refused), UNIT(envelopes_are_to_be_sealed_with_what_is_set),
          UNIT(a_token_made_anew_is_set_aside_first_and_wants_the_right_pin), UNIT(a_whole_token_verifies_and_a_changed_one_does_not))
