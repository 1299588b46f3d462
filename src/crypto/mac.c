/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "crypto/mac.h"

#include <stdbool.h>

#include "base/secret.h"

static const struct row {
    const struct kl_mac_ops *ops;
    size_t len;
    size_t iv_min, iv_max;
    bool takes_any_key; /* else those of AES */
} rows[KL_MAC_ALGORITHMS] = {
    [KL_MAC_HMAC_SHA256] = { .ops = &kl_mac_hmac, .len = 32, .takes_any_key = true },
    [KL_MAC_HMAC_SHA384] = { .ops = &kl_mac_hmac, .len = 48, .takes_any_key = true },
    [KL_MAC_HMAC_SHA512] = { .ops = &kl_mac_hmac, .len = 64, .takes_any_key = true },
    [KL_MAC_CMAC_AES] = { .ops = &kl_mac_cmac, .len = 16 },
    [KL_MAC_GMAC_AES] = { .ops = &kl_mac_gmac, .len = 16, .iv_min = 1, .iv_max = 128 },
};

/* Lies in the arena, its algorithm's context behind it. */
struct kl_mac {
    const struct row *row;
    bool running;
    _Alignas(64) uint8_t context[];
};

static bool key_is_allowed(const struct row *row, size_t len)
{
    return row->takes_any_key || len == 16 || len == 24 || len == 32;
}

enum kl_rc kl_mac_new(enum kl_mac_algorithm algorithm, struct kl_view key, struct kl_mac **out)
{
    const struct row *row = &rows[algorithm];
    struct kl_mac *mac;
    enum kl_rc rc;

    KL_CHECK(key_is_allowed(row, key.len), KL_KEY_SIZE);
    mac = kl_arena_new(sizeof *mac + row->ops->context_size);
    if (mac == NULL) return kl_fail(KL_MEMORY, "no room for a key");
    mac->row = row;
    rc = row->ops->init(mac->context, algorithm, key);
    if (rc != KL_OK) {
        kl_mac_free(mac);
        return rc;
    }
    *out = mac;
    return KL_OK;
}

void kl_mac_free(struct kl_mac *mac)
{
    if (mac == NULL) return;
    mac->row->ops->clear(mac->context);
    kl_arena_free(mac, sizeof *mac + mac->row->ops->context_size);
}

size_t kl_mac_len(enum kl_mac_algorithm algorithm)
{
    return rows[algorithm].len;
}

enum kl_rc kl_mac_start(struct kl_mac *mac, struct kl_view iv)
{
    mac->running = false;
    KL_CHECK(iv.len >= mac->row->iv_min && iv.len <= mac->row->iv_max, KL_PARAMETER);
    KL_TRY(mac->row->ops->start(mac->context, iv));
    mac->running = true;
    return KL_OK;
}

enum kl_rc kl_mac_update(struct kl_mac *mac, struct kl_view in)
{
    KL_CHECK(mac->running, KL_ARG);
    if (in.len == 0) return KL_OK;
    mac->running = false;
    KL_TRY(mac->row->ops->update(mac->context, in));
    mac->running = true;
    return KL_OK;
}

enum kl_rc kl_mac_finish(struct kl_mac *mac, uint8_t *out)
{
    enum kl_rc rc;

    KL_CHECK(mac->running, KL_ARG);
    mac->running = false;
    rc = mac->row->ops->finish(mac->context, out);
    if (rc != KL_OK) kl_wipe(out, mac->row->len);
    return rc;
}
