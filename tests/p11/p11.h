/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the black-box programs of this folder share: the module under test
 * loaded through dlopen, a sandbox with a fresh token, and short ways to say
 * templates and expectations. Knows nothing of the module's sources: structures
 * newer than p11-kit's header are declared here a second time, from the
 * standard's text, so that a slip in our own header cannot hide itself.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#ifndef P11_H
#define P11_H

#include <p11-kit/pkcs11.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_include)
#if __has_include("keyladder/pkcs11.h")
#include "keyladder/pkcs11.h"
#endif
#endif

#include "../attributes.h"

/* ---- what Debian's header lacks ---- */
#ifndef CKM_HKDF_DERIVE
#define CKM_HKDF_DERIVE 0x402aUL
#endif
#ifndef CKM_HKDF_DATA
#define CKM_HKDF_DATA 0x402bUL
#endif
#ifndef CKM_HKDF_KEY_GEN
#define CKM_HKDF_KEY_GEN 0x402cUL
#endif
#ifndef CKM_CHACHA20_POLY1305
#define CKM_CHACHA20_POLY1305 0x4021UL
#endif
#ifndef CKK_HKDF
#define CKK_HKDF 0x42UL
#endif
#ifndef CKK_CHACHA20
#define CKK_CHACHA20 0x33UL
#endif
#ifndef CKF_HKDF_SALT_NULL
#define CKF_HKDF_SALT_NULL 1UL
#define CKF_HKDF_SALT_DATA 2UL
#define CKF_HKDF_SALT_KEY 4UL
#endif
#ifndef CKA_UNIQUE_ID
#define CKA_UNIQUE_ID 0x4UL
#endif
#ifndef CKA_DESTROYABLE
#define CKA_DESTROYABLE 0x172UL
#endif
#ifndef CKA_ALLOWED_MECHANISMS
#define CKA_ALLOWED_MECHANISMS 0x40000600UL
#endif
#ifndef CKM_AES_KEY_WRAP_KWP
#define CKM_AES_KEY_WRAP_KWP 0x210bUL
#endif
#ifndef CKF_MESSAGE_ENCRYPT
#define CKF_MESSAGE_ENCRYPT 2UL
#define CKF_MESSAGE_DECRYPT 4UL
#endif
#ifndef CKF_END_OF_MESSAGE
#define CKF_END_OF_MESSAGE 1UL
#endif
#ifndef CKR_AEAD_DECRYPT_FAILED
#define CKR_AEAD_DECRYPT_FAILED 0x42UL
#endif
#ifndef CKR_ACTION_PROHIBITED
#define CKR_ACTION_PROHIBITED 0x1bUL
#endif
#ifndef CKR_OPERATION_CANCEL_FAILED
#define CKR_OPERATION_CANCEL_FAILED 0x202UL
#endif
#ifndef CKM_AES_KEY_WRAP_KWP
#define CKM_AES_KEY_WRAP_KWP 0x210bUL
#endif
#ifndef CKM_SP800_108_COUNTER_KDF
#define CKM_SP800_108_COUNTER_KDF 0x3acUL
#endif
#ifndef CKG_GENERATE
#define CKG_NO_GENERATE 0UL
#define CKG_GENERATE 1UL
#define CKG_GENERATE_COUNTER 2UL
#define CKG_GENERATE_RANDOM 3UL
#define CKG_GENERATE_COUNTER_XOR 4UL
#endif
#ifndef CKF_END_OF_MESSAGE
#define CKF_END_OF_MESSAGE 1UL
#endif
#ifndef CKF_MESSAGE_ENCRYPT
#define CKF_MESSAGE_ENCRYPT 0x2UL
#define CKF_MESSAGE_DECRYPT 0x4UL
#endif
#ifndef CKF_MULTI_MESSAGE
#define CKF_MULTI_MESSAGE 0x20UL
#endif
#ifndef CKA_DERIVE_TEMPLATE
#define CKA_DERIVE_TEMPLATE 0x40000213UL
#endif
#ifndef CKM_KL_ENVELOPE
#define CKM_KL_ENVELOPE 0xcb4c0001UL
#endif

struct t_hkdf {
    CK_BBOOL extract, expand;
    CK_MECHANISM_TYPE prf;
    CK_ULONG salt_type;
    CK_BYTE *salt;
    CK_ULONG salt_len;
    CK_OBJECT_HANDLE salt_key;
    CK_BYTE *info;
    CK_ULONG info_len;
};
/* The six fields of the headers, and the five of the 2.40 text. */
struct t_gcm {
    CK_BYTE *iv;
    CK_ULONG iv_len, iv_bits;
    CK_BYTE *aad;
    CK_ULONG aad_len, tag_bits;
};
struct t_gcm40 {
    CK_BYTE *iv;
    CK_ULONG iv_len;
    CK_BYTE *aad;
    CK_ULONG aad_len, tag_bits;
};
struct t_gcm_message {
    CK_BYTE *iv;
    CK_ULONG iv_len, fixed_bits, generator;
    CK_BYTE *tag;
    CK_ULONG tag_bits;
};
struct t_gcm_wrap {
    CK_BYTE *iv;
    CK_ULONG iv_len, fixed_bits, generator;
    CK_BYTE *aad;
    CK_ULONG aad_len, tag_bits;
};
/* nonce_len is in bytes for one reader of the standard, in bits for another. */
struct t_chacha {
    CK_BYTE *nonce;
    CK_ULONG nonce_len;
    CK_BYTE *aad;
    CK_ULONG aad_len;
};
struct t_chacha_message {
    CK_BYTE *nonce;
    CK_ULONG nonce_len;
    CK_BYTE *tag;
};
struct t_ctr {
    CK_ULONG bits;
    CK_BYTE block[16];
};
struct t_interface {
    CK_CHAR *name;
    void *list;
    CK_FLAGS flags;
};
_Static_assert(sizeof(struct t_gcm) == 48 && sizeof(struct t_gcm40) == 40, "the two layouts of CK_GCM_PARAMS");

typedef CK_RV (*t_get_interface)(CK_CHAR *, CK_VERSION *, struct t_interface **, CK_FLAGS);
typedef CK_RV (*t_get_interface_list)(struct t_interface *, CK_ULONG *);

/* The messages of 3.0: one session, mechanism and key, then for each message parameter, AAD and data. */
typedef CK_RV (*t_message_init)(CK_SESSION_HANDLE, CK_MECHANISM *, CK_OBJECT_HANDLE);
typedef CK_RV (*t_message)(CK_SESSION_HANDLE, void *, CK_ULONG, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG *);
typedef CK_RV (*t_message_begin)(CK_SESSION_HANDLE, void *, CK_ULONG, CK_BYTE *, CK_ULONG);
typedef CK_RV (*t_message_next)(CK_SESSION_HANDLE, void *, CK_ULONG, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG *, CK_FLAGS);
typedef CK_RV (*t_message_final)(CK_SESSION_HANDLE);
struct t_messages {
    t_message_init init;
    t_message once;
    t_message_begin begin;
    t_message_next next;
    t_message_final final;
};
struct t_list30 {
    CK_VERSION version;
    void (*before[72])(void);
    struct t_messages encrypt, decrypt;
};
_Static_assert(offsetof(struct t_list30, encrypt) == 73 * sizeof(void *), "C_MessageEncryptInit is the 73rd function");

/* ---- the module ---- */
extern CK_FUNCTION_LIST *p11;
extern void *p11_handle;
/*
 * KEYLADDER unless P11_KIND says softhsm or nss, or the module's path is that of
 * SoftHSM or softoken: switches off what another vendor's module does not have.
 */
enum kind { KEYLADDER, SOFTHSM, NSS };
extern enum kind p11_kind;

void p11_load(void);
void *p11_sym(const char *name);
/* The function list of 3.0, or NULL. */
struct t_list30 *p11_list30(void);
/* Under a sanitizer memory is held back, and what a child has abandoned counts as leaked. */
bool is_sanitized(void);
const char *rv_name(CK_RV rv);

/* ---- sandboxes ---- */
#define SO_PIN "so-pin-0000"
#define USER_PIN "user-pin-1111"
#define WRONG_PIN "wrong-pin-000"
#define NEXT_PIN "another-pin-9"
#define TOKEN_LABEL "demo"

extern char sandbox_dir[4096];
/* Makes a new folder, a configuration with two tokens ("demo", "other"; NSS: "demo") in it, and points the module at it. */
void sandbox_make(void);
/* Points the module at a copy of a sandbox whose tokens nobody has open. */
void sandbox_copy(const char *from);
void sandbox_remove(const char *dir);
/* Adds to the configuration, before C_Initialize reads it: "[module]\nfork = inherit\n". */
void sandbox_add(const char *text);
/* More settings for the token "demo", before C_Initialize. */
void sandbox_setting(const char *line);
/* C_InitToken and C_InitPIN on a slot; the library must be initialised. */
void token_make(CK_SLOT_ID slot, const char *label);

/*
 * How many encryptions are counted against the budget of the token "demo"'s key of that label, after `more` have been: another
 * process looks (tests/p11/budget), so that what this one holds in reserve counts as used. Keyladder's alone.
 */
unsigned long long counted(const char *label, unsigned long long more);

/* ---- everyday steps; each ends the process with a message if it fails ---- */
void start(void); /* C_Initialize with OS locking */
void stop(void);
CK_SLOT_ID slot_at(size_t index);
CK_SLOT_ID slot_blank(void); /* the first with no token in it yet */
CK_SLOT_ID slot_labelled(const char *label);
CK_SESSION_HANDLE open_session(CK_FLAGS more);
CK_SESSION_HANDLE open_on(CK_SLOT_ID slot, CK_FLAGS more);
CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE who, const char *pin);
CK_SESSION_HANDLE user_session(void); /* start, read-write session, user logged in */
CK_OBJECT_HANDLE find_one(CK_SESSION_HANDLE session, const char *label);
/* Objects that a token shows to everybody, whatever is on it: keyladder's profile objects. */
size_t profile_count(void);
size_t find_count(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG count);

/*
 * A key with the flags of ATTACKS.md: e d w u D(erive) s v S(ensitive) X T(oken);
 * P makes it public, m(odifiable no), c(opyable no), y (destroyable no).
 */
/* Their attributes, at most 15; returns how many. */
CK_ULONG flags_template(const char *flags, CK_ATTRIBUTE *out);
CK_RV key_try(CK_SESSION_HANDLE session, const char *flags, CK_OBJECT_HANDLE *key);
CK_OBJECT_HANDLE key_make(CK_SESSION_HANDLE session, const char *flags);
/* The same of CKK_GENERIC_SECRET, which HKDF works on. */
CK_OBJECT_HANDLE secret_make(CK_SESSION_HANDLE session, const char *flags);
CK_RV import_try(CK_SESSION_HANDLE session, CK_KEY_TYPE type, const void *value, CK_ULONG len, const char *flags, CK_OBJECT_HANDLE *key);

CK_RV gcm_init(CK_SESSION_HANDLE session, bool encrypt, CK_OBJECT_HANDLE key, const void *iv, CK_ULONG iv_len, const void *aad,
               CK_ULONG aad_len, CK_ULONG tag_bits);
/* Policy `strict` takes no IV of the caller's: seal() leaves it zeroed, and the token fills it in. */
extern bool token_makes_ivs;
/* A new IV each time; out takes 12 bytes of IV, ciphertext, tag. Returns the length written. */
size_t seal(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, const void *data, CK_ULONG len, const char *aad, CK_BYTE *out);
CK_RV unseal(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, const CK_BYTE *sealed, CK_ULONG len, const char *aad, CK_BYTE *out,
             CK_ULONG *out_len);
CK_RV hkdf_try(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE base, const void *salt, CK_ULONG salt_len, const void *info, CK_ULONG info_len,
               CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *key);
CK_BBOOL get_bool(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type);
CK_ULONG get_ulong(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type);

/* ---- templates ---- */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- expectations ---- */
extern int failures;
void fail_at(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
void die_at(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4), noreturn));
bool rv_at(const char *file, int line, const char *what, CK_RV got, const CK_RV *want, size_t count);
/* Notes a failure and goes on. */
#define EXPECT(call, ...) \
    rv_at(__FILE__, __LINE__, #call, (call), (const CK_RV[]){ __VA_ARGS__ }, sizeof((const CK_RV[]){ __VA_ARGS__ }) / sizeof(CK_RV))
/* The rest of the test makes no sense without it. */
#define NEED(call)                                                                            \
    do {                                                                                      \
        CK_RV need_rv = (call);                                                               \
        if (need_rv != CKR_OK) die_at(__FILE__, __LINE__, "%s: %s", #call, rv_name(need_rv)); \
    } while (0)
#define CHECK(condition)                                                         \
    do {                                                                         \
        if (!(condition)) fail_at(__FILE__, __LINE__, "not so: %s", #condition); \
    } while (0)

/* ---- bytes ---- */
/* Repeatable; the seed is printed by the programs that use it. */
uint64_t rng_next(uint64_t *state);
void rng_fill(uint64_t *state, void *out, size_t len);
/* Returns the bytes written; out needs half the length of hex. */
size_t unhex(const char *hex, CK_BYTE *out);
/* The whole of a file with a NUL behind it, to be freed; NULL if there is none. */
char *file_read(const char *path, size_t *len);
double now_seconds(void);

#endif
