/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The IVs that lately produced ciphertext in one session, key by key: a caller
 * who brings one of the last 64 again under the same key is refused (DESIGN section 7).
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

/* Has it produced ciphertext? `key` is the object's row id, which outlives its handle. Makes room for it: KL_MEMORY. KL_PARAMETER: it has. */
KL_MUST_USE enum kl_rc kl_iv_ring_check(struct kl_session *session, const uint8_t key[KL_ROW_ID_LEN], struct kl_view iv);
/* It is about to. The same results: another operation of the session may have used it since it was checked. */
KL_MUST_USE enum kl_rc kl_iv_ring_use(struct kl_session *session, const uint8_t key[KL_ROW_ID_LEN], struct kl_view iv);

#endif
