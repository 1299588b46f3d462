/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "base/secret.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "../failing.h"
#include "../unit.h"

static bool is_zero(const uint8_t *data, size_t len)
{
    while (len > 0 && data[len - 1] == 0) len--;
    return len == 0;
}

/* --- one secret ---------------------------------------------------------- */

static void a_new_secret_is_zero_and_as_long_as_asked(void)
{
    static const size_t lens[] = { 1, 31, 32, 33, 48, 49, 64, 1000, 4096, 4097, 16385, 32769, KL_SECRET_MAX };

    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        KL_AUTO(kl_secret) secret = { 0 };

        CU_ASSERT_EQUAL_FATAL(kl_secret_new(&secret, lens[i]), KL_OK);
        CU_ASSERT_EQUAL(secret.len, lens[i]);
        CU_ASSERT_TRUE(is_zero(secret.data, lens[i]));
        memset(secret.data, 0xA5, lens[i]);
    }
}

static void a_secret_of_no_bytes_or_too_many_is_refused(void)
{
    struct kl_secret secret = { 0 };

    CU_ASSERT_EQUAL(kl_secret_new(&secret, 0), KL_ARG);
    CU_ASSERT_EQUAL(kl_secret_new(&secret, KL_SECRET_MAX + 1), KL_ARG);
    CU_ASSERT_EQUAL(kl_secret_new(&secret, SIZE_MAX), KL_ARG);
    CU_ASSERT_EQUAL(kl_secret_from(&secret, kl_view_of("x", SIZE_MAX)), KL_ARG);
    CU_ASSERT_PTR_NULL(secret.data);
}

static void a_secret_that_is_not_empty_takes_nothing_new(void)
{
    KL_AUTO(kl_secret) secret = { 0 };

    CU_ASSERT_EQUAL(kl_secret_from(&secret, kl_view_text("first")), KL_OK);
    CU_ASSERT_EQUAL(kl_secret_new(&secret, 5), KL_ARG);
    CU_ASSERT_EQUAL(kl_secret_from(&secret, kl_view_text("second")), KL_ARG);
    CU_ASSERT_EQUAL(kl_secret_from(&secret, kl_view_text("")), KL_ARG);
    CU_ASSERT_TRUE(kl_view_is(kl_secret_view(&secret), kl_view_text("first")));
}

static void a_copy_has_the_bytes_and_room_of_its_own(void)
{
    KL_AUTO(kl_secret) secret = { 0 };
    KL_AUTO(kl_secret) copy = { 0 };
    KL_AUTO(kl_secret) nothing = { 0 };
    KL_AUTO(kl_secret) copy_of_nothing = { 0 };

    CU_ASSERT_EQUAL(kl_secret_from(&secret, kl_view_text("passphrase")), KL_OK);
    CU_ASSERT_EQUAL(kl_secret_dup(&copy, &secret), KL_OK);
    CU_ASSERT_PTR_NOT_EQUAL(copy.data, secret.data);
    CU_ASSERT_TRUE(kl_secret_equal(&copy, &secret));
    CU_ASSERT_EQUAL(kl_secret_dup(&copy_of_nothing, &nothing), KL_OK);
    CU_ASSERT_PTR_NULL(copy_of_nothing.data);
    CU_ASSERT_TRUE(kl_secret_equal(&copy_of_nothing, &nothing));
}

static void secrets_that_differ_are_not_equal(void)
{
    KL_AUTO(kl_secret) a = { 0 };
    KL_AUTO(kl_secret) b = { 0 };

    CU_ASSERT_EQUAL(kl_secret_from(&a, kl_view_text("0123456789")), KL_OK);
    CU_ASSERT_EQUAL(kl_secret_from(&b, kl_view_text("0123456788")), KL_OK);
    CU_ASSERT_FALSE(kl_secret_equal(&a, &b));
    kl_secret_cut(&a, 9);
    CU_ASSERT_FALSE(kl_secret_equal(&a, &b));
    kl_secret_cut(&b, 9);
    CU_ASSERT_TRUE(kl_secret_equal(&a, &b));
}

static void taking_moves_and_leaves_nothing_behind(void)
{
    KL_AUTO(kl_secret) from = { 0 };
    KL_AUTO(kl_secret) to = { 0 };

    CU_ASSERT_EQUAL(kl_secret_from(&from, kl_view_text("key")), KL_OK);
    kl_secret_take(&to, &from);
    CU_ASSERT_PTR_NULL(from.data);
    CU_ASSERT_EQUAL(from.len, 0);
    CU_ASSERT_TRUE(kl_view_is(kl_secret_view(&to), kl_view_text("key")));
    kl_secret_take(&to, &to);
    CU_ASSERT_TRUE(kl_view_is(kl_secret_view(&to), kl_view_text("key")));
}

static void taking_into_a_full_secret_loses_no_room(void)
{
    size_t used = kl_arena_stats().used;
    struct kl_secret from = { 0 }, to = { 0 };

    CU_ASSERT_EQUAL(kl_secret_from(&from, kl_view_text("new")), KL_OK);
    CU_ASSERT_EQUAL(kl_secret_from(&to, kl_view_text("old")), KL_OK);
    kl_secret_take(&to, &from);
    CU_ASSERT_TRUE(kl_view_is(kl_secret_view(&to), kl_view_text("new")));
    kl_secret_clear(&to);
    CU_ASSERT_EQUAL(kl_arena_stats().used, used);
}

static void cutting_wipes_the_rest_and_never_lengthens(void)
{
    KL_AUTO(kl_secret) secret = { 0 };

    CU_ASSERT_EQUAL(kl_secret_from(&secret, kl_view_text("secret\n")), KL_OK);
    kl_secret_cut(&secret, 6);
    CU_ASSERT_TRUE(kl_view_is(kl_secret_view(&secret), kl_view_text("secret")));
    CU_ASSERT_EQUAL(secret.data[6], 0);
    kl_secret_cut(&secret, 7);
    CU_ASSERT_EQUAL(secret.len, 6);
    kl_secret_cut(&secret, 0);
    CU_ASSERT_PTR_NULL(secret.data);
}

static void clearing_twice_or_nothing_harms_nothing(void)
{
    size_t used = kl_arena_stats().used;
    struct kl_secret secret = { 0 };

    kl_secret_clear(NULL);
    kl_secret_clear(&secret);
    CU_ASSERT_EQUAL(kl_secret_new(&secret, 32), KL_OK);
    kl_secret_clear(&secret);
    kl_secret_clear(&secret);
    CU_ASSERT_EQUAL(secret.len, 0);
    CU_ASSERT_EQUAL(kl_arena_stats().used, used);
}

static void room_given_back_is_used_again_and_was_wiped(void)
{
    static const size_t lens[] = { 32, 500, 4096, 20000, KL_SECRET_MAX };

    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        struct kl_secret secret = { 0 };
        uint8_t *was;

        CU_ASSERT_EQUAL_FATAL(kl_secret_new(&secret, lens[i]), KL_OK);
        was = secret.data;
        memset(was, 0xC3, lens[i]);
        kl_secret_clear(&secret);
        CU_ASSERT_EQUAL_FATAL(kl_secret_new(&secret, lens[i]), KL_OK);
        CU_ASSERT_PTR_EQUAL(secret.data, was);
        CU_ASSERT_TRUE(is_zero(secret.data, lens[i]));
        kl_secret_clear(&secret);
    }
}

static void wiping_reaches_every_byte_and_no_other(void)
{
    uint8_t room[10];

    memset(room, 7, sizeof room);
    kl_wipe(room + 1, 8);
    CU_ASSERT_EQUAL(room[0], 7);
    CU_ASSERT_TRUE(is_zero(room + 1, 8));
    CU_ASSERT_EQUAL(room[9], 7);
    kl_wipe(NULL, 3);
    kl_wipe(room, 0);
    CU_ASSERT_EQUAL(room[0], 7);
}

/* --- the arena ----------------------------------------------------------- */

static void rooms_are_aligned_zero_and_do_not_overlap(void)
{
    enum { ROOMS = 1200 };
    static uint8_t *rooms[ROOMS];
    static size_t sizes[ROOMS];
    size_t used = kl_arena_stats().used;

    for (size_t i = 0; i < ROOMS; i++) {
        sizes[i] = 1 + i * i % 9000;
        rooms[i] = kl_arena_new(sizes[i]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(rooms[i]);
        if ((uintptr_t)rooms[i] % 64 != 0 || !is_zero(rooms[i], sizes[i])) CU_FAIL("a room is not aligned or not zero");
        memset(rooms[i], (int)(i % 251 + 1), sizes[i]);
    }
    for (size_t i = 0; i < ROOMS; i++) {
        if (rooms[i][0] != i % 251 + 1 || memcmp(rooms[i], rooms[i] + 1, sizes[i] - 1) != 0) CU_FAIL("two rooms overlap");
    }
    for (size_t i = 0; i < ROOMS; i++) kl_arena_free(rooms[i], sizes[i]);
    CU_ASSERT_EQUAL(kl_arena_stats().used, used);
}

static void any_order_of_taking_and_giving_keeps_every_byte(void)
{
    enum { ROOMS = 600, STEPS = 60000 };
    static struct kl_secret secrets[ROOMS];
    size_t used = kl_arena_stats().used;
    uint32_t random = 1;

    for (size_t step = 0; step < STEPS; step++) {
        struct kl_secret *secret;

        random = random * 1664525 + 1013904223;
        secret = &secrets[random % 1000003 % ROOMS];
        if (secret->data != NULL) {
            for (size_t i = 0; i < secret->len; i += 7) {
                if (secret->data[i] != (uint8_t)secret->len) CU_FAIL("a secret changed");
            }
            kl_secret_clear(secret);
            continue;
        }
        if (kl_secret_new(secret, 1 + random / 1000003 % (step % 50 == 0 ? KL_SECRET_MAX : 700)) != KL_OK ||
            !is_zero(secret->data, secret->len))
            CU_FAIL("no new secret");
        memset(secret->data, (uint8_t)secret->len, secret->len);
    }
    for (size_t i = 0; i < ROOMS; i++) kl_secret_clear(&secrets[i]);
    CU_ASSERT_EQUAL(kl_arena_stats().used, used);
}

static void room_of_no_bytes_or_too_many_is_not_given(void)
{
    CU_ASSERT_PTR_NULL(kl_arena_new(0));
    CU_ASSERT_PTR_NULL(kl_arena_new(KL_SECRET_MAX + 1));
    kl_arena_free(NULL, 10);
}

static void room_given_back_twice_or_by_mistake_changes_nothing(void)
{
    uint8_t *room = kl_arena_new(256), *other = kl_arena_new(256), foreign[64] = { 1 };
    size_t used;

    CU_ASSERT_PTR_NOT_NULL_FATAL(room);
    CU_ASSERT_PTR_NOT_NULL_FATAL(other);
    memset(other, 9, 256);
    kl_arena_free(room, 256);
    used = kl_arena_stats().used;
    kl_arena_free(room, 256);
    kl_arena_free(other + 16, 100);
    kl_arena_free(foreign, sizeof foreign);
    CU_ASSERT_EQUAL(kl_arena_stats().used, used);
    CU_ASSERT_EQUAL(other[0] + other[16] + other[255], 27);
    CU_ASSERT_EQUAL(foreign[0], 1);
    kl_arena_free(other, 256);
}

static void room_of_one_size_serves_another_when_all_is_given_back(void)
{
    enum { MANY = 2000 };
    static void *rooms[MANY];
    size_t mapped = 0;

    for (unsigned size = 64; size <= 4096; size *= 2) {
        for (size_t i = 0; i < MANY * 64 / size; i++) rooms[i] = kl_arena_new(size);
        for (size_t i = 0; i < MANY * 64 / size; i++) kl_arena_free(rooms[i], size);
        if (size == 64) mapped = kl_arena_stats().mapped;
    }
    /* A size keeps a slab, 16 KiB, at most; each of the seven would else have wanted 128 KiB of its own. */
    CU_ASSERT_TRUE(kl_arena_stats().mapped <= mapped + 7 * 16384);
}

/* The VmFlags of the mapping that an address lies in, "" if there is none. */
static const char *flags_of(const void *address)
{
    static char line[4096];
    FILE *maps = fopen("/proc/self/smaps", "re");
    bool is_inside = false;
    uintptr_t from, to;

    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2) is_inside = (uintptr_t)address >= from && (uintptr_t)address < to;
        if (is_inside && strncmp(line, "VmFlags:", 8) == 0) break;
        line[0] = '\0';
    }
    if (maps != NULL) fclose(maps);
    return line;
}

static void secrets_are_locked_out_of_core_dumps_and_wiped_at_fork(void)
{
    KL_AUTO(kl_secret) secret = { 0 };
    struct kl_arena_stats stats;

    CU_ASSERT_EQUAL_FATAL(kl_secret_new(&secret, 32), KL_OK);
    stats = kl_arena_stats();
    CU_ASSERT_TRUE(stats.all_locked);
    CU_ASSERT_EQUAL(stats.locked, stats.mapped);
    CU_ASSERT_TRUE(stats.used >= 32 && stats.used <= stats.mapped);
    if (!IS_WATCHED) CU_ASSERT_PTR_NOT_NULL(strstr(flags_of(secret.data), " lo"));
    CU_ASSERT_PTR_NOT_NULL(strstr(flags_of(secret.data), " dd"));
    CU_ASSERT_PTR_NOT_NULL(strstr(flags_of(secret.data), " wf"));
}

/* What is found at the address in a child that no sanitizer watches. */
static int touch(const volatile uint8_t *address)
{
    signal(SIGSEGV, SIG_DFL);
    return *address;
}

static const uint8_t *touched;

static int touch_in_child(void)
{
    return touch(touched);
}

static void an_overrun_out_of_the_arena_faults(void)
{
    KL_AUTO(kl_secret) secret = { 0 };

    CU_ASSERT_EQUAL_FATAL(kl_secret_new(&secret, 32), KL_OK);
    touched = secret.data;
    while (strstr(flags_of(touched), " rd") != NULL) touched -= 4096;
    CU_ASSERT_EQUAL(unit_in_child(touch_in_child), 256 + SIGSEGV);
    touched = secret.data;
    while (strstr(flags_of(touched), " rd") != NULL) touched += 4096;
    CU_ASSERT_EQUAL(unit_in_child(touch_in_child), 256 + SIGSEGV);
}

static void calls_of_the_system_that_fail_are_told_and_lose_nothing(void)
{
    static const enum kl_rc allowed[] = { KL_MEMORY, KL_LOCKED_MEMORY };
    bool failed = true;

    kl_arena_abandon();
    for (unsigned i = 1; failed; i++) {
        struct kl_secret secret = { 0 };
        enum kl_rc rc;

        failing_system(i);
        rc = kl_secret_new(&secret, 32);
        failed = failing_has_failed();
        failing_system(0);
        /* A smaller reservation will do: the first mmap may fail, and nobody notices. */
        if (rc != KL_OK) {
            CU_ASSERT_TRUE(rc == allowed[0] || rc == allowed[1]);
            CU_ASSERT_TRUE(strlen(kl_fail_words()) > 10);
            CU_ASSERT_PTR_NULL(secret.data);
            CU_ASSERT_EQUAL(kl_arena_stats().mapped, 0);
        }
        kl_secret_clear(&secret);
        if (rc == KL_OK) kl_arena_abandon();
    }
}

/* --- limits -------------------------------------------------------------- */

/* As a service without rights finds itself. */
static int limit_locked_memory(size_t bytes)
{
    struct rlimit limit = { bytes, bytes };

    UNIT_NEED(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    if (geteuid() == 0) UNIT_NEED(setresuid(65534, 65534, 65534) == 0);
    kl_arena_abandon();
    return 0;
}

static int hold_100000_keys(void)
{
    enum { KEYS = 100000 };
    static struct kl_secret keys[KEYS];
    struct kl_arena_stats stats;

    UNIT_NEED(limit_locked_memory((size_t)8 << 20) == 0);
    for (uint32_t i = 0; i < KEYS; i++) {
        UNIT_NEED(kl_secret_new(&keys[i], 32) == KL_OK);
        memcpy(keys[i].data, &i, sizeof i);
        memcpy(keys[i].data + 28, &i, sizeof i);
    }
    stats = kl_arena_stats();
    UNIT_NEED(stats.all_locked);
    UNIT_NEED(stats.mapped <= 5000000);
    for (uint32_t i = 0; i < KEYS; i++) {
        UNIT_NEED(memcmp(keys[i].data, &i, sizeof i) == 0 && memcmp(keys[i].data + 28, &i, sizeof i) == 0);
        kl_secret_clear(&keys[i]);
    }
    UNIT_NEED(kl_arena_stats().used == 0);
    return 0;
}

static void a_hundred_thousand_keys_are_locked_within_8_mib(void)
{
    CU_ASSERT_EQUAL(unit_in_child(hold_100000_keys), 0);
}

static int refuse_unlocked(void)
{
    struct kl_secret secret = { 0 };

    UNIT_NEED(limit_locked_memory(0) == 0);
    UNIT_NEED(kl_secret_new(&secret, 32) == KL_LOCKED_MEMORY);
    UNIT_NEED(strstr(kl_fail_words(), "LimitMEMLOCK=") != NULL && strstr(kl_fail_words(), "ulimit -l") != NULL);
    UNIT_NEED(strstr(kl_fail_words(), "lock_memory = try") != NULL);
    UNIT_NEED(secret.data == NULL && kl_arena_new(100) == NULL);
    UNIT_NEED(kl_arena_stats().mapped == 0);
    return 0;
}

static void memory_that_cannot_be_locked_is_refused_with_the_limit_named(void)
{
    if (!IS_WATCHED) CU_ASSERT_EQUAL(unit_in_child(refuse_unlocked), 0);
}

static int stop_at_the_limit(void)
{
    static struct kl_secret keys[10];
    size_t got = 0;

    UNIT_NEED(limit_locked_memory(200 << 10) == 0); /* three chunks of 64 KiB and a rest */
    while (got < 10 && kl_secret_new(&keys[got], 16384) == KL_OK) got++;
    UNIT_NEED(got == 10);
    kl_secret_clear(&keys[3]);
    for (got = 0; got < 10 && kl_arena_new(16384) != NULL;) got++;
    UNIT_NEED(got == 3); /* one that came back, two that were left of twelve */
    UNIT_NEED(kl_arena_stats().all_locked);
    UNIT_NEED(memcmp(keys[4].data, keys[5].data, 16384) == 0);
    return 0;
}

static void at_the_limit_new_secrets_are_refused_and_old_ones_stay(void)
{
    if (!IS_WATCHED) CU_ASSERT_EQUAL(unit_in_child(stop_at_the_limit), 0);
}

static int go_on_unlocked(void)
{
    struct kl_secret secret = { 0 };

    UNIT_NEED(limit_locked_memory(0) == 0);
    kl_arena_allow_unlocked(true);
    kl_fail_forget();
    UNIT_NEED(kl_secret_new(&secret, 32) == KL_OK);
    UNIT_NEED(kl_fail_words()[0] == '\0');
    UNIT_NEED(!kl_arena_stats().all_locked && kl_arena_stats().locked == 0 && kl_arena_stats().mapped > 0);
    secret.data[31] = 1;
    kl_secret_clear(&secret);
    return 0;
}

static void allowed_to_a_process_goes_on_unlocked_and_says_so(void)
{
    if (!IS_WATCHED) CU_ASSERT_EQUAL(unit_in_child(go_on_unlocked), 0);
}

static int hold_little_address_space(void)
{
    struct kl_secret secret = { 0 };
    struct rlimit limit = { (rlim_t)400 << 20, (rlim_t)400 << 20 };

    kl_arena_abandon();
    UNIT_NEED(setrlimit(RLIMIT_AS, &limit) == 0);
    UNIT_NEED(kl_secret_new(&secret, 32) == KL_OK);
    kl_secret_clear(&secret);
    return 0;
}

static void a_process_of_limited_address_space_has_its_secrets_too(void)
{
    if (!IS_WATCHED) CU_ASSERT_EQUAL(unit_in_child(hold_little_address_space), 0);
}

/* --- fork ---------------------------------------------------------------- */

static void a_child_finds_zeros_where_its_parents_secrets_were(void)
{
    KL_AUTO(kl_secret) secret = { 0 };

    CU_ASSERT_EQUAL_FATAL(kl_secret_new(&secret, 32), KL_OK);
    memset(secret.data, 77, 32);
    touched = secret.data + 5;
    CU_ASSERT_EQUAL(unit_in_child(touch_in_child), 0);
    CU_ASSERT_EQUAL(*touched, 77);
}

static void a_child_inherits_secrets_where_that_is_the_rule(void)
{
    KL_AUTO(kl_secret) secret = { 0 };

    CU_ASSERT_EQUAL_FATAL(kl_secret_new(&secret, 32), KL_OK);
    memset(secret.data, 77, 32);
    touched = secret.data + 5;
    kl_arena_set_fork(KL_FORK_INHERIT);
    CU_ASSERT_EQUAL(unit_in_child(touch_in_child), 77);
    kl_arena_set_fork(KL_FORK_RESET);
    CU_ASSERT_EQUAL(unit_in_child(touch_in_child), 0);
}

static struct kl_secret of_parent;

static int lock_again(void)
{
    struct kl_secret more = { 0 };

    if (!IS_WATCHED) UNIT_NEED(strstr(flags_of(of_parent.data), " lo") == NULL);
    UNIT_NEED(kl_arena_inherit() == KL_OK);
    if (!IS_WATCHED) UNIT_NEED(strstr(flags_of(of_parent.data), " lo") != NULL);
    UNIT_NEED(strstr(flags_of(of_parent.data), " dd") != NULL);
    UNIT_NEED(kl_arena_stats().all_locked && kl_arena_stats().locked > 0);
    UNIT_NEED(kl_view_is(kl_secret_view(&of_parent), kl_view_text("the parent's")));
    UNIT_NEED(kl_secret_new(&more, 32) == KL_OK);
    of_parent.data[0] = 'T';
    return kl_arena_stats().all_locked ? 0 : 1;
}

static int inherit_unlocked(void)
{
    struct rlimit none = { 0, 0 };

    UNIT_NEED(setrlimit(RLIMIT_MEMLOCK, &none) == 0);
    if (geteuid() == 0) UNIT_NEED(setresuid(65534, 65534, 65534) == 0);
    UNIT_NEED(kl_arena_inherit() == KL_LOCKED_MEMORY);
    UNIT_NEED(strstr(kl_fail_words(), "LimitMEMLOCK=") != NULL);
    UNIT_NEED(!kl_arena_stats().all_locked && kl_arena_stats().locked == 0);
    kl_arena_allow_unlocked(true);
    UNIT_NEED(kl_arena_inherit() == KL_OK);
    UNIT_NEED(!kl_arena_stats().all_locked);
    return 0;
}

static int inherit_nothing(void)
{
    kl_arena_abandon();
    return kl_arena_inherit() == KL_OK && kl_arena_stats().mapped == 0 ? 0 : 1;
}

static void a_child_that_inherits_locks_again(void)
{
    CU_ASSERT_EQUAL_FATAL(kl_secret_from(&of_parent, kl_view_text("the parent's")), KL_OK);
    kl_arena_set_fork(KL_FORK_INHERIT);
    CU_ASSERT_EQUAL(unit_in_child(lock_again), 0);
    if (!IS_WATCHED) CU_ASSERT_EQUAL(unit_in_child(inherit_unlocked), 0);
    CU_ASSERT_EQUAL(unit_in_child(inherit_nothing), 0);
    kl_arena_set_fork(KL_FORK_RESET);
    CU_ASSERT_TRUE(kl_view_is(kl_secret_view(&of_parent), kl_view_text("the parent's")));
    kl_secret_clear(&of_parent);
}

static int begin_anew(void)
{
    struct kl_secret secret = { 0 };

    kl_arena_abandon();
    UNIT_NEED(kl_arena_stats().mapped == 0 && kl_arena_stats().used == 0);
    UNIT_NEED(kl_secret_from(&secret, kl_view_text("the child's own")) == KL_OK);
    UNIT_NEED(kl_arena_stats().all_locked);
    kl_secret_clear(&of_parent); /* a mistake, and without consequence */
    UNIT_NEED(kl_view_is(kl_secret_view(&secret), kl_view_text("the child's own")));
    kl_arena_abandon();
    kl_arena_abandon();
    return 0;
}

static int touch_after_abandon(void)
{
    kl_arena_abandon();
    return touch(touched);
}

static void a_child_that_abandons_begins_with_an_empty_arena(void)
{
    CU_ASSERT_EQUAL_FATAL(kl_secret_from(&of_parent, kl_view_text("the parent's")), KL_OK);
    CU_ASSERT_EQUAL(unit_in_child(begin_anew), 0);
    CU_ASSERT_TRUE(kl_view_is(kl_secret_view(&of_parent), kl_view_text("the parent's")));
    kl_secret_clear(&of_parent);
}

static void abandoned_secrets_are_out_of_reach_under_either_rule(void)
{
    CU_ASSERT_EQUAL_FATAL(kl_secret_from(&of_parent, kl_view_text("the parent's")), KL_OK);
    touched = of_parent.data;
    CU_ASSERT_EQUAL(unit_in_child(touch_after_abandon), 256 + SIGSEGV);
    kl_arena_set_fork(KL_FORK_INHERIT);
    CU_ASSERT_EQUAL(unit_in_child(touch_after_abandon), 256 + SIGSEGV);
    kl_arena_set_fork(KL_FORK_RESET);
    kl_secret_clear(&of_parent);
}

/* --- threads ------------------------------------------------------------- */

enum { THREADS = 6, ROUNDS = 4000, DESKS = 16 };

/* Where threads leave secrets for others to clear. */
static _Atomic(uint8_t *) desks[DESKS];
static atomic_bool must_stop, went_wrong;

static void *hammer(void *seed)
{
    uint32_t random = (uint32_t)(uintptr_t)seed;

    for (size_t i = 0; i < ROUNDS && !atomic_load(&must_stop); i++) {
        size_t len;
        uint8_t *room;

        random = random * 1664525 + 1013904223;
        len = 8 + random / 65536 % (i % 100 == 0 ? 60000 : 300);
        room = kl_arena_new(len);
        if (room == NULL || !is_zero(room, len)) {
            atomic_store(&went_wrong, true);
            break;
        }
        memset(room, (int)(random % 255 + 1), len);
        room = atomic_exchange(&desks[random / 256 % DESKS], room);
        kl_arena_free(room, 0);
    }
    return NULL;
}

static void threads_give_back_what_other_threads_took(void)
{
    pthread_t threads[THREADS];
    size_t used = kl_arena_stats().used;

    for (uintptr_t i = 0; i < THREADS; i++) CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, hammer, (void *)(i + 1)), 0);
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (size_t i = 0; i < DESKS; i++) kl_arena_free(atomic_exchange(&desks[i], NULL), 0);
    CU_ASSERT_FALSE(atomic_load(&went_wrong));
    CU_ASSERT_EQUAL(kl_arena_stats().used, used);
}

static int begin_anew_amid_threads(void)
{
    struct kl_secret secrets[20] = { { 0 } };

    kl_arena_abandon();
    for (size_t i = 0; i < 20; i++) UNIT_NEED(kl_secret_new(&secrets[i], 40 * (i + 1)) == KL_OK);
    for (size_t i = 0; i < 20; i++) kl_secret_clear(&secrets[i]);
    UNIT_NEED(kl_arena_stats().used == 0);
    return 0;
}

static void *hammer_on(void *seed)
{
    while (!atomic_load(&must_stop)) hammer(seed);
    return NULL;
}

static void a_child_forked_amid_threads_does_not_wait_for_their_locks(void)
{
    pthread_t threads[THREADS];

    for (uintptr_t i = 0; i < THREADS; i++) CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, hammer_on, (void *)(i + 1)), 0);
    for (size_t i = 0; i < 50; i++) CU_ASSERT_EQUAL(unit_in_child(begin_anew_amid_threads), 0);
    atomic_store(&must_stop, true);
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (size_t i = 0; i < DESKS; i++) kl_arena_free(atomic_exchange(&desks[i], NULL), 0);
}

UNIT_MAIN("base/secret", UNIT(a_new_secret_is_zero_and_as_long_as_asked), UNIT(a_secret_of_no_bytes_or_too_many_is_refused),
          UNIT(a_secret_that_is_not_empty_takes_nothing_new), UNIT(a_copy_has_the_bytes_and_room_of_its_own),
          UNIT(secrets_that_differ_are_not_equal), UNIT(taking_moves_and_leaves_nothing_behind),
          UNIT(taking_into_a_full_secret_loses_no_room), UNIT(cutting_wipes_the_rest_and_never_lengthens),
          UNIT(clearing_twice_or_nothing_harms_nothing), UNIT(room_given_back_is_used_again_and_was_wiped),
          UNIT(wiping_reaches_every_byte_and_no_other), UNIT(rooms_are_aligned_zero_and_do_not_overlap),
          UNIT(any_order_of_taking_and_giving_keeps_every_byte), UNIT(room_of_no_bytes_or_too_many_is_not_given),
          UNIT(room_given_back_twice_or_by_mistake_changes_nothing), UNIT(room_of_one_size_serves_another_when_all_is_given_back),
          UNIT(secrets_are_locked_out_of_core_dumps_and_wiped_at_fork), UNIT(an_overrun_out_of_the_arena_faults),
          UNIT(a_hundred_thousand_keys_are_locked_within_8_mib), UNIT(memory_that_cannot_be_locked_is_refused_with_the_limit_named),
          UNIT(at_the_limit_new_secrets_are_refused_and_old_ones_stay), UNIT(allowed_to_a_process_goes_on_unlocked_and_says_so),
          UNIT(a_process_of_limited_address_space_has_its_secrets_too), UNIT(a_child_finds_zeros_where_its_parents_secrets_were),
          UNIT(a_child_inherits_secrets_where_that_is_the_rule), UNIT(a_child_that_inherits_locks_again),
          UNIT(a_child_that_abandons_begins_with_an_empty_arena), UNIT(abandoned_secrets_are_out_of_reach_under_either_rule),
          UNIT(threads_give_back_what_other_threads_took), UNIT(a_child_forked_amid_threads_does_not_wait_for_their_locks),
          UNIT(calls_of_the_system_that_fail_are_told_and_lose_nothing))
