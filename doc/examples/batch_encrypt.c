/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Encrypts the lines of a file, all in one call, and decrypts them again: how to use the interface "Vendor keyladder".
 *
 *     cc -o batch_encrypt batch_encrypt.c $(pkg-config --cflags p11-kit-1) -ldl
 *     PIN_FILE=pin ./batch_encrypt /usr/local/lib/pkcs11/keyladder-pkcs11.so encrypt users.email <addresses >sealed
 *     PIN_FILE=pin ./batch_encrypt /usr/local/lib/pkcs11/keyladder-pkcs11.so decrypt users.email <sealed
 *
 * The key is TABLE.FIELD; encrypt makes it, and that of the table, if it is not there. Each line becomes an envelope, in hexadecimal. Its
 * associated data is "TABLE.FIELD/LINE NUMBER", so that lines cannot change places. The PIN is in the file that PIN_FILE
 * names, or in PIN: a command line would show it to every process. A line that cannot be done is empty in the output, and said why.
 */
#include <dlfcn.h>
#include <keyladder/pkcs11.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 1000 /* lines in one call */
#define LINE 4096
#define ROOM (LINE + 64) /* an envelope is longer than its content by 60 bytes at the most */

static CK_FUNCTION_LIST_3_0 *p11;
static KL_FUNCTION_LIST *keyladder;
static CK_MECHANISM envelope = { CKM_KL_ENVELOPE, NULL, 0 };

static void stop(const char *what)
{
    fprintf(stderr, "batch_encrypt: %s\n", what);
    exit(1);
}

/* A CK_RV is a number; the module has words for it. */
static void check(const char *what, CK_RV rv)
{
    CK_UTF8CHAR words[1024];
    CK_ULONG len = sizeof words;

    if (rv == CKR_OK) return;
    if (keyladder == NULL || keyladder->GetError(words, &len) != CKR_OK) len = 0;
    fprintf(stderr, "batch_encrypt: %s: 0x%lx %.*s\n", what, rv, (int)len, (const char *)words);
    exit(1);
}

static void load(const char *path)
{
    CK_VERSION version = { 3, 0 };
    CK_INTERFACE *standard, *vendor;
    void *module = dlopen(path, RTLD_NOW);
    CK_C_GetInterface get;

    if (module == NULL) stop(dlerror());
    get = (CK_C_GetInterface)(uintptr_t)dlsym(module, "C_GetInterface");
    if (get == NULL) stop("this module is older than PKCS #11 3.0");
    check("PKCS #11 3.0", get((CK_UTF8CHAR *)"PKCS 11", &version, &standard, 0));
    p11 = standard->pFunctionList;
    if (get((CK_UTF8CHAR *)KL_INTERFACE_NAME, NULL, &vendor, 0) != CKR_OK) stop("this module is not keyladder");
    keyladder = vendor->pFunctionList;
}

static CK_SESSION_HANDLE log_in(void)
{
    CK_C_INITIALIZE_ARGS threads = { .flags = CKF_OS_LOCKING_OK };
    char pin[257] = "";
    CK_SESSION_HANDLE session;
    CK_SLOT_ID slot;
    CK_ULONG count = 1;
    const char *path = getenv("PIN_FILE"), *variable = getenv("PIN");
    FILE *file = path != NULL ? fopen(path, "r") : NULL;

    if (file != NULL) setvbuf(file, NULL, _IONBF, 0); /* no second copy of the PIN */
    if (path != NULL && (file == NULL || fgets(pin, sizeof pin, file) == NULL)) stop("PIN_FILE names no file with a PIN");
    if (file != NULL) fclose(file);
    if (path == NULL && variable != NULL) snprintf(pin, sizeof pin, "%s", variable);
    pin[strcspn(pin, "\n")] = '\0';
    check("C_Initialize", p11->C_Initialize(&threads));
    check("C_GetSlotList: this program wants one token", p11->C_GetSlotList(CK_TRUE, &slot, &count));
    if (count == 0) stop("there is no token: see keyladder.conf(5)");
    check("C_OpenSession", p11->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
    check("C_Login", p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)pin, strlen(pin)));
    explicit_bzero(pin, sizeof pin);
    return session;
}

/* The current version of the key with this label, or CK_INVALID_HANDLE. */
static CK_OBJECT_HANDLE find(CK_SESSION_HANDLE session, const char *label)
{
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_ATTRIBUTE wanted[] = { { CKA_CLASS, &class, sizeof class }, { CKA_LABEL, (char *)label, strlen(label) } };
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
    CK_ULONG count = 0;

    check("C_FindObjectsInit", p11->C_FindObjectsInit(session, wanted, 2));
    check("C_FindObjects", p11->C_FindObjects(session, &key, 1, &count));
    check("C_FindObjectsFinal", p11->C_FindObjectsFinal(session));
    return count == 1 ? key : CK_INVALID_HANDLE;
}

/* A key of the ladder comes from the one above it. That of a table stands below "master", that of a field below its table's. */
static CK_OBJECT_HANDLE find_or_make(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE parent, const char *label, const char *info)
{
    CK_BBOOL yes = CK_TRUE;
    CK_ATTRIBUTE wanted[] = { { CKA_TOKEN, &yes, sizeof yes }, { CKA_LABEL, (char *)label, strlen(label) } };
    CK_HKDF_PARAMS hkdf = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0, 0, (CK_BYTE *)info, strlen(info) };
    CK_MECHANISM derive = { CKM_HKDF_DERIVE, &hkdf, sizeof hkdf };
    CK_OBJECT_HANDLE key = find(session, label);

    if (key == CK_INVALID_HANDLE) check(label, p11->C_DeriveKey(session, &derive, parent, wanted, 2, &key));
    return key;
}

static CK_OBJECT_HANDLE make_field(CK_SESSION_HANDLE session, const char *label)
{
    const char *field = strchr(label, '.');
    char table[256];

    if (field == NULL || field == label) stop("the key is to be TABLE.FIELD");
    snprintf(table, sizeof table, "%.*s", (int)(field - label), label);
    return find_or_make(session, find_or_make(session, find(session, "master"), table, table), label, field + 1);
}

static KL_BATCH_ITEM items[BATCH];
static CK_BYTE in[BATCH][ROOM], out[BATCH][ROOM];
static char aad[BATCH][300];

static CK_ULONG from_hex(const char *text, size_t len, CK_BYTE *bytes)
{
    CK_ULONG done = 0;

    while (2 * done + 1 < len && sscanf(text + 2 * done, "%2hhx", &bytes[done]) == 1) done++;
    return done;
}

/* The next lines of standard input; how many there were. */
static CK_ULONG read_lines(const char *label, unsigned long first, int encrypts)
{
    static char line[2 * ROOM + 2];
    CK_ULONG count = 0;

    for (; count < BATCH && fgets(line, sizeof line, stdin) != NULL; count++) {
        size_t len = strcspn(line, "\n");

        if (len > (encrypts ? LINE : 2 * ROOM)) stop("a line is too long");
        if (encrypts) memcpy(in[count], line, len);
        if (!encrypts) len = from_hex(line, len, in[count]);
        snprintf(aad[count], sizeof aad[count], "%s/%lu", label, first + count);
        items[count] = (KL_BATCH_ITEM){ (CK_BYTE *)aad[count], strlen(aad[count]), in[count], len, out[count], ROOM, CKR_CANCEL };
    }
    return count;
}

/* The words are those of the last call, so an item that failed is tried again alone. */
static void say_why(CK_SESSION_HANDLE session, KL_EncryptBatch run, CK_OBJECT_HANDLE key, KL_BATCH_ITEM *item)
{
    CK_UTF8CHAR words[1024];
    CK_ULONG len = sizeof words;

    if (run(session, &envelope, key, item, 1) == CKR_OK || keyladder->GetError(words, &len) != CKR_OK) len = 0;
    fprintf(stderr, "batch_encrypt: %.*s: 0x%lx %.*s\n", (int)item->ulAADLen, (char *)item->pAAD, item->rv, (int)len, (char *)words);
}

static void write_line(const KL_BATCH_ITEM *item, int encrypts)
{
    for (CK_ULONG at = 0; item->rv == CKR_OK && at < item->ulOutLen; at++) printf(encrypts ? "%02x" : "%c", item->pOut[at]);
    putchar('\n');
}

int main(int argc, char **argv)
{
    int encrypts = argc == 4 && strcmp(argv[2], "encrypt") == 0;
    unsigned long done = 0, failed = 0;
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;
    KL_EncryptBatch run; /* decryption has the same form */
    CK_ULONG count;

    if (argc != 4 || (!encrypts && strcmp(argv[2], "decrypt") != 0)) stop("usage: batch_encrypt MODULE encrypt|decrypt TABLE.FIELD");
    load(argv[1]);
    session = log_in();
    key = encrypts ? make_field(session, argv[3]) : find(session, argv[3]);
    if (key == CK_INVALID_HANDLE) stop("there is no such key");
    run = encrypts ? keyladder->EncryptBatch : keyladder->DecryptBatch;
    while ((count = read_lines(argv[3], done + 1, encrypts)) > 0) {
        CK_RV rv = run(session, &envelope, key, items, count);

        /* The key or the mechanism was refused: nothing has been tried. */
        if (items[0].rv == CKR_CANCEL) check("the batch", rv);
        for (CK_ULONG i = 0; i < count; i++) {
            if (items[i].rv != CKR_OK) say_why(session, run, key, &items[i]);
            failed += items[i].rv != CKR_OK;
            write_line(&items[i], encrypts);
        }
        done += count;
    }
    check("C_Finalize", p11->C_Finalize(NULL));
    if (fflush(stdout) != 0) stop("the output could not be written");
    return failed > 0;
}
