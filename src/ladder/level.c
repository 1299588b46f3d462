/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "ladder/level.h"

#include <stddef.h>

struct level {
    const char *name; /* key_type in the store */
    const char *title;
    enum kl_level below;
    bool is_ladder;
    bool is_stored; /* made as a token object by derivation */
};

static const struct level levels[KL_LEVELS] = {
    [KL_LEVEL_MASTER] = { .name = "master", .title = "master key", .below = KL_LEVEL_DEK, .is_ladder = true },
    [KL_LEVEL_DEK] = { .name = "dek", .title = "table key (DEK)", .below = KL_LEVEL_FEK, .is_ladder = true, .is_stored = true },
    [KL_LEVEL_FEK] = { .name = "fek", .title = "field key (FEK)", .below = KL_LEVEL_REK, .is_ladder = true, .is_stored = true },
    [KL_LEVEL_REK] = { .name = "rek", .title = "record key (REK)", .below = KL_LEVELS, .is_ladder = true },
    [KL_LEVEL_FREE] = { .name = "free", .title = "free key", .below = KL_LEVELS },
    [KL_LEVEL_DATA] = { .name = "data", .title = "data object", .below = KL_LEVELS },
};

/* What SP 800-57 part 1, section 7 lets a key do in each state; a retiring one is superseded and still in its window. */
struct state {
    const char *name;
    bool can_encrypt;
    bool can_decrypt;
};

static const struct state states[] = {
    [0] = { NULL, false, false },
    [KL_STATE_PRE_ACTIVE] = { "pre-active", false, false },
    [KL_STATE_ACTIVE] = { "active", true, true },
    [KL_STATE_RETIRING] = { "retiring", true, true },
    [KL_STATE_DEACTIVATED] = { "deactivated", false, true },
    [KL_STATE_COMPROMISED] = { "compromised", false, true },
    [KL_STATE_PENDING_DELETION] = { "pending deletion", false, false },
    [KL_STATE_DESTROYED] = { "destroyed", false, false },
};

const char *kl_level_name(enum kl_level level)
{
    return levels[level].name;
}

const char *kl_level_title(enum kl_level level)
{
    return levels[level].title;
}

bool kl_level_from_name(struct kl_view name, enum kl_level *out)
{
    for (int level = 0; level < KL_LEVELS; level++) {
        if (kl_view_is(name, kl_view_text(levels[level].name))) {
            *out = (enum kl_level)level;
            return true;
        }
    }
    return false;
}

bool kl_level_is_ladder(enum kl_level level)
{
    return levels[level].is_ladder;
}

enum kl_level kl_level_below(enum kl_level parent)
{
    return levels[parent].below;
}

bool kl_level_is_stored(enum kl_level level)
{
    return levels[level].is_stored;
}

const char *kl_state_name(enum kl_state state)
{
    return states[state].name;
}

bool kl_state_is_valid(uint32_t state)
{
    return state >= KL_STATE_PRE_ACTIVE && state <= KL_STATE_DESTROYED;
}

bool kl_state_can_encrypt(enum kl_state state)
{
    return states[state].can_encrypt;
}

bool kl_state_can_decrypt(enum kl_state state)
{
    return states[state].can_decrypt;
}
