/* SPDX-License-Identifier: BSD-2-Clause
 *
 * settings_text.h -- settings from a text, which is a file in memory without a folder beside it.
 */
#ifndef TESTS_SETTINGS_TEXT_H
#define TESTS_SETTINGS_TEXT_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "settings/settings.h"

static inline int settings_read_text(struct settings **out, const void *text, size_t len,
                                     struct diags *d)
{
    int fd = memfd_create("settings", 0), rc;
    char path[40];

    if (fd < 0 || write(fd, text, len) != (ssize_t)len)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    rc = settings_read(out, path, NULL, d);
    close(fd);
    return rc;
}

#endif
