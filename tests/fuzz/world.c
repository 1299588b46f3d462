/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Three tokens in memory, one a policy: made once, and put back when an input has changed them. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/secret.h"
#include "crypto/passphrase.h"
#include "fuzz.h"
#include "token/token.h"

struct world world = { .tokens = TOKENS };

static const char *const names[TOKENS] = { "standard", "compatible", "strict" };
static const char *const settings[TOKENS] = { "", "policy = compatible\n", "policy = strict\nenvelope = xaes-256-gcm\n" };

static bool is_spoiled;
static pid_t maker;
static uint64_t marks[TOKENS];

/* --- files --- */

enum { SAVED_MAX = 16 };
static struct {
    char name[64];
    uint8_t *text;
    size_t len;
} saved[SAVED_MAX];
static size_t saved_count;

char *world_path(const char *name)
{
    size_t len = strlen(world.folder) + strlen(name) + 2;
    char *path = lend(len);

    snprintf(path, len, "%s/%s", world.folder, name);
    return path;
}

static void write_file(const char *name, const void *text, size_t len)
{
    char path[512];
    int fd;

    snprintf(path, sizeof path, "%s/%s", world.folder, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text, len) != (ssize_t)len) BROKEN("%s cannot be written: %m", path);
    close(fd);
}

static void save_file(const char *name)
{
    char path[512];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", world.folder, name);
    file = fopen(path, "rbe");
    if (file == NULL || saved_count == SAVED_MAX || strlen(name) >= sizeof saved->name) BROKEN("%s cannot be saved", path);
    snprintf(saved[saved_count].name, sizeof saved->name, "%.63s", name);
    saved[saved_count].text = malloc(4 << 20);
    if (saved[saved_count].text == NULL) BROKEN("no memory");
    saved[saved_count].len = fread(saved[saved_count].text, 1, 4 << 20, file);
    saved_count++;
    fclose(file);
}

static void each_file(void (*act)(const char *name))
{
    DIR *folder = opendir(world.folder);
    struct dirent *entry;

    if (folder == NULL) return;
    while ((entry = readdir(folder)) != NULL)
        if (entry->d_name[0] != '.') act(entry->d_name);
    closedir(folder);
}

static void remove_file(const char *name)
{
    char path[512];

    snprintf(path, sizeof path, "%s/%s", world.folder, name);
    unlink(path);
}

static void remove_world(void)
{
    if (getpid() != maker) return;
    each_file(remove_file);
    rmdir(world.folder);
}

/* --- the tokens --- */

static void generate(char *out, size_t cap)
{
    KL_AUTO(kl_secret) pin = { 0 };

    if (kl_pin_generate(&pin) != KL_OK || pin.len >= cap) BROKEN("no PIN");
    memcpy(out, pin.data, pin.len);
    out[pin.len] = '\0';
}

static void configure(void)
{
    const char *engine = getenv("KEYLADDER_FUZZ_ENGINE");
    char text[4096], passphrase[64], path[256];
    size_t len;

    snprintf(world.folder, sizeof world.folder, "%s/kl-fuzz-XXXXXX", fuzz_temporary());
    if (mkdtemp(world.folder) == NULL) BROKEN("%s: %m", world.folder);
    maker = getpid();
    if (atexit(remove_world) != 0) BROKEN("atexit");
    generate(passphrase, sizeof passphrase);
    generate(world.so_pin, sizeof world.so_pin);
    generate(world.user_pin, sizeof world.user_pin);
    write_file("passphrase", passphrase, strlen(passphrase));
    len = (size_t)snprintf(
        text, sizeof text,
        "[module]\nlock_memory = try\n[log]\ntarget = none\n[root \"local\"]\ntype = local\npassphrase = file:%s/passphrase\n",
        world.folder);
    for (size_t i = 0; i < world.tokens; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "[token \"%s\"]\nstore = sqlite:%s/%s.db\nroots = local\nengine = %s\n%s",
                                names[i], world.folder, names[i], engine != NULL ? engine : "auto", settings[i]);
    write_file("conf", text, len);
    snprintf(path, sizeof path, "%s/conf", world.folder);
    if (setenv("KEYLADDER_CONF", path, 1) != 0) BROKEN("KEYLADDER_CONF");
}

static CK_OBJECT_HANDLE derive(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE base, const char *info, const char *label)
{
    CK_HKDF_PARAMS hkdf = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, (CK_BYTE *)(uintptr_t)info, strlen(info) };
    CK_MECHANISM mechanism = { CKM_HKDF_DERIVE, &hkdf, sizeof hkdf };
    CK_ATTRIBUTE template[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_BYTES(CKA_LABEL, label, strlen(label)) };
    CK_OBJECT_HANDLE key = 0;

    NEED(C_DeriveKey(session, &mechanism, base, template, COUNT(template), &key));
    return key;
}

static void make_token(size_t token)
{
    CK_SLOT_ID slot = world.slots[token];
    CK_UTF8CHAR label[32], *so_pin = (CK_UTF8CHAR *)world.so_pin, *user_pin = (CK_UTF8CHAR *)world.user_pin;
    CK_MECHANISM aes = { CKM_AES_KEY_GEN, NULL, 0 };
    CK_ATTRIBUTE template[] = { A_ULONG(CKA_VALUE_LEN, 32), A_BOOL(CKA_TOKEN, CK_TRUE), A_BYTES(CKA_LABEL, "free", 4),
                                A_BYTES(CKA_ID, "id", 2) };
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;

    memset(label, ' ', sizeof label);
    memcpy(label, names[token], strlen(names[token]));
    NEED(C_InitToken(slot, so_pin, strlen(world.so_pin), label));
    NEED(C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
    NEED(C_Login(session, CKU_SO, so_pin, strlen(world.so_pin)));
    NEED(C_InitPIN(session, user_pin, strlen(world.user_pin)));
    NEED(C_Logout(session));
    NEED(C_Login(session, CKU_USER, user_pin, strlen(world.user_pin)));
    derive(session, derive(session, find_key(session, "master"), "users", "users"), "email", "users.email");
    NEED(C_GenerateKey(session, &aes, template, COUNT(template), &key));
    NEED(C_CloseSession(session));
}

static uint64_t mark_of(size_t token)
{
    return kl_ladder_mark(kl_token_at(world.slots[token])->ladder);
}

void world_start(void)
{
    CK_C_INITIALIZE_ARGS arguments = { .flags = CKF_OS_LOCKING_OK };
    CK_ULONG count = world.tokens;

    NEED(C_Initialize(&arguments));
    NEED(C_GetSlotList(CK_FALSE, world.slots, &count));
    MUST(count == world.tokens);
}

void world_log_in(void)
{
    for (size_t i = 0; i < world.tokens; i++) {
        world.keepers[i] = session_on(i);
        NEED(C_Login(world.keepers[i], CKU_USER, (CK_UTF8CHAR *)world.user_pin, strlen(world.user_pin)));
        world.masters[i] = find_key(world.keepers[i], "master");
        world.deks[i] = find_key(world.keepers[i], "users");
        world.feks[i] = find_key(world.keepers[i], "users.email");
        world.frees[i] = find_key(world.keepers[i], "free");
        marks[i] = mark_of(i);
    }
    is_spoiled = false;
}

void world_stop(void)
{
    NEED(C_Finalize(NULL));
}

static void put_back(void)
{
    each_file(remove_file);
    for (size_t i = 0; i < saved_count; i++) write_file(saved[i].name, saved[i].text, saved[i].len);
}

void world_restore(void)
{
    world_stop();
    put_back();
    world_start();
    world_log_in();
}

void world_begin(void)
{
    configure();
    world_start();
    for (size_t i = 0; i < world.tokens; i++) make_token(i);
    world_stop();
    each_file(save_file);
    world_start();
    world_log_in();
}

void world_accept(void)
{
    for (size_t i = 0; i < world.tokens; i++) marks[i] = mark_of(i);
}

void world_spoil(void)
{
    is_spoiled = true;
}

/* The keepers keep the login; every other session is one of the input. */
static CK_SESSION_HANDLE opened[64];
static size_t opened_count;

CK_SESSION_HANDLE session_on(size_t token)
{
    CK_SESSION_HANDLE session = 0;

    NEED(C_OpenSession(world.slots[token], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
    if (opened_count < COUNT(opened)) opened[opened_count++] = session;
    return session;
}

void world_reset(void)
{
    bool changed = is_spoiled;

    for (size_t i = 0; i < opened_count; i++) {
        bool keeps = false;

        for (size_t j = 0; j < world.tokens; j++) keeps = keeps || opened[i] == world.keepers[j];
        /* One that the input has closed itself is no failure. */
        if (!keeps && C_CloseSession(opened[i]) != CKR_OK) continue;
    }
    opened_count = 0;
    for (size_t i = 0; i < world.tokens; i++) changed = changed || mark_of(i) != marks[i];
    if (changed) world_restore();
}

/* --- objects --- */

CK_OBJECT_HANDLE import_key(CK_SESSION_HANDLE session, CK_KEY_TYPE type, struct kl_view value, const char *usages)
{
    static const struct {
        char letter;
        CK_ATTRIBUTE_TYPE type;
    } letters[] = { { 'e', CKA_ENCRYPT }, { 'd', CKA_DECRYPT }, { 'w', CKA_WRAP },  { 'u', CKA_UNWRAP },
                    { 's', CKA_SIGN },    { 'v', CKA_VERIFY },  { 'D', CKA_DERIVE } };
    CK_ATTRIBUTE template[12] = { A_ULONG(CKA_CLASS, CKO_SECRET_KEY), A_ULONG(CKA_KEY_TYPE, type),
                                  A_BYTES(CKA_VALUE, value.data, value.len), A_BOOL(CKA_SENSITIVE, CK_FALSE),
                                  A_BOOL(CKA_EXTRACTABLE, CK_TRUE) };
    CK_ULONG count = 5;
    CK_BBOOL yes = CK_TRUE;
    CK_OBJECT_HANDLE key = 0;

    for (size_t i = 0; i < COUNT(letters); i++)
        if (strchr(usages, letters[i].letter) != NULL) template[count++] = (CK_ATTRIBUTE){ letters[i].type, &yes, 1 };
    return C_CreateObject(session, template, count, &key) == CKR_OK ? key : 0;
}

CK_OBJECT_HANDLE find_key(CK_SESSION_HANDLE session, const char *label)
{
    CK_ATTRIBUTE template[] = { A_BYTES(CKA_LABEL, label, strlen(label)), A_ULONG(CKA_CLASS, CKO_SECRET_KEY) };
    CK_OBJECT_HANDLE found[2];
    CK_ULONG count = 0;

    NEED(C_FindObjectsInit(session, template, COUNT(template)));
    NEED(C_FindObjects(session, found, COUNT(found), &count));
    NEED(C_FindObjectsFinal(session));
    if (count != 1) BROKEN("%lu keys are called %s", count, label);
    return found[0];
}

struct kl_view value_of(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
    CK_ATTRIBUTE value = { CKA_VALUE, NULL, 0 };

    if (C_GetAttributeValue(session, object, &value, 1) != CKR_OK) return (struct kl_view){ NULL, 0 };
    value.pValue = room(value.ulValueLen);
    NEED(C_GetAttributeValue(session, object, &value, 1));
    return kl_view_of(value.pValue, value.ulValueLen);
}

bool is_there(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
    CK_ULONG size;

    return C_GetObjectSize(session, object, &size) == CKR_OK;
}

int bool_of(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type)
{
    CK_BBOOL value = 2;
    CK_ATTRIBUTE attribute = { type, &value, sizeof value };

    if (C_GetAttributeValue(session, object, &attribute, 1) != CKR_OK) return -1;
    MUST(attribute.ulValueLen == 1 && value <= 1);
    return value;
}
