/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* One line per thing worth telling an administrator. Never to stdout or stderr of the host, never a secret. */
#ifndef KL_BASE_LOG_H
#define KL_BASE_LOG_H

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/rc.h"

enum kl_log_level { KL_LOG_ERROR, KL_LOG_WARNING, KL_LOG_NOTICE, KL_LOG_INFO, KL_LOG_DEBUG };

/*
 * target: "syslog" (datagrams to /dev/log of our own, so that the host's
 * openlog() is left alone), "none", or "file:/absolute/path" (appended, 0600,
 * O_NOFOLLOW, one write(2) a line). KL_CONFIG for anything else. A target that
 * stops working drops lines and never blocks.
 */
KL_MUST_USE enum kl_rc kl_log_open(const char *target, enum kl_log_level least);
/* In a forked child: forgets the descriptor without closing it, opens again at the next line. */
void kl_log_abandon(void);
void kl_log_close(void);
/* For who forks (base/fork.h). A child that inherits writes on to where its parent does. */
pthread_mutex_t *kl_log_lock(void);

/* Nothing is kept before kl_log_open. Control characters and bytes that are not UTF-8 come out escaped; lines are cut at 1,000 bytes. Keeps errno. */
void kl_log(enum kl_log_level level, const char *format, ...) KL_PRINTF(2, 3);

/*
 * Escapes as kl_log does, into out (always terminated; cap > 0); returns out. What
 * would break a line, fool a terminal or is not UTF-8 becomes \xNN. The backslash
 * itself stays, so that escaping twice is escaping once.
 */
const char *kl_log_escape(struct kl_view bytes, char *out, size_t cap);
/* The same for a formatted text; keeps errno, so that the format may say %m. */
void kl_log_format(char *out, size_t cap, const char *format, va_list values) KL_PRINTF(3, 0);

#endif
