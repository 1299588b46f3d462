/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What a container takes away: system calls, locked memory, file systems, a
 * name, a process table of one's own. The module works, or says exactly what is
 * missing. As root, or as root of a user namespace for most of it;
 * tests/integration/t_container runs it.
 */
#include "coexist.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define OFFSET(field) ((unsigned)offsetof(struct seccomp_data, field))

/* From now on these calls answer with an error; with `argument`, only those whose third argument is `value`. */
static void refuse(const int *calls, size_t count, int error, bool argument, unsigned value)
{
    struct sock_filter filter[64];
    struct sock_fprog program = { 0, filter };

    for (size_t i = 0; i < count; i++) {
        filter[program.len++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, OFFSET(nr));
        filter[program.len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i], 0, argument ? 3 : 1);
        if (argument) {
            filter[program.len++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, OFFSET(args[2]));
            filter[program.len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
        }
        filter[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error);
    }
    filter[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        die_at(__FILE__, __LINE__, "seccomp: %s", strerror(errno));
}
#define REFUSE(error, ...) refuse((const int[]){ __VA_ARGS__ }, COUNT(((const int[]){ __VA_ARGS__ })), (error), false, 0)

static void says(const char *words)
{
    if (!strstr(last_words(), words)) fail_at(__FILE__, __LINE__, "\"%s\" is not in the words: %s", words, last_words());
}

static void is_told(const char *words)
{
    if (!is_logged(words)) fail_at(__FILE__, __LINE__, "the log lacks \"%s\"", words);
}

/* A mount namespace of its own: root's, or in a user namespace, where the host lets it (tests/integration/t_container tells which). */
static void own_mounts(void)
{
    if (unshare(CLONE_NEWNS) != 0) skip("no mount namespace can be made here");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) die_at(__FILE__, __LINE__, "mount: %s", strerror(errno));
}

/* ---- system calls ---- */

TEST(in_a_container_without_kernel_keyrings_everything_works)
{
    REFUSE(ENOSYS, SYS_keyctl, SYS_add_key, SYS_request_key);
    CHECK(syscall(SYS_keyctl, 0, 0) == -1 && errno == ENOSYS);
    exercise("keyring");
}

TEST(in_a_container_that_refuses_keyrings_and_files_in_memory_everything_works)
{
    REFUSE(EPERM, SYS_keyctl, SYS_add_key, SYS_request_key, SYS_memfd_create, SYS_memfd_secret);
    CHECK(syscall(SYS_memfd_create, "x", 0) == -1 && errno == EPERM);
    exercise("memfd");
}

TEST(in_a_container_without_getrandom_nothing_is_made_of_other_numbers)
{
    struct use use = use_begin();
    CK_OBJECT_HANDLE key = 0;
    CK_BYTE random[16], out[64];
    CK_ULONG len = sizeof out;

    REFUSE(ENOSYS, SYS_getrandom);
    CHECK(getrandom(random, sizeof random, 0) == -1 && errno == ENOSYS);
    EXPECT(key_try(use.session, "edS", &key), CKR_DEVICE_ERROR);
    says("getrandom: Function not implemented");
    EXPECT(p11->C_GenerateRandom(use.session, random, sizeof random), CKR_DEVICE_ERROR, CKR_RANDOM_NO_RNG);
    is_told("getrandom: Function not implemented");
    /* What needs none goes on. */
    EXPECT(unseal(use.session, use.key, use.sealed, use.len, NULL, out, &len), CKR_OK);
    stop();
}

/* libsodium ends a process in which it finds no random numbers. */
TEST(in_a_container_without_any_random_numbers_the_host_lives)
{
    CK_SESSION_HANDLE session;

    own_mounts();
    if (mount("none", "/dev", "tmpfs", 0, NULL) != 0) die_at(__FILE__, __LINE__, "mount: %s", strerror(errno));
    REFUSE(ENOSYS, SYS_getrandom);
    EXPECT(p11->C_Initialize(NULL), CKR_OK, CKR_DEVICE_ERROR);
    if (p11->C_OpenSession(0, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session) != CKR_OK) return;
    EXPECT(login(session, CKU_USER, USER_PIN), CKR_OK, CKR_DEVICE_ERROR);
}

TEST(a_kernel_that_cannot_wipe_memory_at_a_fork_is_named)
{
    refuse((const int[]){ SYS_madvise }, 1, EINVAL, true, MADV_WIPEONFORK);
    CHECK(madvise(NULL, 0, MADV_WIPEONFORK) == -1);
    EXPECT(p11->C_Initialize(NULL), CKR_HOST_MEMORY);
    says("no MADV_WIPEONFORK: Linux 4.14 or newer is needed");
}

/* ---- memory ---- */

/* As somebody who has no name; the sandbox is made his. */
static void become_nameless(void)
{
    char command[4400];

    snprintf(command, sizeof command, "chown -R 54321:54321 '%s' 2>/dev/null", sandbox_dir);
    if (geteuid() != 0 || chown(sandbox_dir, 54321, 54321) != 0) skip("only root can become somebody else");
    if (system(command) != 0 || setgid(54321) != 0 || setuid(54321) != 0) die_at(__FILE__, __LINE__, "setuid: %s", strerror(errno));
    if (prctl(PR_SET_DUMPABLE, 1) != 0) die_at(__FILE__, __LINE__, "prctl: %s", strerror(errno));
}

/* Root may lock what it likes, whatever the limit. */
static void lock_nothing(void)
{
    struct rlimit none = { 0, 0 };

    if (is_sanitized()) skip("a sanitizer locks no memory, and says it has");
    if (setrlimit(RLIMIT_MEMLOCK, &none) != 0) die_at(__FILE__, __LINE__, "setrlimit: %s", strerror(errno));
    if (mlock(&none, sizeof none) == 0) become_nameless();
    CHECK(mlock(&none, sizeof none) == -1);
}

TEST(where_no_memory_may_be_locked_no_key_is_loaded_and_the_limit_is_named)
{
    CK_SESSION_HANDLE session;

    lock_nothing();
    start();
    session = open_session(CKF_RW_SESSION);
    EXPECT(login(session, CKU_USER, USER_PIN), CKR_HOST_MEMORY);
    says("give the service LimitMEMLOCK=64M (in a shell: ulimit -l 65536), or set lock_memory = try in [module]");
    is_told("LimitMEMLOCK=64M");
    stop();
}

TEST(where_no_memory_may_be_locked_and_need_not_be_everything_works_and_is_told)
{
    sandbox_add("[module]\nlock_memory = try\n");
    lock_nothing();
    exercise("unlocked");
    is_told("memory for keys cannot be locked");
}

TEST(a_system_call_filter_without_mlock_is_as_good_as_a_limit)
{
    CK_SESSION_HANDLE session;

    if (is_sanitized()) skip("a sanitizer locks no memory, and says it has");
    REFUSE(EPERM, SYS_mlock, SYS_mlock2);
    start();
    session = open_session(CKF_RW_SESSION);
    EXPECT(login(session, CKU_USER, USER_PIN), CKR_HOST_MEMORY);
    says("memory for keys cannot be locked");
    stop();
}

/* ---- names and places ---- */

TEST(a_user_without_a_name_or_a_home_does_everything)
{
    char conf[4200];

    become_nameless();
    snprintf(conf, sizeof conf, "%s", getenv("KEYLADDER_CONF"));
    clearenv();
    setenv("KEYLADDER_CONF", conf, 1);
    exercise("nameless");
}

TEST(without_proc_and_shared_memory_everything_works)
{
    own_mounts();
    if (mount("none", "/proc", "tmpfs", 0, NULL) != 0 ||
        (access("/dev/shm", F_OK) == 0 && mount("none", "/dev/shm", "tmpfs", MS_RDONLY, NULL)))
        die_at(__FILE__, __LINE__, "mount: %s", strerror(errno));
    CHECK(access("/proc/self", F_OK) != 0);
    exercise("no proc");
}

/* ---- read-only ---- */

/* One that keyladder pin generate might have made. */
#define GENERATED_PIN "kl1_aaaqeayeaudaocajbifqydiob626lqip"

static void make_read_only(void)
{
    own_mounts();
    if (mount(sandbox_dir, sandbox_dir, NULL, MS_BIND, NULL) != 0 || mount(NULL, sandbox_dir, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL))
        die_at(__FILE__, __LINE__, "mount: %s", strerror(errno));
}

static void use_read_only(void *unused)
{
    CK_SESSION_HANDLE session;
    CK_TOKEN_INFO info;

    (void)unused;
    make_read_only();
    start();
    NEED(p11->C_GetTokenInfo(slot_labelled(TOKEN_LABEL), &info));
    CHECK(info.flags & CKF_WRITE_PROTECTED);
    session = open_session(0);
    /* Tries of a made-up PIN are counted in the store. */
    EXPECT(login(session, CKU_USER, USER_PIN), CKR_TOKEN_WRITE_PROTECTED);
    says("demo.db cannot be written, and every try of a PIN is counted there");
    says("give it a generated PIN (keyladder pin generate)");
    stop();
}

static void use_read_only_generated(void *with)
{
    const struct use *use = with;
    CK_OBJECT_HANDLE key = 0;
    CK_SESSION_HANDLE session;
    CK_BYTE out[64];
    CK_ULONG len = sizeof out;

    make_read_only();
    start();
    session = open_session(CKF_RW_SESSION);
    EXPECT(login(session, CKU_USER, GENERATED_PIN), CKR_OK);
    key = find_one(session, "kept");
    EXPECT(unseal(session, key, use->sealed, use->len, NULL, out, &len), CKR_OK);
    EXPECT(key_try(session, "edS", &key), CKR_OK);
    seal(session, key, "a session key", 13, NULL, out);
    EXPECT(key_try(session, "edST", &key), CKR_TOKEN_WRITE_PROTECTED);
    says("demo.db cannot be written");
    stop();
}

TEST(a_store_on_a_read_only_file_system_is_read_with_a_generated_pin)
{
    struct use use;

    own_mounts();
    use = use_begin();
    stop();
    in_other_process(use_read_only, NULL);
    start();
    NEED(p11->C_SetPIN(open_session(CKF_RW_SESSION), (CK_BYTE *)(uintptr_t)USER_PIN, strlen(USER_PIN), (CK_BYTE *)(uintptr_t)GENERATED_PIN,
                       strlen(GENERATED_PIN)));
    stop();
    in_other_process(use_read_only_generated, &use);
}

/* ---- process numbers ---- */

/* The first process of a namespace of its own, with its own /proc, which waits to be told to go on. */
struct first {
    pid_t pid;
    int go, done;
};

static bool own_proc(void)
{
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mount("proc", "/proc", "proc", 0, NULL) == 0;
}

static int be_first(void *arg)
{
    int *ends = arg;
    char byte;

    if (!ends) _exit(!own_proc());
    if (!own_proc()) _exit(90);
    if (getpid() != 1 || read(ends[0], &byte, 1) != 1) _exit(91);
    failures = 0;
    start();
    EXPECT(login(open_session(CKF_RW_SESSION), CKU_USER, USER_PIN), CKR_OK);
    if (failures) printf("    %s\n", last_words());
    fflush(stdout);
    /* Both have the store open at once. */
    if (write(ends[1], "x", 1) != 1 || read(ends[0], &byte, 1) != 1) _exit(92);
    _exit(failures != 0);
}

static char stacks[2][1 << 20] __attribute__((aligned(16)));

/* One that only tries whether it could be. */
static bool is_first_possible(void)
{
    pid_t pid = clone(be_first, stacks[0] + sizeof stacks[0], CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, NULL);
    int status = 1;

    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static struct first first_begin(void)
{
    static unsigned number;
    static int ends[64][2];
    int down[2], up[2];
    struct first first;
    int *mine = ends[number % 64];

    if (pipe2(down, O_CLOEXEC) || pipe2(up, O_CLOEXEC)) die_at(__FILE__, __LINE__, "pipe: %s", strerror(errno));
    mine[0] = down[0];
    mine[1] = up[1];
    first.pid = clone(be_first, stacks[number++ % 2] + sizeof stacks[0], CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, mine);
    if (first.pid < 0) die_at(__FILE__, __LINE__, "clone: %s", strerror(errno));
    close(down[0]);
    close(up[1]);
    first.go = down[1];
    first.done = up[0];
    return first;
}

/* Its 22nd field, after the name in parentheses. */
static unsigned long long started_at(pid_t pid)
{
    char path[64], text[1024] = "";
    const char *at;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    file = fopen(path, "r");
    if (!file || !fgets(text, sizeof text, file)) text[0] = '\0';
    if (file) fclose(file);
    at = strrchr(text, ')');
    for (int field = 0; at && field < 20; field++) at = strchr(at + 1, ' ');
    return at ? strtoull(at, NULL, 10) : 0;
}

static void let_go(const struct first *first)
{
    if (write(first->go, "x", 1) != 1) fail_at(__FILE__, __LINE__, "it is gone");
}

static void wait_for(const struct first *first)
{
    int status = 0;

    waitpid(first->pid, &status, 0);
    if (status) fail_at(__FILE__, __LINE__, "it ended with status %x", (unsigned)status);
}

/* Two containers that begin together have process 1 each, of the same hundredth of a second. */
TEST(the_first_processes_of_two_containers_share_a_store)
{
    struct first one, other;
    char byte;

    if (!is_first_possible()) skip("no namespace with process numbers and a /proc of its own can be made here");
    for (int tries = 0; tries < 200; tries++) {
        one = first_begin();
        other = first_begin();
        if (started_at(one.pid) == started_at(other.pid) && started_at(one.pid)) break;
        kill(one.pid, SIGKILL);
        kill(other.pid, SIGKILL);
        waitpid(one.pid, NULL, 0);
        waitpid(other.pid, NULL, 0);
    }
    CHECK(started_at(one.pid) == started_at(other.pid) && started_at(one.pid));
    let_go(&one);
    CHECK(read(one.done, &byte, 1) == 1);
    let_go(&other);
    CHECK(read(other.done, &byte, 1) == 1);
    let_go(&one);
    let_go(&other);
    wait_for(&one);
    wait_for(&other);
}

static const struct test container_tests[] = {
    T(in_a_container_without_kernel_keyrings_everything_works, OURS),
    T(in_a_container_that_refuses_keyrings_and_files_in_memory_everything_works, OURS),
    T(in_a_container_without_getrandom_nothing_is_made_of_other_numbers, OURS),
    T(in_a_container_without_any_random_numbers_the_host_lives, OURS),
    T(a_kernel_that_cannot_wipe_memory_at_a_fork_is_named, OURS),
    T(where_no_memory_may_be_locked_no_key_is_loaded_and_the_limit_is_named, OURS),
    T(where_no_memory_may_be_locked_and_need_not_be_everything_works_and_is_told, OURS),
    T(a_system_call_filter_without_mlock_is_as_good_as_a_limit, OURS),
    T(a_user_without_a_name_or_a_home_does_everything, OURS),
    T(without_proc_and_shared_memory_everything_works, OURS),
    T(a_store_on_a_read_only_file_system_is_read_with_a_generated_pin, OURS),
    T(the_first_processes_of_two_containers_share_a_store, OURS),
    { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
    static const struct test *const files[] = { container_tests, NULL };
    static const struct way ways[] = { { NULL, NULL, false, false }, { NULL, NULL, false, false } };

    return run_all(files, ways, argc, argv);
}
