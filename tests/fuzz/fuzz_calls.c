/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Calls in any order, beside a model of what must come of them: which operations go on, which keys live, what opens to what. */
#include "make.h"

enum { SESSIONS = 4, KEYS = 12, BOXES = 6, STEPS_MAX = 64, KINDS = 6 };
enum kind { ENCRYPT, DECRYPT, SIGN, VERIFY, DIGEST, FIND };

struct key {
    CK_OBJECT_HANDLE handle;
    size_t token;
    size_t session; /* that it goes with; SESSIONS: it is on the token */
    CK_KEY_TYPE type;
    bool alive;
};
struct operation {
    bool active, parts;
    const struct key *key; /* NULL: none, or one that is not the model's */
    CK_MECHANISM_TYPE type;
};
struct session {
    CK_SESSION_HANDLE handle;
    size_t token;
    bool open;
    struct operation operations[KINDS];
};
/* What was sealed, and how. */
struct box {
    const struct key *key;
    CK_MECHANISM mechanism;
    struct kl_view plain, sealed;
};

static struct session sessions[SESSIONS];
static struct key keys[KEYS];
static struct box boxes[BOXES];
static size_t key_count, box_count;
static KL_FUNCTION_LIST *vendor;

void fuzz_begin(void)
{
    CK_INTERFACE *interface = NULL;

    world_begin();
    NEED(C_GetInterface((CK_UTF8CHAR *)(uintptr_t)KL_INTERFACE_NAME, NULL, &interface, 0));
    vendor = interface->pFunctionList;
}

static CK_BYTE *input_of(struct kl_view data)
{
    return (CK_BYTE *)(uintptr_t)data.data;
}

static struct session *any_session(void)
{
    return &sessions[choice(SESSIONS)];
}

static struct key *any_key(void)
{
    return key_count == 0 ? NULL : &keys[choice(key_count)];
}

/* Whether a call may be expected to go through: the session is open and on the key's token. */
static bool reaches(const struct session *session, const struct key *key)
{
    return session->open && key->alive && key->token == session->token;
}

/* --- sessions --- */

static void open_session(struct session *session)
{
    if (session->open) return;
    *session = (struct session){ .token = choice(TOKENS), .open = true };
    session->handle = session_on(session->token);
}

static void kill_key(struct key *key)
{
    key->alive = false;
    for (size_t i = 0; i < SESSIONS; i++)
        for (size_t j = 0; j < KINDS; j++)
            if (sessions[i].operations[j].key == key) sessions[i].operations[j].active = false;
}

/* Its session objects go with it. */
static void close_session(struct session *session)
{
    CK_RV rv = C_CloseSession(session->handle);

    MUST(rv == (session->open ? CKR_OK : CKR_SESSION_HANDLE_INVALID));
    session->open = false;
    for (size_t i = 0; i < key_count; i++) {
        if (!keys[i].alive || keys[i].session != (size_t)(session - sessions)) continue;
        MUST(!is_there(world.keepers[keys[i].token], keys[i].handle));
        kill_key(&keys[i]);
    }
    memset(session->operations, 0, sizeof session->operations);
}

static void cancel(struct session *session)
{
    static const CK_FLAGS flags[KINDS] = { CKF_ENCRYPT, CKF_DECRYPT, CKF_SIGN, CKF_VERIFY, CKF_DIGEST, CKF_FIND_OBJECTS };
    uint8_t which = byte();
    CK_FLAGS asked = 0;
    CK_RV rv;

    for (size_t i = 0; i < KINDS; i++)
        if (which & 1 << i) asked |= flags[i];
    rv = C_SessionCancel(session->handle, asked);
    MUST(rv == (session->open ? CKR_OK : CKR_SESSION_HANDLE_INVALID));
    for (size_t i = 0; i < KINDS; i++)
        if (which & 1 << i) session->operations[i].active = false;
}

/* --- keys --- */

static void note(const struct session *session, CK_RV rv, CK_OBJECT_HANDLE handle, CK_KEY_TYPE type, bool on_token)
{
    if (!session->open) MUST(rv == CKR_SESSION_HANDLE_INVALID);
    if (rv != CKR_OK) return;
    MUST(is_there(session->handle, handle));
    if (key_count == KEYS) return;
    keys[key_count++] = (struct key){ handle, session->token, on_token ? (size_t)SESSIONS : (size_t)(session - sessions), type, true };
}

static void make_key(struct session *session)
{
    static const struct {
        CK_MECHANISM_TYPE generator;
        CK_KEY_TYPE type;
        CK_ULONG len;
        CK_ATTRIBUTE_TYPE usages[2];
    } kinds[] = { { CKM_AES_KEY_GEN, CKK_AES, 32, { CKA_ENCRYPT, CKA_DECRYPT } },
                  { CKM_CHACHA20_KEY_GEN, CKK_CHACHA20, 32, { CKA_ENCRYPT, CKA_DECRYPT } },
                  { CKM_GENERIC_SECRET_KEY_GEN, CKK_GENERIC_SECRET, 40, { CKA_SIGN, CKA_VERIFY } },
                  { CKM_AES_KEY_GEN, CKK_AES, 16, { CKA_SIGN, CKA_VERIFY } } };
    size_t which = choice(COUNT(kinds));
    bool on_token = choice(16) == 1;
    CK_MECHANISM mechanism = { kinds[which].generator, NULL, 0 };
    CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, on_token), A_BOOL(kinds[which].usages[0], CK_TRUE),
                                A_BOOL(kinds[which].usages[1], CK_TRUE), A_BYTES(CKA_LABEL, "made", 4),
                                A_ULONG(CKA_VALUE_LEN, kinds[which].len) };
    CK_OBJECT_HANDLE handle = 0;
    CK_RV rv = C_GenerateKey(session->handle, &mechanism, template, COUNT(template) - (kinds[which].type == CKK_CHACHA20), &handle);

    if (session->open) MUST(rv == CKR_OK);
    note(session, rv, handle, kinds[which].type, on_token);
}

static void derive_key(struct session *session)
{
    CK_BYTE info[4] = { 'r', (CK_BYTE)('0' + choice(4)), 0, 0 };
    CK_HKDF_PARAMS hkdf = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, info, 2 };
    CK_MECHANISM mechanism = { CKM_HKDF_DERIVE, &hkdf, sizeof hkdf };
    CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_FALSE) };
    CK_OBJECT_HANDLE handle = 0;
    CK_RV rv = C_DeriveKey(session->handle, &mechanism, world.feks[session->token], template, COUNT(template), &handle);

    if (session->open) MUST(rv == CKR_OK);
    note(session, rv, handle, CKK_AES, false);
}

static void destroy_key(struct session *session)
{
    struct key *key = any_key();
    CK_RV rv;

    if (key == NULL) return;
    rv = C_DestroyObject(session->handle, key->handle);
    MUST((rv == CKR_OK) == reaches(session, key));
    if (rv == CKR_OK) kill_key(key);
}

static void copy_key(struct session *session)
{
    struct key *key = any_key();
    CK_ATTRIBUTE template[] = { A_BYTES(CKA_LABEL, "copy", 4), A_BOOL(CKA_TOKEN, CK_FALSE) };
    CK_OBJECT_HANDLE handle = 0;
    CK_RV rv;

    if (key == NULL) return;
    rv = C_CopyObject(session->handle, key->handle, template, COUNT(template), &handle);
    if (!reaches(session, key)) MUST(rv != CKR_OK);
    note(session, rv, handle, key->type, false);
}

/* Every key that lives is found, and no other is. */
static void find_all(struct session *session)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY) };
    CK_OBJECT_HANDLE found[64];
    CK_ULONG count = 0;
    CK_RV rv;

    if (session->operations[FIND].active || !session->open) return;
    NEED(C_FindObjectsInit(session->handle, template, choice(2)));
    rv = C_FindObjects(session->handle, found, COUNT(found), &count);
    MUST(rv == CKR_OK && count < COUNT(found));
    NEED(C_FindObjectsFinal(session->handle));
    for (size_t i = 0; i < key_count; i++) {
        bool is_found = false;

        if (keys[i].token != session->token) continue;
        for (CK_ULONG j = 0; j < count; j++) is_found = is_found || found[j] == keys[i].handle;
        MUST(is_found == keys[i].alive);
    }
}

/* --- operations --- */

static CK_RV begin(struct session *session, enum kind kind, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    switch (kind) {
    case ENCRYPT:
        return C_EncryptInit(session->handle, mechanism, key);
    case DECRYPT:
        return C_DecryptInit(session->handle, mechanism, key);
    case SIGN:
        return C_SignInit(session->handle, mechanism, key);
    case VERIFY:
        return C_VerifyInit(session->handle, mechanism, key);
    case DIGEST:
        return C_DigestInit(session->handle, mechanism);
    case FIND:
    default:
        return C_FindObjectsInit(session->handle, NULL, 0);
    }
}

static void begin_any(struct session *session)
{
    enum kind kind = (enum kind)choice(KINDS);
    struct operation *operation = &session->operations[kind];
    struct key *key = any_key();
    CK_MECHANISM mechanism = any_mechanism();
    CK_RV rv;

    /* Of its own: what the parameter points to must last as long as the operation. */
    rv = begin(session, kind, &mechanism, key == NULL ? world.feks[session->token] : key->handle);
    if (!session->open) {
        MUST(rv == CKR_SESSION_HANDLE_INVALID);
        return;
    }
    if (operation->active) {
        MUST(rv == CKR_OPERATION_ACTIVE);
        return;
    }
    MUST(rv != CKR_OPERATION_ACTIVE);
    if (rv != CKR_OK) return;
    if (key != NULL && kind < DIGEST) MUST(reaches(session, key));
    *operation = (struct operation){ true, false, kind < DIGEST ? key : NULL, mechanism.mechanism };
}

static CK_RV go_on(struct session *session, enum kind kind, struct kl_view in, CK_BYTE *out, CK_ULONG *len)
{
    CK_OBJECT_HANDLE found[8];
    CK_ULONG count = 0;

    switch (kind) {
    case ENCRYPT:
        return C_EncryptUpdate(session->handle, input_of(in), in.len, out, len);
    case DECRYPT:
        return C_DecryptUpdate(session->handle, input_of(in), in.len, out, len);
    case SIGN:
        return C_SignUpdate(session->handle, input_of(in), in.len);
    case VERIFY:
        return C_VerifyUpdate(session->handle, input_of(in), in.len);
    case DIGEST:
        return C_DigestUpdate(session->handle, input_of(in), in.len);
    case FIND:
    default:
        return C_FindObjects(session->handle, found, choice(COUNT(found)), &count);
    }
}

static CK_RV finish(struct session *session, enum kind kind, struct kl_view in, CK_BYTE *out, CK_ULONG *len)
{
    bool once = choice(2) == 1;

    switch (kind) {
    case ENCRYPT:
        return once ? C_Encrypt(session->handle, input_of(in), in.len, out, len) : C_EncryptFinal(session->handle, out, len);
    case DECRYPT:
        return once ? C_Decrypt(session->handle, input_of(in), in.len, out, len) : C_DecryptFinal(session->handle, out, len);
    case SIGN:
        return once ? C_Sign(session->handle, input_of(in), in.len, out, len) : C_SignFinal(session->handle, out, len);
    case VERIFY:
        return once ? C_Verify(session->handle, input_of(in), in.len, lend(32), 32) : C_VerifyFinal(session->handle, lend(16), 16);
    case DIGEST:
        return once ? C_Digest(session->handle, input_of(in), in.len, out, len) : C_DigestFinal(session->handle, out, len);
    case FIND:
    default:
        return C_FindObjectsFinal(session->handle);
    }
}

/* Input and output in one piece of memory: in place, apart, or one begun inside the other. */
static CK_BYTE *overlap(struct kl_view *in, CK_ULONG cap)
{
    uint8_t *memory = room(cap + in->len + 64), *at = memory + choice(64);

    if (in->len > 0) memcpy(at, in->data, in->len);
    *in = kl_view_of(at, in->len);
    return choice(4) == 0 ? at : memory + choice(64);
}

/*
 * PKCS #11 v3.1 5.2: asking for a length, or offering too little, leaves the operation as it is; so does a part that goes well. Everything
 * else ends it.
 */
static void step(struct session *session)
{
    enum kind kind = (enum kind)choice(KINDS);
    struct operation *operation = &session->operations[kind];
    bool ends = choice(2) == 1, asks;
    struct kl_view in = bytes(200);
    CK_ULONG cap = choice(4) == 1 ? choice(64) : in.len + 700, len = cap;
    size_t where = choice(6);
    CK_BYTE *out = where == 1 ? NULL : where == 2 ? overlap(&in, cap) : room(cap);
    CK_RV rv = ends ? finish(session, kind, in, out, &len) : go_on(session, kind, in, out, &len);

    if (!session->open) {
        MUST(rv == CKR_SESSION_HANDLE_INVALID);
        return;
    }
    if (!operation->active) {
        MUST(rv == CKR_OPERATION_NOT_INITIALIZED);
        return;
    }
    MUST(rv != CKR_OPERATION_NOT_INITIALIZED && rv != CKR_SESSION_HANDLE_INVALID);
    if (rv == CKR_OK && out != NULL) MUST(len <= cap);
    if (rv == CKR_BUFFER_TOO_SMALL) MUST(out != NULL && len > cap);
    asks = rv == CKR_OK && out == NULL && (kind == ENCRYPT || kind == DECRYPT || ((kind == SIGN || kind == DIGEST) && ends));
    if (rv == CKR_BUFFER_TOO_SMALL || asks || (rv == CKR_OK && !ends)) return;
    operation->active = false;
}

/* --- what is sealed opens --- */

static CK_MECHANISM sealing_mechanism(const struct key *key)
{
    CK_MECHANISM mechanism = { CKM_KL_ENVELOPE, NULL, 0 };
    struct kl_view aad = bytes(40);
    CK_GCM_PARAMS gcm = { .pIv = room(12), .ulIvLen = 12, .ulIvBits = 96, .ulTagBits = 128 };
    CK_SALSA20_CHACHA20_POLY1305_PARAMS chacha = { .pNonce = gcm.pIv, .ulNonceLen = 12 };

    /* Zeros: the token makes it. */
    memset(gcm.pIv, 0, 12);
    gcm.pAAD = chacha.pAAD = input_of(aad);
    gcm.ulAADLen = chacha.ulAADLen = aad.len;
    if (choice(2) == 0) return (CK_MECHANISM){ CKM_KL_ENVELOPE, input_of(aad), aad.len };
    if (key->type == CKK_AES) mechanism = (CK_MECHANISM){ CKM_AES_GCM, lend_copy(&gcm, sizeof gcm), sizeof gcm };
    if (key->type == CKK_CHACHA20) mechanism = (CK_MECHANISM){ CKM_CHACHA20_POLY1305, lend_copy(&chacha, sizeof chacha), sizeof chacha };
    return mechanism;
}

static void seal(struct session *session)
{
    struct key *key = any_key();
    struct box *box = &boxes[box_count < BOXES ? box_count : choice(BOXES)];
    CK_MECHANISM mechanism;
    struct kl_view plain;
    CK_ULONG len;
    CK_BYTE *out;

    if (key == NULL || !session->open || session->operations[ENCRYPT].active) return;
    mechanism = sealing_mechanism(key);
    plain = bytes(300);
    len = plain.len + 100;
    out = room(len);
    if (C_EncryptInit(session->handle, &mechanism, key->handle) != CKR_OK) return;
    MUST(reaches(session, key));
    NEED(C_Encrypt(session->handle, input_of(plain), plain.len, out, &len));
    MUST(len >= plain.len + 16 && len <= plain.len + 60);
    *box = (struct box){ key, mechanism, plain, kl_view_of(lend_copy(out, len), len) };
    if (box_count < BOXES) box_count++;
}

static void unseal(struct session *session)
{
    const struct box *box;
    struct key *key = any_key();
    struct kl_view sealed;
    CK_MECHANISM mechanism;
    CK_ULONG len;
    CK_BYTE *out;
    CK_RV rv;

    if (box_count == 0 || session->operations[DECRYPT].active) return;
    box = &boxes[choice(box_count)];
    /* With its own key as a rule: others, of other bytes, open nothing. */
    if (choice(4) != 1) key = (struct key *)(uintptr_t)box->key;
    sealed = choice(4) == 1 ? mutated(box->sealed) : box->sealed;
    mechanism = box->mechanism;
    len = sealed.len;
    out = room(len);
    rv = C_DecryptInit(session->handle, &mechanism, key->handle);
    if (rv != CKR_OK) {
        MUST(key != box->key || !reaches(session, key));
        return;
    }
    MUST(reaches(session, key));
    rv = C_Decrypt(session->handle, input_of(sealed), sealed.len, out, &len);
    if (!kl_view_is(sealed, box->sealed)) MUST(rv != CKR_OK);
    if (rv == CKR_OK) MUST(kl_view_is(kl_view_of(out, len), box->plain));
    if (key == box->key && kl_view_is(sealed, box->sealed)) MUST(rv == CKR_OK);
}

static void batch(struct session *session)
{
    struct key *key = any_key();
    CK_MECHANISM mechanism = { CKM_KL_ENVELOPE, NULL, 0 };
    size_t count = choice(6), seals = choice(count + 1);
    KL_BATCH_ITEM *items = lend(count * sizeof *items), *back = lend(count * sizeof *back);
    CK_RV rv;

    if (key == NULL || !session->open || session->operations[ENCRYPT].active || session->operations[DECRYPT].active) return;
    for (size_t i = 0; i < count; i++) {
        struct kl_view aad = bytes(30), in = bytes(100);
        CK_ULONG cap = i < seals ? in.len + 60 : choice(100);

        items[i] = (KL_BATCH_ITEM){ input_of(aad), aad.len, input_of(in), in.len, room(cap), cap, 0 };
    }
    rv = vendor->EncryptBatch(session->handle, &mechanism, key->handle, items, count);
    if (!reaches(session, key)) MUST(rv != CKR_OK);
    if (rv != CKR_OK && rv != CKR_BUFFER_TOO_SMALL) return;
    for (size_t i = 0; i < count; i++) {
        MUST(items[i].rv == CKR_OK || (items[i].rv == CKR_BUFFER_TOO_SMALL && i >= seals));
        back[i] = (KL_BATCH_ITEM){ items[i].pAAD, items[i].ulAADLen, items[i].pOut, items[i].ulOutLen, room(200), 200, 0 };
        if (items[i].rv != CKR_OK) back[i].ulInLen = 0;
    }
    rv = vendor->DecryptBatch(session->handle, &mechanism, key->handle, back, count);
    for (size_t i = 0; i < count; i++) {
        MUST((back[i].rv == CKR_OK) == (items[i].rv == CKR_OK));
        if (back[i].rv == CKR_OK) MUST(kl_view_is(kl_view_of(back[i].pOut, back[i].ulOutLen), kl_view_of(items[i].pIn, items[i].ulInLen)));
    }
}

/* --- the rest --- */

static void ask(struct session *session)
{
    CK_SESSION_INFO info;
    CK_TOKEN_INFO *token_info = lend(sizeof *token_info);
    CK_ULONG cap = choice(40), count = cap, words_len = cap;
    CK_MECHANISM_TYPE *types = lend(cap * sizeof *types);
    CK_MECHANISM_INFO mechanism_info;
    CK_RV rv = C_GetSessionInfo(session->handle, &info);

    MUST(rv == (session->open ? CKR_OK : CKR_SESSION_HANDLE_INVALID));
    if (rv == CKR_OK) MUST(info.slotID == world.slots[session->token] && info.state == CKS_RW_USER_FUNCTIONS && info.ulDeviceError == 0);
    NEED(C_GetTokenInfo(world.slots[session->token], token_info));
    rv = C_GetMechanismList(world.slots[session->token], types, &count);
    MUST(rv == (count <= cap ? CKR_OK : CKR_BUFFER_TOO_SMALL) && count > 10);
    for (CK_ULONG i = 0; rv == CKR_OK && i < count; i++) NEED(C_GetMechanismInfo(world.slots[session->token], types[i], &mechanism_info));
    MUST(C_GetMechanismInfo(world.slots[session->token], number() | 1UL << 62, &mechanism_info) == CKR_MECHANISM_INVALID);
    MUST(C_GetTokenInfo(number() | 1UL << 40, token_info) == CKR_SLOT_ID_INVALID);
    rv = vendor->GetError(room(cap), &words_len);
    MUST(rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL);
}

static void draw(struct session *session)
{
    CK_ULONG len = number();
    CK_BYTE *out = room(len <= 4096 ? len : 0);
    CK_RV rv;

    if (len > 4096) out = NULL;
    rv = C_GenerateRandom(session->handle, out, len);
    if (!session->open) MUST(rv == CKR_SESSION_HANDLE_INVALID);
    if (session->open) MUST((rv == CKR_OK) == (out != NULL));
}

static void evict(struct session *session)
{
    struct key *key = any_key();
    CK_OBJECT_HANDLE which = key == NULL || choice(4) == 1 ? CK_INVALID_HANDLE : key->handle;
    CK_RV rv = vendor->Evict(session->handle, which);

    if (!session->open) MUST(rv == CKR_SESSION_HANDLE_INVALID);
    if (rv != CKR_OK) return;
    for (size_t i = 0; i < SESSIONS; i++) {
        struct operation *operations = sessions[i].operations;

        /* Operations under stored keys end; those of the model have session keys, but for a few. */
        for (size_t j = 0; j < KINDS; j++) {
            if (sessions[i].token != session->token || j >= DIGEST) continue;
            if (which == CK_INVALID_HANDLE || (key != NULL && operations[j].key == key)) operations[j].active = false;
        }
    }
}

/* Who logs out has no keys: the world is made anew after this input. */
static void log_out(struct session *session)
{
    struct key *key = any_key();
    CK_MECHANISM mechanism = { CKM_KL_ENVELOPE, NULL, 0 };
    CK_UTF8CHAR *pin = (CK_UTF8CHAR *)world.user_pin;
    struct kl_view wrong = bytes(20);

    if (!session->open || choice(8) != 1) return;
    world_spoil();
    if (choice(2)) MUST(C_Login(session->handle, CKU_USER, pin, strlen(world.user_pin)) == CKR_USER_ALREADY_LOGGED_IN);
    NEED(C_Logout(session->handle));
    if (key != NULL && key->token == session->token) MUST(C_DecryptInit(session->handle, &mechanism, key->handle) != CKR_OK);
    MUST(C_EncryptInit(session->handle, &mechanism, world.feks[session->token]) != CKR_OK);
    MUST(C_Login(session->handle, CKU_USER, input_of(wrong), wrong.len) != CKR_OK);
    NEED(C_Login(session->handle, CKU_USER, pin, strlen(world.user_pin)));
    MUST(C_EncryptInit(session->handle, &mechanism, world.feks[session->token]) != CKR_OK);
    for (size_t i = 0; i < key_count; i++)
        if (keys[i].token == session->token && keys[i].alive) kill_key(&keys[i]);
    for (size_t i = 0; i < SESSIONS; i++)
        if (sessions[i].token == session->token) memset(sessions[i].operations, 0, sizeof sessions[i].operations);
    world.feks[session->token] = find_key(session->handle, "users.email");
}

void fuzz_one(void)
{
    static void (*const deeds[])(struct session *) = { open_session, make_key,      seal,   unseal,     begin_any,   step,     step,
                                                       step,         close_session, cancel, derive_key, destroy_key, copy_key, find_all,
                                                       batch,        ask,           draw,   evict,      log_out };

    memset(sessions, 0, sizeof sessions);
    key_count = box_count = 0;
    open_session(&sessions[0]);
    for (size_t i = 0; left() > 0 && i < STEPS_MAX; i++) {
        size_t deed = choice(COUNT(deeds));

        salt_key = key_count > 0 ? keys[0].handle : 0;
        deeds[deed](any_session());
        fuzz_check_rooms();
    }
    world_reset();
}
