/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "base/json.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* Memory that ran short anywhere shows at the end: half a record must not pass for a whole one. */
struct kl_json {
    json_t *value;
    bool is_short;
};

static struct kl_json *wrap(json_t *value)
{
    struct kl_json *json = value == NULL ? NULL : calloc(1, sizeof *json);

    if (json == NULL) {
        json_decref(value);
        return NULL;
    }
    json->value = value;
    return json;
}

struct kl_json *kl_json_object(void)
{
    return wrap(json_object());
}

struct kl_json *kl_json_array(void)
{
    return wrap(json_array());
}

void kl_json_free(struct kl_json *json)
{
    if (json == NULL) return;
    json_decref(json->value);
    free(json);
}

static void set(struct kl_json *object, const char *name, json_t *value)
{
    if (object == NULL) {
        json_decref(value);
    } else if (json_object_set_new(object->value, name, value) != 0) {
        object->is_short = true;
    }
}

void kl_json_set_text(struct kl_json *object, const char *name, const char *text)
{
    if (text == NULL) {
        set(object, name, json_null());
    } else {
        kl_json_set_bytes(object, name, kl_view_text(text));
    }
}

void kl_json_set_bytes(struct kl_json *object, const char *name, struct kl_view text)
{
    char *escaped;

    if (kl_view_is_utf8(text)) {
        set(object, name, json_stringn(text.len == 0 ? "" : (const char *)text.data, text.len));
        return;
    }
    escaped = text.len < SIZE_MAX / 8 ? malloc(4 * text.len + 1) : NULL;
    set(object, name, escaped == NULL ? NULL : json_string(kl_log_escape(text, escaped, 4 * text.len + 1)));
    free(escaped);
}

void kl_json_set_hex(struct kl_json *object, const char *name, struct kl_view bytes)
{
    static const char digits[] = "0123456789abcdef";
    char *hex = bytes.len < SIZE_MAX / 4 ? malloc(2 * bytes.len + 1) : NULL;

    for (size_t i = 0; hex != NULL && i < bytes.len; i++) {
        hex[2 * i] = digits[bytes.data[i] >> 4];
        hex[2 * i + 1] = digits[bytes.data[i] & 15];
    }
    set(object, name, hex == NULL ? NULL : json_stringn(hex, 2 * bytes.len));
    free(hex);
}

void kl_json_set_number(struct kl_json *object, const char *name, int64_t number)
{
    set(object, name, json_integer(number));
}

void kl_json_set_real(struct kl_json *object, const char *name, double number)
{
    set(object, name, json_real(number));
}

void kl_json_set_bool(struct kl_json *object, const char *name, bool value)
{
    set(object, name, json_boolean(value));
}

/* What is inside of the wrapper, which goes; NULL if memory was short on the way. */
static json_t *unwrap(struct kl_json *json)
{
    json_t *value = json == NULL || json->is_short ? NULL : json_incref(json->value);

    kl_json_free(json);
    return value;
}

void kl_json_set_take(struct kl_json *object, const char *name, struct kl_json *child)
{
    set(object, name, unwrap(child));
}

static void add(struct kl_json *array, json_t *value)
{
    if (array == NULL) {
        json_decref(value);
    } else if (json_array_append_new(array->value, value) != 0) {
        array->is_short = true;
    }
}

void kl_json_add_real(struct kl_json *array, double number)
{
    add(array, json_real(number));
}

void kl_json_add_take(struct kl_json *array, struct kl_json *child)
{
    add(array, unwrap(child));
}

char *kl_json_dump(const struct kl_json *json, unsigned indent)
{
    size_t flags = JSON_INDENT(indent > 31 ? 31 : indent) | JSON_REAL_PRECISION(6);
    size_t len;
    char *text;

    if (json == NULL || json->is_short) return NULL;
    /* Not json_dumps: what it returns belongs to an allocator that the host may have exchanged. */
    len = json_dumpb(json->value, NULL, 0, flags);
    text = len == 0 ? NULL : malloc(len + 1);
    if (text == NULL || json_dumpb(json->value, text, len, flags) != len) {
        free(text);
        return NULL;
    }
    text[len] = '\0';
    return text;
}
