/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What a host has: it changes it as it likes, and finds it as it left it. */
#include "coexist.h"

#include <errno.h>
#include <fcntl.h>
#include <fenv.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

/* ---- as it was ---- */

enum { LIMITS = 16, SIGNALS = 64, KERNELS_OWN = 0x04000000 /* SA_RESTORER: shown once anything was set */ };
struct state {
    char locale[512], directory[4096];
    mode_t mask;
    sigset_t blocked;
    struct {
        void (*handler)(int);
        int flags;
        unsigned long blocked; /* the rest of a sigset_t is anything */
    } actions[SIGNALS + 1];
    struct itimerval timer;
    int rounding, exceptions, cancelling;
    size_t environment;
    struct rlimit limits[LIMITS];
    uid_t uid;
};

static size_t environment_sum(void)
{
    size_t sum = 0;

    for (char **at = environ; at && *at; at++)
        for (const char *c = *at; *c; c++) sum = sum * 31 + (unsigned char)*c;
    return sum;
}

static void state_get(struct state *state)
{
    memset(state, 0, sizeof *state);
    snprintf(state->locale, sizeof state->locale, "%s", setlocale(LC_ALL, NULL));
    if (!getcwd(state->directory, sizeof state->directory)) snprintf(state->directory, sizeof state->directory, "none: %d", errno);
    state->mask = umask(0);
    umask(state->mask);
    pthread_sigmask(SIG_SETMASK, NULL, &state->blocked);
    for (int i = 1; i <= SIGNALS; i++) {
        struct sigaction action = { .sa_handler = NULL };

        if (sigaction(i, NULL, &action) != 0) continue;
        state->actions[i].handler = action.sa_handler;
        state->actions[i].flags = action.sa_flags & ~KERNELS_OWN;
        memcpy(&state->actions[i].blocked, &action.sa_mask, sizeof state->actions[i].blocked);
    }
    getitimer(ITIMER_REAL, &state->timer);
    state->timer.it_value = (struct timeval){ 0, 0 };
    state->rounding = fegetround();
    state->exceptions = fegetexcept();
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state->cancelling);
    pthread_setcancelstate(state->cancelling, &state->cancelling);
    state->environment = environment_sum();
    for (int i = 0; i < LIMITS; i++) getrlimit((__rlimit_resource_t)i, &state->limits[i]);
    state->uid = getuid();
}

/* The first that differs, or NULL. */
static const char *differs(const struct state *before)
{
    static struct state now;
#define PART(name)                                           \
    {                                                        \
#name, offsetof(struct state, name), sizeof now.name \
    }
    static const struct {
        const char *name;
        size_t at, len;
    } parts[] = { PART(locale),   PART(directory),  PART(mask),       PART(blocked),     PART(actions), PART(timer),
                  PART(rounding), PART(exceptions), PART(cancelling), PART(environment), PART(limits),  PART(uid) };

    state_get(&now);
    for (size_t i = 0; i < COUNT(parts); i++)
        if (memcmp((const char *)&now + parts[i].at, (const char *)before + parts[i].at, parts[i].len) != 0) return parts[i].name;
    return NULL;
}

static bool is_changed(const struct state *before, const char *part)
{
    const char *name = differs(before);

    return name && strcmp(name, part) == 0;
}

static void on_signal(int number)
{
    (void)number;
}

static void handle(int number, int flags)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };

    sigaction(number, &action, NULL);
}

static struct state before;

TEST(a_host_finds_its_state_as_it_left_it)
{
    sigset_t some;

    handle(SIGPIPE, 0);
    handle(SIGCHLD, SA_RESTART);
    handle(SIGALRM, SA_RESTART);
    sigemptyset(&some);
    sigaddset(&some, SIGUSR1);
    sigaddset(&some, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &some, NULL);
    umask(0137);
    fesetround(FE_DOWNWARD);
    if (chdir("/") != 0) die_at(__FILE__, __LINE__, "chdir: %s", strerror(errno));
    setlocale(LC_ALL, "C.UTF-8");
    state_get(&before);
    exercise("state");
    if (differs(&before)) fail_at(__FILE__, __LINE__, "%s is not as it was", differs(&before));
}

/* Each of these changes would have been seen. */
TEST(a_change_of_the_hosts_state_is_seen)
{
    state_get(&before);
    CHECK(!differs(&before));
    umask(0);
    CHECK(is_changed(&before, "mask"));
    umask(before.mask);
    fesetround(FE_UPWARD);
    CHECK(is_changed(&before, "rounding"));
    fesetround(before.rounding);
    setenv("KL_A_CHANGE", "1", 1);
    CHECK(is_changed(&before, "environment"));
    unsetenv("KL_A_CHANGE");
    handle(SIGPIPE, 0);
    CHECK(is_changed(&before, "actions"));
    /* ThreadSanitizer adds every signal to the mask of an action that is set. */
    if (is_sanitized()) return;
    sigaction(SIGPIPE, &(struct sigaction){ .sa_handler = before.actions[SIGPIPE].handler }, NULL);
    CHECK(!differs(&before));
}

TEST(errno_is_the_hosts_after_every_kind_of_call)
{
    struct use use = use_begin();
    CK_OBJECT_HANDLE key = 0;
    CK_TOKEN_INFO info;

    errno = 4711;
    NEED(key_try(use.session, "edST", &key));
    CHECK(errno == 4711);
    EXPECT(p11->C_DestroyObject(use.session, 0xdead), CKR_OBJECT_HANDLE_INVALID);
    CHECK(errno == 4711);
    NEED(p11->C_GetTokenInfo(use.slot, &info));
    CHECK(errno == 4711);
    NEED(p11->C_Logout(use.session));
    EXPECT(login(use.session, CKU_USER, WRONG_PIN), CKR_PIN_INCORRECT);
    CHECK(errno == 4711);
    NEED(p11->C_Finalize(NULL));
    CHECK(errno == 4711);
}

/* ---- as it likes ---- */

TEST(a_host_may_write_its_numbers_with_a_comma)
{
    char text[16];

    if (!setlocale(LC_ALL, "de_DE.UTF-8")) skip("there is no de_DE.UTF-8 (LOCPATH)");
    snprintf(text, sizeof text, "%.1f", 1.5);
    CHECK(strcmp(text, "1,5") == 0);
    exercise("comma");
    snprintf(text, sizeof text, "%.1f", 1.5);
    CHECK(strcmp(text, "1,5") == 0);
}

TEST(a_host_may_round_as_it_likes)
{
    static const int modes[] = { FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO };
    char label[16];

    for (size_t i = 0; i < COUNT(modes); i++) {
        fesetround(modes[i]);
        snprintf(label, sizeof label, "round %zu", i);
        exercise(label);
        CHECK(fegetround() == modes[i]);
    }
    /* Nor is anything trapped that a host traps. */
    fesetround(FE_TONEAREST);
    feenableexcept(FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW);
    exercise("trap");
    CHECK(fegetexcept() == (FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW));
}

TEST(a_host_may_be_in_a_directory_that_is_gone)
{
    struct use use;
    char path[4200];

    snprintf(path, sizeof path, "%s/gone", sandbox_dir);
    if (mkdir(path, 0700) || chdir(path) || rmdir(path)) die_at(__FILE__, __LINE__, "%s: %s", path, strerror(errno));
    CHECK(!getcwd(path, sizeof path));
    exercise("gone");
    use = use_begin();
    use_on(&use, "gone too");
    stop();
    use_again(&use, "gone too");
}

TEST(files_are_made_for_their_owner_alone_whatever_the_umask)
{
    static const mode_t masks[] = { 0, 0777 };
    static const char *const suffixes[] = { "", "-wal", "-shm", "-epoch" };

    for (size_t i = 0; i < COUNT(masks); i++) {
        sandbox_make();
        umask(masks[i]);
        start();
        token_make(slot_blank(), TOKEN_LABEL);
        for (size_t j = 0; j < COUNT(suffixes); j++) {
            char path[4200];
            struct stat what = { 0 };

            snprintf(path, sizeof path, "%s/demo.db%s", sandbox_dir, suffixes[j]);
            CHECK(stat(path, &what) == 0 && (what.st_mode & 0777) == 0600);
        }
        stop();
        exercise("mask");
        CHECK(umask(022) == masks[i]);
    }
}

static volatile sig_atomic_t alarms;
static void on_alarm(int number)
{
    (void)number;
    alarms++;
}

TEST(a_storm_of_signals_cuts_no_call_short)
{
    struct sigaction action = { .sa_handler = on_alarm };
    struct itimerval often = { { 0, 150 }, { 0, 150 } }, never = { { 0, 0 }, { 0, 0 } };
    char label[16];

    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < 5; i++) {
        snprintf(label, sizeof label, "storm %d", i);
        exercise(label);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    CHECK(alarms > 100);
}

TEST(a_host_may_clear_its_environment_once_we_are_initialised)
{
    struct use use = use_begin();
    char conf[4200];

    snprintf(conf, sizeof conf, "%s", getenv("KEYLADDER_CONF"));
    clearenv();
    use_on(&use, "no environment");
    NEED(p11->C_Logout(use.session));
    NEED(login(use.session, CKU_USER, USER_PIN));
    use.key = find_one(use.session, "kept");
    use_on(&use, "none still");
    stop();
    setenv("KEYLADDER_CONF", conf, 1);
    use_again(&use, "none still");
}

TEST(a_host_that_may_open_no_more_files_is_told_so_and_nothing_is_lost)
{
    struct rlimit few, many;
    struct use use;
    CK_TOKEN_INFO info;
    CK_SLOT_ID slots[4];
    CK_ULONG count = COUNT(slots);

    getrlimit(RLIMIT_NOFILE, &many);
    start();
    NEED(p11->C_GetSlotList(CK_FALSE, slots, &count));
    few = (struct rlimit){ 5, many.rlim_max };
    if (setrlimit(RLIMIT_NOFILE, &few) != 0) die_at(__FILE__, __LINE__, "setrlimit: %s", strerror(errno));
    EXPECT(p11->C_GetTokenInfo(slots[0], &info), CKR_DEVICE_ERROR);
    if (!strstr(last_words(), "Too many open files")) fail_at(__FILE__, __LINE__, "the words are: %s", last_words());
    setrlimit(RLIMIT_NOFILE, &many);
    EXPECT(p11->C_GetTokenInfo(slots[0], &info), CKR_OK);
    stop();
    use = use_begin();
    setrlimit(RLIMIT_NOFILE, &few);
    use_on(&use, "few");
    setrlimit(RLIMIT_NOFILE, &many);
    stop();
    use_again(&use, "few");
}

/* ---- as somebody else ---- */

static void become_nobody(void)
{
    if (setgid(65534) != 0 || setuid(65534) != 0) die_at(__FILE__, __LINE__, "setuid: %s", strerror(errno));
}

static void begin_as_nobody(void *unused)
{
    CK_ULONG count = 77;

    (void)unused;
    become_nobody();
    start();
    NEED(p11->C_GetSlotList(CK_FALSE, NULL, &count));
    CHECK(count == 0);
    stop();
}

static void become_nobody_afterwards(void *unused)
{
    struct use use = use_begin();
    CK_BYTE out[64];
    CK_ULONG len = sizeof out;
    CK_OBJECT_HANDLE key = 0;

    (void)unused;
    become_nobody();
    /* A key that is loaded goes on; a store that this user cannot see is written no more. */
    EXPECT(unseal(use.session, use.key, use.sealed, use.len, NULL, out, &len), CKR_OK);
    EXPECT(key_try(use.session, "edST", &key), CKR_DEVICE_ERROR);
    if (!strstr(last_words(), "demo.db") || !strstr(last_words(), "Permission denied"))
        fail_at(__FILE__, __LINE__, "the words are: %s", last_words());
    EXPECT(p11->C_Finalize(NULL), CKR_OK);
    begin_as_nobody(NULL);
}

/* A service that begins as root, with files that are its user's. */
static void become_the_owner_afterwards(void *unused)
{
    struct use use = use_begin();
    char command[4400];

    (void)unused;
    snprintf(command, sizeof command, "chown -R 65534:65534 '%s'", sandbox_dir);
    if (system(command) != 0) die_at(__FILE__, __LINE__, "chown");
    become_nobody();
    use_on(&use, "the owner's");
    NEED(p11->C_Logout(use.session));
    NEED(login(use.session, CKU_USER, USER_PIN));
    stop();
    use_again(&use, "the owner's");
}

TEST(a_host_may_give_up_its_rights_before_and_after)
{
    if (geteuid() != 0) skip("only root can become somebody else");
    in_other_process(begin_as_nobody, NULL);
    in_other_process(become_nobody_afterwards, NULL);
    exercise("root");
    /* From here on the configuration is another's than root's, who takes none such. */
    in_other_process(become_the_owner_afterwards, NULL);
}

const struct test state_tests[] = {
    T(a_host_finds_its_state_as_it_left_it, OURS),
    T(a_change_of_the_hosts_state_is_seen, OURS),
    T(errno_is_the_hosts_after_every_kind_of_call, OURS),
    T(a_host_may_write_its_numbers_with_a_comma, OURS),
    T(a_host_may_round_as_it_likes, OURS),
    T(a_host_may_be_in_a_directory_that_is_gone, OURS),
    T(files_are_made_for_their_owner_alone_whatever_the_umask, OURS | BLANK),
    T(a_storm_of_signals_cuts_no_call_short, OURS | SLOW),
    T(a_host_may_clear_its_environment_once_we_are_initialised, OURS),
    T(a_host_that_may_open_no_more_files_is_told_so_and_nothing_is_lost, OURS),
    T(a_host_may_give_up_its_rights_before_and_after, OURS),
    { NULL, NULL, 0 },
};
