/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Wycheproof's JSON files, one callback a test. */
#ifndef KL_TESTS_UNIT_CRYPTO_VECTORS_H
#define KL_TESTS_UNIT_CRYPTO_VECTORS_H

#include <jansson.h>
#include <limits.h>
#include <stdio.h>

#include "support.h"

#define FIELD_MAX 70000

static inline json_t *vectors_try(const char *dir, const char *rest, const char *name)
{
    char path[PATH_MAX];

    if (dir == NULL) return NULL;
    snprintf(path, sizeof path, "%s/%s/%s", dir, rest, name);
    return json_load_file(path, 0, NULL);
}

/* Where the files lie: $KEYLADDER_VECTORS, or tests/vectors, or beside the tree. NULL: nowhere. */
static inline json_t *vectors_load(const char *name)
{
    const char *srcdir = getenv("srcdir") != NULL ? getenv("srcdir") : ".";
    json_t *root = vectors_try(getenv("KEYLADDER_VECTORS"), "wycheproof", name);

    if (root == NULL) root = vectors_try(srcdir, "tests/vectors/wycheproof", name);
    if (root == NULL) root = vectors_try(srcdir, "../shared/vectors/wycheproof", name);
    return root;
}

/* A field of bytes; the view lasts until the next call with the same `slot` (0 to 7). */
static inline struct kl_view vector_bytes(const json_t *test, const char *field, unsigned slot)
{
    static uint8_t room[8][FIELD_MAX];
    const char *text = json_string_value(json_object_get(test, field));

    return (struct kl_view){ room[slot], text != NULL ? from_hex(text, room[slot], FIELD_MAX) : 0 };
}

static inline bool vector_is_valid(const json_t *test)
{
    const char *result = json_string_value(json_object_get(test, "result"));

    return result != NULL && strcmp(result, "invalid") != 0;
}

/* Every test of the file; `each` says whether all is well. Prints how many there were. */
static inline void vectors_run(const char *name, bool (*each)(const json_t *group, const json_t *test))
{
    json_t *root = vectors_load(name);
    size_t passed = 0;
    size_t failed = 0;
    size_t i;
    size_t j;
    const json_t *group;
    const json_t *test;

    CU_ASSERT_PTR_NOT_NULL(root);
    json_array_foreach(json_object_get(root, "testGroups"), i, group)
    {
        json_array_foreach(json_object_get(group, "tests"), j, test)
        {
            bool good = each(group, test);

            passed += good;
            failed += !good;
            if (!good) printf("\n    %s: test %lld is wrong", name, (long long)json_integer_value(json_object_get(test, "tcId")));
        }
    }
    printf(" [%zu of %s]", passed, name);
    CU_ASSERT(passed > 0 && failed == 0);
    json_decref(root);
}

#endif
