/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Other PKCS #11 modules in the process, those who load modules, and libraries with functions of our names. */
#include "coexist.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

/* ---- names ---- */

static bool is_from(const char *name, void *handle, const char *file)
{
    Dl_info info;
    void *function = dlsym(handle, name);
    const char *base;

    if (!function || !dladdr(function, &info) || !info.dli_fname) return false;
    base = strrchr(info.dli_fname, '/');
    return strncmp(base ? base + 1 : info.dli_fname, file, strlen(file)) == 0;
}

static const char *our_file(void)
{
    const char *base = strrchr(getenv("P11_MODULE"), '/');

    return base ? base + 1 : getenv("P11_MODULE");
}

/* By their names, as cffi takes them, and through the lists. */
static void names_are_ours(void)
{
    static const char *const names[] = {
#define F(name, version, args, answer) #name,
#include "functions.def"
#undef F
    };
    t_get_interface get = (t_get_interface)(uintptr_t)p11_sym("C_GetInterface");
    struct t_interface *found = NULL;
    CK_INFO info;

    for (size_t i = 0; i < COUNT(names); i++)
        if (!is_from(names[i], p11_handle, our_file())) fail_at(__FILE__, __LINE__, "%s is somebody else's", names[i]);
    CHECK(p11_sym("C_Initialize") == (void *)(uintptr_t)p11->C_Initialize && p11_sym("C_Sign") == (void *)(uintptr_t)p11->C_Sign);
    NEED(get(NULL, NULL, &found, 0));
    CHECK(strcmp((const char *)found->name, "PKCS 11") == 0 && ((CK_VERSION *)found->list)->major == 3);
    CHECK(((struct t_list30 *)found->list)->before[0] == (void (*)(void))p11->C_Initialize);
    start();
    NEED(p11->C_GetInfo(&info));
    CHECK(memcmp(info.manufacturerID, "keyladder ", 10) == 0);
    stop();
}

static void beside_global_libraries(void *unused)
{
    (void)unused;
    if (!dlopen("libcurl.so.4", RTLD_NOW | RTLD_GLOBAL) || !dlopen("libgnutls.so.30", RTLD_NOW | RTLD_GLOBAL) ||
        !dlopen("libp11-kit.so.0", RTLD_NOW | RTLD_GLOBAL))
        die_at(__FILE__, __LINE__, "%s", dlerror());
    /* The trap: who asks the whole process is given p11-kit's. */
    CHECK(is_from("C_GetFunctionList", RTLD_DEFAULT, "libp11-kit.so"));
    p11_load();
    CHECK(!is_from("C_GetFunctionList", RTLD_DEFAULT, our_file()));
    names_are_ours();
    exercise("global");
}

TEST(names_are_ours_beside_libraries_that_export_the_same)
{
    in_other_process(beside_global_libraries, NULL);
    p11_load();
    names_are_ours();
    exercise("names");
}

/* ---- another module ---- */

struct peer {
    const char *path, *maker;
    void (*prepare)(void);
    const char *settings; /* NSS: in pReserved */
    CK_FUNCTION_LIST *list;
    void *handle;
};

static void prepare_softhsm(void)
{
    char path[4300];
    FILE *file;

    snprintf(path, sizeof path, "mkdir -p '%s/tokens'", sandbox_dir);
    if (system(path) != 0) die_at(__FILE__, __LINE__, "mkdir");
    snprintf(path, sizeof path, "%s/softhsm2.conf", sandbox_dir);
    file = fopen(path, "w");
    fprintf(file, "directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n", sandbox_dir);
    fclose(file);
    setenv("SOFTHSM2_CONF", path, 1);
}

static void prepare_nothing(void) {}

static struct peer peers[] = {
    { "/usr/lib/softhsm/libsofthsm2.so", "SoftHSM", prepare_softhsm, NULL, NULL, NULL },
    { "libsoftokn3.so", "Mozilla Foundation", prepare_nothing, "configdir='' flags=readOnly,noCertDB,noModDB,forceOpen", NULL, NULL },
};

static void peer_load(struct peer *peer, int visibility)
{
    CK_RV (*get)(CK_FUNCTION_LIST **);

    peer->handle = dlopen(peer->path, RTLD_NOW | visibility);
    if (!peer->handle) die_at(__FILE__, __LINE__, "%s", dlerror());
    *(void **)&get = dlsym(peer->handle, "C_GetFunctionList");
    NEED(get(&peer->list));
}

static void own_load(int visibility)
{
    p11_load();
    if (!dlopen(getenv("P11_MODULE"), RTLD_NOW | visibility)) die_at(__FILE__, __LINE__, "%s", dlerror());
}

static void peer_begin(const struct peer *peer)
{
    struct {
        CK_C_INITIALIZE_ARGS standard;
        void *reserved;
    } args = { { .flags = CKF_OS_LOCKING_OK, .pReserved = (void *)(uintptr_t)peer->settings }, NULL };

    NEED(peer->list->C_Initialize(&args));
}

static void peer_works(const struct peer *peer)
{
    CK_SLOT_ID slots[8];
    CK_ULONG count = COUNT(slots);
    CK_INFO info;
    CK_SLOT_INFO slot;
    CK_MECHANISM_TYPE mechanisms[512];
    CK_ULONG mechanism_count = COUNT(mechanisms);

    NEED(peer->list->C_GetInfo(&info));
    CHECK(memcmp(info.manufacturerID, peer->maker, strlen(peer->maker)) == 0);
    NEED(peer->list->C_GetSlotList(CK_TRUE, slots, &count));
    CHECK(count > 0);
    NEED(peer->list->C_GetSlotInfo(slots[0], &slot));
    NEED(peer->list->C_GetMechanismList(slots[0], mechanisms, &mechanism_count));
    CHECK(mechanism_count > 40);
}

static void *peer_loop(void *peer)
{
    for (int i = 0; i < 50; i++) peer_works(peer);
    return NULL;
}

static const char *label_of(int number, int step)
{
    static char label[32];

    snprintf(label, sizeof label, "%d in %d", step, number);
    return label;
}

/* In turns, then at once; one ends and the other goes on, both ways. */
static void interleave(struct peer *peer, int number)
{
    struct use use;
    CK_ULONG count = 0;
    pthread_t thread;

    peer_begin(peer);
    use = use_begin();
    for (int i = 0; i < 3; i++) {
        peer_works(peer);
        use_on(&use, label_of(number, i));
    }
    pthread_create(&thread, NULL, peer_loop, peer);
    use_on(&use, label_of(number, 3));
    pthread_join(thread, NULL);
    NEED(peer->list->C_Finalize(NULL));
    use_on(&use, label_of(number, 4));
    EXPECT(p11->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    peer_begin(peer);
    stop();
    EXPECT(p11->C_GetSlotList(CK_TRUE, NULL, &count), CKR_CRYPTOKI_NOT_INITIALIZED);
    peer_works(peer);
    use_again(&use, label_of(number, 4));
    NEED(peer->list->C_Finalize(NULL));
    use_again(&use, label_of(number, 3));
}

enum { OWN_FIRST = 1, GLOBAL = 2, COMBINATIONS = 4 };

static void be_beside(void *combination)
{
    int number = *(int *)combination, visibility = number & GLOBAL ? RTLD_GLOBAL : RTLD_LOCAL;
    struct peer *peer = &peers[number / COMBINATIONS];

    peer->prepare();
    if (number & OWN_FIRST) own_load(visibility);
    peer_load(peer, visibility);
    if (!(number & OWN_FIRST)) own_load(visibility);
    /* The names that the process as a whole has are those of who came first. */
    if (number & GLOBAL) {
        const char *first = number & OWN_FIRST ? our_file() : strrchr(peer->path, '/') ? strrchr(peer->path, '/') + 1 : peer->path;

        CHECK(is_from("C_GetFunctionList", RTLD_DEFAULT, first) || getenv("LD_PRELOAD"));
    }
    names_are_ours();
    /* A module that finds its own functions by name is given ours, where the host has made these everybody's; we find our own. */
    if (number == (GLOBAL | OWN_FIRST) && peer->list->C_Initialize == p11->C_Initialize) {
        exercise(label_of(number, 0));
        return;
    }
    CHECK(peer->list->C_Initialize != p11->C_Initialize && peer->list->C_GetInfo != p11->C_GetInfo);
    interleave(peer, number);
}

TEST(two_modules_in_a_process_keep_apart_in_any_order)
{
    for (int number = 0; number < (int)COUNT(peers) * COMBINATIONS && !failures; number++) {
        in_other_process(be_beside, &number);
        if (failures)
            printf("    with %s, %s%s\n", peers[number / COMBINATIONS].path, number & OWN_FIRST ? "after us" : "before us",
                   number & GLOBAL ? ", RTLD_GLOBAL" : "");
    }
}

/* ---- p11-kit, and a host that loads us itself ---- */

static CK_FUNCTION_LIST **(*kit_load)(int);
static void (*kit_release)(CK_FUNCTION_LIST **);
static char *(*kit_name)(CK_FUNCTION_LIST *);

/* Ours, as p11-kit gives it: it stands between. */
static CK_FUNCTION_LIST *kit_begin(CK_FUNCTION_LIST ***all)
{
    void *kit;

    /* What the machine's own configuration has is another module than the one under test. */
    if (!getenv("P11_KIT_CONFIGURED"))
        skip("p11-kit is not configured to load this module (tests/integration/t_coexist does, where it can)");
    kit = dlopen("libp11-kit.so.0", RTLD_NOW);
    if (!kit) die_at(__FILE__, __LINE__, "%s", dlerror());
    *(void **)&kit_load = dlsym(kit, "p11_kit_modules_load_and_initialize");
    *(void **)&kit_release = dlsym(kit, "p11_kit_modules_finalize_and_release");
    *(void **)&kit_name = dlsym(kit, "p11_kit_module_get_name");
    *all = kit_load(0);
    for (CK_FUNCTION_LIST **at = *all; at && *at; at++)
        if (strcmp(kit_name(*at), "keyladder") == 0) return *at;
    die_at(__FILE__, __LINE__, "p11-kit has not loaded this module");
}

TEST(a_host_that_comes_after_p11_kit_is_told_so_and_may_end_us_for_both)
{
    CK_FUNCTION_LIST **all, *kit = kit_begin(&all);
    CK_SESSION_HANDLE session = 0;
    CK_ULONG count = 0;
    CK_SLOT_ID slots[4];
    struct use use;

    EXPECT(p11->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    NEED(kit->C_GetSlotList(CK_TRUE, NULL, &count));
    CHECK(count == 2);
    NEED(kit->C_GetSlotList(CK_TRUE, slots, &count));
    NEED(kit->C_OpenSession(slots[0], CKF_SERIAL_SESSION, NULL, NULL, &session));
    /* The host goes on with what the other has opened. */
    use.session = open_session(CKF_RW_SESSION);
    NEED(login(use.session, CKU_USER, USER_PIN));
    use.key = key_make(use.session, "edST");
    use.len = seal(use.session, use.key, "hello", 5, NULL, use.sealed);
    use_on(&use, "both");
    NEED(p11->C_Finalize(NULL));
    EXPECT(kit->C_GetSlotList(CK_TRUE, NULL, &count), CKR_CRYPTOKI_NOT_INITIALIZED);
    EXPECT(kit->C_CloseSession(session), CKR_CRYPTOKI_NOT_INITIALIZED, CKR_SESSION_HANDLE_INVALID);
    EXPECT(p11->C_Logout(use.session), CKR_CRYPTOKI_NOT_INITIALIZED);
    kit_release(all);
    exercise("after");
}

TEST(p11_kit_that_comes_after_a_host_does_not_end_us)
{
    struct use use = use_begin();
    CK_FUNCTION_LIST **all, *kit = kit_begin(&all);
    CK_ULONG count = 0;

    NEED(kit->C_GetSlotList(CK_TRUE, NULL, &count));
    CHECK(count == 2);
    use_on(&use, "beside");
    kit_release(all);
    use_on(&use, "after");
    stop();
    use_again(&use, "after");
}

static atomic_uint calls;

static void *call_through_kit(void *list)
{
    CK_FUNCTION_LIST *kit = list;
    CK_SLOT_ID slots[4];
    CK_ULONG count = COUNT(slots);
    CK_SESSION_HANDLE session = 0;
    CK_BYTE random[64];

    if (kit->C_GetSlotList(CK_TRUE, slots, &count) == CKR_OK) kit->C_OpenSession(slots[0], CKF_SERIAL_SESSION, NULL, NULL, &session);
    for (CK_RV rv = CKR_OK; rv == CKR_OK; calls++) {
        CK_TOKEN_INFO info;

        rv = kit->C_GenerateRandom(session, random, sizeof random);
        if (rv == CKR_OK) rv = kit->C_GetTokenInfo(slots[0], &info);
        EXPECT(rv, CKR_OK, CKR_CRYPTOKI_NOT_INITIALIZED, CKR_SESSION_HANDLE_INVALID);
    }
    return NULL;
}

TEST(one_owner_ends_us_in_the_middle_of_anothers_calls)
{
    CK_FUNCTION_LIST **all, *kit = kit_begin(&all);
    pthread_t threads[3];

    for (int round = 0; round < 30 && !failures; round++) {
        unsigned begun = calls;

        for (size_t i = 0; i < COUNT(threads); i++) pthread_create(&threads[i], NULL, call_through_kit, kit);
        while (calls < begun + 10) usleep(100);
        NEED(p11->C_Finalize(NULL));
        for (size_t i = 0; i < COUNT(threads); i++) pthread_join(threads[i], NULL);
        start();
    }
    kit_release(all);
}

const struct test module_tests[] = {
    T(names_are_ours_beside_libraries_that_export_the_same, OURS | UNLOADED),
    T(two_modules_in_a_process_keep_apart_in_any_order, OURS | UNLOADED | SLOW),
    T(a_host_that_comes_after_p11_kit_is_told_so_and_may_end_us_for_both, OURS),
    T(p11_kit_that_comes_after_a_host_does_not_end_us, OURS),
    T(one_owner_ends_us_in_the_middle_of_anothers_calls, OURS),
    { NULL, NULL, 0 },
};
