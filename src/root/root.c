/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "root/root.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define DEADLINE (INT64_C(30) * 1000000000) /* nanoseconds a call may take */

static const struct kl_root_ops *const providers[] = {
    &kl_root_local,
};

struct kl_root {
    const struct kl_root_ops *ops;
    void *provider;
    char *name;
};

static const enum kl_rc class_codes[] = {
    [KL_ROOT_CLASS_UNREACHABLE] = KL_ROOT_UNREACHABLE,
    [KL_ROOT_CLASS_DENIED] = KL_ROOT_DENIED,
    [KL_ROOT_CLASS_REFUSED] = KL_ROOT_REFUSED,
    [KL_ROOT_CLASS_WRONG] = KL_INTEGRITY,
};

static const struct kl_root_ops *provider_find(const char *type)
{
    for (size_t i = 0; i < sizeof providers / sizeof providers[0]; i++)
        if (strcmp(providers[i]->type, type) == 0) return providers[i];
    return NULL;
}

static int64_t deadline_from_now(void)
{
    return kl_clock->steady() + DEADLINE;
}

/* The result of a call: the class decides, where there is one; a failure is said once, here. */
static enum kl_rc judge(const struct kl_root *root, const char *verb, enum kl_rc rc, const struct kl_root_answer *answer)
{
    char words[512];

    if (answer->failure != KL_ROOT_CLASS_OK) rc = class_codes[answer->failure];
    if (rc == KL_OK) return KL_OK;
    if (answer->words[0] != '\0') {
        snprintf(words, sizeof words, "%.*s", (int)sizeof answer->words, answer->words);
    } else {
        const char *said = kl_fail_words();

        snprintf(words, sizeof words, "root %s could not %s: %s", root->name, verb, said[0] != '\0' ? said : kl_rc_words(rc));
    }
    kl_log(KL_LOG_ERROR, "root %s (%s): %s%s%.*s", root->name, root->ops->type, words, answer->request_id[0] != '\0' ? "; request id " : "",
           (int)sizeof answer->request_id, answer->request_id);
    return kl_fail(rc, "%s", words);
}

enum kl_rc kl_root_open(const struct kl_conf_section *section, struct kl_root **out)
{
    const char *type = kl_conf_text(section, KL_SET_TYPE);
    const struct kl_root_ops *ops = type != NULL ? provider_find(type) : NULL;
    struct kl_root *root;
    enum kl_rc rc;

    if (ops == NULL) return kl_fail(KL_CONFIG, "root %s: there is no type %s", kl_conf_name(section), type != NULL ? type : "given");
    root = calloc(1, sizeof *root);
    if (root == NULL) return kl_fail(KL_MEMORY, "no room for root %s", kl_conf_name(section));
    root->ops = ops;
    root->name = strdup(kl_conf_name(section));
    rc = root->name != NULL ? ops->open(section, &root->provider) : kl_fail(KL_MEMORY, "no room for a root's name");
    if (rc != KL_OK) {
        free(root->name);
        free(root);
        return rc;
    }
    *out = root;
    return KL_OK;
}

void kl_root_close(struct kl_root *root)
{
    if (root == NULL) return;
    root->ops->close(root->provider);
    free(root->name);
    free(root);
}

const char *kl_root_name(const struct kl_root *root)
{
    return root->name;
}

const char *kl_root_type(const struct kl_root *root)
{
    return root->ops->type;
}

size_t kl_root_sealed_max(const struct kl_root *root)
{
    return root->ops->sealed_max;
}

size_t kl_root_meta_max(const struct kl_root *root)
{
    return root->ops->meta_max;
}

bool kl_root_is_wrong(const struct kl_root *root, enum kl_rc rc)
{
    return rc == KL_INTEGRITY || (rc == KL_ROOT_DENIED && root->ops->denies_changed);
}

enum kl_rc kl_root_wrap(struct kl_root *root, const struct kl_root_context *context, const struct kl_secret *plain,
                        struct kl_root_sealed *out)
{
    struct kl_root_answer answer = { .failure = KL_ROOT_CLASS_OK };
    enum kl_rc rc;

    KL_CHECK(plain->len > 0 && plain->len <= KL_ROOT_PLAIN_MAX, KL_ARG);
    kl_fail_forget();
    out->len = 0;
    out->meta_len = 0;
    rc = root->ops->wrap(root->provider, context, plain, deadline_from_now(), out, &answer);
    if (rc == KL_OK && (out->len == 0 || out->len > KL_ROOT_SEALED_MAX || out->meta_len > KL_ROOT_META_MAX))
        rc = kl_fail(KL_INTEGRITY, "its answer has an impossible length");
    rc = judge(root, "wrap the master key", rc, &answer);
    if (rc != KL_OK) {
        out->len = 0;
        out->meta_len = 0;
    }
    return rc;
}

enum kl_rc kl_root_unwrap(struct kl_root *root, const struct kl_root_context *context, const struct kl_root_sealed *sealed,
                          struct kl_secret *plain)
{
    struct kl_root_answer answer = { .failure = KL_ROOT_CLASS_OK };
    enum kl_rc rc;

    KL_CHECK(plain->len == 0, KL_ARG);
    kl_fail_forget();
    if (sealed->len == 0 || sealed->len > KL_ROOT_SEALED_MAX || sealed->meta_len > KL_ROOT_META_MAX) {
        answer.failure = KL_ROOT_CLASS_WRONG; /* no provider has made it */
        return judge(root, "unwrap the master key", KL_INTEGRITY, &answer);
    }
    rc = root->ops->unwrap(root->provider, context, sealed, deadline_from_now(), plain, &answer);
    if (rc == KL_OK && (plain->len == 0 || plain->len > KL_ROOT_PLAIN_MAX))
        rc = kl_fail(KL_INTEGRITY, "its answer has an impossible length");
    rc = judge(root, "unwrap the master key", rc, &answer);
    if (rc != KL_OK) kl_secret_clear(plain);
    return rc;
}

enum kl_rc kl_root_describe(struct kl_root *root, char *words, size_t cap)
{
    struct kl_root_answer answer = { .failure = KL_ROOT_CLASS_OK };

    KL_CHECK(cap > 0, KL_ARG);
    words[0] = '\0';
    if (root->ops->describe == NULL) return KL_OK;
    kl_fail_forget();
    return judge(root, "describe itself", root->ops->describe(root->provider, deadline_from_now(), words, cap, &answer), &answer);
}
