/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Every call that this room makes of those below, and some of its own, is made to fail in turn, in every kind of deed
 * (STYLE 8): what failed is what the caller is told, and the next try works. tests/unit/p11/test_faults.c does so from
 * outside, with what the libraries offer.
 */
#include "../failing.h"
#include "base/secret.h"
#include "crypto/aead.h"
#include "crypto/cipher.h"
#include "crypto/digest.h"
#include "crypto/hash.h"
#include "crypto/keywrap.h"
#include "crypto/mac.h"
#include "crypto/random.h"
#include "fixture.h"
#include "ladder/envelope.h"
#include "ladder/ladder.h"
#include "token/aead_op.h"
#include "token/batch.h"
#include "token/draft.h"
#include "token/hold.h"
#include "token/mech.h"
#include "token/policy.h"
#include "token/shelf.h"
#include "token/slot.h"
#include "token/wrap.h"

/* --- the faults --- */

static struct {
    unsigned left; /* the how-manieth call from now on fails; 0: none does any more */
    enum kl_rc rc;
    const char *failed;
} fault;

static bool strikes(const char *name, enum kl_rc rc)
{
    if (fault.left == 0 || --fault.left > 0) return false;
    fault.failed = name;
    fault.rc = rc;
    return true;
}

/* The linker does not see whether the parameters are still those of the function. */
#define WRAP(name, parameters, arguments, failure)                                                                               \
    _Static_assert(_Generic(&(name), enum kl_rc(*) parameters : 1, default : 0), "the function " #name " has other parameters"); \
    enum kl_rc __real_##name parameters;                                                                                         \
    enum kl_rc __wrap_##name parameters;                                                                                         \
    enum kl_rc __wrap_##name parameters                                                                                          \
    {                                                                                                                            \
        return strikes(#name, failure) ? (failure) : __real_##name arguments;                                                    \
    }
#include "wraps.def"
#undef WRAP

void *__real_kl_arena_new(size_t size);
void *__wrap_kl_arena_new(size_t size);
void *__wrap_kl_arena_new(size_t size)
{
    return strikes("kl_arena_new", KL_MEMORY) ? NULL : __real_kl_arena_new(size);
}

/* --- a token --- */

static struct kl_session *session;
static CK_OBJECT_HANDLE master, table, signer, gcm_key, aes, hmac_key, kek, leaving, base, salt;
static CK_OBJECT_HANDLE token_key, token_data;
static uint8_t iv[16], plain[40] = "what is to be protected here, all of it";

static void make_objects(void)
{
    CK_HKDF_PARAMS hkdf = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, plain, 4 };
    CK_MECHANISM mechanism = { CKM_HKDF_DERIVE, &hkdf, sizeof hkdf };
    CK_ATTRIBUTE signing[] = { A_BOOL(CKA_TOKEN, CK_FALSE), A_BOOL(CKA_SIGN, CK_TRUE), A_BOOL(CKA_VERIFY, CK_TRUE) };
    CK_ATTRIBUTE data[] = { A_ULONG(CKA_CLASS, CKO_DATA), A_BOOL(CKA_TOKEN, CK_TRUE), A_BOOL(CKA_PRIVATE, CK_TRUE),
                            A_TEXT(CKA_LABEL, "note"), A_TEXT(CKA_VALUE, "secret words") };

    master = find_label(session, "master");
    CU_ASSERT_EQUAL_FATAL(kl_object_derive(session, &mechanism, master, signing, COUNT(signing), &signer), KL_OK);
    table = derive(session, master, "users", "users");
    gcm_key = aes_key(session, false, NULL);
    aes = import_aes(session, "thirty-two bytes of an AES key..");
    hmac_key = import_key(session, CKK_GENERIC_SECRET, plain, 32, CKA_SIGN, CKA_VERIFY);
    kek = import_key(session, CKK_AES, plain + 8, 32, CKA_WRAP, CKA_UNWRAP);
    leaving = import_key(session, CKK_GENERIC_SECRET, plain, 24, CKA_SIGN, 0);
    base = import_key(session, CKK_GENERIC_SECRET, plain + 4, 32, CKA_DERIVE, 0);
    salt = import_key(session, CKK_GENERIC_SECRET, plain + 5, 32, CKA_DERIVE, 0);
    token_key = aes_key(session, true, "stays");
    CU_ASSERT_EQUAL_FATAL(kl_object_create(session, data, COUNT(data), &token_data), KL_OK);
    CU_ASSERT_FATAL(master && table && gcm_key && aes && hmac_key && kek && leaving && base && salt && token_key);
}

static void begin(void)
{
    fixture_begin();
    session = session_new(CKF_RW_SESSION);
    log_in();
    make_objects();
}

static void end(void)
{
    session_end(session);
    fixture_end();
}

/* Each try has IVs of its own, since one that was used is refused. */
static void next_iv(void)
{
    for (size_t i = 0; ++iv[i] == 0;) i++;
}

enum { ROOM = 2048 }; /* for whatever a root makes of a key */

/* --- deeds: each a whole, that answers with its first failure --- */

static enum kl_rc both_ways(const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    uint8_t sealed[ROOM], back[ROOM];
    struct kl_out out = { sealed, sizeof sealed, 0 }, opened = { back, sizeof back, 0 };

    KL_TRY(kl_op_init(session, KL_OP_ENCRYPT, mechanism, key));
    KL_TRY(kl_op_once(session, KL_OP_ENCRYPT, kl_view_of(plain, 32), &out));
    KL_TRY(kl_op_init(session, KL_OP_DECRYPT, mechanism, key));
    KL_TRY(kl_op_once(session, KL_OP_DECRYPT, kl_view_of(sealed, out.len), &opened));
    return opened.len == 32 && memcmp(back, plain, 32) == 0 ? KL_OK : KL_INTEGRITY;
}

/* Takes `in` in parts of `step`, the results one behind the other. */
static enum kl_rc parts(enum kl_op_kind kind, struct kl_view in, size_t step, struct kl_out *out)
{
    struct kl_out room = { out->data, out->cap, 0 };

    for (size_t at = 0; at < in.len; at += step) {
        size_t len = in.len - at < step ? in.len - at : step;

        KL_TRY(kl_op_update(session, kind, kl_view_of(in.data + at, len), &room));
        out->len += room.len;
        room = (struct kl_out){ out->data + out->len, out->cap - out->len, 0 };
    }
    KL_TRY(kl_op_final(session, kind, &room));
    out->len += room.len;
    return KL_OK;
}

static enum kl_rc both_ways_in_parts(const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key, size_t len)
{
    uint8_t sealed[128], back[128];
    struct kl_out out = { sealed, sizeof sealed, 0 }, opened = { back, sizeof back, 0 };

    KL_TRY(kl_op_init(session, KL_OP_ENCRYPT, mechanism, key));
    KL_TRY(parts(KL_OP_ENCRYPT, kl_view_of(plain, len), 13, &out));
    KL_TRY(kl_op_init(session, KL_OP_DECRYPT, mechanism, key));
    KL_TRY(parts(KL_OP_DECRYPT, kl_view_of(sealed, out.len), 13, &opened));
    return opened.len == len && memcmp(back, plain, len) == 0 ? KL_OK : KL_INTEGRITY;
}

static enum kl_rc gcm(void)
{
    CK_GCM_PARAMS params = { iv, 12, 96, plain, 5, 128 };
    CK_MECHANISM mechanism = { CKM_AES_GCM, &params, sizeof params };

    next_iv();
    KL_TRY(both_ways(&mechanism, gcm_key));
    next_iv();
    return both_ways_in_parts(&mechanism, gcm_key, 40);
}

static enum kl_rc gcm_of_nothing(void)
{
    CK_GCM_PARAMS params = { iv, 12, 96, plain, 5, 128 };
    CK_MECHANISM mechanism = { CKM_AES_GCM, &params, sizeof params };

    next_iv();
    return both_ways_in_parts(&mechanism, gcm_key, 0);
}

/* An IV of zeros is one that the token makes. */
static enum kl_rc gcm_on_the_ladder(void)
{
    uint8_t zeros[12] = { 0 };
    CK_GCM_PARAMS params = { zeros, 12, 96, NULL, 0, 128 };
    CK_MECHANISM mechanism = { CKM_AES_GCM, &params, sizeof params };

    return both_ways(&mechanism, table);
}

/* Longer than what the ring of used IVs keeps of one. */
static enum kl_rc gcm_with_a_long_iv(void)
{
    uint8_t odd[40] = "an IV that is longer than others";
    CK_GCM_PARAMS params = { odd, 40, 320, NULL, 0, 128 };
    CK_MECHANISM mechanism = { CKM_AES_GCM, &params, sizeof params };

    next_iv();
    memcpy(odd + 24, iv, sizeof iv);
    return both_ways(&mechanism, gcm_key);
}

static enum kl_rc messages_by(CK_GENERATOR_FUNCTION generator)
{
    uint8_t tag[16], own[12], sealed[40], back[40];
    CK_GCM_MESSAGE_PARAMS params = { own, 12, 0, generator, tag, 128 };
    CK_MECHANISM mechanism = { CKM_AES_GCM, NULL, 0 };
    struct kl_view parameter = kl_view_of(&params, sizeof params), aad = kl_view_of(plain, 3);
    struct kl_out out = { sealed, sizeof sealed, 0 }, rest = { sealed + 20, 20, 0 }, opened = { back, sizeof back, 0 };

    KL_TRY(kl_op_init(session, KL_OP_MESSAGE_ENCRYPT, &mechanism, gcm_key));
    KL_TRY(kl_message_begin(session, KL_OP_MESSAGE_ENCRYPT, parameter, aad));
    KL_TRY(kl_message_next(session, KL_OP_MESSAGE_ENCRYPT, parameter, kl_view_of(NULL, 0), true, &opened));
    KL_TRY(kl_message_once(session, KL_OP_MESSAGE_ENCRYPT, parameter, &(struct kl_aead_text){ aad, kl_view_of(plain, 40) }, &out));
    KL_TRY(kl_message_begin(session, KL_OP_MESSAGE_ENCRYPT, parameter, aad));
    KL_TRY(kl_message_next(session, KL_OP_MESSAGE_ENCRYPT, parameter, kl_view_of(plain, 20), false, &out));
    KL_TRY(kl_message_next(session, KL_OP_MESSAGE_ENCRYPT, parameter, kl_view_of(plain + 20, 20), true, &rest));
    KL_TRY(kl_message_final(session, KL_OP_MESSAGE_ENCRYPT));
    params.ivGenerator = CKG_NO_GENERATE;
    KL_TRY(kl_op_init(session, KL_OP_MESSAGE_DECRYPT, &mechanism, gcm_key));
    KL_TRY(kl_message_begin(session, KL_OP_MESSAGE_DECRYPT, parameter, aad));
    KL_TRY(kl_message_next(session, KL_OP_MESSAGE_DECRYPT, parameter, kl_view_of(sealed, 20), false, &opened));
    opened = (struct kl_out){ back, sizeof back, 0 };
    KL_TRY(kl_message_next(session, KL_OP_MESSAGE_DECRYPT, parameter, kl_view_of(sealed + 20, 20), true, &opened));
    if (opened.len != 40 || memcmp(back, plain, 40) != 0) return KL_INTEGRITY;
    return kl_message_final(session, KL_OP_MESSAGE_DECRYPT);
}

static enum kl_rc messages(void)
{
    KL_TRY(messages_by(CKG_GENERATE_RANDOM));
    return messages_by(CKG_GENERATE_COUNTER);
}

static enum kl_rc cbc(void)
{
    CK_MECHANISM mechanism = { CKM_AES_CBC_PAD, iv, 16 };

    next_iv();
    KL_TRY(both_ways(&mechanism, aes));
    return both_ways_in_parts(&mechanism, aes, 40);
}

/* Whole blocks: all of the first part is taken, and something is left for the end. */
static enum kl_rc cbc_by_blocks(void)
{
    CK_MECHANISM mechanism = { CKM_AES_CBC_PAD, iv, 16 };
    uint8_t sealed[64], back[64];
    struct kl_out out = { sealed, sizeof sealed, 0 }, rest = { sealed + 32, 32, 0 }, opened = { back, sizeof back, 0 };

    next_iv();
    KL_TRY(kl_op_init(session, KL_OP_ENCRYPT, &mechanism, aes));
    KL_TRY(kl_op_update(session, KL_OP_ENCRYPT, kl_view_of(plain, 32), &out));
    KL_TRY(kl_op_final(session, KL_OP_ENCRYPT, &rest));
    KL_TRY(kl_op_init(session, KL_OP_DECRYPT, &mechanism, aes));
    KL_TRY(kl_op_update(session, KL_OP_DECRYPT, kl_view_of(sealed, 48), &opened));
    rest = (struct kl_out){ back + opened.len, 16, 0 };
    return kl_op_final(session, KL_OP_DECRYPT, &rest);
}

static enum kl_rc ctr(void)
{
    CK_AES_CTR_PARAMS params = { 64, { 0 } };
    CK_MECHANISM mechanism = { CKM_AES_CTR, &params, sizeof params };

    next_iv();
    memcpy(params.cb, iv, 8);
    return both_ways(&mechanism, aes);
}

static enum kl_rc iv_of_the_tokens_choice(CK_MECHANISM_TYPE type, void *parameter, size_t len)
{
    CK_MECHANISM mechanism = { type, parameter, len };
    uint8_t sealed[64];
    struct kl_out out = { sealed, sizeof sealed, 0 };

    KL_TRY(kl_op_init(session, KL_OP_ENCRYPT, &mechanism, aes));
    return kl_op_once(session, KL_OP_ENCRYPT, kl_view_of(plain, 32), &out);
}

static enum kl_rc strictly(void)
{
    CK_AES_CTR_PARAMS params = { 64, { 0 } };

    return iv_of_the_tokens_choice(CKM_AES_CTR, &params, sizeof params);
}

static enum kl_rc sign_with(const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key, size_t mac_len)
{
    uint8_t mac[64];
    struct kl_out out = { mac, sizeof mac, 0 };

    KL_TRY(kl_op_init(session, KL_OP_SIGN, mechanism, key));
    KL_TRY(kl_op_once(session, KL_OP_SIGN, kl_view_of(plain, 40), &out));
    KL_TRY(kl_op_init(session, KL_OP_VERIFY, mechanism, key));
    KL_TRY(kl_op_verify(session, kl_view_of(plain, 40), kl_view_of(mac, mac_len)));
    KL_TRY(kl_op_init(session, KL_OP_VERIFY, mechanism, key));
    KL_TRY(kl_op_absorb(session, KL_OP_VERIFY, kl_view_of(plain, 40)));
    return kl_op_verify_final(session, kl_view_of(mac, mac_len));
}

static enum kl_rc macs(void)
{
    CK_MECHANISM hmac = { CKM_SHA256_HMAC, NULL, 0 };

    KL_TRY(sign_with(&hmac, hmac_key, 32));
    return sign_with(&hmac, signer, 32);
}

static enum kl_rc digests(void)
{
    CK_MECHANISM sha256 = { CKM_SHA256, NULL, 0 };
    uint8_t digest[32];
    struct kl_out out = { digest, sizeof digest, 0 };

    KL_TRY(kl_op_digest_init(session, &sha256));
    KL_TRY(kl_op_once(session, KL_OP_DIGEST, kl_view_of(plain, 40), &out));
    KL_TRY(kl_op_digest_init(session, &sha256));
    KL_TRY(kl_op_absorb(session, KL_OP_DIGEST, kl_view_of(plain, 40)));
    KL_TRY(kl_op_digest_key(session, hmac_key));
    return kl_op_final(session, KL_OP_DIGEST, &out);
}

static enum kl_rc envelopes(void)
{
    CK_MECHANISM mechanism = { CKM_KL_ENVELOPE, plain, 7 };
    struct kl_batch batch = { session, KL_OP_ENCRYPT, &mechanism, table };
    uint8_t sealed[128];
    struct kl_out out = { sealed, sizeof sealed, 0 };

    KL_TRY(both_ways(&mechanism, table));
    mechanism = (CK_MECHANISM){ CKM_KL_ENVELOPE, NULL, 0 };
    KL_TRY(kl_batch_begin(&batch));
    return kl_batch_item(&batch, kl_view_of(plain, 3), kl_view_of(plain, 9), &out);
}

/* There and back; the unwrapped key is destroyed. */
static enum kl_rc wrap_with(const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE under, CK_OBJECT_HANDLE key, CK_KEY_TYPE type)
{
    struct kl_wrap_call call = { .mechanism = mechanism, .key = under, .is_authenticated = mechanism->mechanism == CKM_AES_GCM };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_KEY_TYPE, type) };
    CK_OBJECT_HANDLE back = 0;
    uint8_t wrapped[ROOM];
    struct kl_out out = { wrapped, sizeof wrapped, 0 };

    KL_TRY(kl_object_wrap(session, &call, key, &out));
    KL_TRY(kl_object_unwrap(session, &call, kl_view_of(wrapped, out.len), template, 1, &back));
    return kl_object_destroy(session, back);
}

static enum kl_rc wraps(void)
{
    CK_MECHANISM kwp = { CKM_AES_KEY_WRAP_KWP, NULL, 0 };
    CK_MECHANISM cbc_pad = { CKM_AES_CBC_PAD, iv, 16 };
    CK_GCM_WRAP_PARAMS params = { iv, 12, 0, CKG_GENERATE_RANDOM, NULL, 0, 128 };
    CK_MECHANISM wrap_gcm = { CKM_AES_GCM, &params, sizeof params };

    KL_TRY(wrap_with(&kwp, kek, leaving, CKK_GENERIC_SECRET));
    KL_TRY(wrap_with(&wrap_gcm, kek, leaving, CKK_GENERIC_SECRET));
    return wrap_with(&cbc_pad, kek, leaving, CKK_GENERIC_SECRET);
}

static enum kl_rc wraps_by_the_root(void)
{
    CK_MECHANISM mechanism = { CKM_KL_ROOT_WRAP, NULL, 0 };

    KL_TRY(wrap_with(&mechanism, master, leaving, CKK_GENERIC_SECRET));
    return both_ways(&mechanism, master);
}

static enum kl_rc derive_one(const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE from, bool has_len)
{
    CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_FALSE), A_TEXT(CKA_LABEL, "derived"), A_ULONG(CKA_VALUE_LEN, 32) };
    CK_OBJECT_HANDLE child = 0;

    KL_TRY(kl_object_derive(session, mechanism, from, template, has_len ? 3 : 2, &child));
    return kl_object_destroy(session, child);
}

static enum kl_rc derivations(void)
{
    CK_HKDF_PARAMS hkdf = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_KEY, NULL, 0, salt, plain, 4 };
    CK_MECHANISM by_hkdf = { CKM_HKDF_DERIVE, &hkdf, sizeof hkdf }, data = { CKM_HKDF_DATA, &hkdf, sizeof hkdf };
    CK_SP800_108_COUNTER_FORMAT counter = { CK_FALSE, 8 };
    CK_PRF_DATA_PARAM variable = { CK_SP800_108_ITERATION_VARIABLE, &counter, sizeof counter };
    CK_SP800_108_KDF_PARAMS kdf = { CKM_SHA256_HMAC, 1, &variable, 0, NULL };
    CK_MECHANISM by_counter = { CKM_SP800_108_COUNTER_KDF, &kdf, sizeof kdf };

    KL_TRY(derive_one(&by_hkdf, base, true));
    hkdf.ulSaltType = CKF_HKDF_SALT_NULL;
    hkdf.bExpand = CK_FALSE;
    KL_TRY(derive_one(&by_hkdf, base, true));
    hkdf.bExpand = CK_TRUE;
    KL_TRY(derive_one(&by_hkdf, table, false));
    KL_TRY(derive_one(&data, base, true));
    return derive_one(&by_counter, base, true);
}

/* Using a record key asks for the state of what it comes from. */
static enum kl_rc record_keys(void)
{
    CK_OBJECT_HANDLE key = derive(session, table, "4711", NULL);
    CK_GCM_PARAMS params = { iv, 12, 96, NULL, 0, 128 };
    CK_MECHANISM mechanism = { CKM_AES_GCM, &params, sizeof params };

    if (!key) return last_rc;
    next_iv();
    KL_TRY(both_ways(&mechanism, key));
    return kl_object_destroy(session, key);
}

static enum kl_rc data_of(bool is_token, bool is_private)
{
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_DATA), A_BOOL(CKA_TOKEN, is_token), A_BOOL(CKA_PRIVATE, is_private),
                                A_TEXT(CKA_VALUE, "words") };
    CK_ATTRIBUTE other[] = { A_TEXT(CKA_VALUE, "other words") }, note[] = { A_TEXT(CKA_LABEL, "a note") };
    char room[16];
    CK_ATTRIBUTE value = { CKA_VALUE, room, sizeof room };
    CK_OBJECT_HANDLE data = 0, copy = 0;

    KL_TRY(kl_object_create(session, template, COUNT(template), &data));
    KL_TRY(kl_object_write(session, data, other, 1));
    KL_TRY(kl_object_read(session, data, &value, 1));
    KL_TRY(kl_object_copy(session, data, note, 1, &copy));
    KL_TRY(kl_object_destroy(session, copy));
    return kl_object_destroy(session, data);
}

static enum kl_rc data_objects(void)
{
    for (unsigned kind = 0; kind < 4; kind++) KL_TRY(data_of(kind & 1, kind & 2));
    return KL_OK;
}

static enum kl_rc key_objects(void)
{
    CK_OBJECT_HANDLE key = aes_key(session, true, "a key"), copy = 0, readable;
    CK_ATTRIBUTE change[] = { A_TEXT(CKA_ID, "17") }, copying[] = { A_BOOL(CKA_TOKEN, CK_FALSE), A_TEXT(CKA_LABEL, "another") };
    uint8_t room[32];
    CK_ATTRIBUTE value = { CKA_VALUE, room, sizeof room };

    if (!key) return last_rc;
    KL_TRY(kl_object_write(session, key, change, 1));
    KL_TRY(kl_object_copy(session, key, copying, 2, &copy));
    KL_TRY(kl_object_destroy(session, copy));
    KL_TRY(kl_object_destroy(session, key));
    readable = import_key(session, CKK_AES, plain, 32, CKA_ENCRYPT, CKA_DECRYPT);
    if (!readable) return last_rc;
    KL_TRY(kl_object_read(session, readable, &value, 1));
    return kl_object_destroy(session, readable);
}

static enum kl_rc searches(void)
{
    CK_ATTRIBUTE by_label[] = { A_TEXT(CKA_LABEL, "note") }, by_class[] = { A_ULONG(CKA_CLASS, CKO_DATA) };
    CK_ATTRIBUTE on_token[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, "stays") };

    find(session, by_label, 1, NULL);
    KL_TRY(last_rc);
    find(session, by_class, 1, NULL);
    KL_TRY(last_rc);
    find(session, on_token, 2, NULL);
    KL_TRY(last_rc);
    find(session, NULL, 0, NULL);
    return last_rc;
}

/* --- the judgement --- */

/*
 * What may take the place of the failure: a wrapped key that cannot be opened is told from a broken library by nothing, and a
 * CKA_WRAP_TEMPLATE that cannot be read lets no key through.
 */
static bool is_told(enum kl_rc rc)
{
    if (strcmp(fault.failed, "kl_pattern_read") == 0 && rc == KL_KEY_HANDLE) return true;
    return rc == fault.rc || (strncmp(fault.failed, "kl_keywrap", 10) == 0 && rc == KL_WRAPPED);
}

static void judge(unsigned n, enum kl_rc rc)
{
    if (fault.failed && is_told(rc)) return;
    fprintf(stderr, "  call %u (%s): %s: %s\n", n, fault.failed ? fault.failed : "none failed", kl_rc_name(rc), kl_fail_words());
    CU_FAIL("see above");
}

static void destroy_all(const char *label)
{
    CK_ATTRIBUTE template = { CKA_LABEL, (void *)(uintptr_t)label, strlen(label) };
    CK_OBJECT_HANDLE left = 0;

    while (find(session, &template, 1, &left) > 0) CU_ASSERT_EQUAL_FATAL(kl_object_destroy(session, left), KL_OK);
}

/* A search that a failure ended, operations that were left alone, and keys between two steps are not in the way of the next try. */
static void tidy(void)
{
    kl_op_clear_all(session);
    destroy_all("a key");
    destroy_all("another");
    CU_ASSERT_EQUAL(kl_object_evict(demo, CK_INVALID_HANDLE), KL_OK);
}

/* How often a failure was told. */
static unsigned fail_in_turn(enum kl_rc (*deed)(void))
{
    unsigned n = 0, told = 0;

    do {
        enum kl_rc rc;

        tidy();
        fault.failed = NULL;
        fault.left = ++n;
        rc = deed();
        fault.left = 0;
        if (fault.failed && rc != KL_OK) told++;
        if (rc != KL_OK) judge(n, rc);
    } while (fault.failed && n < 1000);
    tidy();
    CU_ASSERT_EQUAL(deed(), KL_OK);
    CU_ASSERT(n < 1000);
    return told;
}

/* The same with every allocation. */
static void want_memory(enum kl_rc (*deed)(void))
{
    bool struck = true;

    for (unsigned n = 1; struck && n < 1000; n++) {
        enum kl_rc rc;

        tidy();
        failing_memory(n);
        rc = deed();
        struck = failing_has_failed();
        failing_memory(0);
        CU_ASSERT(rc == KL_OK || (struck && rc == KL_MEMORY));
    }
    CU_ASSERT(!struck);
}

/* Twice: what the first use of a key writes down is there the second time, and the calls are others. */
#define DEED(name, deed, rule)                                  \
    static void name(void)                                      \
    {                                                           \
        begin();                                                \
        demo->policy = rule;                                    \
        CU_ASSERT(fail_in_turn(deed) + fail_in_turn(deed) > 0); \
        want_memory(deed);                                      \
        end();                                                  \
    }

DEED(gcm_says_what_failed, gcm, KL_POLICY_STANDARD)
DEED(gcm_of_nothing_says_what_failed, gcm_of_nothing, KL_POLICY_STANDARD)
DEED(gcm_on_the_ladder_says_what_failed, gcm_on_the_ladder, KL_POLICY_STANDARD)
DEED(gcm_with_a_long_iv_says_what_failed, gcm_with_a_long_iv, KL_POLICY_STANDARD)
DEED(messages_say_what_failed, messages, KL_POLICY_STANDARD)
DEED(cbc_says_what_failed, cbc, KL_POLICY_STANDARD)
DEED(cbc_by_blocks_says_what_failed, cbc_by_blocks, KL_POLICY_STANDARD)
DEED(ctr_says_what_failed, ctr, KL_POLICY_STANDARD)
DEED(an_iv_that_cannot_be_made_is_not_used, strictly, KL_POLICY_STRICT)
DEED(macs_say_what_failed, macs, KL_POLICY_STANDARD)
DEED(digests_say_what_failed, digests, KL_POLICY_STANDARD)
DEED(envelopes_say_what_failed, envelopes, KL_POLICY_STANDARD)
DEED(wraps_say_what_failed, wraps, KL_POLICY_COMPATIBLE)
DEED(wraps_by_the_root_say_what_failed, wraps_by_the_root, KL_POLICY_STANDARD)
DEED(derivations_say_what_failed, derivations, KL_POLICY_STANDARD)
DEED(record_keys_say_what_failed, record_keys, KL_POLICY_STANDARD)
DEED(data_objects_say_what_failed, data_objects, KL_POLICY_STANDARD)
DEED(key_objects_say_what_failed, key_objects, KL_POLICY_STANDARD)
DEED(searches_say_what_failed, searches, KL_POLICY_STANDARD)

UNIT_MAIN("token/faults", UNIT(gcm_says_what_failed), UNIT(gcm_of_nothing_says_what_failed), UNIT(gcm_on_the_ladder_says_what_failed),
          UNIT(gcm_with_a_long_iv_says_what_failed), UNIT(messages_say_what_failed), UNIT(cbc_says_what_failed),
          UNIT(cbc_by_blocks_says_what_failed), UNIT(ctr_says_what_failed), UNIT(an_iv_that_cannot_be_made_is_not_used),
          UNIT(macs_say_what_failed), UNIT(digests_say_what_failed), UNIT(envelopes_say_what_failed), UNIT(wraps_say_what_failed),
          UNIT(wraps_by_the_root_say_what_failed), UNIT(derivations_say_what_failed), UNIT(record_keys_say_what_failed),
          UNIT(data_objects_say_what_failed), UNIT(key_objects_say_what_failed), UNIT(searches_say_what_failed))
