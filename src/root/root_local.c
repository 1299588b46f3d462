/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The embedded default: a passphrase stands in for a key service (doc/format.md, "Local root"). */
#include "root/root.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/aead.h"
#include "crypto/passphrase.h"
#include "crypto/random.h"

#define FORMAT 1
#define AAD_BEGIN "keyladder/1/root/local"
#define AAD_MAX 2048
#define IV_LEN 12
#define TAG_LEN 16
#define META_LEN (1 + 1 + 4 + 4 + KL_KDF_SALT_LEN)

struct local {
    char *name;
    char *source; /* of the passphrase, which is read at every call and never kept */
    uint64_t memory;
};

static void local_close(void *provider)
{
    struct local *local = provider;

    free(local->name);
    free(local->source);
    free(local);
}

static enum kl_rc local_open(const struct kl_conf_section *section, void **provider)
{
    const char *source = kl_conf_text(section, KL_SET_PASSPHRASE);
    struct local *local;

    if (source == NULL) return kl_fail(KL_CONFIG, "root %s: `passphrase` is missing; write passphrase = file:/path", kl_conf_name(section));
    local = calloc(1, sizeof *local);
    if (local == NULL) return kl_fail(KL_MEMORY, "no room for root %s", kl_conf_name(section));
    local->name = strdup(kl_conf_name(section));
    local->source = strdup(source);
    local->memory = (uint64_t)kl_conf_number(section, KL_SET_PASSPHRASE_MEMORY);
    if (local->name == NULL || local->source == NULL) {
        local_close(local);
        return kl_fail(KL_MEMORY, "no room for root %s", kl_conf_name(section));
    }
    *provider = local;
    return KL_OK;
}

static enum kl_rc passphrase_read(const struct local *local, struct kl_secret *passphrase)
{
    KL_TRY(kl_conf_secret(local->source, passphrase));
    if (passphrase->len == 0) return kl_fail(KL_CONFIG, "the passphrase of root %s (%s) is empty", local->name, local->source);
    return KL_OK;
}

static struct kl_view meta_write(const struct kl_kdf_params *params, uint8_t meta[META_LEN])
{
    struct kl_writer writer = { .data = meta, .cap = META_LEN };

    kl_write_u8(&writer, FORMAT);
    kl_write_u8(&writer, (uint8_t)params->kdf);
    kl_write_u32(&writer, params->passes);
    kl_write_u32(&writer, params->memory);
    kl_write_raw(&writer, kl_view_of(params->salt, sizeof params->salt));
    return kl_view_of(meta, writer.len);
}

static bool meta_read(struct kl_view meta, struct kl_kdf_params *params)
{
    struct kl_reader reader = kl_reader_of(meta);
    uint8_t format = kl_read_u8(&reader);

    params->kdf = kl_read_u8(&reader);
    params->passes = kl_read_u32(&reader);
    params->memory = kl_read_u32(&reader);
    kl_read_raw(&reader, params->salt, sizeof params->salt);
    return kl_reader_is_done(&reader) && format == FORMAT;
}

/* What the sealed copy is bound to, into room[AAD_MAX]. */
static enum kl_rc aad_write(const struct kl_root_context *context, struct kl_view meta, uint8_t *room, struct kl_view *aad)
{
    struct kl_writer writer = { .data = room, .cap = AAD_MAX };

    kl_write_raw(&writer, kl_view_text(AAD_BEGIN));
    kl_write_bytes(&writer, context->serial);
    kl_write_bytes(&writer, context->environment);
    kl_write_bytes(&writer, kl_view_text(context->purpose));
    kl_write_u32(&writer, context->version);
    kl_write_bytes(&writer, meta);
    if (!kl_writer_is_whole(&writer)) return kl_fail(KL_ARG, "serial and environment are longer than a local root takes");
    *aad = kl_view_of(room, writer.len);
    return KL_OK;
}

static enum kl_rc aead_make(const struct kl_kdf_params *params, const struct kl_secret *passphrase, struct kl_aead **aead)
{
    KL_AUTO(kl_secret) key = { 0 };

    KL_TRY(kl_kdf_derive(params, kl_secret_view(passphrase), &key));
    return kl_aead_new(KL_AEAD_AES_GCM, kl_secret_view(&key), aead);
}

static enum kl_rc local_wrap(void *provider, const struct kl_root_context *context, const struct kl_secret *plain, int64_t deadline,
                             struct kl_root_sealed *out, struct kl_root_answer *answer)
{
    const struct local *local = provider;
    KL_AUTO(kl_secret) passphrase = { 0 };
    struct kl_kdf_params kdf = { .kdf = KL_KDF_HKDF };
    uint8_t room[AAD_MAX];
    struct kl_aead_params params = { .iv = { out->data, IV_LEN }, .tag_len = TAG_LEN };
    struct kl_aead *aead;
    enum kl_rc rc;

    (void)deadline; /* nobody is waited for */
    (void)answer;
    KL_TRY(passphrase_read(local, &passphrase));
    KL_TRY(kl_kdf_params_for(kl_secret_view(&passphrase), local->memory, &kdf));
    KL_TRY(aad_write(context, meta_write(&kdf, out->meta), room, &params.aad));
    KL_TRY(kl_random_fill(out->data, IV_LEN));
    KL_TRY(aead_make(&kdf, &passphrase, &aead));
    rc = kl_aead_seal(aead, &params, kl_secret_view(plain), out->data + IV_LEN, out->data + IV_LEN + plain->len);
    kl_aead_free(aead);
    KL_TRY(rc);
    out->len = IV_LEN + plain->len + TAG_LEN;
    out->meta_len = META_LEN;
    return KL_OK;
}

/* Which of the two it is cannot be told apart: a changed copy opens under no passphrase. */
static enum kl_rc deny(const struct local *local, struct kl_root_answer *answer)
{
    answer->failure = KL_ROOT_CLASS_DENIED;
    snprintf(answer->words, sizeof answer->words, "the passphrase of root %.128s does not open this token (or its sealed copy was changed)",
             local->name);
    return KL_ROOT_DENIED;
}

static enum kl_rc wrong(const struct local *local, struct kl_root_answer *answer)
{
    answer->failure = KL_ROOT_CLASS_WRONG;
    snprintf(
        answer->words, sizeof answer->words,
        "the sealed copy of root %.64s has a form that no local root writes: it was changed or is another root's; restore the store from a backup",
        local->name);
    return KL_INTEGRITY;
}

static enum kl_rc local_unwrap(void *provider, const struct kl_root_context *context, const struct kl_root_sealed *sealed, int64_t deadline,
                               struct kl_secret *plain, struct kl_root_answer *answer)
{
    const struct local *local = provider;
    KL_AUTO(kl_secret) passphrase = { 0 };
    KL_AUTO(kl_secret) opened = { 0 };
    struct kl_kdf_params kdf = { .kdf = KL_KDF_HKDF };
    struct kl_view meta = { sealed->meta, sealed->meta_len };
    uint8_t room[AAD_MAX];
    struct kl_aead_params params = { .iv = { sealed->data, IV_LEN }, .tag_len = TAG_LEN };
    size_t len;
    bool is_generated;
    struct kl_aead *aead;
    enum kl_rc rc;

    (void)deadline;
    if (!meta_read(meta, &kdf) || sealed->len <= IV_LEN + TAG_LEN || sealed->len > IV_LEN + KL_ROOT_PLAIN_MAX + TAG_LEN)
        return wrong(local, answer);
    len = sealed->len - IV_LEN - TAG_LEN;
    KL_TRY(aad_write(context, meta, room, &params.aad));
    KL_TRY(passphrase_read(local, &passphrase));
    KL_TRY(kl_pin_recognize(kl_secret_view(&passphrase), &is_generated));
    if (kdf.kdf == KL_KDF_HKDF && !is_generated) return deny(local, answer);
    KL_TRY(kl_secret_new(&opened, len));
    KL_TRY(aead_make(&kdf, &passphrase, &aead));
    rc = kl_aead_open(aead, &params, kl_view_of(sealed->data + IV_LEN, len), sealed->data + IV_LEN + len, opened.data);
    kl_aead_free(aead);
    if (rc == KL_CIPHERTEXT) return deny(local, answer);
    KL_TRY(rc);
    kl_secret_take(plain, &opened);
    return KL_OK;
}

static enum kl_rc local_describe(void *provider, int64_t deadline, char *words, size_t cap, struct kl_root_answer *answer)
{
    const struct local *local = provider;
    KL_AUTO(kl_secret) passphrase = { 0 };
    bool is_generated;

    (void)deadline;
    (void)answer;
    KL_TRY(passphrase_read(local, &passphrase));
    KL_TRY(kl_pin_recognize(kl_secret_view(&passphrase), &is_generated));
    if (is_generated) {
        snprintf(words, cap, "generated passphrase, HKDF");
    } else {
        snprintf(words, cap, "passphrase, Argon2id %llu MiB", (unsigned long long)(local->memory >> 20));
    }
    return KL_OK;
}

const struct kl_root_ops kl_root_local = {
    .type = "local",
    .sealed_max = IV_LEN + KL_ROOT_PLAIN_MAX + TAG_LEN,
    .meta_max = META_LEN,
    .denies_changed = true,
    .open = local_open,
    .close = local_close,
    .wrap = local_wrap,
    .unwrap = local_unwrap,
    .describe = local_describe,
};
