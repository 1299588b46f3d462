/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The second half of P: what the module is within a process. */
#include "attacks.h"

#include <ctype.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- P5 ---- */

int set_user_program(const char *module)
{
    void *handle = dlopen(module, RTLD_NOW | RTLD_LOCAL);
    CK_RV (*get)(CK_FUNCTION_LIST **);
    CK_FUNCTION_LIST *list;
    CK_ULONG count = 0;

    if (!handle) return 100;
    *(void **)&get = dlsym(handle, "C_GetFunctionList");
    if (get(&list) != CKR_OK || list->C_Initialize(NULL) != CKR_OK) return 101;
    if (list->C_GetSlotList(CK_TRUE, NULL, &count) != CKR_OK) return 102;
    for (CK_ULONG slot = 0; slot < count; slot++) {
        CK_TOKEN_INFO info;

        list->C_GetTokenInfo(slot, &info);
    }
    return list->C_Finalize(NULL) == CKR_OK ? (int)count : 103;
}

static void write_to(const char *dir, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void write_to(const char *dir, const char *name, const char *format, ...)
{
    char path[4300];
    FILE *file;
    va_list list;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    file = fopen(path, "w");
    if (!file) die_at(__FILE__, __LINE__, "%s: %s", path, strerror(errno));
    va_start(list, format);
    vfprintf(file, format, list);
    va_end(list);
    fclose(file);
    chmod(path, 0644);
}

/* A folder with a configuration that offers a slot, and everything else that an environment can point at. */
static void make_hostile(const char *dir)
{
    static const char token[] = "[log]\ntarget = file:%s/log\nlevel = debug\n[token \"evil\"]\nstore = sqlite:%s/evil.db\nroots = local\n"
                                "[root \"local\"]\ntype = local\npassphrase = file:%s/passphrase\n";
    char path[4300];

    mkdir(dir, 0755);
    snprintf(path, sizeof path, "%s/keyladder", dir);
    mkdir(path, 0755);
    write_to(dir, "keyladder.conf", token, dir, dir, dir);
    write_to(path, "keyladder.conf", token, dir, dir, dir);
    write_to(dir, "openssl.cnf", "openssl_conf = init\n[init]\nproviders = p\n[p]\nevil = e\n[e]\nactivate = 1\nmodule = %s/evil.so\n",
             dir);
    write_to(dir, "ca.pem", "not a certificate\n");
    write_to(dir, "passphrase", "correct horse battery staple\n");
}

static void point_at(const char *dir)
{
    static const struct {
        const char *name, *file;
    } variables[] = { { "KEYLADDER_CONF", "/keyladder.conf" },
                      { "XDG_CONFIG_HOME", "" },
                      { "HOME", "" },
                      { "OPENSSL_CONF", "/openssl.cnf" },
                      { "OPENSSL_MODULES", "" },
                      { "SSL_CERT_FILE", "/ca.pem" },
                      { "SSL_CERT_DIR", "" },
                      { "CURL_CA_BUNDLE", "/ca.pem" },
                      { "AWS_CONFIG_FILE", "/ca.pem" },
                      { "AWS_SHARED_CREDENTIALS_FILE", "/ca.pem" },
                      { "GOOGLE_APPLICATION_CREDENTIALS", "/ca.pem" },
                      { "TMPDIR", "" } };
    char path[4300];

    for (size_t i = 0; i < COUNT(variables); i++) {
        snprintf(path, sizeof path, "%s%s", dir, variables[i].file);
        setenv(variables[i].name, path, 1);
    }
    setenv("https_proxy", "http://127.0.0.1:9", 1);
    setenv("VAULT_ADDR", "http://127.0.0.1:9", 1);
    setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9", 1);
}

/* How many files below the hostile folder were opened or made while the program ran; *status is its own. */
static unsigned run_hostile(const char *program, const char *dir, bool as_nobody, int *status)
{
    int watch = inotify_init1(IN_NONBLOCK);
    char path[4300], events[8192];
    unsigned opened = 0;
    pid_t pid;

    snprintf(path, sizeof path, "%s/keyladder", dir);
    if (watch < 0 || inotify_add_watch(watch, dir, IN_OPEN | IN_CREATE) < 0 || inotify_add_watch(watch, path, IN_OPEN | IN_CREATE) < 0)
        die_at(__FILE__, __LINE__, "inotify: %s", strerror(errno));
    pid = fork();
    if (pid == 0) {
        char *module = realpath(getenv("P11_MODULE"), NULL);

        if (as_nobody && (setgid(65534) || setuid(65534))) _exit(110);
        point_at(dir);
        execl(program, program, SET_USER, module, (char *)NULL);
        _exit(111);
    }
    waitpid(pid, status, 0);
    for (ssize_t got; (got = read(watch, events, sizeof events)) > 0;) {
        for (char *at = events; at < events + got;) {
            struct inotify_event event;

            memcpy(&event, at, sizeof event);
            at += sizeof event;
            /* The thread sanitizer's own runtime mirrors what is read-only in TMPDIR. */
            opened += !(event.mask & IN_ISDIR) && !(event.len && strncmp(at, "tsan.rodata.", 12) == 0);
            at += event.len;
        }
    }
    close(watch);
    return opened;
}

CASE(A_P5_set_user_environment)
{
    char dir[4200], program[4200];
    int status = 0;
    unsigned opened;

    if (geteuid() != 0) skip("a setuid program can only be made by root");
    snprintf(dir, sizeof dir, "%s/hostile", sandbox_dir);
    snprintf(program, sizeof program, "%s/set-user", sandbox_dir);
    make_hostile(dir);
    shell("cp /proc/%d/exe set-user && chown root set-user && chmod 4755 set-user && chmod 0711 .", (int)getpid());
    /* The environment is one that would be obeyed. */
    opened = run_hostile(program, dir, false, &status);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    CHECK(opened > 0);
    opened = run_hostile(program, dir, true, &status);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_at(__FILE__, __LINE__, "the setuid program ended with status %x", (unsigned)status);
    if (opened) fail_at(__FILE__, __LINE__, "%u files of the caller's were opened", opened);
}

/* ---- P6, P7: where secrets lie ---- */

/* Kept masked, so that what searches does not find itself. */
struct needle {
    const char *what;
    CK_BYTE masked[32];
    size_t len;
};
enum { MASK = 0xa5 };

static struct needle hide(const char *what, CK_BYTE *secret, size_t len)
{
    struct needle needle = { .what = what, .len = len };

    for (size_t i = 0; i < len; i++) needle.masked[i] = secret[i] ^ MASK;
    explicit_bzero(secret, len);
    return needle;
}

static const CK_BYTE *search(const struct needle *needle, const CK_BYTE *data, size_t len)
{
    const CK_BYTE *end = data + len;

    while ((size_t)(end - data) >= needle->len && (data = memchr(data, needle->masked[0] ^ MASK, (size_t)(end - data)))) {
        size_t i = 0;

        while (i < needle->len && data + i < end && (data[i] ^ MASK) == needle->masked[i]) i++;
        if (i == needle->len) return data;
        data++;
    }
    return NULL;
}

/* Occurrences in this process's memory: in pages that a core would have, and in those that it leaves out. */
struct found {
    unsigned dumped, withheld;
};

static void search_range(const struct needle *needle, int memory, const unsigned long range[2], unsigned *count)
{
    static CK_BYTE part[1 << 20];
    ssize_t got = 0;

    /* Parts overlap, so that nothing hides on a seam. */
    for (unsigned long at = range[0]; at < range[1]; at += (unsigned long)got - (needle->len - 1)) {
        got = pread(memory, part, range[1] - at < sizeof part ? range[1] - at : sizeof part, (off_t)at);
        if (got <= 0) break;
        for (const CK_BYTE *hit = part; (hit = search(needle, hit, (size_t)(part + got - hit))); hit++) ++*count;
        if (at + (unsigned long)got >= range[1]) break;
    }
    explicit_bzero(part, sizeof part);
}

static struct found search_memory(const struct needle *needle)
{
    FILE *maps = fopen("/proc/self/smaps", "r");
    int memory = open("/proc/self/mem", O_RDONLY);
    struct found found = { 0, 0 };
    unsigned long range[2] = { 0, 0 };
    char line[512], access[8] = "";

    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        char rights[8];

        if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) == 3) {
            range[0] = from;
            range[1] = to;
            memcpy(access, rights, sizeof access);
        }
        /* A sanitizer's shadow is terabytes wide, and its own business. */
        if (is_sanitized() && range[1] - range[0] > 64UL << 20) continue;
        if (strncmp(line, "VmFlags:", 8) == 0 && access[0] == 'r')
            search_range(needle, memory, range, strstr(line, " dd") ? &found.withheld : &found.dumped);
    }
    fclose(maps);
    close(memory);
    return found;
}

enum { NEEDLES = 2 };

/* A process with keys loaded and used; what it must not show is a key of ours and a PIN nobody has written down. */
static CK_SESSION_HANDLE with_secrets(struct needle needles[NEEDLES], CK_OBJECT_HANDLE *key)
{
    uint64_t state = (uint64_t)getpid() * 2654435761u;
    CK_BYTE value[32], pin[20], iv[12], out[64];
    CK_ULONG len = sizeof out;
    CK_SESSION_HANDLE session = user_session();

    for (size_t i = 0; i < sizeof pin; i++) pin[i] = (CK_BYTE)('a' + rng_next(&state) % 26);
    NEED(p11->C_SetPIN(session, (CK_BYTE *)(uintptr_t)USER_PIN, strlen(USER_PIN), pin, sizeof pin));
    NEED(p11->C_Logout(session));
    NEED(p11->C_Login(session, CKU_USER, pin, sizeof pin));
    needles[1] = hide("the PIN", pin, sizeof pin);
    rng_fill(&state, value, sizeof value);
    NEED(import_as(CKK_AES, session, "K", "edS", value, sizeof value));
    needles[0] = hide("the key", value, sizeof value);
    ladder_grow(session);
    *key = named(session, "K");
    NEED(gcm_seal(session, *key, iv, "a plaintext secret", 18, out, &len));
    seal(session, ladder_find(session).rek, "a plaintext secret", 18, NULL, out);
    explicit_bzero(&state, sizeof state);
    return session;
}

static void search_core(const struct needle needles[NEEDLES])
{
    DIR *dir = opendir(sandbox_dir);
    bool any = false;

    for (struct dirent *entry; (entry = readdir(dir));) {
        char path[4500];
        size_t len = 0;
        char *core;

        if (strncmp(entry->d_name, "core", 4)) continue;
        snprintf(path, sizeof path, "%s/%s", sandbox_dir, entry->d_name);
        core = file_read(path, &len);
        any = core && len > 10000;
        for (size_t i = 0; core && i < NEEDLES; i++)
            if (search(&needles[i], (CK_BYTE *)core, len)) fail_at(__FILE__, __LINE__, "%s is in the core", needles[i].what);
        free(core);
    }
    closedir(dir);
    if (!any) printf("    no core was written to a file: only the pages that it would have had were searched\n");
}

CASE(A_P6_core_dump)
{
    struct needle needles[NEEDLES];
    struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
    CK_OBJECT_HANDLE key = 0;
    int carry[2], status;
    pid_t pid;

    if (pipe(carry)) die_at(__FILE__, __LINE__, "pipe");
    pid = fork();
    if (pid == 0) {
        with_secrets(needles, &key);
        for (size_t i = 0; i < NEEDLES; i++) {
            struct found found = search_memory(&needles[i]);

            if (found.dumped) fail_at(__FILE__, __LINE__, "%s lies %u times in pages that a core has", needles[i].what, found.dumped);
            /* It does lie somewhere, or the search is blind. */
            if (i == 0) CHECK(found.withheld > 0);
        }
        if (write(carry[1], needles, sizeof needles) != sizeof needles || chdir(sandbox_dir) || failures) _exit(1);
        fflush(stdout);
        if (is_sanitized() || setrlimit(RLIMIT_CORE, &unlimited)) _exit(0);
        abort();
    }
    waitpid(pid, &status, 0);
    CHECK(WIFSIGNALED(status) ? WTERMSIG(status) == SIGABRT : status == 0);
    if (read(carry[0], needles, sizeof needles) == sizeof needles && WIFSIGNALED(status)) search_core(needles);
}

CASE(A_P7_swap_and_fork)
{
    struct needle needles[NEEDLES];
    CK_OBJECT_HANDLE key = 0;
    CK_SESSION_HANDLE session = with_secrets(needles, &key);
    FILE *maps = fopen("/proc/self/smaps", "r");
    char line[512];
    unsigned wiped = 0, unlocked = 0;
    int status;
    pid_t pid;
    CK_BYTE iv[12], out[64];
    CK_ULONG len = sizeof out;

    /* What is wiped at fork is also locked and not dumped; the page that only notices the fork has no secret, and is dumped. */
    while (fgets(line, sizeof line, maps)) {
        if (strncmp(line, "VmFlags:", 8) || !strstr(line, " rd") || !strstr(line, " wf") || !strstr(line, " dd")) continue;
        wiped++;
        unlocked += strstr(line, " lo") == NULL;
    }
    fclose(maps);
    CHECK(wiped > 0);
    if (!is_sanitized()) CHECK(unlocked == 0);
    CHECK(search_memory(&needles[0]).withheld > 0);
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        failures = 0;
        for (size_t i = 0; i < NEEDLES; i++) {
            struct found found = search_memory(&needles[i]);

            if (found.dumped + found.withheld) fail_at(__FILE__, __LINE__, "the child has %s", needles[i].what);
        }
        EXPECT(gcm_seal(session, key, iv, "x", 1, out, &len), CKR_CRYPTOKI_NOT_INITIALIZED);
        fflush(stdout);
        _exit(failures != 0);
    }
    waitpid(pid, &status, 0);
    if (status) fail_at(__FILE__, __LINE__, "the child ended with status %x", (unsigned)status);
    EXPECT(gcm_seal(session, key, iv, "x", 1, out, &len), CKR_OK);
}

static unsigned thread_count(void)
{
    DIR *dir = opendir("/proc/self/task");
    unsigned n = 0;

    for (struct dirent *entry; (entry = readdir(dir));) n += isdigit((unsigned char)entry->d_name[0]) != 0;
    closedir(dir);
    return n;
}

static void ended_well(pid_t pid, const char *who)
{
    double until = now_seconds() + 20;
    int status = 0;

    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (now_seconds() > until) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            fail_at(__FILE__, __LINE__, "%s hung", who);
            return;
        }
        usleep(1000);
    }
    if (status) fail_at(__FILE__, __LINE__, "%s ended with status %x", who, (unsigned)status);
}

/* Both leave by exit(), with every atexit handler. A sanitizer's own would tell of what was abandoned. */
static void unload(void)
{
    struct needle needles[NEEDLES];
    CK_OBJECT_HANDLE key = 0;
    pid_t pid;

    with_secrets(needles, &key);
    dlclose(p11_handle);
    if (thread_count() != 1) _exit(2);
    pid = fork();
    if (pid == 0) {
        struct found found = search_memory(&needles[0]);

        if (found.dumped + found.withheld || thread_count() != 1) _exit(3);
        exit(0);
    }
    ended_well(pid, "the child of the unloaded");
    if (search_memory(&needles[0]).dumped) _exit(4);
    exit(failures != 0);
}

CASE(A_P8_unload)
{
    pid_t pid;

    if (is_sanitized()) return;
    fflush(stdout);
    pid = fork();
    if (pid == 0) unload();
    ended_well(pid, "the unloaded");
}

/* ---- P9 ---- */

struct busy {
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;
    atomic_ulong rounds;
    CK_RV last;
};

static void *encrypt_on(void *arg)
{
    struct busy *busy = arg;
    CK_BYTE iv[12] = { 0 }, out[64];

    for (uint32_t i = 1; busy->last == CKR_OK; i++) {
        CK_ULONG len = sizeof out;

        memset(iv, 0, 12);
        if (!token_makes_ivs) memcpy(iv, &busy->session, 8);
        if (!token_makes_ivs) memcpy(iv + 8, &i, 4);
        busy->last = gcm_init(busy->session, true, busy->key, iv, 12, NULL, 0, 128);
        if (busy->last == CKR_OK) busy->last = p11->C_Encrypt(busy->session, out, 16, out, &len);
        busy->rounds++;
    }
    return NULL;
}

static void *wait_for_slot(void *arg)
{
    CK_SLOT_ID slot;

    *(CK_RV *)arg = p11->C_WaitForSlotEvent(0, &slot, NULL);
    return NULL;
}

CASE(A_P9_finalize_in_use)
{
    enum { THREADS = 8 };
    struct busy busy[THREADS];
    pthread_t threads[THREADS + 1];
    CK_RV waited = CKR_OK;
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key;

    make(session, "K", "edS");
    session = settle(session);
    key = named(session, "K");
    pthread_create(&threads[THREADS], NULL, wait_for_slot, &waited);
    for (size_t i = 0; i < THREADS; i++) {
        busy[i] = (struct busy){ .session = open_session(0), .key = key };
        pthread_create(&threads[i], NULL, encrypt_on, &busy[i]);
    }
    for (size_t i = 0; i < THREADS; i++)
        while (busy[i].rounds < 10) usleep(100);
    NEED(p11->C_Finalize(NULL));
    for (size_t i = 0; i <= THREADS; i++) pthread_join(threads[i], NULL);
    for (size_t i = 0; i < THREADS; i++) EXPECT(busy[i].last, CKR_CRYPTOKI_NOT_INITIALIZED);
    EXPECT(waited, CKR_CRYPTOKI_NOT_INITIALIZED, CKR_FUNCTION_NOT_SUPPORTED);
    session = user_session();
}

/* ---- P10 ---- */

static unsigned created, locked;

static CK_RV mutex_create(void **mutex)
{
    *mutex = malloc(sizeof(pthread_mutex_t));
    created++;
    return pthread_mutex_init(*mutex, NULL) ? CKR_HOST_MEMORY : CKR_OK;
}
static CK_RV mutex_destroy(void *mutex)
{
    pthread_mutex_destroy(mutex);
    free(mutex);
    created--;
    return CKR_OK;
}
static CK_RV mutex_lock(void *mutex)
{
    locked++;
    return pthread_mutex_lock(mutex) ? CKR_MUTEX_BAD : CKR_OK;
}
static CK_RV mutex_unlock(void *mutex)
{
    return pthread_mutex_unlock(mutex) ? CKR_MUTEX_NOT_LOCKED : CKR_OK;
}

CASE(A_P10_mutex_callbacks)
{
    CK_C_INITIALIZE_ARGS all = { mutex_create, mutex_destroy, mutex_lock, mutex_unlock, 0, NULL };
    CK_RV rv;

    for (unsigned given = 1; given < 15; given++) {
        for (CK_FLAGS flags = 0; flags <= CKF_OS_LOCKING_OK; flags += CKF_OS_LOCKING_OK) {
            CK_C_INITIALIZE_ARGS some = { given & 1 ? mutex_create : NULL,
                                          given & 2 ? mutex_destroy : NULL,
                                          given & 4 ? mutex_lock : NULL,
                                          given & 8 ? mutex_unlock : NULL,
                                          flags,
                                          NULL };

            EXPECT(p11->C_Initialize(&some), CKR_ARGUMENTS_BAD);
            EXPECT(p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
        }
    }
    rv = p11->C_Initialize(&all);
    EXPECT(rv, CKR_OK, CKR_CANT_LOCK);
    if (rv == CKR_OK) {
        key_make(open_session(CKF_RW_SESSION), "edSP");
        stop();
        CHECK(created == 0 && locked > 0);
    } else {
        CHECK(created == 0 && locked == 0);
        EXPECT(p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
    }
}

/* ---- P11, P12: the log ---- */

static char *the_log(size_t *len)
{
    char path[4200];
    char *text;

    snprintf(path, sizeof path, "%s/log", sandbox_dir);
    text = file_read(path, len);
    if (!text) die_at(__FILE__, __LINE__, "nothing was logged");
    return text;
}

/* As it is, in hexadecimal and in base64 (of a start on a boundary). */
static void not_in(const char *text, size_t len, const char *what, const CK_BYTE *secret, size_t secret_len)
{
    static const char digits[2][17] = { "0123456789abcdef", "0123456789ABCDEF" };
    static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char form[256];
    size_t n = 0;

    if (memmem(text, len, secret, secret_len)) fail_at(__FILE__, __LINE__, "%s is in the log", what);
    for (int upper = 0; upper < 2; upper++) {
        for (size_t i = 0; i < secret_len; i++) {
            form[2 * i] = digits[upper][secret[i] >> 4];
            form[2 * i + 1] = digits[upper][secret[i] & 15];
        }
        if (memmem(text, len, form, 2 * secret_len)) fail_at(__FILE__, __LINE__, "%s is in the log in hexadecimal", what);
    }
    for (size_t i = 0; i + 3 <= secret_len; i += 3) {
        unsigned bits = (unsigned)secret[i] << 16 | (unsigned)secret[i + 1] << 8 | secret[i + 2];

        for (int k = 3; k >= 0; k--) form[n++] = base64[bits >> 6 * k & 63];
    }
    if (memmem(text, len, form, n)) fail_at(__FILE__, __LINE__, "%s is in the log in base64", what);
}

/* Every test of both programs has its log searched for what all of them use; this one for what only it knows. */
CASE(A_P11_secrets_in_logs)
{
    static const CK_BYTE value[33] = "a key whose bytes nobody may see", plain[] = "a plaintext secret, nobody's own";
    CK_BYTE iv[12] = "the IV used.", out[100], back[100], random[32], data[64], words[4096];
    CK_ULONG len = sizeof out, back_len = sizeof back;
    CK_MECHANISM hmac = { CKM_SHA256_HMAC, NULL, 0 }, digest = { CKM_SHA256, NULL, 0 };
    CK_SESSION_HANDLE session = user_session();
    struct blob blob;
    CK_OBJECT_HANDLE key = 0;
    size_t log_len, words_len;
    char *text;

    NEED(import_as(CKK_AES, session, "K", "edS", value, 32));
    NEED(import_as(CKK_GENERIC_SECRET, session, "mac", "svS", value, 32));
    NEED(import_as(CKK_GENERIC_SECRET, session, "base", "DS", value, 32));
    make(session, "wrapper", "wuS");
    ladder_grow(session);
    session = settle(session);
    if (token_makes_ivs) fresh_iv(iv);
    NEED(gcm_init(session, true, named(session, "K"), iv, 12, "some associated data", 20, 128));
    NEED(p11->C_Encrypt(session, (CK_BYTE *)(uintptr_t)plain, 32, out, &len));
    NEED(gcm_init(session, false, named(session, "K"), iv, 12, "some associated data", 20, 128));
    NEED(p11->C_Decrypt(session, out, len, back, &back_len));
    out[0] ^= 1;
    NEED(gcm_init(session, false, named(session, "K"), iv, 12, "some associated data", 20, 128));
    EXPECT(p11->C_Decrypt(session, out, len, back, &back_len), CKR_ENCRYPTED_DATA_INVALID);
    words_len = error_words(words, sizeof words);
    EXPECT(import_as(CKK_AES, session, "bad", "edS", value, 31), CKR_ATTRIBUTE_VALUE_INVALID, CKR_KEY_SIZE_RANGE,
           CKR_TEMPLATE_INCONSISTENT);
    NEED(wrap_try(session, &wrappings[0], named(session, "wrapper"), loose_key(session), &blob));
    blob.bytes[3] ^= 1;
    words_len += error_words(words + words_len, sizeof words - words_len);
    EXPECT(unwrap_aes(session, &wrappings[0], named(session, "wrapper"), &blob, NULL, 0, &key), CKR_WRAPPED_KEY_INVALID);
    words_len += error_words(words + words_len, sizeof words - words_len);
    NEED(p11->C_SignInit(session, &hmac, named(session, "mac")));
    len = sizeof data;
    NEED(p11->C_Sign(session, (CK_BYTE *)(uintptr_t)plain, 32, data, &len));
    NEED(p11->C_DigestInit(session, &digest));
    EXPECT(p11->C_DigestKey(session, named(session, "mac")), CKR_KEY_INDIGESTIBLE);
    record_key(session, named(session, "users.email"), plain, 32);
    NEED(p11->C_GenerateRandom(session, random, sizeof random));
    NEED(p11->C_SetPIN(session, (CK_BYTE *)(uintptr_t)USER_PIN, strlen(USER_PIN), (CK_BYTE *)(uintptr_t)NEXT_PIN, strlen(NEXT_PIN)));
    NEED(p11->C_Logout(session));
    EXPECT(login(session, CKU_USER, WRONG_PIN), CKR_PIN_INCORRECT);
    EXPECT(login(session, CKU_SO, WRONG_PIN), CKR_PIN_INCORRECT);
    words_len += error_words(words + words_len, sizeof words - words_len);
    NEED(login(session, CKU_SO, SO_PIN));
    stop();
    text = the_log(&log_len);
    CHECK(log_len > 100 && words_len > 40);
    /* What a failure is called is told to the caller, and may be logged by it. */
    text = realloc(text, log_len + words_len);
    memcpy(text + log_len, words, words_len);
    log_len += words_len;
    not_in(text, log_len, "the key", value, 32);
    not_in(text, log_len, "the plaintext", plain, 32);
    not_in(text, log_len, "the IV", iv, 12);
    not_in(text, log_len, "the random data", random, 32);
    not_in(text, log_len, "the associated data", (const CK_BYTE *)"some associated data", 18);
    not_in(text, log_len, "the PIN", (const CK_BYTE *)USER_PIN, 12);
    not_in(text, log_len, "the new PIN", (const CK_BYTE *)NEXT_PIN, 12);
    not_in(text, log_len, "the wrong PIN", (const CK_BYTE *)WRONG_PIN, 12);
    not_in(text, log_len, "the SO's PIN", (const CK_BYTE *)SO_PIN, 9);
    not_in(text, log_len, "the passphrase", (const CK_BYTE *)"correct horse battery staple", 27);
    free(text);
}

/* YYYY-MM-DDTHH:MM:SS… LEVEL PID: WORDS, printable, of a bounded length. */
static void one_record_a_line(char *text)
{
    unsigned lines = 0;

    for (char *line = text, *next; line && *line; line = next) {
        int year, month, used = 0;
        char level[16];

        next = strchr(line, '\n');
        if (next) *next++ = 0;
        lines++;
        if (sscanf(line, "%4d-%2d-%*s %15[a-z] %*d: %n", &year, &month, level, &used) != 3 || !used)
            fail_at(__FILE__, __LINE__, "a line of the log is no record: %.100s", line);
        if (strlen(line) > 4096) fail_at(__FILE__, __LINE__, "a record has %zu bytes", strlen(line));
        for (const char *c = line; *c; c++)
            if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
                die_at(__FILE__, __LINE__, "byte %02x is in the log", (unsigned char)*c);
    }
    CHECK(lines > 3);
}

CASE(A_P12_log_injection)
{
    static const struct {
        const char *text;
        CK_ULONG len;
    } labels[] = { { "a\r\nb", 4 },
                   { "x\n2026-01-01T00:00:00Z error 1: forged record", 44 },
                   { "\033[31mred\033[0m", 12 },
                   { "nul\0nul", 7 },
                   { "quote\"'\\`$(id)", 14 },
                   { "\xff\xfe\x80invalid", 10 },
                   { "%s%n%p%x", 8 } };
    static CK_BYTE giant[1 << 20];
    CK_SESSION_HANDLE session = user_session();
    CK_OBJECT_HANDLE key = 0;
    size_t len;
    char *text;

    memset(giant, '\n', sizeof giant);
    for (size_t i = 0; i < COUNT(labels); i++) {
        const CK_ATTRIBUTE row[] = { A_BYTES(CKA_LABEL, labels[i].text, labels[i].len) };
        CK_ATTRIBUTE ladder[] = { A_BOOL(CKA_TOKEN, CK_TRUE), row[0] },
                     data[] = { A_ULONG(CKA_CLASS, CKO_DATA), row[0], A_BYTES(CKA_APPLICATION, labels[i].text, labels[i].len) };
        CK_ULONG got = 0;

        if (make_try(session, NULL, "edS", row, 1) == CKR_OK) {
            NEED(p11->C_FindObjectsInit(session, (CK_ATTRIBUTE *)(uintptr_t)row, 1));
            NEED(p11->C_FindObjects(session, &key, 1, &got));
            NEED(p11->C_FindObjectsFinal(session));
            CHECK(got == 1);
            set_bool(session, key, CKA_SENSITIVE, CK_FALSE);
            gcm_init(session, true, key, NULL, 12, NULL, 0, 128);
        }
        p11->C_CreateObject(session, data, 3, &key);
        hkdf_try(session, named(session, "master"), NULL, 0, labels[i].text, labels[i].len, ladder, 2, &key);
        p11->C_Logout(session);
        p11->C_Login(session, CKU_USER, (CK_BYTE *)(uintptr_t)labels[i].text, labels[i].len);
        NEED(login(session, CKU_USER, USER_PIN));
    }
    {
        const CK_ATTRIBUTE row[] = { A_BYTES(CKA_LABEL, giant, sizeof giant) };
        CK_ATTRIBUTE ladder[] = { A_BOOL(CKA_TOKEN, CK_TRUE), row[0] };

        EXPECT(make_try(session, NULL, "edS", row, 1), CKR_ATTRIBUTE_VALUE_INVALID);
        EXPECT(hkdf_try(session, named(session, "master"), NULL, 0, "x", 1, ladder, 2, &key), CKR_ATTRIBUTE_VALUE_INVALID,
               CKR_TEMPLATE_INCONSISTENT);
    }
    stop();
    text = the_log(&len);
    if (strlen(text) != len) fail_at(__FILE__, __LINE__, "there is a NUL in the log");
    one_record_a_line(text);
    free(text);
}

const struct test process_cases[] = {
    T(A_P5_set_user_environment, OURS | ONCE),
    T(A_P6_core_dump, OURS),
    T(A_P7_swap_and_fork, OURS),
    T(A_P8_unload, OURS),
    T(A_P9_finalize_in_use, OURS),
    T(A_P10_mutex_callbacks, OURS),
    T(A_P11_secrets_in_logs, OURS),
    T(A_P12_log_injection, OURS),
    { NULL, NULL, 0 },
};
