/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* H: the hierarchy, its names, and the token as a whole. */
#include "attacks.h"

#include <dirent.h>
#include <unistd.h>

static CK_RV opens(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, const CK_BYTE *sealed, size_t len, const char *aad)
{
    CK_BYTE out[100];
    CK_ULONG out_len = sizeof out;

    memset(out, 0, sizeof out);
    return unseal(session, key, sealed, len, aad, out, &out_len);
}

CASE(A_H1_cross_table)
{
    CK_SESSION_HANDLE session = user_session();
    static const char *const others[] = { "b.f", "a.g", "a", "b" };
    CK_BYTE sealed[80], letter[100], out[100];
    CK_ULONG letter_len = sizeof letter;
    size_t len;

    for (const char *table = "ab"; *table; table++) {
        char label[8] = { *table, 0 };
        CK_OBJECT_HANDLE dek = grow(session, named(session, "master"), label);

        snprintf(label, sizeof label, "%c.f", *table);
        grow(session, dek, label);
        snprintf(label, sizeof label, "%c.g", *table);
        grow(session, dek, label);
    }
    session = settle(session);
    len = seal(session, named(session, "a.f"), "value", 5, NULL, sealed);
    NEED(envelope(session, true, named(session, "a.f"), NULL, "value", 5, letter, &letter_len));
    for (size_t i = 0; i < COUNT(others); i++) {
        CK_ULONG out_len = sizeof out;

        REFUSED(session, opens(session, named(session, others[i]), sealed, len, NULL), CKR_ENCRYPTED_DATA_INVALID);
        REFUSED(session, envelope(session, false, named(session, others[i]), NULL, letter, letter_len, out, &out_len),
                CKR_ENCRYPTED_DATA_INVALID);
    }
    EXPECT(opens(session, named(session, "a.f"), sealed, len, NULL), CKR_OK);
}

CASE(A_H2_cross_record)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE fek, one, two;
    CK_BYTE sealed[80], letter[100], out[100];
    CK_ULONG letter_len = sizeof letter, out_len = sizeof out;
    size_t len;

    ladder_grow(session);
    session = settle(session);
    fek = named(session, "users.email");
    one = record_key(session, fek, "1", 1);
    two = record_key(session, fek, "2", 1);
    len = seal(session, one, "value", 5, NULL, sealed);
    REFUSED(session, opens(session, two, sealed, len, NULL), CKR_ENCRYPTED_DATA_INVALID);
    REFUSED(session, opens(session, fek, sealed, len, NULL), CKR_ENCRYPTED_DATA_INVALID);
    NEED(envelope(session, true, one, NULL, "value", 5, letter, &letter_len));
    REFUSED(session, envelope(session, false, two, NULL, letter, letter_len, out, &out_len), CKR_ENCRYPTED_DATA_INVALID);
    /* Field mode: the record is in the associated data. */
    len = seal(session, fek, "value", 5, "users.email/1", sealed);
    REFUSED(session, opens(session, fek, sealed, len, "users.email/2"), CKR_ENCRYPTED_DATA_INVALID);
    letter_len = sizeof letter;
    NEED(envelope(session, true, fek, "users.email/1", "value", 5, letter, &letter_len));
    REFUSED(session, envelope(session, false, fek, "users.email/2", letter, letter_len, out, &out_len), CKR_ENCRYPTED_DATA_INVALID);
    EXPECT(opens(session, fek, sealed, len, "users.email/1"), CKR_OK);
}

CASE(A_H3_label_spoof)
{
    CK_SESSION_HANDLE session = user_session();
    CK_BYTE id[16], sealed[80];
    CK_ATTRIBUTE asked[] = { { CKA_ID, id, sizeof id } }, spoof[2];
    CK_OBJECT_HANDLE orders, found[4];
    CK_ULONG got = 0;
    size_t len;

    orders = grow(session, named(session, "master"), "orders");
    NEED(p11->C_GetAttributeValue(session, orders, asked, 1));
    len = seal(session, orders, "value", 5, NULL, sealed);
    session = settle(session);
    spoof[0] = (CK_ATTRIBUTE)A_TEXT(CKA_LABEL, "orders");
    spoof[1] = (CK_ATTRIBUTE){ CKA_ID, id, asked[0].ulValueLen };
    REFUSED(session, make_try(session, NULL, "edS", spoof, 2), CKR_TEMPLATE_INCONSISTENT);
    REFUSED(session, import_as(CKK_AES, session, "orders", "edS", (const CK_BYTE *)"chosen by somebody, and 32 bytes", 32),
            CKR_TEMPLATE_INCONSISTENT);
    make(session, "K", "edS");
    REFUSED(session, set_bytes(session, named(session, "K"), CKA_LABEL, "orders", 6), CKR_TEMPLATE_INCONSISTENT);
    REFUSED(session, copy_with(session, named(session, "K"), spoof, 1), CKR_TEMPLATE_INCONSISTENT);
    /* The id alone is no name, so it may be shared; the key that is found by the name is still the ladder's. */
    EXPECT(make_try(session, "sharer", "edS", spoof + 1, 1), CKR_OK, CKR_TEMPLATE_INCONSISTENT);
    NEED(p11->C_FindObjectsInit(session, spoof, 1));
    NEED(p11->C_FindObjects(session, found, COUNT(found), &got));
    NEED(p11->C_FindObjectsFinal(session));
    CHECK(got == 1 && get_ulong(session, found[0], CKA_KL_LEVEL) == 1);
    EXPECT(opens(session, named(session, "orders"), sealed, len, NULL), CKR_OK);
}

CASE(A_H4_data_object_spoof)
{
    static const char *const labels[] = { "master", "users", "users.email", "token", "access", "root", "store", "policy" };
    static const char *const applications[] = { "keyladder", "", "KL" };
    CK_SESSION_HANDLE session = user_session();
    CK_BYTE sealed[80], letter[100], out[100];
    CK_ULONG letter_len = sizeof letter, out_len = sizeof out;
    size_t len;
    struct ladder ladder;

    ladder_grow(session);
    ladder = ladder_find(session);
    len = seal(session, ladder.fek, "value", 5, NULL, sealed);
    NEED(envelope(session, true, ladder.rek, NULL, "value", 5, letter, &letter_len));
    for (size_t i = 0; i < COUNT(labels); i++) {
        for (size_t j = 0; j < COUNT(applications); j++) {
            CK_ATTRIBUTE data[] = { A_ULONG(CKA_CLASS, CKO_DATA),
                                    A_BOOL(CKA_TOKEN, way->token),
                                    A_TEXT(CKA_LABEL, labels[i]),
                                    A_TEXT(CKA_APPLICATION, applications[j]),
                                    A_BYTES(CKA_OBJECT_ID, "\6\3\x2a\3\4", 5),
                                    A_TEXT(CKA_VALUE, "policy = compatible\nstate = 1\nlevel = 0\n0123456789abcdef0123456789abcdef"),
                                    A_BOOL(CKA_PRIVATE, j == 0) };
            CK_OBJECT_HANDLE object = 0;

            EXPECT(p11->C_CreateObject(session, data, COUNT(data), &object), CKR_OK, CKR_TEMPLATE_INCONSISTENT);
        }
    }
    session = settle(session);
    for (size_t i = 0; i < 3; i++) {
        CK_ATTRIBUTE by_label[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_TEXT(CKA_LABEL, labels[i]) };
        CK_OBJECT_HANDLE key = 0;
        CK_ULONG got = 0;

        CHECK(find_count(session, by_label, 2) == 1);
        NEED(p11->C_FindObjectsInit(session, by_label, 2));
        NEED(p11->C_FindObjects(session, &key, 1, &got));
        NEED(p11->C_FindObjectsFinal(session));
        CHECK(get_ulong(session, key, CKA_KL_LEVEL) == i);
        if (i < 2) continue;
        EXPECT(opens(session, key, sealed, len, NULL), CKR_OK);
        EXPECT(envelope(session, false, record_key(session, key, "4711", 4), NULL, letter, letter_len, out, &out_len), CKR_OK);
    }
    /* The policy that an object speaks of is not the token's. */
    REFUSED(session, make_try(session, "two roles", "wdS", NULL, 0), CKR_TEMPLATE_INCONSISTENT);
}

CASE(A_H5_an_imported_parent)
{
    static const CK_BYTE chosen[] = "chosen by somebody, and 32 bytes";
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = 0;
    CK_BYTE bytes[16] = { 0 };
    CK_ATTRIBUTE import[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
                              A_BYTES(CKA_VALUE, chosen, 32),     A_BOOL(CKA_TOKEN, way->token),
                              A_BOOL(CKA_DERIVE, CK_TRUE),        { 0, NULL, 0 } };
    const CK_ATTRIBUTE roles[] = { A_ULONG(CKA_KL_LEVEL, 1), A_ULONG(CKA_KL_VERSION, 1), A_ULONG(CKA_KL_STATE, 1),
                                   A_BYTES(CKA_KL_PARENT, bytes, 16) };

    for (size_t i = 0; i < COUNT(roles); i++) {
        import[5] = roles[i];
        REFUSED(session, p11->C_CreateObject(session, import, 6, &key), CKR_ATTRIBUTE_READ_ONLY);
    }
    import[5] = (CK_ATTRIBUTE)A_TEXT(CKA_LABEL, "master");
    REFUSED(session, p11->C_CreateObject(session, import, 6, &key), CKR_TEMPLATE_INCONSISTENT);
    /* Under another name it is a free key, and so is everything below it. */
    NEED(import_as(CKK_GENERIC_SECRET, session, "parent", "DS", chosen, 32));
    session = settle(session);
    {
        CK_ATTRIBUTE child[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES), A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_TOKEN, CK_TRUE),
                                 A_TEXT(CKA_LABEL, "child") };
        CK_ULONG level = 0;
        CK_ATTRIBUTE asked[] = { { CKA_KL_LEVEL, &level, sizeof level } };
        static const char *const labels[] = { "parent", "child" };

        NEED(hkdf_try(session, named(session, "parent"), NULL, 0, "users", 5, child, 4, &key));
        for (size_t i = 0; i < 2; i++)
            EXPECT(p11->C_GetAttributeValue(session, named(session, labels[i]), asked, 1), CKR_ATTRIBUTE_TYPE_INVALID);
    }
}

CASE(A_H8_destroy)
{
    CK_SESSION_HANDLE session = user_session();
    struct ladder ladder;

    ladder_grow(session);
    session = settle(session);
    ladder = ladder_find(session);
    {
        const CK_OBJECT_HANDLE keys[] = { ladder.master, ladder.dek, ladder.fek };

        for (size_t i = 0; i < COUNT(keys); i++) {
            REFUSED(session, p11->C_DestroyObject(session, keys[i]), CKR_ACTION_PROHIBITED);
            REFUSED(session, set_bool(session, keys[i], CKA_DESTROYABLE, CK_TRUE), CKR_ACTION_PROHIBITED, CKR_ATTRIBUTE_READ_ONLY);
        }
    }
    NEED(p11->C_Logout(session));
    NEED(login(session, CKU_SO, SO_PIN));
    EXPECT(p11->C_DestroyObject(session, ladder.fek), CKR_OBJECT_HANDLE_INVALID, CKR_ACTION_PROHIBITED, CKR_USER_NOT_LOGGED_IN);
    NEED(p11->C_Logout(session));
    NEED(login(session, CKU_USER, USER_PIN));
    ladder_find(session);
}

static CK_RV init_token(const char *pin)
{
    CK_UTF8CHAR label[32];

    memset(label, ' ', sizeof label);
    memcpy(label, TOKEN_LABEL, 4);
    return p11->C_InitToken(slot_labelled(TOKEN_LABEL), (CK_BYTE *)(uintptr_t)pin, strlen(pin), label);
}

/* The one file that the old store was set aside to. */
static void set_aside_name(char *name, size_t cap)
{
    DIR *dir = opendir(sandbox_dir);
    unsigned found = 0;

    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strncmp(entry->d_name, "demo.db.set-aside-", 18)) continue;
        snprintf(name, cap, "%s", entry->d_name);
        found++;
    }
    closedir(dir);
    if (found != 1) die_at(__FILE__, __LINE__, "%u stores were set aside", found);
}

CASE(A_H9_token_re_initialisation)
{
    CK_SESSION_HANDLE session = user_session(), ro;
    CK_BYTE sealed[80];
    char name[256];
    size_t len;

    key_make(session, "edS");
    ladder_grow(session);
    len = seal(session, named(session, "users"), "value", 5, NULL, sealed);
    session = settle(session);
    ro = open_session(0);
    REFUSED(session, init_token(SO_PIN), CKR_SESSION_EXISTS);
    NEED(p11->C_CloseSession(session));
    REFUSED(ro, init_token(SO_PIN), CKR_SESSION_EXISTS);
    NEED(p11->C_CloseSession(ro));
    EXPECT(init_token("wrong-pin-000"), CKR_PIN_INCORRECT);
    EXPECT(init_token(USER_PIN), CKR_PIN_INCORRECT);
    NEED(init_token(SO_PIN));
    session = open_session(CKF_RW_SESSION);
    EXPECT(login(session, CKU_USER, USER_PIN), CKR_USER_PIN_NOT_INITIALIZED);
    CHECK(find_one(session, "users") == 0);
    stop();
    /* The old one is whole, and opens with its own PIN in the new one's place. */
    set_aside_name(name, sizeof name);
    shell("rm -f demo.db demo.db-* && mv '%s' demo.db", name);
    session = user_session();
    EXPECT(opens(session, named(session, "users"), sealed, len, NULL), CKR_OK);
}

/* ---- H11, by its own declarations ---- */

struct item {
    CK_BYTE *aad;
    CK_ULONG aad_len;
    CK_BYTE *in;
    CK_ULONG in_len;
    CK_BYTE *out;
    CK_ULONG out_len;
    CK_RV rv;
};
typedef CK_RV (*batch_call)(CK_SESSION_HANDLE, CK_MECHANISM *, CK_OBJECT_HANDLE, struct item *, CK_ULONG);
struct vendor_list {
    CK_VERSION version;
    batch_call encrypt, decrypt;
    CK_RV (*evict)(CK_SESSION_HANDLE, CK_OBJECT_HANDLE);
    CK_RV (*error)(CK_BYTE *, CK_ULONG *);
};
enum { ITEMS = 1000, ROOM = 64 };

static const struct vendor_list *vendor_list(void)
{
    CK_CHAR name[] = "Vendor keyladder";
    struct t_interface *found = NULL;
    t_get_interface get;

    *(void **)&get = p11_sym("C_GetInterface");
    NEED(get(name, NULL, &found, 0));
    return found->list;
}

size_t error_words(CK_BYTE *words, size_t cap)
{
    CK_ULONG len = cap;

    NEED(vendor_list()->error(words, &len));
    return len;
}

/* One item is bad in a way of its own: each other has its effect and its CKR_OK, this one neither, and the call says so. */
static void with_one_forbidden(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, size_t bad)
{
    static CK_BYTE sealed[ITEMS][ROOM], plain[ITEMS][ROOM];
    static struct item items[ITEMS];
    CK_MECHANISM mech = { CKM_KL_ENVELOPE, NULL, 0 };

    for (size_t i = 0; i < ITEMS; i++)
        items[i] = (struct item){ (CK_BYTE *)(uintptr_t) "aad", 3, (CK_BYTE *)(uintptr_t) "value", 5, sealed[i], ROOM, 77 };
    items[bad].in = NULL;
    EXPECT(vendor_list()->encrypt(session, &mech, key, items, ITEMS), CKR_ARGUMENTS_BAD);
    for (size_t i = 0; i < ITEMS; i++) EXPECT(items[i].rv, i == bad ? CKR_ARGUMENTS_BAD : CKR_OK);
    items[bad] = (struct item){ (CK_BYTE *)(uintptr_t) "aad", 3, (CK_BYTE *)(uintptr_t) "value", 5, sealed[bad], ROOM, 77 };
    NEED(vendor_list()->encrypt(session, &mech, key, &items[bad], 1));
    sealed[bad][40] ^= 1;
    memset(plain, 0x5a, sizeof plain);
    for (size_t i = 0; i < ITEMS; i++) items[i] = (struct item){ (CK_BYTE *)(uintptr_t) "aad", 3, sealed[i], 53, plain[i], ROOM, 77 };
    EXPECT(vendor_list()->decrypt(session, &mech, key, items, ITEMS), CKR_ENCRYPTED_DATA_INVALID);
    for (size_t i = 0; i < ITEMS; i++) {
        EXPECT(items[i].rv, i == bad ? CKR_ENCRYPTED_DATA_INVALID : CKR_OK);
        if (i != bad) CHECK(items[i].out_len == 5 && memcmp(plain[i], "value", 5) == 0);
        for (size_t k = 0; i == bad && k < ROOM; k++) CHECK(plain[i][k] == 0x5a || plain[i][k] == 0);
    }
}

CASE(A_H11_batch)
{
    static const size_t places[] = { 0, 500, 999 };
    CK_BYTE out[ROOM];
    struct item one = { NULL, 0, (CK_BYTE *)(uintptr_t) "value", 5, out, ROOM, 77 };
    CK_MECHANISM mech = { CKM_KL_ENVELOPE, NULL, 0 };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE keys[3];

    make(session, "K", "edS");
    make(session, "wrapper", "wuS");
    ladder_grow(session);
    session = settle(session);
    keys[0] = named(session, "K");
    keys[1] = named(session, "users.email");
    keys[2] = record_key(session, keys[1], "4711", 4);
    for (size_t k = 0; k < COUNT(keys); k++)
        for (size_t i = 0; i < COUNT(places); i++) with_one_forbidden(session, keys[k], places[i]);
    /* A key that is refused touches no item. */
    memset(out, 0x5a, sizeof out);
    REFUSED(session, vendor_list()->encrypt(session, &mech, named(session, "wrapper"), &one, 1), CKR_KEY_FUNCTION_NOT_PERMITTED);
    CHECK(one.rv == 77 && one.out_len == ROOM && out[0] == 0x5a);
}

const struct test hierarchy_cases[] = {
    T(A_H1_cross_table, OURS),
    T(A_H2_cross_record, OURS),
    T(A_H3_label_spoof, OURS),
    T(A_H4_data_object_spoof, OURS),
    T(A_H5_an_imported_parent, OURS),
    T(A_H8_destroy, OURS),
    T(A_H9_token_re_initialisation, OURS),
    T(A_H11_batch, OURS),
    { NULL, NULL, 0 },
};
