/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* keyladder status: the token at a glance, and whether it wants attention. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "census.h"
#include "cli.h"
#include "ladder/budget.h"
#include "words.h"

enum { ROOTS_MAX = 16, REASONS_MAX = 16 };

struct state {
    struct kl_cli *cli;
    struct kl_token_facts facts;
    struct kl_census census;
    struct root {
        struct kl_root_status facts;
        bool works;
        char words[256]; /* of the provider, or why it does not work */
    } roots[ROOTS_MAX];
    size_t root_count;
    size_t working;                 /* roots that opened the master key just now */
    char reasons[REASONS_MAX][256]; /* for attention */
    size_t reason_count;
    size_t count[KL_LEVELS];
    size_t by_state[KL_STATE_DESTROYED + 1];
    size_t due; /* current versions that have used half of their budget */
};

static void attend(struct state *state, const char *format, ...) KL_PRINTF(2, 3);

static void attend(struct state *state, const char *format, ...)
{
    va_list values;

    state->cli->status = KL_EXIT_ATTENTION;
    if (state->reason_count == REASONS_MAX) return;
    va_start(values, format);
    vsnprintf(state->reasons[state->reason_count++], sizeof *state->reasons, format, values);
    va_end(values);
}

static void note_root(void *user, const struct kl_root_status *status)
{
    struct state *state = user;

    if (state->root_count < ROOTS_MAX) state->roots[state->root_count++].facts = *status;
    if (!status->has_copy) attend(state, "the master key is not sealed under root %s", status->name);
}

/* What a process that starts now would find. */
static void try_root(struct state *state, struct root *root)
{
    enum kl_rc rc = kl_ladder_test_root(state->cli->ladder, root->facts.name, root->words, sizeof root->words);

    root->works = rc == KL_OK;
    if (root->works) {
        state->working++;
        return;
    }
    snprintf(root->words, sizeof root->words, "%s", kl_fail_words()[0] == '\0' ? kl_rc_words(rc) : kl_fail_words());
    attend(state, "root %s does not open the master key: %.180s", root->facts.name, root->words);
}

/* Current versions that encrypt: what was superseded is not rotated again. */
static enum kl_rc judge_budget(void *user, const uint8_t id[KL_ROW_ID_LEN], uint64_t used)
{
    struct state *state = user;
    const struct kl_record *record = used < KL_BUDGET_DUE ? NULL : kl_census_find(&state->census, id);
    char label[KL_WORDS_CAP];

    if (record == NULL || !record->is_active || !kl_state_can_encrypt(record->state)) return KL_OK;
    state->due++;
    attend(state, "%.100s has encrypted %llu of 2^32 times%s: rotate it", kl_words_label(record->label, label), (unsigned long long)used,
           used < KL_BUDGET_LIMIT ? "" : ", and more is not safe");
    return KL_OK;
}

static enum kl_rc look_at_budgets(struct state *state)
{
    enum kl_rc rc = kl_budget_each(state->cli->ladder, judge_budget, state);

    if (rc != KL_INTEGRITY) return rc;
    attend(state, "the counts of encryptions have been tampered with: keyladder doctor");
    return KL_OK;
}

static void judge(struct state *state)
{
    const struct kl_token_facts *facts = &state->facts;

    if (!facts->user_pin_is_set) attend(state, "the user has no PIN: keyladder pin init");
    if (facts->user_tries >= KL_PIN_TRIES)
        attend(state, "the user's PIN is locked: keyladder pin init");
    else if (facts->user_tries > 0)
        attend(state, "%u wrong PIN%s for the user in a row", facts->user_tries, kl_words_plural(facts->user_tries));
    if (facts->so_tries >= KL_PIN_TRIES)
        attend(state, "the SO PIN is locked; only a backup brings it back");
    else if (facts->so_tries > 0)
        attend(state, "%u wrong SO PIN%s in a row", facts->so_tries, kl_words_plural(facts->so_tries));
    if (facts->is_read_only) attend(state, "the store can only be read");
    if (state->census.hurt > 0) attend(state, "%u parts of the store have been tampered with: keyladder doctor", state->census.hurt);
    if (state->by_state[KL_STATE_COMPROMISED] > 0) attend(state, "%zu versions are compromised", state->by_state[KL_STATE_COMPROMISED]);
}

static enum kl_rc gather(struct state *state)
{
    struct kl_cli *cli = state->cli;

    KL_TRY(kl_cli_login(cli, KL_ROLE_USER));
    KL_TRY(kl_census_read(cli->ladder, &state->census));
    for (size_t i = 0; i < state->census.count; i++) {
        state->count[state->census.items[i].level]++;
        if (state->census.items[i].state <= KL_STATE_DESTROYED) state->by_state[state->census.items[i].state]++;
    }
    KL_TRY(look_at_budgets(state));
    KL_TRY(kl_ladder_roots(cli->ladder, note_root, state));
    for (size_t i = 0; i < state->root_count; i++) try_root(state, &state->roots[i]);
    if (state->working == 0) attend(state, "no root opens the master key: a process that starts now will not come up");
    return KL_OK;
}

/* --- answers --- */

static void print_root(const struct root *root)
{
    const char *copy = root->facts.has_copy ? "has a sealed copy of the master key" : "has no copy of the master key";

    printf("  root %s (%s): %s, and %s%s%s\n", root->facts.name, root->facts.type, copy, root->works ? "opens it" : "does not open it",
           root->words[0] == '\0' ? "" : ": ", root->words);
}

static enum kl_rc answer_text(const struct state *state)
{
    const struct kl_token_facts *facts = &state->facts;
    char date[21];

    kl_clock_text(facts->created_at, date);
    printf("token %s\n", kl_ladder_name(state->cli->ladder));
    printf("  label \"%s\", serial number %s%s%s, made %s\n", facts->label, facts->serial,
           facts->environment[0] == '\0' ? "" : ", environment ", facts->environment, date);
    printf("  store %s\n", kl_ladder_store_path(state->cli->ladder));
    for (size_t i = 0; i < state->root_count; i++) print_root(&state->roots[i]);
    printf("  keys: %zu DEK, %zu FEK, %zu free; %zu data object%s\n", state->count[KL_LEVEL_DEK], state->count[KL_LEVEL_FEK],
           state->count[KL_LEVEL_FREE], state->count[KL_LEVEL_DATA], kl_words_plural(state->count[KL_LEVEL_DATA]));
    if (state->reason_count == 0) puts("  all is well");
    for (size_t i = 0; i < state->reason_count; i++) printf("  attention: %s\n", state->reasons[i]);
    return KL_OK;
}

static struct kl_json *roots_json(const struct state *state)
{
    struct kl_json *roots = kl_json_array();

    for (size_t i = 0; i < state->root_count; i++) {
        struct kl_json *root = kl_json_object();

        kl_json_set_text(root, "name", state->roots[i].facts.name);
        kl_json_set_text(root, "type", state->roots[i].facts.type);
        kl_json_set_bool(root, "has_copy", state->roots[i].facts.has_copy);
        kl_json_set_bool(root, "works", state->roots[i].works);
        kl_json_set_text(root, "words", state->roots[i].words);
        kl_json_add_take(roots, root);
    }
    return roots;
}

static enum kl_rc answer_json(const struct state *state)
{
    struct kl_json *json = kl_cli_object(state->cli), *keys = kl_json_object(), *states = kl_json_object(), *reasons = kl_json_array();
    const struct kl_token_facts *facts = &state->facts;
    char date[21];

    kl_clock_text(facts->created_at, date);
    kl_json_set_text(json, "label", facts->label);
    kl_json_set_text(json, "serial", facts->serial);
    kl_json_set_text(json, "environment", facts->environment);
    kl_json_set_text(json, "created", date);
    kl_json_set_text(json, "store", kl_ladder_store_path(state->cli->ladder));
    kl_json_set_bool(json, "read_only", facts->is_read_only);
    kl_json_set_bool(json, "user_pin_set", facts->user_pin_is_set);
    kl_json_set_number(json, "user_tries_used", facts->user_tries);
    kl_json_set_number(json, "so_tries_used", facts->so_tries);
    kl_json_set_take(json, "roots", roots_json(state));
    for (enum kl_level level = KL_LEVEL_MASTER; level < KL_LEVELS; level++) {
        if (level != KL_LEVEL_REK) kl_json_set_number(keys, kl_level_name(level), (int64_t)state->count[level]);
    }
    kl_json_set_take(json, "objects", keys);
    for (uint32_t i = KL_STATE_PRE_ACTIVE; i <= KL_STATE_DESTROYED; i++) {
        if (state->by_state[i] > 0) kl_json_set_number(states, kl_state_name((enum kl_state)i), (int64_t)state->by_state[i]);
    }
    kl_json_set_take(json, "states", states);
    kl_json_set_number(json, "due", (int64_t)state->due);
    for (size_t i = 0; i < state->reason_count; i++) {
        struct kl_json *reason = kl_json_object();

        kl_json_set_text(reason, "words", state->reasons[i]);
        kl_json_add_take(reasons, reason);
    }
    kl_json_set_take(json, "attention", reasons);
    return kl_cli_answer(json);
}

/* --- Nagios --- */

/* Monitoring Plugins Guidelines: one line, 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN. */
static enum kl_rc answer_check(struct state *state, enum kl_rc rc)
{
    static const char *const titles[] = { "OK", "WARNING", "CRITICAL", "UNKNOWN" };
    struct kl_cli *cli = state->cli;
    bool is_unknown = rc == KL_CONFIG || rc == KL_NOT_FOUND || rc == KL_PERMISSION;
    int status = rc != KL_OK ? (is_unknown ? 3 : 2) : state->working == 0 ? 2 : state->reason_count > 0 ? 1 : 0;

    if (cli->status == KL_EXIT_USAGE) return rc;
    printf("KEYLADDER %s - %s: ", titles[status], cli->ladder == NULL ? "?" : kl_ladder_name(cli->ladder));
    if (rc != KL_OK) {
        printf("%.*s", (int)strcspn(kl_fail_words(), "\n|"), kl_fail_words()[0] == '\0' ? kl_rc_words(rc) : kl_fail_words());
    } else if (state->reason_count > 0) {
        fputs(state->reasons[0], stdout);
    } else {
        printf("%zu DEK, %zu FEK, %zu root%s", state->count[KL_LEVEL_DEK], state->count[KL_LEVEL_FEK], state->root_count,
               kl_words_plural(state->root_count));
    }
    printf(" | dek=%zu fek=%zu free=%zu due=%zu\n", state->count[KL_LEVEL_DEK], state->count[KL_LEVEL_FEK], state->count[KL_LEVEL_FREE],
           state->due);
    cli->status = (enum kl_exit)status;
    return KL_OK;
}

static enum kl_rc look(struct state *state)
{
    struct kl_cli *cli = state->cli;

    KL_TRY(kl_cli_open(cli));
    KL_TRY(kl_ladder_facts(cli->ladder, &state->facts));
    if (!state->facts.is_initialised) return kl_fail(KL_TOKEN_UNSET, "token %s has not been made yet", kl_ladder_name(cli->ladder));
    KL_TRY(gather(state));
    judge(state);
    return KL_OK;
}

static enum kl_rc run(struct kl_cli *cli)
{
    struct state state = { .cli = cli };
    enum kl_rc rc = look(&state);

    if (kl_cli_has(cli, KL_OPT_CHECK)) {
        rc = answer_check(&state, rc);
    } else if (rc == KL_OK) {
        rc = kl_cli_is_json(cli) ? answer_json(&state) : answer_text(&state);
    }
    kl_census_clear(&state.census);
    return rc;
}

static const enum kl_opt options[] = { KL_OPT_PIN, KL_OPT_CHECK, KL_OPT_NONE };

const struct kl_command kl_command_status = {
    .name = "status",
    .operands = "",
    .summary = "the token, its roots and its keys at a glance; exit status 3 where something wants attention",
    .details = "--check answers as a Nagios plug-in: one line, exit status 0 ok, 1 warning, 2 critical, 3 unknown.",
    .options = options,
    .run = run,
};
