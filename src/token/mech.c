/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/mech.h"

#include <string.h>

#include "base/clock.h"
#include "token/policy.h"
#include "token/shelf.h"

static const struct kl_mech *const mechs[] = {
    &kl_mech_generic_key_gen, &kl_mech_aes_key_gen, &kl_mech_aes_gcm, &kl_mech_hkdf_derive, &kl_mech_envelope,
};

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

CK_ULONG kl_mech_count(void)
{
    return MECHS;
}

CK_MECHANISM_TYPE kl_mech_type_at(CK_ULONG index)
{
    return mechs[index]->type;
}

enum kl_rc kl_mech_info(CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info)
{
    const struct kl_mech *mech = kl_mech_find(type);

    KL_CHECK(mech, KL_MECHANISM);
    *info = (CK_MECHANISM_INFO){ .ulMinKeySize = mech->min_key, .ulMaxKeySize = mech->max_key };
    for (size_t kind = 0; kind < KL_OP_FIND; kind++) {
        if (mech->steps[kind].once) info->flags |= kind_flags[kind];
    }
    if (mech->generates) info->flags |= CKF_GENERATE;
    if (mech->derive || mech->derive_ladder) info->flags |= CKF_DERIVE;
    return KL_OK;
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

static bool takes_type(const struct kl_mech *mech, CK_KEY_TYPE type)
{
    for (size_t i = 0; i < mech->key_type_count; i++) {
        if (mech->key_types[i] == type) return true;
    }
    return false;
}

static bool is_allowed(const struct kl_record *record, CK_MECHANISM_TYPE type)
{
    struct kl_view list = kl_record_extra(record, CKA_ALLOWED_MECHANISMS);
    struct kl_reader reader = kl_reader_of(list);

    if (!list.data) return true;
    while (reader.len > 0 && !reader.bad) {
        if (kl_read_u64(&reader) == type) return true;
    }
    return false;
}

/* YYYYMMDD in UTC. */
static void today(uint8_t out[8])
{
    char text[21];

    kl_clock_text(kl_clock->wall(), text);
    memcpy(out, text, 4);
    memcpy(out + 4, text + 5, 2);
    memcpy(out + 6, text + 8, 2);
}

enum kl_rc kl_mech_may_use(const struct kl_session *session, const struct kl_mech *mech, const struct kl_hold *hold, uint32_t usage)
{
    const struct kl_record *record = &hold->record;
    bool is_ladder = kl_level_is_ladder(record->level);
    enum kl_state parent = record->state;
    uint8_t day[8];

    KL_CHECK(record->class == CKO_SECRET_KEY, KL_KEY_HANDLE);
    /* DESIGN 4.1: a public key shows its attributes; its use needs the user. */
    KL_CHECK(kl_session_is_user(session), KL_NOT_LOGGED_IN);
    if (record->level == KL_LEVEL_REK) KL_TRY(kl_shelf_state(hold->token->shelf, record->parent, &parent));
    today(day);
    KL_TRY(kl_policy_use(record, parent, usage, day));
    KL_CHECK(is_allowed(record, mech->type), KL_MECHANISM);
    KL_CHECK(mech->on_ladder || !is_ladder, KL_KEY_FUNCTION);
    KL_CHECK(takes_type(mech, record->key_type) || (is_ladder && usage == KL_FLAG_DERIVE), KL_KEY_TYPE);
    KL_CHECK(record->value_len >= mech->min_key && record->value_len <= mech->max_key, KL_KEY_SIZE);
    return KL_OK;
}
