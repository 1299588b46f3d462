/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * CKM_AES_KEY_WRAP (RFC 3394) and CKM_AES_KEY_WRAP_KWP (RFC 5649), for wrapping keys alone. v3.1 6.16 calls CKM_AES_KEY_WRAP_PAD
 * deprecated and says no more what it does; 2.40 left it between two paddings. Those who still send it read it as RFC 5649, as here.
 */
#include "crypto/keywrap.h"
#include "token/mech.h"

#define KW_IV_LEN 8
#define KWP_IV_LEN 4
#define OVERHEAD_MAX 16 /* bytes: the semiblock before the key, and padding */

static enum kl_keywrap format_of(const struct kl_wrapping *wrapping)
{
    return wrapping->mech->type == CKM_AES_KEY_WRAP ? KL_KEYWRAP_KW : KL_KEYWRAP_KWP;
}

/* v3.1 6.16.2: nothing for the standard's own initial value, or all of another. */
static enum kl_rc check_parameter(const struct kl_wrapping *wrapping)
{
    size_t len = format_of(wrapping) == KL_KEYWRAP_KW ? KW_IV_LEN : KWP_IV_LEN;

    KL_CHECK(wrapping->parameter.len == 0 || (wrapping->parameter.data && wrapping->parameter.len == len), KL_PARAMETER);
    return KL_OK;
}

/* The standard pads a key to whole semiblocks with zero bytes, and whoever unwraps it has to guess how many: refused instead. */
static enum kl_rc wrap_len(const struct kl_wrapping *wrapping, size_t value_len, size_t *out_len)
{
    KL_TRY(check_parameter(wrapping));
    *out_len = kl_keywrap_len(format_of(wrapping), value_len);
    KL_CHECK(*out_len > 0, KL_KEY_SIZE);
    return KL_OK;
}

static enum kl_rc wrap(const struct kl_wrapping *wrapping, struct kl_view value, struct kl_out *out)
{
    enum kl_keywrap format = format_of(wrapping);
    KL_AUTO(kl_secret) kek = { 0 };

    KL_TRY(kl_mech_key_bytes(wrapping->mech, wrapping->key, &kek));
    KL_TRY(kl_keywrap_seal(format, kl_secret_view(&kek), wrapping->parameter, value, out->data));
    out->len = kl_keywrap_len(format, value.len);
    return KL_OK;
}

static enum kl_rc unwrap(const struct kl_wrapping *wrapping, struct kl_view wrapped, struct kl_secret *value)
{
    KL_AUTO(kl_secret) kek = { 0 };

    KL_TRY(check_parameter(wrapping));
    KL_CHECK(wrapped.len <= KL_KEYWRAP_MAX + OVERHEAD_MAX, KL_WRAPPED_LENGTH);
    KL_TRY(kl_mech_key_bytes(wrapping->mech, wrapping->key, &kek));
    return kl_keywrap_open(format_of(wrapping), kl_secret_view(&kek), wrapping->parameter, wrapped, value);
}

/* clang-format off */
#define KEY_WRAP(number, words)       \
    {                                 \
        .type = (number),             \
        .name = (words),              \
        .key_types = { CKK_AES },     \
        .key_type_count = 1,          \
        .min_key = 16,                \
        .max_key = 32,                \
        .family = KL_FAMILY_KEY_WRAP, \
        .on_ladder = true,            \
        .wrap_len = wrap_len,         \
        .wrap = wrap,                 \
        .unwrap = unwrap,             \
    }
/* clang-format on */

const struct kl_mech kl_mech_aes_key_wrap = KEY_WRAP(CKM_AES_KEY_WRAP, "AES key wrap");
const struct kl_mech kl_mech_aes_key_wrap_pad = KEY_WRAP(CKM_AES_KEY_WRAP_PAD, "AES key wrap, padded (old number)");
const struct kl_mech kl_mech_aes_key_wrap_kwp = KEY_WRAP(CKM_AES_KEY_WRAP_KWP, "AES key wrap, padded");
