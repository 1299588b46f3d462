/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Files that are not what they should be, or lie where they should not. */
#include "store/sqlite.h"

#include "../unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "fixture.h"
#include "store/file.h"

static void begin(struct fixture *f)
{
    fixture_begin(f);
    CU_ASSERT_EQUAL_FATAL(fixture_add_many(f->store, 0, 20), KL_OK);
    fixture_close(f);
}

static bool words_have(const char *text)
{
    if (strstr(kl_fail_words(), text) != NULL) return true;
    fprintf(stderr, "said: %s\n", kl_fail_words());
    return false;
}

/* --- permissions --- */

static void files_are_made_for_their_owner_alone_whatever_the_umask(void)
{
    static const mode_t masks[] = { 0, 0022, 0077, 0177, 0777 };

    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
        static const char *const suffixes[] = { "", "-wal", "-shm", "-epoch" };
        struct fixture f;
        mode_t old;

        fixture_begin_closed(&f);
        old = umask(masks[i]);
        CU_ASSERT_EQUAL_FATAL(kl_store_open(f.uri, KL_STORE_CREATE, FIXTURE_TIMEOUT, &f.store), KL_OK);
        CU_ASSERT_EQUAL(kl_store_unlock(f.store, &f.key, kl_view_text(FIXTURE_SERIAL)), KL_OK);
        CU_ASSERT_EQUAL(fixture_add_many(f.store, 0, 5), KL_OK);
        umask(old);
        for (size_t at = 0; at < 4; at++) {
            struct stat status;

            CU_ASSERT_EQUAL(stat(fixture_path(&f, suffixes[at]), &status), 0);
            CU_ASSERT_EQUAL(status.st_mode & 07777, 0600);
        }
        fixture_end(&f);
    }
}

static void a_file_that_group_or_others_may_use_is_refused(void)
{
    static const mode_t modes[] = { 0604, 0602, 0601, 0640, 0620, 0610, 0666, 0777 };
    static const char *const suffixes[] = { "", "-epoch", "-wal" };

    for (size_t at = 0; at < 3; at++) {
        for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
            struct fixture f;

            begin(&f);
            if (at == 2) fixture_write_file(fixture_path(&f, "-wal"), "", 0);
            CU_ASSERT_EQUAL(chmod(fixture_path(&f, suffixes[at]), modes[i]), 0);
            CU_ASSERT_EQUAL(fixture_open(&f), KL_PERMISSION);
            CU_ASSERT(words_have("chmod 600"));
            CU_ASSERT(words_have(fixture_path(&f, suffixes[at])));
            CU_ASSERT_EQUAL(chmod(fixture_path(&f, suffixes[at]), 0600), 0);
            CU_ASSERT_EQUAL(fixture_open(&f), KL_OK);
            fixture_end(&f);
        }
    }
}

static void a_directory_that_others_may_write_is_refused_unless_sticky(void)
{
    static const struct {
        mode_t mode;
        enum kl_rc rc;
    } cases[] = { { 0777, KL_PERMISSION }, { 0770, KL_PERMISSION }, { 0702, KL_PERMISSION },
                  { 01777, KL_OK },        { 0755, KL_OK },         { 0700, KL_OK } };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;

        begin(&f);
        CU_ASSERT_EQUAL(chmod(f.directory, cases[i].mode), 0);
        CU_ASSERT_EQUAL(fixture_open(&f), cases[i].rc);
        fixture_end(&f);
    }
}

static void a_symbolic_link_is_refused_in_the_place_of_any_file(void)
{
    static const char *const suffixes[] = { "", "-wal", "-shm", "-epoch" };

    for (size_t at = 0; at < 4; at++) {
        struct fixture f;
        char path[128];

        begin(&f);
        snprintf(path, sizeof path, "%s", fixture_path(&f, suffixes[at]));
        if (access(path, F_OK) == 0) {
            CU_ASSERT_EQUAL(rename(path, fixture_path(&f, "-target")), 0);
        } else {
            fixture_write_file(fixture_path(&f, "-target"), "", 0);
        }
        CU_ASSERT_EQUAL(symlink(fixture_path(&f, "-target"), path), 0);
        if (fixture_open(&f) != KL_PERMISSION) CU_FAIL(suffixes[at]);
        CU_ASSERT(words_have("symbolic link"));
        fixture_end(&f);
    }
}

static void a_hard_link_is_refused(void)
{
    struct fixture f;

    begin(&f);
    CU_ASSERT_EQUAL(link(f.path, fixture_path(&f, "-second")), 0);
    CU_ASSERT_EQUAL(fixture_open(&f), KL_PERMISSION);
    CU_ASSERT(words_have("hard links"));
    CU_ASSERT_EQUAL(unlink(fixture_path(&f, "-second")), 0);
    CU_ASSERT_EQUAL(fixture_open(&f), KL_OK);
    fixture_end(&f);
}

static void what_is_no_regular_file_is_refused(void)
{
    struct fixture f;
    struct kl_store *store = NULL;

    fixture_begin_closed(&f);
    CU_ASSERT_EQUAL(mkfifo(f.path, 0600), 0);
    CU_ASSERT_EQUAL(kl_store_open(f.uri, KL_STORE_CREATE, FIXTURE_TIMEOUT, &store), KL_PERMISSION);
    CU_ASSERT_EQUAL(unlink(f.path), 0);
    CU_ASSERT_EQUAL(mkdir(f.path, 0700), 0);
    CU_ASSERT_NOT_EQUAL(kl_store_open(f.uri, KL_STORE_CREATE, FIXTURE_TIMEOUT, &store), KL_OK);
    CU_ASSERT_EQUAL(rmdir(f.path), 0);
    fixture_end(&f);
}

static void a_file_or_directory_of_another_user_is_refused(void)
{
    struct fixture f;

    if (geteuid() != 0) return;
    begin(&f);
    CU_ASSERT_EQUAL(chown(f.path, 12345, 0), 0);
    CU_ASSERT_EQUAL(fixture_open(&f), KL_PERMISSION);
    CU_ASSERT(words_have("12345"));
    CU_ASSERT_EQUAL(chown(f.path, 0, 0), 0);
    CU_ASSERT_EQUAL(chown(f.directory, 12345, 0), 0);
    CU_ASSERT_EQUAL(fixture_open(&f), KL_PERMISSION);
    CU_ASSERT_EQUAL(chown(f.directory, 0, 0), 0);
    CU_ASSERT_EQUAL(fixture_open(&f), KL_OK);
    fixture_end(&f);
}

/* --- contents --- */

static void what_is_no_database_is_refused_and_left_alone(void)
{
    struct fixture f;
    struct kl_store *store = NULL;
    char text[5000];
    struct stat status;

    fixture_begin_closed(&f);
    memset(text, 'x', sizeof text);
    fixture_write_file(f.path, text, sizeof text);
    for (int mode = 0; mode < 2; mode++) {
        CU_ASSERT_EQUAL(kl_store_open(f.uri, mode == 0 ? KL_STORE_EXISTING : KL_STORE_CREATE, 0, &store), KL_INTEGRITY);
        CU_ASSERT(words_have("not an SQLite database"));
    }
    CU_ASSERT(stat(f.path, &status) == 0 && status.st_size == sizeof text);
    fixture_write_file(f.path, "SQLite format 3", 16);
    CU_ASSERT_EQUAL(kl_store_open(f.uri, KL_STORE_CREATE, 0, &store), KL_INTEGRITY);
    fixture_end(&f);
}

static void a_database_of_something_else_is_refused(void)
{
    struct fixture f;
    struct kl_store *store = NULL;

    fixture_begin_closed(&f);
    fixture_write_file(f.path, "", 0);
    CU_ASSERT(fixture_meddle(&f, "PRAGMA application_id = 77; CREATE TABLE t(x)"));
    CU_ASSERT_EQUAL(kl_store_open(f.uri, KL_STORE_CREATE, FIXTURE_TIMEOUT, &store), KL_INTEGRITY);
    CU_ASSERT(words_have("something else"));
    CU_ASSERT_EQUAL(unlink(f.path), 0);
    fixture_write_file(f.path, "", 0);
    CU_ASSERT(fixture_meddle(&f, "CREATE TABLE t(x)"));
    CU_ASSERT_EQUAL(kl_store_open(f.uri, KL_STORE_CREATE, FIXTURE_TIMEOUT, &store), KL_INTEGRITY);
    fixture_end(&f);
}

static void an_empty_file_is_no_store_but_may_become_one(void)
{
    struct fixture f;

    fixture_begin_closed(&f);
    fixture_write_file(f.path, "", 0);
    CU_ASSERT_EQUAL(kl_store_open(f.uri, KL_STORE_EXISTING, FIXTURE_TIMEOUT, &f.store), KL_NOT_FOUND);
    fixture_write_file(fixture_path(&f, "-wal"), "rest of a log", 13);
    CU_ASSERT_EQUAL(kl_store_open(f.uri, KL_STORE_CREATE, FIXTURE_TIMEOUT, &f.store), KL_INTEGRITY);
    CU_ASSERT(words_have("cut off"));
    CU_ASSERT_EQUAL(unlink(fixture_path(&f, "-wal")), 0);
    CU_ASSERT_EQUAL(kl_store_open(f.uri, KL_STORE_CREATE, FIXTURE_TIMEOUT, &f.store), KL_OK);
    fixture_end(&f);
}

static void a_newer_store_is_refused_and_not_touched(void)
{
    struct fixture f;
    struct stat before;
    struct stat after;

    begin(&f);
    CU_ASSERT(fixture_meddle(&f, "PRAGMA user_version = 3; CREATE TABLE novelty(x)"));
    CU_ASSERT_EQUAL(stat(f.path, &before), 0);
    CU_ASSERT_EQUAL(fixture_open(&f), KL_STORE_OTHER);
    CU_ASSERT(words_have("format 3"));
    CU_ASSERT_EQUAL(kl_store_open(f.uri, KL_STORE_CREATE, FIXTURE_TIMEOUT, &f.store), KL_STORE_OTHER);
    CU_ASSERT_EQUAL(stat(f.path, &after), 0);
    CU_ASSERT(before.st_mtim.tv_sec == after.st_mtim.tv_sec && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
    CU_ASSERT_NOT_EQUAL(access(fixture_path(&f, "-wal"), F_OK), 0);
    CU_ASSERT(fixture_meddle(&f, "PRAGMA user_version = 1"));
    CU_ASSERT_EQUAL(fixture_open(&f), KL_STORE_OTHER);
    CU_ASSERT(words_have("format 1"));
    CU_ASSERT(fixture_meddle(&f, "PRAGMA user_version = -1"));
    CU_ASSERT_EQUAL(fixture_open(&f), KL_INTEGRITY);
    CU_ASSERT(fixture_meddle(&f, "PRAGMA user_version = 0"));
    CU_ASSERT_EQUAL(fixture_open(&f), KL_INTEGRITY);
    fixture_end(&f);
}

static const char *const hostile[] = {
    "CREATE TRIGGER t AFTER INSERT ON encryption_keys BEGIN DELETE FROM store_root; END",
    "CREATE TEMP TRIGGER x AFTER INSERT ON main.store_root BEGIN SELECT 1; END; CREATE TABLE extra(x)",
    "CREATE VIEW v AS SELECT * FROM encryption_keys",
    "ALTER TABLE encryption_keys RENAME TO k; CREATE VIEW encryption_keys AS SELECT * FROM k",
    "ALTER TABLE encryption_keys ADD COLUMN more TEXT",
    "ALTER TABLE token_records ADD COLUMN g TEXT AS (hex(value)) VIRTUAL",
    "CREATE INDEX more ON encryption_keys(state)",
    "DROP INDEX keys_by_label",
    "DROP INDEX keys_by_id; CREATE INDEX keys_by_id ON encryption_keys(id_bucket)",
    "DROP TABLE pin_tries",
    "DROP TABLE token_records; CREATE TABLE token_records(name TEXT PRIMARY KEY, value BLOB)",
    "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'STRICT', '') WHERE name = 'store_root'",
    "PRAGMA writable_schema = ON; INSERT INTO sqlite_schema VALUES('table','store_root2','store_root2',2,'CREATE TABLE store_root2(x)')",
};

static void a_schema_with_anything_else_in_it_is_refused(void)
{
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        struct fixture f;

        begin(&f);
        CU_ASSERT(fixture_meddle(&f, hostile[i]));
        if (fixture_open(&f) != KL_INTEGRITY) CU_FAIL(hostile[i]);
        fixture_end(&f);
    }
}

static void a_schema_changed_while_the_store_is_open_is_noticed(void)
{
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        struct fixture f;
        struct kl_row row = fixture_row(100);
        size_t count;

        begin(&f);
        CU_ASSERT_EQUAL_FATAL(fixture_open(&f), KL_OK);
        CU_ASSERT_EQUAL(fixture_find(f.store, "label-1", &count), KL_OK);
        CU_ASSERT(fixture_meddle(&f, hostile[i]));
        /* What goes behind SQLite's back, without a new schema version, is not in force here either. */
        if (strncmp(hostile[i], "PRAGMA", 6) != 0) {
            if (fixture_add(f.store, &row) != KL_INTEGRITY) CU_FAIL(hostile[i]);
            if (fixture_find(f.store, "label-1", &count) != KL_INTEGRITY) CU_FAIL(hostile[i]);
        }
        fixture_end(&f);
    }
}

static void other_page_sizes_and_encodings_are_refused(void)
{
    static const char *const made[] = { "PRAGMA page_size = 65536", "PRAGMA page_size = 512", "PRAGMA encoding = 'UTF-16le'" };

    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        struct fixture f;
        struct kl_store *store = NULL;
        char sql[512];

        fixture_begin_closed(&f);
        fixture_write_file(f.path, "", 0);
        snprintf(sql, sizeof sql, "%s; CREATE TABLE t(x); PRAGMA application_id = %d; PRAGMA user_version = 2", made[i],
                 KL_SQLITE_APPLICATION);
        CU_ASSERT(fixture_meddle(&f, sql));
        CU_ASSERT_EQUAL(kl_store_open(f.uri, KL_STORE_EXISTING, FIXTURE_TIMEOUT, &store), KL_INTEGRITY);
        fixture_end(&f);
    }
}

static void a_store_cut_short_is_refused_or_hurt_but_never_crashes(void)
{
    struct fixture f;
    struct stat whole;

    begin(&f);
    CU_ASSERT_EQUAL(stat(f.path, &whole), 0);
    for (off_t len = whole.st_size - 4096; len > 0; len -= 1777) {
        size_t count;

        CU_ASSERT_EQUAL(truncate(f.path, len), 0);
        if (fixture_open(&f) != KL_OK) continue;
        CU_ASSERT(fixture_find(f.store, "label-1", &count) != KL_OK || count == 1);
        CU_ASSERT_NOT_EQUAL(fixture_check(f.store, NULL), 0);
        fixture_close(&f);
    }
    fixture_end(&f);
}

static void without_its_log_and_index_the_store_still_opens(void)
{
    struct fixture f;
    size_t count = 0;

    begin(&f);
    CU_ASSERT_NOT_EQUAL(access(fixture_path(&f, "-wal"), F_OK), 0);
    CU_ASSERT_EQUAL(unlink(fixture_path(&f, "-epoch")), 0);
    CU_ASSERT_EQUAL(fixture_open(&f), KL_OK);
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-1", &count), KL_OK);
    CU_ASSERT_EQUAL(count, 1);
    fixture_end(&f);
}

/* --- while it is open --- */

static void a_store_removed_or_replaced_while_open_is_noticed(void)
{
    struct fixture f;
    struct kl_row row = fixture_row(100);
    size_t count;

    begin(&f);
    CU_ASSERT(fixture_copy_out(&f, fixture_path(&f, "-copy")));
    CU_ASSERT_EQUAL(chmod(fixture_path(&f, "-copy"), 0600), 0);
    CU_ASSERT_EQUAL_FATAL(fixture_open(&f), KL_OK);
    CU_ASSERT_EQUAL(rename(f.path, fixture_path(&f, "-away")), 0);
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-1", &count), KL_STORE);
    CU_ASSERT(words_have("gone"));
    CU_ASSERT_EQUAL(fixture_add(f.store, &row), KL_STORE);
    CU_ASSERT_EQUAL(rename(fixture_path(&f, "-copy"), f.path), 0);
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-1", &count), KL_STORE);
    CU_ASSERT(words_have("replaced"));
    CU_ASSERT_EQUAL(fixture_add(f.store, &row), KL_STORE);
    CU_ASSERT_EQUAL(rename(fixture_path(&f, "-away"), f.path), 0);
    CU_ASSERT_EQUAL(fixture_add(f.store, &row), KL_OK);
    fixture_end(&f);
}

static void a_mark_removed_while_open_is_made_again_and_followed(void)
{
    struct fixture f;
    struct kl_row row = fixture_row(100);
    uint64_t mark;

    begin(&f);
    CU_ASSERT_EQUAL_FATAL(fixture_open(&f), KL_OK);
    CU_ASSERT_EQUAL(unlink(fixture_path(&f, "-epoch")), 0);
    CU_ASSERT_EQUAL(fixture_add(f.store, &row), KL_OK);
    CU_ASSERT_EQUAL(access(fixture_path(&f, "-epoch"), F_OK), 0);
    mark = kl_store_mark(f.store);
    row.generation = 2;
    CU_ASSERT_EQUAL(fixture_change(f.store, &row), KL_OK);
    CU_ASSERT(kl_store_mark(f.store) > mark);
    fixture_end(&f);
}

/* A module loaded twice, from two paths, has two of everything but the process. */
static void a_second_copy_of_the_code_in_one_process_is_refused(void)
{
    struct fixture f;
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)kl_process_number(), .l_len = 1 };
    int fd;

    CU_ASSERT(lock.l_start > 1 << 22);
    begin(&f);
    fd = open(fixture_path(&f, "-epoch"), O_RDWR);
    CU_ASSERT(fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock) == 0);
    CU_ASSERT_EQUAL(fixture_open(&f), KL_STORE);
    CU_ASSERT(words_have("another copy"));
    close(fd);
    CU_ASSERT_EQUAL(fixture_open(&f), KL_OK);
    fixture_end(&f);
}

static void a_row_of_monstrous_length_is_found(void)
{
    struct fixture f;
    size_t count;

    begin(&f);
    CU_ASSERT(fixture_meddle(&f, "UPDATE encryption_keys SET metadata = zeroblob(6000000) WHERE label = CAST('label-1' AS BLOB)"));
    CU_ASSERT_EQUAL_FATAL(fixture_open(&f), KL_OK);
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-1", &count), KL_INTEGRITY);
    CU_ASSERT_EQUAL(fixture_find(f.store, "label-2", &count), KL_OK);
    CU_ASSERT(fixture_check(f.store, NULL) > 0);
    fixture_end(&f);
}

/* --- file systems of all kinds, each in a child with mounts of its own --- */

static struct fixture mounted;

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0) close(fd);
    return written;
}

/* An ordinary user may mount where it is root: in a user namespace, if it is let make one. */
static bool become_root_elsewhere(void)
{
    char users[64];
    char groups[64];

    snprintf(users, sizeof users, "0 %u 1", (unsigned)geteuid());
    snprintf(groups, sizeof groups, "0 %u 1", (unsigned)getegid());
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    return write_text("/proc/self/setgroups", "deny") && write_text("/proc/self/uid_map", users) &&
           write_text("/proc/self/gid_map", groups);
}

static bool mount_here(const char *options)
{
    fixture_abandon(&mounted);
    if (unshare(CLONE_NEWNS) != 0 && !become_root_elsewhere()) return false;
    return mount("none", "/", "", MS_REC | MS_PRIVATE, "") == 0 && mount("none", mounted.directory, "tmpfs", 0, options) == 0;
}

enum { NO_MOUNT = 77 };

/* -1: mounts are not allowed here. */
static int in_mount(int (*body)(void))
{
    int status;

    fixture_begin_closed(&mounted);
    status = unit_in_child(body);
    fixture_end(&mounted);
    if (status == NO_MOUNT) printf("(not run: this user may not mount) ");
    return status == NO_MOUNT ? 0 : status;
}

static int fill_a_small_disk(void)
{
    struct fixture *f = &mounted;
    unsigned added = 0;
    enum kl_rc rc = KL_OK;
    uint64_t rows = 0;

    if (!mount_here("size=4m,mode=700")) return NO_MOUNT;
    UNIT_NEED(kl_store_open(f->uri, KL_STORE_CREATE, FIXTURE_TIMEOUT, &f->store) == KL_OK);
    UNIT_NEED(kl_store_unlock(f->store, &f->key, kl_view_text(FIXTURE_SERIAL)) == KL_OK);
    for (; rc == KL_OK && added < 5000; added++) {
        struct kl_row row = fixture_row(added);

        rc = fixture_add(f->store, &row);
    }
    UNIT_NEED(rc == KL_STORE_FULL);
    UNIT_NEED(added > 20);
    for (unsigned i = 0; i < added - 1; i++) {
        struct kl_row row = fixture_row(i);

        UNIT_NEED(fixture_has(f->store, &row));
    }
    UNIT_NEED(fixture_check(f->store, &rows) == 0 && rows == added - 1);
    /* With more room it goes on, in the same process. */
    UNIT_NEED(mount("none", f->directory, "tmpfs", MS_REMOUNT, "size=9m,mode=700") == 0);
    {
        struct kl_row row = fixture_row(added);

        UNIT_NEED(fixture_add(f->store, &row) == KL_OK);
    }
    UNIT_NEED(fixture_check(f->store, &rows) == 0 && rows == added);
    fixture_close(f);
    UNIT_NEED(fixture_open(f) == KL_OK);
    UNIT_NEED(fixture_check(f->store, &rows) == 0 && rows == added);
    return 0;
}

static void a_full_disk_loses_nothing_and_goes_on_when_there_is_room(void)
{
    CU_ASSERT_EQUAL(in_mount(fill_a_small_disk), 0);
}

static int start_on_a_full_disk(void)
{
    struct fixture *f = &mounted;
    char junk[8192] = { 1 };
    int fd;

    if (!mount_here("size=100k,mode=700")) return NO_MOUNT;
    fd = open(fixture_path(f, "-junk"), O_WRONLY | O_CREAT, 0600);
    while (write(fd, junk, sizeof junk) > 0) {}
    close(fd);
    UNIT_NEED(kl_store_open(f->uri, KL_STORE_CREATE, FIXTURE_TIMEOUT, &f->store) == KL_STORE_FULL);
    UNIT_NEED(words_have(f->path));
    UNIT_NEED(mount("none", f->directory, "tmpfs", MS_REMOUNT, "size=4m,mode=700") == 0);
    UNIT_NEED(kl_store_open(f->uri, KL_STORE_CREATE, FIXTURE_TIMEOUT, &f->store) == KL_OK);
    UNIT_NEED(kl_store_unlock(f->store, &f->key, kl_view_text(FIXTURE_SERIAL)) == KL_OK);
    UNIT_NEED(fixture_add_many(f->store, 0, 10) == KL_OK);
    return 0;
}

static void a_store_cannot_be_made_on_a_full_disk(void)
{
    CU_ASSERT_EQUAL(in_mount(start_on_a_full_disk), 0);
}

static int read_read_only(void)
{
    struct fixture *f = &mounted;
    struct kl_row row = fixture_row(1000);
    struct kl_store *none = NULL;
    uint32_t used;
    uint64_t rows = 0;
    size_t count = 0;

    if (!mount_here("size=40m,mode=700")) return NO_MOUNT;
    UNIT_NEED(kl_store_open(f->uri, KL_STORE_CREATE, FIXTURE_TIMEOUT, &f->store) == KL_OK);
    UNIT_NEED(kl_store_unlock(f->store, &f->key, kl_view_text(FIXTURE_SERIAL)) == KL_OK);
    UNIT_NEED(fixture_add_many(f->store, 0, 50) == KL_OK);
    fixture_close(f);
    UNIT_NEED(mount("none", f->directory, "tmpfs", MS_REMOUNT | MS_RDONLY, "mode=700") == 0);
    UNIT_NEED(fixture_open(f) == KL_OK);
    UNIT_NEED(kl_store_is_read_only(f->store));
    UNIT_NEED(fixture_find(f->store, "label-7", &count) == KL_OK && count == 1);
    UNIT_NEED(fixture_count(f->store, KL_BY_ALL, NULL, 0, &count) == KL_OK && count == 50);
    UNIT_NEED(fixture_check(f->store, &rows) == 0 && rows == 50);
    UNIT_NEED(fixture_add(f->store, &row) == KL_STORE_READ_ONLY);
    UNIT_NEED(kl_store_tries_take(f->store, "pin/user", 10, &used) == KL_STORE_READ_ONLY);
    UNIT_NEED(kl_store_mark(f->store) % 2 == 0);
    fixture_close(f);
    snprintf(f->uri, sizeof f->uri, "sqlite:%.80s", fixture_path(f, "-other"));
    UNIT_NEED(kl_store_open(f->uri, KL_STORE_CREATE, 0, &none) == KL_STORE_READ_ONLY);
    UNIT_NEED(kl_store_open(f->uri, KL_STORE_EXISTING, 0, &none) == KL_NOT_FOUND);
    return 0;
}

static void a_read_only_file_system_is_read(void)
{
    CU_ASSERT_EQUAL(in_mount(read_read_only), 0);
}

/* The writer died, its log is full of what is not in the database yet, and then the file system became read-only. */
static int read_a_log_read_only(void)
{
    struct fixture *f = &mounted;
    size_t count = 0;
    pid_t child;

    if (!mount_here("size=40m,mode=700")) return NO_MOUNT;
    child = fork();
    if (child == 0) {
        fixture_abandon(f);
        if (kl_store_open(f->uri, KL_STORE_CREATE, FIXTURE_TIMEOUT, &f->store) != KL_OK) _exit(1);
        if (kl_store_unlock(f->store, &f->key, kl_view_text(FIXTURE_SERIAL)) != KL_OK) _exit(1);
        _exit(fixture_add_many(f->store, 0, 50) == KL_OK ? 0 : 1);
    }
    UNIT_NEED(waitpid(child, NULL, 0) == child);
    UNIT_NEED(access(fixture_path(f, "-wal"), F_OK) == 0);
    UNIT_NEED(mount("none", f->directory, "tmpfs", MS_REMOUNT | MS_RDONLY, "mode=700") == 0);
    UNIT_NEED(fixture_open(f) == KL_OK);
    UNIT_NEED(fixture_find(f->store, "label-7", &count) == KL_OK && count == 1);
    fixture_close(f);
    UNIT_NEED(mount("none", f->directory, "tmpfs", MS_REMOUNT, "mode=700") == 0);
    UNIT_NEED(unlink(fixture_path(f, "-shm")) == 0);
    UNIT_NEED(mount("none", f->directory, "tmpfs", MS_REMOUNT | MS_RDONLY, "mode=700") == 0);
    UNIT_NEED(fixture_open(f) == KL_OK);
    UNIT_NEED(fixture_find(f->store, "label-7", &count) == KL_OK && count == 1);
    fixture_close(f);
    return 0;
}

static void a_log_on_a_read_only_file_system_is_read_too(void)
{
    CU_ASSERT_EQUAL(in_mount(read_a_log_read_only), 0);
}

static int become_read_only(void)
{
    struct fixture *f = &mounted;
    struct kl_row row = fixture_row(1000);
    size_t count = 0;

    if (!mount_here("size=40m,mode=700")) return NO_MOUNT;
    UNIT_NEED(kl_store_open(f->uri, KL_STORE_CREATE, FIXTURE_TIMEOUT, &f->store) == KL_OK);
    UNIT_NEED(kl_store_unlock(f->store, &f->key, kl_view_text(FIXTURE_SERIAL)) == KL_OK);
    UNIT_NEED(fixture_add_many(f->store, 0, 50) == KL_OK);
    chmod(f->path, 0400);
    fixture_close(f);
    UNIT_NEED(setegid(12345) == 0 && chown(f->directory, 12345, 12345) == 0);
    {
        static const char *const suffixes[] = { "", "-epoch" };

        for (size_t i = 0; i < 2; i++) UNIT_NEED(chown(fixture_path(f, suffixes[i]), 12345, 12345) == 0);
    }
    UNIT_NEED(seteuid(12345) == 0);
    UNIT_NEED(fixture_open(f) == KL_OK);
    UNIT_NEED(kl_store_is_read_only(f->store));
    UNIT_NEED(fixture_find(f->store, "label-7", &count) == KL_OK && count == 1);
    UNIT_NEED(fixture_add(f->store, &row) == KL_STORE_READ_ONLY);
    fixture_close(f);
    return 0;
}

static void a_file_that_its_owner_may_only_read_is_read(void)
{
    if (geteuid() == 0) CU_ASSERT_EQUAL(in_mount(become_read_only), 0);
}

UNIT_MAIN("store/sqlite_open", UNIT(files_are_made_for_their_owner_alone_whatever_the_umask),
          UNIT(a_file_that_group_or_others_may_use_is_refused), UNIT(a_directory_that_others_may_write_is_refused_unless_sticky),
          UNIT(a_symbolic_link_is_refused_in_the_place_of_any_file), UNIT(a_hard_link_is_refused), UNIT(what_is_no_regular_file_is_refused),
          UNIT(a_file_or_directory_of_another_user_is_refused), UNIT(what_is_no_database_is_refused_and_left_alone),
          UNIT(a_database_of_something_else_is_refused), UNIT(an_empty_file_is_no_store_but_may_become_one),
          UNIT(a_newer_store_is_refused_and_not_touched), UNIT(a_schema_with_anything_else_in_it_is_refused),
          UNIT(a_schema_changed_while_the_store_is_open_is_noticed), UNIT(other_page_sizes_and_encodings_are_refused),
          UNIT(a_store_cut_short_is_refused_or_hurt_but_never_crashes), UNIT(without_its_log_and_index_the_store_still_opens),
          UNIT(a_store_removed_or_replaced_while_open_is_noticed), UNIT(a_mark_removed_while_open_is_made_again_and_followed),
          UNIT(a_second_copy_of_the_code_in_one_process_is_refused), UNIT(a_row_of_monstrous_length_is_found),
          UNIT(a_full_disk_loses_nothing_and_goes_on_when_there_is_room), UNIT(a_store_cannot_be_made_on_a_full_disk),
          UNIT(a_read_only_file_system_is_read), UNIT(a_log_on_a_read_only_file_system_is_read_too),
          UNIT(a_file_that_its_owner_may_only_read_is_read))
