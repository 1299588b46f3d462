/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Published test vectors through the C_ functions, on keys imported for one
 * operation each. Every vector ends in one named class: passed, or refused for
 * a reason that DESIGN section 7 gives; anything else is a failure.
 */
#include "p11.h"

#include <jansson.h>
#include <unistd.h>

enum { TAG_MIN = 96, IV_MAX = 256, SEED = 20240229 };

/* ---- counting ---- */

static struct {
    const char *suite;
    char reason[96];
    unsigned count;
} classes[200];
static const char *suite;

static void count(const char *reason)
{
    size_t i = 0;

    while (classes[i].suite && (classes[i].suite != suite || strcmp(classes[i].reason, reason))) i++;
    if (i == COUNT(classes)) die_at(__FILE__, __LINE__, "too many classes");
    classes[i].suite = suite;
    snprintf(classes[i].reason, sizeof classes[i].reason, "%s", reason);
    classes[i].count++;
}

static void report(void)
{
    unsigned total = 0;

    for (size_t i = 0; classes[i].suite; i++) {
        printf("%-28s %6u %s\n", classes[i].suite, classes[i].count, classes[i].reason);
        total += classes[i].count;
    }
    printf("%-28s %6u\n", "all", total);
}

/* ---- one GCM vector ---- */

struct gcm_case {
    const char *id;
    CK_BYTE key[32], iv[512], aad[8192], msg[8192], ct[8192], tag[64];
    size_t key_len, iv_len, aad_len, msg_len, ct_len, tag_len;
    bool valid;  /* decrypting gives msg */
    bool no_msg; /* the file says only that decrypting fails */
};

static CK_SESSION_HANDLE session;
static uint64_t rng = SEED;

static CK_OBJECT_HANDLE aes_key(const struct gcm_case *c)
{
    CK_OBJECT_HANDLE key = 0;
    CK_RV rv = import_try(session, CKK_AES, c->key, c->key_len, "ed", &key);

    if (rv != CKR_OK) die_at(__FILE__, __LINE__, "%s: import of %zu bytes: %s", c->id, c->key_len, rv_name(rv));
    return key;
}

/* Feeds data to Update in pieces of random length, 0 included. */
static CK_RV feed(CK_RV (*update)(CK_SESSION_HANDLE, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG *), CK_BYTE *data, size_t len, CK_BYTE *out,
                  size_t cap, size_t *done)
{
    *done = 0;
    for (size_t at = 0; at < len;) {
        size_t step = rng_next(&rng) % (len - at < 40 ? len - at + 1 : 40);
        CK_ULONG got = cap - *done;
        CK_RV rv = update(session, data + at, step, out + *done, &got);

        if (rv != CKR_OK) return rv;
        at += step;
        *done += got;
    }
    return CKR_OK;
}

static CK_RV encrypt(const struct gcm_case *c, bool parts, CK_BYTE *out, size_t *out_len)
{
    CK_OBJECT_HANDLE key = aes_key(c);
    CK_ULONG got = *out_len;
    size_t done = 0;
    CK_RV rv = gcm_init(session, true, key, c->iv, c->iv_len, c->aad, c->aad_len, c->tag_len * 8);

    if (rv == CKR_OK && !parts) rv = p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t)c->msg, c->msg_len, out, &got);
    if (rv == CKR_OK && parts) {
        rv = feed(p11->C_EncryptUpdate, (CK_BYTE *)(uintptr_t)c->msg, c->msg_len, out, *out_len, &done);
        got = *out_len - done;
        if (rv == CKR_OK) rv = p11->C_EncryptFinal(session, out + done, &got);
    }
    *out_len = done + got;
    NEED(p11->C_DestroyObject(session, key));
    return rv;
}

static CK_RV decrypt(const struct gcm_case *c, bool parts, CK_BYTE *out, size_t *out_len)
{
    CK_OBJECT_HANDLE key = aes_key(c);
    CK_BYTE sealed[sizeof c->ct + sizeof c->tag];
    size_t sealed_len = c->ct_len + c->tag_len, done = 0;
    CK_ULONG got = *out_len;
    CK_RV rv = gcm_init(session, false, key, c->iv, c->iv_len, c->aad, c->aad_len, c->tag_len * 8);

    memcpy(sealed, c->ct, c->ct_len);
    memcpy(sealed + c->ct_len, c->tag, c->tag_len);
    if (rv == CKR_OK && !parts) rv = p11->C_Decrypt(session, sealed, sealed_len, out, &got);
    if (rv == CKR_OK && parts) {
        rv = feed(p11->C_DecryptUpdate, sealed, sealed_len, out, *out_len, &done);
        if (done) fail_at(__FILE__, __LINE__, "%s: %zu bytes were released before the tag was checked", c->id, done);
        got = *out_len - done;
        if (rv == CKR_OK) rv = p11->C_DecryptFinal(session, out + done, &got);
    }
    *out_len = done + got;
    NEED(p11->C_DestroyObject(session, key));
    return rv;
}

/* Why the token must refuse these parameters, or NULL. */
static const char *refusal(const struct gcm_case *c)
{
    if (c->iv_len == 0) return "refused: no IV";
    if (c->iv_len > IV_MAX) return "refused: IV over 256 bytes";
    if (c->tag_len * 8 < TAG_MIN) return "refused: tag under 96 bits";
    return NULL;
}

static void run_encrypt(const struct gcm_case *c, bool parts)
{
    const char *why = refusal(c);
    CK_BYTE out[sizeof c->ct + sizeof c->tag];
    size_t len = sizeof out;
    CK_RV rv = encrypt(c, parts, out, &len);
    bool same = len == c->ct_len + c->tag_len && memcmp(out, c->ct, c->ct_len) == 0 && memcmp(out + c->ct_len, c->tag, c->tag_len) == 0;

    if (why && p11_kind != KEYLADDER) {
        count("not judged: this vendor has another policy");
        return;
    }
    if (why) {
        if (rv == CKR_MECHANISM_PARAM_INVALID)
            count(why);
        else
            fail_at(__FILE__, __LINE__, "%s: encrypt: %s, not CKR_MECHANISM_PARAM_INVALID (%s)", c->id, rv_name(rv), why);
        return;
    }
    if (rv == CKR_MECHANISM_PARAM_INVALID && c->iv_len > 128) {
        count("refused: IV over 128 bytes, engine");
        return;
    }
    if (rv != CKR_OK)
        fail_at(__FILE__, __LINE__, "%s: encrypt%s: %s", c->id, parts ? " in parts" : "", rv_name(rv));
    else if (same != c->valid)
        fail_at(__FILE__, __LINE__, "%s: encrypt%s: %s", c->id, parts ? " in parts" : "",
                same ? "equals an invalid vector" : "other bytes");
    else
        count(parts ? "encrypted in parts" : "encrypted");
}

static void run_decrypt(const struct gcm_case *c, bool parts)
{
    const char *why = refusal(c);
    CK_BYTE out[sizeof c->msg];
    size_t len = sizeof out;
    CK_RV rv;

    memset(out, 0xa5, sizeof out);
    rv = decrypt(c, parts, out, &len);
    if (why && p11_kind != KEYLADDER) {
        count("not judged: this vendor has another policy");
    } else if (why) {
        if (rv == CKR_MECHANISM_PARAM_INVALID)
            count(why);
        else
            fail_at(__FILE__, __LINE__, "%s: decrypt: %s, not CKR_MECHANISM_PARAM_INVALID (%s)", c->id, rv_name(rv), why);
    } else if (rv == CKR_MECHANISM_PARAM_INVALID && c->iv_len > 128) {
        count("refused: IV over 128 bytes, engine");
    } else if (!c->valid) {
        bool leaked = false;

        for (size_t i = 0; i < c->ct_len; i++) leaked |= out[i] != 0xa5 && out[i] != 0;
        if (rv != CKR_ENCRYPTED_DATA_INVALID && !(p11_kind == SOFTHSM && rv == CKR_GENERAL_ERROR))
            fail_at(__FILE__, __LINE__, "%s: decrypt: %s, not CKR_ENCRYPTED_DATA_INVALID", c->id, rv_name(rv));
        else if (leaked)
            fail_at(__FILE__, __LINE__, "%s: bytes came out under a bad tag", c->id);
        else
            count(parts ? "bad tag refused in parts" : "bad tag refused");
    } else if (rv != CKR_OK) {
        fail_at(__FILE__, __LINE__, "%s: decrypt%s: %s", c->id, parts ? " in parts" : "", rv_name(rv));
    } else if (len != c->msg_len || memcmp(out, c->msg, len) != 0) {
        fail_at(__FILE__, __LINE__, "%s: decrypt%s: other bytes", c->id, parts ? " in parts" : "");
    } else {
        count(parts ? "decrypted in parts" : "decrypted");
    }
}

/* ---- NIST response files ---- */

static FILE *open_vectors(const char *name, bool packed)
{
    const char *dir = getenv("KEYLADDER_VECTORS");
    char command[4096];
    FILE *file;

    snprintf(command, sizeof command, packed ? "gzip -dc '%s/%s'" : "%s/%s", dir ? dir : "../shared/vectors", name);
    file = packed ? popen(command, "r") : fopen(command, "r");
    if (!file) die_at(__FILE__, __LINE__, "%s cannot be read; KEYLADDER_VECTORS names the folder", name);
    return file;
}

static void nist_file(const char *name, bool decrypting)
{
    static struct gcm_case c;
    char line[20000], id[256];
    bool seen = false;
    size_t taken = 0;
    FILE *file = open_vectors(name, true);

    suite = name;
    memset(&c, 0, sizeof c);
    c.id = id;
    while (fgets(line, sizeof line, file)) {
        char *value = strchr(line, '=');

        value = value ? value + 1 + strspn(value + 1, " ") : line;
        if (strncmp(line, "[Taglen", 7) == 0) c.tag_len = strtoul(value, NULL, 10) / 8;
        if (strncmp(line, "Count", 5) == 0) snprintf(id, sizeof id, "%s tag %zu count %lu", name, c.tag_len * 8, strtoul(value, NULL, 10));
        if (strncmp(line, "Key ", 4) == 0) c.key_len = unhex(value, c.key);
        if (strncmp(line, "IV ", 3) == 0) c.iv_len = unhex(value, c.iv);
        if (strncmp(line, "AAD", 3) == 0) c.aad_len = unhex(value, c.aad);
        if (strncmp(line, "CT", 2) == 0) c.ct_len = unhex(value, c.ct);
        if (strncmp(line, "Tag ", 4) == 0) unhex(value, c.tag);
        if (strncmp(line, "PT ", 3) == 0) c.msg_len = unhex(value, c.msg);
        seen = decrypting ? strncmp(line, "PT ", 3) == 0 || strncmp(line, "FAIL", 4) == 0 : strncmp(line, "Tag ", 4) == 0;
        if (!seen) continue;
        c.valid = strncmp(line, "FAIL", 4) != 0;
        taken++;
        for (int parts = 0; parts < 2; parts++) {
            if (decrypting)
                run_decrypt(&c, parts);
            else
                run_encrypt(&c, parts);
        }
        if (c.valid && decrypting) run_encrypt(&c, false);
        if (c.valid && !decrypting) run_decrypt(&c, false);
    }
    pclose(file);
    if (taken != 7875) fail_at(__FILE__, __LINE__, "%s: %zu vectors, not 7875", name, taken);
}

/* ---- Wycheproof ---- */

static json_t *load_json(const char *name)
{
    json_error_t error;
    FILE *file = open_vectors(name, false);
    json_t *root = json_loadf(file, 0, &error);

    fclose(file);
    if (!root) die_at(__FILE__, __LINE__, "%s:%d: %s", name, error.line, error.text);
    return root;
}

static const char *text(json_t *object, const char *member)
{
    const char *value = json_string_value(json_object_get(object, member));

    if (!value) die_at(__FILE__, __LINE__, "a vector lacks %s", member);
    return value;
}

static size_t hex_of(json_t *object, const char *member, CK_BYTE *out, size_t cap)
{
    const char *value = text(object, member);

    if (strlen(value) / 2 > cap) die_at(__FILE__, __LINE__, "%s is too long", member);
    return unhex(value, out);
}

/* Calls one for every test of a file and makes sure that none is overlooked. */
static void wycheproof(const char *name, void (*one)(json_t *test))
{
    json_t *root = load_json(name), *group, *test;
    json_int_t taken = 0;
    size_t g, t;

    suite = strrchr(name, '/') + 1;
    json_array_foreach(json_object_get(root, "testGroups"), g, group)
    {
        json_array_foreach(json_object_get(group, "tests"), t, test)
        {
            one(test);
            taken++;
        }
    }
    if (taken == 0 || taken != json_integer_value(json_object_get(root, "numberOfTests")))
        fail_at(__FILE__, __LINE__, "%s: %lld tests", name, (long long)taken);
    json_decref(root);
}

static void wycheproof_gcm(json_t *test)
{
    static struct gcm_case c;
    char id[128];

    memset(&c, 0, sizeof c);
    snprintf(id, sizeof id, "%s %lld", suite, (long long)json_integer_value(json_object_get(test, "tcId")));
    c.id = id;
    c.key_len = hex_of(test, "key", c.key, sizeof c.key);
    c.iv_len = hex_of(test, "iv", c.iv, sizeof c.iv);
    c.aad_len = hex_of(test, "aad", c.aad, sizeof c.aad);
    c.msg_len = hex_of(test, "msg", c.msg, sizeof c.msg);
    c.ct_len = hex_of(test, "ct", c.ct, sizeof c.ct);
    c.tag_len = hex_of(test, "tag", c.tag, sizeof c.tag);
    c.valid = strcmp(text(test, "result"), "valid") == 0;
    for (int parts = 0; parts < 2; parts++) {
        run_encrypt(&c, parts);
        run_decrypt(&c, parts);
    }
}

/* ---- HKDF ---- */

struct hkdf_case {
    CK_BYTE ikm[256], salt[256], info[256], okm[8200];
    size_t ikm_len, salt_len, info_len, size;
};

/* Both ways to say "no salt" must mean the same. */
static CK_RV hkdf(const struct hkdf_case *c, CK_KEY_TYPE base_type, bool extract, bool expand, bool null_salt, CK_BYTE *out,
                  size_t *out_len)
{
    struct t_hkdf param = { extract,
                            expand,
                            CKM_SHA256,
                            null_salt ? CKF_HKDF_SALT_NULL : CKF_HKDF_SALT_DATA,
                            null_salt ? NULL : (CK_BYTE *)(uintptr_t)c->salt,
                            null_salt ? 0 : c->salt_len,
                            0,
                            (CK_BYTE *)(uintptr_t)c->info,
                            c->info_len };
    CK_MECHANISM mech = { CKM_HKDF_DERIVE, &param, sizeof param };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
                                A_ULONG(CKA_VALUE_LEN, *out_len),   A_BOOL(CKA_TOKEN, CK_FALSE),
                                A_BOOL(CKA_SENSITIVE, CK_FALSE),    A_BOOL(CKA_EXTRACTABLE, CK_TRUE) };
    CK_OBJECT_HANDLE base = 0, key = 0;
    CK_ATTRIBUTE value = { CKA_VALUE, out, *out_len };
    CK_RV rv = import_try(session, base_type, c->ikm, c->ikm_len, "DX", &base);

    if (rv != CKR_OK) die_at(__FILE__, __LINE__, "import of %zu bytes of key material: %s", c->ikm_len, rv_name(rv));
    rv = p11->C_DeriveKey(session, &mech, base, template, COUNT(template), &key);
    if (rv == CKR_OK) {
        NEED(p11->C_GetAttributeValue(session, key, &value, 1));
        NEED(p11->C_DestroyObject(session, key));
        *out_len = value.ulValueLen;
    }
    NEED(p11->C_DestroyObject(session, base));
    return rv;
}

/* The longest key that the token makes by HKDF. */
static size_t longest;

static void expect_okm(const char *id, const struct hkdf_case *c, CK_KEY_TYPE type, bool null_salt)
{
    CK_BYTE out[8200];
    size_t len = c->size;
    CK_RV rv = hkdf(c, type, true, true, null_salt, out, &len);

    if (rv == CKR_ATTRIBUTE_VALUE_INVALID && c->size > longest)
        count("refused: longer than C_GetMechanismInfo says a key may be");
    else if (rv != CKR_OK)
        fail_at(__FILE__, __LINE__, "%s: base type 0x%lx: %s", id, type, rv_name(rv));
    else if (len != c->size || memcmp(out, c->okm, len))
        fail_at(__FILE__, __LINE__, "%s: other bytes", id);
    else
        count(type == CKK_HKDF ? "derived from CKK_HKDF" : "derived from CKK_GENERIC_SECRET");
}

static void wycheproof_hkdf(json_t *test)
{
    static struct hkdf_case c;
    CK_BYTE out[8200];
    size_t len;
    char id[128];

    memset(&c, 0, sizeof c);
    snprintf(id, sizeof id, "%s %lld", suite, (long long)json_integer_value(json_object_get(test, "tcId")));
    c.ikm_len = hex_of(test, "ikm", c.ikm, sizeof c.ikm);
    c.salt_len = hex_of(test, "salt", c.salt, sizeof c.salt);
    c.info_len = hex_of(test, "info", c.info, sizeof c.info);
    c.size = (size_t)json_integer_value(json_object_get(test, "size"));
    hex_of(test, "okm", c.okm, sizeof c.okm);
    if (strcmp(text(test, "result"), "valid") == 0) {
        expect_okm(id, &c, CKK_HKDF, false);
        expect_okm(id, &c, CKK_GENERIC_SECRET, false);
        if (c.salt_len == 0) expect_okm(id, &c, CKK_HKDF, true);
        return;
    }
    len = c.size;
    if (EXPECT(hkdf(&c, CKK_HKDF, true, true, false, out, &len), CKR_KEY_SIZE_RANGE, CKR_ATTRIBUTE_VALUE_INVALID))
        count("refused: over 255 blocks");
}

static void rfc5869(void)
{
    struct hkdf_case c, expand_only;
    CK_BYTE prk[32], out[256];
    char line[1024];
    unsigned taken = 0;
    FILE *file = open_vectors("rfc5869/rfc-5869-HKDF-SHA256.txt", false);

    suite = "rfc5869";
    memset(&c, 0, sizeof c);
    while (fgets(line, sizeof line, file)) {
        char *value = strchr(line, '=');
        size_t len;

        if (!value) continue;
        value += 1 + strspn(value + 1, " ");
        if (strncmp(line, "IKM", 3) == 0) c.ikm_len = unhex(value, c.ikm);
        if (strncmp(line, "salt", 4) == 0) c.salt_len = unhex(value, c.salt);
        if (strncmp(line, "info", 4) == 0) c.info_len = unhex(value, c.info);
        if (strncmp(line, "L ", 2) == 0) c.size = strtoul(value, NULL, 10);
        if (strncmp(line, "PRK", 3) == 0) unhex(value, prk);
        if (strncmp(line, "OKM", 3) != 0) continue;
        unhex(value, c.okm);
        taken++;
        expect_okm("RFC 5869", &c, CKK_HKDF, false);
        expect_okm("RFC 5869", &c, CKK_GENERIC_SECRET, c.salt_len == 0);
        len = sizeof prk;
        if (EXPECT(hkdf(&c, CKK_HKDF, true, false, false, out, &len), CKR_OK)) {
            CHECK(len == 32 && memcmp(out, prk, 32) == 0);
            count("extracted only");
        }
        expand_only = c;
        memcpy(expand_only.ikm, prk, sizeof prk);
        expand_only.ikm_len = sizeof prk;
        len = c.size;
        if (EXPECT(hkdf(&expand_only, CKK_HKDF, false, true, true, out, &len), CKR_OK)) {
            CHECK(len == c.size && memcmp(out, c.okm, len) == 0);
            count("expanded only");
        }
    }
    fclose(file);
    if (taken != 3) fail_at(__FILE__, __LINE__, "%u cases in RFC 5869, not 3", taken);
}

/* ---- any chunking equals one shot ---- */

static void chunking(unsigned rounds)
{
    static struct gcm_case c;
    CK_BYTE once[sizeof c.ct + sizeof c.tag], parts[sizeof once], out[sizeof c.msg];

    suite = "random chunks";
    c.id = "random chunks";
    for (unsigned i = 0; i < rounds; i++) {
        size_t once_len = sizeof once, parts_len = sizeof parts, out_len = sizeof out;

        c.key_len = 16 + 8 * (rng_next(&rng) % 3);
        c.iv_len = 12;
        c.tag_len = 12 + rng_next(&rng) % 5;
        c.aad_len = rng_next(&rng) % 100;
        c.msg_len = c.ct_len = rng_next(&rng) % 4 ? rng_next(&rng) % 200 : rng_next(&rng) % 8000;
        rng_fill(&rng, c.key, c.key_len);
        rng_fill(&rng, c.iv, c.iv_len);
        rng_fill(&rng, c.aad, c.aad_len);
        rng_fill(&rng, c.msg, c.msg_len);
        NEED(encrypt(&c, false, once, &once_len));
        NEED(encrypt(&c, true, parts, &parts_len));
        if (once_len != parts_len || memcmp(once, parts, once_len)) {
            fail_at(__FILE__, __LINE__, "round %u: parts give other bytes than one call", i);
            continue;
        }
        memcpy(c.ct, once, c.ct_len);
        memcpy(c.tag, once + c.ct_len, c.tag_len);
        NEED(decrypt(&c, true, out, &out_len));
        if (out_len != c.msg_len || memcmp(out, c.msg, out_len))
            fail_at(__FILE__, __LINE__, "round %u: other bytes back", i);
        else
            count("equal");
    }
}

static bool offers(CK_MECHANISM_TYPE type)
{
    CK_MECHANISM_INFO info;
    CK_RV rv = p11->C_GetMechanismInfo(slot_labelled(TOKEN_LABEL), type, &info);

    if (rv == CKR_OK) longest = info.ulMaxKeySize;
    return rv == CKR_OK;
}

int main(void)
{
    p11_load();
    sandbox_make();
    start();
    token_make(slot_blank(), TOKEN_LABEL);
    session = open_session(CKF_RW_SESSION);
    NEED(login(session, CKU_USER, USER_PIN));
    printf("seed %d\n", SEED);
    nist_file("nist/gcmEncryptExtIV256.rsp.gz", false);
    nist_file("nist/gcmDecrypt256.rsp.gz", true);
    wycheproof("wycheproof/aes_gcm_test.json", wycheproof_gcm);
    chunking(2000);
    if (offers(CKM_HKDF_DERIVE) || p11_kind == KEYLADDER) {
        wycheproof("wycheproof/hkdf_sha256_test.json", wycheproof_hkdf);
        rfc5869();
    }
    stop();
    report();
    sandbox_remove(sandbox_dir);
    printf("%s\n", failures ? "vectors: FAILED" : "vectors: all as they must be");
    return failures != 0;
}
