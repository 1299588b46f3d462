/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Every mechanism with any parameter, in every function that takes one. What was done is undone by the same parameter. */
#include "make.h"

struct scene {
    size_t token;
    CK_SESSION_HANDLE session;
    CK_MECHANISM mechanism;
    CK_KEY_TYPE key_type;
    CK_OBJECT_HANDLE key;
    struct kl_view data;
};

void fuzz_begin(void)
{
    world_begin();
}

static CK_BYTE *input_of(struct kl_view data)
{
    return (CK_BYTE *)(uintptr_t)data.data;
}

/* A stored key, a number, or a session key with these usages. */
static CK_OBJECT_HANDLE any_key(struct scene *scene, const char *usages)
{
    static const size_t lengths[] = { 32, 16, 24, 32, 64, 20 };
    const CK_OBJECT_HANDLE stored[] = { world.feks[scene->token], world.deks[scene->token], world.frees[scene->token],
                                        world.masters[scene->token] };
    uint8_t how = byte();
    size_t len = lengths[how % COUNT(lengths)];

    if (scene->key_type == CKK_HKDF) return stored[3];
    if (how >= 250) return number();
    if (how >= 200) return stored[how % COUNT(stored)];
    return import_key(scene->session, scene->key_type, kl_view_of(memset(lend(len), 0x5a + how % 4, len), len), usages);
}

/* --- encryption --- */

struct crypt {
    CK_RV (*init)(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key);
    CK_RV (*once)(CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG in_len, CK_BYTE *out, CK_ULONG *out_len);
    CK_RV (*update)(CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG in_len, CK_BYTE *out, CK_ULONG *out_len);
    CK_RV (*final)(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *out_len);
};
static const struct crypt encryption = { C_EncryptInit, C_Encrypt, C_EncryptUpdate, C_EncryptFinal };
static const struct crypt decryption = { C_DecryptInit, C_Decrypt, C_DecryptUpdate, C_DecryptFinal };

/* What a call that writes needs: asks first, or does not, or offers too little. False: it failed. */
struct sink {
    uint8_t *data;
    CK_ULONG len, cap;
};

static CK_RV give(const struct crypt *crypt, const struct scene *scene, bool is_final, bool in_parts, struct kl_view in, struct sink *sink)
{
    CK_ULONG len = 0;
    CK_RV rv;

    for (int tries = 0; tries < 3; tries++) {
        uint8_t *out = tries == 0 ? NULL : room(len);
        CK_ULONG cap = len;

        if (is_final)
            rv = crypt->final(scene->session, out, &len);
        else if (in_parts)
            rv = crypt->update(scene->session, input_of(in), in.len, out, &len);
        else
            rv = crypt->once(scene->session, input_of(in), in.len, out, &len);
        if (rv != CKR_OK && rv != CKR_BUFFER_TOO_SMALL) return rv;
        if (rv == CKR_BUFFER_TOO_SMALL) MUST(out != NULL && len > cap);
        MUST(len <= in.len + 1024);
        if (rv == CKR_BUFFER_TOO_SMALL || out == NULL) continue;
        MUST(len <= cap && sink->len + len <= sink->cap);
        memcpy(sink->data + sink->len, out, len);
        sink->len += len;
        return CKR_OK;
    }
    BROKEN("a room of the length that was asked for is too small");
}

static CK_RV run(const struct crypt *crypt, const struct scene *scene, struct kl_view in, struct sink *sink)
{
    CK_RV rv = CKR_OK;
    /* Some have no parts; what was done in one may be undone in several elsewhere. */
    bool in_parts = choice(2) == 1 && scene->mechanism.mechanism != CKM_KL_ENVELOPE && scene->mechanism.mechanism != CKM_KL_ROOT_WRAP;

    *sink = (struct sink){ lend(in.len + 2048), 0, in.len + 2048 };
    if (!in_parts) return give(crypt, scene, false, false, in, sink);
    for (size_t parts = 0; rv == CKR_OK && in.len > 0; parts++) {
        size_t len = parts < 6 ? choice(70) : in.len;

        if (len > in.len) len = in.len;
        rv = give(crypt, scene, false, true, kl_view_of(lend_copy(in.data, len), len), sink);
        in = kl_view_of(in.data + len, in.len - len);
    }
    return rv == CKR_OK ? give(crypt, scene, true, true, kl_view_of(NULL, 0), sink) : rv;
}

static void encrypts(struct scene *scene)
{
    struct sink sealed, opened;
    CK_ULONG len = 0;
    CK_RV rv;

    scene->key = any_key(scene, "ed");
    rv = C_EncryptInit(scene->session, &scene->mechanism, scene->key);
    if (rv == CKR_OK) rv = run(&encryption, scene, scene->data, &sealed);
    if (rv != CKR_OK) {
        MUST(C_EncryptFinal(scene->session, NULL, &len) == CKR_OPERATION_NOT_INITIALIZED);
        return;
    }
    NEED(C_DecryptInit(scene->session, &scene->mechanism, scene->key));
    NEED(run(&decryption, scene, kl_view_of(sealed.data, sealed.len), &opened));
    MUST(kl_view_is(kl_view_of(opened.data, opened.len), scene->data));
    MUST(C_DecryptFinal(scene->session, NULL, &len) == CKR_OPERATION_NOT_INITIALIZED);
}

static void decrypts(struct scene *scene)
{
    struct sink opened;
    CK_ULONG len = 0;
    CK_RV rv;

    scene->key = any_key(scene, "d");
    rv = C_DecryptInit(scene->session, &scene->mechanism, scene->key);
    if (rv == CKR_OK) rv = run(&decryption, scene, scene->data, &opened);
    if (rv != CKR_OK) MUST(C_DecryptFinal(scene->session, NULL, &len) == CKR_OPERATION_NOT_INITIALIZED);
    if (rv == CKR_OK) MUST(opened.len <= scene->data.len);
}

/* --- MACs and digests --- */

static CK_RV absorb(CK_RV (*update)(CK_SESSION_HANDLE, CK_BYTE *, CK_ULONG), CK_SESSION_HANDLE session, struct kl_view in)
{
    CK_RV rv = CKR_OK;

    for (size_t parts = 0; rv == CKR_OK && in.len > 0; parts++) {
        size_t len = parts < 6 ? choice(70) : in.len;

        if (len > in.len) len = in.len;
        rv = update(session, lend_copy(in.data, len), len);
        in = kl_view_of(in.data + len, in.len - len);
    }
    return rv;
}

static CK_RV verify(const struct scene *scene, struct kl_view mac)
{
    NEED(C_VerifyInit(scene->session, (CK_MECHANISM *)(uintptr_t)&scene->mechanism, scene->key));
    if (choice(2)) return C_Verify(scene->session, input_of(scene->data), scene->data.len, input_of(mac), mac.len);
    NEED(absorb(C_VerifyUpdate, scene->session, scene->data));
    return C_VerifyFinal(scene->session, input_of(mac), mac.len);
}

static void signs(struct scene *scene)
{
    CK_ULONG len = 0;
    struct kl_view mac, other;
    uint8_t *out;
    CK_RV rv;

    scene->key = any_key(scene, "sv");
    rv = C_SignInit(scene->session, &scene->mechanism, scene->key);
    if (rv == CKR_OK) rv = absorb(C_SignUpdate, scene->session, scene->data);
    if (rv == CKR_OK) rv = C_SignFinal(scene->session, NULL, &len);
    if (rv != CKR_OK) {
        MUST(C_SignFinal(scene->session, NULL, &len) == CKR_OPERATION_NOT_INITIALIZED);
        return;
    }
    MUST(len <= 64);
    out = room(len);
    NEED(C_SignFinal(scene->session, out, &len));
    mac = kl_view_of(out, len);
    NEED(verify(scene, mac));
    other = mutated(mac);
    rv = verify(scene, other);
    if (kl_view_is(mac, other))
        MUST(rv == CKR_OK);
    else
        MUST(rv == CKR_SIGNATURE_INVALID || rv == CKR_SIGNATURE_LEN_RANGE);
    /* In one call it is the same; but a nonce is good for once. */
    rv = C_SignInit(scene->session, &scene->mechanism, scene->key);
    if (scene->mechanism.mechanism == CKM_AES_GMAC) {
        MUST(rv != CKR_OK);
        return;
    }
    MUST(rv == CKR_OK);
    NEED(C_Sign(scene->session, input_of(scene->data), scene->data.len, memset(out, 0, len), &len));
    MUST(kl_view_is(mac, kl_view_of(out, len)));
}

static void digests(struct scene *scene)
{
    CK_BYTE *once = room(64), *parts = room(64);
    CK_ULONG len = 64, parts_len = 64;
    CK_RV rv = C_DigestInit(scene->session, &scene->mechanism);

    if (rv != CKR_OK) {
        MUST(C_DigestFinal(scene->session, once, &len) == CKR_OPERATION_NOT_INITIALIZED);
        return;
    }
    NEED(C_Digest(scene->session, input_of(scene->data), scene->data.len, once, &len));
    NEED(C_DigestInit(scene->session, &scene->mechanism));
    NEED(absorb(C_DigestUpdate, scene->session, scene->data));
    NEED(C_DigestFinal(scene->session, parts, &parts_len));
    MUST(kl_view_is(kl_view_of(once, len), kl_view_of(parts, parts_len)));
    scene->key_type = CKK_GENERIC_SECRET;
    scene->key = any_key(scene, "sv");
    NEED(C_DigestInit(scene->session, &scene->mechanism));
    rv = C_DigestKey(scene->session, scene->key);
    MUST(rv != CKR_OK || C_DigestFinal(scene->session, parts, &parts_len) == CKR_OK);
}

/* --- keys --- */

static void makes(struct scene *scene)
{
    struct asked template = any_template();
    CK_OBJECT_HANDLE made = 0;
    CK_RV rv;

    if (choice(2)) {
        rv = C_GenerateKey(scene->session, &scene->mechanism, template.attributes, template.count, &made);
    } else {
        scene->key = any_key(scene, "D");
        salt_key = scene->key;
        rv = C_DeriveKey(scene->session, &scene->mechanism, scene->key, template.attributes, template.count, &made);
    }
    MUST((rv == CKR_OK) == is_there(scene->session, made));
}

static CK_RV wraps_once(struct scene *scene, bool authenticated, CK_OBJECT_HANDLE leaving, struct kl_view *out)
{
    CK_ULONG len = 0;
    uint8_t *wrapped = NULL;
    CK_RV rv = CKR_OK;

    for (int tries = 0; tries < 2 && rv == CKR_OK; tries++) {
        if (tries == 1) wrapped = room(len);
        rv = authenticated ? C_WrapKeyAuthenticated(scene->session, &scene->mechanism, scene->key, leaving, input_of(scene->data),
                                                    scene->data.len, wrapped, &len)
                           : C_WrapKey(scene->session, &scene->mechanism, scene->key, leaving, wrapped, &len);
        MUST(rv != CKR_OK || len <= 4096 + 512);
    }
    *out = kl_view_of(wrapped, len);
    return rv;
}

static void wraps(struct scene *scene)
{
    static const size_t lengths[] = { 32, 16, 8, 40, 1, 24, 64, 200 };
    bool authenticated = choice(2) == 1;
    size_t len = lengths[choice(COUNT(lengths))];
    struct kl_view value = kl_view_of(memset(lend(len), 0x33, len), len), wrapped;
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
                                A_BOOL(CKA_SENSITIVE, CK_FALSE), A_BOOL(CKA_EXTRACTABLE, CK_TRUE) };
    CK_OBJECT_HANDLE leaving, back = 0;

    if (authenticated && choice(8) != 1) {
        scene->mechanism.mechanism = CKM_AES_GCM;
        gcm_wrap_parameter(&scene->mechanism);
    }
    scene->key = any_key(scene, "wu");
    leaving = import_key(scene->session, CKK_GENERIC_SECRET, value, "sv");
    if (wraps_once(scene, authenticated, leaving, &wrapped) != CKR_OK) return;
    if (authenticated)
        NEED(C_UnwrapKeyAuthenticated(scene->session, &scene->mechanism, scene->key, input_of(wrapped), wrapped.len, template,
                                      COUNT(template), input_of(scene->data), scene->data.len, &back));
    else
        NEED(C_UnwrapKey(scene->session, &scene->mechanism, scene->key, input_of(wrapped), wrapped.len, template, COUNT(template), &back));
    MUST(kl_view_is(value_of(scene->session, back), value) || scene->token == STRICT);
}

/* --- messages --- */

static CK_RV message(struct scene *scene, bool seals, void *parameter, CK_ULONG parameter_len, struct kl_view aad, struct kl_view in,
                     uint8_t *out)
{
    CK_RV (*const begin)(CK_SESSION_HANDLE, void *, CK_ULONG, CK_BYTE *, CK_ULONG) = seals ? C_EncryptMessageBegin : C_DecryptMessageBegin;
    CK_RV(*const next)
    (CK_SESSION_HANDLE, void *, CK_ULONG, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG *, CK_FLAGS) =
        seals ? C_EncryptMessageNext : C_DecryptMessageNext;
    CK_ULONG len = in.len, half = in.len / 2;
    CK_RV rv;

    if (choice(2)) {
        rv = seals ? C_EncryptMessage(scene->session, parameter, parameter_len, input_of(aad), aad.len, input_of(in), in.len, out, &len)
                   : C_DecryptMessage(scene->session, parameter, parameter_len, input_of(aad), aad.len, input_of(in), in.len, out, &len);
        MUST(rv != CKR_OK || len == in.len);
        return rv;
    }
    rv = begin(scene->session, parameter, parameter_len, input_of(aad), aad.len);
    if (rv == CKR_OK) {
        len = half;
        rv = next(scene->session, parameter, parameter_len, input_of(in), half, out, &len, 0);
    }
    if (rv == CKR_OK) {
        CK_ULONG last = in.len - len;

        rv = next(scene->session, parameter, parameter_len, input_of(in) + half, in.len - half, out + len, &last, CKF_END_OF_MESSAGE);
        MUST(rv != CKR_OK || len + last == in.len);
    }
    return rv;
}

static void messages(struct scene *scene)
{
    CK_ULONG len = 0;
    struct kl_view aad = bytes(100);
    uint8_t *sealed = room(scene->data.len), *opened = room(scene->data.len);
    void *parameter;

    if (choice(4) != 1) scene->mechanism = (CK_MECHANISM){ scene->mechanism.mechanism, NULL, 0 };
    scene->key = any_key(scene, "ed");
    if (C_MessageEncryptInit(scene->session, &scene->mechanism, scene->key) != CKR_OK) return;
    for (int i = 0; i < 3; i++) {
        parameter = message_parameter(scene->mechanism.mechanism, &len);
        if (message(scene, true, parameter, len, aad, scene->data, sealed) != CKR_OK) continue;
        NEED(C_MessageDecryptInit(scene->session, &scene->mechanism, scene->key));
        NEED(message(scene, false, parameter, len, aad, kl_view_of(sealed, scene->data.len), opened));
        MUST(kl_view_is(kl_view_of(opened, scene->data.len), scene->data));
        if (scene->data.len > 0) {
            sealed[0] ^= 1;
            MUST(message(scene, false, parameter, len, aad, kl_view_of(sealed, scene->data.len), opened) != CKR_OK);
        }
        NEED(C_MessageDecryptFinal(scene->session));
    }
    MUST(C_MessageEncryptFinal(scene->session) != CKR_SESSION_HANDLE_INVALID);
}

void fuzz_one(void)
{
    static void (*const deeds[])(struct scene *) = { encrypts, decrypts, signs, digests, makes, wraps, messages };
    struct scene scene = { 0 };
    const struct way *way;
    size_t deed;

    scene.token = choice(TOKENS);
    scene.session = session_on(scene.token);
    deed = choice(COUNT(deeds));
    salt_key = world.frees[scene.token];
    scene.mechanism = any_mechanism();
    way = way_of(scene.mechanism.mechanism);
    scene.key_type = way != NULL && way->key != CK_UNAVAILABLE_INFORMATION ? way->key : CKK_AES;
    scene.data = bytes(700);
    deeds[deed](&scene);
    fuzz_check_rooms();
    world_reset();
}
