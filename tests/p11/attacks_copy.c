/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* C: attributes, copies and imports. */
#include "attacks.h"

static const CK_BYTE value32[32] = "an imported key of 32 bytes, fix";
static CK_MECHANISM_TYPE gcm_only = CKM_AES_GCM;

CASE(A_C1_sensitive_down)
{
    CK_SESSION_HANDLE session = user_session();

    make(session, "K", "edS");
    session = settle(session);
    REFUSED(session, set_bool(session, named(session, "K"), CKA_SENSITIVE, CK_FALSE), CKR_ATTRIBUTE_READ_ONLY);
}

CASE(A_C2_extractable_up)
{
    CK_SESSION_HANDLE session = user_session();

    make(session, "K", "edS");
    session = settle(session);
    REFUSED(session, set_bool(session, named(session, "K"), CKA_EXTRACTABLE, CK_TRUE), CKR_ATTRIBUTE_READ_ONLY);
}

CASE(A_C3_a_copy_relaxes)
{
    const CK_ATTRIBUTE both[] = { A_BOOL(CKA_SENSITIVE, CK_FALSE), A_BOOL(CKA_EXTRACTABLE, CK_TRUE) };
    CK_SESSION_HANDLE session = user_session();
    CK_BYTE value[64];
    CK_ULONG len = sizeof value;

    make(session, "K", "edS");
    session = settle(session);
    REFUSED(session, copy_with(session, named(session, "K"), both, 1), CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_READ_ONLY);
    REFUSED(session, copy_with(session, named(session, "K"), both + 1, 1), CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_READ_ONLY);
    REFUSED(session, copy_with(session, named(session, "K"), both, 2), CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_READ_ONLY);
    /* Neither does a copy to the other kind of object. */
    for (int token = 0; token < 2; token++) {
        const CK_ATTRIBUTE other[] = { A_BOOL(CKA_TOKEN, (CK_BBOOL)token), both[0], both[1] };

        REFUSED(session, copy_with(session, named(session, "K"), other, 3), CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_READ_ONLY);
    }
    NEED(copy_with(session, named(session, "K"), (CK_ATTRIBUTE[]){ A_TEXT(CKA_LABEL, "copy") }, 1));
    session = settle(session);
    EXPECT(read_value(session, named(session, "copy"), value, &len), CKR_ATTRIBUTE_SENSITIVE);
    REFUSED(session, set_bool(session, named(session, "copy"), CKA_EXTRACTABLE, CK_TRUE), CKR_ATTRIBUTE_READ_ONLY);
}

CASE(A_C4_uncopyable_undestroyable_unmodifiable)
{
    const CK_ATTRIBUTE back[] = { A_BOOL(CKA_COPYABLE, CK_TRUE), A_BOOL(CKA_DESTROYABLE, CK_TRUE), A_BOOL(CKA_MODIFIABLE, CK_TRUE) };
    CK_SESSION_HANDLE session = user_session();

    make(session, "c", "edSc");
    make(session, "y", "edSy");
    make(session, "m", "edSm");
    session = settle(session);
    REFUSED(session, copy_with(session, named(session, "c"), NULL, 0), CKR_ACTION_PROHIBITED);
    REFUSED(session, p11->C_DestroyObject(session, named(session, "y")), CKR_ACTION_PROHIBITED);
    REFUSED(session, set_bytes(session, named(session, "m"), CKA_LABEL, "x", 1), CKR_ACTION_PROHIBITED);
    REFUSED(session, set_bool(session, named(session, "m"), CKA_ENCRYPT, CK_FALSE), CKR_ACTION_PROHIBITED);
    /* ATTACKS has one code for the attempts and the flags; a flag that only goes down is also read-only. */
    REFUSED(session, set_bool(session, named(session, "c"), CKA_COPYABLE, CK_TRUE), CKR_ACTION_PROHIBITED, CKR_ATTRIBUTE_READ_ONLY);
    REFUSED(session, set_bool(session, named(session, "y"), CKA_DESTROYABLE, CK_TRUE), CKR_ACTION_PROHIBITED, CKR_ATTRIBUTE_READ_ONLY);
    REFUSED(session, set_bool(session, named(session, "m"), CKA_MODIFIABLE, CK_TRUE), CKR_ACTION_PROHIBITED, CKR_ATTRIBUTE_READ_ONLY);
    /* Nor by way of a copy. */
    REFUSED(session, copy_with(session, named(session, "y"), back + 1, 1), CKR_ACTION_PROHIBITED, CKR_ATTRIBUTE_READ_ONLY,
            CKR_TEMPLATE_INCONSISTENT);
    REFUSED(session, copy_with(session, named(session, "m"), back + 2, 1), CKR_ACTION_PROHIBITED, CKR_ATTRIBUTE_READ_ONLY,
            CKR_TEMPLATE_INCONSISTENT);
}

CASE(A_C5_a_copy_of_a_hierarchy_key)
{
    const CK_ATTRIBUTE to_session[] = { A_BOOL(CKA_TOKEN, CK_FALSE) };
    CK_SESSION_HANDLE session = user_session();
    struct ladder ladder;

    ladder_grow(session);
    session = settle(session);
    ladder = ladder_find(session);
    {
        const CK_OBJECT_HANDLE keys[] = { ladder.master, ladder.dek, ladder.fek, ladder.rek };

        for (size_t i = 0; i < COUNT(keys); i++) {
            REFUSED(session, copy_with(session, keys[i], to_session, 1), CKR_ACTION_PROHIBITED);
            REFUSED(session, copy_with(session, keys[i], NULL, 0), CKR_ACTION_PROHIBITED);
        }
    }
}

CASE(A_C6_value_and_length_by_set)
{
    CK_ULONG number = 16, class = CKO_DATA, type = CKK_GENERIC_SECRET;
    CK_BBOOL yes = CK_TRUE;
    const CK_ATTRIBUTE fixed[] = { A_BYTES(CKA_VALUE, value32, 32),
                                   { CKA_VALUE_LEN, &number, sizeof number },
                                   { CKA_CLASS, &class, sizeof class },
                                   { CKA_KEY_TYPE, &type, sizeof type },
                                   A_BYTES(CKA_UNIQUE_ID, "00000000-0000-0000-0000-000000000000", 36),
                                   { CKA_LOCAL, &yes, 1 } };
    CK_SESSION_HANDLE session = user_session();

    make(session, "K", "edS");
    make(session, "open", "edX");
    session = settle(session);
    for (size_t i = 0; i < COUNT(fixed); i++) {
        REFUSED(session, set_bytes(session, named(session, "K"), fixed[i].type, fixed[i].pValue, fixed[i].ulValueLen),
                CKR_ATTRIBUTE_READ_ONLY);
        REFUSED(session, set_bytes(session, named(session, "open"), fixed[i].type, fixed[i].pValue, fixed[i].ulValueLen),
                CKR_ATTRIBUTE_READ_ONLY);
    }
}

/* ---- templates of every creating call ---- */

/* Makes an object in each way there is with the row in its template, and sets it on one that exists. */
static void in_every_template(CK_SESSION_HANDLE session, const CK_ATTRIBUTE *row, const CK_RV want[2])
{
    struct t_hkdf hkdf = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, (CK_BYTE *)(uintptr_t) "x", 1 };
    CK_MECHANISM generate = { CKM_AES_KEY_GEN, NULL, 0 }, derive = { CKM_HKDF_DERIVE, &hkdf, sizeof hkdf };
    CK_ATTRIBUTE import[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES), A_BYTES(CKA_VALUE, value32, 32), *row },
                 made[] = { A_ULONG(CKA_VALUE_LEN, 32), *row }, child[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES), made[0], *row },
                 below[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, "below"), *row },
                 record[] = { A_BOOL(CKA_TOKEN, CK_FALSE), *row };
    CK_OBJECT_HANDLE key = 0, master = named(session, "master");
    struct blob blob;
    const CK_RV both[] = { want[0], want[1] };

#define BOTH both[0], both[1]
    REFUSED(session, p11->C_GenerateKey(session, &generate, made, 2, &key), BOTH);
    REFUSED(session, p11->C_CreateObject(session, import, 4, &key), BOTH);
    REFUSED(session, copy_with(session, named(session, "K"), row, 1), BOTH);
    REFUSED(session, p11->C_DeriveKey(session, &derive, named(session, "base"), child, 3, &key), BOTH);
    REFUSED(session, p11->C_DeriveKey(session, &derive, master, below, 3, &key), BOTH);
    REFUSED(session, p11->C_DeriveKey(session, &derive, named(session, "users.email"), record, 2, &key), BOTH);
    NEED(wrap_try(session, &wrappings[0], named(session, "wrapper"), named(session, "loose"), &blob));
    REFUSED(session, unwrap_aes(session, &wrappings[0], named(session, "wrapper"), &blob, row, 1, &key), BOTH);
    REFUSED(session, set_bytes(session, named(session, "K"), row->type, row->pValue, row->ulValueLen), BOTH);
#undef BOTH
}

/* K, base, wrapper, a ladder, and one loose session key. */
static CK_SESSION_HANDLE one_of_each(void)
{
    CK_SESSION_HANDLE session = user_session();

    make(session, "K", "edS");
    make(session, "wrapper", "wuS");
    NEED(make_by(CKM_GENERIC_SECRET_KEY_GEN, session, "base", "DS", NULL, 0));
    ladder_grow(session);
    session = settle(session);
    NEED(set_bytes(session, loose_key(session), CKA_LABEL, "loose", 5));
    return session;
}

CASE(A_C7_policy_attributes_by_the_user)
{
    static const CK_ATTRIBUTE_TYPE types[] = {
        CKA_KL_LEVEL, CKA_KL_VERSION, CKA_KL_STATE, CKA_KL_PARENT, CKA_KL_ROOT, CKA_KL_NEXT_ROTATION
    };
    static const CK_RV want[2] = { CKR_ATTRIBUTE_READ_ONLY, CKR_ATTRIBUTE_READ_ONLY };
    CK_SESSION_HANDLE session = one_of_each();
    CK_ULONG one = 1;

    for (size_t i = 0; i < COUNT(types); i++) {
        const CK_ATTRIBUTE row = { types[i], &one, sizeof one };
        static const char *const ladder[] = { "master", "users", "users.email" };

        in_every_template(session, &row, want);
        for (size_t j = 0; j < COUNT(ladder); j++)
            REFUSED(session, set_bytes(session, named(session, ladder[j]), types[i], &one, sizeof one), CKR_ATTRIBUTE_READ_ONLY,
                    j == 0 ? CKR_ACTION_PROHIBITED : CKR_ATTRIBUTE_READ_ONLY); /* the master is not modifiable at all */
    }
}

CASE(A_C8_weak_imports)
{
    static const CK_ULONG lengths[] = { 0, 1, 15, 17, 31, 33, 1 << 20 };
    CK_BYTE *large = malloc(1 << 20);
    uint64_t state = 8;
    CK_SESSION_HANDLE session = user_session();

    rng_fill(&state, large, 1 << 20);
    for (size_t i = 0; i < COUNT(lengths); i++)
        REFUSED(session, import_as(CKK_AES, session, "weak", "edS", large, lengths[i]), CKR_ATTRIBUTE_VALUE_INVALID, CKR_KEY_SIZE_RANGE,
                CKR_TEMPLATE_INCONSISTENT);
    {
        CK_OBJECT_HANDLE key = 0;
        CK_ATTRIBUTE cut[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_AES), A_BYTES(CKA_VALUE, value32, 32),
                               A_ULONG(CKA_VALUE_LEN, 16), A_BOOL(CKA_TOKEN, way->token) };

        REFUSED(session, p11->C_CreateObject(session, cut, COUNT(cut), &key), CKR_ATTRIBUTE_VALUE_INVALID, CKR_KEY_SIZE_RANGE,
                CKR_TEMPLATE_INCONSISTENT);
    }
    session = settle(session);
    CHECK(find_one(session, "weak") == 0);
    free(large);
}

CASE(A_C9_a_constant_key)
{
    CK_BYTE constant[32];
    CK_SESSION_HANDLE session = user_session();

    for (int fill = 0; fill < 256; fill += 51) {
        memset(constant, fill, sizeof constant);
        for (CK_ULONG len = 16; len <= 32; len += 8) {
            if (way->strict)
                REFUSED(session, import_as(CKK_AES, session, "constant", "edS", constant, len), CKR_ATTRIBUTE_VALUE_INVALID);
            else
                EXPECT(import_as(CKK_AES, session, "constant", "edS", constant, len), CKR_OK);
        }
    }
    constant[31] ^= 1;
    EXPECT(import_as(CKK_AES, session, "varied", "edS", constant, 32), CKR_OK);
}

CASE(A_C10_a_mechanism_fixed_for_life)
{
    const CK_ATTRIBUTE only[] = { A_BYTES(CKA_ALLOWED_MECHANISMS, &gcm_only, sizeof gcm_only) };
    CK_MECHANISM_TYPE more[] = { CKM_AES_GCM, CKM_AES_ECB, CKM_AES_CBC };
    CK_BYTE iv[16] = { 0 }, out[64];
    struct {
        CK_ULONG bits;
        CK_BYTE block[16];
    } ctr = { 128, { 0 } };
    CK_MECHANISM others[] = {
        { CKM_AES_ECB, NULL, 0 }, { CKM_AES_CBC, iv, 16 }, { CKM_AES_CBC_PAD, iv, 16 }, { CKM_AES_CTR, &ctr, sizeof ctr }
    };
    CK_ULONG len = sizeof out;
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key;

    make_with(session, "K", "edS", only, 1);
    session = settle(session);
    key = named(session, "K");
    for (size_t i = 0; i < COUNT(others); i++) {
        REFUSED(session, p11->C_EncryptInit(session, &others[i], key), CKR_MECHANISM_INVALID, CKR_KEY_FUNCTION_NOT_PERMITTED);
        REFUSED(session, p11->C_DecryptInit(session, &others[i], key), CKR_MECHANISM_INVALID, CKR_KEY_FUNCTION_NOT_PERMITTED);
    }
    REFUSED(session, set_bytes(session, key, CKA_ALLOWED_MECHANISMS, more, sizeof more), CKR_ATTRIBUTE_READ_ONLY);
    REFUSED(session, copy_with(session, key, (CK_ATTRIBUTE[]){ A_BYTES(CKA_ALLOWED_MECHANISMS, more, sizeof more) }, 1),
            CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT);
    EXPECT(gcm_seal(session, key, iv, "x", 1, out, &len), CKR_OK);
}

/* Under `strict` the first use fixes a key whose template did not. */
CASE(A_C10_a_mechanism_fixed_by_its_first_use)
{
    struct {
        CK_ULONG bits;
        CK_BYTE block[16];
    } ctr = { 128, { 0 } };
    CK_BYTE iv[16] = { 0 }, out[64];
    CK_MECHANISM others[] = { { CKM_AES_CTR, &ctr, sizeof ctr }, { CKM_AES_CBC, iv, 16 } }, bad = { CKM_AES_CTR, &ctr, 3 };
    CK_ULONG len = sizeof out;
    CK_SESSION_HANDLE session = user_session();

    make(session, "K", "edS");
    make(session, "unused", "edS");
    NEED(gcm_seal(session, named(session, "K"), iv, "x", 1, out, &len));
    /* A use that was refused is none. */
    REFUSED(session, p11->C_EncryptInit(session, &bad, named(session, "unused")), CKR_MECHANISM_PARAM_INVALID);
    session = settle(session);
    len = sizeof out;
    EXPECT(gcm_seal(session, named(session, "unused"), iv, "x", 1, out, &len), CKR_OK);
    memset(iv, 0, sizeof iv);
    for (size_t i = 0; i < COUNT(others); i++) {
        CK_OBJECT_HANDLE key = named(session, "K");

        if (way->strict) {
            REFUSED(session, p11->C_EncryptInit(session, &others[i], key), CKR_KEY_FUNCTION_NOT_PERMITTED);
            REFUSED(session, p11->C_DecryptInit(session, &others[i], key), CKR_KEY_FUNCTION_NOT_PERMITTED);
        } else {
            EXPECT(p11->C_DecryptInit(session, &others[i], key), CKR_OK);
            EXPECT(p11->C_DecryptInit(session, NULL, key), CKR_OK);
        }
    }
    len = sizeof out;
    EXPECT(gcm_seal(session, named(session, "K"), iv, "x", 1, out, &len), CKR_OK);
    /* A copy has had the same use. */
    if (!way->strict) return;
    NEED(copy_with(session, named(session, "K"), (CK_ATTRIBUTE[]){ A_TEXT(CKA_LABEL, "copy") }, 1));
    REFUSED(session, p11->C_DecryptInit(session, &others[0], named(session, "copy")), CKR_KEY_FUNCTION_NOT_PERMITTED);
}

CASE(A_C11_the_key_check_value)
{
    CK_SESSION_HANDLE session = user_session();
    CK_BYTE value[16], zero[16] = { 0 }, block[16];
    CK_ATTRIBUTE attr[] = { { CKA_CHECK_VALUE, value, sizeof value } };
    static const char *const labels[] = { "K", "known" };

    make(session, "K", "edS");
    NEED(import_as(CKK_AES, session, "known", "edS", value32, 32));
    session = settle(session);
    for (size_t i = 0; i < COUNT(labels); i++) {
        CK_RV rv;

        attr[0].ulValueLen = sizeof value;
        rv = p11->C_GetAttributeValue(session, named(session, labels[i]), attr, 1);
        if (!EXPECT(rv, CKR_ATTRIBUTE_TYPE_INVALID, CKR_OK) || rv != CKR_OK) continue;
        /* There may be one, of another making. Only of the second key do we know what it must not be. */
        aes_block(value32, zero, block);
        if (i) CHECK(attr[0].ulValueLen == 0 || memcmp(value, block, attr[0].ulValueLen < 3 ? attr[0].ulValueLen : 3) != 0);
    }
}

CASE(A_C12_dates)
{
    CK_DATE yesterday = date_in(-1), tomorrow = date_in(1), later = date_in(1000);
    const CK_ATTRIBUTE ended[] = { A_BYTES(CKA_END_DATE, &yesterday, sizeof yesterday) },
                       early[] = { A_BYTES(CKA_START_DATE, &tomorrow, sizeof tomorrow) }, open_end[] = { A_BYTES(CKA_END_DATE, "", 0) };
    CK_BYTE iv[12] = { 0 }, out[64];
    CK_ULONG len = sizeof out;
    CK_SESSION_HANDLE session = user_session();

    make_with(session, "ended", "edS", ended, 1);
    make_with(session, "early", "edS", early, 1);
    make(session, "undated", "edS");
    session = settle(session);
    for (int i = 0; i < 2; i++) {
        CK_OBJECT_HANDLE key = named(session, i ? "early" : "ended");

        fresh_iv(iv);
        REFUSED(session, gcm_init(session, true, key, iv, 12, NULL, 0, 128), CKR_KEY_FUNCTION_NOT_PERMITTED);
    }
    REFUSED(session, set_bytes(session, named(session, "ended"), CKA_END_DATE, &later, sizeof later), CKR_ATTRIBUTE_READ_ONLY);
    REFUSED(session, set_bytes(session, named(session, "ended"), CKA_END_DATE, "", 0), CKR_ATTRIBUTE_READ_ONLY);
    REFUSED(session, set_bytes(session, named(session, "early"), CKA_START_DATE, &yesterday, sizeof yesterday), CKR_ATTRIBUTE_READ_ONLY);
    REFUSED(session, copy_with(session, named(session, "ended"), open_end, 1), CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT);
    REFUSED(session, copy_with(session, named(session, "ended"), (CK_ATTRIBUTE[]){ A_BYTES(CKA_END_DATE, &later, sizeof later) }, 1),
            CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT);
    /* What was encrypted before the end is read after it. */
    NEED(gcm_seal(session, named(session, "undated"), iv, "hello", 5, out, &len));
    NEED(set_bytes(session, named(session, "undated"), CKA_END_DATE, &yesterday, sizeof yesterday));
    session = settle(session);
    {
        CK_BYTE plain[64];
        CK_ULONG plain_len = sizeof plain;

        NEED(gcm_init(session, false, named(session, "undated"), iv, 12, NULL, 0, 128));
        EXPECT(p11->C_Decrypt(session, out, len, plain, &plain_len), CKR_OK);
        CHECK(plain_len == 5 && memcmp(plain, "hello", 5) == 0);
        fresh_iv(iv);
        REFUSED(session, gcm_init(session, true, named(session, "undated"), iv, 12, NULL, 0, 128), CKR_KEY_FUNCTION_NOT_PERMITTED);
    }
}

CASE(A_C13_trailing_bytes_in_booleans)
{
    static const CK_ATTRIBUTE_TYPE types[] = { CKA_TOKEN, CKA_PRIVATE, CKA_SENSITIVE, CKA_EXTRACTABLE, CKA_MODIFIABLE, CKA_COPYABLE };
    static const CK_RV want[2] = { CKR_ATTRIBUTE_VALUE_INVALID, CKR_ATTRIBUTE_VALUE_INVALID };
    static const CK_BYTE bad[][4] = { { 0xff }, { 2 } };
    CK_SESSION_HANDLE session = one_of_each();

    for (size_t i = 0; i < COUNT(types); i++) {
        for (size_t j = 0; j < COUNT(bad); j++) {
            const CK_ATTRIBUTE row = A_BYTES(types[i], bad[j], 1);

            /* What a template may not name at all may be refused for that. */
            if (types[i] == CKA_SENSITIVE || types[i] == CKA_EXTRACTABLE) in_every_template(session, &row, want);
            REFUSED(session, make_try(session, "bad", "edS", &row, 1), CKR_ATTRIBUTE_VALUE_INVALID);
        }
    }
    /* More bytes than a boolean has, and none. */
    for (CK_ULONG len = 0; len <= 8; len += 2) {
        const CK_ATTRIBUTE row = A_BYTES(CKA_SENSITIVE, "\1\0\0\0\0\0\0\0", len);

        REFUSED(session, make_try(session, "bad", "ed", &row, 1), CKR_ATTRIBUTE_VALUE_INVALID);
    }
}

CASE(A_C14_unknown_attributes)
{
    static const CK_ATTRIBUTE_TYPE types[] = { CKA_VENDOR_DEFINED | 0x4711, CKA_KL_LEVEL + 0x100, CKA_VENDOR_DEFINED };
    static const CK_RV want[2] = { CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_TYPE_INVALID };
    CK_SESSION_HANDLE session = one_of_each();

    for (size_t i = 0; i < COUNT(types); i++) {
        const CK_ATTRIBUTE row = A_TEXT(types[i], "whatever");

        in_every_template(session, &row, want);
    }
}

const struct test copy_cases[] = {
    T(A_C1_sensitive_down, OURS),
    T(A_C2_extractable_up, OURS),
    T(A_C3_a_copy_relaxes, OURS),
    T(A_C4_uncopyable_undestroyable_unmodifiable, OURS),
    T(A_C5_a_copy_of_a_hierarchy_key, OURS),
    T(A_C6_value_and_length_by_set, OURS),
    T(A_C7_policy_attributes_by_the_user, OURS),
    T(A_C8_weak_imports, OURS),
    T(A_C9_a_constant_key, OURS),
    T(A_C10_a_mechanism_fixed_for_life, OURS),
    T(A_C10_a_mechanism_fixed_by_its_first_use, OURS),
    T(A_C11_the_key_check_value, OURS),
    T(A_C12_dates, OURS),
    T(A_C13_trailing_bytes_in_booleans, OURS),
    T(A_C14_unknown_attributes, OURS),
    { NULL, NULL, 0 },
};
