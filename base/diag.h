/* SPDX-License-Identifier: BSD-2-Clause
 *
 * diag.h -- problems found in a text, with their place, for humans.
 *
 * Parsers and checks collect problems here instead of printing, so that the
 * tool, the daemon and the tests see the same words.
 */
#ifndef BASE_DIAG_H
#define BASE_DIAG_H

#include <stdarg.h>
#include <stdio.h>

#include "base/compiler.h"

enum { DIAG_MAX = 200, DIAG_MEANT = 100 };

struct diags {
    size_t n;             /* kept */
    size_t all;           /* found */
    char *list[DIAG_MAX]; /* owned: "FILE:LINE:COL: text" without a line end */
};

void diags_init(struct diags *);
void diags_fini(struct diags *); /* as at first */

/* Adds a problem and returns -EINVAL. d may be NULL: nothing is kept. What is unknown of the
 * place (file NULL, line or column 0) is left out. */
int diags_add(struct diags *d, const char *file, unsigned line, unsigned column, const char *fmt,
              ...) PRINTF_LIKE(5, 6);
int diags_vadd(struct diags *d, const char *file, unsigned line, unsigned column, const char *fmt,
               va_list) PRINTF_LIKE(5, 0);
#define diags_tell(d, ...) diags_add(d, NULL, 0, 0, __VA_ARGS__) /* of no place */
void diags_print(const struct diags *, FILE *);

/* "; did you mean WORD?" with the word of the list (ended by NULL) that is near enough to be
 * what was meant, or "". Returns out. */
const char *diag_meant(const char *word, const char *const *list, char out[DIAG_MEANT]);
/* The same word by word, for lists that are nowhere whole; *best is 0 at first. */
void diag_nearer(const char *word, const char *other, unsigned *best, char out[DIAG_MEANT]);

#endif
