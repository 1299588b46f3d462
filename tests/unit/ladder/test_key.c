/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "../unit.h"

#include <pthread.h>
#include <string.h>

#include "crypto/lib.h"
#include "ladder/internal.h"
#include "page.h"

static struct kl_key *make_key(enum kl_level level, uint8_t fill)
{
    struct kl_secret value = { 0 };
    struct kl_key *key = NULL;

    CU_ASSERT_FATAL(kl_secret_new(&value, 32) == KL_OK);
    memset(value.data, fill, 32);
    CU_ASSERT_FATAL(kl_key_make(&value, level, KL_TYPE_AES, true, &key) == KL_OK);
    return key;
}

static struct kl_request rek(const char *info)
{
    return (struct kl_request){ .key_type = KL_TYPE_AES, .length = 32, .info = kl_view_text(info) };
}

struct named_request {
    const char *name;
    enum kl_level parent;
    struct kl_request request;
};

/* ATTACKS D8-D10, D15: pairs that a careless encoding would run together. */
static void no_two_different_requests_give_the_same_key(void)
{
    static const uint8_t with_nul[] = { 'a', 0 }, nul_a[] = { 0, 'a' }, salt_ab[] = { 'a', 'b' }, zeroes[32] = { 0 };
    struct named_request table[] = {
        { "table ab",
          KL_LEVEL_MASTER,
          { .key_type = KL_TYPE_AES, .length = 32, .is_token = true, .label = kl_view_text("ab"), .info = kl_view_text("c") } },
        { "table a",
          KL_LEVEL_MASTER,
          { .key_type = KL_TYPE_AES, .length = 32, .is_token = true, .label = kl_view_text("a"), .info = kl_view_text("bc") } },
        { "same as a FEK",
          KL_LEVEL_DEK,
          { .key_type = KL_TYPE_AES, .length = 32, .is_token = true, .label = kl_view_text("a"), .info = kl_view_text("bc") } },
        { "ChaCha20",
          KL_LEVEL_DEK,
          { .key_type = KL_TYPE_CHACHA20, .length = 32, .is_token = true, .label = kl_view_text("a"), .info = kl_view_text("bc") } },
        { "generic",
          KL_LEVEL_DEK,
          { .key_type = KL_TYPE_GENERIC, .length = 32, .is_token = true, .label = kl_view_text("a"), .info = kl_view_text("bc") } },
        { "session", KL_LEVEL_FEK, { .key_type = KL_TYPE_AES, .length = 32, .info = kl_view_text("bc") } },
        { "session, one level up", KL_LEVEL_DEK, { .key_type = KL_TYPE_AES, .length = 32, .info = kl_view_text("bc") } },
        { "128 bits", KL_LEVEL_FEK, { .key_type = KL_TYPE_AES, .length = 16, .info = kl_view_text("bc") } },
        { "192 bits", KL_LEVEL_FEK, { .key_type = KL_TYPE_AES, .length = 24, .info = kl_view_text("bc") } },
        { "a salt",
          KL_LEVEL_FEK,
          { .key_type = KL_TYPE_AES, .length = 32, .has_salt = true, .salt = { salt_ab, 2 }, .info = kl_view_text("bc") } },
        { "salt moved to info",
          KL_LEVEL_FEK,
          { .key_type = KL_TYPE_AES, .length = 32, .has_salt = true, .salt = { salt_ab, 1 }, .info = kl_view_text("bbc") } },
        { "an empty salt that is one",
          KL_LEVEL_FEK,
          { .key_type = KL_TYPE_AES, .length = 32, .has_salt = true, .info = kl_view_text("bc") } },
        { "a zero salt",
          KL_LEVEL_FEK,
          { .key_type = KL_TYPE_AES, .length = 32, .has_salt = true, .salt = { zeroes, 32 }, .info = kl_view_text("bc") } },
        { "one byte", KL_LEVEL_FEK, { .key_type = KL_TYPE_AES, .length = 32, .info = kl_view_text("a") } },
        { "a trailing zero byte", KL_LEVEL_FEK, { .key_type = KL_TYPE_AES, .length = 32, .info = { with_nul, 2 } } },
        { "a leading zero byte", KL_LEVEL_FEK, { .key_type = KL_TYPE_AES, .length = 32, .info = { nul_a, 2 } } },
        { "a slash", KL_LEVEL_FEK, { .key_type = KL_TYPE_AES, .length = 32, .info = kl_view_text("a/b") } },
        { "a colon", KL_LEVEL_FEK, { .key_type = KL_TYPE_AES, .length = 32, .info = kl_view_text("a:b") } },
    };
    enum { COUNT = sizeof(table) / sizeof(table[0]) };
    struct kl_secret values[COUNT] = { 0 };

    for (size_t i = 0; i < COUNT; i++) {
        struct kl_key *parent = make_key(table[i].parent, 7);

        CU_ASSERT_FATAL(kl_derive_value(parent, &table[i].request, &values[i]) == KL_OK);
        kl_key_put(parent);
    }
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t j = 0; j < i; j++) {
            size_t len = values[i].len < values[j].len ? values[i].len : values[j].len;

            /* Not even a common beginning: a shorter key must not be the head of a longer one. */
            if (memcmp(values[i].data, values[j].data, len) == 0) CU_FAIL(table[i].name);
        }
    }
    for (size_t i = 0; i < COUNT; i++) kl_secret_clear(&values[i]);
}

static void the_same_request_gives_the_same_key(void)
{
    struct kl_key *parent = make_key(KL_LEVEL_FEK, 1);
    struct kl_request request = rek("4711");
    KL_AUTO(kl_secret) a = { 0 };
    KL_AUTO(kl_secret) b = { 0 };

    CU_ASSERT(kl_derive_value(parent, &request, &a) == KL_OK);
    CU_ASSERT(kl_derive_value(parent, &request, &b) == KL_OK);
    CU_ASSERT(kl_secret_equal(&a, &b));
    kl_key_put(parent);
}

/* The derive subkey and what is extracted from it stay with the key: 32 bytes each, and no more than once. */
static void what_all_children_come_from_is_made_once_and_goes_with_the_key(void)
{
    size_t before = kl_arena_stats().used;
    struct kl_key *parent = make_key(KL_LEVEL_FEK, 1);
    size_t alone = kl_arena_stats().used;
    struct kl_request request = rek("4711");

    for (int i = 0; i < 3; i++) {
        KL_AUTO(kl_secret) value = { 0 };

        CU_ASSERT(kl_derive_value(parent, &request, &value) == KL_OK);
        kl_secret_clear(&value);
        CU_ASSERT_EQUAL(kl_arena_stats().used, alone + 64);
    }
    kl_key_put(parent);
    CU_ASSERT_EQUAL(kl_arena_stats().used, before);
}

enum { THREADS = 8 };
static struct kl_key *shared;
static pthread_barrier_t all;

static void *derive_at_once(void *out)
{
    struct kl_request request = rek("4711");

    pthread_barrier_wait(&all);
    return kl_derive_value(shared, &request, out) == KL_OK ? out : NULL;
}

static void threads_that_derive_first_at_once_get_the_same_key(void)
{
    size_t before = kl_arena_stats().used;

    for (int round = 0; round < 50; round++) {
        struct kl_secret values[THREADS] = { 0 };
        pthread_t threads[THREADS];

        shared = make_key(KL_LEVEL_FEK, 9);
        pthread_barrier_init(&all, NULL, THREADS);
        for (size_t i = 0; i < THREADS; i++) CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, derive_at_once, &values[i]), 0);
        for (size_t i = 0; i < THREADS; i++) {
            void *made = NULL;

            CU_ASSERT_EQUAL(pthread_join(threads[i], &made), 0);
            CU_ASSERT_PTR_NOT_NULL(made);
            CU_ASSERT(kl_secret_equal(&values[i], &values[0]));
        }
        for (size_t i = 0; i < THREADS; i++) kl_secret_clear(&values[i]);
        pthread_barrier_destroy(&all);
        kl_key_put(shared);
    }
    CU_ASSERT_EQUAL(kl_arena_stats().used, before);
}

static void a_record_id_is_1_to_1024_bytes(void)
{
    static uint8_t many[1025];
    struct kl_key *parent = make_key(KL_LEVEL_FEK, 1);
    struct kl_request request = rek("");
    struct kl_key *out = NULL;

    CU_ASSERT(kl_key_derive(parent, &request, &out) == KL_PARAMETER);
    request.info = kl_view_of(many, 1025);
    CU_ASSERT(kl_key_derive(parent, &request, &out) == KL_PARAMETER);
    CU_ASSERT(out == NULL);
    request.info = kl_view_of(many, 1024);
    CU_ASSERT(kl_key_derive(parent, &request, &out) == KL_OK);
    kl_key_put(out);
    kl_key_put(parent);
}

static void a_record_key_and_a_free_key_have_no_children(void)
{
    struct kl_key *parent = make_key(KL_LEVEL_REK, 1);
    struct kl_key *free_key = make_key(KL_LEVEL_FREE, 1);
    struct kl_request request = rek("x");
    struct kl_key *out = NULL;

    CU_ASSERT(kl_key_derive(parent, &request, &out) == KL_KEY_FUNCTION);
    CU_ASSERT(kl_key_derive(free_key, &request, &out) == KL_KEY_FUNCTION);
    kl_key_put(parent);
    kl_key_put(free_key);
}

static void a_ladder_key_of_another_size_is_refused(void)
{
    struct kl_key *parent = make_key(KL_LEVEL_DEK, 1);
    struct kl_request request = rek("x");
    struct kl_key *out = NULL;

    request.length = 33;
    CU_ASSERT(kl_key_derive(parent, &request, &out) == KL_KEY_SIZE);
    request.key_type = KL_TYPE_CHACHA20;
    request.length = 16;
    CU_ASSERT(kl_key_derive(parent, &request, &out) == KL_KEY_SIZE);
    request.key_type = KL_TYPE_GENERIC;
    request.length = 15;
    CU_ASSERT(kl_key_derive(parent, &request, &out) == KL_KEY_SIZE);
    request.length = 65;
    CU_ASSERT(kl_key_derive(parent, &request, &out) == KL_KEY_SIZE);
    request.key_type = 0x15; /* DES3 */
    CU_ASSERT(kl_key_derive(parent, &request, &out) == KL_TEMPLATE);
    kl_key_put(parent);
}

/* Every number that may stand in the info of an API subkey, and its row on the page. */
static const struct {
    uint64_t number;
    const char *row;
} mechanisms[] = {
    { 0x1086, "key for CKM_AES_CTR (0x1086)" },
    { 0x1087, "key for CKM_AES_GCM (0x1087)" },
    { 0x4021, "key for CKM_CHACHA20_POLY1305 (0x4021)" },
    { 0x2109, "key for CKM_AES_KEY_WRAP (0x2109)" },
    { 0x210A, "key for CKM_AES_KEY_WRAP_PAD (0x210a)" },
    { 0x210B, "key for CKM_AES_KEY_WRAP_KWP (0x210b)" },
    { 0x251, "key for CKM_SHA256_HMAC (0x251)" },
    { 0x261, "key for CKM_SHA384_HMAC (0x261)" },
    { 0x271, "key for CKM_SHA512_HMAC (0x271)" },
    { KL_ENVELOPE_MECHANISM, "key for envelopes of algorithm 1 (0xCB4C0001)" },
    { UINT64_C(0x1CB4C0001), "key for envelopes of algorithm 2 (0x1CB4C0001)" },
    { UINT64_C(0x2CB4C0001), "key for envelopes of algorithm 3 (0x2CB4C0001)" },
};
static const struct {
    const char *use;
    const char *row;
} uses[] = {
    { "derive", "`derive` subkey" }, { "record", "`record` subkey" }, { "commit", "`commit` subkey" },
    { "audit", "`audit` subkey" },   { "stream", "`stream` subkey" },
};
enum { MECHANISMS = sizeof mechanisms / sizeof *mechanisms, USES = sizeof uses / sizeof *uses, SUBKEYS = MECHANISMS + USES };

static void make_subkeys(const struct kl_key *key, struct kl_secret out[SUBKEYS])
{
    for (size_t i = 0; i < MECHANISMS; i++) CU_ASSERT_FATAL(kl_key_for_mechanism(key, mechanisms[i].number, 32, &out[i]) == KL_OK);
    for (size_t i = 0; i < USES; i++) CU_ASSERT_FATAL(kl_key_subkey(key, uses[i].use, &out[MECHANISMS + i]) == KL_OK);
}

static void every_mechanism_and_every_inner_use_has_a_subkey_of_its_own_and_the_page_has_it(void)
{
    struct kl_key *key = make_key(KL_LEVEL_DEK, 0x42);
    struct kl_secret subkeys[SUBKEYS] = { 0 };

    make_subkeys(key, subkeys);
    for (size_t i = 0; i < SUBKEYS; i++) {
        for (size_t j = 0; j < i; j++) CU_ASSERT(!kl_secret_equal(&subkeys[i], &subkeys[j]));
        CU_ASSERT(page_has(i < MECHANISMS ? mechanisms[i].row : uses[i - MECHANISMS].row, kl_secret_view(&subkeys[i])));
    }
    for (size_t i = 0; i < SUBKEYS; i++) kl_secret_clear(&subkeys[i]);
    CU_ASSERT(kl_key_bytes(key).len == 0);
    kl_key_put(key);
}

static void a_free_key_is_used_as_it_is_and_for_envelopes_is_not(void)
{
    struct kl_key *key = make_key(KL_LEVEL_FREE, 3);
    KL_AUTO(kl_secret) gcm = { 0 };
    KL_AUTO(kl_secret) envelope = { 0 };
    KL_AUTO(kl_secret) wrong = { 0 };

    CU_ASSERT(kl_key_for_mechanism(key, 0x1087, 32, &gcm) == KL_OK);
    CU_ASSERT(gcm.len == 32 && gcm.data[0] == 3 && gcm.data[31] == 3);
    CU_ASSERT(kl_key_for_mechanism(key, KL_ENVELOPE_MECHANISM, 32, &envelope) == KL_OK);
    CU_ASSERT(!kl_secret_equal(&gcm, &envelope));
    CU_ASSERT(kl_key_for_mechanism(key, 0x1087, 16, &wrong) == KL_KEY_SIZE);
    kl_key_put(key);
}

static void each_algorithm_of_envelopes_has_a_number_of_its_own(void)
{
    struct kl_key *key = make_key(KL_LEVEL_FREE, 3);
    KL_AUTO(kl_secret) xaes = { 0 };

    CU_ASSERT(kl_envelope_number(KL_ENVELOPE_AES_256_GCM) == KL_ENVELOPE_MECHANISM);
    CU_ASSERT(kl_envelope_number(KL_ENVELOPE_CHACHA20_POLY1305) == UINT64_C(0x1CB4C0001));
    CU_ASSERT(kl_envelope_number(KL_ENVELOPE_XAES_256_GCM) == UINT64_C(0x2CB4C0001));
    /* Under free keys too the number is one of a subkey. */
    CU_ASSERT(kl_key_for_mechanism(key, kl_envelope_number(KL_ENVELOPE_XAES_256_GCM), 32, &xaes) == KL_OK);
    CU_ASSERT(!kl_view_is(kl_secret_view(&xaes), kl_key_bytes(key)));
    kl_key_put(key);
}

static void an_imported_key_has_no_commitment(void)
{
    struct kl_secret value = { 0 };
    struct kl_key *key = NULL;

    CU_ASSERT_FATAL(kl_secret_from(&value, kl_view_text("weak")) == KL_OK);
    CU_ASSERT_FATAL(kl_key_new(&value, KL_TYPE_GENERIC, false, &key) == KL_OK);
    CU_ASSERT(kl_key_commitment(key).len == 0 && kl_key_envelope_id(key).len == 0);
    kl_key_put(key);
}

/* Worked out from doc/format.md with another implementation of HMAC; the page has the same figures. */
static void subkeys_are_those_of_the_published_vector(void)
{
    static const uint8_t commitment[16] = {
        0xa6, 0x21, 0xd0, 0x32, 0xfa, 0x5a, 0xde, 0x0f, 0x5b, 0xb6, 0xa5, 0xb6, 0xe9, 0x47, 0x87, 0x0a
    };
    static const uint8_t record[8] = { 0xcb, 0x9f, 0x63, 0x8f, 0x79, 0xc6, 0x37, 0x23 };
    static const uint8_t gcm[8] = { 0x94, 0x46, 0xd5, 0x2e, 0x95, 0xc1, 0xae, 0x13 };
    static const uint8_t child[8] = { 0xba, 0x01, 0x4a, 0x8a, 0x96, 0xb7, 0xe7, 0xd6 };
    struct kl_key *key = make_key(KL_LEVEL_DEK, 0x42);
    struct kl_request request = rek("4711");
    KL_AUTO(kl_secret) sealing = { 0 };
    KL_AUTO(kl_secret) mechanism = { 0 };
    KL_AUTO(kl_secret) derived = { 0 };

    CU_ASSERT(kl_view_is(kl_key_commitment(key), kl_view_of(commitment, sizeof(commitment))));
    CU_ASSERT_FATAL(kl_key_subkey(key, "record", &sealing) == KL_OK);
    CU_ASSERT(memcmp(sealing.data, record, sizeof(record)) == 0);
    CU_ASSERT_FATAL(kl_key_for_mechanism(key, 0x1087, 32, &mechanism) == KL_OK);
    CU_ASSERT(memcmp(mechanism.data, gcm, sizeof(gcm)) == 0);
    CU_ASSERT_FATAL(kl_derive_value(key, &request, &derived) == KL_OK);
    CU_ASSERT(memcmp(derived.data, child, sizeof(child)) == 0);
    kl_key_put(key);
}

int main(void)
{
    static const CU_TestInfo tests[] = { UNIT(no_two_different_requests_give_the_same_key),
                                         UNIT(the_same_request_gives_the_same_key),
                                         UNIT(what_all_children_come_from_is_made_once_and_goes_with_the_key),
                                         UNIT(threads_that_derive_first_at_once_get_the_same_key),
                                         UNIT(a_record_id_is_1_to_1024_bytes),
                                         UNIT(a_record_key_and_a_free_key_have_no_children),
                                         UNIT(a_ladder_key_of_another_size_is_refused),
                                         UNIT(every_mechanism_and_every_inner_use_has_a_subkey_of_its_own_and_the_page_has_it),
                                         UNIT(each_algorithm_of_envelopes_has_a_number_of_its_own),
                                         UNIT(a_free_key_is_used_as_it_is_and_for_envelopes_is_not),
                                         UNIT(an_imported_key_has_no_commitment),
                                         UNIT(subkeys_are_those_of_the_published_vector) };

    kl_arena_allow_unlocked(true);
    return kl_crypto_open() != KL_OK || unit_run("ladder/key", tests, sizeof tests / sizeof *tests);
}
