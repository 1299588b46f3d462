/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Makes many token keys through plain C_GenerateKey and measures what a large
 * token costs: C_Initialize, a search by label at several sizes, memory.
 *   KEYLADDER_MANY (100000)
 * A time over its budget is marked and fails nothing; a wrong answer fails.
 */
#include "p11.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned many;

static long status_kib(const char *what)
{
    char line[256];
    long kib = -1;
    FILE *file = fopen("/proc/self/status", "r");

    while (fgets(line, sizeof line, file))
        if (strncmp(line, what, strlen(what)) == 0) kib = strtol(line + strlen(what) + 1, NULL, 10);
    fclose(file);
    return kib;
}

static void tell(const char *what, double value, const char *unit, double budget)
{
    printf("%-46s %12.1f %-3s (budget %g)%s\n", what, value, unit, budget, value > budget ? "  OVER BUDGET" : "");
    fflush(stdout);
}

static void make_keys(unsigned from, unsigned to)
{
    CK_SESSION_HANDLE session = user_session();
    CK_MECHANISM mech = { CKM_AES_KEY_GEN, NULL, 0 };

    for (unsigned i = from; i < to; i++) {
        CK_OBJECT_HANDLE key = 0;
        char label[32];

        snprintf(label, sizeof label, "key.%06u", i);
        CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, label) };
        NEED(p11->C_GenerateKey(session, &mech, template, COUNT(template), &key));
    }
    stop();
}

/* In a fresh process: what an application sees that has just begun. */
static void measure(unsigned count)
{
    char words[80];
    double before = now_seconds();
    CK_SESSION_HANDLE session;
    CK_BYTE sealed[64], out[64];
    uint64_t rng = 1;
    enum { FINDS = 2000, WARM = 100 };

    start();
    snprintf(words, sizeof words, "%u keys: C_Initialize", count);
    tell(words, (now_seconds() - before) * 1e3, "ms", 2);
    before = now_seconds();
    stop();
    start();
    snprintf(words, sizeof words, "%u keys: C_Finalize and C_Initialize again", count);
    tell(words, (now_seconds() - before) * 1e3, "ms", 0.2);
    session = open_session(CKF_RW_SESSION);
    NEED(login(session, CKU_USER, USER_PIN));
    for (int round = 0; round < 2; round++) {
        before = now_seconds();
        for (unsigned i = 0; i < FINDS; i++) {
            char label[32];

            snprintf(label, sizeof label, "key.%06u", (unsigned)(rng_next(&rng) % (count < WARM ? count : WARM)));
            if (!find_one(session, label)) die_at(__FILE__, __LINE__, "%s is not found", label);
        }
    }
    snprintf(words, sizeof words, "%u keys: find by label, warm", count);
    tell(words, (now_seconds() - before) / FINDS * 1e6, "us", 2);
    before = now_seconds();
    for (unsigned i = 0; i < FINDS / 10; i++)
        if (find_one(session, "no such label")) fail_at(__FILE__, __LINE__, "a key that is not there is found");
    snprintf(words, sizeof words, "%u keys: find nothing", count);
    tell(words, (now_seconds() - before) / (FINDS / 10) * 1e6, "us", 2);
    if (count < many) {
        stop();
        return;
    }
    before = now_seconds();
    for (unsigned i = 0; i < count; i++) {
        CK_ULONG out_len = sizeof out;
        CK_OBJECT_HANDLE key;
        char label[32];
        size_t len;

        snprintf(label, sizeof label, "key.%06u", i);
        key = find_one(session, label);
        if (!key) die_at(__FILE__, __LINE__, "%s is not found", label);
        len = seal(session, key, label, strlen(label), NULL, sealed);
        NEED(unseal(session, key, sealed, len, NULL, out, &out_len));
        if (memcmp(out, label, out_len)) die_at(__FILE__, __LINE__, "%s gives other bytes back", label);
    }
    snprintf(words, sizeof words, "%u keys: each found and used once, a key", count);
    tell(words, (now_seconds() - before) / count * 1e6, "us", 1000);
    tell("resident memory after that", (double)status_kib("VmRSS:") / 1024, "MB", 60);
    /* 32 bytes a key at the least must lie in locked pages. */
    printf("%-46s %12.1f MB (key bytes alone %.1f)\n", "locked memory", (double)status_kib("VmLck:") / 1024, count * 32.0 / 1048576);
    if (status_kib("VmLck:") * 1024 < (long)count * 32) fail_at(__FILE__, __LINE__, "less is locked than the keys are long");
    stop();
}

static void in_child(void (*run)(unsigned), unsigned arg)
{
    int status;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        run(arg);
        fflush(stdout);
        _exit(failures != 0);
    }
    waitpid(pid, &status, 0);
    if (status) fail_at(__FILE__, __LINE__, "ended with status %x", (unsigned)status);
}

int main(void)
{
    static const unsigned steps[] = { 10, 1000, 10000 };
    unsigned made = 0;
    double before;

    many = getenv("KEYLADDER_MANY") ? (unsigned)strtoul(getenv("KEYLADDER_MANY"), NULL, 10) : 100000;
    p11_load();
    sandbox_make();
    start();
    token_make(slot_blank(), TOKEN_LABEL);
    stop();
    for (size_t i = 0; i <= COUNT(steps); i++) {
        unsigned next = i < COUNT(steps) ? steps[i] : many;

        if (next > many) continue;
        before = now_seconds();
        make_keys(made, next);
        printf("%u keys made, %.0f us each\n", next - made, (now_seconds() - before) / (next > made ? next - made : 1) * 1e6);
        made = next;
        in_child(measure, made);
    }
    sandbox_remove(sandbox_dir);
    printf("%s\n", failures ? "many: FAILED" : "many: all found");
    return failures != 0;
}
