/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the parts of the vectors program share: reading the published files, and
 * the verdict on each vector. A vector ends in exactly one named class.
 */
#ifndef VECTORS_H
#define VECTORS_H

#include "p11.h"

#include <jansson.h>

enum { VECTOR_MAX = 16512, VECTORS_SEED = 20240229 };

struct bytes {
    size_t len;
    CK_BYTE data[VECTOR_MAX];
};

/* keeper has the keys, session the operations. */
extern CK_SESSION_HANDLE session, keeper;
extern uint64_t rng;

/* ---- families: one published file and the mechanism that it is for ---- */
struct family {
    const char *file;
    CK_MECHANISM_TYPE mech;
    const char *mech_name; /* NULL: no mechanism of this token */
    void (*run)(const struct family *family);
    unsigned vectors;   /* in a file that does not say it */
    const void *detail; /* what run wants to know besides */
    const char *label;  /* where the file has a second row */
};

/* By C_GetMechanismList. */
bool offered(CK_MECHANISM_TYPE mech);

/* After an error another vendor's operation may still be active; ours may not, and keeps its session. */
void session_renew(void);

/* ---- verdicts (vectors_verdict.c) ---- */
/* The worst step decides; of two equals, the first. */
enum outcome { PASSED, ABSENT, REFUSED, DEVIATES, FAILED, OUTCOMES };
/* Stands for a CK_RV of OK with another result than the vector's. */
#define WRONG_BYTES (~(CK_RV)0)

void family_begin(const char *label);
void vector_begin(const char *format, ...) __attribute__((format(printf, 1, 2)));
void vector_is(enum outcome outcome, const char *format, ...) __attribute__((format(printf, 2, 3)));
void vector_end(void);
/* Ends the family: how many vectors it had. */
unsigned family_end(void);
void report(void);

/* True if got is among the answers that must come; else it is a known deviation of this vendor, or wrong. */
bool answer_at(int line, const char *what, CK_RV got, const CK_RV *want, size_t count);
#define ANSWERS(what, got, ...) \
    answer_at(__LINE__, what, got, (const CK_RV[]){ __VA_ARGS__ }, sizeof((const CK_RV[]){ __VA_ARGS__ }) / sizeof(CK_RV))
bool is_known(const char *what, CK_RV got);
/* The same for the bytes of a call that went well. */
bool same_at(int line, const char *what, const struct bytes *got, const struct bytes *want);
#define SAME(what, got, want) same_at(__LINE__, what, got, want)
bool bytes_equal(const struct bytes *a, const struct bytes *b);

/* ---- files (vectors_file.c) ---- */
/* Every file of the folders must have a row, and every row with a mechanism its file. */
void check_folders(const struct family *families, size_t count);
/* one judges each test, between vector_begin and vector_end. */
void wycheproof_each(const struct family *family, void (*one)(const struct family *family, json_t *test));
bool is_valid(json_t *test);
bool is_acceptable(json_t *test);
void json_bytes(json_t *test, const char *member, struct bytes *out);

/* NAME = value lines; COUNT begins a record, [NAME = value] stays for all that follow. */
struct rsp;
void rsp_each(const struct family *family, void (*one)(const struct family *family, const struct rsp *rsp));
const char *rsp_text(const struct rsp *rsp, const char *name);
void rsp_bytes(const struct rsp *rsp, const char *name, struct bytes *out);

/* ---- the families' runs ---- */
void gcm_nist(const struct family *family);
void aead_wycheproof(const struct family *family);
void aead_chunks(const struct family *family);
void cbc_pad_wycheproof(const struct family *family);
void mac_wycheproof(const struct family *family);
void wrap_wycheproof(const struct family *family);
void wrap_nist(const struct family *family);
void hkdf_wycheproof(const struct family *family);
void hkdf_rfc5869(const struct family *family);

struct aead;
extern const struct aead aead_gcm, aead_chacha;
struct mac;
extern const struct mac mac_sha256, mac_sha384, mac_sha512, mac_cmac, mac_gmac;
extern const CK_MECHANISM_TYPE hkdf_sha256, hkdf_sha384, hkdf_sha512;

/* ---- calls that several families make ---- */
/* A session object for one operation; the vector fails without it. */
bool vector_key(CK_KEY_TYPE type, const struct bytes *value, const char *flags, CK_OBJECT_HANDLE *key);
typedef CK_RV (*update_call)(CK_SESSION_HANDLE, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG *);
/* Feeds all of in by pieces of random length, 0 included. */
CK_RV feed(update_call update, struct bytes *in, struct bytes *out);
/* The length of the next piece of what is left. */
size_t next_piece(size_t left);

#endif
