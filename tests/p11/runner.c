/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Runs the tests: each in a forked process with a copy of one prepared sandbox,
 * so that a crash or a hang is that test's failure and nobody else's.
 *   PROGRAM [WORD…]   only tests whose name contains a word
 *   P11_JOBS          how many at once (2);   P11_TIMEOUT seconds a test (60)
 */
#include "runner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_JOBS = 64, SKIP = 77 };

const struct way *way;
static char template_dir[4096], results_dir[4096];
static unsigned passed, failed, skipped;

struct job {
    pid_t pid;
    const struct test *test;
    const struct way *way;
    double since;
};
static struct job jobs[MOST_JOBS];

int in_other_process(void (*run)(void *), void *arg)
{
    int status = 0;
    pid_t pid = fork();

    if (pid < 0) die_at(__FILE__, __LINE__, "fork: %s", strerror(errno));
    if (pid == 0) {
        failures = 0;
        run(arg);
        fflush(stdout);
        _exit(failures != 0);
    }
    if (waitpid(pid, &status, 0) != pid) die_at(__FILE__, __LINE__, "waitpid: %s", strerror(errno));
    if (WIFSIGNALED(status))
        fail_at(__FILE__, __LINE__, "the other process died of signal %d", WTERMSIG(status));
    else if (WEXITSTATUS(status))
        fail_at(__FILE__, __LINE__, "the other process failed");
    return status;
}

void skip(const char *reason)
{
    printf("    %s\n", reason);
    fflush(stdout);
    sandbox_remove(sandbox_dir);
    _exit(SKIP);
}

static void make_template(void)
{
    int status;
    pid_t pid;

    p11_kind = getenv("P11_KIND") ? (strcmp(getenv("P11_KIND"), "softhsm") ? KEYLADDER : SOFTHSM)
                                  : (strstr(getenv("P11_MODULE"), "softhsm") ? SOFTHSM : KEYLADDER);
    sandbox_make();
    strcpy(template_dir, sandbox_dir);
    pid = fork();
    if (pid == 0) {
        p11_load();
        start();
        token_make(slot_blank(), TOKEN_LABEL);
        /* SoftHSM shows the next blank slot only after a restart. */
        stop();
        start();
        token_make(slot_blank(), "other");
        stop();
        _exit(0);
    }
    waitpid(pid, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status)) die_at(__FILE__, __LINE__, "no token could be made (status %d)", status);
}

/* What a test writes, until it is shown; also what it is called on the way there. */
static const char *title(const struct job *job)
{
    static char text[512];

    snprintf(text, sizeof text, job->way->name ? "%s (%s)" : "%s", job->test->name, job->way->name);
    return text;
}

/* Whatever a test did, and its processes: no secret that all tests know may be in the log at its highest level. */
static void search_log(void)
{
    static const char *const secrets[] = {
        USER_PIN, SO_PIN, WRONG_PIN, NEXT_PIN, "correct horse battery", "a plaintext secret", "0123456789abcdef0123", "3031323334353637"
    };
    char path[4200];
    size_t len;
    char *text;

    snprintf(path, sizeof path, "%s/log", sandbox_dir);
    text = file_read(path, &len);
    if (!text) return;
    for (size_t i = 0; i < COUNT(secrets); i++)
        if (memmem(text, len, secrets[i], strlen(secrets[i]))) fail_at(__FILE__, __LINE__, "the log has \"%s\" in it", secrets[i]);
    free(text);
}

static void run_child(const struct job *job)
{
    const struct test *test = job->test;
    char path[4700];
    int fd;

    setpgid(0, 0);
    way = job->way;
    token_makes_ivs = way->strict;
    if (way->settings) setenv("P11_TOKEN_SETTINGS", way->settings, 1);
    snprintf(path, sizeof path, "%s/%s", results_dir, title(job));
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(fd, 1);
    dup2(fd, 2);
    if (test->needs & BLANK)
        sandbox_make();
    else
        sandbox_copy(template_dir);
    if (!(test->needs & UNLOADED)) p11_load();
    test->run();
    search_log();
    fflush(stdout);
    sandbox_remove(sandbox_dir);
    _exit(failures != 0);
}

static void show(const char *name, const char *how, const char *why)
{
    char path[4700], line[2048];
    FILE *file;

    printf("%s - %s%s%s\n", how, name, why ? ": " : "", why ? why : "");
    snprintf(path, sizeof path, "%s/%s", results_dir, name);
    file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) fputs(line, stdout);
    if (file) fclose(file);
    unlink(path);
    fflush(stdout);
}

static double limit(void)
{
    return getenv("P11_TIMEOUT") ? atof(getenv("P11_TIMEOUT")) : 60;
}

/* Waits until a job has ended; false if none runs. */
static bool reap(size_t count)
{
    bool any = false;

    for (size_t i = 0; i < count; i++) any |= jobs[i].pid != 0;
    while (any) {
        for (size_t i = 0; i < count; i++) {
            double most = limit() * (jobs[i].pid && jobs[i].test->needs & SLOW ? 5 : 1);
            bool late = jobs[i].pid && now_seconds() - jobs[i].since > most;
            char why[64] = "";
            int status;
            bool skips;

            if (!jobs[i].pid) continue;
            /* The whole group: a test that hangs may have forked. */
            if (late) kill(-jobs[i].pid, SIGKILL);
            if (waitpid(jobs[i].pid, &status, late ? 0 : WNOHANG) != jobs[i].pid) continue;
            kill(-jobs[i].pid, SIGKILL);
            if (late)
                snprintf(why, sizeof why, "hung for %.0f s", most);
            else if (WIFSIGNALED(status))
                snprintf(why, sizeof why, "died of signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
            skips = !why[0] && WIFEXITED(status) && WEXITSTATUS(status) == SKIP;
            show(title(&jobs[i]), skips ? "skip" : !why[0] && status == 0 ? "ok" : "not ok", why[0] ? why : NULL);
            if (skips)
                skipped++;
            else if (!why[0] && status == 0)
                passed++;
            else
                failed++;
            jobs[i].pid = 0;
            return true;
        }
        usleep(2000);
    }
    return any;
}

static bool wanted(const char *name, int argc, char **argv)
{
    bool found = argc < 2;

    for (int i = 1; i < argc; i++) found |= strstr(name, argv[i]) != NULL;
    return found;
}

static void launch(const struct test *test, const struct way *as, size_t count)
{
    size_t free_job;

    do {
        for (free_job = 0; free_job < count && jobs[free_job].pid; free_job++) continue;
    } while (free_job == count && reap(count));
    jobs[free_job] = (struct job){ 0, test, as, now_seconds() };
    jobs[free_job].pid = fork();
    if (jobs[free_job].pid == 0) run_child(&jobs[free_job]);
    if (jobs[free_job].pid < 0) die_at(__FILE__, __LINE__, "fork: %s", strerror(errno));
}

static void run_file(const struct test *file, const struct way *as, bool is_first, int argc, char **argv)
{
    size_t count = getenv("P11_JOBS") ? strtoul(getenv("P11_JOBS"), NULL, 10) : 2;

    if (count == 0 || count > MOST_JOBS) count = 2;
    for (const struct test *test = file; test->name; test++) {
        if (!wanted(test->name, argc, argv) || (test->needs & ONCE && !is_first)) continue;
        if (test->needs & OURS && p11_kind != KEYLADDER)
            skipped++;
        else
            launch(test, as, count);
    }
}

int run_all(const struct test *const *files, const struct way *ways, int argc, char **argv)
{
    if (!getenv("P11_MODULE")) die_at(__FILE__, __LINE__, "P11_MODULE does not say which module to test");
    setenv("P11_LOG_LEVEL", "debug", 0);
    setvbuf(stdout, NULL, _IOLBF, 0);
    make_template();
    snprintf(results_dir, sizeof results_dir, "%.4000s.out", template_dir);
    if (mkdir(results_dir, 0700)) die_at(__FILE__, __LINE__, "%s: %s", results_dir, strerror(errno));
    for (const struct way *as = ways; as == ways || as->name; as++)
        for (const struct test *const *file = files; *file; file++) run_file(*file, as, as == ways, argc, argv);
    while (reap(MOST_JOBS)) continue;
    sandbox_remove(results_dir);
    sandbox_remove(template_dir);
    printf("%u passed, %u failed, %u skipped\n", passed, failed, skipped);
    return failed || passed == 0;
}
