/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Every sequence of deeds up to a depth, in the world of walk.h: no key that was sensitive from the first becomes known, none leaves
 * that may not. Then the same without one rule after the other: each must be missed, and the sequence that shows it is printed.
 *
 *     KEYLADDER_WALK_DEPTH=6 KEYLADDER_WALK_KEYS=4 tests/unit/token/test_policy_walk
 *
 * goes deeper than `make check` does, which has 3 keys at a time and 5 deeds. Wrapping, encrypting, signing, digesting and reading are no deeds of their own: they change no
 * key, so all of them are done in every state. A walk of five deeds covers calls in any number between them.
 */
#include "walk.h"

#include "../unit.h"

#define DEPTH 5
#define KEYS 3
#define NOBODY UINT32_MAX

static size_t left_out = SIZE_MAX;

enum kl_rc __wrap_kl_policy_judge(enum kl_policy policy, const struct kl_deed *deed);
enum kl_rc __wrap_kl_policy_judge(enum kl_policy policy, const struct kl_deed *deed)
{
    return kl_policy_judge_without(policy, deed, left_out);
}

/* A refusal has no words here: most deeds are refused, and writing them down would take half of the time. */
enum kl_rc __wrap_kl_fail_say(enum kl_rc rc, const char *format, ...);
enum kl_rc __wrap_kl_fail_say(enum kl_rc rc, const char *format, ...)
{
    (void)format;
    return rc;
}

/* --- states seen, by fingerprint --- */

static struct {
    uint64_t *slots;
    size_t room, count;
} seen;

static uint64_t fingerprint(const struct walk_state *state)
{
    uint64_t words[sizeof *state / sizeof(uint64_t)];
    uint64_t sum = 0x9e3779b97f4a7c15u;

    memcpy(words, state, sizeof words);
    for (size_t i = 0; i < WALK_COUNT(words); i++) {
        sum = (sum ^ words[i]) * 0xff51afd7ed558ccdu;
        sum ^= sum >> 32;
    }
    return sum ? sum : 1;
}

static bool put(uint64_t *slots, size_t room, uint64_t print)
{
    size_t at = print % room;

    for (; slots[at] != 0; at = (at + 1) % room) {
        if (slots[at] == print) return false;
    }
    slots[at] = print;
    return true;
}

static void make_room(void)
{
    size_t room = seen.room ? seen.room * 2 + 1 : 65537;
    uint64_t *slots = calloc(room, sizeof *slots);

    if (!slots) abort();
    for (size_t i = 0; i < seen.room; i++) {
        if (seen.slots[i]) put(slots, room, seen.slots[i]);
    }
    free(seen.slots);
    seen.slots = slots;
    seen.room = room;
}

static bool is_new(const struct walk_state *state)
{
    if (seen.count * 2 >= seen.room) make_room();
    if (!put(seen.slots, seen.room, fingerprint(state))) return false;
    seen.count++;
    return true;
}

/* --- the walk, breadth first --- */

static struct node {
    struct walk_state state;
    uint32_t from;
    struct walk_deed deed;
} * nodes;
static size_t node_count, node_room;

static void keep(const struct walk_state *state, uint32_t from, struct walk_deed deed)
{
    if (node_count == node_room) {
        node_room = node_room ? node_room * 2 : 1024;
        nodes = realloc(nodes, node_room * sizeof *nodes);
        if (!nodes) abort();
    }
    nodes[node_count++] = (struct node){ *state, from, deed };
}

static void forget_all(void)
{
    free(nodes);
    free(seen.slots);
    nodes = NULL;
    memset(&seen, 0, sizeof seen);
    node_count = node_room = 0;
    walk_tried = walk_refused = 0;
}

struct walk {
    enum kl_policy policy;
    bool on_ladder; /* begins with a field key and one of its record keys, whose bytes alone are looked after */
    unsigned depth;
    /* Whether a key becomes known is looked at; under `compatible` that is promised of ladder keys only. */
    bool sees_leaks;
    /* found */
    unsigned leak;
    bool is_broken, was_full;
};

static void say_path(uint32_t at)
{
    if (nodes[at].from == NOBODY) return;
    say_path(nodes[at].from);
    walk_say(&nodes[nodes[at].from].state, &nodes[at].deed);
}

static void say_end(const struct walk *walk, uint32_t from, const struct walk_deed *deed, const struct walk_state *state)
{
    say_path(from);
    walk_say(&nodes[from].state, deed);
    for (size_t i = 0; i < state->blob_count; i++) {
        const struct walk_blob *blob = &state->blobs[i];

        printf("    so %s can be wrapped under %s by %s\n", walk_value_words(blob->value), walk_value_words(blob->under),
               walk_mech((enum walk_mech)blob->mech)->name);
    }
    if (walk->leak) printf("    and the attacker knows %s\n", walk_value_words(walk->leak));
    if (state->strayed) printf("    and a key left that may not, or under a key that nobody trusts\n");
}

/* False: something broke. */
static bool step(struct walk *walk, uint32_t from, const struct walk_deed *deed, bool is_last)
{
    struct walk_state before = nodes[from].state;
    struct walk_state after;
    enum kl_rc rc = walk_do(walk->policy, &before, deed, &after);

    walk->was_full |= rc == KL_MEMORY;
    if (rc != KL_OK || !is_new(&after)) return true;
    walk->leak = walk->sees_leaks ? walk_leak(walk->policy, &after, walk->on_ladder) : 0;
    walk->is_broken = walk->leak || after.strayed;
    if (walk->is_broken) say_end(walk, from, deed, &after);
    if (!walk->is_broken && !is_last) keep(&after, from, *deed);
    return !walk->is_broken;
}

static bool expand(struct walk *walk, uint32_t from, bool is_last)
{
    static struct walk_deed deeds[WALK_DEEDS_MAX];
    struct walk_state state = nodes[from].state;
    size_t count = walk_deeds(&state, deeds);

    for (size_t i = 0; i < count; i++) {
        if (!step(walk, from, &deeds[i], is_last)) return false;
    }
    return true;
}

static void begin(const struct walk *walk)
{
    static const struct walk_deed none;
    struct walk_state start = { .key_count = 0 };
    unsigned field = walk_value(WALK_CHILD, 0, 0);
    struct walk_key field_key = {
        .flags = kl_policy_ladder_flags(kl_policy_default_usage(KL_LEVEL_FEK, CKK_AES), true) | KL_FLAG_MODIFIABLE | KL_FLAG_WRAP |
                 KL_FLAG_UNWRAP,
        .value = (uint16_t)field,
        .len = KL_LADDER_KEY_LEN,
        .type = CKK_AES,
        .level = KL_LEVEL_FEK,
    };

    if (walk->on_ladder) walk_add(&start, &field_key);
    is_new(&start);
    keep(&start, NOBODY, none);
}

static void go(struct walk *walk)
{
    size_t from = 0;

    begin(walk);
    for (unsigned depth = 1; depth <= walk->depth && !walk->is_broken; depth++) {
        size_t end = node_count;

        while (from < end && expand(walk, (uint32_t)from, depth == walk->depth)) from++;
    }
}

/* --- with all rules --- */

static const char *const policy_names[] = { "standard", "strict", "compatible" };

static unsigned number_of(const char *name, unsigned fallback, unsigned most)
{
    const char *asked = getenv(name);
    unsigned number = asked ? (unsigned)strtoul(asked, NULL, 10) : fallback;

    return number >= 1 && number <= most ? number : fallback;
}

static unsigned depth(void)
{
    return number_of("KEYLADDER_WALK_DEPTH", DEPTH, 9);
}

static void walk_whole(enum kl_policy policy, bool on_ladder)
{
    struct walk walk = { .policy = policy, .on_ladder = on_ladder, .depth = depth() };

    walk.sees_leaks = on_ladder || policy != KL_POLICY_COMPATIBLE;
    go(&walk);
    printf("\n    %s%s: depth %u, %zu states, %lu judgements, %lu of them refusals\n", policy_names[policy], on_ladder ? ", a ladder" : "",
           walk.depth, seen.count, walk_tried, walk_refused);
    CU_ASSERT_FALSE(walk.is_broken || walk.was_full);
    CU_ASSERT(seen.count > walk.depth * 20);
    forget_all();
}

static void no_sequence_tells_a_sensitive_key_under_standard(void)
{
    walk_whole(KL_POLICY_STANDARD, false);
}

static void no_sequence_tells_a_sensitive_key_under_strict(void)
{
    walk_whole(KL_POLICY_STRICT, false);
}

static void no_key_leaves_that_may_not_under_compatible(void)
{
    walk_whole(KL_POLICY_COMPATIBLE, false);
}

static void no_sequence_tells_a_ladder_key_under_any_policy(void)
{
    walk_whole(KL_POLICY_STANDARD, true);
    walk_whole(KL_POLICY_STRICT, true);
    walk_whole(KL_POLICY_COMPATIBLE, true);
}

/* --- without one --- */

/* What each rule is for. Those that are missed by the walk, and under which policy; of the others, why it does not miss them. */
static const struct reason {
    const char *rule;
    enum kl_policy policy;
    const char *apart; /* NULL: the walk misses it. Each has its cases in test_policy.c, as all have */
} reasons[] = {
    { "one role", KL_POLICY_STANDARD, NULL },
    { "private child", KL_POLICY_STANDARD, "who sees a key does not matter to its value: the walk trusts every public key anyway" },
    { "sensitive child", KL_POLICY_STANDARD, NULL },
    { "unextractable child", KL_POLICY_STANDARD, NULL },
    { "child of 128 bits", KL_POLICY_STANDARD, NULL },
    { "stored keys are sensitive", KL_POLICY_STRICT, "about keys that are not sensitive" },
    { "no constant key", KL_POLICY_STRICT, "about keys that come from outside" },
    { "ladder key, nothing unsafe", KL_POLICY_STANDARD, "kl_policy_ladder_flags would put it right in silence: here the caller is told" },
    { "ladder key, all safe", KL_POLICY_STANDARD, "likewise" },
    { "record key without children", KL_POLICY_STANDARD, "about the shape of the ladder" },
    { "officer trusts", KL_POLICY_STANDARD, NULL },
    { "only up", KL_POLICY_STANDARD, NULL },
    { "locked", KL_POLICY_STANDARD, "about copies and destruction" },
    { "only down", KL_POLICY_STANDARD, NULL },
    { "dates narrow", KL_POLICY_STANDARD, "about time" },
    { "modifiable", KL_POLICY_STANDARD, "the owner's wish" },
    { "copyable", KL_POLICY_STANDARD, "about the end of keys: a copy of a ladder key would outlive it" },
    { "ladder keys wait", KL_POLICY_STANDARD, "about destruction" },
    { "destroyable", KL_POLICY_STANDARD, "the owner's wish" },
    { "readable", KL_POLICY_STANDARD, NULL },
    { "digestible", KL_POLICY_STANDARD, NULL },
    { "no telling", KL_POLICY_STANDARD, NULL },
    { "own function key", KL_POLICY_STANDARD, NULL },
    { "no signing prk", KL_POLICY_STANDARD, NULL },
    { "secret salt", KL_POLICY_STANDARD, NULL },
    { "mechanism offered", KL_POLICY_STANDARD, NULL },
    { "root's mechanism", KL_POLICY_STANDARD, "about the master, which is not in the walk" },
    { "usage", KL_POLICY_STANDARD, NULL },
    { "state to protect", KL_POLICY_STANDARD, "about time" },
    { "in time", KL_POLICY_STANDARD, "about time" },
    { "state to undo", KL_POLICY_STANDARD, "about time" },
    { "allowed mechanisms", KL_POLICY_STANDARD, "the owner's wish" },
    { "ladder mechanisms", KL_POLICY_STANDARD, "each mechanism has a subkey of its own: this one says which have" },
    { "key type", KL_POLICY_STANDARD, "about what a mechanism can do" },
    { "key size", KL_POLICY_STANDARD, "about what a mechanism can do" },
    { "one family", KL_POLICY_STRICT, "about data: CTR shows what GCM authenticates with" },
    { "extractable", KL_POLICY_STANDARD, NULL },
    { "not itself", KL_POLICY_STANDARD, "a copy does as well, and neither tells more than the key that wraps: A-W10 wants the code" },
    { "trusted if asked for", KL_POLICY_STANDARD, NULL },
    { "sensitive under trusted", KL_POLICY_STANDARD, NULL },
    { "restrictions come back", KL_POLICY_STANDARD, NULL },
    { "no weak wrapping", KL_POLICY_STANDARD, "about strength; in the walk a key of 128 bits is as good as one of 256" },
    { "wrap template", KL_POLICY_STANDARD, "the owner's wish" },
};

static size_t rule_of(const char *name)
{
    size_t rule = 0;

    while (rule < kl_policy_rule_count() && strcmp(kl_policy_rule_name(rule), name) != 0) rule++;
    return rule;
}

static void every_rule_has_a_reason(void)
{
    CU_ASSERT_EQUAL(WALK_COUNT(reasons), kl_policy_rule_count());
    for (size_t i = 0; i < WALK_COUNT(reasons); i++) CU_ASSERT_EQUAL(rule_of(reasons[i].rule), i);
}

static void a_rule_that_is_left_out_is_missed(void)
{
    for (size_t i = 0; i < WALK_COUNT(reasons); i++) {
        struct walk walk = { .policy = reasons[i].policy, .depth = DEPTH, .sees_leaks = true };

        if (reasons[i].apart) continue;
        printf("\n  without \"%s\", policy = %s:\n", reasons[i].rule, policy_names[reasons[i].policy]);
        left_out = rule_of(reasons[i].rule);
        go(&walk);
        left_out = SIZE_MAX;
        if (!walk.is_broken) printf("    nothing\n");
        CU_ASSERT(walk.is_broken);
        forget_all();
    }
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        UNIT(no_sequence_tells_a_sensitive_key_under_standard),
        UNIT(no_sequence_tells_a_sensitive_key_under_strict),
        UNIT(no_key_leaves_that_may_not_under_compatible),
        UNIT(no_sequence_tells_a_ladder_key_under_any_policy),
        UNIT(every_rule_has_a_reason),
        UNIT(a_rule_that_is_left_out_is_missed),
    };

    walk_templates_begin();
    walk_room = number_of("KEYLADDER_WALK_KEYS", KEYS, WALK_KEYS);
    return unit_run("token/policy_walk", tests, WALK_COUNT(tests));
}
