/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Attributes: one row each in attr_table.c, with its form, who may set it when, and how it is read and set. */
#ifndef KL_TOKEN_ATTR_H
#define KL_TOKEN_ATTR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/rc.h"
#include "keyladder/pkcs11.h"
#include "ladder/record.h"

#define KL_MECHANISMS_MAX 64 /* in CKA_ALLOWED_MECHANISMS */
#define KL_UUID_TEXT 36

/* What a value looks like. */
enum kl_form {
    KL_BOOL,   /* CK_BBOOL, CK_TRUE or CK_FALSE exactly */
    KL_NUMBER, /* CK_ULONG */
    KL_TEXT,   /* any bytes, UTF-8 by convention */
    KL_BYTES,
    KL_DATE,   /* CK_DATE or empty */
    KL_LIST,   /* CK_MECHANISM_TYPE, one or more */
    KL_PATTERN /* CK_ATTRIBUTE, any number: a template (token/pattern.h) */
};

/* In which templates an attribute may stand, and which way a flag may go afterwards. */
enum kl_rule {
    KL_ON_CREATE = 1 << 0,
    KL_ON_GENERATE = 1 << 1,
    KL_ON_DERIVE = 1 << 2,
    KL_ON_UNWRAP = 1 << 3,
    KL_ON_COPY = 1 << 4,
    KL_MODIFY = 1 << 5,
    KL_ONLY_UP = 1 << 6,
    KL_ONLY_DOWN = 1 << 7,
    KL_LOCKED = 1 << 8, /* KL_ONLY_DOWN, and raising it is KL_PROHIBITED, not KL_ATTR_READ_ONLY */
    KL_HIDDEN = 1 << 9, /* the value itself: never compared in a search, read by opening the object */
    KL_BY_SO = 1 << 10, /* raised by the security officer alone */
    KL_ON_MAKE = KL_ON_CREATE | KL_ON_GENERATE | KL_ON_DERIVE | KL_ON_UNWRAP
};

/* An object as attributes see it. */
struct kl_subject {
    const struct kl_record *record;
    bool is_token;
};

/* Room for a value that is worked out. */
struct kl_scratch {
    uint8_t bytes[KL_MECHANISMS_MAX * sizeof(CK_MECHANISM_TYPE)];
};

struct kl_draft;

struct kl_attr_spec {
    CK_ATTRIBUTE_TYPE type;
    enum kl_form form;
    unsigned rules;
    uint32_t flag; /* KL_BOOL: the record's flag that holds it; 0 where get and set do */
    size_t max;    /* longest value taken; 0: as its form says */
    /* data == NULL: the object has no such attribute. NULL for flags and for what lies among the record's extras. */
    struct kl_view (*get)(const struct kl_subject *subject, struct kl_scratch *scratch);
    /* The value has its form. NULL likewise. */
    enum kl_rc (*set)(struct kl_draft *draft, struct kl_view value);
};

/* Rows of one class, ascending by type. */
struct kl_attr_table {
    CK_OBJECT_CLASS class;
    const struct kl_attr_spec *rows;
    size_t count;
};
extern const struct kl_attr_table kl_attr_tables[];
extern const size_t kl_attr_table_count;

/* NULL: a class that this token does not keep; an attribute that the class does not have. */
const struct kl_attr_table *kl_attr_table_of(CK_OBJECT_CLASS class);
const struct kl_attr_spec *kl_attr_find(const struct kl_attr_table *table, CK_ATTRIBUTE_TYPE type);

/* KL_ATTR_VALUE for a value that does not have the row's form or is too long. */
KL_MUST_USE enum kl_rc kl_attr_check(const struct kl_attr_spec *spec, struct kl_view value);
/* What an object answers; data == NULL: it has no such attribute. Not for KL_HIDDEN rows. */
struct kl_view kl_attr_get(const struct kl_attr_spec *spec, const struct kl_subject *subject, struct kl_scratch *scratch);
/* A value of form KL_NUMBER, wherever it lies. */
CK_ULONG kl_attr_number(struct kl_view value);
bool kl_attr_bool(struct kl_view value);
/* Answers one CK_ATTRIBUTE of a caller: its length, and its value where there is room. KL_BUFFER. */
KL_MUST_USE enum kl_rc kl_attr_give(CK_ATTRIBUTE *attribute, struct kl_view value);
/* Not NULL, and empty. */
struct kl_view kl_attr_empty(void);

/* CKA_UNIQUE_ID: the row's id as a UUID. */
void kl_uuid_text(const uint8_t id[KL_ROW_ID_LEN], char out[KL_UUID_TEXT]);
bool kl_uuid_from(struct kl_view text, uint8_t id[KL_ROW_ID_LEN]);

#endif
