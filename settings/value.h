/* SPDX-License-Identifier: BSD-2-Clause
 *
 * value.h -- values of options, between text and field.
 */
#ifndef SETTINGS_VALUE_H
#define SETTINGS_VALUE_H

#include <stdio.h>

#include "base/number.h"
#include "settings/read.h"

/* Reads the node into the field of the struct at base. 0; or -EINVAL with all
 * problems reported, or -ENOMEM: then the field is as before. */
int value_read(struct reader *, const struct option *, const struct yaml_node *, void *base);

/* Prints the field as YAML that stands in one line. */
void value_print(const struct option *, const void *base, FILE *);

/* A number of the option (value, limit) in its unit. Returns out. */
const char *value_number(const struct option *, uint64_t, char out[NUMBER_TEXT]);

/* Copies the field; what it points to is copied into the arena. 0 or -ENOMEM. */
int value_copy(const struct option *, void *to, const void *from, struct arena *);

/* The same for the forms that are lists: lists.c. */
int list_read(struct reader *, const struct option *, const struct yaml_node *, void *base);
void list_print(const struct option *, const void *base, FILE *);
int list_copy(const struct option *, void *to, const void *from, struct arena *);
/* One element of a list of records as a mapping: {net: ..., action: ...}. */
void record_print(const struct option *, const void *record, FILE *);

/* The field of a row, and the count of a list. */
static inline void *option_field(const struct option *o, void *base)
{
    return (char *)base + o->at;
}
static inline const void *option_field_const(const struct option *o, const void *base)
{
    return (const char *)base + o->at;
}
static inline int option_count(const struct option *o, const void *base)
{
    return *(const int *)(const void *)((const char *)base + o->count_at);
}

#endif
