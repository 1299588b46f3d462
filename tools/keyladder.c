/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* keyladder: the administration tool. A sub-command is one file and one row of kl_commands[]. */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "cli.h"
#include "command.h"
#include "help.h"
#include "interrupt.h"
#include "option.h"

const struct kl_command *const kl_commands[] = {
    &kl_command_init,
    &kl_command_doctor,
    &kl_command_status,
    &kl_command_tree,
    &kl_command_list,
    &kl_command_show,
    &kl_command_create,
    &kl_command_encrypt,
    &kl_command_decrypt,
    &kl_command_pin,
    &kl_command_bench,
    &kl_command_help,
    NULL,
};

const struct kl_command *kl_command_find(const char *name)
{
    for (const struct kl_command *const *command = kl_commands; *command != NULL; command++) {
        if (strcmp((*command)->name, name) == 0) return *command;
    }
    return NULL;
}

static enum kl_rc unknown_command(struct kl_cli *cli, const char *name)
{
    const char *names[sizeof kl_commands / sizeof *kl_commands] = { NULL };
    const char *nearest;

    for (size_t i = 0; kl_commands[i] != NULL; i++) names[i] = kl_commands[i]->name;
    nearest = kl_option_nearest(name, names);
    if (nearest != NULL) return kl_cli_misuse(cli, "there is no command %s; did you mean %s?", name, nearest);
    return kl_cli_misuse(cli, "there is no command %s", name);
}

/* Options, command, its options and operands; cli->command stays NULL where only --help or --version is asked for. */
static enum kl_rc read_line(struct kl_cli *cli, char **argv)
{
    static const enum kl_opt none[] = { KL_OPT_NONE };
    char **rest;

    cli->status = KL_EXIT_USAGE;
    KL_TRY(kl_options_read(none, argv, &cli->args, &rest));
    if (*rest != NULL) {
        cli->command = kl_command_find(*rest);
        if (cli->command == NULL) return unknown_command(cli, *rest);
        KL_TRY(kl_options_read(cli->command->options, rest + 1, &cli->args, NULL));
    } else if (!kl_cli_has(cli, KL_OPT_HELP) && !kl_cli_has(cli, KL_OPT_VERSION)) {
        return kl_cli_misuse(cli, "which command? keyladder help lists them");
    }
    cli->status = KL_EXIT_DONE;
    return KL_OK;
}

static enum kl_rc check_operands(struct kl_cli *cli)
{
    const struct kl_command *command = cli->command;

    if (cli->args.count < command->least) return kl_cli_misuse(cli, "%s wants %s", command->name, command->operands);
    if (cli->args.count <= command->most) return KL_OK;
    if (command->most == 0) return kl_cli_misuse(cli, "%s takes options only, and there is \"%s\"", command->name, cli->args.operands[0]);
    return kl_cli_misuse(cli, "%s takes at most %zu: %s", command->name, command->most, command->operands);
}

static enum kl_rc run(struct kl_cli *cli, char **argv)
{
    KL_TRY(read_line(cli, argv));
    if (kl_cli_has(cli, KL_OPT_VERSION)) {
        puts("keyladder " KL_VERSION);
        return KL_OK;
    }
    if (kl_cli_has(cli, KL_OPT_HELP)) {
        if (cli->command == NULL)
            kl_help_all();
        else
            kl_help_command(cli->command);
        return KL_OK;
    }
    KL_TRY(check_operands(cli));
    return cli->command->run(cli);
}

/* What was printed has to have arrived. */
static enum kl_rc flush(void)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0) return KL_OK;
    return kl_fail(KL_IO, "standard output cannot be written: %m");
}

/* A descriptor that was closed would go to the next file that is opened, and messages into it. */
static void fill_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
        if (open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY) != fd) _exit(KL_EXIT_FAILED);
    }
}

int main(int argc, char **argv)
{
    struct kl_cli cli = { 0 };
    enum kl_exit status;
    enum kl_rc rc;

    fill_standard_descriptors();
    /* LC_ALL and the like decide how the ladder is drawn, and nothing else. */
    setlocale(LC_CTYPE, "");
    /* Nobody but root looks into a process that holds keys; where it cannot be helped, the arena still is not dumped. */
    if (prctl(PR_SET_DUMPABLE, 0) != 0) errno = 0;
    kl_interrupt_catch();
    rc = run(&cli, argv + (argc > 0));
    if (rc == KL_OK) rc = flush();
    status = rc == KL_OK ? cli.status : kl_cli_fail(&cli, rc);
    kl_cli_close(&cli);
    kl_interrupt_pass_on();
    return (int)status;
}
