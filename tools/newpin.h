/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* New PINs: generated or asked for, and handed to whoever is to keep them. */
#ifndef KL_TOOLS_NEWPIN_H
#define KL_TOOLS_NEWPIN_H

#include <stdbool.h>

#include "base/rc.h"
#include "base/secret.h"
#include "cli.h"

struct kl_new_pin {
    const char *what;    /* "PIN of token demo" */
    enum kl_opt source;  /* where it is kept, if it is not to be generated */
    enum kl_opt out;     /* the file to write a generated one to */
    const char *setting; /* a source out of the configuration, or NULL; a generated PIN goes there if it is a file */
    bool generate;
    struct kl_secret pin;
    char *written; /* the file that holds it already, until it is of use; NULL if none */
};

/*
 * Fills pin->pin. A generated one lies in its file, synced, before anything depends on it; where there is no file to
 * write, a terminal must be there to show it on: KL_ARG (usage).
 */
KL_MUST_USE enum kl_rc kl_new_pin_make(struct kl_cli *cli, struct kl_new_pin *pin);
/* It is of use now: keeps the file, or shows a generated PIN on the terminal, once. */
void kl_new_pin_keep(struct kl_cli *cli, struct kl_new_pin *pin);
/* Removes a file that was not kept. */
void kl_new_pin_clear(struct kl_new_pin *pin);

#endif
