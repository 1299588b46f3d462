/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* How often a version may encrypt: reservations in memory, their end, and what happens where there are none. */
#include "ladder/budget.h"

#include "../unit.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>

#include "base/clock.h"
#include "base/log.h"
#include "fixture.h"
#include "ladder/internal.h"
#include "store/disk.h"

static struct fixture at;
static struct kl_record users;

/* A disk that is full while `is_full`. */
static bool is_full;
static const struct kl_disk *whole;
static struct kl_disk failing;

static ssize_t write_or_fail(int fd, const void *bytes, size_t len, off_t offset)
{
    if (!is_full) return whole->write(fd, bytes, len, offset);
    errno = ENOSPC;
    return -1;
}

static void begin_key(const char *label, struct kl_record *out)
{
    struct kl_key *key = NULL;

    CU_ASSERT_EQUAL_FATAL(fixture_derive(&at, "master", label, out, &key), KL_OK);
    kl_key_put(key);
}

static void begin(void)
{
    is_full = false;
    if (!whole) {
        whole = kl_disk;
        failing = *whole;
        failing.write = write_or_fail;
        kl_disk = &failing;
    }
    CU_ASSERT_FATAL(fixture_begin_logged_in(&at));
    begin_key("users", &users);
}

static void end(void)
{
    kl_log_close();
    kl_record_clear(&users);
    fixture_end(&at);
}

/* The same token under `on_expiry = serve`. */
static void begin_serving(void)
{
    char command[512];

    begin();
    snprintf(command, sizeof command, "sed -i 's/^roots = local$/&\\non_expiry = serve/' %s", at.conf_path);
    CU_ASSERT_EQUAL_FATAL(system(command), 0);
    CU_ASSERT_FATAL(fixture_reopen(&at));
}

static void begin_log(void)
{
    char target[128];

    snprintf(target, sizeof target, "file:%s/log", at.folder);
    CU_ASSERT_EQUAL(kl_log_open(target, KL_LOG_NOTICE), KL_OK);
}

static unsigned lines_with(const char *words)
{
    char path[128], line[1200];
    unsigned count = 0;
    FILE *file;

    snprintf(path, sizeof path, "%s/log", at.folder);
    file = fopen(path, "r");
    if (!file) return 0;
    while (fgets(line, sizeof line, file)) count += strstr(line, words) != NULL;
    fclose(file);
    return count;
}

/* So many encryptions, and what became of them. */
static enum kl_rc spend(const struct kl_record *record, uint64_t count)
{
    while (count > 0) {
        uint32_t most = count > UINT32_MAX ? UINT32_MAX : (uint32_t)count, got = 0;

        KL_TRY(kl_budget_take(at.ladder, record->id, most, &got));
        if (got == 0 || got > most) return KL_ARG;
        count -= got;
    }
    return KL_OK;
}

static uint64_t counted(const struct kl_record *record)
{
    uint64_t used = UINT64_MAX;

    CU_ASSERT_EQUAL(kl_budget_used(at.ladder, record->id, &used), KL_OK);
    return used;
}

static void preset(const struct kl_record *record, uint64_t count)
{
    struct kl_store *store = NULL;
    uint64_t got = 0, used = 0;

    CU_ASSERT_EQUAL(kl_ladder_store(at.ladder, KL_STORE_EXISTING, &store), KL_OK);
    CU_ASSERT_EQUAL(kl_store_budget_take(store, record->id, count, INT64_MAX, &got, &used), KL_OK);
}

/* --- reservations --- */

static void reservations_begin_at_64_and_double_to_65536(void)
{
    uint64_t spent = 0, reserved = 0;

    begin();
    CU_ASSERT_EQUAL(counted(&users), 0);
    for (uint64_t size = KL_BUDGET_FIRST, step = 0; step < 13; step++) {
        /* The last of one reservation, and the first of the next. */
        CU_ASSERT_EQUAL(spend(&users, reserved - spent), KL_OK);
        CU_ASSERT_EQUAL(counted(&users), reserved);
        CU_ASSERT_EQUAL(spend(&users, 1), KL_OK);
        spent = reserved + 1;
        reserved += size;
        CU_ASSERT_EQUAL(counted(&users), reserved);
        if (size < KL_BUDGET_MOST) size *= 2;
    }
    CU_ASSERT_EQUAL(reserved, 64 * 1023 + 3 * 65536);
    end();
}

static void a_session_gets_a_part_of_what_there_is(void)
{
    uint32_t got = 0;

    begin();
    CU_ASSERT(kl_budget_take(at.ladder, users.id, 64, &got) == KL_OK && got == 16);
    CU_ASSERT(kl_budget_take(at.ladder, users.id, 64, &got) == KL_OK && got == 12);
    CU_ASSERT(kl_budget_take(at.ladder, users.id, 1, &got) == KL_OK && got == 1);
    CU_ASSERT_EQUAL(counted(&users), 64);
    CU_ASSERT_EQUAL(spend(&users, 5000), KL_OK);
    CU_ASSERT(kl_budget_take(at.ladder, users.id, 64, &got) == KL_OK && got == 64);
    CU_ASSERT_EQUAL(kl_budget_take(at.ladder, users.id, 0, &got), KL_ARG);
    end();
}

static void what_a_session_returns_is_there_for_the_next(void)
{
    uint32_t got = 0;

    begin();
    for (unsigned i = 0; i < 1000; i++) {
        CU_ASSERT(kl_budget_take(at.ladder, users.id, 64, &got) == KL_OK && got == 16);
        kl_budget_return(at.ladder, users.id, got);
    }
    CU_ASSERT_EQUAL(counted(&users), 64);
    end();
}

static void every_version_has_a_budget_of_its_own(void)
{
    struct kl_record orders = { 0 };

    begin();
    begin_key("orders", &orders);
    CU_ASSERT_EQUAL(spend(&users, 65), KL_OK);
    CU_ASSERT_EQUAL(spend(&orders, 1), KL_OK);
    CU_ASSERT_EQUAL(counted(&users), 192);
    CU_ASSERT_EQUAL(counted(&orders), 64);
    kl_record_clear(&orders);
    end();
}

/* --- giving back --- */

static void a_logout_gives_back_what_was_not_used(void)
{
    uint32_t got = 0;

    begin();
    CU_ASSERT_EQUAL(spend(&users, 70), KL_OK);
    CU_ASSERT_EQUAL(kl_budget_take(at.ladder, users.id, 20, &got), KL_OK);
    kl_budget_return(at.ladder, users.id, got);
    CU_ASSERT_EQUAL(counted(&users), 192);
    CU_ASSERT_EQUAL(kl_ladder_logout(at.ladder), KL_OK);
    CU_ASSERT_EQUAL(kl_ladder_login(at.ladder, KL_ROLE_USER, kl_view_text(FIXTURE_USER_PIN)), KL_OK);
    CU_ASSERT_EQUAL(counted(&users), 70);
    /* And begins small again. */
    CU_ASSERT_EQUAL(spend(&users, 1), KL_OK);
    CU_ASSERT_EQUAL(counted(&users), 134);
    end();
}

static void so_does_the_end_of_the_ladder(void)
{
    begin();
    CU_ASSERT_EQUAL(spend(&users, 7), KL_OK);
    CU_ASSERT_FATAL(fixture_reopen(&at));
    CU_ASSERT_EQUAL(counted(&users), 7);
    end();
}

static void one_version_can_be_settled_by_itself(void)
{
    struct kl_record orders = { 0 };

    begin();
    begin_key("orders", &orders);
    CU_ASSERT_EQUAL(spend(&users, 3), KL_OK);
    CU_ASSERT_EQUAL(spend(&orders, 4), KL_OK);
    kl_budget_settle(at.ladder, users.id);
    kl_budget_settle(at.ladder, users.id);
    CU_ASSERT_EQUAL(counted(&users), 3);
    CU_ASSERT_EQUAL(counted(&orders), 64);
    CU_ASSERT_EQUAL(spend(&orders, 60), KL_OK);
    CU_ASSERT_EQUAL(counted(&orders), 64);
    kl_budget_settle(at.ladder, NULL);
    CU_ASSERT_EQUAL(counted(&orders), 64);
    kl_record_clear(&orders);
    end();
}

static void what_comes_back_after_the_login_is_lost(void)
{
    uint32_t got = 0;

    begin();
    CU_ASSERT_EQUAL(kl_budget_take(at.ladder, users.id, 10, &got), KL_OK);
    CU_ASSERT_EQUAL(kl_ladder_logout(at.ladder), KL_OK);
    kl_budget_return(at.ladder, users.id, got);
    CU_ASSERT_EQUAL(kl_ladder_login(at.ladder, KL_ROLE_USER, kl_view_text(FIXTURE_USER_PIN)), KL_OK);
    CU_ASSERT_EQUAL(counted(&users), 10);
    end();
}

enum { MANY = 150 };

static void a_process_may_hold_many(void)
{
    static struct kl_record keys[MANY];
    char label[16];

    begin();
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(label, sizeof label, "table%u", i);
        begin_key(label, &keys[i]);
        CU_ASSERT_EQUAL(spend(&keys[i], 1 + i % 60), KL_OK);
    }
    /* Taking some out leaves the others where they are found. */
    for (unsigned i = 0; i < MANY; i += 3) kl_budget_settle(at.ladder, keys[i].id);
    for (unsigned i = 0; i < MANY; i++) {
        CU_ASSERT_EQUAL(counted(&keys[i]), i % 3 == 0 ? 1 + i % 60 : 64);
        if (i % 3 != 0) CU_ASSERT_EQUAL(spend(&keys[i], 64 - (1 + i % 60)), KL_OK);
    }
    for (unsigned i = 0; i < MANY; i++) {
        if (i % 3 != 0) CU_ASSERT_EQUAL(counted(&keys[i]), 64);
        kl_budget_return(at.ladder, keys[i].id, i % 3 == 0 ? 0 : 5);
    }
    CU_ASSERT_FATAL(fixture_reopen(&at));
    for (unsigned i = 0; i < MANY; i++) {
        CU_ASSERT_EQUAL(counted(&keys[i]), i % 3 == 0 ? 1 + i % 60 : 59);
        kl_record_clear(&keys[i]);
    }
    end();
}

/* --- due, and used up --- */

static void at_half_of_it_the_log_says_once_that_rotation_is_due(void)
{
    begin();
    begin_log();
    preset(&users, KL_BUDGET_DUE - 65);
    CU_ASSERT_EQUAL(spend(&users, 1), KL_OK);
    CU_ASSERT_EQUAL(lines_with("due for rotation"), 0);
    CU_ASSERT_EQUAL(spend(&users, 64 * 7), KL_OK);
    CU_ASSERT_EQUAL(lines_with("due for rotation"), 1);
    CU_ASSERT_EQUAL(lines_with("notice"), 1);
    end();
}

static void a_used_up_budget_is_refused_for_good(void)
{
    uint32_t got = 9;

    begin();
    preset(&users, KL_BUDGET_LIMIT - 70);
    CU_ASSERT_EQUAL(spend(&users, 70), KL_OK);
    CU_ASSERT_EQUAL(kl_budget_take(at.ladder, users.id, 1, &got), KL_BUDGET);
    CU_ASSERT_EQUAL(got, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(kl_fail_words(), "rotate the key"));
    CU_ASSERT_EQUAL(counted(&users), KL_BUDGET_LIMIT);
    CU_ASSERT_FATAL(fixture_reopen(&at));
    CU_ASSERT_EQUAL(kl_budget_take(at.ladder, users.id, 1, &got), KL_BUDGET);
    CU_ASSERT_EQUAL(counted(&users), KL_BUDGET_LIMIT);
    end();
}

static void what_was_not_used_of_the_last_of_it_can_still_be(void)
{
    uint32_t got = 0;

    begin();
    preset(&users, KL_BUDGET_LIMIT - 3);
    CU_ASSERT_EQUAL(spend(&users, 1), KL_OK);
    CU_ASSERT_FATAL(fixture_reopen(&at));
    CU_ASSERT_EQUAL(spend(&users, 2), KL_OK);
    CU_ASSERT_EQUAL(kl_budget_take(at.ladder, users.id, 1, &got), KL_BUDGET);
    end();
}

/* A clock that stands still until it is told to go on. */
static int64_t steady_now;

static int64_t steady(void)
{
    return steady_now;
}

static void who_is_refused_asks_the_store_again_a_second_later(void)
{
    const struct kl_clock *real = kl_clock;
    struct kl_clock stopped = *real;
    struct kl_unspent unspent = { .count = 2 };
    struct kl_store *store = NULL;
    uint32_t got = 0;

    begin();
    preset(&users, KL_BUDGET_LIMIT);
    CU_ASSERT_EQUAL(kl_ladder_store(at.ladder, KL_STORE_EXISTING, &store), KL_OK);
    steady_now = real->steady();
    stopped.steady = steady;
    kl_clock = &stopped;
    CU_ASSERT_EQUAL(kl_budget_take(at.ladder, users.id, 1, &got), KL_BUDGET);
    /* Another process gives back what it has not used. */
    memcpy(unspent.id, users.id, sizeof unspent.id);
    CU_ASSERT_EQUAL(kl_store_budget_return(store, &unspent, 1), KL_OK);
    CU_ASSERT_EQUAL(kl_budget_take(at.ladder, users.id, 1, &got), KL_BUDGET);
    CU_ASSERT_PTR_NOT_NULL(strstr(kl_fail_words(), "rotate the key"));
    steady_now += 1000000000;
    CU_ASSERT_EQUAL(spend(&users, 2), KL_OK);
    CU_ASSERT_EQUAL(kl_budget_take(at.ladder, users.id, 1, &got), KL_BUDGET);
    kl_clock = real;
    end();
}

static void under_serve_it_goes_on_is_counted_and_is_told(void)
{
    begin_serving();
    begin_log();
    preset(&users, KL_BUDGET_LIMIT - 64);
    CU_ASSERT_EQUAL(spend(&users, 64), KL_OK);
    CU_ASSERT_EQUAL(lines_with("more than 2^32"), 0);
    CU_ASSERT_EQUAL(spend(&users, 100), KL_OK);
    CU_ASSERT_EQUAL(lines_with("more than 2^32"), 1);
    CU_ASSERT_EQUAL(lines_with("error"), 1);
    CU_ASSERT_FATAL(fixture_reopen(&at));
    CU_ASSERT_EQUAL(counted(&users), KL_BUDGET_LIMIT + 100);
    end();
}

/* --- a store that cannot be written --- */

static void what_is_reserved_outlasts_a_full_disk(void)
{
    uint32_t got = 0;

    begin();
    CU_ASSERT_EQUAL(spend(&users, 10), KL_OK);
    is_full = true;
    CU_ASSERT_EQUAL(spend(&users, 54), KL_OK);
    CU_ASSERT_EQUAL(kl_budget_take(at.ladder, users.id, 1, &got), KL_STORE_FULL);
    CU_ASSERT_EQUAL(kl_budget_take(at.ladder, users.id, 1, &got), KL_STORE_FULL);
    is_full = false;
    CU_ASSERT_EQUAL(spend(&users, 1), KL_OK);
    CU_ASSERT_EQUAL(counted(&users), 192);
    end();
}

static void what_cannot_be_given_back_stays_counted(void)
{
    begin();
    CU_ASSERT_EQUAL(spend(&users, 10), KL_OK);
    is_full = true;
    CU_ASSERT_EQUAL(kl_ladder_logout(at.ladder), KL_OK);
    is_full = false;
    CU_ASSERT_EQUAL(kl_ladder_login(at.ladder, KL_ROLE_USER, kl_view_text(FIXTURE_USER_PIN)), KL_OK);
    CU_ASSERT_EQUAL(counted(&users), 64);
    end();
}

static void under_serve_a_full_disk_is_told_and_counted_later(void)
{
    begin_serving();
    begin_log();
    is_full = true;
    CU_ASSERT_EQUAL(spend(&users, 64 + 128 + 10), KL_OK);
    CU_ASSERT_EQUAL(lines_with("go on uncounted"), 3);
    is_full = false;
    CU_ASSERT_EQUAL(counted(&users), 0);
    /* The rest of the third, and what comes with the fourth. */
    CU_ASSERT_EQUAL(spend(&users, 246 + 1), KL_OK);
    CU_ASSERT_EQUAL(counted(&users), 64 + 128 + 256 + 512);
    CU_ASSERT_FATAL(fixture_reopen(&at));
    CU_ASSERT_EQUAL(counted(&users), 64 + 128 + 256 + 1);
    end();
}

static void a_debt_is_counted_at_the_end_at_the_latest(void)
{
    struct kl_record orders = { 0 };

    begin_serving();
    begin_key("orders", &orders);
    CU_ASSERT_EQUAL(spend(&orders, 1), KL_OK);
    begin_log();
    is_full = true;
    CU_ASSERT_EQUAL(spend(&users, 70), KL_OK);
    is_full = false;
    CU_ASSERT_FATAL(fixture_reopen(&at));
    CU_ASSERT_EQUAL(counted(&users), 70);
    CU_ASSERT_EQUAL(counted(&orders), 1);
    is_full = true;
    CU_ASSERT_EQUAL(spend(&users, 5), KL_OK);
    CU_ASSERT_EQUAL(kl_ladder_logout(at.ladder), KL_OK);
    is_full = false;
    CU_ASSERT_EQUAL(lines_with("5 encryptions were never counted"), 1);
    kl_record_clear(&orders);
    end();
}

/* As somebody from outside, with SQLite's own files and another process's locks. */
static int meddle(void)
{
    sqlite3 *db = NULL;

    UNIT_NEED(sqlite3_open_v2(at.store_path, &db, SQLITE_OPEN_READWRITE, "unix") == SQLITE_OK);
    UNIT_NEED(sqlite3_exec(db, "UPDATE key_budgets SET used = 0", NULL, NULL, NULL) == SQLITE_OK);
    return sqlite3_close(db) == SQLITE_OK ? 0 : 1;
}

static void a_count_that_was_tampered_with_is_served_by_nobody(void)
{
    uint32_t got = 0;

    begin_serving();
    CU_ASSERT_EQUAL(spend(&users, 64), KL_OK);
    CU_ASSERT_EQUAL(unit_in_child(meddle), 0);
    CU_ASSERT_EQUAL(kl_budget_take(at.ladder, users.id, 1, &got), KL_INTEGRITY);
    end();
}

/* --- who has none --- */

static void nobody_encrypts_without_the_user(void)
{
    uint64_t used = 0;
    uint32_t got = 0;

    begin();
    CU_ASSERT_EQUAL(kl_ladder_logout(at.ladder), KL_OK);
    CU_ASSERT_EQUAL(kl_budget_take(at.ladder, users.id, 1, &got), KL_NOT_LOGGED_IN);
    CU_ASSERT_EQUAL(kl_budget_used(at.ladder, users.id, &used), KL_NOT_LOGGED_IN);
    CU_ASSERT_EQUAL(kl_ladder_login(at.ladder, KL_ROLE_SO, kl_view_text(FIXTURE_SO_PIN)), KL_OK);
    CU_ASSERT_EQUAL(kl_budget_take(at.ladder, users.id, 1, &got), KL_NOT_LOGGED_IN);
    /* But sees how far it has come. */
    CU_ASSERT(kl_budget_used(at.ladder, users.id, &used) == KL_OK && used == 0);
    end();
}

static void a_key_that_is_gone_reserves_nothing(void)
{
    struct kl_record draft = { .class = KL_CLASS_SECRET_KEY,
                               .key_type = KL_TYPE_AES,
                               .level = KL_LEVEL_FREE,
                               .flags = KL_FLAG_PRIVATE | KL_FLAG_SENSITIVE | KL_FLAG_ENCRYPT,
                               .value_len = 32,
                               .label = kl_view_text("free") };
    KL_AUTO(kl_record) made = { 0 };
    KL_AUTO(kl_secret) value = { 0 };
    struct kl_commit commit;
    uint32_t got = 0;

    begin();
    CU_ASSERT_EQUAL(kl_secret_from(&value, kl_view_text("32 bytes of a key, for a test...")), KL_OK);
    CU_ASSERT_EQUAL_FATAL(kl_ladder_add(at.ladder, &draft, &value, &made, &commit), KL_OK);
    CU_ASSERT_EQUAL(spend(&made, 64), KL_OK);
    CU_ASSERT_EQUAL(kl_ladder_remove(at.ladder, &made, &commit), KL_OK);
    CU_ASSERT_EQUAL(kl_budget_take(at.ladder, made.id, 1, &got), KL_KEY_HANDLE);
    CU_ASSERT_EQUAL(spend(&users, 1), KL_OK);
    kl_budget_return(at.ladder, made.id, 3);
    CU_ASSERT_FATAL(fixture_reopen(&at));
    CU_ASSERT_EQUAL(counted(&made), 0);
    CU_ASSERT_EQUAL(counted(&users), 1);
    end();
}

/* --- threads and processes --- */

enum { THREADS = 6, ROUNDS = 2000 };

static void *work(void *user)
{
    uint64_t *spent = user;

    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t got = 0;

        if (kl_budget_take(at.ladder, users.id, 64, &got) != KL_OK || got == 0) return user;
        if (i % 3 == 0)
            kl_budget_return(at.ladder, users.id, got);
        else
            *spent += got;
    }
    return NULL;
}

static void what_threads_spend_adds_up(void)
{
    pthread_t threads[THREADS];
    uint64_t spent[THREADS] = { 0 }, sum = 0;
    void *failed = NULL;

    begin();
    for (unsigned i = 0; i < THREADS; i++) CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, work, &spent[i]), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        CU_ASSERT(pthread_join(threads[i], &failed) == 0 && failed == NULL);
        sum += spent[i];
    }
    /* One reserves for all: no more is out than one reservation. */
    CU_ASSERT(counted(&users) >= sum && counted(&users) - sum <= KL_BUDGET_MOST);
    CU_ASSERT_FATAL(fixture_reopen(&at));
    CU_ASSERT_EQUAL(counted(&users), sum);
    end();
}

static void *take_one(void *user)
{
    enum kl_rc *rc = user;
    uint32_t got = 0;

    *rc = kl_budget_take(at.ladder, users.id, 1, &got);
    return NULL;
}

static void threads_that_wait_for_a_full_store_are_all_told(void)
{
    pthread_t threads[THREADS];
    enum kl_rc results[THREADS];

    begin();
    is_full = true;
    for (unsigned i = 0; i < THREADS; i++) CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, take_one, &results[i]), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        CU_ASSERT_EQUAL(pthread_join(threads[i], NULL), 0);
        CU_ASSERT_EQUAL(results[i], KL_STORE_FULL);
    }
    is_full = false;
    CU_ASSERT_EQUAL(spend(&users, 1), KL_OK);
    end();
}

static enum kl_rc see(void *user, const uint8_t id[KL_ROW_ID_LEN], uint64_t used)
{
    uint64_t *sum = user;

    CU_ASSERT(memcmp(id, users.id, KL_ROW_ID_LEN) == 0);
    *sum += used;
    return KL_OK;
}

static void a_child_that_goes_on_reserves_its_own(void)
{
    uint64_t sum = 0;

    begin();
    CU_ASSERT_EQUAL(kl_budget_each(at.ladder, see, &sum), KL_OK);
    CU_ASSERT_EQUAL(sum, 0);
    CU_ASSERT_EQUAL(spend(&users, 1), KL_OK);
    CU_ASSERT_EQUAL(kl_budget_each(at.ladder, see, &sum), KL_OK);
    CU_ASSERT_EQUAL(sum, 64);
    /* As in the child, but for its locks: nothing is left of what the parent holds, and nothing is given back. */
    pthread_mutex_lock(&at.ladder->lock);
    kl_budget_forget_all(at.ladder);
    pthread_mutex_unlock(&at.ladder->lock);
    CU_ASSERT_EQUAL(spend(&users, 1), KL_OK);
    CU_ASSERT_EQUAL(counted(&users), 128);
    end();
}

UNIT_MAIN("ladder/budget", UNIT(reservations_begin_at_64_and_double_to_65536), UNIT(a_session_gets_a_part_of_what_there_is),
          UNIT(what_a_session_returns_is_there_for_the_next), UNIT(every_version_has_a_budget_of_its_own),
          UNIT(a_logout_gives_back_what_was_not_used), UNIT(so_does_the_end_of_the_ladder), UNIT(one_version_can_be_settled_by_itself),
          UNIT(what_comes_back_after_the_login_is_lost), UNIT(a_process_may_hold_many),
          UNIT(at_half_of_it_the_log_says_once_that_rotation_is_due), UNIT(a_used_up_budget_is_refused_for_good),
          UNIT(what_was_not_used_of_the_last_of_it_can_still_be), UNIT(who_is_refused_asks_the_store_again_a_second_later),
          UNIT(under_serve_it_goes_on_is_counted_and_is_told), UNIT(what_is_reserved_outlasts_a_full_disk),
          UNIT(what_cannot_be_given_back_stays_counted), UNIT(under_serve_a_full_disk_is_told_and_counted_later),
          UNIT(a_debt_is_counted_at_the_end_at_the_latest), UNIT(a_count_that_was_tampered_with_is_served_by_nobody),
          UNIT(nobody_encrypts_without_the_user), UNIT(a_key_that_is_gone_reserves_nothing), UNIT(what_threads_spend_adds_up),
          UNIT(threads_that_wait_for_a_full_store_are_all_told), UNIT(a_child_that_goes_on_reserves_its_own))
