/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Makes keyladder.conf(5): copies the template on standard input, and where a
 * line says "@settings token" puts the settings of [token] from the table.
 *
 *     tools/gen/conf_man < doc/keyladder.conf.5.in > doc/keyladder.conf.5
 */
#include <stdio.h>
#include <string.h>

#include "base/conf.h"

static const char *const kinds[KL_CONF_KINDS] = {
    [KL_CONF_MODULE] = "module",
    [KL_CONF_TOKEN] = "token",
    [KL_CONF_ROOT] = "root",
    [KL_CONF_LOG] = "log",
};

/* Text as roff wants it: hyphens that are typed as such, no line that begins with a command. */
static void put_text(const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (at == text && (*at == '.' || *at == '\'')) fputs("\\&", stdout);
        if (*at == '-' || *at == '\\') putchar('\\');
        putchar(*at == '\\' ? 'e' : *at);
        /* A sentence a line, so that a change shows as one. */
        if (*at == '.' && at[1] == ' ' && at[2] >= 'A' && at[2] <= 'Z') {
            putchar('\n');
            at++;
        }
    }
}

static void put_setting(struct kl_setting_words words)
{
    fputs(".TP\n.BR ", stdout);
    put_text(words.name);
    fputs(" \" = \\fI", stdout);
    put_text(words.form);
    fputs("\\fP\"\n", stdout);
    put_text(words.words);
    putchar('\n');
    if (words.fallback == NULL) {
        puts("Required.");
    } else if (words.fallback[0] != '\0') {
        fputs("Default: ", stdout);
        put_text(words.fallback);
        puts(".");
    }
    if (!words.restart) puts("A change is seen at the next use, without a restart.");
}

static void put_settings(const char *kind)
{
    for (int i = 0; i < KL_SETTINGS; i++) {
        struct kl_setting_words words = kl_setting_words((enum kl_setting)i);

        if (strcmp(kinds[words.kind], kind) == 0) put_setting(words);
    }
}

int main(void)
{
    static const char mark[] = "@settings ";
    char line[1000];

    while (fgets(line, sizeof line, stdin) != NULL) {
        if (strncmp(line, mark, strlen(mark)) != 0) {
            fputs(line, stdout);
            continue;
        }
        line[strcspn(line, "\n")] = '\0';
        put_settings(line + strlen(mark));
    }
    return ferror(stdin) || fflush(stdout) != 0;
}
