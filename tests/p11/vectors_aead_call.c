/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The calls that seal and open one AEAD vector. */
#include "vectors_aead.h"

union param {
    struct t_gcm gcm;
    struct t_gcm_message gcm_message;
    struct t_chacha chacha;
    struct t_chacha_message chacha_message;
};

struct call {
    const struct aead *aead;
    struct aead_case *c;
    bool sealing;
    enum way way;
    CK_OBJECT_HANDLE key;
    struct bytes *in, *out;
    CK_BYTE tag[VECTOR_MAX]; /* a message's */
};

/* The ways in which a vendor's module does not do what it does otherwise. */
static const struct {
    enum kind vendor;
    CK_MECHANISM_TYPE mech;
    enum way way;
} lacks[] = {
    { NSS, CKM_AES_GCM, IN_PARTS },           { NSS, CKM_AES_GCM, MESSAGE_IN_PARTS },           { NSS, CKM_CHACHA20_POLY1305, IN_BITS },
    { NSS, CKM_CHACHA20_POLY1305, IN_PARTS }, { NSS, CKM_CHACHA20_POLY1305, MESSAGE_IN_PARTS },
};

static const char *const way_names[WAYS] = {
    [ONCE] = "in one call",       [IN_BITS] = "with the nonce's length in bits", [IN_PARTS] = "in parts",
    [A_MESSAGE] = "as a message", [MESSAGE_IN_PARTS] = "as a message in parts",
};

/* Softoken takes messages without saying so; ours must say it. */
static bool has_messages(CK_MECHANISM_TYPE mech)
{
    CK_MECHANISM_INFO info;

    if (!p11_list30()) return false;
    NEED(p11->C_GetMechanismInfo(slot_labelled(TOKEN_LABEL), mech, &info));
    return p11_kind != KEYLADDER || (info.flags & CKF_MESSAGE_ENCRYPT && info.flags & CKF_MESSAGE_DECRYPT);
}

static bool is_lacking(const struct aead *aead, enum way way)
{
    for (size_t i = 0; i < COUNT(lacks); i++)
        if (lacks[i].vendor == p11_kind && lacks[i].mech == aead->mech && lacks[i].way == way) return true;
    return way >= A_MESSAGE && !has_messages(aead->mech);
}

bool aead_has_way(const struct aead *aead, enum way way)
{
    if (way == IN_BITS && aead->mech == CKM_AES_GCM) return false;
    if (!is_lacking(aead, way)) return true;
    printf("%s %s is not offered by this module\n", aead->name, way_names[way]);
    if (p11_kind == KEYLADDER) fail_at(__FILE__, __LINE__, "%s %s is not offered", aead->name, way_names[way]);
    return false;
}

/* ---- parameters ---- */

static CK_MECHANISM mechanism(struct call *call, union param *param)
{
    struct aead_case *c = call->c;

    if (call->aead->mech == CKM_AES_GCM) {
        param->gcm = (struct t_gcm){ c->iv.data, c->iv.len, c->iv.len * 8, c->aad.data, c->aad.len, c->tag.len * 8 };
        return (CK_MECHANISM){ call->aead->mech, param, sizeof param->gcm };
    }
    param->chacha = (struct t_chacha){ c->iv.data, call->way == IN_BITS ? c->iv.len * 8 : c->iv.len, c->aad.data, c->aad.len };
    return (CK_MECHANISM){ call->aead->mech, param, sizeof param->chacha };
}

static CK_MECHANISM message_mechanism(struct call *call, union param *param)
{
    struct aead_case *c = call->c;

    if (call->aead->mech == CKM_AES_GCM) {
        param->gcm_message = (struct t_gcm_message){ c->iv.data, c->iv.len, 0, 0, call->tag, c->tag.len * 8 };
        return (CK_MECHANISM){ call->aead->mech, param, sizeof param->gcm_message };
    }
    param->chacha_message = (struct t_chacha_message){ c->iv.data, c->iv.len, call->tag };
    return (CK_MECHANISM){ call->aead->mech, param, sizeof param->chacha_message };
}

/* ---- the four ways ---- */

static CK_RV begin(struct call *call)
{
    union param param;
    CK_MECHANISM mech = mechanism(call, &param);

    return call->sealing ? p11->C_EncryptInit(session, &mech, call->key) : p11->C_DecryptInit(session, &mech, call->key);
}

static CK_RV once(struct call *call)
{
    CK_ULONG got = sizeof call->out->data;
    CK_RV rv = begin(call);

    if (rv == CKR_OK) rv = (call->sealing ? p11->C_Encrypt : p11->C_Decrypt)(session, call->in->data, call->in->len, call->out->data, &got);
    call->out->len = got;
    return rv;
}

static CK_RV in_parts(struct call *call)
{
    struct bytes *out = call->out;
    CK_ULONG got;
    CK_RV rv = begin(call);

    if (rv == CKR_OK) rv = feed(call->sealing ? p11->C_EncryptUpdate : p11->C_DecryptUpdate, call->in, out);
    if (rv != CKR_OK) return rv;
    call->c->early = call->sealing ? 0 : out->len;
    got = sizeof out->data - out->len;
    rv = (call->sealing ? p11->C_EncryptFinal : p11->C_DecryptFinal)(session, out->data + out->len, &got);
    out->len += got;
    return rv;
}

static CK_RV message_once(struct call *call, const struct t_messages *messages, CK_MECHANISM *mech)
{
    struct aead_case *c = call->c;
    CK_ULONG got = sizeof call->out->data;
    CK_RV rv = messages->once(session, mech->pParameter, mech->ulParameterLen, c->aad.data, c->aad.len, call->in->data, call->in->len,
                              call->out->data, &got);

    call->out->len = got;
    return rv;
}

static CK_RV message_parts(struct call *call, const struct t_messages *messages, CK_MECHANISM *mech)
{
    struct aead_case *c = call->c;
    struct bytes *out = call->out;
    CK_RV rv = messages->begin(session, mech->pParameter, mech->ulParameterLen, c->aad.data, c->aad.len);
    size_t at = 0, step = 0;

    out->len = 0;
    for (bool last = false; rv == CKR_OK && !last; at += step) {
        CK_ULONG got = sizeof out->data - out->len;

        step = next_piece(call->in->len - at);
        last = at + step == call->in->len;
        if (!call->sealing) c->early = out->len;
        rv = messages->next(session, mech->pParameter, mech->ulParameterLen, call->in->data + at, step, out->data + out->len, &got,
                            last ? CKF_END_OF_MESSAGE : 0);
        if (rv == CKR_OK) out->len += got;
    }
    return rv;
}

static CK_RV message(struct call *call, bool parts)
{
    struct t_list30 *list = p11_list30();
    const struct t_messages *messages = call->sealing ? &list->encrypt : &list->decrypt;
    struct aead_case *c = call->c;
    union param param;
    CK_MECHANISM mech = message_mechanism(call, &param);
    CK_RV rv = messages->init(session, &mech, call->key);

    if (rv != CKR_OK) return rv;
    if (!call->sealing) memcpy(call->tag, c->tag.data, c->tag.len);
    rv = (parts ? message_parts : message_once)(call, messages, &mech);
    /* An error may have ended the operation by itself. */
    if (messages->final(session) != CKR_OK && rv == CKR_OK) rv = CKR_OPERATION_NOT_INITIALIZED;
    if (rv == CKR_OK && call->sealing) {
        memcpy(call->out->data + call->out->len, call->tag, c->tag.len);
        call->out->len += c->tag.len;
    }
    return rv;
}

static CK_RV run(struct call *call)
{
    call->c->early = 0;
    if (call->way >= A_MESSAGE) return message(call, call->way == MESSAGE_IN_PARTS);
    return call->way == IN_PARTS ? in_parts(call) : once(call);
}

bool aead_seal(const struct aead *aead, struct aead_case *c, enum way way, struct bytes *out, CK_RV *rv)
{
    static struct call call;

    call = (struct call){ .aead = aead, .c = c, .way = way, .sealing = true, .in = &c->msg, .out = out };
    if (!vector_key(aead->key_type, &c->key, "ed", &call.key)) return false;
    *rv = run(&call);
    NEED(p11->C_DestroyObject(keeper, call.key));
    return true;
}

bool aead_open(const struct aead *aead, struct aead_case *c, enum way way, struct bytes *out, CK_RV *rv)
{
    static struct call call;
    static struct bytes sealed;

    call = (struct call){ .aead = aead, .c = c, .way = way, .in = way < A_MESSAGE ? &sealed : &c->ct, .out = out };
    sealed.len = c->ct.len + c->tag.len;
    memcpy(sealed.data, c->ct.data, c->ct.len);
    memcpy(sealed.data + c->ct.len, c->tag.data, c->tag.len);
    if (!vector_key(aead->key_type, &c->key, "ed", &call.key)) return false;
    *rv = run(&call);
    NEED(p11->C_DestroyObject(keeper, call.key));
    return true;
}
