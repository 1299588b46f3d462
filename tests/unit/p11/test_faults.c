/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Every allocation, every SQLite call and every OpenSSL call on the way of
 * create, find, encrypt, decrypt, sign, digest, wrap and destroy is made to fail
 * in turn: the answer is precise, nothing half-made stays, and the next try works (ATTACKS L8).
 * The functions are wrapped by the linker (-Wl,--wrap), so what the libraries
 * call among themselves is left alone.
 */
#include "../failing.h"
#include "../unit.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"
#include "crypto/lib.h"
#include "crypto/passphrase.h"
#include "crypto/sha2.h"
#include "keyladder/pkcs11.h"

/* --- the faults --- */

enum kind { ALLOCATION, SYSTEM, SQLITE, OPENSSL, KINDS };
static const char *const kind_names[KINDS] = { "allocation", "memory system call", "SQLite call", "OpenSSL call" };

static struct {
    bool is_armed;
    enum kind kind;
    unsigned target; /* the how-manieth call fails */
    unsigned seen;
    const char *failed; /* the name of the one that did */
} fault;

static bool strikes(enum kind kind, const char *name)
{
    if (!fault.is_armed || fault.kind != kind) return false;
    if (++fault.seen != fault.target) return false;
    fault.failed = name;
    return true;
}

/* Arms the n-th call of a kind; failing.c has the first two. */
static void arm(enum kind kind, unsigned n)
{
    memset(&fault, 0, sizeof(fault));
    fault.kind = kind;
    fault.target = n;
    failing_memory(kind == ALLOCATION ? n : 0);
    failing_system(kind == SYSTEM ? n : 0);
    fault.is_armed = kind == SQLITE || kind == OPENSSL;
}

/* Whether the call that was to fail has been made. */
static bool disarm(void)
{
    fault.is_armed = false;
    if (failing_has_failed()) fault.failed = kind_names[fault.kind];
    failing_memory(0);
    failing_system(0);
    return fault.failed != NULL;
}

#define WRAP(kind, type, name, parameters, arguments, failure)             \
    type __real_##name parameters;                                         \
    type __wrap_##name parameters;                                         \
    type __wrap_##name parameters                                          \
    {                                                                      \
        return strikes(kind, #name) ? (failure) : __real_##name arguments; \
    }
#include "wraps.def"
#undef WRAP

/* --- a token in a folder of its own --- */

static char folder[64], user_pin[64];
static size_t user_pin_len;

static bool write_file(const char *name, const void *bytes, size_t len)
{
    char path[128];
    int fd;
    bool ok;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ok = fd >= 0 && write(fd, bytes, len) == (ssize_t)len;
    if (fd >= 0) close(fd);
    return ok;
}

static bool write_files(void)
{
    KL_AUTO(kl_secret) passphrase = { 0 };
    KL_AUTO(kl_secret) pin = { 0 };
    char text[512];

    kl_arena_allow_unlocked(true);
    if (kl_crypto_open() != KL_OK || kl_pin_generate(&passphrase) != KL_OK || kl_pin_generate(&pin) != KL_OK) return false;
    memcpy(user_pin, pin.data, pin.len);
    user_pin_len = pin.len;
    snprintf(text, sizeof(text),
             "[module]\nlock_memory = try\n[token \"t\"]\nstore = sqlite:%s/t.db\nroots = local\npin_memory = 8MiB\n"
             "[root \"local\"]\ntype = local\npassphrase = file:%s/passphrase\n[log]\ntarget = none\n",
             folder, folder);
    return write_file("passphrase", passphrase.data, passphrase.len) && write_file("keyladder.conf", text, strlen(text));
}

#define SO_PIN ((CK_UTF8CHAR_PTR)(uintptr_t) "so-pin-1")

static CK_RV make_token(void)
{
    CK_UTF8CHAR label[32];
    CK_SESSION_HANDLE session;
    CK_RV rv = C_Initialize(NULL);

    memset(label, ' ', sizeof(label));
    label[0] = 't';
    if (rv == CKR_OK) rv = C_InitToken(0, SO_PIN, 8, label);
    if (rv == CKR_OK) rv = C_OpenSession(0, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session);
    if (rv == CKR_OK) rv = C_Login(session, CKU_SO, SO_PIN, 8);
    if (rv == CKR_OK) rv = C_InitPIN(session, (CK_UTF8CHAR_PTR)user_pin, user_pin_len);
    if (rv == CKR_OK) rv = C_Finalize(NULL);
    return rv;
}

static int begin(void)
{
    char path[128];

    snprintf(folder, sizeof(folder), "/tmp/kl-faults-XXXXXX");
    if (!mkdtemp(folder) || !write_files()) return 1;
    snprintf(path, sizeof(path), "%s/keyladder.conf", folder);
    setenv("KEYLADDER_CONF", path, 1);
    return make_token() != CKR_OK;
}

static int end(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command);
}

/* --- the work --- */

static CK_BBOOL yes = CK_TRUE;

struct work {
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;
    char label[32];
    bool was_created;
    bool was_destroyed;
};

static CK_RV open_session(struct work *work)
{
    CK_RV rv = C_Initialize(NULL);

    if (rv == CKR_OK) rv = C_OpenSession(0, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &work->session);
    if (rv == CKR_OK) rv = C_Login(work->session, CKU_USER, (CK_UTF8CHAR_PTR)user_pin, user_pin_len);
    return rv;
}

static CK_RV find_label(CK_SESSION_HANDLE session, const char *label, CK_OBJECT_HANDLE *out, CK_ULONG *count)
{
    CK_ATTRIBUTE template = { CKA_LABEL, (void *)(uintptr_t)label, strlen(label) };
    CK_RV rv = C_FindObjectsInit(session, &template, 1);

    *count = 0;
    if (rv != CKR_OK) return rv;
    rv = C_FindObjects(session, out, 1, count);
    if (rv != CKR_OK) *count = 0;
    if (rv == CKR_OK) rv = C_FindObjectsFinal(session);
    return rv;
}

static CK_RV create(struct work *work)
{
    CK_ULONG len = 32;
    CK_MECHANISM mechanism = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_ATTRIBUTE template[] = { { CKA_TOKEN, &yes, sizeof(yes) },
                                { CKA_VALUE_LEN, &len, sizeof(len) },
                                { CKA_LABEL, work->label, strlen(work->label) } };
    CK_RV rv = C_GenerateKey(work->session, &mechanism, template, 3, &work->key);

    work->was_created = rv == CKR_OK;
    return rv;
}

/* Encrypts and decrypts; a plaintext that differs is the worst of all. */
static CK_RV use(struct work *work)
{
    CK_BYTE iv[12] = { 1 }, plain[64] = { 42 }, sealed[80], back[64];
    CK_GCM_PARAMS params = { .pIv = iv, .ulIvLen = 12, .ulIvBits = 96, .pAAD = plain, .ulAADLen = 16, .ulTagBits = 128 };
    CK_MECHANISM mechanism = { CKM_AES_GCM, &params, sizeof(params) };
    CK_ULONG len = sizeof(sealed), back_len = sizeof(back);
    CK_RV rv = C_EncryptInit(work->session, &mechanism, work->key);

    if (rv == CKR_OK) rv = C_Encrypt(work->session, plain, sizeof(plain), sealed, &len);
    if (rv == CKR_OK) rv = C_DecryptInit(work->session, &mechanism, work->key);
    if (rv == CKR_OK) rv = C_Decrypt(work->session, sealed, len, back, &back_len);
    if (rv == CKR_OK) CU_ASSERT(back_len == sizeof(plain) && memcmp(back, plain, sizeof(plain)) == 0);
    return rv;
}

/* The same under a mode with state of its own for what is no whole block. */
static CK_RV use_in_parts(struct work *work)
{
    CK_BYTE iv[16] = { 1 }, plain[40] = { 42 }, sealed[48], back[48];
    CK_MECHANISM mechanism = { CKM_AES_CBC_PAD, iv, sizeof(iv) };
    CK_ULONG len = sizeof(sealed), last = 16, back_len = sizeof(back);
    CK_RV rv = C_EncryptInit(work->session, &mechanism, work->key);

    if (rv == CKR_OK) rv = C_EncryptUpdate(work->session, plain, sizeof(plain), sealed, &len);
    if (rv == CKR_OK) rv = C_EncryptFinal(work->session, sealed + len, &last);
    if (rv == CKR_OK) rv = C_DecryptInit(work->session, &mechanism, work->key);
    if (rv == CKR_OK) rv = C_Decrypt(work->session, sealed, sizeof(sealed), back, &back_len);
    if (rv == CKR_OK) CU_ASSERT(back_len == sizeof(plain) && memcmp(back, plain, sizeof(plain)) == 0);
    return rv;
}

static CK_RV import(struct work *work, CK_KEY_TYPE type, CK_ATTRIBUTE_TYPE usage, CK_ATTRIBUTE_TYPE other, CK_OBJECT_HANDLE *key)
{
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_BYTE value[32] = "bytes of a key that is imported";
    CK_BBOOL no = CK_FALSE;
    CK_ATTRIBUTE template[] = {
        { CKA_CLASS, &class, sizeof(class) }, { CKA_KEY_TYPE, &type, sizeof(type) },  { CKA_VALUE, value, sizeof(value) },
        { CKA_SENSITIVE, &no, sizeof(no) },   { CKA_EXTRACTABLE, &yes, sizeof(yes) }, { usage, &yes, sizeof(yes) },
        { other, &yes, sizeof(yes) }
    };

    return C_CreateObject(work->session, template, 7, key);
}

/* A MAC that does not verify, or a digest that is another, is the worst here. */
static CK_RV sign(struct work *work)
{
    static const CK_BYTE abc[4] = { 0xba, 0x78, 0x16, 0xbf };
    CK_MECHANISM hmac = { CKM_SHA256_HMAC, NULL, 0 }, sha256 = { CKM_SHA256, NULL, 0 };
    CK_BYTE text[3] = "abc", mac[32], digest[32];
    CK_ULONG mac_len = sizeof(mac), digest_len = sizeof(digest);
    CK_OBJECT_HANDLE key;
    CK_RV rv = import(work, CKK_GENERIC_SECRET, CKA_SIGN, CKA_VERIFY, &key);

    if (rv == CKR_OK) rv = C_SignInit(work->session, &hmac, key);
    if (rv == CKR_OK) rv = C_Sign(work->session, text, sizeof(text), mac, &mac_len);
    if (rv == CKR_OK) rv = C_VerifyInit(work->session, &hmac, key);
    if (rv == CKR_OK) rv = C_Verify(work->session, text, sizeof(text), mac, mac_len);
    if (rv == CKR_OK) rv = C_DigestInit(work->session, &sha256);
    if (rv == CKR_OK) rv = C_Digest(work->session, text, sizeof(text), digest, &digest_len);
    if (rv == CKR_OK) CU_ASSERT(memcmp(digest, abc, sizeof(abc)) == 0);
    return rv;
}

static CK_RV wrap(struct work *work)
{
    CK_MECHANISM mechanism = { CKM_AES_KEY_WRAP_KWP, NULL, 0 };
    CK_KEY_TYPE type = CKK_AES;
    CK_ATTRIBUTE template = { CKA_KEY_TYPE, &type, sizeof(type) };
    CK_OBJECT_HANDLE kek, key, back;
    CK_BYTE wrapped[48];
    CK_ULONG len = sizeof(wrapped);
    CK_RV rv = import(work, CKK_AES, CKA_WRAP, CKA_UNWRAP, &kek);

    if (rv == CKR_OK) rv = import(work, CKK_AES, CKA_ENCRYPT, CKA_DECRYPT, &key);
    if (rv == CKR_OK) rv = C_WrapKey(work->session, &mechanism, kek, key, wrapped, &len);
    if (rv == CKR_OK) rv = C_UnwrapKey(work->session, &mechanism, kek, wrapped, len, &template, 1, &back);
    return rv;
}

/* A DEK of its own each time would stay for ever, so a record key under a fixed one is derived. */
static CK_RV derive(struct work *work, CK_OBJECT_HANDLE parent)
{
    CK_BBOOL no = CK_FALSE;
    CK_HKDF_PARAMS params = { .bExtract = CK_TRUE,
                              .bExpand = CK_TRUE,
                              .prfHashMechanism = CKM_SHA256,
                              .ulSaltType = CKF_HKDF_SALT_NULL,
                              .pInfo = (CK_BYTE_PTR)(uintptr_t) "4711",
                              .ulInfoLen = 4 };
    CK_MECHANISM mechanism = { CKM_HKDF_DERIVE, &params, sizeof(params) };
    CK_ATTRIBUTE template = { CKA_TOKEN, &no, sizeof(no) };
    CK_OBJECT_HANDLE key;
    CK_RV rv = C_DeriveKey(work->session, &mechanism, parent, &template, 1, &key);

    return rv == CKR_OK ? C_DestroyObject(work->session, key) : rv;
}

static CK_RV run(struct work *work)
{
    CK_OBJECT_HANDLE master;
    CK_ULONG count;
    CK_RV rv = open_session(work);

    if (rv == CKR_OK) rv = find_label(work->session, "master", &master, &count);
    if (rv == CKR_OK) rv = count == 1 ? derive(work, master) : CKR_GENERAL_ERROR;
    if (rv == CKR_OK) rv = create(work);
    if (rv == CKR_OK) rv = find_label(work->session, work->label, &work->key, &count);
    if (rv == CKR_OK && count != 1) rv = CKR_GENERAL_ERROR;
    if (rv == CKR_OK) rv = use(work);
    if (rv == CKR_OK) rv = use_in_parts(work);
    if (rv == CKR_OK) rv = sign(work);
    if (rv == CKR_OK) rv = wrap(work);
    if (rv == CKR_OK) {
        rv = C_DestroyObject(work->session, work->key);
        work->was_destroyed = rv == CKR_OK;
    }
    if (rv == CKR_OK) rv = C_Logout(work->session);
    return rv;
}

/* --- the judgement --- */

/* OpenSSL's key wrap tells a failure from a key that was tampered with by nothing (crypto/keywrap.c). */
static bool is_precise(CK_RV rv)
{
    if (fault.kind == OPENSSL && rv == CKR_WRAPPED_KEY_INVALID) return true;
    return rv == CKR_OK || rv == CKR_HOST_MEMORY || rv == CKR_DEVICE_ERROR || rv == CKR_DEVICE_MEMORY || rv == CKR_SLOT_ID_INVALID;
}

static void complain(enum kind kind, unsigned n, const char *what, CK_RV rv)
{
    fprintf(stderr, "  %s %u (%s): %s, 0x%lx\n", kind_names[kind], n, fault.failed, what, rv);
    CU_FAIL("see above");
}

/* With the fault gone: what was created is there, what was not is not, and the whole works. */
static void look_after(enum kind kind, unsigned n, const struct work *work)
{
    struct work after = { 0 };
    CK_OBJECT_HANDLE key;
    CK_ULONG count = 0;
    CK_RV rv = open_session(&after);

    if (rv == CKR_OK) rv = find_label(after.session, work->label, &key, &count);
    if (rv != CKR_OK) complain(kind, n, "the token does not work afterwards", rv);
    if (work->was_created && !work->was_destroyed && count == 0) complain(kind, n, "a created key is gone", rv);
    if (!work->was_created && count > 0) complain(kind, n, "a key is there whose creation failed", rv);
    if (work->was_destroyed && count > 0) complain(kind, n, "a destroyed key is there", rv);
    if (count > 0) {
        after.key = key;
        rv = use(&after);
        if (rv != CKR_OK) complain(kind, n, "the key that is there is not whole", rv);
        rv = C_DestroyObject(after.session, key);
        if (rv != CKR_OK) complain(kind, n, "the key cannot be destroyed", rv);
    }
    rv = C_Finalize(NULL);
    if (rv != CKR_OK) complain(kind, n, "C_Finalize", rv);
}

/* 1, 2, 3 … until the work is done with fewer calls than that. */
static void fail_in_turn(enum kind kind)
{
    unsigned n = 0, refused = 0;
    bool struck;

    do {
        struct work work = { 0 };
        CK_RV rv;

        n++;
        snprintf(work.label, sizeof(work.label), "fault-%d-%u", (int)kind, n);
        arm(kind, n);
        rv = run(&work);
        struck = disarm();
        refused += rv != CKR_OK;
        if (!is_precise(rv)) complain(kind, n, "the answer is not precise", rv);
        /* Nobody need have come as far as C_Initialize. */
        rv = C_Finalize(NULL);
        if (rv != CKR_OK && rv != CKR_CRYPTOKI_NOT_INITIALIZED) complain(kind, n, "C_Finalize", rv);
        look_after(kind, n, &work);
    } while (struck && n < 20000);
    printf("\n    %u %ss made to fail, %u refused, the rest did without ", n - 1, kind_names[kind], refused);
    CU_ASSERT(n > 3 && refused > n / 4);
}

static void no_failed_allocation_leaves_half_a_key(void)
{
    fail_in_turn(ALLOCATION);
}

static void no_failed_memory_system_call_leaves_half_a_key(void)
{
    fail_in_turn(SYSTEM);
}

static void no_failed_sqlite_call_leaves_half_a_key(void)
{
    fail_in_turn(SQLITE);
}

static void no_failed_openssl_call_leaves_half_a_key(void)
{
    fail_in_turn(OPENSSL);
}

static void a_token_is_made_to_begin_with(void)
{
    CU_ASSERT_FATAL(begin() == 0);
}

static void nothing_is_left_behind(void)
{
    CU_ASSERT(end() == 0);
}

UNIT_MAIN("p11/faults", UNIT(a_token_is_made_to_begin_with), UNIT(no_failed_allocation_leaves_half_a_key),
          UNIT(no_failed_memory_system_call_leaves_half_a_key), UNIT(no_failed_sqlite_call_leaves_half_a_key),
          UNIT(no_failed_openssl_call_leaves_half_a_key), UNIT(nothing_is_left_behind))
