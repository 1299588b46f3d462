/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Published test vectors through the C_ functions, on keys imported for one
 * operation each. Every vector ends in one named class: passed, or refused for
 * a reason that DESIGN section 7 or PKCS#11 gives; with another vendor's module
 * also not offered, or a known deviation. Anything else is a failure.
 */
#include "vectors.h"

CK_SESSION_HANDLE session, keeper;
uint64_t rng = VECTORS_SEED;

/* What is done with each published file. */
#define M(mech) mech, #mech
#define NO_MECHANISM 0, NULL, NULL, 0, NULL, NULL
static const struct family families[] = {
    { "nist/gcmEncryptExtIV256.rsp.gz", M(CKM_AES_GCM), gcm_nist, 7875, &aead_gcm, NULL },
    { "nist/gcmDecrypt256.rsp.gz", M(CKM_AES_GCM), gcm_nist, 7875, &aead_gcm, NULL },
    { "wycheproof/aes_gcm_test.json", M(CKM_AES_GCM), aead_wycheproof, 0, &aead_gcm, NULL },
    { NULL, M(CKM_AES_GCM), aead_chunks, 1000, &aead_gcm, "random chunks, AES-GCM" },
    { "wycheproof/chacha20_poly1305_test.json", M(CKM_CHACHA20_POLY1305), aead_wycheproof, 0, &aead_chacha, NULL },
    { NULL, M(CKM_CHACHA20_POLY1305), aead_chunks, 1000, &aead_chacha, "random chunks, ChaCha20" },
    { "wycheproof/aes_cbc_pkcs5_test.json", M(CKM_AES_CBC_PAD), cbc_pad_wycheproof, 0, NULL, NULL },
    { "wycheproof/aes_cmac_test.json", M(CKM_AES_CMAC), mac_wycheproof, 0, &mac_cmac, NULL },
    { "wycheproof/aes_gmac_test.json", M(CKM_AES_GMAC), mac_wycheproof, 0, &mac_gmac, NULL },
    { "wycheproof/hmac_sha256_test.json", M(CKM_SHA256_HMAC), mac_wycheproof, 0, &mac_sha256, NULL },
    { "wycheproof/hmac_sha384_test.json", M(CKM_SHA384_HMAC), mac_wycheproof, 0, &mac_sha384, NULL },
    { "wycheproof/hmac_sha512_test.json", M(CKM_SHA512_HMAC), mac_wycheproof, 0, &mac_sha512, NULL },
    { "wycheproof/aes_wrap_test.json", M(CKM_AES_KEY_WRAP), wrap_wycheproof, 0, NULL, NULL },
    { "nist/KW_AE_256.txt.gz", M(CKM_AES_KEY_WRAP), wrap_nist, 500, NULL, NULL },
    { "nist/KW_AD_256.txt.gz", M(CKM_AES_KEY_WRAP), wrap_nist, 500, NULL, NULL },
    { "wycheproof/aes_kwp_test.json", M(CKM_AES_KEY_WRAP_KWP), wrap_wycheproof, 0, NULL, NULL },
    { "nist/KWP_AE_256.txt.gz", M(CKM_AES_KEY_WRAP_KWP), wrap_nist, 500, NULL, NULL },
    { "nist/KWP_AD_256.txt.gz", M(CKM_AES_KEY_WRAP_KWP), wrap_nist, 500, NULL, NULL },
    { "wycheproof/hkdf_sha256_test.json", M(CKM_HKDF_DERIVE), hkdf_wycheproof, 0, &hkdf_sha256, NULL },
    { "wycheproof/hkdf_sha384_test.json", M(CKM_HKDF_DERIVE), hkdf_wycheproof, 0, &hkdf_sha384, NULL },
    { "wycheproof/hkdf_sha512_test.json", M(CKM_HKDF_DERIVE), hkdf_wycheproof, 0, &hkdf_sha512, NULL },
    { "rfc5869/rfc-5869-HKDF-SHA256.txt", M(CKM_HKDF_DERIVE), hkdf_rfc5869, 3, &hkdf_sha256, NULL },
    { "wycheproof/aead_aes_siv_cmac_test.json", NO_MECHANISM },
    { "wycheproof/aes_gcm_siv_test.json", NO_MECHANISM },
    { "wycheproof/aes_siv_cmac_test.json", NO_MECHANISM },
    { "wycheproof/pbkdf2_hmacsha256_test.json", NO_MECHANISM },
    { "wycheproof/pbkdf2_hmacsha512_test.json", NO_MECHANISM },
    { "wycheproof/xchacha20_poly1305_test.json", NO_MECHANISM },
};

/* ---- what the families share ---- */

void session_renew(void)
{
    if (p11_kind == KEYLADDER) return;
    NEED(p11->C_CloseSession(session));
    session = open_session(CKF_RW_SESSION);
}

bool vector_key(CK_KEY_TYPE type, const struct bytes *value, const char *flags, CK_OBJECT_HANDLE *key)
{
    return ANSWERS("importing the key", import_try(keeper, type, value->data, value->len, flags, key), CKR_OK);
}

size_t next_piece(size_t left)
{
    return rng_next(&rng) % (left < 40 ? left + 1 : 40);
}

CK_RV feed(update_call update, struct bytes *in, struct bytes *out)
{
    out->len = 0;
    for (size_t at = 0; at < in->len;) {
        size_t step = next_piece(in->len - at);
        CK_ULONG got = sizeof out->data - out->len;
        CK_RV rv = update(session, in->data + at, step, out->data + out->len, &got);

        if (rv != CKR_OK) return rv;
        at += step;
        out->len += got;
    }
    return CKR_OK;
}

bool offered(CK_MECHANISM_TYPE mech)
{
    static CK_MECHANISM_TYPE list[1024];
    static CK_ULONG count;

    if (count == 0) {
        count = COUNT(list);
        NEED(p11->C_GetMechanismList(slot_labelled(TOKEN_LABEL), list, &count));
    }
    for (CK_ULONG i = 0; i < count; i++)
        if (list[i] == mech) return true;
    return false;
}

/* ---- all of them ---- */

/* SoftHSM has RFC 5649 by the older number. */
static CK_MECHANISM_TYPE number_here(CK_MECHANISM_TYPE mech)
{
    return p11_kind == SOFTHSM && mech == CKM_AES_KEY_WRAP_KWP ? CKM_AES_KEY_WRAP_PAD : mech;
}

static void run_family(const struct family *row)
{
    struct family here = *row, *family = &here;
    const char *label = family->label ? family->label : strrchr(family->file, '/') + 1;
    unsigned found;

    here.mech = number_here(row->mech);
    if (!offered(family->mech)) {
        printf("%s: %s is not offered by this module\n", label, family->mech_name);
        if (p11_kind == KEYLADDER) fail_at(__FILE__, __LINE__, "%s: C_GetMechanismList lacks %s", label, family->mech_name);
        return;
    }
    family_begin(label);
    family->run(family);
    found = family_end();
    if (family->vectors && found != family->vectors) fail_at(__FILE__, __LINE__, "%s: %u vectors, not %u", label, found, family->vectors);
}

int main(void)
{
    p11_load();
    sandbox_make();
    start();
    token_make(slot_blank(), TOKEN_LABEL);
    keeper = open_session(CKF_RW_SESSION);
    session = open_session(CKF_RW_SESSION);
    NEED(login(keeper, CKU_USER, USER_PIN));
    printf("seed %d\n", VECTORS_SEED);
    check_folders(families, COUNT(families));
    for (size_t i = 0; i < COUNT(families); i++)
        if (families[i].run) run_family(&families[i]);
    stop();
    report();
    sandbox_remove(sandbox_dir);
    printf("%s\n", failures ? "vectors: FAILED" : "vectors: all as they must be");
    return failures != 0;
}
