/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The rows of function.def against the header, the map of exported names, and the module as it was linked. */
#include "p11/list.h"

#include "../unit.h"
#include "p11/call.h"

struct row {
    const char *name;
    const char *since;
};

#define ROW(name, since) { #name, #since },
static const struct row rows[] = {
#define KL_FN(name, since, chapter, family, kind) ROW(name, since)
#define KL_FN_ABSENT(name, since, chapter, family, kind, answer, parameters) ROW(name, since)
#include "p11/function.def"
};

#define ROW_2_40(name) ROW(name, 2_40)
#define ROW_3_0(name) ROW(name, 3_0)
#define ROW_3_2(name) ROW(name, 3_2)
static const struct row wanted[] = { KL_PKCS11_FUNCTIONS_2_40(ROW_2_40) KL_PKCS11_FUNCTIONS_3_0(ROW_3_0) KL_PKCS11_FUNCTIONS_3_2(ROW_3_2) };

enum { ROWS = sizeof rows / sizeof *rows, WANTED = sizeof wanted / sizeof *wanted, OF_2_40 = 68, OF_3_0 = 92, OF_3_2 = 104 };

static void every_function_of_the_header_has_a_row_of_its_version(void)
{
    CU_ASSERT_EQUAL(ROWS, WANTED);
    CU_ASSERT_EQUAL(ROWS, OF_3_2);
    CU_ASSERT_EQUAL(ROWS, (size_t)KL_FN_KL_EncryptBatch); /* those of our own interface come last */
    for (size_t i = 0; i < WANTED; i++) {
        unsigned found = 0;

        for (size_t j = 0; j < ROWS; j++)
            if (strcmp(rows[j].name, wanted[i].name) == 0 && strcmp(rows[j].since, wanted[i].since) == 0) found++;
        CU_ASSERT_EQUAL(found, 1);
    }
}

static void a_rows_number_leads_to_its_name(void)
{
    for (size_t i = 0; i < ROWS; i++) CU_ASSERT_STRING_EQUAL(kl_fn_name((enum kl_fn)i), rows[i].name);
}

/* How many functions stand in a list, its version left out; fewer if one is missing. */
static size_t functions_in(const void *list, size_t size)
{
    size_t count = size / sizeof(void *) - 1;
    void *entry;

    for (size_t i = 0; i < count; i++) {
        memcpy(&entry, (const char *)list + (i + 1) * sizeof entry, sizeof entry);
        if (entry == NULL) return i;
    }
    return count;
}

static void every_list_is_whole_and_knows_its_version(void)
{
    CU_ASSERT_EQUAL(functions_in(&kl_list_2_40, sizeof kl_list_2_40), OF_2_40);
    CU_ASSERT_EQUAL(functions_in(&kl_list_3_0, sizeof kl_list_3_0), OF_3_0);
    CU_ASSERT_EQUAL(functions_in(&kl_list_3_1, sizeof kl_list_3_1), OF_3_0);
    CU_ASSERT_EQUAL(functions_in(&kl_list_3_2, sizeof kl_list_3_2), OF_3_2);
    CU_ASSERT_TRUE(kl_list_2_40.version.major == 2 && kl_list_2_40.version.minor == 40);
    CU_ASSERT_TRUE(kl_list_3_0.version.major == 3 && kl_list_3_0.version.minor == 0);
    CU_ASSERT_TRUE(kl_list_3_1.version.major == 3 && kl_list_3_1.version.minor == 1);
    CU_ASSERT_TRUE(kl_list_3_2.version.major == 3 && kl_list_3_2.version.minor == 2);
}

static void every_list_has_the_same_functions_at_the_same_place(void)
{
    size_t first = sizeof(void *);

    CU_ASSERT_EQUAL(memcmp((const char *)&kl_list_2_40 + first, (const char *)&kl_list_3_2 + first, OF_2_40 * sizeof(void *)), 0);
    CU_ASSERT_EQUAL(memcmp((const char *)&kl_list_3_0 + first, (const char *)&kl_list_3_2 + first, OF_3_0 * sizeof(void *)), 0);
    CU_ASSERT_EQUAL(memcmp((const char *)&kl_list_3_1 + first, (const char *)&kl_list_3_2 + first, OF_3_0 * sizeof(void *)), 0);
    CU_ASSERT_PTR_EQUAL(kl_list_3_2.C_UnwrapKeyAuthenticated, C_UnwrapKeyAuthenticated);
    CU_ASSERT_PTR_EQUAL(kl_list_2_40.C_Initialize, C_Initialize);
}

static int runs(const char *command)
{
    fflush(NULL);
    return system(command);
}

static void the_map_exports_the_rows_and_nothing_else(void)
{
    static const char *const path = "${srcdir:-.}/src/keyladder.map";
    char command[256];

    for (size_t i = 0; i < ROWS; i++) {
        snprintf(command, sizeof command, "grep -q '^ *%s;$' \"%s\"", rows[i].name, path);
        CU_ASSERT_EQUAL(runs(command), 0);
    }
    snprintf(command, sizeof command, "test $(grep -c '^ *C_[A-Za-z]*;$' \"%s\") -eq %d", path, (int)ROWS);
    CU_ASSERT_EQUAL(runs(command), 0);
}

/* A name that is looked up when the module is loaded may be found in another library (LESSONS L1). */
static void the_module_exports_the_rows_and_reaches_its_own_functions_by_no_name(void)
{
    char command[256];

    if (getenv("KEYLADDER_MODULE") == NULL) return;
    for (size_t i = 0; i < ROWS; i++) {
        snprintf(command, sizeof command, "nm -D --defined-only \"$KEYLADDER_MODULE\" | grep -q ' T %s$'", rows[i].name);
        CU_ASSERT_EQUAL(runs(command), 0);
    }
    CU_ASSERT_EQUAL(runs("test $(nm -D --defined-only \"$KEYLADDER_MODULE\" | grep -c ' [TDBRW] ') -eq 104"), 0);
    CU_ASSERT_EQUAL(runs("! readelf -rW \"$KEYLADDER_MODULE\" | grep -q ' C_'"), 0);
}

UNIT_MAIN("p11/list", UNIT(every_function_of_the_header_has_a_row_of_its_version), UNIT(a_rows_number_leads_to_its_name),
          UNIT(every_list_is_whole_and_knows_its_version), UNIT(every_list_has_the_same_functions_at_the_same_place),
          UNIT(the_map_exports_the_rows_and_nothing_else), UNIT(the_module_exports_the_rows_and_reaches_its_own_functions_by_no_name))
