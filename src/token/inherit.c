/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The child has one thread, and finds memory as all threads of its parent left it. So before a fork the thread that forks
 * takes every lock of the process that is held for a few steps at most; what they guard is then whole in the child. What
 * is held for longer, a session or the store, is not waited for: a session with a thread in it is not inherited, and
 * the store is opened anew. Where the handlers did not run, or a lock was not to be had in time, the child begins anew.
 */
#include "token/inherit.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fork.h"
#include "base/log.h"
#include "crypto/lib.h"
#include "ladder/key.h"
#include "token/object.h"
#include "token/session.h"
#include "token/shelf.h"
#include "token/slot.h"
#include "token/token.h"

enum { UNREAD = -1 };
static const int64_t longest_wait = 5 * INT64_C(1000000000);

static _Atomic int rule = UNREAD; /* enum kl_fork_rule */
/* Of the fork that this thread is making. */
static _Thread_local bool is_prepared, is_busy;

/* --- before ------------------------------------------------------------ */

/* In the order of doc/architecture.md. */
static bool show_tokens(kl_lock_fn *each, void *user)
{
    CK_ULONG count = kl_token_count();
    bool goes_on = true;

    for (CK_ULONG i = 0; goes_on && i < count; i++) goes_on = each(user, &kl_token_at(i)->lock);
    goes_on = goes_on && each(user, kl_session_lock());
    for (CK_ULONG i = 0; goes_on && i < count; i++) goes_on = each(user, kl_shelf_lock(kl_token_at(i)->shelf));
    goes_on = goes_on && each(user, kl_slot_lock());
    for (CK_ULONG i = 0; goes_on && i < count; i++) goes_on = each(user, kl_ladder_lock(kl_token_at(i)->ladder));
    return goes_on && each(user, kl_crypto_lock()) && kl_arena_show_locks(each, user) && each(user, kl_log_lock());
}

static bool show_all(kl_lock_fn *each, void *user)
{
    return each(user, kl_module_lock()) && show_tokens(each, user);
}

static bool take_all(void)
{
    int64_t deadline = kl_clock->steady() + longest_wait;

    while (kl_module_is_open()) {
        if (kl_fork_take_locks(show_all)) return true;
        if (kl_clock->steady() >= deadline) break;
        kl_fork_pause();
    }
    return false;
}

static void before_fork(void)
{
    is_prepared = false;
    if (atomic_load(&rule) != KL_FORK_INHERIT || !kl_module_is_open()) return;
    kl_crypto_before_fork();
    if (!take_all()) return;
    /* It may have been closed while we waited. */
    is_prepared = kl_module_is_open();
    is_busy = kl_module_is_busy();
    if (!is_prepared) kl_fork_leave_locks(show_all);
}

/* --- after ------------------------------------------------------------- */

static void after_fork_in_parent(void)
{
    if (is_prepared) kl_fork_leave_locks(show_all);
    is_prepared = false;
}

static enum kl_rc inherit(void)
{
    bool is_whole;

    KL_TRY(kl_fork_mark());
    KL_TRY(kl_arena_inherit());
    kl_key_forked();
    for (CK_ULONG i = 0; i < kl_token_count(); i++) kl_token_inherit(kl_token_at(i));
    is_whole = kl_session_inherit_all();
    for (CK_ULONG i = 0; i < kl_token_count(); i++) {
        /* A session that was being closed has gone without its objects. */
        if (is_busy || !is_whole) kl_object_end_orphans(kl_token_at(i));
        kl_token_settle(kl_token_at(i));
    }
    kl_module_inherit();
    return KL_OK;
}

static void after_fork_in_child(void)
{
    enum kl_rc rc = KL_NOT_INITIALIZED;

    if (atomic_load(&rule) != KL_FORK_INHERIT) return;
    /* The module's own lock lies in a page that is new here. */
    if (is_prepared) {
        kl_fork_leave_locks(show_tokens);
        rc = inherit();
        if (rc != KL_OK) kl_log(KL_LOG_ERROR, "a forked child begins anew, without its parent's keys: %s", kl_fail_words());
    }
    is_prepared = false;
    /* As under `reset`: a child that does not go on has no keys. */
    if (rc != KL_OK) kl_arena_abandon();
}

/* --- the rule ---------------------------------------------------------- */

enum kl_fork_rule kl_inherit_rule(const struct kl_conf *conf)
{
    const char *text = kl_conf_text(kl_conf_at(conf, KL_CONF_MODULE, 0), KL_SET_FORK);

    return kl_view_is(kl_view_text(text), kl_view_text("inherit")) ? KL_FORK_INHERIT : KL_FORK_RESET;
}

/* Once, and never undone: the module stays in the process (-z nodelete), and so do they in its children. */
static enum kl_rc register_handlers(void)
{
    static bool is_done;

    if (is_done) return KL_OK;
    if (pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) != 0)
        return kl_fail(KL_MEMORY, "no memory for what `fork = inherit` has to do at a fork");
    is_done = true;
    return KL_OK;
}

enum kl_rc kl_inherit_set(enum kl_fork_rule wanted)
{
    if (wanted == KL_FORK_INHERIT) KL_TRY(register_handlers());
    kl_arena_set_fork(wanted);
    atomic_store(&rule, (int)wanted);
    return KL_OK;
}

static enum kl_fork_rule read_rule(void)
{
    struct kl_conf *conf = NULL;
    enum kl_fork_rule found = KL_FORK_RESET;
    struct kl_thread *thread = kl_thread(), before = *thread;
    char path[4096];
    int saved = errno, cancel, ignored;
    enum kl_rc rc;

    /* Asked for outside of any call of ours: who is cancelled in between would leave a file open. */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    kl_conf_path(path, sizeof path);
    rc = kl_conf_load(path, &conf);
    if (rc == KL_OK) found = kl_inherit_rule(conf);
    kl_conf_free(conf);
    /* Whoever asks for the interface to have a failure in words is given that one. */
    memcpy(thread->words, before.words, sizeof thread->words);
    errno = saved;
    pthread_setcancelstate(cancel, &ignored);
    return found;
}

bool kl_inherit_is_promised(void)
{
    int known = atomic_load(&rule);

    /* Who reads it at the same time finds the same; C_Initialize's reading stands. */
    if (known == UNREAD) {
        int found = (int)read_rule();

        if (atomic_compare_exchange_strong(&rule, &known, found)) known = found;
    }
    return known == KL_FORK_INHERIT;
}
