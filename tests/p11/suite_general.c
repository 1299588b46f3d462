/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* General functions, interfaces, slots, tokens, mechanisms, sessions. */
#include "suite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

/* ---- C_Initialize and C_Finalize ---- */

TEST(a_second_initialize_is_told_so)
{
    start();
    EXPECT(p11->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    EXPECT(p11->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    stop();
    EXPECT(p11->C_Initialize(NULL), CKR_OK);
}

TEST(finalize_without_initialize_is_refused)
{
    EXPECT(p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
    start();
    stop();
    EXPECT(p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
}

TEST(finalize_with_a_reserved_pointer_is_refused_and_changes_nothing)
{
    CK_INFO info;
    int reserved = 0;

    start();
    EXPECT(p11->C_Finalize(&reserved), CKR_ARGUMENTS_BAD);
    EXPECT(p11->C_GetInfo(&info), CKR_OK);
}

TEST(initialize_takes_null_and_all_flags_callers_send)
{
    static const CK_FLAGS flags[] = { 0, CKF_OS_LOCKING_OK, CKF_OS_LOCKING_OK | CKF_LIBRARY_CANT_CREATE_OS_THREADS,
                                      CKF_LIBRARY_CANT_CREATE_OS_THREADS };

    EXPECT(p11->C_Initialize(NULL), CKR_OK);
    EXPECT(p11->C_Finalize(NULL), CKR_OK);
    for (size_t i = 0; i < COUNT(flags); i++) {
        CK_C_INITIALIZE_ARGS args = { .flags = flags[i] };

        EXPECT(p11->C_Initialize(&args), CKR_OK);
        EXPECT(p11->C_Finalize(NULL), CKR_OK);
    }
}

TEST(initialize_refuses_a_reserved_pointer)
{
    CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK };

    args.pReserved = &args;
    EXPECT(p11->C_Initialize(&args), CKR_ARGUMENTS_BAD);
    EXPECT(p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
}

static CK_RV mutex_create(void **mutex)
{
    *mutex = malloc(1);
    return CKR_OK;
}
static CK_RV mutex_destroy(void *mutex)
{
    free(mutex);
    return CKR_OK;
}
static CK_RV mutex_nothing(void *mutex)
{
    return mutex ? CKR_OK : CKR_MUTEX_BAD;
}

TEST(some_but_not_all_mutex_callbacks_are_refused)
{
    for (unsigned given = 1; given < 15; given++) {
        for (CK_FLAGS flags = 0; flags <= CKF_OS_LOCKING_OK; flags += CKF_OS_LOCKING_OK) {
            CK_C_INITIALIZE_ARGS args = { given & 1 ? mutex_create : NULL,
                                          given & 2 ? mutex_destroy : NULL,
                                          given & 4 ? mutex_nothing : NULL,
                                          given & 8 ? mutex_nothing : NULL,
                                          flags,
                                          NULL };

            EXPECT(p11->C_Initialize(&args), CKR_ARGUMENTS_BAD);
            EXPECT(p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
        }
    }
}

TEST(all_mutex_callbacks_are_used_or_refused_with_its_own_code)
{
    CK_C_INITIALIZE_ARGS args = { mutex_create, mutex_destroy, mutex_nothing, mutex_nothing, 0, NULL };
    CK_INFO info;

    if (EXPECT(p11->C_Initialize(&args), CKR_OK, CKR_CANT_LOCK) && p11->C_GetInfo(&info) == CKR_OK) stop();
    args.flags = CKF_OS_LOCKING_OK;
    EXPECT(p11->C_Initialize(&args), CKR_OK);
    EXPECT(p11->C_Finalize(NULL), CKR_OK);
}

static unsigned open_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    while (readdir(dir)) n++;
    closedir(dir);
    return n;
}

static long mapped_pages(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (fscanf(file, "%ld", &pages) != 1) pages = 0;
    fclose(file);
    return pages;
}

TEST(initialize_and_finalize_a_hundred_times_leaves_nothing_open)
{
    unsigned before = 0;
    long pages = 0;

    for (int i = 0; i < 100; i++) {
        CK_SESSION_HANDLE session = user_session();

        find_count(session, NULL, 0);
        stop();
        if (i == 10) {
            before = open_files();
            pages = mapped_pages();
        }
    }
    CHECK(open_files() == before);
    if (!is_sanitized()) CHECK(mapped_pages() - pages < 1024);
}

/* ---- every function, before and after ---- */

typedef CK_RV (*any_function)(CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG);

static CK_BYTE room[4096];
static CK_ULONG room_len;
static CK_BYTE iv[12];
static struct t_gcm gcm_param = { iv, 12, 96, NULL, 0, 128 };
static struct t_hkdf hkdf_param = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, iv, 12 };

static CK_MECHANISM *mechanism_for(const char *name)
{
    static CK_MECHANISM gcm = { CKM_AES_GCM, &gcm_param, sizeof gcm_param }, hkdf = { CKM_HKDF_DERIVE, &hkdf_param, sizeof hkdf_param },
                        generate = { CKM_AES_KEY_GEN, NULL, 0 };

    if (strcmp(name, "C_GenerateKey") == 0) return &generate;
    if (strcmp(name, "C_DeriveKey") == 0) return &hkdf;
    return &gcm;
}

struct handles {
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;
};

static CK_RV call_with(const struct function *function, const struct handles *handles, int null_at)
{
    CK_ULONG a[10] = { 0 };
    void *address = p11_sym(function->name);
    any_function call;
    int i = 0;

    memset(room, 0, sizeof room);
    room_len = 0;
    memcpy(&call, &address, sizeof call);
    if (!call) {
        fail_at(__FILE__, __LINE__, "%s is not exported", function->name);
        return CKR_GENERAL_ERROR;
    }
    for (const char *c = function->args; *c; c++, i++) {
        switch (*c) {
        case 'S':
            a[i] = handles->slot;
            break;
        case 's':
            a[i] = handles->session;
            break;
        case 'h':
            a[i] = handles->key;
            break;
        case 'f':
            a[i] = CKF_DONT_BLOCK;
            break;
        case 'u':
            a[i] = CKU_USER;
            break;
        case 'p':
        case 'b':
        case 'q':
            a[i] = (CK_ULONG)(uintptr_t)room;
            break;
        case 'L':
            a[i] = (CK_ULONG)(uintptr_t)&room_len;
            break;
        case 'l':
            a[i] = 5;
            break;
        case 'm':
            a[i] = (CK_ULONG)(uintptr_t)mechanism_for(function->name);
            break;
        default:
            a[i] = 0;
            break;
        }
    }
    if (strcmp(function->name, "C_OpenSession") == 0) a[1] = CKF_SERIAL_SESSION;
    if (null_at >= 0) a[null_at] = 0;
    return call(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9]);
}

static bool works_always(const char *name)
{
    return strcmp(name, "C_Initialize") == 0 || strcmp(name, "C_GetFunctionList") == 0 || strcmp(name, "C_GetInterface") == 0 ||
           strcmp(name, "C_GetInterfaceList") == 0;
}

static void all_uninitialised(void)
{
    struct handles none = { 0, 1, 1 };

    for (size_t f = 0; f < function_count; f++) {
        const struct function *function = &functions[f];

        if (function->version > 240 && p11_kind != KEYLADDER) continue;
        if (works_always(function->name)) continue;
        for (int i = -1; i < (int)strlen(function->args); i++) {
            CK_RV rv;

            if (i >= 0 && !strchr("pbqLm", function->args[i])) continue;
            rv = call_with(function, &none, i);
            if (rv == CKR_CRYPTOKI_NOT_INITIALIZED || (function->answer == NEVER && rv == CKR_FUNCTION_NOT_SUPPORTED) ||
                (function->answer == PARALLEL && rv == CKR_FUNCTION_NOT_PARALLEL) || (i >= 0 && rv == CKR_ARGUMENTS_BAD))
                continue;
            fail_at(__FILE__, __LINE__, "%s, argument %d NULL, before C_Initialize: %s", function->name, i, rv_name(rv));
        }
    }
}

TEST(every_function_before_initialize_says_not_initialized)
{
    all_uninitialised();
}

TEST(every_function_after_finalize_says_not_initialized)
{
    start();
    stop();
    all_uninitialised();
}

TEST(null_for_any_pointer_is_a_bad_argument_and_never_a_crash)
{
    CK_SESSION_HANDLE session = user_session();
    struct handles handles = { slot_labelled(TOKEN_LABEL), session, key_make(session, "edS") };

    for (size_t f = 0; f < function_count; f++) {
        const struct function *function = &functions[f];

        if (function->version > 240 && p11_kind != KEYLADDER) continue;
        if (strcmp(function->name, "C_Initialize") == 0 || strcmp(function->name, "C_Finalize") == 0) continue;
        for (int i = 0; i < (int)strlen(function->args); i++) {
            CK_RV rv;

            if (!strchr("pbLm", function->args[i])) continue;
            /* 3.0: a NULL mechanism cancels the operation of that kind. */
            if (function->args[i] == 'm' && strstr(function->name, "Init")) {
                rv = call_with(function, &handles, i);
                if (rv != CKR_ARGUMENTS_BAD && rv != CKR_OK && rv != CKR_OPERATION_CANCEL_FAILED && rv != CKR_FUNCTION_NOT_SUPPORTED &&
                    rv != CKR_OPERATION_NOT_INITIALIZED)
                    fail_at(__FILE__, __LINE__, "%s without a mechanism: %s", function->name, rv_name(rv));
                continue;
            }
            rv = call_with(function, &handles, i);
            if (rv == CKR_ARGUMENTS_BAD || rv == CKR_OPERATION_NOT_INITIALIZED) continue;
            if (function->answer != HERE && rv == CKR_FUNCTION_NOT_SUPPORTED) continue;
            if (strcmp(function->name, "C_InitToken") == 0 && rv == CKR_SESSION_EXISTS) continue;
            if (strcmp(function->name, "C_InitPIN") == 0 && rv == CKR_USER_NOT_LOGGED_IN) continue;
            if (strcmp(function->name, "C_Login") == 0 && rv == CKR_USER_ALREADY_LOGGED_IN) continue;
            if (strcmp(function->name, "C_SeedRandom") == 0 && rv == CKR_RANDOM_SEED_NOT_SUPPORTED) continue;
            if (strcmp(function->name, "C_WaitForSlotEvent") == 0 && rv == CKR_NO_EVENT) continue;
            fail_at(__FILE__, __LINE__, "%s, argument %d NULL: %s", function->name, i, rv_name(rv));
        }
    }
}

TEST(functions_that_make_no_sense_say_not_supported)
{
    CK_SESSION_HANDLE session = user_session();
    struct handles handles = { slot_labelled(TOKEN_LABEL), session, key_make(session, "edS") };

    for (size_t f = 0; f < function_count; f++) {
        if (functions[f].answer == NEVER) {
            CK_RV rv = call_with(&functions[f], &handles, -1);

            if (rv != CKR_FUNCTION_NOT_SUPPORTED) fail_at(__FILE__, __LINE__, "%s: %s", functions[f].name, rv_name(rv));
        } else if (functions[f].answer == PARALLEL) {
            CK_RV rv = call_with(&functions[f], &handles, -1);

            if (rv != CKR_FUNCTION_NOT_PARALLEL) fail_at(__FILE__, __LINE__, "%s: %s", functions[f].name, rv_name(rv));
        }
    }
}

TEST(a_closed_session_is_invalid_for_every_function)
{
    CK_SESSION_HANDLE session = user_session(), closed = open_session(0);
    struct handles handles = { slot_labelled(TOKEN_LABEL), closed, key_make(session, "edS") };

    NEED(p11->C_CloseSession(closed));
    for (size_t f = 0; f < function_count; f++) {
        static const CK_SESSION_HANDLE never[] = { 0, 0x7fffffff, CK_UNAVAILABLE_INFORMATION };
        CK_RV rv;

        if (functions[f].args[0] != 's' || functions[f].answer != HERE) continue;
        handles.session = closed;
        rv = call_with(&functions[f], &handles, -1);
        if (rv != CKR_SESSION_HANDLE_INVALID) fail_at(__FILE__, __LINE__, "%s with a closed session: %s", functions[f].name, rv_name(rv));
        for (size_t i = 0; i < COUNT(never); i++) {
            handles.session = never[i];
            rv = call_with(&functions[f], &handles, -1);
            if (rv != CKR_SESSION_HANDLE_INVALID)
                fail_at(__FILE__, __LINE__, "%s with session %lx: %s", functions[f].name, never[i], rv_name(rv));
        }
    }
}

TEST(an_unknown_slot_is_invalid_for_every_function)
{
    static const CK_SLOT_ID never[] = { 0x7ffffffe, CK_UNAVAILABLE_INFORMATION };

    start();
    for (size_t f = 0; f < function_count; f++) {
        for (size_t i = 0; i < COUNT(never) && functions[f].args[0] == 'S'; i++) {
            struct handles handles = { never[i], 0, 0 };
            CK_RV rv = call_with(&functions[f], &handles, -1);

            if (rv != CKR_SLOT_ID_INVALID) fail_at(__FILE__, __LINE__, "%s with slot %lx: %s", functions[f].name, never[i], rv_name(rv));
        }
    }
}

/* ---- lists of functions, interfaces, symbols ---- */

TEST(the_function_list_is_2_40_and_complete)
{
    CK_FUNCTION_LIST *again = NULL;
    void *entries[68];

    NEED(p11->C_GetFunctionList(&again));
    CHECK(again == p11);
    CHECK(p11->version.major == 2 && p11->version.minor == 40);
    memcpy(entries, (char *)p11 + offsetof(CK_FUNCTION_LIST, C_Initialize), sizeof entries);
    for (size_t f = 0; f < 68; f++)
        if (!entries[f] || entries[f] != p11_sym(functions[f].name))
            fail_at(__FILE__, __LINE__, "%s is another function in the list", functions[f].name);
}

TEST(interfaces_of_every_version_are_listed_and_whole)
{
    static const CK_VERSION want[] = { { 3, 2 }, { 3, 1 }, { 3, 0 }, { 2, 40 } };
    t_get_interface_list list = (t_get_interface_list)(uintptr_t)p11_sym("C_GetInterfaceList");
    struct t_interface found[16];
    CK_ULONG count = 0, few;
    unsigned seen = 0;
    bool vendor = false;

    NEED(list(NULL, &count));
    CHECK(count == 4 || count == 5);
    few = count - 1;
    EXPECT(list(found, &few), CKR_BUFFER_TOO_SMALL);
    CHECK(few == count);
    count = COUNT(found);
    NEED(list(found, &count));
    for (CK_ULONG i = 0; i < count; i++) {
        CK_VERSION version = *(CK_VERSION *)found[i].list;
        size_t entries = version.major == 2 ? 68 : version.minor == 2 ? 104 : 92;

        CHECK(found[i].flags == 0);
        if (strcmp((char *)found[i].name, "Vendor keyladder") == 0) {
            vendor = true;
            CHECK(version.major == 1 && version.minor == 0);
            continue;
        }
        CHECK(strcmp((char *)found[i].name, "PKCS 11") == 0);
        for (size_t v = 0; v < COUNT(want); v++) seen |= (unsigned)(want[v].major == version.major && want[v].minor == version.minor) << v;
        for (size_t f = 0; f < entries; f++) {
            void *entry;

            memcpy(&entry, (char *)found[i].list + sizeof(void *) * (f + 1), sizeof entry);
            if (!entry || entry != p11_sym(functions[f].name))
                fail_at(__FILE__, __LINE__, "%d.%d: %s is another function in the list", version.major, version.minor, functions[f].name);
        }
    }
    CHECK(seen == 15);
    CHECK(vendor == (count == 5));
}

TEST(an_interface_is_found_by_name_version_both_or_neither)
{
    t_get_interface get = (t_get_interface)(uintptr_t)p11_sym("C_GetInterface");
    t_get_interface_list list = (t_get_interface_list)(uintptr_t)p11_sym("C_GetInterfaceList");
    static const CK_VERSION versions[] = { { 3, 2 }, { 3, 1 }, { 3, 0 }, { 2, 40 } };
    struct t_interface *found = NULL;
    CK_CHAR name[] = "PKCS 11";
    CK_ULONG count = 0;

    NEED(get(NULL, NULL, &found, 0));
    CHECK(found && strcmp((char *)found->name, "PKCS 11") == 0 && ((CK_VERSION *)found->list)->major == 3 &&
          ((CK_VERSION *)found->list)->minor == 2);
    NEED(get(name, NULL, &found, 0));
    CHECK(found && ((CK_VERSION *)found->list)->major == 3 && ((CK_VERSION *)found->list)->minor == 2);
    for (size_t i = 0; i < COUNT(versions); i++) {
        CK_VERSION version = versions[i];

        for (int named = 0; named < 2; named++) {
            NEED(get(named ? name : NULL, &version, &found, 0));
            CHECK(found && memcmp(found->list, &version, sizeof version) == 0);
        }
    }
    /* The vendor interface comes with the batch calls: what is listed is found, what is not is not. */
    NEED(list(NULL, &count));
    if (EXPECT(get((CK_CHAR *)(uintptr_t) "Vendor keyladder", NULL, &found, 0), count == 5 ? CKR_OK : CKR_ARGUMENTS_BAD) && count == 5)
        CHECK(found && strcmp((char *)found->name, "Vendor keyladder") == 0);
}

TEST(an_unknown_interface_is_a_bad_argument)
{
    t_get_interface get = (t_get_interface)(uintptr_t)p11_sym("C_GetInterface");
    t_get_interface_list list = (t_get_interface_list)(uintptr_t)p11_sym("C_GetInterfaceList");
    static const CK_VERSION versions[] = { { 3, 3 }, { 2, 20 }, { 4, 0 }, { 0, 0 }, { 255, 255 } };
    static const char *const names[] = { "", "pkcs 11", "PKCS 11 ", "PKCS 1", "Vendor", "Vendor NSS FIPS Interface" };
    struct t_interface *found = (struct t_interface *)16;

    for (size_t i = 0; i < COUNT(versions); i++) {
        CK_VERSION version = versions[i];

        EXPECT(get((CK_CHAR *)(uintptr_t) "PKCS 11", &version, &found, 0), CKR_ARGUMENTS_BAD);
        EXPECT(get(NULL, &version, &found, 0), CKR_ARGUMENTS_BAD);
    }
    for (size_t i = 0; i < COUNT(names); i++) EXPECT(get((CK_CHAR *)(uintptr_t)names[i], NULL, &found, 0), CKR_ARGUMENTS_BAD);
    /* fork = reset: not fork safe, so asking for it must not succeed. */
    EXPECT(get(NULL, NULL, &found, 1), CKR_ARGUMENTS_BAD);
    EXPECT(get(NULL, NULL, &found, 0x80), CKR_ARGUMENTS_BAD);
    EXPECT(get(NULL, NULL, NULL, 0), CKR_ARGUMENTS_BAD);
    EXPECT(list(NULL, NULL), CKR_ARGUMENTS_BAD);
}

TEST(exactly_the_standard_functions_are_exported)
{
    char command[4200], line[512];
    size_t mine = 0;
    FILE *nm;

    snprintf(command, sizeof command, "nm -D --defined-only '%s'", getenv("P11_MODULE"));
    nm = popen(command, "r");
    while (fgets(line, sizeof line, nm)) {
        char type, name[256];
        bool known = false;

        if (sscanf(line, "%*x %c %255[^@\n]", &type, name) != 2) continue;
        /* The name of the version node itself. */
        if (type == 'A') continue;
        for (size_t f = 0; f < function_count; f++) known |= strcmp(name, functions[f].name) == 0;
        if (known)
            mine++;
        else
            fail_at(__FILE__, __LINE__, "%s is exported", name);
    }
    pclose(nm);
    CHECK(mine == function_count);
}

TEST(the_module_cannot_be_unloaded_and_drags_in_no_p11_kit_or_curl)
{
    char command[4200];

    snprintf(command, sizeof command, "readelf -dW '%s' | grep -q 'NODELETE'", getenv("P11_MODULE"));
    CHECK(system(command) == 0);
    snprintf(command, sizeof command, "readelf -dW '%s' | grep -q 'BIND_NOW\\|FLAGS.*NOW'", getenv("P11_MODULE"));
    CHECK(system(command) == 0);
    snprintf(command, sizeof command, "ldd '%s' | grep -q 'p11-kit\\|curl\\|gnutls'", getenv("P11_MODULE"));
    CHECK(system(command) != 0);
}

/* ---- information ---- */

static void check_text(const char *what, const CK_UTF8CHAR *text, size_t len)
{
    if (memchr(text, 0, len)) fail_at(__FILE__, __LINE__, "%s has a NUL in it", what);
    if (text[0] == ' ') fail_at(__FILE__, __LINE__, "%s begins with a space", what);
}

TEST(texts_are_padded_with_spaces)
{
    CK_INFO info;
    CK_SLOT_INFO slot;
    CK_TOKEN_INFO token;

    start();
    memset(&info, 0x5a, sizeof info);
    NEED(p11->C_GetInfo(&info));
    check_text("manufacturer", info.manufacturerID, sizeof info.manufacturerID);
    check_text("library description", info.libraryDescription, sizeof info.libraryDescription);
    CHECK(info.flags == 0);
    CHECK(info.cryptokiVersion.major == 2 || info.cryptokiVersion.major == 3);
    NEED(p11->C_GetSlotInfo(slot_labelled(TOKEN_LABEL), &slot));
    check_text("slot description", slot.slotDescription, sizeof slot.slotDescription);
    check_text("slot manufacturer", slot.manufacturerID, sizeof slot.manufacturerID);
    CHECK(slot.flags & CKF_TOKEN_PRESENT);
    CHECK(!(slot.flags & CKF_REMOVABLE_DEVICE));
    NEED(p11->C_GetTokenInfo(slot_labelled(TOKEN_LABEL), &token));
    check_text("label", token.label, sizeof token.label);
    check_text("token manufacturer", token.manufacturerID, sizeof token.manufacturerID);
    check_text("model", token.model, sizeof token.model);
    check_text("serial number", token.serialNumber, sizeof token.serialNumber);
    CHECK(memcmp(token.label, "demo                            ", 32) == 0);
}

TEST(the_token_says_what_it_can)
{
    CK_TOKEN_INFO token;

    start();
    NEED(p11->C_GetTokenInfo(slot_labelled(TOKEN_LABEL), &token));
    CHECK(token.flags & CKF_RNG);
    CHECK(token.flags & CKF_LOGIN_REQUIRED);
    CHECK(token.flags & CKF_USER_PIN_INITIALIZED);
    CHECK(token.flags & CKF_TOKEN_INITIALIZED);
    CHECK(!(token.flags & (CKF_WRITE_PROTECTED | CKF_PROTECTED_AUTHENTICATION_PATH | CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY |
                           CKF_USER_PIN_LOCKED | CKF_SO_PIN_COUNT_LOW | CKF_SO_PIN_FINAL_TRY | CKF_SO_PIN_LOCKED)));
    CHECK(token.ulMinPinLen >= 4 && token.ulMinPinLen <= 8 && token.ulMaxPinLen >= 32);
}

TEST(the_token_counts_its_sessions)
{
    CK_TOKEN_INFO token;
    CK_SLOT_ID slot;

    start();
    slot = slot_labelled(TOKEN_LABEL);
    open_on(slot, 0);
    open_on(slot, 0);
    open_on(slot, CKF_RW_SESSION);
    NEED(p11->C_GetTokenInfo(slot, &token));
    CHECK(token.ulSessionCount == 3 || token.ulSessionCount == CK_UNAVAILABLE_INFORMATION);
    CHECK(token.ulRwSessionCount == 1 || token.ulRwSessionCount == CK_UNAVAILABLE_INFORMATION);
}

TEST(two_tokens_have_two_serial_numbers)
{
    CK_TOKEN_INFO one, two;

    start();
    NEED(p11->C_GetTokenInfo(slot_labelled(TOKEN_LABEL), &one));
    NEED(p11->C_GetTokenInfo(slot_labelled("other"), &two));
    CHECK(memcmp(one.serialNumber, two.serialNumber, 16) != 0);
}

TEST(the_slot_list_keeps_to_the_count_it_is_given)
{
    CK_SLOT_ID slots[8];
    CK_ULONG all = 0, count;

    start();
    for (CK_BBOOL present = CK_FALSE; present <= CK_TRUE; present++) {
        NEED(p11->C_GetSlotList(present, NULL, &all));
        CHECK(all >= 2 && all <= COUNT(slots));
        for (CK_ULONG cap = 0; cap < all; cap++) {
            memset(slots, 0x5a, sizeof slots);
            count = cap;
            EXPECT(p11->C_GetSlotList(present, slots, &count), CKR_BUFFER_TOO_SMALL);
            CHECK(count == all);
            CHECK(slots[cap] == 0x5a5a5a5a5a5a5a5a);
        }
        count = COUNT(slots);
        memset(slots, 0x5a, sizeof slots);
        EXPECT(p11->C_GetSlotList(present, slots, &count), CKR_OK);
        CHECK(count == all && slots[all] == 0x5a5a5a5a5a5a5a5a);
    }
}

TEST(the_mechanism_list_keeps_to_the_count_it_is_given)
{
    CK_MECHANISM_TYPE list[512];
    CK_ULONG all = 0, count;
    CK_SLOT_ID slot;

    start();
    slot = slot_labelled(TOKEN_LABEL);
    NEED(p11->C_GetMechanismList(slot, NULL, &all));
    CHECK(all > 0 && all < COUNT(list));
    count = all - 1;
    memset(list, 0x5a, sizeof list);
    EXPECT(p11->C_GetMechanismList(slot, list, &count), CKR_BUFFER_TOO_SMALL);
    CHECK(count == all && list[all - 1] == 0x5a5a5a5a5a5a5a5a);
    NEED(p11->C_GetMechanismList(slot, list, &count));
    CHECK(count == all);
    for (CK_ULONG i = 0; i < all; i++) {
        CK_MECHANISM_INFO info;

        NEED(p11->C_GetMechanismInfo(slot, list[i], &info));
        if (p11_kind == KEYLADDER)
            CHECK(info.flags & (CKF_ENCRYPT | CKF_DECRYPT | CKF_GENERATE | CKF_DERIVE | CKF_DIGEST | CKF_SIGN | CKF_WRAP));
        CHECK(info.ulMinKeySize <= info.ulMaxKeySize);
        for (CK_ULONG j = 0; j < i; j++) CHECK(list[j] != list[i]);
    }
}

TEST(the_mechanisms_promised_are_offered_and_no_dangerous_one_is)
{
    static const struct {
        CK_MECHANISM_TYPE type;
        CK_FLAGS flags;
    } promised[] = { { CKM_AES_KEY_GEN, CKF_GENERATE },
                     { CKM_GENERIC_SECRET_KEY_GEN, CKF_GENERATE },
                     { CKM_AES_GCM, CKF_ENCRYPT | CKF_DECRYPT },
                     { CKM_HKDF_DERIVE, CKF_DERIVE },
                     { CKM_KL_ENVELOPE, CKF_ENCRYPT | CKF_DECRYPT } };
    static const CK_MECHANISM_TYPE never[] = { CKM_AES_ECB,
                                               CKM_AES_ECB_ENCRYPT_DATA,
                                               CKM_AES_CBC_ENCRYPT_DATA,
                                               CKM_AES_OFB,
                                               CKM_AES_CTS,
                                               0x364 /* XOR_BASE_AND_DATA */,
                                               0x365 /* EXTRACT_KEY_FROM_KEY */,
                                               0x360 /* CONCATENATE_BASE_AND_KEY */,
                                               0x1 /* RSA_PKCS */,
                                               0x210 /* MD5 */,
                                               0x133 /* DES3_CBC */,
                                               CK_UNAVAILABLE_INFORMATION };
    CK_MECHANISM_INFO info;
    CK_SLOT_ID slot;

    start();
    slot = slot_labelled(TOKEN_LABEL);
    for (size_t i = 0; i < COUNT(promised); i++) {
        if (EXPECT(p11->C_GetMechanismInfo(slot, promised[i].type, &info), CKR_OK))
            CHECK((info.flags & promised[i].flags) == promised[i].flags);
    }
    for (size_t i = 0; i < COUNT(never); i++) EXPECT(p11->C_GetMechanismInfo(slot, never[i], &info), CKR_MECHANISM_INVALID);
    NEED(p11->C_GetMechanismInfo(slot, CKM_AES_GCM, &info));
    CHECK(info.ulMinKeySize == 16 && info.ulMaxKeySize == 32);
    NEED(p11->C_GetMechanismInfo(slot, CKM_AES_KEY_GEN, &info));
    CHECK(info.ulMinKeySize == 16 && info.ulMaxKeySize == 32);
}

TEST(no_slot_event_ever_happens)
{
    CK_SLOT_ID slot = 0;

    start();
    EXPECT(p11->C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL), CKR_NO_EVENT);
    EXPECT(p11->C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, &slot), CKR_ARGUMENTS_BAD);
}

/* ---- configurations that offer nothing ---- */

TEST(without_a_configuration_the_module_is_silent_and_harmless)
{
    CK_ULONG count = 99;

    setenv("KEYLADDER_CONF", "/nonexistent/keyladder.conf", 1);
    start();
    NEED(p11->C_GetSlotList(CK_FALSE, NULL, &count));
    CHECK(count == 0);
    stop();
}

TEST(a_configuration_that_others_may_write_offers_no_slot)
{
    CK_ULONG count = 99;
    char path[4200];

    snprintf(path, sizeof path, "%s/keyladder.conf", sandbox_dir);
    chmod(path, 0622);
    start();
    NEED(p11->C_GetSlotList(CK_FALSE, NULL, &count));
    CHECK(count == 0);
    stop();
    chmod(path, 0600);
    start();
    NEED(p11->C_GetSlotList(CK_FALSE, NULL, &count));
    CHECK(count == 2);
}

static unsigned threads_now(void)
{
    DIR *tasks = opendir("/proc/self/task");
    unsigned n = 0;

    while (readdir(tasks)) n++;
    closedir(tasks);
    return n;
}

TEST(initialize_touches_neither_network_nor_threads_nor_the_store)
{
    char path[4200];
    struct stat before, after;
    unsigned threads = threads_now();

    snprintf(path, sizeof path, "%s/demo.db", sandbox_dir);
    CHECK(stat(path, &before) == 0);
    start();
    CHECK(threads_now() == threads);
    stop();
    CHECK(stat(path, &after) == 0 && before.st_mtim.tv_sec == after.st_mtim.tv_sec && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
}

/* ---- sessions ---- */

TEST(a_session_must_be_serial)
{
    CK_SESSION_HANDLE session = 0;

    start();
    EXPECT(p11->C_OpenSession(slot_labelled(TOKEN_LABEL), 0, NULL, NULL, &session), CKR_SESSION_PARALLEL_NOT_SUPPORTED);
    EXPECT(p11->C_OpenSession(slot_labelled(TOKEN_LABEL), CKF_RW_SESSION, NULL, NULL, &session), CKR_SESSION_PARALLEL_NOT_SUPPORTED);
    CHECK(session == 0);
}

TEST(a_session_knows_its_state)
{
    CK_SESSION_HANDLE ro, rw;
    CK_SESSION_INFO info;
    CK_SLOT_ID slot;

    start();
    slot = slot_labelled(TOKEN_LABEL);
    ro = open_on(slot, 0);
    rw = open_on(slot, CKF_RW_SESSION);
    NEED(p11->C_GetSessionInfo(ro, &info));
    CHECK(info.state == CKS_RO_PUBLIC_SESSION && info.flags == CKF_SERIAL_SESSION && info.slotID == slot && info.ulDeviceError == 0);
    NEED(p11->C_GetSessionInfo(rw, &info));
    CHECK(info.state == CKS_RW_PUBLIC_SESSION && info.flags == (CKF_SERIAL_SESSION | CKF_RW_SESSION));
    NEED(login(ro, CKU_USER, USER_PIN));
    NEED(p11->C_GetSessionInfo(ro, &info));
    CHECK(info.state == CKS_RO_USER_FUNCTIONS);
    NEED(p11->C_GetSessionInfo(rw, &info));
    CHECK(info.state == CKS_RW_USER_FUNCTIONS);
    NEED(p11->C_Logout(rw));
    NEED(p11->C_GetSessionInfo(ro, &info));
    CHECK(info.state == CKS_RO_PUBLIC_SESSION);
    NEED(p11->C_CloseSession(ro));
    NEED(login(rw, CKU_SO, SO_PIN));
    NEED(p11->C_GetSessionInfo(rw, &info));
    CHECK(info.state == CKS_RW_SO_FUNCTIONS);
}

TEST(session_handles_are_never_zero_and_never_come_again)
{
    enum { N = 5000 };
    static CK_SESSION_HANDLE seen[N];
    CK_SLOT_ID slot;

    start();
    slot = slot_labelled(TOKEN_LABEL);
    open_on(slot, 0);
    for (int i = 0; i < N; i++) {
        seen[i] = open_on(slot, 0);
        if (seen[i] == 0) fail_at(__FILE__, __LINE__, "handle 0");
        NEED(p11->C_CloseSession(seen[i]));
    }
    for (int i = 0; i < N; i++)
        for (int j = 0; j < i; j++)
            if (seen[i] == seen[j]) die_at(__FILE__, __LINE__, "session %d has the handle of session %d", i, j);
}

TEST(session_handles_do_not_come_again_after_a_restart_of_the_library)
{
    CK_SESSION_HANDLE before;
    CK_SESSION_INFO info;

    start();
    before = open_session(0);
    stop();
    start();
    CHECK(open_session(0) != before);
    EXPECT(p11->C_GetSessionInfo(before, &info), CKR_SESSION_HANDLE_INVALID);
}

TEST(ten_thousand_sessions_can_be_open)
{
    CK_SESSION_HANDLE session = user_session(), last = 0;
    CK_SESSION_INFO info;

    for (int i = 0; i < 10000; i++) last = open_session(0);
    NEED(p11->C_GetSessionInfo(last, &info));
    CHECK(info.state == CKS_RO_USER_FUNCTIONS);
    NEED(p11->C_CloseAllSessions(slot_labelled(TOKEN_LABEL)));
    EXPECT(p11->C_GetSessionInfo(last, &info), CKR_SESSION_HANDLE_INVALID);
    EXPECT(p11->C_CloseSession(session), CKR_SESSION_HANDLE_INVALID);
}

TEST(closing_the_last_session_logs_out)
{
    CK_SESSION_HANDLE one = user_session(), two = open_session(0);
    CK_SESSION_INFO info;

    NEED(p11->C_CloseSession(one));
    NEED(p11->C_GetSessionInfo(two, &info));
    CHECK(info.state == CKS_RO_USER_FUNCTIONS);
    NEED(p11->C_CloseSession(two));
    two = open_session(0);
    NEED(p11->C_GetSessionInfo(two, &info));
    CHECK(info.state == CKS_RO_PUBLIC_SESSION);
}

TEST(closing_all_sessions_ends_the_login_of_that_slot_only)
{
    CK_SESSION_HANDLE one = user_session(), other = open_on(slot_labelled("other"), 0);
    CK_SESSION_INFO info;

    NEED(login(other, CKU_USER, USER_PIN));
    NEED(p11->C_CloseAllSessions(slot_labelled(TOKEN_LABEL)));
    EXPECT(p11->C_GetSessionInfo(one, &info), CKR_SESSION_HANDLE_INVALID);
    NEED(p11->C_GetSessionInfo(other, &info));
    CHECK(info.state == CKS_RO_USER_FUNCTIONS);
    NEED(p11->C_GetSessionInfo(open_session(0), &info));
    CHECK(info.state == CKS_RO_PUBLIC_SESSION);
    EXPECT(p11->C_CloseAllSessions(slot_labelled(TOKEN_LABEL)), CKR_OK);
    EXPECT(p11->C_CloseAllSessions(slot_labelled(TOKEN_LABEL)), CKR_OK);
}

TEST(finalize_closes_sessions_and_ends_the_login)
{
    CK_SESSION_HANDLE session = user_session();
    CK_SESSION_INFO info;

    stop();
    start();
    EXPECT(p11->C_GetSessionInfo(session, &info), CKR_SESSION_HANDLE_INVALID);
    NEED(p11->C_GetSessionInfo(open_session(0), &info));
    CHECK(info.state == CKS_RO_PUBLIC_SESSION);
}

/* ---- random ---- */

TEST(random_bytes_of_any_length_are_random)
{
    CK_SESSION_HANDLE session;
    CK_BYTE *large = malloc(1 << 20), small[2][32] = { { 0 }, { 0 } };
    unsigned counts[256] = { 0 };

    start();
    session = open_session(0);
    EXPECT(p11->C_GenerateRandom(session, small[0], 0), CKR_OK, p11_kind == SOFTHSM ? CKR_ARGUMENTS_BAD : CKR_OK);
    EXPECT(p11->C_GenerateRandom(session, small[0], 1), CKR_OK);
    for (int i = 1; i < 32; i++) CHECK(small[0][i] == 0);
    NEED(p11->C_GenerateRandom(session, small[0], 32));
    NEED(p11->C_GenerateRandom(session, small[1], 32));
    CHECK(memcmp(small[0], small[1], 32) != 0);
    NEED(p11->C_GenerateRandom(session, large, 1 << 20));
    for (int i = 0; i < 1 << 20; i++) counts[large[i]]++;
    /* 4,096 of each are to be expected; 10 standard deviations are 640. */
    for (int i = 0; i < 256; i++) CHECK(counts[i] > 3456 && counts[i] < 4736);
}

TEST(random_into_nothing_is_an_empty_answer_of_length_zero_only)
{
    CK_SESSION_HANDLE session;

    start();
    session = open_session(0);
    EXPECT(p11->C_GenerateRandom(session, NULL, 0), CKR_OK);
    EXPECT(p11->C_GenerateRandom(session, NULL, 1), CKR_ARGUMENTS_BAD);
}

TEST(a_seed_is_taken_or_refused_with_its_own_code)
{
    CK_SESSION_HANDLE session;
    CK_BYTE seed[16] = { 1 };

    start();
    session = open_session(0);
    EXPECT(p11->C_SeedRandom(session, seed, sizeof seed), CKR_OK, CKR_RANDOM_SEED_NOT_SUPPORTED);
    EXPECT(p11->C_SeedRandom(0, seed, sizeof seed), CKR_SESSION_HANDLE_INVALID);
}

const struct test general_tests[] = {
    T(a_second_initialize_is_told_so, ANY),
    T(finalize_without_initialize_is_refused, ANY),
    T(finalize_with_a_reserved_pointer_is_refused_and_changes_nothing, ANY),
    T(initialize_takes_null_and_all_flags_callers_send, ANY),
    T(initialize_refuses_a_reserved_pointer, ANY),
    T(some_but_not_all_mutex_callbacks_are_refused, ANY),
    T(all_mutex_callbacks_are_used_or_refused_with_its_own_code, ANY),
    T(initialize_and_finalize_a_hundred_times_leaves_nothing_open, ANY),
    T(every_function_before_initialize_says_not_initialized, ANY),
    T(every_function_after_finalize_says_not_initialized, ANY),
    T(null_for_any_pointer_is_a_bad_argument_and_never_a_crash, OURS),
    T(functions_that_make_no_sense_say_not_supported, OURS),
    T(a_closed_session_is_invalid_for_every_function, OURS),
    T(an_unknown_slot_is_invalid_for_every_function, OURS),
    T(the_function_list_is_2_40_and_complete, ANY),
    T(interfaces_of_every_version_are_listed_and_whole, OURS),
    T(an_interface_is_found_by_name_version_both_or_neither, OURS),
    T(an_unknown_interface_is_a_bad_argument, OURS),
    T(exactly_the_standard_functions_are_exported, OURS),
    T(the_module_cannot_be_unloaded_and_drags_in_no_p11_kit_or_curl, OURS),
    T(texts_are_padded_with_spaces, ANY),
    T(the_token_says_what_it_can, ANY),
    T(the_token_counts_its_sessions, ANY),
    T(two_tokens_have_two_serial_numbers, ANY),
    T(the_slot_list_keeps_to_the_count_it_is_given, ANY),
    T(the_mechanism_list_keeps_to_the_count_it_is_given, ANY),
    T(the_mechanisms_promised_are_offered_and_no_dangerous_one_is, OURS),
    T(no_slot_event_ever_happens, OURS),
    T(without_a_configuration_the_module_is_silent_and_harmless, OURS),
    T(a_configuration_that_others_may_write_offers_no_slot, OURS),
    T(initialize_touches_neither_network_nor_threads_nor_the_store, OURS),
    T(a_session_must_be_serial, ANY),
    T(a_session_knows_its_state, ANY),
    T(session_handles_are_never_zero_and_never_come_again, ANY),
    T(session_handles_do_not_come_again_after_a_restart_of_the_library, OURS),
    T(ten_thousand_sessions_can_be_open, OURS),
    T(closing_the_last_session_logs_out, ANY),
    T(closing_all_sessions_ends_the_login_of_that_slot_only, ANY),
    T(finalize_closes_sessions_and_ends_the_login, ANY),
    T(random_bytes_of_any_length_are_random, ANY),
    T(random_into_nothing_is_an_empty_answer_of_length_zero_only, OURS),
    T(a_seed_is_taken_or_refused_with_its_own_code, ANY),
    { NULL, NULL, 0 },
};
