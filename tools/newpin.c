/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "newpin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "crypto/passphrase.h"
#include "file.h"

static enum kl_rc generate(struct kl_cli *cli, struct kl_new_pin *pin)
{
    const char *path = kl_cli_option(cli, pin->out);

    if (path == NULL && pin->setting != NULL && strncmp(pin->setting, "file:", 5) == 0) path = pin->setting + 5;
    if (path == NULL && (isatty(STDOUT_FILENO) != 1 || kl_cli_is_json(cli))) {
        return kl_cli_misuse(cli, "the generated %s has to go somewhere safe: --%s FILE", pin->what, kl_options[pin->out].name);
    }
    KL_TRY(kl_pin_generate(&pin->pin));
    if (path == NULL) return KL_OK;
    KL_TRY(kl_file_write_secret(path, &pin->pin));
    pin->written = strdup(path);
    if (pin->written != NULL) return KL_OK;
    unlink(path);
    return kl_fail(KL_MEMORY, "out of memory");
}

enum kl_rc kl_new_pin_make(struct kl_cli *cli, struct kl_new_pin *pin)
{
    const char *source = kl_cli_option(cli, pin->source);

    if (pin->generate) return generate(cli, pin);
    if (source == NULL) source = pin->setting;
    return kl_ask_new_secret(cli, pin->source, source == NULL ? "prompt" : source, pin->what, &pin->pin);
}

void kl_new_pin_keep(struct kl_cli *cli, struct kl_new_pin *pin)
{
    if (pin->generate && pin->written == NULL) {
        printf("%s: %.*s\n", pin->what, (int)pin->pin.len, (const char *)pin->pin.data);
        fflush(stdout);
    } else if (pin->generate && !kl_cli_is_json(cli)) {
        printf("%s: in %s\n", pin->what, pin->written);
    }
    free(pin->written);
    pin->written = NULL;
}

void kl_new_pin_clear(struct kl_new_pin *pin)
{
    if (pin->written != NULL) unlink(pin->written);
    free(pin->written);
    pin->written = NULL;
    kl_secret_clear(&pin->pin);
}
