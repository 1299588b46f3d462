/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "store/mark.h"

#include "../unit.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "fixture.h"
#include "store/file.h"

static struct fixture f;

static struct kl_mark begin(void)
{
    struct kl_mark mark;

    fixture_begin_closed(&f);
    kl_mark_init(&mark);
    CU_ASSERT_EQUAL(kl_mark_open(&mark, fixture_path(&f, "-epoch"), false), KL_NOT_FOUND);
    CU_ASSERT_EQUAL(kl_mark_open(&mark, fixture_path(&f, "-epoch"), true), KL_OK);
    return mark;
}

static void end(struct kl_mark *mark)
{
    kl_mark_close(mark);
    fixture_end(&f);
}

static void the_word_is_odd_between_raising_and_settling(void)
{
    struct kl_mark mark = begin();
    uint64_t before;
    uint64_t after;

    CU_ASSERT_EQUAL(kl_mark_value(&mark), 0);
    before = kl_mark_raise(&mark);
    CU_ASSERT_EQUAL(before, 0);
    CU_ASSERT_EQUAL(kl_mark_value(&mark), 1);
    after = kl_mark_settle(&mark, before);
    CU_ASSERT_EQUAL(after, 2);
    CU_ASSERT_EQUAL(kl_mark_value(&mark), 2);
    end(&mark);
}

static void the_file_is_that_of_the_format_page(void)
{
    struct kl_mark mark = begin();
    uint8_t bytes[17];
    uint64_t word = 0;
    int fd = open(fixture_path(&f, "-epoch"), O_RDONLY);

    kl_mark_settle(&mark, kl_mark_raise(&mark));
    CU_ASSERT_EQUAL(read(fd, bytes, sizeof bytes), 16);
    CU_ASSERT(memcmp(bytes, "KLEPOCH1", 8) == 0);
    memcpy(&word, bytes + 8, sizeof word);
    CU_ASSERT_EQUAL(word, 2);
    close(fd);
    end(&mark);
}

/* The one who committed first settles last: the next has raised the word meanwhile, under the write lock. */
static void who_settles_late_does_not_undo_the_next_ones_raising(void)
{
    struct kl_mark mark = begin();
    uint64_t first = kl_mark_raise(&mark);
    uint64_t second = kl_mark_raise(&mark);

    CU_ASSERT_EQUAL(kl_mark_value(&mark), 3);
    CU_ASSERT_EQUAL(kl_mark_settle(&mark, first), 2);
    CU_ASSERT_EQUAL(kl_mark_value(&mark), 3);
    CU_ASSERT_EQUAL(kl_mark_settle(&mark, second), 4);
    CU_ASSERT_EQUAL(kl_mark_value(&mark), 4);
    end(&mark);
}

static void what_a_dead_writer_left_odd_is_no_even_value_that_was_seen_before(void)
{
    struct kl_mark mark = begin();
    uint64_t seen = kl_mark_value(&mark);
    uint64_t before;

    kl_mark_raise(&mark);
    before = kl_mark_raise(&mark);
    CU_ASSERT_NOT_EQUAL(before, seen);
    CU_ASSERT_EQUAL(before % 2, 1);
    CU_ASSERT(kl_mark_settle(&mark, before) > seen);
    end(&mark);
}

static void mending_makes_an_odd_word_even_and_leaves_an_even_one(void)
{
    struct kl_mark mark = begin();

    kl_mark_mend(&mark);
    CU_ASSERT_EQUAL(kl_mark_value(&mark), 0);
    kl_mark_raise(&mark);
    kl_mark_mend(&mark);
    CU_ASSERT_EQUAL(kl_mark_value(&mark), 2);
    end(&mark);
}

static bool queue_is_free;

static int raise_it_elsewhere(void)
{
    struct kl_mark mark;

    kl_mark_init(&mark);
    UNIT_NEED(kl_mark_open(&mark, fixture_path(&f, "-epoch"), false) == KL_OK);
    UNIT_NEED(kl_mark_queue(&mark, true) == queue_is_free);
    kl_mark_settle(&mark, kl_mark_raise(&mark));
    kl_mark_close(&mark);
    return 0;
}

static void processes_share_the_word_and_one_queue(void)
{
    struct kl_mark mark = begin();

    queue_is_free = false;
    CU_ASSERT(kl_mark_queue(&mark, true));
    CU_ASSERT_EQUAL(unit_in_child(raise_it_elsewhere), 0);
    CU_ASSERT_EQUAL(kl_mark_value(&mark), 2);
    CU_ASSERT(kl_mark_queue(&mark, false));
    queue_is_free = true;
    CU_ASSERT_EQUAL(unit_in_child(raise_it_elsewhere), 0);
    CU_ASSERT_EQUAL(kl_mark_value(&mark), 4);
    end(&mark);
}

static void a_file_of_something_else_is_made_anew(void)
{
    struct kl_mark mark;

    fixture_begin_closed(&f);
    fixture_write_file(fixture_path(&f, "-epoch"), "something else entirely", 23);
    kl_mark_init(&mark);
    CU_ASSERT_EQUAL(kl_mark_open(&mark, fixture_path(&f, "-epoch"), false), KL_OK);
    CU_ASSERT_EQUAL(kl_mark_value(&mark), 0);
    end(&mark);
}

static void a_file_that_others_may_write_is_refused(void)
{
    struct kl_mark mark;

    fixture_begin_closed(&f);
    fixture_write_file(fixture_path(&f, "-epoch"), "KLEPOCH1\0\0\0\0\0\0\0\0", 16);
    CU_ASSERT_EQUAL(chmod(fixture_path(&f, "-epoch"), 0666), 0);
    kl_mark_init(&mark);
    CU_ASSERT_EQUAL(kl_mark_open(&mark, fixture_path(&f, "-epoch"), true), KL_PERMISSION);
    CU_ASSERT_EQUAL(kl_mark_value(&mark), 0);
    end(&mark);
}

static void without_a_file_the_word_is_what_it_is_set_to(void)
{
    struct kl_mark mark;

    kl_mark_init(&mark);
    kl_mark_set_own(&mark, 12);
    CU_ASSERT_EQUAL(kl_mark_value(&mark), 12);
    CU_ASSERT(kl_mark_queue(&mark, true));
    kl_mark_close(&mark);
}

UNIT_MAIN("store/mark", UNIT(the_word_is_odd_between_raising_and_settling), UNIT(the_file_is_that_of_the_format_page),
          UNIT(who_settles_late_does_not_undo_the_next_ones_raising),
          UNIT(what_a_dead_writer_left_odd_is_no_even_value_that_was_seen_before),
          UNIT(mending_makes_an_odd_word_even_and_leaves_an_even_one), UNIT(processes_share_the_word_and_one_queue),
          UNIT(a_file_of_something_else_is_made_anew), UNIT(a_file_that_others_may_write_is_refused),
          UNIT(without_a_file_the_word_is_what_it_is_set_to))
