/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_in.h -- what the readers of the text form's sections share. Only
 * policy/text*.c include it.
 */
#ifndef POLICY_TEXT_IN_H
#define POLICY_TEXT_IN_H

#include "base/yaml.h"
#include "policy/text.h"

struct text_in {
    const char *file; /* borrowed */
    struct diags *d;  /* borrowed, may be NULL */
    bool bad;         /* a problem was found */
    bool nomem;
};

/* Add a problem at the node's value / at its key. */
void text_bad(struct text_in *, const struct yaml_node *, const char *fmt, ...) PRINTF_LIKE(3, 4);
void text_bad_key(struct text_in *, const struct yaml_node *, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* Is it a mapping with no other keys than these (ended by NULL)? Problems are told; false when
 * it is no mapping at all. */
bool text_map(struct text_in *, const struct yaml_node *, const char *what,
              const char *const *keys);
/* The text of a scalar; NULL after a problem. */
const char *text_scalar(struct text_in *, const struct yaml_node *, const char *what);
/* A list, or one scalar as a list of one: the number of items, all of them scalars; 0 after a
 * problem. Items follow each other by ->next, but only this many. */
size_t text_list(struct text_in *, const struct yaml_node *, const char *what,
                 const struct yaml_node **first);
/* Index in names, -1 after a problem that says what was perhaps meant. */
int text_word(struct text_in *, const struct yaml_node *, const char *what,
              const char *const *names);
bool text_bool(struct text_in *, const struct yaml_node *, const char *what, bool fallback);
/* 0 after a problem. */
uint64_t text_u16(struct text_in *, const struct yaml_node *, const char *what);
/* Where a node's key is, or else its value. */
struct policy_place text_key_place(const struct yaml_node *);
/* Copies problems of a whole object to the place of its key. */
void text_adopt(struct text_in *, const struct yaml_node *, struct diags *own);
/* calloc that sets nomem; NULL also for n 0. */
void *text_alloc(struct text_in *, size_t n, size_t size);

/* The sections that have a file of their own. */
void text_read_rules(struct text_in *, const struct yaml_node *, struct policy *out);
void text_read_tests(struct text_in *, const struct yaml_node *, struct policy_tests *out);

#endif
