/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A token for `keyladder bench` alone: a folder with a configuration, made and removed within one run. */
#include "bench_token.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "crypto/passphrase.h"
#include "file.h"

static enum kl_rc write_conf(const struct kl_bench_token *token)
{
    FILE *file = fopen(token->conf, "wxe");
    bool written;

    if (file == NULL) return kl_fail(KL_IO, "%s cannot be written: %m", token->conf);
    /* What cannot be locked here protects nothing. */
    written = fprintf(file,
                      "[module]\nlock_memory = try\n[log]\ntarget = none\n[token \"bench\"]\nstore = sqlite:%s/bench.db\nroots = local\n"
                      "[root \"local\"]\ntype = local\npassphrase = file:%s/passphrase\n",
                      token->folder, token->folder) > 0;
    if (fclose(file) == 0 && written) return KL_OK;
    return kl_fail(KL_IO, "%s cannot be written: %m", token->conf);
}

static enum kl_rc write_passphrase(const struct kl_bench_token *token)
{
    KL_AUTO(kl_secret) passphrase = { 0 };
    char path[sizeof token->conf];

    snprintf(path, sizeof path, "%s/passphrase", token->folder);
    KL_TRY(kl_pin_generate(&passphrase));
    return kl_file_write_secret(path, &passphrase);
}

static enum kl_rc fill(struct kl_bench_token *token)
{
    mode_t before = umask(077);
    enum kl_rc rc = write_conf(token);

    if (rc == KL_OK) rc = write_passphrase(token);
    umask(before);
    if (rc == KL_OK) rc = kl_pin_generate(&token->pin);
    if (rc == KL_OK) rc = kl_pin_generate(&token->so_pin);
    return rc;
}

enum kl_rc kl_bench_token_make(struct kl_bench_token *token)
{
    const char *above = secure_getenv("TMPDIR");
    char folder[sizeof token->folder];
    char whole[PATH_MAX];

    if (above == NULL || above[0] == '\0') above = "/tmp";
    /* The configuration wants whole paths. */
    if (realpath(above, whole) == NULL) return kl_fail(KL_IO, "no token can be made in %s: %m", above);
    if (snprintf(folder, sizeof folder, "%s/keyladder-bench.XXXXXX", whole) >= (int)sizeof folder)
        return kl_fail(KL_ARG, "the path in TMPDIR is too long");
    if (mkdtemp(folder) == NULL) return kl_fail(KL_IO, "no token can be made in %s: %m", whole);
    memcpy(token->folder, folder, sizeof token->folder);
    snprintf(token->conf, sizeof token->conf, "%s/keyladder.conf", token->folder);
    return fill(token);
}

void kl_bench_token_clear(struct kl_bench_token *token)
{
    DIR *folder = token->folder[0] == '\0' ? NULL : opendir(token->folder);

    kl_secret_clear(&token->pin);
    kl_secret_clear(&token->so_pin);
    if (folder == NULL) return;
    /* Whatever a store leaves beside itself; there are no folders in it. */
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) unlinkat(dirfd(folder), entry->d_name, 0);
    }
    closedir(folder);
    if (rmdir(token->folder) != 0) kl_cli_note("%s could not be removed: %s", token->folder, strerror(errno));
    token->folder[0] = '\0';
}
