/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fields.h -- structs that people write, described by rows: reading, printing
 * and comparing walk the rows, so that each field is known in one place.
 *
 * A list has a row for its elements, a mapping has rows for its keys. Sections stand in one
 * table with their keys: "cache.size" is the key "size" of the section "cache".
 */
#ifndef BASE_FIELDS_H
#define BASE_FIELDS_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"

/* --- base/yaml.c: a YAML text as a tree of nodes with their places.
 *
 * One document; mappings, sequences and scalars. Refused, with line and column: anchors, aliases,
 * tags, tabs as indentation, duplicate keys, keys that are no scalars, more than 32 levels, a NUL
 * byte. */

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

/* --- base/fields.c */

struct field;
struct form;

/* What a field can hold. */
struct field_kind {
    /* 0, or -EINVAL with the problem told and the field as it was, or -ENOMEM. */
    int (*read)(struct form *, const struct field *, const struct yaml_node *, void *to);
    void (*print)(const struct field *, const void *from, FILE *); /* as YAML */
    const char *wrong;        /* what is said of a bad text: "is not yes or no" */
    const struct unit *units; /* of a number */
    bool whole;               /* reads a node of any shape, and tells what is wrong with it */
};

/* A bool; uint16_t to uint64_t, of which a duration is ms and a size octets; the same or
 * an enum; const char * in the form's arena; struct prefix. Folders add their own. */
extern const struct field_kind kind_bool, kind_count, kind_duration, kind_seconds, kind_size;
extern const struct field_kind kind_word, kind_text, kind_prefix;

enum field_flag {
    FIELD_UNIQUE = 1,    /* an element, or its first key, is in the list once */
    FIELD_INLINE = 2,    /* a list that is an array in the struct, no pointer */
    FIELD_EMPTY = 4,     /* nothing written is no value */
    FIELD_BRIEF = 8,     /* a mapping is printed without its defaults */
    FIELD_NAMED = 16,    /* a list is written as a mapping of names to elements */
    FIELD_LIST = 32,     /* one element alone is no list */
    FIELD_DEFAULTS = 64, /* a mapping: what is not given is read from the default */
    FIELD_SECTION = 128, /* a mapping: its rows begin with its key */
    FIELD_FLAGS = 256,   /* from here on the flags are those of a folder */
};

struct field {
    const char *key; /* "cache.size", of which "size" is written; NULL: the end */
    /* One of the three: a value, a list, a mapping. An element without a key has its list's. */
    const struct field_kind *kind;
    const struct field *element;
    const struct field *rows;
    unsigned flags;
    /* Of the field in its struct, or of an element; of the number of elements. */
    size_t at, size;
    size_t count_at, count_size;
    /* Of the value; of the length; of the first word and, if not 0, the last. */
    uint64_t min, max;
    /* The default as written; else what it is in words; both NULL: it must be given. */
    const char *fallback;
    const char *computed;
    const char *const *words; /* ended by NULL */
    /* Of a text: why not ("is too long"), or NULL. */
    const char *(*check)(const char *text);
    const char *help;
};

/* Form and place of a field; does not compile when the type is another one. */
#define FIELD(t, f, type)                                                                          \
    .at = _Generic(((struct t *)0)->f, type : offsetof(struct t, f)), .size = sizeof(type)
#define FIELD_LIST_OF(t, f, n, type)                                                               \
    FIELD(t, f, type), .count_at = offsetof(struct t, n), .count_size = sizeof(((struct t *)0)->n)

/* A text being read; all pointers are borrowed. */
struct form {
    struct diags *d;     /* may be NULL */
    struct arena *arena; /* NULL: lists are from malloc, and as far as good */
    struct arena *kept;  /* of values that have no fixed size, for the kinds of a folder */
    const char *file;    /* may be NULL */
    bool has_no_lines;   /* file is something else, of which lines say nothing */
    bool is_option;      /* values are texts of a command line: --key TEXT */
    uint64_t now_ms;     /* for times that count from now */
    size_t problems;     /* found */
    int rc;              /* 0, -EINVAL after a problem, or -ENOMEM */
};

/* Add a problem at the value, or at its key, and return -EINVAL. */
int form_problem_at(struct form *, const struct yaml_node *, bool at_key, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
#define form_problem(form, node, ...) form_problem_at(form, node, false, __VA_ARGS__)
#define form_problem_key(form, node, ...)                                                          \
    form_problem_at(form, node, (node)->key != NULL, __VA_ARGS__)
int form_no_memory(struct form *);
/* A text that cannot be: KEY: "TEXT" and why, NULL: the words of its kind. */
int form_wrong(struct form *, const struct field *, const struct yaml_node *, const char *why);

/* Reads a node, or a text as it is printed, into the field of the struct at base. 0 or
 * -errno, told. */
int field_read(struct form *, const struct field *, const struct yaml_node *, void *base);
int field_read_text(struct form *, const struct field *, const char *text, void *base);
/* The line of a key; a list that does not fit into it, or of mappings, has a line for each element. */
void field_write(FILE *, int indent, const char *key, const struct field *, const void *base);
/* Prints the field as YAML that stands in one line. */
void field_print(const struct field *, const void *base, FILE *);
/* The same as text that the caller frees, or NULL. */
char *field_text_of(const struct field *, const void *base);
/* Does it print as its default does? */
bool field_is_default(const struct field *, const void *base);

/* "cache.size" -> "size"; "forward" -> "forward". */
const char *field_name(const struct field *);
/* The row of a key of the mapping, or NULL. */
const struct field *field_find(const struct field *map, const char *name);
/* Was nothing written, not even ""? */
static inline bool field_is_empty(const struct yaml_node *node)
{
    return node->kind == YAML_SCALAR && node->text[0] == '\0' && !node->quoted;
}

#endif
