/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Direct calls to a root provider: CKM_KL_ROOT_WRAP (doc/format.md, "Root wrapping"). */
#include "ladder/internal.h"

#include <stdlib.h>
#include <string.h>

#define HEAD_LEN 4
static const uint8_t head[HEAD_LEN] = { 0x4B, 0x4C, 0x03, 0x01 };

/* What a provider makes, on the heap: 12 KiB are too much for a host's stack. */
struct room {
    uint8_t sealed[KL_ROOT_SEALED_MAX];
    uint8_t meta[KL_ROOT_META_MAX];
};

static struct kl_root_context context_of(struct kl_ladder *ladder, uint32_t version)
{
    struct kl_root_context context = kl_master_context(kl_ladder_serial(ladder), kl_view_text(ladder->environment), version);

    /* Never that of the token's own seals: what a caller brings opens none of them. */
    context.purpose = "user";
    return context;
}

static void write_blob(struct kl_writer *writer, const struct kl_root *root, uint32_t version, const struct kl_root_sealed *sealed)
{
    kl_write_raw(writer, kl_view_of(head, sizeof(head)));
    kl_write_bytes(writer, kl_view_text(kl_root_name(root)));
    kl_write_u32(writer, version);
    kl_write_bytes(writer, kl_view_of(sealed->data, sealed->len));
    kl_write_bytes(writer, kl_view_of(sealed->meta, sealed->meta_len));
}

size_t kl_ladder_root_room(const struct kl_ladder *ladder)
{
    size_t most = 0;

    for (size_t i = 0; i < ladder->root_count; i++) {
        struct kl_root_sealed longest = { .len = kl_root_sealed_max(ladder->roots[i]), .meta_len = kl_root_meta_max(ladder->roots[i]) };
        struct kl_writer counter = { NULL, 0, 0 };

        write_blob(&counter, ladder->roots[i], 0, &longest);
        if (counter.len > most) most = counter.len;
    }
    return most;
}

static enum kl_rc wrap_by(struct kl_ladder *ladder, struct kl_root *root, uint32_t version, const struct kl_secret *plain,
                          struct kl_out *out)
{
    struct kl_root_context context = context_of(ladder, version);
    struct kl_writer writer = { out->data, out->cap, 0 };
    struct room *room = calloc(1, sizeof(*room));
    struct kl_root_sealed sealed;
    enum kl_rc rc;

    KL_CHECK(room, KL_MEMORY);
    sealed = (struct kl_root_sealed){ room->sealed, sizeof(room->sealed), room->meta, sizeof(room->meta) };
    rc = kl_root_wrap(root, &context, plain, &sealed);
    if (rc == KL_OK) write_blob(&writer, root, version, &sealed);
    free(room);
    KL_TRY(rc);
    KL_CHECK(kl_writer_is_whole(&writer), KL_INTEGRITY);
    out->len = writer.len;
    return KL_OK;
}

enum kl_rc kl_ladder_root_wrap(struct kl_ladder *ladder, struct kl_view plain, struct kl_out *out)
{
    KL_AUTO(kl_record) master = { 0 };
    KL_AUTO(kl_secret) copy = { 0 };
    enum kl_rc rc = KL_CONFIG;

    KL_CHECK(plain.len > 0 && plain.len <= KL_ROOT_PLAIN_MAX && plain.len % 8 == 0, KL_DATA_LENGTH);
    KL_TRY(kl_current_master(ladder, &master));
    KL_TRY(kl_secret_from(&copy, plain));
    for (size_t i = 0; i < ladder->root_count; i++) {
        rc = wrap_by(ladder, ladder->roots[i], master.version, &copy, out);
        if (rc != KL_ROOT_UNREACHABLE) return rc;
    }
    return rc;
}

/* The root that a blob names, and what that root made. */
struct named {
    struct kl_root *root;
    uint32_t version;
    struct kl_view sealed, meta;
};

static enum kl_rc read_blob(struct kl_ladder *ladder, struct kl_view blob, struct named *out)
{
    struct kl_reader reader = kl_reader_of(blob);
    uint8_t found[HEAD_LEN];
    struct kl_view name;

    kl_read_raw(&reader, found, sizeof(found));
    name = kl_read_bytes(&reader);
    out->version = kl_read_u32(&reader);
    out->sealed = kl_read_bytes(&reader);
    out->meta = kl_read_bytes(&reader);
    if (!kl_reader_is_done(&reader) || memcmp(found, head, sizeof(head)) != 0)
        return kl_fail(KL_CIPHERTEXT, "this is nothing that a root of this token has wrapped");
    if (out->sealed.len > KL_ROOT_SEALED_MAX || out->meta.len > KL_ROOT_META_MAX) return kl_fail(KL_CIPHERTEXT, "no root makes so much");
    for (size_t i = 0; i < ladder->root_count; i++) {
        out->root = ladder->roots[i];
        if (kl_view_is(name, kl_view_text(kl_root_name(out->root)))) return KL_OK;
    }
    return kl_fail(KL_CIPHERTEXT, "it was wrapped by a root that this token does not have");
}

enum kl_rc kl_ladder_root_unwrap(struct kl_ladder *ladder, struct kl_view blob, struct kl_secret *plain)
{
    struct kl_root_context context;
    struct kl_root_sealed sealed;
    struct named named;
    struct room *room;
    enum kl_rc rc;

    KL_CHECK(ladder->role == KL_ROLE_USER, KL_NOT_LOGGED_IN);
    KL_TRY(read_blob(ladder, blob, &named));
    context = context_of(ladder, named.version);
    room = calloc(1, sizeof(*room));
    KL_CHECK(room, KL_MEMORY);
    memcpy(room->sealed, named.sealed.data, named.sealed.len);
    memcpy(room->meta, named.meta.data, named.meta.len);
    sealed = (struct kl_root_sealed){ room->sealed, named.sealed.len, room->meta, named.meta.len };
    rc = kl_root_unwrap(named.root, &context, &sealed, plain);
    free(room);
    if (kl_root_is_wrong(named.root, rc))
        return kl_fail(KL_CIPHERTEXT, "root %s does not open it: it was changed, or made for another token or environment",
                       kl_root_name(named.root));
    return rc;
}
