/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The process's PKCS#11 state: slots, one token each, and who is logged in. */
#ifndef KL_TOKEN_TOKEN_H
#define KL_TOKEN_TOKEN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/rc.h"
#include "keyladder/pkcs11.h"
#include "ladder/ladder.h"
#include "token/policy.h"

struct kl_shelf;

/* One slot and its token. Lives from kl_module_open to kl_module_close. */
struct kl_token {
    CK_SLOT_ID slot;
    enum kl_policy policy;
    enum kl_engine engine;
    struct kl_ladder *ladder;
    struct kl_shelf *shelf; /* its objects (token/shelf.h) */
    pthread_mutex_t lock;   /* the counters below; never held across a call into the ladder that may reach a root or a KDF */
    CK_ULONG sessions;
    CK_ULONG rw_sessions;
    bool is_changing; /* a login, logout, C_InitToken or the last close is under way; others wait on `changed` */
    pthread_cond_t changed;
    _Atomic bool is_ending;       /* a login is being ended, which a forked child must do to the end */
    _Atomic CK_ULONG login_epoch; /* one more at every logout: operations from before are dead */
    _Atomic bool is_known;        /* the token has been seen to be initialised, which it then stays */
    _Atomic enum kl_rc told;      /* what the log has last been told about the store, so that it is told once */
};

/*
 * Reads the configuration and makes a slot per [token]; no store, network or thread is touched. A missing, unsafe or
 * malformed configuration offers no slot, is logged once (one that nobody named and that is not there is not), and is no
 * failure: a module that every process of a system loads leaves those alone that do not use it. KL_INITIALIZED, KL_MEMORY, KL_CRYPTO.
 * In a forked child everything inherited is abandoned first, locks included.
 */
KL_MUST_USE enum kl_rc kl_module_open(void);
/* Ends sessions and tokens once every call in them has returned; calls that come meanwhile get KL_NOT_INITIALIZED. */
KL_MUST_USE enum kl_rc kl_module_close(void);
/* Two loads: true between open and close, in the process that opened and not in a child. */
bool kl_module_is_open(void);
/*
 * For calls that hold no session's lock: kl_module_close waits until as many have left as have entered. False when it
 * is closed, and then there is nothing to leave.
 */
bool kl_module_enter(void);
void kl_module_leave(void);
/*
 * For who forks under `fork = inherit` (token/inherit.c): the lock of open and close; whether calls are in that hold no
 * session's lock; and, in the child, the module is open, as it was in its parent. The child may call kl_module_open once, which
 * gives KL_OK and keeps everything.
 */
pthread_mutex_t *kl_module_lock(void);
bool kl_module_is_busy(void);
void kl_module_inherit(void);
/* The package's version. */
CK_VERSION kl_module_version(void);

CK_ULONG kl_token_count(void);
/* NULL for an unknown slot. */
struct kl_token *kl_token_at(CK_SLOT_ID slot);

/*
 * C_InitToken, C_Login, C_Logout, C_InitPIN, C_SetPIN with PKCS#11's rules on sessions (v3.1 5.5, 5.6); no session lock may be held.
 * One at a time a token; sessions are neither opened nor, if it is the last one, closed meanwhile.
 */
KL_MUST_USE enum kl_rc kl_token_init(struct kl_token *token, struct kl_view so_pin, struct kl_view label);
KL_MUST_USE enum kl_rc kl_token_login(struct kl_token *token, CK_USER_TYPE user, struct kl_view pin);
KL_MUST_USE enum kl_rc kl_token_logout(struct kl_token *token);
KL_MUST_USE enum kl_rc kl_token_init_pin(struct kl_token *token, bool session_is_rw, struct kl_view pin);
KL_MUST_USE enum kl_rc kl_token_set_pin(struct kl_token *token, bool session_is_rw, struct kl_view old_pin, struct kl_view new_pin);

/* Waits until nothing else changes the token, and keeps it so until the end; token->lock is not held in between. */
void kl_token_begin_change(struct kl_token *token);
void kl_token_end_change(struct kl_token *token);
/* Within a change: logs out whoever is logged in, ends operations and private session objects. */
void kl_token_end_login(struct kl_token *token);
/* In a forked child that inherits, before its sessions are counted: nobody changes the token any more. */
void kl_token_inherit(struct kl_token *token);
/* And after: ends the login that was being ended. */
void kl_token_settle(struct kl_token *token);

/* KL_TOKEN_UNSET, or why the store cannot be opened. One load once the answer has been KL_OK. */
KL_MUST_USE enum kl_rc kl_token_check(struct kl_token *token);

KL_MUST_USE enum kl_rc kl_token_slot_info(struct kl_token *token, CK_SLOT_INFO *info);
KL_MUST_USE enum kl_rc kl_token_info(struct kl_token *token, CK_TOKEN_INFO *info);

/* Pads with blanks, as PKCS#11's texts are; cut between characters where it is too long. Not terminated. */
void kl_text_pad(void *out, size_t len, const char *text);

#endif
