/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Each rule by itself; all of them together are walked through in test_policy_walk.c. */
#include "token/policy.h"

#include "../unit.h"
#include "token/attr.h"
#include "token/mech.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define CIPHER (KL_FLAG_ENCRYPT | KL_FLAG_DECRYPT)
#define MAC (KL_FLAG_SIGN | KL_FLAG_VERIFY)
#define WRAPS (KL_FLAG_WRAP | KL_FLAG_UNWRAP)
#define HELD (KL_FLAG_SENSITIVE | KL_FLAG_ALWAYS_SENSITIVE | KL_FLAG_NEVER_EXTRACTABLE)
#define OWN (KL_FLAG_SENSITIVE | KL_FLAG_ALWAYS_SENSITIVE | KL_FLAG_LOCAL)

static const uint8_t today[8] = { '2', '0', '2', '6', '1', '1', '2', '2' };
static const uint8_t no_date[8] = { 0 };
static const uint8_t early[8] = { '2', '0', '2', '6', '0', '1', '0', '1' };
static const uint8_t late[8] = { '2', '0', '2', '7', '0', '1', '0', '1' };
static const enum kl_policy policies[] = { KL_POLICY_STANDARD, KL_POLICY_STRICT, KL_POLICY_COMPATIBLE };

/* --- a deed that every rule lets through, and what one rule has against it --- */

struct scene {
    struct kl_deed deed;
    struct kl_record key, other;
    struct kl_mech mech;
    struct kl_extra extras[4], other_extras[4];
    uint8_t list[8], family;
    uint8_t wrap_template[64], unwrap_template[256];
};

static void write_pattern(uint8_t *out, size_t room, const CK_ATTRIBUTE *attributes, size_t count, struct kl_extra *extra,
                          CK_ATTRIBUTE_TYPE type)
{
    struct kl_writer writer = { out, room, 0 };

    CU_ASSERT_EQUAL(kl_pattern_write(kl_view_of(attributes, count * sizeof *attributes), 0, &writer), KL_OK);
    *extra = (struct kl_extra){ type, kl_view_of(out, writer.len) };
}

/* A trusted key, and one that may leave under it. */
static void begin_wrap(struct scene *scene)
{
    static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    static const CK_ATTRIBUTE restored[] = {
        { CKA_SENSITIVE, &yes, 1 }, { CKA_WRAP_WITH_TRUSTED, &yes, 1 },
        { CKA_SIGN, &no, 1 },       { CKA_VERIFY, &no, 1 },
        { CKA_WRAP, &no, 1 },       { CKA_UNWRAP, &no, 1 },
        { CKA_DERIVE, &no, 1 },
    };

    scene->key.flags = WRAPS | HELD | KL_FLAG_LOCAL | KL_FLAG_TRUSTED;
    scene->other.flags = CIPHER | OWN | KL_FLAG_EXTRACTABLE | KL_FLAG_MODIFIABLE | KL_FLAG_COPYABLE | KL_FLAG_DESTROYABLE;
    write_pattern(scene->unwrap_template, sizeof scene->unwrap_template, restored, COUNT(restored), &scene->extras[0], CKA_UNWRAP_TEMPLATE);
    scene->key.extra_count = 1;
}

static void begin(struct scene *scene, enum kl_deed_kind kind)
{
    memset(scene, 0, sizeof *scene);
    scene->deed = (struct kl_deed){ .kind = kind,
                                    .key = &scene->key,
                                    .other = &scene->other,
                                    .mech = &scene->mech,
                                    .usage = KL_FLAG_ENCRYPT,
                                    .parent = KL_STATE_ACTIVE,
                                    .today = today,
                                    .date_from = no_date,
                                    .date_to = no_date };
    scene->key = (struct kl_record){ .id = { 1 }, .level = KL_LEVEL_FREE, .state = KL_STATE_ACTIVE, .class = CKO_SECRET_KEY };
    scene->key.key_type = CKK_AES;
    scene->key.value_len = 32;
    scene->other = scene->key;
    scene->other.id[0] = 2;
    scene->key.extras = scene->extras;
    scene->other.extras = scene->other_extras;
    scene->key.flags = CIPHER | HELD | KL_FLAG_PRIVATE | KL_FLAG_MODIFIABLE | KL_FLAG_COPYABLE | KL_FLAG_DESTROYABLE;
    scene->mech = (struct kl_mech){ .type = CKM_AES_GCM,
                                    .key_types = { CKK_AES },
                                    .key_type_count = 1,
                                    .min_key = 16,
                                    .max_key = 32,
                                    .family = KL_FAMILY_GCM,
                                    .on_ladder = true };
    if (kind == KL_DEED_READ || kind == KL_DEED_DIGEST) scene->key.flags = CIPHER | KL_FLAG_EXTRACTABLE;
    if (kind == KL_DEED_WRAP) begin_wrap(scene);
}

static void set_two_roles(struct scene *scene)
{
    scene->key.flags |= KL_FLAG_WRAP;
}

static void set_public_child(struct scene *scene)
{
    scene->other.flags = KL_FLAG_PRIVATE;
    scene->key.flags &= ~(uint32_t)KL_FLAG_PRIVATE;
}

static void set_open_child(struct scene *scene)
{
    scene->other.flags = KL_FLAG_SENSITIVE | KL_FLAG_EXTRACTABLE;
    scene->key.flags &= ~(uint32_t)KL_FLAG_SENSITIVE;
}

static void set_leaving_child(struct scene *scene)
{
    scene->other.flags = KL_FLAG_SENSITIVE;
    scene->key.flags |= KL_FLAG_EXTRACTABLE;
}

static void set_short_child(struct scene *scene)
{
    scene->other.flags = KL_FLAG_SENSITIVE;
    scene->key.value_len = 15;
}

static void set_stored_open(struct scene *scene)
{
    scene->deed.is_token = true;
    scene->key.flags &= ~(uint32_t)KL_FLAG_SENSITIVE;
}

static void set_constant(struct scene *scene)
{
    static const uint8_t zeroes[16];

    scene->deed.value = kl_view_of(zeroes, sizeof zeroes);
}

static void set_leaving_ladder_key(struct scene *scene)
{
    scene->key.flags |= KL_FLAG_EXTRACTABLE;
    scene->deed.named = KL_FLAG_EXTRACTABLE;
}

static void set_open_ladder_key(struct scene *scene)
{
    scene->key.flags &= ~(uint32_t)KL_FLAG_SENSITIVE;
    scene->deed.named = KL_FLAG_SENSITIVE;
}

static void set_record_key_that_derives(struct scene *scene)
{
    scene->key.level = KL_LEVEL_REK;
    scene->key.flags |= KL_FLAG_DERIVE;
}

static void set_flag(struct scene *scene, unsigned rules, bool is_there, bool to)
{
    scene->deed.rules = rules;
    scene->deed.is_there = is_there;
    scene->deed.from = !to;
    scene->deed.to = to;
}

static void set_trust_by_user(struct scene *scene)
{
    set_flag(scene, KL_BY_SO, false, true);
}

static void set_lowered(struct scene *scene)
{
    set_flag(scene, KL_ONLY_UP, true, false);
}

static void set_unlocked(struct scene *scene)
{
    set_flag(scene, KL_LOCKED, true, true);
}

static void set_raised(struct scene *scene)
{
    set_flag(scene, KL_ONLY_DOWN, true, true);
}

static void set_prolonged(struct scene *scene)
{
    scene->deed.is_there = true;
    scene->deed.is_end_date = true;
    scene->deed.date_from = early;
    scene->deed.date_to = late;
}

static void set_unmodifiable(struct scene *scene)
{
    scene->key.flags &= ~(uint32_t)KL_FLAG_MODIFIABLE;
}

static void set_uncopyable(struct scene *scene)
{
    scene->key.flags &= ~(uint32_t)KL_FLAG_COPYABLE;
}

static void set_stored_ladder_key(struct scene *scene)
{
    scene->deed.is_token = true;
    scene->key.level = KL_LEVEL_DEK;
}

static void set_undestroyable(struct scene *scene)
{
    scene->key.flags &= ~(uint32_t)KL_FLAG_DESTROYABLE;
}

static void set_sensitive(struct scene *scene)
{
    scene->key.flags |= KL_FLAG_SENSITIVE;
}

/* What `begin` gives to KL_DEED_TELL and KL_DEED_PRF is sensitive, and was not drawn here. */
static void set_nothing(struct scene *scene)
{
    (void)scene;
}

static void set_signing_prk(struct scene *scene)
{
    scene->key.flags = MAC | KL_FLAG_SENSITIVE;
    scene->other.flags = KL_FLAG_SENSITIVE;
}

static void set_known_base(struct scene *scene)
{
    scene->other.flags = KL_FLAG_SENSITIVE;
}

static void set_not_offered(struct scene *scene)
{
    scene->mech.is_compatible_only = true;
}

static void set_of_root(struct scene *scene)
{
    scene->mech.of_root = true;
}

static void set_other_usage(struct scene *scene)
{
    scene->deed.usage = KL_FLAG_DERIVE;
}

static void set_deactivated(struct scene *scene)
{
    scene->key.state = KL_STATE_DEACTIVATED;
}

static void set_too_late(struct scene *scene)
{
    memcpy(scene->key.end_date, early, sizeof early);
}

static void set_destroyed(struct scene *scene)
{
    scene->deed.usage = KL_FLAG_DECRYPT;
    scene->deed.parent = KL_STATE_DESTROYED;
}

static void set_listed_otherwise(struct scene *scene)
{
    struct kl_writer writer = { scene->list, sizeof scene->list, 0 };

    kl_write_u64(&writer, CKM_AES_CTR);
    scene->extras[0] = (struct kl_extra){ CKA_ALLOWED_MECHANISMS, kl_view_of(scene->list, writer.len) };
    scene->key.extra_count = 1;
}

static void set_off_the_ladder(struct scene *scene)
{
    scene->key.level = KL_LEVEL_FEK;
    scene->mech.on_ladder = false;
}

static void set_other_type(struct scene *scene)
{
    scene->key.key_type = CKK_CHACHA20;
}

static void set_other_size(struct scene *scene)
{
    scene->key.value_len = 33;
}

static void set_other_family(struct scene *scene)
{
    scene->family = KL_FAMILY_CTR;
    scene->extras[0] = (struct kl_extra){ KL_EXTRA_FAMILY, kl_view_of(&scene->family, 1) };
    scene->key.extra_count = 1;
}

static void set_staying(struct scene *scene)
{
    /* Not sensitive, so that nothing has to come back. */
    scene->other.flags = CIPHER;
}

static void set_itself(struct scene *scene)
{
    scene->other.id[0] = scene->key.id[0];
}

static void set_untrusted(struct scene *scene)
{
    scene->key.flags &= ~(uint32_t)KL_FLAG_TRUSTED;
    scene->other.flags = CIPHER | KL_FLAG_EXTRACTABLE | KL_FLAG_WRAP_WITH_TRUSTED;
}

static void set_brought_wrapper(struct scene *scene)
{
    scene->key.flags &= ~(uint32_t)KL_FLAG_LOCAL;
    scene->other.flags |= KL_FLAG_WRAP_WITH_TRUSTED;
}

static void set_unrestored(struct scene *scene)
{
    scene->key.extra_count = 0;
    scene->other.flags |= KL_FLAG_WRAP_WITH_TRUSTED;
}

static void set_weak_wrapper(struct scene *scene)
{
    scene->key.value_len = 16;
}

static void set_unfitting(struct scene *scene)
{
    static char label[] = "backup";
    static const CK_ATTRIBUTE wanted[] = { { CKA_LABEL, label, sizeof label - 1 } };
    struct kl_extra extra;

    write_pattern(scene->wrap_template, sizeof scene->wrap_template, wanted, 1, &extra, CKA_WRAP_TEMPLATE);
    scene->extras[1] = scene->extras[0];
    scene->extras[0] = extra;
    scene->key.extra_count = 2;
}

#define ALL (1u << KL_POLICY_STANDARD | 1u << KL_POLICY_STRICT | 1u << KL_POLICY_COMPATIBLE)
#define SAFE (1u << KL_POLICY_STANDARD | 1u << KL_POLICY_STRICT)
#define STRICT (1u << KL_POLICY_STRICT)

static const struct against {
    const char *rule;
    enum kl_deed_kind kind;
    void (*set)(struct scene *scene);
    unsigned policies; /* that refuse it */
    enum kl_rc rc;
} against[] = {
    { "one role", KL_DEED_MAKE, set_two_roles, SAFE, KL_TEMPLATE },
    { "private child", KL_DEED_MAKE, set_public_child, ALL, KL_TEMPLATE },
    { "sensitive child", KL_DEED_MAKE, set_open_child, ALL, KL_TEMPLATE },
    { "unextractable child", KL_DEED_MAKE, set_leaving_child, ALL, KL_TEMPLATE },
    { "child of 128 bits", KL_DEED_MAKE, set_short_child, ALL, KL_ATTR_VALUE },
    { "stored keys are sensitive", KL_DEED_MAKE, set_stored_open, STRICT, KL_TEMPLATE },
    { "no constant key", KL_DEED_MAKE, set_constant, STRICT, KL_ATTR_VALUE },
    { "ladder key, nothing unsafe", KL_DEED_GROW, set_leaving_ladder_key, ALL, KL_TEMPLATE },
    { "ladder key, all safe", KL_DEED_GROW, set_open_ladder_key, ALL, KL_TEMPLATE },
    { "record key without children", KL_DEED_GROW, set_record_key_that_derives, ALL, KL_TEMPLATE },
    { "officer trusts", KL_DEED_FLAG, set_trust_by_user, ALL, KL_ATTR_READ_ONLY },
    { "only up", KL_DEED_FLAG, set_lowered, ALL, KL_ATTR_READ_ONLY },
    { "locked", KL_DEED_FLAG, set_unlocked, ALL, KL_PROHIBITED },
    { "only down", KL_DEED_FLAG, set_raised, ALL, KL_ATTR_READ_ONLY },
    { "dates narrow", KL_DEED_DATE, set_prolonged, ALL, KL_ATTR_READ_ONLY },
    { "modifiable", KL_DEED_CHANGE, set_unmodifiable, ALL, KL_PROHIBITED },
    { "copyable", KL_DEED_COPY, set_uncopyable, ALL, KL_PROHIBITED },
    { "ladder keys wait", KL_DEED_DESTROY, set_stored_ladder_key, ALL, KL_PROHIBITED },
    { "destroyable", KL_DEED_DESTROY, set_undestroyable, ALL, KL_PROHIBITED },
    { "readable", KL_DEED_READ, set_sensitive, ALL, KL_ATTR_SENSITIVE },
    { "digestible", KL_DEED_DIGEST, set_sensitive, ALL, KL_INDIGESTIBLE },
    { "no telling", KL_DEED_TELL, set_nothing, SAFE, KL_KEY_FUNCTION },
    { "own function key", KL_DEED_PRF, set_nothing, SAFE, KL_KEY_FUNCTION },
    { "no signing prk", KL_DEED_PRK, set_signing_prk, SAFE, KL_TEMPLATE },
    { "secret salt", KL_DEED_SALT, set_known_base, SAFE, KL_KEY_FUNCTION },
    { "mechanism offered", KL_DEED_USE, set_not_offered, SAFE, KL_MECHANISM },
    { "root's mechanism", KL_DEED_USE, set_of_root, ALL, KL_KEY_FUNCTION },
    { "usage", KL_DEED_USE, set_other_usage, ALL, KL_KEY_FUNCTION },
    { "state to protect", KL_DEED_USE, set_deactivated, ALL, KL_KEY_FUNCTION },
    { "in time", KL_DEED_USE, set_too_late, ALL, KL_KEY_FUNCTION },
    { "state to undo", KL_DEED_USE, set_destroyed, ALL, KL_KEY_FUNCTION },
    { "allowed mechanisms", KL_DEED_USE, set_listed_otherwise, ALL, KL_MECHANISM },
    { "ladder mechanisms", KL_DEED_USE, set_off_the_ladder, ALL, KL_KEY_FUNCTION },
    { "key type", KL_DEED_USE, set_other_type, ALL, KL_KEY_TYPE },
    { "key size", KL_DEED_USE, set_other_size, ALL, KL_KEY_SIZE },
    { "one family", KL_DEED_USE, set_other_family, STRICT, KL_KEY_FUNCTION },
    { "extractable", KL_DEED_WRAP, set_staying, ALL, KL_KEY_UNEXTRACTABLE },
    { "not itself", KL_DEED_WRAP, set_itself, ALL, KL_NOT_WRAPPABLE },
    { "trusted if asked for", KL_DEED_WRAP, set_untrusted, ALL, KL_NOT_WRAPPABLE },
    { "sensitive under trusted", KL_DEED_WRAP, set_brought_wrapper, ALL, KL_NOT_WRAPPABLE },
    { "restrictions come back", KL_DEED_WRAP, set_unrestored, ALL, KL_NOT_WRAPPABLE },
    { "no weak wrapping", KL_DEED_WRAP, set_weak_wrapper, ALL, KL_WRAPPING_SIZE },
    { "wrap template", KL_DEED_WRAP, set_unfitting, ALL, KL_KEY_HANDLE },
};

static void every_rule_is_here_by_name(void)
{
    CU_ASSERT_EQUAL_FATAL(COUNT(against), kl_policy_rule_count());
    for (size_t i = 0; i < COUNT(against); i++) {
        CU_ASSERT_STRING_EQUAL(against[i].rule, kl_policy_rule_name(i));
        for (size_t p = 0; p < COUNT(policies); p++)
            CU_ASSERT_EQUAL(kl_policy_has_rule(policies[p], i), (against[i].policies & 1u << policies[p]) != 0);
    }
}

/* Where the other rules have something to give, so that only the one in question can refuse. */
static void begin_fitting(struct scene *scene, const struct against *it)
{
    begin(scene, it->kind);
    if (it->kind == KL_DEED_TELL || it->kind == KL_DEED_PRF) scene->key.flags = KL_FLAG_DERIVE;
    if (it->kind == KL_DEED_PRK) scene->other.flags = KL_FLAG_SENSITIVE;
    if (it->kind == KL_DEED_SALT) scene->other.flags = OWN;
}

static void what_has_nothing_against_it_is_allowed(void)
{
    for (size_t i = 0; i < COUNT(against); i++) {
        for (size_t p = 0; p < COUNT(policies); p++) {
            struct scene scene;

            begin_fitting(&scene, &against[i]);
            CU_ASSERT_EQUAL(kl_policy_judge(policies[p], &scene.deed), KL_OK);
        }
    }
}

static void each_rule_refuses_by_itself_with_its_code_under_its_policies(void)
{
    for (size_t i = 0; i < COUNT(against); i++) {
        for (size_t p = 0; p < COUNT(policies); p++) {
            enum kl_rc want = against[i].policies & 1u << policies[p] ? against[i].rc : KL_OK;
            struct scene scene;

            begin(&scene, against[i].kind);
            against[i].set(&scene);
            if (kl_policy_judge(policies[p], &scene.deed) != want) printf("\n    %s, policy %zu", against[i].rule, p);
            CU_ASSERT_EQUAL(kl_policy_judge(policies[p], &scene.deed), want);
            CU_ASSERT_EQUAL(kl_policy_judge_without(policies[p], &scene.deed, i), KL_OK);
        }
    }
}

static void a_refusal_says_why(void)
{
    struct scene scene;

    begin(&scene, KL_DEED_MAKE);
    set_two_roles(&scene);
    kl_fail_forget();
    CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_STANDARD, &scene.deed), KL_TEMPLATE);
    CU_ASSERT_PTR_NOT_NULL(strstr(kl_fail_words(), "one role"));
    begin(&scene, KL_DEED_CHANGE);
    set_unmodifiable(&scene);
    CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_STANDARD, &scene.deed), KL_PROHIBITED);
    CU_ASSERT_STRING_EQUAL(kl_fail_words(), kl_rc_words(KL_PROHIBITED));
}

/* --- making --- */

static enum kl_rc make(enum kl_policy policy, uint32_t flags, const struct kl_record *from)
{
    struct kl_record key = { .level = KL_LEVEL_FREE, .flags = flags, .value_len = 32 };
    struct kl_deed deed = { .kind = KL_DEED_MAKE, .key = &key, .other = from };

    return kl_policy_judge(policy, &deed);
}

static void a_free_key_has_one_role_in_every_combination(void)
{
    static const uint32_t usages[] = { KL_FLAG_ENCRYPT, KL_FLAG_DECRYPT, KL_FLAG_SIGN,  KL_FLAG_VERIFY,
                                       KL_FLAG_WRAP,    KL_FLAG_UNWRAP,  KL_FLAG_DERIVE };
    static const unsigned role_of[] = { 0, 0, 1, 1, 2, 2, 3 };

    for (uint32_t bits = 0; bits < 1u << COUNT(usages); bits++) {
        uint32_t flags = 0, roles = 0;

        for (size_t i = 0; i < COUNT(usages); i++) {
            if (!(bits & 1u << i)) continue;
            flags |= usages[i];
            roles |= 1u << role_of[i];
        }
        CU_ASSERT_EQUAL(make(KL_POLICY_STANDARD, flags, NULL), (roles & (roles - 1)) == 0 ? KL_OK : KL_TEMPLATE);
        CU_ASSERT_EQUAL(make(KL_POLICY_COMPATIBLE, flags, NULL), KL_OK);
    }
}

static void a_child_may_be_stricter_than_what_it_comes_from(void)
{
    struct kl_record open = { .flags = KL_FLAG_EXTRACTABLE };

    CU_ASSERT_EQUAL(make(KL_POLICY_STANDARD, KL_FLAG_PRIVATE | KL_FLAG_SENSITIVE, &open), KL_OK);
    CU_ASSERT_EQUAL(make(KL_POLICY_STANDARD, KL_FLAG_EXTRACTABLE, &open), KL_OK);
}

static void a_short_child_of_a_key_that_can_be_read_is_no_secret(void)
{
    struct kl_record open = { .flags = KL_FLAG_EXTRACTABLE };
    struct kl_record child = { .level = KL_LEVEL_FREE, .value_len = 1 };
    struct kl_deed deed = { .kind = KL_DEED_MAKE, .key = &child, .other = &open };

    CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_STANDARD, &deed), KL_OK);
}

static void bytes_that_differ_anywhere_are_no_constant(void)
{
    static const uint8_t bytes[] = { 7, 7, 7, 8 };
    struct kl_record key = { .level = KL_LEVEL_FREE, .flags = KL_FLAG_SENSITIVE };
    struct kl_deed deed = { .kind = KL_DEED_MAKE, .key = &key, .value = { bytes, 4 } };

    CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_STRICT, &deed), KL_OK);
    deed.value.len = 3;
    CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_STRICT, &deed), KL_ATTR_VALUE);
}

static enum kl_rc grow(enum kl_level level, bool is_token, uint32_t flags, uint32_t named)
{
    struct kl_record key = { .level = level, .flags = flags };
    struct kl_deed deed = { .kind = KL_DEED_GROW, .key = &key, .is_token = is_token, .named = named };

    return kl_policy_judge(KL_POLICY_STANDARD, &deed);
}

static void a_ladder_key_is_not_asked_to_be_weaker(void)
{
    static const uint32_t never[] = { KL_FLAG_EXTRACTABLE, KL_FLAG_COPYABLE, KL_FLAG_DESTROYABLE, KL_FLAG_TRUSTED };
    static const uint32_t always[] = { KL_FLAG_PRIVATE, KL_FLAG_SENSITIVE };
    uint32_t safe = KL_FLAG_PRIVATE | KL_FLAG_SENSITIVE;

    CU_ASSERT_EQUAL(grow(KL_LEVEL_DEK, true, safe, safe), KL_OK);
    for (size_t i = 0; i < COUNT(never); i++) {
        CU_ASSERT_EQUAL(grow(KL_LEVEL_DEK, true, safe | never[i], never[i]), KL_TEMPLATE);
        /* A default that nobody named is put right without a word. */
        CU_ASSERT_EQUAL(grow(KL_LEVEL_DEK, true, safe | never[i], 0), KL_OK);
        CU_ASSERT_EQUAL(kl_policy_ladder_flags(safe | never[i], true) & never[i], 0);
    }
    for (size_t i = 0; i < COUNT(always); i++) {
        CU_ASSERT_EQUAL(grow(KL_LEVEL_FEK, true, safe & ~always[i], always[i]), KL_TEMPLATE);
        CU_ASSERT_EQUAL(kl_policy_ladder_flags(0, true) & always[i], always[i]);
    }
    CU_ASSERT_EQUAL(grow(KL_LEVEL_REK, false, safe | KL_FLAG_DESTROYABLE, KL_FLAG_DESTROYABLE), KL_OK);
    CU_ASSERT_EQUAL(kl_policy_ladder_flags(KL_FLAG_DESTROYABLE, false) & KL_FLAG_DESTROYABLE, KL_FLAG_DESTROYABLE);
    CU_ASSERT_EQUAL(grow(KL_LEVEL_FEK, true, safe | KL_FLAG_DERIVE, KL_FLAG_DERIVE), KL_OK);
}

/* --- changing --- */

static void a_flag_goes_one_way_once_it_is_there(void)
{
    static const struct {
        unsigned rules;
        bool from, to;
        enum kl_rc rc;
    } cases[] = {
        { KL_ONLY_UP, false, true, KL_OK },
        { KL_ONLY_UP, true, false, KL_ATTR_READ_ONLY },
        { KL_ONLY_DOWN, true, false, KL_OK },
        { KL_ONLY_DOWN, false, true, KL_ATTR_READ_ONLY },
        { KL_ONLY_DOWN | KL_LOCKED, true, false, KL_OK },
        { KL_ONLY_DOWN | KL_LOCKED, false, true, KL_PROHIBITED },
        { KL_ONLY_UP, true, true, KL_OK },
        { KL_ONLY_DOWN, false, false, KL_OK },
        { 0, false, true, KL_OK },
        { 0, true, false, KL_OK },
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct kl_deed deed = { .kind = KL_DEED_FLAG, .rules = cases[i].rules, .from = cases[i].from, .to = cases[i].to };

        CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_STANDARD, &deed), KL_OK);
        deed.is_there = true;
        CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_STANDARD, &deed), cases[i].rc);
    }
}

static void the_officer_alone_gives_and_takes_trust(void)
{
    for (int to = 0; to < 2; to++) {
        struct kl_deed deed = { .kind = KL_DEED_FLAG, .rules = KL_BY_SO, .is_there = true, .from = to == 0, .to = to == 1 };

        CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_COMPATIBLE, &deed), KL_ATTR_READ_ONLY);
        deed.is_so = true;
        CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_STANDARD, &deed), KL_OK);
        deed.is_so = false;
        deed.from = deed.to;
        CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_STANDARD, &deed), KL_OK);
    }
}

static enum kl_rc move_date(bool is_there, bool is_end, const uint8_t *from, const uint8_t *to)
{
    struct kl_deed deed = { .kind = KL_DEED_DATE, .is_there = is_there, .is_end_date = is_end, .date_from = from, .date_to = to };

    return kl_policy_judge(KL_POLICY_STANDARD, &deed);
}

static void dates_only_narrow(void)
{
    CU_ASSERT_EQUAL(move_date(true, true, no_date, late), KL_OK);
    CU_ASSERT_EQUAL(move_date(true, true, late, early), KL_OK);
    CU_ASSERT_EQUAL(move_date(true, true, early, late), KL_ATTR_READ_ONLY);
    CU_ASSERT_EQUAL(move_date(true, true, early, no_date), KL_ATTR_READ_ONLY);
    CU_ASSERT_EQUAL(move_date(true, false, early, late), KL_OK);
    CU_ASSERT_EQUAL(move_date(true, false, late, early), KL_ATTR_READ_ONLY);
    CU_ASSERT_EQUAL(move_date(true, false, late, late), KL_OK);
    CU_ASSERT_EQUAL(move_date(false, true, early, late), KL_OK);
}

static enum kl_rc on_ladder(enum kl_deed_kind kind, bool is_token)
{
    struct kl_record key = { .level = KL_LEVEL_DEK, .flags = ~(uint32_t)KL_FLAG_SENSITIVE };
    struct kl_deed deed = { .kind = kind, .key = &key, .is_token = is_token };

    return kl_policy_judge(KL_POLICY_COMPATIBLE, &deed);
}

static void a_ladder_key_is_not_copied_read_or_digested_whatever_its_flags(void)
{
    CU_ASSERT_EQUAL(on_ladder(KL_DEED_COPY, true), KL_PROHIBITED);
    CU_ASSERT_EQUAL(on_ladder(KL_DEED_READ, true), KL_ATTR_SENSITIVE);
    CU_ASSERT_EQUAL(on_ladder(KL_DEED_DIGEST, true), KL_INDIGESTIBLE);
    CU_ASSERT_EQUAL(on_ladder(KL_DEED_DESTROY, true), KL_PROHIBITED);
    CU_ASSERT_EQUAL(on_ladder(KL_DEED_DESTROY, false), KL_OK);
}

static void what_is_not_extractable_is_not_readable_either(void)
{
    struct kl_record key = { .level = KL_LEVEL_FREE };
    struct kl_deed deed = { .kind = KL_DEED_READ, .key = &key };

    CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_STANDARD, &deed), KL_ATTR_SENSITIVE);
    key.flags = KL_FLAG_EXTRACTABLE;
    CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_STANDARD, &deed), KL_OK);
}

/* --- deriving --- */

static void a_salt_that_can_be_read_mixes_with_anything_and_a_secret_one_with_own_keys(void)
{
    struct kl_record salt = { .flags = 0 };
    struct kl_record base = { .value_len = 32 };
    struct kl_deed deed = { .kind = KL_DEED_SALT, .key = &salt, .other = &base };

    CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_STANDARD, &deed), KL_OK);
    salt.flags = KL_FLAG_SENSITIVE;
    base.flags = KL_FLAG_LOCAL;
    CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_STANDARD, &deed), KL_KEY_FUNCTION);
    base.flags = KL_FLAG_SENSITIVE | KL_FLAG_ALWAYS_SENSITIVE;
    CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_STANDARD, &deed), KL_KEY_FUNCTION);
    base.flags = OWN;
    CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_STANDARD, &deed), KL_OK);
    base.value_len = 15;
    CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_STANDARD, &deed), KL_KEY_FUNCTION);
}

static void a_key_that_derives_has_no_commitment(void)
{
    CU_ASSERT_EQUAL(kl_policy_history_generated(CIPHER, 32) & KL_FLAG_GENERATED, KL_FLAG_GENERATED);
    CU_ASSERT_EQUAL(kl_policy_history_generated(KL_FLAG_DERIVE, 32) & KL_FLAG_GENERATED, 0);
    CU_ASSERT_EQUAL(kl_policy_history_generated(KL_FLAG_DERIVE, 32) & KL_FLAG_LOCAL, KL_FLAG_LOCAL);
    CU_ASSERT_EQUAL(kl_policy_history_generated(CIPHER, 16) & KL_FLAG_GENERATED, KL_FLAG_GENERATED);
    CU_ASSERT_EQUAL(kl_policy_history_generated(CIPHER, 15) & (KL_FLAG_GENERATED | KL_FLAG_LOCAL), KL_FLAG_LOCAL);
}

/* --- using --- */

static enum kl_rc use(enum kl_level level, enum kl_state state, enum kl_state parent, uint32_t usage)
{
    struct scene scene;

    begin(&scene, KL_DEED_USE);
    scene.key.level = level;
    scene.key.state = state;
    scene.key.flags = usage;
    scene.deed.parent = parent;
    scene.deed.usage = usage;
    return kl_policy_judge(KL_POLICY_STANDARD, &scene.deed);
}

static void a_state_says_what_a_version_is_good_for(void)
{
    static const struct {
        enum kl_state state;
        bool protects, undoes;
    } states[] = {
        { KL_STATE_ACTIVE, true, true },       { KL_STATE_RETIRING, true, true },           { KL_STATE_DEACTIVATED, false, true },
        { KL_STATE_COMPROMISED, false, true }, { KL_STATE_PENDING_DELETION, false, false }, { KL_STATE_DESTROYED, false, false },
    };

    for (size_t i = 0; i < COUNT(states); i++) {
        enum kl_state state = states[i].state;

        CU_ASSERT_EQUAL(use(KL_LEVEL_FEK, state, state, KL_FLAG_ENCRYPT), states[i].protects ? KL_OK : KL_KEY_FUNCTION);
        CU_ASSERT_EQUAL(use(KL_LEVEL_FEK, state, state, KL_FLAG_DECRYPT), states[i].undoes ? KL_OK : KL_KEY_FUNCTION);
        /* A record key is as good as the version that it comes from. */
        CU_ASSERT_EQUAL(use(KL_LEVEL_REK, KL_STATE_ACTIVE, state, KL_FLAG_SIGN), states[i].protects ? KL_OK : KL_KEY_FUNCTION);
        CU_ASSERT_EQUAL(use(KL_LEVEL_REK, KL_STATE_ACTIVE, state, KL_FLAG_VERIFY), states[i].undoes ? KL_OK : KL_KEY_FUNCTION);
    }
}

static enum kl_rc use_between(enum kl_level level, const char *start, const char *end, uint32_t usage)
{
    struct scene scene;

    begin(&scene, KL_DEED_USE);
    scene.key.level = level;
    if (start) memcpy(scene.key.start_date, start, 8);
    if (end) memcpy(scene.key.end_date, end, 8);
    scene.deed.usage = usage;
    return kl_policy_judge(KL_POLICY_STANDARD, &scene.deed);
}

static void dates_bind_a_free_key_and_inform_on_the_ladder(void)
{
    CU_ASSERT_EQUAL(use_between(KL_LEVEL_FREE, NULL, "20261121", KL_FLAG_ENCRYPT), KL_KEY_FUNCTION);
    CU_ASSERT_EQUAL(use_between(KL_LEVEL_FREE, NULL, "20261121", KL_FLAG_DECRYPT), KL_OK);
    CU_ASSERT_EQUAL(use_between(KL_LEVEL_FREE, NULL, "20261122", KL_FLAG_ENCRYPT), KL_OK);
    CU_ASSERT_EQUAL(use_between(KL_LEVEL_FREE, "20261122", NULL, KL_FLAG_ENCRYPT), KL_OK);
    CU_ASSERT_EQUAL(use_between(KL_LEVEL_FREE, "20261123", NULL, KL_FLAG_ENCRYPT), KL_KEY_FUNCTION);
    CU_ASSERT_EQUAL(use_between(KL_LEVEL_FEK, "20261123", "20261101", KL_FLAG_ENCRYPT), KL_OK);
}

static void the_roots_mechanism_needs_no_right_but_the_master(void)
{
    struct scene scene;

    begin(&scene, KL_DEED_USE);
    scene.mech.of_root = true;
    scene.key.level = KL_LEVEL_MASTER;
    scene.key.flags = KL_FLAG_DERIVE;
    CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_STANDARD, &scene.deed), KL_OK);
}

static void a_ladder_key_does_not_wrap_with_the_subkey_that_it_encrypts_with(void)
{
    struct scene scene;

    begin(&scene, KL_DEED_USE);
    scene.key.level = KL_LEVEL_FEK;
    scene.key.flags |= WRAPS;
    scene.mech.free_wraps_only = true;
    CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_STANDARD, &scene.deed), KL_OK);
    scene.deed.usage = KL_FLAG_WRAP;
    CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_STANDARD, &scene.deed), KL_KEY_FUNCTION);
    scene.deed.usage = KL_FLAG_UNWRAP;
    CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_COMPATIBLE, &scene.deed), KL_KEY_FUNCTION);
    scene.key.level = KL_LEVEL_FREE;
    CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_STANDARD, &scene.deed), KL_OK);
}

static void a_ladder_key_has_the_type_where_the_mechanism_or_deriving_says_so(void)
{
    struct scene scene;

    begin(&scene, KL_DEED_USE);
    scene.key.level = KL_LEVEL_FEK;
    scene.key.key_type = CKK_GENERIC_SECRET;
    CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_STANDARD, &scene.deed), KL_KEY_TYPE);
    scene.mech.any_ladder_type = true;
    CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_STANDARD, &scene.deed), KL_OK);
    scene.mech.any_ladder_type = false;
    scene.key.flags |= KL_FLAG_DERIVE;
    scene.deed.usage = KL_FLAG_DERIVE;
    CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_STANDARD, &scene.deed), KL_OK);
}

static void an_aes_key_makes_hmacs_under_compatible_alone(void)
{
    struct scene scene;

    begin(&scene, KL_DEED_USE);
    scene.mech.key_types[0] = CKK_GENERIC_SECRET;
    scene.mech.aes_if_compatible = true;
    CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_STANDARD, &scene.deed), KL_KEY_TYPE);
    CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_COMPATIBLE, &scene.deed), KL_OK);
    scene.key.key_type = CKK_CHACHA20;
    CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_COMPATIBLE, &scene.deed), KL_KEY_TYPE);
}

static void a_key_on_a_list_or_in_its_family_is_used(void)
{
    struct scene scene;
    struct kl_writer writer = { scene.list, sizeof scene.list, 0 };

    begin(&scene, KL_DEED_USE);
    kl_write_u64(&writer, CKM_AES_GCM);
    scene.family = KL_FAMILY_GCM;
    scene.extras[0] = (struct kl_extra){ CKA_ALLOWED_MECHANISMS, kl_view_of(scene.list, writer.len) };
    scene.extras[1] = (struct kl_extra){ KL_EXTRA_FAMILY, kl_view_of(&scene.family, 1) };
    scene.key.extra_count = 2;
    CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_STRICT, &scene.deed), KL_OK);
}

/* --- wrapping --- */

static enum kl_rc wrap(const struct scene *scene)
{
    return kl_policy_judge(KL_POLICY_STANDARD, &scene->deed);
}

static void a_ladder_key_does_not_leave(void)
{
    struct scene scene;

    for (size_t p = 0; p < COUNT(policies); p++) {
        begin(&scene, KL_DEED_WRAP);
        scene.other.level = KL_LEVEL_FEK;
        CU_ASSERT_EQUAL(kl_policy_judge(policies[p], &scene.deed), KL_KEY_UNEXTRACTABLE);
    }
}

static void a_key_that_can_be_read_leaves_under_any_wrapping_key(void)
{
    struct scene scene;

    begin(&scene, KL_DEED_WRAP);
    scene.other.flags = CIPHER | KL_FLAG_EXTRACTABLE;
    scene.key.flags = WRAPS;
    scene.key.extra_count = 0;
    CU_ASSERT_EQUAL(wrap(&scene), KL_OK);
}

static void a_wrapping_key_needs_every_part_of_its_history(void)
{
    static const uint32_t parts[] = { KL_FLAG_TRUSTED, KL_FLAG_LOCAL, KL_FLAG_ALWAYS_SENSITIVE, KL_FLAG_NEVER_EXTRACTABLE };

    for (size_t i = 0; i < COUNT(parts); i++) {
        struct scene scene;

        begin(&scene, KL_DEED_WRAP);
        scene.key.flags &= ~parts[i];
        CU_ASSERT_EQUAL(wrap(&scene), KL_NOT_WRAPPABLE);
        CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_COMPATIBLE, &scene.deed), KL_OK);
        scene.other.flags |= KL_FLAG_WRAP_WITH_TRUSTED;
        CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_COMPATIBLE, &scene.deed), KL_NOT_WRAPPABLE);
    }
}

static void each_restriction_must_come_back(void)
{
    static const uint32_t lowered[] = { KL_FLAG_MODIFIABLE, KL_FLAG_COPYABLE, KL_FLAG_DESTROYABLE, KL_FLAG_ENCRYPT, KL_FLAG_DECRYPT };
    struct scene scene;

    for (size_t i = 0; i < COUNT(lowered); i++) {
        begin(&scene, KL_DEED_WRAP);
        scene.other.flags &= ~lowered[i];
        CU_ASSERT_EQUAL(wrap(&scene), KL_NOT_WRAPPABLE);
    }
    begin(&scene, KL_DEED_WRAP);
    memcpy(scene.other.end_date, late, sizeof late);
    CU_ASSERT_EQUAL(wrap(&scene), KL_NOT_WRAPPABLE);
    begin(&scene, KL_DEED_WRAP);
    scene.other_extras[0] = (struct kl_extra){ CKA_ALLOWED_MECHANISMS, { scene.list, sizeof scene.list } };
    scene.other.extra_count = 1;
    CU_ASSERT_EQUAL(wrap(&scene), KL_NOT_WRAPPABLE);
    scene.other_extras[0] = (struct kl_extra){ CKA_DERIVE_TEMPLATE, { scene.list, 4 } };
    CU_ASSERT_EQUAL(wrap(&scene), KL_NOT_WRAPPABLE);
    scene.family = KL_FAMILY_GCM;
    scene.other_extras[0] = (struct kl_extra){ KL_EXTRA_FAMILY, { &scene.family, 1 } };
    CU_ASSERT_EQUAL(wrap(&scene), KL_NOT_WRAPPABLE);
    begin(&scene, KL_DEED_WRAP);
    scene.other.flags |= KL_FLAG_PRIVATE;
    CU_ASSERT_EQUAL(wrap(&scene), KL_OK);
}

/* Compatible lets sensitive keys leave as they like, but for those that ask for more. */
static void compatible_minds_the_keys_that_want_trust(void)
{
    struct scene scene;

    begin(&scene, KL_DEED_WRAP);
    scene.key.extra_count = 0;
    CU_ASSERT_EQUAL(wrap(&scene), KL_NOT_WRAPPABLE);
    CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_COMPATIBLE, &scene.deed), KL_OK);
    scene.other.flags |= KL_FLAG_WRAP_WITH_TRUSTED;
    CU_ASSERT_EQUAL(kl_policy_judge(KL_POLICY_COMPATIBLE, &scene.deed), KL_NOT_WRAPPABLE);
}

static void a_template_that_cannot_be_read_restores_nothing(void)
{
    struct scene scene;

    begin(&scene, KL_DEED_WRAP);
    scene.extras[0].value.len--;
    CU_ASSERT_EQUAL(wrap(&scene), KL_NOT_WRAPPABLE);
}

static void a_key_of_more_than_256_bits_leaves_under_one_of_256(void)
{
    struct scene scene;

    begin(&scene, KL_DEED_WRAP);
    scene.other.value_len = 64;
    CU_ASSERT_EQUAL(wrap(&scene), KL_OK);
    scene.key.value_len = 24;
    CU_ASSERT_EQUAL(wrap(&scene), KL_WRAPPING_SIZE);
    scene.other.value_len = 24;
    CU_ASSERT_EQUAL(wrap(&scene), KL_OK);
}

static void a_key_that_fits_the_wrap_template_leaves(void)
{
    struct scene scene;

    begin(&scene, KL_DEED_WRAP);
    set_unfitting(&scene);
    scene.other.label = kl_view_text("backup");
    CU_ASSERT_EQUAL(wrap(&scene), KL_OK);
}

/* --- IVs --- */

static void the_iv_is_whose_the_policy_says(void)
{
    static const struct {
        enum kl_policy policy;
        struct kl_iv_deed deed;
        enum kl_rc rc;
        bool makes;
    } cases[] = {
        /*                       AEAD   ladder token  zero   len */
        { KL_POLICY_STANDARD, { true, false, false, false, 12 }, KL_OK, false },
        { KL_POLICY_STANDARD, { true, false, false, false, 256 }, KL_OK, false },
        { KL_POLICY_STANDARD, { true, false, false, true, 12 }, KL_OK, false },
        { KL_POLICY_STANDARD, { true, false, true, false, 16 }, KL_PARAMETER, false },
        { KL_POLICY_STANDARD, { true, true, false, false, 16 }, KL_PARAMETER, false },
        { KL_POLICY_STANDARD, { true, true, true, false, 12 }, KL_OK, false },
        { KL_POLICY_STANDARD, { true, true, true, true, 12 }, KL_OK, true },
        { KL_POLICY_STANDARD, { false, false, true, false, 16 }, KL_OK, false },
        { KL_POLICY_STANDARD, { false, true, true, true, 16 }, KL_OK, false },
        { KL_POLICY_COMPATIBLE, { true, true, true, false, 12 }, KL_OK, false },
        { KL_POLICY_COMPATIBLE, { true, true, true, false, 13 }, KL_PARAMETER, false },
        { KL_POLICY_STRICT, { true, false, false, false, 12 }, KL_PARAMETER, false },
        { KL_POLICY_STRICT, { true, true, true, false, 12 }, KL_PARAMETER, false },
        { KL_POLICY_STRICT, { true, false, false, true, 12 }, KL_OK, true },
        { KL_POLICY_STRICT, { false, false, false, true, 16 }, KL_OK, true },
        { KL_POLICY_STRICT, { false, false, false, false, 16 }, KL_PARAMETER, false },
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        bool makes = false;

        CU_ASSERT_EQUAL(kl_policy_iv(cases[i].policy, &cases[i].deed, &makes), cases[i].rc);
        if (cases[i].rc == KL_OK) CU_ASSERT_EQUAL(makes, cases[i].makes);
    }
}

/* --- what attributes become --- */

static void a_default_usage_is_one_role(void)
{
    static const uint64_t types[] = { KL_TYPE_AES, KL_TYPE_GENERIC, KL_TYPE_CHACHA20, KL_TYPE_HKDF, KL_TYPE_SHA256_HMAC };

    for (size_t i = 0; i < COUNT(types); i++)
        CU_ASSERT_EQUAL(make(KL_POLICY_STANDARD, kl_policy_default_usage(KL_LEVEL_FREE, types[i]), NULL), KL_OK);
    CU_ASSERT_EQUAL(kl_policy_default_usage(KL_LEVEL_FREE, KL_TYPE_AES), CIPHER);
    CU_ASSERT_EQUAL(kl_policy_default_usage(KL_LEVEL_FREE, KL_TYPE_CHACHA20), CIPHER);
    CU_ASSERT_EQUAL(kl_policy_default_usage(KL_LEVEL_FREE, KL_TYPE_HKDF), KL_FLAG_DERIVE);
    CU_ASSERT_EQUAL(kl_policy_default_usage(KL_LEVEL_FREE, KL_TYPE_GENERIC), MAC);
    CU_ASSERT_EQUAL(kl_policy_default_usage(KL_LEVEL_FREE, KL_TYPE_SHA256_HMAC), MAC);
    CU_ASSERT_EQUAL(kl_policy_default_usage(KL_LEVEL_DEK, KL_TYPE_AES), CIPHER | KL_FLAG_DERIVE);
    CU_ASSERT_EQUAL(kl_policy_default_usage(KL_LEVEL_REK, KL_TYPE_AES), CIPHER);
}

static void history_is_inherited_and_never_made_up(void)
{
    uint32_t clean = KL_FLAG_PRIVATE | HELD | KL_FLAG_LOCAL | KL_FLAG_GENERATED;
    uint32_t stained = KL_FLAG_PRIVATE | KL_FLAG_SENSITIVE;
    uint32_t both = KL_FLAG_ALWAYS_SENSITIVE | KL_FLAG_NEVER_EXTRACTABLE;

    CU_ASSERT_EQUAL(kl_policy_inherited(clean, 0, clean), clean & ~(uint32_t)(KL_FLAG_LOCAL | KL_FLAG_GENERATED));
    CU_ASSERT_EQUAL(kl_policy_inherited(stained, 0, clean) & both, 0);
    CU_ASSERT_EQUAL(kl_policy_inherited(clean, 0, stained | KL_FLAG_EXTRACTABLE) & both, KL_FLAG_ALWAYS_SENSITIVE);
    /* Silence is sensitive, as the base is; what was named is left for a rule to refuse. */
    CU_ASSERT(kl_policy_inherited(clean, 0, 0) & KL_FLAG_SENSITIVE);
    CU_ASSERT_FALSE(kl_policy_inherited(clean, KL_FLAG_SENSITIVE, 0) & (KL_FLAG_SENSITIVE | KL_FLAG_ALWAYS_SENSITIVE));
    CU_ASSERT_EQUAL(kl_policy_history_imported(clean), stained);
    CU_ASSERT_EQUAL(kl_policy_history_generated(KL_FLAG_SENSITIVE, 32), HELD | KL_FLAG_LOCAL | KL_FLAG_GENERATED);
    CU_ASSERT_EQUAL(kl_policy_history_generated(KL_FLAG_EXTRACTABLE, 32), KL_FLAG_EXTRACTABLE | KL_FLAG_LOCAL | KL_FLAG_GENERATED);
}

UNIT_MAIN("token/policy", UNIT(every_rule_is_here_by_name), UNIT(what_has_nothing_against_it_is_allowed),
          UNIT(each_rule_refuses_by_itself_with_its_code_under_its_policies), UNIT(a_refusal_says_why),
          UNIT(a_free_key_has_one_role_in_every_combination), UNIT(a_child_may_be_stricter_than_what_it_comes_from),
          UNIT(a_short_child_of_a_key_that_can_be_read_is_no_secret), UNIT(bytes_that_differ_anywhere_are_no_constant),
          UNIT(a_ladder_key_is_not_asked_to_be_weaker), UNIT(a_flag_goes_one_way_once_it_is_there),
          UNIT(the_officer_alone_gives_and_takes_trust), UNIT(dates_only_narrow),
          UNIT(a_ladder_key_is_not_copied_read_or_digested_whatever_its_flags), UNIT(what_is_not_extractable_is_not_readable_either),
          UNIT(a_salt_that_can_be_read_mixes_with_anything_and_a_secret_one_with_own_keys), UNIT(a_key_that_derives_has_no_commitment),
          UNIT(a_state_says_what_a_version_is_good_for), UNIT(dates_bind_a_free_key_and_inform_on_the_ladder),
          UNIT(the_roots_mechanism_needs_no_right_but_the_master), UNIT(a_ladder_key_does_not_wrap_with_the_subkey_that_it_encrypts_with),
          UNIT(a_ladder_key_has_the_type_where_the_mechanism_or_deriving_says_so), UNIT(an_aes_key_makes_hmacs_under_compatible_alone),
          UNIT(a_key_on_a_list_or_in_its_family_is_used), UNIT(a_ladder_key_does_not_leave),
          UNIT(a_key_that_can_be_read_leaves_under_any_wrapping_key), UNIT(a_wrapping_key_needs_every_part_of_its_history),
          UNIT(each_restriction_must_come_back), UNIT(compatible_minds_the_keys_that_want_trust),
          UNIT(a_template_that_cannot_be_read_restores_nothing), UNIT(a_key_of_more_than_256_bits_leaves_under_one_of_256),
          UNIT(a_key_that_fits_the_wrap_template_leaves), UNIT(the_iv_is_whose_the_policy_says), UNIT(a_default_usage_is_one_role),
          UNIT(history_is_inherited_and_never_made_up))
