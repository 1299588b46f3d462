/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Who may do what to a token: PKCS#11's rules on logins, PINs and sessions (v3.1 5.5 and 5.6). The PINs themselves are the ladder's. */
#include "token/token.h"

#include "base/log.h"
#include "base/secret.h"
#include "token/object.h"
#include "token/session.h"

/* --- one change at a time ---------------------------------------------- */

void kl_token_begin_change(struct kl_token *token)
{
    pthread_mutex_lock(&token->lock);
    while (token->is_changing) pthread_cond_wait(&token->changed, &token->lock);
    token->is_changing = true;
    pthread_mutex_unlock(&token->lock);
}

void kl_token_end_change(struct kl_token *token)
{
    pthread_mutex_lock(&token->lock);
    token->is_changing = false;
    pthread_cond_broadcast(&token->changed);
    pthread_mutex_unlock(&token->lock);
}

static void count_sessions(struct kl_token *token, CK_ULONG *all, CK_ULONG *read_only)
{
    pthread_mutex_lock(&token->lock);
    *all = token->sessions;
    *read_only = token->sessions - token->rw_sessions;
    pthread_mutex_unlock(&token->lock);
}

/* --- login ------------------------------------------------------------- */

/* Into the arena. What is longer than any PIN is not copied: it is too long for a new one, and no guess at an old one. */
static enum kl_rc pin_copy(struct kl_secret *copy, struct kl_view pin, enum kl_rc too_long)
{
    if (pin.len > KL_PIN_MAX) return too_long;
    return kl_secret_from(copy, pin);
}

static enum kl_rc login(struct kl_token *token, enum kl_role role, const struct kl_secret *pin)
{
    enum kl_role now = kl_ladder_role(token->ladder);
    CK_ULONG all, read_only;

    if (now != KL_ROLE_NONE) return now == role ? KL_LOGGED_IN : KL_OTHER_LOGGED_IN;
    count_sessions(token, &all, &read_only);
    /* The caller's was closed, and with the last one a login would have ended. */
    if (all == 0) return KL_SESSION;
    if (role == KL_ROLE_SO && read_only > 0) return KL_SESSION_RO_EXISTS;
    return kl_ladder_login(token->ladder, role, kl_secret_view(pin));
}

enum kl_rc kl_token_login(struct kl_token *token, CK_USER_TYPE user, struct kl_view pin)
{
    KL_AUTO(kl_secret) copy = { 0 };
    enum kl_rc rc;

    /* v3.1 5.6.8: only within an operation of a key that is CKA_ALWAYS_AUTHENTICATE, and none of ours is. */
    if (user == CKU_CONTEXT_SPECIFIC) return KL_NO_OPERATION;
    KL_CHECK(user == CKU_USER || user == CKU_SO, KL_USER_TYPE);
    KL_TRY(pin_copy(&copy, pin, KL_PIN_WRONG));
    kl_token_begin_change(token);
    rc = login(token, user == CKU_SO ? KL_ROLE_SO : KL_ROLE_USER, &copy);
    kl_token_end_change(token);
    return rc;
}

static void end_login(struct kl_token *token)
{
    enum kl_rc rc;

    /* Nothing that has begun goes on; what it held of a key's budget goes back while the store has its key. */
    atomic_fetch_add(&token->login_epoch, 1);
    kl_session_end_operations(token);
    /* Then the right to begin anything new, and what had begun meanwhile. */
    rc = kl_ladder_logout(token->ladder);
    (void)rc; /* KL_NOT_LOGGED_IN, which is what is wanted */
    kl_object_end_private(token);
    kl_session_end_operations(token);
}

void kl_token_end_login(struct kl_token *token)
{
    if (kl_ladder_role(token->ladder) == KL_ROLE_NONE) return;
    atomic_store(&token->is_ending, true);
    end_login(token);
    atomic_store(&token->is_ending, false);
}

void kl_token_inherit(struct kl_token *token)
{
    token->changed = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    token->is_changing = false;
    token->sessions = 0;
    token->rw_sessions = 0;
    kl_ladder_inherit(token->ladder, !atomic_load(&token->is_ending));
}

void kl_token_settle(struct kl_token *token)
{
    if (atomic_exchange(&token->is_ending, false)) end_login(token);
}

enum kl_rc kl_token_logout(struct kl_token *token)
{
    enum kl_rc rc = KL_OK;

    kl_token_begin_change(token);
    if (kl_ladder_role(token->ladder) == KL_ROLE_NONE) rc = KL_NOT_LOGGED_IN;
    kl_token_end_login(token);
    kl_token_end_change(token);
    return rc;
}

/* --- life of the token and its PINs ------------------------------------ */

enum kl_rc kl_token_init(struct kl_token *token, struct kl_view so_pin, struct kl_view label)
{
    KL_AUTO(kl_secret) copy = { 0 };
    CK_ULONG all, read_only;
    enum kl_rc rc = KL_SESSION_EXISTS;

    KL_TRY(pin_copy(&copy, so_pin, KL_PIN_LENGTH));
    kl_token_begin_change(token);
    count_sessions(token, &all, &read_only);
    if (all == 0) rc = kl_ladder_create(token->ladder, label, kl_secret_view(&copy));
    if (rc == KL_OK) kl_object_end_all(token);
    kl_token_end_change(token);
    return rc;
}

enum kl_rc kl_token_init_pin(struct kl_token *token, bool session_is_rw, struct kl_view pin)
{
    KL_AUTO(kl_secret) copy = { 0 };
    enum kl_rc rc;

    KL_CHECK(session_is_rw, KL_SESSION_READ_ONLY);
    KL_TRY(pin_copy(&copy, pin, KL_PIN_LENGTH));
    kl_token_begin_change(token);
    rc = kl_ladder_role(token->ladder) == KL_ROLE_SO ? kl_ladder_pin_init(token->ladder, kl_secret_view(&copy)) : KL_NOT_LOGGED_IN;
    kl_token_end_change(token);
    return rc;
}

enum kl_rc kl_token_set_pin(struct kl_token *token, bool session_is_rw, struct kl_view old_pin, struct kl_view new_pin)
{
    KL_AUTO(kl_secret) before = { 0 };
    KL_AUTO(kl_secret) after = { 0 };
    enum kl_role role;
    enum kl_rc rc;

    KL_CHECK(session_is_rw, KL_SESSION_READ_ONLY);
    KL_TRY(pin_copy(&before, old_pin, KL_PIN_WRONG));
    KL_TRY(pin_copy(&after, new_pin, KL_PIN_LENGTH));
    kl_token_begin_change(token);
    /* v3.1 5.5.9: of whoever is logged in, and of the user where nobody is. */
    role = kl_ladder_role(token->ladder) == KL_ROLE_SO ? KL_ROLE_SO : KL_ROLE_USER;
    rc = kl_ladder_pin_change(token->ladder, role, kl_secret_view(&before), kl_secret_view(&after));
    kl_token_end_change(token);
    return rc;
}
