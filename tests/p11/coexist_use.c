/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "coexist.h"

#include <dirent.h>
#include <unistd.h>

struct use use_begin(void)
{
    struct use use = { .session = user_session() };

    use.slot = slot_labelled(TOKEN_LABEL);
    /* There may be one of a process before. */
    if (find_one(use.session, "kept")) NEED(p11->C_DestroyObject(use.session, find_one(use.session, "kept")));
    use.key = key_make(use.session, "edST");
    NEED(p11->C_SetAttributeValue(use.session, use.key, (CK_ATTRIBUTE[]){ A_TEXT(CKA_LABEL, "kept") }, 1));
    use.len = seal(use.session, use.key, "hello", 5, NULL, use.sealed);
    return use;
}

static void opens(const struct use *use)
{
    CK_BYTE out[64];
    CK_ULONG len = sizeof out;

    EXPECT(unseal(use->session, use->key, use->sealed, use->len, NULL, out, &len), CKR_OK);
    CHECK(len == 5 && memcmp(out, "hello", 5) == 0);
}

void use_on(const struct use *use, const char *label)
{
    CK_OBJECT_HANDLE key = 0;

    opens(use);
    if (!EXPECT(key_try(use->session, "edST", &key), CKR_OK)) {
        printf("    %s\n", last_words());
        return;
    }
    EXPECT(p11->C_SetAttributeValue(use->session, key, (CK_ATTRIBUTE[]){ A_TEXT(CKA_LABEL, label) }, 1), CKR_OK);
    CHECK(find_one(use->session, label) == key);
    CHECK(find_one(use->session, "no such key") == 0);
}

void use_again(const struct use *use, const char *label)
{
    struct use mine = *use;

    mine.session = user_session();
    mine.key = find_one(mine.session, "kept");
    opens(&mine);
    if (label) CHECK(find_one(mine.session, label) != 0);
    stop();
}

static void fail_in_many_ways(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
    CK_BYTE sealed[64], out[64];
    CK_ULONG len = sizeof out;
    CK_MECHANISM none = { 0x7fffffff, NULL, 0 };
    size_t sealed_len = seal(session, key, "a plaintext secret", 18, "aad", sealed);

    sealed[20] ^= 1;
    EXPECT(unseal(session, key, sealed, sealed_len, "aad", out, &len), CKR_ENCRYPTED_DATA_INVALID);
    EXPECT(p11->C_EncryptInit(session, &none, key), CKR_MECHANISM_INVALID);
    EXPECT(p11->C_DestroyObject(session, 0xdead), CKR_OBJECT_HANDLE_INVALID);
    EXPECT(p11->C_CloseSession(0xdead), CKR_SESSION_HANDLE_INVALID);
}

void exercise(const char *label)
{
    CK_MECHANISM hmac = { CKM_SHA256_HMAC, NULL, 0 }, sha = { CKM_SHA256, NULL, 0 };
    CK_ATTRIBUTE rek[] = { A_BOOL(CKA_TOKEN, CK_FALSE) };
    CK_ATTRIBUTE dek[] = { A_BOOL(CKA_TOKEN, CK_TRUE), A_TEXT(CKA_LABEL, label) };
    CK_BYTE out[64];
    CK_ULONG len = sizeof out;
    CK_OBJECT_HANDLE table = 0, record = 0;
    CK_SESSION_HANDLE session;
    struct use use;

    start();
    session = open_session(CKF_RW_SESSION);
    EXPECT(login(session, CKU_USER, WRONG_PIN), CKR_PIN_INCORRECT);
    NEED(login(session, CKU_USER, USER_PIN));
    use = (struct use){ .slot = slot_labelled(TOKEN_LABEL), .session = session, .key = key_make(session, "edS") };
    use.len = seal(session, use.key, "hello", 5, NULL, use.sealed);
    opens(&use);
    EXPECT(hkdf_try(session, find_one(session, "master"), NULL, 0, label, strlen(label), dek, 2, &table), CKR_OK);
    EXPECT(hkdf_try(session, table, NULL, 0, "4711", 4, rek, 1, &record), CKR_OK);
    EXPECT(p11->C_SignInit(session, &hmac, secret_make(session, "sv")), CKR_OK);
    EXPECT(p11->C_Sign(session, (CK_BYTE *)(uintptr_t) "x", 1, out, &len), CKR_OK);
    len = sizeof out;
    EXPECT(p11->C_DigestInit(session, &sha), CKR_OK);
    EXPECT(p11->C_Digest(session, (CK_BYTE *)(uintptr_t) "x", 1, out, &len), CKR_OK);
    fail_in_many_ways(session, use.key);
    CHECK(find_one(session, label) == table);
    NEED(p11->C_Logout(session));
    stop();
    EXPECT(p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
}

const char *last_words(void)
{
    static char words[600];
    t_get_interface get = (t_get_interface)(uintptr_t)p11_sym("C_GetInterface");
    struct t_interface *found = NULL;
    CK_ULONG len = sizeof words - 1;

    words[0] = '\0';
    if (get((CK_CHAR *)(uintptr_t) "Vendor keyladder", NULL, &found, 0) != CKR_OK) return words;
    if (((KL_FUNCTION_LIST *)found->list)->GetError((CK_UTF8CHAR *)words, &len) != CKR_OK) len = 0;
    words[len] = '\0';
    return words;
}

bool is_logged(const char *words)
{
    char path[4200];
    size_t len = 0;
    char *text;
    bool found;

    snprintf(path, sizeof path, "%s/log", sandbox_dir);
    text = file_read(path, &len);
    found = text && memmem(text, len, words, strlen(words)) != NULL;
    free(text);
    return found;
}

size_t descriptors_of_ours(int *numbers, size_t most)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t count = 0;

    if (!dir) die_at(__FILE__, __LINE__, "there is no /proc");
    for (struct dirent *entry; (entry = readdir(dir));) {
        char link[300], target[4300];
        ssize_t len;

        snprintf(link, sizeof link, "/proc/self/fd/%s", entry->d_name);
        len = readlink(link, target, sizeof target - 1);
        if (len <= 0) continue;
        target[len] = '\0';
        if (strncmp(target, sandbox_dir, strlen(sandbox_dir)) == 0 && count < most) numbers[count++] = atoi(entry->d_name);
    }
    closedir(dir);
    return count;
}
