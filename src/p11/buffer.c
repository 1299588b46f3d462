/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "p11/buffer.h"

#include <string.h>

enum kl_rc kl_caller_read(void *mine, const void *theirs, size_t len)
{
    KL_CHECK(theirs != NULL, KL_ARG);
    memcpy(mine, theirs, len);
    return KL_OK;
}

enum kl_rc kl_caller_write(void *theirs, const void *mine, size_t len)
{
    KL_CHECK(theirs != NULL, KL_ARG);
    memcpy(theirs, mine, len);
    return KL_OK;
}

struct kl_out kl_out_from(CK_BYTE *out, const CK_ULONG *out_len)
{
    CK_ULONG cap = 0;

    if (kl_caller_read(&cap, out_len, sizeof cap) != KL_OK) out = NULL;
    return (struct kl_out){ .data = out, .cap = cap };
}

enum kl_rc kl_out_check(struct kl_session *session, enum kl_op_kind kind, const CK_ULONG *out_len)
{
    if (out_len != NULL) return KL_OK;
    kl_op_clear(session, kind);
    return KL_ARG;
}

enum kl_rc kl_out_report(const struct kl_out *room, CK_ULONG *out_len, enum kl_rc rc)
{
    CK_ULONG len = room->len;

    if (rc != KL_OK && rc != KL_BUFFER) return rc;
    return kl_caller_write(out_len, &len, sizeof len) == KL_OK ? rc : KL_ARG;
}

enum kl_rc kl_list_room(const void *theirs, CK_ULONG *room, CK_ULONG count)
{
    CK_ULONG lent = 0;

    KL_TRY(kl_caller_read(&lent, room, sizeof lent));
    /* not reached: it has been read. */
    KL_TRY(kl_caller_write(room, &count, sizeof count));
    return theirs == NULL || lent >= count ? KL_OK : KL_BUFFER;
}

void kl_list_set(CK_ULONG *theirs, CK_ULONG index, CK_ULONG number)
{
    enum kl_rc rc = theirs == NULL ? KL_OK : kl_caller_write((unsigned char *)theirs + index * sizeof number, &number, sizeof number);

    (void)rc; /* there is a place to write to */
}

enum kl_rc kl_template_read(struct kl_template *template, const void *theirs, CK_ULONG count)
{
    KL_CHECK(count <= KL_TEMPLATE_MAX, KL_ARG);
    KL_CHECK(count == 0 || theirs != NULL, KL_ARG);
    template->count = count;
    if (count > 0) memcpy(template->items, theirs, count * sizeof *template->items);
    return KL_OK;
}

void kl_template_return(const struct kl_template *template, void *theirs)
{
    unsigned char *at = theirs;

    for (CK_ULONG i = 0; i < template->count; i++)
        memcpy(at + i * sizeof(CK_ATTRIBUTE) + offsetof(CK_ATTRIBUTE, ulValueLen), &template->items[i].ulValueLen, sizeof(CK_ULONG));
}
