/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* CKM_HKDF_DERIVE: RFC 5869 to the bit on free keys; on ladder keys the ladder's own derivation (DESIGN 4.3). */
#include <string.h>

#include "crypto/hash.h"
#include "token/make.h"
#include "token/mech.h"
#include "token/policy.h"

#define SALT_MAX 65536
#define INFO_MAX 65536
#define LADDER_SALT_MAX 255

static enum kl_rc read_parameter(struct kl_view parameter, CK_HKDF_PARAMS *out)
{
    KL_CHECK(parameter.data && parameter.len == sizeof *out, KL_PARAMETER);
    memcpy(out, parameter.data, sizeof *out);
    KL_CHECK(out->bExtract == CK_TRUE || out->bExtract == CK_FALSE, KL_PARAMETER);
    KL_CHECK(out->bExpand == CK_TRUE || out->bExpand == CK_FALSE, KL_PARAMETER);
    KL_CHECK(out->bExtract || out->bExpand, KL_PARAMETER);
    KL_CHECK(out->pInfo || out->ulInfoLen == 0, KL_PARAMETER);
    return KL_OK;
}

static enum kl_rc derive_ladder(struct kl_view parameter, struct kl_request *request)
{
    CK_HKDF_PARAMS hkdf = { 0 };

    KL_TRY(read_parameter(parameter, &hkdf));
    KL_CHECK(hkdf.bExtract && hkdf.bExpand && hkdf.prfHashMechanism == CKM_SHA256, KL_PARAMETER);
    KL_CHECK(hkdf.ulSaltType == CKF_HKDF_SALT_NULL || hkdf.ulSaltType == CKF_HKDF_SALT_DATA, KL_PARAMETER);
    KL_CHECK(hkdf.ulInfoLen >= 1 && hkdf.ulInfoLen <= KL_LADDER_INFO_MAX, KL_PARAMETER);
    request->info = kl_view_of(hkdf.pInfo, hkdf.ulInfoLen);
    request->has_salt = hkdf.ulSaltType == CKF_HKDF_SALT_DATA;
    if (!request->has_salt) return KL_OK;
    KL_CHECK(hkdf.ulSaltLen <= LADDER_SALT_MAX && (hkdf.pSalt || hkdf.ulSaltLen == 0), KL_PARAMETER);
    request->salt = kl_view_of(hkdf.pSalt, hkdf.ulSaltLen);
    return KL_OK;
}

/* Extraction takes the base key as its input; without it, the base is the key of the function. */
static enum kl_rc may_run(const struct kl_derivation *derivation, const CK_HKDF_PARAMS *hkdf)
{
    const struct kl_token *token = derivation->session->token;
    struct kl_deed prk = { .kind = KL_DEED_PRK, .key = &derivation->draft->record, .other = &derivation->base->record };

    if (!hkdf->bExtract) return kl_make_may_be_prf_key(derivation->session, derivation->base);
    return hkdf->bExpand ? KL_OK : kl_policy_judge(token->policy, &prk);
}

static enum kl_rc may_be_salt(const struct kl_derivation *derivation, const struct kl_hold *salt)
{
    const struct kl_token *token = derivation->session->token;
    struct kl_deed deed = { .kind = KL_DEED_SALT, .key = &salt->record, .other = &derivation->base->record };

    return kl_policy_judge(token->policy, &deed);
}

/* The child must not be weaker than either of the keys that it comes from; data is not weaker than anything, and told by rules of its own. */
static enum kl_rc inherit(const struct kl_derivation *derivation, const struct kl_hold *salt)
{
    const struct kl_token *token = derivation->session->token;
    struct kl_draft *draft = derivation->draft;
    uint32_t both = kl_policy_inherited(salt->record.flags, draft->named, draft->record.flags);
    struct kl_deed tell = { .kind = KL_DEED_TELL, .key = &salt->record };

    if (draft->record.class == CKO_DATA) return kl_policy_judge(token->policy, &tell);
    draft->record.flags = (draft->record.flags & both) | (both & KL_FLAG_SENSITIVE);
    return kl_make_judge(derivation->session, draft, &salt->record);
}

/* A key as salt: any secret key of the token that may derive, and whose bytes are its own. */
static enum kl_rc salt_by_key(const struct kl_derivation *derivation, CK_OBJECT_HANDLE handle, struct kl_secret *salt)
{
    KL_AUTO(kl_hold) hold = { 0 };
    struct kl_key *key = NULL;
    enum kl_rc rc;

    KL_TRY(kl_hold_take(derivation->session, handle, &hold));
    KL_CHECK(!kl_level_is_ladder(hold.record.level), KL_KEY_FUNCTION);
    KL_TRY(kl_mech_may_use(derivation->session, &kl_mech_hkdf_derive, &hold, KL_FLAG_DERIVE));
    KL_TRY(may_be_salt(derivation, &hold));
    KL_TRY(inherit(derivation, &hold));
    KL_TRY(kl_mech_bind(derivation->session, &kl_mech_hkdf_derive, handle));
    KL_TRY(kl_hold_key(&hold, &key));
    rc = kl_secret_from(salt, kl_key_bytes(key));
    kl_key_put(key);
    return rc;
}

static enum kl_rc read_salt(const struct kl_derivation *derivation, const CK_HKDF_PARAMS *hkdf, struct kl_secret *room,
                            struct kl_view *salt)
{
    *salt = kl_view_of(NULL, 0);
    if (!hkdf->bExtract || hkdf->ulSaltType == CKF_HKDF_SALT_NULL) return KL_OK;
    if (hkdf->ulSaltType == CKF_HKDF_SALT_KEY) {
        KL_TRY(salt_by_key(derivation, hkdf->hSaltKey, room));
        *salt = kl_secret_view(room);
        return KL_OK;
    }
    /* not reached: check_salt_type has refused a fourth. */
    KL_CHECK(hkdf->ulSaltType == CKF_HKDF_SALT_DATA, KL_PARAMETER);
    KL_CHECK(hkdf->ulSaltLen <= SALT_MAX && (hkdf->pSalt || hkdf->ulSaltLen == 0), KL_PARAMETER);
    *salt = kl_view_of(hkdf->pSalt, hkdf->ulSaltLen);
    return KL_OK;
}

static enum kl_rc check_salt_type(const CK_HKDF_PARAMS *hkdf)
{
    KL_CHECK(!hkdf->bExtract || hkdf->ulSaltType == CKF_HKDF_SALT_NULL || hkdf->ulSaltType == CKF_HKDF_SALT_DATA ||
                 hkdf->ulSaltType == CKF_HKDF_SALT_KEY,
             KL_PARAMETER);
    return KL_OK;
}

/* A pseudo-random key by itself has the length of the hash; everything else has to be told. */
static enum kl_rc child_len(const struct kl_derivation *derivation, const CK_HKDF_PARAMS *hkdf, enum kl_hash hash, size_t *out)
{
    size_t len = kl_hash_len(hash);

    return kl_make_derived_len(derivation->draft, hkdf->bExpand ? 0 : len, hkdf->bExpand ? 255 * len : len, out);
}

static enum kl_rc run(const CK_HKDF_PARAMS *hkdf, enum kl_hash hash, struct kl_view salt, struct kl_view base, struct kl_secret *out)
{
    struct kl_view info = kl_view_of(hkdf->pInfo, hkdf->ulInfoLen);
    KL_AUTO(kl_secret) prk = { 0 };

    if (!hkdf->bExtract) return kl_hkdf_expand(hash, base, &info, 1, out->data, out->len);
    if (hkdf->bExpand) return kl_hkdf(hash, salt, base, info, out->data, out->len);
    KL_TRY(kl_secret_new(&prk, kl_hash_len(hash)));
    KL_TRY(kl_hkdf_extract(hash, salt, base, prk.data));
    memcpy(out->data, prk.data, out->len);
    return KL_OK;
}

static enum kl_rc derive(const struct kl_derivation *derivation, struct kl_secret *out)
{
    KL_AUTO(kl_secret) room = { 0 };
    CK_HKDF_PARAMS hkdf = { 0 };
    struct kl_view salt = { NULL, 0 };
    enum kl_hash hash = KL_SHA256;
    size_t len = 0;

    KL_TRY(read_parameter(derivation->parameter, &hkdf));
    KL_TRY(kl_mech_hash(hkdf.prfHashMechanism, &hash));
    KL_TRY(check_salt_type(&hkdf));
    KL_CHECK(hkdf.ulInfoLen <= INFO_MAX, KL_PARAMETER);
    KL_TRY(child_len(derivation, &hkdf, hash, &len));
    KL_TRY(may_run(derivation, &hkdf));
    KL_TRY(read_salt(derivation, &hkdf, &room, &salt));
    KL_TRY(kl_secret_new(out, len));
    return run(&hkdf, hash, salt, kl_key_bytes(derivation->base_key), out);
}

const struct kl_mech kl_mech_hkdf_derive = {
    .type = CKM_HKDF_DERIVE,
    .name = "HKDF",
    /* Of AES too: callers make their base keys with CKM_AES_KEY_GEN, and one that derives does nothing else. */
    .key_types = { CKK_HKDF, CKK_GENERIC_SECRET, CKK_AES },
    .key_type_count = 3,
    .min_key = 1,
    .max_key = KL_SECRET_KEY_MAX,
    .family = KL_FAMILY_HKDF,
    .on_ladder = true,
    .derive = derive,
    .derives = CKO_SECRET_KEY,
    .derive_ladder = derive_ladder,
};

const struct kl_mech kl_mech_hkdf_data = {
    .type = CKM_HKDF_DATA,
    .name = "HKDF to data",
    .key_types = { CKK_HKDF, CKK_GENERIC_SECRET, CKK_AES },
    .key_type_count = 3,
    .min_key = 1,
    .max_key = KL_SECRET_KEY_MAX,
    .family = KL_FAMILY_HKDF,
    .derive = derive,
    .derives = CKO_DATA,
};
