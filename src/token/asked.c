/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/asked.h"

#include <string.h>

static enum kl_rc add(struct kl_asked *asked, const CK_ATTRIBUTE *attribute)
{
    const struct kl_attr *known = kl_asked_find(asked, attribute->type);
    struct kl_view value = kl_view_of(attribute->pValue, attribute->ulValueLen);

    KL_CHECK(attribute->ulValueLen != CK_UNAVAILABLE_INFORMATION, KL_ATTR_VALUE);
    KL_CHECK(value.data || value.len == 0, KL_ATTR_VALUE);
    KL_CHECK(!known || kl_view_is(known->value, value), KL_TEMPLATE);
    if (!known) asked->items[asked->count++] = (struct kl_attr){ attribute->type, value };
    return KL_OK;
}

enum kl_rc kl_asked_read(const CK_ATTRIBUTE *attributes, CK_ULONG count, struct kl_asked *out)
{
    out->count = 0;
    KL_CHECK(attributes || count == 0, KL_ARG);
    KL_CHECK(count <= KL_ASKED_MAX, KL_ARG);
    for (CK_ULONG i = 0; i < count; i++) {
        CK_ATTRIBUTE attribute;

        memcpy(&attribute, (const uint8_t *)attributes + i * sizeof attribute, sizeof attribute);
        KL_TRY(add(out, &attribute));
    }
    return KL_OK;
}

const struct kl_attr *kl_asked_find(const struct kl_asked *asked, CK_ATTRIBUTE_TYPE type)
{
    for (size_t i = 0; i < asked->count; i++) {
        if (asked->items[i].type == type) return &asked->items[i];
    }
    return NULL;
}

enum kl_rc kl_asked_number(const struct kl_asked *asked, CK_ATTRIBUTE_TYPE type, CK_ULONG fallback, CK_ULONG *out)
{
    const struct kl_attr *attr = kl_asked_find(asked, type);

    *out = fallback;
    if (!attr) return KL_OK;
    KL_CHECK(attr->value.len == sizeof(CK_ULONG), KL_ATTR_VALUE);
    *out = kl_attr_number(attr->value);
    return KL_OK;
}

enum kl_rc kl_asked_bool(const struct kl_asked *asked, CK_ATTRIBUTE_TYPE type, bool fallback, bool *out)
{
    static const struct kl_attr_spec spec = { .form = KL_BOOL };
    const struct kl_attr *attr = kl_asked_find(asked, type);

    *out = fallback;
    if (!attr) return KL_OK;
    KL_TRY(kl_attr_check(&spec, attr->value));
    *out = kl_attr_bool(attr->value);
    return KL_OK;
}
