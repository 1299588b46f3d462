/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* PKCS#11 v3.1 5.4: general-purpose functions. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "keyladder/pkcs11.h"
#include "p11/buffer.h"
#include "p11/call.h"
#include "p11/list.h"
#include "token/inherit.h"
#include "token/token.h"

/* --- C_Initialize ------------------------------------------------------ */

static enum kl_rc check_init_args(const void *theirs)
{
    CK_C_INITIALIZE_ARGS args;
    int callbacks;

    if (theirs == NULL) return KL_OK;
    /* not reached: it is not NULL. */
    KL_TRY(kl_caller_read(&args, theirs, sizeof args));
    KL_CHECK(args.pReserved == NULL, KL_ARG);
    callbacks = (args.CreateMutex != NULL) + (args.DestroyMutex != NULL) + (args.LockMutex != NULL) + (args.UnlockMutex != NULL);
    KL_CHECK(callbacks == 0 || callbacks == 4, KL_ARG);
    /* v3.1 5.4.1: with callbacks and no leave to use the system's locks we would have to use the callbacks alone. */
    KL_CHECK(callbacks == 0 || (args.flags & CKF_OS_LOCKING_OK) != 0, KL_CANT_LOCK);
    return KL_OK;
}

CK_RV C_Initialize(void *init_args)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_Initialize, CK_INVALID_HANDLE, KL_NEED_NOTHING);

    if (rc == KL_OK) rc = check_init_args(init_args);
    if (rc == KL_OK) rc = kl_module_open();
    return kl_call_leave(&call, rc);
}

CK_RV C_Finalize(void *reserved)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_Finalize, CK_INVALID_HANDLE, KL_NEED_NOTHING);

    if (rc == KL_OK && reserved != NULL) rc = KL_ARG;
    if (rc == KL_OK) rc = kl_module_close();
    return kl_call_leave(&call, rc);
}

CK_RV C_GetInfo(CK_INFO *info)
{
    struct kl_call call;
    CK_INFO mine = { .cryptokiVersion = kl_list_3_2.version, .libraryVersion = kl_module_version() };
    enum kl_rc rc = kl_call_enter(&call, KL_FN_C_GetInfo, CK_INVALID_HANDLE, KL_NEED_MODULE);

    kl_text_pad(mine.manufacturerID, sizeof mine.manufacturerID, "keyladder");
    kl_text_pad(mine.libraryDescription, sizeof mine.libraryDescription, "key ladder for data at rest");
    if (rc == KL_OK) rc = kl_caller_write(info, &mine, sizeof mine);
    return kl_call_leave(&call, rc);
}

/* --- function lists: before C_Initialize, too -------------------------- */

/* The standard's pointers are not const; whoever writes through them meets a read-only page. */
#define UNCONST(type, pointer) ((type *)(uintptr_t)(pointer))

static const char interface_name[] = "PKCS 11";
static const char vendor_name[] = KL_INTERFACE_NAME;

/*
 * The first is what a caller gets who does not care. CKF_INTERFACE_FORK_SAFE
 * would be wrong under `fork = reset`: the child has to initialise anew.
 */
enum { INTERFACES = 5 };
#define INTERFACES_WITH(flags)                                                               \
    {                                                                                        \
        { UNCONST(CK_UTF8CHAR, interface_name), UNCONST(void, &kl_list_3_2), (flags) },      \
            { UNCONST(CK_UTF8CHAR, interface_name), UNCONST(void, &kl_list_3_1), (flags) },  \
            { UNCONST(CK_UTF8CHAR, interface_name), UNCONST(void, &kl_list_3_0), (flags) },  \
            { UNCONST(CK_UTF8CHAR, interface_name), UNCONST(void, &kl_list_2_40), (flags) }, \
            { UNCONST(CK_UTF8CHAR, vendor_name), UNCONST(void, &kl_list_vendor), (flags) },  \
    }
static const CK_INTERFACE interfaces[2][INTERFACES] = {
    [false] = INTERFACES_WITH(0),
    [true] = INTERFACES_WITH(CKF_INTERFACE_FORK_SAFE),
};

static const CK_INTERFACE *interface_find(const char *name, const CK_VERSION *version, CK_FLAGS flags)
{
    const CK_INTERFACE *those = interfaces[kl_inherit_is_promised()];

    for (size_t i = 0; i < INTERFACES; i++) {
        /* Every list begins with its version. */
        const CK_VERSION *mine = those[i].pFunctionList;

        if (name != NULL && strcmp(name, (const char *)those[i].pInterfaceName) != 0) continue;
        if (version != NULL && (version->major != mine->major || version->minor != mine->minor)) continue;
        if ((those[i].flags & flags) == flags) return &those[i];
    }
    return NULL;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
    const void *mine = &kl_list_2_40;

    return kl_call_answer(KL_FN_C_GetFunctionList, kl_caller_write(list, &mine, sizeof mine));
}

CK_RV C_GetInterfaceList(CK_INTERFACE *list, CK_ULONG *count)
{
    enum kl_rc rc = kl_list_room(list, count, INTERFACES);

    if (rc == KL_OK && list != NULL) rc = kl_caller_write(list, interfaces[kl_inherit_is_promised()], sizeof interfaces[0]);
    return kl_call_answer(KL_FN_C_GetInterfaceList, rc);
}

CK_RV C_GetInterface(CK_UTF8CHAR *name, CK_VERSION *version, CK_INTERFACE **interface, CK_FLAGS flags)
{
    const void *found = interface_find((const char *)name, version, flags);

    return kl_call_answer(KL_FN_C_GetInterface, found == NULL ? KL_ARG : kl_caller_write(interface, &found, sizeof found));
}
