/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* keyladder pin: changes a PIN, sets the user's anew, makes one. One row of actions[] each. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "cli.h"
#include "crypto/passphrase.h"
#include "file.h"
#include "newpin.h"

static enum kl_rc answer(struct kl_cli *cli, const char *what)
{
    struct kl_json *json;

    if (!kl_cli_is_json(cli)) {
        printf("the %s of token %s is set\n", what, kl_ladder_name(cli->ladder));
        return KL_OK;
    }
    json = kl_cli_object(cli);
    kl_json_set_text(json, "set", what);
    return kl_cli_answer(json);
}

static struct kl_new_pin new_pin(struct kl_cli *cli, const char *what)
{
    return (struct kl_new_pin){
        .what = what, .source = KL_OPT_NEW_PIN, .out = KL_OPT_PIN_OUT, .generate = kl_cli_has(cli, KL_OPT_GENERATE_PINS)
    };
}

/* --- change --- */

static enum kl_rc change_to(struct kl_cli *cli, enum kl_role role, struct kl_new_pin *new)
{
    KL_AUTO(kl_secret) old = { 0 };
    enum kl_opt option = role == KL_ROLE_SO ? KL_OPT_SO_PIN : KL_OPT_PIN;
    const char *source = kl_cli_option(cli, option);

    if (source == NULL && role == KL_ROLE_USER) source = kl_conf_text(cli->section, KL_SET_PIN);
    KL_TRY(kl_ask_secret(cli, option, source == NULL ? "prompt" : source, role == KL_ROLE_SO ? "present SO PIN" : "present PIN", &old));
    KL_TRY(kl_new_pin_make(cli, new));
    KL_TRY(kl_ladder_pin_change(cli->ladder, role, kl_secret_view(&old), kl_secret_view(&new->pin)));
    kl_new_pin_keep(cli, new);
    return answer(cli, role == KL_ROLE_SO ? "SO PIN" : "PIN");
}

static enum kl_rc change(struct kl_cli *cli)
{
    struct kl_new_pin new = new_pin(cli, "new PIN");
    enum kl_rc rc;

    KL_TRY(kl_cli_open(cli));
    rc = change_to(cli, kl_cli_has(cli, KL_OPT_SO) ? KL_ROLE_SO : KL_ROLE_USER, &new);
    kl_new_pin_clear(&new);
    return rc;
}

/* --- init --- */

static enum kl_rc init_user(struct kl_cli *cli)
{
    struct kl_new_pin new = new_pin(cli, "new PIN of the user");
    enum kl_rc rc;

    KL_TRY(kl_cli_login(cli, KL_ROLE_SO));
    rc = kl_new_pin_make(cli, &new);
    if (rc == KL_OK) rc = kl_ladder_pin_init(cli->ladder, kl_secret_view(&new.pin));
    if (rc == KL_OK) kl_new_pin_keep(cli, &new);
    if (rc == KL_OK) rc = answer(cli, "PIN");
    kl_new_pin_clear(&new);
    return rc;
}

/* --- generate --- */

/* Also for the passphrase of a local root; asked for in so many words, so it may go to any standard output. */
static enum kl_rc generate(struct kl_cli *cli)
{
    const char *path = kl_cli_option(cli, KL_OPT_PIN_OUT);
    KL_AUTO(kl_secret) pin = { 0 };
    struct kl_output out = { .fd = STDOUT_FILENO, .folder = -1, .words = "standard output" };

    KL_TRY(kl_pin_generate(&pin));
    if (path != NULL) return kl_file_write_secret(path, &pin);
    KL_TRY(kl_output_write(&out, kl_view_text(kl_cli_is_json(cli) ? "{\"pin\": \"" : "")));
    KL_TRY(kl_output_write(&out, kl_secret_view(&pin)));
    return kl_output_write(&out, kl_view_text(kl_cli_is_json(cli) ? "\"}\n" : "\n"));
}

static const struct {
    const char *name;
    enum kl_rc (*run)(struct kl_cli *cli);
} actions[] = { { "change", change }, { "init", init_user }, { "generate", generate } };

static enum kl_rc run(struct kl_cli *cli)
{
    const char *name = cli->args.operands[0];

    if (kl_cli_has(cli, KL_OPT_PIN_OUT) && !kl_cli_has(cli, KL_OPT_GENERATE_PINS) && strcmp(name, "generate") != 0) {
        return kl_cli_misuse(cli, "--pin-out is for a PIN that is made here: add --generate-pins");
    }
    if (kl_cli_has(cli, KL_OPT_NEW_PIN) && kl_cli_has(cli, KL_OPT_GENERATE_PINS)) {
        return kl_cli_misuse(cli, "--new-pin and --generate-pins exclude each other");
    }
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        if (strcmp(name, actions[i].name) == 0) return actions[i].run(cli);
    }
    return kl_cli_misuse(cli, "pin %s is not known: change, init or generate", name);
}

static const enum kl_opt options[] = { KL_OPT_PIN,           KL_OPT_SO_PIN,  KL_OPT_NEW_PIN, KL_OPT_SO,
                                       KL_OPT_GENERATE_PINS, KL_OPT_PIN_OUT, KL_OPT_NONE };

const struct kl_command kl_command_pin = {
    .name = "pin",
    .operands = "change|init|generate",
    .least = 1,
    .most = 1,
    .summary = "change a PIN, set the user's anew as the security officer, or make one",
    .details = "change: from the present PIN (--pin; with --so the security officer's, --so-pin) to --new-pin.\n"
               "init: the security officer (--so-pin) sets the user's PIN (--new-pin) and unlocks it.\n"
               "generate: prints a new PIN or passphrase of the form kl1_…, or writes it with --pin-out.",
    .options = options,
    .run = run,
};
