/* SPDX-License-Identifier: BSD-2-Clause
 *
 * diag.c -- problems found in a text, with their place, for humans.
 *
 * Behind DIAG_MAX, and when memory is out, problems are only counted: `all` is
 * always right, so nothing passes for valid.
 */
#include "base/diag.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_MAX = 64 }; /* longer words are not compared */

void diags_init(struct diags *d)
{
    d->n = d->all = 0;
}

void diags_fini(struct diags *d)
{
    while (d->n > 0)
        free(d->list[--d->n]);
    d->all = 0;
}

int diags_vadd(struct diags *d, const char *file, unsigned line, unsigned column, const char *fmt,
               va_list args)
{
    char *text = NULL;
    size_t len;
    FILE *f;

    if (d == NULL || d->all++ >= DIAG_MAX || (f = open_memstream(&text, &len)) == NULL)
        return -EINVAL;
    if (file != NULL)
        fprintf(f, "%s:", file);
    if (line != 0)
        fprintf(f, "%u:", line);
    if (line != 0 && column != 0)
        fprintf(f, "%u:", column);
    if (file != NULL || line != 0)
        putc(' ', f);
    vfprintf(f, fmt, args);
    if (fclose(f) != 0) {
        free(text);
        return -EINVAL;
    }
    /* One line of printable text, whatever the message quotes; UTF-8 stays. */
    for (char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
    d->list[d->n++] = text;
    return -EINVAL;
}

int diags_add(struct diags *d, const char *file, unsigned line, unsigned column, const char *fmt,
              ...)
{
    va_list args;

    va_start(args, fmt);
    (void)diags_vadd(d, file, line, column, fmt, args);
    va_end(args);
    return -EINVAL;
}

void diags_print(const struct diags *d, FILE *f)
{
    for (size_t i = 0; i < d->n; i++)
        fprintf(f, "%s\n", d->list[i]);
    if (d->all > d->n)
        fprintf(f, "%zu more problems are not shown\n", d->all - d->n);
}

/* Damerau-Levenshtein in its restricted form: inserted, left out, wrong and swapped characters. */
static unsigned distance(const char *a, size_t na, const char *b, size_t nb)
{
    unsigned d[WORD_MAX + 1][WORD_MAX + 1]; /* of the first i and the first j characters */

    for (unsigned i = 0; i <= na; i++) {
        for (unsigned j = 0; j <= nb; j++) {
            d[i][j] = i + j;
            if (i == 0 || j == 0)
                continue;
            d[i][j] = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i][j] > d[i - 1][j] + 1)
                d[i][j] = d[i - 1][j] + 1;
            if (d[i][j] > d[i][j - 1] + 1)
                d[i][j] = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[i][j] > d[i - 2][j - 2] + 1)
                d[i][j] = d[i - 2][j - 2] + 1;
        }
    }
    return d[na][nb];
}

void diag_nearer(const char *word, const char *other, unsigned *best, char out[DIAG_MEANT])
{
    size_t n = strlen(word), len = strlen(other);
    unsigned far;

    if (*best == 0) { /* so many mistakes are too many */
        *best = n < 4 ? 2 : 3;
        out[0] = '\0';
    }
    if (n > WORD_MAX || len > WORD_MAX)
        return;
    far = strcasecmp(word, other) == 0 ? 0 : distance(word, n, other, len);
    if (far >= *best || far >= len)
        return;
    *best = far > 0 ? far : 1; /* nothing is nearer than itself in other letters */
    snprintf(out, DIAG_MEANT, "; did you mean %s?", other);
}

const char *diag_meant(const char *word, const char *const *list, char out[DIAG_MEANT])
{
    unsigned best = 0;

    out[0] = '\0';
    for (; *list != NULL; list++)
        diag_nearer(word, *list, &best, out);
    return out;
}
