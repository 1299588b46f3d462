/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* AES without authentication: CBC, CBC with padding, CTR, and ECB, which is off. */
#include "suite.h"

static CK_BYTE data[3000], iv[16];
static struct t_ctr ctr = { 64, { 0 } };

static const struct row {
    CK_MECHANISM_TYPE type;
    void *parameter;
    CK_ULONG parameter_len;
    bool pads, is_stream;
} rows[] = {
    { CKM_AES_CBC, iv, sizeof iv, false, false },
    { CKM_AES_CBC_PAD, iv, sizeof iv, true, false },
    { CKM_AES_CTR, &ctr, sizeof ctr, false, true },
};

static CK_OBJECT_HANDLE plain_key(CK_SESSION_HANDLE session)
{
    CK_MECHANISM mech = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_VALUE_LEN, 32) };
    CK_OBJECT_HANDLE key = 0;
    uint64_t rng = 99;

    rng_fill(&rng, data, sizeof data);
    if (p11_kind != KEYLADDER) return key_make(session, "ed");
    /* The JDK asks for no more than this. */
    NEED(p11->C_GenerateKey(session, &mech, template, 2, &key));
    return key;
}

/* One counter encrypts once. */
static CK_MECHANISM fresh(const struct row *row)
{
    for (int i = 7; i >= 0 && ++ctr.block[i] == 0; i--) continue;
    return (CK_MECHANISM){ row->type, row->parameter, row->parameter_len };
}

static CK_ULONG fitting(const struct row *row, CK_ULONG len)
{
    return row->pads || row->is_stream ? len : len / 16 * 16;
}

TEST(the_modes_say_what_they_do)
{
    user_session();
    for (size_t i = 0; i < COUNT(rows); i++) {
        CK_MECHANISM_INFO info = { 0 };

        NEED(p11->C_GetMechanismInfo(slot_labelled(TOKEN_LABEL), rows[i].type, &info));
        CHECK(info.flags == (CKF_ENCRYPT | CKF_DECRYPT) && info.ulMinKeySize == 16 && info.ulMaxKeySize == 32);
    }
}

TEST(ecb_is_off)
{
    CK_SESSION_HANDLE session = user_session();
    CK_MECHANISM ecb = { CKM_AES_ECB, NULL, 0 };
    CK_MECHANISM_TYPE list[200];
    CK_ULONG count = COUNT(list);
    CK_MECHANISM_INFO info;

    EXPECT(p11->C_EncryptInit(session, &ecb, key_make(session, "edS")), CKR_MECHANISM_INVALID);
    EXPECT(p11->C_DecryptInit(session, &ecb, key_make(session, "edS")), CKR_MECHANISM_INVALID);
    EXPECT(p11->C_GetMechanismInfo(slot_labelled(TOKEN_LABEL), CKM_AES_ECB, &info), CKR_MECHANISM_INVALID);
    NEED(p11->C_GetMechanismList(slot_labelled(TOKEN_LABEL), list, &count));
    for (CK_ULONG i = 0; i < count; i++) CHECK(list[i] != CKM_AES_ECB);
}

TEST(under_compatible_ecb_is_on)
{
    CK_BYTE block[16] = "sixteen bytes!!", out[32], back[32];
    CK_MECHANISM ecb = { CKM_AES_ECB, NULL, 0 };
    CK_ULONG len = sizeof out, back_len = sizeof back;
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;

    sandbox_setting("policy = compatible");
    session = user_session();
    key = key_make(session, "edS");
    NEED(p11->C_EncryptInit(session, &ecb, key));
    NEED(p11->C_Encrypt(session, block, 16, out, &len));
    NEED(p11->C_DecryptInit(session, &ecb, key));
    NEED(p11->C_Decrypt(session, out, len, back, &back_len));
    CHECK(back_len == 16 && memcmp(back, block, 16) == 0);
    NEED(p11->C_EncryptInit(session, &ecb, key));
    EXPECT(p11->C_Encrypt(session, block, 15, out, &len), CKR_DATA_LEN_RANGE);
}

TEST(a_mode_asks_tells_and_ends)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = plain_key(session);

    for (size_t i = 0; i < COUNT(rows); i++) {
        CK_MECHANISM mech = fresh(&rows[i]);
        CK_BYTE sealed[96], out[96];
        CK_ULONG need = rows[i].pads ? 80 : 64, len = 7777, out_len;

        NEED(p11->C_EncryptInit(session, &mech, key));
        EXPECT(p11->C_EncryptInit(session, &mech, key), CKR_OPERATION_ACTIVE);
        NEED(p11->C_Encrypt(session, data, 64, NULL, &len));
        CHECK(len == need);
        len--;
        EXPECT(p11->C_Encrypt(session, data, 64, sealed, &len), CKR_BUFFER_TOO_SMALL);
        CHECK(len == need);
        NEED(p11->C_Encrypt(session, data, 64, sealed, &len));
        EXPECT(p11->C_Encrypt(session, data, 64, sealed, &len), CKR_OPERATION_NOT_INITIALIZED);
        NEED(p11->C_DecryptInit(session, &mech, key));
        NEED(p11->C_Decrypt(session, sealed, need, NULL, &out_len));
        CHECK(out_len >= 64 && out_len <= need);
        out_len = 63;
        EXPECT(p11->C_Decrypt(session, sealed, need, out, &out_len), CKR_BUFFER_TOO_SMALL);
        NEED(p11->C_Decrypt(session, sealed, need, out, &out_len));
        CHECK(out_len == 64 && memcmp(out, data, 64) == 0);
        EXPECT(p11->C_Decrypt(session, sealed, need, out, &out_len), CKR_OPERATION_NOT_INITIALIZED);
    }
}

TEST(parts_ask_tell_and_end)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = plain_key(session);

    for (size_t i = 0; i < COUNT(rows); i++) {
        CK_MECHANISM mech = fresh(&rows[i]);
        CK_BYTE sealed[96];
        CK_ULONG len = 7777, last = sizeof sealed;

        NEED(p11->C_EncryptInit(session, &mech, key));
        NEED(p11->C_EncryptUpdate(session, data, 40, NULL, &len));
        CHECK(len == (rows[i].is_stream ? 40U : 32U));
        len--;
        EXPECT(p11->C_EncryptUpdate(session, data, 40, sealed, &len), CKR_BUFFER_TOO_SMALL);
        NEED(p11->C_EncryptUpdate(session, data, 40, sealed, &len));
        EXPECT(p11->C_EncryptFinal(session, NULL, &last), rows[i].pads || rows[i].is_stream ? CKR_OK : CKR_DATA_LEN_RANGE);
        if (!rows[i].pads && !rows[i].is_stream) continue;
        CHECK(last == (rows[i].pads ? 16U : 0U));
        NEED(p11->C_EncryptFinal(session, sealed + len, &last));
        EXPECT(p11->C_EncryptUpdate(session, data, 40, sealed, &len), CKR_OPERATION_NOT_INITIALIZED);
    }
}

/* In place and not; the room for each part is exactly what was asked for. */
static CK_ULONG in_parts(CK_SESSION_HANDLE session, bool encrypts, uint64_t *rng, const CK_BYTE *in, CK_ULONG len, CK_BYTE *out)
{
    CK_RV (*update)(CK_SESSION_HANDLE, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG *) = encrypts ? p11->C_EncryptUpdate : p11->C_DecryptUpdate;
    CK_RV (*final)(CK_SESSION_HANDLE, CK_BYTE *, CK_ULONG *) = encrypts ? p11->C_EncryptFinal : p11->C_DecryptFinal;
    CK_ULONG done = 0, step, last = 32;
    CK_BYTE part[300];

    for (CK_ULONG at = 0; at < len; at += step) {
        CK_ULONG got = sizeof part;
        bool in_place = rng_next(rng) % 2;

        step = rng_next(rng) % 280;
        if (step > len - at) step = len - at;
        memcpy(part, in + at, step);
        NEED(update(session, in_place ? part : (CK_BYTE *)(uintptr_t)in + at, step, part, &got));
        memcpy(out + done, part, got);
        done += got;
    }
    NEED(final(session, out + done, &last));
    return done + last;
}

TEST(any_parts_are_the_whole_in_place_or_not)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = plain_key(session);
    static CK_BYTE whole[4000], parts[4000];
    uint64_t rng = 4712;

    for (size_t i = 0; i < COUNT(rows); i++) {
        for (int round = 0; round < 30; round++) {
            CK_MECHANISM mech = fresh(&rows[i]);
            CK_ULONG len = fitting(&rows[i], rng_next(&rng) % sizeof data), whole_len = sizeof whole;

            NEED(p11->C_EncryptInit(session, &mech, key));
            NEED(p11->C_Encrypt(session, data, len, whole, &whole_len));
            NEED(p11->C_DecryptInit(session, &mech, key));
            CHECK(in_parts(session, false, &rng, whole, whole_len, parts) == len && memcmp(parts, data, len) == 0);
            if (rows[i].is_stream) continue;
            NEED(p11->C_EncryptInit(session, &mech, key));
            CHECK(in_parts(session, true, &rng, data, len, parts) == whole_len && memcmp(parts, whole, whole_len) == 0);
        }
    }
}

TEST(every_bad_padding_is_one_code)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = plain_key(session);
    CK_MECHANISM mech = fresh(&rows[1]);
    CK_BYTE sealed[48], out[48];
    CK_ULONG len = sizeof sealed;
    uint64_t rng = 13;

    NEED(p11->C_EncryptInit(session, &mech, key));
    NEED(p11->C_Encrypt(session, data, 32, sealed, &len));
    for (int round = 0; round < 1000; round++) {
        CK_ULONG out_len = sizeof out;

        rng_fill(&rng, sealed + 16, 32);
        NEED(p11->C_DecryptInit(session, &mech, key));
        EXPECT(p11->C_Decrypt(session, sealed, len, out, &out_len), CKR_ENCRYPTED_DATA_INVALID, CKR_OK);
    }
    for (CK_ULONG bad = 0; bad < 48; bad++) {
        CK_ULONG out_len = sizeof out;

        if (bad % 16 == 0 && bad > 0) continue;
        NEED(p11->C_DecryptInit(session, &mech, key));
        EXPECT(p11->C_Decrypt(session, sealed, bad, out, &out_len), CKR_ENCRYPTED_DATA_LEN_RANGE);
    }
}

/* The JDK ends an operation that it does not want by an empty one. */
TEST(nothing_encrypted_ends_it)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = plain_key(session);

    for (size_t i = 0; i < COUNT(rows); i++) {
        CK_MECHANISM mech = fresh(&rows[i]);
        CK_BYTE out[32];
        CK_ULONG len = sizeof out;

        NEED(p11->C_EncryptInit(session, &mech, key));
        NEED(p11->C_Encrypt(session, NULL, 0, out, &len));
        CHECK(len == (rows[i].pads ? 16U : 0U));
        EXPECT(p11->C_Encrypt(session, NULL, 0, out, &len), CKR_OPERATION_NOT_INITIALIZED);
    }
}

TEST(a_counter_that_comes_round_is_refused)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = plain_key(session);
    struct t_ctr two = { 2, { 0 } };
    CK_MECHANISM mech = { CKM_AES_CTR, &two, sizeof two };
    CK_BYTE out[80];
    CK_ULONG len = sizeof out;

    two.block[15] = 1;
    NEED(p11->C_EncryptInit(session, &mech, key));
    EXPECT(p11->C_Encrypt(session, data, 49, out, &len), CKR_DATA_LEN_RANGE);
    NEED(p11->C_EncryptInit(session, &mech, key));
    EXPECT(p11->C_Encrypt(session, data, 48, out, &len), CKR_OK);
    EXPECT(p11->C_EncryptInit(session, &mech, key), CKR_MECHANISM_PARAM_INVALID); /* it has encrypted */
    for (CK_ULONG bits = 0; bits < 300; bits++) {
        two.bits = bits;
        if (EXPECT(p11->C_DecryptInit(session, &mech, key), bits >= 1 && bits <= 128 ? CKR_OK : CKR_MECHANISM_PARAM_INVALID) && bits &&
            bits < 129)
            NEED(p11->C_Decrypt(session, data, 16, out, &(CK_ULONG){ 16 }));
    }
}

TEST(ladder_keys_count_and_do_no_other_mode)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE record = 0;
    CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_FALSE) };

    NEED(hkdf_try(session, find_one(session, "master"), NULL, 0, "x", 1, template, 1, &record));
    for (size_t i = 0; i < COUNT(rows); i++) {
        CK_MECHANISM mech = fresh(&rows[i]);

        EXPECT(p11->C_EncryptInit(session, &mech, record), rows[i].is_stream ? CKR_OK : CKR_KEY_FUNCTION_NOT_PERMITTED);
        if (rows[i].is_stream) NEED(p11->C_Encrypt(session, data, 16, (CK_BYTE[16]){ 0 }, &(CK_ULONG){ 16 }));
        EXPECT(p11->C_DecryptInit(session, &mech, record), rows[i].is_stream ? CKR_OK : CKR_KEY_FUNCTION_NOT_PERMITTED);
    }
}

TEST(under_strict_the_ivs_are_the_tokens)
{
    CK_BYTE mine[16] = { 0 }, out[64], back[64];
    CK_MECHANISM mech = { CKM_AES_CBC_PAD, mine, sizeof mine };
    CK_ULONG len = sizeof out, back_len = sizeof back;
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;

    sandbox_setting("policy = strict");
    session = user_session();
    key = plain_key(session);
    NEED(p11->C_EncryptInit(session, &mech, key));
    CHECK(memcmp(mine, (CK_BYTE[16]){ 0 }, 16) != 0);
    NEED(p11->C_Encrypt(session, data, 20, out, &len));
    NEED(p11->C_DecryptInit(session, &mech, key));
    NEED(p11->C_Decrypt(session, out, len, back, &back_len));
    CHECK(back_len == 20 && memcmp(back, data, 20) == 0);
    EXPECT(p11->C_EncryptInit(session, &mech, key), CKR_MECHANISM_PARAM_INVALID);
    EXPECT(gcm_init(session, false, key, "twelve bytes", 12, NULL, 0, 128), CKR_KEY_FUNCTION_NOT_PERMITTED);
}

const struct test cipher_tests[] = {
    T(the_modes_say_what_they_do, OURS),
    T(ecb_is_off, OURS),
    T(under_compatible_ecb_is_on, OURS),
    T(a_mode_asks_tells_and_ends, OURS),
    T(parts_ask_tell_and_end, OURS),
    T(any_parts_are_the_whole_in_place_or_not, OURS),
    T(every_bad_padding_is_one_code, OURS),
    T(nothing_encrypted_ends_it, OURS),
    T(a_counter_that_comes_round_is_refused, OURS),
    T(ladder_keys_count_and_do_no_other_mode, OURS),
    T(under_strict_the_ivs_are_the_tokens, OURS),
    { NULL, NULL, 0 },
};
