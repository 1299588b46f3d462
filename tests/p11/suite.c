/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Runs the tests: each in a forked process with a copy of one prepared sandbox,
 * so that a crash or a hang is that test's failure and nobody else's.
 *   suite [WORD…]   only tests whose name contains a word
 *   P11_JOBS        how many at once (2);   P11_TIMEOUT seconds a test (60)
 */
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_JOBS = 64 };

const struct function functions[] = {
#define F(name, version, args, answer) { #name, version, args, answer },
#include "functions.def"
#undef F
};
const size_t function_count = COUNT(functions);

static const struct test *const files[] = { general_tests, login_tests,  object_tests, policy_tests, gcm_tests,
                                            message_tests, cipher_tests, mac_tests,    wrap_tests,   ladder_tests,
                                            fork_tests,    vendor_tests, inherit_tests };
static char template_dir[4096], results_dir[4096];
static unsigned passed, failed, skipped;

struct job {
    pid_t pid;
    const struct test *test;
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

static void run_child(const struct test *test)
{
    char path[4200];
    int fd;

    setpgid(0, 0);
    snprintf(path, sizeof path, "%s/%s", results_dir, test->name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(fd, 1);
    dup2(fd, 2);
    if (test->needs & BLANK)
        sandbox_make();
    else
        sandbox_copy(template_dir);
    p11_load();
    test->run();
    fflush(stdout);
    sandbox_remove(sandbox_dir);
    _exit(failures != 0);
}

static void show(const char *name, bool well, const char *why)
{
    char path[4200], line[2048];
    FILE *file;

    printf("%s - %s%s%s\n", well ? "ok" : "not ok", name, why ? ": " : "", why ? why : "");
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

            if (!jobs[i].pid) continue;
            /* The whole group: a test that hangs may have forked. */
            if (late) kill(-jobs[i].pid, SIGKILL);
            if (waitpid(jobs[i].pid, &status, late ? 0 : WNOHANG) != jobs[i].pid) continue;
            kill(-jobs[i].pid, SIGKILL);
            if (late)
                snprintf(why, sizeof why, "hung for %.0f s", most);
            else if (WIFSIGNALED(status))
                snprintf(why, sizeof why, "died of signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
            show(jobs[i].test->name, !why[0] && status == 0, why[0] ? why : NULL);
            if (!why[0] && status == 0)
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

static void launch(const struct test *test, size_t count)
{
    size_t free_job;

    do {
        for (free_job = 0; free_job < count && jobs[free_job].pid; free_job++) continue;
    } while (free_job == count && reap(count));
    jobs[free_job] = (struct job){ fork(), test, now_seconds() };
    if (jobs[free_job].pid == 0) run_child(test);
    if (jobs[free_job].pid < 0) die_at(__FILE__, __LINE__, "fork: %s", strerror(errno));
}

int main(int argc, char **argv)
{
    size_t count = getenv("P11_JOBS") ? strtoul(getenv("P11_JOBS"), NULL, 10) : 2;

    if (!getenv("P11_MODULE")) die_at(__FILE__, __LINE__, "P11_MODULE does not say which module to test");
    if (count == 0 || count > MOST_JOBS) count = 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    make_template();
    snprintf(results_dir, sizeof results_dir, "%.4000s.out", template_dir);
    if (mkdir(results_dir, 0700)) die_at(__FILE__, __LINE__, "%s: %s", results_dir, strerror(errno));
    for (size_t f = 0; f < COUNT(files); f++) {
        for (const struct test *test = files[f]; test->name; test++) {
            if (!wanted(test->name, argc, argv)) continue;
            if (test->needs & OURS && p11_kind != KEYLADDER) {
                skipped++;
                continue;
            }
            launch(test, count);
        }
    }
    while (reap(count)) continue;
    sandbox_remove(results_dir);
    sandbox_remove(template_dir);
    printf("%u passed, %u failed, %u skipped\n", passed, failed, skipped);
    return failed || passed == 0;
}
