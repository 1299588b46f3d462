/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * OpenBao's and Vault's seal of type `pkcs11`: a session and a login for each operation, the key found by its ID, its label or
 * both. By AES-GCM; or by AES-CBC-PAD, with an HMAC under a second key over IV and ciphertext.
 */
#include "callers.h"

#include <pthread.h>
#include <unistd.h>

enum { THREADS = 8, ROUNDS = 25, PROCESSES = 4, BARRIER_KEY = 32, ROOM = 128 };

/* What the server is configured with, and what it keeps: IV, ciphertext, HMAC if there is one. */
struct seal_keys {
    const char *id, *label, *hmac_label;
};
struct blob {
    CK_BYTE iv[16], data[ROOM], mac[32];
    CK_ULONG len, mac_len;
};
static const struct seal_keys configured = { "\1\2", "bao-root", NULL };

/* ---- its calls ---- */

static CK_RV session_get(CK_SESSION_HANDLE *session)
{
    CK_RV rv = p11->C_OpenSession(slot_labelled(TOKEN_LABEL), CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, session);

    if (rv != CKR_OK) return rv;
    rv = login(*session, CKU_USER, getenv("PIN"));
    return rv == CKR_USER_ALREADY_LOGGED_IN ? CKR_OK : rv;
}

/* Logs out whoever else has a session: this is why it serialises its operations. */
static void session_put(CK_SESSION_HANDLE session)
{
    CK_RV rv = p11->C_Logout(session);

    if (rv != CKR_USER_NOT_LOGGED_IN) EXPECT(rv, CKR_OK);
    EXPECT(p11->C_CloseSession(session), CKR_OK);
}

/* One key has both, is a secret key of that type, and may do both; else an error. */
static CK_RV seal_key_find(CK_SESSION_HANDLE session, const char *id, const char *label, CK_KEY_TYPE type, CK_ATTRIBUTE_TYPE one,
                           CK_ATTRIBUTE_TYPE other, CK_OBJECT_HANDLE *key)
{
    CK_ATTRIBUTE template[2];
    CK_ULONG count = 0, class = 0, got_type = 0, got = 0;
    CK_BBOOL may[2] = { CK_FALSE, CK_FALSE };
    CK_ATTRIBUTE read[] = {
        { CKA_CLASS, &class, sizeof class }, { CKA_KEY_TYPE, &got_type, sizeof got_type }, { one, &may[0], 1 }, { other, &may[1], 1 }
    };
    CK_OBJECT_HANDLE found[2];
    CK_RV rv;

    if (id) template[count++] = (CK_ATTRIBUTE)A_TEXT(CKA_ID, id);
    if (label) template[count++] = (CK_ATTRIBUTE)A_TEXT(CKA_LABEL, label);
    rv = p11->C_FindObjectsInit(session, template, count);
    if (rv != CKR_OK) return rv;
    rv = p11->C_FindObjects(session, found, 2, &got);
    p11->C_FindObjectsFinal(session);
    if (rv != CKR_OK || got != 1) return rv != CKR_OK ? rv : CKR_KEY_NEEDED;
    rv = p11->C_GetAttributeValue(session, found[0], read, COUNT(read));
    if (rv != CKR_OK) return rv;
    *key = found[0];
    return class == CKO_SECRET_KEY && got_type == type && may[0] && may[1] ? CKR_OK : CKR_KEY_TYPE_INCONSISTENT;
}

/* As Go's binding does it: asked for the length first. */
static CK_RV crypt_once(CK_SESSION_HANDLE session, bool encrypts, CK_MECHANISM *mech, CK_OBJECT_HANDLE key, CK_BYTE *in, CK_ULONG in_len,
                        CK_BYTE *out, CK_ULONG *out_len)
{
    CK_RV (*init)(CK_SESSION_HANDLE, CK_MECHANISM *, CK_OBJECT_HANDLE) = encrypts ? p11->C_EncryptInit : p11->C_DecryptInit;
    CK_RV (*once)(CK_SESSION_HANDLE, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG *) = encrypts ? p11->C_Encrypt : p11->C_Decrypt;
    CK_ULONG room = 0;
    CK_RV rv = init(session, mech, key);

    if (rv != CKR_OK) return rv;
    rv = once(session, in, in_len, NULL, &room);
    if (rv != CKR_OK) return rv;
    if (room > *out_len) return CKR_BUFFER_TOO_SMALL;
    *out_len = room;
    return once(session, in, in_len, out, out_len);
}

static CK_RV hmac(CK_SESSION_HANDLE session, const struct seal_keys *keys, struct blob *blob, bool signs)
{
    CK_MECHANISM mech = { CKM_SHA256_HMAC, NULL, 0 };
    CK_BYTE all[16 + ROOM];
    CK_OBJECT_HANDLE key = 0;
    CK_RV rv = seal_key_find(session, NULL, keys->hmac_label, CKK_GENERIC_SECRET, CKA_SIGN, CKA_VERIFY, &key);

    if (rv != CKR_OK) return rv;
    memcpy(all, blob->iv, 16);
    memcpy(all + 16, blob->data, blob->len);
    rv = signs ? p11->C_SignInit(session, &mech, key) : p11->C_VerifyInit(session, &mech, key);
    if (rv != CKR_OK) return rv;
    if (!signs) return p11->C_Verify(session, all, 16 + blob->len, blob->mac, blob->mac_len);
    blob->mac_len = sizeof blob->mac;
    return p11->C_Sign(session, all, 16 + blob->len, blob->mac, &blob->mac_len);
}

static CK_RV seal_in(CK_SESSION_HANDLE session, const struct seal_keys *keys, bool encrypts, CK_BYTE plain[BARRIER_KEY], struct blob *blob)
{
    struct t_gcm gcm = { blob->iv, 12, 96, NULL, 0, 128 };
    CK_MECHANISM by_gcm = { CKM_AES_GCM, &gcm, sizeof gcm }, by_cbc = { CKM_AES_CBC_PAD, blob->iv, 16 };
    CK_MECHANISM *mech = keys->hmac_label ? &by_cbc : &by_gcm;
    CK_ULONG len = ROOM;
    CK_BYTE room[ROOM];
    CK_OBJECT_HANDLE key = 0;
    CK_RV rv = seal_key_find(session, keys->id, keys->label, CKK_AES, CKA_ENCRYPT, CKA_DECRYPT, &key);

    if (rv != CKR_OK) return rv;
    if (encrypts) {
        rv = p11->C_GenerateRandom(session, blob->iv, keys->hmac_label ? 16 : 12);
        blob->len = ROOM;
        if (rv == CKR_OK) rv = crypt_once(session, true, mech, key, plain, BARRIER_KEY, blob->data, &blob->len);
        return rv == CKR_OK && keys->hmac_label ? hmac(session, keys, blob, true) : rv;
    }
    if (keys->hmac_label) rv = hmac(session, keys, blob, false);
    if (rv == CKR_OK) rv = crypt_once(session, false, mech, key, blob->data, blob->len, room, &len);
    if (rv == CKR_OK) memcpy(plain, room, BARRIER_KEY);
    return rv == CKR_OK && len != BARRIER_KEY ? CKR_GENERAL_ERROR : rv;
}

static CK_RV seal_do(const struct seal_keys *keys, bool encrypts, CK_BYTE plain[BARRIER_KEY], struct blob *blob)
{
    CK_SESSION_HANDLE session = 0;
    CK_RV rv = session_get(&session);

    if (rv == CKR_OK) rv = seal_in(session, keys, encrypts, plain, blob);
    if (session) session_put(session);
    return rv;
}

/* ---- the operator's keys, made before ---- */

static void key_generate(CK_MECHANISM_TYPE how, const char *id, const char *label, CK_ATTRIBUTE_TYPE use)
{
    CK_SESSION_HANDLE session = caller_session();
    CK_MECHANISM mech = { how, NULL, 0 };
    CK_BBOOL data = use == CKA_ENCRYPT, macs = use == CKA_SIGN, keys = use == CKA_WRAP;
    CK_ATTRIBUTE template[] = {
        A_BOOL(CKA_TOKEN, CK_TRUE), A_BOOL(CKA_PRIVATE, CK_TRUE), A_BOOL(CKA_SENSITIVE, CK_TRUE), A_BOOL(CKA_EXTRACTABLE, CK_FALSE),
        A_ULONG(CKA_VALUE_LEN, 32), A_TEXT(CKA_ID, id),           A_TEXT(CKA_LABEL, label),       { CKA_ENCRYPT, &data, 1 },
        { CKA_DECRYPT, &data, 1 },  { CKA_SIGN, &macs, 1 },       { CKA_VERIFY, &macs, 1 },       { CKA_WRAP, &keys, 1 },
        { CKA_UNWRAP, &keys, 1 }
    };
    CK_OBJECT_HANDLE key = 0;

    NEED(p11->C_GenerateKey(session, &mech, template, COUNT(template), &key));
    session_put(session);
}

static void root_key_generate(const char *id, const char *label)
{
    key_generate(CKM_AES_KEY_GEN, id, label, CKA_ENCRYPT);
}

/* ---- one server after the other ---- */

static struct blob *kept;
static CK_BYTE *barrier_key;

static void server_starts(unsigned number)
{
    CK_BYTE plain[BARRIER_KEY] = "";

    (void)number;
    NEED(p11->C_Initialize(&(CK_C_INITIALIZE_ARGS){ .flags = CKF_OS_LOCKING_OK }));
    for (unsigned i = 0; i < ROUNDS; i++) {
        NEED(seal_do(&configured, false, plain, kept));
        CHECK(memcmp(plain, barrier_key, BARRIER_KEY) == 0);
    }
    stop();
}

TEST(openbao_unseals_in_many_servers_at_once)
{
    kept = shared_new(sizeof *kept);
    barrier_key = shared_new(BARRIER_KEY);
    memcpy(barrier_key, "the key that opens the barrier..", BARRIER_KEY);
    root_key_generate(configured.id, configured.label);
    NEED(seal_do(&configured, true, barrier_key, kept));
    CHECK(kept->len == BARRIER_KEY + 16 && memmem(kept->data, kept->len, "barrier", 7) == NULL);
    stop();
    processes_run(PROCESSES, server_starts);
}

TEST(openbao_finds_its_key_by_id_and_label_and_takes_no_other)
{
    static const struct seal_keys good[] = { { "\1\2", NULL, NULL }, { NULL, "bao-root", NULL }, { "\1\2", "bao-root", NULL } };
    static const struct seal_keys none[] = {
        { "\1", NULL, NULL }, { NULL, "bao", NULL }, { "\1\2", "bao-next", NULL }, { "\7", "bao-root", NULL }
    };
    CK_BYTE plain[BARRIER_KEY] = "the key that opens the barrier.", back[BARRIER_KEY];
    struct blob blob;

    root_key_generate("\1\2", "bao-root");
    root_key_generate("\3\4", "bao-next");
    key_generate(CKM_AES_KEY_GEN, "\5\6", "bao-wrong", CKA_WRAP);
    for (size_t i = 0; i < COUNT(good); i++) {
        NEED(seal_do(&good[i], true, plain, &blob));
        NEED(seal_do(&good[(i + 1) % COUNT(good)], false, back, &blob));
        CHECK(memcmp(plain, back, sizeof back) == 0);
    }
    for (size_t i = 0; i < COUNT(none); i++) EXPECT(seal_do(&none[i], false, back, &blob), CKR_KEY_NEEDED);
    REFUSED(seal_do(&(struct seal_keys){ NULL, "bao-next", NULL }, false, back, &blob), CKR_ENCRYPTED_DATA_INVALID);
    EXPECT(seal_do(&(struct seal_keys){ NULL, "bao-wrong", NULL }, true, plain, &blob), CKR_KEY_TYPE_INCONSISTENT);
    root_key_generate("\7\7", "bao-root");
    EXPECT(seal_do(&good[1], true, plain, &blob), CKR_KEY_NEEDED);
    NEED(seal_do(&good[0], true, plain, &blob));
}

static void what_is_changed_is_refused(const struct seal_keys *keys, CK_RV refusal)
{
    CK_BYTE plain[BARRIER_KEY] = "the key that opens the barrier.", back[BARRIER_KEY] = "";
    struct blob blob;
    CK_ULONG iv_len = keys->hmac_label ? 16 : 12;

    NEED(seal_do(keys, true, plain, &blob));
    for (CK_ULONG i = 0; i < iv_len + blob.len; i++) {
        CK_BYTE *at = i < iv_len ? &blob.iv[i] : &blob.data[i - iv_len];

        *at ^= 1;
        REFUSED(seal_do(keys, false, back, &blob), refusal);
        *at ^= 1;
    }
    CHECK(back[0] == 0);
    NEED(seal_do(keys, false, back, &blob));
    CHECK(memcmp(plain, back, sizeof back) == 0);
}

TEST(openbao_notices_what_was_changed)
{
    root_key_generate(configured.id, configured.label);
    what_is_changed_is_refused(&configured, CKR_ENCRYPTED_DATA_INVALID);
}

TEST(openbao_seals_by_cbc_with_an_hmac)
{
    static const struct seal_keys keys = { NULL, "bao-root", "bao-hmac" }, swapped = { NULL, "bao-hmac", "bao-hmac" };
    CK_BYTE plain[BARRIER_KEY] = "the key that opens the barrier.";
    struct blob blob;

    root_key_generate("\1", "bao-root");
    key_generate(CKM_GENERIC_SECRET_KEY_GEN, "\2", "bao-hmac", CKA_SIGN);
    what_is_changed_is_refused(&keys, CKR_SIGNATURE_INVALID);
    NEED(seal_do(&keys, true, plain, &blob));
    blob.mac[31] ^= 1;
    REFUSED(seal_do(&keys, false, plain, &blob), CKR_SIGNATURE_INVALID);
    EXPECT(seal_do(&swapped, true, plain, &blob), CKR_KEY_TYPE_INCONSISTENT);
}

TEST(openbao_with_a_wrong_pin_stays_sealed)
{
    CK_BYTE plain[BARRIER_KEY] = "the key that opens the barrier.";
    struct blob blob;

    root_key_generate(configured.id, configured.label);
    NEED(seal_do(&configured, true, plain, &blob));
    setenv("PIN", WRONG_PIN, 1);
    REFUSED(seal_do(&configured, false, plain, &blob), CKR_PIN_INCORRECT);
    setenv("PIN", USER_PIN, 1);
    NEED(seal_do(&configured, false, plain, &blob));
}

/* ---- threads ---- */

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static bool is_serialised;
static unsigned right, logged_out;

/* What another thread's C_Logout does to one that is on its way. */
static bool is_logged_out(CK_RV rv)
{
    return rv == CKR_KEY_NEEDED || rv == CKR_USER_NOT_LOGGED_IN || rv == CKR_OPERATION_NOT_INITIALIZED || rv == CKR_KEY_HANDLE_INVALID ||
           rv == CKR_OBJECT_HANDLE_INVALID;
}

/* One unsealing, of what was sealed before the threads began. */
static void unseal_once(void)
{
    struct blob blob = *kept;
    CK_BYTE back[BARRIER_KEY] = "";
    CK_RV rv;

    if (is_serialised) pthread_mutex_lock(&one_at_a_time);
    rv = seal_do(&configured, false, back, &blob);
    if (is_serialised) pthread_mutex_unlock(&one_at_a_time);
    if (rv == CKR_OK && memcmp(back, barrier_key, sizeof back) == 0)
        __atomic_add_fetch(&right, 1, __ATOMIC_RELAXED);
    else if (rv != CKR_OK && !is_serialised && is_logged_out(rv))
        __atomic_add_fetch(&logged_out, 1, __ATOMIC_RELAXED);
    else
        fail_at(__FILE__, __LINE__, "%s, or another value", rv_name(rv));
}

static void *thread_main(void *arg)
{
    for (unsigned i = 0; i < ROUNDS; i++) unseal_once();
    return arg;
}

static void threads_run(void)
{
    static struct blob blob;
    static CK_BYTE plain[BARRIER_KEY] = "the key that opens the barrier.";
    pthread_t threads[THREADS];

    kept = &blob;
    barrier_key = plain;
    root_key_generate(configured.id, configured.label);
    NEED(seal_do(&configured, true, plain, &blob));
    for (size_t i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, thread_main, NULL);
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CHECK(right + logged_out == THREADS * ROUNDS);
    printf("    %u right, %u logged out by another\n", right, logged_out);
}

TEST(openbao_threads_that_take_turns_all_succeed)
{
    is_serialised = true;
    threads_run();
    CHECK(right == THREADS * ROUNDS);
}

/*
 * Each logs all others out. Never a wrong answer and no other refusal; whoever is the first to log out was right before it; and
 * afterwards nothing is left of it.
 */
TEST(openbao_threads_that_log_each_other_out_do_no_more_harm)
{
    threads_run();
    CHECK(right >= 1);
    is_serialised = true;
    right = logged_out = 0;
    unseal_once();
    CHECK(right == 1);
}

const struct test openbao_tests[] = {
    T(openbao_unseals_in_many_servers_at_once, ANY),
    T(openbao_finds_its_key_by_id_and_label_and_takes_no_other, ANY),
    T(openbao_notices_what_was_changed, ANY),
    T(openbao_seals_by_cbc_with_an_hmac, ANY),
    T(openbao_with_a_wrong_pin_stays_sealed, ANY),
    T(openbao_threads_that_take_turns_all_succeed, ANY),
    T(openbao_threads_that_log_each_other_out_do_no_more_harm, OURS),
    { NULL, NULL, 0 },
};
