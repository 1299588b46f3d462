/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "base/rc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

enum { WORDS_CAP = 512 };

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
static _Thread_local char fail_words[WORDS_CAP];

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
    kl_log_format(fail_words, sizeof fail_words, format, values);
    va_end(values);
    return rc;
}

const char *kl_fail_words(void)
{
    return fail_words;
}

void kl_fail_forget(void)
{
    fail_words[0] = '\0';
}

enum kl_rc kl_refuse(enum kl_rc rc, const char *function, const char *condition)
{
    kl_log(KL_LOG_DEBUG, "%s: %s: not so: %s", function, kl_rc_name(rc), condition);
    /* Whoever failed first knew more than the condition that noticed. */
    if (fail_words[0] == '\0') snprintf(fail_words, sizeof fail_words, "%s", kl_rc_words(rc));
    return rc;
}
