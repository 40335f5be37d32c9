/* SPDX-License-Identifier: BSD-2-Clause
 *
 * read.h -- settings being read: shared by the files of settings/.
 */
#ifndef SETTINGS_READ_H
#define SETTINGS_READ_H

#include <stddef.h>

#include "base/compiler.h"
#include "base/diag.h"
#include "base/yaml.h"
#include "settings/options.h"
#include "settings/settings.h"

/* Where a text stands. */
struct source {
    const char *file;   /* borrowed; NULL: a default */
    const char *assign; /* borrowed; the -o argument, else NULL */
};

struct reader {
    struct settings *s;         /* being built */
    struct diags *d;            /* borrowed, may be NULL */
    struct source source;       /* of the text being read */
    int rc;                     /* 0, or the first error */
    struct document *documents; /* owned: nodes stay until the end, for their places */
    /* Who gave an option its value: its node, NULL for a default. Of a list
     * that was read, the children are the elements in the same order. */
    struct origin {
        const struct yaml_node *node;
        struct source source;
    } origin[OPTIONS_MAX];
};

/* Adds a problem at a node, or at its key, and returns -EINVAL. */
int read_problem(struct reader *, const struct yaml_node *, const char *fmt, ...) PRINTF_LIKE(3, 4);
int read_problem_key(struct reader *, const struct yaml_node *, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* At the node from which an option has its value. */
int read_problem_origin(struct reader *, const struct origin *, const struct yaml_node *,
                        const char *fmt, ...) PRINTF_LIKE(4, 5);
int read_out_of_memory(struct reader *);
/* Reports the key of a node that no row has, with the nearest one that is
 * meant. section NULL: the rows of a record. */
int read_unknown_key(struct reader *, const struct yaml_node *, const struct option *rows,
                     const char *section);

/* Reads one text instead of files, with the defaults around it: for tests.
 * Returns like settings_read(). */
int settings_read_text(struct settings **out, const char *name, const char *text, size_t len,
                       struct diags *d);

#endif
