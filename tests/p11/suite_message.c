/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Message-based encryption (v3.0 5.9, 5.11): generators of IVs, parts, tampering, and the state between messages. */
#include "suite.h"

typedef CK_RV (*t_init)(CK_SESSION_HANDLE, CK_MECHANISM *, CK_OBJECT_HANDLE);
typedef CK_RV (*t_message)(CK_SESSION_HANDLE, void *, CK_ULONG, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG *);
typedef CK_RV (*t_begin)(CK_SESSION_HANDLE, void *, CK_ULONG, CK_BYTE *, CK_ULONG);
typedef CK_RV (*t_next)(CK_SESSION_HANDLE, void *, CK_ULONG, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG *, CK_FLAGS);
typedef CK_RV (*t_final)(CK_SESSION_HANDLE);

static struct {
    t_init encrypt_init, decrypt_init;
    t_message encrypt, decrypt;
    t_begin encrypt_begin, decrypt_begin;
    t_next encrypt_next, decrypt_next;
    t_final encrypt_final, decrypt_final;
} api;

static void sym(void *place, const char *name)
{
    *(void **)place = p11_sym(name);
    if (!*(void **)place) die_at(__FILE__, __LINE__, "no %s", name);
}

static CK_SESSION_HANDLE begin(void)
{
    CK_SESSION_HANDLE session = user_session();

    sym(&api.encrypt_init, "C_MessageEncryptInit");
    sym(&api.decrypt_init, "C_MessageDecryptInit");
    sym(&api.encrypt, "C_EncryptMessage");
    sym(&api.decrypt, "C_DecryptMessage");
    sym(&api.encrypt_begin, "C_EncryptMessageBegin");
    sym(&api.decrypt_begin, "C_DecryptMessageBegin");
    sym(&api.encrypt_next, "C_EncryptMessageNext");
    sym(&api.decrypt_next, "C_DecryptMessageNext");
    sym(&api.encrypt_final, "C_MessageEncryptFinal");
    sym(&api.decrypt_final, "C_MessageDecryptFinal");
    return session;
}

#define AAD ((CK_BYTE *)(uintptr_t) "aad")
#define HELLO ((CK_BYTE *)(uintptr_t) "hello")

static CK_MECHANISM gcm = { CKM_AES_GCM, NULL, 0 };

static CK_RV hello(CK_SESSION_HANDLE session, struct t_gcm_message *message, CK_BYTE out[5])
{
    CK_ULONG len = 5;

    return api.encrypt(session, message, sizeof *message, AAD, 3, HELLO, 5, out, &len);
}

static CK_RV goodbye(CK_SESSION_HANDLE session, struct t_gcm_message *message, CK_BYTE in[5])
{
    CK_BYTE out[5];
    CK_ULONG len = 5;
    CK_RV rv = api.decrypt(session, message, sizeof *message, AAD, 3, in, 5, out, &len);

    if (rv == CKR_OK) CHECK(len == 5 && memcmp(out, "hello", 5) == 0);
    return rv;
}

TEST(every_generator_makes_ivs_that_decrypt)
{
    static const CK_ULONG generators[] = { CKG_GENERATE, CKG_GENERATE_COUNTER, CKG_GENERATE_RANDOM };
    CK_SESSION_HANDLE session = begin();
    CK_OBJECT_HANDLE key = key_make(session, "edS");

    NEED(api.encrypt_init(session, &gcm, key));
    NEED(api.decrypt_init(session, &gcm, key));
    for (size_t i = 0; i < COUNT(generators); i++) {
        CK_BYTE seen[50][12];

        for (int n = 0; n < 50; n++) {
            CK_BYTE tag[16], sealed[5];
            struct t_gcm_message message = { seen[n], 12, 0, generators[i], tag, 128 };

            memset(seen[n], 0, 12);
            NEED(hello(session, &message, sealed));
            for (int before = 0; before < n; before++) CHECK(memcmp(seen[before], seen[n], 12) != 0);
            message.generator = CKG_NO_GENERATE;
            EXPECT(goodbye(session, &message, sealed), CKR_OK);
        }
    }
    NEED(api.encrypt_final(session));
    NEED(api.decrypt_final(session));
    EXPECT(api.encrypt_final(session), CKR_OPERATION_NOT_INITIALIZED);
}

TEST(a_counter_counts_and_fixed_bits_stay)
{
    CK_SESSION_HANDLE session = begin();
    CK_BYTE iv[12] = "wxyz", first[12], tag[16], sealed[5];
    struct t_gcm_message message = { iv, 12, 32, CKG_GENERATE_COUNTER, tag, 128 };

    NEED(api.encrypt_init(session, &gcm, key_make(session, "edS")));
    NEED(hello(session, &message, sealed));
    memcpy(first, iv, 12);
    NEED(hello(session, &message, sealed));
    CHECK(memcmp(iv, "wxyz", 4) == 0 && memcmp(first, "wxyz", 4) == 0);
    for (int i = 11; i >= 4 && ++first[i] == 0; i--) continue;
    CHECK(memcmp(first, iv, 12) == 0);
    /* CKG_GENERATE does what can be done with 64 bits. */
    message.generator = CKG_GENERATE;
    NEED(hello(session, &message, sealed));
    CHECK(memcmp(iv, "wxyz", 4) == 0);
    /* Bits, not bytes. */
    iv[0] = 0xFF;
    iv[1] = 0xF0;
    message.fixed_bits = 12;
    for (int i = 0; i < 20; i++) {
        NEED(hello(session, &message, sealed));
        CHECK(iv[0] == 0xFF && (iv[1] & 0xF0) == 0xF0);
    }
}

TEST(too_few_free_bits_are_refused)
{
    static const struct {
        CK_ULONG generator, fixed, iv_len;
        CK_RV want;
    } cases[] = {
        { CKG_GENERATE_RANDOM, 0, 12, CKR_OK },
        { CKG_GENERATE_RANDOM, 1, 12, CKR_MECHANISM_PARAM_INVALID },
        { CKG_GENERATE_RANDOM, 32, 16, CKR_OK },
        { CKG_GENERATE_COUNTER, 32, 12, CKR_OK },
        { CKG_GENERATE_COUNTER, 33, 12, CKR_MECHANISM_PARAM_INVALID },
        { CKG_GENERATE, 33, 12, CKR_MECHANISM_PARAM_INVALID },
        { CKG_GENERATE, 96, 12, CKR_MECHANISM_PARAM_INVALID },
        { CKG_GENERATE, 97, 12, CKR_MECHANISM_PARAM_INVALID },
        { CKG_GENERATE, CK_UNAVAILABLE_INFORMATION, 12, CKR_MECHANISM_PARAM_INVALID },
        { CKG_GENERATE_COUNTER_XOR, 0, 12, CKR_MECHANISM_PARAM_INVALID },
        { 5, 0, 12, CKR_MECHANISM_PARAM_INVALID },
        { CKG_GENERATE, 0, 0, CKR_MECHANISM_PARAM_INVALID },
        { CKG_GENERATE, 0, 257, CKR_MECHANISM_PARAM_INVALID },
    };
    CK_SESSION_HANDLE session = begin();
    static CK_BYTE iv[300];

    NEED(api.encrypt_init(session, &gcm, key_make(session, "edS")));
    for (size_t i = 0; i < COUNT(cases); i++) {
        CK_BYTE tag[16], sealed[5];
        struct t_gcm_message message = { iv, cases[i].iv_len, cases[i].fixed, cases[i].generator, tag, 128 };

        if (!EXPECT(hello(session, &message, sealed), cases[i].want)) printf("      case %zu\n", i);
    }
}

/* A-G16. */
TEST(a_callers_iv_makes_one_message)
{
    CK_SESSION_HANDLE session = begin();
    CK_BYTE iv[12] = "caller's iv", tag[16], sealed[5];
    struct t_gcm_message message = { iv, 12, 0, CKG_NO_GENERATE, tag, 128 };

    NEED(api.encrypt_init(session, &gcm, key_make(session, "edS")));
    NEED(hello(session, &message, sealed));
    EXPECT(hello(session, &message, sealed), CKR_MECHANISM_PARAM_INVALID);
    iv[0]++;
    EXPECT(hello(session, &message, sealed), CKR_OK);
}

TEST(under_strict_no_iv_is_the_callers)
{
    CK_BYTE iv[12] = "caller's iv", tag[16], sealed[5];
    struct t_gcm_message message = { iv, 12, 0, CKG_NO_GENERATE, tag, 128 };
    CK_SESSION_HANDLE session;

    sandbox_setting("policy = strict");
    session = begin();
    NEED(api.encrypt_init(session, &gcm, key_make(session, "edS")));
    EXPECT(hello(session, &message, sealed), CKR_MECHANISM_PARAM_INVALID);
    message.generator = CKG_GENERATE;
    EXPECT(hello(session, &message, sealed), CKR_OK);
    memset(iv, 0, 12);
    message.generator = CKG_NO_GENERATE;
    EXPECT(hello(session, &message, sealed), CKR_OK);
    CHECK(memcmp(iv, (CK_BYTE[12]){ 0 }, 12) != 0);
}

TEST(a_tampered_message_is_refused_and_the_next_one_is_not)
{
    CK_SESSION_HANDLE session = begin();
    CK_OBJECT_HANDLE key = key_make(session, "edS");
    CK_BYTE iv[12] = { 0 }, tag[16], sealed[5], out[5] = { 0 };
    struct t_gcm_message message = { iv, 12, 0, CKG_GENERATE, tag, 128 };
    CK_ULONG len = 5;

    NEED(api.encrypt_init(session, &gcm, key));
    NEED(hello(session, &message, sealed));
    NEED(api.decrypt_init(session, &gcm, key));
    for (int i = 0; i < 16; i++) {
        tag[i] ^= 1;
        EXPECT(goodbye(session, &message, sealed), CKR_AEAD_DECRYPT_FAILED);
        tag[i] ^= 1;
    }
    sealed[0] ^= 1;
    EXPECT(goodbye(session, &message, sealed), CKR_AEAD_DECRYPT_FAILED);
    sealed[0] ^= 1;
    EXPECT(api.decrypt(session, &message, sizeof message, AAD, 2, sealed, 5, out, &len), CKR_AEAD_DECRYPT_FAILED);
    CHECK(memcmp(out, (CK_BYTE[5]){ 0 }, 5) == 0);
    EXPECT(goodbye(session, &message, sealed), CKR_OK);
}

TEST(a_message_in_parts_is_the_message)
{
    CK_SESSION_HANDLE session = begin();
    CK_OBJECT_HANDLE key = key_make(session, "edS");
    CK_BYTE data[500], sealed[500], out[500], iv[12] = { 0 }, tag[16];
    struct t_gcm_message message = { iv, 12, 0, CKG_GENERATE, tag, 128 };
    CK_ULONG len;
    uint64_t rng = 5;

    rng_fill(&rng, data, sizeof data);
    NEED(api.encrypt_init(session, &gcm, key));
    NEED(api.encrypt_begin(session, &message, sizeof message, AAD, 3));
    for (CK_ULONG at = 0; at < 500; at += 100) {
        len = 100;
        NEED(api.encrypt_next(session, &message, sizeof message, data + at, 100, sealed + at, &len, at == 400 ? CKF_END_OF_MESSAGE : 0));
        CHECK(len == 100);
    }
    NEED(api.decrypt_init(session, &gcm, key));
    len = sizeof out;
    NEED(api.decrypt(session, &message, sizeof message, AAD, 3, sealed, 500, out, &len));
    CHECK(len == 500 && memcmp(out, data, 500) == 0);
    /* In parts nothing comes before the tag has been looked at, with the last part. */
    NEED(api.decrypt_begin(session, &message, sizeof message, AAD, 3));
    len = sizeof out;
    NEED(api.decrypt_next(session, &message, sizeof message, sealed, 300, out, &len, 0));
    CHECK(len == 0);
    len = 0;
    EXPECT(api.decrypt_next(session, &message, sizeof message, sealed + 300, 200, out, &len, CKF_END_OF_MESSAGE), CKR_BUFFER_TOO_SMALL);
    CHECK(len == 500);
    NEED(api.decrypt_next(session, &message, sizeof message, sealed + 300, 200, out, &len, CKF_END_OF_MESSAGE));
    CHECK(len == 500 && memcmp(out, data, 500) == 0);
    tag[0] ^= 1;
    NEED(api.decrypt_begin(session, &message, sizeof message, AAD, 3));
    len = sizeof out;
    EXPECT(api.decrypt_next(session, &message, sizeof message, sealed, 500, out, &len, CKF_END_OF_MESSAGE), CKR_AEAD_DECRYPT_FAILED);
}

TEST(a_message_has_a_beginning_and_an_end)
{
    CK_SESSION_HANDLE session = begin();
    CK_BYTE iv[12] = { 0 }, tag[16], sealed[5];
    struct t_gcm_message message = { iv, 12, 0, CKG_GENERATE, tag, 128 };
    CK_ULONG len = 5;

    EXPECT(hello(session, &message, sealed), CKR_OPERATION_NOT_INITIALIZED);
    EXPECT(api.encrypt_next(session, &message, sizeof message, HELLO, 5, sealed, &len, 0), CKR_OPERATION_NOT_INITIALIZED);
    NEED(api.encrypt_init(session, &gcm, key_make(session, "edS")));
    EXPECT(api.encrypt_init(session, &gcm, key_make(session, "edS")), CKR_OPERATION_ACTIVE);
    EXPECT(api.encrypt_next(session, &message, sizeof message, HELLO, 5, sealed, &len, 0), CKR_OPERATION_NOT_INITIALIZED);
    NEED(api.encrypt_begin(session, &message, sizeof message, AAD, 3));
    EXPECT(api.encrypt_begin(session, &message, sizeof message, AAD, 3), CKR_OPERATION_ACTIVE);
    EXPECT(hello(session, &message, sealed), CKR_OPERATION_ACTIVE);
    NEED(api.encrypt_next(session, &message, sizeof message, HELLO, 5, sealed, &len, CKF_END_OF_MESSAGE));
    EXPECT(hello(session, &message, sealed), CKR_OK);
    NEED(p11->C_Logout(session));
    EXPECT(hello(session, &message, sealed), CKR_OPERATION_NOT_INITIALIZED);
}

/* What is written to `tag` is as long as the call that lends it says. */
TEST(a_part_lends_the_room_for_the_tag_that_was_asked_for)
{
    static const CK_ULONG bits[][2] = { { 128, 96 }, { 96, 128 } };
    CK_SESSION_HANDLE session = begin();
    CK_OBJECT_HANDLE key = key_make(session, "edS");
    CK_BYTE iv[12] = { 0 }, tag[16], sealed[5];
    struct t_gcm_message message = { iv, 12, 0, CKG_GENERATE, tag, 128 };
    CK_ULONG len = 5;

    NEED(api.encrypt_init(session, &gcm, key));
    NEED(api.decrypt_init(session, &gcm, key));
    for (size_t i = 0; i < COUNT(bits); i++) {
        memset(tag, 0x55, sizeof tag);
        message.tag_bits = bits[i][0];
        NEED(api.encrypt_begin(session, &message, sizeof message, AAD, 3));
        NEED(api.decrypt_begin(session, &message, sizeof message, AAD, 3));
        message.tag_bits = bits[i][1];
        EXPECT(api.encrypt_next(session, &message, sizeof message, HELLO, 5, sealed, &len, CKF_END_OF_MESSAGE),
               CKR_MECHANISM_PARAM_INVALID);
        EXPECT(api.decrypt_next(session, &message, sizeof message, sealed, 5, sealed, &len, CKF_END_OF_MESSAGE),
               CKR_MECHANISM_PARAM_INVALID);
        CHECK(tag[0] == 0x55 && tag[15] == 0x55);
    }
}

TEST(a_message_asks_for_no_more_room_than_its_data)
{
    CK_SESSION_HANDLE session = begin();
    CK_BYTE iv[12] = { 0 }, tag[16], sealed[5];
    struct t_gcm_message message = { iv, 12, 0, CKG_GENERATE, tag, 128 };
    CK_ULONG len = 0;

    NEED(api.encrypt_init(session, &gcm, key_make(session, "edS")));
    NEED(api.encrypt(session, &message, sizeof message, AAD, 3, HELLO, 5, NULL, &len));
    CHECK(len == 5 && memcmp(iv, (CK_BYTE[12]){ 0 }, 12) == 0);
    len = 4;
    EXPECT(api.encrypt(session, &message, sizeof message, AAD, 3, HELLO, 5, sealed, &len), CKR_BUFFER_TOO_SMALL);
    CHECK(len == 5);
    NEED(api.encrypt(session, &message, sizeof message, AAD, 3, HELLO, 5, sealed, &len));
    EXPECT(api.encrypt(session, &message, sizeof message - 1, AAD, 3, HELLO, 5, sealed, &len), CKR_MECHANISM_PARAM_INVALID);
    message.tag_bits = 88;
    EXPECT(hello(session, &message, sealed), CKR_MECHANISM_PARAM_INVALID);
    message.tag_bits = 128;
    message.tag = NULL;
    EXPECT(hello(session, &message, sealed), CKR_MECHANISM_PARAM_INVALID);
}

TEST(ladder_keys_take_messages)
{
    CK_SESSION_HANDLE session = begin();
    CK_OBJECT_HANDLE record = 0;
    CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_FALSE) };
    CK_BYTE iv[16] = { 0 }, tag[16], sealed[5];
    struct t_gcm_message message = { iv, 12, 0, CKG_GENERATE_COUNTER, tag, 128 };

    NEED(hkdf_try(session, find_one(session, "master"), NULL, 0, "x", 1, template, 1, &record));
    NEED(api.encrypt_init(session, &gcm, record));
    NEED(api.decrypt_init(session, &gcm, record));
    NEED(hello(session, &message, sealed));
    EXPECT(goodbye(session, &message, sealed), CKR_OK);
    message.iv_len = 16;
    EXPECT(hello(session, &message, sealed), CKR_MECHANISM_PARAM_INVALID);
}

TEST(chacha20_takes_messages_with_nonces_counted_in_bytes_or_bits)
{
    CK_SESSION_HANDLE session = begin();
    CK_MECHANISM generation = { CKM_CHACHA20_KEY_GEN, NULL, 0 }, mech = { CKM_CHACHA20_POLY1305, NULL, 0 };
    CK_OBJECT_HANDLE key = 0;

    NEED(p11->C_GenerateKey(session, &generation, NULL, 0, &key));
    NEED(api.encrypt_init(session, &mech, key));
    NEED(api.decrypt_init(session, &mech, key));
    for (CK_ULONG nonce_len = 0; nonce_len <= 128; nonce_len += 4) {
        CK_BYTE nonce[12] = { (CK_BYTE)nonce_len, 1 }, tag[16], sealed[5], out[5];
        struct t_chacha_message message = { nonce, nonce_len, tag };
        CK_ULONG len = 5;
        bool fits = nonce_len == 12 || nonce_len == 96;

        EXPECT(api.encrypt(session, &message, sizeof message, AAD, 3, HELLO, 5, sealed, &len), fits ? CKR_OK : CKR_MECHANISM_PARAM_INVALID);
        if (!fits) continue;
        EXPECT(api.encrypt(session, &message, sizeof message, AAD, 3, HELLO, 5, sealed, &len), CKR_MECHANISM_PARAM_INVALID);
        NEED(api.decrypt(session, &message, sizeof message, AAD, 3, sealed, 5, out, &len));
        CHECK(memcmp(out, "hello", 5) == 0);
        tag[15] ^= 1;
        EXPECT(api.decrypt(session, &message, sizeof message, AAD, 3, sealed, 5, out, &len), CKR_AEAD_DECRYPT_FAILED);
    }
}

const struct test message_tests[] = {
    T(every_generator_makes_ivs_that_decrypt, OURS),
    T(a_counter_counts_and_fixed_bits_stay, OURS),
    T(too_few_free_bits_are_refused, OURS),
    T(a_callers_iv_makes_one_message, OURS),
    T(under_strict_no_iv_is_the_callers, OURS),
    T(a_tampered_message_is_refused_and_the_next_one_is_not, OURS),
    T(a_message_in_parts_is_the_message, OURS),
    T(a_message_has_a_beginning_and_an_end, OURS),
    T(a_part_lends_the_room_for_the_tag_that_was_asked_for, OURS),
    T(a_message_asks_for_no_more_room_than_its_data, OURS),
    T(ladder_keys_take_messages, OURS),
    T(chacha20_takes_messages_with_nonces_counted_in_bytes_or_bits, OURS),
    { NULL, NULL, 0 },
};
