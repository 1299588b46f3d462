/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * One reservation of address space, of which slabs of 16 KiB come into use one
 * after the other, each cut into rooms of one size:
 *
 *     guard | slab slab slab slab … not yet in use … | guard
 *
 * What is known of a slab lies outside, where an overrun of a secret does not
 * reach. A few heaps, each with its own lock and slabs, keep threads apart; a
 * room goes back to the heap it came from. Locks are taken heap before pool.
 */
#include "base/arena.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "base/log.h"
#include "base/secret.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KL_POISON 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define KL_POISON 1
#endif
#ifdef KL_POISON
#include <sanitizer/asan_interface.h>
#define poison(room, size) __asan_poison_memory_region(room, size)
#define unpoison(room, size) __asan_unpoison_memory_region(room, size)
#else
#define poison(room, size) ((void)(room), (void)(size))
#define unpoison(room, size) ((void)(room), (void)(size))
#endif

#define SLAB ((size_t)16384)
#define STEP 4u /* slabs that come into use together, and the length of a guard: 64 KiB, the largest page */
#define NONE 0u /* no slab; the first of the guard has the number */
#define HEAPS 8u
#define WORDS 8u /* of 64 rooms each: 512 rooms of 32 bytes fill a slab */

/* Sizes of rooms, ascending. From 32 KiB on one room takes several slabs. */
static const uint32_t sizes[] = { 32,   48,   64,   96,   128,  192,  256,   384,   512,          768,
                                  1024, 1536, 2048, 3072, 4096, 8192, 16384, 32768, KL_SECRET_MAX };
#define CLASSES (sizeof sizes / sizeof *sizes)

/* On cache lines of its own: neighbours may belong to different heaps. */
struct slab {
    alignas(64) uint64_t used[WORDS]; /* a bit a room */
    uint32_t next, prev;              /* among the slabs of the heap and class that have room */
    uint16_t room_count;              /* rooms that are free */
    uint8_t kind;
    uint8_t heap;
};

struct heap {
    alignas(64) pthread_mutex_t lock;
    uint32_t with_room[CLASSES];
    size_t used;
};

static struct heap heaps[HEAPS] = { [0 ... HEAPS - 1] = { .lock = PTHREAD_MUTEX_INITIALIZER } };

static struct {
    pthread_mutex_t lock;
    struct slab *slabs; /* one a slab of the reservation */
    uint32_t slab_count;
    uint32_t next;  /* the first that was never given to a heap */
    uint32_t open;  /* the first that cannot be written yet */
    uint32_t spare; /* list of slabs that a heap gave back */
    size_t locked;
    enum kl_fork_rule fork;
    bool has_warned;
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER };

static _Atomic(uint8_t *) base; /* of the reservation, NULL before it is made */
static atomic_bool may_be_unlocked;
static atomic_uint threads;

/* --- pool --------------------------------------------------------------- */

static size_t bytes_of(uint32_t slabs)
{
    return slabs * SLAB;
}

static int advise_fork(uint8_t *from, size_t len)
{
    return madvise(from, len, pool.fork == KL_FORK_RESET ? MADV_WIPEONFORK : MADV_KEEPONFORK);
}

static enum kl_rc pool_reserve(void)
{
    uint8_t *from = MAP_FAILED;
    void *slabs;
    size_t len = (size_t)1 << 30;

    /* A host whose address space is limited gives less. */
    for (; from == MAP_FAILED && len >= (size_t)1 << 24; len /= 4) {
        from = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (from != MAP_FAILED) break;
    }
    if (from == MAP_FAILED) return kl_fail(KL_MEMORY, "no address space for keys: %m");
    slabs = mmap(NULL, len / SLAB * sizeof(struct slab), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (slabs == MAP_FAILED || madvise(from, len, MADV_DONTDUMP) != 0 || advise_fork(from, len) != 0) {
        enum kl_rc rc = kl_fail(KL_MEMORY, "no memory that stays out of core dumps and forked children can be had: %m");

        munmap(from, len);
        if (slabs != MAP_FAILED) munmap(slabs, len / SLAB * sizeof(struct slab));
        return rc;
    }
    pool.slabs = slabs;
    pool.slab_count = (uint32_t)(len / SLAB);
    pool.next = pool.open = STEP;
    pool.spare = NONE;
    pool.locked = 0;
    atomic_store(&base, from);
    return KL_OK;
}

static enum kl_rc say_unlocked(size_t more)
{
    struct rlimit limit = { 0 };

    getrlimit(RLIMIT_MEMLOCK, &limit);
    return kl_fail(KL_LOCKED_MEMORY,
                   "memory for keys cannot be locked: %zu KiB are held, %zu KiB more are wanted, the limit is %zu KiB; give the service "
                   "LimitMEMLOCK=64M (in a shell: ulimit -l 65536), or set lock_memory = try in [module] to do without",
                   pool.locked / 1024, more / 1024, (size_t)limit.rlim_cur / 1024);
}

/* Brings the next STEP slabs into use. */
static enum kl_rc pool_grow(void)
{
    uint8_t *from = atomic_load(&base) + bytes_of(pool.open);
    size_t len = bytes_of(STEP);

    if (pool.open + 2 * STEP > pool.slab_count)
        return kl_fail(KL_MEMORY, "the %zu MiB set aside for keys are used up", bytes_of(pool.slab_count) >> 20);
    if (mprotect(from, len, PROT_READ | PROT_WRITE) != 0) return kl_fail(KL_MEMORY, "no memory for keys: %m");
    if (mlock(from, len) == 0) {
        pool.locked += len;
    } else {
        enum kl_rc rc = say_unlocked(len);

        if (!atomic_load(&may_be_unlocked)) {
            munlock(from, len);
            mprotect(from, len, PROT_NONE);
            return rc;
        }
        if (!pool.has_warned) kl_log(KL_LOG_WARNING, "%s: %s", kl_rc_name(rc), kl_fail_words());
        pool.has_warned = true;
        kl_fail_forget();
    }
    poison(from, len);
    pool.open += STEP;
    return KL_OK;
}

/* `span` slabs in a row. */
static enum kl_rc pool_take_locked(uint32_t span, uint32_t *out)
{
    if (atomic_load(&base) == NULL) KL_TRY(pool_reserve());
    if (span == 1 && pool.spare != NONE) {
        *out = pool.spare;
        pool.spare = pool.slabs[*out].next;
        return KL_OK;
    }
    while (pool.next + span > pool.open) KL_TRY(pool_grow());
    *out = pool.next;
    pool.next += span;
    return KL_OK;
}

static enum kl_rc pool_take(uint32_t span, uint32_t *out)
{
    enum kl_rc rc;

    pthread_mutex_lock(&pool.lock);
    rc = pool_take_locked(span, out);
    pthread_mutex_unlock(&pool.lock);
    return rc;
}

static void pool_give(uint32_t slab)
{
    pthread_mutex_lock(&pool.lock);
    pool.slabs[slab].next = pool.spare;
    pool.spare = slab;
    pthread_mutex_unlock(&pool.lock);
}

/* --- heap --------------------------------------------------------------- */

static unsigned heap_of_thread(void)
{
    static _Thread_local unsigned mine;

    if (mine == 0) mine = 1 + atomic_fetch_add(&threads, 1) % HEAPS;
    return mine - 1;
}

static uint32_t span_of(unsigned kind)
{
    return sizes[kind] <= SLAB ? 1 : (uint32_t)(sizes[kind] / SLAB);
}

static uint16_t rooms_of(unsigned kind)
{
    return (uint16_t)(sizes[kind] <= SLAB ? SLAB / sizes[kind] : 1);
}

static void list_add(struct heap *heap, uint32_t index)
{
    struct slab *slab = &pool.slabs[index];

    slab->prev = NONE;
    slab->next = heap->with_room[slab->kind];
    if (slab->next != NONE) pool.slabs[slab->next].prev = index;
    heap->with_room[slab->kind] = index;
}

static void list_remove(struct heap *heap, uint32_t index)
{
    struct slab *slab = &pool.slabs[index];

    if (slab->next != NONE) pool.slabs[slab->next].prev = slab->prev;
    if (slab->prev != NONE) {
        pool.slabs[slab->prev].next = slab->next;
    } else {
        heap->with_room[slab->kind] = slab->next;
    }
}

static enum kl_rc heap_add_slab(struct heap *heap, unsigned kind)
{
    uint32_t index;

    KL_TRY(pool_take(span_of(kind), &index));
    pool.slabs[index] = (struct slab){ .room_count = rooms_of(kind), .kind = (uint8_t)kind, .heap = (uint8_t)(heap - heaps) };
    list_add(heap, index);
    return KL_OK;
}

/* The first free room of a slab that has one. */
static unsigned slab_take(struct slab *slab)
{
    unsigned word = 0, bit;

    while (slab->used[word] == UINT64_MAX) word++;
    bit = (unsigned)__builtin_ctzll(~slab->used[word]);
    slab->used[word] |= UINT64_C(1) << bit;
    slab->room_count--;
    return word * 64 + bit;
}

static enum kl_rc heap_take_locked(struct heap *heap, unsigned kind, void **out)
{
    uint32_t index;

    if (heap->with_room[kind] == NONE) KL_TRY(heap_add_slab(heap, kind));
    index = heap->with_room[kind];
    *out = atomic_load(&base) + bytes_of(index) + (size_t)slab_take(&pool.slabs[index]) * sizes[kind];
    if (pool.slabs[index].room_count == 0) list_remove(heap, index);
    heap->used += sizes[kind];
    return KL_OK;
}

static enum kl_rc heap_take(unsigned kind, void **out)
{
    struct heap *heap = &heaps[heap_of_thread()];
    enum kl_rc rc;

    pthread_mutex_lock(&heap->lock);
    rc = heap_take_locked(heap, kind, out);
    pthread_mutex_unlock(&heap->lock);
    return rc;
}

/* Of the smallest class that holds `size` and keeps the alignment; KL_ARG where none does. */
static enum kl_rc take(size_t size, size_t alignment, void **out)
{
    unsigned kind = 0;

    KL_CHECK(size > 0 && size <= KL_SECRET_MAX, KL_ARG);
    while (sizes[kind] < size || sizes[kind] % alignment != 0) kind++;
    KL_TRY(heap_take(kind, out));
    unpoison(*out, size);
    return KL_OK;
}

static void heap_give_locked(struct heap *heap, uint32_t index, size_t offset)
{
    struct slab *slab = &pool.slabs[index];
    size_t number = offset / sizes[slab->kind];
    uint64_t bit = UINT64_C(1) << number % 64;
    uint8_t *room = atomic_load(&base) + bytes_of(index) + offset;

    if (offset % sizes[slab->kind] != 0 || (slab->used[number / 64] & bit) == 0) {
        kl_log(KL_LOG_ERROR, "room for secrets was given back that is not in use; nothing done");
        return;
    }
    unpoison(room, sizes[slab->kind]);
    kl_wipe(room, sizes[slab->kind]);
    poison(room, sizes[slab->kind]);
    slab->used[number / 64] &= ~bit;
    heap->used -= sizes[slab->kind];
    if (slab->room_count++ == 0) list_add(heap, index);
    /* An empty slab is kept if it is the only one with room, lest one room that comes and goes take the pool's lock each time. */
    if (slab->room_count < rooms_of(slab->kind) || span_of(slab->kind) > 1 || (slab->next == NONE && slab->prev == NONE)) return;
    list_remove(heap, index);
    pool_give(index);
}

/* --- for secret.c and everybody else ------------------------------------- */

enum kl_rc kl_arena_take(size_t size, void **out)
{
    return take(size, 1, out);
}

void kl_arena_give(void *room)
{
    uint8_t *from = atomic_load(&base);
    uintptr_t offset = (uintptr_t)room - (uintptr_t)from;
    uint32_t index = (uint32_t)(offset / SLAB);
    struct heap *heap;

    /* Beyond the reservation: what is left of an arena that was abandoned at fork. */
    if (room == NULL || from == NULL || offset >= bytes_of(pool.slab_count)) return;
    /* No lock is needed to learn the heap: a slab keeps it as long as a room of it is out. */
    heap = &heaps[pool.slabs[index].heap];
    pthread_mutex_lock(&heap->lock);
    heap_give_locked(heap, index, offset % SLAB);
    pthread_mutex_unlock(&heap->lock);
}

void *kl_arena_new(size_t size)
{
    void *room = NULL;

    return take(size, 64, &room) == KL_OK ? room : NULL;
}

void kl_arena_free(void *room, size_t size)
{
    (void)size; /* the slab knows */
    kl_arena_give(room);
}

void kl_arena_set_fork(enum kl_fork_rule rule)
{
    uint8_t *from;

    pthread_mutex_lock(&pool.lock);
    pool.fork = rule;
    from = atomic_load(&base);
    /* Advice that was taken when the arena was made is taken again. */
    if (from != NULL) advise_fork(from, bytes_of(pool.slab_count));
    pthread_mutex_unlock(&pool.lock);
}

void kl_arena_abandon(void)
{
    uint8_t *from = atomic_load(&base);

    for (unsigned i = 0; i < HEAPS; i++) heaps[i] = (struct heap){ .lock = PTHREAD_MUTEX_INITIALIZER };
    pool.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    if (from == NULL) return;
    /*
     * What was in use stays taken but out of reach, so that a stale pointer ends
     * in a fault and neither in a key of zeros nor in somebody's new secret.
     */
    unpoison(from, bytes_of(pool.open));
    if (mmap(from, bytes_of(pool.open), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED) {
        kl_log(KL_LOG_WARNING, "what a parent left of its secrets' memory stays mapped: %m");
    }
    munmap(from + bytes_of(pool.open), bytes_of(pool.slab_count - pool.open));
    munmap(pool.slabs, pool.slab_count * sizeof(struct slab));
    pool.slabs = NULL;
    pool.slab_count = 0;
    atomic_store(&base, NULL);
}

/*
 * What lies there is locked as it lies, and what is written to later when it is: the child shares its parent's pages until
 * one of them writes, and mlock alone would copy every one of them at every fork.
 */
static bool lock_again(uint8_t *from, size_t len)
{
    return mlock2(from, len, MLOCK_ONFAULT) == 0 || mlock(from, len) == 0;
}

enum kl_rc kl_arena_inherit(void)
{
    uint8_t *from = atomic_load(&base);
    size_t len = from == NULL ? 0 : bytes_of(pool.open - STEP);
    enum kl_rc rc;

    pool.locked = 0;
    if (len == 0 || lock_again(from + bytes_of(STEP), len)) {
        pool.locked = len;
        return KL_OK;
    }
    rc = say_unlocked(len);
    munlock(from + bytes_of(STEP), len);
    return atomic_load(&may_be_unlocked) ? KL_OK : rc;
}

bool kl_arena_show_locks(kl_lock_fn *each, void *user)
{
    bool goes_on = true;

    for (unsigned i = 0; goes_on && i < HEAPS; i++) goes_on = each(user, &heaps[i].lock);
    return goes_on && each(user, &pool.lock);
}

struct kl_arena_stats kl_arena_stats(void)
{
    struct kl_arena_stats stats = { 0 };

    for (unsigned i = 0; i < HEAPS; i++) {
        pthread_mutex_lock(&heaps[i].lock);
        stats.used += heaps[i].used;
        pthread_mutex_unlock(&heaps[i].lock);
    }
    pthread_mutex_lock(&pool.lock);
    stats.mapped = atomic_load(&base) == NULL ? 0 : bytes_of(pool.open - STEP);
    stats.locked = stats.mapped == 0 ? 0 : pool.locked;
    stats.all_locked = stats.locked == stats.mapped;
    pthread_mutex_unlock(&pool.lock);
    return stats;
}

void kl_arena_allow_unlocked(bool allowed)
{
    atomic_store(&may_be_unlocked, allowed);
}
