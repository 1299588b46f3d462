/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/attr.h"

#include "../unit.h"
#include "token/draft.h"

static struct kl_view bytes(const void *data, size_t len)
{
    return kl_view_of(data, len);
}

static const struct kl_attr_spec *row(CK_OBJECT_CLASS class, CK_ATTRIBUTE_TYPE type)
{
    return kl_attr_find(kl_attr_table_of(class), type);
}

static void rows_ascend_and_none_stands_twice(void)
{
    for (size_t t = 0; t < kl_attr_table_count; t++) {
        for (size_t i = 1; i < kl_attr_tables[t].count; i++) CU_ASSERT(kl_attr_tables[t].rows[i - 1].type < kl_attr_tables[t].rows[i].type);
    }
}

static void every_row_is_found_and_nothing_else(void)
{
    for (size_t t = 0; t < kl_attr_table_count; t++) {
        const struct kl_attr_table *table = &kl_attr_tables[t];

        for (size_t i = 0; i < table->count; i++) CU_ASSERT_PTR_EQUAL(kl_attr_find(table, table->rows[i].type), &table->rows[i]);
        CU_ASSERT_PTR_NULL(kl_attr_find(table, CKA_CHECK_VALUE));
        CU_ASSERT_PTR_NULL(kl_attr_find(table, CKA_MODULUS));
        CU_ASSERT_PTR_NULL(kl_attr_find(table, CK_UNAVAILABLE_INFORMATION));
    }
    CU_ASSERT_PTR_NULL(kl_attr_table_of(CKO_PUBLIC_KEY));
    CU_ASSERT_PTR_NULL(row(CKO_DATA, CKA_SENSITIVE));
}

static void a_flag_has_a_row_of_its_own_or_functions(void)
{
    uint32_t seen = 0;
    const struct kl_attr_table *table = kl_attr_table_of(CKO_SECRET_KEY);

    for (size_t i = 0; i < table->count; i++) {
        const struct kl_attr_spec *spec = &table->rows[i];

        if (spec->form != KL_BOOL) continue;
        CU_ASSERT((spec->flag != 0) != (spec->get != NULL));
        CU_ASSERT((seen & spec->flag) == 0);
        seen |= spec->flag;
    }
}

static void whatever_a_template_may_hold_can_be_set(void)
{
    for (size_t t = 0; t < kl_attr_table_count; t++) {
        for (size_t i = 0; i < kl_attr_tables[t].count; i++) {
            const struct kl_attr_spec *spec = &kl_attr_tables[t].rows[i];
            bool is_settable = (spec->rules & (KL_ON_MAKE | KL_ON_COPY | KL_MODIFY)) != 0;

            if (is_settable && spec->form == KL_NUMBER) CU_ASSERT_PTR_NOT_NULL(spec->set);
            if (!is_settable) CU_ASSERT_PTR_NULL(spec->set);
        }
    }
}

static void a_boolean_is_0_or_1_in_one_byte(void)
{
    const struct kl_attr_spec *spec = row(CKO_SECRET_KEY, CKA_ENCRYPT);

    CU_ASSERT_EQUAL(kl_attr_check(spec, bytes("\0", 1)), KL_OK);
    CU_ASSERT_EQUAL(kl_attr_check(spec, bytes("\1", 1)), KL_OK);
    CU_ASSERT_EQUAL(kl_attr_check(spec, bytes("\2", 1)), KL_ATTR_VALUE);
    CU_ASSERT_EQUAL(kl_attr_check(spec, bytes("\xff", 1)), KL_ATTR_VALUE);
    CU_ASSERT_EQUAL(kl_attr_check(spec, bytes("\1\0\0\0", 4)), KL_ATTR_VALUE);
    CU_ASSERT_EQUAL(kl_attr_check(spec, bytes("", 0)), KL_ATTR_VALUE);
    CU_ASSERT_EQUAL(kl_attr_check(spec, bytes(NULL, 1)), KL_ATTR_VALUE);
}

static void a_number_has_the_size_of_a_ck_ulong(void)
{
    const struct kl_attr_spec *spec = row(CKO_SECRET_KEY, CKA_VALUE_LEN);
    CK_ULONG number = 0x0102030405060708;
    char shifted[sizeof number + 1];

    CU_ASSERT_EQUAL(kl_attr_check(spec, bytes(&number, sizeof number)), KL_OK);
    CU_ASSERT_EQUAL(kl_attr_check(spec, bytes(&number, 4)), KL_ATTR_VALUE);
    CU_ASSERT_EQUAL(kl_attr_check(spec, bytes(&number, 0)), KL_ATTR_VALUE);
    memcpy(shifted + 1, &number, sizeof number);
    CU_ASSERT_EQUAL(kl_attr_number(bytes(shifted + 1, sizeof number)), number);
}

static void a_date_is_one_of_the_calendar_or_empty(void)
{
    static const char *const good[] = { "", "20240229", "20000229", "19991231", "00010101" };
    static const char *const bad[] = { "20230229", "19000229", "20241301",  "20240001", "20240100",
                                       "20240431", "2024010",  "202401011", "2024-1-1", "00000101" };
    const struct kl_attr_spec *spec = row(CKO_SECRET_KEY, CKA_END_DATE);

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) CU_ASSERT_EQUAL(kl_attr_check(spec, kl_view_text(good[i])), KL_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CU_ASSERT_EQUAL(kl_attr_check(spec, kl_view_text(bad[i])), KL_ATTR_VALUE);
}

static void a_list_of_mechanisms_is_neither_empty_nor_cut_nor_endless(void)
{
    static const CK_MECHANISM_TYPE many[KL_MECHANISMS_MAX + 1];
    const struct kl_attr_spec *spec = row(CKO_SECRET_KEY, CKA_ALLOWED_MECHANISMS);

    CU_ASSERT_EQUAL(kl_attr_check(spec, bytes(many, sizeof *many)), KL_OK);
    CU_ASSERT_EQUAL(kl_attr_check(spec, bytes(many, KL_MECHANISMS_MAX * sizeof *many)), KL_OK);
    CU_ASSERT_EQUAL(kl_attr_check(spec, bytes(many, sizeof many)), KL_ATTR_VALUE);
    CU_ASSERT_EQUAL(kl_attr_check(spec, bytes(many, 0)), KL_ATTR_VALUE);
    CU_ASSERT_EQUAL(kl_attr_check(spec, bytes(many, sizeof *many + 1)), KL_ATTR_VALUE);
}

static void a_label_has_a_longest_length(void)
{
    static const char long_one[KL_ROW_LABEL_MAX + 1];
    const struct kl_attr_spec *spec = row(CKO_DATA, CKA_LABEL);

    CU_ASSERT_EQUAL(kl_attr_check(spec, bytes(long_one, KL_ROW_LABEL_MAX)), KL_OK);
    CU_ASSERT_EQUAL(kl_attr_check(spec, bytes(long_one, KL_ROW_LABEL_MAX + 1)), KL_ATTR_VALUE);
    CU_ASSERT_EQUAL(kl_attr_check(spec, bytes(NULL, 0)), KL_OK);
}

static void a_unique_id_is_a_uuid_and_comes_back(void)
{
    static const uint8_t id[KL_ROW_ID_LEN] = { 0x00, 0x01, 0x02, 0x03, 0x40, 0x5a, 0xff, 0xfe,
                                               0x80, 0x90, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0x0f };
    uint8_t back[KL_ROW_ID_LEN];
    char text[KL_UUID_TEXT];

    kl_uuid_text(id, text);
    CU_ASSERT(memcmp(text, "00010203-405a-fffe-8090-aabbccddee0f", KL_UUID_TEXT) == 0);
    CU_ASSERT(kl_uuid_from(bytes(text, sizeof text), back));
    CU_ASSERT(memcmp(id, back, sizeof id) == 0);
}

static void what_is_no_uuid_is_not_taken_for_one(void)
{
    static const char *const bad[] = { "",
                                       "00010203-405a-fffe-8090-aabbccddee0",
                                       "00010203-405a-fffe-8090-aabbccddee0ff",
                                       "00010203405a-fffe-8090-aabbccddee0f00",
                                       "00010203-405a-fffe-8090-aabbccddeeXf",
                                       "00010203-405A-FFFE-8090-AABBCCDDEE0F",
                                       "00010203_405a-fffe-8090-aabbccddee0f" };
    uint8_t id[KL_ROW_ID_LEN];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CU_ASSERT_FALSE(kl_uuid_from(kl_view_text(bad[i]), id));
}

static struct kl_view ask(CK_ATTRIBUTE_TYPE type, const struct kl_record *record, struct kl_scratch *scratch)
{
    struct kl_subject subject = { record, true };

    return kl_attr_get(row(record->class, type), &subject, scratch);
}

static void what_is_empty_is_there_all_the_same(void)
{
    static const CK_ATTRIBUTE_TYPE types[] = { CKA_LABEL, CKA_ID, CKA_START_DATE, CKA_END_DATE, CKA_ALLOWED_MECHANISMS };
    struct kl_record record = { .class = CKO_SECRET_KEY, .level = KL_LEVEL_FREE };
    struct kl_scratch scratch;

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct kl_view value = ask(types[i], &record, &scratch);

        CU_ASSERT_PTR_NOT_NULL(value.data);
        CU_ASSERT_EQUAL(value.len, 0);
    }
}

static void only_keys_of_the_ladder_know_their_place_in_it(void)
{
    static const CK_ATTRIBUTE_TYPE types[] = { CKA_KL_LEVEL, CKA_KL_VERSION, CKA_KL_STATE, CKA_KL_PARENT, CKA_KL_NEXT_ROTATION };
    struct kl_record free_key = { .class = CKO_SECRET_KEY, .level = KL_LEVEL_FREE };
    struct kl_record field = { .class = CKO_SECRET_KEY, .level = KL_LEVEL_FEK, .version = 3, .state = KL_STATE_ACTIVE };
    struct kl_scratch scratch;

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        CU_ASSERT_PTR_NULL(ask(types[i], &free_key, &scratch).data);
        CU_ASSERT_PTR_NOT_NULL(ask(types[i], &field, &scratch).data);
    }
    CU_ASSERT_EQUAL(kl_attr_number(ask(CKA_KL_LEVEL, &field, &scratch)), 2);
    CU_ASSERT_EQUAL(kl_attr_number(ask(CKA_KL_VERSION, &field, &scratch)), 3);
}

static void a_list_of_mechanisms_comes_back_as_it_was_set(void)
{
    CK_MECHANISM_TYPE list[] = { CKM_AES_GCM, CKM_KL_ENVELOPE };
    struct kl_scratch scratch;
    struct kl_draft draft;
    struct kl_view value;

    kl_draft_begin(&draft, CKO_SECRET_KEY);
    CU_ASSERT_EQUAL(row(CKO_SECRET_KEY, CKA_ALLOWED_MECHANISMS)->set(&draft, bytes(list, sizeof list)), KL_OK);
    value = ask(CKA_ALLOWED_MECHANISMS, &draft.record, &scratch);
    CU_ASSERT(kl_view_is(value, bytes(list, sizeof list)));
}

UNIT_MAIN("token/attr", UNIT(rows_ascend_and_none_stands_twice), UNIT(every_row_is_found_and_nothing_else),
          UNIT(a_flag_has_a_row_of_its_own_or_functions), UNIT(whatever_a_template_may_hold_can_be_set),
          UNIT(a_boolean_is_0_or_1_in_one_byte), UNIT(a_number_has_the_size_of_a_ck_ulong), UNIT(a_date_is_one_of_the_calendar_or_empty),
          UNIT(a_list_of_mechanisms_is_neither_empty_nor_cut_nor_endless), UNIT(a_label_has_a_longest_length),
          UNIT(a_unique_id_is_a_uuid_and_comes_back), UNIT(what_is_no_uuid_is_not_taken_for_one), UNIT(what_is_empty_is_there_all_the_same),
          UNIT(only_keys_of_the_ladder_know_their_place_in_it), UNIT(a_list_of_mechanisms_comes_back_as_it_was_set))
