/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Features of objects: searching, attributes, making, copying, changing, destroying. */
#include "interop.h"

/* ---- searching ---- */

void finds_by_label(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_OBJECT_HANDLE key = labelled_key(session, "edT", MARK " label one");

    labelled_key(session, "edT", MARK " label");
    if (find_labelled(session, MARK " label one") != key) say_wrong("C_FindObjects by CKA_LABEL: not that one key");
    if (find_labelled(session, MARK " lab") != 0) say_wrong("C_FindObjects by CKA_LABEL: a part of the label is enough");
    finalize();
}

static CK_OBJECT_HANDLE key_with_id(CK_SESSION_HANDLE session, const char *id)
{
    CK_OBJECT_HANDLE key = aes_key(session, 32, "edT");
    CK_ATTRIBUTE template[] = { A_TEXT(CKA_ID, id) };

    MUST(C_SetAttributeValue, session, key, template, 1);
    return key;
}

void finds_by_id(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_ATTRIBUTE by_id[] = { A_TEXT(CKA_ID, "interop-1"), A_TEXT(CKA_LABEL, MARK) }, other[] = { A_TEXT(CKA_ID, "interop-3") };

    key_with_id(session, "interop-1");
    key_with_id(session, "interop-2");
    if (count_found(session, by_id, 1) != 1) say_wrong("C_FindObjects by CKA_ID: %lu keys, not 1", count_found(session, by_id, 1));
    if (count_found(session, by_id, 2) != 1)
        say_wrong("C_FindObjects by CKA_ID and CKA_LABEL: %lu keys, not 1", count_found(session, by_id, 2));
    if (count_found(session, other, 1) != 0) say_wrong("C_FindObjects by CKA_ID: a key with another one");
    finalize();
}

/* Each of them once, however they come. */
void finds_in_batches(void)
{
    enum { KEYS = 20, BATCH = 16 };
    CK_SESSION_HANDLE session = ready();
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES) };
    CK_OBJECT_HANDLE made[KEYS], found[BATCH];
    unsigned seen[KEYS] = { 0 };
    CK_ULONG got;

    for (size_t i = 0; i < KEYS; i++) made[i] = aes_key(session, 32, "ed");
    MUST(C_FindObjectsInit, session, template, COUNT(template));
    do {
        MUST(C_FindObjects, session, found, BATCH, &got);
        if (got > BATCH) say_wrong("C_FindObjects: %lu objects where %d were asked for", got, BATCH);
        for (CK_ULONG i = 0; i < got; i++)
            for (size_t k = 0; k < KEYS; k++) seen[k] += made[k] == found[i];
    } while (got > 0);
    MUST(C_FindObjectsFinal, session);
    for (size_t k = 0; k < KEYS; k++)
        if (seen[k] != 1) say_wrong("C_FindObjects in batches: one of the keys came %u times", seen[k]);
    finalize();
}

void finds_two_of_a_label(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES), A_TEXT(CKA_LABEL, MARK " twice") };
    CK_OBJECT_HANDLE found[2];
    CK_ULONG got = 0;

    for (int i = 0; i < 3; i++) labelled_key(session, "edT", MARK " twice");
    MUST(C_FindObjectsInit, session, template, COUNT(template));
    MUST(C_FindObjects, session, found, 2, &got);
    MUST(C_FindObjectsFinal, session);
    if (got != 2) say_wrong("C_FindObjects: %lu of three keys where 2 were asked for", got);
    finalize();
}

void finds_token_objects(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_ATTRIBUTE on_token[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_TEXT(CKA_LABEL, MARK " where") };
    CK_ATTRIBUTE in_session[] = { A_BOOL(CKA_TOKEN, CK_FALSE), A_TEXT(CKA_LABEL, MARK " where") };

    labelled_key(session, "edT", MARK " where");
    labelled_key(session, "ed", MARK " where");
    if (count_found(session, on_token, 3) != 1)
        say_wrong("C_FindObjects {TOKEN, CLASS, LABEL}: %lu keys, not 1", count_found(session, on_token, 3));
    if (count_found(session, in_session, 2) != 1)
        say_wrong("C_FindObjects {TOKEN=false}: %lu keys, not 1", count_found(session, in_session, 2));
    finalize();
}

void finds_everything(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_ULONG before = count_found(session, NULL, 0);

    aes_key(session, 32, "ed");
    if (before < 60 && count_found(session, NULL, 0) != before + 1) say_wrong("C_FindObjects of everything: not one key more");
    finalize();
}

void finds_one_search_at_a_time(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_OBJECT_HANDLE found;
    CK_ULONG got;

    MUST_BE("C_FindObjects without C_FindObjectsInit", CALL(C_FindObjects, session, &found, 1, &got), CKR_OPERATION_NOT_INITIALIZED);
    MUST(C_FindObjectsInit, session, NULL, 0);
    MUST_BE("C_FindObjectsInit again", CALL(C_FindObjectsInit, session, NULL, 0), CKR_OPERATION_ACTIVE);
    MUST(C_FindObjectsFinal, session);
    MUST_BE("C_FindObjectsFinal again", CALL(C_FindObjectsFinal, session), CKR_OPERATION_NOT_INITIALIZED);
    finalize();
}

/* ---- attributes ---- */

void hides_sensitive(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_OBJECT_HANDLE key = aes_key(session, 32, "ed");
    CK_BYTE value[64] = { 0 };
    CK_ATTRIBUTE attr = { CKA_VALUE, value, sizeof value };
    CK_RV rv = CALL(C_GetAttributeValue, session, key, &attr, 1);

    if (rv == CKR_OK) say_wrong("C_GetAttributeValue: the value of a sensitive key");
    for (size_t i = 0; i < sizeof value; i++)
        if (value[i] != 0) say_wrong("C_GetAttributeValue: %s, and bytes all the same", code(rv));
    MUST_BE("C_GetAttributeValue of a sensitive value", rv, CKR_ATTRIBUTE_SENSITIVE);
    if (attr.ulValueLen != CK_UNAVAILABLE_INFORMATION) say_wrong("C_GetAttributeValue: a length for a sensitive value");
    finalize();
}

void reads_plain(void)
{
    static const char hex[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    CK_SESSION_HANDLE session = ready();
    CK_OBJECT_HANDLE key = import_hex(session, CKK_AES, hex, "edNX");
    CK_BYTE value[64];
    CK_ATTRIBUTE attr = { CKA_VALUE, value, sizeof value };

    MUST(C_GetAttributeValue, session, key, &attr, 1);
    must_equal_hex("C_GetAttributeValue", value, attr.ulValueLen, hex);
    finalize();
}

void stays_sensitive(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_OBJECT_HANDLE key = aes_key(session, 32, "ed");
    CK_ATTRIBUTE down = A_BOOL(CKA_SENSITIVE, CK_FALSE), up = A_BOOL(CKA_EXTRACTABLE, CK_TRUE);
    CK_BBOOL value = CK_TRUE;
    CK_ATTRIBUTE extractable = { CKA_EXTRACTABLE, &value, sizeof value };

    must_fail("C_SetAttributeValue {SENSITIVE=false}", CALL(C_SetAttributeValue, session, key, &down, 1));
    MUST(C_GetAttributeValue, session, key, &extractable, 1);
    if (!value) must_fail("C_SetAttributeValue {EXTRACTABLE=true}", CALL(C_SetAttributeValue, session, key, &up, 1));
    finalize();
}

void asks_for_size(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_OBJECT_HANDLE key = labelled_key(session, "edT", MARK " size");
    struct guarded room;
    CK_ATTRIBUTE attr = { CKA_LABEL, NULL, 0 };

    MUST(C_GetAttributeValue, session, key, &attr, 1);
    if (attr.ulValueLen != strlen(MARK " size")) say_wrong("C_GetAttributeValue(NULL): %lu bytes", attr.ulValueLen);
    guarded_init(&room, 4);
    attr = (CK_ATTRIBUTE){ CKA_LABEL, room.data, 4 };
    MUST_BE("C_GetAttributeValue with too little room", CALL(C_GetAttributeValue, session, key, &attr, 1), CKR_BUFFER_TOO_SMALL);
    guarded_check(&room, "C_GetAttributeValue");
    if (attr.ulValueLen != CK_UNAVAILABLE_INFORMATION)
        say_wrong("C_GetAttributeValue: CKR_BUFFER_TOO_SMALL, and length %lu", attr.ulValueLen);
    finalize();
}

void one_bad_among_good(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_OBJECT_HANDLE key = aes_key(session, 32, "ed");
    CK_OBJECT_CLASS class = 0;
    CK_KEY_TYPE type = 0;
    CK_BYTE modulus[16];
    CK_ATTRIBUTE attrs[] = { { CKA_CLASS, &class, sizeof class },
                             { CKA_MODULUS, modulus, sizeof modulus },
                             { CKA_KEY_TYPE, &type, sizeof type } };

    MUST_BE("C_GetAttributeValue with CKA_MODULUS", CALL(C_GetAttributeValue, session, key, attrs, COUNT(attrs)),
            CKR_ATTRIBUTE_TYPE_INVALID);
    if (attrs[1].ulValueLen != CK_UNAVAILABLE_INFORMATION) say_wrong("C_GetAttributeValue: a length for what is not there");
    if (class != CKO_SECRET_KEY || type != CKK_AES) say_wrong("C_GetAttributeValue: one that is not there takes the others with it");
    finalize();
}

void knows_its_history(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_OBJECT_HANDLE key = aes_key(session, 32, "ed");
    CK_OBJECT_HANDLE imported;
    CK_BBOOL always = 2, never = 2, local = 2, extractable = 2;
    CK_ATTRIBUTE attrs[] = { { CKA_ALWAYS_SENSITIVE, &always, 1 },
                             { CKA_NEVER_EXTRACTABLE, &never, 1 },
                             { CKA_LOCAL, &local, 1 },
                             { CKA_EXTRACTABLE, &extractable, 1 } };
    CK_MECHANISM_TYPE mechanism = 0;
    CK_ATTRIBUTE by = { CKA_KEY_GEN_MECHANISM, &mechanism, sizeof mechanism };

    MUST(C_GetAttributeValue, session, key, attrs, COUNT(attrs));
    if (always != CK_TRUE || local != CK_TRUE || never == extractable)
        say_wrong("a generated key: ALWAYS_SENSITIVE %d, NEVER_EXTRACTABLE %d, EXTRACTABLE %d, LOCAL %d", always, never, extractable,
                  local);
    MUST(C_GetAttributeValue, session, key, &by, 1);
    if (mechanism != CKM_AES_KEY_GEN) say_wrong("a generated key: KEY_GEN_MECHANISM 0x%lx", mechanism);
    imported = import_hex(session, CKK_AES, "000102030405060708090a0b0c0d0e0f", "ed");
    MUST(C_GetAttributeValue, session, imported, attrs, COUNT(attrs));
    if (always || never || local) say_wrong("an imported key: ALWAYS_SENSITIVE %d, NEVER_EXTRACTABLE %d, LOCAL %d", always, never, local);
    finalize();
}

void reads_as_jdk(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_OBJECT_HANDLE key = labelled_key(session, "edT", MARK " jdk");
    CK_BBOOL token = 2, sensitive = 2, extractable = 2;
    CK_ULONG len = 0;
    CK_KEY_TYPE type = 0;
    CK_BYTE label[64];
    CK_ATTRIBUTE three[] = { { CKA_TOKEN, &token, 1 }, { CKA_SENSITIVE, &sensitive, 1 }, { CKA_EXTRACTABLE, &extractable, 1 } };
    CK_ATTRIBUTE name = { CKA_LABEL, label, sizeof label }, size = { CKA_VALUE_LEN, &len, sizeof len },
                 kind = { CKA_KEY_TYPE, &type, sizeof type };

    MUST(C_GetAttributeValue, session, key, three, COUNT(three));
    MUST(C_GetAttributeValue, session, key, &name, 1);
    MUST(C_GetAttributeValue, session, key, &size, 1);
    MUST(C_GetAttributeValue, session, key, &kind, 1);
    if (token != CK_TRUE || sensitive != CK_TRUE || len != 32 || type != CKK_AES)
        say_wrong("TOKEN %d, SENSITIVE %d, VALUE_LEN %lu, KEY_TYPE 0x%lx", token, sensitive, len, type);
    must_equal("C_GetAttributeValue(LABEL)", label, name.ulValueLen, MARK " jdk", strlen(MARK " jdk"));
    finalize();
}

/* ---- making, copying, changing, destroying ---- */

void imports_as_jdk(void)
{
    CK_BYTE value[32] = "a value of thirty-two bytes here";
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES), { CKA_VALUE, value, sizeof value },
                                A_BOOL(CKA_TOKEN, CK_TRUE),         A_BOOL(CKA_PRIVATE, CK_TRUE),   A_TEXT(CKA_LABEL, MARK " imported") };
    CK_SESSION_HANDLE session = ready();
    CK_OBJECT_HANDLE key;
    CK_RV rv;

    report->made = true;
    rv = CALL(C_CreateObject, session, template, COUNT(template), &key);
    may_refuse("C_CreateObject", rv);
    if (find_labelled(session, MARK " imported") != key) say_wrong("C_FindObjects: the imported key is not there");
    MUST(C_DestroyObject, session, key);
    finalize();
}

void copies(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_MECHANISM mech = { CKM_AES_CBC_PAD, (CK_BYTE[16]){ 9 }, 16 };
    CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_BOOL(CKA_PRIVATE, CK_TRUE), A_TEXT(CKA_LABEL, MARK " copy") };
    CK_ATTRIBUTE down[] = { A_BOOL(CKA_SENSITIVE, CK_FALSE) };
    CK_OBJECT_HANDLE key = aes_key(session, 32, "ed"), copy, other;

    report->made = true;
    MUST(C_CopyObject, session, key, template, COUNT(template), &copy);
    if (find_labelled(session, MARK " copy") != copy) say_wrong("C_FindObjects: the copy is not there");
    must_fail("C_CopyObject {SENSITIVE=false}", CALL(C_CopyObject, session, key, down, 1, &other));
    if (is_listed(CKM_AES_CBC_PAD, CKF_ENCRYPT | CKF_DECRYPT)) {
        struct bytes plain = { .len = 24 }, cipher;

        memset(plain.data, 'c', plain.len);
        cipher = encrypted(session, &mech, key, &plain);
        must_decrypt(session, &mech, copy, &cipher, &plain);
    }
    finalize();
}

void sets_label(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_OBJECT_HANDLE key = labelled_key(session, "edT", MARK " before");
    CK_ATTRIBUTE label = A_TEXT(CKA_LABEL, MARK " after"), id = A_TEXT(CKA_ID, "id"), class = A_ULONG(CKA_CLASS, CKO_DATA);

    MUST(C_SetAttributeValue, session, key, &label, 1);
    if (find_labelled(session, MARK " before") != 0 || find_labelled(session, MARK " after") != key)
        say_wrong("C_FindObjects: not under its new label alone");
    MUST(C_SetAttributeValue, session, key, &id, 1);
    must_fail("C_SetAttributeValue(CLASS)", CALL(C_SetAttributeValue, session, key, &class, 1));
    finalize();
}

void destroys(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_OBJECT_HANDLE key = labelled_key(session, "edT", MARK " gone");
    CK_BBOOL value;
    CK_ATTRIBUTE attr = { CKA_TOKEN, &value, sizeof value }, label = A_TEXT(CKA_LABEL, MARK " gone");

    MUST(C_DestroyObject, session, key);
    if (count_found(session, &label, 1) != 0) say_wrong("C_FindObjects: a destroyed key");
    MUST_BE("C_GetAttributeValue of a destroyed key", CALL(C_GetAttributeValue, session, key, &attr, 1), CKR_OBJECT_HANDLE_INVALID);
    MUST_BE("C_DestroyObject of a destroyed key", CALL(C_DestroyObject, session, key), CKR_OBJECT_HANDLE_INVALID);
    finalize();
}

void data_objects(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_BYTE value[200], back[256];
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_DATA),    A_BOOL(CKA_TOKEN, CK_TRUE),         A_BOOL(CKA_PRIVATE, CK_TRUE),
                                A_TEXT(CKA_LABEL, MARK " data"), A_TEXT(CKA_APPLICATION, "interop"), { CKA_VALUE, value, sizeof value } };
    CK_ATTRIBUTE attr = { CKA_VALUE, back, sizeof back };
    CK_OBJECT_HANDLE object;

    memset(value, 'd', sizeof value);
    report->made = true;
    may_refuse("C_CreateObject(CKO_DATA)", CALL(C_CreateObject, session, template, COUNT(template), &object));
    if (find_labelled(session, MARK " data") != object) say_wrong("C_FindObjects: the data object is not there");
    MUST(C_GetAttributeValue, session, object, &attr, 1);
    must_equal("C_GetAttributeValue", back, attr.ulValueLen, value, sizeof value);
    MUST(C_DestroyObject, session, object);
    if (find_labelled(session, MARK " data") != 0) say_wrong("C_FindObjects: a destroyed data object");
    finalize();
}

void object_size(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_ULONG size = 0;
    CK_RV rv = CALL(C_GetObjectSize, session, aes_key(session, 32, "ed"), &size);

    /* The standard lets a module keep it to itself. */
    if (rv == CKR_INFORMATION_SENSITIVE || size == CK_UNAVAILABLE_INFORMATION) say_no("C_GetObjectSize: it does not say");
    must_ok("C_GetObjectSize", rv);
    finalize();
}

void refuses_templates(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_BYTE value[32] = "a value of thirty-two bytes here";
    CK_ATTRIBUTE odd[] = {
        A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES), { CKA_VALUE, value, 17 }, A_BOOL(CKA_TOKEN, CK_FALSE)
    };
    CK_ATTRIBUTE none[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES), A_BOOL(CKA_TOKEN, CK_FALSE) };
    CK_ATTRIBUTE foreign[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY),
                               A_ULONG(CKA_KEY_TYPE, CKK_AES),
                               { CKA_VALUE, value, 32 },
                               A_BOOL(CKA_TOKEN, CK_FALSE),
                               A_ULONG(CKA_MODULUS_BITS, 2048) };
    CK_OBJECT_HANDLE key;

    import_hex(session, CKK_AES, "000102030405060708090a0b0c0d0e0f", "ed");
    must_fail("C_CreateObject of an AES key of 17 bytes", CALL(C_CreateObject, session, odd, COUNT(odd), &key));
    must_fail("C_CreateObject of a key without a value", CALL(C_CreateObject, session, none, COUNT(none), &key));
    must_fail("C_CreateObject of an AES key with MODULUS_BITS", CALL(C_CreateObject, session, foreign, COUNT(foreign), &key));
    finalize();
}

void session_objects_end(void)
{
    CK_SESSION_HANDLE session = ready(), other = session_new(CKF_RW_SESSION);
    CK_ATTRIBUTE label = A_TEXT(CKA_LABEL, MARK " session");

    labelled_key(other, "ed", MARK " session");
    if (count_found(session, &label, 1) != 1) say_wrong("C_FindObjects: a session object is not seen by another session");
    MUST(C_CloseSession, other);
    if (count_found(session, &label, 1) != 0) say_wrong("C_FindObjects: a session object outlived its session");
    finalize();
}

/* ---- generating ---- */

static void must_have_length(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, CK_ULONG len)
{
    CK_ULONG has = 0;
    CK_ATTRIBUTE attr = { CKA_VALUE_LEN, &has, sizeof has };

    MUST(C_GetAttributeValue, session, key, &attr, 1);
    if (has != len) say_wrong("CKA_VALUE_LEN: %lu, not %lu", has, len);
}

static void generates_as_jdk(CK_ULONG len)
{
    CK_MECHANISM mech = { CKM_AES_KEY_GEN, NULL, 0 }, cbc = { CKM_AES_CBC_PAD, (CK_BYTE[16]){ 3 }, 16 };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), { CKA_VALUE_LEN, &len, sizeof len } };
    CK_SESSION_HANDLE session = ready();
    CK_OBJECT_HANDLE key;

    OFFERS(CKM_AES_KEY_GEN, CKF_GENERATE);
    MUST(C_GenerateKey, session, &mech, template, COUNT(template), &key);
    must_have_length(session, key, len);
    if (is_listed(CKM_AES_CBC_PAD, CKF_ENCRYPT | CKF_DECRYPT)) {
        must_encrypt_by_default(session, &cbc, key);
        cbc.pParameter = (CK_BYTE[16]){ 4 };
        round_trip(session, &cbc, key);
    }
    finalize();
}

void generates_16(void)
{
    generates_as_jdk(16);
}

void generates_24(void)
{
    generates_as_jdk(24);
}

void generates_32(void)
{
    generates_as_jdk(32);
}

void refuses_key_sizes(void)
{
    CK_MECHANISM mech = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_ATTRIBUTE odd[] = { A_ULONG(CKA_VALUE_LEN, 20), A_BOOL(CKA_TOKEN, CK_FALSE) }, none[] = { A_BOOL(CKA_TOKEN, CK_FALSE) };
    CK_SESSION_HANDLE session = ready();
    CK_OBJECT_HANDLE key;

    OFFERS(CKM_AES_KEY_GEN, CKF_GENERATE);
    MUST_BE("C_GenerateKey of 20 bytes", CALL(C_GenerateKey, session, &mech, odd, COUNT(odd), &key), CKR_ATTRIBUTE_VALUE_INVALID,
            CKR_KEY_SIZE_RANGE, CKR_TEMPLATE_INCONSISTENT);
    MUST_BE("C_GenerateKey without VALUE_LEN", CALL(C_GenerateKey, session, &mech, none, COUNT(none), &key), CKR_TEMPLATE_INCOMPLETE);
    finalize();
}

void generates_secret(void)
{
    CK_MECHANISM mech = { CKM_GENERIC_SECRET_KEY_GEN, NULL, 0 };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
                                A_ULONG(CKA_VALUE_LEN, 48),         A_BOOL(CKA_TOKEN, CK_FALSE),
                                A_BOOL(CKA_SIGN, CK_TRUE),          A_BOOL(CKA_VERIFY, CK_TRUE) };
    CK_SESSION_HANDLE session = ready();
    CK_OBJECT_HANDLE key;

    OFFERS(CKM_GENERIC_SECRET_KEY_GEN, CKF_GENERATE);
    MUST(C_GenerateKey, session, &mech, template, COUNT(template), &key);
    must_have_length(session, key, 48);
    finalize();
}
