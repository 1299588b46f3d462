/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A token of its own in a temporary folder: local root with a generated passphrase, the store on disk. */
#ifndef KL_TEST_FIXTURE_H
#define KL_TEST_FIXTURE_H

#include <stdbool.h>

#include "base/conf.h"
#include "ladder/ladder.h"

#define FIXTURE_USER_PIN "user-pin-1"
#define FIXTURE_SO_PIN "so-pin-1"

struct fixture {
    char folder[64];
    char conf_path[128];
    char store_path[128];
    char passphrase_path[128];
    struct kl_conf *conf;
    struct kl_ladder *ladder;
};

/* A folder, a configuration and a ladder without a token. False: the test cannot go on. */
bool fixture_begin(struct fixture *fixture);
/* The same, a token in it, and the user logged in. */
bool fixture_begin_logged_in(struct fixture *fixture);
/* Opens the same token anew, as another process would, and logs the user in. */
bool fixture_reopen(struct fixture *fixture);
void fixture_end(struct fixture *fixture);

/* Derives a token key below `parent` (a label); 32 bytes, AES. */
enum kl_rc fixture_derive(struct fixture *fixture, const char *parent, const char *label, struct kl_record *out, struct kl_key **key);

#endif
