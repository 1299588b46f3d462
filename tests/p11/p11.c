/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* See p11.h. */
#include "p11.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

CK_FUNCTION_LIST *p11;
void *p11_handle;
enum kind p11_kind;
char sandbox_dir[4096];
bool token_makes_ivs;
int failures;

/* ---- expectations ---- */

static const struct {
    CK_RV rv;
    const char *name;
} rv_names[] = {
#define N(x)  \
    {         \
        x, #x \
    }
    N(CKR_OK),
    N(CKR_CANCEL),
    N(CKR_HOST_MEMORY),
    N(CKR_SLOT_ID_INVALID),
    N(CKR_GENERAL_ERROR),
    N(CKR_FUNCTION_FAILED),
    N(CKR_ARGUMENTS_BAD),
    N(CKR_NO_EVENT),
    N(CKR_NEED_TO_CREATE_THREADS),
    N(CKR_CANT_LOCK),
    N(CKR_ATTRIBUTE_READ_ONLY),
    N(CKR_ATTRIBUTE_SENSITIVE),
    N(CKR_ATTRIBUTE_TYPE_INVALID),
    N(CKR_ATTRIBUTE_VALUE_INVALID),
    N(CKR_ACTION_PROHIBITED),
    N(CKR_DATA_INVALID),
    N(CKR_DATA_LEN_RANGE),
    N(CKR_DEVICE_ERROR),
    N(CKR_DEVICE_MEMORY),
    N(CKR_DEVICE_REMOVED),
    N(CKR_ENCRYPTED_DATA_INVALID),
    N(CKR_ENCRYPTED_DATA_LEN_RANGE),
    N(CKR_AEAD_DECRYPT_FAILED),
    N(CKR_FUNCTION_CANCELED),
    N(CKR_FUNCTION_NOT_PARALLEL),
    N(CKR_FUNCTION_NOT_SUPPORTED),
    N(CKR_KEY_HANDLE_INVALID),
    N(CKR_KEY_SIZE_RANGE),
    N(CKR_KEY_TYPE_INCONSISTENT),
    N(CKR_KEY_NOT_NEEDED),
    N(CKR_KEY_CHANGED),
    N(CKR_KEY_NEEDED),
    N(CKR_KEY_INDIGESTIBLE),
    N(CKR_KEY_FUNCTION_NOT_PERMITTED),
    N(CKR_KEY_NOT_WRAPPABLE),
    N(CKR_KEY_UNEXTRACTABLE),
    N(CKR_MECHANISM_INVALID),
    N(CKR_MECHANISM_PARAM_INVALID),
    N(CKR_OBJECT_HANDLE_INVALID),
    N(CKR_OPERATION_ACTIVE),
    N(CKR_OPERATION_NOT_INITIALIZED),
    N(CKR_PIN_INCORRECT),
    N(CKR_PIN_INVALID),
    N(CKR_PIN_LEN_RANGE),
    N(CKR_PIN_EXPIRED),
    N(CKR_PIN_LOCKED),
    N(CKR_SESSION_CLOSED),
    N(CKR_SESSION_COUNT),
    N(CKR_SESSION_HANDLE_INVALID),
    N(CKR_SESSION_PARALLEL_NOT_SUPPORTED),
    N(CKR_SESSION_READ_ONLY),
    N(CKR_SESSION_EXISTS),
    N(CKR_SESSION_READ_ONLY_EXISTS),
    N(CKR_SESSION_READ_WRITE_SO_EXISTS),
    N(CKR_SIGNATURE_INVALID),
    N(CKR_SIGNATURE_LEN_RANGE),
    N(CKR_TEMPLATE_INCOMPLETE),
    N(CKR_TEMPLATE_INCONSISTENT),
    N(CKR_TOKEN_NOT_PRESENT),
    N(CKR_TOKEN_NOT_RECOGNIZED),
    N(CKR_TOKEN_WRITE_PROTECTED),
    N(CKR_UNWRAPPING_KEY_HANDLE_INVALID),
    N(CKR_UNWRAPPING_KEY_SIZE_RANGE),
    N(CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT),
    N(CKR_USER_ALREADY_LOGGED_IN),
    N(CKR_USER_NOT_LOGGED_IN),
    N(CKR_USER_PIN_NOT_INITIALIZED),
    N(CKR_USER_TYPE_INVALID),
    N(CKR_USER_ANOTHER_ALREADY_LOGGED_IN),
    N(CKR_USER_TOO_MANY_TYPES),
    N(CKR_WRAPPED_KEY_INVALID),
    N(CKR_WRAPPED_KEY_LEN_RANGE),
    N(CKR_WRAPPING_KEY_HANDLE_INVALID),
    N(CKR_WRAPPING_KEY_SIZE_RANGE),
    N(CKR_WRAPPING_KEY_TYPE_INCONSISTENT),
    N(CKR_RANDOM_SEED_NOT_SUPPORTED),
    N(CKR_RANDOM_NO_RNG),
    N(CKR_BUFFER_TOO_SMALL),
    N(CKR_SAVED_STATE_INVALID),
    N(CKR_STATE_UNSAVEABLE),
    N(CKR_CRYPTOKI_NOT_INITIALIZED),
    N(CKR_CRYPTOKI_ALREADY_INITIALIZED),
    N(CKR_MUTEX_BAD),
    N(CKR_MUTEX_NOT_LOCKED),
    N(CKR_FUNCTION_REJECTED),
    N(CKR_OPERATION_CANCEL_FAILED),
#undef N
};

const char *rv_name(CK_RV rv)
{
    static __thread char unknown[32];

    for (size_t i = 0; i < COUNT(rv_names); i++)
        if (rv_names[i].rv == rv) return rv_names[i].name;
    snprintf(unknown, sizeof unknown, "0x%lx", rv);
    return unknown;
}

static void tell(const char *file, int line, const char *words)
{
    const char *base = strrchr(file, '/');

    printf("    %s:%d: %s\n", base ? base + 1 : file, line, words);
    fflush(stdout);
}

void fail_at(const char *file, int line, const char *format, ...)
{
    char words[1024];
    va_list list;

    va_start(list, format);
    vsnprintf(words, sizeof words, format, list);
    va_end(list);
    /* One cause can fail ten thousand vectors; the first hundred tell it all. */
    if (__atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED) <= 100) tell(file, line, words);
}

void die_at(const char *file, int line, const char *format, ...)
{
    char words[1024];
    va_list list;

    va_start(list, format);
    vsnprintf(words, sizeof words, format, list);
    va_end(list);
    strncat(words, " (stopped here)", sizeof words - strlen(words) - 1);
    tell(file, line, words);
    _exit(1);
}

bool rv_at(const char *file, int line, const char *what, CK_RV got, const CK_RV *want, size_t count)
{
    char wanted[256] = "";

    for (size_t i = 0; i < count; i++) {
        if (got == want[i]) return true;
        snprintf(wanted + strlen(wanted), sizeof wanted - strlen(wanted), "%s%s", i ? " or " : "", rv_name(want[i]));
    }
    fail_at(file, line, "%.300s: %s, not %s", what, rv_name(got), wanted);
    return false;
}

/* ---- the module ---- */

static enum kind kind_of(const char *path)
{
    static const struct {
        const char *name, *file;
        enum kind kind;
    } vendors[] = { { "softhsm", "softhsm", SOFTHSM }, { "nss", "softokn", NSS } };
    const char *name = getenv("P11_KIND");

    for (size_t i = 0; i < COUNT(vendors); i++)
        if (name ? strcmp(name, vendors[i].name) == 0 : strstr(path, vendors[i].file) != NULL) return vendors[i].kind;
    return KEYLADDER;
}

void p11_load(void)
{
    const char *path = getenv("P11_MODULE");
    CK_RV (*get)(CK_FUNCTION_LIST **);

    if (!path) die_at(__FILE__, __LINE__, "P11_MODULE does not say which module to test");
    p11_kind = kind_of(path);
    p11_handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!p11_handle) die_at(__FILE__, __LINE__, "%s", dlerror());
    *(void **)&get = dlsym(p11_handle, "C_GetFunctionList");
    if (!get) die_at(__FILE__, __LINE__, "no C_GetFunctionList in %s", path);
    NEED(get(&p11));
}

void *p11_sym(const char *name)
{
    return dlsym(p11_handle, name);
}

struct t_list30 *p11_list30(void)
{
    t_get_interface get = (t_get_interface)(uintptr_t)p11_sym("C_GetInterface");
    CK_CHAR name[] = "PKCS 11";
    CK_VERSION version = { 3, 0 };
    struct t_interface *found = NULL;

    return get && get(name, &version, &found, 0) == CKR_OK ? found->list : NULL;
}

bool is_sanitized(void)
{
    return dlsym(RTLD_DEFAULT, "__asan_init") || dlsym(RTLD_DEFAULT, "__tsan_init");
}

/* ---- sandboxes ---- */

/* NSS is configured by C_Initialize, not by a file. */
static char nss_settings[8192];

static void write_file(const char *name, mode_t mode, const char *text)
{
    char path[4200];
    int fd;

    snprintf(path, sizeof path, "%s/%s", sandbox_dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) die_at(__FILE__, __LINE__, "%s: %s", path, strerror(errno));
    close(fd);
}

static void new_dir(void)
{
    const char *tmp = getenv("TMPDIR");

    snprintf(sandbox_dir, sizeof sandbox_dir, "%s/kl-p11.XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(sandbox_dir)) die_at(__FILE__, __LINE__, "mkdtemp %s: %s", sandbox_dir, strerror(errno));
}

static const char *setting(const char *name, const char *otherwise)
{
    return getenv(name) ? getenv(name) : otherwise;
}

/*
 * The least Argon2 memory the module allows: these programs log in thousands of
 * times and test what a PIN does, not what it costs.
 */
static void configure(void)
{
    char text[32768], path[4200];

    if (p11_kind == SOFTHSM) {
        snprintf(path, sizeof path, "%s/tokens", sandbox_dir);
        mkdir(path, 0700);
        snprintf(text, sizeof text, "directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n", sandbox_dir);
        write_file("softhsm2.conf", 0600, text);
        snprintf(path, sizeof path, "%s/softhsm2.conf", sandbox_dir);
        setenv("SOFTHSM2_CONF", path, 1);
        return;
    }
    if (p11_kind == NSS) {
        snprintf(nss_settings, sizeof nss_settings,
                 "configdir='sql:%s' certPrefix='' keyPrefix='' secmod='secmod.db' dbTokenDescription='%s'", sandbox_dir, TOKEN_LABEL);
        return;
    }
    snprintf(text, sizeof text,
             "[log]\ntarget = file:%s/log\nlevel = %s\n"
             "[token \"demo\"]\nstore = sqlite:%s/demo.db\nroots = local\npin_memory = 8MiB\npin = file:%s/pin\nengine = %s\n%s\n"
             "[token \"other\"]\nstore = sqlite:%s/other.db\nroots = local\npin_memory = 8MiB\nengine = %s\n"
             "[root \"local\"]\ntype = local\npassphrase = file:%s/passphrase\npassphrase_memory = 8MiB\n",
             sandbox_dir, setting("P11_LOG_LEVEL", "info"), sandbox_dir, sandbox_dir, setting("P11_ENGINE", "auto"),
             setting("P11_TOKEN_SETTINGS", ""), sandbox_dir, setting("P11_ENGINE", "auto"), sandbox_dir);
    write_file("keyladder.conf", 0600, text);
    write_file("pin", 0600, USER_PIN "\n");
    write_file("passphrase", 0600, "correct horse battery staple\n");
    snprintf(path, sizeof path, "%s/keyladder.conf", sandbox_dir);
    setenv("KEYLADDER_CONF", path, 1);
}

void sandbox_make(void)
{
    new_dir();
    configure();
}

void sandbox_copy(const char *from)
{
    char command[9000];

    new_dir();
    snprintf(command, sizeof command, "cp -a '%s/.' '%s/'", from, sandbox_dir);
    if (system(command) != 0) die_at(__FILE__, __LINE__, "%s", command);
    configure();
}

void sandbox_add(const char *text)
{
    char path[4200];
    FILE *file;

    snprintf(path, sizeof path, "%s/keyladder.conf", sandbox_dir);
    file = fopen(path, "a");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0) die_at(__FILE__, __LINE__, "%s: %s", path, strerror(errno));
}

void sandbox_setting(const char *line)
{
    setenv("P11_TOKEN_SETTINGS", line, 1);
    configure();
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

unsigned long long counted(const char *label, unsigned long long more)
{
    char here[4096], command[16384], line[64] = "";
    ssize_t len = readlink("/proc/self/exe", here, sizeof here - 1);
    FILE *answer;

    if (len <= 0) die_at(__FILE__, __LINE__, "readlink: %s", strerror(errno));
    here[len] = '\0';
    *strrchr(here, '/') = '\0';
    snprintf(command, sizeof command, "'%s/budget' '%s/keyladder.conf' %s '%s' %llu", here, sandbox_dir, USER_PIN, label, more);
    fflush(stdout);
    answer = popen(command, "r");
    if (!answer || !fgets(line, sizeof line, answer)) die_at(__FILE__, __LINE__, "%s: no answer", command);
    if (pclose(answer) != 0) die_at(__FILE__, __LINE__, "%s: failed", command);
    return strtoull(line, NULL, 10);
}

void sandbox_remove(const char *dir)
{
    if (strstr(dir, "/kl-p11.") && !getenv("P11_KEEP")) nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void token_make(CK_SLOT_ID slot, const char *label)
{
    CK_UTF8CHAR padded[32];
    CK_SESSION_HANDLE session;

    memset(padded, ' ', sizeof padded);
    memcpy(padded, label, strlen(label));
    /* That of NSS is there, without an SO PIN, as soon as its folder is. */
    if (p11_kind != NSS) NEED(p11->C_InitToken(slot, (CK_BYTE *)(uintptr_t)SO_PIN, strlen(SO_PIN), padded));
    slot = slot_labelled(label);
    session = open_on(slot, CKF_RW_SESSION);
    NEED(login(session, CKU_SO, p11_kind == NSS ? "" : SO_PIN));
    NEED(p11->C_InitPIN(session, (CK_BYTE *)(uintptr_t)USER_PIN, strlen(USER_PIN)));
    NEED(p11->C_CloseSession(session));
}

/* ---- everyday steps ---- */

void start(void)
{
    /* NSS looks for its settings where pReserved is, and for pReserved after it. */
    struct {
        CK_C_INITIALIZE_ARGS standard;
        void *reserved;
    } args = { { .flags = CKF_OS_LOCKING_OK, .pReserved = p11_kind == NSS ? nss_settings : NULL }, NULL };

    NEED(p11->C_Initialize((void *)&args));
}

void stop(void)
{
    NEED(p11->C_Finalize(NULL));
}

CK_SLOT_ID slot_at(size_t index)
{
    CK_SLOT_ID slots[32];
    CK_ULONG count = COUNT(slots);

    NEED(p11->C_GetSlotList(CK_TRUE, slots, &count));
    if (index >= count) die_at(__FILE__, __LINE__, "slot %zu of %lu", index, count);
    return slots[index];
}

CK_SLOT_ID slot_blank(void)
{
    CK_TOKEN_INFO info;
    size_t i = 0;

    if (p11_kind == NSS) return slot_labelled(TOKEN_LABEL);
    do {
        NEED(p11->C_GetTokenInfo(slot_at(i), &info));
    } while (info.flags & CKF_TOKEN_INITIALIZED && ++i);
    return slot_at(i);
}

CK_SLOT_ID slot_labelled(const char *label)
{
    CK_SLOT_ID slots[32];
    CK_ULONG count = COUNT(slots);
    size_t len = strlen(label);

    NEED(p11->C_GetSlotList(CK_TRUE, slots, &count));
    for (CK_ULONG i = 0; i < count; i++) {
        CK_TOKEN_INFO info;

        NEED(p11->C_GetTokenInfo(slots[i], &info));
        if (memcmp(info.label, label, len) == 0 && (len == 32 || info.label[len] == ' ')) return slots[i];
    }
    die_at(__FILE__, __LINE__, "no token is labelled %s", label);
}

CK_SESSION_HANDLE open_on(CK_SLOT_ID slot, CK_FLAGS more)
{
    CK_SESSION_HANDLE session = 0;

    NEED(p11->C_OpenSession(slot, CKF_SERIAL_SESSION | more, NULL, NULL, &session));
    return session;
}

CK_SESSION_HANDLE open_session(CK_FLAGS more)
{
    return open_on(slot_labelled(TOKEN_LABEL), more);
}

CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE who, const char *pin)
{
    return p11->C_Login(session, who, (CK_BYTE *)(uintptr_t)pin, strlen(pin));
}

CK_SESSION_HANDLE user_session(void)
{
    CK_SESSION_HANDLE session;

    start();
    session = open_session(CKF_RW_SESSION);
    NEED(login(session, CKU_USER, USER_PIN));
    return session;
}

size_t profile_count(void)
{
    return p11_kind == KEYLADDER ? 3 : 0;
}

size_t find_count(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG count)
{
    CK_OBJECT_HANDLE found[64];
    CK_ULONG got = 0;
    size_t all = 0;

    NEED(p11->C_FindObjectsInit(session, template, count));
    do {
        NEED(p11->C_FindObjects(session, found, COUNT(found), &got));
        all += got;
    } while (got);
    NEED(p11->C_FindObjectsFinal(session));
    return all;
}

CK_OBJECT_HANDLE find_one(CK_SESSION_HANDLE session, const char *label)
{
    CK_ATTRIBUTE template[] = { A_TEXT(CKA_LABEL, label) };
    CK_OBJECT_HANDLE found[2] = { 0, 0 };
    CK_ULONG got = 0;

    NEED(p11->C_FindObjectsInit(session, template, 1));
    NEED(p11->C_FindObjects(session, found, 2, &got));
    NEED(p11->C_FindObjectsFinal(session));
    return got == 1 ? found[0] : 0;
}

CK_ULONG flags_template(const char *flags, CK_ATTRIBUTE *out)
{
    static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    static const struct {
        char letter;
        CK_ATTRIBUTE_TYPE type;
    } usages[] = { { 'e', CKA_ENCRYPT }, { 'd', CKA_DECRYPT }, { 'w', CKA_WRAP },      { 'u', CKA_UNWRAP },      { 'D', CKA_DERIVE },
                   { 's', CKA_SIGN },    { 'v', CKA_VERIFY },  { 'S', CKA_SENSITIVE }, { 'X', CKA_EXTRACTABLE }, { 'T', CKA_TOKEN } };
    static const struct {
        char letter;
        CK_ATTRIBUTE_TYPE type;
    } withheld[] = { { 'P', CKA_PRIVATE }, { 'm', CKA_MODIFIABLE }, { 'c', CKA_COPYABLE }, { 'y', CKA_DESTROYABLE } };
    CK_ULONG n = 0;

    for (size_t i = 0; i < COUNT(usages); i++) out[n++] = (CK_ATTRIBUTE){ usages[i].type, strchr(flags, usages[i].letter) ? &yes : &no, 1 };
    for (size_t i = 0; i < COUNT(withheld); i++)
        if (strchr(flags, withheld[i].letter)) out[n++] = (CK_ATTRIBUTE){ withheld[i].type, &no, 1 };
    if (!strchr(flags, 'P')) out[n++] = (CK_ATTRIBUTE){ CKA_PRIVATE, &yes, 1 };
    return n;
}

CK_RV key_try(CK_SESSION_HANDLE session, const char *flags, CK_OBJECT_HANDLE *key)
{
    CK_MECHANISM mech = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_ATTRIBUTE template[20] = { A_ULONG(CKA_VALUE_LEN, 32) };

    return p11->C_GenerateKey(session, &mech, template, 1 + flags_template(flags, template + 1), key);
}

CK_OBJECT_HANDLE key_make(CK_SESSION_HANDLE session, const char *flags)
{
    CK_OBJECT_HANDLE key = 0;
    CK_RV rv = key_try(session, flags, &key);

    if (rv != CKR_OK) die_at(__FILE__, __LINE__, "no key with flags %s: %s", flags, rv_name(rv));
    return key;
}

CK_OBJECT_HANDLE secret_make(CK_SESSION_HANDLE session, const char *flags)
{
    CK_MECHANISM mech = { CKM_GENERIC_SECRET_KEY_GEN, NULL, 0 };
    CK_ATTRIBUTE template[20] = { A_ULONG(CKA_VALUE_LEN, 32) };
    CK_OBJECT_HANDLE key = 0;
    CK_RV rv = p11->C_GenerateKey(session, &mech, template, 1 + flags_template(flags, template + 1), &key);

    if (rv != CKR_OK) die_at(__FILE__, __LINE__, "no generic secret with flags %s: %s", flags, rv_name(rv));
    return key;
}

CK_RV import_try(CK_SESSION_HANDLE session, CK_KEY_TYPE type, const void *value, CK_ULONG len, const char *flags, CK_OBJECT_HANDLE *key)
{
    CK_ATTRIBUTE template[20] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY),
                                  { CKA_KEY_TYPE, &type, sizeof type },
                                  A_BYTES(CKA_VALUE, value, len) };

    return p11->C_CreateObject(session, template, 3 + flags_template(flags, template + 3), key);
}

CK_RV gcm_init(CK_SESSION_HANDLE session, bool encrypt, CK_OBJECT_HANDLE key, const void *iv, CK_ULONG iv_len, const void *aad,
               CK_ULONG aad_len, CK_ULONG tag_bits)
{
    struct t_gcm gcm = { (CK_BYTE *)(uintptr_t)iv, iv_len, iv_len * 8, (CK_BYTE *)(uintptr_t)aad, aad_len, tag_bits };
    CK_MECHANISM mech = { CKM_AES_GCM, &gcm, sizeof gcm };

    return encrypt ? p11->C_EncryptInit(session, &mech, key) : p11->C_DecryptInit(session, &mech, key);
}

size_t seal(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, const void *data, CK_ULONG len, const char *aad, CK_BYTE *out)
{
    CK_ULONG out_len = len + 16;

    if (token_makes_ivs)
        memset(out, 0, 12);
    else
        NEED(p11->C_GenerateRandom(session, out, 12));
    NEED(gcm_init(session, true, key, out, 12, aad, aad ? strlen(aad) : 0, 128));
    NEED(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t)data, len, out + 12, &out_len));
    return 12 + out_len;
}

CK_RV unseal(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, const CK_BYTE *sealed, CK_ULONG len, const char *aad, CK_BYTE *out,
             CK_ULONG *out_len)
{
    CK_RV rv = gcm_init(session, false, key, sealed, 12, aad, aad ? strlen(aad) : 0, 128);

    if (rv != CKR_OK) return rv;
    return p11->C_Decrypt(session, (CK_BYTE *)(uintptr_t)sealed + 12, len - 12, out, out_len);
}

CK_RV hkdf_try(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE base, const void *salt, CK_ULONG salt_len, const void *info, CK_ULONG info_len,
               CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *key)
{
    struct t_hkdf hkdf = { CK_TRUE,
                           CK_TRUE,
                           CKM_SHA256,
                           salt ? CKF_HKDF_SALT_DATA : CKF_HKDF_SALT_NULL,
                           (CK_BYTE *)(uintptr_t)salt,
                           salt_len,
                           0,
                           (CK_BYTE *)(uintptr_t)info,
                           info_len };
    CK_MECHANISM mech = { CKM_HKDF_DERIVE, &hkdf, sizeof hkdf };

    return p11->C_DeriveKey(session, &mech, base, template, count, key);
}

CK_BBOOL get_bool(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type)
{
    CK_BBOOL value = 0x55;
    CK_ATTRIBUTE attr = { type, &value, sizeof value };
    CK_RV rv = p11->C_GetAttributeValue(session, object, &attr, 1);

    if (rv != CKR_OK) fail_at(__FILE__, __LINE__, "attribute 0x%lx: %s", type, rv_name(rv));
    return value;
}

CK_ULONG get_ulong(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type)
{
    CK_ULONG value = 0x5555;
    CK_ATTRIBUTE attr = { type, &value, sizeof value };
    CK_RV rv = p11->C_GetAttributeValue(session, object, &attr, 1);

    if (rv != CKR_OK) fail_at(__FILE__, __LINE__, "attribute 0x%lx: %s", type, rv_name(rv));
    return value;
}

/* ---- bytes ---- */

uint64_t rng_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

void rng_fill(uint64_t *state, void *out, size_t len)
{
    for (size_t i = 0; i < len; i++) ((CK_BYTE *)out)[i] = (CK_BYTE)rng_next(state);
}

size_t unhex(const char *hex, CK_BYTE *out)
{
    size_t n = 0;

    for (; hex[0] && hex[1] && hex[0] != '\r' && hex[0] != '\n'; hex += 2) {
        char pair[3] = { hex[0], hex[1], 0 };

        out[n++] = (CK_BYTE)strtoul(pair, NULL, 16);
    }
    return n;
}

char *file_read(const char *path, size_t *len)
{
    FILE *file = fopen(path, "r");
    char *text;
    long size;

    if (!file) return NULL;
    fseek(file, 0, SEEK_END);
    size = ftell(file);
    rewind(file);
    text = malloc((size_t)size + 1);
    *len = fread(text, 1, (size_t)size, file);
    text[*len] = 0;
    fclose(file);
    return text;
}

double now_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
