/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Rows of the store: as whoever may write the file would have them, and as somebody who has its keys as well. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "ladder/internal.h"
#include "make.h"
#include "token/token.h"

enum { SHOWN_MAX = 2048, OBJECTS_MAX = 16, METADATA_ROOM = 6 * 64 * 1024 };

/* --- what the token shows --- */

static const CK_ATTRIBUTE_TYPE shown_types[] = {
    CKA_UNIQUE_ID, CKA_CLASS,   CKA_LABEL,      CKA_ID,       CKA_KEY_TYPE, CKA_VALUE_LEN, CKA_SENSITIVE,  CKA_EXTRACTABLE,
    CKA_PRIVATE,   CKA_TOKEN,   CKA_ENCRYPT,    CKA_DECRYPT,  CKA_WRAP,     CKA_UNWRAP,    CKA_DERIVE,     CKA_LOCAL,
    CKA_END_DATE,  CKA_TRUSTED, CKA_MODIFIABLE, CKA_KL_STATE, CKA_KL_LEVEL, CKA_KL_PARENT, CKA_KL_VERSION,
};
struct shown {
    size_t len;
    uint8_t text[SHOWN_MAX];
};
static struct shown before[OBJECTS_MAX];
static size_t before_count;
static const char *const labels[] = { "master", "users", "users.email", "free" };
static uint8_t sealed[128];
static CK_ULONG sealed_len = sizeof sealed;
static CK_BYTE plain[] = "alice@example.org";

static void show(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, struct shown *out)
{
    struct kl_writer writer = { out->text, sizeof out->text, 0 };

    for (size_t i = 0; i < COUNT(shown_types); i++) {
        uint8_t *value = room(400);
        CK_ATTRIBUTE attribute = { shown_types[i], value, 400 };

        if (C_GetAttributeValue(session, object, &attribute, 1) != CKR_OK) attribute.ulValueLen = 0;
        kl_write_bytes(&writer, kl_view_of(value, attribute.ulValueLen));
    }
    MUST(kl_writer_is_whole(&writer));
    out->len = writer.len;
}

static CK_RV find(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG template_count, CK_OBJECT_HANDLE *found, CK_ULONG *count)
{
    CK_RV rv = C_FindObjectsInit(session, template, template_count);

    *count = 0;
    if (rv == CKR_OK) rv = C_FindObjects(session, found, OBJECTS_MAX, count);
    if (rv == CKR_OK) NEED(C_FindObjectsFinal(session));
    return rv;
}

void fuzz_begin(void)
{
    CK_OBJECT_HANDLE found[OBJECTS_MAX];
    CK_MECHANISM envelope = { CKM_KL_ENVELOPE, NULL, 0 };
    CK_ULONG count = 0;

    world.tokens = 1;
    world_begin();
    NEED(find(world.keepers[0], NULL, 0, found, &count));
    MUST(count >= COUNT(labels));
    for (CK_ULONG i = 0; i < count; i++) show(world.keepers[0], found[i], &before[before_count++]);
    NEED(C_EncryptInit(world.keepers[0], &envelope, world.feks[0]));
    NEED(C_Encrypt(world.keepers[0], plain, sizeof plain, sealed, &sealed_len));
}

/* --- one row, without a store --- */

static struct kl_view text_of(const char *const *texts, size_t count)
{
    size_t which = byte();

    return which < 240 ? kl_view_text(texts[which % count]) : bytes(30);
}

/* Long ones too, of an input that is short. */
static struct kl_view value_of_extra(void)
{
    struct kl_view once = bytes(200);
    size_t times = byte() < 240 ? 1 : byte();
    uint8_t *text;

    if (times <= 1) return once;
    text = lend(once.len * times);
    for (size_t i = 0; i < times && once.len > 0; i++) memcpy(text + i * once.len, once.data, once.len);
    return kl_view_of(text, once.len * times);
}

/* What stands in a row's metadata: right more often than not. */
static void write_metadata(struct kl_writer *writer, bool is_private)
{
    static const uint64_t classes[] = { KL_CLASS_SECRET_KEY, KL_CLASS_DATA };
    static const uint64_t types[] = { CKA_APPLICATION,   CKA_VALUE,           CKA_OBJECT_ID,       CKA_ALLOWED_MECHANISMS,
                                      CKA_WRAP_TEMPLATE, CKA_UNWRAP_TEMPLATE, CKA_DERIVE_TEMPLATE, KL_EXTRA_SALT_TYPE,
                                      KL_EXTRA_SALT,     KL_EXTRA_INFO,       KL_EXTRA_FAMILY };
    static const uint64_t key_types[] = { KL_TYPE_AES, KL_TYPE_GENERIC, KL_TYPE_CHACHA20, KL_TYPE_HKDF, KL_TYPE_SHA256_HMAC };
    uint8_t how = byte();
    uint64_t flags = (uint64_t)byte() << 11 | (uint64_t)byte() << 3 | (byte() & 7);
    uint32_t extras = (uint32_t)choice(how < 128 ? 6 : 40);

    flags = (flags & ~(uint64_t)KL_FLAG_PRIVATE) | (is_private ? (uint64_t)KL_FLAG_PRIVATE : 0);
    kl_write_u8(writer, how < 250 ? 1 : how);
    kl_write_u64(writer, byte() < 240 ? classes[how % 2] : number());
    kl_write_u64(writer, byte() < 240 ? key_types[how % COUNT(key_types)] : number());
    kl_write_u32(writer, byte() < 240 ? 32 : (uint32_t)number());
    kl_write_u64(writer, byte() < 240 ? flags : number());
    kl_write_u64(writer, byte() < 128 ? KL_NO_MECHANISM : number());
    kl_write_raw(writer, byte() < 240 ? kl_view_of("\0\0\0\0\0\0\0\00020991231", 16) : bytes(16));
    kl_write_u32(writer, byte() < 240 ? extras : (uint32_t)number());
    for (uint32_t i = 0; i < extras; i++) {
        /* Many, too, and then in order: that alone is read to the end. */
        kl_write_u64(writer, how >= 128 ? i + 1 : byte() < 240 ? types[choice(COUNT(types))] : number());
        kl_write_bytes(writer, value_of_extra());
    }
}

static struct kl_row any_row(void)
{
    static const char *const key_types[] = { "free", "data", "dek", "fek", "master" };
    static const char *const names[] = { "AES-256", "data", "" };
    struct kl_writer writer = { lend(METADATA_ROOM), METADATA_ROOM, 0 };
    struct kl_row row = { .generation = 1, .is_active = true, .state = 2, .created_at = 1000 };

    memset(row.id, 0xA0 + byte() % 4, sizeof row.id);
    row.key_type = text_of(key_types, COUNT(key_types));
    row.key_id = bytes(40);
    row.key_hash = byte() < 200 ? kl_view_of(NULL, 0) : kl_view_of(lend(16), byte() < 240 ? 16 : choice(16));
    row.algorithm = text_of(names, COUNT(names));
    row.is_public = byte() >= 200;
    row.is_active = byte() < 200;
    row.state = byte() < 200 ? 2 : (uint32_t)number();
    row.rotation_count = byte() < 200 ? 0 : (uint32_t)number();
    row.expires_at = byte() < 200 ? 0 : (int64_t)number();
    row.label = bytes(60);
    if (byte() < 230) {
        write_metadata(&writer, !row.is_public);
        MUST(kl_writer_is_whole(&writer));
        row.metadata = kl_view_of(lend_copy(writer.data, writer.len), writer.len);
    } else {
        row.metadata = bytes(400);
    }
    return row;
}

static void check_same(const struct kl_row *a, const struct kl_row *b)
{
    MUST(memcmp(a->id, b->id, sizeof a->id) == 0 && memcmp(a->parent, b->parent, sizeof a->parent) == 0);
    MUST(a->generation == b->generation && a->created_at == b->created_at && a->expires_at == b->expires_at);
    MUST(a->is_active == b->is_active && a->rotation_count == b->rotation_count && a->state == b->state && a->is_public == b->is_public);
    MUST(kl_view_is(a->key_type, b->key_type) && kl_view_is(a->key_id, b->key_id) && kl_view_is(a->key_hash, b->key_hash));
    MUST(kl_view_is(a->encrypted_key, b->encrypted_key) && kl_view_is(a->label, b->label) && kl_view_is(a->metadata, b->metadata));
}

/* The key that rows are sealed under. */
static struct kl_key *parent_key(void)
{
    struct kl_secret value = { 0 };
    struct kl_key *key = NULL;

    MUST(kl_secret_new(&value, 32) == KL_OK && kl_key_make(&value, KL_LEVEL_MASTER, KL_TYPE_HKDF, true, &key) == KL_OK);
    return key;
}

/* Sealed as its columns say, it opens; with any other columns it does not. */
static void seal_and_open(struct kl_record *record)
{
    struct kl_view serial = kl_view_text("0123456789abcdef"), value = bytes(64);
    struct kl_key *parent = parent_key();
    struct kl_record other = *record;
    struct kl_secret opened = { 0 };
    uint8_t *memory = NULL;

    MUST(kl_seal_value(serial, parent, record, value, &memory) == KL_OK);
    MUST(kl_open_value(serial, parent, record, &opened) == KL_OK && kl_view_is(kl_secret_view(&opened), value));
    kl_secret_clear(&opened);
    other.sealed = record->sealed;
    switch (choice(6)) {
    case 0:
        other.flags ^= 1U << choice(19);
        break;
    case 1:
        other.generation++;
        break;
    case 2:
        other.id[choice(16)] ^= 1;
        break;
    case 3:
        other.label = kl_view_of(other.label.data, other.label.len > 0 ? other.label.len - 1 : 0);
        if (other.label.len == record->label.len) other.state = (enum kl_state)(other.state ^ 1);
        break;
    case 4:
        other.key_type ^= 1;
        break;
    default:
        other.sealed = mutated(record->sealed);
        if (kl_view_is(other.sealed, record->sealed)) other.sealed = kl_view_of(record->sealed.data, record->sealed.len - 1 - choice(28));
    }
    MUST(kl_open_value(serial, parent, &other, &opened) == KL_INTEGRITY && opened.data == NULL);
    free(memory);
    kl_key_put(parent);
}

static void read_row(void)
{
    struct kl_row row = any_row(), written;
    struct kl_record record = { 0 }, copy = { 0 };
    struct kl_row_room written_room = { 0 };
    enum kl_rc rc = kl_record_read(&record, &row);

    if (rc != KL_OK) {
        MUST(rc == KL_INTEGRITY && record.memory == NULL);
        return;
    }
    MUST(kl_record_dup(&copy, &record) == KL_OK);
    kl_record_clear(&record);
    MUST(kl_record_write(&copy, &written_room, &written) == KL_OK);
    check_same(&row, &written);
    kl_row_room_clear(&written_room);
    seal_and_open(&copy);
    kl_record_clear(&copy);
}

/* --- rows of somebody who has the keys: everything but what is in them is right --- */

/* Everything that a client can do with an object by its handle. */
static void use(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
    static const CK_MECHANISM_TYPE types[] = { CKM_KL_ENVELOPE, CKM_AES_KEY_WRAP, CKM_SHA256_HMAC, CKM_AES_CTR };
    CK_ATTRIBUTE patterns[] = { { CKA_WRAP_TEMPLATE, NULL, 0 },
                                { CKA_UNWRAP_TEMPLATE, NULL, 0 },
                                { CKA_DERIVE_TEMPLATE, NULL, 0 },
                                { CKA_ALLOWED_MECHANISMS, NULL, 0 } };
    CK_ATTRIBUTE in_session[] = { A_BOOL(CKA_TOKEN, CK_FALSE) };
    CK_MECHANISM mechanism = { types[choice(COUNT(types))], NULL, 0 };
    CK_OBJECT_HANDLE made = 0;
    CK_ULONG len = 0;
    struct shown shown;
    CK_RV rv;

    show(session, object, &shown);
    if (bool_of(session, object, CKA_SENSITIVE) == 1) MUST(value_of(session, object).data == NULL);
    (void)value_of(session, object);
    for (size_t i = 0; i < COUNT(patterns); i++) {
        rv = C_GetAttributeValue(session, object, &patterns[i], 1);
        if (rv != CKR_OK) continue;
        MUST(patterns[i].ulValueLen <= 64 * 1024);
        patterns[i].pValue = lend(patterns[i].ulValueLen);
        rv = C_GetAttributeValue(session, object, &patterns[i], 1);
        MUST(rv == CKR_OK);
    }
    if (C_EncryptInit(session, &mechanism, object) == CKR_OK) rv = C_Encrypt(session, plain, sizeof plain, NULL, &len);
    if (C_SignInit(session, &mechanism, object) == CKR_OK) rv = C_Sign(session, plain, sizeof plain, NULL, &len);
    rv = C_WrapKey(session, &mechanism, world.frees[0], object, NULL, &len);
    rv = C_UnwrapKey(session, &mechanism, object, sealed, 24, patterns, 0, &made);
    rv = C_CopyObject(session, object, in_session, COUNT(in_session), &made);
    (void)rv;
}

static enum kl_rc add(struct kl_ladder *ladder, struct kl_record *record, struct kl_view value)
{
    struct kl_record master = { 0 };
    struct kl_key *key = NULL;
    struct kl_store *store = NULL;
    struct kl_txn *txn = NULL;
    struct kl_row_room row_room = { 0 };
    struct kl_commit commit;
    struct kl_row row;
    uint8_t *memory = NULL;
    enum kl_rc rc;

    MUST(kl_ladder_find(ladder, kl_view_text("master"), &master) == KL_OK && kl_ladder_open_key(ladder, &master, &key) == KL_OK);
    memcpy(record->parent, master.id, sizeof record->parent);
    MUST(kl_seal_value(kl_ladder_serial(ladder), key, record, value, &memory) == KL_OK);
    MUST(kl_record_write(record, &row_room, &row) == KL_OK);
    MUST(kl_ladder_store(ladder, KL_STORE_EXISTING, &store) == KL_OK && kl_store_begin(store, &txn) == KL_OK);
    rc = kl_txn_add(txn, &row);
    if (rc == KL_OK)
        rc = kl_txn_commit(txn, &commit);
    else
        kl_txn_abort(txn);
    free(memory);
    kl_row_room_clear(&row_room);
    kl_key_put(key);
    kl_record_clear(&master);
    return rc;
}

/* Quicker than to make the world anew. */
static void take_away(struct kl_ladder *ladder, const struct kl_record *record)
{
    struct kl_store *store = NULL;
    struct kl_txn *txn = NULL;
    struct kl_commit commit;

    MUST(kl_ladder_store(ladder, KL_STORE_EXISTING, &store) == KL_OK && kl_store_begin(store, &txn) == KL_OK);
    if (kl_txn_remove(txn, record->id, record->generation) != KL_OK || kl_txn_commit(txn, &commit) != KL_OK) BROKEN("%s", fuzz_words());
    world_accept();
}

static void with_keys(void)
{
    CK_SESSION_HANDLE session = session_on(0);
    struct kl_ladder *ladder = kl_token_at(world.slots[0])->ladder;
    struct kl_row row = any_row();
    struct kl_record record = { 0 };
    CK_OBJECT_HANDLE found[OBJECTS_MAX];
    size_t len = choice(4) == 1 ? 5 : 32;
    CK_ULONG count;
    CK_RV rv;

    if (kl_record_read(&record, &row) != KL_OK) return;
    if (add(ladder, &record, kl_view_of(memset(lend(len), 'v', len), len)) == KL_OK) {
        CK_ATTRIBUTE template[] = { A_BYTES(CKA_LABEL, row.label.data, row.label.len) };

        /* By its label; one without is found among all, which takes longer. */
        rv = find(session, template, row.label.len > 0, found, &count);
        for (CK_ULONG i = 0; rv == CKR_OK && i < count; i++) use(session, found[i]);
        take_away(ladder, &record);
    }
    kl_record_clear(&record);
}

/* --- rows of somebody who has the file --- */

static const char *const columns[][2] = {
    { "encryption_keys", "id" },
    { "encryption_keys", "key_type" },
    { "encryption_keys", "key_id" },
    { "encryption_keys", "encrypted_key" },
    { "encryption_keys", "key_hash" },
    { "encryption_keys", "algorithm" },
    { "encryption_keys", "created_at" },
    { "encryption_keys", "expires_at" },
    { "encryption_keys", "is_active" },
    { "encryption_keys", "rotation_count" },
    { "encryption_keys", "metadata" },
    { "encryption_keys", "label" },
    { "encryption_keys", "parent" },
    { "encryption_keys", "state" },
    { "encryption_keys", "generation" },
    { "encryption_keys", "is_public" },
    { "encryption_keys", "digest" },
    { "encryption_keys", "label_bucket" },
    { "encryption_keys", "id_bucket" },
    { "token_records", "name" },
    { "token_records", "value" },
    { "bucket_groups", "number" },
    { "bucket_groups", "macs" },
    { "store_root", "epoch" },
    { "store_root", "row_count" },
    { "store_root", "records" },
    { "store_root", "groups" },
    { "store_root", "mac" },
    { "pin_tries", "used" },
    { "key_budgets", "used" },
    { "key_budgets", "id" },
    { "budget_root", "epoch" },
    { "budget_root", "buckets" },
    { "budget_root", "mac" },
};

static void run(sqlite3 *file, const char *text, struct kl_view value, bool is_number)
{
    sqlite3_stmt *statement = NULL;
    int done = sqlite3_prepare_v2(file, text, -1, &statement, NULL);

    if (done == SQLITE_OK && sqlite3_bind_parameter_count(statement) == 1) {
        if (is_number)
            done = sqlite3_bind_int64(statement, 1, (sqlite3_int64)number());
        else
            done = sqlite3_bind_blob(statement, 1, value.data != NULL ? (const void *)value.data : "", (int)value.len, SQLITE_STATIC);
    }
    /* Tables are strict: what does not fit there is refused, and the row is as it was. */
    if (done == SQLITE_OK) done = sqlite3_step(statement);
    sqlite3_finalize(statement);
}

static void edit(sqlite3 *file)
{
    const char *const *column = columns[choice(COUNT(columns))];
    size_t row = choice(8), other = choice(8);
    char text[1024];

    switch (choice(8)) {
    case 0:
        snprintf(text, sizeof text, "DELETE FROM %s WHERE %s = (SELECT %s FROM %s LIMIT 1 OFFSET %zu)", column[0], column[1], column[1],
                 column[0], row);
        run(file, text, kl_view_of(NULL, 0), false);
        return;
    case 1: /* what another row has */
        snprintf(text, sizeof text,
                 "UPDATE %s SET %s = (SELECT %s FROM %s LIMIT 1 OFFSET %zu) WHERE %s = (SELECT %s FROM %s LIMIT 1 OFFSET %zu)", column[0],
                 column[1], column[1], column[0], other, column[1], column[1], column[0], row);
        run(file, text, kl_view_of(NULL, 0), false);
        return;
    case 2:
        snprintf(text, sizeof text, "UPDATE %s SET %s = CAST(? AS TEXT) WHERE %s = (SELECT %s FROM %s LIMIT 1 OFFSET %zu)", column[0],
                 column[1], column[1], column[1], column[0], row);
        run(file, text, bytes(40), false);
        return;
    case 3:
        snprintf(text, sizeof text,
                 "INSERT INTO encryption_keys SELECT ?, key_type, key_id, encrypted_key, key_hash, algorithm, created_at, expires_at, "
                 "is_active, rotation_count, metadata, label, parent, state, generation, is_public, digest, label_bucket, id_bucket FROM "
                 "encryption_keys LIMIT 1 OFFSET %zu",
                 row);
        run(file, text, kl_view_of(memset(lend(16), 7, 16), 16), false);
        return;
    case 4:
    case 5:
        snprintf(text, sizeof text, "UPDATE %s SET %s = ? WHERE %s = (SELECT %s FROM %s LIMIT 1 OFFSET %zu)", column[0], column[1],
                 column[1], column[1], column[0], row);
        run(file, text, kl_view_of(NULL, 0), true);
        return;
    case 6: /* a byte of what is there */
        snprintf(
            text, sizeof text,
            "UPDATE %s SET %s = CAST(substr(%s, 1, %zu) || x'%02x' || substr(%s, %zu) AS BLOB) WHERE %s = (SELECT %s FROM %s LIMIT 1 OFFSET %zu)",
            column[0], column[1], column[1], other * 9, (unsigned)byte(), column[1], other * 9 + 2, column[1], column[1], column[0], row);
        run(file, text, kl_view_of(NULL, 0), false);
        return;
    default:
        snprintf(text, sizeof text, "UPDATE %s SET %s = ? WHERE %s = (SELECT %s FROM %s LIMIT 1 OFFSET %zu)", column[0], column[1],
                 column[1], column[1], column[0], row);
        run(file, text, bytes(300), false);
    }
}

static bool was_shown(const struct shown *shown)
{
    for (size_t i = 0; i < before_count; i++)
        if (kl_view_is(kl_view_of(shown->text, shown->len), kl_view_of(before[i].text, before[i].len))) return true;
    return false;
}

/* Whatever the file has become: what is shown to who is logged in is what was made, and what is not there any more is missed. */
static void look(CK_SESSION_HANDLE session)
{
    CK_OBJECT_HANDLE found[OBJECTS_MAX];
    CK_MECHANISM envelope = { CKM_KL_ENVELOPE, NULL, 0 };
    CK_ULONG count, len;
    struct shown shown;

    if (find(session, NULL, 0, found, &count) == CKR_OK) {
        for (CK_ULONG i = 0; i < count; i++) {
            show(session, found[i], &shown);
            if (is_there(session, found[i]) && !was_shown(&shown)) BROKEN("an object is shown that nobody made");
        }
    }
    for (size_t i = 0; i < COUNT(labels); i++) {
        CK_ATTRIBUTE template[] = { A_BYTES(CKA_LABEL, labels[i], strlen(labels[i])) };
        uint8_t *out = room(sizeof plain);

        if (find(session, template, 1, found, &count) != CKR_OK) continue;
        if (count != 1) BROKEN("%lu objects are called %s, with no word of what happened to the store", count, labels[i]);
        if (i != 2 || C_DecryptInit(session, &envelope, found[0]) != CKR_OK) continue;
        len = sizeof plain;
        NEED(C_Decrypt(session, sealed, sealed_len, out, &len));
        MUST(kl_view_is(kl_view_of(out, len), kl_view_of(plain, sizeof plain)));
    }
}

static bool open_session(CK_SESSION_HANDLE *session)
{
    return C_OpenSession(world.slots[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, session) == CKR_OK;
}

static void in_file(void)
{
    CK_UTF8CHAR *pin = (CK_UTF8CHAR *)world.user_pin;
    CK_SESSION_HANDLE session = 0;
    CK_OBJECT_HANDLE found[OBJECTS_MAX];
    sqlite3 *file = NULL;
    CK_ULONG count;

    world_stop();
    MUST(sqlite3_open_v2(world_path("standard.db"), &file, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
    for (size_t i = choice(3) + 1; i > 0; i--) edit(file);
    MUST(sqlite3_close(file) == SQLITE_OK);
    world_start();
    /* Before login nothing can be checked: nothing may fall over. */
    if (open_session(&session)) {
        if (find(session, NULL, 0, found, &count) == CKR_OK)
            for (CK_ULONG i = 0; i < count; i++) use(session, found[i]);
        NEED(C_CloseSession(session));
    }
    if (open_session(&session) && C_Login(session, CKU_USER, pin, strlen(world.user_pin)) == CKR_OK) look(session);
    world_restore();
}

void fuzz_one(void)
{
    /* The slower, the rarer. */
    static void (*const ways_in[])(void) = { read_row, read_row, read_row, read_row, read_row, with_keys, with_keys, in_file };

    ways_in[choice(COUNT(ways_in))]();
    world_reset();
}
