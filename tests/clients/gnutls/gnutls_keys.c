/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A program over GnuTLS that knows the module's file alone: it makes the token, sets and changes PINs, and stores, finds, renames and
 * deletes a secret key. GnuTLS encrypts and signs with no secret key of a token; the last part uses the key through the function list
 * that GnuTLS hands out.
 *   gnutls_keys    with P11_MODULE, SO_PIN, PIN and NEW_PIN in the environment
 */
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/pkcs11.h>
#include <p11-kit/pkcs11.h>
#include <stdint.h>
#include <string.h>

#include "../native/checks.h"

#define TOKEN "pkcs11:token=demo"

/* What the callback answers for each; how often it was asked. */
static const char *user_pin, *so_pin;
static unsigned asked;

static int answer(void *data, int attempt, const char *url, const char *label, unsigned flags, char *pin, size_t room)
{
    (void)data, (void)url, (void)label;
    asked++;
    if (attempt > 0 || flags & GNUTLS_PIN_WRONG) return -1;
    snprintf(pin, room, "%s", flags & GNUTLS_PIN_SO ? so_pin : user_pin);
    return 0;
}

/* Of one kind of type, label and the rest of an URL. */
static unsigned count(const char *url, unsigned flags)
{
    gnutls_pkcs11_obj_t *list = NULL;
    unsigned n = 0, keys = 0;

    if (gnutls_pkcs11_obj_list_import_url4(&list, &n, url, flags) < 0) return 0;
    for (unsigned i = 0; i < n; i++) {
        if (gnutls_pkcs11_obj_get_type(list[i]) == GNUTLS_PKCS11_OBJ_SECRET_KEY) keys++;
        gnutls_pkcs11_obj_deinit(list[i]);
    }
    gnutls_free(list);
    return keys;
}

static bool is_there(const char *label)
{
    char url[128];

    snprintf(url, sizeof url, TOKEN ";object=%s;type=secret-key", label);
    return count(url, GNUTLS_PKCS11_OBJ_FLAG_LOGIN) == 1;
}

static void token(void)
{
    unsigned flags = 0;
    char *url = NULL, label[33], serial[33];
    size_t len = sizeof label, serial_len = sizeof serial;

    check("a blank token is not listed", gnutls_pkcs11_token_get_url(0, GNUTLS_PKCS11_URL_GENERIC, &url) < 0);
    need("it is made by the manufacturer's name", gnutls_pkcs11_token_init("pkcs11:manufacturer=keyladder", so_pin, "demo") == 0);
    need("it is listed", gnutls_pkcs11_token_get_url(0, GNUTLS_PKCS11_URL_GENERIC, &url) == 0 && strstr(url, ";token=demo"));
    check("it is the only one", gnutls_pkcs11_token_get_url(1, GNUTLS_PKCS11_URL_GENERIC, &(char *){ NULL }) < 0);
    check("its label is read", gnutls_pkcs11_token_get_info(url, GNUTLS_PKCS11_TOKEN_LABEL, label, &len) == 0 && !strcmp(label, "demo"));
    check("its serial number is read",
          gnutls_pkcs11_token_get_info(url, GNUTLS_PKCS11_TOKEN_SERIAL, serial, &serial_len) == 0 && strlen(serial) == 16);
    check("its flags are read", gnutls_pkcs11_token_get_flags(url, &flags) == 0);
    check("it wants a login, makes random bytes, and has no user PIN yet",
          flags & GNUTLS_PKCS11_TOKEN_LOGIN_REQUIRED && flags & GNUTLS_PKCS11_TOKEN_RNG && flags & GNUTLS_PKCS11_TOKEN_INITIALIZED &&
              !(flags & GNUTLS_PKCS11_TOKEN_USER_PIN_INITIALIZED));
    check("it has AES-GCM", gnutls_pkcs11_token_check_mechanism(url, CKM_AES_GCM, NULL, 0, 0) != 0);
    check("and no AES-ECB", gnutls_pkcs11_token_check_mechanism(url, CKM_AES_ECB, NULL, 0, 0) == 0);
    gnutls_free(url);
}

static void pins(void)
{
    const char *right = so_pin, *first = user_pin, *new_pin = given("NEW_PIN");
    unsigned flags = 0;

    so_pin = "wrong-pin-000";
    check("a wrong SO PIN sets no user PIN", gnutls_pkcs11_token_set_pin(TOKEN, NULL, first, GNUTLS_PIN_USER) < 0);
    so_pin = right;
    need("the SO sets it", gnutls_pkcs11_token_set_pin(TOKEN, NULL, first, GNUTLS_PIN_USER) == 0);
    check("it is set", gnutls_pkcs11_token_get_flags(TOKEN, &flags) == 0 && flags & GNUTLS_PKCS11_TOKEN_USER_PIN_INITIALIZED);
    check("a wrong one changes nothing", gnutls_pkcs11_token_set_pin(TOKEN, "wrong-pin-000", new_pin, GNUTLS_PIN_USER) < 0);
    need("the user changes it", gnutls_pkcs11_token_set_pin(TOKEN, first, new_pin, GNUTLS_PIN_USER) == 0);
    check("the old one is wrong now", !is_there("master"));
    user_pin = new_pin;
    asked = 0;
    need("the new one is right", is_there("master") && asked > 0);
}

static void random_bytes(void)
{
    unsigned char one[32] = { 0 }, other[32] = { 0 };

    check("random bytes come, and other ones", gnutls_pkcs11_token_get_random(TOKEN, one, sizeof one) == 0 &&
                                                   gnutls_pkcs11_token_get_random(TOKEN, other, sizeof other) == 0 &&
                                                   memcmp(one, other, sizeof one) != 0);
}

static void look_at(const char *url)
{
    gnutls_pkcs11_obj_t obj = NULL;
    unsigned flags = 0;
    char label[64];
    unsigned char value[64];
    size_t len = sizeof label, value_len = sizeof value;

    need("one is found by its URL",
         gnutls_pkcs11_obj_init(&obj) == 0 && gnutls_pkcs11_obj_import_url(obj, url, GNUTLS_PKCS11_OBJ_FLAG_LOGIN) == 0);
    check("its label is read", gnutls_pkcs11_obj_get_info(obj, GNUTLS_PKCS11_OBJ_LABEL, label, &len) == 0 && !strcmp(label, "stored"));
    check("it is private and sensitive", gnutls_pkcs11_obj_get_flags(obj, &flags) == 0 && flags & GNUTLS_PKCS11_OBJ_FLAG_MARK_PRIVATE &&
                                             flags & GNUTLS_PKCS11_OBJ_FLAG_MARK_SENSITIVE);
    check("its value is not exported", gnutls_pkcs11_obj_export(obj, value, &value_len) < 0);
    check("it is renamed", gnutls_pkcs11_obj_set_info(obj, GNUTLS_PKCS11_OBJ_LABEL, "renamed", 7, GNUTLS_PKCS11_OBJ_FLAG_LOGIN) == 0);
    check("under the new name alone it is there", is_there("renamed") && !is_there("stored"));
    gnutls_pkcs11_obj_deinit(obj);
}

/* ---- use: CKM_SHA256_HMAC by the list of functions, since what GnuTLS stores is a generic secret ---- */

static CK_OBJECT_HANDLE find(CK_FUNCTION_LIST *list, CK_SESSION_HANDLE session, const char *label)
{
    CK_ATTRIBUTE template = { CKA_LABEL, (void *)(uintptr_t)label, strlen(label) };
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
    CK_ULONG n = 0;

    if (list->C_FindObjectsInit(session, &template, 1) != CKR_OK) return CK_INVALID_HANDLE;
    if (list->C_FindObjects(session, &key, 1, &n) != CKR_OK || n != 1) key = CK_INVALID_HANDLE;
    return list->C_FindObjectsFinal(session) == CKR_OK ? key : CK_INVALID_HANDLE;
}

static void use(const gnutls_datum_t *value)
{
    CK_FUNCTION_LIST *list = NULL;
    unsigned long slot = 0;
    CK_SESSION_HANDLE session = 0;
    CK_OBJECT_HANDLE key;
    CK_MECHANISM hmac = { CKM_SHA256_HMAC, NULL, 0 };
    CK_BYTE data[] = "somebody@example.org", mac[32], expected[32];
    CK_ULONG len = sizeof mac;

    need("GnuTLS hands out its functions", gnutls_pkcs11_token_get_ptr(TOKEN, (void **)&list, &slot, 0) == 0 && list != NULL);
    need("a session is opened", list->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &session) == CKR_OK);
    check("without login the key is not found", find(list, session, "renamed") == CK_INVALID_HANDLE);
    check("a wrong PIN is incorrect", list->C_Login(session, CKU_USER, (CK_BYTE *)(uintptr_t) "wrong-pin-000", 13) == CKR_PIN_INCORRECT);
    need("the user logs in", list->C_Login(session, CKU_USER, (CK_BYTE *)(uintptr_t)user_pin, strlen(user_pin)) == CKR_OK);
    key = find(list, session, "renamed");
    need("the key signs", key != CK_INVALID_HANDLE && list->C_SignInit(session, &hmac, key) == CKR_OK &&
                              list->C_Sign(session, data, sizeof data, mac, &len) == CKR_OK && len == sizeof mac);
    need("GnuTLS makes the MAC by the value",
         gnutls_hmac_fast(GNUTLS_MAC_SHA256, value->data, value->size, data, sizeof data, expected) == 0);
    check("they are one", memcmp(mac, expected, sizeof mac) == 0);
    need("the key verifies", list->C_VerifyInit(session, &hmac, key) == CKR_OK);
    mac[31] ^= 1;
    check("a changed MAC is refused", list->C_Verify(session, data, sizeof data, mac, sizeof mac) == CKR_SIGNATURE_INVALID);
    check("the session is closed", list->C_CloseSession(session) == CKR_OK);
}

static void keys(void)
{
    unsigned char bytes[32];
    gnutls_datum_t value = { bytes, sizeof bytes }, nothing = { bytes, 0 };

    need("a value is drawn", gnutls_rnd(GNUTLS_RND_KEY, bytes, sizeof bytes) == 0);
    need("a secret key is stored",
         gnutls_pkcs11_copy_secret_key(TOKEN, &value, "stored", GNUTLS_KEY_ENCIPHER_ONLY,
                                       GNUTLS_PKCS11_OBJ_FLAG_LOGIN | GNUTLS_PKCS11_OBJ_FLAG_MARK_SENSITIVE) == 0);
    check("an empty one is not", gnutls_pkcs11_copy_secret_key(TOKEN, &nothing, "empty", 0, GNUTLS_PKCS11_OBJ_FLAG_LOGIN) < 0);
    check("after login it and the master key are listed", count(TOKEN, GNUTLS_PKCS11_OBJ_FLAG_LOGIN) == 2);
    check("before login there are none", count(TOKEN, 0) == 0);
    look_at(TOKEN ";object=stored;type=secret-key");
    use(&value);
    check("the master key is not deleted",
          gnutls_pkcs11_delete_url(TOKEN ";object=master;type=secret-key", GNUTLS_PKCS11_OBJ_FLAG_LOGIN) <= 0 && is_there("master"));
    check("the key is deleted", gnutls_pkcs11_delete_url(TOKEN ";object=renamed;type=secret-key", GNUTLS_PKCS11_OBJ_FLAG_LOGIN) == 1);
    check("it is gone", !is_there("renamed"));
    check("and not deleted twice", gnutls_pkcs11_delete_url(TOKEN ";object=renamed;type=secret-key", GNUTLS_PKCS11_OBJ_FLAG_LOGIN) <= 0);
}

int main(void)
{
    user_pin = given("PIN");
    so_pin = given("SO_PIN");
    need("GnuTLS begins, with no module of the machine's", gnutls_pkcs11_init(GNUTLS_PKCS11_FLAG_MANUAL, NULL) == 0);
    check("what is no module is refused", gnutls_pkcs11_add_provider("/dev/null", NULL) < 0);
    need("the module is loaded", gnutls_pkcs11_add_provider(given("P11_MODULE"), NULL) == 0);
    gnutls_pkcs11_set_pin_function(answer, NULL);
    token();
    pins();
    random_bytes();
    keys();
    user_pin = "wrong-pin-000";
    check("a wrong PIN shows nothing", !is_there("master"));
    gnutls_pkcs11_deinit();
    return checks_end();
}
