/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* AES-GCM: parameters, lengths, the life of an operation, tampering. */
#include "suite.h"

#include <pthread.h>

static CK_BYTE counter[12];

/* An IV that this process has not used. */
static const CK_BYTE *fresh_iv(void)
{
    for (int i = 11; i >= 0 && ++counter[i] == 0; i--) continue;
    return counter;
}

static CK_RV enc_init(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
    return gcm_init(session, true, key, fresh_iv(), 12, "aad", 3, 128);
}

static CK_RV none_active(CK_SESSION_HANDLE session, bool encrypt)
{
    CK_BYTE in[32] = { 0 }, out[64];
    CK_ULONG len = sizeof out;

    return encrypt ? p11->C_Encrypt(session, in, 16, out, &len) : p11->C_Decrypt(session, in, 32, out, &len);
}

TEST(parameters_of_40_and_48_bytes_mean_the_same)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edS");
    CK_BYTE iv[12] = "twelve bytes", sealed[64], out[64];
    CK_ULONG sealed_len = sizeof sealed, out_len = sizeof out;
    struct t_gcm40 short_form = { iv, 12, (CK_BYTE *)(uintptr_t) "aad", 3, 128 };
    CK_MECHANISM mech = { CKM_AES_GCM, &short_form, sizeof short_form };

    NEED(p11->C_EncryptInit(session, &mech, key));
    NEED(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "hello", 5, sealed, &sealed_len));
    CHECK(sealed_len == 21);
    NEED(gcm_init(session, false, key, iv, 12, "aad", 3, 128));
    NEED(p11->C_Decrypt(session, sealed, sealed_len, out, &out_len));
    CHECK(out_len == 5 && memcmp(out, "hello", 5) == 0);
    NEED(p11->C_DecryptInit(session, &mech, key));
    out_len = sizeof out;
    NEED(p11->C_Decrypt(session, sealed, sealed_len, out, &out_len));
    CHECK(out_len == 5);
}

TEST(parameters_of_any_other_length_are_refused)
{
    static const CK_ULONG lengths[] = { 0, 1, 8, 24, 32, 39, 41, 47, 49, 56, 64, 4096, CK_UNAVAILABLE_INFORMATION };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edS");
    struct t_gcm gcm[100] = { { (CK_BYTE *)(uintptr_t) "twelve bytes", 12, 96, NULL, 0, 128 } };

    for (size_t i = 0; i < COUNT(lengths); i++) {
        CK_MECHANISM mech = { CKM_AES_GCM, gcm, lengths[i] };

        EXPECT(p11->C_EncryptInit(session, &mech, key), CKR_MECHANISM_PARAM_INVALID);
        EXPECT(p11->C_DecryptInit(session, &mech, key), CKR_MECHANISM_PARAM_INVALID);
        EXPECT(none_active(session, true), CKR_OPERATION_NOT_INITIALIZED);
    }
    {
        CK_MECHANISM mech = { CKM_AES_GCM, NULL, sizeof gcm[0] };

        EXPECT(p11->C_EncryptInit(session, &mech, key), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
    }
}

TEST(the_length_of_the_iv_in_bits_is_ignored)
{
    static const CK_ULONG bits[] = { 0, 64, 96, 97, CK_UNAVAILABLE_INFORMATION };
    CK_SESSION_HANDLE session = user_session();
    CK_BYTE first[64], sealed[64];

    for (size_t i = 0; i < COUNT(bits); i++) {
        CK_OBJECT_HANDLE key = 0;
        CK_ULONG len = sizeof sealed;
        struct t_gcm gcm = { (CK_BYTE *)(uintptr_t) "twelve bytes", 12, bits[i], NULL, 0, 128 };
        CK_MECHANISM mech = { CKM_AES_GCM, &gcm, sizeof gcm };

        NEED(import_try(session, CKK_AES, "0123456789abcdef", 16, "edS", &key));
        NEED(p11->C_EncryptInit(session, &mech, key));
        NEED(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "hello", 5, sealed, &len));
        CHECK(len == 21);
        if (i) CHECK(memcmp(first, sealed, 21) == 0);
        memcpy(first, sealed, sizeof first);
    }
}

TEST(short_and_odd_tags_are_refused)
{
    static const CK_ULONG bad[] = { 0, 8, 32, 64, 88, 95, 97, 127, 129, 136, 256, 0x100000080, CK_UNAVAILABLE_INFORMATION },
                          good[] = { 96, 104, 112, 120, 128 };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edS");

    for (size_t i = 0; i < COUNT(bad); i++) {
        if (!EXPECT(gcm_init(session, true, key, fresh_iv(), 12, NULL, 0, bad[i]), CKR_MECHANISM_PARAM_INVALID))
            printf("      %lu bits\n", bad[i]);
        if (!EXPECT(gcm_init(session, false, key, fresh_iv(), 12, NULL, 0, bad[i]), CKR_MECHANISM_PARAM_INVALID))
            printf("      %lu bits\n", bad[i]);
        EXPECT(none_active(session, true), CKR_OPERATION_NOT_INITIALIZED);
    }
    for (size_t i = 0; i < COUNT(good); i++) {
        CK_BYTE out[64];
        CK_ULONG len = sizeof out;

        NEED(gcm_init(session, true, key, fresh_iv(), 12, NULL, 0, good[i]));
        NEED(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "hello", 5, out, &len));
        CHECK(len == 5 + good[i] / 8);
    }
}

TEST(odd_ivs_and_missing_pointers_are_refused)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edS"), token = key_make(session, "edST");
    static CK_BYTE large[300] = { 1 };

    EXPECT(gcm_init(session, true, key, large, 0, NULL, 0, 128), CKR_MECHANISM_PARAM_INVALID);
    EXPECT(gcm_init(session, true, key, large, 257, NULL, 0, 128), CKR_MECHANISM_PARAM_INVALID);
    EXPECT(gcm_init(session, true, key, large, 1UL << 32, NULL, 0, 128), CKR_MECHANISM_PARAM_INVALID);
    EXPECT(gcm_init(session, true, key, NULL, 12, NULL, 0, 128), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
    EXPECT(gcm_init(session, true, key, large, 12, NULL, 5, 128), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
    /* Token keys live long, so only the safe IV length encrypts; foreign data is read all the same. */
    EXPECT(gcm_init(session, true, token, large, 16, NULL, 0, 128), CKR_MECHANISM_PARAM_INVALID);
    EXPECT(gcm_init(session, false, token, large, 16, NULL, 0, 128), CKR_OK);
}

TEST(an_iv_that_made_ciphertext_is_refused_in_its_session)
{
    CK_SESSION_HANDLE session = user_session(), other = open_session(0);
    CK_OBJECT_HANDLE key = key_make(session, "edS"), second = key_make(session, "edS");
    CK_BYTE out[64], iv[12] = "repeated iv.";
    CK_ULONG len = sizeof out;

    NEED(gcm_init(session, true, key, iv, 12, NULL, 0, 128));
    NEED(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "one", 3, out, &len));
    EXPECT(gcm_init(session, true, key, iv, 12, NULL, 0, 128), CKR_MECHANISM_PARAM_INVALID);
    for (int i = 0; i < 62; i++) {
        len = sizeof out;
        NEED(gcm_init(session, true, key, fresh_iv(), 12, NULL, 0, 128));
        NEED(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "one", 3, out, &len));
    }
    EXPECT(gcm_init(session, true, key, iv, 12, NULL, 0, 128), CKR_MECHANISM_PARAM_INVALID);
    EXPECT(gcm_init(session, false, key, iv, 12, NULL, 0, 128), CKR_OK);
    EXPECT(gcm_init(other, true, second, iv, 12, NULL, 0, 128), CKR_OK);
}

/* SunPKCS11 begins before it knows the AAD, then encrypts nothing to give that up, and begins again with both. */
TEST(an_iv_that_encrypted_nothing_encrypts_once_more_with_aad)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edS");
    CK_BYTE out[64], iv[12] = "given up....";
    CK_ULONG len = 16;

    NEED(gcm_init(session, true, key, iv, 12, NULL, 0, 128));
    NEED(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "", 0, out, &len));
    EXPECT(gcm_init(session, true, key, iv, 12, NULL, 0, 128), CKR_MECHANISM_PARAM_INVALID);
    NEED(gcm_init(session, true, key, iv, 12, "aad", 3, 128));
    len = sizeof out;
    NEED(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "one", 3, out, &len));
    EXPECT(gcm_init(session, true, key, iv, 12, "aad", 3, 128), CKR_MECHANISM_PARAM_INVALID);
    EXPECT(gcm_init(session, true, key, iv, 12, NULL, 0, 128), CKR_MECHANISM_PARAM_INVALID);
}

TEST(an_iv_that_made_a_tag_of_aad_is_used_up)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edS");
    CK_BYTE out[64];
    CK_ULONG len = sizeof out;

    NEED(gcm_init(session, true, key, (CK_BYTE *)(uintptr_t) "of its aad..", 12, "aad", 3, 128));
    NEED(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "", 0, out, &len));
    EXPECT(gcm_init(session, true, key, (CK_BYTE *)(uintptr_t) "of its aad..", 12, "aad", 3, 128), CKR_MECHANISM_PARAM_INVALID);
    NEED(gcm_init(session, true, key, (CK_BYTE *)(uintptr_t) "in parts....", 12, NULL, 0, 128));
    len = sizeof out;
    NEED(p11->C_EncryptFinal(session, out, &len));
    EXPECT(gcm_init(session, true, key, (CK_BYTE *)(uintptr_t) "in parts....", 12, "aad", 3, 128), CKR_MECHANISM_PARAM_INVALID);
}

TEST(an_iv_that_made_no_ciphertext_may_be_used)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edS");
    CK_BYTE out[64], iv[12] = "never used..", small[4];
    CK_ULONG len = 0;

    NEED(gcm_init(session, true, key, iv, 12, NULL, 0, 128));
    NEED(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "one", 3, NULL, &len));
    len = sizeof small;
    EXPECT(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "one", 3, small, &len), CKR_BUFFER_TOO_SMALL);
    len = sizeof out;
    EXPECT(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "one", 3, out, &len), CKR_OK);
}

TEST(an_empty_message_is_a_tag_and_is_checked)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edS");
    CK_BYTE tag[32], out[16];
    CK_ULONG len = sizeof tag, out_len = sizeof out;
    const CK_BYTE *iv = fresh_iv();

    NEED(gcm_init(session, true, key, iv, 12, "aad", 3, 128));
    NEED(p11->C_Encrypt(session, NULL, 0, tag, &len));
    CHECK(len == 16);
    EXPECT(none_active(session, true), CKR_OPERATION_NOT_INITIALIZED);
    NEED(gcm_init(session, false, key, iv, 12, "aad", 3, 128));
    EXPECT(p11->C_Decrypt(session, tag, 16, out, &out_len), CKR_OK);
    CHECK(out_len == 0);
    tag[3] ^= 1;
    NEED(gcm_init(session, false, key, iv, 12, "aad", 3, 128));
    out_len = sizeof out;
    EXPECT(p11->C_Decrypt(session, tag, 16, out, &out_len), CKR_ENCRYPTED_DATA_INVALID);
}

TEST(a_size_query_is_exact_and_keeps_the_operation)
{
    static const CK_ULONG sizes[] = { 0, 1, 15, 16, 17, 1000 };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edS");
    CK_BYTE in[1000] = { 0 }, sealed[1016], out[1000];

    for (size_t i = 0; i < COUNT(sizes); i++) {
        CK_ULONG len = 7777;
        const CK_BYTE *iv = fresh_iv();

        NEED(gcm_init(session, true, key, iv, 12, "aad", 3, 128));
        NEED(p11->C_Encrypt(session, in, sizes[i], NULL, &len));
        CHECK(len == sizes[i] + 16);
        len = 0;
        NEED(p11->C_Encrypt(session, in, sizes[i], NULL, &len));
        CHECK(len == sizes[i] + 16);
        EXPECT(p11->C_Encrypt(session, in, sizes[i], sealed, &len), CKR_OK);
        CHECK(len == sizes[i] + 16);
        NEED(gcm_init(session, false, key, iv, 12, "aad", 3, 128));
        len = 0;
        NEED(p11->C_Decrypt(session, sealed, sizes[i] + 16, NULL, &len));
        CHECK(len == sizes[i]);
        EXPECT(p11->C_Decrypt(session, sealed, sizes[i] + 16, out, &len), CKR_OK);
        CHECK(len == sizes[i]);
    }
}

TEST(a_short_buffer_is_told_the_length_and_may_try_again)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edS");
    CK_BYTE sealed[64], out[64];
    const CK_BYTE *iv = fresh_iv();

    NEED(gcm_init(session, true, key, iv, 12, "aad", 3, 128));
    for (CK_ULONG cap = 0; cap < 21; cap++) {
        CK_ULONG len = cap;

        memset(sealed, 0x5a, sizeof sealed);
        EXPECT(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "hello", 5, sealed, &len), CKR_BUFFER_TOO_SMALL);
        CHECK(len == 21);
        for (size_t i = cap; i < sizeof sealed; i++) CHECK(sealed[i] == 0x5a);
    }
    CK_ULONG exact = 21;
    memset(sealed, 0x5a, sizeof sealed);
    EXPECT(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "hello", 5, sealed, &exact), CKR_OK);
    CHECK(exact == 21 && sealed[21] == 0x5a);
    NEED(gcm_init(session, false, key, iv, 12, "aad", 3, 128));
    for (CK_ULONG cap = 0; cap < 5; cap++) {
        CK_ULONG len = cap;

        memset(out, 0x5a, sizeof out);
        EXPECT(p11->C_Decrypt(session, sealed, 21, out, &len), CKR_BUFFER_TOO_SMALL);
        CHECK(len == 5);
        for (size_t i = 0; i < sizeof out; i++) CHECK(out[i] == 0x5a);
    }
    exact = 5;
    EXPECT(p11->C_Decrypt(session, sealed, 21, out, &exact), CKR_OK);
    CHECK(exact == 5 && memcmp(out, "hello", 5) == 0 && out[5] == 0x5a);
}

TEST(the_last_part_too_keeps_the_operation_when_the_buffer_is_short)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edS");
    CK_BYTE sealed[64], out[64];
    CK_ULONG len = sizeof sealed, part;
    const CK_BYTE *iv = fresh_iv();

    NEED(gcm_init(session, true, key, iv, 12, "aad", 3, 128));
    NEED(p11->C_EncryptUpdate(session, (CK_BYTE *)(uintptr_t) "hello", 5, sealed, &len));
    part = 3;
    EXPECT(p11->C_EncryptFinal(session, sealed + len, &part), CKR_BUFFER_TOO_SMALL);
    CHECK(part >= 16 && part + len == 21);
    part = 0;
    EXPECT(p11->C_EncryptFinal(session, NULL, &part), CKR_OK);
    CHECK(part + len == 21);
    part = sizeof sealed - len;
    EXPECT(p11->C_EncryptFinal(session, sealed + len, &part), CKR_OK);
    CHECK(part + len == 21);
    EXPECT(p11->C_EncryptFinal(session, out, &part), CKR_OPERATION_NOT_INITIALIZED);
    NEED(gcm_init(session, false, key, iv, 12, "aad", 3, 128));
    len = sizeof out;
    NEED(p11->C_DecryptUpdate(session, sealed, 21, out, &len));
    CHECK(len == 0);
    part = 4;
    EXPECT(p11->C_DecryptFinal(session, out, &part), CKR_BUFFER_TOO_SMALL);
    CHECK(part == 5);
    EXPECT(p11->C_DecryptFinal(session, NULL, &part), CKR_OK);
    CHECK(part == 5);
    EXPECT(p11->C_DecryptFinal(session, out, &part), CKR_OK);
    CHECK(part == 5 && memcmp(out, "hello", 5) == 0);
}

TEST(every_other_error_ends_the_operation)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edS");
    CK_BYTE out[64];
    CK_ULONG len = sizeof out;

    NEED(enc_init(session, key));
    EXPECT(p11->C_Encrypt(session, NULL, 5, out, &len), CKR_ARGUMENTS_BAD);
    EXPECT(none_active(session, true), CKR_OPERATION_NOT_INITIALIZED);
    NEED(enc_init(session, key));
    EXPECT(p11->C_EncryptUpdate(session, NULL, 5, out, &len), CKR_ARGUMENTS_BAD);
    EXPECT(p11->C_EncryptFinal(session, out, &len), CKR_OPERATION_NOT_INITIALIZED);
    NEED(enc_init(session, key));
    EXPECT(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "x", 1, out, NULL), CKR_ARGUMENTS_BAD);
    EXPECT(none_active(session, true), CKR_OPERATION_NOT_INITIALIZED);
    NEED(gcm_init(session, false, key, fresh_iv(), 12, NULL, 0, 128));
    len = sizeof out;
    EXPECT(p11->C_Decrypt(session, out, 15, out, &len), CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_INVALID);
    EXPECT(none_active(session, false), CKR_OPERATION_NOT_INITIALIZED);
    NEED(gcm_init(session, false, key, fresh_iv(), 12, NULL, 0, 128));
    EXPECT(p11->C_Decrypt(session, out, 0, out, &len), CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_INVALID);
    NEED(gcm_init(session, false, key, fresh_iv(), 12, NULL, 0, 128));
    len = sizeof out;
    EXPECT(p11->C_DecryptFinal(session, out, &len), CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_INVALID);
    EXPECT(none_active(session, false), CKR_OPERATION_NOT_INITIALIZED);
}

TEST(nothing_runs_without_init_and_init_runs_once)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edS");
    CK_BYTE buffer[64];
    CK_ULONG len = sizeof buffer;

    EXPECT(none_active(session, true), CKR_OPERATION_NOT_INITIALIZED);
    EXPECT(none_active(session, false), CKR_OPERATION_NOT_INITIALIZED);
    EXPECT(p11->C_EncryptUpdate(session, buffer, 1, buffer, &len), CKR_OPERATION_NOT_INITIALIZED);
    EXPECT(p11->C_EncryptFinal(session, buffer, &len), CKR_OPERATION_NOT_INITIALIZED);
    EXPECT(p11->C_DecryptUpdate(session, buffer, 1, buffer, &len), CKR_OPERATION_NOT_INITIALIZED);
    EXPECT(p11->C_DecryptFinal(session, buffer, &len), CKR_OPERATION_NOT_INITIALIZED);
    NEED(enc_init(session, key));
    EXPECT(enc_init(session, key), CKR_OPERATION_ACTIVE);
    /* The refusal must not have hurt the first. */
    len = sizeof buffer;
    EXPECT(p11->C_Encrypt(session, buffer, 16, buffer, &len), CKR_OK);
}

TEST(a_session_encrypts_and_decrypts_at_the_same_time)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edS");
    CK_BYTE sealed[64], out[64], again[64];
    CK_ULONG len = sizeof out, again_len = sizeof again;
    size_t sealed_len = seal(session, key, "hello", 5, NULL, sealed);

    NEED(gcm_init(session, false, key, sealed, 12, NULL, 0, 128));
    NEED(enc_init(session, key));
    NEED(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "other", 5, again, &again_len));
    NEED(p11->C_Decrypt(session, sealed + 12, sealed_len - 12, out, &len));
    CHECK(len == 5 && memcmp(out, "hello", 5) == 0);
}

TEST(one_shot_after_update_is_refused)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edS");
    CK_BYTE buffer[64];
    CK_ULONG len = sizeof buffer;

    NEED(enc_init(session, key));
    NEED(p11->C_EncryptUpdate(session, (CK_BYTE *)(uintptr_t) "hello", 5, buffer, &len));
    len = sizeof buffer;
    EXPECT(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t) "hello", 5, buffer, &len), CKR_OPERATION_ACTIVE, CKR_OPERATION_NOT_INITIALIZED);
    p11->C_EncryptFinal(session, buffer, &len);
    NEED(gcm_init(session, false, key, fresh_iv(), 12, NULL, 0, 128));
    len = sizeof buffer;
    NEED(p11->C_DecryptUpdate(session, buffer, 5, buffer + 32, &len));
    len = sizeof buffer;
    EXPECT(p11->C_Decrypt(session, buffer, 32, buffer + 32, &len), CKR_OPERATION_ACTIVE, CKR_OPERATION_NOT_INITIALIZED);
}

TEST(in_place_is_right_and_a_bad_tag_leaves_no_plaintext)
{
    static const CK_ULONG sizes[] = { 1, 16, 100, 4096 };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edS");
    static CK_BYTE plain[4096], buffer[4112], before[4112];

    for (size_t i = 0; i < sizeof plain; i++) plain[i] = (CK_BYTE)(i * 7) | 1; /* none is zero, as a wiped byte is */
    for (size_t i = 0; i < COUNT(sizes); i++) {
        CK_ULONG len = sizeof buffer;
        const CK_BYTE *iv = fresh_iv();

        memcpy(buffer, plain, sizes[i]);
        NEED(gcm_init(session, true, key, iv, 12, NULL, 0, 128));
        NEED(p11->C_Encrypt(session, buffer, sizes[i], buffer, &len));
        memcpy(before, buffer, len);
        NEED(gcm_init(session, false, key, iv, 12, NULL, 0, 128));
        NEED(p11->C_Decrypt(session, buffer, sizes[i] + 16, buffer, &len));
        CHECK(len == sizes[i] && memcmp(buffer, plain, len) == 0);
        memcpy(buffer, before, sizes[i] + 16);
        buffer[sizes[i] + 15] ^= 0x80;
        len = sizeof buffer;
        NEED(gcm_init(session, false, key, iv, 12, NULL, 0, 128));
        EXPECT(p11->C_Decrypt(session, buffer, sizes[i] + 16, buffer, &len), CKR_ENCRYPTED_DATA_INVALID);
        CHECK(memcmp(buffer, plain, sizes[i]) != 0);
    }
}

TEST(overlapping_buffers_are_right_or_refused)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edS");
    CK_BYTE area[256], expect[128], plain[64];
    CK_ULONG len = sizeof expect;

    for (int shift = -1; shift <= 1; shift += 2) {
        CK_BYTE iv[12] = "overlap test";
        CK_OBJECT_HANDLE same = 0;
        CK_RV rv;

        key = 0;
        NEED(import_try(session, CKK_AES, "0123456789abcdef", 16, "edS", &key));
        NEED(import_try(session, CKK_AES, "0123456789abcdef", 16, "edS", &same));
        memset(plain, 0x33, sizeof plain);
        len = sizeof expect;
        NEED(gcm_init(session, true, key, iv, 12, NULL, 0, 128));
        NEED(p11->C_Encrypt(session, plain, sizeof plain, expect, &len));
        memset(area, 0x33, sizeof area);
        len = 80;
        NEED(gcm_init(session, true, same, iv, 12, NULL, 0, 128));
        rv = p11->C_Encrypt(session, area + 64, 64, area + 64 + shift, &len);
        if (EXPECT(rv, CKR_OK, CKR_ARGUMENTS_BAD) && rv == CKR_OK) CHECK(len == 80 && memcmp(area + 64 + shift, expect, 80) == 0);
    }
}

TEST(misaligned_parameters_and_data_work)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edS");
    CK_BYTE area[512], sealed[64], out[64];
    CK_ULONG out_len = sizeof out;
    CK_BYTE iv[12] = "misaligned..";
    struct t_gcm gcm = { iv, 12, 96, (CK_BYTE *)(uintptr_t) "aad", 3, 128 };
    CK_MECHANISM mech = { CKM_AES_GCM, area + 65, sizeof gcm };
    CK_BYTE len_bytes[1 + sizeof(CK_ULONG)];
    CK_ULONG len = sizeof sealed;

    memcpy(area + 65, &gcm, sizeof gcm);
    memcpy(area + 1, &mech, sizeof mech);
    memcpy(len_bytes + 1, &len, sizeof len);
    memcpy(area + 129, "hello", 5);
    NEED(p11->C_EncryptInit(session, (CK_MECHANISM *)(void *)(area + 1), key));
    NEED(p11->C_Encrypt(session, area + 129, 5, sealed + 1, (CK_ULONG *)(void *)(len_bytes + 1)));
    memcpy(&len, len_bytes + 1, sizeof len);
    CHECK(len == 21);
    NEED(gcm_init(session, false, key, iv, 12, "aad", 3, 128));
    NEED(p11->C_Decrypt(session, sealed + 1, 21, out, &out_len));
    CHECK(out_len == 5 && memcmp(out, "hello", 5) == 0);
}

TEST(any_changed_bit_is_found_and_nothing_is_released)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edS");
    CK_BYTE sealed[80], out[64];
    size_t len = seal(session, key, "a plaintext of 32 bytes, exactly", 32, "aad", sealed);

    for (size_t bit = 0; bit < len * 8; bit += 3) {
        CK_ULONG out_len = sizeof out;

        sealed[bit / 8] ^= (CK_BYTE)(1 << bit % 8);
        memset(out, 0x5a, sizeof out);
        EXPECT(unseal(session, key, sealed, len, "aad", out, &out_len), CKR_ENCRYPTED_DATA_INVALID);
        for (size_t i = 0; i < sizeof out; i++) CHECK(out[i] == 0x5a || out[i] == 0);
        EXPECT(none_active(session, false), CKR_OPERATION_NOT_INITIALIZED);
        sealed[bit / 8] ^= (CK_BYTE)(1 << bit % 8);
    }
    for (size_t cut = 1; cut <= 32; cut++) {
        CK_ULONG out_len = sizeof out;

        EXPECT(unseal(session, key, sealed, len - cut, "aad", out, &out_len), CKR_ENCRYPTED_DATA_INVALID, CKR_ENCRYPTED_DATA_LEN_RANGE);
    }
}

TEST(other_associated_data_is_found)
{
    static const char *const others[] = { NULL, "", "aa", "aadd", "aae", "Aad", "users.email/4712" };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edS");
    CK_BYTE sealed[80], out[64], moved[96];
    CK_ULONG out_len = sizeof out;
    size_t len = seal(session, key, "hello", 5, "aad", sealed);

    for (size_t i = 0; i < COUNT(others); i++) {
        out_len = sizeof out;
        EXPECT(unseal(session, key, sealed, len, others[i], out, &out_len), CKR_ENCRYPTED_DATA_INVALID);
    }
    /* A byte moved from the associated data to the ciphertext. */
    memcpy(moved, sealed, 12);
    moved[12] = 'd';
    memcpy(moved + 13, sealed + 12, len - 12);
    out_len = sizeof out;
    EXPECT(unseal(session, key, moved, len + 1, "aa", out, &out_len), CKR_ENCRYPTED_DATA_INVALID);
    out_len = sizeof out;
    EXPECT(unseal(session, key, sealed, len, "aad", out, &out_len), CKR_OK);
}

TEST(another_key_does_not_open)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edS"), other = key_make(session, "edS");
    CK_BYTE sealed[80], out[64];
    CK_ULONG out_len = sizeof out;
    size_t len = seal(session, key, "hello", 5, "aad", sealed);

    EXPECT(unseal(session, other, sealed, len, "aad", out, &out_len), CKR_ENCRYPTED_DATA_INVALID);
}

TEST(decryption_in_parts_releases_nothing_before_the_tag)
{
    static const CK_ULONG steps[] = { 1, 7, 16, 65536 };
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edS");
    CK_ULONG plain_len = 300000, len = plain_len + 16;
    CK_BYTE *plain = malloc(plain_len), *sealed = malloc(len), *out = malloc(plain_len);
    const CK_BYTE *iv = fresh_iv();

    for (CK_ULONG i = 0; i < plain_len; i++) plain[i] = (CK_BYTE)(i ^ i >> 8) | 1;
    NEED(gcm_init(session, true, key, iv, 12, NULL, 0, 128));
    NEED(p11->C_Encrypt(session, plain, plain_len, sealed, &len));
    for (size_t s = 0; s < COUNT(steps); s++) {
        for (int bad = 0; bad < 2; bad++) {
            CK_ULONG released = 0, got = 0;

            if (bad) sealed[0] ^= 1;
            memset(out, 0, plain_len);
            NEED(gcm_init(session, false, key, iv, 12, NULL, 0, 128));
            for (CK_ULONG at = 0; at < len; at += steps[s]) {
                got = plain_len;
                NEED(p11->C_DecryptUpdate(session, sealed + at, len - at < steps[s] ? len - at : steps[s], out, &got));
                released += got;
            }
            CHECK(released == 0);
            for (CK_ULONG i = 0; i < plain_len; i++)
                if (out[i]) die_at(__FILE__, __LINE__, "byte %lu was written before the tag was checked", i);
            got = plain_len;
            EXPECT(p11->C_DecryptFinal(session, out, &got), bad ? CKR_ENCRYPTED_DATA_INVALID : CKR_OK);
            if (!bad) CHECK(got == plain_len && memcmp(out, plain, plain_len) == 0);
            for (CK_ULONG i = 0; bad && i < plain_len; i++)
                if (out[i]) die_at(__FILE__, __LINE__, "byte %lu came out under a bad tag", i);
            if (bad) sealed[0] ^= 1;
        }
    }
}

TEST(a_length_that_gcm_cannot_have_is_refused)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edS");
    CK_ULONG len = 0;
    CK_BYTE byte = 0;

    NEED(enc_init(session, key));
    EXPECT(p11->C_Encrypt(session, &byte, (1UL << 36) - 31, NULL, &len), CKR_DATA_LEN_RANGE);
    EXPECT(none_active(session, true), CKR_OPERATION_NOT_INITIALIZED);
    NEED(enc_init(session, key));
    EXPECT(p11->C_Encrypt(session, &byte, CK_UNAVAILABLE_INFORMATION - 3, NULL, &len), CKR_DATA_LEN_RANGE, CKR_ARGUMENTS_BAD);
}

TEST(a_key_of_the_wrong_kind_is_refused)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE generic = 0, data = 0;
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_DATA), A_BYTES(CKA_VALUE, "0123456789abcdef", 16) };
    CK_MECHANISM unknown = { 0x7fffff, NULL, 0 }, generate = { CKM_AES_KEY_GEN, NULL, 0 };

    NEED(import_try(session, CKK_GENERIC_SECRET, "0123456789abcdef", 16, "D", &generic));
    EXPECT(gcm_init(session, true, generic, fresh_iv(), 12, NULL, 0, 128), CKR_KEY_TYPE_INCONSISTENT, CKR_KEY_FUNCTION_NOT_PERMITTED);
    NEED(p11->C_CreateObject(session, template, 2, &data));
    EXPECT(gcm_init(session, true, data, fresh_iv(), 12, NULL, 0, 128), CKR_KEY_HANDLE_INVALID, CKR_KEY_TYPE_INCONSISTENT);
    EXPECT(p11->C_EncryptInit(session, &unknown, key_make(session, "edS")), CKR_MECHANISM_INVALID);
    EXPECT(p11->C_EncryptInit(session, &generate, key_make(session, "edS")), CKR_MECHANISM_INVALID);
}

TEST(an_operation_ends_with_the_login)
{
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = key_make(session, "edST");

    NEED(enc_init(session, key));
    NEED(p11->C_Logout(session));
    EXPECT(none_active(session, true), CKR_OPERATION_NOT_INITIALIZED, CKR_USER_NOT_LOGGED_IN);
    NEED(login(session, CKU_USER, USER_PIN));
    EXPECT(none_active(session, true), CKR_OPERATION_NOT_INITIALIZED);
}

TEST(an_operation_ends_with_its_key)
{
    static const char *const kinds[] = { "edS", "edST" };
    CK_SESSION_HANDLE session = user_session(), other = open_session(CKF_RW_SESSION);

    for (size_t i = 0; i < COUNT(kinds); i++) {
        CK_OBJECT_HANDLE key = key_make(session, kinds[i]);

        NEED(enc_init(session, key));
        NEED(p11->C_DestroyObject(other, key));
        EXPECT(none_active(session, true), CKR_OPERATION_NOT_INITIALIZED, CKR_KEY_HANDLE_INVALID);
        EXPECT(none_active(session, true), CKR_OPERATION_NOT_INITIALIZED);
    }
}

struct closing {
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;
    CK_RV last;
};

static void *encrypt_until_closed(void *arg)
{
    struct closing *closing = arg;
    CK_BYTE iv[12] = { 0 }, out[64];

    memcpy(iv, &closing->session, 8);
    for (uint32_t i = 0; i < 100000000; i++) {
        CK_ULONG len = sizeof out;

        memcpy(iv + 8, &i, 4);
        closing->last = gcm_init(closing->session, true, closing->key, iv, 12, NULL, 0, 128);
        if (closing->last == CKR_OK) closing->last = p11->C_Encrypt(closing->session, out, 16, out, &len);
        if (closing->last != CKR_OK) break;
    }
    return NULL;
}

TEST(closing_all_sessions_ends_what_other_threads_do)
{
    CK_SESSION_HANDLE session = user_session();
    struct closing closing[8];
    pthread_t threads[8];

    for (size_t i = 0; i < 8; i++) {
        closing[i] = (struct closing){ open_session(0), key_make(session, "edST"), CKR_OK };
        pthread_create(&threads[i], NULL, encrypt_until_closed, &closing[i]);
    }
    for (volatile int spin = 0; spin < 20000000; spin++) continue;
    NEED(p11->C_CloseAllSessions(slot_labelled(TOKEN_LABEL)));
    for (size_t i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        EXPECT(closing[i].last, CKR_SESSION_HANDLE_INVALID, CKR_SESSION_CLOSED, CKR_USER_NOT_LOGGED_IN, CKR_OPERATION_NOT_INITIALIZED,
               CKR_KEY_HANDLE_INVALID);
    }
}

TEST(finalize_ends_what_other_threads_do)
{
    CK_SESSION_HANDLE session = user_session();
    struct closing closing[8];
    pthread_t threads[8];

    for (size_t i = 0; i < 8; i++) {
        closing[i] = (struct closing){ open_session(0), key_make(session, "edST"), CKR_OK };
        pthread_create(&threads[i], NULL, encrypt_until_closed, &closing[i]);
    }
    for (volatile int spin = 0; spin < 20000000; spin++) continue;
    NEED(p11->C_Finalize(NULL));
    for (size_t i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        EXPECT(closing[i].last, CKR_CRYPTOKI_NOT_INITIALIZED, CKR_SESSION_HANDLE_INVALID, CKR_SESSION_CLOSED);
    }
}

const struct test gcm_tests[] = {
    T(parameters_of_40_and_48_bytes_mean_the_same, OURS),
    T(parameters_of_any_other_length_are_refused, OURS),
    T(the_length_of_the_iv_in_bits_is_ignored, ANY),
    T(short_and_odd_tags_are_refused, OURS),
    T(odd_ivs_and_missing_pointers_are_refused, OURS),
    T(an_iv_that_made_ciphertext_is_refused_in_its_session, OURS),
    T(an_iv_that_encrypted_nothing_encrypts_once_more_with_aad, OURS),
    T(an_iv_that_made_a_tag_of_aad_is_used_up, OURS),
    T(an_iv_that_made_no_ciphertext_may_be_used, ANY),
    T(an_empty_message_is_a_tag_and_is_checked, OURS),
    T(a_size_query_is_exact_and_keeps_the_operation, OURS),
    T(a_short_buffer_is_told_the_length_and_may_try_again, OURS),
    T(the_last_part_too_keeps_the_operation_when_the_buffer_is_short, OURS),
    T(every_other_error_ends_the_operation, OURS),
    T(nothing_runs_without_init_and_init_runs_once, ANY),
    T(a_session_encrypts_and_decrypts_at_the_same_time, OURS),
    T(one_shot_after_update_is_refused, OURS),
    T(in_place_is_right_and_a_bad_tag_leaves_no_plaintext, OURS),
    T(overlapping_buffers_are_right_or_refused, OURS),
    T(misaligned_parameters_and_data_work, ANY),
    T(any_changed_bit_is_found_and_nothing_is_released, OURS),
    T(other_associated_data_is_found, OURS),
    T(another_key_does_not_open, OURS),
    T(decryption_in_parts_releases_nothing_before_the_tag, OURS),
    T(a_length_that_gcm_cannot_have_is_refused, OURS),
    T(a_key_of_the_wrong_kind_is_refused, OURS),
    T(an_operation_ends_with_the_login, OURS),
    T(an_operation_ends_with_its_key, OURS),
    T(closing_all_sessions_ends_what_other_threads_do, OURS),
    T(finalize_ends_what_other_threads_do, OURS),
    { NULL, NULL, 0 },
};
