/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * bulk CONFIGURATION PIN COUNT [FIRST]: puts COUNT free AES-256 keys, labelled
 * bulk-000000 and on, on the first token of a configuration, a thousand in a
 * transaction: what a test of 100,000 keys begins with.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/lib.h"
#include "crypto/random.h"
#include "ladder/internal.h"

#define BATCH 1000

static enum kl_rc add_one(struct kl_ladder *ladder, struct kl_txn *txn, const struct kl_record *master, const struct kl_key *parent,
                          unsigned number)
{
    char label[32];
    KL_AUTO(kl_secret) value = { 0 };
    KL_AUTO(kl_row_room) room = { 0 };
    struct kl_row row;
    uint8_t *sealed = NULL, id[16];
    struct kl_record record = {
        .generation = 1,
        .level = KL_LEVEL_FREE,
        .state = KL_STATE_ACTIVE,
        .version = 1,
        .is_active = true,
        .has_commitment = true,
        .class = KL_CLASS_SECRET_KEY,
        .key_type = KL_TYPE_AES,
        .value_len = 32,
        .flags = KL_FLAG_PRIVATE | KL_FLAG_MODIFIABLE | KL_FLAG_COPYABLE | KL_FLAG_DESTROYABLE | KL_FLAG_SENSITIVE |
                 KL_FLAG_ALWAYS_SENSITIVE | KL_FLAG_NEVER_EXTRACTABLE | KL_FLAG_LOCAL | KL_FLAG_ENCRYPT | KL_FLAG_DECRYPT |
                 KL_FLAG_GENERATED,
        .mechanism = 0x1080, /* CKM_AES_KEY_GEN */
        .created_at = kl_clock->wall(),
        .key_id = { id, sizeof(id) },
    };
    enum kl_rc rc;

    snprintf(label, sizeof(label), "bulk-%06u", number);
    record.label = kl_view_text(label);
    memcpy(record.parent, master->id, sizeof(record.parent));
    KL_TRY(kl_random_uuid(record.id));
    KL_TRY(kl_random_fill(id, sizeof(id)));
    KL_TRY(kl_random_secret(&value, 32));
    KL_TRY(kl_expand(&value, "keyladder/1/commit", record.commitment, sizeof(record.commitment)));
    KL_TRY(kl_seal_value(kl_ladder_serial(ladder), parent, &record, kl_secret_view(&value), &sealed));
    rc = kl_record_write(&record, &room, &row);
    if (rc == KL_OK) rc = kl_txn_add(txn, &row);
    free(sealed);
    return rc;
}

static enum kl_rc add_batch(struct kl_ladder *ladder, const struct kl_record *master, const struct kl_key *parent, unsigned from,
                            unsigned to)
{
    struct kl_commit commit;
    struct kl_txn *txn = NULL;

    KL_TRY(kl_store_begin(ladder->store, &txn));
    for (unsigned number = from; number < to; number++) {
        enum kl_rc rc = add_one(ladder, txn, master, parent, number);

        if (rc == KL_OK) continue;
        kl_txn_abort(txn);
        return rc;
    }
    return kl_txn_commit(txn, &commit);
}

static enum kl_rc run(const char *path, const char *pin, unsigned first, unsigned count)
{
    KL_AUTO(kl_record) master = { 0 };
    struct kl_conf *conf = NULL;
    struct kl_ladder *ladder = NULL;
    struct kl_key *parent = NULL;
    enum kl_rc rc = kl_conf_load(path, &conf);

    if (rc == KL_OK) rc = kl_ladder_new(conf, kl_conf_at(conf, KL_CONF_TOKEN, 0), &ladder);
    if (rc == KL_OK) rc = kl_ladder_login(ladder, KL_ROLE_USER, kl_view_text(pin));
    if (rc == KL_OK) rc = kl_ladder_find(ladder, kl_view_text("master"), &master);
    if (rc == KL_OK) rc = kl_ladder_open_key(ladder, &master, &parent);
    for (unsigned at = first; rc == KL_OK && at < first + count; at += BATCH) {
        rc = add_batch(ladder, &master, parent, at, at + BATCH < first + count ? at + BATCH : first + count);
    }
    kl_key_put(parent);
    kl_ladder_free(ladder);
    kl_conf_free(conf);
    return rc;
}

int main(int argc, char **argv)
{
    enum kl_rc rc;

    if (argc < 4) {
        fprintf(stderr, "usage: bulk CONFIGURATION PIN COUNT [FIRST]\n");
        return 2;
    }
    kl_arena_allow_unlocked(true);
    rc = kl_crypto_open();
    if (rc == KL_OK) rc = run(argv[1], argv[2], argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 0, (unsigned)strtoul(argv[3], NULL, 10));
    if (rc != KL_OK) fprintf(stderr, "bulk: %s: %s\n", kl_rc_words(rc), kl_fail_words());
    return rc != KL_OK;
}
