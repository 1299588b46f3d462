/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* keyladder init: makes a token, its master key sealed under every root, and both PINs. */
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "cli.h"
#include "newpin.h"

struct birth {
    struct kl_new_pin so, user;
    char so_what[160], user_what[160];
    struct kl_view label;
    bool replaces;
};

static enum kl_rc check(struct kl_cli *cli, struct birth *birth)
{
    struct kl_token_facts facts;

    KL_TRY(kl_cli_open(cli));
    KL_TRY(kl_ladder_facts(cli->ladder, &facts));
    birth->replaces = facts.is_initialised;
    if (facts.is_initialised && !kl_cli_has(cli, KL_OPT_REPLACE)) {
        return kl_cli_advise(
            cli, kl_fail(KL_CONFLICT, "token %s is there already, in %s", kl_ladder_name(cli->ladder), kl_ladder_store_path(cli->ladder)),
            "Nothing was changed. With --replace and its SO PIN it is set aside, and a new one begins.");
    }
    if (!facts.is_initialised && kl_cli_has(cli, KL_OPT_REPLACE)) {
        return kl_fail(KL_TOKEN_UNSET, "there is no token %s to replace; leave --replace out", kl_ladder_name(cli->ladder));
    }
    return KL_OK;
}

static enum kl_rc prepare(struct kl_cli *cli, struct birth *birth)
{
    const char *label = kl_cli_option(cli, KL_OPT_LABEL);
    const char *name = kl_ladder_name(cli->ladder);
    bool generate = kl_cli_has(cli, KL_OPT_GENERATE_PINS);

    if (label == NULL) label = name;
    if (label[0] == '\0' || strlen(label) > KL_TOKEN_LABEL_MAX) {
        return kl_cli_misuse(cli, "a token's label has 1 to %d bytes; say one with --label", KL_TOKEN_LABEL_MAX);
    }
    if (!generate && (kl_cli_has(cli, KL_OPT_PIN_OUT) || kl_cli_has(cli, KL_OPT_SO_PIN_OUT))) {
        return kl_cli_misuse(cli, "--pin-out and --so-pin-out are for PINs that are made here: add --generate-pins");
    }
    if (generate && (kl_cli_has(cli, KL_OPT_PIN) || (kl_cli_has(cli, KL_OPT_SO_PIN) && !birth->replaces))) {
        return kl_cli_misuse(cli, "--generate-pins makes the PINs; leave --pin and --so-pin out");
    }
    birth->label = kl_view_text(label);
    snprintf(birth->so_what, sizeof birth->so_what, "SO PIN of token %s", name);
    snprintf(birth->user_what, sizeof birth->user_what, "PIN of token %s", name);
    birth->so = (struct kl_new_pin){ .what = birth->so_what, .source = KL_OPT_SO_PIN, .out = KL_OPT_SO_PIN_OUT };
    birth->user = (struct kl_new_pin){ .what = birth->user_what, .source = KL_OPT_PIN, .out = KL_OPT_PIN_OUT, .generate = generate };
    birth->user.setting = kl_conf_text(cli->section, KL_SET_PIN);
    /* The SO PIN of a token that is replaced opens the way, and stays. */
    birth->so.generate = generate && !birth->replaces;
    return KL_OK;
}

static enum kl_rc take_pins(struct kl_cli *cli, struct birth *birth)
{
    if (birth->replaces) {
        const char *source = kl_cli_option(cli, KL_OPT_SO_PIN);

        KL_TRY(kl_ask_secret(cli, KL_OPT_SO_PIN, source == NULL ? "prompt" : source, birth->so_what, &birth->so.pin));
    } else {
        KL_TRY(kl_new_pin_make(cli, &birth->so));
    }
    return kl_new_pin_make(cli, &birth->user);
}

static enum kl_rc set_user_pin(struct kl_cli *cli, struct birth *birth)
{
    KL_TRY(kl_ladder_login(cli->ladder, KL_ROLE_SO, kl_secret_view(&birth->so.pin)));
    return kl_ladder_pin_init(cli->ladder, kl_secret_view(&birth->user.pin));
}

static enum kl_rc make(struct kl_cli *cli, struct birth *birth)
{
    enum kl_rc rc;

    if (birth->user.pin.len < KL_PIN_MIN || birth->user.pin.len > KL_PIN_MAX) {
        return kl_fail(KL_PIN_LENGTH, "the user's PIN must have %d to %d bytes", KL_PIN_MIN, KL_PIN_MAX);
    }
    KL_TRY(kl_ladder_create(cli->ladder, birth->label, kl_secret_view(&birth->so.pin)));
    kl_new_pin_keep(cli, &birth->so);
    rc = set_user_pin(cli, birth);
    if (rc != KL_OK) return kl_cli_advise(cli, rc, "The token was made, but the user has no PIN yet. Set it with: keyladder pin init");
    kl_new_pin_keep(cli, &birth->user);
    return KL_OK;
}

static enum kl_rc answer(struct kl_cli *cli, const struct birth *birth)
{
    struct kl_token_facts facts;
    struct kl_json *json;

    KL_TRY(kl_ladder_facts(cli->ladder, &facts));
    if (!kl_cli_is_json(cli)) {
        printf("token %s is made: label \"%s\", serial number %s, in %s\n", kl_ladder_name(cli->ladder), facts.label, facts.serial,
               kl_ladder_store_path(cli->ladder));
        return KL_OK;
    }
    json = kl_cli_object(cli);
    kl_json_set_text(json, "label", facts.label);
    kl_json_set_text(json, "serial", facts.serial);
    kl_json_set_text(json, "store", kl_ladder_store_path(cli->ladder));
    kl_json_set_bool(json, "replaced", birth->replaces);
    return kl_cli_answer(json);
}

static enum kl_rc run(struct kl_cli *cli)
{
    struct birth birth = { 0 };
    enum kl_rc rc;

    KL_TRY(check(cli, &birth));
    rc = prepare(cli, &birth);
    if (rc == KL_OK) rc = take_pins(cli, &birth);
    if (rc == KL_OK) rc = make(cli, &birth);
    if (rc == KL_OK) rc = answer(cli, &birth);
    kl_new_pin_clear(&birth.so);
    kl_new_pin_clear(&birth.user);
    return rc;
}

static const enum kl_opt options[] = { KL_OPT_LABEL,   KL_OPT_PIN,        KL_OPT_SO_PIN,  KL_OPT_GENERATE_PINS,
                                       KL_OPT_PIN_OUT, KL_OPT_SO_PIN_OUT, KL_OPT_REPLACE, KL_OPT_NONE };

const struct kl_command kl_command_init = {
    .name = "init",
    .operands = "",
    .summary = "make the token that the configuration describes",
    .details = "Makes the store, a master key sealed under each root, and the PINs of the security officer and of the user.\n"
               "PINs come from --so-pin and --pin (or the pin setting), are asked for, or are made with --generate-pins.",
    .options = options,
    .run = run,
};
