/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What tests of objects share: a token with its user logged in, a session on it, and short ways to say things. */
#ifndef KL_TEST_FIXTURE_H
#define KL_TEST_FIXTURE_H

#include "../../attributes.h"
#include "../unit.h"
#include "base/clock.h"
#include "keyladder/pkcs11.h"
#include "sandbox.h"
#include "token/object.h"
#include "token/op.h"
#include "token/session.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

extern struct kl_token *demo;

/* demo: the token of a new sandbox. */
void fixture_begin(void);
void fixture_end(void);
void log_in(void);

/* A session of its own; locked by the caller of kl_ functions never but here: these tests are one thread. */
struct kl_session *session_new(CK_FLAGS more);
void session_end(struct kl_session *session);

/* Its coarse time is clock_second until a test moves that; the others are the system's. */
extern const struct kl_clock clock_standing;
extern int64_t clock_second;

/* A generated AES-256 key; label NULL for none. */
CK_OBJECT_HANDLE aes_key(struct kl_session *session, bool is_token, const char *label);
CK_OBJECT_HANDLE import_aes(struct kl_session *session, const char value[32]);
/* A session key of these bytes with one or two usages (0: none), not sensitive and extractable; 0 when it fails. */
CK_OBJECT_HANDLE import_key(struct kl_session *session, CK_KEY_TYPE type, const void *value, size_t len, CK_ATTRIBUTE_TYPE usage,
                            CK_ATTRIBUTE_TYPE other);
/* Growing the ladder; 0 when it fails, the result in last_rc. */
CK_OBJECT_HANDLE derive(struct kl_session *session, CK_OBJECT_HANDLE base, const char *info, const char *label);
extern enum kl_rc last_rc;

/* How many objects a template finds, the first of them to *first. */
size_t find(struct kl_session *session, const CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *first);
CK_OBJECT_HANDLE find_label(struct kl_session *session, const char *label);

#endif
