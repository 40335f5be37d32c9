/* SPDX-License-Identifier: BSD-2-Clause
 *
 * options.h -- one row per option (base/fields.h); the rest of settings/ walks
 * the rows.
 */
#ifndef SETTINGS_OPTIONS_H
#define SETTINGS_OPTIONS_H

#include "base/fields.h"
#include "settings/settings.h"

enum option_flag {
    OPTION_RESTART = FIELD_FLAGS,    /* a reload keeps the value that is in force */
    OPTION_UNUSED = 2 * FIELD_FLAGS, /* read and checked; nothing uses it in this version */
};

struct option_section {
    const char *name;
    const char *help;
};

enum { OPTIONS_MAX = 64 };

/* In the order in which they are printed; both end with a row of NULL. */
extern const struct field settings_options[];
extern const struct option_section settings_sections[];

/* Is it a list of mappings, which stands beside the sections? */
static inline bool option_is_table(const struct field *o)
{
    return o->element != NULL && o->element->rows != NULL;
}
/* Without a list of access rules other rules hold than with an empty one. */
bool option_is_given(const struct field *, const struct settings *);
/* Why it cannot be the name of this forwarder, or NULL. */
const char *option_not_a_host(const char *text);

#endif
