/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The access key under a PIN (doc/format.md, "Token records"), and the counting of wrong ones. */
#include "ladder/internal.h"

#include <string.h>

#include "base/log.h"
#include "crypto/lib.h"
#include "crypto/passphrase.h"
#include "crypto/random.h"

#define FORMAT 1
#define NONCE_LEN 12
#define TAG_LEN 16
#define ACCESS_LEN 32
#define PARAMS_LEN (1 + 1 + 4 + 4 + KL_KDF_SALT_LEN)
#define RECORD_LEN (PARAMS_LEN + NONCE_LEN + ACCESS_LEN + TAG_LEN)

enum kl_rc kl_store_key(const struct kl_secret *access, struct kl_secret *out)
{
    KL_AUTO(kl_secret) key = { 0 };

    KL_TRY(kl_secret_new(&key, 32));
    KL_TRY(kl_expand(access, "keyladder/1/store", key.data, key.len));
    kl_secret_take(out, &key);
    return KL_OK;
}

enum kl_rc kl_pin_check_length(struct kl_view pin)
{
    if (pin.len >= KL_PIN_MIN && pin.len <= KL_PIN_MAX) return KL_OK;
    return kl_fail(KL_PIN_LENGTH, "a PIN has %d to %d bytes", KL_PIN_MIN, KL_PIN_MAX);
}

static void write_params(struct kl_writer *writer, const struct kl_kdf_params *params)
{
    kl_write_u8(writer, FORMAT);
    kl_write_u8(writer, (uint8_t)params->kdf);
    kl_write_u32(writer, params->passes);
    kl_write_u32(writer, params->memory);
    kl_write_raw(writer, kl_view_of(params->salt, KL_KDF_SALT_LEN));
}

/* What the sealing binds: whose PIN, of which token, made how. */
static void write_aad(struct kl_writer *writer, const char *name, struct kl_view serial, struct kl_view params)
{
    kl_write_raw(writer, kl_view_text("keyladder/1/pin"));
    kl_write_bytes(writer, serial);
    kl_write_bytes(writer, kl_view_text(name));
    kl_write_raw(writer, params);
}

static enum kl_rc pin_aead(const struct kl_kdf_params *params, struct kl_view pin, struct kl_aead **out)
{
    KL_AUTO(kl_secret) key = { 0 };

    KL_TRY(kl_kdf_derive(params, pin, &key));
    return kl_aead_new(KL_AEAD_AES_GCM, kl_secret_view(&key), out);
}

enum kl_rc kl_pin_seal(struct kl_ladder *ladder, const char *name, struct kl_view serial, struct kl_view pin,
                       const struct kl_secret *access, struct kl_out *out)
{
    uint8_t aad_bytes[128];
    struct kl_writer aad = { aad_bytes, sizeof(aad_bytes), 0 };
    struct kl_writer record = { out->data, out->cap, 0 };
    struct kl_aead_params params = { .tag_len = TAG_LEN };
    struct kl_kdf_params kdf;
    struct kl_aead *aead = NULL;
    uint8_t *nonce = out->data + PARAMS_LEN;
    enum kl_rc rc;

    KL_CHECK(out->cap >= RECORD_LEN && access->len == ACCESS_LEN, KL_ARG);
    KL_TRY(kl_kdf_params_for(pin, (uint64_t)kl_conf_number(ladder->section, KL_SET_PIN_MEMORY), &kdf));
    write_params(&record, &kdf);
    write_aad(&aad, name, serial, kl_view_of(out->data, PARAMS_LEN));
    KL_CHECK(kl_writer_is_whole(&aad), KL_ARG);
    KL_TRY(kl_random_fill(nonce, NONCE_LEN));
    KL_TRY(pin_aead(&kdf, pin, &aead));
    params.iv = kl_view_of(nonce, NONCE_LEN);
    params.aad = kl_view_of(aad_bytes, aad.len);
    rc = kl_aead_seal(aead, &params, kl_secret_view(access), nonce + NONCE_LEN, nonce + NONCE_LEN + ACCESS_LEN);
    kl_aead_free(aead);
    out->len = RECORD_LEN;
    return rc;
}

/* The record as it lies in the store, taken apart. */
struct pin_record {
    uint8_t bytes[RECORD_LEN];
    struct kl_kdf_params kdf;
};

static enum kl_rc read_record(struct kl_store *store, const char *name, struct pin_record *record)
{
    struct kl_out room = { record->bytes, sizeof(record->bytes), 0 };
    struct kl_reader reader;
    enum kl_rc rc = kl_store_record(store, name, &room);

    if (rc == KL_NOT_FOUND) return KL_PIN_UNSET;
    if (rc == KL_BUFFER) return kl_fail(KL_INTEGRITY, "the record %s is too long", name);
    if (rc != KL_OK) return rc;
    KL_CHECK(room.len == RECORD_LEN, KL_INTEGRITY);
    reader = kl_reader_of(kl_view_of(record->bytes, PARAMS_LEN));
    KL_CHECK(kl_read_u8(&reader) == FORMAT, KL_INTEGRITY);
    record->kdf.kdf = (enum kl_kdf)kl_read_u8(&reader);
    record->kdf.passes = kl_read_u32(&reader);
    record->kdf.memory = kl_read_u32(&reader);
    kl_read_raw(&reader, record->kdf.salt, KL_KDF_SALT_LEN);
    return KL_OK;
}

/* KL_PIN_WRONG when the PIN does not open the record. */
static enum kl_rc try_pin(const struct pin_record *record, const char *name, struct kl_view serial, struct kl_view pin,
                          struct kl_secret *access)
{
    uint8_t aad_bytes[128];
    struct kl_writer aad = { aad_bytes, sizeof(aad_bytes), 0 };
    const uint8_t *nonce = record->bytes + PARAMS_LEN;
    struct kl_aead_params params = { .iv = { nonce, NONCE_LEN }, .tag_len = TAG_LEN };
    KL_AUTO(kl_secret) opened = { 0 };
    struct kl_aead *aead = NULL;
    enum kl_rc rc;

    if (record->kdf.kdf == KL_KDF_HKDF) {
        bool is_generated;

        KL_TRY(kl_pin_recognize(pin, &is_generated));
        if (!is_generated) return KL_PIN_WRONG;
    }
    write_aad(&aad, name, serial, kl_view_of(record->bytes, PARAMS_LEN));
    params.aad = kl_view_of(aad_bytes, aad.len);
    KL_TRY(pin_aead(&record->kdf, pin, &aead));
    rc = kl_secret_new(&opened, ACCESS_LEN);
    if (rc == KL_OK)
        rc = kl_aead_open(aead, &params, kl_view_of(nonce + NONCE_LEN, ACCESS_LEN), nonce + NONCE_LEN + ACCESS_LEN, opened.data);
    kl_aead_free(aead);
    if (rc == KL_CIPHERTEXT) return KL_PIN_WRONG;
    if (rc != KL_OK) return rc;
    kl_secret_take(access, &opened);
    return KL_OK;
}

static enum kl_rc locked(const char *name)
{
    return kl_fail(KL_PIN_LOCKED, "%s is locked after %d wrong PINs%s", name, KL_PIN_TRIES,
                   strcmp(name, "pin/user") == 0 ? "; the security officer sets a new one with C_InitPIN or keyladder pin init"
                                                 : "; restore the token from a backup");
}

/*
 * A made-up PIN: the attempt is counted before it is tried, so that no number of processes can guess more often. A broken
 * OpenSSL is found before that: it must not use attempts up.
 */
static enum kl_rc open_counted(const struct pin_record *record, struct kl_store *store, const char *name, struct kl_view serial,
                               struct kl_view pin, struct kl_secret *access)
{
    uint32_t used = 0;
    enum kl_rc rc;

    KL_TRY(kl_crypto_open());
    rc = kl_store_tries_take(store, name, KL_PIN_TRIES, &used);
    if (rc == KL_PIN_LOCKED) return locked(name);
    if (rc == KL_STORE_READ_ONLY)
        return kl_fail(
            rc,
            "%s, and every try of a PIN is counted there: make it writable, or give it a generated PIN (keyladder pin generate), which need not be counted",
            kl_fail_words());
    if (rc != KL_OK) return rc;
    rc = try_pin(record, name, serial, pin, access);
    if (rc == KL_PIN_WRONG)
        return kl_fail(KL_PIN_WRONG, "wrong PIN for %s, %u of %d attempts are left", name, (unsigned)(KL_PIN_TRIES - used), KL_PIN_TRIES);
    KL_TRY(rc);
    return kl_store_tries_reset(store, name);
}

/* A generated PIN cannot be guessed: only failures are counted, and a right one costs no write. */
static enum kl_rc open_generated(const struct pin_record *record, struct kl_store *store, const char *name, struct kl_view serial,
                                 struct kl_view pin, struct kl_secret *access)
{
    uint32_t used = 0;
    enum kl_rc rc;

    KL_TRY(kl_store_tries(store, name, &used));
    if (used >= KL_PIN_TRIES) return locked(name);
    rc = try_pin(record, name, serial, pin, access);
    if (rc == KL_PIN_WRONG) {
        rc = kl_store_tries_take(store, name, KL_PIN_TRIES, &used);
        if (rc == KL_PIN_LOCKED) return locked(name);
        if (rc != KL_OK) return rc;
        return kl_fail(KL_PIN_WRONG, "wrong PIN for %s, %u of %d attempts are left", name, (unsigned)(KL_PIN_TRIES - used), KL_PIN_TRIES);
    }
    if (rc == KL_OK && used > 0) return kl_store_tries_reset(store, name);
    return rc;
}

enum kl_rc kl_pin_open(struct kl_store *store, const char *name, struct kl_view serial, struct kl_view pin, struct kl_secret *access)
{
    struct pin_record record;
    enum kl_rc rc;

    KL_TRY(read_record(store, name, &record));
    rc = record.kdf.kdf == KL_KDF_HKDF ? open_generated(&record, store, name, serial, pin, access)
                                       : open_counted(&record, store, name, serial, pin, access);
    if (rc == KL_PIN_WRONG || rc == KL_PIN_LOCKED) kl_log(KL_LOG_WARNING, "%s", kl_fail_words());
    return rc;
}
