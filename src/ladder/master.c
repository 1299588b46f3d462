/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The root secret: sealed by the access key into exactly 64 bytes, and then by
 * each root provider (DESIGN 4.2). Opened once per process and cache_ttl, by one
 * thread while the others wait for it.
 */
#include "ladder/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "crypto/random.h"

#define SECRET_LEN 32
#define NONCE_LEN 12
#define TAG_LEN 16
#define INNER_FORMAT 1
#define INNER_LEN 64 /* format, 3 zero bytes, nonce, secret, tag */
#define NONCE_AT 4
#define SECRET_AT (NONCE_AT + NONCE_LEN)
#define TAG_AT (SECRET_AT + SECRET_LEN)
#define SECOND INT64_C(1000000000)

/* --- the inner sealing --- */

struct inner {
    struct kl_aead *aead;
    uint8_t aad[512];
    struct kl_aead_params params;
};

static void inner_clear(struct inner *inner)
{
    kl_aead_free(inner->aead);
}

static enum kl_rc inner_init(struct inner *inner, const struct kl_root_context *context, const struct kl_secret *access)
{
    struct kl_writer writer = { inner->aad, sizeof(inner->aad), 0 };
    KL_AUTO(kl_secret) key = { 0 };

    kl_write_raw(&writer, kl_view_text("keyladder/1/root"));
    kl_write_bytes(&writer, context->serial);
    kl_write_bytes(&writer, context->environment);
    kl_write_u32(&writer, context->version);
    KL_CHECK(kl_writer_is_whole(&writer), KL_CONFIG);
    inner->params = (struct kl_aead_params){ .aad = { inner->aad, writer.len }, .tag_len = TAG_LEN };
    KL_TRY(kl_secret_new(&key, 32));
    KL_TRY(kl_expand(access, "keyladder/1/root", key.data, key.len));
    return kl_aead_new(KL_AEAD_AES_GCM, kl_secret_view(&key), &inner->aead);
}

static enum kl_rc seal_inner(struct inner *inner, const struct kl_secret *secret, struct kl_secret *out)
{
    KL_AUTO(kl_secret) sealed = { 0 };

    KL_TRY(kl_secret_new(&sealed, INNER_LEN));
    sealed.data[0] = INNER_FORMAT;
    KL_TRY(kl_random_fill(sealed.data + NONCE_AT, NONCE_LEN));
    inner->params.iv = kl_view_of(sealed.data + NONCE_AT, NONCE_LEN);
    KL_TRY(kl_aead_seal(inner->aead, &inner->params, kl_secret_view(secret), sealed.data + SECRET_AT, sealed.data + TAG_AT));
    kl_secret_take(out, &sealed);
    return KL_OK;
}

static enum kl_rc open_inner(struct inner *inner, const struct kl_secret *sealed, struct kl_secret *out)
{
    static const uint8_t head[NONCE_AT] = { INNER_FORMAT };
    KL_AUTO(kl_secret) secret = { 0 };
    enum kl_rc rc;

    if (sealed->len != INNER_LEN || memcmp(sealed->data, head, sizeof(head)) != 0)
        return kl_fail(KL_INTEGRITY, "the root gave %zu bytes that are not a sealed root secret", sealed->len);
    KL_TRY(kl_secret_new(&secret, SECRET_LEN));
    inner->params.iv = kl_view_of(sealed->data + NONCE_AT, NONCE_LEN);
    rc = kl_aead_open(inner->aead, &inner->params, kl_view_of(sealed->data + SECRET_AT, SECRET_LEN), sealed->data + TAG_AT, secret.data);
    if (rc == KL_CIPHERTEXT) return kl_fail(KL_INTEGRITY, "the root secret is not this token's, environment's or version's");
    KL_TRY(rc);
    kl_secret_take(out, &secret);
    return KL_OK;
}

/* --- the sealed copies --- */

struct kl_root_context kl_master_context(struct kl_view serial, struct kl_view environment, uint32_t version)
{
    return (struct kl_root_context){ .serial = serial, .environment = environment, .purpose = "root", .version = version };
}

static void copy_name(char *out, size_t cap, uint32_t version, const char *root)
{
    snprintf(out, cap, "master/%08u/%s", (unsigned)version, root);
}

void kl_master_copies_clear(struct kl_master_copies *copies)
{
    for (size_t i = 0; i < copies->count; i++) free(copies->items[i].value);
    copies->count = 0;
}

/* Room for what a provider makes, on the heap: 12 KiB are too much for a host's stack. */
struct copy_room {
    uint8_t sealed[KL_ROOT_SEALED_MAX];
    uint8_t meta[KL_ROOT_META_MAX];
};

static enum kl_rc encode_copy(const char *type, const struct kl_root_sealed *sealed, uint8_t **out, size_t *len)
{
    struct kl_writer writer = { NULL, 0, 0 };
    uint8_t *bytes = NULL;

    for (int pass = 0; pass < 2; pass++) {
        kl_write_u8(&writer, 1);
        kl_write_bytes(&writer, kl_view_text(type));
        kl_write_bytes(&writer, kl_view_of(sealed->data, sealed->len));
        kl_write_bytes(&writer, kl_view_of(sealed->meta, sealed->meta_len));
        if (pass == 1) break;
        bytes = malloc(writer.len);
        KL_CHECK(bytes, KL_MEMORY);
        writer = (struct kl_writer){ bytes, writer.len, 0 };
    }
    *out = bytes;
    *len = writer.len;
    return KL_OK;
}

static enum kl_rc wrap_under(struct kl_root *root, const struct kl_root_context *context, const struct kl_secret *inner, uint8_t **out,
                             size_t *len)
{
    struct copy_room *room = calloc(1, sizeof(*room));
    struct kl_root_sealed sealed;
    enum kl_rc rc;

    KL_CHECK(room, KL_MEMORY);
    sealed = (struct kl_root_sealed){ room->sealed, sizeof(room->sealed), room->meta, sizeof(room->meta) };
    rc = kl_root_wrap(root, context, inner, &sealed);
    if (rc == KL_OK) rc = encode_copy(kl_root_type(root), &sealed, out, len);
    free(room);
    return rc;
}

enum kl_rc kl_master_seal(struct kl_ladder *ladder, const struct kl_root_context *context, const struct kl_secret *access,
                          const struct kl_secret *secret, struct kl_master_copies *out)
{
    KL_AUTO(kl_secret) sealed = { 0 };
    __attribute__((cleanup(inner_clear))) struct inner inner = { 0 };

    KL_TRY(inner_init(&inner, context, access));
    KL_TRY(seal_inner(&inner, secret, &sealed));
    for (size_t i = 0; i < ladder->root_count; i++) {
        copy_name(out->items[i].name, sizeof(out->items[i].name), context->version, kl_root_name(ladder->roots[i]));
        KL_TRY(wrap_under(ladder->roots[i], context, &sealed, &out->items[i].value, &out->items[i].len));
        out->count = i + 1;
    }
    return KL_OK;
}

/* Reads one copy into `room`. KL_NOT_FOUND when this root has none. */
static enum kl_rc read_copy(struct kl_store *store, struct kl_root *root, uint32_t version, struct copy_room *room,
                            struct kl_root_sealed *out)
{
    char name[KL_STORE_RECORD_NAME_MAX];
    uint8_t *bytes = malloc(sizeof(*room) + 512);
    struct kl_out value = { bytes, sizeof(*room) + 512, 0 };
    struct kl_reader reader;
    struct kl_view type, sealed, meta;
    enum kl_rc rc = KL_MEMORY;

    copy_name(name, sizeof(name), version, kl_root_name(root));
    if (bytes) rc = kl_store_record(store, name, &value);
    if (rc == KL_OK) {
        reader = kl_reader_of(kl_view_of(bytes, value.len));
        if (kl_read_u8(&reader) != 1) reader.bad = true;
        type = kl_read_bytes(&reader);
        sealed = kl_read_bytes(&reader);
        meta = kl_read_bytes(&reader);
        if (!kl_reader_is_done(&reader) || sealed.len > sizeof(room->sealed) || meta.len > sizeof(room->meta)) {
            rc = kl_fail(KL_INTEGRITY, "the sealed copy of root %s is not one", kl_root_name(root));
        } else if (!kl_view_is(type, kl_view_text(kl_root_type(root)))) {
            rc = kl_fail(KL_CONFIG, "root %s was of type %.*s when it sealed this token", kl_root_name(root), (int)type.len,
                         (const char *)type.data);
        } else {
            memcpy(room->sealed, sealed.data, sealed.len);
            memcpy(room->meta, meta.data, meta.len);
            *out = (struct kl_root_sealed){ room->sealed, sealed.len, room->meta, meta.len };
        }
    }
    free(bytes);
    return rc;
}

/* The root secret by one root. No lock is held. */
static enum kl_rc unwrap_by(struct kl_ladder *ladder, struct kl_root *root, uint32_t version, struct kl_secret *out)
{
    struct kl_root_context context = kl_master_context(kl_ladder_serial(ladder), kl_view_text(ladder->environment), version);
    KL_AUTO(kl_secret) access = { 0 };
    KL_AUTO(kl_secret) sealed = { 0 };
    __attribute__((cleanup(inner_clear))) struct inner inner = { 0 };
    struct kl_store *store = NULL;
    struct kl_root_sealed copy;
    struct copy_room *room;
    enum kl_rc rc;

    KL_TRY(kl_ladder_store(ladder, KL_STORE_EXISTING, &store));
    room = calloc(1, sizeof(*room));
    KL_CHECK(room, KL_MEMORY);
    rc = read_copy(store, root, version, room, &copy);
    if (rc == KL_OK) rc = kl_root_unwrap(root, &context, &copy, &sealed);
    free(room);
    KL_TRY(rc);
    KL_TRY(kl_ladder_access(ladder, &access));
    KL_TRY(inner_init(&inner, &context, &access));
    return open_inner(&inner, &sealed, out);
}

/* The roots in the order of the configuration; the next is tried only where one cannot be reached or has no copy (DESIGN 4.2). */
static enum kl_rc unwrap_by_any(struct kl_ladder *ladder, uint32_t version, struct kl_secret *out, const struct kl_root **by)
{
    enum kl_rc rc = KL_NOT_FOUND;

    for (size_t i = 0; i < ladder->root_count; i++) {
        rc = unwrap_by(ladder, ladder->roots[i], version, out);
        *by = ladder->roots[i];
        if (rc != KL_ROOT_UNREACHABLE && rc != KL_NOT_FOUND) return rc;
    }
    if (rc == KL_NOT_FOUND)
        return kl_fail(KL_CONFIG, "token %s: none of the configured roots has a sealed copy of master version %u", kl_ladder_name(ladder),
                       (unsigned)version);
    return rc;
}

/* Opens the version and proves that it is the one of the record: the master's own row opens under it. */
static enum kl_rc open_version(struct kl_ladder *ladder, const struct kl_record *record, struct kl_key **out, const struct kl_root **by)
{
    KL_AUTO(kl_secret) secret = { 0 };
    KL_AUTO(kl_secret) nothing = { 0 };
    struct kl_key *key = NULL;
    enum kl_rc rc;

    KL_TRY(unwrap_by_any(ladder, record->version, &secret, by));
    KL_TRY(kl_key_make(&secret, KL_LEVEL_MASTER, KL_TYPE_HKDF, true, &key));
    rc = kl_open_value(kl_ladder_serial(ladder), key, record, &nothing);
    if (rc == KL_OK && !kl_view_is(kl_key_commitment(key), kl_view_of(record->commitment, KL_COMMITMENT_LEN)))
        rc = kl_fail(KL_INTEGRITY, "the master's commitment does not fit");
    if (rc != KL_OK) {
        kl_key_put(key);
        return rc;
    }
    *out = key;
    return KL_OK;
}

/* Under the lock: the master in memory, unless its time is over. */
static struct kl_key *held_master(struct kl_ladder *ladder, const uint8_t id[KL_ROW_ID_LEN])
{
    if (ladder->opened_by && kl_clock->steady() >= ladder->opened_until) {
        kl_held_drop_all(ladder);
        ladder->opened_by = NULL;
    }
    return kl_held_find(ladder, id);
}

enum kl_rc kl_master_open(struct kl_ladder *ladder, const struct kl_record *record, struct kl_key **out)
{
    const struct kl_root *by = NULL;
    struct kl_key *key;
    uint64_t login;
    enum kl_rc rc;

    kl_thread_hold();
    pthread_mutex_lock(&ladder->lock);
    while (!(key = held_master(ladder, record->id)) && ladder->is_opening) pthread_cond_wait(&ladder->opened, &ladder->lock);
    if (!key) ladder->is_opening = true;
    login = ladder->login;
    pthread_mutex_unlock(&ladder->lock);
    if (key) {
        *out = key;
        return KL_OK;
    }
    rc = open_version(ladder, record, &key, &by);
    pthread_mutex_lock(&ladder->lock);
    ladder->is_opening = false;
    /* Who logged out meanwhile must not find the master open again. */
    if (rc == KL_OK && login == ladder->login) {
        kl_held_add(ladder, record->id, key);
        ladder->opened_by = by;
        ladder->opened_until = kl_clock->steady() + kl_conf_number(ladder->section, KL_SET_CACHE_TTL) * SECOND;
    }
    pthread_cond_broadcast(&ladder->opened);
    pthread_mutex_unlock(&ladder->lock);
    KL_TRY(rc);
    *out = key;
    return KL_OK;
}

/* --- for the tool --- */

static enum kl_rc current_master(struct kl_ladder *ladder, struct kl_record *out)
{
    return kl_ladder_find(ladder, kl_view_text("master"), out);
}

enum kl_rc kl_ladder_roots(struct kl_ladder *ladder, void (*say)(void *user, const struct kl_root_status *status), void *user)
{
    KL_AUTO(kl_record) master = { 0 };
    struct kl_store *store = NULL;
    const struct kl_root *by;
    int64_t until;

    KL_TRY(current_master(ladder, &master));
    KL_TRY(kl_ladder_store(ladder, KL_STORE_EXISTING, &store));
    pthread_mutex_lock(&ladder->lock);
    by = ladder->opened_by;
    until = ladder->opened_until;
    pthread_mutex_unlock(&ladder->lock);
    for (size_t i = 0; i < ladder->root_count; i++) {
        struct kl_root_status status = { .name = kl_root_name(ladder->roots[i]),
                                         .type = kl_root_type(ladder->roots[i]),
                                         .is_open = by == ladder->roots[i] };
        char name[KL_STORE_RECORD_NAME_MAX];
        struct kl_out asks = { NULL, 0, 0 };
        enum kl_rc rc;

        copy_name(name, sizeof(name), master.version, status.name);
        rc = kl_store_record(store, name, &asks);
        if (rc != KL_OK && rc != KL_BUFFER && rc != KL_NOT_FOUND) return rc;
        status.has_copy = rc != KL_NOT_FOUND;
        if (status.is_open) status.expires_in = (until - kl_clock->steady()) / SECOND;
        say(user, &status);
    }
    return KL_OK;
}

enum kl_rc kl_ladder_test_root(struct kl_ladder *ladder, const char *name, char *words, size_t cap)
{
    KL_AUTO(kl_record) master = { 0 };
    KL_AUTO(kl_secret) secret = { 0 };
    uint8_t commitment[KL_COMMITMENT_LEN];

    KL_TRY(current_master(ladder, &master));
    for (size_t i = 0; i < ladder->root_count; i++) {
        if (strcmp(kl_root_name(ladder->roots[i]), name) != 0) continue;
        KL_TRY(unwrap_by(ladder, ladder->roots[i], master.version, &secret));
        KL_TRY(kl_expand(&secret, "keyladder/1/commit", commitment, sizeof(commitment)));
        if (memcmp(commitment, master.commitment, sizeof(commitment)) != 0)
            return kl_fail(KL_INTEGRITY, "root %s opened another master than the token's", name);
        return kl_root_describe(ladder->roots[i], words, cap);
    }
    return kl_fail(KL_NOT_FOUND, "token %s has no root %s", kl_ladder_name(ladder), name);
}
