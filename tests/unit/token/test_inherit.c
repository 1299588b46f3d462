/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* fork = inherit, whatever the threads of the parent are doing (token/inherit.c). */
#include "token/inherit.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "fixture.h"
#include "ladder/internal.h"
#include "token/mech.h"
#include "token/shelf.h"
#include "token/slot.h"

static struct kl_session *session, *other;
static CK_SESSION_HANDLE handle, other_handle;
static CK_OBJECT_HANDLE key, others_key;
static _Atomic int step, wrong;

enum kl_rc __real_kl_fork_mark(void);
enum kl_rc __wrap_kl_fork_mark(void);
enum kl_rc __real_kl_arena_inherit(void);
enum kl_rc __wrap_kl_arena_inherit(void);

static bool has_no_mark, has_no_arena;

enum kl_rc __wrap_kl_fork_mark(void)
{
    return has_no_mark ? KL_MEMORY : __real_kl_fork_mark();
}

enum kl_rc __wrap_kl_arena_inherit(void)
{
    return has_no_arena ? KL_LOCKED_MEMORY : __real_kl_arena_inherit();
}

static void begin(void)
{
    sandbox_module = "fork = inherit\n";
    fixture_begin();
    session = session_new(CKF_RW_SESSION);
    other = session_new(0);
    handle = atomic_load(&session->handle);
    other_handle = atomic_load(&other->handle);
    log_in();
    key = aes_key(session, false, "mine");
    others_key = aes_key(other, false, "other's");
    atomic_store(&step, 0);
    atomic_store(&wrong, 0);
}

static void end(void)
{
    CU_ASSERT_EQUAL(atomic_load(&wrong), 0);
    CU_ASSERT_EQUAL(kl_ladder_role(demo->ladder), KL_ROLE_USER);
    CU_ASSERT_EQUAL(demo->sessions, 2);
    CU_ASSERT_EQUAL(find_label(session, "mine"), key);
    fixture_end();
    sandbox_module = "";
}

static void pause_for(long milliseconds)
{
    nanosleep(&(struct timespec){ .tv_nsec = milliseconds * 1000 * 1000 }, NULL);
}

static bool can_encrypt(struct kl_session *with, CK_OBJECT_HANDLE under)
{
    static uint8_t number;
    uint8_t iv[12] = { ++number }, out[32];
    CK_GCM_PARAMS gcm = { iv, 12, 96, NULL, 0, 128 };
    CK_MECHANISM mechanism = { CKM_AES_GCM, &gcm, sizeof gcm };
    struct kl_out room = { out, sizeof out, 0 };

    if (kl_op_init(with, KL_OP_ENCRYPT, &mechanism, under) != KL_OK) return false;
    return kl_op_once(with, KL_OP_ENCRYPT, kl_view_text("text"), &room) == KL_OK && room.len == 20;
}

/* Everything that takes locks, with a deadline: SIGALRM ends a child that hangs. */
static int goes_on(void)
{
    struct kl_session *found = NULL;
    CK_SESSION_HANDLE more;

    alarm(30);
    UNIT_NEED(kl_module_is_open());
    UNIT_NEED(kl_session_enter(handle, &found) == KL_OK && found == session);
    kl_session_leave(found);
    UNIT_NEED(kl_ladder_role(demo->ladder) == KL_ROLE_USER);
    UNIT_NEED(can_encrypt(session, key));
    UNIT_NEED(find_label(session, "mine") == key);
    UNIT_NEED(aes_key(session, true, "a child's") != 0);
    UNIT_NEED(kl_session_open(demo, CKF_SERIAL_SESSION, &more) == KL_OK);
    UNIT_NEED(kl_session_close(more) == KL_OK);
    UNIT_NEED(kl_token_logout(demo) == KL_OK);
    UNIT_NEED(kl_token_login(demo, CKU_USER, user_pin()) == KL_OK);
    UNIT_NEED(kl_module_open() == KL_OK);
    UNIT_NEED(kl_module_open() == KL_INITIALIZED);
    UNIT_NEED(kl_module_close() == KL_OK);
    UNIT_NEED(!kl_module_is_open());
    UNIT_NEED(kl_arena_stats().mapped == 0);
    UNIT_NEED(kl_module_open() == KL_OK);
    UNIT_NEED(kl_module_open() == KL_INITIALIZED);
    UNIT_NEED(kl_module_close() == KL_OK);
    return 0;
}

static int begins_anew(void)
{
    struct kl_session *found = NULL;

    alarm(30);
    UNIT_NEED(!kl_module_is_open() && !kl_module_enter());
    UNIT_NEED(kl_arena_stats().mapped == 0);
    UNIT_NEED(kl_module_open() == KL_OK);
    UNIT_NEED(kl_module_open() == KL_INITIALIZED);
    UNIT_NEED(kl_session_enter(handle, &found) == KL_SESSION);
    UNIT_NEED(kl_ladder_role(kl_token_at(0)->ladder) == KL_ROLE_NONE);
    UNIT_NEED(kl_session_open(kl_token_at(0), CKF_SERIAL_SESSION, &handle) == KL_OK);
    UNIT_NEED(kl_token_login(kl_token_at(0), CKU_USER, user_pin()) == KL_OK);
    UNIT_NEED(kl_module_close() == KL_OK);
    return 0;
}

static int has_both_sessions(void)
{
    UNIT_NEED(demo->sessions == 2 && demo->rw_sessions == 1);
    UNIT_NEED(can_encrypt(other, others_key));
    return unit_in_child(goes_on);
}

static void a_child_and_its_child_go_on(void)
{
    begin();
    CU_ASSERT_EQUAL(unit_in_child(goes_on), 0);
    CU_ASSERT_EQUAL(unit_in_child(has_both_sessions), 0);
    end();
}

static int in_child_without_handlers(int (*body)(void))
{
    int status = 0;
    pid_t child = _Fork();

    if (child == 0) {
        /* What a child that does not begin anew has of its parent's secrets goes when it does. */
        kl_arena_abandon();
        _exit(body());
    }
    if (child < 0 || waitpid(child, &status, 0) != child) return -1;
    return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int has_a_child_without_handlers(void)
{
    return in_child_without_handlers(begins_anew);
}

static void a_child_without_handlers_begins_anew(void)
{
    begin();
    CU_ASSERT_EQUAL(in_child_without_handlers(begins_anew), 0);
    CU_ASSERT_EQUAL(unit_in_child(has_a_child_without_handlers), 0);
    end();
}

static int is_not_open(void)
{
    UNIT_NEED(!kl_module_is_open());
    UNIT_NEED(kl_module_open() == KL_OK);
    UNIT_NEED(kl_module_close() == KL_OK);
    return 0;
}

static void a_child_of_a_closed_module_finds_it_closed(void)
{
    begin();
    end();
    CU_ASSERT_EQUAL(unit_in_child(is_not_open), 0);
    sandbox_begin();
    CU_ASSERT_EQUAL(kl_module_open(), KL_OK);
    CU_ASSERT_EQUAL(unit_in_child(is_not_open), 0);
    CU_ASSERT_EQUAL(kl_module_close(), KL_OK);
    sandbox_end();
}

/* --- threads that hold something --------------------------------------- */

static pthread_mutex_t *which;

/* As long as a page fault, a preemption or a large table may take. */
static void *hold_for_a_while(void *unused)
{
    (void)unused;
    pthread_mutex_lock(which);
    atomic_store(&step, 1);
    pause_for(20);
    pthread_mutex_unlock(which);
    /* A thread that had ended would be missed, in the child, by who looks for races. */
    while (atomic_load(&step) == 1) pause_for(1);
    return NULL;
}

static bool hold_it(void *user, pthread_mutex_t *lock)
{
    pthread_t holder;

    (void)user;
    which = lock;
    atomic_store(&step, 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&holder, NULL, hold_for_a_while, NULL), 0);
    while (atomic_load(&step) == 0) pause_for(1);
    CU_ASSERT_EQUAL(unit_in_child(goes_on), 0);
    atomic_store(&step, 2);
    pthread_join(holder, NULL);
    return true;
}

static void a_child_goes_on_whatever_a_thread_holds_for_a_few_steps(void)
{
    begin();
    hold_it(NULL, kl_module_lock());
    hold_it(NULL, &demo->lock);
    hold_it(NULL, &kl_token_at(1)->lock);
    hold_it(NULL, kl_session_lock());
    hold_it(NULL, kl_shelf_lock(demo->shelf));
    hold_it(NULL, kl_slot_lock());
    hold_it(NULL, kl_ladder_lock(demo->ladder));
    kl_arena_show_locks(hold_it, NULL);
    hold_it(NULL, kl_log_lock());
    end();
}

/* Until the step changes. */
static void *hold_on(void *unused)
{
    (void)unused;
    pthread_mutex_lock(which);
    atomic_store(&step, 1);
    while (atomic_load(&step) == 1) pause_for(1);
    pthread_mutex_unlock(which);
    return NULL;
}

static _Atomic int64_t hours;

static int64_t wall(void)
{
    return kl_clock_system.wall();
}

static int64_t steady(void)
{
    return atomic_fetch_add(&hours, 1) * INT64_C(3600000000000);
}

static int64_t coarse(void)
{
    return kl_clock_system.coarse();
}

static const struct kl_clock flying = { .wall = wall, .steady = steady, .coarse = coarse };

static int begins_anew_on_earth(void)
{
    kl_clock = &kl_clock_system;
    return begins_anew();
}

static void a_lock_that_is_not_to_be_had_in_time_makes_the_child_begin_anew(void)
{
    pthread_t holder;

    begin();
    which = kl_shelf_lock(demo->shelf);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&holder, NULL, hold_on, NULL), 0);
    while (atomic_load(&step) == 0) pause_for(1);
    kl_clock = &flying;
    CU_ASSERT_EQUAL(unit_in_child(begins_anew_on_earth), 0);
    kl_clock = &kl_clock_system;
    atomic_store(&step, 2);
    pthread_join(holder, NULL);
    CU_ASSERT_EQUAL(unit_in_child(goes_on), 0);
    end();
}

/* --- what takes long --------------------------------------------------- */

static void *stay_in_the_other_session(void *unused)
{
    struct kl_session *mine = NULL;

    (void)unused;
    if (kl_session_enter(other_handle, &mine) != KL_OK) atomic_fetch_add(&wrong, 1);
    atomic_store(&step, 1);
    while (atomic_load(&step) == 1) pause_for(1);
    kl_session_leave(mine);
    return NULL;
}

static int has_lost_the_other(void)
{
    CK_ATTRIBUTE profile = A_ULONG(CKA_CLASS, CKO_PROFILE);
    struct kl_session *found = NULL;
    CK_SESSION_HANDLE more;

    alarm(30);
    UNIT_NEED(kl_session_enter(other_handle, &found) == KL_SESSION);
    UNIT_NEED(kl_session_close(other_handle) == KL_SESSION);
    /* What stands on every token is no session's. */
    UNIT_NEED(find(session, &profile, 1, NULL) == 3);
    UNIT_NEED(demo->sessions == 1 && demo->rw_sessions == 1);
    UNIT_NEED(find_label(session, "other's") == 0);
    UNIT_NEED(kl_slot_get(others_key) == NULL);
    UNIT_NEED(kl_session_open(demo, CKF_SERIAL_SESSION, &more) == KL_OK && more != other_handle);
    UNIT_NEED(kl_session_close(more) == KL_OK);
    return goes_on();
}

static void a_session_with_a_thread_in_it_is_closed_in_the_child(void)
{
    pthread_t thread;

    begin();
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, stay_in_the_other_session, NULL), 0);
    while (atomic_load(&step) == 0) pause_for(1);
    CU_ASSERT_EQUAL(unit_in_child(has_lost_the_other), 0);
    atomic_store(&step, 2);
    pthread_join(thread, NULL);
    CU_ASSERT_TRUE(can_encrypt(other, others_key));
    end();
}

static int has_a_login_without_sessions(void)
{
    CK_SESSION_HANDLE more;

    alarm(30);
    UNIT_NEED(demo->sessions == 0);
    UNIT_NEED(kl_ladder_role(demo->ladder) == KL_ROLE_USER);
    UNIT_NEED(kl_session_open(demo, CKF_SERIAL_SESSION, &more) == KL_OK);
    UNIT_NEED(kl_ladder_role(demo->ladder) == KL_ROLE_USER);
    UNIT_NEED(kl_session_close(more) == KL_OK);
    UNIT_NEED(kl_ladder_role(demo->ladder) == KL_ROLE_NONE);
    return 0;
}

static void the_login_stays_if_every_session_had_a_thread_in_it(void)
{
    struct kl_session *mine = NULL;
    pthread_t thread;

    begin();
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, stay_in_the_other_session, NULL), 0);
    while (atomic_load(&step) == 0) pause_for(1);
    CU_ASSERT_EQUAL(kl_session_enter(handle, &mine), KL_OK);
    CU_ASSERT_EQUAL(unit_in_child(has_a_login_without_sessions), 0);
    kl_session_leave(mine);
    atomic_store(&step, 2);
    pthread_join(thread, NULL);
    end();
}

static void *change_the_token(void *unused)
{
    (void)unused;
    kl_token_begin_change(demo);
    atomic_store(&step, 1);
    while (atomic_load(&step) == 1) pause_for(1);
    kl_token_end_change(demo);
    return NULL;
}

static void a_child_does_not_wait_for_who_logs_in_or_out(void)
{
    pthread_t thread;

    begin();
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, change_the_token, NULL), 0);
    while (atomic_load(&step) == 0) pause_for(1);
    CU_ASSERT_EQUAL(unit_in_child(goes_on), 0);
    atomic_store(&step, 2);
    pthread_join(thread, NULL);
    end();
}

static int is_logged_out(void)
{
    alarm(30);
    UNIT_NEED(!atomic_load(&demo->is_ending));
    UNIT_NEED(kl_ladder_role(demo->ladder) == KL_ROLE_NONE);
    UNIT_NEED(kl_token_logout(demo) == KL_NOT_LOGGED_IN);
    UNIT_NEED(kl_slot_get(key) == NULL && kl_slot_get(others_key) == NULL);
    UNIT_NEED(kl_token_login(demo, CKU_USER, user_pin()) == KL_OK);
    UNIT_NEED(find_label(session, "mine") == 0);
    return 0;
}

static void a_logout_that_had_begun_is_done_to_the_end(void)
{
    begin();
    atomic_store(&demo->is_ending, true);
    CU_ASSERT_EQUAL(unit_in_child(is_logged_out), 0);
    atomic_store(&demo->is_ending, false);
    end();
}

static int opens_the_master_itself(void)
{
    struct kl_key *master = NULL;
    KL_AUTO(kl_record) record = { 0 };

    alarm(30);
    UNIT_NEED(kl_ladder_find(demo->ladder, kl_view_text("master"), &record) == KL_OK);
    UNIT_NEED(kl_ladder_open_key(demo->ladder, &record, &master) == KL_OK);
    kl_key_put(master);
    return 0;
}

static void a_child_does_not_wait_for_who_opens_the_master_or_the_store(void)
{
    pthread_t thread;

    begin();
    pthread_mutex_lock(kl_ladder_lock(demo->ladder));
    kl_held_drop_all(demo->ladder);
    demo->ladder->is_opening = true;
    pthread_mutex_unlock(kl_ladder_lock(demo->ladder));
    which = &demo->ladder->opening;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, hold_on, NULL), 0);
    while (atomic_load(&step) == 0) pause_for(1);
    CU_ASSERT_EQUAL(unit_in_child(opens_the_master_itself), 0);
    atomic_store(&step, 2);
    pthread_join(thread, NULL);
    demo->ladder->is_opening = false;
    end();
}

/* --- keys in memory ---------------------------------------------------- */

static int has_unlocked_keys(void)
{
    UNIT_NEED(kl_module_is_open());
    UNIT_NEED(!kl_arena_stats().all_locked);
    UNIT_NEED(can_encrypt(session, key));
    return 0;
}

static int has_no_keys(void)
{
    UNIT_NEED(!kl_module_is_open());
    UNIT_NEED(kl_arena_stats().mapped == 0);
    return 0;
}

static int may_lock_no_memory(void)
{
    struct rlimit none = { 0, 0 };

    UNIT_NEED(setrlimit(RLIMIT_MEMLOCK, &none) == 0);
    if (geteuid() == 0) UNIT_NEED(setresuid(65534, 65534, 65534) == 0);
    UNIT_NEED(unit_in_child(has_unlocked_keys) == 0);
    kl_arena_allow_unlocked(false);
    return unit_in_child(has_no_keys);
}

static void where_keys_must_be_locked_and_cannot_a_child_begins_anew(void)
{
    begin();
    if (!IS_WATCHED) CU_ASSERT_EQUAL(unit_in_child(may_lock_no_memory), 0);
    end();
}

/* --- operations -------------------------------------------------------- */

static int keeps_what_needs_no_iv(void)
{
    static const bool is_kept[KL_OPS] = {
        [KL_OP_DECRYPT] = true, [KL_OP_MESSAGE_DECRYPT] = true, [KL_OP_SIGN] = true,
        [KL_OP_VERIFY] = true,  [KL_OP_DIGEST] = true,          [KL_OP_FIND] = true,
    };

    for (size_t i = 0; i < KL_OPS; i++) UNIT_NEED(session->ops[i].is_active == is_kept[i]);
    UNIT_NEED(!other->ops[KL_OP_SIGN].is_active && other->ops[KL_OP_VERIFY].is_active);
    return 0;
}

static void operations_that_use_an_iv_are_the_parents_and_no_others(void)
{
    begin();
    for (size_t i = 0; i < KL_OPS; i++) session->ops[i] = (struct kl_op){ .is_active = true, .mech = &kl_mech_aes_gcm };
    other->ops[KL_OP_SIGN] = other->ops[KL_OP_VERIFY] = (struct kl_op){ .is_active = true, .mech = &kl_mech_aes_gmac };
    CU_ASSERT_EQUAL(unit_in_child(keeps_what_needs_no_iv), 0);
    for (size_t i = 0; i < KL_OPS; i++) CU_ASSERT_TRUE(session->ops[i].is_active);
    memset(session->ops, 0, sizeof session->ops);
    memset(other->ops, 0, sizeof other->ops);
    end();
}

static int finds_the_module_closed(void)
{
    has_no_mark = has_no_arena = false;
    UNIT_NEED(!kl_module_is_open());
    UNIT_NEED(kl_module_open() == KL_OK);
    UNIT_NEED(kl_module_close() == KL_OK);
    return 0;
}

static void a_child_that_cannot_take_over_begins_anew(void)
{
    begin();
    has_no_mark = true;
    CU_ASSERT_EQUAL(unit_in_child(finds_the_module_closed), 0);
    has_no_mark = false;
    has_no_arena = true;
    CU_ASSERT_EQUAL(unit_in_child(finds_the_module_closed), 0);
    has_no_arena = false;
    CU_ASSERT_TRUE(can_encrypt(session, key));
    end();
}

UNIT_MAIN("token/inherit", UNIT(a_child_and_its_child_go_on), UNIT(a_child_without_handlers_begins_anew),
          UNIT(a_child_of_a_closed_module_finds_it_closed), UNIT(a_child_goes_on_whatever_a_thread_holds_for_a_few_steps),
          UNIT(a_lock_that_is_not_to_be_had_in_time_makes_the_child_begin_anew), UNIT(a_session_with_a_thread_in_it_is_closed_in_the_child),
          UNIT(the_login_stays_if_every_session_had_a_thread_in_it), UNIT(a_child_does_not_wait_for_who_logs_in_or_out),
          UNIT(a_logout_that_had_begun_is_done_to_the_end), UNIT(a_child_does_not_wait_for_who_opens_the_master_or_the_store),
          UNIT(where_keys_must_be_locked_and_cannot_a_child_begins_anew), UNIT(operations_that_use_an_iv_are_the_parents_and_no_others),
          UNIT(a_child_that_cannot_take_over_begins_anew))
