/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* HKDF through C_DeriveKey, from both key types that may be its base. */
#include "vectors.h"

const CK_MECHANISM_TYPE hkdf_sha256 = CKM_SHA256, hkdf_sha384 = CKM_SHA384, hkdf_sha512 = CKM_SHA512;

struct hkdf_case {
    CK_MECHANISM_TYPE prf;
    struct bytes ikm, salt, info, okm;
    size_t size;
};

enum { EXTRACT = 1, EXPAND = 2, NULL_SALT = 4 };

static CK_RV read_value(CK_OBJECT_HANDLE key, struct bytes *out)
{
    CK_ATTRIBUTE value = { CKA_VALUE, out->data, sizeof out->data };
    CK_RV rv = p11->C_GetAttributeValue(session, key, &value, 1);

    out->len = value.ulValueLen;
    return rv;
}

/* Both ways to say "no salt" must mean the same. */
static CK_RV derive(struct hkdf_case *c, CK_OBJECT_HANDLE base, int flags, size_t size, struct bytes *out)
{
    bool null_salt = flags & NULL_SALT;
    struct t_hkdf param = { (flags & EXTRACT) != 0,
                            (flags & EXPAND) != 0,
                            c->prf,
                            null_salt ? CKF_HKDF_SALT_NULL : CKF_HKDF_SALT_DATA,
                            null_salt ? NULL : c->salt.data,
                            null_salt ? 0 : c->salt.len,
                            0,
                            c->info.data,
                            c->info.len };
    CK_MECHANISM mech = { CKM_HKDF_DERIVE, &param, sizeof param };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
                                A_ULONG(CKA_VALUE_LEN, size),       A_BOOL(CKA_TOKEN, CK_FALSE),
                                A_BOOL(CKA_SENSITIVE, CK_FALSE),    A_BOOL(CKA_EXTRACTABLE, CK_TRUE) };
    CK_OBJECT_HANDLE key = 0;
    CK_RV rv = p11->C_DeriveKey(session, &mech, base, template, COUNT(template), &key);

    if (rv != CKR_OK) return rv;
    rv = read_value(key, out);
    NEED(p11->C_DestroyObject(keeper, key));
    return rv;
}

static CK_RV hkdf(struct hkdf_case *c, CK_KEY_TYPE type, int flags, size_t size, struct bytes *out)
{
    CK_OBJECT_HANDLE base = 0;
    CK_RV rv = import_try(keeper, type, c->ikm.data, c->ikm.len, "DX", &base);

    if (rv != CKR_OK) return rv;
    rv = derive(c, base, flags, size, out);
    NEED(p11->C_DestroyObject(keeper, base));
    return rv;
}

static bool is_too_long(size_t size)
{
    CK_MECHANISM_INFO info = { 0, 0, 0 };

    NEED(p11->C_GetMechanismInfo(slot_labelled(TOKEN_LABEL), CKM_HKDF_DERIVE, &info));
    return size > info.ulMaxKeySize;
}

static void expect(const char *what, struct hkdf_case *c, CK_KEY_TYPE type, int flags)
{
    static struct bytes out;
    CK_RV rv = hkdf(c, type, flags, c->size, &out);

    if (rv == CKR_ATTRIBUTE_VALUE_INVALID && is_too_long(c->size))
        vector_is(REFUSED, "longer than C_GetMechanismInfo says a key may be");
    else if (ANSWERS(what, rv, CKR_OK))
        SAME(what, &out, &c->okm);
}

static void expect_all(struct hkdf_case *c)
{
    expect(c->salt.len ? "deriving from CKK_HKDF" : "an empty salt", c, CKK_HKDF, EXTRACT | EXPAND);
    expect(c->salt.len ? "deriving from CKK_GENERIC_SECRET" : "an empty salt", c, CKK_GENERIC_SECRET, EXTRACT | EXPAND);
    if (c->salt.len == 0) expect("no salt", c, CKK_HKDF, EXTRACT | EXPAND | NULL_SALT);
    vector_is(PASSED, "derived");
}

static void hkdf_test(const struct family *family, json_t *test)
{
    static struct hkdf_case c;
    static struct bytes out;

    c.prf = *(const CK_MECHANISM_TYPE *)family->detail;
    json_bytes(test, "ikm", &c.ikm);
    json_bytes(test, "salt", &c.salt);
    json_bytes(test, "info", &c.info);
    json_bytes(test, "okm", &c.okm);
    c.size = (size_t)json_integer_value(json_object_get(test, "size"));
    if (is_valid(test))
        expect_all(&c);
    else if (ANSWERS("over 255 blocks", hkdf(&c, CKK_HKDF, EXTRACT | EXPAND, c.size, &out), CKR_KEY_SIZE_RANGE,
                     CKR_ATTRIBUTE_VALUE_INVALID))
        vector_is(REFUSED, "over 255 blocks");
}

void hkdf_wycheproof(const struct family *family)
{
    wycheproof_each(family, hkdf_test);
}

static void rfc5869_record(const struct family *family, const struct rsp *rsp)
{
    static struct hkdf_case c;
    static struct bytes prk, out;

    c.prf = *(const CK_MECHANISM_TYPE *)family->detail;
    rsp_bytes(rsp, "IKM", &c.ikm);
    rsp_bytes(rsp, "salt", &c.salt);
    rsp_bytes(rsp, "info", &c.info);
    rsp_bytes(rsp, "PRK", &prk);
    rsp_bytes(rsp, "OKM", &c.okm);
    c.size = strtoul(rsp_text(rsp, "L"), NULL, 10);
    expect_all(&c);
    if (ANSWERS("extracting only", hkdf(&c, CKK_HKDF, c.salt.len ? EXTRACT : EXTRACT | NULL_SALT, prk.len, &out), CKR_OK))
        SAME("extracting only", &out, &prk);
    c.ikm = prk;
    expect("expanding only", &c, CKK_HKDF, EXPAND | NULL_SALT);
}

void hkdf_rfc5869(const struct family *family)
{
    rsp_each(family, rfc5869_record);
}
