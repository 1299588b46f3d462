/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A program over OpenSSL whose configuration (OPENSSL_CONF) names pkcs11-provider, this module and a PIN: what the token does for EVP,
 * and what EVP cannot ask of it.
 *   openssl_use refused|derives    whether the token's policy lets the bytes of what HKDF derives come out
 *   openssl_use wrong              where the PIN is a wrong one
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/provider.h>
#include <openssl/store.h>
#include <string.h>

#include "../native/checks.h"

#define TOKEN "provider=pkcs11"
#define ITSELF "provider=default"

static bool draw(unsigned char *out, size_t len)
{
    EVP_RAND *rand = EVP_RAND_fetch(NULL, "PKCS11-RAND", TOKEN);
    EVP_RAND_CTX *ctx = rand ? EVP_RAND_CTX_new(rand, NULL) : NULL;
    bool good = ctx && EVP_RAND_instantiate(ctx, 0, 0, NULL, 0, NULL) == 1 && EVP_RAND_generate(ctx, out, len, 0, 0, NULL, 0) == 1;

    EVP_RAND_CTX_free(ctx);
    EVP_RAND_free(rand);
    return good;
}

static bool digest(const char *name, const char *where, unsigned char *out, unsigned *len)
{
    EVP_MD *md = EVP_MD_fetch(NULL, name, where);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = md && EVP_DigestInit_ex2(ctx, md, NULL) == 1 && EVP_DigestUpdate(ctx, "somebody@", 9) == 1 &&
                EVP_DigestUpdate(ctx, "example.org", 11) == 1 && EVP_DigestFinal_ex(ctx, out, len) == 1;

    EVP_MD_CTX_free(ctx);
    EVP_MD_free(md);
    return good;
}

/* The secret goes to the token as a session key, is derived from there, and the new key's value comes back. */
static bool hkdf(const char *where, const char *info, unsigned char out[32])
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", where);
    EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    unsigned char secret[] = "a secret of thirty-two bytes....", salt[] = "salt";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t) "SHA256", 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, secret, 32),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, salt, 4),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (char *)(uintptr_t)info, strlen(info)),
        OSSL_PARAM_construct_end(),
    };
    bool good = ctx && EVP_KDF_CTX_set_params(ctx, params) == 1 && EVP_KDF_derive(ctx, out, 32, NULL) == 1;

    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return good;
}

/* A look for private keys makes the provider log in. */
static int private_keys(void)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open("pkcs11:token=demo;type=private", NULL, NULL, NULL, NULL);
    int found = 0;

    if (!store) return -1;
    while (!OSSL_STORE_eof(store)) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);

        if (!info) break;
        found++;
        OSSL_STORE_INFO_free(info);
    }
    OSSL_STORE_close(store);
    return found;
}

static void random_bytes(void)
{
    unsigned char one[32] = { 0 }, other[32] = { 0 };

    need("random bytes come from the token", draw(one, sizeof one) && draw(other, sizeof other));
    check("and other ones", memcmp(one, other, sizeof one) != 0);
}

static void digests(void)
{
    static const char *names[] = { "SHA256", "SHA384", "SHA512" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        unsigned char by_token[64], by_itself[64];
        unsigned len = 0, len_itself = 0;
        char what[64];

        snprintf(what, sizeof what, "%s of the token is OpenSSL's", names[i]);
        check(what, digest(names[i], TOKEN, by_token, &len) && digest(names[i], ITSELF, by_itself, &len_itself) && len == len_itself &&
                        memcmp(by_token, by_itself, len) == 0);
    }
    check("SHA1 is not the token's", EVP_MD_fetch(NULL, "SHA1", TOKEN) == NULL);
}

static void not_asked_for(void)
{
    check("the provider has no AES-GCM", EVP_CIPHER_fetch(NULL, "AES-256-GCM", TOKEN) == NULL);
    check("nor AES-CBC", EVP_CIPHER_fetch(NULL, "AES-256-CBC", TOKEN) == NULL);
    check("nor HMAC", EVP_MAC_fetch(NULL, "HMAC", TOKEN) == NULL);
    check("and no key pair is generated", EVP_PKEY_Q_keygen(NULL, TOKEN, "RSA", (size_t)2048) == NULL);
}

static void derive_after_login(void)
{
    unsigned char by_token[32], by_itself[32];

    need("after login HKDF derives", hkdf(TOKEN, "users", by_token) && hkdf(ITSELF, "users", by_itself));
    check("what OpenSSL derives", memcmp(by_token, by_itself, 32) == 0);
    check("and for other info another key", hkdf(TOKEN, "others", by_token) && memcmp(by_token, by_itself, 32) != 0);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "refused";
    unsigned char key[32];

    need("the provider is there", OSSL_PROVIDER_available(NULL, "pkcs11") == 1);
    random_bytes();
    digests();
    not_asked_for();
    check("without login nothing is derived", !hkdf(TOKEN, "users", key));
    check("no private key is found", private_keys() <= 0);
    if (strcmp(what, "derives") == 0) {
        derive_after_login();
    } else {
        check("nothing is derived now either", !hkdf(TOKEN, "users", key));
    }
    return checks_end();
}
