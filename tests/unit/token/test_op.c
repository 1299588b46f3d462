/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Operations: the rules on lengths, what ends them, and what the way of a warm key costs (token/op.c, mech_aes_gcm.c). */
#include "token/op.h"

#include <pthread.h>

#include "base/clock.h"
#include "fixture.h"
#include "ladder/envelope.h"
#include "token/aead_op.h"
#include "token/batch.h"
#include "token/mech.h"

/* --- counted calls --- */

static unsigned allocations, locks;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size);
int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);

void *__wrap_malloc(size_t size)
{
    allocations++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    allocations++;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
    allocations++;
    return __real_realloc(block, size);
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    locks++;
    return __real_pthread_mutex_lock(mutex);
}

static struct kl_session *session;
static CK_OBJECT_HANDLE key;
static uint8_t iv[12];

static void begin(void)
{
    kl_clock = &clock_standing;
    fixture_begin();
    session = session_new(CKF_RW_SESSION);
    log_in();
    key = aes_key(session, false, NULL);
    memset(iv, 0, sizeof iv);
    iv[11] = 1;
}

static void end(void)
{
    session_end(session);
    fixture_end();
    kl_clock = &kl_clock_system;
}

static enum kl_rc init(enum kl_op_kind kind, CK_OBJECT_HANDLE handle)
{
    CK_GCM_PARAMS gcm = { iv, sizeof iv, 0, NULL, 0, 128 };
    CK_MECHANISM mechanism = { CKM_AES_GCM, &gcm, sizeof gcm };

    return kl_op_init(session, kind, &mechanism, handle);
}

static void next_iv(void)
{
    for (size_t i = sizeof iv; i-- > 0 && ++iv[i] == 0;) continue;
}

static enum kl_rc once(enum kl_op_kind kind, const void *in, size_t len, uint8_t *out, size_t *out_len)
{
    struct kl_out room = { out, *out_len, 0 };
    enum kl_rc rc = kl_op_once(session, kind, kl_view_of(in, len), &room);

    *out_len = room.len;
    return rc;
}

/* Seals "0123456789" and leaves 26 bytes in out. */
static void seal_ten(uint8_t out[26])
{
    size_t len = 26;

    next_iv();
    CU_ASSERT_EQUAL_FATAL(init(KL_OP_ENCRYPT, key), KL_OK);
    CU_ASSERT_EQUAL_FATAL(once(KL_OP_ENCRYPT, "0123456789", 10, out, &len), KL_OK);
    CU_ASSERT_EQUAL(len, 26);
}

/* --- lengths --- */

static void a_question_for_the_length_keeps_the_operation(void)
{
    uint8_t out[64];
    size_t len = 0;

    begin();
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, "0123456789", 10, NULL, &len), KL_OK);
    CU_ASSERT_EQUAL(len, 26);
    len = 26;
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, "0123456789", 10, out, &len), KL_OK);
    CU_ASSERT_EQUAL(len, 26);
    end();
}

static void a_short_buffer_is_told_the_length_and_may_try_again(void)
{
    uint8_t out[64];
    size_t len = 25;

    begin();
    memset(out, 0xa5, sizeof out);
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, "0123456789", 10, out, &len), KL_BUFFER);
    CU_ASSERT_EQUAL(len, 26);
    CU_ASSERT(out[0] == 0xa5 && out[24] == 0xa5);
    len = sizeof out;
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, "0123456789", 10, out, &len), KL_OK);
    CU_ASSERT_EQUAL(len, 26);
    end();
}

static void success_ends_the_operation_and_so_does_failure(void)
{
    uint8_t sealed[26], out[64];
    size_t len = sizeof out;

    begin();
    seal_ten(sealed);
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, "x", 1, out, &len), KL_NO_OPERATION);
    sealed[25] ^= 1;
    CU_ASSERT_EQUAL(init(KL_OP_DECRYPT, key), KL_OK);
    len = sizeof out;
    CU_ASSERT_EQUAL(once(KL_OP_DECRYPT, sealed, sizeof sealed, out, &len), KL_CIPHERTEXT);
    CU_ASSERT_EQUAL(once(KL_OP_DECRYPT, sealed, sizeof sealed, out, &len), KL_NO_OPERATION);
    end();
}

static void a_ciphertext_shorter_than_its_tag_ends_the_operation(void)
{
    uint8_t out[64];
    size_t len = sizeof out;

    begin();
    CU_ASSERT_EQUAL(init(KL_OP_DECRYPT, key), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_DECRYPT, "0123456789abcde", 15, out, &len), KL_CIPHERTEXT_LENGTH);
    CU_ASSERT_EQUAL(once(KL_OP_DECRYPT, "0123456789abcdef", 16, out, &len), KL_NO_OPERATION);
    end();
}

static void too_much_for_one_iv_is_refused_before_it_is_read(void)
{
    uint8_t out[1];
    size_t len = 0;

    begin();
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, out, ((size_t)1 << 36) - 31, NULL, &len), KL_DATA_LENGTH);
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, out, 1, NULL, &len), KL_NO_OPERATION);
    end();
}

static void buffers_that_overlap_by_part_are_refused(void)
{
    uint8_t room[128] = "0123456789";
    size_t len = 64;

    begin();
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, room, 10, room + 1, &len), KL_ARG);
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OK);
    len = 64;
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, room + 20, 10, room, &len), KL_ARG);
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OK);
    len = 64;
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, room, 10, room + 10, &len), KL_OK);
    next_iv();
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OK);
    len = 64;
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, room, 10, room, &len), KL_OK);
    end();
}

static void missing_input_is_refused_and_empty_input_is_input(void)
{
    uint8_t out[64];
    size_t len = sizeof out;

    begin();
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, NULL, 5, out, &len), KL_ARG);
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OK);
    len = sizeof out;
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, NULL, 0, out, &len), KL_OK);
    CU_ASSERT_EQUAL(len, 16);
    end();
}

/* --- parts --- */

static enum kl_rc update(enum kl_op_kind kind, const void *in, size_t len, uint8_t *out, size_t *out_len)
{
    struct kl_out room = { out, *out_len, 0 };
    enum kl_rc rc = kl_op_update(session, kind, kl_view_of(in, len), &room);

    *out_len = room.len;
    return rc;
}

static enum kl_rc final(enum kl_op_kind kind, uint8_t *out, size_t *out_len)
{
    struct kl_out room = { out, *out_len, 0 };
    enum kl_rc rc = kl_op_final(session, kind, &room);

    *out_len = room.len;
    return rc;
}

static void plaintext_waits_for_the_tag(void)
{
    uint8_t sealed[26], out[64];
    size_t len;

    begin();
    seal_ten(sealed);
    CU_ASSERT_EQUAL(init(KL_OP_DECRYPT, key), KL_OK);
    for (size_t i = 0; i < sizeof sealed; i++) {
        len = sizeof out;
        CU_ASSERT_EQUAL(update(KL_OP_DECRYPT, sealed + i, 1, out, &len), KL_OK);
        CU_ASSERT_EQUAL(len, 0);
    }
    len = 0;
    CU_ASSERT_EQUAL(final(KL_OP_DECRYPT, NULL, &len), KL_OK);
    CU_ASSERT_EQUAL(len, 10);
    len = 9;
    CU_ASSERT_EQUAL(final(KL_OP_DECRYPT, out, &len), KL_BUFFER);
    len = sizeof out;
    CU_ASSERT_EQUAL(final(KL_OP_DECRYPT, out, &len), KL_OK);
    CU_ASSERT(len == 10 && memcmp(out, "0123456789", 10) == 0);
    end();
}

static void a_question_before_an_update_takes_nothing_in(void)
{
    uint8_t sealed[26], out[64];
    size_t len = 0;

    begin();
    seal_ten(sealed);
    CU_ASSERT_EQUAL(init(KL_OP_DECRYPT, key), KL_OK);
    CU_ASSERT_EQUAL(update(KL_OP_DECRYPT, sealed, sizeof sealed, NULL, &len), KL_OK);
    CU_ASSERT_EQUAL(len, 0);
    len = sizeof out;
    CU_ASSERT_EQUAL(update(KL_OP_DECRYPT, sealed, sizeof sealed, out, &len), KL_OK);
    len = sizeof out;
    CU_ASSERT_EQUAL(final(KL_OP_DECRYPT, out, &len), KL_OK);
    CU_ASSERT_EQUAL(len, 10);
    end();
}

static void parts_and_one_shot_do_not_mix(void)
{
    uint8_t out[64];
    size_t len = sizeof out;

    begin();
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OK);
    CU_ASSERT_EQUAL(update(KL_OP_ENCRYPT, "abc", 3, out, &len), KL_OK);
    CU_ASSERT_EQUAL(len, 3);
    len = sizeof out;
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, "abc", 3, out, &len), KL_OPERATION_ACTIVE);
    CU_ASSERT_EQUAL(final(KL_OP_ENCRYPT, out, &len), KL_NO_OPERATION);
    end();
}

static void an_envelope_is_made_in_one_piece(void)
{
    CK_MECHANISM mechanism = { CKM_KL_ENVELOPE, NULL, 0 };
    uint8_t out[128];
    size_t len = sizeof out;

    begin();
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, &mechanism, key), KL_OK);
    CU_ASSERT_EQUAL(update(KL_OP_ENCRYPT, "abc", 3, out, &len), KL_NOT_SUPPORTED);
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, "abc", 3, out, &len), KL_NO_OPERATION);
    end();
}

static void an_envelope_opens_under_its_key_and_its_associated_data(void)
{
    CK_MECHANISM mechanism = { CKM_KL_ENVELOPE, (char[]){ "users/1" }, 7 };
    uint8_t sealed[128], out[128];
    size_t sealed_len = sizeof sealed, len = sizeof out;

    begin();
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, &mechanism, key), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, "abc", 3, sealed, &sealed_len), KL_OK);
    CU_ASSERT_EQUAL(sealed_len, 3 + KL_ENVELOPE_OVERHEAD);
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_DECRYPT, &mechanism, key), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_DECRYPT, sealed, sealed_len, out, &len), KL_OK);
    CU_ASSERT(len == 3 && memcmp(out, "abc", 3) == 0);
    mechanism.pParameter = (char[]){ "users/2" };
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_DECRYPT, &mechanism, key), KL_OK);
    len = sizeof out;
    CU_ASSERT_EQUAL(once(KL_OP_DECRYPT, sealed, sealed_len, out, &len), KL_CIPHERTEXT);
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_DECRYPT, &mechanism, aes_key(session, false, NULL)), KL_OK);
    len = sizeof out;
    CU_ASSERT_EQUAL(once(KL_OP_DECRYPT, sealed, sealed_len, out, &len), KL_CIPHERTEXT);
    end();
}

static void an_imported_key_makes_no_envelopes(void)
{
    CK_MECHANISM mechanism = { CKM_KL_ENVELOPE, NULL, 0 };

    begin();
    key = import_aes(session, "0123456789abcdef0123456789abcdef");
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, &mechanism, key), KL_KEY_FUNCTION);
    end();
}

/* --- what ends it --- */

static void a_second_init_is_refused_and_hurts_nothing(void)
{
    uint8_t out[64];
    size_t len = sizeof out;

    begin();
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OK);
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OPERATION_ACTIVE);
    CU_ASSERT_EQUAL(init(KL_OP_DECRYPT, key), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, "x", 1, out, &len), KL_OK);
    end();
}

static void no_mechanism_cancels_and_finds_nothing_to_cancel_afterwards(void)
{
    uint8_t out[64];
    size_t len = sizeof out;

    begin();
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OK);
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, NULL, 0), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, "x", 1, out, &len), KL_NO_OPERATION);
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, NULL, 0), KL_ARG);
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OK);
    end();
}

static void logout_ends_it(void)
{
    uint8_t out[64];
    size_t len = sizeof out;

    begin();
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OK);
    CU_ASSERT_EQUAL(kl_token_logout(demo), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, "x", 1, out, &len), KL_NO_OPERATION);
    log_in();
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, "x", 1, out, &len), KL_NO_OPERATION);
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OBJECT);
    end();
}

static void the_keys_destruction_ends_it(void)
{
    uint8_t out[64];
    size_t len = sizeof out;

    begin();
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OK);
    CU_ASSERT_EQUAL(kl_object_destroy(session, key), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, "x", 1, out, &len), KL_NO_OPERATION);
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OBJECT);
    end();
}

static void destruction_by_another_session_ends_it_too(void)
{
    struct kl_session *other;
    uint8_t out[64];
    size_t len = sizeof out;

    begin();
    other = session_new(0);
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OK);
    CU_ASSERT_EQUAL(kl_object_destroy(other, key), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, "x", 1, out, &len), KL_NO_OPERATION);
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, aes_key(session, false, NULL)), KL_OK);
    session_end(other);
    end();
}

/* --- IVs --- */

static void an_iv_that_made_ciphertext_is_refused_and_one_that_did_not_is_not(void)
{
    uint8_t out[64];
    size_t len = sizeof out;

    begin();
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OK);
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, NULL, 0), KL_OK);
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, "x", 1, out, &len), KL_OK);
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_PARAMETER);
    CU_ASSERT_EQUAL(init(KL_OP_DECRYPT, key), KL_OK);
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, aes_key(session, false, NULL)), KL_OK);
    end();
}

static void the_first_part_uses_the_iv_up(void)
{
    uint8_t out[64];
    size_t len = sizeof out;

    begin();
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OK);
    CU_ASSERT_EQUAL(update(KL_OP_ENCRYPT, "x", 1, out, &len), KL_OK);
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, NULL, 0), KL_OK);
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_PARAMETER);
    end();
}

/* Two kinds of operations at once: both begin with it, one makes ciphertext. */
static void an_iv_that_another_operation_has_used_meanwhile_is_refused(void)
{
    CK_MECHANISM gcm = { CKM_AES_GCM, NULL, 0 };
    uint8_t out[64], tag[16];
    CK_GCM_MESSAGE_PARAMS params = { iv, sizeof iv, 0, CKG_NO_GENERATE, tag, 128 };
    struct kl_view parameter = { (const uint8_t *)&params, sizeof params }, nothing = { NULL, 0 };
    struct kl_out room = { out, sizeof out, 0 };
    size_t len = sizeof out;

    begin();
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_MESSAGE_ENCRYPT, &gcm, key), KL_OK);
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OK);
    CU_ASSERT_EQUAL(kl_message_once(session, KL_OP_MESSAGE_ENCRYPT, parameter, &(struct kl_aead_text){ nothing, kl_view_text("x") }, &room),
                    KL_OK);
    memset(out, 0x55, sizeof out);
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, "y", 1, out, &len), KL_PARAMETER);
    CU_ASSERT_EQUAL(out[0], 0x55);
    next_iv();
    CU_ASSERT_EQUAL(kl_message_begin(session, KL_OP_MESSAGE_ENCRYPT, parameter, nothing), KL_OK);
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OK);
    len = sizeof out;
    CU_ASSERT_EQUAL(update(KL_OP_ENCRYPT, "x", 1, out, &len), KL_OK);
    CU_ASSERT_EQUAL(kl_message_next(session, KL_OP_MESSAGE_ENCRYPT, parameter, kl_view_text("y"), true, &room), KL_PARAMETER);
    len = sizeof out;
    CU_ASSERT_EQUAL(update(KL_OP_ENCRYPT, "z", 1, out, &len), KL_OK);
    end();
}

static void sixty_four_ivs_are_remembered_for_each_of_some_keys(void)
{
    uint8_t out[64], first[12];
    size_t len;

    begin();
    memcpy(first, iv, sizeof iv);
    for (int i = 0; i < 64; i++) {
        CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OK);
        len = sizeof out;
        CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, "x", 1, out, &len), KL_OK);
        next_iv();
    }
    for (int i = 0; i < 15; i++) {
        CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, aes_key(session, false, NULL)), KL_OK);
        len = sizeof out;
        CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, "x", 1, out, &len), KL_OK);
    }
    memcpy(iv, first, sizeof iv);
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_PARAMETER);
    end();
}

static void an_iv_of_any_length_is_remembered(void)
{
    static const CK_ULONG lengths[] = { 1, 8, 13, 16, 17, 100, 128 };
    uint8_t any[128] = { 7 }, out[64];

    begin();
    for (size_t i = 0; i < COUNT(lengths); i++) {
        CK_GCM_PARAMS gcm = { any, lengths[i], 0, NULL, 0, 128 };
        CK_MECHANISM mechanism = { CKM_AES_GCM, &gcm, sizeof gcm };
        size_t len = sizeof out;

        CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, &mechanism, key), KL_OK);
        CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, "x", 1, out, &len), KL_OK);
        CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, &mechanism, key), KL_PARAMETER);
    }
    end();
}

static void a_zeroed_iv_is_filled_in_on_the_ladder_and_taken_as_it_is_elsewhere(void)
{
    uint8_t zero[12] = { 0 }, seen[12], out[64];
    CK_GCM_PARAMS gcm = { zero, sizeof zero, 0, NULL, 0, 128 };
    CK_MECHANISM mechanism = { CKM_AES_GCM, &gcm, sizeof gcm };
    CK_OBJECT_HANDLE ladder_key;
    size_t len = sizeof out;

    begin();
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, &mechanism, key), KL_OK);
    CU_ASSERT(zero[0] == 0 && memcmp(zero, zero + 1, 11) == 0);
    kl_op_clear(session, KL_OP_ENCRYPT);
    ladder_key = derive(session, find_label(session, "master"), "users", "users");
    CU_ASSERT_NOT_EQUAL_FATAL(ladder_key, 0);
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, &mechanism, ladder_key), KL_OK);
    CU_ASSERT_FALSE(zero[0] == 0 && memcmp(zero, zero + 1, 11) == 0);
    memcpy(seen, zero, sizeof zero);
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, "x", 1, out, &len), KL_OK);
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, &mechanism, ladder_key), KL_PARAMETER);
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_DECRYPT, &mechanism, ladder_key), KL_OK);
    CU_ASSERT(memcmp(seen, zero, sizeof zero) == 0);
    end();
}

static void only_session_keys_encrypt_under_ivs_of_odd_lengths(void)
{
    uint8_t odd[16] = { 1 };
    CK_GCM_PARAMS gcm = { odd, 16, 0, NULL, 0, 128 };
    CK_MECHANISM mechanism = { CKM_AES_GCM, &gcm, sizeof gcm };
    CK_OBJECT_HANDLE token_key, ladder_key;

    begin();
    token_key = aes_key(session, true, "free");
    ladder_key = derive(session, find_label(session, "master"), "users", "users");
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, &mechanism, key), KL_OK);
    kl_op_clear(session, KL_OP_ENCRYPT);
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, &mechanism, token_key), KL_PARAMETER);
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_DECRYPT, &mechanism, token_key), KL_OK);
    kl_op_clear(session, KL_OP_DECRYPT);
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, &mechanism, ladder_key), KL_PARAMETER);
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_DECRYPT, &mechanism, ladder_key), KL_PARAMETER);
    end();
}

static void an_iv_that_no_engine_takes_is_refused_at_once(void)
{
    uint8_t longest[129] = { 1 };
    CK_GCM_PARAMS gcm = { longest, sizeof longest, 0, NULL, 0, 128 };
    CK_MECHANISM mechanism = { CKM_AES_GCM, &gcm, sizeof gcm };

    begin();
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, &mechanism, key), KL_PARAMETER);
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_DECRYPT, &mechanism, key), KL_PARAMETER);
    end();
}

/* --- parameters --- */

struct five_fields {
    CK_BYTE *iv;
    CK_ULONG iv_len;
    CK_BYTE *aad;
    CK_ULONG aad_len, tag_bits;
};

static enum kl_rc try_parameter(void *parameter, CK_ULONG len)
{
    CK_MECHANISM mechanism = { CKM_AES_GCM, parameter, len };
    enum kl_rc rc = kl_op_init(session, KL_OP_DECRYPT, &mechanism, key);

    kl_op_clear(session, KL_OP_DECRYPT);
    return rc;
}

static void both_layouts_are_read_wherever_they_lie_and_no_third(void)
{
    struct five_fields five = { iv, 12, NULL, 0, 128 };
    CK_GCM_PARAMS six = { iv, 12, (CK_ULONG)-1, NULL, 0, 128 };
    uint8_t shifted[sizeof six + 1];

    begin();
    CU_ASSERT_EQUAL(try_parameter(&five, sizeof five), KL_OK);
    CU_ASSERT_EQUAL(try_parameter(&six, sizeof six), KL_OK);
    memcpy(shifted + 1, &six, sizeof six);
    CU_ASSERT_EQUAL(try_parameter(shifted + 1, sizeof six), KL_OK);
    CU_ASSERT_EQUAL(try_parameter(&six, sizeof six - 1), KL_PARAMETER);
    CU_ASSERT_EQUAL(try_parameter(&six, 0), KL_PARAMETER);
    CU_ASSERT_EQUAL(try_parameter(NULL, 0), KL_PARAMETER);
    CU_ASSERT_EQUAL(try_parameter(NULL, sizeof six), KL_PARAMETER);
    end();
}

static void tags_are_96_bits_or_more_and_whole_bytes(void)
{
    begin();
    for (CK_ULONG bits = 0; bits <= 300; bits++) {
        struct five_fields five = { iv, 12, NULL, 0, bits };
        bool is_good = bits >= 96 && bits <= 128 && bits % 8 == 0;

        CU_ASSERT_EQUAL(try_parameter(&five, sizeof five), is_good ? KL_OK : KL_PARAMETER);
    }
    end();
}

static void lengths_without_bytes_are_refused(void)
{
    struct five_fields no_iv = { NULL, 12, NULL, 0, 128 }, empty_iv = { iv, 0, NULL, 0, 128 },
                       long_iv = { iv, (CK_ULONG)1 << 32, NULL, 0, 128 };
    struct five_fields no_aad = { iv, 12, NULL, 5, 128 }, long_aad = { iv, 12, iv, (CK_ULONG)-1, 128 };

    begin();
    CU_ASSERT_EQUAL(try_parameter(&no_iv, sizeof no_iv), KL_PARAMETER);
    CU_ASSERT_EQUAL(try_parameter(&empty_iv, sizeof empty_iv), KL_PARAMETER);
    CU_ASSERT_EQUAL(try_parameter(&long_iv, sizeof long_iv), KL_PARAMETER);
    CU_ASSERT_EQUAL(try_parameter(&no_aad, sizeof no_aad), KL_PARAMETER);
    CU_ASSERT_EQUAL(try_parameter(&long_aad, sizeof long_aad), KL_PARAMETER);
    end();
}

/* --- the warm way --- */

static void a_warm_key_costs_no_memory_and_no_lock(void)
{
    uint8_t in[64] = { 0 }, out[128];
    size_t len = sizeof out;

    begin();
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, in, sizeof in, out, &len), KL_OK);
    allocations = locks = 0;
    for (int i = 0; i < 1000; i++) {
        next_iv();
        len = sizeof out;
        CU_ASSERT(init(KL_OP_ENCRYPT, key) == KL_OK && once(KL_OP_ENCRYPT, in, sizeof in, out, &len) == KL_OK);
    }
    CU_ASSERT_EQUAL(allocations, 0);
    CU_ASSERT_EQUAL(locks, 0);
    end();
}

static void a_new_second_looks_again_and_keeps_the_keyed_context(void)
{
    void *state;

    begin();
    CU_ASSERT_EQUAL(init(KL_OP_DECRYPT, key), KL_OK);
    state = session->ops[KL_OP_DECRYPT].state;
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_DECRYPT, NULL, 0), KL_OK);
    clock_second++;
    CU_ASSERT_EQUAL(init(KL_OP_DECRYPT, key), KL_OK);
    CU_ASSERT_PTR_EQUAL(session->ops[KL_OP_DECRYPT].state, state);
    CU_ASSERT_EQUAL(session->ops[KL_OP_DECRYPT].second, clock_second);
    end();
}

static void a_right_that_was_given_up_is_gone_at_once(void)
{
    CK_ATTRIBUTE no_more[] = { A_BOOL(CKA_ENCRYPT, CK_FALSE) };
    uint8_t out[64];
    size_t len = sizeof out;

    begin();
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, "x", 1, out, &len), KL_OK);
    CU_ASSERT_EQUAL(kl_object_write(session, key, no_more, 1), KL_OK);
    next_iv();
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_KEY_FUNCTION);
    CU_ASSERT_EQUAL(init(KL_OP_DECRYPT, key), KL_OK);
    end();
}

static void what_is_destroyed_leaves_no_context_behind(void)
{
    uint8_t out[64];
    size_t len = sizeof out;

    begin();
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, "x", 1, out, &len), KL_OK);
    CU_ASSERT_PTR_NOT_NULL(session->ops[KL_OP_ENCRYPT].state);
    CU_ASSERT_EQUAL(kl_object_destroy(session, key), KL_OK);
    CU_ASSERT_PTR_NULL(session->ops[KL_OP_ENCRYPT].state);
    CU_ASSERT_PTR_NULL(session->ops[KL_OP_ENCRYPT].key);
    end();
}

/* --- keys --- */

static void a_key_is_refused_for_what_it_is_not_made_for(void)
{
    CK_MECHANISM unknown = { CKM_AES_ECB, NULL, 0 }, derivation = { CKM_HKDF_DERIVE, NULL, 0 };
    CK_OBJECT_HANDLE data = 0, secret = 0;
    CK_ATTRIBUTE data_template[] = { A_ULONG(CKA_CLASS, CKO_DATA) };
    CK_ATTRIBUTE secret_template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
                                       A_TEXT(CKA_VALUE, "0123456789abcdef"), A_BOOL(CKA_ENCRYPT, CK_TRUE) };

    begin();
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, &unknown, key), KL_MECHANISM);
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, &derivation, key), KL_MECHANISM);
    CU_ASSERT_EQUAL(kl_object_create(session, data_template, 1, &data), KL_OK);
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, data), KL_KEY_HANDLE);
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, 0), KL_OBJECT);
    CU_ASSERT_EQUAL(kl_object_create(session, secret_template, COUNT(secret_template), &secret), KL_OK);
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, secret), KL_KEY_TYPE);
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, find_label(session, "master")), KL_KEY_FUNCTION);
    end();
}

static void a_mechanism_that_is_not_on_the_keys_list_is_refused(void)
{
    CK_MECHANISM_TYPE list[] = { CKM_KL_ENVELOPE };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, 32), { CKA_ALLOWED_MECHANISMS, list, sizeof list } };
    CK_MECHANISM generation = { CKM_AES_KEY_GEN, NULL, 0 }, envelope = { CKM_KL_ENVELOPE, NULL, 0 };

    begin();
    CU_ASSERT_EQUAL(kl_object_generate(session, &generation, template, COUNT(template), &key), KL_OK);
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_MECHANISM);
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, &envelope, key), KL_OK);
    end();
}

/* --- policy = strict: the first use is for ever --- */

static enum kl_rc try_cbc(struct kl_session *with, CK_OBJECT_HANDLE handle, CK_ULONG iv_len)
{
    uint8_t zero[16] = { 0 };
    CK_MECHANISM cbc = { CKM_AES_CBC, zero, iv_len };
    enum kl_rc rc = kl_op_init(with, KL_OP_ENCRYPT, &cbc, handle);

    kl_op_clear(with, KL_OP_ENCRYPT);
    return rc;
}

static void under_strict_the_first_use_binds_a_key_to_its_kind(void)
{
    struct kl_session *other;
    CK_OBJECT_HANDLE users;

    begin();
    other = session_new(0);
    demo->policy = KL_POLICY_STRICT;
    memset(iv, 0, sizeof iv);
    users = derive(session, find_label(session, "master"), "users", "users");
    for (int is_token = 0; is_token < 2; is_token++) {
        key = aes_key(session, is_token, NULL);
        CU_ASSERT_EQUAL(try_cbc(session, key, 16), KL_OK);
        memset(iv, 0, sizeof iv);
        CU_ASSERT_EQUAL(init(KL_OP_DECRYPT, key), KL_KEY_FUNCTION);
        CU_ASSERT_EQUAL(try_cbc(other, key, 16), KL_OK);
        clock_second++;
        CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_KEY_FUNCTION);
    }
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, users), KL_OK);
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_DECRYPT, &(CK_MECHANISM){ CKM_KL_ENVELOPE, NULL, 0 }, users), KL_OK);
    session_end(other);
    end();
}

static void under_strict_what_is_refused_binds_nothing(void)
{
    begin();
    demo->policy = KL_POLICY_STRICT;
    /* Twice: what the first try leaves behind must not be taken for a key that has begun well. */
    for (int i = 0; i < 2; i++) CU_ASSERT_EQUAL(try_cbc(session, key, 15), KL_PARAMETER);
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_PARAMETER);
    memset(iv, 0, sizeof iv);
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OK);
    CU_ASSERT_EQUAL(try_cbc(session_new(0), key, 16), KL_KEY_FUNCTION);
    end();
}

static void what_is_offered_is_what_has_functions(void)
{
    static const struct kl_token standard = { .policy = KL_POLICY_STANDARD };
    CK_MECHANISM_INFO info;

    CU_ASSERT_EQUAL(kl_mech_info(&standard, CKM_AES_GCM, &info), KL_OK);
    CU_ASSERT_EQUAL(info.flags,
                    CKF_ENCRYPT | CKF_DECRYPT | CKF_MESSAGE_ENCRYPT | CKF_MESSAGE_DECRYPT | CKF_MULTI_MESSAGE | CKF_WRAP | CKF_UNWRAP);
    CU_ASSERT(info.ulMinKeySize == 16 && info.ulMaxKeySize == 32);
    CU_ASSERT_EQUAL(kl_mech_info(&standard, CKM_AES_KEY_GEN, &info), KL_OK);
    CU_ASSERT_EQUAL(info.flags, CKF_GENERATE);
    CU_ASSERT_EQUAL(kl_mech_info(&standard, CKM_HKDF_DERIVE, &info), KL_OK);
    CU_ASSERT_EQUAL(info.flags, CKF_DERIVE);
    CU_ASSERT_EQUAL(kl_mech_info(&standard, CKM_RSA_PKCS, &info), KL_MECHANISM);
    for (CK_ULONG i = 0; i < kl_mech_count(&standard); i++) {
        const struct kl_mech *mech = kl_mech_find(kl_mech_type_at(&standard, i));

        CU_ASSERT_PTR_NOT_NULL_FATAL(mech);
        CU_ASSERT(mech->name != NULL && mech->min_key <= mech->max_key);
        for (size_t kind = 0; kind < KL_OP_FIND; kind++) {
            const struct kl_steps *steps = mech->steps[kind];

            if (!steps) continue;
            CU_ASSERT(steps->once && steps->once_len && mech->init && (mech->of_root || (mech->end && mech->clear)));
            CU_ASSERT_EQUAL(steps->final != NULL, steps->update != NULL || steps->absorb != NULL);
            CU_ASSERT_EQUAL(steps->update != NULL, steps->update_len != NULL);
        }
    }
}

/* --- refusals --- */

static void a_search_is_no_operation_with_a_key(void)
{
    CK_MECHANISM envelope = { CKM_KL_ENVELOPE, NULL, 0 };

    begin();
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_FIND, &envelope, key), KL_ARG);
    end();
}

static void an_envelope_has_bounds_and_is_not_made_in_place(void)
{
    CK_MECHANISM mechanism = { CKM_KL_ENVELOPE, NULL, 0 };
    uint8_t room[256] = "abc";
    size_t len = 0;

    begin();
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, &mechanism, key), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, room, KL_GCM_DATA_MAX + 1, NULL, &len), KL_DATA_LENGTH);
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, &mechanism, key), KL_OK);
    len = sizeof room;
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, room, 3, room, &len), KL_ARG);
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, &mechanism, key), KL_OK);
    len = sizeof room;
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, room, 0, room, &len), KL_OK);
    CU_ASSERT_EQUAL(len, KL_ENVELOPE_OVERHEAD);
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_DECRYPT, &mechanism, key), KL_OK);
    len = sizeof room;
    CU_ASSERT_EQUAL(once(KL_OP_DECRYPT, room, KL_ENVELOPE_OVERHEAD, room, &len), KL_ARG);
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_DECRYPT, &mechanism, key), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_DECRYPT, room, KL_ENVELOPE_OVERHEAD - 1, NULL, &len), KL_CIPHERTEXT_LENGTH);
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_DECRYPT, &mechanism, key), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_DECRYPT, room, KL_GCM_DATA_MAX + KL_ENVELOPE_OVERHEAD_MAX + 1, NULL, &len), KL_CIPHERTEXT_LENGTH);
    end();
}

static void a_batch_is_made_of_envelopes(void)
{
    CK_MECHANISM unknown = { 0x12345678, NULL, 0 }, other = { CKM_AES_GCM, NULL, 0 }, more = { CKM_KL_ENVELOPE, iv, 1 };
    struct kl_batch batch = { session, KL_OP_ENCRYPT, &unknown, key };

    begin();
    batch.session = session;
    batch.key = key;
    CU_ASSERT_EQUAL(kl_batch_begin(&batch), KL_MECHANISM);
    batch.mechanism = &other;
    CU_ASSERT_EQUAL(kl_batch_begin(&batch), KL_MECHANISM);
    batch.mechanism = &more;
    CU_ASSERT_EQUAL(kl_batch_begin(&batch), KL_PARAMETER);
    end();
}

static void an_init_of_messages_has_the_parameter_of_one_or_none(void)
{
    CK_GCM_MESSAGE_PARAMS gcm = { iv, 12, 0, CKG_GENERATE, NULL, 128 };
    CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS poly = { iv, 96, NULL };
    const struct {
        CK_MECHANISM_TYPE type;
        CK_OBJECT_HANDLE *key;
        void *parameter;
        CK_ULONG len;
    } rows[] = { { CKM_AES_GCM, &key, &gcm, sizeof gcm }, { CKM_CHACHA20_POLY1305, NULL, &poly, sizeof poly } };

    begin();
    for (size_t i = 0; i < COUNT(rows); i++) {
        static const uint8_t bytes[33] = "thirty-two bytes of a known key.";
        CK_OBJECT_HANDLE with = rows[i].key ? *rows[i].key : import_key(session, CKK_CHACHA20, bytes, 32, CKA_ENCRYPT, CKA_DECRYPT);
        CK_MECHANISM whole = { rows[i].type, rows[i].parameter, rows[i].len }, none = { rows[i].type, NULL, 0 },
                     cut = { rows[i].type, rows[i].parameter, rows[i].len - 1 };

        CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_MESSAGE_ENCRYPT, &cut, with), KL_PARAMETER);
        CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_MESSAGE_ENCRYPT, &whole, with), KL_OK);
        CU_ASSERT_EQUAL(kl_message_final(session, KL_OP_MESSAGE_ENCRYPT), KL_OK);
        CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_MESSAGE_ENCRYPT, &none, with), KL_OK);
        CU_ASSERT_EQUAL(
            kl_message_begin(session, KL_OP_MESSAGE_ENCRYPT, kl_view_of(rows[i].parameter, rows[i].len - 1), kl_view_of(NULL, 0)),
            KL_PARAMETER);
        CU_ASSERT_EQUAL(kl_message_begin(session, KL_OP_MESSAGE_ENCRYPT, kl_view_of(NULL, rows[i].len), kl_view_of(NULL, 0)), KL_PARAMETER);
        CU_ASSERT_EQUAL(kl_message_final(session, KL_OP_MESSAGE_ENCRYPT), KL_OK);
        CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, &cut, with), KL_PARAMETER);
        CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, &(CK_MECHANISM){ rows[i].type, NULL, 32 }, with), KL_PARAMETER);
    }
    end();
}

static void keys_that_lie_idle_in_many_sessions_are_let_go(void)
{
    enum { MANY = KL_KEYED_MAX + 300, BEGUN = 5 };
    static struct kl_session *sessions[MANY];
    uint8_t out[64];
    struct kl_session *first;
    size_t len;

    begin();
    first = session;
    for (size_t i = 0; i < MANY; i++) {
        session = sessions[i] = session_new(CKF_RW_SESSION);
        if (i < BEGUN) {
            next_iv();
            CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, key), KL_OK);
        } else {
            seal_ten(out);
        }
        CU_ASSERT(kl_op_keyed() <= KL_KEYED_MAX);
    }
    CU_ASSERT(kl_op_keyed() > KL_KEYED_MAX / 2);
    /* What was begun is still there, and what was let go comes back with the next Init. */
    for (size_t i = 0; i < BEGUN; i++) {
        session = sessions[i];
        len = sizeof out;
        CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, "0123456789", 10, out, &len), KL_OK);
    }
    for (size_t i = BEGUN; i < 50; i++) {
        session = sessions[i];
        seal_ten(out);
    }
    for (size_t i = 0; i < MANY; i++) session_end(sessions[i]);
    session = first;
    seal_ten(out);
    CU_ASSERT_EQUAL(kl_op_keyed(), 1);
    end();
    CU_ASSERT_EQUAL(kl_op_keyed(), 0);
}

static void what_was_used_last_is_let_go_last(void)
{
    enum { MANY = KL_KEYED_MAX };
    static struct kl_session *sessions[MANY];
    struct kl_session *first;
    uint8_t out[64];

    begin();
    first = session;
    for (size_t i = 0; i < MANY; i++) {
        /* The second half in a later second. */
        if (i == MANY / 2) clock_second++;
        session = sessions[i] = session_new(CKF_RW_SESSION);
        seal_ten(out);
    }
    session = first;
    seal_ten(out);
    for (size_t i = MANY / 2; i < MANY; i++) CU_ASSERT_EQUAL(kl_op_count_keys(sessions[i]), 1);
    CU_ASSERT(kl_op_keyed() < KL_KEYED_MAX);
    for (size_t i = 0; i < MANY; i++) session_end(sessions[i]);
    session = first;
    end();
}

/* What is written must not lie in what else is written or read: nobody could open it. */
static void a_messages_tag_iv_and_text_lie_apart(void)
{
    uint8_t room[96] = { 0 }, tag[16], other[16] = { 2 }, own[12] = { 1 };
    const struct {
        uint8_t *iv, *tag, *in, *out;
    } rows[] = {
        { own, room + 20, room, room },        { own, room + 15, other, room }, { own, other, other, room },
        { room + 40, room + 44, other, room }, { room + 8, tag, other, room },  { room + 4, tag, room, room + 40 },
    };
    CK_MECHANISM mechanism = { CKM_AES_GCM, NULL, 0 };

    begin();
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_MESSAGE_ENCRYPT, &mechanism, key), KL_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CK_GCM_MESSAGE_PARAMS gcm = { rows[i].iv, 12, 0, CKG_GENERATE_RANDOM, rows[i].tag, 128 };
        const struct kl_aead_text text = { { NULL, 0 }, kl_view_of(rows[i].in, 16) };
        struct kl_out out = { rows[i].out, 32, 0 };

        CU_ASSERT_EQUAL(kl_message_once(session, KL_OP_MESSAGE_ENCRYPT, kl_view_of(&gcm, sizeof gcm), &text, &out),
                        i == 0 ? KL_OK : KL_ARG);
    }
    end();
}

static void more_fixed_bits_than_the_iv_has_are_refused(void)
{
    uint8_t tag[16], out[8];
    CK_GCM_MESSAGE_PARAMS gcm = { iv, 12, 97, CKG_GENERATE_RANDOM, tag, 128 };
    CK_MECHANISM mechanism = { CKM_AES_GCM, NULL, 0 };
    const struct kl_aead_text text = { { NULL, 0 }, kl_view_text("12345678") };
    struct kl_out room = { out, sizeof out, 0 };

    begin();
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_MESSAGE_ENCRYPT, &mechanism, key), KL_OK);
    CU_ASSERT_EQUAL(kl_message_once(session, KL_OP_MESSAGE_ENCRYPT, kl_view_of(&gcm, sizeof gcm), &text, &room), KL_PARAMETER);
    gcm.ulIvFixedBits = 0;
    CU_ASSERT_EQUAL(kl_message_once(session, KL_OP_MESSAGE_ENCRYPT, kl_view_of(&gcm, sizeof gcm), &text, &room), KL_OK);
    end();
}

static void more_than_is_withheld_is_refused_before_it_is_read(void)
{
    uint8_t out[1];
    size_t len = sizeof out;

    begin();
    CU_ASSERT_EQUAL(init(KL_OP_DECRYPT, key), KL_OK);
    CU_ASSERT_EQUAL(update(KL_OP_DECRYPT, out, ((size_t)64 << 20) + 17, out, &len), KL_DATA_LENGTH);
    CU_ASSERT_EQUAL(update(KL_OP_DECRYPT, out, 1, out, &len), KL_NO_OPERATION);
    end();
}

UNIT_MAIN("token/op", UNIT(a_question_for_the_length_keeps_the_operation), UNIT(a_short_buffer_is_told_the_length_and_may_try_again),
          UNIT(success_ends_the_operation_and_so_does_failure), UNIT(a_ciphertext_shorter_than_its_tag_ends_the_operation),
          UNIT(too_much_for_one_iv_is_refused_before_it_is_read), UNIT(buffers_that_overlap_by_part_are_refused),
          UNIT(missing_input_is_refused_and_empty_input_is_input), UNIT(plaintext_waits_for_the_tag),
          UNIT(a_question_before_an_update_takes_nothing_in), UNIT(parts_and_one_shot_do_not_mix), UNIT(an_envelope_is_made_in_one_piece),
          UNIT(an_envelope_opens_under_its_key_and_its_associated_data), UNIT(an_imported_key_makes_no_envelopes),
          UNIT(a_second_init_is_refused_and_hurts_nothing), UNIT(no_mechanism_cancels_and_finds_nothing_to_cancel_afterwards),
          UNIT(logout_ends_it), UNIT(the_keys_destruction_ends_it), UNIT(destruction_by_another_session_ends_it_too),
          UNIT(an_iv_that_made_ciphertext_is_refused_and_one_that_did_not_is_not), UNIT(the_first_part_uses_the_iv_up),
          UNIT(an_iv_that_another_operation_has_used_meanwhile_is_refused), UNIT(sixty_four_ivs_are_remembered_for_each_of_some_keys),
          UNIT(an_iv_of_any_length_is_remembered), UNIT(a_zeroed_iv_is_filled_in_on_the_ladder_and_taken_as_it_is_elsewhere),
          UNIT(only_session_keys_encrypt_under_ivs_of_odd_lengths), UNIT(an_iv_that_no_engine_takes_is_refused_at_once),
          UNIT(both_layouts_are_read_wherever_they_lie_and_no_third), UNIT(tags_are_96_bits_or_more_and_whole_bytes),
          UNIT(lengths_without_bytes_are_refused), UNIT(a_warm_key_costs_no_memory_and_no_lock),
          UNIT(a_new_second_looks_again_and_keeps_the_keyed_context), UNIT(a_right_that_was_given_up_is_gone_at_once),
          UNIT(what_is_destroyed_leaves_no_context_behind), UNIT(a_key_is_refused_for_what_it_is_not_made_for),
          UNIT(a_mechanism_that_is_not_on_the_keys_list_is_refused), UNIT(under_strict_the_first_use_binds_a_key_to_its_kind),
          UNIT(under_strict_what_is_refused_binds_nothing), UNIT(what_is_offered_is_what_has_functions),
          UNIT(a_search_is_no_operation_with_a_key), UNIT(an_envelope_has_bounds_and_is_not_made_in_place),
          UNIT(a_batch_is_made_of_envelopes), UNIT(an_init_of_messages_has_the_parameter_of_one_or_none),
          UNIT(keys_that_lie_idle_in_many_sessions_are_let_go), UNIT(what_was_used_last_is_let_go_last),
          UNIT(a_messages_tag_iv_and_text_lie_apart), UNIT(more_fixed_bits_than_the_iv_has_are_refused),
          UNIT(more_than_is_withheld_is_refused_before_it_is_read))
