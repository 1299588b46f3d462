/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The attack cases, four ways; what cannot be shown yet, or is shown elsewhere, is said by name. */
#include "attacks.h"

#include <time.h>
#include <unistd.h>

/* ---- keys that settle ---- */

static const CK_ATTRIBUTE *row_of(const CK_ATTRIBUTE *more, CK_ULONG count, CK_ATTRIBUTE_TYPE type)
{
    for (CK_ULONG i = 0; i < count; i++)
        if (more[i].type == type) return &more[i];
    return NULL;
}

/* Flags of the key as this way keeps it, its label, and the caller's rows, which win over the flags. */
static CK_ULONG kept_template(const char *label, const char *flags, const CK_ATTRIBUTE *more, CK_ULONG count, CK_ATTRIBUTE *out)
{
    char kept[32];
    CK_ATTRIBUTE rows[20];
    CK_ULONG n = 0, flag_count;

    snprintf(kept, sizeof kept, "%s%s%s", flags, way->token ? "T" : "", way->token && way->strict ? "S" : "");
    flag_count = flags_template(kept, rows);
    for (CK_ULONG i = 0; i < flag_count; i++)
        if (!row_of(more, count, rows[i].type)) out[n++] = rows[i];
    if (label) out[n++] = (CK_ATTRIBUTE)A_TEXT(CKA_LABEL, label);
    for (CK_ULONG i = 0; i < count; i++) out[n++] = more[i];
    return n;
}

CK_RV make_by(CK_MECHANISM_TYPE type, CK_SESSION_HANDLE session, const char *label, const char *flags, const CK_ATTRIBUTE *more,
              CK_ULONG count)
{
    CK_MECHANISM mech = { type, NULL, 0 };
    CK_ATTRIBUTE template[40];
    CK_ULONG len = 32, n = 0;
    CK_OBJECT_HANDLE key = 0;

    if (!row_of(more, count, CKA_VALUE_LEN) && type != CKM_CHACHA20_KEY_GEN)
        template[n++] = (CK_ATTRIBUTE){ CKA_VALUE_LEN, &len, sizeof len };
    n += kept_template(label, flags, more, count, template + n);
    return p11->C_GenerateKey(session, &mech, template, n, &key);
}

CK_RV make_try(CK_SESSION_HANDLE session, const char *label, const char *flags, const CK_ATTRIBUTE *more, CK_ULONG count)
{
    return make_by(CKM_AES_KEY_GEN, session, label, flags, more, count);
}

void make_with(CK_SESSION_HANDLE session, const char *label, const char *flags, const CK_ATTRIBUTE *more, CK_ULONG count)
{
    CK_RV rv = make_try(session, label, flags, more, count);

    if (rv != CKR_OK) die_at(__FILE__, __LINE__, "no key %s with flags \"%s\": %s", label, flags, rv_name(rv));
}

void make(CK_SESSION_HANDLE session, const char *label, const char *flags)
{
    make_with(session, label, flags, NULL, 0);
}

CK_RV import_as(CK_KEY_TYPE type, CK_SESSION_HANDLE session, const char *label, const char *flags, const CK_BYTE *value, CK_ULONG len)
{
    CK_ATTRIBUTE template[40] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY),
                                  { CKA_KEY_TYPE, &type, sizeof type },
                                  A_BYTES(CKA_VALUE, value, len) };
    CK_OBJECT_HANDLE key = 0;

    return p11->C_CreateObject(session, template, 3 + kept_template(label, flags, NULL, 0, template + 3), &key);
}

CK_OBJECT_HANDLE loose_key(CK_SESSION_HANDLE session)
{
    return key_make(session, "edX");
}

CK_SESSION_HANDLE settle(CK_SESSION_HANDLE session)
{
    if (!way->token) return session;
    stop();
    return user_session();
}

CK_OBJECT_HANDLE named(CK_SESSION_HANDLE session, const char *label)
{
    CK_OBJECT_HANDLE key = find_one(session, label);

    if (!key) die_at(__FILE__, __LINE__, "no key, or more than one, is labelled %s", label);
    return key;
}

void trust(CK_SESSION_HANDLE session, const char *label)
{
    NEED(p11->C_Logout(session));
    NEED(login(session, CKU_SO, SO_PIN));
    NEED(set_bool(session, named(session, label), CKA_TRUSTED, CK_TRUE));
    NEED(p11->C_Logout(session));
    NEED(login(session, CKU_USER, USER_PIN));
}

/* ---- the ladder ---- */

CK_RV grow_try(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE parent, const char *label, CK_OBJECT_HANDLE *key)
{
    CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, label) };

    return hkdf_try(session, parent, NULL, 0, label, strlen(label), template, 2, key);
}

CK_OBJECT_HANDLE grow(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE parent, const char *label)
{
    CK_OBJECT_HANDLE key = 0;
    CK_RV rv = grow_try(session, parent, label, &key);

    if (rv != CKR_OK) die_at(__FILE__, __LINE__, "%s does not grow: %s", label, rv_name(rv));
    return key;
}

CK_OBJECT_HANDLE record_key(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE parent, const void *info, CK_ULONG len)
{
    CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_FALSE) };
    CK_OBJECT_HANDLE key = 0;
    CK_RV rv = hkdf_try(session, parent, NULL, 0, info, len, template, 1, &key);

    if (rv != CKR_OK) die_at(__FILE__, __LINE__, "no record key: %s", rv_name(rv));
    return key;
}

void ladder_grow(CK_SESSION_HANDLE session)
{
    grow(session, grow(session, named(session, "master"), "users"), "users.email");
}

struct ladder ladder_find(CK_SESSION_HANDLE session)
{
    struct ladder ladder = { named(session, "master"), named(session, "users"), named(session, "users.email"), 0 };

    ladder.rek = record_key(session, ladder.fek, "4711", 4);
    return ladder;
}

bool same_key(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE one, CK_OBJECT_HANDLE two)
{
    CK_BYTE sealed[80], out[64];
    CK_ULONG out_len = sizeof out;
    size_t len = seal(session, one, "value", 5, "record", sealed);
    CK_RV rv = unseal(session, two, sealed, len, "record", out, &out_len);

    EXPECT(rv, CKR_OK, CKR_ENCRYPTED_DATA_INVALID);
    return rv == CKR_OK;
}

/* ---- refusals ---- */

static const CK_ATTRIBUTE_TYPE looked_at[] = {
    CKA_CLASS,
    CKA_TOKEN,
    CKA_PRIVATE,
    CKA_LABEL,
    CKA_ID,
    CKA_KEY_TYPE,
    CKA_SENSITIVE,
    CKA_ENCRYPT,
    CKA_DECRYPT,
    CKA_WRAP,
    CKA_UNWRAP,
    CKA_SIGN,
    CKA_VERIFY,
    CKA_DERIVE,
    CKA_EXTRACTABLE,
    CKA_LOCAL,
    CKA_NEVER_EXTRACTABLE,
    CKA_ALWAYS_SENSITIVE,
    CKA_MODIFIABLE,
    CKA_COPYABLE,
    CKA_TRUSTED,
    CKA_WRAP_WITH_TRUSTED,
    CKA_START_DATE,
    CKA_END_DATE,
    CKA_ALLOWED_MECHANISMS,
    CKA_UNIQUE_ID,
    CKA_DESTROYABLE,
    CKA_VALUE_LEN,
    CKA_KL_LEVEL,
    CKA_KL_STATE,
    CKA_APPLICATION,
};
/* Nested ones tell their size to a caller that brings no room. */
static const CK_ATTRIBUTE_TYPE measured[] = { CKA_WRAP_TEMPLATE, CKA_UNWRAP_TEMPLATE, CKA_DERIVE_TEMPLATE };

static uint64_t mix(uint64_t hash, const void *data, size_t len)
{
    for (size_t i = 0; i < len; i++) hash = (hash ^ ((const CK_BYTE *)data)[i]) * 0x100000001b3ULL;
    return hash;
}

static uint64_t print_of(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
    uint64_t hash = 0xcbf29ce484222325ULL;

    for (size_t i = 0; i < COUNT(looked_at); i++) {
        CK_BYTE value[512];
        CK_ATTRIBUTE attr = { looked_at[i], value, sizeof value };
        CK_RV rv = p11->C_GetAttributeValue(session, object, &attr, 1);

        hash = mix(hash, &rv, sizeof rv);
        if (rv == CKR_OK) hash = mix(hash, value, attr.ulValueLen);
    }
    for (size_t i = 0; i < COUNT(measured); i++) {
        CK_ATTRIBUTE attr = { measured[i], NULL, 0 };

        p11->C_GetAttributeValue(session, object, &attr, 1);
        hash = mix(hash, &attr.ulValueLen, sizeof attr.ulValueLen);
    }
    return hash;
}

uint64_t fingerprint(CK_SESSION_HANDLE session)
{
    CK_OBJECT_HANDLE found[256];
    CK_ULONG got = 0;
    uint64_t sum = 0;

    NEED(p11->C_FindObjectsInit(session, NULL, 0));
    NEED(p11->C_FindObjects(session, found, COUNT(found), &got));
    NEED(p11->C_FindObjectsFinal(session));
    for (CK_ULONG i = 0; i < got; i++) sum += print_of(session, found[i]);
    return sum + got;
}

void unchanged_at(const char *file, int line, CK_SESSION_HANDLE session, uint64_t before)
{
    static const CK_RV idle[] = { CKR_OPERATION_NOT_INITIALIZED };
    CK_BYTE in[16] = { 0 }, out[64];
    CK_ULONG len = sizeof out;

    if (fingerprint(session) != before) fail_at(file, line, "a refused call changed the objects");
    rv_at(file, line, "encrypting after the refusal", p11->C_EncryptUpdate(session, in, 16, out, &len), idle, 1);
    rv_at(file, line, "decrypting after the refusal", p11->C_DecryptUpdate(session, in, 16, out, &len), idle, 1);
    rv_at(file, line, "signing after the refusal", p11->C_SignUpdate(session, in, 16), idle, 1);
    rv_at(file, line, "verifying after the refusal", p11->C_VerifyUpdate(session, in, 16), idle, 1);
    rv_at(file, line, "digesting after the refusal", p11->C_DigestUpdate(session, in, 16), idle, 1);
}

void unsupported_at(const char *file, int line, CK_MECHANISM_TYPE type, CK_FLAGS use, CK_RV rv)
{
    CK_MECHANISM_INFO info = { 0, 0, 0 };
    CK_RV told = p11->C_GetMechanismInfo(slot_labelled(TOKEN_LABEL), type, &info);

    rv_at(file, line, "an unsupported mechanism", rv, (const CK_RV[]){ CKR_MECHANISM_INVALID }, 1);
    rv_at(file, line, "C_GetMechanismInfo", told, (const CK_RV[]){ CKR_MECHANISM_INVALID, CKR_OK }, 2);
    if (told == CKR_OK && info.flags & use) fail_at(file, line, "mechanism 0x%lx is said to be offered: flags 0x%lx", type, info.flags);
}

CK_RV set_bool(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, CK_ATTRIBUTE_TYPE type, CK_BBOOL value)
{
    return set_bytes(session, key, type, &value, sizeof value);
}

CK_RV set_bytes(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, CK_ATTRIBUTE_TYPE type, const void *value, CK_ULONG len)
{
    CK_ATTRIBUTE attr[] = { A_BYTES(type, value, len) };

    return p11->C_SetAttributeValue(session, key, attr, 1);
}

CK_RV copy_with(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, const CK_ATTRIBUTE *template, CK_ULONG count)
{
    CK_OBJECT_HANDLE copy = 0;

    return p11->C_CopyObject(session, key, (CK_ATTRIBUTE *)(uintptr_t) template, count, &copy);
}

CK_RV read_value(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, CK_BYTE *value, CK_ULONG *len)
{
    CK_ATTRIBUTE attr[] = { { CKA_VALUE, value, *len } };
    CK_RV rv = p11->C_GetAttributeValue(session, key, attr, 1);

    *len = attr[0].ulValueLen;
    return rv;
}

CK_DATE date_in(int days)
{
    time_t when = time(NULL) + days * 86400L;
    CK_DATE date;
    char text[16];

    strftime(text, sizeof text, "%Y%m%d", gmtime(&when));
    memcpy(&date, text, sizeof date);
    return date;
}

void shell(const char *format, ...)
{
    char words[1024], command[6000];
    va_list list;

    va_start(list, format);
    vsnprintf(words, sizeof words, format, list);
    va_end(list);
    snprintf(command, sizeof command, "cd '%s' && %s", sandbox_dir, words);
    if (system(command) != 0) die_at(__FILE__, __LINE__, "%s", words);
}

/* ---- AEAD ---- */

void fresh_iv(CK_BYTE iv[12])
{
    static uint64_t last;

    memset(iv, 0, 12);
    if (token_makes_ivs) return;
    if (!last) last = (uint64_t)getpid() << 32 | 1;
    last++;
    memcpy(iv + 4, &last, sizeof last);
}

CK_RV gcm_seal(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, CK_BYTE iv[12], const void *data, CK_ULONG len, CK_BYTE *out,
               CK_ULONG *out_len)
{
    CK_RV rv;

    fresh_iv(iv);
    rv = gcm_init(session, true, key, iv, 12, NULL, 0, 128);
    return rv == CKR_OK ? p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t)data, len, out, out_len) : rv;
}

CK_RV envelope(CK_SESSION_HANDLE session, bool encrypt, CK_OBJECT_HANDLE key, const char *aad, const void *in, CK_ULONG in_len,
               CK_BYTE *out, CK_ULONG *out_len)
{
    CK_MECHANISM mech = { CKM_KL_ENVELOPE, (void *)(uintptr_t)aad, aad ? strlen(aad) : 0 };
    CK_RV rv = encrypt ? p11->C_EncryptInit(session, &mech, key) : p11->C_DecryptInit(session, &mech, key);

    if (rv != CKR_OK) return rv;
    return encrypt ? p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t)in, in_len, out, out_len)
                   : p11->C_Decrypt(session, (CK_BYTE *)(uintptr_t)in, in_len, out, out_len);
}

/* ---- functions of 3.0 and 3.2 ---- */

static void *needed(const char *name)
{
    void *address = p11_sym(name);

    if (!address) die_at(__FILE__, __LINE__, "%s is not exported", name);
    return address;
}

CK_RV wrap_authenticated(CK_SESSION_HANDLE session, CK_MECHANISM *mech, CK_OBJECT_HANDLE by, CK_OBJECT_HANDLE key, CK_BYTE *out,
                         CK_ULONG *len)
{
    CK_RV (*call)(CK_SESSION_HANDLE, CK_MECHANISM *, CK_OBJECT_HANDLE, CK_OBJECT_HANDLE, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG *);

    *(void **)&call = needed("C_WrapKeyAuthenticated");
    return call(session, mech, by, key, NULL, 0, out, len);
}

CK_RV unwrap_authenticated(CK_SESSION_HANDLE session, CK_MECHANISM *mech, CK_OBJECT_HANDLE by, const CK_BYTE *wrapped, CK_ULONG len,
                           const CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *key)
{
    CK_RV(*call)
    (CK_SESSION_HANDLE, CK_MECHANISM *, CK_OBJECT_HANDLE, CK_BYTE *, CK_ULONG, CK_ATTRIBUTE *, CK_ULONG, CK_BYTE *, CK_ULONG,
     CK_OBJECT_HANDLE *);

    *(void **)&call = needed("C_UnwrapKeyAuthenticated");
    return call(session, mech, by, (CK_BYTE *)(uintptr_t)wrapped, len, (CK_ATTRIBUTE *)(uintptr_t) template, count, NULL, 0, key);
}

CK_RV message_init(CK_SESSION_HANDLE session, bool encrypt, CK_OBJECT_HANDLE key)
{
    CK_MECHANISM mech = { CKM_AES_GCM, NULL, 0 };
    CK_RV (*call)(CK_SESSION_HANDLE, CK_MECHANISM *, CK_OBJECT_HANDLE);

    *(void **)&call = needed(encrypt ? "C_MessageEncryptInit" : "C_MessageDecryptInit");
    return call(session, &mech, key);
}

static CK_RV message(const char *name, CK_SESSION_HANDLE session, struct t_gcm_message *param, const void *data, CK_ULONG len, CK_BYTE *out,
                     CK_ULONG *out_len)
{
    CK_RV (*call)(CK_SESSION_HANDLE, void *, CK_ULONG, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG *);

    *(void **)&call = needed(name);
    return call(session, param, sizeof *param, NULL, 0, (CK_BYTE *)(uintptr_t)data, len, out, out_len);
}

CK_RV message_seal(CK_SESSION_HANDLE session, struct t_gcm_message *param, const void *data, CK_ULONG len, CK_BYTE *out, CK_ULONG *out_len)
{
    return message("C_EncryptMessage", session, param, data, len, out, out_len);
}

CK_RV message_open(CK_SESSION_HANDLE session, struct t_gcm_message *param, const CK_BYTE *data, CK_ULONG len, CK_BYTE *out,
                   CK_ULONG *out_len)
{
    return message("C_DecryptMessage", session, param, data, len, out, out_len);
}

CK_RV message_final(CK_SESSION_HANDLE session, bool encrypt)
{
    CK_RV (*call)(CK_SESSION_HANDLE);

    *(void **)&call = needed(encrypt ? "C_MessageEncryptFinal" : "C_MessageDecryptFinal");
    return call(session);
}

/* ---- AES, encrypting only ---- */

static CK_BYTE sbox[256];

static CK_BYTE doubled(CK_BYTE x)
{
    return (CK_BYTE)(x << 1 ^ (x & 0x80 ? 0x1b : 0));
}

/* Powers of 3 run through the field, and those of its inverse backwards. */
static void make_sbox(void)
{
    CK_BYTE p = 1, q = 1;

    do {
        p = (CK_BYTE)(p ^ doubled(p));
        q ^= (CK_BYTE)(q << 1);
        q ^= (CK_BYTE)(q << 2);
        q ^= (CK_BYTE)(q << 4);
        if (q & 0x80) q ^= 0x09;
        sbox[p] = (CK_BYTE)(0x63 ^ q ^ (q << 1 | q >> 7) ^ (q << 2 | q >> 6) ^ (q << 3 | q >> 5) ^ (q << 4 | q >> 4));
    } while (p != 1);
    sbox[0] = 0x63;
}

static void mix_columns(CK_BYTE s[16])
{
    for (int c = 0; c < 16; c += 4) {
        CK_BYTE first = s[c], all = s[c] ^ s[c + 1] ^ s[c + 2] ^ s[c + 3];

        for (int r = 0; r < 4; r++) s[c + r] ^= all ^ doubled((CK_BYTE)(s[c + r] ^ (r < 3 ? s[c + r + 1] : first)));
    }
}

void aes_block(const CK_BYTE key[32], const CK_BYTE in[16], CK_BYTE out[16])
{
    CK_BYTE w[240], s[16], rcon = 1;

    if (!sbox[0]) make_sbox();
    memcpy(w, key, 32);
    for (int i = 32; i < 240; i += 4) {
        CK_BYTE t[4];

        for (int k = 0; k < 4; k++) t[k] = i % 32 == 0 ? sbox[w[i - 4 + (k + 1) % 4]] : i % 32 == 16 ? sbox[w[i - 4 + k]] : w[i - 4 + k];
        if (i % 32 == 0) t[0] ^= rcon;
        if (i % 32 == 0) rcon = doubled(rcon);
        for (int k = 0; k < 4; k++) w[i + k] = w[i - 32 + k] ^ t[k];
    }
    for (int i = 0; i < 16; i++) s[i] = in[i] ^ w[i];
    for (int round = 1; round <= 14; round++) {
        CK_BYTE t[16];

        for (int i = 0; i < 16; i++) t[i] = sbox[s[(i + 4 * (i % 4)) % 16]];
        if (round < 14) mix_columns(t);
        for (int i = 0; i < 16; i++) s[i] = t[i] ^ w[16 * round + i];
    }
    memcpy(out, s, 16);
}

/* ---- what is not shown here ---- */

static const struct {
    const char *name, *reason;
} pending[] = {
    { "A-D16", "a parent's states (deactivated, compromised, destroyed) come with rotation" },
    { "A-G2 metric", "a metric that fires at 50 % and 90 % comes with the metrics; the log and keyladder status say it at 50 %" },
    { "A-G8 second half", "a version that exists and is not the right one, and the count in the audit log, come with rotation and audit" },
    { "A-H6", "superseded versions and their transition window come with rotation" },
    { "A-H7", "emergency rotation comes with rotation" },
    { "A-H8 second half", "destruction through the tool, with its wait and second approval, comes with the life cycle commands" },
    { "A-H9 second half", "CKR_ACTION_PROHIBITED under dual control comes with dual control" },
    { "A-H10", "requests and approvals come with dual control" },
    { "A-H12", "revocation that is noticed in another process comes with rotation and the providers' own states" },
    { "A-W7 audit", "the record of CKA_TRUSTED being set comes with the audit chain" },
    { "A-W20 backup", "the audited backup, which is the only way out, comes with backup and dual control" },
}, elsewhere[] = {
    { "A-L6", "the fuzzers of tests/fuzz; A_L6 here feeds the store's own bytes back damaged" },
    { "A-L7", "the valgrind lane runs the unit tests, and the suite where structures and attributes are returned; A_L7 here looks at padding" },
    { "A-L8", "tests/unit/p11/test_faults fails every allocation of every function; A_L8 here runs out of memory for real" },
    { "A-G14, A-G15", "tests/integration/t_nonces is the long campaign; the cases here are the short form" },
};

int main(int argc, char **argv)
{
    static const struct test *const files[] = {
        wrap_cases, copy_cases, derive_cases, aead_cases, hierarchy_cases, login_cases, process_cases, memory_cases, NULL,
    };
    static const struct way ways[] = {
        { "standard, session keys", "policy = standard", false, false },
        { "standard, token keys", "policy = standard", false, true },
        { "strict, session keys", "policy = strict", true, false },
        { "strict, token keys", "policy = strict", true, true },
        { NULL, NULL, false, false },
    };
    int status;

    if (argc == 3 && strcmp(argv[1], SET_USER) == 0) return set_user_program(argv[2]);
    status = run_all(files, ways, argc, argv);
    for (size_t i = 0; i < COUNT(pending); i++) printf("pending - %s: %s\n", pending[i].name, pending[i].reason);
    for (size_t i = 0; i < COUNT(elsewhere); i++) printf("elsewhere - %s: %s\n", elsewhere[i].name, elsewhere[i].reason);
    return status;
}
