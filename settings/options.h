/* SPDX-License-Identifier: BSD-2-Clause
 *
 * options.h -- one row per option; the rest of settings/ walks the rows.
 *
 * A row describes a field of a struct that starts at `base`: struct settings,
 * or one record of a list (struct route, struct access_rule). Form and place
 * of the field come from the same macro, which does not compile when the
 * field's type is another one.
 */
#ifndef SETTINGS_OPTIONS_H
#define SETTINGS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "settings/settings.h"

enum option_form {
    FORM_BOOL,     /* bool */
    FORM_COUNT,    /* uint32_t */
    FORM_WORD,     /* uint32_t or an enum: one of `words` */
    FORM_DURATION, /* uint64_t, ms */
    FORM_MOMENT,   /* uint32_t, ms: a short duration */
    FORM_SIZE,     /* uint64_t, bytes */
    FORM_TEXT,     /* const char *, in the arena */
    FORM_ZONE,     /* struct name, folded */
    FORM_NET,      /* struct prefix */
    FORM_ADDRS,    /* const struct addr *, and an int that counts */
    FORM_RECORDS,  /* const struct RECORD *, and an int that counts */
    FORM_EMPTY,    /* no field: a list that must be empty */
};

enum option_flag {
    OPTION_RESTART = 1, /* a reload keeps the value that is in force */
    OPTION_UNUSED = 2,  /* read and checked; nothing uses it in this version */
};

struct option_word {
    const char *text;
    uint32_t value;
    bool later; /* known, but not in this version: refused with these words */
};

/* What a list consists of: mappings with these keys. */
struct option_record {
    size_t size;               /* of one element of the array */
    const struct option *rows; /* ended by a row without key */
    const char *const *sample; /* lines for the sample file, ended by NULL */
};

struct option {
    const char *key; /* "cache.size", "forward"; in a record "forward.zone" */
    enum option_form form;
    unsigned flags;
    size_t at;            /* of the field in its struct */
    size_t count_at;      /* lists: of the int that counts */
    uint64_t min, max;    /* of the value; of the length of a list */
    const char *fallback; /* default, as written in a file; NULL: `computed`, or
                           * without that the option must be given */
    const char *computed; /* what the default is, in words */
    const struct option_word *words;
    const struct option_record *record;
    const char *(*wrong)(const char *text); /* texts: why not, or NULL */
    const char *help;
};

struct option_section {
    const char *name;
    const char *help;
};

enum { OPTIONS_MAX = 64 };

/* In the order in which they are printed; both end with a row of NULL. */
extern const struct option settings_options[];
extern const struct option_section settings_sections[];

/* "cache.size" -> "size"; "forward" -> "forward". */
const char *option_name(const struct option *);
/* True if the option is a value of this section ("cache"). */
bool option_is_in(const struct option *, const char *section);
/* The row of a key in a table that ends with NULL, or NULL. section NULL: the
 * name is the whole key. */
const struct option *option_find(const struct option *rows, const char *section, const char *name);
/* Without a list of access rules other rules hold than with an empty one. */
bool option_is_given(const struct option *, const struct settings *);
/* The number of an option in settings_options. */
static inline size_t option_index(const struct option *o)
{
    return (size_t)(o - settings_options);
}

#endif
