/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The wrapper around every provider, over one that does as it is told in the place of `local`. */
#include "root/root.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../crypto/support.h"
#include "base/clock.h"
#include "base/log.h"

/* ---- a provider that does as it is told ---- */

static struct {
    enum kl_rc rc;
    struct kl_root_answer answer;
    const char *fail_words; /* said through kl_fail, as a lower room does */
    size_t sealed_len, meta_len, plain_len;
    /* what it saw */
    int64_t deadline;
    int opened, closed, wrapped, unwrapped;
    const struct kl_root_context *context;
} fake;

static enum kl_rc fake_open(const struct kl_conf_section *section, void **provider)
{
    (void)section;
    *provider = &fake;
    fake.opened++;
    return fake.rc;
}

static void fake_close(void *provider)
{
    CU_ASSERT_PTR_EQUAL(provider, &fake);
    fake.closed++;
}

static enum kl_rc fake_end(int64_t deadline, struct kl_root_answer *answer)
{
    CU_ASSERT(is_zero(answer, sizeof *answer));
    CU_ASSERT_EQUAL(kl_fail_words()[0], '\0');
    fake.deadline = deadline;
    *answer = fake.answer;
    return fake.fail_words != NULL ? kl_fail(fake.rc, "%s", fake.fail_words) : fake.rc;
}

static enum kl_rc fake_wrap(void *provider, const struct kl_root_context *context, const struct kl_secret *plain, int64_t deadline,
                            struct kl_root_sealed *out, struct kl_root_answer *answer)
{
    (void)provider;
    (void)plain;
    fake.wrapped++;
    fake.context = context;
    out->len = fake.sealed_len;
    out->meta_len = fake.meta_len;
    return fake_end(deadline, answer);
}

static enum kl_rc fake_unwrap(void *provider, const struct kl_root_context *context, const struct kl_root_sealed *sealed, int64_t deadline,
                              struct kl_secret *plain, struct kl_root_answer *answer)
{
    (void)provider;
    (void)sealed;
    fake.unwrapped++;
    fake.context = context;
    if (fake.plain_len > 0) KL_TRY(kl_secret_new(plain, fake.plain_len));
    return fake_end(deadline, answer);
}

static enum kl_rc fake_describe(void *provider, int64_t deadline, char *words, size_t cap, struct kl_root_answer *answer)
{
    (void)provider;
    snprintf(words, cap, "a fake");
    return fake_end(deadline, answer);
}

/* Stands in the table in place of the real one, whose object file is not linked. */
const struct kl_root_ops kl_root_local = {
    .type = "local",
    .open = fake_open,
    .close = fake_close,
    .wrap = fake_wrap,
    .unwrap = fake_unwrap,
    .describe = fake_describe,
};

static int64_t half_past(void)
{
    return INT64_C(1800000000000);
}

static const struct kl_clock stopped = { .wall = half_past, .steady = half_past, .coarse = half_past };

/* ---- configuration, log, calls ---- */

static char dir[] = "/tmp/kl-test-root.XXXXXX";
static char conf_path[PATH_MAX], log_path[PATH_MAX];
static struct kl_conf *conf;
static struct kl_root *root;

static const struct kl_root_context context = { { (const uint8_t *)"0123", 4 }, { NULL, 0 }, "root", 1 };
static uint8_t sealed_room[KL_ROOT_SEALED_MAX], meta_room[KL_ROOT_META_MAX];
static struct kl_root_sealed sealed = { sealed_room, 0, meta_room, 0 };

static bool write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    return file != NULL && fputs(text, file) >= 0 && fclose(file) == 0 && chmod(path, 0600) == 0;
}

static int set_up(void)
{
    char target[PATH_MAX + 8];

    if (mkdtemp(dir) == NULL) return 1;
    snprintf(conf_path, sizeof conf_path, "%s/conf", dir);
    snprintf(log_path, sizeof log_path, "%s/log", dir);
    snprintf(target, sizeof target, "file:%s", log_path);
    if (!write_file(conf_path, "[root \"here\"]\ntype = local\npassphrase = env:NONE\n")) return 1;
    if (kl_conf_load(conf_path, &conf) != KL_OK || kl_log_open(target, KL_LOG_INFO) != KL_OK) return 1;
    kl_clock = &stopped;
    return 0;
}

static void tear_down(void)
{
    kl_log_close();
    kl_conf_free(conf);
    unlink(conf_path);
    unlink(log_path);
    rmdir(dir);
}

/* A provider without faults, and an open root. */
static void begin(void)
{
    memset(&fake, 0, sizeof fake);
    fake.sealed_len = 92;
    fake.meta_len = 26;
    fake.plain_len = 64;
    sealed.len = 92;
    sealed.meta_len = 26;
    kl_fail_forget();
    SAME(kl_root_open(kl_conf_find(conf, KL_CONF_ROOT, "here"), &root), KL_OK);
}

static enum kl_rc wrap_bytes(size_t len)
{
    KL_AUTO(kl_secret) plain = { 0 };

    if (len > 0) SAME(kl_secret_new(&plain, len), KL_OK);
    return kl_root_wrap(root, &context, &plain, &sealed);
}

static enum kl_rc unwrap_it(void)
{
    KL_AUTO(kl_secret) plain = { 0 };
    enum kl_rc rc = kl_root_unwrap(root, &context, &sealed, &plain);

    SAME(plain.len, rc == KL_OK ? fake.plain_len : 0);
    return rc;
}

static void end(void)
{
    kl_root_close(root);
    root = NULL;
}

/* The whole log, and empties it. */
static const char *log_read(void)
{
    static char text[16384];
    FILE *file = fopen(log_path, "r");
    size_t len = file != NULL ? fread(text, 1, sizeof text - 1, file) : 0;

    text[len] = '\0';
    if (file != NULL) fclose(file);
    if (truncate(log_path, 0) != 0) text[0] = '\0';
    return text;
}

static size_t lines(const char *text)
{
    size_t count = 0;

    for (; *text != '\0'; text++) count += *text == '\n';
    return count;
}

/* ---- tests ---- */

static void a_root_is_opened_by_its_type_and_knows_its_name(void)
{
    begin();
    SAME(fake.opened, 1);
    CU_ASSERT_STRING_EQUAL(kl_root_name(root), "here");
    CU_ASSERT_STRING_EQUAL(kl_root_type(root), "local");
    end();
    SAME(fake.closed, 1);
    kl_root_close(NULL);
}

static void a_root_outlives_the_configuration_it_was_opened_from(void)
{
    struct kl_conf *other;

    SAME(kl_conf_load(conf_path, &other), KL_OK);
    memset(&fake, 0, sizeof fake);
    SAME(kl_root_open(kl_conf_find(other, KL_CONF_ROOT, "here"), &root), KL_OK);
    kl_conf_free(other);
    CU_ASSERT_STRING_EQUAL(kl_root_name(root), "here");
    end();
}

static void a_provider_that_does_not_open_gives_no_root(void)
{
    memset(&fake, 0, sizeof fake);
    fake.rc = KL_CONFIG;
    root = NULL;
    SAME(kl_root_open(kl_conf_find(conf, KL_CONF_ROOT, "here"), &root), KL_CONFIG);
    CU_ASSERT_PTR_NULL(root);
    SAME(fake.closed, 0);
}

static void a_good_call_gives_its_result_and_says_nothing(void)
{
    char words[64];

    begin();
    log_read();
    SAME(wrap_bytes(64), KL_OK);
    SAME(sealed.len, 92);
    SAME(sealed.meta_len, 26);
    SAME(unwrap_it(), KL_OK);
    CU_ASSERT_PTR_EQUAL(fake.context, &context);
    SAME(kl_root_describe(root, words, sizeof words), KL_OK);
    CU_ASSERT_STRING_EQUAL(words, "a fake");
    CU_ASSERT_STRING_EQUAL(log_read(), "");
    end();
}

static void every_call_has_thirty_seconds(void)
{
    const int64_t ought = half_past() + INT64_C(30) * 1000000000;
    char words[64];

    begin();
    SAME(wrap_bytes(8), KL_OK);
    SAME(fake.deadline, ought);
    fake.deadline = 0;
    SAME(unwrap_it(), KL_OK);
    SAME(fake.deadline, ought);
    fake.deadline = 0;
    SAME(kl_root_describe(root, words, sizeof words), KL_OK);
    SAME(fake.deadline, ought);
    end();
}

static const struct {
    enum kl_root_class failure;
    enum kl_rc rc;
} classes[] = {
    { KL_ROOT_CLASS_UNREACHABLE, KL_ROOT_UNREACHABLE },
    { KL_ROOT_CLASS_DENIED, KL_ROOT_DENIED },
    { KL_ROOT_CLASS_REFUSED, KL_ROOT_REFUSED },
    { KL_ROOT_CLASS_WRONG, KL_INTEGRITY },
};

static void each_class_of_failure_has_its_result_whatever_the_provider_returned(void)
{
    static const enum kl_rc returned[] = { KL_OK, KL_CRYPTO, KL_ROOT_DENIED, KL_MEMORY };
    char words[64];

    for (size_t i = 0; i < COUNT(classes); i++) {
        for (size_t j = 0; j < COUNT(returned); j++) {
            begin();
            fake.answer.failure = classes[i].failure;
            fake.rc = returned[j];
            SAME(wrap_bytes(64), classes[i].rc);
            SAME(sealed.len, 0);
            SAME(sealed.meta_len, 0);
            sealed.len = 92;
            SAME(unwrap_it(), classes[i].rc);
            SAME(kl_root_describe(root, words, sizeof words), classes[i].rc);
            end();
        }
    }
}

static void a_failure_is_one_log_line_with_root_provider_words_and_request_id(void)
{
    const char *text;

    begin();
    log_read();
    fake.answer = (struct kl_root_answer){ KL_ROOT_CLASS_DENIED, "the role may not decrypt; allow kms:Decrypt to it", "req-4711" };
    SAME(unwrap_it(), KL_ROOT_DENIED);
    CU_ASSERT_STRING_EQUAL(kl_fail_words(), "the role may not decrypt; allow kms:Decrypt to it");
    text = log_read();
    SAME(lines(text), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "here"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "local"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "allow kms:Decrypt to it"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "req-4711"));
    end();
}

static void a_failure_without_a_request_id_names_none(void)
{
    begin();
    log_read();
    fake.answer.failure = KL_ROOT_CLASS_UNREACHABLE;
    SAME(wrap_bytes(64), KL_ROOT_UNREACHABLE);
    CU_ASSERT_PTR_NULL(strstr(log_read(), "request"));
    end();
}

static void words_that_fill_their_room_are_cut_and_not_overrun(void)
{
    begin();
    memset(fake.answer.words, 'w', sizeof fake.answer.words);
    memset(fake.answer.request_id, 'r', sizeof fake.answer.request_id);
    fake.answer.failure = KL_ROOT_CLASS_REFUSED;
    SAME(unwrap_it(), KL_ROOT_REFUSED);
    SAME(strspn(kl_fail_words(), "w"), sizeof fake.answer.words);
    end();
}

static void a_failure_without_a_class_is_handed_up_with_the_words_of_who_failed(void)
{
    const char *text;

    begin();
    log_read();
    fake.rc = KL_PERMISSION;
    fake.fail_words = "/etc/passphrase can be read by others; chmod 600 it";
    SAME(unwrap_it(), KL_PERMISSION);
    CU_ASSERT_PTR_NOT_NULL(strstr(kl_fail_words(), "chmod 600 it"));
    CU_ASSERT_PTR_NOT_NULL(strstr(kl_fail_words(), "here"));
    text = log_read();
    SAME(lines(text), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "chmod 600 it"));
    end();
}

static void a_failure_that_nobody_put_into_words_gets_those_of_its_code(void)
{
    begin();
    fake.rc = KL_MEMORY;
    SAME(wrap_bytes(64), KL_MEMORY);
    CU_ASSERT_PTR_NOT_NULL(strstr(kl_fail_words(), kl_rc_words(KL_MEMORY)));
    end();
}

static void words_of_an_earlier_failure_are_not_taken_for_those_of_this_one(void)
{
    begin();
    SAME(kl_fail(KL_STORE, "an old story"), KL_STORE);
    fake.rc = KL_MEMORY;
    SAME(wrap_bytes(64), KL_MEMORY);
    CU_ASSERT_PTR_NULL(strstr(kl_fail_words(), "old story"));
    end();
}

static void a_provider_is_never_asked_to_wrap_nothing_or_more_than_64_bytes(void)
{
    begin();
    SAME(wrap_bytes(0), KL_ARG);
    SAME(wrap_bytes(65), KL_ARG);
    SAME(fake.wrapped, 0);
    SAME(wrap_bytes(1), KL_OK);
    SAME(wrap_bytes(64), KL_OK);
    SAME(fake.wrapped, 2);
    end();
}

static void a_sealed_copy_of_an_impossible_length_is_not_shown_to_the_provider(void)
{
    begin();
    sealed.len = 0;
    SAME(unwrap_it(), KL_INTEGRITY);
    sealed.len = KL_ROOT_SEALED_MAX + 1;
    SAME(unwrap_it(), KL_INTEGRITY);
    sealed.len = 92;
    sealed.meta_len = KL_ROOT_META_MAX + 1;
    SAME(unwrap_it(), KL_INTEGRITY);
    SAME(fake.unwrapped, 0);
    end();
}

static void a_provider_that_answers_with_an_impossible_length_is_not_believed(void)
{
    begin();
    fake.sealed_len = 0;
    SAME(wrap_bytes(64), KL_INTEGRITY);
    fake.sealed_len = KL_ROOT_SEALED_MAX + 1;
    SAME(wrap_bytes(64), KL_INTEGRITY);
    fake.sealed_len = KL_ROOT_SEALED_MAX;
    fake.meta_len = KL_ROOT_META_MAX + 1;
    SAME(wrap_bytes(64), KL_INTEGRITY);
    SAME(sealed.len, 0);
    fake.meta_len = 0;
    SAME(wrap_bytes(64), KL_OK);
    sealed.len = 92;
    fake.plain_len = 0;
    SAME(unwrap_it(), KL_INTEGRITY);
    fake.plain_len = KL_ROOT_PLAIN_MAX + 1;
    SAME(unwrap_it(), KL_INTEGRITY);
    end();
}

static void an_unwrap_into_a_secret_that_holds_something_is_refused(void)
{
    KL_AUTO(kl_secret) plain = { 0 };

    begin();
    SAME(kl_secret_new(&plain, 8), KL_OK);
    SAME(kl_root_unwrap(root, &context, &sealed, &plain), KL_ARG);
    SAME(plain.len, 8);
    SAME(fake.unwrapped, 0);
    end();
}

static void control_characters_in_a_providers_words_do_not_make_a_second_log_line(void)
{
    begin();
    log_read();
    fake.answer = (struct kl_root_answer){ KL_ROOT_CLASS_DENIED, "no\nERROR forged", "id\n2" };
    SAME(unwrap_it(), KL_ROOT_DENIED);
    SAME(lines(log_read()), 1);
    end();
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        UNIT(a_root_is_opened_by_its_type_and_knows_its_name),
        UNIT(a_root_outlives_the_configuration_it_was_opened_from),
        UNIT(a_provider_that_does_not_open_gives_no_root),
        UNIT(a_good_call_gives_its_result_and_says_nothing),
        UNIT(every_call_has_thirty_seconds),
        UNIT(each_class_of_failure_has_its_result_whatever_the_provider_returned),
        UNIT(a_failure_is_one_log_line_with_root_provider_words_and_request_id),
        UNIT(a_failure_without_a_request_id_names_none),
        UNIT(words_that_fill_their_room_are_cut_and_not_overrun),
        UNIT(a_failure_without_a_class_is_handed_up_with_the_words_of_who_failed),
        UNIT(a_failure_that_nobody_put_into_words_gets_those_of_its_code),
        UNIT(words_of_an_earlier_failure_are_not_taken_for_those_of_this_one),
        UNIT(a_provider_is_never_asked_to_wrap_nothing_or_more_than_64_bytes),
        UNIT(a_sealed_copy_of_an_impossible_length_is_not_shown_to_the_provider),
        UNIT(a_provider_that_answers_with_an_impossible_length_is_not_believed),
        UNIT(an_unwrap_into_a_secret_that_holds_something_is_refused),
        UNIT(control_characters_in_a_providers_words_do_not_make_a_second_log_line),
    };
    int status;

    if (set_up() != 0) return 1;
    status = unit_run("root/root", tests, COUNT(tests));
    tear_down();
    return status;
}
