/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A program over NSS that knows the module's file and the token's name: it finds, generates, imports, uses, wraps, derives and destroys
 * keys by the PK11_ functions alone.
 *   nss_keys    with P11_MODULE, TOKEN, PIN and NEW_PIN in the environment
 */
#include <nss.h>
#include <pk11pub.h>
#include <prerror.h>
#include <secerr.h>
#include <secmod.h>
#include <string.h>

#include "../native/checks.h"

#define PLAIN "somebody@example.org"

static const char *pin;
static unsigned char aad[] = "users.email/4711";

static char *the_pin(PK11SlotInfo *slot, PRBool retry, void *arg)
{
    (void)slot, (void)arg;
    return retry ? NULL : PORT_Strdup(pin);
}

static PRBool is_error(PRErrorCode code)
{
    return PR_GetError() == code;
}

/* The only fixed key of this name, NULL for none. */
static PK11SymKey *find(PK11SlotInfo *slot, const char *nickname)
{
    char name[64];

    snprintf(name, sizeof name, "%s", nickname);
    return PK11_ListFixedKeysInSlot(slot, name, NULL);
}

static PRBool is_there(PK11SlotInfo *slot, const char *nickname)
{
    PK11SymKey *key = find(slot, nickname);

    if (key) PK11_FreeSymKey(key);
    return key != NULL;
}

static PK11SymKey *generate(PK11SlotInfo *slot, CK_MECHANISM_TYPE how, CK_FLAGS roles, PK11AttrFlags kind, const char *nickname)
{
    PK11SymKey *key = PK11_TokenKeyGenWithFlags(slot, how, NULL, 32, NULL, roles, kind, NULL);

    if (key && nickname && PK11_SetSymKeyNickname(key, nickname) != SECSuccess) {
        PK11_FreeSymKey(key);
        key = NULL;
    }
    return key;
}

/* ---- use ---- */

struct way {
    const char *name;
    CK_MECHANISM_TYPE type;
    SECItem *param;
    unsigned int sealed_len;
};

static void round_trip(PK11SymKey *key, PK11SymKey *other, const struct way *way)
{
    unsigned char sealed[64], opened[64];
    unsigned int sealed_len = 0, len = 0;
    char what[128];
    SECStatus status;

    snprintf(what, sizeof what, "%s: a value is encrypted", way->name);
    need(what, PK11_Encrypt(key, way->type, way->param, sealed, &sealed_len, sizeof sealed, (const unsigned char *)PLAIN, sizeof PLAIN) ==
                   SECSuccess);
    snprintf(what, sizeof what, "%s: the ciphertext has %u bytes, and not the plaintext", way->name, way->sealed_len);
    check(what, sealed_len == way->sealed_len && memcmp(sealed, PLAIN, sizeof PLAIN) != 0);
    snprintf(what, sizeof what, "%s: the value comes back", way->name);
    status = PK11_Decrypt(key, way->type, way->param, opened, &len, sizeof opened, sealed, sealed_len);
    check(what, status == SECSuccess && len == sizeof PLAIN && memcmp(opened, PLAIN, len) == 0);
    snprintf(what, sizeof what, "%s: another key does not give it", way->name);
    status = PK11_Decrypt(other, way->type, way->param, opened, &len, sizeof opened, sealed, sealed_len);
    check(what, status != SECSuccess || len != sizeof PLAIN || memcmp(opened, PLAIN, len) != 0);
    snprintf(what, sizeof what, "%s: a cut ciphertext does not open", way->name);
    check(what, PK11_Decrypt(key, way->type, way->param, opened, &len, sizeof opened, sealed, sealed_len - 1) != SECSuccess);
    if (way->type != CKM_AES_GCM) return;
    sealed[0] ^= 1;
    check("AES-GCM: a changed byte does not open",
          PK11_Decrypt(key, way->type, way->param, opened, &len, sizeof opened, sealed, sealed_len) != SECSuccess);
    sealed[0] ^= 1;
    aad[0] ^= 1;
    check("AES-GCM: other associated data does not open",
          PK11_Decrypt(key, way->type, way->param, opened, &len, sizeof opened, sealed, sealed_len) != SECSuccess);
    aad[0] ^= 1;
}

/* NSS has two structures for AES-GCM: that of PKCS #11 2.40 and later, and its own one of before, without the IV's length in bits. */
static void encrypt_with(PK11SlotInfo *slot, PK11SymKey *key, PK11SymKey *other)
{
    unsigned char iv[16];
    CK_GCM_PARAMS_V3 gcm = { iv, 12, 96, aad, sizeof aad, 128 };
    CK_NSS_GCM_PARAMS older = { iv, 12, aad, sizeof aad, 128 };
    SECItem gcm_item = { siBuffer, (unsigned char *)&gcm, sizeof gcm }, older_item = { siBuffer, (unsigned char *)&older, sizeof older };
    SECItem iv_item = { siBuffer, iv, sizeof iv };
    const struct way ways[] = {
        { "AES-GCM", CKM_AES_GCM, &gcm_item, sizeof PLAIN + 16 },
        { "AES-GCM as NSS had it", CKM_AES_GCM, &older_item, sizeof PLAIN + 16 },
        { "AES-CBC-PAD", CKM_AES_CBC_PAD, &iv_item, 32 },
    };

    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        need("the token makes an IV", PK11_GenerateRandomOnSlot(slot, iv, sizeof iv) == SECSuccess);
        round_trip(key, other, &ways[i]);
    }
}

static void sign_with(PK11SlotInfo *slot)
{
    PK11SymKey *key = generate(slot, CKM_GENERIC_SECRET_KEY_GEN, CKF_SIGN | CKF_VERIFY, PK11_ATTR_SESSION | PK11_ATTR_PRIVATE, NULL);
    unsigned char mac[32], again[32];
    SECItem mac_item = { siBuffer, mac, sizeof mac }, again_item = { siBuffer, again, sizeof again };
    SECItem data = { siBuffer, (unsigned char *)(uintptr_t)PLAIN, sizeof PLAIN };

    need("a session key to sign with is generated", key != NULL);
    check("it signs", PK11_SignWithSymKey(key, CKM_SHA256_HMAC, NULL, &mac_item, &data) == SECSuccess && mac_item.len == 32);
    check("it signs the same alike",
          PK11_SignWithSymKey(key, CKM_SHA256_HMAC, NULL, &again_item, &data) == SECSuccess && memcmp(mac, again, 32) == 0);
    data.len--;
    check("other data has another MAC",
          PK11_SignWithSymKey(key, CKM_SHA256_HMAC, NULL, &again_item, &data) == SECSuccess && memcmp(mac, again, 32) != 0);
    PK11_FreeSymKey(key);
}

/* ---- keys that come and go ---- */

static PRBool same_key(PK11SymKey *one, PK11SymKey *other)
{
    unsigned char iv[16] = { 7 }, sealed[64], opened[64];
    unsigned int sealed_len = 0, len = 0;
    SECItem param = { siBuffer, iv, sizeof iv };

    return PK11_Encrypt(one, CKM_AES_CBC_PAD, &param, sealed, &sealed_len, sizeof sealed, (const unsigned char *)PLAIN, sizeof PLAIN) ==
               SECSuccess &&
           PK11_Decrypt(other, CKM_AES_CBC_PAD, &param, opened, &len, sizeof opened, sealed, sealed_len) == SECSuccess &&
           len == sizeof PLAIN && memcmp(opened, PLAIN, len) == 0;
}

static PK11SymKey *unwrap(PK11SymKey *kek, SECItem *wrapped)
{
    return PK11_UnwrapSymKeyWithFlags(kek, CKM_AES_KEY_WRAP_KWP, NULL, wrapped, CKM_AES_GCM, CKA_ENCRYPT, 32, CKF_ENCRYPT | CKF_DECRYPT);
}

/* Policy `standard`: a sensitive key leaves only under a wrapping key that the officer trusts, and NSS cannot ask for that. */
static void wrap_with(PK11SlotInfo *slot, PK11SymKey *unextractable)
{
    const PK11AttrFlags session = PK11_ATTR_SESSION | PK11_ATTR_PRIVATE;
    const CK_FLAGS cipher = CKF_ENCRYPT | CKF_DECRYPT;
    PK11SymKey *kek = generate(slot, CKM_AES_KEY_GEN, CKF_WRAP | CKF_UNWRAP, session | PK11_ATTR_SENSITIVE, NULL);
    PK11SymKey *open = generate(slot, CKM_AES_KEY_GEN, cipher, session | PK11_ATTR_INSENSITIVE | PK11_ATTR_EXTRACTABLE, NULL);
    PK11SymKey *sensitive = generate(slot, CKM_AES_KEY_GEN, cipher, session | PK11_ATTR_SENSITIVE | PK11_ATTR_EXTRACTABLE, NULL);
    PK11SymKey *back;
    unsigned char bytes[64];
    SECItem wrapped = { siBuffer, bytes, sizeof bytes };

    need("a key to wrap with, and two that may leave, are generated", kek != NULL && open != NULL && sensitive != NULL);
    need("one leaves wrapped", PK11_WrapSymKey(CKM_AES_KEY_WRAP_KWP, NULL, kek, open, &wrapped) == SECSuccess && wrapped.len == 40);
    back = unwrap(kek, &wrapped);
    check("it comes back, the same key", back != NULL && same_key(open, back) && !same_key(sensitive, back));
    bytes[5] ^= 1;
    check("changed it does not come back", unwrap(kek, &wrapped) == NULL);
    wrapped.len = sizeof bytes;
    check("a sensitive one does not leave", PK11_WrapSymKey(CKM_AES_KEY_WRAP_KWP, NULL, kek, sensitive, &wrapped) != SECSuccess);
    check("nor one that is unextractable", PK11_WrapSymKey(CKM_AES_KEY_WRAP_KWP, NULL, kek, unextractable, &wrapped) != SECSuccess);
    if (back) PK11_FreeSymKey(back);
    PK11_FreeSymKey(sensitive);
    PK11_FreeSymKey(open);
    PK11_FreeSymKey(kek);
}

/* A rung of the ladder: HKDF from the key above, named by the info. Keys that stay derive, a record's encrypts: one of them NSS asks for itself. */
static PK11SymKey *derive(PK11SymKey *parent, const char *info, const char *label, PRBool stays)
{
    CK_HKDF_PARAMS hkdf = { .bExtract = CK_TRUE,
                            .bExpand = CK_TRUE,
                            .prfHashMechanism = CKM_SHA256,
                            .ulSaltType = CKF_HKDF_SALT_NULL,
                            .pInfo = (CK_BYTE_PTR)(uintptr_t)info,
                            .ulInfoLen = strlen(info) };
    SECItem param = { siBuffer, (unsigned char *)&hkdf, sizeof hkdf };
    CK_BBOOL yes = CK_TRUE;
    CK_ATTRIBUTE template[] = { { CKA_LABEL, (void *)(uintptr_t)label, strlen(label) },
                                { stays ? CKA_TOKEN : CKA_DECRYPT, &yes, sizeof yes } };

    return PK11_DeriveWithTemplate(parent, CKM_HKDF_DERIVE, &param, CKM_AES_GCM, stays ? CKA_DERIVE : CKA_ENCRYPT, 32, template, 2, stays);
}

static PRBool gcm_opens(PK11SymKey *sealer, PK11SymKey *opener)
{
    unsigned char iv[12], sealed[64], opened[64];
    unsigned int sealed_len = 0, len = 0;
    CK_GCM_PARAMS_V3 gcm = { iv, sizeof iv, 96, aad, sizeof aad, 128 };
    SECItem param = { siBuffer, (unsigned char *)&gcm, sizeof gcm };

    need("an IV is made", PK11_GenerateRandom(iv, sizeof iv) == SECSuccess);
    need("a value is sealed", PK11_Encrypt(sealer, CKM_AES_GCM, &param, sealed, &sealed_len, sizeof sealed, (const unsigned char *)PLAIN,
                                           sizeof PLAIN) == SECSuccess);
    return PK11_Decrypt(opener, CKM_AES_GCM, &param, opened, &len, sizeof opened, sealed, sealed_len) == SECSuccess &&
           len == sizeof PLAIN && memcmp(opened, PLAIN, len) == 0;
}

static void ladder(PK11SlotInfo *slot)
{
    PK11SymKey *master = find(slot, "master"), *users, *email, *record, *again, *other;

    need("the master key is found", master != NULL);
    users = derive(master, "users", "users", PR_TRUE);
    need("a data encryption key grows", users != NULL && is_there(slot, "users"));
    email = derive(users, "email", "users.email", PR_TRUE);
    need("a field key grows", email != NULL && is_there(slot, "users.email"));
    record = derive(email, "4711", "4711", PR_FALSE);
    again = derive(email, "4711", "4711", PR_FALSE);
    other = derive(email, "4712", "4712", PR_FALSE);
    need("a record's key is made twice, and another's", record != NULL && again != NULL && other != NULL);
    check("the two are one key", gcm_opens(record, again));
    check("the other record's is another one", !gcm_opens(record, other));
    /* NSS says of every token object that it is deleted. */
    PK11_DeleteTokenSymKey(email);
    check("a key of the ladder is not deleted", is_there(slot, "users.email"));
    PK11_DeleteTokenSymKey(master);
    check("nor the master", is_there(slot, "master"));
    PK11_FreeSymKey(other);
    PK11_FreeSymKey(again);
    PK11_FreeSymKey(record);
    PK11_FreeSymKey(email);
    PK11_FreeSymKey(users);
    PK11_FreeSymKey(master);
}

/* ---- the run ---- */

/* Unlike PK11_ListFixedKeysInSlot this does not log in. */
static PRBool sees_master(PK11SlotInfo *slot)
{
    PK11SymKey *key = PK11_FindFixedKey(slot, CKM_HKDF_DERIVE, NULL, NULL);

    if (key) PK11_FreeSymKey(key);
    return key != NULL;
}

static void log_in(PK11SlotInfo *slot)
{
    need("the slot is one of a token with a PIN", PK11_IsPresent(slot) && PK11_NeedLogin(slot) && !PK11_NeedUserInit(slot));
    check("nobody is logged in, and the master key is not seen", !PK11_IsLoggedIn(slot, NULL) && !sees_master(slot));
    check("a wrong PIN is a wrong password",
          PK11_CheckUserPassword(slot, "wrong-pin-000") == SECWouldBlock && is_error(SEC_ERROR_BAD_PASSWORD));
    check("and logs nobody in", !PK11_IsLoggedIn(slot, NULL));
    need("the PIN logs in", PK11_Authenticate(slot, PR_FALSE, NULL) == SECSuccess && PK11_IsLoggedIn(slot, NULL));
    check("now the master key is seen", sees_master(slot));
}

static void change_pin(PK11SlotInfo *slot)
{
    const char *new_pin = given("NEW_PIN");

    check("a PIN is not changed by a wrong one", PK11_ChangePW(slot, "wrong-pin-000", new_pin) != SECSuccess);
    check("the PIN is changed", PK11_ChangePW(slot, pin, new_pin) == SECSuccess);
    PK11_Logout(slot);
    check("the old PIN is wrong now", PK11_CheckUserPassword(slot, pin) == SECWouldBlock);
    pin = new_pin;
    need("the new PIN is right", PK11_Authenticate(slot, PR_FALSE, NULL) == SECSuccess);
}

static void keys(PK11SlotInfo *slot)
{
    const PK11AttrFlags kept = PK11_ATTR_TOKEN | PK11_ATTR_PRIVATE | PK11_ATTR_SENSITIVE | PK11_ATTR_UNEXTRACTABLE;
    PK11SymKey *key = generate(slot, CKM_AES_KEY_GEN, CKF_ENCRYPT | CKF_DECRYPT, kept, "app-key"), *other, *found;
    unsigned char value[32] = { 0 };
    SECItem item = { siBuffer, value, sizeof value };

    need("a token key is generated and named", key != NULL);
    check("no key has two roles", generate(slot, CKM_AES_KEY_GEN, CKF_SIGN | CKF_ENCRYPT, kept, NULL) == NULL);
    found = find(slot, "app-key");
    need("it is found by its nickname", found != NULL && PK11_GetNextSymKey(found) == NULL && PK11_GetSymKeyType(found) == CKK_AES);
    check("another nickname is not there", !is_there(slot, "nobody"));
    check("its value is not extracted", PK11_ExtractKeyValue(found) != SECSuccess);
    need("the token makes bytes", PK11_GenerateRandomOnSlot(slot, value, sizeof value) == SECSuccess);
    other = PK11_ImportSymKeyWithFlags(slot, CKM_AES_GCM, PK11_OriginUnwrap, CKA_ENCRYPT, &item, CKF_ENCRYPT | CKF_DECRYPT, PR_FALSE, NULL);
    need("a session key is imported", other != NULL);
    encrypt_with(slot, found, other);
    sign_with(slot);
    wrap_with(slot, key);
    ladder(slot);
    change_pin(slot);
    PK11_FreeSymKey(other);
    PK11_FreeSymKey(found);
    PK11_FreeSymKey(key);
    /* The logout took the handles of private keys. */
    key = find(slot, "app-key");
    need("the key is there under the new PIN", key != NULL);
    check("it is deleted", PK11_DeleteTokenSymKey(key) == SECSuccess);
    check("it is gone", !is_there(slot, "app-key"));
    PK11_FreeSymKey(key);
}

int main(void)
{
    char spec[4300];
    SECMODModule *module;
    PK11SlotInfo *slot;

    pin = given("PIN");
    snprintf(spec, sizeof spec, "library=\"%s\" name=\"keyladder\"", given("P11_MODULE"));
    need("NSS begins", NSS_NoDB_Init(NULL) == SECSuccess);
    PK11_SetPasswordFunc(the_pin);
    module = SECMOD_LoadUserModule(spec, NULL, PR_FALSE);
    need("the module is loaded", module != NULL && module->loaded);
    check("no token is called otherwise", PK11_FindSlotByName("nobody's") == NULL);
    slot = PK11_FindSlotByName(given("TOKEN"));
    need("the token is found by its name", slot != NULL);
    log_in(slot);
    keys(slot);
    PK11_FreeSlot(slot);
    check("the module is unloaded", SECMOD_UnloadUserModule(module) == SECSuccess);
    SECMOD_DestroyModule(module);
    check("NSS ends with nothing left open", NSS_Shutdown() == SECSuccess);
    return checks_end();
}
