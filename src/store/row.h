/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* One row of the store: one version of a key, or one data object (doc/format.md, "Rows"). */
#ifndef KL_STORE_ROW_H
#define KL_STORE_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/rc.h"

#define KL_ROW_ID_LEN 16
#define KL_ROW_DIGEST_LEN 32
#define KL_ROW_LABEL_MAX 1024
#define KL_ROW_KEY_ID_MAX 1024
#define KL_ROW_SEALED_MAX (64 * 1024 + 64)
#define KL_ROW_METADATA_MAX (128 * 1024)

/*
 * Columns of encryption_keys. Views are borrowed: from the page that was read,
 * or from whoever fills a row to write it.
 */
struct kl_row {
    uint8_t id[KL_ROW_ID_LEN];     /* UUID of this version */
    uint8_t parent[KL_ROW_ID_LEN]; /* id of the version it is sealed under; zero for the master */
    uint64_t generation;           /* 1 when new, one more at every change */
    struct kl_view key_type;       /* "master", "dek", "fek", "free", "data" */
    struct kl_view key_id;         /* CKA_ID */
    struct kl_view encrypted_key;  /* nonce, ciphertext, tag */
    struct kl_view key_hash;       /* commitment, 16 bytes; empty for imported keys and data */
    struct kl_view algorithm;      /* "AES-256" and the like, for people */
    int64_t created_at;            /* seconds since 1970 */
    int64_t expires_at;            /* 0: never */
    bool is_active;                /* the current version */
    uint32_t rotation_count;       /* version number less one */
    uint32_t state;                /* enum kl_state of the ladder */
    bool is_public;                /* may be seen without login */
    struct kl_view label;          /* CKA_LABEL */
    struct kl_view metadata;       /* the other attributes, encoded by the ladder */
};

/* The canonical encoding of every column but encrypted_key: what the sealing binds as AAD. */
void kl_row_encode(const struct kl_row *row, struct kl_view serial, struct kl_writer *writer);
/* SHA-256 over that and encrypted_key. */
KL_MUST_USE enum kl_rc kl_row_digest(const struct kl_row *row, struct kl_view serial, uint8_t digest[KL_ROW_DIGEST_LEN]);

#endif
