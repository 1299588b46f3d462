/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "make.h"

enum { DEPTH_MAX = 3 };

static const CK_ATTRIBUTE_TYPE types[] = {
    CKA_CLASS,
    CKA_TOKEN,
    CKA_PRIVATE,
    CKA_LABEL,
    CKA_UNIQUE_ID,
    CKA_APPLICATION,
    CKA_VALUE,
    CKA_OBJECT_ID,
    CKA_TRUSTED,
    CKA_KEY_TYPE,
    CKA_ID,
    CKA_SENSITIVE,
    CKA_ENCRYPT,
    CKA_DECRYPT,
    CKA_WRAP,
    CKA_UNWRAP,
    CKA_SIGN,
    CKA_VERIFY,
    CKA_DERIVE,
    CKA_START_DATE,
    CKA_END_DATE,
    CKA_VALUE_LEN,
    CKA_EXTRACTABLE,
    CKA_LOCAL,
    CKA_NEVER_EXTRACTABLE,
    CKA_ALWAYS_SENSITIVE,
    CKA_KEY_GEN_MECHANISM,
    CKA_MODIFIABLE,
    CKA_COPYABLE,
    CKA_DESTROYABLE,
    CKA_WRAP_WITH_TRUSTED,
    CKA_WRAP_TEMPLATE,
    CKA_UNWRAP_TEMPLATE,
    CKA_DERIVE_TEMPLATE,
    CKA_ALLOWED_MECHANISMS,
    CKA_KL_LEVEL,
    CKA_KL_VERSION,
    CKA_KL_STATE,
    CKA_KL_PARENT,
    CKA_KL_ROOT,
    CKA_KL_NEXT_ROTATION,
    CKA_PROFILE_ID,
    CKA_MODULUS,
    CKA_EC_PARAMS,
    CKA_CHECK_VALUE,
};

static const CK_ULONG values[] = {
    CKO_SECRET_KEY,
    CKO_DATA,
    CKO_PROFILE,
    CKO_PUBLIC_KEY,
    CKK_AES,
    CKK_GENERIC_SECRET,
    CKK_CHACHA20,
    CKK_HKDF,
    CKK_SHA256_HMAC,
    CKK_SHA512_HMAC,
    CKK_RSA,
    16,
    24,
    32,
    33,
    64,
    4096,
    16320,
    0,
    ~0UL,
    CKM_AES_GCM,
    CKM_KL_ENVELOPE,
    CKM_AES_CBC,
    CKM_HKDF_DERIVE,
};

static bool is_array(CK_ATTRIBUTE_TYPE type)
{
    return (type & CKF_ARRAY_ATTRIBUTE) != 0 && type != CKA_ALLOWED_MECHANISMS;
}

/* At an odd address. */
static void *misaligned(const void *value, size_t len)
{
    uint8_t *memory = lend(len + 1);

    memcpy(memory + 1, value, len);
    return memory + 1;
}

static void set(CK_ATTRIBUTE *attribute, const void *value, size_t len)
{
    attribute->pValue = (void *)(uintptr_t)value;
    attribute->ulValueLen = len;
}

static CK_ATTRIBUTE *array(size_t count, unsigned depth);

/* The element count of a nested one is in its length, so that it must be true. */
static void nest(CK_ATTRIBUTE *attribute, unsigned depth)
{
    size_t count = choice(7);
    CK_ATTRIBUTE *inner = array(count, depth + 1);
    size_t len = count * sizeof *inner;

    if (choice(8) == 1) len -= len > 0 ? 1 + choice(sizeof *inner - 1) : 0;
    set(attribute, choice(4) == 1 ? misaligned(inner, len) : lend_copy(inner, len), len);
}

/* Elements of an array are pointers: bytes of the input are none. */
static void set_bytes(CK_ATTRIBUTE *attribute, size_t most)
{
    struct kl_view text = bytes(most);

    if (is_array(attribute->type) && text.len >= sizeof(CK_ATTRIBUTE)) text = kl_view_of(lend(5), 5);
    set(attribute, text.data, text.len);
}

static void set_value(CK_ATTRIBUTE *attribute, uint8_t how, unsigned depth)
{
    CK_ULONG value;
    CK_BBOOL flag;

    switch (how % 10) {
    case 0:
    case 1:
        flag = how % 10 == 1;
        set(attribute, lend_copy(&flag, 1), 1);
        return;
    case 2:
    case 3:
        value = how < 250 ? values[byte() % COUNT(values)] : number();
        set(attribute, how % 10 == 3 ? misaligned(&value, sizeof value) : lend_copy(&value, sizeof value), sizeof value);
        return;
    case 4:
    case 5:
        set_bytes(attribute, how < 250 ? 300 : 5000);
        return;
    case 6:
        set(attribute, NULL, number());
        return;
    case 7:
        set(attribute, lend_copy("20260131", 8), 8);
        if (how > 100) ((char *)attribute->pValue)[choice(8)] = (char)byte();
        return;
    case 8:
        set(attribute, lend(0), 0);
        return;
    default:
        if (depth < DEPTH_MAX) nest(attribute, depth);
        return;
    }
}

static void fill(CK_ATTRIBUTE *attribute, unsigned depth)
{
    size_t which = byte();
    uint8_t how = byte();

    attribute->type = which < 250 ? types[which % COUNT(types)] : number();
    set_value(attribute, how, depth);
}

static CK_ATTRIBUTE *array(size_t count, unsigned depth)
{
    CK_ATTRIBUTE *attributes = lend(count * sizeof *attributes);

    for (size_t i = 0; i < count; i++) fill(&attributes[i], depth);
    return attributes;
}

/* The count's byte: up to 239 attributes modulo TEMPLATE_MAX; above it, no array at all. */
struct asked any_template(void)
{
    uint8_t first = byte();
    struct asked asked = { NULL, 0, 0 };

    if (first >= 240) {
        asked.count = first < 250 ? 0 : number();
        return asked;
    }
    asked.readable = asked.count = first % TEMPLATE_MAX;
    asked.attributes = array(asked.count, 0);
    return asked;
}

static void make_room(CK_ATTRIBUTE *attribute)
{
    size_t which = byte(), cap = number();

    attribute->type = which < 250 ? types[which % COUNT(types)] : number();
    if (cap > 2000) {
        *attribute = (CK_ATTRIBUTE){ attribute->type, NULL, cap };
        return;
    }
    if (!is_array(attribute->type)) {
        set(attribute, room(cap), cap);
        return;
    }
    /* Whose elements say how much room there is for each. */
    cap %= 8;
    attribute->pValue = lend(cap * sizeof(CK_ATTRIBUTE));
    attribute->ulValueLen = cap * sizeof(CK_ATTRIBUTE);
    for (size_t i = 0; i < cap; i++) {
        CK_ATTRIBUTE *element = (CK_ATTRIBUTE *)attribute->pValue + i;
        size_t len = choice(40);

        if (len > 0) set(element, room(len), len);
    }
}

struct asked any_question(void)
{
    struct asked asked = { NULL, 0, 0 };
    CK_ATTRIBUTE *attributes;

    asked.readable = asked.count = choice(TEMPLATE_MAX);
    attributes = lend(asked.count * sizeof *attributes);
    for (size_t i = 0; i < asked.count; i++) make_room(&attributes[i]);
    asked.attributes = attributes;
    return asked;
}

const CK_ATTRIBUTE *asked_for(const struct asked *asked, CK_ATTRIBUTE_TYPE type)
{
    for (size_t i = 0; i < asked->readable; i++)
        if (asked->attributes[i].type == type) return &asked->attributes[i];
    return NULL;
}
