/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Making, reading, changing, copying and finding objects (token/object.c, make.c, find.c). */
#include "token/object.h"

#include "crypto/hash.h"
#include "fixture.h"
#include "ladder/key.h"
#include "token/slot.h"
#include "token/snapshot.h"

#define KEY_BYTES "0123456789abcdef0123456789abcdef"

static struct kl_session *session;

static void begin(void)
{
    fixture_begin();
    session = session_new(CKF_RW_SESSION);
    log_in();
}

static void end(void)
{
    session_end(session);
    fixture_end();
}

static bool flag(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type)
{
    CK_BBOOL value = 2;
    CK_ATTRIBUTE ask[] = { { type, &value, sizeof value } };

    CU_ASSERT_EQUAL(kl_object_read(session, object, ask, 1), KL_OK);
    return value == CK_TRUE;
}

static CK_ULONG number(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type)
{
    CK_ULONG value = 0;
    CK_ATTRIBUTE ask[] = { { type, &value, sizeof value } };

    CU_ASSERT_EQUAL(kl_object_read(session, object, ask, 1), KL_OK);
    return value;
}

static enum kl_rc create(const CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *out)
{
    *out = 0;
    return kl_object_create(session, template, count, out);
}

static enum kl_rc import(CK_KEY_TYPE type, size_t len, CK_OBJECT_HANDLE *out)
{
    static uint8_t bytes[20000];
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), { CKA_KEY_TYPE, &type, sizeof type }, { CKA_VALUE, bytes, len } };

    return create(template, 3, out);
}

/* --- making --- */

static void a_generated_key_has_a_clean_history(void)
{
    CK_OBJECT_HANDLE key;

    begin();
    key = aes_key(session, false, NULL);
    CU_ASSERT(flag(key, CKA_LOCAL) && flag(key, CKA_ALWAYS_SENSITIVE) && flag(key, CKA_NEVER_EXTRACTABLE));
    CU_ASSERT(flag(key, CKA_SENSITIVE) && flag(key, CKA_PRIVATE) && !flag(key, CKA_EXTRACTABLE));
    CU_ASSERT(flag(key, CKA_ENCRYPT) && flag(key, CKA_DECRYPT) && !flag(key, CKA_WRAP) && !flag(key, CKA_DERIVE));
    CU_ASSERT_EQUAL(number(key, CKA_KEY_GEN_MECHANISM), CKM_AES_KEY_GEN);
    CU_ASSERT_EQUAL(number(key, CKA_VALUE_LEN), 32);
    end();
}

static void an_imported_key_has_none(void)
{
    CK_OBJECT_HANDLE key;

    begin();
    CU_ASSERT_EQUAL(import(CKK_AES, 32, &key), KL_OK);
    CU_ASSERT(!flag(key, CKA_LOCAL) && !flag(key, CKA_ALWAYS_SENSITIVE) && !flag(key, CKA_NEVER_EXTRACTABLE));
    CU_ASSERT_EQUAL(number(key, CKA_KEY_GEN_MECHANISM), CK_UNAVAILABLE_INFORMATION);
    end();
}

static void a_key_has_a_length_of_its_type(void)
{
    static const struct {
        CK_KEY_TYPE type;
        size_t len;
        enum kl_rc rc;
    } cases[] = {
        { CKK_AES, 0, KL_ATTR_VALUE },
        { CKK_AES, 15, KL_ATTR_VALUE },
        { CKK_AES, 16, KL_OK },
        { CKK_AES, 24, KL_OK },
        { CKK_AES, 32, KL_OK },
        { CKK_AES, 33, KL_ATTR_VALUE },
        { CKK_AES, 40, KL_ATTR_VALUE },
        { CKK_CHACHA20, 32, KL_OK },
        { CKK_CHACHA20, 16, KL_ATTR_VALUE },
        { CKK_GENERIC_SECRET, 1, KL_OK },
        { CKK_GENERIC_SECRET, 0, KL_ATTR_VALUE },
        { CKK_HKDF, 4096, KL_OK },
        { CKK_HKDF, 20000, KL_ATTR_VALUE },
        { CKK_DES3, 24, KL_ATTR_VALUE },
    };
    CK_OBJECT_HANDLE key;

    begin();
    for (size_t i = 0; i < COUNT(cases); i++) CU_ASSERT_EQUAL(import(cases[i].type, cases[i].len, &key), cases[i].rc);
    end();
}

static void a_template_says_what_is_missing(void)
{
    CK_ATTRIBUTE no_class[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES), A_TEXT(CKA_VALUE, KEY_BYTES) };
    CK_ATTRIBUTE no_type[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_TEXT(CKA_VALUE, KEY_BYTES) };
    CK_ATTRIBUTE no_value[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES) };
    CK_ATTRIBUTE other_class[] = { A_ULONG(CKA_CLASS, CKO_PUBLIC_KEY) };
    CK_ATTRIBUTE wrong_len[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES), A_TEXT(CKA_VALUE, KEY_BYTES),
                                 A_ULONG(CKA_VALUE_LEN, 16) };
    CK_MECHANISM generation = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_OBJECT_HANDLE key;

    begin();
    CU_ASSERT_EQUAL(create(no_class, 2, &key), KL_TEMPLATE_INCOMPLETE);
    CU_ASSERT_EQUAL(create(no_type, 2, &key), KL_TEMPLATE_INCOMPLETE);
    CU_ASSERT_EQUAL(create(no_value, 2, &key), KL_TEMPLATE_INCOMPLETE);
    CU_ASSERT_EQUAL(create(other_class, 1, &key), KL_ATTR_VALUE);
    CU_ASSERT_EQUAL(create(wrong_len, 4, &key), KL_TEMPLATE);
    CU_ASSERT_EQUAL(kl_object_generate(session, &generation, NULL, 0, &key), KL_TEMPLATE_INCOMPLETE);
    end();
}

static void two_roles_are_refused_wherever_a_key_is_made(void)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_WRAP, CK_TRUE), A_BOOL(CKA_DECRYPT, CK_TRUE),
                                A_BOOL(CKA_TOKEN, CK_FALSE) };
    CK_MECHANISM generation = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_OBJECT_HANDLE key;

    begin();
    CU_ASSERT_EQUAL(kl_object_generate(session, &generation, template, COUNT(template), &key), KL_TEMPLATE);
    template[3].pValue = &(CK_BBOOL){ CK_TRUE };
    CU_ASSERT_EQUAL(kl_object_generate(session, &generation, template, COUNT(template), &key), KL_TEMPLATE);
    CU_ASSERT_EQUAL(find(session, NULL, 0, NULL), 1 + PROFILES);
    end();
}

static void nobody_makes_keys_without_the_user(void)
{
    CK_ATTRIBUTE public_data[] = { A_ULONG(CKA_CLASS, CKO_DATA), A_BOOL(CKA_PRIVATE, CK_FALSE) };
    CK_ATTRIBUTE private_data[] = { A_ULONG(CKA_CLASS, CKO_DATA) };
    CK_ATTRIBUTE token_data[] = { A_ULONG(CKA_CLASS, CKO_DATA), A_BOOL(CKA_PRIVATE, CK_FALSE), A_BOOL(CKA_TOKEN, CK_TRUE) };
    CK_ATTRIBUTE public_key[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_BOOL(CKA_PRIVATE, CK_FALSE), A_ULONG(CKA_KEY_TYPE, CKK_AES),
                                  A_TEXT(CKA_VALUE, KEY_BYTES) };
    CK_OBJECT_HANDLE object;

    begin();
    CU_ASSERT_EQUAL(kl_token_logout(demo), KL_OK);
    CU_ASSERT_EQUAL(aes_key(session, false, NULL), 0);
    CU_ASSERT_EQUAL(last_rc, KL_NOT_LOGGED_IN);
    CU_ASSERT_EQUAL(create(public_key, COUNT(public_key), &object), KL_NOT_LOGGED_IN);
    CU_ASSERT_EQUAL(create(private_data, 1, &object), KL_NOT_LOGGED_IN);
    CU_ASSERT_EQUAL(create(token_data, 3, &object), KL_NOT_LOGGED_IN);
    CU_ASSERT_EQUAL(create(public_data, 2, &object), KL_OK);
    CU_ASSERT_EQUAL(kl_token_login(demo, CKU_SO, so_pin()), KL_OK);
    CU_ASSERT_EQUAL(aes_key(session, false, NULL), 0);
    CU_ASSERT_EQUAL(last_rc, KL_NOT_LOGGED_IN);
    end();
}

static void a_read_only_session_leaves_the_token_as_it_is(void)
{
    CK_ATTRIBUTE label[] = { A_TEXT(CKA_LABEL, "x") };
    struct kl_session *reader;
    CK_OBJECT_HANDLE key;

    begin();
    reader = session_new(0);
    key = aes_key(session, true, "kept");
    CU_ASSERT_EQUAL(aes_key(reader, true, "not made"), 0);
    CU_ASSERT_EQUAL(last_rc, KL_SESSION_READ_ONLY);
    CU_ASSERT_EQUAL(derive(reader, find_label(reader, "master"), "x", "x"), 0);
    CU_ASSERT_EQUAL(last_rc, KL_SESSION_READ_ONLY);
    CU_ASSERT_EQUAL(kl_object_write(reader, key, label, 1), KL_SESSION_READ_ONLY);
    CU_ASSERT_EQUAL(kl_object_destroy(reader, key), KL_SESSION_READ_ONLY);
    CU_ASSERT(aes_key(reader, false, NULL) != 0);
    session_end(reader);
    end();
}

/* --- the ladder --- */

static void the_ladder_grows_two_steps_and_then_makes_record_keys(void)
{
    CK_OBJECT_HANDLE master, users, email, record, other;

    begin();
    master = find_label(session, "master");
    users = derive(session, master, "users", "users");
    email = derive(session, users, "email", "users.email");
    record = derive(session, email, "4711", NULL);
    CU_ASSERT(master && users && email && record);
    CU_ASSERT_EQUAL(number(master, CKA_KEY_TYPE), CKK_HKDF);
    CU_ASSERT_EQUAL(number(master, CKA_KL_LEVEL), 0);
    CU_ASSERT_EQUAL(number(users, CKA_KL_LEVEL), 1);
    CU_ASSERT_EQUAL(number(email, CKA_KL_LEVEL), 2);
    CU_ASSERT_EQUAL(number(record, CKA_KL_LEVEL), 3);
    CU_ASSERT(flag(users, CKA_DERIVE) && flag(email, CKA_DERIVE) && !flag(record, CKA_DERIVE));
    CU_ASSERT(!flag(master, CKA_ENCRYPT) && flag(users, CKA_ENCRYPT) && flag(record, CKA_DECRYPT));
    CU_ASSERT(flag(users, CKA_SENSITIVE) && flag(users, CKA_PRIVATE) && !flag(users, CKA_EXTRACTABLE) && !flag(users, CKA_COPYABLE));
    CU_ASSERT(!flag(users, CKA_DESTROYABLE) && flag(record, CKA_DESTROYABLE) && !flag(users, CKA_LOCAL));
    other = derive(session, email, "x", "users.email.x");
    CU_ASSERT(other == 0 && last_rc == KL_TEMPLATE);
    other = derive(session, record, "x", NULL);
    CU_ASSERT(other == 0 && last_rc == KL_KEY_FUNCTION);
    end();
}

static void a_label_of_the_ladder_is_taken_for_keys_and_free_for_data(void)
{
    CK_ATTRIBUTE data[] = { A_ULONG(CKA_CLASS, CKO_DATA), A_TEXT(CKA_LABEL, "users") };
    CK_ATTRIBUTE label[] = { A_TEXT(CKA_LABEL, "users") };
    CK_OBJECT_HANDLE object, key;

    begin();
    CU_ASSERT(derive(session, find_label(session, "master"), "users", "users") != 0);
    CU_ASSERT(aes_key(session, true, "users") == 0 && last_rc == KL_LABEL_TAKEN);
    CU_ASSERT(aes_key(session, false, "users") == 0 && last_rc == KL_LABEL_TAKEN);
    CU_ASSERT(derive(session, find_label(session, "master"), "other", "users") == 0 && last_rc == KL_LABEL_TAKEN);
    CU_ASSERT_EQUAL(create(data, 2, &object), KL_OK);
    key = aes_key(session, false, "free");
    CU_ASSERT_EQUAL(kl_object_write(session, key, label, 1), KL_LABEL_TAKEN);
    key = aes_key(session, true, "free");
    CU_ASSERT_EQUAL(kl_object_write(session, key, label, 1), KL_LABEL_TAKEN);
    end();
}

static void a_label_of_a_free_key_is_no_place_for_the_ladder_either(void)
{
    begin();
    CU_ASSERT(aes_key(session, true, "users") != 0);
    CU_ASSERT(aes_key(session, true, "users") != 0);
    CU_ASSERT(derive(session, find_label(session, "master"), "users", "users") == 0 && last_rc == KL_LABEL_TAKEN);
    end();
}

static void keys_of_the_ladder_stay_where_they_are(void)
{
    CK_ATTRIBUTE label[] = { A_TEXT(CKA_LABEL, "other") }, session_object[] = { A_BOOL(CKA_TOKEN, CK_FALSE) };
    CK_ATTRIBUTE value[] = { { CKA_VALUE, NULL, 0 } };
    CK_OBJECT_HANDLE users, copy;

    begin();
    users = derive(session, find_label(session, "master"), "users", "users");
    CU_ASSERT_EQUAL(kl_object_destroy(session, users), KL_PROHIBITED);
    CU_ASSERT_EQUAL(kl_object_copy(session, users, session_object, 1, &copy), KL_PROHIBITED);
    CU_ASSERT_EQUAL(kl_object_write(session, users, label, 1), KL_ATTR_READ_ONLY);
    CU_ASSERT_EQUAL(kl_object_read(session, users, value, 1), KL_ATTR_SENSITIVE);
    CU_ASSERT_EQUAL(value[0].ulValueLen, CK_UNAVAILABLE_INFORMATION);
    end();
}

static enum kl_rc derive_with(CK_OBJECT_HANDLE base, const CK_HKDF_PARAMS *hkdf, size_t len, CK_ATTRIBUTE *template, CK_ULONG count)
{
    CK_MECHANISM mechanism = { CKM_HKDF_DERIVE, (void *)(uintptr_t)hkdf, len };
    CK_OBJECT_HANDLE key = 0;

    return kl_object_derive(session, &mechanism, base, template, count, &key);
}

static void the_ladder_takes_whole_hkdf_with_a_short_salt_and_some_info(void)
{
    static CK_BYTE bytes[2000];
    CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_FALSE) };
    CK_HKDF_PARAMS good = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_DATA, bytes, 255, 0, bytes, 1024 };
    CK_OBJECT_HANDLE master;

    begin();
    master = find_label(session, "master");
    CU_ASSERT_EQUAL(derive_with(master, &good, sizeof good, template, 1), KL_OK);
    CU_ASSERT_EQUAL(derive_with(master, &good, sizeof good - 1, template, 1), KL_PARAMETER);
    CU_ASSERT_EQUAL(derive_with(master, NULL, 0, template, 1), KL_PARAMETER);
#define BAD(field, value)                                                                  \
    do {                                                                                   \
        CK_HKDF_PARAMS bad = good;                                                         \
        bad.field = (value);                                                               \
        CU_ASSERT_EQUAL(derive_with(master, &bad, sizeof bad, template, 1), KL_PARAMETER); \
    } while (0)
    BAD(bExtract, CK_FALSE);
    BAD(bExpand, CK_FALSE);
    BAD(bExpand, 2);
    BAD(prfHashMechanism, CKM_SHA512);
    BAD(ulSaltType, CKF_HKDF_SALT_KEY);
    BAD(ulSaltType, 0);
    BAD(ulSaltLen, 256);
    BAD(pSalt, NULL);
    BAD(ulInfoLen, 0);
    BAD(ulInfoLen, 1025);
    BAD(pInfo, NULL);
    end();
}

static void what_would_weaken_a_ladder_key_contradicts_it(void)
{
    static const struct {
        CK_ATTRIBUTE_TYPE type;
        CK_BBOOL value;
    } wishes[] = { { CKA_PRIVATE, CK_FALSE },
                   { CKA_SENSITIVE, CK_FALSE },
                   { CKA_EXTRACTABLE, CK_TRUE },
                   { CKA_COPYABLE, CK_TRUE },
                   { CKA_DESTROYABLE, CK_TRUE } };
    CK_HKDF_PARAMS hkdf = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, (CK_BYTE *)(uintptr_t) "x", 1 };

    begin();
    for (size_t i = 0; i < COUNT(wishes); i++) {
        CK_BBOOL value = wishes[i].value;
        CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, "weak"), { wishes[i].type, &value, 1 } };

        CU_ASSERT_EQUAL(derive_with(find_label(session, "master"), &hkdf, sizeof hkdf, template, 3), KL_TEMPLATE);
    }
    CU_ASSERT_EQUAL(find_label(session, "weak"), 0);
    end();
}

/* --- HKDF on free keys --- */

static CK_OBJECT_HANDLE hkdf_base(CK_BBOOL sensitive)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY),
                                A_ULONG(CKA_KEY_TYPE, CKK_HKDF),
                                A_TEXT(CKA_VALUE, KEY_BYTES),
                                { CKA_SENSITIVE, &sensitive, 1 },
                                A_BOOL(CKA_EXTRACTABLE, CK_TRUE) };
    CK_OBJECT_HANDLE base = 0;

    CU_ASSERT_EQUAL(create(template, COUNT(template), &base), KL_OK);
    return base;
}

static void a_free_key_derives_as_rfc_5869_says_with_any_of_three_hashes(void)
{
    static const struct {
        CK_MECHANISM_TYPE type;
        enum kl_hash hash;
    } hashes[] = { { CKM_SHA256, KL_SHA256 }, { CKM_SHA384, KL_SHA384 }, { CKM_SHA512, KL_SHA512 } };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, 42), A_BOOL(CKA_SENSITIVE, CK_FALSE), A_BOOL(CKA_EXTRACTABLE, CK_TRUE) };
    CK_OBJECT_HANDLE base;

    begin();
    base = hkdf_base(CK_FALSE);
    for (size_t i = 0; i < COUNT(hashes); i++) {
        CK_HKDF_PARAMS hkdf = {
            CK_TRUE, CK_TRUE, hashes[i].type, CKF_HKDF_SALT_DATA, (CK_BYTE *)(uintptr_t) "salt", 4, 0, (CK_BYTE *)(uintptr_t) "info", 4
        };
        CK_MECHANISM mechanism = { CKM_HKDF_DERIVE, &hkdf, sizeof hkdf };
        uint8_t ought[42], is[42];
        CK_ATTRIBUTE value[] = { { CKA_VALUE, is, sizeof is } };
        CK_OBJECT_HANDLE child = 0;

        CU_ASSERT_EQUAL(kl_hkdf(hashes[i].hash, kl_view_text("salt"), kl_view_text(KEY_BYTES), kl_view_text("info"), ought, sizeof ought),
                        KL_OK);
        CU_ASSERT_EQUAL_FATAL(kl_object_derive(session, &mechanism, base, template, 3, &child), KL_OK);
        CU_ASSERT_EQUAL(kl_object_read(session, child, value, 1), KL_OK);
        CU_ASSERT(memcmp(is, ought, sizeof is) == 0);
    }
    end();
}

static void data_is_what_was_derived_and_nothing_brought(void)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, 8), A_TEXT(CKA_VALUE, "brought") };
    CK_HKDF_PARAMS hkdf = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, NULL, 0 };
    CK_MECHANISM mechanism = { CKM_HKDF_DATA, &hkdf, sizeof hkdf };
    CK_OBJECT_HANDLE base, data = 0;

    begin();
    base = hkdf_base(CK_FALSE);
    CU_ASSERT_EQUAL(kl_object_derive(session, &mechanism, base, template, 1, &data), KL_OK);
    CU_ASSERT_EQUAL(kl_object_derive(session, &mechanism, base, template, 2, &data), KL_ATTR_READ_ONLY);
    end();
}

static void a_sensitive_base_has_sensitive_children(void)
{
    CK_ATTRIBUTE open[] = { A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_SENSITIVE, CK_FALSE) };
    CK_ATTRIBUTE silent[] = { A_ULONG(CKA_VALUE_LEN, 32) };
    CK_HKDF_PARAMS hkdf = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, NULL, 0 };
    CK_MECHANISM mechanism = { CKM_HKDF_DERIVE, &hkdf, sizeof hkdf };
    CK_OBJECT_HANDLE base, child = 0;

    begin();
    base = hkdf_base(CK_TRUE);
    CU_ASSERT_EQUAL(kl_object_derive(session, &mechanism, base, open, 2, &child), KL_TEMPLATE);
    CU_ASSERT_EQUAL(kl_object_derive(session, &mechanism, base, silent, 1, &child), KL_OK);
    CU_ASSERT(flag(child, CKA_SENSITIVE) && !flag(child, CKA_ALWAYS_SENSITIVE) && !flag(child, CKA_LOCAL));
    end();
}

static void a_length_is_asked_for_where_none_follows(void)
{
    CK_ATTRIBUTE aes[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES) }, chacha[] = { A_ULONG(CKA_KEY_TYPE, CKK_CHACHA20) };
    CK_ATTRIBUTE odd[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES), A_ULONG(CKA_VALUE_LEN, 17) }, huge[] = { A_ULONG(CKA_VALUE_LEN, 255 * 32 + 1) };
    CK_HKDF_PARAMS both = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, NULL, 0 }, extract = both;
    CK_OBJECT_HANDLE base;

    begin();
    base = hkdf_base(CK_FALSE);
    extract.bExpand = CK_FALSE;
    CU_ASSERT_EQUAL(derive_with(base, &both, sizeof both, aes, 1), KL_TEMPLATE_INCOMPLETE);
    CU_ASSERT_EQUAL(derive_with(base, &both, sizeof both, NULL, 0), KL_TEMPLATE_INCOMPLETE);
    CU_ASSERT_EQUAL(derive_with(base, &both, sizeof both, chacha, 1), KL_OK);
    CU_ASSERT_EQUAL(derive_with(base, &extract, sizeof extract, NULL, 0), KL_OK);
    CU_ASSERT_EQUAL(derive_with(base, &both, sizeof both, odd, 2), KL_ATTR_VALUE);
    CU_ASSERT_EQUAL(derive_with(base, &both, sizeof both, huge, 1), KL_ATTR_VALUE);
    end();
}

static void neither_step_unknown_hash_or_salt_is_refused(void)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, 32) };
    CK_HKDF_PARAMS good = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, NULL, 0 };
    CK_OBJECT_HANDLE base;

    begin();
    base = hkdf_base(CK_FALSE);
    for (int i = 0; i < 4; i++) {
        CK_HKDF_PARAMS bad = good;

        if (i == 0) bad.bExtract = bad.bExpand = CK_FALSE;
        if (i == 1) bad.prfHashMechanism = CKM_MD5;
        if (i == 2) bad.ulSaltType = 8;
        if (i == 3) bad.ulInfoLen = 5;
        CU_ASSERT_EQUAL(derive_with(base, &bad, sizeof bad, template, 1), KL_PARAMETER);
    }
    good.ulSaltType = CKF_HKDF_SALT_KEY;
    good.hSaltKey = aes_key(session, false, NULL);
    CU_ASSERT_EQUAL(derive_with(base, &good, sizeof good, template, 1), KL_KEY_FUNCTION);
    good.hSaltKey = find_label(session, "master");
    CU_ASSERT_EQUAL(derive_with(base, &good, sizeof good, template, 1), KL_KEY_FUNCTION);
    good.hSaltKey = 0;
    CU_ASSERT_EQUAL(derive_with(base, &good, sizeof good, template, 1), KL_OBJECT);
    good.hSaltKey = base;
    CU_ASSERT_EQUAL(derive_with(base, &good, sizeof good, template, 1), KL_OK);
    end();
}

/* --- reading and changing --- */

static void every_attribute_that_can_be_given_is_given_beside_those_that_cannot(void)
{
    CK_ULONG len = 0;
    char small[2], label[8];
    CK_ATTRIBUTE ask[] = { { CKA_VALUE, NULL, 0 },
                           { CKA_VALUE_LEN, &len, sizeof len },
                           { CKA_MODULUS, NULL, 0 },
                           { CKA_LABEL, small, sizeof small },
                           { CKA_LABEL, label, sizeof label } };
    CK_OBJECT_HANDLE key;

    begin();
    key = aes_key(session, false, "secret");
    CU_ASSERT_EQUAL(kl_object_read(session, key, ask, 5), KL_ATTR_SENSITIVE);
    CU_ASSERT_EQUAL(ask[0].ulValueLen, CK_UNAVAILABLE_INFORMATION);
    CU_ASSERT_EQUAL(len, 32);
    CU_ASSERT_EQUAL(ask[2].ulValueLen, CK_UNAVAILABLE_INFORMATION);
    CU_ASSERT_EQUAL(ask[3].ulValueLen, CK_UNAVAILABLE_INFORMATION);
    CU_ASSERT(ask[4].ulValueLen == 6 && memcmp(label, "secret", 6) == 0);
    CU_ASSERT_EQUAL(kl_object_read(session, key, ask + 2, 2), KL_ATTR_TYPE);
    CU_ASSERT_EQUAL(kl_object_read(session, key, ask + 3, 1), KL_BUFFER);
    ask[3].ulValueLen = 2;
    CU_ASSERT_EQUAL(kl_object_read(session, key, ask + 3, 1), KL_BUFFER);
    ask[3].pValue = NULL;
    CU_ASSERT_EQUAL(kl_object_read(session, key, ask + 3, 1), KL_OK);
    CU_ASSERT_EQUAL(ask[3].ulValueLen, 6);
    end();
}

static void the_value_of_an_open_key_can_be_read_and_of_no_other(void)
{
    static const struct {
        CK_BBOOL sensitive, extractable;
        enum kl_rc rc;
    } cases[] = { { CK_FALSE, CK_TRUE, KL_OK },
                  { CK_FALSE, CK_FALSE, KL_ATTR_SENSITIVE },
                  { CK_TRUE, CK_TRUE, KL_ATTR_SENSITIVE },
                  { CK_TRUE, CK_FALSE, KL_ATTR_SENSITIVE } };

    begin();
    for (size_t i = 0; i < 2 * COUNT(cases); i++) {
        CK_BBOOL sensitive = cases[i / 2].sensitive, extractable = cases[i / 2].extractable;
        CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES),
                                    A_TEXT(CKA_VALUE, KEY_BYTES),       A_BOOL(CKA_TOKEN, i % 2 == 1),
                                    { CKA_SENSITIVE, &sensitive, 1 },   { CKA_EXTRACTABLE, &extractable, 1 } };
        uint8_t bytes[64];
        CK_ATTRIBUTE value[] = { { CKA_VALUE, bytes, sizeof bytes } };
        CK_OBJECT_HANDLE key;

        CU_ASSERT_EQUAL(create(template, COUNT(template), &key), KL_OK);
        CU_ASSERT_EQUAL(kl_object_read(session, key, value, 1), cases[i / 2].rc);
        CU_ASSERT(cases[i / 2].rc != KL_OK || (value[0].ulValueLen == 32 && memcmp(bytes, KEY_BYTES, 32) == 0));
    }
    end();
}

static void what_cannot_be_modified_is_not(void)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_DATA), A_BOOL(CKA_MODIFIABLE, CK_FALSE), A_BOOL(CKA_COPYABLE, CK_FALSE),
                                A_BOOL(CKA_DESTROYABLE, CK_FALSE), A_BOOL(CKA_TOKEN, CK_FALSE) };
    CK_ATTRIBUTE label[] = { A_TEXT(CKA_LABEL, "x") }, back[] = { A_BOOL(CKA_MODIFIABLE, CK_TRUE) };
    CK_OBJECT_HANDLE object, copy;

    begin();
    for (int i = 0; i < 2; i++) {
        template[4].pValue = &(CK_BBOOL){ i == 1 };
        CU_ASSERT_EQUAL(create(template, COUNT(template), &object), KL_OK);
        CU_ASSERT_EQUAL(kl_object_write(session, object, label, 1), KL_PROHIBITED);
        CU_ASSERT_EQUAL(kl_object_write(session, object, back, 1), KL_PROHIBITED);
        CU_ASSERT_EQUAL(kl_object_copy(session, object, NULL, 0, &copy), KL_PROHIBITED);
        CU_ASSERT_EQUAL(kl_object_destroy(session, object), KL_PROHIBITED);
    }
    end();
}

static void a_change_of_many_attributes_is_all_or_nothing(void)
{
    CK_ATTRIBUTE mixed[] = { A_TEXT(CKA_LABEL, "new"), A_BOOL(CKA_SENSITIVE, CK_FALSE) };
    CK_OBJECT_HANDLE key;

    begin();
    key = aes_key(session, true, "old");
    CU_ASSERT_EQUAL(kl_object_write(session, key, mixed, 2), KL_ATTR_READ_ONLY);
    CU_ASSERT_EQUAL(find_label(session, "old"), key);
    CU_ASSERT_EQUAL(find_label(session, "new"), 0);
    end();
}

static void the_value_of_data_is_kept_and_changed_in_every_kind_of_object(void)
{
    begin();
    for (int i = 0; i < 4; i++) {
        CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_DATA), A_TEXT(CKA_VALUE, "before"), A_BOOL(CKA_TOKEN, (i & 1) != 0),
                                    A_BOOL(CKA_PRIVATE, (i & 2) != 0), A_TEXT(CKA_APPLICATION, "app") };
        CK_ATTRIBUTE change[] = { A_TEXT(CKA_VALUE, "afterwards") }, nothing[] = { { CKA_VALUE, NULL, 0 } };
        char bytes[32];
        CK_ATTRIBUTE ask[] = { { CKA_VALUE, bytes, sizeof bytes } };
        CK_OBJECT_HANDLE data, copy;

        CU_ASSERT_EQUAL(create(template, COUNT(template), &data), KL_OK);
        CU_ASSERT_EQUAL(kl_object_read(session, data, ask, 1), KL_OK);
        CU_ASSERT(ask[0].ulValueLen == 6 && memcmp(bytes, "before", 6) == 0);
        CU_ASSERT_EQUAL(kl_object_write(session, data, change, 1), KL_OK);
        ask[0].ulValueLen = sizeof bytes;
        CU_ASSERT_EQUAL(kl_object_read(session, data, ask, 1), KL_OK);
        CU_ASSERT(ask[0].ulValueLen == 10 && memcmp(bytes, "afterwards", 10) == 0);
        CU_ASSERT_EQUAL(kl_object_copy(session, data, NULL, 0, &copy), KL_OK);
        CU_ASSERT_EQUAL(kl_object_write(session, data, nothing, 1), KL_OK);
        ask[0].ulValueLen = sizeof bytes;
        CU_ASSERT_EQUAL(kl_object_read(session, data, ask, 1), KL_OK);
        CU_ASSERT_EQUAL(ask[0].ulValueLen, 0);
        ask[0].ulValueLen = sizeof bytes;
        CU_ASSERT_EQUAL(kl_object_read(session, copy, ask, 1), KL_OK);
        CU_ASSERT(ask[0].ulValueLen == 10 && memcmp(bytes, "afterwards", 10) == 0);
    }
    end();
}

/* --- copies --- */

static void a_copy_has_the_bytes_a_new_identity_and_no_more_rights(void)
{
    CK_ATTRIBUTE to_token[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, "copy"), A_BOOL(CKA_DECRYPT, CK_FALSE) };
    CK_ATTRIBUTE weaker[] = { A_BOOL(CKA_EXTRACTABLE, CK_TRUE) }, open[] = { A_BOOL(CKA_SENSITIVE, CK_FALSE) },
                 more[] = { A_BOOL(CKA_WRAP, CK_TRUE) };
    CK_ATTRIBUTE public_one[] = { A_BOOL(CKA_PRIVATE, CK_FALSE) };
    char first[36], second[36];
    CK_ATTRIBUTE id1[] = { { CKA_UNIQUE_ID, first, sizeof first } }, id2[] = { { CKA_UNIQUE_ID, second, sizeof second } };
    CK_OBJECT_HANDLE key, copy = 0;

    begin();
    key = aes_key(session, false, NULL);
    CU_ASSERT_EQUAL(kl_object_copy(session, key, to_token, 3, &copy), KL_OK);
    CU_ASSERT(flag(copy, CKA_TOKEN) && flag(copy, CKA_ENCRYPT) && !flag(copy, CKA_DECRYPT) && flag(copy, CKA_LOCAL));
    CU_ASSERT_EQUAL(find_label(session, "copy"), copy);
    CU_ASSERT_EQUAL(kl_object_read(session, key, id1, 1), KL_OK);
    CU_ASSERT_EQUAL(kl_object_read(session, copy, id2, 1), KL_OK);
    CU_ASSERT(memcmp(first, second, sizeof first) != 0);
    CU_ASSERT_EQUAL(kl_object_copy(session, key, weaker, 1, &copy), KL_ATTR_READ_ONLY);
    CU_ASSERT_EQUAL(kl_object_copy(session, key, open, 1, &copy), KL_ATTR_READ_ONLY);
    CU_ASSERT_EQUAL(kl_object_copy(session, key, more, 1, &copy), KL_ATTR_READ_ONLY);
    CU_ASSERT_EQUAL(kl_object_copy(session, key, public_one, 1, &copy), KL_ATTR_READ_ONLY);
    end();
}

/* --- searching --- */

static void a_search_takes_every_attribute_together(void)
{
    CK_ATTRIBUTE by_label[] = { A_TEXT(CKA_LABEL, "same"), A_BOOL(CKA_TOKEN, CK_TRUE) };
    CK_ATTRIBUTE by_type[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES) }, wrong_size[] = { { CKA_KEY_TYPE, &(CK_ULONG){ CKK_AES }, 4 } };
    CK_ATTRIBUTE empty_label[] = { { CKA_LABEL, NULL, 0 } }, no_class[] = { A_ULONG(CKA_CLASS, CKO_CERTIFICATE) };

    begin();
    CU_ASSERT(aes_key(session, true, "same") && aes_key(session, false, "same") && aes_key(session, true, NULL) &&
              aes_key(session, false, NULL));
    CU_ASSERT_EQUAL(find(session, by_label, 1, NULL), 2);
    CU_ASSERT_EQUAL(find(session, by_label, 2, NULL), 1);
    CU_ASSERT_EQUAL(find(session, by_type, 1, NULL), 4);
    CU_ASSERT_EQUAL(find(session, wrong_size, 1, NULL), 0);
    CU_ASSERT_EQUAL(find(session, empty_label, 1, NULL), 2 + PROFILES);
    CU_ASSERT_EQUAL(find(session, no_class, 1, NULL), 0);
    CU_ASSERT_EQUAL(find(session, NULL, 0, NULL), 5 + PROFILES);
    end();
}

static void a_search_does_not_tell_a_hidden_value(void)
{
    CK_ATTRIBUTE value[] = { A_TEXT(CKA_VALUE, KEY_BYTES) };

    begin();
    CU_ASSERT(import_aes(session, KEY_BYTES) != 0);
    CU_ASSERT_EQUAL(find(session, value, 1, NULL), 0);
    end();
}

static void a_unique_id_finds_its_object_wherever_it_is(void)
{
    begin();
    for (int i = 0; i < 2; i++) {
        CK_OBJECT_HANDLE key = aes_key(session, i == 1, NULL), found = 0;
        char text[36];
        CK_ATTRIBUTE id[] = { { CKA_UNIQUE_ID, text, sizeof text } };

        CU_ASSERT_EQUAL(kl_object_read(session, key, id, 1), KL_OK);
        CU_ASSERT_EQUAL(find(session, id, 1, &found), 1);
        CU_ASSERT_EQUAL(found, key);
        text[35] = text[35] == '0' ? '1' : '0';
        CU_ASSERT_EQUAL(find(session, id, 1, NULL), 0);
        text[0] = 'X';
        CU_ASSERT_EQUAL(find(session, id, 1, NULL), 0);
    }
    end();
}

static void one_search_at_a_time(void)
{
    CK_OBJECT_HANDLE handles[4];
    CK_ULONG count;

    begin();
    CU_ASSERT_EQUAL(kl_find_next(session, handles, 4, &count), KL_NO_OPERATION);
    CU_ASSERT_EQUAL(kl_find_final(session), KL_NO_OPERATION);
    CU_ASSERT_EQUAL(kl_find_init(session, NULL, 0), KL_OK);
    CU_ASSERT_EQUAL(kl_find_init(session, NULL, 0), KL_OPERATION_ACTIVE);
    CU_ASSERT_EQUAL(kl_find_next(session, handles, 0, &count), KL_OK);
    CU_ASSERT_EQUAL(count, 0);
    CU_ASSERT_EQUAL(kl_token_logout(demo), KL_OK);
    CU_ASSERT_EQUAL(kl_find_next(session, handles, 4, &count), KL_NO_OPERATION);
    CU_ASSERT_EQUAL(kl_find_init(session, NULL, 0), KL_OK);
    CU_ASSERT_EQUAL(kl_find_final(session), KL_OK);
    end();
}

static void what_is_found_may_be_destroyed_between_two_steps(void)
{
    CK_ATTRIBUTE aes[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES) };
    CK_OBJECT_HANDLE handle;
    CK_ULONG count = 1;
    size_t destroyed = 0;

    begin();
    for (int i = 0; i < 20; i++) CU_ASSERT(aes_key(session, i % 2 == 0, NULL) != 0);
    CU_ASSERT_EQUAL(kl_find_init(session, aes, 1), KL_OK);
    while (count == 1) {
        CU_ASSERT_EQUAL(kl_find_next(session, &handle, 1, &count), KL_OK);
        if (count == 1) CU_ASSERT_EQUAL(kl_object_destroy(session, handle), KL_OK);
        destroyed += count;
    }
    CU_ASSERT_EQUAL(kl_find_final(session), KL_OK);
    CU_ASSERT_EQUAL(destroyed, 20);
    CU_ASSERT_EQUAL(find(session, aes, 1, NULL), 0);
    end();
}

static void a_hidden_master_is_found_by_name_alone(void)
{
    char text[1200];

    begin();
    CU_ASSERT_EQUAL(find(session, NULL, 0, NULL), 1 + PROFILES);
    session_end(session);
    CU_ASSERT_EQUAL(kl_module_close(), KL_OK);
    snprintf(
        text, sizeof text,
        "[module]\nlock_memory = try\n[log]\ntarget = none\n[token \"demo\"]\nstore = sqlite:%s/demo.db\nroots = local\nlist_master = no\n"
        "[root \"local\"]\ntype = local\npassphrase = file:%s/passphrase\n",
        sandbox.folder, sandbox.folder);
    sandbox_configure(text);
    CU_ASSERT_EQUAL_FATAL(kl_module_open(), KL_OK);
    demo = kl_token_at(0);
    session = session_new(CKF_RW_SESSION);
    log_in();
    CU_ASSERT_EQUAL(find(session, NULL, 0, NULL), 0 + PROFILES);
    CU_ASSERT(find_label(session, "master") != 0);
    end();
}

/* --- refusals --- */

static void an_empty_template_asks_and_changes_nothing(void)
{
    CK_ATTRIBUTE label[] = { A_TEXT(CKA_LABEL, "x") };
    CK_OBJECT_HANDLE key;

    begin();
    key = aes_key(session, false, NULL);
    CU_ASSERT_EQUAL(kl_object_read(session, key, label, 0), KL_ARG);
    CU_ASSERT_EQUAL(kl_object_read(session, key, NULL, 1), KL_ARG);
    CU_ASSERT_EQUAL(kl_object_write(session, key, label, 0), KL_ARG);
    CU_ASSERT_EQUAL(kl_object_write(session, key, NULL, 1), KL_ARG);
    end();
}

static void data_has_a_class_of_its_form_and_tells_no_length(void)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_DATA), A_TEXT(CKA_VALUE, "x") };
    CK_ULONG len;
    CK_ATTRIBUTE ask[] = { { CKA_VALUE_LEN, &len, sizeof len } };
    CK_OBJECT_HANDLE data;

    begin();
    CU_ASSERT_EQUAL(create(template, 2, &data), KL_OK);
    CU_ASSERT_EQUAL(kl_object_read(session, data, ask, 1), KL_ATTR_TYPE);
    template[0].ulValueLen = 4;
    CU_ASSERT_EQUAL(create(template, 2, &data), KL_ATTR_VALUE);
    end();
}

static void data_has_a_longest_length(void)
{
    static uint8_t bytes[KL_DATA_MAX + 1];
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_DATA), { CKA_VALUE, bytes, KL_DATA_MAX } };
    CK_OBJECT_HANDLE data;

    begin();
    CU_ASSERT_EQUAL(create(template, 2, &data), KL_OK);
    template[1].ulValueLen++;
    CU_ASSERT_EQUAL(create(template, 2, &data), KL_ATTR_VALUE);
    CU_ASSERT_EQUAL(kl_find_init(session, &template[1], 1), KL_ATTR_VALUE);
    CU_ASSERT_EQUAL(find(session, template, 1, NULL), 1);
    end();
}

static void a_search_wants_attributes_of_their_form(void)
{
    CK_ATTRIBUTE place[] = { { CKA_TOKEN, (CK_BBOOL[]){ 1, 1 }, 2 } };

    begin();
    CU_ASSERT_EQUAL(kl_find_init(session, place, 1), KL_ATTR_VALUE);
    place[0].ulValueLen = 1;
    CU_ASSERT(find(session, place, 1, NULL) > 0);
    end();
}

static void a_generated_key_has_a_longest_length(void)
{
    CK_MECHANISM mechanism = { CKM_GENERIC_SECRET_KEY_GEN, NULL, 0 };
    CK_OBJECT_HANDLE key;

    begin();
    for (CK_ULONG len = KL_VALUE_MAX; len <= KL_VALUE_MAX + 1; len++) {
        CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_FALSE), { CKA_VALUE_LEN, &len, sizeof len } };

        CU_ASSERT_EQUAL(kl_object_generate(session, &mechanism, template, 2, &key), len <= KL_VALUE_MAX ? KL_OK : KL_ATTR_VALUE);
    }
    end();
}

static void what_derives_no_key_is_no_mechanism(void)
{
    CK_MECHANISM unknown = { 0x12345678, NULL, 0 }, other = { CKM_AES_GCM, NULL, 0 };
    CK_OBJECT_HANDLE base, key;

    begin();
    base = hkdf_base(CK_FALSE);
    CU_ASSERT_EQUAL(kl_object_derive(session, &unknown, base, NULL, 0, &key), KL_MECHANISM);
    CU_ASSERT_EQUAL(kl_object_derive(session, &other, base, NULL, 0, &key), KL_MECHANISM);
    end();
}

static void a_derived_key_has_a_type_that_there_is(void)
{
    CK_HKDF_PARAMS hkdf = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, (CK_BYTE *)(uintptr_t) "i", 1 };
    CK_ATTRIBUTE rsa[] = { A_ULONG(CKA_KEY_TYPE, CKK_RSA), A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_TOKEN, CK_FALSE) };
    CK_ATTRIBUTE ladder[] = { A_ULONG(CKA_KEY_TYPE, CKK_HKDF), A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_TOKEN, CK_FALSE) };
    CK_ATTRIBUTE chacha[] = { A_ULONG(CKA_KEY_TYPE, CKK_CHACHA20), A_ULONG(CKA_VALUE_LEN, 16), A_BOOL(CKA_TOKEN, CK_FALSE) };
    CK_OBJECT_HANDLE base, master;

    begin();
    base = hkdf_base(CK_FALSE);
    master = find_label(session, "master");
    CU_ASSERT_EQUAL(derive_with(base, &hkdf, sizeof hkdf, rsa, 3), KL_ATTR_VALUE);
    CU_ASSERT_EQUAL(derive_with(base, &hkdf, sizeof hkdf, chacha, 3), KL_TEMPLATE);
    CU_ASSERT_EQUAL(derive_with(master, &hkdf, sizeof hkdf, rsa, 3), KL_TEMPLATE);
    CU_ASSERT_EQUAL(derive_with(master, &hkdf, sizeof hkdf, ladder, 3), KL_TEMPLATE);
    CU_ASSERT_EQUAL(derive_with(master, &hkdf, sizeof hkdf, chacha, 3), KL_ATTR_VALUE);
    end();
}

static void a_salt_is_where_it_is_said_to_be_and_not_endless(void)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_TOKEN, CK_FALSE) };
    CK_HKDF_PARAMS good = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_DATA, NULL, 0, 0, (CK_BYTE *)(uintptr_t) "i", 1 }, bad = good;
    CK_OBJECT_HANDLE bases[2];

    begin();
    bases[0] = hkdf_base(CK_FALSE);
    bases[1] = find_label(session, "master");
    for (size_t i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(derive_with(bases[i], &good, sizeof good, template, 2), KL_OK);
        bad.ulSaltLen = 1;
        CU_ASSERT_EQUAL(derive_with(bases[i], &bad, sizeof bad, template, 2), KL_PARAMETER);
        bad.ulSaltLen = (CK_ULONG)-1;
        CU_ASSERT_EQUAL(derive_with(bases[i], &bad, sizeof bad, template, 2), KL_PARAMETER);
    }
    end();
}

static void neither_a_sensitive_base_nor_a_sensitive_salt_tells_data(void)
{
    CK_HKDF_PARAMS hkdf = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_KEY, NULL, 0, 0, (CK_BYTE *)(uintptr_t) "i", 1 };
    CK_MECHANISM mechanism = { CKM_HKDF_DATA, &hkdf, sizeof hkdf };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, 32) };
    CK_OBJECT_HANDLE base, data = 0;

    begin();
    base = hkdf_base(CK_FALSE);
    hkdf.hSaltKey = base;
    CU_ASSERT_EQUAL(kl_object_derive(session, &mechanism, base, template, 1, &data), KL_OK);
    CU_ASSERT_EQUAL(kl_object_derive(session, &mechanism, hkdf_base(CK_TRUE), template, 1, &data), KL_KEY_FUNCTION);
    hkdf.hSaltKey = hkdf_base(CK_TRUE);
    CU_ASSERT_EQUAL(kl_object_derive(session, &mechanism, base, template, 1, &data), KL_KEY_FUNCTION);
    end();
}

static void a_child_is_not_weaker_than_its_salt(void)
{
    CK_MECHANISM gen = { CKM_HKDF_KEY_GEN, NULL, 0 };
    CK_ATTRIBUTE generate[] = { A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_TOKEN, CK_FALSE) };
    CK_ATTRIBUTE weaker[] = { A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_TOKEN, CK_FALSE), A_BOOL(CKA_SENSITIVE, CK_FALSE) };
    CK_HKDF_PARAMS hkdf = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_KEY, NULL, 0, 0, (CK_BYTE *)(uintptr_t) "i", 1 };
    CK_OBJECT_HANDLE base = 0;

    begin();
    CU_ASSERT_EQUAL(kl_object_generate(session, &gen, generate, 2, &base), KL_OK);
    CU_ASSERT_EQUAL(kl_object_generate(session, &gen, generate, 2, &hkdf.hSaltKey), KL_OK);
    CU_ASSERT_EQUAL(derive_with(base, &hkdf, sizeof hkdf, weaker, 2), KL_OK);
    CU_ASSERT_EQUAL(derive_with(base, &hkdf, sizeof hkdf, weaker, 3), KL_TEMPLATE);
    end();
}

static void a_record_key_takes_no_label_of_the_ladder_and_has_no_child(void)
{
    CK_HKDF_PARAMS hkdf = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, (CK_BYTE *)(uintptr_t) "i", 1 };
    CK_ATTRIBUTE taken[] = { A_BOOL(CKA_TOKEN, CK_FALSE), A_TEXT(CKA_LABEL, "users") };
    CK_ATTRIBUTE parent[] = { A_BOOL(CKA_TOKEN, CK_FALSE), A_BOOL(CKA_DERIVE, CK_TRUE) };
    CK_OBJECT_HANDLE users;

    begin();
    users = derive(session, find_label(session, "master"), "users", "users");
    CU_ASSERT_EQUAL(derive_with(users, &hkdf, sizeof hkdf, taken, 2), KL_LABEL_TAKEN);
    CU_ASSERT_EQUAL(derive_with(users, &hkdf, sizeof hkdf, taken, 1), KL_OK);
    CU_ASSERT_EQUAL(derive_with(users, &hkdf, sizeof hkdf, parent, 2), KL_TEMPLATE);
    CU_ASSERT_EQUAL(derive(session, derive(session, users, "4711", NULL), "i", "deeper"), 0);
    CU_ASSERT_EQUAL(last_rc, KL_KEY_FUNCTION);
    end();
}

/* DESIGN 4.4 */
static void what_comes_from_a_version_past_its_time_protects_nothing_new(void)
{
    CK_HKDF_PARAMS hkdf = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, (CK_BYTE *)(uintptr_t) "i", 1 };
    CK_ATTRIBUTE silent[] = { A_BOOL(CKA_TOKEN, CK_FALSE) }, wants[] = { A_BOOL(CKA_TOKEN, CK_FALSE), A_BOOL(CKA_ENCRYPT, CK_TRUE) };
    CK_MECHANISM mechanism = { CKM_HKDF_DERIVE, &hkdf, sizeof hkdf };
    CK_OBJECT_HANDLE users, record = 0;
    struct kl_object *object;

    begin();
    users = derive(session, find_label(session, "master"), "users", "users");
    object = kl_slot_get(users);
    CU_ASSERT_PTR_NOT_NULL_FATAL(object);
    object->shot->state = KL_STATE_DEACTIVATED;
    CU_ASSERT_EQUAL(kl_object_derive(session, &mechanism, users, wants, 2, &record), KL_TEMPLATE);
    CU_ASSERT_EQUAL(derive(session, users, "email", "users.email"), 0);
    CU_ASSERT_EQUAL(last_rc, KL_TEMPLATE);
    CU_ASSERT_EQUAL_FATAL(kl_object_derive(session, &mechanism, users, silent, 1, &record), KL_OK);
    CU_ASSERT_FALSE(flag(record, CKA_ENCRYPT));
    CU_ASSERT_TRUE(flag(record, CKA_DECRYPT));
    kl_slot_put(object);
    end();
}

/* Nobody need be logged in to see it: what is asked of its bytes or done to it is another matter. */
static void a_public_key_is_read_and_changed_by_its_user_alone(void)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES),  A_TEXT(CKA_VALUE, KEY_BYTES),
                                A_BOOL(CKA_PRIVATE, CK_FALSE),      A_BOOL(CKA_SENSITIVE, CK_FALSE), A_BOOL(CKA_EXTRACTABLE, CK_TRUE) };
    CK_ATTRIBUTE label[] = { A_TEXT(CKA_LABEL, "x") };
    uint8_t room[32];
    CK_ATTRIBUTE value[] = { { CKA_VALUE, room, sizeof room } };
    CK_OBJECT_HANDLE key;

    begin();
    CU_ASSERT_EQUAL(create(template, COUNT(template), &key), KL_OK);
    CU_ASSERT_EQUAL(kl_object_read(session, key, value, 1), KL_OK);
    CU_ASSERT_EQUAL(kl_token_logout(demo), KL_OK);
    CU_ASSERT_EQUAL(kl_object_read(session, key, value, 1), KL_ATTR_SENSITIVE);
    CU_ASSERT_EQUAL(kl_object_write(session, key, label, 1), KL_NOT_LOGGED_IN);
    end();
}

UNIT_MAIN("token/object", UNIT(a_generated_key_has_a_clean_history), UNIT(an_imported_key_has_none), UNIT(a_key_has_a_length_of_its_type),
          UNIT(a_template_says_what_is_missing), UNIT(two_roles_are_refused_wherever_a_key_is_made),
          UNIT(nobody_makes_keys_without_the_user), UNIT(a_read_only_session_leaves_the_token_as_it_is),
          UNIT(the_ladder_grows_two_steps_and_then_makes_record_keys), UNIT(a_label_of_the_ladder_is_taken_for_keys_and_free_for_data),
          UNIT(a_label_of_a_free_key_is_no_place_for_the_ladder_either), UNIT(keys_of_the_ladder_stay_where_they_are),
          UNIT(the_ladder_takes_whole_hkdf_with_a_short_salt_and_some_info), UNIT(what_would_weaken_a_ladder_key_contradicts_it),
          UNIT(a_free_key_derives_as_rfc_5869_says_with_any_of_three_hashes), UNIT(data_is_what_was_derived_and_nothing_brought),
          UNIT(a_sensitive_base_has_sensitive_children), UNIT(a_length_is_asked_for_where_none_follows),
          UNIT(neither_step_unknown_hash_or_salt_is_refused), UNIT(every_attribute_that_can_be_given_is_given_beside_those_that_cannot),
          UNIT(the_value_of_an_open_key_can_be_read_and_of_no_other), UNIT(what_cannot_be_modified_is_not),
          UNIT(a_change_of_many_attributes_is_all_or_nothing), UNIT(the_value_of_data_is_kept_and_changed_in_every_kind_of_object),
          UNIT(a_copy_has_the_bytes_a_new_identity_and_no_more_rights), UNIT(a_search_takes_every_attribute_together),
          UNIT(a_search_does_not_tell_a_hidden_value), UNIT(a_unique_id_finds_its_object_wherever_it_is), UNIT(one_search_at_a_time),
          UNIT(what_is_found_may_be_destroyed_between_two_steps), UNIT(a_hidden_master_is_found_by_name_alone),
          UNIT(an_empty_template_asks_and_changes_nothing), UNIT(data_has_a_longest_length), UNIT(a_search_wants_attributes_of_their_form),
          UNIT(a_generated_key_has_a_longest_length), UNIT(what_derives_no_key_is_no_mechanism),
          UNIT(a_derived_key_has_a_type_that_there_is), UNIT(a_salt_is_where_it_is_said_to_be_and_not_endless),
          UNIT(neither_a_sensitive_base_nor_a_sensitive_salt_tells_data), UNIT(a_record_key_takes_no_label_of_the_ladder_and_has_no_child),
          UNIT(what_comes_from_a_version_past_its_time_protects_nothing_new), UNIT(a_public_key_is_read_and_changed_by_its_user_alone),
          UNIT(a_child_is_not_weaker_than_its_salt), UNIT(data_has_a_class_of_its_form_and_tells_no_length))
