/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What a session keeps of its last derivation (token/source.c) never shows but by its speed. */
#include "token/source.h"

#include "base/clock.h"
#include "base/secret.h"
#include "fixture.h"

#define KEY_BYTES "0123456789abcdef0123456789abcdef"

static struct kl_session *session;
static CK_OBJECT_HANDLE base;

static CK_OBJECT_HANDLE base_with(bool is_modifiable, const CK_ATTRIBUTE *more)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_HKDF),  A_TEXT(CKA_VALUE, KEY_BYTES),
                                A_BOOL(CKA_SENSITIVE, CK_FALSE),    A_BOOL(CKA_EXTRACTABLE, CK_TRUE), A_BOOL(CKA_MODIFIABLE, is_modifiable),
                                A_BOOL(CKA_DERIVE, CK_TRUE) };
    CK_ATTRIBUTE all[COUNT(template) + 1];
    CK_OBJECT_HANDLE made = 0;

    memcpy(all, template, sizeof template);
    if (more) all[COUNT(template)] = *more;
    CU_ASSERT_EQUAL(kl_object_create(session, all, COUNT(template) + (more ? 1 : 0), &made), KL_OK);
    return made;
}

static void begin(void)
{
    fixture_begin();
    session = session_new(CKF_RW_SESSION);
    log_in();
    base = base_with(true, NULL);
}

static void end(void)
{
    session_end(session);
    fixture_end();
}

static enum kl_rc derive_by(CK_MECHANISM_TYPE type, const CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *out)
{
    CK_HKDF_PARAMS hkdf = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, (CK_BYTE *)(uintptr_t) "info", 4 };
    CK_MECHANISM mechanism = { type, &hkdf, sizeof hkdf };

    *out = 0;
    return kl_object_derive(session, &mechanism, base, template, count, out);
}

static enum kl_rc derive_from(const CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *out)
{
    return derive_by(CKM_HKDF_DERIVE, template, count, out);
}

static CK_ULONG number_of(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, CK_ULONG len)
{
    CK_ULONG value = 0;
    CK_ATTRIBUTE ask[] = { { type, &value, len } };

    CU_ASSERT_EQUAL(kl_object_read(session, object, ask, 1), KL_OK);
    return value;
}

static bool flag(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type)
{
    return number_of(object, type, 1) == CK_TRUE;
}

/* --- the template --- */

static bool are_alike(CK_OBJECT_HANDLE a, CK_OBJECT_HANDLE b)
{
    static const CK_ATTRIBUTE_TYPE flags[] = { CKA_TOKEN,       CKA_PRIVATE, CKA_SENSITIVE, CKA_EXTRACTABLE,      CKA_ENCRYPT,
                                               CKA_DECRYPT,     CKA_SIGN,    CKA_VERIFY,    CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE,
                                               CKA_DESTROYABLE, CKA_LOCAL,   CKA_DERIVE };

    for (size_t i = 0; i < COUNT(flags); i++)
        if (flag(a, flags[i]) != flag(b, flags[i])) return false;
    return number_of(a, CKA_KEY_TYPE, 8) == number_of(b, CKA_KEY_TYPE, 8) &&
           number_of(a, CKA_VALUE_LEN, 8) == number_of(b, CKA_VALUE_LEN, 8);
}

static void a_template_that_comes_again_makes_the_same_kind_of_key(void)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES), A_ULONG(CKA_VALUE_LEN, 24), A_BOOL(CKA_ENCRYPT, CK_TRUE),
                                A_BOOL(CKA_EXTRACTABLE, CK_TRUE) };
    CK_ATTRIBUTE copy[COUNT(template)];
    CK_OBJECT_HANDLE first, again;

    begin();
    memcpy(copy, template, sizeof template);
    CU_ASSERT_EQUAL(derive_from(template, COUNT(template), &first), KL_OK);
    CU_ASSERT_PTR_NOT_NULL_FATAL(session->source);
    CU_ASSERT_TRUE(session->source->has_template);
    CU_ASSERT_EQUAL(derive_from(copy, COUNT(copy), &again), KL_OK);
    CU_ASSERT(first != again && are_alike(first, again));
    CU_ASSERT(flag(again, CKA_ENCRYPT) && !flag(again, CKA_DECRYPT) && flag(again, CKA_EXTRACTABLE));
    end();
}

static void one_that_differs_in_anything_is_read_anew(void)
{
    CK_BBOOL extractable = CK_FALSE;
    CK_ULONG len = 32;
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES), { CKA_VALUE_LEN, &len, sizeof len }, { CKA_EXTRACTABLE, &extractable, 1 } };
    CK_OBJECT_HANDLE key;

    begin();
    CU_ASSERT_EQUAL(derive_from(template, 3, &key), KL_OK);
    CU_ASSERT_FALSE(flag(key, CKA_EXTRACTABLE));
    /* A flag, a number, one attribute fewer, another type; the array is the same. */
    extractable = CK_TRUE;
    CU_ASSERT_EQUAL(derive_from(template, 3, &key), KL_OK);
    CU_ASSERT_TRUE(flag(key, CKA_EXTRACTABLE));
    len = 16;
    CU_ASSERT_EQUAL(derive_from(template, 3, &key), KL_OK);
    CU_ASSERT_EQUAL(number_of(key, CKA_VALUE_LEN, 8), 16);
    CU_ASSERT_EQUAL(derive_from(template, 2, &key), KL_OK);
    CU_ASSERT_FALSE(flag(key, CKA_EXTRACTABLE));
    template[2].type = CKA_COPYABLE;
    extractable = CK_FALSE;
    CU_ASSERT_EQUAL(derive_from(template, 3, &key), KL_OK);
    CU_ASSERT(!flag(key, CKA_COPYABLE) && !flag(key, CKA_EXTRACTABLE));
    end();
}

static void one_that_is_wrong_is_wrong_after_a_right_one_too(void)
{
    CK_ULONG len = 32;
    CK_BBOOL flag_value = CK_TRUE;
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES), { CKA_VALUE_LEN, &len, sizeof len }, { CKA_ENCRYPT, &flag_value, 1 } };
    CK_ATTRIBUTE bad[COUNT(template)];
    CK_OBJECT_HANDLE key;

    begin();
    CU_ASSERT_EQUAL(derive_from(template, 3, &key), KL_OK);
    len = 17;
    CU_ASSERT_EQUAL(derive_from(template, 3, &key), KL_ATTR_VALUE);
    len = 32;
    flag_value = 2;
    CU_ASSERT_EQUAL(derive_from(template, 3, &key), KL_ATTR_VALUE);
    flag_value = CK_TRUE;
    memcpy(bad, template, sizeof bad);
    bad[2].pValue = NULL;
    CU_ASSERT_EQUAL(derive_from(bad, 3, &key), KL_ATTR_VALUE);
    bad[2].ulValueLen = CK_UNAVAILABLE_INFORMATION;
    CU_ASSERT_EQUAL(derive_from(bad, 3, &key), KL_ATTR_VALUE);
    CU_ASSERT_EQUAL(derive_from(NULL, 3, &key), KL_ARG);
    CU_ASSERT_EQUAL(derive_from(template, 3, &key), KL_OK);
    CU_ASSERT_EQUAL(number_of(key, CKA_VALUE_LEN, 8), 32);
    end();
}

/* What the draft would borrow from the caller's memory, which may be gone at the next call. */
static void a_template_with_a_name_or_a_list_is_not_kept(void)
{
    CK_MECHANISM_TYPE allowed = CKM_AES_GCM;
    char label[] = "one";
    CK_ATTRIBUTE named[] = { A_ULONG(CKA_VALUE_LEN, 32), { CKA_LABEL, label, 3 } };
    CK_ATTRIBUTE with_id[] = { A_ULONG(CKA_VALUE_LEN, 32), { CKA_ID, label, 3 } };
    CK_ATTRIBUTE listed[] = { A_ULONG(CKA_VALUE_LEN, 32),
                              A_ULONG(CKA_KEY_TYPE, CKK_AES),
                              { CKA_ALLOWED_MECHANISMS, &allowed, sizeof allowed } };
    CK_OBJECT_HANDLE key;

    begin();
    CU_ASSERT_EQUAL(derive_from(listed, 3, &key), KL_OK);
    CU_ASSERT_FALSE(session->source->has_template);
    CU_ASSERT_EQUAL(derive_from(with_id, 2, &key), KL_OK);
    CU_ASSERT_FALSE(session->source->has_template);
    CU_ASSERT_EQUAL(derive_from(named, 2, &key), KL_OK);
    CU_ASSERT_FALSE(session->source->has_template);
    CU_ASSERT_EQUAL(find_label(session, "one"), key);
    memcpy(label, "two", 3);
    CU_ASSERT_EQUAL(derive_from(named, 2, &key), KL_OK);
    CU_ASSERT_EQUAL(find_label(session, "two"), key);
    end();
}

static void a_long_template_is_read_every_time(void)
{
    CK_ATTRIBUTE template[KL_SOURCE_ATTRS + 1];
    CK_ULONG len = 32;
    CK_OBJECT_HANDLE key;

    begin();
    /* v3.1 5.7: the same attribute with the same value may be named again. */
    for (size_t i = 0; i < COUNT(template); i++) template[i] = (CK_ATTRIBUTE){ CKA_VALUE_LEN, &len, sizeof len };
    CU_ASSERT_EQUAL(derive_from(template, COUNT(template) - 1, &key), KL_OK);
    CU_ASSERT_TRUE(session->source->has_template);
    CU_ASSERT_EQUAL(derive_from(template, COUNT(template), &key), KL_OK);
    CU_ASSERT_FALSE(session->source->has_template);
    end();
}

static void data_and_keys_do_not_share_a_template(void)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, 32) };
    CK_OBJECT_HANDLE key, data;

    begin();
    CU_ASSERT_EQUAL(derive_from(template, 1, &key), KL_OK);
    CU_ASSERT_EQUAL(derive_by(CKM_HKDF_DATA, template, 1, &data), KL_OK);
    CU_ASSERT_EQUAL(number_of(key, CKA_CLASS, 8), CKO_SECRET_KEY);
    CU_ASSERT_EQUAL(number_of(data, CKA_CLASS, 8), CKO_DATA);
    end();
}

/* --- the key --- */

static void what_the_base_imposes_is_imposed_as_soon_as_it_does(void)
{
    CK_ATTRIBUTE wish[] = { A_BOOL(CKA_EXTRACTABLE, CK_FALSE) };
    CK_ATTRIBUTE imposing = { CKA_DERIVE_TEMPLATE, wish, sizeof wish };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_EXTRACTABLE, CK_TRUE) };
    CK_OBJECT_HANDLE key;

    begin();
    CU_ASSERT_EQUAL(derive_from(template, 2, &key), KL_OK);
    base = base_with(true, &imposing);
    CU_ASSERT_EQUAL(derive_from(template, 2, &key), KL_TEMPLATE);
    CU_ASSERT_EQUAL(derive_from(template, 1, &key), KL_OK);
    CU_ASSERT_FALSE(flag(key, CKA_EXTRACTABLE));
    CU_ASSERT_EQUAL(derive_from(template, 1, &key), KL_OK);
    CU_ASSERT_FALSE(flag(key, CKA_EXTRACTABLE));
    end();
}

static void a_base_that_may_no_longer_derive_does_not(void)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, 32) };
    CK_ATTRIBUTE never[] = { A_BOOL(CKA_DERIVE, CK_FALSE) };
    CK_OBJECT_HANDLE key;
    struct kl_session *other;

    begin();
    CU_ASSERT_EQUAL(derive_from(template, 1, &key), KL_OK);
    other = session_new(CKF_RW_SESSION);
    CU_ASSERT_EQUAL(kl_object_write(other, base, never, 1), KL_OK);
    session_end(other);
    CU_ASSERT_EQUAL(derive_from(template, 1, &key), KL_KEY_FUNCTION);
    CU_ASSERT_PTR_NULL(session->source);
    end();
}

static void a_base_that_is_destroyed_is_let_go(void)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, 32) };
    CK_OBJECT_HANDLE key;
    size_t before;

    begin();
    before = kl_arena_stats().used;
    CU_ASSERT_EQUAL(derive_from(template, 1, &key), KL_OK);
    CU_ASSERT_EQUAL(kl_object_destroy(session, key), KL_OK);
    CU_ASSERT_PTR_NOT_NULL(session->source);
    CU_ASSERT_EQUAL(kl_object_destroy(session, base), KL_OK);
    CU_ASSERT_PTR_NULL(session->source);
    CU_ASSERT(kl_arena_stats().used < before);
    CU_ASSERT_EQUAL(derive_from(template, 1, &key), KL_OBJECT);
    end();
}

static void one_that_another_session_destroys_is_gone_here_too(void)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, 32) };
    struct kl_session *other;
    CK_OBJECT_HANDLE key;

    begin();
    CU_ASSERT_EQUAL(derive_from(template, 1, &key), KL_OK);
    other = session_new(CKF_RW_SESSION);
    CU_ASSERT_EQUAL(kl_object_destroy(other, base), KL_OK);
    session_end(other);
    CU_ASSERT_EQUAL(derive_from(template, 1, &key), KL_OBJECT);
    end();
}

static void a_logout_lets_go_and_nothing_is_derived_after_it(void)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, 32) };
    CK_OBJECT_HANDLE key;

    begin();
    base = find_label(session, "master");
    CU_ASSERT_EQUAL(derive_from(NULL, 0, &key), KL_OK);
    CU_ASSERT_PTR_NOT_NULL(session->source);
    kl_session_end_operations(demo);
    CU_ASSERT_PTR_NULL(session->source);
    CU_ASSERT_EQUAL(kl_token_logout(demo), KL_OK);
    CU_ASSERT_EQUAL(derive_from(template, 1, &key), KL_OBJECT);
    end();
}

static int64_t ahead;

static int64_t coarse_ahead(void)
{
    return kl_clock_system.coarse() + ahead;
}

static void after_a_second_the_base_is_looked_at_again(void)
{
    static struct kl_clock clock;
    CK_OBJECT_HANDLE key;

    clock = kl_clock_system;
    clock.coarse = coarse_ahead;
    begin();
    ahead = 0;
    kl_clock = &clock;
    base = find_label(session, "master");
    CU_ASSERT_EQUAL(derive_from(NULL, 0, &key), KL_OK);
    session->source->named = 77;
    ahead = 2000000000;
    CU_ASSERT_EQUAL(derive_from(NULL, 0, &key), KL_OK);
    CU_ASSERT_NOT_EQUAL(session->source->named, 77);
    kl_clock = &kl_clock_system;
    end();
}

/* --- what is made is destroyed --- */

static void a_session_key_is_destroyed_once_and_if_it_may_be(void)
{
    CK_ATTRIBUTE plain[] = { A_ULONG(CKA_VALUE_LEN, 32) };
    CK_ATTRIBUTE staying[] = { A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_DESTROYABLE, CK_FALSE) };
    CK_OBJECT_HANDLE key;

    begin();
    CU_ASSERT_EQUAL(derive_from(plain, 1, &key), KL_OK);
    CU_ASSERT_EQUAL(kl_object_destroy(session, key), KL_OK);
    CU_ASSERT_EQUAL(kl_object_destroy(session, key), KL_OBJECT);
    CU_ASSERT_EQUAL(derive_from(staying, 2, &key), KL_OK);
    CU_ASSERT_EQUAL(kl_object_destroy(session, key), KL_PROHIBITED);
    CU_ASSERT_EQUAL(number_of(key, CKA_VALUE_LEN, 8), 32);
    end();
}

static void no_memory_of_keys_stays_behind_what_came_and_went(void)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, 32) };
    CK_OBJECT_HANDLE key;
    size_t before;

    begin();
    CU_ASSERT_EQUAL(derive_from(template, 1, &key), KL_OK);
    CU_ASSERT_EQUAL(kl_object_destroy(session, key), KL_OK);
    before = kl_arena_stats().used;
    for (int i = 0; i < 300; i++) {
        CU_ASSERT_EQUAL(derive_from(template, 1, &key), KL_OK);
        CU_ASSERT_EQUAL(kl_object_destroy(session, key), KL_OK);
    }
    CU_ASSERT_EQUAL(kl_arena_stats().used, before);
    end();
}

UNIT_MAIN("token/source", UNIT(a_template_that_comes_again_makes_the_same_kind_of_key), UNIT(one_that_differs_in_anything_is_read_anew),
          UNIT(one_that_is_wrong_is_wrong_after_a_right_one_too), UNIT(a_template_with_a_name_or_a_list_is_not_kept),
          UNIT(a_long_template_is_read_every_time), UNIT(data_and_keys_do_not_share_a_template),
          UNIT(what_the_base_imposes_is_imposed_as_soon_as_it_does), UNIT(a_base_that_may_no_longer_derive_does_not),
          UNIT(a_base_that_is_destroyed_is_let_go), UNIT(one_that_another_session_destroys_is_gone_here_too),
          UNIT(a_logout_lets_go_and_nothing_is_derived_after_it), UNIT(after_a_second_the_base_is_looked_at_again),
          UNIT(a_session_key_is_destroyed_once_and_if_it_may_be), UNIT(no_memory_of_keys_stays_behind_what_came_and_went))
