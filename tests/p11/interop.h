/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What a module does for the callers it has: features, each asked by a probe in
 * a process of its own, on a token that is there already and is left as it was.
 */
#ifndef INTEROP_H
#define INTEROP_H

#include "p11.h"

/*
 * YES: as callers expect. NO: the module says itself that it does not offer this. WRONG: it does otherwise than it says, or than
 * it must. UNTRIED: something else is missing that the probe would have needed.
 */
enum answer { NONE, YES, NO, WRONG, UNTRIED };

struct feature {
    const char *group, *name, *expects; /* the clause of the standard, or the caller in need of it */
    void (*probe)(void);                /* YES, if it returns */
};
/* One table, interop.def; ends with a group of NULL. */
extern const struct feature features[];

/* From the environment: P11_TOKEN, P11_PIN, P11_SO_PIN, P11_INIT_ARGS; NULL where it is not given. No label: the first token that is ready. */
struct target {
    const char *label, *pin, *so_pin, *init;
};
extern struct target target;
/* Of the token; known once a probe is `ready`. */
extern CK_SLOT_ID token_slot;

/* Every label that a probe gives has it, so that what is left behind is found. */
#define MARK "kl-interop"
enum { WORDS = 240, STAGE = 48 };

/* ---- answers: the first one counts, and ends the probe ---- */
void say_no(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void say_wrong(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void say_untried(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* "0x30 CKR_DEVICE_ERROR" */
const char *code(CK_RV rv);

/* ---- calls; the one under way is named, should it be the last ---- */
void stage(const char *call);
#define CALL(function, ...) (stage(#function), p11->function(__VA_ARGS__))
/* It must succeed. What says that the function is not there at all is a NO. */
#define MUST(function, ...) must_ok(#function, CALL(function, __VA_ARGS__))
void must_ok(const char *call, CK_RV rv);
/* It must answer with one of these codes. */
#define MUST_BE(what, rv, ...) must_be((what), (rv), (const CK_RV[]){ __VA_ARGS__ }, sizeof((const CK_RV[]){ __VA_ARGS__ }) / sizeof(CK_RV))
void must_be(const char *what, CK_RV rv, const CK_RV *want, size_t count);
/* It must fail; how, is the module's affair. */
void must_fail(const char *what, CK_RV rv);
/* A template that a policy may have something against: that is a NO. */
void may_refuse(const char *call, CK_RV rv);
void must_equal(const char *what, const void *got, size_t got_len, const void *want, size_t want_len);
void must_equal_hex(const char *what, const void *got, size_t got_len, const char *want);

/* ---- the way there ---- */
/* Loads the module; run once in every probe's process. */
void interop_load(void);
/* With these flags, or with NULL for the structure. */
CK_RV initialize_as(bool is_null, CK_FLAGS flags);
/* Finds the token as well. */
void initialize(void);
void finalize(void);
CK_SESSION_HANDLE session_new(CK_FLAGS more);
CK_RV log_in_as(CK_SESSION_HANDLE session, const char *pin);
/* Logs in, or has been already; nothing where there is no PIN. */
void log_in(CK_SESSION_HANDLE session);
/* Initialised, a read-write session, logged in. */
CK_SESSION_HANDLE ready(void);
/* A PIN of the same length that is not the token's. Static. */
const char *other_pin(void);
/* NO, unless the mechanism is listed, and for these functions. From here on CKR_MECHANISM_INVALID contradicts the list. */
#define OFFERS(mechanism, flags) offers((mechanism), #mechanism, (flags))
void offers(CK_MECHANISM_TYPE type, const char *name, CK_FLAGS flags);
bool is_listed(CK_MECHANISM_TYPE type, CK_FLAGS flags);
/* NO, unless there is an interface of that version. */
void *interface_of(CK_BYTE major, CK_BYTE minor);

/* ---- keys; UNTRIED where there is none to be had ---- */
/* Usage: e d w u s v D(erive), X(tractable), x (not so), T(oken), p(rivate), P(ublic), N(ot sensitive). Others are left to the module. */
enum { USAGE_MOST = 14 };
CK_ULONG usage_template(const char *usage, CK_ATTRIBUTE *out);
CK_OBJECT_HANDLE aes_key(CK_SESSION_HANDLE session, CK_ULONG len, const char *usage);
CK_OBJECT_HANDLE labelled_key(CK_SESSION_HANDLE session, const char *usage, const char *label);
CK_OBJECT_HANDLE import_hex(CK_SESSION_HANDLE session, CK_KEY_TYPE type, const char *hex, const char *usage);
CK_OBJECT_HANDLE find_labelled(CK_SESSION_HANDLE session, const char *label);
/* Objects that match, at most 64 of them. */
CK_ULONG count_found(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG count);

/* ---- operations on data ---- */
struct bytes {
    CK_BYTE data[512];
    CK_ULONG len;
};
struct bytes from_hex(const char *hex);
struct bytes encrypted(CK_SESSION_HANDLE session, CK_MECHANISM *mech, CK_OBJECT_HANDLE key, const struct bytes *in);
CK_RV decrypt_try(CK_SESSION_HANDLE session, CK_MECHANISM *mech, CK_OBJECT_HANDLE key, const struct bytes *in, struct bytes *out);
/* Decrypting gives it back. */
void must_decrypt(CK_SESSION_HANDLE session, CK_MECHANISM *mech, CK_OBJECT_HANDLE key, const struct bytes *in, const struct bytes *want);
/* What a template leaves out is the token's to say: a key that may not encrypt then is a NO. Encrypts once. */
void must_encrypt_by_default(CK_SESSION_HANDLE session, CK_MECHANISM *mech, CK_OBJECT_HANDLE key);
/* `mech` can be used again: both directions, one call each. */
void round_trip(CK_SESSION_HANDLE session, CK_MECHANISM *mech, CK_OBJECT_HANDLE key);
void vector(CK_SESSION_HANDLE session, CK_MECHANISM *mech, CK_OBJECT_HANDLE key, const char *plain, const char *cipher);

/* Room of which only a part is lent; the rest must stay as it is. */
struct guarded {
    CK_BYTE data[512];
    CK_ULONG lent;
};
void guarded_init(struct guarded *room, CK_ULONG lent);
void guarded_check(const struct guarded *room, const char *call);

/* ---- other processes, and threads ---- */
/* The other process tells its own answer, and so ends this one too. */
void in_child(void (*run)(void *), void *arg);
/* Each with the number of its own; what they answer is the probe's answer. */
void in_threads(unsigned count, void (*run)(unsigned number));

/* ---- for interop.c alone ---- */
struct report {
    enum answer answer;
    bool made; /* a token object may have been left behind */
    char words[WORDS], stage[STAGE];
};
extern struct report *report;
/* Destroys every token object that bears the mark, and gives the token its PIN back. Returns how many objects there are then. */
CK_ULONG sweep(void);

#define F(group, name, expects, probe) void probe(void);
#include "interop.def"
#undef F

#endif
