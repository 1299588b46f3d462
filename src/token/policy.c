/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/policy.h"

#include <string.h>

#include "token/attr.h"
#include "token/mech.h"
#include "token/pattern.h"

/* --- what the rules ask --- */

typedef bool rule_fn(enum kl_policy policy, const struct kl_deed *deed);

static bool has(const struct kl_record *record, uint32_t flags)
{
    return kl_record_has(record, flags);
}

static bool is_ladder(const struct kl_record *record)
{
    return kl_level_is_ladder(record->level);
}

static bool is_set(const uint8_t date[8])
{
    return date[0] != 0;
}

/* --- a free key comes to be --- */

static bool has_one_role(enum kl_policy policy, const struct kl_deed *deed)
{
    static const uint32_t roles[] = {
        KL_FLAG_ENCRYPT | KL_FLAG_DECRYPT,
        KL_FLAG_SIGN | KL_FLAG_VERIFY,
        KL_FLAG_WRAP | KL_FLAG_UNWRAP,
        KL_FLAG_DERIVE,
    };
    unsigned count = 0;

    (void)policy;
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) count += (deed->key->flags & roles[i]) != 0;
    return count <= 1;
}

static bool child_is_as_private(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    return !deed->other || !has(deed->other, KL_FLAG_PRIVATE) || has(deed->key, KL_FLAG_PRIVATE);
}

static bool child_is_as_sensitive(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    return !deed->other || !has(deed->other, KL_FLAG_SENSITIVE) || has(deed->key, KL_FLAG_SENSITIVE);
}

static bool child_stays_as_its_parent_does(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    if (!deed->other || !has(deed->other, KL_FLAG_SENSITIVE) || has(deed->other, KL_FLAG_EXTRACTABLE)) return true;
    return !has(deed->key, KL_FLAG_EXTRACTABLE);
}

/* One byte can be guessed by what the key does, and then the next: children of one request are prefixes of each other. */
static bool child_cannot_be_guessed(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    return !deed->other || !has(deed->other, KL_FLAG_SENSITIVE) || deed->key->value_len >= KL_KEY_BITS_SAFE / 8;
}

static bool stored_key_is_sensitive(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    return !deed->is_token || has(deed->key, KL_FLAG_SENSITIVE);
}

static bool brought_key_is_not_constant(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    for (size_t i = 1; i < deed->value.len; i++) {
        if (deed->value.data[i] != deed->value.data[0]) return true;
    }
    return deed->value.len == 0;
}

/* --- a ladder key comes to be. Named only to be refused: silence means the safe value. --- */

static bool ladder_key_asks_nothing_unsafe(enum kl_policy policy, const struct kl_deed *deed)
{
    uint32_t unwanted = KL_FLAG_EXTRACTABLE | KL_FLAG_COPYABLE | KL_FLAG_TRUSTED | (deed->is_token ? KL_FLAG_DESTROYABLE : 0);

    (void)policy;
    return (deed->key->flags & deed->named & unwanted) == 0;
}

static bool ladder_key_declines_nothing_safe(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    return (~deed->key->flags & deed->named & (KL_FLAG_PRIVATE | KL_FLAG_SENSITIVE)) == 0;
}

static bool record_key_has_no_children(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    return deed->key->level != KL_LEVEL_REK || !has(deed->key, KL_FLAG_DERIVE);
}

/* --- attributes change --- */

static bool officer_makes_trusted(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    return !(deed->rules & KL_BY_SO) || deed->from == deed->to || deed->is_so;
}

static bool is_moved(const struct kl_deed *deed, enum kl_rule rule)
{
    return deed->is_there && deed->from != deed->to && (deed->rules & (unsigned)rule) != 0;
}

static bool what_only_rises_is_not_lowered(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    return !is_moved(deed, KL_ONLY_UP) || deed->to;
}

static bool what_is_locked_stays(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    return !is_moved(deed, KL_LOCKED) || !deed->to;
}

static bool what_only_falls_is_not_raised(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    return !is_moved(deed, KL_ONLY_DOWN) || !deed->to;
}

static bool time_is_only_narrowed(enum kl_policy policy, const struct kl_deed *deed)
{
    int order = memcmp(deed->date_to, deed->date_from, 8);

    (void)policy;
    if (!deed->is_there || !is_set(deed->date_from)) return true;
    return is_set(deed->date_to) && (deed->is_end_date ? order <= 0 : order >= 0);
}

static bool is_modifiable(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    return has(deed->key, KL_FLAG_MODIFIABLE);
}

/* A copy of a ladder key would outlive its rotation and its destruction. */
static bool is_copyable(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    return !is_ladder(deed->key) && has(deed->key, KL_FLAG_COPYABLE);
}

static bool stored_ladder_key_waits(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    return !deed->is_token || !is_ladder(deed->key);
}

static bool is_destroyable(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    return has(deed->key, KL_FLAG_DESTROYABLE);
}

/* --- bytes leave in clear --- */

static bool is_readable(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    return !is_ladder(deed->key) && !has(deed->key, KL_FLAG_SENSITIVE) && has(deed->key, KL_FLAG_EXTRACTABLE);
}

/* The same request to HKDF_DATA and to HKDF_DERIVE gives the same bytes, once in clear and once as a sensitive key. */
static bool tells_nothing_secret(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    return !has(deed->key, KL_FLAG_SENSITIVE);
}

/*
 * A derived key can be made twice, once to sign and once to derive; a MAC is a pseudo-random function, and so would tell the
 * children's bytes. What was drawn here has one role for ever.
 */
static bool prf_key_was_drawn_here(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    return !has(deed->key, KL_FLAG_SENSITIVE) || has(deed->key, KL_FLAG_LOCAL);
}

/* The MACs of a pseudo-random key are the bytes of everything that the whole HKDF derives. */
static bool prk_does_not_sign(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    return !has(deed->other, KL_FLAG_SENSITIVE) || (deed->key->flags & (KL_FLAG_SIGN | KL_FLAG_VERIFY)) == 0;
}

/*
 * A salt is the key of a function whose input is the base. Where a caller knows that input, expanding the salt gives the same bytes,
 * as a key that may sign; and a key that is derived, or drawn with fewer bits than this, is one that he may know.
 */
static bool secret_salt_meets_a_secret(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    if (!has(deed->key, KL_FLAG_SENSITIVE)) return true;
    return has(deed->other, KL_FLAG_LOCAL | KL_FLAG_ALWAYS_SENSITIVE) && deed->other->value_len >= KL_KEY_BITS_SAFE / 8;
}

/* --- a key is used --- */

static bool mechanism_is_offered(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    return !kl_mech_is_compatible_only(deed->mech, deed->usage);
}

static bool root_mechanism_is_for_the_master(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    return !deed->mech->of_root || deed->key->level == KL_LEVEL_MASTER;
}

/* The root's own mechanism is the permission, and so are its roots' rights: the master has no other use but deriving. */
static bool usage_is_allowed(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    return deed->mech->of_root || has(deed->key, deed->usage);
}

/* To protect something new; the rest is to undo it. */
static bool is_protecting(uint32_t usage)
{
    return (usage & (KL_FLAG_ENCRYPT | KL_FLAG_SIGN | KL_FLAG_WRAP)) != 0;
}

static bool state_lets_protect(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    return !is_protecting(deed->usage) || (kl_state_can_encrypt(deed->key->state) && kl_state_can_encrypt(deed->parent));
}

/* v3.1 4.8: dates of a free key bind; those of a ladder key inform, its state decides (DESIGN 4.4). */
static bool today_is_in_time(enum kl_policy policy, const struct kl_deed *deed)
{
    const struct kl_record *key = deed->key;

    (void)policy;
    if (!is_protecting(deed->usage) || is_ladder(key)) return true;
    if (is_set(key->start_date) && memcmp(deed->today, key->start_date, 8) < 0) return false;
    return !is_set(key->end_date) || memcmp(deed->today, key->end_date, 8) <= 0;
}

static bool state_lets_undo(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    return kl_state_can_decrypt(deed->key->state) && kl_state_can_decrypt(deed->parent);
}

static bool mechanism_is_on_the_keys_list(enum kl_policy policy, const struct kl_deed *deed)
{
    struct kl_view list = kl_record_extra(deed->key, CKA_ALLOWED_MECHANISMS);
    struct kl_reader reader = kl_reader_of(list);

    (void)policy;
    if (!list.data) return true;
    while (reader.len > 0 && !reader.bad) {
        if (kl_read_u64(&reader) == deed->mech->type) return true;
    }
    return false;
}

static bool ladder_key_has_a_subkey_for_it(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    if (!is_ladder(deed->key)) return true;
    return deed->mech->on_ladder && !(deed->mech->free_wraps_only && (deed->usage & (KL_FLAG_WRAP | KL_FLAG_UNWRAP)));
}

static bool takes(const struct kl_mech *mech, uint64_t type)
{
    for (size_t i = 0; i < mech->key_type_count; i++) {
        if (mech->key_types[i] == type) return true;
    }
    return false;
}

static bool key_has_the_type(enum kl_policy policy, const struct kl_deed *deed)
{
    const struct kl_mech *mech = deed->mech;

    if (takes(mech, deed->key->key_type)) return true;
    if (is_ladder(deed->key)) return mech->any_ladder_type || deed->usage == KL_FLAG_DERIVE;
    return policy == KL_POLICY_COMPATIBLE && mech->aes_if_compatible && deed->key->key_type == CKK_AES;
}

static bool key_has_the_size(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    return deed->key->value_len >= deed->mech->min_key && deed->key->value_len <= deed->mech->max_key;
}

static bool key_stays_with_its_family(enum kl_policy policy, const struct kl_deed *deed)
{
    struct kl_view family = kl_record_extra(deed->key, KL_EXTRA_FAMILY);

    (void)policy;
    return is_ladder(deed->key) || family.len != 1 || family.data[0] == (uint8_t)deed->mech->family;
}

/* --- a key leaves under another --- */

static bool can_leave(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    return !is_ladder(deed->other) && has(deed->other, KL_FLAG_EXTRACTABLE);
}

static bool wraps_another_key(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    return memcmp(deed->key->id, deed->other->id, sizeof deed->key->id) != 0;
}

static bool trusted_where_asked_for(enum kl_policy policy, const struct kl_deed *deed)
{
    (void)policy;
    return !has(deed->other, KL_FLAG_WRAP_WITH_TRUSTED) || has(deed->key, KL_FLAG_TRUSTED);
}

static bool leaves_sensitive(enum kl_policy policy, const struct kl_deed *deed)
{
    if (!has(deed->other, KL_FLAG_SENSITIVE)) return false;
    return policy != KL_POLICY_COMPATIBLE || has(deed->other, KL_FLAG_WRAP_WITH_TRUSTED);
}

/* Only bytes that were drawn here, and never seen outside, can have one role whatever else was made of them. */
static bool sensitive_leaves_under_trusted(enum kl_policy policy, const struct kl_deed *deed)
{
    uint32_t wanted = KL_FLAG_TRUSTED | KL_FLAG_LOCAL | KL_FLAG_ALWAYS_SENSITIVE | KL_FLAG_NEVER_EXTRACTABLE;

    return !leaves_sensitive(policy, deed) || has(deed->key, wanted);
}

/* Would an unwrapping that asks for the laxest value still have the one that `key` has? */
static bool is_restored(const struct kl_attr_spec *spec, const struct kl_subject *key, const struct kl_pattern *pattern)
{
    const struct kl_attr *named = kl_asked_find(&pattern->asked, spec->type);
    struct kl_scratch scratch;
    struct kl_view value = kl_attr_get(spec, key, &scratch);

    return named && kl_view_is(named->value, value);
}

static bool is_restricting(const struct kl_attr_spec *spec, const struct kl_subject *key)
{
    struct kl_scratch scratch;

    /* Who sees a key does not matter to its value. */
    if (spec->type == CKA_PRIVATE || !(spec->rules & KL_ON_UNWRAP)) return false;
    if (spec->form == KL_BOOL && (spec->rules & KL_ONLY_UP)) return has(key->record, spec->flag);
    if (spec->form == KL_BOOL && (spec->rules & KL_ONLY_DOWN)) return !has(key->record, spec->flag);
    return (spec->form == KL_DATE || spec->form == KL_LIST || spec->form == KL_PATTERN) && kl_attr_get(spec, key, &scratch).len > 0;
}

static bool restrictions_come_back(enum kl_policy policy, const struct kl_deed *deed)
{
    const struct kl_attr_table *table = kl_attr_table_of(CKO_SECRET_KEY);
    struct kl_subject key = { .record = deed->other };
    struct kl_pattern pattern;

    if (!leaves_sensitive(policy, deed)) return true;
    if (kl_pattern_read(kl_record_extra(deed->key, CKA_UNWRAP_TEMPLATE), &pattern) != KL_OK) return false;
    /* That it has kept to one family so far cannot be told to the key that comes back, but by a list. */
    if (kl_record_extra(deed->other, KL_EXTRA_FAMILY).data && !kl_record_extra(deed->other, CKA_ALLOWED_MECHANISMS).data) return false;
    for (size_t i = 0; i < table->count; i++) {
        if (is_restricting(&table->rows[i], &key) && !is_restored(&table->rows[i], &key, &pattern)) return false;
    }
    return true;
}

/* AES stops at 256 bits: longer secrets have no stronger wrapping. */
static bool wrapping_is_as_strong(enum kl_policy policy, const struct kl_deed *deed)
{
    uint32_t strength = deed->other->value_len < 32 ? deed->other->value_len : 32;

    (void)policy;
    return deed->key->value_len >= strength;
}

static bool fits_the_wrap_template(enum kl_policy policy, const struct kl_deed *deed)
{
    const struct kl_attr_table *table = kl_attr_table_of(CKO_SECRET_KEY);
    struct kl_subject key = { .record = deed->other, .is_token = deed->is_token };
    struct kl_pattern pattern;

    (void)policy;
    if (kl_pattern_read(kl_record_extra(deed->key, CKA_WRAP_TEMPLATE), &pattern) != KL_OK) return false;
    for (size_t i = 0; i < pattern.asked.count; i++) {
        const struct kl_attr_spec *spec = kl_attr_find(table, pattern.asked.items[i].type);

        if (!spec || !is_restored(spec, &key, &pattern)) return false;
    }
    return true;
}

/* --- the rules, in the order in which they are judged --- */

#define ALL (1u << KL_POLICY_STANDARD | 1u << KL_POLICY_STRICT | 1u << KL_POLICY_COMPATIBLE)
#define SAFE (1u << KL_POLICY_STANDARD | 1u << KL_POLICY_STRICT)
#define STRICT (1u << KL_POLICY_STRICT)

struct rule {
    const char *name;
    unsigned policies;
    rule_fn *holds;
    enum kl_rc rc;
    const char *words; /* NULL: those of the result */
};

/* clang-format off */
static const struct rule of_make[] = {
    { "one role", SAFE, has_one_role, KL_TEMPLATE,
      "a key has one role: encrypt and decrypt, sign and verify, wrap and unwrap, or derive" },
    { "private child", ALL, child_is_as_private, KL_TEMPLATE, "a private key has private children" },
    { "sensitive child", ALL, child_is_as_sensitive, KL_TEMPLATE, "a sensitive key has sensitive children" },
    { "unextractable child", ALL, child_stays_as_its_parent_does, KL_TEMPLATE,
      "what comes from a key that may not leave may not leave" },
    { "child of 128 bits", ALL, child_cannot_be_guessed, KL_ATTR_VALUE,
      "what comes from a sensitive key has 128 bits or more, so that nobody can try them all" },
    { "stored keys are sensitive", STRICT, stored_key_is_sensitive, KL_TEMPLATE,
      "policy = strict stores no key that can be read" },
    { "no constant key", STRICT, brought_key_is_not_constant, KL_ATTR_VALUE, "the bytes of the key are all the same" },
};
static const struct rule of_grow[] = {
    { "ladder key, nothing unsafe", ALL, ladder_key_asks_nothing_unsafe, KL_TEMPLATE,
      "a ladder key is not extractable, not copyable, not trusted, and destroyed by the tool alone" },
    { "ladder key, all safe", ALL, ladder_key_declines_nothing_safe, KL_TEMPLATE, "a ladder key is private and sensitive" },
    { "record key without children", ALL, record_key_has_no_children, KL_TEMPLATE,
      "a record key, or any session key of the ladder, has no children" },
};
static const struct rule of_flag[] = {
    { "officer trusts", ALL, officer_makes_trusted, KL_ATTR_READ_ONLY, "only the security officer sets CKA_TRUSTED" },
    { "only up", ALL, what_only_rises_is_not_lowered, KL_ATTR_READ_ONLY, NULL },
    { "locked", ALL, what_is_locked_stays, KL_PROHIBITED, NULL },
    { "only down", ALL, what_only_falls_is_not_raised, KL_ATTR_READ_ONLY, NULL },
};
static const struct rule of_date[] = {
    { "dates narrow", ALL, time_is_only_narrowed, KL_ATTR_READ_ONLY, "a key's dates are only ever narrowed" },
};
static const struct rule of_change[] = {
    { "modifiable", ALL, is_modifiable, KL_PROHIBITED, NULL },
};
static const struct rule of_copy[] = {
    { "copyable", ALL, is_copyable, KL_PROHIBITED, NULL },
};
static const struct rule of_destroy[] = {
    { "ladder keys wait", ALL, stored_ladder_key_waits, KL_PROHIBITED,
      "keys of the ladder are destroyed with the keyladder tool, after a waiting time" },
    { "destroyable", ALL, is_destroyable, KL_PROHIBITED, NULL },
};
static const struct rule of_read[] = {
    { "readable", ALL, is_readable, KL_ATTR_SENSITIVE, NULL },
};
static const struct rule of_digest[] = {
    { "digestible", ALL, is_readable, KL_INDIGESTIBLE, "only a key that can be read can be digested" },
};
static const struct rule of_tell[] = {
    { "no telling", SAFE, tells_nothing_secret, KL_KEY_FUNCTION,
      "data derived from a sensitive key could be the bytes of a sensitive child" },
};
static const struct rule of_prf[] = {
    { "own function key", SAFE, prf_key_was_drawn_here, KL_KEY_FUNCTION,
      "a sensitive key that was not generated here derives by HKDF with extraction" },
};
static const struct rule of_prk[] = {
    { "no signing prk", SAFE, prk_does_not_sign, KL_TEMPLATE,
      "what is extracted from a sensitive key and not expanded does not sign" },
};
static const struct rule of_salt[] = {
    { "secret salt", SAFE, secret_salt_meets_a_secret, KL_KEY_FUNCTION,
      "a sensitive key is a salt only for a sensitive key of 128 bits that was generated here" },
};
static const struct rule of_use[] = {
    { "mechanism offered", SAFE, mechanism_is_offered, KL_MECHANISM, "offered with policy = compatible only" },
    { "root's mechanism", ALL, root_mechanism_is_for_the_master, KL_KEY_FUNCTION, NULL },
    { "usage", ALL, usage_is_allowed, KL_KEY_FUNCTION, NULL },
    { "state to protect", ALL, state_lets_protect, KL_KEY_FUNCTION, "this version of the key protects nothing new any more" },
    { "in time", ALL, today_is_in_time, KL_KEY_FUNCTION, "today lies outside the key's start and end date" },
    { "state to undo", ALL, state_lets_undo, KL_KEY_FUNCTION, "this version of the key cannot be used any more" },
    { "allowed mechanisms", ALL, mechanism_is_on_the_keys_list, KL_MECHANISM,
      "the mechanism is not among the key's CKA_ALLOWED_MECHANISMS" },
    { "ladder mechanisms", ALL, ladder_key_has_a_subkey_for_it, KL_KEY_FUNCTION,
      "ladder keys are used with AEAD, CTR, HMAC, KW, KWP and envelopes" },
    { "key type", ALL, key_has_the_type, KL_KEY_TYPE, NULL },
    { "key size", ALL, key_has_the_size, KL_KEY_SIZE, NULL },
    { "one family", STRICT, key_stays_with_its_family, KL_KEY_FUNCTION,
      "with policy = strict a key stays with the kind of mechanism that it was first used with" },
};
static const struct rule of_wrap[] = {
    { "extractable", ALL, can_leave, KL_KEY_UNEXTRACTABLE, NULL },
    { "not itself", ALL, wraps_another_key, KL_NOT_WRAPPABLE, "a key does not wrap itself" },
    { "trusted if asked for", ALL, trusted_where_asked_for, KL_NOT_WRAPPABLE,
      "the key is CKA_WRAP_WITH_TRUSTED and the wrapping key is not trusted" },
    { "sensitive under trusted", ALL, sensitive_leaves_under_trusted, KL_NOT_WRAPPABLE,
      "a sensitive key leaves under a CKA_TRUSTED wrapping key that was generated here and never could leave" },
    { "restrictions come back", ALL, restrictions_come_back, KL_NOT_WRAPPABLE,
      "the wrapping key's CKA_UNWRAP_TEMPLATE does not give back everything that restricts the key" },
    { "no weak wrapping", ALL, wrapping_is_as_strong, KL_WRAPPING_SIZE, "the wrapping key is weaker than the key" },
    { "wrap template", ALL, fits_the_wrap_template, KL_KEY_HANDLE,
      "the key is not as the wrapping key's CKA_WRAP_TEMPLATE wants it" },
};
/* clang-format on */

/* A deed is judged by its own rules, of which a template of many attributes has many judged. */
#define RULES(list)                           \
    {                                         \
        (list), sizeof(list) / sizeof *(list) \
    }
static const struct rules {
    const struct rule *items;
    size_t count;
} rules[KL_DEEDS] = {
    [KL_DEED_MAKE] = RULES(of_make),       [KL_DEED_GROW] = RULES(of_grow),     [KL_DEED_FLAG] = RULES(of_flag),
    [KL_DEED_DATE] = RULES(of_date),       [KL_DEED_CHANGE] = RULES(of_change), [KL_DEED_COPY] = RULES(of_copy),
    [KL_DEED_DESTROY] = RULES(of_destroy), [KL_DEED_READ] = RULES(of_read),     [KL_DEED_DIGEST] = RULES(of_digest),
    [KL_DEED_TELL] = RULES(of_tell),       [KL_DEED_PRF] = RULES(of_prf),       [KL_DEED_PRK] = RULES(of_prk),
    [KL_DEED_SALT] = RULES(of_salt),       [KL_DEED_USE] = RULES(of_use),       [KL_DEED_WRAP] = RULES(of_wrap),
};

/* Numbered from the first deed's first; there is one of that number. */
static const struct rule *rule_at(size_t number)
{
    const struct rules *list = rules;

    for (; number >= list->count; list++) number -= list->count;
    return &list->items[number];
}

static enum kl_rc judge(enum kl_policy policy, const struct kl_deed *deed, const struct rule *left_out)
{
    const struct rules *list = &rules[deed->kind];

    for (size_t i = 0; i < list->count; i++) {
        const struct rule *rule = &list->items[i];

        if (!(rule->policies & 1u << policy) || rule == left_out || rule->holds(policy, deed)) continue;
        return kl_fail(rule->rc, "%s", rule->words ? rule->words : kl_rc_words(rule->rc));
    }
    return KL_OK;
}

size_t kl_policy_rule_count(void)
{
    size_t count = 0;

    for (size_t kind = 0; kind < KL_DEEDS; kind++) count += rules[kind].count;
    return count;
}

const char *kl_policy_rule_name(size_t rule)
{
    return rule_at(rule)->name;
}

bool kl_policy_has_rule(enum kl_policy policy, size_t rule)
{
    return (rule_at(rule)->policies & 1u << policy) != 0;
}

enum kl_rc kl_policy_judge_without(enum kl_policy policy, const struct kl_deed *deed, size_t left_out)
{
    return judge(policy, deed, left_out < kl_policy_rule_count() ? rule_at(left_out) : NULL);
}

enum kl_rc kl_policy_judge(enum kl_policy policy, const struct kl_deed *deed)
{
    return judge(policy, deed, NULL);
}

enum kl_rc kl_policy_iv(enum kl_policy policy, const struct kl_iv_deed *deed, bool *makes)
{
    bool needs_usual = deed->is_aead && (deed->is_ladder || deed->is_token);

    *makes = deed->is_zero && (policy == KL_POLICY_STRICT || (deed->is_aead && deed->is_ladder));
    if (needs_usual && deed->len != KL_IV_USUAL) return kl_fail(KL_PARAMETER, "this key encrypts under IVs of 96 bits only");
    if (policy == KL_POLICY_STRICT && !deed->is_zero)
        return kl_fail(KL_PARAMETER, "with policy = strict the token makes every IV: send one of zero bytes, and it comes back filled in");
    return KL_OK;
}

/* --- what attributes become --- */

uint32_t kl_policy_default_usage(enum kl_level level, uint64_t key_type)
{
    uint32_t cipher = KL_FLAG_ENCRYPT | KL_FLAG_DECRYPT;

    if (level == KL_LEVEL_REK) return cipher;
    if (kl_level_is_ladder(level)) return cipher | KL_FLAG_DERIVE;
    if (key_type == KL_TYPE_AES || key_type == KL_TYPE_CHACHA20) return cipher;
    if (key_type == KL_TYPE_HKDF) return KL_FLAG_DERIVE;
    return KL_FLAG_SIGN | KL_FLAG_VERIFY;
}

static const uint32_t history = KL_FLAG_LOCAL | KL_FLAG_ALWAYS_SENSITIVE | KL_FLAG_NEVER_EXTRACTABLE | KL_FLAG_GENERATED;

uint32_t kl_policy_inherited(uint32_t base, uint32_t named, uint32_t flags)
{
    flags &= ~history;
    if (!(named & KL_FLAG_SENSITIVE)) flags |= base & KL_FLAG_SENSITIVE;
    if ((base & KL_FLAG_ALWAYS_SENSITIVE) && (flags & KL_FLAG_SENSITIVE)) flags |= KL_FLAG_ALWAYS_SENSITIVE;
    if ((base & KL_FLAG_NEVER_EXTRACTABLE) && !(flags & KL_FLAG_EXTRACTABLE)) flags |= KL_FLAG_NEVER_EXTRACTABLE;
    return flags;
}

uint32_t kl_policy_history_generated(uint32_t flags, size_t len)
{
    flags |= KL_FLAG_LOCAL;
    /* What it marks has a commitment in the store, by which a short key could be found. */
    if (!(flags & KL_FLAG_DERIVE) && len >= KL_KEY_BITS_SAFE / 8) flags |= KL_FLAG_GENERATED;
    if (flags & KL_FLAG_SENSITIVE) flags |= KL_FLAG_ALWAYS_SENSITIVE;
    if (!(flags & KL_FLAG_EXTRACTABLE)) flags |= KL_FLAG_NEVER_EXTRACTABLE;
    return flags;
}

uint32_t kl_policy_history_imported(uint32_t flags)
{
    return flags & ~history;
}

uint32_t kl_policy_ladder_flags(uint32_t flags, bool is_token)
{
    uint32_t never = KL_FLAG_EXTRACTABLE | KL_FLAG_COPYABLE | KL_FLAG_LOCAL | KL_FLAG_TRUSTED | (is_token ? KL_FLAG_DESTROYABLE : 0);
    uint32_t always = KL_FLAG_PRIVATE | KL_FLAG_SENSITIVE | KL_FLAG_ALWAYS_SENSITIVE | KL_FLAG_NEVER_EXTRACTABLE;

    return (flags & ~never) | always;
}
