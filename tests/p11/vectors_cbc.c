/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* AES-CBC with PKCS#7 padding: whatever is wrong with the padding has one answer. */
#include "vectors.h"

enum { BLOCK = 16 };

struct cbc_case {
    struct bytes key, iv, msg, ct;
    bool valid;
};

static CK_RV crypt_call(struct cbc_case *c, CK_OBJECT_HANDLE key, bool encrypting, bool parts, struct bytes *out)
{
    CK_MECHANISM mech = { CKM_AES_CBC_PAD, c->iv.data, c->iv.len };
    struct bytes *in = encrypting ? &c->msg : &c->ct;
    CK_ULONG got = sizeof out->data;
    CK_RV rv = (encrypting ? p11->C_EncryptInit : p11->C_DecryptInit)(session, &mech, key);

    out->len = 0;
    if (rv == CKR_OK && !parts) rv = (encrypting ? p11->C_Encrypt : p11->C_Decrypt)(session, in->data, in->len, out->data, &got);
    if (rv == CKR_OK && parts) {
        rv = feed(encrypting ? p11->C_EncryptUpdate : p11->C_DecryptUpdate, in, out);
        got = sizeof out->data - out->len;
        if (rv == CKR_OK) rv = (encrypting ? p11->C_EncryptFinal : p11->C_DecryptFinal)(session, out->data + out->len, &got);
    }
    out->len += got;
    return rv;
}

static CK_RV crypt(struct cbc_case *c, bool encrypting, bool parts, struct bytes *out)
{
    CK_OBJECT_HANDLE key = 0;
    CK_RV rv = import_try(keeper, CKK_AES, c->key.data, c->key.len, "ed", &key);

    if (rv != CKR_OK) return rv;
    rv = crypt_call(c, key, encrypting, parts, out);
    NEED(p11->C_DestroyObject(keeper, key));
    return rv;
}

static void check_encrypt(struct cbc_case *c, bool parts)
{
    static struct bytes out;
    const char *what = parts ? "encrypting in parts" : "encrypting";

    if (!ANSWERS(what, crypt(c, true, parts, &out), CKR_OK)) return;
    if (c->valid)
        SAME(what, &out, &c->ct);
    else if (bytes_equal(&out, &c->ct))
        ANSWERS("encrypting gives an invalid vector", WRONG_BYTES, CKR_OK);
}

static void check_decrypt(struct cbc_case *c, bool parts)
{
    static struct bytes out;
    const char *what = parts ? "decrypting in parts" : "decrypting";
    CK_RV rv = crypt(c, false, parts, &out);

    if (c->valid && ANSWERS(what, rv, CKR_OK)) SAME(what, &out, &c->msg);
    if (c->valid) return;
    if (c->ct.len == 0 || c->ct.len % BLOCK)
        ANSWERS("decrypting what is no blocks", rv, CKR_ENCRYPTED_DATA_LEN_RANGE);
    else
        ANSWERS(parts ? "decrypting a bad padding in parts" : "decrypting a bad padding", rv, CKR_ENCRYPTED_DATA_INVALID);
}

static void cbc_test(const struct family *family, json_t *test)
{
    static struct cbc_case c;

    (void)family;
    json_bytes(test, "key", &c.key);
    json_bytes(test, "iv", &c.iv);
    json_bytes(test, "msg", &c.msg);
    json_bytes(test, "ct", &c.ct);
    c.valid = is_valid(test);
    for (int parts = 0; parts < 2; parts++) {
        check_encrypt(&c, parts);
        check_decrypt(&c, parts);
    }
    vector_is(PASSED, c.valid ? "encrypted and decrypted" : "bad padding refused");
}

void cbc_pad_wycheproof(const struct family *family)
{
    wycheproof_each(family, cbc_test);
}
