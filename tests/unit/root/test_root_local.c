/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../crypto/support.h"
#include "base/log.h"
#include "crypto/aead.h"
#include "crypto/random.h"
#include "root/root.h"

/* The vectors of doc/format.md, made by Python's cryptography. */
#define PIN "kl1_aaaqeayeaudaocajbifqydiob626lqip"
#define MADE_UP "correct horse battery staple"
#define META_HKDF "01010000000000000000101112131415161718191a1b1c1d1e1f"
#define SEALED_HKDF                                                                                        \
    "404142434445464748494a4b2c5d2dc66ef73afab6337b6143386511395e8144ce6ee6a27f4b92c769954408e4192c7d5df3" \
    "30b7be5c1dd49928c2ec515b8746c62bf3edf0391638752d85289564b627348d24b774360c0c11ad939a"
#define META_ARGON2ID "01020000000300002000101112131415161718191a1b1c1d1e1f"
#define SEALED_ARGON2ID                                                                                    \
    "404142434445464748494a4b70498434324f8ef5525894f759fad1f55f34d2e163cc6bb175f5d385e5a933d7b43053bbf2dd" \
    "3b3cc9298ad468f6948487b0b26beb949b37e17fa3b377b639de38a874c4689162514db2bca6c62a5806"

/* ---- what is made to fail ---- */

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
enum kl_rc __real_kl_secret_new(struct kl_secret *secret, size_t len);
enum kl_rc __wrap_kl_secret_new(struct kl_secret *secret, size_t len);
void *__real_kl_arena_new(size_t size);
void *__wrap_kl_arena_new(size_t size);
enum kl_rc __real_kl_random_fill(void *out, size_t len);
enum kl_rc __wrap_kl_random_fill(void *out, size_t len);
enum kl_rc __real_kl_aead_seal(struct kl_aead *aead, const struct kl_aead_params *params, struct kl_view in, uint8_t *out, uint8_t *tag);
enum kl_rc __wrap_kl_aead_seal(struct kl_aead *aead, const struct kl_aead_params *params, struct kl_view in, uint8_t *out, uint8_t *tag);

void *__wrap_calloc(size_t count, size_t size)
{
    return fails_now() ? NULL : __real_calloc(count, size);
}

char *__wrap_strdup(const char *text)
{
    return fails_now() ? NULL : __real_strdup(text);
}

enum kl_rc __wrap_kl_secret_new(struct kl_secret *secret, size_t len)
{
    return fails_now() ? KL_MEMORY : __real_kl_secret_new(secret, len);
}

void *__wrap_kl_arena_new(size_t size)
{
    return fails_now() ? NULL : __real_kl_arena_new(size);
}

enum kl_rc __wrap_kl_random_fill(void *out, size_t len)
{
    return fails_now() ? KL_NO_RANDOM : __real_kl_random_fill(out, len);
}

enum kl_rc __wrap_kl_aead_seal(struct kl_aead *aead, const struct kl_aead_params *params, struct kl_view in, uint8_t *out, uint8_t *tag)
{
    return fails_now() ? KL_CRYPTO : __real_kl_aead_seal(aead, params, in, out, tag);
}

/* ---- configuration and calls ---- */

static char dir[] = "/tmp/kl-test-local.XXXXXX";
static char conf_path[PATH_MAX], pass_path[PATH_MAX], log_path[PATH_MAX];
static struct kl_conf *conf;
static struct kl_root *root;

static struct kl_root_context context;
static uint8_t sealed_room[KL_ROOT_SEALED_MAX], meta_room[KL_ROOT_META_MAX];
static struct kl_root_sealed sealed = { sealed_room, 0, meta_room, 0 };
static uint8_t bytes[64];

static bool write_file(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");

    return file != NULL && fputs(text, file) >= 0 && fclose(file) == 0 && chmod(path, mode) == 0;
}

static void passphrase(const char *text)
{
    CU_ASSERT(write_file(pass_path, text, 0600));
}

static int set_up(void)
{
    char text[3 * PATH_MAX];
    char target[PATH_MAX + 8];

    if (mkdtemp(dir) == NULL) return 1;
    snprintf(conf_path, sizeof conf_path, "%s/conf", dir);
    snprintf(pass_path, sizeof pass_path, "%s/passphrase", dir);
    snprintf(log_path, sizeof log_path, "%s/log", dir);
    snprintf(target, sizeof target, "file:%s", log_path);
    snprintf(text, sizeof text,
             "[root \"here\"]\ntype = local\npassphrase = file:%s\npassphrase_memory = 8MiB\n"
             "[root \"elsewhere\"]\ntype = local\npassphrase = env:KL_TEST_PASSPHRASE\n",
             pass_path);
    if (!write_file(conf_path, text, 0600) || kl_conf_load(conf_path, &conf) != KL_OK) {
        printf("%s\n", kl_fail_words());
        return 1;
    }
    return kl_log_open(target, KL_LOG_INFO) == KL_OK ? 0 : 1;
}

static void tear_down(void)
{
    kl_log_close();
    kl_conf_free(conf);
    unlink(conf_path);
    unlink(pass_path);
    unlink(log_path);
    rmdir(dir);
}

static void begin(const char *name)
{
    fail_the(0);
    kl_fail_forget();
    context = (struct kl_root_context){ kl_view_text("0123456789abcdef"), kl_view_text("prod"), "root", 1 };
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(0x80 + i);
    SAME(kl_root_open(kl_conf_find(conf, KL_CONF_ROOT, name), &root), KL_OK);
}

static void end(void)
{
    kl_root_close(root);
    root = NULL;
}

static enum kl_rc wrap_bytes(size_t len)
{
    KL_AUTO(kl_secret) plain = { 0 };

    KL_TRY(__real_kl_secret_new(&plain, len));
    memcpy(plain.data, bytes, len);
    return kl_root_wrap(root, &context, &plain, &sealed);
}

/* KL_OK only if the first `len` of `bytes` come out; nothing at all otherwise. */
static enum kl_rc unwrap_bytes(size_t len)
{
    KL_AUTO(kl_secret) plain = { 0 };
    enum kl_rc rc = kl_root_unwrap(root, &context, &sealed, &plain);

    if (rc == KL_OK) return plain.len == len && memcmp(plain.data, bytes, len) == 0 ? KL_OK : KL_RC_COUNT;
    CU_ASSERT_PTR_NULL(plain.data);
    return rc;
}

static void take_vector(const char *meta, const char *hex)
{
    sealed.meta_len = from_hex(meta, meta_room, sizeof meta_room);
    sealed.len = from_hex(hex, sealed_room, sizeof sealed_room);
}

/* ---- tests: what is right ---- */

static void the_vectors_of_the_format_page_open(void)
{
    begin("here");
    passphrase(PIN);
    take_vector(META_HKDF, SEALED_HKDF);
    SAME(unwrap_bytes(64), KL_OK);
    passphrase(MADE_UP "\n");
    take_vector(META_ARGON2ID, SEALED_ARGON2ID);
    SAME(unwrap_bytes(64), KL_OK);
    end();
}

static void what_was_wrapped_unwraps_whatever_its_length(void)
{
    begin("here");
    passphrase(PIN);
    for (size_t len = 1; len <= 64; len++) {
        SAME(wrap_bytes(len), KL_OK);
        SAME(sealed.len, len + 28);
        SAME(sealed.meta_len, 26);
        SAME(unwrap_bytes(len), KL_OK);
    }
    passphrase(MADE_UP);
    SAME(wrap_bytes(64), KL_OK);
    SAME(unwrap_bytes(64), KL_OK);
    end();
}

static void a_generated_passphrase_costs_nothing_and_a_made_up_one_the_memory_configured(void)
{
    static const uint8_t by_hkdf[10] = { 1, 1 };
    static const uint8_t by_argon2id[10] = { 1, 2, 0, 0, 0, 3, 0, 0, 0x20, 0 };

    begin("here");
    passphrase(PIN);
    SAME(wrap_bytes(64), KL_OK);
    SAME(memcmp(meta_room, by_hkdf, 10), 0);
    passphrase(MADE_UP);
    SAME(wrap_bytes(64), KL_OK);
    SAME(memcmp(meta_room, by_argon2id, 10), 0);
    end();
}

static void wrapping_the_same_twice_gives_other_bytes(void)
{
    uint8_t before[92];
    uint8_t salt[16];

    begin("here");
    passphrase(PIN);
    SAME(wrap_bytes(64), KL_OK);
    memcpy(before, sealed_room, 92);
    memcpy(salt, meta_room + 10, 16);
    SAME(wrap_bytes(64), KL_OK);
    CU_ASSERT_NOT_EQUAL(memcmp(before, sealed_room, 12), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(before + 12, sealed_room + 12, 64), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(salt, meta_room + 10, 16), 0);
    end();
}

static void the_passphrase_is_read_again_at_every_call(void)
{
    begin("here");
    passphrase(PIN);
    SAME(wrap_bytes(64), KL_OK);
    passphrase("another one entirely");
    SAME(unwrap_bytes(64), KL_ROOT_DENIED);
    passphrase(PIN);
    SAME(unwrap_bytes(64), KL_OK);
    end();
}

static void a_passphrase_may_come_from_the_environment(void)
{
    begin("elsewhere");
    SAME(setenv("KL_TEST_PASSPHRASE", PIN, 1), 0);
    take_vector(META_HKDF, SEALED_HKDF);
    SAME(unwrap_bytes(64), KL_OK);
    SAME(unsetenv("KL_TEST_PASSPHRASE"), 0);
    CU_ASSERT_NOT_EQUAL(unwrap_bytes(64), KL_OK);
    end();
}

static void it_describes_how_it_is_protected(void)
{
    char words[64];

    begin("here");
    passphrase(MADE_UP);
    SAME(kl_root_describe(root, words, sizeof words), KL_OK);
    CU_ASSERT_STRING_EQUAL(words, "passphrase, Argon2id 8 MiB");
    passphrase(PIN);
    SAME(kl_root_describe(root, words, sizeof words), KL_OK);
    CU_ASSERT_STRING_EQUAL(words, "generated passphrase, HKDF");
    SAME(kl_root_describe(root, words, 10), KL_OK);
    CU_ASSERT_STRING_EQUAL(words, "generated");
    end();
}

/* ---- tests: what is refused ---- */

static void a_wrong_passphrase_is_denied_in_words_that_name_the_root(void)
{
    static const char *const wrong[] = { "wrong", MADE_UP, "kl1_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", PIN "x", "kl1_" };

    begin("here");
    take_vector(META_HKDF, SEALED_HKDF);
    for (size_t i = 0; i < COUNT(wrong); i++) {
        passphrase(wrong[i]);
        SAME(unwrap_bytes(64), KL_ROOT_DENIED);
        CU_ASSERT_STRING_EQUAL(kl_fail_words(), "the passphrase of root here does not open this token (or its sealed copy was changed)");
    }
    take_vector(META_ARGON2ID, SEALED_ARGON2ID);
    passphrase(PIN);
    SAME(unwrap_bytes(64), KL_ROOT_DENIED);
    passphrase("Correct horse battery staple");
    SAME(unwrap_bytes(64), KL_ROOT_DENIED);
    end();
}

static void a_copy_for_another_token_environment_purpose_or_version_is_denied(void)
{
    begin("here");
    passphrase(PIN);
    take_vector(META_HKDF, SEALED_HKDF);
    context.serial = kl_view_text("0123456789abcdee");
    SAME(unwrap_bytes(64), KL_ROOT_DENIED);
    context.serial = kl_view_text("0123456789abcdef");
    context.environment = kl_view_text("test");
    SAME(unwrap_bytes(64), KL_ROOT_DENIED);
    context.environment = (struct kl_view){ NULL, 0 };
    SAME(unwrap_bytes(64), KL_ROOT_DENIED);
    context.environment = kl_view_text("prod");
    context.purpose = "user";
    SAME(unwrap_bytes(64), KL_ROOT_DENIED);
    context.purpose = "root";
    context.version = 2;
    SAME(unwrap_bytes(64), KL_ROOT_DENIED);
    context.version = 1;
    SAME(unwrap_bytes(64), KL_OK);
    /* The same bytes, cut elsewhere. */
    context.serial = kl_view_text("0123456789abcdefp");
    context.environment = kl_view_text("rod");
    SAME(unwrap_bytes(64), KL_ROOT_DENIED);
    end();
}

static void any_changed_bit_of_the_sealed_copy_is_denied(void)
{
    begin("here");
    passphrase(PIN);
    take_vector(META_HKDF, SEALED_HKDF);
    for (size_t bit = 0; bit < 8 * sealed.len; bit++) {
        sealed_room[bit / 8] ^= (uint8_t)(1U << bit % 8);
        SAME(unwrap_bytes(64), KL_ROOT_DENIED);
        sealed_room[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    SAME(unwrap_bytes(64), KL_OK);
    end();
}

static void any_changed_bit_of_the_metadata_is_denied_or_recognized_as_a_change(void)
{
    begin("here");
    passphrase(PIN);
    take_vector(META_HKDF, SEALED_HKDF);
    for (size_t bit = 0; bit < 8 * sealed.meta_len; bit++) {
        meta_room[bit / 8] ^= (uint8_t)(1U << bit % 8);
        SAME(unwrap_bytes(64), bit < 80 ? KL_INTEGRITY : KL_ROOT_DENIED);
        meta_room[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    SAME(unwrap_bytes(64), KL_OK);
    end();
}

static void work_that_no_local_root_asks_for_is_refused_before_it_is_done(void)
{
    static const struct {
        uint8_t kdf, passes[4], memory[4];
    } rows[] = {
        { 2, { 0, 0, 0, 0 }, { 0, 0, 0x20, 0 } },          { 2, { 0, 0, 0, 17 }, { 0, 0, 0x20, 0 } },
        { 2, { 0, 0, 0, 3 }, { 0, 0, 0x1F, 0xFF } },       { 2, { 0, 0, 0, 3 }, { 0, 0x40, 0, 1 } },
        { 2, { 0, 0, 0, 3 }, { 0xFF, 0xFF, 0xFF, 0xFF } }, { 3, { 0, 0, 0, 1 }, { 0, 0, 0, 0 } },
        { 3, { 0xFF, 0xFF, 0xFF, 0xFF }, { 0, 0, 0, 0 } }, { 0, { 0, 0, 0, 3 }, { 0, 0, 0x20, 0 } },
        { 4, { 0, 0, 0, 3 }, { 0, 0, 0x20, 0 } },
    };

    begin("here");
    passphrase(MADE_UP);
    for (size_t i = 0; i < COUNT(rows); i++) {
        take_vector(META_ARGON2ID, SEALED_ARGON2ID);
        memcpy(meta_room + 1, &rows[i], 9);
        SAME(unwrap_bytes(64), KL_INTEGRITY);
    }
    end();
}

static void a_copy_or_metadata_of_any_other_length_is_refused(void)
{
    begin("here");
    passphrase(PIN);
    take_vector(META_HKDF, SEALED_HKDF);
    for (size_t len = 0; len <= 120; len++) {
        if (len == 92) continue;
        sealed.len = len;
        SAME(unwrap_bytes(64), len <= 28 || len > 92 ? KL_INTEGRITY : KL_ROOT_DENIED);
    }
    sealed.len = 92;
    for (size_t len = 0; len <= 60; len++) {
        sealed.meta_len = len;
        SAME(unwrap_bytes(64), len == 26 ? KL_OK : KL_INTEGRITY);
    }
    end();
}

static void metadata_of_a_later_format_is_refused(void)
{
    begin("here");
    passphrase(PIN);
    take_vector(META_HKDF, SEALED_HKDF);
    meta_room[0] = 2;
    SAME(unwrap_bytes(64), KL_INTEGRITY);
    CU_ASSERT_PTR_NOT_NULL(strstr(kl_fail_words(), "here"));
    end();
}

static void a_passphrase_that_cannot_be_had_is_said_so_and_not_denied(void)
{
    char words[64];

    begin("here");
    take_vector(META_HKDF, SEALED_HKDF);
    unlink(pass_path);
    SAME(unwrap_bytes(64), KL_NOT_FOUND);
    CU_ASSERT_PTR_NOT_NULL(strstr(kl_fail_words(), pass_path));
    SAME(wrap_bytes(64), KL_NOT_FOUND);
    SAME(kl_root_describe(root, words, sizeof words), KL_NOT_FOUND);
    CU_ASSERT(write_file(pass_path, PIN, 0644));
    take_vector(META_HKDF, SEALED_HKDF);
    SAME(unwrap_bytes(64), KL_PERMISSION);
    CU_ASSERT_PTR_NOT_NULL(strstr(kl_fail_words(), pass_path));
    passphrase("");
    SAME(wrap_bytes(64), KL_CONFIG);
    passphrase("\n");
    SAME(wrap_bytes(64), KL_CONFIG);
    end();
}

static void serial_and_environment_that_are_too_long_are_refused(void)
{
    static const uint8_t many[4096];

    begin("here");
    passphrase(PIN);
    context.environment = (struct kl_view){ many, sizeof many };
    SAME(wrap_bytes(64), KL_ARG);
    take_vector(META_HKDF, SEALED_HKDF);
    SAME(unwrap_bytes(64), KL_ARG);
    end();
}

static void neither_log_nor_words_show_passphrase_or_key(void)
{
    char text[8192];
    FILE *file;
    size_t len;

    begin("here");
    passphrase("hush-hush-hush");
    take_vector(META_ARGON2ID, SEALED_ARGON2ID);
    SAME(unwrap_bytes(64), KL_ROOT_DENIED);
    CU_ASSERT_PTR_NULL(strstr(kl_fail_words(), "hush"));
    file = fopen(log_path, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    len = fread(text, 1, sizeof text - 1, file);
    text[len] = '\0';
    fclose(file);
    CU_ASSERT(len > 0);
    CU_ASSERT_PTR_NULL(strstr(text, "hush"));
    end();
}

/* ---- failures ---- */

static void a_root_for_which_there_is_no_memory_is_not_opened(void)
{
    for (int n = 1; n <= 9; n++) {
        enum kl_rc rc;

        root = NULL;
        fail_the(n);
        rc = kl_root_open(kl_conf_find(conf, KL_CONF_ROOT, "here"), &root);
        if (!has_failed()) {
            SAME(rc, KL_OK);
            break;
        }
        SAME(rc, KL_MEMORY);
        CU_ASSERT_PTR_NULL(root);
    }
    fail_the(0);
    end();
}

static enum kl_rc do_wrap(void)
{
    return wrap_bytes(64);
}

static enum kl_rc do_unwrap(void)
{
    take_vector(META_HKDF, SEALED_HKDF);
    return unwrap_bytes(64);
}

static void any_call_that_fails_on_the_way_is_handed_up_and_leaves_nothing(void)
{
    static enum kl_rc (*const doings[])(void) = { do_wrap, do_unwrap };

    begin("here");
    passphrase(PIN);
    for (size_t i = 0; i < COUNT(doings); i++) {
        int all;

        fail_the(0);
        SAME(doings[i](), KL_OK);
        all = calls;
        CU_ASSERT(all >= 4);
        for (int n = 1; n <= all; n++) {
            enum kl_rc rc;

            fail_the(n);
            rc = doings[i]();
            CU_ASSERT(rc == KL_MEMORY || rc == KL_NO_RANDOM || rc == KL_CRYPTO);
            if (i == 0) CU_ASSERT(sealed.len == 0 && sealed.meta_len == 0);
        }
    }
    fail_the(0);
    end();
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        UNIT(the_vectors_of_the_format_page_open),
        UNIT(what_was_wrapped_unwraps_whatever_its_length),
        UNIT(a_generated_passphrase_costs_nothing_and_a_made_up_one_the_memory_configured),
        UNIT(wrapping_the_same_twice_gives_other_bytes),
        UNIT(the_passphrase_is_read_again_at_every_call),
        UNIT(a_passphrase_may_come_from_the_environment),
        UNIT(it_describes_how_it_is_protected),
        UNIT(a_wrong_passphrase_is_denied_in_words_that_name_the_root),
        UNIT(a_copy_for_another_token_environment_purpose_or_version_is_denied),
        UNIT(any_changed_bit_of_the_sealed_copy_is_denied),
        UNIT(any_changed_bit_of_the_metadata_is_denied_or_recognized_as_a_change),
        UNIT(work_that_no_local_root_asks_for_is_refused_before_it_is_done),
        UNIT(a_copy_or_metadata_of_any_other_length_is_refused),
        UNIT(metadata_of_a_later_format_is_refused),
        UNIT(a_passphrase_that_cannot_be_had_is_said_so_and_not_denied),
        UNIT(serial_and_environment_that_are_too_long_are_refused),
        UNIT(neither_log_nor_words_show_passphrase_or_key),
        UNIT(a_root_for_which_there_is_no_memory_is_not_opened),
        UNIT(any_call_that_fails_on_the_way_is_handed_up_and_leaves_nothing),
    };
    int status;

    if (set_up() != 0) return 1;
    status = unit_run("root/root_local", tests, COUNT(tests));
    tear_down();
    return status;
}
