/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "base/secret.h"

#include <string.h>

#include "base/arena.h"

enum kl_rc kl_secret_new(struct kl_secret *secret, size_t len)
{
    void *room = NULL;

    KL_CHECK(secret->data == NULL, KL_ARG);
    KL_TRY(kl_arena_take(len, &room));
    secret->data = room;
    secret->len = len;
    return KL_OK;
}

enum kl_rc kl_secret_from(struct kl_secret *secret, struct kl_view bytes)
{
    KL_CHECK(secret->data == NULL, KL_ARG);
    if (bytes.len == 0) return KL_OK;
    KL_TRY(kl_secret_new(secret, bytes.len));
    memcpy(secret->data, bytes.data, bytes.len);
    return KL_OK;
}

enum kl_rc kl_secret_dup(struct kl_secret *copy, const struct kl_secret *secret)
{
    return kl_secret_from(copy, kl_secret_view(secret));
}

void kl_secret_take(struct kl_secret *to, struct kl_secret *from)
{
    if (to == from) return;
    /* Should be empty; if it is not, better wiped than lost. */
    kl_secret_clear(to);
    *to = *from;
    *from = (struct kl_secret){ 0 };
}

void kl_secret_cut(struct kl_secret *secret, size_t len)
{
    if (len >= secret->len) return;
    kl_wipe(secret->data + len, secret->len - len);
    secret->len = len;
    if (len == 0) kl_secret_clear(secret);
}

void kl_secret_clear(struct kl_secret *secret)
{
    if (secret == NULL) return;
    kl_arena_give(secret->data);
    *secret = (struct kl_secret){ 0 };
}

struct kl_view kl_secret_view(const struct kl_secret *secret)
{
    return kl_view_of(secret->data, secret->len);
}

bool kl_secret_equal(const struct kl_secret *a, const struct kl_secret *b)
{
    return a->len == b->len && kl_bytes_equal(a->data, b->data, a->len);
}

void kl_wipe(void *data, size_t len)
{
    if (data != NULL && len > 0) explicit_bzero(data, len);
}
