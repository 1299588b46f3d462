/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What a process with one engine has sealed, another process with the other opens, and is told where a bit of it has changed.
 *   engines FIRST SECOND [SETTING]   engines as keyladder.conf names them; one more line for the token
 */
#include "p11.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { AAD = 20, LONGEST = 70000, MORE = 128, PIECE = 777 };

static const size_t lengths[] = { 0, 1, 15, 16, 17, 63, 64, 65, 255, 256, 1000, 4096, 16385, LONGEST };
static CK_BYTE plain[LONGEST], aad[AAD];

/* --- the ways to seal --- */

static void parameter_gcm(CK_MECHANISM *mech, void *body, CK_BYTE iv[12])
{
    struct t_gcm gcm = { iv, 12, 96, aad, AAD, 128 };

    memcpy(body, &gcm, sizeof gcm);
    *mech = (CK_MECHANISM){ CKM_AES_GCM, body, sizeof gcm };
}

static void parameter_chacha(CK_MECHANISM *mech, void *body, CK_BYTE iv[12])
{
    struct t_chacha chacha = { iv, 12, aad, AAD };

    memcpy(body, &chacha, sizeof chacha);
    *mech = (CK_MECHANISM){ CKM_CHACHA20_POLY1305, body, sizeof chacha };
}

static void parameter_envelope(CK_MECHANISM *mech, void *body, CK_BYTE iv[12])
{
    (void)body, (void)iv;
    *mech = (CK_MECHANISM){ CKM_KL_ENVELOPE, aad, AAD };
}

static const struct sealing {
    const char *key;
    void (*parameter)(CK_MECHANISM *mech, void *body, CK_BYTE iv[12]);
    size_t piece; /* bytes a part, 0: in one call */
} sealings[] = {
    { "free", parameter_gcm, 0 },      { "free", parameter_gcm, PIECE },      { "field", parameter_gcm, 0 },
    { "chacha", parameter_chacha, 0 }, { "chacha", parameter_chacha, PIECE }, { "field", parameter_envelope, 0 },
};

/* What the two processes have in common. */
struct sealed {
    CK_BYTE iv[12];
    CK_ULONG len;
    CK_BYTE bytes[LONGEST + MORE];
};
static struct sealed (*shared)[COUNT(lengths)];

/* --- one process --- */

static void expect_engine(const char *engine)
{
    const char *model = strcmp(engine, "openssl") == 0 ? "keyladder/ossl  " : "keyladder/mb    ";
    CK_TOKEN_INFO info;

    NEED(p11->C_GetTokenInfo(slot_labelled(TOKEN_LABEL), &info));
    CHECK(memcmp(info.model, model, sizeof info.model) == 0);
}

static void keys_make(CK_SESSION_HANDLE session)
{
    CK_MECHANISM aes = { CKM_AES_KEY_GEN, NULL, 0 }, chacha = { 0x1225 /* CHACHA20_KEY_GEN */, NULL, 0 };
    CK_ATTRIBUTE free_key[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, "free"), A_ULONG(CKA_VALUE_LEN, 32) };
    CK_ATTRIBUTE chacha_key[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, "chacha") };
    CK_ATTRIBUTE table_key[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, "table") };
    CK_ATTRIBUTE field_key[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, "field") };
    CK_OBJECT_HANDLE key = 0;

    NEED(p11->C_GenerateKey(session, &aes, free_key, COUNT(free_key), &key));
    NEED(p11->C_GenerateKey(session, &chacha, chacha_key, COUNT(chacha_key), &key));
    NEED(hkdf_try(session, find_one(session, "master"), NULL, 0, "table", 5, table_key, COUNT(table_key), &key));
    NEED(hkdf_try(session, key, NULL, 0, "field", 5, field_key, COUNT(field_key), &key));
}

static void seal_one(CK_SESSION_HANDLE session, const struct sealing *how, size_t len, uint64_t *rng, struct sealed *out)
{
    CK_BYTE body[64];
    CK_MECHANISM mech;
    CK_ULONG got;

    rng_fill(rng, out->iv, sizeof out->iv);
    how->parameter(&mech, body, out->iv);
    NEED(p11->C_EncryptInit(session, &mech, find_one(session, how->key)));
    if (how->piece == 0) {
        out->len = sizeof out->bytes;
        NEED(p11->C_Encrypt(session, plain, len, out->bytes, &out->len));
        return;
    }
    out->len = 0;
    for (size_t at = 0; at < len; at += how->piece) {
        got = sizeof out->bytes - out->len;
        NEED(p11->C_EncryptUpdate(session, plain + at, len - at < how->piece ? len - at : how->piece, out->bytes + out->len, &got));
        out->len += got;
    }
    got = sizeof out->bytes - out->len;
    NEED(p11->C_EncryptFinal(session, out->bytes + out->len, &got));
    out->len += got;
}

static CK_RV open_one(CK_SESSION_HANDLE session, const struct sealing *how, struct sealed *sealed, CK_BYTE *out, CK_ULONG *out_len)
{
    CK_BYTE body[64];
    CK_MECHANISM mech;

    how->parameter(&mech, body, sealed->iv);
    NEED(p11->C_DecryptInit(session, &mech, find_one(session, how->key)));
    return p11->C_Decrypt(session, sealed->bytes, sealed->len, out, out_len);
}

static void opens_and_notices(CK_SESSION_HANDLE session, const struct sealing *how, size_t len, struct sealed *sealed, uint64_t *rng)
{
    static CK_BYTE out[LONGEST + MORE];
    CK_ULONG got = sizeof out;
    CK_BYTE *changed = &sealed->bytes[rng_next(rng) % sealed->len];

    CHECK(sealed->len >= len + 16);
    CHECK(open_one(session, how, sealed, out, &got) == CKR_OK && got == len && memcmp(out, plain, len) == 0);
    got = sizeof out;
    *changed ^= 0x20;
    EXPECT(open_one(session, how, sealed, out, &got), CKR_ENCRYPTED_DATA_INVALID);
    *changed ^= 0x20;
}

static void seal_all(CK_SESSION_HANDLE session)
{
    uint64_t rng = 20261128;

    keys_make(session);
    for (size_t s = 0; s < COUNT(sealings); s++)
        for (size_t i = 0; i < COUNT(lengths); i++) seal_one(session, &sealings[s], lengths[i], &rng, &shared[s][i]);
}

static void open_all(CK_SESSION_HANDLE session)
{
    uint64_t rng = 1;

    for (size_t s = 0; s < COUNT(sealings); s++)
        for (size_t i = 0; i < COUNT(lengths); i++) opens_and_notices(session, &sealings[s], lengths[i], &shared[s][i], &rng);
}

/* In a process that has never loaded the module before. */
static bool in_process(const char *engine, bool is_first)
{
    int status = 0;
    pid_t child;

    setenv("P11_ENGINE", engine, 1);
    sandbox_setting(getenv("P11_TOKEN_SETTINGS") ? getenv("P11_TOKEN_SETTINGS") : "");
    fflush(stdout);
    child = fork();
    if (child == 0) {
        CK_SESSION_HANDLE session;

        p11_load();
        if (is_first) {
            start();
            token_make(slot_blank(), TOKEN_LABEL);
            stop();
        }
        session = user_session();
        expect_engine(engine);
        if (is_first)
            seal_all(session);
        else
            open_all(session);
        stop();
        fflush(stdout);
        _exit(failures != 0);
    }
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv)
{
    uint64_t rng = 3;
    bool good;

    if (argc < 3) {
        fprintf(stderr, "usage: engines FIRST SECOND [SETTING]\n");
        return 2;
    }
    if (argc > 3) setenv("P11_TOKEN_SETTINGS", argv[3], 1);
    rng_fill(&rng, plain, sizeof plain);
    rng_fill(&rng, aad, sizeof aad);
    shared = mmap(NULL, COUNT(sealings) * sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return 2;
    sandbox_make();
    good = in_process(argv[1], true) && in_process(argv[2], false);
    sandbox_remove(sandbox_dir);
    printf("sealed by %s, opened by %s: %s\n", argv[1], argv[2], good ? "all as they must be" : "FAILED");
    return !good;
}
