/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/mac_op.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/mac.h"
#include "token/iv_ring.h"

/* Kept by an operation slot for the next use of the same key. */
struct state {
    struct kl_mac *mac;
    size_t tag_len;
    uint8_t iv[KL_MAC_IV_MAX]; /* that signs */
    struct kl_iv_seen seen;
    size_t iv_len;
};

static enum kl_mac_algorithm algorithm_of(const struct kl_op *op)
{
    static const enum kl_mac_algorithm algorithms[] = {
        [KL_FAMILY_HMAC_SHA256] = KL_MAC_HMAC_SHA256, [KL_FAMILY_HMAC_SHA384] = KL_MAC_HMAC_SHA384,
        [KL_FAMILY_HMAC_SHA512] = KL_MAC_HMAC_SHA512, [KL_FAMILY_CMAC] = KL_MAC_CMAC_AES,
        [KL_FAMILY_GMAC] = KL_MAC_GMAC_AES,
    };

    return algorithms[op->mech->family];
}

/* --- begin --- */

static enum kl_rc make_mac(const struct kl_op *op, struct kl_mac **out)
{
    KL_AUTO(kl_secret) key = { 0 };

    KL_TRY(kl_mech_key_bytes(op->mech, op->key, &key));
    return kl_mac_new(algorithm_of(op), kl_secret_view(&key), out);
}

static enum kl_rc make_state(struct kl_op *op)
{
    struct state *state = kl_lines_new(sizeof *state);
    enum kl_rc rc;

    KL_CHECK(state, KL_MEMORY);
    rc = make_mac(op, &state->mac);
    if (rc == KL_OK)
        op->state = state;
    else
        free(state);
    return rc;
}

/* An IV that signs twice under a key gives the key of GHASH away. */
static enum kl_rc take_iv(struct kl_op *op, struct state *state, struct kl_view iv)
{
    /* not reached: the mechanism has refused a longer one. */
    KL_CHECK(iv.len <= sizeof state->iv, KL_PARAMETER);
    state->iv_len = iv.len;
    if (iv.len == 0) return KL_OK;
    memcpy(state->iv, iv.data, iv.len);
    return kl_iv_ring_check(op->session, op->row, iv, false, &state->seen);
}

enum kl_rc kl_mac_op_begin(struct kl_op *op, enum kl_op_kind kind, size_t tag_len, struct kl_view iv)
{
    struct state *state;

    KL_CHECK(tag_len >= KL_MAC_TAG_MIN && tag_len <= kl_mac_len(algorithm_of(op)), KL_PARAMETER);
    if (!op->state) KL_TRY(make_state(op));
    state = op->state;
    state->tag_len = tag_len;
    KL_TRY(take_iv(op, state, kind == KL_OP_SIGN ? iv : kl_view_of(NULL, 0)));
    return kl_mac_start(state->mac, iv);
}

enum kl_rc kl_mac_op_init(struct kl_op *op, enum kl_op_kind kind, struct kl_view parameter)
{
    KL_TRY(kl_mech_no_parameter(parameter));
    return kl_mac_op_begin(op, kind, kl_mac_len(algorithm_of(op)), kl_view_of(NULL, 0));
}

enum kl_rc kl_mac_op_init_general(struct kl_op *op, enum kl_op_kind kind, struct kl_view parameter)
{
    CK_ULONG len; /* CK_MAC_GENERAL_PARAMS */

    KL_CHECK(parameter.data && parameter.len == sizeof len, KL_PARAMETER);
    memcpy(&len, parameter.data, sizeof len);
    return kl_mac_op_begin(op, kind, len, kl_view_of(NULL, 0));
}

/* --- steps --- */

static enum kl_rc final_len(const struct kl_op *op, size_t *out_len)
{
    const struct state *state = op->state;

    *out_len = state->tag_len;
    return KL_OK;
}

static enum kl_rc final(struct kl_op *op, struct kl_out *out)
{
    const struct state *state = op->state;
    uint8_t mac[KL_MAC_MAX];
    enum kl_rc rc;

    /* not reached: or seldom, when another operation of the session has used it since the Init. */
    if (state->iv_len > 0) KL_TRY(kl_iv_ring_use(op->session, op->row, &state->seen));
    rc = kl_mac_finish(state->mac, mac);
    if (rc == KL_OK) {
        memcpy(out->data, mac, state->tag_len);
        out->len = state->tag_len;
    }
    kl_wipe(mac, sizeof mac);
    return rc;
}

static enum kl_rc absorb(struct kl_op *op, struct kl_view in)
{
    const struct state *state = op->state;

    return kl_mac_update(state->mac, in);
}

static enum kl_rc once_len(const struct kl_op *op, size_t in_len, size_t *out_len)
{
    (void)in_len;
    return final_len(op, out_len);
}

static enum kl_rc once(struct kl_op *op, struct kl_view in, struct kl_out *out)
{
    KL_TRY(absorb(op, in));
    return final(op, out);
}

const struct kl_steps kl_mac_steps = {
    .once_len = once_len,
    .once = once,
    .absorb = absorb,
    .final_len = final_len,
    .final = final,
};

/* --- end --- */

/* The keyed context stays for the next message, which starts it afresh. */
void kl_mac_op_end(struct kl_op *op)
{
    (void)op;
}

void kl_mac_op_clear(struct kl_op *op)
{
    struct state *state = op->state;

    kl_mac_free(state->mac);
    free(state);
    op->state = NULL;
}
