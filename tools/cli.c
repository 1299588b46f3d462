/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "cli.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "base/log.h"

/* Wrong PINs in a row after which the `pin` setting is no longer tried: a stale file in a timer must not lock the token. */
enum { TRIES_FOR_SETTING = 4 };

/* --- the command line --- */

bool kl_cli_has(const struct kl_cli *cli, enum kl_opt option)
{
    return cli->args.option[option] != NULL;
}

const char *kl_cli_option(const struct kl_cli *cli, enum kl_opt option)
{
    return cli->args.option[option];
}

bool kl_cli_is_json(const struct kl_cli *cli)
{
    return kl_cli_has(cli, KL_OPT_JSON);
}

/* --- what went wrong --- */

enum kl_rc kl_cli_misuse(struct kl_cli *cli, const char *format, ...)
{
    char words[512];
    va_list values;

    va_start(values, format);
    vsnprintf(words, sizeof words, format, values);
    va_end(values);
    cli->status = KL_EXIT_USAGE;
    return kl_fail(KL_ARG, "%s", words);
}

enum kl_rc kl_cli_advise(struct kl_cli *cli, enum kl_rc rc, const char *advice)
{
    if (rc != KL_OK && cli->advice == NULL) cli->advice = advice;
    return rc;
}

void kl_cli_note(const char *format, ...)
{
    va_list values;

    fputs("keyladder: ", stderr);
    va_start(values, format);
    vfprintf(stderr, format, values);
    va_end(values);
    fputc('\n', stderr);
}

/* What to do, where the words that came with the failure do not say it already. */
static const char *usual_advice(enum kl_rc rc)
{
    static const struct {
        enum kl_rc rc;
        const char *words;
    } table[] = {
        { KL_TOKEN_UNSET, "Make it with: keyladder init" },
        { KL_PIN_UNSET, "The security officer sets it with: keyladder pin init" },
        { KL_PIN_LOCKED, "The security officer unlocks the user with: keyladder pin init" },
        { KL_INTEGRITY, "See what is hurt with: keyladder doctor" },
        { KL_BUDGET, "Rotate the key, or let it go on with on_expiry = serve (keyladder.conf(5)); what was encrypted still decrypts." },
        { KL_STORE_BUSY, "Another process writes for long; try again, or raise store_timeout." },
        { KL_STORE_FULL, "Make room on the store's file system; nothing was changed." },
        { KL_LOCKED_MEMORY,
          "Raise the limit (LimitMEMLOCK= in a systemd unit, ulimit -l in a shell), or write lock_memory = try into [module]." },
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].rc == rc) return table[i].words;
    }
    return NULL;
}

static void fail_in_json(enum kl_rc rc, const char *words, const char *advice)
{
    struct kl_json *json = kl_json_object();
    struct kl_json *error = kl_json_object();
    char *text;

    kl_json_set_text(error, "name", kl_rc_name(rc));
    kl_json_set_text(error, "words", words);
    if (advice != NULL) kl_json_set_text(error, "advice", advice);
    kl_json_set_take(json, "error", error);
    text = kl_json_dump(json, 0);
    fprintf(stderr, "%s\n", text == NULL ? "{\"error\":{\"name\":\"MEMORY\",\"words\":\"out of memory\"}}" : text);
    free(text);
    kl_json_free(json);
}

enum kl_exit kl_cli_fail(struct kl_cli *cli, enum kl_rc rc)
{
    const char *words = kl_fail_words();
    const char *advice = cli->advice != NULL ? cli->advice : usual_advice(rc);

    if (*words == '\0') words = kl_rc_words(rc);
    if (kl_cli_is_json(cli)) {
        fail_in_json(rc, words, advice);
    } else {
        kl_cli_note("%s", words);
        if (advice != NULL) kl_cli_note("%s", advice);
    }
    if (cli->status != KL_EXIT_USAGE) return KL_EXIT_FAILED;
    if (!kl_cli_is_json(cli)) {
        kl_cli_note("keyladder %s%s--help says more", cli->command == NULL ? "" : cli->command->name, cli->command == NULL ? "" : " ");
    }
    return KL_EXIT_USAGE;
}

/* --- the configuration and the token --- */

static const char smallest_configuration[] = "Write it (0600); the smallest is\n"
                                             "\n"
                                             "    [token \"demo\"]\n"
                                             "    store = sqlite:/var/lib/keyladder/demo.db\n"
                                             "    roots = local\n"
                                             "    [root \"local\"]\n"
                                             "    type = local\n"
                                             "    passphrase = file:/etc/keyladder/passphrase\n"
                                             "\n"
                                             "and make what it names:\n"
                                             "\n"
                                             "    install -d -m 0700 /etc/keyladder /var/lib/keyladder\n"
                                             "    keyladder pin generate --pin-out /etc/keyladder/passphrase\n"
                                             "\n"
                                             "keyladder.conf(5) has every setting.";

/* The number for a setting that has been checked. */
static enum kl_log_level log_level(const char *text)
{
    static const struct {
        const char *name;
        enum kl_log_level level;
    } levels[] = {
        { "error", KL_LOG_ERROR }, { "warning", KL_LOG_WARNING }, { "notice", KL_LOG_NOTICE },
        { "info", KL_LOG_INFO },   { "debug", KL_LOG_DEBUG },
    };

    for (size_t i = 0; text != NULL && i < sizeof levels / sizeof *levels; i++) {
        if (strcmp(text, levels[i].name) == 0) return levels[i].level;
    }
    return KL_LOG_NOTICE;
}

enum kl_rc kl_cli_configure(struct kl_cli *cli)
{
    char whole[PATH_MAX];
    const char *path = kl_cli_option(cli, KL_OPT_CONF);
    const struct kl_conf_section *module, *log;
    enum kl_rc rc;

    if (cli->conf != NULL) return KL_OK;
    if (path == NULL) {
        kl_conf_path(whole, sizeof whole);
        path = whole;
    } else if (realpath(path, whole) != NULL) {
        path = whole;
    }
    rc = kl_conf_load(path, &cli->conf);
    if (rc == KL_NOT_FOUND) return kl_cli_advise(cli, kl_fail(rc, "the configuration %s does not exist", path), smallest_configuration);
    KL_TRY(rc);
    module = kl_conf_at(cli->conf, KL_CONF_MODULE, 0);
    log = kl_conf_at(cli->conf, KL_CONF_LOG, 0);
    kl_arena_allow_unlocked(strcmp(kl_conf_text(module, KL_SET_LOCK_MEMORY), "try") == 0);
    /* A log that cannot be opened must not keep an administrator from working. */
    rc = kl_log_open(kl_conf_text(log, KL_SET_LOG_TARGET), log_level(kl_conf_text(log, KL_SET_LOG_LEVEL)));
    if (rc != KL_OK) kl_cli_note("no log is written: %s", kl_fail_words());
    return KL_OK;
}

static enum kl_rc which_token(struct kl_cli *cli)
{
    const char *name = kl_cli_option(cli, KL_OPT_TOKEN);
    size_t count = kl_conf_count(cli->conf, KL_CONF_TOKEN);
    char names[256] = "";

    if (count == 0) return kl_fail(KL_CONFIG, "%s has no [token \"NAME\"] section", kl_conf_file(cli->conf));
    if (name == NULL && count == 1) {
        cli->section = kl_conf_at(cli->conf, KL_CONF_TOKEN, 0);
        return KL_OK;
    }
    if (name != NULL) {
        cli->section = kl_conf_find(cli->conf, KL_CONF_TOKEN, name);
        if (cli->section != NULL) return KL_OK;
    }
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(names);

        snprintf(names + len, sizeof names - len, "%s%s", i == 0 ? "" : ", ", kl_conf_name(kl_conf_at(cli->conf, KL_CONF_TOKEN, i)));
    }
    if (name == NULL) return kl_cli_misuse(cli, "there are %zu tokens; say which with --token: %s", count, names);
    return kl_cli_misuse(cli, "%s has no [token \"%s\"]; it has %s", kl_conf_file(cli->conf), name, names);
}

enum kl_rc kl_cli_open(struct kl_cli *cli)
{
    if (cli->ladder != NULL) return KL_OK;
    KL_TRY(kl_cli_configure(cli));
    KL_TRY(which_token(cli));
    return kl_ladder_new(cli->conf, cli->section, &cli->ladder);
}

/* --- logging in --- */

/* Where the PIN is to come from, into *source; "prompt" where nobody said. */
static enum kl_rc pin_source(struct kl_cli *cli, enum kl_role role, const struct kl_token_facts *facts, const char **source)
{
    const char *setting = role == KL_ROLE_USER ? kl_conf_text(cli->section, KL_SET_PIN) : NULL;

    *source = kl_cli_option(cli, role == KL_ROLE_USER ? KL_OPT_PIN : KL_OPT_SO_PIN);
    if (*source != NULL) return KL_OK;
    *source = setting == NULL ? "prompt" : setting;
    if (setting == NULL || strcmp(setting, "prompt") == 0 || facts->user_tries < TRIES_FOR_SETTING) return KL_OK;
    return kl_cli_advise(
        cli,
        kl_fail(KL_PIN_WRONG, "%u wrong PINs in a row: the PIN of the configuration (%s) is not tried again", facts->user_tries, setting),
        "Put the right PIN there, then give it once by hand: --pin prompt");
}

static enum kl_rc say_tries(struct kl_cli *cli, enum kl_role role, enum kl_rc rc)
{
    struct kl_token_facts facts;
    const char *who = role == KL_ROLE_SO ? "the security officer" : "the user";
    uint32_t used;

    if (rc != KL_PIN_WRONG || kl_ladder_facts(cli->ladder, &facts) != KL_OK) return rc;
    used = role == KL_ROLE_SO ? facts.so_tries : facts.user_tries;
    return kl_fail(rc, "wrong PIN for %s of token %s; %u of %d tries are left", who, kl_ladder_name(cli->ladder),
                   used < KL_PIN_TRIES ? KL_PIN_TRIES - used : 0, KL_PIN_TRIES);
}

enum kl_rc kl_cli_pin(struct kl_cli *cli, enum kl_role role, struct kl_secret *pin)
{
    struct kl_token_facts facts;
    const char *source;
    char what[160];

    KL_TRY(kl_cli_open(cli));
    KL_TRY(kl_ladder_facts(cli->ladder, &facts));
    if (!facts.is_initialised) return kl_fail(KL_TOKEN_UNSET, "token %s has not been made yet", kl_ladder_name(cli->ladder));
    KL_TRY(pin_source(cli, role, &facts, &source));
    snprintf(what, sizeof what, "%s of token %s", role == KL_ROLE_SO ? "SO PIN" : "PIN", kl_ladder_name(cli->ladder));
    return kl_ask_secret(cli, role == KL_ROLE_SO ? KL_OPT_SO_PIN : KL_OPT_PIN, source, what, pin);
}

enum kl_rc kl_cli_login(struct kl_cli *cli, enum kl_role role)
{
    KL_AUTO(kl_secret) pin = { 0 };

    KL_TRY(kl_cli_pin(cli, role, &pin));
    return say_tries(cli, role, kl_ladder_login(cli->ladder, role, kl_secret_view(&pin)));
}

void kl_cli_close(struct kl_cli *cli)
{
    kl_ladder_free(cli->ladder);
    cli->ladder = NULL;
    kl_log_close();
    kl_conf_free(cli->conf);
    cli->conf = NULL;
}

/* --- answers --- */

enum kl_rc kl_cli_answer(struct kl_json *json)
{
    char *text = kl_json_dump(json, 2);

    kl_json_free(json);
    if (text == NULL) return kl_fail(KL_MEMORY, "out of memory");
    puts(text);
    free(text);
    return KL_OK;
}

struct kl_json *kl_cli_object(const struct kl_cli *cli)
{
    struct kl_json *json = kl_json_object();

    if (cli->section != NULL) kl_json_set_text(json, "token", kl_conf_name(cli->section));
    return json;
}
