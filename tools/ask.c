/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "ask.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "interrupt.h"

enum { LINE_MAX_LEN = 1024 };

/* --- the terminal --- */

/* The terminal while a secret is typed: no echo, and no stopping with the echo off. */
struct quiet {
    int fd;
    struct termios before;
    struct sigaction stop;
};

static enum kl_rc quiet_begin(struct quiet *quiet)
{
    struct termios silent;
    struct sigaction ignore = { .sa_handler = SIG_IGN };

    if (tcgetattr(quiet->fd, &quiet->before) != 0) return kl_fail(KL_IO, "the terminal cannot be read: %m");
    silent = quiet->before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    silent.c_lflag |= ICANON | ECHONL;
    sigaction(SIGTSTP, &ignore, &quiet->stop);
    if (tcsetattr(quiet->fd, TCSAFLUSH, &silent) == 0) return KL_OK;
    sigaction(SIGTSTP, &quiet->stop, NULL);
    return kl_fail(KL_IO, "the terminal's echo cannot be turned off: %m");
}

static void quiet_end(const struct quiet *quiet)
{
    int ignored = tcsetattr(quiet->fd, TCSAFLUSH, &quiet->before); /* there is nothing else to try */

    (void)ignored;
    sigaction(SIGTSTP, &quiet->stop, NULL);
}

/* One line without its end, into `line`, which has room for LINE_MAX_LEN bytes. */
static enum kl_rc read_line(int fd, struct kl_secret *line)
{
    size_t len = 0;

    for (;;) {
        ssize_t got;

        KL_TRY(kl_interrupt_wait(fd));
        got = read(fd, line->data + len, 1);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return kl_fail(KL_IO, "the terminal cannot be read: %m");
        if (got == 0 || line->data[len] == '\n') break;
        if (++len == LINE_MAX_LEN) return kl_fail(KL_PIN_LENGTH, "that is too long");
    }
    if (len == 0) return kl_fail(KL_PIN_LENGTH, "nothing was typed");
    kl_secret_cut(line, len);
    return KL_OK;
}

static enum kl_rc prompt_on(int fd, const char *what, const char *again, struct kl_secret *out)
{
    struct quiet quiet = { .fd = fd };
    KL_AUTO(kl_secret) line = { 0 };
    enum kl_rc rc;

    KL_TRY(kl_secret_new(&line, LINE_MAX_LEN));
    /* Whoever sees the question may type at once, so the echo is off by then. */
    KL_TRY(quiet_begin(&quiet));
    rc = dprintf(fd, "%s%s: ", what, again) < 0 ? kl_fail(KL_IO, "the terminal cannot be written: %m") : read_line(fd, &line);
    quiet_end(&quiet);
    KL_TRY(rc);
    kl_secret_take(out, &line);
    return KL_OK;
}

static enum kl_rc no_terminal(struct kl_cli *cli, enum kl_opt option, const char *what)
{
    const char *name = kl_options[option].name;
    enum kl_rc rc = kl_fail(KL_NOT_FOUND, "the %s is needed, and there is no terminal to ask on", what);

    if (option == KL_OPT_PIN) {
        return kl_cli_advise(
            cli, rc, "Say where it is kept: --pin file:PATH (or env:NAME, cred:NAME, fd:N), or pin = file:PATH in the [token] section.");
    }
    rc = kl_fail(
        rc, "the %s is needed, and there is no terminal to ask on; say where it is kept: --%s file:PATH (or env:NAME, cred:NAME, fd:N)",
        what, name);
    return rc;
}

/* --- sources --- */

static enum kl_rc prompt(struct kl_cli *cli, enum kl_opt option, const char *what, bool twice, struct kl_secret *out)
{
    KL_AUTO(kl_secret) second = { 0 };
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    enum kl_rc rc;

    if (fd < 0) return no_terminal(cli, option, what);
    rc = prompt_on(fd, what, "", out);
    if (rc == KL_OK && twice) {
        rc = prompt_on(fd, what, ", once more", &second);
        if (rc == KL_OK && !kl_secret_equal(out, &second)) rc = kl_fail(KL_ARG, "the two were not the same; nothing was changed");
    }
    close(fd);
    if (rc != KL_OK) kl_secret_clear(out);
    return rc;
}

static enum kl_rc ask(struct kl_cli *cli, enum kl_opt option, const char *source, const char *what, bool twice, struct kl_secret *out)
{
    if (strcmp(source, "prompt") == 0) return prompt(cli, option, what, twice, out);
    return kl_conf_secret(source, out);
}

enum kl_rc kl_ask_secret(struct kl_cli *cli, enum kl_opt option, const char *source, const char *what, struct kl_secret *out)
{
    return ask(cli, option, source, what, false, out);
}

enum kl_rc kl_ask_new_secret(struct kl_cli *cli, enum kl_opt option, const char *source, const char *what, struct kl_secret *out)
{
    return ask(cli, option, source, what, true, out);
}
