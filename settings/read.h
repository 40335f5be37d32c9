/* SPDX-License-Identifier: BSD-2-Clause
 *
 * read.h -- settings being read: shared by the files of settings/, and by
 * tests that read a text.
 */
#ifndef SETTINGS_READ_H
#define SETTINGS_READ_H

#include <stddef.h>

#include "settings/options.h"
#include "settings/settings.h"

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

/* The steps of settings_read(). begin: 0 or -ENOMEM; end: 0 and *out, or what
 * was wrong. */
int read_begin(struct reader *, struct diags *);
void read_document(struct reader *, const char *name, const char *text, size_t len);
int read_end(struct reader *, struct settings **out);

/* Checks the rules between options; problems are told where the option was
 * written, as far as r->origin knows. */
void rules_check(struct reader *);

#endif
