/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What a thread of chaos does next. Nothing here has to succeed; what does succeed has to be right. */
#include "chaos.h"

#define PIN(text) ((CK_UTF8CHAR *)(uintptr_t)(text)), strlen(text)

/* ---- whom and what to use ---- */

static CK_SESSION_HANDLE some_session(struct actor *actor)
{
    if (now_and_then(actor, 50)) return rng_next(&actor->rng);
    return now_and_then(actor, 4) ? atomic_load(&shared.sessions[dice(actor, SESSIONS)]) : actor->mine;
}

static CK_OBJECT_HANDLE some_object(struct actor *actor, enum pot pot)
{
    if (now_and_then(actor, 50)) return rng_next(&actor->rng);
    if (now_and_then(actor, 20)) pot = (enum pot)dice(actor, POTS);
    return atomic_load(&shared.objects[pot][dice(actor, SLOTS)]);
}

/* What was in its place goes, whoever uses it just now. */
static void keep(struct actor *actor, enum pot pot, CK_OBJECT_HANDLE object)
{
    CK_OBJECT_HANDLE old = atomic_exchange(&shared.objects[pot][dice(actor, SLOTS)], object);

    if (old && pot != TRUSTED && pot != LADDER) DO(C_DestroyObject, actor->mine, old);
}

/* Another key for a pot that holds a dead one. */
static void make_key(struct actor *actor, enum pot pot)
{
    static const struct {
        enum pot pot;
        CK_MECHANISM_TYPE type;
        const char *flags;
    } kinds[] = { { AES, CKM_AES_KEY_GEN, "edS" },  { MAC, CKM_GENERIC_SECRET_KEY_GEN, "svS" }, { STREAM, 0x1225, "edS" },
                  { WRAP, CKM_AES_KEY_GEN, "wuS" }, { BASE, CKM_GENERIC_SECRET_KEY_GEN, "DS" }, { OPEN, CKM_AES_KEY_GEN, "edX" },
                  { AES, CKM_AES_KEY_GEN, "edST" }, { OPEN, CKM_AES_KEY_GEN, "edXP" },          { BASE, CKM_HKDF_KEY_GEN, "DS" },
                  { WRAP, CKM_AES_KEY_GEN, "wuXP" } };
    size_t kind = dice(actor, COUNT(kinds));
    CK_MECHANISM mechanism = { 0, NULL, 0 };
    CK_ATTRIBUTE template[24] = { A_ULONG(CKA_VALUE_LEN, now_and_then(actor, 20) ? dice(actor, 80) : 32) };
    CK_ULONG count = pot == STREAM ? 0 : 1;
    CK_OBJECT_HANDLE key = 0;

    for (int tries = 0; tries < 100 && kinds[kind].pot != pot; tries++) kind = dice(actor, COUNT(kinds));
    if (kinds[kind].pot != pot) return;
    mechanism.mechanism = kinds[kind].type;
    count += flags_template(kinds[kind].flags, template + count);
    if (DO(C_GenerateKey, now_and_then(actor, 5) ? some_session(actor) : actor->mine, &mechanism, template, count, &key) == CKR_OK)
        keep(actor, pot, key);
}

static void make_keys(struct actor *actor)
{
    make_key(actor, (enum pot)dice(actor, POTS));
}

/* A key that is used, and made where there is none to be used. */
static CK_OBJECT_HANDLE some_key(struct actor *actor, enum pot pot)
{
    /* What an earlier step has left in the middle. */
    if (actor->last_was_active) cancel_all(actor->mine);
    if (actor->last_missed) make_key(actor, pot);
    actor->last_was_active = false;
    return some_object(actor, pot);
}

/* A way that the module offers for one of these functions; NULL: there is none. */
static const struct way *some_way(struct actor *actor, CK_FLAGS flag)
{
    const struct way *offered[COUNT(shared.offered)];
    size_t count = 0;

    for (size_t i = 0; i < way_count; i++)
        if (shared.offered[i] & flag) offered[count++] = &ways[i];
    return count ? offered[dice(actor, count)] : NULL;
}

static enum pot pot_for(struct actor *actor, const struct way *way)
{
    if (way->key == CKK_CHACHA20) return STREAM;
    return (way->type == CKM_AES_GCM || way->type == CKM_KL_ENVELOPE) && now_and_then(actor, 4) ? LADDER : AES;
}

/* A right parameter, or now and then one that is not. */
static void some_parameter(struct actor *actor, struct parameter *parameter, const struct way *way)
{
    parameter_make(parameter, way, &actor->rng);
    if (!now_and_then(actor, 20)) return;
    if (now_and_then(actor, 2)) parameter->mech.pParameter = NULL;
    /* Shorter, never longer than what is there. */
    else if (parameter->mech.ulParameterLen)
        parameter->mech.ulParameterLen = dice(actor, parameter->mech.ulParameterLen);
}

static CK_ULONG some_data(struct actor *actor, const struct way *way)
{
    CK_ULONG len = dice(actor, 300) / way->block * way->block;

    rng_fill(&actor->rng, actor->in, len);
    return len;
}

static bool is_bad_ciphertext(CK_RV rv)
{
    return rv == CKR_ENCRYPTED_DATA_INVALID || rv == CKR_AEAD_DECRYPT_FAILED || rv == CKR_ENCRYPTED_DATA_LEN_RANGE;
}

/* In a session of one's own nobody mixes up the data. */
static void same_data(struct actor *actor, CK_SESSION_HANDLE session, CK_RV rv, const void *want, CK_ULONG want_len, CK_ULONG len)
{
    if (rv == CKR_OK && session == actor->mine) {
        if (len != want_len || memcmp(actor->out, want, len)) broken(actor, "other data came back");
        actor->checked++;
    } else if (session == actor->mine && is_bad_ciphertext(rv)) {
        broken(actor, "what was encrypted a moment ago does not decrypt");
    }
}

/* ---- encryption ---- */

static void seal_and_open(struct actor *actor)
{
    const struct way *way = some_way(actor, CKF_ENCRYPT);
    CK_SESSION_HANDLE session = some_session(actor);
    CK_BYTE sealed[512];
    CK_ULONG len, sealed_len = OUT, back = OUT;
    struct parameter parameter;
    CK_OBJECT_HANDLE key;
    bool is_spoilt = now_and_then(actor, 10);

    if (!way) return;
    key = some_key(actor, pot_for(actor, way));
    some_parameter(actor, &parameter, way);
    if (way->type == CKM_AES_GCM && now_and_then(actor, 2)) memset(parameter.iv, 0, 12);
    len = some_data(actor, way);
    if (DO(C_EncryptInit, session, &parameter.mech, key) != CKR_OK) return;
    if (now_and_then(actor, 5)) DO(C_Encrypt, session, actor->in, len, NULL, &sealed_len);
    sealed_len = now_and_then(actor, 10) ? dice(actor, 16) : OUT;
    if (DO(C_Encrypt, session, actor->in, len, actor->out, &sealed_len) != CKR_OK || sealed_len > sizeof sealed) return;
    memcpy(sealed, actor->out, sealed_len);
    if (is_spoilt && sealed_len) sealed[dice(actor, sealed_len)] ^= 1;
    if (DO(C_DecryptInit, session, &parameter.mech, key) != CKR_OK) return;
    DO(C_Decrypt, session, sealed, sealed_len, actor->out, &back);
    if (!is_spoilt)
        same_data(actor, session, actor->last, actor->in, len, back);
    else if (actor->last == CKR_OK && session == actor->mine && sealed_len && (way->shape == GCM || way->shape == CHACHA))
        broken(actor, "%s opens what was changed", way->name);
}

/* In parts of any size; other threads' operations come between when the session is shared. */
static void in_parts(struct actor *actor)
{
    const struct way *way = some_way(actor, CKF_ENCRYPT);
    CK_SESSION_HANDLE session = some_session(actor);
    CK_BYTE sealed[OUT], back[OUT];
    CK_ULONG len, at, done = 0, opened = 0, n;
    struct parameter parameter;
    CK_OBJECT_HANDLE key;

    if (!way) return;
    key = some_key(actor, pot_for(actor, way));
    some_parameter(actor, &parameter, way);
    len = some_data(actor, way);
    if (DO(C_EncryptInit, session, &parameter.mech, key) != CKR_OK) return;
    for (at = 0; at < len; at += n) {
        CK_ULONG got = OUT;

        n = 1 + dice(actor, len - at);
        if (DO(C_EncryptUpdate, session, actor->in + at, n, actor->out, &got) != CKR_OK || done + got > 1024) return;
        memcpy(sealed + done, actor->out, got);
        done += got;
    }
    n = OUT;
    if (DO(C_EncryptFinal, session, actor->out, &n) != CKR_OK || done + n > 1024) return;
    memcpy(sealed + done, actor->out, n);
    done += n;
    if (DO(C_DecryptInit, session, &parameter.mech, key) != CKR_OK) return;
    for (at = 0; at < done; at += n) {
        CK_ULONG got = OUT;

        n = 1 + dice(actor, done - at);
        if (DO(C_DecryptUpdate, session, sealed + at, n, actor->out, &got) != CKR_OK || opened + got > 1024) return;
        memcpy(back + opened, actor->out, got);
        opened += got;
    }
    n = OUT;
    if (DO(C_DecryptFinal, session, actor->out, &n) == CKR_OK) {
        memcpy(back + opened, actor->out, n);
        opened += n;
        memcpy(actor->out, back, opened);
    }
    same_data(actor, session, actor->last, actor->in, len, opened);
}

static void messages(struct actor *actor)
{
    const struct way *way = now_and_then(actor, 3) ? way_of(CKM_CHACHA20_POLY1305) : way_of(CKM_AES_GCM);
    CK_SESSION_HANDLE session = some_session(actor);
    CK_OBJECT_HANDLE key = some_key(actor, pot_for(actor, way));
    CK_MECHANISM mechanism = { way->type, NULL, 0 };
    CK_BYTE body[64], sealed[512];
    struct parameter parameter;
    CK_ULONG len = some_data(actor, way), body_len, sealed_len = OUT, back = OUT;

    body_len = message_make(&parameter, body, way, way->shape == GCM ? dice(actor, 4) : 0, &actor->rng);
    if (DO(C_MessageEncryptInit, session, &mechanism, key) == CKR_OK) {
        DO(C_EncryptMessage, session, body, body_len, parameter.aad, 8, actor->in, len, actor->out, &sealed_len);
        if (actor->last == CKR_OK && sealed_len <= sizeof sealed) {
            memcpy(sealed, actor->out, sealed_len);
            if (DO(C_MessageDecryptInit, session, &mechanism, key) == CKR_OK) {
                DO(C_DecryptMessage, session, body, body_len, parameter.aad, 8, sealed, sealed_len, actor->out, &back);
                same_data(actor, session, actor->last, actor->in, len, back);
            }
            if (!now_and_then(actor, 4)) DO(C_MessageDecryptFinal, session);
        }
    }
    if (!now_and_then(actor, 4)) DO(C_MessageEncryptFinal, session);
}

static void messages_in_parts(struct actor *actor)
{
    const struct way *way = way_of(CKM_AES_GCM);
    CK_SESSION_HANDLE session = some_session(actor);
    CK_OBJECT_HANDLE key = some_key(actor, AES);
    CK_MECHANISM mechanism = { way->type, NULL, 0 };
    CK_BYTE body[64];
    struct parameter parameter;
    CK_ULONG body_len = message_make(&parameter, body, way, dice(actor, 4), &actor->rng), n = OUT;

    DO(C_MessageEncryptInit, session, &mechanism, key);
    DO(C_EncryptMessageBegin, session, body, body_len, parameter.aad, 8);
    DO(C_EncryptMessageNext, session, body, body_len, actor->in, dice(actor, 64), actor->out, &n, 0);
    n = OUT;
    if (!now_and_then(actor, 3)) DO(C_EncryptMessageNext, session, body, body_len, actor->in, 16, actor->out, &n, CKF_END_OF_MESSAGE);
    DO(C_MessageDecryptInit, session, &mechanism, key);
    DO(C_DecryptMessageBegin, session, body, body_len, parameter.aad, 8);
    n = OUT;
    DO(C_DecryptMessageNext, session, body, body_len, actor->in, 16, actor->out, &n, 0);
    n = OUT;
    if (!now_and_then(actor, 3)) DO(C_DecryptMessageNext, session, body, body_len, actor->in, 16, actor->out, &n, CKF_END_OF_MESSAGE);
    if (now_and_then(actor, 2)) cancel_all(session);
}

/* ---- MACs and digests ---- */

static void mac(struct actor *actor)
{
    const struct way *way = some_way(actor, CKF_SIGN);
    CK_SESSION_HANDLE session = some_session(actor);
    CK_BYTE tag[64];
    CK_ULONG len, tag_len = OUT;
    struct parameter parameter;
    CK_OBJECT_HANDLE key;

    if (!way) return;
    key = way->key == CKK_AES ? way_key(actor->mine, way, "sv") : some_key(actor, MAC);
    some_parameter(actor, &parameter, way);
    len = some_data(actor, way);
    if (DO(C_SignInit, session, &parameter.mech, key) == CKR_OK) {
        if (now_and_then(actor, 2)) {
            DO(C_SignUpdate, session, actor->in, len / 2);
            DO(C_SignUpdate, session, actor->in + len / 2, len - len / 2);
            DO(C_SignFinal, session, actor->out, &tag_len);
        } else {
            DO(C_Sign, session, actor->in, len, actor->out, &tag_len);
        }
        if (actor->last == CKR_OK && tag_len <= sizeof tag && session == actor->mine) {
            bool is_spoilt = now_and_then(actor, 3);

            memcpy(tag, actor->out, tag_len);
            if (is_spoilt) tag[dice(actor, tag_len)] ^= 0x80;
            if (DO(C_VerifyInit, session, &parameter.mech, key) == CKR_OK) {
                if (now_and_then(actor, 2)) {
                    DO(C_VerifyUpdate, session, actor->in, len);
                    DO(C_VerifyFinal, session, tag, tag_len);
                } else {
                    DO(C_Verify, session, actor->in, len, tag, tag_len);
                }
                if (actor->last == CKR_OK && is_spoilt) broken(actor, "%s takes a changed tag", way->name);
                if (actor->last == CKR_SIGNATURE_INVALID && !is_spoilt) broken(actor, "%s refuses its own tag", way->name);
                actor->checked += actor->last == CKR_OK;
            }
        }
    }
    if (way->key == CKK_AES && key) DO(C_DestroyObject, actor->mine, key);
}

static void digest(struct actor *actor)
{
    const struct way *way = some_way(actor, CKF_DIGEST);
    CK_SESSION_HANDLE session = some_session(actor);
    CK_MECHANISM mechanism = { way ? way->type : CKM_SHA256, NULL, 0 };
    CK_ULONG len = dice(actor, 300), n = OUT;
    CK_BYTE once[64];
    CK_RV rv;

    rng_fill(&actor->rng, actor->in, len);
    if (DO(C_DigestInit, session, &mechanism) != CKR_OK) return;
    rv = DO(C_Digest, session, actor->in, len, actor->out, &n);
    if (rv == CKR_OK) memcpy(once, actor->out, n);
    if (DO(C_DigestInit, session, &mechanism) != CKR_OK) return;
    DO(C_DigestUpdate, session, actor->in, len);
    if (now_and_then(actor, 3)) {
        rv = CKR_CANCEL;
        DO(C_DigestKey, session, some_object(actor, (enum pot)dice(actor, POTS)));
    }
    n = OUT;
    if (DO(C_DigestFinal, session, actor->out, &n) == CKR_OK && rv == CKR_OK && session == actor->mine && memcmp(once, actor->out, n))
        broken(actor, "two digests of the same data");
}

/* ---- objects ---- */

static void import(struct actor *actor)
{
    CK_BYTE *marker = shared.markers[dice(actor, MARKERS)];
    CK_ATTRIBUTE data[] = { A_ULONG(CKA_CLASS, CKO_DATA), A_TEXT(CKA_LABEL, "chaos"), A_BYTES(CKA_VALUE, actor->in, dice(actor, 200)),
                            A_BOOL(CKA_PRIVATE, (CK_BBOOL)dice(actor, 2)), A_BOOL(CKA_TOKEN, (CK_BBOOL)dice(actor, 2)) };
    CK_ATTRIBUTE key[24] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES), A_BYTES(CKA_VALUE, marker, 32) };
    CK_ULONG count = 3 + flags_template(now_and_then(actor, 2) ? "edSX" : "wuSX", key + 3);
    CK_OBJECT_HANDLE object = 0;

    if (now_and_then(actor, 3)) {
        if (DO(C_CreateObject, some_session(actor), data, COUNT(data), &object) == CKR_OK) keep(actor, DATA, object);
    } else if (DO(C_CreateObject, some_session(actor), key, count, &object) == CKR_OK) {
        keep(actor, MARKED, object);
    }
}

static void derive(struct actor *actor)
{
    const struct way *way = some_way(actor, CKF_DERIVE);
    CK_ATTRIBUTE aes[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES), A_ULONG(CKA_VALUE_LEN, 32) },
                 data[] = { A_ULONG(CKA_CLASS, CKO_DATA), A_ULONG(CKA_VALUE_LEN, 32) }, session_key[] = { A_BOOL(CKA_TOKEN, CK_FALSE) };
    bool is_ladder = now_and_then(actor, 3), is_data = way && way->type == CKM_HKDF_DATA;
    struct parameter parameter;
    CK_OBJECT_HANDLE child = 0;

    if (!way) return;
    some_parameter(actor, &parameter, way);
    if (is_ladder && way->type == CKM_HKDF_DERIVE) {
        if (DO(C_DeriveKey, some_session(actor), &parameter.mech, some_object(actor, LADDER), session_key, 1, &child) == CKR_OK)
            keep(actor, AES, child);
        return;
    }
    if (DO(C_DeriveKey, some_session(actor), &parameter.mech, some_key(actor, BASE), is_data ? data : aes, is_data ? 2 : 3, &child) ==
        CKR_OK)
        keep(actor, is_data ? DATA : AES, child);
}

static void copy(struct actor *actor)
{
    CK_ATTRIBUTE label[] = { A_TEXT(CKA_LABEL, "copy") }, weaker[] = { A_BOOL(CKA_SENSITIVE, CK_FALSE) };
    enum pot pot = (enum pot)dice(actor, POTS);
    bool is_weaker = now_and_then(actor, 3);
    CK_OBJECT_HANDLE made = 0;

    if (DO(C_CopyObject, some_session(actor), some_object(actor, pot), is_weaker ? weaker : label, now_and_then(actor, 5) ? 0 : 1, &made) ==
        CKR_OK)
        DO(C_DestroyObject, actor->mine, made);
}

static void destroy(struct actor *actor)
{
    enum pot pot = (enum pot)dice(actor, POTS);
    CK_OBJECT_HANDLE object = some_object(actor, pot);
    CK_ULONG size;

    /* The trusted key and the ladder cannot be made again. */
    if (pot == TRUSTED || pot == LADDER) return;
    if (DO(C_DestroyObject, some_session(actor), object) != CKR_OK) return;
    if (DO(C_GetObjectSize, actor->mine, object, &size) == CKR_OK) broken(actor, "a destroyed object still has a size");
}

static void set_attributes(struct actor *actor)
{
    CK_ATTRIBUTE some[] = { A_TEXT(CKA_LABEL, "chaos"),         A_BYTES(CKA_ID, actor->in, dice(actor, 20)),
                            A_BOOL(CKA_ENCRYPT, CK_FALSE),      A_BOOL(CKA_SENSITIVE, CK_FALSE),
                            A_BOOL(CKA_EXTRACTABLE, CK_TRUE),   A_TEXT(CKA_VALUE, "value"),
                            A_TEXT(CKA_START_DATE, "20300101"), A_BOOL(CKA_TRUSTED, CK_TRUE),
                            A_BOOL(CKA_MODIFIABLE, CK_FALSE) };

    DO(C_SetAttributeValue, some_session(actor), some_object(actor, (enum pot)dice(actor, POTS)), &some[dice(actor, COUNT(some))], 1);
}

static void get_attributes(struct actor *actor)
{
    static const CK_ATTRIBUTE_TYPE types[] = { CKA_CLASS,   CKA_TOKEN,       CKA_LABEL,         CKA_VALUE,           CKA_KEY_TYPE,
                                               CKA_ID,      CKA_SENSITIVE,   CKA_UNIQUE_ID,     CKA_VALUE_LEN,       CKA_ALLOWED_MECHANISMS,
                                               CKA_TRUSTED, CKA_CHECK_VALUE, CKA_WRAP_TEMPLATE, CKA_UNWRAP_TEMPLATE, 0xdeadbeef };
    CK_ATTRIBUTE some[6];
    CK_ULONG count = 1 + dice(actor, COUNT(some)), size;
    CK_OBJECT_HANDLE object = some_object(actor, (enum pot)dice(actor, POTS));

    for (CK_ULONG i = 0; i < count; i++)
        some[i] =
            (CK_ATTRIBUTE){ types[dice(actor, COUNT(types))], now_and_then(actor, 5) ? NULL : actor->out + i * 128, dice(actor, 128) };
    /* Rooms for templates would have to say which: these are questions for their length. */
    for (CK_ULONG i = 0; i < count; i++)
        if (some[i].type == CKA_WRAP_TEMPLATE || some[i].type == CKA_UNWRAP_TEMPLATE) some[i].pValue = NULL;
    DO(C_GetAttributeValue, some_session(actor), object, some, count);
    DO(C_GetObjectSize, some_session(actor), object, &size);
}

/* Each object found belongs to everybody now. */
static void find(struct actor *actor)
{
    CK_SESSION_HANDLE session = some_session(actor);
    CK_ATTRIBUTE by[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_TEXT(CKA_LABEL, "trusted"), A_TEXT(CKA_LABEL, "table"),
                          A_ULONG(CKA_CLASS, CKO_DATA), A_TEXT(CKA_LABEL, "master") };
    size_t which = now_and_then(actor, 4) ? dice(actor, COUNT(by)) : dice(actor, 3);
    CK_OBJECT_HANDLE found[8];
    CK_ULONG count = 0;

    if (DO(C_FindObjectsInit, session, &by[which], now_and_then(actor, 10) ? 0 : 1) == CKR_OK) {
        DO(C_FindObjects, session, found, COUNT(found), &count);
        if (actor->last == CKR_OK && count > COUNT(found)) broken(actor, "more handles than there was room for");
        if (actor->last == CKR_OK && count && session == actor->mine) {
            size_t slot = dice(actor, SLOTS);

            if (which == 1) atomic_store(&shared.objects[TRUSTED][slot], found[0]);
            if (which == 2 || which == 4) atomic_store(&shared.objects[LADDER][slot], found[0]);
        }
    }
    if (!now_and_then(actor, 10)) DO(C_FindObjectsFinal, session);
}

/* ---- keys that go and come ---- */

static void read_value(struct actor *actor, CK_OBJECT_HANDLE key)
{
    CK_ATTRIBUTE value = { CKA_VALUE, actor->out, 64 };

    DO(C_GetAttributeValue, actor->mine, key, &value, 1);
}

static void wrap_and_unwrap(struct actor *actor)
{
    const struct way *way = some_way(actor, CKF_WRAP);
    CK_OBJECT_HANDLE wrapping = some_key(actor, now_and_then(actor, 2) ? TRUSTED : WRAP);
    CK_OBJECT_HANDLE key = some_key(actor, now_and_then(actor, 2) ? OPEN : now_and_then(actor, 2) ? MARKED : AES), made = 0;
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES), A_BOOL(CKA_ENCRYPT, CK_TRUE),
                                A_BOOL(CKA_SENSITIVE, CK_FALSE), A_BOOL(CKA_EXTRACTABLE, CK_TRUE) };
    CK_MECHANISM none = { CKM_AES_KEY_WRAP, NULL, 0 };
    struct parameter parameter;
    CK_ULONG len = OUT;
    CK_BYTE blob[256];

    if (way) some_parameter(actor, &parameter, way);
    if (DO(C_WrapKey, some_session(actor), way ? &parameter.mech : &none, wrapping, key, actor->out, &len) == CKR_OK &&
        len <= sizeof blob) {
        memcpy(blob, actor->out, len);
    } else {
        len = dice(actor, 64);
        memcpy(blob, actor->in, len);
    }
    if (now_and_then(actor, 10) && len) blob[dice(actor, len)] ^= 1;
    if (DO(C_UnwrapKey, some_session(actor), way ? &parameter.mech : &none, wrapping, blob, len, template,
           now_and_then(actor, 2) ? COUNT(template) : 3, &made) != CKR_OK)
        return;
    read_value(actor, made);
    keep(actor, OPEN, made);
}

static void wrap_with_data(struct actor *actor)
{
    CK_OBJECT_HANDLE wrapping = some_key(actor, now_and_then(actor, 2) ? TRUSTED : WRAP);
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES), A_BOOL(CKA_SENSITIVE, CK_FALSE) };
    CK_BYTE iv[12], blob[256];
    struct t_gcm_wrap body = { iv, 12, 0, dice(actor, 4), NULL, 0, 128 };
    CK_MECHANISM mechanism = { CKM_AES_GCM, &body, sizeof body };
    CK_OBJECT_HANDLE made = 0;
    CK_ULONG len = OUT;

    rng_fill(&actor->rng, iv, sizeof iv);
    DO(C_WrapKeyAuthenticated, some_session(actor), &mechanism, wrapping, some_key(actor, now_and_then(actor, 2) ? OPEN : MARKED),
       actor->in, 16, actor->out, &len);
    if (actor->last != CKR_OK || len > sizeof blob) len = sizeof blob;
    memcpy(blob, actor->out, len);
    DO(C_UnwrapKeyAuthenticated, some_session(actor), &mechanism, wrapping, blob, len, template, now_and_then(actor, 2) ? 3 : 2, actor->in,
       16, &made);
    if (actor->last != CKR_OK) return;
    read_value(actor, made);
    keep(actor, OPEN, made);
}

/* ---- sessions, logins, tokens, the library ---- */

static void sessions(struct actor *actor)
{
    size_t slot = dice(actor, SESSIONS);
    CK_SESSION_HANDLE opened = 0, old;

    DO(C_OpenSession, now_and_then(actor, 4) ? shared.other : shared.slot,
       CKF_SERIAL_SESSION | (now_and_then(actor, 3) ? 0 : CKF_RW_SESSION), NULL, NULL, &opened);
    if (actor->last != CKR_OK) return;
    old = atomic_exchange(&shared.sessions[slot], opened);
    if (old) DO(C_CloseSession, old);
}

static void make_pin(struct actor *actor, CK_SESSION_HANDLE session)
{
    DO(C_Logout, session);
    if (DO(C_Login, session, CKU_SO, PIN(SO_PIN)) == CKR_OK) DO(C_InitPIN, session, PIN(USER_PIN));
    DO(C_Logout, session);
}

void recover(struct actor *actor)
{
    CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK };
    CK_SESSION_INFO info = { .state = CKS_RW_USER_FUNCTIONS };

    if (DO(C_GetSessionInfo, actor->mine, &info) == CKR_CRYPTOKI_NOT_INITIALIZED) DO(C_Initialize, &args);
    if (actor->last != CKR_OK && DO(C_OpenSession, shared.slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &actor->mine) == CKR_OK)
        DO(C_GetSessionInfo, actor->mine, &info);
    if (actor->last != CKR_OK || info.state == CKS_RW_USER_FUNCTIONS) return;
    if (info.state == CKS_RW_SO_FUNCTIONS) DO(C_Logout, actor->mine);
    DO(C_Login, actor->mine, CKU_USER, PIN(USER_PIN));
    if (actor->last == CKR_PIN_LOCKED || actor->last == CKR_USER_PIN_NOT_INITIALIZED) make_pin(actor, actor->mine);
}

static void logins(struct actor *actor)
{
    CK_SESSION_HANDLE session = some_session(actor);

    if (now_and_then(actor, 2)) DO(C_Logout, session);
    if (now_and_then(actor, 4))
        DO(C_LoginUser, session, CKU_USER, PIN(USER_PIN), PIN("nobody"));
    else if (now_and_then(actor, 4))
        DO(C_Login, session, CKU_SO, PIN(SO_PIN));
    else
        DO(C_Login, session, 1 + dice(actor, 3), PIN(USER_PIN));
}

/* A wrong PIN counts; the next right one forgets it. */
static void pins(struct actor *actor)
{
    const char *before = now_and_then(actor, 8) ? "wrong-pin-1" : USER_PIN, *after = now_and_then(actor, 2) ? "x" : USER_PIN;

    DO(C_SetPIN, actor->mine, PIN(USER_PIN), PIN(USER_PIN));
    DO(C_SetPIN, some_session(actor), PIN(before), PIN(after));
    if (now_and_then(actor, 3)) make_pin(actor, some_session(actor));
    DO(C_InitPIN, some_session(actor), PIN(USER_PIN));
}

static void close_all(struct actor *actor)
{
    if (now_and_then(actor, 2)) DO(C_CloseAllSessions, now_and_then(actor, 2) ? shared.slot : shared.other);
}

static void restart(struct actor *actor)
{
    CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK };

    DO(C_Finalize, NULL);
    DO(C_Initialize, &args);
}

/* The other token is emptied for good and gets its PIN anew. */
static void begin_token(struct actor *actor)
{
    CK_UTF8CHAR label[32] = "other                          ";
    CK_SESSION_HANDLE session = 0;

    label[31] = ' ';
    DO(C_CloseAllSessions, shared.other);
    DO(C_InitToken, shared.other, PIN(SO_PIN), label);
    if (DO(C_OpenSession, shared.other, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session) != CKR_OK) return;
    make_pin(actor, session);
    DO(C_Login, session, CKU_USER, PIN(USER_PIN));
    DO(C_CloseSession, session);
}

/* ---- small questions ---- */

static void information(struct actor *actor)
{
    CK_SLOT_ID slot = now_and_then(actor, 10) ? dice(actor, 5) : now_and_then(actor, 3) ? shared.other : shared.slot;
    CK_FUNCTION_LIST *list;
    struct t_interface *found;
    CK_VERSION version = { 3, (CK_BYTE)dice(actor, 4) };
    CK_SLOT_ID slots[8];
    CK_ULONG count = COUNT(slots), room = OUT / sizeof(CK_MECHANISM_TYPE);
    CK_FLAGS flags;

    DO(C_GetInfo, (CK_INFO *)(void *)actor->out);
    DO(C_GetSlotList, CK_TRUE, slots, &count);
    DO(C_GetSlotInfo, slot, (CK_SLOT_INFO *)(void *)actor->out);
    DO(C_GetTokenInfo, slot, (CK_TOKEN_INFO *)(void *)actor->out);
    DO(C_GetMechanismList, slot, (CK_MECHANISM_TYPE *)(void *)actor->out, &room);
    DO(C_WaitForSlotEvent, CKF_DONT_BLOCK, &slot, NULL);
    DO(C_GetFunctionList, &list);
    DO(C_GetInterface, (CK_UTF8CHAR *)(uintptr_t) "PKCS 11", &version, (CK_INTERFACE **)&found, 0);
    room = OUT / sizeof(CK_INTERFACE);
    DO(C_GetInterfaceList, (CK_INTERFACE *)(void *)actor->out, &room);
    DO(C_GetSessionValidationFlags, some_session(actor), dice(actor, 3), &flags);
}

static void random_bytes(struct actor *actor)
{
    DO(C_GenerateRandom, some_session(actor), actor->out, dice(actor, OUT));
    DO(C_SeedRandom, some_session(actor), actor->in, dice(actor, 64));
}

static void cancel(struct actor *actor)
{
    DO(C_SessionCancel, some_session(actor), dice(actor, 1 << 20));
}

/* ---- the vendor interface ---- */

enum { BATCH = 6, ITEM = 128, SEALED_ITEM = 256 };

/* Each item lies in its own piece of the room; one may be too small, one may be told wrongly. */
static void fill_batch(struct actor *actor, KL_BATCH_ITEM *items, CK_BYTE *in, size_t size)
{
    for (size_t i = 0; i < BATCH; i++) {
        items[i].pAAD = now_and_then(actor, 2) ? (CK_BYTE *)(uintptr_t) "users.email" : NULL;
        items[i].ulAADLen = items[i].pAAD ? 11 : 0;
        items[i].pIn = in + i * size;
        items[i].pOut = actor->out + i * SEALED_ITEM;
        items[i].ulOutLen = now_and_then(actor, 20) ? dice(actor, 60) : SEALED_ITEM;
        items[i].rv = CKR_CANCEL;
    }
}

static void batch(struct actor *actor)
{
    CK_MECHANISM mechanism = { CKM_KL_ENVELOPE, NULL, 0 };
    CK_SESSION_HANDLE session = some_session(actor);
    CK_OBJECT_HANDLE key = some_key(actor, now_and_then(actor, 2) ? LADDER : AES);
    KL_BATCH_ITEM items[BATCH] = { { 0 } }, back[BATCH] = { { 0 } };
    CK_BYTE sealed[BATCH * SEALED_ITEM];

    if (!shared.vendor) return;
    fill_batch(actor, items, actor->in, ITEM);
    for (size_t i = 0; i < BATCH; i++) items[i].ulInLen = dice(actor, ITEM);
    rng_fill(&actor->rng, actor->in, BATCH * ITEM);
    DO_VENDOR(EncryptBatch, session, &mechanism, key, items, BATCH);
    memcpy(sealed, actor->out, sizeof sealed);
    fill_batch(actor, back, sealed, SEALED_ITEM);
    for (size_t i = 0; i < BATCH; i++) {
        back[i].pAAD = items[i].pAAD;
        back[i].ulAADLen = items[i].ulAADLen;
        back[i].ulInLen = items[i].rv == CKR_OK ? items[i].ulOutLen : 0;
    }
    DO_VENDOR(DecryptBatch, session, &mechanism, key, back, BATCH);
    for (size_t i = 0; i < BATCH; i++) {
        if (items[i].rv != CKR_OK || back[i].rv == CKR_CANCEL) continue;
        if (is_bad_ciphertext(back[i].rv)) broken(actor, "an item of a batch does not decrypt: %s", rv_name(back[i].rv));
        if (back[i].rv != CKR_OK) continue;
        if (back[i].ulOutLen != items[i].ulInLen || memcmp(back[i].pOut, items[i].pIn, items[i].ulInLen))
            broken(actor, "other data came back in a batch");
        actor->checked++;
    }
}

static void evict(struct actor *actor)
{
    CK_ULONG len = OUT;

    if (!shared.vendor) return;
    DO_VENDOR(Evict, some_session(actor), now_and_then(actor, 4) ? CK_INVALID_HANDLE : some_object(actor, (enum pot)dice(actor, POTS)));
    DO_VENDOR(GetError, actor->out, &len);
    if (actor->last == CKR_OK && len > OUT) broken(actor, "words longer than their room");
}

/* ---- any function with any arguments ---- */

static bool is_for_others(enum function_number f)
{
    /* Steps of their own: they decide what all threads have. */
    return f == N_C_Initialize || f == N_C_Finalize || f == N_C_InitToken || f == N_C_InitPIN || f == N_C_SetPIN || f == N_C_Login ||
           f == N_C_LoginUser || f == N_C_CloseAllSessions || f == N_C_Logout || f == N_C_DestroyObject || f == N_C_CloseSession;
}

static const char *template_of(enum function_number f)
{
    static const struct {
        enum function_number function;
        const char *which; /* which of its pairs are templates */
    } with[] = { { N_C_CreateObject, "t" },         { N_C_CopyObject, "t" },          { N_C_GetAttributeValue, "g" },
                 { N_C_SetAttributeValue, "t" },    { N_C_FindObjectsInit, "t" },     { N_C_GenerateKey, "t" },
                 { N_C_GenerateKeyPair, "tt" },     { N_C_UnwrapKey, "bt" },          { N_C_DeriveKey, "t" },
                 { N_C_EncapsulateKey, "t" },       { N_C_DecapsulateKey, "tb" },     { N_C_UnwrapKeyAuthenticated, "btb" },
                 { N_C_EncryptMessage, "mbb" },     { N_C_DecryptMessage, "mbb" },    { N_C_EncryptMessageBegin, "mb" },
                 { N_C_DecryptMessageBegin, "mb" }, { N_C_EncryptMessageNext, "mb" }, { N_C_DecryptMessageNext, "mb" },
                 { N_C_FindObjects, "h" },          { N_C_GenerateRandom, "o" } };

    for (size_t i = 0; i < COUNT(with); i++)
        if (with[i].function == f) return with[i].which;
    return "";
}

struct anything {
    struct parameter parameter, message;
    CK_BYTE body[64];
    CK_ATTRIBUTE attributes[4];
    CK_ULONG number, handles[64];
};

static void any_pair(struct actor *actor, struct anything *any, char kind, CK_ULONG *args)
{
    static const CK_ATTRIBUTE_TYPE types[] = { CKA_LABEL, CKA_ID, CKA_CLASS, CKA_VALUE_LEN, CKA_TOKEN, CKA_SENSITIVE };
    static CK_BBOOL yes = CK_TRUE;
    bool is_missing = now_and_then(actor, 20);

    if (kind == 't' || kind == 'g') {
        for (size_t i = 0; i < COUNT(any->attributes); i++) {
            any->attributes[i] = (CK_ATTRIBUTE){ types[dice(actor, COUNT(types))], &yes, 1 };
            if (kind == 'g') any->attributes[i].pValue = actor->out + i * 64;
            if (kind == 'g') any->attributes[i].ulValueLen = 64;
        }
        args[0] = is_missing ? 0 : (CK_ULONG)(uintptr_t)any->attributes;
        args[1] = dice(actor, COUNT(any->attributes) + 1);
    } else if (kind == 'm') {
        args[1] = message_make(&any->message, any->body, way_of(CKM_AES_GCM), dice(actor, 5), &actor->rng);
        args[0] = is_missing ? 0 : (CK_ULONG)(uintptr_t)any->body;
    } else if (kind == 'h') {
        args[0] = is_missing ? 0 : (CK_ULONG)(uintptr_t)any->handles;
        args[1] = dice(actor, COUNT(any->handles) + 1);
    } else {
        args[0] = is_missing ? 0 : (CK_ULONG)(uintptr_t)(kind == 'o' ? actor->out : actor->in);
        args[1] = dice(actor, 256);
    }
}

static void call_anyhow(struct actor *actor, enum function_number f)
{
    const char *pairs = template_of(f);
    CK_ULONG a[10] = { 0 };
    struct anything any;
    size_t i = 0;

    parameter_make(&any.parameter, &ways[dice(actor, way_count)], &actor->rng);
    for (const char *c = any_functions[f].args; *c; c++, i++) {
        if (*c == 's') a[i] = some_session(actor);
        if (*c == 'S') a[i] = dice(actor, 3);
        if (*c == 'h') a[i] = some_object(actor, (enum pot)dice(actor, POTS));
        if (*c == 'f') a[i] = CKF_DONT_BLOCK;
        if (*c == 'n') a[i] = f == N_C_OpenSession ? CKF_SERIAL_SESSION : dice(actor, 8);
        if (*c == 'p') a[i] = now_and_then(actor, 20) ? 0 : (CK_ULONG)(uintptr_t)actor->out;
        if (*c == 'm') a[i] = now_and_then(actor, 20) ? 0 : (CK_ULONG)(uintptr_t)&any.parameter.mech;
        if (*c == 'b') any_pair(actor, &any, *pairs ? *pairs++ : 'b', &a[i++]);
        if (*c == 'b') c++;
        if (*c != 'q') continue;
        /* Items of lists are larger than bytes. */
        any.number = dice(actor, OUT / sizeof(CK_INTERFACE));
        a[i++] = now_and_then(actor, 10) ? 0 : (CK_ULONG)(uintptr_t)actor->out;
        a[i] = now_and_then(actor, 20) ? 0 : (CK_ULONG)(uintptr_t)&any.number;
        c++;
    }
    atomic_store_explicit(&actor->now, (int)f, memory_order_relaxed);
    did(actor, f, a[0], a[1], any_functions[f].call(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9]));
}

static void any_function(struct actor *actor)
{
    enum function_number f = (enum function_number)dice(actor, any_function_count);

    if (!is_for_others(f)) call_anyhow(actor, f);
}

/* However short the time is. */
static void every_function_once(struct actor *actor)
{
    static atomic_bool is_done;

    if (atomic_exchange(&is_done, true)) return;
    for (size_t f = 0; f < any_function_count; f++)
        if (!is_for_others((enum function_number)f)) call_anyhow(actor, (enum function_number)f);
    DO(C_DestroyObject, actor->mine, CK_INVALID_HANDLE);
    DO(C_CloseSession, CK_INVALID_HANDLE);
    DO(C_LoginUser, actor->mine, CKU_USER, PIN(USER_PIN), PIN("nobody"));
    DO(C_InitToken, 7, PIN(SO_PIN), actor->in);
}

const struct step steps[] = {
    { every_function_once, 1 },
    { make_keys, 200 },
    { import, 100 },
    { find, 200 },
    { seal_and_open, 1500 },
    { in_parts, 600 },
    { messages, 600 },
    { messages_in_parts, 200 },
    { mac, 600 },
    { digest, 300 },
    { derive, 300 },
    { copy, 200 },
    { destroy, 50 },
    { set_attributes, 100 },
    { get_attributes, 400 },
    { wrap_and_unwrap, 400 },
    { wrap_with_data, 200 },
    { batch, 300 },
    { evict, 50 },
    { sessions, 100 },
    { information, 50 },
    { random_bytes, 100 },
    { cancel, 50 },
    { any_function, 1500 },
    { logins, 4 },
    { pins, 1 },
    { close_all, 3 },
    { restart, 2 },
    { begin_token, 1 },
};
const size_t step_count = COUNT(steps);
