/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * pg_vault_tde, PostgreSQL's extension, provider `pkcs11`: every backend is a forked process that initialises the module when it
 * first needs a key. Principal keys "base.v1", "base.v2", … stay in the token; the data keys are the extension's, and wrapped.
 */
#include "callers.h"

#include <pthread.h>
#include <unistd.h>

enum { BACKENDS = 4, VERSIONS = 3, EACH = 5, OTHERS = 100, BATCH = 16, WRAPPED = 40 };

/* ---- the extension's calls ---- */

static CK_RV principal_generate(CK_SESSION_HANDLE session, unsigned version)
{
    CK_MECHANISM mech = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_OBJECT_HANDLE key = 0;
    char label[32];

    snprintf(label, sizeof label, "base.v%u", version);
    CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_TRUE),        A_BOOL(CKA_PRIVATE, CK_TRUE), A_BOOL(CKA_SENSITIVE, CK_TRUE),
                                A_BOOL(CKA_EXTRACTABLE, CK_FALSE), A_BOOL(CKA_WRAP, CK_TRUE),    A_BOOL(CKA_UNWRAP, CK_TRUE),
                                A_ULONG(CKA_VALUE_LEN, 32),        A_TEXT(CKA_LABEL, label) };

    return p11->C_GenerateKey(session, &mech, template, COUNT(template), &key);
}

/* 0 unless it is "base.vN". */
static unsigned version_of(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
    static const char prefix[] = "base.v";
    char label[256] = "";
    CK_ATTRIBUTE attr = { CKA_LABEL, label, sizeof label - 1 };

    if (p11->C_GetAttributeValue(session, key, &attr, 1) != CKR_OK) return 0;
    return strncmp(label, prefix, strlen(prefix)) == 0 ? (unsigned)strtoul(label + strlen(prefix), NULL, 10) : 0;
}

/* All AES keys in batches, their labels read while the search goes on. Version 0: the newest. */
static unsigned principal_find(CK_SESSION_HANDLE session, unsigned version, CK_OBJECT_HANDLE *key)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES) };
    CK_OBJECT_HANDLE batch[BATCH];
    CK_ULONG got = 0;
    unsigned best = 0;

    NEED(p11->C_FindObjectsInit(session, template, COUNT(template)));
    do {
        NEED(p11->C_FindObjects(session, batch, BATCH, &got));
        for (CK_ULONG i = 0; i < got; i++) {
            unsigned this = version_of(session, batch[i]);

            if (version ? this != version : this <= best) continue;
            best = this;
            *key = batch[i];
        }
    } while (got == BATCH);
    NEED(p11->C_FindObjectsFinal(session));
    return best;
}

static CK_RV data_key_wrap(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE principal, const CK_BYTE value[32], bool pads, CK_BYTE *wrapped,
                           CK_ULONG *len)
{
    CK_MECHANISM kw = { CKM_AES_KEY_WRAP, NULL, 0 }, kwp = { CKM_AES_KEY_WRAP_PAD, NULL, 0 };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES),   A_BOOL(CKA_TOKEN, CK_FALSE),
                                A_BOOL(CKA_SENSITIVE, CK_FALSE),    A_BOOL(CKA_EXTRACTABLE, CK_TRUE), A_BYTES(CKA_VALUE, value, 32) };
    CK_OBJECT_HANDLE key = 0;
    CK_RV rv = p11->C_CreateObject(session, template, COUNT(template), &key);

    if (rv != CKR_OK) return rv;
    rv = p11->C_WrapKey(session, pads ? &kwp : &kw, principal, key, wrapped, len);
    NEED(p11->C_DestroyObject(session, key));
    return rv;
}

static CK_RV data_key_unwrap(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE principal, bool pads, CK_BYTE *wrapped, CK_ULONG len,
                             CK_BYTE value[32])
{
    CK_MECHANISM kw = { CKM_AES_KEY_WRAP, NULL, 0 }, kwp = { CKM_AES_KEY_WRAP_PAD, NULL, 0 };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES), A_BOOL(CKA_TOKEN, CK_FALSE),
                                A_BOOL(CKA_SENSITIVE, CK_FALSE), A_BOOL(CKA_EXTRACTABLE, CK_TRUE) };
    CK_ATTRIBUTE read = { CKA_VALUE, value, 32 };
    CK_OBJECT_HANDLE key = 0;
    CK_RV rv = p11->C_UnwrapKey(session, pads ? &kwp : &kw, principal, wrapped, len, template, COUNT(template), &key);

    if (rv != CKR_OK) return rv;
    rv = p11->C_GetAttributeValue(session, key, &read, 1);
    NEED(p11->C_DestroyObject(session, key));
    return rv == CKR_OK && read.ulValueLen != 32 ? CKR_GENERAL_ERROR : rv;
}

/* ---- many backends ---- */

static struct board {
    pthread_barrier_t barrier;
    unsigned backends; /* one where processes do not run at once */
    struct {
        CK_BYTE value[32], wrapped[64];
        CK_ULONG len;
    } keys[VERSIONS + 1][BACKENDS][EACH];
} * board;

/* Keys of other users of the token, among them labels that look alike. */
static void others_make(unsigned number)
{
    static const char *const labels[] = { "base", "base.", "xbase.v9", "BASE.v9", "base-v9", "other.v9", "", "base.x9" };
    CK_SESSION_HANDLE session = caller_session();
    CK_MECHANISM mech = { CKM_AES_KEY_GEN, NULL, 0 };

    (void)number;
    for (size_t i = 0; i < OTHERS; i++) {
        CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_ULONG(CKA_VALUE_LEN, 32), A_TEXT(CKA_LABEL, labels[i % COUNT(labels)]) };
        CK_OBJECT_HANDLE key = 0;

        NEED(p11->C_GenerateKey(session, &mech, template, COUNT(template), &key));
    }
}

static void data_keys_make(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE principal, unsigned version, unsigned number)
{
    for (size_t i = 0; i < EACH; i++) {
        CK_BYTE *value = board->keys[version][number][i].value;

        NEED(p11->C_GenerateRandom(session, value, 32));
        board->keys[version][number][i].len = sizeof board->keys[version][number][i].wrapped;
        NEED(
            data_key_wrap(session, principal, value, false, board->keys[version][number][i].wrapped, &board->keys[version][number][i].len));
        CHECK(board->keys[version][number][i].len == WRAPPED);
    }
}

/* Those of another backend. */
static void data_keys_read(CK_SESSION_HANDLE session, unsigned version, unsigned number)
{
    CK_OBJECT_HANDLE principal = 0;

    CHECK(principal_find(session, version, &principal) == version);
    for (size_t i = 0; i < EACH; i++) {
        CK_BYTE value[32];

        NEED(data_key_unwrap(session, principal, false, board->keys[version][number][i].wrapped, board->keys[version][number][i].len,
                             value));
        CHECK(memcmp(value, board->keys[version][number][i].value, sizeof value) == 0);
    }
}

static void backend(unsigned number)
{
    CK_SESSION_HANDLE session = caller_session();

    for (unsigned version = 1; version <= VERSIONS; version++) {
        CK_OBJECT_HANDLE principal = 0;

        if (number == (version - 1) % board->backends) NEED(principal_generate(session, version));
        pthread_barrier_wait(&board->barrier);
        CHECK(principal_find(session, 0, &principal) == version);
        data_keys_make(session, principal, version, number);
        pthread_barrier_wait(&board->barrier);
        for (unsigned old = 1; old <= version; old++) data_keys_read(session, old, (number + 1) % board->backends);
    }
    stop();
}

TEST(pg_vault_tde_backends_share_the_versions_of_a_principal_key)
{
    pthread_barrierattr_t attr;

    board = shared_new(sizeof *board);
    pthread_barrierattr_init(&attr);
    pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    board->backends = p11_kind == KEYLADDER ? BACKENDS : 1;
    pthread_barrier_init(&board->barrier, &attr, board->backends);
    processes_run(1, others_make);
    processes_run(board->backends, backend);
}

/* ---- what must not be ---- */

TEST(pg_vault_tde_notices_a_damaged_data_key_and_a_wrong_version)
{
    CK_SESSION_HANDLE session = caller_session();
    CK_BYTE value[32] = "a data key of thirty-two bytes.", wrapped[64], back[32] = "";
    CK_OBJECT_HANDLE first = 0, second = 0;

    NEED(principal_generate(session, 1));
    NEED(principal_generate(session, 2));
    CHECK(principal_find(session, 1, &first) == 1 && principal_find(session, 0, &second) == 2);
    for (int pads = 0; pads < 2; pads++) {
        CK_ULONG len = sizeof wrapped;

        NEED(data_key_wrap(session, first, value, pads, wrapped, &len));
        CHECK(len == WRAPPED);
        NEED(data_key_unwrap(session, first, pads, wrapped, len, back));
        CHECK(memcmp(back, value, sizeof back) == 0);
        memset(back, 0, sizeof back);
        REFUSED(data_key_unwrap(session, second, pads, wrapped, len, back), CKR_WRAPPED_KEY_INVALID);
        REFUSED(data_key_unwrap(session, first, !pads, wrapped, len, back), CKR_WRAPPED_KEY_INVALID);
        REFUSED(data_key_unwrap(session, first, pads, wrapped, len - 8, back), CKR_WRAPPED_KEY_INVALID);
        REFUSED(data_key_unwrap(session, first, pads, wrapped, len - 1, back), CKR_WRAPPED_KEY_LEN_RANGE);
        for (CK_ULONG i = 0; i < len; i++) {
            wrapped[i] ^= 0x80;
            REFUSED(data_key_unwrap(session, first, pads, wrapped, len, back), CKR_WRAPPED_KEY_INVALID);
            wrapped[i] ^= 0x80;
        }
        CHECK(back[0] == 0);
    }
}

TEST(pg_vault_tde_without_the_pin_has_no_keys)
{
    CK_SESSION_HANDLE session = caller_session();
    CK_OBJECT_HANDLE principal = 0;

    NEED(principal_generate(session, 1));
    stop();
    setenv("PIN", WRONG_PIN, 1);
    REFUSED(caller_connect(&session), CKR_PIN_INCORRECT);
    CHECK(principal_find(session, 0, &principal) == 0);
    REFUSED(principal_generate(session, 2), CKR_USER_NOT_LOGGED_IN);
    setenv("PIN", "", 1);
    REFUSED(caller_connect(&session), CKR_PIN_INCORRECT, CKR_PIN_LEN_RANGE);
    setenv("PIN", USER_PIN, 1);
    NEED(caller_connect(&session));
    CHECK(principal_find(session, 0, &principal) == 1);
}

static void destroy_first(unsigned number)
{
    CK_SESSION_HANDLE session = caller_session();
    CK_OBJECT_HANDLE principal = 0;

    (void)number;
    CHECK(principal_find(session, 1, &principal) == 1);
    NEED(p11->C_DestroyObject(session, principal));
    stop();
}

TEST(pg_vault_tde_notices_that_another_process_destroyed_its_key)
{
    CK_SESSION_HANDLE session = caller_session();
    CK_BYTE value[32] = "a data key of thirty-two bytes.", wrapped[64], back[32];
    CK_OBJECT_HANDLE principal = 0, gone = 0;
    CK_ULONG len = sizeof wrapped;

    NEED(principal_generate(session, 1));
    CHECK(principal_find(session, 1, &principal) == 1);
    NEED(data_key_wrap(session, principal, value, false, wrapped, &len));
    processes_run(1, destroy_first);
    CHECK(principal_find(session, 0, &gone) == 0);
    REFUSED(data_key_wrap(session, principal, value, false, wrapped, &len), CKR_WRAPPING_KEY_HANDLE_INVALID, CKR_KEY_HANDLE_INVALID);
    REFUSED(data_key_unwrap(session, principal, false, wrapped, len, back), CKR_UNWRAPPING_KEY_HANDLE_INVALID, CKR_KEY_HANDLE_INVALID);
    NEED(principal_generate(session, 1));
    CHECK(principal_find(session, 0, &gone) == 1);
    len = WRAPPED;
    REFUSED(data_key_unwrap(session, gone, false, wrapped, len, back), CKR_WRAPPED_KEY_INVALID);
}

TEST(pg_vault_tde_cannot_take_a_principal_key_out)
{
    CK_SESSION_HANDLE session = caller_session();
    CK_MECHANISM kw = { CKM_AES_KEY_WRAP, NULL, 0 };
    CK_BYTE value[64];
    CK_ULONG len = sizeof value;
    CK_ATTRIBUTE read = { CKA_VALUE, value, sizeof value }, opened[] = { A_BOOL(CKA_EXTRACTABLE, CK_TRUE) };
    CK_OBJECT_HANDLE first = 0, second = 0;

    NEED(principal_generate(session, 1));
    NEED(principal_generate(session, 2));
    CHECK(principal_find(session, 1, &first) == 1 && principal_find(session, 2, &second) == 2);
    EXPECT(p11->C_GetAttributeValue(session, first, &read, 1), CKR_ATTRIBUTE_SENSITIVE);
    REFUSED(p11->C_WrapKey(session, &kw, second, first, value, &len), CKR_KEY_UNEXTRACTABLE);
    REFUSED(p11->C_SetAttributeValue(session, first, opened, 1), CKR_ATTRIBUTE_READ_ONLY);
}

const struct test pg_vault_tde_tests[] = {
    T(pg_vault_tde_backends_share_the_versions_of_a_principal_key, ANY),
    T(pg_vault_tde_notices_a_damaged_data_key_and_a_wrong_version, ANY),
    T(pg_vault_tde_without_the_pin_has_no_keys, ANY),
    T(pg_vault_tde_notices_that_another_process_destroyed_its_key, ANY),
    T(pg_vault_tde_cannot_take_a_principal_key_out, ANY),
    { NULL, NULL, 0 },
};
