/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* See callers.h, and runner.c for how it is called. */
#include "callers.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

void refused_at(const char *file, int line, const char *what, CK_RV got, const CK_RV *want, size_t count)
{
    if (p11_kind == KEYLADDER)
        rv_at(file, line, what, got, want, count);
    else if (got == CKR_OK)
        fail_at(file, line, "%.300s: not refused", what);
}

CK_RV caller_connect(CK_SESSION_HANDLE *session)
{
    CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK };
    CK_RV rv = p11->C_Initialize(&args);

    if (rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED) return rv;
    rv = p11->C_OpenSession(slot_labelled(TOKEN_LABEL), CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, session);
    if (rv != CKR_OK) return rv;
    rv = login(*session, CKU_USER, getenv("PIN"));
    return rv == CKR_USER_ALREADY_LOGGED_IN ? CKR_OK : rv;
}

CK_SESSION_HANDLE caller_session(void)
{
    CK_SESSION_HANDLE session = 0;

    NEED(caller_connect(&session));
    return session;
}

CK_ULONG find_two(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE found[2])
{
    CK_ULONG got = 0;

    NEED(p11->C_FindObjectsInit(session, template, count));
    NEED(p11->C_FindObjects(session, found, 2, &got));
    NEED(p11->C_FindObjectsFinal(session));
    return got;
}

void *shared_new(size_t len)
{
    void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) die_at(__FILE__, __LINE__, "mmap: %s", strerror(errno));
    return memory;
}

static pid_t process_start(void (*run)(unsigned number), unsigned number)
{
    pid_t pid = fork();

    if (pid < 0) die_at(__FILE__, __LINE__, "fork: %s", strerror(errno));
    if (pid > 0) return pid;
    failures = 0;
    run(number);
    fflush(stdout);
    _exit(failures != 0);
}

static void process_end(pid_t pid)
{
    int status = 0;

    if (waitpid(pid, &status, 0) != pid || status) fail_at(__FILE__, __LINE__, "a process ended with %x", (unsigned)status);
}

/* SoftHSM 2.6.1 at times shows a process no token while another one logs in: there, one after the other. */
void processes_run(unsigned count, void (*run)(unsigned number))
{
    pid_t pids[16];

    for (unsigned i = 0; i < count; i++) {
        pids[i] = process_start(run, i);
        if (p11_kind != KEYLADDER) process_end(pids[i]);
    }
    for (unsigned i = 0; i < count && p11_kind == KEYLADDER; i++) process_end(pids[i]);
}

int main(int argc, char **argv)
{
    static const struct test *const files[] = { pg_vault_tde_tests, openbao_tests, database_tests, NULL };
    static const struct way as_configured[] = { { 0 }, { 0 } };

    setenv("PIN", USER_PIN, 1);
    return run_all(files, as_configured, argc, argv);
}
