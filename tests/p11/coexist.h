/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the tests of living with others share: every kind of call once, what a host has that must not change, and words. */
#ifndef COEXIST_H
#define COEXIST_H

#include "runner.h"

extern const struct test module_tests[], openssl_tests[], file_tests[], state_tests[], thread_tests[], unload_tests[];

/* The user logged in, a token key labelled "kept", and "hello" sealed under it. */
struct use {
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;
    CK_BYTE sealed[64];
    size_t len;
};
struct use use_begin(void);
/* What was sealed opens, a new token key is made and found by its label. */
void use_on(const struct use *use, const char *label);
/* In a process that has not begun yet: login, and "kept" opens what was sealed. */
void use_again(const struct use *use, const char *label);

/*
 * Every kind of work once, from C_Initialize to C_Finalize, failures included: a wrong PIN, a ciphertext that does not open, a
 * mechanism that there is not. `label` is that of a token key it makes.
 */
void exercise(const char *label);

/* Runs it in a process that leaves by exit(), with every atexit handler, and must not hang. */
void ends_well(void (*run)(void));

/* Why the last call failed, as KL_GetError has it. */
const char *last_words(void);
/* The log of the sandbox has these words. */
bool is_logged(const char *words);
/* Descriptors of this process that lead into the sandbox; their numbers, at most `most`. */
size_t descriptors_of_ours(int *numbers, size_t most);

#endif
