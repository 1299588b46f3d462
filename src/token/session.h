/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Sessions and their handles. A session lies in a slot of a table that is never
 * given back while the process lives, so a stale handle can be looked at
 * safely; the handle is (generation << 24 | slot + 1), never 0 and never used again. Look-up
 * takes the session's own mutex and nothing else.
 */
#ifndef KL_TOKEN_SESSION_H
#define KL_TOKEN_SESSION_H

#include <pthread.h>
#include <stdbool.h>

#include "base/rc.h"
#include "keyladder/pkcs11.h"
#include "token/op.h"
#include "token/token.h"

#define KL_SESSIONS_MAX 1000000 /* open at a time in one process */

struct kl_iv_ring;
struct kl_source;

/* Locks are taken in this order: a session, its token's, the table's. Aligned so that no two sessions write to one cache line. */
struct kl_session {
    _Alignas(64) pthread_mutex_t lock; /* held for the call */
    _Atomic CK_SESSION_HANDLE handle;  /* 0 while the slot is free */
    struct kl_token *_Atomic token;
    bool is_rw;
    CK_ULONG device_error;         /* CK_SESSION_INFO.ulDeviceError */
    struct kl_op ops[KL_OPS];      /* one slot per kind of operation */
    struct kl_iv_ring *ivs;        /* IVs that produced ciphertext here (token/op.h) */
    struct kl_source *source;      /* what was last derived from, or NULL (token/source.h) */
    CK_SESSION_HANDLE last_handle; /* the table's: what this slot was known as, or 0; and the next free slot */
    CK_ULONG next_free;
};

/* KL_SESSION_SERIAL, KL_SESSION_SO_EXISTS, KL_SESSION_COUNT, and those of kl_token_check. */
KL_MUST_USE enum kl_rc kl_session_open(struct kl_token *token, CK_FLAGS flags, CK_SESSION_HANDLE *out);
/* Finds and locks. KL_SESSION. */
KL_MUST_USE enum kl_rc kl_session_enter(CK_SESSION_HANDLE handle, struct kl_session **out);
void kl_session_leave(struct kl_session *session);
/* Ends operations, destroys the session's objects; the last one of a token logs out. The session is not locked by the caller. */
KL_MUST_USE enum kl_rc kl_session_close(CK_SESSION_HANDLE handle);
KL_MUST_USE enum kl_rc kl_session_close_all(struct kl_token *token);
/* Ends every operation in every session of the token (logout): keys held by them are let go. */
void kl_session_end_operations(struct kl_token *token);
/* Ends what uses one key, CK_INVALID_HANDLE: any key, in every session of the token. */
void kl_session_forget_key(struct kl_token *token, CK_OBJECT_HANDLE key);
/* Frees what idle operations of other sessions keep of their keys (KL_KEYED_MAX); `mine` is locked by the caller. */
void kl_session_forget_idle(const struct kl_session *mine);
KL_MUST_USE enum kl_rc kl_session_info(struct kl_session *session, CK_SESSION_INFO *info);
/* One load. */
bool kl_session_is_open(CK_SESSION_HANDLE handle);
/* For kl_module_close: waits for each session's call and frees it. For a forked child: makes the table anew. */
void kl_session_close_module(void);
void kl_session_abandon_all(void);
/*
 * For a forked child that inherits: keeps the sessions that no thread of the parent was in, and counts them; who was in
 * one did not come along, and how far the call had come nobody knows. False: there was such a one.
 */
bool kl_session_inherit_all(void);
/* The table's, for who forks (base/fork.h). */
pthread_mutex_t *kl_session_lock(void);

#endif
