/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/mech.h"

#include <string.h>

#include "base/clock.h"
#include "token/make.h"
#include "token/policy.h"
#include "token/session.h"
#include "token/shelf.h"

static const struct kl_mech *const mechs[] = {
    &kl_mech_generic_key_gen,
    &kl_mech_aes_key_gen,
    &kl_mech_aes_gcm,
    &kl_mech_chacha20_key_gen,
    &kl_mech_chacha20_poly1305,
    &kl_mech_hkdf_derive,
    &kl_mech_hkdf_data,
    &kl_mech_hkdf_key_gen,
    &kl_mech_envelope,
    &kl_mech_sha256,
    &kl_mech_sha384,
    &kl_mech_sha512,
    &kl_mech_sha256_hmac,
    &kl_mech_sha256_hmac_general,
    &kl_mech_sha384_hmac,
    &kl_mech_sha384_hmac_general,
    &kl_mech_sha512_hmac,
    &kl_mech_sha512_hmac_general,
    &kl_mech_aes_cmac,
    &kl_mech_aes_cmac_general,
    &kl_mech_aes_gmac,
    &kl_mech_aes_cbc,
    &kl_mech_aes_cbc_pad,
    &kl_mech_aes_ctr,
    &kl_mech_aes_ecb,
    &kl_mech_aes_key_wrap,
    &kl_mech_aes_key_wrap_pad,
    &kl_mech_aes_key_wrap_kwp,
    &kl_mech_sp800_108_counter_kdf,
    &kl_mech_root_wrap,
};

#define SUBKEY_LEN 32 /* bytes of a ladder key's subkey */
#define MECHS (sizeof mechs / sizeof *mechs)

/* What C_GetMechanismInfo says of a kind of operation that is offered. */
static const CK_FLAGS kind_flags[KL_OP_FIND] = {
    [KL_OP_ENCRYPT] = CKF_ENCRYPT,
    [KL_OP_DECRYPT] = CKF_DECRYPT,
    [KL_OP_MESSAGE_ENCRYPT] = CKF_MESSAGE_ENCRYPT,
    [KL_OP_MESSAGE_DECRYPT] = CKF_MESSAGE_DECRYPT,
    [KL_OP_SIGN] = CKF_SIGN,
    [KL_OP_VERIFY] = CKF_VERIFY,
    [KL_OP_DIGEST] = CKF_DIGEST,
};

const struct kl_mech *kl_mech_find(CK_MECHANISM_TYPE type)
{
    for (size_t i = 0; i < MECHS; i++) {
        if (mechs[i]->type == type) return mechs[i];
    }
    return NULL;
}

bool kl_mech_is_compatible_only(const struct kl_mech *mech, uint32_t usage)
{
    return mech->is_compatible_only || (mech->wraps_if_compatible && (usage & (KL_FLAG_WRAP | KL_FLAG_UNWRAP)) != 0);
}

CK_ULONG kl_mech_count(const struct kl_token *token)
{
    CK_ULONG count = 0;

    for (size_t i = 0; i < MECHS; i++) count += token->policy == KL_POLICY_COMPATIBLE || !mechs[i]->is_compatible_only;
    return count;
}

CK_MECHANISM_TYPE kl_mech_type_at(const struct kl_token *token, CK_ULONG index)
{
    size_t at = 0;

    for (;; at++) {
        if (token->policy != KL_POLICY_COMPATIBLE && mechs[at]->is_compatible_only) continue;
        if (index-- == 0) return mechs[at]->type;
    }
}

static CK_FLAGS flags_of(const struct kl_mech *mech, enum kl_policy policy)
{
    CK_FLAGS flags = 0;

    for (size_t kind = 0; kind < KL_OP_FIND; kind++) {
        if (mech->steps[kind]) flags |= kind_flags[kind];
    }
    if (mech->message) flags |= CKF_MESSAGE_ENCRYPT | CKF_MESSAGE_DECRYPT | CKF_MULTI_MESSAGE;
    if (mech->generates) flags |= CKF_GENERATE;
    if (mech->derive || mech->derive_ladder) flags |= CKF_DERIVE;
    if (mech->wrap && (policy == KL_POLICY_COMPATIBLE || !mech->wraps_if_compatible)) flags |= CKF_WRAP | CKF_UNWRAP;
    return flags;
}

enum kl_rc kl_mech_info(const struct kl_token *token, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info)
{
    const struct kl_mech *mech = kl_mech_find(type);

    KL_CHECK(mech && (token->policy == KL_POLICY_COMPATIBLE || !mech->is_compatible_only), KL_MECHANISM);
    *info = (CK_MECHANISM_INFO){ mech->min_key, mech->max_key, flags_of(mech, token->policy) };
    return KL_OK;
}

enum kl_rc kl_mech_no_parameter(struct kl_view parameter)
{
    KL_CHECK(parameter.len == 0, KL_PARAMETER);
    return KL_OK;
}

enum kl_rc kl_mech_hash(CK_MECHANISM_TYPE type, enum kl_hash *out)
{
    static const struct {
        CK_MECHANISM_TYPE type;
        enum kl_hash hash;
    } hashes[] = { { CKM_SHA256, KL_SHA256 }, { CKM_SHA384, KL_SHA384 }, { CKM_SHA512, KL_SHA512 } };

    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++) {
        *out = hashes[i].hash;
        if (hashes[i].type == type) return KL_OK;
    }
    return KL_PARAMETER;
}

enum kl_rc kl_mech_key_bytes(const struct kl_mech *mech, const struct kl_key *key, struct kl_secret *out)
{
    size_t len = kl_level_is_ladder(kl_key_level(key)) ? SUBKEY_LEN : kl_key_len(key);

    return kl_key_for_mechanism(key, mech->type, len, out);
}

/* --- key types --- */

static const struct key_type {
    uint64_t type;
    size_t min, max, step;
} key_types[] = {
    { CKK_GENERIC_SECRET, 1, KL_SECRET_KEY_MAX, 1 },
    { CKK_AES, 16, 32, 8 },
    { CKK_CHACHA20, 32, 32, 1 },
    { CKK_HKDF, 1, KL_SECRET_KEY_MAX, 1 },
    { CKK_SHA256_HMAC, 1, KL_SECRET_KEY_MAX, 1 },
    { CKK_SHA384_HMAC, 1, KL_SECRET_KEY_MAX, 1 },
    { CKK_SHA512_HMAC, 1, KL_SECRET_KEY_MAX, 1 },
};

static const struct key_type *key_type_of(uint64_t type)
{
    for (size_t i = 0; i < sizeof key_types / sizeof *key_types; i++) {
        if (key_types[i].type == type) return &key_types[i];
    }
    return NULL;
}

bool kl_key_type_is_known(uint64_t key_type)
{
    return key_type_of(key_type) != NULL;
}

bool kl_key_type_takes(uint64_t key_type, size_t len)
{
    const struct key_type *type = key_type_of(key_type);

    return type && len >= type->min && len <= type->max && (len - type->min) % type->step == 0;
}

size_t kl_key_type_fixed_len(uint64_t key_type)
{
    const struct key_type *type = key_type_of(key_type);

    return type && type->min == type->max ? type->min : 0;
}

/* --- may it be used? --- */

/* YYYYMMDD in UTC. */
static void today(uint8_t out[8])
{
    char text[21];

    kl_clock_text(kl_clock->wall(), text);
    memcpy(out, text, 4);
    memcpy(out + 4, text + 5, 2);
    memcpy(out + 6, text + 8, 2);
}

enum kl_rc kl_mech_may_use(struct kl_session *session, const struct kl_mech *mech, const struct kl_hold *hold, uint32_t usage)
{
    const struct kl_token *token = session->token;
    struct kl_deed deed = { .kind = KL_DEED_USE, .key = &hold->record, .mech = mech, .usage = usage, .parent = hold->record.state };
    bool is_dated = hold->record.start_date[0] != 0 || hold->record.end_date[0] != 0;
    uint8_t day[8] = { 0 };

    KL_CHECK(hold->record.class == CKO_SECRET_KEY, KL_KEY_HANDLE);
    /* DESIGN 4.1: a public key shows its attributes; its use needs the user. */
    KL_CHECK(kl_session_is_user(session), KL_NOT_LOGGED_IN);
    if (hold->record.level == KL_LEVEL_REK) KL_TRY(kl_shelf_state(hold->token->shelf, hold->record.parent, &deed.parent));
    if (is_dated) {
        today(day);
        deed.today = day;
    }
    return kl_policy_judge(token->policy, &deed);
}

/* With a look of its own: whoever uses the key borrows from the record that it was judged by. */
static enum kl_rc bind(struct kl_session *session, const struct kl_mech *mech, CK_OBJECT_HANDLE handle)
{
    KL_AUTO(kl_hold) hold = { 0 };

    KL_TRY(kl_hold_take(session, handle, &hold));
    return kl_level_is_ladder(hold.record.level) ? KL_OK : kl_object_bind_family(&hold, (uint8_t)mech->family);
}

enum kl_rc kl_mech_bind(struct kl_session *session, const struct kl_mech *mech, CK_OBJECT_HANDLE handle)
{
    const struct kl_token *token = session->token;

    return token->policy == KL_POLICY_STRICT ? bind(session, mech, handle) : KL_OK;
}
