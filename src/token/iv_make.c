/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/iv_make.h"

#include <string.h>

#include "crypto/random.h"
#include "token/aead_op.h"
#include "token/policy.h"
#include "token/session.h"
#include "token/shelf.h"

#define RANDOM_BITS 96  /* SP 800-38D 8.2.2: a random field has at least these */
#define NUMBERS 64      /* of a key's counter that an operation takes at a time */
#define COUNTER_BITS 64 /* a process begins at a random number, so that two processes do not meet */

static bool is_zero(struct kl_view bytes)
{
    uint8_t any = 0;

    for (size_t i = 0; i < bytes.len; i++) any |= bytes.data[i];
    return any == 0;
}

/* What nearly every caller sends, and needs no further look. */
static bool is_usual(const struct kl_op *op, const uint8_t *iv, size_t len)
{
    const struct kl_token *token = op->session->token;
    uint64_t first;
    uint32_t second;

    if (len != KL_IV_USUAL || !kl_policy_takes_usual_iv(token->policy)) return false;
    memcpy(&first, iv, sizeof first);
    memcpy(&second, iv + sizeof first, sizeof second);
    return (first | second) != 0;
}

KL_COLD enum kl_rc kl_iv_judge(const struct kl_op *op, bool is_aead, struct kl_view iv, bool *makes)
{
    const struct kl_token *token = op->session->token;
    struct kl_iv_deed deed = {
        .is_aead = is_aead,
        .is_ladder = op->is_ladder,
        .is_token = op->is_token,
        .is_zero = is_zero(iv),
        .len = iv.len,
    };

    return kl_policy_iv(token->policy, &deed, makes);
}

/* By counting on from a random one where the mode allows that. */
static KL_COLD enum kl_rc draw(struct kl_op *op, bool is_aead, uint8_t *iv, size_t len)
{
    int64_t now = kl_shelf_second();

    if (!is_aead || len != KL_IV_USUAL) return kl_random_fill(iv, len);
    /* Where a whole machine is copied as it runs, both copies count on, but not for long. */
    if (op->ivs_second != now) op->ivs.left = 0;
    op->ivs_second = now;
    return kl_iv_run_next(&op->ivs, iv);
}

enum kl_rc kl_iv_choose(struct kl_op *op, bool is_aead, uint8_t *iv, size_t len, void *theirs)
{
    bool makes = false;

    if (is_usual(op, iv, len)) return KL_OK;
    KL_TRY(kl_iv_judge(op, is_aead, kl_view_of(iv, len), &makes));
    if (!makes) return KL_OK;
    KL_TRY(draw(op, is_aead, iv, len));
    memcpy(theirs, iv, len);
    return KL_OK;
}

/* --- for messages --- */

/* The bits behind the fixed ones become those of `fresh`. */
static void put_bits(const struct kl_message *message, const uint8_t *fresh, uint8_t *iv)
{
    size_t whole = message->fixed_bits / 8;
    unsigned rest = message->fixed_bits % 8;
    uint8_t mask = (uint8_t)(0xFF >> rest);

    if (whole == message->iv_len) return;
    iv[whole] = (uint8_t)((iv[whole] & ~mask) | (fresh[whole] & mask));
    memcpy(iv + whole + 1, fresh + whole + 1, message->iv_len - whole - 1);
}

static enum kl_rc by_random(struct kl_op *op, const struct kl_message *message, uint8_t *iv)
{
    uint8_t fresh[KL_AEAD_IV_MAX];

    KL_TRY(draw(op, message->fixed_bits == 0, fresh, message->iv_len));
    put_bits(message, fresh, iv);
    return KL_OK;
}

/* A field longer than the counter has zero bits before it. */
static enum kl_rc by_counter(struct kl_op *op, const struct kl_message *message, uint8_t *iv)
{
    uint8_t fresh[KL_AEAD_IV_MAX] = { 0 };
    struct kl_writer writer = { fresh, sizeof fresh, message->iv_len - 8 };

    /* A block at a time, since sessions that use one key would else write to one word of its. */
    if (op->iv_numbers_left == 0) {
        KL_TRY(kl_key_count_ivs(op->key, NUMBERS, &op->iv_number));
        op->iv_numbers_left = NUMBERS;
    }
    op->iv_numbers_left--;
    kl_write_u64(&writer, op->iv_number++);
    put_bits(message, fresh, iv);
    return KL_OK;
}

enum kl_rc kl_iv_generate(struct kl_op *op, const struct kl_message *message, uint8_t *iv)
{
    size_t bits = message->iv_len * 8;
    size_t free_bits;

    /* not reached: a longer IV has been refused. */
    KL_CHECK(message->iv_len <= KL_AEAD_IV_MAX && message->fixed_bits <= bits, KL_PARAMETER);
    free_bits = bits - message->fixed_bits;
    switch (message->generator) {
    case CKG_GENERATE:
        if (free_bits >= RANDOM_BITS) return by_random(op, message, iv);
        break;
    case CKG_GENERATE_RANDOM:
        if (free_bits >= RANDOM_BITS) return by_random(op, message, iv);
        return kl_fail(KL_PARAMETER, "a random IV has at least %d bits that are not fixed", RANDOM_BITS);
    case CKG_GENERATE_COUNTER:
        break;
    default:
        return kl_fail(KL_PARAMETER, "no such generator of IVs, or none that this token has");
    }
    if (free_bits >= COUNTER_BITS) return by_counter(op, message, iv);
    return kl_fail(KL_PARAMETER, "a counted IV has at least %d bits that are not fixed", COUNTER_BITS);
}
