/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "p11/list.h"

/* ENTRY_<since> is what the list being made takes from a row. */
#define KL_FN(name, since, chapter, family, kind) ENTRY_##since(name)
#define KL_FN_ABSENT(name, since, chapter, family, kind, answer, parameters) ENTRY_##since(name)
#define TAKE(name) .name = (name),
#define SKIP(name)

#define ENTRY_2_40 TAKE
#define ENTRY_3_0 SKIP
#define ENTRY_3_2 SKIP
const CK_FUNCTION_LIST kl_list_2_40 = {
    .version = { 2, 40 },
#include "p11/function.def"
};

#undef ENTRY_3_0
#define ENTRY_3_0 TAKE
const CK_FUNCTION_LIST_3_0 kl_list_3_0 = {
    .version = { 3, 0 },
#include "p11/function.def"
};

const CK_FUNCTION_LIST_3_0 kl_list_3_1 = {
    .version = { 3, 1 },
#include "p11/function.def"
};

#undef ENTRY_3_2
#define ENTRY_3_2 TAKE
const CK_FUNCTION_LIST_3_2 kl_list_3_2 = {
    .version = { 3, 2 },
#include "p11/function.def"
};
