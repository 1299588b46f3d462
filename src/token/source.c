/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/source.h"

#include <stdlib.h>
#include <string.h>

#include "token/mech.h"
#include "token/session.h"
#include "token/shelf.h"

static CK_ULONG epoch_of(const struct kl_session *session)
{
    const struct kl_token *token = session->token;

    return atomic_load_explicit(&token->login_epoch, memory_order_acquire);
}

/* --- the key --- */

/* As of an operation (token/op.c). */
static bool is_warm(const struct kl_session *session, const struct kl_source *source, const struct kl_mech *mech, CK_OBJECT_HANDLE handle)
{
    if (!source || source->handle != handle || source->mech != mech) return false;
    if (source->login_epoch != epoch_of(session) || source->second != kl_shelf_second()) return false;
    if (!kl_slot_is_alive(source->hold.object, handle)) return false;
    return atomic_load_explicit(&source->hold.object->shot, memory_order_acquire) == source->hold.shot;
}

static void source_free(struct kl_source *source)
{
    kl_key_put(source->key);
    kl_hold_clear(&source->hold);
    free(source);
}

static enum kl_rc source_fill(struct kl_session *session, const struct kl_mech *mech, CK_OBJECT_HANDLE handle, struct kl_source *source)
{
    source->handle = handle;
    source->mech = mech;
    source->login_epoch = epoch_of(session);
    source->second = kl_shelf_second();
    KL_TRY(kl_hold_take(session, handle, &source->hold));
    return kl_mech_may_use(session, mech, &source->hold, KL_FLAG_DERIVE);
}

static enum kl_rc source_new(struct kl_session *session, const struct kl_mech *mech, CK_OBJECT_HANDLE handle)
{
    struct kl_source *source = calloc(1, sizeof *source);
    enum kl_rc rc;

    KL_CHECK(source, KL_MEMORY);
    rc = source_fill(session, mech, handle, source);
    if (rc == KL_OK)
        session->source = source;
    else
        source_free(source);
    return rc;
}

enum kl_rc kl_source_take(struct kl_session *session, const struct kl_mech *mech, CK_OBJECT_HANDLE handle)
{
    if (is_warm(session, session->source, mech, handle)) return KL_OK;
    kl_source_forget(session, CK_INVALID_HANDLE);
    return source_new(session, mech, handle);
}

enum kl_rc kl_source_key(struct kl_source *source, struct kl_key **key)
{
    if (!source->key) KL_TRY(kl_hold_key(&source->hold, &source->key));
    *key = source->key;
    return KL_OK;
}

void kl_source_forget(struct kl_session *session, CK_OBJECT_HANDLE handle)
{
    struct kl_source *source = session->source;

    if (!source || (handle != CK_INVALID_HANDLE && source->handle != handle)) return;
    session->source = NULL;
    source_free(source);
}

/* --- the template --- */

/* A flag, a number, or what else is as short. */
static bool is_value(const uint8_t kept[sizeof(CK_ULONG)], const void *value, CK_ULONG len)
{
    if (len == 0) return true;
    if (!value) return false;
    return len == sizeof(CK_BBOOL) ? *kept == *(const uint8_t *)value : memcmp(kept, value, len) == 0;
}

static bool is_same(const struct kl_source *source, size_t at, const CK_ATTRIBUTE *attribute)
{
    if (source->attrs[at].type != attribute->type || source->attrs[at].len != attribute->ulValueLen) return false;
    return is_value(source->attrs[at].value, attribute->pValue, attribute->ulValueLen);
}

/* The array may be misaligned. */
static CK_ATTRIBUTE attribute_at(const CK_ATTRIBUTE *template, CK_ULONG index)
{
    CK_ATTRIBUTE attribute;

    memcpy(&attribute, (const uint8_t *)template + index * sizeof attribute, sizeof attribute);
    return attribute;
}

bool kl_source_recall(const struct kl_source *source, const CK_ATTRIBUTE *template, CK_ULONG count, struct kl_draft *draft, uint32_t *named)
{
    if (!source->has_template || source->attr_count != count || !template) return false;
    for (CK_ULONG i = 0; i < count; i++) {
        CK_ATTRIBUTE attribute = attribute_at(template, i);

        if (!is_same(source, i, &attribute)) return false;
    }
    kl_draft_restore(draft, &source->head);
    *named = source->named;
    return true;
}

static bool is_small(const CK_ATTRIBUTE *template, CK_ULONG count)
{
    if (!template || count > KL_SOURCE_ATTRS) return false;
    for (CK_ULONG i = 0; i < count; i++)
        if (attribute_at(template, i).ulValueLen > sizeof(CK_ULONG)) return false;
    return true;
}

void kl_source_keep(struct kl_source *source, const CK_ATTRIBUTE *template, CK_ULONG count, const struct kl_draft *draft, uint32_t named)
{
    source->has_template = false;
    if (!is_small(template, count) || !kl_draft_save(draft, &source->head)) return;
    for (CK_ULONG i = 0; i < count; i++) {
        CK_ATTRIBUTE attribute = attribute_at(template, i);

        source->attrs[i].type = attribute.type;
        source->attrs[i].len = attribute.ulValueLen;
        if (attribute.ulValueLen > 0) memcpy(source->attrs[i].value, attribute.pValue, attribute.ulValueLen);
    }
    source->attr_count = count;
    source->named = named;
    source->has_template = true;
}
