/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "../token/sandbox.h"
#include "../unit.h"
#include "keyladder/pkcs11.h"
#include "p11/list.h"

/* --- C_Initialize and C_Finalize --------------------------------------- */

static CK_RV make(void **mutex)
{
    (void)mutex;
    return CKR_GENERAL_ERROR;
}

static CK_RV use(void *mutex)
{
    (void)mutex;
    return CKR_GENERAL_ERROR;
}

static void initialize_takes_what_callers_send(void)
{
    static const CK_C_INITIALIZE_ARGS good[] = {
        { .flags = 0 },
        { .flags = CKF_OS_LOCKING_OK },
        { .flags = CKF_LIBRARY_CANT_CREATE_OS_THREADS | CKF_OS_LOCKING_OK },
        { .flags = CKF_LIBRARY_CANT_CREATE_OS_THREADS },
        { .CreateMutex = make, .DestroyMutex = use, .LockMutex = use, .UnlockMutex = use, .flags = CKF_OS_LOCKING_OK },
    };
    unsigned char room[sizeof *good + 1];

    sandbox_begin();
    CU_ASSERT_EQUAL(C_Initialize(NULL), CKR_OK);
    CU_ASSERT_EQUAL(C_Finalize(NULL), CKR_OK);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        memcpy(room + 1, &good[i], sizeof *good);
        CU_ASSERT_EQUAL(C_Initialize(room + 1), CKR_OK);
        CU_ASSERT_EQUAL(C_Finalize(NULL), CKR_OK);
    }
    sandbox_end();
}

static void initialize_refuses_half_a_set_of_callbacks_and_reserved_words(void)
{
    CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK, .pReserved = &args };

    sandbox_begin();
    CU_ASSERT_EQUAL(C_Initialize(&args), CKR_ARGUMENTS_BAD);
    for (unsigned set = 1; set < 15; set++) {
        args = (CK_C_INITIALIZE_ARGS){ .flags = CKF_OS_LOCKING_OK };
        if (set & 1) args.CreateMutex = make;
        if (set & 2) args.DestroyMutex = use;
        if (set & 4) args.LockMutex = use;
        if (set & 8) args.UnlockMutex = use;
        CU_ASSERT_EQUAL(C_Initialize(&args), CKR_ARGUMENTS_BAD);
    }
    CU_ASSERT_EQUAL(C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
    sandbox_end();
}

static void initialize_cannot_use_the_callers_locks_alone(void)
{
    CK_C_INITIALIZE_ARGS args = { .CreateMutex = make, .DestroyMutex = use, .LockMutex = use, .UnlockMutex = use };

    sandbox_begin();
    CU_ASSERT_EQUAL(C_Initialize(&args), CKR_CANT_LOCK);
    CU_ASSERT_EQUAL(C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
    sandbox_end();
}

static void twice_is_told_in_both_directions(void)
{
    sandbox_begin();
    CU_ASSERT_EQUAL(C_Initialize(NULL), CKR_OK);
    CU_ASSERT_EQUAL(C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    CU_ASSERT_EQUAL(C_Finalize(&sandbox), CKR_ARGUMENTS_BAD);
    CU_ASSERT_EQUAL(C_Finalize(NULL), CKR_OK);
    CU_ASSERT_EQUAL(C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
    sandbox_end();
}

/* --- interfaces -------------------------------------------------------- */

static void an_interface_is_found_before_initialize_by_name_or_version_or_neither(void)
{
    CK_UTF8CHAR name[] = "PKCS 11";
    static const CK_VERSION versions[] = { { 3, 2 }, { 3, 1 }, { 3, 0 }, { 2, 40 } };
    CK_INTERFACE *found = NULL;

    CU_ASSERT_EQUAL(C_GetInterface(NULL, NULL, &found, 0), CKR_OK);
    CU_ASSERT_PTR_EQUAL(found->pFunctionList, &kl_list_3_2);
    CU_ASSERT_EQUAL(C_GetInterface(name, NULL, &found, 0), CKR_OK);
    CU_ASSERT_PTR_EQUAL(found->pFunctionList, &kl_list_3_2);
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        CK_VERSION version = versions[i];

        CU_ASSERT_EQUAL(C_GetInterface(name, &version, &found, 0), CKR_OK);
        CU_ASSERT_EQUAL(memcmp(found->pFunctionList, &version, sizeof version), 0);
        CU_ASSERT_EQUAL(C_GetInterface(NULL, &version, &found, 0), CKR_OK);
        CU_ASSERT_EQUAL(memcmp(found->pFunctionList, &version, sizeof version), 0);
    }
}

static void what_is_no_interface_of_ours_is_a_bad_argument(void)
{
    CK_UTF8CHAR other[] = "PKCS 12", longer[] = "PKCS 11 ";
    CK_VERSION version = { 3, 3 }, old = { 2, 20 };
    CK_INTERFACE *found = NULL;

    CU_ASSERT_EQUAL(C_GetInterface(other, NULL, &found, 0), CKR_ARGUMENTS_BAD);
    CU_ASSERT_EQUAL(C_GetInterface(longer, NULL, &found, 0), CKR_ARGUMENTS_BAD);
    CU_ASSERT_EQUAL(C_GetInterface(NULL, &version, &found, 0), CKR_ARGUMENTS_BAD);
    CU_ASSERT_EQUAL(C_GetInterface(NULL, &old, &found, 0), CKR_ARGUMENTS_BAD);
    CU_ASSERT_EQUAL(C_GetInterface(NULL, NULL, NULL, 0), CKR_ARGUMENTS_BAD);
    /* `fork = reset`: a child has to initialise anew. */
    CU_ASSERT_EQUAL(C_GetInterface(NULL, NULL, &found, CKF_INTERFACE_FORK_SAFE), CKR_ARGUMENTS_BAD);
    CU_ASSERT_PTR_NULL(found);
}

static int is_fork_safe(void)
{
    CK_INTERFACE *found = NULL;

    UNIT_NEED(C_GetInterface(NULL, NULL, &found, CKF_INTERFACE_FORK_SAFE) == CKR_OK);
    UNIT_NEED(found->flags == CKF_INTERFACE_FORK_SAFE);
    return 0;
}

static int becomes_fork_safe(void)
{
    CK_INTERFACE *found = NULL;

    UNIT_NEED(C_GetInterface(NULL, NULL, &found, CKF_INTERFACE_FORK_SAFE) == CKR_ARGUMENTS_BAD);
    UNIT_NEED(C_Initialize(NULL) == CKR_OK);
    UNIT_NEED(is_fork_safe() == 0);
    UNIT_NEED(C_Finalize(NULL) == CKR_OK);
    sandbox_configure("[module]\nfork = reset\n");
    UNIT_NEED(is_fork_safe() == 0);
    UNIT_NEED(C_Initialize(NULL) == CKR_OK);
    UNIT_NEED(C_GetInterface(NULL, NULL, &found, CKF_INTERFACE_FORK_SAFE) == CKR_ARGUMENTS_BAD);
    UNIT_NEED(C_Finalize(NULL) == CKR_OK);
    return 0;
}

/* Here the configuration has been read already, by C_Initialize of the tests above. */
static void the_last_initialize_decides_whether_interfaces_are_fork_safe(void)
{
    sandbox_module = "fork = inherit\n";
    sandbox_begin();
    CU_ASSERT_EQUAL(unit_in_child(becomes_fork_safe), 0);
    sandbox_end();
    sandbox_module = "";
}

static void the_list_of_interfaces_keeps_to_its_count(void)
{
    CK_INTERFACE list[16];
    CK_ULONG all = 0, count;

    CU_ASSERT_EQUAL(C_GetInterfaceList(NULL, &all), CKR_OK);
    CU_ASSERT_TRUE_FATAL(all >= 4 && all < 16);
    memset(list, 0, sizeof list);
    count = all - 1;
    CU_ASSERT_EQUAL(C_GetInterfaceList(list, &count), CKR_BUFFER_TOO_SMALL);
    CU_ASSERT_EQUAL(count, all);
    CU_ASSERT_PTR_NULL(list[0].pInterfaceName);
    count = 16;
    CU_ASSERT_EQUAL(C_GetInterfaceList(list, &count), CKR_OK);
    CU_ASSERT_EQUAL(count, all);
    CU_ASSERT_PTR_NOT_NULL(list[all - 1].pFunctionList);
    CU_ASSERT_PTR_NULL(list[all].pInterfaceName);
    CU_ASSERT_EQUAL(C_GetInterfaceList(list, NULL), CKR_ARGUMENTS_BAD);
}

static void the_function_list_is_that_of_2_40(void)
{
    CK_FUNCTION_LIST *list = NULL;

    CU_ASSERT_EQUAL(C_GetFunctionList(&list), CKR_OK);
    CU_ASSERT_PTR_EQUAL(list, &kl_list_2_40);
    CU_ASSERT_EQUAL(C_GetFunctionList(NULL), CKR_ARGUMENTS_BAD);
}

UNIT_MAIN("p11/general", UNIT(initialize_takes_what_callers_send), UNIT(initialize_refuses_half_a_set_of_callbacks_and_reserved_words),
          UNIT(initialize_cannot_use_the_callers_locks_alone), UNIT(twice_is_told_in_both_directions),
          UNIT(an_interface_is_found_before_initialize_by_name_or_version_or_neither), UNIT(what_is_no_interface_of_ours_is_a_bad_argument),
          UNIT(the_last_initialize_decides_whether_interfaces_are_fork_safe), UNIT(the_list_of_interfaces_keeps_to_its_count),
          UNIT(the_function_list_is_that_of_2_40))
