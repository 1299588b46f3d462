/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the attacker can work out. Reading, digesting, encrypting, signing and deriving to data change no key (but bind it to a family
 * under `strict`, which the attacker here need not care about), so he is taken to do all of that in every state, with whatever input.
 */
#include "walk.h"

#define BLOBS_DEEP 4 /* keys under keys under keys */

struct mind {
    enum kl_policy policy;
    const struct walk_state *state;
};

bool walk_may_use(enum kl_policy policy, const struct walk_key *key, enum walk_mech mech, uint32_t usage)
{
    static const uint8_t today[8] = { '2', '0', '3', '0', '0', '1', '0', '1' };
    struct walk_seen seen;
    struct kl_deed deed = {
        .kind = KL_DEED_USE,
        .key = &seen.record,
        .mech = walk_mech(mech),
        .usage = usage,
        .parent = KL_STATE_ACTIVE,
        .today = today,
    };

    walk_see(key, 0, &seen);
    return walk_judge(policy, &deed) == KL_OK;
}

static bool may(const struct mind *mind, const struct walk_key *key, enum kl_deed_kind kind)
{
    struct walk_seen seen;
    struct kl_deed deed = { .kind = kind, .key = &seen.record };

    walk_see(key, 0, &seen);
    return walk_judge(mind->policy, &deed) == KL_OK;
}

static bool use(const struct mind *mind, const struct walk_key *key, enum walk_mech mech, uint32_t usages)
{
    for (uint32_t usage = KL_FLAG_ENCRYPT; usage <= KL_FLAG_DERIVE; usage <<= 1) {
        if ((usages & usage) && walk_may_use(mind->policy, key, mech, usage)) return true;
    }
    return false;
}

/* A cipher of one block, one way at least; both ways in `both`. */
static bool is_block_cipher(const struct mind *mind, const struct walk_key *key, bool both)
{
    uint32_t cipher = KL_FLAG_ENCRYPT | KL_FLAG_DECRYPT;

    if (use(mind, key, WALK_CBC, cipher) || use(mind, key, WALK_GCM, cipher)) return true;
    return !both && use(mind, key, WALK_CMAC_MECH, KL_FLAG_SIGN | KL_FLAG_VERIFY);
}

/* Shows what it does to a known input, so that few bits can be tried; the next ones then, since lengths are prefixes of each other. */
static bool is_guessed(const struct mind *mind, const struct walk_key *key)
{
    if (key->len >= KL_KEY_BITS_SAFE / 8) return false;
    return is_block_cipher(mind, key, false) || use(mind, key, WALK_MAC, KL_FLAG_SIGN | KL_FLAG_VERIFY) ||
           use(mind, key, WALK_HKDF, KL_FLAG_DERIVE);
}

/* Somebody who may verify tries tags, shorter ones first. */
static bool is_oracle(const struct mind *mind, enum walk_kind kind, unsigned value)
{
    for (size_t i = 0; i < mind->state->key_count; i++) {
        const struct walk_key *key = &mind->state->keys[i];

        if (key->value != value || key->level != KL_LEVEL_FREE) continue;
        if (kind == WALK_HMAC && use(mind, key, WALK_MAC, KL_FLAG_SIGN | KL_FLAG_VERIFY)) return true;
        if (kind == WALK_CMAC && is_block_cipher(mind, key, false)) return true;
    }
    return false;
}

static bool learns(const struct mind *mind, unsigned value, int deep);

static bool opens(const struct mind *mind, const struct walk_blob *blob, int deep)
{
    if (deep > 0 && learns(mind, blob->under, deep - 1)) return true;
    for (size_t i = 0; i < mind->state->key_count; i++) {
        const struct walk_key *key = &mind->state->keys[i];
        enum walk_mech mech = (enum walk_mech)blob->mech;

        if (walk_key_for(key, mech) != blob->under || key->len != blob->len) continue;
        if (key->level != KL_LEVEL_FREE) {
            /* The subkey of one mechanism does no more than that. */
            if (use(mind, key, mech, KL_FLAG_ENCRYPT | KL_FLAG_DECRYPT)) return true;
        } else if (is_block_cipher(mind, key, mech != WALK_GCM)) {
            return true;
        }
        /* Vaudenay: whether the padding was right is told. */
        if (mech == WALK_CBC_PAD && use(mind, key, mech, KL_FLAG_UNWRAP)) return true;
    }
    return false;
}

/* Digested with what HMAC puts before it, a key gives the pseudo-random key of an extraction. */
static bool is_digested(const struct mind *mind, unsigned value)
{
    for (size_t i = 0; i < mind->state->key_count; i++) {
        if (mind->state->keys[i].value == value && may(mind, &mind->state->keys[i], KL_DEED_DIGEST)) return true;
    }
    return false;
}

/* The commitment of a generated key lies in the store, and in every envelope. */
static bool is_commitment(const struct mind *mind, unsigned key, unsigned of)
{
    if (of != walk_value(WALK_KNOWN, WALK_COMMIT, 0)) return false;
    for (size_t i = 0; i < mind->state->key_count; i++) {
        if (mind->state->keys[i].value == key && (mind->state->keys[i].flags & KL_FLAG_GENERATED)) return true;
    }
    return false;
}

/* CKM_HKDF_DATA with `base` and a salt: a known value, or a key's. */
static bool tells(const struct mind *mind, unsigned salt, unsigned base, int deep)
{
    const struct walk_state *state = mind->state;

    for (size_t i = 0; i < state->key_count; i++) {
        const struct walk_key *key = &state->keys[i];
        struct walk_seen seen, seen_salt;
        struct kl_deed mix = { .kind = KL_DEED_SALT, .key = &seen_salt.record, .other = &seen.record };

        if (key->value != base || !use(mind, key, WALK_HKDF_DATA, KL_FLAG_DERIVE) || !may(mind, key, KL_DEED_TELL)) continue;
        if (learns(mind, salt, deep)) return true;
        walk_see(key, i, &seen);
        for (size_t s = 0; s < state->key_count; s++) {
            if (state->keys[s].value != salt || !use(mind, &state->keys[s], WALK_HKDF, KL_FLAG_DERIVE)) continue;
            walk_see(&state->keys[s], s, &seen_salt);
            if (walk_judge(mind->policy, &mix) == KL_OK && may(mind, &state->keys[s], KL_DEED_TELL)) return true;
        }
    }
    return false;
}

/* Expansion alone, as data. */
static bool expands_to_data(const struct mind *mind, unsigned base)
{
    for (size_t i = 0; i < mind->state->key_count; i++) {
        const struct walk_key *key = &mind->state->keys[i];

        if (key->value == base && use(mind, key, WALK_HKDF_DATA, KL_FLAG_DERIVE) && may(mind, key, KL_DEED_PRF) &&
            may(mind, key, KL_DEED_TELL))
            return true;
    }
    return false;
}

/* HMAC(a, b) or CMAC(a, b), from its parts or from keys that work it out. */
static bool works_out(const struct mind *mind, enum walk_kind kind, unsigned a, unsigned b, int deep)
{
    unsigned salt, base;

    if (learns(mind, b, deep)) {
        if (learns(mind, a, deep) || is_oracle(mind, kind, a)) return true;
        if (kind == WALK_HMAC && (is_commitment(mind, a, b) || expands_to_data(mind, a))) return true;
    }
    if (kind != WALK_HMAC) return false;
    if (learns(mind, a, deep) && is_digested(mind, b)) return true;
    /* As an extraction, and as the expansion of one. */
    if (tells(mind, a, b, deep)) return true;
    return walk_kind_of(a, &salt, &base) == WALK_HMAC && learns(mind, b, deep) && tells(mind, salt, base, deep);
}

static bool learns(const struct mind *mind, unsigned value, int deep)
{
    const struct walk_state *state = mind->state;
    unsigned a, b;
    enum walk_kind kind;

    if (!walk_is_secret(value)) return true;
    for (size_t i = 0; i < state->key_count; i++) {
        if (state->keys[i].value != value) continue;
        if (may(mind, &state->keys[i], KL_DEED_READ) || is_guessed(mind, &state->keys[i])) return true;
    }
    for (size_t i = 0; i < state->blob_count; i++) {
        if (state->blobs[i].value == value && opens(mind, &state->blobs[i], deep)) return true;
    }
    kind = walk_kind_of(value, &a, &b);
    return (kind == WALK_HMAC || kind == WALK_CMAC) && works_out(mind, kind, a, b, deep);
}

static bool is_ladders(unsigned value)
{
    unsigned a, b;
    enum walk_kind kind = walk_kind_of(value, &a, &b);

    return kind == WALK_CHILD || kind == WALK_SUBKEY;
}

unsigned walk_leak(enum kl_policy policy, const struct walk_state *state, bool ladder_only)
{
    struct mind mind = { policy, state };

    for (size_t i = 0; i < (size_t)state->key_count + state->blob_count; i++) {
        unsigned value = i < state->key_count ? state->keys[i].value : state->blobs[i - state->key_count].value;

        if (!walk_is_secret(value) || (ladder_only && !is_ladders(value))) continue;
        if (learns(&mind, value, BLOBS_DEEP)) return value;
    }
    return 0;
}
