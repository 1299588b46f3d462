/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* keyladder show: one key and its versions, or all objects of a label, in full. */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli.h"
#include "ladder/budget.h"
#include "lookup.h"
#include "words.h"

static void print_hex(const char *name, struct kl_view bytes)
{
    char hex[2 * KL_ROW_KEY_ID_MAX + 1];

    if (bytes.len > 0) printf("  %-14s %s\n", name, kl_words_hex(bytes, hex, sizeof hex));
}

static void print_parent(struct kl_cli *cli, const struct kl_record *record)
{
    KL_AUTO(kl_record) parent = { 0 };
    char label[KL_WORDS_CAP];
    enum kl_rc rc;

    if (record->level == KL_LEVEL_MASTER) return;
    rc = kl_ladder_get(cli->ladder, record->parent, kl_view_of(NULL, 0), &parent);
    printf("  %-14s %s\n", "sealed under", rc == KL_OK ? kl_words_label(parent.label, label) : kl_rc_words(rc));
}

/* False where the key never had a use for a budget, or it cannot be read, which is told. */
static bool read_budget(struct kl_cli *cli, const struct kl_record *record, uint64_t *used)
{
    enum kl_rc rc;

    if (record->class != KL_CLASS_SECRET_KEY) return false;
    rc = kl_budget_used(cli->ladder, record->id, used);
    if (rc != KL_OK) {
        kl_cli_note("%s", kl_fail_words());
        cli->status = KL_EXIT_ATTENTION;
    }
    return rc == KL_OK && (*used > 0 || kl_record_has(record, KL_FLAG_ENCRYPT));
}

/* A version that was superseded is not rotated again. */
static bool is_due(struct kl_cli *cli, const struct kl_record *record, uint64_t used)
{
    if (used < KL_BUDGET_DUE || !record->is_active || !kl_state_can_encrypt(record->state)) return false;
    cli->status = KL_EXIT_ATTENTION;
    return true;
}

static void print_budget(struct kl_cli *cli, const struct kl_record *record)
{
    uint64_t used = 0;

    if (!read_budget(cli, record, &used)) return;
    printf("  %-14s %llu of %llu times%s\n", "has encrypted", (unsigned long long)used, (unsigned long long)KL_BUDGET_LIMIT,
           is_due(cli, record, used) ? ": rotate it" : "");
}

static struct kl_json *json_of(struct kl_cli *cli, const struct kl_record *record)
{
    struct kl_json *json = kl_words_json(record);
    uint64_t used = 0;

    if (!read_budget(cli, record, &used)) return json;
    kl_json_set_number(json, "encryptions", (int64_t)used);
    kl_json_set_number(json, "encryptions_left", used < KL_BUDGET_LIMIT ? (int64_t)(KL_BUDGET_LIMIT - used) : 0);
    kl_json_set_bool(json, "due", is_due(cli, record, used));
    return json;
}

static void print_one(struct kl_cli *cli, const struct kl_record *record)
{
    char label[KL_WORDS_CAP], words[KL_WORDS_CAP];
    struct kl_view info = kl_record_extra(record, KL_EXTRA_INFO);

    printf("%s\n", kl_words_label(record->label, label));
    printf("  %-14s %s\n", "is a", kl_level_title(record->level));
    printf("  %-14s %s\n", "type", kl_words_type(record, words, sizeof words));
    printf("  %-14s %u, %s%s\n", "version", record->version, kl_state_name(record->state), record->is_active ? ", the current one" : "");
    print_parent(cli, record);
    kl_clock_text(record->created_at, words);
    printf("  %-14s %s\n", "made", words);
    if (info.data != NULL) printf("  %-14s \"%s\"\n", "derived with", kl_log_escape(info, words, sizeof words));
    if (record->start_date[0] != 0) printf("  %-14s %.8s\n", "start date", (const char *)record->start_date);
    if (record->end_date[0] != 0) printf("  %-14s %.8s\n", "end date", (const char *)record->end_date);
    if (record->class == KL_CLASS_SECRET_KEY) printf("  %-14s %s\n", "may", kl_words_usage(record, words, sizeof words));
    print_budget(cli, record);
    printf("  %-14s %s\n", "version's id", kl_words_uuid(record->id, words));
    print_hex("CKA_ID", record->key_id);
    if (record->has_commitment) print_hex("in envelopes", kl_view_of(record->commitment, KL_COMMITMENT_LEN));
}

static enum kl_rc print_json(struct kl_cli *cli, const struct kl_found *found)
{
    struct kl_json *json = kl_cli_object(cli);
    struct kl_json *objects = kl_json_array();

    for (size_t i = 0; i < found->count; i++) kl_json_add_take(objects, json_of(cli, &found->items[i]));
    kl_json_set_take(json, "objects", objects);
    return kl_cli_answer(json);
}

static enum kl_rc run(struct kl_cli *cli)
{
    KL_AUTO(kl_found) found = { 0 };

    KL_TRY(kl_cli_login(cli, KL_ROLE_USER));
    KL_TRY(kl_lookup(cli, cli->args.operands[0], &found));
    if (kl_cli_is_json(cli)) return print_json(cli, &found);
    for (size_t i = 0; i < found.count; i++) print_one(cli, &found.items[i]);
    if (found.more) kl_cli_note("there are more of that name; keyladder list shows all");
    return KL_OK;
}

static const enum kl_opt options[] = { KL_OPT_PIN, KL_OPT_NONE };

const struct kl_command kl_command_show = {
    .name = "show",
    .operands = "PATH",
    .least = 1,
    .most = 1,
    .summary = "one key and its versions in full; exit status 3 where one is due for rotation",
    .details = "PATH is a key's path or label (users/email, users.email), its CKA_ID, or the id of one version.",
    .options = options,
    .run = run,
};
