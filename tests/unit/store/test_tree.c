/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The expected values were computed with Python's hmac and hashlib from doc/format.md. */
#include "store/tree.h"

#include "../unit.h"

#include "crypto/hash.h"

static struct kl_view key(void)
{
    static uint8_t bytes[32];

    for (uint8_t i = 0; i < sizeof bytes; i++) bytes[i] = i;
    return kl_view_of(bytes, sizeof bytes);
}

static bool is_hex(const uint8_t *bytes, const char *hex)
{
    char text[65];

    for (size_t i = 0; i < 32; i++) snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return strcmp(text, hex) == 0;
}

static struct kl_entry entry_of(uint8_t first, uint64_t generation, uint8_t digest)
{
    struct kl_entry entry = { .generation = generation };

    for (uint8_t i = 0; i < sizeof entry.id; i++) entry.id[i] = (uint8_t)(first + i);
    memset(entry.digest, digest, sizeof entry.digest);
    return entry;
}

static void places_are_those_of_the_format_page(void)
{
    static const uint8_t key_id[] = { 1, 2 };
    struct kl_entry entry = entry_of(0, 1, 0);
    struct kl_spot spot;

    CU_ASSERT_EQUAL(kl_tree_place(key(), KL_PLACE_LABEL, kl_view_text("users.email"), entry.id, &spot), KL_OK);
    CU_ASSERT(spot.bucket == 3883 && memcmp(spot.tag, "\x09\x92\xda\xc1", KL_TAG_LEN) == 0);
    CU_ASSERT_EQUAL(kl_tree_place(key(), KL_PLACE_KEY_ID, kl_view_of(key_id, sizeof key_id), NULL, &spot), KL_OK);
    CU_ASSERT(spot.bucket == 3491 && memcmp(spot.tag, "\x1b\x6f\xd4\x02", KL_TAG_LEN) == 0);
    CU_ASSERT_EQUAL(kl_tree_place(key(), KL_PLACE_LABEL, kl_view_of(NULL, 0), entry.id, &spot), KL_OK);
    CU_ASSERT(spot.bucket == 1245 && memcmp(spot.tag, "\x94\x67\xa3\xa2", KL_TAG_LEN) == 0);
    CU_ASSERT_EQUAL(kl_tree_place(key(), KL_PLACE_KEY_ID, kl_view_text(""), entry.id, &spot), KL_OK);
    CU_ASSERT(spot.bucket == 2249 && memcmp(spot.tag, "\x50\x8f\xe9\x14", KL_TAG_LEN) == 0);
}

static void macs_are_those_of_the_format_page(void)
{
    struct kl_entries by_label = { 0 };
    struct kl_entries by_key_id = { 0 };
    struct kl_entry first = entry_of(0, 7, 0x11);
    struct kl_entry second = entry_of(16, 1, 0x22);
    struct kl_root root = { .exists = true, .epoch = 99, .row_count = 12 };
    uint8_t group[KL_GROUP_LEN];
    uint8_t mac[KL_MAC_LEN];
    static const uint8_t records[] = { 0, 0, 0, 1, 'a', 0, 0, 0, 3, 'o', 'n', 'e', 0, 0, 0, 1, 'b', 0, 0, 0, 0 };
    const struct kl_view all = { records, sizeof records };

    CU_ASSERT(kl_entries_add(&by_label, &first) == KL_OK && kl_entries_add(&by_label, &second) == KL_OK);
    CU_ASSERT(kl_entries_add(&by_key_id, &second) == KL_OK);
    CU_ASSERT_EQUAL(kl_tree_bucket(key(), 1234, &by_label, &by_key_id, mac), KL_OK);
    CU_ASSERT(is_hex(mac, "d0a088d1dc80d751f48f56b8cf20f1e70a0718a2ef18601adca0e9f8599563a3"));
    CU_ASSERT_EQUAL(kl_tree_bucket(key(), 1234, &by_key_id, &by_label, mac), KL_OK);
    CU_ASSERT_FALSE(is_hex(mac, "d0a088d1dc80d751f48f56b8cf20f1e70a0718a2ef18601adca0e9f8599563a3"));
    for (size_t i = 0; i < sizeof group; i++) group[i] = (uint8_t)(i * 7);
    CU_ASSERT_EQUAL(kl_tree_group(key(), 5, group, mac), KL_OK);
    CU_ASSERT(is_hex(mac, "79b9e2ec71122ce98aab486edf397cdc0c0d1381506f56335444c4f83bc780db"));
    memcpy(root.groups, group, sizeof root.groups);
    CU_ASSERT_EQUAL(kl_hash_parts(KL_SHA256, &all, 1, root.records), KL_OK);
    CU_ASSERT_EQUAL(kl_tree_root(key(), &root, mac), KL_OK);
    CU_ASSERT(is_hex(mac, "580833d4863b5db93fcbd46cbe2e1cc1cac6d92dc8d24c304fd1d9a2a5ae9548"));
    kl_entries_clear(&by_label);
    kl_entries_clear(&by_key_id);
}

static void an_empty_store_has_the_macs_of_empty_groups(void)
{
    struct kl_root root;
    struct kl_view groups;
    uint8_t digest[32];

    CU_ASSERT_EQUAL(kl_tree_empty(key(), &root), KL_OK);
    CU_ASSERT_FALSE(root.exists);
    groups = kl_view_of(root.groups, sizeof root.groups);
    CU_ASSERT_EQUAL(kl_hash_parts(KL_SHA256, &groups, 1, digest), KL_OK);
    CU_ASSERT(is_hex(digest, "0c975451491c9b2a30cd9f11271e760ed379b3b8beca4c8fda78c3e1bbfb5149"));
    CU_ASSERT(is_hex(root.records, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
}

static void an_empty_bucket_has_a_mac_of_zeros_and_no_other_has(void)
{
    static const uint8_t zeros[KL_MAC_LEN];
    struct kl_entries none = { 0 };
    struct kl_entries one = { 0 };
    struct kl_entry entry = entry_of(0, 1, 0);
    uint8_t mac[KL_MAC_LEN];

    CU_ASSERT_EQUAL(kl_tree_bucket(key(), 0, &none, &none, mac), KL_OK);
    CU_ASSERT(memcmp(mac, zeros, sizeof mac) == 0);
    CU_ASSERT_EQUAL(kl_entries_add(&one, &entry), KL_OK);
    CU_ASSERT_EQUAL(kl_tree_bucket(key(), 0, &one, &none, mac), KL_OK);
    CU_ASSERT_FALSE(memcmp(mac, zeros, sizeof mac) == 0);
    CU_ASSERT_EQUAL(kl_tree_bucket(key(), 0, &none, &one, mac), KL_OK);
    CU_ASSERT_FALSE(memcmp(mac, zeros, sizeof mac) == 0);
    kl_entries_clear(&one);
}

static void a_mac_depends_on_everything_that_goes_into_it(void)
{
    struct kl_root root = { .epoch = 1, .row_count = 2 };
    struct kl_root other;
    uint8_t macs[6][KL_MAC_LEN];

    CU_ASSERT_EQUAL(kl_tree_root(key(), &root, macs[0]), KL_OK);
    other = root;
    other.epoch = 2;
    CU_ASSERT_EQUAL(kl_tree_root(key(), &other, macs[1]), KL_OK);
    other = root;
    other.row_count = 1;
    CU_ASSERT_EQUAL(kl_tree_root(key(), &other, macs[2]), KL_OK);
    other = root;
    other.records[31] = 1;
    CU_ASSERT_EQUAL(kl_tree_root(key(), &other, macs[3]), KL_OK);
    other = root;
    other.groups[63][31] = 1;
    CU_ASSERT_EQUAL(kl_tree_root(key(), &other, macs[4]), KL_OK);
    CU_ASSERT_EQUAL(kl_tree_root(kl_view_text("another key"), &root, macs[5]), KL_OK);
    for (size_t i = 0; i < 6; i++) {
        for (size_t j = 0; j < i; j++) CU_ASSERT_FALSE(memcmp(macs[i], macs[j], KL_MAC_LEN) == 0);
    }
}

static void entries_are_found_by_their_id(void)
{
    struct kl_entries entries = { 0 };
    struct kl_entry absent = entry_of(1, 1, 1);

    CU_ASSERT_PTR_NULL(kl_entries_find(&entries, absent.id));
    for (uint8_t i = 0; i < 200; i += 2) {
        struct kl_entry entry = entry_of(i, i + 1U, i);

        CU_ASSERT_EQUAL(kl_entries_add(&entries, &entry), KL_OK);
    }
    for (uint8_t i = 0; i < 200; i++) {
        struct kl_entry entry = entry_of(i, i + 1U, i);
        const uint8_t *found = kl_entries_find(&entries, entry.id);

        CU_ASSERT_EQUAL(found != NULL, i % 2 == 0);
        if (found == NULL) continue;
        CU_ASSERT(kl_entry_is(found, &entry));
        entry.generation++;
        CU_ASSERT_FALSE(kl_entry_is(found, &entry));
        entry.generation--;
        entry.digest[sizeof entry.digest - 1] ^= 1;
        CU_ASSERT_FALSE(kl_entry_is(found, &entry));
    }
    kl_entries_clear(&entries);
}

UNIT_MAIN("store/tree", UNIT(places_are_those_of_the_format_page), UNIT(macs_are_those_of_the_format_page),
          UNIT(an_empty_store_has_the_macs_of_empty_groups), UNIT(an_empty_bucket_has_a_mac_of_zeros_and_no_other_has),
          UNIT(a_mac_depends_on_everything_that_goes_into_it), UNIT(entries_are_found_by_their_id))
