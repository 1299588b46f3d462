/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Threads that call every function at random, mostly well and sometimes badly,
 * with sessions and objects that they take away from each other. What never
 * may be is looked for after every call: an answer that reads like a
 * breakdown, bytes of a sensitive key, data that comes back otherwise.
 *   KEYLADDER_CHAOS_SECONDS (5)  KEYLADDER_CHAOS_THREADS (3)  KEYLADDER_CHAOS_SEED
 */
#include "chaos.h"

#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { MOST_THREADS = 64 };
struct shared shared;
static struct actor *actors[MOST_THREADS];
static unsigned threads;
static uint64_t seed;

static const char *const names[FUNCTIONS] = {
#define F(name, version, args, answer) [N_##name] = #name,
#include "functions.def"
#undef F
    [N_KL_EncryptBatch] = "KL_EncryptBatch",
    [N_KL_DecryptBatch] = "KL_DecryptBatch",
    [N_KL_Evict] = "KL_Evict",
    [N_KL_GetError] = "KL_GetError",
};

uint64_t dice(struct actor *actor, uint64_t sides)
{
    return rng_next(&actor->rng) % sides;
}

bool now_and_then(struct actor *actor, uint64_t often)
{
    return dice(actor, often) == 0;
}

/* ---- when something is wrong ---- */

static void print_past(const struct actor *actor)
{
    unsigned long first = actor->calls < PAST ? 0 : actor->calls - PAST;

    for (unsigned long i = first; i < actor->calls; i++) {
        const struct past *past = &actor->past[i % PAST];

        printf("    %s(0x%lx, 0x%lx) %s\n", names[past->function], past->first, past->second, rv_name(past->rv));
    }
}

void broken(struct actor *actor, const char *format, ...)
{
    static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
    va_list list;

    /* Never given back: the first to find something is the one who tells. */
    pthread_mutex_lock(&once);
    printf("seed %llu, thread %u, the last calls:\n", (unsigned long long)seed, actor->number);
    print_past(actor);
    va_start(list, format);
    vprintf(format, list);
    va_end(list);
    printf("\nlog: %s/log\nchaos: FAILED\n", sandbox_dir);
    fflush(stdout);
    _exit(1);
}

static void on_alarm(int number)
{
    (void)number;
    for (unsigned t = 0; t < threads; t++) dprintf(1, "thread %u is in %s\n", t, names[atomic_load(&actors[t]->now)]);
    dprintf(1, "seed %llu: somebody does not come back\nchaos: FAILED\n", (unsigned long long)seed);
    _exit(1);
}

/* ---- after every call ---- */

static void count_answer(struct actor *actor, enum function_number function, CK_RV rv)
{
    struct tally *tally = actor->tallies[function];

    for (size_t i = 0; i < CODES; i++) {
        if (tally[i].count && tally[i].rv != rv) continue;
        tally[i].rv = rv;
        tally[i].count++;
        return;
    }
    broken(actor, "%s has more answers than anybody can handle", names[function]);
}

/* Eight bytes in a row do not come up by chance. */
static void look_for_secrets(struct actor *actor)
{
    for (size_t m = 0; m < MARKERS; m++)
        for (size_t at = 0; at < sizeof shared.markers[m]; at += 8)
            if (memmem(actor->out, SCANNED, shared.markers[m] + at, 8)) broken(actor, "bytes of a sensitive key came out");
}

static bool is_allowed(enum function_number function, CK_RV rv)
{
    static const CK_RV breakdowns[] = { CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED, CKR_HOST_MEMORY, CKR_DEVICE_ERROR, CKR_DEVICE_MEMORY };
    enum reply reply = function < any_function_count ? any_functions[function].reply : HERE;

    for (size_t i = 0; i < COUNT(breakdowns); i++)
        if (rv == breakdowns[i]) return false;
    if (reply == NEVER) return rv == CKR_FUNCTION_NOT_SUPPORTED || rv == CKR_CRYPTOKI_NOT_INITIALIZED;
    if (reply == PARALLEL) return rv == CKR_FUNCTION_NOT_PARALLEL || rv == CKR_CRYPTOKI_NOT_INITIALIZED;
    return true;
}

CK_RV did(struct actor *actor, enum function_number function, CK_ULONG first, CK_ULONG second, CK_RV rv)
{
    actor->past[actor->calls++ % PAST] = (struct past){ function, first, second, rv };
    actor->last = rv;
    actor->last_was_active |= rv == CKR_OPERATION_ACTIVE;
    if (rv == CKR_KEY_HANDLE_INVALID || rv == CKR_WRAPPING_KEY_HANDLE_INVALID || rv == CKR_UNWRAPPING_KEY_HANDLE_INVALID)
        actor->last_missed = true;
    else if (function == N_C_GenerateKey)
        actor->last_missed = false;
    count_answer(actor, function, rv);
    if (!is_allowed(function, rv)) broken(actor, "%s never has a reason to answer %s", names[function], rv_name(rv));
    look_for_secrets(actor);
    return rv;
}

/* ---- threads ---- */

static void one_step(struct actor *actor)
{
    unsigned at, total = 0;

    for (size_t i = 0; i < step_count; i++) total += steps[i].weight;
    at = (unsigned)dice(actor, total);
    for (size_t i = 0; i < step_count; i++) {
        if (at < steps[i].weight) {
            steps[i].take(actor);
            return;
        }
        at -= steps[i].weight;
    }
}

static void *work(void *arg)
{
    struct actor *actor = arg;

    /* Whatever chance has in mind: each step at least once. */
    for (size_t i = 0; i < step_count; i++) {
        recover(actor);
        steps[i].take(actor);
    }
    while (!atomic_load(&shared.stop)) {
        if (!now_and_then(actor, 8)) recover(actor);
        one_step(actor);
    }
    return NULL;
}

/* ---- before and after ---- */

static uint64_t setting(const char *name, uint64_t fallback)
{
    return getenv(name) ? strtoull(getenv(name), NULL, 10) : fallback;
}

static void find_vendor(void)
{
    t_get_interface get = (t_get_interface)(uintptr_t)p11_sym("C_GetInterface");
    struct t_interface *found = NULL;

    if (get((CK_CHAR *)(uintptr_t)KL_INTERFACE_NAME, NULL, &found, 0) == CKR_OK) shared.vendor = found->list;
}

/* A table's key, and a wrapping key that the SO trusts: public, or the SO would not see it. */
static void make_lasting_keys(void)
{
    CK_SESSION_HANDLE session = open_session(CKF_RW_SESSION);
    CK_ATTRIBUTE table[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, "table") }, trusted[] = { A_TEXT(CKA_LABEL, "trusted") },
                 trust[] = { A_BOOL(CKA_TRUSTED, CK_TRUE) }, stays[] = { A_BOOL(CKA_SENSITIVE, CK_TRUE) },
                 make[24] = { A_ULONG(CKA_VALUE_LEN, 32), { CKA_UNWRAP_TEMPLATE, stays, sizeof stays } };
    CK_MECHANISM generate = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_OBJECT_HANDLE key = 0;

    NEED(login(session, CKU_USER, USER_PIN));
    NEED(hkdf_try(session, find_one(session, "master"), NULL, 0, "table", 5, table, COUNT(table), &key));
    if (p11->C_GenerateKey(session, &generate, make, 2 + flags_template("wuSTP", make + 2), &key) == CKR_ATTRIBUTE_TYPE_INVALID) {
        printf("templates are not there yet\n");
        key = key_make(session, "wuSTP");
    }
    NEED(p11->C_SetAttributeValue(session, key, trusted, 1));
    NEED(p11->C_Logout(session));
    NEED(login(session, CKU_SO, SO_PIN));
    NEED(p11->C_SetAttributeValue(session, find_one(session, "trusted"), trust, 1));
    NEED(p11->C_CloseSession(session));
}

static void prepare(void)
{
    uint64_t rng = seed;

    p11_load();
    p32_load();
    find_vendor();
    sandbox_make();
    start();
    token_make(slot_blank(), TOKEN_LABEL);
    token_make(slot_blank(), "other");
    shared.slot = slot_labelled(TOKEN_LABEL);
    shared.other = slot_labelled("other");
    if (way_count > COUNT(shared.offered)) die_at(__FILE__, __LINE__, "there are more ways than room for them");
    for (size_t w = 0; w < way_count; w++) shared.offered[w] = way_flags(shared.slot, ways[w].type);
    make_lasting_keys();
    for (size_t m = 0; m < MARKERS; m++) rng_fill(&rng, shared.markers[m], sizeof shared.markers[m]);
}

static void add_up(struct tally *sum, const struct tally *from)
{
    for (size_t i = 0; i < CODES && from[i].count; i++) {
        size_t at = 0;

        while (at < CODES && sum[at].count && sum[at].rv != from[i].rv) at++;
        if (at == CODES) continue;
        sum[at].rv = from[i].rv;
        sum[at].count += from[i].count;
    }
}

static void report(void)
{
    unsigned long calls = 0, checked = 0;
    size_t called = 0, wanted = shared.vendor ? FUNCTIONS : any_function_count;

    for (unsigned t = 0; t < threads; t++) {
        calls += actors[t]->calls;
        checked += actors[t]->checked;
    }
    for (size_t f = 0; f < wanted; f++) {
        struct tally sum[CODES] = { { 0, 0 } };

        for (unsigned t = 0; t < threads; t++) add_up(sum, actors[t]->tallies[f]);
        printf("%s:", names[f]);
        for (size_t i = 0; i < CODES && sum[i].count; i++) printf(" %s %lu", rv_name(sum[i].rv), sum[i].count);
        printf("\n");
        called += sum[0].count > 0;
        if (!sum[0].count) fail_at(__FILE__, __LINE__, "%s was never called", names[f]);
    }
    if (!checked) fail_at(__FILE__, __LINE__, "nothing that was encrypted was ever decrypted");
    printf("%lu calls, %zu of %zu functions, %lu times the same data came back\n", calls, called, wanted, checked);
}

int main(void)
{
    unsigned seconds = (unsigned)setting("KEYLADDER_CHAOS_SECONDS", 5);
    double until;

    seed = setting("KEYLADDER_CHAOS_SEED", (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid());
    threads = (unsigned)setting("KEYLADDER_CHAOS_THREADS", 3);
    if (threads == 0 || threads > MOST_THREADS) die_at(__FILE__, __LINE__, "too many threads");
    printf("KEYLADDER_CHAOS_SEED=%llu, %u threads for %u s\n", (unsigned long long)seed, threads, seconds);
    fflush(stdout);
    prepare();
    signal(SIGALRM, on_alarm);
    until = now_seconds() + seconds;
    for (unsigned t = 0; t < threads; t++) {
        actors[t] = calloc(1, sizeof *actors[t]);
        if (!actors[t]) die_at(__FILE__, __LINE__, "no memory");
        actors[t]->number = t;
        actors[t]->rng = seed + t;
        if (pthread_create(&actors[t]->id, NULL, work, actors[t])) die_at(__FILE__, __LINE__, "no thread: %s", strerror(errno));
    }
    while (now_seconds() < until) usleep(50000);
    atomic_store(&shared.stop, true);
    alarm(300);
    for (unsigned t = 0; t < threads; t++) pthread_join(actors[t]->id, NULL);
    alarm(0);
    report();
    p11->C_Finalize(NULL);
    for (unsigned t = 0; t < threads; t++) free(actors[t]);
    sandbox_remove(sandbox_dir);
    printf("chaos: %s\n", failures ? "FAILED" : "nothing happened that must not");
    return failures != 0;
}
