/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* HMAC, CMAC and GMAC: signing, verifying, and what must not verify. */
#include "vectors.h"

struct mac {
    CK_MECHANISM_TYPE whole, general; /* general: a shorter tag, by the CK_ULONG that is its parameter */
    const char *general_name;
    CK_KEY_TYPE key_type;
    size_t size;
    bool takes_iv;
};

const struct mac mac_sha256 = { CKM_SHA256_HMAC, CKM_SHA256_HMAC_GENERAL, "CKM_SHA256_HMAC_GENERAL", CKK_GENERIC_SECRET, 32, false };
const struct mac mac_sha384 = { CKM_SHA384_HMAC, CKM_SHA384_HMAC_GENERAL, "CKM_SHA384_HMAC_GENERAL", CKK_GENERIC_SECRET, 48, false };
const struct mac mac_sha512 = { CKM_SHA512_HMAC, CKM_SHA512_HMAC_GENERAL, "CKM_SHA512_HMAC_GENERAL", CKK_GENERIC_SECRET, 64, false };
const struct mac mac_cmac = { CKM_AES_CMAC, CKM_AES_CMAC_GENERAL, "CKM_AES_CMAC_GENERAL", CKK_AES, 16, false };
const struct mac mac_gmac = { CKM_AES_GMAC, 0, NULL, CKK_AES, 16, true };

struct mac_case {
    const struct mac *mac;
    struct bytes key, iv, msg, tag;
    CK_ULONG tag_len; /* of the right tag, whatever is verified */
    bool valid;
    CK_OBJECT_HANDLE handle;
};

/* ---- calls ---- */

static CK_MECHANISM mechanism(struct mac_case *c)
{
    if (c->mac->takes_iv) return (CK_MECHANISM){ c->mac->whole, c->iv.data, c->iv.len };
    if (c->tag_len < c->mac->size) return (CK_MECHANISM){ c->mac->general, &c->tag_len, sizeof c->tag_len };
    return (CK_MECHANISM){ c->mac->whole, NULL, 0 };
}

static CK_RV feed_message(CK_RV (*update)(CK_SESSION_HANDLE, CK_BYTE *, CK_ULONG), struct bytes *msg)
{
    CK_RV rv = CKR_OK;

    for (size_t at = 0, step = 0; rv == CKR_OK && at < msg->len; at += step) {
        step = next_piece(msg->len - at);
        rv = update(session, msg->data + at, step);
    }
    return rv;
}

static CK_RV sign(struct mac_case *c, bool parts, struct bytes *tag)
{
    CK_MECHANISM mech = mechanism(c);
    CK_RV rv = p11->C_SignInit(session, &mech, c->handle);

    tag->len = sizeof tag->data;
    if (rv == CKR_OK && !parts) return p11->C_Sign(session, c->msg.data, c->msg.len, tag->data, &tag->len);
    if (rv == CKR_OK) rv = feed_message(p11->C_SignUpdate, &c->msg);
    return rv == CKR_OK ? p11->C_SignFinal(session, tag->data, &tag->len) : rv;
}

static CK_RV verify(struct mac_case *c, bool parts, struct bytes *tag)
{
    CK_MECHANISM mech = mechanism(c);
    CK_RV rv = p11->C_VerifyInit(session, &mech, c->handle);

    if (rv == CKR_OK && !parts) return p11->C_Verify(session, c->msg.data, c->msg.len, tag->data, tag->len);
    if (rv == CKR_OK) rv = feed_message(p11->C_VerifyUpdate, &c->msg);
    return rv == CKR_OK ? p11->C_VerifyFinal(session, tag->data, tag->len) : rv;
}

/* A key for each operation: a GMAC that used an IV once must not use it again. */
static bool renew(struct mac_case *c)
{
    if (c->handle) NEED(p11->C_DestroyObject(keeper, c->handle));
    c->handle = 0;
    return vector_key(c->mac->key_type, &c->key, "sv", &c->handle);
}

/* ---- one vector ---- */

static void check_sign(struct mac_case *c, bool parts)
{
    static struct bytes out;
    const char *what = parts ? "signing in parts" : "signing";

    if (!renew(c) || !ANSWERS(what, sign(c, parts, &out), CKR_OK)) return;
    if (c->valid)
        SAME(what, &out, &c->tag);
    else if (bytes_equal(&out, &c->tag))
        ANSWERS("signing gives an invalid vector", WRONG_BYTES, CKR_OK);
}

static void check_wrong(struct mac_case *c, bool parts)
{
    static struct bytes wrong;

    wrong = c->tag;
    wrong.data[rng_next(&rng) % wrong.len] ^= (CK_BYTE)(1U << rng_next(&rng) % 8);
    if (renew(c)) ANSWERS("verifying a tampered tag", verify(c, parts, &wrong), CKR_SIGNATURE_INVALID);
    wrong.len = c->tag.len - 1;
    if (renew(c)) ANSWERS("verifying a tag cut short", verify(c, parts, &wrong), CKR_SIGNATURE_LEN_RANGE);
    wrong.len = c->tag.len + 1;
    if (renew(c)) ANSWERS("verifying a tag too long", verify(c, parts, &wrong), CKR_SIGNATURE_LEN_RANGE);
}

static void check_verify(struct mac_case *c, bool parts)
{
    if (!renew(c)) return;
    if (c->valid)
        ANSWERS(parts ? "verifying in parts" : "verifying", verify(c, parts, &c->tag), CKR_OK);
    else
        ANSWERS(parts ? "verifying a bad tag in parts" : "verifying a bad tag", verify(c, parts, &c->tag), CKR_SIGNATURE_INVALID);
    if (c->valid) check_wrong(c, parts);
}

/* No token makes a key of it, or none signs with it. */
static void check_bad_key(struct mac_case *c)
{
    static struct bytes out;
    CK_RV rv = import_try(keeper, c->mac->key_type, c->key.data, c->key.len, "sv", &c->handle);

    if (rv == CKR_OK) {
        rv = sign(c, false, &out);
        NEED(p11->C_DestroyObject(keeper, c->handle));
    }
    if (ANSWERS("a key of a length that is none of AES", rv, CKR_ATTRIBUTE_VALUE_INVALID, CKR_KEY_SIZE_RANGE))
        vector_is(REFUSED, "a key of a length that is none of AES");
}

static bool is_aes_size(size_t len)
{
    return len == 16 || len == 24 || len == 32;
}

/* Whether the token may say no to the IV: PKCS#11 knows GMAC with 96 bits only. */
static bool is_iv_refused(struct mac_case *c)
{
    static struct bytes out;
    CK_RV rv;

    if (!c->mac->takes_iv || c->iv.len == 12) return false;
    if (!renew(c)) return true;
    rv = sign(c, false, &out);
    if (rv == CKR_MECHANISM_PARAM_INVALID) vector_is(REFUSED, "GMAC with another IV than 96 bits");
    return rv == CKR_MECHANISM_PARAM_INVALID;
}

static void check(struct mac_case *c)
{
    if (c->mac->key_type == CKK_AES && !is_aes_size(c->key.len)) {
        check_bad_key(c);
        return;
    }
    if (c->tag_len < c->mac->size && !offered(c->mac->general)) {
        if (p11_kind == KEYLADDER) ANSWERS(c->mac->general_name, CKR_MECHANISM_INVALID, CKR_OK);
        vector_is(ABSENT, "%s", c->mac->general_name);
        return;
    }
    if (!is_iv_refused(c)) {
        for (int parts = 0; parts < 2; parts++) {
            check_sign(c, parts);
            check_verify(c, parts);
        }
        vector_is(PASSED, c->valid ? "signed and verified" : "bad tag refused");
    }
    if (c->handle) NEED(p11->C_DestroyObject(keeper, c->handle));
}

static void mac_test(const struct family *family, json_t *test)
{
    static struct mac_case c;

    c.mac = family->detail;
    c.handle = 0;
    json_bytes(test, "key", &c.key);
    json_bytes(test, "msg", &c.msg);
    json_bytes(test, "tag", &c.tag);
    if (c.mac->takes_iv) json_bytes(test, "iv", &c.iv);
    c.tag_len = c.tag.len;
    c.valid = is_valid(test);
    check(&c);
}

void mac_wycheproof(const struct family *family)
{
    wycheproof_each(family, mac_test);
}
