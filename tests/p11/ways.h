/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Ways to use a key: every mechanism this token may offer, the type of key it
 * wants and a right parameter for it. Which of them are there, and for which
 * functions, the module itself says (C_GetMechanismInfo).
 */
#ifndef WAYS_H
#define WAYS_H

#include "p11.h"

struct t_prf_data {
    CK_ULONG type;
    void *value;
    CK_ULONG len;
};
struct t_counter_format {
    CK_BBOOL little;
    CK_ULONG bits;
};
struct t_kdf {
    CK_MECHANISM_TYPE prf;
    CK_ULONG data_count;
    struct t_prf_data *data;
    CK_ULONG more_count;
    void *more;
};

/* The functions that 2.40 had not; NULL until p32_load. */
extern CK_FUNCTION_LIST_3_2 *p32;
void p32_load(void);
/* Ends whatever is active in a session. */
void cancel_all(CK_SESSION_HANDLE session);

/* Every function of functions.def, as numbers alone: it is for the caller to know what is a pointer. */
typedef CK_RV (*any_call)(CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG);
enum reply { HERE, NEVER, PARALLEL };
struct any_function {
    const char *name;
    int version;
    const char *args;
    enum reply reply;
    any_call call;
};
extern struct any_function any_functions[];
extern const size_t any_function_count;

/* What the parameter looks like. */
enum shape { BARE, GCM, GCM_WRAP, CHACHA, IV_BLOCK, CTR, LENGTH, GMAC, HKDF, KDF, ANY_BYTES, SHAPES };

struct way {
    CK_MECHANISM_TYPE type;
    const char *name;
    CK_KEY_TYPE key; /* CK_UNAVAILABLE_INFORMATION: none */
    enum shape shape;
    size_t block; /* data must be a multiple of it; 1 else */
};
extern const struct way ways[];
extern const size_t way_count;
/* For C_WrapKeyAuthenticated and its kin, which give CKM_AES_GCM another parameter; not one of ways[]. */
extern const struct way gcm_wrap_way;
/* NULL: not known here. */
const struct way *way_of(CK_MECHANISM_TYPE type);
/* What the module does with it; 0 if it does not offer it. */
CK_FLAGS way_flags(CK_SLOT_ID slot, CK_MECHANISM_TYPE type);

/* A mechanism with all it points to; not to be copied. The module may write the IV. */
struct parameter {
    CK_MECHANISM mech;
    CK_BYTE iv[16], aad[24], tag[16];
    struct t_counter_format format;
    struct t_prf_data data[2];
    union {
        struct t_gcm gcm;
        struct t_gcm_wrap gcm_wrap;
        struct t_chacha chacha;
        struct t_ctr ctr;
        struct t_hkdf hkdf;
        struct t_kdf kdf;
        CK_ULONG length;
    } body;
};
/* IVs come from rng, so none comes twice. */
void parameter_make(struct parameter *parameter, const struct way *way, uint64_t *rng);
/* For C_EncryptMessage and C_DecryptMessage; returns the length, 0: no such way. The body lies in `body`, at least 48 bytes. */
CK_ULONG message_make(struct parameter *parameter, void *body, const struct way *way, CK_ULONG generator, uint64_t *rng);

/* Attributes by templates; newer than some headers. */
#ifndef CKA_DERIVE_TEMPLATE
#define CKA_DERIVE_TEMPLATE 0x40000213UL
#endif

/* Where a parameter of a shape points to, and how far. */
struct pointer {
    size_t at, len_at;
};
extern const struct pointer *const shape_pointers[SHAPES]; /* ends with len_at 0 */

/* A session key for a way, with the usage flags of p11.h; 0 if it cannot be had. */
CK_OBJECT_HANDLE way_key(CK_SESSION_HANDLE session, const struct way *way, const char *flags);

#endif
