/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Bytes as symbols: two values are equal exactly where they have one number. */
#include "walk.h"

#include <stdio.h>
#include <stdlib.h>

#define VALUES_MAX 32768
#define BUCKETS 65536

static struct value {
    uint16_t a, b;
    uint8_t kind;
    bool is_secret, may_leave;
} values[VALUES_MAX];
static unsigned count = 1; /* 0 is none */
static uint16_t buckets[BUCKETS];

static bool part_may_leave(unsigned value)
{
    return !values[value].is_secret || values[value].may_leave;
}

static struct value make(enum walk_kind kind, unsigned a, unsigned b)
{
    struct value value = { (uint16_t)a, (uint16_t)b, (uint8_t)kind, false, true };
    const struct walk_template *template = &walk_generated[kind == WALK_DRAWN ? a : 0];

    if (kind == WALK_DRAWN) {
        value.is_secret = (template->on & KL_FLAG_SENSITIVE) && template->len >= KL_KEY_BITS_SAFE / 8;
        value.may_leave = (template->on & KL_FLAG_EXTRACTABLE) != 0;
    } else if (kind == WALK_HMAC || kind == WALK_CMAC) {
        value.is_secret = values[a].is_secret || values[b].is_secret;
        value.may_leave = part_may_leave(a) && part_may_leave(b);
    } else if (kind == WALK_CHILD || kind == WALK_SUBKEY) {
        value.is_secret = true;
        value.may_leave = false;
    }
    return value;
}

unsigned walk_value(enum walk_kind kind, unsigned a, unsigned b)
{
    size_t at = (a * 40503u + b * 2654435761u + (unsigned)kind * 97u) % BUCKETS;

    for (; buckets[at] != 0; at = (at + 1) % BUCKETS) {
        const struct value *value = &values[buckets[at]];

        if (value->kind == kind && value->a == a && value->b == b) return buckets[at];
    }
    if (count == VALUES_MAX) {
        fputs("too many values for this depth\n", stderr);
        exit(1);
    }
    values[count] = make(kind, a, b);
    buckets[at] = (uint16_t)count;
    return count++;
}

enum walk_kind walk_kind_of(unsigned value, unsigned *a, unsigned *b)
{
    *a = values[value].a;
    *b = values[value].b;
    return (enum walk_kind)values[value].kind;
}

bool walk_is_secret(unsigned value)
{
    return values[value].is_secret;
}

bool walk_may_leave(unsigned value)
{
    return values[value].may_leave;
}

/* --- in words --- */

#define WORDS_MAX 400
#define NESTED_MAX 6

static void say(unsigned value, int depth, char *out, size_t room)
{
    static const char *const known[] = { "info", "bytes", "\"keyladder/1/commit\"" };
    const struct value *it = &values[value];
    char a[WORDS_MAX / 2] = "...", b[WORDS_MAX / 2] = "...";

    if (it->kind == WALK_KNOWN) {
        snprintf(out, room, "%s", known[it->a]);
    } else if (it->kind == WALK_DRAWN) {
        snprintf(out, room, "random%u.%u", it->a, it->b);
    } else {
        if (depth < NESTED_MAX) say(it->a, depth + 1, a, sizeof a);
        if (depth < NESTED_MAX && it->kind != WALK_CHILD && it->kind != WALK_SUBKEY) say(it->b, depth + 1, b, sizeof b);
        if (it->kind == WALK_CHILD) snprintf(out, room, "child(%s)", it->a ? a : "root");
        if (it->kind == WALK_SUBKEY) snprintf(out, room, "subkey(%s, %s)", a, walk_mech((enum walk_mech)it->b)->name);
        if (it->kind == WALK_HMAC || it->kind == WALK_CMAC)
            snprintf(out, room, "%s(%s, %s)", it->kind == WALK_HMAC ? "HMAC" : "CMAC", a, b);
    }
}

const char *walk_value_words(unsigned value)
{
    static char words[3][WORDS_MAX];
    static unsigned turn;

    turn = (turn + 1) % 3;
    say(value, 0, words[turn], sizeof words[turn]);
    return words[turn];
}
