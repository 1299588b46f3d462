/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What a session remembers of its IVs, against a model that keeps whole lists: the last 64 under each of the 16 keys used last. */
#include "token/iv_ring.h"

#include "../unit.h"
#include "base/bytes.h"
#include "crypto/hash.h"
#include "token/mech.h"

#define LONGEST 128

/* --- memory that is not to be had --- */

static bool is_poor;

void *__real_kl_lines_new(size_t size);
void *__wrap_kl_lines_new(size_t size);

void *__wrap_kl_lines_new(size_t size)
{
    return is_poor ? NULL : __real_kl_lines_new(size);
}

struct any_iv {
    size_t len;
    uint8_t bytes[LONGEST];
};

/* --- the model --- */

struct remembered {
    uint8_t key;
    size_t count;
    struct any_iv ivs[KL_IV_RING]; /* the newest first */
};

static struct {
    size_t count;
    struct remembered keys[KL_IV_RING_KEYS]; /* the one used last first */
} model;

static struct remembered *model_key(uint8_t key)
{
    struct remembered found = { .key = key };
    size_t at = 0;

    while (at < model.count && model.keys[at].key != key) at++;
    if (at < model.count)
        found = model.keys[at];
    else if (model.count < KL_IV_RING_KEYS)
        model.count++;
    else
        at--; /* in the place of the last */
    memmove(&model.keys[1], &model.keys[0], at * sizeof model.keys[0]);
    model.keys[0] = found;
    return &model.keys[0];
}

static bool model_has(uint8_t key, const struct any_iv *iv)
{
    const struct remembered *remembered = model_key(key);

    for (size_t i = 0; i < remembered->count; i++)
        if (remembered->ivs[i].len == iv->len && memcmp(remembered->ivs[i].bytes, iv->bytes, iv->len) == 0) return true;
    return false;
}

static void model_add(uint8_t key, const struct any_iv *iv)
{
    struct remembered *remembered = model_key(key);

    if (remembered->count < KL_IV_RING) remembered->count++;
    memmove(&remembered->ivs[1], &remembered->ivs[0], (remembered->count - 1) * sizeof remembered->ivs[0]);
    remembered->ivs[0] = *iv;
}

/* --- the real thing, on a session that has nothing else --- */

static struct kl_session session;
static uint64_t seed = 1;

static uint32_t number(uint32_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((seed >> 32) % below);
}

/* Another tenant of the slot. */
static void begin(void)
{
    memset(&model, 0, sizeof model);
    atomic_fetch_add(&session.handle, 1);
}

static const uint8_t *row_of(uint8_t key)
{
    static uint8_t rows[256][KL_ROW_ID_LEN];

    rows[key][0] = rows[key][KL_ROW_ID_LEN - 1] = key; /* 0: a row id of zeros, like a ring's that has never been used */
    return rows[key];
}

static enum kl_rc check(uint8_t key, const struct any_iv *iv, struct kl_iv_seen *seen)
{
    return kl_iv_ring_check(&session, row_of(key), kl_view_of(iv->bytes, iv->len), false, seen);
}

/* Both say the same of an IV that is to be used: at the check, and when that is long ago. */
static bool check_agrees(uint8_t key, const struct any_iv *iv, struct kl_iv_seen *seen, bool *is_good)
{
    *is_good = !model_has(key, iv);
    return check(key, iv, seen) == (*is_good ? KL_OK : KL_PARAMETER);
}

static bool use_agrees(uint8_t key, const struct any_iv *iv, const struct kl_iv_seen *seen)
{
    bool is_good = !model_has(key, iv);

    if (is_good) model_add(key, iv);
    return kl_iv_ring_use(&session, row_of(key), seen) == (is_good ? KL_OK : KL_PARAMETER);
}

static bool both_agree(uint8_t key, const struct any_iv *iv)
{
    struct kl_iv_seen seen;
    bool is_good;

    if (!check_agrees(key, iv, &seen, &is_good)) return false;
    return !is_good || use_agrees(key, iv, &seen);
}

static struct any_iv iv_from(size_t len, uint32_t word)
{
    struct any_iv iv = { .len = len };

    for (size_t i = 0; i < len && i < sizeof word; i++) iv.bytes[len - 1 - i] = (uint8_t)(word >> 8 * i);
    return iv;
}

/* --- tests --- */

static void an_iv_is_refused_while_it_is_among_the_last_64_and_accepted_after_that(void)
{
    for (size_t len = 1; len <= LONGEST; len++) {
        struct any_iv first = iv_from(len, 0xFF), again;
        struct kl_iv_seen seen;

        begin();
        CU_ASSERT_EQUAL(check(1, &first, &seen), KL_OK);
        CU_ASSERT_EQUAL(kl_iv_ring_use(&session, row_of(1), &seen), KL_OK);
        for (uint32_t i = 0; i < KL_IV_RING; i++) {
            CU_ASSERT_EQUAL(check(1, &first, &seen), KL_PARAMETER);
            again = iv_from(len, i);
            CU_ASSERT_EQUAL(check(1, &again, &seen), KL_OK);
            CU_ASSERT_EQUAL(kl_iv_ring_use(&session, row_of(1), &seen), KL_OK);
        }
        CU_ASSERT_EQUAL(check(1, &first, &seen), KL_OK);
        again = iv_from(len, 0);
        CU_ASSERT_EQUAL(check(1, &again, &seen), KL_PARAMETER);
    }
}

static void what_was_checked_and_not_used_is_not_remembered(void)
{
    struct any_iv iv = iv_from(12, 7);
    struct kl_iv_seen seen;

    begin();
    for (int i = 0; i < 200; i++) CU_ASSERT_EQUAL(check(1, &iv, &seen), KL_OK);
    CU_ASSERT_EQUAL(kl_iv_ring_use(&session, row_of(1), &seen), KL_OK);
    CU_ASSERT_EQUAL(check(1, &iv, &seen), KL_PARAMETER);
}

/* From few IVs, so that most come again; of any length, under more keys than are remembered. */
static void random_sequences_go_as_the_model_says(void)
{
    for (int round = 0; round < 60; round++) {
        uint32_t keys = 1 + number(20), ivs = 40 + number(100);
        size_t len = 1 + number(LONGEST);
        bool agree = true;

        begin();
        for (int i = 0; i < 2000; i++) {
            struct any_iv iv = iv_from(number(10) > 0 ? len : 1 + number(LONGEST), number(ivs));

            agree = agree && both_agree((uint8_t)number(keys), &iv);
        }
        CU_ASSERT_TRUE(agree);
    }
}

/* IVs of 12 bytes of which many, or all, fall through one hole of the sieve. */
static struct any_iv crowded(uint32_t of, uint64_t where)
{
    struct any_iv iv = { .len = 12 };
    uint64_t first = where ^ (uint64_t)of << 17;

    memcpy(iv.bytes, &first, sizeof first);
    memcpy(iv.bytes + sizeof first, &of, sizeof of);
    return iv;
}

static void ivs_that_all_fall_through_one_hole_go_as_the_model_says(void)
{
    for (uint64_t where = 0; where < 40; where++) {
        bool agree = true;

        begin();
        for (int i = 0; i < 3000; i++) {
            struct any_iv iv = crowded(number(100), where % 3 > 0 ? where : where + number(2));

            agree = agree && both_agree((uint8_t)number(2), &iv);
        }
        CU_ASSERT_TRUE(agree);
    }
}

/* One after the other, again and again: each comes back just when it is forgotten, or one too early. */
static void rounds_of_63_to_66_ivs_go_as_the_model_says(void)
{
    for (uint32_t round = KL_IV_RING - 1; round <= KL_IV_RING + 2; round++) {
        bool agree = true;

        begin();
        for (uint32_t i = 0; i < 10 * round; i++) {
            struct any_iv iv = crowded(i % round, 0);

            agree = agree && both_agree(1, &iv);
        }
        CU_ASSERT_TRUE(agree);
    }
}

/* Zero bytes at the end, a digest in the place of what it is of. */
static void ivs_that_look_alike_are_others(void)
{
    static const size_t lengths[] = { 1, 7, 8, 9, 11, 12, 13, 15, 16 };
    struct any_iv zeros = { 0 }, long_iv = iv_from(100, 1), digest = { .len = 16 };
    uint8_t whole[KL_HASH_MAX];
    struct kl_view view = kl_view_of(long_iv.bytes, long_iv.len);
    struct kl_iv_seen seen;

    begin();
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        zeros.len = lengths[i];
        CU_ASSERT_EQUAL(check(1, &zeros, &seen), KL_OK);
        CU_ASSERT_EQUAL(kl_iv_ring_use(&session, row_of(1), &seen), KL_OK);
        CU_ASSERT_EQUAL(check(1, &zeros, &seen), KL_PARAMETER);
    }
    CU_ASSERT_EQUAL(check(1, &long_iv, &seen), KL_OK);
    CU_ASSERT_EQUAL(kl_iv_ring_use(&session, row_of(1), &seen), KL_OK);
    CU_ASSERT_EQUAL(kl_hash_parts(KL_SHA256, &view, 1, whole), KL_OK);
    memcpy(digest.bytes, whole, digest.len);
    CU_ASSERT_EQUAL(check(1, &digest, &seen), KL_OK);
    long_iv.bytes[0] ^= 1;
    CU_ASSERT_EQUAL(check(1, &long_iv, &seen), KL_OK);
}

static void of_seventeen_keys_the_one_unused_longest_is_forgotten(void)
{
    struct any_iv iv = iv_from(12, 1);
    struct kl_iv_seen seen;

    begin();
    for (uint8_t key = 0; key < KL_IV_RING_KEYS; key++) CU_ASSERT_TRUE(both_agree(key, &iv));
    CU_ASSERT_EQUAL(check(0, &iv, &seen), KL_PARAMETER); /* now 1 is the one */
    CU_ASSERT_EQUAL(check(KL_IV_RING_KEYS, &iv, &seen), KL_OK);
    CU_ASSERT_EQUAL(kl_iv_ring_use(&session, row_of(KL_IV_RING_KEYS), &seen), KL_OK);
    CU_ASSERT_EQUAL(check(0, &iv, &seen), KL_PARAMETER);
    for (uint8_t key = 2; key <= KL_IV_RING_KEYS; key++) CU_ASSERT_EQUAL(check(key, &iv, &seen), KL_PARAMETER);
    CU_ASSERT_EQUAL(check(1, &iv, &seen), KL_OK);
}

/* --- what was for nothing --- */

static enum kl_rc check_with_aad(const struct any_iv *iv, struct kl_iv_seen *seen)
{
    return kl_iv_ring_check(&session, row_of(1), kl_view_of(iv->bytes, iv->len), true, seen);
}

static void what_was_for_nothing_is_used_once_more_with_aad(void)
{
    for (size_t len = 1; len <= LONGEST; len++) {
        struct any_iv iv = iv_from(len, 5), other = iv_from(len, 6);
        struct kl_iv_seen plain, first, second;

        begin();
        CU_ASSERT_EQUAL(check(1, &iv, &plain), KL_OK);
        CU_ASSERT_EQUAL(kl_iv_ring_use_for_nothing(&session, row_of(1), &plain), KL_OK);
        CU_ASSERT_EQUAL(check(1, &iv, &first), KL_PARAMETER);
        CU_ASSERT_EQUAL(check(1, &other, &first), KL_OK);
        CU_ASSERT_EQUAL(check_with_aad(&iv, &first), KL_OK);
        CU_ASSERT_EQUAL(check_with_aad(&iv, &second), KL_OK);
        CU_ASSERT_EQUAL(kl_iv_ring_use_for_nothing(&session, row_of(1), &plain), KL_PARAMETER);
        CU_ASSERT_EQUAL(kl_iv_ring_use(&session, row_of(1), &first), KL_OK);
        CU_ASSERT_EQUAL(kl_iv_ring_use(&session, row_of(1), &second), KL_PARAMETER);
        CU_ASSERT_EQUAL(check_with_aad(&iv, &second), KL_PARAMETER);
        CU_ASSERT_EQUAL(check(1, &iv, &second), KL_PARAMETER);
    }
}

static void what_was_for_nothing_is_used_up_by_the_next(void)
{
    struct any_iv iv = iv_from(12, 5), other = iv_from(12, 6);
    struct kl_iv_seen plain, early, next;

    begin();
    CU_ASSERT_EQUAL(check(1, &iv, &plain), KL_OK);
    CU_ASSERT_EQUAL(kl_iv_ring_use_for_nothing(&session, row_of(1), &plain), KL_OK);
    CU_ASSERT_EQUAL(check_with_aad(&iv, &early), KL_OK);
    CU_ASSERT_EQUAL(check(1, &other, &next), KL_OK);
    CU_ASSERT_EQUAL(kl_iv_ring_use(&session, row_of(1), &next), KL_OK);
    CU_ASSERT_EQUAL(kl_iv_ring_use(&session, row_of(1), &early), KL_PARAMETER);
    CU_ASSERT_EQUAL(check_with_aad(&iv, &early), KL_PARAMETER);
}

static void what_made_ciphertext_is_not_used_for_nothing(void)
{
    struct any_iv iv = iv_from(12, 5);
    struct kl_iv_seen one, two;

    begin();
    CU_ASSERT_EQUAL(check(1, &iv, &one), KL_OK);
    CU_ASSERT_EQUAL(check(1, &iv, &two), KL_OK);
    CU_ASSERT_EQUAL(kl_iv_ring_use(&session, row_of(1), &one), KL_OK);
    CU_ASSERT_EQUAL(kl_iv_ring_use_for_nothing(&session, row_of(1), &two), KL_PARAMETER);
    CU_ASSERT_EQUAL(check_with_aad(&iv, &two), KL_PARAMETER);
}

static void what_was_for_nothing_is_forgotten_like_the_others(void)
{
    struct any_iv iv = iv_from(12, 1000);
    struct kl_iv_seen seen;

    begin();
    CU_ASSERT_EQUAL(check(1, &iv, &seen), KL_OK);
    CU_ASSERT_EQUAL(kl_iv_ring_use_for_nothing(&session, row_of(1), &seen), KL_OK);
    for (uint32_t i = 0; i < KL_IV_RING; i++) {
        struct any_iv next = iv_from(12, i);

        CU_ASSERT_EQUAL(check(1, &iv, &seen), KL_PARAMETER);
        CU_ASSERT_EQUAL(check(1, &next, &seen), KL_OK);
        CU_ASSERT_EQUAL(kl_iv_ring_use(&session, row_of(1), &seen), KL_OK);
    }
    CU_ASSERT_EQUAL(check(1, &iv, &seen), KL_OK);
}

/* --- operations of one session, one within the other --- */

static void of_two_that_have_checked_the_same_one_uses_it(void)
{
    struct any_iv iv = iv_from(12, 9);
    struct kl_iv_seen one, two;

    begin();
    CU_ASSERT_EQUAL(check(1, &iv, &one), KL_OK);
    CU_ASSERT_EQUAL(check(1, &iv, &two), KL_OK);
    CU_ASSERT_EQUAL(kl_iv_ring_use(&session, row_of(1), &two), KL_OK);
    CU_ASSERT_EQUAL(kl_iv_ring_use(&session, row_of(1), &one), KL_PARAMETER);
    CU_ASSERT_EQUAL(kl_iv_ring_use(&session, row_of(1), &two), KL_PARAMETER);
}

static void what_was_checked_under_one_key_is_used_under_it_whatever_came_between(void)
{
    struct any_iv iv = iv_from(12, 9);

    for (uint8_t others = 0; others <= 2 * KL_IV_RING_KEYS; others++) {
        struct kl_iv_seen seen, another;

        begin();
        CU_ASSERT_EQUAL(check(100, &iv, &seen), KL_OK);
        for (uint8_t key = 0; key < others; key++) {
            CU_ASSERT_EQUAL(check(key, &iv, &another), KL_OK);
            if (key % 2 == 0) CU_ASSERT_EQUAL(kl_iv_ring_use(&session, row_of(key), &another), KL_OK);
        }
        CU_ASSERT_EQUAL(kl_iv_ring_use(&session, row_of(100), &seen), KL_OK);
        CU_ASSERT_EQUAL(check(100, &iv, &another), KL_PARAMETER);
        /* It went to no other key's list, such as that of who has the ring now. */
        for (uint8_t key = 1; key < others; key += 2) CU_ASSERT_EQUAL(check(key, &iv, &another), KL_OK);
    }
}

static void operations_by_turns_go_as_the_model_says(void)
{
    enum { OPEN = 5 };
    struct {
        struct any_iv iv;
        struct kl_iv_seen seen;
        uint8_t key;
        bool is_open;
    } ops[OPEN] = { 0 };

    for (int round = 0; round < 40; round++) {
        uint32_t keys = 1 + number(19);
        bool agree = true;

        begin();
        memset(ops, 0, sizeof ops);
        for (int i = 0; i < 4000; i++) {
            size_t at = number(OPEN);

            if (ops[at].is_open) {
                agree = agree && use_agrees(ops[at].key, &ops[at].iv, &ops[at].seen);
                ops[at].is_open = false;
            } else {
                ops[at].iv = round % 2 > 0 ? crowded(number(80), 5) : iv_from(1 + number(LONGEST), number(80));
                ops[at].key = (uint8_t)number(keys);
                agree = agree && check_agrees(ops[at].key, &ops[at].iv, &ops[at].seen, &ops[at].is_open);
            }
        }
        CU_ASSERT_TRUE(agree);
    }
}

static void the_next_tenant_of_a_slot_has_used_nothing(void)
{
    struct any_iv iv = iv_from(12, 3);
    struct kl_iv_seen seen;

    begin();
    CU_ASSERT_TRUE(both_agree(1, &iv));
    CU_ASSERT_TRUE(both_agree(2, &iv));
    begin();
    for (uint8_t key = 1; key <= 2; key++) {
        CU_ASSERT_EQUAL(check(key, &iv, &seen), KL_OK);
        CU_ASSERT_EQUAL(kl_iv_ring_use(&session, row_of(key), &seen), KL_OK);
        CU_ASSERT_EQUAL(check(key, &iv, &seen), KL_PARAMETER);
    }
}

static void without_memory_for_a_ring_no_iv_is_accepted(void)
{
    static struct kl_session poor;
    struct any_iv iv = iv_from(12, 3);
    struct kl_iv_seen seen;

    atomic_store(&poor.handle, 5);
    is_poor = true;
    CU_ASSERT_EQUAL(kl_iv_ring_check(&poor, row_of(1), kl_view_of(iv.bytes, iv.len), false, &seen), KL_MEMORY);
    is_poor = false;
    CU_ASSERT_EQUAL(kl_iv_ring_check(&poor, row_of(1), kl_view_of(iv.bytes, iv.len), false, &seen), KL_OK);
    is_poor = true;
    CU_ASSERT_EQUAL(kl_iv_ring_check(&poor, row_of(2), kl_view_of(iv.bytes, iv.len), false, &seen), KL_MEMORY);
    is_poor = false;
    CU_ASSERT_EQUAL(kl_iv_ring_check(&poor, row_of(2), kl_view_of(iv.bytes, iv.len), false, &seen), KL_OK);
}

UNIT_MAIN("token/iv_ring", UNIT(an_iv_is_refused_while_it_is_among_the_last_64_and_accepted_after_that),
          UNIT(what_was_checked_and_not_used_is_not_remembered), UNIT(random_sequences_go_as_the_model_says),
          UNIT(ivs_that_all_fall_through_one_hole_go_as_the_model_says), UNIT(rounds_of_63_to_66_ivs_go_as_the_model_says),
          UNIT(ivs_that_look_alike_are_others), UNIT(of_seventeen_keys_the_one_unused_longest_is_forgotten),
          UNIT(what_was_for_nothing_is_used_once_more_with_aad), UNIT(what_was_for_nothing_is_used_up_by_the_next),
          UNIT(what_made_ciphertext_is_not_used_for_nothing), UNIT(what_was_for_nothing_is_forgotten_like_the_others),
          UNIT(of_two_that_have_checked_the_same_one_uses_it), UNIT(what_was_checked_under_one_key_is_used_under_it_whatever_came_between),
          UNIT(operations_by_turns_go_as_the_model_says), UNIT(the_next_tenant_of_a_slot_has_used_nothing),
          UNIT(without_memory_for_a_ring_no_iv_is_accepted))
