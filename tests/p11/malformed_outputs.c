/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Room for answers: asked for, too small, exact, larger; and all of a caller's structures at odd addresses. */
#include "malformed.h"

enum { CANARY = 0xa5, DATA = 48 };
static uint64_t rng = 0x6f7574707574;

/* ---- something that gives an answer ---- */

struct job {
    const struct way *way;
    char kind; /* E(ncrypt) D(ecrypt) G: digest S(ign) W(rap) M: encrypt a message N: decrypt one */
    char part; /* o(nce) u(pdate) f(inal) */
    CK_OBJECT_HANDLE key;
    struct parameter parameter;
    CK_BYTE body[64];
    CK_ULONG body_len;
    CK_BYTE in[256];
    CK_ULONG in_len;
};

/* Ciphertext for a decryption, under the parameter that the decryption then has. */
static void encrypted(struct job *job)
{
    CK_BYTE data[DATA];
    CK_MECHANISM bare = { job->way->type, NULL, 0 };

    rng_fill(&rng, data, sizeof data);
    job->in_len = sizeof job->in;
    if (job->kind == 'N') {
        NEED(p32->C_MessageEncryptInit(world.session, &bare, job->key));
        NEED(p32->C_EncryptMessage(world.session, job->body, job->body_len, NULL, 0, data, DATA, job->in, &job->in_len));
        NEED(p32->C_MessageEncryptFinal(world.session));
        return;
    }
    NEED(p11->C_EncryptInit(world.session, &job->parameter.mech, job->key));
    NEED(p11->C_Encrypt(world.session, data, DATA, job->in, &job->in_len));
}

static bool update(struct job *job)
{
    CK_BYTE out[512];
    CK_ULONG len = sizeof out;
    CK_RV rv = CKR_OK;

    if (job->kind == 'E') rv = p11->C_EncryptUpdate(world.session, job->in, job->in_len, out, &len);
    if (job->kind == 'D') rv = p11->C_DecryptUpdate(world.session, job->in, job->in_len, out, &len);
    if (job->kind == 'G') rv = p11->C_DigestUpdate(world.session, job->in, job->in_len);
    if (job->kind == 'S') rv = p11->C_SignUpdate(world.session, job->in, job->in_len);
    if (rv != CKR_OK && rv != CKR_FUNCTION_NOT_SUPPORTED) fail_at(__FILE__, __LINE__, "%s in parts: %s", job->way->name, rv_name(rv));
    return rv == CKR_OK;
}

/* Begins anew, so that the next call is the one that answers; false if there is no such thing. */
static bool begin(struct job *job)
{
    CK_MECHANISM bare = { job->way->type, NULL, 0 };
    CK_RV rv = CKR_OK;

    cancel_all(world.session);
    if (job->kind == 'M' || job->kind == 'N')
        job->body_len = message_make(&job->parameter, job->body, job->way, 0, &rng);
    else
        parameter_make(&job->parameter, job->way, &rng);
    rng_fill(&rng, job->in, DATA);
    job->in_len = DATA;
    if (job->kind == 'D' || job->kind == 'N') encrypted(job);
    if (job->kind == 'E') rv = p11->C_EncryptInit(world.session, &job->parameter.mech, job->key);
    if (job->kind == 'D') rv = p11->C_DecryptInit(world.session, &job->parameter.mech, job->key);
    if (job->kind == 'G') rv = p11->C_DigestInit(world.session, &job->parameter.mech);
    if (job->kind == 'S') rv = p11->C_SignInit(world.session, &job->parameter.mech, job->key);
    if (job->kind == 'M') rv = p32->C_MessageEncryptInit(world.session, &bare, job->key);
    if (job->kind == 'N') rv = p32->C_MessageDecryptInit(world.session, &bare, job->key);
    if (rv != CKR_OK) die_at(__FILE__, __LINE__, "%s %c: %s", job->way->name, job->kind, rv_name(rv));
    return job->part != 'f' || update(job);
}

static CK_RV answer(struct job *job, CK_BYTE *out, CK_ULONG *len)
{
    CK_SESSION_HANDLE s = world.session;
    bool in_parts = job->part == 'u';

    if (job->kind == 'W' && job->way->shape == GCM_WRAP)
        return p32->C_WrapKeyAuthenticated(s, &job->parameter.mech, job->key, world.keys[PLAIN], NULL, 0, out, len);
    if (job->kind == 'W') return p11->C_WrapKey(s, &job->parameter.mech, job->key, world.keys[PLAIN], out, len);
    if (job->kind == 'M') return p32->C_EncryptMessage(s, job->body, job->body_len, NULL, 0, job->in, job->in_len, out, len);
    if (job->kind == 'N') return p32->C_DecryptMessage(s, job->body, job->body_len, NULL, 0, job->in, job->in_len, out, len);
    if (job->part == 'f') {
        if (job->kind == 'E') return p11->C_EncryptFinal(s, out, len);
        if (job->kind == 'D') return p11->C_DecryptFinal(s, out, len);
        return job->kind == 'G' ? p11->C_DigestFinal(s, out, len) : p11->C_SignFinal(s, out, len);
    }
    if (job->kind == 'E') return (in_parts ? p11->C_EncryptUpdate : p11->C_Encrypt)(s, job->in, job->in_len, out, len);
    if (job->kind == 'D') return (in_parts ? p11->C_DecryptUpdate : p11->C_Decrypt)(s, job->in, job->in_len, out, len);
    return job->kind == 'G' ? p11->C_Digest(s, job->in, job->in_len, out, len) : p11->C_Sign(s, job->in, job->in_len, out, len);
}

/* ---- the convention (PKCS#11 v3.1 5.2) ---- */

static CK_RV into(struct job *job, CK_BYTE *out, CK_ULONG *len)
{
    CK_ULONG args[3] = { (CK_ULONG)(uintptr_t)out, *len, job->in_len };
    static char words[8][64];
    static unsigned turn;
    char *what = words[turn++ % COUNT(words)];

    snprintf(what, sizeof words[0], "%s %c%c", job->way->name, job->kind, job->part);
    doing_is("an answer's room", what, args, COUNT(args));
    return note(answer(job, out, len));
}

static bool is_untouched(const CK_BYTE *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != CANARY) return false;
    return true;
}

/* A length told beforehand may be more than comes where only the data itself tells how much padding there is. */
static bool may_tell_more(const struct job *job)
{
    return job->way->type == CKM_AES_CBC_PAD || job->way->type == 0x210a || job->way->type == 0x210b;
}

#define MUST(condition)                                                                                                         \
    do {                                                                                                                        \
        if (!(condition)) fail_at(__FILE__, __LINE__, "%s %c%c, not so: %s", job->way->name, job->kind, job->part, #condition); \
    } while (0)

static void too_small(struct job *job, CK_ULONG cap, CK_ULONG right)
{
    CK_BYTE room[512];
    CK_ULONG len = cap;

    memset(room, CANARY, sizeof room);
    MUST(into(job, room, &len) == CKR_BUFFER_TOO_SMALL);
    MUST(len == right);
    MUST(is_untouched(room, sizeof room));
}

static void with_room(struct job *job, CK_ULONG more, CK_ULONG right)
{
    CK_BYTE room[512], *edge = tail(0, right, false);
    CK_ULONG len = right + more;

    if (!more) {
        /* One byte more would be in the forbidden page. */
        MUST(into(job, edge, &len) == CKR_OK);
    } else {
        memset(room, CANARY, sizeof room);
        MUST(into(job, room, &len) == CKR_OK);
        MUST(is_untouched(room + right, sizeof room - right));
    }
    MUST(len == right || (may_tell_more(job) && len < right));
}

static void convention(struct job *job)
{
    CK_ULONG right = 0, again = 0;

    if (job->kind == 'W') parameter_make(&job->parameter, job->way, &rng);
    if (job->kind != 'W' && !begin(job)) return;
    if (into(job, NULL, &right) == CKR_FUNCTION_NOT_SUPPORTED) return;
    MUST(into(job, NULL, &again) == CKR_OK && again == right && right < 400);
    if (right > 0) {
        too_small(job, 0, right);
        if (right > 1) too_small(job, 1, right);
        too_small(job, right - 1, right);
    }
    with_room(job, 64, right);
    if (job->kind != 'W' && !begin(job)) return;
    if (job->kind == 'W') parameter_make(&job->parameter, job->way, &rng);
    with_room(job, 0, right);
}

void outputs(void)
{
    static const struct {
        CK_FLAGS flag;
        char kind;
        const char *parts, *key_flags;
    } kinds[] = { { CKF_ENCRYPT, 'E', "ouf", "edS" },      { CKF_DECRYPT, 'D', "ouf", "edS" }, { CKF_DIGEST, 'G', "of", "" },
                  { CKF_SIGN, 'S', "of", "svS" },          { CKF_WRAP, 'W', "o", "wuS" },      { CKF_MESSAGE_ENCRYPT, 'M', "o", "edS" },
                  { CKF_MESSAGE_DECRYPT, 'N', "o", "edS" } };

    start();
    world_open(USER);
    for (size_t w = 0; w < way_count; w++) {
        CK_FLAGS flags = way_flags(world.slot, ways[w].type);

        for (size_t k = 0; k < COUNT(kinds); k++) {
            struct job job = { .way = &ways[w], .kind = kinds[k].kind };

            if (!(flags & kinds[k].flag)) continue;
            if (job.kind == 'W' && job.way->type == CKM_AES_GCM) job.way = &gcm_wrap_way;
            if (kinds[k].key_flags[0]) job.key = way_key(world.session, &ways[w], kinds[k].key_flags);
            for (const char *part = kinds[k].parts; *part; part++) {
                job.part = *part;
                convention(&job);
            }
        }
    }
    cancel_all(world.session);
    world_open(NO_SESSION);
    stop();
}

/* ---- everything at odd addresses, and still right ---- */

static CK_ULONG number_at(const void *memory)
{
    CK_ULONG number;

    memcpy(&number, memory, sizeof number);
    return number;
}

static void *odd_copy(size_t place, const void *from, size_t len)
{
    return memcpy(tail(place, len, true), from, len);
}

static void odd_general(void)
{
    CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK };
    CK_ULONG *count = tail(0, sizeof *count, true);
    CK_SLOT_ID *slots = tail(1, 2 * sizeof *slots, true);
    CK_INFO *info = tail(2, sizeof *info, true);
    CK_TOKEN_INFO *token = tail(3, sizeof *token, true), even;

    NEED(p11->C_Initialize(odd_copy(0, &args, sizeof args)));
    NEED(p11->C_GetInfo(info));
    CHECK(memcmp((CK_BYTE *)info + offsetof(CK_INFO, manufacturerID), "keyladder ", 10) == 0 || p11_kind != KEYLADDER);
    memcpy((void *)count, &(CK_ULONG){ 2 }, sizeof *count);
    NEED(p11->C_GetSlotList(CK_TRUE, slots, count));
    CHECK(number_at(count) == 2);
    for (size_t i = 0; i < 2; i++) {
        NEED(p11->C_GetTokenInfo(number_at((CK_BYTE *)slots + i * sizeof *slots), token));
        NEED(p11->C_GetTokenInfo(number_at((CK_BYTE *)slots + i * sizeof *slots), &even));
        CHECK(memcmp((void *)token, &even, sizeof even) == 0);
    }
}

static CK_OBJECT_HANDLE odd_key(CK_SESSION_HANDLE session)
{
    CK_MECHANISM generate = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_OBJECT_HANDLE *key = tail(0, sizeof *key, true);
    CK_ULONG *length = odd_copy(1, &(CK_ULONG){ 32 }, sizeof *length);
    CK_ATTRIBUTE template[] = {
        { CKA_VALUE_LEN, length, sizeof *length }, A_TEXT(CKA_LABEL, "odd"), A_BOOL(CKA_ENCRYPT, CK_TRUE), A_BOOL(CKA_DECRYPT, CK_TRUE)
    };

    NEED(
        p11->C_GenerateKey(session, odd_copy(2, &generate, sizeof generate), odd_copy(3, template, sizeof template), COUNT(template), key));
    return number_at(key);
}

static void odd_gcm(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
    CK_BYTE *iv = tail(1, 12, true), *aad = odd_copy(2, "additional", 10), *data = odd_copy(3, "sixteen bytes of", 16);
    CK_BYTE *out = tail(6, 32, true), *back = tail(8, 16, true);
    CK_ULONG *len = odd_copy(7, &(CK_ULONG){ 32 }, sizeof *len);
    struct t_gcm gcm = { iv, 12, 96, aad, 10, 128 };
    CK_MECHANISM mechanism = { CKM_AES_GCM, NULL, sizeof gcm };

    rng_fill(&rng, iv, 12);
    mechanism.pParameter = odd_copy(4, &gcm, sizeof gcm);
    NEED(p11->C_EncryptInit(session, odd_copy(5, &mechanism, sizeof mechanism), key));
    NEED(p11->C_Encrypt(session, data, 16, out, len));
    CHECK(number_at(len) == 32);
    NEED(p11->C_DecryptInit(session, odd_copy(5, &mechanism, sizeof mechanism), key));
    memcpy((void *)len, &(CK_ULONG){ 16 }, sizeof *len);
    NEED(p11->C_Decrypt(session, out, 32, back, len));
    CHECK(number_at(len) == 16 && memcmp(back, "sixteen bytes of", 16) == 0);
}

static void odd_attributes(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
    CK_ULONG *type = tail(0, sizeof *type, true), *count = tail(1, sizeof *count, true);
    CK_BYTE *label = tail(2, 3, true);
    CK_ATTRIBUTE get[] = { { CKA_KEY_TYPE, type, sizeof *type }, { CKA_LABEL, label, 3 } }, find[] = { A_TEXT(CKA_LABEL, "odd") };
    CK_ATTRIBUTE *template = odd_copy(3, get, sizeof get);
    CK_OBJECT_HANDLE *found = tail(4, 2 * sizeof *found, true);

    NEED(p11->C_GetAttributeValue(session, key, template, 2));
    CHECK(number_at(type) == CKK_AES && memcmp(label, "odd", 3) == 0);
    NEED(p11->C_FindObjectsInit(session, odd_copy(5, find, sizeof find), 1));
    NEED(p11->C_FindObjects(session, found, 2, count));
    CHECK(number_at(count) == 1 && number_at(found) == key);
    NEED(p11->C_FindObjectsFinal(session));
}

static void odd_derivation(CK_SESSION_HANDLE session)
{
    CK_OBJECT_HANDLE base = secret_make(session, "D"), *child = tail(0, sizeof *child, true), other = 0;
    struct t_hkdf hkdf = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_DATA, tail(1, 16, true), 16, 0, tail(2, 10, true), 10 };
    CK_MECHANISM mechanism = { CKM_HKDF_DERIVE, NULL, sizeof hkdf }, even = { CKM_HKDF_DERIVE, &hkdf, sizeof hkdf };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_GENERIC_SECRET), A_ULONG(CKA_VALUE_LEN, 32),
                                A_BOOL(CKA_SENSITIVE, CK_FALSE), A_BOOL(CKA_EXTRACTABLE, CK_TRUE) };
    CK_BYTE values[2][32];
    CK_ATTRIBUTE value[2] = { { CKA_VALUE, values[0], 32 }, { CKA_VALUE, values[1], 32 } };

    mechanism.pParameter = odd_copy(3, &hkdf, sizeof hkdf);
    NEED(p11->C_DeriveKey(session, odd_copy(4, &mechanism, sizeof mechanism), base, odd_copy(5, template, sizeof template), COUNT(template),
                          child));
    NEED(p11->C_DeriveKey(session, &even, base, template, COUNT(template), &other));
    NEED(p11->C_GetAttributeValue(session, number_at(child), &value[0], 1));
    NEED(p11->C_GetAttributeValue(session, other, &value[1], 1));
    CHECK(memcmp(values[0], values[1], 32) == 0);
}

/* Reserved pointers, with a library that is open and one that is not. */
static void around_initialize(void)
{
    CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK };
    void *right = odd_copy(0, &args, sizeof args), *wrong;

    args.pReserved = &args;
    wrong = odd_copy(1, &args, sizeof args);
    for (int is_open = 0; is_open < 2; is_open++) {
        doing_is("C_Initialize, C_Finalize", is_open ? "open" : "not open", NULL, 0);
        EXPECT(note(p11->C_Initialize(wrong)), CKR_ARGUMENTS_BAD, is_open ? CKR_CRYPTOKI_ALREADY_INITIALIZED : CKR_ARGUMENTS_BAD);
        EXPECT(note(p11->C_Finalize(tail(2, 0, false))), CKR_ARGUMENTS_BAD, is_open ? CKR_ARGUMENTS_BAD : CKR_CRYPTOKI_NOT_INITIALIZED);
        EXPECT(note(p11->C_Initialize(right)), is_open ? CKR_CRYPTOKI_ALREADY_INITIALIZED : CKR_OK);
    }
    EXPECT(note(p11->C_Finalize(NULL)), CKR_OK);
}

void odd_places(void)
{
    CK_SESSION_HANDLE *session = tail(0, sizeof *session, true), mine;
    CK_OBJECT_HANDLE key;

    around_initialize();
    doing_is("odd addresses", "a caller's whole day", NULL, 0);
    odd_general();
    NEED(p11->C_OpenSession(world.slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, session));
    mine = number_at(session);
    NEED(login(mine, CKU_USER, USER_PIN));
    key = odd_key(mine);
    odd_gcm(mine, key);
    odd_attributes(mine, key);
    odd_derivation(mine);
    world_open(NO_SESSION);
    stop();
}
