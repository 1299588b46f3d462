/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Objects: one per version of a key or data object that this process has seen,
 * and session objects. A handle names a version (slot and generation, as for
 * sessions: never used again) and is found without a lock that others write.
 */
#ifndef KL_TOKEN_OBJECT_H
#define KL_TOKEN_OBJECT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/rc.h"
#include "keyladder/pkcs11.h"
#include "ladder/key.h"
#include "ladder/record.h"

struct kl_session;
struct kl_token;
struct kl_object;
struct kl_shelf;

/* A counted reference, given back with kl_slot_put; KL_OBJECT when there is none, it is gone, or the session may not see it (private, not logged in as user). */
KL_MUST_USE enum kl_rc kl_object_get(struct kl_session *session, CK_OBJECT_HANDLE handle, struct kl_object **out);

/* The PKCS#11 chapter "Object management functions", for a locked session. */
KL_MUST_USE enum kl_rc kl_object_create(struct kl_session *session, const CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *out);
KL_MUST_USE enum kl_rc kl_object_copy(struct kl_session *session, CK_OBJECT_HANDLE handle, const CK_ATTRIBUTE *template, CK_ULONG count,
                                      CK_OBJECT_HANDLE *out);
KL_MUST_USE enum kl_rc kl_object_destroy(struct kl_session *session, CK_OBJECT_HANDLE handle);
KL_MUST_USE enum kl_rc kl_object_size(struct kl_session *session, CK_OBJECT_HANDLE handle, CK_ULONG *size);
/* Fills every attribute that it can; the worst of KL_ATTR_SENSITIVE, KL_ATTR_TYPE, KL_BUFFER otherwise. */
KL_MUST_USE enum kl_rc kl_object_read(struct kl_session *session, CK_OBJECT_HANDLE handle, CK_ATTRIBUTE *template, CK_ULONG count);
KL_MUST_USE enum kl_rc kl_object_write(struct kl_session *session, CK_OBJECT_HANDLE handle, const CK_ATTRIBUTE *template, CK_ULONG count);

/* C_GenerateKey and C_DeriveKey. */
KL_MUST_USE enum kl_rc kl_object_generate(struct kl_session *session, const CK_MECHANISM *mechanism, const CK_ATTRIBUTE *template,
                                          CK_ULONG count, CK_OBJECT_HANDLE *out);
KL_MUST_USE enum kl_rc kl_object_derive(struct kl_session *session, const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE base,
                                        const CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *out);

/* KL_Evict: of one token key, or with CK_INVALID_HANDLE of all. No session lock may be held. KL_OBJECT, KL_KEY_HANDLE, KL_PROHIBITED (session keys). */
KL_MUST_USE enum kl_rc kl_object_evict(struct kl_token *token, CK_OBJECT_HANDLE handle);

/* C_FindObjectsInit, C_FindObjects, C_FindObjectsFinal: state in session->ops[KL_OP_FIND]. */
KL_MUST_USE enum kl_rc kl_find_init(struct kl_session *session, const CK_ATTRIBUTE *template, CK_ULONG count);
KL_MUST_USE enum kl_rc kl_find_next(struct kl_session *session, CK_OBJECT_HANDLE *handles, CK_ULONG room, CK_ULONG *count);
KL_MUST_USE enum kl_rc kl_find_final(struct kl_session *session);

/* Session objects of a closed session; private session objects at logout; a token's every object when it is made anew. */
void kl_object_end_session(struct kl_token *token, CK_SESSION_HANDLE session);
void kl_object_end_private(struct kl_token *token);
void kl_object_end_all(struct kl_token *token);

/* One shelf per token. */
KL_MUST_USE enum kl_rc kl_shelf_new(struct kl_token *token, struct kl_shelf **out);
void kl_shelf_free(struct kl_shelf *shelf);
/* In a forked child: begins the handle table anew. */
void kl_object_abandon_all(void);
/* In a forked child that inherits: ends session objects whose session it has not got. */
void kl_object_end_orphans(struct kl_token *token);

#endif
