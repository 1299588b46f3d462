/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "base/json.h"

#include <jansson.h>
#include <math.h>

#include "../failing.h"
#include "../unit.h"

static struct kl_json *ladder(void)
{
    struct kl_json *object = kl_json_object(), *array = kl_json_array(), *child = kl_json_object();

    kl_json_set_text(child, "label", "users");
    kl_json_set_number(child, "version", 1);
    kl_json_add_take(array, child);
    kl_json_set_text(object, "token", "demo");
    kl_json_set_bool(object, "ok", true);
    kl_json_set_real(object, "share", 0.25);
    kl_json_set_hex(object, "id", kl_view_of("\x00\xff\x10", 3));
    kl_json_set_take(object, "keys", array);
    return object;
}

static bool dumps_as(struct kl_json *json, const char *ought)
{
    char *text = kl_json_dump(json, 0);
    bool same = text != NULL && strcmp(text, ought) == 0;

    if (!same) fprintf(stderr, "is %s, ought to be %s\n", text == NULL ? "nothing" : text, ought);
    free(text);
    kl_json_free(json);
    return same;
}

static void members_come_out_in_the_order_they_went_in(void)
{
    CU_ASSERT_TRUE(dumps_as(
        ladder(),
        "{\"token\": \"demo\", \"ok\": true, \"share\": 0.25, \"id\": \"00ff10\", \"keys\": [{\"label\": \"users\", \"version\": 1}]}"));
}

static void indentation_makes_lines(void)
{
    struct kl_json *json = ladder();
    char *text = kl_json_dump(json, 2);

    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "{\n  \"token\": \"demo\",\n"));
    free(text);
    kl_json_free(json);
}

static void an_empty_object_and_an_empty_text_are_written(void)
{
    struct kl_json *json = kl_json_object();

    kl_json_set_text(json, "a", "");
    kl_json_set_bytes(json, "b", kl_view_of(NULL, 0));
    kl_json_set_hex(json, "c", kl_view_of(NULL, 0));
    kl_json_set_text(json, "d", NULL);
    kl_json_set_take(json, "e", kl_json_object());
    CU_ASSERT_TRUE(dumps_as(json, "{\"a\": \"\", \"b\": \"\", \"c\": \"\", \"d\": null, \"e\": {}}"));
}

static void text_that_is_not_utf8_comes_out_escaped(void)
{
    struct kl_json *json = kl_json_object();

    kl_json_set_bytes(json, "label", kl_view_text("a\xFFz"));
    kl_json_set_bytes(json, "nul", kl_view_of("a\0z", 3));
    kl_json_set_bytes(json, "quote", kl_view_text("\"\n"));
    CU_ASSERT_TRUE(dumps_as(json, "{\"label\": \"a\\\\xffz\", \"nul\": \"a\\u0000z\", \"quote\": \"\\\"\\n\"}"));
}

static void the_whole_range_of_numbers_is_kept(void)
{
    struct kl_json *json = kl_json_object();

    kl_json_set_number(json, "least", INT64_MIN);
    kl_json_set_number(json, "most", INT64_MAX);
    CU_ASSERT_TRUE(dumps_as(json, "{\"least\": -9223372036854775808, \"most\": 9223372036854775807}"));
}

static void six_digits_of_a_real_number_are_kept(void)
{
    struct kl_json *array = kl_json_array();

    kl_json_add_real(array, 0);
    kl_json_add_real(array, 1.0 / 3);
    kl_json_add_real(array, 1234567.8);
    kl_json_add_real(array, -0.5);
    CU_ASSERT_TRUE(dumps_as(array, "[0.0, 0.333333, 1.23457e6, -0.5]"));
}

static void what_is_no_number_is_not_written_as_a_whole(void)
{
    struct kl_json *object = kl_json_object(), *array = kl_json_array();

    kl_json_set_real(object, "much", HUGE_VAL);
    CU_ASSERT_PTR_NULL(kl_json_dump(object, 0));
    kl_json_free(object);
    kl_json_add_real(array, (double)NAN);
    CU_ASSERT_PTR_NULL(kl_json_dump(array, 0));
    kl_json_free(array);
}

static void a_missing_value_is_not_written_as_a_whole(void)
{
    struct kl_json *json = kl_json_object(), *array = kl_json_array();

    kl_json_set_take(json, "child", NULL);
    CU_ASSERT_PTR_NULL(kl_json_dump(json, 0));
    kl_json_add_take(array, json); /* what ran short below is short above */
    CU_ASSERT_PTR_NULL(kl_json_dump(array, 0));
    kl_json_free(array);
}

static void nothing_takes_everything_and_does_nothing(void)
{
    kl_json_set_text(NULL, "a", "b");
    kl_json_set_bytes(NULL, "a", kl_view_text("\xFF"));
    kl_json_set_hex(NULL, "a", kl_view_text("b"));
    kl_json_set_number(NULL, "a", 1);
    kl_json_set_real(NULL, "a", 1);
    kl_json_set_bool(NULL, "a", false);
    kl_json_set_take(NULL, "a", kl_json_array());
    kl_json_add_take(NULL, kl_json_object());
    kl_json_add_real(NULL, 1);
    kl_json_free(NULL);
    CU_ASSERT_PTR_NULL(kl_json_dump(NULL, 0));
}

static void memory_that_runs_short_anywhere_leaves_no_half_text(void)
{
    bool failed = true;

    json_set_alloc_funcs(malloc, free); /* whose memory runs short, too */
    for (unsigned i = 1; failed; i++) {
        struct kl_json *json;
        char *text;

        failing_memory(i);
        json = ladder();
        text = kl_json_dump(json, 0);
        failed = failing_has_failed();
        failing_memory(0);
        CU_ASSERT_EQUAL(text == NULL, failed);
        free(text);
        kl_json_free(json);
    }
}

UNIT_MAIN("base/json", UNIT(members_come_out_in_the_order_they_went_in), UNIT(indentation_makes_lines),
          UNIT(an_empty_object_and_an_empty_text_are_written), UNIT(text_that_is_not_utf8_comes_out_escaped),
          UNIT(the_whole_range_of_numbers_is_kept), UNIT(six_digits_of_a_real_number_are_kept),
          UNIT(what_is_no_number_is_not_written_as_a_whole), UNIT(a_missing_value_is_not_written_as_a_whole),
          UNIT(nothing_takes_everything_and_does_nothing), UNIT(memory_that_runs_short_anywhere_leaves_no_half_text))
