/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "crypto/lib.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/objects.h>
#include <openssl/provider.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/inotify.h>

#include "base/arena.h"
#include "crypto/aead.h"
#include "crypto/fetched.h"
#include "crypto/hash.h"
#include "crypto/passphrase.h"
#include "support.h"

/* ---- OpenSSL, counted and made to fail ---- */

static atomic_int live; /* what was made and not given back */

int __real_OPENSSL_init_crypto(uint64_t options, const OPENSSL_INIT_SETTINGS *settings);
int __wrap_OPENSSL_init_crypto(uint64_t options, const OPENSSL_INIT_SETTINGS *settings);
int __wrap_OPENSSL_init_crypto(uint64_t options, const OPENSSL_INIT_SETTINGS *settings)
{
    return fails_now() ? 0 : __real_OPENSSL_init_crypto(options, settings);
}

static void *made(void *it)
{
    if (it != NULL) live++;
    return it;
}

#define MAKER(type, name, parameters, arguments) \
    type *__real_##name parameters;              \
    type *__wrap_##name parameters;              \
    type *__wrap_##name parameters               \
    {                                            \
        if (fails_now()) return NULL;            \
        return made(__real_##name arguments);    \
    }
#define FREER(result, type, name, end) \
    result __real_##name(type *it);    \
    result __wrap_##name(type *it);    \
    result __wrap_##name(type *it)     \
    {                                  \
        if (it != NULL) live--;        \
        end __real_##name(it);         \
    }
MAKER(OSSL_LIB_CTX, OSSL_LIB_CTX_new, (void), ())
MAKER(OSSL_PROVIDER, OSSL_PROVIDER_load, (OSSL_LIB_CTX * lib, const char *name), (lib, name))
MAKER(EVP_CIPHER, EVP_CIPHER_fetch, (OSSL_LIB_CTX * lib, const char *name, const char *properties), (lib, name, properties))
MAKER(EVP_MD, EVP_MD_fetch, (OSSL_LIB_CTX * lib, const char *name, const char *properties), (lib, name, properties))
MAKER(EVP_KDF, EVP_KDF_fetch, (OSSL_LIB_CTX * lib, const char *name, const char *properties), (lib, name, properties))
FREER(void, OSSL_LIB_CTX, OSSL_LIB_CTX_free, )
FREER(int, OSSL_PROVIDER, OSSL_PROVIDER_unload, return )
FREER(void, EVP_CIPHER, EVP_CIPHER_free, )
FREER(void, EVP_MD, EVP_MD_free, )
FREER(void, EVP_KDF, EVP_KDF_free, )

/* ---- the host's error queue ---- */

static void errors_push(int count)
{
    ERR_clear_error();
    for (int i = 0; i < count; i++) ERR_raise(ERR_LIB_USER, 100 + i);
}

/* As errors_push left it; empties it. */
static bool errors_are_as_found(int count)
{
    for (int i = 0; i < count; i++)
        if (ERR_GET_REASON(ERR_get_error()) != 100 + i) return false;
    return ERR_get_error() == 0;
}

/* ---- what runs in a child of its own, where nothing of OpenSSL has been touched ---- */

static bool every_failure_is_undone(void)
{
    bool good = true;

    for (int n = 1; good; n++) {
        enum kl_rc rc;

        live = 0;
        fail_the(n);
        rc = kl_crypto_open();
        if (!has_failed()) return n == 4 && rc == KL_OK && live == 2; /* the context and its provider */
        good = rc == KL_CRYPTO && live == 0 && kl_fail_words()[0] != '\0';
    }
    return false;
}

enum { AES_ALGORITHMS = 3 * KL_AES_MODES, ALGORITHMS = AES_ALGORITHMS + 1 + KL_HASHES + 1 };

/* Every algorithm by a number, in the order of fetched.h. */
static const void *algorithm(size_t number)
{
    if (number < AES_ALGORITHMS) return kl_crypto_aes((enum kl_aes)(number / 3), 16 + 8 * (number % 3));
    number -= AES_ALGORITHMS;
    if (number == 0) return kl_crypto_chacha20_poly1305();
    return number <= KL_HASHES ? kl_crypto_md((enum kl_hash)(number - 1)) : (const void *)kl_crypto_pbkdf2();
}

static bool failures_leave_the_queue_alone(void)
{
    bool good = true;

    for (int n = 1; good; n++) {
        errors_push(3);
        fail_the(n);
        if (algorithm(0) != NULL) break;
        good = errors_are_as_found(3);
    }
    return good && errors_are_as_found(3);
}

static bool each_is_fetched_alone(void)
{
    bool good = kl_crypto_open() == KL_OK;

    for (size_t i = 0; good && i < ALGORITHMS; i++) {
        const void *found;

        live = 0;
        fail_the(1);
        good = algorithm(i) == NULL && calls == 1 && strstr(kl_fail_words(), "find ") != NULL;
        fail_the(0);
        found = algorithm(i);
        good = good && found != NULL && live == 1 && calls == 1;
        good = good && algorithm(i) == found && calls == 1;
    }
    return good;
}

static bool names_are_right(void)
{
    bool good = true;

    for (size_t i = 0; good && i < AES_ALGORITHMS; i++) good = EVP_CIPHER_get_key_length(algorithm(i)) == 16 + 8 * (int)(i % 3);
    return good && EVP_CIPHER_get_mode(kl_crypto_aes(KL_AES_GCM, 32)) == EVP_CIPH_GCM_MODE &&
           EVP_CIPHER_get_mode(kl_crypto_aes(KL_AES_ECB, 32)) == EVP_CIPH_ECB_MODE &&
           EVP_CIPHER_get_mode(kl_crypto_aes(KL_AES_CBC, 32)) == EVP_CIPH_CBC_MODE &&
           EVP_CIPHER_get_mode(kl_crypto_aes(KL_AES_CTR, 32)) == EVP_CIPH_CTR_MODE &&
           EVP_CIPHER_is_a(kl_crypto_aes(KL_AES_KW, 24), "AES-192-WRAP") == 1 &&
           EVP_CIPHER_is_a(kl_crypto_aes(KL_AES_KWP, 24), "AES-192-WRAP-PAD") == 1;
}

#define THREADS 8
static pthread_barrier_t together;

static void *open_with_the_others(void *rc)
{
    pthread_barrier_wait(&together);
    *(enum kl_rc *)rc = kl_crypto_md(KL_SHA384) != NULL ? KL_OK : KL_CRYPTO;
    return NULL;
}

static bool threads_open_one_context(void)
{
    pthread_t threads[THREADS];
    enum kl_rc codes[THREADS];
    bool good = pthread_barrier_init(&together, NULL, THREADS) == 0;

    live = 0;

    for (size_t i = 0; good && i < THREADS; i++) good = pthread_create(&threads[i], NULL, open_with_the_others, &codes[i]) == 0;
    for (size_t i = 0; good && i < THREADS; i++) good = pthread_join(threads[i], NULL) == 0 && codes[i] == KL_OK;
    return good && live == 3; /* one context, one provider, one algorithm */
}

/* ---- a fork while a thread is at it ---- */

static void *hold_lock(void *unused)
{
    (void)unused;
    pthread_mutex_lock(kl_crypto_lock());
    pthread_barrier_wait(&together);
    pause();
    return NULL;
}

static const void *of_parent;

static bool child_has_its_own(void)
{
    const void *mine;

    alarm(20); /* it would wait for ever */
    kl_crypto_abandon();
    mine = kl_crypto_md(KL_SHA256);
    return mine != NULL && mine != of_parent && kl_crypto_md(KL_SHA256) == mine;
}

static bool child_has_the_parents(void)
{
    kl_crypto_abandon();
    return kl_crypto_md(KL_SHA256) == of_parent;
}

/* What was keyed before goes on, whoever holds what. */
static struct kl_aead *keyed;

static bool seal_once(void)
{
    uint8_t iv[12] = { 1 }, data[4] = { 2 }, out[4], tag[16];
    struct kl_aead_params params = { .iv = { iv, 12 }, .tag_len = 16 };

    return kl_aead_seal(keyed, &params, (struct kl_view){ data, 4 }, out, tag) == KL_OK;
}

static bool keyed_goes_on(void)
{
    alarm(20);
    kl_crypto_abandon();
    return seal_once();
}

static bool fork_while_held(void)
{
    uint8_t key[32] = { 1 };
    pthread_t holder;

    kl_arena_set_fork(KL_FORK_INHERIT);
    of_parent = kl_crypto_md(KL_SHA256);
    if (of_parent == NULL || kl_aead_new(KL_AEAD_AES_GCM, (struct kl_view){ key, 32 }, &keyed) != KL_OK) return false;
    if (!seal_once() || !in_child(keyed_goes_on) || !in_child(child_has_the_parents)) return false;
    if (pthread_barrier_init(&together, NULL, 2) != 0 || pthread_create(&holder, NULL, hold_lock, NULL) != 0) return false;
    pthread_barrier_wait(&together);
    return in_child(child_has_its_own) && in_child(keyed_goes_on);
}

static char conf_path[64];

static bool write_conf(void)
{
    static const char text[] = "openssl_conf = init\n[init]\noid_section = oids\n[oids]\nkeyladderTestName = 1.3.6.1.4.1.99999.1\n";
    FILE *file;

    snprintf(conf_path, sizeof conf_path, "/tmp/kl-test-lib.%d", (int)getpid());
    file = fopen(conf_path, "w");
    if (file == NULL) return false;
    return fputs(text, file) >= 0 && fclose(file) == 0 && setenv("OPENSSL_CONF", conf_path, 1) == 0;
}

static bool conf_is_the_hosts(void)
{
    char room[4096];
    int watch = inotify_init1(IN_NONBLOCK);
    bool good = write_conf() && inotify_add_watch(watch, conf_path, IN_OPEN) >= 0;

    good = good && kl_crypto_open() == KL_OK;
    good = good && read(watch, room, sizeof room) < 0; /* not opened by us */
    /* The host may still load it: a name that it defines is known afterwards. */
    good = good && __real_OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL) == 1;
    good = good && read(watch, room, sizeof room) > 0 && OBJ_sn2nid("keyladderTestName") != NID_undef;
    unlink(conf_path);
    close(watch);
    return good;
}

static int cleaned[2];

static void tell_of_cleaning(void)
{
    ssize_t written = write(cleaned[1], "x", 1);

    (void)written;
}

/* Exits as a host does, with its atexit handlers. */
static bool exit_after_use(void)
{
    if (kl_crypto_open() != KL_OK || OPENSSL_atexit(tell_of_cleaning) != 1) return false;
    exit(0);
}

/* ---- what leaves the queue alone ---- */

static bool seal_and_open(enum kl_aead_algorithm algorithm)
{
    uint8_t key[32] = { 1 }, iv[24] = { 2 }, data[40] = { 3 }, out[40], tag[16];
    struct kl_aead_params params = { .iv = { iv, algorithm == KL_AEAD_XAES_256_GCM ? 24 : 12 }, .aad = { key, 7 }, .tag_len = 16 };
    struct kl_aead *aead = NULL;
    bool good = kl_aead_new(algorithm, (struct kl_view){ key, 32 }, &aead) == KL_OK;

    good = good && kl_aead_seal(aead, &params, (struct kl_view){ data, 40 }, out, tag) == KL_OK;
    good = good && kl_aead_open(aead, &params, (struct kl_view){ out, 40 }, tag, data) == KL_OK;
    tag[3] ^= 1;
    good = good && kl_aead_open(aead, &params, (struct kl_view){ out, 40 }, tag, data) == KL_CIPHERTEXT;
    params.iv.len = 0;
    good = good && kl_aead_seal(aead, &params, (struct kl_view){ data, 40 }, out, tag) == KL_PARAMETER;
    kl_aead_free(aead);
    return good;
}

static bool hash_by_a_provider(void)
{
    struct kl_view text = kl_view_text("text");
    uint8_t out[64];
    bool good;

    kl_hash_use_providers(true);
    good = kl_hmac_parts(KL_SHA512, text, &text, 1, out) == KL_OK;
    kl_hash_use_providers(false);
    return good;
}

static bool hash_and_derive(void)
{
    struct kl_kdf_params params = { .kdf = KL_KDF_PBKDF2, .passes = 100000 };
    struct kl_view text = kl_view_text("text");
    KL_AUTO(kl_secret) key = { 0 };
    uint8_t out[64];

    return kl_hash_parts(KL_SHA512, &text, 1, out) == KL_OK && kl_hkdf(KL_SHA256, text, text, text, out, 64) == KL_OK &&
           kl_kdf_derive(&params, text, &key) == KL_OK && hash_by_a_provider();
}

/* ---- tests ---- */

static void any_call_that_fails_is_undone_and_the_next_try_works(void)
{
    CU_ASSERT(in_child(every_failure_is_undone));
}

static void a_failed_opening_leaves_the_hosts_errors_as_found(void)
{
    CU_ASSERT(in_child(failures_leave_the_queue_alone));
}

static void an_algorithm_is_fetched_when_it_is_needed_and_a_failure_names_it(void)
{
    CU_ASSERT(in_child(each_is_fetched_alone));
}

static void each_algorithm_is_the_one_asked_for(void)
{
    CU_ASSERT(in_child(names_are_right));
}

static void a_child_forked_in_the_middle_begins_its_own_and_keeps_what_is_keyed(void)
{
    CU_ASSERT(in_child(fork_while_held));
}

static void threads_that_open_at_once_all_succeed(void)
{
    CU_ASSERT(in_child(threads_open_one_context));
}

static void openssl_cnf_is_not_read_by_us_and_stays_the_hosts_to_load(void)
{
    CU_ASSERT(in_child(conf_is_the_hosts));
}

static void nothing_is_cleaned_up_at_exit_on_our_account(void)
{
    char byte;

    SAME(pipe(cleaned), 0);
    CU_ASSERT(in_child(exit_after_use));
    close(cleaned[1]);
    SAME(read(cleaned[0], &byte, 1), 0);
    close(cleaned[0]);
}

static void opening_again_calls_nothing(void)
{
    fail_the(0);
    SAME(kl_crypto_open(), KL_OK);
    fail_the(1);
    SAME(kl_crypto_open(), KL_OK);
    SAME(calls, 0);
    fail_the(0);
}

static void an_empty_error_queue_stays_empty(void)
{
    errors_push(0);
    CU_ASSERT(seal_and_open(KL_AEAD_AES_GCM));
    CU_ASSERT(seal_and_open(KL_AEAD_CHACHA20_POLY1305));
    CU_ASSERT(seal_and_open(KL_AEAD_XAES_256_GCM));
    CU_ASSERT(hash_and_derive());
    CU_ASSERT(errors_are_as_found(0));
}

static void the_hosts_errors_and_marks_stay_as_they_were(void)
{
    errors_push(3);
    SAME(ERR_set_mark(), 1);
    ERR_raise(ERR_LIB_USER, 200);
    CU_ASSERT(seal_and_open(KL_AEAD_AES_GCM));
    CU_ASSERT(seal_and_open(KL_AEAD_CHACHA20_POLY1305));
    CU_ASSERT(seal_and_open(KL_AEAD_XAES_256_GCM));
    CU_ASSERT(hash_and_derive());
    SAME(ERR_GET_REASON(ERR_peek_last_error()), 200);
    SAME(ERR_pop_to_mark(), 1);
    CU_ASSERT(errors_are_as_found(3));
}

static bool works_after_fork(void)
{
    return seal_and_open(KL_AEAD_AES_GCM) && hash_and_derive();
}

static void a_forked_child_goes_on_with_the_same_context(void)
{
    CU_ASSERT(in_child(works_after_fork));
}

/* The first of these want a process in which nobody has used OpenSSL yet. */
UNIT_MAIN("crypto/lib", UNIT(any_call_that_fails_is_undone_and_the_next_try_works), UNIT(a_failed_opening_leaves_the_hosts_errors_as_found),
          UNIT(an_algorithm_is_fetched_when_it_is_needed_and_a_failure_names_it), UNIT(each_algorithm_is_the_one_asked_for),
          UNIT(a_child_forked_in_the_middle_begins_its_own_and_keeps_what_is_keyed), UNIT(threads_that_open_at_once_all_succeed),
          UNIT(openssl_cnf_is_not_read_by_us_and_stays_the_hosts_to_load), UNIT(nothing_is_cleaned_up_at_exit_on_our_account),
          UNIT(opening_again_calls_nothing), UNIT(an_empty_error_queue_stays_empty), UNIT(the_hosts_errors_and_marks_stay_as_they_were),
          UNIT(a_forked_child_goes_on_with_the_same_context))
