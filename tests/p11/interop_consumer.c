/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What known callers do, in their own order and with their own templates: CONSUMERS of PKCS #11 for data at rest. */
#include "interop.h"

static const char label_of[] = "x";

static struct bytes sixty(void)
{
    struct bytes text = { .len = 60 };

    memset(text.data, 's', text.len);
    return text;
}

/* ---- pg_vault_tde: a key that wraps, session keys that are wrapped, unwrapped and read ---- */

static CK_OBJECT_HANDLE pg_base_key(CK_SESSION_HANDLE session, const char *label)
{
    CK_MECHANISM gen = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_TRUE),        A_BOOL(CKA_PRIVATE, CK_TRUE), A_BOOL(CKA_SENSITIVE, CK_TRUE),
                                A_BOOL(CKA_EXTRACTABLE, CK_FALSE), A_BOOL(CKA_WRAP, CK_TRUE),    A_BOOL(CKA_UNWRAP, CK_TRUE),
                                A_ULONG(CKA_VALUE_LEN, 32),        A_TEXT(CKA_LABEL, label) };
    CK_OBJECT_HANDLE key = 0;

    OFFERS(CKM_AES_KEY_GEN, CKF_GENERATE);
    report->made = true;
    may_refuse("C_GenerateKey", CALL(C_GenerateKey, session, &gen, template, COUNT(template), &key));
    return key;
}

static void pg_enumerate(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE wanted)
{
    CK_ATTRIBUTE search[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES) };
    CK_OBJECT_HANDLE found[16];
    bool seen = false;
    CK_ULONG got;

    MUST(C_FindObjectsInit, session, search, COUNT(search));
    do {
        MUST(C_FindObjects, session, found, COUNT(found), &got);
        for (CK_ULONG i = 0; i < got; i++) {
            CK_BYTE text[256];
            CK_ATTRIBUTE attr = { CKA_LABEL, text, sizeof text };

            if (CALL(C_GetAttributeValue, session, found[i], &attr, 1) == CKR_OK) seen |= found[i] == wanted;
        }
    } while (got > 0);
    MUST(C_FindObjectsFinal, session);
    if (!seen) say_wrong("C_FindObjects: the base key is not among the AES keys");
}

void pg_vault_tde(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_OBJECT_HANDLE base = pg_base_key(session, MARK ".v1"), key = 0, back = 0;
    CK_BYTE value[32] = "a value of thirty-two bytes here", wrapped[64], read[64];
    CK_ULONG len = sizeof wrapped;
    CK_ATTRIBUTE create[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES),   A_BOOL(CKA_TOKEN, CK_FALSE),
                              A_BOOL(CKA_SENSITIVE, CK_FALSE),    A_BOOL(CKA_EXTRACTABLE, CK_TRUE), { CKA_VALUE, value, sizeof value } };
    CK_ATTRIBUTE attr = { CKA_VALUE, read, sizeof read };
    CK_MECHANISM mech = { CKM_AES_KEY_WRAP, NULL, 0 };
    CK_RV rv;

    pg_enumerate(session, base);
    may_refuse("C_CreateObject", CALL(C_CreateObject, session, create, COUNT(create), &key));
    rv = CALL(C_WrapKey, session, &mech, base, key, wrapped, &len);
    if (rv == CKR_MECHANISM_INVALID) {
        mech.mechanism = CKM_AES_KEY_WRAP_PAD;
        len = sizeof wrapped;
        rv = CALL(C_WrapKey, session, &mech, base, key, wrapped, &len);
        if (rv == CKR_MECHANISM_INVALID) say_no("C_WrapKey: neither AES_KEY_WRAP nor AES_KEY_WRAP_PAD");
    }
    may_refuse("C_WrapKey", rv);
    if (len != 40) say_wrong("C_WrapKey: %lu bytes, not 40", len);
    may_refuse("C_UnwrapKey", CALL(C_UnwrapKey, session, &mech, base, wrapped, len, create, 5, &back));
    MUST(C_GetAttributeValue, session, back, &attr, 1);
    must_equal("C_UnwrapKey", read, attr.ulValueLen, value, sizeof value);
    MUST(C_DestroyObject, session, back);
    MUST(C_DestroyObject, session, key);
    MUST(C_DestroyObject, session, base);
    finalize();
}

/* ---- AES-GCM as the callers have it who ask nothing else: no AAD, 12 bytes of IV from the token ---- */

static void gcm_of_theirs(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
    CK_BYTE iv[12];
    struct t_gcm params = { iv, sizeof iv, 96, NULL, 0, 128 };
    CK_MECHANISM mech = { CKM_AES_GCM, &params, sizeof params };
    struct bytes plain = sixty(), cipher;

    MUST(C_GenerateRandom, session, iv, sizeof iv);
    cipher = encrypted(session, &mech, key, &plain);
    must_decrypt(session, &mech, key, &cipher, &plain);
}

/* OpenBao's seal finds a key that is there already, by id and label, and no second one. */
void openbao_seal(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_OBJECT_HANDLE key;
    CK_ATTRIBUTE id = A_TEXT(CKA_ID, "bao"), search[] = { A_TEXT(CKA_ID, "bao"), A_TEXT(CKA_LABEL, MARK " bao") };
    CK_OBJECT_CLASS class = 0;
    CK_KEY_TYPE type = 0;
    CK_BBOOL may_encrypt = 0, may_decrypt = 0;
    CK_ATTRIBUTE kind[] = { { CKA_CLASS, &class, sizeof class }, { CKA_KEY_TYPE, &type, sizeof type } };
    CK_ATTRIBUTE usage[] = { { CKA_ENCRYPT, &may_encrypt, 1 }, { CKA_DECRYPT, &may_decrypt, 1 } };
    CK_OBJECT_HANDLE found[2];
    CK_ULONG got = 0;

    OFFERS(CKM_AES_GCM, CKF_ENCRYPT | CKF_DECRYPT);
    key = labelled_key(session, "edT", MARK " bao");
    MUST(C_SetAttributeValue, session, key, &id, 1);
    MUST(C_Logout, session);
    log_in(session);
    MUST(C_FindObjectsInit, session, search, COUNT(search));
    MUST(C_FindObjects, session, found, 2, &got);
    MUST(C_FindObjectsFinal, session);
    if (got != 1) say_wrong("C_FindObjects: %lu keys, not 1", got);
    MUST(C_GetAttributeValue, session, found[0], kind, 2);
    MUST(C_GetAttributeValue, session, found[0], usage, 2);
    if (class != CKO_SECRET_KEY || type != CKK_AES || !may_encrypt || !may_decrypt) say_wrong("C_GetAttributeValue: another key");
    gcm_of_theirs(session, found[0]);
    MUST(C_DestroyObject, session, found[0]);
    finalize();
}

void db2(void)
{
    CK_SESSION_HANDLE session = ready();

    OFFERS(CKM_AES_CBC, CKF_ENCRYPT | CKF_DECRYPT);
    labelled_key(session, "edT", MARK " db2");
    finalize();
    session = ready();
    round_trip(session, &(CK_MECHANISM){ CKM_AES_CBC, (CK_BYTE[16]){ 2 }, 16 }, find_labelled(session, MARK " db2"));
    MUST(C_DestroyObject, session, find_labelled(session, MARK " db2"));
    finalize();
}

void go_crypto11(void)
{
    CK_MECHANISM gen = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES),    A_BOOL(CKA_TOKEN, CK_TRUE),
                                A_BOOL(CKA_SENSITIVE, CK_TRUE),     A_BOOL(CKA_EXTRACTABLE, CK_FALSE), A_BOOL(CKA_ENCRYPT, CK_TRUE),
                                A_BOOL(CKA_DECRYPT, CK_TRUE),       A_TEXT(CKA_LABEL, MARK " go"),     A_TEXT(CKA_ID, "go"),
                                A_ULONG(CKA_VALUE_LEN, 32) };
    CK_SESSION_HANDLE session = ready();
    CK_OBJECT_HANDLE key;

    OFFERS(CKM_AES_GCM, CKF_ENCRYPT | CKF_DECRYPT);
    report->made = true;
    may_refuse("C_GenerateKey", CALL(C_GenerateKey, session, &gen, template, COUNT(template), &key));
    gcm_of_theirs(session, key);
    MUST(C_DestroyObject, session, key);
    finalize();
}

/* ---- Oracle TDE ---- */

void oracle_tde(void)
{
    CK_MECHANISM gen = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES),
                                A_BOOL(CKA_TOKEN, CK_TRUE),         A_BOOL(CKA_PRIVATE, CK_TRUE),
                                A_BOOL(CKA_ENCRYPT, CK_TRUE),       A_BOOL(CKA_DECRYPT, CK_TRUE),
                                A_ULONG(CKA_VALUE_LEN, 32),         A_TEXT(CKA_LABEL, "ORACLE.TDE.HSM." MARK) };
    CK_ATTRIBUTE data[] = { A_ULONG(CKA_CLASS, CKO_DATA), A_BOOL(CKA_TOKEN, CK_TRUE), A_BOOL(CKA_PRIVATE, CK_TRUE),
                            A_TEXT(CKA_LABEL, "ORACLE.SECURITY.KM.ENCRYPTION." MARK), A_TEXT(CKA_VALUE, label_of) };
    CK_ATTRIBUTE label = A_TEXT(CKA_LABEL, "ORACLE.TDE.HSM.MK." MARK);
    CK_MECHANISM cbc = { CKM_AES_CBC, (CK_BYTE[16]){ 1 }, 16 }, pad = { CKM_AES_CBC_PAD, (CK_BYTE[16]){ 2 }, 16 };
    CK_SESSION_HANDLE session = ready();
    CK_OBJECT_HANDLE key, object;
    CK_BYTE random[32];

    OFFERS(CKM_AES_CBC, CKF_ENCRYPT | CKF_DECRYPT);
    OFFERS(CKM_AES_CBC_PAD, CKF_ENCRYPT | CKF_DECRYPT);
    report->made = true;
    MUST(C_GenerateRandom, session, random, sizeof random);
    may_refuse("C_GenerateKey", CALL(C_GenerateKey, session, &gen, template, COUNT(template), &key));
    may_refuse("C_CreateObject(CKO_DATA)", CALL(C_CreateObject, session, data, COUNT(data), &object));
    MUST(C_SetAttributeValue, session, key, &label, 1);
    if (find_labelled(session, "ORACLE.TDE.HSM.MK." MARK) != key) say_wrong("C_FindObjects: the key is not under its new label");
    if (find_labelled(session, "ORACLE.SECURITY.KM.ENCRYPTION." MARK) != object) say_wrong("C_FindObjects: the data object is not there");
    round_trip(session, &cbc, key);
    round_trip(session, &pad, key);
    MUST(C_DestroyObject, session, key);
    MUST(C_DestroyObject, session, object);
    finalize();
}

/* ---- JDK: KeyStore of SunPKCS11 ---- */

void jdk_keystore(void)
{
    CK_MECHANISM gen = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_VALUE_LEN, 32) };
    struct t_gcm params = { (CK_BYTE[12]){ 1 }, 12, 96, NULL, 0, 128 };
    CK_MECHANISM mech = { CKM_AES_GCM, &params, sizeof params };
    CK_ATTRIBUTE store[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_BOOL(CKA_PRIVATE, CK_TRUE), A_TEXT(CKA_LABEL, MARK " jks") };
    CK_ATTRIBUTE search[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_ULONG(CKA_CLASS, CKO_SECRET_KEY) };
    CK_SESSION_HANDLE session = ready();
    CK_OBJECT_HANDLE key, stored;
    CK_ULONG before = count_found(session, search, 2);

    OFFERS(CKM_AES_KEY_GEN, CKF_GENERATE);
    OFFERS(CKM_AES_GCM, CKF_ENCRYPT | CKF_DECRYPT);
    report->made = true;
    may_refuse("C_GenerateKey", CALL(C_GenerateKey, session, &gen, template, COUNT(template), &key));
    may_refuse("C_CopyObject", CALL(C_CopyObject, session, key, store, COUNT(store), &stored));
    if (before < 60 && count_found(session, search, 2) != before + 1) say_wrong("C_FindObjects: not one key more");
    must_encrypt_by_default(session, &mech, stored);
    gcm_of_theirs(session, stored);
    MUST(C_DestroyObject, session, stored);
    finalize();
}

/* ---- Barbican's p11_crypto ---- */

static CK_OBJECT_HANDLE barbican_master(CK_SESSION_HANDLE session, const char *label)
{
    CK_MECHANISM gen = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES), A_ULONG(CKA_VALUE_LEN, 32),
                                A_BOOL(CKA_TOKEN, CK_TRUE),         A_BOOL(CKA_PRIVATE, CK_TRUE),   A_BOOL(CKA_SENSITIVE, CK_TRUE),
                                A_BOOL(CKA_ENCRYPT, CK_TRUE),       A_BOOL(CKA_DECRYPT, CK_TRUE),   A_BOOL(CKA_SIGN, CK_TRUE),
                                A_BOOL(CKA_VERIFY, CK_TRUE),        A_BOOL(CKA_WRAP, CK_TRUE),      A_BOOL(CKA_UNWRAP, CK_TRUE),
                                A_BOOL(CKA_EXTRACTABLE, CK_FALSE),  A_TEXT(CKA_LABEL, label) };
    CK_OBJECT_HANDLE key = 0;

    OFFERS(CKM_AES_KEY_GEN, CKF_GENERATE);
    report->made = true;
    may_refuse("C_GenerateKey of the MKEK", CALL(C_GenerateKey, session, &gen, template, COUNT(template), &key));
    return key;
}

void barbican_keys(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_ATTRIBUTE search[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES), A_TEXT(CKA_LABEL, MARK " mkek") };
    CK_OBJECT_HANDLE key = barbican_master(session, MARK " mkek");

    if (count_found(session, search, COUNT(search)) != 1) say_wrong("C_FindObjects: not the one MKEK");
    MUST(C_DestroyObject, session, key);
    finalize();
}

/* Project KEK: wrapped under the MKEK, signed with the HMAC key, verified, unwrapped, used. */
void barbican_project(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_OBJECT_HANDLE mkek = barbican_master(session, MARK " mkek"), hmac = barbican_master(session, MARK " hmac"), kek, back = 0;
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES),  A_BOOL(CKA_TOKEN, CK_FALSE),
                                A_BOOL(CKA_PRIVATE, CK_TRUE),       A_BOOL(CKA_SENSITIVE, CK_TRUE),  A_BOOL(CKA_ENCRYPT, CK_TRUE),
                                A_BOOL(CKA_DECRYPT, CK_TRUE),       A_BOOL(CKA_EXTRACTABLE, CK_TRUE) };
    CK_BYTE both[16 + 64], mac[64];
    CK_MECHANISM wrap = { CKM_AES_CBC_PAD, both, 16 }, sign = { CKM_SHA256_HMAC, NULL, 0 };
    CK_ULONG len = 0, mac_len = sizeof mac;

    OFFERS(CKM_AES_CBC_PAD, CKF_WRAP | CKF_UNWRAP);
    OFFERS(CKM_SHA256_HMAC, CKF_SIGN | CKF_VERIFY);
    OFFERS(CKM_AES_GCM, CKF_ENCRYPT | CKF_DECRYPT);
    kek = aes_key(session, 32, "edX");
    MUST(C_GenerateRandom, session, both, 16);
    may_refuse("C_WrapKey(NULL)", CALL(C_WrapKey, session, &wrap, mkek, kek, NULL, &len));
    if (len > 64) say_wrong("C_WrapKey(NULL): %lu bytes", len);
    may_refuse("C_WrapKey", CALL(C_WrapKey, session, &wrap, mkek, kek, both + 16, &len));
    may_refuse("C_SignInit with an AES key", CALL(C_SignInit, session, &sign, hmac));
    MUST(C_Sign, session, both, 16 + len, mac, &mac_len);
    MUST(C_VerifyInit, session, &sign, hmac);
    MUST(C_Verify, session, both, 16 + len, mac, mac_len);
    mac[0] ^= 1;
    MUST(C_VerifyInit, session, &sign, hmac);
    must_fail("tampered MAC", CALL(C_Verify, session, both, 16 + len, mac, mac_len));
    may_refuse("C_UnwrapKey", CALL(C_UnwrapKey, session, &wrap, mkek, both + 16, len, template, COUNT(template), &back));
    gcm_of_theirs(session, back);
    MUST(C_DestroyObject, session, mkek);
    MUST(C_DestroyObject, session, hmac);
    finalize();
}

/* After any error it ends the library and begins again, as its own way to recover. */
void barbican_recovers(void)
{
    for (int i = 0; i < 3; i++) {
        CK_SESSION_HANDLE session = ready();
        CK_BYTE random[100];
        CK_OBJECT_HANDLE object = 0x7ffffff1;

        MUST(C_GenerateRandom, session, random, sizeof random);
        must_fail("C_DestroyObject of no object", CALL(C_DestroyObject, session, object));
        finalize();
    }
}
