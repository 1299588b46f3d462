/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/pattern.h"

#include <string.h>

#include "token/attr.h"

/* --- to the stored form: numbers in 8 bytes, big-endian, whatever CK_ULONG is here --- */

static void write_numbers(struct kl_writer *writer, struct kl_view value)
{
    kl_write_u32(writer, (uint32_t)(value.len / sizeof(CK_ULONG) * 8));
    for (size_t at = 0; at < value.len; at += sizeof(CK_ULONG))
        kl_write_u64(writer, kl_attr_number(kl_view_of(value.data + at, sizeof(CK_ULONG))));
}

static enum kl_rc write_one(struct kl_writer *writer, const struct kl_attr *attr, unsigned how)
{
    const struct kl_attr_spec *spec = kl_attr_find(kl_attr_table_of(CKO_SECRET_KEY), attr->type);

    KL_CHECK(spec && spec->form != KL_PATTERN && !(spec->rules & KL_HIDDEN), KL_ATTR_VALUE);
    KL_CHECK(how == 0 || (spec->rules & how), KL_ATTR_VALUE);
    KL_TRY(kl_attr_check(spec, attr->value));
    kl_write_u64(writer, attr->type);
    if (spec->form == KL_NUMBER || spec->form == KL_LIST)
        write_numbers(writer, attr->value);
    else
        kl_write_bytes(writer, attr->value);
    return KL_OK;
}

enum kl_rc kl_pattern_write(struct kl_view array, unsigned how, struct kl_writer *writer)
{
    struct kl_asked asked;
    const void *attributes = array.data;
    enum kl_rc rc = kl_asked_read(attributes, array.len / sizeof(CK_ATTRIBUTE), &asked);

    /* What is wrong with the array is wrong with the value of the attribute that it is. */
    KL_CHECK(rc == KL_OK || rc == KL_TEMPLATE, KL_ATTR_VALUE);
    KL_TRY(rc);
    kl_write_u32(writer, (uint32_t)asked.count);
    for (size_t i = 0; i < asked.count; i++) KL_TRY(write_one(writer, &asked.items[i], how));
    KL_CHECK(kl_writer_is_whole(writer) && writer->len <= KL_PATTERN_MAX, KL_ATTR_VALUE);
    return KL_OK;
}

/* --- and back --- */

static struct kl_view read_numbers(struct kl_view stored, struct kl_writer *room)
{
    struct kl_reader reader = kl_reader_of(stored);
    const uint8_t *from = room->data + room->len;
    size_t len = 0;

    while (reader.len > 0 && !reader.bad) {
        CK_ULONG number = kl_read_u64(&reader);

        kl_write_raw(room, kl_view_of(&number, sizeof number));
        len += sizeof number;
    }
    return kl_view_of(from, len);
}

static enum kl_rc read_one(struct kl_reader *reader, struct kl_writer *room, struct kl_attr *out)
{
    const struct kl_attr_spec *spec;
    struct kl_view stored;

    out->type = kl_read_u64(reader);
    stored = kl_read_bytes(reader);
    spec = kl_attr_find(kl_attr_table_of(CKO_SECRET_KEY), out->type);
    KL_CHECK(!reader->bad && spec, KL_INTEGRITY);
    out->value = stored.len > 0 ? stored : kl_attr_empty();
    if (spec->form == KL_NUMBER || spec->form == KL_LIST) out->value = read_numbers(stored, room);
    return KL_OK;
}

enum kl_rc kl_pattern_read(struct kl_view stored, struct kl_pattern *out)
{
    struct kl_writer room = { out->bytes, sizeof out->bytes, 0 };
    struct kl_reader reader = kl_reader_of(stored);
    uint32_t count = stored.data ? kl_read_u32(&reader) : 0;

    out->asked.count = 0;
    KL_CHECK(count <= KL_ASKED_MAX, KL_INTEGRITY);
    for (uint32_t i = 0; i < count; i++) {
        KL_TRY(read_one(&reader, &room, &out->asked.items[i]));
        out->asked.count++;
    }
    KL_CHECK(kl_writer_is_whole(&room) && (!stored.data || kl_reader_is_done(&reader)), KL_INTEGRITY);
    return KL_OK;
}

/* --- for C_GetAttributeValue --- */

/* The elements lie in the caller's memory, misaligned perhaps. */
static enum kl_rc give_element(uint8_t *theirs, const struct kl_attr *attr)
{
    CK_ATTRIBUTE mine;
    enum kl_rc rc;

    memcpy(&mine, theirs, sizeof mine);
    mine.type = attr->type;
    rc = kl_attr_give(&mine, attr->value);
    memcpy(theirs, &mine, sizeof mine);
    return rc;
}

enum kl_rc kl_pattern_give(struct kl_view stored, CK_ATTRIBUTE *attribute)
{
    CK_ULONG room = attribute->ulValueLen;
    struct kl_pattern pattern;
    enum kl_rc worst = KL_OK;

    KL_TRY(kl_pattern_read(stored, &pattern));
    attribute->ulValueLen = pattern.asked.count * sizeof(CK_ATTRIBUTE);
    if (!attribute->pValue) return KL_OK;
    if (room == CK_UNAVAILABLE_INFORMATION || room < attribute->ulValueLen) {
        attribute->ulValueLen = CK_UNAVAILABLE_INFORMATION;
        return KL_BUFFER;
    }
    for (size_t i = 0; i < pattern.asked.count; i++) {
        enum kl_rc rc = give_element((uint8_t *)attribute->pValue + i * sizeof(CK_ATTRIBUTE), &pattern.asked.items[i]);

        if (rc != KL_OK) worst = rc;
    }
    return worst;
}
