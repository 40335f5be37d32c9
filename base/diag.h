/* SPDX-License-Identifier: BSD-2-Clause
 *
 * diag.h -- problems found in a text, with their place, for humans.
 *
 * Parsers and checks collect problems here instead of printing, so that the
 * tool, the daemon and the tests see the same words. All problems of a file
 * are kept (at most DIAG_MAX, then one line says how many more there were).
 */
#ifndef BASE_DIAG_H
#define BASE_DIAG_H

#include <stdio.h>

#include "base/compiler.h"

enum { DIAG_MAX = 200, DIAG_MEANT = 100 };

struct diag {
    char *file;            /* owned; NULL when the problem has no file */
    unsigned line, column; /* from 1; 0 = unknown, then not printed */
    char *text;            /* owned; one sentence without a line end */
};

struct diags {
    size_t n;   /* kept */
    size_t all; /* found */
    struct diag list[DIAG_MAX];
};

void diags_init(struct diags *);
void diags_fini(struct diags *);

/* Adds a problem and returns -EINVAL, so that a parser can write
 * `return diags_add(...)`. d may be NULL: nothing is kept. file is copied and
 * may be NULL. */
int diags_add(struct diags *d, const char *file, unsigned line, unsigned column, const char *fmt,
              ...) PRINTF_LIKE(5, 6);

/* "FILE:LINE:COL: text"; what is unknown is left out. From malloc; NULL when out of
 * memory. */
char *diag_text(const struct diag *);
/* Each as such a line. */
void diags_print(const struct diags *, FILE *);

/* What a message about an unknown word ends with: "; did you mean WORD?" with the word
 * of the list (ended by NULL) that is near enough to be what was meant, or "". Returns out. */
const char *diag_meant(const char *word, const char *const *list, char out[DIAG_MEANT]);

#endif
