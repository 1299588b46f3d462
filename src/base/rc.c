/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "base/rc.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

static const char *const names[] = {
#define KL_RC(name, words, call, key, message, slot) [KL_##name] = #name,
#include "base/rc.def"
#undef KL_RC
};

static const char *const meanings[] = {
#define KL_RC(name, words, call, key, message, slot) [KL_##name] = words,
#include "base/rc.def"
#undef KL_RC
};

/*
 * Not initial-exec: a module loaded late shares some 1,600 bytes of static TLS
 * with every other, and one that finds none left cannot be loaded at all.
 */
static _Thread_local struct kl_thread thread;

struct kl_thread *kl_thread(void)
{
    return &thread;
}

void kl_thread_hold(void)
{
    if (!thread.is_inside || thread.is_held) return;
    thread.is_held = pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &thread.cancel_before) == 0;
}

void kl_thread_let_go(struct kl_thread *mine)
{
    int ignored;

    mine->is_held = false;
    pthread_setcancelstate(mine->cancel_before, &ignored);
}

const char *kl_rc_name(enum kl_rc rc)
{
    return (unsigned)rc < KL_RC_COUNT ? names[rc] : "UNKNOWN";
}

const char *kl_rc_words(enum kl_rc rc)
{
    return (unsigned)rc < KL_RC_COUNT ? meanings[rc] : "unknown result";
}

enum kl_rc kl_fail_say(enum kl_rc rc, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    kl_log_format(thread.words, sizeof thread.words, format, values);
    va_end(values);
    return rc;
}

const char *kl_fail_words(void)
{
    return thread.words;
}

void kl_fail_forget(void)
{
    thread.words[0] = '\0';
}

enum kl_rc kl_refuse(enum kl_rc rc, const char *function, const char *condition)
{
    kl_log(KL_LOG_DEBUG, "%s: %s: not so: %s", function, kl_rc_name(rc), condition);
    /* Whoever failed first knew more than the condition that noticed. */
    if (thread.words[0] == '\0') snprintf(thread.words, sizeof thread.words, "%s", kl_rc_words(rc));
    return rc;
}
