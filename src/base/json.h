/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* JSON for --json, the log and provider metadata: a thin fence around jansson. */
#ifndef KL_BASE_JSON_H
#define KL_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/rc.h"

struct kl_json;

/*
 * New values; NULL when memory is short, and every function below takes NULL and
 * does nothing. Memory that runs short later shows in kl_json_dump.
 */
struct kl_json *kl_json_object(void);
struct kl_json *kl_json_array(void);
void kl_json_free(struct kl_json *json);
/* Adding hands the child over: fill it first, it is gone afterwards. A NULL text is null, text that is not UTF-8 is stored escaped. */
void kl_json_set_text(struct kl_json *object, const char *name, const char *text);
void kl_json_set_bytes(struct kl_json *object, const char *name, struct kl_view text);
void kl_json_set_hex(struct kl_json *object, const char *name, struct kl_view bytes);
void kl_json_set_number(struct kl_json *object, const char *name, int64_t number);
/* Six digits of it. What is no number (infinite, NaN) counts as memory that ran short. */
void kl_json_set_real(struct kl_json *object, const char *name, double number);
void kl_json_set_bool(struct kl_json *object, const char *name, bool value);
void kl_json_set_take(struct kl_json *object, const char *name, struct kl_json *child);
void kl_json_add_real(struct kl_json *array, double number);
void kl_json_add_take(struct kl_json *array, struct kl_json *child);
/* Heap text, to be freed with free(); indent 0 is one line. NULL when memory is or was short. */
char *kl_json_dump(const struct kl_json *json, unsigned indent);

#endif
