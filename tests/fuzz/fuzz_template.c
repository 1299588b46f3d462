/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Templates: objects made, found, read and changed by any of them. */
#include "make.h"

enum { OBJECTS = 8, STEPS_MAX = 12 };

static size_t token;
static CK_SESSION_HANDLE session;
static CK_OBJECT_HANDLE objects[OBJECTS];
static size_t object_count;

void fuzz_begin(void)
{
    world_begin();
}

static CK_OBJECT_HANDLE any_object(void)
{
    const CK_OBJECT_HANDLE stored[] = { world.masters[token], world.deks[token], world.feks[token], world.frees[token] };
    uint8_t how = byte();

    if (how >= 250) return number();
    if (how >= 160 || object_count == 0) return stored[how % COUNT(stored)];
    return objects[how % object_count];
}

/* Only where it can be one value: those of a template, and what an object says of itself, are compared byte by byte. */
static bool has(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, struct kl_view value)
{
    CK_ATTRIBUTE attribute = { type, NULL, 0 };

    if (C_GetAttributeValue(session, object, &attribute, 1) != CKR_OK || attribute.ulValueLen != value.len) return false;
    attribute.pValue = room(value.len);
    NEED(C_GetAttributeValue(session, object, &attribute, 1));
    return kl_view_is(kl_view_of(attribute.pValue, attribute.ulValueLen), value);
}

static bool is_plain(CK_ATTRIBUTE_TYPE type)
{
    return (type & CKF_ARRAY_ATTRIBUTE) == 0 || type == CKA_ALLOWED_MECHANISMS;
}

/* It is what it was asked to be. */
static void check_made(CK_OBJECT_HANDLE object, const struct asked *asked)
{
    for (size_t i = 0; i < asked->readable; i++) {
        const CK_ATTRIBUTE *attribute = &asked->attributes[i];
        struct kl_view value = kl_view_of(attribute->pValue, attribute->ulValueLen);

        if (attribute->type == CKA_VALUE && bool_of(session, object, CKA_SENSITIVE) == 1) continue;
        if (attribute->type == CKA_VALUE && bool_of(session, object, CKA_EXTRACTABLE) == 0) continue;
        if (is_plain(attribute->type) && !has(object, attribute->type, value))
            BROKEN("attribute 0x%lx is not what the template said", attribute->type);
    }
}

/* What may not be read is not: a sensitive key's value, or one that may not leave. */
static void check_secret(CK_OBJECT_HANDLE object)
{
    CK_BYTE *value = room(64);
    CK_ATTRIBUTE attribute = { CKA_VALUE, value, 64 };
    bool hidden = bool_of(session, object, CKA_SENSITIVE) == 1 || bool_of(session, object, CKA_EXTRACTABLE) == 0;
    CK_RV rv = C_GetAttributeValue(session, object, &attribute, 1);

    if (hidden) MUST(rv == CKR_ATTRIBUTE_SENSITIVE && attribute.ulValueLen == CK_UNAVAILABLE_INFORMATION);
    if (bool_of(session, object, CKA_ALWAYS_SENSITIVE) == 1) MUST(bool_of(session, object, CKA_SENSITIVE) == 1);
    if (bool_of(session, object, CKA_NEVER_EXTRACTABLE) == 1) MUST(bool_of(session, object, CKA_EXTRACTABLE) == 0);
}

static void keep(CK_RV rv, CK_OBJECT_HANDLE object)
{
    if (rv != CKR_OK) {
        MUST(!is_there(session, object));
        return;
    }
    MUST(is_there(session, object));
    check_secret(object);
    if (object_count < OBJECTS)
        objects[object_count++] = object;
    else
        world_spoil();
}

/* Destroying what was made is quicker than to make the world anew; not everything can be. */
static void undo(void)
{
    for (size_t i = 0; i < object_count; i++) {
        if (bool_of(session, objects[i], CKA_TOKEN) != 1) continue;
        if (C_DestroyObject(session, objects[i]) != CKR_OK) world_spoil();
    }
    world_accept();
}

/* --- the steps --- */

static void create(void)
{
    struct asked asked = any_template();
    CK_OBJECT_HANDLE object = 0;
    CK_RV rv = C_CreateObject(session, asked.attributes, asked.count, &object);

    keep(rv, object);
    if (rv == CKR_OK) check_made(object, &asked);
}

static void generate(void)
{
    static const CK_MECHANISM_TYPE types[] = { CKM_AES_KEY_GEN, CKM_GENERIC_SECRET_KEY_GEN, CKM_CHACHA20_KEY_GEN, CKM_HKDF_KEY_GEN };
    CK_MECHANISM mechanism = { types[choice(COUNT(types))], NULL, 0 };
    struct asked asked = any_template();
    CK_OBJECT_HANDLE object = 0;
    CK_RV rv = C_GenerateKey(session, &mechanism, asked.attributes, asked.count, &object);

    keep(rv, object);
    if (rv == CKR_OK) check_made(object, &asked);
}

static void derive(void)
{
    CK_HKDF_PARAMS hkdf = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, (CK_BYTE *)(uintptr_t) "4711", 4 };
    CK_MECHANISM mechanism = { choice(8) == 1 ? CKM_HKDF_DATA : CKM_HKDF_DERIVE, &hkdf, sizeof hkdf };
    CK_OBJECT_HANDLE base = any_object(), object = 0;
    struct asked asked = any_template();
    CK_RV rv = C_DeriveKey(session, &mechanism, base, asked.attributes, asked.count, &object);

    keep(rv, object);
    if (rv == CKR_OK) check_made(object, &asked);
    if (rv == CKR_OK && bool_of(session, base, CKA_SENSITIVE) == 1 && mechanism.mechanism == CKM_HKDF_DERIVE)
        MUST(bool_of(session, object, CKA_SENSITIVE) == 1);
}

static void copy(void)
{
    CK_OBJECT_HANDLE from = any_object(), object = 0;
    struct asked asked = any_template();
    CK_RV rv = C_CopyObject(session, from, asked.attributes, asked.count, &object);

    keep(rv, object);
    if (rv != CKR_OK) return;
    check_made(object, &asked);
    if (bool_of(session, from, CKA_SENSITIVE) == 1) MUST(bool_of(session, object, CKA_SENSITIVE) == 1);
    if (bool_of(session, from, CKA_EXTRACTABLE) == 0) MUST(bool_of(session, object, CKA_EXTRACTABLE) == 0);
}

static void set(void)
{
    CK_OBJECT_HANDLE object = any_object();
    int sensitive = bool_of(session, object, CKA_SENSITIVE), extractable = bool_of(session, object, CKA_EXTRACTABLE);
    struct asked asked = any_template();
    CK_RV rv = C_SetAttributeValue(session, object, asked.attributes, asked.count);

    if (rv == CKR_OK) check_made(object, &asked);
    if (rv == CKR_OK && bool_of(session, object, CKA_TOKEN) == 1) world_spoil();
    if (sensitive == 1) MUST(bool_of(session, object, CKA_SENSITIVE) == 1);
    if (extractable == 0) MUST(bool_of(session, object, CKA_EXTRACTABLE) == 0);
    if (rv != CKR_OK)
        MUST(bool_of(session, object, CKA_SENSITIVE) == sensitive && bool_of(session, object, CKA_EXTRACTABLE) == extractable);
}

static void get(void)
{
    CK_OBJECT_HANDLE object = any_object();
    struct asked asked = any_question();
    CK_ULONG caps[TEMPLATE_MAX];
    CK_RV rv;

    for (size_t i = 0; i < asked.readable; i++) caps[i] = asked.attributes[i].ulValueLen;
    rv = C_GetAttributeValue(session, object, asked.attributes, asked.count);
    if (rv != CKR_OK && rv != CKR_ATTRIBUTE_SENSITIVE && rv != CKR_ATTRIBUTE_TYPE_INVALID && rv != CKR_BUFFER_TOO_SMALL) return;
    for (size_t i = 0; i < asked.readable; i++) {
        const CK_ATTRIBUTE *attribute = &asked.attributes[i];

        if (attribute->ulValueLen == CK_UNAVAILABLE_INFORMATION) {
            MUST(rv != CKR_OK);
            continue;
        }
        MUST(attribute->pValue == NULL || attribute->ulValueLen <= caps[i]);
        MUST(attribute->ulValueLen <= 128 * 1024);
    }
}

/* Whatever is found fits, and nothing that was made here and fits is left out. */
static void find(void)
{
    struct asked asked = any_template();
    CK_OBJECT_HANDLE found[64];
    CK_ULONG count = 0, more = 0;

    if (C_FindObjectsInit(session, asked.attributes, asked.count) != CKR_OK) {
        MUST(C_FindObjects(session, found, COUNT(found), &count) == CKR_OPERATION_NOT_INITIALIZED);
        return;
    }
    NEED(C_FindObjects(session, found, 1 + choice(COUNT(found) - 1), &count));
    NEED(C_FindObjects(session, found + count, COUNT(found) - count, &more));
    NEED(C_FindObjectsFinal(session));
    count += more;
    for (CK_ULONG i = 0; i < count; i++) {
        MUST(is_there(session, found[i]));
        for (CK_ULONG j = 0; j < i; j++) MUST(found[i] != found[j]);
        check_made(found[i], &asked);
    }
    if (asked.count > 0) return;
    for (size_t i = 0; i < object_count; i++) {
        bool is_found = false;

        for (CK_ULONG j = 0; j < count; j++) is_found = is_found || found[j] == objects[i];
        MUST(is_found || !is_there(session, objects[i]));
    }
}

static void destroy(void)
{
    CK_OBJECT_HANDLE object = any_object();
    bool may = bool_of(session, object, CKA_DESTROYABLE) == 1;
    CK_RV rv = C_DestroyObject(session, object);

    if (rv == CKR_OK) MUST(may && !is_there(session, object));
    if (rv == CKR_OK && object == world.frees[token]) world_spoil();
}

void fuzz_one(void)
{
    static void (*const steps[])(void) = { create, create, generate, derive, copy, set, get, find, destroy };

    token = choice(TOKENS);
    session = session_on(token);
    object_count = 0;
    for (size_t i = 0; left() > 0 && i < STEPS_MAX; i++) steps[choice(COUNT(steps))]();
    undo();
    world_reset();
}
