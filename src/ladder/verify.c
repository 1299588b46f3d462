/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The whole token looked through: the store's own check, and every row opened. */
#include "ladder/internal.h"

#include <stdio.h>

#include "base/log.h"

struct teller {
    void (*say)(void *user, const char *words);
    void *user;
    uint64_t hurt;
};

static enum kl_rc try_open(struct kl_ladder *ladder, const struct kl_record *record)
{
    struct kl_key *key = NULL;
    KL_AUTO(kl_secret) data = { 0 };
    enum kl_rc rc;

    if (record->class == KL_CLASS_DATA) return kl_ladder_open_data(ladder, record, &data);
    rc = kl_ladder_open_key(ladder, record, &key);
    kl_key_put(key);
    return rc;
}

static void tell(struct teller *teller, const struct kl_record *record, enum kl_rc rc)
{
    char label[128], words[512];

    snprintf(words, sizeof(words), "%s \"%s\": %s", kl_level_title(record->level), kl_log_escape(record->label, label, sizeof(label)),
             kl_fail_words()[0] ? kl_fail_words() : kl_rc_words(rc));
    teller->say(teller->user, words);
    teller->hurt++;
}

enum kl_rc kl_ladder_verify(struct kl_ladder *ladder, void (*say)(void *user, const char *words), void *user,
                            struct kl_store_report *report)
{
    struct kl_query query = { .by = KL_BY_ALL };
    struct kl_cursor cursor = { 0 };
    struct teller teller = { say, user, 0 };
    struct kl_store *store = NULL;

    KL_CHECK(ladder->role == KL_ROLE_USER, KL_NOT_LOGGED_IN);
    KL_TRY(kl_ladder_store(ladder, KL_STORE_EXISTING, &store));
    KL_TRY(kl_store_check(store, say, user, report));
    while (!cursor.done) {
        KL_AUTO(kl_records) found = { 0 };

        KL_TRY(kl_ladder_read(ladder, &query, &cursor, &found));
        for (size_t i = 0; i < found.count; i++) {
            enum kl_rc rc = try_open(ladder, &found.items[i]);

            if (rc == KL_INTEGRITY)
                tell(&teller, &found.items[i], rc);
            else if (rc != KL_OK)
                return rc;
        }
    }
    report->hurt += teller.hurt;
    return KL_OK;
}
