/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * One token: its store, its roots, its PINs, and the keys on it. Any thread may
 * call; no lock is held across a root provider's call or a passphrase's KDF.
 */
#ifndef KL_LADDER_LADDER_H
#define KL_LADDER_LADDER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/conf.h"
#include "base/rc.h"
#include "base/secret.h"
#include "ladder/envelope.h"
#include "ladder/key.h"
#include "ladder/record.h"
#include "store/store.h"

#define KL_TOKEN_LABEL_MAX 32
#define KL_SERIAL_LEN 16
#define KL_PIN_MIN 4
#define KL_PIN_MAX 255
#define KL_PIN_TRIES 10

struct kl_ladder;

/* Who is logged in. */
enum kl_role { KL_ROLE_NONE, KL_ROLE_USER, KL_ROLE_SO };

/* From a [token] section; `conf` must outlive the ladder. Reads settings only: no file but the configuration is touched. */
KL_MUST_USE enum kl_rc kl_ladder_new(const struct kl_conf *conf, const struct kl_conf_section *section, struct kl_ladder **out);
/* NULL is allowed. Nobody may be in a call. */
void kl_ladder_free(struct kl_ladder *ladder);
/* In a forked child, instead of free. */
void kl_ladder_abandon(struct kl_ladder *ladder);
/*
 * In a forked child that goes on with its parent's keys: abandons the connection to the store, which is opened anew at the
 * first need, and the login too where the parent was about to end it. kl_ladder_lock was held at the fork and is free by now.
 */
void kl_ladder_inherit(struct kl_ladder *ladder, bool with_login);
/* For who forks (base/fork.h). */
pthread_mutex_t *kl_ladder_lock(struct kl_ladder *ladder);
const char *kl_ladder_name(const struct kl_ladder *ladder);
/* Setting `list_master`: whether a search that does not name the master shows it. */
bool kl_ladder_lists_master(const struct kl_ladder *ladder);
/* Settings `envelope` and `engine`: how the token's envelopes are to be sealed; without a pool. */
struct kl_envelope_how kl_ladder_envelope(const struct kl_ladder *ladder);
/* Setting `engine`: who encrypts under the token's keys. */
enum kl_engine kl_ladder_engine(const struct kl_ladder *ladder);

/* What may be known without login. */
struct kl_token_facts {
    bool is_initialised;
    bool is_read_only;
    bool user_pin_is_set;
    uint32_t so_tries; /* wrong PINs in a row */
    uint32_t user_tries;
    char label[KL_TOKEN_LABEL_MAX + 1];
    char serial[KL_SERIAL_LEN + 1];
    char environment[256];
    int64_t created_at;
};
/* A store that does not exist yet is not a failure: is_initialised is false. */
KL_MUST_USE enum kl_rc kl_ladder_facts(struct kl_ladder *ladder, struct kl_token_facts *out);

/* --- life of the token and its PINs --- */

/*
 * C_InitToken: makes the token with `label` (1 to 32 bytes UTF-8; trailing spaces dropped) and the SO PIN, seals a new
 * root secret under every configured root, and makes the master's version 1. On a token that exists the PIN must be
 * its SO PIN, and the old store is set aside as a whole first. Nobody may be logged in. KL_PIN_WRONG, KL_PIN_LENGTH, KL_PIN_LOCKED, KL_ROOT_…, KL_STORE….
 */
KL_MUST_USE enum kl_rc kl_ladder_create(struct kl_ladder *ladder, struct kl_view label, struct kl_view so_pin);
/* KL_PIN_WRONG, KL_PIN_LOCKED, KL_PIN_UNSET, KL_LOGGED_IN, KL_OTHER_LOGGED_IN, KL_TOKEN_UNSET, KL_INTEGRITY. */
KL_MUST_USE enum kl_rc kl_ladder_login(struct kl_ladder *ladder, enum kl_role role, struct kl_view pin);
/* Forgets access key, root and keys. KL_NOT_LOGGED_IN. */
KL_MUST_USE enum kl_rc kl_ladder_logout(struct kl_ladder *ladder);
enum kl_role kl_ladder_role(const struct kl_ladder *ladder);
/* SO logged in: sets the user's PIN and unlocks the user. */
KL_MUST_USE enum kl_rc kl_ladder_pin_init(struct kl_ladder *ladder, struct kl_view user_pin);
/* With the old PIN; nobody need be logged in. KL_PIN_WRONG counts. */
KL_MUST_USE enum kl_rc kl_ladder_pin_change(struct kl_ladder *ladder, enum kl_role role, struct kl_view old_pin, struct kl_view new_pin);

/* --- looking --- */

/* kl_store_mark of the store; 0 while it is not open. */
uint64_t kl_ladder_mark(struct kl_ladder *ladder);

/* Records and their memory; { 0 } to begin with. */
struct kl_records {
    struct kl_record *items;
    size_t count;
};
void kl_records_clear(struct kl_records *records);
/* The next page, as kl_store_read. Nobody logged in: only BY_PUBLIC. */
KL_MUST_USE enum kl_rc kl_ladder_read(struct kl_ladder *ladder, const struct kl_query *query, struct kl_cursor *cursor,
                                      struct kl_records *out);
/* One by its id. KL_NOT_FOUND. `label` as in struct kl_query. */
KL_MUST_USE enum kl_rc kl_ladder_get(struct kl_ladder *ladder, const uint8_t id[KL_ROW_ID_LEN], struct kl_view label,
                                     struct kl_record *out);
/* The current version of a ladder key by its label ("master", "users", "users.email"), or a path as people write it ("users/email" is the label "users.email"). KL_NOT_FOUND. */
KL_MUST_USE enum kl_rc kl_ladder_find(struct kl_ladder *ladder, struct kl_view label, struct kl_record *out);

/* --- keys --- */

/*
 * The key of a record, opened under its parents (the root, if need be). A user must be logged in, except that the SO
 * may have the ladder open parents for its own changes. KL_NOT_LOGGED_IN, KL_INTEGRITY, KL_ROOT_….
 */
KL_MUST_USE enum kl_rc kl_ladder_open_key(struct kl_ladder *ladder, const struct kl_record *record, struct kl_key **out);
/* Forgets an opened ladder key, NULL: all of them, so that the next use asks a root again. Nobody need be logged in. */
void kl_ladder_evict(struct kl_ladder *ladder, const uint8_t *id);
/* The value of a private data object. */
KL_MUST_USE enum kl_rc kl_ladder_open_data(struct kl_ladder *ladder, const struct kl_record *record, struct kl_secret *out);

/*
 * Grows the ladder by a token key under `parent`; the record that came of it to *out, and what the commit did. The label
 * is required, UTF-8 without '#', 1 to 255 bytes, and free: KL_TEMPLATE_INCOMPLETE, KL_ATTR_VALUE, KL_LABEL_TAKEN.
 */
KL_MUST_USE enum kl_rc kl_ladder_derive(struct kl_ladder *ladder, const struct kl_record *parent, const struct kl_request *request,
                                        struct kl_record *out, struct kl_key **key, struct kl_commit *commit);
/*
 * Stores a free key or data object. `draft` has everything but id, parent, generation, sealed, commitment, state, version and created_at,
 * which are filled in. `value`: the bytes of the key or of private data (a public data object has them as CKA_VALUE among its extras and no value).
 */
KL_MUST_USE enum kl_rc kl_ladder_add(struct kl_ladder *ladder, const struct kl_record *draft, const struct kl_secret *value,
                                     struct kl_record *out, struct kl_commit *commit);
/* Changes attributes: `changed` is the record as read, with new label, key_id, flags, dates or extras. KL_CONFLICT, KL_LABEL_TAKEN. */
KL_MUST_USE enum kl_rc kl_ladder_change(struct kl_ladder *ladder, const struct kl_record *changed, struct kl_record *out,
                                        struct kl_commit *commit);
/* The same for a data object that gets another value as well; empty for a public one, whose value is among its extras. */
KL_MUST_USE enum kl_rc kl_ladder_change_data(struct kl_ladder *ladder, const struct kl_record *changed, const struct kl_secret *value,
                                             struct kl_record *out, struct kl_commit *commit);
/* Removes a free key or data object for good. Ladder keys: KL_PROHIBITED. */
KL_MUST_USE enum kl_rc kl_ladder_remove(struct kl_ladder *ladder, const struct kl_record *record, struct kl_commit *commit);
/*
 * CKM_KL_ROOT_WRAP: 8 to 64 bytes, a multiple of 8, by the preferred root that can be reached, under a purpose that opens none of the token's own
 * seals. out has kl_ladder_root_room bytes of room. KL_DATA_LENGTH, KL_ROOT_…. No lock may be held but a session's.
 */
#define KL_ROOT_WRAP_MAX 64
size_t kl_ladder_root_room(const struct kl_ladder *ladder);
KL_MUST_USE enum kl_rc kl_ladder_root_wrap(struct kl_ladder *ladder, struct kl_view plain, struct kl_out *out);
/* KL_CIPHERTEXT for what no root of this token has wrapped so. */
KL_MUST_USE enum kl_rc kl_ladder_root_unwrap(struct kl_ladder *ladder, struct kl_view blob, struct kl_secret *plain);
/* Is a ladder key of this label alive? Session keys may not take one either. */
KL_MUST_USE enum kl_rc kl_ladder_check_label(struct kl_ladder *ladder, struct kl_view label);

/* --- for the tool --- */

/* How the master is held, one text per root: "local: open until 20:11:04Z" … ; `say` is called for each. */
struct kl_root_status {
    const char *name;
    const char *type;
    bool has_copy;      /* a sealed copy of the current master version lies in the store */
    bool is_open;       /* it is the one that opened the root in this process */
    int64_t expires_in; /* seconds until the opened root is asked for again */
};
KL_MUST_USE enum kl_rc kl_ladder_roots(struct kl_ladder *ladder, void (*say)(void *user, const struct kl_root_status *status), void *user);
/* Tries one root for real: unwraps its sealed copy and compares; words say how it went. */
KL_MUST_USE enum kl_rc kl_ladder_test_root(struct kl_ladder *ladder, const char *name, char *words, size_t cap);
/* kl_store_check, plus: every row opens under its parent, every commitment fits. */
KL_MUST_USE enum kl_rc kl_ladder_verify(struct kl_ladder *ladder, void (*say)(void *user, const char *words), void *user,
                                        struct kl_store_report *report);
const char *kl_ladder_store_path(struct kl_ladder *ladder);

#endif
