/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Features of the library, before there is a session: loading, C_Initialize, fork, slots, what a token says of itself. */
#include "interop.h"

#include <sys/wait.h>
#include <unistd.h>

/* ---- entry points ---- */

void lists_every_function(void)
{
    CK_ULONG missing = 0;

    for (size_t i = 0; i < (sizeof *p11 - offsetof(CK_FUNCTION_LIST, C_Initialize)) / sizeof(void *); i++) {
        void *address;

        memcpy(&address, (const CK_BYTE *)p11 + offsetof(CK_FUNCTION_LIST, C_Initialize) + i * sizeof address, sizeof address);
        missing += address == NULL;
    }
    if (p11->version.major < 2) say_wrong("C_GetFunctionList: version %u.%u", p11->version.major, p11->version.minor);
    if (missing > 0) say_wrong("C_GetFunctionList: %lu of the functions are NULL", missing);
}

void exports_by_name(void)
{
    static const char *const names[] = { "C_Initialize",  "C_GetSlotList", "C_OpenSession", "C_Login",
                                         "C_FindObjects", "C_EncryptInit", "C_GenerateKey", "C_Finalize" };

    for (size_t i = 0; i < COUNT(names); i++)
        if (p11_sym(names[i]) == NULL) say_no("%s is not exported", names[i]);
}

void has_interface_30(void)
{
    struct t_list30 *list = interface_of(3, 0);
    t_get_interface_list get = (t_get_interface_list)(uintptr_t)p11_sym("C_GetInterfaceList");
    struct t_interface interfaces[16];
    CK_ULONG count = 0;

    if (list->version.major != 3 || list->version.minor != 0)
        say_wrong("C_GetInterface: asked for 3.0, came %u.%u", list->version.major, list->version.minor);
    if (get == NULL) say_wrong("C_GetInterface without C_GetInterfaceList");
    must_ok("C_GetInterfaceList", get(NULL, &count));
    if (count == 0 || count > COUNT(interfaces)) say_wrong("C_GetInterfaceList: %lu interfaces", count);
    must_ok("C_GetInterfaceList", get(interfaces, &count));
    for (CK_ULONG i = 0; i < count; i++)
        if (interfaces[i].name == NULL || interfaces[i].list == NULL) say_wrong("C_GetInterfaceList: an empty interface");
}

void has_interface_32(void)
{
    struct t_list30 *list = interface_of(3, 2);

    if (list->version.major != 3 || list->version.minor != 2)
        say_wrong("C_GetInterface: asked for 3.2, came %u.%u", list->version.major, list->version.minor);
}

/* ---- C_Initialize ---- */

static void works_then(CK_RV rv)
{
    CK_ULONG count = 0;

    must_ok("C_Initialize", rv);
    MUST(C_GetSlotList, CK_TRUE, NULL, &count);
    finalize();
}

void initializes_null(void)
{
    works_then(initialize_as(true, 0));
}

void initializes_0(void)
{
    works_then(initialize_as(false, 0));
}

void initializes_2(void)
{
    works_then(initialize_as(false, CKF_OS_LOCKING_OK));
}

void initializes_3(void)
{
    CK_RV rv = initialize_as(false, CKF_OS_LOCKING_OK | CKF_LIBRARY_CANT_CREATE_OS_THREADS);

    /* The standard's own way to say that it must have threads. */
    if (rv == CKR_NEED_TO_CREATE_THREADS) say_no("C_Initialize: %s", code(rv));
    works_then(rv);
}

void initializes_once(void)
{
    initialize();
    MUST_BE("C_Initialize again", initialize_as(false, CKF_OS_LOCKING_OK), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    finalize();
}

void wants_initialize(void)
{
    CK_ULONG count = 0;
    CK_INFO info;

    MUST_BE("C_GetInfo before C_Initialize", CALL(C_GetInfo, &info), CKR_CRYPTOKI_NOT_INITIALIZED);
    MUST_BE("C_GetSlotList before C_Initialize", CALL(C_GetSlotList, CK_TRUE, NULL, &count), CKR_CRYPTOKI_NOT_INITIALIZED);
    MUST_BE("C_Finalize before C_Initialize", CALL(C_Finalize, NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
}

void initializes_again(void)
{
    CK_SESSION_HANDLE session = ready();
    CK_BYTE random[16];
    CK_INFO info;

    finalize();
    MUST_BE("C_GetInfo after C_Finalize", CALL(C_GetInfo, &info), CKR_CRYPTOKI_NOT_INITIALIZED);
    session = ready();
    MUST(C_GenerateRandom, session, random, sizeof random);
    finalize();
}

void refuses_bad_arguments(void)
{
    CK_INFO info;

    initialize();
    MUST_BE("C_GetInfo(NULL)", CALL(C_GetInfo, NULL), CKR_ARGUMENTS_BAD);
    MUST_BE("C_Finalize(not NULL)", CALL(C_Finalize, &info), CKR_ARGUMENTS_BAD);
}

/* ---- fork ---- */

static bool is_fork_safe(void)
{
    t_get_interface get = (t_get_interface)(uintptr_t)p11_sym("C_GetInterface");
    struct t_interface *found = NULL;

    return get != NULL && get(NULL, NULL, &found, 0) == CKR_OK && found != NULL && (found->flags & CKF_INTERFACE_FORK_SAFE);
}

static void told_in_child(void *arg)
{
    const CK_SESSION_HANDLE *session = arg;
    CK_BYTE random[16];
    CK_RV rv = CALL(C_GenerateRandom, *session, random, sizeof random);

    if (is_fork_safe()) {
        must_ok("C_GenerateRandom in a child", rv);
        return;
    }
    MUST_BE("C_GenerateRandom in a child", rv, CKR_CRYPTOKI_NOT_INITIALIZED);
}

void child_is_told(void)
{
    CK_SESSION_HANDLE session = ready();

    in_child(told_in_child, &session);
    finalize();
}

static void begins_in_child(void *arg)
{
    CK_BYTE random[16];
    CK_SESSION_HANDLE session;

    (void)arg;
    if (is_fork_safe()) {
        CK_RV rv = initialize_as(false, CKF_OS_LOCKING_OK);

        MUST_BE("C_Initialize in a child", rv, CKR_OK, CKR_CRYPTOKI_ALREADY_INITIALIZED);
        session = session_new(CKF_RW_SESSION);
        log_in(session);
    } else {
        must_ok("C_Initialize in a child", initialize_as(false, CKF_OS_LOCKING_OK));
        session = session_new(CKF_RW_SESSION);
        log_in(session);
    }
    MUST(C_GenerateRandom, session, random, sizeof random);
    MUST(C_Finalize, NULL);
}

void child_begins_afresh(void)
{
    ready();
    in_child(begins_in_child, NULL);
    finalize();
}

/* The parent's sessions are not a child's to end, however it ends. */
void parent_goes_on(void)
{
    CK_MECHANISM mech = { CKM_AES_CBC_PAD, (CK_BYTE[16]){ 1 }, 16 };
    CK_SESSION_HANDLE session = ready();
    CK_BYTE random[16];
    int status;
    pid_t pid;

    pid = fork();
    if (pid == 0) {
        if (p11->C_Initialize(NULL) == CKR_OK) p11->C_Finalize(NULL);
        exit(0);
    }
    while (waitpid(pid, &status, 0) != pid) continue;
    MUST(C_GenerateRandom, session, random, sizeof random);
    if (is_listed(CKM_AES_CBC_PAD, CKF_ENCRYPT | CKF_DECRYPT)) round_trip(session, &mech, aes_key(session, 32, "ed"));
    finalize();
}

/* ---- what it says of itself ---- */

/* Blanks behind the text, never NUL (2.40, 3.1: "MUST be padded with the blank character ... not null-terminated"). */
static void is_padded(const char *what, const CK_UTF8CHAR *field, size_t len)
{
    if (memchr(field, 0, len) != NULL) say_wrong("%s: NUL in a field that is padded with blanks", what);
}

void library_info(void)
{
    CK_INFO info;

    initialize();
    memset(&info, 0, sizeof info);
    MUST(C_GetInfo, &info);
    is_padded("manufacturerID", info.manufacturerID, sizeof info.manufacturerID);
    is_padded("libraryDescription", info.libraryDescription, sizeof info.libraryDescription);
    if (info.cryptokiVersion.major < 2) say_wrong("C_GetInfo: Cryptoki %u.%u", info.cryptokiVersion.major, info.cryptokiVersion.minor);
    finalize();
}

void slot_list(void)
{
    CK_SLOT_ID slots[64];
    CK_ULONG count = 0, all = 0;

    initialize();
    MUST(C_GetSlotList, CK_TRUE, NULL, &count);
    MUST(C_GetSlotList, CK_FALSE, NULL, &all);
    if (count == 0 || count > all || count > COUNT(slots)) say_wrong("C_GetSlotList: %lu tokens in %lu slots", count, all);
    MUST(C_GetSlotList, CK_TRUE, slots, &count);
    all = count - 1;
    memset(slots, 0xa5, sizeof slots);
    MUST_BE("C_GetSlotList with too little room", CALL(C_GetSlotList, CK_TRUE, slots, &all), CKR_BUFFER_TOO_SMALL);
    if (all < count) say_wrong("C_GetSlotList: CKR_BUFFER_TOO_SMALL, and %lu is not how much is needed", all);
    if (slots[count - 1] != (CK_SLOT_ID)0xa5a5a5a5a5a5a5a5) say_wrong("C_GetSlotList: wrote behind a buffer of %lu slots", count - 1);
    finalize();
}

void unknown_slot(void)
{
    CK_SESSION_HANDLE session;
    CK_SLOT_INFO info;

    initialize();
    MUST_BE("C_GetSlotInfo of no slot", CALL(C_GetSlotInfo, (CK_SLOT_ID)0x7ffffff1, &info), CKR_SLOT_ID_INVALID);
    MUST_BE("C_OpenSession of no slot", CALL(C_OpenSession, (CK_SLOT_ID)0x7ffffff1, CKF_SERIAL_SESSION, NULL, NULL, &session),
            CKR_SLOT_ID_INVALID);
    finalize();
}

void slot_info(void)
{
    CK_SLOT_INFO info;

    initialize();
    memset(&info, 0, sizeof info);
    MUST(C_GetSlotInfo, token_slot, &info);
    is_padded("slotDescription", info.slotDescription, sizeof info.slotDescription);
    is_padded("manufacturerID", info.manufacturerID, sizeof info.manufacturerID);
    if (!(info.flags & CKF_TOKEN_PRESENT)) say_wrong("C_GetSlotInfo: no CKF_TOKEN_PRESENT where there is a token");
    finalize();
}

void token_info(void)
{
    CK_TOKEN_INFO info;

    initialize();
    memset(&info, 0, sizeof info);
    MUST(C_GetTokenInfo, token_slot, &info);
    is_padded("label", info.label, sizeof info.label);
    is_padded("manufacturerID", info.manufacturerID, sizeof info.manufacturerID);
    is_padded("model", info.model, sizeof info.model);
    is_padded("serialNumber", info.serialNumber, sizeof info.serialNumber);
    if (!(info.flags & CKF_TOKEN_INITIALIZED)) say_wrong("C_GetTokenInfo: no CKF_TOKEN_INITIALIZED");
    if (target.pin != NULL && !(info.flags & CKF_USER_PIN_INITIALIZED)) say_wrong("C_GetTokenInfo: no CKF_USER_PIN_INITIALIZED");
    if (target.pin != NULL && !(info.flags & CKF_LOGIN_REQUIRED)) say_wrong("C_GetTokenInfo: no CKF_LOGIN_REQUIRED");
    finalize();
}

void token_is_writable(void)
{
    CK_TOKEN_INFO info;

    initialize();
    MUST(C_GetTokenInfo, token_slot, &info);
    if (info.flags & CKF_WRITE_PROTECTED) say_no("CKF_WRITE_PROTECTED");
    finalize();
}

void mechanism_list(void)
{
    CK_MECHANISM_TYPE list[1024];
    CK_ULONG count = 0, few;
    CK_MECHANISM_INFO info = { 0, 0, 0 };

    initialize();
    MUST(C_GetMechanismList, token_slot, NULL, &count);
    if (count < 2 || count > COUNT(list)) say_wrong("C_GetMechanismList: %lu mechanisms", count);
    few = count - 1;
    memset(list, 0xa5, sizeof list);
    MUST_BE("C_GetMechanismList with too little room", CALL(C_GetMechanismList, token_slot, list, &few), CKR_BUFFER_TOO_SMALL);
    if (few != count) say_wrong("C_GetMechanismList: CKR_BUFFER_TOO_SMALL, and %lu is not how many there are", few);
    if (list[count - 1] != (CK_MECHANISM_TYPE)0xa5a5a5a5a5a5a5a5) say_wrong("C_GetMechanismList: wrote behind the room that was lent");
    MUST(C_GetMechanismList, token_slot, list, &count);
    for (CK_ULONG i = 0; i < count; i++) {
        CK_RV rv = CALL(C_GetMechanismInfo, token_slot, list[i], &info);

        if (rv != CKR_OK) say_wrong("C_GetMechanismInfo of 0x%lx, which is listed: %s", list[i], code(rv));
    }
    MUST_BE("C_GetMechanismInfo of no mechanism", CALL(C_GetMechanismInfo, token_slot, 0x7ffffff1, &info), CKR_MECHANISM_INVALID);
    finalize();
}
