/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "base/bytes.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define LINE ((size_t)64)

void *kl_lines_new(size_t size)
{
    size_t whole = (size + LINE - 1) / LINE * LINE;
    void *lines = aligned_alloc(LINE, whole);

    if (lines != NULL) memset(lines, 0, whole);
    return lines;
}

struct kl_view kl_view_text(const char *text)
{
    return kl_view_of(text, text == NULL ? 0 : strlen(text));
}

bool kl_view_is(struct kl_view a, struct kl_view b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool kl_bytes_equal(const void *a, const void *b, size_t len)
{
    const uint8_t *left = a;
    const uint8_t *right = b;
    uint8_t difference = 0;

    for (size_t i = 0; i < len; i++) {
        difference = (uint8_t)(difference | (left[i] ^ right[i]));
        /* Keeps the compiler from seeing that it could stop early. */
        __asm__ volatile("" : "+r"(difference));
    }
    return difference == 0;
}

/* RFC 3629: how long the character is, and what its second byte may be; that excludes overlong forms, surrogates and what lies beyond U+10FFFF. */
static const struct utf8_form {
    uint8_t first_from, first_to;
    uint8_t second_from, second_to;
    uint8_t len;
} utf8_forms[] = {
    { 0x00, 0x7F, 0x00, 0x00, 1 }, { 0xC2, 0xDF, 0x80, 0xBF, 2 }, { 0xE0, 0xE0, 0xA0, 0xBF, 3 },
    { 0xE1, 0xEC, 0x80, 0xBF, 3 }, { 0xED, 0xED, 0x80, 0x9F, 3 }, { 0xEE, 0xEF, 0x80, 0xBF, 3 },
    { 0xF0, 0xF0, 0x90, 0xBF, 4 }, { 0xF1, 0xF3, 0x80, 0xBF, 4 }, { 0xF4, 0xF4, 0x80, 0x8F, 4 },
};

static bool has_form(struct kl_view text, const struct utf8_form *form)
{
    if (text.data[0] < form->first_from || text.data[0] > form->first_to || text.len < form->len) return false;
    if (form->len > 1 && (text.data[1] < form->second_from || text.data[1] > form->second_to)) return false;
    for (size_t i = 2; i < form->len; i++) {
        if ((text.data[i] & 0xC0) != 0x80) return false;
    }
    return true;
}

size_t kl_utf8_step(struct kl_view text)
{
    if (text.len == 0) return 0;
    for (size_t i = 0; i < sizeof utf8_forms / sizeof *utf8_forms; i++) {
        if (has_form(text, &utf8_forms[i])) return utf8_forms[i].len;
    }
    return 0;
}

bool kl_view_is_utf8(struct kl_view text)
{
    while (text.len > 0) {
        size_t step = kl_utf8_step(text);

        if (step == 0) return false;
        text.data += step;
        text.len -= step;
    }
    return true;
}

static void put(struct kl_writer *writer, const void *bytes, size_t len)
{
    size_t room = writer->len < writer->cap ? writer->cap - writer->len : 0;

    if (writer->data != NULL && len > 0 && len <= room) memcpy(writer->data + writer->len, bytes, len);
    /* A piece that does not fit uses up the room, so that no later, shorter one is written behind the gap. */
    if (__builtin_add_overflow(writer->len, len, &writer->len)) writer->len = SIZE_MAX;
}

void kl_write_u8(struct kl_writer *writer, uint8_t value)
{
    put(writer, &value, 1);
}

void kl_write_u32(struct kl_writer *writer, uint32_t value)
{
    value = htobe32(value);
    put(writer, &value, sizeof value);
}

void kl_write_u64(struct kl_writer *writer, uint64_t value)
{
    value = htobe64(value);
    put(writer, &value, sizeof value);
}

void kl_write_raw(struct kl_writer *writer, struct kl_view bytes)
{
    put(writer, bytes.data, bytes.len);
}

void kl_write_bytes(struct kl_writer *writer, struct kl_view bytes)
{
    /* A length that has no 4-byte form can't be written: nothing that follows may look whole. */
    if (bytes.len > UINT32_MAX) {
        writer->len = SIZE_MAX;
        return;
    }
    kl_write_u32(writer, (uint32_t)bytes.len);
    kl_write_raw(writer, bytes);
}

bool kl_writer_is_whole(const struct kl_writer *writer)
{
    return writer->data != NULL && writer->len <= writer->cap;
}

struct kl_reader kl_reader_of(struct kl_view bytes)
{
    return (struct kl_reader){ .data = bytes.data, .len = bytes.len };
}

/* The next len bytes, or NULL and bad for ever. */
static const uint8_t *take(struct kl_reader *reader, size_t len)
{
    const uint8_t *bytes = reader->data;

    if (reader->bad || len > reader->len) {
        reader->bad = true;
        return NULL;
    }
    if (len > 0) reader->data += len;
    reader->len -= len;
    return bytes;
}

uint8_t kl_read_u8(struct kl_reader *reader)
{
    const uint8_t *byte = take(reader, 1);

    return byte == NULL ? 0 : *byte;
}

uint32_t kl_read_u32(struct kl_reader *reader)
{
    uint32_t value;

    kl_read_raw(reader, &value, sizeof value);
    return be32toh(value);
}

uint64_t kl_read_u64(struct kl_reader *reader)
{
    uint64_t value;

    kl_read_raw(reader, &value, sizeof value);
    return be64toh(value);
}

void kl_read_raw(struct kl_reader *reader, void *out, size_t len)
{
    const uint8_t *bytes = take(reader, len);

    if (len == 0) return;
    if (bytes == NULL) {
        memset(out, 0, len);
    } else {
        memcpy(out, bytes, len);
    }
}

struct kl_view kl_read_bytes(struct kl_reader *reader)
{
    size_t len = kl_read_u32(reader);
    const uint8_t *bytes = take(reader, len);

    return reader->bad ? kl_view_of(NULL, 0) : kl_view_of(bytes, len);
}

bool kl_reader_is_done(const struct kl_reader *reader)
{
    return !reader->bad && reader->len == 0;
}
