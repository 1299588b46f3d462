/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Records in words and in JSON; keyladder(1), "JSON", lists the fields. */
#ifndef KL_TOOLS_WORDS_H
#define KL_TOOLS_WORDS_H

#include <stddef.h>

#include "base/bytes.h"
#include "base/json.h"
#include "ladder/record.h"

#define KL_WORDS_UUID_LEN 37 /* with the terminator */
#define KL_WORDS_CAP 1280    /* room for any label, escaped */

/* "4f3c…-…": a version's id as CKA_UNIQUE_ID writes it. Returns out. */
const char *kl_words_uuid(const uint8_t id[KL_ROW_ID_LEN], char out[KL_WORDS_UUID_LEN]);
/* The opposite, also without dashes; false for anything else. */
bool kl_words_uuid_read(const char *text, uint8_t out[KL_ROW_ID_LEN]);
/* Hexadecimal digits, as many as `cap` has room for. Returns out. */
const char *kl_words_hex(struct kl_view bytes, char *out, size_t cap);
/* Bytes of an even number of digits, at most cap; false for anything else. */
bool kl_words_hex_read(const char *text, uint8_t *out, size_t cap, size_t *len);
/* A label that fools no terminal; "-" where there is none. Returns out. */
const char *kl_words_label(struct kl_view label, char out[KL_WORDS_CAP]);
/* "AES-256", "GENERIC-512", "data": Returns out. */
const char *kl_words_type(const struct kl_record *record, char *out, size_t cap);
/* "encrypt, decrypt, derive". Returns out. */
const char *kl_words_usage(const struct kl_record *record, char *out, size_t cap);
/* "" for one, "s" for any other number. */
const char *kl_words_plural(uint64_t count);
/* How many columns a text takes on a terminal, each character one. */
int kl_words_width(const char *text);

/* One object; NULL when memory is short. */
struct kl_json *kl_words_json(const struct kl_record *record);

#endif
