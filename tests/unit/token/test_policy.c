/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/policy.h"

#include "../unit.h"

#define ENCRYPT KL_FLAG_ENCRYPT
#define DECRYPT KL_FLAG_DECRYPT
#define COUNT(array) (sizeof(array) / sizeof *(array))

static const uint32_t usages[] = { KL_FLAG_ENCRYPT, KL_FLAG_DECRYPT, KL_FLAG_SIGN,  KL_FLAG_VERIFY,
                                   KL_FLAG_WRAP,    KL_FLAG_UNWRAP,  KL_FLAG_DERIVE };
/* Which usages make one role, in the order above. */
static const unsigned role_of[] = { 0, 0, 1, 1, 2, 2, 3 };
static const uint8_t today[8] = { '2', '0', '2', '6', '1', '1', '2', '2' };

static void a_free_key_has_one_role_in_every_combination(void)
{
    for (uint32_t bits = 0; bits < 1u << COUNT(usages); bits++) {
        uint32_t flags = 0, roles = 0;

        for (size_t i = 0; i < COUNT(usages); i++) {
            if (!(bits & 1u << i)) continue;
            flags |= usages[i];
            roles |= 1u << role_of[i];
        }
        CU_ASSERT_EQUAL(kl_policy_new_free(flags), (roles & (roles - 1)) == 0 ? KL_OK : KL_TEMPLATE);
    }
}

static void a_default_usage_is_one_role_too(void)
{
    static const uint64_t types[] = { KL_TYPE_AES, KL_TYPE_GENERIC, KL_TYPE_CHACHA20, KL_TYPE_HKDF };

    for (size_t i = 0; i < COUNT(types); i++) CU_ASSERT_EQUAL(kl_policy_new_free(kl_policy_default_usage(KL_LEVEL_FREE, types[i])), KL_OK);
    CU_ASSERT_EQUAL(kl_policy_default_usage(KL_LEVEL_FREE, KL_TYPE_AES), ENCRYPT | DECRYPT);
    CU_ASSERT_EQUAL(kl_policy_default_usage(KL_LEVEL_FREE, KL_TYPE_HKDF), KL_FLAG_DERIVE);
    CU_ASSERT_EQUAL(kl_policy_default_usage(KL_LEVEL_FREE, KL_TYPE_GENERIC), KL_FLAG_SIGN | KL_FLAG_VERIFY);
    CU_ASSERT_EQUAL(kl_policy_default_usage(KL_LEVEL_DEK, KL_TYPE_AES), ENCRYPT | DECRYPT | KL_FLAG_DERIVE);
    CU_ASSERT_EQUAL(kl_policy_default_usage(KL_LEVEL_REK, KL_TYPE_AES), ENCRYPT | DECRYPT);
}

static void a_flag_goes_one_way_in_changes_and_copies(void)
{
    static const struct {
        unsigned rules;
        bool from, to;
        enum kl_rc rc;
    } cases[] = {
        { KL_ONLY_UP, false, true, KL_OK },
        { KL_ONLY_UP, true, false, KL_ATTR_READ_ONLY },
        { KL_ONLY_DOWN, true, false, KL_OK },
        { KL_ONLY_DOWN, false, true, KL_ATTR_READ_ONLY },
        { KL_ONLY_DOWN | KL_LOCKED, true, false, KL_OK },
        { KL_ONLY_DOWN | KL_LOCKED, false, true, KL_PROHIBITED },
        { KL_ONLY_UP, true, true, KL_OK },
        { KL_ONLY_DOWN, false, false, KL_OK },
        { 0, false, true, KL_OK },
        { 0, true, false, KL_OK },
    };
    static const unsigned places[] = { KL_MODIFY, KL_ON_COPY };

    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t p = 0; p < COUNT(places); p++) {
            struct kl_applying applying = { places[p], false };

            CU_ASSERT_EQUAL(kl_policy_flag(cases[i].rules, applying, cases[i].from, cases[i].to), cases[i].rc);
        }
    }
}

static void a_new_key_may_have_a_flag_either_way(void)
{
    struct kl_applying making = { KL_ON_CREATE, false };

    CU_ASSERT_EQUAL(kl_policy_flag(KL_ONLY_UP, making, true, false), KL_OK);
    CU_ASSERT_EQUAL(kl_policy_flag(KL_ONLY_DOWN | KL_LOCKED, making, false, true), KL_OK);
}

static void dates_only_narrow(void)
{
    static const uint8_t none[8], early[8] = "20260101", late[8] = "20270101";

    CU_ASSERT_EQUAL(kl_policy_date(true, none, late), KL_OK);
    CU_ASSERT_EQUAL(kl_policy_date(true, late, early), KL_OK);
    CU_ASSERT_EQUAL(kl_policy_date(true, early, late), KL_ATTR_READ_ONLY);
    CU_ASSERT_EQUAL(kl_policy_date(true, early, none), KL_ATTR_READ_ONLY);
    CU_ASSERT_EQUAL(kl_policy_date(false, early, late), KL_OK);
    CU_ASSERT_EQUAL(kl_policy_date(false, late, early), KL_ATTR_READ_ONLY);
    CU_ASSERT_EQUAL(kl_policy_date(false, late, late), KL_OK);
}

static void a_ladder_key_is_not_asked_to_be_weaker(void)
{
    static const uint32_t never[] = { KL_FLAG_EXTRACTABLE, KL_FLAG_COPYABLE, KL_FLAG_DESTROYABLE };
    static const uint32_t always[] = { KL_FLAG_PRIVATE, KL_FLAG_SENSITIVE };
    uint32_t safe = KL_FLAG_PRIVATE | KL_FLAG_SENSITIVE;

    CU_ASSERT_EQUAL(kl_policy_new_ladder(KL_LEVEL_DEK, true, safe, safe), KL_OK);
    for (size_t i = 0; i < COUNT(never); i++) {
        CU_ASSERT_EQUAL(kl_policy_new_ladder(KL_LEVEL_DEK, true, safe | never[i], never[i]), KL_TEMPLATE);
        /* A default that nobody named is put right without a word. */
        CU_ASSERT_EQUAL(kl_policy_new_ladder(KL_LEVEL_DEK, true, safe | never[i], 0), KL_OK);
    }
    for (size_t i = 0; i < COUNT(always); i++)
        CU_ASSERT_EQUAL(kl_policy_new_ladder(KL_LEVEL_FEK, true, safe & ~always[i], always[i]), KL_TEMPLATE);
    CU_ASSERT_EQUAL(kl_policy_new_ladder(KL_LEVEL_REK, false, safe | KL_FLAG_DESTROYABLE, KL_FLAG_DESTROYABLE), KL_OK);
}

static void a_record_key_has_no_children(void)
{
    CU_ASSERT_EQUAL(kl_policy_new_ladder(KL_LEVEL_REK, false, KL_FLAG_DERIVE, KL_FLAG_DERIVE), KL_TEMPLATE);
    CU_ASSERT_EQUAL(kl_policy_new_ladder(KL_LEVEL_FEK, true, KL_FLAG_DERIVE, KL_FLAG_DERIVE), KL_OK);
}

static void a_child_is_no_weaker_than_its_base(void)
{
    uint32_t sealed = KL_FLAG_PRIVATE | KL_FLAG_SENSITIVE | KL_FLAG_ALWAYS_SENSITIVE | KL_FLAG_NEVER_EXTRACTABLE;
    uint32_t flags = KL_FLAG_PRIVATE;

    CU_ASSERT_EQUAL(kl_policy_inherit(sealed, KL_FLAG_SENSITIVE, &flags), KL_TEMPLATE);
    flags = KL_FLAG_PRIVATE;
    CU_ASSERT_EQUAL(kl_policy_inherit(sealed, 0, &flags), KL_OK);
    CU_ASSERT(flags & KL_FLAG_SENSITIVE);
    flags = KL_FLAG_PRIVATE | KL_FLAG_SENSITIVE | KL_FLAG_EXTRACTABLE;
    CU_ASSERT_EQUAL(kl_policy_inherit(sealed, KL_FLAG_EXTRACTABLE, &flags), KL_TEMPLATE);
    flags = KL_FLAG_SENSITIVE;
    CU_ASSERT_EQUAL(kl_policy_inherit(sealed, KL_FLAG_PRIVATE, &flags), KL_TEMPLATE);
}

static void history_is_inherited_and_never_made_up(void)
{
    uint32_t clean =
        KL_FLAG_PRIVATE | KL_FLAG_SENSITIVE | KL_FLAG_ALWAYS_SENSITIVE | KL_FLAG_NEVER_EXTRACTABLE | KL_FLAG_LOCAL | KL_FLAG_GENERATED;
    uint32_t stained = KL_FLAG_PRIVATE | KL_FLAG_SENSITIVE;
    uint32_t flags = stained;

    CU_ASSERT_EQUAL(kl_policy_inherit(clean, 0, &flags), KL_OK);
    CU_ASSERT_EQUAL(flags & (KL_FLAG_ALWAYS_SENSITIVE | KL_FLAG_NEVER_EXTRACTABLE), KL_FLAG_ALWAYS_SENSITIVE | KL_FLAG_NEVER_EXTRACTABLE);
    CU_ASSERT_EQUAL(flags & (KL_FLAG_LOCAL | KL_FLAG_GENERATED), 0);
    CU_ASSERT_EQUAL(kl_policy_inherit(stained, 0, &flags), KL_OK);
    CU_ASSERT_EQUAL(flags & (KL_FLAG_ALWAYS_SENSITIVE | KL_FLAG_NEVER_EXTRACTABLE), 0);
    CU_ASSERT_EQUAL(kl_policy_history_imported(clean), KL_FLAG_PRIVATE | KL_FLAG_SENSITIVE);
    CU_ASSERT_EQUAL(kl_policy_history_generated(KL_FLAG_SENSITIVE),
                    KL_FLAG_SENSITIVE | KL_FLAG_ALWAYS_SENSITIVE | KL_FLAG_NEVER_EXTRACTABLE | KL_FLAG_LOCAL | KL_FLAG_GENERATED);
    CU_ASSERT_EQUAL(kl_policy_history_generated(KL_FLAG_EXTRACTABLE), KL_FLAG_EXTRACTABLE | KL_FLAG_LOCAL | KL_FLAG_GENERATED);
}

static void only_what_is_neither_sensitive_nor_held_back_is_readable(void)
{
    CU_ASSERT(kl_policy_is_readable(KL_FLAG_EXTRACTABLE));
    CU_ASSERT_FALSE(kl_policy_is_readable(0));
    CU_ASSERT_FALSE(kl_policy_is_readable(KL_FLAG_SENSITIVE));
    CU_ASSERT_FALSE(kl_policy_is_readable(KL_FLAG_SENSITIVE | KL_FLAG_EXTRACTABLE));
}

static enum kl_rc use(enum kl_level level, enum kl_state state, uint32_t usage)
{
    struct kl_record record = { .level = level, .state = state, .flags = usage };

    return kl_policy_use(&record, state, usage, today);
}

static void a_usage_that_is_not_set_is_refused(void)
{
    struct kl_record record = { .level = KL_LEVEL_FREE, .state = KL_STATE_ACTIVE, .flags = DECRYPT };

    CU_ASSERT_EQUAL(kl_policy_use(&record, KL_STATE_ACTIVE, DECRYPT, today), KL_OK);
    CU_ASSERT_EQUAL(kl_policy_use(&record, KL_STATE_ACTIVE, ENCRYPT, today), KL_KEY_FUNCTION);
}

static void a_state_says_what_a_version_is_good_for(void)
{
    CU_ASSERT_EQUAL(use(KL_LEVEL_FEK, KL_STATE_ACTIVE, ENCRYPT), KL_OK);
    CU_ASSERT_EQUAL(use(KL_LEVEL_FEK, KL_STATE_RETIRING, ENCRYPT), KL_OK);
    CU_ASSERT_EQUAL(use(KL_LEVEL_FEK, KL_STATE_DEACTIVATED, ENCRYPT), KL_KEY_FUNCTION);
    CU_ASSERT_EQUAL(use(KL_LEVEL_FEK, KL_STATE_DEACTIVATED, DECRYPT), KL_OK);
    CU_ASSERT_EQUAL(use(KL_LEVEL_FEK, KL_STATE_COMPROMISED, ENCRYPT), KL_KEY_FUNCTION);
    CU_ASSERT_EQUAL(use(KL_LEVEL_FEK, KL_STATE_COMPROMISED, DECRYPT), KL_OK);
    CU_ASSERT_EQUAL(use(KL_LEVEL_FEK, KL_STATE_PENDING_DELETION, DECRYPT), KL_KEY_FUNCTION);
    CU_ASSERT_EQUAL(use(KL_LEVEL_FEK, KL_STATE_DESTROYED, KL_FLAG_DERIVE), KL_KEY_FUNCTION);
}

static void a_record_key_is_as_good_as_the_version_it_comes_from(void)
{
    struct kl_record record = { .level = KL_LEVEL_REK, .state = KL_STATE_ACTIVE, .flags = ENCRYPT | DECRYPT };

    CU_ASSERT_EQUAL(kl_policy_use(&record, KL_STATE_DEACTIVATED, ENCRYPT, today), KL_KEY_FUNCTION);
    CU_ASSERT_EQUAL(kl_policy_use(&record, KL_STATE_DEACTIVATED, DECRYPT, today), KL_OK);
    CU_ASSERT_EQUAL(kl_policy_use(&record, KL_STATE_DESTROYED, DECRYPT, today), KL_KEY_FUNCTION);
}

static void dates_bind_a_free_key_and_inform_on_the_ladder(void)
{
    struct kl_record record = { .level = KL_LEVEL_FREE, .state = KL_STATE_ACTIVE, .flags = ENCRYPT | DECRYPT };

    memcpy(record.end_date, "20261121", 8);
    CU_ASSERT_EQUAL(kl_policy_use(&record, KL_STATE_ACTIVE, ENCRYPT, today), KL_KEY_FUNCTION);
    CU_ASSERT_EQUAL(kl_policy_use(&record, KL_STATE_ACTIVE, DECRYPT, today), KL_OK);
    memcpy(record.end_date, "20261122", 8);
    CU_ASSERT_EQUAL(kl_policy_use(&record, KL_STATE_ACTIVE, ENCRYPT, today), KL_OK);
    memcpy(record.start_date, "20261123", 8);
    CU_ASSERT_EQUAL(kl_policy_use(&record, KL_STATE_ACTIVE, ENCRYPT, today), KL_KEY_FUNCTION);
    record.level = KL_LEVEL_FEK;
    CU_ASSERT_EQUAL(kl_policy_use(&record, KL_STATE_ACTIVE, ENCRYPT, today), KL_OK);
}

UNIT_MAIN("token/policy", UNIT(a_free_key_has_one_role_in_every_combination), UNIT(a_default_usage_is_one_role_too),
          UNIT(a_flag_goes_one_way_in_changes_and_copies), UNIT(a_new_key_may_have_a_flag_either_way), UNIT(dates_only_narrow),
          UNIT(a_ladder_key_is_not_asked_to_be_weaker), UNIT(a_record_key_has_no_children), UNIT(a_child_is_no_weaker_than_its_base),
          UNIT(history_is_inherited_and_never_made_up), UNIT(only_what_is_neither_sensitive_nor_held_back_is_readable),
          UNIT(a_usage_that_is_not_set_is_refused), UNIT(a_state_says_what_a_version_is_good_for),
          UNIT(a_record_key_is_as_good_as_the_version_it_comes_from), UNIT(dates_bind_a_free_key_and_inform_on_the_ladder))
