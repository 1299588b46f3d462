/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Every setting there is. keyladder.conf(5) is made of this table by tools/gen/conf_man. */
#include "base/conf_parts.h"

#include <string.h>

#define MIB ((int64_t)1 << 20)
#define DAY ((int64_t)86400)

#define SOURCE_FORM "source of a secret"

static const struct kl_conf_row settings[] = {
    [KL_SET_FORK] = { { KL_CONF_MODULE, "fork", "reset | inherit", "reset",
                        "What a forked child finds. With \"reset\" every call answers CKR_CRYPTOKI_NOT_INITIALIZED until the child calls C_Initialize, "
                        "and the secrets of its parent are gone from its memory. With \"inherit\", for servers that fork a process for each connection, it goes "
                        "on with its own copy of sessions, logins and keys; an encryption that was under way is over in the child. Read when the host first asks "
                        "for interfaces, for CKF_INTERFACE_FORK_SAFE, and by C_Initialize, which decides.",
                        true },
                      KL_FORM_CHOICE,
                      0,
                      0,
                      NULL },
    [KL_SET_LOCK_MEMORY] = { { KL_CONF_MODULE, "lock_memory", "required | try", "required",
                               "Whether keys may be held in memory that could not be locked and might be swapped out. Where \"required\" is refused, raise "
                               "LimitMEMLOCK of the service (or ulimit -l): 100,000 keys take 5 MiB.",
                               true },
                             KL_FORM_CHOICE,
                             0,
                             0,
                             NULL },

    [KL_SET_STORE] = { { KL_CONF_TOKEN, "store", "sqlite:/PATH", NULL,
                         "Where the token's keys are kept, each sealed under its parent. Two tokens can't share a store.", true },
                       KL_FORM_CHOICE,
                       0,
                       0,
                       NULL },
    [KL_SET_ROOTS] = { { KL_CONF_TOKEN, "roots", "names of [root] sections, separated by commas", NULL,
                         "Who seals the token's master key; the first is preferred.", true },
                       KL_FORM_NAMES,
                       0,
                       0,
                       NULL },
    [KL_SET_ENVIRONMENT] = { { KL_CONF_TOKEN, "environment", "text", "",
                               "A name such as \"prod\" that is sealed into the token when it is made. A root that was sealed for another environment is refused.",
                               true },
                             KL_FORM_TEXT,
                             0,
                             0,
                             NULL },
    [KL_SET_CACHE_TTL] = { { KL_CONF_TOKEN, "cache_ttl", "duration", "1h",
                             "How long an unsealed root may be held in memory before its provider is asked again.", true },
                           KL_FORM_DURATION,
                           1,
                           365 * DAY,
                           NULL },
    [KL_SET_LIST_MASTER] = { { KL_CONF_TOKEN, "list_master", "yes | no", "yes",
                               "Whether searches show the master key. It is a secret key of type CKK_HKDF, which some callers cannot cope with.",
                               true },
                             KL_FORM_BOOL,
                             0,
                             0,
                             NULL },
    [KL_SET_POLICY] = { { KL_CONF_TOKEN, "policy", "standard | strict | compatible", "standard",
                          "What clients may do with keys. \"standard\" serves every stock client: one role a key, safe values for what a template leaves out, "
                          "sensitive keys leave only under a trusted wrapping key. \"strict\" adds that the token makes every IV, that a key stays with the "
                          "mechanism of its first use, and that no readable or constant key is stored. \"compatible\" lets keys outside the ladder have several roles, "
                          "wrap without trust and use CBC for wrapping, for callers such as Barbican. Ladder keys are equally safe under all three.",
                          true },
                        KL_FORM_CHOICE,
                        0,
                        0,
                        NULL },
    [KL_SET_ENVELOPE] = { { KL_CONF_TOKEN, "envelope", "aes-256-gcm | xaes-256-gcm", "aes-256-gcm",
                            "How envelopes (CKM_KL_ENVELOPE, keyladder encrypt --envelope) are sealed from now on. XAES has a nonce of 24 bytes, so that one "
                            "version of a key seals any number of values safely; every envelope is 12 bytes longer. Keys of type CKK_CHACHA20 seal with "
                            "ChaCha20-Poly1305 all the same. Envelopes of every kind open under either.",
                            true },
                          KL_FORM_CHOICE,
                          0,
                          0,
                          NULL },
    [KL_SET_ENGINE] = { { KL_CONF_TOKEN, "engine", "auto | openssl | ipsec-mb", "auto",
                          "Who does AES-GCM and ChaCha20-Poly1305. \"auto\": Intel's IPsec Multi-Buffer library (libipsec-mb) where it is installed and the "
                          "processor has AES instructions, else OpenSSL. \"ipsec-mb\" refuses to do without the library. Both give the same bytes, and "
                          "open what the other sealed. IVs of other lengths than 12 bytes are OpenSSL's always.",
                          true },
                        KL_FORM_CHOICE,
                        0,
                        0,
                        NULL },
    [KL_SET_ON_EXPIRY] = { { KL_CONF_TOKEN, "on_expiry", "refuse | serve", "refuse",
                             "Whether a loaded key stops or goes on when something runs out. Under AES-GCM and ChaCha20-Poly1305 one version of a key "
                             "encrypts 2^32 times, counted over all processes, and is due for rotation at half of that; beyond, an IV may come twice, which "
                             "gives texts away. With \"refuse\" encryption then fails, and so it does when it cannot be counted because the store cannot be "
                             "written. With \"serve\", for databases that must not stop, both go on, and the log has it as an error. Decryption always goes on.",
                             true },
                           KL_FORM_CHOICE,
                           0,
                           0,
                           NULL },
    [KL_SET_PIN] = { { KL_CONF_TOKEN, "pin", SOURCE_FORM, "",
                       "The user PIN for keyladder(1) and its timers when nobody is there to type it. C_Login always takes its PIN from the caller.",
                       false },
                     KL_FORM_SOURCE,
                     0,
                     0,
                     NULL },
    [KL_SET_PIN_MEMORY] = { { KL_CONF_TOKEN, "pin_memory", "size", "64MiB",
                              "Memory that one try of a PIN costs (Argon2id), for PINs set from now on. PINs of the form kl1_... need none.",
                              true },
                            KL_FORM_SIZE,
                            8 * MIB,
                            1024 * MIB,
                            NULL },
    [KL_SET_STORE_TIMEOUT] = { { KL_CONF_TOKEN, "store_timeout", "duration", "30s",
                                 "How long to wait for other processes that hold the store before a call fails.", true },
                               KL_FORM_DURATION,
                               1,
                               3600,
                               NULL },

    [KL_SET_TYPE] = { { KL_CONF_ROOT, "type", "local", NULL, "Who holds the root. \"local\": this machine, protected by a passphrase.",
                        true },
                      KL_FORM_CHOICE,
                      0,
                      0,
                      NULL },
    [KL_SET_PASSPHRASE] = { { KL_CONF_ROOT, "passphrase", SOURCE_FORM, NULL,
                              "The passphrase that protects the root. It is read whenever the root is opened.", true },
                            KL_FORM_SOURCE,
                            0,
                            0,
                            "local" },
    [KL_SET_PASSPHRASE_MEMORY] = { { KL_CONF_ROOT, "passphrase_memory", "size", "64MiB",
                                     "Memory that one try of the passphrase costs (Argon2id), for what is sealed from now on. Passphrases of the form kl1_... need none.",
                                     true },
                                   KL_FORM_SIZE,
                                   8 * MIB,
                                   1024 * MIB,
                                   "local" },

    [KL_SET_LOG_TARGET] = { { KL_CONF_LOG, "target", "syslog | none | file:/PATH", "syslog",
                              "Where the module tells what an administrator should know. Never standard output or standard error: those belong to the program "
                              "that loaded the module. A file is appended to and made anew when it was moved away.",
                              true },
                            KL_FORM_CHOICE,
                            0,
                            0,
                            NULL },
    [KL_SET_LOG_LEVEL] = { { KL_CONF_LOG, "level", "error | warning | notice | info | debug", "notice",
                             "The least level worth keeping. No level shows a secret.", true },
                           KL_FORM_CHOICE,
                           0,
                           0,
                           NULL },
};

_Static_assert(sizeof settings / sizeof *settings == KL_SETTINGS, "a row for each setting");

const struct kl_conf_row *kl_conf_row(enum kl_setting setting)
{
    return &settings[(unsigned)setting < KL_SETTINGS ? setting : 0];
}

enum kl_setting kl_conf_row_find(enum kl_conf_kind kind, const char *name)
{
    unsigned i = 0;

    while (i < KL_SETTINGS && (settings[i].words.kind != kind || strcmp(settings[i].words.name, name) != 0)) i++;
    return (enum kl_setting)i;
}

struct kl_setting_words kl_setting_words(enum kl_setting setting)
{
    return kl_conf_row(setting)->words;
}
