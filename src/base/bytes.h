/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Borrowed bytes, room lent for output, and the canonical encoding of records. */
#ifndef KL_BASE_BYTES_H
#define KL_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rc.h"

/* Borrowed bytes. An empty view may have data == NULL. */
struct kl_view {
    const uint8_t *data;
    size_t len;
};

/* Room lent for output: the callee writes at most cap bytes and sets len to what it wrote or needs. data == NULL asks. */
struct kl_out {
    uint8_t *data;
    size_t cap;
    size_t len;
};

static inline struct kl_view kl_view_of(const void *data, size_t len)
{
    return (struct kl_view){ (const uint8_t *)data, len };
}

struct kl_view kl_view_text(const char *text);
/*
 * Zeroed memory on cache lines of its own, for what one session writes at every call: where two of them shared a line, their
 * threads would wait for each other. NULL; free() gives it back.
 */
void *kl_lines_new(size_t size);

/* Equality of public bytes. */
bool kl_view_is(struct kl_view a, struct kl_view b);
/* Have they a byte of memory in common? */
static inline bool kl_view_touches(struct kl_view a, struct kl_view b)
{
    uintptr_t left = (uintptr_t)a.data;
    uintptr_t right = (uintptr_t)b.data;

    return left <= right ? right - left < a.len && b.len > 0 : left - right < b.len && a.len > 0;
}

/* The same, but in place is fine: EVP gives up half-way where one begins inside the other. */
static inline bool kl_view_overlaps(struct kl_view in, struct kl_view out)
{
    return in.data != out.data && kl_view_touches(in, out);
}

/* Equality in time that depends on the length alone. */
bool kl_bytes_equal(const void *a, const void *b, size_t len);
/* Bytes of the well-formed UTF-8 character that the view begins with (1 to 4), 0 if there is none. */
size_t kl_utf8_step(struct kl_view text);
bool kl_view_is_utf8(struct kl_view text);

/*
 * Canonical encoding (doc/format.md, "Encoding"): integers big-endian, byte
 * strings with a 4-byte length. A writer with data == NULL only counts; one
 * that overflows keeps counting, writes nothing more and is refused at the end.
 */
struct kl_writer {
    uint8_t *data;
    size_t cap;
    size_t len;
};
void kl_write_u8(struct kl_writer *writer, uint8_t value);
void kl_write_u32(struct kl_writer *writer, uint32_t value);
void kl_write_u64(struct kl_writer *writer, uint64_t value);
void kl_write_raw(struct kl_writer *writer, struct kl_view bytes);
/* 4-byte length, then the bytes. */
void kl_write_bytes(struct kl_writer *writer, struct kl_view bytes);
bool kl_writer_is_whole(const struct kl_writer *writer);

/* Reads what a writer wrote. After a failure every further read fails and gives zero; look once, at the end. */
struct kl_reader {
    const uint8_t *data;
    size_t len;
    bool bad;
};
struct kl_reader kl_reader_of(struct kl_view bytes);
uint8_t kl_read_u8(struct kl_reader *reader);
uint32_t kl_read_u32(struct kl_reader *reader);
uint64_t kl_read_u64(struct kl_reader *reader);
/* Copies exactly len bytes to out. */
void kl_read_raw(struct kl_reader *reader, void *out, size_t len);
/* A view into the reader's own bytes. */
struct kl_view kl_read_bytes(struct kl_reader *reader);
/* Everything was there and nothing is left over. */
bool kl_reader_is_done(const struct kl_reader *reader);

#endif
