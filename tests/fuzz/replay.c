/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Runs a target over files, without libFuzzer: those named, or the target's seeds, $srcdir/tests/fuzz/seeds/NAME for the program
 * fuzz_NAME, and each of them cut short as well. What the module writes to standard error is a failure.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

static const char *current = "";
static int silent_stderr = -1;

static void said(int signal_or_zero)
{
    char words[4096];
    ssize_t got = pread(silent_stderr, words, sizeof words, 0);

    if (got > 0) dprintf(fuzz_stderr, "on standard error: %.*s\n", (int)got, words);
    dprintf(fuzz_stderr, "%s: %s\n", signal_or_zero ? "died" : "failed", current);
}

static void check_stderr(void)
{
    struct stat written;

    if (fstat(silent_stderr, &written) == 0 && written.st_size == 0) return;
    said(0);
    exit(1);
}

static void at_exit(void)
{
    if (*current != '\0') said(1);
}

static void run_file(const char *path)
{
    FILE *file = fopen(path, "rbe");
    uint8_t *text = malloc(1 << 20);
    size_t len = file == NULL || text == NULL ? 0 : fread(text, 1, 1 << 20, file);

    if (file == NULL || text == NULL) BROKEN("%s cannot be read", path);
    fclose(file);
    current = path;
    /* In memory of its own, that ends where the input does. */
    for (size_t cut = 0; cut < 2; cut++) {
        size_t shown = cut ? len / 2 : len;
        uint8_t *copy = malloc(shown ? shown : 1);

        if (copy == NULL) BROKEN("no memory");
        memcpy(copy, text, shown);
        (void)LLVMFuzzerTestOneInput(copy, shown);
        free(copy);
        check_stderr();
    }
    current = "";
    free(text);
}

static size_t run_folder(const char *path)
{
    struct dirent **files = NULL;
    int count = scandir(path, &files, NULL, alphasort);
    size_t ran = 0;

    for (int i = 0; i < count; i++) {
        char name[4096];

        snprintf(name, sizeof name, "%s/%s", path, files[i]->d_name);
        if (files[i]->d_name[0] != '.') {
            run_file(name);
            ran++;
        }
        free(files[i]);
    }
    free(files);
    return ran;
}

/* The seeds of the program that this is; libtool may have put lt- before its name. */
static size_t run_seeds(void)
{
    const char *name = strstr(program_invocation_short_name, "fuzz_"), *top = getenv("srcdir");
    char folder[4096];

    if (name == NULL || top == NULL) BROKEN("name files or folders, or set srcdir");
    snprintf(folder, sizeof folder, "%s/tests/fuzz/seeds/%s", top, name + strlen("fuzz_"));
    return run_folder(folder);
}

int main(int count, char **arguments)
{
    size_t ran = 0;
    struct stat what;

    if (LLVMFuzzerInitialize(&count, &arguments) != 0) return 1;
    silent_stderr = memfd_create("stderr", MFD_CLOEXEC);
    if (silent_stderr < 0 || dup2(silent_stderr, 2) < 0 || atexit(at_exit) != 0) return 1;
    for (int i = 1; i < count; i++) {
        if (stat(arguments[i], &what) == 0 && S_ISDIR(what.st_mode)) {
            ran += run_folder(arguments[i]);
        } else {
            run_file(arguments[i]);
            ran++;
        }
    }
    if (count == 1) ran = run_seeds();
    dprintf(fuzz_stderr, "%zu inputs\n", ran);
    return ran > 0 ? 0 : 1;
}
