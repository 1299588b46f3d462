/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* CKM_SP800_108_COUNTER_KDF (token/mech_sp800_108.c). */
#include <stddef.h>

#include "../failing.h"
#include "fixture.h"
#include "token/policy.h"

static struct kl_session *session;

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

static size_t from_hex(const char *hex, uint8_t *out)
{
    size_t len = strlen(hex) / 2;

    for (size_t i = 0; i < len; i++) {
        char pair[3] = { hex[2 * i], hex[2 * i + 1], '\0' };

        out[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return len;
}

/* --- short ways --- */

static const uint8_t key_bytes[32] = "thirty-two bytes of a known key";
static CK_SP800_108_COUNTER_FORMAT counter = { CK_FALSE, 8 };
static CK_SP800_108_DKM_LENGTH_FORMAT length = { CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS, CK_FALSE, 16 };

#define COUNTER                                                   \
    {                                                             \
        CK_SP800_108_ITERATION_VARIABLE, &counter, sizeof counter \
    }
#define LENGTH                                          \
    {                                                   \
        CK_SP800_108_DKM_LENGTH, &length, sizeof length \
    }
#define BYTES(data, len)                                          \
    {                                                             \
        CK_SP800_108_BYTE_ARRAY, (void *)(uintptr_t)(data), (len) \
    }

static CK_OBJECT_HANDLE derive_from(CK_OBJECT_HANDLE base, CK_MECHANISM_TYPE prf, CK_PRF_DATA_PARAM *params, CK_ULONG count, CK_ULONG len)
{
    CK_SP800_108_KDF_PARAMS kdf = { prf, count, params, 0, NULL };
    CK_MECHANISM mechanism = { CKM_SP800_108_COUNTER_KDF, &kdf, sizeof kdf };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, len), A_ULONG(CKA_KEY_TYPE, CKK_GENERIC_SECRET), A_BOOL(CKA_SENSITIVE, CK_FALSE),
                                A_BOOL(CKA_EXTRACTABLE, CK_TRUE) };
    CK_OBJECT_HANDLE key = 0;

    last_rc = kl_object_derive(session, &mechanism, base, template, COUNT(template), &key);
    return key;
}

static bool has_value(CK_OBJECT_HANDLE key, const void *value, size_t len)
{
    uint8_t room[256];
    CK_ATTRIBUTE attr = { CKA_VALUE, room, sizeof room };

    return kl_object_read(session, key, &attr, 1) == KL_OK && attr.ulValueLen == len && memcmp(room, value, len) == 0;
}

static CK_OBJECT_HANDLE base_key(CK_KEY_TYPE type)
{
    return import_key(session, type, key_bytes, sizeof key_bytes, CKA_DERIVE, 0);
}

static enum kl_rc try_params(CK_PRF_DATA_PARAM *params, CK_ULONG count)
{
    derive_from(base_key(CKK_GENERIC_SECRET), CKM_SHA256_HMAC, params, count, 32);
    return last_rc;
}

/* --- known answers: NIST's for counter mode (CAVS 14.4), the counter before, between and after fixed bytes --- */

static const struct {
    CK_MECHANISM_TYPE prf;
    CK_ULONG bits;
    const char *key, *before, *after, *out;
} known[] = {
    { CKM_SHA256_HMAC, 8, "63a657fb6c5bacb9a124d3e7db8bbb7d42bfdfaf8f04cb6359cd888c70669652", "",
      "2697b6ec112cab4d6f1714c991c17d44fb36a0b6ef0b0f5451619ab248950f56f403215c78711aa563683ced05be7246f32574fa294f162dbbeb3dee",
      "1992e75756fa64734d5caecc5f6420fcb28b8b90421eee97dc8b6140ce18518405688bea489d2aaa" },
    { CKM_SHA256_HMAC, 16, "6cf38c45c91392aa4f7b38135953f6b57db354ae46538139e11feabdfaa54970",
      "92a788b5f22bd2c95ae979735943bd4020d71e0fdf778abd8d28645b4706711fb9379652ea48123e5f7d358455df306e0e7f", "98f47653a9849fbc1bc1",
      "7616b588041efbb0d33bd7a6ed9d672a962ded8361ec97c770362f58e7f145d53419529eae86fdf0" },
    { CKM_SHA256_HMAC, 24, "33760c18afd71a888b99d1669f5c56389e1f12d258e5e889afaa8945b0a504df",
      "3ee21c81ad64990284c2a52e96a90622f5b8c086bea4700790b6c650ee8e9f7f6ce3d7efef99acde50f9275196351dd3cc5113b05e0e7dda733e3b0a", "",
      "46f5e3ae03ad1a0c4e53303692bfa1c6328f54463dbfd8b9435402d57ac22489a11e47ae7848794e" },
    { CKM_SHA384_HMAC, 32, "582f968a54b8797b9ea8c655b42e397adb73d773b1984b1e1c429cd597b8015d2f91d59e4136a9d523bf6491a4733c7a", "",
      "e6d3c193eff34e34f8b7b00e66565aeb01f63206bb27e27aa281592afc06ae1ec5b7eb97a39684ce773d7c3528f2667c1f5d428406e78ce4cf39f652",
      "691726c111e5030b5f9657069107861ecc18bc5835a814c3d2e5092c901cb1fb6c1a7cd3eb0be2a7" },
    { CKM_SHA384_HMAC, 8, "87d3006e0109122473d407d895bb94c0479eed30c3a2a3e635a497d21bb8739ed1259b015e5919692b7e7bd261cad8bf",
      "ec3372ed3bdff659542e010d390223aa3336db9313303a8876028380136416da4f7ba8738701eb38bea31b294a0e73ebfd4b", "309a88c9ada5de9cdf2f",
      "72977a6a454f142087adaa4cf91ae9deac9b0e9f59684783d571486a72e5e4bf8f1658cb13a3073e" },
    { CKM_SHA384_HMAC, 16, "2e406b7ca2221e8dc39ac4cde9ccf965c851a4bcaed2e2f1d681e4c093c46fbb3f242be6a3fea3d4c6c70f1dee2f618e",
      "7e792d913f00e2a2640c55bfe9c33fb3951f4bcb52af9372f27755ec30a5c50f7db4a734401b634cf7cc62cae4d832d512935e60b54025eba962019c", "",
      "fbbf7f0abf5a5342c11ffebd0d13fec464fe3586616315179e4860abc9d49fada2580bd9acff500b" },
    { CKM_SHA512_HMAC, 24,
      "af5a39f0303b11bca55584ce24162dabd1625aed14ce54f9e407866e03efb24b12a36e164f96faf36bc92a08acd194285107173fb84caef787672d6471028459",
      "", "1cd84829b89d3149948967494aece985f1df3d7ec7735e8cc468bb3e6fdb50964d32dcde5521a82402577371047bf77e34714437e9d213561055b9db",
      "a0e81b336a6f4ab395aada28314d8ba96b9216ae389b01aaec158e166239e554a217e69f603988fb" },
    { CKM_SHA512_HMAC, 32,
      "6b759504c081a3ddb7c26b44bf8fdf5f35a5cd9dfc0fa4d8ebbe5c3365a04083ccacb5e0da41d48f62e9e921eee3d2443f3de5281679100df8da1e0b2fbd0df5",
      "9a2637d2583725b25d1f92bb58676f28d743400cd8dbaaa87921e56b50321328f80858d064b5baf52a0dce4f38fb9b6c0c72", "6d97eac4202872a1c704",
      "1dcba856d7f52ee0364661f874cfabacf9eb2ff9f242bab8bd0f89f55fc0c80bb029d6da685dcc91" },
    { CKM_SHA512_HMAC, 8,
      "803c259aed13942b54baba6878dc63dd5db470aec52e818ed060487799360cff9f7cbc20ba9f114fc0d6bb581f5cbe8908767e84799c4b65a33fe4df347515f7",
      "1a9e25ed28875951d30e3424556f1882b14efcacd5c1609159efa82d47823892395bd14bca84a8d4fde0127738f3786fe77c3478a00ab1b243eb387e", "",
      "511acfe9668c6964c4898325b88db3c8de5cd49495d2efd5b9f43186d5d33a9510fe99dd6dbc5100" },
    { CKM_AES_CMAC, 16, "ee0a0f88b3b441826264de7a31b890a66edf7c2a28d0286eab285846b586fb8e", "",
      "1ea9771ab763056260d885073e80e835e20e5d7ca9659fdf5dd3b7f2ae6286608f8bc7a6728e41346c55544942b1bf06642fb6a6738fb5b7f0128f9c",
      "5484f170b6602b505e9e6ccffccf2262b55c3554728244bba94daff0adbc619400b33f38013a2293" },
    { CKM_AES_CMAC, 24, "92c3c064c83bd60eec09763e60fd163db96393d17151e44f29fae5b0c9d469f1",
      "39783bb69fdd82f9613cb6032f9a36393f80036df1d4c1451bd5bcd0eef23f6bf4ed6ace02495572cd22c3808f3753a9e551", "d6359d54fd0917666ec2",
      "d261eb9a3a76f5ed8d67e9257c3acc3363f6e2aebb0dad8a84d098b8e2f2e81a81f37defd5c05a07" },
    { CKM_AES_CMAC, 32, "2ea718d0549220cec6de30143633d50250b13b8240fae23ffb08e1e7cbff7c9e",
      "29f46de7ad78b86c4af87182794331004ae17ac3681a1a6c6afa1f5e1e4f357df23721464b0533fc273be0d4faf6adeae9a053564cfc562c6d5b9964", "",
      "849ca0ca060e9f56446087613319390c604fb704c6bafa72e5374ba90da24f6cbc4be09c12612201" },
};

static void keys_are_those_of_nist(void)
{
    begin();
    for (size_t i = 0; i < COUNT(known); i++) {
        CK_SP800_108_COUNTER_FORMAT format = { CK_FALSE, known[i].bits };
        uint8_t key[64], before[64], after[64], out[64];
        size_t key_len = from_hex(known[i].key, key), before_len = from_hex(known[i].before, before),
               after_len = from_hex(known[i].after, after), out_len = from_hex(known[i].out, out);
        CK_PRF_DATA_PARAM params[3];
        CK_ULONG count = 0;
        CK_OBJECT_HANDLE base =
            import_key(session, known[i].prf == CKM_AES_CMAC ? CKK_AES : CKK_GENERIC_SECRET, key, key_len, CKA_DERIVE, 0);

        if (before_len) params[count++] = (CK_PRF_DATA_PARAM)BYTES(before, before_len);
        params[count++] = (CK_PRF_DATA_PARAM){ CK_SP800_108_ITERATION_VARIABLE, &format, sizeof format };
        if (after_len) params[count++] = (CK_PRF_DATA_PARAM)BYTES(after, after_len);
        CU_ASSERT(has_value(derive_from(base, known[i].prf, params, count, out_len), out, out_len));
    }
    end();
}

/* --- the encoding of numbers, against the same bytes written by hand --- */

static void numbers_are_written_as_asked(void)
{
    static const struct {
        CK_SP800_108_DKM_LENGTH_FORMAT format;
        const char *hex; /* of 40 bytes asked for, of two segments of 32 */
    } cases[] = {
        { { CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS, CK_FALSE, 16 }, "0140" },
        { { CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS, CK_TRUE, 16 }, "4001" },
        { { CK_SP800_108_DKM_LENGTH_SUM_OF_SEGMENTS, CK_FALSE, 32 }, "00000200" },
        { { CK_SP800_108_DKM_LENGTH_SUM_OF_SEGMENTS, CK_TRUE, 64 }, "0002000000000000" },
        { { CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS, CK_FALSE, 24 }, "000140" },
    };

    begin();
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t bytes[8], value[40];
        size_t len = from_hex(cases[i].hex, bytes);
        CK_SP800_108_DKM_LENGTH_FORMAT format = cases[i].format;
        CK_PRF_DATA_PARAM told[] = { COUNTER, BYTES("label", 5), { CK_SP800_108_DKM_LENGTH, &format, sizeof format } };
        CK_PRF_DATA_PARAM written[] = { COUNTER, BYTES("label", 5), BYTES(bytes, len) };
        CK_ATTRIBUTE attr = { CKA_VALUE, value, sizeof value };
        CK_OBJECT_HANDLE base = base_key(CKK_GENERIC_SECRET);

        CU_ASSERT_EQUAL(kl_object_read(session, derive_from(base, CKM_SHA256_HMAC, written, 3, 40), &attr, 1), KL_OK);
        CU_ASSERT(has_value(derive_from(base, CKM_SHA256_HMAC, told, 3, 40), value, 40));
    }
    end();
}

static void a_counter_counts_in_the_order_asked_for(void)
{
    CK_SP800_108_COUNTER_FORMAT big = { CK_FALSE, 16 }, little = { CK_TRUE, 16 };
    CK_PRF_DATA_PARAM asked[] = { { CK_SP800_108_ITERATION_VARIABLE, &little, sizeof little }, BYTES("x", 1) };
    /* 01 00 is 1 in little and the second half of 00 01 00 in big endian, of a counter of one byte between. */
    CK_PRF_DATA_PARAM by_hand[] = { COUNTER, BYTES("\0x", 2) };
    CK_PRF_DATA_PARAM other[] = { { CK_SP800_108_ITERATION_VARIABLE, &big, sizeof big }, BYTES("x", 1) };
    CK_OBJECT_HANDLE base;
    uint8_t value[64];
    CK_ATTRIBUTE attr = { CKA_VALUE, value, sizeof value };

    begin();
    base = base_key(CKK_GENERIC_SECRET);
    CU_ASSERT_EQUAL(kl_object_read(session, derive_from(base, CKM_SHA256_HMAC, by_hand, 2, 64), &attr, 1), KL_OK);
    CU_ASSERT(has_value(derive_from(base, CKM_SHA256_HMAC, asked, 2, 64), value, 64));
    CU_ASSERT(!has_value(derive_from(base, CKM_SHA256_HMAC, other, 2, 64), value, 64));
    end();
}

/* --- parameters --- */

static void the_counter_stands_there_once(void)
{
    CK_PRF_DATA_PARAM none[] = { BYTES("x", 1) }, twice[] = { COUNTER, COUNTER }, alone[] = { COUNTER };

    begin();
    CU_ASSERT_EQUAL(try_params(none, 1), KL_PARAMETER);
    CU_ASSERT_EQUAL(try_params(twice, 2), KL_PARAMETER);
    CU_ASSERT_EQUAL(try_params(alone, 1), KL_OK);
    CU_ASSERT_EQUAL(try_params(alone, 0), KL_PARAMETER);
    end();
}

static void the_length_stands_there_once_at_most_and_fits(void)
{
    CK_PRF_DATA_PARAM twice[] = { COUNTER, LENGTH, LENGTH }, once[] = { COUNTER, LENGTH };
    CK_SP800_108_DKM_LENGTH_FORMAT narrow = { CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS, CK_FALSE, 8 };
    CK_PRF_DATA_PARAM too_narrow[] = { COUNTER, { CK_SP800_108_DKM_LENGTH, &narrow, sizeof narrow } };

    begin();
    CU_ASSERT_EQUAL(try_params(twice, 3), KL_PARAMETER);
    CU_ASSERT_EQUAL(try_params(once, 2), KL_OK);
    CU_ASSERT_EQUAL(try_params(too_narrow, 2), KL_PARAMETER); /* 256 bits in one byte */
    end();
}

static void widths_are_whole_bytes(void)
{
    CK_SP800_108_COUNTER_FORMAT format = { CK_FALSE, 0 };
    CK_SP800_108_DKM_LENGTH_FORMAT dkm = { CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS, CK_FALSE, 0 };
    CK_PRF_DATA_PARAM counters[] = { { CK_SP800_108_ITERATION_VARIABLE, &format, sizeof format } },
                      lengths[] = { COUNTER, { CK_SP800_108_DKM_LENGTH, &dkm, sizeof dkm } };

    begin();
    for (CK_ULONG bits = 0; bits <= 80; bits++) {
        bool is_whole = bits >= 8 && bits % 8 == 0;

        format.ulWidthInBits = dkm.ulWidthInBits = bits;
        CU_ASSERT_EQUAL(try_params(counters, 1), is_whole && bits <= 32 ? KL_OK : KL_PARAMETER);
        CU_ASSERT_EQUAL(try_params(lengths, 2), is_whole && bits <= 64 && bits > 8 ? KL_OK : KL_PARAMETER);
    }
    format = (CK_SP800_108_COUNTER_FORMAT){ 2, 8 };
    CU_ASSERT_EQUAL(try_params(counters, 1), KL_PARAMETER);
    dkm = (CK_SP800_108_DKM_LENGTH_FORMAT){ 3, CK_FALSE, 16 };
    CU_ASSERT_EQUAL(try_params(lengths, 2), KL_PARAMETER);
    dkm = (CK_SP800_108_DKM_LENGTH_FORMAT){ CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS, 2, 16 };
    CU_ASSERT_EQUAL(try_params(lengths, 2), KL_PARAMETER);
    end();
}

static void what_is_missing_or_strange_is_refused(void)
{
    static const CK_PRF_DATA_TYPE strange[] = { 0, CK_SP800_108_COUNTER, CK_SP800_108_KEY_HANDLE, 6, CK_UNAVAILABLE_INFORMATION };
    CK_PRF_DATA_PARAM params[33] = { COUNTER };

    begin();
    for (size_t i = 0; i < COUNT(strange); i++) {
        params[1] = (CK_PRF_DATA_PARAM){ strange[i], &counter, sizeof counter };
        CU_ASSERT_EQUAL(try_params(params, 2), KL_PARAMETER);
    }
    params[1] = (CK_PRF_DATA_PARAM)BYTES(NULL, 3);
    CU_ASSERT_EQUAL(try_params(params, 2), KL_PARAMETER);
    params[1] = (CK_PRF_DATA_PARAM)BYTES("x", 0);
    CU_ASSERT_EQUAL(try_params(params, 2), KL_PARAMETER);
    params[1] = (CK_PRF_DATA_PARAM)BYTES("x", (CK_ULONG)-1);
    CU_ASSERT_EQUAL(try_params(params, 2), KL_PARAMETER);
    params[1] = (CK_PRF_DATA_PARAM){ CK_SP800_108_DKM_LENGTH, &length, sizeof length - 1 };
    CU_ASSERT_EQUAL(try_params(params, 2), KL_PARAMETER);
    params[1] = (CK_PRF_DATA_PARAM){ CK_SP800_108_DKM_LENGTH, NULL, sizeof length };
    CU_ASSERT_EQUAL(try_params(params, 2), KL_PARAMETER);
    params[0] = (CK_PRF_DATA_PARAM){ CK_SP800_108_ITERATION_VARIABLE, NULL, 0 };
    CU_ASSERT_EQUAL(try_params(params, 1), KL_PARAMETER);
    params[0] = (CK_PRF_DATA_PARAM){ CK_SP800_108_ITERATION_VARIABLE, &counter, sizeof counter - 1 };
    CU_ASSERT_EQUAL(try_params(params, 1), KL_PARAMETER);
    CU_ASSERT_EQUAL(try_params(NULL, 1), KL_PARAMETER);
    params[0] = (CK_PRF_DATA_PARAM)COUNTER;
    for (size_t i = 1; i < COUNT(params); i++) params[i] = (CK_PRF_DATA_PARAM)BYTES("x", 1);
    CU_ASSERT_EQUAL(try_params(params, 32), KL_OK);
    CU_ASSERT_EQUAL(try_params(params, 33), KL_PARAMETER);
    CU_ASSERT_EQUAL(try_params(params, (CK_ULONG)-1), KL_PARAMETER);
    end();
}

static enum kl_rc try_kdf(void *kdf, CK_ULONG len)
{
    CK_MECHANISM mechanism = { CKM_SP800_108_COUNTER_KDF, kdf, len };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, 32) };
    CK_OBJECT_HANDLE key = 0;

    return kl_object_derive(session, &mechanism, base_key(CKK_GENERIC_SECRET), template, 1, &key);
}

static void it_is_read_wherever_it_lies_and_derives_one_key(void)
{
    CK_PRF_DATA_PARAM params[] = { COUNTER, BYTES("x", 1) };
    uint8_t far_params[sizeof params + 1], far_kdf[sizeof(CK_SP800_108_KDF_PARAMS) + 1];
    CK_OBJECT_HANDLE second = 0;
    CK_DERIVED_KEY more = { NULL, 0, &second };
    CK_SP800_108_KDF_PARAMS kdf = { CKM_SHA256_HMAC, 2, params, 0, NULL };

    begin();
    CU_ASSERT_EQUAL(try_kdf(&kdf, sizeof kdf), KL_OK);
    CU_ASSERT_EQUAL(try_kdf(&kdf, sizeof kdf - 1), KL_PARAMETER);
    CU_ASSERT_EQUAL(try_kdf(&kdf, 0), KL_PARAMETER);
    CU_ASSERT_EQUAL(try_kdf(NULL, sizeof kdf), KL_PARAMETER);
    memcpy(far_params + 1, params, sizeof params);
    kdf.pDataParams = (void *)(far_params + 1);
    memcpy(far_kdf + 1, &kdf, sizeof kdf);
    CU_ASSERT_EQUAL(try_kdf(far_kdf + 1, sizeof kdf), KL_OK);
    kdf.ulAdditionalDerivedKeys = 1;
    kdf.pAdditionalDerivedKeys = &more;
    CU_ASSERT_EQUAL(try_kdf(&kdf, sizeof kdf), KL_PARAMETER);
    CU_ASSERT_EQUAL(second, 0);
    end();
}

static void more_than_the_counter_can_count_is_refused(void)
{
    CK_SP800_108_COUNTER_FORMAT wide = { CK_FALSE, 16 };
    CK_PRF_DATA_PARAM narrow[] = { COUNTER }, enough[] = { { CK_SP800_108_ITERATION_VARIABLE, &wide, sizeof wide } };
    CK_OBJECT_HANDLE base;

    begin();
    base = base_key(CKK_AES);
    derive_from(base, CKM_AES_CMAC, narrow, 1, 255 * 16);
    CU_ASSERT_EQUAL(last_rc, KL_OK);
    derive_from(base, CKM_AES_CMAC, narrow, 1, 255 * 16 + 1);
    CU_ASSERT_EQUAL(last_rc, KL_ATTR_VALUE);
    derive_from(base, CKM_AES_CMAC, enough, 1, 255 * 16 + 1);
    CU_ASSERT_EQUAL(last_rc, KL_OK);
    derive_from(base, CKM_AES_CMAC, enough, 1, 0);
    CU_ASSERT_EQUAL(last_rc, KL_ATTR_VALUE);
    end();
}

/* --- keys --- */

static void the_base_key_suits_the_function(void)
{
    static const struct {
        CK_KEY_TYPE type;
        bool sha256, sha512, cmac;
    } cases[] = { { CKK_GENERIC_SECRET, true, true, false },
                  { CKK_AES, true, true, true },
                  { CKK_SHA256_HMAC, true, false, false },
                  { CKK_SHA512_HMAC, false, true, false } };
    CK_PRF_DATA_PARAM params[] = { COUNTER };

    begin();
    for (size_t i = 0; i < COUNT(cases); i++) {
        CK_OBJECT_HANDLE base = base_key(cases[i].type);

        derive_from(base, CKM_SHA256_HMAC, params, 1, 32);
        CU_ASSERT_EQUAL(last_rc, cases[i].sha256 ? KL_OK : KL_KEY_TYPE);
        derive_from(base, CKM_SHA512_HMAC, params, 1, 32);
        CU_ASSERT_EQUAL(last_rc, cases[i].sha512 ? KL_OK : KL_KEY_TYPE);
        derive_from(base, CKM_AES_CMAC, params, 1, 32);
        CU_ASSERT_EQUAL(last_rc, cases[i].cmac ? KL_OK : KL_KEY_TYPE);
        derive_from(base, CKM_SHA256, params, 1, 32);
        CU_ASSERT_EQUAL(last_rc, KL_PARAMETER);
    }
    derive_from(base_key(CKK_HKDF), CKM_SHA256_HMAC, params, 1, 32);
    CU_ASSERT_EQUAL(last_rc, KL_KEY_TYPE);
    derive_from(import_key(session, CKK_AES, key_bytes, 32, CKA_ENCRYPT, 0), CKM_AES_CMAC, params, 1, 32);
    CU_ASSERT_EQUAL(last_rc, KL_KEY_FUNCTION);
    derive_from(find_label(session, "master"), CKM_SHA256_HMAC, params, 1, 32);
    CU_ASSERT_EQUAL(last_rc, KL_KEY_FUNCTION);
    end();
}

static CK_OBJECT_HANDLE sensitive_base(bool is_generated)
{
    CK_MECHANISM generation = { CKM_GENERIC_SECRET_KEY_GEN, NULL, 0 };
    CK_ATTRIBUTE template[] = { A_BOOL(CKA_SENSITIVE, CK_TRUE),
                                A_BOOL(CKA_DERIVE, CK_TRUE),
                                A_ULONG(CKA_VALUE_LEN, 32),
                                A_ULONG(CKA_CLASS, CKO_SECRET_KEY),
                                A_ULONG(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
                                { CKA_VALUE, (void *)(uintptr_t)key_bytes, 32 } };
    CK_OBJECT_HANDLE key = 0;

    last_rc = is_generated ? kl_object_generate(session, &generation, template, 5, &key)
                           : kl_object_create(session, template, COUNT(template), &key);
    CU_ASSERT_EQUAL(last_rc, KL_OK);
    return key;
}

static enum kl_rc derive_sensitive(CK_OBJECT_HANDLE base, CK_ULONG len, CK_OBJECT_HANDLE *key)
{
    CK_PRF_DATA_PARAM params[] = { COUNTER };
    CK_SP800_108_KDF_PARAMS kdf = { CKM_SHA256_HMAC, 1, params, 0, NULL };
    CK_MECHANISM mechanism = { CKM_SP800_108_COUNTER_KDF, &kdf, sizeof kdf };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, len) };

    return kl_object_derive(session, &mechanism, base, template, 1, key);
}

/* The key of a pseudo-random function was drawn here, its children are as sensitive, and nobody can try them all. */
static void what_comes_from_a_sensitive_key_is_as_safe(void)
{
    CK_PRF_DATA_PARAM params[] = { COUNTER };
    CK_OBJECT_HANDLE key = 0;
    CK_BBOOL is_sensitive = CK_FALSE;
    CK_ATTRIBUTE attr = { CKA_SENSITIVE, &is_sensitive, 1 };

    begin();
    CU_ASSERT_EQUAL(derive_sensitive(sensitive_base(false), 32, &key), KL_KEY_FUNCTION);
    CU_ASSERT_EQUAL(derive_sensitive(sensitive_base(true), 15, &key), KL_ATTR_VALUE);
    CU_ASSERT_EQUAL(derive_sensitive(sensitive_base(true), 16, &key), KL_OK);
    CU_ASSERT_EQUAL(kl_object_read(session, key, &attr, 1), KL_OK);
    CU_ASSERT_EQUAL(is_sensitive, CK_TRUE);
    derive_from(sensitive_base(true), CKM_SHA256_HMAC, params, 1, 32);
    CU_ASSERT_EQUAL(last_rc, KL_TEMPLATE);
    end();
}

static void a_type_of_one_length_needs_no_length(void)
{
    CK_PRF_DATA_PARAM params[] = { COUNTER };
    CK_SP800_108_KDF_PARAMS kdf = { CKM_SHA256_HMAC, 1, params, 0, NULL };
    CK_MECHANISM mechanism = { CKM_SP800_108_COUNTER_KDF, &kdf, sizeof kdf };
    CK_ATTRIBUTE chacha[] = { A_ULONG(CKA_KEY_TYPE, CKK_CHACHA20) }, aes[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES) };
    CK_OBJECT_HANDLE base, key = 0;

    begin();
    base = base_key(CKK_GENERIC_SECRET);
    CU_ASSERT_EQUAL(kl_object_derive(session, &mechanism, base, chacha, 1, &key), KL_OK);
    CU_ASSERT_EQUAL(kl_object_derive(session, &mechanism, base, aes, 1, &key), KL_TEMPLATE_INCOMPLETE);
    end();
}

static void no_memory_is_said_and_the_next_try_works(void)
{
    CK_PRF_DATA_PARAM params[] = { COUNTER };
    CK_OBJECT_HANDLE base;
    bool struck = true;

    begin();
    base = base_key(CKK_GENERIC_SECRET);
    for (unsigned n = 1; struck; n++) {
        CK_OBJECT_HANDLE key;

        failing_memory(n);
        key = derive_from(base, CKM_SHA256_HMAC, params, 1, 40);
        struck = failing_has_failed();
        failing_memory(0);
        /* What is only kept for the next time can be done without. */
        CU_ASSERT(last_rc == KL_OK || (struck && last_rc == KL_MEMORY));
        CU_ASSERT_EQUAL(key != 0, last_rc == KL_OK);
        CU_ASSERT(n > 1 || struck);
    }
    end();
}

static void what_a_caller_brings_has_a_longest_length_together(void)
{
    static uint8_t half[32769];
    CK_PRF_DATA_PARAM params[] = { COUNTER, BYTES(half, 32768), BYTES(half, 32768) };

    begin();
    CU_ASSERT_EQUAL(try_params(params, 3), KL_OK);
    params[2].ulValueLen++;
    CU_ASSERT_EQUAL(try_params(params, 3), KL_PARAMETER);
    end();
}

UNIT_MAIN("token/mech_sp800_108", UNIT(keys_are_those_of_nist), UNIT(numbers_are_written_as_asked),
          UNIT(a_counter_counts_in_the_order_asked_for), UNIT(the_counter_stands_there_once),
          UNIT(the_length_stands_there_once_at_most_and_fits), UNIT(widths_are_whole_bytes), UNIT(what_is_missing_or_strange_is_refused),
          UNIT(it_is_read_wherever_it_lies_and_derives_one_key), UNIT(more_than_the_counter_can_count_is_refused),
          UNIT(the_base_key_suits_the_function), UNIT(what_comes_from_a_sensitive_key_is_as_safe),
          UNIT(a_type_of_one_length_needs_no_length), UNIT(no_memory_is_said_and_the_next_try_works),
          UNIT(what_a_caller_brings_has_a_longest_length_together))
