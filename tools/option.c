/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "option.h"

#include <stdint.h>
#include <string.h>

#include "base/secret.h"

enum { NAME_CAP = 24 };

const struct kl_option kl_options[KL_OPTS] = {
    [KL_OPT_CONF] = { "conf", 0, "FILE", "read this configuration instead of the usual one", false, false },
    [KL_OPT_HELP] = { "help", 'h', NULL, "show this help", false, false },
    [KL_OPT_JSON] = { "json", 0, NULL, "answer in JSON", false, false },
    [KL_OPT_TOKEN] = { "token", 't', "NAME", "which [token] of the configuration; may be left out where there is one", false, false },
    [KL_OPT_VERSION] = { "version", 0, NULL, "show the version", false, false },

    [KL_OPT_GENERATE_PINS] = { "generate-pins", 0, NULL, "make PINs of the form kl1_… instead of asking for them", false, false },
    [KL_OPT_NEW_PIN] = { "new-pin", 0, "SOURCE", "where the new PIN is kept", true, false },
    [KL_OPT_PIN] = { "pin", 0, "SOURCE", "where the user's PIN is kept: file:PATH, env:NAME, cred:NAME, fd:N or prompt", true, false },
    [KL_OPT_PIN_OUT] = { "pin-out", 0, "FILE", "write the generated PIN to this file (0600)", false, false },
    [KL_OPT_SO] = { "so", 0, NULL, "the security officer's PIN, not the user's", false, false },
    [KL_OPT_SO_PIN] = { "so-pin", 0, "SOURCE", "where the security officer's PIN is kept", true, false },
    [KL_OPT_SO_PIN_OUT] = { "so-pin-out", 0, "FILE", "write the generated SO PIN to this file (0600)", false, false },

    [KL_OPT_AAD] = { "aad", 0, "TEXT", "bind the ciphertext to this text, which is not kept in it", false, false },
    [KL_OPT_CHECK] = { "check", 0, NULL, "one line and the exit status that Nagios understands", false, false },
    [KL_OPT_CPU] = { "cpu", 0, NULL, "time on the processor instead of time on the clock, where there is one thread", false, false },
    [KL_OPT_DOT] = { "dot", 0, NULL, "draw for Graphviz", false, false },
    [KL_OPT_ENVELOPE] = { "envelope", 0, NULL, "one envelope (format 1) instead of a stream; up to 16 MiB", false, false },
    [KL_OPT_ID] = { "id", 0, "HEX", "the CKA_ID of the new key; 16 random bytes if left out", false, false },
    [KL_OPT_INPUT] = { "input", 'i', "FILE", "read this file instead of standard input", false, false },
    [KL_OPT_KEY] = { "key", 'k', "PATH", "the key, as in users/email", false, false },
    [KL_OPT_LABEL] = { "label", 0, "TEXT", "the token's label; the name of its [token] if left out", false, false },
    [KL_OPT_LEVEL] = { "level", 0, "LEVEL", "only master, dek, fek, free or data", false, false },
    [KL_OPT_MODULE] = { "module", 0, "FILE", "look at this module instead of the installed one", false, false },
    [KL_OPT_MODULES] = { "module", 0, "[NAME=]FILE",
                         "measure this module instead of the installed one; with a name, one more: NAME=FILE,token=LABEL,pin=SOURCE", false,
                         true },
    [KL_OPT_ONLY] = { "only", 0, "LIST", "only these: gcm,message,batch,chacha,hmac,hkdf,session,threads,find", false, false },
    [KL_OPT_OUTPUT] = { "output", 'o', "FILE", "write this file instead of standard output; it appears whole or not at all", false, false },
    [KL_OPT_PARENTS] = { "parents", 'p', NULL, "make missing parents too, and let what exists be", false, false },
    [KL_OPT_QUICK] = { "quick", 0, NULL, "in a second or two; the figures are rough", false, false },
    [KL_OPT_RECORD] = { "record", 0, "ID", "use the record's own key, derived from --key and this id", false, false },
    [KL_OPT_REPLACE] = { "replace", 0, NULL, "set the old token aside and begin a new one", false, false },
    [KL_OPT_ROUNDS] = { "rounds", 0, "N", "how many rounds, 1 to 99 (7; with --quick 3)", false, false },
    [KL_OPT_SVG] = { "svg", 0, NULL, "draw as an SVG picture", false, false },
    [KL_OPT_SVG_FILE] = { "svg", 0, "FILE", "draw a bar chart into this file; it appears whole or not at all", false, false },
    [KL_OPT_TYPE] = { "type", 0, "TYPE", "aes (if left out), generic or chacha20", false, false },
    [KL_OPT_WORDS] = { "words", 0, NULL, "one word a line, for the shell's completion", false, false },
};

const enum kl_opt kl_options_common[] = { KL_OPT_CONF, KL_OPT_TOKEN, KL_OPT_JSON, KL_OPT_HELP, KL_OPT_VERSION, KL_OPT_NONE };

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many letters to change, add, leave out or swap with the next (Damerau). */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][NAME_CAP + 1];
    size_t a_len = strlen(a), b_len = strlen(b);

    if (a_len > NAME_CAP || b_len > NAME_CAP) return SIZE_MAX;
    for (size_t j = 0; j <= b_len; j++) rows[0][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i - 1) % 3];

        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            row[j] = smaller(smaller(above[j], row[j - 1]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = smaller(row[j], rows[(i - 2) % 3][j - 2] + 1);
            }
        }
    }
    return rows[a_len % 3][b_len];
}

const char *kl_option_nearest(const char *word, const char *const *names)
{
    const char *best = NULL;
    size_t least = SIZE_MAX;

    for (; *names != NULL; names++) {
        size_t far = strlen(word) > 1 && strncmp(word, *names, strlen(word)) == 0 ? 1 : distance(word, *names);

        if (far < least) {
            least = far;
            best = *names;
        }
    }
    return least <= 1 || (least == 2 && strlen(word) > 4) ? best : NULL;
}

static bool is_in(const enum kl_opt *list, enum kl_opt option)
{
    for (; *list != KL_OPT_NONE; list++) {
        if (*list == option) return true;
    }
    return false;
}

/* The option that is known here and that `name` (len bytes), or with len 1 and `is_letter` its letter, stands for. */
static enum kl_opt find(const enum kl_opt *allowed, const char *name, size_t len, bool is_letter)
{
    for (enum kl_opt option = KL_OPT_NONE + 1; option < KL_OPTS; option++) {
        const struct kl_option *row = &kl_options[option];

        if (!is_in(allowed, option) && !is_in(kl_options_common, option)) continue;
        if (is_letter ? row->letter == *name : strlen(row->name) == len && memcmp(row->name, name, len) == 0) return option;
    }
    return KL_OPT_NONE;
}

static enum kl_rc unknown(const enum kl_opt *allowed, const char *argument)
{
    const char *names[KL_OPTS] = { NULL };
    const char *nearest;
    size_t count = 0;
    char word[NAME_CAP + 1] = "";

    for (enum kl_opt option = KL_OPT_NONE + 1; option < KL_OPTS; option++) {
        if (is_in(allowed, option) || is_in(kl_options_common, option)) names[count++] = kl_options[option].name;
    }
    argument += strspn(argument, "-");
    strncat(word, argument, smaller(strcspn(argument, "="), NAME_CAP));
    nearest = kl_option_nearest(word, names);
    /* What follows an equals sign may be anything, a PIN too: only the name is repeated. */
    if (nearest != NULL) return kl_fail(KL_ARG, "there is no option --%s here; did you mean --%s?", word, nearest);
    return kl_fail(KL_ARG, "there is no option %s%s here", strlen(word) > 1 ? "--" : "-", word);
}

bool kl_option_names_source(const char *value)
{
    static const char *const kinds[] = { "file:", "env:", "cred:", "fd:" };

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strncmp(value, kinds[i], strlen(kinds[i])) == 0) return true;
    }
    return strcmp(value, "prompt") == 0;
}

static enum kl_rc keep(struct kl_arguments *out, enum kl_opt option, char *value)
{
    const struct kl_option *row = &kl_options[option];

    if (row->is_source && !kl_option_names_source(value)) {
        kl_wipe(value, strlen(value));
        return kl_fail(KL_ARG,
                       "--%s takes the place where the PIN is kept, never the PIN itself: file:PATH, env:NAME, cred:NAME, fd:N or prompt",
                       row->name);
    }
    if (row->repeats) {
        if (out->repeated_count == KL_OPT_REPEATED_MAX) return kl_fail(KL_ARG, "--%s stands there too often", row->name);
        out->repeated[out->repeated_count++] = value;
    } else if (out->option[option] != NULL) {
        return kl_fail(KL_ARG, "--%s stands there twice", row->name);
    }
    out->option[option] = value;
    return KL_OK;
}

/* One argument that begins with a dash, and its value; *argv stands on it and is left on the last one used. */
static enum kl_rc read_one(const enum kl_opt *allowed, char ***argv, struct kl_arguments *out)
{
    static char flag[] = "";
    char *argument = **argv;
    bool is_long = argument[1] == '-';
    char *name = argument + (is_long ? 2 : 1);
    size_t len = is_long ? strcspn(name, "=") : 1;
    enum kl_opt option = find(allowed, name, len, !is_long);
    char *value = name[len] == '\0' ? NULL : name + len + (is_long ? 1 : 0);

    if (option == KL_OPT_NONE) return unknown(allowed, argument);
    if (kl_options[option].value == NULL) {
        if (value != NULL) return kl_fail(KL_ARG, "--%s takes no value", kl_options[option].name);
        return keep(out, option, flag);
    }
    if (value == NULL) {
        if ((*argv)[1] == NULL) return kl_fail(KL_ARG, "--%s wants a value: %s", kl_options[option].name, kl_options[option].value);
        value = *++*argv;
    }
    return keep(out, option, value);
}

enum kl_rc kl_options_read(const enum kl_opt *allowed, char **argv, struct kl_arguments *out, char ***rest)
{
    char **operand = argv;

    out->operands = argv;
    for (; *argv != NULL; argv++) {
        if (strcmp(*argv, "--") == 0 && rest == NULL) {
            while (*++argv != NULL) *operand++ = *argv;
            break;
        }
        if ((*argv)[0] == '-' && (*argv)[1] != '\0') {
            KL_TRY(read_one(allowed, &argv, out));
        } else if (rest != NULL) {
            break;
        } else {
            *operand++ = *argv;
        }
    }
    if (rest != NULL) *rest = argv;
    out->count = (size_t)(operand - out->operands);
    return KL_OK;
}
