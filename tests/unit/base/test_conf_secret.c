/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Secrets from files, the environment, credentials and descriptors. */
#include "base/conf.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "../failing.h"
#include "../unit.h"

static char dir[] = "/tmp/keyladder-secret-XXXXXX";

/* A path below the directory of the test, in one of a few rooms. */
static const char *in_dir(const char *name)
{
    static char rooms[8][200];
    static unsigned next;
    char *room = rooms[next++ % 8];

    snprintf(room, sizeof rooms[0], "%s/%s", dir, name);
    return room;
}

static const char *source_of(const char *name)
{
    static char source[220];

    snprintf(source, sizeof source, "file:%s", in_dir(name));
    return source;
}

static void make(const char *name, const void *bytes, size_t len, mode_t mode)
{
    int fd = open(in_dir(name), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t written = write(fd, bytes, len);

    CU_ASSERT_EQUAL_FATAL(written, (ssize_t)len);
    CU_ASSERT_EQUAL(fchmod(fd, mode), 0);
    close(fd);
}

static void make_text(const char *name, const char *text)
{
    make(name, text, strlen(text), 0600);
}

static bool gives(const char *source, const char *text)
{
    KL_AUTO(kl_secret) secret = { 0 };
    enum kl_rc rc = kl_conf_secret(source, &secret);
    bool is_right = rc == KL_OK && kl_view_is(kl_secret_view(&secret), kl_view_text(text));

    if (!is_right) fprintf(stderr, "\n%s: %s, %s, %zu bytes\n", source, kl_rc_name(rc), kl_fail_words(), secret.len);
    return is_right;
}

/* Refused with the result, with words that have `part` and not the secret, nothing left behind. */
static bool refuses(const char *source, enum kl_rc ought, const char *part)
{
    struct kl_secret secret = { 0 };
    size_t used = kl_arena_stats().used;
    enum kl_rc rc = kl_conf_secret(source, &secret);
    bool is_right = rc == ought && secret.data == NULL && strstr(kl_fail_words(), part) != NULL &&
                    strstr(kl_fail_words(), "hunter2") == NULL && kl_arena_stats().used == used;

    if (!is_right) fprintf(stderr, "\n%s: %s, %s\n", source, kl_rc_name(rc), kl_fail_words());
    kl_secret_clear(&secret);
    return is_right;
}

/* --- files --------------------------------------------------------------- */

static void a_file_is_read_again_at_every_use(void)
{
    make_text("file", "hunter2");
    CU_ASSERT_TRUE(gives(source_of("file"), "hunter2"));
    make_text("file", "hunter3\n");
    CU_ASSERT_TRUE(gives(source_of("file"), "hunter3"));
}

static void one_newline_at_the_end_is_dropped_and_no_more(void)
{
    make_text("file", "a\n\n");
    CU_ASSERT_TRUE(gives(source_of("file"), "a\n"));
    make_text("file", " a b \n");
    CU_ASSERT_TRUE(gives(source_of("file"), " a b "));
    make("file", "a\0b\n", 4, 0600);
    {
        KL_AUTO(kl_secret) secret = { 0 };

        CU_ASSERT_EQUAL(kl_conf_secret(source_of("file"), &secret), KL_OK);
        CU_ASSERT_TRUE(kl_view_is(kl_secret_view(&secret), kl_view_of("a\0b", 3)));
    }
}

static void secrets_of_1_to_4096_bytes_are_taken(void)
{
    static char text[5000];

    make_text("file", "x");
    CU_ASSERT_TRUE(gives(source_of("file"), "x"));
    memset(text, 'y', 4096);
    make_text("file", text);
    CU_ASSERT_TRUE(gives(source_of("file"), text));
    text[4096] = '\n';
    make_text("file", text);
    text[4096] = '\0';
    CU_ASSERT_TRUE(gives(source_of("file"), text));
    make_text("file", "");
    CU_ASSERT_TRUE(refuses(source_of("file"), KL_CONFIG, "is empty"));
    make_text("file", "\n");
    CU_ASSERT_TRUE(refuses(source_of("file"), KL_CONFIG, "is empty"));
    memset(text, 'y', sizeof text - 1);
    for (size_t len = 4097; len < 4100; len++) {
        make("file", text, len, 0600);
        CU_ASSERT_TRUE(refuses(source_of("file"), KL_CONFIG, "longer than 4096 bytes"));
    }
}

static void a_file_that_others_can_use_is_refused(void)
{
    static const mode_t right[] = { 0600, 0400, 0640, 0440, 0700 }, wrong[] = { 0604, 0602, 0601, 0644, 0666, 0660, 0620, 0777 };

    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        make("file", "hunter2", 7, right[i]);
        CU_ASSERT_TRUE(gives(source_of("file"), "hunter2"));
        unlink(in_dir("file"));
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        make("file", "hunter2", 7, wrong[i]);
        CU_ASSERT_TRUE(refuses(source_of("file"), KL_PERMISSION, "chmod 0"));
        unlink(in_dir("file"));
    }
}

static void a_file_that_is_missing_is_not_found(void)
{
    make_text("file", "x");
    CU_ASSERT_TRUE(refuses(source_of("nothing"), KL_NOT_FOUND, "nothing does not exist"));
    CU_ASSERT_TRUE(refuses(source_of("file/below"), KL_NOT_FOUND, "does not exist"));
    CU_ASSERT_TRUE(refuses("file:/nowhere/at/all", KL_NOT_FOUND, "does not exist"));
}

static void what_is_not_a_file_is_refused(void)
{
    CU_ASSERT_TRUE(refuses("file:/", KL_CONFIG, "is a directory"));
    CU_ASSERT_TRUE(refuses(source_of(""), KL_CONFIG, "is a directory"));
    CU_ASSERT_TRUE(refuses(source_of("."), KL_CONFIG, "is a directory"));
    CU_ASSERT_EQUAL(mkfifo(in_dir("pipe"), 0600), 0);
    CU_ASSERT_TRUE(refuses(source_of("pipe"), KL_CONFIG, "is not a file"));
    unlink(in_dir("pipe"));
}

static void ways_round_lead_to_the_same_file(void)
{
    make_text("file", "x");
    mkdir(in_dir("sub"), 0700);
    CU_ASSERT_TRUE(gives(source_of("sub/.././/sub/..//file"), "x"));
    rmdir(in_dir("sub"));
}

static void links_in_safe_directories_are_followed(void)
{
    make_text("file", "x");
    mkdir(in_dir("sub"), 0700);
    CU_ASSERT_EQUAL(symlink("../file", in_dir("sub/relative")), 0);
    CU_ASSERT_EQUAL(symlink(in_dir("sub"), in_dir("absolute")), 0);
    CU_ASSERT_TRUE(gives(source_of("sub/relative"), "x"));
    CU_ASSERT_TRUE(gives(source_of("absolute/relative"), "x"));
    unlink(in_dir("sub/relative"));
    unlink(in_dir("absolute"));
    rmdir(in_dir("sub"));
}

static void links_where_others_may_write_are_refused(void)
{
    static const mode_t wrong[] = { 0770, 0777, 01777 };

    make_text("file", "hunter2");
    mkdir(in_dir("sub"), 0700);
    CU_ASSERT_EQUAL(symlink("../file", in_dir("sub/link")), 0);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CU_ASSERT_EQUAL(chmod(in_dir("sub"), wrong[i]), 0);
        CU_ASSERT_TRUE(refuses(source_of("sub/link"), KL_PERMISSION, "symbolic link link, in a directory"));
    }
    unlink(in_dir("sub/link"));
    rmdir(in_dir("sub"));
}

static void links_that_go_in_circles_or_nowhere_are_refused(void)
{
    CU_ASSERT_EQUAL(symlink("circle", in_dir("circle")), 0);
    CU_ASSERT_TRUE(refuses(source_of("circle"), KL_CONFIG, "symbolic links"));
    CU_ASSERT_EQUAL(symlink("/nowhere/at/all", in_dir("nowhere")), 0);
    CU_ASSERT_TRUE(refuses(source_of("nowhere"), KL_NOT_FOUND, "does not exist"));
    unlink(in_dir("circle"));
    unlink(in_dir("nowhere"));
}

static void a_file_that_a_stranger_planted_is_refused(void)
{
    if (geteuid() != 0) return;
    mkdir(in_dir("open"), 0700);
    CU_ASSERT_EQUAL(chmod(in_dir("open"), 01777), 0);
    make_text("open/file", "hunter2");
    CU_ASSERT_TRUE(gives(source_of("open/file"), "hunter2"));
    CU_ASSERT_EQUAL(chown(in_dir("open/file"), 12345, 12345), 0);
    CU_ASSERT_TRUE(refuses(source_of("open/file"), KL_PERMISSION, "neither root's nor ours"));
    unlink(in_dir("open/file"));
    rmdir(in_dir("open"));
}

static void paths_that_are_too_long_are_refused(void)
{
    static char source[6000];

    memset(source, 'x', sizeof source - 1);
    memcpy(source, "file:/", 6);
    CU_ASSERT_TRUE(refuses(source, KL_CONFIG, "too long"));
    source[400] = '\0';
    CU_ASSERT_TRUE(refuses(source, KL_NOT_FOUND, "does not exist"));
}

static int read_without_rights(void)
{
    UNIT_NEED(geteuid() != 0 || setresuid(65534, 65534, 65534) == 0);
    kl_arena_abandon();
    UNIT_NEED(refuses(source_of("file"), KL_PERMISSION, "cannot be opened"));
    return 0;
}

static void a_file_that_may_not_be_read_is_refused(void)
{
    make("file", "hunter2", 7, geteuid() == 0 ? 0600 : 0);
    CU_ASSERT_EQUAL(unit_in_child(read_without_rights), 0);
    unlink(in_dir("file"));
}

/* --- the others ---------------------------------------------------------- */

static void the_environment_is_read(void)
{
    static char text[4200];

    setenv("KL_TEST_PIN", "hunter2", 1);
    CU_ASSERT_TRUE(gives("env:KL_TEST_PIN", "hunter2"));
    setenv("KL_TEST_PIN", "", 1);
    CU_ASSERT_TRUE(refuses("env:KL_TEST_PIN", KL_CONFIG, "is empty"));
    memset(text, 'x', 4097);
    setenv("KL_TEST_PIN", text, 1);
    CU_ASSERT_TRUE(refuses("env:KL_TEST_PIN", KL_CONFIG, "longer than"));
    unsetenv("KL_TEST_PIN");
    CU_ASSERT_TRUE(refuses("env:KL_TEST_PIN", KL_NOT_FOUND, "env:KL_TEST_PIN is not set"));
}

static void a_credential_is_read_from_its_directory(void)
{
    unsetenv("CREDENTIALS_DIRECTORY");
    CU_ASSERT_TRUE(refuses("cred:pin", KL_NOT_FOUND, "LoadCredential="));
    setenv("CREDENTIALS_DIRECTORY", "relative", 1);
    CU_ASSERT_TRUE(refuses("cred:pin", KL_NOT_FOUND, "LoadCredential="));
    setenv("CREDENTIALS_DIRECTORY", dir, 1);
    CU_ASSERT_TRUE(refuses("cred:pin", KL_NOT_FOUND, "cred:pin does not exist"));
    make_text("pin", "hunter2");
    CU_ASSERT_TRUE(gives("cred:pin", "hunter2"));
    make("pin", "hunter2", 7, 0604);
    CU_ASSERT_TRUE(refuses("cred:pin", KL_PERMISSION, "cred:pin has permissions 0604"));
    unlink(in_dir("pin"));
    unsetenv("CREDENTIALS_DIRECTORY");
}

static const char *descriptor(int fd)
{
    static char source[20];

    snprintf(source, sizeof source, "fd:%d", fd);
    return source;
}

static void a_descriptor_of_a_file_is_read_from_its_beginning_every_time(void)
{
    int fd = memfd_create("pin", MFD_CLOEXEC);

    CU_ASSERT_EQUAL_FATAL(write(fd, "hunter2\n", 8), 8);
    CU_ASSERT_TRUE(gives(descriptor(fd), "hunter2"));
    CU_ASSERT_TRUE(gives(descriptor(fd), "hunter2"));
    CU_ASSERT_EQUAL(lseek(fd, 0, SEEK_CUR), 8); /* the host's position is its own */
    close(fd);
    CU_ASSERT_TRUE(refuses(descriptor(fd), KL_NOT_FOUND, "is not open"));
}

static void a_pipe_is_read_to_its_end_once(void)
{
    int ends[2];

    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    CU_ASSERT_EQUAL(write(ends[1], "hunter", 6), 6);
    CU_ASSERT_EQUAL(write(ends[1], "2\n", 2), 2);
    close(ends[1]);
    CU_ASSERT_TRUE(gives(descriptor(ends[0]), "hunter2"));
    CU_ASSERT_TRUE(refuses(descriptor(ends[0]), KL_CONFIG, "is empty"));
    CU_ASSERT_TRUE(fcntl(ends[0], F_GETFD) >= 0); /* stays open */
    close(ends[0]);
}

static void a_descriptor_that_cannot_be_read_is_refused(void)
{
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

    CU_ASSERT_TRUE(refuses(descriptor(fd), KL_CONFIG, "cannot be read"));
    close(fd);
    fd = open("/tmp", O_RDONLY | O_CLOEXEC);
    CU_ASSERT_TRUE(refuses(descriptor(fd), KL_CONFIG, "cannot be read"));
    close(fd);
}

static void nobody_is_asked_here(void)
{
    CU_ASSERT_TRUE(refuses("prompt", KL_NOT_SUPPORTED, "nobody can be asked"));
}

static void a_secret_in_the_place_of_its_source_is_not_repeated(void)
{
    static const char *const wrong[] = { "hunter2", "", "file:hunter2", "fd:hunter2", "cred:a/hunter2", "env:", "promptly" };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) CU_ASSERT_TRUE(refuses(wrong[i], KL_CONFIG, "write "));
}

static void a_full_secret_or_no_source_is_refused(void)
{
    KL_AUTO(kl_secret) secret = { 0 };

    CU_ASSERT_EQUAL(kl_conf_secret(NULL, &secret), KL_ARG);
    CU_ASSERT_EQUAL(kl_secret_new(&secret, 4), KL_OK);
    CU_ASSERT_EQUAL(kl_conf_secret("env:HOME", &secret), KL_ARG);
}

static void memory_that_cannot_be_had_is_told_and_leaks_no_descriptor(void)
{
    enum kl_rc rc;
    struct kl_secret secret = { 0 };
    int before, after;

    make_text("file", "hunter2");
    kl_arena_abandon();
    failing_system(4); /* mmap, mmap, madvise, madvise */
    before = dup(0);
    rc = kl_conf_secret(source_of("file"), &secret);
    CU_ASSERT_TRUE(failing_has_failed());
    failing_system(0);
    CU_ASSERT_EQUAL(rc, KL_MEMORY);
    CU_ASSERT_PTR_NULL(secret.data);
    after = dup(0);
    CU_ASSERT_EQUAL(after, before + 1);
    close(before);
    close(after);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        UNIT(a_file_is_read_again_at_every_use),
        UNIT(one_newline_at_the_end_is_dropped_and_no_more),
        UNIT(secrets_of_1_to_4096_bytes_are_taken),
        UNIT(a_file_that_others_can_use_is_refused),
        UNIT(a_file_that_is_missing_is_not_found),
        UNIT(what_is_not_a_file_is_refused),
        UNIT(ways_round_lead_to_the_same_file),
        UNIT(links_in_safe_directories_are_followed),
        UNIT(links_where_others_may_write_are_refused),
        UNIT(links_that_go_in_circles_or_nowhere_are_refused),
        UNIT(a_file_that_a_stranger_planted_is_refused),
        UNIT(paths_that_are_too_long_are_refused),
        UNIT(a_file_that_may_not_be_read_is_refused),
        UNIT(the_environment_is_read),
        UNIT(a_credential_is_read_from_its_directory),
        UNIT(a_descriptor_of_a_file_is_read_from_its_beginning_every_time),
        UNIT(a_pipe_is_read_to_its_end_once),
        UNIT(a_descriptor_that_cannot_be_read_is_refused),
        UNIT(nobody_is_asked_here),
        UNIT(a_secret_in_the_place_of_its_source_is_not_repeated),
        UNIT(a_full_secret_or_no_source_is_refused),
        UNIT(memory_that_cannot_be_had_is_told_and_leaks_no_descriptor),
    };
    int status;

    if (mkdtemp(dir) == NULL) return 1;
    status = unit_run("base/conf_secret", tests, sizeof tests / sizeof *tests);
    unlink(in_dir("file"));
    rmdir(dir);
    return status;
}
