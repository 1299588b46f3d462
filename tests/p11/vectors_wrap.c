/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* AES key wrap, with and without padding: C_WrapKey gives the vector, C_UnwrapKey the key, and nothing else does. */
#include "vectors.h"

#define UNWRAPPED "unwrapped"

struct wrap_case {
    CK_MECHANISM_TYPE mech;
    struct bytes kek, msg, ct;
    bool valid;
    CK_OBJECT_HANDLE kek_handle;
};

static bool fits_aes(size_t len)
{
    return len == 16 || len == 24 || len == 32;
}

/* RFC 3394 begins at two blocks; implementations differ about one. */
static bool is_short(const struct wrap_case *c)
{
    return c->mech == CKM_AES_KEY_WRAP && c->ct.len == 16;
}

/* Nothing that RFC 3394 can wrap. */
static bool is_ragged(const struct wrap_case *c)
{
    return c->mech == CKM_AES_KEY_WRAP && c->msg.len % 8;
}

/* No weak wrapping of a strong key: over 256 bits all are as strong. */
static bool is_weak(const struct wrap_case *c)
{
    size_t strength = c->msg.len < 32 ? c->msg.len : 32;

    return p11_kind == KEYLADDER && c->kek.len < strength && !is_ragged(c);
}

/* ---- C_WrapKey ---- */

static bool wrap(struct wrap_case *c, CK_KEY_TYPE type, struct bytes *out, CK_RV *rv)
{
    CK_MECHANISM mech = { c->mech, NULL, 0 };
    CK_OBJECT_HANDLE key = 0;

    if (!vector_key(type, &c->msg, type == CKK_AES ? "edX" : "svX", &key)) return false;
    out->len = sizeof out->data;
    *rv = p11->C_WrapKey(session, &mech, c->kek_handle, key, out->data, &out->len);
    NEED(p11->C_DestroyObject(keeper, key));
    return true;
}

static void check_wrap(struct wrap_case *c, CK_KEY_TYPE type)
{
    static struct bytes out;
    CK_RV rv = CKR_OK;

    if (!wrap(c, type, &out, &rv)) return;
    if (is_weak(c)) {
        if (ANSWERS("wrapping under a weaker key", rv, CKR_WRAPPING_KEY_SIZE_RANGE) && c->valid)
            vector_is(REFUSED, "wrapping under a weaker key; unwrapped");
    } else if (is_ragged(c)) {
        ANSWERS("wrapping what is no blocks of 8 bytes", rv, CKR_KEY_SIZE_RANGE, CKR_WRAPPING_KEY_SIZE_RANGE);
    } else if (is_short(c) && rv == CKR_KEY_SIZE_RANGE) {
        vector_is(REFUSED, "a key too short for RFC 3394");
    } else if (ANSWERS("wrapping", rv, CKR_OK)) {
        if (c->valid)
            SAME("wrapping", &out, &c->ct);
        else if (bytes_equal(&out, &c->ct))
            ANSWERS("wrapping gives an invalid vector", WRONG_BYTES, CKR_OK);
    }
}

/* ---- C_UnwrapKey ---- */

static CK_RV unwrap(struct wrap_case *c, CK_KEY_TYPE type, CK_OBJECT_HANDLE *key)
{
    CK_MECHANISM mech = { c->mech, NULL, 0 };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), { CKA_KEY_TYPE, &type, sizeof type }, A_BOOL(CKA_TOKEN, CK_FALSE),
                                A_BOOL(CKA_SENSITIVE, CK_FALSE),    A_BOOL(CKA_EXTRACTABLE, CK_TRUE),     A_TEXT(CKA_LABEL, UNWRAPPED) };

    return p11->C_UnwrapKey(session, &mech, c->kek_handle, c->ct.data, c->ct.len, template, COUNT(template), key);
}

static void check_value(const struct wrap_case *c, CK_OBJECT_HANDLE key)
{
    static struct bytes value;
    CK_ATTRIBUTE attr = { CKA_VALUE, value.data, sizeof value.data };

    if (!ANSWERS("reading the unwrapped key", p11->C_GetAttributeValue(session, key, &attr, 1), CKR_OK)) return;
    value.len = attr.ulValueLen;
    SAME("unwrapping", &value, &c->msg);
}

static void check_unwrap(struct wrap_case *c, CK_KEY_TYPE type)
{
    CK_ATTRIBUTE label[] = { A_TEXT(CKA_LABEL, UNWRAPPED) };
    CK_OBJECT_HANDLE key = 0;
    CK_RV rv = unwrap(c, type, &key);

    if (rv == CKR_OK && c->valid) check_value(c, key);
    if (rv == CKR_OK) NEED(p11->C_DestroyObject(keeper, key));
    if (is_short(c) && rv == CKR_WRAPPED_KEY_LEN_RANGE)
        vector_is(REFUSED, "a key too short for RFC 3394");
    else if (c->valid)
        ANSWERS("unwrapping", rv, CKR_OK);
    else
        ANSWERS("unwrapping an invalid vector", rv, CKR_WRAPPED_KEY_INVALID, CKR_WRAPPED_KEY_LEN_RANGE);
    if (find_count(session, label, 1)) ANSWERS("an object was left behind", WRONG_BYTES, CKR_OK);
}

/* ---- one vector ---- */

static void check(struct wrap_case *c)
{
    c->kek_handle = 0;
    if (!vector_key(CKK_AES, &c->kek, "wuS", &c->kek_handle)) return;
    check_unwrap(c, CKK_GENERIC_SECRET);
    if (fits_aes(c->msg.len)) check_unwrap(c, CKK_AES);
    if (c->msg.len) check_wrap(c, CKK_GENERIC_SECRET);
    if (fits_aes(c->msg.len)) check_wrap(c, CKK_AES);
    NEED(p11->C_DestroyObject(keeper, c->kek_handle));
    vector_is(PASSED, c->valid ? "wrapped and unwrapped" : "invalid wrapping refused");
}

static void wrap_test(const struct family *family, json_t *test)
{
    static struct wrap_case c;

    c.mech = family->mech;
    json_bytes(test, "key", &c.kek);
    json_bytes(test, "msg", &c.msg);
    json_bytes(test, "ct", &c.ct);
    c.valid = is_valid(test) || is_acceptable(test);
    check(&c);
}

void wrap_wycheproof(const struct family *family)
{
    wycheproof_each(family, wrap_test);
}

static void wrap_record(const struct family *family, const struct rsp *rsp)
{
    static struct wrap_case c;

    c.mech = family->mech;
    rsp_bytes(rsp, "K", &c.kek);
    rsp_bytes(rsp, "P", &c.msg);
    rsp_bytes(rsp, "C", &c.ct);
    c.valid = !rsp_text(rsp, "FAIL");
    check(&c);
}

void wrap_nist(const struct family *family)
{
    rsp_each(family, wrap_record);
}
