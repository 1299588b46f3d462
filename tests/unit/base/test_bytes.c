/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "base/bytes.h"

#include "../unit.h"

static void a_view_of_no_text_is_empty(void)
{
    CU_ASSERT_EQUAL(kl_view_text(NULL).len, 0);
    CU_ASSERT_EQUAL(kl_view_text("").len, 0);
    CU_ASSERT_TRUE(kl_view_is(kl_view_text(NULL), kl_view_text("")));
}

static void views_are_equal_by_content(void)
{
    char copy[] = "users.email";

    CU_ASSERT_TRUE(kl_view_is(kl_view_text("users.email"), kl_view_text(copy)));
    CU_ASSERT_FALSE(kl_view_is(kl_view_text("users.email"), kl_view_text("users.emaix")));
    CU_ASSERT_FALSE(kl_view_is(kl_view_text("users"), kl_view_text("users.email")));
    CU_ASSERT_FALSE(kl_view_is(kl_view_text(""), kl_view_text("x")));
}

static void secret_equality_sees_every_bit(void)
{
    uint8_t a[40], b[40];

    memset(a, 0x5A, sizeof a);
    memcpy(b, a, sizeof b);
    CU_ASSERT_TRUE(kl_bytes_equal(a, b, sizeof a));
    CU_ASSERT_TRUE(kl_bytes_equal(NULL, NULL, 0));
    for (size_t bit = 0; bit < 8 * sizeof b; bit++) {
        b[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CU_ASSERT_FALSE(kl_bytes_equal(a, b, sizeof a));
        b[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void what_is_written_is_big_endian_and_counted(void)
{
    static const uint8_t ought[] = { 1, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0, 0, 0, 2, 'h', 'i', 'x' };
    uint8_t room[64];
    struct kl_writer writer = { room, sizeof room, 0 };

    kl_write_u8(&writer, 1);
    kl_write_u32(&writer, 0x02030405);
    kl_write_u64(&writer, UINT64_C(0x060708090A0B0C0D));
    kl_write_bytes(&writer, kl_view_text("hi"));
    kl_write_raw(&writer, kl_view_text("x"));
    CU_ASSERT_TRUE(kl_writer_is_whole(&writer));
    CU_ASSERT_EQUAL(writer.len, sizeof ought);
    CU_ASSERT_EQUAL(memcmp(room, ought, sizeof ought), 0);
}

static void a_writer_without_room_only_counts(void)
{
    struct kl_writer writer = { 0 };

    kl_write_u64(&writer, 7);
    kl_write_bytes(&writer, kl_view_text("seven"));
    CU_ASSERT_EQUAL(writer.len, 17);
    CU_ASSERT_FALSE(kl_writer_is_whole(&writer));
}

static void a_writer_that_overflows_counts_on_and_writes_nothing_more(void)
{
    uint8_t room[8];
    struct kl_writer writer = { room, 6, 0 };

    memset(room, 0xEE, sizeof room);
    kl_write_u32(&writer, 0x01020304);
    kl_write_u32(&writer, 0x05060708); /* does not fit */
    kl_write_u8(&writer, 9);           /* would */
    CU_ASSERT_EQUAL(writer.len, 9);
    CU_ASSERT_FALSE(kl_writer_is_whole(&writer));
    CU_ASSERT_EQUAL(memcmp(room, "\x01\x02\x03\x04\xEE\xEE\xEE\xEE", 8), 0);
}

static void a_length_that_cannot_be_written_spoils_the_whole(void)
{
    uint8_t room[8] = { 0 };
    struct kl_writer writer = { room, sizeof room, 0 };

    kl_write_bytes(&writer, kl_view_of(room, (size_t)UINT32_MAX + 1));
    kl_write_u8(&writer, 1);
    CU_ASSERT_FALSE(kl_writer_is_whole(&writer));
    CU_ASSERT_EQUAL(writer.len, SIZE_MAX);
}

static void a_reader_gives_back_what_was_written(void)
{
    uint8_t room[64], three[3] = { 0 };
    struct kl_writer writer = { room, sizeof room, 0 };
    struct kl_reader reader;

    kl_write_u8(&writer, 200);
    kl_write_u32(&writer, 4000000000u);
    kl_write_u64(&writer, UINT64_MAX - 1);
    kl_write_raw(&writer, kl_view_text("abc"));
    kl_write_bytes(&writer, kl_view_text(""));
    kl_write_bytes(&writer, kl_view_text("label"));
    reader = kl_reader_of(kl_view_of(room, writer.len));
    CU_ASSERT_EQUAL(kl_read_u8(&reader), 200);
    CU_ASSERT_EQUAL(kl_read_u32(&reader), 4000000000u);
    CU_ASSERT_EQUAL(kl_read_u64(&reader), UINT64_MAX - 1);
    kl_read_raw(&reader, three, 3);
    CU_ASSERT_EQUAL(memcmp(three, "abc", 3), 0);
    CU_ASSERT_EQUAL(kl_read_bytes(&reader).len, 0);
    CU_ASSERT_FALSE(kl_reader_is_done(&reader));
    CU_ASSERT_TRUE(kl_view_is(kl_read_bytes(&reader), kl_view_text("label")));
    CU_ASSERT_TRUE(kl_reader_is_done(&reader));
}

static void bytes_left_over_are_not_done(void)
{
    struct kl_reader reader = kl_reader_of(kl_view_of("\x01\x02", 2));

    CU_ASSERT_EQUAL(kl_read_u8(&reader), 1);
    CU_ASSERT_FALSE(kl_reader_is_done(&reader));
}

static void a_reader_that_ran_short_gives_zeros_for_ever(void)
{
    struct kl_reader reader = kl_reader_of(kl_view_of("\x01\x02\x03", 3));
    uint8_t room[2] = { 9, 9 };

    CU_ASSERT_EQUAL(kl_read_u32(&reader), 0);
    CU_ASSERT_EQUAL(kl_read_u8(&reader), 0); /* there would be one */
    kl_read_raw(&reader, room, sizeof room);
    CU_ASSERT_EQUAL(room[0] | room[1], 0);
    CU_ASSERT_PTR_NULL(kl_read_bytes(&reader).data);
    CU_ASSERT_FALSE(kl_reader_is_done(&reader));
}

static void a_length_that_promises_more_than_there_is_is_refused(void)
{
    struct kl_reader reader = kl_reader_of(kl_view_of("\xFF\xFF\xFF\xFFxyz", 7));

    CU_ASSERT_EQUAL(kl_read_bytes(&reader).len, 0);
    CU_ASSERT_TRUE(reader.bad);
    reader = kl_reader_of(kl_view_of(NULL, 0));
    CU_ASSERT_TRUE(kl_reader_is_done(&reader));
    CU_ASSERT_EQUAL(kl_read_bytes(&reader).len, 0);
    CU_ASSERT_FALSE(kl_reader_is_done(&reader));
}

/* As RFC 3629 has it, surrogates too; returns the length. */
static size_t encode(uint32_t c, uint8_t text[4])
{
    static const uint8_t first[] = { 0, 0, 0xC0, 0xE0, 0xF0 };
    size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

    text[0] = (uint8_t)(first[len] | c >> 6 * (len - 1));
    for (size_t i = 1; i < len; i++) text[i] = (uint8_t)(0x80 | ((c >> 6 * (len - 1 - i)) & 0x3F));
    return len;
}

static void every_character_of_unicode_is_one_step(void)
{
    for (uint32_t c = 0; c < 0x110000; c++) {
        uint8_t text[4];
        size_t len = encode(c, text);
        bool is_surrogate = c >= 0xD800 && c < 0xE000;

        if (kl_utf8_step(kl_view_of(text, len)) != (is_surrogate ? 0 : len)) CU_FAIL("a character is taken for another length");
        if (kl_utf8_step(kl_view_of(text, len - 1)) != 0) CU_FAIL("a part of a character is taken for one");
    }
}

static void what_is_not_utf8_is_refused(void)
{
    static const char *const wrong[] = {
        "\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80",
        "\xFF", "a\xC3",    "\xC3(",    "\xE2\x82("
    };

    CU_ASSERT_TRUE(kl_view_is_utf8(kl_view_text("")));
    CU_ASSERT_TRUE(kl_view_is_utf8(kl_view_text("Zürich, 東京, \xF0\x9F\x94\x91")));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) CU_ASSERT_FALSE(kl_view_is_utf8(kl_view_text(wrong[i])));
}

UNIT_MAIN("base/bytes", UNIT(a_view_of_no_text_is_empty), UNIT(views_are_equal_by_content), UNIT(secret_equality_sees_every_bit),
          UNIT(what_is_written_is_big_endian_and_counted), UNIT(a_writer_without_room_only_counts),
          UNIT(a_writer_that_overflows_counts_on_and_writes_nothing_more), UNIT(a_length_that_cannot_be_written_spoils_the_whole),
          UNIT(a_reader_gives_back_what_was_written), UNIT(bytes_left_over_are_not_done),
          UNIT(a_reader_that_ran_short_gives_zeros_for_ever), UNIT(a_length_that_promises_more_than_there_is_is_refused),
          UNIT(every_character_of_unicode_is_one_step), UNIT(what_is_not_utf8_is_refused))
