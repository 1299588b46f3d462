/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What every probe does on its way; see interop.h. */
#include "interop.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

struct target target;
CK_SLOT_ID token_slot;
struct report *report;
/* A child of the probe must not end what is its parent's. */
static pid_t probe_process;
static bool is_initialized, is_claimed;

/* ---- answers ---- */

void stage(const char *call)
{
    /* Two threads may write at once: whichever is read, it is one of theirs. */
    strncpy(report->stage, call, STAGE - 1);
}

const char *code(CK_RV rv)
{
    static __thread char text[64];
    const char *name = rv_name(rv);

    if (name[0] == '0')
        snprintf(text, sizeof text, "%s", name);
    else
        snprintf(text, sizeof text, "0x%lx %s", rv, name);
    return text;
}

/* A token that lives in a device would go on holding what this process leaves open. */
static void conclude(enum answer answer, const char *format, va_list list) __attribute__((noreturn, format(printf, 2, 0)));
static void conclude(enum answer answer, const char *format, va_list list)
{
    enum answer none = NONE;

    if (__atomic_compare_exchange_n(&report->answer, &none, answer, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        vsnprintf(report->words, WORDS, format, list);
    if (is_initialized && getpid() == probe_process) p11->C_Finalize(NULL);
    _exit(0);
}

void say_no(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    conclude(NO, format, list);
}

void say_wrong(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    conclude(WRONG, format, list);
}

void say_untried(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    conclude(UNTRIED, format, list);
}

void must_ok(const char *call, CK_RV rv)
{
    if (rv == CKR_OK) return;
    if (rv == CKR_FUNCTION_NOT_SUPPORTED || (rv == CKR_MECHANISM_INVALID && !is_claimed)) say_no("%s: %s", call, code(rv));
    if (rv == CKR_MECHANISM_INVALID) say_wrong("listed, but %s: %s", call, code(rv));
    say_wrong("%s: %s", call, code(rv));
}

void must_be(const char *what, CK_RV rv, const CK_RV *want, size_t count)
{
    char wanted[160] = "";

    for (size_t i = 0; i < count; i++) {
        if (rv == want[i]) return;
        snprintf(wanted + strlen(wanted), sizeof wanted - strlen(wanted), "%s%s", i > 0 ? " or " : "", rv_name(want[i]));
    }
    if (rv == CKR_FUNCTION_NOT_SUPPORTED) say_no("%s: %s", what, code(rv));
    say_wrong("%s: %s, not %s", what, code(rv), wanted);
}

void must_fail(const char *what, CK_RV rv)
{
    if (rv == CKR_OK) say_wrong("%s: accepted", what);
}

void may_refuse(const char *call, CK_RV rv)
{
    static const CK_RV refusals[] = { CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_VALUE_INVALID,    CKR_ATTRIBUTE_TYPE_INVALID,
                                      CKR_ACTION_PROHIBITED,     CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_KEY_NOT_WRAPPABLE,
                                      CKR_KEY_UNEXTRACTABLE,     CKR_KEY_TYPE_INCONSISTENT,      CKR_WRAPPING_KEY_TYPE_INCONSISTENT,
                                      CKR_ATTRIBUTE_READ_ONLY };

    for (size_t i = 0; i < COUNT(refusals); i++)
        if (rv == refusals[i]) say_no("%s: %s", call, code(rv));
    must_ok(call, rv);
}

void must_equal(const char *what, const void *got, size_t got_len, const void *want, size_t want_len)
{
    if (got_len != want_len) say_wrong("%s: %zu bytes, not %zu", what, got_len, want_len);
    if (memcmp(got, want, want_len) != 0) say_wrong("%s: other bytes than it must be", what);
}

void must_equal_hex(const char *what, const void *got, size_t got_len, const char *want)
{
    struct bytes bytes = from_hex(want);

    must_equal(what, got, got_len, bytes.data, bytes.len);
}

/* ---- the way there ---- */

void interop_load(void)
{
    const char *path = getenv("P11_MODULE");
    CK_RV (*get)(CK_FUNCTION_LIST **);

    probe_process = getpid();
    stage("dlopen");
    p11_handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (p11_handle == NULL) say_wrong("%s", dlerror());
    *(void **)&get = dlsym(p11_handle, "C_GetFunctionList");
    if (get == NULL) say_wrong("%s has no C_GetFunctionList", path);
    stage("C_GetFunctionList");
    must_ok("C_GetFunctionList", get(&p11));
    stage("");
}

CK_RV initialize_as(bool is_null, CK_FLAGS flags)
{
    /* NSS looks for its settings where pReserved is, and for pReserved after it. */
    struct {
        CK_C_INITIALIZE_ARGS standard;
        void *reserved;
    } args = { { .flags = flags, .pReserved = (void *)(uintptr_t)target.init }, NULL };
    CK_RV rv;

    if (is_null && target.init != NULL) say_untried("it must be given args=");
    rv = CALL(C_Initialize, is_null ? NULL : (void *)&args);
    if (rv == CKR_OK) is_initialized = true;
    return rv;
}

static bool is_labelled(const CK_TOKEN_INFO *info)
{
    CK_UTF8CHAR padded[32];

    if (target.label == NULL) return (info->flags & CKF_TOKEN_INITIALIZED) != 0;
    memset(padded, ' ', sizeof padded);
    memcpy(padded, target.label, strnlen(target.label, sizeof padded));
    return memcmp(info->label, padded, sizeof padded) == 0;
}

static void find_token(void)
{
    CK_SLOT_ID slots[64];
    CK_ULONG count = COUNT(slots);
    CK_TOKEN_INFO info;

    MUST(C_GetSlotList, CK_TRUE, slots, &count);
    for (CK_ULONG i = 0; i < count; i++) {
        token_slot = slots[i];
        if (CALL(C_GetTokenInfo, slots[i], &info) == CKR_OK && is_labelled(&info)) return;
    }
    say_wrong("there is no token %s%s", target.label == NULL ? "that is ready" : "named ", target.label == NULL ? "" : target.label);
}

void initialize(void)
{
    must_ok("C_Initialize", initialize_as(false, CKF_OS_LOCKING_OK));
    find_token();
}

void finalize(void)
{
    is_initialized = false;
    MUST(C_Finalize, NULL);
    stage("");
}

CK_SESSION_HANDLE session_new(CK_FLAGS more)
{
    CK_SESSION_HANDLE session = 0;

    MUST(C_OpenSession, token_slot, CKF_SERIAL_SESSION | more, NULL, NULL, &session);
    return session;
}

CK_RV log_in_as(CK_SESSION_HANDLE session, const char *pin)
{
    return CALL(C_Login, session, CKU_USER, (CK_UTF8CHAR *)(uintptr_t)pin, strlen(pin));
}

void log_in(CK_SESSION_HANDLE session)
{
    if (target.pin != NULL) MUST_BE("C_Login", log_in_as(session, target.pin), CKR_OK, CKR_USER_ALREADY_LOGGED_IN);
}

CK_SESSION_HANDLE ready(void)
{
    CK_SESSION_HANDLE session;

    initialize();
    session = session_new(CKF_RW_SESSION);
    log_in(session);
    return session;
}

const char *other_pin(void)
{
    static char other[256];
    size_t len;

    if (target.pin == NULL) say_untried("it needs a PIN");
    len = strlen(target.pin);
    if (len < 2 || len >= sizeof other) say_untried("it needs a PIN of 2 to 255 characters");
    /* The same characters, so that whatever rule the PIN obeys this one does too. */
    memcpy(other, target.pin + 1, len - 1);
    other[len - 1] = target.pin[0];
    if (memcmp(other, target.pin, len) == 0) other[0] = other[0] == '7' ? '8' : '7';
    return other;
}

bool is_listed(CK_MECHANISM_TYPE type, CK_FLAGS flags)
{
    CK_MECHANISM_TYPE *list;
    CK_MECHANISM_INFO info = { 0, 0, 0 }; /* SoftHSM adds flags to what is there */
    CK_ULONG count = 0;
    bool found = false;

    MUST(C_GetMechanismList, token_slot, NULL, &count);
    list = calloc(count + 1, sizeof *list);
    if (list == NULL) say_untried("out of memory");
    MUST(C_GetMechanismList, token_slot, list, &count);
    for (CK_ULONG i = 0; i < count; i++) found |= list[i] == type;
    free(list);
    return found && CALL(C_GetMechanismInfo, token_slot, type, &info) == CKR_OK && (info.flags & flags) == flags;
}

void offers(CK_MECHANISM_TYPE type, const char *name, CK_FLAGS flags)
{
    if (!is_listed(type, 0)) say_no("%s is not listed", name);
    if (!is_listed(type, flags)) say_no("%s is listed, but not for this (flags 0x%lx)", name, flags);
    is_claimed = true;
}

void *interface_of(CK_BYTE major, CK_BYTE minor)
{
    t_get_interface get = (t_get_interface)(uintptr_t)p11_sym("C_GetInterface");
    CK_VERSION version = { major, minor };
    struct t_interface *found = NULL;

    stage("C_GetInterface");
    if (get == NULL) say_no("there is no C_GetInterface");
    if (get((CK_CHAR *)(uintptr_t) "PKCS 11", &version, &found, 0) != CKR_OK) say_no("there is no interface %u.%u", major, minor);
    if (found == NULL || found->list == NULL) say_wrong("C_GetInterface: CKR_OK without an interface");
    return found->list;
}

/* ---- keys ---- */

CK_ULONG usage_template(const char *usage, CK_ATTRIBUTE *out)
{
    static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    static const struct {
        char letter;
        CK_ATTRIBUTE_TYPE type;
        CK_BBOOL *value;
    } letters[] = { { 'e', CKA_ENCRYPT, &yes },     { 'd', CKA_DECRYPT, &yes }, { 'w', CKA_WRAP, &yes },    { 'u', CKA_UNWRAP, &yes },
                    { 's', CKA_SIGN, &yes },        { 'v', CKA_VERIFY, &yes },  { 'D', CKA_DERIVE, &yes },  { 'T', CKA_TOKEN, &yes },
                    { 'X', CKA_EXTRACTABLE, &yes }, { 'P', CKA_PRIVATE, &no },  { 'p', CKA_PRIVATE, &yes }, { 'x', CKA_EXTRACTABLE, &no },
                    { 'N', CKA_SENSITIVE, &no } };
    CK_ULONG n = 0;

    for (size_t i = 0; i < COUNT(letters); i++)
        if (strchr(usage, letters[i].letter)) out[n++] = (CK_ATTRIBUTE){ letters[i].type, letters[i].value, sizeof(CK_BBOOL) };
    if (strchr(usage, 'T'))
        report->made = true;
    else
        out[n++] = (CK_ATTRIBUTE){ CKA_TOKEN, &no, sizeof no };
    /* What is said of a key that does not leave is said of all of them. */
    if (!strchr(usage, 'N')) out[n++] = (CK_ATTRIBUTE){ CKA_SENSITIVE, &yes, sizeof yes };
    return n;
}

static CK_OBJECT_HANDLE generate(CK_SESSION_HANDLE session, CK_ULONG len, const char *usage, const char *label)
{
    CK_MECHANISM mech = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_ATTRIBUTE template[4 + USAGE_MOST] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY),
                                              A_ULONG(CKA_KEY_TYPE, CKK_AES),
                                              { CKA_VALUE_LEN, &len, sizeof len } };
    CK_ULONG count = 3 + usage_template(usage, template + 3);
    CK_OBJECT_HANDLE key = 0;
    CK_RV rv;

    if (label != NULL) template[count++] = (CK_ATTRIBUTE)A_TEXT(CKA_LABEL, label);
    rv = CALL(C_GenerateKey, session, &mech, template, count, &key);
    if (rv != CKR_OK) say_untried("no AES key to try it with (%s): %s", usage, code(rv));
    return key;
}

CK_OBJECT_HANDLE aes_key(CK_SESSION_HANDLE session, CK_ULONG len, const char *usage)
{
    return generate(session, len, usage, strchr(usage, 'T') ? MARK : NULL);
}

CK_OBJECT_HANDLE labelled_key(CK_SESSION_HANDLE session, const char *usage, const char *label)
{
    return generate(session, 32, usage, label);
}

CK_OBJECT_HANDLE import_hex(CK_SESSION_HANDLE session, CK_KEY_TYPE type, const char *hex, const char *usage)
{
    struct bytes value = from_hex(hex);
    CK_ATTRIBUTE template[3 + USAGE_MOST] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY),
                                              { CKA_KEY_TYPE, &type, sizeof type },
                                              { CKA_VALUE, value.data, value.len } };
    CK_OBJECT_HANDLE key = 0;
    CK_RV rv = CALL(C_CreateObject, session, template, 3 + usage_template(usage, template + 3), &key);

    if (rv != CKR_OK) say_untried("no imported key to try it with (%s): %s", usage, code(rv));
    return key;
}

CK_OBJECT_HANDLE find_labelled(CK_SESSION_HANDLE session, const char *label)
{
    CK_ATTRIBUTE template[] = { A_TEXT(CKA_LABEL, label) };
    CK_OBJECT_HANDLE found[2] = { 0, 0 };
    CK_ULONG got = 0;

    MUST(C_FindObjectsInit, session, template, 1);
    MUST(C_FindObjects, session, found, 2, &got);
    MUST(C_FindObjectsFinal, session);
    return got == 1 ? found[0] : 0;
}

CK_ULONG count_found(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG count)
{
    CK_OBJECT_HANDLE found[64];
    CK_ULONG got = 0;

    MUST(C_FindObjectsInit, session, template, count);
    MUST(C_FindObjects, session, found, COUNT(found), &got);
    MUST(C_FindObjectsFinal, session);
    return got;
}

/* ---- operations on data ---- */

struct bytes from_hex(const char *hex)
{
    struct bytes bytes;

    bytes.len = unhex(hex, bytes.data);
    return bytes;
}

struct bytes encrypted(CK_SESSION_HANDLE session, CK_MECHANISM *mech, CK_OBJECT_HANDLE key, const struct bytes *in)
{
    struct bytes out = { .len = sizeof out.data };

    MUST(C_EncryptInit, session, mech, key);
    MUST(C_Encrypt, session, (CK_BYTE *)(uintptr_t)in->data, in->len, out.data, &out.len);
    return out;
}

CK_RV decrypt_try(CK_SESSION_HANDLE session, CK_MECHANISM *mech, CK_OBJECT_HANDLE key, const struct bytes *in, struct bytes *out)
{
    out->len = sizeof out->data;
    MUST(C_DecryptInit, session, mech, key);
    return CALL(C_Decrypt, session, (CK_BYTE *)(uintptr_t)in->data, in->len, out->data, &out->len);
}

void must_decrypt(CK_SESSION_HANDLE session, CK_MECHANISM *mech, CK_OBJECT_HANDLE key, const struct bytes *in, const struct bytes *want)
{
    struct bytes out;

    must_ok("C_Decrypt", decrypt_try(session, mech, key, in, &out));
    must_equal("C_Decrypt", out.data, out.len, want->data, want->len);
}

void must_encrypt_by_default(CK_SESSION_HANDLE session, CK_MECHANISM *mech, CK_OBJECT_HANDLE key)
{
    CK_BYTE data[16] = { 0 }, out[64];
    CK_ULONG len = sizeof out;
    CK_RV rv = CALL(C_EncryptInit, session, mech, key);

    if (rv == CKR_KEY_FUNCTION_NOT_PERMITTED) say_no("C_EncryptInit: %s", code(rv));
    must_ok("C_EncryptInit", rv);
    MUST(C_Encrypt, session, data, sizeof data, out, &len);
}

void round_trip(CK_SESSION_HANDLE session, CK_MECHANISM *mech, CK_OBJECT_HANDLE key)
{
    struct bytes plain = { .len = 64 }, cipher;

    memset(plain.data, 'p', plain.len);
    cipher = encrypted(session, mech, key, &plain);
    if (cipher.len >= plain.len && memcmp(cipher.data, plain.data, plain.len) == 0) say_wrong("C_Encrypt: the plaintext came out");
    must_decrypt(session, mech, key, &cipher, &plain);
}

void vector(CK_SESSION_HANDLE session, CK_MECHANISM *mech, CK_OBJECT_HANDLE key, const char *plain, const char *cipher)
{
    struct bytes in = from_hex(plain), want = from_hex(cipher), out = encrypted(session, mech, key, &in);

    must_equal("C_Encrypt", out.data, out.len, want.data, want.len);
    must_decrypt(session, mech, key, &want, &in);
}

void guarded_init(struct guarded *room, CK_ULONG lent)
{
    memset(room->data, 0xa5, sizeof room->data);
    room->lent = lent;
}

void guarded_check(const struct guarded *room, const char *call)
{
    for (size_t i = room->lent; i < sizeof room->data; i++)
        if (room->data[i] != 0xa5) say_wrong("%s: wrote behind a buffer of %lu bytes", call, room->lent);
}

/* ---- other processes, and threads ---- */

void in_child(void (*run)(void *), void *arg)
{
    int status = 0;
    pid_t pid = fork();

    if (pid < 0) say_untried("no other process");
    if (pid == 0) {
        run(arg);
        _exit(0);
    }
    while (waitpid(pid, &status, 0) != pid) continue;
    if (WIFSIGNALED(status)) say_wrong("another process crashed by signal %d in %s", WTERMSIG(status), report->stage);
    if (WEXITSTATUS(status) != 0) say_wrong("another process ended with status %d in %s", WEXITSTATUS(status), report->stage);
    /* It told the answer itself. */
    if (report->answer != NONE) say_wrong("unheard");
}

struct worker {
    pthread_t thread;
    unsigned number;
    void (*run)(unsigned number);
};

static void *work(void *arg)
{
    const struct worker *worker = arg;

    worker->run(worker->number);
    return NULL;
}

void in_threads(unsigned count, void (*run)(unsigned number))
{
    struct worker workers[8];

    for (unsigned i = 0; i < count; i++) {
        workers[i].number = i;
        workers[i].run = run;
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) say_untried("no thread");
    }
    for (unsigned i = 0; i < count; i++) pthread_join(workers[i].thread, NULL);
}

/* ---- cleaning up ---- */

/* A probe that changed the PIN may not have come to changing it back. */
static bool restore_pin(CK_SESSION_HANDLE session)
{
    CK_UTF8CHAR *now = (CK_UTF8CHAR *)(uintptr_t)other_pin(), *then = (CK_UTF8CHAR *)(uintptr_t)target.pin;

    return log_in_as(session, other_pin()) == CKR_OK &&
           CALL(C_SetPIN, session, now, strlen(target.pin), then, strlen(target.pin)) == CKR_OK;
}

static bool is_marked(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
    CK_BYTE label[256];
    CK_ATTRIBUTE attr = { CKA_LABEL, label, sizeof label };

    return CALL(C_GetAttributeValue, session, object, &attr, 1) == CKR_OK && attr.ulValueLen <= sizeof label &&
           memmem(label, attr.ulValueLen, MARK, strlen(MARK)) != NULL;
}

static CK_ULONG token_objects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *found, CK_ULONG most)
{
    CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_TRUE) };
    CK_ULONG got = 0;

    MUST(C_FindObjectsInit, session, template, 1);
    MUST(C_FindObjects, session, found, most, &got);
    MUST(C_FindObjectsFinal, session);
    return got;
}

CK_ULONG sweep(void)
{
    static CK_OBJECT_HANDLE found[65536];
    CK_SESSION_HANDLE session;
    CK_ULONG count;

    initialize();
    session = session_new(CKF_RW_SESSION);
    if (target.pin != NULL && log_in_as(session, target.pin) == CKR_PIN_INCORRECT && !restore_pin(session))
        say_wrong("the token's PIN is not right any more");
    count = token_objects(session, found, COUNT(found));
    for (CK_ULONG i = 0; i < count; i++)
        if (is_marked(session, found[i])) CALL(C_DestroyObject, session, found[i]);
    /* Counted anew: what says that it is destroyed may be there. */
    count = token_objects(session, found, COUNT(found));
    finalize();
    return count;
}
