/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * No IV twice under one key, whatever makes it: threads, processes, a store put
 * back from an older copy, forks in the middle of an operation. Every IV that
 * the token makes is written down; in the end they are sorted and compared.
 *   nonces [threads|processes|restore|forks|inherit]…   KEYLADDER_NONCES (1000000) a thread
 */
#include "ways.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 8, PROCESSES = 4, RESTORED = 10000, FORKED = 3000, DATA = 16 };
#define KEY_LABEL "nonces"

/* Envelopes have a subkey of their own; everything else is CKM_AES_GCM. */
struct iv {
    CK_BYTE bytes[12];
    uint32_t mechanism;
};
static struct iv *ivs;
static atomic_size_t *used;
static size_t room, per_thread;

static void room_make(size_t count)
{
    room = count;
    ivs = mmap(NULL, count * sizeof *ivs, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    used = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (ivs == MAP_FAILED || used == MAP_FAILED) die_at(__FILE__, __LINE__, "no memory for %zu IVs", count);
}

static struct iv *lend(size_t count)
{
    size_t first = atomic_fetch_add(used, count);

    if (first + count > room) die_at(__FILE__, __LINE__, "more IVs than room");
    return ivs + first;
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct iv));
}

static void none_twice(const char *what)
{
    size_t count = atomic_load(used), twice = 0, by_envelope = 0;

    qsort(ivs, count, sizeof *ivs, compare);
    for (size_t i = 0; i < count; i++) {
        by_envelope += ivs[i].mechanism == 1;
        twice += i > 0 && compare(&ivs[i - 1], &ivs[i]) == 0;
    }
    if (twice) fail_at(__FILE__, __LINE__, "%s: %zu of %zu IVs came twice", what, twice, count);
    printf("%s: %zu IVs, %zu of them of envelopes, %zu twice\n", what, count, by_envelope, twice);
    fflush(stdout);
    munmap(ivs, room * sizeof *ivs);
    munmap(used, 4096);
}

/* ---- one IV ---- */

/* Two sessions, for a session keeps one key at hand and envelopes have one of their own. */
struct user {
    CK_SESSION_HANDLE session, for_envelopes;
    CK_OBJECT_HANDLE key;
    bool has_messages;
};

static struct user user_with(CK_SESSION_HANDLE session, CK_SESSION_HANDLE for_envelopes)
{
    CK_MECHANISM mechanism = { CKM_AES_GCM, NULL, 0 };
    struct user user = { session, for_envelopes, find_one(session, KEY_LABEL), false };
    CK_RV rv;

    if (!user.key) die_at(__FILE__, __LINE__, "the key is not found");
    rv = p32->C_MessageEncryptInit(session, &mechanism, user.key);
    user.has_messages = rv == CKR_OK || rv == CKR_OPERATION_ACTIVE;
    if (!user.has_messages && rv != CKR_FUNCTION_NOT_SUPPORTED) die_at(__FILE__, __LINE__, "C_MessageEncryptInit: %s", rv_name(rv));
    return user;
}

static struct user user_of(CK_SESSION_HANDLE session)
{
    return user_with(session, open_session(0));
}

static void by_gcm(const struct user *user, struct iv *out)
{
    CK_BYTE data[DATA] = { 0 }, sealed[DATA + 16];
    CK_ULONG len = sizeof sealed;

    memset(out, 0, sizeof *out);
    NEED(gcm_init(user->session, true, user->key, out->bytes, 12, NULL, 0, 128));
    NEED(p11->C_Encrypt(user->session, data, DATA, sealed, &len));
}

static void by_envelope(const struct user *user, struct iv *out)
{
    CK_MECHANISM mechanism = { CKM_KL_ENVELOPE, NULL, 0 };
    CK_BYTE data[DATA] = { 0 }, sealed[DATA + 64];
    CK_ULONG len = sizeof sealed;

    NEED(p11->C_EncryptInit(user->for_envelopes, &mechanism, user->key));
    NEED(p11->C_Encrypt(user->for_envelopes, data, DATA, sealed, &len));
    memcpy(out->bytes, sealed + 20, 12);
    out->mechanism = 1;
}

/* CKG_GENERATE, CKG_GENERATE_COUNTER with and without a prefix of the caller's, CKG_GENERATE_RANDOM. */
static void by_message(const struct user *user, struct iv *out, CK_ULONG generator, CK_ULONG fixed_bits)
{
    CK_BYTE data[DATA] = { 0 }, sealed[DATA], tag[16];
    struct t_gcm_message message = { out->bytes, 12, fixed_bits, generator, tag, 128 };
    CK_ULONG len = sizeof sealed;

    memset(out, 0, sizeof *out);
    NEED(p32->C_EncryptMessage(user->session, &message, sizeof message, NULL, 0, data, DATA, sealed, &len));
}

static void make_iv(const struct user *user, size_t turn, struct iv *out)
{
    size_t way = turn % (user->has_messages ? 6 : 2);

    if (way == 0) by_gcm(user, out);
    if (way == 1) by_envelope(user, out);
    if (way == 2) by_message(user, out, CKG_GENERATE, 0);
    if (way == 3) by_message(user, out, CKG_GENERATE_COUNTER, 0);
    if (way == 4) by_message(user, out, CKG_GENERATE_COUNTER, 32);
    if (way == 5) by_message(user, out, CKG_GENERATE_RANDOM, 0);
    if (memcmp(out->bytes, "\0\0\0\0\0\0\0\0\0\0\0", 12) == 0) die_at(__FILE__, __LINE__, "an IV of zeros");
}

static void make_ivs(const struct user *user, size_t count)
{
    struct iv *mine = lend(count);

    for (size_t i = 0; i < count; i++) make_iv(user, i, &mine[i]);
}

/* ---- a token with a table's key in it ---- */

static void make_token(void)
{
    CK_ATTRIBUTE table[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, KEY_LABEL) };
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key = 0;

    start();
    token_make(slot_blank(), TOKEN_LABEL);
    session = open_session(CKF_RW_SESSION);
    NEED(login(session, CKU_USER, USER_PIN));
    NEED(hkdf_try(session, find_one(session, "master"), NULL, 0, KEY_LABEL, 6, table, COUNT(table), &key));
    stop();
}

/* Ends a child; what it found is its exit status. */
static __attribute__((noreturn)) void leave(void)
{
    fflush(stdout);
    _exit(failures != 0);
}

static void wait_for(pid_t pid)
{
    int status = 0;

    if (pid < 0 || waitpid(pid, &status, 0) != pid) die_at(__FILE__, __LINE__, "fork: %s", strerror(errno));
    if (status) fail_at(__FILE__, __LINE__, "a child ended with status %x", (unsigned)status);
}

/* ---- many at once ---- */

static void *one_thread(void *arg)
{
    struct user user = user_of(open_session(0));

    (void)arg;
    make_ivs(&user, per_thread);
    return NULL;
}

static void by_threads(void)
{
    pthread_t ids[THREADS];

    room_make(THREADS * per_thread);
    user_session();
    for (size_t t = 0; t < THREADS; t++)
        if (pthread_create(&ids[t], NULL, one_thread, NULL)) die_at(__FILE__, __LINE__, "no thread: %s", strerror(errno));
    for (size_t t = 0; t < THREADS; t++) pthread_join(ids[t], NULL);
    stop();
    none_twice("8 threads");
}

static void by_processes(void)
{
    pid_t pids[PROCESSES];

    room_make(PROCESSES * (per_thread / 4));
    for (size_t p = 0; p < PROCESSES; p++) {
        pids[p] = fork();
        if (pids[p] == 0) {
            struct user user = user_of(user_session());

            make_ivs(&user, per_thread / 4);
            stop();
            leave();
        }
    }
    for (size_t p = 0; p < PROCESSES; p++) wait_for(pids[p]);
    none_twice("4 processes");
}

/* ---- a store put back ---- */

static void in_sandbox(const char *format)
{
    char command[16384];

    snprintf(command, sizeof command, "cd '%s' && %s", sandbox_dir, format);
    if (system(command) != 0) die_at(__FILE__, __LINE__, "%s", command);
}

static void use_once(void)
{
    struct user user = user_of(user_session());

    make_ivs(&user, RESTORED);
    stop();
}

/* Twice: the second time by a process that did not see the first. */
static void by_restore(void)
{
    pid_t pid;

    room_make(4 * RESTORED);
    use_once();
    in_sandbox("mkdir copy && cp -a demo.db* copy/");
    use_once();
    in_sandbox("rm demo.db* && cp -a copy/demo.db* .");
    use_once();
    in_sandbox("rm demo.db* && cp -a copy/demo.db* .");
    pid = fork();
    if (pid == 0) {
        use_once();
        leave();
    }
    wait_for(pid);
    none_twice("a store put back twice");
}

/* ---- forks ---- */

typedef pid_t (*forker)(void);

/* Every state that a fork can find an encryption in. */
static const char *const states[] = { "nothing",
                                      "C_EncryptInit",
                                      "C_EncryptUpdate",
                                      "C_EncryptInit, envelope",
                                      "C_MessageEncryptInit",
                                      "C_EncryptMessage, counter",
                                      "C_EncryptMessageBegin" };

/* False: the module has no messages yet. */
static bool get_into(const struct user *user, size_t state, struct iv *out)
{
    static CK_BYTE tag[16];
    CK_BYTE data[DATA] = { 0 }, sealed[DATA * 2];
    CK_ULONG len = sizeof sealed;
    CK_MECHANISM envelope = { CKM_KL_ENVELOPE, NULL, 0 };
    struct t_gcm_message message = { out->bytes, 12, 0, CKG_GENERATE, tag, 128 };

    cancel_all(user->session);
    memset(out, 0, sizeof *out);
    if (state >= 4) {
        CK_MECHANISM mechanism = { CKM_AES_GCM, NULL, 0 };

        if (!user->has_messages) return false;
        NEED(p32->C_MessageEncryptInit(user->session, &mechanism, user->key));
    }
    if (state == 1 || state == 2) NEED(gcm_init(user->session, true, user->key, out->bytes, 12, NULL, 0, 128));
    if (state == 2) NEED(p11->C_EncryptUpdate(user->session, data, DATA, sealed, &len));
    if (state == 3) NEED(p11->C_EncryptInit(user->session, &envelope, user->key));
    if (state == 5) by_message(user, out, CKG_GENERATE_COUNTER, 0);
    if (state == 6) NEED(p32->C_EncryptMessageBegin(user->session, &message, sizeof message, NULL, 0));
    return true;
}

/* What the operation gives where it goes on; `out` has its IV. */
static CK_RV go_on(const struct user *user, size_t state, struct iv *out)
{
    static CK_BYTE tag[16];
    CK_BYTE data[DATA] = { 0 }, sealed[DATA + 64];
    CK_ULONG len = sizeof sealed;
    struct t_gcm_message message = { out->bytes, 12, 0, CKG_GENERATE, tag, 128 };
    CK_RV rv = CKR_OK;

    if (state == 1) rv = p11->C_Encrypt(user->session, data, DATA, sealed, &len);
    if (state == 2) rv = p11->C_EncryptFinal(user->session, sealed, &len);
    if (state == 3) rv = p11->C_Encrypt(user->session, data, DATA, sealed, &len);
    if (state == 3 && rv == CKR_OK) {
        memcpy(out->bytes, sealed + 20, 12);
        out->mechanism = 1;
    }
    if (state == 4 || state == 5) {
        message.generator = state == 5 ? CKG_GENERATE_COUNTER : CKG_GENERATE;
        memset(out, 0, sizeof *out);
        rv = p32->C_EncryptMessage(user->session, &message, sizeof message, NULL, 0, data, DATA, sealed, &len);
    }
    if (state == 6) rv = p32->C_EncryptMessageNext(user->session, &message, sizeof message, data, DATA, sealed, &len, CKF_END_OF_MESSAGE);
    return rv;
}

static __attribute__((noreturn)) void in_child_of_inherit(const struct user *user, size_t state)
{
    struct iv iv;
    struct user mine;
    CK_RV rv = CKR_OPERATION_NOT_INITIALIZED;

    /* What was an IV of the parent's stays the parent's. */
    memset(&iv, 0, sizeof iv);
    if (state > 0) rv = go_on(user, state, &iv);
    if (rv != CKR_OPERATION_NOT_INITIALIZED) fail_at(__FILE__, __LINE__, "%s goes on in a child: %s", states[state], rv_name(rv));
    cancel_all(user->session);
    mine = user_with(user->session, user->for_envelopes);
    if (mine.key != user->key) fail_at(__FILE__, __LINE__, "the key has another handle in a child");
    make_ivs(&mine, FORKED);
    leave();
}

static void begin_anew(size_t count)
{
    struct user mine = user_of(user_session());

    make_ivs(&mine, count);
}

/* A child and a grandchild begin anew, as 2.40 asks. */
static __attribute__((noreturn)) void in_child_of_reset(forker how)
{
    pid_t pid;

    begin_anew(FORKED / 2);
    pid = how();
    if (pid == 0) {
        begin_anew(FORKED / 2);
        leave();
    }
    wait_for(pid);
    leave();
}

static bool is_inherited(void)
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        CK_INFO info;

        _exit(p11->C_GetInfo(&info) == CKR_OK);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid) die_at(__FILE__, __LINE__, "fork: %s", strerror(errno));
    return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

static void fork_in_state(const struct user *user, size_t state, bool inherits)
{
    const forker how[] = { fork, _Fork };

    for (size_t h = 0; h < COUNT(how); h++) {
        struct iv iv, *mine;
        struct user again;
        CK_RV rv;
        pid_t pid;

        if (!get_into(user, state, &iv)) return;
        /* The counter's first message is one that both will not make again. */
        if (state == 5) *lend(1) = iv;
        pid = how[h]();
        /* A child of the bare system call, which calls no handlers, begins anew under either setting. */
        if (pid == 0 && inherits && how[h] == fork) in_child_of_inherit(user, state);
        if (pid == 0) in_child_of_reset(how[h]);
        if (state > 0) {
            mine = lend(1);
            rv = go_on(user, state, &iv);
            if (rv != CKR_OK) fail_at(__FILE__, __LINE__, "%s does not go on in the parent: %s", states[state], rv_name(rv));
            *mine = iv;
        }
        cancel_all(user->session);
        again = user_with(user->session, user->for_envelopes);
        make_ivs(&again, FORKED);
        wait_for(pid);
    }
}

static void by_forks(bool inherits)
{
    struct user user;

    room_make(COUNT(states) * 2 * 4 * FORKED);
    user = user_of(user_session());
    for (size_t state = 0; state < COUNT(states); state++) fork_in_state(&user, state, inherits);
    stop();
    none_twice(inherits ? "forks under fork = inherit" : "forks under fork = reset");
}

static void by_reset(void)
{
    by_forks(false);
}

static void by_inherit(void)
{
    char path[4200];
    FILE *file;

    snprintf(path, sizeof path, "%s/keyladder.conf", sandbox_dir);
    file = fopen(path, "a");
    if (!file || fputs("[module]\nfork = inherit\n", file) < 0 || fclose(file)) die_at(__FILE__, __LINE__, "%s: %s", path, strerror(errno));
    start();
    if (!is_inherited()) die_at(__FILE__, __LINE__, "a child has to begin anew under fork = inherit");
    stop();
    by_forks(true);
}

/* ---- all of them ---- */

static const struct part {
    const char *name;
    void (*run)(void);
} parts[] = {
    { "threads", by_threads }, { "processes", by_processes }, { "restore", by_restore }, { "forks", by_reset }, { "inherit", by_inherit }
};

static bool is_wanted(const char *name, int argc, char **argv)
{
    bool found = argc < 2;

    for (int i = 1; i < argc; i++) found |= strcmp(argv[i], name) == 0;
    return found;
}

int main(int argc, char **argv)
{
    double before = now_seconds();
    unsigned run = 0;

    per_thread = getenv("KEYLADDER_NONCES") ? strtoul(getenv("KEYLADDER_NONCES"), NULL, 10) : 1000000;
    /* Each in a process and a token of its own: a setting of [module] is read once. */
    for (size_t p = 0; p < COUNT(parts); p++) {
        pid_t pid;

        if (!is_wanted(parts[p].name, argc, argv)) continue;
        fflush(stdout);
        pid = fork();
        if (pid == 0) {
            p11_load();
            p32_load();
            sandbox_make();
            make_token();
            parts[p].run();
            sandbox_remove(sandbox_dir);
            leave();
        }
        wait_for(pid);
        run++;
    }
    if (!run) fail_at(__FILE__, __LINE__, "there is no such part");
    printf("nonces: %s after %.0f s\n", failures ? "FAILED" : "none twice", now_seconds() - before);
    return failures != 0;
}
