/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A host that closes every descriptor, has none of the first three, or starts other programs. */
#include "coexist.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HOST_FILES = 48, HOST_FILE_LEN = 8192, OURS_MOST = 16 };
static int host_files[HOST_FILES];

static CK_BYTE byte_of(size_t file, size_t at)
{
    return (CK_BYTE)(file * 31 + at * 7 + at / 256);
}

static const char *host_path(size_t file)
{
    static char path[4300];

    snprintf(path, sizeof path, "%s/host-%zu", sandbox_dir, file);
    return path;
}

/* Each has a lock of the host's on its first byte. */
static void open_host_files(void)
{
    for (size_t i = 0; i < HOST_FILES; i++) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1 };
        CK_BYTE text[HOST_FILE_LEN];

        for (size_t at = 0; at < sizeof text; at++) text[at] = byte_of(i, at);
        host_files[i] = open(host_path(i), O_RDWR | O_CREAT | O_TRUNC, 0600);
        if (host_files[i] < 0 || write(host_files[i], text, sizeof text) != sizeof text || fcntl(host_files[i], F_SETLK, &lock) != 0)
            die_at(__FILE__, __LINE__, "%s: %s", host_path(i), strerror(errno));
    }
}

/* Changed, cut, or closed. */
static size_t harmed_host_files(void)
{
    size_t harmed = 0;

    for (size_t i = 0; i < HOST_FILES; i++) {
        CK_BYTE text[HOST_FILE_LEN + 1];
        ssize_t len = pread(host_files[i], text, sizeof text, 0);
        bool is_whole = len == HOST_FILE_LEN;

        for (size_t at = 0; is_whole && at < HOST_FILE_LEN; at++) is_whole = text[at] == byte_of(i, at);
        harmed += !is_whole;
    }
    return harmed;
}

static void count_locks(void *missing)
{
    for (size_t i = 0; i < HOST_FILES; i++) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1 };

        if (fcntl(host_files[i], F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) ++*(size_t *)missing;
    }
}

/* As another process sees them. */
static size_t unlocked_host_files(void)
{
    size_t *missing = mmap(NULL, sizeof *missing, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    in_other_process(count_locks, missing);
    return *missing;
}

static bool is_host_file(int number)
{
    for (size_t i = 0; i < HOST_FILES; i++)
        if (host_files[i] == number) return true;
    return false;
}

static void close_all_and_open_own(void)
{
    int ours[OURS_MOST];
    size_t count = descriptors_of_ours(ours, OURS_MOST);

    CHECK(count >= 4); /* the store, its log, its index, its mark; and our log */
    if (close_range(3, ~0U, 0) != 0) die_at(__FILE__, __LINE__, "close_range: %s", strerror(errno));
    open_host_files();
    /* The trap is set: what were our numbers are the host's. */
    for (size_t i = 0; i < count; i++) CHECK(is_host_file(ours[i]));
}

static void host_files_are_whole(void)
{
    CHECK(harmed_host_files() == 0);
    CHECK(unlocked_host_files() == 0);
}

static void again(void *use)
{
    use_again(use, "after");
}

TEST(a_host_that_closes_our_descriptors_keeps_its_own_files_as_they_are)
{
    struct use use = use_begin();

    close_all_and_open_own();
    use_on(&use, "after");
    EXPECT(login(use.session, CKU_USER, USER_PIN), CKR_USER_ALREADY_LOGGED_IN);
    NEED(p11->C_Logout(use.session));
    EXPECT(login(use.session, CKU_USER, WRONG_PIN), CKR_PIN_INCORRECT);
    NEED(login(use.session, CKU_USER, USER_PIN));
    CHECK(find_one(use.session, "after") != 0);
    host_files_are_whole();
    stop();
    host_files_are_whole();
    CHECK(is_logged("the program has closed descriptors that are ours; the store is opened anew"));
    use_again(&use, "after");
    in_other_process(again, &use);
    host_files_are_whole();
    /* What compares would have seen one byte. */
    CHECK(pwrite(host_files[3], "?", 1, 4000) == 1 && harmed_host_files() == 1);
    close(host_files[5]);
    CHECK(harmed_host_files() == 2 && unlocked_host_files() == 1);
}

TEST(a_host_that_closes_our_descriptors_and_finalizes_closes_none_of_its_own)
{
    struct use use = use_begin();

    close_all_and_open_own();
    stop();
    host_files_are_whole();
    use_again(&use, NULL);
    host_files_are_whole();
}

TEST(a_host_that_closes_our_descriptors_between_two_parts_of_a_call_goes_on)
{
    CK_ATTRIBUTE class = A_ULONG(CKA_CLASS, CKO_SECRET_KEY);
    struct use use = use_begin();
    CK_OBJECT_HANDLE found[8];
    CK_ULONG count = 0;

    NEED(p11->C_FindObjectsInit(use.session, &class, 1));
    close_all_and_open_own();
    EXPECT(p11->C_FindObjects(use.session, found, COUNT(found), &count), CKR_OK);
    CHECK(count == 2); /* the master and "kept" */
    NEED(p11->C_FindObjectsFinal(use.session));
    use_on(&use, "after");
    host_files_are_whole();
}

TEST(a_host_that_has_closed_our_descriptors_and_may_not_open_them_again_is_told)
{
    struct use use = use_begin();
    CK_OBJECT_HANDLE key = 0;

    if (geteuid() != 0) skip("only root can become somebody else");
    close_all_and_open_own();
    if (seteuid(65534) != 0) die_at(__FILE__, __LINE__, "seteuid: %s", strerror(errno));
    EXPECT(key_try(use.session, "edST", &key), CKR_DEVICE_ERROR);
    if (!strstr(last_words(), "cannot be looked at") && !strstr(last_words(), "is gone") && !strstr(last_words(), "by this user"))
        fail_at(__FILE__, __LINE__, "the words are: %s", last_words());
    host_files_are_whole();
    /* The files are there again, and so is the store. */
    if (seteuid(0) != 0) die_at(__FILE__, __LINE__, "seteuid: %s", strerror(errno));
    use_on(&use, "after");
    host_files_are_whole();
    stop();
    use_again(&use, "after");
}

static atomic_bool enough;
static _Atomic unsigned made, refused;

static void *make_keys(void *use)
{
    CK_SESSION_HANDLE session = open_on(((struct use *)use)->slot, CKF_RW_SESSION);

    while (!enough) {
        CK_OBJECT_HANDLE key = 0;
        CK_RV rv = key_try(session, "edST", &key);

        EXPECT(rv, CKR_OK, CKR_DEVICE_ERROR);
        *(rv == CKR_OK ? &made : &refused) += 1;
    }
    return NULL;
}

TEST(descriptors_closed_under_busy_threads_cost_them_a_call_at_most)
{
    struct use use = use_begin();
    pthread_t threads[3];

    for (size_t i = 0; i < COUNT(threads); i++) pthread_create(&threads[i], NULL, make_keys, &use);
    for (unsigned round = 0; round < 20 && !failures; round++) {
        unsigned before = made;

        close_range(3, ~0U, 0);
        for (double until = now_seconds() + 30; made < before + 3 && now_seconds() < until;) usleep(1000);
        CHECK(made >= before + 3);
    }
    enough = true;
    for (size_t i = 0; i < COUNT(threads); i++) pthread_join(threads[i], NULL);
    if (refused > 20 * COUNT(threads)) fail_at(__FILE__, __LINE__, "%u calls were refused", refused);
    use_on(&use, "after");
    stop();
    in_other_process(again, &use);
}

/* ---- no standard input, output or error ---- */

/* SQLite may put /dev/null there, lest anybody's file takes the place. */
static void is_no_file(int fd)
{
    struct stat what, null;

    if (fstat(fd, &what) != 0) return;
    CHECK(stat("/dev/null", &null) == 0 && S_ISCHR(what.st_mode) && what.st_rdev == null.st_rdev);
}

static void without_standard_files(void *unused)
{
    int saved = fcntl(1, F_DUPFD_CLOEXEC, 100);
    struct use use;

    (void)unused;
    fflush(stdout);
    close_range(0, 2, 0);
    use = use_begin();
    use_on(&use, "after");
    for (int fd = 0; fd <= 2; fd++) is_no_file(fd);
    close_range(0, 99, 0);
    use_on(&use, "and once more");
    for (int fd = 0; fd <= 2; fd++) is_no_file(fd);
    stop();
    close_range(0, 99, 0);
    /* These are the numbers that whoever opens a file is given. */
    CHECK(open(getenv("P11_MODULE"), O_RDONLY | O_CLOEXEC) == 0);
    dup2(saved, 1);
    dup2(saved, 2);
}

TEST(where_standard_output_is_closed_no_file_of_ours_takes_its_place)
{
    in_other_process(without_standard_files, NULL);
    CHECK(find_one(user_session(), "and once more") != 0);
}

/* ---- programs that the host starts ---- */

static char *const ls[] = { (char *)(uintptr_t) "ls", (char *)(uintptr_t) "-l", (char *)(uintptr_t) "/proc/self/fd", NULL };

static pid_t by_vfork(int out)
{
    pid_t pid = vfork();

    if (pid == 0) {
        dup2(out, 1);
        execv("/bin/ls", ls);
        _exit(127);
    }
    return pid;
}

static pid_t by_spawn(int out)
{
    posix_spawn_file_actions_t actions;
    pid_t pid = -1;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    if (posix_spawn(&pid, "/bin/ls", &actions, NULL, ls, environ) != 0) die_at(__FILE__, __LINE__, "no /bin/ls");
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

/* How many files of the sandbox a program sees that is started so. */
static unsigned seen_by_child(pid_t (*begin)(int))
{
    char path[4200], text[65536];
    int out[2], status = 0;
    unsigned seen = 0;
    size_t len = 0;
    pid_t pid;

    if (pipe2(out, O_CLOEXEC) != 0) die_at(__FILE__, __LINE__, "pipe: %s", strerror(errno));
    pid = begin(out[1]);
    close(out[1]);
    for (ssize_t got; (got = read(out[0], text + len, sizeof text - 1 - len)) > 0;) len += (size_t)got;
    text[len] = '\0';
    close(out[0]);
    waitpid(pid, &status, 0);
    CHECK(status == 0 && strstr(text, "->"));
    snprintf(path, sizeof path, "-> %s", sandbox_dir);
    for (const char *at = text; (at = strstr(at, path)); at++) seen++;
    return seen;
}

TEST(a_program_that_the_host_starts_sees_no_descriptor_of_ours)
{
    struct use use = use_begin();
    int ours[OURS_MOST];
    size_t count = descriptors_of_ours(ours, OURS_MOST);

    CHECK(count >= 4);
    CHECK(seen_by_child(by_spawn) == 0);
    CHECK(seen_by_child(by_vfork) == 0);
    use_on(&use, "after");
    fcntl(ours[0], F_SETFD, 0);
    CHECK(seen_by_child(by_spawn) == 1);
    CHECK(seen_by_child(by_vfork) == 1);
}

const struct test file_tests[] = {
    T(a_host_that_closes_our_descriptors_keeps_its_own_files_as_they_are, OURS),
    T(a_host_that_closes_our_descriptors_and_finalizes_closes_none_of_its_own, OURS),
    T(a_host_that_closes_our_descriptors_between_two_parts_of_a_call_goes_on, OURS),
    T(a_host_that_has_closed_our_descriptors_and_may_not_open_them_again_is_told, OURS),
    T(descriptors_closed_under_busy_threads_cost_them_a_call_at_most, OURS | SLOW),
    T(where_standard_output_is_closed_no_file_of_ours_takes_its_place, OURS),
    T(a_program_that_the_host_starts_sees_no_descriptor_of_ours, OURS),
    { NULL, NULL, 0 },
};
