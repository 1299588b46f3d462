/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Wrapping and unwrapping by each mechanism that does (token/wrap.c, mech_aes_key_wrap.c, mech_aes_cbc.c). */
#include "token/wrap.h"

#include "../failing.h"
#include "crypto/random.h"
#include "fixture.h"
#include "token/aead_op.h"
#include "token/mech.h"
#include "token/policy.h"

static struct kl_session *session;

static const uint8_t kek_bytes[32] = "the bytes of a key that wraps ..";
static const uint8_t value[64] = "the bytes of a key that leaves, and of a longer one that leaves";

static void begin(void)
{
    fixture_begin();
    session = session_new(CKF_RW_SESSION);
    log_in();
}

static void end(void)
{
    session_end(session);
    fixture_end();
}

/* --- short ways --- */

static uint8_t iv[16] = "sixteen bytes..";

static const struct row {
    CK_MECHANISM_TYPE type;
    void *parameter;
    size_t parameter_len;
    size_t step; /* lengths of a value are multiples of it */
    bool is_compatible;
} rows[] = {
    { CKM_AES_KEY_WRAP, NULL, 0, 8, false },     { CKM_AES_KEY_WRAP, iv, 8, 8, false },     { CKM_AES_KEY_WRAP_PAD, NULL, 0, 1, false },
    { CKM_AES_KEY_WRAP_KWP, NULL, 0, 1, false }, { CKM_AES_KEY_WRAP_KWP, iv, 4, 1, false }, { CKM_AES_CBC_PAD, iv, 16, 1, true },
};

static void allow(const struct row *row)
{
    demo->policy = row->is_compatible ? KL_POLICY_COMPATIBLE : KL_POLICY_STANDARD;
}

static CK_OBJECT_HANDLE kek_of(size_t len)
{
    return import_key(session, CKK_AES, kek_bytes, len, CKA_WRAP, CKA_UNWRAP);
}

static CK_OBJECT_HANDLE secret_of(size_t len)
{
    return import_key(session, CKK_GENERIC_SECRET, value, len, CKA_SIGN, 0);
}

static enum kl_rc wrap(const struct row *row, CK_OBJECT_HANDLE kek, CK_OBJECT_HANDLE key, uint8_t *out, size_t *len)
{
    CK_MECHANISM mechanism = { row->type, row->parameter, row->parameter_len };
    struct kl_wrap_call call = { .mechanism = &mechanism, .key = kek };
    struct kl_out room = { out, *len, 0 };
    enum kl_rc rc = kl_object_wrap(session, &call, key, &room);

    *len = room.len;
    return rc;
}

static enum kl_rc unwrap_with(const struct row *row, CK_OBJECT_HANDLE kek, const void *wrapped, size_t len, const CK_ATTRIBUTE *template,
                              CK_ULONG count, CK_OBJECT_HANDLE *key)
{
    CK_MECHANISM mechanism = { row->type, row->parameter, row->parameter_len };
    struct kl_wrap_call call = { .mechanism = &mechanism, .key = kek };

    return kl_object_unwrap(session, &call, kl_view_of(wrapped, len), template, count, key);
}

/* To a key that can be read. */
static enum kl_rc unwrap(const struct row *row, CK_OBJECT_HANDLE kek, const void *wrapped, size_t len, CK_OBJECT_HANDLE *key)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_KEY_TYPE, CKK_GENERIC_SECRET), A_BOOL(CKA_SENSITIVE, CK_FALSE),
                                A_BOOL(CKA_EXTRACTABLE, CK_TRUE) };

    return unwrap_with(row, kek, wrapped, len, template, COUNT(template), key);
}

static bool has_value(CK_OBJECT_HANDLE key, const void *bytes, size_t len)
{
    uint8_t room[64];
    CK_ATTRIBUTE attr = { CKA_VALUE, room, sizeof room };

    return kl_object_read(session, key, &attr, 1) == KL_OK && attr.ulValueLen == len && memcmp(room, bytes, len) == 0;
}

static size_t from_hex(const char *hex, uint8_t *out)
{
    size_t len = strlen(hex) / 2;

    for (size_t i = 0; i < len; i++) {
        char pair[3] = { hex[2 * i], hex[2 * i + 1], '\0' };

        out[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return len;
}

/* --- known answers: RFC 3394 4.1 and 4.6, RFC 5649 6 --- */

static const struct {
    CK_MECHANISM_TYPE type;
    const char *kek, *value, *wrapped;
} known[] = {
    { CKM_AES_KEY_WRAP, "000102030405060708090A0B0C0D0E0F", "00112233445566778899AABBCCDDEEFF",
      "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5" },
    { CKM_AES_KEY_WRAP, "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
      "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F",
      "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21" },
    { CKM_AES_KEY_WRAP_KWP, "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8", "c37b7e6492584340bed12207808941155068f738",
      "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a" },
    { CKM_AES_KEY_WRAP_PAD, "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8", "466f7250617369", "afbeb0f07dfbf5419200f2ccb50bb24f" },
};

static void wrapped_keys_are_those_of_their_papers(void)
{
    begin();
    for (size_t i = 0; i < COUNT(known); i++) {
        const struct row row = { known[i].type, NULL, 0, 1, false };
        uint8_t kek[32], key[32], want[48], out[48];
        size_t kek_len = from_hex(known[i].kek, kek), key_len = from_hex(known[i].value, key), want_len = from_hex(known[i].wrapped, want),
               len = sizeof out;
        CK_OBJECT_HANDLE wrapper = import_key(session, CKK_AES, kek, kek_len, CKA_WRAP, CKA_UNWRAP), back = 0;
        CK_OBJECT_HANDLE leaving = import_key(session, CKK_GENERIC_SECRET, key, key_len, CKA_SIGN, 0);

        CU_ASSERT_EQUAL(wrap(&row, wrapper, leaving, out, &len), key_len > kek_len ? KL_WRAPPING_SIZE : KL_OK);
        if (key_len <= kek_len) CU_ASSERT(len == want_len && memcmp(out, want, len) == 0);
        CU_ASSERT_EQUAL(unwrap(&row, wrapper, want, want_len, &back), KL_OK);
        CU_ASSERT(has_value(back, key, key_len));
    }
    end();
}

/* --- lengths --- */

static void what_was_wrapped_unwraps_and_is_as_long_as_was_said(void)
{
    begin();
    for (size_t i = 0; i < COUNT(rows); i++) {
        CK_OBJECT_HANDLE kek = kek_of(32);

        allow(&rows[i]);
        for (size_t len = rows[i].step == 8 ? 16 : 1; len <= sizeof value; len += rows[i].step) {
            CK_OBJECT_HANDLE key = secret_of(len), back = 0;
            uint8_t out[80];
            size_t asked = 0, got;

            CU_ASSERT_EQUAL(wrap(&rows[i], kek, key, NULL, &asked), KL_OK);
            got = asked - 1;
            CU_ASSERT_EQUAL(wrap(&rows[i], kek, key, out, &got), KL_BUFFER);
            CU_ASSERT_EQUAL(got, asked);
            CU_ASSERT_EQUAL(wrap(&rows[i], kek, key, out, &got), KL_OK);
            CU_ASSERT_EQUAL(got, asked);
            CU_ASSERT_EQUAL(unwrap(&rows[i], kek, out, got, &back), KL_OK);
            CU_ASSERT(has_value(back, value, len));
        }
    }
    end();
}

static void key_wrap_takes_whole_semiblocks_and_two_at_least(void)
{
    uint8_t out[80];

    begin();
    for (size_t len = 1; len <= 40; len++) {
        size_t got = sizeof out;

        CU_ASSERT_EQUAL(wrap(&rows[0], kek_of(32), secret_of(len), out, &got), len >= 16 && len % 8 == 0 ? KL_OK : KL_KEY_SIZE);
    }
    end();
}

/* A-W18: nothing is read past 8 KiB, here not at all. */
static void lengths_that_no_wrapped_key_has_are_refused_unread(void)
{
    static const size_t lens[] = { 0, 1, 7, 8, 15, 17, (size_t)1 << 31, 8209, 8224, SIZE_MAX };
    CK_OBJECT_HANDLE key = 0;

    begin();
    for (size_t i = 0; i < COUNT(rows); i++) {
        allow(&rows[i]);
        for (size_t l = 0; l < COUNT(lens); l++)
            CU_ASSERT_EQUAL(unwrap(&rows[i], kek_of(32), lens[l] ? (void *)16 : NULL, lens[l], &key), KL_WRAPPED_LENGTH);
    }
    CU_ASSERT_EQUAL(key, 0);
    end();
}

/* --- what must not unwrap --- */

static void what_was_changed_does_not_unwrap(void)
{
    begin();
    for (size_t i = 0; i < COUNT(rows); i++) {
        CK_OBJECT_HANDLE kek = kek_of(32), key = 0;
        uint8_t out[80];
        size_t len = sizeof out;

        if (rows[i].is_compatible) continue; /* nothing tells that */
        CU_ASSERT_EQUAL(wrap(&rows[i], kek, secret_of(32), out, &len), KL_OK);
        for (size_t bit = 0; bit < 8 * len; bit += 3) {
            out[bit / 8] ^= (uint8_t)(1 << bit % 8);
            CU_ASSERT_EQUAL(unwrap(&rows[i], kek, out, len, &key), KL_WRAPPED);
            out[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        CU_ASSERT_EQUAL(unwrap(&rows[i], kek_of(16), out, len, &key), KL_WRAPPED);
        CU_ASSERT_EQUAL(unwrap(&rows[i], kek, out, len - 8, &key), KL_WRAPPED);
        CU_ASSERT_EQUAL(key, 0);
    }
    end();
}

/* A-W13: the same code for bad padding, for no key left, and for one of a length that was not asked for. */
static void every_failure_of_cbc_is_one_code(void)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_KEY_TYPE, CKK_GENERIC_SECRET), A_ULONG(CKA_VALUE_LEN, 32) };
    const struct row *row = &rows[COUNT(rows) - 1];
    CK_OBJECT_HANDLE kek, key = 0;
    uint8_t out[80];
    size_t len = sizeof out;
    unsigned good = 0;

    begin();
    allow(row);
    kek = kek_of(32);
    CU_ASSERT_EQUAL(wrap(row, kek, secret_of(32), out, &len), KL_OK);
    for (unsigned byte = 0; byte < 256; byte++) {
        enum kl_rc rc;

        out[31] ^= (uint8_t)byte;
        rc = unwrap_with(row, kek, out, len, template, 2, &key);
        CU_ASSERT(rc == KL_OK || rc == KL_WRAPPED);
        good += rc == KL_OK;
        out[31] ^= (uint8_t)byte;
    }
    CU_ASSERT_EQUAL(good, 1); /* the padding of one byte gives 47 */
    end();
}

static void a_length_that_was_not_asked_for_is_a_bad_key(void)
{
    CK_ATTRIBUTE short_one[] = { A_ULONG(CKA_KEY_TYPE, CKK_GENERIC_SECRET), A_ULONG(CKA_VALUE_LEN, 31) },
                 aes[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES) }, none[] = { A_BOOL(CKA_SENSITIVE, CK_TRUE) };

    begin();
    for (size_t i = 0; i < COUNT(rows); i++) {
        CK_OBJECT_HANDLE kek = kek_of(32), key = 0;
        uint8_t out[80];
        size_t len = sizeof out;

        allow(&rows[i]);
        CU_ASSERT_EQUAL(wrap(&rows[i], kek, secret_of(40), out, &len), KL_OK);
        CU_ASSERT_EQUAL(unwrap_with(&rows[i], kek, out, len, short_one, 2, &key), KL_WRAPPED);
        CU_ASSERT_EQUAL(unwrap_with(&rows[i], kek, out, len, aes, 1, &key), KL_WRAPPED);
        CU_ASSERT_EQUAL(unwrap_with(&rows[i], kek, out, len, none, 1, &key), KL_TEMPLATE_INCOMPLETE);
        CU_ASSERT_EQUAL(key, 0);
    }
    end();
}

/* --- parameters and mechanisms --- */

static void parameters_of_other_lengths_are_refused(void)
{
    uint8_t out[80], large[24] = { 0 };
    CK_OBJECT_HANDLE key = 0;

    begin();
    for (size_t i = 0; i < COUNT(rows); i++) {
        CK_OBJECT_HANDLE kek = kek_of(32), leaving = secret_of(32);
        bool is_kw = rows[i].type == CKM_AES_KEY_WRAP;

        allow(&rows[i]);
        for (size_t len = 0; len <= sizeof large; len++) {
            const struct row row = { rows[i].type, large, len, 1, rows[i].is_compatible };
            bool fits = rows[i].is_compatible ? len == 16 : len == 0 || len == (is_kw ? 8U : 4U);
            size_t got = sizeof out;

            CU_ASSERT_EQUAL(wrap(&row, kek, leaving, out, &got), fits ? KL_OK : KL_PARAMETER);
            CU_ASSERT_EQUAL(wrap(&row, kek, leaving, NULL, &got), fits ? KL_OK : KL_PARAMETER);
            if (!fits) CU_ASSERT_EQUAL(unwrap(&row, kek, out, 40, &key), KL_PARAMETER);
        }
        CU_ASSERT_EQUAL(unwrap(&(struct row){ rows[i].type, NULL, 8, 1, false }, kek, out, 40, &key), KL_PARAMETER);
    }
    end();
}

static void cbc_wraps_under_compatible_only_and_nothing_unpadded_ever(void)
{
    static const CK_MECHANISM_TYPE never[] = { CKM_AES_CBC, CKM_AES_CTR, CKM_AES_ECB, CKM_AES_GCM, CKM_SHA256_HMAC };
    const struct row *cbc = &rows[COUNT(rows) - 1];
    CK_OBJECT_HANDLE kek, leaving, key = 0;
    CK_MECHANISM_INFO info;
    uint8_t out[80] = { 0 };
    size_t len = sizeof out;

    begin();
    kek = kek_of(32);
    leaving = secret_of(32);
    CU_ASSERT_EQUAL(wrap(cbc, kek, leaving, out, &len), KL_MECHANISM);
    CU_ASSERT_EQUAL(unwrap(cbc, kek, out, 48, &key), KL_MECHANISM);
    CU_ASSERT_EQUAL(kl_mech_info(demo, CKM_AES_CBC_PAD, &info), KL_OK);
    CU_ASSERT_EQUAL(info.flags, CKF_ENCRYPT | CKF_DECRYPT);
    demo->policy = KL_POLICY_COMPATIBLE;
    CU_ASSERT_EQUAL(kl_mech_info(demo, CKM_AES_CBC_PAD, &info), KL_OK);
    CU_ASSERT_EQUAL(info.flags, CKF_ENCRYPT | CKF_DECRYPT | CKF_WRAP | CKF_UNWRAP);
    for (size_t i = 0; i < COUNT(never); i++) {
        const struct row row = { never[i], iv, sizeof iv, 1, true };

        len = sizeof out;
        CU_ASSERT_EQUAL(wrap(&row, kek, leaving, out, &len), KL_MECHANISM);
        CU_ASSERT_EQUAL(unwrap(&row, kek, out, 48, &key), KL_MECHANISM);
    }
    end();
}

static void key_wrap_encrypts_nothing_else(void)
{
    CK_OBJECT_HANDLE key;

    begin();
    key = import_key(session, CKK_AES, value, 32, CKA_ENCRYPT, CKA_DECRYPT);
    for (size_t i = 0; i < COUNT(rows); i++) {
        CK_MECHANISM mechanism = { rows[i].type, rows[i].parameter, rows[i].parameter_len };

        if (rows[i].is_compatible) continue;
        CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, &mechanism, key), KL_MECHANISM);
        CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_DECRYPT, &mechanism, key), KL_MECHANISM);
    }
    end();
}

/* --- keys --- */

static CK_OBJECT_HANDLE ladder_wrapper(CK_ULONG len)
{
    CK_HKDF_PARAMS hkdf = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, (CK_BYTE *)(uintptr_t) "4711", 4 };
    CK_MECHANISM mechanism = { CKM_HKDF_DERIVE, &hkdf, sizeof hkdf };
    CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_FALSE), A_ULONG(CKA_VALUE_LEN, len), A_BOOL(CKA_WRAP, CK_TRUE),
                                A_BOOL(CKA_UNWRAP, CK_TRUE) };
    CK_OBJECT_HANDLE key = 0;

    last_rc = kl_object_derive(session, &mechanism, find_label(session, "master"), template, COUNT(template), &key);
    return key;
}

static void a_ladder_key_wraps_under_a_subkey_of_each_mechanism(void)
{
    CK_OBJECT_HANDLE kek, small, same, key = 0;
    uint8_t first[80], out[80];
    size_t len = sizeof first, got;

    begin();
    kek = ladder_wrapper(32);
    small = ladder_wrapper(16);
    same = ladder_wrapper(32);
    for (size_t i = 0; i < COUNT(rows); i++) {
        allow(&rows[i]);
        got = sizeof out;
        CU_ASSERT_EQUAL(wrap(&rows[i], kek, secret_of(32), out, &got), rows[i].is_compatible ? KL_KEY_FUNCTION : KL_OK);
        if (rows[i].is_compatible) continue;
        CU_ASSERT_EQUAL(unwrap(&rows[i], same, out, got, &key), KL_OK);
        CU_ASSERT(has_value(key, value, 32));
        got = sizeof out;
        CU_ASSERT_EQUAL(wrap(&rows[i], small, secret_of(16), out, &got), KL_OK);
        CU_ASSERT_EQUAL(unwrap(&rows[i], small, out, got, &key), KL_OK);
        CU_ASSERT(has_value(key, value, 16));
    }
    /* KWP by its old number is KWP under other bytes. */
    CU_ASSERT_EQUAL(wrap(&rows[2], kek, secret_of(32), first, &len), KL_OK);
    CU_ASSERT_EQUAL(unwrap(&rows[3], kek, first, len, &key), KL_WRAPPED);
    end();
}

static void a_key_of_another_type_or_use_wraps_nothing(void)
{
    begin();
    for (size_t i = 0; i < COUNT(rows); i++) {
        CK_OBJECT_HANDLE secret = import_key(session, CKK_GENERIC_SECRET, kek_bytes, 32, CKA_WRAP, CKA_UNWRAP),
                         one_way = import_key(session, CKK_AES, kek_bytes, 32, CKA_WRAP, 0), leaving = secret_of(32), key = 0;
        uint8_t out[80];
        size_t len = sizeof out;

        allow(&rows[i]);
        CU_ASSERT_EQUAL(wrap(&rows[i], secret, leaving, out, &len), KL_WRAPPING_TYPE);
        CU_ASSERT_EQUAL(unwrap(&rows[i], secret, out, 40, &key), KL_UNWRAPPING_TYPE);
        CU_ASSERT_EQUAL(wrap(&rows[i], 0, leaving, out, &len), KL_WRAPPING_KEY);
        CU_ASSERT_EQUAL(unwrap(&rows[i], 0, out, 40, &key), KL_UNWRAPPING_KEY);
        len = sizeof out;
        CU_ASSERT_EQUAL(wrap(&rows[i], one_way, leaving, out, &len), KL_OK);
        CU_ASSERT_EQUAL(unwrap(&rows[i], one_way, out, len, &key), KL_KEY_FUNCTION);
        CU_ASSERT_EQUAL(wrap(&rows[i], one_way, 0, out, &len), KL_OBJECT);
        CU_ASSERT_EQUAL(wrap(&rows[i], one_way, find_label(session, "master"), out, &len), KL_KEY_UNEXTRACTABLE);
    }
    end();
}

/* --- one key, two formats --- */

/* IVs whose second four bytes are 0, 0, 0, 8. */
static enum kl_rc eight(void *out, size_t len)
{
    memset(out, 0, len);
    ((uint8_t *)out)[7] = 8;
    return KL_OK;
}

static enum kl_rc wrap_by_gcm(CK_OBJECT_HANDLE kek, CK_OBJECT_HANDLE key, CK_GENERATOR_FUNCTION generator, size_t fixed_bits)
{
    uint8_t gcm_iv[12] = "wxyz", out[80];
    CK_GCM_WRAP_PARAMS params = { gcm_iv, sizeof gcm_iv, fixed_bits, generator, NULL, 0, 128 };
    CK_MECHANISM mechanism = { CKM_AES_GCM, &params, sizeof params };
    struct kl_wrap_call call = { .mechanism = &mechanism, .key = kek, .is_authenticated = true };
    struct kl_out room = { out, sizeof out, 0 };

    return kl_object_wrap(session, &call, key, &room);
}

/*
 * A key of 8 bytes leaves under KWP as AES of one block: 4 bytes of the caller's, 0, 0, 0, 8, and the 8 bytes, which are his as
 * well. With such an IV that is GCM's key stream, and the sensitive key that it covers.
 */
static void no_iv_of_gcm_is_a_block_of_key_wrap(void)
{
    enum kl_rc (*usual)(void *out, size_t len) = kl_random_source;
    CK_OBJECT_HANDLE kek, key;

    begin();
    kek = kek_of(32);
    key = secret_of(32);
    kl_random_source = eight;
    CU_ASSERT_EQUAL(wrap_by_gcm(kek, key, CKG_GENERATE, 0), KL_NO_RANDOM);
    CU_ASSERT_EQUAL(wrap_by_gcm(kek, key, CKG_GENERATE_RANDOM, 0), KL_NO_RANDOM);
    kl_random_source = usual;
    CU_ASSERT_EQUAL(wrap_by_gcm(kek, key, CKG_GENERATE, 0), KL_OK);
    CU_ASSERT_EQUAL(wrap_by_gcm(kek, key, CKG_GENERATE_RANDOM, 0), KL_OK);
    end();
}

/* A counter begins anew in every copy of the key, and after every eviction: as often as somebody likes who waits for two to meet. */
static void ivs_of_wrapped_keys_are_drawn_whole(void)
{
    CK_OBJECT_HANDLE kek, key;

    begin();
    kek = kek_of(32);
    key = secret_of(32);
    CU_ASSERT_EQUAL(wrap_by_gcm(kek, key, CKG_GENERATE_COUNTER, 0), KL_PARAMETER);
    CU_ASSERT_EQUAL(wrap_by_gcm(kek, key, CKG_GENERATE_COUNTER, 32), KL_PARAMETER);
    CU_ASSERT_EQUAL(wrap_by_gcm(kek, key, CKG_GENERATE, 32), KL_PARAMETER);
    CU_ASSERT_EQUAL(wrap_by_gcm(kek, key, CKG_GENERATE, 1), KL_PARAMETER);
    CU_ASSERT_EQUAL(wrap_by_gcm(kek, key, CKG_NO_GENERATE, 0), KL_PARAMETER);
    end();
}

/* The IV that goes back by the parameter would be written into what was wrapped. */
static void the_iv_and_what_is_wrapped_lie_apart(void)
{
    uint8_t out[80];
    CK_GCM_WRAP_PARAMS params = { out, 12, 0, CKG_GENERATE, NULL, 0, 128 };
    CK_MECHANISM mechanism = { CKM_AES_GCM, &params, sizeof params };
    struct kl_wrap_call call = { .mechanism = &mechanism, .is_authenticated = true };
    struct kl_out room = { out, 48, 0 };
    CK_OBJECT_HANDLE key;

    begin();
    call.key = kek_of(32);
    key = secret_of(32);
    for (size_t at = 0; at < 60; at++) {
        params.pIv = out + at;
        CU_ASSERT_EQUAL(kl_object_wrap(session, &call, key, &room), at < 48 ? KL_ARG : KL_OK);
    }
    end();
}

/* --- policy = strict --- */

static void under_strict_what_is_refused_binds_nothing(void)
{
    const struct row bad = { CKM_AES_KEY_WRAP, iv, 7, 8, false };
    CK_OBJECT_HANDLE kek, leaving, key = 0;
    uint8_t out[80] = { 0 };
    size_t len = sizeof out;

    begin();
    demo->policy = KL_POLICY_STRICT;
    kek = kek_of(32);
    leaving = secret_of(32);
    CU_ASSERT_EQUAL(wrap(&bad, kek, leaving, out, &len), KL_PARAMETER);
    len = 0;
    CU_ASSERT_EQUAL(wrap(&rows[0], kek, leaving, out, &len), KL_BUFFER);
    CU_ASSERT_EQUAL(unwrap(&rows[0], kek, out, 40, &key), KL_WRAPPED);
    CU_ASSERT_EQUAL(wrap_by_gcm(kek, leaving, CKG_GENERATE, 0), KL_OK);
    len = sizeof out;
    CU_ASSERT_EQUAL(wrap(&rows[0], kek, leaving, out, &len), KL_KEY_FUNCTION);
    CU_ASSERT_EQUAL(unwrap(&rows[0], kek, out, 40, &key), KL_KEY_FUNCTION);
    end();
}

/* --- memory --- */

static enum kl_rc there_and_back(const struct row *row, CK_OBJECT_HANDLE kek, CK_OBJECT_HANDLE leaving)
{
    CK_OBJECT_HANDLE key = 0;
    uint8_t out[80];
    size_t len = sizeof out;

    KL_TRY(wrap(row, kek, leaving, out, &len));
    return unwrap(row, kek, out, len, &key);
}

static void no_memory_is_said_and_the_next_try_works(void)
{
    begin();
    for (size_t i = 0; i < COUNT(rows); i++) {
        CK_OBJECT_HANDLE kek = kek_of(32), leaving = secret_of(32);
        unsigned refused = 0;
        bool struck = true;

        allow(&rows[i]);
        for (unsigned n = 1; struck; n++) {
            enum kl_rc rc;

            failing_memory(n);
            rc = there_and_back(&rows[i], kek, leaving);
            struck = failing_has_failed();
            failing_memory(0);
            CU_ASSERT(rc == KL_OK || (struck && rc == KL_MEMORY));
            refused += rc != KL_OK;
        }
        CU_ASSERT(refused > 0);
    }
    end();
}

/* --- refusals --- */

static const struct row kwp = { CKM_AES_KEY_WRAP_KWP, NULL, 0, 1, false };
static const struct row root = { CKM_KL_ROOT_WRAP, NULL, 0, 8, false };

static void what_wraps_nothing_is_no_mechanism(void)
{
    static const CK_MECHANISM_TYPE strange[] = { 0x12345678, CKM_SHA256, CKM_AES_GCM };
    uint8_t out[80];
    enum kl_hash hash;

    begin();
    CU_ASSERT_EQUAL(kl_mech_hash(CKM_SHA_1, &hash), KL_PARAMETER);
    for (size_t i = 0; i < COUNT(strange); i++) {
        size_t len = sizeof out;

        CU_ASSERT_EQUAL(wrap(&(struct row){ strange[i], NULL, 0, 1, false }, kek_of(32), secret_of(32), out, &len), KL_MECHANISM);
    }
    end();
}

static void data_is_no_key_to_wrap(void)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_DATA) };
    CK_OBJECT_HANDLE data = 0;
    uint8_t out[80];
    size_t len = sizeof out;

    begin();
    CU_ASSERT_EQUAL(kl_object_create(session, template, 1, &data), KL_OK);
    CU_ASSERT_EQUAL(wrap(&kwp, kek_of(32), data, out, &len), KL_KEY_HANDLE);
    end();
}

static void a_key_is_not_unwrapped_to_what_there_is_not(void)
{
    CK_ATTRIBUTE rsa[] = { A_ULONG(CKA_KEY_TYPE, CKK_RSA) }, broken[] = { { CKA_LABEL, NULL, 3 } };
    CK_OBJECT_HANDLE kek, key = 0;
    uint8_t out[80];
    size_t len = sizeof out;

    begin();
    kek = kek_of(32);
    CU_ASSERT_EQUAL(wrap(&kwp, kek, secret_of(32), out, &len), KL_OK);
    CU_ASSERT_EQUAL(unwrap_with(&kwp, kek, out, len, rsa, 1, &key), KL_ATTR_VALUE);
    CU_ASSERT_EQUAL(unwrap_with(&kwp, kek, out, len, broken, 1, &key), KL_ATTR_VALUE);
    end();
}

/* Session keys may be longer than token keys, and than what CBC wraps. */
static void a_long_key_stays_a_session_key(void)
{
    static uint8_t bytes[9000], out[9100];
    CK_ATTRIBUTE token[] = { A_ULONG(CKA_KEY_TYPE, CKK_GENERIC_SECRET), A_BOOL(CKA_TOKEN, CK_TRUE) };
    CK_OBJECT_HANDLE kek, leaving, key = 0;
    const struct row cbc = { CKM_AES_CBC_PAD, iv, 16, 1, true };
    size_t len = sizeof out;

    begin();
    demo->policy = KL_POLICY_COMPATIBLE;
    kek = kek_of(32);
    leaving = import_key(session, CKK_GENERIC_SECRET, bytes, KL_VALUE_MAX + 8, CKA_SIGN, 0);
    CU_ASSERT_EQUAL_FATAL(wrap(&cbc, kek, leaving, out, &len), KL_OK);
    CU_ASSERT_EQUAL(unwrap_with(&cbc, kek, out, len, token, 2, &key), KL_WRAPPED);
    CU_ASSERT_EQUAL(unwrap_with(&cbc, kek, out, len, token, 1, &key), KL_OK);
    leaving = import_key(session, CKK_GENERIC_SECRET, bytes, sizeof bytes, CKA_SIGN, 0);
    len = sizeof out;
    CU_ASSERT_EQUAL(wrap(&cbc, kek, leaving, out, &len), KL_KEY_SIZE);
    end();
}

/* One block that is nothing but padding holds no key, and what ends in 0 is not padded. */
static void padding_alone_is_no_key(void)
{
    uint8_t block[16], sealed[16];
    CK_MECHANISM cbc = { CKM_AES_CBC, iv, 16 };
    const struct row pad = { CKM_AES_CBC_PAD, iv, 16, 1, true };
    struct kl_out room = { sealed, sizeof sealed, 0 };
    CK_OBJECT_HANDLE twin, kek, key = 0;

    begin();
    demo->policy = KL_POLICY_COMPATIBLE;
    kek = kek_of(32);
    twin = import_key(session, CKK_AES, kek_bytes, 32, CKA_ENCRYPT, CKA_DECRYPT);
    for (int fill = 0; fill <= 16; fill += 16) {
        memset(block, fill, sizeof block);
        CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, &cbc, twin), KL_OK);
        CU_ASSERT_EQUAL(kl_op_once(session, KL_OP_ENCRYPT, kl_view_of(block, 16), &room), KL_OK);
        CU_ASSERT_EQUAL(unwrap(&pad, kek, sealed, 16, &key), KL_WRAPPED);
    }
    end();
}

static void associated_data_is_said_once_or_twice_alike(void)
{
    static uint8_t large[1];
    uint8_t nonce[12] = { 0 }, out[80];
    CK_GCM_WRAP_PARAMS params = { nonce, 12, 0, CKG_GENERATE_RANDOM, (CK_BYTE *)(uintptr_t) "abc", 3, 128 };
    CK_MECHANISM mechanism = { CKM_AES_GCM, &params, sizeof params };
    struct kl_wrap_call call = { .mechanism = &mechanism, .is_authenticated = true, .aad = kl_view_text("abc") };
    struct kl_out room = { out, sizeof out, 0 };
    CK_OBJECT_HANDLE leaving;

    begin();
    call.key = kek_of(32);
    leaving = secret_of(32);
    CU_ASSERT_EQUAL(kl_object_wrap(session, &call, leaving, &room), KL_OK);
    call.aad = kl_view_text("abd");
    CU_ASSERT_EQUAL(kl_object_wrap(session, &call, leaving, &room), KL_PARAMETER);
    call.aad = kl_view_of(NULL, 0);
    CU_ASSERT_EQUAL(kl_object_wrap(session, &call, leaving, &room), KL_OK);
    params.ulAADLen = 0;
    call.aad = kl_view_of(large, (size_t)KL_AEAD_AAD_MAX + 1);
    CU_ASSERT_EQUAL(kl_object_wrap(session, &call, leaving, &room), KL_PARAMETER);
    end();
}

static void the_root_wraps_what_it_can_and_takes_no_parameter(void)
{
    static uint8_t out[4096];
    const struct row more = { CKM_KL_ROOT_WRAP, iv, 1, 8, false };
    CK_MECHANISM mechanism = { CKM_KL_ROOT_WRAP, NULL, 0 };
    CK_OBJECT_HANDLE master, key = 0;
    size_t len = sizeof out;
    struct kl_out room = { NULL, 0, 0 };

    begin();
    master = find_label(session, "master");
    CU_ASSERT_EQUAL(wrap(&more, master, secret_of(32), out, &len), KL_PARAMETER);
    CU_ASSERT_EQUAL(wrap(&root, master, secret_of(12), out, &len), KL_KEY_SIZE);
    len = sizeof out;
    CU_ASSERT_EQUAL(wrap(&root, master, secret_of(32), out, &len), KL_OK);
    CU_ASSERT_EQUAL(unwrap(&more, master, out, len, &key), KL_PARAMETER);
    CU_ASSERT_EQUAL(unwrap(&root, master, out, len, &key), KL_OK);
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_DECRYPT, &mechanism, master), KL_OK);
    CU_ASSERT_EQUAL(kl_op_once(session, KL_OP_DECRYPT, kl_view_of(out, sizeof out * 1024), &room), KL_CIPHERTEXT_LENGTH);
    end();
}

UNIT_MAIN("token/mech_wrap", UNIT(wrapped_keys_are_those_of_their_papers), UNIT(what_was_wrapped_unwraps_and_is_as_long_as_was_said),
          UNIT(key_wrap_takes_whole_semiblocks_and_two_at_least), UNIT(lengths_that_no_wrapped_key_has_are_refused_unread),
          UNIT(what_was_changed_does_not_unwrap), UNIT(every_failure_of_cbc_is_one_code),
          UNIT(a_length_that_was_not_asked_for_is_a_bad_key), UNIT(parameters_of_other_lengths_are_refused),
          UNIT(cbc_wraps_under_compatible_only_and_nothing_unpadded_ever), UNIT(key_wrap_encrypts_nothing_else),
          UNIT(a_ladder_key_wraps_under_a_subkey_of_each_mechanism), UNIT(a_key_of_another_type_or_use_wraps_nothing),
          UNIT(no_iv_of_gcm_is_a_block_of_key_wrap), UNIT(ivs_of_wrapped_keys_are_drawn_whole), UNIT(the_iv_and_what_is_wrapped_lie_apart),
          UNIT(under_strict_what_is_refused_binds_nothing), UNIT(no_memory_is_said_and_the_next_try_works),
          UNIT(what_wraps_nothing_is_no_mechanism), UNIT(data_is_no_key_to_wrap), UNIT(a_key_is_not_unwrapped_to_what_there_is_not),
          UNIT(a_long_key_stays_a_session_key), UNIT(padding_alone_is_no_key), UNIT(associated_data_is_said_once_or_twice_alike),
          UNIT(the_root_wraps_what_it_can_and_takes_no_parameter))
