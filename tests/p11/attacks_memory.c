/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* L: memory and arithmetic. */
#include "attacks.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- L1 ---- */

static CK_BYTE iv[12], tag[16];
static struct blob sealed;
static struct t_gcm_message message_param;

/* Begins what gives an answer of known length; gives it. */
struct output {
    const char *name;
    CK_RV (*begin)(CK_SESSION_HANDLE);
    CK_RV (*give)(CK_SESSION_HANDLE, CK_BYTE *, CK_ULONG *);
    CK_ULONG len;
};

static CK_RV begin_encrypt(CK_SESSION_HANDLE session)
{
    fresh_iv(iv);
    return gcm_init(session, true, named(session, "K"), iv, 12, NULL, 0, 128);
}

static CK_RV begin_encrypt_final(CK_SESSION_HANDLE session)
{
    CK_BYTE out[64];
    CK_ULONG len = sizeof out;
    CK_RV rv = begin_encrypt(session);

    return rv == CKR_OK ? p11->C_EncryptUpdate(session, (CK_BYTE *)(uintptr_t) "0123456789abcdef", 16, out, &len) : rv;
}

static CK_RV begin_decrypt(CK_SESSION_HANDLE session)
{
    sealed.len = sizeof sealed.bytes;
    NEED(gcm_seal(session, named(session, "K"), sealed.iv, "0123456789abcdef", 16, sealed.bytes, &sealed.len));
    return gcm_init(session, false, named(session, "K"), sealed.iv, 12, NULL, 0, 128);
}

static CK_RV begin_decrypt_final(CK_SESSION_HANDLE session)
{
    CK_BYTE out[64];
    CK_ULONG len = sizeof out;
    CK_RV rv = begin_decrypt(session);

    return rv == CKR_OK ? p11->C_DecryptUpdate(session, sealed.bytes, sealed.len, out, &len) : rv;
}

static CK_RV begin_sign(CK_SESSION_HANDLE session)
{
    CK_MECHANISM mech = { CKM_SHA256_HMAC, NULL, 0 };

    return p11->C_SignInit(session, &mech, named(session, "mac"));
}

static CK_RV begin_sign_final(CK_SESSION_HANDLE session)
{
    CK_RV rv = begin_sign(session);

    return rv == CKR_OK ? p11->C_SignUpdate(session, (CK_BYTE *)(uintptr_t) "message", 7) : rv;
}

static CK_RV begin_digest(CK_SESSION_HANDLE session)
{
    CK_MECHANISM mech = { CKM_SHA384, NULL, 0 };

    return p11->C_DigestInit(session, &mech);
}

static CK_RV begin_digest_final(CK_SESSION_HANDLE session)
{
    CK_RV rv = begin_digest(session);

    return rv == CKR_OK ? p11->C_DigestUpdate(session, (CK_BYTE *)(uintptr_t) "message", 7) : rv;
}

static CK_RV begin_message(CK_SESSION_HANDLE session)
{
    memset(iv, 0, sizeof iv);
    message_param = (struct t_gcm_message){ iv, 12, 0, T_GENERATE, tag, 128 };
    return message_init(session, true, named(session, "K"));
}

static CK_RV begin_nothing(CK_SESSION_HANDLE session)
{
    (void)session;
    return CKR_OK;
}

static CK_RV give_encrypt(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *len)
{
    return p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "0123456789abcdef", 16, out, len);
}

static CK_RV give_decrypt(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *len)
{
    return p11->C_Decrypt(session, sealed.bytes, sealed.len, out, len);
}

static CK_RV give_encrypt_final(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *len)
{
    return p11->C_EncryptFinal(session, out, len);
}

static CK_RV give_decrypt_final(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *len)
{
    return p11->C_DecryptFinal(session, out, len);
}

static CK_RV give_sign(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *len)
{
    return p11->C_Sign(session, (CK_BYTE *)(uintptr_t) "message", 7, out, len);
}

static CK_RV give_sign_final(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *len)
{
    return p11->C_SignFinal(session, out, len);
}

static CK_RV give_digest(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *len)
{
    return p11->C_Digest(session, (CK_BYTE *)(uintptr_t) "message", 7, out, len);
}

static CK_RV give_digest_final(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *len)
{
    return p11->C_DigestFinal(session, out, len);
}

static CK_RV give_message(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *len)
{
    return message_seal(session, &message_param, "0123456789abcdef", 16, out, len);
}

static CK_RV give_wrapped(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *len)
{
    CK_MECHANISM mech = { CKM_AES_KEY_WRAP, NULL, 0 };

    return p11->C_WrapKey(session, &mech, named(session, "wrapper"), named(session, "loose"), out, len);
}

static CK_RV give_wrapped_authenticated(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *len)
{
    struct t_gcm_wrap gcm = { iv, 12, 0, T_GENERATE, NULL, 0, 128 };
    CK_MECHANISM mech = { CKM_AES_GCM, &gcm, sizeof gcm };

    memset(iv, 0, sizeof iv);
    return wrap_authenticated(session, &mech, named(session, "gcm wrapper"), named(session, "loose"), out, len);
}

static CK_RV give_value(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *len)
{
    return read_value(session, named(session, "loose"), out, len);
}

static const struct output outputs[] = {
    { "C_Encrypt", begin_encrypt, give_encrypt, 32 },
    { "C_EncryptFinal", begin_encrypt_final, give_encrypt_final, 16 },
    { "C_Decrypt", begin_decrypt, give_decrypt, 16 },
    { "C_DecryptFinal", begin_decrypt_final, give_decrypt_final, 16 },
    { "C_Sign", begin_sign, give_sign, 32 },
    { "C_SignFinal", begin_sign_final, give_sign_final, 32 },
    { "C_Digest", begin_digest, give_digest, 48 },
    { "C_DigestFinal", begin_digest_final, give_digest_final, 48 },
    { "C_EncryptMessage", begin_message, give_message, 16 },
    { "C_WrapKey", begin_nothing, give_wrapped, 40 },
    { "C_WrapKeyAuthenticated", begin_nothing, give_wrapped_authenticated, 48 },
    { "C_GetAttributeValue", begin_nothing, give_value, 32 },
};

/* A few of them give fewer bytes at the end than they once did: the sum is what the standard says, the parts are the module's. */
static void keeps_to_the_convention(CK_SESSION_HANDLE session, const struct output *output)
{
    CK_BYTE room[128];
    CK_ULONG len = 7777, exact;
    bool marks = output->give == give_value; /* attributes mark what did not fit by the length of all ones */

    NEED(output->begin(session));
    EXPECT(output->give(session, NULL, &len), CKR_OK);
    exact = len;
    if (exact != output->len) fail_at(__FILE__, __LINE__, "%s asks for %lu bytes, not %lu", output->name, exact, output->len);
    for (CK_ULONG cap = 0; cap < exact && exact < sizeof room; cap += cap < exact - 1 && cap + 7 >= exact ? exact - 1 - cap : 7) {
        memset(room, 0x5a, sizeof room);
        len = cap;
        if (!EXPECT(output->give(session, room, &len), CKR_BUFFER_TOO_SMALL)) printf("      %s with %lu bytes\n", output->name, cap);
        CHECK(len == (marks ? CK_UNAVAILABLE_INFORMATION : exact));
        for (size_t i = cap; i < sizeof room; i++)
            if (room[i] != 0x5a) die_at(__FILE__, __LINE__, "%s wrote byte %zu of %lu", output->name, i, cap);
    }
    for (int larger = 0; larger < 2; larger++) {
        if (larger && output->begin != begin_message) NEED(output->begin(session));
        memset(room, 0x5a, sizeof room);
        len = larger ? sizeof room : exact;
        if (!EXPECT(output->give(session, room, &len), CKR_OK))
            printf("      %s with %s room\n", output->name, larger ? "more" : "the exact");
        CHECK(len == exact);
        for (size_t i = exact; i < sizeof room; i++)
            if (room[i] != 0x5a) die_at(__FILE__, __LINE__, "%s wrote byte %zu past its %lu", output->name, i, exact);
    }
    if (output->begin == begin_message) NEED(message_final(session, true));
}

CASE(A_L1_output_convention)
{
    CK_SESSION_HANDLE session = user_session();

    make(session, "K", "edS");
    make(session, "wrapper", "wuS");
    make(session, "gcm wrapper", "wuS");
    NEED(make_by(CKM_GENERIC_SECRET_KEY_GEN, session, "mac", "svS", NULL, 0));
    session = settle(session);
    NEED(set_bytes(session, loose_key(session), CKA_LABEL, "loose", 5));
    for (size_t i = 0; i < COUNT(outputs); i++) keeps_to_the_convention(session, &outputs[i]);
}

/* ---- L2, L3 ---- */

enum { GUARD = 0x5a5a5a5a };

CASE(A_L2_count_convention)
{
    CK_SESSION_HANDLE session = user_session();
    CK_ULONG slots = 0, mechs = 0, keys, got;
    CK_ATTRIBUTE secret[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY) };
    CK_ULONG room[256];

    for (int i = 0; i < 5; i++) key_make(session, way->token ? "edST" : "edS");
    session = settle(session);
    NEED(p11->C_GetSlotList(CK_TRUE, NULL, &slots));
    NEED(p11->C_GetMechanismList(slot_labelled(TOKEN_LABEL), NULL, &mechs));
    CHECK(slots == 2 && mechs > 3 && mechs < COUNT(room));
    for (int which = 0; which < 2; which++) {
        CK_ULONG all = which ? mechs : slots;
        const CK_ULONG counts[] = { 0, 1, all - 1, all, all + 1 };

        for (size_t i = 0; i < COUNT(counts); i++) {
            CK_ULONG count = counts[i];

            for (size_t k = 0; k < COUNT(room); k++) room[k] = GUARD;
            EXPECT(which ? p11->C_GetMechanismList(slot_labelled(TOKEN_LABEL), room, &count) : p11->C_GetSlotList(CK_TRUE, room, &count),
                   counts[i] < all ? CKR_BUFFER_TOO_SMALL : CKR_OK);
            CHECK(count == all);
            for (size_t k = counts[i] < all ? counts[i] : all; k < COUNT(room); k++) CHECK(room[k] == GUARD);
        }
    }
    keys = find_count(session, secret, 1);
    CHECK(keys == 6); /* the master is one */
    for (CK_ULONG most = 0; most <= 7; most++) {
        for (size_t k = 0; k < COUNT(room); k++) room[k] = GUARD;
        NEED(p11->C_FindObjectsInit(session, secret, 1));
        got = GUARD;
        EXPECT(p11->C_FindObjects(session, room, most, &got), CKR_OK);
        CHECK(got == (most < keys ? most : keys));
        for (size_t k = most; k < COUNT(room); k++) CHECK(room[k] == GUARD);
        NEED(p11->C_FindObjectsFinal(session));
    }
}

static long peak_kib(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

CASE(A_L3_attribute_count)
{
    static const CK_ULONG counts[] = { 1UL << 32, CK_UNAVAILABLE_INFORMATION, 1UL << 60, (1UL << 60) + 1 };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key, other = 0;
    CK_BBOOL token = CK_FALSE;
    CK_ATTRIBUTE one[] = { { CKA_TOKEN, &token, 1 } }, *templates[] = { one, NULL };
    CK_MECHANISM generate = { CKM_AES_KEY_GEN, NULL, 0 };
    struct blob blob;
    long before;

    make(session, "K", "edS");
    make(session, "wrapper", "wuS");
    NEED(make_by(CKM_GENERIC_SECRET_KEY_GEN, session, "base", "DS", NULL, 0));
    session = settle(session);
    key = named(session, "K");
    NEED(wrap_try(session, &wrappings[0], named(session, "wrapper"), loose_key(session), &blob));
    before = peak_kib();
    for (size_t i = 0; i < COUNT(counts); i++) {
        for (size_t j = 0; j < 2; j++) {
            REFUSED(session, p11->C_GetAttributeValue(session, key, templates[j], counts[i]), CKR_ARGUMENTS_BAD);
            REFUSED(session, p11->C_SetAttributeValue(session, key, templates[j], counts[i]), CKR_ARGUMENTS_BAD);
            REFUSED(session, p11->C_CopyObject(session, key, templates[j], counts[i], &other), CKR_ARGUMENTS_BAD);
            REFUSED(session, p11->C_CreateObject(session, templates[j], counts[i], &other), CKR_ARGUMENTS_BAD);
            REFUSED(session, p11->C_GenerateKey(session, &generate, templates[j], counts[i], &other), CKR_ARGUMENTS_BAD);
            REFUSED(session, p11->C_FindObjectsInit(session, templates[j], counts[i]), CKR_ARGUMENTS_BAD);
            REFUSED(session, hkdf_try(session, named(session, "base"), NULL, 0, "x", 1, templates[j], counts[i], &other),
                    CKR_ARGUMENTS_BAD);
            REFUSED(session, unwrap_try(session, &wrappings[0], named(session, "wrapper"), &blob, templates[j], counts[i], &other),
                    CKR_ARGUMENTS_BAD);
        }
    }
    if (!is_sanitized()) CHECK(peak_kib() - before < 65536);
    REFUSED(session, p11->C_GetAttributeValue(session, key, one, 0), CKR_ARGUMENTS_BAD);
    REFUSED(session, p11->C_SetAttributeValue(session, key, one, 0), CKR_ARGUMENTS_BAD);
    REFUSED(session, p11->C_GetAttributeValue(session, key, NULL, 1), CKR_ARGUMENTS_BAD);
    REFUSED(session, p11->C_SetAttributeValue(session, key, NULL, 1), CKR_ARGUMENTS_BAD);
    REFUSED(session, p11->C_CopyObject(session, key, NULL, 1, &other), CKR_ARGUMENTS_BAD);
    REFUSED(session, p11->C_FindObjectsInit(session, NULL, 1), CKR_ARGUMENTS_BAD);
    REFUSED(session, p11->C_CreateObject(session, NULL, 1, &other), CKR_ARGUMENTS_BAD);
    /* What is truly empty is said so often that a pointer beside it means nothing. */
    EXPECT(p11->C_FindObjectsInit(session, one, 0), CKR_OK);
    EXPECT(p11->C_FindObjectsFinal(session), CKR_OK);
}

/* ---- L4 ---- */

CASE(A_L4_reading_templates)
{
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE, values[3];
    CK_BYTE label[32];
    CK_ATTRIBUTE inner[] = { { CKA_SENSITIVE, &yes, 1 }, { CKA_EXTRACTABLE, &no, 1 }, A_TEXT(CKA_LABEL, "restored") };
    const CK_ATTRIBUTE template[] = { A_BYTES(CKA_UNWRAP_TEMPLATE, inner, sizeof inner) };
    CK_ATTRIBUTE rows[8], outer[] = { { CKA_UNWRAP_TEMPLATE, NULL, 0 } };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key;

    make_with(session, "K", "wuS", template, 1);
    session = settle(session);
    key = named(session, "K");
    NEED(p11->C_GetAttributeValue(session, key, outer, 1));
    CHECK(outer[0].ulValueLen == 3 * sizeof(CK_ATTRIBUTE));
    /* Too few rows. */
    for (CK_ULONG n = 0; n < 3; n++) {
        memset(rows, 0, sizeof rows);
        outer[0] = (CK_ATTRIBUTE){ CKA_UNWRAP_TEMPLATE, rows, n * sizeof *rows };
        EXPECT(p11->C_GetAttributeValue(session, key, outer, 1), CKR_BUFFER_TOO_SMALL);
        CHECK(outer[0].ulValueLen == CK_UNAVAILABLE_INFORMATION);
        for (size_t i = n; i < COUNT(rows); i++) CHECK(rows[i].type == 0 && rows[i].pValue == NULL && rows[i].ulValueLen == 0);
    }
    /* No whole number of rows. */
    outer[0] = (CK_ATTRIBUTE){ CKA_UNWRAP_TEMPLATE, rows, 3 * sizeof *rows - 1 };
    EXPECT(p11->C_GetAttributeValue(session, key, outer, 1), CKR_BUFFER_TOO_SMALL, CKR_TEMPLATE_INCONSISTENT);
    /* Rows with no room tell lengths; more rows than there are stay as they were. */
    memset(rows, 0, sizeof rows);
    rows[3].ulValueLen = 4711;
    outer[0] = (CK_ATTRIBUTE){ CKA_UNWRAP_TEMPLATE, rows, 4 * sizeof *rows };
    EXPECT(p11->C_GetAttributeValue(session, key, outer, 1), CKR_OK);
    CHECK(outer[0].ulValueLen == 3 * sizeof *rows && rows[3].ulValueLen == 4711);
    for (size_t i = 0; i < 3; i++) CHECK(rows[i].ulValueLen == (rows[i].type == CKA_LABEL ? 8 : 1));
    /* A buffer inside that is too small. */
    for (size_t i = 0; i < 3; i++) {
        rows[i].pValue = rows[i].type == CKA_LABEL ? (void *)label : &values[i];
        rows[i].ulValueLen = rows[i].type == CKA_LABEL ? 3 : 1;
    }
    memset(label, 0x5a, sizeof label);
    EXPECT(p11->C_GetAttributeValue(session, key, outer, 1), CKR_BUFFER_TOO_SMALL);
    for (size_t i = 0; i < 3; i++)
        if (rows[i].type == CKA_LABEL) CHECK(rows[i].ulValueLen == CK_UNAVAILABLE_INFORMATION);
    for (size_t i = 3; i < sizeof label; i++) CHECK(label[i] == 0x5a);
    /* Enough of everything. */
    for (size_t i = 0; i < 3; i++) rows[i].ulValueLen = rows[i].type == CKA_LABEL ? sizeof label : 1;
    outer[0].ulValueLen = 3 * sizeof *rows;
    EXPECT(p11->C_GetAttributeValue(session, key, outer, 1), CKR_OK);
    for (size_t i = 0; i < 3; i++) {
        if (rows[i].type == CKA_LABEL) CHECK(rows[i].ulValueLen == 8 && memcmp(label, "restored", 8) == 0);
        if (rows[i].type == CKA_SENSITIVE) CHECK(values[i] == CK_TRUE);
        if (rows[i].type == CKA_EXTRACTABLE) CHECK(values[i] == CK_FALSE);
    }
}

/* ---- L5 ---- */

typedef CK_RV (*any_function)(CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG);

static const struct {
    const char *name, *args;
} all_functions[] = {
#define F(name, version, args, answer) { #name, args },
#include "functions.def"
#undef F
};

/* Calls with everything in order, but NULL for the argument `null_at` and, with `all`, for every pointer. */
static CK_RV call_with_null(size_t f, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, int null_at, bool all)
{
    static CK_BYTE room[8192];
    static CK_ULONG room_len;
    struct t_gcm gcm = { iv, 12, 96, NULL, 0, 128 };
    CK_MECHANISM mech = { CKM_AES_GCM, &gcm, sizeof gcm };
    CK_ULONG a[10] = { 0 };
    void *address = p11_sym(all_functions[f].name);
    any_function call;

    memset(room, 0, sizeof room);
    room_len = 0;
    if (!address) die_at(__FILE__, __LINE__, "%s is not exported", all_functions[f].name);
    memcpy(&call, &address, sizeof call);
    for (int i = 0; all_functions[f].args[i]; i++) {
        char kind = all_functions[f].args[i];
        bool is_pointer = strchr("pbqLmo", kind) != NULL;

        if (is_pointer && (all || i == null_at)) continue;
        a[i] = kind == 's'                 ? session
               : kind == 'h'               ? key
               : kind == 'S'               ? slot_labelled(TOKEN_LABEL)
               : kind == 'f'               ? CKF_DONT_BLOCK
               : kind == 'u'               ? CKU_USER
               : kind == 'l'               ? 5
               : kind == 'L'               ? (CK_ULONG)(uintptr_t)&room_len
               : kind == 'm'               ? (CK_ULONG)(uintptr_t)&mech
               : is_pointer && kind != 'o' ? (CK_ULONG)(uintptr_t)room
                                           : 0;
    }
    return call(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9]);
}

/* Answers that say nothing of the pointer, for there was something else amiss first; none of them is a breakdown. */
static bool is_no_breakdown(CK_RV rv)
{
    return rv != CKR_GENERAL_ERROR && rv != CKR_FUNCTION_FAILED && rv != CKR_HOST_MEMORY && rv != CKR_DEVICE_ERROR;
}

static bool answers_always(const char *name)
{
    static const char *const names[] = { "C_Initialize", "C_Finalize", "C_GetFunctionList", "C_GetInterface", "C_GetInterfaceList" };

    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

CASE(A_L5_null_everything)
{
    static const char *const absent[] = { "C_GetFunctionList", "C_GetInterfaceList" };
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;

    for (size_t f = 0; f < COUNT(all_functions); f++) {
        /* slot_labelled() needs a library that runs. */
        if (answers_always(all_functions[f].name) || strchr(all_functions[f].args, 'S')) continue;
        for (int i = -1; i < (int)strlen(all_functions[f].args); i++) {
            CK_RV rv = call_with_null(f, 1, 1, i, i < 0);

            if (rv != CKR_ARGUMENTS_BAD && rv != CKR_CRYPTOKI_NOT_INITIALIZED && rv != CKR_FUNCTION_NOT_SUPPORTED &&
                rv != CKR_FUNCTION_NOT_PARALLEL)
                fail_at(__FILE__, __LINE__, "%s, argument %d NULL, before C_Initialize: %s", all_functions[f].name, i, rv_name(rv));
        }
    }
    session = user_session();
    make(session, "K", "edS");
    session = settle(session);
    key = named(session, "K");
    for (size_t f = 0; f < COUNT(all_functions); f++) {
        const char *args = all_functions[f].args;

        if (answers_always(all_functions[f].name)) continue;
        for (int i = -1; i < (int)strlen(args); i++) {
            CK_RV rv;

            if (i >= 0 && !strchr("pbLm", args[i])) continue;
            rv = call_with_null(f, session, key, i, i < 0);
            if (!is_no_breakdown(rv)) fail_at(__FILE__, __LINE__, "%s, argument %d NULL: %s", all_functions[f].name, i, rv_name(rv));
            /* A NULL mechanism cancels; Finalizers and the like have nothing to be NULL. */
            if (i >= 0 && rv == CKR_OK && args[i] != 'm')
                fail_at(__FILE__, __LINE__, "%s, argument %d NULL: CKR_OK", all_functions[f].name, i);
        }
    }
    for (size_t i = 0; i < COUNT(absent); i++) {
        CK_RV (*call)(void *, void *);

        *(void **)&call = p11_sym(absent[i]);
        EXPECT(call(NULL, NULL), CKR_ARGUMENTS_BAD);
    }
    p11->C_CloseAllSessions(slot_labelled(TOKEN_LABEL));
}

/* ---- L6, L7, L8: what other programs do at length ---- */

/* A store whose bytes were changed is refused in words, or what is left of it works. */
static void with_damaged_store(const void *unused)
{
    CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK };
    CK_SLOT_ID slots[8];
    CK_ULONG count = COUNT(slots), got = 0;
    CK_OBJECT_HANDLE found[32];

    (void)unused;
    NEED(p11->C_Initialize(&args));
    NEED(p11->C_GetSlotList(CK_FALSE, slots, &count));
    for (CK_ULONG i = 0; i < count; i++) {
        CK_SESSION_HANDLE session = 0;
        CK_TOKEN_INFO info;

        p11->C_GetTokenInfo(slots[i], &info);
        if (p11->C_OpenSession(slots[i], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session) != CKR_OK) continue;
        login(session, CKU_USER, USER_PIN);
        if (p11->C_FindObjectsInit(session, NULL, 0) != CKR_OK) continue;
        p11->C_FindObjects(session, found, COUNT(found), &got);
        p11->C_FindObjectsFinal(session);
        for (CK_ULONG k = 0; k < got; k++) {
            CK_BYTE out[64], sealing[12];
            CK_ULONG len = sizeof out;

            gcm_seal(session, found[k], sealing, "x", 1, out, &len);
        }
    }
    p11->C_Finalize(NULL);
}

CASE(A_L6_stored_bytes)
{
    CK_SESSION_HANDLE session = user_session();
    char path[4200];
    struct stat st;
    uint64_t state = 6;

    make(session, "K", "edS");
    ladder_grow(session);
    stop();
    snprintf(path, sizeof path, "%s/demo.db", sandbox_dir);
    shell("cp demo.db kept.db");
    if (stat(path, &st)) die_at(__FILE__, __LINE__, "%s", path);
    for (int i = 0; i < (way->token ? 10 : 30); i++) {
        int fd, status;
        pid_t pid;

        shell("rm -f demo.db-* && cp kept.db demo.db");
        fd = open(path, O_RDWR);
        for (int k = 0; k < 1 + i; k++) {
            CK_BYTE byte = (CK_BYTE)rng_next(&state);

            if (pwrite(fd, &byte, 1, (off_t)(rng_next(&state) % (uint64_t)st.st_size)) != 1) die_at(__FILE__, __LINE__, "pwrite");
        }
        if (i % 4 == 3 && ftruncate(fd, (off_t)(rng_next(&state) % (uint64_t)st.st_size))) die_at(__FILE__, __LINE__, "ftruncate");
        close(fd);
        pid = fork();
        if (pid == 0) {
            alarm(20);
            with_damaged_store(NULL);
            _exit(failures != 0);
        }
        waitpid(pid, &status, 0);
        if (status) fail_at(__FILE__, __LINE__, "round %d ended with status %x", i, (unsigned)status);
    }
}

struct span {
    size_t at, len;
};

/* Texts end in spaces, and the gaps between members are either as they were or zero, never of an earlier answer. */
static void is_clean(const CK_BYTE *info, CK_BYTE fill, const struct span *texts, const struct span *gaps)
{
    for (; texts->len; texts++) {
        bool padding = true;

        for (size_t i = texts->len; i-- > 0;) {
            CK_BYTE c = info[texts->at + i];

            if (c == 0) fail_at(__FILE__, __LINE__, "byte %zu of a text is NUL", texts->at + i);
            padding = padding && c == ' ';
        }
        if (padding && texts->len > 16) fail_at(__FILE__, __LINE__, "the text at %zu is blank", texts->at);
    }
    for (; gaps->len; gaps++)
        for (size_t i = 0; i < gaps->len; i++) CHECK(info[gaps->at + i] == fill || info[gaps->at + i] == 0);
}

CASE(A_L7_uninitialised_memory)
{
#define TEXT(type, member)                                  \
    {                                                       \
        offsetof(type, member), sizeof(((type *)0)->member) \
    }
#define GAP(type, before, after)                                                                                                           \
    {                                                                                                                                      \
        offsetof(type, before) + sizeof(((type *)0)->before), offsetof(type, after) - offsetof(type, before) - sizeof(((type *)0)->before) \
    }
    static const struct span none[] = { { 0, 0 } },
                             info_texts[] = { TEXT(CK_INFO, manufacturerID), TEXT(CK_INFO, libraryDescription), { 0, 0 } },
                             info_gaps[] = { GAP(CK_INFO, manufacturerID, flags), { 0, 0 } },
                             slot_texts[] = { TEXT(CK_SLOT_INFO, slotDescription), TEXT(CK_SLOT_INFO, manufacturerID), { 0, 0 } },
                             token_texts[] = { TEXT(CK_TOKEN_INFO, label),
                                               TEXT(CK_TOKEN_INFO, manufacturerID),
                                               TEXT(CK_TOKEN_INFO, model),
                                               TEXT(CK_TOKEN_INFO, serialNumber),
                                               { 0, 0 } };
    static const CK_BYTE fills[] = { 0xa5, 0x5a };
    union {
        CK_INFO info;
        CK_SLOT_INFO slot;
        CK_TOKEN_INFO token;
        CK_SESSION_INFO session;
        CK_MECHANISM_INFO mechanism;
        CK_BYTE bytes[512];
    } a[2];
    CK_SESSION_HANDLE session = user_session();
    CK_SLOT_ID slot = slot_labelled(TOKEN_LABEL);

    /* Everything that a caller reads is the same whatever lay there before. */
    for (int which = 0; which < 5; which++) {
        static const size_t sizes[] = { sizeof(CK_INFO), sizeof(CK_SLOT_INFO), sizeof(CK_TOKEN_INFO), sizeof(CK_SESSION_INFO),
                                        sizeof(CK_MECHANISM_INFO) };

        for (int k = 0; k < 2; k++) {
            memset(&a[k], fills[k], sizeof a[k]);
            NEED(which == 0   ? p11->C_GetInfo(&a[k].info)
                 : which == 1 ? p11->C_GetSlotInfo(slot, &a[k].slot)
                 : which == 2 ? p11->C_GetTokenInfo(slot, &a[k].token)
                 : which == 3 ? p11->C_GetSessionInfo(session, &a[k].session)
                              : p11->C_GetMechanismInfo(slot, CKM_AES_GCM, &a[k].mechanism));
            is_clean(a[k].bytes, fills[k],
                     which == 0   ? info_texts
                     : which == 1 ? slot_texts
                     : which == 2 ? token_texts
                                  : none,
                     which == 0 ? info_gaps : none);
            for (size_t i = sizes[which]; i < sizeof a[k]; i++) CHECK(a[k].bytes[i] == fills[k]);
        }
        for (size_t i = 0; i < sizes[which]; i++)
            if (a[0].bytes[i] != a[1].bytes[i] && (a[0].bytes[i] != fills[0] || a[1].bytes[i] != fills[1]))
                fail_at(__FILE__, __LINE__, "byte %zu of structure %d is now %02x and now %02x", i, which, a[0].bytes[i], a[1].bytes[i]);
    }
#undef TEXT
#undef GAP
}

/* The address space is closed around what there is; objects are made until there is no more. */
static void until_memory_ends(CK_SESSION_HANDLE session)
{
    struct rlimit limit, open;
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;
    CK_RV rv = CKR_OK;
    CK_BYTE *value = malloc(60000);
    CK_OBJECT_HANDLE object = 0;
    CK_ATTRIBUTE data[] = { A_ULONG(CKA_CLASS, CKO_DATA), A_BYTES(CKA_VALUE, value, 60000) };
    size_t made = 0, before = find_count(session, NULL, 0);
    CK_OBJECT_HANDLE key = named(session, "K");

    memset(value, 1, 60000);
    if (fscanf(file, "%lu", &pages) != 1 || getrlimit(RLIMIT_AS, &open)) die_at(__FILE__, __LINE__, "statm");
    fclose(file);
    limit = open;
    limit.rlim_cur = pages * (rlim_t)sysconf(_SC_PAGESIZE) + (8 << 20);
    NEED(setrlimit(RLIMIT_AS, &limit) ? CKR_GENERAL_ERROR : CKR_OK);
    for (; made < 100000 && rv == CKR_OK; made++) {
        rv = p11->C_CreateObject(session, data, 2, &object);
        if (rv == CKR_OK) rv = key_try(session, "edS", &object);
    }
    for (int i = 0; i < 200; i++) {
        CK_BYTE sealing[12], out[64];
        CK_ULONG len = sizeof out;

        EXPECT(gcm_seal(session, key, sealing, "x", 1, out, &len), CKR_OK, CKR_HOST_MEMORY);
    }
    setrlimit(RLIMIT_AS, &open);
    EXPECT(rv, CKR_HOST_MEMORY, CKR_DEVICE_MEMORY);
    /* No half object: data and keys come in pairs, but for the last. */
    made = find_count(session, NULL, 0) - before;
    CHECK(made > 20 && find_count(session, data, 1) >= made / 2);
    key_make(session, "edS");
    free(value);
}

CASE(A_L8_allocation_failure)
{
    CK_SESSION_HANDLE session = user_session();

    if (is_sanitized()) return;
    make(session, "K", "edS");
    session = settle(session);
    until_memory_ends(session);
    session = settle(session);
    EXPECT(set_bytes(session, named(session, "K"), CKA_LABEL, "still here", 10), CKR_OK);
}

const struct test memory_cases[] = {
    T(A_L1_output_convention, OURS),    T(A_L2_count_convention, OURS),   T(A_L3_attribute_count, OURS),
    T(A_L4_reading_templates, OURS),    T(A_L5_null_everything, OURS),    T(A_L6_stored_bytes, OURS),
    T(A_L7_uninitialised_memory, OURS), T(A_L8_allocation_failure, OURS), { NULL, NULL, 0 },
};
