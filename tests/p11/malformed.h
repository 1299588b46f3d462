/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the files of the program malformed share. */
#ifndef MALFORMED_H
#define MALFORMED_H

#include "ways.h"

enum { SIGSTKSZ_LEAST = 65536, PLACE_LEAST = 32768 };

/* `len` bytes before a page that nobody may touch, at an odd address if asked; one of 16 places. */
void tails_make(void);
void *tail(size_t place, size_t len, bool odd);

/* Says what comes next, counts what came. */
void doing_is(const char *function, const char *state, const CK_ULONG *args, size_t count);
CK_RV note(CK_RV rv);
void complain(CK_RV rv);

enum state { BEFORE, OPEN, USER, ACTIVE, PARTS, OFFICER, NO_SESSION, STATES };
enum key { CRYPT, MAC, WRAP, DERIVE, PLAIN, KEYS };
struct world {
    CK_SLOT_ID slot, other_slot;
    CK_SESSION_HANDLE session, other;
    CK_OBJECT_HANDLE keys[KEYS];
};
extern struct world world;
void world_open(enum state state);
void world_keys(void);
void world_plain(void);

/* ---- the parts ---- */
void combinations(bool of_pins);
void mechanism_parameters(void);
void templates(void);
void outputs(void);
void odd_places(void);

#endif
