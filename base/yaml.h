/* SPDX-License-Identifier: BSD-2-Clause
 *
 * yaml.h -- a YAML text as a tree of nodes with their places.
 *
 * One document; mappings, sequences and scalars. Refused, with line and
 * column: anchors, aliases, tags, tabs as indentation, duplicate keys, keys
 * that are no scalars, more than 32 levels, a NUL byte.
 */
#ifndef BASE_YAML_H
#define BASE_YAML_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/diag.h"

enum yaml_kind { YAML_SCALAR, YAML_MAP, YAML_LIST };

struct yaml_node {
    enum yaml_kind kind;
    unsigned line, column; /* from 1 */
    const char *key;       /* in a mapping: the key, else NULL */
    unsigned key_line, key_column;
    const char *text;               /* scalar: the value, never NULL, no NUL inside */
    bool quoted;                    /* scalar: was quoted, so `yes` is a text */
    size_t n;                       /* children */
    struct yaml_node *first, *next; /* children in the order of the text */
};

/* Reads the document into the arena; problems are those of the file `name`. 0 and *root, or
 * -EINVAL with at least one problem in d, or -ENOMEM. An empty text is an empty mapping. */
int yaml_read(const struct yaml_node **root, struct arena *, const char *name, const char *text,
              size_t len, struct diags *d);

/* The child of a mapping, or NULL. */
const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);

/* Writes text as one YAML scalar: plain where that reads back the same, else in double quotes. */
void yaml_print(FILE *, const char *text);

#endif
