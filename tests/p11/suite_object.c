/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Objects, attributes, searches, key generation. */
#include "suite.h"

#include <unistd.h>

static const CK_BYTE value32[32] = "0123456789abcdef0123456789ABCDEF";

static CK_RV create_data(CK_SESSION_HANDLE session, const char *label, const void *value, CK_ULONG len, CK_BBOOL token, CK_BBOOL private,
                         CK_OBJECT_HANDLE *object)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_DATA), A_TEXT(CKA_LABEL, label),        A_BOOL(CKA_TOKEN, token),
                                A_BOOL(CKA_PRIVATE, private), A_TEXT(CKA_APPLICATION, "test"), A_BYTES(CKA_VALUE, value, len) };

    return p11->C_CreateObject(session, template, COUNT(template), object);
}

static CK_RV read_attr(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, void *value, CK_ULONG *len)
{
    CK_ATTRIBUTE attr = { type, value, *len };
    CK_RV rv = p11->C_GetAttributeValue(session, object, &attr, 1);

    *len = attr.ulValueLen;
    return rv;
}

static CK_RV set_attr(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, const void *value, CK_ULONG len)
{
    CK_ATTRIBUTE attr = A_BYTES(type, value, len);

    return p11->C_SetAttributeValue(session, object, &attr, 1);
}

static CK_RV create_key(CK_SESSION_HANDLE session, CK_ATTRIBUTE *more, CK_ULONG count, CK_OBJECT_HANDLE *key)
{
    CK_ATTRIBUTE template[24] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES), A_BYTES(CKA_VALUE, value32, 32) };

    if (count) memcpy(template + 3, more, count * sizeof *more);
    return p11->C_CreateObject(session, template, 3 + count, key);
}

/* ---- create, read, change, copy, destroy ---- */

TEST(data_objects_keep_every_attribute_across_a_restart)
{
    CK_SESSION_HANDLE session = user_session();
    CK_BYTE value[300], back[400];
    CK_ULONG len = sizeof back;
    CK_OBJECT_HANDLE data = 0;
    char label[] = "a label with \xc3\xbcmlaut";

    for (size_t i = 0; i < sizeof value; i++) value[i] = (CK_BYTE)i;
    NEED(create_data(session, label, value, sizeof value, CK_TRUE, CK_TRUE, &data));
    stop();
    session = user_session();
    data = find_one(session, label);
    CHECK(data != 0);
    NEED(read_attr(session, data, CKA_VALUE, back, &len));
    CHECK(len == sizeof value && memcmp(back, value, len) == 0);
    len = sizeof back;
    NEED(read_attr(session, data, CKA_APPLICATION, back, &len));
    CHECK(len == 4 && memcmp(back, "test", 4) == 0);
    CHECK(get_bool(session, data, CKA_TOKEN) == CK_TRUE && get_bool(session, data, CKA_PRIVATE) == CK_TRUE);
    CHECK(get_ulong(session, data, CKA_CLASS) == CKO_DATA);
}

TEST(a_data_object_may_be_empty_or_large_and_be_changed)
{
    CK_RV rv;
    CK_SESSION_HANDLE session = user_session();
    static CK_BYTE large[65536], back[65536];
    CK_OBJECT_HANDLE data = 0;
    CK_ULONG len = sizeof back;

    memset(large, 0x42, sizeof large);
    NEED(create_data(session, "one", large, 0, CK_TRUE, CK_TRUE, &data));
    NEED(read_attr(session, data, CKA_VALUE, back, &len));
    CHECK(len == 0);
    /* The standard marks a data object's value as neither changeable nor fixed: taken whole or refused whole. */
    rv = set_attr(session, data, CKA_VALUE, "new", 3);
    EXPECT(rv, CKR_OK, CKR_ATTRIBUTE_READ_ONLY);
    len = sizeof back;
    NEED(read_attr(session, data, CKA_VALUE, back, &len));
    CHECK(len == (rv == CKR_OK ? 3 : 0));
    NEED(set_attr(session, data, CKA_LABEL, "other", 5));
    CHECK(find_one(session, "other") == data);
    NEED(create_data(session, "two", large, sizeof large, CK_TRUE, CK_TRUE, &data));
    len = sizeof back;
    NEED(read_attr(session, data, CKA_VALUE, back, &len));
    CHECK(len == sizeof large && memcmp(back, large, len) == 0);
}

TEST(a_secret_key_is_made_with_safe_values)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = 0;

    NEED(create_key(session, NULL, 0, &key));
    CHECK(get_bool(session, key, CKA_TOKEN) == CK_FALSE);
    CHECK(get_bool(session, key, CKA_PRIVATE) == CK_TRUE);
    CHECK(get_bool(session, key, CKA_SENSITIVE) == CK_TRUE);
    CHECK(get_bool(session, key, CKA_EXTRACTABLE) == CK_FALSE);
    CHECK(get_bool(session, key, CKA_ENCRYPT) == CK_TRUE && get_bool(session, key, CKA_DECRYPT) == CK_TRUE);
    CHECK(get_bool(session, key, CKA_WRAP) == CK_FALSE && get_bool(session, key, CKA_UNWRAP) == CK_FALSE);
    CHECK(get_bool(session, key, CKA_DERIVE) == CK_FALSE && get_bool(session, key, CKA_SIGN) == CK_FALSE);
    CHECK(get_bool(session, key, CKA_LOCAL) == CK_FALSE);
    CHECK(get_bool(session, key, CKA_ALWAYS_SENSITIVE) == CK_FALSE && get_bool(session, key, CKA_NEVER_EXTRACTABLE) == CK_FALSE);
    CHECK(get_ulong(session, key, CKA_KEY_GEN_MECHANISM) == CK_UNAVAILABLE_INFORMATION);
    CHECK(get_ulong(session, key, CKA_VALUE_LEN) == 32);
}

TEST(a_generated_key_knows_its_history)
{
    CK_SESSION_HANDLE session = user_session();
    CK_MECHANISM mech = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_VALUE_LEN, 32) };
    CK_OBJECT_HANDLE key = 0, clear;

    /* Exactly what Java's KeyGenerator sends. */
    NEED(p11->C_GenerateKey(session, &mech, template, 2, &key));
    CHECK(get_bool(session, key, CKA_LOCAL) == CK_TRUE);
    CHECK(get_ulong(session, key, CKA_KEY_GEN_MECHANISM) == CKM_AES_KEY_GEN);
    CHECK(get_ulong(session, key, CKA_KEY_TYPE) == CKK_AES);
    CHECK(get_bool(session, key, CKA_ALWAYS_SENSITIVE) == CK_TRUE && get_bool(session, key, CKA_NEVER_EXTRACTABLE) == CK_TRUE);
    CHECK(get_bool(session, key, CKA_ENCRYPT) == CK_TRUE && get_bool(session, key, CKA_DECRYPT) == CK_TRUE);
    clear = key_make(session, "edX");
    CHECK(get_bool(session, clear, CKA_ALWAYS_SENSITIVE) == CK_FALSE && get_bool(session, clear, CKA_NEVER_EXTRACTABLE) == CK_FALSE);
}

TEST(aes_keys_have_three_sizes_and_no_other)
{
    static const CK_ULONG good[] = { 16, 24, 32 }, bad[] = { 0, 1, 8, 15, 17, 31, 33, 64, 256, 0x100000010, CK_UNAVAILABLE_INFORMATION };
    CK_SESSION_HANDLE session = user_session();
    CK_MECHANISM mech = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_OBJECT_HANDLE key = 0;

    for (size_t i = 0; i < COUNT(good); i++) {
        CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, good[i]) };

        NEED(p11->C_GenerateKey(session, &mech, template, 1, &key));
        CHECK(get_ulong(session, key, CKA_VALUE_LEN) == good[i]);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, bad[i]) };

        EXPECT(p11->C_GenerateKey(session, &mech, template, 1, &key), CKR_ATTRIBUTE_VALUE_INVALID, CKR_KEY_SIZE_RANGE);
    }
    EXPECT(p11->C_GenerateKey(session, &mech, NULL, 0, &key), CKR_TEMPLATE_INCOMPLETE);
}

TEST(generic_secrets_are_made_in_the_sizes_promised)
{
    CK_SESSION_HANDLE session = user_session();
    CK_MECHANISM mech = { CKM_GENERIC_SECRET_KEY_GEN, NULL, 0 };
    CK_MECHANISM_INFO info;
    CK_OBJECT_HANDLE key = 0;
    CK_ATTRIBUTE zero[] = { A_ULONG(CKA_VALUE_LEN, 0) }, huge[] = { A_ULONG(CKA_VALUE_LEN, 1UL << 40) },
                 usual[] = { A_ULONG(CKA_VALUE_LEN, 64) };

    NEED(p11->C_GetMechanismInfo(slot_labelled(TOKEN_LABEL), CKM_GENERIC_SECRET_KEY_GEN, &info));
    NEED(p11->C_GenerateKey(session, &mech, usual, 1, &key));
    CHECK(get_ulong(session, key, CKA_VALUE_LEN) == 64);
    CHECK(get_ulong(session, key, CKA_KEY_TYPE) == CKK_GENERIC_SECRET);
    CHECK(get_bool(session, key, CKA_SIGN) == CK_TRUE && get_bool(session, key, CKA_VERIFY) == CK_TRUE);
    CHECK(get_bool(session, key, CKA_ENCRYPT) == CK_FALSE && get_bool(session, key, CKA_DERIVE) == CK_FALSE);
    EXPECT(p11->C_GenerateKey(session, &mech, zero, 1, &key), CKR_ATTRIBUTE_VALUE_INVALID, CKR_KEY_SIZE_RANGE);
    EXPECT(p11->C_GenerateKey(session, &mech, huge, 1, &key), CKR_ATTRIBUTE_VALUE_INVALID, CKR_KEY_SIZE_RANGE);
    EXPECT(p11->C_GenerateKey(session, &mech, NULL, 0, &key), CKR_TEMPLATE_INCOMPLETE);
}

TEST(generation_refuses_what_contradicts_it)
{
    CK_SESSION_HANDLE session = user_session();
    CK_MECHANISM mech = { CKM_AES_KEY_GEN, NULL, 0 }, gcm = { CKM_AES_GCM, NULL, 0 }, unknown = { 0x7fffff, NULL, 0 },
                 param = { CKM_AES_KEY_GEN, (void *)(uintptr_t) "x", 1 };
    CK_ATTRIBUTE len = A_ULONG(CKA_VALUE_LEN, 32);
    CK_ATTRIBUTE data[] = { len, A_ULONG(CKA_CLASS, CKO_DATA) }, type[] = { len, A_ULONG(CKA_KEY_TYPE, CKK_GENERIC_SECRET) },
                 value[] = { len, A_BYTES(CKA_VALUE, value32, 32) }, local[] = { len, A_BOOL(CKA_LOCAL, CK_FALSE) },
                 twice[] = { len, A_ULONG(CKA_VALUE_LEN, 16) };
    CK_OBJECT_HANDLE key = 4711;
    CK_ATTRIBUTE aes[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES) };

    EXPECT(p11->C_GenerateKey(session, &gcm, &len, 1, &key), CKR_MECHANISM_INVALID);
    EXPECT(p11->C_GenerateKey(session, &unknown, &len, 1, &key), CKR_MECHANISM_INVALID);
    EXPECT(p11->C_GenerateKey(session, &param, &len, 1, &key), CKR_MECHANISM_PARAM_INVALID);
    EXPECT(p11->C_GenerateKey(session, &mech, data, 2, &key), CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_VALUE_INVALID);
    EXPECT(p11->C_GenerateKey(session, &mech, type, 2, &key), CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_VALUE_INVALID);
    EXPECT(p11->C_GenerateKey(session, &mech, value, 2, &key), CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_READ_ONLY);
    EXPECT(p11->C_GenerateKey(session, &mech, local, 2, &key), CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT);
    EXPECT(p11->C_GenerateKey(session, &mech, twice, 2, &key), CKR_TEMPLATE_INCONSISTENT);
    CHECK(find_count(session, aes, 1) == 0);
}

TEST(creation_wants_class_type_and_value)
{
    CK_SESSION_HANDLE session = user_session();
    CK_ATTRIBUTE class = A_ULONG(CKA_CLASS, CKO_SECRET_KEY), type = A_ULONG(CKA_KEY_TYPE, CKK_AES), value = A_BYTES(CKA_VALUE, value32, 32);
    CK_ATTRIBUTE no_class[] = { type, value }, no_type[] = { class, value }, no_value[] = { class, type };
    static const CK_ULONG classes[] = {
        CKO_CERTIFICATE, CKO_PUBLIC_KEY, CKO_PRIVATE_KEY, CKO_HW_FEATURE, 0x7f, CK_UNAVAILABLE_INFORMATION
    };
    static const CK_ULONG types[] = { CKK_RSA, CKK_DES3, 0x7f, CK_UNAVAILABLE_INFORMATION };
    CK_OBJECT_HANDLE key = 0;

    EXPECT(p11->C_CreateObject(session, no_class, 2, &key), CKR_TEMPLATE_INCOMPLETE);
    EXPECT(p11->C_CreateObject(session, no_type, 2, &key), CKR_TEMPLATE_INCOMPLETE);
    EXPECT(p11->C_CreateObject(session, no_value, 2, &key), CKR_TEMPLATE_INCOMPLETE);
    EXPECT(p11->C_CreateObject(session, NULL, 0, &key), CKR_TEMPLATE_INCOMPLETE, CKR_ARGUMENTS_BAD);
    for (size_t i = 0; i < COUNT(classes); i++) {
        CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, classes[i]), type, value };

        EXPECT(p11->C_CreateObject(session, template, 3, &key), CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT);
    }
    for (size_t i = 0; i < COUNT(types); i++) {
        CK_ATTRIBUTE template[] = { class, A_ULONG(CKA_KEY_TYPE, types[i]), value };

        EXPECT(p11->C_CreateObject(session, template, 3, &key), CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT);
    }
}

TEST(attributes_the_token_owns_cannot_be_given)
{
    static const struct {
        CK_ATTRIBUTE_TYPE type;
        CK_ULONG len;
    } owned[] = { { CKA_LOCAL, 1 },
                  { CKA_ALWAYS_SENSITIVE, 1 },
                  { CKA_NEVER_EXTRACTABLE, 1 },
                  { CKA_KEY_GEN_MECHANISM, 8 },
                  { CKA_UNIQUE_ID, 8 },
                  { 0xcb4c0001, 8 },
                  { 0xcb4c0002, 8 },
                  { 0xcb4c0003, 8 },
                  { 0xcb4c0004, 8 },
                  { 0xcb4c0005, 8 },
                  { 0xcb4c0006, 8 } };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = 0;
    CK_BYTE zero[8] = { 0 };

    for (size_t i = 0; i < COUNT(owned); i++) {
        CK_ATTRIBUTE more[] = { A_BYTES(owned[i].type, zero, owned[i].len) };

        if (!EXPECT(create_key(session, more, 1, &key), CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT))
            printf("      attribute 0x%lx\n", owned[i].type);
    }
    NEED(create_key(session, NULL, 0, &key));
    for (size_t i = 0; i < COUNT(owned); i++)
        if (!EXPECT(set_attr(session, key, owned[i].type, zero, owned[i].len), CKR_ATTRIBUTE_READ_ONLY))
            printf("      attribute 0x%lx\n", owned[i].type);
}

TEST(class_type_value_and_length_cannot_be_set)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edS");
    CK_ULONG n = 16, class = CKO_DATA;
    CK_BBOOL yes = CK_TRUE;

    EXPECT(set_attr(session, key, CKA_VALUE, value32, 32), CKR_ATTRIBUTE_READ_ONLY);
    EXPECT(set_attr(session, key, CKA_VALUE_LEN, &n, sizeof n), CKR_ATTRIBUTE_READ_ONLY);
    EXPECT(set_attr(session, key, CKA_CLASS, &class, sizeof class), CKR_ATTRIBUTE_READ_ONLY);
    EXPECT(set_attr(session, key, CKA_KEY_TYPE, &n, sizeof n), CKR_ATTRIBUTE_READ_ONLY);
    EXPECT(set_attr(session, key, CKA_LOCAL, &yes, 1), CKR_ATTRIBUTE_READ_ONLY);
    EXPECT(set_attr(session, key, CKA_TOKEN, &yes, 1), CKR_ATTRIBUTE_READ_ONLY);
    CHECK(get_ulong(session, key, CKA_VALUE_LEN) == 32);
}

TEST(a_boolean_is_one_byte_of_zero_or_one)
{
    static const CK_ATTRIBUTE_TYPE types[] = { CKA_TOKEN,   CKA_PRIVATE, CKA_SENSITIVE, CKA_EXTRACTABLE,
                                               CKA_ENCRYPT, CKA_DECRYPT, CKA_MODIFIABLE };
    static const CK_BYTE bad[] = { 0xff, 2, 0x80 };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = 0;
    CK_BYTE four[4] = { 1, 0, 0, 0 };

    for (size_t i = 0; i < COUNT(types); i++) {
        for (size_t j = 0; j < COUNT(bad); j++) {
            CK_ATTRIBUTE more[] = { A_BYTES(types[i], &bad[j], 1) };

            EXPECT(create_key(session, more, 1, &key), CKR_ATTRIBUTE_VALUE_INVALID);
        }
        CK_ATTRIBUTE wide[] = { A_BYTES(types[i], four, 4) }, empty[] = { A_BYTES(types[i], four, 0) };

        EXPECT(create_key(session, wide, 1, &key), CKR_ATTRIBUTE_VALUE_INVALID);
        EXPECT(create_key(session, empty, 1, &key), CKR_ATTRIBUTE_VALUE_INVALID);
    }
    key = key_make(session, "edS");
    EXPECT(set_attr(session, key, CKA_SENSITIVE, &bad[0], 1), CKR_ATTRIBUTE_VALUE_INVALID, CKR_ATTRIBUTE_READ_ONLY);
    EXPECT(set_attr(session, key, CKA_ENCRYPT, &bad[0], 1), CKR_ATTRIBUTE_VALUE_INVALID, CKR_ATTRIBUTE_READ_ONLY);
}

TEST(an_unknown_attribute_is_refused_and_not_dropped)
{
    static const CK_ATTRIBUTE_TYPE unknown[] = { 0x80000001, 0xcb4c7777, 0x7fff, CKA_MODULUS, CK_UNAVAILABLE_INFORMATION };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = 0, mine = key_make(session, "edS");
    CK_MECHANISM mech = { CKM_AES_KEY_GEN, NULL, 0 };

    for (size_t i = 0; i < COUNT(unknown); i++) {
        CK_ATTRIBUTE more[] = { A_ULONG(unknown[i], 1) }, generate[] = { A_ULONG(CKA_VALUE_LEN, 32), A_ULONG(unknown[i], 1) };
        CK_BYTE value[8];
        CK_ULONG len = sizeof value;

        EXPECT(create_key(session, more, 1, &key), CKR_ATTRIBUTE_TYPE_INVALID);
        EXPECT(p11->C_GenerateKey(session, &mech, generate, 2, &key), CKR_ATTRIBUTE_TYPE_INVALID);
        EXPECT(p11->C_CopyObject(session, mine, more, 1, &key), CKR_ATTRIBUTE_TYPE_INVALID);
        EXPECT(p11->C_SetAttributeValue(session, mine, more, 1), CKR_ATTRIBUTE_TYPE_INVALID);
        EXPECT(read_attr(session, mine, unknown[i], value, &len), CKR_ATTRIBUTE_TYPE_INVALID);
        CHECK(len == CK_UNAVAILABLE_INFORMATION);
        /* A search for what no object can have finds nothing. */
        CHECK(find_count(session, more, 1) == 0);
    }
}

TEST(weak_imports_are_refused)
{
    static CK_BYTE large[1 << 20];
    static const CK_ULONG bad[] = { 0, 1, 15, 17, 31, 33, sizeof large };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = 0;
    CK_ATTRIBUTE wrong_len[] = { A_ULONG(CKA_VALUE_LEN, 16) };

    for (size_t i = 0; i < COUNT(bad); i++)
        EXPECT(import_try(session, CKK_AES, large, bad[i], "edS", &key), CKR_ATTRIBUTE_VALUE_INVALID, CKR_KEY_SIZE_RANGE,
               CKR_TEMPLATE_INCONSISTENT);
    EXPECT(create_key(session, wrong_len, 1, &key), CKR_ATTRIBUTE_VALUE_INVALID, CKR_KEY_SIZE_RANGE, CKR_TEMPLATE_INCONSISTENT,
           CKR_ATTRIBUTE_READ_ONLY);
    EXPECT(import_try(session, CKK_GENERIC_SECRET, large, 0, "svS", &key), CKR_ATTRIBUTE_VALUE_INVALID, CKR_KEY_SIZE_RANGE,
           CKR_TEMPLATE_INCONSISTENT);
    /* Java's tests import a key of zeroes; only `strict` refuses it. */
    EXPECT(import_try(session, CKK_AES, large, 32, "edST", &key), CKR_OK);
}

TEST(the_value_of_a_sensitive_or_unextractable_key_is_never_read)
{
    static const char *const kinds[] = { "edS", "edSX", "ed", "edST", "edT" };
    CK_SESSION_HANDLE session = user_session();

    for (size_t i = 0; i < COUNT(kinds); i++) {
        CK_OBJECT_HANDLE key = 0;
        CK_BYTE value[64];
        CK_ULONG len = 0;

        NEED(import_try(session, CKK_AES, value32, 32, kinds[i], &key));
        memset(value, 0x5a, sizeof value);
        EXPECT(read_attr(session, key, CKA_VALUE, NULL, &len), CKR_ATTRIBUTE_SENSITIVE);
        CHECK(len == CK_UNAVAILABLE_INFORMATION);
        len = sizeof value;
        EXPECT(read_attr(session, key, CKA_VALUE, value, &len), CKR_ATTRIBUTE_SENSITIVE);
        CHECK(len == CK_UNAVAILABLE_INFORMATION);
        for (size_t j = 0; j < sizeof value; j++) CHECK(value[j] == 0x5a);
    }
}

TEST(the_value_of_an_open_session_key_is_read)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = 0;
    CK_BYTE value[64];
    CK_ULONG len = sizeof value;

    NEED(import_try(session, CKK_AES, value32, 32, "edX", &key));
    NEED(read_attr(session, key, CKA_VALUE, value, &len));
    CHECK(len == 32 && memcmp(value, value32, 32) == 0);
}

TEST(a_search_by_value_is_no_oracle)
{
    CK_SESSION_HANDLE session = user_session();
    CK_ATTRIBUTE right[] = { A_BYTES(CKA_VALUE, value32, 32) };
    CK_OBJECT_HANDLE key = 0;

    NEED(import_try(session, CKK_AES, value32, 32, "edS", &key));
    NEED(import_try(session, CKK_AES, value32, 32, "edST", &key));
    CHECK(find_count(session, right, 1) == 0);
}

TEST(reading_fills_all_it_can_and_marks_the_rest)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edS");
    CK_BYTE value[32], small[1];
    CK_ULONG type = 0, len = 0;
    CK_BBOOL token = 0x55;
    CK_ATTRIBUTE mixed[] = { { CKA_VALUE, value, sizeof value },   { CKA_KEY_TYPE, &type, sizeof type },
                             { CKA_MODULUS, value, sizeof value }, { CKA_VALUE_LEN, small, sizeof small },
                             { CKA_VALUE_LEN, NULL, 0 },           { CKA_TOKEN, &token, 1 },
                             { CKA_VALUE_LEN, &len, sizeof len } };

    EXPECT(p11->C_GetAttributeValue(session, key, mixed, COUNT(mixed)), CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID,
           CKR_BUFFER_TOO_SMALL);
    CHECK(mixed[0].ulValueLen == CK_UNAVAILABLE_INFORMATION);
    CHECK(mixed[1].ulValueLen == sizeof type && type == CKK_AES);
    CHECK(mixed[2].ulValueLen == CK_UNAVAILABLE_INFORMATION);
    CHECK(mixed[3].ulValueLen == CK_UNAVAILABLE_INFORMATION);
    CHECK(mixed[4].ulValueLen == sizeof(CK_ULONG));
    CHECK(mixed[5].ulValueLen == 1 && token == CK_FALSE);
    CHECK(mixed[6].ulValueLen == sizeof len && len == 32);
    mixed[3].ulValueLen = sizeof small;
    EXPECT(p11->C_GetAttributeValue(session, key, mixed + 3, 1), CKR_BUFFER_TOO_SMALL);
}

TEST(reading_and_setting_need_attributes_and_a_sane_count)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edS");
    CK_BBOOL token;
    CK_ATTRIBUTE one[] = { { CKA_TOKEN, &token, 1 } }, no_value[] = { { CKA_LABEL, NULL, 5 } };
    CK_OBJECT_HANDLE other = 0;

    EXPECT(p11->C_GetAttributeValue(session, key, NULL, 1), CKR_ARGUMENTS_BAD);
    EXPECT(p11->C_GetAttributeValue(session, key, one, 0), CKR_ARGUMENTS_BAD);
    EXPECT(p11->C_GetAttributeValue(session, key, one, CK_UNAVAILABLE_INFORMATION), CKR_ARGUMENTS_BAD);
    EXPECT(p11->C_SetAttributeValue(session, key, NULL, 1), CKR_ARGUMENTS_BAD);
    EXPECT(p11->C_SetAttributeValue(session, key, one, CK_UNAVAILABLE_INFORMATION), CKR_ARGUMENTS_BAD);
    EXPECT(p11->C_SetAttributeValue(session, key, one, 1UL << 32), CKR_ARGUMENTS_BAD);
    EXPECT(p11->C_SetAttributeValue(session, key, no_value, 1), CKR_ARGUMENTS_BAD, CKR_ATTRIBUTE_VALUE_INVALID);
    EXPECT(p11->C_CopyObject(session, key, no_value, 1, &other), CKR_ARGUMENTS_BAD, CKR_ATTRIBUTE_VALUE_INVALID);
    EXPECT(p11->C_CreateObject(session, one, 1UL << 32, &other), CKR_ARGUMENTS_BAD);
    EXPECT(p11->C_FindObjectsInit(session, one, 1UL << 32), CKR_ARGUMENTS_BAD);
}

TEST(misaligned_templates_work)
{
    CK_SESSION_HANDLE session = user_session();
    CK_MECHANISM mech = { CKM_AES_KEY_GEN, NULL, 0 };
    static CK_BYTE area[512];
    struct {
        CK_ULONG len;
    } value = { 32 };
    CK_ATTRIBUTE template[] = { { CKA_VALUE_LEN, area + 257, sizeof(CK_ULONG) }, A_TEXT(CKA_LABEL, "odd") };
    CK_OBJECT_HANDLE key = 0;

    memcpy(area + 257, &value.len, sizeof value.len);
    memcpy(area + 1, template, sizeof template);
    memcpy(area + 129, &mech, sizeof mech);
    NEED(p11->C_GenerateKey(session, (CK_MECHANISM *)(void *)(area + 129), (CK_ATTRIBUTE *)(void *)(area + 1), 2, &key));
    CHECK(find_one(session, "odd") == key);
}

/* ---- labels and ids ---- */

TEST(a_label_is_changed_and_found_at_once_and_after_a_restart)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edST");

    NEED(set_attr(session, key, CKA_LABEL, "first", 5));
    CHECK(find_one(session, "first") == key);
    NEED(set_attr(session, key, CKA_LABEL, "second", 6));
    CHECK(find_one(session, "first") == 0 && find_one(session, "second") == key);
    stop();
    session = user_session();
    CHECK(find_one(session, "first") == 0);
    CHECK(find_one(session, "second") != 0);
}

TEST(free_keys_may_share_a_label)
{
    CK_SESSION_HANDLE session = user_session();
    CK_ATTRIBUTE label[] = { A_TEXT(CKA_LABEL, "shared") };

    for (int i = 0; i < 3; i++) NEED(set_attr(session, key_make(session, "edST"), CKA_LABEL, "shared", 6));
    CHECK(find_count(session, label, 1) == 3);
}

TEST(hostile_labels_are_only_labels)
{
    static const struct {
        const char *bytes;
        size_t len;
    } labels[] = { { "x'; DROP TABLE encryption_keys; --", 34 },
                   { "a\rb\nc\x1b[31m", 10 },
                   { "nul\0inside", 10 },
                   { "\"quoted\"", 8 },
                   { "%s%n%d", 6 },
                   { "_%", 2 },
                   { "ORACLE.TDE.HSM.MK.0600", 22 },
                   { "kek.v1", 6 } };
    CK_SESSION_HANDLE session = user_session();

    for (size_t i = 0; i < COUNT(labels); i++) {
        CK_OBJECT_HANDLE key = key_make(session, "edST");
        CK_ATTRIBUTE by_label[] = { A_BYTES(CKA_LABEL, labels[i].bytes, labels[i].len) };
        CK_BYTE back[64];
        CK_ULONG len = sizeof back;

        NEED(set_attr(session, key, CKA_LABEL, labels[i].bytes, labels[i].len));
        CHECK(find_count(session, by_label, 1) == 1);
        NEED(read_attr(session, key, CKA_LABEL, back, &len));
        CHECK(len == labels[i].len && memcmp(back, labels[i].bytes, len) == 0);
    }
    stop();
    session = user_session();
    for (size_t i = 0; i < COUNT(labels); i++) {
        CK_ATTRIBUTE by_label[] = { A_BYTES(CKA_LABEL, labels[i].bytes, labels[i].len) };

        CHECK(find_count(session, by_label, 1) == 1);
    }
}

TEST(a_giant_label_is_refused_by_its_length)
{
    static char giant[1 << 20];
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edST");

    memset(giant, 'x', sizeof giant);
    EXPECT(set_attr(session, key, CKA_LABEL, giant, sizeof giant), CKR_ATTRIBUTE_VALUE_INVALID);
    EXPECT(set_attr(session, key, CKA_ID, giant, sizeof giant), CKR_ATTRIBUTE_VALUE_INVALID);
}

TEST(an_id_is_found_and_unique_ids_are_unique)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE one = key_make(session, "edST"), two = key_make(session, "edST");
    CK_BYTE id[] = { 0, 1, 2, 0 }, first[64], second[64];
    CK_ATTRIBUTE by_id[] = { A_BYTES(CKA_ID, id, sizeof id) };
    CK_ULONG first_len = sizeof first, second_len = sizeof second;

    NEED(set_attr(session, one, CKA_ID, id, sizeof id));
    CHECK(find_count(session, by_id, 1) == 1);
    NEED(read_attr(session, one, CKA_UNIQUE_ID, first, &first_len));
    NEED(read_attr(session, two, CKA_UNIQUE_ID, second, &second_len));
    CHECK(first_len == 36 && second_len == 36 && memcmp(first, second, 36) != 0);
    {
        CK_ATTRIBUTE by_unique[] = { A_BYTES(CKA_UNIQUE_ID, first, first_len) };

        CHECK(find_count(session, by_unique, 1) == 1);
    }
}

/* ---- searches ---- */

TEST(a_search_gives_no_more_than_the_count_and_each_object_once)
{
    CK_SESSION_HANDLE session = user_session();
    CK_ATTRIBUTE label[] = { A_TEXT(CKA_LABEL, "many"), A_ULONG(CKA_CLASS, CKO_SECRET_KEY) };
    CK_OBJECT_HANDLE made[150], found[200];
    CK_ULONG total = 0, got = 0;

    for (size_t i = 0; i < COUNT(made); i++) {
        made[i] = key_make(session, i % 2 ? "edST" : "edS");
        NEED(set_attr(session, made[i], CKA_LABEL, "many", 4));
    }
    for (CK_ULONG step = 1; step <= 64; step = step * 3 + 1) {
        total = 0;
        NEED(p11->C_FindObjectsInit(session, label, 2));
        do {
            found[total + step] = 0x5a5a;
            NEED(p11->C_FindObjects(session, found + total, step, &got));
            CHECK(got <= step && found[total + step] == 0x5a5a);
            total += got;
        } while (got && total + step < COUNT(found));
        NEED(p11->C_FindObjectsFinal(session));
        CHECK(total == COUNT(made));
        for (size_t i = 0; i < COUNT(made); i++) {
            unsigned times = 0;

            for (CK_ULONG j = 0; j < total; j++) times += found[j] == made[i];
            CHECK(times == 1);
        }
    }
}

TEST(a_search_has_a_beginning_and_an_end)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE found[2];
    CK_ULONG got = 77;

    EXPECT(p11->C_FindObjects(session, found, 2, &got), CKR_OPERATION_NOT_INITIALIZED);
    EXPECT(p11->C_FindObjectsFinal(session), CKR_OPERATION_NOT_INITIALIZED);
    NEED(p11->C_FindObjectsInit(session, NULL, 0));
    EXPECT(p11->C_FindObjectsInit(session, NULL, 0), CKR_OPERATION_ACTIVE);
    NEED(p11->C_FindObjectsFinal(session));
    EXPECT(p11->C_FindObjects(session, found, 2, &got), CKR_OPERATION_NOT_INITIALIZED);
    EXPECT(p11->C_FindObjectsFinal(session), CKR_OPERATION_NOT_INITIALIZED);
}

TEST(searches_in_two_sessions_do_not_meet)
{
    CK_SESSION_HANDLE one = user_session(), two = open_session(0);
    CK_OBJECT_HANDLE key = key_make(one, "edST"), found[2];
    CK_ATTRIBUTE aes[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES) }, generic[] = { A_ULONG(CKA_KEY_TYPE, CKK_GENERIC_SECRET) };
    CK_ULONG got = 0;

    NEED(p11->C_FindObjectsInit(one, aes, 1));
    NEED(p11->C_FindObjectsInit(two, generic, 1));
    NEED(p11->C_FindObjects(two, found, 2, &got));
    CHECK(got == 0);
    NEED(p11->C_FindObjects(one, found, 2, &got));
    CHECK(got == 1 && found[0] == key);
}

TEST(an_object_destroyed_in_mid_search_hurts_nobody)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE made[10], found[10];
    CK_ATTRIBUTE aes[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES) };
    CK_ULONG got = 0;

    for (size_t i = 0; i < COUNT(made); i++) made[i] = key_make(session, "edST");
    NEED(p11->C_FindObjectsInit(session, aes, 1));
    NEED(p11->C_FindObjects(session, found, 2, &got));
    CHECK(got == 2);
    for (size_t i = 0; i < COUNT(made); i++) NEED(p11->C_DestroyObject(session, made[i]));
    EXPECT(p11->C_FindObjects(session, found, 10, &got), CKR_OK);
    NEED(p11->C_FindObjectsFinal(session));
    CHECK(find_count(session, aes, 1) == 0);
}

/* ---- life and death ---- */

TEST(a_destroyed_object_is_gone_for_good)
{
    CK_SESSION_HANDLE session = user_session();
    static const char *const kinds[] = { "edS", "edST" };
    CK_ATTRIBUTE aes[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES) };

    for (size_t i = 0; i < COUNT(kinds); i++) {
        CK_OBJECT_HANDLE key = key_make(session, kinds[i]), next;
        CK_ULONG size;

        NEED(p11->C_GetObjectSize(session, key, &size));
        NEED(p11->C_DestroyObject(session, key));
        EXPECT(p11->C_DestroyObject(session, key), CKR_OBJECT_HANDLE_INVALID);
        EXPECT(p11->C_GetObjectSize(session, key, &size), CKR_OBJECT_HANDLE_INVALID);
        EXPECT(set_attr(session, key, CKA_LABEL, "x", 1), CKR_OBJECT_HANDLE_INVALID);
        EXPECT(gcm_init(session, true, key, value32, 12, NULL, 0, 128), CKR_KEY_HANDLE_INVALID,
               p11_kind == SOFTHSM ? CKR_OBJECT_HANDLE_INVALID : CKR_KEY_HANDLE_INVALID);
        next = key_make(session, kinds[i]);
        CHECK(next != key && next != 0);
        NEED(p11->C_DestroyObject(session, next));
    }
    stop();
    session = user_session();
    CHECK(find_count(session, aes, 1) == 0);
}

TEST(handles_that_never_were_are_invalid)
{
    static const CK_OBJECT_HANDLE never[] = { 0, 0x7fffffff, CK_UNAVAILABLE_INFORMATION };
    CK_SESSION_HANDLE session = user_session();
    CK_BBOOL token;
    CK_ATTRIBUTE attr[] = { { CKA_TOKEN, &token, 1 } };
    CK_OBJECT_HANDLE copy = 0;

    for (size_t i = 0; i < COUNT(never); i++) {
        EXPECT(p11->C_GetAttributeValue(session, never[i], attr, 1), CKR_OBJECT_HANDLE_INVALID);
        EXPECT(p11->C_DestroyObject(session, never[i]), CKR_OBJECT_HANDLE_INVALID);
        EXPECT(p11->C_CopyObject(session, never[i], NULL, 0, &copy), CKR_OBJECT_HANDLE_INVALID);
        EXPECT(gcm_init(session, true, never[i], value32, 12, NULL, 0, 128), CKR_KEY_HANDLE_INVALID);
    }
}

TEST(session_objects_end_with_their_session_and_are_seen_by_all_before)
{
    CK_SESSION_HANDLE one = user_session(), two = open_session(0);
    CK_OBJECT_HANDLE key = key_make(two, "edS");

    CHECK(get_bool(one, key, CKA_TOKEN) == CK_FALSE);
    NEED(p11->C_CloseSession(two));
    EXPECT(p11->C_DestroyObject(one, key), CKR_OBJECT_HANDLE_INVALID);
}

static void sees_only_token_objects(void *label)
{
    CK_SESSION_HANDLE session;

    p11->C_Finalize(NULL);
    session = user_session();
    CHECK(find_one(session, label) != 0);
    CHECK(find_one(session, "session") == 0);
}

TEST(other_processes_see_token_objects_only)
{
    CK_SESSION_HANDLE session = user_session();

    NEED(set_attr(session, key_make(session, "edS"), CKA_LABEL, "session", 7));
    NEED(set_attr(session, key_make(session, "edST"), CKA_LABEL, "token", 5));
    in_other_process(sees_only_token_objects, (void *)(uintptr_t) "token");
}

static void makes_and_destroys(void *unused)
{
    CK_SESSION_HANDLE session;

    (void)unused;
    p11->C_Finalize(NULL);
    session = user_session();
    NEED(p11->C_DestroyObject(session, find_one(session, "old")));
    NEED(set_attr(session, key_make(session, "edST"), CKA_LABEL, "new", 3));
    stop();
}

TEST(what_another_process_did_is_seen_within_a_second)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edST");
    CK_BYTE sealed[64];

    NEED(set_attr(session, key, CKA_LABEL, "old", 3));
    seal(session, key, "x", 1, NULL, sealed);
    in_other_process(makes_and_destroys, NULL);
    sleep(2);
    CHECK(find_one(session, "old") == 0);
    CHECK(find_one(session, "new") != 0);
    EXPECT(gcm_init(session, true, key, value32, 12, NULL, 0, 128), CKR_KEY_HANDLE_INVALID);
}

TEST(a_read_only_session_changes_no_token_object)
{
    CK_SESSION_HANDLE rw = user_session(), ro = open_session(0);
    CK_OBJECT_HANDLE token = key_make(rw, "edST"), session_key = 0, copy = 0;
    CK_ATTRIBUTE to_token[] = { A_BOOL(CKA_TOKEN, CK_TRUE) };

    EXPECT(key_try(ro, "edST", &copy), CKR_SESSION_READ_ONLY);
    EXPECT(import_try(ro, CKK_AES, value32, 32, "edST", &copy), CKR_SESSION_READ_ONLY);
    EXPECT(create_data(ro, "x", "y", 1, CK_TRUE, CK_TRUE, &copy), CKR_SESSION_READ_ONLY);
    EXPECT(set_attr(ro, token, CKA_LABEL, "x", 1), CKR_SESSION_READ_ONLY);
    EXPECT(p11->C_DestroyObject(ro, token), CKR_SESSION_READ_ONLY);
    NEED(key_try(ro, "edS", &session_key));
    EXPECT(p11->C_CopyObject(ro, session_key, to_token, 1, &copy), CKR_SESSION_READ_ONLY);
    EXPECT(p11->C_DestroyObject(ro, session_key), CKR_OK);
}

TEST(copies_live_on_their_own)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edS"), copy = 0;
    /* What Java's KeyStore sends. */
    CK_ATTRIBUTE more[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_BOOL(CKA_PRIVATE, CK_TRUE), A_TEXT(CKA_LABEL, "copied") };
    CK_BYTE sealed[64], out[64];
    CK_ULONG out_len = sizeof out;
    size_t len = seal(session, key, "hello", 5, "aad", sealed);

    NEED(p11->C_CopyObject(session, key, more, COUNT(more), &copy));
    CHECK(copy != key && get_bool(session, copy, CKA_TOKEN) == CK_TRUE && get_bool(session, copy, CKA_SENSITIVE) == CK_TRUE);
    NEED(p11->C_DestroyObject(session, key));
    stop();
    session = user_session();
    copy = find_one(session, "copied");
    NEED(unseal(session, copy, sealed, len, "aad", out, &out_len));
    CHECK(out_len == 5 && memcmp(out, "hello", 5) == 0);
}

TEST(a_copy_has_the_value_that_its_template_says)
{
    static const CK_BBOOL both[] = { CK_FALSE, CK_TRUE };
    CK_SESSION_HANDLE session = user_session();
    CK_ATTRIBUTE other[] = { { CKA_VALUE, (CK_BYTE *)(uintptr_t) "another", 7 }, A_BOOL(CKA_TOKEN, CK_FALSE) };

    for (size_t i = 0; i < 8; i++) {
        CK_OBJECT_HANDLE data = 0, copy = 0;
        CK_BYTE back[16];
        CK_ULONG len = sizeof back;

        NEED(create_data(session, "first", "value", 5, both[i % 2], both[i / 2 % 2], &data));
        NEED(p11->C_CopyObject(session, data, other, i < 4 ? 1 : 2, &copy));
        NEED(read_attr(session, copy, CKA_VALUE, back, &len));
        CHECK(len == 7 && memcmp(back, "another", 7) == 0);
        len = sizeof back;
        NEED(read_attr(session, data, CKA_VALUE, back, &len));
        CHECK(len == 5 && memcmp(back, "value", 5) == 0);
    }
}

TEST(a_data_object_can_be_copied_and_sized)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE data = 0, copy = 0;
    CK_ATTRIBUTE more[] = { A_TEXT(CKA_LABEL, "second") };
    CK_ULONG size = 0;

    NEED(create_data(session, "first", "value", 5, CK_TRUE, CK_TRUE, &data));
    NEED(p11->C_CopyObject(session, data, more, 1, &copy));
    CHECK(find_one(session, "second") == copy && find_one(session, "first") == data);
    NEED(p11->C_GetObjectSize(session, copy, &size));
    CHECK(size > 0);
}

/* ---- who sees what ---- */

TEST(private_objects_are_invisible_before_login)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edST"), data = 0;
    CK_BBOOL token;
    CK_ATTRIBUTE attr[] = { { CKA_TOKEN, &token, 1 } }, aes[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES) };
    CK_BYTE unique[64];
    CK_ULONG unique_len = sizeof unique;

    NEED(create_data(session, "secret", "x", 1, CK_TRUE, CK_TRUE, &data));
    if (p11_kind == KEYLADDER) NEED(read_attr(session, key, CKA_UNIQUE_ID, unique, &unique_len));
    NEED(p11->C_Logout(session));
    CHECK(find_count(session, NULL, 0) == profile_count());
    CHECK(find_count(session, aes, 1) == 0);
    CHECK(find_one(session, "secret") == 0);
    if (p11_kind == KEYLADDER) {
        CK_ATTRIBUTE by_unique[] = { A_BYTES(CKA_UNIQUE_ID, unique, unique_len) };

        CHECK(find_count(session, by_unique, 1) == 0);
    }
    EXPECT(p11->C_GetAttributeValue(session, key, attr, 1), CKR_OBJECT_HANDLE_INVALID);
    EXPECT(p11->C_DestroyObject(session, key), CKR_OBJECT_HANDLE_INVALID);
    EXPECT(key_try(session, "edS", &key), CKR_USER_NOT_LOGGED_IN);
    EXPECT(create_data(session, "x", "y", 1, CK_TRUE, CK_TRUE, &data), CKR_USER_NOT_LOGGED_IN);
}

TEST(guessed_handles_tell_nothing_before_login)
{
    CK_SESSION_HANDLE session = user_session();
    CK_BBOOL token;
    CK_ATTRIBUTE attr[] = { { CKA_TOKEN, &token, 1 } };
    unsigned wrong = 0;

    for (int i = 0; i < 10; i++) key_make(session, i % 2 ? "edST" : "edS");
    NEED(p11->C_Logout(session));
    for (CK_OBJECT_HANDLE handle = 0; handle <= 100000; handle++)
        wrong += p11->C_GetAttributeValue(session, handle, attr, 1) != CKR_OBJECT_HANDLE_INVALID;
    CHECK(wrong == 0);
}

TEST(the_so_sees_and_uses_no_key_of_the_user)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edST");

    NEED(p11->C_Logout(session));
    NEED(login(session, CKU_SO, SO_PIN));
    CHECK(find_count(session, NULL, 0) == profile_count());
    EXPECT(gcm_init(session, true, key, value32, 12, NULL, 0, 128), CKR_USER_NOT_LOGGED_IN, CKR_KEY_HANDLE_INVALID);
    EXPECT(key_try(session, "edST", &key), CKR_USER_NOT_LOGGED_IN);
}

TEST(private_session_objects_end_at_logout)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edS"), public = 0;

    NEED(create_data(session, "public", "x", 1, CK_FALSE, CK_FALSE, &public));
    NEED(p11->C_Logout(session));
    CHECK(get_bool(session, public, CKA_PRIVATE) == CK_FALSE);
    NEED(login(session, CKU_USER, USER_PIN));
    EXPECT(gcm_init(session, true, key, value32, 12, NULL, 0, 128), CKR_KEY_HANDLE_INVALID,
           p11_kind == SOFTHSM ? CKR_OBJECT_HANDLE_INVALID : CKR_KEY_HANDLE_INVALID);
    EXPECT(p11->C_DestroyObject(session, key), CKR_OBJECT_HANDLE_INVALID);
}

TEST(public_data_is_seen_by_everybody)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE data = 0;
    CK_BYTE back[16];
    CK_ULONG len = sizeof back;

    NEED(create_data(session, "public", "hello", 5, CK_TRUE, CK_FALSE, &data));
    stop();
    start();
    session = open_session(0);
    data = find_one(session, "public");
    CHECK(data != 0);
    NEED(read_attr(session, data, CKA_VALUE, back, &len));
    CHECK(len == 5 && memcmp(back, "hello", 5) == 0);
}

TEST(a_public_key_shows_attributes_before_login_and_is_used_after)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edSTP");

    NEED(set_attr(session, key, CKA_LABEL, "open", 4));
    stop();
    start();
    session = open_session(CKF_RW_SESSION);
    key = find_one(session, "open");
    CHECK(key != 0);
    CHECK(get_ulong(session, key, CKA_VALUE_LEN) == 32);
    EXPECT(gcm_init(session, true, key, value32, 12, NULL, 0, 128), CKR_USER_NOT_LOGGED_IN);
    NEED(login(session, CKU_USER, USER_PIN));
    EXPECT(gcm_init(session, true, key, value32, 12, NULL, 0, 128), CKR_OK);
}

TEST(a_handle_of_one_slot_is_nothing_in_another)
{
    CK_SESSION_HANDLE session = user_session(), other = open_on(slot_labelled("other"), CKF_RW_SESSION);
    CK_OBJECT_HANDLE key = key_make(session, "edST");
    CK_BBOOL token;
    CK_ATTRIBUTE attr[] = { { CKA_TOKEN, &token, 1 } };

    NEED(login(other, CKU_USER, USER_PIN));
    EXPECT(p11->C_GetAttributeValue(other, key, attr, 1), CKR_OBJECT_HANDLE_INVALID);
    EXPECT(p11->C_DestroyObject(other, key), CKR_OBJECT_HANDLE_INVALID);
    EXPECT(gcm_init(other, true, key, value32, 12, NULL, 0, 128), CKR_KEY_HANDLE_INVALID, CKR_OBJECT_HANDLE_INVALID);
}

/* ---- what stock callers send ---- */

TEST(templates_of_stock_callers_are_accepted)
{
    CK_SESSION_HANDLE session = user_session();
    CK_MECHANISM aes = { CKM_AES_KEY_GEN, NULL, 0 }, generic = { CKM_GENERIC_SECRET_KEY_GEN, NULL, 0 };
    CK_OBJECT_HANDLE key = 0;
    /* pkcs11-tool --keygen */
    CK_ATTRIBUTE tool[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES), A_BOOL(CKA_TOKEN, CK_TRUE),
                            A_BOOL(CKA_PRIVATE, CK_TRUE),       A_BOOL(CKA_ENCRYPT, CK_TRUE),   A_BOOL(CKA_DECRYPT, CK_TRUE),
                            A_ULONG(CKA_VALUE_LEN, 32),         A_TEXT(CKA_LABEL, "tool"),      A_BYTES(CKA_ID, "\1", 1) };
    /* a PostgreSQL encryption extension: its master key only wraps */
    CK_ATTRIBUTE wrapper[] = { A_BOOL(CKA_TOKEN, CK_TRUE),        A_BOOL(CKA_PRIVATE, CK_TRUE), A_BOOL(CKA_SENSITIVE, CK_TRUE),
                               A_BOOL(CKA_EXTRACTABLE, CK_FALSE), A_BOOL(CKA_WRAP, CK_TRUE),    A_BOOL(CKA_UNWRAP, CK_TRUE),
                               A_ULONG(CKA_VALUE_LEN, 32),        A_TEXT(CKA_LABEL, "base.v1") };
    CK_ATTRIBUTE import[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES), A_BYTES(CKA_VALUE, value32, 32),
                              A_BOOL(CKA_TOKEN, CK_TRUE),         A_BOOL(CKA_PRIVATE, CK_TRUE),   A_TEXT(CKA_LABEL, "java") };
    CK_ATTRIBUTE open_key[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES),   A_BOOL(CKA_TOKEN, CK_FALSE),
                                A_BOOL(CKA_SENSITIVE, CK_FALSE),    A_BOOL(CKA_EXTRACTABLE, CK_TRUE), A_BYTES(CKA_VALUE, value32, 32) };
    CK_ATTRIBUTE hmac[] = { A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_SIGN, CK_TRUE), A_BOOL(CKA_VERIFY, CK_TRUE), A_TEXT(CKA_LABEL, "mac") };

    EXPECT(p11->C_GenerateKey(session, &aes, tool, COUNT(tool), &key), CKR_OK);
    EXPECT(p11->C_GenerateKey(session, &aes, wrapper, COUNT(wrapper), &key), CKR_OK);
    EXPECT(p11->C_GenerateKey(session, &generic, hmac, COUNT(hmac), &key), CKR_OK);
    EXPECT(p11->C_CreateObject(session, import, COUNT(import), &key), CKR_OK);
    EXPECT(p11->C_CreateObject(session, open_key, COUNT(open_key), &key), CKR_OK);
}

const struct test object_tests[] = {
    T(data_objects_keep_every_attribute_across_a_restart, ANY),
    T(a_data_object_may_be_empty_or_large_and_be_changed, OURS),
    T(a_secret_key_is_made_with_safe_values, OURS),
    T(a_generated_key_knows_its_history, OURS),
    T(aes_keys_have_three_sizes_and_no_other, OURS),
    T(generic_secrets_are_made_in_the_sizes_promised, OURS),
    T(generation_refuses_what_contradicts_it, OURS),
    T(creation_wants_class_type_and_value, OURS),
    T(attributes_the_token_owns_cannot_be_given, OURS),
    T(class_type_value_and_length_cannot_be_set, ANY),
    T(a_boolean_is_one_byte_of_zero_or_one, OURS),
    T(an_unknown_attribute_is_refused_and_not_dropped, OURS),
    T(weak_imports_are_refused, OURS),
    T(the_value_of_a_sensitive_or_unextractable_key_is_never_read, OURS),
    T(the_value_of_an_open_session_key_is_read, ANY),
    T(a_search_by_value_is_no_oracle, OURS),
    T(reading_fills_all_it_can_and_marks_the_rest, ANY),
    T(reading_and_setting_need_attributes_and_a_sane_count, OURS),
    T(misaligned_templates_work, OURS),
    T(a_label_is_changed_and_found_at_once_and_after_a_restart, ANY),
    T(free_keys_may_share_a_label, ANY),
    T(hostile_labels_are_only_labels, ANY),
    T(a_giant_label_is_refused_by_its_length, OURS),
    T(an_id_is_found_and_unique_ids_are_unique, OURS),
    T(a_search_gives_no_more_than_the_count_and_each_object_once, ANY),
    T(a_search_has_a_beginning_and_an_end, ANY),
    T(searches_in_two_sessions_do_not_meet, ANY),
    T(an_object_destroyed_in_mid_search_hurts_nobody, ANY),
    T(a_destroyed_object_is_gone_for_good, ANY),
    T(handles_that_never_were_are_invalid, OURS),
    T(session_objects_end_with_their_session_and_are_seen_by_all_before, ANY),
    T(other_processes_see_token_objects_only, ANY),
    T(what_another_process_did_is_seen_within_a_second, OURS),
    T(a_read_only_session_changes_no_token_object, ANY),
    T(copies_live_on_their_own, OURS),
    T(a_copy_has_the_value_that_its_template_says, OURS),
    T(a_data_object_can_be_copied_and_sized, ANY),
    T(private_objects_are_invisible_before_login, ANY),
    T(guessed_handles_tell_nothing_before_login, OURS),
    T(the_so_sees_and_uses_no_key_of_the_user, OURS),
    T(private_session_objects_end_at_logout, OURS),
    T(public_data_is_seen_by_everybody, ANY),
    T(a_public_key_shows_attributes_before_login_and_is_used_after, OURS),
    T(a_handle_of_one_slot_is_nothing_in_another, OURS),
    T(templates_of_stock_callers_are_accepted, ANY),
    { NULL, NULL, 0 },
};
