/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The interface "Vendor keyladder": what PKCS #11 has no function for. keyladder/pkcs11.h says what each does. */
#include <stddef.h>
#include <string.h>

#include "keyladder/pkcs11.h"
#include "p11/buffer.h"
#include "p11/call.h"
#include "p11/list.h"
#include "token/batch.h"
#include "token/object.h"

/* One item in the caller's array, which may be misaligned; its result has a name in the one-shot function's family. */
static enum kl_rc run_item(const struct kl_batch *batch, KL_BATCH_ITEM *theirs)
{
    KL_BATCH_ITEM mine;
    struct kl_out room;
    enum kl_rc rc;

    memcpy(&mine, theirs, sizeof mine);
    room = (struct kl_out){ mine.pOut, mine.ulOutLen, 0 };
    rc = kl_batch_item(batch, kl_view_of(mine.pAAD, mine.ulAADLen), kl_view_of(mine.pIn, mine.ulInLen), &room);
    if (rc == KL_OK || rc == KL_BUFFER) mine.ulOutLen = room.len;
    mine.rv = kl_call_answer(KL_FN_C_Encrypt, rc);
    memcpy((CK_BYTE *)theirs + offsetof(KL_BATCH_ITEM, ulOutLen), &mine.ulOutLen, sizeof mine.ulOutLen);
    memcpy((CK_BYTE *)theirs + offsetof(KL_BATCH_ITEM, rv), &mine.rv, sizeof mine.rv);
    return rc;
}

static KL_HOT enum kl_rc run(const struct kl_batch *batch, KL_BATCH_ITEM *items, CK_ULONG count)
{
    enum kl_rc first = KL_OK;

    for (CK_ULONG i = 0; i < count; i++) {
        enum kl_rc rc = run_item(batch, &items[i]);

        if (first == KL_OK) first = rc;
    }
    return first;
}

static CK_RV batch(struct kl_call *call, struct kl_batch mine, const CK_MECHANISM *mechanism, KL_BATCH_ITEM *items, CK_ULONG count)
{
    CK_MECHANISM how;
    enum kl_rc rc = kl_caller_read(&how, mechanism, sizeof how);

    mine.session = call->session;
    mine.mechanism = &how;
    if (rc == KL_OK && items == NULL && count > 0) rc = KL_ARG;
    if (rc == KL_OK) rc = kl_batch_begin(&mine);
    if (rc == KL_OK) rc = run(&mine, items, count);
    return kl_call_leave(call, rc);
}

static CK_RV encrypt_batch(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key, KL_BATCH_ITEM *items, CK_ULONG count)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_KL_EncryptBatch, session, KL_NEED_SESSION);

    if (rc != KL_OK) return kl_call_leave(&call, rc);
    return batch(&call, (struct kl_batch){ .kind = KL_OP_ENCRYPT, .key = key }, mechanism, items, count);
}

static CK_RV decrypt_batch(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key, KL_BATCH_ITEM *items, CK_ULONG count)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_KL_DecryptBatch, session, KL_NEED_SESSION);

    if (rc != KL_OK) return kl_call_leave(&call, rc);
    return batch(&call, (struct kl_batch){ .kind = KL_OP_DECRYPT, .key = key }, mechanism, items, count);
}

/* Ends operations in other sessions, so it holds none's lock. */
static CK_RV evict(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
    struct kl_call call;
    enum kl_rc rc = kl_call_enter(&call, KL_FN_KL_Evict, session, KL_NEED_TOKEN);

    if (rc == KL_OK) rc = kl_object_evict(call.token, key);
    return kl_call_leave(&call, rc);
}

static CK_RV get_error(CK_UTF8CHAR *words, CK_ULONG *words_len)
{
    char text[1024];
    struct kl_out room = kl_out_from(words, words_len);
    enum kl_rc rc = words_len != NULL ? KL_OK : KL_ARG;

    kl_call_words(text, sizeof text);
    room.len = strlen(text);
    if (rc == KL_OK && room.data != NULL && room.cap < room.len) rc = KL_BUFFER;
    if (rc == KL_OK && room.data != NULL) memcpy(room.data, text, room.len);
    return kl_call_answer(KL_FN_C_GetInfo, kl_out_report(&room, words_len, rc));
}

const KL_FUNCTION_LIST kl_list_vendor = {
    .version = { 1, 0 },
    .EncryptBatch = encrypt_batch,
    .DecryptBatch = decrypt_batch,
    .Evict = evict,
    .GetError = get_error,
};
