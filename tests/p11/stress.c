/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Many processes of many threads make, find, use and destroy token keys of one
 * token. What each did and when is written down in memory that all share, and
 * every answer is held against it.
 *   KEYLADDER_STRESS_SECONDS (300)  KEYLADDER_STRESS_PROCESSES (8)  KEYLADDER_STRESS_THREADS (8)
 */
#include "p11.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KEYS_PER_THREAD = 6, MOST_THREADS = 1024, SHARED_KEYS = 4 };
/* Others see a change within a second; the rest is for a busy machine. */
#define VISIBLE_AFTER 2.5

enum state { NONE, MAKING, ALIVE, DYING, DEAD };
enum counter { CREATED, DESTROYED, FOUND, ABSENT, ENCRYPTED, DECRYPTED, RACED, COUNTERS };
static const char *const counter_names[] = { "created",   "destroyed",          "found", "rightly absent", "encrypted",
                                             "decrypted", "raced with a change" };

struct entry {
    atomic_uint state, serial;
    double since;
    pid_t owner;
    char label[48];
    CK_BYTE sealed[128];
    size_t len;
};
struct shared {
    atomic_ulong counts[COUNTERS];
    atomic_int failures;
    struct entry entries[MOST_THREADS * KEYS_PER_THREAD];
};
static struct shared *shared;
static unsigned processes, threads, total;
static double until;

struct worker {
    CK_SESSION_HANDLE session;
    unsigned number;
    uint64_t rng;
};

static void tally(enum counter counter)
{
    atomic_fetch_add_explicit(&shared->counts[counter], 1, memory_order_relaxed);
}

static void create_key(struct worker *worker, struct entry *entry)
{
    CK_MECHANISM mech = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_OBJECT_HANDLE key = 0;

    /* Before anything is written over what a reader may be copying. */
    atomic_store(&entry->state, MAKING);
    snprintf(entry->label, sizeof entry->label, "s.%u.%u", (unsigned)(entry - shared->entries), atomic_load(&entry->serial) + 1);
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, entry->label) };
    NEED(p11->C_GenerateKey(worker->session, &mech, template, COUNT(template), &key));
    tally(CREATED);
    entry->len = seal(worker->session, key, entry->label, strlen(entry->label), "stress", entry->sealed);
    tally(ENCRYPTED);
    entry->owner = getpid();
    entry->since = now_seconds();
    atomic_fetch_add(&entry->serial, 1);
    atomic_store(&entry->state, ALIVE);
}

static void destroy_key(struct worker *worker, struct entry *entry)
{
    CK_OBJECT_HANDLE key = find_one(worker->session, entry->label);

    if (!key) die_at(__FILE__, __LINE__, "%s is not found by its own thread", entry->label);
    atomic_store(&entry->state, DYING);
    NEED(p11->C_DestroyObject(worker->session, key));
    tally(DESTROYED);
    if (find_one(worker->session, entry->label)) fail_at(__FILE__, __LINE__, "%s is found after its destruction", entry->label);
    entry->since = now_seconds();
    atomic_store(&entry->state, DEAD);
}

/* Any entry, whoever owns it: what is seen must be what was written down, unless that changed meanwhile. */
static void check_key(struct worker *worker, struct entry *entry)
{
    unsigned state = atomic_load(&entry->state), serial = atomic_load(&entry->serial);
    struct entry seen;
    CK_OBJECT_HANDLE key;
    CK_BYTE out[64];
    CK_ULONG out_len = sizeof out;
    CK_RV rv;
    bool settled, changed;

    if (state != ALIVE && state != DEAD) return;
    memcpy(&seen, entry, sizeof seen);
    settled = now_seconds() - seen.since > VISIBLE_AFTER || seen.owner == getpid();
    if (atomic_load(&entry->serial) != serial || atomic_load(&entry->state) != state) return;
    key = find_one(worker->session, seen.label);
    rv = key ? unseal(worker->session, key, seen.sealed, seen.len, "stress", out, &out_len) : CKR_OK;
    changed = atomic_load(&entry->serial) != serial || atomic_load(&entry->state) != state;
    if (changed || !settled) {
        tally(RACED);
        if (rv != CKR_OK && rv != CKR_KEY_HANDLE_INVALID && rv != CKR_OPERATION_NOT_INITIALIZED && rv != CKR_OBJECT_HANDLE_INVALID)
            fail_at(__FILE__, __LINE__, "%s while it changes: %s", seen.label, rv_name(rv));
        return;
    }
    if (state == DEAD) {
        if (key) fail_at(__FILE__, __LINE__, "%s is found %.1f s after its destruction", seen.label, now_seconds() - seen.since);
        tally(ABSENT);
        return;
    }
    if (!key)
        fail_at(__FILE__, __LINE__, "%s is not found (or twice) %.1f s after it was made", seen.label, now_seconds() - seen.since);
    else if (rv != CKR_OK)
        fail_at(__FILE__, __LINE__, "%s does not decrypt: %s", seen.label, rv_name(rv));
    else if (out_len != strlen(seen.label) || memcmp(out, seen.label, out_len))
        fail_at(__FILE__, __LINE__, "%s decrypts to other bytes", seen.label);
    tally(FOUND);
    tally(DECRYPTED);
}

static void use_shared_key(struct worker *worker)
{
    char label[32], text[600];
    CK_BYTE sealed[700], out[700];
    CK_ULONG out_len = sizeof out;
    CK_OBJECT_HANDLE key;
    size_t len = rng_next(&worker->rng) % sizeof text;

    snprintf(label, sizeof label, "shared.%u", (unsigned)(rng_next(&worker->rng) % SHARED_KEYS));
    key = find_one(worker->session, label);
    if (!key) die_at(__FILE__, __LINE__, "%s is not found", label);
    rng_fill(&worker->rng, text, len);
    len = seal(worker->session, key, text, len, label, sealed);
    NEED(unseal(worker->session, key, sealed, len, label, out, &out_len));
    if (out_len != len - 28 || memcmp(out, text, out_len)) fail_at(__FILE__, __LINE__, "%s gives other bytes back", label);
    tally(ENCRYPTED);
    tally(DECRYPTED);
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct entry *mine = &shared->entries[worker->number * KEYS_PER_THREAD];

    while (now_seconds() < until && atomic_load(&shared->failures) == 0 && failures == 0) {
        unsigned dice = (unsigned)(rng_next(&worker->rng) % 100);
        struct entry *own = &mine[rng_next(&worker->rng) % KEYS_PER_THREAD];
        unsigned state = atomic_load(&own->state);

        if (dice < 8 && state != ALIVE)
            create_key(worker, own);
        else if (dice < 14 && state == ALIVE)
            destroy_key(worker, own);
        else if (dice < 60)
            check_key(worker, &shared->entries[rng_next(&worker->rng) % total]);
        else
            use_shared_key(worker);
    }
    return NULL;
}

static void run_process(unsigned number)
{
    pthread_t ids[64];
    struct worker workers[64];
    CK_SESSION_HANDLE first;

    failures = 0;
    start();
    first = open_session(CKF_RW_SESSION);
    NEED(login(first, CKU_USER, USER_PIN));
    for (unsigned t = 0; t < threads; t++) {
        workers[t] = (struct worker){ open_session(CKF_RW_SESSION), number * threads + t, 1000 + number * threads + t };
        pthread_create(&ids[t], NULL, work, &workers[t]);
    }
    for (unsigned t = 0; t < threads; t++) pthread_join(ids[t], NULL);
    stop();
    atomic_fetch_add(&shared->failures, failures);
    fflush(stdout);
    _exit(failures != 0);
}

static void final_check(void)
{
    CK_SESSION_HANDLE session = user_session();
    CK_ATTRIBUTE aes[] = { A_ULONG(CKA_KEY_TYPE, CKK_AES) };
    size_t alive = 0;

    for (unsigned i = 0; i < total; i++) {
        struct entry *entry = &shared->entries[i];
        struct worker worker = { session, 0, 1 };

        entry->since = 0;
        if (atomic_load(&entry->state) == DYING || atomic_load(&entry->state) == MAKING)
            fail_at(__FILE__, __LINE__, "%s was left in the middle", entry->label);
        alive += atomic_load(&entry->state) == ALIVE;
        check_key(&worker, entry);
    }
    if (find_count(session, aes, 1) != alive + SHARED_KEYS)
        fail_at(__FILE__, __LINE__, "%zu keys, not %zu", find_count(session, aes, 1), alive + SHARED_KEYS);
    printf("%zu keys alive at the end\n", alive);
    stop();
}

static unsigned setting(const char *name, unsigned fallback)
{
    return getenv(name) ? (unsigned)strtoul(getenv(name), NULL, 10) : fallback;
}

static void prepare(void)
{
    CK_SESSION_HANDLE session;

    start();
    token_make(slot_blank(), TOKEN_LABEL);
    session = open_session(CKF_RW_SESSION);
    NEED(login(session, CKU_USER, USER_PIN));
    for (unsigned i = 0; i < SHARED_KEYS; i++) {
        char label[32];

        snprintf(label, sizeof label, "shared.%u", i);
        CK_ATTRIBUTE name[] = { A_TEXT(CKA_LABEL, label) };
        NEED(p11->C_SetAttributeValue(session, key_make(session, "edST"), name, 1));
    }
    stop();
}

int main(void)
{
    unsigned seconds = setting("KEYLADDER_STRESS_SECONDS", 300), hurt = 0;
    int status;

    processes = setting("KEYLADDER_STRESS_PROCESSES", 8);
    threads = setting("KEYLADDER_STRESS_THREADS", 8);
    total = processes * threads * KEYS_PER_THREAD;
    if (threads == 0 || threads > 64 || processes == 0 || processes * threads > MOST_THREADS)
        die_at(__FILE__, __LINE__, "too many threads");
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) die_at(__FILE__, __LINE__, "mmap: %s", strerror(errno));
    p11_load();
    sandbox_make();
    prepare();
    printf("%u processes of %u threads for %u s\n", processes, threads, seconds);
    fflush(stdout);
    until = now_seconds() + seconds;
    for (unsigned p = 0; p < processes; p++) {
        pid_t pid = fork();

        if (pid < 0) die_at(__FILE__, __LINE__, "fork: %s", strerror(errno));
        if (pid == 0) run_process(p);
    }
    while (wait(&status) > 0) hurt += status != 0;
    if (hurt)
        fail_at(__FILE__, __LINE__, "%u processes failed", hurt);
    else
        final_check();
    for (int i = 0; i < COUNTERS; i++) printf("%12lu %s\n", atomic_load(&shared->counts[i]), counter_names[i]);
    if (!atomic_load(&shared->counts[CREATED]) || !atomic_load(&shared->counts[DESTROYED]) || !atomic_load(&shared->counts[FOUND]))
        fail_at(__FILE__, __LINE__, "some kind of step never happened");
    sandbox_remove(sandbox_dir);
    printf("%s\n", failures ? "stress: FAILED" : "stress: every answer agreed with the history");
    return failures != 0;
}
