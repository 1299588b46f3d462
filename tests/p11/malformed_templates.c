/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Templates in templates, templates in themselves, and far too many attributes. */
#include "malformed.h"

enum { DEEP = 64 };
static const CK_ATTRIBUTE_TYPE kinds[] = { CKA_WRAP_TEMPLATE, CKA_UNWRAP_TEMPLATE, CKA_DERIVE_TEMPLATE };

/* ---- the functions that take a template ---- */

static CK_RV by_generate(CK_ATTRIBUTE *template, CK_ULONG count)
{
    CK_MECHANISM mechanism = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_OBJECT_HANDLE key = 0;
    CK_RV rv = p11->C_GenerateKey(world.session, &mechanism, template, count, &key);

    if (rv == CKR_OK) NEED(p11->C_DestroyObject(world.session, key));
    return rv;
}

static CK_RV by_create(CK_ATTRIBUTE *template, CK_ULONG count)
{
    CK_OBJECT_HANDLE key = 0;
    CK_RV rv = p11->C_CreateObject(world.session, template, count, &key);

    if (rv == CKR_OK) NEED(p11->C_DestroyObject(world.session, key));
    return rv;
}

static CK_RV by_copy(CK_ATTRIBUTE *template, CK_ULONG count)
{
    CK_OBJECT_HANDLE copy = 0;
    CK_RV rv = p11->C_CopyObject(world.session, world.keys[PLAIN], template, count, &copy);

    if (rv == CKR_OK) NEED(p11->C_DestroyObject(world.session, copy));
    return rv;
}

static CK_RV by_set(CK_ATTRIBUTE *template, CK_ULONG count)
{
    return p11->C_SetAttributeValue(world.session, world.keys[PLAIN], template, count);
}

static CK_RV by_get(CK_ATTRIBUTE *template, CK_ULONG count)
{
    return p11->C_GetAttributeValue(world.session, world.keys[PLAIN], template, count);
}

static CK_RV by_find(CK_ATTRIBUTE *template, CK_ULONG count)
{
    CK_RV rv = p11->C_FindObjectsInit(world.session, template, count);

    if (rv == CKR_OK) NEED(p11->C_FindObjectsFinal(world.session));
    return rv;
}

static CK_RV by_derive(CK_ATTRIBUTE *template, CK_ULONG count)
{
    struct t_hkdf hkdf = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, (CK_BYTE *)(uintptr_t) "info", 4 };
    CK_MECHANISM mechanism = { CKM_HKDF_DERIVE, &hkdf, sizeof hkdf };
    CK_OBJECT_HANDLE key = 0;
    CK_RV rv = p11->C_DeriveKey(world.session, &mechanism, world.keys[DERIVE], template, count, &key);

    if (rv == CKR_OK) NEED(p11->C_DestroyObject(world.session, key));
    return rv;
}

static const struct taker {
    const char *name;
    CK_RV (*take)(CK_ATTRIBUTE *template, CK_ULONG count);
    bool makes;
} takers[] = { { "C_GenerateKey", by_generate, true }, { "C_CreateObject", by_create, true },    { "C_DeriveKey", by_derive, true },
               { "C_CopyObject", by_copy, false },     { "C_SetAttributeValue", by_set, false }, { "C_GetAttributeValue", by_get, false },
               { "C_FindObjectsInit", by_find, false } };

static CK_RV taken(const struct taker *taker, const char *what, CK_ATTRIBUTE *template, CK_ULONG count)
{
    CK_ULONG args[2] = { (CK_ULONG)(uintptr_t) template, count };

    doing_is(taker->name, what, args, 2);
    return note(taker->take(template, count));
}

static void expect(CK_RV rv, const CK_RV *want, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (rv == want[i]) return;
    complain(rv);
}
#define ONE_OF(rv, ...) expect((rv), (const CK_RV[]){ __VA_ARGS__ }, sizeof((const CK_RV[]){ __VA_ARGS__ }) / sizeof(CK_RV))

/* ---- templates in templates ---- */

/* What makes a key, with one attribute more. */
static CK_ULONG key_with(const struct taker *taker, CK_ATTRIBUTE *out, CK_ATTRIBUTE more)
{
    static CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    static CK_KEY_TYPE type = CKK_AES;
    static CK_ULONG len = 32;
    static CK_BBOOL yes = CK_TRUE;
    CK_ULONG count = 0;

    if (taker->makes) {
        out[count++] = (CK_ATTRIBUTE){ CKA_CLASS, &class, sizeof class };
        out[count++] = (CK_ATTRIBUTE){ CKA_KEY_TYPE, &type, sizeof type };
        if (taker->take == by_create)
            out[count++] = (CK_ATTRIBUTE)A_BYTES(CKA_VALUE, "0123456789abcdef0123456789abcdef", 32);
        else
            out[count++] = (CK_ATTRIBUTE){ CKA_VALUE_LEN, &len, sizeof len };
        out[count++] = (CK_ATTRIBUTE){ CKA_WRAP, &yes, sizeof yes };
        out[count++] = (CK_ATTRIBUTE){ CKA_UNWRAP, &yes, sizeof yes };
    }
    out[count++] = more;
    return count;
}

static void deep(const struct taker *taker, CK_ATTRIBUTE_TYPE kind)
{
    static CK_BBOOL yes = CK_TRUE;
    CK_ATTRIBUTE levels[DEEP], outer[8];

    /* Two levels are a template, and well. */
    for (size_t depth = 3; depth <= DEEP; depth++) {
        CK_ULONG count;

        for (size_t i = 0; i + 1 < depth; i++) levels[i] = (CK_ATTRIBUTE){ kind, &levels[i + 1], sizeof levels[0] };
        levels[depth - 1] = (CK_ATTRIBUTE){ CKA_SENSITIVE, &yes, sizeof yes };
        count = key_with(taker, outer, levels[0]);
        ONE_OF(taken(taker, "templates in templates", outer, count), CKR_ATTRIBUTE_VALUE_INVALID, CKR_ATTRIBUTE_TYPE_INVALID,
               taker->makes ? CKR_ATTRIBUTE_VALUE_INVALID : CKR_ATTRIBUTE_READ_ONLY);
    }
    /* In itself. */
    levels[0] = (CK_ATTRIBUTE){ kind, levels, sizeof levels[0] };
    ONE_OF(taken(taker, "a template in itself", outer, key_with(taker, outer, levels[0])), CKR_ATTRIBUTE_VALUE_INVALID,
           CKR_ATTRIBUTE_TYPE_INVALID, taker->makes ? CKR_ATTRIBUTE_VALUE_INVALID : CKR_ATTRIBUTE_READ_ONLY);
}

/* Lengths that are no number of attributes, more attributes than anybody has, and memory that is not there. */
static void inner_lengths(const struct taker *taker, CK_ATTRIBUTE_TYPE kind)
{
    static const CK_ULONG lengths[] = { 1,
                                        23,
                                        25,
                                        47,
                                        65 * sizeof(CK_ATTRIBUTE),
                                        257 * sizeof(CK_ATTRIBUTE),
                                        0x100000000 * sizeof(CK_ATTRIBUTE),
                                        0x8000000000000000,
                                        CK_UNAVAILABLE_INFORMATION };
    static CK_BBOOL yes = CK_TRUE;
    CK_ATTRIBUTE outer[8];

    for (size_t i = 0; i < COUNT(lengths); i++) {
        size_t there = lengths[i] < PLACE_LEAST ? lengths[i] : 0;
        CK_BYTE *memory = tail(0, there, false);

        for (size_t at = 0; at + sizeof(CK_ATTRIBUTE) <= there; at += sizeof(CK_ATTRIBUTE))
            memcpy(memory + at, &(CK_ATTRIBUTE){ CKA_SENSITIVE, &yes, sizeof yes }, sizeof(CK_ATTRIBUTE));
        for (int is_there = 0; is_there < 2; is_there++) {
            CK_ATTRIBUTE inner = { kind, is_there ? memory : NULL, lengths[i] };
            CK_RV rv = taken(taker, "a template of a strange length", outer, key_with(taker, outer, inner));

            ONE_OF(rv, CKR_ATTRIBUTE_VALUE_INVALID, CKR_ATTRIBUTE_TYPE_INVALID, CKR_TEMPLATE_INCONSISTENT,
                   taker->makes ? CKR_ATTRIBUTE_VALUE_INVALID : CKR_ATTRIBUTE_READ_ONLY);
        }
    }
}

/* Values of what is in the template: missing, endless. */
static void inner_values(const struct taker *taker, CK_ATTRIBUTE_TYPE kind)
{
    static const struct {
        CK_ATTRIBUTE_TYPE type;
        CK_ULONG len;
    } bad[] = { { CKA_SENSITIVE, 0 },
                { CKA_SENSITIVE, 2 },
                { CKA_KEY_TYPE, 4 },
                { CKA_LABEL, 0x7fffffff },
                { CKA_LABEL, 1 },
                { CKA_LABEL, 0x100000000 },
                { CKA_ID, 0x8000000000000000 },
                { CKA_ID, CK_UNAVAILABLE_INFORMATION },
                { 0xdeadbeef, 1 },
                { CKA_ALLOWED_MECHANISMS, 7 } };
    CK_ATTRIBUTE outer[8];

    for (size_t i = 0; i < COUNT(bad); i++) {
        CK_ATTRIBUTE inner = { bad[i].type, NULL, bad[i].len }, more = { kind, &inner, sizeof inner };
        CK_RV rv = taken(taker, "a bad value in a template", outer, key_with(taker, outer, more));

        ONE_OF(rv, CKR_ATTRIBUTE_VALUE_INVALID, CKR_ATTRIBUTE_TYPE_INVALID, CKR_TEMPLATE_INCONSISTENT,
               taker->makes ? CKR_ATTRIBUTE_VALUE_INVALID : CKR_ATTRIBUTE_READ_ONLY);
    }
}

static void too_many(const struct taker *taker)
{
    static const CK_ULONG counts[] = { 257, 0x10000, 0x80000000, 0x100000000, 0x0aaaaaaaaaaaaaab, CK_UNAVAILABLE_INFORMATION };
    CK_BYTE *memory = tail(0, 65 * sizeof(CK_ATTRIBUTE), false);

    for (size_t i = 0; i < 65; i++) memcpy(memory + i * sizeof(CK_ATTRIBUTE), &(CK_ATTRIBUTE){ CKA_LABEL, NULL, 0 }, sizeof(CK_ATTRIBUTE));
    ONE_OF(taken(taker, "65 attributes", (void *)memory, 65), CKR_OK, CKR_ARGUMENTS_BAD, CKR_TEMPLATE_INCOMPLETE);
    for (size_t i = 0; i < COUNT(counts); i++)
        ONE_OF(taken(taker, "too many attributes", (void *)tail(0, 0, false), counts[i]), CKR_ARGUMENTS_BAD);
}

/* ---- reading one that was set ---- */

static CK_RV read_into(CK_OBJECT_HANDLE key, CK_ATTRIBUTE *inner, CK_ULONG len, CK_ULONG *got)
{
    CK_ATTRIBUTE attribute = { CKA_UNWRAP_TEMPLATE, inner, len };
    CK_ULONG args[2] = { (CK_ULONG)(uintptr_t)inner, len };
    CK_RV rv;

    doing_is("C_GetAttributeValue", "reading a template", args, 2);
    rv = note(p11->C_GetAttributeValue(world.session, key, &attribute, 1));
    *got = attribute.ulValueLen;
    return rv;
}

static void reading(void)
{
    CK_ATTRIBUTE inner[] = { A_BOOL(CKA_SENSITIVE, CK_TRUE), A_BOOL(CKA_EXTRACTABLE, CK_FALSE) }, outer[8], room[3],
                 empty[3] = { { 0, NULL, 0 } };
    CK_MECHANISM mechanism = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_ULONG count = key_with(&takers[0], outer, (CK_ATTRIBUTE){ CKA_UNWRAP_TEMPLATE, inner, sizeof inner }), got;
    CK_BBOOL values[3] = { 0x55, 0x55, 0x55 };
    CK_OBJECT_HANDLE key = 0;
    CK_RV rv = p11->C_GenerateKey(world.session, &mechanism, outer, count, &key);

    if (rv == CKR_ATTRIBUTE_TYPE_INVALID) {
        printf("templates are not there yet\n");
        return;
    }
    NEED(rv);
    EXPECT(read_into(key, NULL, 0, &got), CKR_OK);
    CHECK(got == sizeof inner);
    /* The types and lengths first, then the values. */
    memset(room, 0, sizeof room);
    EXPECT(read_into(key, room, sizeof inner, &got), CKR_OK);
    CHECK(got == sizeof inner && room[0].ulValueLen == 1 && room[1].ulValueLen == 1 && room[0].type != room[1].type);
    for (size_t i = 0; i < 2; i++) room[i].pValue = &values[i];
    EXPECT(read_into(key, room, sizeof inner, &got), CKR_OK);
    for (size_t i = 0; i < 2; i++) CHECK(values[i] == (room[i].type == CKA_SENSITIVE) && room[i].ulValueLen == 1);
    /* Too few. */
    EXPECT(read_into(key, room, sizeof room[0], &got), CKR_BUFFER_TOO_SMALL);
    CHECK(got == CK_UNAVAILABLE_INFORMATION);
    EXPECT(read_into(key, room, sizeof inner - 1, &got), CKR_BUFFER_TOO_SMALL, CKR_TEMPLATE_INCONSISTENT);
    /* Too many. */
    memcpy(room, empty, sizeof room);
    EXPECT(read_into(key, room, sizeof room, &got), CKR_OK, CKR_TEMPLATE_INCONSISTENT);
    CHECK(got == sizeof inner && room[0].ulValueLen == 1 && room[1].ulValueLen == 1);
    /* Too small inside. */
    room[0].pValue = &values[0];
    room[0].ulValueLen = 0;
    room[1].pValue = &values[1];
    room[1].ulValueLen = 1;
    values[0] = values[1] = 0x55;
    EXPECT(read_into(key, room, sizeof inner, &got), CKR_BUFFER_TOO_SMALL, CKR_TEMPLATE_INCONSISTENT);
    CHECK(values[0] == 0x55);
    CHECK(room[0].ulValueLen == CK_UNAVAILABLE_INFORMATION || room[0].ulValueLen == 1);
    NEED(p11->C_DestroyObject(world.session, key));
}

void templates(void)
{
    start();
    world_open(USER);
    for (size_t t = 0; t < COUNT(takers); t++) {
        too_many(&takers[t]);
        if (takers[t].take == by_get || takers[t].take == by_find) continue;
        for (size_t k = 0; k < COUNT(kinds); k++) {
            deep(&takers[t], kinds[k]);
            inner_lengths(&takers[t], kinds[k]);
            inner_values(&takers[t], kinds[k]);
        }
    }
    reading();
    world_open(NO_SESSION);
    stop();
}
