/* SPDX-License-Identifier: BSD-2-Clause
 *
 * options.h -- what the files of settings/ share: one row per option
 * (base/fields.h), and settings being read.
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
/* Was the list written, be it an empty one? True for what is no list. */
static inline bool option_is_given(const struct field *o, const struct settings *s)
{
    const void *const *list = (const void *)((const char *)s + o->at);

    return o->count_size == 0 || *list != NULL;
}
/* Why it cannot be the name of this forwarder, or NULL. */
const char *option_not_a_host(const char *text);

struct reader {
    struct form form;   /* of the text being read */
    struct settings *s; /* being built; its arena has the nodes, too */
    /* Who gave an option its value: its node, NULL for a default. Of a list
     * that was read, the children are the elements in the same order. */
    struct origin {
        const struct yaml_node *node;
        const char *file, *assign; /* as in struct form */
    } origin[OPTIONS_MAX];
};

/* The steps of settings_read(), for tests that read a text. begin: 0 or -ENOMEM;
 * end: 0 and *out, or what was wrong. */
int read_begin(struct reader *, struct diags *);
void read_document(struct reader *, const char *name, const char *text, size_t len);
int read_end(struct reader *, struct settings **out);

/* Checks the rules between options; problems are told where the option was
 * written, as far as r->origin knows. */
void rules_check(struct reader *);

#endif
