/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/hold.h"

#include <string.h>

#include "token/shelf.h"

bool kl_session_is_user(const struct kl_session *session)
{
    const struct kl_token *token = session->token;

    return kl_ladder_role(token->ladder) == KL_ROLE_USER;
}

bool kl_session_is_so(const struct kl_session *session)
{
    const struct kl_token *token = session->token;

    return kl_ladder_role(token->ladder) == KL_ROLE_SO;
}

enum kl_rc kl_object_get(struct kl_session *session, CK_OBJECT_HANDLE handle, struct kl_object **out)
{
    struct kl_object *object = kl_slot_get(handle);
    const struct kl_token *token = session->token;

    if (!object) return KL_OBJECT;
    /* What a caller may not see is not there: no other code, before login or on another token. */
    if (object->token != token || (object->is_private && !kl_session_is_user(session))) {
        kl_slot_put(object);
        return KL_OBJECT;
    }
    *out = object;
    return KL_OK;
}

static void look(struct kl_hold *hold)
{
    kl_snapshot_put(hold->shot);
    hold->shot = kl_shelf_shot(hold->token->shelf, hold->object);
    kl_snapshot_record(hold->shot, &hold->record, hold->extras);
}

enum kl_rc kl_hold_take(struct kl_session *session, CK_OBJECT_HANDLE handle, struct kl_hold *hold)
{
    enum kl_rc rc;

    hold->shot = NULL;
    hold->object = NULL;
    hold->token = session->token;
    KL_TRY(kl_object_get(session, handle, &hold->object));
    rc = kl_shelf_check(hold->token->shelf, hold->object);
    if (rc == KL_OK) {
        hold->is_token = kl_object_is_token(hold->object);
        look(hold);
    } else {
        kl_hold_clear(hold);
    }
    return rc;
}

enum kl_rc kl_hold_renew(struct kl_hold *hold)
{
    KL_TRY(kl_shelf_renew(hold->token->shelf, hold->object));
    look(hold);
    return KL_OK;
}

void kl_hold_clear(struct kl_hold *hold)
{
    kl_snapshot_put(hold->shot);
    kl_slot_put(hold->object);
    hold->shot = NULL;
    hold->object = NULL;
}

enum kl_rc kl_hold_key(struct kl_hold *hold, struct kl_key **key)
{
    *key = kl_snapshot_key(hold->shot);
    if (*key) return KL_OK;
    /* not reached: the key of a session object stays with it. */
    KL_CHECK(hold->is_token, KL_KEY_HANDLE);
    KL_TRY(kl_ladder_open_key(hold->token->ladder, &hold->record, key));
    kl_snapshot_keep_key(hold->shot, *key);
    return KL_OK;
}

/* Where session objects and public ones keep it. */
static enum kl_rc data_in_memory(struct kl_hold *hold, struct kl_secret *value)
{
    struct kl_view bytes = kl_record_extra(&hold->record, CKA_VALUE);
    struct kl_key *key = kl_snapshot_key(hold->shot);
    enum kl_rc rc = kl_secret_from(value, key ? kl_key_bytes(key) : bytes);

    kl_key_put(key);
    return rc;
}

enum kl_rc kl_hold_data(struct kl_hold *hold, struct kl_secret *value)
{
    bool is_private = kl_record_has(&hold->record, KL_FLAG_PRIVATE);

    return hold->is_token && is_private ? kl_ladder_open_data(hold->token->ladder, &hold->record, value) : data_in_memory(hold, value);
}
