/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* keyladder list: every object, a line each. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "census.h"
#include "cli.h"
#include "words.h"

/* One record and what it is asked for. */
static bool is_wanted(const struct kl_record *record, const enum kl_level *only)
{
    return only == NULL || record->level == *only;
}

static enum kl_rc list_json(struct kl_cli *cli, const struct kl_census *census, const enum kl_level *only)
{
    struct kl_json *json = kl_cli_object(cli);
    struct kl_json *objects = kl_json_array();

    for (size_t i = 0; i < census->count; i++) {
        if (is_wanted(&census->items[i], only)) kl_json_add_take(objects, kl_words_json(&census->items[i]));
    }
    kl_json_set_take(json, "objects", objects);
    kl_json_set_number(json, "damaged", census->hurt);
    return kl_cli_answer(json);
}

static void list_text(const struct kl_census *census, const enum kl_level *only)
{
    char label[KL_WORDS_CAP], type[40], date[21];
    int widest = 5;

    for (size_t i = 0; i < census->count; i++) {
        int width = kl_words_width(kl_words_label(census->items[i].label, label));

        if (is_wanted(&census->items[i], only) && width > widest && width <= 60) widest = width;
    }
    printf("%-*s  %-6s  %-3s  %-10s  %-12s  %s\n", widest, "LABEL", "LEVEL", "VER", "STATE", "TYPE", "MADE");
    for (size_t i = 0; i < census->count; i++) {
        const struct kl_record *record = &census->items[i];
        int padding;

        if (!is_wanted(record, only)) continue;
        kl_words_label(record->label, label);
        padding = widest - kl_words_width(label);
        kl_clock_text(record->created_at, date);
        printf("%s%*s  %-6s  %3u  %-10s  %-12s  %s\n", label, padding < 0 ? 0 : padding, "", kl_level_name(record->level), record->version,
               kl_state_name(record->state), kl_words_type(record, type, sizeof type), date);
    }
}

static enum kl_rc run(struct kl_cli *cli)
{
    const char *name = kl_cli_option(cli, KL_OPT_LEVEL);
    struct kl_census census = { 0 };
    enum kl_level level = KL_LEVELS;
    enum kl_rc rc = KL_OK;

    if (name != NULL && !kl_level_from_name(kl_view_text(name), &level)) {
        return kl_cli_misuse(cli, "there is no level %s: master, dek, fek, free or data", name);
    }
    KL_TRY(kl_cli_login(cli, KL_ROLE_USER));
    KL_TRY(kl_census_read(cli->ladder, &census));
    if (kl_cli_is_json(cli)) {
        rc = list_json(cli, &census, name == NULL ? NULL : &level);
    } else {
        list_text(&census, name == NULL ? NULL : &level);
    }
    kl_census_report(cli, &census);
    kl_census_clear(&census);
    return rc;
}

static const enum kl_opt options[] = { KL_OPT_PIN, KL_OPT_LEVEL, KL_OPT_NONE };

const struct kl_command kl_command_list = {
    .name = "list",
    .operands = "",
    .summary = "every key and data object of the token, a line each",
    .details = "",
    .options = options,
    .run = run,
};
