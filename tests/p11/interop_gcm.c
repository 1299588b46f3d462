/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Features of AES-GCM: its parameters as callers give them, its results, its lengths, what it refuses. */
#include "interop.h"

static const char aad_text[] = "users.email/4711";

/* Parameters whose IV is a new one each time. */
struct gcm {
    CK_BYTE iv[12], aad[sizeof aad_text - 1];
    struct t_gcm params;
    CK_MECHANISM mech;
};

static void gcm_init_new(struct gcm *gcm)
{
    static CK_BYTE count;

    memset(gcm, 0, sizeof *gcm);
    gcm->iv[0] = ++count;
    memcpy(gcm->aad, aad_text, sizeof gcm->aad);
    gcm->params = (struct t_gcm){ gcm->iv, sizeof gcm->iv, 96, gcm->aad, sizeof gcm->aad, 128 };
    gcm->mech = (CK_MECHANISM){ CKM_AES_GCM, &gcm->params, sizeof gcm->params };
}

static CK_SESSION_HANDLE begin(void)
{
    CK_SESSION_HANDLE session = ready();

    OFFERS(CKM_AES_GCM, CKF_ENCRYPT | CKF_DECRYPT);
    return session;
}

static struct bytes text_of(CK_ULONG len)
{
    struct bytes text = { .len = len };

    for (CK_ULONG i = 0; i < len; i++) text.data[i] = (CK_BYTE)('a' + i % 26);
    return text;
}

/* ---- vectors: McGrew, Viega, "The Galois/Counter Mode of Operation", appendix B, test cases 4 and 16 ---- */

#define NIST_PLAIN \
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define NIST_AAD "feedfacedeadbeeffeedfacedeadbeefabaddad2"
#define NIST_IV "cafebabefacedbaddecaf888"

static void nist(const char *key, const char *cipher)
{
    CK_SESSION_HANDLE session = begin();
    struct bytes iv = from_hex(NIST_IV), aad = from_hex(NIST_AAD);
    struct t_gcm params = { iv.data, iv.len, 96, aad.data, aad.len, 128 };
    CK_MECHANISM mech = { CKM_AES_GCM, &params, sizeof params };

    vector(session, &mech, import_hex(session, CKK_AES, key, "ed"), NIST_PLAIN, cipher);
    must_equal_hex("the IV after C_Encrypt", iv.data, iv.len, NIST_IV);
    finalize();
}

void gcm_vector_16(void)
{
    nist("feffe9928665731c6d6a8f9467308308",
         "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091"
         "5bc94fbc3221a5db94fae95ae7121a47");
}

void gcm_vector_32(void)
{
    nist("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
         "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
         "76fc6ece0f4e1768cddf8853bb2d551b");
}

/* ---- parameters ---- */

/* The two codes upon which the JDK tries other parameters. */
static bool is_param_refused(CK_RV rv)
{
    return rv == CKR_MECHANISM_PARAM_INVALID || rv == CKR_ARGUMENTS_BAD;
}

static void works_with_bits(CK_ULONG bits)
{
    CK_SESSION_HANDLE session = begin();
    CK_OBJECT_HANDLE key = aes_key(session, 32, "ed");
    struct bytes plain = text_of(50), cipher = { .len = sizeof cipher.data };
    struct gcm gcm;
    CK_BYTE iv[12];
    CK_RV rv;

    gcm_init_new(&gcm);
    gcm.params.iv_bits = bits;
    memcpy(iv, gcm.iv, sizeof iv);
    rv = CALL(C_EncryptInit, session, &gcm.mech, key);
    if (bits == 0 && is_param_refused(rv)) say_no("C_EncryptInit: %s", code(rv));
    must_ok("C_EncryptInit", rv);
    MUST(C_Encrypt, session, plain.data, plain.len, cipher.data, &cipher.len);
    must_decrypt(session, &gcm.mech, key, &cipher, &plain);
    must_equal("the IV after C_Encrypt", gcm.iv, sizeof gcm.iv, iv, sizeof iv);
    finalize();
}

void gcm_iv_bits_96(void)
{
    works_with_bits(96);
}

void gcm_iv_bits_0(void)
{
    works_with_bits(0);
}

/* What the 48 bytes decrypt the 40 bytes have encrypted, if only the 40 bytes were read. */
void gcm_40_bytes(void)
{
    CK_SESSION_HANDLE session = begin();
    CK_OBJECT_HANDLE key = aes_key(session, 32, "ed");
    struct bytes plain = text_of(50), cipher = { .len = sizeof cipher.data };
    struct t_gcm40 params;
    struct gcm gcm;
    CK_MECHANISM mech = { CKM_AES_GCM, &params, sizeof params };
    CK_RV rv;

    gcm_init_new(&gcm);
    params = (struct t_gcm40){ gcm.iv, sizeof gcm.iv, gcm.aad, sizeof gcm.aad, 128 };
    rv = CALL(C_EncryptInit, session, &mech, key);
    if (is_param_refused(rv)) say_no("C_EncryptInit: %s", code(rv));
    must_ok("C_EncryptInit", rv);
    MUST(C_Encrypt, session, plain.data, plain.len, cipher.data, &cipher.len);
    must_decrypt(session, &gcm.mech, key, &cipher, &plain);
    finalize();
}

/* Structures of a caller that packs them lie at odd addresses. */
void gcm_misaligned(void)
{
    CK_SESSION_HANDLE session = begin();
    CK_OBJECT_HANDLE key = aes_key(session, 32, "ed");
    CK_BYTE room[sizeof(struct t_gcm) + 1];
    struct gcm gcm;

    gcm_init_new(&gcm);
    memcpy(room + 1, &gcm.params, sizeof gcm.params);
    gcm.mech.pParameter = room + 1;
    round_trip(session, &gcm.mech, key);
    finalize();
}

void gcm_in_place(void)
{
    CK_SESSION_HANDLE session = begin();
    CK_OBJECT_HANDLE key = aes_key(session, 32, "ed");
    struct bytes plain = text_of(70), both = plain;
    struct gcm gcm;
    CK_ULONG len = sizeof both.data;

    gcm_init_new(&gcm);
    MUST(C_EncryptInit, session, &gcm.mech, key);
    MUST(C_Encrypt, session, both.data, both.len, both.data, &len);
    both.len = len;
    must_decrypt(session, &gcm.mech, key, &both, &plain);
    finalize();
}

void gcm_tag_96(void)
{
    CK_SESSION_HANDLE session = begin();
    CK_OBJECT_HANDLE key = aes_key(session, 32, "ed");
    struct bytes plain = text_of(33), cipher;
    struct gcm gcm;

    gcm_init_new(&gcm);
    gcm.params.tag_bits = 96;
    cipher = encrypted(session, &gcm.mech, key, &plain);
    if (cipher.len != plain.len + 12) say_wrong("C_Encrypt: %lu bytes, not %lu", cipher.len, plain.len + 12);
    must_decrypt(session, &gcm.mech, key, &cipher, &plain);
    finalize();
}

/* ---- what it must not accept ---- */

/* A ciphertext with one bit changed, `from_end` bytes before its end. */
static CK_RV tampered(CK_ULONG from_end, bool other_aad, CK_ULONG cut)
{
    CK_SESSION_HANDLE session = begin();
    CK_OBJECT_HANDLE key = aes_key(session, 32, "ed");
    struct bytes plain = text_of(100), cipher, out;
    struct gcm gcm;
    CK_RV rv;

    gcm_init_new(&gcm);
    cipher = encrypted(session, &gcm.mech, key, &plain);
    must_decrypt(session, &gcm.mech, key, &cipher, &plain);
    if (from_end > 0) cipher.data[cipher.len - from_end] ^= 1;
    if (other_aad) gcm.aad[0] ^= 1;
    cipher.len -= cut;
    memset(out.data, 0, sizeof out.data);
    rv = decrypt_try(session, &gcm.mech, key, &cipher, &out);
    if (rv != CKR_OK && memmem(out.data, sizeof out.data, plain.data, 16) != NULL)
        say_wrong("C_Decrypt: %s, and the plaintext all the same", code(rv));
    return rv;
}

static void refused(const char *what, CK_RV rv)
{
    if (rv == CKR_OK) say_wrong("%s accepted", what);
    MUST_BE("C_Decrypt", rv, CKR_ENCRYPTED_DATA_INVALID, CKR_AEAD_DECRYPT_FAILED);
    finalize();
}

void gcm_tampered_tag(void)
{
    refused("tampered tag", tampered(1, false, 0));
}

void gcm_tampered_data(void)
{
    refused("tampered ciphertext", tampered(60, false, 0));
}

void gcm_tampered_aad(void)
{
    refused("other AAD", tampered(0, true, 0));
}

void gcm_truncated(void)
{
    CK_RV rv = tampered(0, false, 1);

    if (rv == CKR_OK) say_wrong("truncated ciphertext accepted");
    MUST_BE("C_Decrypt", rv, CKR_ENCRYPTED_DATA_INVALID, CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_AEAD_DECRYPT_FAILED);
    finalize();
}

void gcm_shorter_than_tag(void)
{
    CK_SESSION_HANDLE session = begin();
    CK_OBJECT_HANDLE key = aes_key(session, 32, "ed");
    struct bytes cipher = text_of(15), out;
    struct gcm gcm;

    gcm_init_new(&gcm);
    MUST_BE("C_Decrypt of 15 bytes", decrypt_try(session, &gcm.mech, key, &cipher, &out), CKR_ENCRYPTED_DATA_INVALID,
            CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_AEAD_DECRYPT_FAILED);
    finalize();
}

/* ---- lengths ---- */

void gcm_empty(void)
{
    CK_SESSION_HANDLE session = begin();
    CK_OBJECT_HANDLE key = aes_key(session, 32, "ed");
    struct bytes nothing = { .len = 0 }, cipher, out;
    struct gcm gcm;

    gcm_init_new(&gcm);
    cipher = encrypted(session, &gcm.mech, key, &nothing);
    if (cipher.len != 16) say_wrong("C_Encrypt of nothing: %lu bytes, not 16", cipher.len);
    must_decrypt(session, &gcm.mech, key, &cipher, &nothing);
    cipher.data[3] ^= 1;
    must_fail("tampered tag of nothing", decrypt_try(session, &gcm.mech, key, &cipher, &out));
    finalize();
}

/* How the JDK cancels: a call with nothing, whatever it answers, ends the operation. */
void gcm_ends_by_nothing(void)
{
    CK_SESSION_HANDLE session = begin();
    CK_OBJECT_HANDLE key = aes_key(session, 32, "ed");
    CK_BYTE out[64];
    CK_ULONG len = sizeof out;
    struct gcm gcm;

    gcm_init_new(&gcm);
    MUST(C_EncryptInit, session, &gcm.mech, key);
    CALL(C_Encrypt, session, out, 0, out, &len);
    gcm_init_new(&gcm);
    MUST(C_EncryptInit, session, &gcm.mech, key);
    len = sizeof out;
    CALL(C_Encrypt, session, NULL, 0, out, &len);
    MUST(C_DecryptInit, session, &gcm.mech, key);
    len = sizeof out;
    CALL(C_Decrypt, session, out, 0, out, &len);
    MUST(C_DecryptInit, session, &gcm.mech, key);
    finalize();
}

void gcm_asks_for_size(void)
{
    CK_SESSION_HANDLE session = begin();
    CK_OBJECT_HANDLE key = aes_key(session, 32, "ed");
    struct bytes plain = text_of(100), cipher;
    CK_ULONG len = 0;
    struct gcm gcm;

    gcm_init_new(&gcm);
    MUST(C_EncryptInit, session, &gcm.mech, key);
    MUST(C_Encrypt, session, plain.data, plain.len, NULL, &len);
    if (len < plain.len + 16) say_wrong("C_Encrypt(NULL): %lu bytes, %lu come", len, plain.len + 16);
    cipher.len = sizeof cipher.data;
    MUST(C_Encrypt, session, plain.data, plain.len, cipher.data, &cipher.len);
    if (cipher.len != plain.len + 16) say_wrong("C_Encrypt: %lu bytes, not %lu", cipher.len, plain.len + 16);
    MUST(C_DecryptInit, session, &gcm.mech, key);
    MUST(C_Decrypt, session, cipher.data, cipher.len, NULL, &len);
    if (len < plain.len) say_wrong("C_Decrypt(NULL): %lu bytes, %lu come", len, plain.len);
    plain.len = sizeof plain.data;
    MUST(C_Decrypt, session, cipher.data, cipher.len, plain.data, &plain.len);
    finalize();
}

void gcm_short_buffer(void)
{
    CK_SESSION_HANDLE session = begin();
    CK_OBJECT_HANDLE key = aes_key(session, 32, "ed");
    struct bytes plain = text_of(100), cipher = { .len = sizeof cipher.data };
    CK_ULONG len = 50;
    struct guarded room;
    struct gcm gcm;
    CK_RV rv;

    gcm_init_new(&gcm);
    guarded_init(&room, 50);
    MUST(C_EncryptInit, session, &gcm.mech, key);
    rv = CALL(C_Encrypt, session, plain.data, plain.len, room.data, &len);
    guarded_check(&room, "C_Encrypt");
    MUST_BE("C_Encrypt with too little room", rv, CKR_BUFFER_TOO_SMALL);
    if (len < plain.len + 16) say_wrong("C_Encrypt: CKR_BUFFER_TOO_SMALL, and %lu is too little again", len);
    MUST(C_Encrypt, session, plain.data, plain.len, cipher.data, &cipher.len);
    guarded_init(&room, 50);
    len = 50;
    MUST(C_DecryptInit, session, &gcm.mech, key);
    rv = CALL(C_Decrypt, session, cipher.data, cipher.len, room.data, &len);
    guarded_check(&room, "C_Decrypt");
    MUST_BE("C_Decrypt with too little room", rv, CKR_BUFFER_TOO_SMALL);
    len = sizeof room.data;
    MUST(C_Decrypt, session, cipher.data, cipher.len, room.data, &len);
    must_equal("C_Decrypt", room.data, len, plain.data, plain.len);
    finalize();
}

/* Barbican and the JDK lend exactly what comes. */
void gcm_exact_buffer(void)
{
    CK_SESSION_HANDLE session = begin();
    CK_OBJECT_HANDLE key = aes_key(session, 32, "ed");
    struct bytes plain = text_of(100);
    struct guarded cipher, out;
    CK_ULONG len = 116;
    struct gcm gcm;

    gcm_init_new(&gcm);
    guarded_init(&cipher, 116);
    guarded_init(&out, 100);
    MUST(C_EncryptInit, session, &gcm.mech, key);
    MUST(C_Encrypt, session, plain.data, plain.len, cipher.data, &len);
    guarded_check(&cipher, "C_Encrypt");
    MUST(C_DecryptInit, session, &gcm.mech, key);
    len = 100;
    MUST(C_Decrypt, session, cipher.data, 116, out.data, &len);
    guarded_check(&out, "C_Decrypt");
    must_equal("C_Decrypt", out.data, len, plain.data, plain.len);
    finalize();
}

/* ---- in parts ---- */

static struct bytes encrypted_in_parts(CK_SESSION_HANDLE session, struct gcm *gcm, CK_OBJECT_HANDLE key, const struct bytes *plain)
{
    static const CK_ULONG parts[] = { 1, 15, 16, 17, 51 };
    struct bytes out = { .len = 0 };
    CK_ULONG at = 0, len;

    MUST(C_EncryptInit, session, &gcm->mech, key);
    for (size_t i = 0; i < COUNT(parts); i++) {
        len = sizeof out.data - out.len;
        MUST(C_EncryptUpdate, session, (CK_BYTE *)(uintptr_t)plain->data + at, parts[i], out.data + out.len, &len);
        out.len += len;
        at += parts[i];
    }
    len = sizeof out.data - out.len;
    MUST(C_EncryptFinal, session, out.data + out.len, &len);
    out.len += len;
    return out;
}

void gcm_in_parts(void)
{
    CK_SESSION_HANDLE session = begin();
    CK_OBJECT_HANDLE key = aes_key(session, 32, "ed");
    struct bytes plain = text_of(100), cipher, out = { .len = 0 };
    struct gcm gcm;
    CK_ULONG len;

    gcm_init_new(&gcm);
    cipher = encrypted_in_parts(session, &gcm, key, &plain);
    must_decrypt(session, &gcm.mech, key, &cipher, &plain);
    MUST(C_DecryptInit, session, &gcm.mech, key);
    for (CK_ULONG at = 0; at < cipher.len; at += 29) {
        len = sizeof out.data - out.len;
        MUST(C_DecryptUpdate, session, cipher.data + at, cipher.len - at < 29 ? cipher.len - at : 29, out.data + out.len, &len);
        out.len += len;
    }
    len = sizeof out.data - out.len;
    MUST(C_DecryptFinal, session, out.data + out.len, &len);
    out.len += len;
    must_equal("C_DecryptUpdate and C_DecryptFinal", out.data, out.len, plain.data, plain.len);
    finalize();
}

void gcm_zero_length_final(void)
{
    CK_SESSION_HANDLE session = begin();
    CK_OBJECT_HANDLE key = aes_key(session, 32, "ed");
    struct bytes cipher = { .len = sizeof cipher.data };
    struct gcm gcm;

    gcm_init_new(&gcm);
    MUST(C_EncryptInit, session, &gcm.mech, key);
    MUST(C_EncryptFinal, session, cipher.data, &cipher.len);
    if (cipher.len != 16) say_wrong("C_EncryptFinal after nothing: %lu bytes, not 16", cipher.len);
    must_decrypt(session, &gcm.mech, key, &cipher, &(struct bytes){ .len = 0 });
    finalize();
}

/* Feeds a tampered ciphertext in parts. Returns how many bytes came before C_DecryptFinal, and its answer. */
static CK_ULONG tampered_in_parts(CK_RV *rv)
{
    CK_SESSION_HANDLE session = begin();
    CK_OBJECT_HANDLE key = aes_key(session, 32, "ed");
    struct bytes plain = text_of(100), cipher, out = { .len = 0 };
    struct gcm gcm;
    CK_ULONG len;

    gcm_init_new(&gcm);
    cipher = encrypted(session, &gcm.mech, key, &plain);
    cipher.data[cipher.len - 1] ^= 1;
    MUST(C_DecryptInit, session, &gcm.mech, key);
    for (CK_ULONG at = 0; at < cipher.len; at += 58) {
        len = sizeof out.data - out.len;
        MUST(C_DecryptUpdate, session, cipher.data + at, 58, out.data + out.len, &len);
        out.len += len;
    }
    len = sizeof out.data - out.len;
    *rv = CALL(C_DecryptFinal, session, out.data + out.len, &len);
    return out.len;
}

void gcm_tampered_in_parts(void)
{
    CK_RV rv;

    tampered_in_parts(&rv);
    if (rv == CKR_OK) say_wrong("tampered tag accepted by C_DecryptFinal");
    MUST_BE("C_DecryptFinal", rv, CKR_ENCRYPTED_DATA_INVALID, CKR_AEAD_DECRYPT_FAILED);
    finalize();
}

void gcm_withholds(void)
{
    CK_RV rv;
    CK_ULONG early = tampered_in_parts(&rv);

    if (early > 0) say_no("C_DecryptUpdate gives plaintext before its tag was checked");
    finalize();
}

/* ---- messages of 3.0 ---- */

static struct t_list30 *message_begin(CK_SESSION_HANDLE *session)
{
    struct t_list30 *list = interface_of(3, 0);

    *session = ready();
    OFFERS(CKM_AES_GCM, CKF_MESSAGE_ENCRYPT | CKF_MESSAGE_DECRYPT);
    return list;
}

static void message_round_trip(CK_ULONG generator)
{
    CK_SESSION_HANDLE session;
    struct t_list30 *list = message_begin(&session);
    CK_OBJECT_HANDLE key = aes_key(session, 32, "ed");
    CK_BYTE iv[12] = { 0 }, tag[16], before[12];
    struct t_gcm_message params = { iv, sizeof iv, 0, generator, tag, 128 };
    CK_MECHANISM mech = { CKM_AES_GCM, NULL, 0 };
    struct bytes plain = text_of(80), cipher = { .len = sizeof cipher.data }, out = { .len = sizeof out.data };
    CK_BYTE aad[] = "aad";
    CK_RV rv;

    if (generator == CKG_NO_GENERATE) iv[0] = 7;
    memcpy(before, iv, sizeof iv);
    stage("C_EncryptMessage");
    must_ok("C_MessageEncryptInit", list->encrypt.init(session, &mech, key));
    must_ok("C_EncryptMessage",
            list->encrypt.once(session, &params, sizeof params, aad, 3, plain.data, plain.len, cipher.data, &cipher.len));
    if (cipher.len != plain.len) say_wrong("C_EncryptMessage: %lu bytes, not %lu", cipher.len, plain.len);
    if (generator == CKG_NO_GENERATE && memcmp(iv, before, 12) != 0) say_wrong("C_EncryptMessage: the IV is not as given");
    if (generator != CKG_NO_GENERATE) {
        memcpy(before, iv, sizeof iv);
        cipher.len = sizeof cipher.data;
        must_ok("C_EncryptMessage",
                list->encrypt.once(session, &params, sizeof params, aad, 3, plain.data, plain.len, cipher.data, &cipher.len));
        if (memcmp(iv, before, 12) == 0) say_wrong("C_EncryptMessage: one IV for two messages");
    }
    must_ok("C_MessageEncryptFinal", list->encrypt.final(session));
    stage("C_DecryptMessage");
    params.generator = CKG_NO_GENERATE;
    must_ok("C_MessageDecryptInit", list->decrypt.init(session, &mech, key));
    must_ok("C_DecryptMessage", list->decrypt.once(session, &params, sizeof params, aad, 3, cipher.data, cipher.len, out.data, &out.len));
    must_equal("C_DecryptMessage", out.data, out.len, plain.data, plain.len);
    tag[0] ^= 1;
    out.len = sizeof out.data;
    rv = list->decrypt.once(session, &params, sizeof params, aad, 3, cipher.data, cipher.len, out.data, &out.len);
    if (rv == CKR_OK) say_wrong("tampered tag accepted");
    MUST_BE("C_DecryptMessage", rv, CKR_AEAD_DECRYPT_FAILED, CKR_ENCRYPTED_DATA_INVALID);
    finalize();
}

void message_given_iv(void)
{
    message_round_trip(CKG_NO_GENERATE);
}

void message_made_iv(void)
{
    message_round_trip(CKG_GENERATE);
}
