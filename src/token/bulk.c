/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/bulk.h"

#include <stdlib.h>
#include <string.h>

static KL_COLD enum kl_rc make_room(struct kl_bulk *bulk, size_t len)
{
    size_t cap = bulk->cap ? bulk->cap : 256;
    uint8_t *data;

    while (cap < len) cap *= 2;
    /* On cache lines of its own, as all that a session writes at every call (kl_lines_new). */
    data = aligned_alloc(64, cap);
    KL_CHECK(data, KL_MEMORY);
    if (bulk->len) memcpy(data, bulk->data, bulk->len);
    free(bulk->data);
    bulk->data = data;
    bulk->cap = cap;
    return KL_OK;
}

enum kl_rc kl_bulk_add(struct kl_bulk *bulk, struct kl_view bytes)
{
    if (bytes.len == 0) return KL_OK;
    /* not reached: every caller has a bound of his own. */
    KL_CHECK(bytes.len <= SIZE_MAX / 4 - bulk->len, KL_MEMORY);
    if (bytes.len > bulk->cap - bulk->len) KL_TRY(make_room(bulk, bulk->len + bytes.len));
    memcpy(bulk->data + bulk->len, bytes.data, bytes.len);
    bulk->len += bytes.len;
    return KL_OK;
}
