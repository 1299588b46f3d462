/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Every pointer there or not, with every length, in every state; each once aligned and once at odd addresses. */
#include "malformed.h"

#include <unistd.h>

/* ---- what a function's arguments are, beyond functions.def, and which answers make sense ---- */

/*
 * Of pairs of bytes and length: d(ata) whose length is checked against the room, y: data it may well read, w(rapped key),
 * a(ssociated data), p(arameter of a message), t(emplate), i: PIN or name, s(ignature), r(oom to be filled), f: room for handles.
 */
struct row {
    const char *name;
    const char *pairs;
    char begins;    /* the operation in state ACTIVE */
    char mechanism; /* g(cm) h(mac) s(ha256) k(ey generation) w(rap) W: GCM wrap d(erive) m(essage) */
    enum key key;
    size_t size; /* of what p points to, 8 if not said; of an item of a list */
    char makes;  /* o(bject), s(ession) */
    CK_RV codes[20];
};
#define ARG CKR_ARGUMENTS_BAD
#define NO_KEY CKR_KEY_HANDLE_INVALID, CKR_USER_NOT_LOGGED_IN
#define NO_OBJECT CKR_OBJECT_HANDLE_INVALID, CKR_USER_NOT_LOGGED_IN
#define INIT ARG, NO_KEY, CKR_OPERATION_ACTIVE, CKR_OPERATION_NOT_INITIALIZED, CKR_OPERATION_CANCEL_FAILED
#define STEP ARG, CKR_OPERATION_NOT_INITIALIZED, CKR_OPERATION_ACTIVE
#define ROOM STEP, CKR_BUFFER_TOO_SMALL, CKR_DATA_LEN_RANGE
#define SEALED ROOM, CKR_ENCRYPTED_DATA_INVALID, CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_AEAD_DECRYPT_FAILED
#define TEMPLATE \
    ARG, CKR_ATTRIBUTE_VALUE_INVALID, CKR_ATTRIBUTE_TYPE_INVALID, CKR_TEMPLATE_INCOMPLETE, CKR_TEMPLATE_INCONSISTENT, CKR_USER_NOT_LOGGED_IN
#define PIN ARG, CKR_PIN_LEN_RANGE, CKR_PIN_INCORRECT, CKR_PIN_LOCKED
#define WRAPPER CKR_WRAPPING_KEY_HANDLE_INVALID, CKR_UNWRAPPING_KEY_HANDLE_INVALID, NO_KEY
#define WRAPPED CKR_WRAPPED_KEY_INVALID, CKR_WRAPPED_KEY_LEN_RANGE, CKR_MECHANISM_PARAM_INVALID

static const struct row rows[] = {
    { "C_GetInfo", .size = sizeof(CK_INFO), .codes = { ARG } },
    { "C_GetFunctionList", .codes = { ARG } },
    { "C_GetSlotList", .size = sizeof(CK_SLOT_ID), .codes = { ARG, CKR_BUFFER_TOO_SMALL } },
    { "C_GetSlotInfo", .size = sizeof(CK_SLOT_INFO), .codes = { ARG } },
    { "C_GetTokenInfo", .size = sizeof(CK_TOKEN_INFO), .codes = { ARG } },
    { "C_GetMechanismList", .size = sizeof(CK_MECHANISM_TYPE), .codes = { ARG, CKR_BUFFER_TOO_SMALL } },
    { "C_GetMechanismInfo", .size = sizeof(CK_MECHANISM_INFO), .codes = { ARG, CKR_MECHANISM_INVALID } },
    { "C_InitToken", "i", .size = 32, .codes = { PIN, CKR_SESSION_EXISTS } },
    { "C_InitPIN", "i", .codes = { PIN, CKR_USER_NOT_LOGGED_IN } },
    { "C_SetPIN", "ii", .codes = { PIN, CKR_USER_NOT_LOGGED_IN } },
    { "C_OpenSession", .makes = 's', .codes = { ARG } },
    { "C_CloseSession", .codes = { ARG } },
    { "C_CloseAllSessions", .codes = { ARG } },
    { "C_GetSessionInfo", .size = sizeof(CK_SESSION_INFO), .codes = { ARG } },
    { "C_Login", "i", .codes = { PIN, CKR_USER_ALREADY_LOGGED_IN, CKR_USER_ANOTHER_ALREADY_LOGGED_IN } },
    { "C_LoginUser", "ii", .codes = { PIN, CKR_USER_ALREADY_LOGGED_IN, CKR_USER_ANOTHER_ALREADY_LOGGED_IN, CKR_USER_TYPE_INVALID } },
    { "C_Logout", .codes = { CKR_USER_NOT_LOGGED_IN } },
    { "C_CreateObject", "t", .makes = 'o', .codes = { TEMPLATE } },
    { "C_CopyObject", "t", .key = PLAIN, .makes = 'o', .codes = { TEMPLATE, NO_OBJECT, CKR_ATTRIBUTE_READ_ONLY } },
    { "C_DestroyObject", .key = PLAIN, .codes = { NO_OBJECT } },
    { "C_GetObjectSize", .key = PLAIN, .codes = { ARG, NO_OBJECT } },
    { "C_GetAttributeValue", "t", .key = PLAIN, .codes = { TEMPLATE, NO_OBJECT, CKR_BUFFER_TOO_SMALL, CKR_ATTRIBUTE_SENSITIVE } },
    { "C_SetAttributeValue", "t", .key = PLAIN, .codes = { TEMPLATE, NO_OBJECT, CKR_ATTRIBUTE_READ_ONLY } },
    { "C_FindObjectsInit", "t", .begins = 'F', .codes = { TEMPLATE, CKR_OPERATION_ACTIVE } },
    { "C_FindObjects", "f", .begins = 'F', .codes = { ARG, CKR_OPERATION_NOT_INITIALIZED } },
    { "C_FindObjectsFinal", .begins = 'F', .codes = { CKR_OPERATION_NOT_INITIALIZED } },
    { "C_EncryptInit", .begins = 'E', .mechanism = 'g', .codes = { INIT } },
    { "C_Encrypt", "d", 'E', .codes = { ROOM } },
    { "C_EncryptUpdate", "d", 'E', .codes = { ROOM } },
    { "C_EncryptFinal", .begins = 'E', .codes = { ROOM } },
    { "C_DecryptInit", .begins = 'D', .mechanism = 'g', .codes = { INIT } },
    { "C_Decrypt", "d", 'D', .codes = { SEALED } },
    { "C_DecryptUpdate", "y", 'D', .codes = { SEALED } },
    { "C_DecryptFinal", .begins = 'D', .codes = { SEALED } },
    { "C_DigestInit", .begins = 'G', .mechanism = 's', .codes = { INIT } },
    { "C_Digest", "y", 'G', .codes = { ROOM } },
    { "C_DigestUpdate", "y", 'G', .codes = { STEP } },
    { "C_DigestKey", .begins = 'G', .key = PLAIN, .codes = { STEP, NO_KEY, CKR_KEY_INDIGESTIBLE } },
    { "C_DigestFinal", .begins = 'G', .codes = { ROOM } },
    { "C_SignInit", .begins = 'S', .mechanism = 'h', .key = MAC, .codes = { INIT } },
    { "C_Sign", "y", 'S', .codes = { ROOM } },
    { "C_SignUpdate", "y", 'S', .codes = { STEP } },
    { "C_SignFinal", .begins = 'S', .codes = { ROOM } },
    { "C_VerifyInit", .begins = 'V', .mechanism = 'h', .key = MAC, .codes = { INIT } },
    { "C_Verify", "ys", 'V', .codes = { STEP, CKR_SIGNATURE_INVALID, CKR_SIGNATURE_LEN_RANGE } },
    { "C_VerifyUpdate", "y", 'V', .codes = { STEP } },
    { "C_VerifyFinal", "s", 'V', .codes = { STEP, CKR_SIGNATURE_INVALID, CKR_SIGNATURE_LEN_RANGE } },
    { "C_GenerateKey", "t", .mechanism = 'k', .makes = 'o', .codes = { TEMPLATE } },
    { "C_WrapKey", .mechanism = 'w', .key = WRAP, .codes = { ARG, WRAPPER, CKR_BUFFER_TOO_SMALL, CKR_MECHANISM_PARAM_INVALID } },
    { "C_UnwrapKey", "wt", .mechanism = 'w', .key = WRAP, .makes = 'o', .codes = { TEMPLATE, WRAPPER, WRAPPED } },
    { "C_DeriveKey", "t", .mechanism = 'd', .key = DERIVE, .makes = 'o', .codes = { TEMPLATE, NO_KEY } },
    { "C_SeedRandom", "d", .codes = { ARG, CKR_RANDOM_SEED_NOT_SUPPORTED } },
    { "C_GenerateRandom", "r", .codes = { ARG } },
    { "C_WaitForSlotEvent", .codes = { ARG, CKR_NO_EVENT } },
    { "C_GetInterfaceList", .size = sizeof(struct t_interface), .codes = { ARG, CKR_BUFFER_TOO_SMALL } },
    { "C_GetInterface", .codes = { ARG } },
    { "C_SessionCancel", .codes = { ARG } },
    { "C_MessageEncryptInit", .begins = 'M', .mechanism = 'm', .codes = { INIT } },
    { "C_EncryptMessage", "pad", 'M', .codes = { ROOM, CKR_MECHANISM_PARAM_INVALID } },
    { "C_EncryptMessageBegin", "pa", 'M', .codes = { STEP, CKR_MECHANISM_PARAM_INVALID, CKR_DATA_LEN_RANGE } },
    { "C_EncryptMessageNext", "pd", 'm', .codes = { ROOM, CKR_MECHANISM_PARAM_INVALID } },
    { "C_MessageEncryptFinal", .begins = 'M', .codes = { STEP } },
    { "C_MessageDecryptInit", .begins = 'N', .mechanism = 'm', .codes = { INIT } },
    { "C_DecryptMessage", "pad", 'N', .codes = { SEALED, CKR_MECHANISM_PARAM_INVALID } },
    { "C_DecryptMessageBegin", "pa", 'N', .codes = { STEP, CKR_MECHANISM_PARAM_INVALID, CKR_DATA_LEN_RANGE } },
    { "C_DecryptMessageNext", "py", 'n', .codes = { SEALED, CKR_MECHANISM_PARAM_INVALID } },
    { "C_MessageDecryptFinal", .begins = 'N', .codes = { STEP } },
    { "C_GetSessionValidationFlags", .codes = { ARG } },
    { "C_WrapKeyAuthenticated", "a", .mechanism = 'W', .key = WRAP,
      .codes = { ARG, WRAPPER, CKR_BUFFER_TOO_SMALL, CKR_MECHANISM_PARAM_INVALID, CKR_DATA_LEN_RANGE } },
    { "C_UnwrapKeyAuthenticated", "wta", .mechanism = 'W', .key = WRAP, .makes = 'o',
      .codes = { TEMPLATE, WRAPPER, WRAPPED, CKR_AEAD_DECRYPT_FAILED, CKR_ENCRYPTED_DATA_INVALID, CKR_DATA_LEN_RANGE } },
};

static const struct row *row_of(const char *name)
{
    static const struct row other = { .pairs = NULL };

    for (size_t i = 0; i < COUNT(rows); i++)
        if (strcmp(rows[i].name, name) == 0) return &rows[i];
    return &other;
}

static const char *const state_names[STATES] = { "before C_Initialize",      "not logged in",    "logged in",        "in an operation",
                                                 "in an operation in parts", "security officer", "without a session" };

/* ---- right arguments ---- */

static uint64_t rng = 0x6d616c666f726d65;
static struct parameter mechanism_storage, message_storage;

static CK_MECHANISM_TYPE type_for(const struct row *row)
{
    static const struct {
        char letter;
        CK_MECHANISM_TYPE type;
    } types[] = {
        { 'h', CKM_SHA256_HMAC }, { 's', CKM_SHA256 }, { 'k', CKM_AES_KEY_GEN }, { 'w', CKM_AES_KEY_WRAP_KWP }, { 'd', CKM_HKDF_DERIVE }
    };

    for (size_t i = 0; i < COUNT(types); i++)
        if (types[i].letter == row->mechanism) return types[i].type;
    return CKM_AES_GCM;
}

static CK_MECHANISM mechanism_for(const struct row *row)
{
    CK_MECHANISM_TYPE type = type_for(row);

    parameter_make(&mechanism_storage, row->mechanism == 'W' ? &gcm_wrap_way : way_of(type), &rng);
    if (row->mechanism == 'm') return (CK_MECHANISM){ CKM_AES_GCM, NULL, 0 };
    return mechanism_storage.mech;
}

static CK_BYTE attribute_room[5][32];
static const CK_ATTRIBUTE to_make[] = { A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_TOKEN, CK_FALSE), A_ULONG(CKA_CLASS, CKO_SECRET_KEY),
                                        A_ULONG(CKA_KEY_TYPE, CKK_AES), A_TEXT(CKA_LABEL, "malformed") };
static const CK_ATTRIBUTE to_unwrap[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES), A_BOOL(CKA_TOKEN, CK_FALSE), A_ULONG(CKA_CLASS, CKO_SECRET_KEY),
                                          A_BOOL(CKA_ENCRYPT, CK_TRUE), A_TEXT(CKA_LABEL, "malformed") };
static const CK_ATTRIBUTE to_create[] = { A_ULONG(CKA_CLASS, CKO_DATA), A_BOOL(CKA_TOKEN, CK_FALSE), A_TEXT(CKA_LABEL, "malformed"),
                                          A_TEXT(CKA_VALUE, "value"), A_TEXT(CKA_APPLICATION, "test") };
static const CK_ATTRIBUTE to_set[] = { A_TEXT(CKA_LABEL, "malformed"), A_TEXT(CKA_ID, "id"), A_TEXT(CKA_START_DATE, "20200101"),
                                       A_BOOL(CKA_ENCRYPT, CK_TRUE), A_BOOL(CKA_DECRYPT, CK_TRUE) };
static const CK_ATTRIBUTE to_get[] = { { CKA_LABEL, attribute_room[0], 32 },
                                       { CKA_ID, attribute_room[1], 32 },
                                       { CKA_CLASS, attribute_room[2], 32 },
                                       { CKA_ENCRYPT, attribute_room[3], 32 },
                                       { CKA_UNIQUE_ID, NULL, 0 } };

/* The first is enough for some functions, all five are right for each. */
static const CK_ATTRIBUTE *template_for(const char *function)
{
    if (strcmp(function, "C_GetAttributeValue") == 0) return to_get;
    if (strcmp(function, "C_SetAttributeValue") == 0 || strcmp(function, "C_CopyObject") == 0) return to_set;
    if (strcmp(function, "C_CreateObject") == 0 || strcmp(function, "C_FindObjectsInit") == 0) return to_create;
    return strncmp(function, "C_Unwrap", 8) == 0 ? to_unwrap : to_make;
}

static CK_ULONG message_into(void *body, CK_ULONG generator)
{
    return message_make(&message_storage, body, way_of(CKM_AES_GCM), generator, &rng);
}

/* Begins what a function goes on with; false if the module does not offer it. */
static bool begin(char what, bool in_parts)
{
    CK_SESSION_HANDLE session = world.session;
    struct parameter parameter;
    CK_MECHANISM sha = { CKM_SHA256, NULL, 0 }, hmac = { CKM_SHA256_HMAC, NULL, 0 }, message = { CKM_AES_GCM, NULL, 0 };
    CK_BYTE body[64], out[64];
    CK_ULONG len = sizeof out, body_len;
    CK_RV rv = CKR_OK;

    parameter_make(&parameter, way_of(CKM_AES_GCM), &rng);
    if (what == 'E') rv = p11->C_EncryptInit(session, &parameter.mech, world.keys[CRYPT]);
    if (what == 'D') rv = p11->C_DecryptInit(session, &parameter.mech, world.keys[CRYPT]);
    if (what == 'G') rv = p11->C_DigestInit(session, &sha);
    if (what == 'S') rv = p11->C_SignInit(session, &hmac, world.keys[MAC]);
    if (what == 'V') rv = p11->C_VerifyInit(session, &hmac, world.keys[MAC]);
    if (what == 'F') rv = p11->C_FindObjectsInit(session, (CK_ATTRIBUTE[]){ A_ULONG(CKA_CLASS, CKO_SECRET_KEY) }, 1);
    if (what == 'M' || what == 'm') rv = p32->C_MessageEncryptInit(session, &message, world.keys[CRYPT]);
    if (what == 'N' || what == 'n') rv = p32->C_MessageDecryptInit(session, &message, world.keys[CRYPT]);
    if (rv == CKR_FUNCTION_NOT_SUPPORTED || rv == CKR_MECHANISM_INVALID) return false;
    if (rv != CKR_OK && rv != CKR_OPERATION_ACTIVE) die_at(__FILE__, __LINE__, "no operation %c: %s", what, rv_name(rv));
    if (what == 'm' || what == 'n') {
        body_len = message_into(body, 0);
        rv = what == 'm' ? p32->C_EncryptMessageBegin(session, body, body_len, NULL, 0)
                         : p32->C_DecryptMessageBegin(session, body, body_len, NULL, 0);
        if (rv != CKR_OK && rv != CKR_OPERATION_ACTIVE) die_at(__FILE__, __LINE__, "no message: %s", rv_name(rv));
    }
    if (!in_parts || rv == CKR_OPERATION_ACTIVE) return true;
    if (what == 'E') rv = p11->C_EncryptUpdate(session, out, 5, out, &len);
    if (what == 'D') rv = p11->C_DecryptUpdate(session, out, 5, out, &len);
    if (what == 'G') rv = p11->C_DigestUpdate(session, out, 5);
    if (what == 'S') rv = p11->C_SignUpdate(session, out, 5);
    if (what == 'V') rv = p11->C_VerifyUpdate(session, out, 5);
    if (rv != CKR_OK) die_at(__FILE__, __LINE__, "no operation %c in parts: %s", what, rv_name(rv));
    return true;
}

/* ---- variants of one argument or pair ---- */

static const CK_ULONG lengths[] = {
    0, 1, 5, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x8000000000000000, CK_UNAVAILABLE_INFORMATION
};
static const struct {
    int there; /* -1: NULL */
    CK_ULONG told;
    bool length_missing;
} rooms[] = { { -1, 0, false },
              { -1, 5, false },
              { -1, CK_UNAVAILABLE_INFORMATION, false },
              { 0, 0, false },
              { 1, 1, false },
              { 5, 5, false },
              { 2048, 2048, false },
              { 2048, 0x8000000000000000, false },
              { 2048, CK_UNAVAILABLE_INFORMATION, false },
              { -1, 0, true },
              { 5, 0, true } };
static const CK_ULONG numbers[] = { 0, 1, 0x80000000, CK_UNAVAILABLE_INFORMATION };

struct group {
    size_t at;
    char kind;
    size_t variants;
};
struct call {
    const struct any_function *function;
    const struct row *row;
    enum state state;
    bool odd;
    struct group groups[10];
    size_t group_count;
    CK_ULONG args[10];
    bool is_bad;     /* cannot be CKR_OK */
    bool is_skipped; /* would lend memory that is not there to a function which may use it */
    bool asks;       /* for a length */
    bool has_room;
    CK_RV rv;
};

static size_t group_list(const struct any_function *function, const struct row *row, struct group *groups)
{
    size_t count = 0, pair = 0;

    for (size_t i = 0; function->args[i]; i++) {
        struct group group = { i, function->args[i], 1 };

        if (group.kind == 'p' || group.kind == 'o' || group.kind == 'm') group.variants = 2;
        if (group.kind == 'n') group.variants = COUNT(numbers);
        if (group.kind == 'q') group.variants = COUNT(rooms);
        if (group.kind == 'b') {
            group.kind = row->pairs && pair < strlen(row->pairs) ? row->pairs[pair] : 'd';
            group.variants = 2 * COUNT(lengths) + (group.kind == 'p');
            if (group.kind == 'p') group.kind = 'P';
            pair++;
        }
        groups[count++] = group;
        if (function->args[i] == 'b' || function->args[i] == 'q') i++;
    }
    return count;
}

static CK_ULONG address(void *pointer)
{
    return (CK_ULONG)(uintptr_t)pointer;
}

/* How much of a pair's memory really is there. */
static size_t lent(const struct call *call, char kind, CK_ULONG len)
{
    if (kind == 'w' && len > 5) return 8192;
    if (kind == 'f') return len > 5 ? 64 * sizeof(CK_OBJECT_HANDLE) : len * sizeof(CK_OBJECT_HANDLE);
    if (len > 5) return 0;
    if (kind == 't') return len * sizeof(CK_ATTRIBUTE);
    (void)call;
    return len;
}

static void set_pair(struct call *call, const struct group *group, size_t variant)
{
    bool is_there = variant >= COUNT(lengths);
    CK_ULONG len = lengths[variant % COUNT(lengths)];
    size_t size = lent(call, group->kind, len);
    CK_BYTE *memory = tail(group->at, size, call->odd);

    if (variant == 2 * COUNT(lengths)) {
        CK_BYTE body[64];

        len = message_into(body, 0);
        memory = tail(group->at, len, call->odd);
        memcpy(memory, body, len);
        is_there = true;
    } else if (is_there) {
        if (group->kind == 't')
            memcpy(memory, template_for(call->function->name), size);
        else
            memset(memory, 'x', size);
    }
    call->args[group->at] = is_there ? address(memory) : 0;
    call->args[group->at + 1] = len;
    if (!is_there && len) call->is_bad = true;
    if (is_there && len > 5 && variant < 2 * COUNT(lengths)) {
        call->is_bad = true;
        if (group->kind == 'r' || group->kind == 'y') call->is_skipped = true;
        /* Room for more handles than there are is no mistake. */
        if (group->kind == 'f') call->is_bad = false;
    }
    if (group->kind == 't' && len == 0 && strstr(call->function->name, "AttributeValue")) call->is_bad = true;
}

static void set_room(struct call *call, const struct group *group, size_t variant)
{
    int there = rooms[variant].there;
    size_t size = there < 0 ? 0 : (size_t)there * (call->row->size ? call->row->size : 1);
    CK_BYTE *len = tail(group->at + 1, sizeof(CK_ULONG), call->odd), *memory = tail(group->at, size, call->odd);

    memcpy(len, &rooms[variant].told, sizeof(CK_ULONG));
    memset(memory, 0xa5, size);
    call->args[group->at] = there < 0 ? 0 : address(memory);
    call->args[group->at + 1] = rooms[variant].length_missing ? 0 : address(len);
    if (rooms[variant].length_missing) call->is_bad = true;
    call->asks = there < 0 && !rooms[variant].length_missing;
    call->has_room = there > 5;
}

static void set_mechanism(struct call *call, const struct group *group, size_t variant)
{
    CK_MECHANISM mechanism = mechanism_for(call->row);
    CK_BYTE *memory = tail(group->at, sizeof mechanism, call->odd);

    memcpy(memory, &mechanism, sizeof mechanism);
    call->args[group->at] = variant ? address(memory) : 0;
    /* 3.0: NULL ends an operation of this kind. */
    if (!variant && (call->state < ACTIVE || !call->row->begins)) call->is_bad = true;
}

static CK_ULONG optional(const struct call *call, size_t at)
{
    CK_BYTE *memory = tail(at, 8, call->odd);

    memset(memory, 0, 8);
    if (strcmp(call->function->name, "C_GetInterface") == 0) memcpy(memory, at == 0 ? "PKCS 11" : "\3\2", at == 0 ? 8 : 2);
    return address(memory);
}

static void set_one(struct call *call, const struct group *group, size_t variant)
{
    const char *name = call->function->name;
    size_t size = call->row->size ? call->row->size : 8;
    CK_ULONG *arg = &call->args[group->at];

    switch (group->kind) {
    case 'S':
        *arg = call->state == NO_SESSION ? world.other_slot : world.slot;
        break;
    case 's':
        *arg = world.session;
        break;
    case 'h':
        /* The key to be wrapped stands after the one that wraps. */
        *arg = world.keys[group->at == 3 && strncmp(name, "C_Wrap", 6) == 0 ? PLAIN : call->row->key];
        break;
    case 'f':
        *arg = CKF_DONT_BLOCK;
        break;
    case 'u':
        *arg = CKU_USER;
        break;
    case 'n':
        *arg = strcmp(name, "C_OpenSession") == 0 ? CKF_SERIAL_SESSION : numbers[variant];
        break;
    case 'o':
        *arg = variant ? optional(call, group->at) : 0;
        break;
    case 'm':
        set_mechanism(call, group, variant);
        break;
    case 'p':
        *arg = variant ? address(memset(tail(group->at, size, call->odd), ' ', size)) : 0;
        if (!variant) call->is_bad = true;
        break;
    case 'q':
        set_room(call, group, variant);
        break;
    default:
        set_pair(call, group, variant);
        break;
    }
}

/* ---- one call ---- */

static bool is_expected(const struct call *call, bool handle_is_wrong)
{
    static const CK_RV handles[] = { CKR_SESSION_HANDLE_INVALID,
                                     CKR_SLOT_ID_INVALID,
                                     CKR_KEY_HANDLE_INVALID,
                                     CKR_OBJECT_HANDLE_INVALID,
                                     CKR_WRAPPING_KEY_HANDLE_INVALID,
                                     CKR_UNWRAPPING_KEY_HANDLE_INVALID,
                                     CKR_USER_TYPE_INVALID };
    enum reply reply = call->function->reply;
    CK_RV rv = call->rv;

    if (call->state == BEFORE && rv == CKR_CRYPTOKI_NOT_INITIALIZED) return true;
    if (reply == NEVER) return rv == CKR_FUNCTION_NOT_SUPPORTED;
    if (reply == PARALLEL) return rv == CKR_FUNCTION_NOT_PARALLEL;
    if (rv == CKR_OK) return !call->is_bad && !handle_is_wrong;
    if (rv == CKR_MECHANISM_INVALID && call->state != BEFORE && call->row->mechanism && !way_flags(world.slot, type_for(call->row)))
        return true;
    if (handle_is_wrong)
        for (size_t i = 0; i < COUNT(handles); i++)
            if (rv == handles[i]) return true;
    /* Before C_Initialize nothing but the arguments can be complained about. */
    if (call->state == BEFORE && strncmp(call->function->name, "C_GetInterface", 14) && strcmp(call->function->name, "C_GetFunctionList"))
        return rv == CKR_ARGUMENTS_BAD && call->is_bad;
    for (size_t i = 0; i < COUNT(call->row->codes); i++)
        if (call->row->codes[i] && rv == call->row->codes[i]) return true;
    return false;
}

static bool breaks_the_world(const char *name)
{
    return strncmp(name, "C_Close", 7) == 0 || strcmp(name, "C_Logout") == 0 || strncmp(name, "C_Login", 7) == 0 ||
           strcmp(name, "C_InitToken") == 0;
}

/* Puts away what a call made, so that the next finds the same world. */
static void tidy(const struct call *call)
{
    size_t last = strlen(call->function->args) - 1;
    CK_ULONG handle;

    if (call->rv != CKR_OK || call->state == BEFORE) return;
    if (call->row->makes) {
        memcpy(&handle, (void *)(uintptr_t)call->args[last], sizeof handle);
        if (call->row->makes == 'o') NEED(p11->C_DestroyObject(world.session, handle));
        if (call->row->makes == 's') NEED(p11->C_CloseSession(handle));
    }
    if (breaks_the_world(call->function->name)) world_open(call->state);
    if (strcmp(call->function->name, "C_DestroyObject") == 0) world_plain();
    if (strstr(call->function->name, "MessageBegin")) cancel_all(world.session);
    if (call->state != ACTIVE && call->state != PARTS && world.session) cancel_all(world.session);
}

static void make(struct call *call, bool handle_is_wrong)
{
    const CK_ULONG *a = call->args;

    if (call->is_skipped) return;
    if ((call->state == ACTIVE || call->state == PARTS) && call->row->begins && !begin(call->row->begins, call->state == PARTS)) return;
    doing_is(call->function->name, state_names[call->state], a, strlen(call->function->args));
    call->rv = note(call->function->call(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9]));
    if (!is_expected(call, handle_is_wrong)) complain(call->rv);
    tidy(call);
}

static void prepare(struct call *call, const size_t *variants)
{
    call->is_bad = call->is_skipped = call->asks = call->has_room = false;
    memset(call->args, 0, sizeof call->args);
    for (size_t g = 0; g < call->group_count; g++) set_one(call, &call->groups[g], variants[g]);
    /* A question for a length needs no data, and may be asked of any. */
    if (call->asks && call->row->begins && strchr(call->function->args, 'L')) call->is_bad = false;
    /* Data that would be read only if there were room for the answer. */
    if (call->is_skipped && strchr(call->function->args, 'q') && !call->has_room && call->function->name[2] != 'D')
        call->is_skipped = false;
}

static bool advance(const struct call *call, size_t *variants)
{
    for (size_t g = 0; g < call->group_count; g++) {
        if (++variants[g] < call->groups[g].variants) return true;
        variants[g] = 0;
    }
    return false;
}

static void every_combination(struct call *call)
{
    size_t variants[10] = { 0 };

    do {
        CK_RV even;

        call->odd = false;
        prepare(call, variants);
        make(call, false);
        even = call->rv;
        call->odd = true;
        prepare(call, variants);
        make(call, false);
        /* A PIN may have been locked by the first of the two. */
        if (!call->is_skipped && call->rv != even && !strchr(call->row->pairs ? call->row->pairs : "", 'i')) {
            doing_is(call->function->name, "an odd address changes the answer", call->args, strlen(call->function->args));
            complain(call->rv);
        }
    } while (advance(call, variants));
}

/* One handle or number that never was, with everything else right. */
static void every_wrong_handle(struct call *call)
{
    static const CK_ULONG wrong[] = { 0, 0x7ffffffe, CK_UNAVAILABLE_INFORMATION };
    size_t good[10];

    for (size_t g = 0; g < call->group_count; g++) good[g] = call->groups[g].variants - 1;
    for (size_t g = 0; g < call->group_count; g++) {
        char kind = call->groups[g].kind;

        if (kind == 'P' || !strchr("dywatisrf", kind)) continue;
        if (strchr(call->function->args, 'b')) good[g] = COUNT(lengths) + 2;
    }
    for (size_t g = 0; g < call->group_count; g++) {
        for (size_t i = 0; i < COUNT(wrong) && strchr("Sshu", call->groups[g].kind); i++) {
            /* Slot 0 and CKU_SO are right ones. */
            if (wrong[i] == 0 && strchr("Su", call->groups[g].kind)) continue;
            call->odd = i % 2;
            prepare(call, good);
            call->args[call->groups[g].at] = wrong[i];
            make(call, true);
        }
    }
}

static CK_MECHANISM_TYPE begun_by(char what)
{
    return what == 'G' ? CKM_SHA256 : what == 'S' || what == 'V' ? CKM_SHA256_HMAC : CKM_AES_GCM;
}

static void function_in_state(const struct any_function *function, enum state state)
{
    struct call call = { .function = function, .row = row_of(function->name), .state = state };

    if (!call.row->name && function->reply != NEVER && function->reply != PARALLEL)
        die_at(__FILE__, __LINE__, "nothing is known of %s", function->name);
    if ((state == ACTIVE || state == PARTS) && (!call.row->begins || (state == PARTS && !strchr("EDGSV", call.row->begins)))) return;
    if (state == ACTIVE || state == PARTS) {
        if (!begin(call.row->begins, false)) {
            if (way_flags(world.slot, begun_by(call.row->begins)))
                fail_at(__FILE__, __LINE__, "%s has nothing to go on with", function->name);
            return;
        }
        cancel_all(world.session);
    }
    call.group_count = group_list(function, call.row, call.groups);
    alarm(600);
    every_combination(&call);
    if (state != BEFORE) every_wrong_handle(&call);
    alarm(0);
    if (world.session) cancel_all(world.session);
}

static bool is_of_pins(const char *name)
{
    return strcmp(name, "C_InitToken") == 0 || strcmp(name, "C_InitPIN") == 0 || strcmp(name, "C_SetPIN") == 0 ||
           strcmp(name, "C_Login") == 0 || strcmp(name, "C_LoginUser") == 0;
}

/* PINs come last, and in an order of their own: at the end every role is locked. */
void combinations(bool of_pins)
{
    static const enum state all[] = { BEFORE, OPEN, USER, ACTIVE, PARTS, OFFICER, NO_SESSION },
                            pins[] = { BEFORE, OPEN, OFFICER, NO_SESSION, USER };
    const enum state *states = of_pins ? pins : all;
    size_t count = of_pins ? COUNT(pins) : COUNT(all);

    for (size_t i = 0; i < count; i++) {
        if (i == 1) start();
        world_open(states[i]);
        if (of_pins && states[i] == OPEN) world.session = world.other;
        for (size_t f = 0; f < any_function_count; f++) {
            const char *name = any_functions[f].name;

            if (strcmp(name, "C_Initialize") == 0 || strcmp(name, "C_Finalize") == 0 || is_of_pins(name) != of_pins) continue;
            if (states[i] == NO_SESSION && any_functions[f].args[0] != 'S') continue;
            function_in_state(&any_functions[f], states[i]);
        }
    }
    world_open(NO_SESSION);
    stop();
}
