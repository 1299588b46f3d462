/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Attributes of a template, a line each; the CK_ types come from whoever includes this. */
#ifndef KL_TESTS_ATTRIBUTES_H
#define KL_TESTS_ATTRIBUTES_H

#include <stdint.h>
#include <string.h>

#define A_BOOL(type, value)                              \
    {                                                    \
        (type), &(CK_BBOOL){ (value) }, sizeof(CK_BBOOL) \
    }
#define A_ULONG(type, value)                             \
    {                                                    \
        (type), &(CK_ULONG){ (value) }, sizeof(CK_ULONG) \
    }
#define A_TEXT(type, value)                               \
    {                                                     \
        (type), (void *)(uintptr_t)(value), strlen(value) \
    }
#define A_BYTES(type, value, len)                 \
    {                                             \
        (type), (void *)(uintptr_t)(value), (len) \
    }

#endif
