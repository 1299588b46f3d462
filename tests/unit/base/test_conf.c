/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "base/conf.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "../failing.h"
#include "../unit.h"

#define SMALLEST                    \
    "[token \"demo\"]\n"            \
    "store = sqlite:/tmp/demo.db\n" \
    "roots = local\n"               \
    "[root \"local\"]\n"            \
    "type = local\n"                \
    "passphrase = file:/tmp/passphrase\n"

static char dir[] = "/tmp/keyladder-conf-XXXXXX";
static char path[64];
static struct kl_conf *conf;

static void write_bytes(struct kl_view bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t len = write(fd, bytes.data, bytes.len);

    CU_ASSERT_EQUAL_FATAL(len, (ssize_t)bytes.len);
    close(fd);
}

static enum kl_rc load_bytes(struct kl_view bytes)
{
    write_bytes(bytes);
    kl_conf_free(conf);
    conf = NULL;
    kl_fail_forget();
    return kl_conf_load(path, &conf);
}

static enum kl_rc load(const char *text)
{
    return load_bytes(kl_view_text(text));
}

/* The text is refused, with words that begin "FILE:LINE: " and have `part` in them. */
static void refused_bytes(struct kl_view text, unsigned line, const char *part)
{
    char begin[100];
    enum kl_rc rc = load_bytes(text);
    bool is_right;

    snprintf(begin, sizeof begin, "%s:%u: ", path, line);
    is_right = rc == KL_CONFIG && strncmp(kl_fail_words(), begin, strlen(begin)) == 0 && strstr(kl_fail_words(), part) != NULL;
    if (!is_right)
        fprintf(stderr, "\n%.60s\n  gives %s: %s\n  ought to have line %u: %s\n", (const char *)text.data, kl_rc_name(rc), kl_fail_words(),
                line, part);
    CU_ASSERT_TRUE(is_right);
    CU_ASSERT_PTR_NULL(conf);
}

static void refused(const char *text, unsigned line, const char *part)
{
    refused_bytes(kl_view_text(text), line, part);
}

static const struct kl_conf_section *token(void)
{
    return kl_conf_find(conf, KL_CONF_TOKEN, "demo");
}

/* --- what is accepted ---------------------------------------------------- */

static void the_smallest_configuration_is_filled_with_defaults(void)
{
    const struct kl_conf_section *root, *module, *log;

    CU_ASSERT_EQUAL_FATAL(load(SMALLEST), KL_OK);
    CU_ASSERT_STRING_EQUAL(kl_conf_file(conf), path);
    CU_ASSERT_EQUAL(kl_conf_count(conf, KL_CONF_TOKEN), 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(token());
    CU_ASSERT_STRING_EQUAL(kl_conf_name(token()), "demo");
    CU_ASSERT_STRING_EQUAL(kl_conf_text(token(), KL_SET_STORE), "sqlite:/tmp/demo.db");
    CU_ASSERT_STRING_EQUAL(kl_conf_item(token(), KL_SET_ROOTS, 0), "local");
    CU_ASSERT_PTR_NULL(kl_conf_item(token(), KL_SET_ROOTS, 1));
    CU_ASSERT_STRING_EQUAL(kl_conf_text(token(), KL_SET_ENVIRONMENT), "");
    CU_ASSERT_EQUAL(kl_conf_number(token(), KL_SET_CACHE_TTL), 3600);
    CU_ASSERT_TRUE(kl_conf_is(token(), KL_SET_LIST_MASTER));
    CU_ASSERT_STRING_EQUAL(kl_conf_text(token(), KL_SET_ENVELOPE), "aes-256-gcm");
    CU_ASSERT_STRING_EQUAL(kl_conf_text(token(), KL_SET_ON_EXPIRY), "refuse");
    CU_ASSERT_PTR_NULL(kl_conf_text(token(), KL_SET_PIN));
    CU_ASSERT_EQUAL(kl_conf_number(token(), KL_SET_PIN_MEMORY), 64 << 20);
    CU_ASSERT_EQUAL(kl_conf_number(token(), KL_SET_STORE_TIMEOUT), 30);
    root = kl_conf_find(conf, KL_CONF_ROOT, "local");
    CU_ASSERT_STRING_EQUAL(kl_conf_text(root, KL_SET_TYPE), "local");
    CU_ASSERT_STRING_EQUAL(kl_conf_text(root, KL_SET_PASSPHRASE), "file:/tmp/passphrase");
    CU_ASSERT_EQUAL(kl_conf_number(root, KL_SET_PASSPHRASE_MEMORY), 64 << 20);
    module = kl_conf_at(conf, KL_CONF_MODULE, 0);
    CU_ASSERT_STRING_EQUAL(kl_conf_text(module, KL_SET_FORK), "reset");
    CU_ASSERT_STRING_EQUAL(kl_conf_text(module, KL_SET_LOCK_MEMORY), "required");
    log = kl_conf_at(conf, KL_CONF_LOG, 0);
    CU_ASSERT_STRING_EQUAL(kl_conf_text(log, KL_SET_LOG_TARGET), "syslog");
    CU_ASSERT_STRING_EQUAL(kl_conf_text(log, KL_SET_LOG_LEVEL), "notice");
}

static void an_empty_file_has_module_and_log_and_no_token(void)
{
    CU_ASSERT_EQUAL_FATAL(load(""), KL_OK);
    CU_ASSERT_EQUAL(kl_conf_count(conf, KL_CONF_TOKEN), 0);
    CU_ASSERT_PTR_NULL(kl_conf_at(conf, KL_CONF_TOKEN, 0));
    CU_ASSERT_PTR_NULL(kl_conf_find(conf, KL_CONF_TOKEN, "demo"));
    CU_ASSERT_EQUAL(kl_conf_count(conf, KL_CONF_MODULE), 1);
    CU_ASSERT_EQUAL(kl_conf_count(conf, KL_CONF_LOG), 1);
    CU_ASSERT_PTR_NULL(kl_conf_at(conf, KL_CONF_LOG, 1));
}

static void everything_that_is_set_is_read(void)
{
    CU_ASSERT_EQUAL_FATAL(load("[module]\n  fork=reset\nlock_memory = try\n"
                               "; a comment\n\t# another\n\n"
                               "[token \"demo\"]\n"
                               "  store = sqlite:/var/lib/key ladder/pr=od;1.db  \n"
                               "  roots = a,b-2 ,\tc.d\n"
                               "  environment = Zürich 1\n"
                               "envelope = xaes-256-gcm\n"
                               "on_expiry = serve\n"
                               "cache_ttl = 90d\n list_master=no\npin = env:PIN\npin_memory = 1GiB\nstore_timeout = 2m\n"
                               "[root \"a\"]\ntype=local\npassphrase=prompt\npassphrase_memory=8192KiB\n"
                               "[root \"b-2\"]\ntype=local\npassphrase=cred:pass\n"
                               "[root \"c.d\"]\ntype=local\npassphrase=fd:3\n"
                               "[log]\nlevel = debug\ntarget = file:/var/log/x y.log"),
                          KL_OK);
    CU_ASSERT_STRING_EQUAL(kl_conf_text(kl_conf_at(conf, KL_CONF_MODULE, 0), KL_SET_LOCK_MEMORY), "try");
    CU_ASSERT_STRING_EQUAL(kl_conf_text(token(), KL_SET_STORE), "sqlite:/var/lib/key ladder/pr=od;1.db");
    CU_ASSERT_STRING_EQUAL(kl_conf_item(token(), KL_SET_ROOTS, 0), "a");
    CU_ASSERT_STRING_EQUAL(kl_conf_item(token(), KL_SET_ROOTS, 1), "b-2");
    CU_ASSERT_STRING_EQUAL(kl_conf_item(token(), KL_SET_ROOTS, 2), "c.d");
    CU_ASSERT_PTR_NULL(kl_conf_item(token(), KL_SET_ROOTS, 3));
    CU_ASSERT_STRING_EQUAL(kl_conf_text(token(), KL_SET_ENVIRONMENT), "Zürich 1");
    CU_ASSERT_EQUAL(kl_conf_number(token(), KL_SET_CACHE_TTL), 90 * 86400);
    CU_ASSERT_FALSE(kl_conf_is(token(), KL_SET_LIST_MASTER));
    CU_ASSERT_STRING_EQUAL(kl_conf_text(token(), KL_SET_ENVELOPE), "xaes-256-gcm");
    CU_ASSERT_STRING_EQUAL(kl_conf_text(token(), KL_SET_ON_EXPIRY), "serve");
    CU_ASSERT_STRING_EQUAL(kl_conf_text(token(), KL_SET_PIN), "env:PIN");
    CU_ASSERT_EQUAL(kl_conf_number(token(), KL_SET_PIN_MEMORY), 1 << 30);
    CU_ASSERT_EQUAL(kl_conf_number(token(), KL_SET_STORE_TIMEOUT), 120);
    CU_ASSERT_EQUAL(kl_conf_count(conf, KL_CONF_ROOT), 3);
    CU_ASSERT_STRING_EQUAL(kl_conf_name(kl_conf_at(conf, KL_CONF_ROOT, 2)), "c.d");
    CU_ASSERT_EQUAL(kl_conf_number(kl_conf_at(conf, KL_CONF_ROOT, 0), KL_SET_PASSPHRASE_MEMORY), 8 << 20);
    CU_ASSERT_STRING_EQUAL(kl_conf_text(kl_conf_at(conf, KL_CONF_LOG, 0), KL_SET_LOG_TARGET), "file:/var/log/x y.log");
}

static void a_setting_of_another_section_has_no_value(void)
{
    CU_ASSERT_EQUAL_FATAL(load(SMALLEST), KL_OK);
    CU_ASSERT_PTR_NULL(kl_conf_text(token(), KL_SET_LOG_LEVEL));
    CU_ASSERT_PTR_NULL(kl_conf_item(token(), KL_SET_STORE, 0));
    CU_ASSERT_EQUAL(kl_conf_number(token(), KL_SET_PASSPHRASE_MEMORY), 0);
}

static void lines_of_1000_bytes_reach_the_value_whole(void)
{
    static char text[3000];
    size_t len;

    snprintf(text, sizeof text, "%s[log]\ntarget = file:/", SMALLEST);
    len = strlen(text);
    memset(text + len, 'x', 1000 - strlen("target = file:/"));
    CU_ASSERT_EQUAL_FATAL(load(text), KL_OK);
    CU_ASSERT_EQUAL(strlen(kl_conf_text(kl_conf_at(conf, KL_CONF_LOG, 0), KL_SET_LOG_TARGET)), 1000 - strlen("target = "));
    memcpy(text + strlen(text), "y", 2);
    refused(text, 8, "longer than 1000 bytes");
}

/* --- what is refused ----------------------------------------------------- */

static void unknown_settings_and_sections_are_refused(void)
{
    refused("[module]\nfork = reset\nforks = reset\n", 3, "[module] has no setting `forks`");
    refused("[token \"demo\"]\npassphrase = file:/x\n", 2, "[token \"demo\"] has no setting `passphrase`");
    refused("[module]\nFork = reset\n", 2, "no setting `Fork`");
    refused("[modules]\n", 1, "write [module], [token \"name\"]");
    refused("[audit]\n", 1, "no such section");
    refused("fork = reset\n[module]\n", 1, "before the first section");
}

static void sections_that_are_not_titled_as_they_must_be_are_refused(void)
{
    static const char *const wrong[] = { "[",
                                         "[]",
                                         "[token]",
                                         "[token demo]",
                                         "[token \"demo]",
                                         "[token \"\"]",
                                         "[token  \"demo\"]",
                                         "[token\"demo\"]",
                                         "[token 'demo']",
                                         "[module \"x\"]",
                                         "[token \"a b\"]",
                                         "[token \"a,b\"]",
                                         "[token \"demo\"] x",
                                         "[token \"demo\" ]",
                                         "[ module]",
                                         "[module ]",
                                         "[token \"\xC3\xBC\"]",
                                         "[token \"01234567890123456789012345678901234567890\"]",
                                         "[module",
                                         "[[module]]" };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) refused(wrong[i], 1, "there is no such section");
    CU_ASSERT_EQUAL(load("[root \"0123456789012345678901234567890123456789\"]\ntype=local\npassphrase=prompt"), KL_OK);
}

static void lines_that_are_no_settings_are_refused_and_not_quoted(void)
{
    static const char *const wrong[] = { "fork",  "hunter2",           "= reset", "fork : reset",       "fo rk = reset",
                                         "fork.", "reset = = = =\x01", ": x",     "f\xC3\xBCrk = reset" };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[100];

        snprintf(text, sizeof text, "[module]\n\n%s\n", wrong[i]);
        refused(text, 3, "");
        CU_ASSERT_PTR_NULL(strstr(kl_fail_words(), "hunter2"));
    }
}

static void a_setting_or_section_that_comes_twice_is_refused(void)
{
    refused("[module]\nfork = reset\nlock_memory = try\nfork = reset\n", 4, "`fork` is set already, in line 2");
    refused("[module]\n[log]\n[module]\n", 3, "[module] is there already, in line 1");
    refused(SMALLEST "[token \"demo\"]\n", 7, "[token \"demo\"] is there already, in line 1");
}

static void an_indented_line_is_not_a_continuation(void)
{
    refused("[module]\nfork = reset\n  lock_memory = perhaps\n", 3, "`lock_memory` cannot be \"perhaps\"");
    refused("[module]\nfork = reset\n  and more\n", 3, "this is no setting");
}

static void what_is_required_and_missing_is_refused(void)
{
    refused("[token \"demo\"]\nroots = local\n", 1, "lacks `store`; write store = sqlite:/PATH");
    refused("[log]\n[token \"demo\"]\nstore = sqlite:/x\n", 2, "lacks `roots`; write roots = the name of a [root");
    refused("[root \"local\"]\n", 1, "lacks `type`; write type = local");
    refused("[root \"local\"]\ntype = local\n", 1, "lacks `passphrase`; write passphrase = file:/PATH");
}

static void values_of_the_wrong_form_are_refused_with_the_right_one(void)
{
    static const struct {
        const char *line, *part;
    } wrong[] = {
        { "[module]\nfork = copy", "write fork = reset" },
        { "[module]\nlock_memory = requir", "required | try" },
        { "[module]\nlock_memory = required | try", "required | try" },
        { "[module]\nlock_memory = |", "required | try" },
        { "[log]\ntarget = file:log", "syslog | none | file:/PATH" },
        { "[log]\ntarget = file:/", "syslog | none | file:/PATH" },
        { "[log]\nlevel = loud", "error | warning | notice" },
        { "[root \"a\"]\ntype = aws", "write type = local" },
        { "[token \"a\"]\nstore = /var/lib/x.db", "sqlite:/PATH" },
        { "[token \"a\"]\nstore = sqlite:x.db", "sqlite:/PATH" },
        { "[token \"a\"]\nstore = sqlite:/", "sqlite:/PATH" },
        { "[token \"a\"]\nlist_master = true", "yes | no" },
        { "[token \"a\"]\nlist_master = YES", "yes | no" },
        { "[token \"a\"]\nenvironment = 01234567890123456789012345678901234567890123456789012345678901234", "64 characters" },
        { "[token \"a\"]\ncache_ttl = 3600", "30s, 5m, 1h or 90d" },
        { "[token \"a\"]\ncache_ttl = 1 h", "30s, 5m, 1h or 90d" },
        { "[token \"a\"]\ncache_ttl = h", "30s, 5m, 1h or 90d" },
        { "[token \"a\"]\ncache_ttl = -1h", "30s, 5m, 1h or 90d" },
        { "[token \"a\"]\ncache_ttl = 1h30m", "30s, 5m, 1h or 90d" },
        { "[token \"a\"]\ncache_ttl = 1H", "30s, 5m, 1h or 90d" },
        { "[token \"a\"]\ncache_ttl = 99999999999999999999d", "30s, 5m, 1h or 90d" },
        { "[token \"a\"]\ncache_ttl = 0s", "from 1s to 365d" },
        { "[token \"a\"]\ncache_ttl = 366d", "from 1s to 365d" },
        { "[token \"a\"]\nstore_timeout = 2h", "from 1s to 1h" },
        { "[token \"a\"]\npin_memory = 64MB", "64MiB or 1GiB" },
        { "[token \"a\"]\npin_memory = 67108864", "64MiB or 1GiB" },
        { "[token \"a\"]\npin_memory = 8191KiB", "from 8MiB to 1GiB" },
        { "[token \"a\"]\npin_memory = 2GiB", "from 8MiB to 1GiB" },
        { "[token \"a\"]\npin_memory = 999999999999GiB", "GiB" },
    };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) refused(wrong[i].line, 2, wrong[i].part);
}

static void mistakes_that_would_become_part_of_a_value_are_refused(void)
{
    refused("[module]\nfork =\n", 2, "`fork` has no value");
    refused("[token \"a\"]\nstore = \"sqlite:/x\"\n", 2, "without quotation marks");
    refused("[token \"a\"]\nenvironment = 'prod'\n", 2, "without quotation marks");
    refused("[token \"a\"]\nstore = sqlite:/x.db ; the store\n", 2, "a line of its own");
    refused("[token \"a\"]\nenvironment = prod\t# where\n", 2, "a line of its own");
}

static void lists_of_roots_that_make_no_sense_are_refused(void)
{
    static const char *const wrong[] = { ",", "a,", ",a", "a,,b", "a b", "a, b c", "a;b", "\xC3\xBC" };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[100];

        snprintf(text, sizeof text, "[token \"a\"]\nroots = %s\n", wrong[i]);
        refused(text, 2, "write roots = first, second");
    }
    refused("[token \"a\"]\nroots = a, b, a\n", 2, "names a twice");
    refused("[token \"a\"]\nstore = sqlite:/x\n\nroots = nobody\n", 4, "there is no section [root \"nobody\"]");
    refused("[token \"a\"]\nstore = sqlite:/x\nroots = module\n[module]\n", 3, "there is no section [root \"module\"]");
}

static void a_secret_in_the_place_of_its_source_is_refused_and_not_repeated(void)
{
    static const char *const wrong[] = { "hunter2", "file:hunter2",    "file:",          "env:",          "env:hunter2=x",
                                         "cred:",   "cred:../hunter2", "cred:..",        "fd:",           "fd:hunter2",
                                         "fd:-1",   "fd:1234567",      "prompt:hunter2", "FILE:/hunter2", "http://hunter2" };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[100];

        snprintf(text, sizeof text, "[token \"a\"]\npin = %s\n", wrong[i]);
        refused(text, 2, "`pin`: write ");
        CU_ASSERT_PTR_NULL(strstr(kl_fail_words(), "hunter2"));
    }
}

static void two_tokens_with_one_store_are_refused(void)
{
    refused(SMALLEST "[token \"b\"]\nstore = sqlite:/tmp/demo.db\nroots = local\n", 8, "[token \"demo\"] has this store already");
    refused(SMALLEST "[token \"b\"]\nroots = local\nstore = sqlite://tmp/.//./demo.db\n", 9, "[token \"demo\"] has this store already");
    CU_ASSERT_EQUAL(load(SMALLEST "[token \"b\"]\nstore = sqlite:/tmp/.demo.db\nroots = local\n"), KL_OK);
}

static void bytes_that_no_text_has_are_refused_with_their_line(void)
{
    refused_bytes(kl_view_of("[module]\nfork = re\0set\n", 23), 2, "NUL");
    refused_bytes(kl_view_of("[module]\n\0", 10), 2, "NUL");
    refused("[module]\r\nfork = reset\r\n", 1, "CR LF");
    refused("[module]\n; \xFF\n", 2, "not UTF-8");
    refused("\xEF\xBB\xBF[module]\n", 1, "byte order mark");
    refused("[module]\n# \033[2J\n", 2, "control character");
}

static void a_file_that_is_too_long_is_refused(void)
{
    enum { TOO_LONG = (1 << 20) + 1 };
    static char text[TOO_LONG + 1];

    for (size_t i = 0; i < TOO_LONG; i++) text[i] = i % 100 == 99 ? '\n' : '#';
    text[TOO_LONG - 1] = '\0';
    CU_ASSERT_EQUAL(load(text), KL_OK);
    text[TOO_LONG - 1] = '\n';
    CU_ASSERT_EQUAL(load(text), KL_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(kl_fail_words(), "larger than 1 MiB"));
}

static void a_file_of_too_many_sections_is_refused(void)
{
    static char text[100000];
    size_t len = 0;

    for (unsigned i = 0; i < 1001; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "[root \"r%u\"]\ntype=local\npassphrase=prompt\n", i);
    refused(text, 3001, "more than 1000 sections");
}

static void a_file_that_is_missing_is_not_found(void)
{
    CU_ASSERT_EQUAL(load(SMALLEST), KL_OK);
    kl_conf_free(conf);
    conf = NULL;
    unlink(path);
    CU_ASSERT_EQUAL(kl_conf_load(path, &conf), KL_NOT_FOUND);
    CU_ASSERT_PTR_NOT_NULL(strstr(kl_fail_words(), path));
    CU_ASSERT_PTR_NULL(conf);
}

static void a_path_below_the_working_directory_is_refused(void)
{
    CU_ASSERT_EQUAL(kl_conf_load("keyladder.conf", &conf), KL_CONFIG);
    CU_ASSERT_EQUAL(kl_conf_load("", &conf), KL_CONFIG);
}

static void what_is_not_a_file_is_refused(void)
{
    CU_ASSERT_EQUAL(kl_conf_load(dir, &conf), KL_CONFIG);
    unlink(path);
    CU_ASSERT_EQUAL(mkfifo(path, 0600), 0);
    CU_ASSERT_EQUAL(kl_conf_load(path, &conf), KL_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(kl_fail_words(), "is not a file"));
    unlink(path);
}

static void a_file_that_others_may_write_is_refused(void)
{
    static const mode_t wrong[] = { 0620, 0602, 0666, 0660 };

    write_bytes(kl_view_text(SMALLEST));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CU_ASSERT_EQUAL(chmod(path, wrong[i]), 0);
        CU_ASSERT_EQUAL(kl_conf_load(path, &conf), KL_PERMISSION);
        CU_ASSERT_PTR_NOT_NULL(strstr(kl_fail_words(), "chmod 06"));
    }
    CU_ASSERT_EQUAL(chmod(path, 0644), 0);
    CU_ASSERT_EQUAL(kl_conf_load(path, &conf), KL_OK);
}

static void a_file_of_another_user_is_refused(void)
{
    if (geteuid() != 0) return;
    write_bytes(kl_view_text(SMALLEST));
    CU_ASSERT_EQUAL(chown(path, 12345, 0), 0);
    CU_ASSERT_EQUAL(kl_conf_load(path, &conf), KL_PERMISSION);
    CU_ASSERT_PTR_NOT_NULL(strstr(kl_fail_words(), "12345"));
    unlink(path);
}

static void memory_that_runs_short_anywhere_is_told(void)
{
    bool failed = true;
    unsigned tries = 0;

    CU_ASSERT_EQUAL(load(SMALLEST), KL_OK);
    for (unsigned i = 1; failed; i++) {
        struct kl_conf *loaded = NULL;
        enum kl_rc rc;

        failing_memory(i);
        rc = kl_conf_load(path, &loaded);
        failed = failing_has_failed();
        failing_memory(0);
        CU_ASSERT_EQUAL(rc, failed ? KL_MEMORY : KL_OK);
        CU_ASSERT_EQUAL(loaded == NULL, failed);
        kl_conf_free(loaded);
        tries++;
    }
    CU_ASSERT_TRUE(tries > 20);
}

/* Every file that one byte away from the smallest gives is either read or refused with file and line. */
static void a_byte_changed_anywhere_is_read_or_refused_with_its_line(void)
{
    static const char others[] = "\0\n\r [];#=\"\\x\x80,:/";
    char text[sizeof SMALLEST];

    for (size_t at = 0; at + 1 < sizeof text; at++) {
        for (size_t i = 0; i + 1 < sizeof others; i++) {
            enum kl_rc rc;

            memcpy(text, SMALLEST, sizeof text);
            text[at] = others[i];
            rc = load_bytes(kl_view_of(text, sizeof text - 1));
            if (rc != KL_OK &&
                (rc != KL_CONFIG || strncmp(kl_fail_words(), path, strlen(path)) != 0 || kl_fail_words()[strlen(path)] != ':'))
                CU_FAIL("refused without file and line");
        }
    }
}

/* --- where it is, and the table ------------------------------------------ */

static const char *found(void)
{
    static char out[200];

    kl_conf_path(out, sizeof out);
    return out;
}

static void the_environment_says_where_the_file_is(void)
{
    char below[100], file[140];

    setenv("KEYLADDER_CONF", "/nowhere/k.conf", 1);
    CU_ASSERT_STRING_EQUAL(found(), "/nowhere/k.conf");
    setenv("KEYLADDER_CONF", "", 1);
    setenv("XDG_CONFIG_HOME", dir, 1);
    setenv("HOME", "/nowhere", 1);
    CU_ASSERT_STRING_EQUAL(found(), "/etc/keyladder/keyladder.conf");
    snprintf(below, sizeof below, "%s/keyladder", dir);
    snprintf(file, sizeof file, "%s/keyladder.conf", below);
    mkdir(below, 0700);
    close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    CU_ASSERT_STRING_EQUAL(found(), file);
    unsetenv("XDG_CONFIG_HOME");
    CU_ASSERT_STRING_EQUAL(found(), "/etc/keyladder/keyladder.conf");
    unlink(file);
    rmdir(below);
}

static void the_home_directory_is_looked_into_when_xdg_names_none(void)
{
    char config[100], below[120], file[150];

    snprintf(config, sizeof config, "%s/.config", dir);
    snprintf(below, sizeof below, "%s/keyladder", config);
    snprintf(file, sizeof file, "%s/keyladder.conf", below);
    mkdir(config, 0700);
    mkdir(below, 0700);
    close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    unsetenv("KEYLADDER_CONF");
    unsetenv("XDG_CONFIG_HOME");
    setenv("HOME", dir, 1);
    CU_ASSERT_STRING_EQUAL(found(), file);
    setenv("XDG_CONFIG_HOME", "relative", 1);
    CU_ASSERT_STRING_EQUAL(found(), file);
    unlink(file);
    rmdir(below);
    rmdir(config);
}

static void every_setting_has_words_for_the_manual(void)
{
    for (int i = 0; i < KL_SETTINGS; i++) {
        struct kl_setting_words words = kl_setting_words((enum kl_setting)i);

        CU_ASSERT_TRUE(strlen(words.name) > 2 && strlen(words.form) > 2);
        CU_ASSERT_TRUE(strlen(words.words) > 20 && words.words[strlen(words.words) - 1] == '.');
        CU_ASSERT_TRUE(words.kind < KL_CONF_KINDS);
    }
    CU_ASSERT_STRING_EQUAL(kl_setting_words(KL_SET_LOG_LEVEL).name, "level");
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        UNIT(the_smallest_configuration_is_filled_with_defaults),
        UNIT(an_empty_file_has_module_and_log_and_no_token),
        UNIT(everything_that_is_set_is_read),
        UNIT(a_setting_of_another_section_has_no_value),
        UNIT(lines_of_1000_bytes_reach_the_value_whole),
        UNIT(unknown_settings_and_sections_are_refused),
        UNIT(sections_that_are_not_titled_as_they_must_be_are_refused),
        UNIT(lines_that_are_no_settings_are_refused_and_not_quoted),
        UNIT(a_setting_or_section_that_comes_twice_is_refused),
        UNIT(an_indented_line_is_not_a_continuation),
        UNIT(what_is_required_and_missing_is_refused),
        UNIT(values_of_the_wrong_form_are_refused_with_the_right_one),
        UNIT(mistakes_that_would_become_part_of_a_value_are_refused),
        UNIT(lists_of_roots_that_make_no_sense_are_refused),
        UNIT(a_secret_in_the_place_of_its_source_is_refused_and_not_repeated),
        UNIT(two_tokens_with_one_store_are_refused),
        UNIT(bytes_that_no_text_has_are_refused_with_their_line),
        UNIT(a_file_that_is_too_long_is_refused),
        UNIT(a_file_of_too_many_sections_is_refused),
        UNIT(a_file_that_is_missing_is_not_found),
        UNIT(a_path_below_the_working_directory_is_refused),
        UNIT(what_is_not_a_file_is_refused),
        UNIT(a_file_that_others_may_write_is_refused),
        UNIT(a_file_of_another_user_is_refused),
        UNIT(memory_that_runs_short_anywhere_is_told),
        UNIT(a_byte_changed_anywhere_is_read_or_refused_with_its_line),
        UNIT(the_environment_says_where_the_file_is),
        UNIT(the_home_directory_is_looked_into_when_xdg_names_none),
        UNIT(every_setting_has_words_for_the_manual),
    };
    int status;

    if (mkdtemp(dir) == NULL) return 1;
    snprintf(path, sizeof path, "%s/keyladder.conf", dir);
    status = unit_run("base/conf", tests, sizeof tests / sizeof *tests);
    kl_conf_free(conf);
    unlink(path);
    rmdir(dir);
    return status;
}
