/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/lib.h"
#include "crypto/passphrase.h"

static bool write_file(const char *path, const char *text, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    bool ok = fd >= 0 && write(fd, text, len) == (ssize_t)len;

    if (fd >= 0) close(fd);
    return ok;
}

static bool open_ladder(struct fixture *fixture)
{
    if (kl_conf_load(fixture->conf_path, &fixture->conf) != KL_OK) return false;
    return kl_ladder_new(fixture->conf, kl_conf_at(fixture->conf, KL_CONF_TOKEN, 0), &fixture->ladder) == KL_OK;
}

bool fixture_begin(struct fixture *fixture)
{
    KL_AUTO(kl_secret) passphrase = { 0 };
    char text[1024];

    memset(fixture, 0, sizeof(*fixture));
    snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/kl-ladder-XXXXXX");
    if (!mkdtemp(fixture->folder)) return false;
    snprintf(fixture->conf_path, sizeof(fixture->conf_path), "%s/keyladder.conf", fixture->folder);
    snprintf(fixture->store_path, sizeof(fixture->store_path), "%s/token.db", fixture->folder);
    snprintf(fixture->passphrase_path, sizeof(fixture->passphrase_path), "%s/passphrase", fixture->folder);
    snprintf(text, sizeof(text),
             "[module]\nlock_memory = try\n[token \"test\"]\nstore = sqlite:%s\nroots = local\npin_memory = 8MiB\n"
             "[root \"local\"]\ntype = local\npassphrase = file:%s\n[log]\ntarget = none\n",
             fixture->store_path, fixture->passphrase_path);
    kl_arena_allow_unlocked(true);
    if (kl_crypto_open() != KL_OK || kl_pin_generate(&passphrase) != KL_OK) return false;
    if (!write_file(fixture->conf_path, text, strlen(text))) return false;
    if (!write_file(fixture->passphrase_path, (const char *)passphrase.data, passphrase.len)) return false;
    return open_ladder(fixture);
}

bool fixture_begin_logged_in(struct fixture *fixture)
{
    if (!fixture_begin(fixture)) return false;
    if (kl_ladder_create(fixture->ladder, kl_view_text("test token"), kl_view_text(FIXTURE_SO_PIN)) != KL_OK) return false;
    if (kl_ladder_login(fixture->ladder, KL_ROLE_SO, kl_view_text(FIXTURE_SO_PIN)) != KL_OK) return false;
    if (kl_ladder_pin_init(fixture->ladder, kl_view_text(FIXTURE_USER_PIN)) != KL_OK) return false;
    if (kl_ladder_logout(fixture->ladder) != KL_OK) return false;
    return kl_ladder_login(fixture->ladder, KL_ROLE_USER, kl_view_text(FIXTURE_USER_PIN)) == KL_OK;
}

static void close_ladder(struct fixture *fixture)
{
    kl_ladder_free(fixture->ladder);
    kl_conf_free(fixture->conf);
    fixture->ladder = NULL;
    fixture->conf = NULL;
}

bool fixture_reopen(struct fixture *fixture)
{
    close_ladder(fixture);
    if (!open_ladder(fixture)) return false;
    return kl_ladder_login(fixture->ladder, KL_ROLE_USER, kl_view_text(FIXTURE_USER_PIN)) == KL_OK;
}

void fixture_end(struct fixture *fixture)
{
    char command[128];

    close_ladder(fixture);
    snprintf(command, sizeof(command), "rm -rf %s", fixture->folder);
    if (fixture->folder[0] && system(command) != 0) fprintf(stderr, "left behind: %s\n", fixture->folder);
}

enum kl_rc fixture_derive(struct fixture *fixture, const char *parent, const char *label, struct kl_record *out, struct kl_key **key)
{
    KL_AUTO(kl_record) above = { 0 };
    struct kl_commit commit;
    struct kl_request request = {
        .key_type = KL_TYPE_AES,
        .length = 32,
        .flags = KL_FLAG_PRIVATE | KL_FLAG_SENSITIVE | KL_FLAG_ALWAYS_SENSITIVE | KL_FLAG_NEVER_EXTRACTABLE | KL_FLAG_ENCRYPT |
                 KL_FLAG_DECRYPT | KL_FLAG_DERIVE,
        .is_token = true,
        .label = kl_view_text(label),
        .info = kl_view_text(label),
    };

    KL_TRY(kl_ladder_find(fixture->ladder, kl_view_text(parent), &above));
    return kl_ladder_derive(fixture->ladder, &above, &request, out, key, &commit);
}
