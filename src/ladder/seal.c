/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The sealing of a row under its parent: AES-256-GCM with every other column as associated data (doc/format.md, "Rows"). */
#include "ladder/internal.h"

#include <stdlib.h>

#include "crypto/random.h"

#define NONCE_LEN 12
#define TAG_LEN 16
#define OVERHEAD (NONCE_LEN + TAG_LEN)

/* The canonical encoding of the row, to be freed. */
static enum kl_rc encode(struct kl_view serial, const struct kl_record *record, uint8_t **out, size_t *len)
{
    KL_AUTO(kl_row_room) room = { 0 };
    struct kl_row row;
    struct kl_writer writer = { NULL, 0, 0 };
    uint8_t *bytes;

    KL_TRY(kl_record_write(record, &room, &row));
    kl_row_encode(&row, serial, &writer);
    bytes = malloc(writer.len);
    KL_CHECK(bytes, KL_MEMORY);
    writer = (struct kl_writer){ bytes, writer.len, 0 };
    kl_row_encode(&row, serial, &writer);
    *out = bytes;
    *len = writer.len;
    return KL_OK;
}

static enum kl_rc record_aead(const struct kl_key *parent, struct kl_aead **out)
{
    KL_AUTO(kl_secret) subkey = { 0 };

    KL_TRY(kl_key_subkey(parent, "record", &subkey));
    return kl_aead_new(KL_AEAD_AES_GCM, kl_secret_view(&subkey), out);
}

enum kl_rc kl_seal_value(struct kl_view serial, const struct kl_key *parent, struct kl_record *record, struct kl_view value, uint8_t **room)
{
    struct kl_aead_params params = { .tag_len = TAG_LEN };
    struct kl_aead *aead = NULL;
    uint8_t *sealed = NULL, *aad = NULL;
    enum kl_rc rc = encode(serial, record, &aad, &params.aad.len);

    if (rc == KL_OK) rc = record_aead(parent, &aead);
    if (rc == KL_OK) {
        sealed = malloc(OVERHEAD + value.len);
        rc = sealed ? kl_random_fill(sealed, NONCE_LEN) : KL_MEMORY;
    }
    if (rc == KL_OK) {
        params.iv = kl_view_of(sealed, NONCE_LEN);
        params.aad.data = aad;
        rc = kl_aead_seal(aead, &params, value, sealed + NONCE_LEN, sealed + NONCE_LEN + value.len);
    }
    if (rc == KL_OK) {
        record->sealed = kl_view_of(sealed, OVERHEAD + value.len);
        *room = sealed;
        sealed = NULL;
    }
    free(sealed);
    free(aad);
    kl_aead_free(aead);
    return rc;
}

enum kl_rc kl_open_value(struct kl_view serial, const struct kl_key *parent, const struct kl_record *record, struct kl_secret *value)
{
    struct kl_aead_params params = { .iv = { record->sealed.data, NONCE_LEN }, .tag_len = TAG_LEN };
    struct kl_aead *aead = NULL;
    KL_AUTO(kl_secret) opened = { 0 };
    struct kl_view in;
    uint8_t *aad = NULL, none;
    enum kl_rc rc;

    KL_CHECK(record->sealed.len >= OVERHEAD && record->sealed.len <= KL_ROW_SEALED_MAX, KL_INTEGRITY);
    in = kl_view_of(record->sealed.data + NONCE_LEN, record->sealed.len - OVERHEAD);
    if (in.len) KL_TRY(kl_secret_new(&opened, in.len));
    rc = encode(serial, record, &aad, &params.aad.len);
    if (rc == KL_OK) rc = record_aead(parent, &aead);
    if (rc == KL_OK) {
        params.aad.data = aad;
        rc = kl_aead_open(aead, &params, in, in.data + in.len, in.len ? opened.data : &none);
    }
    free(aad);
    kl_aead_free(aead);
    if (rc == KL_CIPHERTEXT)
        return kl_fail(KL_INTEGRITY, "a key's row does not open under its parent: it was changed, moved or sealed for another token");
    if (rc != KL_OK) return rc;
    kl_secret_take(value, &opened);
    return KL_OK;
}
