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
        struct kl_arrival arrival = { .record = &record, .owner = KL_OWNER_TOKEN };
        struct kl_place place = { NULL, NULL, 0 };
        CK_OBJECT_HANDLE handle;
        enum kl_rc rc = kl_place_new(&record, 0, &place);

        if (rc == KL_OK) rc = kl_shelf_add(shelf, &place, &arrival, &handle);
        kl_place_clear(&place);
        KL_TRY(rc);
    }
    return KL_OK;
}
