/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* fork = reset: a child begins anew, the parent notices nothing. */
#include "suite_fork.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

struct before prepare(void)
{
    struct before before = { .session = user_session() };

    before.slot = slot_labelled(TOKEN_LABEL);
    before.key = key_make(before.session, "edST");
    NEED(p11->C_SetAttributeValue(before.session, before.key, (CK_ATTRIBUTE[]){ A_TEXT(CKA_LABEL, "forked") }, 1));
    before.len = seal(before.session, before.key, "hello", 5, NULL, before.sealed);
    return before;
}

void works(const struct before *before)
{
    CK_BYTE out[64];
    CK_ULONG out_len = sizeof out;

    EXPECT(unseal(before->session, before->key, before->sealed, before->len, NULL, out, &out_len), CKR_OK);
    CHECK(out_len == 5);
}

/* Waits; a child that hangs is killed and told. */
void child_went_well(pid_t pid)
{
    int status = 0;
    double until = now_seconds() + 20;

    if (pid < 0) die_at(__FILE__, __LINE__, "fork: %s", strerror(errno));
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (now_seconds() > until) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            fail_at(__FILE__, __LINE__, "the child hung");
            return;
        }
        usleep(1000);
    }
    if (status) fail_at(__FILE__, __LINE__, "the child ended with status %x", (unsigned)status);
}

void begin_anew(const struct before *before)
{
    CK_SESSION_INFO info;
    CK_INFO library;
    CK_ULONG count = 0;
    struct before mine = *before;

    EXPECT(p11->C_GetInfo(&library), CKR_CRYPTOKI_NOT_INITIALIZED);
    EXPECT(p11->C_GetSlotList(CK_TRUE, NULL, &count), CKR_CRYPTOKI_NOT_INITIALIZED);
    EXPECT(p11->C_GetSessionInfo(before->session, &info), CKR_CRYPTOKI_NOT_INITIALIZED);
    EXPECT(gcm_init(before->session, true, before->key, before->sealed, 12, NULL, 0, 128), CKR_CRYPTOKI_NOT_INITIALIZED);
    EXPECT(p11->C_CloseSession(before->session), CKR_CRYPTOKI_NOT_INITIALIZED);
    EXPECT(p11->C_Logout(before->session), CKR_CRYPTOKI_NOT_INITIALIZED);
    EXPECT(p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
    mine.session = user_session();
    EXPECT(p11->C_GetSessionInfo(before->session, &info), CKR_SESSION_HANDLE_INVALID, CKR_OK);
    if (before->session != mine.session) EXPECT(p11->C_GetSessionInfo(before->session, &info), CKR_SESSION_HANDLE_INVALID);
    mine.key = find_one(mine.session, "forked");
    works(&mine);
    NEED(p11->C_SetAttributeValue(mine.session, key_make(mine.session, "edST"), (CK_ATTRIBUTE[]){ A_TEXT(CKA_LABEL, "by a child") }, 1));
    stop();
}

void fork_once(forker how, bool in_operation)
{
    struct before before = prepare();
    CK_BYTE out[64], iv[12] = "mid-op fork.";
    CK_ULONG len = sizeof out;
    pid_t pid;

    if (in_operation) NEED(gcm_init(before.session, true, before.key, iv, 12, NULL, 0, 128));
    pid = how();
    if (pid == 0) {
        if (in_operation)
            EXPECT(p11->C_Encrypt(before.session, (CK_BYTE *)(uintptr_t) "child", 5, out, &len), CKR_CRYPTOKI_NOT_INITIALIZED);
        begin_anew(&before);
        fflush(stdout);
        _exit(failures != 0);
    }
    child_went_well(pid);
    if (in_operation) EXPECT(p11->C_Encrypt(before.session, (CK_BYTE *)(uintptr_t) "parent", 6, out, &len), CKR_OK);
    works(&before);
    NEED(key_try(before.session, "edST", &before.key));
    sleep(2);
    CHECK(find_one(before.session, "by a child") != 0);
}

TEST(a_child_is_not_initialised_and_may_begin_anew)
{
    fork_once(fork, false);
}
TEST(a_child_of_the_raw_system_call_is_not_initialised_and_may_begin_anew)
{
    fork_once(_Fork, false);
}
TEST(a_fork_in_mid_operation_is_the_parents_operation)
{
    fork_once(fork, true);
}
TEST(a_raw_fork_in_mid_operation_is_the_parents_operation)
{
    fork_once(_Fork, true);
}

TEST(a_child_that_exits_or_dies_harms_nobody)
{
    struct before before = prepare();

    for (int i = 0; i < 20; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            if (i % 3 == 0 && !is_sanitized()) exit(0); /* with every atexit handler */
            if (i % 3 == 1) _exit(0);
            user_session();
            _exit(0);
        }
        child_went_well(pid);
        works(&before);
    }
    stop();
    prepare();
}

TEST(a_grandchild_begins_anew_too)
{
    struct before before = prepare();
    pid_t pid = fork();

    if (pid == 0) {
        struct before mine = before;
        pid_t grandchild;

        mine.session = user_session();
        mine.key = find_one(mine.session, "forked");
        grandchild = fork();
        if (grandchild == 0) {
            begin_anew(&mine);
            _exit(failures != 0);
        }
        child_went_well(grandchild);
        works(&mine);
        fflush(stdout);
        _exit(failures != 0);
    }
    child_went_well(pid);
    works(&before);
}

TEST(a_fork_before_initialize_needs_nothing)
{
    pid_t pid = fork();

    if (pid == 0) {
        prepare();
        fflush(stdout);
        _exit(failures != 0);
    }
    child_went_well(pid);
    start();
    CHECK(find_one(open_session(0), "forked") == 0);
}

/* ---- forks among busy threads ---- */

atomic_bool enough;
unsigned long rounds[BUSY];

void *busy(void *arg)
{
    size_t me = (size_t)arg;
    CK_SESSION_HANDLE session = open_session(CKF_RW_SESSION);
    CK_OBJECT_HANDLE shared = find_one(session, "forked");
    CK_BYTE sealed[64], out[64];

    while (!enough) {
        CK_ULONG out_len = sizeof out;
        size_t len = seal(session, shared, "busy", 4, NULL, sealed);

        EXPECT(unseal(session, shared, sealed, len, NULL, out, &out_len), CKR_OK);
        if (find_one(session, "forked") != shared) fail_at(__FILE__, __LINE__, "the key is not found");
        NEED(p11->C_DestroyObject(session, key_make(session, rounds[me] % 16 ? "edS" : "edST")));
        if (rounds[me] % 4 == 0) NEED(p11->C_CloseSession(open_session(0)));
        rounds[me]++;
    }
    NEED(p11->C_CloseSession(session));
    return NULL;
}

static void fork_among_threads(forker how, int forks)
{
    struct before before = prepare();
    pthread_t threads[4];

    for (size_t i = 0; i < 4; i++) pthread_create(&threads[i], NULL, busy, (void *)i);
    for (int i = 0; i < forks && !failures; i++) {
        pid_t pid = how();

        if (pid == 0) {
            struct before mine = before;
            CK_INFO info;

            /* The raw call leaves libc's own locks as they were, and so do the sanitizers theirs: no malloc then. */
            EXPECT(p11->C_GetInfo(&info), CKR_CRYPTOKI_NOT_INITIALIZED);
            if (how == fork && !is_sanitized()) {
                mine.session = user_session();
                mine.key = find_one(mine.session, "forked");
                works(&mine);
                stop();
            }
            _exit(failures != 0);
        }
        child_went_well(pid);
    }
    enough = true;
    for (size_t i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    for (size_t i = 0; i < 4; i++) CHECK(rounds[i] > 0);
    works(&before);
}

TEST(a_hundred_forks_among_busy_threads_hang_nowhere)
{
    fork_among_threads(fork, 100);
}
TEST(a_hundred_raw_forks_among_busy_threads_hang_nowhere)
{
    fork_among_threads(_Fork, 100);
}

/* ---- where keys lie ---- */

TEST(loaded_keys_lie_in_memory_that_is_locked_not_dumped_and_wiped_at_fork)
{
    struct before before = prepare();
    FILE *file = fopen("/proc/self/smaps", "r");
    char line[512];
    bool found = false;

    works(&before);
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "VmFlags:", 8)) continue;
        /* The sanitizers make nothing of mlock(). */
        if ((strstr(line, " lo") || is_sanitized()) && strstr(line, " dd") && strstr(line, " wf")) found = true;
    }
    fclose(file);
    CHECK(found);
}

TEST(the_module_says_nothing_on_stdout_and_stderr)
{
    char path[4200];
    long size;
    FILE *file;

    snprintf(path, sizeof path, "%s/said", sandbox_dir);
    fflush(stdout);
    int saved = dup(1), saved_err = dup(2);
    if (!freopen(path, "w", stdout)) _exit(1);
    dup2(1, 2);
    struct before before = prepare();
    CK_OBJECT_HANDLE key = 0;
    p11->C_DestroyObject(before.session, 12345);
    key_try(before.session, "wd", &key);
    p11->C_CloseAllSessions(before.slot);
    login(open_session(0), CKU_USER, "wrong-pin-000");
    stop();
    fflush(stdout);
    dup2(saved, 1);
    dup2(saved_err, 2);
    file = fopen(path, "r");
    fseek(file, 0, SEEK_END);
    size = ftell(file);
    fclose(file);
    CHECK(size == 0);
}

TEST(no_pin_label_value_or_plaintext_is_in_the_log)
{
    static const char *const secrets[] = {
        USER_PIN, SO_PIN, "wrong-pin-000", "correct horse", "a plaintext secret", "0123456789abcdef0123456789ABCDEF"
    };
    struct before before = prepare();
    char path[4200];
    static char text[1 << 20];
    FILE *file;
    CK_OBJECT_HANDLE key = 0;
    CK_BYTE sealed[100];

    seal(before.session, before.key, "a plaintext secret", 18, NULL, sealed);
    NEED(import_try(before.session, CKK_AES, secrets[5], 32, "edST", &key));
    p11->C_Logout(before.session);
    login(before.session, CKU_USER, "wrong-pin-000");
    login(before.session, CKU_SO, "wrong-pin-000");
    stop();
    snprintf(path, sizeof path, "%s/log", sandbox_dir);
    file = fopen(path, "r");
    if (!file) return;
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    for (size_t i = 0; i < COUNT(secrets); i++)
        if (strstr(text, secrets[i])) fail_at(__FILE__, __LINE__, "the log has \"%s\" in it", secrets[i]);
}

const struct test fork_tests[] = {
    T(a_child_is_not_initialised_and_may_begin_anew, OURS),
    T(a_child_of_the_raw_system_call_is_not_initialised_and_may_begin_anew, OURS),
    T(a_fork_in_mid_operation_is_the_parents_operation, OURS),
    T(a_raw_fork_in_mid_operation_is_the_parents_operation, OURS),
    T(a_child_that_exits_or_dies_harms_nobody, OURS),
    T(a_grandchild_begins_anew_too, OURS),
    T(a_fork_before_initialize_needs_nothing, ANY),
    T(a_hundred_forks_among_busy_threads_hang_nowhere, OURS | SLOW),
    T(a_hundred_raw_forks_among_busy_threads_hang_nowhere, OURS | SLOW),
    T(loaded_keys_lie_in_memory_that_is_locked_not_dumped_and_wiped_at_fork, OURS),
    T(the_module_says_nothing_on_stdout_and_stderr, OURS),
    T(no_pin_label_value_or_plaintext_is_in_the_log, OURS),
    { NULL, NULL, 0 },
};
