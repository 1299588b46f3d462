/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "p11/call.h"

#include <errno.h>
#include <stdio.h>

#include "base/log.h"

/* The columns of base/rc.def. */
enum family { CALL, KEY, MESSAGE, SLOT, FAMILIES };
enum kind { NONE, ADMIN, ACCESS, DATA };

static const struct {
    const char *name;
    enum family family;
    enum kind kind;
} functions[] = {
#define KL_FN(name, since, chapter, family, kind) [KL_FN_##name] = { #name, family, kind },
#define KL_FN_ABSENT(name, since, chapter, family, kind, answer, parameters) [KL_FN_##name] = { #name, family, kind },
#define KL_FN_VENDOR(name, family, kind) [KL_FN_##name] = { #name, family, kind },
#include "p11/function.def"
#undef KL_FN
#undef KL_FN_ABSENT
#undef KL_FN_VENDOR
};

static const CK_RV codes[][FAMILIES] = {
#define KL_RC(name, words, call, key, message, slot) [KL_##name] = { [CALL] = call, [KEY] = key, [MESSAGE] = message, [SLOT] = slot },
#include "base/rc.def"
#undef KL_RC
};

/* What an administrator wants to know. A caller's own mistakes are for the debug log, as is what the ladder (PINs) and the roots have told themselves. */
static const struct {
    enum kl_rc rc;
    enum kl_log_level level;
} grave[] = {
    { KL_MEMORY, KL_LOG_ERROR },
    { KL_LOCKED_MEMORY, KL_LOG_ERROR },
    { KL_CRYPTO, KL_LOG_ERROR },
    { KL_NO_RANDOM, KL_LOG_ERROR },
    { KL_CONFIG, KL_LOG_ERROR },
    { KL_PERMISSION, KL_LOG_ERROR },
    { KL_INTEGRITY, KL_LOG_ERROR },
    { KL_STORE, KL_LOG_ERROR },
    { KL_STORE_BUSY, KL_LOG_ERROR },
    { KL_STORE_FULL, KL_LOG_ERROR },
    { KL_STORE_READ_ONLY, KL_LOG_WARNING },
    { KL_STORE_OTHER, KL_LOG_ERROR },
    { KL_REENTERED, KL_LOG_WARNING },
};

const char *kl_fn_name(enum kl_fn fn)
{
    return functions[fn].name;
}

static enum kl_log_level level_of(enum kl_fn fn, enum kl_rc rc)
{
    /* What is wrong with a slot itself src/token has said already, once and not at every look. */
    if (functions[fn].family == SLOT && functions[fn].kind == NONE) return KL_LOG_DEBUG;
    for (size_t i = 0; i < sizeof grave / sizeof *grave; i++)
        if (grave[i].rc == rc) return grave[i].level;
    return KL_LOG_DEBUG;
}

static KL_COLD void tell(const struct kl_call *call, enum kl_rc rc)
{
    const char *token = call->token == NULL ? "" : kl_ladder_name(call->token->ladder);
    const char *words = kl_fail_words();

    kl_log(level_of(call->fn, rc), "%s%s%s%s: %s: %s", functions[call->fn].name, *token != '\0' ? " on token \"" : "", token,
           *token != '\0' ? "\"" : "", kl_rc_name(rc), *words != '\0' ? words : kl_rc_words(rc));
}

static enum kl_rc find_session(struct kl_call *call, CK_SESSION_HANDLE handle, enum kl_need need)
{
    struct kl_session *session;
    enum kl_rc rc = kl_session_enter(handle, &session);

    if (rc != KL_OK) return kl_module_is_open() ? rc : KL_NOT_INITIALIZED;
    call->token = session->token;
    call->session_is_rw = session->is_rw;
    if (need == KL_NEED_SESSION) {
        call->session = session;
    } else {
        kl_session_leave(session);
    }
    return KL_OK;
}

enum kl_rc kl_call_enter(struct kl_call *call, enum kl_fn fn, CK_SESSION_HANDLE session, enum kl_need need)
{
    struct kl_thread *thread = kl_thread();
    int *where = &errno;

    call->fn = fn;
    call->session = NULL;
    call->token = NULL;
    call->session_is_rw = call->is_first = call->holds_module = false;
    call->thread = thread;
    call->where_errno = where;
    call->saved_errno = *where;
    if (thread->is_inside) return KL_REENTERED;
    if (need != KL_NEED_NOTHING && !kl_module_is_open()) return KL_NOT_INITIALIZED;
    thread->is_inside = call->is_first = true;
    thread->words[0] = '\0';
    if (need != KL_NEED_SESSION) kl_thread_hold();
    if (need == KL_NEED_NOTHING) return KL_OK;
    /* A call that holds its session's lock is waited for by that; the data path writes nothing that other sessions write. */
    if (need != KL_NEED_SESSION) call->holds_module = kl_module_enter();
    if (need != KL_NEED_SESSION && !call->holds_module) return KL_NOT_INITIALIZED;
    return need == KL_NEED_MODULE ? KL_OK : find_session(call, session, need);
}

enum kl_rc kl_call_find_slot(struct kl_call *call, CK_SLOT_ID slot)
{
    call->token = kl_token_at(slot);
    return call->token != NULL ? KL_OK : KL_SLOT;
}

CK_RV kl_call_answer(enum kl_fn fn, enum kl_rc rc)
{
    return codes[rc][functions[fn].family];
}

CK_RV kl_call_leave(struct kl_call *call, enum kl_rc rc)
{
    struct kl_thread *thread = call->thread;

    /* The audit's outcome and the metric belong here, while session and token are at hand. */
    if (rc != KL_OK && call->is_first) tell(call, rc);
    if (call->session != NULL && rc == KL_INTEGRITY) call->session->device_error = KL_DEVICE_ERROR_INTEGRITY;
    if (call->session != NULL) kl_session_leave(call->session);
    if (call->holds_module) kl_module_leave();
    if (call->is_first || rc == KL_NOT_INITIALIZED) {
        thread->last_fn = call->fn;
        thread->last_rc = rc;
    }
    if (call->is_first) thread->is_inside = false;
    *call->where_errno = call->saved_errno;
    if (call->is_first && thread->is_held) kl_thread_let_go(thread);
    if (rc == KL_OK) return CKR_OK;
    return kl_call_answer(call->fn, rc);
}

void kl_call_words(char *out, size_t cap)
{
    const struct kl_thread *thread = kl_thread();
    const char *words = thread->words;
    int saved_errno = errno;

    *out = '\0';
    /* Before C_Initialize nothing has been said by this call, perhaps by one before. */
    if (*words == '\0' || thread->last_rc == KL_NOT_INITIALIZED) words = kl_rc_words(thread->last_rc);
    if (thread->last_rc != KL_OK) snprintf(out, cap, "%s: %s", functions[thread->last_fn].name, words);
    errno = saved_errno;
}

CK_RV kl_call_refuse(enum kl_fn fn, enum kl_rc answer)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, fn, CK_INVALID_HANDLE, KL_NEED_MODULE);

    return kl_call_leave(&call, rc == KL_OK ? answer : rc);
}
