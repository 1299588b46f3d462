/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "fixture.h"

#include <string.h>

struct kl_token *demo;
enum kl_rc last_rc;

void fixture_begin(void)
{
    demo = token_begin();
}

void fixture_end(void)
{
    token_end();
}

void log_in(void)
{
    CU_ASSERT_EQUAL_FATAL(kl_token_login(demo, CKU_USER, user_pin()), KL_OK);
}

/* --- a clock that stands --- */

int64_t clock_second = 1000;

static int64_t coarse(void)
{
    return clock_second * 1000000000;
}

static int64_t wall(void)
{
    return kl_clock_system.wall();
}

static int64_t steady(void)
{
    return kl_clock_system.steady();
}

const struct kl_clock clock_standing = { .wall = wall, .steady = steady, .coarse = coarse };

struct kl_session *session_new(CK_FLAGS more)
{
    CK_SESSION_HANDLE handle = 0;
    struct kl_session *session = NULL;

    CU_ASSERT_EQUAL_FATAL(kl_session_open(demo, CKF_SERIAL_SESSION | more, &handle), KL_OK);
    CU_ASSERT_EQUAL_FATAL(kl_session_enter(handle, &session), KL_OK);
    /* Unlocked: login and logout must be able to reach it. */
    kl_session_leave(session);
    return session;
}

void session_end(struct kl_session *session)
{
    CU_ASSERT_EQUAL(kl_session_close(atomic_load(&session->handle)), KL_OK);
}

CK_OBJECT_HANDLE aes_key(struct kl_session *session, bool is_token, const char *label)
{
    CK_MECHANISM mechanism = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, 32),
                                A_BOOL(CKA_TOKEN, is_token),
                                { CKA_LABEL, (void *)(uintptr_t)label, label ? strlen(label) : 0 } };
    CK_OBJECT_HANDLE key = 0;

    last_rc = kl_object_generate(session, &mechanism, template, COUNT(template), &key);
    return key;
}

CK_OBJECT_HANDLE import_aes(struct kl_session *session, const char value[32])
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY),
                                A_ULONG(CKA_KEY_TYPE, CKK_AES),
                                { CKA_VALUE, (void *)(uintptr_t)value, 32 } };
    CK_OBJECT_HANDLE key = 0;

    last_rc = kl_object_create(session, template, COUNT(template), &key);
    return key;
}

CK_OBJECT_HANDLE import_key(struct kl_session *session, CK_KEY_TYPE type, const void *value, size_t len, CK_ATTRIBUTE_TYPE usage,
                            CK_ATTRIBUTE_TYPE other)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY),
                                A_ULONG(CKA_KEY_TYPE, type),
                                { CKA_VALUE, (void *)(uintptr_t)value, len },
                                A_BOOL(CKA_SENSITIVE, CK_FALSE),
                                A_BOOL(CKA_EXTRACTABLE, CK_TRUE),
                                A_BOOL(usage, CK_TRUE),
                                A_BOOL(other, CK_TRUE) };
    CK_OBJECT_HANDLE key = 0;

    last_rc = kl_object_create(session, template, 5 + (usage ? 1U : 0U) + (other ? 1U : 0U), &key);
    return key;
}

CK_OBJECT_HANDLE derive(struct kl_session *session, CK_OBJECT_HANDLE base, const char *info, const char *label)
{
    CK_HKDF_PARAMS hkdf = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, (CK_BYTE *)(uintptr_t)info, strlen(info) };
    CK_MECHANISM mechanism = { CKM_HKDF_DERIVE, &hkdf, sizeof hkdf };
    CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, label != NULL), { CKA_LABEL, (void *)(uintptr_t)label, label ? strlen(label) : 0 } };
    CK_OBJECT_HANDLE key = 0;

    last_rc = kl_object_derive(session, &mechanism, base, template, label ? 2 : 1, &key);
    return key;
}

size_t find(struct kl_session *session, const CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *first)
{
    CK_OBJECT_HANDLE handles[32];
    CK_ULONG got = 0;
    size_t total = 0;

    last_rc = kl_find_init(session, template, count);
    if (last_rc != KL_OK) return 0;
    do {
        last_rc = kl_find_next(session, handles, COUNT(handles), &got);
        if (total == 0 && got && first) *first = handles[0];
        total += got;
    } while (last_rc == KL_OK && got == COUNT(handles));
    if (last_rc == KL_OK) last_rc = kl_find_final(session);
    return total;
}

CK_OBJECT_HANDLE find_label(struct kl_session *session, const char *label)
{
    CK_ATTRIBUTE template[] = { { CKA_LABEL, (void *)(uintptr_t)label, strlen(label) } };
    CK_OBJECT_HANDLE handle = 0;

    return find(session, template, 1, &handle) == 1 ? handle : 0;
}
