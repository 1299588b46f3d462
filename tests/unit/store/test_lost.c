/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The program that we are part of closes descriptors of ours, at the worst of times. */
#include "store/store.h"

#include "../unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"

static struct fixture f;

/* Closes what leads to the store's file with this ending, as a program with a stray close() would. How many those were. */
static unsigned lose(const char *suffix)
{
    DIR *descriptors = opendir("/proc/self/fd");
    unsigned lost = 0;

    CU_ASSERT_TRUE_FATAL(descriptors != NULL);
    for (struct dirent *entry; (entry = readdir(descriptors)) != NULL;) {
        char target[PATH_MAX];
        ssize_t len = readlinkat(dirfd(descriptors), entry->d_name, target, sizeof target - 1);

        if (len < 0) continue;
        target[len] = '\0';
        if (strcmp(target, fixture_path(&f, suffix)) == 0 && close(atoi(entry->d_name)) == 0) lost++;
    }
    closedir(descriptors);
    return lost;
}

static void a_commit_without_its_locks_is_none(void)
{
    static const char *const suffixes[] = { "", "-wal", "-shm" };

    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        struct kl_row before = fixture_row(1), lost = fixture_row(2), after = fixture_row(3);
        struct kl_commit commit;
        struct kl_txn *txn = NULL;

        fixture_begin(&f);
        CU_ASSERT_TRUE_FATAL(fixture_add(f.store, &before) == KL_OK);
        CU_ASSERT_TRUE_FATAL(kl_store_begin(f.store, &txn) == KL_OK);
        CU_ASSERT_TRUE_FATAL(kl_txn_add(txn, &lost) == KL_OK);
        CU_ASSERT_EQUAL(lose(suffixes[i]), 1);
        CU_ASSERT_EQUAL(kl_txn_commit(txn, &commit), KL_STORE);
        CU_ASSERT_PTR_NOT_NULL(strstr(kl_fail_words(), "has closed descriptors that are ours"));
        /* It is as if it had never begun, and the next one is well. */
        CU_ASSERT_FALSE(fixture_has(f.store, &lost));
        CU_ASSERT_TRUE(fixture_has(f.store, &before));
        CU_ASSERT_EQUAL(fixture_add(f.store, &after), KL_OK);
        CU_ASSERT_TRUE(fixture_has(f.store, &after));
        CU_ASSERT_EQUAL(fixture_check(f.store, NULL), 0);
        fixture_end(&f);
    }
}

/* An odd mark says that somebody's commit is under way. */
static void who_has_lost_the_store_leaves_the_mark_to_the_others(void)
{
    struct kl_row row = fixture_row(1);
    struct kl_txn *txn = NULL;
    uint64_t odd = 0;
    int fd;

    fixture_begin(&f);
    CU_ASSERT_TRUE_FATAL(kl_store_begin(f.store, &txn) == KL_OK);
    CU_ASSERT_TRUE_FATAL(kl_txn_add(txn, &row) == KL_OK);
    CU_ASSERT_EQUAL(lose(""), 1);
    fd = open(fixture_path(&f, "-epoch"), O_RDWR | O_CLOEXEC);
    CU_ASSERT_TRUE_FATAL(fd >= 0 && pread(fd, &odd, sizeof odd, 8) == sizeof odd);
    odd |= 1;
    CU_ASSERT_TRUE_FATAL(pwrite(fd, &odd, sizeof odd, 8) == sizeof odd);
    kl_txn_abort(txn);
    CU_ASSERT_EQUAL(kl_store_mark(f.store), odd);
    /* Who gets the lock knows that there is no such commit. */
    CU_ASSERT_EQUAL(fixture_add(f.store, &row), KL_OK);
    CU_ASSERT_EQUAL(kl_store_mark(f.store) & 1, 0);
    close(fd);
    fixture_end(&f);
}

/* What could not be opened for writing for a while is written again afterwards. */
static void a_store_that_could_not_be_opened_again_is_no_read_only_one(void)
{
    struct kl_row first = fixture_row(1), second = fixture_row(2);

    if (geteuid() != 0) return;
    fixture_begin(&f);
    CU_ASSERT_TRUE_FATAL(fixture_add(f.store, &first) == KL_OK);
    CU_ASSERT_TRUE_FATAL(chmod(f.directory, 0711) == 0);
    CU_ASSERT_EQUAL(lose(""), 1);
    CU_ASSERT_TRUE_FATAL(seteuid(65534) == 0);
    CU_ASSERT_NOT_EQUAL(fixture_add(f.store, &second), KL_OK);
    CU_ASSERT_TRUE_FATAL(seteuid(0) == 0);
    CU_ASSERT_EQUAL(fixture_add(f.store, &second), KL_OK);
    CU_ASSERT_TRUE(fixture_has(f.store, &second));
    fixture_end(&f);
}

/* The claim stays while the page is mapped, so a second opening of this process is refused as ever. */
static void a_store_that_is_lost_is_claimed_still(void)
{
    struct kl_row row = fixture_row(1);
    struct kl_store *other = NULL;

    fixture_begin(&f);
    CU_ASSERT_EQUAL(lose(""), 1);
    CU_ASSERT_EQUAL(lose("-epoch"), 1);
    CU_ASSERT_EQUAL(kl_store_open(f.uri, KL_STORE_EXISTING, FIXTURE_TIMEOUT, &other), KL_STORE);
    CU_ASSERT_EQUAL(fixture_add(f.store, &row), KL_OK);
    /* Closed, it can be opened again: nothing is left of what was lost. */
    fixture_close(&f);
    CU_ASSERT_EQUAL(fixture_open(&f), KL_OK);
    CU_ASSERT_TRUE(fixture_has(f.store, &row));
    fixture_end(&f);
}

UNIT_MAIN("store/lost", UNIT(a_commit_without_its_locks_is_none), UNIT(who_has_lost_the_store_leaves_the_mark_to_the_others),
          UNIT(a_store_that_could_not_be_opened_again_is_no_read_only_one), UNIT(a_store_that_is_lost_is_claimed_still))
