/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A row of the store in the ladder's own terms: one version of a key, or a data object. Immutable once read. */
#ifndef KL_LADDER_RECORD_H
#define KL_LADDER_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/rc.h"
#include "ladder/level.h"
#include "store/row.h"

/* The numbers are those of PKCS#11, which src/token asserts. */
enum { KL_CLASS_DATA = 0, KL_CLASS_SECRET_KEY = 4 };
enum {
    KL_TYPE_GENERIC = 0x10,
    KL_TYPE_AES = 0x1f,
    KL_TYPE_SHA256_HMAC = 0x2b,
    KL_TYPE_SHA384_HMAC = 0x2c,
    KL_TYPE_SHA512_HMAC = 0x2d,
    KL_TYPE_CHACHA20 = 0x33,
    KL_TYPE_HKDF = 0x42
};

#define KL_COMMITMENT_LEN 16
#define KL_LADDER_KEY_LEN 32
#define KL_LADDER_LABEL_MAX 255
#define KL_LADDER_INFO_MAX 1024
#define KL_VALUE_MAX 4096          /* bytes of a free key */
#define KL_DATA_MAX (64 * 1024)    /* bytes of a data object */
#define KL_NO_MECHANISM UINT64_MAX /* CK_UNAVAILABLE_INFORMATION */

/* Boolean attributes, stored as bits (doc/format.md, "Rows"). */
enum kl_flag {
    KL_FLAG_PRIVATE = 1 << 0,
    KL_FLAG_MODIFIABLE = 1 << 1,
    KL_FLAG_COPYABLE = 1 << 2,
    KL_FLAG_DESTROYABLE = 1 << 3,
    KL_FLAG_SENSITIVE = 1 << 4,
    KL_FLAG_EXTRACTABLE = 1 << 5,
    KL_FLAG_ALWAYS_SENSITIVE = 1 << 6,
    KL_FLAG_NEVER_EXTRACTABLE = 1 << 7,
    KL_FLAG_LOCAL = 1 << 8,
    KL_FLAG_ENCRYPT = 1 << 9,
    KL_FLAG_DECRYPT = 1 << 10,
    KL_FLAG_SIGN = 1 << 11,
    KL_FLAG_VERIFY = 1 << 12,
    KL_FLAG_WRAP = 1 << 13,
    KL_FLAG_UNWRAP = 1 << 14,
    KL_FLAG_DERIVE = 1 << 15,
    KL_FLAG_WRAP_WITH_TRUSTED = 1 << 16,
    KL_FLAG_TRUSTED = 1 << 17,
    KL_FLAG_GENERATED =
        1 << 18 /* its bytes were drawn here, and derive nothing but by the ladder: it has a commitment, may make envelopes */
};

/* Attributes that few objects have. `type` is the PKCS#11 number or one of ours below. Ascending, none twice. */
struct kl_extra {
    uint64_t type;
    struct kl_view value;
};
#define KL_EXTRA_SALT_TYPE 0xCB4C0101u
#define KL_EXTRA_SALT 0xCB4C0102u
#define KL_EXTRA_INFO 0xCB4C0103u
#define KL_EXTRA_FAMILY 0xCB4C0104u /* one byte: the mechanisms that a key is bound to by its first use (policy = strict) */
#define KL_EXTRAS_MAX 32

struct kl_record {
    uint8_t id[KL_ROW_ID_LEN];
    uint8_t parent[KL_ROW_ID_LEN];
    uint64_t generation;
    enum kl_level level;
    enum kl_state state;
    uint32_t version;
    bool is_active;
    bool has_commitment;
    uint8_t commitment[KL_COMMITMENT_LEN];
    uint64_t class;
    uint64_t key_type;
    uint32_t value_len;
    uint32_t flags;     /* enum kl_flag */
    uint64_t mechanism; /* CKA_KEY_GEN_MECHANISM, or KL_NO_MECHANISM */
    int64_t created_at;
    int64_t expires_at;
    uint8_t start_date[8]; /* ASCII YYYYMMDD, or zeroes */
    uint8_t end_date[8];
    struct kl_view label;
    struct kl_view key_id;
    struct kl_view sealed;
    const struct kl_extra *extras;
    size_t extra_count;
    void *memory; /* one block that the views point into; NULL where they are borrowed */
};

/* A deep copy in one block. `from` may borrow. KL_MEMORY. */
KL_MUST_USE enum kl_rc kl_record_dup(struct kl_record *copy, const struct kl_record *from);
/* Reads a row; deep. KL_INTEGRITY when it is not what kl_record_write makes. */
KL_MUST_USE enum kl_rc kl_record_read(struct kl_record *record, const struct kl_row *row);
void kl_record_clear(struct kl_record *record);
/* Moves: `to` must be empty, `from` is empty afterwards. */
void kl_record_take(struct kl_record *to, struct kl_record *from);
/* The value of an extra attribute; data == NULL when the record has none (an empty value has data != NULL). */
struct kl_view kl_record_extra(const struct kl_record *record, uint64_t type);
static inline bool kl_record_has(const struct kl_record *record, uint32_t flags)
{
    return (record->flags & flags) == flags;
}

/* Room for the parts of a row that are encoded; kl_row_room_clear after the row has been used. */
struct kl_row_room {
    uint8_t *metadata;
    char algorithm[32];
};
/* The row that stands for a record, borrowing from record and room. `encrypted_key` is record->sealed. */
KL_MUST_USE enum kl_rc kl_record_write(const struct kl_record *record, struct kl_row_room *room, struct kl_row *row);
void kl_row_room_clear(struct kl_row_room *room);

#endif
