/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Every attribute there is, one row each. */
#include "token/attr.h"

#include <string.h>

#include "token/draft.h"
#include "token/policy.h"

_Static_assert((int)KL_CLASS_DATA == CKO_DATA && (int)KL_CLASS_SECRET_KEY == CKO_SECRET_KEY, "classes are those of PKCS#11");
_Static_assert((int)KL_TYPE_GENERIC == CKK_GENERIC_SECRET && (int)KL_TYPE_AES == CKK_AES && (int)KL_TYPE_CHACHA20 == CKK_CHACHA20 &&
                   (int)KL_TYPE_HKDF == CKK_HKDF && (int)KL_TYPE_SHA256_HMAC == CKK_SHA256_HMAC &&
                   (int)KL_TYPE_SHA384_HMAC == CKK_SHA384_HMAC && (int)KL_TYPE_SHA512_HMAC == CKK_SHA512_HMAC,
               "key types are those of PKCS#11");
_Static_assert(KL_NO_MECHANISM == CK_UNAVAILABLE_INFORMATION, "CK_ULONG has 64 bits");
_Static_assert(sizeof(CK_DATE) == 8, "a date is 8 digits");

/* --- reading --- */

static struct kl_view number(struct kl_scratch *scratch, CK_ULONG value)
{
    memcpy(scratch->bytes, &value, sizeof value);
    return kl_view_of(scratch->bytes, sizeof value);
}

static struct kl_view absent(void)
{
    return kl_view_of(NULL, 0);
}

static struct kl_view present(struct kl_view value)
{
    return value.data ? value : kl_attr_empty();
}

static struct kl_view get_class(const struct kl_subject *subject, struct kl_scratch *scratch)
{
    return number(scratch, subject->record->class);
}

static struct kl_view get_token(const struct kl_subject *subject, struct kl_scratch *scratch)
{
    scratch->bytes[0] = subject->is_token ? CK_TRUE : CK_FALSE;
    return kl_view_of(scratch->bytes, 1);
}

static struct kl_view get_label(const struct kl_subject *subject, struct kl_scratch *scratch)
{
    (void)scratch;
    return present(subject->record->label);
}

static struct kl_view uuid(const uint8_t id[KL_ROW_ID_LEN], struct kl_scratch *scratch)
{
    char text[KL_UUID_TEXT];

    kl_uuid_text(id, text);
    memcpy(scratch->bytes, text, sizeof text);
    return kl_view_of(scratch->bytes, sizeof text);
}

static struct kl_view get_unique_id(const struct kl_subject *subject, struct kl_scratch *scratch)
{
    return uuid(subject->record->id, scratch);
}

static struct kl_view get_key_type(const struct kl_subject *subject, struct kl_scratch *scratch)
{
    return number(scratch, subject->record->key_type);
}

static struct kl_view get_id(const struct kl_subject *subject, struct kl_scratch *scratch)
{
    (void)scratch;
    return present(subject->record->key_id);
}

static struct kl_view get_date(const uint8_t date[8])
{
    return date[0] ? kl_view_of(date, 8) : kl_attr_empty();
}

static struct kl_view get_start(const struct kl_subject *subject, struct kl_scratch *scratch)
{
    (void)scratch;
    return get_date(subject->record->start_date);
}

static struct kl_view get_end(const struct kl_subject *subject, struct kl_scratch *scratch)
{
    (void)scratch;
    return get_date(subject->record->end_date);
}

static struct kl_view get_value_len(const struct kl_subject *subject, struct kl_scratch *scratch)
{
    return number(scratch, subject->record->value_len);
}

static struct kl_view get_mechanism(const struct kl_subject *subject, struct kl_scratch *scratch)
{
    return number(scratch, subject->record->mechanism);
}

/* Stored as 8 bytes each, big-endian. */
static struct kl_view get_list(const struct kl_subject *subject, struct kl_scratch *scratch)
{
    struct kl_view stored = kl_record_extra(subject->record, CKA_ALLOWED_MECHANISMS);
    struct kl_reader reader = kl_reader_of(stored);
    size_t len = 0;

    while (reader.len >= 8 && len < sizeof scratch->bytes) {
        CK_MECHANISM_TYPE type = kl_read_u64(&reader);

        memcpy(scratch->bytes + len, &type, sizeof type);
        len += sizeof type;
    }
    return kl_view_of(scratch->bytes, len);
}

static bool is_ladder(const struct kl_subject *subject)
{
    return kl_level_is_ladder(subject->record->level);
}

static struct kl_view get_kl_level(const struct kl_subject *subject, struct kl_scratch *scratch)
{
    return is_ladder(subject) ? number(scratch, subject->record->level) : absent();
}

static struct kl_view get_kl_version(const struct kl_subject *subject, struct kl_scratch *scratch)
{
    return is_ladder(subject) ? number(scratch, subject->record->version) : absent();
}

static struct kl_view get_kl_state(const struct kl_subject *subject, struct kl_scratch *scratch)
{
    return is_ladder(subject) ? number(scratch, subject->record->state) : absent();
}

/* The CKA_UNIQUE_ID of the version above; empty for the master. */
static struct kl_view get_kl_parent(const struct kl_subject *subject, struct kl_scratch *scratch)
{
    if (!is_ladder(subject)) return absent();
    return subject->record->level == KL_LEVEL_MASTER ? kl_attr_empty() : uuid(subject->record->parent, scratch);
}

/* CKA_KL_ROOT: there is one root so far, and nothing to tell; the row keeps it from being set. */
static struct kl_view get_nothing(const struct kl_subject *subject, struct kl_scratch *scratch)
{
    (void)subject;
    (void)scratch;
    return absent();
}

/* Seconds since 1970; 0: none is due. */
static struct kl_view get_kl_next_rotation(const struct kl_subject *subject, struct kl_scratch *scratch)
{
    return is_ladder(subject) ? number(scratch, (CK_ULONG)subject->record->expires_at) : absent();
}

/* --- setting --- */

static enum kl_rc set_class(struct kl_draft *draft, struct kl_view value)
{
    KL_CHECK(kl_attr_number(value) == draft->record.class, KL_TEMPLATE);
    return KL_OK;
}

static enum kl_rc set_token(struct kl_draft *draft, struct kl_view value)
{
    draft->is_token = kl_attr_bool(value);
    return KL_OK;
}

static enum kl_rc set_label(struct kl_draft *draft, struct kl_view value)
{
    KL_CHECK(draft->applying.how != KL_MODIFY || !kl_level_is_ladder(draft->record.level), KL_ATTR_READ_ONLY);
    draft->record.label = present(value);
    return KL_OK;
}

static enum kl_rc set_key_type(struct kl_draft *draft, struct kl_view value)
{
    draft->has_key_type = true;
    draft->record.key_type = kl_attr_number(value);
    return KL_OK;
}

static enum kl_rc set_id(struct kl_draft *draft, struct kl_view value)
{
    draft->record.key_id = present(value);
    return KL_OK;
}

static enum kl_rc set_date(struct kl_draft *draft, bool is_end, struct kl_view value)
{
    uint8_t *date = is_end ? draft->record.end_date : draft->record.start_date;
    struct kl_deed deed = {
        .kind = KL_DEED_DATE,
        .is_there = (draft->applying.how & (KL_MODIFY | KL_ON_COPY)) != 0,
        .is_end_date = is_end,
    };
    uint8_t to[8] = { 0 };

    if (value.len == sizeof to) memcpy(to, value.data, sizeof to);
    deed.date_from = date;
    deed.date_to = to;
    KL_TRY(kl_policy_judge(draft->applying.policy, &deed));
    memcpy(date, to, sizeof to);
    return KL_OK;
}

static enum kl_rc set_start(struct kl_draft *draft, struct kl_view value)
{
    return set_date(draft, false, value);
}

static enum kl_rc set_end(struct kl_draft *draft, struct kl_view value)
{
    return set_date(draft, true, value);
}

static enum kl_rc set_value(struct kl_draft *draft, struct kl_view value)
{
    draft->has_value = true;
    draft->value = value;
    return KL_OK;
}

static enum kl_rc set_value_len(struct kl_draft *draft, struct kl_view value)
{
    draft->has_value_len = true;
    draft->value_len = kl_attr_number(value);
    return KL_OK;
}

static enum kl_rc set_list(struct kl_draft *draft, struct kl_view value)
{
    struct kl_writer writer = { draft->list, sizeof draft->list, 0 };

    for (size_t at = 0; at < value.len; at += sizeof(CK_MECHANISM_TYPE)) {
        CK_MECHANISM_TYPE type;

        memcpy(&type, value.data + at, sizeof type);
        kl_write_u64(&writer, type);
    }
    /* not reached: the form has a longest length, and the list room for it. */
    KL_CHECK(kl_writer_is_whole(&writer), KL_ATTR_VALUE);
    return kl_draft_extra(draft, CKA_ALLOWED_MECHANISMS, kl_view_of(draft->list, writer.len));
}

static enum kl_rc set_pattern(struct kl_draft *draft, int which, unsigned how, CK_ATTRIBUTE_TYPE type, struct kl_view value)
{
    struct kl_writer writer = { draft->patterns[which], sizeof draft->patterns[which], 0 };

    KL_TRY(kl_pattern_write(value, how, &writer));
    return kl_draft_extra(draft, type, kl_view_of(draft->patterns[which], writer.len));
}

static enum kl_rc set_wrap_template(struct kl_draft *draft, struct kl_view value)
{
    return set_pattern(draft, KL_WRAP_PATTERN, 0, CKA_WRAP_TEMPLATE, value);
}

static enum kl_rc set_unwrap_template(struct kl_draft *draft, struct kl_view value)
{
    return set_pattern(draft, KL_UNWRAP_PATTERN, KL_ON_UNWRAP, CKA_UNWRAP_TEMPLATE, value);
}

static enum kl_rc set_derive_template(struct kl_draft *draft, struct kl_view value)
{
    return set_pattern(draft, KL_DERIVE_PATTERN, KL_ON_DERIVE, CKA_DERIVE_TEMPLATE, value);
}

/* --- the rows --- */

#define USAGE (KL_ON_MAKE | KL_ON_COPY | KL_MODIFY | KL_ONLY_DOWN)
#define ONCE (KL_ON_MAKE | KL_ON_COPY)
#define FREELY (KL_ON_MAKE | KL_ON_COPY | KL_MODIFY)
/* Length of a CKA_VALUE is checked against the key's type; this keeps sums small. */
#define VALUE_ROOM (1 << 20)

/* clang-format off */
static const struct kl_attr_spec secret_key_attrs[] = {
    /* type                       form       rules */
    { CKA_CLASS,                  KL_NUMBER, KL_ON_MAKE, .get = get_class, .set = set_class },
    { CKA_TOKEN,                  KL_BOOL,   ONCE, .get = get_token, .set = set_token },
    { CKA_PRIVATE,                KL_BOOL,   ONCE | KL_ONLY_UP, .flag = KL_FLAG_PRIVATE },
    { CKA_LABEL,                  KL_TEXT,   FREELY, .max = KL_ROW_LABEL_MAX, .get = get_label, .set = set_label },
    { CKA_UNIQUE_ID,              KL_TEXT,   0, .get = get_unique_id },
    { CKA_VALUE,                  KL_BYTES,  KL_ON_CREATE | KL_HIDDEN, .max = VALUE_ROOM, .set = set_value },
    { CKA_TRUSTED,                KL_BOOL,   FREELY | KL_BY_SO, .flag = KL_FLAG_TRUSTED },
    { CKA_KEY_TYPE,               KL_NUMBER, KL_ON_MAKE, .get = get_key_type, .set = set_key_type },
    { CKA_ID,                     KL_BYTES,  FREELY, .max = KL_ROW_KEY_ID_MAX, .get = get_id, .set = set_id },
    { CKA_SENSITIVE,              KL_BOOL,   FREELY | KL_ONLY_UP, .flag = KL_FLAG_SENSITIVE },
    { CKA_ENCRYPT,                KL_BOOL,   USAGE, .flag = KL_FLAG_ENCRYPT },
    { CKA_DECRYPT,                KL_BOOL,   USAGE, .flag = KL_FLAG_DECRYPT },
    { CKA_WRAP,                   KL_BOOL,   USAGE, .flag = KL_FLAG_WRAP },
    { CKA_UNWRAP,                 KL_BOOL,   USAGE, .flag = KL_FLAG_UNWRAP },
    { CKA_SIGN,                   KL_BOOL,   USAGE, .flag = KL_FLAG_SIGN },
    { CKA_VERIFY,                 KL_BOOL,   USAGE, .flag = KL_FLAG_VERIFY },
    { CKA_DERIVE,                 KL_BOOL,   USAGE, .flag = KL_FLAG_DERIVE },
    { CKA_START_DATE,             KL_DATE,   FREELY, .get = get_start, .set = set_start },
    { CKA_END_DATE,               KL_DATE,   FREELY, .get = get_end, .set = set_end },
    { CKA_VALUE_LEN,              KL_NUMBER, KL_ON_MAKE, .get = get_value_len, .set = set_value_len },
    { CKA_EXTRACTABLE,            KL_BOOL,   FREELY | KL_ONLY_DOWN, .flag = KL_FLAG_EXTRACTABLE },
    { CKA_LOCAL,                  KL_BOOL,   0, .flag = KL_FLAG_LOCAL },
    { CKA_NEVER_EXTRACTABLE,      KL_BOOL,   0, .flag = KL_FLAG_NEVER_EXTRACTABLE },
    { CKA_ALWAYS_SENSITIVE,       KL_BOOL,   0, .flag = KL_FLAG_ALWAYS_SENSITIVE },
    { CKA_KEY_GEN_MECHANISM,      KL_NUMBER, 0, .get = get_mechanism },
    { CKA_MODIFIABLE,             KL_BOOL,   FREELY | KL_ONLY_DOWN, .flag = KL_FLAG_MODIFIABLE },
    { CKA_COPYABLE,               KL_BOOL,   FREELY | KL_ONLY_DOWN | KL_LOCKED, .flag = KL_FLAG_COPYABLE },
    { CKA_DESTROYABLE,            KL_BOOL,   FREELY | KL_ONLY_DOWN | KL_LOCKED, .flag = KL_FLAG_DESTROYABLE },
    { CKA_WRAP_WITH_TRUSTED,      KL_BOOL,   FREELY | KL_ONLY_UP, .flag = KL_FLAG_WRAP_WITH_TRUSTED },
    { CKA_WRAP_TEMPLATE,          KL_PATTERN, KL_ON_MAKE, .set = set_wrap_template },
    { CKA_UNWRAP_TEMPLATE,        KL_PATTERN, KL_ON_MAKE, .set = set_unwrap_template },
    { CKA_DERIVE_TEMPLATE,        KL_PATTERN, KL_ON_MAKE, .set = set_derive_template },
    { CKA_ALLOWED_MECHANISMS,     KL_LIST,   KL_ON_MAKE, .get = get_list, .set = set_list },
    { CKA_KL_LEVEL,               KL_NUMBER, 0, .get = get_kl_level },
    { CKA_KL_VERSION,             KL_NUMBER, 0, .get = get_kl_version },
    { CKA_KL_STATE,               KL_NUMBER, 0, .get = get_kl_state },
    { CKA_KL_PARENT,              KL_TEXT,   0, .get = get_kl_parent },
    { CKA_KL_ROOT,                KL_TEXT,   0, .get = get_nothing },
    { CKA_KL_NEXT_ROTATION,       KL_NUMBER, 0, .get = get_kl_next_rotation },
};

static const struct kl_attr_spec data_attrs[] = {
    { CKA_CLASS,                  KL_NUMBER, KL_ON_MAKE, .get = get_class, .set = set_class },
    { CKA_TOKEN,                  KL_BOOL,   ONCE, .get = get_token, .set = set_token },
    { CKA_PRIVATE,                KL_BOOL,   ONCE | KL_ONLY_UP, .flag = KL_FLAG_PRIVATE },
    { CKA_LABEL,                  KL_TEXT,   FREELY, .max = KL_ROW_LABEL_MAX, .get = get_label, .set = set_label },
    { CKA_UNIQUE_ID,              KL_TEXT,   0, .get = get_unique_id },
    { CKA_APPLICATION,            KL_TEXT,   FREELY, .max = KL_ROW_LABEL_MAX },
    { CKA_VALUE,                  KL_BYTES,  KL_ON_CREATE | KL_ON_COPY | KL_MODIFY | KL_HIDDEN, .max = KL_DATA_MAX, .set = set_value },
    { CKA_OBJECT_ID,              KL_BYTES,  FREELY, .max = KL_ROW_KEY_ID_MAX },
    { CKA_VALUE_LEN,              KL_NUMBER, KL_ON_DERIVE, .get = get_nothing, .set = set_value_len },
    { CKA_MODIFIABLE,             KL_BOOL,   FREELY | KL_ONLY_DOWN, .flag = KL_FLAG_MODIFIABLE },
    { CKA_COPYABLE,               KL_BOOL,   FREELY | KL_ONLY_DOWN | KL_LOCKED, .flag = KL_FLAG_COPYABLE },
    { CKA_DESTROYABLE,            KL_BOOL,   FREELY | KL_ONLY_DOWN | KL_LOCKED, .flag = KL_FLAG_DESTROYABLE },
};

/* src/token/profile.c makes them; nobody else makes or changes one. */
static const struct kl_attr_spec profile_attrs[] = {
    { CKA_CLASS,                  KL_NUMBER, 0, .get = get_class },
    { CKA_TOKEN,                  KL_BOOL,   0, .get = get_token },
    { CKA_PRIVATE,                KL_BOOL,   0, .flag = KL_FLAG_PRIVATE },
    { CKA_LABEL,                  KL_TEXT,   0, .get = get_label },
    { CKA_UNIQUE_ID,              KL_TEXT,   0, .get = get_unique_id },
    { CKA_MODIFIABLE,             KL_BOOL,   0, .flag = KL_FLAG_MODIFIABLE },
    { CKA_COPYABLE,               KL_BOOL,   0, .flag = KL_FLAG_COPYABLE },
    { CKA_DESTROYABLE,            KL_BOOL,   0, .flag = KL_FLAG_DESTROYABLE },
    { CKA_PROFILE_ID,             KL_NUMBER, 0, .get = get_key_type },
};

/* clang-format on */

#define TABLE(class, rows)                      \
    {                                           \
        class, rows, sizeof rows / sizeof *rows \
    }
const struct kl_attr_table kl_attr_tables[] = {
    TABLE(CKO_SECRET_KEY, secret_key_attrs),
    TABLE(CKO_DATA, data_attrs),
    TABLE(CKO_PROFILE, profile_attrs),
};
const size_t kl_attr_table_count = sizeof kl_attr_tables / sizeof *kl_attr_tables;
