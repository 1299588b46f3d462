/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Two processes make, find and destroy token keys and report each step through
 * a pipe, before and after; both are killed at a random moment; then a fresh
 * process holds the token against the reports.
 *   KILLER_POINTS (500) how often   KILLER_SEED (1)
 *   KEYLADDER_TOOL  if set, `doctor` must be content after every kill
 */
#include "p11.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 2, MOST_KEYS = 200000, KEEP = 4 };

/* 'c' creating, 'C' created, 'd' destroying, 'D' destroyed. */
struct report {
    char what;
    unsigned char len;
    char label[30];
    CK_BYTE sealed[96];
};
enum state { UNKNOWN, THERE, MAYBE, GONE };
struct key {
    char label[30];
    enum state state;
    bool has_proof;
    CK_BYTE sealed[96];
    size_t len;
};
static struct key *keys;
static size_t key_count;
static unsigned long found, absent, either, kills_in_create, kills_in_destroy, acknowledged;

static void report(int fd, char what, const char *label, const CK_BYTE *sealed, size_t len)
{
    struct report message = { .what = what, .len = (unsigned char)len };

    memcpy(message.label, label, strnlen(label, sizeof message.label - 1));
    if (len) memcpy(message.sealed, sealed, len);
    /* Under PIPE_BUF: whole or not at all, however we die. */
    if (write(fd, &message, sizeof message) != (ssize_t)sizeof message) _exit(1);
}

static void work(int fd, unsigned point, unsigned number)
{
    CK_SESSION_HANDLE session = user_session();
    CK_MECHANISM mech = { CKM_AES_KEY_GEN, NULL, 0 };
    char labels[KEEP][30] = { "" };

    for (unsigned n = 0;; n++) {
        char *label = labels[n % KEEP];
        CK_OBJECT_HANDLE key = 0;
        CK_BYTE sealed[96];
        size_t len;

        if (*label) {
            key = find_one(session, label);
            if (!key) die_at(__FILE__, __LINE__, "%s is not found by its maker", label);
            report(fd, 'd', label, NULL, 0);
            NEED(p11->C_DestroyObject(session, key));
            report(fd, 'D', label, NULL, 0);
        }
        snprintf(label, 30, "k.%u.%u.%u", point, number, n);
        CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, label) };
        report(fd, 'c', label, NULL, 0);
        NEED(p11->C_GenerateKey(session, &mech, template, COUNT(template), &key));
        len = seal(session, key, label, strlen(label), NULL, sealed);
        report(fd, 'C', label, sealed, len);
    }
}

static struct key *key_named(const char *label)
{
    for (size_t i = key_count; i-- > 0;)
        if (strcmp(keys[i].label, label) == 0) return &keys[i];
    if (key_count == MOST_KEYS) die_at(__FILE__, __LINE__, "too many keys");
    memcpy(keys[key_count].label, label, strnlen(label, sizeof keys[key_count].label - 1));
    return &keys[key_count++];
}

static void hear(const struct report *message)
{
    struct key *key = key_named(message->label);

    key->state = message->what == 'C' ? THERE : message->what == 'D' ? GONE : MAYBE;
    if (message->what == 'C') {
        memcpy(key->sealed, message->sealed, message->len);
        key->len = message->len;
        key->has_proof = true;
        acknowledged++;
    }
}

/* All attributes of a whole key can be read and it works. */
static void expect_whole(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle, const struct key *key)
{
    CK_BYTE out[64], sealed[96];
    CK_ULONG out_len = sizeof out;
    size_t len;

    if (get_ulong(session, handle, CKA_VALUE_LEN) != 32 || get_bool(session, handle, CKA_SENSITIVE) != CK_TRUE ||
        get_bool(session, handle, CKA_LOCAL) != CK_TRUE)
        fail_at(__FILE__, __LINE__, "%s has odd attributes", key->label);
    if (key->has_proof) {
        CK_RV rv = unseal(session, handle, key->sealed, key->len, NULL, out, &out_len);

        if (rv != CKR_OK || out_len != strlen(key->label)) fail_at(__FILE__, __LINE__, "%s does not decrypt: %s", key->label, rv_name(rv));
        return;
    }
    len = seal(session, handle, "x", 1, NULL, sealed);
    if (unseal(session, handle, sealed, len, NULL, out, &out_len) != CKR_OK) fail_at(__FILE__, __LINE__, "%s is half a key", key->label);
}

static void check_from(size_t first)
{
    CK_SESSION_HANDLE session = user_session();

    for (size_t i = first; i < key_count; i++) {
        struct key *key = &keys[i];
        CK_ATTRIBUTE label[] = { A_TEXT(CKA_LABEL, key->label) };
        size_t count = find_count(session, label, 1);

        if (count > 1) fail_at(__FILE__, __LINE__, "%s is there %zu times", key->label, count);
        if (key->state == THERE && count == 0) fail_at(__FILE__, __LINE__, "%s was acknowledged and is lost", key->label);
        if (key->state == GONE && count) fail_at(__FILE__, __LINE__, "%s was destroyed and is back", key->label);
        if (count == 1) expect_whole(session, find_one(session, key->label), key);
    }
    stop();
}

/* In a process of its own: what a kill left behind must suit a module that knows nothing of it. */
static void check(size_t first)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        failures = 0;
        check_from(first);
        fflush(stdout);
        _exit(failures != 0);
    }
    waitpid(pid, &status, 0);
    if (status) fail_at(__FILE__, __LINE__, "the check ended with status %x", (unsigned)status);
}

static void doctor(void)
{
    char command[4200];
    int status;

    if (!getenv("KEYLADDER_TOOL")) return;
    snprintf(command, sizeof command, "'%s' doctor --token demo --module '%s' >'%s/doctor' 2>&1", getenv("KEYLADDER_TOOL"),
             getenv("P11_MODULE"), sandbox_dir);
    /* 3: something wants attention, such as a limit of the machine; the store is sound. */
    status = system(command);
    if (!WIFEXITED(status) || (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 3)) {
        fail_at(__FILE__, __LINE__, "doctor complains:");
        snprintf(command, sizeof command, "cat '%s/doctor'", sandbox_dir);
        if (system(command) != 0) return;
    }
}

static void one_point(unsigned point, uint64_t *rng)
{
    size_t first = key_count;
    pid_t pids[WORKERS];
    int fds[2], status;
    struct report message;
    useconds_t delay = (useconds_t)(rng_next(rng) % 150000);

    if (pipe(fds)) die_at(__FILE__, __LINE__, "pipe: %s", strerror(errno));
    for (unsigned i = 0; i < WORKERS; i++) {
        pids[i] = fork();
        if (pids[i] < 0) die_at(__FILE__, __LINE__, "fork: %s", strerror(errno));
        if (pids[i] == 0) {
            close(fds[0]);
            work(fds[1], point, i);
        }
    }
    close(fds[1]);
    /* Every point of a run is reached in time; start-up, too, is a point. */
    if (point % 10) {
        if (read(fds[0], &message, sizeof message) == (ssize_t)sizeof message) hear(&message);
    }
    usleep(delay);
    kill(pids[rng_next(rng) % WORKERS], SIGKILL);
    usleep((useconds_t)(rng_next(rng) % 5000));
    for (unsigned i = 0; i < WORKERS; i++) kill(pids[i], SIGKILL);
    while (read(fds[0], &message, sizeof message) == (ssize_t)sizeof message) hear(&message);
    close(fds[0]);
    for (unsigned i = 0; i < WORKERS; i++) {
        waitpid(pids[i], &status, 0);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
            fail_at(__FILE__, __LINE__, "a worker ended by itself, status %x", (unsigned)status);
    }
    check(first);
    doctor();
    for (size_t i = first; i < key_count; i++) {
        found += keys[i].state == THERE;
        absent += keys[i].state == GONE;
        either += keys[i].state == MAYBE;
        kills_in_create += keys[i].state == MAYBE && !keys[i].has_proof;
        kills_in_destroy += keys[i].state == MAYBE && keys[i].has_proof;
    }
}

int main(void)
{
    unsigned points = getenv("KILLER_POINTS") ? (unsigned)strtoul(getenv("KILLER_POINTS"), NULL, 10) : 500;
    uint64_t rng = getenv("KILLER_SEED") ? strtoull(getenv("KILLER_SEED"), NULL, 10) : 1;
    pid_t pid;
    int status;

    keys = calloc(MOST_KEYS, sizeof *keys);
    p11_load();
    sandbox_make();
    pid = fork();
    if (pid == 0) {
        start();
        token_make(slot_blank(), TOKEN_LABEL);
        stop();
        _exit(0);
    }
    waitpid(pid, &status, 0);
    if (status) die_at(__FILE__, __LINE__, "no token");
    for (unsigned point = 0; point < points && !failures; point++) one_point(point, &rng);
    if (!failures) check(0);
    printf(
        "%u kills; %lu creations acknowledged; %lu keys rightly there, %lu rightly gone, %lu were in the middle (%lu of creation, %lu of destruction)\n",
        points, acknowledged, found, absent, either, kills_in_create, kills_in_destroy);
    if (!failures && (!found || !absent || !either)) fail_at(__FILE__, __LINE__, "the kills did not hit every kind of moment");
    if (!failures)
        sandbox_remove(sandbox_dir);
    else
        printf("left behind: %s\n", sandbox_dir);
    printf("%s\n", failures ? "killer: FAILED" : "killer: nothing was lost and nothing came back");
    return failures != 0;
}
