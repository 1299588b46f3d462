/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* IVs of the token's making: none comes twice, in no session and no process. */
#include "token/iv_make.h"

#include <sys/mman.h>

#include "base/clock.h"
#include "crypto/random.h"
#include "fixture.h"
#include "token/aead_op.h"

enum { IV = 12, MANY = 10000 };

/* --- random bytes, counted and not to be had --- */

static unsigned fetches;
static unsigned fails_at; /* which of them, from 1; 0: none */
static enum kl_rc (*real_source)(void *out, size_t len);

static enum kl_rc counted_source(void *out, size_t len)
{
    return ++fetches == fails_at ? KL_NO_RANDOM : real_source(out, len);
}

/* --- a bare operation: what is drawn for it needs no more --- */

static struct kl_session bare;
static struct kl_token token;

static struct kl_op bare_begin(void)
{
    token.policy = KL_POLICY_STANDARD;
    bare.token = &token;
    return (struct kl_op){ .session = &bare, .is_ladder = true, .is_token = true };
}

/* An IV of zeros, which the token is to make. */
static enum kl_rc choose(struct kl_op *op, uint8_t iv[IV])
{
    uint8_t theirs[IV] = { 0 };
    enum kl_rc rc;

    memset(iv, 0, IV);
    rc = kl_iv_choose(op, true, iv, IV, theirs);
    CU_ASSERT(memcmp(iv, theirs, IV) == 0);
    return rc;
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, IV);
}

/* Sorts them. */
static bool all_differ(uint8_t (*ivs)[IV], size_t count)
{
    qsort(ivs, count, sizeof *ivs, compare);
    for (size_t i = 1; i < count; i++)
        if (memcmp(ivs[i - 1], ivs[i], IV) == 0) return false;
    return true;
}

/* As one number of 96 bits, most significant byte first. */
static bool follows(const uint8_t before[IV], const uint8_t after[IV])
{
    uint8_t next[IV];
    size_t i = IV;

    memcpy(next, before, IV);
    while (i > 0 && ++next[i - 1] == 0) i--;
    return memcmp(next, after, IV) == 0;
}

static struct kl_message message_for(uint8_t *iv, size_t len, size_t fixed_bits, CK_GENERATOR_FUNCTION generator)
{
    return (struct kl_message){ .iv = iv, .iv_len = len, .fixed_bits = fixed_bits, .generator = generator };
}

static void no_iv_that_is_drawn_comes_twice(void)
{
    static uint8_t ivs[MANY][IV];
    struct kl_op ops[2] = { bare_begin(), bare_begin() };

    for (size_t i = 0; i < MANY; i++) {
        struct kl_op *op = &ops[i % 7 == 0];
        struct kl_message message = message_for(ivs[i], IV, 0, i % 2 > 0 ? CKG_GENERATE : CKG_GENERATE_RANDOM);

        CU_ASSERT_EQUAL(i % 3 > 0 ? choose(op, ivs[i]) : kl_iv_generate(op, &message, message.iv), KL_OK);
    }
    CU_ASSERT_TRUE(all_differ(ivs, MANY));
}

static void one_random_iv_is_counted_on_from_256_times(void)
{
    struct kl_op op = bare_begin();
    uint8_t iv[IV], next[IV];

    real_source = kl_random_source;
    kl_random_source = counted_source;
    for (int run = 0; run < 5; run++) {
        fetches = 0;
        CU_ASSERT_EQUAL(choose(&op, iv), KL_OK);
        CU_ASSERT(fetches > 0);
        fetches = 0;
        for (int i = 1; i < KL_IV_RUN; i++) {
            CU_ASSERT_EQUAL(choose(&op, next), KL_OK);
            CU_ASSERT_TRUE(follows(iv, next));
            memcpy(iv, next, IV);
        }
        CU_ASSERT_EQUAL(fetches, 0);
        CU_ASSERT_EQUAL(choose(&op, next), KL_OK);
        CU_ASSERT_FALSE(follows(iv, next));
        op.ivs.left = 0;
    }
    kl_random_source = real_source;
}

static void counting_on_carries_through_all_bytes(void)
{
    static const struct kl_iv_run starts[] = {
        { 0xFE, 0, 4 },
        { UINT32_MAX - 1, 0, 4 },
        { UINT64_MAX - 1, 0xFF, 4 },
        { UINT64_MAX - 1, 0xFFFFFF, 4 },
        { UINT64_MAX - 1, UINT32_MAX, 4 },
    };
    struct kl_op op = bare_begin();
    uint8_t iv[IV], next[IV];

    for (size_t i = 0; i < COUNT(starts); i++) {
        op.ivs = starts[i];
        CU_ASSERT_EQUAL(choose(&op, iv), KL_OK);
        for (int n = 0; n < 3; n++) {
            CU_ASSERT_EQUAL(choose(&op, next), KL_OK);
            CU_ASSERT_TRUE(follows(iv, next));
            memcpy(iv, next, IV);
        }
    }
}

/* CBC's IVs must not be foreseen; those with fixed bits or of another length are random ones each. */
static void ivs_that_must_be_random_are_not_counted(void)
{
    struct kl_op op = bare_begin();
    uint8_t iv[16] = { 0 }, before[16] = { 0 }, theirs[16];

    token.policy = KL_POLICY_STRICT;
    op.is_ladder = op.is_token = false;
    for (int i = 0; i < 100; i++) {
        struct kl_message longer = message_for(iv, 16, 0, CKG_GENERATE_RANDOM), fixed = message_for(iv, 16, 32, CKG_GENERATE_RANDOM);

        memset(iv, 0, sizeof iv);
        CU_ASSERT_EQUAL(kl_iv_choose(&op, false, iv, i % 2 > 0 ? 16 : IV, theirs), KL_OK);
        CU_ASSERT(memcmp(iv, before, 8) != 0 && memcmp(iv, theirs, i % 2 > 0 ? 16 : IV) == 0);
        memcpy(before, iv, sizeof iv);
        CU_ASSERT_EQUAL(kl_iv_generate(&op, &longer, longer.iv), KL_OK);
        CU_ASSERT(memcmp(iv, before, 8) != 0);
        memcpy(before, iv, sizeof iv);
        CU_ASSERT_EQUAL(kl_iv_generate(&op, &fixed, fixed.iv), KL_OK);
        CU_ASSERT(memcmp(iv, before, 4) == 0 && memcmp(iv + 4, before + 4, 8) != 0);
        memcpy(before, iv, sizeof iv);
    }
    CU_ASSERT_EQUAL(op.ivs.left, 0);
}

static void an_iv_that_the_caller_chose_stays_as_it_is(void)
{
    struct kl_op op = bare_begin();
    uint8_t iv[IV] = { 0 }, theirs[IV] = { 0 }, was[IV];

    for (size_t i = 0; i < IV; i++) {
        memset(iv, 0, IV);
        iv[i] = theirs[i] = 0x80;
        memcpy(was, iv, IV);
        CU_ASSERT_EQUAL(kl_iv_choose(&op, true, iv, IV, theirs), KL_OK);
        CU_ASSERT(memcmp(iv, was, IV) == 0);
    }
    CU_ASSERT_EQUAL(op.ivs.left, 0);
    token.policy = KL_POLICY_STRICT;
    CU_ASSERT_EQUAL(kl_iv_choose(&op, true, iv, IV, theirs), KL_PARAMETER);
    CU_ASSERT(memcmp(iv, was, IV) == 0);
    CU_ASSERT_EQUAL(choose(&op, iv), KL_OK);
    CU_ASSERT(memcmp(iv, was, IV) != 0);
    token.policy = KL_POLICY_STANDARD;
    CU_ASSERT_EQUAL(kl_iv_choose(&op, true, (uint8_t[16]){ 1 }, 16, theirs), KL_PARAMETER);
}

static void without_random_bytes_there_is_no_iv(void)
{
    struct kl_op op = bare_begin();
    uint8_t iv[IV], before[IV], zero[IV] = { 0 };
    struct kl_message message = message_for(iv, IV, 0, CKG_GENERATE);

    CU_ASSERT_EQUAL(choose(&op, before), KL_OK);
    op.ivs.left = 0;
    real_source = kl_random_source;
    kl_random_source = counted_source;
    /* Each of the calls for random bytes fails in turn, and nothing is counted on from what has been. */
    for (fails_at = 1; fails_at <= 2; fails_at++) {
        fetches = 0;
        CU_ASSERT_EQUAL(choose(&op, iv), KL_NO_RANDOM);
        CU_ASSERT(memcmp(iv, zero, IV) == 0);
        fetches = 0;
        CU_ASSERT_EQUAL(kl_iv_generate(&op, &message, message.iv), KL_NO_RANDOM);
        CU_ASSERT(memcmp(iv, zero, IV) == 0);
        CU_ASSERT_EQUAL(op.ivs.left, 0);
    }
    fails_at = 0;
    CU_ASSERT_EQUAL(choose(&op, iv), KL_OK);
    CU_ASSERT_FALSE(follows(before, iv));
    kl_random_source = real_source;
}

static void fixed_bits_stay_and_the_rest_is_drawn(void)
{
    struct kl_op op = bare_begin();
    uint8_t iv[16];

    for (size_t fixed = 0; fixed <= 32; fixed++) {
        struct kl_message message = message_for(iv, sizeof iv, fixed, CKG_GENERATE_RANDOM);
        uint8_t any = 0, every = 0xFF;

        for (int i = 0; i < 100; i++) {
            memset(iv, 0xA5, sizeof iv);
            CU_ASSERT_EQUAL(kl_iv_generate(&op, &message, message.iv), KL_OK);
            for (size_t bit = 0; bit < fixed; bit++) CU_ASSERT((iv[bit / 8] & (0x80 >> bit % 8)) == (0xA5 & (0x80 >> bit % 8)));
            any |= iv[fixed / 8];
            every &= iv[fixed / 8];
        }
        /* Each bit behind them has been 0 and 1. */
        CU_ASSERT_EQUAL((any & ~every) & (0xFF >> fixed % 8), 0xFF >> fixed % 8);
    }
}

static void too_few_bits_and_unknown_generators_are_refused(void)
{
    struct kl_op op = bare_begin();
    uint8_t iv[IV] = { 0 }, zero[IV] = { 0 };
    const struct {
        size_t fixed;
        CK_GENERATOR_FUNCTION generator;
    } rows[] = { { 1, CKG_GENERATE_RANDOM }, { 96, CKG_GENERATE_RANDOM },     { 97, CKG_GENERATE }, { 33, CKG_GENERATE_COUNTER },
                 { 33, CKG_GENERATE },       { 0, CKG_GENERATE_COUNTER_XOR }, { 0, 0x12345678 },    { (size_t)-1, CKG_GENERATE } };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct kl_message message = message_for(iv, IV, rows[i].fixed, rows[i].generator);

        CU_ASSERT_EQUAL(kl_iv_generate(&op, &message, message.iv), KL_PARAMETER);
        CU_ASSERT(memcmp(iv, zero, IV) == 0);
    }
    CU_ASSERT_EQUAL(op.ivs.left, 0);
}

/* --- on a real token: counters, messages that go on for long, forks --- */

static struct kl_session *session, *other;
static CK_OBJECT_HANDLE key;
/* What children made. */
static uint8_t (*shared)[IV];

static void begin(const char *module_lines)
{
    sandbox_module = module_lines;
    kl_clock = &clock_standing;
    fixture_begin();
    session = session_new(CKF_RW_SESSION);
    other = session_new(CKF_RW_SESSION);
    log_in();
    key = aes_key(session, true, "counted");
    CU_ASSERT_NOT_EQUAL_FATAL(key, 0);
    shared = mmap(NULL, MANY * sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(shared != MAP_FAILED);
}

static void end(void)
{
    munmap(shared, MANY * sizeof *shared);
    fixture_end();
    kl_clock = &kl_clock_system;
    sandbox_module = "";
}

static bool messages_begin(struct kl_session *with)
{
    CK_MECHANISM mechanism = { CKM_AES_GCM, NULL, 0 };

    return kl_op_init(with, KL_OP_MESSAGE_ENCRYPT, &mechanism, key) == KL_OK;
}

/* The IV of one message; its first four bytes are zero where they are fixed. */
static bool message_iv(struct kl_session *with, CK_GENERATOR_FUNCTION generator, uint8_t iv[IV])
{
    uint8_t tag[16], out[1];
    CK_GCM_MESSAGE_PARAMS params = { iv, IV, generator == CKG_GENERATE_COUNTER ? 32 : 0, generator, tag, 128 };
    struct kl_aead_text text = { kl_view_of(NULL, 0), kl_view_of("x", 1) };
    struct kl_out room = { out, sizeof out, 0 };

    memset(iv, 0, IV);
    return kl_message_once(with, KL_OP_MESSAGE_ENCRYPT, kl_view_of(&params, sizeof params), &text, &room) == KL_OK;
}

static void two_sessions_on_one_key_never_get_the_same_number(void)
{
    begin("");
    CU_ASSERT_TRUE(messages_begin(session) && messages_begin(other));
    for (size_t i = 0; i < 2000; i++) {
        CU_ASSERT_TRUE(message_iv(i % 3 > 0 ? session : other, CKG_GENERATE_COUNTER, shared[i]));
        /* A session that begins anew goes on. */
        if (i % 100 == 70) {
            CU_ASSERT_EQUAL(kl_message_final(session, KL_OP_MESSAGE_ENCRYPT), KL_OK);
            CU_ASSERT_TRUE(messages_begin(session));
        }
        if (i % 300 == 200) clock_second++;
    }
    CU_ASSERT_TRUE(all_differ(shared, 2000));
    end();
}

static void an_init_in_another_second_begins_anew(void)
{
    uint8_t iv[IV], next[IV];

    begin("");
    CU_ASSERT_TRUE(messages_begin(session) && message_iv(session, CKG_GENERATE_RANDOM, iv));
    CU_ASSERT_EQUAL(kl_message_final(session, KL_OP_MESSAGE_ENCRYPT), KL_OK);
    CU_ASSERT_TRUE(messages_begin(session) && message_iv(session, CKG_GENERATE_RANDOM, next));
    CU_ASSERT_TRUE(follows(iv, next));
    CU_ASSERT_EQUAL(kl_message_final(session, KL_OP_MESSAGE_ENCRYPT), KL_OK);
    clock_second++;
    CU_ASSERT_TRUE(messages_begin(session) && message_iv(session, CKG_GENERATE_RANDOM, iv));
    CU_ASSERT_FALSE(follows(next, iv));
    end();
}

enum { EACH = 500 };

static CK_GENERATOR_FUNCTION generator;

static int childs_turn(void)
{
    /* What was begun is the parent's: it would use the same block. So would what is kept of an operation that has ended. */
    UNIT_NEED(!message_iv(session, generator, shared[0]));
    UNIT_NEED(messages_begin(session) && messages_begin(other));
    for (size_t i = 0; i < EACH; i++) UNIT_NEED(message_iv(i % 2 > 0 ? session : other, generator, shared[i]));
    return 0;
}

static void a_child_that_inherits_makes_no_iv_of_its_parents(void)
{
    static const CK_GENERATOR_FUNCTION generators[] = { CKG_GENERATE_RANDOM, CKG_GENERATE_COUNTER };

    for (size_t g = 0; g < COUNT(generators); g++) {
        begin("fork = inherit\n");
        generator = generators[g];
        CU_ASSERT_TRUE(messages_begin(session) && messages_begin(other));
        for (size_t i = 0; i < EACH; i++) CU_ASSERT_TRUE(message_iv(i % 2 > 0 ? session : other, generator, shared[EACH + i]));
        CU_ASSERT_EQUAL(kl_message_final(other, KL_OP_MESSAGE_ENCRYPT), KL_OK);
        CU_ASSERT_EQUAL(unit_in_child(childs_turn), 0);
        CU_ASSERT_TRUE(messages_begin(other));
        for (size_t i = 0; i < EACH; i++) CU_ASSERT_TRUE(message_iv(i % 2 > 0 ? session : other, generator, shared[2 * EACH + i]));
        CU_ASSERT_TRUE(all_differ(shared, 3 * EACH));
        end();
    }
}

/* In a slot whose last tenant has left IVs over. */
static bool draws_in_a_new_session(uint8_t (*ivs)[IV])
{
    struct kl_session *mine = session_new(CKF_RW_SESSION);

    key = find_label(mine, "counted");
    if (!messages_begin(mine)) return false;
    for (size_t i = 0; i < EACH; i++)
        if (!message_iv(mine, CKG_GENERATE_RANDOM, ivs[i])) return false;
    return kl_session_close(atomic_load(&mine->handle)) == KL_OK;
}

static int inherits_a_free_slot(void)
{
    UNIT_NEED(draws_in_a_new_session(shared));
    return 0;
}

static int resets_with_a_free_slot(void)
{
    UNIT_NEED(kl_module_open() == KL_OK);
    demo = kl_token_at(0);
    session = session_new(CKF_RW_SESSION);
    UNIT_NEED(kl_token_login(demo, CKU_USER, user_pin()) == KL_OK);
    UNIT_NEED(draws_in_a_new_session(shared));
    UNIT_NEED(kl_module_close() == KL_OK);
    return 0;
}

/* Parent and child both open a session where one has been closed, within one second. */
static void what_a_closed_session_left_over_serves_neither_parent_nor_child(void)
{
    static const struct {
        const char *module_lines;
        int (*body)(void);
    } rows[] = { { "fork = inherit\n", inherits_a_free_slot }, { "", resets_with_a_free_slot } };

    for (size_t r = 0; r < COUNT(rows); r++) {
        uint8_t iv[IV];
        struct kl_session *one, *two;

        begin(rows[r].module_lines);
        one = session_new(CKF_RW_SESSION);
        two = session_new(CKF_RW_SESSION);
        CU_ASSERT_TRUE(messages_begin(one) && message_iv(one, CKG_GENERATE_RANDOM, iv));
        CU_ASSERT_TRUE(messages_begin(two) && message_iv(two, CKG_GENERATE_RANDOM, iv));
        session_end(two);
        session_end(one);
        CU_ASSERT_EQUAL(unit_in_child(rows[r].body), 0);
        CU_ASSERT_TRUE(draws_in_a_new_session(shared + EACH));
        CU_ASSERT_TRUE(all_differ(shared, 2 * EACH));
        end();
    }
}

UNIT_MAIN("token/iv_make", UNIT(no_iv_that_is_drawn_comes_twice), UNIT(one_random_iv_is_counted_on_from_256_times),
          UNIT(counting_on_carries_through_all_bytes), UNIT(ivs_that_must_be_random_are_not_counted),
          UNIT(an_iv_that_the_caller_chose_stays_as_it_is), UNIT(without_random_bytes_there_is_no_iv),
          UNIT(fixed_bits_stay_and_the_rest_is_drawn), UNIT(too_few_bits_and_unknown_generators_are_refused),
          UNIT(two_sessions_on_one_key_never_get_the_same_number), UNIT(an_init_in_another_second_begins_anew),
          UNIT(a_child_that_inherits_makes_no_iv_of_its_parents), UNIT(what_a_closed_session_left_over_serves_neither_parent_nor_child))
