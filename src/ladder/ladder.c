/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "ladder/ladder.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "ladder/budget.h"
#include "ladder/internal.h"

static enum kl_rc open_roots(struct kl_ladder *ladder)
{
    const char *name;

    for (size_t i = 0; (name = kl_conf_item(ladder->section, KL_SET_ROOTS, i)) != NULL; i++) {
        const struct kl_conf_section *section = kl_conf_find(ladder->conf, KL_CONF_ROOT, name);

        if (!section) return kl_fail(KL_CONFIG, "token %s: there is no [root \"%s\"]", kl_ladder_name(ladder), name);
        if (i >= KL_ROOTS_MAX) return kl_fail(KL_CONFIG, "token %s: more than %d roots", kl_ladder_name(ladder), KL_ROOTS_MAX);
        KL_TRY(kl_root_open(section, &ladder->roots[i]));
        ladder->root_count = i + 1;
    }
    return KL_OK;
}

/* Who wants OpenSSL wants nothing else loaded, for the token's own seals neither; one token's wish is then the process's. */
static enum kl_rc choose_engine(const struct kl_ladder *ladder)
{
    enum kl_engine engine = kl_ladder_engine(ladder);

    if (engine == KL_ENGINE_OPENSSL) kl_aead_set_engine(KL_ENGINE_OPENSSL);
    if (engine == KL_ENGINE_IPSEC_MB && strcmp(kl_aead_engine_name(engine), kl_conf_text(ladder->section, KL_SET_ENGINE)) != 0) {
        return kl_fail(
            KL_CONFIG,
            "engine = ipsec-mb: the library is not installed (Debian: libipsec-mb1), does not suit this processor, or the module "
            "was built without it; engine = auto takes OpenSSL then");
    }
    return KL_OK;
}

enum kl_rc kl_ladder_new(const struct kl_conf *conf, const struct kl_conf_section *section, struct kl_ladder **out)
{
    struct kl_ladder *ladder = calloc(1, sizeof(*ladder));
    enum kl_rc rc;

    KL_CHECK(ladder, KL_MEMORY);
    ladder->conf = conf;
    ladder->section = section;
    pthread_mutex_init(&ladder->opening, NULL);
    pthread_mutex_init(&ladder->lock, NULL);
    pthread_cond_init(&ladder->opened, NULL);
    pthread_cond_init(&ladder->reserved, NULL);
    rc = kl_store_check_uri(kl_conf_text(section, KL_SET_STORE));
    if (rc == KL_OK) rc = choose_engine(ladder);
    if (rc == KL_OK) rc = open_roots(ladder);
    if (rc != KL_OK) {
        kl_ladder_free(ladder);
        return rc;
    }
    *out = ladder;
    return KL_OK;
}

static void forget(struct kl_ladder *ladder)
{
    kl_held_drop_all(ladder);
    kl_budget_forget_all(ladder);
    kl_secret_clear(&ladder->access);
    kl_record_clear(&ladder->master);
    ladder->master_mark = 0;
    ladder->opened_by = NULL;
    ladder->role = KL_ROLE_NONE;
    ladder->login++;
}

void kl_ladder_free(struct kl_ladder *ladder)
{
    if (!ladder) return;
    kl_budget_settle(ladder, NULL);
    forget(ladder);
    kl_store_close(ladder->store);
    for (size_t i = 0; i < ladder->root_count; i++) kl_root_close(ladder->roots[i]);
    pthread_cond_destroy(&ladder->opened);
    pthread_cond_destroy(&ladder->reserved);
    pthread_mutex_destroy(&ladder->lock);
    pthread_mutex_destroy(&ladder->opening);
    free(ladder);
}

void kl_ladder_abandon(struct kl_ladder *ladder)
{
    if (ladder && ladder->store) kl_store_abandon(ladder->store);
}

void kl_ladder_inherit(struct kl_ladder *ladder, bool with_login)
{
    /* Whoever was opening the store or asking a root did not come along. */
    ladder->opening = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    ladder->opened = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    ladder->is_opening = false;
    ladder->reserved = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    ladder->is_reserving = false;
    /* What was reserved is the parent's to use up. */
    kl_budget_forget_all(ladder);
    if (!with_login) forget(ladder);
    if (!ladder->store) return;
    ladder->parents = ladder->store;
    ladder->store = NULL;
    kl_store_abandon(ladder->parents);
}

pthread_mutex_t *kl_ladder_lock(struct kl_ladder *ladder)
{
    return &ladder->lock;
}

const char *kl_ladder_name(const struct kl_ladder *ladder)
{
    return kl_conf_name(ladder->section);
}

/* A forked child has inherited a login and no connection: the store is given its key as it was at the login. */
static enum kl_rc unlock_by_access(struct kl_ladder *ladder, struct kl_store *store)
{
    KL_AUTO(kl_secret) access = { 0 };
    KL_AUTO(kl_secret) key = { 0 };
    enum kl_rc rc = kl_ladder_access(ladder, &access);

    if (rc == KL_NOT_LOGGED_IN) return KL_OK;
    KL_TRY(rc);
    KL_TRY(kl_store_key(&access, &key));
    return kl_store_unlock(store, &key, kl_ladder_serial(ladder));
}

static enum kl_rc open_store(struct kl_ladder *ladder, enum kl_store_mode mode, struct kl_store **out)
{
    int64_t timeout = kl_conf_number(ladder->section, KL_SET_STORE_TIMEOUT) * 1000000000;
    struct kl_store *store = NULL;
    enum kl_rc rc;

    KL_TRY(kl_store_open(kl_conf_text(ladder->section, KL_SET_STORE), mode, timeout, &store));
    rc = unlock_by_access(ladder, store);
    if (rc != KL_OK) {
        kl_store_close(store);
        return rc;
    }
    ladder->store = store;
    *out = store;
    return KL_OK;
}

enum kl_rc kl_ladder_store(struct kl_ladder *ladder, enum kl_store_mode mode, struct kl_store **out)
{
    struct kl_store *store = ladder->store;
    enum kl_rc rc = KL_OK;

    if (!store) {
        kl_thread_hold();
        pthread_mutex_lock(&ladder->opening);
        store = ladder->store;
        if (!store) rc = open_store(ladder, mode, &store);
        pthread_mutex_unlock(&ladder->opening);
    }
    if (rc == KL_NOT_FOUND && mode == KL_STORE_EXISTING)
        return kl_fail(KL_TOKEN_UNSET, "token %s has not been initialised: run keyladder init, or C_InitToken", kl_ladder_name(ladder));
    if (rc == KL_NOT_FOUND)
        return kl_fail(KL_CONFIG, "there is no folder for the store %s: make it, for its owner alone (0700)", kl_ladder_store_path(ladder));
    if (rc != KL_OK) return rc;
    *out = store;
    return KL_OK;
}

struct kl_view kl_ladder_serial(const struct kl_ladder *ladder)
{
    return kl_view_of(ladder->serial, KL_SERIAL_LEN);
}

enum kl_rc kl_ladder_access(struct kl_ladder *ladder, struct kl_secret *out)
{
    enum kl_rc rc = KL_NOT_LOGGED_IN;

    pthread_mutex_lock(&ladder->lock);
    if (ladder->access.len) rc = kl_secret_dup(out, &ladder->access);
    pthread_mutex_unlock(&ladder->lock);
    return rc;
}

static bool read_text(struct kl_reader *reader, char *out, size_t cap)
{
    struct kl_view text = kl_read_bytes(reader);

    if (reader->bad || text.len >= cap) return false;
    if (text.len) memcpy(out, text.data, text.len);
    out[text.len] = '\0';
    return true;
}

static enum kl_rc refuse_any(void *user, const char *name, struct kl_view value)
{
    (void)user;
    (void)value;
    return kl_fail(KL_INTEGRITY, "the store has a record %s and no token record: it was removed from outside", name);
}

/* Nothing at all: a store that no token has been made in. Something: the record that a token begins with was taken away. */
static enum kl_rc no_token_record(struct kl_store *store)
{
    KL_TRY(kl_store_records(store, "", refuse_any, NULL));
    return KL_TOKEN_UNSET;
}

enum kl_rc kl_token_record_read(struct kl_store *store, struct kl_token_record *out)
{
    uint8_t bytes[512];
    struct kl_out room = { bytes, sizeof(bytes), 0 };
    struct kl_reader reader;
    enum kl_rc rc = kl_store_record(store, "token", &room);

    if (rc == KL_NOT_FOUND) return no_token_record(store);
    if (rc == KL_BUFFER) return kl_fail(KL_INTEGRITY, "the token record is too long");
    if (rc != KL_OK) return rc;
    reader = kl_reader_of(kl_view_of(bytes, room.len));
    KL_CHECK(kl_read_u8(&reader) == 1, KL_INTEGRITY);
    KL_CHECK(read_text(&reader, out->serial, sizeof(out->serial)), KL_INTEGRITY);
    KL_CHECK(read_text(&reader, out->label, sizeof(out->label)), KL_INTEGRITY);
    KL_CHECK(read_text(&reader, out->environment, sizeof(out->environment)), KL_INTEGRITY);
    out->created_at = (int64_t)kl_read_u64(&reader);
    KL_CHECK(kl_reader_is_done(&reader) && strlen(out->serial) == KL_SERIAL_LEN, KL_INTEGRITY);
    return KL_OK;
}

enum kl_rc kl_ladder_facts(struct kl_ladder *ladder, struct kl_token_facts *out)
{
    struct kl_token_facts facts = { 0 };
    struct kl_token_record token;
    struct kl_store *store = NULL;
    struct kl_out asks = { NULL, 0, 0 };
    enum kl_rc rc = kl_ladder_store(ladder, KL_STORE_EXISTING, &store);

    if (rc == KL_OK) rc = kl_token_record_read(store, &token);
    if (rc == KL_TOKEN_UNSET) {
        kl_fail_forget();
        *out = facts;
        return KL_OK;
    }
    if (rc != KL_OK) return rc;
    facts.is_initialised = true;
    memcpy(facts.serial, token.serial, sizeof(facts.serial));
    memcpy(facts.label, token.label, sizeof(facts.label));
    memcpy(facts.environment, token.environment, sizeof(facts.environment));
    facts.created_at = token.created_at;
    rc = kl_store_record(store, "pin/user", &asks);
    if (rc != KL_OK && rc != KL_BUFFER && rc != KL_NOT_FOUND) return rc;
    facts.user_pin_is_set = rc != KL_NOT_FOUND;
    KL_TRY(kl_store_tries(store, "pin/so", &facts.so_tries));
    KL_TRY(kl_store_tries(store, "pin/user", &facts.user_tries));
    facts.is_read_only = kl_store_is_read_only(store);
    *out = facts;
    return KL_OK;
}

bool kl_ladder_lists_master(const struct kl_ladder *ladder)
{
    return kl_conf_is(ladder->section, KL_SET_LIST_MASTER);
}

struct kl_envelope_how kl_ladder_envelope(const struct kl_ladder *ladder)
{
    bool is_xaes = strcmp(kl_conf_text(ladder->section, KL_SET_ENVELOPE), "xaes-256-gcm") == 0;

    return (struct kl_envelope_how){
        .algorithm = is_xaes ? KL_ENVELOPE_XAES_256_GCM : KL_ENVELOPE_AES_256_GCM,
        .engine = kl_ladder_engine(ladder),
    };
}

enum kl_engine kl_ladder_engine(const struct kl_ladder *ladder)
{
    const char *name = kl_conf_text(ladder->section, KL_SET_ENGINE);

    if (strcmp(name, "openssl") == 0) return KL_ENGINE_OPENSSL;
    return strcmp(name, "ipsec-mb") == 0 ? KL_ENGINE_IPSEC_MB : KL_ENGINE_AUTO;
}

enum kl_role kl_ladder_role(const struct kl_ladder *ladder)
{
    return (enum kl_role)ladder->role;
}

uint64_t kl_ladder_mark(struct kl_ladder *ladder)
{
    struct kl_store *store = ladder->store;

    if (!store) store = ladder->parents;
    return store ? kl_store_mark(store) : 0;
}

const char *kl_ladder_store_path(struct kl_ladder *ladder)
{
    return strchr(kl_conf_text(ladder->section, KL_SET_STORE), ':') + 1;
}

static const char *const role_records[] = { [KL_ROLE_USER] = "pin/user", [KL_ROLE_SO] = "pin/so" };

/* Opens the access key and gives the store its key: what a login and a change of PIN have in common. */
static enum kl_rc unlock_by_pin(struct kl_ladder *ladder, enum kl_role role, struct kl_view pin, struct kl_store **store,
                                struct kl_token_record *token, struct kl_secret *access)
{
    KL_AUTO(kl_secret) key = { 0 };
    struct kl_view serial;

    KL_CHECK(role == KL_ROLE_USER || role == KL_ROLE_SO, KL_USER_TYPE);
    KL_TRY(kl_ladder_store(ladder, KL_STORE_EXISTING, store));
    KL_TRY(kl_token_record_read(*store, token));
    serial = kl_view_of(token->serial, KL_SERIAL_LEN);
    KL_TRY(kl_pin_open(*store, role_records[role], serial, pin, access));
    KL_TRY(kl_store_key(access, &key));
    return kl_store_unlock(*store, &key, serial);
}

enum kl_rc kl_ladder_login(struct kl_ladder *ladder, enum kl_role role, struct kl_view pin)
{
    KL_AUTO(kl_secret) access = { 0 };
    struct kl_token_record token;
    struct kl_store *store = NULL;
    const char *environment = kl_conf_text(ladder->section, KL_SET_ENVIRONMENT);

    if (ladder->role != KL_ROLE_NONE) return ladder->role == (int)role ? KL_LOGGED_IN : KL_OTHER_LOGGED_IN;
    KL_TRY(unlock_by_pin(ladder, role, pin, &store, &token, &access));
    if (strcmp(environment, token.environment) != 0) {
        kl_store_lock(store);
        return kl_fail(KL_CONFIG, "token %s belongs to environment \"%s\", the configuration says \"%s\"", kl_ladder_name(ladder),
                       token.environment, environment);
    }
    pthread_mutex_lock(&ladder->lock);
    memcpy(ladder->serial, token.serial, sizeof(ladder->serial));
    memcpy(ladder->environment, token.environment, sizeof(ladder->environment));
    kl_secret_take(&ladder->access, &access);
    ladder->login++;
    ladder->role = (int)role;
    pthread_mutex_unlock(&ladder->lock);
    return KL_OK;
}

/* Not under the lock above: whoever is opening the store with the key of the login that has just ended is waited for. */
static void lock_store(struct kl_ladder *ladder)
{
    struct kl_store *store;

    pthread_mutex_lock(&ladder->opening);
    store = ladder->store;
    pthread_mutex_unlock(&ladder->opening);
    if (store) kl_store_lock(store);
}

enum kl_rc kl_ladder_logout(struct kl_ladder *ladder)
{
    enum kl_rc rc = KL_NOT_LOGGED_IN;

    /* As long as the store has its key. */
    kl_budget_settle(ladder, NULL);
    pthread_mutex_lock(&ladder->lock);
    if (ladder->role != KL_ROLE_NONE) {
        forget(ladder);
        rc = KL_OK;
    }
    pthread_mutex_unlock(&ladder->lock);
    if (rc == KL_OK) lock_store(ladder);
    return rc;
}

/* One transaction that writes the record of a PIN. */
static enum kl_rc write_pin(struct kl_ladder *ladder, struct kl_store *store, enum kl_role role, struct kl_view serial, struct kl_view pin,
                            const struct kl_secret *access)
{
    uint8_t bytes[KL_PIN_RECORD_MAX];
    struct kl_out record = { bytes, sizeof(bytes), 0 };
    struct kl_commit commit;
    struct kl_txn *txn = NULL;
    enum kl_rc rc;

    KL_TRY(kl_pin_seal(ladder, role_records[role], serial, pin, access, &record));
    KL_TRY(kl_store_begin(store, &txn));
    rc = kl_txn_record(txn, role_records[role], kl_view_of(bytes, record.len));
    if (rc != KL_OK) {
        kl_txn_abort(txn);
        return rc;
    }
    KL_TRY(kl_txn_commit(txn, &commit));
    return kl_store_tries_reset(store, role_records[role]);
}

enum kl_rc kl_ladder_pin_init(struct kl_ladder *ladder, struct kl_view user_pin)
{
    KL_AUTO(kl_secret) access = { 0 };
    struct kl_store *store = NULL;

    KL_CHECK(ladder->role == KL_ROLE_SO, KL_NOT_LOGGED_IN);
    KL_TRY(kl_pin_check_length(user_pin));
    KL_TRY(kl_ladder_access(ladder, &access));
    KL_TRY(kl_ladder_store(ladder, KL_STORE_EXISTING, &store));
    return write_pin(ladder, store, KL_ROLE_USER, kl_ladder_serial(ladder), user_pin, &access);
}

enum kl_rc kl_ladder_pin_change(struct kl_ladder *ladder, enum kl_role role, struct kl_view old_pin, struct kl_view new_pin)
{
    KL_AUTO(kl_secret) access = { 0 };
    struct kl_token_record token;
    struct kl_store *store = NULL;
    enum kl_rc rc;

    KL_TRY(kl_pin_check_length(new_pin));
    /* Under a login this gives the store the key that it has already. */
    KL_TRY(unlock_by_pin(ladder, role, old_pin, &store, &token, &access));
    rc = write_pin(ladder, store, role, kl_view_of(token.serial, KL_SERIAL_LEN), new_pin, &access);
    if (ladder->role == KL_ROLE_NONE) kl_store_lock(store);
    return rc;
}
