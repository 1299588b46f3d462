/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The module's life in a process: opened, closed, and found anew in a forked child. */
#include "token/token.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/fork.h"
#include "base/log.h"
#include "base/secret.h"
#include "config.h"
#include "crypto/lib.h"
#include "token/inherit.h"
#include "token/object.h"
#include "token/session.h"

/*
 * In a page that is zero in every child: there nothing is open, nobody is inside,
 * and the locks are new whoever held them at the fork (a zeroed mutex or condition variable is an
 * unused one, in glibc and in musl). So a child's threads may race into C_Initialize.
 */
struct life {
    _Atomic bool is_open;                 /* every call reads it, so nothing that is often written shares its cache line */
    _Alignas(64) _Atomic CK_ULONG inside; /* calls that hold no session's lock */
    _Alignas(64) pthread_mutex_t lock;    /* C_Initialize and C_Finalize, one at a time */
    pthread_cond_t idle;                  /* nobody is inside any more, or the closing is over */
    bool is_closing;                      /* C_Finalize waits for those inside, and lets go of the lock meanwhile */
    bool has_begun;                       /* this process has called kl_module_open */
    bool is_inherited;                    /* what is open came by a fork */
    bool is_welcome;                      /* and kl_module_open has not been told so yet */
};

/* What `life` points to before the first kl_module_open, so that looking needs no test for NULL. */
static struct life never;
static struct life *_Atomic life = &never;
/* This process or an ancestor has called kl_module_open: there may be state of theirs. */
static bool has_past;

/* The slots of one kl_module_open. */
struct slots {
    struct slots *parents; /* what a child has abandoned, kept to show that it is not lost */
    struct kl_conf *conf;
    size_t count;
    struct kl_token tokens[];
};
static struct slots *slots;

/* --- slots ------------------------------------------------------------- */

static void slots_free(struct slots *it)
{
    if (it == NULL) return;
    for (size_t i = 0; i < it->count; i++) {
        struct kl_token *token = &it->tokens[i];

        if (token->shelf != NULL) kl_object_end_all(token);
        kl_shelf_free(token->shelf);
        kl_ladder_free(token->ladder);
        pthread_cond_destroy(&token->changed);
        pthread_mutex_destroy(&token->lock);
    }
    kl_conf_free(it->conf);
    free(it);
}

static enum kl_policy policy_of(const struct kl_conf_section *section)
{
    static const struct {
        const char *name;
        enum kl_policy policy;
    } policies[] = { { "standard", KL_POLICY_STANDARD }, { "strict", KL_POLICY_STRICT }, { "compatible", KL_POLICY_COMPATIBLE } };
    struct kl_view wanted = kl_view_text(kl_conf_text(section, KL_SET_POLICY));

    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++)
        if (kl_view_is(wanted, kl_view_text(policies[i].name))) return policies[i].policy;
    return KL_POLICY_STRICT; /* not reached: the setting is one of these */
}

static enum kl_rc token_make(struct slots *it, size_t index)
{
    struct kl_token *token = &it->tokens[index];

    token->slot = index;
    token->policy = policy_of(kl_conf_at(it->conf, KL_CONF_TOKEN, index));
    pthread_mutex_init(&token->lock, NULL);
    pthread_cond_init(&token->changed, NULL);
    it->count = index + 1;
    KL_TRY(kl_ladder_new(it->conf, kl_conf_at(it->conf, KL_CONF_TOKEN, index), &token->ladder));
    token->engine = kl_ladder_engine(token->ladder);
    return kl_shelf_new(token, &token->shelf);
}

/* Takes `conf`, on failure too. */
static enum kl_rc slots_new(struct kl_conf *conf, struct slots **out)
{
    size_t count = kl_conf_count(conf, KL_CONF_TOKEN);
    struct slots *it = calloc(1, sizeof *it + count * sizeof *it->tokens);
    enum kl_rc rc = KL_OK;

    if (it == NULL) {
        kl_conf_free(conf);
        return kl_fail(KL_MEMORY, "no memory for %zu tokens", count);
    }
    kl_aead_set_engine(KL_ENGINE_AUTO); /* until a token wants another */
    it->conf = conf;
    for (size_t i = 0; rc == KL_OK && i < count; i++) rc = token_make(it, i);
    if (rc == KL_OK) {
        *out = it;
    } else {
        slots_free(it);
    }
    return rc;
}

/* --- configuration ----------------------------------------------------- */

static enum kl_rc apply_module_settings(const struct kl_conf *conf)
{
    static const struct {
        const char *name;
        enum kl_log_level level;
    } levels[] = {
        { "error", KL_LOG_ERROR }, { "warning", KL_LOG_WARNING }, { "notice", KL_LOG_NOTICE },
        { "info", KL_LOG_INFO },   { "debug", KL_LOG_DEBUG },
    };
    const struct kl_conf_section *module = kl_conf_at(conf, KL_CONF_MODULE, 0);
    const struct kl_conf_section *log = kl_conf_at(conf, KL_CONF_LOG, 0);
    struct kl_view wanted = kl_view_text(kl_conf_text(log, KL_SET_LOG_LEVEL));
    enum kl_log_level level = KL_LOG_NOTICE;

    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (kl_view_is(wanted, kl_view_text(levels[i].name))) level = levels[i].level;
    /* not reached: the configuration has been checked, and a file that cannot be opened is tried again. */
    KL_TRY(kl_log_open(kl_conf_text(log, KL_SET_LOG_TARGET), level));
    KL_TRY(kl_inherit_set(kl_inherit_rule(conf)));
    kl_arena_allow_unlocked(kl_view_is(kl_view_text(kl_conf_text(module, KL_SET_LOCK_MEMORY)), kl_view_text("try")));
    return KL_OK;
}

static enum kl_rc read_configuration(const char *path, struct slots **out)
{
    struct kl_conf *conf;
    enum kl_rc rc;

    KL_TRY(kl_conf_load(path, &conf));
    rc = apply_module_settings(conf);
    if (rc == KL_OK) return slots_new(conf, out);
    kl_conf_free(conf);
    return rc;
}

/* Without a usable configuration there are no slots, and whoever loads every module of the system is left alone. */
static enum kl_rc configure(struct slots **out)
{
    char path[4096];
    enum kl_rc rc, log_rc;

    /* not reached: it needs nothing. */
    KL_TRY(kl_inherit_set(KL_FORK_RESET));
    kl_conf_path(path, sizeof path);
    rc = read_configuration(path, out);
    if (rc == KL_OK || rc == KL_MEMORY) return rc;
    *out = NULL;
    if (rc == KL_NOT_FOUND && secure_getenv("KEYLADDER_CONF") == NULL) return KL_OK;
    /* The log's own settings may be what is wrong; where syslog is not to be had either, nothing is. */
    log_rc = kl_log_open("syslog", KL_LOG_NOTICE);
    if (log_rc == KL_OK) kl_log(KL_LOG_ERROR, "no token is offered: %s", *kl_fail_words() != '\0' ? kl_fail_words() : path);
    return KL_OK;
}

/* --- life -------------------------------------------------------------- */

/* The first thread that has made the page sets it: a lock could be found taken in a child. */
static enum kl_rc make_page(void)
{
    struct life *theirs = &never;
    size_t len = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    enum kl_rc rc = KL_OK;

    if (page == MAP_FAILED) return kl_fail(KL_MEMORY, "no memory for the module's own page: %m");
    if (madvise(page, len, MADV_WIPEONFORK) != 0)
        rc = kl_fail(KL_MEMORY, "this kernel has no MADV_WIPEONFORK: Linux 4.14 or newer is needed");
    if (rc != KL_OK || !atomic_compare_exchange_strong(&life, &theirs, page)) munmap(page, len);
    return rc;
}

/* In a forked child: forgets what it inherited. Nothing of it is closed, logged out or locked, since it is the parent's or half changed. */
static void abandon(void)
{
    static struct slots *parents;

    kl_log_abandon();
    kl_arena_abandon();
    kl_crypto_abandon();
    for (size_t i = 0; slots != NULL && i < slots->count; i++) kl_ladder_abandon(slots->tokens[i].ladder);
    kl_session_abandon_all();
    kl_object_abandon_all();
    if (slots == NULL) return;
    slots->parents = parents;
    parents = slots;
    slots = NULL;
}

static enum kl_rc begin(struct life *it)
{
    bool is_welcome = it->is_welcome;

    it->is_welcome = false;
    if (atomic_load(&it->is_open)) return is_welcome ? KL_OK : KL_INITIALIZED;
    if (!it->has_begun && has_past) abandon();
    has_past = true;
    it->has_begun = true;
    KL_TRY(kl_fork_mark());
    KL_TRY(configure(&slots));
    atomic_store(&it->is_open, true);
    return KL_OK;
}

enum kl_rc kl_module_open(void)
{
    struct life *it;
    enum kl_rc rc;

    if (atomic_load(&life) == &never) KL_TRY(make_page());
    it = atomic_load(&life);
    pthread_mutex_lock(&it->lock);
    while (it->is_closing) pthread_cond_wait(&it->idle, &it->lock);
    rc = begin(it);
    pthread_mutex_unlock(&it->lock);
    return rc;
}

enum kl_rc kl_module_close(void)
{
    struct life *it = atomic_load(&life);
    struct slots *mine = NULL;
    bool was_open;

    pthread_mutex_lock(&it->lock);
    was_open = atomic_exchange(&it->is_open, false);
    if (was_open) {
        it->is_closing = true;
        while (atomic_load(&it->inside) > 0) pthread_cond_wait(&it->idle, &it->lock);
        kl_session_close_module();
        mine = slots;
        slots = NULL;
        slots_free(mine);
        kl_log_close();
        /* What threads of the parent held at the fork is nobody's. */
        if (it->is_inherited) kl_arena_abandon();
        it->is_inherited = it->is_welcome = false;
        it->is_closing = false;
        pthread_cond_broadcast(&it->idle);
    }
    pthread_mutex_unlock(&it->lock);
    return was_open ? KL_OK : KL_NOT_INITIALIZED;
}

void kl_module_inherit(void)
{
    struct life *it = atomic_load(&life);

    it->has_begun = true;
    it->is_inherited = it->is_welcome = true;
    atomic_store(&it->is_open, true);
}

pthread_mutex_t *kl_module_lock(void)
{
    return &atomic_load(&life)->lock;
}

bool kl_module_is_busy(void)
{
    return atomic_load(&atomic_load(&life)->inside) > 0;
}

bool kl_module_is_open(void)
{
    return atomic_load_explicit(&atomic_load_explicit(&life, memory_order_acquire)->is_open, memory_order_acquire);
}

bool kl_module_enter(void)
{
    struct life *it = atomic_load(&life);

    if (!atomic_load(&it->is_open)) return false;
    /* Counted before looking again: kl_module_close shuts first and counts then. */
    atomic_fetch_add(&it->inside, 1);
    if (atomic_load(&it->is_open)) return true;
    /* not reached: or seldom, when a C_Finalize comes between the two looks. */
    kl_module_leave();
    return false;
}

void kl_module_leave(void)
{
    struct life *it = atomic_load(&life);

    if (atomic_fetch_sub(&it->inside, 1) != 1 || atomic_load(&it->is_open)) return;
    pthread_mutex_lock(&it->lock);
    pthread_cond_broadcast(&it->idle);
    pthread_mutex_unlock(&it->lock);
}

CK_VERSION kl_module_version(void)
{
    char *end;
    unsigned long major = strtoul(PACKAGE_VERSION, &end, 10);
    unsigned long minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;

    return (CK_VERSION){ .major = (CK_BYTE)major, .minor = (CK_BYTE)minor };
}

CK_ULONG kl_token_count(void)
{
    return slots == NULL ? 0 : slots->count;
}

struct kl_token *kl_token_at(CK_SLOT_ID slot)
{
    return slot < kl_token_count() ? &slots->tokens[slot] : NULL;
}
