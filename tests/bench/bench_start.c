/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What it costs to begin: C_Initialize, a new process, a fork under both rules, each until it has encrypted. By the module's
 * name alone (P11_MODULE), on a token of its own in $TMPDIR. Not a test: prints "NAME: figure, budget, verdict", and fails
 * only when something does not work. Usage: bench_start [KEYS [initialize|exec|reset|inherit]...]
 */
#include "../p11/p11.h"

#include <dlfcn.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A generated PIN, which costs no Argon2id: the shape of what a machine logs in with. */
#define MADE_PIN "kl1_aaaqeayeaudaocajbifqydiob626lqip"
enum { ROUNDS = 201, KEYS_LOADED = 100, EVP_LEN = 64 };

static unsigned keys;
static double times[ROUNDS];

/* ---- figures ---- */

static double now_us(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec * 1e6 + (double)at.tv_nsec / 1e3;
}

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return left < right ? -1 : left > right;
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_size);
    return values[count / 2];
}

/* Against a time that does not grow with the machine's other work: the run that met least of it. */
static double least(const double *values)
{
    double value = values[0];

    for (int i = 1; i < ROUNDS; i++)
        if (values[i] < value) value = values[i];
    return value;
}

static void tell(const char *name, double figure, double budget, const char *unit)
{
    printf("%s: %.2f %s, %.2f %s, %s\n", name, figure, unit, budget, unit, figure <= budget ? "met" : "MISSED");
    fflush(stdout);
}

/* ---- the token ---- */

static void write_secret(const char *name, const char *text)
{
    char path[4200];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", sandbox_dir, name);
    file = fopen(path, "w");
    if (!file || fprintf(file, "%s\n", text) < 0 || fclose(file) != 0 || chmod(path, 0600) != 0) die_at(__FILE__, __LINE__, "%s", path);
}

static void label_of(unsigned number, char label[32])
{
    snprintf(label, 32, "key.%06u", number);
}

static void make_keys(CK_SESSION_HANDLE session)
{
    CK_MECHANISM mech = { CKM_AES_KEY_GEN, NULL, 0 };

    for (unsigned i = 0; i < keys; i++) {
        CK_OBJECT_HANDLE key = 0;
        char label[32];

        label_of(i, label);
        CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, label) };
        NEED(p11->C_GenerateKey(session, &mech, template, COUNT(template), &key));
    }
}

static void make_token(void)
{
    char padded[33];
    CK_SESSION_HANDLE session;
    CK_SLOT_ID slot;

    sandbox_make();
    write_secret("passphrase", MADE_PIN);
    write_secret("pin", MADE_PIN);
    snprintf(padded, sizeof padded, "%-32s", TOKEN_LABEL);
    start();
    NEED(p11->C_InitToken(slot_blank(), (CK_BYTE *)(uintptr_t)SO_PIN, strlen(SO_PIN), (CK_UTF8CHAR *)padded));
    slot = slot_labelled(TOKEN_LABEL);
    session = open_on(slot, CKF_RW_SESSION);
    NEED(login(session, CKU_SO, SO_PIN));
    NEED(p11->C_InitPIN(session, (CK_BYTE *)(uintptr_t)MADE_PIN, strlen(MADE_PIN)));
    NEED(p11->C_Logout(session));
    NEED(login(session, CKU_USER, MADE_PIN));
    make_keys(session);
    stop();
}

static void encrypt_once(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
    static uint64_t iv[2];
    CK_BYTE data[EVP_LEN] = { 1 }, out[EVP_LEN + 16];
    CK_ULONG len = sizeof out;

    iv[0]++;
    NEED(gcm_init(session, true, key, iv, 12, "aad of the field", 16, 128));
    NEED(p11->C_Encrypt(session, data, sizeof data, out, &len));
}

/* What a database's process does before its first encryption. */
static CK_SESSION_HANDLE first_use(void)
{
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;
    char label[32];

    label_of(keys / 2, label);
    start();
    session = open_session(0);
    NEED(login(session, CKU_USER, MADE_PIN));
    key = find_one(session, label);
    if (!key) die_at(__FILE__, __LINE__, "%s is not found", label);
    encrypt_once(session, key);
    return session;
}

/* ---- children ---- */

static void reap(pid_t child)
{
    int status = -1;

    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        die_at(__FILE__, __LINE__, "a child ended with %x", (unsigned)status);
}

/* The same as EVP alone does it, from loading the library on. */
static void evp_once(void)
{
    void *lib = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL);
    union {
        void *any;
        void *(*fetch)(void *, const char *, const char *);
        void *(*ctx)(void);
        int (*init)(void *, const void *, const void *, const void *, const void *);
        int (*update)(void *, void *, int *, const void *, int);
        int (*final)(void *, void *, int *);
    } call;
    unsigned char bytes[EVP_LEN + 32] = { 1 };
    void *cipher, *ctx;
    int len = 0;

    if (!lib) die_at(__FILE__, __LINE__, "%s", dlerror());
    call.any = dlsym(lib, "EVP_CIPHER_fetch");
    cipher = call.fetch(NULL, "AES-256-GCM", NULL);
    call.any = dlsym(lib, "EVP_CIPHER_CTX_new");
    ctx = call.ctx();
    call.any = dlsym(lib, "EVP_EncryptInit_ex2");
    if (call.init(ctx, cipher, bytes, bytes, NULL) != 1) die_at(__FILE__, __LINE__, "EVP_EncryptInit_ex2");
    call.any = dlsym(lib, "EVP_EncryptUpdate");
    if (call.update(ctx, bytes, &len, bytes, EVP_LEN) != 1) die_at(__FILE__, __LINE__, "EVP_EncryptUpdate");
    call.any = dlsym(lib, "EVP_EncryptFinal_ex");
    if (call.final(ctx, bytes, &len) != 1) die_at(__FILE__, __LINE__, "EVP_EncryptFinal_ex");
}

/* This program anew, told by its name what to do. It may answer with a number on its standard output. */
static double exec_once(const char *what, double *answer)
{
    double begun = now_us(), took;
    char number[16];
    int ends[2];
    pid_t child;

    snprintf(number, sizeof number, "%u", keys);
    if (pipe(ends) != 0) die_at(__FILE__, __LINE__, "no pipe");
    child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl("/proc/self/exe", what, number, (char *)NULL);
        _exit(127);
    }
    reap(child);
    took = now_us() - begun;
    close(ends[1]);
    if (answer && read(ends[0], answer, sizeof *answer) != sizeof *answer) die_at(__FILE__, __LINE__, "%s does not answer", what);
    close(ends[0]);
    return took;
}

/* ---- C_Initialize ---- */

/* In a process that has done nothing else yet. */
static void initialize_first(void)
{
    double begun = now_us(), took;

    start();
    stop();
    took = now_us() - begun;
    if (write(STDOUT_FILENO, &took, sizeof took) != sizeof took) die_at(__FILE__, __LINE__, "nobody listens");
}

static void initialize_again(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        double begun = now_us();

        start();
        stop();
        times[i] = now_us() - begun;
    }
    tell("C_Initialize and C_Finalize, again", least(times) / 1e3, 0.2, "ms");
    for (int i = 0; i < ROUNDS; i++) {
        double begun;

        first_use();
        begun = now_us();
        stop();
        start();
        times[i] = now_us() - begun;
        stop();
    }
    tell("C_Finalize of a token in use and C_Initialize", least(times) / 1e3, 2, "ms");
}

static void measure_initialize(void)
{
    pid_t child;

    for (int i = 0; i < ROUNDS; i++) exec_once("initialize", &times[i]);
    tell("C_Initialize and C_Finalize, the first time", least(times) / 1e3, 2, "ms");
    child = fork();
    if (child == 0) {
        initialize_again();
        _exit(0);
    }
    reap(child);
}

/* ---- processes ---- */

static void measure_exec(void)
{
    static double evp[ROUNDS];

    /* Turn by turn, so that whatever else the machine does hits both. */
    for (int i = 0; i < ROUNDS; i++) {
        evp[i] = exec_once("evp", NULL);
        times[i] = exec_once("module", NULL);
    }
    printf("a new process encrypts with EVP alone after %.2f ms\n", least(evp) / 1e3);
    tell("new process to first encrypt", least(times) / 1e3, 1.5 * least(evp) / 1e3 + 3, "ms");
}

static void measure_reset(void)
{
    pid_t parent = fork();

    if (parent == 0) {
        first_use();
        for (int i = 0; i < ROUNDS; i++) {
            double begun = now_us();
            pid_t child = fork();

            if (child == 0) {
                first_use();
                _exit(0);
            }
            reap(child);
            times[i] = now_us() - begun;
        }
        tell("fork to first encrypt and exit, reset", least(times) / 1e3, 2, "ms");
        _exit(0);
    }
    reap(parent);
}

static long faults_of_children(void)
{
    struct rusage usage;

    getrusage(RUSAGE_CHILDREN, &usage);
    return usage.ru_minflt;
}

/* A child that does nothing, forked without the handlers of anybody: the kernel's own price. */
static double fork_bare(void)
{
    double begun = now_us();
    pid_t child = _Fork();

    if (child == 0) _exit(0);
    reap(child);
    return now_us() - begun;
}

/* What the handlers alone add. */
static double fork_and_exit(void)
{
    double begun = now_us();
    pid_t child = fork();

    if (child == 0) _exit(0);
    reap(child);
    return now_us() - begun;
}

static double fork_and_encrypt(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
    double begun = now_us();
    pid_t child = fork();

    if (child == 0) {
        encrypt_once(session, key);
        _exit(0);
    }
    reap(child);
    return now_us() - begun;
}

static void load_keys(CK_SESSION_HANDLE session)
{
    for (unsigned i = 0; i < keys && i < KEYS_LOADED; i++) {
        char label[32];

        label_of(i, label);
        encrypt_once(session, find_one(session, label));
    }
}

/* The parent's own pages are shared after a fork, so that what it writes next costs it a page fault each, too. */
static void tell_forks(double *bare, double *handled, const long faults[3])
{
    double ratios[ROUNDS];

    for (int i = 0; i < ROUNDS; i++) ratios[i] = times[i] / bare[i];
    printf(
        "a bare fork takes %.0f us and its child %ld page faults; with the handlers %.0f us and %ld; until it has encrypted %.0f us and %ld\n",
        median(bare, ROUNDS), faults[0], median(handled, ROUNDS), faults[1], median(times, ROUNDS), faults[2]);
    tell("fork to first encrypt and exit, inherit", median(ratios, ROUNDS), 1.3, "bare forks");
}

static void inherit(void)
{
    static double bare[ROUNDS], handled[ROUNDS];
    long before, faults[3];
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;
    char label[32];

    sandbox_add("[module]\nfork = inherit\n");
    session = first_use();
    load_keys(session);
    label_of(keys / 2, label);
    key = find_one(session, label);
    encrypt_once(session, key);
    for (int i = 0; i < ROUNDS; i++) {
        before = faults_of_children();
        bare[i] = fork_bare();
        faults[0] = faults_of_children() - before;
        handled[i] = fork_and_exit();
        faults[1] = faults_of_children() - before - faults[0];
        times[i] = fork_and_encrypt(session, key);
        faults[2] = faults_of_children() - before - faults[0] - faults[1];
    }
    tell_forks(bare, handled, faults);
    _exit(0);
}

static void measure_inherit(void)
{
    pid_t parent = fork();

    if (parent == 0) inherit();
    reap(parent);
}

static const struct {
    const char *name;
    void (*measure)(void);
} parts[] = { { "initialize", measure_initialize }, { "exec", measure_exec }, { "reset", measure_reset }, { "inherit", measure_inherit } };

static bool is_wanted(const char *name, char **arguments, int count)
{
    for (int i = 2; i < count; i++)
        if (strcmp(arguments[i], name) == 0) return true;
    return count <= 2;
}

int main(int count, char **arguments)
{
    keys = count > 1 ? (unsigned)strtoul(arguments[1], NULL, 10) : 100;
    if (keys == 0) {
        fprintf(stderr, "usage: bench_start [KEYS [initialize|exec|reset|inherit]...]    (P11_MODULE: the module's path)\n");
        return 2;
    }
    if (strcmp(arguments[0], "evp") == 0) {
        evp_once();
        return 0;
    }
    p11_load();
    if (strcmp(arguments[0], "initialize") == 0) {
        initialize_first();
        _exit(0);
    }
    if (strcmp(arguments[0], "module") == 0) {
        first_use();
        _exit(0);
    }
    make_token();
    printf("with %u token keys\n", keys);
    fflush(stdout);
    for (size_t i = 0; i < COUNT(parts); i++)
        if (is_wanted(parts[i].name, arguments, count)) parts[i].measure();
    sandbox_remove(sandbox_dir);
    return failures != 0;
}
