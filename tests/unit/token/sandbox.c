/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "sandbox.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/secret.h"
#include "crypto/passphrase.h"
#include "token/session.h"

struct sandbox sandbox;
const char *sandbox_module = "";

static void need(bool condition, const char *what)
{
    if (condition) return;
    fprintf(stderr, "sandbox: %s: %s\n", what, kl_fail_words());
    _exit(1);
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    need(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), path);
    close(fd);
}

static void generate(char *out, size_t cap)
{
    KL_AUTO(kl_secret) pin = { 0 };

    need(kl_pin_generate(&pin) == KL_OK && pin.len < cap, "a PIN");
    memcpy(out, pin.data, pin.len);
    out[pin.len] = '\0';
}

void sandbox_configure(const char *text)
{
    write_file(sandbox.conf, text);
}

void sandbox_begin(void)
{
    char path[128], passphrase[64], text[1024];

    memset(&sandbox, 0, sizeof sandbox);
    snprintf(sandbox.folder, sizeof sandbox.folder, "/tmp/kl-token-XXXXXX");
    need(mkdtemp(sandbox.folder) != NULL, sandbox.folder);
    snprintf(sandbox.conf, sizeof sandbox.conf, "%s/keyladder.conf", sandbox.folder);
    snprintf(path, sizeof path, "%s/passphrase", sandbox.folder);
    kl_arena_allow_unlocked(true);
    generate(passphrase, sizeof passphrase);
    generate(sandbox.so_pin, sizeof sandbox.so_pin);
    generate(sandbox.user_pin, sizeof sandbox.user_pin);
    write_file(path, passphrase);
    snprintf(text, sizeof text,
             "[module]\nlock_memory = try\n%s[log]\ntarget = file:%s/log\nlevel = debug\n"
             "[token \"demo\"]\nstore = sqlite:%s/demo.db\nroots = local\npin_memory = 8MiB\n"
             "[token \"other\"]\nstore = sqlite:%s/other.db\nroots = local\npin_memory = 8MiB\n"
             "[root \"local\"]\ntype = local\npassphrase = file:%s/passphrase\n",
             sandbox_module, sandbox.folder, sandbox.folder, sandbox.folder, sandbox.folder);
    sandbox_configure(text);
    need(setenv("KEYLADDER_CONF", sandbox.conf, 1) == 0, "KEYLADDER_CONF");
}

void sandbox_end(void)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf %s", sandbox.folder);
    need(system(command) == 0, command);
}

struct kl_view so_pin(void)
{
    return kl_view_text(sandbox.so_pin);
}

struct kl_view user_pin(void)
{
    return kl_view_text(sandbox.user_pin);
}

struct kl_token *token_begin(void)
{
    CK_SESSION_HANDLE session;
    struct kl_token *token;

    sandbox_begin();
    need(kl_module_open() == KL_OK, "kl_module_open");
    token = kl_token_at(0);
    need(token != NULL, "slot 0");
    need(kl_token_init(token, so_pin(), kl_view_text("demo token                      ")) == KL_OK, "kl_token_init");
    need(kl_session_open(token, CKF_SERIAL_SESSION | CKF_RW_SESSION, &session) == KL_OK, "kl_session_open");
    need(kl_token_login(token, CKU_SO, so_pin()) == KL_OK, "kl_token_login");
    need(kl_token_init_pin(token, true, user_pin()) == KL_OK, "kl_token_init_pin");
    need(kl_session_close(session) == KL_OK, "kl_session_close");
    return token;
}

void token_end(void)
{
    need(kl_module_close() == KL_OK, "kl_module_close");
    sandbox_end();
}
