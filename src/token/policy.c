/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/policy.h"

#include <string.h>

static const uint32_t roles[] = {
    KL_FLAG_ENCRYPT | KL_FLAG_DECRYPT,
    KL_FLAG_SIGN | KL_FLAG_VERIFY,
    KL_FLAG_WRAP | KL_FLAG_UNWRAP,
    KL_FLAG_DERIVE,
};

bool kl_policy_is_one_role(uint32_t flags)
{
    unsigned count = 0;

    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) count += (flags & roles[i]) != 0;
    return count <= 1;
}

uint32_t kl_policy_default_usage(enum kl_level level, uint64_t key_type)
{
    uint32_t cipher = KL_FLAG_ENCRYPT | KL_FLAG_DECRYPT;

    if (level == KL_LEVEL_REK) return cipher;
    if (kl_level_is_ladder(level)) return cipher | KL_FLAG_DERIVE;
    if (key_type == KL_TYPE_AES || key_type == KL_TYPE_CHACHA20) return cipher;
    if (key_type == KL_TYPE_HKDF) return KL_FLAG_DERIVE;
    return KL_FLAG_SIGN | KL_FLAG_VERIFY;
}

enum kl_rc kl_policy_flag(unsigned rules, struct kl_applying applying, bool from, bool to)
{
    bool is_there = (applying.how & (KL_MODIFY | KL_ON_COPY)) != 0;

    KL_CHECK(!(rules & KL_BY_SO) || from == to || applying.is_so, KL_ATTR_READ_ONLY);
    if (!is_there || from == to) return KL_OK;
    KL_CHECK(!(rules & KL_ONLY_UP) || to, KL_ATTR_READ_ONLY);
    KL_CHECK(!(rules & KL_LOCKED) || !to, KL_PROHIBITED);
    KL_CHECK(!(rules & KL_ONLY_DOWN) || !to, KL_ATTR_READ_ONLY);
    return KL_OK;
}

static bool is_set(const uint8_t date[8])
{
    return date[0] != 0;
}

enum kl_rc kl_policy_date(bool is_end, const uint8_t from[8], const uint8_t to[8])
{
    int order = memcmp(to, from, 8);

    if (!is_set(from)) return KL_OK;
    KL_CHECK(is_set(to), KL_ATTR_READ_ONLY);
    KL_CHECK(is_end ? order <= 0 : order >= 0, KL_ATTR_READ_ONLY);
    return KL_OK;
}

enum kl_rc kl_policy_new_free(uint32_t flags)
{
    if (!kl_policy_is_one_role(flags)) {
        return kl_fail(KL_TEMPLATE, "a key has one role: encrypt and decrypt, sign and verify, wrap and unwrap, or derive");
    }
    return KL_OK;
}

enum kl_rc kl_policy_new_ladder(enum kl_level level, bool is_token, uint32_t flags, uint32_t named)
{
    /* Named only to be refused: silence means the safe value. */
    uint32_t wanted = KL_FLAG_PRIVATE | KL_FLAG_SENSITIVE;
    uint32_t unwanted = KL_FLAG_EXTRACTABLE | KL_FLAG_COPYABLE | KL_FLAG_TRUSTED | (is_token ? KL_FLAG_DESTROYABLE : 0);

    KL_CHECK((flags & named & unwanted) == 0, KL_TEMPLATE);
    KL_CHECK((~flags & named & wanted) == 0, KL_TEMPLATE);
    if (level == KL_LEVEL_REK && (flags & KL_FLAG_DERIVE)) {
        return kl_fail(KL_TEMPLATE, "a record key, or any session key of the ladder, has no children");
    }
    return KL_OK;
}

enum kl_rc kl_policy_inherit(uint32_t base, uint32_t named, uint32_t *flags)
{
    bool is_sealed = (base & KL_FLAG_SENSITIVE) && !(base & KL_FLAG_EXTRACTABLE);

    if ((base & KL_FLAG_SENSITIVE) && !(*flags & KL_FLAG_SENSITIVE)) {
        KL_CHECK(!(named & KL_FLAG_SENSITIVE), KL_TEMPLATE);
        *flags |= KL_FLAG_SENSITIVE;
    }
    if ((base & KL_FLAG_PRIVATE) && !(*flags & KL_FLAG_PRIVATE)) return kl_fail(KL_TEMPLATE, "a private key has private children");
    KL_CHECK(!is_sealed || !(*flags & KL_FLAG_EXTRACTABLE), KL_TEMPLATE);
    *flags &= ~(uint32_t)(KL_FLAG_LOCAL | KL_FLAG_ALWAYS_SENSITIVE | KL_FLAG_NEVER_EXTRACTABLE | KL_FLAG_GENERATED);
    if ((base & KL_FLAG_ALWAYS_SENSITIVE) && (*flags & KL_FLAG_SENSITIVE)) *flags |= KL_FLAG_ALWAYS_SENSITIVE;
    if ((base & KL_FLAG_NEVER_EXTRACTABLE) && !(*flags & KL_FLAG_EXTRACTABLE)) *flags |= KL_FLAG_NEVER_EXTRACTABLE;
    return KL_OK;
}

uint32_t kl_policy_history_generated(uint32_t flags)
{
    flags |= KL_FLAG_LOCAL | KL_FLAG_GENERATED;
    if (flags & KL_FLAG_SENSITIVE) flags |= KL_FLAG_ALWAYS_SENSITIVE;
    if (!(flags & KL_FLAG_EXTRACTABLE)) flags |= KL_FLAG_NEVER_EXTRACTABLE;
    return flags;
}

uint32_t kl_policy_history_imported(uint32_t flags)
{
    return flags & ~(uint32_t)(KL_FLAG_LOCAL | KL_FLAG_ALWAYS_SENSITIVE | KL_FLAG_NEVER_EXTRACTABLE | KL_FLAG_GENERATED);
}

bool kl_policy_is_readable(uint32_t flags)
{
    return !(flags & KL_FLAG_SENSITIVE) && (flags & KL_FLAG_EXTRACTABLE);
}

/* To protect something new; the rest is to undo it. */
static bool is_protecting(uint32_t usage)
{
    return (usage & (KL_FLAG_ENCRYPT | KL_FLAG_SIGN | KL_FLAG_WRAP)) != 0;
}

/* v3.1 4.8: dates of a free key bind; those of a ladder key inform, its state decides (DESIGN 4.4). */
static bool is_in_time(const struct kl_record *record, const uint8_t today[8])
{
    if (is_set(record->start_date) && memcmp(today, record->start_date, 8) < 0) return false;
    return !is_set(record->end_date) || memcmp(today, record->end_date, 8) <= 0;
}

enum kl_rc kl_policy_use(const struct kl_record *record, enum kl_state parent, uint32_t usage, const uint8_t today[8])
{
    KL_CHECK(kl_record_has(record, usage), KL_KEY_FUNCTION);
    if (is_protecting(usage)) {
        KL_CHECK(kl_state_can_encrypt(record->state) && kl_state_can_encrypt(parent), KL_KEY_FUNCTION);
        if (!kl_level_is_ladder(record->level) && !is_in_time(record, today)) {
            return kl_fail(KL_KEY_FUNCTION, "today lies outside the key's start and end date");
        }
    }
    KL_CHECK(kl_state_can_decrypt(record->state) && kl_state_can_decrypt(parent), KL_KEY_FUNCTION);
    return KL_OK;
}
