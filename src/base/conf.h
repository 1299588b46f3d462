/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The configuration file (DESIGN section 3; keyladder.conf(5) is generated from
 * the table in conf.c). A loaded configuration is immutable.
 */
#ifndef KL_BASE_CONF_H
#define KL_BASE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/rc.h"
#include "base/secret.h"

enum kl_conf_kind { KL_CONF_MODULE, KL_CONF_TOKEN, KL_CONF_ROOT, KL_CONF_LOG, KL_CONF_KINDS };

/* One row of settings[] in conf.c each. */
enum kl_setting {
    /* [module] */
    KL_SET_FORK,        /* choice: reset (default) | inherit */
    KL_SET_LOCK_MEMORY, /* choice: required | try */
    /* [token "name"] */
    KL_SET_STORE,         /* text, required: sqlite:/absolute/path */
    KL_SET_ROOTS,         /* list of [root] names, required */
    KL_SET_ENVIRONMENT,   /* text, default "" */
    KL_SET_CACHE_TTL,     /* duration, default 1h */
    KL_SET_LIST_MASTER,   /* bool, default yes */
    KL_SET_POLICY,        /* choice: standard (default) | strict | compatible */
    KL_SET_ENVELOPE,      /* choice: aes-256-gcm (default) | xaes-256-gcm */
    KL_SET_ENGINE,        /* choice: auto (default) | openssl | ipsec-mb */
    KL_SET_ON_EXPIRY,     /* choice: refuse (default) | serve */
    KL_SET_PIN,           /* secret source; for the tool */
    KL_SET_PIN_MEMORY,    /* size, default 64MiB, 8MiB to 1GiB: Argon2id memory for PINs */
    KL_SET_STORE_TIMEOUT, /* duration, default 30s */
    /* [root "name"] */
    KL_SET_TYPE,              /* choice, required: local */
    KL_SET_PASSPHRASE,        /* secret source; local */
    KL_SET_PASSPHRASE_MEMORY, /* size, default 64MiB */
    /* [log] */
    KL_SET_LOG_TARGET, /* text: syslog (default) | none | file:PATH */
    KL_SET_LOG_LEVEL,  /* choice: error | warning | notice (default) | info | debug */
    KL_SETTINGS
};

struct kl_conf;
struct kl_conf_section;

/*
 * Which file is read: KEYLADDER_CONF (whether it exists or not: another file in
 * its place would surprise), else $XDG_CONFIG_HOME/keyladder/keyladder.conf (or
 * ~/.config/…) if that exists, else /etc/keyladder/keyladder.conf. Setuid
 * programs read the last (secure_getenv). Writes the path to out.
 */
void kl_conf_path(char *out, size_t cap);

/*
 * Reads and checks a whole file, named by its absolute path. KL_CONFIG (kl_fail_words() has "FILE:LINE: what
 * is wrong, what to write"), KL_NOT_FOUND (no such file), KL_PERMISSION (group
 * or others may write it or its owner is neither root nor us), KL_MEMORY.
 */
KL_MUST_USE enum kl_rc kl_conf_load(const char *path, struct kl_conf **out);
/* NULL is allowed. */
void kl_conf_free(struct kl_conf *conf);
const char *kl_conf_file(const struct kl_conf *conf);

/* Sections of a kind in the order of the file. [module] and [log] always exist, filled with defaults. */
size_t kl_conf_count(const struct kl_conf *conf, enum kl_conf_kind kind);
const struct kl_conf_section *kl_conf_at(const struct kl_conf *conf, enum kl_conf_kind kind, size_t index);
/* NULL if there is none. */
const struct kl_conf_section *kl_conf_find(const struct kl_conf *conf, enum kl_conf_kind kind, const char *name);
const char *kl_conf_name(const struct kl_conf_section *section);

/* Values; the setting must belong to the section's kind. Text is NULL when unset and without default, but "" for KL_SET_ENVIRONMENT. */
const char *kl_conf_text(const struct kl_conf_section *section, enum kl_setting setting);
bool kl_conf_is(const struct kl_conf_section *section, enum kl_setting setting);
/* Sizes in bytes, durations in seconds. */
int64_t kl_conf_number(const struct kl_conf_section *section, enum kl_setting setting);
/* The index-th item of a list, NULL past the end; valid as long as the configuration. */
const char *kl_conf_item(const struct kl_conf_section *section, enum kl_setting setting, size_t index);

/*
 * Reads the secret that a source names, now: file:PATH (readable by owner or own
 * group, never by others; symbolic links only through directories that root or
 * we alone can write; one trailing newline dropped), env:NAME, cred:NAME
 * ($CREDENTIALS_DIRECTORY), fd:N. prompt is KL_NOT_SUPPORTED here: the tool asks
 * itself. KL_CONFIG, KL_PERMISSION, KL_NOT_FOUND with words that name the source.
 */
KL_MUST_USE enum kl_rc kl_conf_secret(const char *source, struct kl_secret *out);

/* The table, for the man page and the tool: words for one setting, and its [kind]. */
struct kl_setting_words {
    enum kl_conf_kind kind;
    const char *name;
    const char *form;     /* "duration", "yes or no", "reset" */
    const char *fallback; /* default as one would write it, NULL: required, "" none */
    const char *words;
    bool restart; /* a change is seen only by new processes */
};
struct kl_setting_words kl_setting_words(enum kl_setting setting);

#endif
