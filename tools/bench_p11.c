/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A module under `keyladder bench`: loading it, finding or making its token, logging in. Runs in the contender's own process. */
#include "bench_p11.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum { SLOTS_MAX = 64 };

struct kl_bench_module kl_bench_module;

/* One call, its name where the parent sees it should the call never come back. */
#define STEP(words, name, call)                 \
    do {                                        \
        CK_RV step_rv;                          \
                                                \
        kl_bench_stage(name);                   \
        step_rv = (call);                       \
        if (step_rv != CKR_OK) {                \
            refuse((words), (name), (step_rv)); \
            return false;                       \
        }                                       \
    } while (0)

/* "C_Login: CKR_PIN_INCORRECT", and what the module itself says of it where it is ours. */
static void refuse(char words[KL_BENCH_WORDS], const char *call, CK_RV rv)
{
    CK_UTF8CHAR own[160];
    CK_ULONG len = sizeof own;
    char name[48];

    if (kl_bench_module.keyladder == NULL || kl_bench_module.keyladder->GetError(own, &len) != CKR_OK) len = 0;
    snprintf(words, KL_BENCH_WORDS, "%s: %s%s%.*s", call, kl_bench_rv_text(rv, name), len == 0 ? "" : ": ", (int)len, (const char *)own);
}

/* --- loading --- */

static bool load(const char *path, char words[KL_BENCH_WORDS])
{
    CK_C_GetFunctionList get;
    void *module;

    kl_bench_stage("dlopen");
    module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (module == NULL) {
        snprintf(words, KL_BENCH_WORDS, "%s", dlerror());
        return false;
    }
    get = (CK_C_GetFunctionList)(uintptr_t)dlsym(module, "C_GetFunctionList");
    if (get == NULL) {
        snprintf(words, KL_BENCH_WORDS, "%s is no PKCS #11 module: it has no C_GetFunctionList", path);
        return false;
    }
    STEP(words, "C_GetFunctionList", get(&kl_bench_module.p11));
    return true;
}

/* What came after 2.40 is had or not. */
static void look_for_more(const char *path)
{
    /* The same library again, so that no other's C_GetInterface is found. */
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CK_C_GetInterface get = module == NULL ? NULL : (CK_C_GetInterface)(uintptr_t)dlsym(module, "C_GetInterface");
    CK_UTF8CHAR standard[] = "PKCS 11", vendor[] = KL_INTERFACE_NAME;
    CK_VERSION version = { 3, 0 };
    CK_INTERFACE *found = NULL;

    if (get == NULL) return;
    kl_bench_stage("C_GetInterface");
    if (get(standard, &version, &found, 0) == CKR_OK && found != NULL) kl_bench_module.messages = found->pFunctionList;
    found = NULL;
    if (get(vendor, NULL, &found, 0) == CKR_OK && found != NULL) kl_bench_module.keyladder = found->pFunctionList;
}

static CK_RV initialize(const char *init_args)
{
    /* NSS reads one more pointer behind the standard's structure. */
    struct {
        CK_C_INITIALIZE_ARGS standard;
        void *more;
    } args = { .standard = { .flags = CKF_OS_LOCKING_OK } };
    static char text[1024];

    if (init_args != NULL) {
        snprintf(text, sizeof text, "%s", init_args);
        args.standard.pReserved = text;
    }
    return kl_bench_module.p11->C_Initialize(&args);
}

/* --- the token --- */

/* A field of a fixed length, padded with spaces. */
static bool field_is(const CK_UTF8CHAR *field, size_t len, const char *text)
{
    while (len > 0 && (field[len - 1] == ' ' || field[len - 1] == '\0')) len--;
    return strlen(text) == len && memcmp(field, text, len) == 0;
}

static bool is_wanted(CK_SLOT_ID slot, const struct kl_bench_contender *contender)
{
    CK_TOKEN_INFO facts;

    if (kl_bench_module.p11->C_GetTokenInfo(slot, &facts) != CKR_OK) return false;
    if (contender->makes_token) return (facts.flags & CKF_TOKEN_INITIALIZED) == 0;
    if (contender->serial != NULL && !field_is(facts.serialNumber, sizeof facts.serialNumber, contender->serial)) return false;
    if (contender->token != NULL) return field_is(facts.label, sizeof facts.label, contender->token);
    return (facts.flags & CKF_TOKEN_INITIALIZED) != 0;
}

static bool find_token(const struct kl_bench_contender *contender, char words[KL_BENCH_WORDS])
{
    CK_SLOT_ID slots[SLOTS_MAX];
    CK_ULONG count = SLOTS_MAX;

    STEP(words, "C_GetSlotList", kl_bench_module.p11->C_GetSlotList(CK_TRUE, slots, &count));
    kl_bench_stage("C_GetTokenInfo");
    for (CK_ULONG i = 0; i < count; i++) {
        if (!is_wanted(slots[i], contender)) continue;
        kl_bench_module.slot = slots[i];
        return true;
    }
    if (contender->token != NULL)
        snprintf(words, KL_BENCH_WORDS, "it has no token \"%s\" (%lu slot%s with a token)", contender->token, count, count == 1 ? "" : "s");
    else
        snprintf(words, KL_BENCH_WORDS, "it has no token that is ready (%lu slot%s with a token)", count, count == 1 ? "" : "s");
    return false;
}

static bool open_session(CK_SESSION_HANDLE *session, char words[KL_BENCH_WORDS])
{
    STEP(words, "C_OpenSession",
         kl_bench_module.p11->C_OpenSession(kl_bench_module.slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, session));
    return true;
}

static bool make_token(const struct kl_secret *pin, const struct kl_secret *so_pin, char words[KL_BENCH_WORDS])
{
    CK_FUNCTION_LIST *p11 = kl_bench_module.p11;
    CK_UTF8CHAR label[] = "bench                           ";
    CK_SESSION_HANDLE session;

    STEP(words, "C_InitToken", p11->C_InitToken(kl_bench_module.slot, so_pin->data, so_pin->len, label));
    if (!open_session(&session, words)) return false;
    STEP(words, "C_Login", p11->C_Login(session, CKU_SO, so_pin->data, so_pin->len));
    STEP(words, "C_InitPIN", p11->C_InitPIN(session, pin->data, pin->len));
    STEP(words, "C_CloseSession", p11->C_CloseSession(session));
    return true;
}

bool kl_bench_p11_open(const struct kl_bench_contender *contender, const struct kl_secret *pin, const struct kl_secret *so_pin,
                       char words[KL_BENCH_WORDS])
{
    if (!load(contender->path, words)) return false;
    look_for_more(contender->path);
    STEP(words, "C_Initialize", initialize(contender->init_args));
    if (!find_token(contender, words)) return false;
    if (contender->makes_token && !make_token(pin, so_pin, words)) return false;
    if (!open_session(&kl_bench_module.keeper, words)) return false;
    /* Whoever gave no PIN has a module that works without. */
    if (pin->len > 0) STEP(words, "C_Login", kl_bench_module.p11->C_Login(kl_bench_module.keeper, CKU_USER, pin->data, pin->len));
    kl_bench_stage("");
    return true;
}
