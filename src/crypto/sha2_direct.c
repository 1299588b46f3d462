/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* SHA-2 by OpenSSL's own functions for it: deprecated, since a program that calls them gets no provider, which is what we want here. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypto/sha2.h"

#include "config.h"

#ifdef HAVE_DIRECT_SHA2

#include <openssl/sha.h>
#include <string.h>

_Static_assert(sizeof(SHA256_CTX) <= KL_SHA2_ROOM && sizeof(SHA512_CTX) <= KL_SHA2_ROOM, "a state has room for OpenSSL's");

static enum kl_rc result(int good)
{
    return good == 1 ? KL_OK : kl_fail(KL_CRYPTO, "OpenSSL could not hash");
}

/* SHA-384 is SHA-512 with other numbers to begin with, and cut short. */
/* clang-format off */
#define OPS(name, bits, type)                                                     \
    static type *of_##name(struct kl_sha2 *state)                                 \
    {                                                                             \
        return (type *)(void *)state->room.bytes;                                 \
    }                                                                             \
    static enum kl_rc begin_##name(struct kl_sha2 *state)                         \
    {                                                                             \
        return result(SHA##bits##_Init(of_##name(state)));                        \
    }                                                                             \
    static enum kl_rc update_##name(struct kl_sha2 *state, struct kl_view in)     \
    {                                                                             \
        return result(SHA##bits##_Update(of_##name(state), in.data, in.len));     \
    }                                                                             \
    static enum kl_rc finish_##name(struct kl_sha2 *state, uint8_t *out)          \
    {                                                                             \
        return result(SHA##bits##_Final(out, of_##name(state)));                  \
    }                                                                             \
    static enum kl_rc copy_##name(struct kl_sha2 *to, const struct kl_sha2 *from) \
    {                                                                             \
        memcpy(to->room.bytes, from->room.bytes, sizeof(type));                   \
        return KL_OK;                                                             \
    }
#define ROW(name) { begin_##name, update_##name, finish_##name, copy_##name, NULL }
/* clang-format on */

OPS(sha256, 256, SHA256_CTX)
OPS(sha384, 384, SHA512_CTX)
OPS(sha512, 512, SHA512_CTX)

static const struct kl_sha2_ops rows[KL_HASHES] = {
    [KL_SHA256] = ROW(sha256),
    [KL_SHA384] = ROW(sha384),
    [KL_SHA512] = ROW(sha512),
};

const struct kl_sha2_ops *kl_sha2_direct(enum kl_hash hash)
{
    return &rows[hash];
}

#else

const struct kl_sha2_ops *kl_sha2_direct(enum kl_hash hash)
{
    (void)hash;
    return NULL;
}

#endif
