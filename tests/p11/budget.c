/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * budget CONFIGURATION PIN LABEL [COUNT]: counts so many more encryptions under the key of that label on the first token of a
 * configuration, without making them, and prints how many are counted then: how a test comes near the end of 2^32.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/lib.h"
#include "ladder/budget.h"
#include "ladder/internal.h"

static enum kl_rc find(struct kl_ladder *ladder, const char *label, uint8_t id[KL_ROW_ID_LEN])
{
    struct kl_query query = { .by = KL_BY_LABEL, .value = kl_view_text(label) };
    struct kl_cursor cursor = { 0 };
    KL_AUTO(kl_records) found = { 0 };

    KL_TRY(kl_ladder_read(ladder, &query, &cursor, &found));
    if (found.count != 1) return kl_fail(KL_NOT_FOUND, "%zu keys are labelled %s", found.count, label);
    memcpy(id, found.items[0].id, KL_ROW_ID_LEN);
    return KL_OK;
}

static enum kl_rc run(struct kl_ladder *ladder, char **argv, uint64_t more)
{
    uint8_t id[KL_ROW_ID_LEN];
    struct kl_store *store = NULL;
    uint64_t got = 0, used = 0;

    KL_TRY(kl_ladder_login(ladder, KL_ROLE_USER, kl_view_text(argv[2])));
    KL_TRY(find(ladder, argv[3], id));
    KL_TRY(kl_ladder_store(ladder, KL_STORE_EXISTING, &store));
    if (more > 0) KL_TRY(kl_store_budget_take(store, id, more, INT64_MAX, &got, &used));
    KL_TRY(kl_budget_used(ladder, id, &used));
    printf("%" PRIu64 "\n", used);
    return KL_OK;
}

int main(int argc, char **argv)
{
    struct kl_conf *conf = NULL;
    struct kl_ladder *ladder = NULL;
    enum kl_rc rc;

    if (argc < 4) {
        fprintf(stderr, "usage: budget CONFIGURATION PIN LABEL [COUNT]\n");
        return 2;
    }
    kl_arena_allow_unlocked(true);
    rc = kl_crypto_open();
    if (rc == KL_OK) rc = kl_conf_load(argv[1], &conf);
    if (rc == KL_OK) rc = kl_ladder_new(conf, kl_conf_at(conf, KL_CONF_TOKEN, 0), &ladder);
    if (rc == KL_OK) rc = run(ladder, argv, argc > 4 ? strtoull(argv[4], NULL, 10) : 0);
    kl_ladder_free(ladder);
    kl_conf_free(conf);
    if (rc != KL_OK) fprintf(stderr, "budget: %s: %s\n", kl_rc_words(rc), kl_fail_words());
    return rc != KL_OK;
}
