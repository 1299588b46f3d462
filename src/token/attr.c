/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/attr.h"

#include <string.h>

const struct kl_attr_table *kl_attr_table_of(CK_OBJECT_CLASS class)
{
    for (size_t i = 0; i < kl_attr_table_count; i++) {
        if (kl_attr_tables[i].class == class) return &kl_attr_tables[i];
    }
    return NULL;
}

const struct kl_attr_spec *kl_attr_find(const struct kl_attr_table *table, CK_ATTRIBUTE_TYPE type)
{
    size_t low = 0;
    size_t high = table->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (table->rows[middle].type == type) return &table->rows[middle];
        if (table->rows[middle].type < type) low = middle + 1;
        if (table->rows[middle].type > type) high = middle;
    }
    return NULL;
}

CK_ULONG kl_attr_number(struct kl_view value)
{
    CK_ULONG number = 0;

    if (value.len == sizeof number) memcpy(&number, value.data, sizeof number);
    return number;
}

bool kl_attr_bool(struct kl_view value)
{
    return value.len == 1 && value.data[0] == CK_TRUE;
}

enum kl_rc kl_attr_give(CK_ATTRIBUTE *attribute, struct kl_view value)
{
    CK_ULONG room = attribute->ulValueLen;

    attribute->ulValueLen = value.len;
    if (!attribute->pValue) return KL_OK;
    /* A caller that asks again with what an earlier answer left there has no such room. */
    if (room == CK_UNAVAILABLE_INFORMATION || room < value.len) {
        attribute->ulValueLen = CK_UNAVAILABLE_INFORMATION;
        return KL_BUFFER;
    }
    if (value.len) memcpy(attribute->pValue, value.data, value.len);
    return KL_OK;
}

struct kl_view kl_attr_empty(void)
{
    static const uint8_t nothing;

    return kl_view_of(&nothing, 0);
}

static bool is_digits(struct kl_view value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') return false;
    }
    return true;
}

static unsigned two_digits(const uint8_t *text)
{
    return (unsigned)(text[0] - '0') * 10 + (unsigned)(text[1] - '0');
}

static unsigned days_in(unsigned year, unsigned month)
{
    static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && is_leap ? 29 : days[month - 1];
}

static bool is_date(struct kl_view value)
{
    unsigned year, month, day;

    if (value.len == 0) return true;
    if (value.len != sizeof(CK_DATE) || !is_digits(value)) return false;
    year = two_digits(value.data) * 100 + two_digits(value.data + 2);
    month = two_digits(value.data + 4);
    day = two_digits(value.data + 6);
    return year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= days_in(year, month);
}

static bool has_form(enum kl_form form, struct kl_view value)
{
    size_t each = sizeof(CK_MECHANISM_TYPE);

    switch (form) {
    case KL_BOOL:
        return value.len == 1 && (value.data[0] == CK_TRUE || value.data[0] == CK_FALSE);
    case KL_NUMBER:
        return value.len == sizeof(CK_ULONG);
    case KL_DATE:
        return is_date(value);
    case KL_LIST:
        return value.len > 0 && value.len % each == 0 && value.len / each <= KL_MECHANISMS_MAX;
    case KL_PATTERN:
        return value.len % sizeof(CK_ATTRIBUTE) == 0;
    case KL_TEXT:
    case KL_BYTES:
        return true;
    default: /* not reached: every form stands above */
        return false;
    }
}

enum kl_rc kl_attr_check(const struct kl_attr_spec *spec, struct kl_view value)
{
    KL_CHECK(value.data || value.len == 0, KL_ATTR_VALUE);
    KL_CHECK(has_form(spec->form, value), KL_ATTR_VALUE);
    KL_CHECK(spec->max == 0 || value.len <= spec->max, KL_ATTR_VALUE);
    return KL_OK;
}

static struct kl_view flag_value(bool is_set)
{
    static const CK_BBOOL values[2] = { CK_FALSE, CK_TRUE };

    return kl_view_of(&values[is_set ? 1 : 0], 1);
}

struct kl_view kl_attr_get(const struct kl_attr_spec *spec, const struct kl_subject *subject, struct kl_scratch *scratch)
{
    struct kl_view value;

    if (spec->get) return spec->get(subject, scratch);
    if (spec->form == KL_BOOL) return flag_value(kl_record_has(subject->record, spec->flag));
    value = kl_record_extra(subject->record, spec->type);
    return value.data ? value : kl_attr_empty();
}

static bool is_dash(size_t at)
{
    return at == 8 || at == 13 || at == 18 || at == 23;
}

void kl_uuid_text(const uint8_t id[KL_ROW_ID_LEN], char out[KL_UUID_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    size_t half = 0;

    for (size_t at = 0; at < KL_UUID_TEXT; at++) {
        if (is_dash(at)) {
            out[at] = '-';
        } else {
            unsigned byte = id[half / 2];

            out[at] = digits[half % 2 == 0 ? byte >> 4 : byte & 15];
            half++;
        }
    }
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

bool kl_uuid_from(struct kl_view text, uint8_t id[KL_ROW_ID_LEN])
{
    size_t half = 0;

    if (text.len != KL_UUID_TEXT) return false;
    memset(id, 0, KL_ROW_ID_LEN);
    for (size_t at = 0; at < KL_UUID_TEXT; at++) {
        int digit = hex_digit(text.data[at]);

        if (is_dash(at) ? text.data[at] != '-' : digit < 0) return false;
        if (is_dash(at)) continue;
        id[half / 2] = (uint8_t)(id[half / 2] << 4 | digit);
        half++;
    }
    return true;
}
