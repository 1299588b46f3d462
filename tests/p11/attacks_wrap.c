/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* W: wrapping and unwrapping. */
#include "attacks.h"

#include <math.h>
#include <sys/mman.h>
#include <unistd.h>

const struct wrapping wrappings[] = {
    { "KW", CKM_AES_KEY_WRAP, false },
    { "KW_PAD", CKM_AES_KEY_WRAP_PAD, false },
    { "KWP", CKM_AES_KEY_WRAP_KWP, false },
    { "GCM", CKM_AES_GCM, true },
    { NULL, 0, false },
};
#define EVERY_WRAPPING(how) for (const struct wrapping *(how) = wrappings; (how)->name; (how)++)

static const CK_BYTE value32[32] = "a wrapping key of 32 known bytes";

static CK_RV call_wrap(CK_SESSION_HANDLE session, const struct wrapping *how, const CK_OBJECT_HANDLE keys[2], CK_BYTE iv[12], CK_BYTE *out,
                       CK_ULONG *len)
{
    struct t_gcm_wrap gcm = { iv, 12, 0, T_GENERATE, NULL, 0, 128 };
    CK_MECHANISM mech = { how->type, how->is_authenticated ? &gcm : NULL, how->is_authenticated ? sizeof gcm : 0 };

    return how->is_authenticated ? wrap_authenticated(session, &mech, keys[0], keys[1], out, len)
                                 : p11->C_WrapKey(session, &mech, keys[0], keys[1], out, len);
}

CK_RV wrap_try(CK_SESSION_HANDLE session, const struct wrapping *how, CK_OBJECT_HANDLE by, CK_OBJECT_HANDLE key, struct blob *blob)
{
    memset(blob->iv, 0, sizeof blob->iv);
    blob->len = sizeof blob->bytes;
    return call_wrap(session, how, (const CK_OBJECT_HANDLE[]){ by, key }, blob->iv, blob->bytes, &blob->len);
}

CK_RV wrap_query(CK_SESSION_HANDLE session, const struct wrapping *how, CK_OBJECT_HANDLE by, CK_OBJECT_HANDLE key, CK_ULONG *len)
{
    CK_BYTE iv[12] = { 0 };

    return call_wrap(session, how, (const CK_OBJECT_HANDLE[]){ by, key }, iv, NULL, len);
}

CK_RV unwrap_try(CK_SESSION_HANDLE session, const struct wrapping *how, CK_OBJECT_HANDLE by, const struct blob *blob,
                 const CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *key)
{
    struct t_gcm_wrap gcm = { (CK_BYTE *)(uintptr_t)blob->iv, 12, 0, T_NO_GENERATE, NULL, 0, 128 };
    CK_MECHANISM mech = { how->type, how->is_authenticated ? &gcm : NULL, how->is_authenticated ? sizeof gcm : 0 };

    return how->is_authenticated ? unwrap_authenticated(session, &mech, by, blob->bytes, blob->len, template, count, key)
                                 : p11->C_UnwrapKey(session, &mech, by, (CK_BYTE *)(uintptr_t)blob->bytes, blob->len,
                                                    (CK_ATTRIBUTE *)(uintptr_t) template, count, key);
}

CK_RV unwrap_aes(CK_SESSION_HANDLE session, const struct wrapping *how, CK_OBJECT_HANDLE by, const struct blob *blob,
                 const CK_ATTRIBUTE *more, CK_ULONG count, CK_OBJECT_HANDLE *key)
{
    CK_ATTRIBUTE template[24] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES) };

    for (CK_ULONG i = 0; i < count; i++) template[2 + i] = more[i];
    return unwrap_try(session, how, by, blob, template, 2 + count, key);
}

/* ---- roles ---- */

static void born_with_two_roles(const char *flags)
{
    CK_SESSION_HANDLE session = user_session();

    REFUSED(session, make_try(session, "two", flags, NULL, 0), CKR_TEMPLATE_INCONSISTENT);
    REFUSED(session, import_as(CKK_AES, session, "two", flags, value32, 32), CKR_TEMPLATE_INCONSISTENT);
    session = settle(session);
    CHECK(find_one(session, "two") == 0);
}

CASE(A_W1_wrap_and_decrypt_on_one_key)
{
    born_with_two_roles("wd");
}

CASE(A_W2_a_role_acquired_later)
{
    static const struct {
        const char *label, *have;
        CK_ATTRIBUTE_TYPE want;
    } cases[] = { { "1", "wS", CKA_DECRYPT }, { "2", "wS", CKA_ENCRYPT }, { "3", "uS", CKA_DECRYPT },
                  { "4", "dS", CKA_WRAP },    { "5", "eS", CKA_UNWRAP },  { "6", "DS", CKA_WRAP } };
    CK_SESSION_HANDLE session = user_session();

    for (size_t i = 0; i < COUNT(cases); i++) make(session, cases[i].label, cases[i].have);
    session = settle(session);
    for (size_t i = 0; i < COUNT(cases); i++)
        REFUSED(session, set_bool(session, named(session, cases[i].label), cases[i].want, CK_TRUE), CKR_ATTRIBUTE_READ_ONLY);
}

CASE(A_W3_a_role_dropped_and_another_acquired)
{
    CK_SESSION_HANDLE session = user_session();
    CK_RV rv;

    make(session, "K", "wS");
    session = settle(session);
    rv = set_bool(session, named(session, "K"), CKA_WRAP, CK_FALSE);
    EXPECT(rv, CKR_OK, CKR_ATTRIBUTE_READ_ONLY);
    REFUSED(session, set_bool(session, named(session, "K"), CKA_DECRYPT, CK_TRUE), CKR_ATTRIBUTE_READ_ONLY);
    session = settle(session);
    CHECK(get_bool(session, named(session, "K"), CKA_WRAP) == (rv != CKR_OK));
    REFUSED(session, set_bool(session, named(session, "K"), CKA_DECRYPT, CK_TRUE), CKR_ATTRIBUTE_READ_ONLY);
    REFUSED(session, copy_with(session, named(session, "K"), (CK_ATTRIBUTE[]){ A_BOOL(CKA_DECRYPT, CK_TRUE) }, 1), CKR_ATTRIBUTE_READ_ONLY,
            CKR_TEMPLATE_INCONSISTENT);
}

CASE(A_W4_unwrap_and_encrypt_on_one_key)
{
    born_with_two_roles("ue");
}

/* ---- what may leave ---- */

static bool is_ladder_key(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
    CK_ULONG level;
    CK_ATTRIBUTE attr[] = { { CKA_KL_LEVEL, &level, sizeof level } };

    return p11->C_GetAttributeValue(session, key, attr, 1) == CKR_OK;
}

/* Both the query and the call, with every wrapping, and the query tells no length. */
static void does_not_leave(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE by, CK_OBJECT_HANDLE key, CK_RV want)
{
    EVERY_WRAPPING(how)
    {
        struct blob blob = { .len = 0 };
        CK_ULONG len = 7777;
        CK_RV also;

        memset(blob.bytes, 0x5a, sizeof blob.bytes);
        /* GCM is no way of wrapping for a ladder key, whatever it were to wrap. */
        also = how->is_authenticated && is_ladder_key(session, by) ? CKR_KEY_FUNCTION_NOT_PERMITTED : want;
        REFUSED(session, wrap_query(session, how, by, key, &len), want, also);
        CHECK(len == 7777 || len == 0 || len == CK_UNAVAILABLE_INFORMATION);
        REFUSED(session, wrap_try(session, how, by, key, &blob), want, also);
        for (size_t i = 0; i < sizeof blob.bytes; i++)
            if (blob.bytes[i] != 0x5a && blob.bytes[i] != 0) die_at(__FILE__, __LINE__, "%s wrote byte %zu", how->name, i);
    }
}

CASE(A_W5_an_unextractable_key)
{
    CK_SESSION_HANDLE session = user_session();

    make(session, "K1", "w");
    make(session, "K2", "edS");
    session = settle(session);
    does_not_leave(session, named(session, "K1"), named(session, "K2"), CKR_KEY_UNEXTRACTABLE);
}

CASE(A_W6_wrap_with_trusted)
{
    const CK_ATTRIBUTE only_trusted[] = { A_BOOL(CKA_WRAP_WITH_TRUSTED, CK_TRUE) };
    CK_SESSION_HANDLE session = user_session();

    make(session, "K1", "wS");
    make_with(session, "K2", "edSX", only_trusted, 1);
    session = settle(session);
    CHECK(get_bool(session, named(session, "K2"), CKA_WRAP_WITH_TRUSTED) == CK_TRUE);
    does_not_leave(session, named(session, "K1"), named(session, "K2"), CKR_KEY_NOT_WRAPPABLE);
    /* It cannot be taken back, and not all that is sensitive needs the flag to be held. */
    REFUSED(session, set_bool(session, named(session, "K2"), CKA_WRAP_WITH_TRUSTED, CK_FALSE), CKR_ATTRIBUTE_READ_ONLY);
    make(session, "K3", "edSX");
    does_not_leave(session, named(session, "K1"), named(session, "K3"), CKR_KEY_NOT_WRAPPABLE);
}

CASE(A_W7_self_made_trust)
{
    const CK_ATTRIBUTE trusted[] = { A_BOOL(CKA_TRUSTED, CK_TRUE) };
    CK_SESSION_HANDLE session = user_session();

    make(session, "K", "wSP");
    session = settle(session);
    REFUSED(session, set_bool(session, named(session, "K"), CKA_TRUSTED, CK_TRUE), CKR_ATTRIBUTE_READ_ONLY);
    REFUSED(session, copy_with(session, named(session, "K"), trusted, 1), CKR_ATTRIBUTE_READ_ONLY);
    REFUSED(session, make_try(session, "other", "wS", trusted, 1), CKR_ATTRIBUTE_READ_ONLY);
    NEED(p11->C_Logout(session));
    EXPECT(set_bool(session, named(session, "K"), CKA_TRUSTED, CK_TRUE), CKR_USER_NOT_LOGGED_IN, CKR_ATTRIBUTE_READ_ONLY);
    NEED(login(session, CKU_USER, USER_PIN));
    trust(session, "K");
    session = settle(session);
    CHECK(get_bool(session, named(session, "K"), CKA_TRUSTED) == CK_TRUE);
    /* Trust is of one object: no copy of it has any. */
    if (copy_with(session, named(session, "K"), (CK_ATTRIBUTE[]){ A_TEXT(CKA_LABEL, "copy") }, 1) == CKR_OK)
        CHECK(get_bool(session, named(session, "copy"), CKA_TRUSTED) == CK_FALSE);
}

/* ---- templates ---- */

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
static CK_ATTRIBUTE keeps[] = { { CKA_SENSITIVE, &yes, 1 }, { CKA_EXTRACTABLE, &no, 1 }, A_TEXT(CKA_ID, "restored") };
static CK_ATTRIBUTE unwrap_template = { CKA_UNWRAP_TEMPLATE, keeps, sizeof keeps };

/* A key that wraps and unwraps, with the template; and a loose key wrapped under it. */
static CK_SESSION_HANDLE wrapped_loose(const struct wrapping *how, struct blob *blob)
{
    CK_SESSION_HANDLE session = user_session();

    make_with(session, "K1", "wu", &unwrap_template, 1);
    make(session, "free", "wu");
    session = settle(session);
    NEED(wrap_try(session, how, named(session, "K1"), loose_key(session), blob));
    return session;
}

static void over(CK_SESSION_HANDLE session)
{
    NEED(p11->C_DestroyObject(session, named(session, "K1")));
    NEED(p11->C_DestroyObject(session, named(session, "free")));
    stop();
}

CASE(A_W8_an_unwrap_template_overridden)
{
    const CK_ATTRIBUTE extractable[] = { A_BOOL(CKA_EXTRACTABLE, CK_TRUE) }, open[] = { A_BOOL(CKA_SENSITIVE, CK_FALSE) },
                       both[] = { extractable[0], open[0] };

    EVERY_WRAPPING(how)
    {
        struct blob blob, control;
        CK_SESSION_HANDLE session = wrapped_loose(how, &blob);
        CK_OBJECT_HANDLE key = 0, by = named(session, "K1");

        REFUSED(session, unwrap_aes(session, how, by, &blob, extractable, 1, &key), CKR_TEMPLATE_INCONSISTENT);
        REFUSED(session, unwrap_aes(session, how, by, &blob, open, 1, &key), CKR_TEMPLATE_INCONSISTENT);
        REFUSED(session, unwrap_aes(session, how, by, &blob, both, 2, &key), CKR_TEMPLATE_INCONSISTENT);
        NEED(unwrap_aes(session, how, by, &blob, NULL, 0, &key));
        CHECK(get_bool(session, key, CKA_SENSITIVE) == CK_TRUE && get_bool(session, key, CKA_EXTRACTABLE) == CK_FALSE);
        /* It is the template that refuses: a key without one opens the same for all to read. */
        NEED(wrap_try(session, how, named(session, "free"), loose_key(session), &control));
        NEED(unwrap_aes(session, how, named(session, "free"), &control, both, 2, &key));
        CHECK(get_bool(session, key, CKA_SENSITIVE) == CK_FALSE && get_bool(session, key, CKA_EXTRACTABLE) == CK_TRUE);
        over(session);
    }
}

CASE(A_W9_an_unwrap_template_removed)
{
    CK_ATTRIBUTE weaker[] = { { CKA_EXTRACTABLE, &yes, 1 } };
    struct blob blob;
    CK_SESSION_HANDLE session = wrapped_loose(&wrappings[0], &blob);
    CK_OBJECT_HANDLE by = named(session, "K1"), key = 0;
    const CK_ATTRIBUTE none[] = { A_BYTES(CKA_UNWRAP_TEMPLATE, NULL, 0) },
                       other[] = { A_BYTES(CKA_UNWRAP_TEMPLATE, weaker, sizeof weaker) };

    REFUSED(session, set_bytes(session, by, CKA_UNWRAP_TEMPLATE, NULL, 0), CKR_ATTRIBUTE_READ_ONLY);
    REFUSED(session, set_bytes(session, by, CKA_UNWRAP_TEMPLATE, weaker, sizeof weaker), CKR_ATTRIBUTE_READ_ONLY);
    REFUSED(session, set_bytes(session, by, CKA_UNWRAP_TEMPLATE, keeps, sizeof keeps), CKR_ATTRIBUTE_READ_ONLY);
    REFUSED(session, copy_with(session, by, none, 1), CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT);
    REFUSED(session, copy_with(session, by, other, 1), CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT);
    /* A copy has it too. */
    NEED(copy_with(session, by, (CK_ATTRIBUTE[]){ A_TEXT(CKA_LABEL, "copy") }, 1));
    REFUSED(session, unwrap_aes(session, &wrappings[0], named(session, "copy"), &blob, weaker, 1, &key), CKR_TEMPLATE_INCONSISTENT);
}

CASE(A_W10_a_key_wraps_itself)
{
    CK_SESSION_HANDLE session = user_session();
    CK_RV rv = make_try(session, "K", "wX", NULL, 0);

    if (rv != CKR_OK) {
        EXPECT(rv, CKR_TEMPLATE_INCONSISTENT);
        return;
    }
    session = settle(session);
    does_not_leave(session, named(session, "K"), named(session, "K"), CKR_KEY_NOT_WRAPPABLE);
}

/* ---- mechanisms that bind nothing ---- */

CASE(A_W11_wrapping_that_authenticates_nothing)
{
    static const CK_MECHANISM_TYPE types[] = { CKM_AES_ECB, CKM_AES_CBC, CKM_AES_CTR, CKM_AES_OFB, CKM_AES_CBC_PAD };
    CK_BYTE iv[16] = { 0 };
    struct {
        CK_ULONG bits;
        CK_BYTE block[16];
    } ctr = { 128, { 0 } };
    struct blob blob;
    CK_SESSION_HANDLE session = user_session();

    make(session, "K1", "w");
    make(session, "K2", "edSX");
    session = settle(session);
    for (size_t i = 0; i < COUNT(types); i++) {
        bool is_ctr = types[i] == CKM_AES_CTR, is_ecb = types[i] == CKM_AES_ECB;
        CK_MECHANISM mech = { types[i], is_ecb ? NULL : is_ctr ? (void *)&ctr : iv, is_ecb ? 0 : is_ctr ? sizeof ctr : sizeof iv };
        CK_OBJECT_HANDLE loose = loose_key(session);

        blob.len = sizeof blob.bytes;
        REFUSED(session, p11->C_WrapKey(session, &mech, named(session, "K1"), named(session, "K2"), blob.bytes, &blob.len),
                CKR_MECHANISM_INVALID);
        REFUSED(session, p11->C_WrapKey(session, &mech, named(session, "K1"), loose, blob.bytes, &blob.len), CKR_MECHANISM_INVALID);
        UNSUPPORTED(types[i], CKF_WRAP | CKF_UNWRAP, p11->C_WrapKey(session, &mech, named(session, "K1"), loose, NULL, &blob.len));
    }
}

/* ---- forged blobs ---- */

static void wrap_two(CK_SESSION_HANDLE session, const struct wrapping *how, struct blob blobs[2])
{
    for (int i = 0; i < 2; i++) NEED(wrap_try(session, how, named(session, "K"), loose_key(session), &blobs[i]));
}

CASE(A_W12_halves_of_two_blobs_put_together)
{
    CK_SESSION_HANDLE session = user_session();

    make(session, "K", "wu");
    session = settle(session);
    EVERY_WRAPPING(how)
    {
        struct blob blobs[2], mixed;
        CK_OBJECT_HANDLE key = 0;

        /* One key to a mechanism family, under `strict` for life. */
        if (how->is_authenticated) {
            make(session, "G", "wu");
            NEED(set_bytes(session, named(session, "K"), CKA_LABEL, "used", 4));
            NEED(set_bytes(session, named(session, "G"), CKA_LABEL, "K", 1));
        }
        wrap_two(session, how, blobs);
        for (CK_ULONG at = 8; at < blobs[0].len; at += 8) {
            mixed = blobs[0];
            memcpy(mixed.bytes + at, blobs[1].bytes + at, blobs[1].len - at);
            REFUSED(session, unwrap_aes(session, how, named(session, "K"), &mixed, NULL, 0, &key), CKR_WRAPPED_KEY_INVALID);
        }
        NEED(unwrap_aes(session, how, named(session, "K"), &blobs[0], NULL, 0, &key));
    }
}

/* RFC 3394's wrapping function over any semi-block 0, to make blobs whose inside is wrong in a way of our choosing. */
static void kw(const CK_BYTE *key, const CK_BYTE first[8], const CK_BYTE *data, size_t blocks, struct blob *blob)
{
    CK_BYTE in[16], out[16];

    memcpy(out, first, 8);
    memcpy(blob->bytes + 8, data, blocks * 8);
    for (uint64_t t = 1; t <= 6 * blocks; t++) {
        CK_BYTE *r = blob->bytes + 8 * (1 + (t - 1) % blocks);

        memcpy(in, out, 8);
        memcpy(in + 8, r, 8);
        aes_block(key, in, out);
        memcpy(r, out + 8, 8);
        out[7] ^= (CK_BYTE)t;
    }
    memcpy(blob->bytes, out, 8);
    blob->len = 8 * (blocks + 1);
}

/* Inside: a right check value with a length that cannot be, padding that is not zero, a wrong check value. */
static void craft(uint64_t *state, int kind, struct blob *blob)
{
    static const CK_BYTE kwp[8] = { 0xa6, 0x59, 0x59, 0xa6, 0, 0, 0, 0 };
    CK_BYTE first[8], data[32];

    rng_fill(state, data, sizeof data);
    memcpy(first, kwp, 8);
    first[7] = 28;
    if (kind == 0) first[7] = (CK_BYTE)(rng_next(state) % 24);
    if (kind == 1) data[31] |= 1;
    if (kind == 2) rng_fill(state, first, 8);
    if (kind == 3) first[6] = 1;
    kw(value32, first, data, 4, blob);
}

static CK_RV offer(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE by, const struct blob *blob)
{
    CK_OBJECT_HANDLE key = 0;
    CK_RV rv = unwrap_aes(session, &wrappings[2], by, blob, NULL, 0, &key);

    if (rv == CKR_OK) p11->C_DestroyObject(session, key);
    return rv;
}

/* The t of Welch over the time that refusals of two kinds take: printed, since a loaded machine tells nothing. */
static void compare_times(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE by, uint64_t *state)
{
    enum { EACH = 2000 };
    double sum[2] = { 0, 0 }, squares[2] = { 0, 0 }, mean[2], variance[2];

    for (int i = 0; i < 2 * EACH; i++) {
        struct blob blob;
        double took;

        craft(state, i & 1, &blob);
        took = now_seconds();
        offer(session, by, &blob);
        took = now_seconds() - took;
        sum[i & 1] += took;
        squares[i & 1] += took * took;
    }
    for (int k = 0; k < 2; k++) {
        mean[k] = sum[k] / EACH;
        variance[k] = squares[k] / EACH - mean[k] * mean[k];
    }
    printf("    bad length against bad padding: Welch t %.2f\n", (mean[0] - mean[1]) / sqrt((variance[0] + variance[1]) / EACH));
}

CASE(A_W13_no_padding_oracle)
{
    CK_SESSION_HANDLE session = user_session();
    CK_BYTE iv[16] = { 0 };
    CK_MECHANISM cbc = { CKM_AES_CBC_PAD, iv, 16 }, rsa = { CKM_RSA_PKCS, NULL, 0 };
    CK_ATTRIBUTE aes[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES) };
    CK_OBJECT_HANDLE by, key = 0;
    uint64_t state = 13, before;
    struct blob blob;

    NEED(import_as(CKK_AES, session, "K", "u", value32, 32));
    session = settle(session);
    by = named(session, "K");
    rng_fill(&state, blob.bytes, sizeof blob.bytes);
    UNSUPPORTED(CKM_AES_CBC_PAD, CKF_WRAP | CKF_UNWRAP, p11->C_UnwrapKey(session, &cbc, by, blob.bytes, 48, aes, 2, &key));
    UNSUPPORTED(CKM_RSA_PKCS, CKF_WRAP | CKF_UNWRAP, p11->C_UnwrapKey(session, &rsa, by, blob.bytes, 256, aes, 2, &key));
    /* The wrapping that is offered has padding too: one code, whatever is wrong inside. */
    before = fingerprint(session);
    for (int i = 0; i < 10000; i++) {
        rng_fill(&state, blob.bytes, 48);
        blob.len = 16 + rng_next(&state) % 5 * 8;
        if (!EXPECT(offer(session, by, &blob), CKR_WRAPPED_KEY_INVALID)) break;
    }
    for (int i = 0; i < 4096; i++) {
        craft(&state, i % 4, &blob);
        if (!EXPECT(offer(session, by, &blob), CKR_WRAPPED_KEY_INVALID)) break;
    }
    unchanged_at(__FILE__, __LINE__, session, before);
    /* The hand that made the bad ones can make a good one. */
    kw(value32, (const CK_BYTE[]){ 0xa6, 0x59, 0x59, 0xa6, 0, 0, 0, 32 }, value32, 4, &blob);
    EXPECT(offer(session, by, &blob), CKR_OK);
    compare_times(session, by, &state);
}

/* ---- attributes that a bare blob would lose ---- */

static CK_MECHANISM_TYPE gcm_only = CKM_AES_GCM;

CASE(A_W14_attributes_stripped)
{
    CK_DATE end = date_in(30);
    const CK_ATTRIBUTE four[] = { A_BYTES(CKA_ALLOWED_MECHANISMS, &gcm_only, sizeof gcm_only), A_BYTES(CKA_END_DATE, &end, sizeof end),
                                  A_BOOL(CKA_WRAP_WITH_TRUSTED, CK_TRUE) };
    CK_ATTRIBUTE all[] = { { CKA_SENSITIVE, &yes, 1 },
                           { CKA_WRAP, &no, 1 },
                           { CKA_UNWRAP, &no, 1 },
                           { CKA_SIGN, &no, 1 },
                           { CKA_VERIFY, &no, 1 },
                           { CKA_DERIVE, &no, 1 },
                           four[0],
                           four[1],
                           four[2] };
    const CK_ATTRIBUTE bare[] = { A_BYTES(CKA_UNWRAP_TEMPLATE, keeps, sizeof keeps[0]) },
                       whole[] = { A_BYTES(CKA_UNWRAP_TEMPLATE, all, sizeof all) };
    CK_SESSION_HANDLE session = user_session();

    make(session, "untrusted", "wuS");
    make_with(session, "careless", "wuSP", bare, 1);
    make_with(session, "careful", "wuSP", whole, 1);
    make_with(session, "careful too", "wuSP", whole, 1);
    trust(session, "careless");
    trust(session, "careful");
    trust(session, "careful too");
    if (!way->token) make(session, "untrusted", "wuS"); /* the first went with the logout */
    make_with(session, "K", "edSX", four, COUNT(four));
    session = settle(session);
    does_not_leave(session, named(session, "untrusted"), named(session, "K"), CKR_KEY_NOT_WRAPPABLE);
    does_not_leave(session, named(session, "careless"), named(session, "K"), CKR_KEY_NOT_WRAPPABLE);
    EVERY_WRAPPING(how)
    {
        CK_OBJECT_HANDLE by = named(session, how->is_authenticated ? "careful too" : "careful"), back = 0;
        CK_BYTE value[64];
        CK_ATTRIBUTE list[] = { { CKA_ALLOWED_MECHANISMS, value, sizeof value } }, until[] = { { CKA_END_DATE, value, sizeof value } };
        struct blob blob;

        NEED(wrap_try(session, how, by, named(session, "K"), &blob));
        NEED(unwrap_aes(session, how, by, &blob, NULL, 0, &back));
        CHECK(get_bool(session, back, CKA_SENSITIVE) == CK_TRUE && get_bool(session, back, CKA_WRAP_WITH_TRUSTED) == CK_TRUE);
        NEED(p11->C_GetAttributeValue(session, back, list, 1));
        CHECK(list[0].ulValueLen == sizeof gcm_only && memcmp(value, &gcm_only, sizeof gcm_only) == 0);
        NEED(p11->C_GetAttributeValue(session, back, until, 1));
        CHECK(until[0].ulValueLen == sizeof end && memcmp(value, &end, sizeof end) == 0);
        REFUSED(session, unwrap_aes(session, how, by, &blob, (CK_ATTRIBUTE[]){ A_BOOL(CKA_SENSITIVE, CK_FALSE) }, 1, &back),
                CKR_TEMPLATE_INCONSISTENT);
        REFUSED(session, unwrap_aes(session, how, by, &blob, (CK_ATTRIBUTE[]){ A_BOOL(CKA_WRAP, CK_TRUE) }, 1, &back),
                CKR_TEMPLATE_INCONSISTENT);
    }
}

CASE(A_W15_history_of_an_unwrapped_key)
{
    static const CK_ATTRIBUTE_TYPE history[] = { CKA_LOCAL, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE };

    EVERY_WRAPPING(how)
    {
        struct blob blob;
        CK_SESSION_HANDLE session = wrapped_loose(how, &blob);
        CK_OBJECT_HANDLE by = named(session, "K1"), key = 0;

        NEED(unwrap_aes(session, how, by, &blob, NULL, 0, &key));
        for (size_t i = 0; i < COUNT(history); i++) {
            CHECK(get_bool(session, key, history[i]) == CK_FALSE);
            for (int value = 0; value < 2; value++)
                REFUSED(session, unwrap_aes(session, how, by, &blob, (CK_ATTRIBUTE[]){ A_BOOL(history[i], (CK_BBOOL)value) }, 1, &key),
                        CKR_ATTRIBUTE_READ_ONLY);
        }
        CHECK(get_ulong(session, key, CKA_KEY_GEN_MECHANISM) == CK_UNAVAILABLE_INFORMATION);
        REFUSED(session, unwrap_aes(session, how, by, &blob, (CK_ATTRIBUTE[]){ A_ULONG(CKA_KEY_GEN_MECHANISM, CKM_AES_KEY_GEN) }, 1, &key),
                CKR_ATTRIBUTE_READ_ONLY);
        over(session);
    }
}

CASE(A_W16_a_value_slipped_in)
{
    EVERY_WRAPPING(how)
    {
        struct blob blob;
        CK_SESSION_HANDLE session = wrapped_loose(how, &blob);
        CK_OBJECT_HANDLE key = 0;

        REFUSED(session,
                unwrap_aes(session, how, named(session, "K1"), &blob, (CK_ATTRIBUTE[]){ A_BYTES(CKA_VALUE, value32, 32) }, 1, &key),
                CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_READ_ONLY);
        over(session);
    }
}

CASE(A_W17_a_key_unwrapped_as_something_else)
{
    static const CK_OBJECT_CLASS classes[] = { CKO_DATA, CKO_PUBLIC_KEY, CKO_CERTIFICATE };

    EVERY_WRAPPING(how)
    {
        struct blob blob;
        CK_SESSION_HANDLE session = wrapped_loose(how, &blob);
        CK_OBJECT_HANDLE key = 0;

        for (size_t i = 0; i < COUNT(classes); i++) {
            const CK_ATTRIBUTE bare[] = { A_ULONG(CKA_CLASS, classes[i]) },
                               typed[] = { bare[0], A_ULONG(CKA_KEY_TYPE, CKK_AES), A_BOOL(CKA_PRIVATE, CK_FALSE) };

            REFUSED(session, unwrap_try(session, how, named(session, "K1"), &blob, bare, 1, &key), CKR_TEMPLATE_INCONSISTENT,
                    CKR_ATTRIBUTE_VALUE_INVALID);
            REFUSED(session, unwrap_try(session, how, named(session, "K1"), &blob, typed, 3, &key), CKR_TEMPLATE_INCONSISTENT,
                    CKR_ATTRIBUTE_VALUE_INVALID);
        }
        over(session);
    }
}

CASE(A_W18_empty_and_giant_blobs)
{
    static const CK_ULONG lengths[] = { 0, 1, 7, 1UL << 31, CK_UNAVAILABLE_INFORMATION, 8193 };
    enum { READABLE = 8192 };
    long page = sysconf(_SC_PAGESIZE);
    CK_BYTE *area = mmap(NULL, (size_t)(READABLE + page), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), iv[12] = { 1 };
    CK_ATTRIBUTE aes[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES) };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = 0, by;

    if (area == MAP_FAILED || mprotect(area + READABLE, (size_t)page, PROT_NONE)) die_at(__FILE__, __LINE__, "mmap");
    make(session, "K", "u");
    session = settle(session);
    by = named(session, "K");
    EVERY_WRAPPING(how)
    {
        struct t_gcm_wrap gcm = { iv, 12, 0, T_NO_GENERATE, NULL, 0, 128 };
        CK_MECHANISM mech = { how->type, how->is_authenticated ? &gcm : NULL, how->is_authenticated ? sizeof gcm : 0 };

        for (size_t i = 0; i < COUNT(lengths); i++) {
            if (how->is_authenticated)
                REFUSED(session, unwrap_authenticated(session, &mech, by, area, lengths[i], aes, 2, &key), CKR_WRAPPED_KEY_LEN_RANGE);
            else
                REFUSED(session, p11->C_UnwrapKey(session, &mech, by, area, lengths[i], aes, 2, &key), CKR_WRAPPED_KEY_LEN_RANGE);
        }
    }
    munmap(area, (size_t)(READABLE + page));
}

CASE(A_W19_a_wrap_template)
{
    CK_ATTRIBUTE inner[] = { A_TEXT(CKA_LABEL, "backup") };
    const CK_ATTRIBUTE template[] = { A_BYTES(CKA_WRAP_TEMPLATE, inner, sizeof inner) };
    CK_SESSION_HANDLE session = user_session();

    make_with(session, "K1", "w", template, 1);
    make_with(session, "K2", "w", template, 1);
    session = settle(session);
    EVERY_WRAPPING(how)
    {
        CK_OBJECT_HANDLE by = named(session, how->is_authenticated ? "K2" : "K1"), key = loose_key(session);
        struct blob blob;

        REFUSED(session, wrap_try(session, how, by, key, &blob), CKR_KEY_HANDLE_INVALID);
        NEED(set_bytes(session, key, CKA_LABEL, "backup ", 7));
        REFUSED(session, wrap_try(session, how, by, key, &blob), CKR_KEY_HANDLE_INVALID);
        NEED(set_bytes(session, key, CKA_LABEL, "backup", 6));
        EXPECT(wrap_try(session, how, by, key, &blob), CKR_OK);
        NEED(p11->C_DestroyObject(session, key));
    }
    REFUSED(session, set_bytes(session, named(session, "K1"), CKA_WRAP_TEMPLATE, NULL, 0), CKR_ATTRIBUTE_READ_ONLY);
}

CASE(A_W20_hierarchy_keys_do_not_leave)
{
    CK_ATTRIBUTE all[] = { { CKA_SENSITIVE, &yes, 1 }, { CKA_WRAP, &no, 1 },   { CKA_UNWRAP, &no, 1 },
                           { CKA_SIGN, &no, 1 },       { CKA_VERIFY, &no, 1 }, { CKA_DERIVE, &no, 1 } };
    const CK_ATTRIBUTE whole[] = { A_BYTES(CKA_UNWRAP_TEMPLATE, all, sizeof all) };
    CK_SESSION_HANDLE session = user_session();
    struct ladder ladder;

    make_with(session, "trusted", "wuSP", whole, 1);
    trust(session, "trusted");
    make(session, "own", "wuS");
    ladder_grow(session);
    session = settle(session);
    ladder = ladder_find(session);
    {
        const CK_OBJECT_HANDLE keys[] = { ladder.master, ladder.dek, ladder.fek, ladder.rek };
        CK_ATTRIBUTE wraps[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, "users.wrapper"), A_BOOL(CKA_WRAP, CK_TRUE) };
        CK_OBJECT_HANDLE by[] = { named(session, "trusted"), named(session, "own"), 0 };

        /* A ladder key that wraps has a subkey for it, and the others' bytes are no more its own. */
        NEED(hkdf_try(session, ladder.dek, NULL, 0, "wrapper", 7, wraps, 3, &by[2]));

        for (size_t i = 0; i < COUNT(keys); i++) {
            CK_MECHANISM direct = { CKM_KL_ROOT_WRAP, NULL, 0 };
            CK_BYTE out[256];
            CK_ULONG len = sizeof out;

            for (size_t j = 0; j < COUNT(by); j++) does_not_leave(session, by[j], keys[i], CKR_KEY_UNEXTRACTABLE);
            REFUSED(session, p11->C_WrapKey(session, &direct, ladder.master, keys[i], out, &len), CKR_KEY_UNEXTRACTABLE,
                    CKR_MECHANISM_INVALID);
        }
    }
}

const struct test wrap_cases[] = {
    T(A_W1_wrap_and_decrypt_on_one_key, OURS),
    T(A_W2_a_role_acquired_later, OURS),
    T(A_W3_a_role_dropped_and_another_acquired, OURS),
    T(A_W4_unwrap_and_encrypt_on_one_key, OURS),
    T(A_W5_an_unextractable_key, OURS),
    T(A_W6_wrap_with_trusted, OURS),
    T(A_W7_self_made_trust, OURS),
    T(A_W8_an_unwrap_template_overridden, OURS),
    T(A_W9_an_unwrap_template_removed, OURS),
    T(A_W10_a_key_wraps_itself, OURS),
    T(A_W11_wrapping_that_authenticates_nothing, OURS),
    T(A_W12_halves_of_two_blobs_put_together, OURS),
    T(A_W13_no_padding_oracle, OURS),
    T(A_W14_attributes_stripped, OURS),
    T(A_W15_history_of_an_unwrapped_key, OURS),
    T(A_W16_a_value_slipped_in, OURS),
    T(A_W17_a_key_unwrapped_as_something_else, OURS),
    T(A_W18_empty_and_giant_blobs, OURS),
    T(A_W19_a_wrap_template, OURS),
    T(A_W20_hierarchy_keys_do_not_leave, OURS),
    { NULL, NULL, 0 },
};
