/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Where the configuration file is. */
#include "base/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* PREFIX/MIDDLE/keyladder/keyladder.conf if that exists. */
static bool find_below(const char *variable, const char *middle, char *out, size_t cap)
{
    const char *prefix = secure_getenv(variable);
    struct stat what;
    int len;

    /* The XDG specification: a path that is not absolute is to be ignored. */
    if (prefix == NULL || prefix[0] != '/') return false;
    len = snprintf(out, cap, "%s%s/keyladder/keyladder.conf", prefix, middle);
    return len > 0 && (size_t)len < cap && stat(out, &what) == 0;
}

void kl_conf_path(char *out, size_t cap)
{
    const char *named = secure_getenv("KEYLADDER_CONF");
    const char *xdg = secure_getenv("XDG_CONFIG_HOME");

    if (named != NULL && named[0] != '\0') {
        snprintf(out, cap, "%s", named);
        return;
    }
    if (xdg != NULL && xdg[0] == '/' ? find_below("XDG_CONFIG_HOME", "", out, cap) : find_below("HOME", "/.config", out, cap)) return;
    snprintf(out, cap, "/etc/keyladder/keyladder.conf");
}
