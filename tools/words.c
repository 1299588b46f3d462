/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "words.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

/* --- bytes --- */

const char *kl_words_hex(struct kl_view bytes, char *out, size_t cap)
{
    static const char digits[] = "0123456789abcdef";
    size_t len = 0;

    for (size_t i = 0; i < bytes.len && len + 2 < cap; i++) {
        out[len++] = digits[bytes.data[i] >> 4];
        out[len++] = digits[bytes.data[i] & 15];
    }
    out[len] = '\0';
    return out;
}

static int digit(char letter)
{
    const char *found = letter == '\0' ? NULL : strchr("0123456789abcdef", tolower((unsigned char)letter));

    return found == NULL ? -1 : (int)(found - "0123456789abcdef");
}

bool kl_words_hex_read(const char *text, uint8_t *out, size_t cap, size_t *len)
{
    size_t count = strlen(text) / 2;

    if (strlen(text) % 2 != 0 || count == 0 || count > cap) return false;
    for (size_t i = 0; i < count; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);

        if (high < 0 || low < 0) return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    *len = count;
    return true;
}

const char *kl_words_uuid(const uint8_t id[KL_ROW_ID_LEN], char out[KL_WORDS_UUID_LEN])
{
    char hex[2 * KL_ROW_ID_LEN + 1];

    kl_words_hex(kl_view_of(id, KL_ROW_ID_LEN), hex, sizeof hex);
    snprintf(out, KL_WORDS_UUID_LEN, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
    return out;
}

bool kl_words_uuid_read(const char *text, uint8_t out[KL_ROW_ID_LEN])
{
    char hex[2 * KL_ROW_ID_LEN + 1] = "";
    size_t count = 0, len;

    for (; *text != '\0'; text++) {
        if (*text == '-') continue;
        if (count == 2 * KL_ROW_ID_LEN) return false;
        hex[count++] = *text;
    }
    return kl_words_hex_read(hex, out, KL_ROW_ID_LEN, &len) && len == KL_ROW_ID_LEN;
}

/* --- attributes --- */

const char *kl_words_label(struct kl_view label, char out[KL_WORDS_CAP])
{
    return label.len == 0 ? "-" : kl_log_escape(label, out, KL_WORDS_CAP);
}

const char *kl_words_type(const struct kl_record *record, char *out, size_t cap)
{
    static const struct {
        uint64_t type;
        const char *name;
    } names[] = { { KL_TYPE_AES, "AES" }, { KL_TYPE_GENERIC, "GENERIC" }, { KL_TYPE_CHACHA20, "CHACHA20" }, { KL_TYPE_HKDF, "HKDF" } };

    if (record->class == KL_CLASS_DATA) return "data";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].type != record->key_type) continue;
        snprintf(out, cap, "%s-%u", names[i].name, 8 * record->value_len);
        return out;
    }
    snprintf(out, cap, "0x%llx-%u", (unsigned long long)record->key_type, 8 * record->value_len);
    return out;
}

static const struct {
    enum kl_flag flag;
    const char *name;
} usages[] = {
    { KL_FLAG_ENCRYPT, "encrypt" }, { KL_FLAG_DECRYPT, "decrypt" }, { KL_FLAG_SIGN, "sign" },     { KL_FLAG_VERIFY, "verify" },
    { KL_FLAG_WRAP, "wrap" },       { KL_FLAG_UNWRAP, "unwrap" },   { KL_FLAG_DERIVE, "derive" },
};

const char *kl_words_usage(const struct kl_record *record, char *out, size_t cap)
{
    size_t len = 0;

    out[0] = '\0';
    for (size_t i = 0; i < sizeof usages / sizeof *usages && len < cap; i++) {
        if (!kl_record_has(record, usages[i].flag)) continue;
        len += (size_t)snprintf(out + len, cap - len, "%s%s", len == 0 ? "" : ", ", usages[i].name);
    }
    return out[0] == '\0' ? "nothing" : out;
}

const char *kl_words_plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

int kl_words_width(const char *text)
{
    int width = 0;

    for (; *text != '\0'; text++) width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

/* --- JSON --- */

static void set_date(struct kl_json *json, const char *name, const uint8_t date[8])
{
    if (date[0] != 0) kl_json_set_bytes(json, name, kl_view_of(date, 8));
}

static void set_usage(struct kl_json *json, const struct kl_record *record)
{
    struct kl_json *usage = kl_json_object();

    for (size_t i = 0; i < sizeof usages / sizeof *usages; i++)
        kl_json_set_bool(usage, usages[i].name, kl_record_has(record, usages[i].flag));
    kl_json_set_take(json, "usage", usage);
}

struct kl_json *kl_words_json(const struct kl_record *record)
{
    static const uint8_t none[KL_ROW_ID_LEN];
    struct kl_json *json = kl_json_object();
    char uuid[KL_WORDS_UUID_LEN], type[40], date[21];

    kl_json_set_bytes(json, "label", record->label);
    kl_json_set_text(json, "level", kl_level_name(record->level));
    kl_json_set_text(json, "type", kl_words_type(record, type, sizeof type));
    kl_json_set_number(json, "version", record->version);
    kl_json_set_text(json, "state", kl_state_name(record->state));
    kl_json_set_bool(json, "current", record->is_active);
    kl_json_set_text(json, "uuid", kl_words_uuid(record->id, uuid));
    kl_json_set_text(json, "parent", memcmp(record->parent, none, sizeof none) == 0 ? NULL : kl_words_uuid(record->parent, uuid));
    kl_json_set_hex(json, "id", record->key_id);
    if (record->has_commitment) kl_json_set_hex(json, "envelope_id", kl_view_of(record->commitment, KL_COMMITMENT_LEN));
    kl_clock_text(record->created_at, date);
    kl_json_set_text(json, "created", date);
    set_date(json, "start_date", record->start_date);
    set_date(json, "end_date", record->end_date);
    kl_json_set_bool(json, "private", kl_record_has(record, KL_FLAG_PRIVATE));
    kl_json_set_bool(json, "sensitive", kl_record_has(record, KL_FLAG_SENSITIVE));
    kl_json_set_bool(json, "extractable", kl_record_has(record, KL_FLAG_EXTRACTABLE));
    set_usage(json, record);
    return json;
}
