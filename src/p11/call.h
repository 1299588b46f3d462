/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What stands around every C_ function: kl_call_enter, one call into src/token,
 * kl_call_leave. CK_RVs are made in kl_call_leave and nowhere else.
 */
#ifndef KL_P11_CALL_H
#define KL_P11_CALL_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/rc.h"
#include "keyladder/pkcs11.h"
#include "token/op.h"
#include "token/session.h"
#include "token/token.h"

/* One for each row of function.def. */
enum kl_fn {
#define KL_FN(name, since, chapter, family, kind) KL_FN_##name,
#define KL_FN_ABSENT(name, since, chapter, family, kind, answer, parameters) KL_FN_##name,
#define KL_FN_VENDOR(name, family, kind) KL_FN_##name,
#include "p11/function.def"
#undef KL_FN
#undef KL_FN_ABSENT
#undef KL_FN_VENDOR
    KL_FN_COUNT
};

/* What a function wants to find. */
enum kl_need {
    KL_NEED_NOTHING, /* C_Initialize and C_Finalize */
    KL_NEED_MODULE,  /* C_Initialize has been called, and C_Finalize waits for us */
    KL_NEED_TOKEN,   /* the same, and the session exists: its token and kind, not locked (what takes long or locks sessions itself) */
    KL_NEED_SESSION  /* the session, locked */
};

struct kl_call {
    enum kl_fn fn;
    struct kl_session *session; /* KL_NEED_SESSION */
    struct kl_token *token;     /* KL_NEED_TOKEN, KL_NEED_SESSION, kl_call_find_slot */
    bool session_is_rw;         /* the same two needs */
    struct kl_thread *thread;
    bool is_first; /* no call of this thread is under way above it: of the guard against calls back into ourselves */
    bool holds_module;
    int *where_errno; /* this thread's, and what it was */
    int saved_errno;
};

/*
 * Begins a call. `session` is not looked at unless the need is for it. Whatever it returns, kl_call_leave must follow. KL_NOT_INITIALIZED,
 * KL_REENTERED (a library below us calls back: refused instead of a deadlock), KL_SESSION.
 */
KL_MUST_USE enum kl_rc kl_call_enter(struct kl_call *call, enum kl_fn fn, CK_SESSION_HANDLE session, enum kl_need need);
/* The token in a slot, for a call that needs the module. KL_SLOT. */
KL_MUST_USE enum kl_rc kl_call_find_slot(struct kl_call *call, CK_SLOT_ID slot);
/* Ends it: unlocks, logs a failure that an administrator should see, and names the result in the function's own family. */
CK_RV kl_call_leave(struct kl_call *call, enum kl_rc rc);
/* A function that is not offered, from one end to the other. */
CK_RV kl_call_refuse(enum kl_fn fn, enum kl_rc answer);
/* The answer of a function that may be called before C_Initialize and touches nothing. */
CK_RV kl_call_answer(enum kl_fn fn, enum kl_rc rc);

const char *kl_fn_name(enum kl_fn fn);

/* The failure of this thread's last call, "C_Decrypt: the ciphertext does not open"; "" where it did not fail. Terminated; `cap` is 1 or more. */
void kl_call_words(char *out, size_t cap);

#endif
