/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A folder of its own with a configuration of two tokens, "demo" and "other", on one local root; KEYLADDER_CONF points to it. */
#ifndef KL_TEST_SANDBOX_H
#define KL_TEST_SANDBOX_H

#include <stdbool.h>

#include "base/bytes.h"
#include "token/token.h"

enum { PROFILES = 3 }; /* objects that are on every token: what profiles it keeps to */

struct sandbox {
    char folder[64];
    char conf[128];
    char so_pin[64]; /* of the generated kind, which cost no time */
    char user_pin[64];
};
extern struct sandbox sandbox;
/* What stands in its [module] beside the rest, whole lines; "" at first. */
extern const char *sandbox_module;

/* Each ends the process where it fails: nothing after it would mean anything. */
void sandbox_begin(void);
void sandbox_end(void);
/* Replaces the configuration. */
void sandbox_configure(const char *text);

/* A sandbox, the module opened, and the token "demo" made, with both PINs. */
struct kl_token *token_begin(void);
void token_end(void);

struct kl_view so_pin(void);
struct kl_view user_pin(void);

#endif
