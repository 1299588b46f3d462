/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Who holds the master key: one file and one row per provider (DESIGN 4.2). */
#ifndef KL_ROOT_ROOT_H
#define KL_ROOT_ROOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/conf.h"
#include "base/rc.h"
#include "base/secret.h"

#define KL_ROOT_PLAIN_MAX 64    /* bytes a provider is asked to wrap */
#define KL_ROOT_SEALED_MAX 8192 /* bytes of one sealed copy */
#define KL_ROOT_META_MAX 4096   /* bytes of the provider's own metadata beside it */

/* How a call failed; the ladder has one rule for each (DESIGN 4.2). */
enum kl_root_class { KL_ROOT_CLASS_OK, KL_ROOT_CLASS_UNREACHABLE, KL_ROOT_CLASS_DENIED, KL_ROOT_CLASS_REFUSED, KL_ROOT_CLASS_WRONG };

/*
 * What a provider says beside its result: class, words for a person (what is
 * wrong and what to do, no secret), its request id. Cleared by the caller before
 * the call. With a class the result's code does not matter; a failure without
 * one (KL_MEMORY, KL_NOT_FOUND of a passphrase file) is handed up as it is.
 */
struct kl_root_answer {
    enum kl_root_class failure;
    char words[256];
    char request_id[96];
};

/* Bound to what is wrapped, as AAD or encryption context where the service has it. */
struct kl_root_context {
    struct kl_view serial;      /* of the token */
    struct kl_view environment; /* of the token, may be empty */
    const char *purpose;        /* "root" or "user" */
    uint32_t version;           /* of the master */
};

/* One sealed copy as the store keeps it: which root made it, the provider's bytes and its opaque metadata. */
struct kl_root_sealed {
    uint8_t *data; /* KL_ROOT_SEALED_MAX bytes of room when being filled */
    size_t len;
    uint8_t *meta; /* KL_ROOT_META_MAX bytes of room when being filled */
    size_t meta_len;
};

struct kl_root_ops {
    const char *type;  /* as in `type = local` */
    size_t sealed_max; /* bytes that wrapping KL_ROOT_PLAIN_MAX makes at most, and of metadata */
    size_t meta_max;
    bool denies_changed; /* what was changed looks to it as if access were denied */
    /* Reads its settings, keeping no pointer into the configuration; no network, no file. */
    enum kl_rc (*open)(const struct kl_conf_section *section, void **provider);
    void (*close)(void *provider);
    /* deadline: kl_clock->steady() time after which the call must have come back. */
    enum kl_rc (*wrap)(void *provider, const struct kl_root_context *context, const struct kl_secret *plain, int64_t deadline,
                       struct kl_root_sealed *out, struct kl_root_answer *answer);
    enum kl_rc (*unwrap)(void *provider, const struct kl_root_context *context, const struct kl_root_sealed *sealed, int64_t deadline,
                         struct kl_secret *plain, struct kl_root_answer *answer);
    /* NULL where not offered. */
    enum kl_rc (*mac)(void *provider, struct kl_view message, int64_t deadline, uint8_t out[32], struct kl_root_answer *answer);
    enum kl_rc (*describe)(void *provider, int64_t deadline, char *words, size_t cap, struct kl_root_answer *answer);
    enum kl_rc (*rotate)(void *provider, int64_t deadline, struct kl_root_answer *answer);
};

/* A configured root. Its functions may be called by several threads at once. */
struct kl_root;
/* Keeps no pointer into the configuration. KL_CONFIG for a `type` that there is not. */
KL_MUST_USE enum kl_rc kl_root_open(const struct kl_conf_section *section, struct kl_root **out);
/* NULL is allowed. */
void kl_root_close(struct kl_root *root);
const char *kl_root_name(const struct kl_root *root);
const char *kl_root_type(const struct kl_root *root);
size_t kl_root_sealed_max(const struct kl_root *root);
size_t kl_root_meta_max(const struct kl_root *root);
/* Does this result of an unwrapping mean, or may it mean, that the sealed bytes are not what this root made in this context? */
bool kl_root_is_wrong(const struct kl_root *root, enum kl_rc rc);

/*
 * As the table's functions, with the deadline worked out from the settings, the
 * failure's class turned into KL_ROOT_UNREACHABLE, KL_ROOT_DENIED,
 * KL_ROOT_REFUSED or (a sealed copy that is not this root's or was changed) KL_INTEGRITY, and one log line that
 * names root, provider, request id and what to do. KL_ARG for more than
 * KL_ROOT_PLAIN_MAX bytes, none, or a context that is too long. A failed wrap
 * leaves out's lengths at 0, a failed unwrap `plain` empty. No lock may be held across them.
 */
KL_MUST_USE enum kl_rc kl_root_wrap(struct kl_root *root, const struct kl_root_context *context, const struct kl_secret *plain,
                                    struct kl_root_sealed *out);
KL_MUST_USE enum kl_rc kl_root_unwrap(struct kl_root *root, const struct kl_root_context *context, const struct kl_root_sealed *sealed,
                                      struct kl_secret *plain);
KL_MUST_USE enum kl_rc kl_root_describe(struct kl_root *root, char *words, size_t cap);

extern const struct kl_root_ops kl_root_local;

#endif
