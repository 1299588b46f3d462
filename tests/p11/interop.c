/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Asks a module for features, each in a process of its own, so that a crash or a
 * hang is the answer to one question. Writes JSON lines; tools/interop shows them.
 *   interop [--list] [REGEX]
 *   P11_MODULE, P11_TOKEN, P11_PIN, P11_SO_PIN, P11_INIT_ARGS: which token
 *   P11_TIMEOUT: seconds a feature (20)
 * Ends with 1 where the token could not be used at all, and says why.
 */
#include "interop.h"

#include <errno.h>
#include <regex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

const struct feature features[] = {
#define F(group, name, expects, probe) { group, name, expects, probe },
#include "interop.def"
#undef F
    { NULL, NULL, NULL, NULL },
};

/* ---- output ---- */

static void put_text(const char *key, const char *text, const char *after)
{
    printf("\"%s\": \"", key);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else if ((unsigned char)*text < ' ' || (unsigned char)*text > '~')
            putchar('?');
        else
            putchar(*text);
    }
    printf("\"%s", after);
}

static void put_field(const char *key, const CK_UTF8CHAR *field, size_t len, const char *after)
{
    char text[65] = "";

    while (len > 0 && (field[len - 1] == ' ' || field[len - 1] == 0)) len--;
    memcpy(text, field, len);
    put_text(key, text, after);
}

static void put_version(const char *key, CK_VERSION version, const char *after)
{
    printf("\"%s\": \"%u.%u\"%s", key, version.major, version.minor, after);
}

static void put_feature(const struct feature *feature, const char *after)
{
    put_text("group", feature->group, ", ");
    put_text("name", feature->name, ", ");
    put_text("expects", feature->expects, after);
}

/* ---- one process a probe ---- */

static double limit(void)
{
    double seconds = getenv("P11_TIMEOUT") ? atof(getenv("P11_TIMEOUT")) : 20;

    return seconds > 0 ? seconds : 20;
}

/* Whatever the module prints is not part of the answer; nor does a probe outlive whoever asks. */
static void live(void (*probe)(void), pid_t parent)
{
    setpgid(0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) _exit(1);
    if (dup2(STDERR_FILENO, STDOUT_FILENO) < 0) _exit(1);
    interop_load();
    probe();
    if (report->answer == NONE) report->answer = YES;
    fflush(stdout);
    _exit(0);
}

static void bury(pid_t pid, int status, bool is_late)
{
    kill(-pid, SIGKILL);
    /* What came after an answer was the end of a process that had failed already. */
    if (report->answer != NONE && report->answer != YES) return;
    report->stage[STAGE - 1] = 0;
    if (is_late) {
        snprintf(report->words, WORDS, "no answer in %.0f s: %s", limit(), report->stage);
    } else if (WIFSIGNALED(status)) {
        snprintf(report->words, WORDS, "crashed by signal %d in %s", WTERMSIG(status), report->stage);
    } else if (report->answer == NONE) {
        snprintf(report->words, WORDS, "the process was ended with status %d in %s", WEXITSTATUS(status), report->stage);
    } else {
        return;
    }
    report->answer = WRONG;
}

static void ask(void (*probe)(void))
{
    double since = now_seconds();
    pid_t parent = getpid(), pid;
    bool is_late;
    int status = 0;

    memset(report, 0, sizeof *report);
    fflush(stdout);
    pid = fork();
    if (pid == 0) live(probe, parent);
    if (pid < 0) die_at(__FILE__, __LINE__, "fork: %s", strerror(errno));
    while (waitpid(pid, &status, WNOHANG) != pid) {
        is_late = now_seconds() - since > limit();
        if (is_late) {
            kill(-pid, SIGKILL);
            kill(pid, SIGKILL);
            while (waitpid(pid, &status, 0) != pid && errno == EINTR) continue;
            bury(pid, status, true);
            return;
        }
        usleep(500);
    }
    bury(pid, status, false);
}

/* ---- before and after ---- */

static void introduce(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_TOKEN_INFO token;
    CK_INFO info;

    (void)session;
    MUST(C_GetInfo, &info);
    MUST(C_GetTokenInfo, token_slot, &token);
    /* To the end of the output, in one piece: the process's own is for the module. */
    if (dup2(3, STDOUT_FILENO) < 0) _exit(1);
    printf("{");
    put_field("library", info.libraryDescription, sizeof info.libraryDescription, ", ");
    put_field("manufacturer", info.manufacturerID, sizeof info.manufacturerID, ", ");
    put_version("library version", info.libraryVersion, ", ");
    put_version("cryptoki", info.cryptokiVersion, ", ");
    put_field("token", token.label, sizeof token.label, ", ");
    put_field("model", token.model, sizeof token.model, ", ");
    put_version("firmware", token.firmwareVersion, "}\n");
    fflush(stdout);
    finalize();
}

static void clean(void)
{
    CK_ULONG count = sweep();

    snprintf(report->words, WORDS, "%lu", count);
}

/* How many objects the token has, once everything of ours is gone; -1 if that cannot be found out. */
static long clean_up(void)
{
    ask(clean);
    if (report->answer == YES) return strtol(report->words, NULL, 10);
    fprintf(stderr, "interop: the token could not be cleaned: %s\n", report->words);
    return -1;
}

static void ask_feature(const struct feature *feature)
{
    static const char *const words[] = { [NONE] = "", [YES] = "yes", [NO] = "no", [WRONG] = "wrong", [UNTRIED] = "untried" };
    struct report told;

    ask(feature->probe);
    told = *report;
    if (told.made || told.answer == WRONG) clean_up();
    printf("{");
    put_feature(feature, ", ");
    put_text("answer", words[told.answer], ", ");
    put_text("words", told.answer == YES ? "" : told.words, "}\n");
}

static int run(const regex_t *wanted)
{
    char whole[512];
    long before, after;

    /* What a process that dies wrote so far is nobody else's to write again. */
    if (dup2(STDOUT_FILENO, 3) < 0) return 1;
    ask(introduce);
    if (report->answer != YES) {
        fprintf(stderr, "interop: the token cannot be used: %s\n", report->words);
        return 1;
    }
    before = clean_up();
    for (const struct feature *feature = features; feature->group != NULL; feature++) {
        snprintf(whole, sizeof whole, "%s: %s", feature->group, feature->name);
        if (wanted == NULL || regexec(wanted, whole, 0, NULL, 0) == 0) ask_feature(feature);
    }
    after = clean_up();
    printf("{\"objects before\": %ld, \"objects after\": %ld}\n", before, after);
    return before < 0 || after < 0;
}

static const char *given(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] != 0 ? value : NULL;
}

int main(int argc, char **argv)
{
    bool is_list = argc > 1 && strcmp(argv[1], "--list") == 0;
    regex_t wanted;

    argc -= is_list ? 1 : 0;
    argv += is_list ? 1 : 0;
    if (argc > 1 && regcomp(&wanted, argv[1], REG_EXTENDED | REG_NOSUB) != 0) {
        fprintf(stderr, "interop: %s is no regular expression\n", argv[1]);
        return 2;
    }
    if (is_list) {
        for (const struct feature *feature = features; feature->group != NULL; feature++) {
            printf("{");
            put_feature(feature, "}\n");
        }
        return 0;
    }
    target = (struct target){ given("P11_TOKEN"), given("P11_PIN"), given("P11_SO_PIN"), given("P11_INIT_ARGS") };
    report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (report == MAP_FAILED || !getenv("P11_MODULE")) {
        fprintf(stderr, "interop: P11_MODULE does not say which module to ask\n");
        return 1;
    }
    return run(argc > 1 ? &wanted : NULL);
}
