/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* AES-CBC, CBC with padding, CTR and ECB as operations (token/cipher_op.c, mech_aes_cbc.c, mech_aes_ctr.c, mech_aes_ecb.c). */
#include "token/cipher_op.h"

#include "../failing.h"
#include "fixture.h"
#include "token/policy.h"

#define MOST 5000

static struct kl_session *session;
static CK_OBJECT_HANDLE key;
static uint8_t plain[MOST];

static const uint8_t key_bytes[32] = "thirty-two bytes of a known key";

static void begin(void)
{
    fixture_begin();
    session = session_new(CKF_RW_SESSION);
    log_in();
    demo->policy = KL_POLICY_COMPATIBLE;
    key = import_key(session, CKK_AES, key_bytes, 32, CKA_ENCRYPT, CKA_DECRYPT);
    for (size_t i = 0; i < sizeof plain; i++) plain[i] = (uint8_t)(i * 7 + i / 256);
}

static void end(void)
{
    session_end(session);
    fixture_end();
}

/* --- short ways --- */

static uint8_t iv[16];
static CK_AES_CTR_PARAMS ctr = { 64, { 0 } };

static const struct row {
    CK_MECHANISM_TYPE type;
    void *parameter;
    size_t parameter_len;
    bool pads, is_stream;
} rows[] = {
    { CKM_AES_CBC, iv, sizeof iv, false, false },
    { CKM_AES_CBC_PAD, iv, sizeof iv, true, false },
    { CKM_AES_CTR, &ctr, sizeof ctr, false, true },
    { CKM_AES_ECB, NULL, 0, false, false },
};

static enum kl_rc init_with(enum kl_op_kind kind, CK_MECHANISM_TYPE type, void *parameter, size_t len, CK_OBJECT_HANDLE handle)
{
    CK_MECHANISM mechanism = { type, parameter, len };

    return kl_op_init(session, kind, &mechanism, handle);
}

static enum kl_rc init(enum kl_op_kind kind, const struct row *row)
{
    return init_with(kind, row->type, row->parameter, row->parameter_len, key);
}

static void next_counter(void)
{
    for (size_t i = 8; i-- > 0 && ++ctr.cb[i] == 0;) continue;
}

static enum kl_rc once(enum kl_op_kind kind, const void *in, size_t len, uint8_t *out, size_t *out_len)
{
    struct kl_out room = { out, *out_len, 0 };
    enum kl_rc rc = kl_op_once(session, kind, kl_view_of(in, len), &room);

    *out_len = room.len;
    return rc;
}

static enum kl_rc update(enum kl_op_kind kind, const void *in, size_t len, uint8_t *out, size_t *out_len)
{
    struct kl_out room = { out, *out_len, 0 };
    enum kl_rc rc = kl_op_update(session, kind, kl_view_of(in, len), &room);

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

/* Whole, or in parts of lengths that repeat themselves after a while; what every part gives is exactly what it was said to give. */
static size_t run(enum kl_op_kind kind, const uint8_t *in, size_t len, size_t most, uint8_t *out)
{
    size_t done = 0, step = most, last = MOST + 16;

    if (most == 0) {
        CU_ASSERT_EQUAL(once(kind, in, len, out, &last), KL_OK);
        return last;
    }
    for (size_t at = 0; at < len; at += step) {
        size_t asked = 0, got;

        step = (step * 5 + 3) % (most + 1);
        if (step > len - at) step = len - at;
        CU_ASSERT_EQUAL(update(kind, in + at, step, NULL, &asked), KL_OK);
        got = asked;
        CU_ASSERT_EQUAL(update(kind, in + at, step, out + done, &got), KL_OK);
        CU_ASSERT_EQUAL(got, asked);
        done += got;
    }
    last = MOST + 16 - done;
    CU_ASSERT_EQUAL(finish(kind, out + done, &last), KL_OK);
    return done + last;
}

static size_t fitting(const struct row *row, size_t len)
{
    return row->pads || row->is_stream ? len : len / 16 * 16;
}

/* --- known answers --- */

static bool is_hex(const uint8_t *made, size_t len, const char *hex)
{
    char text[129];

    for (size_t i = 0; i < len; i++) snprintf(text + 2 * i, 3, "%02x", made[i]);
    return strlen(hex) == 2 * len && memcmp(text, hex, 2 * len) == 0;
}

/* SP 800-38A F.1.5, F.2.5 and F.5.5: AES-256. */
static void modes_are_those_of_sp_800_38a(void)
{
    static const uint8_t paper_key[32] = { 0x60, 0x3d, 0xeb, 0x10, 0x15, 0xca, 0x71, 0xbe, 0x2b, 0x73, 0xae, 0xf0, 0x85, 0x7d, 0x77, 0x81,
                                           0x1f, 0x35, 0x2c, 0x07, 0x3b, 0x61, 0x08, 0xd7, 0x2d, 0x98, 0x10, 0xa3, 0x09, 0x14, 0xdf, 0xf4 };
    static const uint8_t block[16] = { 0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40, 0x9f, 0x96, 0xe9, 0x3d, 0x7e, 0x11, 0x73, 0x93, 0x17, 0x2a };
    CK_AES_CTR_PARAMS counter = { 128, { 0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff } };
    uint8_t paper_iv[16], out[16];
    CK_OBJECT_HANDLE paper;
    size_t len = sizeof out;

    begin();
    for (uint8_t i = 0; i < sizeof paper_iv; i++) paper_iv[i] = i;
    paper = import_key(session, CKK_AES, paper_key, sizeof paper_key, CKA_ENCRYPT, CKA_DECRYPT);
    CU_ASSERT_EQUAL(init_with(KL_OP_ENCRYPT, CKM_AES_ECB, NULL, 0, paper), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, block, 16, out, &len), KL_OK);
    CU_ASSERT(is_hex(out, len, "f3eed1bdb5d2a03c064b5a7e3db181f8"));
    CU_ASSERT_EQUAL(init_with(KL_OP_ENCRYPT, CKM_AES_CBC, paper_iv, 16, paper), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, block, 16, out, &len), KL_OK);
    CU_ASSERT(is_hex(out, len, "f58c4c04d6e5f1ba779eabfb5f7bfbd6"));
    CU_ASSERT_EQUAL(init_with(KL_OP_ENCRYPT, CKM_AES_CTR, &counter, sizeof counter, paper), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, block, 16, out, &len), KL_OK);
    CU_ASSERT(is_hex(out, len, "601ec313775789a5b7a7f504bbf3d228"));
    end();
}

/* --- parts --- */

static void any_parts_give_what_one_piece_gives(void)
{
    static const size_t lens[] = { 0, 1, 15, 16, 17, 31, 32, 33, 48, 100, 1023, 1024, 1025, 1040, 2100, MOST };
    static const size_t mosts[] = { 1, 5, 16, 17, 40, 1024, 1500 };
    static uint8_t whole[MOST + 16], parts[MOST + 32], back[MOST + 32];

    begin();
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (size_t l = 0; l < COUNT(lens); l++) {
            size_t len = fitting(&rows[i], lens[l]), sealed;

            next_counter();
            CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, &rows[i]), KL_OK);
            sealed = run(KL_OP_ENCRYPT, plain, len, 0, whole);
            CU_ASSERT_EQUAL(sealed, rows[i].pads ? len / 16 * 16 + 16 : len);
            for (size_t m = 0; m < COUNT(mosts); m++) {
                CU_ASSERT_EQUAL(init(KL_OP_DECRYPT, &rows[i]), KL_OK);
                CU_ASSERT_EQUAL(run(KL_OP_DECRYPT, whole, sealed, mosts[m], back), len);
                CU_ASSERT(memcmp(back, plain, len) == 0);
                if (rows[i].is_stream) continue; /* the same counter encrypts once */
                CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, &rows[i]), KL_OK);
                CU_ASSERT_EQUAL(run(KL_OP_ENCRYPT, plain, len, mosts[m], parts), sealed);
                CU_ASSERT(memcmp(parts, whole, sealed) == 0);
            }
        }
    }
    end();
}

static void in_place_is_the_same(void)
{
    static const size_t firsts[] = { 0, 1, 15, 16, 17 };
    static uint8_t whole[MOST + 16], room[MOST + 16];

    begin();
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t len = fitting(&rows[i], 2090), sealed, got = sizeof room;

        next_counter();
        CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, &rows[i]), KL_OK);
        sealed = run(KL_OP_ENCRYPT, plain, len, 0, whole);
        memcpy(room, whole, sealed);
        CU_ASSERT_EQUAL(init(KL_OP_DECRYPT, &rows[i]), KL_OK);
        CU_ASSERT_EQUAL(once(KL_OP_DECRYPT, room, sealed, room, &got), KL_OK);
        CU_ASSERT(got == len && memcmp(room, plain, len) == 0);
        /* With some of a block held from the part before, the output runs ahead of the input. */
        for (size_t f = 0; f < COUNT(firsts); f++) {
            uint8_t first[32], last[32];
            size_t first_len = sizeof first, rest = sizeof room, last_len = sizeof last;

            CU_ASSERT_EQUAL(init(KL_OP_DECRYPT, &rows[i]), KL_OK);
            CU_ASSERT_EQUAL(update(KL_OP_DECRYPT, whole, firsts[f], first, &first_len), KL_OK);
            memcpy(room, whole + firsts[f], sealed - firsts[f]);
            CU_ASSERT_EQUAL(update(KL_OP_DECRYPT, room, sealed - firsts[f], room, &rest), KL_OK);
            CU_ASSERT_EQUAL(finish(KL_OP_DECRYPT, last, &last_len), KL_OK);
            CU_ASSERT_EQUAL(first_len + rest + last_len, len);
            CU_ASSERT(memcmp(first, plain, first_len) == 0 && memcmp(room, plain + first_len, rest) == 0);
            CU_ASSERT(memcmp(last, plain + first_len + rest, last_len) == 0);
        }
    }
    end();
}

static void a_short_buffer_is_told_the_length_and_may_try_again(void)
{
    static uint8_t out[MOST + 16];

    begin();
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t need = rows[i].pads ? 64 : 48, len = need - 1;

        next_counter();
        CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, &rows[i]), KL_OK);
        CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, plain, 48, out, &len), KL_BUFFER);
        CU_ASSERT_EQUAL(len, need);
        CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, plain, 48, out, &len), KL_OK);
        CU_ASSERT_EQUAL(init(KL_OP_DECRYPT, &rows[i]), KL_OK);
        len = 15;
        CU_ASSERT_EQUAL(update(KL_OP_DECRYPT, out, need, out, &len), KL_BUFFER);
        CU_ASSERT_EQUAL(len, 48);
        CU_ASSERT_EQUAL(update(KL_OP_DECRYPT, out, need, out, &len), KL_OK);
        CU_ASSERT(len == 48 && memcmp(out, plain, 48) == 0);
        len = 0;
        CU_ASSERT_EQUAL(finish(KL_OP_DECRYPT, out, &len), rows[i].pads ? KL_BUFFER : KL_OK);
        if (rows[i].pads) CU_ASSERT_EQUAL(finish(KL_OP_DECRYPT, out, &len), KL_OK);
        CU_ASSERT_EQUAL(finish(KL_OP_DECRYPT, out, &len), KL_NO_OPERATION);
    }
    end();
}

/* A caller who knows how long the plaintext is lends no more than that. */
static void padded_plaintext_fits_where_it_fits(void)
{
    uint8_t sealed[64], out[64];

    begin();
    for (size_t len = 0; len < 48; len++) {
        size_t sealed_len = sizeof sealed, got = len / 16 * 16 + 15;

        CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, &rows[1]), KL_OK);
        CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, plain, len, sealed, &sealed_len), KL_OK);
        CU_ASSERT_EQUAL(init(KL_OP_DECRYPT, &rows[1]), KL_OK);
        memset(out, 0xAA, sizeof out);
        CU_ASSERT_EQUAL(once(KL_OP_DECRYPT, sealed, sealed_len, out, &got), KL_OK);
        CU_ASSERT(got == len && memcmp(out, plain, len) == 0);
        CU_ASSERT(len / 16 * 16 + 15 == sizeof out || out[len / 16 * 16 + 15] == 0xAA);
    }
    end();
}

/* --- lengths that do not fit --- */

static void parts_of_a_block_are_refused(void)
{
    uint8_t out[64];

    begin();
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (rows[i].is_stream) continue;
        for (size_t len = 0; len <= 33; len++) {
            size_t got = sizeof out;
            bool is_whole = len % 16 == 0;

            CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, &rows[i]), KL_OK);
            CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, plain, len, out, &got), rows[i].pads || is_whole ? KL_OK : KL_DATA_LENGTH);
            CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, &rows[i]), KL_OK);
            got = sizeof out;
            CU_ASSERT_EQUAL(update(KL_OP_ENCRYPT, plain, len, out, &got), KL_OK);
            got = sizeof out;
            CU_ASSERT_EQUAL(finish(KL_OP_ENCRYPT, out, &got), rows[i].pads || is_whole ? KL_OK : KL_DATA_LENGTH);
            CU_ASSERT_EQUAL(finish(KL_OP_ENCRYPT, out, &got), KL_NO_OPERATION);
            if (is_whole && len > 0) continue;
            CU_ASSERT_EQUAL(init(KL_OP_DECRYPT, &rows[i]), KL_OK);
            got = sizeof out;
            CU_ASSERT_EQUAL(once(KL_OP_DECRYPT, plain, len, out, &got), is_whole && !rows[i].pads ? KL_OK : KL_CIPHERTEXT_LENGTH);
            CU_ASSERT_EQUAL(init(KL_OP_DECRYPT, &rows[i]), KL_OK);
            got = sizeof out;
            CU_ASSERT_EQUAL(update(KL_OP_DECRYPT, plain, len, out, &got), KL_OK);
            got = sizeof out;
            CU_ASSERT_EQUAL(finish(KL_OP_DECRYPT, out, &got), is_whole && !rows[i].pads ? KL_OK : KL_CIPHERTEXT_LENGTH);
        }
    }
    end();
}

static void what_no_memory_holds_is_refused_before_it_is_read(void)
{
    size_t len = 0;

    begin();
    for (size_t i = 0; i < COUNT(rows); i++) {
        next_counter();
        CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, &rows[i]), KL_OK);
        CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, plain, SIZE_MAX / 16 * 16, NULL, &len), KL_DATA_LENGTH);
        CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, &rows[i]), KL_OK);
        CU_ASSERT_EQUAL(update(KL_OP_ENCRYPT, plain, SIZE_MAX, NULL, &len), KL_DATA_LENGTH);
        if (!rows[i].pads) continue;
        CU_ASSERT_EQUAL(init(KL_OP_DECRYPT, &rows[i]), KL_OK);
        CU_ASSERT_EQUAL(once(KL_OP_DECRYPT, plain, SIZE_MAX / 16 * 16, NULL, &len), KL_CIPHERTEXT_LENGTH);
        CU_ASSERT_EQUAL(init(KL_OP_DECRYPT, &rows[i]), KL_OK);
        CU_ASSERT_EQUAL(update(KL_OP_DECRYPT, plain, SIZE_MAX, NULL, &len), KL_CIPHERTEXT_LENGTH);
    }
    end();
}

/* --- padding --- */

static void padding_is_1_to_16_bytes_of_their_number(void)
{
    for (unsigned last = 0; last < 256; last++) {
        for (unsigned right = 0; right <= 16; right++) {
            uint8_t block[16];
            bool is_good = last >= 1 && last <= 16 && right >= last;

            /* `right` bytes say `last`, those before them something else. */
            for (unsigned i = 0; i < 16; i++) block[15 - i] = (uint8_t)(i < right || i == 0 ? last : last ^ 0x5A);
            if (right == 0) is_good = last == 1;
            CU_ASSERT_EQUAL(kl_padding_of(block), is_good ? last : 0);
        }
    }
}

static void every_bad_padding_is_one_code_and_gives_no_plaintext(void)
{
    unsigned good = 0;

    begin();
    for (unsigned byte = 0; byte < 256; byte++) {
        uint8_t sealed[48], out[48];
        size_t len = sizeof sealed, got = sizeof out;
        enum kl_rc rc;

        CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, &rows[1]), KL_OK);
        CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, plain, 32, sealed, &len), KL_OK);
        sealed[31] ^= (uint8_t)byte; /* changes the last byte of the padding block */
        CU_ASSERT_EQUAL(init(KL_OP_DECRYPT, &rows[1]), KL_OK);
        memset(out, 0xAA, sizeof out);
        rc = once(KL_OP_DECRYPT, sealed, len, out, &got);
        CU_ASSERT(rc == KL_OK || rc == KL_CIPHERTEXT);
        good += rc == KL_OK;
        if (rc != KL_OK) CU_ASSERT(memcmp(out, (uint8_t[32]){ 0 }, 32) == 0);
        CU_ASSERT_EQUAL(once(KL_OP_DECRYPT, sealed, len, out, &got), KL_NO_OPERATION);
    }
    CU_ASSERT_EQUAL(good, 2); /* 16 times 16, and 1 */
    end();
}

/* --- parameters and policy --- */

static void parameters_of_other_lengths_are_refused(void)
{
    uint8_t large[64] = { 0 };

    begin();
    for (enum kl_op_kind kind = KL_OP_ENCRYPT; kind <= KL_OP_DECRYPT; kind++) {
        for (size_t len = 0; len <= sizeof large; len++) {
            if (len != 16) CU_ASSERT_EQUAL(init_with(kind, CKM_AES_CBC, large, len, key), KL_PARAMETER);
            if (len != 16) CU_ASSERT_EQUAL(init_with(kind, CKM_AES_CBC_PAD, large, len, key), KL_PARAMETER);
            if (len != sizeof ctr) CU_ASSERT_EQUAL(init_with(kind, CKM_AES_CTR, large, len, key), KL_PARAMETER);
            if (len != 0) CU_ASSERT_EQUAL(init_with(kind, CKM_AES_ECB, large, len, key), KL_PARAMETER);
        }
        CU_ASSERT_EQUAL(init_with(kind, CKM_AES_CBC, NULL, 16, key), KL_PARAMETER);
        CU_ASSERT_EQUAL(init_with(kind, CKM_AES_CTR, NULL, sizeof ctr, key), KL_PARAMETER);
    }
    end();
}

static void a_counter_has_1_to_128_bits(void)
{
    CK_AES_CTR_PARAMS params = { 0, { 0 } };
    uint8_t shifted[sizeof params + 1];

    begin();
    for (CK_ULONG bits = 0; bits <= 200; bits++) {
        params.ulCounterBits = bits;
        memcpy(shifted + 1, &params, sizeof params);
        CU_ASSERT_EQUAL(init_with(KL_OP_DECRYPT, CKM_AES_CTR, shifted + 1, sizeof params, key),
                        bits >= 1 && bits <= 128 ? KL_OK : KL_PARAMETER);
        kl_op_clear(session, KL_OP_DECRYPT);
    }
    params.ulCounterBits = (CK_ULONG)-1;
    CU_ASSERT_EQUAL(init_with(KL_OP_DECRYPT, CKM_AES_CTR, &params, sizeof params, key), KL_PARAMETER);
    end();
}

/* v3.1 6.11.3: of two bits that begin at 1, three blocks. */
static void a_counter_does_not_come_round(void)
{
    static const struct {
        CK_ULONG bits;
        uint8_t last[2];
        size_t blocks;
    } cases[] = { { 2, { 0, 1 }, 3 },       { 2, { 0, 0 }, 4 },         { 1, { 0, 1 }, 1 },         { 1, { 0, 2 }, 2 },
                  { 8, { 0, 250 }, 6 },     { 12, { 0xFF, 0xF0 }, 16 }, { 16, { 0xFF, 0xF0 }, 16 }, { 16, { 0xFF, 0x90 }, 112 },
                  { 9, { 0x01, 0xFD }, 3 }, { 9, { 0xFE, 0xFD }, 259 } };
    static uint8_t out[MOST];

    begin();
    for (size_t i = 0; i < COUNT(cases); i++) {
        CK_AES_CTR_PARAMS params = { cases[i].bits, { (CK_BYTE)i, 9 } };
        size_t most = cases[i].blocks * 16, len;

        memcpy(params.cb + 14, cases[i].last, 2);
        CU_ASSERT_EQUAL(init_with(KL_OP_DECRYPT, CKM_AES_CTR, &params, sizeof params, key), KL_OK);
        len = sizeof out;
        CU_ASSERT_EQUAL(once(KL_OP_DECRYPT, plain, most + 1, out, &len), KL_DATA_LENGTH);
        CU_ASSERT_EQUAL(init_with(KL_OP_DECRYPT, CKM_AES_CTR, &params, sizeof params, key), KL_OK);
        len = sizeof out;
        CU_ASSERT_EQUAL(once(KL_OP_DECRYPT, plain, most, out, &len), KL_OK);
        CU_ASSERT_EQUAL(init_with(KL_OP_ENCRYPT, CKM_AES_CTR, &params, sizeof params, key), KL_OK);
        for (size_t at = 0; at < most; at += 8) {
            len = 8;
            CU_ASSERT_EQUAL(update(KL_OP_ENCRYPT, plain + at, 8, out + at, &len), KL_OK);
        }
        len = 1;
        CU_ASSERT_EQUAL(update(KL_OP_ENCRYPT, plain, 1, out, &len), KL_DATA_LENGTH);
        CU_ASSERT_EQUAL(update(KL_OP_ENCRYPT, plain, 1, out, &len), KL_NO_OPERATION);
    }
    end();
}

static void a_counter_that_has_encrypted_is_refused(void)
{
    uint8_t out[16];
    size_t len = sizeof out;

    begin();
    next_counter();
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, &rows[2]), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, NULL, 0, out, &len), KL_OK);
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, &rows[2]), KL_OK);
    len = sizeof out;
    CU_ASSERT_EQUAL(update(KL_OP_ENCRYPT, plain, 1, out, &len), KL_OK);
    CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, NULL, 0), KL_OK);
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, &rows[2]), KL_PARAMETER);
    CU_ASSERT_EQUAL(init(KL_OP_DECRYPT, &rows[2]), KL_OK);
    /* An IV of CBC is no such thing. */
    for (int i = 0; i < 2; i++) {
        len = sizeof out;
        CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, &rows[0]), KL_OK);
        CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, plain, 16, out, &len), KL_OK);
    }
    end();
}

static void under_strict_the_token_makes_the_ivs(void)
{
    CK_OBJECT_HANDLE own[3];
    uint8_t mine[16] = { 0 }, out[64], back[64];
    CK_AES_CTR_PARAMS params = { 40, { 0 } };
    size_t len = sizeof out, back_len = sizeof back;

    begin();
    demo->policy = KL_POLICY_STRICT;
    for (size_t i = 0; i < COUNT(own); i++) own[i] = import_key(session, CKK_AES, key_bytes, 32, CKA_ENCRYPT, CKA_DECRYPT);
    CU_ASSERT_EQUAL(init_with(KL_OP_ENCRYPT, CKM_AES_CBC_PAD, mine, 16, own[0]), KL_OK);
    CU_ASSERT(memcmp(mine, (uint8_t[16]){ 0 }, 16) != 0);
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, plain, 20, out, &len), KL_OK);
    CU_ASSERT_EQUAL(init_with(KL_OP_DECRYPT, CKM_AES_CBC_PAD, mine, 16, own[0]), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_DECRYPT, out, len, back, &back_len), KL_OK);
    CU_ASSERT(back_len == 20 && memcmp(back, plain, 20) == 0);
    CU_ASSERT_EQUAL(init_with(KL_OP_ENCRYPT, CKM_AES_CBC_PAD, mine, 16, own[0]), KL_PARAMETER);
    CU_ASSERT_EQUAL(init_with(KL_OP_ENCRYPT, CKM_AES_CTR, &params, sizeof params, own[1]), KL_OK);
    CU_ASSERT(memcmp(params.cb, (uint8_t[16]){ 0 }, 12) != 0);
    CU_ASSERT(memcmp(params.cb + 12, (uint8_t[4]){ 0 }, 4) == 0);
    len = sizeof out;
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, plain, 20, out, &len), KL_OK);
    CU_ASSERT_EQUAL(init_with(KL_OP_DECRYPT, CKM_AES_CTR, &params, sizeof params, own[1]), KL_OK);
    back_len = sizeof back;
    CU_ASSERT_EQUAL(once(KL_OP_DECRYPT, out, len, back, &back_len), KL_OK);
    CU_ASSERT(back_len == 20 && memcmp(back, plain, 20) == 0);
    CU_ASSERT_EQUAL(init_with(KL_OP_ENCRYPT, CKM_AES_CTR, &params, sizeof params, own[1]), KL_PARAMETER);
    CU_ASSERT_EQUAL(init_with(KL_OP_ENCRYPT, CKM_AES_ECB, NULL, 0, own[2]), KL_MECHANISM);
    /* CBC and CBC_PAD are one kind, CTR is another. */
    memset(mine, 0, sizeof mine);
    CU_ASSERT_EQUAL(init_with(KL_OP_ENCRYPT, CKM_AES_CBC, mine, 16, own[0]), KL_OK);
    CU_ASSERT_EQUAL(init_with(KL_OP_DECRYPT, CKM_AES_CBC, mine, 16, own[1]), KL_KEY_FUNCTION);
    end();
}

/* The bits before a short counter are random, too, and the whole of it is there to be used. */
static void the_tokens_counter_begins_at_zero(void)
{
    CK_AES_CTR_PARAMS params = { 3, { 0 } };
    uint8_t out[129];
    size_t len = sizeof out;

    begin();
    demo->policy = KL_POLICY_STRICT;
    CU_ASSERT_EQUAL(init_with(KL_OP_ENCRYPT, CKM_AES_CTR, &params, sizeof params, key), KL_OK);
    CU_ASSERT_EQUAL(params.cb[15] & 7, 0);
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, plain, 128, out, &len), KL_OK);
    end();
}

/* --- keys --- */

static void ecb_is_off_elsewhere(void)
{
    CK_MECHANISM_INFO info;

    begin();
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, &rows[3]), KL_OK);
    CU_ASSERT_EQUAL(kl_mech_info(demo, CKM_AES_ECB, &info), KL_OK);
    kl_op_clear(session, KL_OP_ENCRYPT);
    demo->policy = KL_POLICY_STANDARD;
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, &rows[3]), KL_MECHANISM);
    CU_ASSERT_EQUAL(init(KL_OP_DECRYPT, &rows[3]), KL_MECHANISM);
    CU_ASSERT_EQUAL(kl_mech_info(demo, CKM_AES_ECB, &info), KL_MECHANISM);
    CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, &rows[0]), KL_OK);
    end();
}

static void a_ladder_key_counts_under_its_subkey_and_does_nothing_else_here(void)
{
    CK_OBJECT_HANDLE first, second, users;
    uint8_t out[32], back[32];
    size_t len = sizeof out, back_len = sizeof back;

    begin();
    users = derive(session, find_label(session, "master"), "users", "users");
    first = derive(session, users, "1", NULL);
    second = derive(session, users, "1", NULL);
    for (size_t i = 0; i < COUNT(rows); i++) {
        next_counter();
        CU_ASSERT_EQUAL(init_with(KL_OP_ENCRYPT, rows[i].type, rows[i].parameter, rows[i].parameter_len, first),
                        rows[i].is_stream ? KL_OK : KL_KEY_FUNCTION);
        kl_op_clear(session, KL_OP_ENCRYPT);
    }
    CU_ASSERT_EQUAL(init_with(KL_OP_ENCRYPT, CKM_AES_CTR, &ctr, sizeof ctr, first), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, plain, 30, out, &len), KL_OK);
    CU_ASSERT_EQUAL(init_with(KL_OP_DECRYPT, CKM_AES_CTR, &ctr, sizeof ctr, second), KL_OK);
    CU_ASSERT_EQUAL(once(KL_OP_DECRYPT, out, len, back, &back_len), KL_OK);
    CU_ASSERT(back_len == 30 && memcmp(back, plain, 30) == 0);
    end();
}

static void a_key_of_another_type_or_use_is_refused(void)
{
    CK_OBJECT_HANDLE secret, one_way, signer;

    begin();
    secret = import_key(session, CKK_GENERIC_SECRET, key_bytes, 32, CKA_ENCRYPT, CKA_DECRYPT);
    one_way = import_key(session, CKK_AES, key_bytes, 32, CKA_DECRYPT, 0);
    signer = import_key(session, CKK_AES, key_bytes, 32, CKA_SIGN, CKA_VERIFY);
    for (size_t i = 0; i < COUNT(rows); i++) {
        next_counter();
        CU_ASSERT_EQUAL(init_with(KL_OP_ENCRYPT, rows[i].type, rows[i].parameter, rows[i].parameter_len, secret), KL_KEY_TYPE);
        CU_ASSERT_EQUAL(init_with(KL_OP_ENCRYPT, rows[i].type, rows[i].parameter, rows[i].parameter_len, one_way), KL_KEY_FUNCTION);
        CU_ASSERT_EQUAL(init_with(KL_OP_ENCRYPT, rows[i].type, rows[i].parameter, rows[i].parameter_len, signer), KL_KEY_FUNCTION);
        CU_ASSERT_EQUAL(init_with(KL_OP_SIGN, rows[i].type, rows[i].parameter, rows[i].parameter_len, signer), KL_MECHANISM);
    }
    end();
}

static void a_cancelled_operation_leaves_nothing_to_the_next(void)
{
    uint8_t out[64], back[64];

    begin();
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t len = sizeof out, back_len = sizeof back;

        next_counter();
        CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, &rows[i]), KL_OK);
        CU_ASSERT_EQUAL(update(KL_OP_ENCRYPT, plain, 21, out, &len), KL_OK);
        CU_ASSERT_EQUAL(kl_op_init(session, KL_OP_ENCRYPT, NULL, 0), KL_OK);
        next_counter();
        len = sizeof out;
        CU_ASSERT_EQUAL(init(KL_OP_ENCRYPT, &rows[i]), KL_OK);
        CU_ASSERT_EQUAL(once(KL_OP_ENCRYPT, plain, 32, out, &len), KL_OK);
        CU_ASSERT_EQUAL(init(KL_OP_DECRYPT, &rows[i]), KL_OK);
        CU_ASSERT_EQUAL(once(KL_OP_DECRYPT, out, len, back, &back_len), KL_OK);
        CU_ASSERT(back_len == 32 && memcmp(back, plain, 32) == 0);
    }
    end();
}

static enum kl_rc encrypt_with(const struct row *row)
{
    uint8_t out[64];
    size_t len = sizeof out;

    next_counter();
    kl_op_clear(session, KL_OP_ENCRYPT);
    KL_TRY(init(KL_OP_ENCRYPT, row));
    return once(KL_OP_ENCRYPT, plain, 32, out, &len);
}

static void no_memory_is_said_and_the_next_try_works(void)
{
    begin();
    for (size_t i = 0; i < COUNT(rows); i++) {
        bool struck = true;

        for (unsigned n = 1; struck; n++) {
            enum kl_rc rc;

            failing_memory(n);
            rc = encrypt_with(&rows[i]);
            struck = failing_has_failed();
            failing_memory(0);
            CU_ASSERT_EQUAL(rc, struck ? KL_MEMORY : KL_OK);
            CU_ASSERT(!session->ops[KL_OP_ENCRYPT].is_active);
        }
    }
    end();
}

UNIT_MAIN("token/op_cipher", UNIT(modes_are_those_of_sp_800_38a), UNIT(any_parts_give_what_one_piece_gives), UNIT(in_place_is_the_same),
          UNIT(a_short_buffer_is_told_the_length_and_may_try_again), UNIT(padded_plaintext_fits_where_it_fits),
          UNIT(parts_of_a_block_are_refused), UNIT(what_no_memory_holds_is_refused_before_it_is_read),
          UNIT(padding_is_1_to_16_bytes_of_their_number), UNIT(every_bad_padding_is_one_code_and_gives_no_plaintext),
          UNIT(parameters_of_other_lengths_are_refused), UNIT(a_counter_has_1_to_128_bits), UNIT(a_counter_does_not_come_round),
          UNIT(a_counter_that_has_encrypted_is_refused), UNIT(under_strict_the_token_makes_the_ivs),
          UNIT(the_tokens_counter_begins_at_zero), UNIT(ecb_is_off_elsewhere),
          UNIT(a_ladder_key_counts_under_its_subkey_and_does_nothing_else_here), UNIT(a_key_of_another_type_or_use_is_refused),
          UNIT(a_cancelled_operation_leaves_nothing_to_the_next), UNIT(no_memory_is_said_and_the_next_try_works))
