/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Hosts that unload us, in whatever order, and hosts that end while we are at work. */
#include "coexist.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* A sanitizer's own atexit handler would tell of what is held still. */
void ends_well(void (*run)(void))
{
    int status = 0;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        failures = 0;
        run();
        fflush(stdout);
        if (is_sanitized()) _exit(failures != 0);
        exit(failures != 0);
    }
    for (double until = now_seconds() + 20; waitpid(pid, &status, WNOHANG) == 0; usleep(1000)) {
        if (now_seconds() < until) continue;
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        fail_at(__FILE__, __LINE__, "it hung");
        return;
    }
    if (status) fail_at(__FILE__, __LINE__, "it ended with status %x", (unsigned)status);
}

static void fork_well(void)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) _exit(0);
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
        fail_at(__FILE__, __LINE__, "the child ended with status %x", (unsigned)status);
}

static void finalize_and_unload(void)
{
    struct use use = use_begin();

    stop();
    CHECK(dlclose(p11_handle) == 0);
    fork_well();
    p11_load();
    use_again(&use, NULL);
    dlclose(p11_handle);
    fork_well();
}

static void unload(void)
{
    struct use use = use_begin();

    CHECK(dlclose(p11_handle) == 0);
    fork_well();
    /* It was never gone. */
    p11_load();
    use_on(&use, "after");
    dlclose(p11_handle);
}

TEST(a_host_may_unload_us_finalized_or_not_fork_and_end)
{
    ends_well(finalize_and_unload);
    ends_well(unload);
}

static size_t count_in(const char *path)
{
    DIR *dir = opendir(path);
    size_t count = 0;

    while (dir && readdir(dir)) count++;
    if (dir) closedir(dir);
    return count;
}

static size_t count_lines(const char *path)
{
    FILE *file = fopen(path, "r");
    size_t count = 0;

    for (int c; file && (c = fgetc(file)) != EOF;) count += c == '\n';
    if (file) fclose(file);
    return count;
}

static size_t resident_kib(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long size = 0, resident = 0;

    if (!file || fscanf(file, "%lu %lu", &size, &resident) != 2) die_at(__FILE__, __LINE__, "no /proc/self/statm");
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE) / 1024;
}

static size_t free_thread_keys(void)
{
    static pthread_key_t keys[4096];
    size_t count = 0;

    while (count < COUNT(keys) && pthread_key_create(&keys[count], NULL) == 0) count++;
    for (size_t i = 0; i < count; i++) pthread_key_delete(keys[i]);
    return count;
}

struct held {
    size_t descriptors, maps, resident, keys, threads;
};

static struct held measure(void)
{
    return (struct held){ count_in("/proc/self/fd"), count_lines("/proc/self/maps"), resident_kib(), free_thread_keys(),
                          count_in("/proc/self/task") };
}

static void load_and_unload(unsigned round)
{
    p11_load();
    start();
    if (round % 2) open_session(0);
    if (round % 16 == 1) NEED(login(open_session(0), CKU_USER, USER_PIN));
    stop();
    if (dlclose(p11_handle) != 0) fail_at(__FILE__, __LINE__, "%s", dlerror());
}

TEST(loaded_and_unloaded_a_thousand_times_we_hold_no_more_than_after_a_few)
{
    struct held before, after;

    for (unsigned round = 0; round < 50; round++) load_and_unload(round);
    before = measure();
    CHECK(before.keys > 100 && before.descriptors >= 5 && before.maps > 10);
    for (unsigned round = 0; round < 1000; round++) load_and_unload(round);
    after = measure();
    CHECK(after.descriptors == before.descriptors && after.keys == before.keys && after.threads == before.threads);
    /* A sanitizer holds back what was freed, and maps more for it. */
    if (is_sanitized()) return;
    if (after.maps > before.maps + 8) fail_at(__FILE__, __LINE__, "%zu mappings, and %zu before", after.maps, before.maps);
    if (after.resident > before.resident + 512) fail_at(__FILE__, __LINE__, "%zu KiB, and %zu before", after.resident, before.resident);
}

/* ---- exit() while threads are in calls ---- */

static CK_SLOT_ID slot;

static void *be_busy(void *unused)
{
    CK_SESSION_HANDLE session = open_on(slot, CKF_RW_SESSION);

    (void)unused;
    for (;;) {
        CK_OBJECT_HANDLE key = 0;
        CK_BYTE iv[12] = "busy to exit", out[64];
        CK_ULONG len = sizeof out;

        if (key_try(session, "edST", &key) != CKR_OK) continue;
        if (gcm_init(session, true, key, iv, 12, NULL, 0, 128) == CKR_OK) p11->C_Encrypt(session, iv, 12, out, &len);
        p11->C_DestroyObject(session, key);
    }
    return NULL;
}

static void leave_busy_threads(void)
{
    pthread_t threads[3];

    alarm(20);
    use_begin();
    slot = slot_labelled(TOKEN_LABEL);
    for (size_t i = 0; i < COUNT(threads); i++) pthread_create(&threads[i], NULL, be_busy, NULL);
    usleep(20000);
}

/* The program's own OpenSSL, which cleans up at exit. */
static void leave_busy_threads_and_openssl(void)
{
    void *crypto = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_GLOBAL);
    int (*init)(uint64_t, const void *);

    if (!crypto) die_at(__FILE__, __LINE__, "%s", dlerror());
    *(void **)&init = dlsym(crypto, "OPENSSL_init_crypto");
    CHECK(init(0, NULL) == 1);
    leave_busy_threads();
}

TEST(a_host_may_end_while_its_threads_are_in_calls)
{
    for (int i = 0; i < 5 && !failures; i++) {
        ends_well(leave_busy_threads);
        ends_well(leave_busy_threads_and_openssl);
    }
}

const struct test unload_tests[] = {
    T(a_host_may_unload_us_finalized_or_not_fork_and_end, OURS),
    T(loaded_and_unloaded_a_thousand_times_we_hold_no_more_than_after_a_few, OURS | UNLOADED | SLOW),
    T(a_host_may_end_while_its_threads_are_in_calls, OURS),
    { NULL, NULL, 0 },
};
