/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Wrapped keys: any bytes to every unwrapping mechanism, and what was wrapped after it was changed. */
#include "make.h"

struct scene {
    size_t token;
    CK_SESSION_HANDLE session;
    CK_MECHANISM mechanism;
    CK_OBJECT_HANDLE key;
    struct kl_view aad;
    bool authenticated;
};

static const CK_MECHANISM_TYPE types[] = { CKM_AES_KEY_WRAP, CKM_AES_KEY_WRAP_PAD, CKM_AES_KEY_WRAP_KWP,
                                           CKM_AES_GCM,      CKM_AES_CBC_PAD,      CKM_KL_ROOT_WRAP };
static uint8_t iv[16];

void fuzz_begin(void)
{
    world_begin();
}

static CK_BYTE *input_of(struct kl_view data)
{
    return (CK_BYTE *)(uintptr_t)data.data;
}

/* A right parameter: the authenticated functions have their own. */
static void choose(struct scene *scene)
{
    CK_GCM_WRAP_PARAMS params = { .pIv = room(12), .ulIvLen = 12, .ivGenerator = CKG_GENERATE, .ulTagBits = 128 };
    static const size_t lengths[] = { 32, 16, 24 };
    size_t len = lengths[choice(COUNT(lengths))];

    scene->token = choice(TOKENS);
    scene->session = session_on(scene->token);
    scene->mechanism = (CK_MECHANISM){ types[choice(COUNT(types))], NULL, 0 };
    scene->key = import_key(scene->session, CKK_AES, kl_view_of(memset(lend(len), 0x11, len), len), "wu");
    if (scene->mechanism.mechanism == CKM_AES_CBC_PAD) scene->mechanism = (CK_MECHANISM){ CKM_AES_CBC_PAD, iv, 16 };
    if (scene->mechanism.mechanism == CKM_KL_ROOT_WRAP) scene->key = world.masters[scene->token];
    if (scene->mechanism.mechanism != CKM_AES_GCM) return;
    scene->authenticated = true;
    scene->aad = bytes(40);
    scene->mechanism.pParameter = lend_copy(&params, sizeof params);
    scene->mechanism.ulParameterLen = sizeof params;
}

static CK_RV unwrap(const struct scene *scene, struct kl_view wrapped, const struct asked *template, struct kl_view aad,
                    CK_OBJECT_HANDLE *out)
{
    CK_MECHANISM mechanism = scene->mechanism;

    *out = 0;
    return scene->authenticated ? C_UnwrapKeyAuthenticated(scene->session, &mechanism, scene->key, input_of(wrapped), wrapped.len,
                                                           template->attributes, template->count, input_of(aad), aad.len, out)
                                : C_UnwrapKey(scene->session, &mechanism, scene->key, input_of(wrapped), wrapped.len, template->attributes,
                                              template->count, out);
}

static struct asked readable(CK_KEY_TYPE type)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, type), A_BOOL(CKA_SENSITIVE, CK_FALSE),
                                A_BOOL(CKA_EXTRACTABLE, CK_TRUE) };
    CK_ATTRIBUTE *kept = lend_copy(template, sizeof template);

    for (size_t i = 0; i < COUNT(template); i++) kept[i].pValue = lend_copy(template[i].pValue, template[i].ulValueLen);
    return (struct asked){ kept, COUNT(template), COUNT(template) };
}

/* The mechanism tells of every change, but for padding, which tells of few. */
static void wrap_and_unwrap(struct scene *scene)
{
    static const CK_KEY_TYPE key_types[] = { CKK_GENERIC_SECRET, CKK_AES, CKK_CHACHA20, CKK_HKDF, CKK_SHA256_HMAC };
    CK_KEY_TYPE type = key_types[choice(COUNT(key_types))];
    struct kl_view value = bytes(200), changed, wrapped, aad;
    struct asked template = readable(type);
    CK_OBJECT_HANDLE leaving = import_key(scene->session, type, value, type == CKK_AES ? "ed" : "sv"), back;
    CK_ULONG len = 4096;
    uint8_t *out = room(len);
    CK_RV rv;

    rv = scene->authenticated ? C_WrapKeyAuthenticated(scene->session, &scene->mechanism, scene->key, leaving, input_of(scene->aad),
                                                       scene->aad.len, out, &len)
                              : C_WrapKey(scene->session, &scene->mechanism, scene->key, leaving, out, &len);
    if (rv != CKR_OK) return;
    MUST(len >= value.len && len <= value.len + 512);
    wrapped = kl_view_of(lend_copy(out, len), len);
    changed = mutated(wrapped);
    aad = scene->authenticated ? mutated(scene->aad) : scene->aad;
    rv = unwrap(scene, changed, &template, aad, &back);
    MUST((rv == CKR_OK) == is_there(scene->session, back));
    if (kl_view_is(changed, wrapped) && kl_view_is(aad, scene->aad)) {
        MUST(rv == CKR_OK || scene->token == STRICT);
        if (rv == CKR_OK) MUST(kl_view_is(value_of(scene->session, back), value));
    } else if (scene->mechanism.mechanism != CKM_AES_CBC_PAD) {
        MUST(rv != CKR_OK);
    }
}

/* Bytes that nobody wrapped. */
static void unwrap_any(struct scene *scene)
{
    struct asked template = any_template();
    struct kl_view wrapped = rest();
    CK_OBJECT_HANDLE back;
    CK_RV rv = unwrap(scene, wrapped, &template, scene->aad, &back);

    MUST((rv == CKR_OK) == is_there(scene->session, back));
    if (scene->mechanism.mechanism != CKM_AES_CBC_PAD) MUST(rv != CKR_OK);
}

/* Any bytes whose padding the input chooses: encrypted by the same key, they come to what unwrapping does with the result. */
static void unwrap_encrypted(struct scene *scene)
{
    static const uint8_t key_bytes[32] = { 1 };
    struct kl_view value = kl_view_of(key_bytes, 32), plain = bytes(300);
    CK_MECHANISM cbc = { CKM_AES_CBC, iv, 16 };
    CK_OBJECT_HANDLE sealing, back;
    CK_ULONG len = plain.len;
    uint8_t *sealed = room(len);
    struct asked template;
    CK_RV rv;

    scene->token = COMPATIBLE;
    scene->session = session_on(COMPATIBLE);
    sealing = import_key(scene->session, CKK_AES, value, "eu");
    scene->key = sealing;
    scene->mechanism = (CK_MECHANISM){ CKM_AES_CBC_PAD, iv, 16 };
    scene->authenticated = false;
    template = choice(2) ? readable(CKK_GENERIC_SECRET) : any_template();
    if (C_EncryptInit(scene->session, &cbc, sealing) != CKR_OK) return;
    if (C_Encrypt(scene->session, input_of(plain), plain.len, sealed, &len) != CKR_OK) return;
    rv = unwrap(scene, kl_view_of(sealed, len), &template, scene->aad, &back);
    MUST((rv == CKR_OK) == is_there(scene->session, back));
    if (rv != CKR_OK) return;
    MUST(plain.len > 0 && plain.data[plain.len - 1] >= 1 && plain.data[plain.len - 1] <= 16);
    value = value_of(scene->session, back);
    if (value.data != NULL) MUST(kl_view_is(value, kl_view_of(plain.data, plain.len - plain.data[plain.len - 1])));
}

/* What the root wrapped: as data, since ladder keys go by it as well. */
static void root_wrapped(struct scene *scene)
{
    CK_MECHANISM mechanism = { CKM_KL_ROOT_WRAP, NULL, 0 };
    CK_OBJECT_HANDLE master = world.masters[scene->token];
    struct kl_view plain = bytes(80), sealed, changed;
    CK_ULONG len = 1024, opened_len = 100;
    uint8_t *out = room(len), *opened = room(opened_len);
    CK_RV rv;

    NEED(C_EncryptInit(scene->session, &mechanism, master));
    rv = C_Encrypt(scene->session, input_of(plain), plain.len, out, &len);
    MUST((rv == CKR_OK) == (plain.len >= 8 && plain.len <= 64 && plain.len % 8 == 0));
    if (rv != CKR_OK) return;
    sealed = kl_view_of(lend_copy(out, len), len);
    changed = mutated(sealed);
    NEED(C_DecryptInit(scene->session, &mechanism, master));
    rv = C_Decrypt(scene->session, input_of(changed), changed.len, opened, &opened_len);
    MUST((rv == CKR_OK) == kl_view_is(sealed, changed));
    if (rv == CKR_OK) MUST(kl_view_is(kl_view_of(opened, opened_len), plain));
}

void fuzz_one(void)
{
    static void (*const deeds[])(struct scene *) = { wrap_and_unwrap, unwrap_any, unwrap_encrypted, root_wrapped };
    struct scene scene = { 0 };
    size_t deed = choice(COUNT(deeds));

    choose(&scene);
    deeds[deed](&scene);
    world_reset();
}
