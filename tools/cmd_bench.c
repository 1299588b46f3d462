/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* keyladder bench: how fast this machine is, by the module, by OpenSSL alone and by other modules, in turn. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "bench_case.h"
#include "bench_contender.h"
#include "bench_result.h"
#include "bench_token.h"
#include "file.h"
#include "interrupt.h"
#include "progress.h"

#define MS 1e6
#define SECOND INT64_C(1000000000)

static const char installed[] = KL_PKCS11DIR "/keyladder-pkcs11.so";

struct bench {
    struct kl_cli *cli;
    struct kl_bench_contender contenders[KL_BENCH_CONTENDERS_MAX];
    struct kl_secret pins[KL_BENCH_CONTENDERS_MAX];
    size_t count;
    size_t rounds;
    struct kl_bench_span span;
    int64_t deadline; /* for any one answer */
    struct kl_bench_token token;
    struct kl_token_facts facts; /* of the configured token */
    struct kl_bench_result result;
    struct kl_output picture;
    bool draws;
};

/* --- the command line --- */

static enum kl_rc read_rounds(struct bench *bench)
{
    const char *text = kl_cli_option(bench->cli, KL_OPT_ROUNDS);
    bool is_quick = kl_cli_has(bench->cli, KL_OPT_QUICK);
    char *end;
    long rounds;

    bench->rounds = is_quick ? 3 : 7;
    bench->span = (struct kl_bench_span){ .slice = is_quick ? 2 * MS : 20 * MS, .of_processor = kl_cli_has(bench->cli, KL_OPT_CPU) };
    /* Long enough for a PIN that is stretched on a slow machine. */
    bench->deadline = (is_quick ? 10 : 60) * SECOND;
    if (text == NULL) return KL_OK;
    rounds = strtol(text, &end, 10);
    if (*end != '\0' || end == text || rounds < 1 || rounds > KL_BENCH_ROUNDS_MAX)
        return kl_cli_misuse(bench->cli, "--rounds wants a number from 1 to %d", KL_BENCH_ROUNDS_MAX);
    bench->rounds = (size_t)rounds;
    return KL_OK;
}

/* The length of the NAME= that it begins with, without the sign; 0 for none. A path may have such a sign further on. */
static size_t name_len(const char *spec)
{
    size_t len = strspn(spec, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+.");

    return spec[len] == '=' ? len : 0;
}

/* Cuts ",WORD=value" off the end of `spec`, if it has one. */
static char *cut(char *spec, const char *word)
{
    char *found = strstr(spec, word);

    if (found == NULL) return NULL;
    *found = '\0';
    return found + strlen(word);
}

/* [NAME=]FILE[,token=LABEL][,pin=SOURCE][,args=TEXT], taken apart in place; the last may hold anything. */
static enum kl_rc read_module(struct bench *bench, char *spec)
{
    size_t len = name_len(spec);
    struct kl_bench_contender *contender = &bench->contenders[len == 0 ? 1 : bench->count];
    char *args = cut(spec, ",args="), *pin = cut(spec, ",pin="), *token;

    token = cut(spec, ",token=");
    /* The other way round is meant just as well. */
    if (token == NULL && pin != NULL) token = cut(pin, ",token=");
    if (pin != NULL && !kl_option_names_source(pin)) {
        kl_wipe(pin, strlen(pin));
        return kl_cli_misuse(
            bench->cli, "pin= takes the place where the PIN is kept, never the PIN itself: file:PATH, env:NAME, cred:NAME, fd:N or prompt");
    }
    if (len == 0) {
        if (contender->path != installed)
            return kl_cli_misuse(bench->cli, "--module FILE stands there twice; one more module is NAME=FILE");
        if (token != NULL || pin != NULL || args != NULL)
            return kl_cli_misuse(
                bench->cli,
                "the token of keyladder's own module is said with --token and --pin; another module has a name: NAME=FILE,token=LABEL");
        contender->path = spec;
        return KL_OK;
    }
    spec[len] = '\0';
    if (spec[len + 1] == '\0') return kl_cli_misuse(bench->cli, "%s= wants the module's file", spec);
    for (size_t i = 0; i < bench->count; i++) {
        if (strcasecmp(bench->contenders[i].name, spec) == 0) return kl_cli_misuse(bench->cli, "there are two modules named %s", spec);
    }
    if (bench->count == KL_BENCH_CONTENDERS_MAX)
        return kl_cli_misuse(bench->cli, "there can be %d modules at the most", KL_BENCH_CONTENDERS_MAX - 1);
    *contender = (struct kl_bench_contender){ .name = spec, .path = spec + len + 1, .token = token, .pin_source = pin, .init_args = args };
    bench->count++;
    return KL_OK;
}

static enum kl_rc read_line(struct bench *bench)
{
    struct kl_cli *cli = bench->cli;

    bench->contenders[0] = (struct kl_bench_contender){ .name = "OpenSSL" };
    bench->contenders[1] = (struct kl_bench_contender){ .name = "keyladder", .path = installed, .is_ours = true };
    bench->count = 2;
    KL_TRY(read_rounds(bench));
    KL_TRY(kl_bench_list_check(cli, kl_cli_option(cli, KL_OPT_ONLY)));
    if (kl_cli_has(cli, KL_OPT_PIN) && !kl_cli_has(cli, KL_OPT_TOKEN))
        return kl_cli_misuse(cli, "--pin is for the token that --token names; without it one is made and thrown away");
    for (size_t i = 0; i < cli->args.repeated_count; i++) KL_TRY(read_module(bench, cli->args.repeated[i]));
    return KL_OK;
}

/* --- tokens and PINs --- */

/* The configured token: session objects only. */
static enum kl_rc use_token(struct bench *bench)
{
    struct kl_cli *cli = bench->cli;
    struct kl_bench_contender *ours = &bench->contenders[1];

    KL_TRY(kl_cli_pin(cli, KL_ROLE_USER, &bench->pins[1]));
    KL_TRY(kl_ladder_facts(cli->ladder, &bench->facts));
    ours->token = bench->facts.label;
    ours->serial = bench->facts.serial;
    ours->conf = kl_conf_file(cli->conf);
    /* The module opens the store itself, in another process. */
    kl_ladder_free(cli->ladder);
    cli->ladder = NULL;
    return KL_OK;
}

static enum kl_rc make_token(struct bench *bench)
{
    struct kl_bench_contender *ours = &bench->contenders[1];

    KL_TRY(kl_bench_token_make(&bench->token));
    ours->conf = bench->token.conf;
    ours->makes_token = true;
    return kl_secret_dup(&bench->pins[1], &bench->token.pin);
}

static enum kl_rc gather_pins(struct bench *bench)
{
    /* An arena that could not be locked is no reason not to measure: a bench holds no keys that matter, but for --token. */
    if (!kl_cli_has(bench->cli, KL_OPT_TOKEN)) kl_arena_allow_unlocked(true);
    KL_TRY(kl_cli_has(bench->cli, KL_OPT_TOKEN) ? use_token(bench) : make_token(bench));
    for (size_t i = 2; i < bench->count; i++) {
        char what[160];

        if (bench->contenders[i].pin_source == NULL) continue;
        snprintf(what, sizeof what, "PIN of %s", bench->contenders[i].name);
        KL_TRY(kl_ask_secret(bench->cli, KL_OPT_PIN, bench->contenders[i].pin_source, what, &bench->pins[i]));
    }
    return KL_OK;
}

/* --- measuring --- */

static enum kl_rc start(struct bench *bench)
{
    for (size_t i = 0; i < bench->count; i++) {
        struct kl_bench_contender *contender = &bench->contenders[i];

        KL_TRY(kl_bench_start(contender, &bench->pins[i], &bench->token.so_pin, bench->deadline));
        kl_secret_clear(&bench->pins[i]);
        if (!kl_bench_runs(contender) && i < 2) break;
    }
    return KL_OK;
}

/* Without OpenSSL and keyladder there is nothing to compare. */
static enum kl_rc check_own(struct bench *bench)
{
    for (size_t i = 0; i < 2; i++) {
        const struct kl_bench_contender *contender = &bench->contenders[i];
        enum kl_rc rc;

        if (kl_bench_runs(contender)) continue;
        rc = kl_fail(KL_IO, "%s (%s): %s", contender->name, contender->path == NULL ? "the library" : contender->path, contender->failure);
        if (contender->path == installed) return kl_cli_advise(bench->cli, rc, "make install, or point to a module with --module FILE.");
        return rc;
    }
    return KL_OK;
}

/* One work by everybody, one after the other, so that a slow moment of the machine hits all. */
static enum kl_rc measure(struct bench *bench, size_t work, size_t round)
{
    for (size_t i = 0; i < bench->count; i++) {
        struct kl_bench_cell *cell = kl_bench_cell_at(&bench->result, work, i);
        unsigned long rv;
        double ns = 0;

        /* What was refused once is not asked for again. */
        if (!kl_bench_runs(&bench->contenders[i]) || cell->rv != 0) continue;
        KL_TRY(kl_bench_ask(&bench->contenders[i], work, &bench->span, bench->deadline, &rv, &ns));
        if (!kl_bench_runs(&bench->contenders[i])) continue;
        cell->rv = rv;
        if (rv == 0) cell->ns[round] = ns;
    }
    return KL_OK;
}

static enum kl_rc run_rounds(struct bench *bench)
{
    struct kl_progress progress;
    enum kl_rc rc = KL_OK;
    size_t works = kl_bench_case_count();

    kl_progress_begin(&progress, "measuring");
    for (size_t round = 0; round < bench->rounds && rc == KL_OK; round++) {
        for (size_t work = 0; work < works && rc == KL_OK; work++) {
            if (!kl_bench_list_has(bench->result.only, kl_bench_cases[work].group)) continue;
            kl_progress_count(&progress, round * works + work, bench->rounds * works, kl_bench_cases[work].title);
            rc = measure(bench, work, round);
            if (rc == KL_OK) rc = check_own(bench);
        }
    }
    kl_progress_end(&progress);
    return rc;
}

/* --- answers --- */

static enum kl_rc draw(struct bench *bench)
{
    char *picture;
    enum kl_rc rc;

    if (!bench->draws) return KL_OK;
    picture = kl_bench_draw(&bench->result);
    if (picture == NULL) return kl_fail(KL_MEMORY, "out of memory");
    rc = kl_output_write(&bench->picture, kl_view_text(picture));
    free(picture);
    KL_TRY(rc);
    return kl_output_commit(&bench->picture);
}

static enum kl_rc answer(struct bench *bench)
{
    KL_TRY(draw(bench));
    for (size_t i = 2; i < bench->count; i++) {
        if (kl_bench_runs(&bench->contenders[i])) continue;
        kl_cli_note("%s (%s): %s", bench->contenders[i].name, bench->contenders[i].path, bench->contenders[i].failure);
        bench->cli->status = KL_EXIT_ATTENTION;
    }
    if (kl_cli_is_json(bench->cli)) return kl_bench_print_json(bench->cli, &bench->result);
    kl_bench_print_table(&bench->result);
    return KL_OK;
}

static enum kl_rc bench_all(struct bench *bench)
{
    const char *svg = kl_cli_option(bench->cli, KL_OPT_SVG_FILE);

    KL_TRY(read_line(bench));
    if (svg != NULL) {
        KL_TRY(kl_output_open(svg, &bench->picture));
        bench->draws = true;
    }
    KL_TRY(gather_pins(bench));
    KL_TRY(kl_bench_result_new(&bench->result, bench->contenders, bench->count, bench->rounds));
    bench->result.of_processor = bench->span.of_processor;
    bench->result.only = kl_cli_option(bench->cli, KL_OPT_ONLY);
    KL_TRY(start(bench));
    KL_TRY(check_own(bench));
    KL_TRY(run_rounds(bench));
    return answer(bench);
}

static enum kl_rc run(struct kl_cli *cli)
{
    struct bench bench = { .cli = cli };
    enum kl_rc rc = bench_all(&bench);

    for (size_t i = 0; i < bench.count; i++) {
        kl_bench_stop(&bench.contenders[i]);
        kl_secret_clear(&bench.pins[i]);
    }
    kl_bench_token_clear(&bench.token);
    kl_bench_result_clear(&bench.result);
    if (bench.draws) kl_output_discard(&bench.picture);
    return rc;
}

static const enum kl_opt options[] = { KL_OPT_PIN,   KL_OPT_CPU,    KL_OPT_MODULES,  KL_OPT_ONLY,
                                       KL_OPT_QUICK, KL_OPT_ROUNDS, KL_OPT_SVG_FILE, KL_OPT_NONE };

const struct kl_command kl_command_bench = {
    .name = "bench",
    .operands = "",
    .summary = "speed on this machine, against OpenSSL alone and any other module",
    .details =
        "Measures the installed module with a token that is made for it and removed; with --token a configured one, session objects\n"
        "only. --module FILE measures that module instead, --module NAME=FILE,token=LABEL,pin=SOURCE one more. Exit status 3 where\n"
        "one of those could not be measured.",
    .options = options,
    .run = run,
};
