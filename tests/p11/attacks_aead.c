/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* G: authenticated encryption. */
#include "attacks.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const CK_BYTE zero12[12] = { 0 };

static CK_RV gcm_open(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, const CK_BYTE *iv, const CK_BYTE *data, CK_ULONG len, CK_BYTE *out,
                      CK_ULONG *out_len)
{
    CK_RV rv = gcm_init(session, false, key, iv, 12, NULL, 0, 128);

    return rv == CKR_OK ? p11->C_Decrypt(session, (CK_BYTE *)(uintptr_t)data, len, out, out_len) : rv;
}

CASE(A_G1_a_nonce_repeated_by_the_caller)
{
    CK_SESSION_HANDLE session = user_session();
    CK_BYTE iv[12] = "repeated iv.", made[2][12] = { { 0 }, { 0 } }, out[64];
    CK_ULONG len = sizeof out;
    CK_OBJECT_HANDLE key;

    make(session, "K", "edS");
    session = settle(session);
    key = named(session, "K");
    if (way->strict) {
        REFUSED(session, gcm_init(session, true, key, iv, 12, NULL, 0, 128), CKR_MECHANISM_PARAM_INVALID);
        CHECK(memcmp(iv, "repeated iv.", 12) == 0);
        for (int i = 0; i < 2; i++) {
            len = sizeof out;
            NEED(gcm_seal(session, key, made[i], "x", 1, out, &len));
            CHECK(memcmp(made[i], zero12, 12) != 0);
        }
        CHECK(memcmp(made[0], made[1], 12) != 0);
        /* What the token made is no more the caller's to use again. */
        REFUSED(session, gcm_init(session, true, key, made[0], 12, NULL, 0, 128), CKR_MECHANISM_PARAM_INVALID);
        return;
    }
    NEED(gcm_init(session, true, key, iv, 12, NULL, 0, 128));
    NEED(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "one", 3, out, &len));
    REFUSED(session, gcm_init(session, true, key, iv, 12, NULL, 0, 128), CKR_MECHANISM_PARAM_INVALID);
    REFUSED(session, gcm_init(session, true, key, iv, 12, "aad", 3, 96), CKR_MECHANISM_PARAM_INVALID);
}

/* Every way to encrypt under the key, and what it answers. */
static void try_all_ways(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, bool is_ladder, CK_RV want)
{
    CK_BYTE iv[12], tag[16] = { 0 }, out[128];
    struct t_gcm_message message = { iv, 12, 0, T_GENERATE, tag, 128 };
    CK_ULONG len = sizeof out;

    EXPECT(gcm_seal(session, key, iv, "text", 4, out, &len), want);
    fresh_iv(iv);
    NEED(gcm_init(session, true, key, iv, 12, NULL, 0, 128));
    len = sizeof out;
    EXPECT(p11->C_EncryptUpdate(session, (CK_BYTE *)(uintptr_t) "text", 4, out, &len), want);
    if (want == CKR_OK) NEED(p11->C_EncryptFinal(session, out, &(CK_ULONG){ sizeof out }));
    /* Under `strict` a free key that GCM has used makes no envelopes. */
    len = sizeof out;
    if (is_ladder || !way->strict) EXPECT(envelope(session, true, key, NULL, "text", 4, out, &len), want);
    NEED(message_init(session, true, key));
    len = sizeof out;
    EXPECT(message_seal(session, &message, "text", 4, out, &len), want);
    NEED(message_final(session, true));
}

/* So near the end that one encryption is left; a session key, which ends with its process, has none to come near. */
static void use_up(const char *label, bool is_stored)
{
    const unsigned long long limit = 1ULL << 32;

    if (is_stored) CHECK(counted(label, limit - 1 - counted(label, 0)) == limit - 1);
}

CASE(A_G2_the_nonce_limit)
{
    CK_SESSION_HANDLE session = user_session();
    CK_RV end = way->token ? CKR_KEY_FUNCTION_NOT_PERMITTED : CKR_OK;
    CK_BYTE iv[12], sealed[64], wrapped[64], out[64], words[256];
    CK_ULONG len = sizeof sealed, out_len;
    CK_OBJECT_HANDLE key, users;

    make(session, "K", "edS");
    make(session, "L", "edS");
    ladder_grow(session);
    session = settle(session);
    key = named(session, "K");
    NEED(gcm_seal(session, key, iv, "kept", 4, sealed, &len));
    if (!way->token) {
        for (int i = 0; i < 200; i++) NEED(gcm_seal(session, key, (CK_BYTE[12]){ 0 }, "kept", 4, wrapped, &(CK_ULONG){ sizeof wrapped }));
    } else {
        /* What the process holds in reserve goes back first, so that one is left and no more. */
        stop();
    }
    use_up("K", way->token);
    use_up("users", true);
    if (way->token) session = user_session();
    key = named(session, "K");
    users = named(session, "users");
    for (int login_again = 0; login_again < 2; login_again++) {
        if (login_again == 0) {
            out_len = sizeof wrapped;
            NEED(gcm_seal(session, key, (CK_BYTE[12]){ 0 }, "last", 4, wrapped, &out_len));
            out_len = sizeof wrapped;
            NEED(gcm_seal(session, users, (CK_BYTE[12]){ 0 }, "last", 4, wrapped, &out_len));
        }
        try_all_ways(session, key, false, end);
        try_all_ways(session, users, true, CKR_KEY_FUNCTION_NOT_PERMITTED);
        out_len = sizeof out;
        EXPECT(gcm_seal(session, users, (CK_BYTE[12]){ 0 }, "more", 4, out, &out_len), CKR_KEY_FUNCTION_NOT_PERMITTED);
        CHECK(error_words(words, sizeof words) > 0 && memmem(words, sizeof words, "rotate", 6) != NULL);
        /* What there is still opens, what is derived from it still encrypts, and so do other keys. */
        out_len = sizeof out;
        EXPECT(gcm_open(session, key, iv, sealed, len, out, &out_len), CKR_OK);
        CHECK(out_len == 4 && memcmp(out, "kept", 4) == 0);
        try_all_ways(session, record_key(session, users, "4711", 4), true, CKR_OK);
        try_all_ways(session, named(session, "L"), false, CKR_OK);
        if (!way->token) break;
        NEED(p11->C_Logout(session));
        NEED(login(session, CKU_USER, USER_PIN));
        key = named(session, "K");
        users = named(session, "users");
    }
    stop();
    if (way->token) CHECK(counted("K", 0) == 1ULL << 32);
    CHECK(counted("users", 0) == 1ULL << 32);
}

CASE(A_G2_wrapping_counts_too)
{
    static const struct wrapping how = { "AES-GCM", CKM_AES_GCM, true };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key;
    struct blob blob, last;

    make(session, "W", "wu");
    session = settle(session);
    key = loose_key(session);
    NEED(wrap_try(session, &how, named(session, "W"), key, &blob));
    if (way->token) {
        stop();
        CHECK(counted("W", 0) == 1);
        use_up("W", true);
        session = user_session();
        key = loose_key(session);
        NEED(wrap_try(session, &how, named(session, "W"), key, &blob));
        last = blob;
        REFUSED(session, wrap_try(session, &how, named(session, "W"), key, &blob), CKR_KEY_FUNCTION_NOT_PERMITTED);
        EXPECT(unwrap_aes(session, &how, named(session, "W"), &last, NULL, 0, &(CK_OBJECT_HANDLE){ 0 }), CKR_OK);
    } else {
        for (int i = 0; i < 200; i++) NEED(wrap_try(session, &how, named(session, "W"), key, &blob));
    }
}

CASE(A_G3_short_tags_at_encryption)
{
    static const CK_ULONG bad[] = { 0, 8, 32, 64, 95, 127, 136, (1UL << 32) + 128 };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE keys[2];
    CK_BYTE iv[12];

    make(session, "K", "edS");
    ladder_grow(session);
    session = settle(session);
    keys[0] = named(session, "K");
    keys[1] = named(session, "users.email");
    for (size_t i = 0; i < COUNT(bad); i++) {
        for (size_t k = 0; k < 2; k++) {
            fresh_iv(iv);
            REFUSED(session, gcm_init(session, true, keys[k], iv, 12, NULL, 0, bad[i]), CKR_MECHANISM_PARAM_INVALID);
            REFUSED(session, gcm_init(session, false, keys[k], iv, 12, NULL, 0, bad[i]), CKR_MECHANISM_PARAM_INVALID);
        }
    }
}

CASE(A_G4_bits_against_bytes)
{
    static const CK_ULONG bits[] = { 0, 64, 96, 97, CK_UNAVAILABLE_INFORMATION };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key;

    make(session, "K", "edS");
    session = settle(session);
    key = named(session, "K");
    for (size_t i = 0; i < COUNT(bits); i++) {
        CK_BYTE iv[12], sealed[64], out[64];
        struct t_gcm gcm = { iv, 12, bits[i], NULL, 0, 128 };
        CK_MECHANISM mech = { CKM_AES_GCM, &gcm, sizeof gcm };
        CK_ULONG len = sizeof sealed, out_len = sizeof out;

        fresh_iv(iv);
        NEED(p11->C_EncryptInit(session, &mech, key));
        NEED(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "hello", 5, sealed, &len));
        CHECK(len == 21);
        /* Opened with the plain 96 bits it must be what was sealed, and the other way round. */
        EXPECT(gcm_open(session, key, iv, sealed, len, out, &out_len), CKR_OK);
        CHECK(out_len == 5 && memcmp(out, "hello", 5) == 0);
        len = sizeof sealed;
        NEED(gcm_seal(session, key, iv, "hello", 5, sealed, &len));
        out_len = sizeof out;
        NEED(p11->C_DecryptInit(session, &mech, key));
        EXPECT(p11->C_Decrypt(session, sealed, len, out, &out_len), CKR_OK);
    }
}

/* ---- what is authenticated ---- */

/* Nothing of the plaintext came out. */
static void untouched(const CK_BYTE *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (out[i] != 0x5a && out[i] != 0) die_at(__FILE__, __LINE__, "byte %zu of the output was written", i);
}

CASE(A_G5_associated_data)
{
    static const char *const others[] = { "users.email/4712", "", NULL, "users.email/47111", "users.email/471", "\0users.email/4711" };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key;
    CK_BYTE sealed[80], moved[96], out[64];
    CK_ULONG out_len;
    size_t len;

    make(session, "K", "edS");
    session = settle(session);
    key = named(session, "K");
    len = seal(session, key, "a plaintext secret", 18, "users.email/4711", sealed);
    for (size_t i = 0; i < COUNT(others); i++) {
        memset(out, 0x5a, sizeof out);
        out_len = sizeof out;
        REFUSED(session, unseal(session, key, sealed, len, others[i], out, &out_len), CKR_ENCRYPTED_DATA_INVALID, CKR_AEAD_DECRYPT_FAILED);
        untouched(out, sizeof out);
    }
    memcpy(moved, sealed, 12);
    moved[12] = '1';
    memcpy(moved + 13, sealed + 12, len - 12);
    memset(out, 0x5a, sizeof out);
    out_len = sizeof out;
    REFUSED(session, unseal(session, key, moved, len + 1, "users.email/471", out, &out_len), CKR_ENCRYPTED_DATA_INVALID,
            CKR_AEAD_DECRYPT_FAILED);
    untouched(out, sizeof out);
    out_len = sizeof out;
    EXPECT(unseal(session, key, sealed, len, "users.email/4711", out, &out_len), CKR_OK);
}

/* Decrypts in steps; returns the last answer. No byte may have come out before. */
static CK_RV in_steps(CK_SESSION_HANDLE session, const CK_BYTE *sealed, CK_ULONG len, CK_ULONG step, CK_BYTE *out)
{
    CK_ULONG got = len;

    memset(out, 0x5a, len);
    for (CK_ULONG at = 0; at < len; at += step) {
        got = len;
        NEED(p11->C_DecryptUpdate(session, (CK_BYTE *)(uintptr_t)sealed + at, len - at < step ? len - at : step, out, &got));
        CHECK(got == 0);
    }
    for (CK_ULONG i = 0; i < len; i++)
        if (out[i] != 0x5a) die_at(__FILE__, __LINE__, "byte %lu came out before the tag was checked", i);
    got = len;
    return p11->C_DecryptFinal(session, out, &got);
}

static void more_than_it_holds(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
    enum { MIB = 1 << 20 };
    CK_BYTE *part = calloc(1, MIB), out[16];
    CK_ULONG got;
    CK_RV rv = CKR_OK;
    int i = 0;

    NEED(gcm_init(session, false, key, (const CK_BYTE *)"some iv, any", 12, NULL, 0, 128));
    for (; i < 300 && rv == CKR_OK; i++) {
        got = 0;
        rv = p11->C_DecryptUpdate(session, part, MIB, out, &got);
    }
    EXPECT(rv, CKR_DATA_LEN_RANGE);
    CHECK(i > 32 && i < 130);
    EXPECT(p11->C_DecryptUpdate(session, part, 1, out, &got), CKR_OPERATION_NOT_INITIALIZED);
    free(part);
}

CASE(A_G6_multi_part_release)
{
    static const CK_ULONG steps[] = { 1, 65536 };
    enum { PLAIN = 150000 };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key;
    CK_BYTE *plain = malloc(PLAIN), *sealed = malloc(PLAIN + 16), *out = malloc(PLAIN + 16), iv[12];
    CK_ULONG len = PLAIN + 16;

    memset(plain, 0x77, PLAIN);
    make(session, "K", "edS");
    session = settle(session);
    key = named(session, "K");
    NEED(gcm_seal(session, key, iv, plain, PLAIN, sealed, &len));
    for (size_t s = 0; s < COUNT(steps); s++) {
        NEED(gcm_init(session, false, key, iv, 12, NULL, 0, 128));
        EXPECT(in_steps(session, sealed, len, steps[s], out), CKR_OK);
        CHECK(memcmp(out, plain, PLAIN) == 0);
        sealed[len - 1] ^= 1;
        NEED(gcm_init(session, false, key, iv, 12, NULL, 0, 128));
        EXPECT(in_steps(session, sealed, len, steps[s], out), CKR_ENCRYPTED_DATA_INVALID, CKR_AEAD_DECRYPT_FAILED);
        untouched(out, PLAIN);
        sealed[len - 1] ^= 1;
    }
    more_than_it_holds(session, key);
    free(plain);
    free(sealed);
    free(out);
}

/* ---- G7: one ciphertext for two keys ---- */

struct element {
    uint64_t high, low; /* the first bit of the block is the highest of `high` */
};

static struct element load(const CK_BYTE b[16])
{
    struct element e = { 0, 0 };

    for (int i = 0; i < 8; i++) {
        e.high = e.high << 8 | b[i];
        e.low = e.low << 8 | b[8 + i];
    }
    return e;
}

static void store(struct element e, CK_BYTE b[16])
{
    for (int i = 7; i >= 0; i--) {
        b[i] = (CK_BYTE)e.high;
        b[8 + i] = (CK_BYTE)e.low;
        e.high >>= 8;
        e.low >>= 8;
    }
}

static struct element add(struct element a, struct element b)
{
    return (struct element){ a.high ^ b.high, a.low ^ b.low };
}

/* In GF(2^128) as GCM has it. */
static struct element multiply(struct element a, struct element b)
{
    struct element sum = { 0, 0 };

    for (int i = 0; i < 128; i++) {
        bool carry = b.low & 1;

        if ((i < 64 ? a.high >> (63 - i) : a.low >> (127 - i)) & 1) sum = add(sum, b);
        b.low = b.low >> 1 | b.high << 63;
        b.high = b.high >> 1 ^ (carry ? 0xe100000000000000ULL : 0);
    }
    return sum;
}

/* a^(2^128 - 2), which is its inverse. */
static struct element invert(struct element a)
{
    struct element square = a, product = { 0x8000000000000000ULL, 0 };

    for (int i = 1; i < 128; i++) {
        square = multiply(square, square);
        product = multiply(product, square);
    }
    return product;
}

struct half {
    CK_BYTE key[32];
    struct element h, mask; /* the hash key; E(J0) */
};

static void prepare_half(struct half *half, const CK_BYTE iv[12])
{
    CK_BYTE block[16] = { 0 }, out[16];

    aes_block(half->key, block, out);
    half->h = load(out);
    memcpy(block, iv, 12);
    block[15] = 1;
    aes_block(half->key, block, out);
    half->mask = load(out);
}

/* GHASH of padded data; `last` is the power of the hash key that the block `at` of the ciphertext is multiplied by. */
static struct element ghash(struct element h, const CK_BYTE *aad, size_t aad_len, const CK_BYTE *text, size_t blocks)
{
    struct element sum = { 0, 0 };
    CK_BYTE block[16];

    for (size_t at = 0; at < aad_len; at += 16) {
        memset(block, 0, sizeof block);
        memcpy(block, aad + at, aad_len - at < 16 ? aad_len - at : 16);
        sum = multiply(add(sum, load(block)), h);
    }
    for (size_t i = 0; i < blocks; i++) sum = multiply(add(sum, load(text + 16 * i)), h);
    return multiply(add(sum, (struct element){ aad_len * 8, blocks * 128 }), h);
}

/* Chooses the last of `blocks` blocks of text so that one tag is right under both keys; writes the tag behind it. */
static void craft(struct half halves[2], const CK_BYTE iv[12], const CK_BYTE *aad, size_t aad_len, CK_BYTE *text, size_t blocks)
{
    struct element tags[2], powers[2], choice;

    memset(text + 16 * (blocks - 1), 0, 16);
    for (int k = 0; k < 2; k++) {
        prepare_half(&halves[k], iv);
        tags[k] = add(ghash(halves[k].h, aad, aad_len, text, blocks), halves[k].mask);
        powers[k] = multiply(halves[k].h, halves[k].h);
    }
    choice = multiply(add(tags[0], tags[1]), invert(add(powers[0], powers[1])));
    store(choice, text + 16 * (blocks - 1));
    store(add(tags[0], multiply(choice, powers[0])), text + 16 * blocks);
}

/* What envelopes under a key whose value is known are sealed with: the token's own HKDF says it. */
static void envelope_subkey(CK_SESSION_HANDLE session, const CK_BYTE value[32], CK_BYTE subkey[32])
{
    CK_BYTE info[24] = "keyladder/1/api/";
    struct t_hkdf hkdf = { CK_FALSE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, info, sizeof info };
    CK_MECHANISM mech = { CKM_HKDF_DERIVE, &hkdf, sizeof hkdf };
    CK_ATTRIBUTE child[] = { A_ULONG(CKA_KEY_TYPE, CKK_GENERIC_SECRET), A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_SENSITIVE, CK_FALSE),
                             A_BOOL(CKA_EXTRACTABLE, CK_TRUE) };
    CK_OBJECT_HANDLE base = 0, key = 0;
    CK_ULONG len = 32;

    for (int i = 0; i < 8; i++) info[16 + i] = (CK_BYTE)(CKM_KL_ENVELOPE >> (56 - 8 * i));
    NEED(import_try(session, CKK_GENERIC_SECRET, value, 32, "DX", &base));
    NEED(p11->C_DeriveKey(session, &mech, base, child, COUNT(child), &key));
    NEED(read_value(session, key, subkey, &len));
}

CASE(A_G7_key_commitment)
{
    CK_SESSION_HANDLE session = user_session();
    struct half halves[2] = { 0 };
    CK_OBJECT_HANDLE keys[2];
    CK_BYTE iv[12] = "one IV, two.", text[64] = "a block of both keys", out[128], whole[128];
    CK_ULONG len;

    /* Plain GCM: the ciphertext is real, and opens under two keys that somebody chose. */
    for (int k = 0; k < 2; k++) {
        memset(halves[k].key, 0x11 * (k + 1), 31); /* the last byte, which is zero, makes it no constant */
        NEED(import_try(session, CKK_AES, halves[k].key, 32, "edS", &keys[k]));
    }
    craft(halves, iv, NULL, 0, text, 3);
    for (int k = 0; k < 2; k++) {
        len = sizeof out;
        EXPECT(gcm_open(session, keys[k], iv, text, 64, out, &len), CKR_OK);
        /* Nobody can choose the key of an envelope. */
        len = sizeof out;
        REFUSED(session, envelope(session, false, keys[k], NULL, text, 64, out, &len), CKR_KEY_FUNCTION_NOT_PERMITTED);
    }
    /* Envelopes of two keys that are generated and known: one body, right under both, with the header of each in turn. */
    for (int k = 0; k < 2; k++) {
        CK_BYTE value[32];

        keys[k] = loose_key(session);
        len = sizeof value;
        NEED(read_value(session, keys[k], value, &len));
        envelope_subkey(session, value, halves[k].key);
    }
    for (int k = 0; k < 2; k++) {
        len = sizeof whole;
        NEED(envelope(session, true, keys[k], NULL, "0123456789abcdef0123456789abcdef0123456789abcdef", 48, whole, &len));
        CHECK(len == 20 + 12 + 48 + 16);
        memcpy(whole + 20, iv, 12);
        craft(halves, iv, whole, 32, whole + 32, 3);
        len = sizeof out;
        EXPECT(envelope(session, false, keys[k], NULL, whole, 96, out, &len), CKR_OK);
        len = sizeof out;
        REFUSED(session, envelope(session, false, keys[1 - k], NULL, whole, 96, out, &len), CKR_ENCRYPTED_DATA_INVALID);
    }
}

CASE(A_G8_version_confusion)
{
    CK_SESSION_HANDLE session = user_session();
    struct ladder ladder;

    make(session, "K", "edS");
    ladder_grow(session);
    session = settle(session);
    ladder = ladder_find(session);
    {
        const CK_OBJECT_HANDLE keys[] = { ladder.dek, ladder.fek, ladder.rek, named(session, "K") };
        CK_BYTE sealed[4][100], out[100], edited[100];
        CK_ULONG len = 0, out_len;

        for (size_t k = 0; k < COUNT(keys); k++) {
            len = sizeof sealed[k];
            NEED(envelope(session, true, keys[k], "aad", "value", 5, sealed[k], &len));
        }
        for (size_t k = 0; k < COUNT(keys); k++) {
            /* Magic, format, algorithm, every byte of the id. */
            for (size_t at = 0; at < 20; at++) {
                memcpy(edited, sealed[k], len);
                edited[at] ^= (CK_BYTE)(at + 1);
                out_len = sizeof out;
                REFUSED(session, envelope(session, false, keys[k], "aad", edited, len, out, &out_len), CKR_ENCRYPTED_DATA_INVALID);
            }
            /* Another's id, nobody's, and none. */
            for (size_t other = 0; other < COUNT(keys) + 2; other++) {
                memcpy(edited, sealed[k], len);
                if (other < COUNT(keys))
                    memcpy(edited + 4, sealed[other] + 4, 16);
                else
                    memset(edited + 4, other == COUNT(keys) ? 0 : 0x99, 16);
                if (memcmp(edited, sealed[k], len) == 0) continue;
                out_len = sizeof out;
                REFUSED(session, envelope(session, false, keys[k], "aad", edited, len, out, &out_len), CKR_ENCRYPTED_DATA_INVALID);
            }
            out_len = sizeof out;
            EXPECT(envelope(session, false, keys[k], "aad", sealed[k], len, out, &out_len), CKR_OK);
        }
    }
}

CASE(A_G9_the_wrong_algorithm_for_the_key)
{
    CK_BYTE iv[12];
    struct t_chacha param = { iv, 12, NULL, 0 };
    CK_MECHANISM chacha = { CKM_CHACHA20_POLY1305, &param, sizeof param };
    CK_SESSION_HANDLE session = user_session();

    make(session, "aes", "edS");
    NEED(make_by(CKM_CHACHA20_KEY_GEN, session, "chacha", "edS", NULL, 0));
    session = settle(session);
    fresh_iv(iv);
    REFUSED(session, p11->C_EncryptInit(session, &chacha, named(session, "aes")), CKR_KEY_TYPE_INCONSISTENT);
    REFUSED(session, p11->C_DecryptInit(session, &chacha, named(session, "aes")), CKR_KEY_TYPE_INCONSISTENT);
    REFUSED(session, gcm_init(session, true, named(session, "chacha"), iv, 12, NULL, 0, 128), CKR_KEY_TYPE_INCONSISTENT);
    REFUSED(session, gcm_init(session, false, named(session, "chacha"), iv, 12, NULL, 0, 128), CKR_KEY_TYPE_INCONSISTENT);
    EXPECT(p11->C_EncryptInit(session, &chacha, named(session, "chacha")), CKR_OK);
}

CASE(A_G10_fork_in_mid_operation)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key;
    CK_BYTE iv[12], out[64], plain[64];
    CK_ULONG len = sizeof out, plain_len = sizeof plain;
    pid_t pid;
    int status = 0;

    make(session, "K", "edS");
    session = settle(session);
    key = named(session, "K");
    fresh_iv(iv);
    NEED(gcm_init(session, true, key, iv, 12, NULL, 0, 128));
    pid = fork();
    if (pid == 0) {
        EXPECT(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "child", 5, out, &len), CKR_CRYPTOKI_NOT_INITIALIZED);
        fflush(stdout);
        _exit(failures != 0);
    }
    waitpid(pid, &status, 0);
    CHECK(status == 0);
    NEED(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "parent", 6, out, &len));
    EXPECT(gcm_open(session, key, iv, out, len, plain, &plain_len), CKR_OK);
}

CASE(A_G11_length_limits)
{
    static const CK_ULONG lengths[] = {
        (1UL << 36) - 31, (1UL << 36) - 16, 1UL << 36, 1UL << 40, 1UL << 63, CK_UNAVAILABLE_INFORMATION - 20, CK_UNAVAILABLE_INFORMATION
    };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key;
    CK_BYTE byte = 0, iv[12];
    CK_ULONG len;

    make(session, "K", "edS");
    session = settle(session);
    key = named(session, "K");
    for (size_t i = 0; i < COUNT(lengths); i++) {
        len = 0;
        fresh_iv(iv);
        NEED(gcm_init(session, true, key, iv, 12, NULL, 0, 128));
        REFUSED(session, p11->C_Encrypt(session, &byte, lengths[i], NULL, &len), CKR_DATA_LEN_RANGE);
    }
    fresh_iv(iv);
    NEED(gcm_init(session, true, key, iv, 12, NULL, 0, 128));
    len = 0;
    EXPECT(p11->C_Encrypt(session, &byte, (1UL << 36) - 32, NULL, &len), CKR_OK);
    CHECK(len == (1UL << 36) - 16);
}

CASE(A_G12_in_place_and_overlapping_buffers)
{
    enum { PLAIN = 1000 };
    static CK_BYTE area[PLAIN + 64], kept[PLAIN + 16];
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key;
    CK_BYTE iv[12], plain[PLAIN];

    make(session, "K", "edS");
    session = settle(session);
    key = named(session, "K");
    memset(plain, 0x77, PLAIN);
    for (int shift = -1; shift <= 1; shift++) {
        CK_BYTE *in = area + 16, *out = in + shift;
        CK_ULONG len = PLAIN + 16, back = PLAIN + 16;
        CK_RV rv;

        memcpy(in, plain, PLAIN);
        rv = gcm_seal(session, key, iv, in, PLAIN, out, &len);
        EXPECT(rv, CKR_OK, shift ? CKR_ARGUMENTS_BAD : CKR_OK);
        if (rv != CKR_OK) len = PLAIN + 16;
        if (rv != CKR_OK) NEED(gcm_seal(session, key, iv, plain, PLAIN, out, &len));
        memcpy(kept, out, len);
        /* The other way, from `out` to one byte beside it. */
        rv = gcm_open(session, key, iv, out, len, in, &back);
        EXPECT(rv, CKR_OK, shift ? CKR_ARGUMENTS_BAD : CKR_OK);
        if (rv == CKR_OK) CHECK(back == PLAIN && memcmp(in, plain, PLAIN) == 0);
        /* On a bad tag no plaintext takes the ciphertext's place. */
        memcpy(out, kept, len);
        out[len - 1] ^= 1;
        back = PLAIN + 16;
        rv = gcm_open(session, key, iv, out, len, in, &back);
        EXPECT(rv, CKR_ENCRYPTED_DATA_INVALID, CKR_AEAD_DECRYPT_FAILED, shift ? CKR_ARGUMENTS_BAD : CKR_ENCRYPTED_DATA_INVALID);
        if (memmem(area, sizeof area, plain, 16)) fail_at(__FILE__, __LINE__, "plaintext came out under a bad tag");
    }
}

CASE(A_G13_an_empty_plaintext)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key;
    CK_BYTE iv[12], tag[32], out[16];
    CK_ULONG len = sizeof tag, out_len = sizeof out;

    make(session, "K", "edS");
    session = settle(session);
    key = named(session, "K");
    NEED(gcm_seal(session, key, iv, NULL, 0, tag, &len));
    CHECK(len == 16);
    EXPECT(gcm_open(session, key, iv, tag, 16, out, &out_len), CKR_OK);
    CHECK(out_len == 0);
    for (int bit = 0; bit < 128; bit++) {
        tag[bit / 8] ^= (CK_BYTE)(1 << bit % 8);
        out_len = sizeof out;
        REFUSED(session, gcm_open(session, key, iv, tag, 16, out, &out_len), CKR_ENCRYPTED_DATA_INVALID, CKR_AEAD_DECRYPT_FAILED);
        tag[bit / 8] ^= (CK_BYTE)(1 << bit % 8);
    }
}

/* ---- nonces that the token makes ---- */

enum { THREADS = 8, PER_THREAD = 20000, PROCESSES = 4, PER_PROCESS = 10000 };

struct campaign {
    CK_BYTE (*ivs)[12];
    size_t count;
};

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, 12);
}

static void all_unique(CK_BYTE (*ivs)[12], size_t count)
{
    qsort(ivs, count, 12, compare);
    for (size_t i = 0; i < count; i++) {
        if (memcmp(ivs[i], zero12, 12) == 0) die_at(__FILE__, __LINE__, "an IV was not filled in");
        if (i && memcmp(ivs[i - 1], ivs[i], 12) == 0) die_at(__FILE__, __LINE__, "an IV came twice");
    }
}

/* Of the key that the way has: a field's on the token, the same record's in every session and process. */
static CK_OBJECT_HANDLE campaign_key(CK_SESSION_HANDLE session)
{
    CK_OBJECT_HANDLE fek = named(session, "users.email");

    return way->token ? fek : record_key(session, fek, "4711", 4);
}

static void encrypt_many(CK_SESSION_HANDLE session, struct campaign *mine)
{
    CK_OBJECT_HANDLE key = campaign_key(session);
    CK_BYTE out[64];

    for (size_t i = 0; i < mine->count; i++) {
        CK_ULONG len = sizeof out;

        memset(mine->ivs[i], 0, 12);
        NEED(gcm_init(session, true, key, mine->ivs[i], 12, NULL, 0, 128));
        NEED(p11->C_Encrypt(session, out, 16, out, &len));
    }
}

static void *campaign_thread(void *arg)
{
    encrypt_many(open_session(0), arg);
    return NULL;
}

/* Message API and envelopes have nonces of their own making, on free keys as well. */
static void messages_and_envelopes(CK_SESSION_HANDLE session, CK_BYTE (*ivs)[12], size_t each)
{
    CK_OBJECT_HANDLE key = named(session, "K");
    static const CK_ULONG generators[] = { T_GENERATE, T_GENERATE_COUNTER, T_GENERATE_RANDOM };
    CK_BYTE out[100], tag[16];
    size_t n = 0;

    for (size_t g = 0; g < COUNT(generators); g++) {
        NEED(message_init(session, true, key));
        for (size_t i = 0; i < each; i++) {
            struct t_gcm_message param = { ivs[n++], 12, generators[g] == T_GENERATE_COUNTER ? 32 : 0, generators[g], tag, 128 };
            CK_ULONG len = sizeof out;

            NEED(message_seal(session, &param, "value", 5, out, &len));
        }
        NEED(message_final(session, true));
    }
    all_unique(ivs, n);
    for (n = 0; n < each; n++) {
        CK_ULONG len = sizeof out;

        NEED(envelope(session, true, named(session, "users"), NULL, "value", 5, out, &len));
        memcpy(ivs[n], out + 20, 12);
    }
    all_unique(ivs, n);
}

CASE(A_G14_nonces_under_load)
{
    enum { ALL = THREADS * PER_THREAD + PROCESSES * PER_PROCESS };
    CK_BYTE(*ivs)[12] = mmap(NULL, ALL * 12, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct campaign parts[THREADS + PROCESSES];
    pthread_t threads[THREADS];
    pid_t pids[PROCESSES];
    CK_SESSION_HANDLE session = user_session();
    size_t at = 0;

    make(session, "K", "edS");
    ladder_grow(session);
    session = settle(session);
    for (size_t i = 0; i < COUNT(parts); i++) {
        parts[i] = (struct campaign){ ivs + at, i < THREADS ? PER_THREAD : PER_PROCESS };
        at += parts[i].count;
    }
    for (size_t i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            encrypt_many(user_session(), &parts[THREADS + i]);
            _exit(failures != 0);
        }
    }
    for (size_t i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, campaign_thread, &parts[i]);
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (size_t i = 0; i < PROCESSES; i++) {
        int status = 0;

        CHECK(waitpid(pids[i], &status, 0) == pids[i] && status == 0);
    }
    all_unique(ivs, ALL);
    messages_and_envelopes(session, ivs, 2000);
    munmap(ivs, ALL * 12);
}

/* What was made before the fork is the parent's; what is made after it comes twice to nobody. */
static void fork_and_go_on(CK_SESSION_HANDLE session, CK_BYTE (*ivs)[12], size_t each)
{
    CK_BYTE iv[12] = { 0 }, out[64];
    CK_ULONG len = sizeof out;
    int status = 0;
    pid_t pid;

    NEED(gcm_init(session, true, campaign_key(session), iv, 12, NULL, 0, 128));
    pid = fork();
    if (pid == 0) {
        EXPECT(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "child", 5, out, &len), CKR_OPERATION_NOT_INITIALIZED);
        encrypt_many(session, &(struct campaign){ ivs + each, each });
        fflush(stdout);
        _exit(failures != 0);
    }
    NEED(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "parent", 6, out, &len));
    encrypt_many(session, &(struct campaign){ ivs, each });
    waitpid(pid, &status, 0);
    CHECK(status == 0);
    memcpy(ivs[2 * each], iv, 12);
    all_unique(ivs, 2 * each + 1);
}

CASE(A_G10_fork_in_mid_operation_inherited)
{
    enum { EACH = 5000 };
    CK_BYTE(*ivs)[12] = mmap(NULL, (2 * EACH + 1) * 12, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CK_SESSION_HANDLE session;

    sandbox_add("[module]\nfork = inherit\n");
    session = user_session();
    ladder_grow(session);
    session = settle(session);
    fork_and_go_on(session, ivs, EACH);
    munmap(ivs, (2 * EACH + 1) * 12);
}

CASE(A_G15_nonces_after_a_restore)
{
    enum { EACH = 10000 };
    CK_BYTE(*ivs)[12] = calloc(2 * EACH, 12);
    CK_SESSION_HANDLE session = user_session();

    ladder_grow(session);
    stop();
    shell("mkdir kept && cp -a demo.db* kept/");
    session = user_session();
    encrypt_many(session, &(struct campaign){ ivs, EACH });
    stop();
    shell("rm -f demo.db* && cp -a kept/* .");
    session = user_session();
    encrypt_many(session, &(struct campaign){ ivs + EACH, EACH });
    all_unique(ivs, 2 * EACH);
    free(ivs);
}

CASE(A_G16_the_message_interface)
{
    CK_SESSION_HANDLE session = user_session();
    CK_BYTE iv[12] = "repeated iv.", tag[16], out[64];
    struct t_gcm_message param = { iv, 12, 0, T_NO_GENERATE, tag, 128 };
    CK_ULONG len = sizeof out;
    uint64_t before;

    make(session, "K", "edS");
    session = settle(session);
    before = fingerprint(session);
    NEED(message_init(session, true, named(session, "K")));
    if (!way->strict) {
        EXPECT(message_seal(session, &param, "one", 3, out, &len), CKR_OK);
        len = sizeof out;
    }
    EXPECT(message_seal(session, &param, "two", 3, out, &len), CKR_MECHANISM_PARAM_INVALID);
    /* Nor through the single-shot interface, which has the same key. */
    p11_sym("C_MessageEncryptFinal") ? (void)message_final(session, true) : (void)0;
    REFUSED(session, gcm_init(session, true, named(session, "K"), iv, 12, NULL, 0, 128), CKR_MECHANISM_PARAM_INVALID);
    unchanged_at(__FILE__, __LINE__, session, before);
}

const struct test aead_cases[] = {
    T(A_G1_a_nonce_repeated_by_the_caller, OURS),
    T(A_G2_the_nonce_limit, OURS),
    T(A_G2_wrapping_counts_too, OURS),
    T(A_G3_short_tags_at_encryption, OURS),
    T(A_G4_bits_against_bytes, OURS),
    T(A_G5_associated_data, OURS),
    T(A_G6_multi_part_release, OURS),
    T(A_G7_key_commitment, OURS),
    T(A_G8_version_confusion, OURS),
    T(A_G9_the_wrong_algorithm_for_the_key, OURS),
    T(A_G10_fork_in_mid_operation, OURS),
    T(A_G10_fork_in_mid_operation_inherited, OURS),
    T(A_G11_length_limits, OURS),
    T(A_G12_in_place_and_overlapping_buffers, OURS),
    T(A_G13_an_empty_plaintext, OURS),
    T(A_G14_nonces_under_load, OURS | SLOW),
    T(A_G15_nonces_after_a_restore, OURS),
    T(A_G16_the_message_interface, OURS),
    { NULL, NULL, 0 },
};
