/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the targets of this folder share: an input that is read as small numbers and bytes, memory that ends where it says it
 * ends, and a world of three tokens that every input finds as the one before found it.
 */
#ifndef KL_TEST_FUZZ_H
#define KL_TEST_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../attributes.h"
#include "base/bytes.h"
#include "keyladder/pkcs11.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Of each target. The first once, the second for every input; what it finds broken ends the process. */
void fuzz_begin(void);
void fuzz_one(void);

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What must not be. Prints on the standard error there was at the start, and aborts. */
void fuzz_broken(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4), noreturn));
#define BROKEN(...) fuzz_broken(__FILE__, __LINE__, __VA_ARGS__)
#define MUST(condition)                                     \
    do {                                                    \
        if (!(condition)) BROKEN("not so: %s", #condition); \
    } while (0)
/* A step of the harness itself. */
#define NEED(call)                                                                    \
    do {                                                                              \
        CK_RV need_rv = (call);                                                       \
        if (need_rv != CKR_OK) BROKEN("%s: 0x%lx: %s", #call, need_rv, fuzz_words()); \
    } while (0)
const char *fuzz_words(void);
/* Where the standard error of the start is. */
extern int fuzz_stderr;

/* --- the input; at its end everything is zero --- */

size_t left(void);
uint8_t byte(void);
/* One of 0 to sides - 1. */
size_t choice(size_t sides);
/* A number of the kind that lengths and handles are: small, at an edge, or 8 bytes as they come. */
CK_ULONG number(void);
/* Up to `most` bytes of the input, in memory of their own that is exactly as long. Given back after the input. */
struct kl_view bytes(size_t most);
/* All that is left of it. */
struct kl_view rest(void);
/* A copy, changed in up to three places as the input says, or not at all. */
struct kl_view mutated(struct kl_view in);

/* A folder of files in memory, if there is one. */
const char *fuzz_temporary(void);

/* --- memory, given back after the input --- */

/* Exactly `len` zero bytes. */
void *lend(size_t len);
void *lend_copy(const void *from, size_t len);
/* The same with canaries before and behind, which must be whole when the input is over (or at any fuzz_check_rooms()). */
uint8_t *room(size_t len);
void fuzz_check_rooms(void);

/* --- the world: three tokens, and their user logged in --- */

enum { STANDARD, COMPATIBLE, STRICT, TOKENS };

struct world {
    size_t tokens; /* to be made, the first of them; all unless set before world_begin */
    char folder[160];
    char so_pin[64], user_pin[64];
    CK_SLOT_ID slots[TOKENS];
    CK_SESSION_HANDLE keepers[TOKENS];                                           /* keep the login */
    CK_OBJECT_HANDLE masters[TOKENS], deks[TOKENS], feks[TOKENS], frees[TOKENS]; /* "master", "users", "users.email", "free" */
};
extern struct world world;

void world_begin(void);
/* Sessions of the input end here; where its deeds are on a disk the tokens are put back as they were. */
void world_reset(void);
/* What was committed since has been undone: there is nothing to put back. */
void world_accept(void);
/* Something that no commit tells of: a wrong PIN, a logout. */
void world_spoil(void);
/* C_Finalize, the tokens as they were at the beginning, and C_Initialize. */
void world_restore(void);
void world_stop(void);
void world_start(void);
/* The keepers' sessions and logins, once more. */
void world_log_in(void);
/* "FOLDER/NAME" in memory of the input. */
char *world_path(const char *name);
CK_SESSION_HANDLE session_on(size_t token);

/* A session key of these bytes, extractable and not sensitive, with the usages e d w u s v D(erive); 0 where the token refuses. */
CK_OBJECT_HANDLE import_key(CK_SESSION_HANDLE session, CK_KEY_TYPE type, struct kl_view value, const char *usages);
/* A stored key by its label; must be there. */
CK_OBJECT_HANDLE find_key(CK_SESSION_HANDLE session, const char *label);
/* Its value where it may be read, else data == NULL. */
struct kl_view value_of(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object);
bool is_there(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object);
/* -1: it has none. */
int bool_of(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type);

#endif
