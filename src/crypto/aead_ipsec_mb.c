/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The fast engines: the direct calls of Intel's IPsec Multi-Buffer library (libipsec-mb), which use what the processor has
 * (VAES and AVX-512, AVX2, SSE). The library is loaded when an engine is first asked for, and never unloaded: 13 MB are not
 * for processes that only list keys. Its manager is a table of functions here; nothing writes to it once it is made, so one
 * serves all threads. The library itself keeps one error number a process, which every call writes.
 */
#include "crypto/aead.h"

#include <dlfcn.h>
#include <intel-ipsec-mb.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/secret.h"

#define LIBRARY "libIPSec_MB.so.1"
#define IV_LEN 12
#define GCM_KEYS 3 /* of 16, 24 and 32 bytes */

/* What the manager has for one length of key. */
struct gcm_calls {
    aes_gcm_pre_t expand;
    aes_gcm_enc_dec_t seal, open;
    aes_gcm_init_t start;
    aes_gcm_enc_dec_update_t encrypt, decrypt;
    aes_gcm_enc_dec_finalize_t encrypt_end, decrypt_end;
};

struct chacha_calls {
    chacha_poly_init_t start;
    chacha_poly_enc_dec_update_t encrypt, decrypt;
    chacha_poly_finalize_t end;
};

struct calls {
    struct gcm_calls gcm[GCM_KEYS];
    struct chacha_calls chacha;
};

/* --- the library --------------------------------------------------------- */

/* What stands in the place of the calls where the library or the processor does not allow them. */
static const struct calls absent;
/* Written once, by the first thread that knows: a lock here could be found taken in a forked child. */
static _Atomic(const struct calls *) known;

static void calls_from(const IMB_MGR *manager, struct calls *out)
{
    *out = (struct calls){
        .gcm = {
            { manager->gcm128_pre, manager->gcm128_enc, manager->gcm128_dec, manager->gcm128_init, manager->gcm128_enc_update,
              manager->gcm128_dec_update, manager->gcm128_enc_finalize, manager->gcm128_dec_finalize },
            { manager->gcm192_pre, manager->gcm192_enc, manager->gcm192_dec, manager->gcm192_init, manager->gcm192_enc_update,
              manager->gcm192_dec_update, manager->gcm192_enc_finalize, manager->gcm192_dec_finalize },
            { manager->gcm256_pre, manager->gcm256_enc, manager->gcm256_dec, manager->gcm256_init, manager->gcm256_enc_update,
              manager->gcm256_dec_update, manager->gcm256_enc_finalize, manager->gcm256_dec_finalize },
        },
        .chacha = { manager->chacha20_poly1305_init, manager->chacha20_poly1305_enc_update, manager->chacha20_poly1305_dec_update,
                    manager->chacha20_poly1305_finalize },
    };
}

/* The library tries known answers when a manager is made. NULL: nothing is wrong. */
static const char *fault_of(const IMB_MGR *manager)
{
    const uint64_t instructions = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ;

    if ((manager->features & IMB_FEATURE_SELF_TEST_PASS) == 0) return "it fails its own tests on this processor";
    return (manager->features & instructions) == instructions ? NULL : "this processor has no AES instructions";
}

/* NULL and a reason. The manager's layout is its version's; the calls taken from it do without it. */
static struct calls *calls_make(void *library, const char **fault)
{
    unsigned (*version)(void) = NULL;
    IMB_MGR *(*manager_new)(uint64_t) = NULL;
    void (*manager_free)(IMB_MGR *) = NULL;
    void (*manager_init)(IMB_MGR *, IMB_ARCH *) = NULL;
    struct calls *calls;
    IMB_MGR *manager;

    *(void **)&version = dlsym(library, "imb_get_version");
    *(void **)&manager_new = dlsym(library, "alloc_mb_mgr");
    *(void **)&manager_free = dlsym(library, "free_mb_mgr");
    *(void **)&manager_init = dlsym(library, "init_mb_mgr_auto");
    *fault = "it is not of the version that this module was built with";
    if (!version || !manager_new || !manager_free || !manager_init || version() >> 8 != IMB_VERSION_NUM >> 8) return NULL;
    *fault = "no memory";
    manager = manager_new(0);
    if (!manager) return NULL;
    manager_init(manager, NULL);
    *fault = fault_of(manager);
    calls = *fault ? NULL : calloc(1, sizeof *calls);
    if (calls) calls_from(manager, calls);
    manager_free(manager);
    return calls;
}

static const struct calls *calls_load(void)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    const char *fault = "it cannot be loaded";
    const struct calls *first = NULL;
    struct calls *mine = library ? calls_make(library, &fault) : NULL;

    /* That it is not installed is nobody's fault; that it is of no use where it is, somebody should know. */
    if (!mine) kl_log(library ? KL_LOG_WARNING : KL_LOG_INFO, "engine ipsec-mb is not used: %s: %s", LIBRARY, fault);
    if (atomic_compare_exchange_strong(&known, &first, mine ? mine : &absent)) return mine ? mine : &absent;
    free(mine);
    return first;
}

/* &absent where it is not to be had. */
static const struct calls *calls_get(void)
{
    const struct calls *calls = atomic_load_explicit(&known, memory_order_acquire);

    return calls ? calls : calls_load();
}

/* --- what both do -------------------------------------------------------- */

/* The library takes a pointer for every length, also for none. */
static const uint8_t nothing[1];

static const uint8_t *bytes_of(struct kl_view view)
{
    return view.len > 0 ? view.data : nothing;
}

/* The right tag of a forged text is not for anybody to find. */
static enum kl_rc compare(uint8_t made[KL_AEAD_TAG_MAX], const uint8_t *tag, size_t len)
{
    bool is_right = kl_bytes_equal(made, tag, len);

    if (!is_right) kl_wipe(made, KL_AEAD_TAG_MAX);
    return is_right ? KL_OK : KL_CIPHERTEXT;
}

/* --- AES-GCM ------------------------------------------------------------- */

struct gcm {
    struct gcm_key_data expanded;
    struct gcm_context_data run;
    const struct gcm_calls *calls;
    struct kl_view key;
    bool encrypts;
};

static bool gcm_has(enum kl_aead_algorithm algorithm, size_t key_len, size_t iv_len)
{
    if (algorithm != KL_AEAD_AES_GCM || iv_len != IV_LEN) return false;
    return (key_len == 16 || key_len == 24 || key_len == 32) && calls_get() != &absent;
}

static void gcm_rekey(void *room)
{
    struct gcm *gcm = room;

    gcm->calls->expand(gcm->key.data, &gcm->expanded);
}

static enum kl_rc gcm_init(void *room, enum kl_aead_algorithm algorithm, struct kl_view key)
{
    struct gcm *gcm = room;

    (void)algorithm;
    gcm->calls = &calls_get()->gcm[(key.len - 16) / 8];
    gcm->key = key;
    gcm_rekey(gcm);
    return KL_OK;
}

static enum kl_rc gcm_seal(void *room, const struct kl_aead_params *params, struct kl_view in, uint8_t *out, uint8_t *tag)
{
    struct gcm *gcm = room;
    uint8_t none[1];

    gcm->calls->seal(&gcm->expanded, &gcm->run, out ? out : none, bytes_of(in), in.len, params->iv.data, bytes_of(params->aad),
                     params->aad.len, tag, params->tag_len);
    return KL_OK;
}

static enum kl_rc gcm_open(void *room, const struct kl_aead_params *params, struct kl_view in, const uint8_t *tag, uint8_t *out)
{
    struct gcm *gcm = room;
    uint8_t made[KL_AEAD_TAG_MAX];
    uint8_t none[1];

    gcm->calls->open(&gcm->expanded, &gcm->run, out ? out : none, bytes_of(in), in.len, params->iv.data, bytes_of(params->aad),
                     params->aad.len, made, params->tag_len);
    return compare(made, tag, params->tag_len);
}

static enum kl_rc gcm_start(void *room, const struct kl_aead_params *params, bool encrypt)
{
    struct gcm *gcm = room;

    gcm->encrypts = encrypt;
    gcm->calls->start(&gcm->expanded, &gcm->run, params->iv.data, bytes_of(params->aad), params->aad.len);
    return KL_OK;
}

static enum kl_rc gcm_update(void *room, struct kl_view in, uint8_t *out)
{
    struct gcm *gcm = room;

    (gcm->encrypts ? gcm->calls->encrypt : gcm->calls->decrypt)(&gcm->expanded, &gcm->run, out, in.data, in.len);
    return KL_OK;
}

static enum kl_rc gcm_finish(void *room, uint8_t *tag, size_t tag_len)
{
    struct gcm *gcm = room;
    uint8_t made[KL_AEAD_TAG_MAX];

    if (gcm->encrypts) {
        gcm->calls->encrypt_end(&gcm->expanded, &gcm->run, tag, tag_len);
        return KL_OK;
    }
    gcm->calls->decrypt_end(&gcm->expanded, &gcm->run, made, tag_len);
    return compare(made, tag, tag_len);
}

/* --- ChaCha20-Poly1305 --------------------------------------------------- */

#define CHACHA_KEY_LEN 32
#define READ_BEHIND 16 /* the code for AVX2 reads so many bytes more of the key than it has */

struct chacha {
    struct chacha20_poly1305_context_data run;
    const struct chacha_calls *calls;
    uint8_t key[CHACHA_KEY_LEN + READ_BEHIND];
    bool encrypts;
};

static bool chacha_has(enum kl_aead_algorithm algorithm, size_t key_len, size_t iv_len)
{
    return algorithm == KL_AEAD_CHACHA20_POLY1305 && key_len == CHACHA_KEY_LEN && iv_len == IV_LEN && calls_get() != &absent;
}

static enum kl_rc chacha_init(void *room, enum kl_aead_algorithm algorithm, struct kl_view key)
{
    struct chacha *chacha = room;

    (void)algorithm;
    chacha->calls = &calls_get()->chacha;
    memcpy(chacha->key, key.data, CHACHA_KEY_LEN);
    return KL_OK;
}

static enum kl_rc chacha_start(void *room, const struct kl_aead_params *params, bool encrypt)
{
    struct chacha *chacha = room;

    chacha->encrypts = encrypt;
    chacha->calls->start(chacha->key, &chacha->run, params->iv.data, bytes_of(params->aad), params->aad.len);
    return KL_OK;
}

static enum kl_rc chacha_update(void *room, struct kl_view in, uint8_t *out)
{
    struct chacha *chacha = room;

    (chacha->encrypts ? chacha->calls->encrypt : chacha->calls->decrypt)(chacha->key, &chacha->run, out, in.data, in.len);
    return KL_OK;
}

static enum kl_rc chacha_check(struct chacha *chacha, const uint8_t *tag, size_t tag_len)
{
    uint8_t made[KL_AEAD_TAG_MAX];

    chacha->calls->end(&chacha->run, made, tag_len);
    return compare(made, tag, tag_len);
}

static enum kl_rc chacha_finish(void *room, uint8_t *tag, size_t tag_len)
{
    struct chacha *chacha = room;

    if (!chacha->encrypts) return chacha_check(chacha, tag, tag_len);
    chacha->calls->end(&chacha->run, tag, tag_len);
    return KL_OK;
}

static enum kl_rc chacha_seal(void *room, const struct kl_aead_params *params, struct kl_view in, uint8_t *out, uint8_t *tag)
{
    KL_TRY(chacha_start(room, params, true));
    if (in.len > 0) KL_TRY(chacha_update(room, in, out));
    return chacha_finish(room, tag, params->tag_len);
}

static enum kl_rc chacha_open(void *room, const struct kl_aead_params *params, struct kl_view in, const uint8_t *tag, uint8_t *out)
{
    KL_TRY(chacha_start(room, params, false));
    if (in.len > 0) KL_TRY(chacha_update(room, in, out));
    return chacha_check(room, tag, params->tag_len);
}

/* Everything lies in the context, which the arena wipes. */
static void clear(void *room)
{
    (void)room;
}

const struct kl_aead_engine kl_aead_ipsec_mb_gcm = {
    .name = "ipsec-mb",
    .engine = KL_ENGINE_IPSEC_MB,
    .context_size = sizeof(struct gcm),
    .has = gcm_has,
    .init = gcm_init,
    .rekey = gcm_rekey,
    .seal = gcm_seal,
    .open = gcm_open,
    .start = gcm_start,
    .update = gcm_update,
    .finish = gcm_finish,
    .clear = clear,
};

const struct kl_aead_engine kl_aead_ipsec_mb_chacha = {
    .name = "ipsec-mb",
    .engine = KL_ENGINE_IPSEC_MB,
    .context_size = sizeof(struct chacha),
    .has = chacha_has,
    .init = chacha_init,
    .seal = chacha_seal,
    .open = chacha_open,
    .start = chacha_start,
    .update = chacha_update,
    .finish = chacha_finish,
    .clear = clear,
};
