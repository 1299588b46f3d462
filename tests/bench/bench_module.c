/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the neutral benchmark has not: a record's key under a field's key, two threads against two processes, keys found among
 * many, memory when all have been used. Prints a JSON object a line, as that does; not a test, fails only when something does not work.
 *
 *     bench_module MODULE TOKEN PIN-FILE rek|threads|crowd|loop|find|memory|sessions [COUNT]
 *
 * `find` and `memory` want COUNT keys that tests/p11/bulk has made, `sessions` opens so many; `rek` makes two ladder keys, once.
 */
#include <dlfcn.h>
#include <keyladder/pkcs11.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 7, SIZE = 64, TAG = 16, IV = 12, LABELS = 61 };
#define SLICE 20e6  /* nanoseconds of one reading */
#define SPELL 200e6 /* of threads and processes that run side by side */

static CK_FUNCTION_LIST *p11;
static const char *module_path, *token_label, *pin_path;
static CK_SLOT_ID slot;
static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
static CK_OBJECT_CLASS secret_key = CKO_SECRET_KEY;

static void stop(const char *what)
{
    fprintf(stderr, "bench_module: %s\n", what);
    exit(1);
}

static void check(const char *what, CK_RV rv)
{
    if (rv == CKR_OK) return;
    fprintf(stderr, "bench_module: %s: 0x%lx\n", what, rv);
    exit(1);
}

static double read_clock(clockid_t which)
{
    struct timespec at;

    clock_gettime(which, &at);
    return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

static double now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_size);
    return values[count / 2];
}

/* --- the module and its token --- */

static void load(void)
{
    CK_C_INITIALIZE_ARGS threads = { .flags = CKF_OS_LOCKING_OK };
    void *library = dlopen(module_path, RTLD_NOW);
    CK_C_GetFunctionList get = library == NULL ? NULL : (CK_C_GetFunctionList)(uintptr_t)dlsym(library, "C_GetFunctionList");

    if (get == NULL) stop("that is no PKCS #11 module");
    check("C_GetFunctionList", get(&p11));
    check("C_Initialize", p11->C_Initialize(&threads));
}

static void find_token(void)
{
    CK_SLOT_ID slots[64];
    CK_ULONG count = 64;
    CK_TOKEN_INFO facts;
    char padded[33];

    snprintf(padded, sizeof padded, "%-32s", token_label);
    check("C_GetSlotList", p11->C_GetSlotList(CK_TRUE, slots, &count));
    for (CK_ULONG i = 0; i < count; i++) {
        slot = slots[i];
        if (p11->C_GetTokenInfo(slot, &facts) == CKR_OK && memcmp(facts.label, padded, sizeof facts.label) == 0) return;
    }
    stop("there is no such token");
}

static CK_SESSION_HANDLE open_session(void)
{
    CK_SESSION_HANDLE session;

    check("C_OpenSession", p11->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
    return session;
}

static CK_SESSION_HANDLE log_in(void)
{
    char pin[260] = "";
    FILE *file = fopen(pin_path, "r");
    CK_SESSION_HANDLE session;

    load();
    find_token();
    session = open_session();
    if (file == NULL || fgets(pin, sizeof pin, file) == NULL) stop("the PIN cannot be read");
    fclose(file);
    pin[strcspn(pin, "\n")] = '\0';
    check("C_Login", p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)pin, strlen(pin)));
    return session;
}

/* CK_INVALID_HANDLE where there is none. */
static CK_OBJECT_HANDLE find(CK_SESSION_HANDLE session, char *label)
{
    CK_ATTRIBUTE wanted[] = { { CKA_CLASS, &secret_key, sizeof secret_key }, { CKA_LABEL, label, strlen(label) } };
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
    CK_ULONG count = 0;

    check("C_FindObjectsInit", p11->C_FindObjectsInit(session, wanted, 2));
    check("C_FindObjects", p11->C_FindObjects(session, &key, 1, &count));
    check("C_FindObjectsFinal", p11->C_FindObjectsFinal(session));
    return count == 1 ? key : CK_INVALID_HANDLE;
}

/* --- one thread --- */

struct work {
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;
    CK_HKDF_PARAMS hkdf;
    uint32_t record;
    unsigned count, next;
};

static void derive(struct work *work, unsigned long times)
{
    CK_MECHANISM mechanism = { CKM_HKDF_DERIVE, &work->hkdf, sizeof work->hkdf };
    CK_ATTRIBUTE wanted[] = { { CKA_TOKEN, &no, sizeof no } };
    CK_OBJECT_HANDLE key;

    while (times-- > 0) {
        work->record++;
        check("C_DeriveKey", p11->C_DeriveKey(work->session, &mechanism, work->key, wanted, 1, &key));
        check("C_DestroyObject", p11->C_DestroyObject(work->session, key));
    }
}

/* Keys from all over the token, again and again: warm, and no two in a row the same. */
static void look(struct work *work, unsigned long times)
{
    char label[32];

    while (times-- > 0) {
        snprintf(label, sizeof label, "bulk-%06u", work->next % work->count);
        work->next = (work->next + 1) % LABELS * (work->count / LABELS + 1);
        if (find(work->session, label) == CK_INVALID_HANDLE) stop("a key is not found");
    }
}

static void time_it(const char *name, size_t size, void (*run)(struct work *, unsigned long), struct work *work)
{
    double took[ROUNDS], worked[ROUNDS], begun;
    unsigned long times = 1;

    run(work, 2 * LABELS);
    for (begun = now(); now() - begun < SLICE; times++) run(work, 1);
    for (int i = 0; i < ROUNDS; i++) {
        double cpu = read_clock(CLOCK_THREAD_CPUTIME_ID);

        begun = now();
        run(work, times);
        took[i] = (now() - begun) / (double)times;
        worked[i] = (read_clock(CLOCK_THREAD_CPUTIME_ID) - cpu) / (double)times;
    }
    printf("{\"op\":\"%s\",\"size\":%zu,\"ns\":%.1f,\"cpu_ns\":%.1f}\n", name, size, median(took, ROUNDS), median(worked, ROUNDS));
}

static CK_OBJECT_HANDLE grow(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE parent, char *label)
{
    CK_HKDF_PARAMS hkdf = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, (CK_BYTE *)label, strlen(label) };
    CK_MECHANISM mechanism = { CKM_HKDF_DERIVE, &hkdf, sizeof hkdf };
    CK_ATTRIBUTE wanted[] = { { CKA_TOKEN, &yes, sizeof yes }, { CKA_LABEL, label, strlen(label) } };
    CK_OBJECT_HANDLE key = find(session, label);

    if (key == CK_INVALID_HANDLE) check("C_DeriveKey", p11->C_DeriveKey(session, &mechanism, parent, wanted, 2, &key));
    return key;
}

static void bench_rek(void)
{
    char master[] = "master", table[] = "bench", field[] = "bench.field";
    struct work work = { .session = log_in() };

    work.key = grow(work.session, grow(work.session, find(work.session, master), table), field);
    work.hkdf =
        (CK_HKDF_PARAMS){ .bExtract = CK_TRUE, .bExpand = CK_TRUE, .prfHashMechanism = CKM_SHA256, .ulSaltType = CKF_HKDF_SALT_NULL };
    work.hkdf.pInfo = (CK_BYTE *)&work.record;
    work.hkdf.ulInfoLen = sizeof work.record;
    time_it("rek", 32, derive, &work);
}

static void bench_find(unsigned count)
{
    struct work work = { .session = log_in(), .count = count };

    time_it("find", count, look, &work);
}

/* --- encryption --- */

enum { CROWD = 64 };

struct hand {
    pthread_t thread;
    CK_OBJECT_HANDLE key;
    CK_BYTE iv[IV];
    atomic_int *go;
    double begun, ended;
    unsigned long done;
};

static void encrypt(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, CK_BYTE iv[IV])
{
    CK_BYTE aad[16] = { 0 }, in[SIZE] = { 0 }, out[SIZE + TAG];
    CK_GCM_PARAMS gcm = { .pIv = iv, .ulIvLen = IV, .ulIvBits = 8 * IV, .pAAD = aad, .ulAADLen = sizeof aad, .ulTagBits = 8 * TAG };
    CK_MECHANISM mechanism = { CKM_AES_GCM, &gcm, sizeof gcm };
    CK_ULONG len = sizeof out;
    uint64_t number;

    memcpy(&number, iv + IV - sizeof number, sizeof number);
    number++;
    memcpy(iv + IV - sizeof number, &number, sizeof number);
    check("C_EncryptInit", p11->C_EncryptInit(session, &mechanism, key));
    check("C_Encrypt", p11->C_Encrypt(session, in, sizeof in, out, &len));
}

static void *work_on(void *user)
{
    struct hand *hand = user;
    CK_SESSION_HANDLE session = open_session();

    while (atomic_load(hand->go) == 0) continue;
    hand->begun = hand->ended = now();
    while (hand->ended - hand->begun < SPELL) {
        for (int i = 0; i < 64; i++) encrypt(session, hand->key, hand->iv);
        hand->done += 64;
        hand->ended = now();
    }
    return NULL;
}

static CK_OBJECT_HANDLE make_key(CK_SESSION_HANDLE session)
{
    CK_MECHANISM generates = { .mechanism = CKM_AES_KEY_GEN };
    CK_ULONG bytes = 32;
    CK_ATTRIBUTE wanted[] = { { CKA_VALUE_LEN, &bytes, sizeof bytes }, { CKA_TOKEN, &no, sizeof no }, { CKA_ENCRYPT, &yes, sizeof yes } };
    CK_OBJECT_HANDLE key;

    check("C_GenerateKey", p11->C_GenerateKey(session, &generates, wanted, 3, &key));
    return key;
}

/* A process with `threads` threads, which says on `out` that it is ready, waits for `in`, and tells operations a nanosecond. */
static void team(int threads, int in, int out)
{
    static struct hand hands[CROWD];
    CK_OBJECT_HANDLE key = make_key(log_in());
    atomic_int go = 0;
    double begun = 0, ended = 0, speed = 0;
    char byte = 0;

    for (int i = 0; i < threads; i++) {
        hands[i].key = key;
        hands[i].iv[0] = (CK_BYTE)(i + 1);
        hands[i].go = &go;
        if (pthread_create(&hands[i].thread, NULL, work_on, &hands[i]) != 0) stop("no thread");
    }
    if (write(out, &byte, 1) != 1 || read(in, &byte, 1) != 1) stop("the pipe broke");
    atomic_store(&go, 1);
    for (int i = 0; i < threads; i++) {
        pthread_join(hands[i].thread, NULL);
        if (i == 0 || hands[i].begun < begun) begun = hands[i].begun;
        if (hands[i].ended > ended) ended = hands[i].ended;
        speed += (double)hands[i].done;
    }
    /* From the first who began to the last who ended: not all of many run at once. */
    speed /= ended - begun;
    if (write(out, &speed, sizeof speed) != sizeof speed) stop("the pipe broke");
    _exit(0);
}

/* So many processes with so many threads each, side by side: operations a nanosecond, together. */
static double run_teams(int processes, int threads)
{
    int to[2], from[2];
    double speed = 0;

    if (pipe(to) != 0 || pipe(from) != 0) stop("no pipe");
    for (int i = 0; i < processes; i++) {
        pid_t child = fork();

        if (child < 0) stop("no process");
        if (child == 0) team(threads, to[0], from[1]);
    }
    close(from[1]); /* so that the end of a team that failed is seen */
    for (int i = 0; i < processes; i++) {
        char byte;

        if (read(from[0], &byte, 1) != 1) stop("a process failed");
    }
    for (int i = 0; i < processes; i++) {
        if (write(to[1], "", 1) != 1) stop("the pipe broke");
    }
    for (int i = 0; i < processes; i++) {
        double one;

        if (read(from[0], &one, sizeof one) != sizeof one) stop("a process failed");
        speed += one;
    }
    while (wait(NULL) > 0) continue;
    close(to[0]);
    close(to[1]);
    close(from[0]);
    return speed;
}

static void bench_threads(void)
{
    double ratios[ROUNDS], nanoseconds[ROUNDS];

    for (int i = 0; i < ROUNDS; i++) {
        double processes = run_teams(2, 1), threads = run_teams(1, 2);

        ratios[i] = threads / processes;
        nanoseconds[i] = 1 / threads;
    }
    printf("{\"op\":\"threads\",\"size\":%d,\"ns\":%.1f,\"ratio\":%.4f}\n", SIZE, median(nanoseconds, ROUNDS), median(ratios, ROUNDS));
}

/* Many threads on few cores against two. */
static void bench_crowd(void)
{
    double ratios[ROUNDS], nanoseconds[ROUNDS];

    for (int i = 0; i < ROUNDS; i++) {
        double two = run_teams(1, 2), crowd = run_teams(1, CROWD);

        ratios[i] = crowd / two;
        nanoseconds[i] = 1 / crowd;
    }
    printf("{\"op\":\"crowd\",\"size\":%d,\"ns\":%.1f,\"ratio\":%.4f}\n", SIZE, median(nanoseconds, ROUNDS), median(ratios, ROUNDS));
}

/* So many encryptions and nothing else: what a profiler counts in one run more than in a shorter one is theirs. */
static void bench_loop(unsigned count)
{
    CK_SESSION_HANDLE session = log_in();
    CK_OBJECT_HANDLE key = make_key(session);
    CK_BYTE iv[IV] = { 0 };

    for (unsigned i = 0; i < count; i++) encrypt(session, key, iv);
    printf("{\"op\":\"loop\",\"size\":%d,\"count\":%u}\n", SIZE, count);
}

/* --- memory --- */

static long most_memory(void)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    long kib = -1;

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0) kib = strtol(line + 6, NULL, 10);
    }
    if (file != NULL) fclose(file);
    return kib;
}

static void bench_memory(unsigned count)
{
    CK_SESSION_HANDLE session = log_in();
    CK_BYTE iv[IV] = { 0 };

    for (unsigned i = 0; i < count; i++) {
        char label[32];

        snprintf(label, sizeof label, "bulk-%06u", i);
        encrypt(session, find(session, label), iv);
    }
    printf("{\"op\":\"memory\",\"size\":%u,\"kib\":%ld}\n", count, most_memory());
}

/* Each has encrypted once, and keeps its keyed context. */
static void bench_sessions(unsigned count)
{
    CK_SESSION_HANDLE session = log_in();
    CK_OBJECT_HANDLE key = make_key(session);
    CK_BYTE iv[IV] = { 0 };
    long before;

    encrypt(session, key, iv);
    before = most_memory();
    for (unsigned i = 0; i < count; i++) encrypt(open_session(), key, iv);
    printf("{\"op\":\"sessions\",\"size\":%u,\"kib\":%ld}\n", count, most_memory() - before);
}

int main(int argc, char **argv)
{
    unsigned count = argc > 5 ? (unsigned)strtoul(argv[5], NULL, 10) : 0;

    if (argc < 5) stop("usage: bench_module MODULE TOKEN PIN-FILE rek|threads|find|memory|sessions [COUNT]");
    module_path = argv[1];
    token_label = argv[2];
    pin_path = argv[3];
    if (strcmp(argv[4], "rek") == 0)
        bench_rek();
    else if (strcmp(argv[4], "threads") == 0)
        bench_threads();
    else if (strcmp(argv[4], "crowd") == 0)
        bench_crowd();
    else if (strcmp(argv[4], "loop") == 0 && count > 0)
        bench_loop(count);
    else if (strcmp(argv[4], "find") == 0 && count > 0)
        bench_find(count);
    else if (strcmp(argv[4], "memory") == 0 && count > 0)
        bench_memory(count);
    else if (strcmp(argv[4], "sessions") == 0 && count > 0)
        bench_sessions(count);
    else
        stop("there is no such work");
    return fflush(stdout) != 0;
}
