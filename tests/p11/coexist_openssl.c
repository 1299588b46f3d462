/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A host that uses the OpenSSL that we use, with a configuration of its own, be it one that loads us, or a broken one. */
#include "coexist.h"

#include <dlfcn.h>
#include <errno.h>
#include <glob.h>
#include <unistd.h>

enum { LOAD_CONFIG = 0x40 };
#define CALL(result, name, ...) static result (*name)(__VA_ARGS__)
CALL(int, OPENSSL_init_crypto, uint64_t, const void *);
CALL(void *, EVP_MD_fetch, void *, const char *, const char *);
CALL(void, EVP_MD_free, void *);
CALL(void *, EVP_get_cipherbyname, const char *);
CALL(void *, ENGINE_by_id, const char *);
CALL(int, ENGINE_init, void *);
CALL(void *, ENGINE_load_private_key, void *, const char *, void *, void *);
CALL(int, EVP_Q_digest, void *, const char *, const char *, const void *, size_t, unsigned char *, size_t *);
CALL(int, RAND_bytes, unsigned char *, int);
CALL(unsigned long, ERR_peek_error, void);
CALL(unsigned long, ERR_peek_last_error, void);
CALL(unsigned long, ERR_get_error, void);
CALL(void, ERR_clear_error, void);
CALL(void *, OSSL_LIB_CTX_set0_default, void *);

static void host_load(void)
{
    void *crypto = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_GLOBAL);

    if (!crypto) die_at(__FILE__, __LINE__, "%s", dlerror());
#define FIND(name) \
    if (!(*(void **)&(name) = dlsym(crypto, #name))) die_at(__FILE__, __LINE__, "no %s", #name)
    FIND(OPENSSL_init_crypto);
    FIND(EVP_MD_fetch);
    FIND(EVP_MD_free);
    FIND(EVP_get_cipherbyname);
    FIND(ENGINE_by_id);
    FIND(ENGINE_init);
    FIND(ENGINE_load_private_key);
    FIND(EVP_Q_digest);
    FIND(RAND_bytes);
    FIND(ERR_peek_error);
    FIND(ERR_peek_last_error);
    FIND(ERR_get_error);
    FIND(ERR_clear_error);
    FIND(OSSL_LIB_CTX_set0_default);
}

static bool has_sha256(void)
{
    void *md = EVP_MD_fetch(NULL, "SHA2-256", NULL);

    EVP_MD_free(md);
    return md != NULL;
}

static void configure_host(const char *text)
{
    char path[4200];
    FILE *file;

    snprintf(path, sizeof path, "%s/openssl.cnf", sandbox_dir);
    file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0) die_at(__FILE__, __LINE__, "%s: %s", path, strerror(errno));
    setenv("OPENSSL_CONF", path, 1);
}

/* ---- configurations that are of no use ---- */

static const struct {
    const char *name, *text;
    enum { YES, NO, EITHER } hashes; /* whether the host has SHA-256 left; that is for its version to say */
} configurations[] = {
    { "one that is none", "this is [ no = configuration\n", YES },
    { "a provider that is not there",
      "config_diagnostics = 1\nopenssl_conf = a\n[a]\nproviders = b\n[b]\nlost = c\n[c]\nmodule = /nonexistent/lost.so\nactivate = 1\n",
      EITHER },
    { "fips by default", "openssl_conf = a\n[a]\nalg_section = b\n[b]\ndefault_properties = fips=yes\n", NO },
    { "the legacy provider alone", "openssl_conf = a\n[a]\nproviders = b\n[b]\nlegacy = c\n[c]\nactivate = 1\n", NO },
};

/* It is the configuration that is meant, and the host has read it. */
static void host_is(size_t number)
{
    OPENSSL_init_crypto(LOAD_CONFIG, NULL);
    CHECK(configurations[number].hashes == EITHER || has_sha256() == (configurations[number].hashes == YES));
}

static void host_first(void *number)
{
    configure_host(configurations[*(size_t *)number].text);
    host_load();
    host_is(*(size_t *)number);
    p11_load();
    exercise(configurations[*(size_t *)number].name);
    host_is(*(size_t *)number);
}

static void own_first(void *number)
{
    struct use use;
    char label[32];

    configure_host(configurations[*(size_t *)number].text);
    p11_load();
    use = use_begin();
    host_load();
    host_is(*(size_t *)number);
    snprintf(label, sizeof label, "own first, %zu", *(size_t *)number);
    use_on(&use, label);
    stop();
    use_again(&use, label);
    host_is(*(size_t *)number);
}

TEST(whatever_the_hosts_openssl_is_configured_to_be_ours_works)
{
    for (size_t i = 0; i < COUNT(configurations) && !failures; i++) {
        in_other_process(host_first, &i);
        in_other_process(own_first, &i);
        if (failures) printf("    with %s\n", configurations[i].name);
    }
}

/* ---- a configuration that leads to us: an engine ---- */

static const char *engine_path(void)
{
    static char path[512];
    glob_t found;

    if (glob("/usr/lib/*/engines-3/pkcs11.so", 0, NULL, &found) != 0) die_at(__FILE__, __LINE__, "no engine: libengine-pkcs11-openssl");
    snprintf(path, sizeof path, "%s", found.gl_pathv[0]);
    globfree(&found);
    return path;
}

static void configure_engine(void)
{
    char text[8192];

    snprintf(text, sizeof text,
             "openssl_conf = a\n[a]\nengines = b\n[b]\npkcs11 = c\n[c]\nengine_id = pkcs11\ndynamic_path = %s\nMODULE_PATH = %s\n"
             "PIN = %s\ninit = 1\n",
             engine_path(), getenv("P11_MODULE"), USER_PIN);
    configure_host(text);
}

static bool is_mapped(const char *file)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[4608];
    bool found = false;

    while (maps && fgets(line, sizeof line, maps)) found |= strstr(line, file) != NULL;
    if (maps) fclose(maps);
    return found;
}

/* The engine is made to look for a key, and so to load us, find a token and log in. */
static void use_engine(void)
{
    void *engine;

    CHECK(OPENSSL_init_crypto(LOAD_CONFIG, NULL) == 1);
    engine = ENGINE_by_id("pkcs11");
    CHECK(engine && is_mapped("/engines-3/"));
    if (!engine) return;
    CHECK(ENGINE_init(engine) == 1);
    CHECK(!ENGINE_load_private_key(engine, "pkcs11:token=" TOKEN_LABEL ";object=none;type=private", NULL, NULL));
    ERR_clear_error();
}

static void host_works(void)
{
    unsigned char random[16];

    CHECK(RAND_bytes(random, sizeof random) == 1 && has_sha256() && EVP_get_cipherbyname("AES-128-CBC"));
}

static void engine_first(void *unused)
{
    CK_ULONG count = 0;

    (void)unused;
    configure_engine();
    host_load();
    use_engine();
    CHECK(is_mapped(getenv("P11_MODULE")));
    host_works();
    p11_load();
    EXPECT(p11->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    NEED(p11->C_GetSlotList(CK_TRUE, NULL, &count));
    CHECK(count == 2);
    NEED(p11->C_Finalize(NULL));
    exercise("engine");
    host_works();
}

static void engine_second(void *unused)
{
    struct use use;

    (void)unused;
    configure_engine();
    p11_load();
    use = use_begin();
    CHECK(!is_mapped("/engines-3/"));
    host_load();
    use_engine();
    host_works();
    use_on(&use, "beside the engine");
    stop();
    use_again(&use, "beside the engine");
    host_works();
}

TEST(an_openssl_whose_engine_loads_us_does_so_and_nothing_hangs)
{
    in_other_process(engine_first, NULL);
    in_other_process(engine_second, NULL);
}

/* ---- and a provider ---- */

static void configure_provider(void)
{
    char text[8192];

    snprintf(text, sizeof text,
             "openssl_conf = a\n[a]\nproviders = b\n[b]\ndefault = c\npkcs11 = d\n[c]\nactivate = 1\n[d]\nmodule = %s\n"
             "pkcs11-module-path = %s\npkcs11-module-token-pin = %s\npkcs11-module-load-behavior = early\nactivate = 1\n",
             getenv("P11_PROVIDER"), getenv("P11_MODULE"), USER_PIN);
    configure_host(text);
}

/* SHA-256 of "hello" by the provider of that name. */
static bool digests(const char *query)
{
    static const unsigned char want[] = { 0x2c, 0xf2, 0x4d, 0xba, 0x5f, 0xb0, 0xa3, 0x0e, 0x26, 0xe8, 0x3b, 0x2a, 0xc5, 0xb9, 0xe2, 0x9e,
                                          0x1b, 0x16, 0x1e, 0x5c, 0x1f, 0xa7, 0x42, 0x5e, 0x73, 0x04, 0x33, 0x62, 0x93, 0x8b, 0x98, 0x24 };
    unsigned char out[64];
    size_t len = sizeof out;
    bool done = EVP_Q_digest(NULL, "SHA256", query, "hello", 5, out, &len) == 1;

    ERR_clear_error();
    if (done) CHECK(len == sizeof want && memcmp(out, want, len) == 0);
    return done;
}

static void use_provider(void)
{
    CHECK(OPENSSL_init_crypto(LOAD_CONFIG, NULL) == 1);
    CHECK(is_mapped(getenv("P11_PROVIDER")) && is_mapped(getenv("P11_MODULE")));
    CHECK(digests("provider=default") && !digests("provider=none"));
    CHECK(digests("provider=pkcs11"));
}

static void provider_first(void)
{
    CK_ULONG count = 0;

    configure_provider();
    host_load();
    CHECK(!is_mapped(getenv("P11_MODULE")));
    use_provider();
    host_works();
    p11_load();
    EXPECT(p11->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    NEED(p11->C_GetSlotList(CK_TRUE, NULL, &count));
    CHECK(count == 2);
    CHECK(digests("provider=pkcs11"));
    /* Ended for both: the provider fails, and the host's own goes on. */
    NEED(p11->C_Finalize(NULL));
    CHECK(!digests("provider=pkcs11") && digests("provider=default"));
    exercise("provider");
    host_works();
}

static void provider_second(void)
{
    struct use use;

    configure_provider();
    p11_load();
    use = use_begin();
    CHECK(!is_mapped(getenv("P11_PROVIDER")));
    host_load();
    use_provider();
    host_works();
    use_on(&use, "beside the provider");
    CHECK(digests("provider=pkcs11"));
    stop();
    use_again(&use, "beside the provider");
    host_works();
}

TEST(an_openssl_whose_provider_loads_us_does_so_and_nothing_hangs)
{
    if (!getenv("P11_PROVIDER")) skip("P11_PROVIDER names no pkcs11-provider (tests/integration/t_openssl fetches one)");
    ends_well(provider_first);
    ends_well(provider_second);
}

/* ---- its errors, its context ---- */

static unsigned queue_length(unsigned long *first, unsigned long *last)
{
    unsigned length = 0;

    *first = ERR_peek_error();
    *last = ERR_peek_last_error();
    while (ERR_get_error()) length++;
    return length;
}

TEST(the_hosts_error_queue_and_context_are_as_it_left_them)
{
    unsigned long first, last;
    void *context;

    host_load();
    p11_load();
    context = OSSL_LIB_CTX_set0_default(NULL);
    ERR_clear_error();
    exercise("empty queue");
    CHECK(queue_length(&first, &last) == 0);
    /* Two of the host's own; a third would be seen. */
    CHECK(!EVP_MD_fetch(NULL, "none", NULL) && !EVP_MD_fetch(NULL, "none", NULL));
    first = ERR_peek_error();
    exercise("full queue");
    CHECK(ERR_peek_error() == first && queue_length(&first, &last) == 2);
    CHECK(!EVP_MD_fetch(NULL, "none", NULL) && !EVP_MD_fetch(NULL, "none", NULL) && !EVP_MD_fetch(NULL, "none", NULL));
    CHECK(queue_length(&first, &last) == 3);
    CHECK(OSSL_LIB_CTX_set0_default(NULL) == context);
}

const struct test openssl_tests[] = {
    T(whatever_the_hosts_openssl_is_configured_to_be_ours_works, OURS | UNLOADED | SLOW),
    T(an_openssl_whose_engine_loads_us_does_so_and_nothing_hangs, OURS | UNLOADED),
    T(an_openssl_whose_provider_loads_us_does_so_and_nothing_hangs, OURS | UNLOADED),
    T(the_hosts_error_queue_and_context_are_as_it_left_them, OURS | UNLOADED),
    { NULL, NULL, 0 },
};
