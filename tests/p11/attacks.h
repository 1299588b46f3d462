/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The attack cases: each is a test of its own, named after the case, and is run
 * under the policies `standard` and `strict`, with session keys and with token
 * keys that have met a restart of the library. A case is written once: it makes
 * its keys by a label, lets them settle, and finds them again.
 */
#ifndef ATTACKS_H
#define ATTACKS_H

#include "runner.h"

#ifndef CKA_KL_LEVEL
#define CKA_KL_LEVEL 0xcb4c0001UL
#define CKA_KL_VERSION 0xcb4c0002UL
#define CKA_KL_STATE 0xcb4c0003UL
#define CKA_KL_PARENT 0xcb4c0004UL
#define CKA_KL_ROOT 0xcb4c0005UL
#define CKA_KL_NEXT_ROTATION 0xcb4c0006UL
#endif
#ifndef CKM_KL_ROOT_WRAP
#define CKM_KL_ROOT_WRAP 0xcb4c0002UL
#endif
#ifndef CKM_AES_KEY_WRAP
#define CKM_AES_KEY_WRAP 0x2109UL
#endif
#ifndef CKM_AES_KEY_WRAP_PAD
#define CKM_AES_KEY_WRAP_PAD 0x210aUL
#endif
#ifndef CKM_CHACHA20_KEY_GEN
#define CKM_CHACHA20_KEY_GEN 0x1225UL
#endif

#define CASE(name) static void name(void)
extern const struct test wrap_cases[], copy_cases[], derive_cases[], aead_cases[], hierarchy_cases[], login_cases[], process_cases[],
    memory_cases[];

/* ---- keys that settle ---- */

/*
 * Makes a key with a label, a session or a token object as the way has it; ends
 * the test if there is none. `more` goes behind the flags. Under `strict` a key
 * on the token is sensitive, since no other may be.
 */
void make(CK_SESSION_HANDLE session, const char *label, const char *flags);
void make_with(CK_SESSION_HANDLE session, const char *label, const char *flags, const CK_ATTRIBUTE *more, CK_ULONG count);
CK_RV make_try(CK_SESSION_HANDLE session, const char *label, const char *flags, const CK_ATTRIBUTE *more, CK_ULONG count);
/* The same by another mechanism of generation (CKM_GENERIC_SECRET_KEY_GEN, …). */
CK_RV make_by(CK_MECHANISM_TYPE type, CK_SESSION_HANDLE session, const char *label, const char *flags, const CK_ATTRIBUTE *more,
              CK_ULONG count);
/* The same with a value of the caller's. */
CK_RV import_as(CK_KEY_TYPE type, CK_SESSION_HANDLE session, const char *label, const char *flags, const CK_BYTE *value, CK_ULONG len);
/* A session key that is not sensitive and may leave, whatever the way. */
CK_OBJECT_HANDLE loose_key(CK_SESSION_HANDLE session);
/* Token keys meet a restart of the library, session keys do not. Returns the session to go on with; handles are to be found anew. */
CK_SESSION_HANDLE settle(CK_SESSION_HANDLE session);
/* The one key of that label; ends the test if there is none. */
CK_OBJECT_HANDLE named(CK_SESSION_HANDLE session, const char *label);
/* The SO makes a public key trusted. The user is logged in again; private session objects are gone. */
void trust(CK_SESSION_HANDLE session, const char *label);

/* master → users → users.email, and a record key below. Ladder keys are token keys in every way; they settle with the others. */
struct ladder {
    CK_OBJECT_HANDLE master, dek, fek, rek;
};
void ladder_grow(CK_SESSION_HANDLE session);
struct ladder ladder_find(CK_SESSION_HANDLE session);
CK_RV grow_try(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE parent, const char *label, CK_OBJECT_HANDLE *key);
CK_OBJECT_HANDLE grow(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE parent, const char *label);
CK_OBJECT_HANDLE record_key(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE parent, const void *info, CK_ULONG len);
/* Do both open what one of them sealed? */
bool same_key(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE one, CK_OBJECT_HANDLE two);

/* ---- refusals ---- */

/* What an attack must leave as it was: every object the session sees, with all attributes. */
uint64_t fingerprint(CK_SESSION_HANDLE session);
void unchanged_at(const char *file, int line, CK_SESSION_HANDLE session, uint64_t before);
/* The call answers one of these codes, changes nothing, makes no object and leaves no operation active. */
#define REFUSED(session, call, ...)                               \
    do {                                                          \
        uint64_t before_call = fingerprint(session);              \
                                                                  \
        EXPECT(call, __VA_ARGS__);                                \
        unchanged_at(__FILE__, __LINE__, (session), before_call); \
    } while (0)
/* Neither offered by the call that was made (its answer is `rv`) nor by C_GetMechanismInfo. */
void unsupported_at(const char *file, int line, CK_MECHANISM_TYPE type, CK_FLAGS use, CK_RV rv);
#define UNSUPPORTED(type, use, call) unsupported_at(__FILE__, __LINE__, (type), (use), (call))

CK_RV set_bool(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, CK_ATTRIBUTE_TYPE type, CK_BBOOL value);
CK_RV set_bytes(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, CK_ATTRIBUTE_TYPE type, const void *value, CK_ULONG len);
CK_RV copy_with(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, const CK_ATTRIBUTE *template, CK_ULONG count);
CK_RV read_value(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, CK_BYTE *value, CK_ULONG *len);
/* YYYYMMDD of a day from today, in UTC. */
CK_DATE date_in(int days);

/* The last failure of this thread in words, not terminated; returns their length. */
size_t error_words(CK_BYTE *words, size_t cap);
/* Ends the test if the command, which runs in the sandbox, does not succeed. */
void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- AEAD ---- */

/* An IV for encryption that is right under the policy: new, or zeroed for the token to fill in. */
void fresh_iv(CK_BYTE iv[12]);
/* Encrypts with such an IV, which comes back in `iv`. */
CK_RV gcm_seal(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, CK_BYTE iv[12], const void *data, CK_ULONG len, CK_BYTE *out,
               CK_ULONG *out_len);
CK_RV envelope(CK_SESSION_HANDLE session, bool encrypt, CK_OBJECT_HANDLE key, const char *aad, const void *in, CK_ULONG in_len,
               CK_BYTE *out, CK_ULONG *out_len);

/* ---- wrapping ---- */

struct wrapping {
    const char *name;
    CK_MECHANISM_TYPE type;
    bool is_authenticated; /* C_WrapKeyAuthenticated */
};
extern const struct wrapping wrappings[]; /* ends with a row that has no name */
struct blob {
    CK_BYTE bytes[512], iv[12];
    CK_ULONG len;
};
CK_RV wrap_try(CK_SESSION_HANDLE session, const struct wrapping *how, CK_OBJECT_HANDLE by, CK_OBJECT_HANDLE key, struct blob *blob);
/* Only asks for the length. */
CK_RV wrap_query(CK_SESSION_HANDLE session, const struct wrapping *how, CK_OBJECT_HANDLE by, CK_OBJECT_HANDLE key, CK_ULONG *len);
CK_RV unwrap_try(CK_SESSION_HANDLE session, const struct wrapping *how, CK_OBJECT_HANDLE by, const struct blob *blob,
                 const CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *key);
/* Class and type, which every unwrapping template needs; `more` behind them. */
CK_RV unwrap_aes(CK_SESSION_HANDLE session, const struct wrapping *how, CK_OBJECT_HANDLE by, const struct blob *blob,
                 const CK_ATTRIBUTE *more, CK_ULONG count, CK_OBJECT_HANDLE *key);

/* ---- functions of 3.0 and 3.2, by their own declarations ---- */

enum { T_NO_GENERATE, T_GENERATE, T_GENERATE_COUNTER, T_GENERATE_RANDOM };

CK_RV wrap_authenticated(CK_SESSION_HANDLE session, CK_MECHANISM *mech, CK_OBJECT_HANDLE by, CK_OBJECT_HANDLE key, CK_BYTE *out,
                         CK_ULONG *len);
CK_RV unwrap_authenticated(CK_SESSION_HANDLE session, CK_MECHANISM *mech, CK_OBJECT_HANDLE by, const CK_BYTE *wrapped, CK_ULONG len,
                           const CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *key);
CK_RV message_init(CK_SESSION_HANDLE session, bool encrypt, CK_OBJECT_HANDLE key);
CK_RV message_seal(CK_SESSION_HANDLE session, struct t_gcm_message *param, const void *data, CK_ULONG len, CK_BYTE *out, CK_ULONG *out_len);
CK_RV message_open(CK_SESSION_HANDLE session, struct t_gcm_message *param, const CK_BYTE *data, CK_ULONG len, CK_BYTE *out,
                   CK_ULONG *out_len);
CK_RV message_final(CK_SESSION_HANDLE session, bool encrypt);

/* ---- programs within the program ---- */

/* What a setuid program does with a module: loads it, counts its slots. Its exit status is that count. */
#define SET_USER "--set-user"
int set_user_program(const char *module);

/* ---- what the crafted ciphertexts need ---- */

/* One block of AES-256, encrypted. */
void aes_block(const CK_BYTE key[32], const CK_BYTE in[16], CK_BYTE out[16]);

#endif
