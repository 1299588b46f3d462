/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* fork = reset: a child begins anew; fork = inherit: it goes on. The parent notices nothing. */
#include "suite.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

typedef pid_t (*forker)(void);

struct before {
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;
    CK_BYTE sealed[64];
    size_t len;
};

static struct before prepare(void)
{
    struct before before = { .session = user_session() };

    before.slot = slot_labelled(TOKEN_LABEL);
    before.key = key_make(before.session, "edST");
    NEED(p11->C_SetAttributeValue(before.session, before.key, (CK_ATTRIBUTE[]){ A_TEXT(CKA_LABEL, "forked") }, 1));
    before.len = seal(before.session, before.key, "hello", 5, NULL, before.sealed);
    return before;
}

static void works(const struct before *before)
{
    CK_BYTE out[64];
    CK_ULONG out_len = sizeof out;

    EXPECT(unseal(before->session, before->key, before->sealed, before->len, NULL, out, &out_len), CKR_OK);
    CHECK(out_len == 5);
}

/* Waits; a child that hangs is killed and told. */
static void child_went_well(pid_t pid)
{
    int status = 0;
    double until = now_seconds() + 20;

    if (pid < 0) die_at(__FILE__, __LINE__, "fork: %s", strerror(errno));
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (now_seconds() > until) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            fail_at(__FILE__, __LINE__, "the child hung");
            return;
        }
        usleep(1000);
    }
    if (status) fail_at(__FILE__, __LINE__, "the child ended with status %x", (unsigned)status);
}

static void begin_anew(const struct before *before)
{
    CK_SESSION_INFO info;
    CK_INFO library;
    CK_ULONG count = 0;
    struct before mine = *before;

    EXPECT(p11->C_GetInfo(&library), CKR_CRYPTOKI_NOT_INITIALIZED);
    EXPECT(p11->C_GetSlotList(CK_TRUE, NULL, &count), CKR_CRYPTOKI_NOT_INITIALIZED);
    EXPECT(p11->C_GetSessionInfo(before->session, &info), CKR_CRYPTOKI_NOT_INITIALIZED);
    EXPECT(gcm_init(before->session, true, before->key, before->sealed, 12, NULL, 0, 128), CKR_CRYPTOKI_NOT_INITIALIZED);
    EXPECT(p11->C_CloseSession(before->session), CKR_CRYPTOKI_NOT_INITIALIZED);
    EXPECT(p11->C_Logout(before->session), CKR_CRYPTOKI_NOT_INITIALIZED);
    EXPECT(p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
    mine.session = user_session();
    EXPECT(p11->C_GetSessionInfo(before->session, &info), CKR_SESSION_HANDLE_INVALID, CKR_OK);
    if (before->session != mine.session) EXPECT(p11->C_GetSessionInfo(before->session, &info), CKR_SESSION_HANDLE_INVALID);
    mine.key = find_one(mine.session, "forked");
    works(&mine);
    NEED(p11->C_SetAttributeValue(mine.session, key_make(mine.session, "edST"), (CK_ATTRIBUTE[]){ A_TEXT(CKA_LABEL, "by a child") }, 1));
    stop();
}

static void fork_once(forker how, bool in_operation)
{
    struct before before = prepare();
    CK_BYTE out[64], iv[12] = "mid-op fork.";
    CK_ULONG len = sizeof out;
    pid_t pid;

    if (in_operation) NEED(gcm_init(before.session, true, before.key, iv, 12, NULL, 0, 128));
    pid = how();
    if (pid == 0) {
        if (in_operation)
            EXPECT(p11->C_Encrypt(before.session, (CK_BYTE *)(uintptr_t) "child", 5, out, &len), CKR_CRYPTOKI_NOT_INITIALIZED);
        begin_anew(&before);
        fflush(stdout);
        _exit(failures != 0);
    }
    child_went_well(pid);
    if (in_operation) EXPECT(p11->C_Encrypt(before.session, (CK_BYTE *)(uintptr_t) "parent", 6, out, &len), CKR_OK);
    works(&before);
    NEED(key_try(before.session, "edST", &before.key));
    sleep(2);
    CHECK(find_one(before.session, "by a child") != 0);
}

TEST(a_child_is_not_initialised_and_may_begin_anew)
{
    fork_once(fork, false);
}
TEST(a_child_of_the_raw_system_call_is_not_initialised_and_may_begin_anew)
{
    fork_once(_Fork, false);
}
TEST(a_fork_in_mid_operation_is_the_parents_operation)
{
    fork_once(fork, true);
}
TEST(a_raw_fork_in_mid_operation_is_the_parents_operation)
{
    fork_once(_Fork, true);
}

TEST(a_child_that_exits_or_dies_harms_nobody)
{
    struct before before = prepare();

    for (int i = 0; i < 20; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            if (i % 3 == 0 && !is_sanitized()) exit(0); /* with every atexit handler */
            if (i % 3 == 1) _exit(0);
            user_session();
            _exit(0);
        }
        child_went_well(pid);
        works(&before);
    }
    stop();
    prepare();
}

TEST(a_grandchild_begins_anew_too)
{
    struct before before = prepare();
    pid_t pid = fork();

    if (pid == 0) {
        struct before mine = before;
        pid_t grandchild;

        mine.session = user_session();
        mine.key = find_one(mine.session, "forked");
        grandchild = fork();
        if (grandchild == 0) {
            begin_anew(&mine);
            _exit(failures != 0);
        }
        child_went_well(grandchild);
        works(&mine);
        fflush(stdout);
        _exit(failures != 0);
    }
    child_went_well(pid);
    works(&before);
}

TEST(a_fork_before_initialize_needs_nothing)
{
    pid_t pid = fork();

    if (pid == 0) {
        prepare();
        fflush(stdout);
        _exit(failures != 0);
    }
    child_went_well(pid);
    start();
    CHECK(find_one(open_session(0), "forked") == 0);
}

/* ---- forks among busy threads ---- */

static atomic_bool enough;
static unsigned long rounds[4];

static void *busy(void *arg)
{
    size_t me = (size_t)arg;
    CK_SESSION_HANDLE session = open_session(CKF_RW_SESSION);
    CK_OBJECT_HANDLE shared = find_one(session, "forked");
    CK_BYTE sealed[64], out[64];

    while (!enough) {
        CK_ULONG out_len = sizeof out;
        size_t len = seal(session, shared, "busy", 4, NULL, sealed);

        EXPECT(unseal(session, shared, sealed, len, NULL, out, &out_len), CKR_OK);
        if (find_one(session, "forked") != shared) fail_at(__FILE__, __LINE__, "the key is not found");
        NEED(p11->C_DestroyObject(session, key_make(session, rounds[me] % 16 ? "edS" : "edST")));
        if (rounds[me] % 4 == 0) NEED(p11->C_CloseSession(open_session(0)));
        rounds[me]++;
    }
    NEED(p11->C_CloseSession(session));
    return NULL;
}

static void fork_among_threads(forker how, int forks)
{
    struct before before = prepare();
    pthread_t threads[4];

    for (size_t i = 0; i < 4; i++) pthread_create(&threads[i], NULL, busy, (void *)i);
    for (int i = 0; i < forks && !failures; i++) {
        pid_t pid = how();

        if (pid == 0) {
            struct before mine = before;
            CK_INFO info;

            /* The raw call leaves libc's own locks as they were, and so do the sanitizers theirs: no malloc then. */
            EXPECT(p11->C_GetInfo(&info), CKR_CRYPTOKI_NOT_INITIALIZED);
            if (how == fork && !is_sanitized()) {
                mine.session = user_session();
                mine.key = find_one(mine.session, "forked");
                works(&mine);
                stop();
            }
            _exit(failures != 0);
        }
        child_went_well(pid);
    }
    enough = true;
    for (size_t i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    for (size_t i = 0; i < 4; i++) CHECK(rounds[i] > 0);
    works(&before);
}

TEST(a_hundred_forks_among_busy_threads_hang_nowhere)
{
    fork_among_threads(fork, 100);
}
TEST(a_hundred_raw_forks_among_busy_threads_hang_nowhere)
{
    fork_among_threads(_Fork, 100);
}

/* ---- where keys lie ---- */

TEST(loaded_keys_lie_in_memory_that_is_locked_not_dumped_and_wiped_at_fork)
{
    struct before before = prepare();
    FILE *file = fopen("/proc/self/smaps", "r");
    char line[512];
    bool found = false;

    works(&before);
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "VmFlags:", 8)) continue;
        /* The sanitizers make nothing of mlock(). */
        if ((strstr(line, " lo") || is_sanitized()) && strstr(line, " dd") && strstr(line, " wf")) found = true;
    }
    fclose(file);
    CHECK(found);
}

TEST(the_module_says_nothing_on_stdout_and_stderr)
{
    char path[4200];
    long size;
    FILE *file;

    snprintf(path, sizeof path, "%s/said", sandbox_dir);
    fflush(stdout);
    int saved = dup(1), saved_err = dup(2);
    if (!freopen(path, "w", stdout)) _exit(1);
    dup2(1, 2);
    struct before before = prepare();
    CK_OBJECT_HANDLE key = 0;
    p11->C_DestroyObject(before.session, 12345);
    key_try(before.session, "wd", &key);
    p11->C_CloseAllSessions(before.slot);
    login(open_session(0), CKU_USER, "wrong-pin-000");
    stop();
    fflush(stdout);
    dup2(saved, 1);
    dup2(saved_err, 2);
    file = fopen(path, "r");
    fseek(file, 0, SEEK_END);
    size = ftell(file);
    fclose(file);
    CHECK(size == 0);
}

TEST(no_pin_label_value_or_plaintext_is_in_the_log)
{
    static const char *const secrets[] = {
        USER_PIN, SO_PIN, "wrong-pin-000", "correct horse", "a plaintext secret", "0123456789abcdef0123456789ABCDEF"
    };
    struct before before = prepare();
    char path[4200];
    static char text[1 << 20];
    FILE *file;
    CK_OBJECT_HANDLE key = 0;
    CK_BYTE sealed[100];

    seal(before.session, before.key, "a plaintext secret", 18, NULL, sealed);
    NEED(import_try(before.session, CKK_AES, secrets[5], 32, "edST", &key));
    p11->C_Logout(before.session);
    login(before.session, CKU_USER, "wrong-pin-000");
    login(before.session, CKU_SO, "wrong-pin-000");
    stop();
    snprintf(path, sizeof path, "%s/log", sandbox_dir);
    file = fopen(path, "r");
    if (!file) return;
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    for (size_t i = 0; i < COUNT(secrets); i++)
        if (strstr(text, secrets[i])) fail_at(__FILE__, __LINE__, "the log has \"%s\" in it", secrets[i]);
}

/* ---- fork = inherit ---- */

static void inherit(void)
{
    sandbox_add("[module]\nfork = inherit\n");
}

static struct before prepare_to_inherit(void)
{
    inherit();
    return prepare();
}

/* What `run` does in a child, which has a deadline. */
static void in_child(void (*run)(const struct before *), const struct before *before)
{
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        failures = 0;
        run(before);
        fflush(stdout);
        _exit(failures != 0);
    }
    child_went_well(pid);
}

static bool says_fork_safe(void)
{
    t_get_interface get = (t_get_interface)(uintptr_t)p11_sym("C_GetInterface");
    t_get_interface_list list = (t_get_interface_list)(uintptr_t)p11_sym("C_GetInterfaceList");
    struct t_interface all[8], *found = NULL;
    CK_ULONG count = COUNT(all), safe = 0;

    NEED(list(all, &count));
    for (CK_ULONG i = 0; i < count; i++) safe += all[i].flags & 1;
    CHECK(safe == 0 || safe == count);
    EXPECT(get(NULL, NULL, &found, 1), safe ? CKR_OK : CKR_ARGUMENTS_BAD);
    NEED(get(NULL, NULL, &found, 0));
    CHECK((found->flags & 1) == (safe != 0));
    return safe != 0;
}

static void expect_safe(void *expected)
{
    CHECK(says_fork_safe() == *(bool *)expected);
    start();
    CHECK(says_fork_safe() == *(bool *)expected);
    stop();
    CHECK(says_fork_safe() == *(bool *)expected);
}

static void change_the_rule(void *unused)
{
    struct before before;

    (void)unused;
    CHECK(!says_fork_safe());
    before = prepare_to_inherit();
    CHECK(says_fork_safe());
    in_child(works, &before);
}

TEST(interfaces_are_fork_safe_exactly_under_inherit)
{
    bool yes = true, no = false;

    in_other_process(expect_safe, &no);
    in_other_process(change_the_rule, NULL);
    in_other_process(expect_safe, &yes);
    sandbox_add("nonsense\n");
    in_other_process(expect_safe, &no);
}

static void go_on(const struct before *before)
{
    CK_SESSION_INFO info;
    CK_BYTE sealed[64], out[64];
    CK_ULONG len = sizeof out;
    size_t sealed_len;

    NEED(p11->C_GetSessionInfo(before->session, &info));
    CHECK(info.state == CKS_RW_USER_FUNCTIONS);
    works(before);
    sealed_len = seal(before->session, before->key, "a child's", 9, NULL, sealed);
    EXPECT(unseal(before->session, before->key, sealed, sealed_len, NULL, out, &len), CKR_OK);
    CHECK(find_one(before->session, "forked") == before->key);
    EXPECT(login(before->session, CKU_USER, USER_PIN), CKR_USER_ALREADY_LOGGED_IN);
}

static void go_on_and_initialize(const struct before *before)
{
    go_on(before);
    EXPECT(p11->C_Initialize(NULL), CKR_OK);
    go_on(before);
    EXPECT(p11->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    go_on(before);
}

static void initialize_first(const struct before *before)
{
    EXPECT(p11->C_Initialize(NULL), CKR_OK);
    EXPECT(p11->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    go_on(before);
}

TEST(under_inherit_a_child_goes_on_with_session_login_and_keys)
{
    struct before before = prepare_to_inherit();

    in_child(go_on, &before);
    /* After a second what is known of the store is looked at anew. */
    sleep(2);
    in_child(go_on, &before);
    in_child(go_on_and_initialize, &before);
    in_child(initialize_first, &before);
    go_on(&before);
    EXPECT(p11->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
}

static void go_on_in_a_grandchild(const struct before *before)
{
    in_child(go_on, before);
    NEED(p11->C_SetAttributeValue(before->session, key_make(before->session, "edST"), (CK_ATTRIBUTE[]){ A_TEXT(CKA_LABEL, "between") }, 1));
    in_child(go_on_and_initialize, before);
    go_on_and_initialize(before);
}

TEST(under_inherit_a_grandchild_goes_on_too)
{
    struct before before = prepare_to_inherit();

    in_child(go_on_in_a_grandchild, &before);
    go_on(&before);
    sleep(2);
    CHECK(find_one(before.session, "between") != 0);
}

static void begin_anew_in_child(const struct before *before)
{
    begin_anew(before);
}

TEST(under_inherit_a_child_without_handlers_begins_anew)
{
    inherit();
    fork_once(_Fork, false);
}

TEST(under_inherit_a_raw_fork_in_mid_operation_is_the_parents_operation)
{
    inherit();
    fork_once(_Fork, true);
}

static void raw_fork(const struct before *before)
{
    pid_t pid = _Fork();

    if (pid == 0) {
        begin_anew_in_child(before);
        _exit(failures != 0);
    }
    child_went_well(pid);
    go_on(before);
}

TEST(under_inherit_a_grandchild_without_handlers_begins_anew)
{
    struct before before = prepare_to_inherit();

    in_child(raw_fork, &before);
    go_on(&before);
}

/* ---- operations over a fork ---- */

static void has_no_encryption(const struct before *before)
{
    CK_BYTE out[64];
    CK_ULONG len = sizeof out;

    EXPECT(p11->C_EncryptUpdate(before->session, (CK_BYTE *)(uintptr_t) "child", 5, out, &len), CKR_OPERATION_NOT_INITIALIZED);
    EXPECT(p11->C_EncryptFinal(before->session, out, &len), CKR_OPERATION_NOT_INITIALIZED);
    EXPECT(p11->C_Encrypt(before->session, (CK_BYTE *)(uintptr_t) "child", 5, NULL, &len), CKR_OPERATION_NOT_INITIALIZED);
    len = sizeof out;
    EXPECT(p11->C_Encrypt(before->session, (CK_BYTE *)(uintptr_t) "child", 5, out, &len), CKR_OPERATION_NOT_INITIALIZED);
    go_on(before);
}

/* Nothing done yet, the length asked for, a part done, a part and a length. */
enum { STATES = 4 };

static void bring_to_state(const struct before *before, int state, CK_BYTE *out)
{
    static CK_BYTE iv[12] = "state 0 iv..";
    CK_BYTE text[] = "parent";
    CK_ULONG len = 64;

    iv[6] = (CK_BYTE)('0' + state);
    NEED(gcm_init(before->session, true, before->key, iv, 12, NULL, 0, 128));
    if (state == 1) NEED(p11->C_Encrypt(before->session, text, 6, NULL, &len));
    if (state >= 2) NEED(p11->C_EncryptUpdate(before->session, text, 6, out, &len));
    if (state == 3) NEED(p11->C_EncryptUpdate(before->session, text, 6, NULL, &len));
    memcpy(out + 64, iv, 12);
}

static size_t finish(const struct before *before, int state, CK_BYTE *out)
{
    CK_BYTE text[] = "parent";
    CK_ULONG len = 32;

    if (state < 2)
        EXPECT(p11->C_Encrypt(before->session, text, 6, out, &len), CKR_OK);
    else
        EXPECT(p11->C_EncryptFinal(before->session, out + 6, &len), CKR_OK);
    return state < 2 ? len : 6 + len;
}

TEST(under_inherit_a_pending_encryption_is_the_parents_alone)
{
    struct before before = prepare_to_inherit();

    for (int state = 0; state < STATES; state++) {
        CK_BYTE out[80], sealed[64], back[64];
        CK_ULONG back_len = sizeof back;
        size_t len;

        bring_to_state(&before, state, out);
        in_child(has_no_encryption, &before);
        len = finish(&before, state, out);
        memcpy(sealed, out + 64, 12);
        memcpy(sealed + 12, out, len);
        EXPECT(unseal(before.session, before.key, sealed, 12 + len, NULL, back, &back_len), CKR_OK);
        CHECK(back_len == 6 && memcmp(back, "parent", 6) == 0);
    }
}

TEST(under_inherit_a_pending_envelope_is_the_parents_alone)
{
    struct before before = prepare_to_inherit();
    CK_MECHANISM envelope = { CKM_KL_ENVELOPE, (void *)(uintptr_t) "aad", 3 };
    CK_BYTE out[256];
    CK_ULONG len = sizeof out;

    NEED(p11->C_EncryptInit(before.session, &envelope, before.key));
    in_child(has_no_encryption, &before);
    EXPECT(p11->C_Encrypt(before.session, (CK_BYTE *)(uintptr_t) "parent", 6, out, &len), CKR_OK);
}

static void finish_decryption(const struct before *before)
{
    CK_BYTE out[64];
    CK_ULONG len = sizeof out;

    NEED(p11->C_DecryptUpdate(before->session, (CK_BYTE *)(uintptr_t)before->sealed + 16, before->len - 16, out, &len));
    len = sizeof out;
    EXPECT(p11->C_DecryptFinal(before->session, out, &len), CKR_OK);
    CHECK(len == 5 && memcmp(out, "hello", 5) == 0);
}

static void finish_search(const struct before *before)
{
    CK_OBJECT_HANDLE found[8];
    CK_ULONG count = 0, all = 1;

    do {
        EXPECT(p11->C_FindObjects(before->session, found, COUNT(found), &count), CKR_OK);
        all += count;
    } while (count);
    CHECK(all == 4);
    EXPECT(p11->C_FindObjectsFinal(before->session), CKR_OK);
}

TEST(under_inherit_decryptions_and_searches_go_on_in_both)
{
    struct before before = prepare_to_inherit();
    CK_ATTRIBUTE class = A_ULONG(CKA_CLASS, CKO_SECRET_KEY);
    CK_OBJECT_HANDLE first;
    CK_BYTE out[64];
    CK_ULONG len = sizeof out, count = 0;

    NEED(gcm_init(before.session, false, before.key, before.sealed, 12, NULL, 0, 128));
    NEED(p11->C_DecryptUpdate(before.session, before.sealed + 12, 4, out, &len));
    in_child(finish_decryption, &before);
    finish_decryption(&before);
    /* The master, the key of `before`, and these. */
    key_make(before.session, "edS");
    key_make(before.session, "edST");
    NEED(p11->C_FindObjectsInit(before.session, &class, 1));
    NEED(p11->C_FindObjects(before.session, &first, 1, &count));
    in_child(finish_search, &before);
    finish_search(&before);
}

/* ---- IVs ---- */

enum { IVS = 10000 };
typedef CK_BYTE iv_list[IVS][12];
static iv_list *ivs; /* of the parent, and of a child */

static void make_ivs(const struct before *before, iv_list list)
{
    CK_OBJECT_HANDLE dek = find_one(before->session, "users");
    CK_BYTE out[64];

    for (size_t i = 0; i < IVS; i++) {
        CK_ULONG len = sizeof out;

        memset(list[i], 0, 12);
        NEED(gcm_init(before->session, true, dek, list[i], 12, NULL, 0, 128));
        NEED(p11->C_Encrypt(before->session, (CK_BYTE *)(uintptr_t) "text", 4, out, &len));
    }
}

static void make_a_childs_ivs(const struct before *before)
{
    make_ivs(before, ivs[1]);
}

static int compare_ivs(const void *a, const void *b)
{
    return memcmp(a, b, 12);
}

TEST(under_inherit_parent_and_child_never_make_the_same_iv)
{
    struct before before = prepare_to_inherit();
    CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, "users") };
    CK_OBJECT_HANDLE dek;
    const CK_BYTE *sorted;

    ivs = mmap(NULL, 2 * sizeof *ivs, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (ivs == MAP_FAILED) die_at(__FILE__, __LINE__, "no memory");
    NEED(hkdf_try(before.session, find_one(before.session, "master"), NULL, 0, "users", 5, template, 2, &dek));
    make_ivs(&before, ivs[0]);
    in_child(make_a_childs_ivs, &before);
    make_ivs(&before, ivs[0]);
    qsort(ivs, 2 * IVS, 12, compare_ivs);
    sorted = ivs[0][0];
    for (size_t i = 1; i < 2 * IVS; i++)
        if (memcmp(sorted + 12 * i, sorted + 12 * (i - 1), 12) == 0) fail_at(__FILE__, __LINE__, "an IV was made twice");
}

/* ---- what one does, the other's state and the store ---- */

static void make_an_object(const struct before *before)
{
    NEED(p11->C_SetAttributeValue(before->session, key_make(before->session, "edST"), (CK_ATTRIBUTE[]){ A_TEXT(CKA_LABEL, "by a child") },
                                  1));
    NEED(p11->C_DestroyObject(before->session, find_one(before->session, "doomed")));
}

static int looked[2]; /* a pipe */

static void wait_for_an_object(const struct before *before)
{
    double until;

    /* What is not there is remembered too. */
    CHECK(find_one(before->session, "by the parent") == 0);
    if (write(looked[1], "x", 1) != 1) fail_at(__FILE__, __LINE__, "the pipe takes nothing");
    until = now_seconds() + 15;
    while (find_one(before->session, "by the parent") == 0 && now_seconds() < until) usleep(20000);
    CHECK(find_one(before->session, "by the parent") != 0);
}

TEST(under_inherit_parent_and_child_see_each_others_objects)
{
    struct before before = prepare_to_inherit();
    double until;
    char byte;
    pid_t pid;

    NEED(p11->C_SetAttributeValue(before.session, key_make(before.session, "edST"), (CK_ATTRIBUTE[]){ A_TEXT(CKA_LABEL, "doomed") }, 1));
    in_child(make_an_object, &before);
    until = now_seconds() + 15;
    while (find_one(before.session, "by a child") == 0 && now_seconds() < until) usleep(20000);
    CHECK(find_one(before.session, "by a child") != 0);
    CHECK(find_one(before.session, "doomed") == 0);
    if (pipe(looked) != 0) die_at(__FILE__, __LINE__, "pipe: %s", strerror(errno));
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        wait_for_an_object(&before);
        fflush(stdout);
        _exit(failures != 0);
    }
    close(looked[1]);
    if (read(looked[0], &byte, 1) != 1) fail_at(__FILE__, __LINE__, "the child is gone");
    NEED(p11->C_SetAttributeValue(before.session, key_make(before.session, "edST"), (CK_ATTRIBUTE[]){ A_TEXT(CKA_LABEL, "by the parent") },
                                  1));
    child_went_well(pid);
}

static void log_out(const struct before *before)
{
    CK_SESSION_INFO info;

    NEED(p11->C_Logout(before->session));
    NEED(p11->C_GetSessionInfo(before->session, &info));
    CHECK(info.state == CKS_RW_PUBLIC_SESSION);
    CHECK(find_one(before->session, "forked") == 0);
    EXPECT(login(before->session, CKU_USER, "wrong-pin-000"), CKR_PIN_INCORRECT);
    EXPECT(login(before->session, CKU_USER, USER_PIN), CKR_OK);
    CHECK(find_one(before->session, "forked") != 0);
}

static void log_out_after_a_read(const struct before *before)
{
    /* The store is open in the child by now. */
    key_make(before->session, "edST");
    log_out(before);
}

static void close_all(const struct before *before)
{
    CK_SESSION_INFO info;
    CK_SESSION_HANDLE other;

    NEED(p11->C_CloseAllSessions(before->slot));
    EXPECT(p11->C_GetSessionInfo(before->session, &info), CKR_SESSION_HANDLE_INVALID);
    other = open_on(before->slot, CKF_RW_SESSION);
    NEED(p11->C_GetSessionInfo(other, &info));
    CHECK(info.state == CKS_RW_PUBLIC_SESSION && other != before->session);
}

static void finalize(const struct before *before)
{
    CK_INFO info;
    struct before mine = *before;

    key_make(before->session, "edST");
    EXPECT(p11->C_Finalize(NULL), CKR_OK);
    EXPECT(p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
    EXPECT(p11->C_GetInfo(&info), CKR_CRYPTOKI_NOT_INITIALIZED);
    mine.session = user_session();
    mine.key = find_one(mine.session, "forked");
    works(&mine);
    EXPECT(p11->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    stop();
}

TEST(under_inherit_what_a_child_ends_it_ends_for_itself_alone)
{
    static void (*const ends[])(const struct before *) = { log_out, log_out_after_a_read, close_all, finalize };
    struct before before = prepare_to_inherit();
    CK_OBJECT_HANDLE of_session = key_make(before.session, "edS");

    for (size_t i = 0; i < COUNT(ends); i++) {
        CK_BYTE sealed[64];

        in_child(ends[i], &before);
        go_on(&before);
        seal(before.session, of_session, "still there", 11, NULL, sealed);
    }
}

TEST(under_inherit_programs_are_started_as_ever)
{
    struct before before = prepare_to_inherit();
    char *const arguments[] = { (char *)(uintptr_t) "true", NULL };
    pid_t pid;

    if (posix_spawn(&pid, "/bin/true", NULL, NULL, arguments, arguments + 1) != 0) die_at(__FILE__, __LINE__, "no /bin/true");
    child_went_well(pid);
    pid = vfork();
    if (pid == 0) _exit(0);
    child_went_well(pid);
    CHECK(system("exit 7") == 7 << 8);
    go_on(&before);
}

static void look_at_memory(const struct before *before)
{
    FILE *file = fopen("/proc/self/smaps", "r");
    char line[512];
    bool found = false;

    works(before);
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "VmFlags:", 8)) continue;
        if ((strstr(line, " lo") || is_sanitized()) && strstr(line, " dd") && !strstr(line, " wf")) found = true;
    }
    fclose(file);
    CHECK(found);
}

TEST(under_inherit_a_childs_keys_are_locked_again_and_not_dumped)
{
    struct before before = prepare_to_inherit();

    in_child(look_at_memory, &before);
}

/* ---- a storm ---- */

static void be_of_the_storm(const struct before *before, int number)
{
    CK_SESSION_HANDLE own;
    char label[32];

    alarm(60);
    works(before);
    own = open_on(before->slot, CKF_RW_SESSION);
    CHECK(find_one(own, "forked") == before->key);
    snprintf(label, sizeof label, "storm %d", number);
    if (number % 4 == 0) {
        NEED(p11->C_SetAttributeValue(own, key_make(own, "edST"), (CK_ATTRIBUTE[]){ A_TEXT(CKA_LABEL, label) }, 1));
    }
    if (number % 4 == 1) EXPECT(p11->C_Initialize(NULL), CKR_OK);
    if (number % 8 == 1) stop();
    if (number % 8 == 2) NEED(p11->C_Logout(own));
}

/* Every tenth is killed wherever it is, at a moment that the random numbers choose. */
static bool storm_child_went_well(pid_t pid, int number, uint64_t *random)
{
    int status;

    if (number % 10 != 0) {
        child_went_well(pid);
        return true;
    }
    usleep((useconds_t)(rng_next(random) % 5000));
    kill(pid, SIGKILL);
    if (waitpid(pid, &status, 0) != pid) die_at(__FILE__, __LINE__, "waitpid: %s", strerror(errno));
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void read_everything(void *expected)
{
    const bool *made = expected;
    CK_SESSION_HANDLE session = user_session();

    for (int i = 0; i < 200; i += 4) {
        char label[32];

        snprintf(label, sizeof label, "storm %d", i);
        if (made[i]) CHECK(find_one(session, label) != 0);
    }
    CHECK(find_one(session, "forked") != 0);
    CHECK(find_count(session, NULL, 0) > 0);
    stop();
}

TEST(under_inherit_a_storm_of_children_of_a_busy_parent_hangs_nowhere)
{
    struct before before = prepare_to_inherit();
    size_t running = is_sanitized() ? 0 : 4; /* see fork_among_threads */
    static bool made[200];
    uint64_t random = 7;
    pthread_t threads[4];

    for (size_t i = 0; i < running; i++) pthread_create(&threads[i], NULL, busy, (void *)i);
    for (int i = 0; i < 200 && !failures; i++) {
        pid_t pid;

        fflush(stdout);
        pid = fork();
        if (pid == 0) {
            be_of_the_storm(&before, i);
            fflush(stdout);
            _exit(failures != 0);
        }
        made[i] = storm_child_went_well(pid, i, &random);
    }
    enough = true;
    for (size_t i = 0; i < running; i++) pthread_join(threads[i], NULL);
    for (size_t i = 0; i < running; i++) CHECK(rounds[i] > 0);
    works(&before);
    stop();
    in_other_process(read_everything, made);
}

const struct test fork_tests[] = {
    T(a_child_is_not_initialised_and_may_begin_anew, OURS),
    T(a_child_of_the_raw_system_call_is_not_initialised_and_may_begin_anew, OURS),
    T(a_fork_in_mid_operation_is_the_parents_operation, OURS),
    T(a_raw_fork_in_mid_operation_is_the_parents_operation, OURS),
    T(a_child_that_exits_or_dies_harms_nobody, OURS),
    T(a_grandchild_begins_anew_too, OURS),
    T(a_fork_before_initialize_needs_nothing, ANY),
    T(a_hundred_forks_among_busy_threads_hang_nowhere, OURS | SLOW),
    T(a_hundred_raw_forks_among_busy_threads_hang_nowhere, OURS | SLOW),
    T(loaded_keys_lie_in_memory_that_is_locked_not_dumped_and_wiped_at_fork, OURS),
    T(interfaces_are_fork_safe_exactly_under_inherit, OURS),
    T(under_inherit_a_child_goes_on_with_session_login_and_keys, OURS),
    T(under_inherit_a_grandchild_goes_on_too, OURS),
    T(under_inherit_a_child_without_handlers_begins_anew, OURS),
    T(under_inherit_a_raw_fork_in_mid_operation_is_the_parents_operation, OURS),
    T(under_inherit_a_grandchild_without_handlers_begins_anew, OURS),
    T(under_inherit_a_pending_encryption_is_the_parents_alone, OURS),
    T(under_inherit_a_pending_envelope_is_the_parents_alone, OURS),
    T(under_inherit_decryptions_and_searches_go_on_in_both, OURS),
    T(under_inherit_parent_and_child_never_make_the_same_iv, OURS | SLOW),
    T(under_inherit_parent_and_child_see_each_others_objects, OURS),
    T(under_inherit_what_a_child_ends_it_ends_for_itself_alone, OURS),
    T(under_inherit_programs_are_started_as_ever, OURS),
    T(under_inherit_a_childs_keys_are_locked_again_and_not_dumped, OURS),
    T(under_inherit_a_storm_of_children_of_a_busy_parent_hangs_nowhere, OURS | SLOW),
    T(the_module_says_nothing_on_stdout_and_stderr, OURS),
    T(no_pin_label_value_or_plaintext_is_in_the_log, OURS),
    { NULL, NULL, 0 },
};
