/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/token.h"

#include <string.h>

#include "../unit.h"
#include "sandbox.h"
#include "token/session.h"

enum { RO = CKF_SERIAL_SESSION, RW = CKF_SERIAL_SESSION | CKF_RW_SESSION };

#define LABEL "demo token                      "
#define WRONG "wrong-pin-000"

static CK_SESSION_HANDLE open_one(struct kl_token *token, CK_FLAGS flags)
{
    CK_SESSION_HANDLE handle = 0;

    CU_ASSERT_EQUAL_FATAL(kl_session_open(token, flags, &handle), KL_OK);
    return handle;
}

static CK_FLAGS flags_of(struct kl_token *token)
{
    CK_TOKEN_INFO info = { .flags = 0 };

    CU_ASSERT_EQUAL_FATAL(kl_token_info(token, &info), KL_OK);
    return info.flags;
}

/* --- what it tells ----------------------------------------------------- */

static void an_uninitialised_token_says_so(void)
{
    CK_TOKEN_INFO info;

    sandbox_begin();
    CU_ASSERT_EQUAL_FATAL(kl_module_open(), KL_OK);
    CU_ASSERT_EQUAL(kl_token_info(kl_token_at(0), &info), KL_OK);
    CU_ASSERT_EQUAL(info.flags, CKF_RNG | CKF_LOGIN_REQUIRED);
    CU_ASSERT_EQUAL(memcmp(info.label, "                                ", 32), 0);
    CU_ASSERT_EQUAL(memcmp(info.serialNumber, "                ", 16), 0);
    token_end();
}

static void a_token_says_what_it_is(void)
{
    struct kl_token *token = token_begin();
    CK_TOKEN_INFO info;

    CU_ASSERT_EQUAL(kl_token_info(token, &info), KL_OK);
    CU_ASSERT_EQUAL(info.flags, CKF_RNG | CKF_LOGIN_REQUIRED | CKF_TOKEN_INITIALIZED | CKF_USER_PIN_INITIALIZED);
    CU_ASSERT_EQUAL(memcmp(info.label, LABEL, 32), 0);
    CU_ASSERT_EQUAL(memcmp(info.manufacturerID, "keyladder                       ", 32), 0);
    CU_ASSERT(memcmp(info.model, "keyladder/ossl  ", 16) == 0 || memcmp(info.model, "keyladder/mb    ", 16) == 0);
    CU_ASSERT_EQUAL(memcmp(info.model, "keyladder/mb", 12) == 0, strcmp(kl_aead_engine_name(KL_ENGINE_AUTO), "ipsec-mb") == 0);
    CU_ASSERT_PTR_NULL(memchr(info.serialNumber, ' ', 16));
    CU_ASSERT_EQUAL(info.ulMinPinLen, KL_PIN_MIN);
    CU_ASSERT_EQUAL(info.ulMaxPinLen, KL_PIN_MAX);
    CU_ASSERT_EQUAL(info.ulFreePrivateMemory, CK_UNAVAILABLE_INFORMATION);
    CU_ASSERT_EQUAL(memcmp(info.utcTime, "                ", 16), 0);
    token_end();
}

static void a_store_that_cannot_be_opened_keeps_its_slot_and_says_why(void)
{
    char command[256];
    CK_TOKEN_INFO info;
    CK_SESSION_HANDLE handle;

    sandbox_begin();
    snprintf(command, sizeof command, "echo this is no database, it is something else >%s/demo.db && chmod 600 %s/demo.db", sandbox.folder,
             sandbox.folder);
    CU_ASSERT_EQUAL_FATAL(system(command), 0);
    CU_ASSERT_EQUAL_FATAL(kl_module_open(), KL_OK);
    CU_ASSERT_EQUAL_FATAL(kl_token_count(), 2);
    for (size_t i = 0; i < 5; i++) {
        CU_ASSERT_NOT_EQUAL(kl_token_info(kl_token_at(0), &info), KL_OK);
        CU_ASSERT_NOT_EQUAL(kl_session_open(kl_token_at(0), RO, &handle), KL_OK);
    }
    CU_ASSERT_EQUAL(kl_token_info(kl_token_at(1), &info), KL_OK);
    /* Ten looks, one line. */
    snprintf(command, sizeof command, "test $(grep -c 'cannot be used' %s/log) -eq 1", sandbox.folder);
    CU_ASSERT_EQUAL(system(command), 0);
    token_end();
}

/* --- C_InitToken ------------------------------------------------------- */

static void a_token_is_not_made_anew_while_a_session_is_open(void)
{
    struct kl_token *token = token_begin();
    CK_SESSION_HANDLE session = open_one(token, RO);

    CU_ASSERT_EQUAL(kl_token_init(token, so_pin(), kl_view_text(LABEL)), KL_SESSION_EXISTS);
    CU_ASSERT_EQUAL(kl_session_close(session), KL_OK);
    CU_ASSERT_EQUAL(kl_token_init(token, kl_view_text(WRONG), kl_view_text(LABEL)), KL_PIN_WRONG);
    CU_ASSERT_EQUAL(kl_token_init(token, so_pin(), kl_view_text("anew                            ")), KL_OK);
    CU_ASSERT_EQUAL(flags_of(token) & CKF_USER_PIN_INITIALIZED, 0);
    token_end();
}

static void a_token_is_not_made_with_a_bad_pin_or_label(void)
{
    static char pin_that_is_too_long[KL_PIN_MAX + 1];
    struct kl_token *token;

    sandbox_begin();
    CU_ASSERT_EQUAL_FATAL(kl_module_open(), KL_OK);
    token = kl_token_at(0);
    memset(pin_that_is_too_long, 'p', sizeof pin_that_is_too_long);
    CU_ASSERT_EQUAL(kl_token_init(token, kl_view_of(pin_that_is_too_long, sizeof pin_that_is_too_long), kl_view_text(LABEL)),
                    KL_PIN_LENGTH);
    CU_ASSERT_EQUAL(kl_token_init(token, kl_view_text("abc"), kl_view_text(LABEL)), KL_PIN_LENGTH);
    CU_ASSERT_EQUAL(kl_token_init(token, kl_view_text(""), kl_view_text(LABEL)), KL_PIN_LENGTH);
    CU_ASSERT_NOT_EQUAL(kl_token_init(token, so_pin(), kl_view_text("                                ")), KL_OK);
    CU_ASSERT_NOT_EQUAL(kl_token_init(token, so_pin(), kl_view_text("\xff\xfe                              ")), KL_OK);
    CU_ASSERT_EQUAL(flags_of(token) & CKF_TOKEN_INITIALIZED, 0);
    token_end();
}

/* --- login ------------------------------------------------------------- */

static void who_logs_in_is_user_or_so(void)
{
    struct kl_token *token = token_begin();

    open_one(token, RW);
    CU_ASSERT_EQUAL(kl_token_login(token, 3, user_pin()), KL_USER_TYPE);
    CU_ASSERT_EQUAL(kl_token_login(token, (CK_USER_TYPE)-1, user_pin()), KL_USER_TYPE);
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_CONTEXT_SPECIFIC, user_pin()), KL_NO_OPERATION);
    CU_ASSERT_EQUAL(kl_ladder_role(token->ladder), KL_ROLE_NONE);
    token_end();
}

static void one_login_holds_for_the_token_and_a_second_is_told(void)
{
    struct kl_token *token = token_begin();

    open_one(token, RW);
    CU_ASSERT_EQUAL(kl_token_logout(token), KL_NOT_LOGGED_IN);
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_USER, user_pin()), KL_OK);
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_USER, user_pin()), KL_LOGGED_IN);
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_USER, kl_view_text(WRONG)), KL_LOGGED_IN);
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_SO, so_pin()), KL_OTHER_LOGGED_IN);
    CU_ASSERT_EQUAL(kl_token_logout(token), KL_OK);
    CU_ASSERT_EQUAL(kl_token_logout(token), KL_NOT_LOGGED_IN);
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_SO, so_pin()), KL_OK);
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_USER, user_pin()), KL_OTHER_LOGGED_IN);
    token_end();
}

static void nobody_logs_in_without_a_session(void)
{
    struct kl_token *token = token_begin();

    CU_ASSERT_EQUAL(kl_token_login(token, CKU_USER, user_pin()), KL_SESSION);
    CU_ASSERT_EQUAL(kl_ladder_role(token->ladder), KL_ROLE_NONE);
    token_end();
}

static void a_pin_longer_than_any_is_wrong(void)
{
    static const char long_pin[70000];
    struct kl_token *token = token_begin();

    open_one(token, RW);
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_USER, kl_view_of(long_pin, KL_PIN_MAX + 1)), KL_PIN_WRONG);
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_USER, kl_view_of(long_pin, sizeof long_pin)), KL_PIN_WRONG);
    /* No byte of it is read. */
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_USER, kl_view_of(long_pin, (size_t)-1)), KL_PIN_WRONG);
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_USER, user_pin()), KL_OK);
    token_end();
}

static void an_unset_user_pin_is_told(void)
{
    struct kl_token *token = token_begin();

    CU_ASSERT_EQUAL(kl_token_init(token, so_pin(), kl_view_text(LABEL)), KL_OK);
    open_one(token, RW);
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_USER, user_pin()), KL_PIN_UNSET);
    token_end();
}

static void wrong_pins_show_in_the_flags_and_lock(void)
{
    struct kl_token *token = token_begin();
    CK_FLAGS before = flags_of(token);

    open_one(token, RW);
    for (size_t i = 1; i <= KL_PIN_TRIES; i++) {
        CU_ASSERT_EQUAL(kl_token_login(token, CKU_USER, kl_view_text(WRONG)), KL_PIN_WRONG);
        CU_ASSERT_EQUAL(flags_of(token), before | CKF_USER_PIN_COUNT_LOW | (i == KL_PIN_TRIES - 1 ? CKF_USER_PIN_FINAL_TRY : 0) |
                                             (i == KL_PIN_TRIES ? CKF_USER_PIN_LOCKED : 0));
    }
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_USER, user_pin()), KL_PIN_LOCKED);
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_SO, so_pin()), KL_OK);
    CU_ASSERT_EQUAL(kl_token_init_pin(token, true, user_pin()), KL_OK);
    CU_ASSERT_EQUAL(flags_of(token), before);
    CU_ASSERT_EQUAL(kl_token_logout(token), KL_OK);
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_USER, user_pin()), KL_OK);
    token_end();
}

static void a_logout_is_an_epoch_and_a_login_is_none(void)
{
    struct kl_token *token = token_begin();
    CK_ULONG before;

    open_one(token, RW);
    before = atomic_load(&token->login_epoch);
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_USER, kl_view_text(WRONG)), KL_PIN_WRONG);
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_USER, user_pin()), KL_OK);
    CU_ASSERT_EQUAL(atomic_load(&token->login_epoch), before);
    CU_ASSERT_EQUAL(kl_token_logout(token), KL_OK);
    CU_ASSERT_EQUAL(atomic_load(&token->login_epoch), before + 1);
    token_end();
}

/* --- PINs -------------------------------------------------------------- */

static void only_the_so_sets_the_users_pin(void)
{
    struct kl_token *token = token_begin();

    open_one(token, RW);
    CU_ASSERT_EQUAL(kl_token_init_pin(token, true, kl_view_text("new-pin-1")), KL_NOT_LOGGED_IN);
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_USER, user_pin()), KL_OK);
    CU_ASSERT_EQUAL(kl_token_init_pin(token, true, kl_view_text("new-pin-1")), KL_NOT_LOGGED_IN);
    CU_ASSERT_EQUAL(kl_token_logout(token), KL_OK);
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_SO, so_pin()), KL_OK);
    CU_ASSERT_EQUAL(kl_token_init_pin(token, true, kl_view_text("abc")), KL_PIN_LENGTH);
    CU_ASSERT_EQUAL(kl_token_init_pin(token, true, kl_view_text("")), KL_PIN_LENGTH);
    CU_ASSERT_EQUAL(kl_token_init_pin(token, true, kl_view_text("new-pin-1")), KL_OK);
    token_end();
}

static void a_read_only_session_changes_no_pin(void)
{
    struct kl_token *token = token_begin();

    open_one(token, RO);
    CU_ASSERT_EQUAL(kl_token_set_pin(token, false, user_pin(), kl_view_text("new-pin-1")), KL_SESSION_READ_ONLY);
    CU_ASSERT_EQUAL(kl_token_init_pin(token, false, kl_view_text("new-pin-1")), KL_SESSION_READ_ONLY);
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_USER, user_pin()), KL_OK);
    token_end();
}

static void a_public_session_and_the_user_change_the_users_pin(void)
{
    struct kl_token *token = token_begin();

    open_one(token, RW);
    CU_ASSERT_EQUAL(kl_token_set_pin(token, true, kl_view_text(WRONG), kl_view_text("new-pin-1")), KL_PIN_WRONG);
    CU_ASSERT_TRUE((flags_of(token) & CKF_USER_PIN_COUNT_LOW) != 0);
    CU_ASSERT_EQUAL(kl_token_set_pin(token, true, user_pin(), kl_view_text("abc")), KL_PIN_LENGTH);
    CU_ASSERT_EQUAL(kl_token_set_pin(token, true, user_pin(), kl_view_text("")), KL_PIN_LENGTH);
    CU_ASSERT_EQUAL(kl_token_set_pin(token, true, user_pin(), kl_view_text("new-pin-1")), KL_OK);
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_USER, user_pin()), KL_PIN_WRONG);
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_USER, kl_view_text("new-pin-1")), KL_OK);
    CU_ASSERT_EQUAL(kl_token_set_pin(token, true, kl_view_text("new-pin-1"), user_pin()), KL_OK);
    CU_ASSERT_EQUAL(kl_token_logout(token), KL_OK);
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_USER, user_pin()), KL_OK);
    token_end();
}

static void the_so_changes_the_sos_pin(void)
{
    struct kl_token *token = token_begin();

    open_one(token, RW);
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_SO, so_pin()), KL_OK);
    CU_ASSERT_EQUAL(kl_token_set_pin(token, true, user_pin(), kl_view_text("new-so-pin")), KL_PIN_WRONG);
    CU_ASSERT_EQUAL(kl_token_set_pin(token, true, so_pin(), kl_view_text("new-so-pin")), KL_OK);
    CU_ASSERT_EQUAL(kl_token_logout(token), KL_OK);
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_SO, so_pin()), KL_PIN_WRONG);
    CU_ASSERT_EQUAL(kl_token_login(token, CKU_SO, kl_view_text("new-so-pin")), KL_OK);
    token_end();
}

UNIT_MAIN("token/token", UNIT(an_uninitialised_token_says_so), UNIT(a_token_says_what_it_is),
          UNIT(a_store_that_cannot_be_opened_keeps_its_slot_and_says_why), UNIT(a_token_is_not_made_anew_while_a_session_is_open),
          UNIT(a_token_is_not_made_with_a_bad_pin_or_label), UNIT(who_logs_in_is_user_or_so),
          UNIT(one_login_holds_for_the_token_and_a_second_is_told), UNIT(nobody_logs_in_without_a_session),
          UNIT(a_pin_longer_than_any_is_wrong), UNIT(an_unset_user_pin_is_told), UNIT(wrong_pins_show_in_the_flags_and_lock),
          UNIT(a_logout_is_an_epoch_and_a_login_is_none), UNIT(only_the_so_sets_the_users_pin), UNIT(a_read_only_session_changes_no_pin),
          UNIT(a_public_session_and_the_user_change_the_users_pin), UNIT(the_so_changes_the_sos_pin))
