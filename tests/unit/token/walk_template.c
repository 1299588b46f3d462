/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The templates that the walk has, and the wishes that keys of it have for what they unwrap and derive. */
#include "walk.h"

#include <string.h>

#define CIPHER (KL_FLAG_ENCRYPT | KL_FLAG_DECRYPT)
#define MAC (KL_FLAG_SIGN | KL_FLAG_VERIFY)
#define WRAP (KL_FLAG_WRAP | KL_FLAG_UNWRAP)
#define DERIVE KL_FLAG_DERIVE
#define S KL_FLAG_SENSITIVE
#define X KL_FLAG_EXTRACTABLE
#define PRIVATE KL_FLAG_PRIVATE
#define AES CKK_AES
#define GENERIC CKK_GENERIC_SECRET
#define TRUSTED_ONLY KL_FLAG_WRAP_WITH_TRUSTED

static const struct {
    uint32_t on, off;
} patterns[WALK_PATTERNS] = {
    [WALK_FOR_CIPHERS] = { S | TRUSTED_ONLY, MAC | WRAP | DERIVE },
    [WALK_FOR_DERIVING] = { S, CIPHER | MAC | WRAP },
    [WALK_SENSITIVE_ONLY] = { S, 0 },
    [WALK_WEAK] = { X, S },
};

/* What is drawn here. */
const struct walk_template walk_generated[] = {
    { "a cipher key", CIPHER | S, X, 0, 0, AES, 32 },
    { "a cipher key that may leave", CIPHER | S | X, 0, 0, 0, AES, 32 },
    { "a cipher key that may leave under trusted keys", CIPHER | S | X | TRUSTED_ONLY, 0, 0, 0, AES, 32 },
    { "a readable cipher key that may leave under trusted keys", CIPHER | X | TRUSTED_ONLY, S, 0, 0, AES, 32 },
    { "a public wrapping key for cipher keys", WRAP | S, X | PRIVATE, WALK_FOR_CIPHERS, 0, AES, 32 },
    { "a public wrapping key for deriving keys", WRAP | S, X | PRIVATE, WALK_FOR_DERIVING, 0, AES, 32 },
    { "a public wrapping key that restores sensitivity alone", WRAP | S, X | PRIVATE, WALK_SENSITIVE_ONLY, 0, AES, 32 },
    { "a public wrapping key that restores nothing", WRAP | S, X | PRIVATE, 0, 0, AES, 32 },
    { "a public wrapping key that may leave", WRAP | S | X, PRIVATE, WALK_FOR_CIPHERS, 0, AES, 32 },
    { "a public wrapping key that is not sensitive", WRAP, S | X | PRIVATE, WALK_FOR_CIPHERS, 0, AES, 32 },
    { "a deriving key", DERIVE | S, X, 0, 0, AES, 32 },
    { "a deriving key that may leave", DERIVE | S | X, 0, 0, 0, AES, 32 },
    { "a deriving key that may leave and wants weak children", DERIVE | S | X, 0, 0, WALK_WEAK, AES, 32 },
    { "a readable deriving key", DERIVE | X, S, 0, 0, AES, 32 },
    { "a deriving key of one byte", DERIVE | S, X, 0, 0, GENERIC, 1 },
    { "a MAC key that may leave", MAC | S | X, 0, 0, 0, GENERIC, 32 },
    { "a public key that wraps and decrypts", WRAP | CIPHER | S, X | PRIVATE, WALK_FOR_CIPHERS, 0, AES, 32 },
    { "a key that signs and derives", MAC | DERIVE | S, X, 0, 0, GENERIC, 32 },
};
const size_t walk_generated_count = WALK_COUNT(walk_generated);

/* Bytes that the attacker chose, always the same. */
const struct walk_template walk_imported[] = {
    { "as a public wrapping key for cipher keys", WRAP | S, PRIVATE, WALK_FOR_CIPHERS, 0, AES, 0 },
    { "as a deriving key", DERIVE | S, 0, 0, 0, AES, 0 },
    { "as a readable deriving key", DERIVE | X, S, 0, 0, AES, 0 },
};
const size_t walk_imported_count = WALK_COUNT(walk_imported);

/* The first four in every way of deriving, the others with the whole HKDF. */
const struct walk_template walk_derived[] = {
    { "a cipher key", CIPHER, 0, 0, 0, AES, 32 },
    { "a MAC key", MAC, 0, 0, 0, GENERIC, 32 },
    { "a deriving key", DERIVE, 0, 0, 0, AES, 32 },
    { "a cipher key of 128 bits", CIPHER, 0, 0, 0, AES, 16 },
    { "a wrapping key", WRAP, PRIVATE, WALK_FOR_CIPHERS, 0, AES, 32 },
    { "a readable cipher key", CIPHER | X, S, 0, 0, AES, 32 },
    { "a cipher key that may leave", CIPHER | X, 0, 0, 0, AES, 32 },
    { "a MAC key of one byte", MAC, 0, 0, 0, GENERIC, 1 },
    { "whatever the key wants", 0, 0, 0, 0, AES, 32 },
};
const size_t walk_derived_count = WALK_COUNT(walk_derived);

const struct walk_template walk_unwrapped[] = {
    { "as a cipher key", CIPHER | S, 0, 0, 0, AES, 0 },
    { "as a readable cipher key", CIPHER | X, S, 0, 0, AES, 0 },
    { "as a MAC key", MAC | S, 0, 0, 0, GENERIC, 0 },
    { "as a deriving key that may leave", DERIVE | S | X, 0, 0, 0, AES, 0 },
    { "as a wrapping key", WRAP | S, PRIVATE, WALK_FOR_CIPHERS, 0, AES, 0 },
};
const size_t walk_unwrapped_count = WALK_COUNT(walk_unwrapped);

/* For C_SetAttributeValue and C_CopyObject: nothing, everything that would make a key laxer, and some that make it stricter. */
const struct walk_template walk_changes[] = {
    { "as it is", 0, 0, 0, 0, 0, 0 },
    { "not sensitive", 0, S, 0, 0, 0, 0 },
    { "extractable", X, 0, 0, 0, 0, 0 },
    { "under any wrapping key", 0, TRUSTED_ONLY, 0, 0, 0, 0 },
    { "trusted", KL_FLAG_TRUSTED, 0, 0, 0, 0, 0 },
    { "public", 0, PRIVATE, 0, 0, 0, 0 },
    { "a cipher key", CIPHER, 0, 0, 0, 0, 0 },
    { "a MAC key", MAC, 0, 0, 0, 0, 0 },
    { "a wrapping key", WRAP, 0, 0, 0, 0, 0 },
    { "a deriving key", DERIVE, 0, 0, 0, 0, 0 },
    { "sensitive", S, 0, 0, 0, 0, 0 },
    { "not extractable", 0, X, 0, 0, 0, 0 },
    { "not wrapping", 0, KL_FLAG_WRAP, 0, 0, 0, 0 },
    { "of no use", 0, KL_USAGE_FLAGS, 0, 0, 0, 0 },
};
const size_t walk_changes_count = WALK_COUNT(walk_changes);

/* Session keys of the ladder. */
const struct walk_template walk_grown[] = {
    { "a record key", 0, 0, 0, 0, 0, 0 },
    { "a record key that may leave", X, 0, 0, 0, 0, 0 },
    { "a record key that can be read", X, S, 0, 0, 0, 0 },
    { "a record key that can be copied", KL_FLAG_COPYABLE, 0, 0, 0, 0, 0 },
    { "a record key with children", DERIVE, 0, 0, 0, 0, 0 },
    { "a record key that wraps and decrypts", CIPHER | WRAP, 0, 0, 0, 0, 0 },
    { "a record key that signs", MAC, 0, 0, 0, 0, 0 },
};
const size_t walk_grown_count = WALK_COUNT(walk_grown);

/* --- as callers write them --- */

#define ATTRIBUTES_MAX 20
#define TEMPLATES_MAX 80
#define STORED_MAX 300

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
static struct {
    CK_ATTRIBUTE items[ATTRIBUTES_MAX];
    CK_ULONG count;
} wishes[WALK_PATTERNS];
static struct {
    uint8_t bytes[STORED_MAX];
    size_t len;
} stored[WALK_PATTERNS];
static struct {
    const struct walk_template *template;
    CK_KEY_TYPE type;
    struct kl_asked asked;
} asked[TEMPLATES_MAX];
static size_t asked_count;

static CK_ULONG add_flags(CK_ATTRIBUTE *items, uint32_t on, uint32_t off)
{
    const struct kl_attr_table *table = kl_attr_table_of(CKO_SECRET_KEY);
    CK_ULONG count = 0;

    for (size_t i = 0; i < table->count; i++) {
        uint32_t flag = table->rows[i].flag;

        if (!(flag & (on | off))) continue;
        items[count++] = (CK_ATTRIBUTE){ table->rows[i].type, flag & on ? &yes : &no, 1 };
    }
    return count;
}

/* The pattern as the draft code stores it. */
static void store(enum walk_pattern which)
{
    CK_ATTRIBUTE attribute = { CKA_UNWRAP_TEMPLATE, wishes[which].items, wishes[which].count * sizeof(CK_ATTRIBUTE) };
    struct kl_applying applying = { KL_ON_GENERATE, KL_POLICY_STANDARD, false };
    static struct kl_draft draft;
    struct kl_asked one;
    struct kl_view view = { NULL, 0 };

    kl_draft_begin(&draft, CKO_SECRET_KEY);
    if (kl_asked_read(&attribute, 1, &one) == KL_OK && kl_draft_apply(&draft, &one, applying) == KL_OK)
        view = kl_record_extra(&draft.record, CKA_UNWRAP_TEMPLATE);
    stored[which].len = view.len;
    if (view.len <= STORED_MAX) memcpy(stored[which].bytes, view.data, view.len);
}

static void add_pattern(CK_ATTRIBUTE *items, CK_ULONG *count, CK_ATTRIBUTE_TYPE type, enum walk_pattern which)
{
    if (which == WALK_NO_PATTERN) return;
    items[(*count)++] = (CK_ATTRIBUTE){ type, wishes[which].items, wishes[which].count * sizeof(CK_ATTRIBUTE) };
}

/* In the static tables above, so that a template is found by its address. */
static void write_template(const struct walk_template *template)
{
    CK_ATTRIBUTE items[ATTRIBUTES_MAX];
    CK_ULONG count = add_flags(items, template->on, template->off);

    asked[asked_count].template = template;
    asked[asked_count].type = template->type;
    if (template->type) items[count++] = (CK_ATTRIBUTE){ CKA_KEY_TYPE, &asked[asked_count].type, sizeof template->type };
    if (template->len) {
        static CK_ULONG lens[TEMPLATES_MAX];

        lens[asked_count] = template->len;
        items[count++] = (CK_ATTRIBUTE){ CKA_VALUE_LEN, &lens[asked_count], sizeof template->len };
    }
    add_pattern(items, &count, CKA_UNWRAP_TEMPLATE, template->unwrap);
    add_pattern(items, &count, CKA_DERIVE_TEMPLATE, template->derive);
    if (kl_asked_read(items, count, &asked[asked_count].asked) == KL_OK) asked_count++;
}

void walk_templates_begin(void)
{
    static const struct {
        const struct walk_template *first;
        size_t count;
    } lists[] = {
        { walk_generated, WALK_COUNT(walk_generated) }, { walk_imported, WALK_COUNT(walk_imported) },
        { walk_derived, WALK_COUNT(walk_derived) },     { walk_unwrapped, WALK_COUNT(walk_unwrapped) },
        { walk_changes, WALK_COUNT(walk_changes) },     { walk_grown, WALK_COUNT(walk_grown) },
    };

    for (size_t which = WALK_NO_PATTERN + 1; which < WALK_PATTERNS; which++) {
        wishes[which].count = add_flags(wishes[which].items, patterns[which].on, patterns[which].off);
        store((enum walk_pattern)which);
    }
    for (size_t list = 0; list < WALK_COUNT(lists); list++) {
        for (size_t i = 0; i < lists[list].count; i++) write_template(&lists[list].first[i]);
    }
}

const struct kl_asked *walk_asked(const struct walk_template *template)
{
    static const struct kl_asked nothing;

    for (size_t i = 0; i < asked_count; i++) {
        if (asked[i].template == template) return &asked[i].asked;
    }
    return &nothing;
}

struct kl_view walk_pattern_stored(enum walk_pattern pattern)
{
    return pattern == WALK_NO_PATTERN ? kl_view_of(NULL, 0) : kl_view_of(stored[pattern].bytes, stored[pattern].len);
}

enum walk_pattern walk_pattern_of(struct kl_view view)
{
    size_t which = WALK_NO_PATTERN;

    while (++which < WALK_PATTERNS) {
        if (view.data && kl_view_is(view, walk_pattern_stored((enum walk_pattern)which))) return (enum walk_pattern)which;
    }
    return WALK_NO_PATTERN;
}
