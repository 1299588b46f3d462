/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The test vectors of doc/format.md. */
#ifndef KL_TESTS_UNIT_LADDER_PAGE_H
#define KL_TESTS_UNIT_LADDER_PAGE_H

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define PAGE_ROW_MAX 400

static inline FILE *page_open(void)
{
    const char *srcdir = getenv("srcdir") != NULL ? getenv("srcdir") : ".";
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/doc/format.md", srcdir);
    return fopen(path, "r");
}

/* Whether a row of its tables has this name and these bytes. */
static inline bool page_has(const char *name, struct kl_view bytes)
{
    char wanted[PAGE_ROW_MAX], line[2 * PAGE_ROW_MAX];
    FILE *page = page_open();
    size_t len = (size_t)snprintf(wanted, sizeof wanted, "| %s | `", name);
    bool found = false;

    for (size_t i = 0; i < bytes.len && len + 8 < sizeof wanted; i++) {
        len += (size_t)snprintf(wanted + len, sizeof wanted - len, "%02x", bytes.data[i]);
    }
    snprintf(wanted + len, sizeof wanted - len, "` |\n");
    while (page != NULL && !found && fgets(line, sizeof line, page) != NULL) found = strcmp(line, wanted) == 0;
    if (page != NULL) fclose(page);
    return found;
}

#endif
