/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The module that a contender's process has loaded, between opening it (bench_p11.c) and working with it (bench_p11_work.c). */
#ifndef KL_TOOLS_BENCH_P11_H
#define KL_TOOLS_BENCH_P11_H

#include <keyladder/pkcs11.h>
#include <stdbool.h>

#include "base/secret.h"
#include "bench_contender.h"

/* One session key for each use: under some policies a key has a single one. */
enum kl_bench_key { KL_BENCH_KEY_AES, KL_BENCH_KEY_ENVELOPE, KL_BENCH_KEY_CHACHA, KL_BENCH_KEY_MAC, KL_BENCH_KEY_DERIVE, KL_BENCH_KEYS };

struct kl_bench_module {
    CK_FUNCTION_LIST *p11;
    CK_FUNCTION_LIST_3_0 *messages; /* NULL: older than 3.0 */
    KL_FUNCTION_LIST *keyladder;    /* NULL: another module */
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE keeper; /* owns the keys, keeps the login */
};
extern struct kl_bench_module kl_bench_module;

/* Loads the module, finds or makes its token, logs in where there is a PIN. What went wrong is in `words`. */
KL_MUST_USE bool kl_bench_p11_open(const struct kl_bench_contender *contender, const struct kl_secret *pin, const struct kl_secret *so_pin,
                                   char words[KL_BENCH_WORDS]);

/* Made when first asked for, by the thread that prepares. */
CK_RV kl_bench_key_get(enum kl_bench_key which, CK_OBJECT_HANDLE *key);
/* KL_BENCH_FOUND session keys with the labels that kl_bench_key_label gives. */
CK_RV kl_bench_keys_fill(void);
void kl_bench_key_label(unsigned number, char out[32]);

#endif
