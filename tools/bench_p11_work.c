/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The works of `keyladder bench` through a module: session keys only, nothing is written to any token. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_p11.h"
#include "bench_side.h"

enum { IV_LEN = 12, TAG_LEN = 16, MORE = 64 }; /* the most that an envelope adds is 60 bytes */

#define TRY(call)                              \
    do {                                       \
        CK_RV try_rv = (call);                 \
        if (try_rv != CKR_OK) return (try_rv); \
    } while (0)

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
static CK_OBJECT_CLASS secret_key = CKO_SECRET_KEY;
static CK_KEY_TYPE aes = CKK_AES;
static CK_ULONG bytes_32 = 32;

/* --- keys --- */

static const struct {
    CK_MECHANISM_TYPE generates;
    CK_KEY_TYPE type;
    CK_ATTRIBUTE_TYPE uses[2]; /* the second may be 0 */
} key_rows[KL_BENCH_KEYS] = {
    [KL_BENCH_KEY_AES] = { CKM_AES_KEY_GEN, CKK_AES, { CKA_ENCRYPT, CKA_DECRYPT } },
    [KL_BENCH_KEY_ENVELOPE] = { CKM_AES_KEY_GEN, CKK_AES, { CKA_ENCRYPT, CKA_DECRYPT } },
    [KL_BENCH_KEY_CHACHA] = { CKM_CHACHA20_KEY_GEN, CKK_CHACHA20, { CKA_ENCRYPT, CKA_DECRYPT } },
    [KL_BENCH_KEY_MAC] = { CKM_GENERIC_SECRET_KEY_GEN, CKK_GENERIC_SECRET, { CKA_SIGN } },
    [KL_BENCH_KEY_DERIVE] = { CKM_GENERIC_SECRET_KEY_GEN, CKK_GENERIC_SECRET, { CKA_DERIVE } },
};

static CK_RV generate(enum kl_bench_key which, CK_OBJECT_HANDLE *key)
{
    CK_MECHANISM mechanism = { .mechanism = key_rows[which].generates };
    CK_ATTRIBUTE template[6] = { { CKA_TOKEN, &no, sizeof no }, { CKA_PRIVATE, &yes, sizeof yes } };
    CK_ULONG count = 2;

    /* The length of a ChaCha20 key is always the same, and may not be said. */
    if (which != KL_BENCH_KEY_CHACHA) template[count++] = (CK_ATTRIBUTE){ CKA_VALUE_LEN, &bytes_32, sizeof bytes_32 };
    for (size_t i = 0; i < 2 && key_rows[which].uses[i] != 0; i++)
        template[count++] = (CK_ATTRIBUTE){ key_rows[which].uses[i], &yes, sizeof yes };
    return kl_bench_module.p11->C_GenerateKey(kl_bench_module.keeper, &mechanism, template, count, key);
}

/* For modules that make no generic secrets (NSS, SoftHSM of old): a value of our own, which protects nothing. */
static CK_RV import(enum kl_bench_key which, CK_OBJECT_HANDLE *key)
{
    CK_BYTE value[32];
    CK_KEY_TYPE type = key_rows[which].type;
    CK_ATTRIBUTE template[] = {
        { CKA_CLASS, &secret_key, sizeof secret_key },
        { CKA_KEY_TYPE, &type, sizeof type },
        { CKA_TOKEN, &no, sizeof no },
        { CKA_VALUE, value, sizeof value },
        { key_rows[which].uses[0], &yes, sizeof yes },
    };

    memset(value, 0x5c, sizeof value);
    return kl_bench_module.p11->C_CreateObject(kl_bench_module.keeper, template, sizeof template / sizeof *template, key);
}

CK_RV kl_bench_key_get(enum kl_bench_key which, CK_OBJECT_HANDLE *key)
{
    static CK_OBJECT_HANDLE made[KL_BENCH_KEYS];

    if (made[which] == CK_INVALID_HANDLE) {
        CK_RV rv = generate(which, &made[which]);

        if (rv != CKR_OK && key_rows[which].type == CKK_GENERIC_SECRET && import(which, &made[which]) == CKR_OK) rv = CKR_OK;
        if (rv != CKR_OK) made[which] = CK_INVALID_HANDLE;
        TRY(rv);
    }
    *key = made[which];
    return CKR_OK;
}

void kl_bench_key_label(unsigned number, char out[32])
{
    snprintf(out, 32, "keyladder bench %u", number);
}

CK_RV kl_bench_keys_fill(void)
{
    static unsigned made;

    for (; made < KL_BENCH_FOUND; made++) {
        CK_MECHANISM mechanism = { .mechanism = CKM_AES_KEY_GEN };
        CK_OBJECT_HANDLE key;
        char label[32];
        CK_ATTRIBUTE template[] = {
            { CKA_TOKEN, &no, sizeof no },
            { CKA_VALUE_LEN, &bytes_32, sizeof bytes_32 },
            { CKA_ENCRYPT, &yes, sizeof yes },
            { CKA_LABEL, label, 0 },
        };

        kl_bench_key_label(made, label);
        template[3].ulValueLen = strlen(label);
        TRY(kl_bench_module.p11->C_GenerateKey(kl_bench_module.keeper, &mechanism, template, sizeof template / sizeof *template, &key));
    }
    return CKR_OK;
}

/* --- one thread's work --- */

struct state {
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;
    CK_MECHANISM mechanism;
    union {
        CK_GCM_PARAMS gcm;
        CK_SALSA20_CHACHA20_POLY1305_PARAMS chacha;
        CK_GCM_MESSAGE_PARAMS message;
        CK_HKDF_PARAMS hkdf;
    } params;
    KL_EncryptBatch batch;
    KL_BATCH_ITEM items[KL_BENCH_FIELDS];
    size_t size, in_len;
    CK_BYTE *in, *out; /* room for all fields of a batch, or for one text; each with MORE behind it */
    CK_BYTE iv[IV_LEN], aad[KL_BENCH_AAD], tag[TAG_LEN];
    CK_BYTE salt[32], info[16];
};

/* No two with the same IV, in no thread: the upper four bytes are the thread's. */
static void next_iv(struct state *state)
{
    uint64_t number;

    memcpy(&number, state->iv + IV_LEN - sizeof number, sizeof number);
    number++;
    memcpy(state->iv + IV_LEN - sizeof number, &number, sizeof number);
}

static unsigned long run_encrypt(void *user, unsigned long times)
{
    CK_FUNCTION_LIST *p11 = kl_bench_module.p11;
    struct state *state = user;

    while (times-- > 0) {
        CK_ULONG len = state->size + MORE;

        next_iv(state);
        TRY(p11->C_EncryptInit(state->session, &state->mechanism, state->key));
        TRY(p11->C_Encrypt(state->session, state->in, state->size, state->out, &len));
        if (len != state->size + TAG_LEN) return KL_BENCH_WRONG;
    }
    return CKR_OK;
}

static unsigned long run_decrypt(void *user, unsigned long times)
{
    CK_FUNCTION_LIST *p11 = kl_bench_module.p11;
    struct state *state = user;

    while (times-- > 0) {
        CK_ULONG len = state->size + MORE;

        TRY(p11->C_DecryptInit(state->session, &state->mechanism, state->key));
        TRY(p11->C_Decrypt(state->session, state->in, state->in_len, state->out, &len));
        if (len != state->size) return KL_BENCH_WRONG;
    }
    return CKR_OK;
}

static unsigned long run_message_encrypt(void *user, unsigned long times)
{
    struct state *state = user;

    while (times-- > 0) {
        CK_ULONG len = state->size + MORE;

        next_iv(state);
        TRY(kl_bench_module.messages->C_EncryptMessage(state->session, &state->params.message, sizeof state->params.message, state->aad,
                                                       sizeof state->aad, state->in, state->size, state->out, &len));
        if (len != state->size) return KL_BENCH_WRONG;
    }
    return CKR_OK;
}

static unsigned long run_message_decrypt(void *user, unsigned long times)
{
    struct state *state = user;

    while (times-- > 0) {
        CK_ULONG len = state->size + MORE;

        TRY(kl_bench_module.messages->C_DecryptMessage(state->session, &state->params.message, sizeof state->params.message, state->aad,
                                                       sizeof state->aad, state->in, state->size, state->out, &len));
        if (len != state->size) return KL_BENCH_WRONG;
    }
    return CKR_OK;
}

static unsigned long run_batch(void *user, unsigned long times)
{
    struct state *state = user;

    while (times-- > 0) {
        for (size_t i = 0; i < KL_BENCH_FIELDS; i++) state->items[i].ulOutLen = state->size + MORE;
        TRY(state->batch(state->session, &state->mechanism, state->key, state->items, KL_BENCH_FIELDS));
    }
    return CKR_OK;
}

static unsigned long run_sign(void *user, unsigned long times)
{
    struct state *state = user;

    while (times-- > 0) {
        CK_ULONG len = MORE;

        TRY(kl_bench_module.p11->C_SignInit(state->session, &state->mechanism, state->key));
        TRY(kl_bench_module.p11->C_Sign(state->session, state->in, state->size, state->out, &len));
        if (len != 32) return KL_BENCH_WRONG;
    }
    return CKR_OK;
}

static unsigned long run_derive(void *user, unsigned long times)
{
    struct state *state = user;
    CK_ATTRIBUTE template[] = {
        { CKA_CLASS, &secret_key, sizeof secret_key },
        { CKA_KEY_TYPE, &aes, sizeof aes },
        { CKA_VALUE_LEN, &bytes_32, sizeof bytes_32 },
        { CKA_TOKEN, &no, sizeof no },
        { CKA_PRIVATE, &yes, sizeof yes },
        { CKA_SENSITIVE, &yes, sizeof yes },
        { CKA_ENCRYPT, &yes, sizeof yes },
        { CKA_DECRYPT, &yes, sizeof yes },
    };

    while (times-- > 0) {
        CK_OBJECT_HANDLE key;

        state->salt[0]++;
        TRY(kl_bench_module.p11->C_DeriveKey(state->session, &state->mechanism, state->key, template, sizeof template / sizeof *template,
                                             &key));
        TRY(kl_bench_module.p11->C_DestroyObject(state->session, key));
    }
    return CKR_OK;
}

static unsigned long run_session(void *user, unsigned long times)
{
    (void)user;
    while (times-- > 0) {
        CK_SESSION_HANDLE session;

        TRY(kl_bench_module.p11->C_OpenSession(kl_bench_module.slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
        TRY(kl_bench_module.p11->C_CloseSession(session));
    }
    return CKR_OK;
}

static unsigned long run_find(void *user, unsigned long times)
{
    CK_FUNCTION_LIST *p11 = kl_bench_module.p11;
    struct state *state = user;
    char label[32];
    CK_ATTRIBUTE wanted[] = { { CKA_CLASS, &secret_key, sizeof secret_key }, { CKA_LABEL, label, 0 } };

    kl_bench_key_label(KL_BENCH_FOUND / 2, label);
    wanted[1].ulValueLen = strlen(label);
    while (times-- > 0) {
        CK_OBJECT_HANDLE found[2];
        CK_ULONG count = 0;

        TRY(p11->C_FindObjectsInit(state->session, wanted, 2));
        TRY(p11->C_FindObjects(state->session, found, 2, &count));
        TRY(p11->C_FindObjectsFinal(state->session));
        if (count != 1) return KL_BENCH_WRONG;
    }
    return CKR_OK;
}

/* --- making one ready --- */

static CK_RV ready_gcm(struct state *state)
{
    state->params.gcm = (CK_GCM_PARAMS){ .pIv = state->iv, .ulIvLen = IV_LEN, .ulIvBits = 8 * IV_LEN, .ulTagBits = 8 * TAG_LEN };
    state->params.gcm.pAAD = state->aad;
    state->params.gcm.ulAADLen = sizeof state->aad;
    state->mechanism = (CK_MECHANISM){ CKM_AES_GCM, &state->params.gcm, sizeof state->params.gcm };
    return CKR_OK;
}

static CK_RV ready_chacha(struct state *state)
{
    state->params.chacha = (CK_SALSA20_CHACHA20_POLY1305_PARAMS){ state->iv, IV_LEN, state->aad, sizeof state->aad };
    state->mechanism = (CK_MECHANISM){ CKM_CHACHA20_POLY1305, &state->params.chacha, sizeof state->params.chacha };
    return CKR_OK;
}

/* What is to be decrypted is encrypted first; the plaintext is kept to compare. */
static CK_RV turn(struct state *state, unsigned long (*encrypts)(void *, unsigned long), size_t sealed_len)
{
    CK_BYTE *sealed;

    TRY(encrypts(state, 1));
    sealed = state->out;
    state->out = state->in;
    state->in = sealed;
    state->in_len = sealed_len;
    return CKR_OK;
}

/* After a first decryption: in `out` stood the plaintext before, and stands the same again. */
static CK_RV check_turned(struct state *state, unsigned long (*decrypts)(void *, unsigned long))
{
    CK_BYTE *plain = malloc(state->size);
    bool same;

    if (plain == NULL) return CKR_HOST_MEMORY;
    memcpy(plain, state->out, state->size);
    memset(state->out, 0, state->size);
    CK_RV rv = decrypts(state, 1);
    same = memcmp(plain, state->out, state->size) == 0;
    free(plain);
    TRY(rv);
    return same ? CKR_OK : KL_BENCH_WRONG;
}

static CK_RV ready_gcm_decrypt(struct state *state)
{
    TRY(ready_gcm(state));
    TRY(turn(state, run_encrypt, state->size + TAG_LEN));
    return check_turned(state, run_decrypt);
}

static CK_RV ready_chacha_decrypt(struct state *state)
{
    TRY(ready_chacha(state));
    TRY(turn(state, run_encrypt, state->size + TAG_LEN));
    return check_turned(state, run_decrypt);
}

static CK_RV ready_message(struct state *state)
{
    if (kl_bench_module.messages == NULL) return CKR_FUNCTION_NOT_SUPPORTED;
    state->params.message = (CK_GCM_MESSAGE_PARAMS){ state->iv, IV_LEN, 0, CKG_NO_GENERATE, state->tag, 8 * TAG_LEN };
    state->mechanism = (CK_MECHANISM){ CKM_AES_GCM, &state->params.message, sizeof state->params.message };
    return kl_bench_module.messages->C_MessageEncryptInit(state->session, &state->mechanism, state->key);
}

static CK_RV ready_message_decrypt(struct state *state)
{
    TRY(ready_message(state));
    TRY(turn(state, run_message_encrypt, state->size));
    TRY(kl_bench_module.messages->C_MessageEncryptFinal(state->session));
    TRY(kl_bench_module.messages->C_MessageDecryptInit(state->session, &state->mechanism, state->key));
    return check_turned(state, run_message_decrypt);
}

static CK_RV ready_batch(struct state *state)
{
    if (kl_bench_module.keyladder == NULL) return KL_BENCH_ABSENT;
    state->batch = kl_bench_module.keyladder->EncryptBatch;
    state->mechanism = (CK_MECHANISM){ CKM_KL_ENVELOPE, NULL, 0 };
    for (size_t i = 0; i < KL_BENCH_FIELDS; i++) {
        size_t at = i * (state->size + MORE);

        state->items[i] = (KL_BATCH_ITEM){ state->aad, sizeof state->aad, state->in + at, state->size, state->out + at, 0, CKR_OK };
    }
    return CKR_OK;
}

static CK_RV ready_batch_decrypt(struct state *state)
{
    TRY(ready_batch(state));
    TRY(run_batch(state, 1));
    state->batch = kl_bench_module.keyladder->DecryptBatch;
    for (size_t i = 0; i < KL_BENCH_FIELDS; i++) {
        CK_BYTE *sealed = state->items[i].pOut;

        state->items[i].pOut = state->items[i].pIn;
        state->items[i].pIn = sealed;
        state->items[i].ulInLen = state->items[i].ulOutLen;
    }
    TRY(run_batch(state, 1));
    return state->items[KL_BENCH_FIELDS - 1].ulOutLen == state->size ? CKR_OK : KL_BENCH_WRONG;
}

static CK_RV ready_sign(struct state *state)
{
    state->mechanism = (CK_MECHANISM){ CKM_SHA256_HMAC, NULL, 0 };
    return CKR_OK;
}

static CK_RV ready_derive(struct state *state)
{
    state->params.hkdf = (CK_HKDF_PARAMS){ CK_TRUE, CK_TRUE,     CKM_SHA256,        CKF_HKDF_SALT_DATA, state->salt, sizeof state->salt,
                                           0,       state->info, sizeof state->info };
    state->mechanism = (CK_MECHANISM){ CKM_HKDF_DERIVE, &state->params.hkdf, sizeof state->params.hkdf };
    return CKR_OK;
}

static CK_RV ready_session(struct state *state)
{
    (void)state;
    return CKR_OK;
}

static CK_RV ready_find(struct state *state)
{
    (void)state;
    return kl_bench_keys_fill();
}

static const struct {
    enum kl_bench_key key; /* KL_BENCH_KEYS: none */
    CK_RV (*ready)(struct state *state);
    unsigned long (*run)(void *state, unsigned long times);
} rows[KL_BENCH_WORKS] = {
    [KL_BENCH_GCM_ENCRYPT] = { KL_BENCH_KEY_AES, ready_gcm, run_encrypt },
    [KL_BENCH_GCM_DECRYPT] = { KL_BENCH_KEY_AES, ready_gcm_decrypt, run_decrypt },
    [KL_BENCH_MESSAGE_ENCRYPT] = { KL_BENCH_KEY_AES, ready_message, run_message_encrypt },
    [KL_BENCH_MESSAGE_DECRYPT] = { KL_BENCH_KEY_AES, ready_message_decrypt, run_message_decrypt },
    [KL_BENCH_BATCH_ENCRYPT] = { KL_BENCH_KEY_ENVELOPE, ready_batch, run_batch },
    [KL_BENCH_BATCH_DECRYPT] = { KL_BENCH_KEY_ENVELOPE, ready_batch_decrypt, run_batch },
    [KL_BENCH_CHACHA_ENCRYPT] = { KL_BENCH_KEY_CHACHA, ready_chacha, run_encrypt },
    [KL_BENCH_CHACHA_DECRYPT] = { KL_BENCH_KEY_CHACHA, ready_chacha_decrypt, run_decrypt },
    [KL_BENCH_HMAC] = { KL_BENCH_KEY_MAC, ready_sign, run_sign },
    [KL_BENCH_HKDF] = { KL_BENCH_KEY_DERIVE, ready_derive, run_derive },
    [KL_BENCH_SESSION] = { KL_BENCH_KEYS, ready_session, run_session },
    [KL_BENCH_FIND] = { KL_BENCH_KEYS, ready_find, run_find },
};

static void state_free(struct state *state)
{
    if (state == NULL) return;
    if (state->session != CK_INVALID_HANDLE) {
        /* Its end is nobody's figure, and the process ends soon. */
        CK_RV ignored = kl_bench_module.p11->C_CloseSession(state->session);

        (void)ignored;
    }
    free(state->in);
    free(state->out);
    free(state);
}

static struct state *state_new(const struct kl_bench_case *work)
{
    static uint32_t threads;
    struct state *state = calloc(1, sizeof *state);
    bool is_batch = work->work == KL_BENCH_BATCH_ENCRYPT || work->work == KL_BENCH_BATCH_DECRYPT;
    size_t room = (work->size + MORE) * (is_batch ? KL_BENCH_FIELDS : 1);

    if (state == NULL) return NULL;
    threads++;
    memcpy(state->iv, &threads, sizeof threads);
    state->size = work->size;
    state->in = malloc(room);
    state->out = calloc(1, room);
    if (state->in == NULL || state->out == NULL) {
        state_free(state);
        return NULL;
    }
    for (size_t i = 0; i < room; i++) state->in[i] = (CK_BYTE)(7 * i + 3);
    return state;
}

static unsigned long prepare(const struct kl_bench_case *work, struct kl_bench_job *job)
{
    struct state *state = state_new(work);
    CK_RV rv = CKR_OK;

    if (state == NULL) return CKR_HOST_MEMORY;
    if (rows[work->work].key != KL_BENCH_KEYS) rv = kl_bench_key_get(rows[work->work].key, &state->key);
    if (rv == CKR_OK) {
        rv = kl_bench_module.p11->C_OpenSession(kl_bench_module.slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &state->session);
    }
    if (rv == CKR_OK) rv = rows[work->work].ready(state);
    if (rv != CKR_OK) {
        state_free(state);
        return rv;
    }
    *job = (struct kl_bench_job){ .run = rows[work->work].run, .state = state, .per_run = 1 };
    if (job->run == run_batch) job->per_run = KL_BENCH_FIELDS;
    return CKR_OK;
}

static void done(struct kl_bench_job *job)
{
    state_free(job->state);
}

const struct kl_bench_side kl_bench_p11 = { .prepare = prepare, .done = done };
