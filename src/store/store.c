/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "crypto/hash.h"
#include "store/inner.h"

static const struct kl_store_ops *const stores[] = {
    &kl_store_sqlite,
};

static enum kl_rc find_kind(const char *uri, const struct kl_store_ops **ops, const char **rest)
{
    for (size_t i = 0; i < sizeof stores / sizeof stores[0]; i++) {
        size_t len = strlen(stores[i]->scheme);

        if (strncmp(uri, stores[i]->scheme, len) != 0) continue;
        *ops = stores[i];
        *rest = uri + len;
        return KL_OK;
    }
    return kl_fail(KL_CONFIG, "store = %s: no such kind of store; write sqlite:/absolute/path", uri);
}

enum kl_rc kl_store_check_uri(const char *uri)
{
    const struct kl_store_ops *ops = NULL;
    const char *rest = NULL;

    KL_TRY(find_kind(uri, &ops, &rest));
    return ops->check_uri(rest);
}

static enum kl_rc make_gates(struct kl_store *store)
{
    enum kl_rc rc;

    KL_TRY(kl_gate_init(&store->turn));
    rc = kl_gate_init(&store->lock);
    if (rc != KL_OK) kl_gate_clear(&store->turn);
    return rc;
}

static void clear_gates(struct kl_store *store)
{
    kl_gate_clear(&store->turn);
    kl_gate_clear(&store->lock);
}

enum kl_rc kl_store_open(const char *uri, enum kl_store_mode mode, int64_t timeout, struct kl_store **out)
{
    const struct kl_store_ops *ops = NULL;
    const char *rest = NULL;
    struct kl_store *store;
    enum kl_rc rc;

    KL_TRY(find_kind(uri, &ops, &rest));
    store = calloc(1, sizeof *store);
    if (store == NULL) return kl_fail(KL_MEMORY, "no memory to open %s", uri);
    store->ops = ops;
    store->timeout = timeout;
    rc = make_gates(store);
    if (rc == KL_OK) {
        rc = ops->open(rest, mode, timeout, &store->backend);
        if (rc != KL_OK) clear_gates(store);
    }
    if (rc != KL_OK) {
        free(store);
        return rc;
    }
    *out = store;
    return KL_OK;
}

void kl_store_close(struct kl_store *store)
{
    if (store == NULL) return;
    if (!store->ops->is_ours(store->backend)) {
        kl_store_abandon(store);
        return;
    }
    store->ops->close(store->backend);
    kl_secret_clear(&store->key);
    clear_gates(store);
    free(store);
}

void kl_store_abandon(struct kl_store *store)
{
    static struct kl_store *last;

    /*
     * Whatever the parent's threads were doing to it, nothing in the child can rely on; its descriptors hold no lock of the
     * child's. It is kept to show that it is not lost.
     */
    if (store->is_abandoned) return;
    store->is_abandoned = true;
    store->abandoned_before = last;
    last = store;
}

const char *kl_store_path(const struct kl_store *store)
{
    return store->ops->path(store->backend);
}

bool kl_store_is_read_only(const struct kl_store *store)
{
    return store->ops->is_read_only(store->backend);
}

uint64_t kl_store_mark(const struct kl_store *store)
{
    return store->ops->mark(store->backend);
}

/* --- lock and snapshot --- */

struct kl_view kl_serial_view(const struct kl_serial *serial)
{
    return kl_view_of(serial->text, serial->len);
}

bool kl_store_is_mine(struct kl_store *store)
{
    return atomic_load(&store->owner) == (uintptr_t)pthread_self();
}

static enum kl_rc busy(struct kl_store *store)
{
    return kl_fail(KL_STORE_BUSY, "%s stayed locked by another transaction for %lld ms", kl_store_path(store),
                   (long long)(store->timeout / 1000000));
}

/* The lock is not held while another process is waited for, so that other threads may read meanwhile. */
static enum kl_rc begin(struct kl_store *store, enum kl_begin kind, struct kl_wait *wait)
{
    if (!store->ops->is_ours(store->backend)) return kl_fail(KL_STORE, "%s was opened by the parent process", kl_store_path(store));
    for (;;) {
        enum kl_rc rc;

        if (!kl_gate_enter(&store->lock, wait)) return busy(store);
        rc = store->ops->begin(store->backend, kind);
        if (rc == KL_OK) return KL_OK;
        kl_gate_leave(&store->lock);
        if (rc != KL_STORE_BUSY) return rc;
        if (!kl_wait_again(wait)) return busy(store);
    }
}

enum kl_rc kl_look_begin(struct kl_look *look, struct kl_store *store)
{
    struct kl_wait wait = kl_wait_from(store->timeout);
    enum kl_rc rc;

    look->store = store;
    look->inside = kl_store_is_mine(store);
    if (look->inside) return kl_txn_may_read(store->txn);
    KL_TRY(begin(store, KL_BEGIN_READ, &wait));
    rc = kl_store_load_root(store);
    if (rc != KL_OK) kl_look_end(look);
    return rc;
}

void kl_look_end(struct kl_look *look)
{
    if (look->inside) return;
    look->store->ops->rollback(look->store->backend);
    kl_gate_leave(&look->store->lock);
}

static enum kl_rc write_begin(struct kl_store *store, enum kl_begin kind, int64_t timeout)
{
    struct kl_wait wait = kl_wait_from(timeout < store->timeout ? timeout : store->timeout);
    enum kl_rc rc;

    KL_CHECK(!kl_store_is_mine(store), KL_ARG);
    if (!kl_gate_enter(&store->turn, &wait)) return busy(store);
    /* First in the queue of all processes, then the lock itself: who has just written does not overtake those who wait. */
    while ((rc = store->ops->queue(store->backend, true)) == KL_STORE_BUSY) {
        if (!kl_wait_again(&wait)) break;
    }
    rc = rc == KL_OK ? begin(store, kind, &wait) : busy(store);
    (void)!store->ops->queue(store->backend, false);
    kl_gate_leave(&store->turn);
    if (rc == KL_OK) atomic_store(&store->owner, (uintptr_t)pthread_self());
    return rc;
}

enum kl_rc kl_write_begin(struct kl_store *store)
{
    return write_begin(store, KL_BEGIN_WRITE, store->timeout);
}

enum kl_rc kl_count_begin(struct kl_store *store, int64_t timeout)
{
    return write_begin(store, KL_BEGIN_COUNT, timeout);
}

void kl_write_end(struct kl_store *store)
{
    atomic_store(&store->owner, 0);
    kl_gate_leave(&store->lock);
}

/* --- the root --- */

static enum kl_rc check_epoch(struct kl_store *store, const struct kl_root *root)
{
    if (!root->exists) {
        if (store->seen_epoch == 0) return KL_OK;
        return kl_fail(KL_INTEGRITY, "%s: the store root was removed", kl_store_path(store));
    }
    if (root->epoch >= store->seen_epoch) return KL_OK;
    return kl_fail(KL_INTEGRITY, "%s was rolled back: its epoch is %llu, and was %llu before", kl_store_path(store),
                   (unsigned long long)root->epoch, (unsigned long long)store->seen_epoch);
}

static bool is_same_root(const struct kl_root *a, const struct kl_root *b)
{
    return a->exists && b->exists && a->epoch == b->epoch && a->row_count == b->row_count &&
           memcmp(a->records, b->records, sizeof a->records) == 0 && memcmp(a->groups, b->groups, sizeof a->groups) == 0 &&
           memcmp(a->mac, b->mac, sizeof a->mac) == 0;
}

static enum kl_rc check_root(struct kl_store *store, const struct kl_root *root)
{
    uint8_t mac[KL_MAC_LEN];

    KL_TRY(check_epoch(store, root));
    if (!root->exists) return kl_store_check_blank(store);
    KL_TRY(kl_tree_root(kl_secret_view(&store->key), root, mac));
    if (!kl_bytes_equal(mac, root->mac, sizeof mac)) {
        return kl_fail(KL_INTEGRITY, "%s: the store root does not fit its MAC: changed from outside, or the token was made anew",
                       kl_store_path(store));
    }
    if (root->epoch == store->seen_epoch && store->root_checked && !is_same_root(root, &store->root)) {
        return kl_fail(KL_INTEGRITY, "%s: two different stores have the epoch %llu", kl_store_path(store), (unsigned long long)root->epoch);
    }
    return KL_OK;
}

enum kl_rc kl_store_load_root(struct kl_store *store)
{
    struct kl_root root;

    KL_TRY(store->ops->root_get(store->backend, &root));
    if (!store->unlocked) {
        store->root = root;
        store->root_checked = false;
        return KL_OK;
    }
    if (store->root_checked && is_same_root(&root, &store->root)) return KL_OK;
    KL_TRY(check_root(store, &root));
    store->root = root;
    store->root_checked = true;
    if (root.exists) store->seen_epoch = root.epoch;
    return KL_OK;
}

enum kl_rc kl_store_load_group(struct kl_store *store, uint32_t group, uint8_t macs[KL_GROUP_LEN])
{
    uint8_t mac[KL_MAC_LEN];

    KL_TRY(store->ops->group_get(store->backend, group, macs));
    KL_TRY(kl_tree_group(kl_secret_view(&store->key), group, macs, mac));
    if (kl_bytes_equal(mac, store->root.groups[group], sizeof mac)) return KL_OK;
    return kl_fail(KL_INTEGRITY, "%s: group %u of buckets does not fit the store root", kl_store_path(store), group);
}

enum kl_rc kl_store_check_row(struct kl_store *store, const struct kl_found *found)
{
    uint8_t digest[KL_ROW_DIGEST_LEN];

    KL_TRY(kl_row_digest(&found->row, kl_serial_view(&store->serial), digest));
    if (memcmp(digest, found->entry.digest + KL_TAGS_LEN, sizeof digest) == 0) return KL_OK;
    return kl_fail(KL_INTEGRITY, "%s: a row was changed from outside, or belongs to another token", kl_store_path(store));
}

static enum kl_rc count_row(struct kl_store *store, bool *there)
{
    const struct kl_range range = { 0 };
    struct kl_found found = { 0 };
    enum kl_rc rc = store->ops->scan(store->backend, KL_SCAN_EVERY, &range);

    if (rc == KL_OK) rc = store->ops->next(store->backend, KL_SCAN_EVERY, &found, there);
    store->ops->stop(store->backend, KL_SCAN_EVERY);
    return rc;
}

enum kl_rc kl_store_check_blank(struct kl_store *store)
{
    struct kl_heap heap = { 0 };
    uint8_t digest[KL_MAC_LEN];
    bool there = false;
    enum kl_rc rc = kl_store_load_records(store, &heap, digest);

    there = heap.len > 0;
    kl_heap_clear(&heap);
    KL_TRY(rc);
    if (!there) KL_TRY(count_row(store, &there));
    if (!there) return KL_OK;
    return kl_fail(KL_INTEGRITY, "%s has keys or records but no store root: it was removed from outside", kl_store_path(store));
}

/* --- unlocking --- */

static enum kl_rc set_key(struct kl_store *store, const struct kl_secret *key, struct kl_view serial)
{
    struct kl_secret copy = { 0 };

    KL_CHECK(key->len > 0, KL_ARG);
    KL_CHECK(serial.len > 0 && serial.len <= KL_SERIAL_MAX, KL_ARG);
    KL_TRY(kl_secret_dup(&copy, key));
    kl_secret_clear(&store->key);
    kl_secret_take(&store->key, &copy);
    /* Of the same token nothing older is taken than what this process has seen, whoever logged out and in meanwhile. */
    if (!kl_view_is(kl_serial_view(&store->serial), serial)) store->budget_root.exists = false;
    memcpy(store->serial.text, serial.data, serial.len);
    store->serial.len = serial.len;
    store->unlocked = true;
    store->root_checked = false;
    return KL_OK;
}

static void forget_key(struct kl_store *store)
{
    kl_secret_clear(&store->key);
    store->unlocked = false;
    store->root_checked = false;
}

enum kl_rc kl_store_unlock(struct kl_store *store, const struct kl_secret *key, struct kl_view serial)
{
    struct kl_wait wait = kl_wait_from(store->timeout);
    enum kl_rc rc;

    KL_CHECK(!kl_store_is_mine(store), KL_ARG);
    KL_TRY(begin(store, KL_BEGIN_READ, &wait));
    rc = set_key(store, key, serial);
    if (rc == KL_OK) rc = kl_store_load_root(store);
    if (rc != KL_OK) forget_key(store);
    store->ops->rollback(store->backend);
    kl_gate_leave(&store->lock);
    return rc;
}

void kl_store_lock(struct kl_store *store)
{
    static const struct kl_wait as_long_as_it_takes = { .deadline = INT64_MAX };

    if (kl_store_is_mine(store) || !kl_gate_enter(&store->lock, &as_long_as_it_takes)) return;
    forget_key(store);
    kl_gate_leave(&store->lock);
}

/* --- copies --- */

static enum kl_rc set_aside(struct kl_store *store, const char *stamp, char *path, size_t cap)
{
    enum kl_rc rc = KL_CONFLICT;

    for (unsigned number = 1; rc == KL_CONFLICT && number < 100; number++) {
        int len = number == 1 ? snprintf(path, cap, "%s.set-aside-%s", kl_store_path(store), stamp)
                              : snprintf(path, cap, "%s.set-aside-%s-%u", kl_store_path(store), stamp, number);

        if (len < 0 || (size_t)len >= cap) return kl_fail(KL_BUFFER, "no room for the path of the copy");
        rc = store->ops->copy(store->backend, path);
    }
    return rc;
}

enum kl_rc kl_store_set_aside(struct kl_store *store, char *path, size_t cap)
{
    struct kl_wait wait = kl_wait_from(store->timeout);
    time_t now = (time_t)kl_clock->wall();
    struct tm date;
    char stamp[32];
    enum kl_rc rc;

    KL_CHECK(!kl_store_is_mine(store), KL_ARG);
    if (gmtime_r(&now, &date) == NULL || strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &date) == 0) {
        return kl_fail(KL_STORE, "the system's clock stands at no date");
    }
    do {
        if (!kl_gate_enter(&store->lock, &wait)) return busy(store);
        rc = set_aside(store, stamp, path, cap);
        kl_gate_leave(&store->lock);
    } while (rc == KL_STORE_BUSY && kl_wait_again(&wait));
    return rc;
}
