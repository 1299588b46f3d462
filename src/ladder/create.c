/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* C_InitToken: a new token in an empty store, or in place of one that is set aside first. */
#include "ladder/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "crypto/lib.h"
#include "crypto/random.h"

/* All that a new token is made of. */
struct birth {
    char serial[KL_SERIAL_LEN + 1];
    struct kl_view label;
    struct kl_view environment;
    struct kl_secret access;
    struct kl_secret store_key;
    struct kl_key *master;
    struct kl_record record;
    uint8_t *sealed;
    struct kl_master_copies copies;
    uint8_t pin[KL_PIN_RECORD_MAX];
    size_t pin_len;
};

static void birth_clear(struct birth *birth)
{
    kl_secret_clear(&birth->access);
    kl_secret_clear(&birth->store_key);
    kl_key_put(birth->master);
    kl_master_copies_clear(&birth->copies);
    free(birth->sealed);
}

static enum kl_rc make_serial(char out[KL_SERIAL_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t bytes[KL_SERIAL_LEN / 2];

    KL_TRY(kl_random_fill(bytes, sizeof(bytes)));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[KL_SERIAL_LEN] = '\0';
    return KL_OK;
}

static enum kl_rc make_master_record(struct birth *birth)
{
    struct kl_record *record = &birth->record;

    *record = (struct kl_record){
        .generation = 1,
        .level = KL_LEVEL_MASTER,
        .state = KL_STATE_ACTIVE,
        .version = 1,
        .is_active = true,
        .has_commitment = true,
        .class = KL_CLASS_SECRET_KEY,
        .key_type = KL_TYPE_HKDF,
        .value_len = KL_LADDER_KEY_LEN,
        .flags = KL_FLAG_PRIVATE | KL_FLAG_SENSITIVE | KL_FLAG_ALWAYS_SENSITIVE | KL_FLAG_NEVER_EXTRACTABLE | KL_FLAG_LOCAL |
                 KL_FLAG_DERIVE | KL_FLAG_GENERATED,
        .mechanism = KL_NO_MECHANISM,
        .created_at = kl_clock->wall(),
        .label = kl_view_text("master"),
    };
    KL_TRY(kl_random_uuid(record->id));
    record->key_id = kl_view_of(record->id, KL_ROW_ID_LEN);
    memcpy(record->commitment, kl_key_commitment(birth->master).data, KL_COMMITMENT_LEN);
    return kl_seal_value(kl_view_text(birth->serial), birth->master, record, (struct kl_view){ NULL, 0 }, &birth->sealed);
}

/* Everything that can fail outside the store, the roots' calls included, before the store is touched. */
static enum kl_rc conceive(struct kl_ladder *ladder, struct kl_view so_pin, struct birth *birth)
{
    struct kl_out pin = { birth->pin, sizeof(birth->pin), 0 };
    KL_AUTO(kl_secret) secret = { 0 };
    KL_AUTO(kl_secret) value = { 0 };
    struct kl_root_context context;

    KL_TRY(make_serial(birth->serial));
    birth->environment = kl_view_text(kl_conf_text(ladder->section, KL_SET_ENVIRONMENT));
    context = kl_master_context(kl_view_text(birth->serial), birth->environment, 1);
    KL_TRY(kl_random_secret(&birth->access, 32));
    KL_TRY(kl_store_key(&birth->access, &birth->store_key));
    KL_TRY(kl_random_secret(&secret, KL_LADDER_KEY_LEN));
    KL_TRY(kl_master_seal(ladder, &context, &birth->access, &secret, &birth->copies));
    KL_TRY(kl_secret_dup(&value, &secret));
    KL_TRY(kl_key_make(&value, KL_LEVEL_MASTER, KL_TYPE_HKDF, true, &birth->master));
    KL_TRY(make_master_record(birth));
    KL_TRY(kl_pin_seal(ladder, "pin/so", kl_view_text(birth->serial), so_pin, &birth->access, &pin));
    birth->pin_len = pin.len;
    return KL_OK;
}

static enum kl_rc write_token_record(struct kl_txn *txn, const struct birth *birth)
{
    uint8_t bytes[512];
    struct kl_writer writer = { bytes, sizeof(bytes), 0 };

    kl_write_u8(&writer, 1);
    kl_write_bytes(&writer, kl_view_text(birth->serial));
    kl_write_bytes(&writer, birth->label);
    kl_write_bytes(&writer, birth->environment);
    kl_write_u64(&writer, (uint64_t)birth->record.created_at);
    KL_CHECK(kl_writer_is_whole(&writer), KL_CONFIG);
    return kl_txn_record(txn, "token", kl_view_of(bytes, writer.len));
}

static enum kl_rc write_all(struct kl_txn *txn, const struct birth *birth, bool again)
{
    KL_AUTO(kl_row_room) room = { 0 };
    struct kl_row row;

    if (again) {
        KL_TRY(kl_txn_empty(txn));
        KL_TRY(kl_txn_rekey(txn, &birth->store_key, kl_view_text(birth->serial)));
    }
    KL_TRY(write_token_record(txn, birth));
    KL_TRY(kl_txn_record(txn, "pin/so", kl_view_of(birth->pin, birth->pin_len)));
    for (size_t i = 0; i < birth->copies.count; i++) {
        KL_TRY(kl_txn_record(txn, birth->copies.items[i].name, kl_view_of(birth->copies.items[i].value, birth->copies.items[i].len)));
    }
    KL_TRY(kl_record_write(&birth->record, &room, &row));
    return kl_txn_add(txn, &row);
}

/* The right PIN, and a whole copy beside the store, before a token that exists is replaced. */
static enum kl_rc set_aside(struct kl_ladder *ladder, struct kl_store *store, const struct kl_token_record *old, struct kl_view so_pin)
{
    char path[4096];
    KL_AUTO(kl_secret) access = { 0 };
    KL_AUTO(kl_secret) key = { 0 };
    struct kl_view serial = kl_view_of(old->serial, KL_SERIAL_LEN);

    KL_TRY(kl_pin_open(store, "pin/so", serial, so_pin, &access));
    KL_TRY(kl_store_key(&access, &key));
    KL_TRY(kl_store_unlock(store, &key, serial));
    KL_TRY(kl_store_set_aside(store, path, sizeof(path)));
    kl_log(KL_LOG_NOTICE, "token %s (%s) is made anew; what it was lies in %s", kl_ladder_name(ladder), old->serial, path);
    return KL_OK;
}

static enum kl_rc bear(struct kl_store *store, const struct birth *birth, bool again)
{
    struct kl_commit commit;
    struct kl_txn *txn = NULL;
    enum kl_rc rc;

    if (!again) KL_TRY(kl_store_unlock(store, &birth->store_key, kl_view_text(birth->serial)));
    KL_TRY(kl_store_begin(store, &txn));
    rc = write_all(txn, birth, again);
    if (rc != KL_OK) {
        kl_txn_abort(txn);
        return rc;
    }
    return kl_txn_commit(txn, &commit);
}

static bool is_utf8(struct kl_view text)
{
    char escaped[8 * KL_TOKEN_LABEL_MAX + 1];

    /* Escaping leaves UTF-8 without control characters as it is. */
    return kl_view_is(kl_view_text(kl_log_escape(text, escaped, sizeof(escaped))), text);
}

enum kl_rc kl_ladder_create(struct kl_ladder *ladder, struct kl_view label, struct kl_view so_pin)
{
    __attribute__((cleanup(birth_clear))) struct birth birth = { 0 };
    struct kl_token_record old;
    struct kl_store *store = NULL;
    bool again;
    enum kl_rc rc;

    while (label.len && label.data[label.len - 1] == ' ') label.len--;
    if (label.len < 1 || label.len > KL_TOKEN_LABEL_MAX || !is_utf8(label))
        return kl_fail(KL_ARG, "a token's label is 1 to %d bytes of UTF-8", KL_TOKEN_LABEL_MAX);
    KL_TRY(kl_pin_check_length(so_pin));
    KL_CHECK(ladder->role == KL_ROLE_NONE, KL_SESSION_EXISTS);
    KL_TRY(kl_crypto_open());
    birth.label = label;
    KL_TRY(kl_ladder_store(ladder, KL_STORE_CREATE, &store));
    rc = kl_token_record_read(store, &old);
    again = rc == KL_OK;
    if (!again && rc != KL_TOKEN_UNSET) return rc;
    rc = again ? set_aside(ladder, store, &old, so_pin) : KL_OK;
    if (rc == KL_OK) rc = conceive(ladder, so_pin, &birth);
    if (rc == KL_OK) rc = bear(store, &birth, again);
    kl_store_lock(store);
    return rc;
}
