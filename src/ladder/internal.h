/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the files of this room share and nobody else sees (tests may). */
#ifndef KL_LADDER_INTERNAL_H
#define KL_LADDER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "ladder/envelope.h"
#include "ladder/key.h"
#include "ladder/ladder.h"
#include "root/root.h"

#define KL_SALT_NULL 1 /* CKF_HKDF_SALT_NULL */
#define KL_SALT_DATA 2 /* CKF_HKDF_SALT_DATA */
#define KL_SALT_LEN 32 /* of a salt that the token draws */
#define KL_LADDER_SALT_MAX 255
#define KL_ROOTS_MAX 16

/* --- key.c --- */

/* HKDF-Expand-SHA256 with one label. */
KL_MUST_USE enum kl_rc kl_expand(const struct kl_secret *key, const char *label, uint8_t *out, size_t len);
/* Takes `value` when it succeeds. `commit`: work out the commitment. */
KL_MUST_USE enum kl_rc kl_key_make(struct kl_secret *value, enum kl_level level, uint64_t key_type, bool commit, struct kl_key **out);
/* The bytes of a child (doc/format.md, "Derivation"). */
KL_MUST_USE enum kl_rc kl_derive_value(struct kl_key *parent, const struct kl_request *request, struct kl_secret *out);

/* --- the ladder's own state --- */

struct kl_held;   /* ladder keys in memory, by row id */
struct kl_budget; /* what is reserved under one of them, or under a free key */

struct kl_ladder {
    const struct kl_conf *conf;
    const struct kl_conf_section *section;
    struct kl_root *roots[KL_ROOTS_MAX];
    size_t root_count;
    _Atomic(struct kl_store *) store; /* opened at the first need, then kept */
    struct kl_store *parents;         /* in a forked child: the store that it does not use, but for its mark until it has its own */
    pthread_mutex_t opening;          /* the store is being opened; taken before the other */

    pthread_mutex_t lock;    /* everything below; not held across a KDF, a root or the opening of the store */
    pthread_cond_t opened;   /* is_opening has become false */
    bool is_opening;         /* a thread is asking a root for the master */
    _Atomic int role;        /* enum kl_role */
    _Atomic uint64_t login;  /* one more at every login and logout */
    struct kl_secret access; /* access key, while somebody is logged in */
    char serial[KL_SERIAL_LEN + 1];
    char environment[256];
    struct kl_held *held;
    size_t held_count, held_room;
    const struct kl_root *opened_by; /* the root that gave the master, NULL when none is open */
    int64_t opened_until;            /* kl_clock->steady() */
    struct kl_record master;         /* the current version's record, as of master_mark */
    uint64_t master_mark;
    struct kl_budget *budgets; /* reserved encryptions, by row id */
    size_t budget_count, budget_room;
    pthread_cond_t reserved; /* is_reserving has become false */
    bool is_reserving;       /* a thread is asking the store for a reservation */
    uint64_t reserve_failures;
    enum kl_rc reserve_failure; /* the last one's result */
};

/* The store, opened if need be. KL_TOKEN_UNSET when there is none and it is not to be created. */
KL_MUST_USE enum kl_rc kl_ladder_store(struct kl_ladder *ladder, enum kl_store_mode mode, struct kl_store **out);
struct kl_view kl_ladder_serial(const struct kl_ladder *ladder);
/* A copy of the access key; KL_NOT_LOGGED_IN. */
KL_MUST_USE enum kl_rc kl_ladder_access(struct kl_ladder *ladder, struct kl_secret *out);

/* The token record. KL_TOKEN_UNSET when there is none. */
struct kl_token_record {
    char serial[KL_SERIAL_LEN + 1];
    char label[KL_TOKEN_LABEL_MAX + 1];
    char environment[256];
    int64_t created_at;
};
KL_MUST_USE enum kl_rc kl_token_record_read(struct kl_store *store, struct kl_token_record *out);

/* --- pin.c --- */

/* The access key by a PIN, counting attempts. name: "pin/so" or "pin/user". */
KL_MUST_USE enum kl_rc kl_pin_open(struct kl_store *store, const char *name, struct kl_view serial, struct kl_view pin,
                                   struct kl_secret *access);
/* The record that seals the access key under a new PIN, and its store key. */
#define KL_PIN_RECORD_MAX 160
KL_MUST_USE enum kl_rc kl_pin_seal(struct kl_ladder *ladder, const char *name, struct kl_view serial, struct kl_view pin,
                                   const struct kl_secret *access, struct kl_out *out);
KL_MUST_USE enum kl_rc kl_store_key(const struct kl_secret *access, struct kl_secret *out);
KL_MUST_USE enum kl_rc kl_pin_check_length(struct kl_view pin);

/* --- master.c --- */

/* The key of a master version, from memory or from a root. Counted. */
KL_MUST_USE enum kl_rc kl_master_open(struct kl_ladder *ladder, const struct kl_record *record, struct kl_key **out);
/* Seals a root secret under the access key and every root, as records of the transaction to come. */
struct kl_master_copies {
    struct {
        char name[KL_STORE_RECORD_NAME_MAX];
        uint8_t *value;
        size_t len;
    } items[KL_ROOTS_MAX];
    size_t count;
};
void kl_master_copies_clear(struct kl_master_copies *copies);
KL_MUST_USE enum kl_rc kl_master_seal(struct kl_ladder *ladder, const struct kl_root_context *context, const struct kl_secret *access,
                                      const struct kl_secret *secret, struct kl_master_copies *out);
/* What the seals of a master version are bound to. */
struct kl_root_context kl_master_context(struct kl_view serial, struct kl_view environment, uint32_t version);

/* --- held.c: ladder keys in memory --- */

/* Counted, or NULL. The lock is held by the caller. */
struct kl_key *kl_held_find(struct kl_ladder *ladder, const uint8_t id[KL_ROW_ID_LEN]);
/* Keeps a reference of its own; does nothing when memory is short. The lock is held by the caller. */
void kl_held_add(struct kl_ladder *ladder, const uint8_t id[KL_ROW_ID_LEN], struct kl_key *key);
void kl_held_drop(struct kl_ladder *ladder, const uint8_t id[KL_ROW_ID_LEN]);
void kl_held_drop_all(struct kl_ladder *ladder);

/* --- budget.c --- */

/* Reservations become nobody's. The lock is held by the caller. */
void kl_budget_forget_all(struct kl_ladder *ladder);

/* --- look.c --- */

/* As kl_ladder_open_key, for whoever is logged in: the ladder itself needs parents' keys under the SO too. */
KL_MUST_USE enum kl_rc kl_open_any(struct kl_ladder *ladder, const struct kl_record *record, struct kl_key **out);
/* The key that a record is sealed under. Counted. */
KL_MUST_USE enum kl_rc kl_open_parent(struct kl_ladder *ladder, const struct kl_record *record, struct kl_key **out);
/* Keeps an opened ladder key, unless somebody has logged in or out since `login`. */
void kl_hold(struct kl_ladder *ladder, const uint8_t id[KL_ROW_ID_LEN], struct kl_key *key, uint64_t login);
/* The current master's record. */
KL_MUST_USE enum kl_rc kl_current_master(struct kl_ladder *ladder, struct kl_record *out);
/* KL_LABEL_TAKEN when a record that `fits` has the label. */
KL_MUST_USE enum kl_rc kl_check_label_free(struct kl_ladder *ladder, struct kl_view label, bool (*fits)(const struct kl_record *));
bool kl_is_ladder_key(const struct kl_record *record);
bool kl_is_secret_key(const struct kl_record *record);

/* --- seal.c: rows and their parents' keys --- */

/* Fills record->sealed (into `room`, freed by the caller) for the record's other fields, as generation record->generation. */
KL_MUST_USE enum kl_rc kl_seal_value(struct kl_view serial, const struct kl_key *parent, struct kl_record *record, struct kl_view value,
                                     uint8_t **room);
/* The value under the parent's record subkey. KL_INTEGRITY. An empty value gives an empty secret. */
KL_MUST_USE enum kl_rc kl_open_value(struct kl_view serial, const struct kl_key *parent, const struct kl_record *record,
                                     struct kl_secret *value);

#endif
