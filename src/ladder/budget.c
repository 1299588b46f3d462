/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "ladder/budget.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "ladder/internal.h"

#define FIRST_ROOM 64
#define DOUBLINGS 10 /* from KL_BUDGET_FIRST to KL_BUDGET_MOST */

_Static_assert(KL_BUDGET_FIRST << DOUBLINGS == KL_BUDGET_MOST, "ten doublings");

/* What this process holds of one version's budget. A process may hold 100,000 of them. */
struct kl_budget {
    uint8_t id[KL_ROW_ID_LEN];
    uint32_t left;    /* reserved and not handed out */
    uint32_t owed;    /* handed out while the store could not be written; counted with the next reservation */
    uint32_t refused; /* the second in which it was found to be used up, 0: it was not */
    uint8_t doublings;
    bool is_there;
    bool is_told; /* the log knows that it is due, or used up */
};

/* --- the table: by row id, open addressing, never more than half full; the ladder's lock is held --- */

/* Row ids are random, so their own bytes are the hash. */
static size_t place(const struct kl_budget *budgets, size_t room, const uint8_t id[KL_ROW_ID_LEN])
{
    size_t at;

    memcpy(&at, id, sizeof(at));
    at &= room - 1;
    while (budgets[at].is_there && memcmp(budgets[at].id, id, KL_ROW_ID_LEN) != 0) at = (at + 1) & (room - 1);
    return at;
}

static struct kl_budget *find(struct kl_ladder *ladder, const uint8_t id[KL_ROW_ID_LEN])
{
    struct kl_budget *budget;

    if (!ladder->budget_room) return NULL;
    budget = &ladder->budgets[place(ladder->budgets, ladder->budget_room, id)];
    return budget->is_there ? budget : NULL;
}

static bool grow(struct kl_ladder *ladder)
{
    size_t room = ladder->budget_room ? ladder->budget_room * 2 : FIRST_ROOM;
    struct kl_budget *budgets = calloc(room, sizeof(*budgets));

    if (!budgets) return false;
    for (size_t i = 0; i < ladder->budget_room; i++) {
        if (ladder->budgets[i].is_there) budgets[place(budgets, room, ladder->budgets[i].id)] = ladder->budgets[i];
    }
    free(ladder->budgets);
    ladder->budgets = budgets;
    ladder->budget_room = room;
    return true;
}

/* NULL: no memory. Good until the lock is let go of. */
static struct kl_budget *find_or_add(struct kl_ladder *ladder, const uint8_t id[KL_ROW_ID_LEN])
{
    struct kl_budget *budget = find(ladder, id);

    if (budget) return budget;
    if ((ladder->budget_count + 1) * 2 > ladder->budget_room && !grow(ladder)) return NULL;
    budget = &ladder->budgets[place(ladder->budgets, ladder->budget_room, id)];
    memset(budget, 0, sizeof(*budget));
    memcpy(budget->id, id, KL_ROW_ID_LEN);
    budget->is_there = true;
    ladder->budget_count++;
    return budget;
}

static void drop(struct kl_ladder *ladder, struct kl_budget *budget)
{
    size_t mask = ladder->budget_room - 1;
    size_t at = (size_t)(budget - ladder->budgets);

    budget->is_there = false;
    ladder->budget_count--;
    /* What stands behind it may have been looking for its place. */
    for (at = (at + 1) & mask; ladder->budgets[at].is_there; at = (at + 1) & mask) {
        struct kl_budget moved = ladder->budgets[at];

        ladder->budgets[at].is_there = false;
        ladder->budgets[place(ladder->budgets, ladder->budget_room, moved.id)] = moved;
    }
}

void kl_budget_forget_all(struct kl_ladder *ladder)
{
    free(ladder->budgets);
    ladder->budgets = NULL;
    ladder->budget_count = 0;
    ladder->budget_room = 0;
}

/* --- reserving --- */

struct reservation {
    uint64_t want;
    uint64_t got;
    uint64_t used; /* afterwards, by all processes */
};

static bool serves(const struct kl_ladder *ladder)
{
    return strcmp(kl_conf_text(ladder->section, KL_SET_ON_EXPIRY), "serve") == 0;
}

/* The store cannot be written, now or at all; that is not the key's fault. */
static bool is_of_store(enum kl_rc rc)
{
    return rc == KL_STORE || rc == KL_STORE_BUSY || rc == KL_STORE_FULL || rc == KL_STORE_READ_ONLY;
}

/* As `keyladder show` takes it. */
static const char *name_of(const uint8_t id[KL_ROW_ID_LEN], char out[37])
{
    static const char digits[] = "0123456789abcdef";
    char *at = out;

    for (size_t i = 0; i < KL_ROW_ID_LEN; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) *at++ = '-';
        *at++ = digits[id[i] >> 4];
        *at++ = digits[id[i] & 15];
    }
    *at = '\0';
    return out;
}

static enum kl_rc used_up(const uint8_t id[KL_ROW_ID_LEN])
{
    char name[37];

    return kl_fail(KL_BUDGET, "the key version %s has encrypted 2^32 times, and more is not safe: rotate the key", name_of(id, name));
}

/* From 1 on. */
static uint32_t this_second(void)
{
    return (uint32_t)(kl_clock->steady() / 1000000000) + 1;
}

static enum kl_rc ask_store(struct kl_ladder *ladder, const uint8_t id[KL_ROW_ID_LEN], struct reservation *made)
{
    uint64_t limit = serves(ladder) ? INT64_MAX : KL_BUDGET_LIMIT;
    struct kl_store *store = NULL;
    enum kl_rc rc;
    char name[37];

    KL_TRY(kl_ladder_store(ladder, KL_STORE_EXISTING, &store));
    rc = kl_store_budget_take(store, id, made->want, limit, &made->got, &made->used);
    if (rc == KL_NOT_FOUND) return kl_fail(KL_KEY_HANDLE, "the key version %s was destroyed", name_of(id, name));
    KL_TRY(rc);
    return made->got > 0 ? KL_OK : used_up(id);
}

/* Once a process, under the lock: nothing here waits, and a log that cannot be written is not waited for either. */
static void tell(const struct kl_ladder *ladder, struct kl_budget *budget, uint64_t used)
{
    char name[37];

    if (used < KL_BUDGET_DUE) return;
    if (used > KL_BUDGET_LIMIT) {
        kl_log(
            KL_LOG_ERROR,
            "token %s: the key version %s has encrypted more than 2^32 times, which is not safe; it goes on because of on_expiry = serve: "
            "rotate the key",
            kl_ladder_name(ladder), name_of(budget->id, name));
    } else if (!budget->is_told) {
        kl_log(KL_LOG_NOTICE, "token %s: the key version %s has encrypted %llu times, of 2^32 that are safe: it is due for rotation",
               kl_ladder_name(ladder), name_of(budget->id, name), (unsigned long long)used);
    }
    budget->is_told = true;
}

static void add(const struct kl_ladder *ladder, struct kl_budget *budget, const struct reservation *made, uint32_t owed)
{
    /* Evicted meanwhile, it owes nothing any more. */
    if (owed > budget->owed) owed = budget->owed;
    if (owed > made->got) owed = (uint32_t)made->got;
    budget->left += (uint32_t)(made->got - owed);
    budget->owed -= owed;
    if (budget->doublings < DOUBLINGS) budget->doublings++;
    tell(ladder, budget, made->used);
}

/* Under `serve`: as much as would have been reserved, to be counted when the store can be written again. */
static void go_on(const struct kl_ladder *ladder, struct kl_budget *budget, uint32_t size)
{
    char name[37];

    kl_log(KL_LOG_ERROR, "token %s: %s; %u encryptions under the key version %s go on uncounted because of on_expiry = serve",
           kl_ladder_name(ladder), kl_fail_words(), size, name_of(budget->id, name));
    budget->left += size;
    budget->owed += size;
    if (budget->doublings < DOUBLINGS) budget->doublings++;
}

/* The lock is held, and let go of while the store is asked. One thread at a time: the store takes one writer at a time anyhow. */
static enum kl_rc reserve(struct kl_ladder *ladder, const struct kl_budget *before)
{
    uint32_t size = (uint32_t)KL_BUDGET_FIRST << before->doublings, owed = before->owed;
    struct reservation made = { .want = (uint64_t)size + owed };
    uint64_t login = ladder->login;
    uint8_t id[KL_ROW_ID_LEN];
    struct kl_budget *budget;
    enum kl_rc rc;

    memcpy(id, before->id, sizeof(id));
    ladder->is_reserving = true;
    pthread_mutex_unlock(&ladder->lock);
    rc = ask_store(ladder, id, &made);
    pthread_mutex_lock(&ladder->lock);
    ladder->is_reserving = false;
    if (is_of_store(rc) && !serves(ladder)) {
        ladder->reserve_failures++;
        ladder->reserve_failure = rc;
    }
    pthread_cond_broadcast(&ladder->reserved);
    KL_CHECK(login == ladder->login, KL_NOT_LOGGED_IN);
    budget = find_or_add(ladder, id);
    KL_CHECK(budget, KL_MEMORY);
    if (rc == KL_BUDGET) budget->refused = this_second();
    if (rc != KL_OK && !(is_of_store(rc) && serves(ladder))) return rc;
    if (rc == KL_OK)
        add(ladder, budget, &made, owed);
    else
        go_on(ladder, budget, size);
    return KL_OK;
}

/* Of those who wait for a store that cannot be written, each has waited long enough when the first gives up. */
static enum kl_rc wait_for_other(struct kl_ladder *ladder)
{
    uint64_t failures = ladder->reserve_failures;

    kl_thread_hold();
    while (ladder->is_reserving) pthread_cond_wait(&ladder->reserved, &ladder->lock);
    if (failures == ladder->reserve_failures) return KL_OK;
    return kl_fail(ladder->reserve_failure, "%s: no encryptions could be reserved: %s", kl_ladder_store_path(ladder),
                   kl_rc_words(ladder->reserve_failure));
}

/* A part at most, so that other sessions need not reserve at once. */
static uint32_t share(struct kl_budget *budget, uint32_t most)
{
    uint32_t part = budget->left / 4 + (budget->left % 4 != 0);

    if (part > most) part = most;
    budget->left -= part;
    return part;
}

enum kl_rc kl_budget_take(struct kl_ladder *ladder, const uint8_t id[KL_ROW_ID_LEN], uint32_t most, uint32_t *got)
{
    enum kl_rc rc = KL_OK;

    KL_CHECK(most > 0, KL_ARG);
    *got = 0;
    pthread_mutex_lock(&ladder->lock);
    while (rc == KL_OK && *got == 0) {
        struct kl_budget *budget = NULL;

        if (ladder->role != KL_ROLE_USER)
            rc = KL_NOT_LOGGED_IN;
        else if (!(budget = find_or_add(ladder, id)))
            rc = kl_fail(KL_MEMORY, "no memory to count encryptions");
        else if (budget->left > 0)
            *got = share(budget, most);
        else if (budget->refused == this_second())
            rc = used_up(id); /* who goes on trying does not keep the store from others */
        else
            rc = ladder->is_reserving ? wait_for_other(ladder) : reserve(ladder, budget);
    }
    pthread_mutex_unlock(&ladder->lock);
    return rc;
}

void kl_budget_return(struct kl_ladder *ladder, const uint8_t id[KL_ROW_ID_LEN], uint32_t count)
{
    struct kl_budget *budget = NULL;

    if (count == 0) return;
    pthread_mutex_lock(&ladder->lock);
    if (ladder->role == KL_ROLE_USER) budget = find_or_add(ladder, id);
    if (budget) budget->left += count;
    pthread_mutex_unlock(&ladder->lock);
}

/* --- giving back --- */

/* What this process owes to the count, or has to spare, is no longer its own once it is on the list: it cannot be given twice. */
struct settling {
    struct kl_unspent *list;
    size_t count;
    struct kl_unspent *debts;
    size_t debt_count;
};

static void collect(struct settling *settling, const struct kl_budget *budget)
{
    bool is_debt = budget->owed > budget->left;
    uint64_t count = is_debt ? budget->owed - budget->left : budget->left - budget->owed;
    struct kl_unspent *to;

    if (count == 0) return;
    to = is_debt ? &settling->debts[settling->debt_count++] : &settling->list[settling->count++];
    memcpy(to->id, budget->id, sizeof(to->id));
    to->count = count;
}

/* With the lock. */
static void take_out(struct kl_ladder *ladder, const uint8_t *id, struct settling *settling)
{
    struct kl_budget *one = id ? find(ladder, id) : NULL;
    size_t room = id ? 1 : ladder->budget_count;

    if (room == 0 || (id && !one)) return;
    settling->list = calloc(room, sizeof(*settling->list));
    settling->debts = calloc(room, sizeof(*settling->debts));
    if (settling->list && settling->debts) {
        for (size_t i = 0; !id && i < ladder->budget_room; i++) {
            if (ladder->budgets[i].is_there) collect(settling, &ladder->budgets[i]);
        }
        if (one) collect(settling, one);
    }
    if (one)
        drop(ladder, one);
    else
        kl_budget_forget_all(ladder);
}

static void settle(struct kl_store *store, struct settling *settling)
{
    enum kl_rc rc = kl_store_budget_return(store, settling->list, settling->count);

    if (rc != KL_OK) kl_log(KL_LOG_INFO, "encryptions that were reserved and not used stay counted: %s", kl_fail_words());
    for (size_t i = 0; i < settling->debt_count; i++) {
        uint64_t got, used;

        rc = kl_store_budget_take(store, settling->debts[i].id, settling->debts[i].count, INT64_MAX, &got, &used);
        if (rc == KL_OK) continue;
        kl_log(KL_LOG_ERROR, "%llu encryptions were never counted: %s", (unsigned long long)settling->debts[i].count, kl_fail_words());
        break;
    }
}

void kl_budget_settle(struct kl_ladder *ladder, const uint8_t *id)
{
    struct settling settling = { 0 };

    pthread_mutex_lock(&ladder->lock);
    take_out(ladder, id, &settling);
    pthread_mutex_unlock(&ladder->lock);
    /* Not opened for this: in a forked child that has done nothing yet there is nothing to give back. */
    if (ladder->store && settling.count + settling.debt_count > 0) settle(ladder->store, &settling);
    free(settling.list);
    free(settling.debts);
}

/* --- telling --- */

enum kl_rc kl_budget_used(struct kl_ladder *ladder, const uint8_t id[KL_ROW_ID_LEN], uint64_t *used)
{
    struct kl_store *store = NULL;

    KL_CHECK(ladder->role != KL_ROLE_NONE, KL_NOT_LOGGED_IN);
    KL_TRY(kl_ladder_store(ladder, KL_STORE_EXISTING, &store));
    return kl_store_budget(store, id, used);
}

enum kl_rc kl_budget_each(struct kl_ladder *ladder, kl_budget_fn *each, void *user)
{
    struct kl_store *store = NULL;

    KL_CHECK(ladder->role != KL_ROLE_NONE, KL_NOT_LOGGED_IN);
    KL_TRY(kl_ladder_store(ladder, KL_STORE_EXISTING, &store));
    return kl_store_budgets(store, each, user);
}
