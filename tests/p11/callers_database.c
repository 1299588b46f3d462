/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Oracle TDE and IBM Db2 native encryption, as their documentation tells: master keys that are found by label, data keys that the
 * token encrypts and decrypts. Oracle's structures lie at odd addresses.
 */
#include "callers.h"

#include <stddef.h>

#define ORACLE_KEY "ORACLE.TDE.HSM.MK.0661286A6A3B4E4F9EBF4A5C1D2E3F4A5B"
#define ORACLE_NEXT "ORACLE.TDE.HSM.MK.06AAAAAAAA3B4E4F9EBF4A5C1D2E3F4A5B"
#define ORACLE_DATA "ORACLE.SECURITY.KM.ENCRYPTION.30363631323836413641334234453446"

enum { NODES = 3, TABLE_KEY = 32, ROOM = 96 };

/* ---- Oracle: nothing lies where the processor would like it ---- */

/* Room for a template whose attributes and values all begin at odd addresses. */
struct packed {
    char room[1024];
    size_t used;
    CK_ULONG count;
};

static void *odd(struct packed *packed, const void *data, size_t len)
{
    char *at = packed->room + packed->used;

    if ((uintptr_t)at % 2 == 0) at++;
    if (len) memcpy(at, data, len);
    packed->used = (size_t)(at - packed->room) + len;
    return at;
}

static CK_ATTRIBUTE *odd_template(struct packed *packed, const CK_ATTRIBUTE *template, CK_ULONG count)
{
    CK_ATTRIBUTE copies[16];

    packed->used = 0;
    packed->count = count;
    for (CK_ULONG i = 0; i < count; i++)
        copies[i] = (CK_ATTRIBUTE){ template[i].type, odd(packed, template[i].pValue, template[i].ulValueLen), template[i].ulValueLen };
    return odd(packed, copies, count * sizeof *copies);
}

static CK_ULONG oracle_find(CK_SESSION_HANDLE session, CK_OBJECT_CLASS class, const char *label, CK_OBJECT_HANDLE found[2])
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, class), A_TEXT(CKA_LABEL, label) };
    struct packed packed;

    return find_two(session, odd_template(&packed, template, COUNT(template)), COUNT(template), found);
}

static CK_OBJECT_HANDLE oracle_one(CK_SESSION_HANDLE session, CK_OBJECT_CLASS class, const char *label)
{
    CK_OBJECT_HANDLE found[2] = { 0, 0 };

    CHECK(oracle_find(session, class, label, found) == 1);
    return found[0];
}

static void oracle_key_generate(CK_SESSION_HANDLE session, const char *label)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES),
                                A_ULONG(CKA_VALUE_LEN, 32),         A_BOOL(CKA_TOKEN, CK_TRUE),
                                A_BOOL(CKA_PRIVATE, CK_TRUE),       A_BOOL(CKA_SENSITIVE, CK_TRUE),
                                A_BOOL(CKA_EXTRACTABLE, CK_FALSE),  A_BOOL(CKA_ENCRYPT, CK_TRUE),
                                A_BOOL(CKA_DECRYPT, CK_TRUE),       A_TEXT(CKA_LABEL, label) };
    CK_MECHANISM mech = { CKM_AES_KEY_GEN, NULL, 0 };
    struct packed packed, how = { .used = 0 };
    CK_ATTRIBUTE *odd_one = odd_template(&packed, template, COUNT(template));
    CK_OBJECT_HANDLE key = 0;

    NEED(p11->C_GenerateKey(session, odd(&how, &mech, sizeof mech), odd_one, COUNT(template), odd(&how, &key, sizeof key)));
}

static void oracle_data_create(CK_SESSION_HANDLE session, const char *label, const char *value)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_DATA), A_BOOL(CKA_TOKEN, CK_TRUE), A_BOOL(CKA_PRIVATE, CK_TRUE),
                                A_TEXT(CKA_LABEL, label), A_TEXT(CKA_VALUE, value) };
    struct packed packed;
    CK_OBJECT_HANDLE object = 0;

    NEED(p11->C_CreateObject(session, odd_template(&packed, template, COUNT(template)), COUNT(template), &object));
}

static CK_RV oracle_rename(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, const char *label)
{
    CK_ATTRIBUTE template[] = { A_TEXT(CKA_LABEL, label) };
    struct packed packed;

    return p11->C_SetAttributeValue(session, object, odd_template(&packed, template, 1), 1);
}

/* A caller's IV: the table key's wrapping says which. */
static CK_RV oracle_crypt(CK_SESSION_HANDLE session, bool encrypts, CK_MECHANISM_TYPE type, CK_OBJECT_HANDLE key, const CK_BYTE *in,
                          CK_ULONG in_len, CK_BYTE *out, CK_ULONG *out_len)
{
    CK_BYTE iv[16] = "an IV of Oracle";
    struct packed packed = { .used = 0 };
    CK_MECHANISM mech = { type, odd(&packed, iv, sizeof iv), sizeof iv }, *odd_one = odd(&packed, &mech, sizeof mech);
    CK_BYTE *odd_in = odd(&packed, in, in_len), *odd_out;
    CK_ULONG *odd_len, room = ROOM;
    CK_RV rv = encrypts ? p11->C_EncryptInit(session, odd_one, key) : p11->C_DecryptInit(session, odd_one, key);

    if (rv != CKR_OK) return rv;
    odd_len = odd(&packed, &room, sizeof room);
    odd_out = odd(&packed, NULL, 0);
    rv = encrypts ? p11->C_Encrypt(session, odd_in, in_len, odd_out, odd_len) : p11->C_Decrypt(session, odd_in, in_len, odd_out, odd_len);
    memcpy(out_len, (char *)odd_len, sizeof *out_len);
    if (rv == CKR_OK) memcpy(out, odd_out, *out_len);
    return rv;
}

static struct tables {
    CK_BYTE key[TABLE_KEY], by_cbc[ROOM], by_pad[ROOM];
    CK_ULONG cbc_len, pad_len;
} * tables;

static const CK_MECHANISM_TYPE both[] = { CKM_AES_CBC, CKM_AES_CBC_PAD };

/* Another node of the cluster. */
static void oracle_node(unsigned number)
{
    CK_SESSION_HANDLE session = caller_session();
    CK_OBJECT_HANDLE key = oracle_one(session, CKO_SECRET_KEY, ORACLE_KEY), data = oracle_one(session, CKO_DATA, ORACLE_DATA);
    CK_BYTE back[ROOM], value[64];
    CK_ATTRIBUTE read = { CKA_VALUE, value, sizeof value };
    CK_ULONG len = sizeof back;

    (void)number;
    NEED(p11->C_GetAttributeValue(session, data, &read, 1));
    CHECK(read.ulValueLen == strlen(ORACLE_KEY) && memcmp(value, ORACLE_KEY, read.ulValueLen) == 0);
    for (size_t i = 0; i < COUNT(both); i++) {
        const CK_BYTE *wrapped = i ? tables->by_pad : tables->by_cbc;

        NEED(oracle_crypt(session, false, both[i], key, wrapped, i ? tables->pad_len : tables->cbc_len, back, &len));
        CHECK(len == TABLE_KEY && memcmp(back, tables->key, TABLE_KEY) == 0);
    }
    stop();
}

TEST(oracle_tde_keeps_master_keys_and_what_it_knows_of_them)
{
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;
    CK_TOKEN_INFO info;

    tables = shared_new(sizeof *tables);
    start();
    NEED(p11->C_GetTokenInfo(slot_labelled(TOKEN_LABEL), &info));
    CHECK((info.flags & (CKF_WRITE_PROTECTED | CKF_LOGIN_REQUIRED | CKF_USER_PIN_INITIALIZED | CKF_TOKEN_INITIALIZED | CKF_RNG)) ==
          (CKF_LOGIN_REQUIRED | CKF_USER_PIN_INITIALIZED | CKF_TOKEN_INITIALIZED | CKF_RNG));
    session = caller_session();
    oracle_key_generate(session, ORACLE_KEY);
    oracle_data_create(session, ORACLE_DATA, ORACLE_KEY);
    key = oracle_one(session, CKO_SECRET_KEY, ORACLE_KEY);
    NEED(p11->C_GenerateRandom(session, tables->key, TABLE_KEY));
    NEED(oracle_crypt(session, true, CKM_AES_CBC, key, tables->key, TABLE_KEY, tables->by_cbc, &tables->cbc_len));
    NEED(oracle_crypt(session, true, CKM_AES_CBC_PAD, key, tables->key, TABLE_KEY, tables->by_pad, &tables->pad_len));
    CHECK(tables->cbc_len == TABLE_KEY && tables->pad_len == TABLE_KEY + 16);
    stop();
    processes_run(NODES, oracle_node);
}

static void oracle_node_sees_the_new_label(unsigned number)
{
    CK_SESSION_HANDLE session = caller_session();
    CK_OBJECT_HANDLE found[2];

    (void)number;
    CHECK(oracle_find(session, CKO_SECRET_KEY, ORACLE_KEY, found) == 0);
    CHECK(oracle_find(session, CKO_SECRET_KEY, ORACLE_NEXT, found) == 1);
    CHECK(oracle_find(session, CKO_DATA, "ORACLE.SECURITY.KM.ENCRYPTION.NEXT", found) == 1);
    CHECK(oracle_find(session, CKO_DATA, ORACLE_DATA, found) == 0);
    stop();
}

TEST(oracle_tde_renames_keys_and_data)
{
    CK_SESSION_HANDLE session = caller_session(), reader = open_session(0);
    CK_OBJECT_HANDLE key, data, found[2];

    oracle_key_generate(session, ORACLE_KEY);
    oracle_data_create(session, ORACLE_DATA, ORACLE_KEY);
    key = oracle_one(session, CKO_SECRET_KEY, ORACLE_KEY);
    data = oracle_one(session, CKO_DATA, ORACLE_DATA);
    EXPECT(oracle_rename(reader, key, ORACLE_NEXT), CKR_SESSION_READ_ONLY);
    CHECK(oracle_find(session, CKO_SECRET_KEY, ORACLE_NEXT, found) == 0);
    NEED(oracle_rename(session, key, ORACLE_NEXT));
    NEED(oracle_rename(session, data, "ORACLE.SECURITY.KM.ENCRYPTION.NEXT"));
    stop();
    processes_run(NODES, oracle_node_sees_the_new_label);
}

TEST(oracle_tde_gets_no_key_out_and_no_data_without_the_pin)
{
    CK_SESSION_HANDLE session = caller_session();
    CK_BYTE value[64], sealed[ROOM], back[ROOM];
    CK_ATTRIBUTE read = { CKA_VALUE, value, sizeof value };
    CK_ULONG len = ROOM;
    CK_OBJECT_HANDLE key, found[2];

    oracle_key_generate(session, ORACLE_KEY);
    oracle_data_create(session, ORACLE_DATA, ORACLE_KEY);
    key = oracle_one(session, CKO_SECRET_KEY, ORACLE_KEY);
    EXPECT(p11->C_GetAttributeValue(session, key, &read, 1), CKR_ATTRIBUTE_SENSITIVE);
    NEED(oracle_crypt(session, true, CKM_AES_CBC_PAD, key, value, TABLE_KEY, sealed, &len));
    /* The last byte of the last block but one is the last byte of the padding. */
    sealed[len - 17] ^= 1;
    REFUSED(oracle_crypt(session, false, CKM_AES_CBC_PAD, key, sealed, len, back, &len), CKR_ENCRYPTED_DATA_INVALID);
    REFUSED(oracle_crypt(session, false, CKM_AES_CBC_PAD, key, sealed, 47, back, &len), CKR_ENCRYPTED_DATA_LEN_RANGE);
    REFUSED(oracle_crypt(session, true, CKM_AES_CBC, key, value, 31, back, &len), CKR_DATA_LEN_RANGE);
    NEED(p11->C_DestroyObject(session, key));
    CHECK(oracle_find(session, CKO_SECRET_KEY, ORACLE_KEY, found) == 0);
    REFUSED(oracle_crypt(session, false, CKM_AES_CBC_PAD, key, sealed, 48, back, &len), CKR_KEY_HANDLE_INVALID);
    stop();
    setenv("PIN", WRONG_PIN, 1);
    EXPECT(caller_connect(&session), CKR_PIN_INCORRECT);
    CHECK(oracle_find(session, CKO_DATA, ORACLE_DATA, found) == 0);
}

/* ---- Db2: the data key of each database goes to the token ---- */

#define DB2_KEY "DB2_SYSGEN_db2inst1_SAMPLE_2024-02-01-10.11.12_A8CF4EED"
#define DB2_NEXT "DB2_SYSGEN_db2inst1_SAMPLE_2025-02-01-10.11.12_BBBBBBBB"

static CK_RV db2_crypt(CK_SESSION_HANDLE session, bool encrypts, const char *label, const CK_BYTE *in, CK_ULONG in_len, CK_BYTE *out,
                       CK_ULONG *out_len)
{
    CK_ATTRIBUTE template[] = { A_TEXT(CKA_LABEL, label), A_ULONG(CKA_CLASS, CKO_SECRET_KEY) };
    CK_OBJECT_HANDLE found[2];
    CK_BYTE iv[16] = "an IV of Db2...";
    CK_MECHANISM mech = { CKM_AES_CBC_PAD, iv, sizeof iv };
    CK_RV rv;

    if (find_two(session, template, COUNT(template), found) != 1) return CKR_KEY_NEEDED;
    rv = encrypts ? p11->C_EncryptInit(session, &mech, found[0]) : p11->C_DecryptInit(session, &mech, found[0]);
    if (rv != CKR_OK) return rv;
    return encrypts ? p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t)in, in_len, out, out_len)
                    : p11->C_Decrypt(session, (CK_BYTE *)(uintptr_t)in, in_len, out, out_len);
}

static struct data_keys {
    CK_BYTE key[TABLE_KEY], old[ROOM], new[ROOM];
    CK_ULONG old_len, new_len;
} * data_keys;

static void db2_member(unsigned number)
{
    CK_SESSION_HANDLE session = caller_session();
    CK_BYTE back[ROOM];
    CK_ULONG len = sizeof back;

    (void)number;
    NEED(db2_crypt(session, false, DB2_KEY, data_keys->old, data_keys->old_len, back, &len));
    CHECK(len == TABLE_KEY && memcmp(back, data_keys->key, TABLE_KEY) == 0);
    len = sizeof back;
    NEED(db2_crypt(session, false, DB2_NEXT, data_keys->new, data_keys->new_len, back, &len));
    CHECK(len == TABLE_KEY && memcmp(back, data_keys->key, TABLE_KEY) == 0);
    stop();
}

/* ADMIN_ROTATE_MASTER_KEY: under the new label, while backups still name the old one. */
TEST(db2_opens_its_data_key_under_the_old_and_the_new_master_key)
{
    CK_SESSION_HANDLE session = caller_session();
    CK_BYTE back[ROOM];
    CK_ULONG len = sizeof back;

    data_keys = shared_new(sizeof *data_keys);
    oracle_key_generate(session, DB2_KEY);
    oracle_key_generate(session, DB2_NEXT);
    NEED(p11->C_GenerateRandom(session, data_keys->key, TABLE_KEY));
    data_keys->old_len = data_keys->new_len = ROOM;
    NEED(db2_crypt(session, true, DB2_KEY, data_keys->key, TABLE_KEY, data_keys->old, &data_keys->old_len));
    NEED(db2_crypt(session, true, DB2_NEXT, data_keys->key, TABLE_KEY, data_keys->new, &data_keys->new_len));
    CHECK(data_keys->old_len == 48 && memcmp(data_keys->old, data_keys->new, 48) != 0);
    EXPECT(db2_crypt(session, false, "DB2_SYSGEN_absent", data_keys->old, 48, back, &len), CKR_KEY_NEEDED);
    /* Under the wrong key padding is right once in 256 times: then the bytes are not. */
    if (db2_crypt(session, false, DB2_NEXT, data_keys->old, 48, back, &len) == CKR_OK)
        CHECK(len != TABLE_KEY || memcmp(back, data_keys->key, TABLE_KEY) != 0);
    stop();
    processes_run(NODES, db2_member);
    session = caller_session();
    oracle_key_generate(session, DB2_KEY);
    EXPECT(db2_crypt(session, false, DB2_KEY, data_keys->old, 48, back, &len), CKR_KEY_NEEDED);
}

const struct test database_tests[] = {
    T(oracle_tde_keeps_master_keys_and_what_it_knows_of_them, ANY),
    T(oracle_tde_renames_keys_and_data, ANY),
    T(oracle_tde_gets_no_key_out_and_no_data_without_the_pin, ANY),
    T(db2_opens_its_data_key_under_the_old_and_the_new_master_key, ANY),
    { NULL, NULL, 0 },
};
