/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Deeds: in the order and with the judgements of make.c, object.c, wrap.c and mech_hkdf.c of src/token. */
#include "walk.h"

#include <stdio.h>
#include <string.h>

#define ID_LEN KL_ROW_ID_LEN

unsigned long walk_tried, walk_refused;
size_t walk_room = WALK_KEYS;

enum kl_rc walk_judge(enum kl_policy policy, const struct kl_deed *deed)
{
    enum kl_rc rc = kl_policy_judge(policy, deed);

    walk_tried++;
    walk_refused += rc != KL_OK;
    return rc;
}

const struct kl_mech *walk_mech(enum walk_mech mech)
{
    static const CK_MECHANISM_TYPE types[WALK_MECHS] = {
        [WALK_GCM] = CKM_AES_GCM,         [WALK_CBC] = CKM_AES_CBC,         [WALK_KEY_WRAP] = CKM_AES_KEY_WRAP,
        [WALK_CBC_PAD] = CKM_AES_CBC_PAD, [WALK_MAC] = CKM_SHA256_HMAC,     [WALK_CMAC_MECH] = CKM_AES_CMAC,
        [WALK_HKDF] = CKM_HKDF_DERIVE,    [WALK_HKDF_DATA] = CKM_HKDF_DATA, [WALK_SP800_108] = CKM_SP800_108_COUNTER_KDF,
    };
    static const struct kl_mech *found[WALK_MECHS];

    if (!found[mech]) found[mech] = kl_mech_find(types[mech]);
    return found[mech];
}

/* --- keys as the policy sees them, and back --- */

void walk_see(const struct walk_key *key, size_t slot, struct walk_seen *out)
{
    size_t count = 0;

    memset(&out->record, 0, sizeof out->record);
    out->record.id[0] = (uint8_t)(slot + 1);
    out->record.class = CKO_SECRET_KEY;
    out->record.level = (enum kl_level)key->level;
    out->record.state = KL_STATE_ACTIVE;
    out->record.key_type = key->type;
    out->record.value_len = key->len;
    out->record.flags = key->flags;
    if (key->unwrap) out->extras[count++] = (struct kl_extra){ CKA_UNWRAP_TEMPLATE, walk_pattern_stored((enum walk_pattern)key->unwrap) };
    if (key->derive) out->extras[count++] = (struct kl_extra){ CKA_DERIVE_TEMPLATE, walk_pattern_stored((enum walk_pattern)key->derive) };
    out->record.extras = out->extras;
    out->record.extra_count = count;
}

static struct walk_key key_of(const struct kl_record *record, unsigned value)
{
    struct walk_key key = {
        .flags = record->flags,
        .value = (uint16_t)value,
        .len = (uint16_t)record->value_len,
        .type = (uint8_t)record->key_type,
        .level = (uint8_t)record->level,
        .unwrap = (uint8_t)walk_pattern_of(kl_record_extra(record, CKA_UNWRAP_TEMPLATE)),
        .derive = (uint8_t)walk_pattern_of(kl_record_extra(record, CKA_DERIVE_TEMPLATE)),
    };

    return key;
}

unsigned walk_key_for(const struct walk_key *key, enum walk_mech mech)
{
    return key->level == KL_LEVEL_FREE ? key->value : walk_value(WALK_SUBKEY, key->value, mech);
}

const char *walk_key_words(const struct walk_key *key)
{
    static const struct {
        uint32_t flag;
        char letter;
    } letters[] = {
        { KL_FLAG_ENCRYPT, 'e' },     { KL_FLAG_DECRYPT, 'd' }, { KL_FLAG_WRAP, 'w' },   { KL_FLAG_UNWRAP, 'u' },
        { KL_FLAG_SIGN, 's' },        { KL_FLAG_VERIFY, 'v' },  { KL_FLAG_DERIVE, 'D' }, { KL_FLAG_SENSITIVE, 'S' },
        { KL_FLAG_EXTRACTABLE, 'X' }, { KL_FLAG_TRUSTED, 'T' }, { KL_FLAG_LOCAL, 'L' },  { KL_FLAG_WRAP_WITH_TRUSTED, 'R' },
    };
    static char words[600];
    char flags[WALK_COUNT(letters) + 1];
    size_t len = 0;

    for (size_t i = 0; i < WALK_COUNT(letters); i++) {
        if (key->flags & letters[i].flag) flags[len++] = letters[i].letter;
    }
    flags[len] = '\0';
    snprintf(words, sizeof words, "[%s] %u bytes %s", flags, key->len, walk_value_words(key->value));
    return words;
}

/* --- states --- */

void walk_add(struct walk_state *state, const struct walk_key *key)
{
    state->keys[state->key_count++] = *key;
}

void walk_sort(struct walk_state *state)
{
    for (size_t i = 1; i < state->key_count; i++) {
        struct walk_key key = state->keys[i];
        size_t at = i;

        for (; at > 0 && memcmp(&state->keys[at - 1], &key, sizeof key) > 0; at--) state->keys[at] = state->keys[at - 1];
        state->keys[at] = key;
    }
    for (size_t i = 1; i < state->blob_count; i++) {
        struct walk_blob blob = state->blobs[i];
        size_t at = i;

        for (; at > 0 && memcmp(&state->blobs[at - 1], &blob, sizeof blob) > 0; at--) state->blobs[at] = state->blobs[at - 1];
        state->blobs[at] = blob;
    }
}

static void remove_key(struct walk_state *state, size_t at)
{
    state->key_count--;
    memmove(&state->keys[at], &state->keys[at + 1], (state->key_count - at) * sizeof state->keys[0]);
    memset(&state->keys[state->key_count], 0, sizeof state->keys[0]);
}

static bool contains(unsigned value, unsigned part)
{
    unsigned a, b;
    enum walk_kind kind;

    if (value == part) return true;
    kind = walk_kind_of(value, &a, &b);
    if (kind == WALK_HMAC || kind == WALK_CMAC) return contains(a, part) || contains(b, part);
    return false;
}

static bool is_about(const struct walk_state *state, unsigned value)
{
    for (size_t i = 0; i < state->key_count; i++) {
        if (contains(state->keys[i].value, value)) return true;
    }
    for (size_t i = 0; i < state->blob_count; i++) {
        if (contains(state->blobs[i].value, value) || contains(state->blobs[i].under, value)) return true;
    }
    return false;
}

static unsigned fresh(const struct walk_state *state, unsigned template)
{
    unsigned which = 0;

    while (is_about(state, walk_value(WALK_DRAWN, template, which))) which++;
    return walk_value(WALK_DRAWN, template, which);
}

/* --- wrapping: changes no key, so whatever may be wrapped is, at once --- */

static enum kl_rc hold_blob(struct walk_state *state, const struct walk_blob *blob)
{
    for (size_t i = 0; i < state->blob_count; i++) {
        if (memcmp(&state->blobs[i], blob, sizeof *blob) == 0) return KL_OK;
    }
    if (state->blob_count == WALK_BLOBS) return KL_MEMORY;
    state->blobs[state->blob_count++] = *blob;
    return KL_OK;
}

static enum kl_rc wrap(enum kl_policy policy, struct walk_state *state, size_t by, size_t leaving)
{
    static const enum walk_mech mechs[] = { WALK_KEY_WRAP, WALK_GCM, WALK_CBC_PAD };
    const struct walk_key *key = &state->keys[by];
    const struct walk_key *other = &state->keys[leaving];
    struct walk_seen seen_key, seen_other;
    struct kl_deed deed = { .kind = KL_DEED_WRAP, .key = &seen_key.record, .other = &seen_other.record };

    walk_see(key, by, &seen_key);
    walk_see(other, leaving, &seen_other);
    if (walk_judge(policy, &deed) != KL_OK) return KL_OK;
    for (size_t i = 0; i < WALK_COUNT(mechs); i++) {
        struct walk_blob blob = { (uint16_t)walk_key_for(key, mechs[i]), other->value, key->len, (uint8_t)mechs[i], 0 };

        if (!walk_may_use(policy, key, mechs[i], KL_FLAG_WRAP)) continue;
        if (!walk_may_leave(other->value) || ((other->flags & KL_FLAG_WRAP_WITH_TRUSTED) && !key->is_marked)) state->strayed = 1;
        if (walk_is_secret(other->value)) KL_TRY(hold_blob(state, &blob));
    }
    return KL_OK;
}

static enum kl_rc wrap_all(enum kl_policy policy, struct walk_state *state)
{
    for (size_t by = 0; by < state->key_count; by++) {
        for (size_t leaving = 0; leaving < state->key_count; leaving++) KL_TRY(wrap(policy, state, by, leaving));
    }
    return KL_OK;
}

/* --- making --- */

static struct kl_draft draft;
static struct kl_pattern imposed;

static enum kl_rc judge_make(enum kl_policy policy, const struct kl_record *from)
{
    struct kl_deed deed = { .kind = KL_DEED_MAKE, .key = &draft.record, .other = from, .named = draft.named };

    return walk_judge(policy, &deed);
}

static void add_default_usage(enum kl_level level, uint32_t named)
{
    if (!(named & KL_USAGE_FLAGS)) draft.record.flags |= kl_policy_default_usage(level, draft.record.key_type) & ~draft.named;
}

/* A caller's template, and what the key that makes this one imposes on it. */
static enum kl_rc draft_new(enum kl_policy policy, unsigned how, const struct walk_template *template, struct kl_view pattern)
{
    struct kl_applying applying = { how, policy, false };
    uint32_t named;

    kl_draft_begin(&draft, CKO_SECRET_KEY);
    KL_TRY(kl_pattern_read(pattern, &imposed));
    KL_TRY(kl_draft_apply(&draft, walk_asked(template), applying));
    named = draft.named;
    KL_TRY(kl_draft_impose(&draft, walk_asked(template), &imposed));
    add_default_usage(KL_LEVEL_FREE, named);
    return KL_OK;
}

static enum kl_rc keep(struct walk_state *to, unsigned value, bool is_marked)
{
    struct walk_key key = key_of(&draft.record, value);

    KL_CHECK(to->key_count < walk_room, KL_MEMORY);
    key.is_marked = is_marked;
    walk_add(to, &key);
    return KL_OK;
}

static enum kl_rc generate(enum kl_policy policy, const struct walk_deed *deed, struct walk_state *to)
{
    const struct walk_template *template = &walk_generated[deed->choice];

    KL_TRY(draft_new(policy, KL_ON_GENERATE, template, kl_view_of(NULL, 0)));
    draft.record.flags = kl_policy_history_generated(draft.record.flags, template->len);
    draft.record.value_len = (uint32_t) template->len;
    KL_TRY(judge_make(policy, NULL));
    return keep(to, fresh(to, deed->choice), false);
}

static enum kl_rc import(enum kl_policy policy, const struct walk_deed *deed, struct walk_state *to)
{
    KL_TRY(draft_new(policy, KL_ON_CREATE, &walk_imported[deed->choice], kl_view_of(NULL, 0)));
    draft.record.flags = kl_policy_history_imported(draft.record.flags);
    draft.record.value_len = 32;
    KL_TRY(judge_make(policy, NULL));
    return keep(to, walk_value(WALK_KNOWN, WALK_BYTES, 0), false);
}

static enum kl_rc copy(enum kl_policy policy, const struct walk_state *from, const struct walk_deed *deed, struct walk_state *to)
{
    const struct walk_key *key = &from->keys[deed->key];
    struct kl_applying applying = { KL_ON_COPY, policy, false };
    struct walk_seen seen;
    struct kl_deed judged = { .kind = KL_DEED_COPY, .key = &seen.record };

    walk_see(key, deed->key, &seen);
    KL_TRY(walk_judge(policy, &judged));
    kl_draft_from(&draft, &seen.record, false);
    KL_TRY(kl_draft_apply(&draft, walk_asked(&walk_changes[deed->choice]), applying));
    KL_TRY(judge_make(policy, NULL));
    return keep(to, key->value, key->is_marked);
}

static enum kl_rc change(enum kl_policy policy, const struct walk_deed *deed, bool is_so, struct walk_state *to)
{
    struct walk_key *key = &to->keys[deed->key];
    struct kl_applying applying = { KL_MODIFY, policy, is_so };
    struct walk_seen seen;
    struct kl_deed judged = { .kind = KL_DEED_CHANGE, .key = &seen.record };
    unsigned value = key->value;
    bool is_marked = key->is_marked || is_so;

    walk_see(key, deed->key, &seen);
    KL_TRY(walk_judge(policy, &judged));
    kl_draft_from(&draft, &seen.record, false);
    KL_TRY(kl_draft_apply(&draft, walk_asked(&walk_changes[deed->choice]), applying));
    *key = key_of(&draft.record, value);
    key->is_marked = is_marked;
    return KL_OK;
}

static enum kl_rc destroy(enum kl_policy policy, const struct walk_deed *deed, struct walk_state *to)
{
    struct walk_seen seen;
    struct kl_deed judged = { .kind = KL_DEED_DESTROY, .key = &seen.record };

    walk_see(&to->keys[deed->key], deed->key, &seen);
    KL_TRY(walk_judge(policy, &judged));
    remove_key(to, deed->key);
    return KL_OK;
}

static enum kl_rc unwrap(enum kl_policy policy, const struct walk_state *from, const struct walk_deed *deed, struct walk_state *to)
{
    const struct walk_key *key = &from->keys[deed->key];
    const struct walk_blob *blob = &from->blobs[deed->other];
    struct walk_seen seen;

    KL_CHECK(walk_may_use(policy, key, (enum walk_mech)blob->mech, KL_FLAG_UNWRAP), KL_KEY_FUNCTION);
    KL_CHECK(walk_key_for(key, (enum walk_mech)blob->mech) == blob->under && key->len == blob->len, KL_WRAPPED);
    walk_see(key, deed->key, &seen);
    KL_TRY(draft_new(policy, KL_ON_UNWRAP, &walk_unwrapped[deed->choice], kl_record_extra(&seen.record, CKA_UNWRAP_TEMPLATE)));
    draft.record.flags = kl_policy_history_imported(draft.record.flags);
    draft.record.value_len = 32;
    KL_TRY(judge_make(policy, NULL));
    return keep(to, blob->value, false);
}

/* --- deriving --- */

enum way { HKDF, EXPAND, EXPAND_BYTES, EXPAND_COMMIT, EXTRACT, SP800_108, SALTED, SALTED_EXTRACT };

/* Of HKDF every template; the first three of every other way; what collides with a commitment has its length. */
static const struct {
    enum way way;
    unsigned template;
} ways[] = {
    { HKDF, 0 },         { HKDF, 1 },           { HKDF, 2 },           { HKDF, 3 },           { HKDF, 4 },    { HKDF, 5 },
    { HKDF, 6 },         { HKDF, 7 },           { HKDF, 8 },           { EXPAND, 0 },         { EXPAND, 1 },  { EXPAND, 2 },
    { EXPAND_BYTES, 0 }, { EXPAND_BYTES, 1 },   { EXPAND_BYTES, 2 },   { EXPAND_COMMIT, 3 },  { EXTRACT, 0 }, { EXTRACT, 1 },
    { EXTRACT, 2 },      { SP800_108, 0 },      { SP800_108, 1 },      { SP800_108, 2 },      { SALTED, 0 },  { SALTED, 1 },
    { SALTED, 2 },       { SALTED_EXTRACT, 0 }, { SALTED_EXTRACT, 1 }, { SALTED_EXTRACT, 2 },
};

static bool has_salt(size_t way)
{
    return ways[way].way == SALTED || ways[way].way == SALTED_EXTRACT;
}

/* HKDF's extraction is HMAC(salt, base), its expansion HMAC(that, info). */
static unsigned derived_value(enum way way, unsigned base, unsigned salt)
{
    unsigned info = walk_value(WALK_KNOWN, WALK_INFO, 0);

    switch (way) {
    case EXPAND:
        return walk_value(WALK_HMAC, base, info);
    case EXPAND_BYTES:
        return walk_value(WALK_HMAC, base, walk_value(WALK_KNOWN, WALK_BYTES, 0));
    case EXPAND_COMMIT:
        return walk_value(WALK_HMAC, base, walk_value(WALK_KNOWN, WALK_COMMIT, 0));
    case EXTRACT:
    case SALTED_EXTRACT:
        return walk_value(WALK_HMAC, salt, base);
    case SP800_108:
        return walk_value(WALK_CMAC, base, info);
    case HKDF:
    case SALTED:
    default:
        return walk_value(WALK_HMAC, walk_value(WALK_HMAC, salt, base), info);
    }
}

/* What mech_hkdf.c asks of a salt that is a key. */
static enum kl_rc mix_salt(enum kl_policy policy, const struct walk_key *key, const struct kl_record *salt, const struct kl_record *base)
{
    struct kl_deed deed = { .kind = KL_DEED_SALT, .key = salt, .other = base };
    uint32_t both;

    KL_CHECK(walk_may_use(policy, key, WALK_HKDF, KL_FLAG_DERIVE), KL_KEY_FUNCTION);
    KL_TRY(walk_judge(policy, &deed));
    both = kl_policy_inherited(salt->flags, draft.named, draft.record.flags);
    draft.record.flags = (draft.record.flags & both) | (both & KL_FLAG_SENSITIVE);
    return judge_make(policy, salt);
}

static enum kl_rc judge_way(enum kl_policy policy, enum way way, const struct kl_record *base)
{
    struct kl_deed prf = { .kind = KL_DEED_PRF, .key = base };
    struct kl_deed prk = { .kind = KL_DEED_PRK, .key = &draft.record, .other = base };

    if (way == HKDF || way == SALTED) return KL_OK;
    return walk_judge(policy, way == EXTRACT || way == SALTED_EXTRACT ? &prk : &prf);
}

static enum kl_rc derive(enum kl_policy policy, const struct walk_state *from, const struct walk_deed *deed, struct walk_state *to)
{
    const struct walk_template *template = &walk_derived[ways[deed->choice].template];
    const struct walk_key *base = &from->keys[deed->key];
    const struct walk_key *salt = &from->keys[deed->other];
    enum way way = ways[deed->choice].way;
    unsigned salt_value = has_salt(deed->choice) ? salt->value : walk_value(WALK_KNOWN, WALK_INFO, 0);
    struct walk_seen seen, seen_salt;

    KL_CHECK(base->level == KL_LEVEL_FREE && salt->level == KL_LEVEL_FREE, KL_KEY_FUNCTION);
    KL_CHECK(walk_may_use(policy, base, way == SP800_108 ? WALK_SP800_108 : WALK_HKDF, KL_FLAG_DERIVE), KL_KEY_FUNCTION);
    walk_see(base, deed->key, &seen);
    walk_see(salt, deed->other, &seen_salt);
    KL_TRY(draft_new(policy, KL_ON_DERIVE, template, kl_record_extra(&seen.record, CKA_DERIVE_TEMPLATE)));
    draft.record.flags = kl_policy_inherited(base->flags, draft.named, draft.record.flags);
    draft.record.value_len = (uint32_t) template->len;
    KL_TRY(judge_way(policy, way, &seen.record));
    if (has_salt(deed->choice)) KL_TRY(mix_salt(policy, salt, &seen_salt.record, &seen.record));
    KL_TRY(judge_make(policy, &seen.record));
    KL_TRY(judge_make(policy, NULL));
    return keep(to, derived_value(way, base->value, salt_value), false);
}

static enum kl_rc grow(enum kl_policy policy, const struct walk_state *from, const struct walk_deed *deed, struct walk_state *to)
{
    const struct walk_key *base = &from->keys[deed->key];
    struct kl_deed judged = { .kind = KL_DEED_GROW, .key = &draft.record };
    struct kl_applying applying = { KL_ON_DERIVE, policy, false };

    KL_CHECK(base->level != KL_LEVEL_FREE, KL_KEY_FUNCTION);
    KL_CHECK(walk_may_use(policy, base, WALK_HKDF, KL_FLAG_DERIVE), KL_KEY_FUNCTION);
    kl_draft_begin(&draft, CKO_SECRET_KEY);
    KL_TRY(kl_draft_apply(&draft, walk_asked(&walk_grown[deed->choice]), applying));
    draft.record.key_type = CKK_AES;
    draft.record.value_len = KL_LADDER_KEY_LEN;
    add_default_usage(KL_LEVEL_REK, draft.named);
    draft.record.level = KL_LEVEL_REK;
    judged.named = draft.named;
    KL_TRY(walk_judge(policy, &judged));
    draft.record.flags = kl_policy_ladder_flags(draft.record.flags, false);
    return keep(to, walk_value(WALK_CHILD, base->value, 0), false);
}

enum kl_rc walk_do(enum kl_policy policy, const struct walk_state *from, const struct walk_deed *deed, struct walk_state *to)
{
    static const enum kl_rc none = KL_ARG;
    enum kl_rc rc = none;

    *to = *from;
    switch ((enum walk_what)deed->what) {
    case WALK_GENERATE:
        rc = generate(policy, deed, to);
        break;
    case WALK_IMPORT:
        rc = import(policy, deed, to);
        break;
    case WALK_COPY:
        rc = copy(policy, from, deed, to);
        break;
    case WALK_SET:
    case WALK_TRUST:
        rc = change(policy, deed, deed->what == WALK_TRUST, to);
        break;
    case WALK_DERIVE:
        rc = derive(policy, from, deed, to);
        break;
    case WALK_UNWRAP:
        rc = unwrap(policy, from, deed, to);
        break;
    case WALK_DESTROY:
        rc = destroy(policy, deed, to);
        break;
    case WALK_GROW:
        rc = grow(policy, from, deed, to);
        break;
    case WALK_WHATS:
    default:
        break;
    }
    if (rc == KL_OK) rc = wrap_all(policy, to);
    if (rc == KL_OK) walk_sort(to);
    return rc;
}

/* --- all of them --- */

struct list {
    struct walk_deed *deeds;
    size_t count;
};

static void add(struct list *list, enum walk_what what, size_t key, size_t other, size_t choices)
{
    for (size_t i = 0; i < choices && list->count < WALK_DEEDS_MAX; i++)
        list->deeds[list->count++] = (struct walk_deed){ (uint8_t)what, (uint8_t)key, (uint8_t)other, (uint8_t)i };
}

static void add_one(struct list *list, enum walk_what what, size_t key, size_t other, size_t choice)
{
    if (list->count < WALK_DEEDS_MAX)
        list->deeds[list->count++] = (struct walk_deed){ (uint8_t)what, (uint8_t)key, (uint8_t)other, (uint8_t)choice };
}

static void add_derivations(struct list *list, const struct walk_state *state, size_t key)
{
    for (size_t way = 0; way < WALK_COUNT(ways); way++) {
        if (!has_salt(way)) add_one(list, WALK_DERIVE, key, key, way);
        for (size_t salt = 0; salt < state->key_count && has_salt(way); salt++) {
            if (salt != key) add_one(list, WALK_DERIVE, key, salt, way);
        }
    }
}

#define TRUSTED_CHANGE 4 /* in walk_changes */

size_t walk_deeds(const struct walk_state *state, struct walk_deed deeds[WALK_DEEDS_MAX])
{
    struct list list = { deeds, 0 };
    bool has_room = state->key_count < walk_room;

    if (has_room) add(&list, WALK_GENERATE, 0, 0, walk_generated_count);
    if (has_room) add(&list, WALK_IMPORT, 0, 0, walk_imported_count);
    for (size_t key = 0; key < state->key_count; key++) {
        add(&list, WALK_SET, key, 0, walk_changes_count);
        if (!(state->keys[key].flags & KL_FLAG_PRIVATE)) add_one(&list, WALK_TRUST, key, 0, TRUSTED_CHANGE);
        add_one(&list, WALK_DESTROY, key, 0, 0);
        if (!has_room) continue;
        add(&list, WALK_COPY, key, 0, walk_changes_count);
        add_derivations(&list, state, key);
        if (state->keys[key].level != KL_LEVEL_FREE) add(&list, WALK_GROW, key, 0, walk_grown_count);
        for (size_t blob = 0; blob < state->blob_count; blob++) add(&list, WALK_UNWRAP, key, blob, walk_unwrapped_count);
    }
    return list.count;
}

void walk_say(const struct walk_state *from, const struct walk_deed *deed)
{
    static const char *const verbs[WALK_WHATS] = { "generate", "import",  "copy",           "set", "the officer sets", "derive",
                                                   "unwrap",   "destroy", "derive (ladder)" };
    static const char *const way_words[] = { "HKDF",
                                             "expansion alone",
                                             "expansion alone, info = bytes",
                                             "expansion alone, info = \"keyladder/1/commit\"",
                                             "extraction alone",
                                             "SP 800-108 with CMAC",
                                             "HKDF, salt a key",
                                             "extraction alone, salt a key" };
    const struct walk_template *const lists[WALK_WHATS] = { walk_generated, walk_imported,  walk_changes, walk_changes, walk_changes,
                                                            NULL,           walk_unwrapped, NULL,         walk_grown };

    printf("    %s", verbs[deed->what]);
    if (deed->what == WALK_DERIVE)
        printf(" %s by %s", walk_derived[ways[deed->choice].template].words, way_words[ways[deed->choice].way]);
    else if (lists[deed->what])
        printf(" %s", lists[deed->what][deed->choice].words);
    if (deed->what != WALK_GENERATE && deed->what != WALK_IMPORT) printf(": %s", walk_key_words(&from->keys[deed->key]));
    if (deed->what == WALK_DERIVE && has_salt(deed->choice)) printf("; salt %s", walk_key_words(&from->keys[deed->other]));
    if (deed->what == WALK_UNWRAP) printf("; blob of %s", walk_value_words(from->blobs[deed->other].value));
    printf("\n");
}
