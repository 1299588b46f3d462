/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Results, and the only macros of the project that contain a `return`. */
#ifndef KL_BASE_RC_H
#define KL_BASE_RC_H

#include <stdbool.h>

#define KL_MUST_USE __attribute__((warn_unused_result))
/* Everything that it calls becomes part of it (across files where the module is linked as a whole), but for what is KL_COLD. */
#define KL_HOT __attribute__((flatten))
#define KL_COLD __attribute__((noinline, cold))
#define KL_PRINTF(words, first) __attribute__((format(printf, words, first)))

enum kl_rc {
#define KL_RC(name, words, call, key, message, slot) KL_##name,
#include "base/rc.def"
#undef KL_RC
    KL_RC_COUNT
};

/* The name without its prefix ("PIN_WRONG") and the words ("wrong PIN"); static text, never NULL. */
const char *kl_rc_name(enum kl_rc rc);
const char *kl_rc_words(enum kl_rc rc);

/*
 * What went wrong, in words for a person, kept per thread for KL_GetError, the
 * tool and the log: kl_fail() stores the words and returns its first argument.
 * The words never hold a secret; bytes that are not printable are escaped.
 */
#define kl_fail(rc, ...) kl_rc_same((rc), kl_fail_say((rc), __VA_ARGS__))
KL_COLD enum kl_rc kl_fail_say(enum kl_rc rc, const char *format, ...) KL_PRINTF(2, 3);

/* Gives back what went in, in sight of compilers and analyzers, which so know that a failure stays one. */
static inline enum kl_rc kl_rc_same(enum kl_rc rc, enum kl_rc said)
{
    (void)said;
    return rc;
}

/*
 * What a thread keeps of its calls, all in one block: finding thread-local memory is a call into the loader, and
 * who begins a call does it once.
 */
struct kl_thread {
    bool is_inside;     /* a call of ours */
    bool is_held;       /* and may not be cancelled until its end */
    int cancel_before;  /* whether it might before */
    unsigned last_fn;   /* how its last call ended: function */
    enum kl_rc last_rc; /* and result */
    char words[512];    /* the last kl_fail()'s */
};
struct kl_thread *kl_thread(void);

/*
 * A thread that is cancelled in the middle of a call would leave our locks held and what they guard half changed. So before a
 * call comes to what may be a cancellation point, it puts cancelling off until it ends. Not at the beginning of every call: the data
 * path comes to none.
 */
KL_COLD void kl_thread_hold(void);
/* At the end of the call, with no lock held. (Of deferred cancellation; against the other kind a host's thread has no help in here.) */
KL_COLD void kl_thread_let_go(struct kl_thread *thread);

/* The words of the last kl_fail() of this thread, "" after kl_fail_forget(). Valid until the next of either. */
const char *kl_fail_words(void);
void kl_fail_forget(void);

/* Hand a failure up. */
#define KL_TRY(call)                              \
    do {                                          \
        enum kl_rc kl_try_rc = (call);            \
        if (kl_try_rc != KL_OK) return kl_try_rc; \
    } while (0)

/* Refuse, noting function and condition in the debug log. */
#define KL_CHECK(condition, code)                                                             \
    do {                                                                                      \
        if (!(condition)) return kl_rc_same((code), kl_refuse((code), __func__, #condition)); \
    } while (0)
KL_COLD enum kl_rc kl_refuse(enum kl_rc rc, const char *function, const char *condition);

/* KL_AUTO(kl_secret) dek = { 0 };  is cleared when the scope ends, however it ends. */
#define KL_AUTO(type) __attribute__((cleanup(type##_clear))) struct type

#endif
