/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the data path of a warm key costs beside the cipher: no memory is asked for and no system call made, but once in 64
 * encryptions where the token has to count or to draw; and two sessions, each with its thread, write to no cache line in common.
 *   datapath      P11_ENGINE says by which engine
 */
#include "p11.h"

#include <time.h>

#include "watch.h"

enum { TIMES = 1000, STORES = 20, BATCHED = 20, BLOCK = 64 };

static CK_BYTE plain[64];
static struct t_messages encrypt_message, decrypt_message;
static const KL_FUNCTION_LIST *vendor;

/* What a thread of a server has. The keys are those of the others, too. */
static struct worker {
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key, field;
    uint64_t ivs; /* used so far */
    CK_BYTE iv[12], tag[16], out[128], back[128];
    struct {
        CK_BYTE sealed[128], back[64];
    } values[BATCHED];
} workers[WATCH_THREADS];

static void next_iv(struct worker *worker)
{
    worker->ivs++;
    memcpy(worker->iv, &worker->ivs, sizeof worker->ivs);
    memcpy(worker->iv + sizeof worker->ivs, &worker->session, 4);
}

static bool came_back(const struct worker *worker, CK_ULONG len)
{
    return len == sizeof plain && memcmp(worker->back, plain, sizeof plain) == 0;
}

/* ---- what is done ---- */

static bool one_call(struct worker *worker, CK_MECHANISM *mech, CK_OBJECT_HANDLE key)
{
    CK_ULONG len = sizeof worker->out, back = sizeof worker->back;

    return p11->C_EncryptInit(worker->session, mech, key) == CKR_OK &&
           p11->C_Encrypt(worker->session, plain, sizeof plain, worker->out, &len) == CKR_OK &&
           p11->C_DecryptInit(worker->session, mech, key) == CKR_OK &&
           p11->C_Decrypt(worker->session, worker->out, len, worker->back, &back) == CKR_OK && came_back(worker, back);
}

static bool gcm(void *arg)
{
    struct worker *worker = arg;
    CK_BYTE aad[16] = "associated data";
    struct t_gcm params = { worker->iv, 12, 96, aad, sizeof aad, 128 };
    CK_MECHANISM mech = { CKM_AES_GCM, &params, sizeof params };

    next_iv(worker);
    return one_call(worker, &mech, worker->key);
}

static bool in_parts(void *arg)
{
    struct worker *worker = arg;
    struct t_gcm params = { worker->iv, 12, 96, NULL, 0, 128 };
    CK_MECHANISM mech = { CKM_AES_GCM, &params, sizeof params };
    CK_ULONG len = sizeof worker->out, more = sizeof worker->out - 32, tag = 16;

    next_iv(worker);
    return p11->C_EncryptInit(worker->session, &mech, worker->key) == CKR_OK &&
           p11->C_EncryptUpdate(worker->session, plain, 32, worker->out, &len) == CKR_OK &&
           p11->C_EncryptUpdate(worker->session, plain + 32, 32, worker->out + 32, &more) == CKR_OK &&
           p11->C_EncryptFinal(worker->session, worker->out + 64, &tag) == CKR_OK && len + more + tag == 80;
}

static bool message_by(struct worker *worker, CK_ULONG generator, CK_ULONG fixed)
{
    struct t_gcm_message params = { worker->iv, 12, fixed, generator, worker->tag, 128 };
    CK_ULONG len = sizeof worker->out, back = sizeof worker->back;

    if (encrypt_message.once(worker->session, &params, sizeof params, NULL, 0, plain, sizeof plain, worker->out, &len) != CKR_OK)
        return false;
    params.generator = CKG_NO_GENERATE;
    params.fixed_bits = 0;
    return decrypt_message.once(worker->session, &params, sizeof params, NULL, 0, worker->out, len, worker->back, &back) == CKR_OK &&
           came_back(worker, back);
}

static bool message(void *arg)
{
    next_iv(arg);
    return message_by(arg, CKG_NO_GENERATE, 0);
}

static bool message_drawn(void *arg)
{
    return message_by(arg, CKG_GENERATE_RANDOM, 0);
}

static bool message_counted(void *arg)
{
    return message_by(arg, CKG_GENERATE_COUNTER, 32);
}

static bool envelope(void *arg)
{
    struct worker *worker = arg;
    CK_BYTE row[] = "row 4711";
    CK_MECHANISM mech = { CKM_KL_ENVELOPE, row, sizeof row };

    return one_call(worker, &mech, worker->field);
}

static bool batch(void *arg)
{
    struct worker *worker = arg;
    CK_MECHANISM mech = { CKM_KL_ENVELOPE, NULL, 0 };
    KL_BATCH_ITEM items[BATCHED];
    bool good;

    for (size_t i = 0; i < BATCHED; i++)
        items[i] = (KL_BATCH_ITEM){ NULL, 0, plain, sizeof plain, worker->values[i].sealed, sizeof worker->values[i].sealed, 0 };
    good = vendor->EncryptBatch(worker->session, &mech, worker->field, items, BATCHED) == CKR_OK;
    for (size_t i = 0; i < BATCHED; i++)
        items[i] = (KL_BATCH_ITEM){
            NULL, 0, worker->values[i].sealed, items[i].ulOutLen, worker->values[i].back, sizeof worker->values[i].back, 0
        };
    good = good && vendor->DecryptBatch(worker->session, &mech, worker->field, items, BATCHED) == CKR_OK;
    return good && memcmp(worker->values[BATCHED - 1].back, plain, sizeof plain) == 0;
}

static const struct path {
    const char *name;
    watch_step step;
    unsigned encryptions; /* a step */
    bool has_free;        /* done with a free key; else with one of the ladder */
    bool is_drawn;        /* the token makes IVs, for several at a time */
} paths[] = {
    { "one call", gcm, 1, true, false },
    { "parts", in_parts, 1, true, false },
    { "messages", message, 1, true, false },
    { "messages, IVs drawn", message_drawn, 1, true, true },
    { "messages, IVs counted", message_counted, 1, true, true },
    { "envelopes", envelope, 1, false, true },
    { "batches", batch, BATCHED, false, true },
};

/* ---- what is asked of it ---- */

static int64_t coarse_second(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now.tv_sec;
}

/* A block of numbers, of encryptions that are allowed or of random bytes is fetched for 64 at least. */
static unsigned may_cost(const struct path *path, bool is_token, unsigned times)
{
    if (!is_token && !path->is_drawn) return 0;
    return times * path->encryptions / BLOCK + 1;
}

/* Within a second: in the next the store is looked at. */
static struct watched costs_of(const struct path *path)
{
    unsigned times = TIMES / path->encryptions;
    struct watched costs;
    int64_t begun;

    do {
        CHECK(watch_run(0, path->step, &workers[0], 3));
        begun = coarse_second();
        CHECK(watch_run(0, path->step, &workers[0], 1));
        CHECK(watch_costs(0, path->step, &workers[0], times, &costs));
    } while (coarse_second() != begun && failures == 0);
    return costs;
}

static void try_path(const struct path *path, bool is_token)
{
    const char *keys = is_token ? "token key" : "session key";
    unsigned times = TIMES / path->encryptions;
    struct watched costs = costs_of(path);
    unsigned fetches = may_cost(path, is_token, STORES);
    size_t common;

    if (costs.allocations > may_cost(path, is_token, times))
        fail_at(__FILE__, __LINE__, "%s, %s: memory is asked for in %u of %u", path->name, keys, costs.allocations, times);
    if (costs.calls > may_cost(path, is_token, times))
        fail_at(__FILE__, __LINE__, "%s, %s: system calls in %u of %u, such as number %ld", path->name, keys, costs.calls, times,
                costs.last_call);
    for (size_t i = 0; i < WATCH_THREADS; i++) {
        CHECK(watch_run(i, path->step, &workers[i], 5));
        CHECK(watch_stores(i, path->step, &workers[i], STORES));
        CHECK(watch_lines(i) > 0);
    }
    /* Where a block is fetched, and its lock, are not what two threads wait for. */
    common = watch_common_lines(fetches < STORES / 4 ? STORES / 4 : fetches + 1, "libIPSec_MB");
    if (common > 0) fail_at(__FILE__, __LINE__, "%s, %s: both threads write to %zu lines", path->name, keys, common);
    printf("ok - %s, %s: of %u, %u ask for memory, %u call the system; %zu and %zu lines, %zu in common\n", path->name, keys, times,
           costs.allocations, costs.calls, watch_lines(0), watch_lines(1), common);
}

/* ---- what would pass unseen if the watcher saw nothing ---- */

static unsigned long *one_line;

static bool writes_to_it(void *arg)
{
    one_line[(struct worker *)arg - workers]++;
    return true;
}

static bool asks_for_memory(void *arg)
{
    void *volatile some = malloc(10);

    (void)arg;
    free(some);
    return some != NULL;
}

/* In the module, and in OpenSSL for it. */
static bool makes_a_key(void *arg)
{
    struct worker *worker = arg;
    CK_MECHANISM mech = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, 32) };
    CK_OBJECT_HANDLE key = 0;

    return p11->C_GenerateKey(worker->session, &mech, template, COUNT(template), &key) == CKR_OK &&
           p11->C_DestroyObject(worker->session, key) == CKR_OK;
}

static bool calls_the_system(void *arg)
{
    struct timespec now;

    (void)arg;
    return clock_getres(CLOCK_PROCESS_CPUTIME_ID, &now) == 0 && clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) == 0;
}

static bool looks_at_the_clock(void *arg)
{
    (void)arg;
    return coarse_second() > 0;
}

static void watcher_sees(void)
{
    struct watched costs;

    /* A thread's first memory is dearer. */
    CHECK(watch_run(0, asks_for_memory, NULL, 1));
    CHECK(watch_costs(0, asks_for_memory, NULL, 10, &costs) && costs.allocations == 10 && costs.calls == 0);
    CHECK(watch_costs(0, calls_the_system, NULL, 10, &costs) && costs.allocations == 0 && costs.calls == 10);
    CHECK(watch_costs(0, looks_at_the_clock, NULL, 10, &costs) && costs.allocations == 0 && costs.calls == 0);
    CHECK(watch_costs(0, makes_a_key, &workers[0], 10, &costs) && costs.allocations == 10 && costs.calls == 10);
    one_line = calloc(64, sizeof *one_line);
    CHECK(watch_stores(0, writes_to_it, &workers[0], STORES) && watch_lines(0) == 1);
    CHECK(watch_stores(1, writes_to_it, &workers[1], STORES) && watch_lines(1) == 1);
    CHECK(one_line[0] == STORES && one_line[1] == STORES);
    printf("one line that both write, on purpose:\n");
    CHECK(watch_common_lines(STORES, "libIPSec_MB") == 1);
    CHECK(watch_common_lines(STORES + 1, "libIPSec_MB") == 0);
    free(one_line);
}

/* ---- keys ---- */

static CK_OBJECT_HANDLE field_make(CK_SESSION_HANDLE session)
{
    CK_ATTRIBUTE table[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, "table") };
    CK_ATTRIBUTE field[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, "field") };
    CK_OBJECT_HANDLE key = 0;

    NEED(hkdf_try(session, find_one(session, "master"), NULL, 0, "table", 5, table, COUNT(table), &key));
    NEED(hkdf_try(session, key, NULL, 0, "field", 5, field, COUNT(field), &key));
    return key;
}

static void keys_take(CK_OBJECT_HANDLE key, CK_OBJECT_HANDLE field)
{
    CK_MECHANISM mech = { CKM_AES_GCM, NULL, 0 };

    for (size_t i = 0; i < WATCH_THREADS; i++) {
        struct worker *worker = &workers[i];

        if (worker->session != 0) NEED(p11->C_CloseSession(worker->session));
        *worker = (struct worker){ .session = open_session(CKF_RW_SESSION), .key = key, .field = field };
        NEED(encrypt_message.init(worker->session, &mech, key));
        NEED(decrypt_message.init(worker->session, &mech, key));
    }
}

int main(void)
{
    t_get_interface get;
    struct t_interface *found = NULL;
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE field;

    if (!watch_begin()) {
        printf("this system cannot catch system calls (prctl PR_SET_SYSCALL_USER_DISPATCH)\n");
        return 77;
    }
    p11_load();
    sandbox_make();
    start();
    token_make(slot_blank(), TOKEN_LABEL);
    stop();
    session = user_session();
    get = (t_get_interface)(uintptr_t)p11_sym("C_GetInterface");
    NEED(get((CK_CHAR *)(uintptr_t) "Vendor keyladder", NULL, &found, 0));
    vendor = found->list;
    encrypt_message = p11_list30()->encrypt;
    decrypt_message = p11_list30()->decrypt;
    field = field_make(session);
    keys_take(key_make(session, "ed"), field);
    watcher_sees();
    for (int is_token = 0; is_token <= 1; is_token++) {
        keys_take(key_make(session, is_token ? "edT" : "ed"), field);
        for (size_t i = 0; i < COUNT(paths); i++)
            if (is_token || paths[i].has_free) try_path(&paths[i], is_token);
    }
    stop();
    sandbox_remove(sandbox_dir);
    printf("data path: %s\n", failures ? "FAILED" : "as it must be");
    return failures != 0;
}
