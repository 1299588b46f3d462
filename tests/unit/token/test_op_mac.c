/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Digests and MACs as operations (token/mac_op.c, mech_digest.c, mech_hmac.c, mech_aes_cmac.c, mech_aes_gmac.c). */
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

/* --- short ways --- */

static const uint8_t bytes[200] = "what is signed, or digested, and more of it, so that there are some blocks of any hash in it";

static enum kl_rc init_with(enum kl_op_kind kind, CK_MECHANISM_TYPE type, void *parameter, size_t len, CK_OBJECT_HANDLE key)
{
    CK_MECHANISM mechanism = { type, parameter, len };

    return kind == KL_OP_DIGEST ? kl_op_digest_init(session, &mechanism) : kl_op_init(session, kind, &mechanism, key);
}

static enum kl_rc once(enum kl_op_kind kind, const void *in, size_t len, uint8_t *out, size_t *out_len)
{
    struct kl_out room = { out, *out_len, 0 };
    enum kl_rc rc = kl_op_once(session, kind, kl_view_of(in, len), &room);

    *out_len = room.len;
    return rc;
}

static enum kl_rc finish(enum kl_op_kind kind, uint8_t *out, size_t *out_len)
{
    struct kl_out room = { out, *out_len, 0 };
    enum kl_rc rc = kl_op_final(session, kind, &room);

    *out_len = room.len;
    return rc;
}

static enum kl_rc verify(const void *in, size_t len, const void *mac, size_t mac_len)
{
    return kl_op_verify(session, kl_view_of(in, len), kl_view_of(mac, mac_len));
}

/* `in` in parts of `step` bytes. */
static enum kl_rc in_parts(enum kl_op_kind kind, const uint8_t *in, size_t len, size_t step)
{
    enum kl_rc rc = KL_OK;

    for (size_t at = 0; at < len && rc == KL_OK; at += step)
        rc = kl_op_absorb(session, kind, kl_view_of(in + at, len - at < step ? len - at : step));
    return rc;
}

static bool is_hex(const uint8_t *made, size_t len, const char *hex)
{
    char text[200];

    for (size_t i = 0; i < len; i++) snprintf(text + 2 * i, 3, "%02x", made[i]);
    return strlen(hex) == 2 * len && memcmp(text, hex, 2 * len) == 0;
}

/* --- every mechanism of the kind, under a key that suits it --- */

static uint8_t gmac_iv[12];
static CK_GCM_PARAMS gmac_params = { gmac_iv, 12, 0, NULL, 0, 96 };
static CK_ULONG twelve = 12;

static const struct row {
    CK_MECHANISM_TYPE type;
    CK_KEY_TYPE key_type;
    void *parameter;
    size_t parameter_len;
    size_t mac_len;
    bool on_ladder;
} rows[] = {
    { CKM_SHA256_HMAC, CKK_SHA256_HMAC, NULL, 0, 32, true },
    { CKM_SHA384_HMAC, CKK_SHA384_HMAC, NULL, 0, 48, true },
    { CKM_SHA512_HMAC, CKK_GENERIC_SECRET, NULL, 0, 64, true },
    { CKM_SHA256_HMAC_GENERAL, CKK_GENERIC_SECRET, &twelve, sizeof twelve, 12, true },
    { CKM_SHA384_HMAC_GENERAL, CKK_GENERIC_SECRET, &twelve, sizeof twelve, 12, true },
    { CKM_SHA512_HMAC_GENERAL, CKK_SHA512_HMAC, &twelve, sizeof twelve, 12, true },
    { CKM_AES_CMAC, CKK_AES, NULL, 0, 16, false },
    { CKM_AES_CMAC_GENERAL, CKK_AES, &twelve, sizeof twelve, 12, false },
    { CKM_AES_GMAC, CKK_AES, gmac_iv, sizeof gmac_iv, 16, false },
    { CKM_AES_GMAC, CKK_AES, &gmac_params, sizeof gmac_params, 12, false },
};

static CK_OBJECT_HANDLE key_for(const struct row *row)
{
    return import_key(session, row->key_type, bytes, 32, CKA_SIGN, CKA_VERIFY);
}

static enum kl_rc init(enum kl_op_kind kind, const struct row *row, CK_OBJECT_HANDLE key)
{
    return init_with(kind, row->type, row->parameter, row->parameter_len, key);
}

static void next_iv(void)
{
    for (size_t i = sizeof gmac_iv; i-- > 0 && ++gmac_iv[i] == 0;) continue;
}

/* --- known answers --- */

static void digests_are_those_of_fips_180(void)
{
    static const struct {
        CK_MECHANISM_TYPE type;
        const char *hex;
    } known[] = {
        { CKM_SHA256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
        { CKM_SHA384, "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7" },
        { CKM_SHA512, "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9a"
                      "c94fa54ca49f" },
    };

    begin();
    for (size_t i = 0; i < COUNT(known); i++) {
        uint8_t out[64];
        size_t len = sizeof out;

        CU_ASSERT_EQUAL(init_with(KL_OP_DIGEST, known[i].type, NULL, 0, 0), KL_OK);
        CU_ASSERT_EQUAL(once(KL_OP_DIGEST, "abc", 3, out, &len), KL_OK);
        CU_ASSERT(is_hex(out, len, known[i].hex));
    }
    end();
}

static void macs_are_those_of_their_papers(void)
{
    /* RFC 4231, case 2 (a key of 4 bytes); RFC 4493, example 2. */
    static const uint8_t cmac_key[16] = { 0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c };
    static const uint8_t block[16] = { 0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40, 0x9f, 0x96, 0xe9, 0x3d, 0x7e, 0x11, 0x73, 0x93, 0x17, 0x2a };
    uint8_t out[64];
    size_t len = sizeof out;

    begin();
    CU_ASSERT_EQUAL(
        init_with(KL_OP_SIGN, CKM_SHA256_HMAC, NULL, 0, import_key(session, CKK_GENERIC_SECRET, "Jefe", 4, CKA_SIGN, CKA_VERIFY)), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_SIGN, "what do ya want for nothing?", 28, out, &len), KL_OK);
    CU_ASSERT(is_hex(out, len, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
    len = sizeof out;
    CU_ASSERT_EQUAL(init_with(KL_OP_SIGN, CKM_AES_CMAC, NULL, 0, import_key(session, CKK_AES, cmac_key, 16, CKA_SIGN, CKA_VERIFY)), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_SIGN, block, sizeof block, out, &len), KL_OK);
    CU_ASSERT(is_hex(out, len, "070a16b46b4d4144f79bdd9dd04a287c"));
    end();
}

static void gmac_is_gcm_with_nothing_to_encrypt(void)
{
    CK_OBJECT_HANDLE signer, cipher;
    CK_GCM_PARAMS gcm = { gmac_iv, 12, 0, (CK_BYTE *)(uintptr_t)bytes, sizeof bytes, 128 };
    uint8_t mac[16], tag[16];
    size_t len = sizeof mac, tag_len = sizeof tag;

    begin();
    next_iv();
    signer = import_key(session, CKK_AES, bytes, 32, CKA_SIGN, CKA_VERIFY);
    cipher = import_key(session, CKK_AES, bytes, 32, CKA_ENCRYPT, CKA_DECRYPT);
    CU_ASSERT_EQUAL(init_with(KL_OP_SIGN, CKM_AES_GMAC, gmac_iv, 12, signer), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_SIGN, bytes, sizeof bytes, mac, &len), KL_OK);
    CU_ASSERT_EQUAL(init_with(KL_OP_ENCRYPT, CKM_AES_GCM, &gcm, sizeof gcm, cipher), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, NULL, 0, tag, &tag_len), KL_OK);
    CU_ASSERT(len == 16 && tag_len == 16 && memcmp(mac, tag, 16) == 0);
    end();
}

/* --- lengths and parts --- */

static void a_question_and_a_short_buffer_keep_the_operation(void)
{
    begin();
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint8_t out[64];
        size_t len = 0;

        next_iv();
        CU_ASSERT_EQUAL(init(KL_OP_SIGN, &rows[i], key_for(&rows[i])), KL_OK);
        CU_ASSERT_EQUAL(once(KL_OP_SIGN, bytes, 10, NULL, &len), KL_OK);
        CU_ASSERT_EQUAL(len, rows[i].mac_len);
        len = rows[i].mac_len - 1;
        CU_ASSERT_EQUAL(once(KL_OP_SIGN, bytes, 10, out, &len), KL_BUFFER);
        CU_ASSERT_EQUAL(len, rows[i].mac_len);
        CU_ASSERT_EQUAL(once(KL_OP_SIGN, bytes, 10, out, &len), KL_OK);
        CU_ASSERT_EQUAL(len, rows[i].mac_len);
        CU_ASSERT_EQUAL(once(KL_OP_SIGN, bytes, 10, out, &len), KL_NO_OPERATION);
    }
    end();
}

static void parts_of_any_length_give_the_same(void)
{
    static const size_t steps[] = { 1, 7, 16, 63, 64, 65, 128, sizeof bytes };

    begin();
    for (size_t i = 0; i < COUNT(rows); i++) {
        CK_OBJECT_HANDLE key = key_for(&rows[i]), same = key_for(&rows[i]);
        uint8_t whole[64], parts[64];
        size_t len = sizeof whole;

        next_iv();
        CU_ASSERT_EQUAL(init(KL_OP_SIGN, &rows[i], key), KL_OK);
        CU_ASSERT_EQUAL(once(KL_OP_SIGN, bytes, sizeof bytes, whole, &len), KL_OK);
        for (size_t step = 0; step < COUNT(steps); step++) {
            size_t parts_len = sizeof parts;

            CU_ASSERT_EQUAL(init(KL_OP_VERIFY, &rows[i], key), KL_OK);
            CU_ASSERT_EQUAL(in_parts(KL_OP_VERIFY, bytes, sizeof bytes, steps[step]), KL_OK);
            CU_ASSERT_EQUAL(kl_op_verify_final(session, kl_view_of(whole, len)), KL_OK);
            if (step > 0 && rows[i].type == CKM_AES_GMAC) continue; /* one IV signs once */
            CU_ASSERT_EQUAL(init(KL_OP_SIGN, &rows[i], same), KL_OK);
            CU_ASSERT_EQUAL(in_parts(KL_OP_SIGN, bytes, sizeof bytes, steps[step]), KL_OK);
            CU_ASSERT_EQUAL(finish(KL_OP_SIGN, parts, &parts_len), KL_OK);
            CU_ASSERT(parts_len == len && memcmp(parts, whole, len) == 0);
        }
    }
    end();
}

static void a_digest_in_parts_is_the_same_and_of_nothing_too(void)
{
    static const CK_MECHANISM_TYPE types[] = { CKM_SHA256, CKM_SHA384, CKM_SHA512 };
    static const size_t lens[] = { 32, 48, 64 };

    begin();
    for (size_t i = 0; i < COUNT(types); i++) {
        uint8_t whole[64], parts[64];
        size_t len = 0, parts_len = sizeof parts;

        CU_ASSERT_EQUAL(init_with(KL_OP_DIGEST, types[i], NULL, 0, 0), KL_OK);
        CU_ASSERT_EQUAL(once(KL_OP_DIGEST, bytes, sizeof bytes, NULL, &len), KL_OK);
        CU_ASSERT_EQUAL(len, lens[i]);
        CU_ASSERT_EQUAL(once(KL_OP_DIGEST, bytes, sizeof bytes, whole, &len), KL_OK);
        CU_ASSERT_EQUAL(init_with(KL_OP_DIGEST, types[i], NULL, 0, 0), KL_OK);
        CU_ASSERT_EQUAL(in_parts(KL_OP_DIGEST, bytes, sizeof bytes, 13), KL_OK);
        CU_ASSERT_EQUAL(once(KL_OP_DIGEST, bytes, 1, parts, &parts_len), KL_OPERATION_ACTIVE);
        CU_ASSERT_EQUAL(init_with(KL_OP_DIGEST, types[i], NULL, 0, 0), KL_OK);
        parts_len = sizeof parts;
        CU_ASSERT_EQUAL(in_parts(KL_OP_DIGEST, bytes, sizeof bytes, 13), KL_OK);
        CU_ASSERT_EQUAL(finish(KL_OP_DIGEST, parts, &parts_len), KL_OK);
        CU_ASSERT(parts_len == len && memcmp(parts, whole, len) == 0);
        parts_len = sizeof parts;
        CU_ASSERT_EQUAL(init_with(KL_OP_DIGEST, types[i], NULL, 0, 0), KL_OK);
        CU_ASSERT_EQUAL(finish(KL_OP_DIGEST, parts, &parts_len), KL_OK);
        CU_ASSERT(parts_len == len && memcmp(parts, whole, len) != 0);
    }
    end();
}

static void a_digest_needs_nobody_logged_in(void)
{
    uint8_t out[64];
    size_t len = sizeof out;

    fixture_begin();
    session = session_new(0);
    CU_ASSERT_EQUAL(init_with(KL_OP_DIGEST, CKM_SHA256, NULL, 0, 0), KL_OK);
    log_in();
    CU_ASSERT_EQUAL(in_parts(KL_OP_DIGEST, (const uint8_t *)"ab", 2, 2), KL_OK);
    CU_ASSERT_EQUAL(in_parts(KL_OP_DIGEST, (const uint8_t *)"c", 1, 1), KL_OK);
    CU_ASSERT_EQUAL(finish(KL_OP_DIGEST, out, &len), KL_OK);
    CU_ASSERT(is_hex(out, len, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    end();
}

static void a_key_that_can_be_read_is_digested_and_no_other(void)
{
    CK_OBJECT_HANDLE open, closed;
    uint8_t out[64];
    size_t len = sizeof out;

    begin();
    open = import_key(session, CKK_GENERIC_SECRET, "abc", 3, CKA_SIGN, 0);
    closed = aes_key(session, false, NULL);
    CU_ASSERT_EQUAL(init_with(KL_OP_DIGEST, CKM_SHA256, NULL, 0, 0), KL_OK);
    CU_ASSERT_EQUAL(kl_op_digest_key(session, open), KL_OK);
    CU_ASSERT_EQUAL(finish(KL_OP_DIGEST, out, &len), KL_OK);
    CU_ASSERT(is_hex(out, len, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    CU_ASSERT_EQUAL(init_with(KL_OP_DIGEST, CKM_SHA256, NULL, 0, 0), KL_OK);
    CU_ASSERT_EQUAL(kl_op_digest_key(session, closed), KL_INDIGESTIBLE);
    CU_ASSERT_EQUAL(kl_op_digest_key(session, open), KL_NO_OPERATION);
    end();
}

/* --- what must not verify --- */

static void a_mac_that_was_changed_or_cut_does_not_verify(void)
{
    begin();
    for (size_t i = 0; i < COUNT(rows); i++) {
        CK_OBJECT_HANDLE key = key_for(&rows[i]);
        uint8_t mac[65] = { 0 };
        size_t len = sizeof mac;

        next_iv();
        CU_ASSERT_EQUAL(init(KL_OP_SIGN, &rows[i], key), KL_OK);
        CU_ASSERT_EQUAL(once(KL_OP_SIGN, bytes, 50, mac, &len), KL_OK);
        for (size_t bit = 0; bit < 8 * len; bit += 5) {
            mac[bit / 8] ^= (uint8_t)(1 << bit % 8);
            CU_ASSERT_EQUAL(init(KL_OP_VERIFY, &rows[i], key), KL_OK);
            CU_ASSERT_EQUAL(verify(bytes, 50, mac, len), KL_SIGNATURE);
            CU_ASSERT_EQUAL(verify(bytes, 50, mac, len), KL_NO_OPERATION);
            mac[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t cut = 0; cut <= len + 1; cut++) {
            CU_ASSERT_EQUAL(init(KL_OP_VERIFY, &rows[i], key), KL_OK);
            CU_ASSERT_EQUAL(verify(bytes, 50, mac, cut), cut == len ? KL_OK : KL_SIGNATURE_LENGTH);
        }
        CU_ASSERT_EQUAL(init(KL_OP_VERIFY, &rows[i], key), KL_OK);
        CU_ASSERT_EQUAL(verify(bytes, 49, mac, len), KL_SIGNATURE);
        CU_ASSERT_EQUAL(init(KL_OP_VERIFY, &rows[i], key), KL_OK);
        CU_ASSERT_EQUAL(verify(bytes, 50, NULL, len), KL_ARG);
    }
    end();
}

static void a_short_mac_is_the_beginning_of_the_whole(void)
{
    static const struct {
        CK_MECHANISM_TYPE whole, general;
        CK_KEY_TYPE key_type;
    } pairs[] = { { CKM_SHA256_HMAC, CKM_SHA256_HMAC_GENERAL, CKK_GENERIC_SECRET },
                  { CKM_SHA384_HMAC, CKM_SHA384_HMAC_GENERAL, CKK_GENERIC_SECRET },
                  { CKM_SHA512_HMAC, CKM_SHA512_HMAC_GENERAL, CKK_GENERIC_SECRET },
                  { CKM_AES_CMAC, CKM_AES_CMAC_GENERAL, CKK_AES } };

    begin();
    for (size_t i = 0; i < COUNT(pairs); i++) {
        CK_OBJECT_HANDLE key = import_key(session, pairs[i].key_type, bytes, 32, CKA_SIGN, CKA_VERIFY);
        uint8_t whole[64], cut[64];
        size_t len = sizeof whole;

        CU_ASSERT_EQUAL(init_with(KL_OP_SIGN, pairs[i].whole, NULL, 0, key), KL_OK);
        CU_ASSERT_EQUAL(once(KL_OP_SIGN, bytes, 20, whole, &len), KL_OK);
        for (CK_ULONG want = 12; want <= len; want++) {
            size_t cut_len = sizeof cut;

            CU_ASSERT_EQUAL(init_with(KL_OP_SIGN, pairs[i].general, &want, sizeof want, key), KL_OK);
            CU_ASSERT_EQUAL(once(KL_OP_SIGN, bytes, 20, cut, &cut_len), KL_OK);
            CU_ASSERT(cut_len == want && memcmp(cut, whole, want) == 0);
        }
    }
    end();
}

/* --- parameters --- */

static void less_than_96_bits_or_more_than_all_is_no_mac(void)
{
    begin();
    for (size_t i = 0; i < COUNT(rows); i++) {
        CK_OBJECT_HANDLE key = key_for(&rows[i]);
        bool is_cmac = rows[i].type == CKM_AES_CMAC_GENERAL;

        if (rows[i].parameter != &twelve) continue;
        for (enum kl_op_kind kind = KL_OP_SIGN; kind <= KL_OP_VERIFY; kind++) {
            for (CK_ULONG len = 0; len < 12; len++) CU_ASSERT_EQUAL(init_with(kind, rows[i].type, &len, sizeof len, key), KL_PARAMETER);
            CU_ASSERT_EQUAL(init_with(kind, rows[i].type, &(CK_ULONG){ is_cmac ? 17 : 65 }, sizeof(CK_ULONG), key), KL_PARAMETER);
            CU_ASSERT_EQUAL(init_with(kind, rows[i].type, &(CK_ULONG){ (CK_ULONG)-1 }, sizeof(CK_ULONG), key), KL_PARAMETER);
            CU_ASSERT_EQUAL(init_with(kind, rows[i].type, &twelve, 4, key), KL_PARAMETER);
            CU_ASSERT_EQUAL(init_with(kind, rows[i].type, NULL, 0, key), KL_PARAMETER);
            CU_ASSERT_EQUAL(init_with(kind, rows[i].type, NULL, sizeof twelve, key), KL_PARAMETER);
        }
    }
    end();
}

static void a_parameter_where_there_is_none_is_refused(void)
{
    begin();
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (rows[i].parameter) continue;
        CU_ASSERT_EQUAL(init_with(KL_OP_SIGN, rows[i].type, &twelve, sizeof twelve, key_for(&rows[i])), KL_PARAMETER);
    }
    CU_ASSERT_EQUAL(init_with(KL_OP_DIGEST, CKM_SHA256, &twelve, sizeof twelve, 0), KL_PARAMETER);
    CU_ASSERT_EQUAL(in_parts(KL_OP_DIGEST, bytes, 1, 1), KL_NO_OPERATION);
    end();
}

static enum kl_rc try_gmac(CK_OBJECT_HANDLE key, enum kl_op_kind kind, CK_GCM_PARAMS params)
{
    enum kl_rc rc = init_with(kind, CKM_AES_GMAC, &params, sizeof params, key);

    kl_op_clear(session, kind);
    return rc;
}

static void the_iv_and_the_tag_of_gmac_are_those_of_gcm(void)
{
    uint8_t iv[129] = { 1 };
    CK_OBJECT_HANDLE key;

    begin();
    key = import_key(session, CKK_AES, bytes, 32, CKA_SIGN, CKA_VERIFY);
    for (enum kl_op_kind kind = KL_OP_SIGN; kind <= KL_OP_VERIFY; kind++) {
        CU_ASSERT_EQUAL(try_gmac(key, kind, (CK_GCM_PARAMS){ iv, 1, 0, NULL, 0, 128 }), KL_OK);
        CU_ASSERT_EQUAL(try_gmac(key, kind, (CK_GCM_PARAMS){ iv, 128, 0, NULL, 0, 96 }), KL_OK);
        CU_ASSERT_EQUAL(try_gmac(key, kind, (CK_GCM_PARAMS){ iv, 129, 0, NULL, 0, 128 }), KL_PARAMETER);
        CU_ASSERT_EQUAL(try_gmac(key, kind, (CK_GCM_PARAMS){ iv, 0, 0, NULL, 0, 128 }), KL_PARAMETER);
        CU_ASSERT_EQUAL(try_gmac(key, kind, (CK_GCM_PARAMS){ NULL, 12, 0, NULL, 0, 128 }), KL_PARAMETER);
        CU_ASSERT_EQUAL(try_gmac(key, kind, (CK_GCM_PARAMS){ iv, (CK_ULONG)1 << 32, 0, NULL, 0, 128 }), KL_PARAMETER);
        CU_ASSERT_EQUAL(try_gmac(key, kind, (CK_GCM_PARAMS){ iv, 12, 0, iv, 1, 128 }), KL_PARAMETER);
        CU_ASSERT_EQUAL(try_gmac(key, kind, (CK_GCM_PARAMS){ iv, 12, 0, NULL, 0, 88 }), KL_PARAMETER);
        CU_ASSERT_EQUAL(try_gmac(key, kind, (CK_GCM_PARAMS){ iv, 12, 0, NULL, 0, 136 }), KL_PARAMETER);
        CU_ASSERT_EQUAL(init_with(kind, CKM_AES_GMAC, iv, 13, key), KL_PARAMETER);
        CU_ASSERT_EQUAL(init_with(kind, CKM_AES_GMAC, NULL, 12, key), KL_PARAMETER);
    }
    end();
}

static void an_iv_signs_once_and_verifies_for_ever(void)
{
    CK_OBJECT_HANDLE key, other;
    uint8_t mac[16];
    size_t len = sizeof mac;

    begin();
    next_iv();
    key = import_key(session, CKK_AES, bytes, 32, CKA_SIGN, CKA_VERIFY);
    other = import_key(session, CKK_AES, bytes + 1, 32, CKA_SIGN, CKA_VERIFY);
    CU_ASSERT_EQUAL(init_with(KL_OP_SIGN, CKM_AES_GMAC, gmac_iv, 12, key), KL_OK);
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_SIGN, NULL, 0), KL_OK);
    CU_ASSERT_EQUAL(init_with(KL_OP_SIGN, CKM_AES_GMAC, gmac_iv, 12, key), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_SIGN, bytes, 20, mac, &len), KL_OK);
    CU_ASSERT_EQUAL(init_with(KL_OP_SIGN, CKM_AES_GMAC, gmac_iv, 12, key), KL_PARAMETER);
    CU_ASSERT_EQUAL(init_with(KL_OP_SIGN, CKM_AES_GMAC, gmac_iv, 12, other), KL_OK);
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(init_with(KL_OP_VERIFY, CKM_AES_GMAC, gmac_iv, 12, key), KL_OK);
        CU_ASSERT_EQUAL(verify(bytes, 20, mac, len), KL_OK);
    }
    end();
}

static void under_strict_the_token_makes_the_iv_of_gmac(void)
{
    uint8_t iv[12] = { 0 }, mac[16];
    size_t len = sizeof mac;
    CK_OBJECT_HANDLE key;

    begin();
    demo->policy = KL_POLICY_STRICT;
    key = import_key(session, CKK_AES, bytes, 32, CKA_SIGN, CKA_VERIFY);
    CU_ASSERT_EQUAL(init_with(KL_OP_SIGN, CKM_AES_GMAC, iv, 12, key), KL_OK);
    CU_ASSERT(memcmp(iv, (uint8_t[12]){ 0 }, 12) != 0);
    CU_ASSERT_EQUAL(once(KL_OP_SIGN, bytes, 20, mac, &len), KL_OK);
    CU_ASSERT_EQUAL(init_with(KL_OP_VERIFY, CKM_AES_GMAC, iv, 12, key), KL_OK);
    CU_ASSERT_EQUAL(verify(bytes, 20, mac, len), KL_OK);
    iv[0] ^= 1;
    CU_ASSERT_EQUAL(init_with(KL_OP_SIGN, CKM_AES_GMAC, iv, 12, key), KL_PARAMETER);
    /* And what was first used for one kind is used for no other. */
    CU_ASSERT_EQUAL(init_with(KL_OP_SIGN, CKM_AES_CMAC, NULL, 0, key), KL_KEY_FUNCTION);
    end();
}

/* --- keys --- */

static void a_key_of_another_type_is_refused(void)
{
    static const CK_KEY_TYPE types[] = { CKK_AES, CKK_GENERIC_SECRET, CKK_SHA256_HMAC, CKK_SHA384_HMAC, CKK_SHA512_HMAC, CKK_CHACHA20 };

    begin();
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (size_t type = 0; type < COUNT(types); type++) {
            CK_OBJECT_HANDLE key = import_key(session, types[type], bytes, 32, CKA_SIGN, CKA_VERIFY);
            enum kl_rc rc = init(KL_OP_VERIFY, &rows[i], key);
            bool is_hmac = rows[i].on_ladder;
            CK_MECHANISM_TYPE base = rows[i].type & ~(CK_MECHANISM_TYPE)3;
            CK_KEY_TYPE own = base == (CKM_SHA256_HMAC & ~3UL)   ? CKK_SHA256_HMAC
                              : base == (CKM_SHA384_HMAC & ~3UL) ? CKK_SHA384_HMAC
                                                                 : CKK_SHA512_HMAC;
            bool fits = is_hmac ? types[type] == CKK_GENERIC_SECRET || types[type] == own : types[type] == CKK_AES;

            CU_ASSERT_EQUAL(rc, fits ? KL_OK : KL_KEY_TYPE);
            kl_op_clear(session, KL_OP_VERIFY);
        }
    }
    end();
}

static void under_compatible_aes_keys_make_hmacs(void)
{
    CK_OBJECT_HANDLE key;

    begin();
    key = import_key(session, CKK_AES, bytes, 32, CKA_SIGN, CKA_VERIFY);
    CU_ASSERT_EQUAL(init_with(KL_OP_SIGN, CKM_SHA256_HMAC, NULL, 0, key), KL_KEY_TYPE);
    demo->policy = KL_POLICY_COMPATIBLE;
    CU_ASSERT_EQUAL(init_with(KL_OP_SIGN, CKM_SHA256_HMAC, NULL, 0, key), KL_OK);
    end();
}

static CK_OBJECT_HANDLE ladder_key(CK_KEY_TYPE type, CK_ULONG len, CK_ATTRIBUTE_TYPE usage, CK_ATTRIBUTE_TYPE other)
{
    CK_HKDF_PARAMS hkdf = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, (CK_BYTE *)(uintptr_t) "4711", 4 };
    CK_MECHANISM mechanism = { CKM_HKDF_DERIVE, &hkdf, sizeof hkdf };
    CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_FALSE), A_ULONG(CKA_KEY_TYPE, type), A_ULONG(CKA_VALUE_LEN, len),
                                A_BOOL(usage, CK_TRUE), A_BOOL(other, CK_TRUE) };
    CK_OBJECT_HANDLE key = 0;

    last_rc = kl_object_derive(session, &mechanism, find_label(session, "master"), template, COUNT(template), &key);
    return key;
}

static void every_ladder_key_signs_under_a_subkey_of_each_mechanism(void)
{
    CK_OBJECT_HANDLE keys[3];
    uint8_t macs[2][64];
    size_t len = 64;

    begin();
    keys[0] = ladder_key(CKK_AES, 32, CKA_SIGN, CKA_VERIFY);
    keys[1] = ladder_key(CKK_AES, 16, CKA_SIGN, CKA_VERIFY);
    keys[2] = ladder_key(CKK_CHACHA20, 32, CKA_SIGN, CKA_VERIFY);
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (size_t k = 0; k < COUNT(keys); k++) {
            CU_ASSERT_EQUAL(init(KL_OP_SIGN, &rows[i], keys[k]), rows[i].on_ladder ? KL_OK : KL_KEY_FUNCTION);
            kl_op_clear(session, KL_OP_SIGN);
        }
    }
    /* One of the whole, cut; and the same length from the mechanism that cuts: other bytes. */
    CU_ASSERT_EQUAL(init_with(KL_OP_SIGN, CKM_SHA256_HMAC, NULL, 0, keys[0]), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_SIGN, bytes, 20, macs[0], &len), KL_OK);
    CU_ASSERT_EQUAL(init_with(KL_OP_SIGN, CKM_SHA256_HMAC_GENERAL, &(CK_ULONG){ 32 }, sizeof(CK_ULONG), keys[0]), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_SIGN, bytes, 20, macs[1], &len), KL_OK);
    CU_ASSERT(len == 32 && memcmp(macs[0], macs[1], 32) != 0);
    /* The same key derived once more is the same signer. */
    CU_ASSERT_EQUAL(init_with(KL_OP_VERIFY, CKM_SHA256_HMAC, NULL, 0, ladder_key(CKK_AES, 32, CKA_SIGN, CKA_VERIFY)), KL_OK);
    CU_ASSERT_EQUAL(verify(bytes, 20, macs[0], 32), KL_OK);
    end();
}

static void a_key_that_may_only_verify_does_not_sign(void)
{
    CK_OBJECT_HANDLE key;

    begin();
    key = import_key(session, CKK_GENERIC_SECRET, bytes, 32, CKA_VERIFY, 0);
    CU_ASSERT_EQUAL(init_with(KL_OP_SIGN, CKM_SHA256_HMAC, NULL, 0, key), KL_KEY_FUNCTION);
    CU_ASSERT_EQUAL(init_with(KL_OP_VERIFY, CKM_SHA256_HMAC, NULL, 0, key), KL_OK);
    CU_ASSERT_EQUAL(init_with(KL_OP_ENCRYPT, CKM_SHA256_HMAC, NULL, 0, key), KL_MECHANISM);
    CU_ASSERT_EQUAL(init_with(KL_OP_DIGEST, CKM_SHA256_HMAC, NULL, 0, key), KL_MECHANISM);
    CU_ASSERT_EQUAL(init_with(KL_OP_SIGN, CKM_SHA256, NULL, 0, key), KL_MECHANISM);
    end();
}

static void a_cancelled_message_leaves_nothing_to_the_next(void)
{
    begin();
    for (size_t i = 0; i < COUNT(rows); i++) {
        CK_OBJECT_HANDLE key = key_for(&rows[i]);
        uint8_t mac[64];
        size_t len = sizeof mac;

        next_iv();
        CU_ASSERT_EQUAL(init(KL_OP_SIGN, &rows[i], key), KL_OK);
        CU_ASSERT_EQUAL(in_parts(KL_OP_SIGN, bytes, 77, 10), KL_OK);
        CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_SIGN, NULL, 0), KL_OK);
        CU_ASSERT_EQUAL(init(KL_OP_SIGN, &rows[i], key), KL_OK);
        CU_ASSERT_EQUAL(once(KL_OP_SIGN, bytes, 30, mac, &len), KL_OK);
        CU_ASSERT_EQUAL(init(KL_OP_VERIFY, &rows[i], key), KL_OK);
        CU_ASSERT_EQUAL(verify(bytes, 30, mac, len), KL_OK);
    }
    end();
}

/* --- memory --- */

static enum kl_rc sign_with(const struct row *row, CK_OBJECT_HANDLE key)
{
    uint8_t mac[64];
    size_t len = sizeof mac;

    next_iv();
    kl_op_clear(session, KL_OP_SIGN);
    KL_TRY(init(KL_OP_SIGN, row, key));
    return once(KL_OP_SIGN, bytes, 30, mac, &len);
}

static void no_memory_is_said_and_the_next_try_works(void)
{
    begin();
    for (size_t i = 0; i < COUNT(rows); i++) {
        CK_OBJECT_HANDLE key = key_for(&rows[i]);
        unsigned refused = 0;
        bool struck = true;

        for (unsigned n = 1; struck; n++) {
            enum kl_rc rc;

            failing_memory(n);
            rc = sign_with(&rows[i], key);
            struck = failing_has_failed();
            failing_memory(0);
            CU_ASSERT_EQUAL(rc, struck ? KL_MEMORY : KL_OK);
            refused += struck;
            CU_ASSERT(!session->ops[KL_OP_SIGN].is_active);
        }
        CU_ASSERT(refused > 0);
    }
    end();
}

static void what_is_no_digest_is_refused(void)
{
    begin();
    CU_ASSERT_EQUAL(init_with(KL_OP_DIGEST, 0x12345678, NULL, 0, 0), KL_MECHANISM);
    CU_ASSERT_EQUAL(init_with(KL_OP_DIGEST, CKM_SHA256_HMAC, NULL, 0, 0), KL_MECHANISM);
    end();
}

UNIT_MAIN("token/op_mac", UNIT(digests_are_those_of_fips_180), UNIT(macs_are_those_of_their_papers),
          UNIT(gmac_is_gcm_with_nothing_to_encrypt), UNIT(a_question_and_a_short_buffer_keep_the_operation),
          UNIT(parts_of_any_length_give_the_same), UNIT(a_digest_in_parts_is_the_same_and_of_nothing_too),
          UNIT(a_digest_needs_nobody_logged_in), UNIT(a_key_that_can_be_read_is_digested_and_no_other),
          UNIT(a_mac_that_was_changed_or_cut_does_not_verify), UNIT(a_short_mac_is_the_beginning_of_the_whole),
          UNIT(less_than_96_bits_or_more_than_all_is_no_mac), UNIT(a_parameter_where_there_is_none_is_refused),
          UNIT(the_iv_and_the_tag_of_gmac_are_those_of_gcm), UNIT(an_iv_signs_once_and_verifies_for_ever),
          UNIT(under_strict_the_token_makes_the_iv_of_gmac), UNIT(a_key_of_another_type_is_refused),
          UNIT(under_compatible_aes_keys_make_hmacs), UNIT(every_ladder_key_signs_under_a_subkey_of_each_mechanism),
          UNIT(a_key_that_may_only_verify_does_not_sign), UNIT(a_cancelled_message_leaves_nothing_to_the_next),
          UNIT(no_memory_is_said_and_the_next_try_works), UNIT(what_is_no_digest_is_refused))
