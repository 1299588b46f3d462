/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Templates that are attributes: how they are stored and read again (token/pattern.c). */
#include "token/pattern.h"

#include "../unit.h"
#include "token/attr.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static enum kl_rc write_array(const CK_ATTRIBUTE *array, size_t count, unsigned how, uint8_t room[KL_PATTERN_MAX], struct kl_view *stored)
{
    struct kl_writer writer = { room, KL_PATTERN_MAX, 0 };
    enum kl_rc rc = kl_pattern_write(kl_view_of(array, count * sizeof *array), how, &writer);

    *stored = kl_view_of(room, writer.len);
    return rc;
}

static enum kl_rc try_one(CK_ATTRIBUTE attribute, unsigned how)
{
    uint8_t room[KL_PATTERN_MAX];
    struct kl_view stored;

    return write_array(&attribute, 1, how, room, &stored);
}

static CK_BBOOL yes = CK_TRUE;
static CK_ULONG aes = CKK_AES, len = 32;
static CK_MECHANISM_TYPE list[] = { CKM_AES_GCM, CKM_AES_CBC_PAD };
static const CK_ATTRIBUTE all_forms[] = {
    { CKA_SENSITIVE, &yes, 1 },           { CKA_KEY_TYPE, &aes, sizeof aes },
    { CKA_VALUE_LEN, &len, sizeof len },  { CKA_ALLOWED_MECHANISMS, list, sizeof list },
    { CKA_LABEL, (char[]){ "name" }, 4 }, { CKA_ID, NULL, 0 },
};

static void every_form_comes_back_as_it_was(void)
{
    static struct kl_pattern pattern;
    uint8_t room[KL_PATTERN_MAX];
    struct kl_view stored;

    CU_ASSERT_EQUAL_FATAL(write_array(all_forms, COUNT(all_forms), KL_ON_UNWRAP, room, &stored), KL_OK);
    CU_ASSERT_EQUAL_FATAL(kl_pattern_read(stored, &pattern), KL_OK);
    CU_ASSERT_EQUAL(pattern.asked.count, COUNT(all_forms));
    for (size_t i = 0; i < COUNT(all_forms); i++) {
        const struct kl_attr *attr = kl_asked_find(&pattern.asked, all_forms[i].type);

        CU_ASSERT_PTR_NOT_NULL_FATAL(attr);
        CU_ASSERT(kl_view_is(attr->value, kl_view_of(all_forms[i].pValue, all_forms[i].ulValueLen)));
    }
}

/* DESIGN: stored numbers do not depend on the machine. */
static void numbers_are_stored_in_8_bytes_the_first_first(void)
{
    static const uint8_t expected[] = { 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0x61, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 32 };
    uint8_t room[KL_PATTERN_MAX];
    struct kl_view stored;

    CU_ASSERT_EQUAL(write_array(&all_forms[2], 1, 0, room, &stored), KL_OK);
    CU_ASSERT(kl_view_is(stored, kl_view_of(expected, sizeof expected)));
}

static void what_no_template_may_name_is_refused(void)
{
    CK_ATTRIBUTE inner = { CKA_SENSITIVE, &yes, 1 };

    CU_ASSERT_EQUAL(try_one((CK_ATTRIBUTE){ 0xDEADBEEF, &yes, 1 }, 0), KL_ATTR_VALUE);
    CU_ASSERT_EQUAL(try_one((CK_ATTRIBUTE){ CKA_VALUE, &len, sizeof len }, 0), KL_ATTR_VALUE);
    CU_ASSERT_EQUAL(try_one((CK_ATTRIBUTE){ CKA_UNWRAP_TEMPLATE, &inner, sizeof inner }, 0), KL_ATTR_VALUE);
    CU_ASSERT_EQUAL(try_one((CK_ATTRIBUTE){ CKA_LOCAL, &yes, 1 }, KL_ON_UNWRAP), KL_ATTR_VALUE);
    CU_ASSERT_EQUAL(try_one((CK_ATTRIBUTE){ CKA_LOCAL, &yes, 1 }, 0), KL_OK);
    CU_ASSERT_EQUAL(try_one((CK_ATTRIBUTE){ CKA_VALUE_LEN, &len, 4 }, 0), KL_ATTR_VALUE);
}

static void an_array_that_is_none_is_refused(void)
{
    CK_BBOOL no = CK_FALSE;
    CK_ATTRIBUTE twice[] = { { CKA_SENSITIVE, &yes, 1 }, { CKA_SENSITIVE, &no, 1 } };
    static CK_ATTRIBUTE many[KL_ASKED_MAX + 1];
    uint8_t room[KL_PATTERN_MAX];
    struct kl_view stored;

    CU_ASSERT_EQUAL(write_array(twice, 2, 0, room, &stored), KL_TEMPLATE);
    for (size_t i = 0; i < COUNT(many); i++) many[i] = all_forms[0];
    CU_ASSERT_NOT_EQUAL(write_array(many, COUNT(many), 0, room, &stored), KL_OK);
    CU_ASSERT_EQUAL(try_one((CK_ATTRIBUTE){ CKA_LABEL, NULL, 3 }, 0), KL_ATTR_VALUE);
}

static void too_many_bytes_are_refused_and_not_cut(void)
{
    static uint8_t bytes[KL_PATTERN_MAX];
    CK_ATTRIBUTE ids[] = { { CKA_ID, bytes, 200 }, { CKA_LABEL, bytes, 200 } };
    uint8_t room[300];
    static uint8_t larger[2 * KL_PATTERN_MAX];
    struct kl_writer writer = { room, sizeof room, 0 };

    CU_ASSERT_EQUAL(kl_pattern_write(kl_view_of(ids, sizeof ids), 0, &writer), KL_ATTR_VALUE);
    writer = (struct kl_writer){ larger, sizeof larger, KL_PATTERN_MAX - 100 };
    CU_ASSERT_EQUAL(kl_pattern_write(kl_view_of(ids, sizeof ids), 0, &writer), KL_ATTR_VALUE);
}

/* As a store could hand it over that somebody has changed. */
static void a_stored_form_that_is_none_is_told(void)
{
    static struct kl_pattern pattern;
    uint8_t room[KL_PATTERN_MAX], changed[KL_PATTERN_MAX];
    struct kl_view stored;

    CU_ASSERT_EQUAL_FATAL(write_array(all_forms, COUNT(all_forms), 0, room, &stored), KL_OK);
    for (size_t cut = 0; cut < stored.len; cut++) CU_ASSERT_EQUAL(kl_pattern_read(kl_view_of(room, cut), &pattern), KL_INTEGRITY);
    CU_ASSERT_EQUAL(kl_pattern_read(kl_view_of(room, stored.len + 1), &pattern), KL_INTEGRITY);
    memcpy(changed, room, stored.len);
    changed[3] = KL_ASKED_MAX + 1;
    CU_ASSERT_EQUAL(kl_pattern_read(kl_view_of(changed, stored.len), &pattern), KL_INTEGRITY);
    memcpy(changed, room, stored.len);
    changed[4] = 0x40; /* the type of the first */
    CU_ASSERT_EQUAL(kl_pattern_read(kl_view_of(changed, stored.len), &pattern), KL_INTEGRITY);
}

/* More numbers than there is room for: none is written beyond it. */
static void a_stored_form_that_is_too_long_is_told(void)
{
    static struct kl_pattern pattern;
    static uint8_t room[2 * KL_PATTERN_MAX];
    struct kl_writer writer = { room, sizeof room, 0 };

    kl_write_u32(&writer, 1);
    kl_write_u64(&writer, CKA_ALLOWED_MECHANISMS);
    kl_write_u32(&writer, KL_PATTERN_MAX + 8);
    CU_ASSERT_EQUAL(kl_pattern_read(kl_view_of(room, writer.len + KL_PATTERN_MAX + 8), &pattern), KL_INTEGRITY);
}

static void no_template_wants_nothing(void)
{
    static struct kl_pattern pattern;

    CU_ASSERT_EQUAL(kl_pattern_read(kl_view_of(NULL, 0), &pattern), KL_OK);
    CU_ASSERT_EQUAL(pattern.asked.count, 0);
}

static void a_broken_one_is_not_given(void)
{
    CK_ATTRIBUTE attribute = { CKA_WRAP_TEMPLATE, NULL, 0 };

    CU_ASSERT_EQUAL(kl_pattern_give(kl_view_of("\0\0\0\1", 4), &attribute), KL_INTEGRITY);
}

UNIT_MAIN("token/pattern", UNIT(every_form_comes_back_as_it_was), UNIT(numbers_are_stored_in_8_bytes_the_first_first),
          UNIT(what_no_template_may_name_is_refused), UNIT(an_array_that_is_none_is_refused), UNIT(too_many_bytes_are_refused_and_not_cut),
          UNIT(a_stored_form_that_is_none_is_told), UNIT(no_template_wants_nothing), UNIT(a_broken_one_is_not_given),
          UNIT(a_stored_form_that_is_too_long_is_told))
