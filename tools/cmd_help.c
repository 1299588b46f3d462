/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* keyladder help, and what --help shows. */
#include "help.h"

#include <stdio.h>
#include <string.h>

#include "cli.h"

static const char *const exit_words = "Exit status: 0 done, 1 failed, 2 usage, 3 attention needed. More in keyladder(1).";

static void print_option(enum kl_opt option)
{
    const struct kl_option *row = &kl_options[option];
    char left[40];

    snprintf(left, sizeof left, "%c%c%s --%s%s%s", row->letter == 0 ? ' ' : '-', row->letter == 0 ? ' ' : row->letter,
             row->letter == 0 ? " " : ",", row->name, row->value == NULL ? "" : " ", row->value == NULL ? "" : row->value);
    printf("  %-24s %s\n", left, row->words);
}

static void print_options(const enum kl_opt *options)
{
    for (; *options != KL_OPT_NONE; options++) print_option(*options);
}

void kl_help_all(void)
{
    puts(
        "usage: keyladder COMMAND [--token NAME] [--json] [OPTION]... [OPERAND]...\n\nA key ladder for data at rest: master key, table keys (DEK), "
        "field keys (FEK), record keys (REK).\n");
    for (const struct kl_command *const *command = kl_commands; *command != NULL; command++) {
        printf("  %-10s %s\n", (*command)->name, (*command)->summary);
    }
    puts("\nEvery command knows");
    print_options(kl_options_common);
    printf("\nkeyladder COMMAND --help says more of one. %s\n", exit_words);
}

void kl_help_command(const struct kl_command *command)
{
    printf("usage: keyladder %s [OPTION]...%s%s\n\n%s\n", command->name, command->operands[0] == '\0' ? "" : " ", command->operands,
           command->summary);
    if (command->details[0] != '\0') printf("%s\n", command->details);
    putchar('\n');
    print_options(command->options);
    print_options(kl_options_common);
    printf("\n%s\n", exit_words);
}

/* --- for the shell's completion and for tests --- */

static void print_words(const enum kl_opt *options)
{
    for (; *options != KL_OPT_NONE; options++) printf("--%s%s\n", kl_options[*options].name, kl_options[*options].value == NULL ? "" : "=");
}

static enum kl_rc words(const struct kl_command *command)
{
    if (command == NULL) {
        for (const struct kl_command *const *other = kl_commands; *other != NULL; other++) puts((*other)->name);
    } else {
        print_words(command->options);
    }
    print_words(kl_options_common);
    return KL_OK;
}

static struct kl_json *options_json(const enum kl_opt *options)
{
    struct kl_json *list = kl_json_array();

    for (; *options != KL_OPT_NONE; options++) {
        const struct kl_option *row = &kl_options[*options];
        struct kl_json *json = kl_json_object();

        kl_json_set_text(json, "name", row->name);
        if (row->letter != 0) kl_json_set_bytes(json, "letter", kl_view_of(&row->letter, 1));
        kl_json_set_text(json, "value", row->value);
        kl_json_set_text(json, "words", row->words);
        kl_json_add_take(list, json);
    }
    return list;
}

static enum kl_rc help_json(void)
{
    struct kl_json *json = kl_json_object();
    struct kl_json *list = kl_json_array();

    for (const struct kl_command *const *command = kl_commands; *command != NULL; command++) {
        struct kl_json *one = kl_json_object();

        kl_json_set_text(one, "name", (*command)->name);
        kl_json_set_text(one, "operands", (*command)->operands);
        kl_json_set_text(one, "summary", (*command)->summary);
        kl_json_set_take(one, "options", options_json((*command)->options));
        kl_json_add_take(list, one);
    }
    kl_json_set_take(json, "commands", list);
    kl_json_set_take(json, "options", options_json(kl_options_common));
    return kl_cli_answer(json);
}

static enum kl_rc run(struct kl_cli *cli)
{
    const struct kl_command *command = NULL;

    if (cli->args.count > 0) {
        command = kl_command_find(cli->args.operands[0]);
        if (command == NULL) return kl_cli_misuse(cli, "there is no command %s", cli->args.operands[0]);
    }
    if (kl_cli_has(cli, KL_OPT_WORDS)) return words(command);
    if (kl_cli_is_json(cli)) return help_json();
    if (command == NULL)
        kl_help_all();
    else
        kl_help_command(command);
    return KL_OK;
}

static const enum kl_opt options[] = { KL_OPT_WORDS, KL_OPT_NONE };

const struct kl_command kl_command_help = {
    .name = "help",
    .operands = "[COMMAND]",
    .most = 1,
    .summary = "what there is",
    .details = "",
    .options = options,
    .run = run,
};
