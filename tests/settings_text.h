/* SPDX-License-Identifier: BSD-2-Clause
 *
 * settings_text.h -- settings from one text, with the defaults around it.
 */
#ifndef TESTS_SETTINGS_TEXT_H
#define TESTS_SETTINGS_TEXT_H

#include <errno.h>

#include "settings/options.h"

/* Returns like settings_read(). */
static inline int settings_read_text(struct settings **out, const char *name, const char *text,
                                     size_t len, struct diags *d)
{
    struct reader r;

    if (read_begin(&r, d) != 0)
        return -ENOMEM;
    read_document(&r, name, text, len);
    return read_end(&r, out);
}

#endif
