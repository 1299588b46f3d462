/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "../unit.h"
#include "base/clock.h"

static char dir[] = "/tmp/keyladder-log-XXXXXX";
static char path[64], target[80];

static int64_t at_1943(void)
{
    return 1795376609;
}

static const struct kl_clock fake = { at_1943, at_1943, at_1943 };

static void begin(enum kl_log_level least)
{
    unlink(path);
    CU_ASSERT_EQUAL_FATAL(kl_log_open(target, least), KL_OK);
}

/* The whole of a file. */
static const char *content_of(const char *name)
{
    static char text[400000];
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    if (fd >= 0) close(fd);
    text[len < 0 ? 0 : len] = '\0';
    return text;
}

/* The text of the last line, behind level and process. */
static const char *last_text(void)
{
    static char line[2000];
    const char *text = content_of(path);
    size_t len = strlen(text);
    const char *from = text + (len > 0 ? len - 1 : 0);

    while (from > text && from[-1] != '\n') from--;
    from = strstr(from, ": ");
    snprintf(line, sizeof line, "%s", from == NULL ? "" : from + 2);
    line[strcspn(line, "\n")] = '\0';
    return line;
}

static void nothing_is_kept_before_a_log_is_open(void)
{
    kl_log(KL_LOG_ERROR, "into the void");
    kl_log_close();
    kl_log(KL_LOG_ERROR, "again");
}

static void a_line_has_time_level_process_and_text(void)
{
    char ought[100];

    kl_clock = &fake;
    begin(KL_LOG_NOTICE);
    kl_log(KL_LOG_WARNING, "root %s away for %d s", "local", 7);
    snprintf(ought, sizeof ought, "2026-11-22T19:43:29Z warning %d: root local away for 7 s\n", (int)getpid());
    CU_ASSERT_STRING_EQUAL(content_of(path), ought);
    kl_clock = &kl_clock_system;
}

static void lesser_levels_are_dropped(void)
{
    begin(KL_LOG_WARNING);
    kl_log(KL_LOG_NOTICE, "no");
    kl_log(KL_LOG_DEBUG, "no");
    kl_log((enum kl_log_level)17, "no");
    CU_ASSERT_STRING_EQUAL(content_of(path), "");
    kl_log(KL_LOG_ERROR, "yes");
    CU_ASSERT_STRING_EQUAL(last_text(), "yes");
}

static void a_text_cannot_make_a_second_line_or_speak_to_a_terminal(void)
{
    begin(KL_LOG_DEBUG);
    kl_log(KL_LOG_ERROR, "%s", "a\nb\r\t\033[31m\x7f \xC2\x9B \xE2\x80\xAE \xE2\x81\xA6 \xE2\x80\xA8 \xFF z");
    CU_ASSERT_STRING_EQUAL(last_text(),
                           "a\\x0ab\\x0d\\x09\\x1b[31m\\x7f \\xc2\\x9b \\xe2\\x80\\xae \\xe2\\x81\\xa6 \\xe2\\x80\\xa8 \\xff z");
    kl_log(KL_LOG_ERROR, "%s", "Zürich 東京 \xF0\x9F\x94\x91 a\\b \xE2\x80\x93");
    CU_ASSERT_STRING_EQUAL(last_text(), "Zürich 東京 \xF0\x9F\x94\x91 a\\b \xE2\x80\x93");
}

static void escaping_twice_is_escaping_once(void)
{
    char once[100], twice[100];

    kl_log_escape(kl_view_text("a\n\\\xFF"), once, sizeof once);
    kl_log_escape(kl_view_text(once), twice, sizeof twice);
    CU_ASSERT_STRING_EQUAL(once, "a\\x0a\\\\xff");
    CU_ASSERT_STRING_EQUAL(once, twice);
}

static void escaped_text_ends_where_the_room_does_and_never_in_a_character(void)
{
    char out[16];

    for (size_t cap = 1; cap < sizeof out; cap++) {
        memset(out, 'x', sizeof out);
        kl_log_escape(kl_view_text("\xC3\xBC\n\xE6\x9D\xB1"
                                   "ab"),
                      out, cap);
        CU_ASSERT_TRUE(strlen(out) < cap);
        CU_ASSERT_TRUE(kl_view_is_utf8(kl_view_text(out)));
        CU_ASSERT_EQUAL(out[cap], 'x');
    }
    CU_ASSERT_STRING_EQUAL(out, "\xC3\xBC\\x0a\xE6\x9D\xB1"
                                "ab");
    CU_ASSERT_STRING_EQUAL(kl_log_escape(kl_view_of(NULL, 0), out, 1), "");
}

static void long_lines_are_cut_at_1000_bytes(void)
{
    char text[5000];
    size_t len;

    begin(KL_LOG_DEBUG);
    for (size_t i = 0; i + 2 < sizeof text; i += 2) memcpy(text + i, "\xC3\xBC", 2);
    text[sizeof text - 2] = '\0';
    for (size_t shift = 0; shift < 3; shift++) {
        kl_log(KL_LOG_ERROR, "%s%s", &"xx"[2 - shift], text);
        len = strlen(content_of(path));
        CU_ASSERT_TRUE(len <= 1000 && len >= 990);
        CU_ASSERT_TRUE(kl_view_is_utf8(kl_view_text(content_of(path))));
        CU_ASSERT_PTR_NULL(strchr(content_of(path), '\\'));
        unlink(path);
    }
}

static void errno_is_kept_and_can_be_named(void)
{
    begin(KL_LOG_DEBUG);
    errno = ENOSPC;
    kl_log(KL_LOG_ERROR, "full: %m");
    CU_ASSERT_EQUAL(errno, ENOSPC);
    CU_ASSERT_STRING_EQUAL(last_text(), "full: No space left on device");
    errno = EIO;
    kl_log_close();
    CU_ASSERT_EQUAL(errno, EIO);
}

static void a_new_file_is_for_its_owner_alone(void)
{
    struct stat what;

    begin(KL_LOG_DEBUG);
    kl_log(KL_LOG_ERROR, "x");
    CU_ASSERT_EQUAL_FATAL(stat(path, &what), 0);
    CU_ASSERT_EQUAL(what.st_mode & 07777, 0600);
}

static void a_hostile_umask_leaves_the_file_open_to_its_owner(void)
{
    struct stat what;
    mode_t before = umask(0777);

    begin(KL_LOG_INFO);
    umask(before);
    kl_log(KL_LOG_ERROR, "one");
    CU_ASSERT_EQUAL_FATAL(stat(path, &what), 0);
    CU_ASSERT_EQUAL(what.st_mode & 07777, 0600);
    CU_ASSERT_STRING_EQUAL(last_text(), "one");
}

static void targets_that_do_not_exist_are_refused(void)
{
    static const char *const wrong[] = { "",     "syslo",  "syslogd", "nones",      "file:",  "file:relative",
                                         "file", "stdout", "stderr",  "/var/log/x", "File:/x" };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CU_ASSERT_EQUAL(kl_log_open(wrong[i], KL_LOG_DEBUG), KL_CONFIG);
        CU_ASSERT_PTR_NOT_NULL(strstr(kl_fail_words(), "syslog, none or file:"));
    }
    CU_ASSERT_EQUAL(kl_log_open(NULL, KL_LOG_DEBUG), KL_CONFIG);
    CU_ASSERT_EQUAL(kl_log_open("none", (enum kl_log_level)9), KL_ARG);
    CU_ASSERT_EQUAL(kl_log_open("none", KL_LOG_DEBUG), KL_OK);
    kl_log(KL_LOG_ERROR, "nowhere");
}

static void a_file_that_cannot_be_opened_drops_lines_until_it_can(void)
{
    char missing[100], late[120];

    snprintf(missing, sizeof missing, "%s/later", dir);
    snprintf(late, sizeof late, "file:%s/log", missing);
    CU_ASSERT_EQUAL(kl_log_open(late, KL_LOG_DEBUG), KL_OK);
    kl_log(KL_LOG_ERROR, "lost");
    CU_ASSERT_EQUAL(mkdir(missing, 0700), 0);
    kl_log(KL_LOG_ERROR, "found");
    snprintf(late, sizeof late, "%s/log", missing);
    CU_ASSERT_PTR_NOT_NULL(strstr(content_of(late), "found"));
    CU_ASSERT_PTR_NULL(strstr(content_of(late), "lost"));
    kl_log_close();
    unlink(late);
    rmdir(missing);
}

static void a_link_or_a_pipe_in_the_files_place_is_not_written_to(void)
{
    char elsewhere[100];

    snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", dir);
    kl_log_close();
    unlink(path);
    close(open(elsewhere, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    CU_ASSERT_EQUAL(symlink(elsewhere, path), 0);
    CU_ASSERT_EQUAL(kl_log_open(target, KL_LOG_DEBUG), KL_OK);
    kl_log(KL_LOG_ERROR, "x");
    CU_ASSERT_STRING_EQUAL(content_of(elsewhere), "");
    unlink(path);
    unlink(elsewhere);
    CU_ASSERT_EQUAL(mkfifo(path, 0600), 0);
    kl_log(KL_LOG_ERROR, "would block");
    unlink(path);
    kl_log(KL_LOG_ERROR, "back");
    CU_ASSERT_STRING_EQUAL(last_text(), "back");
}

static void a_file_moved_away_is_made_anew(void)
{
    char moved[100];

    snprintf(moved, sizeof moved, "%s/log.1", dir);
    begin(KL_LOG_DEBUG);
    kl_log(KL_LOG_ERROR, "before");
    CU_ASSERT_EQUAL(rename(path, moved), 0);
    kl_log(KL_LOG_ERROR, "after");
    CU_ASSERT_STRING_EQUAL(last_text(), "after");
    CU_ASSERT_PTR_NULL(strstr(content_of(moved), "after"));
    unlink(moved);
}

static void a_host_that_closes_our_descriptor_finds_no_lines_in_its_file(void)
{
    char database[100];
    int fd = -1, first;

    snprintf(database, sizeof database, "%s/database", dir);
    begin(KL_LOG_DEBUG);
    kl_log(KL_LOG_ERROR, "before");
    for (first = 3; first < 100; first++) {
        char link[40], name[200] = "";

        snprintf(link, sizeof link, "/proc/self/fd/%d", first);
        if (readlink(link, name, sizeof name - 1) > 0 && strcmp(name, path) == 0) break;
    }
    CU_ASSERT_TRUE_FATAL(first < 100);
    close(first);
    fd = open(database, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    CU_ASSERT_EQUAL(fd, first);
    kl_log(KL_LOG_ERROR, "after");
    CU_ASSERT_STRING_EQUAL(content_of(database), "");
    CU_ASSERT_STRING_EQUAL(last_text(), "after");
    kl_log_close();
    CU_ASSERT_EQUAL(fcntl(fd, F_GETFD) & ~FD_CLOEXEC, 0); /* still the host's */
    close(fd);
    unlink(database);
}

static int abandon_and_go_on(void)
{
    kl_log_abandon();
    kl_log(KL_LOG_ERROR, "of the child");
    kl_log_close();
    return 0;
}

static void a_child_goes_on_and_its_parent_too(void)
{
    begin(KL_LOG_DEBUG);
    CU_ASSERT_EQUAL(unit_in_child(abandon_and_go_on), 0);
    kl_log(KL_LOG_ERROR, "of the parent");
    CU_ASSERT_PTR_NOT_NULL(strstr(content_of(path), "of the child"));
    CU_ASSERT_STRING_EQUAL(last_text(), "of the parent");
}

static void *log_much(void *who)
{
    for (int i = 0; i < 300; i++) kl_log(KL_LOG_INFO, "%s %d of the lines that must stay whole", (const char *)who, i);
    return NULL;
}

static void lines_of_threads_stay_whole(void)
{
    static char names[4][2] = { "a", "b", "c", "d" };
    pthread_t threads[4];
    size_t lines = 0;
    char *rest = NULL;

    begin(KL_LOG_DEBUG);
    for (size_t i = 0; i < 4; i++) CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, log_much, names[i]), 0);
    for (size_t i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    for (char *copy = strdup(content_of(path)), *line = strtok_r(copy, "\n", &rest); copy != NULL; line = strtok_r(NULL, "\n", &rest)) {
        if (line == NULL) {
            free(copy);
            break;
        }
        lines += strstr(line, " info ") != NULL && strstr(line, " of the lines that must stay whole") != NULL;
    }
    CU_ASSERT_EQUAL(lines, 1200);
}

/* --- syslog, in a namespace with a /dev of its own ----------------------- */

enum { CANNOT = 77 };

static int listen_at_dev_log(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    return fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 ? fd : -1;
}

static bool hears(int fd, const char *ought)
{
    char line[1100] = "";
    ssize_t len = recv(fd, line, sizeof line - 1, 0);

    if (len > 0 && strcmp(line, ought) == 0) return true;
    fprintf(stderr, "heard %s", len > 0 ? line : "nothing\n");
    return false;
}

static int talk_to_syslog(void)
{
    char ought[100];
    int fd;

    if (unshare(CLONE_NEWNS) != 0) return CANNOT;
    UNIT_NEED(mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0);
    UNIT_NEED(mount("none", "/dev", "tmpfs", 0, NULL) == 0);
    /* Nobody listens: lines are dropped. */
    UNIT_NEED(kl_log_open("syslog", KL_LOG_NOTICE) == KL_OK);
    kl_log(KL_LOG_ERROR, "lost");
    fd = listen_at_dev_log();
    UNIT_NEED(fd >= 0);
    kl_log(KL_LOG_ERROR, "found");
    snprintf(ought, sizeof ought, "<83>keyladder[%d]: found", (int)getpid());
    UNIT_NEED(hears(fd, ought));
    /* The daemon is started anew. */
    close(fd);
    unlink("/dev/log");
    fd = listen_at_dev_log();
    kl_log(KL_LOG_NOTICE, "again");
    snprintf(ought, sizeof ought, "<85>keyladder[%d]: again", (int)getpid());
    UNIT_NEED(hears(fd, ought));
    kl_log(KL_LOG_INFO, "too little");
    UNIT_NEED(recv(fd, ought, sizeof ought, 0) < 0);
    /* A daemon that does not read must not stop us. */
    for (int i = 0; i < 5000; i++) kl_log(KL_LOG_ERROR, "flood");
    return 0;
}

static void syslog_is_spoken_to_by_a_socket_of_our_own(void)
{
    int status = unit_in_child(talk_to_syslog);

    /* In a container that may not have namespaces, nobody can tell. */
    CU_ASSERT_TRUE(status == 0 || status == CANNOT);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        UNIT(nothing_is_kept_before_a_log_is_open),
        UNIT(a_line_has_time_level_process_and_text),
        UNIT(lesser_levels_are_dropped),
        UNIT(a_text_cannot_make_a_second_line_or_speak_to_a_terminal),
        UNIT(escaping_twice_is_escaping_once),
        UNIT(escaped_text_ends_where_the_room_does_and_never_in_a_character),
        UNIT(long_lines_are_cut_at_1000_bytes),
        UNIT(errno_is_kept_and_can_be_named),
        UNIT(a_new_file_is_for_its_owner_alone),
        UNIT(a_hostile_umask_leaves_the_file_open_to_its_owner),
        UNIT(targets_that_do_not_exist_are_refused),
        UNIT(a_file_that_cannot_be_opened_drops_lines_until_it_can),
        UNIT(a_link_or_a_pipe_in_the_files_place_is_not_written_to),
        UNIT(a_file_moved_away_is_made_anew),
        UNIT(a_host_that_closes_our_descriptor_finds_no_lines_in_its_file),
        UNIT(a_child_goes_on_and_its_parent_too),
        UNIT(lines_of_threads_stay_whole),
        UNIT(syslog_is_spoken_to_by_a_socket_of_our_own),
    };
    int status;

    if (mkdtemp(dir) == NULL) return 1;
    snprintf(path, sizeof path, "%s/log", dir);
    snprintf(target, sizeof target, "file:%s", path);
    status = unit_run("base/log", tests, sizeof tests / sizeof *tests);
    kl_log_close();
    unlink(path);
    rmdir(dir);
    return status;
}
