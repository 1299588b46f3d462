/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Templates as callers write them (token/asked.c), and the drafts that they make. */
#include "token/draft.h"

#include "../unit.h"

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
static CK_OBJECT_CLASS secret_key = CKO_SECRET_KEY;

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define BOOL(type, value) \
    {                     \
        type, &(value), 1 \
    }
#define TEXT(type, value)                          \
    {                                              \
        type, (char[]){ value }, sizeof(value) - 1 \
    }

static enum kl_rc read_template(const CK_ATTRIBUTE *attributes, CK_ULONG count)
{
    struct kl_asked asked;

    return kl_asked_read(attributes, count, &asked);
}

/* What comes of a template in one of its places. */
static enum kl_rc apply(struct kl_draft *draft, const CK_ATTRIBUTE *attributes, CK_ULONG count, unsigned how)
{
    struct kl_applying applying = { .how = how };
    struct kl_asked asked;

    KL_TRY(kl_asked_read(attributes, count, &asked));
    return kl_draft_apply(draft, &asked, applying);
}

static enum kl_rc make(const CK_ATTRIBUTE *attributes, CK_ULONG count, struct kl_draft *draft)
{
    kl_draft_begin(draft, CKO_SECRET_KEY);
    return apply(draft, attributes, count, KL_ON_CREATE);
}

static void a_template_may_be_packed_and_misaligned(void)
{
    CK_ATTRIBUTE attributes[] = { BOOL(CKA_TOKEN, yes), TEXT(CKA_LABEL, "users") };
    char room[sizeof attributes + 1];
    struct kl_asked asked;

    memcpy(room + 1, attributes, sizeof attributes);
    CU_ASSERT_EQUAL(kl_asked_read((const CK_ATTRIBUTE *)(const void *)(room + 1), 2, &asked), KL_OK);
    CU_ASSERT_EQUAL(asked.count, 2);
    CU_ASSERT(kl_view_is(kl_asked_find(&asked, CKA_LABEL)->value, kl_view_text("users")));
}

static void a_count_needs_an_array_and_has_a_bound(void)
{
    static CK_ATTRIBUTE many[KL_ASKED_MAX + 1];

    for (size_t i = 0; i < COUNT(many); i++) many[i].type = 0x1000 + i;
    CU_ASSERT_EQUAL(read_template(NULL, 0), KL_OK);
    CU_ASSERT_EQUAL(read_template(NULL, 1), KL_ARG);
    CU_ASSERT_EQUAL(read_template(many, KL_ASKED_MAX), KL_OK);
    CU_ASSERT_EQUAL(read_template(many, KL_ASKED_MAX + 1), KL_ARG);
    CU_ASSERT_EQUAL(read_template(many, (CK_ULONG)-1), KL_ARG);
}

static void a_value_that_is_not_there_is_refused(void)
{
    CK_ATTRIBUTE nothing[] = { { CKA_LABEL, NULL, 5 } };
    CK_ATTRIBUTE unknown[] = { { CKA_LABEL, &yes, CK_UNAVAILABLE_INFORMATION } };
    CK_ATTRIBUTE empty[] = { { CKA_LABEL, NULL, 0 } };

    CU_ASSERT_EQUAL(read_template(nothing, 1), KL_ATTR_VALUE);
    CU_ASSERT_EQUAL(read_template(unknown, 1), KL_ATTR_VALUE);
    CU_ASSERT_EQUAL(read_template(empty, 1), KL_OK);
}

static void an_attribute_may_be_said_twice_but_not_in_two_ways(void)
{
    CK_ATTRIBUTE same[] = { BOOL(CKA_ENCRYPT, yes), BOOL(CKA_ENCRYPT, yes) };
    CK_ATTRIBUTE other[] = { BOOL(CKA_ENCRYPT, yes), BOOL(CKA_ENCRYPT, no) };

    CU_ASSERT_EQUAL(read_template(same, 2), KL_OK);
    CU_ASSERT_EQUAL(read_template(other, 2), KL_TEMPLATE);
}

static void what_a_template_leaves_out_is_the_safe_value(void)
{
    struct kl_draft draft;

    CU_ASSERT_EQUAL(make(NULL, 0, &draft), KL_OK);
    CU_ASSERT(
        kl_record_has(&draft.record, KL_FLAG_PRIVATE | KL_FLAG_SENSITIVE | KL_FLAG_MODIFIABLE | KL_FLAG_COPYABLE | KL_FLAG_DESTROYABLE));
    CU_ASSERT_EQUAL(draft.record.flags & (KL_FLAG_EXTRACTABLE | KL_FLAG_TRUSTED | KL_FLAG_LOCAL), 0);
    CU_ASSERT_FALSE(draft.is_token);
    kl_draft_begin(&draft, CKO_DATA);
    CU_ASSERT(kl_record_has(&draft.record, KL_FLAG_PRIVATE));
    CU_ASSERT_FALSE(kl_record_has(&draft.record, KL_FLAG_SENSITIVE));
}

static void flags_go_where_the_template_says(void)
{
    CK_ATTRIBUTE attributes[] = { BOOL(CKA_ENCRYPT, yes), BOOL(CKA_SENSITIVE, no), BOOL(CKA_EXTRACTABLE, yes), BOOL(CKA_TOKEN, yes) };
    struct kl_draft draft;

    CU_ASSERT_EQUAL(make(attributes, COUNT(attributes), &draft), KL_OK);
    CU_ASSERT(kl_record_has(&draft.record, KL_FLAG_ENCRYPT | KL_FLAG_EXTRACTABLE));
    CU_ASSERT_FALSE(kl_record_has(&draft.record, KL_FLAG_SENSITIVE));
    CU_ASSERT_EQUAL(draft.named, KL_FLAG_ENCRYPT | KL_FLAG_SENSITIVE | KL_FLAG_EXTRACTABLE);
    CU_ASSERT(draft.is_token);
}

static void an_unknown_attribute_is_refused_and_not_dropped(void)
{
    CK_ATTRIBUTE vendor[] = { BOOL(CKA_VENDOR_DEFINED | 0x12345, yes) };
    CK_ATTRIBUTE foreign[] = { BOOL(CKA_MODULUS, yes) };
    CK_ATTRIBUTE check_value[] = { TEXT(CKA_CHECK_VALUE, "abc") };
    struct kl_draft draft;

    CU_ASSERT_EQUAL(make(vendor, 1, &draft), KL_ATTR_TYPE);
    CU_ASSERT_EQUAL(make(foreign, 1, &draft), KL_ATTR_TYPE);
    CU_ASSERT_EQUAL(make(check_value, 1, &draft), KL_ATTR_TYPE);
}

static void what_the_token_decides_nobody_sets(void)
{
    static const CK_ATTRIBUTE_TYPE flags[] = { CKA_LOCAL,      CKA_ALWAYS_SENSITIVE,  CKA_NEVER_EXTRACTABLE,
                                               CKA_UNIQUE_ID,  CKA_KEY_GEN_MECHANISM, CKA_KL_LEVEL,
                                               CKA_KL_VERSION, CKA_KL_STATE,          CKA_KL_PARENT,
                                               CKA_KL_ROOT,    CKA_KL_NEXT_ROTATION };
    static const unsigned places[] = { KL_ON_CREATE, KL_ON_GENERATE, KL_ON_DERIVE, KL_ON_UNWRAP, KL_ON_COPY, KL_MODIFY };
    struct kl_draft draft;

    for (size_t i = 0; i < COUNT(flags); i++) {
        CK_ATTRIBUTE attributes[] = { BOOL(flags[i], no) };

        for (size_t p = 0; p < COUNT(places); p++) {
            kl_draft_begin(&draft, CKO_SECRET_KEY);
            CU_ASSERT_EQUAL(apply(&draft, attributes, 1, places[p]), KL_ATTR_READ_ONLY);
        }
    }
}

static void a_value_is_brought_in_by_creation_alone(void)
{
    CK_ATTRIBUTE attributes[] = { TEXT(CKA_VALUE, "0123456789abcdef") };
    static const unsigned others[] = { KL_ON_GENERATE, KL_ON_DERIVE, KL_ON_UNWRAP, KL_ON_COPY, KL_MODIFY };
    struct kl_draft draft;

    CU_ASSERT_EQUAL(make(attributes, 1, &draft), KL_OK);
    CU_ASSERT(draft.has_value && draft.value.len == 16);
    for (size_t i = 0; i < COUNT(others); i++) {
        kl_draft_begin(&draft, CKO_SECRET_KEY);
        CU_ASSERT_EQUAL(apply(&draft, attributes, 1, others[i]), KL_ATTR_READ_ONLY);
    }
}

static void class_type_and_length_are_fixed_once_made(void)
{
    CK_ULONG number = CKO_SECRET_KEY;
    static const CK_ATTRIBUTE_TYPE types[] = { CKA_CLASS, CKA_KEY_TYPE, CKA_VALUE_LEN };
    struct kl_draft draft;

    for (size_t i = 0; i < COUNT(types); i++) {
        CK_ATTRIBUTE attributes[] = { { types[i], &number, sizeof number } };

        kl_draft_begin(&draft, CKO_SECRET_KEY);
        CU_ASSERT_EQUAL(apply(&draft, attributes, 1, KL_MODIFY), KL_ATTR_READ_ONLY);
        CU_ASSERT_EQUAL(apply(&draft, attributes, 1, KL_ON_COPY), KL_ATTR_READ_ONLY);
    }
}

static void another_class_than_the_calls_contradicts_it(void)
{
    CK_OBJECT_CLASS data = CKO_DATA;
    CK_ATTRIBUTE wrong[] = { { CKA_CLASS, &data, sizeof data } };
    CK_ATTRIBUTE right[] = { { CKA_CLASS, &secret_key, sizeof secret_key } };
    struct kl_draft draft;

    CU_ASSERT_EQUAL(make(wrong, 1, &draft), KL_TEMPLATE);
    CU_ASSERT_EQUAL(make(right, 1, &draft), KL_OK);
}

static void nobody_trusts_his_own_key_but_the_security_officer_may(void)
{
    CK_ATTRIBUTE trusted[] = { BOOL(CKA_TRUSTED, yes) };
    CK_ATTRIBUTE untrusted[] = { BOOL(CKA_TRUSTED, no) };
    struct kl_applying officer = { .how = KL_MODIFY, .is_so = true };
    struct kl_asked asked;
    struct kl_draft draft;

    CU_ASSERT_EQUAL(make(trusted, 1, &draft), KL_ATTR_READ_ONLY);
    CU_ASSERT_EQUAL(make(untrusted, 1, &draft), KL_OK);
    CU_ASSERT_EQUAL(apply(&draft, trusted, 1, KL_MODIFY), KL_ATTR_READ_ONLY);
    CU_ASSERT_EQUAL(kl_asked_read(trusted, 1, &asked), KL_OK);
    CU_ASSERT_EQUAL(kl_draft_apply(&draft, &asked, officer), KL_OK);
    CU_ASSERT(kl_record_has(&draft.record, KL_FLAG_TRUSTED));
    CU_ASSERT_EQUAL(apply(&draft, untrusted, 1, KL_MODIFY), KL_ATTR_READ_ONLY);
}

static void a_label_of_the_ladder_stays(void)
{
    CK_ATTRIBUTE attributes[] = { TEXT(CKA_LABEL, "other") };
    struct kl_draft draft;

    kl_draft_begin(&draft, CKO_SECRET_KEY);
    CU_ASSERT_EQUAL(apply(&draft, attributes, 1, KL_MODIFY), KL_OK);
    draft.record.level = KL_LEVEL_DEK;
    CU_ASSERT_EQUAL(apply(&draft, attributes, 1, KL_MODIFY), KL_ATTR_READ_ONLY);
}

static void dates_of_a_key_that_exists_only_come_closer(void)
{
    CK_ATTRIBUTE end[] = { TEXT(CKA_END_DATE, "20300101") };
    CK_ATTRIBUTE sooner[] = { TEXT(CKA_END_DATE, "20291231") };
    CK_ATTRIBUTE later[] = { TEXT(CKA_END_DATE, "20300102") };
    CK_ATTRIBUTE never[] = { { CKA_END_DATE, NULL, 0 } };
    struct kl_draft draft;

    CU_ASSERT_EQUAL(make(end, 1, &draft), KL_OK);
    CU_ASSERT_EQUAL(apply(&draft, later, 1, KL_MODIFY), KL_ATTR_READ_ONLY);
    CU_ASSERT_EQUAL(apply(&draft, never, 1, KL_MODIFY), KL_ATTR_READ_ONLY);
    CU_ASSERT_EQUAL(apply(&draft, sooner, 1, KL_MODIFY), KL_OK);
    CU_ASSERT(memcmp(draft.record.end_date, "20291231", 8) == 0);
}

static void extras_stand_in_order_and_are_replaced_in_place(void)
{
    struct kl_draft draft;

    kl_draft_begin(&draft, CKO_DATA);
    CU_ASSERT_EQUAL(kl_draft_extra(&draft, CKA_OBJECT_ID, kl_view_text("c")), KL_OK);
    CU_ASSERT_EQUAL(kl_draft_extra(&draft, CKA_APPLICATION, kl_view_text("a")), KL_OK);
    CU_ASSERT_EQUAL(kl_draft_extra(&draft, CKA_VALUE, kl_view_text("b")), KL_OK);
    CU_ASSERT_EQUAL(kl_draft_extra(&draft, CKA_VALUE, kl_view_text("B")), KL_OK);
    CU_ASSERT_EQUAL(draft.record.extra_count, 3);
    CU_ASSERT(draft.extras[0].type == CKA_APPLICATION && draft.extras[1].type == CKA_VALUE && draft.extras[2].type == CKA_OBJECT_ID);
    CU_ASSERT(kl_view_is(draft.extras[1].value, kl_view_text("B")));
    kl_draft_drop_extra(&draft, CKA_VALUE);
    CU_ASSERT(draft.record.extra_count == 2 && draft.extras[1].type == CKA_OBJECT_ID);
}

static void there_is_an_end_to_extras(void)
{
    struct kl_draft draft;

    kl_draft_begin(&draft, CKO_DATA);
    for (uint64_t i = 0; i < KL_EXTRAS_MAX; i++) CU_ASSERT_EQUAL(kl_draft_extra(&draft, i, kl_view_text("x")), KL_OK);
    CU_ASSERT_EQUAL(kl_draft_extra(&draft, KL_EXTRAS_MAX, kl_view_text("x")), KL_TEMPLATE);
    CU_ASSERT_EQUAL(kl_draft_extra(&draft, 0, kl_view_text("y")), KL_OK);
}

UNIT_MAIN("token/draft", UNIT(a_template_may_be_packed_and_misaligned), UNIT(a_count_needs_an_array_and_has_a_bound),
          UNIT(a_value_that_is_not_there_is_refused), UNIT(an_attribute_may_be_said_twice_but_not_in_two_ways),
          UNIT(what_a_template_leaves_out_is_the_safe_value), UNIT(flags_go_where_the_template_says),
          UNIT(an_unknown_attribute_is_refused_and_not_dropped), UNIT(what_the_token_decides_nobody_sets),
          UNIT(a_value_is_brought_in_by_creation_alone), UNIT(class_type_and_length_are_fixed_once_made),
          UNIT(another_class_than_the_calls_contradicts_it), UNIT(nobody_trusts_his_own_key_but_the_security_officer_may),
          UNIT(a_label_of_the_ladder_stays), UNIT(dates_of_a_key_that_exists_only_come_closer),
          UNIT(extras_stand_in_order_and_are_replaced_in_place), UNIT(there_is_an_end_to_extras))
