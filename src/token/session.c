/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/session.h"

#include <stdlib.h>
#include <string.h>

#include "ladder/ladder.h"
#include "token/object.h"
#include "token/shelf.h"

/* --- the table --------------------------------------------------------- */

enum { PER_SEGMENT = 32, SEGMENTS = (KL_SESSIONS_MAX + PER_SEGMENT - 1) / PER_SEGMENT };

#define SLOT_BITS 24
#define SLOT_MASK (((CK_SESSION_HANDLE)1 << SLOT_BITS) - 1)
#define GENERATION ((CK_SESSION_HANDLE)1 << SLOT_BITS)
#define USED_UP ((CK_SESSION_HANDLE)-1) /* a last handle that none can follow */

_Static_assert(KL_SESSIONS_MAX < SLOT_MASK, "a handle has room for every slot");

static struct kl_session *_Atomic segments[SEGMENTS];
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic CK_ULONG made; /* slots that have been in use */
static CK_ULONG first_free;   /* slot + 1, the head of a list, or 0 */

/* Of a slot whose segment is there. */
static struct kl_session *slot_at(CK_ULONG slot)
{
    return &atomic_load_explicit(&segments[slot / PER_SEGMENT], memory_order_acquire)[slot % PER_SEGMENT];
}

static bool has_segment(CK_ULONG slot)
{
    return slot < KL_SESSIONS_MAX && atomic_load_explicit(&segments[slot / PER_SEGMENT], memory_order_acquire) != NULL;
}

static enum kl_rc segment_make(CK_ULONG index)
{
    struct kl_session *room = aligned_alloc(_Alignof(struct kl_session), PER_SEGMENT * sizeof *room);

    if (room == NULL) return kl_fail(KL_MEMORY, "no memory for sessions");
    memset(room, 0, PER_SEGMENT * sizeof *room);
    atomic_store(&segments[index], room);
    return KL_OK;
}

/* With the table locked. */
static enum kl_rc slot_new(CK_ULONG *slot)
{
    CK_ULONG next = atomic_load(&made);

    if (next == KL_SESSIONS_MAX) return KL_SESSION_COUNT;
    if (!has_segment(next)) KL_TRY(segment_make(next / PER_SEGMENT));
    pthread_mutex_init(&slot_at(next)->lock, NULL);
    atomic_store(&made, next + 1);
    *slot = next;
    return KL_OK;
}

static enum kl_rc slot_take(CK_ULONG *slot)
{
    enum kl_rc rc = KL_OK;

    pthread_mutex_lock(&table_lock);
    if (first_free != 0) {
        *slot = first_free - 1;
        first_free = slot_at(*slot)->next_free;
    } else {
        rc = slot_new(slot);
    }
    pthread_mutex_unlock(&table_lock);
    return rc;
}

static void slot_give(CK_ULONG slot)
{
    struct kl_session *session = slot_at(slot);

    /* With 32-bit handles a slot's generations come to an end. */
    if (session->last_handle > USED_UP - GENERATION) return;
    pthread_mutex_lock(&table_lock);
    session->next_free = first_free;
    first_free = slot + 1;
    pthread_mutex_unlock(&table_lock);
}

/* The n-th slot if there is a session of the token in it, locked; `token` NULL takes any. */
static struct kl_session *lock_slot(CK_ULONG slot, const struct kl_token *token)
{
    struct kl_session *session = slot_at(slot);

    if (atomic_load(&session->handle) == 0 || (token != NULL && session->token != token)) return NULL;
    pthread_mutex_lock(&session->lock);
    if (atomic_load(&session->handle) != 0 && (token == NULL || session->token == token)) return session;
    pthread_mutex_unlock(&session->lock);
    return NULL;
}

/* --- counting ---------------------------------------------------------- */

static enum kl_rc admit(struct kl_token *token, bool is_rw)
{
    enum kl_rc rc = KL_OK;

    pthread_mutex_lock(&token->lock);
    while (token->is_changing) pthread_cond_wait(&token->changed, &token->lock);
    /* v3.1 5.6.1: no read-only session beside the security officer. */
    if (!is_rw && kl_ladder_role(token->ladder) == KL_ROLE_SO) rc = KL_SESSION_SO_EXISTS;
    if (rc == KL_OK) token->sessions++;
    if (rc == KL_OK && is_rw) token->rw_sessions++;
    pthread_mutex_unlock(&token->lock);
    return rc;
}

/* True when it was the last: v3.1 5.6.2, with it ends the login, even one that is only on its way. */
static bool dismiss(struct kl_token *token, bool is_rw)
{
    bool is_last;

    pthread_mutex_lock(&token->lock);
    token->sessions--;
    if (is_rw) token->rw_sessions--;
    is_last = token->sessions == 0 && (token->is_changing || kl_ladder_role(token->ladder) != KL_ROLE_NONE);
    pthread_mutex_unlock(&token->lock);
    return is_last;
}

static bool has_sessions(struct kl_token *token)
{
    bool has;

    pthread_mutex_lock(&token->lock);
    has = token->sessions > 0;
    pthread_mutex_unlock(&token->lock);
    return has;
}

static void end_login_with_last(struct kl_token *token)
{
    kl_token_begin_change(token);
    /* Somebody may have opened another before the change began. */
    if (!has_sessions(token)) kl_token_end_login(token);
    kl_token_end_change(token);
}

/* --- life -------------------------------------------------------------- */

enum kl_rc kl_session_open(struct kl_token *token, CK_FLAGS flags, CK_SESSION_HANDLE *out)
{
    bool is_rw = (flags & CKF_RW_SESSION) != 0;
    struct kl_session *session;
    CK_ULONG slot;
    enum kl_rc rc;

    KL_CHECK((flags & CKF_SERIAL_SESSION) != 0, KL_SESSION_SERIAL);
    KL_TRY(kl_token_check(token));
    KL_TRY(admit(token, is_rw));
    rc = slot_take(&slot);
    if (rc != KL_OK) {
        if (dismiss(token, is_rw)) end_login_with_last(token);
        return rc;
    }
    session = slot_at(slot);
    pthread_mutex_lock(&session->lock);
    session->token = token;
    session->is_rw = is_rw;
    session->device_error = 0;
    session->last_handle = session->last_handle == 0 ? slot + 1 : session->last_handle + GENERATION;
    *out = session->last_handle;
    atomic_store(&session->handle, *out);
    pthread_mutex_unlock(&session->lock);
    return KL_OK;
}

enum kl_rc kl_session_enter(CK_SESSION_HANDLE handle, struct kl_session **out)
{
    CK_ULONG slot = (handle & SLOT_MASK) - 1; /* of 0 more than any */
    struct kl_session *session;

    if (!has_segment(slot)) return KL_SESSION;
    session = slot_at(slot);
    /* First without the lock: a stale handle does not wait for the slot's next tenant. */
    if (handle == 0 || atomic_load_explicit(&session->handle, memory_order_relaxed) != handle) return KL_SESSION;
    pthread_mutex_lock(&session->lock);
    if (atomic_load_explicit(&session->handle, memory_order_relaxed) != handle) {
        pthread_mutex_unlock(&session->lock);
        return KL_SESSION;
    }
    *out = session;
    return KL_OK;
}

void kl_session_leave(struct kl_session *session)
{
    pthread_mutex_unlock(&session->lock);
}

/* Of a locked session: unlocks it, gives its slot back. True when the token's login is to end. */
static bool end(struct kl_session *session)
{
    CK_SESSION_HANDLE handle = atomic_load(&session->handle);
    struct kl_token *token = session->token;
    bool is_rw = session->is_rw;

    kl_op_clear_all(session);
    atomic_store(&session->handle, 0);
    kl_session_leave(session);
    kl_object_end_session(token, handle);
    slot_give((handle & SLOT_MASK) - 1);
    return dismiss(token, is_rw);
}

enum kl_rc kl_session_close(CK_SESSION_HANDLE handle)
{
    struct kl_session *session;
    struct kl_token *token;

    KL_TRY(kl_session_enter(handle, &session));
    token = session->token;
    if (end(session)) end_login_with_last(token);
    return KL_OK;
}

enum kl_rc kl_session_close_all(struct kl_token *token)
{
    kl_token_begin_change(token);
    for (CK_ULONG slot = 0; slot < atomic_load(&made); slot++) {
        struct kl_session *session = lock_slot(slot, token);
        bool is_last = session != NULL && end(session);

        (void)is_last; /* the login ends below, whoever is left */
    }
    kl_token_end_login(token);
    kl_token_end_change(token);
    return KL_OK;
}

void kl_session_end_operations(struct kl_token *token)
{
    for (CK_ULONG slot = 0; slot < atomic_load(&made); slot++) {
        struct kl_session *session = lock_slot(slot, token);

        if (session == NULL) continue;
        kl_op_clear_all(session);
        kl_session_leave(session);
    }
}

void kl_session_forget_key(struct kl_token *token, CK_OBJECT_HANDLE key)
{
    for (CK_ULONG slot = 0; slot < atomic_load(&made); slot++) {
        struct kl_session *session = lock_slot(slot, token);

        if (session == NULL) continue;
        kl_op_forget(session, key);
        kl_session_leave(session);
    }
}

enum { FEW = 32, LOOKS = 2048 };

/* One that is in a call is passed over: it is in use. */
static size_t forget_idle_of(struct kl_session *session, int64_t before)
{
    size_t count = 0;

    if (atomic_load(&session->handle) == 0 || pthread_mutex_trylock(&session->lock) != 0) return 0;
    if (atomic_load(&session->handle) != 0) count = kl_op_forget_idle(session, before);
    pthread_mutex_unlock(&session->lock);
    return count;
}

/*
 * Round the table from where the last one stopped, first for what has lain since an earlier second, then for whatever is idle.
 * With the table locked, so that a fork does not find a session in somebody's hands on our account.
 */
void kl_session_forget_idle(const struct kl_session *mine)
{
    static CK_ULONG hand;
    int64_t now = kl_shelf_second();
    CK_ULONG count = atomic_load(&made);
    CK_ULONG looks = count < LOOKS ? count : LOOKS;
    size_t freed = 0;

    /* not reached: `mine` is one. */
    if (count == 0) return;
    pthread_mutex_lock(&table_lock);
    /* The second round only where the first found nothing. */
    for (CK_ULONG i = 0; freed < FEW && i < (freed > 0 ? looks : 2 * looks); i++) {
        struct kl_session *session = slot_at(hand++ % count);

        if (session != mine) freed += forget_idle_of(session, i < looks ? now : now + 1);
    }
    pthread_mutex_unlock(&table_lock);
}

enum kl_rc kl_session_info(struct kl_session *session, CK_SESSION_INFO *info)
{
    static const CK_STATE states[][2] = {
        [KL_ROLE_NONE] = { CKS_RO_PUBLIC_SESSION, CKS_RW_PUBLIC_SESSION },
        [KL_ROLE_USER] = { CKS_RO_USER_FUNCTIONS, CKS_RW_USER_FUNCTIONS },
        /* a read-only session that is being opened just now */
        [KL_ROLE_SO] = { CKS_RO_PUBLIC_SESSION, CKS_RW_SO_FUNCTIONS },
    };
    struct kl_token *token = session->token;

    *info = (CK_SESSION_INFO){
        .slotID = token->slot,
        .state = states[kl_ladder_role(token->ladder)][session->is_rw],
        .flags = CKF_SERIAL_SESSION | (session->is_rw ? CKF_RW_SESSION : 0),
        .ulDeviceError = session->device_error,
    };
    return KL_OK;
}

bool kl_session_is_open(CK_SESSION_HANDLE handle)
{
    CK_ULONG slot = (handle & SLOT_MASK) - 1;

    return handle != 0 && has_segment(slot) && atomic_load_explicit(&slot_at(slot)->handle, memory_order_relaxed) == handle;
}

/* --- the process ------------------------------------------------------- */

void kl_session_close_module(void)
{
    for (CK_ULONG slot = 0; slot < atomic_load(&made); slot++) {
        struct kl_session *session = lock_slot(slot, NULL);

        if (session == NULL) continue;
        kl_op_clear_all(session);
        atomic_store(&session->handle, 0);
        kl_session_leave(session);
        slot_give(slot);
    }
}

void kl_session_abandon_all(void)
{
    /*
     * What sessions hold is the parent's, half changed perhaps: left as it is, and their slots are not used again.
     * Generations go on, so that no handle of the parent's is one of ours.
     */
    table_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    first_free = 0;
    kl_op_count_keyed(0);
    for (CK_ULONG slot = atomic_load(&made); slot-- > 0;) {
        struct kl_session *session = slot_at(slot);

        session->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
        if (atomic_exchange(&session->handle, 0) != 0) session->last_handle = USED_UP;
        slot_give(slot);
    }
}

pthread_mutex_t *kl_session_lock(void)
{
    return &table_lock;
}

/* Its slot is not used again, since what is in it is half changed perhaps. */
static void bury(struct kl_session *session)
{
    session->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    if (atomic_exchange(&session->handle, 0) != 0) session->last_handle = USED_UP;
}

static void inherit(struct kl_session *session)
{
    struct kl_token *token = session->token;

    if (atomic_load(&session->handle) == 0) return;
    kl_op_inherit(session);
    token->sessions++;
    if (session->is_rw) token->rw_sessions++;
}

bool kl_session_inherit_all(void)
{
    bool is_whole = true;
    size_t keyed = 0;

    for (CK_ULONG slot = 0; slot < atomic_load(&made); slot++) {
        struct kl_session *session = slot_at(slot);

        if (pthread_mutex_trylock(&session->lock) == 0) {
            inherit(session);
            keyed += kl_op_count_keys(session);
            pthread_mutex_unlock(&session->lock);
        } else {
            bury(session);
            is_whole = false;
        }
    }
    kl_op_count_keyed(keyed);
    return is_whole;
}
