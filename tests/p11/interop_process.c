/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Features of several threads and processes that share a token. */
#include "interop.h"

#include <sys/wait.h>
#include <unistd.h>

/* ---- threads ---- */

static CK_OBJECT_HANDLE shared_key;

static void encrypt_often(unsigned number)
{
    CK_BYTE iv[16] = { 0 };
    CK_MECHANISM mech = { CKM_AES_CBC_PAD, iv, sizeof iv };
    CK_SESSION_HANDLE session = session_new(CKF_RW_SESSION);

    for (unsigned i = 0; i < 25; i++) {
        iv[0] = (CK_BYTE)(number * 25 + i + 1);
        round_trip(session, &mech, shared_key);
    }
    MUST(C_CloseSession, session);
}

void threads_encrypt(void)
{
    CK_SESSION_HANDLE session = ready();

    OFFERS(CKM_AES_CBC_PAD, CKF_ENCRYPT | CKF_DECRYPT);
    shared_key = aes_key(session, 32, "ed");
    in_threads(4, encrypt_often);
    finalize();
}

static void generate_often(unsigned number)
{
    CK_SESSION_HANDLE session = session_new(CKF_RW_SESSION);

    (void)number;
    for (unsigned i = 0; i < 10; i++) MUST(C_DestroyObject, session, aes_key(session, 32, "ed"));
    MUST(C_CloseSession, session);
}

void threads_generate(void)
{
    ready();
    in_threads(4, generate_often);
    finalize();
}

/* ---- processes ---- */

void persists(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_MECHANISM mech = { CKM_AES_CBC_PAD, (CK_BYTE[16]){ 5 }, 16 };
    bool encrypts = is_listed(CKM_AES_CBC_PAD, CKF_ENCRYPT | CKF_DECRYPT);
    CK_OBJECT_HANDLE key = labelled_key(session, "edT", MARK " lasts");
    struct bytes plain = { .len = 40 }, cipher;

    memset(plain.data, 'l', plain.len);
    if (encrypts) cipher = encrypted(session, &mech, key, &plain);
    finalize();
    session = ready();
    key = find_labelled(session, MARK " lasts");
    if (key == 0) say_wrong("C_FindObjects: a token key did not outlive C_Finalize");
    if (encrypts) must_decrypt(session, &mech, key, &cipher, &plain);
    MUST(C_DestroyObject, session, key);
    finalize();
    session = ready();
    if (find_labelled(session, MARK " lasts") != 0) say_wrong("C_FindObjects: a destroyed key came back");
    finalize();
}

/* The other process, which loads nothing of this one's state: it was made before C_Initialize, and does as it is told. */
struct other {
    int tell[2], hear[2];
};

static void serve(const struct other *other)
{
    CK_SESSION_HANDLE session = 0;
    char order;

    while (read(other->tell[0], &order, 1) == 1) {
        CK_OBJECT_HANDLE key = 0;
        char found;

        if (session == 0) session = ready();
        if (order == 'm') key = labelled_key(session, "edT", MARK " theirs");
        if (order == 'f') key = find_labelled(session, MARK " ours");
        if (order == 'd') MUST(C_DestroyObject, session, find_labelled(session, MARK " ours"));
        found = key != 0;
        if (write(other->hear[1], &found, 1) != 1) break;
    }
    finalize();
}

static void other_start(struct other *other, pid_t *pid)
{
    if (pipe(other->tell) != 0 || pipe(other->hear) != 0) say_untried("no pipe");
    *pid = fork();
    if (*pid < 0) say_untried("no other process");
    if (*pid == 0) {
        close(other->tell[1]);
        close(other->hear[0]);
        interop_load();
        serve(other);
        _exit(0);
    }
    close(other->tell[0]);
    close(other->hear[1]);
}

static bool order(const struct other *other, char what)
{
    char found = 0;

    if (write(other->tell[1], &what, 1) != 1 || read(other->hear[0], &found, 1) != 1) say_wrong("the other process: %s", report->words);
    return found;
}

/* What is seen within two seconds is seen. */
static CK_ULONG wait_for(CK_SESSION_HANDLE session, const char *text, CK_ULONG want)
{
    CK_ATTRIBUTE label = A_TEXT(CKA_LABEL, text);
    CK_ULONG got = 0;

    for (int i = 0; i < 20; i++) {
        got = count_found(session, &label, 1);
        if (got == want) break;
        usleep(100000);
    }
    return got;
}

void processes_share(void)
{
    CK_SESSION_HANDLE session;
    struct other other;
    bool seen;
    pid_t pid;

    other_start(&other, &pid);
    session = ready();
    order(&other, 'f');
    labelled_key(session, "edT", MARK " ours");
    seen = order(&other, 'f');
    for (int i = 0; i < 20 && !seen; i++) {
        usleep(100000);
        seen = order(&other, 'f');
    }
    if (!seen) say_wrong("C_FindObjects: another process does not see a new key");
    order(&other, 'm');
    if (wait_for(session, MARK " theirs", 1) != 1) say_wrong("C_FindObjects: another process's new key is not seen");
    order(&other, 'd');
    if (wait_for(session, MARK " ours", 0) != 0) say_wrong("C_FindObjects: a key that another process destroyed");
    close(other.tell[1]);
    while (waitpid(pid, NULL, 0) != pid) continue;
    finalize();
}
