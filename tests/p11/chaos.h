/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the files of the program chaos share. */
#ifndef CHAOS_H
#define CHAOS_H

#include "ways.h"

#include <pthread.h>
#include <stdatomic.h>

enum function_number {
#define F(name, version, args, answer) N_##name,
#include "functions.def"
#undef F
    N_KL_EncryptBatch,
    N_KL_DecryptBatch,
    N_KL_Evict,
    N_KL_GetError,
    FUNCTIONS
};

enum { PAST = 50, OUT = 4096, SCANNED = 1024, CODES = 40, SLOTS = 8, SESSIONS = 12, MARKERS = 4 };

struct past {
    enum function_number function;
    CK_ULONG first, second;
    CK_RV rv;
};
struct tally {
    CK_RV rv;
    unsigned long count;
};
/* One thread. Every answer's room is its `out`, so that all can be looked through. */
struct actor {
    unsigned number;
    uint64_t rng;
    pthread_t id;
    CK_SESSION_HANDLE mine;
    CK_BYTE out[OUT], in[OUT];
    struct past past[PAST];
    unsigned long calls, checked;
    atomic_int now;
    CK_RV last;
    bool last_missed, last_was_active; /* a key was not there any more; an operation was there already */
    struct tally tallies[FUNCTIONS][CODES];
};

/* Handles that all threads use, and destroy, and close: by what they are for. */
enum pot { AES, MAC, STREAM, WRAP, TRUSTED, BASE, DATA, OPEN, MARKED, LADDER, POTS };
struct shared {
    atomic_ulong objects[POTS][SLOTS], sessions[SESSIONS];
    atomic_bool stop;
    CK_SLOT_ID slot, other;
    CK_FLAGS offered[32]; /* by ways[] */
    CK_BYTE markers[MARKERS][32];
    KL_FUNCTION_LIST *vendor; /* NULL: another vendor's module */
};
extern struct shared shared;

/* Counts an answer, looks for what must not be there; an answer that is never right ends the program. */
CK_RV did(struct actor *actor, enum function_number function, CK_ULONG first, CK_ULONG second, CK_RV rv);
void broken(struct actor *actor, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

#define FIRST(first, ...) ((CK_ULONG)(uintptr_t)(first))
#define SECOND(first, second, ...) ((CK_ULONG)(uintptr_t)(second))
#define DO(function, ...)                                                    \
    (atomic_store_explicit(&actor->now, N_##function, memory_order_relaxed), \
     did(actor, N_##function, FIRST(__VA_ARGS__, 0), SECOND(__VA_ARGS__, 0, 0), p32->function(__VA_ARGS__)))

#define DO_VENDOR(function, ...)                                                \
    (atomic_store_explicit(&actor->now, N_KL_##function, memory_order_relaxed), \
     did(actor, N_KL_##function, FIRST(__VA_ARGS__, 0), SECOND(__VA_ARGS__, 0, 0), shared.vendor->function(__VA_ARGS__)))

uint64_t dice(struct actor *actor, uint64_t sides);
/* True once in `often` times. */
bool now_and_then(struct actor *actor, uint64_t often);

/* ---- the steps ---- */
struct step {
    void (*take)(struct actor *actor);
    unsigned weight;
};
extern const struct step steps[];
extern const size_t step_count;
/* Gets back what other threads took away: library, session, login. */
void recover(struct actor *actor);

#endif
