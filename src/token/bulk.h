/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Bytes that an operation collects: associated data, ciphertext that is held back. Not for secrets. */
#ifndef KL_TOKEN_BULK_H
#define KL_TOKEN_BULK_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/rc.h"

struct kl_bulk {
    uint8_t *data;
    size_t len;
    size_t cap;
};

/* KL_MEMORY. */
KL_MUST_USE enum kl_rc kl_bulk_add(struct kl_bulk *bulk, struct kl_view bytes);

static inline KL_MUST_USE enum kl_rc kl_bulk_set(struct kl_bulk *bulk, struct kl_view bytes)
{
    bulk->len = 0;
    return bytes.len == 0 ? KL_OK : kl_bulk_add(bulk, bytes);
}

static inline struct kl_view kl_bulk_view(const struct kl_bulk *bulk)
{
    return kl_view_of(bulk->data, bulk->len);
}

/* Empties it; the memory stays for the next use if it is no more than `keep` bytes. */
static inline void kl_bulk_empty(struct kl_bulk *bulk, size_t keep)
{
    bulk->len = 0;
    if (bulk->cap <= keep) return;
    free(bulk->data);
    bulk->data = NULL;
    bulk->cap = 0;
}

#endif
