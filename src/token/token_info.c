/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What a slot and its token tell of themselves. */
#include "token/token.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "token/session.h"

/* The flags of one role's PIN. */
struct pin_flags {
    CK_FLAGS count_low;
    CK_FLAGS final_try;
    CK_FLAGS locked;
};

void kl_text_pad(void *out, size_t len, const char *text)
{
    struct kl_view rest = kl_view_text(text);
    unsigned char *at = out;
    size_t used = 0, step;

    while ((step = kl_utf8_step(rest)) > 0 && used + step <= len) {
        memcpy(at + used, rest.data, step);
        used += step;
        rest = kl_view_of(rest.data + step, rest.len - step);
    }
    memset(at + used, ' ', len - used);
}

/* Once when it breaks and once when it works again, not at every look. */
static void tell_once(struct kl_token *token, enum kl_rc rc)
{
    const char *name = kl_ladder_name(token->ladder);
    const char *words = *kl_fail_words() != '\0' ? kl_fail_words() : kl_rc_words(rc);
    enum kl_rc before = atomic_exchange(&token->told, rc);

    if (rc == before) return;
    if (rc == KL_OK) kl_log(KL_LOG_NOTICE, "token \"%s\" can be used again", name);
    if (rc != KL_OK) kl_log(KL_LOG_ERROR, "token \"%s\" cannot be used: %s: %s", name, kl_rc_name(rc), words);
}

static enum kl_rc facts(struct kl_token *token, struct kl_token_facts *out)
{
    enum kl_rc rc = kl_ladder_facts(token->ladder, out);

    tell_once(token, rc);
    if (rc == KL_OK && out->is_initialised) atomic_store(&token->is_known, true);
    return rc;
}

enum kl_rc kl_token_check(struct kl_token *token)
{
    struct kl_token_facts known;

    if (atomic_load_explicit(&token->is_known, memory_order_relaxed)) return KL_OK;
    KL_TRY(facts(token, &known));
    return known.is_initialised ? KL_OK : KL_TOKEN_UNSET;
}

enum kl_rc kl_token_slot_info(struct kl_token *token, CK_SLOT_INFO *info)
{
    char description[sizeof info->slotDescription + 1];

    *info = (CK_SLOT_INFO){ .flags = CKF_TOKEN_PRESENT, .hardwareVersion = kl_module_version(), .firmwareVersion = kl_module_version() };
    snprintf(description, sizeof description, "keyladder token %s", kl_ladder_name(token->ladder));
    kl_text_pad(info->slotDescription, sizeof info->slotDescription, description);
    kl_text_pad(info->manufacturerID, sizeof info->manufacturerID, "keyladder");
    return KL_OK;
}

static CK_FLAGS tries_flags(uint32_t tries, struct pin_flags flags)
{
    CK_FLAGS set = tries > 0 ? flags.count_low : 0;

    if (tries == KL_PIN_TRIES - 1) set |= flags.final_try;
    if (tries >= KL_PIN_TRIES) set |= flags.locked;
    return set;
}

static CK_FLAGS token_flags(const struct kl_token_facts *known)
{
    static const struct pin_flags user = { CKF_USER_PIN_COUNT_LOW, CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_LOCKED };
    static const struct pin_flags so = { CKF_SO_PIN_COUNT_LOW, CKF_SO_PIN_FINAL_TRY, CKF_SO_PIN_LOCKED };
    CK_FLAGS flags = CKF_RNG | CKF_LOGIN_REQUIRED;

    if (known->is_read_only) flags |= CKF_WRITE_PROTECTED;
    if (!known->is_initialised) return flags;
    flags |= CKF_TOKEN_INITIALIZED | tries_flags(known->so_tries, so);
    if (known->user_pin_is_set) flags |= CKF_USER_PIN_INITIALIZED | tries_flags(known->user_tries, user);
    return flags;
}

/* Sixteen characters say what it is and who does the work. */
static const char *model_of(const struct kl_token *token)
{
    return strcmp(kl_aead_engine_name(token->engine), "openssl") == 0 ? "keyladder/ossl" : "keyladder/mb";
}

enum kl_rc kl_token_info(struct kl_token *token, CK_TOKEN_INFO *info)
{
    struct kl_token_facts known;

    KL_TRY(facts(token, &known));
    *info = (CK_TOKEN_INFO){
        .flags = token_flags(&known),
        .ulMaxSessionCount = KL_SESSIONS_MAX,
        .ulMaxRwSessionCount = KL_SESSIONS_MAX,
        .ulMaxPinLen = KL_PIN_MAX,
        .ulMinPinLen = KL_PIN_MIN,
        .ulTotalPublicMemory = CK_UNAVAILABLE_INFORMATION,
        .ulFreePublicMemory = CK_UNAVAILABLE_INFORMATION,
        .ulTotalPrivateMemory = CK_UNAVAILABLE_INFORMATION,
        .ulFreePrivateMemory = CK_UNAVAILABLE_INFORMATION,
        .hardwareVersion = kl_module_version(),
        .firmwareVersion = kl_module_version(),
    };
    kl_text_pad(info->label, sizeof info->label, known.is_initialised ? known.label : "");
    kl_text_pad(info->manufacturerID, sizeof info->manufacturerID, "keyladder");
    kl_text_pad(info->model, sizeof info->model, model_of(token));
    kl_text_pad(info->serialNumber, sizeof info->serialNumber, known.is_initialised ? known.serial : "");
    /* No CKF_CLOCK_ON_TOKEN, and so no time. */
    kl_text_pad(info->utcTime, sizeof info->utcTime, "");
    pthread_mutex_lock(&token->lock);
    info->ulSessionCount = token->sessions;
    info->ulRwSessionCount = token->rw_sessions;
    pthread_mutex_unlock(&token->lock);
    return KL_OK;
}
