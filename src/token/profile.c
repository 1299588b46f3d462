/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/profile.h"

static const CK_PROFILE_ID profiles[] = { CKP_BASELINE_PROVIDER, CKP_EXTENDED_PROVIDER, CKP_HKDF_TLS_TOKEN };

/* Their ids are the same on every token, like what they say: a UUID of version 8, RFC 9562. */
static struct kl_record record_of(CK_PROFILE_ID profile)
{
    return (struct kl_record){
        .id = { 'k', 'e', 'y', 'l', 'a', 'd', 0x80, 'p', 0x80, 'r', 'o', 'f', 'i', 'l', 'e', (uint8_t)profile },
        .generation = 1,
        .level = KL_LEVEL_DATA,
        .state = KL_STATE_ACTIVE,
        .version = 1,
        .is_active = true,
        .class = CKO_PROFILE,
        .key_type = profile,
        .mechanism = KL_NO_MECHANISM,
    };
}

enum kl_rc kl_profiles_add(struct kl_shelf *shelf)
{
    for (size_t i = 0; i < sizeof profiles / sizeof *profiles; i++) {
        struct kl_record record = record_of(profiles[i]);
        CK_OBJECT_HANDLE handle;

        KL_TRY(kl_shelf_add_made(shelf, &record, NULL, KL_OWNER_TOKEN, &handle));
    }
    return KL_OK;
}
