/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Message authentication in parts: HMAC (RFC 2104), CMAC (SP 800-38B), GMAC (SP 800-38D).
 * A keyed context serves one message at a time and any number in turn.
 */
#ifndef KL_CRYPTO_MAC_H
#define KL_CRYPTO_MAC_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/rc.h"

enum kl_mac_algorithm { KL_MAC_HMAC_SHA256, KL_MAC_HMAC_SHA384, KL_MAC_HMAC_SHA512, KL_MAC_CMAC_AES, KL_MAC_GMAC_AES, KL_MAC_ALGORITHMS };
#define KL_MAC_MAX 64

struct kl_mac;

/*
 * One algorithm, for mac.c's table; it has checked the arguments and wipes the output
 * of what fails. The context lies in the arena, 64-byte aligned, zeroed, `context_size`
 * bytes; `clear` gives back what is kept elsewhere, also after an `init` that failed.
 * `key` does not outlive `init`. After a failure the next call is `start` or `clear`.
 */
struct kl_mac_ops {
    size_t context_size;
    enum kl_rc (*init)(void *context, enum kl_mac_algorithm algorithm, struct kl_view key);
    enum kl_rc (*start)(void *context, struct kl_view iv);
    enum kl_rc (*update)(void *context, struct kl_view in);
    enum kl_rc (*finish)(void *context, uint8_t *out);
    void (*clear)(void *context);
};

/* Keyed context. HMAC: a key of any length, also 0; CMAC, GMAC: 16, 24, 32. KL_KEY_SIZE, KL_MEMORY, KL_CRYPTO. */
KL_MUST_USE enum kl_rc kl_mac_new(enum kl_mac_algorithm algorithm, struct kl_view key, struct kl_mac **out);
/* NULL is allowed. */
void kl_mac_free(struct kl_mac *mac);
size_t kl_mac_len(enum kl_mac_algorithm algorithm);
/*
 * Begins a message; at any time, also after a failure or in the middle. `iv`: GMAC
 * only (1 to 128 bytes), empty elsewhere (KL_PARAMETER); not kept. KL_MEMORY, KL_CRYPTO.
 */
KL_MUST_USE enum kl_rc kl_mac_start(struct kl_mac *mac, struct kl_view iv);
/* Any length. Every failure ends the message (KL_ARG from the call after it). KL_CRYPTO. */
KL_MUST_USE enum kl_rc kl_mac_update(struct kl_mac *mac, struct kl_view in);
/* kl_mac_len bytes to out, zeroed on KL_CRYPTO; ends the message. */
KL_MUST_USE enum kl_rc kl_mac_finish(struct kl_mac *mac, uint8_t *out);

extern const struct kl_mac_ops kl_mac_hmac, kl_mac_cmac, kl_mac_gmac;

#endif
