/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "token/draft.h"

#include <stddef.h>
#include <string.h>

#include "token/policy.h"

void kl_draft_begin(struct kl_draft *draft, CK_OBJECT_CLASS class)
{
    memset(draft, 0, offsetof(struct kl_draft, extras));
    draft->record.class = class;
    draft->record.level = class == CKO_DATA ? KL_LEVEL_DATA : KL_LEVEL_FREE;
    draft->record.state = KL_STATE_ACTIVE;
    draft->record.version = 1;
    draft->record.is_active = true;
    draft->record.mechanism = KL_NO_MECHANISM;
    draft->record.flags = KL_FLAG_PRIVATE | KL_FLAG_MODIFIABLE | KL_FLAG_COPYABLE | KL_FLAG_DESTROYABLE;
    if (class == CKO_SECRET_KEY) draft->record.flags |= KL_FLAG_SENSITIVE;
    draft->record.extras = draft->extras;
}

void kl_draft_from(struct kl_draft *draft, const struct kl_record *record, bool is_token)
{
    memset(draft, 0, offsetof(struct kl_draft, extras));
    draft->record = *record;
    draft->record.memory = NULL;
    draft->is_token = is_token;
    for (size_t i = 0; i < record->extra_count; i++) draft->extras[i] = record->extras[i];
    draft->record.extras = draft->extras;
}

bool kl_draft_save(const struct kl_draft *draft, struct kl_draft_head *head)
{
    const struct kl_record *record = &draft->record;

    if (record->label.data || record->key_id.data || record->extra_count > 0 || draft->has_value) return false;
    memcpy(head->bytes, draft, sizeof head->bytes);
    return true;
}

void kl_draft_restore(struct kl_draft *draft, const struct kl_draft_head *head)
{
    memcpy(draft, head->bytes, sizeof head->bytes);
    draft->record.extras = draft->extras;
}

enum kl_rc kl_draft_extra(struct kl_draft *draft, uint64_t type, struct kl_view value)
{
    size_t at = 0;
    size_t count = draft->record.extra_count;

    while (at < count && draft->extras[at].type < type) at++;
    if (at == count || draft->extras[at].type != type) {
        KL_CHECK(count < KL_EXTRAS_MAX, KL_TEMPLATE);
        memmove(&draft->extras[at + 1], &draft->extras[at], (count - at) * sizeof draft->extras[0]);
        draft->record.extra_count++;
    }
    draft->extras[at] = (struct kl_extra){ type, value.data ? value : kl_attr_empty() };
    return KL_OK;
}

void kl_draft_drop_extra(struct kl_draft *draft, uint64_t type)
{
    size_t kept = 0;

    for (size_t i = 0; i < draft->record.extra_count; i++) {
        if (draft->extras[i].type != type) draft->extras[kept++] = draft->extras[i];
    }
    draft->record.extra_count = kept;
}

static enum kl_rc set_flag(struct kl_draft *draft, const struct kl_attr_spec *spec, bool to)
{
    struct kl_deed deed = {
        .kind = KL_DEED_FLAG,
        .rules = spec->rules,
        .is_there = (draft->applying.how & (KL_MODIFY | KL_ON_COPY)) != 0,
        .is_so = draft->applying.is_so,
        .from = kl_record_has(&draft->record, spec->flag),
        .to = to,
    };

    KL_TRY(kl_policy_judge(draft->applying.policy, &deed));
    draft->named |= spec->flag;
    if (to)
        draft->record.flags |= spec->flag;
    else
        draft->record.flags &= ~spec->flag;
    return KL_OK;
}

static enum kl_rc apply(struct kl_draft *draft, const struct kl_attr_table *table, const struct kl_attr *attr)
{
    const struct kl_attr_spec *spec = kl_attr_find(table, attr->type);

    KL_CHECK(spec, KL_ATTR_TYPE);
    KL_CHECK(spec->rules & draft->applying.how, KL_ATTR_READ_ONLY);
    KL_TRY(kl_attr_check(spec, attr->value));
    if (spec->set) return spec->set(draft, attr->value);
    if (spec->form == KL_BOOL) return set_flag(draft, spec, kl_attr_bool(attr->value));
    return kl_draft_extra(draft, spec->type, attr->value);
}

enum kl_rc kl_draft_apply(struct kl_draft *draft, const struct kl_asked *asked, struct kl_applying applying)
{
    const struct kl_attr_table *table = kl_attr_table_of(draft->record.class);

    /* not reached: a class without a table has been refused. */
    KL_CHECK(table, KL_ATTR_VALUE);
    draft->applying = applying;
    for (size_t i = 0; i < asked->count; i++) KL_TRY(apply(draft, table, &asked->items[i]));
    return KL_OK;
}

enum kl_rc kl_draft_impose(struct kl_draft *draft, const struct kl_asked *asked, const struct kl_pattern *pattern)
{
    for (size_t i = 0; i < pattern->asked.count; i++) {
        const struct kl_attr *wish = &pattern->asked.items[i];
        const struct kl_attr *named = kl_asked_find(asked, wish->type);

        if (named && !kl_view_is(named->value, wish->value))
            return kl_fail(KL_TEMPLATE, "the key that makes this one wants attribute 0x%lx otherwise", wish->type);
    }
    return kl_draft_apply(draft, &pattern->asked, draft->applying);
}
