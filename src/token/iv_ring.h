/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The IVs that lately produced ciphertext in one session, key by key: a caller
 * who brings one of the last 64 again under the same key is refused (DESIGN section 7).
 *
 * But for one case: the last IV, if it has made nothing but the tag of no data and no AAD, may be brought again with AAD, once. That is how
 * Java's SunPKCS11 gives up an operation that it began before it knew the AAD, and it shows that tag to nobody.
 */
#ifndef KL_TOKEN_IV_RING_H
#define KL_TOKEN_IV_RING_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/rc.h"
#include "store/row.h"
#include "token/session.h"

#define KL_IV_RING 64      /* IVs remembered under a key */
#define KL_IV_RING_KEYS 16 /* keys remembered in a session: those used last */

struct kl_key_ring;

struct kl_iv {
    uint64_t words[2]; /* its bytes, then zeros; of a longer one the beginning of its digest */
    uint64_t len;      /* UINT64_MAX for a digest; another bit says that it was for nothing */
};

/* An IV that has been checked, and when that was. */
struct kl_iv_seen {
    struct kl_iv iv;
    uint64_t used;
    struct kl_key_ring *ring;
    bool has_aad;
};

/*
 * Has it produced ciphertext? `key` is the object's row id, which outlives its handle. Makes room for it: KL_MEMORY. KL_PARAMETER: it has.
 * *seen serves the session until the operation under this key ends.
 */
KL_MUST_USE enum kl_rc kl_iv_ring_check(struct kl_session *session, const uint8_t key[KL_ROW_ID_LEN], struct kl_view iv, bool has_aad,
                                        struct kl_iv_seen *seen);
/* It is about to. The same results: another operation of the session may have used it since it was checked. */
KL_MUST_USE enum kl_rc kl_iv_ring_use(struct kl_session *session, const uint8_t key[KL_ROW_ID_LEN], const struct kl_iv_seen *seen);
/* The same for the tag of no data and no AAD. */
KL_MUST_USE enum kl_rc kl_iv_ring_use_for_nothing(struct kl_session *session, const uint8_t key[KL_ROW_ID_LEN],
                                                  const struct kl_iv_seen *seen);

#endif
