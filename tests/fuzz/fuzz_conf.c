/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The configuration file: any text. */
#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/conf_parts.h"

static char path[160];
static int file = -1;

static void away(void)
{
    unlink(path);
}

void fuzz_begin(void)
{
    snprintf(path, sizeof path, "%s/kl-fuzz-conf-%d", fuzz_temporary(), (int)getpid());
    file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0 || atexit(away) != 0) BROKEN("no file %s", path);
}

/* The words of a mistake begin with the file and a line of it. */
static void check_words(struct kl_view text)
{
    const char *words = kl_fail_words();
    size_t lines = 1;
    unsigned long line;
    char *end;

    for (size_t i = 0; i < text.len; i++) lines += text.data[i] == '\n';
    MUST(strncmp(words, path, strlen(path)) == 0 && words[strlen(path)] == ':');
    if (words[strlen(path) + 1] == ' ') return;
    line = strtoul(words + strlen(path) + 1, &end, 10);
    if (*end != ':' || line == 0 || line > lines) BROKEN("a line that is not there: %s", words);
}

/* Everything that was read can be asked for, and is what a setting of its form may be. */
static void ask(const struct kl_conf_section *section, enum kl_setting setting)
{
    const struct kl_conf_row *row = kl_conf_row(setting);
    const char *text;
    int64_t value;

    if (row->form == KL_FORM_BOOL) {
        (void)kl_conf_is(section, setting);
        return;
    }
    if (row->form == KL_FORM_DURATION || row->form == KL_FORM_SIZE) {
        value = kl_conf_number(section, setting);
        MUST(value >= row->least && value <= row->most);
        return;
    }
    text = kl_conf_text(section, setting);
    MUST(text == NULL || (strlen(text) <= 1000 && kl_view_is_utf8(kl_view_text(text))));
    if (row->form != KL_FORM_NAMES) return;
    for (size_t i = 0; kl_conf_item(section, setting, i) != NULL; i++)
        MUST(kl_conf_is_name(kl_view_text(kl_conf_item(section, setting, i))));
}

/* What is longer than a line may be is refused, whatever it says. */
static bool has_long_line(struct kl_view text)
{
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        len = text.data[i] == '\n' ? 0 : len + 1;
        if (len > 1000) return true;
    }
    return false;
}

static size_t ask_all(const struct kl_conf *conf)
{
    size_t asked = 0;

    for (int kind = 0; kind < KL_CONF_KINDS; kind++) {
        for (size_t i = 0; i < kl_conf_count(conf, (enum kl_conf_kind)kind); i++) {
            const struct kl_conf_section *section = kl_conf_at(conf, (enum kl_conf_kind)kind, i);

            MUST(section != NULL && kl_conf_name(section) != NULL);
            for (int setting = 0; setting < KL_SETTINGS; setting++)
                if (kl_conf_row((enum kl_setting)setting)->words.kind == (enum kl_conf_kind)kind) ask(section, (enum kl_setting)setting);
            asked++;
        }
    }
    return asked;
}

void fuzz_one(void)
{
    struct kl_view text = rest();
    struct kl_conf *conf = NULL, *again = NULL;
    enum kl_rc rc;

    if (ftruncate(file, 0) != 0 || pwrite(file, text.data, text.len, 0) != (ssize_t)text.len) BROKEN("%s: %m", path);
    kl_fail_forget();
    rc = kl_conf_load(path, &conf);
    if (rc != KL_OK) {
        MUST(rc == KL_CONFIG && conf == NULL);
        check_words(text);
        return;
    }
    MUST(!has_long_line(text));
    /* [module] and [log] are there in any case. */
    MUST(ask_all(conf) >= 2);
    MUST(kl_conf_load(path, &again) == KL_OK && ask_all(again) == ask_all(conf));
    kl_conf_free(conf);
    kl_conf_free(again);
}
